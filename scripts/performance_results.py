"""Result sets of performance.py: what was measured on one CPU, a JSON file each.

A set has the keys `machine`, `backends` (best first) and the parts that were measured:

    kernels, layers, threads, sweeps:
        {compiler: {"date", "seconds", "rows": {benchmark's name: row}}}
    peers:
        {"ONNX Runtime 1.30.0, 1 thread(s)":
            {"date", "threads", "compiler", "rounds", "rows": {"lstm 64,64,1,100,1": row}}}

A row of a benchmark has its microseconds of every round (`us`), the work of a call in units of 10^9 (`GMAC`, `GB`, `G`)
and, if it has a ceiling, its part of that in every round (`of_ceiling`). A row of peers has, for every file of times,
those of the peers (`us`), of this library's backends (`ours`), and how many times faster this library was (`ratios`).
`rounds` says of how many rounds each file has the medians.
"""

import json
import re
import statistics
import sys

BENCHMARKED = ("kernels", "layers", "threads", "sweeps")
PARTS = (*BENCHMARKED, "peers")


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def load_all(folder):
    """{name of the file without its ending: set}, in the order of names."""
    return {path.stem: load(path) for path in sorted(folder.glob("*.json"))}


def text_of(result):
    """JSON with a line for each row, so that a difference of two versions can be read."""
    rows = []

    def mark(value, depth):
        if depth == 0 or not isinstance(value, dict):
            rows.append(json.dumps(value))
            return f"@{len(rows) - 1}@"
        return {key: mark(v, depth - 1) for key, v in value.items()}

    marked = {key: mark(value, 3 if key in PARTS else 0) for key, value in result.items()}
    return re.sub(r'"@(\d+)@"', lambda match: rows[int(match[1])], json.dumps(marked, indent=1)) + "\n"


def save(path, result):
    ordered = {key: result[key] for key in ("machine", "backends", *PARTS) if key in result}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text_of(ordered), encoding="utf-8")


def joined(old, new):
    """A row with the rounds of both: lists one after the other, other numbers of the newer."""
    if isinstance(new, list):
        return [*(old or []), *new]
    if isinstance(new, dict):
        return {key: joined((old or {}).get(key), new[key]) if key in new else old[key]
                for key in dict.fromkeys([*(old or {}), *new])}
    return new


def put(result, part, key, found, earlier=None):
    """Sets what was found of a part by a compiler, or for a group of peers. Without `earlier` it takes the place of
    what was there; with it, its rounds are added to those of that set. Other parts and keys stay as they are."""
    old = (earlier or {}).get(part, {}).get(key)
    result.setdefault(part, {})[key] = joined(old, found) if old else found


def check_addable(earlier, seconds_of):
    """Rounds are added only to rounds that lasted as long."""
    for part, seconds in seconds_of.items():
        for key, found in earlier.get(part, {}).items():
            if found.get("seconds") not in (None, seconds):
                sys.exit(f"performance.py: {part} by {key} was measured for {found['seconds']} s a row, not for "
                         f"{seconds}: without --add the new rounds replace it")


def compilers(result, part):
    return list(result.get(part, {}))


def rows_of(result, part, compiler=None):
    """The rows of a part by one compiler, or by the first."""
    found = result.get(part, {})
    compiler = compiler or next(iter(found), None)
    return found.get(compiler, {}).get("rows", {})


def best_backend(result, rows=None):
    """The best backend of the set, or the best one that rows have (an older part may not know the newest backend)."""
    have = None if rows is None else {name.split("/")[1] for name in rows}
    return next((b for b in result.get("backends", []) if have is None or b in have), None)


def rounds_of(rows):
    return max((len(row["us"]) for row in rows.values()), default=0)


def rates(row, unit):
    """10^9 multiply-adds, bytes or values a second, of every round."""
    return [row[unit] / us * 1e6 for us in row["us"]]


def median(values):
    return statistics.median(values) if values else None


def quotients(above, below):
    """Round by round if both have as many rounds, else of the medians."""
    if not above or not below:
        return []
    if len(above) == len(below):
        return [a / b for a, b in zip(above, below)]
    return [median(above) / median(below)]
