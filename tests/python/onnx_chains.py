"""Graphs that are chains of layers: name -> (oldest opset, function of a Graph that builds it and gives the shape of an
input to try, or an array)."""

import numpy as np

from onnx_graphs import FLOAT, INT32, INT64, Graph, text_input

CHAINS = {}


def chain(oldest=7):
    def register(function):
        CHAINS[function.__name__] = oldest, function
        return function
    return register


def build(name, opset):
    """(model, input)"""
    graph = Graph(opset, seed=len(name))
    x = CHAINS[name][1](graph)
    x = x if isinstance(x, np.ndarray) else graph.random.standard_normal(x).astype(np.float32)
    return graph.model(), x


@chain()
def lstm_time_first(g):
    y = g.recurrent("LSTM", g.input("T", "B", 5), 5, 6)[0]
    g.output(g.squeeze(y, 1))
    return 7, 3, 5


@chain(9)
def lstm_batch_first_pytorch(g):
    x = g.op("Transpose", g.input("batch", "seq", 5), perm=[1, 0, 2])
    state = g.zeros_like_batch("x", 1, 6, axis=0)
    y = g.recurrent("LSTM", x, 5, 6, states=(state, state))[0]
    y = g.op("Transpose", g.squeeze(y, 1), perm=[1, 0, 2])
    g.output(g.dense(y, 6, 4))
    return 2, 7, 5


@chain()
def lstm_bidirectional(g):
    y = g.recurrent("LSTM", g.input(None, None, 5), 5, 4, "bidirectional")[0]
    g.output(g.merge_directions(y))
    return 7, 3, 5


@chain()
def lstm_stack_bidirectional_batch_first(g):
    x = g.op("Transpose", g.input("b", "t", 5), perm=[1, 0, 2])
    for inputs in (5, 8):
        x = g.merge_directions(g.recurrent("LSTM", x, inputs, 4, "bidirectional")[0])
    x = g.op("Transpose", x, perm=[1, 0, 2])
    g.output(g.op("LogSoftmax", g.dense(x, 8, 3), axis=2))
    return 2, 6, 5


@chain()
def lstm_static_reshape(g):
    y = g.recurrent("LSTM", g.input(7, 2, 5), 5, 4, "bidirectional", bias=False)[0]
    g.output(g.reshape(g.op("Transpose", y, perm=[0, 2, 1, 3]), 7, 2, 8))
    return 7, 2, 5


@chain()
def lstm_last_state(g):
    x = g.op("Transpose", g.input("b", "t", 5), perm=[1, 0, 2])
    h = g.recurrent("LSTM", x, 5, 6)[1]
    g.output(g.linear(g.squeeze(h, 0), 6, 3))
    return 2, 7, 5


@chain()
def lstm_stack_last_state(g):
    """h_n[-1] of stacked layers, as PyTorch exports it."""
    y, h, c = g.recurrent("LSTM", g.input("t", "b", 5), 5, 4)
    _, h2, c2 = g.recurrent("LSTM", g.squeeze(y, 1), 4, 4)
    g.op("Concat", c, c2, axis=0)
    last = g.op("Gather", g.op("Concat", h, h2, axis=0), g.constant(np.int64(-1)), axis=0)
    g.output(g.linear(last, 4, 3))
    return 7, 2, 5


@chain()
def lstm_last_step_gather(g):
    x = g.op("Transpose", g.input("b", "t", 5), perm=[1, 0, 2])
    y = g.op("Transpose", g.squeeze(g.recurrent("LSTM", x, 5, 6)[0], 1), perm=[1, 0, 2])
    last = g.op("Gather", y, g.constant(np.int64(-1)), axis=1)
    g.output(g.op("Sigmoid", g.linear(last, 6, 3)))
    return 2, 7, 5


@chain()
def lstm_last_step_slice(g):
    y = g.squeeze(g.recurrent("LSTM", g.input("t", "b", 5), 5, 6)[0], 1)
    g.output(g.linear(g.squeeze(g.slice(y, 0, -1, 2**31 - 1), 0), 6, 3))
    return 7, 2, 5


