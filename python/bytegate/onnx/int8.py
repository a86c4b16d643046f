"""Layers whose weights are int8 in the graph: DynamicQuantizeMatMul, MatMulInteger and what surrounds it, Gather.

A weight is taken as it is where its zero point is 0 (or 128 for unsigned values, which are then shifted); its scales
may be one or one for each output. Any other zero point makes it a float weight of the same values. Activations are
quantized by the library's own scheme, which is not that of the graph.
"""

import numpy as np

from bytegate.onnx.blocks import MAX_COLUMNS, Block, linear_block, matcher, other_constant, unfit, vector, weight_origin
from bytegate.onnx.fold import check_size
from bytegate.onnx.graph import quoted


def integer_weight(graph, matrix, scale, zero, what, fail):
    """(int8 [rows, columns], scales [rows]), or (float32, None) where the zero points ask for it."""
    if matrix.dtype not in (np.int8, np.uint8) or matrix.ndim != 2:
        fail(f"its {what} is of type {matrix.dtype} with {matrix.ndim} dimensions; int8 or uint8 with 2 are expected")
    check_size(graph, matrix, what, "weight", fail)
    rows = matrix.shape[0]
    if scale is None or scale.dtype.kind != "f" or scale.size not in (1, rows):
        fail(f"its {what} has no constant scale for each of its {rows} outputs, nor one for all")
    scale = np.broadcast_to(scale.reshape(-1).astype(np.float32), (rows,)).copy()
    if not (np.isfinite(scale).all() and (scale >= 0).all()):
        fail(f"its {what} has a scale that is negative or not finite")
    zero = np.zeros(1, np.int32) if zero is None else zero.reshape(-1).astype(np.int32)
    if zero.size not in (1, rows):
        fail(f"its {what} has {zero.size} zero points for {rows} outputs")
    shifted = matrix.astype(np.int16) - zero.reshape(-1, 1).astype(np.int16)
    if shifted.size and (shifted.min() < -128 or shifted.max() > 127):
        return shifted.astype(np.float32) * scale.reshape(-1, 1), None
    return np.ascontiguousarray(shifted.astype(np.int8)), scale


def _linear(graph, node, source, output, names, bias, bias_rank=1):
    """names: of weight [inputs, outputs], scale and zero point; bias_rank: the dimensions of the bias in the graph"""
    value = graph.constant(names[0])
    if value is None or value.ndim != 2:
        unfit("its weight is not a constant matrix")
    for name in names[1:]:
        if name and graph.constant(name) is None:
            unfit(f"the scale or zero point {quoted(name)} of its weight is not a constant")
    matrix, scale = integer_weight(graph, value.T, graph.constant(names[1]), graph.constant(names[2]), "weight", unfit)
    block = linear_block(node, source, output, matrix, bias, weight_origin(graph, names[0]))
    block.extra["rank"] = 2 if bias is None else max(2, bias_rank)
    if scale is None:
        block.notes.append("Its int8 weight has a zero point and becomes a float weight.")
    else:
        block.fields["dtype"] = "qint8"
        block.tensors["weight_scale"] = scale
    return block


def _bias(graph, name, names):
    if not name:
        return None
    size = graph.constant(names[0]).shape[-1] if graph.constant(names[0]) is not None else 0
    bias = vector(graph.constant(name), size, [(size,)])
    if bias is None:
        unfit(f"its bias {quoted(name)} is not a constant with a value for each output")
    return bias


@matcher("DynamicQuantizeMatMul", domain="com.microsoft")
def match_dynamic_matmul(node, graph):
    if len(node.inputs) < 3:
        unfit("it has no weight scale")
    names = (node.inputs[1], node.inputs[2], node.input(3))
    return _linear(graph, node, node.inputs[0], node.outputs[0], names, _bias(graph, node.input(4), names))


