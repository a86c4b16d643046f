"""What graphs compute from the shapes of their tensors: targets of Reshape, and initial states of zeros."""

import numpy as np

from bytegate.onnx.fold import axes_of, slice_arguments
from bytegate.onnx.layout import Sym

_MAX_VALUES = 64  # of a list of sizes; anything longer is none
_MAX_FILLED = 1 << 26  # of a constant that is looked at value by value


class Sizes:
    """A list of sizes, or one, each an integer, a Sym, or None where it cannot be told."""

    def __init__(self, values, scalar=False):
        self.values, self.scalar = list(values), scalar


class Filled:
    """A tensor of one value, of whatever shape."""

    def __init__(self, value):
        self.value = value


class Opaque:
    """Something computed from shapes that this module does not follow."""


def as_sizes(value):
    """Of a constant or of Sizes; None for others."""
    if isinstance(value, Sizes):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.ndim < 2 and value.size <= _MAX_VALUES:
        return Sizes([int(item) for item in value.reshape(-1)], value.ndim == 0)
    return None


def as_filled(value):
    if isinstance(value, Filled):
        return value
    if isinstance(value, np.ndarray) and 0 < value.size <= _MAX_FILLED and value.dtype.kind in "fiu":
        first = value.reshape(-1)[0] if value.flags.c_contiguous else value[(0,) * value.ndim]
        if (value == first).all():
            return Filled(float(first))
    return None


def evaluate(node, values):
    """What a node makes of Sizes, Filled, Opaque and constants (arrays; None for an input that is left out)."""
    result = _sizes(node, values) or _filled(node, values)
    return result if result is not None else Opaque()


def _sizes(node, values):
    op = node.op
    first = as_sizes(values[0]) if values else None
    if first is None:
        return None
    if op in ("Identity", "Cast"):
        return first
    if op == "Unsqueeze":
        return Sizes(first.values, False) if first.scalar else None
    if op == "Squeeze":
        return Sizes(first.values, True) if len(first.values) == 1 else None
    if op == "Reshape":
        target = as_sizes(values[1])
        return Sizes(first.values, not target.values) if target is not None and len(target.values) < 2 else None
    if op == "Gather":
        index = as_sizes(values[1])
        if index is None or first.scalar or node.integer("axis", 0) not in (0, -1):
            return None
        return _picked(first.values, index)
    if op == "Slice":
        return _sliced(node, first, values)
    if op == "Concat":
        parts = [as_sizes(value) for value in values]
        if any(part is None or part.scalar for part in parts):
            return None
        joined = [size for part in parts for size in part.values]
        return Sizes(joined) if len(joined) <= _MAX_VALUES else None
    if op in ("Mul", "Add", "Sub", "Div"):
        return _arithmetic(op, first, as_sizes(values[1]))
    if op == "ReduceProd":
        return Sizes([None if None in first.values else Sym.times(first.values)], not node.integer("keepdims", 1))
    return None


def _picked(sizes, index):
    if any(not isinstance(i, int) or not -len(sizes) <= i < len(sizes) for i in index.values):
        return None
    return Sizes([sizes[i] for i in index.values], index.scalar)


def _sliced(node, first, values):
    if any(isinstance(value, (Filled, Opaque)) for value in values[1:]):
        return None
    lists = [as_sizes(value) for value in values[1:]]
    arrays = [np.array(part.values, np.int64) if part and all(isinstance(i, int) for i in part.values) else None
              for part in lists]
    starts, ends, axes, steps = slice_arguments(node, [None, *arrays])
    if first.scalar or not starts or not ends or len(starts) != 1 or (axes or [0]) not in ([0], [-1]):
        return None
    step = (steps or [1])[0]
    end = None if step < 0 and ends[0] < -len(first.values) else ends[0]
    return Sizes(first.values[starts[0]:end:step]) if step else None


def _arithmetic(op, a, b):
    if b is None or len(a.values) != 1 or len(b.values) != 1:
        return None
    x, y = a.values[0], b.values[0]
    result = None
    if op == "Mul" and x is not None and y is not None:
        result = Sym.times([x, y])
    elif isinstance(x, int) and isinstance(y, int):
        result = x + y if op == "Add" else x - y if op == "Sub" else int(x / y) if y else None
    return Sizes([result], a.scalar and b.scalar)


_MOVES = ("Identity", "Cast", "Unsqueeze", "Squeeze", "Transpose", "Reshape", "Slice", "Expand", "Tile", "Flatten",
          "Split", "Gather")


def _filled(node, values):
    if node.op == "ConstantOfShape":
        value = node.attributes.get("value")
        return Filled(0.0 if value is None or not value.size else float(value.reshape(-1)[0]))
    if node.op in _MOVES:
        return as_filled(values[0])
    if node.op in ("Concat", "Mul"):
        parts = [as_filled(value) for value in values]
        if all(part is not None for part in parts) and len({part.value for part in parts}) == 1:
            return parts[0] if node.op == "Concat" or parts[0].value in (0.0, 1.0) else None
    return None


def squeezed_axes(node, values, rank):
    """The axes of a Squeeze or Unsqueeze on a tensor of the graph, in 0..rank-1; None where they cannot be told."""
    axes = axes_of(node, values)
    if axes is None or any(not -rank <= axis < rank for axis in axes):
        return None
    return sorted(axis % rank for axis in axes)
