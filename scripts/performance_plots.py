"""The plots of docs/performance.md as SVG, for performance.py."""

import math
from html import escape

from performance_machine import cpu_title
from performance_measure import KERNELS, PLOTTED, SWEEPS
from performance_report import fit_exponent, peer_points, sweep_points
from performance_results import best_backend, compilers, median, rates, rows_of
from performance_text import number

INK, FAINT, PAPER = "#222222", "#dddddd", "#ffffff"
# Okabe and Ito's colours, which those who see red and green alike can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666")


class Svg:
    def __init__(self, width, height, title):
        self.parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
                      f'height="{height}" font-family="Helvetica, Arial, DejaVu Sans, sans-serif" '
                      f'font-size="13" fill="{INK}">',
                      f"<title>{escape(title)}</title>", f'<rect width="{width}" height="{height}" fill="{PAPER}"/>']

    def line(self, x1, y1, x2, y2, colour=INK, width=1.0, dash=""):
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
                          f'stroke-width="{width}"{dashed}/>')

    def path(self, points, colour, width=2.0, dash=""):
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="{width}" '
                          f'stroke-linejoin="round"{dashed}/>')

    def mark(self, x, y, colour, shape="circle", filled=True, size=4.0):
        paint = f'fill="{colour if filled else PAPER}" stroke="{colour}" stroke-width="1.5"'
        if shape == "circle":
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" {paint}/>')
        else:
            s = size + 1
            self.parts.append(f'<path d="M{x:.1f},{y - s:.1f} l{s},{s} l{-s},{s} l{-s},{-s} z" {paint}/>')

    def text(self, x, y, text, anchor="start", colour=INK, size=13, turn=0, bold=False, halo=False):
        turned = f' transform="rotate({turn:.1f} {x:.1f} {y:.1f})"' if turn else ""
        weight = ' font-weight="bold"' if bold else ""
        outline = f' stroke="{PAPER}" stroke-width="4" paint-order="stroke"' if halo else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
                          f'font-size="{size}"{weight}{outline}{turned}>{escape(text)}</text>')

    def done(self):
        return "\n".join([*self.parts, "</svg>"]) + "\n"


class Panel:
    """Two logarithmic axes in a box of the drawing."""

    def __init__(self, svg, left, top, width, height, x_range, y_range):
        self.svg, self.left, self.top, self.width, self.height = svg, left, top, width, height
        self.x_range, self.y_range = x_range, y_range

    def x(self, value):
        low, high = map(math.log, self.x_range)
        return self.left + self.width * (math.log(value) - low) / (high - low)

    def y(self, value):
        low, high = map(math.log, self.y_range)
        return self.top + self.height * (1 - (math.log(value) - low) / (high - low))

    def axes(self, title, x_label, y_label, x_ticks):
        svg, bottom, right = self.svg, self.top + self.height, self.left + self.width
        svg.text(self.left, self.top - 14, title, size=15, bold=True)
        for tick in x_ticks:
            svg.line(self.x(tick), self.top, self.x(tick), bottom, FAINT)
            svg.text(self.x(tick), bottom + 18, f"{tick:,}", "middle")
        for exponent in range(math.floor(math.log10(self.y_range[0])), math.ceil(math.log10(self.y_range[1])) + 1):
            for digit in (1, 2, 5):
                value = digit * 10.0**exponent
                if self.y_range[0] <= value * 1.0001 and value <= self.y_range[1] * 1.0001:
                    svg.line(self.left, self.y(value), right, self.y(value), FAINT)
                    svg.text(self.left - 7, self.y(value) + 4.5, f"{value:,.0f}" if value >= 1 else f"{value:g}", "end")
        svg.path([(self.left, self.top), (self.left, bottom), (right, bottom)], INK, 1)
        svg.text(self.left + self.width / 2, bottom + 42, x_label, "middle")
        svg.text(self.left - 58, self.top + self.height / 2, y_label, "middle", turn=-90)

    def series(self, points, colour, width=2.0, dash="", shape="circle", filled=True):
        at = [(self.x(x), self.y(y)) for x, y in points]
        self.svg.path(at, colour, width, dash)
        for x, y in at:
            self.svg.mark(x, y, colour, shape, filled)


