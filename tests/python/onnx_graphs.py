"""Small ONNX graphs for the tests of the converter, in the forms that exporters write."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, INT32, HALF, DOUBLE = (TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT16,
                                     TensorProto.DOUBLE)


class Graph:
    """Collects nodes. Methods that add one give the name of its first output, or a list of all."""

    def __init__(self, opset=17, seed=0):
        self.opset, self.random = opset, np.random.default_rng(seed)
        self.nodes, self.constants, self.inputs, self.outputs, self.count = [], [], [], [], 0

    def input(self, *shape, name="x", kind=FLOAT):
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def output(self, *names, shape=None):
        for name in names:
            self.outputs.append(helper.make_tensor_value_info(name, FLOAT, shape))

    def constant(self, value, name=None):
        value = np.asarray(value)
        self.count += 1
        name = name or f"constant_{self.count}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name))
        return name

    def weight(self, *shape, name=None, dtype=np.float32, scale=0.5):
        return self.constant((self.random.standard_normal(shape) * scale).astype(dtype), name)

    def op(self, op, *inputs, outputs=1, name=None, domain="", **attributes):
        self.count += 1
        names = [f"{op}_{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=name or f"/{op}_{self.count}", domain=domain,
                                           **attributes))
        return names if outputs > 1 else names[0]

    def with_axes(self, op, since, x, axes, **attributes):
        """An operation whose axes are an attribute before opset `since`."""
        if self.opset < since:
            return self.op(op, x, axes=axes, **attributes)
        return self.op(op, x, self.constant(np.array(axes, np.int64)), **attributes)

    def squeeze(self, x, *axes):
        return self.with_axes("Squeeze", 13, x, list(axes))

    def unsqueeze(self, x, *axes):
        return self.with_axes("Unsqueeze", 13, x, list(axes))

    def mean(self, x, axis=-1):
        return self.with_axes("ReduceMean", 18, x, [axis], keepdims=1)

    def reshape(self, x, *shape):
        return self.op("Reshape", x, self.constant(np.array(shape, np.int64)))

    def slice(self, x, axis, start, end):
        if self.opset < 10:
            return self.op("Slice", x, axes=[axis], starts=[start], ends=[end])
        return self.op("Slice", x, *(self.constant(np.array([v], np.int64)) for v in (start, end, axis)))

    def branch(self):
        """A graph that reads this one's tensors, for the branches of an If."""
        inner = Graph(self.opset)
        inner.random, inner.count = self.random, self.count + 1000
        self.count += 2000
        return inner

    def proto(self, name="graph"):
        return helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.constants)

    def model(self):
        opsets = [helper.make_opsetid("", self.opset)]
        if any(node.domain for node in self.nodes):
            opsets.append(helper.make_opsetid("com.microsoft", 1))
        return helper.make_model(self.proto(), opset_imports=opsets, ir_version=8)

    # Layers.

    def recurrent(self, op, x, inputs, hidden, direction="forward", bias=True, states=("", ""), name=None,
                  **attributes):
        """[Y, Y_h] or [Y, Y_h, Y_c]"""
        gates, directions = {"LSTM": 4, "GRU": 3, "RNN": 1}[op], 2 if direction == "bidirectional" else 1
        weights = [self.weight(directions, gates * hidden, inputs), self.weight(directions, gates * hidden, hidden),
                   self.weight(directions, 2 * gates * hidden) if bias else ""]
        if direction != "forward":
            attributes["direction"] = direction
        more = ["", *states] if any(states) else []
        return self.op(op, x, *weights, *more, outputs=3 if op == "LSTM" else 2, hidden_size=hidden, name=name,
                       **attributes)

    def linear(self, x, inputs, outputs, name="fc"):
        """As PyTorch exports it for two dimensions."""
        return self.op("Gemm", x, self.weight(outputs, inputs, name=f"{name}.weight"),
                       self.weight(outputs, name=f"{name}.bias"), transB=1)

    def dense(self, x, inputs, outputs):
        """As it is exported for more dimensions."""
        y = self.op("MatMul", x, self.weight(inputs, outputs))
        return self.op("Add", self.weight(outputs), y)

    def conv(self, x, inputs, outputs, kernel, bias=True, groups=1, **attributes):
        weights = [self.weight(outputs, inputs // groups, kernel)] + ([self.weight(outputs)] if bias else [])
        return self.op("Conv", x, *weights, kernel_shape=[kernel], group=groups, **attributes)

    def layer_norm(self, x, width, eps=1e-5, affine=True, square="Pow"):
        """LayerNormalization as the nodes it is made of."""
        centred = self.op("Sub", x, self.mean(x))
        squared = self.op("Pow", centred, self.constant(np.float32(2))) if square == "Pow" else self.op(
            "Mul", centred, centred)
        root = self.op("Sqrt", self.op("Add", self.mean(squared), self.constant(np.float32(eps))))
        y = self.op("Div", centred, root)
        if not affine:
            return y
        return self.op("Add", self.op("Mul", y, self.weight(width)), self.weight(width))

    def merge_directions(self, y, batch_first=False):
        """Y of a bidirectional layer as PyTorch gives it, in PyTorch's exports."""
        y = self.reshape(self.op("Transpose", y, perm=[0, 2, 1, 3]), 0, 0, -1)
        return self.op("Transpose", y, perm=[1, 0, 2]) if batch_first else y

    def zeros_like_batch(self, x, directions, hidden, axis=1):
        """An initial state of zeros as PyTorch exports it: from the batch of x, computed in the graph."""
        batch = self.op("Gather", self.op("Shape", x), self.constant(np.int64(axis)))
        sizes = [self.constant(np.array([directions], np.int64)), self.unsqueeze(batch, 0),
                 self.constant(np.array([hidden], np.int64))]
        shape = self.op("Concat", *sizes, axis=0)
        return self.op("ConstantOfShape", shape, value=helper.make_tensor("value", FLOAT, [1], [0.0]))


def text_input(graph, *values, rows):
    return graph.random.integers(0, rows, values).astype(np.int64)
