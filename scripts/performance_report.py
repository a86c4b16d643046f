"""The tables of docs/performance.md, for performance.py."""

import math
import sys

from performance_measure import KERNELS, LINEAR, LSTM, SWEEPS, name_of

PEERS = {"ort-int8": "ONNX Runtime int8", "onednn": "oneDNN int8, static scales", "ort-f32": "ONNX Runtime float"}
SWEEP_NAMES = {"steps": "steps", "hidden_size": "hidden size", "batch": "batch", "layers": "layers"}


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def number(value):
    """Three significant digits, as people write them."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times(ratio):
    return "" if ratio is None else f"{ratio:.2f}"


def percent(part):
    return "" if part is None else f"{100 * part:.0f} %"


def shape_text(kind, shape):
    return f"{kind} {','.join(map(str, shape))}"


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def all_shapes():
    return [("linear", s) for s in LINEAR] + [("lstm", s) for s in LSTM]


def fit_exponent(points):
    """The slope of the least squares line through (log x, log y)."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x, mean_y = (sum(p[i] for p in logs) / len(logs) for i in (0, 1))
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def sweep_points(results, sweep, arithmetic):
    """[(size, microseconds)] of this library on its best backend; arithmetic: int8 or f32."""
    values, shape = SWEEPS[sweep]
    kind = "lstm" if arithmetic == "int8" else "lstm_f32"
    measured = results.get("sweeps", {})
    names = ((v, name_of(kind, results["backends"][0], shape(v))) for v in values)
    return [(v, measured[name]["us"]) for v, name in names if name in measured]


def peer_points(results, sweep, peer):
    values, shape = SWEEPS[sweep]
    known = {tuple(row["shape"]): row["us"].get(peer) for file in results.get("peers", []) for row in file["rows"]
             if row["kind"] == "lstm" and row["threads"] == 1}
    return [(v, known[shape(v)]) for v in values if known.get(shape(v))]


def machine_text(results):
    if "machine" not in results:
        return "Not measured yet."
    m = results["machine"]
    caches = ", ".join(f"{level} {size}" for level, size in m["caches"].items())
    compilers = ", ".join(results.get("kernels") or results.get("layers") or {})
    rounds = "one round" if results["rounds"] == 1 else f"medians of {results['rounds']} rounds"
    return (f"{m['cpu']}{', a virtual machine' if m['virtual'] else ''}, {m['cpus']} CPUs, caches {caches}. "
            f"Built by {compilers}, Release. {m['date']}, {rounds}.")


def ceilings_table(results):
    parts = []
    for compiler, kernels in results.get("kernels", {}).items():
        sizes = sorted({int(name.rsplit(":", 1)[1]) for name in kernels if name.startswith("read/")})
        label = lambda size: f"{size >> 10} KB" if size < 1 << 20 else f"{size >> 20} MB"
        rows = [[f"`{b}`", number(kernels[f"peak/{b}"]["GMAC/s"]),
                 *(number(kernels[f"read/{b}/bytes:{s}"]["GB/s"]) for s in sizes)]
                for b in results["backends"] if f"peak/{b}" in kernels]
        head = ["backend", "peak, GMAC/s", *(f"read {label(s)}, GB/s" for s in sizes)]
        parts.append(f"{compiler}:\n\n" + table(head, rows))
    return "\n\n".join(parts)


def kernels_table(results):
    letters = {"gemm": ("m", "k", "n"), "lstm_step": ("b", "h"), "quantize_rows": ("m", "k")}
    parts = []
    for compiler, kernels in results.get("kernels", {}).items():
        def cell(name):
            entry = kernels.get(name)
            if not entry:
                return ""
            if "of_ceiling" in entry:
                return f"{number(entry['GMAC/s'])}, {percent(entry['of_ceiling'])}"
            return f"{number(entry['GMAC/s'])}" if "GMAC/s" in entry else f"{number(entry['us'])} us"
        rows = []
        for kind, shapes in KERNELS.items():
            for shape in shapes:
                text = "/".join(f"{letter}:{size}" for letter, size in zip(letters[kind], shape))
                rows.append([f"{kind} {text}", *(cell(f"{kind}/{b}/{text}") for b in results["backends"])])
        rows += [[f"{kind} n:4096", *(cell(f"{kind}/{b}/n:4096") for b in results["backends"])]
                 for kind in ("sigmoid", "tanh")]
        parts.append(f"{compiler}:\n\n" + table(["kernel", *(f"`{b}`" for b in results["backends"])], rows))
    return "\n\n".join(parts)


