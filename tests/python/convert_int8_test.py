#!/usr/bin/env python3
"""Weights that are int8 in the graph: convert_int8_test.py [RUN_MODEL]"""

import convert_testing  # first: it ends the program where packages are missing
import numpy as np
from convert_testing import ConvertTest, evaluate
from model_runner import read_safetensors
from onnx_graphs import FLOAT, INT64, Graph


class Int8(ConvertTest):
    def check_linear(self, build, zero, quantized):
        """build(g, x, int8 weight, scale, zero point, bias) -> output"""
        g = Graph(13)
        dtype = np.uint8 if zero else np.int8
        q = g.random.integers(0 if zero else -128, 256 if zero else 128, (6, 4)).astype(dtype)
        scale = (g.random.random(4) * 0.02).astype(np.float32)
        bias = g.random.standard_normal(4).astype(np.float32)
        zeros = np.full(4, zero, dtype)
        y = build(g, g.input("b", 6), g.constant(q, "fc.weight_quantized"), g.constant(scale), g.constant(zeros),
                  g.constant(bias))
        g.output(y)
        report = self.convert(g.model())
        self.assertTrue(report.whole, report)
        self.assertEqual([layer.kind for layer in report.layers], ["linear"])
        tensors, metadata = read_safetensors(self.out)
        self.close(tensors["fc.bias"], bias)
        if quantized:
            self.assertEqual(metadata["scheme"], "per_row")
            self.assertIn('"dtype":"qint8"', metadata["architecture"])
            np.testing.assert_array_equal(tensors["fc.weight"], (q.astype(int) - zero).T)
            np.testing.assert_array_equal(tensors["fc.weight_scale"], scale)
        else:
            self.close(tensors["fc.weight"], ((q.astype(int) - zero) * scale).T)
        x = g.random.standard_normal((3, 6)).astype(np.float32)
        y = self.run_model(x)
        expected = x @ ((q.astype(float) - zero) * scale) + bias
        self.assertLess(np.abs(y - expected).max() if y is not None else 0, 0.02 * np.abs(expected).max())

    def test_linear(self):
        def dynamic_matmul(g, x, q, scale, zero, bias):
            return g.op("DynamicQuantizeMatMul", x, q, scale, zero, bias, domain="com.microsoft")

        def to_float(g, x, q, scale, zero, bias):
            x, x_scale, x_zero = g.op("DynamicQuantizeLinear", x, outputs=3)
            return g.op("MatMulIntegerToFloat", x, q, x_scale, scale, x_zero, zero, bias, domain="com.microsoft")

        def integers(g, x, q, scale, zero, bias):
            x, x_scale, x_zero = g.op("DynamicQuantizeLinear", x, outputs=3)
            y = g.op("Cast", g.op("MatMulInteger", x, q, x_zero, zero), to=FLOAT)
            return g.op("Add", g.op("Mul", y, g.op("Mul", x_scale, scale)), bias)

        for build in (dynamic_matmul, to_float, integers):
            for zero, quantized in ((0, True), (128, True), (100, False)):
                with self.subTest(build.__name__, zero=zero):
                    self.check_linear(build, zero, quantized)

    def test_dequantized_weights(self):
        g = Graph(13)
        q = g.random.integers(-128, 128, (6, 4)).astype(np.int8)
        scale = (g.random.random(4) * 0.02).astype(np.float32)
        w = g.op("DequantizeLinear", g.constant(q), g.constant(scale), g.constant(np.zeros(4, np.int8)), axis=1)
        g.output(g.op("MatMul", g.input("b", 6), w))
        self.assertTrue(self.convert(g.model()).whole)
        weight = next(array for name, array in read_safetensors(self.out)[0].items() if name.endswith("weight"))
        self.close(weight, (q * scale).T)

    def test_embedding(self):
        for zero, quantized in ((0, True), (128, True), (3, False)):
            g = Graph(13)
            dtype = np.uint8 if zero else np.int8
            q = g.random.integers(0 if zero else -128, 256 if zero else 128, (11, 6)).astype(dtype)
            more = [g.constant(np.float32(0.02)), g.constant(np.array(zero, dtype))]
            x = g.op("Gather", g.constant(q, "emb.weight_quantized"), g.input("t", "b", kind=INT64))
            g.output(g.op("Tanh", g.op("DequantizeLinear", x, *more)))
            report = self.convert(g.model())
            self.assertTrue(report.whole, report)
            self.assertEqual(read_safetensors(self.out)[0]["emb.weight"].dtype, np.int8 if quantized else np.float32)
            x = g.random.integers(0, 11, (7, 2))
            expected = np.tanh((q[x].astype(np.float32) - zero) * np.float32(0.02))
            self.close(convert_testing.model_runner.run_model(self.out, x), expected)
            y = self.run_model(x)
            if y is not None:
                self.close(y, expected)

    def test_lstm(self):
        for directions, per_row, zero, quantized in ((1, False, 0, True), (2, True, 0, True), (2, False, 128, True),
                                                     (1, True, 90, False), (-1, True, 0, True)):
            way = {1: "forward", 2: "bidirectional", -1: "reverse"}[directions]
            directions = abs(directions)
            g = Graph(13)
            dtype = np.uint8 if zero else np.int8
            low, high = (0, 256) if zero else (-128, 128)
            w, r = (g.random.integers(low, high, (directions, size, 16)).astype(dtype) for size in (5, 4))
            scales = [(g.random.random((directions, 16) if per_row else directions) * 0.01).astype(np.float32)
                      for _ in range(2)]
            zeros = np.full((directions, 16) if per_row else directions, zero, dtype)
            bias = g.random.standard_normal((directions, 32)).astype(np.float32)
            more = [g.constant(value) for value in (scales[0], zeros, scales[1], zeros)]
            y = g.op("DynamicQuantizeLSTM", g.input("t", "b", 5), g.constant(w), g.constant(r), g.constant(bias), "",
                     "", "", "", *more, hidden_size=4, direction=way, domain="com.microsoft")
            g.output(g.merge_directions(y))
            report = self.convert(g.model())
            self.assertTrue(report.whole, report)
            tensors, _ = read_safetensors(self.out)
            self.assertEqual({array.dtype.name for name, array in tensors.items() if "weight_hh" in name
                              and not name.endswith("_scale")}, {"int8" if quantized else "float32"})
            # The float graph of the same values.
            g2 = Graph(13)
            floats = [((v.astype(np.float64) - zero) * s.reshape(directions, 1, -1)).astype(np.float32).swapaxes(1, 2)
                      for v, s in zip((w, r), scales)]
            y = g2.op("LSTM", g2.input("t", "b", 5), *map(g2.constant, floats), g2.constant(bias), hidden_size=4,
                      direction=way)
            g2.output(g2.merge_directions(y))
            x = g.random.standard_normal((7, 2, 5)).astype(np.float32)
            expected = next(iter(evaluate(g2.model(), {"x": x}).values()))
            self.close(convert_testing.model_runner.run_model(self.out, x), expected)
            y = self.run_model(x)
            if y is not None:
                self.assertLess(np.abs(y - expected).max(), 0.02)


if __name__ == "__main__":
    convert_testing.main()
