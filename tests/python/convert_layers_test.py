#!/usr/bin/env python3
"""Graphs that are no chains give layers and a report; what cannot be carried over is refused:
convert_layers_test.py [RUN_MODEL]"""

import convert_testing  # first: it ends the program where packages are missing
import numpy as np
from convert_testing import ConvertTest, evaluate
from model_runner import read_safetensors, recurrent
from onnx_graphs import FLOAT, INT64, Graph

# Graphs that no layers in a row compute.


def attention(g):
    y = g.dense(g.input(2, 3, 6), 6, 6)
    return g.op("MatMul", y, g.op("Transpose", y, perm=[0, 2, 1]))


def integers(g):
    return g.dense(g.op("Cast", g.input("b", 6, kind=INT64), to=FLOAT), 6, 4)


def mean(g):
    return g.with_axes("ReduceMean", 18, g.dense(g.input("b", "t", 6), 6, 4), [1], keepdims=0)


def two_norms(g):
    return g.op("LayerNormalization", g.dense(g.input("b", 3, 6), 6, 4), g.weight(3, 4), axis=1)


def first_step(g):
    y = g.dense(g.input("t", "b", 6), 6, 4)
    return g.op("Gather", y, g.constant(np.int64(0)), axis=0)


def joined(g):
    return g.dense(g.reshape(g.input("b", "t", 6), -1, 6), 6, 4)


def added_dimension(g):
    return g.unsqueeze(g.dense(g.input("b", 6), 6, 4), 1)


def half_cut(g):
    return g.slice(g.dense(g.input("b", 6), 6, 4), 1, 2, 4)


def scaled_beyond_size(g):
    return g.op("Mul", g.op("Relu", g.dense(g.input("b", 6), 6, 2000)), g.constant(np.float32(3)))


def scaled_time(g):
    x = g.op("Relu", g.conv(g.input("b", 4, "t"), 4, 5, 1))
    return g.op("Mul", x, g.constant(np.float32(3)))


def scaled_by_rows(g):
    return g.op("Mul", g.dense(g.input(4, 6), 6, 4), g.weight(4, 1))


def divided(g):
    return g.op("Div", g.constant(np.float32(3)), g.dense(g.input("b", 6), 6, 4))


def divided_by_zero(g):
    return g.op("Div", g.dense(g.input("b", 6), 6, 4), g.constant(np.float32(0)))


def scaled_by_places(g):
    return g.op("Mul", g.dense(g.input("b", 3, 6), 6, 4), g.weight(3, 4))


def directions_exchanged(g):
    y = g.recurrent("LSTM", g.input("t", "b", 6), 6, 4, "bidirectional")[0]
    halves = [g.op("Gather", y, g.constant(np.int64(i)), axis=1) for i in (1, 0)]
    return g.op("Concat", *halves, axis=2)


def two_nodes_exchanged(g):
    x = g.input("t", "b", 6)
    halves = [g.squeeze(g.recurrent("RNN", x, 6, 4, way)[0], 1) for way in ("reverse", "forward")]
    return g.op("Concat", *halves, axis=2)


def two_nodes_of_one_direction(g):
    x = g.input("t", "b", 6)
    halves = [g.squeeze(g.recurrent("RNN", x, 6, 4)[0], 1) for _ in range(2)]
    return g.op("Concat", *halves, axis=2)


def two_nodes_of_final_states(g):
    x = g.input("t", "b", 6)
    halves = [g.squeeze(g.recurrent("RNN", x, 6, 4, way)[1], 0) for way in ("forward", "reverse")]
    return g.op("Concat", *halves, axis=1)


def one_direction(g):
    y = g.recurrent("LSTM", g.input("t", "b", 6), 6, 4, "bidirectional")[0]
    return g.dense(g.op("Gather", y, g.constant(np.int64(1)), axis=1), 4, 3)


def dimension_by_bias(g):
    return g.op("Add", g.op("MatMul", g.input("b", 6), g.weight(6, 4)), g.weight(1, 1, 4))


def norm_of_unknown_width(g):
    x = g.op("Transpose", g.dense(g.input("b", 6), 6, 4), perm=[1, 0])
    return g.layer_norm(x, 1)


