"""Scaling and shifting of channels, which goes into the weights of the layer before."""

import numpy as np

from bytegate.onnx.blocks import Block
from bytegate.onnx.layout import Broken, View, atoms_of, set_size, size_of
from bytegate.onnx.norms import fold_batch_norm

_MAX_DIAGONAL = 1024  # channels of a matrix that has values on its diagonal alone


def _fold(chain, node, channels, scale, shift):
    """Folds a scale and a shift for each of the channels, a dimension's atoms, into the layer that computed the tensor.
    False where that has other channels, or no weights that they can go into."""
    before, dims = chain.layers[-1] if chain.layers else None, chain.tensor.stripped()
    if before is None or before.kind not in ("linear", "conv1d") or chain.tensor.zeros:
        return False
    place = -1 if before.kind == "linear" or before.fields.get("channels_last") else -2
    if dims[place] != channels or not fold_batch_norm(before, node, scale, shift):
        return False
    chain.tensor.version += 1
    return True


def batch_norm(chain, block, view):
    """Of a BatchNormalization of [B, C] that the layer before cannot have: the block of a Linear. Else None."""
    node, (scale, shift) = block.node, block.extra["batch_norm"]
    if not set_size(view.dims[1], len(scale)):
        raise Broken(f"has {len(scale):,} channels where the graph has {size_of(view.dims[1]):,}")
    if _fold(chain, node, atoms_of(view.dims[1]), scale, shift):
        return None
    if len(scale) > _MAX_DIAGONAL:
        raise Broken(f"scales {len(scale):,} channels of a tensor of 2 dimensions")
    tensors = {"weight": np.diag(scale).astype(np.float32), "bias": shift.astype(np.float32)}
    fields = {"in_features": len(scale), "out_features": len(scale)}
    linear = Block("linear", node, block.source, block.output, fields, tensors, weight_name=block.weight_name)
    linear.notes = list(block.notes)
    return linear


def arithmetic(chain, node, values, view):
    """Add, Sub, Mul or Div of a tensor and a constant, one number or one for each channel. Raises Broken."""
    constant = values[1 - next(i for i, value in enumerate(values) if isinstance(value, View))]
    first = isinstance(values[0], View)
    if not isinstance(constant, np.ndarray) or constant.dtype.kind != "f" or constant.ndim > len(view.dims):
        raise Broken("computes with something that is no constant of the tensor's dimensions")
    axes = [axis for axis in range(-constant.ndim, 0) if constant.shape[axis] != 1]
    before = chain.layers[-1].tensors.get("weight") if chain.layers else None
    if len(axes) > 1 or before is None or (node.op == "Div" and not first):
        raise Broken("scales or shifts values, and not those of the channels of a Linear or a Conv before it")
    if axes:
        channels = atoms_of(view.dims[axes[0]])
    else:
        place = -2 if chain.layers[-1].kind == "conv1d" and not chain.layers[-1].fields.get("channels_last") else -1
        channels = chain.tensor.stripped()[place]
    if constant.size not in (1, len(before)):
        raise Broken(f"has {constant.size:,} constants for {len(before):,} channels")
    value = np.broadcast_to(constant.reshape(-1).astype(np.float64), (len(before),))
    one, zero = np.ones(len(before)), np.zeros(len(before))
    with np.errstate(all="ignore"):
        scale, shift = {"Add": (one, value), "Sub": (one, -value) if first else (-one, value), "Mul": (value, zero),
                        "Div": (1 / value, zero)}[node.op]
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        raise Broken("has constants that are not finite, or divides by zero")
    if not _fold(chain, node, channels, scale, shift):
        raise Broken("scales or shifts values, and not those of the channels of a Linear or a Conv before it")
