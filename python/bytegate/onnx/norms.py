"""LayerNormalization, as one node and as the nodes it is made of in older opsets, and BatchNormalization."""

import numpy as np

from bytegate.onnx.blocks import (MAX_COLUMNS, Block, Unfit, follow, matcher, other_constant, unfit, vector,
                                  weight_origin)
from bytegate.onnx.fold import axes_of, float_constant
from bytegate.onnx.graph import shortest


def _norm_block(node, source, output, weight, bias, eps, weight_name):
    if not 0 <= eps < float("inf"):
        unfit(f"its epsilon is {eps}; a finite number of 0 or more is accepted")
    fields = {"normalized_shape": len(weight)}
    if eps != 1e-5:
        fields["eps"] = eps
    return Block("layer_norm", node, source, output, fields, {"weight": weight, "bias": bias}, weight_name=weight_name)


@matcher("LayerNormalization")
def match_layer_norm(node, graph):
    weight = float_constant(graph, node.input(1), "scale", unfit)
    axis = node.integer("axis", -1)
    flat = weight.reshape(-1)
    if weight.shape[:-1] != (1,) * (weight.ndim - 1):
        unfit(f"it normalizes over {weight.ndim} dimensions; the last one is accepted")
    if any(name and graph.consumers.get(name) for name in node.outputs[1:]) or \
            set(node.outputs[1:]) & graph.output_names:
        unfit("its mean or deviation is used")
    bias = float_constant(graph, node.inputs[2], "bias", unfit).reshape(-1) if node.input(2) else np.zeros_like(flat)
    if bias.shape != flat.shape or not flat.size:
        unfit("its scale and bias differ in size")
    block = _norm_block(node, node.inputs[0], node.outputs[0], flat, bias, node.number("epsilon", 1e-5),
                        weight_origin(graph, node.inputs[1]))
    block.extra.update(axis=axis, rank=weight.ndim)
    return block


def _mean_over_last(node, graph):
    """Whether a ReduceMean is one over a single axis that is kept; gives the axis."""
    axes = axes_of(node, [graph.constant(name) for name in node.inputs])
    return axes[0] if axes and len(axes) == 1 and node.integer("keepdims", 1) == 1 else None


def _scalar(graph, node, name):
    value = other_constant(graph, node, name)
    return shortest(value.reshape(())) if value is not None and value.size == 1 else None


class _Walk:
    """From node to node along tensors that nobody else reads."""

    def __init__(self, graph, first):
        self.graph, self.nodes = graph, [first]

    def step(self, name, *operations):
        """The one node that reads a tensor, past casts between floats; None if there are others."""
        node = self.graph.sole_consumer(name)
        while node is not None and node.op == "Cast" and node.domain == "":
            self.nodes.append(node)
            node = self.graph.sole_consumer(node.outputs[0])
        if node is None or node.domain or node.op not in operations:
            return None
        self.nodes.append(node)
        return node


def _deviation(walk, node, axis):
    """From the node behind Sub: (Div or Mul by the reciprocal, eps), or None."""
    graph = walk.graph
    mean = walk.step(node.outputs[0], "ReduceMean")
    if mean is None or _mean_over_last(mean, graph) != axis:
        return None
    add = walk.step(mean.outputs[0], "Add")
    if add is None:
        return None
    before = next((name for name in add.inputs if graph.constant(name) is None), "")
    eps = _scalar(graph, add, before)
    root = walk.step(add.outputs[0], "Sqrt")
    if eps is None or root is None:
        return None
    last = walk.step(root.outputs[0], "Div", "Reciprocal")
    if last is not None and last.op == "Reciprocal":
        last = walk.step(last.outputs[0], "Mul")
    return None if last is None else (last, eps)


def _square(walk, graph, difference):
    """Of x - mean: the tensor (or its cast), the node that squares it and the one that divides it; or None."""
    name = difference
    readers = graph.consumers.get(name, ())
    while len(readers) == 1 and readers[0].op == "Cast":
        walk.nodes.append(readers[0])
        name = readers[0].outputs[0]
        readers = graph.consumers.get(name, ())
    casts = [node for node in readers if node.op == "Cast"]
    for node in readers:
        squares = node.op == "Pow" and node.inputs[0] == name and _scalar(graph, node, name) == 2.0
        if squares or (node.op == "Mul" and node.inputs == [name, name]):
            return name, node
    if len(casts) == 1 and len(readers) == 2:  # the square is computed in another type
        node = graph.sole_consumer(casts[0].outputs[0])
        if node is not None and node.op == "Pow" and _scalar(graph, node, casts[0].outputs[0]) == 2.0:
            walk.nodes.append(casts[0])
            return name, node
    return None


