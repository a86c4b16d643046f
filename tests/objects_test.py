#!/usr/bin/env python3
"""objects_test.py SOURCE BUILD WORK CMAKE: what the library's objects hold, built by g++ and clang++ at -O0 and -O3.

BUILD is the tree this test belongs to, made by g++ at -O3; the others are built in WORK.

An object of a backend's ISA file (kernels_<backend>.cpp) defines its entry point, hidden, and no weak symbol that
another object could define too: the linker could choose a weak symbol's code, which needs the backend's instructions,
for the whole program. What a compiler leaves uninlined of xsimd is weak, in a namespace that carries the backend's
name. Every other object is for any CPU: on x86-64 it holds no VEX or EVEX instruction. The one that the rest of the
library is joined to (cmake/partial_link.cmake) shows no hidden symbol.

At -O3 no function of a backend leaves the upper halves of vector registers in use.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
import backend_table  # noqa: E402
import upper_halves  # noqa: E402

BUILDS = [("g++", "-O0"), ("clang++", "-O0"), ("clang++", "-O3")]

# Instructions that begin with v and are no vector instructions.
PLAIN_V = set("verr verw vmcall vmclear vmfunc vmlaunch vmload vmmcall vmptrld vmptrst vmread vmresume vmrun vmsave "
              "vmwrite vmxoff vmxon".split())
PREFIXES = set("lock rep repz repnz bnd notrack data16 cs {vex} {evex}".split())
# VEX-encoded instructions on general registers.
VEX_GENERAL = set("andn bextr blsi blsmsk blsr bzhi mulx pdep pext rorx sarx shlx shrx".split())

failures = []


def expect(condition, message):
    if not condition:
        failures.append(message)
        print("FAILED:", message)


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def build(source, folder, cmake, compiler, level):
    """Builds the library in `folder`."""
    flags = f"{level} -DNDEBUG"
    configure = [cmake, "-S", source, "-B", folder, "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_CXX_COMPILER={compiler}",
                 f"-DCMAKE_CXX_FLAGS_RELEASE={flags}", "-DBYTEGATE_COLD_FLAGS=", "-DBYTEGATE_HOT_FLAGS=",
                 "-DBYTEGATE_TESTS=OFF", "-DBYTEGATE_BENCH=OFF", "-DBYTEGATE_TOOLS=OFF",
                 "-DBYTEGATE_PYTHON=OFF"]
    jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", "2")
    for command in (configure, [cmake, "--build", folder, "--target", "bytegate", "-j", jobs]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"objects_test: {' '.join(map(str, command))} failed:\n{done.stdout}")


def unpack(folder, to):
    """The objects that the library in `folder` is made of."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    subprocess.run(["ar", "x", (folder / "libbytegate.a").resolve()], cwd=to, check=True)
    return sorted(to.iterdir())


def backend_of(path):
    """The name of the backend whose ISA file this object is; None for all others."""
    match = re.fullmatch(r"kernels_(\w+)\.cpp\.o", path.name)
    return match[1] if match else None


def check_symbols(path, name, what):
    prefix = f"bytegate::backends::{name}_"
    defined = []
    for line in output_of("nm", "--demangle", "--defined-only", str(path)).splitlines():
        _, kind, symbol = line.split(" ", 2)
        if kind in "WwVvu":
            expect(f"xsimd_{name}::" in symbol, f"{what}: weak symbol ({kind}) {symbol}")
        elif kind.isupper():
            defined.append(symbol)
    expect(prefix + "kernels" in defined and all(symbol.startswith(prefix) for symbol in defined),
           f"{what}: defines {defined}, expected {prefix}kernels and other names that begin so")
    for line in output_of("readelf", "--syms", "--wide", "--demangle", str(path)).splitlines():
        if any(line.endswith(" " + symbol) for symbol in defined):
            expect("HIDDEN" in line.split(), f"{what}: not hidden: {line}")


def check_joined(path, label):
    """The object that is not kernels: its functions may not meet those of a program, or those of another library."""
    symbols = [line.split() for line in output_of("readelf", "--syms", "--wide", str(path)).splitlines()]
    defined = [words for words in symbols if len(words) == 8 and words[6] != "UND"]
    expect(len(defined) > 100, f"{label}, {path.name}: defines {len(defined)} symbols")
    wrong = [words[7] for words in defined
             if words[4] == "UNIQUE" or (words[4] != "LOCAL" and words[5] == "HIDDEN")]
    expect(not wrong, f"{label}, {path.name}: {len(wrong)} symbols are hidden and not local, or unique in a program, "
           f"such as {wrong[:3]}")


