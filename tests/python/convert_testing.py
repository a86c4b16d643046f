"""What the tests of convert_onnx share. Imported, it ends a program with the exit code of a skipped test where NumPy or
onnx is missing. The first argument of such a program is the program run_model."""

import os
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
    import onnx
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RUN_MODEL = sys.argv[1] if len(sys.argv) > 1 else None
sys.path.insert(0, os.path.join(SOURCE, "python"))

import bytegate  # noqa: E402
import model_runner  # noqa: E402
from onnx_evaluator import evaluate  # noqa: E402

UNKNOWN_KIND = 2  # run_model's exit code


class ConvertTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.out = self.path("out.safetensors")

    def path(self, name):
        return os.path.join(self.folder, name)

    def save(self, model):
        path = self.path("model.onnx")
        with open(path, "wb") as file:
            file.write(model if isinstance(model, bytes) else model.SerializeToString())
        return path

    def convert(self, model, **options):
        return bytegate.convert_onnx(self.save(model), self.out, **options)

    def refuse(self, pattern, model, code="invalid_argument", **options):
        """An error of that code and text, and no file."""
        with self.assertRaisesRegex(bytegate.Error, pattern) as caught:
            self.convert(model, **options)
        self.assertEqual(caught.exception.code, code, caught.exception)
        self.assertLess(len(str(caught.exception)), 1500)
        self.assertEqual(sorted(os.listdir(self.folder)), ["model.onnx"])
        return str(caught.exception)

    def close(self, got, expected, what=""):
        self.assertEqual(got.shape, expected.shape, what)
        difference = np.abs(got - expected).max(initial=0.0)
        self.assertLessEqual(difference, 1e-5 * max(1.0, np.abs(expected).max(initial=0.0)), what)

    def run_model(self, x, *layer):
        """What the library computes with the file; None without the program, or where it lacks a kind of layer."""
        if RUN_MODEL is None:
            return None
        model_runner.write_input(self.path("in.safetensors"), x)
        done = subprocess.run([RUN_MODEL, self.out, self.path("in.safetensors"), self.path("y.safetensors"), *layer],
                              capture_output=True, text=True, check=False)
        if done.returncode == UNKNOWN_KIND:
            return None
        self.assertEqual(done.returncode, 0, done.stderr)
        return model_runner.read_safetensors(self.path("y.safetensors"))[0]["output"]

    def whole(self, model, x, library=True, **options):
        """Converts a chain and compares it with the graph. Whether the library ran it too."""
        report = self.convert(model, **options)
        self.assertTrue(report.whole, report)
        expected = next(iter(evaluate(model, {model.graph.input[0].name: x}).values()))
        self.close(model_runner.run_model(self.out, x), expected, report)
        y = self.run_model(x) if library else None
        if y is not None:
            self.close(y, expected, report)
        return report, y is not None

    def layers(self, model, reason=".", **options):
        """Converts a graph that is no chain: (report, {name: layer})."""
        report = self.convert(model, **options)
        self.assertFalse(report.whole, report)
        self.assertRegex(report.reason, reason)
        layers = {layer.name: layer for layer in model_runner.read_layers(self.out, "layers")}
        self.assertEqual(list(layers), [layer.name for layer in report.layers])
        return report, layers


def main():
    unittest.main(argv=sys.argv[:1])
