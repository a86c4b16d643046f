#!/usr/bin/env python3
"""Damaged and hostile ONNX files are an error each, in bounded memory and time, and no file is written; how files are
written; the command line: convert_hostile_test.py [RUN_MODEL]"""

import json
import os
import random
import re
import resource
import subprocess
import sys
import time
from unittest import mock

import convert_testing  # first: it ends the program where packages are missing
import numpy as np
import onnx_chains
from convert_testing import SOURCE, ConvertTest, bytegate
from model_runner import read_layers, read_safetensors
from onnx_graphs import FLOAT, Graph

from onnx import TensorProto, helper

MEMORY = 3 << 30  # bytes of address space for this whole program


def linear_model(edit=None):
    g = Graph(13)
    g.output(g.linear(g.input("b", 6), 6, 4, "fc"))
    model = g.model()
    if edit is not None:
        edit(model)
    return model


class Hostile(ConvertTest):
    def setUp(self):
        super().setUp()
        begin = time.monotonic()
        self.addCleanup(lambda: self.assertLess(time.monotonic() - begin, 120))

    def try_to_convert(self, data):
        """An error and no file, or a file that can be read."""
        path = self.save(data)
        try:
            report = bytegate.convert_onnx(path, self.out)
        except bytegate.Error as error:
            self.assertIn(error.code, ("bad_file", "invalid_argument"), error)
            self.assertFalse(os.path.exists(self.out))
            return False
        read_layers(self.out, "architecture" if report.whole else "layers")
        os.unlink(self.out)
        return True

    def test_truncated(self):
        data = onnx_chains.build("wake_word", 13)[0].SerializeToString()
        for size in sorted({*range(0, len(data), 97), *range(40), *range(len(data) - 40, len(data))}):
            self.assertFalse(self.try_to_convert(data[:size]), size)

    def test_flipped(self):
        chance = random.Random(1)
        for name in ("lstm_batch_first_pytorch", "weights_behind_other_nodes", "convolution_behind_pad", "wake_word"):
            data = onnx_chains.build(name, 13)[0].SerializeToString()
            for _ in range(400):
                damaged = bytearray(data)
                for _ in range(chance.choice((1, 1, 2, 8))):
                    damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
                self.try_to_convert(bytes(damaged))

    def test_cut_and_joined(self):
        chance = random.Random(2)
        data = onnx_chains.build("embedding_of_batches", 13)[0].SerializeToString()
        for _ in range(300):
            a, b = sorted(chance.randrange(len(data)) for _ in range(2))
            self.try_to_convert(data[:a] + data[b:])
            self.try_to_convert(data[:b] + data[a:])

    def test_no_model(self):
        for data in (b"", b"\0", b"hello, world\n" * 50, os.urandom(5000), b"PK\x03\x04" + bytes(200), b"\xff" * 100):
            self.refuse("model.onnx (is|it|has)|model.onnx: ", data, "bad_file")
        self.refuse("holds no graph", helper.make_model(helper.make_graph([], "g", [], [])).SerializeToString()[:2],
                    "bad_file")
        self.refuse("no nodes", helper.make_model(helper.make_graph([], "g", [], [])), "bad_file")
        with self.assertRaises(bytegate.Error) as caught:
            bytegate.convert_onnx(self.path("none.onnx"), self.out)
        self.assertEqual(caught.exception.code, "io_error")
        for path in (self.folder, "/dev/null", "/dev/zero"):
            with self.assertRaises(bytegate.Error) as caught:
                bytegate.convert_onnx(path, self.out)
            self.assertEqual(caught.exception.code, "io_error")

    def test_opsets(self):
        old = "version 6 of ONNX's operators; 7 and newer"
        for version, pattern in ((6, old), (0, "no version"), (-3, "no version")):
            def edit(model, version=version):
                model.opset_import[0].version = version
            self.refuse(pattern, linear_model(edit), "bad_file")
        self.refuse("no version", linear_model(lambda model: model.ClearField("opset_import")), "bad_file")

    def test_dimensions(self):
        def dims(*values):
            def edit(model):
                tensor = model.graph.initializer[0]
                del tensor.dims[:]
                tensor.dims.extend(values)
            return edit
        for values in ((2**62, 2**62), (2**31, 2**31), (-1, 24), (4, 7), (), (2**63 - 1,), (0, 2**62), (1,) * 40,
                       (-4, -6)):
            self.refuse('initializer "fc.weight"', linear_model(dims(*values)), "bad_file")

    def test_shapes_of_inputs(self):
        for size in (2**62, -5, 0):
            g = Graph(17)
            g.output(g.op("LayerNormalization", g.layer_norm(g.input(3, size), 5, affine=False), g.constant(np.float32(
                [2]))))
            self.refuse("", g.model()) if size > 0 else self.try_to_convert(g.model())

    def test_external_data(self):
        def edit(model):
            tensor = model.graph.initializer[0]
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="/etc/passwd")
        self.refuse("external data", linear_model(edit), "bad_file")

    def test_graphs_that_cannot_be(self):
        def cycle(model):
            model.graph.node.add(op_type="Relu", name="r", input=["q"], output=["p"])
            model.graph.node.add(op_type="Relu", name="s", input=["p"], output=["q"])
        self.refuse('cycle, of which Relu "r"', linear_model(cycle), "bad_file")

        def itself(model):
            model.graph.node[0].input[0] = model.graph.node[0].output[0]
        self.refuse("cycle", linear_model(itself), "bad_file")

        def twice(model):
            model.graph.node.add(op_type="Relu", input=["x"], output=[model.graph.node[0].output[0]])
        self.refuse("two origins", linear_model(twice), "bad_file")

        def unknown(model):
            model.graph.node[0].input[0] = "nobody"
        self.refuse('reads the tensor "nobody"', linear_model(unknown), "bad_file")

        def no_output(model):
            model.graph.output[0].name = "nothing"
        self.refuse('output "nothing"', linear_model(no_output), "bad_file")

        def function(model):
            model.functions.add(name="Gemm")
        self.refuse('function of its own, "Gemm"', linear_model(function), "bad_file")

    def test_memory_that_a_small_file_asks_for(self):
        g = Graph(13)
        big = g.op("ConstantOfShape", g.constant(np.array([60000, 30000], np.int64)))
        g.output(g.op("MatMul", g.input("b", 60000), big))
        self.refuse("more than a file of this size holds", g.model())
        g = Graph(13)
        w = g.constant(np.ones((1, 64), np.float32))
        for _ in range(60):  # doubles
            w = g.op("Concat", w, w, axis=0)
        g.output(g.op("MatMul", g.input("b", "n"), w))
        self.refuse("nothing in it", g.model())
        g = Graph(13)
        w = g.op("Expand", g.constant(np.ones((1, 1), np.float32)), g.constant(np.array([2**31, 2**31], np.int64)))
        g.output(g.op("MatMul", g.input("b", "n"), w))
        self.refuse("nothing in it", g.model())
        g = Graph(13)
        w = g.op("Reshape", g.op("Expand", g.constant(np.ones((1, 1), np.float32)), g.constant(np.array(
            [46000, 46000], np.int64))), g.constant(np.array([-1], np.int64)))
        g.output(g.op("MatMul", g.input("b", "n"), w))
        self.refuse("nothing in it", g.model())
        g = Graph(13)
        g.output(g.op("Conv", g.input("b", 1, "t"), g.weight(50000, 1, 1), pads=[60000, 0]))
        self.refuse("its padding is 60000", g.model())

    def test_numbers_that_a_layer_cannot_have(self):
        """No file is written that the library does not read, and a 0 is not taken for a number left out."""
        for pattern, attributes in (("its stride is 0", {"strides": [0]}), ("its dilation 0", {"dilations": [0]}),
                                    ("its pads are 1 numbers", {"pads": [2]}),
                                    ("its strides are 2", {"strides": [2, 1]}),
                                    ("kernel_shape is 4", {"kernel_shape": [4]})):
            g = Graph(13)
            g.output(g.op("Conv", g.input("b", 2, "t"), g.weight(3, 2, 3), **attributes))
            self.refuse(pattern, g.model())
        g = Graph(13)
        g.output(g.op("Conv", g.input("b", 70000, "t"), g.weight(70000, 1, 1), group=70000))
        self.refuse("70,000 channels", g.model())
        for number in (np.nan, np.inf, -1.0):
            forms = [lambda g, x: g.op("LayerNormalization", x, g.weight(4), g.weight(4), epsilon=float(number)),
                     lambda g, x: g.layer_norm(x, 4, eps=number)]
            if number != -1.0:
                forms += [lambda g, x: g.op("LeakyRelu", x, alpha=float(number)),
                          lambda g, x: g.op("Elu", x, alpha=float(number))]
            for form in forms:
                g = Graph(17)
                g.output(form(g, g.linear(g.input("b", 6), 6, 4, "fc")))
                self.assertFalse(self.convert(g.model()).whole)

    def test_long_and_deep(self):
        g = Graph(13)
        w = g.weight(6, 4)
        for _ in range(20000):
            w = g.op("Identity", w)
        x = g.input("b", 6)
        for _ in range(5000):
            x = g.op("Identity", x)
        g.output(g.op("MatMul", x, w))
        self.assertTrue(self.convert(g.model()).whole)
        os.unlink(self.out)
        for depth in (10, 60):
            g = Graph(13)
            x, inner = g.input("b", 6), g.branch()
            inner.output(inner.op("MatMul", x, inner.weight(6, 4)))
            proto = inner.proto()
            for _ in range(depth):
                outer = g.branch()
                outer.output(outer.op("If", outer.constant(np.array(True)), then_branch=proto))
                proto = outer.proto()
            g.output(g.op("If", g.constant(np.array(True)), then_branch=proto))
            self.assertEqual(self.try_to_convert(g.model()), depth == 10)

    def test_many_nodes(self):
        model = linear_model()
        model.graph.node.extend(helper.make_node("Relu", [], []) for _ in range(3))
        data = model.SerializeToString()
        graph = b"\x0a\x00" * 300_000
        size = len(graph)
        length = bytes((size >> shift & 127) | 128 for shift in (0, 7)) + bytes([size >> 14])
        self.refuse("more than 200,000 nodes", data + b"\x3a" + length + graph, "bad_file")

    def test_names_that_are_no_text(self):
        data = linear_model().SerializeToString()
        for name in (b"fc.weight", b"Gemm_", b"/Gemm"):
            self.assertIn(name, data)
            self.refuse("is not UTF-8", data.replace(name, b"\xff\xfe" + name[2:]), "bad_file")

    def test_odd_attributes(self):
        g = Graph(13)
        x = g.input("t", "b", 5)
        y = g.recurrent("LSTM", x, 5, 4)[0]
        g.output(g.squeeze(y, 1))
        for name, value in (("hidden_size", 4.5), ("hidden_size", "four"), ("hidden_size", -1),
                            ("activations", [1, 2, 3]), ("activations", "Tanh"), ("direction", 7),
                            ("layout", [1]), ("clip", "no"),
                            ("hidden_size", 2**62)):
            model = g.model()
            node = next(n for n in model.graph.node if n.op_type == "LSTM")
            del node.attribute[:]
            node.attribute.append(helper.make_attribute(name, value))
            self.try_to_convert(model)


