#!/usr/bin/env python3
"""consumers_test.py BUILD WORK CMAKE CXX CC: bytegate in other people's projects.

BUILD is a build with its static library. One program is built against it in each way that a user has: the archive
alone; an installed tree, moved, by find_package and by pkg-config, static and shared; and in a project that has the
library in a folder of its own, has made a target `cpuinfo`, and compiles everything with -ffast-math. Every program
must print the same bits. The library is built once, with few backends. A program in C is built in the same ways.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
PROGRAM = HERE / "program.cpp"
C_PROGRAM, C_FLAGS = HERE / "program.c", ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror")
SHORT_LIST = {"x86_64": "scalar;avx2", "aarch64": "scalar;neon"}[platform.machine()]

failures = []


def expect(condition, message):
    print(("ok     " if condition else "FAILED ") + message)
    if not condition:
        failures.append(message)


def run(*command, env=None):
    """Standard output of a command that must succeed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False,
                          env={**os.environ, **(env or {})})
    if done.returncode != 0:
        sys.exit(f"consumers_test: {' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


class Consumers:
    def __init__(self, build, work, cmake, cxx, cc):
        self.build, self.work, self.cmake, self.cxx, self.cc = build, work, cmake, cxx, cc
        self.expected = None

    def configure(self, source, folder, *options):
        run(self.cmake, "-S", source, "-B", folder, f"-DCMAKE_CXX_COMPILER={self.cxx}", *options)

    def check_program(self, program, what, env=None):
        """Runs a program, the first of which says what the others must print."""
        file = self.work / "model.safetensors"
        lines = run(program, file, env={**(env or {}), "BYTEGATE_BACKEND": "scalar"}).splitlines()
        printed = dict(line.split(" ", 1) for line in lines)
        run(program, file, env=env)  # the best backend
        if self.expected is None:
            self.expected = printed
        for name, value in self.expected.items():
            same = printed.get(name) == value
            expect(same, f"{what}: {name} {printed.get(name)}")

    def check_c_program(self, program, what, env=None):
        """The program in C, which knows itself what its output is."""
        printed = run(program, self.work / "model.safetensors", env=env)
        expect(printed.splitlines() == [f"version {self.expected['version']}", "y 9 19"], f"{what}: runs")

    def check_archive(self):
        archive = self.build / "libbytegate.a"
        members = run("ar", "t", archive).split()
        expect(len(members) == len(set(members)), f"{len(members)} members of the archive have names of their own")
        program = self.work / "archive_program"
        run(self.cxx, "-std=c++20", "-O1", f"-I{SOURCE / 'include'}", f"-I{self.build / 'include'}", PROGRAM, archive,
            "-lcpuinfo", "-lpthread", "-o", program)
        self.check_program(program, "the archive, -lcpuinfo and -lpthread")
        program = self.work / "archive_c_program"
        run(self.cc, *C_FLAGS, f"-I{SOURCE / 'include'}", C_PROGRAM, archive, "-lcpuinfo", "-lpthread", "-lstdc++",
            "-lm", "-o", program)
        self.check_c_program(program, "in C, the archive")

    def check_installed(self, build, what, shared):
        """Installs a build, moves the tree, and builds the program against it."""
        installed, prefix = self.work / what / "installed", self.work / what / "moved"
        shutil.rmtree(self.work / what, ignore_errors=True)
        run(self.cmake, "--install", build, "--prefix", installed)
        installed.rename(prefix)
        expect(next(prefix.rglob("version.h"), None) is not None, f"{what}: version.h is installed")

        folder = self.work / what / "find_package"
        self.configure(HERE / "installed", folder, f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_CXX_FLAGS=-O1")
        run(self.cmake, "--build", folder)
        self.check_program(folder / "program", f"{what}, find_package")

        pc = next(prefix.rglob("bytegate.pc"))
        env = {"PKG_CONFIG_PATH": str(pc.parent)}
        flags = run("pkg-config", "--cflags", "--libs", "bytegate", env=env).split()
        expect(("-lcpuinfo" in flags) != shared, f"{what}, pkg-config: {' '.join(flags[1:])}")
        static_flags = run("pkg-config", "--libs", "--static", "bytegate", env=env).split()
        expect("-lcpuinfo" in static_flags, f"{what}, pkg-config --static: has -lcpuinfo")
        program = self.work / what / "pkg_config_program"
        run(self.cxx, "-std=c++20", "-O1", PROGRAM, *flags, "-o", program)
        self.check_program(program, f"{what}, pkg-config", env={"LD_LIBRARY_PATH": str(pc.parent.parent)})
        self.check_installed_c(prefix, what, env)

    def check_installed_c(self, prefix, what, env):
        folder = self.work / what / "find_package_c"
        run(self.cmake, "-S", HERE / "installed_c", "-B", folder, f"-DCMAKE_C_COMPILER={self.cc}",
            f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_C_FLAGS={' '.join(C_FLAGS)}")
        run(self.cmake, "--build", folder)
        self.check_c_program(folder / "program", f"in C, {what}, find_package")
        library = next(prefix.rglob("libbytegate.so" if what == "shared" else "libbytegate_c.so"))
        for package in ("bytegate-c", "bytegate"):
            flags = run("pkg-config", "--cflags", "--libs", package, env=env).split()
            program = self.work / what / f"{package}_program_in_c"
            run(self.cc, *C_FLAGS, C_PROGRAM, *flags, "-o", program)
            self.check_c_program(program, f"in C, {what}, pkg-config {package}",
                                 env={"LD_LIBRARY_PATH": library.parent})
            needed = library.name in run("readelf", "--dynamic", program)
            expect(needed == (package == "bytegate-c" or what == "shared"), f"in C, {what}, {package}: needs {needed}")

    def made(self, folder):
        return dict(line.partition(" ")[::2] for line in (folder / "made.txt").read_text(encoding="utf-8").splitlines())

    def check_parent(self):
        """Configured with what a user has by default; then, with few backends, built."""
        folder = self.work / "parent"
        shutil.rmtree(folder, ignore_errors=True)
        flags = "-O2 -ffast-math -fno-exceptions -fno-rtti"
        common = [f"-DBYTEGATE_SOURCE_DIR={SOURCE}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
        self.configure(HERE / "parent", folder, *common, "-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON",
                       f"-DCMAKE_CXX_FLAGS={flags} -Ofast -funsafe-math-optimizations -flto")
        made = self.made(folder)
        expect(made["type"] == "STATIC_LIBRARY", "below another project: a static library by default")
        expect(made["folders"] == "", f"below another project: no tests, tools and benchmarks ({made['folders']})")
        tests = run(self.cmake.with_name("ctest"), "--test-dir", folder, "-N")
        expect("Total Tests: 1" in tests, "below another project: its own test alone")
        run(self.cmake, "--install", folder, "--prefix", folder / "prefix")
        expect(not (folder / "prefix").exists(), "below another project: nothing is installed by default")
        self.check_commands(folder)

        self.configure(HERE / "parent", folder, *common, f"-DCMAKE_CXX_FLAGS={flags}",
                       "-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF", f"-DBYTEGATE_BACKENDS={SHORT_LIST}",
                       "-DBYTEGATE_SHARED=ON", "-DBYTEGATE_INSTALL=ON", "-DBYTEGATE_TOOLS=ON")
        targets = self.made(folder)["targets"].split(";")
        backends = [name for name in targets if name.startswith("bytegate_backend_")]
        expect(len(backends) == 2, f"BYTEGATE_BACKENDS={SHORT_LIST}: {backends}")
        run(self.cmake, "--build", folder, "-j", os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", "2"))
        self.check_program(folder / "program", "in a project with -ffast-math, shared")
        self.check_program(folder / "static_program", "in a project with -ffast-math, static")
        self.check_exports(folder / "bytegate" / "libbytegate.so")
        self.check_installed(folder, "shared", shared=True)
        self.check_tools(folder)

    def check_commands(self, folder):
        """The library's own flags come after the project's on the command line, and cpuinfo is the project's."""
        commands = json.loads((folder / "compile_commands.json").read_text(encoding="utf-8"))
        ours = [c["command"].split() for c in commands if "CMakeFiles/bytegate_" in c["command"]]
        wrong = []
        for words in ours:
            last = {word: i for i, word in enumerate(words)}
            pairs = [("-ffast-math", "-fno-fast-math"), ("-Ofast", "-fno-fast-math"),
                     ("-funsafe-math-optimizations", "-fno-unsafe-math-optimizations"),
                     ("-freciprocal-math", "-fno-reciprocal-math"), ("-fassociative-math", "-fno-associative-math"),
                     ("-ffinite-math-only", "-fno-finite-math-only"), ("-fno-signed-zeros", "-fsigned-zeros")]
            if any("bytegate_backend_" in word for word in words):
                pairs.append(("-flto", "-fno-lto"))
                for word in words:
                    if word.startswith("-flto"):
                        last["-flto"] = last[word]
            wrong += [f"{words[-1]}: {theirs}" for theirs, own in pairs if last[theirs] > last.get(own, -1)]
        expect(len(ours) >= 6 and not wrong, f"the library's flags come last in {len(ours)} commands {wrong}")
        expect(any("-DPARENTS_CPUINFO" in words for words in ours), "the library uses the project's target cpuinfo")

    def check_tools(self, folder):
        """The command line and an example, which need nothing of the shared library but what it exports."""
        model = self.work / "shared_int8.safetensors"
        float_model = SOURCE / "examples/data/charlm/model.safetensors"
        program = self.work / "shared" / "moved" / "bin" / "bytegate"  # finds the library in the tree that was moved
        run(program, "quantize", float_model, model)
        compared = json.loads(run(program, "compare", float_model, model, "--threshold", "20", "--json"))
        expect(compared["passed"], "shared: the installed command line quantizes and compares a model")
        run(folder / "bytegate" / "examples" / "custom_backend")
        run(folder / "bytegate" / "examples" / "readme_example", float_model, model)

    def check_exports(self, library):
        """A shared library exports what the public headers declare."""
        symbols = [line.split(" ", 2)[2] for line in run("nm", "-DC", "--defined-only", library).splitlines()]
        kinds = ("", "typeinfo for ", "typeinfo name for ", "vtable for ")
        public = (*(f"{kind}bytegate::" for kind in kinds), "bytegate_")
        internal = tuple(f"bytegate::{space}::" for space in ("detail", "dispatch", "backends", "kernels"))
        wrong = [s for s in symbols if not s.startswith(public) or s.startswith(internal)]
        expect(len(symbols) > 20 and not wrong, f"the shared library exports {len(symbols)} public symbols {wrong}")
        dynamic = run("readelf", "-d", library)
        expect("soname: [libbytegate.so." in dynamic, "the shared library has a soname with a version")
        expect("set_fast_math" not in run("nm", library), "loading the shared library does not set flush-to-zero")


def main():
    build, work, cmake, cxx, cc = *map(Path, sys.argv[1:4]), *sys.argv[4:6]
    work.mkdir(parents=True, exist_ok=True)
    consumers = Consumers(build, work, cmake, cxx, cc)
    consumers.check_archive()
    consumers.check_installed(build, "static", shared=False)
    consumers.check_parent()
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
