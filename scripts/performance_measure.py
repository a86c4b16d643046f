"""Runs the benchmarks for performance.py."""

import datetime
import json
import os
import re
import subprocess
import sys

import performance_results

# The shapes of the tables. Kinds that a build's bench_layers does not know are left out.
LINEAR = [(1, 1024, 1024), (1, 4096, 4096), (16, 1024, 1024), (128, 1024, 1024), (512, 1024, 1024)]
LSTM = [(64, 64, 1, 100, 1), (128, 128, 1, 100, 1), (512, 512, 2, 35, 1), (1024, 1024, 1, 50, 1), (64, 64, 1, 50, 8),
        (512, 512, 2, 35, 16), (1024, 1024, 1, 50, 32)]
GRU = [(64, 64, 1, 100, 1), (256, 256, 2, 50, 1), (512, 512, 1, 35, 16)]
CONV1D = [(64, 64, 3, 1, 1000, 1)]
LAYERS = {"linear": LINEAR, "lstm": LSTM, "gru": GRU, "conv1d": CONV1D}

# 1 MB of weights with 1 row to 512, which the roofline is drawn through, and other sizes.
KERNELS = {
    "gemm": [(m, 1024, 1024) for m in (1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512)]
            + [(1, 512, 2048), (1, 1024, 4096), (1, 4096, 4096), (128, 512, 512), (128, 2048, 2048)],
    "lstm_step": [(b, 512) for b in (1, 2, 3, 4, 8, 16, 32, 64)] + [(1, 64), (1, 128), (1, 1024), (8, 64), (32, 1024)],
    "quantize_rows": [(1, 64), (64, 64), (32, 128), (128, 256), (64, 512), (1, 1024), (128, 1024), (16, 2048),
                      (8, 4096)],
}

# One size varies, the others stay: name -> (values, shape of a value). What a plot shows beside peers is in PLOTTED.
SWEEPS = {
    "steps": ((10, 20, 50, 100, 200, 500, 1000), lambda t: (256, 256, 1, t, 1)),
    "hidden_size": ((32, 64, 128, 256, 512, 1024), lambda h: (h, h, 1, 50, 1)),
    "batch": ((1, 2, 4, 8, 16, 32, 64), lambda b: (256, 256, 1, 50, b)),
    "layers": ((1, 2, 3, 4), lambda n: (256, 256, n, 50, 1)),
}
PLOTTED = ("steps", "hidden_size")


def layer_shapes():
    """Every row of the tables of layers. bench_layers adds a convolution in PyTorch's layout by itself."""
    return [(kind, s) for kind in (*LAYERS, "conv1d_bct") for s in LAYERS[kind.removesuffix("_bct")]]


def peer_shapes():
    """What a program that times peers is asked for: it has no convolution."""
    shapes = [(kind, s) for kind in ("linear", "lstm", "gru") for s in LAYERS[kind]]
    for name in PLOTTED:
        values, shape = SWEEPS[name]
        shapes += [("lstm", shape(v)) for v in values]
    return list(dict.fromkeys(shapes))


def flags(**shapes):
    return [f"--{kind}={','.join(map(str, shape))}" for kind, all_of_kind in shapes.items() for shape in all_of_kind]


def name_of(kind, backend, shape, threads=1):
    plain = kind.removesuffix("_f32")
    letters = {"linear": "m k n", "conv1d": "i o k s t b", "conv1d_bct": "i o k s t b"}.get(plain, "i h layers t b")
    return "/".join([kind, backend, *(f"{letter}:{size}" for letter, size in zip(letters.split(), shape)),
                     f"threads:{threads}"])