def both_outputs(g):
    y, h, _ = g.recurrent("LSTM", g.input("t", "b", 6), 6, 4)
    return g.op("Concat", g.squeeze(y, 1), h, axis=0)


def final_cell(g):
    return g.squeeze(g.recurrent("LSTM", g.input("t", "b", 6), 6, 4)[2], 0)


def earlier_final_state(g):
    y, h, _ = g.recurrent("LSTM", g.input("t", "b", 6), 6, 4)
    h2 = g.recurrent("LSTM", g.squeeze(y, 1), 4, 4)[1]
    both = g.op("Concat", h, h2, axis=0)
    first, last = (g.op("Gather", both, g.constant(np.int64(i)), axis=0) for i in (0, 1))
    return g.op("Concat", first, last, axis=1)


def both_final_states(g):
    return g.recurrent("LSTM", g.input("t", "b", 6), 6, 4, "bidirectional")[1]


def without_shape(g):
    y = g.dense(g.input("b", 6), 6, 4)
    g.inputs[0].type.tensor_type.ClearField("shape")
    return y


def no_input(g):
    g.dense(g.input("b", 6), 6, 4)
    return g.constant(np.ones(3, np.float32))


def soft_over_two(g):
    return g.op("Softmax", g.dense(g.input("b", 3, 6), 6, 4), axis=1) if g.opset < 13 else g.op(
        "Clip", g.dense(g.input("b", 3, 6), 6, 4), g.constant(np.float32(0)), g.constant(np.float32(6)))


NO_CHAINS = (attention, integers, mean, two_norms, first_step, joined, added_dimension, half_cut,
             scaled_beyond_size, scaled_time, scaled_by_rows, divided, divided_by_zero, scaled_by_places,
             directions_exchanged, two_nodes_exchanged, two_nodes_of_one_direction, two_nodes_of_final_states,
             one_direction, dimension_by_bias, norm_of_unknown_width, both_outputs, final_cell, earlier_final_state,
             both_final_states, without_shape, no_input, soft_over_two)


