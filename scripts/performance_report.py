"""The tables of docs/performance.md and README.md, for performance.py. A `result` is the set of one CPU, `sets` has all
of them by name (performance_results.py)."""

import math
import re
import sys

from performance_kernel_tables import ceilings, kernels, tiles
from performance_measure import PLOTTED, SWEEPS, layer_shapes, name_of
from performance_results import (BENCHMARKED, best_backend, compilers, median, quotients, rounds_of, rows_of)
from performance_text import figure, label, layer_text, number, sections, side_by_side, table, times

PEERS = {"ort-int8": "ONNX Runtime int8", "onednn": "oneDNN int8 with static scales", "ort-f32": "ONNX Runtime float"}
SWEEP_NAMES = {"steps": "steps", "hidden_size": "hidden size", "batch": "batch", "layers": "layers"}
# What README shows, of one thread beside the int8 of ONNX Runtime.
README_ROWS = [("linear", (1, 1024, 1024)), ("linear", (128, 1024, 1024)), ("lstm", (64, 64, 1, 100, 1)),
               ("lstm", (512, 512, 2, 35, 1)), ("lstm", (512, 512, 2, 35, 16))]


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def fit_exponent(points):
    """The slope of the least squares line through (log x, log y)."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x, mean_y = (sum(p[i] for p in logs) / len(logs) for i in (0, 1))
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def sweep_points(result, sweep, arithmetic):
    """[(size, microseconds)] of this library on the best backend that was swept; arithmetic: int8 or f32."""
    values, shape = SWEEPS[sweep]
    rows = rows_of(result, "sweeps")
    kind, best = "lstm" if arithmetic == "int8" else "lstm_f32", best_backend(result, rows)
    names = ((v, name_of(kind, best, shape(v))) for v in values) if best else ()
    return [(v, median(rows[name]["us"])) for v, name in names if name in rows]


def peer_group(result, threads=1):
    """(what it is, its group) of the newest comparison with that many threads, or (None, no rows)."""
    groups = [(group["date"], what, group) for what, group in result.get("peers", {}).items()
              if group["threads"] == threads]
    return max(groups, key=lambda g: g[:2])[1:] if groups else (None, {"rows": {}, "rounds": []})


def peer_points(result, sweep, peer):
    values, shape = SWEEPS[sweep]
    rows = peer_group(result)[1]["rows"]
    us = {v: rows.get(layer_text("lstm", shape(v)), {}).get("us", {}).get(peer) for v in values}
    return [(v, median(values_of_rounds)) for v, values_of_rounds in us.items() if values_of_rounds]


def peer_ratios(row, peer):
    """How many times as long as this library's best backend the peer took, for every file of times."""
    if peer in row["ratios"]:
        return row["ratios"][peer]  # of runs in turn
    if not row["ours"]:
        return []
    return quotients(row["us"].get(peer), min(row["ours"].values(), key=median))


def machines(sets):
    rows = []
    for name, result in sets.items():
        m = result["machine"]
        parts = {part: (compilers(result, part), max((found["date"] for found in result[part].values()), default=""),
                        max((rounds_of(found["rows"]) for found in result[part].values()), default=0))
                 for part in BENCHMARKED if part in result}
        by = list(dict.fromkeys(c for names, _, _ in parts.values() for c in names))
        rounds = sorted({count for _, _, count in parts.values()})
        rows.append([label(result), f"{m['cpus']}{', virtual' if m['virtual'] else ''}",
                     ", ".join(f"{level} {size}" for level, size in m["caches"].items()), ", ".join(by),
                     max((date for _, date, _ in parts.values()), default=""),
                     "-".join(map(str, dict.fromkeys([*rounds[:1], *rounds[-1:]]))),
                     f"[{name}.json](performance/{name}.json)"])
    head = ["CPU and its best backend", "CPUs", "caches", "built by, Release", "date", "rounds", "result set"]
    return table(head, rows)


