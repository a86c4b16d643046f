"""What the tests of the command line share: running it, and files for it. Needs nothing but Python's own library."""

import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAM, SOURCE = sys.argv[1:3]


def run(*arguments, backend=None, **options):
    environment = {k: v for k, v in os.environ.items() if k != "BYTEGATE_BACKEND"}
    if backend is not None:
        environment["BYTEGATE_BACKEND"] = backend
    return subprocess.run([PROGRAM, *map(str, arguments)], env=environment, capture_output="stdout" not in options,
                          text=True, stdin=subprocess.DEVNULL, timeout=300, **options)


def write_safetensors(path, tensors, metadata=None):
    """tensors: name -> (dtype, shape, list of numbers)"""
    codes = {"F32": "f", "I64": "q", "I8": "b"}
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (dtype, shape, values) in tensors.items():
        packed = struct.pack(f"<{len(values)}{codes[dtype]}", *values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def read_header(path):
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(size))


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def waves(count, step):
    return [math.sin(step * i) for i in range(count)]


def lstm_tensors(prefix, inputs, hidden):
    shapes = {"weight_ih_l0": [4 * hidden, inputs], "weight_hh_l0": [4 * hidden, hidden], "bias_ih_l0": [4 * hidden],
              "bias_hh_l0": [4 * hidden]}
    return {prefix + name: ("F32", shape, waves(math.prod(shape), 1.0)) for name, shape in shapes.items()}


def linear_tensors(prefix, inputs, outputs):
    return {prefix + "weight": ("F32", [outputs, inputs], waves(inputs * outputs, 0.7)),
            prefix + "bias": ("F32", [outputs], waves(outputs, 1.0))}


class CommandLine(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.charlm = os.path.join(SOURCE, "examples/data/charlm/model.safetensors")

    def path(self, name):
        return os.path.join(self.folder, name)

    def succeed(self, *arguments, **options):
        result = run(*arguments, **options)
        self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)
        return result.stdout

    def fail_with(self, code, pattern, *arguments, **options):
        """Exit code, and one line on stderr that matches."""
        result = run(*arguments, **options)
        self.assertEqual(result.returncode, code, result)
        self.assertRegex(result.stderr, pattern)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        return result.stdout

    def quantized(self, *arguments):
        out = self.path("int8.safetensors")
        self.succeed("quantize", self.charlm, out, *arguments)
        return out

    def json_of(self, *arguments, **options):
        return json.loads(self.succeed(*arguments, "--json", **options))


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
