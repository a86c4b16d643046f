#!/usr/bin/env python3
"""Graphs that are chains of layers become whole models: convert_onnx_test.py [RUN_MODEL]

Each is run by an evaluator of ONNX graphs and by a runner of bytegate's models, both written in NumPy here, and by the
library. A few are compared with outputs that ONNX Runtime computed."""

import json
import os

import convert_testing  # first: it ends the program where packages are missing
import numpy as np
import onnx_chains
from convert_testing import SOURCE, ConvertTest, evaluate
from model_runner import read_safetensors, run_model
from onnx_graphs import DOUBLE, FLOAT, HALF, INT64, Graph

import onnx
from onnx import TensorProto, helper

OPSETS = (7, 9, 10, 11, 12, 13, 14, 15, 17, 18, 21)
DATA = os.path.join(SOURCE, "tests/data/onnx")


class Chains(ConvertTest):
    def test_every_opset(self):
        lacking = []
        for name, (oldest, _) in onnx_chains.CHAINS.items():
            for opset in OPSETS:
                if opset < oldest:
                    continue
                with self.subTest(name, opset=opset):
                    model, x = onnx_chains.build(name, opset)
                    library = opset == max(oldest, 13)  # to start a program takes time
                    _, ran = self.whole(model, x, library)
                    if library and not ran:
                        lacking.append(name)
        if lacking and convert_testing.RUN_MODEL:
            print(f"not run by this library, which lacks a kind of layer: {', '.join(lacking)}")

    def test_outputs_of_onnx_runtime(self):
        names = sorted(name for name in os.listdir(DATA) if name.endswith(".safetensors"))
        self.assertGreaterEqual(len(names), 8)
        for file in names:
            with self.subTest(file):
                tensors, metadata = read_safetensors(os.path.join(DATA, file))
                model, _ = onnx_chains.build(metadata["chain"], int(metadata["opset"]))
                report, _ = self.whole(model, tensors["input"])
                self.close(run_model(self.out, tensors["input"]), tensors["output"], report)
                y = self.run_model(tensors["input"])
                if y is not None:
                    self.close(y, tensors["output"], report)

    def test_the_file(self):
        model, x = onnx_chains.build("lstm_batch_first_pytorch", 13)
        report = self.convert(model, name="tagger")
        tensors, metadata = read_safetensors(self.out)
        self.assertEqual(metadata["name"], "tagger")
        self.assertEqual((metadata["format"], metadata["format_version"]), ("bytegate", "1"))
        self.assertNotIn("scheme", metadata)
        first, second = json.loads(metadata["architecture"])
        self.assertEqual(first, {"name": report.layers[0].name, "kind": "lstm", "input_size": 5, "hidden_size": 6,
                                 "batch_first": True})
        self.assertEqual((second["kind"], second["in_features"], second["out_features"]), ("linear", 6, 4))
        self.assertEqual({array.dtype.name for array in tensors.values()}, {"float32"})
        self.assertIn("whole model of 2 layers", str(report))
        again = self.path("again.safetensors")
        convert_testing.bytegate.convert_onnx(self.path("model.onnx"), again, name="tagger")
        with open(self.out, "rb") as one, open(again, "rb") as two:
            self.assertEqual(one.read(), two.read())

    def test_half_precision_and_double(self):
        for kind, dtype in ((HALF, np.float16), (DOUBLE, np.float64)):
            g = Graph(15)
            x = g.op("Cast", g.input("t", "b", 5), to=kind)
            weights = [g.weight(1, 16, 5, dtype=dtype), g.weight(1, 16, 4, dtype=dtype), g.weight(1, 32, dtype=dtype)]
            y = g.squeeze(g.op("LSTM", x, *weights, outputs=1, hidden_size=4), 1)
            y = g.op("MatMul", y, g.weight(4, 3, dtype=dtype))
            g.output(g.op("Cast", y, to=FLOAT))
            x = g.random.standard_normal((7, 2, 5)).astype(np.float32)
            report = self.convert(g.model())
            self.assertTrue(report.whole, report)
            self.assertEqual("half precision" in str(report), kind == HALF)
            expected = next(iter(evaluate(g.model(), {"x": x}).values()))
            difference = np.abs(run_model(self.out, x) - expected).max()
            self.assertLessEqual(difference, 2e-3 if kind == HALF else 1e-5)

    def test_storage_of_tensors(self):
        """Values in the typed fields of a tensor and not in its bytes, and Constant nodes in all their forms."""
        g = Graph(13)
        values = g.random.standard_normal((4, 3)).astype(np.float32)
        half = values.astype(np.float16)
        tensors = [helper.make_tensor("w", TensorProto.FLOAT, [4, 3], values.reshape(-1).tolist()),
                   helper.make_tensor("w", TensorProto.FLOAT16, [4, 3], half.reshape(-1).tolist()),
                   helper.make_tensor("w", TensorProto.DOUBLE, [4, 3], values.reshape(-1).tolist()),
                   helper.make_tensor("w", TensorProto.BFLOAT16, [4, 3], [1.5, -2.0] * 6)]
        for tensor in tensors:
            for constant in (False, True):
                g = Graph(13)
                x = g.input("b", 4)
                if constant:
                    w = g.op("Constant", value=tensor)
                else:
                    g.constants.append(tensor)
                    w = "w"
                w = g.op("Cast", w, to=FLOAT)
                bias = g.op("Constant", value_floats=[1.0, 2.0, 3.0])
                g.output(g.op("Add", g.op("MatMul", x, w), bias))
                x = g.random.standard_normal((2, 4)).astype(np.float32)
                model = g.model()
                report = self.convert(model)
                self.assertTrue(report.whole, report)
                weight = read_safetensors(self.out)[0]
                got = next(array for name, array in weight.items() if name.endswith("weight"))
                expected = [values, half.astype(np.float32), values,
                            np.array([1.5, -2.0] * 6, np.float32).reshape(4, 3)][tensors.index(tensor)]
                self.close(got.T, expected)

    def test_initial_states_of_zeros(self):
        """Stored, and behind the nodes that exporters put there."""
        for form in ("stored", "expanded", "cut", "moved"):
            g = Graph(13)
            x = g.input("t", 2, 5)
            zero = g.constant(np.zeros((1, 2, 4), np.float32))
            if form == "expanded":
                zero = g.op("Expand", g.constant(np.zeros((1, 1, 1), np.float32)), g.op(
                    "Concat", g.constant(np.array([1], np.int64)), g.slice(g.op("Shape", x), 0, 1, 2),
                    g.constant(np.array([4], np.int64)), axis=0))
            elif form == "cut":
                both = g.zeros_like_batch(x, 2, 4)
                zero = g.op("Split", both, axis=0, outputs=2)[0]
            elif form == "moved":
                zero = g.unsqueeze(g.squeeze(g.op("Cast", g.zeros_like_batch(x, 1, 4), to=FLOAT), 0), 0)
            y = g.recurrent("LSTM", x, 5, 4, states=(zero, g.op("Identity", zero)))[0]
            g.output(g.squeeze(y, 1))
            self.whole(g.model(), g.random.standard_normal((7, 2, 5)).astype(np.float32))

    def test_lengths_that_are_all_steps(self):
        g = Graph(13)
        lengths = g.constant(np.array([7, 7], np.int32))
        weights = [g.weight(1, 16, 5), g.weight(1, 16, 4), g.weight(1, 32)]
        y = g.op("LSTM", g.input(7, 2, 5), *weights, lengths, hidden_size=4)
        g.output(g.squeeze(y, 1))
        self.assertTrue(self.convert(g.model()).whole)
        g.constants[0] = onnx.numpy_helper.from_array(np.array([7, 6], np.int32), lengths)
        report, _ = self.layers(g.model(), "LSTM .* takes the lengths of its sequences")
        self.assertIn("lengths of its sequences are constant_1", " ".join(report.layers[0].notes))

    def test_readable_names(self):
        g = Graph(13)
        x = g.op("Gather", g.weight(9, 6, name="model.embedding.weight"), g.input("t", "b", kind=INT64))
        y = g.squeeze(g.recurrent("LSTM", x, 6, 5, name="/model/encoder/LSTM")[0], 1)
        y = g.op("MatMul", y, g.weight(5, 5, name="dense_2/kernel:0"))
        y = g.op("MatMul", y, g.weight(5, 5, name="onnx::MatMul_77"), name="/model/head/MatMul")
        y = g.op("MatMul", y, g.weight(5, 5, name="onnx::MatMul_78"), name="/model/head/MatMul_1")
        g.output(g.op("MatMul", y, g.weight(5, 5, name="w\n\u00e9")))
        g.nodes[-1].name = ""
        report, _ = self.whole(g.model(), np.array([[1, 2], [3, 8]]))
        self.assertEqual([layer.name for layer in report.layers],
                         ["model.embedding", "model.encoder", "dense_2", "model.head", "model.head_2", "linear"])


if __name__ == "__main__":
    convert_testing.main()