class Layers(ConvertTest):
    def test_states_in_and_out(self):
        """As DTLN: the states are inputs and outputs of the graph."""
        for op, count in (("LSTM", 2), ("GRU", 1), ("RNN", 1)):
            g = Graph(13)
            x = g.input("t", "b", 5)
            states = [g.input(2, "b", 4, name=name) for name in ("h", "c")[:count]]
            y = g.recurrent(op, x, 5, 4, "bidirectional", states=tuple(states), name="rnn")
            g.output(g.op("Sigmoid", g.dense(g.merge_directions(y[0]), 8, 3)), *y[1:])
            report, layers = self.layers(g.model(), f"depends on {count + 1} inputs: \"x\", \"h\"")
            self.assertEqual([layer.kind for layer in report.layers], [op.lower(), "linear"])
            self.assertIn('Its state h0 is "h".', report.layers[0].notes)
            self.assertIn(report.layers[1].name, report.layers[0].feeds)
            self.assertTrue([feed for feed in report.layers[0].feeds if feed.startswith("output ")])
            self.assertIn("no weights", dict(report.left_out)['Sigmoid "/Sigmoid_' + str(g.count) + '"'])
            feeds = {"x": g.random.standard_normal((7, 2, 5)).astype(np.float32)}
            feeds.update((name, g.random.standard_normal((2, 2, 4)).astype(np.float32)) for name in ("h", "c")[:count])
            expected = list(evaluate(g.model(), feeds).values())
            got = recurrent(layers["rnn"], *(feeds[name].astype(np.float64) for name in feeds))
            for value, right in zip(got[1:], expected[1:]):
                self.close(value, right)
            self.close(1 / (1 + np.exp(-layers[report.layers[1].name](got[0]))), expected[0])

    def test_states_that_are_constants(self):
        g = Graph(13)
        h, c = g.weight(1, 2, 4), g.constant(np.zeros((1, 2, 4), np.float32))
        g.output(g.squeeze(g.recurrent("LSTM", g.input("t", 2, 5), 5, 4, states=(h, c))[0], 1))
        report, layers = self.layers(g.model(), "starts from a state .constant_1. that is not zero")
        name = report.layers[0].name
        self.assertIn(f"file's tensor {name}.h0", str(report))
        tensors = read_safetensors(self.out)[0]
        self.assertNotIn(f"{name}.c0", tensors)
        x = g.random.standard_normal((7, 2, 5)).astype(np.float32)
        expected = next(iter(evaluate(g.model(), {"x": x}).values()))
        self.close(recurrent(layers[name], x, tensors[f"{name}.h0"].astype(np.float64))[0], expected)
        self.assertIsNotNone(self.run_model(x, name) if convert_testing.RUN_MODEL else "")

    def test_branches_of_a_graph(self):
        g = Graph(13)
        x = g.input("b", 6)
        y = g.linear(x, 6, 6, "a")
        g.output(g.op("Add", y, g.linear(y, 6, 6, "b")))
        report, layers = self.layers(g.model(), "Add .* brings two tensors together")
        self.assertEqual(list(layers), ["a", "b"])
        self.assertEqual(report.layers[0].feeds[0], "b")
        self.assertEqual(len(report.left_out), 1)
        self.assertIn("-> b, Add", str(report))
        x = g.random.standard_normal((3, 6))
        self.close(layers["a"](x) + layers["b"](layers["a"](x)), evaluate(g.model(), {"x": x.astype(np.float32)})[
            g.outputs[0].name])
        g = Graph(13)
        y = g.linear(g.input("b", 6), 6, 6, "a")
        g.output(g.linear(y, 6, 2, "b"), g.linear(y, 6, 3, "c"))
        self.layers(g.model(), "the graph has 2 outputs")

    def with_if(self, same_weights):
        g = Graph(13)
        g.input("t", "b", 5)
        g.input(name="sr", kind=INT64)
        condition = g.op("Equal", "sr", g.constant(np.int64(16000)))
        shared = [g.weight(1, 16, 5, name="rnn.W"), g.weight(1, 16, 4), g.weight(1, 32)]
        branches = []
        for _ in range(2):
            inner = g.branch()
            weights = shared if same_weights else [inner.weight(1, 16, 5), inner.weight(1, 16, 4), inner.weight(1, 32)]
            y = inner.op("LSTM", "x", *weights, hidden_size=4, name="/decoder/LSTM")
            inner.output(inner.squeeze(y, 1))
            branches.append(inner.proto())
        y = g.op("If", condition, then_branch=branches[0], else_branch=branches[1], name="/choose")
        g.output(g.dense(y, 4, 3))
        return g

    def test_if(self):
        for same in (False, True):
            g = self.with_if(same)
            report, layers = self.layers(g.model(), 'If "/choose" .*the output depends on it')
            names = ["choose.then_branch.decoder", "choose.else_branch.decoder"]
            if same:
                names = ["choose.then_branch.rnn", "choose.else_branch.rnn"]
            self.assertEqual(sorted(name for name in layers if name.startswith("choose")), sorted(names))
            self.assertEqual(len(layers), 3)
            x = g.random.standard_normal((7, 2, 5)).astype(np.float32)
            last = next(name for name in layers if name not in names)
            for rate, name in zip((16000, 8000), names):
                expected = evaluate(g.model(), {"x": x, "sr": np.int64(rate)})[g.outputs[0].name]
                self.close(layers[last](layers[name](x)), expected)
            y = self.run_model(x, names[0])
            if y is not None:
                self.close(y, layers[names[0]](x))
            self.assertTrue(any("which of its graphs" in why for _, why in report.left_out))

    def test_if_is_never_a_chain(self):
        """Not even one whose condition is a constant, or that does nothing."""
        g = Graph(13)
        y = g.linear(g.input("b", 6), 6, 6, "a")
        branches = []
        for _ in range(2):
            inner = g.branch()
            inner.output(inner.op("Identity", y))
            branches.append(inner.proto())
        y = g.op("If", g.constant(np.array(True)), then_branch=branches[0], else_branch=branches[1])
        g.output(y)
        self.layers(g.model(), "If")
        # One on which the output does not depend is none of its affairs.
        g.output(g.outputs.pop(0).name)
        g.outputs[0].name = "Gemm_" + g.nodes[0].output[0].split("_")[1] + "_0"
        self.assertTrue(self.convert(g.model()).whole)

    def test_layers_only(self):
        g = Graph(13)
        g.output(g.op("Relu", g.linear(g.input("b", 6), 6, 4, "a")))
        self.assertTrue(self.convert(g.model()).whole)
        self.layers(g.model(), "only the layers", layers_only=True)

    def test_reverse(self):
        g = Graph(13)
        y = g.recurrent("LSTM", g.input("t", "b", 5), 5, 4, "reverse", name="/back/LSTM")[1]
        g.output(g.squeeze(y, 0))
        report, layers = self.layers(g.model(), "final states of a direction that runs backwards")
        self.assertEqual(list(layers), ["back"])
        self.assertIn("runs backwards alone", " ".join(report.layers[0].notes))
        x = g.random.standard_normal((7, 2, 5)).astype(np.float32)
        expected = evaluate(g.model(), {"x": x})[g.outputs[0].name]
        self.close(recurrent(layers["back"], x)[1][1], expected)
        g = Graph(13)
        h, c = g.weight(1, 2, 4), g.weight(1, 2, 4)
        g.output(g.squeeze(g.recurrent("LSTM", g.input("t", 2, 5), 5, 4, "reverse", states=(h, c))[0], 1))
        report, layers = self.layers(g.model(), "not zero")
        tensors, name = read_safetensors(self.out)[0], report.layers[0].name
        expected = evaluate(g.model(), {"x": x})[g.outputs[0].name]
        states = [tensors[f"{name}.{state}"].astype(np.float64) for state in ("h0", "c0")]
        self.close(recurrent(layers[name], x, *states)[0][:, :, 4:], expected)

    def test_what_is_no_chain(self):
        for build in NO_CHAINS:
            for opset in (11, 17):
                with self.subTest(build.__name__, opset=opset):
                    if build is two_norms and opset < 17:
                        continue
                    g = Graph(opset)
                    g.output(build(g))
                    report, _ = self.layers(g.model())
                    self.assertGreaterEqual(len(report.layers), 1)
                    self.assertGreater(len(report.reason), 20)