def mean_ratios(rows, peer):
    """The geometric mean over the rows, of every file where all rows have as many, else of the medians."""
    lists = [values for values in (peer_ratios(row, peer) for row in rows) if values]
    if lists and len({len(values) for values in lists}) == 1:
        return [geometric_mean(values) for values in zip(*lists)]
    return [geometric_mean([median(values) for values in lists])] if lists else []


def int8_rows(group, of=None):
    """The rows of linear and lstm in the tables, in their order."""
    shapes = of or [(kind, shape) for kind, shape in layer_shapes() if kind in ("linear", "lstm")]
    return [group["rows"][text] for text in (layer_text(*s) for s in shapes) if text in group["rows"]]


def peers_table(sets, peer, threads):
    groups = {name: peer_group(result, threads)[1] for name, result in sets.items()}
    rows = []
    for shape in layer_shapes():
        found = [groups[name]["rows"].get(layer_text(*shape)) for name in sets]
        rows.append([layer_text(*shape), *([figure(peer_ratios(row, peer), times) if row else "" for row in found])])
    means = [figure(mean_ratios(int8_rows(groups[name]), peer), times) for name in sets]
    least = [min((median(r) for r in (peer_ratios(row, peer) for row in int8_rows(groups[name])) if r), default=None)
             for name in sets]
    return side_by_side("layer", sets, [*rows, ["geometric mean of linear and lstm", *means],
                                        ["least of linear and lstm", *map(times, least)]])


def peers(sets):
    texts = []
    for threads in sorted({g["threads"] for result in sets.values() for g in result.get("peers", {}).values()}):
        known = {name: peer_group(result, threads) for name, result in sets.items()}
        notes = [f"{label(sets[name])}: {rounds_text(what, group)}" for name, (what, group) in known.items() if what]
        texts.append("\n".join(f"- {note}" for note in notes))
        for peer, title in PEERS.items():
            if text := peers_table(sets, peer, threads):
                count = "one thread" if threads == 1 else f"{threads} threads"
                texts.append(f"**{title}**, {count}:\n\n{text}")
    return "\n\n".join(texts)


def rounds_text(what, group):
    """'ONNX Runtime 1.30.0, this library built by g++ 12.2.0, 2026-11-24, 5 rounds'"""
    files, least = len(group["rounds"]), min(group["rounds"])
    if files == 1:
        rounds = "one round" if least == 1 else f"median of {least} rounds, whose spread is not known"
    else:
        rounds = f"{files} rounds" if least == 1 else f"{files} runs, each the median of {least} rounds"
    name = re.sub(r", \d+ thread\S*$", "", what)
    return f"{name}, this library built by {group['compiler']}, {group['date']}, {rounds}"


def best_layers(result):
    """(the backend, the rows of the first compiler): what the one figure of a layer and CPU is taken from."""
    rows = rows_of(result, "layers")
    return best_backend(result, rows), rows


def layers(sets):
    rows = []
    for kind, shape in layer_shapes():
        cells = []
        for result in sets.values():
            best, measured = best_layers(result)
            cells.append(figure(measured.get(name_of(kind, best, shape), {}).get("us"), number) if best else "")
        rows.append([layer_text(kind, shape), *cells])
    return side_by_side("layer", sets, rows)


def backends_table(result):
    """Times relative to those of `layers`: other backends, other compilers, and float."""
    best, rows = best_layers(result)
    if not best:
        return ""
    have = {name.split("/")[1] for name in rows}
    others = [b for b in result["backends"] if b in have and b != best]
    columns = {f"`{b}`": (b, rows, "") for b in others}
    columns |= {f"`{best}` by {c}": (best, rows_of(result, "layers", c), "") for c in compilers(result, "layers")[1:]}
    columns[f"`{best}` float"] = (best, rows, "_f32")
    lines = []
    for kind, shape in layer_shapes():
        base = rows.get(name_of(kind, best, shape), {}).get("us")
        cells = [times(median(quotients(found.get(name_of(kind + suffix, b, shape), {}).get("us"), base)))
                 for b, found, suffix in columns.values()]
        if any(cells):
            lines.append([layer_text(kind, shape), *cells])
    return table(["layer", *columns], lines) if lines else ""


