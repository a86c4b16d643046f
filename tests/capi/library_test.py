#!/usr/bin/env python3
"""library_test.py BUILD [--with-cpp]: what the libraries of the C interface export, and that a program without the
interface does not link it.

The shared library exports the functions of bytegate.h and nothing else (--with-cpp: nothing else that is C); the
archive has them too, in one object, which shows nothing else.
"""

import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
failures = []


def expect(condition, message):
    print(("ok     " if condition else "FAILED ") + message)
    if not condition:
        failures.append(message)


def output_of(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def defined(*nm):
    """Names and kinds of the symbols that nm prints."""
    lines = [line.split() for line in output_of("nm", "--defined-only", *nm).splitlines()]
    return {words[-1]: words[-2] for words in lines if len(words) >= 2}


def check_shared(library, functions, with_cpp):
    symbols = defined("-D", library)
    if with_cpp:
        symbols = {name: kind for name, kind in symbols.items() if not name.startswith("_Z")}
    expect(set(symbols) == functions, f"{library.name} exports the {len(functions)} functions of bytegate.h alone: "
           f"{sorted(set(symbols) ^ functions)}")
    expect(set(symbols.values()) == {"T"}, "all of them are functions")
    dynamic = output_of("readelf", "--dynamic", library)
    expect(re.search(r"soname: \[libbytegate(_c)?\.so\.\d+\.\d+\]", dynamic), "it has a soname with a version")
    expect("set_fast_math" not in defined(library), "to load it does not set flush-to-zero")


def check_archive(build, functions):
    members = output_of("nm", "--defined-only", "--extern-only", build / "libbytegate.a").split("\n\n")
    with_c = [text for text in members if re.search(r" T bytegate_", text)]
    expect(len(with_c) == 1, f"the functions are in one of the archive's {len(members)} objects")
    symbols = set(re.findall(r"(?m)^[0-9a-f]+ T (\w+)$", with_c[0]))
    expect(functions <= symbols, "all of them")
    program = build / "examples" / "readme_example"
    if program.exists():
        linked = [name for name in defined(program) if name in functions]
        expect(not linked, f"a program in C++ is linked without the C interface {linked}")


def main():
    build, with_cpp = Path(sys.argv[1]), "--with-cpp" in sys.argv
    header = (SOURCE / "include/bytegate/bytegate.h").read_text(encoding="utf-8")
    functions = set(re.findall(r"(?m)^(?:bytegate_status|const char\*) (bytegate_\w+)\(", header))
    expect(len(functions) > 25, f"bytegate.h declares {len(functions)} functions")
    check_shared(build / ("libbytegate.so" if with_cpp else "libbytegate_c.so"), functions, with_cpp)
    if not with_cpp:
        check_archive(build, functions)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
