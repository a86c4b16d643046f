#!/usr/bin/env python3
"""headers_test.py BUILD CXX: every public header for C++ can be included alone, says that it needs C++20, and exports
what it declares. The one for C is tested in tests/capi/."""

import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
C_HEADER = "bytegate.h"
failures = []


def expect(condition, message):
    print(("ok     " if condition else "FAILED ") + message)
    if not condition:
        failures.append(message)


def errors_of(cxx, folders, header, *options):
    includes = [*(f"-I{folder}" for folder in folders), "-include", f"bytegate/{header}"]
    done = subprocess.run([cxx, "-x", "c++", "-fsyntax-only", *options, *includes, "/dev/null"], capture_output=True,
                          text=True, check=False)
    return [line for line in done.stderr.splitlines() if re.search(r"\b(error|warning):", line)]


def main():
    folders, cxx = [SOURCE / "include", Path(sys.argv[1], "include")], sys.argv[2]
    headers = sorted(path for folder in folders for path in Path(folder, "bytegate").glob("*.h"))
    expect("version.h" in [path.name for path in headers], f"{len(headers)} headers, of which one is generated")
    headers = [path for path in headers if path.name != C_HEADER]
    for path in headers:
        sentences = [e for e in errors_of(cxx, folders, path.name, "-std=c++17") if "error" in e]
        first = sentences and "bytegate needs C++20" in sentences[0]
        expect(first, f"{path.name}: C++17 is refused in the first error")
        expect(sum("bytegate needs C++20" in e for e in sentences) == 1, f"{path.name}: and once")
        errors = errors_of(cxx, folders, path.name, "-std=c++20", "-Wall", "-Wextra", "-Wconversion", "-Wshadow")
        expect(not errors, f"{path.name}: can be included alone {errors[:3]}")
        text = path.read_text(encoding="utf-8")
        # Declarations of the namespace are public unless one pragma is missing.
        if "\nnamespace bytegate" in text:
            pragmas = re.findall(r"^#pragma GCC visibility (push\(default\)|pop)$", text, re.M)
            expect(pragmas == ["push(default)", "pop"], f"{path.name}: a shared library exports what it declares")
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
