#!/usr/bin/env python3
"""Measures the library and writes docs/performance.md's tables and plots. Needs nothing but Python's own library.

    scripts/performance.py measure [--quick] [--build DIR ...] [--peers FILE ...] [--parts PART,...]
        runs bench_kernels and bench_layers of each build folder (default build/release) and writes
        docs/performance/results.json
    scripts/performance.py report
        from that file: docs/performance/roofline.svg, docs/performance/scaling.svg and the tables between the markers
        of docs/performance.md, leaving the rest of it as it is
    scripts/performance.py shapes
        the layer shapes of all this as --shape arguments, for a program that times peers

A file of peers' times has lines such as

    ONNX Runtime 1.30.0, 1 thread(s), ...
    lstm 64,64,1,100,1  ort-int8 49.0 us  onednn 46.0 us  | ours avx2 20.0 us  | vs ort-int8 2.45x, vs onednn 2.30x

where `ours` and the ratios come from runs in turn with the peers'.
"""

import argparse
import json
import pathlib
import sys

sys.dont_write_bytecode = True  # no __pycache__ among the sources
import performance_measure  # noqa: E402
import performance_plots  # noqa: E402
import performance_report  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent


def measure(arguments):
    results = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    parts = arguments.parts.split(",")
    if unknown := set(parts) - set(performance_measure.PARTS):
        known = ", ".join(performance_measure.PARTS)
        sys.exit(f"performance.py: no part {', '.join(sorted(unknown))}; there are {known}")
    rounds = arguments.rounds or (1 if arguments.quick else 5)
    seconds = 0.02 if arguments.quick else 0.2
    builds = arguments.build or [ROOT / "build/release"]
    def save(found):
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")
        print(f"wrote {arguments.out}", flush=True)

    performance_measure.measure(results, builds, parts, rounds, seconds, arguments.peers, save)


def report(arguments):
    if not arguments.results.exists():
        sys.exit(f"performance.py: there is no {arguments.results}: run `performance.py measure` first")
    results = json.loads(arguments.results.read_text())
    plots = {"roofline.svg": performance_plots.roofline(results), "scaling.svg": performance_plots.scaling(results)}
    for name, text in plots.items():
        arguments.results.with_name(name).write_text(text)
    performance_report.fill(arguments.page, performance_report.tables(results))
    print(f"wrote {arguments.page} and {', '.join(plots)} in {arguments.results.parent}")


def shapes(_):
    print(" ".join(f"--shape {kind}:{','.join(map(str, shape))}" for kind, shape in performance_measure.peer_shapes()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    results = ROOT / "docs/performance/results.json"

    command = commands.add_parser("measure", help="run the benchmarks")
    command.set_defaults(run=measure)
    command.add_argument("--out", type=pathlib.Path, default=results)
    command.add_argument("--build", type=pathlib.Path, action="append",
                         help="a Release build folder; may be repeated, for other compilers")
    command.add_argument("--quick", action="store_true", help="one short round: to try the scripts, not to quote")
    command.add_argument("--rounds", type=int, help="default 5; the median counts")
    command.add_argument("--peers", type=pathlib.Path, action="append", default=[],
                         help="a file of peers' times; may be repeated")
    command.add_argument("--parts", default=",".join(performance_measure.PARTS),
                         help="measure these alone and keep the others of --out (default: %(default)s)")

    command = commands.add_parser("report", help="write tables and plots")
    command.set_defaults(run=report)
    command.add_argument("--results", type=pathlib.Path, default=results)
    command.add_argument("--page", type=pathlib.Path, default=ROOT / "docs/performance.md")

    commands.add_parser("shapes", help="print the layer shapes").set_defaults(run=shapes)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
