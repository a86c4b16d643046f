#!/usr/bin/env python3
"""Random graphs of recurrent layers, in the forms that exporters write: each becomes a whole model or layers that
compute what the graph does: convert_random_test.py [RUN_MODEL]"""

import convert_testing  # first: it ends the program where packages are missing
import numpy as np
from convert_testing import ConvertTest, evaluate
from model_runner import recurrent, run_model
from onnx_graphs import FLOAT, Graph

GRAPHS = 150
OPSETS = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21)


def transposed(g, w):
    perm = [int(i) for i in g.random.permutation(w.ndim)]
    return g.op("Transpose", g.constant(np.ascontiguousarray(w.transpose(np.argsort(perm)))), perm=perm)


ORIGINS = {
    "initializer": lambda g, w: g.constant(w),
    "identity": lambda g, w: g.op("Identity", g.constant(w)),
    "slice": lambda g, w: g.slice(g.constant(np.concatenate([w, w], axis=2)), 2, 0, w.shape[2]),
    "concat": lambda g, w: g.op("Concat", g.constant(w[:, :1].copy()), g.constant(w[:, 1:].copy()), axis=1),
    "transpose": transposed,
    "half": lambda g, w: g.op("Cast", g.constant(w.astype(np.float16)), to=FLOAT),
    "reshape": lambda g, w: g.reshape(g.constant(w.reshape(-1)), *w.shape),
    "product": lambda g, w: g.op("Mul", g.constant(w * np.float32(0.5)), g.constant(np.float32(2))),
    "gather": lambda g, w: g.op("Gather", g.constant(np.stack([2 * w, w])), g.constant(np.int64(1)), axis=0)}


