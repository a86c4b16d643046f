"""LSTM, GRU and RNN. Whatever a node asks for that the library's layers do not do is refused with the node's name."""

import numpy as np

from bytegate._error import Error
from bytegate.onnx.blocks import MAX_COLUMNS, Block, Refused, matcher, weight_origin
from bytegate.onnx.fold import float_constant

# Operation -> (kind, gates in ONNX's order as PyTorch's order asks for them, activations of one direction).
# ONNX has i, o, f, c where PyTorch has i, f, g, o; z, r, h where PyTorch has r, z, n.
_CELLS = {"LSTM": ("lstm", (0, 2, 3, 1), ("sigmoid", "tanh", "tanh")), "GRU": ("gru", (1, 0, 2), ("sigmoid", "tanh")),
          "RNN": ("rnn", (0,), ("tanh",))}
_NO_CLIP = 1e30


class Recurrent:
    """What the nodes of the three operations have in common. `weights` gives a direction's weight as [gates * hidden,
    columns] for "W" and "R", with its scale or None."""

    def __init__(self, node, graph, cell):
        self.node, self.graph = node, graph
        self.kind, self.order, self.defaults = _CELLS[cell]
        self.cell = cell
        direction = node.text("direction", "forward").lower()
        if direction not in ("forward", "reverse", "bidirectional"):
            self.refuse(f"its direction is {direction}")
        self.directions = 2 if direction == "bidirectional" else 1
        self.reverse = direction == "reverse"
        self.layout = node.integer("layout", 0)
        if self.layout not in (0, 1):
            self.refuse(f"its layout is {self.layout}; 0 and 1 are accepted")
        self.options = self.read_options()

    def refuse(self, reason):
        raise Refused(self.node, reason)

    def read_options(self):
        """The layer's fields that are no sizes."""
        node = self.node
        if abs(node.number("clip", _NO_CLIP)) < _NO_CLIP:
            self.refuse(f"it clips its gates (clip = {node.number('clip', 0):g})")
        if node.integer("input_forget", 0):
            self.refuse("its input and forget gates are coupled (input_forget)")
        options = {}
        if self.cell == "GRU" and not node.integer("linear_before_reset", 0):
            options["reset_after"] = False
        names = node.attributes.get("activations")
        if names is None:
            return options
        names = [name.decode("utf-8", "replace").lower() for name in names] if isinstance(names, list) else []
        if self.cell != "LSTM" and names == [*self.defaults[:-1], "relu"] * self.directions:
            options["nonlinearity"] = "relu"
        elif names != list(self.defaults) * self.directions:
            self.refuse(f"its activations are {', '.join(names)[:100]}; accepted are "
                        f"{', '.join(self.defaults)}{'' if self.cell == 'LSTM' else ' or relu'} in each direction")
        return options

    def zero_or_refuse(self, index, what):
        name = self.node.input(index)
        if not name:
            return
        value = self.graph.constant(name)
        if value is None or value.dtype.kind != "f" or value.any():
            self.refuse(what)

    def sizes(self, w_shape, r_shape):
        """(inputs, hidden), checked against each other. Shapes are [directions, gates * hidden, columns]."""
        gates = len(self.order)
        if len(w_shape) != 3 or len(r_shape) != 3:
            self.refuse(f"its weights have the shapes {list(w_shape)} and {list(r_shape)}; three dimensions are "
                        "expected")
        inputs, hidden = w_shape[2], r_shape[2]
        stated = self.node.integer("hidden_size", hidden)
        if stated != hidden or w_shape[:2] != (self.directions, gates * hidden) or w_shape[:2] != r_shape[:2]:
            self.refuse(f"its weights have the shapes {list(w_shape)} and {list(r_shape)}, which do not fit "
                        f"hidden_size {stated} and {self.directions} directions")
        if not 1 <= inputs <= MAX_COLUMNS or not 1 <= hidden <= MAX_COLUMNS:
            self.refuse(f"its sizes are {inputs:,} and {hidden:,}; 1 to {MAX_COLUMNS:,} are accepted")
        return inputs, hidden

    def reordered(self, rows):
        """Rows, or values of rows, in PyTorch's order of gates."""
        parts = np.split(rows, len(self.order), axis=0)
        return np.ascontiguousarray(np.concatenate([parts[gate] for gate in self.order], axis=0))

    def biases(self, hidden):
        """[directions, 2 * gates * hidden], or None."""
        if not self.node.input(3):
            return None
        bias = float_constant(self.graph, self.node.inputs[3], "B", self.refuse)
        expected = (self.directions, 2 * len(self.order) * hidden)
        if bias.shape != expected:
            self.refuse(f"its B has the shape {list(bias.shape)}; {list(expected)} is expected")
        return bias

    def block(self, weights, inputs, hidden, quantized=False):
        """weights: for each direction a dict of names without suffix ("weight_ih") and arrays, in PyTorch's order."""
        fields = {"input_size": inputs, "hidden_size": hidden}
        bias = self.biases(hidden)
        if bias is None:
            fields["bias"] = False
        if self.directions == 2:
            fields["bidirectional"] = True
        fields.update(self.options)
        if quantized:
            fields["dtype"] = "qint8"
        tensors = {}
        for direction, arrays in enumerate(weights):
            suffix = "_l0_reverse" if direction else "_l0"
            for name, array in arrays.items():
                stem, scale, _ = name.partition("_scale")
                tensors[stem + suffix + scale] = array
            if bias is not None:
                for name, half in zip(("bias_ih", "bias_hh"), np.split(bias[direction], 2)):
                    tensors[name + suffix] = self.reordered(half)
        node = self.node
        return Block(self.kind, node, node.inputs[0], node.output(0), fields, tensors, recurrent=True, graph=self.graph,
                     directions=self.directions, reverse=self.reverse, layout=self.layout, lengths=node.input(4),
                     states=[node.input(5), node.input(6) if self.cell == "LSTM" else ""],
                     weight_name=weight_origin(self.graph, node.inputs[1]))


