"""What the tests of the package share. Imported, it ends a program with the exit code of a skipped test where NumPy is
missing. Arguments of such a program: the folder that has the built package, the program run_model, the command line."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

PACKAGE, RUN_MODEL, COMMAND_LINE = sys.argv[1:4]
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, PACKAGE)

import bytegate  # noqa: E402
from bytegate._safetensors import write_safetensors  # noqa: E402


def need_torch():
    """PyTorch; ends the program as a skipped test without it."""
    try:
        import torch
    except ImportError as error:
        print(f"skipped: {error}")
        sys.exit(77)
    torch.manual_seed(1)
    return torch


def read_tensors(path):
    """The tensors of a safetensors file, by the format's own words and not by the package."""
    with open(path, "rb") as file:
        data = file.read()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8:8 + length]), data[8 + length:]
    types = {"F32": "<f4", "I8": "i1", "I64": "<i8"}
    return {name: np.frombuffer(body[slice(*entry["data_offsets"])], types[entry["dtype"]]).reshape(entry["shape"])
            for name, entry in header.items() if name != "__metadata__"}


class PackageTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def refuse(self, pattern, call, code="invalid_argument"):
        """An Error of that code and text."""
        with self.assertRaisesRegex(bytegate.Error, pattern) as caught:
            call()
        self.assertEqual(caught.exception.code, code, caught.exception)
        self.assertLess(len(str(caught.exception)), 600)

    def equal(self, got, expected, what=""):
        """The same shape and the same bits; NaN is equal to NaN."""
        got, expected = np.asarray(got), np.asarray(expected)
        self.assertEqual(got.shape, expected.shape, what)
        np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32), err_msg=what)

    def run_in_cpp(self, kind, fields, tensors, x, scheme=None):
        """The output of a layer in C++: a file with its float weights, quantized by the command line with `scheme`
        (None: not at all), run by a program of its own."""
        model, given, out = self.path("cpp.safetensors"), self.path("in.safetensors"), self.path("out.safetensors")
        layer = {"name": "layer", "kind": kind, **fields}
        stored = {f"layer.{name}": np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        write_safetensors(model, stored, {"architecture": json.dumps([layer])})
        if scheme:
            options = ["--embedding"] if kind == "embedding" else []
            subprocess.run([COMMAND_LINE, "quantize", model, self.path("int8.safetensors"), "--scheme", scheme,
                            *options], check=True, stdout=subprocess.DEVNULL)
            model = self.path("int8.safetensors")
        return self.run_file(model, x, given, out)

    def run_file(self, model, x, given=None, out=None):
        """The output of a model in C++."""
        given, out = given or self.path("in.safetensors"), out or self.path("out.safetensors")
        x = np.ascontiguousarray(x)
        dtype = {"float32": "F32", "int64": "I64"}[x.dtype.name]
        entry = {"dtype": dtype, "shape": list(x.shape), "data_offsets": [0, x.nbytes]}
        header = json.dumps({"input": entry}).encode()
        with open(given, "wb") as file:
            file.write(len(header).to_bytes(8, "little") + header + x.tobytes())
        subprocess.run([RUN_MODEL, model, given, out], check=True)
        return read_tensors(out)["output"]
