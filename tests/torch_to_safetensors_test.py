#!/usr/bin/env python3
"""The converter on state dicts PyTorch really writes: torch_to_safetensors_test.py SOURCE_DIR [PROGRAM].

Skipped (exit code 77) without PyTorch. PROGRAM is the command line, which must then read and quantize what was
converted.
"""

import contextlib
import importlib.util
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

try:
    import torch
except ImportError:
    print("skipped: no PyTorch")
    sys.exit(77)

SOURCE, PROGRAM = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
SCRIPT = os.path.join(SOURCE, "scripts/torch_to_safetensors.py")
_spec = importlib.util.spec_from_file_location("torch_to_safetensors", SCRIPT)
converter = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(converter)


def run_converter(*arguments):
    """The script with these arguments, in this process: importing PyTorch takes seconds."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv = mock.patch.object(sys, "argv", [SCRIPT, *arguments])
    with argv, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            converter.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
    return types.SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.zebra = torch.nn.Embedding(11, 6)  # names that are not in the order of use when sorted
        self.lstm = torch.nn.LSTM(6, 8, num_layers=2, bidirectional=True)
        self.decoder = torch.nn.Linear(16, 11)


class Converter(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def convert(self, value, *arguments):
        torch.save(value, self.path("in.pt"))
        return run_converter(self.path("in.pt"), self.path("out"), *arguments)

    def read(self):
        with open(self.path("out"), "rb") as file:
            size, = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(size))
            return header.pop("__metadata__", None), header, file.read()

    def refuse(self, pattern, value, *arguments):
        result = self.convert(value, *arguments)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, pattern)
        self.assertNotIn("Traceback", result.stderr)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_values_types_and_order(self):
        base = torch.arange(12.0).reshape(3, 4)
        tensors = {"transposed": base.t(), "a": base, "shared": base[1:], "rank0": torch.tensor(3.5),
                   "bf16": torch.tensor([[1.5, -2.0]]).bfloat16(), "bf16_scalar": torch.tensor(1.5).bfloat16(),
                   "half": torch.ones(3).half(), "f64": torch.ones(1, dtype=torch.float64),
                   "indices": torch.tensor([1, -1]), "empty": torch.empty(0, 3), "flags": torch.tensor([True, False]),
                   "int8": torch.tensor([-128, 127], dtype=torch.int8), "last": torch.nn.Parameter(torch.ones(2))}
        self.assertEqual(self.convert(tensors).stderr, "")
        metadata, header, data = self.read()
        self.assertIsNone(metadata)
        self.assertEqual(list(header), list(tensors))
        end = 0
        for name, tensor in tensors.items():
            self.assertEqual(header[name]["shape"], list(tensor.shape))
            self.assertEqual(header[name]["data_offsets"][0], end)
            end = header[name]["data_offsets"][1]
        self.assertEqual(end, len(data))

        def values(name, code):
            begin, stop = header[name]["data_offsets"]
            return list(struct.unpack(f"<{(stop - begin) // struct.calcsize(code)}{code}", data[begin:stop]))

        self.assertEqual(values("transposed", "f"), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11])
        self.assertEqual(values("shared", "f"), list(range(4, 12)))
        self.assertEqual(values("bf16", "H"), [0x3FC0, 0xC000])
        self.assertEqual(values("bf16_scalar", "H"), [0x3FC0])
        self.assertEqual(values("half", "e"), [1, 1, 1])
        self.assertEqual(values("indices", "q"), [1, -1])
        self.assertEqual(values("flags", "B"), [1, 0])
        self.assertEqual(values("int8", "b"), [-128, 127])
        self.assertEqual([header[n]["dtype"] for n in ("a", "bf16", "half", "f64", "indices", "flags", "int8")],
                         ["F32", "BF16", "F16", "F64", "I64", "BOOL", "I8"])

    def test_model(self):
        state = Model().state_dict()
        layers = [{"name": "zebra", "kind": "embedding", "num_embeddings": 11, "embedding_dim": 6},
                  {"name": "lstm", "kind": "lstm", "input_size": 6, "hidden_size": 8, "num_layers": 2,
                   "bidirectional": True},
                  {"name": "decoder", "kind": "linear", "in_features": 16, "out_features": 11}]
        with open(self.path("layers.json"), "w") as file:
            json.dump(layers, file, indent=2)
        for arguments in ([], ["--architecture", self.path("layers.json")]):
            for value in (state, {"epoch": 3, "state_dict": state}):
                self.assertEqual(self.convert(value, *arguments).stderr, "")
                metadata, header, _ = self.read()
                self.assertEqual(json.loads(metadata["architecture"]) if arguments else None,
                                 layers if arguments else None)
                self.assertEqual(list(header), list(state))
                if PROGRAM and not arguments:  # layers, but no model: in no order
                    result = subprocess.run([PROGRAM, "quantize", self.path("out"), self.path("int8")], check=True,
                                            capture_output=True, text=True)
                    self.assertIn("architecture", result.stdout)
                elif PROGRAM:
                    subprocess.run([PROGRAM, "quantize", self.path("out"), self.path("int8")], check=True,
                                   capture_output=True)
                    report = json.loads(subprocess.run([PROGRAM, "inspect", self.path("int8"), "--json"], check=True,
                                                       capture_output=True).stdout)
                    self.assertEqual([(layer["name"], layer["quantized"]) for layer in report["layers"]],
                                     [("zebra", False), ("lstm", True), ("decoder", True)])

    def floats(self, name):
        _, header, data = self.read()
        self.assertEqual(header[name]["dtype"], "F32")
        begin, end = header[name]["data_offsets"]
        return torch.tensor(struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])).reshape(header[name]["shape"])

    def expect_folded(self, module, weights, *arguments):
        """weights: name -> the value that the module computes with"""
        state = module.state_dict()
        result = self.convert(state, *arguments)
        self.assertEqual(result.stderr, "")
        for name, weight in weights.items():
            largest = max(1.0, weight.abs().max().item())
            self.assertLessEqual((self.floats(name) - weight).abs().max().item(), 2e-6 * largest, name)
            self.assertIn(f"folded into {name}: ", result.stdout)
        _, header, _ = self.read()
        self.assertFalse([name for name in header if name.endswith(("_g", "_v", "_orig", "_mask", "_u", "_raw"))
                          or "parametriz" in name])

    def test_weight_norm(self):
        for dim in (0, 1, None):
            linear = torch.nn.utils.weight_norm(torch.nn.Linear(5, 3), dim=dim)
            with torch.no_grad():
                linear.weight_g.mul_(1.7)
            linear(torch.zeros(1, 5))
            self.expect_folded(torch.nn.Sequential(linear), {"0.weight": linear.weight})
        lstm = torch.nn.LSTM(3, 4, num_layers=2)
        for name in ("weight_ih_l0", "weight_hh_l0", "weight_hh_l1"):
            lstm = torch.nn.utils.weight_norm(lstm, name)
        with torch.no_grad():
            lstm.weight_hh_l0_g.mul_(0.3)
        lstm(torch.zeros(1, 1, 3))
        self.expect_folded(lstm, {"weight_ih_l0": lstm.weight_ih_l0, "weight_hh_l0": lstm.weight_hh_l0,
                                  "weight_hh_l1": lstm.weight_hh_l1})

    def test_parametrizations(self):
        # As torch.nn.utils.parametrizations.weight_norm of PyTorch 2 names them.
        v, g = torch.randn(3, 5), torch.rand(3, 1)
        self.convert({"a.fc.parametrizations.weight.original0": g, "a.fc.parametrizations.weight.original1": v,
                      "a.fc.bias": torch.ones(3)})
        self.assertLessEqual((self.floats("a.fc.weight") - g * v / v.norm(dim=1, keepdim=True)).abs().max().item(),
                             1e-6)
        self.convert({"parametrizations.weight.original0": g, "parametrizations.weight.original1": v})
        self.assertEqual(list(self.read()[1]), ["weight"])
        # A parametrization that is none of those stays, for bytegate to name.
        self.convert({"fc.parametrizations.weight.original": v})
        self.assertEqual(list(self.read()[1]), ["fc.parametrizations.weight.original"])
        linear = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(5, 3)).eval()
        self.expect_folded(torch.nn.Sequential(linear), {"0.weight": linear.weight})

    def test_other_reparametrizations(self):
        linear = torch.nn.utils.spectral_norm(torch.nn.Linear(5, 3)).eval()
        linear(torch.zeros(1, 5))
        self.expect_folded(torch.nn.Sequential(linear), {"0.weight": linear.weight})
        from torch.nn.utils import prune
        pruned = prune.random_unstructured(torch.nn.Linear(5, 3), "weight", 0.5)
        self.expect_folded(torch.nn.Sequential(pruned), {"0.weight": pruned.weight})
        raw = torch.randn(8, 2)
        self.convert({"rnn.weight_ih_l0": torch.ones(8, 3), "rnn.weight_hh_l0_raw": raw})
        self.assertTrue(torch.equal(self.floats("rnn.weight_hh_l0"), raw))
        self.convert({"rnn.weight_hh_l0_raw": raw, "rnn.module.weight_ih_l0": torch.ones(8, 3),
                      "rnn.module.weight_hh_l0": raw * 2})
        self.assertTrue(torch.equal(self.floats("rnn.module.weight_hh_l0"), raw))
        self.assertEqual(len(self.read()[1]), 2)

    def test_lstm_cells(self):
        state = torch.nn.ModuleDict({"cell": torch.nn.LSTMCell(3, 4), "gru": torch.nn.GRUCell(3, 4)}).state_dict()
        result = self.convert(state)
        self.assertRegex(result.stdout, "note: 'cell': .*LSTMCell.*--lstm-cells")
        self.assertEqual(list(self.read()[1]), list(state))
        self.convert(state, "--lstm-cells")
        self.assertEqual([name for name in self.read()[1] if name.startswith("cell")],
                         ["cell.weight_ih_l0", "cell.weight_hh_l0", "cell.bias_ih_l0", "cell.bias_hh_l0"])
        self.assertIn("gru.weight_ih", self.read()[1])
        os.unlink(self.path("out"))
        self.refuse("no LSTMCell", torch.nn.Linear(1, 1).state_dict(), "--lstm-cells")

    def test_checkpoints(self):
        state = Model().state_dict()
        for value in ({"model": state, "epoch": 1}, {"state_dict": state},
                      {"model_state_dict": state, "optimizer": {"state": {}}},
                      {"checkpoint": 1, "model": {"state_dict": state}}, {"module": {"model": {"net": state}}}):
            result = self.convert(value)
            self.assertEqual(result.stderr, "")
            self.assertIn("note: the state dict is the one under", result.stdout)
            self.assertEqual(list(self.read()[1]), list(state))
        self.assertRegex(self.convert({**state, "epoch": 3}).stdout, "'epoch' is a int, not a tensor, and is left out")
        self.assertEqual(list(self.read()[1]), list(state))
        self.assertEqual(self.convert({"ema": {"weights": state}}, "--key", "ema.weights").stderr, "")
        self.assertEqual(list(self.read()[1]), list(state))
        os.unlink(self.path("out"))
        self.refuse("'ema'.*--key", {"ema": {"weights": state}})
        self.refuse("no key 'none'.*there is ema", {"ema": state}, "--key", "none")
        # A number beside it, which some versions of PyTorch do not load without being told to.
        result = self.convert({"state_dict": state, "lr": 0.001})
        if result.returncode != 0:
            self.assertIn("--unsafe", result.stderr)
        self.assertEqual(self.convert({"state_dict": state, "lr": 0.001}, "--unsafe").stderr, "")
        self.assertEqual(list(self.read()[1]), list(state))
        self.assertEqual(self.convert(torch.nn.Linear(2, 3), "--unsafe").stderr, "")
        self.assertEqual(list(self.read()[1]), ["weight", "bias"])

    def test_files_that_are_no_files(self):
        def run(out):
            torch.save({"a": torch.ones(1)}, self.path("in.pt"))
            return run_converter(self.path("in.pt"), out)

        os.mkfifo(self.path("pipe"))
        os.symlink("nowhere", self.path("dangling"))
        for out, why in ((self.path("pipe"), "not a regular file"), ("/dev/null", "not a regular file"),
                         (self.folder, "directory"), (self.path("dangling"), "symbolic link to nothing")):
            result = run(out)
            self.assertEqual(result.returncode, 1)
            self.assertRegex(result.stderr, f"^cannot write {out}: .*{why}")
        self.assertEqual(sorted(os.listdir(self.folder)), ["dangling", "in.pt", "pipe"])
        os.mkdir(self.path("elsewhere"))
        with open(self.path("elsewhere/old"), "w") as file:
            file.write("old")
        os.chmod(self.path("elsewhere/old"), 0o640)
        os.symlink("elsewhere/old", self.path("out"))
        self.assertEqual(run(self.path("out")).stderr, "")
        self.assertTrue(os.path.islink(self.path("out")))
        self.assertEqual(list(self.read()[1]), ["a"])
        self.assertEqual(os.stat(self.path("elsewhere/old")).st_mode & 0o777, 0o640)
        self.assertEqual(os.listdir(self.path("elsewhere")), ["old"])

    def test_refusals(self):
        self.refuse("holds a list, not a state dict", [1, 2])
        self.refuse("holds a dict, not a state dict", {})
        self.refuse("'a' is torch.complex64", {"a": torch.ones(2, dtype=torch.complex64)})
        self.refuse("'epoch' \\(a int\\)", {"epoch": 1})
        self.refuse("without running code.*--unsafe", Model())
        self.refuse("cannot read the architecture", Model().state_dict(), "--architecture", self.path("none"))

    def test_as_a_program(self):
        torch.save({"a": torch.ones(2)}, self.path("in.pt"))
        result = subprocess.run([sys.executable, SCRIPT, self.path("in.pt"), self.path("out")], capture_output=True,
                                text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(list(self.read()[1]), ["a"])
        result = subprocess.run([sys.executable, SCRIPT, self.path("none"), self.path("out")], capture_output=True,
                                text=True)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, "^cannot load .*none")

    def test_failure_keeps_the_old_file(self):
        os.mkdir(self.path("out"))
        result = self.convert(Model().state_dict())
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot write", result.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), ["in.pt", "out"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
