"""How numbers, layers and tables are written, for the tables of performance.py."""

from performance_machine import cpu_title
from performance_results import best_backend, compilers, median


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


def figure(values, write):
    """'1.29 (1.25 to 1.33)': median, least and most of the rounds; of one round the number alone."""
    if not values:
        return ""
    if len(values) == 1:
        return write(values[0])
    return f"{write(median(values))} ({write(min(values))} to {write(max(values))})"


def layer_text(kind, shape):
    return f"{kind} {','.join(map(str, shape))}"


def label(result):
    best = best_backend(result)
    return f"{cpu_title(result['machine'])}, `{best}`" if best else cpu_title(result["machine"])


def side_by_side(first, sets, rows, more=lambda name: ""):
    """A table with a column for each CPU, without rows and columns that have no figure. Nothing if none has."""
    kept = [i for i in range(len(sets)) if any(row[i + 1] for row in rows)]
    rows = [[row[0], *(row[i + 1] for i in kept)] for row in rows if any(row[1:])]
    names = list(sets)
    head = [first, *(label(sets[names[i]]) + more(names[i]) for i in kept)]
    return table(head, rows) if rows and kept else ""


def sections(sets, part, make):
    """A table for each CPU that has one, under its name and the compiler of its figures."""
    texts = ((result, make(result)) for result in sets.values())
    return "\n\n".join(f"**{label(result)}**, {compilers(result, part)[0]}:\n\n{text}" for result, text in texts
                       if text)
