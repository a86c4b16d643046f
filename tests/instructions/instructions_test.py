#!/usr/bin/env python3
"""Counts the instructions of `forward` on the avx2 backend and compares them with counts.json.

    instructions_test.py PROGRAM --compiler NAME

A time depends on the machine and on what else runs there; a count of instructions depends on the code and the compiler
alone. So a kernel that lost its fast path shows here on any machine. valgrind counts them, and shows the program a CPU
with AVX2 and no more. Counts belong to one compiler and to plain Release flags: elsewhere the test is skipped (exit
code 77). After a change that is meant:
    cmake --build BUILD --target update_instruction_counts
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SHAPES = ["lstm 64,64,1,20,1", "lstm 128,128,1,10,4", "lstm 256,256,2,5,1", "linear 1,512,512", "linear 16,256,256"]
BAND = 0.03
SKIPPED = 77


def count(program, shape):
    """Instructions between entering and leaving counted_forward."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out",
                   "--toggle-collect=counted_forward", program, *shape.split()]
        done = subprocess.run(command, capture_output=True, text=True)
        output = pathlib.Path(folder, "out")
        total = re.search(r"^(?:totals|summary): (\d+)", output.read_text(), re.MULTILINE) if output.exists() else None
    if done.returncode or not total or int(total.group(1)) == 0:
        sys.exit(f"{' '.join(command)} counted nothing:\n{done.stderr}")
    return int(total.group(1))


def problems(measured, recorded):
    """A sentence for each shape whose count is not within the band of what is recorded."""
    found = []
    for shape, instructions in measured.items():
        if shape not in recorded:
            found.append(f"{shape}: {instructions} instructions, none recorded")
        elif abs(instructions / recorded[shape] - 1) > BAND:
            change = 100 * (instructions / recorded[shape] - 1)
            found.append(f"{shape}: {instructions} instructions, {change:+.1f} % from the {recorded[shape]} recorded; "
                         f"the band is {100 * BAND:.0f} %")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--compiler", required=True, help="whose counts, such as GNU-12")
    parser.add_argument("--build-type", default="Release")
    parser.add_argument("--flags", default="",
                        help="compiler flags of the user's and sanitizers: with any the test is skipped")
    parser.add_argument("--counts", type=pathlib.Path, default=pathlib.Path(__file__).with_name("counts.json"))
    parser.add_argument("--write", action="store_true", help="record this compiler's counts instead")
    a = parser.parse_args()

    release = a.build_type == "Release"
    skip = "" if release else f"this is a {a.build_type} build, and counts are those of Release builds"
    skip = f"compiled with {a.flags.strip()}, and counts are those of plain flags" if a.flags.strip() else skip
    recorded = json.loads(a.counts.read_text()) if a.counts.exists() else {}
    if not skip and not a.write and a.compiler not in recorded:
        known = ", ".join(sorted(recorded))
        skip = f"no counts are recorded for {a.compiler} (there are: {known}); record them with --write"
    if skip and a.write:
        sys.exit(f"nothing recorded: {skip}")
    if skip:
        print(f"skipped: {skip}")
        return SKIPPED
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not installed, and this test counts instructions with it: install the package valgrind")

    measured = {shape: count(a.program, shape) for shape in SHAPES}
    for shape, instructions in measured.items():
        print(f"{shape}: {instructions}")
    if a.write:
        recorded[a.compiler] = measured
        a.counts.write_text(json.dumps(dict(sorted(recorded.items())), indent=2) + "\n")
        return 0
    for off in (0.95, 1.05):  # the comparison itself: it must not accept what is 5 % off
        wrong = {shape: n * off for shape, n in recorded[a.compiler].items()}
        assert len(problems(wrong, recorded[a.compiler])) == len(SHAPES)
    if found := problems(measured, recorded[a.compiler]):
        print("\n".join(found))
        print("If the change is meant: cmake --build BUILD --target update_instruction_counts")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
