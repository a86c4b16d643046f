#!/usr/bin/env python3
"""headers_test.py: bytegate.h is C99 and later C, and C++ from C++98 to C++20, without a warning, for gcc and clang."""

import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
C = ("-std=c99", "-std=c11", "-std=c17", "-std=gnu17", "-std=c2x")
CPP = ("-std=c++98", "-std=c++11", "-std=c++17", "-std=c++20")
COMPILERS = {"gcc": ("c", C), "clang": ("c", C), "g++": ("c++", CPP), "clang++": ("c++", CPP)}
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Wundef", "-Werror")
C_WARNINGS = ("-Wstrict-prototypes", "-Wmissing-prototypes", "-Wc++-compat")
TWICE = "#include <bytegate/bytegate.h>\n#include <bytegate/bytegate.h>\n"


def compile_text(compiler, language, text, *options):
    done = subprocess.run([compiler, "-x", language, "-fsyntax-only", f"-I{SOURCE / 'include'}", *WARNINGS, *options,
                           "-"], input=text, capture_output=True, text=True, check=False)
    print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {compiler} {' '.join(options)}")
    if done.returncode != 0:
        print(done.stderr)
    return done.returncode == 0


def main():
    good, missing = True, []
    for compiler, (language, standards) in COMPILERS.items():
        if not shutil.which(compiler):
            missing.append(compiler)
            continue
        for standard in standards:
            extra = C_WARNINGS if language == "c" else ()
            # long long, which is what int64_t may be, came with C++11.
            lenient = ("-Wno-long-long",) if standard == "-std=c++98" else ()
            good = compile_text(compiler, language, TWICE, standard, *extra, *lenient) and good
    if not good:
        return 1
    if missing:
        print(f"skipped: {', '.join(missing)}")
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main())