class Writing(ConvertTest):
    def test_the_old_file_is_kept(self):
        with open(self.out, "w", encoding="utf-8") as file:
            file.write("old")
        os.chmod(self.out, 0o640)
        with self.assertRaises(bytegate.Error):
            self.convert(b"nothing")
        with open(self.out, encoding="utf-8") as file:
            self.assertEqual(file.read(), "old")
        with mock.patch("os.replace", side_effect=OSError("no")), self.assertRaises(bytegate.Error) as caught:
            self.convert(linear_model())
        self.assertEqual(caught.exception.code, "io_error")
        with open(self.out, encoding="utf-8") as file:
            self.assertEqual(file.read(), "old")
        self.assertEqual(sorted(os.listdir(self.folder)), ["model.onnx", "out.safetensors"])
        os.rename(self.out, self.path("target"))
        os.symlink("target", self.out)
        self.convert(linear_model())
        self.assertTrue(os.path.islink(self.out))
        self.assertEqual(os.stat(self.out).st_mode & 0o777, 0o640)
        self.assertIn("fc.weight", read_safetensors(self.path("target"))[0])

    def test_targets_that_are_no_files(self):
        path = self.save(linear_model())
        os.mkfifo(self.path("pipe"))
        for out in ("/dev/null", self.path("pipe"), self.folder, self.path("none/there")):
            with self.assertRaises(bytegate.Error) as caught:
                bytegate.convert_onnx(path, out)
            self.assertEqual(caught.exception.code, "io_error")
        self.assertTrue(os.path.exists("/dev/null") and not os.path.isfile("/dev/null"))
        with self.assertRaisesRegex(bytegate.Error, "is the file that is converted"):
            bytegate.convert_onnx(path, path)

    def test_verification(self):
        """With stand-ins for ONNX Runtime and the library's extension, which need not be there."""
        y = np.ones((7, 4), np.float32)
        session = mock.Mock()
        session.get_inputs.return_value = [mock.Mock(shape=["b", 6], type="tensor(float)")]
        session.get_inputs.return_value[0].name = "x"
        session.get_outputs.return_value = [mock.Mock()]
        session.run.return_value = [y]
        runtime = mock.Mock(InferenceSession=mock.Mock(return_value=session))
        for got, pattern in ((y + 1e-7, None), (y + 1e-3, "differs from ONNX Runtime by 0.001"),
                             (y[:1], r"gives the shape \[1, 4\]"), (y * np.nan, "differs")):
            load = mock.Mock(return_value=mock.Mock(run=mock.Mock(return_value=got)))
            extension = mock.patch.dict(vars(bytegate), load=load)
            with mock.patch.dict(sys.modules, onnxruntime=runtime), extension:
                if pattern is None:
                    report = self.convert(linear_model())
                    self.assertLess(report.verified, 1e-6)
                    self.assertIn("verified", str(report))
                    os.unlink(self.out)
                else:
                    self.refuse(pattern, linear_model())


