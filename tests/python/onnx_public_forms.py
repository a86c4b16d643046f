"""Graphs of the form that public models have, small and with random weights."""

import numpy as np
from onnx import TensorProto
from onnx_graphs import INT64, Graph

FRAME, CONTEXT, HIDDEN = 512, 64, 8


def _silero_lstm(g, x, state, nodes, weights):
    """One step of an LSTMCell as PyTorch exports it: gates are put into ONNX's order in the graph, and an If decides
    whether there is a state. Both branches have the same weights."""
    def ordered(inner, name):
        i, f, c, o = (inner.slice(name, 0, k * HIDDEN, (k + 1) * HIDDEN) for k in range(4))
        return inner.op("Concat", i, o, f, c, axis=0)

    has_state = g.op("Cast", g.squeeze(g.op("Gather", g.op("Shape", state), g.constant(np.array([0], np.int64)),
                                            axis=0), 0), to=TensorProto.BOOL)
    branches = []
    for given in (True, False):
        inner = g.branch()
        if given:
            states = [inner.op("Gather", state, inner.constant(np.array([i], np.int64)), axis=0) for i in (0, 1)]
        else:
            states = [inner.zeros_like_batch(x, 1, HIDDEN, axis=0)] * 2
        w, r, b_ih, b_hh = (ordered(inner, name) for name in weights)
        y = inner.op("LSTM", inner.unsqueeze(x, 0), inner.unsqueeze(w, 0), inner.unsqueeze(r, 0),
                     inner.unsqueeze(inner.op("Concat", b_ih, b_hh, axis=0), 0), "", *states, outputs=3,
                     hidden_size=HIDDEN, name=f"{nodes}/decoder/rnn/LSTM")
        inner.output(*(inner.squeeze(value, 0) for value in y[1:]))
        branches.append(inner.proto())
    return g.op("If", has_state, outputs=2, then_branch=branches[0], else_branch=branches[1],
                name=f"{nodes}/decoder/If_1")


