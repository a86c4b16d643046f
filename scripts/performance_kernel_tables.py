"""The tables of kernels and their limits, for performance.py."""

import re

from performance_measure import KERNELS
from performance_results import best_backend, compilers, median, rates, rows_of
from performance_text import figure, number, percent, sections, table

LETTERS = {"gemm": "mkn", "lstm_step": "bh", "quantize_rows": "mk"}


def size_text(size):
    return f"{size >> 10} KB" if size < 1 << 20 else f"{size >> 20} MB"


def sizes_of(rows, kind):
    return sorted({int(name.rsplit(":", 1)[1]) for name in rows if name.startswith(f"{kind}/")})


def rate_cell(rows, name, unit):
    return number(median(rates(rows[name], unit))) if name in rows else ""


def ceilings_table(result):
    rows = rows_of(result, "kernels")
    loads, reads, fours = (sizes_of(rows, kind) for kind in ("peak_from_memory", "read", "read_four"))
    lines = [[f"`{b}`", rate_cell(rows, f"peak/{b}", "GMAC"),
              *(rate_cell(rows, f"peak_from_memory/{b}/bytes:{s}", "GMAC") for s in loads),
              *(rate_cell(rows, f"read/{b}/bytes:{s}", "GB") for s in reads),
              *(rate_cell(rows, f"read_four/{b}/bytes:{s}", "GB") for s in fours)]
             for b in result["backends"] if f"peak/{b}" in rows]
    head = ["backend", "peak, GMAC/s", *(f"peak, operands from {size_text(s)}, GMAC/s" for s in loads),
            *(f"read {size_text(s)}, GB/s" for s in reads), *(f"{size_text(s)} in four streams, GB/s" for s in fours)]
    return table(head, lines) if lines else ""


def kernel_cell(row, spread):
    """The rate and its part of the ceiling; microseconds of what has no rate. A spread is that of the rounds."""
    if not row:
        return ""
    unit = next((u for u in ("GMAC", "GB") if u in row), None)
    values = rates(row, unit) if unit else row["us"]
    text = figure(values, number) if spread else number(median(values))
    text += {"GMAC": "", "GB": " GB/s", None: " us"}[unit]
    return f"{text}, {percent(median(row['of_ceiling']))}" if "of_ceiling" in row else text


def kernels_table(result):
    rows = rows_of(result, "kernels")
    best = best_backend(result, rows)
    have = {name.split("/")[1] for name in rows}
    columns = {f"`{b}`": (b, rows) for b in result["backends"] if b in have}
    columns |= {f"`{best}` by {c}": (best, rows_of(result, "kernels", c)) for c in compilers(result, "kernels")[1:]}
    shapes = [(kind, "/".join(f"{letter}:{size}" for letter, size in zip(LETTERS[kind], shape)))
              for kind, of_kind in KERNELS.items() for shape in of_kind]
    lines = []
    for kind, shape in [*shapes, ("sigmoid", "n:4096"), ("tanh", "n:4096")]:
        cells = [kernel_cell(found.get(f"{kind}/{b}/{shape}"), title == f"`{best}`")
                 for title, (b, found) in columns.items()]
        if any(cells):
            lines.append([f"{kind} {shape}", *cells])
    return table(["kernel", *columns], lines) if lines else ""


def tiles_table(result):
    """Products of few rows in both forms, of backends that have two."""
    rows, lines = rows_of(result, "kernels"), []
    found = [re.fullmatch(r"tile_gemm/(\w+)/m:(\d+)/k:(\d+)/n:(\d+)", name) for name in rows]
    for backend, m, k, n in sorted((f[1], *map(int, f.groups()[1:])) for f in found if f):
        shape = f"{backend}/m:{m}/k:{k}/n:{n}"
        tile, vector = (rows.get(f"{form}/{shape}") for form in ("tile_gemm", "vector_gemm"))
        lines.append([f"`{backend}`", f"{m},{k},{n}", *(number(median(rates(row, "GMAC"))) if row else ""
                                                       for row in (tile, vector))])
    return table(["backend", "M,K,N", "tiles, GMAC/s", "vectors, GMAC/s"], lines) if lines else ""


def ceilings(sets):
    return sections(sets, "kernels", ceilings_table)


def kernels(sets):
    return sections(sets, "kernels", kernels_table)


def tiles(sets):
    return sections(sets, "kernels", tiles_table)