@chain()
def lstm_states_as_further_outputs(g):
    y, h, c = g.recurrent("LSTM", g.input("t", "b", 5), 5, 6)
    g.output(g.squeeze(y, 1), h, g.op("Identity", c))
    return 7, 2, 5


@chain()
def lstm_explicit_activations(g):
    y = g.recurrent("LSTM", g.input("t", "b", 5), 5, 6, "bidirectional",
                    activations=["Sigmoid", "Tanh", "Tanh"] * 2)[0]
    g.output(g.merge_directions(y))
    return 7, 2, 5


def directions(g, form):
    """Both directions, cut apart and joined over the channels."""
    y = g.recurrent("LSTM", g.input("t", "b", 5), 5, 4, "bidirectional")[0]
    if form == "split":
        halves = [g.squeeze(part, 1) for part in g.op("Split", y, axis=1, outputs=2)]
    elif form == "slice":
        halves = [g.squeeze(g.slice(y, 1, i, i + 1), 1) for i in range(2)]
    else:
        halves = [g.op("Gather", y, g.constant(np.int64(i)), axis=1) for i in range(2)]
    return g.op("Concat", *halves, axis=2)


@chain()
def lstm_directions_of_two_nodes(g):
    x = g.input("t", "b", 5)
    halves = [g.squeeze(g.recurrent("LSTM", x, 5, 4, way)[0], 1) for way in ("reverse", "forward")]
    g.output(g.dense(g.op("Concat", halves[1], halves[0], axis=2), 8, 3))
    return 7, 2, 5


@chain(14)
def gru_directions_of_two_nodes_layout_1(g):
    x = g.input("b", "t", 5)
    halves = [g.squeeze(g.recurrent("GRU", x, 5, 4, way, layout=1)[0], 2) for way in ("forward", "reverse")]
    g.output(g.op("Tanh", g.op("Concat", *halves, axis=2)))
    return 2, 7, 5


@chain()
def lstm_directions_split(g):
    g.output(directions(g, "split"))
    return 7, 2, 5


@chain()
def lstm_directions_sliced(g):
    g.output(g.dense(directions(g, "slice"), 8, 3))
    return 7, 2, 5


@chain()
def lstm_directions_gathered(g):
    g.output(g.op("Transpose", directions(g, "gather"), perm=[1, 0, 2]))
    return 7, 2, 5


@chain(14)
def lstm_layout_1(g):
    y = g.recurrent("LSTM", g.input("b", "t", 5), 5, 4, "bidirectional", layout=1)[0]
    g.output(g.reshape(y, 0, 0, 8))
    return 2, 7, 5


@chain(14)
def gru_layout_1_last_state(g):
    h = g.recurrent("GRU", g.input("b", "t", 5), 5, 4, layout=1, linear_before_reset=1)[1]
    g.output(g.squeeze(h, 1))
    return 2, 7, 5


@chain()
def lstm_reverse(g):
    y = g.recurrent("LSTM", g.input("t", "b", 5), 5, 4, "reverse")[0]
    g.output(g.op("Tanh", g.squeeze(y, 1)))
    return 7, 2, 5


@chain()
def gru_reverse_then_linear(g):
    y = g.recurrent("GRU", g.input("t", "b", 5), 5, 4, "reverse", linear_before_reset=1)[0]
    g.output(g.dense(g.op("Relu", g.squeeze(y, 1)), 4, 3))
    return 7, 2, 5


@chain()
def rnn_reverse_then_gru(g):
    y = g.squeeze(g.recurrent("RNN", g.input("t", "b", 5), 5, 4, "reverse")[0], 1)
    g.output(g.squeeze(g.recurrent("GRU", y, 4, 3)[0], 1))
    return 7, 2, 5


@chain()
def gru_reset_after(g):
    y = g.recurrent("GRU", g.input("t", "b", 5), 5, 4, "bidirectional", linear_before_reset=1)[0]
    g.output(g.merge_directions(y))
    return 7, 3, 5


@chain()
def gru_reset_before(g):
    y = g.recurrent("GRU", g.input("t", "b", 5), 5, 4, "bidirectional")[0]
    g.output(g.merge_directions(y))
    return 7, 3, 5


