#!/usr/bin/env python3
"""configure_test.py WORK CMAKE CXX: what configuring says and chooses, where nothing needs to be built."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
failures = []


def expect(condition, message, text=""):
    print(("ok     " if condition else "FAILED ") + message)
    if not condition:
        failures.append(message)
        print(text)


class Configure:
    def __init__(self, work, cmake, cxx):
        self.work, self.cmake, self.cxx = work, cmake, cxx

    def __call__(self, *options, cxx=None, source=SOURCE):
        """The exit code, what CMake printed with its line breaks undone, and the folder."""
        folder = self.work / "build"
        shutil.rmtree(folder, ignore_errors=True)
        command = [self.cmake, "-S", source, "-B", folder, f"-DCMAKE_CXX_COMPILER={cxx or self.cxx}"]
        command += [f"-DBYTEGATE_{part}=OFF" for part in ("TESTS", "BENCH", "TOOLS")]
        done = subprocess.run([str(word) for word in (*command, *options)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, re.sub(r"\s+", " ", done.stdout), folder


def check_backends(configure, work):
    code, text, _ = configure("-DBYTEGATE_BACKENDS=scalar;axv2")
    listed = re.search(r"There are: .*avx2.*neon.*scalar", text)
    expect(code != 0 and 'names "axv2"' in text and listed, "an unknown backend is an error that lists the names", text)

    if platform.machine() != "x86_64":
        return
    code, text, folder = configure("-DBYTEGATE_BACKENDS=neon")
    registry = (folder / "builtin_backends.cpp").read_text(encoding="utf-8") if code == 0 else ""
    expect("{&backends::scalar, nullptr}" in registry,
           "scalar is always built, and another processor's backend is left out", text)

    # A compiler of before AVX-VNNI.
    old = work / "old_compiler"
    old.write_text('#!/bin/sh\ncase " $* " in *" -mavxvnni "*) echo "unrecognized -mavxvnni" >&2; exit 1;; esac\n'
                   f'exec {shutil.which(configure.cxx)} "$@"\n', encoding="utf-8")
    old.chmod(0o755)
    code, text, folder = configure(cxx=old)
    registry = (folder / "builtin_backends.cpp").read_text(encoding="utf-8") if code == 0 else ""
    expect("the backend avxvnni is left out, since this compiler does not know" in text,
           "a backend whose flags the compiler lacks is left out with a sentence", text)
    expect("backends::avxvnni" not in registry and "backends::avx512vnni" in registry, "and the others are built", text)


def check_cpuinfo(configure, work):
    prefix = work / "static_cpuinfo"
    for name in ("include/cpuinfo.h", "lib/libcpuinfo.a", "lib/libcpuinfo.so", "lib/libclog.a"):
        path = prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
    code, text, folder = configure(f"-DCMAKE_PREFIX_PATH={prefix}")
    found = f"cpuinfo is a library: {prefix}/lib/libcpuinfo.a;{prefix}/lib/libclog.a"
    expect(code == 0 and found in text, "a static cpuinfo is taken where there is one, with clog", text)
    pc = (folder / "bytegate.pc").read_text(encoding="utf-8") if code == 0 else ""
    expect(f"-L{prefix}/lib -lcpuinfo" in pc and "-lclog" in pc, "and bytegate.pc names it", pc)

    package = work / "cpuinfo_package"
    package.mkdir(exist_ok=True)
    config = package / "cpuinfo-config.cmake"
    config.write_text("add_library(cpuinfo::cpuinfo INTERFACE IMPORTED)\n", encoding="utf-8")
    code, text, _ = configure(f"-Dcpuinfo_DIR={package}")
    expect(code == 0 and "cpuinfo is a package: cpuinfo::cpuinfo" in text, "a CMake package that works is taken", text)
    config.write_text('message(FATAL_ERROR "a file is not there")\n', encoding="utf-8")
    code, text, _ = configure(f"-Dcpuinfo_DIR={package}")
    expect(code == 0 and "cpuinfo is a library:" in text, "one that does not is passed over", text)


def check_sources(configure, work):
    """Cold files are listed by name, and a name without a file is an error. Tried on a copy of the tree."""
    copy = work / "tree"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("build", ".git", "data"))
    (copy / "layers" / "new_layer.cpp").write_text("namespace bytegate {}\n", encoding="utf-8")
    code, text, folder = configure(source=copy)
    hot = folder.rglob("unity_hot*.cxx")
    expect(code == 0 and any("new_layer.cpp" in path.read_text(encoding="utf-8") for path in hot),
           "a file that no list names is built, as a hot one", text)
    with open(copy / "layers" / "sources.cmake", "a", encoding="utf-8") as file:
        file.write("list(APPEND cold not_there.cpp)\n")
    code, text, _ = configure(source=copy)
    expect(code != 0 and "lists not_there.cpp" in text, "a name in a list without a file is an error", text)


def main():
    work, cmake, cxx = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    os.environ.pop("CMAKE_PREFIX_PATH", None)
    work.mkdir(parents=True, exist_ok=True)
    configure = Configure(work, cmake, cxx)
    check_backends(configure, work)
    check_cpuinfo(configure, work)
    check_sources(configure, work)
    code, text, _ = configure("-DMSVC=ON")
    expect(code != 0 and "Microsoft's compiler" in text, "Microsoft's compiler is refused by name", text)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