def _forget_weights_in_common(node):
    if len(node.inputs) < 3:
        raise Refused(node, "it has no weights")


@matcher("LSTM", "GRU", "RNN")
def match_recurrent(node, graph):
    _forget_weights_in_common(node)
    form = Recurrent(node, graph, node.op)
    if node.op == "LSTM":
        form.zero_or_refuse(7, "it has peepholes (P)")
    w = float_constant(graph, node.inputs[1], "W", form.refuse)
    r = float_constant(graph, node.inputs[2], "R", form.refuse)
    inputs, hidden = form.sizes(w.shape, r.shape)
    weights = [{"weight_ih": form.reordered(w[i]), "weight_hh": form.reordered(r[i])}
               for i in range(form.directions)]
    return form.block(weights, inputs, hidden)


@matcher("DynamicQuantizeLSTM", domain="com.microsoft")
def match_quantized_lstm(node, graph):
    from bytegate.onnx.int8 import integer_weight
    _forget_weights_in_common(node)
    form = Recurrent(node, graph, "LSTM")
    form.zero_or_refuse(7, "it has peepholes (P)")
    shapes, parts = [], []
    for index, what in ((1, "W"), (2, "R")):
        value = graph.constant(node.inputs[index])
        if value is None or value.ndim != 3 or value.shape[0] != form.directions:
            form.refuse(f"its {what} is not a constant of three dimensions with one for its directions")
        shapes.append((value.shape[0], value.shape[2], value.shape[1]))
        scales, zeros = (8, 9) if what == "W" else (10, 11)
        parts.append([integer_weight(graph, value[i].T, _of_direction(graph, node.input(scales), i),
                                     _of_direction(graph, node.input(zeros), i), what, form.refuse)
                      for i in range(form.directions)])
    inputs, hidden = form.sizes(*shapes)
    quantized = all(scale is not None for part in parts for _, scale in part)
    weights = []
    for pair in zip(*parts):
        arrays = {}
        for name, (array, scale) in zip(("weight_ih", "weight_hh"), pair):
            if not quantized and scale is not None:  # one of the others has no place among int8 weights
                array, scale = array.astype(np.float32) * scale.reshape(-1, 1), None
            arrays[name] = form.reordered(array)
            if scale is not None:
                arrays[name + "_scale"] = form.reordered(scale)
        weights.append(arrays)
    block = form.block(weights, inputs, hidden, quantized)
    if not quantized:
        block.notes.append("Its int8 weights have a zero point and become float weights.")
    return block


def _of_direction(graph, name, direction):
    """The part of scales or zero points that belongs to a direction; None where the node has none."""
    value = graph.constant(name)
    if not name:
        return None
    if value is None:
        raise Error("bad_file", f"the scales or zero points {name!r} of a quantized layer are not constants")
    return value[direction] if value.ndim and value.shape[0] > direction else value
