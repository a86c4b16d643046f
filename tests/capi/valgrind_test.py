#!/usr/bin/env python3
"""valgrind_test.py CHARLM WORK USE PROGRAM...: the programs in C touch no memory that is not theirs and leave none.

Blocks that are still reachable at the end are accepted, since cpuinfo keeps some.
"""

import os
import shutil
import subprocess
import sys

OPTIONS = ["--quiet", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect,possible"]


def main():
    charlm, work, use, *programs = sys.argv[1:]
    if not shutil.which("valgrind"):
        print("skipped: valgrind is not installed (scripts/install_dependencies.sh --test)")
        return 77
    os.makedirs(work, exist_ok=True)
    failed = False
    for command in ([use, charlm, work], *([program, work] for program in programs)):
        done = subprocess.run(["valgrind", *OPTIONS, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {os.path.basename(command[0])}")
        if done.returncode != 0:
            print(done.stdout)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
