"""Reads other programs' times of the same layers, for performance.py."""

import datetime
import json
import re
import sys

from performance_results import joined


def parse_line(line):
    """{"kind", "shape", "us": {peer: time}, "ours": {backend: time}, "ratios": {peer: factor}} or None. A factor says
    how many times faster this library was."""
    match = re.match(r"(linear|lstm|gru|conv1d)\s+([\d,]+)\s+([^|]*)(?:\|\s*ours\s+([^|]*) us\s*(?:\|(.*))?)?$", line)
    if not match:
        return None
    kind, shape, times, ours, ratios = match.groups()
    return {"kind": kind, "shape": [int(s) for s in shape.split(",")],
            "us": {k: float(v) for k, v in re.findall(r"(\S+)\s+([\d.]+) us", times)},
            "ours": {k: float(v) for k, v in re.findall(r"(\S+)\s+([\d.]+)", ours or "")},
            "ratios": {k: float(v) for k, v in re.findall(r"vs (\S+) ([\d.]+)x", ratios or "")}}


def parse(text, name):
    """A file of times: (what it compares with, the parsed rows). `name` is for messages."""
    if text.lstrip().startswith("{"):
        try:
            data = json.loads(text)
            what, rows = data["what"], data["rows"]
            rows = [{"ours": {}, "ratios": {}} | {key: row[key] for key in row} for row in rows]
            if not all({"kind", "shape", "us"} <= row.keys() for row in rows):
                raise KeyError("kind, shape or us")
        except (ValueError, KeyError, TypeError) as error:
            sys.exit(f"performance.py: {name} is no JSON of peers' times: {error!r}")
    else:
        what = next(iter(text.splitlines()), "")
        rows = [row for row in map(parse_line, text.splitlines()) if row]
    if not rows:
        sys.exit(f"performance.py: no line of {name} is a row of peers' times")
    return what, rows


def group_of(what):
    """Files that can be rounds of one another have the same name and number of threads: 'ONNX Runtime 1.30.0,
    1 thread(s)'."""
    return re.sub(r",? *median of .*$", "", what.split(";")[0]).strip()


def groups(texts):
    """{group: what a result set has of it} of files as (name, text)."""
    found = {}
    for name, text in texts:
        what, rows = parse(text, name)
        threads = re.search(r"(\d+) thread", what)
        medians = re.search(r"median of (\d+) rounds", what)
        group = {"date": datetime.date.today().isoformat(), "threads": int(threads[1]) if threads else 1,
                 "rounds": [int(medians[1]) if medians else 1], "rows": {}}
        for row in rows:
            key = f"{row['kind']} {','.join(map(str, row['shape']))}"
            group["rows"][key] = {part: {who: [value] for who, value in row[part].items()}
                                  for part in ("us", "ours", "ratios")}
        found[group_of(what)] = joined(found.get(group_of(what)), group)
    return found
