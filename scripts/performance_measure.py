"""Runs the benchmarks for performance.py."""

import datetime
import glob
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

PARTS = ("kernels", "layers", "threads", "sweeps", "peers")

# The shapes of the tables.
LINEAR = [(1, 1024, 1024), (1, 4096, 4096), (16, 1024, 1024), (128, 1024, 1024), (512, 1024, 1024)]
LSTM = [(64, 64, 1, 100, 1), (128, 128, 1, 100, 1), (512, 512, 2, 35, 1), (1024, 1024, 1, 50, 1), (64, 64, 1, 50, 8),
        (512, 512, 2, 35, 16), (1024, 1024, 1, 50, 32)]

# 1 MB of weights with 1 row to 512, which the roofline is drawn through, and other sizes.
KERNELS = {
    "gemm": [(m, 1024, 1024) for m in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)]
            + [(1, 512, 2048), (1, 1024, 4096), (1, 4096, 4096), (128, 512, 512), (128, 2048, 2048)],
    "lstm_step": [(b, 512) for b in (1, 2, 4, 8, 16, 32, 64)] + [(1, 64), (1, 128), (1, 1024), (8, 64), (32, 1024)],
    "quantize_rows": [(1, 64), (1, 1024), (128, 1024)],
}

# One size varies, the others stay: name -> (values, shape of a value). What a plot shows beside peers is in PLOTTED.
SWEEPS = {
    "steps": ((10, 20, 50, 100, 200, 500, 1000), lambda t: (256, 256, 1, t, 1)),
    "hidden_size": ((32, 64, 128, 256, 512, 1024), lambda h: (h, h, 1, 50, 1)),
    "batch": ((1, 2, 4, 8, 16, 32, 64), lambda b: (256, 256, 1, 50, b)),
    "layers": ((1, 2, 3, 4), lambda n: (256, 256, n, 50, 1)),
}
PLOTTED = ("steps", "hidden_size")


def peer_shapes():
    shapes = [("linear", s) for s in LINEAR] + [("lstm", s) for s in LSTM]
    for name in PLOTTED:
        values, shape = SWEEPS[name]
        shapes += [("lstm", shape(v)) for v in values]
    return list(dict.fromkeys(shapes))


def flags(**shapes):
    return [f"--{kind}={','.join(map(str, shape))}" for kind, all_of_kind in shapes.items() for shape in all_of_kind]


def name_of(kind, backend, shape, threads=1):
    letters = ("i", "h", "layers", "t", "b") if kind.startswith("lstm") else ("m", "k", "n")
    return "/".join([kind, backend, *(f"{letter}:{size}" for letter, size in zip(letters, shape)),
                     f"threads:{threads}"])


