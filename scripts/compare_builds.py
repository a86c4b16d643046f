#!/usr/bin/env python3
"""compare_builds.py BASE_BENCH_LAYERS NEW_BENCH_LAYERS [--runs N] [--seconds S] [--floor RATIO]

Times the layers of docs/performance.md with two builds of bench_layers in turn, so that both see the same machine, and
prints for each row and backend the median of each and the ratio base / new: above 1, the new build is faster. The exit
code is 1 if a ratio is below the floor, or the geometric mean below 0.995.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys

LINEAR = ["1,1024,1024", "1,4096,4096", "16,1024,1024", "128,1024,1024", "512,1024,1024"]
LSTM = ["64,64,1,100,1", "128,128,1,100,1", "512,512,2,35,1", "1024,1024,1,50,1", "64,64,1,50,8", "512,512,2,35,16",
        "1024,1024,1,50,32"]


def run(program, seconds, name=None):
    shapes = [f"--linear={s}" for s in LINEAR] + [f"--lstm={s}" for s in LSTM]
    choice = [f"--benchmark_filter=^{name}$"] if name else ["--benchmark_list_tests"]
    command = [program, *shapes, f"--benchmark_min_time={seconds}", "--benchmark_format=json", *choice]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    if not name:
        return [line for line in result.stdout.splitlines() if line.strip()]
    for row in json.loads(result.stdout)["benchmarks"]:
        if "error_occurred" in row and row["error_occurred"]:
            raise SystemExit(f"{program}: {row['name']}: {row['error_message']}")
        return row["cpu_time"] * {"ns": 1, "us": 1e3, "ms": 1e6}[row["time_unit"]]
    raise SystemExit(f"{program} has no row {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("new")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--floor", type=float, default=0.97)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    a = parser.parse_args()
    os.environ.pop("BYTEGATE_BACKEND", None)
    in_new = set(run(a.new, a.seconds))
    names = [n for n in run(a.base, a.seconds) if n in in_new and a.only in n]
    ratios = {}
    for name in names:
        times = ([], [])
        for i in range(a.runs):
            for which in (0, 1) if i % 2 == 0 else (1, 0):
                times[which].append(run((a.base, a.new)[which], a.seconds, name))
        base, new = map(statistics.median, times)
        ratios[name] = base / new
        print(f"{name:45} {base / 1e3:10.1f} us {new / 1e3:10.1f} us {base / new:7.3f}", flush=True)
    mean = math.exp(statistics.fmean(math.log(r) for r in ratios.values()))
    low = [name for name, ratio in ratios.items() if ratio < a.floor]
    print(f"geometric mean {mean:.4f} of {len(ratios)} rows; below {a.floor}: {', '.join(low) or 'none'}")
    sys.exit(1 if low or mean < 0.995 else 0)


main()