class Package(ConvertTest):
    def program(self, *arguments, **options):
        environment = {**os.environ, "PYTHONPATH": os.path.join(SOURCE, "python")}
        return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True,
                              check=False, **options)

    def test_import_needs_nothing(self):
        code = ("import sys, bytegate; print([m for m in ('numpy', 'onnx', 'torch', 'argparse') if m in sys.modules], "
                "bytegate.Error('bad_file', 'x').code, 'convert_onnx' in dir(bytegate), hasattr(bytegate, 'nothing'))")
        self.assertEqual(self.program("-c", code).stdout, "[] bad_file True False\n")

    def test_error(self):
        import pickle
        error = pickle.loads(pickle.dumps(bytegate.Error("bad_file", "text")))
        self.assertEqual((type(error), error.code, str(error)), (bytegate.Error, "bad_file", "text"))

    def test_command_line(self):
        path = self.save(linear_model())
        done = self.program("-m", "bytegate", "convert", path, self.out, "--name", "vad")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("whole model of 1 layer\n", done.stdout)
        self.assertEqual(read_safetensors(self.out)[1]["name"], "vad")
        done = self.program("-m", "bytegate", "convert", path, self.out, "--layers-only")
        self.assertIn("not a whole model", done.stdout)
        self.assertEqual(json.loads(read_safetensors(self.out)[1]["layers"])[0]["name"], "fc")
        done = self.program("-m", "bytegate", "convert", self.path("none.onnx"), self.out)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, "^bytegate: cannot read .*none.onnx: No such file or directory\n$")
        self.assertEqual(self.program("-m", "bytegate").returncode, 2)
        shell = f"'{sys.executable}' -m bytegate convert '{path}' '{self.out}' | true; echo ${{PIPESTATUS[0]}}"
        code = f"import subprocess; subprocess.run(['bash', '-c', {shell!r}])"
        self.assertEqual(self.program("-c", code).stderr, "")

    def test_documentation(self):
        self.save(linear_model())
        with open(os.path.join(SOURCE, "docs/onnx.md"), encoding="utf-8") as file:
            blocks = re.findall("```python\n(.*?)```", file.read(), re.DOTALL)
        self.assertEqual(len(blocks), 1)
        done = self.program("-c", blocks[0], cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("fc: linear(6, 4) from Gemm", done.stdout)

    def test_checkpoints(self):
        """What torch.save wrote goes through scripts/torch_to_safetensors.py."""
        code = "import torch; torch.save({'fc.weight': torch.ones(2, 3)}, 'model.pt')"
        if self.program("-c", code, cwd=self.folder).returncode != 0:
            self.skipTest("no PyTorch")
        done = self.program("-m", "bytegate", "convert", self.path("model.pt"), self.out)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(read_safetensors(self.out)[0]["fc.weight"].tolist(), [[1, 1, 1]] * 2)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    convert_testing.main()
