"""Which nodes of a graph make a layer of the library, and that layer's fields and tensors.

A matcher looks at a node and gives a Block, or None if the node is no layer of its kind. It raises Unfit where the node
is of a kind that the library has and does something that the library's layer does not do.
"""

import re

import numpy as np

from bytegate._error import Error
from bytegate.onnx.fold import float_constant
from bytegate.onnx.graph import quoted, readable

MAX_COLUMNS = 65536  # of a weight matrix, as in the library

_MATCHERS = {}  # (domain, operation) -> functions of (node, graph)


class Unfit(Exception):
    """Why a layer of the graph cannot be one of the library's."""


class Refused(Error):
    """A layer that cannot be carried over, by operation and node."""

    def __init__(self, node, reason):
        super().__init__("invalid_argument", f"{node.title} cannot be converted: {reason}")
        self.node, self.reason = node, reason

    def __reduce__(self):
        return Error, (self.code, str(self))


class Block:
    """A layer and the nodes that it stands for.

    `source` and `output` are the tensors that it reads and gives. `fields` are the keys of its object in an
    architecture that differ from their defaults, `tensors` its arrays by the names that PyTorch has for them.
    """

    def __init__(self, kind, node, source, output, fields, tensors, **extra):
        self.kind, self.node, self.source, self.output = kind, node, source, output
        self.fields, self.tensors = fields, tensors
        self.nodes = [node]
        self.shared = []  # nodes that other blocks need too
        self.notes = []  # sentences about how it was made or is to be used
        self.weight_name = extra.pop("weight_name", "")  # of the graph's tensor, for a readable name
        self.name = ""  # in the file
        self.extra = extra

    def quantized(self):
        return self.fields.get("dtype") == "qint8"

    def sizes_text(self):
        sizes = [value for key, value in self.fields.items() if key.endswith(("_size", "_features", "_channels"))
                 or key in ("num_embeddings", "embedding_dim", "normalized_shape")]
        return f"{self.kind}({', '.join(map(str, sizes))})"


def matcher(*names, domain=""):
    def register(function):
        for name in names:
            _MATCHERS.setdefault((domain, name), []).append(function)
        return function
    return register


def unfit(message):
    raise Unfit(message)


def match(node, graph):
    """The block that begins with a node, or None. Raises Unfit."""
    for function in _MATCHERS.get((node.domain, node.op), ()):
        block = function(node, graph)
        if block is not None:
            return block
    return None


def find_blocks(graph, leave_out=()):
    """({first node: block}, {node: why it is no layer}) of one graph, without its branches. Of nodes that could belong
    to two blocks, the first has them. Raises Refused, except for nodes whose names are in `leave_out`."""
    import bytegate.onnx.convolution  # noqa: F401  (they register their matchers)
    import bytegate.onnx.int8  # noqa: F401
    import bytegate.onnx.norms  # noqa: F401
    import bytegate.onnx.recurrent  # noqa: F401
    blocks, problems, taken = {}, {}, set()
    for node in graph.nodes:
        if node in taken or all(name in graph.constants for name in node.outputs):
            continue
        if node.name in leave_out:
            problems[node] = "it is left out, as was asked for"
            continue
        try:
            block = match(node, graph)
        except Unfit as problem:
            problems[node] = str(problem)
            continue
        if block is not None and not taken.intersection(block.nodes):
            blocks[node] = block
            taken.update(block.nodes)
    return blocks, problems


def weight_origin(graph, name):
    """The name of the initializer that a constant is made of, followed through operations that move values."""
    for _ in range(64):
        node = graph.producers.get(name)
        if node is None and name not in graph.constants and graph.parent is not None:
            graph = graph.parent
            continue
        if node is None or not node.inputs:
            return name
        name = node.inputs[0]
    return name


_WEIGHT_SUFFIX = re.compile(r"^(.+?)[./_](weight(_[ih]h\w*?)?|kernel|recurrent_kernel|W|R)(:\d+)?(_quantized)?$")


def names_for(block):
    """Names for a layer, the best first: after the module whose weights it has, after its node; else after its kind."""
    names = []
    if block.node is not None:
        found = _WEIGHT_SUFFIX.match(block.weight_name)
        parts = readable(block.node.name).split(".")
        if len(parts) > 1 and parts[-1].lower().startswith(block.node.op.lower()):
            parts.pop()
        module = readable(found[1]) if found else ""
        if module and found[3] and not block.extra.get("recurrent"):  # one product of a cell's two
            module += "." + found[3][1:]
        names = [module, ".".join(parts)]
    return [name for name in names if name] or [block.kind]


def follow(graph, block, *operations):
    """The node that alone reads a block's output, if it is of one of these operations."""
    node = graph.sole_consumer(block.output)
    return node if node is not None and node.domain == "" and node.op in operations else None


def other_constant(graph, node, name):
    """Of a node with two inputs: the constant that is not `name`, as an array, or None."""
    if len(node.inputs) != 2 or name not in node.inputs:
        return None
    return graph.constant(node.inputs[1 - node.inputs.index(name)])


