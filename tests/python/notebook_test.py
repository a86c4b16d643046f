"""Runs examples/quantization.ipynb, whose stored outputs are those of a run: the same sentences but for measured
numbers."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import unittest

from package_testing import PACKAGE, SOURCE, PackageTest, need_torch

NOTEBOOK = os.path.join(SOURCE, "examples", "quantization.ipynb")
for needed in ("nbconvert", "ipykernel", "matplotlib"):
    if importlib.util.find_spec(needed) is None:
        print(f"skipped: no Python package {needed}")
        sys.exit(77)
need_torch()


def outputs(path):
    """Of each cell of code: the text that it printed, and the types of what it drew."""
    with open(path, encoding="utf-8") as file:
        cells = [cell for cell in json.load(file)["cells"] if cell["cell_type"] == "code"]
    return [("".join("".join(out.get("text", "")) for out in cell["outputs"]),
             sorted(kind for out in cell["outputs"] for kind in out.get("data", {}))) for cell in cells]


def without_numbers(text):
    return re.sub(r"\s*-?\d+(\.\d+)?", " #", re.sub(r"backend: \w+", "backend: ...", text))


class NotebookTest(PackageTest):
    def test_runs_as_stored(self):
        environment = {**os.environ, "PYTHONPATH": PACKAGE, "JUPYTER_RUNTIME_DIR": self.path("runtime"),
                       "JUPYTER_DATA_DIR": self.path("data"), "JUPYTER_CONFIG_DIR": self.path("config"),
                       "IPYTHONDIR": self.path("ipython"), "MPLCONFIGDIR": self.path("matplotlib")}
        command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output-dir", self.folder,
                   "--ExecutePreprocessor.timeout=300", NOTEBOOK]
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        stored, now = outputs(NOTEBOOK), outputs(self.path("quantization.ipynb"))
        self.assertEqual(len(stored), len(now))
        for (stored_text, stored_kinds), (text, kinds) in zip(stored, now):
            self.assertEqual(stored_kinds, kinds)
            if "DynamicQuantized" in text:
                self.assertEqual(stored_text, text)
            elif "PyTorch int8" in stored_text and "PyTorch int8" not in text:
                continue  # this PyTorch has no quantize_dynamic of its own
            else:
                self.assertEqual(without_numbers(stored_text), without_numbers(text))
        self.assertIn(("True\n", []), now)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