@matcher("ReduceMean")
def match_decomposed(node, graph):
    """ReduceMean, Sub, Pow, ReduceMean, Add, Sqrt, Div and perhaps Mul and Add."""
    axis = _mean_over_last(node, graph)
    if axis is None or graph.constant(node.inputs[0]) is not None:
        return None
    source, walk = node.inputs[0], _Walk(graph, node)
    subtract = walk.step(node.outputs[0], "Sub")
    if subtract is None or subtract.inputs[0] != source:
        return None
    found = _square(walk, graph, subtract.outputs[0])
    if found is None or subtract.outputs[0] in graph.output_names:
        return None
    centred, square = found
    walk.nodes.append(square)
    found = _deviation(walk, square, axis)
    if found is None:
        return None
    divide, eps = found
    if divide.inputs[0] != centred and (divide.op == "Div" or centred not in divide.inputs):
        return None
    if divide.op == "Div" and divide.inputs[1] == centred:
        return None
    readers = set(graph.consumers.get(centred, ()))
    if not readers <= set(walk.nodes) or centred in graph.output_names:
        return None
    return _scale_and_bias(graph, walk, source, divide, axis, eps)


def _scale_and_bias(graph, walk, source, divide, axis, eps):
    """The Mul and Add behind a normalization. Their constants say how wide it is; without them the graph must."""
    output, weight, bias, weight_name, rank = divide.outputs[0], None, None, "", 1
    multiply = graph.sole_consumer(output)
    if multiply is not None and multiply.op == "Mul":
        value = other_constant(graph, multiply, output)
        size = value.shape[-1] if value is not None and value.ndim else 0
        weight = vector(value, size, [(size,)]) if 0 < size <= MAX_COLUMNS else None
    if weight is not None:
        weight_name = weight_origin(graph, next(name for name in multiply.inputs if name != output))
        rank = value.ndim
        output = multiply.outputs[0]
        walk.nodes.append(multiply)
        add = graph.sole_consumer(output)
        if add is not None and add.op == "Add":
            value = other_constant(graph, add, output)
            bias = vector(value, len(weight), [(len(weight),)])
        if bias is not None:
            rank = max(rank, value.ndim)
            output = add.outputs[0]
            walk.nodes.append(add)
    if weight is not None and bias is None:
        bias = np.zeros_like(weight)
    block = _norm_block(walk.nodes[0], source, output, weight if weight is not None else np.zeros(0, np.float32), bias,
                        eps, weight_name)
    block.nodes = list(dict.fromkeys(walk.nodes))
    block.extra.update(axis=axis, rank=rank)
    return block


def _batch_norm(node, graph):
    """What a BatchNormalization as inference runs it multiplies each channel by, and adds then. Raises Unfit."""
    if node.integer("training_mode", 0) or len(node.outputs) > 1:
        unfit("it is in training mode")
    if node.integer("spatial", 1) != 1:
        unfit("it has constants for each place and not for each channel (spatial = 0)")
    names = ("scale", "bias", "mean", "variance")
    values = [float_constant(graph, node.input(i + 1), name, unfit).reshape(-1) for i, name in enumerate(names)]
    if any(value.shape != values[0].shape for value in values) or not values[0].size or (values[3] < 0).any():
        unfit("its constants differ in size, or have a negative variance")
    weight, bias, mean, variance = (value.astype(np.float64) for value in values)
    scale = weight / np.sqrt(variance + node.number("epsilon", 1e-5))
    shift = bias - mean * scale
    if not (np.isfinite(scale.astype(np.float32)).all() and np.isfinite(shift.astype(np.float32)).all()):
        unfit("its constants make values that are not finite")
    return scale, shift


@matcher("BatchNormalization")
def match_batch_norm(node, graph):
    """One that no layer before it can have: a convolution of each channel with a kernel of 1."""
    scale, shift = _batch_norm(node, graph)
    channels = len(scale)
    fields = {"in_channels": channels, "out_channels": channels, "kernel_size": 1}
    if channels > 1:
        fields["groups"] = channels
    tensors = {"weight": scale.astype(np.float32).reshape(-1, 1, 1), "bias": shift.astype(np.float32)}
    block = Block("conv1d", node, node.inputs[0], node.outputs[0], fields, tensors, unit_axis=None,
                  batch_norm=(scale, shift), weight_name=weight_origin(graph, node.inputs[1]))
    block.notes.append("It scales and shifts each channel.")
    return block


def absorb_batch_norm(graph, block):
    """Folds a BatchNormalization behind a layer, whose channels are its outputs, into its weights."""
    node = follow(graph, block, "BatchNormalization")
    if node is None or node.inputs[0] != block.output:
        return
    try:
        scale, shift = _batch_norm(node, graph)
    except Unfit:
        return  # the node says so itself
    if fold_batch_norm(block, node, scale, shift):
        block.output = node.outputs[0]
        block.nodes.append(node)


def fold_batch_norm(block, node, scale, shift):
    """Multiplies the outputs of a Linear or a Conv1d by `scale` and adds `shift`. False if that cannot be."""
    matrix = block.tensors["weight"]
    if len(scale) != len(matrix) or block.quantized():
        return False
    before = block.tensors.get("bias", np.zeros(len(scale), np.float32))
    folded = matrix * scale.reshape([-1] + [1] * (matrix.ndim - 1))
    block.tensors["weight"] = folded.astype(np.float32)
    block.tensors["bias"] = (shift + before * scale).astype(np.float32)
    block.fields.pop("bias", None)
    block.notes.append(f"{node.title} is folded into it.")
    return True
