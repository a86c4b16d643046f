"""The package without PyTorch: layers from arrays, models from files, streams, errors, threads, and how
fast it is there."""

import copy
import io
import json
import os
import pickle
import subprocess
import sys
import threading
import time
import unittest

from package_testing import COMMAND_LINE, PACKAGE, SOURCE, PackageTest, bytegate, np, read_tensors, write_safetensors

RNG = np.random.default_rng(5)
CHARLM = os.path.join(SOURCE, "examples", "data", "charlm", "model.safetensors")


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def lstm_weights(inputs, hidden, gates=4):
    return {"weight_ih_l0": floats(gates * hidden, inputs), "weight_hh_l0": floats(gates * hidden, hidden),
            "bias_ih_l0": floats(gates * hidden), "bias_hh_l0": floats(gates * hidden)}


def run_python(code, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": PACKAGE, **options.pop("env", {})}
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment,
                          check=False, **options)


class LayersTest(PackageTest):
    def check(self, layer, kind, fields, tensors, x):
        """Float and int8 have the bits of C++, and of a copy through pickle."""
        self.equal(layer.run(x), self.run_in_cpp(kind, fields, tensors, x))
        for scheme in ("per_row", "torch_per_channel_7bit"):
            int8 = bytegate.quantize_dynamic(layer, scheme=scheme)
            expected = self.run_in_cpp(kind, fields, tensors, x, scheme)
            self.equal(int8.run(x), expected)
            self.assertTrue(int8.quantized and not layer.quantized)
            for again in (pickle.loads(pickle.dumps(int8)), copy.deepcopy(int8)):
                self.equal(again.run(x), expected)
                self.assertEqual((type(again), repr(again), again.scheme), (type(int8), repr(int8), int8.scheme))
            if kind == "embedding" or "reset_after" in fields:
                break  # PyTorch has no such form

    def test_bits_of_cpp(self):
        w, b = floats(7, 12), floats(7)
        self.check(bytegate.Linear(w, b), "linear", {}, {"weight": w, "bias": b}, floats(3, 12))
        self.check(bytegate.Linear(w, relu=True), "linear", {"relu": True}, {"weight": w}, floats(2, 3, 12))
        weights = lstm_weights(6, 9)
        self.check(bytegate.LSTM(weights, batch_first=True), "lstm", {"batch_first": True}, weights, floats(2, 5, 6))
        w, b = floats(4, 3, 5), floats(4)
        self.check(bytegate.Conv1d(w, b, stride=2, padding=1), "conv1d", {"stride": 2, "padding": 1},
                   {"weight": w, "bias": b}, floats(2, 3, 11))
        w = floats(10, 4)
        self.check(bytegate.Embedding(w), "embedding", {}, {"weight": w}, RNG.integers(0, 10, (3, 4)))

    def test_recurrent_layers_and_cells(self):
        for cls, gates, options in ((bytegate.GRU, 3, {}), (bytegate.GRU, 3, {"reset_after": False}),
                                    (bytegate.RNN, 1, {"nonlinearity": "relu"})):
            weights = lstm_weights(6, 9, gates)
            self.check(cls(weights, **options), cls._kind, options, weights, floats(5, 2, 6))
        self.refuse("nonlinearity.*accepted are tanh, relu", lambda: bytegate.RNN(weights, nonlinearity="sine"))
        for cls, gates, states in ((bytegate.LSTMCell, 4, 2), (bytegate.GRUCell, 3, 1), (bytegate.RNNCell, 1, 1)):
            weights = {name[:-3]: array for name, array in lstm_weights(6, 9, gates).items()}
            cell, x = cls(weights), floats(2, 6)
            self.check(cell, cls._kind, {}, weights, x)
            state = cell(x)
            self.equal(state[0] if states == 2 else state, cell.run(x))
            again = cell(x, state)
            self.equal(cell(x[1], tuple(s[1] for s in state))[0] if states == 2 else cell(x[1], state[1]),
                       (again[0] if states == 2 else again)[1])
        self.refuse("a cell", bytegate.Sequential(cell).stream)

    def test_layers_without_int8_form(self):
        x = floats(2, 3, 4)
        for layer, expected in ((bytegate.ReLU(), np.maximum(x, 0)), (bytegate.LastStep(True), x[:, -1]),
                                (bytegate.Permute([2, 0, 1]), x.transpose(2, 0, 1)),
                                (bytegate.LeakyReLU(0.5), np.where(x > 0, x, x / 2)),
                                (bytegate.Flatten(), x.reshape(2, 12))):
            self.equal(layer.run(x), np.ascontiguousarray(expected), repr(layer))
            self.refuse("no int8 form", lambda layer=layer: bytegate.quantize_dynamic(layer))
        norm = bytegate.LayerNorm(4, floats(4), floats(4))
        self.assertEqual(repr(norm), "LayerNorm((4,), eps=1e-05, elementwise_affine=True)")
        self.assertEqual(norm.run(x).shape, x.shape)

    def test_states(self):
        layer = bytegate.quantize_dynamic(bytegate.LSTM(lstm_weights(6, 9)))
        x = floats(8, 2, 6)
        whole, (h, c) = layer(x)
        first, state = layer(x[:3])
        second, after = layer(x[3:], state)
        self.equal(np.concatenate([first, second]), whole)
        self.equal(after[0], h)
        self.equal(after[1], c)
        ragged, (h, _) = layer(x, lengths=np.array([8, 3]))
        self.equal(ragged[:3, 1], whole[:3, 1])
        self.assertFalse(ragged[3:].any(axis=2)[:, 1].any())
        self.equal(h[0, 1], whole[2, 1])
        self.refuse("the state has 1 tensors; this layer's has 2", lambda: layer(x, (h,)))
        self.refuse("the state has a tensor of shape", lambda: layer(x, (h[:, :1], h)), "shape_mismatch")

    def test_int8_arrays(self):
        int8 = bytegate.quantize_dynamic(bytegate.Linear(floats(5, 6), floats(5)))
        stored = int8.tensors()
        self.assertEqual({name: array.dtype.name for name, array in stored.items()},
                         {"weight": "int8", "weight_scale": "float32", "bias": "float32"})
        again = bytegate.Linear(**stored)
        x = floats(2, 6)
        self.equal(again.run(x), int8.run(x))
        self.refuse("needs a tensor weight_scale", lambda: bytegate.Linear(stored["weight"]))

    def test_views_and_copies(self):
        """Contiguous arrays are read where they are; others, and unaligned ones, are as good."""
        layer, x = bytegate.Linear(floats(5, 6)), floats(9, 6)
        expected = layer.run(x)
        self.equal(layer.run(np.asfortranarray(x)), expected)
        self.equal(layer.run(x[::-1])[::-1].copy(), expected)
        bytes_ = bytearray(x.nbytes + 1)
        unaligned = np.frombuffer(bytes_, np.float32, x.size, 1).reshape(x.shape)
        unaligned[:] = x
        self.equal(layer.run(unaligned), expected)
        frozen = x.copy()
        frozen.flags.writeable = False
        self.equal(layer.run(frozen), expected)

        class Foreign:  # another library's array
            def __dlpack__(self, **options):
                return x.__dlpack__(**options)

            def __dlpack_device__(self):
                return x.__dlpack_device__()

        self.equal(layer.run(Foreign()), expected)
        self.assertIs(type(np.from_dlpack(layer.run(x))), np.ndarray)

    def test_nothing_is_copied(self):
        """A call on a large input takes no memory but its output's."""
        layer, x = bytegate.ReLU(), np.zeros((1 << 22,), np.float32)
        code = ("import resource, numpy, bytegate; x = numpy.ones((1 << 25,), 'f'); layer = bytegate.LastStep(); "
                "x = x.reshape(32, -1); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; y = layer.run(x); "
                "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)")
        done = run_python(code)
        self.assertLess(int(done.stdout), 32 << 10, done.stderr)  # KiB; the input has 128 MiB
        self.equal(layer.run(x), x)

    def test_errors(self):
        layer = bytegate.Linear(floats(5, 6))
        self.refuse("the input must be of type float32, not float64", lambda: layer.run(np.zeros((2, 6))))
        self.refuse("the input must be a NumPy array .* not list", lambda: layer.run([1.0]))
        self.refuse(r"\[2, 7\], expected \[..., 6\]", lambda: layer.run(floats(2, 7)), "shape_mismatch")
        self.refuse("num_threads|threads", lambda: setattr(layer, "num_threads", 0) or layer.run(floats(2, 6)))
        self.refuse("int64, not float32", lambda: bytegate.Embedding(floats(3, 2)).run(floats(2)))
        self.refuse("weight must be of type float32, not float64", lambda: bytegate.Linear(np.zeros((2, 3))))
        self.refuse("a Linear.s weight must be a NumPy array .* not list", lambda: bytegate.Linear([[1.0]]))
        self.refuse("a bias of shape", lambda: bytegate.Linear(floats(5, 6), floats(4)), "shape_mismatch")
        self.refuse("no tensor", lambda: bytegate.LSTM({**lstm_weights(3, 4), "extra": floats(2)}))
        self.refuse("needs a tensor bias_hh_l0|bias", lambda: bytegate.LSTM(
            {k: v for k, v in lstm_weights(3, 4).items() if k != "bias_hh_l0"}))
        nan = floats(2, 3)
        nan[1, 1] = np.nan
        self.refuse("NaN|nan|infinit", lambda: bytegate.quantize_dynamic(bytegate.Linear(nan)))
        self.refuse("there is no scheme", lambda: bytegate.quantize_dynamic(bytegate.Linear(floats(2, 3)), scheme="x"))
        self.refuse("there is no backend", lambda: bytegate.Linear(floats(2, 3), backend="x"), "unknown_backend")
        self.refuse("only torch.qint8", lambda: bytegate.quantize_dynamic(layer, dtype="float16"))
        self.refuse("dimensions", lambda: layer.run(np.zeros((1,) * 9, np.float32)))
        error = pickle.loads(pickle.dumps(bytegate.Error("bad_file", "text")))
        self.assertEqual((error.code, str(error)), ("bad_file", "text"))

    def test_every_backend_has_the_same_bits(self):
        weights, x = lstm_weights(6, 9), floats(4, 2, 6)
        outputs = [bytegate.quantize_dynamic(bytegate.LSTM(weights, backend=name)).run(x)
                   for name, state in bytegate.info()["backends"].items() if state == "supported"]
        for output in outputs:
            self.equal(output, outputs[0])