def _silero(g, x, state, nodes, names, kernel, bins):
    """The nodes of one sample rate; `nodes` and `names` are what their names and those of their weights begin with.
    [probability, state]"""
    hop = kernel // 2
    padded = g.op("Pad", x, g.constant(np.array([0, 0, 0, kernel // 4], np.int64)), mode="reflect")
    basis = g.weight(2 * bins, 1, kernel, name=f"{names}stft.forward_basis_buffer", scale=0.1)
    y = g.op("Conv", g.unsqueeze(padded, 1), basis, kernel_shape=[kernel], strides=[hop], name=f"{nodes}/stft/Conv")
    squares = [g.op("Pow", g.slice(y, 1, first, first + bins), g.constant(np.float32(2))) for first in (0, bins)]
    y = g.op("Sqrt", g.op("Add", *squares))
    sizes = (bins, 7, 6, 5, HIDDEN)
    for i, stride in enumerate((1, 2, 2, 1)):
        name = f"{names}encoder.{i}.reparam_conv"
        weights = (g.weight(sizes[i + 1], sizes[i], 3, name=name + ".weight", scale=0.4),
                   g.weight(sizes[i + 1], name=name + ".bias", scale=0.2))
        y = g.op("Relu", g.op("Conv", y, *weights, kernel_shape=[3], pads=[1, 1], strides=[stride],
                              name=f"{nodes}/encoder/{i}/reparam_conv/Conv"))
    rnn = f"{names}decoder.rnn"
    weights = [g.weight(4 * HIDDEN, HIDDEN, name=f"{rnn}.weight_{side}", scale=0.6) for side in ("ih", "hh")]
    weights += [g.weight(4 * HIDDEN, name=f"{rnn}.bias_{side}") for side in ("ih", "hh")]
    h, c = _silero_lstm(g, g.squeeze(y, -1), state, nodes, weights)
    last = (g.weight(1, HIDDEN, 1, name=f"{names}decoder.decoder.2.weight", scale=24.0),
            g.constant(np.array([1.5], np.float32), f"{names}decoder.decoder.2.bias"))
    y = g.op("Sigmoid", g.op("Conv", g.op("Relu", g.unsqueeze(h, -1)), *last, kernel_shape=[1],
                             name=f"{nodes}/decoder/decoder/2/Conv"))
    y = g.unsqueeze(g.with_axes("ReduceMean", 18, g.squeeze(y, 1), [1], keepdims=0), 1)
    return [y, g.op("Concat", g.unsqueeze(h, 0), g.unsqueeze(c, 0), axis=0)]


def silero(both):
    """Silero VAD: for 16 kHz alone (opset 15), or with the layers for 8 kHz in the other branch of an If (opset 16)."""
    g = Graph(16 if both else 15, seed=5)
    x, state = g.input("batch", "sequence", name="input"), g.input(2, "batch", HIDDEN, name="state")
    rate = g.input(name="sr", kind=INT64)
    if both:
        branches = []
        for branch, kernel, bins in (("then", 256, 9), ("else", 128, 5)):
            inner, names = g.branch(), f"If_0_{branch}_branch__Inline_0__"
            inner.output(*_silero(inner, x, state, names, names, kernel, bins))
            branches.append(inner.proto())
        is_16k = g.op("Equal", rate, g.constant(np.int64(16000)))
        results = g.op("If", is_16k, outputs=2, then_branch=branches[0], else_branch=branches[1], name="If_0")
    else:
        results = _silero(g, x, state, "/model", "model.", 256, 9)
    g.output(*(g.op("Identity", result) for result in results))
    return g.model()


def silero_samples():
    """16 bit samples of bursts of noise, whose last frame is not full."""
    random = np.random.default_rng(5)
    loud = np.repeat(random.choice([0.0, 30.0, 3000.0, 20000.0], 12), 2048)[:-100]
    return np.clip(loud * random.standard_normal(len(loud)), -32768, 32767).astype(np.int16)


def silero_frames():
    """What each call of the graph is passed of these samples, [frames, 1, CONTEXT + FRAME]."""
    samples = silero_samples().astype(np.float32) / 32768
    samples = np.pad(samples, (CONTEXT, -len(samples) % FRAME))
    return np.stack([samples[None, i:i + CONTEXT + FRAME] for i in range(0, len(samples) - CONTEXT, FRAME)])


def dtln(bins=17):
    """DTLN's first model: two LSTMs whose states are one input and one output, a Linear, Sigmoid."""
    g = Graph(11, seed=4)
    y, states = g.input(1, 1, bins, name="input_2"), g.input(1, 2, HIDDEN, 2, name="input_3")
    y = g.op("Transpose", y, perm=[1, 0, 2])
    after = []
    for i in (0, 1):
        mine = [g.unsqueeze(g.op("Gather", g.op("Gather", states, g.constant(np.int64(k)), axis=3),
                                 g.constant(np.int64(i)), axis=1), 0) for k in (0, 1)]
        y, h, c = g.recurrent("LSTM", y, HIDDEN if i else bins, HIDDEN, states=tuple(mine), name=f"lstm_{4 + i}")
        y = g.squeeze(y, 1)
        after.append(g.unsqueeze(g.op("Concat", *(g.unsqueeze(g.squeeze(s, 0), -1) for s in (h, c)), axis=-1), 1))
    y = g.op("Transpose", y, perm=[1, 0, 2])
    y = g.op("MatMul", y, g.weight(HIDDEN, bins, name="dense_2/kernel:0"), name="dense_2")
    y = g.op("Sigmoid", g.op("Add", y, g.weight(bins, name="dense_2/bias:0")))
    g.output(y, g.op("Concat", *after, axis=1))
    return g.model()


def dtln_frames(bins=17):
    return np.random.default_rng(6).standard_normal((10, 1, 1, bins)).astype(np.float32)
