#!/usr/bin/env python3
"""conformance_skips_test.py TORCH_CONFORMANCE CASES: torch_conformance on cases whose layers the library lacks."""

import json
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM, CASES = Path(sys.argv[1]), Path(sys.argv[2])


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)


def write_case(folder, name, config):
    """A case file without a tensor: enough for one that is not run."""
    header = json.dumps({"__metadata__": {"case": json.dumps(config)}}).encode()
    Path(folder, f"{name}.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)


class Skips(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.kinds = dict(line.split() for line in run("--kinds").stdout.splitlines())

    def add_passing_case(self):
        (self.folder / "linear_1.safetensors").write_bytes((CASES / "linear_1.safetensors").read_bytes())

    def test_the_format_has_the_kinds_that_cases_use(self):
        for kind in ("linear", "lstm", "gru", "rnn", "lstm_cell", "gru_cell", "rnn_cell", "conv1d", "softmax"):
            self.assertIn(kind, self.kinds)
        self.assertEqual(self.kinds["linear"], "yes")

    def test_kinds_of_the_format_that_the_library_lacks_are_skipped(self):
        self.add_passing_case()
        missing = [kind for kind, there in self.kinds.items() if there == "no"]
        for kind in missing:
            write_case(self.folder, f"alone_{kind}", {"kind": kind})
            layers = [{"name": "a", "kind": "linear"}, {"name": "b", "kind": kind}]
            write_case(self.folder, f"within_{kind}", {"kind": "sequential", "layers": layers})
        done = run(self.folder)
        lines = done.stdout.splitlines()
        for kind in missing:
            for name in (f"alone_{kind}", f"within_{kind}"):
                self.assertIn(f"skip {name}: the library has no layer of kind '{kind}' yet", lines)
        self.assertEqual(lines[-1], f"1 passed, 0 failed, {2 * len(missing)} skipped")
        self.assertEqual(done.returncode, 0)

    def test_a_folder_of_which_nothing_passes_is_a_failure(self):
        for kind in [kind for kind, there in self.kinds.items() if there == "no"][:1]:
            write_case(self.folder, "only", {"kind": kind})
        done = run(self.folder)
        self.assertIn("0 passed, 0 failed", done.stdout.splitlines()[-1])
        self.assertEqual(done.returncode, 1)

    def test_a_kind_that_the_format_lacks_is_a_failure(self):
        self.add_passing_case()
        missing = [kind for kind, there in self.kinds.items() if there == "no"][:1]
        layers = [{"name": str(i), "kind": kind} for i, kind in enumerate([*missing, "perceptron"])]
        for name, config in (("alone", {"kind": "perceptron"}), ("within", {"kind": "sequential", "layers": layers})):
            write_case(self.folder, name, config)
        done = run(self.folder)
        for name in ("alone", "within"):
            self.assertRegex(done.stdout, rf"(?m)^FAIL {name} .*'perceptron'")
        self.assertEqual(done.stdout.splitlines()[-1], "1 passed, 2 failed, 0 skipped")
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