def backends(sets):
    return sections(sets, "layers", backends_table)


def threads(sets):
    rows = []
    counts = {name: max((int(row.rsplit(":", 1)[1]) for row in rows_of(result, "threads")), default=1)
              for name, result in sets.items()}
    for kind, shape in layer_shapes():
        cells = []
        for name, result in sets.items():
            measured = rows_of(result, "threads")
            best = best_backend(result, measured)
            one, many = ((measured.get(name_of(kind, best, shape, n), {}).get("us") for n in (1, counts[name]))
                         if best else (None, None))
            cells.append(figure(quotients(one, many), times) if counts[name] > 1 else "")
        rows.append([layer_text(kind, shape), *cells])
    return side_by_side("layer", sets, rows, lambda name: f", {counts[name]} threads")


def scaling(sets):
    rows = []
    for sweep, (values, shape) in SWEEPS.items():
        fixed = [str(a) if a == b else "n" for a, b in zip(shape(values[0]), shape(values[1]))]
        for arithmetic in ("int8", "f32"):
            cells = []
            for result in sets.values():
                points = sweep_points(result, sweep, arithmetic)
                fits = [fit_exponent(points), fit_exponent(points[-2:])] if len(points) > 1 else []
                cells.append(", ".join(f"{exponent:.2f}" for exponent in fits))
            rows.append([f"{SWEEP_NAMES[sweep]}, lstm {','.join(fixed)}, n = {values[0]} to {values[-1]}, {arithmetic}",
                         *cells])
    return side_by_side("time against", sets, rows)


def plots(kind, part, text):
    def images(sets):
        return "\n\n".join(f"![{label(result).replace('`', '')}: {text}](performance/{name}-{kind}.svg)"
                           for name, result in sets.items() if part in result)
    return images


def readme_figures(sets):
    groups = {name: peer_group(result) for name, result in sets.items()}
    rows = [[layer_text(*shape), *(figure(peer_ratios(row, "ort-int8"), times) if row else ""
                                   for row in (group["rows"].get(layer_text(*shape)) for _, group in groups.values()))]
            for shape in README_ROWS]
    means = [figure(mean_ratios(int8_rows(group), "ort-int8"), times) for _, group in groups.values()]
    rows.append(["geometric mean of all rows of [linear and lstm](docs/performance.md)", *means])
    notes = [f"{label(sets[name])}: {rounds_text(what, group)}" for name, (what, group) in groups.items() if what]
    text = side_by_side("layer", sets, rows)
    return text and f"{text}\n\n" + "; ".join(notes) + "."


def tables(sets):
    made = {"machines": machines, "peers": peers, "layers": layers, "backends": backends, "threads": threads,
            "ceilings": ceilings, "kernels": kernels, "tiles": tiles,
            "roofline": plots("roofline", "kernels", "GMAC/s of the kernels against rows, under the peak of each "
                              "backend and the read bandwidths"),
            "scaling": scaling,
            "scaling-plots": plots("scaling", "sweeps", "time of an LSTM layer against "
                                   + " and ".join(SWEEP_NAMES[s] for s in PLOTTED)),
            "figures": readme_figures}
    absent = {"tiles": "None of the CPUs measured has such a backend."}
    return {name: make(sets) or absent.get(name, "Not measured yet.") for name, make in made.items()}


def filled(page, texts):
    """The page with what stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->` replaced for each name."""
    content = page.read_text(encoding="utf-8")
    for name, text in texts.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        if begin not in content and end not in content:
            continue  # it belongs to another page
        if content.count(begin) != 1 or content.count(end) != 1 or content.index(begin) > content.index(end):
            sys.exit(f"performance.py: {page.name} needs one line {begin} and after it one line {end}")
        head, rest = content.split(begin)
        content = f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}"
    return content


def check_markers(contents, texts):
    """Every table has its place in one of the pages."""
    placed = {name for content in contents for name in re.findall(r"<!-- begin: ([\w-]+) -->", content)}
    if missing := sorted(texts.keys() - placed):
        sys.exit(f"performance.py: no page has the markers of {', '.join(missing)}")
