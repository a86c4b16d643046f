#!/usr/bin/env python3
"""Measures the library and writes docs/performance.md's tables and plots. Needs nothing but Python's own library.

    scripts/performance.py measure [--quick] [--build DIR ...] [--peers FILE ...] [--parts PART,...] [--add]
        runs bench_kernels and bench_layers of each build folder (default build/release) and writes the result set of
        this CPU, docs/performance/CPU-BACKEND.json, named after the CPU and the best backend that it can run. A run
        replaces what the set has of the parts and compilers that it measured and of the peers that the files name;
        with --add it adds its rounds to them. It leaves everything else in the set, and the sets of other CPUs, as
        they are.
    scripts/performance.py report [--check]
        from all result sets: two plots for each in docs/performance/, and the tables between the markers of
        docs/performance.md and README.md, leaving the rest of them as it is. With --check it writes nothing and fails
        if it would.
    scripts/performance.py name
        the name of this CPU's result set
    scripts/performance.py shapes
        the layer shapes of all this as --shape arguments, for a program that times peers

A file of peers' times has lines such as

    ONNX Runtime 1.30.0, 1 thread(s), ...
    lstm 64,64,1,100,1  ort-int8 49.0 us  onednn 46.0 us  | ours avx2 20.0 us  | vs ort-int8 2.45x, vs onednn 2.30x

where `ours` and the ratios come from runs in turn with the peers'; or it is JSON:

    {"what": "ONNX Runtime 1.30.0, 1 thread(s)", "rows": [{"kind": "lstm", "shape": [64, 64, 1, 100, 1],
     "us": {"ort-int8": 49.0}, "ours": {"BACKEND": 20.0}, "ratios": {"ort-int8": 2.45}}]}

Files whose first lines agree up to the number of threads are rounds of one comparison. They are times of the first
build.
"""

import argparse
import copy
import pathlib
import sys

sys.dont_write_bytecode = True  # no __pycache__ among the sources
import performance_machine  # noqa: E402
import performance_measure  # noqa: E402
import performance_peers  # noqa: E402
import performance_plots  # noqa: E402
import performance_report  # noqa: E402
import performance_results  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs/performance"


def measure(arguments):
    parts = arguments.parts.split(",")
    if unknown := set(parts) - set(performance_results.PARTS):
        known = ", ".join(performance_results.PARTS)
        sys.exit(f"performance.py: no part {', '.join(sorted(unknown))}; there are {known}")
    if "peers" not in parts and arguments.peers:
        sys.exit("performance.py: --peers without the part peers")
    rounds = arguments.rounds or (1 if arguments.quick else 5)
    seconds = arguments.seconds or (0.02 if arguments.quick else 0.2)
    run = performance_measure.Measurement(arguments.build or [ROOT / "build/release"], parts, seconds)
    machine = performance_machine.machine()
    folder = ROOT / "build/quick" if arguments.quick else RESULTS
    out = arguments.out or folder / f"{performance_machine.slug(machine, run.backends[0])}.json"

    earlier = performance_results.load(out) if out.exists() else {}
    result = copy.deepcopy(earlier) | {"machine": machine, "backends": run.backends}
    measured = [part for part in performance_results.BENCHMARKED if part in parts]
    added_to = earlier if arguments.add else None
    if added_to:
        performance_results.check_addable(added_to, {part: run.seconds_of(part) for part in measured})
    peers = performance_peers.groups((path.name, path.read_text()) for path in arguments.peers)
    for group, found in peers.items():
        found["compiler"] = next(iter(run.builds))
        performance_results.put(result, "peers", group, found, added_to)
    for number in range(rounds if measured else 0):
        print(f"round {number + 1} of {rounds}", flush=True)
        run.round()
        run.put(result, added_to)
        performance_results.save(out, result)  # after every round: a run that is cut short leaves results
        print(f"wrote {out}", flush=True)
    if not measured:
        performance_results.save(out, result)
        print(f"wrote {out}", flush=True)


def texts_of_report(folder, pages):
    """{path: what the report makes of the file}."""
    sets = performance_results.load_all(folder)
    if not sets:
        sys.exit(f"performance.py: there is no result set in {folder}: run `performance.py measure` first")
    texts = {}
    for name, result in sets.items():
        if "kernels" in result:
            texts[folder / f"{name}-roofline.svg"] = performance_plots.roofline(result)
        if "sweeps" in result:
            texts[folder / f"{name}-scaling.svg"] = performance_plots.scaling(result)
    tables = performance_report.tables(sets)
    for page in pages:
        texts[page] = performance_report.filled(page, tables)
    performance_report.check_markers([texts[page] for page in pages], tables)
    return texts


def report(arguments):
    texts = texts_of_report(arguments.results, arguments.page or [ROOT / "docs/performance.md", ROOT / "README.md"])
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    plots = set(arguments.results.glob("*-roofline.svg")) | set(arguments.results.glob("*-scaling.svg"))
    orphans = sorted(plots - set(texts))
    if arguments.check and (stale or orphans):
        sys.exit("performance.py: run `performance.py report`, which would change "
                 + ", ".join(str(path) for path in [*stale, *orphans]))
    for path in stale:
        path.write_text(texts[path], encoding="utf-8")
        print(f"wrote {path}")
    for path in orphans:
        path.unlink()
        print(f"removed {path}, a plot of nothing that was measured")


def name(arguments):
    backends = performance_measure.backends_of(arguments.build)
    print(performance_machine.slug(performance_machine.machine(), backends[0]))


def shapes(_):
    print(" ".join(f"--shape {kind}:{','.join(map(str, shape))}" for kind, shape in performance_measure.peer_shapes()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("measure", help="run the benchmarks")
    command.set_defaults(run=measure)
    command.add_argument("--out", type=pathlib.Path, help="another file than the set of this CPU")
    command.add_argument("--build", type=pathlib.Path, action="append",
                         help="a Release build folder; may be repeated, for other compilers")
    command.add_argument("--quick", action="store_true",
                         help="one short round, written to build/quick: to try the scripts, not to quote")
    command.add_argument("--rounds", type=int, help="default 5; the median counts")
    command.add_argument("--seconds", type=float, help="of each row and round; default 0.2, of kernels half of that")
    command.add_argument("--peers", type=pathlib.Path, action="append", default=[],
                         help="a file of peers' times; may be repeated, and each file is a round")
    command.add_argument("--parts", default=",".join(performance_results.PARTS),
                         help="measure these alone (default: %(default)s)")
    command.add_argument("--add", action="store_true", help="add rounds to those of the set, for the same library")

    command = commands.add_parser("report", help="write tables and plots")
    command.set_defaults(run=report)
    command.add_argument("--results", type=pathlib.Path, default=RESULTS, help="the folder of the result sets")
    command.add_argument("--page", type=pathlib.Path, action="append", help="a page with markers; may be repeated")
    command.add_argument("--check", action="store_true", help="fail if something would change")

    command = commands.add_parser("name", help="print the name of this CPU's result set")
    command.set_defaults(run=name)
    command.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")

    commands.add_parser("shapes", help="print the layer shapes").set_defaults(run=shapes)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
