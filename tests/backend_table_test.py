#!/usr/bin/env python3
"""backend_table_test.py: scripts/backend_table.sh and scripts/backend_table.py read backends/*/backend.cmake alike."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SOURCE / "scripts"))
import backend_table  # noqa: E402

KEYS = ["processors", "cpu_flags", "qemu_cpus_x86_64", "qemu_cpus_aarch64", "bochs_cpu", "stand_in", "stand_in_flags"]
PROCESSORS = ["x86_64", "aarch64"]


def shell(command, folder=SOURCE):
    """The words that it prints, and whether it succeeded."""
    done = subprocess.run(["bash", "-c", f". {SOURCE}/scripts/backend_table.sh; {command}"], cwd=folder,
                          capture_output=True, text=True, check=False)
    return done.stdout.split(), done.returncode == 0


class BackendTable(unittest.TestCase):
    def test_shell_and_python_read_the_same(self):
        for processor in PROCESSORS:
            entries = backend_table.backends(processor)
            self.assertGreater(len(entries), 1)
            self.assertEqual(shell(f"backends_of {processor}"), ([e.name for e in entries], True))
            names, keys = " ".join(e.name for e in entries), " ".join(KEYS)
            line = "echo $n.$k $(backend_line $n $k)"
            words, _ = shell(f"for n in {names}; do for k in {keys}; do {line}; done; done")
            self.assertEqual(words, [w for e in entries for key in KEYS for w in (f"{e.name}.{key}", *e[key])])

    def test_emulated_cpus(self):
        for processor in PROCESSORS:
            cpus = backend_table.emulated_cpus(processor)
            self.assertGreater(len(cpus), 1)
            by_name = {e.name: e for e in backend_table.backends(processor)}
            for cpu, names in cpus.items():
                self.assertIn(cpu, by_name[names[0]][f"qemu_cpus_{processor}"])
                flags = " ".join(by_name[names[0]]["cpu_flags"])
                self.assertEqual(shell(f"supported_with {processor} '{flags}'"), (names, True))
                self.assertEqual(by_name[names[-1]]["cpu_flags"], [])  # one that every CPU runs is the last resort

    def test_stand_ins(self):
        entries = [e for processor in PROCESSORS for e in backend_table.backends(processor)]
        self.assertTrue(any(e["stand_in"] for e in entries))
        for e in entries:
            own, lesser = " ".join(e["cpu_flags"]), " ".join(e["stand_in_flags"])
            self.assertEqual(shell(f"stand_in_with {e.name} '{own}'"), ([], False))  # it runs by itself
            self.assertEqual(shell(f"stand_in_with {e.name} 'x {lesser} y'"), (e["stand_in"], bool(e["stand_in"])))
            if lesser:
                self.assertEqual(shell(f"stand_in_with {e.name} '{lesser.split()[0]}x'"), ([], False))

    def test_a_backend_must_say_what_it_needs(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "backends/mine/backend.cmake")
            file.parent.mkdir(parents=True)
            descriptor = file.with_name("backend.cpp")
            descriptor.write_text("    .priority = 10,\n")
            file.write_text("set(processors x86_64)\nset(stand_in_flags a)\n# set(cpu_flags b)\n")
            with self.assertRaisesRegex(ValueError, "cpu_flags"):
                backend_table.Entry(file)
            self.assertEqual(shell("backends_of x86_64", folder), ([], False))
            self.assertEqual(shell("backend_line mine stand_in", folder), ([], False))
            file.write_text('set(processors x86_64)\nset(cpu_flags\n  "a"\n  b)\n')
            self.assertEqual(backend_table.Entry(file)["cpu_flags"], ["a", "b"])
            self.assertEqual(shell("needs mine", folder), (["a", "b"], True))
            self.assertEqual(shell("backends_of x86_64", folder), (["mine"], True))
            self.assertEqual(backend_table.Entry(file).priority, 10)
            descriptor.write_text("    // .priority = 10,\n")
            with self.assertRaisesRegex(ValueError, "priority"):
                backend_table.Entry(file)
            self.assertEqual(shell("backends_of x86_64", folder), ([], False))


if __name__ == "__main__":
    unittest.main()