class Runs:
    """The rows of one part by one compiler, as a result set has them, with the rounds run so far."""

    def __init__(self, seconds):
        self.seconds, self.rows = seconds, {}

    def add(self, program, arguments):
        command = [str(program), *arguments, f"--benchmark_min_time={self.seconds}", "--benchmark_format=json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"performance.py: {' '.join(command)} failed:\n{done.stderr}")
        microseconds = {"ns": 1e-3, "us": 1, "ms": 1e3, "s": 1e6}
        for entry in json.loads(done.stdout)["benchmarks"]:
            if entry.get("error_occurred"):
                sys.exit(f"performance.py: {entry['name']}: {entry['error_message']}")
            us = entry["real_time"] * microseconds[entry["time_unit"]]
            row = self.rows.setdefault(entry["name"], {"us": []})
            row["us"].append(float(f"{us:.5g}"))
            # Work a call, from the rate, which the benchmark prints: the same in every round.
            row |= {unit: float(f"{entry[unit + '/s'] * us * 1e-6:.5g}") for unit in ("GMAC", "GB", "G")
                    if unit + "/s" in entry}
            if "of_ceiling" in entry:
                row.setdefault("of_ceiling", []).append(float(f"{entry['of_ceiling']:.3g}"))

    def found(self):
        return {"date": datetime.date.today().isoformat(), "seconds": self.seconds, "rows": self.rows}


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


def known_layers(bench_layers):
    """LAYERS without the kinds that this program does not have."""
    def knows(kind, shape):
        command = [str(bench_layers), *flags(**{kind: [shape]}), "--benchmark_list_tests"]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode == 0 and any(line.startswith(f"{kind}/") for line in done.stdout.splitlines())
    return {kind: shapes for kind, shapes in LAYERS.items() if knows(kind, shapes[0])}


def backends_of(build):
    """Best first, as the dispatcher would choose."""
    names = subprocess.run([str(build / "bench/bench_layers"), "--linear=1,1,1", "--benchmark_list_tests"],
                           capture_output=True, text=True, check=True).stdout.split()
    return [name.split("/")[1] for name in names]


class Measurement:
    """One run: the rounds of some parts with some builds. The first build alone has threads and sweeps."""

    def __init__(self, builds, parts, seconds):
        self.parts, self.seconds, self.runs = parts, seconds, {}
        for build in builds:
            check_build(build)
        self.builds = {compiler_of(build): build / "bench" for build in builds}
        timed = {"layers", "threads"} & set(parts)
        self.layers = {compiler: known_layers(bench / "bench_layers") for compiler, bench in self.builds.items()
                       if timed}
        self.backends = backends_of(builds[0])

    def runs_of(self, part, compiler):
        return self.runs.setdefault((part, compiler), Runs(self.seconds_of(part)))

    def seconds_of(self, part):
        return self.seconds / 2 if part == "kernels" else self.seconds

    def round(self):
        only = f"--benchmark_filter=^[^/]+/{self.backends[0]}/"
        for compiler, bench in self.builds.items():  # in turn, so that what disturbs the machine disturbs all
            if "kernels" in self.parts:
                self.runs_of("kernels", compiler).add(bench / "bench_kernels", flags(**KERNELS))
            if "layers" in self.parts:
                runs, shapes = self.runs_of("layers", compiler), flags(**self.layers[compiler])
                runs.add(bench / "bench_layers", shapes)
                floats = f"--benchmark_filter=^[^/]+_f32/{self.backends[0]}/"
                runs.add(bench / "bench_layers", [*shapes, "--float", floats])
        compiler, bench = next(iter(self.builds.items()))
        cpus = os.cpu_count() or 1
        if "threads" in self.parts and cpus > 1:
            for threads in (1, cpus):
                self.runs_of("threads", compiler).add(
                    bench / "bench_layers", [*flags(**self.layers[compiler]), f"--threads={threads}", only])
        if "sweeps" in self.parts:
            swept = sorted({shape(v) for values, shape in SWEEPS.values() for v in values})
            self.runs_of("sweeps", compiler).add(bench / "bench_layers", [*flags(lstm=swept), "--float", only])

    def put(self, result, earlier):
        for (part, compiler), runs in self.runs.items():
            performance_results.put(result, part, compiler, runs.found(), earlier)