@chain()
def gru_relu(g):
    y = g.recurrent("GRU", g.input("t", "b", 5), 5, 4, "bidirectional", activations=["Sigmoid", "Relu"] * 2)[0]
    y = g.recurrent("GRU", g.merge_directions(y), 8, 4, activations=["Sigmoid", "Relu"], linear_before_reset=1)[0]
    g.output(g.squeeze(y, 1))
    return 7, 3, 5


@chain()
def rnn_relu(g):
    y = g.recurrent("RNN", g.input("t", "b", 5), 5, 4, "bidirectional", activations=["Relu", "Relu"])[0]
    g.output(g.merge_directions(y, batch_first=True))
    return 7, 3, 5


@chain()
def rnn_tanh_without_bias(g):
    y = g.recurrent("RNN", g.input("t", "b", 5), 5, 4, bias=False)[0]
    g.output(g.squeeze(y, 1))
    return 7, 3, 5


@chain()
def one_step_of_one_sequence(g):
    x = g.op("Transpose", g.input(1, 1, 9), perm=[1, 0, 2])
    for inputs in (9, 4):
        y = g.op("Transpose", g.recurrent("LSTM", x, inputs, 4)[0], perm=[2, 1, 0, 3])
        x = g.op("Transpose", g.squeeze(y, 1), perm=[1, 0, 2])
    g.output(g.op("Sigmoid", g.dense(g.op("Transpose", x, perm=[1, 0, 2]), 4, 9)))
    return 1, 1, 9


@chain()
def wake_word(g):
    x = g.op("Flatten", g.input(1, 4, 6), axis=1)
    x = g.layer_norm(g.linear(x, 24, 8, "0"), 8)
    x = g.op("Relu", x)
    g.output(g.op("Softmax", g.linear(x, 8, 3, "3"), axis=1))
    return 1, 4, 6


@chain()
def flatten_by_reshape(g):
    x = g.reshape(g.input("b", 4, 6), -1, 24)
    g.output(g.linear(x, 24, 5))
    return 3, 4, 6


@chain()
def flatten_by_shape_of_batch(g):
    batch = g.unsqueeze(g.op("Gather", g.op("Shape", g.input("b", 4, 6)), g.constant(np.int64(0))), 0)
    shape = g.op("Concat", batch, g.constant(np.array([-1], np.int64)), axis=0)
    g.output(g.linear(g.op("Reshape", "x", shape), 24, 5))
    return 3, 4, 6


@chain()
def rows_joined_and_parted(g):
    x = g.reshape(g.input("b", "t", 6), -1, 6)
    y = g.op("Relu", g.linear(x, 6, 5))
    shape = g.op("Shape", "x")
    sizes = [g.unsqueeze(g.op("Gather", shape, g.constant(np.int64(i))), 0) for i in (0, 1)]
    g.output(g.op("Reshape", y, g.op("Concat", *sizes, g.constant(np.array([5], np.int64)), axis=0)))
    return 2, 3, 6


@chain()
def linear_with_factors(g):
    y = g.op("Gemm", g.input("b", 6), g.weight(6, 5), g.weight(1, 5), alpha=0.5, beta=2.0)
    g.output(g.op("Elu", g.op("LeakyRelu", y, alpha=0.2), alpha=0.7))
    return 3, 6


@chain()
def scaled_and_shifted(g):
    x = g.op("Mul", g.linear(g.input("b", 6), 6, 5), g.constant(np.float32(0.3)))
    x = g.op("Tanh", g.op("Sub", g.op("Div", x, g.constant(np.float32([1, 2, -3, 4, 5]))), g.weight(1, 5)))
    x = g.op("Mul", g.weight(4), g.dense(x, 5, 4))
    x = g.op("Sub", g.weight(1), g.op("Add", x, g.weight(1, 1)))
    g.output(g.op("Relu", x))
    return 3, 6


@chain()
def input_normalized(g):
    x = g.op("Div", g.op("Sub", g.input("b", 6), g.weight(6)), g.constant(np.float32(0.25)))
    x = g.op("Mul", g.op("Relu", g.linear(x, 6, 5)), g.weight(1, 5))
    g.output(g.op("Sub", g.constant(np.float32(1)), g.op("Sigmoid", g.op("MatMul", x, g.weight(5, 4)))))
    return 3, 6