class ModelsTest(PackageTest):
    def model(self):
        return bytegate.Sequential(lstm=bytegate.LSTM(lstm_weights(6, 9)), act=bytegate.ReLU(),
                                   fc=bytegate.Linear(floats(3, 9), floats(3)), name="Small")

    def test_saved_and_loaded(self):
        model, x = bytegate.quantize_dynamic(self.model()), floats(4, 2, 6)
        path = self.path("m.safetensors")
        model.save(path)
        again = bytegate.load(path)
        self.equal(again.run(x), model.run(x))
        self.equal(self.run_file(path, x), model.run(x))
        self.assertEqual(repr(again), repr(model))
        self.assertEqual([entry["kind"] for entry in again.architecture], ["lstm", "relu", "linear"])
        self.equal(pickle.loads(pickle.dumps(model)).run(x), model.run(x))
        self.assertEqual(again["fc"].out_features, 3)
        seen = bytegate.inspect(path)
        self.assertEqual(seen["tensors"]["fc.weight"], "I8 [3, 9]")
        self.assertIn("fc.weight", str(seen))
        self.refuse("", lambda: bytegate.load(self.path("none.safetensors")), "io_error")
        with open(self.path("broken"), "wb") as file:
            file.write(b"x" * 100)
        self.refuse("", lambda: bytegate.load(self.path("broken")), "bad_file")

    def test_chosen_layers(self):
        model = self.model()
        for spec, expected in ((None, (True, True)), ({bytegate.LSTM}, (True, False)), ({"fc"}, (False, True)),
                               ({"linear"}, (False, True)), ({"fc", bytegate.LSTM}, (True, True)),
                               (["f*"], (False, True)), ({"lstm": None}, (False, False)), (set(), (False, False)),
                               ({bytegate.LSTM: True, "fc": True}, (True, True)),
                               ({bytegate.LSTM: True, bytegate.Linear: True, "lstm": None}, (False, True)),
                               ({"f*": True, bytegate.LSTM: None}, (False, True))):
            int8 = bytegate.quantize_dynamic(model, spec)
            self.assertEqual((int8["lstm"].quantized, int8["fc"].quantized), expected, spec)
        self.assertFalse(model["fc"].quantized)
        self.refuse("", lambda: bytegate.quantize_dynamic(model, {"nothing*"}))
        self.refuse("immutable", lambda: bytegate.quantize_dynamic(model, inplace=True))

    def test_state_dict_with_architecture(self):
        tensors = {f"lstm.{k}": v for k, v in lstm_weights(6, 9).items()}
        tensors["fc.weight"] = floats(3, 9)
        path = self.path("dict.safetensors")
        write_safetensors(path, tensors, {})
        self.refuse("", lambda: bytegate.load(path), "bad_file")
        model = bytegate.load(path, architecture=[{"name": "lstm", "kind": "lstm", "batch_first": True},
                                                  {"name": "fc", "kind": "linear"}])
        self.assertEqual(model.run(floats(2, 5, 6)).shape, (2, 5, 3))
        self.assertEqual(len(bytegate.load(path, guess_architecture=True).layers()), 2)

    def test_stream(self):
        for batch_first in (False, True):
            model = bytegate.quantize_dynamic(bytegate.Sequential(
                bytegate.LSTM(lstm_weights(6, 9), batch_first=batch_first), bytegate.Linear(floats(3, 9))))
            x = floats(7, 6)
            whole = model.run(x)
            stream = model.stream()
            self.equal(np.concatenate([stream.step(x[0])[None], stream.step(x[1:4]), stream.step(x[4])[None],
                                       stream.step(x[5:])]), whole)
            stream.reset()
            self.equal(stream.step(x), whole)
            x = floats(4, 7, 6) if batch_first else floats(7, 4, 6)
            axis = 1 if batch_first else 0
            stream = model.stream(batch=4)
            steps = [stream.step(np.take(x, t, axis)) for t in range(7)]
            self.equal(np.stack(steps, axis), model.run(x))
            self.refuse("dimensions", lambda: stream.step(floats(6)), "shape_mismatch")
            self.refuse("", lambda: stream.step(floats(4, 5)), "shape_mismatch")
        self.refuse("runs backwards", bytegate.Sequential(bytegate.LSTM({
            **lstm_weights(6, 9), **{f"{k}_reverse": v for k, v in lstm_weights(6, 9).items()}})).stream)
        self.refuse("not causal", bytegate.Sequential(bytegate.Conv1d(floats(2, 3, 4))).stream)

    def test_stream_of_indices_and_convolutions(self):
        model = bytegate.Sequential(bytegate.Embedding(floats(10, 6)), bytegate.LSTM(lstm_weights(6, 9)))
        x = RNG.integers(0, 10, 6)
        stream = model.stream()
        self.equal(np.stack([stream.step(i) for i in x]), model.run(x))
        model = bytegate.Sequential(bytegate.Conv1d(floats(5, 3, 4), causal=True))
        x = floats(3, 8)
        stream = model.stream()
        self.equal(np.stack([stream.step(np.ascontiguousarray(x[:, t])) for t in range(8)], 1), model.run(x))

    def test_threads_share_a_model(self):
        """Calls release the interpreter's lock and do not disturb each other."""
        model, x = bytegate.quantize_dynamic(self.model()), floats(50, 2, 6)
        expected, wrong = model.run(x), []

        def work():
            for _ in range(50):
                if not np.array_equal(model.run(x), expected):
                    wrong.append(1)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertFalse(wrong)
        model.num_threads = 2
        self.equal(model.run(x), expected)

    def test_lock_is_released(self):
        layer = bytegate.Linear(floats(1024, 1024))
        x, done, ticks = floats(2000, 1024), threading.Event(), []
        thread = threading.Thread(target=lambda: (layer.run(x), done.set()))
        thread.start()
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)
        thread.join()
        self.assertGreater(len(ticks), 3)

    def test_the_example_of_the_readme(self):
        model = bytegate.load(CHARLM)
        int8 = bytegate.quantize_dynamic(model)
        x = RNG.integers(0, 60, (12, 1))
        self.assertEqual(int8.run(x).shape, model.run(x).shape)