def vector(value, size, shapes):
    """A constant that has a value for each of `size` channels as a float32 vector; None for another shape. `shapes` are
    the accepted ones, besides that of a single number."""
    if value is None or value.dtype.kind != "f":
        return None
    stripped = value.shape
    while len(stripped) > 1 and stripped not in shapes and stripped[0] == 1:
        stripped = stripped[1:]
    if value.size == 1 and value.ndim <= len(shapes[-1]):
        result = np.full(size, np.float32(value.reshape(())))
    elif stripped in shapes:
        result = value.reshape(size).astype(np.float32)
    else:
        return None
    return result if np.isfinite(result).all() else None


def absorb_bias(graph, block, shapes):
    """Takes an Add of a constant behind a layer without bias for its bias. `shapes`: as in vector(). The constant must
    not have more dimensions than the layer's output, which is noted in the block's `rank`."""
    node = follow(graph, block, "Add")
    if node is None or "bias" in block.tensors:
        return
    value = other_constant(graph, node, block.output)
    bias = vector(value, shapes[0][0], shapes)
    if bias is not None:
        block.extra["rank"] = max(block.extra["rank"], value.ndim)
        block.tensors["bias"] = bias
        block.fields.pop("bias", None)
        block.output = node.outputs[0]
        block.nodes.append(node)


def linear_block(node, source, output, weight, bias, weight_name):
    """weight: [out_features, in_features]"""
    rows, columns = weight.shape
    if rows == 0 or columns == 0:
        unfit("its weight has no values")
    if columns > MAX_COLUMNS:
        unfit(f"its weight has {columns:,} columns; at most {MAX_COLUMNS:,} are accepted")
    fields = {"in_features": columns, "out_features": rows}
    tensors = {"weight": np.ascontiguousarray(weight)}
    if bias is None:
        fields["bias"] = False
    else:
        tensors["bias"] = bias
    return Block("linear", node, source, output, fields, tensors, weight_name=weight_name)


@matcher("MatMul")
def match_matmul(node, graph):
    if len(node.inputs) != 2 or (graph.constant(node.inputs[0]) is None and graph.constant(node.inputs[1]) is None):
        return None  # a product of two computed tensors
    if graph.constant(node.inputs[1]) is None:
        unfit("the constant is the left factor; a Linear has it on the right")
    weight = float_constant(graph, node.inputs[1], "weight", unfit)
    while weight.ndim > 2 and weight.shape[0] == 1:
        weight = weight[0]
    if weight.ndim != 2:
        unfit(f"its weight has {weight.ndim} dimensions, {list(weight.shape)}; a matrix is expected")
    block = linear_block(node, node.inputs[0], node.outputs[0], weight.T, None, weight_origin(graph, node.inputs[1]))
    block.extra["rank"] = graph.constant(node.inputs[1]).ndim
    absorb_bias(graph, block, [(weight.shape[1],)])
    return block


@matcher("Gemm")
def match_gemm(node, graph):
    if len(node.inputs) < 2 or (graph.constant(node.inputs[0]) is None and graph.constant(node.inputs[1]) is None):
        return None
    if graph.constant(node.inputs[1]) is None or node.integer("transA", 0):
        unfit("it has transA, or a constant as its left factor; a Linear has neither")
    weight = float_constant(graph, node.inputs[1], "weight", unfit)
    if weight.ndim != 2:
        unfit(f"its weight has {weight.ndim} dimensions; a matrix is expected")
    weight = weight if node.integer("transB", 0) else weight.T
    weight = weight * np.float32(node.number("alpha", 1.0))
    bias = None
    if node.input(2):
        value = float_constant(graph, node.inputs[2], "bias C", unfit)
        bias = vector(value, weight.shape[0], [(weight.shape[0],), (1, weight.shape[0])])
        if bias is None:
            unfit(f"its C has the shape {list(value.shape)}; a Linear's bias is one value for each of "
                  f"{weight.shape[0]} columns")
        bias = bias * np.float32(node.number("beta", 1.0))
    block = linear_block(node, node.inputs[0], node.outputs[0], weight, bias, weight_origin(graph, node.inputs[1]))
    block.extra["rank"] = 2
    if bias is None:
        absorb_bias(graph, block, [(weight.shape[0],)])
    from bytegate.onnx.norms import absorb_batch_norm
    absorb_batch_norm(graph, block)
    return block


@matcher("Gather")
def match_embedding(node, graph):
    data = graph.constant(node.input(0))
    if data is None or data.dtype.kind != "f" or graph.constant(node.input(1)) is not None:
        return None
    if data.ndim != 2 or node.integer("axis", 0) not in (0, -2):
        return None
    weight = float_constant(graph, node.inputs[0], "table", unfit)
    if 0 in weight.shape or weight.shape[1] > MAX_COLUMNS:
        unfit(f"its table has the shape {list(weight.shape)}")
    fields = {"num_embeddings": weight.shape[0], "embedding_dim": weight.shape[1]}
    return Block("embedding", node, node.inputs[1], node.outputs[0], fields,
                 {"weight": np.ascontiguousarray(weight)}, weight_name=weight_origin(graph, node.inputs[0]))


def title_of_input(graph, name):
    """What gives a tensor, for the report."""
    node = graph.producers.get(name)
    return node.title if node is not None else f"input {quoted(name)}"