@chain()
def input_of_lstm_normalized(g):
    x = g.op("Add", g.op("Mul", g.input("b", "t", 5), g.constant(np.float32([1, 2, -3, 4, 5]))), g.weight(5))
    x = g.op("Transpose", x, perm=[1, 0, 2])
    y = g.squeeze(g.recurrent("LSTM", x, 5, 4, "reverse")[0], 1)
    y = g.squeeze(g.recurrent("LSTM", g.op("Add", y, g.weight(4)), 4, 3, bias=False)[0], 1)
    y = g.op("Mul", g.op("Add", y, g.weight(3)), g.constant(np.float32(0.5)))
    g.output(g.squeeze(g.recurrent("GRU", y, 3, 3, bias=False, linear_before_reset=1)[0], 1))
    return 2, 7, 5


@chain(9)
def embedding_lstm_linear(g):
    x = g.op("Gather", g.weight(11, 6, name="embedding.weight"), g.input("t", "b", kind=INT64))
    y = g.squeeze(g.recurrent("LSTM", x, 6, 5)[0], 1)
    g.output(g.dense(y, 5, 11))
    return text_input(g, 7, 2, rows=11)


@chain()
def embedding_of_batches(g):
    x = g.op("Cast", g.input("b", "t", kind=INT64), to=INT32)
    x = g.op("Transpose", g.op("Gather", g.weight(11, 6), x, axis=0), perm=[1, 0, 2])
    y = g.merge_directions(g.recurrent("GRU", x, 6, 5, "bidirectional", linear_before_reset=1)[0], batch_first=True)
    g.output(g.op("Softmax", g.dense(y, 10, 4), axis=2))
    return text_input(g, 2, 7, rows=11)


@chain(17)
def layer_norm_node(g):
    x = g.op("LayerNormalization", g.input("b", "t", 6), g.weight(6), g.weight(6), axis=-1, epsilon=1e-6)
    g.output(g.op("LayerNormalization", g.dense(x, 6, 5), g.weight(5), axis=2))
    return 2, 3, 6


@chain()
def layer_norm_decomposed(g):
    x = g.layer_norm(g.input("b", "t", 6), 6, eps=1e-6)
    x = g.layer_norm(g.dense(x, 6, 5), 5, affine=False)
    g.output(g.layer_norm(g.dense(x, 5, 4), 4, square="Mul"))
    return 2, 3, 6


@chain()
def clip_and_dropout(g):
    y = g.linear(g.input("b", 6), 6, 5)
    if g.opset < 11:
        y = g.op("Clip", y, min=0.0)
    else:
        y = g.op("Clip", y, g.constant(np.float32(0)))
    y = g.op("Dropout", g.op("Identity", y))
    g.output(g.op("LogSoftmax", y, axis=1))
    return 3, 6


@chain(10)
def weights_behind_other_nodes(g):
    """LSTM weights as PyTorch exports them where it folds nothing: gates in its own order, cut up and joined."""
    hidden, parts = 4, []
    for columns in (5, hidden, 1, 1):
        w = g.weight(4 * hidden, columns) if columns > 1 else g.weight(4 * hidden)
        i, f, c, o = (g.slice(w, 0, k * hidden, (k + 1) * hidden) for k in range(4))
        parts.append(g.op("Concat", i, o, f, c, axis=0))
    weights = [g.unsqueeze(part, 0) for part in (parts[0], parts[1], g.op("Concat", *parts[2:], axis=0))]
    y = g.op("LSTM", g.input("t", "b", 5), *weights, outputs=3, hidden_size=hidden)[0]
    matrix = g.op("Transpose", g.op("Identity", g.op("Cast", g.weight(3, 4, dtype=np.float16), to=FLOAT)), perm=[1, 0])
    table = g.constant(np.arange(6, dtype=np.float32))
    bias = g.op("Add", g.reshape(g.slice(table, 0, 1, 4), 3), g.constant(np.float32(0.5)))
    g.output(g.op("Add", g.op("MatMul", g.squeeze(y, 1), matrix), bias))
    return 7, 2, 5


import onnx_convolution_chains  # noqa: E402, F401  (it adds its own)
