#!/usr/bin/env python3
"""What the inner loops of the int8 products cost on CPUs that are not at hand, by llvm-mca: a table in Markdown.

  scripts/mca.py [BUILD_DIR...]     default: build/release and build/aarch64

The CPUs are those of `mca_cpus` in backends/*/backend.cmake. The loops are read from the compiled objects of the
backends: of `gemm_panels`, the loop with the most multiply-adds (many rows) and that with the fewest a load (one row).
"limit" is what the product instructions of that loop would reach alone, if nothing depended on anything. llvm-mca
assumes that every load hits the first cache. It comes from the system (llvm-mca-19) or is unpacked into build/llvm.
"""
import pathlib
import re
import shutil
import subprocess
import sys

import backend_table

SOURCE = pathlib.Path(__file__).resolve().parent.parent
LLVM = 19  # the first of Debian 12's with models of Neoverse N1, V1 and V2

# (target, disassembler) of each processor.
TARGETS = {"aarch64": ("aarch64-linux-gnu", "aarch64-linux-gnu-objdump"), "x86_64": ("x86_64-linux-gnu", "objdump")}
# Multiply-adds of an instruction (on x86: and the width of its registers).
MULTIPLIES = {"sdot": 16, "smmla": 32, "smull": 8, "smull2": 8, "smlal": 8, "smlal2": 8,
              "vpdpbusd ymm": 32, "vpdpbusd zmm": 64, "vpmaddwd ymm": 16, "vpmaddwd zmm": 32, "vpmaddubsw ymm": 32}
# Instructions that belong to a product but multiply nothing.
ADDS = {"sadalp", "vpaddd ymm", "vpaddd zmm"}


def key(instruction):
    mnemonic = instruction.removeprefix("{vex} ").split()[0]
    register = re.search(r"%([yz]mm)", instruction)
    return f"{mnemonic} {register[1]}" if register else mnemonic


def macs(instructions):
    return sum(MULTIPLIES.get(key(i), 0) for i in instructions)


def loads(instructions):
    arm = sum(2 if i.startswith("ldp") else 1 for i in instructions if i.startswith("ld"))
    return arm + sum("(%" in i and not i.startswith("lea") for i in instructions)


def gemm_loops(objdump, path):
    """Loops without a branch inside, of the int8 gemm, that multiply."""
    command = [objdump, "-d", "--no-show-raw-insn", path]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    loops, code = [], []
    for line in text.splitlines():
        if re.match(r"[0-9a-f]+ <", line):
            code = []
            inside = "gemm_panels" in line and "QuantizedProduct" in line
            continue
        match = re.match(r"\s+([0-9a-f]+):\t(.*)", line)
        if not match or not inside:
            continue
        instruction = match[2].split("//" if "aarch64" in objdump else "#")[0].strip()
        if not instruction:
            continue
        code.append((int(match[1], 16), instruction))
        branch = re.match(r"(b\.\w+|b|cbn?z|tbn?z|j\w+)\s+(?:.*,\s*)?([0-9a-f]+) <", instruction)
        if not branch or int(branch[2], 16) > code[-1][0]:
            continue
        body = [i for address, i in code if address >= int(branch[2], 16)]
        if macs(body) > 0 and not any(re.match(r"(b\.|b |cb|tb|j)", i) for i in body[:-1]):
            loops.append(body[:-1] + [re.sub(r"[0-9a-f]+ <.*", ".Lloop", body[-1])])
    return loops


def mca(program, triple, model, body):
    """Cycles an iteration, and the same if nothing depended on anything."""
    features = ["-mattr=+dotprod,+i8mm"] if triple.startswith("aarch64") else []
    iterations = 300
    out = subprocess.run([*program, f"-mtriple={triple}", f"-mcpu={model}", *features, f"-iterations={iterations}"],
                         input=".Lloop:\n" + "\n".join(body) + "\n", capture_output=True, text=True)
    cycles = re.search(r"Total Cycles:\s+(\d+)", out.stdout)
    alone = re.search(r"Block RThroughput:\s+([\d.]+)", out.stdout)
    if out.returncode or not cycles:
        raise RuntimeError(out.stderr.strip().splitlines()[0] if out.stderr.strip() else "llvm-mca gave nothing")
    return int(cycles[1]) / iterations, float(alone[1])


def llvm_mca():
    system = shutil.which(f"llvm-mca-{LLVM}")
    if system:
        return [system]
    folder = SOURCE / "build/llvm"
    unpack = [SOURCE / "scripts/extract_packages.sh", "amd64", folder, f"llvm-{LLVM}", f"libllvm{LLVM}"]
    subprocess.run(unpack, check=True)
    return ["env", f"LD_LIBRARY_PATH={folder}/usr/lib/x86_64-linux-gnu", f"{folder}/usr/lib/llvm-{LLVM}/bin/llvm-mca"]


def tables():
    """(name, processor, its CPUs as (name, model)) of each backend that names CPUs, Arm first, plainest first."""
    for processor in TARGETS:
        for entry in reversed(backend_table.backends(processor)):
            cpus = [tuple(reversed(cpu.split(":"))) for cpu in entry["mca_cpus"]]
            if cpus:
                yield entry.name, processor, cpus


def print_rows(program, backend, processor, cpus, path):
    """The rows of one backend, whose compiled kernels are at `path`."""
    triple, objdump = TARGETS[processor]
    loops = gemm_loops(objdump, path)
    if not loops:
        raise SystemExit(f"mca.py: no inner loop in {path}")
    many = max(loops, key=lambda body: (macs(body), loads(body)))
    one = min(loops, key=lambda body: macs(body) / loads(body))
    for rows, body in (("many", many), ("one", one)):
        products = [i for i in body if key(i) in MULTIPLIES or key(i) in ADDS]
        for core, model in cpus:
            try:
                cycles, _ = mca(program, triple, model, body)
                _, alone = mca(program, triple, model, products)
            except RuntimeError as error:
                print(f"| {backend} | {rows} | {core} | ({error}) | | |")
                continue
            limit, reached = macs(body) / alone, 100 * alone / cycles
            print(f"| {backend} | {rows} | {core} | {macs(body) / cycles:.1f} | {limit:.1f} | {reached:.0f} % |")


def main():
    program = llvm_mca()
    builds = [pathlib.Path(a) for a in sys.argv[1:]] or [SOURCE / "build/release", SOURCE / "build/aarch64"]
    print("| backend | rows | core | MACs/cycle | limit | part |\n| --- | --- | --- | ---: | ---: | ---: |")
    found = 0
    for backend, processor, cpus in tables():
        pattern = f"CMakeFiles/bytegate_backend_{backend}.dir/backends/{backend}/kernels*.cpp.o"
        objects = [o for b in builds for o in b.glob(pattern)]
        if objects:
            found += 1
            print_rows(program, backend, processor, cpus, objects[0])
    if not found:
        folders = ", ".join(map(str, builds))
        raise SystemExit(f"mca.py: no objects in {folders}: build the presets release and aarch64 first")


main()
