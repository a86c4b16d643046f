#!/usr/bin/env python3
"""Sizes that must hold: size_test.py LIBRARY RUN_LSTM MEMORY --backends N [--strip STRIP] [--ar AR]

The stripped static library, a stripped program that runs one LSTM, and the peak memory of running one.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

LIBRARY_LIMIT = 1_200_000
PROGRAM_LIMIT = 810_000
WORKSPACE_PART = 1.1
COUNTER_SLACK = 256 * 1024  # the kernel counts resident pages in batches of about 64 a CPU: its totals are off by that

failures = []


def check(what, value, limit):
    print(f"{what}: {value:,} bytes, at most {limit:,}: {'holds' if value <= limit else 'DOES NOT HOLD'}")
    if value > limit:
        failures.append(what)


def stripped_size(strip, path, folder):
    copy = pathlib.Path(folder, os.path.basename(path))
    shutil.copy(path, copy)
    subprocess.run([strip, "--strip-unneeded", copy], check=True)
    return copy.stat().st_size


def part_sizes(strip, ar, library, folder):
    """The stripped size of each of the library's objects, which have names of their own."""
    parts = pathlib.Path(folder, "parts")
    parts.mkdir()
    subprocess.run([ar, "x", pathlib.Path(library).resolve()], cwd=parts, check=True)
    return {part.name: stripped_size(strip, part, folder) for part in parts.iterdir()}


def run_memory(program, *arguments):
    """The numbers it prints, by their names."""
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        print(done.stderr, end="")
        sys.exit(done.returncode if done.returncode == 77 else 1)
    return {name: int(value) for name, value in (line.split() for line in done.stdout.splitlines())}


def check_memory(program, folder):
    """Against the same program with layers of one unit, which has touched the same code."""
    files = {hidden: pathlib.Path(folder, f"{hidden}.safetensors") for hidden in (1, 512)}
    for hidden, file in files.items():
        run_memory(program, "write", hidden, file)
    for case, small, large in (("construct", 1, 512), ("load", files[1], files[512])):
        process = min(run_memory(program, case, small)["run"] for _ in range(3))
        m = run_memory(program, case, large)
        allowed = m["packed"] + int(WORKSPACE_PART * m["workspace"]) + m["tensors"]
        print(f"an LSTM 512,512,2,35,1 by `{case}`: packed weights {m['packed']:,}, workspace {m['workspace']:,}, "
              f"input and output {m['tensors']:,}, the process itself {process:,}; peak until the layer was there "
              f"{m['made'] - process:,} above the process")
        check(f"peak of the run by `{case}`, above the process itself", m["run"] - process, allowed + COUNTER_SLACK)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library")
    parser.add_argument("run_lstm")
    parser.add_argument("memory")
    parser.add_argument("--backends", type=int, required=True, help="how many the library holds")
    parser.add_argument("--strip", default="strip")
    parser.add_argument("--ar", default="ar")
    a = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        parts = part_sizes(a.strip, a.ar, a.library, folder)
        kernels = sum(name.startswith("kernels_") for name in parts)
        if kernels != a.backends:
            failures.append(f"the library holds {kernels} backends, expected {a.backends}")
        for name, size in sorted(parts.items(), key=lambda part: -part[1]):
            print(f"{size:9,} bytes  {name}")
        library = stripped_size(a.strip, a.library, folder)
        check(f"stripped static library with {kernels} backends", library, LIBRARY_LIMIT)
        printed = subprocess.run([a.run_lstm], capture_output=True, text=True, check=True).stdout
        print("run_lstm prints", printed.strip())
        check("stripped program that runs one LSTM", stripped_size(a.strip, a.run_lstm, folder), PROGRAM_LIMIT)
        check_memory(a.memory, folder)
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
