"""Computes what the graph computes from constants alone: weights behind Slice, Concat, Transpose, Cast and the like.

What an operation gives is stored only within a budget that the size of the file sets, so that a small file cannot ask
for much memory; most operations give views of their input. A value that cannot be computed is not a constant.
"""

import numpy as np

from bytegate.onnx.graph import quoted
from bytegate.onnx.read import NUMPY_TYPES

_FOLDABLE = {}
_LARGEST = 2**31  # elements of one array, even one that takes no memory


class Budget:
    """How many bytes constants may take besides those of the file."""

    def __init__(self, file_bytes):
        self.left = 16 * file_bytes + (1 << 24)

    def take(self, elements, itemsize=8):
        if elements > _LARGEST or elements * itemsize > self.left:
            raise MemoryError
        self.left -= elements * itemsize


def fold(graph, budget, notes):
    """Adds to graph.constants, and to those of its branches. `notes` gets a sentence on what was too large."""
    for node in graph.nodes:
        for inner in node.graphs.values():
            fold(inner, budget, notes)
        compute = _FOLDABLE.get(node.op) if node.domain == "" else None
        if compute is None or not node.outputs:
            continue
        inputs = [graph.constant(name) for name in node.inputs]
        if any(value is None and name for value, name in zip(inputs, node.inputs)):
            continue
        try:
            with np.errstate(all="ignore"):
                results = compute(node, inputs, graph.opset, budget)
        except MemoryError:
            notes.append(f"{node.title} would make a constant of more memory than a file of this size is granted; "
                         "it is not computed")
            continue
        except (ValueError, IndexError, TypeError, OverflowError, ZeroDivisionError, AttributeError):
            continue  # not an operation that ONNX allows; whoever needs its value says so
        for name, value in zip(node.outputs, results):
            if name and value is not None:
                graph.constants[name] = value


def foldable(*names):
    def register(function):
        for name in names:
            _FOLDABLE[name] = function
        return function
    return register


def axes_of(node, inputs, index=1):
    """The axes of Squeeze, Unsqueeze and the reductions: an attribute at first, an input in newer opsets."""
    if len(inputs) > index and inputs[index] is not None:
        return [int(axis) for axis in inputs[index].reshape(-1)]
    return node.integers("axes")


@foldable("Constant")
def _constant(node, inputs, opset, budget):
    value = node.attributes.get("value")
    if value is not None:
        return [value]
    for name, dtype in (("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64),
                        ("value_ints", np.int64)):
        if node.attributes.get(name) is not None:
            return [np.array(node.attributes[name], dtype)]
    return [None]


@foldable("Identity")
def _identity(node, inputs, opset, budget):
    return inputs[:1]


@foldable("Cast")
def _cast(node, inputs, opset, budget):
    target = NUMPY_TYPES.get(node.integer("to", 0))
    if target is None:
        return [None]
    if inputs[0].dtype != target:
        budget.take(inputs[0].size, np.dtype(target).itemsize)
    return [inputs[0].astype(target, copy=False)]


@foldable("Slice")
def _slice(node, inputs, opset, budget):
    data = inputs[0]
    starts, ends, axes, steps = slice_arguments(node, inputs)
    index = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes or range(len(starts)), starts, ends, steps or [1] * len(starts)):
        if step == 0 or not -data.ndim <= axis < data.ndim:
            raise ValueError
        if step < 0 and end < -data.shape[axis]:
            end = None
        index[axis] = slice(start, end, step)
    return [data[tuple(index)]]


def slice_arguments(node, inputs):
    """(starts, ends, axes, steps) as lists; the last two are None where they are left out."""
    if node.integers("starts") is not None:  # an attribute before opset 10
        return node.integers("starts"), node.integers("ends"), node.integers("axes"), None
    lists = [None if value is None else [int(item) for item in value.reshape(-1)] for value in inputs[1:5]]
    return (lists + [None, None])[:4]


@foldable("Concat")
def _concat(node, inputs, opset, budget):
    budget.take(sum(value.size for value in inputs), inputs[0].itemsize)
    return [np.concatenate(inputs, node.integer("axis", 0))]