def disassembly(path):
    """Of an object with its code in one section: objdump takes time in proportion to the square of their number."""
    with tempfile.TemporaryDirectory() as folder:
        script, merged = Path(folder, "merge.ld"), Path(folder, "merged.o")
        script.write_text("SECTIONS { .text : { *(.text .text.*) } }", encoding="utf-8")
        output_of("ld", "-r", "--force-group-allocation", "-T", str(script), "-o", str(merged), str(path))
        sections = output_of("readelf", "--sections", "--wide", str(merged))
        expect(len(re.findall(r"\sPROGBITS\s.*\s[WA]*X", sections)) == 1, f"{path}: code outside .text")
        return output_of("objdump", "-d", "--no-show-raw-insn", str(merged))


def vector_instructions(listing):
    """The instructions that need more than baseline x86-64."""
    found = []
    for line in listing.splitlines():
        match = re.match(r"\s*[0-9a-f]+:\s+(.*)", line)
        if not match or not match[1].strip():
            continue
        words = match[1].split()
        while words[0] in PREFIXES and len(words) > 1:
            words = words[1:]
        vector = words[0].startswith("v") and words[0] not in PLAIN_V
        general = words[0].rstrip("lq") in VEX_GENERAL or words[0] in VEX_GENERAL
        if vector or general or re.search(r"%([yz]mm|k[0-7]\b)", match[1]):
            found.append(match[1].strip())
    return found


def check_objects(folder, work, label):
    objects = unpack(folder, work / "members")
    isa = {backend_of(p): p for p in objects if backend_of(p)}
    entries = {e.name: e for e in backend_table.backends(platform.machine())}
    expect(sorted(isa) == sorted(entries) and len(isa) >= 2,
           f"{label}: backends {sorted(isa)}, expected {sorted(entries)}")
    joined = [p for p in objects if p.name == "bytegate.o"]
    expect(len(joined) == 1, f"{label}: no bytegate.o among {[p.name for p in objects]}")
    for path in joined:
        check_joined(path, label)
    for name, path in isa.items():
        check_symbols(path, name, f"{label}, backend {name}")
    x86 = platform.machine() == "x86_64"
    if x86:
        check_instructions(objects, {name for name, e in entries.items() if e["cpu_flags"]}, label)
    remark = "" if x86 else " (not x86-64: symbols only)"
    print(f"{label}: {len(objects)} objects, ISA files of {', '.join(sorted(isa))}{remark}")


def check_instructions(objects, vector_backends, label):
    """Instructions beyond baseline x86-64 are in the ISA files of the backends that need them, and nowhere else."""
    for path in objects:
        listing = disassembly(path)
        found = vector_instructions(listing)
        if backend_of(path) in vector_backends:  # the search itself: it must find what is there
            expect(found, f"{label}: no vector instruction found in {backend_of(path)}, where there must be some")
            if label.endswith("-O3"):
                check_upper_halves(listing, f"{label}, backend {backend_of(path)}")
            continue
        expect(not found, f"{label}: {path.name} is for every x86-64 and holds {len(found)} VEX or EVEX "
               "instructions, such as: " + "; ".join(found[:3]))


def check_upper_halves(listing, what):
    functions = upper_halves.functions(listing)
    expect(len(functions) > 3, f"{what}: no functions found")
    for name, instructions in functions.items():
        wide = upper_halves.left_in_use(instructions)
        expect(wide is None, f"{what}: {name} ends without vzeroupper after {wide}")


def main():
    source, ours, work, cmake = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    for tool in ("g++", "clang++", "nm", "objdump", "readelf", "ar", "ld"):
        if not shutil.which(tool):
            sys.exit(f"objects_test: {tool} is not installed, and this test must have it")
    check_objects(ours, work, "g++ -O3")
    for compiler, level in BUILDS:
        folder = work / f"{compiler}{level}"
        build(source, folder, cmake, compiler, level)
        check_objects(folder, work, f"{compiler} {level}")
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
