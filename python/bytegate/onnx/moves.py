"""The operations that only move dimensions, on a View."""

import numpy as np

from bytegate.onnx.graph import quoted
from bytegate.onnx.layout import Atom, Broken, atoms_of, reshaped, size_of
from bytegate.onnx.read import FLOAT_TYPES, HALF_TYPES, INDEX_TYPES, MAX_RANK
from bytegate.onnx.sizes import as_sizes, squeezed_axes


def _same(node, dims, values):
    return dims


def _cast(node, dims, values):
    to = node.integer("to", 0)
    if to not in (INDEX_TYPES if values[0].indices else FLOAT_TYPES):
        raise Broken("casts between integers and floats")
    values[0].half = values[0].half or to in HALF_TYPES
    return dims


def _dropout(node, dims, values):
    training = values[2] if len(values) > 2 else None
    if training is not None and (not isinstance(training, np.ndarray) or training.any()):
        raise Broken("drops values at random (training_mode)")
    return dims


def _squeeze(node, dims, values):
    arguments = [as_array(value) for value in values]
    if len(values) > 1 and values[1] is not None and arguments[1] is None:
        raise Broken("squeezes dimensions that cannot be told from the graph")
    axes = squeezed_axes(node, arguments, len(dims))
    if axes is None:
        if node.integers("axes") is not None or any(size_of(dim) is None for dim in dims):
            raise Broken("squeezes dimensions of unknown size")
        axes = [i for i, dim in enumerate(dims) if not atoms_of(dim)]
    if any(atoms_of(dims[axis]) for axis in axes):
        raise Broken("squeezes a dimension that the graph does not state to be 1")
    return [dim for i, dim in enumerate(dims) if i not in axes]


def _unsqueeze(node, dims, values):
    count = len(node.integers("axes") or []) or (
        values[1].size if len(values) > 1 and isinstance(values[1], np.ndarray) else 0)
    axes = squeezed_axes(node, [as_array(value) for value in values], len(dims) + count) if count else None
    if axes is None or len(set(axes)) != count:
        raise Broken("adds dimensions that cannot be told from the graph")
    rest = iter(dims)
    return [(Atom(1),) if i in axes else next(rest) for i in range(len(dims) + count)]


def _transpose(node, dims, values):
    order = node.integers("perm") or list(range(len(dims)))[::-1]
    if sorted(order) != list(range(len(dims))):
        raise Broken(f"permutes {len(dims)} dimensions by {order[:8]}")
    return [dims[i] for i in order]


def _reshape(node, dims, values):
    target = as_sizes(values[1]) if len(values) > 1 else None
    if target is None or target.scalar:
        raise Broken("reshapes to a shape that cannot be told from the graph")
    return reshaped(dims, target.values, bool(node.integer("allowzero", 0)))


def _flatten(node, dims, values):
    axis = node.integer("axis", 1)
    axis = axis + len(dims) if axis < 0 else axis
    if not 0 <= axis <= len(dims):
        raise Broken(f"flattens {len(dims)} dimensions at {axis}")
    return [tuple(atom for dim in part for atom in atoms_of(dim)) for part in (dims[:axis], dims[axis:])]


def as_array(value):
    """A constant, or None for what is none."""
    return value if isinstance(value, np.ndarray) else None


MOVES = {"Identity": _same, "Cast": _cast, "Dropout": _dropout, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze,
         "Transpose": _transpose, "Reshape": _reshape, "Flatten": _flatten}


def move(node, values):
    """The dimensions of the result; values[0] is the View. Raises Broken."""
    if len(node.outputs) > 1 and node.op != "Dropout":
        raise Broken(f"has {len(node.outputs)} outputs, {quoted(node.outputs[1])} among them")
    dims = MOVES[node.op](node, list(values[0].dims), values)
    if len(dims) > MAX_RANK:
        raise Broken(f"gives a tensor of {len(dims)} dimensions")
    return dims