@foldable("Split")
def _split(node, inputs, opset, budget):
    data, axis = inputs[0], node.integer("axis", 0)
    sizes = node.integers("split")
    if sizes is None and len(inputs) > 1:
        sizes = [int(size) for size in inputs[1].reshape(-1)]
    if sizes is None:
        part = -(-data.shape[axis] // len(node.outputs))
        sizes = [part] * (len(node.outputs) - 1)
    else:
        sizes = sizes[:-1]
    return np.split(data, np.cumsum(np.array(sizes, np.int64)), axis)


@foldable("Unsqueeze")
def _unsqueeze(node, inputs, opset, budget):
    axes = axes_of(node, inputs)
    rank = inputs[0].ndim + len(axes)
    shape = iter(inputs[0].shape)
    wanted = {axis % rank for axis in axes if -rank <= axis < rank}
    if len(wanted) != len(axes):
        raise ValueError
    return [inputs[0].reshape([1 if axis in wanted else next(shape) for axis in range(rank)])]


@foldable("Squeeze")
def _squeeze(node, inputs, opset, budget):
    axes = axes_of(node, inputs)
    return [np.squeeze(inputs[0], None if axes is None else tuple(axes))]


@foldable("Reshape")
def _reshape(node, inputs, opset, budget):
    shape = [int(size) for size in inputs[1].reshape(-1)]
    if not node.integer("allowzero", 0):
        shape = [inputs[0].shape[i] if size == 0 else size for i, size in enumerate(shape)]
    if not inputs[0].flags.c_contiguous:
        budget.take(inputs[0].size, inputs[0].itemsize)
    return [inputs[0].reshape(shape)]


@foldable("Flatten")
def _flatten(node, inputs, opset, budget):
    axis = node.integer("axis", 1)
    rows = int(np.prod(inputs[0].shape[:axis], dtype=np.int64))
    if not inputs[0].flags.c_contiguous:
        budget.take(inputs[0].size, inputs[0].itemsize)
    return [inputs[0].reshape(rows, -1)]


@foldable("Transpose")
def _transpose(node, inputs, opset, budget):
    return [np.transpose(inputs[0], node.integers("perm"))]


@foldable("Shape")
def _shape(node, inputs, opset, budget):
    shape = inputs[0].shape[node.integer("start", 0):node.integer("end", inputs[0].ndim)]
    return [np.array(shape, np.int64)]


@foldable("Gather")
def _gather(node, inputs, opset, budget):
    axis = node.integer("axis", 0)
    rest = inputs[0].size // max(inputs[0].shape[axis], 1)
    budget.take(inputs[1].size * max(rest, 1), inputs[0].itemsize)
    return [np.take(inputs[0], inputs[1].astype(np.int64), axis)]


@foldable("ConstantOfShape")
def _constant_of_shape(node, inputs, opset, budget):
    value = node.attributes.get("value")
    value = np.zeros(1, np.float32) if value is None else value
    return [_broadcast(value.reshape(()), inputs[0])]


@foldable("Expand")
def _expand(node, inputs, opset, budget):
    shape = np.broadcast_shapes(inputs[0].shape, tuple(int(size) for size in inputs[1].reshape(-1)))
    return [_broadcast(inputs[0], shape)]


def _broadcast(value, shape):
    """A view without memory of its own."""
    shape = [int(size) for size in shape]
    count = 1
    for size in shape:
        count *= size
    if count > _LARGEST or count < 0:
        raise MemoryError
    return np.broadcast_to(value, shape)


@foldable("Where")
def _where(node, inputs, opset, budget):
    budget.take(_broadcast_size(inputs))
    return [np.where(*inputs)]


@foldable("DequantizeLinear")
def _dequantize(node, inputs, opset, budget):
    data, scale = inputs[:2]
    zero = inputs[2] if len(inputs) > 2 else None
    if node.integer("block_size", 0) or scale.ndim > 1:
        raise ValueError
    budget.take(2 * data.size, 4)
    shape = [1] * data.ndim
    if scale.size > 1:
        shape[node.integer("axis", 1)] = scale.size
    scale = scale.reshape(shape)
    if zero is not None:
        data = data.astype(np.int32) - zero.reshape(shape).astype(np.int32)
    return [(data.astype(np.float32) * scale.astype(np.float32)).astype(scale.dtype, copy=False)]


def _broadcast_size(inputs):
    count = 1
    for size in np.broadcast_shapes(*(value.shape for value in inputs)):
        count *= int(size)
    return count


def _divide(a, b):
    if a.dtype.kind not in "iu":
        return a / b
    return (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)  # rounds to zero


_ELEMENTWISE = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": _divide,
                "Pow": lambda a, b: np.power(a, b).astype(a.dtype), "Sqrt": np.sqrt, "Reciprocal": lambda a: 1 / a,
                "Neg": np.negative, "Exp": np.exp, "Abs": np.abs, "Equal": np.equal, "Not": np.logical_not}


@foldable(*_ELEMENTWISE)
def _elementwise(node, inputs, opset, budget):
    budget.take(_broadcast_size(inputs))
    value = _ELEMENTWISE[node.op](*inputs)
    return [value if node.op in ("Equal", "Not") else np.asarray(value).astype(inputs[0].dtype, copy=False)]


_REDUCTIONS = {"ReduceSum": np.sum, "ReduceProd": np.prod,
               "ReduceL2": lambda a, axis, keepdims: np.sqrt(np.sum(a * a, axis=axis, keepdims=keepdims))}


@foldable(*_REDUCTIONS)
def _reduce(node, inputs, opset, budget):
    budget.take(2 * inputs[0].size, inputs[0].itemsize)
    axes = axes_of(node, inputs)
    if not axes and node.integer("noop_with_empty_axes", 0):
        return inputs[:1]
    value = _REDUCTIONS[node.op](inputs[0], axis=tuple(axes) if axes else None,
                                 keepdims=bool(node.integer("keepdims", 1)))
    return [np.asarray(value).astype(inputs[0].dtype, copy=False)]


def float_constant(graph, name, what, fail):
    """A constant as float32, not to be changed. `fail` is called with a sentence where it is none."""
    value = graph.constant(name)
    if value is None:
        fail(f"its {what} ({quoted(name)}) is not a constant")
    if value.dtype.kind != "f":
        fail(f"its {what} ({quoted(name)}) is of type {value.dtype}")
    check_size(graph, value, name, what, fail)
    value = value.astype(np.float32, copy=False)
    if not np.isfinite(value).all():
        fail(f"its {what} ({quoted(name)}) holds NaN or infinity")
    return value


def check_size(graph, value, name, what, fail):
    """A constant that is one number repeated takes no memory until it becomes a layer's."""
    if value.size > graph.root().largest_weight:
        fail(f"its {what} ({quoted(name)}) has {value.size:,} values, more than a file of this size holds")
