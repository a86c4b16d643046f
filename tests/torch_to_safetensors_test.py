#!/usr/bin/env python3
"""The converter on state dicts PyTorch really writes: torch_to_safetensors_test.py SOURCE_DIR [PROGRAM]. Skipped (exit code 77) without PyTorch.
PROGRAM is the command line, which must then read and quantize what was converted."""

import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

try:
    import torch
except ImportError:
    print("skipped: no PyTorch")
    sys.exit(77)

SOURCE, PROGRAM = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.zebra = torch.nn.Embedding(11, 6)  # names that are not in the order of use when sorted
        self.lstm = torch.nn.LSTM(6, 8, num_layers=2, bidirectional=True)
        self.decoder = torch.nn.Linear(16, 11)


class Converter(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def convert(self, value, *arguments):
        torch.save(value, self.path("in.pt"))
        return subprocess.run([sys.executable, os.path.join(SOURCE, "scripts/torch_to_safetensors.py"), self.path("in.pt"), self.path("out"), *arguments],
                              capture_output=True, text=True)

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
        tensors = {"transposed": base.t(), "a": base, "shared": base[1:], "scalar": torch.tensor(3.5), "bf16": torch.tensor([[1.5, -2.0]]).bfloat16(),
                   "bf16_scalar": torch.tensor(1.5).bfloat16(), "half": torch.ones(3).half(), "f64": torch.ones(1, dtype=torch.float64),
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
                  {"name": "lstm", "kind": "lstm", "input_size": 6, "hidden_size": 8, "num_layers": 2, "bidirectional": True},
                  {"name": "decoder", "kind": "linear", "in_features": 16, "out_features": 11}]
        with open(self.path("layers.json"), "w") as file:
            json.dump(layers, file, indent=2)
        for arguments in ([], ["--architecture", self.path("layers.json")]):
            for value in (state, {"epoch": 3, "state_dict": state}):
                self.assertEqual(self.convert(value, *arguments).stderr, "")
                metadata, header, _ = self.read()
                self.assertEqual(json.loads(metadata["architecture"]) if arguments else None, layers if arguments else None)
                self.assertEqual(list(header), list(state))
                if PROGRAM:
                    subprocess.run([PROGRAM, "quantize", self.path("out"), self.path("int8")], check=True, capture_output=True)
                    report = json.loads(subprocess.run([PROGRAM, "inspect", self.path("int8"), "--json"], check=True, capture_output=True).stdout)
                    self.assertEqual([(layer["name"], layer["quantized"]) for layer in report["layers"]],
                                     [("zebra", False), ("lstm", True), ("decoder", True)])

    def test_refusals(self):
        self.refuse("holds a list, not a state dict", [1, 2])
        self.refuse("holds a dict, not a state dict", {})
        self.refuse("'a' is torch.complex64", {"a": torch.ones(2, dtype=torch.complex64)})
        self.refuse("'epoch' is a int, not a tensor", {"epoch": 1})
        self.refuse("without running code", Model())
        self.refuse("cannot read the architecture", Model().state_dict(), "--architecture", self.path("none"))

    def test_failure_keeps_the_old_file(self):
        os.mkdir(self.path("out"))
        result = self.convert(Model().state_dict())
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot write", result.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), ["in.pt", "out"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