class RandomGraph:
    """One to three recurrent layers and what is around them. `layers` tells of each what its node reads and gives."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.g, self.text = Graph(self.pick(OPSETS), seed), []
        self.batch, width = int(self.random.integers(1, 4)), int(self.random.integers(1, 9))
        self.batch_first, self.feeds, self.layers = self.chance(0.5), {}, []
        steps = int(self.random.integers(1, 9))
        shape = (self.batch, steps, width) if self.batch_first else (steps, self.batch, width)
        self.fixed = self.chance(0.3)
        names = shape if self.fixed else (*(("b", "t") if self.batch_first else ("t", "b")), width)
        x = self.g.input(*names)
        self.feeds[x] = self.random.standard_normal(shape).astype(np.float32)
        for _ in range(self.random.integers(1, 4)):
            x, width = self.layer(x, width)
        if self.chance(0.3):
            x = self.g.op("Transpose", x, perm=[1, 0, 2])
        if self.chance(0.7):
            x = self.g.op(self.pick(["Relu", "Sigmoid", "Tanh"]), self.g.dense(x, width, 3))
        self.g.output(x)

    def pick(self, values):
        return values[int(self.random.integers(len(values)))]

    def chance(self, probability):
        return self.random.random() < probability

    def states(self, op, shape, layout):
        """Names of the initial states, and of those that are not zero."""
        count, form = (2 if op == "LSTM" else 1), self.pick(["none", "none", "zeros", "constants", "inputs"])
        self.text.append(form)
        if form == "inputs":
            names = [self.g.input(*(("b", *shape[1:]) if layout else (shape[0], "b", shape[2])),
                                  name=f"state_{len(self.feeds)}_{i}") for i in range(count)]
            self.feeds.update((name, self.random.standard_normal(shape).astype(np.float32)) for name in names)
            return names, names
        if form == "none" or not self.fixed:
            return [], []
        if form == "zeros":
            return [self.g.constant(np.zeros(shape, np.float32))] * count, []
        names = [self.g.weight(*shape) for _ in range(count)]
        return names, names

    def layer(self, x, width):
        g, op = self.g, self.pick(["LSTM", "GRU", "RNN"])
        direction, hidden = self.pick(["forward", "forward", "reverse", "bidirectional"]), self.pick(range(1, 8))
        layout = int(g.opset >= 14 and self.chance(0.25))
        directions, gates = 1 + (direction == "bidirectional"), {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
        attributes = {"direction": direction, **({"layout": 1} if layout else {})}
        if op == "GRU":
            attributes["linear_before_reset"] = self.pick([0, 1])
        if op != "LSTM" and self.chance(0.3):
            attributes["activations"] = (["Sigmoid"] * (op == "GRU") + [self.pick(["Tanh", "Relu"])]) * directions
        self.text += [op, attributes]
        if self.batch_first != bool(layout):
            x = g.op("Transpose", x, perm=[1, 0, 2])
        self.batch_first = bool(layout)
        weights = [(self.random.standard_normal((directions, gates * hidden, columns)) * 0.4).astype(np.float32)
                   for columns in (width, hidden)]
        weights = [ORIGINS[self.pick(list(ORIGINS) if w.shape[1] > 1 else ["half"])](g, w) for w in weights]
        bias = g.weight(directions, 2 * gates * hidden) if self.chance(0.8) else ""
        shape = (self.batch, directions, hidden) if layout else (directions, self.batch, hidden)
        states, given = self.states(op, shape, layout)
        inputs = [x, *weights, *([bias] if bias or states else []), *([""] + states if states else [])]
        name = f"layer_{len(self.layers)}"
        y = g.op(op, *inputs, outputs=2, hidden_size=hidden, name=f"/{name}/{op}", **attributes)[0]
        self.layers.append((name, x, y, given, bool(layout), direction == "reverse"))
        if directions == 1 and self.chance(0.5):
            y = g.squeeze(y, 2 if layout else 1)
        else:
            y = g.reshape(y if layout else g.op("Transpose", y, perm=[0, 2, 1, 3]), 0, 0, -1)
        return y, directions * hidden


class Random(ConvertTest):
    def check_layer(self, layer, x, y, states, layout, reverse):
        """A layer of the file against what its node reads and gives in the graph."""
        x, states = (x.swapaxes(0, 1), [s.swapaxes(0, 1) for s in states]) if layout else (x, states)
        y = (y.transpose(1, 0, 2, 3) if layout else y.transpose(0, 2, 1, 3)).reshape(*x.shape[:2], -1)
        if reverse:
            states = [np.concatenate([np.zeros_like(s), s]) for s in states]
        if layer.get("batch_first"):
            x = x.swapaxes(0, 1)
        got = recurrent(layer, x.astype(np.float64), *(s.astype(np.float64) for s in states))[0]
        got = got.swapaxes(0, 1) if layer.get("batch_first") else got
        self.close(got[..., -y.shape[2]:], y)

    def test_graphs(self):
        whole = 0
        for seed in range(GRAPHS):
            graph = RandomGraph(seed)
            with self.subTest(seed=seed, opset=graph.g.opset, graph=graph.text):
                report = self.convert(graph.g.model())
                x = graph.feeds["x"]
                if report.whole:
                    whole += 1
                    expected = next(iter(evaluate(graph.g.model(), graph.feeds).values()))
                    self.close(run_model(self.out, x), expected, report)
                    y = self.run_model(x) if seed % 10 == 0 else None
                    if y is not None:
                        self.close(y, expected, report)
                    continue
                _, layers = self.layers(graph.g.model())
                read = {name for _, source, y, states, *_ in graph.layers for name in (source, y, *states)}
                graph.g.output(*sorted(read - set(graph.feeds)))
                values = {**evaluate(graph.g.model(), graph.feeds), **graph.feeds}
                for name, source, y, states, layout, reverse in graph.layers:
                    self.check_layer(layers[name], values[source], values[y], [values[s] for s in states], layout,
                                     reverse)
        self.assertGreater(whole, GRAPHS // 4)
        self.assertLess(whole, GRAPHS * 3 // 4)


if __name__ == "__main__":
    convert_testing.main()