def peers_table(results):
    parts = []
    for file in results.get("peers", []):
        rows, ratios = [], {}
        for row in file["rows"]:
            if (row["kind"], tuple(row["shape"])) not in all_shapes() or not row["ours"]:
                continue
            peers = [p for p in PEERS if p in row["us"]]
            best = min(row["ours"], key=row["ours"].get)
            for peer in peers:  # ort-f32 has no ratio of runs in turn; that of the medians stands for it
                ratios.setdefault(peer, []).append(row["ratios"].get(peer, row["us"][peer] / row["ours"][best]))
            cells = [f"{number(row['us'][p])} ({times(ratios[p][-1])})" for p in peers]
            rows.append([shape_text(row["kind"], row["shape"]), f"`{best}`", *cells])
        if not rows:
            continue
        means = [f"{times(geometric_mean(ratios[p]))}, least {times(min(ratios[p]))}" for p in peers]
        rows.append(["geometric mean", "", *means])
        head = ["layer", "backend here", *(f"{PEERS[p]}, us (times our time)" for p in peers)]
        parts.append(f"{file['what']}:\n\n" + table(head, rows))
    return "\n\n".join(parts)


def backends_table(results):
    parts = []
    for compiler, layers in results.get("layers", {}).items():
        rows = []
        for kind, shape in all_shapes():
            us = [layers.get(name_of(kind, b, shape), {}).get("us") for b in results["backends"]]
            floats = layers.get(name_of(kind + "_f32", results["backends"][0], shape), {}).get("us")
            ratio = times(floats / us[0] if floats and us[0] else None)
            rows.append([shape_text(kind, shape), *map(number, us), number(floats), ratio])
        best = results["backends"][0]
        int8 = [f"`{b}` int8, us" for b in results["backends"]]
        head = ["layer", *int8, f"`{best}` float, us", "int8 against float, times"]
        parts.append(f"{compiler}:\n\n" + table(head, rows))
    return "\n\n".join(parts)


def threads_table(results):
    measured = results.get("threads", {})
    counts = sorted({int(name.rsplit(":", 1)[1]) for name in measured})
    if len(counts) < 2:
        return ""
    rows = []
    for kind, shape in all_shapes():
        us = [measured[name_of(kind, results["backends"][0], shape, n)]["us"] for n in counts]
        rows.append([shape_text(kind, shape), *(times(us[0] / with_more) for with_more in us[1:])])
    return table(["layer", *(f"{n} threads, times faster than one" for n in counts[1:])], rows)


def scaling_table(results):
    rows = []
    for sweep, (values, shape) in SWEEPS.items():
        for arithmetic in ("int8", "f32"):
            points = sweep_points(results, sweep, arithmetic)
            if len(points) < 2:
                continue
            fixed = [str(a) if a == b else "n" for a, b in zip(shape(values[0]), shape(values[1]))]
            sizes, exponents = f"{points[0][0]} to {points[-1][0]}", (fit_exponent(points), fit_exponent(points[-2:]))
            rows.append([SWEEP_NAMES[sweep], f"lstm {','.join(fixed)}", arithmetic, sizes,
                         *(f"{exponent:.2f}" for exponent in exponents)])
    if not rows:
        return ""
    return table(["time against", "shape", "arithmetic", "n", "exponent", "exponent of the last two"], rows)


def tables(results):
    found = {"machine": machine_text(results), "ceilings": ceilings_table(results), "kernels": kernels_table(results),
             "peers": peers_table(results), "backends": backends_table(results), "threads": threads_table(results),
             "scaling": scaling_table(results)}
    return {name: text or "Not measured yet." for name, text in found.items()}


def fill(page, texts):
    """Replaces what stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->` for each name."""
    content = page.read_text()
    for name, text in texts.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        if content.count(begin) != 1 or content.count(end) != 1 or content.index(begin) > content.index(end):
            sys.exit(f"performance.py: {page.name} needs one line {begin} and after it one line {end}")
        head, rest = content.split(begin)
        content = f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}"
    page.write_text(content)