class Refusals(ConvertTest):
    def lstm(self, op="LSTM", extra=(), name="/encoder/rnn", **attributes):
        g = Graph(17)
        gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
        x = g.dense(g.input("t", "b", 5), 5, 5)
        weights = [g.weight(1, gates * 4, 5), g.weight(1, gates * 4, 4), g.weight(1, gates * 8)]
        more = [value(g) if callable(value) else value for value in extra]
        y = g.op(op, x, *weights, *more, hidden_size=4, name=name, **attributes)
        g.output(g.squeeze(y, 1))
        return g.model()

    def test_recurrent_layers(self):
        node = 'LSTM "/encoder/rnn" cannot be converted: .*'
        peepholes = ["", "", "", lambda g: g.weight(1, 12)]
        self.refuse(node + "peepholes", self.lstm(extra=peepholes))
        self.refuse(node + r"clips.*\(clip = 3\)", self.lstm(clip=3.0))
        self.refuse(node + "input_forget", self.lstm(input_forget=1))
        self.refuse(node + "activations are hardsigmoid, tanh, tanh",
                    self.lstm(activations=["HardSigmoid", "Tanh", "Tanh"]))
        self.refuse(node + "activations are sigmoid, relu, relu", self.lstm(activations=["Sigmoid", "Relu", "Relu"]))
        self.refuse('GRU "/encoder/rnn".*activations are tanh, tanh', self.lstm("GRU", activations=["Tanh", "Tanh"]))
        self.refuse('RNN "/encoder/rnn".*activations are sigmoid', self.lstm("RNN", activations=["Sigmoid"]))
        self.refuse(node + "direction is sideways", self.lstm(direction="sideways"))
        self.refuse(node + "layout is 2", self.lstm(layout=2))
        self.refuse(node + "leave_out=\\['/encoder/rnn'\\]", self.lstm(clip=3.0))
        unnamed = self.lstm(clip=3.0)
        for graph_node in unnamed.graph.node:
            graph_node.name = ""
        self.refuse("LSTM without a name", unnamed)

    def test_peepholes_of_zeros_are_none(self):
        self.assertTrue(self.convert(self.lstm(extra=["", "", "", lambda g: g.constant(np.zeros((1, 12), np.float32))])
                                     ).whole)
        self.assertTrue(self.convert(self.lstm("GRU", linear_before_reset=1)).whole)

    def test_leave_out(self):
        report, layers = self.layers(self.lstm(clip=3.0), "LSTM", leave_out=["/encoder/rnn"])
        self.assertEqual(len(layers), 1)
        self.assertIn("left out, as was asked for", str(report))
        self.layers(self.lstm(clip=3.0), leave_out="/encoder/rnn")
        convert_testing.os.unlink(self.out)
        self.refuse('no node of the graph is named "other"', self.lstm(), leave_out=["other"])

    def test_weights(self):
        for shapes, why in ((((1, 16, 5), (1, 16, 3), (1, 32)), "do not fit hidden_size 4"),
                            (((1, 12, 5), (1, 12, 4), (1, 32)), "do not fit hidden_size 4"),
                            (((2, 16, 5), (2, 16, 4), (2, 32)), "1 directions"),
                            (((16, 5), (16, 4), (32,)), "three dimensions"),
                            (((1, 16, 5), (1, 16, 4), (1, 16)), r"its B has the shape \[1, 16\]"),
                            (((1, 16, 0), (1, 16, 4), (1, 32)), "its sizes are 0 and 4")):
            g = Graph(17)
            weights = [g.weight(*shape) for shape in shapes]
            g.output(g.op("LSTM", g.input("t", "b", 5), *weights, hidden_size=4, name="rnn"))
            self.refuse(f'LSTM "rnn".*{why}', g.model())
        for value in (np.nan, np.inf):
            g = Graph(17)
            weights = [g.constant(np.full(shape, value, np.float32)) for shape in ((1, 16, 5), (1, 16, 4))]
            g.output(g.op("LSTM", g.input("t", "b", 5), *weights, hidden_size=4, name="rnn"))
            self.refuse('LSTM "rnn".*NaN or infinity', g.model())
        g = Graph(17)
        g.output(g.op("Gemm", g.input("b", 6), g.weight(6, 4), alpha=3e38))
        self.refuse("Gemm_2.weight of the converted layers holds NaN or infinity", g.model())
        g = Graph(17)
        g.input("t", "b", 5)
        g.input(1, 16, 5, name="w")
        g.output(g.op("LSTM", "x", "w", g.weight(1, 16, 4), hidden_size=4, name="rnn"))
        self.refuse('LSTM "rnn".*its W \\("w"\\) is not a constant', g.model())

    def test_nothing_to_convert(self):
        for build in (lambda g: g.op("Relu", g.input("b", 6)), lambda g: g.op("Identity", g.input("b", 6)),
                      lambda g: g.op("Conv", g.input("b", 3, 8, 8), g.weight(4, 3, 3, 3), name="conv"),
                      lambda g: g.op("Gemm", g.input("b", 6), g.weight(6, 4), transA=1),
                      lambda g: g.op("MatMul", g.weight(4, 6), g.input(6, "b")),
                      lambda g: g.op("Conv", g.input("b", 3, 8), g.weight(4, 3, 3), auto_pad="SAME_UPPER", strides=[2]),
                      lambda g: g.op("Conv", g.input("b", 3, 8), g.weight(4, 3, 3), pads=[0, 9])):
            g = Graph(17)
            g.output(build(g))
            if g.nodes[-1].op_type in ("Relu",):
                self.assertTrue(self.convert(g.model()).whole)
                convert_testing.os.unlink(self.out)
            else:
                self.refuse("nothing in it can be converted", g.model())


if __name__ == "__main__":
    convert_testing.main()