@matcher("Gather")
def match_quantized_embedding(node, graph):
    """A table of integers behind which alone a DequantizeLinear stands."""
    table = graph.constant(node.input(0))
    if table is None or table.dtype not in (np.int8, np.uint8) or table.ndim != 2 or node.integer("axis", 0) not in (
            0, -2) or graph.constant(node.input(1)) is not None:
        return None
    scaled = graph.sole_consumer(node.outputs[0])
    if scaled is None or scaled.op != "DequantizeLinear" or scaled.inputs[0] != node.outputs[0]:
        return None
    scale, zero = graph.constant(scaled.input(1)), graph.constant(scaled.input(2))
    if scale is None or scale.size != 1 or (scaled.input(2) and zero is None):
        unfit("its table has no constant scale for all rows")
    if not 0 < table.shape[1] <= MAX_COLUMNS or not table.shape[0]:
        unfit(f"its table has the shape {list(table.shape)}")
    weight, scales = integer_weight(graph, table, scale, zero, "table", unfit)
    fields = {"num_embeddings": table.shape[0], "embedding_dim": table.shape[1]}
    tensors = {"weight": weight}
    if scales is not None:
        fields["dtype"] = "qint8"
        tensors["weight_scale"] = scales
    block = Block("embedding", node, node.inputs[1], scaled.outputs[0], fields, tensors,
                  weight_name=weight_origin(graph, node.inputs[0]))
    block.nodes.append(scaled)
    return block


def _quantizer(graph, name):
    """The DynamicQuantizeLinear whose first output a tensor is, or None."""
    node = graph.producers.get(name)
    found = node is not None and node.op == "DynamicQuantizeLinear" and node.outputs[0] == name
    return node if found else None


@matcher("MatMulIntegerToFloat", domain="com.microsoft")
def match_matmul_to_float(node, graph):
    quantizer = _quantizer(graph, node.input(0))
    if len(node.inputs) < 4 or quantizer is None or node.inputs[2] != quantizer.output(1) or (
            node.input(4) != quantizer.output(2)):
        unfit("its input is not quantized by a DynamicQuantizeLinear")
    names = (node.inputs[1], node.inputs[3], node.input(5))
    block = _linear(graph, node, quantizer.inputs[0], node.outputs[0], names, _bias(graph, node.input(6), names))
    block.shared = [quantizer]
    return block


@matcher("MatMulInteger")
def match_matmul_integer(node, graph):
    """DynamicQuantizeLinear, MatMulInteger, Cast, Mul by the product of both scales, and perhaps Add."""
    quantizer = _quantizer(graph, node.input(0))
    if quantizer is None or node.input(2) != quantizer.output(2) or graph.constant(node.input(1)) is None:
        unfit("its input is not quantized by a DynamicQuantizeLinear, or its weight is not a constant")
    cast = graph.sole_consumer(node.outputs[0])
    multiply = graph.sole_consumer(cast.outputs[0]) if cast is not None and cast.op == "Cast" else None
    if multiply is None or multiply.op != "Mul":
        unfit("its result is not scaled by a Mul behind a Cast")
    scales = graph.producers.get(next((name for name in multiply.inputs if name != cast.outputs[0]), ""))
    factor = scales is not None and scales.op == "Mul" and [
        name for name in scales.inputs if name != quantizer.output(1)]
    if not factor or len(factor) != 1 or graph.constant(factor[0]) is None:
        unfit("its scale is not the product of its input's and its weight's")
    names = (node.inputs[1], factor[0], node.input(3))
    output, nodes = multiply.outputs[0], [node, cast, multiply, scales]
    add, bias, value = graph.sole_consumer(output), None, None
    if add is not None and add.op == "Add" and len(add.inputs) == 2:
        size, value = graph.constant(names[0]).shape[-1], other_constant(graph, add, output)
        bias = vector(value, size, [(size,)])
    if bias is not None:
        output = add.outputs[0]
        nodes.append(add)
    block = _linear(graph, node, quantizer.inputs[0], output, names, bias, 1 if value is None else value.ndim)
    block.nodes, block.shared = nodes, [quantizer]
    return block