def about(values, room=1.3):
    return min(values) / room, max(values) * room


def nothing(text):
    svg = Svg(640, 80, text)
    svg.text(20, 45, text)
    return svg.done()


def kernel_points(kernels, backends):
    """{(backend, kind, shape): GMAC/s}"""
    names = {(b, "gemm", (m, k, n)): f"gemm/{b}/m:{m}/k:{k}/n:{n}" for b in backends for m, k, n in KERNELS["gemm"]}
    names |= {(b, "lstm_step", (rows, h)): f"lstm_step/{b}/b:{rows}/h:{h}" for b in backends
              for rows, h in KERNELS["lstm_step"]}
    return {key: median(rates(kernels[name], "GMAC")) for key, name in names.items() if name in kernels}


def apart(heights, least=14.0):
    """Heights for labels, top to bottom, moved down where two would be nearer to each other than `least`."""
    placed = {}
    for key, y in sorted(heights.items(), key=lambda item: item[1]):
        placed[key] = max([y, *(other + least for other in placed.values())])
    return placed


def roofline(result):
    if not rows_of(result, "kernels"):
        return nothing("Kernels: not measured yet")
    compiler, kernels = compilers(result, "kernels")[0], rows_of(result, "kernels")
    backends = [b for b in result["backends"] if f"peak/{b}" in kernels]
    points = kernel_points(kernels, backends)
    peaks = {b: median(rates(kernels[f"peak/{b}"], "GMAC")) for b in backends}
    sizes = sorted(int(name.rsplit(":", 1)[1]) for name in kernels if name.startswith(f"read/{backends[0]}/"))
    reads = {size: median(rates(kernels[f"read/{backends[0]}/bytes:{size}"], "GB")) for size in sizes}

    svg = Svg(930, 650, "Roofline of the int8 kernels")
    lowest = min([*points.values(), *peaks.values()])
    panel = Panel(svg, 84, 50, 600, 480, (0.85, 700), (lowest / 1.4, max(peaks.values()) * 4))
    panel.axes(f"Int8 kernels against the limits of {cpu_title(result['machine'])} ({compiler})",
               "rows = multiply-adds per byte of weights", "GMAC/s", [2**i for i in range(10)])

    top = panel.y_range[1]
    steep = math.degrees(math.atan2(panel.y(1) - panel.y(2), panel.x(2) - panel.x(1)))
    for size in (16 << 10, 1 << 20, 64 << 20):  # GB/s of weights are GMAC/s at one row
        if size not in reads:
            continue
        start, end = max(panel.x_range[0], panel.y_range[0] / reads[size]), min(panel.x_range[1], top / reads[size])
        svg.line(panel.x(start), panel.y(reads[size] * start), panel.x(end), panel.y(reads[size] * end), "#888888", 1.2,
                 "2 3")
        label = f"{size >> 10} KB" if size < 1 << 20 else f"{size >> 20} MB"
        svg.text(panel.x(end) - 9, panel.y(reads[size] * end) - 1, f"read {label}: {number(reads[size])} GB/s", "end",
                 "#666666", 11, -steep, halo=True)
    label_heights = apart({b: panel.y(peaks[b]) + 4 for b in backends})
    for i, backend in enumerate(backends):
        colour = COLOURS[i]
        svg.line(panel.left, panel.y(peaks[backend]), panel.left + panel.width, panel.y(peaks[backend]), colour, 1.3,
                 "7 4")
        svg.text(panel.left + panel.width + 8, label_heights[backend],
                 f"{backend}: {number(peaks[backend])} GMAC/s peak", colour=colour, size=12)
        for kind, mark in (("gemm", "circle"), ("lstm_step", "diamond")):
            own = {shape: rate for (b, k, shape), rate in points.items() if (b, k) == (backend, kind)}
            one_megabyte = {s: r for s, r in own.items() if (s[1:] == (1024, 1024) if kind == "gemm" else s[1] == 512)}
            panel.series(sorted((s[0], r) for s, r in one_megabyte.items()), colour, 2 if kind == "gemm" else 1.2,
                         shape=mark)
            for shape in own.keys() - one_megabyte.keys():
                svg.mark(panel.x(shape[0]), panel.y(own[shape]), colour, mark, filled=False, size=3.2)

    x, y = panel.left + 8, panel.top + panel.height + 72
    marks = (("circle", True, "gemm, K = N = 1024 (1 MB)"), ("diamond", True, "lstm_step, 512 units (1 MB)"),
             ("circle", False, "gemm, other sizes"), ("diamond", False, "lstm_step, other sizes"))
    for i, (mark, filled, text) in enumerate(marks):
        svg.mark(x + 230 * (i % 2), y + 24 * (i // 2), INK, mark, filled)
        svg.text(x + 230 * (i % 2) + 14, y + 24 * (i // 2) + 4.5, text, size=12)
    for i, (colour, dash, text) in enumerate(((INK, "7 4", "the backend's products alone, on registers"),
                                              ("#888888", "2 3", "bound by reading the weights, in one stream"))):
        svg.line(x + 460, y + 24 * i, x + 490, y + 24 * i, colour, 1.3, dash)
        svg.text(x + 500, y + 24 * i + 4.5, text, size=12)
    return svg.done()


def scaling(result):
    if not rows_of(result, "sweeps"):
        return nothing("Scaling: not measured yet")
    best = best_backend(result, rows_of(result, "sweeps"))
    kinds = (("int8 here", "int8", None, COLOURS[0], 2.6, "", True),
             ("float here", "f32", None, COLOURS[0], 1.6, "6 3", False),
             ("ONNX Runtime int8", "", "ort-int8", COLOURS[1], 2.0, "", True),
             ("ONNX Runtime float", "", "ort-f32", COLOURS[1], 1.4, "6 3", False),
             ("oneDNN int8, static scales", "", "onednn", COLOURS[2], 2.0, "", True))
    labels = {"steps": ("Time against sequence length", "steps (256 inputs and hidden units, batch 1)"),
              "hidden_size": ("Time against hidden size", "hidden units (as many inputs, 50 steps, batch 1)")}
    svg = Svg(1060, 570, f"Time of an LSTM layer against its sizes on {cpu_title(result['machine'])}")
    shown = []
    for i, sweep in enumerate(PLOTTED):
        lines = [(kind, peer_points(result, sweep, kind[2]) if kind[2] else sweep_points(result, sweep, kind[1]))
                 for kind in kinds]
        lines = [(kind, points) for kind, points in lines if len(points) > 1]
        every = [us for _, points in lines for _, us in points]
        values = SWEEPS[sweep][0]
        panel = Panel(svg, 84 + 510 * i, 50, 420, 390, about(values, 1.15), about(every))
        panel.axes(labels[sweep][0], labels[sweep][1], "microseconds", values)
        for (text, _, _, colour, width, dash, filled), points in reversed(lines):
            panel.series(points, colour, width, dash, filled=filled)
        for kind, points in lines:
            shown.append((kind, sweep, fit_exponent(points)))
    rows = list(dict.fromkeys(kind for kind, _, _ in shown))
    for n, kind in enumerate(rows):
        x, y = 84 + 340 * (n % 3), 520 + 26 * (n // 3)
        text, _, _, colour, width, dash, filled = kind
        svg.line(x, y, x + 36, y, colour, width, dash)
        svg.mark(x + 18, y, colour, filled=filled)
        exponents = [f"{'T' if sweep == 'steps' else 'H'}^{e:.2f}" for k, sweep, e in shown if k == kind]
        name = text.replace("here", f"here ({best})")
        svg.text(x + 46, y + 4.5, f"{name}: {', '.join(exponents)}", size=12)
    return svg.done()
