"""What backends/*/backend.cmake says of each backend, for Python scripts. cmake/backends.cmake describes the lines.
The priority is that of the descriptor, backend.cpp."""

import re
import shlex
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "backends"


class Entry:
    """A backend: its name and the values of its lines, lists of words."""

    def __init__(self, file):
        self.name = file.parent.name
        text = re.sub(r"(?m)^\s*#.*$", "", file.read_text(encoding="utf-8"))
        self.lines = {key: shlex.split(values) for key, values in re.findall(r"\bset\((\w+)([^)]*)\)", text)}
        if "cpu_flags" not in self.lines:
            raise ValueError(f"{file} has no line set(cpu_flags ...)")
        descriptor = file.with_name("backend.cpp")
        priority = re.search(r"(?m)^\s*\.priority = (-?\d+),", descriptor.read_text(encoding="utf-8"))
        if not priority:
            raise ValueError(f"{descriptor} has no line .priority = NUMBER,")
        self.priority = int(priority[1])

    def __getitem__(self, key):
        return self.lines.get(key, [])

    def runs_with(self, flags):
        return set(self["cpu_flags"]) <= set(flags)


def backends(processor=None):
    """Those that are built for a processor, or all, best first: that with the highest priority."""
    entries = [Entry(file) for file in FOLDER.glob("*/backend.cmake")]
    entries = [e for e in entries if processor is None or processor in e["processors"]]
    return sorted(entries, key=lambda e: (-e.priority, e.name))


def emulated_cpus(processor):
    """{CPU model of qemu: the names of the backends that it can run, best first}."""
    entries = backends(processor)
    return {cpu: [e.name for e in entries if e.runs_with(best["cpu_flags"])]
            for best in reversed(entries) for cpu in best[f"qemu_cpus_{processor}"]}
