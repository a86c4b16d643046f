#!/usr/bin/env python3
"""conformance_failures_test.py TORCH_CONFORMANCE CASES: torch_conformance on cases of unknown layers."""

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


class Failures(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def add_passing_case(self):
        (self.folder / "linear_1.safetensors").write_bytes((CASES / "linear_1.safetensors").read_bytes())

    def test_a_folder_without_cases_is_a_failure(self):
        done = run(self.folder)
        self.assertEqual(done.stdout.splitlines()[-1], "0 passed, 0 failed")
        self.assertEqual(done.returncode, 1)

    def test_a_kind_that_the_format_lacks_is_a_failure(self):
        self.add_passing_case()
        layers = [{"name": "a", "kind": "relu"}, {"name": "b", "kind": "perceptron"}]
        for name, config in (("alone", {"kind": "perceptron"}), ("within", {"kind": "sequential", "layers": layers})):
            write_case(self.folder, name, config)
        done = run(self.folder)
        for name in ("alone", "within"):
            self.assertRegex(done.stdout, rf"(?m)^FAIL {name} .*'perceptron'")
        self.assertEqual(done.stdout.splitlines()[-1], "1 passed, 2 failed")
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