class Runs:
    """Every number that a benchmark printed, by its name, over the rounds."""

    def __init__(self):
        self.samples = {}

    def add(self, program, arguments, seconds):
        command = [str(program), *arguments, f"--benchmark_min_time={seconds}", "--benchmark_format=json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"performance.py: {' '.join(command)} failed:\n{done.stderr}")
        microseconds = {"ns": 1e-3, "us": 1, "ms": 1e3, "s": 1e6}
        for entry in json.loads(done.stdout)["benchmarks"]:
            if entry.get("error_occurred"):
                sys.exit(f"performance.py: {entry['name']}: {entry['error_message']}")
            values = {"us": entry["real_time"] * microseconds[entry["time_unit"]]}
            values |= {counter: entry[counter] for counter in ("GMAC/s", "GB/s", "G/s", "of_ceiling")
                       if counter in entry}
            self.samples.setdefault(entry["name"], []).append(values)

    def medians(self):
        """name -> each number's median, and how far the times of the rounds lie apart as a part of their median."""
        result = {}
        for name, samples in self.samples.items():
            result[name] = {key: float(f"{statistics.median(s[key] for s in samples):.5g}") for key in samples[0]}
            times = [s["us"] for s in samples]
            result[name]["spread"] = float(f"{(max(times) - min(times)) / statistics.median(times):.2g}")
        return result


def cache_value(build, name):
    match = re.search(rf"^{name}:[A-Z]+=(.*)$", (build / "CMakeCache.txt").read_text(), re.MULTILINE)
    return match.group(1) if match else ""


def compiler_of(build):
    """'g++ 12.2.0'"""
    path = cache_value(build, "CMAKE_CXX_COMPILER")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    family = "clang++" if "clang" in version else "g++"
    return f"{family} {re.findall(r'[0-9]+[.][0-9.]*[0-9]', version)[-1]}"


def check_build(build):
    for program in ("bench_kernels", "bench_layers"):
        if not (build / "bench" / program).exists():
            sys.exit(f"performance.py: {build} has no bench/{program}: configure it with the benchmarks and build it")
    if (kind := cache_value(build, "CMAKE_BUILD_TYPE")) != "Release":
        sys.exit(f"performance.py: {build} is a {kind} build; measure a Release build")


def machine():
    info = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        info.setdefault(key.strip(), value.strip())
    caches = {}
    for folder in sorted(glob.glob("/sys/devices/system/cpu/cpu0/cache/index*")):
        level, kind, size = (pathlib.Path(folder, f).read_text().strip() for f in ("level", "type", "size"))
        if kind != "Instruction":
            caches[f"L{level}"] = size
    family = f", family {info['cpu family']} model {info['model']}" if "cpu family" in info else ""
    return {"cpu": info.get("model name", os.uname().machine) + family, "cpus": os.cpu_count(), "caches": caches,
            "virtual": "hypervisor" in info.get("flags", "").split(), "date": datetime.date.today().isoformat()}


def backends_of(build):
    """Best first, as the dispatcher would choose."""
    names = subprocess.run([str(build / "bench/bench_layers"), "--linear=1,1,1", "--benchmark_list_tests"],
                           capture_output=True, text=True, check=True).stdout.split()
    return [name.split("/")[1] for name in names]


def parse_peers(text, what):
    """One file's rows: {"kind", "shape", "threads", "us": {peer: time}, "ours": {backend: time},
    "ratios": {peer: factor}}, where a factor says how many times faster this library is."""
    threads = re.search(r"(\d+) thread", text)
    rows = []
    for line in text.splitlines():
        match = re.match(r"(linear|lstm)\s+([\d,]+)\s+([^|]*)(?:\|\s*ours\s+([^|]*) us\s*(?:\|(.*))?)?$", line)
        if not match:
            continue
        kind, shape, times, ours, ratios = match.groups()
        rows.append({"kind": kind, "shape": [int(s) for s in shape.split(",")],
                     "threads": int(threads.group(1)) if threads else 1,
                     "us": {k: float(v) for k, v in re.findall(r"(\S+)\s+([\d.]+) us", times)},
                     "ours": {k: float(v) for k, v in re.findall(r"(\S+)\s+([\d.]+)", ours or "")},
                     "ratios": {k: float(v) for k, v in re.findall(r"vs (\S+) ([\d.]+)x", ratios or "")}})
    if not rows:
        sys.exit(f"performance.py: no line of {what} is a row of peers' times")
    return {"what": text.splitlines()[0].split(";")[0], "rows": rows}


def measure(results, builds, parts, rounds, seconds, peer_files, save):
    """Calls save(results) after every round, with the medians of the rounds until then, so that a run that is cut short
    leaves results."""
    kernels, layers, threads_runs, sweeps = {}, {}, Runs(), Runs()
    if "peers" in parts and peer_files:
        results["peers"] = [parse_peers(path.read_text(), path.name) for path in peer_files]
    benchmarked = set(parts) - {"peers"}
    if benchmarked:
        for build in builds:
            check_build(build)
        compilers = {build: compiler_of(build) for build in builds}
        backends = backends_of(builds[0])
        results |= {"machine": machine(), "backends": backends, "seconds": seconds}
        cpus = os.cpu_count() or 1
        best = f"--benchmark_filter=^[^/]+/{backends[0]}/"
        swept = sorted({shape(v) for values, shape in SWEEPS.values() for v in values})
    for number in range(rounds if benchmarked else 0):
        print(f"round {number + 1} of {rounds}", flush=True)
        for build in builds:  # in turn within a round, so that what disturbs the machine disturbs all
            if "kernels" in parts:
                kernels.setdefault(compilers[build], Runs()).add(build / "bench/bench_kernels", flags(**KERNELS),
                                                                 seconds / 2)
            if "layers" in parts:
                layers.setdefault(compilers[build], Runs()).add(build / "bench/bench_layers",
                                                                flags(linear=LINEAR, lstm=LSTM) + ["--float"], seconds)
        bench_layers = builds[0] / "bench/bench_layers"
        if "threads" in parts and cpus > 1:
            for threads in (1, cpus):
                threads_runs.add(bench_layers, flags(linear=LINEAR, lstm=LSTM) + [f"--threads={threads}", best],
                                 seconds)
        if "sweeps" in parts:
            sweeps.add(bench_layers, flags(lstm=swept) + ["--float", best], seconds)
        results["rounds"] = number + 1
        if "kernels" in parts:
            results["kernels"] = {compiler: runs.medians() for compiler, runs in kernels.items()}
        if "threads" in parts:
            results["threads"] = threads_runs.medians()
        if "layers" in parts:
            results["layers"] = {compiler: runs.medians() for compiler, runs in layers.items()}
        if "sweeps" in parts:
            results["sweeps"] = sweeps.medians()
        save(results)
    save(results)