class ProcessTest(unittest.TestCase):
    def test_import(self):
        """It imports neither torch nor onnx, and takes less than 50 ms beside NumPy."""
        code = ("import time, numpy; a = time.perf_counter(); import bytegate, sys; bytegate.load, bytegate.Linear; "
                "bytegate.quantize_dynamic; print(time.perf_counter() - a, 'torch' in sys.modules, "
                "'onnx' in sys.modules)")
        times = []
        for _ in range(5):
            done = run_python(code)
            self.assertEqual(done.returncode, 0, done.stderr)
            seconds, *heavy = done.stdout.split()
            self.assertEqual(heavy, ["False", "False"])
            times.append(float(seconds))
        self.assertLess(min(times), 0.05)

    def test_documented(self):
        for name in bytegate.__all__:
            self.assertTrue((getattr(bytegate, name).__doc__ or "").strip(), name)
        self.assertFalse(set(bytegate.__all__) - set(dir(bytegate)))
        with self.assertRaises(AttributeError):
            bytegate.nothing

    def test_command_line(self):
        """python -m bytegate is the program."""
        def both(*arguments):
            environment = {**os.environ, "PYTHONPATH": PACKAGE}
            return [subprocess.run([*program, *arguments], capture_output=True, text=True, env=environment, check=False)
                    for program in ([sys.executable, "-m", "bytegate"], [COMMAND_LINE])]

        for arguments in (["info"], ["inspect", CHARLM], ["inspect", "/nothing"], ["--version"], ["nonsense"]):
            ours, theirs = both(*arguments)
            self.assertEqual((ours.returncode, ours.stdout), (theirs.returncode, theirs.stdout), arguments)
            self.assertEqual(ours.stderr, theirs.stderr)
        ours, _ = both("--help")
        self.assertIn("convert", ours.stdout)
        self.assertEqual(ours.returncode, 0)

    def test_fork(self):
        code = ("import os, numpy, bytegate; layer = bytegate.Linear(numpy.ones((300, 300), 'f')); "
                "layer.num_threads = 2; x = numpy.ones((64, 300), 'f'); y = layer.run(x); pid = os.fork(); "
                "good = (layer.run(x) == y).all(); os._exit(0 if good else 3) if pid == 0 else "
                "print(os.waitpid(pid, 0)[1])")
        done = run_python(code, timeout=120)
        self.assertEqual(done.stdout.strip(), "0", done.stderr)

    def test_backend_by_environment(self):
        code = "import bytegate; print(bytegate.info()['default_backend'])"
        self.assertEqual(run_python(code, env={"BYTEGATE_BACKEND": "scalar"}).stdout.strip(), "scalar")
        done = run_python(code, env={"BYTEGATE_BACKEND": "nonsense"})
        self.assertIn("bytegate._error.Error", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
