"""The chains of onnx_chains.py that have convolutions or batch norms."""

import numpy as np
from onnx_chains import chain


@chain()
def convolutions(g):
    x = g.conv(g.input("b", 4, 20), 4, 6, 3, pads=[1, 1], strides=[2])
    x = g.conv(g.op("Relu", x), 6, 8, 3, pads=[2, 2], dilations=[2], groups=2)
    x = g.conv(x, 8, 8, 2, groups=8)
    g.output(g.op("Sigmoid", g.conv(x, 8, 2, 1, bias=False)))
    return 2, 4, 20


@chain()
def convolution_then_lstm(g):
    x = g.op("Relu", g.conv(g.input("b", 4, "t"), 4, 6, 3, pads=[1, 1]))
    y = g.recurrent("LSTM", g.op("Transpose", x, perm=[2, 0, 1]), 6, 5)[0]
    g.output(g.op("Transpose", g.squeeze(y, 1), perm=[1, 0, 2]))
    return 2, 4, 12


@chain()
def convolution_causal(g):
    x = g.conv(g.input("b", 4, "t"), 4, 5, 3, pads=[4, 0], dilations=[2])
    g.output(g.conv(x, 5, 3, 4, pads=[0, 3]))
    return 2, 4, 12


@chain()
def convolution_same(g):
    x = g.conv(g.input("b", 4, "t"), 4, 5, 4, auto_pad="SAME_UPPER")
    x = g.conv(x, 5, 5, 4, auto_pad="SAME_LOWER")
    g.output(g.conv(x, 5, 3, 2, auto_pad="VALID"))
    return 2, 4, 12


@chain(11)
def convolution_behind_pad(g):
    x = g.op("Pad", g.input("b", 4, "t"), g.constant(np.array([0, 0, 2, 0, 0, 0], np.int64)))
    g.output(g.conv(x, 4, 5, 3))
    return 2, 4, 12


@chain()
def convolution_of_batches_of_time(g):
    """As Keras's Conv1D is exported: channels last, over two dimensions of which one is 1."""
    x = g.unsqueeze(g.op("Transpose", g.input("b", "t", 4), perm=[0, 2, 1]), 2)
    x = g.op("Conv", x, g.weight(5, 4, 1, 3), kernel_shape=[1, 3], pads=[0, 1, 0, 1])
    x = g.op("Add", x, g.weight(1, 5, 1, 1))
    g.output(g.op("Relu", g.op("Transpose", g.squeeze(x, 2), perm=[0, 2, 1])))
    return 2, 12, 4


@chain()
def convolution_scaled(g):
    x = g.op("Mul", g.conv(g.input("b", 4, "t"), 4, 6, 3), g.weight(6, 1))
    x = g.op("Transpose", g.op("Add", g.weight(1, 6, 1), g.op("Div", x, g.constant(np.float32(3)))), perm=[0, 2, 1])
    g.output(g.op("Relu", g.op("Mul", x, g.weight(6))))
    return 2, 4, 12


@chain()
def convolution_batch_norm(g):
    x = g.conv(g.input("b", 4, "t"), 4, 6, 3)
    norm = [g.weight(6), g.weight(6), g.weight(6), g.constant(g.random.random(6).astype(np.float32) + 0.5)]
    g.output(g.op("Relu", g.op("BatchNormalization", x, *norm, epsilon=1e-3)))
    return 2, 4, 12


@chain()
def batch_norm_alone(g):
    norm = [g.weight(4), g.weight(4), g.weight(4), g.constant(g.random.random(4).astype(np.float32) + 0.5)]
    x = g.op("BatchNormalization", g.input("b", 4, "t"), *norm)
    g.output(g.op("Relu", x))
    return 2, 4, 12


def batch_norm(g, x, channels):
    norm = [g.weight(channels), g.weight(channels), g.weight(channels),
            g.constant(g.random.random(channels).astype(np.float32) + 0.5)]
    return g.op("BatchNormalization", x, *norm)


@chain()
def batch_norms_of_rows(g):
    x = batch_norm(g, g.dense(batch_norm(g, g.input("b", 6), 6), 6, 5), 5)
    x = batch_norm(g, g.linear(g.op("Relu", x), 5, 4), 4)
    g.output(batch_norm(g, g.op("Relu", x), 4))
    return 3, 6


@chain()
def softmax_over_channels(g):
    x = g.conv(g.input("b", 4, "t"), 4, 6, 1)
    if g.opset < 13:
        x = g.op("Transpose", x, perm=[0, 2, 1])
        g.output(g.op("Softmax", x, axis=2))
    else:
        g.output(g.op("Softmax", x, axis=1))
    return 2, 4, 5
