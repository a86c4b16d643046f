"""Scaling and shifting of channels. It goes into the weights of the layer before, or of the layer behind, and where
there is neither it is a Linear whose matrix has values on its diagonal alone."""

import numpy as np

from bytegate.onnx.blocks import Block
from bytegate.onnx.layout import Broken, View, atoms_of, set_size, size_of
from bytegate.onnx.norms import fold_batch_norm

_MAX_DIAGONAL, _MAX_CHANNELS = 1024, 1 << 24
_OTHERWISE = "scales or shifts values, and not those of the channels of a layer before or behind it"


def _fold(chain, node, channels, scale, shift):
    """Folds a scale and a shift for each of the channels, a dimension's atoms, into the layer that computed the tensor.
    False where that has other channels, or no weights that they can go into."""
    if _channels_before(chain) != channels or not fold_batch_norm(chain.layers[-1], node, scale, shift):
        return False
    diagonal = chain.layers[-1].extra.get("diagonal")
    if diagonal is not None:
        chain.layers[-1].extra = {"diagonal": (diagonal[0] * scale, diagonal[1] * scale + shift)}
    chain.tensor.version += 1
    return True


def _channels_before(chain):
    """The atoms of the dimension that the outputs of the last layer are, if it is a Linear or a Conv1d; else None."""
    before = chain.layers[-1] if chain.layers else None
    if before is None or before.kind not in ("linear", "conv1d") or chain.tensor.zeros or before.quantized():
        return None
    return chain.tensor.stripped()[-1 if before.kind == "linear" or before.fields.get("channels_last") else -2]


def _diagonal(node, scale, shift):
    tensors = {"weight": np.diag(scale).astype(np.float32), "bias": shift.astype(np.float32)}
    fields = {"in_features": len(scale), "out_features": len(scale)}
    block = Block("linear", node, node.inputs[0], node.outputs[0], fields, tensors, diagonal=(scale, shift))
    block.notes.append("It scales and shifts each channel.")
    return block


def absorb_diagonal(chain, block, weights, biases):
    """Takes the scales and shifts of the last layer, if it is nothing but these, into the weights of the next, which
    reads the same channels. `weights` and `biases` are names of its tensors, of which some may not be there."""
    before = chain.layers[-1] if chain.layers else None
    if before is None or "diagonal" not in before.extra or block.quantized() or chain.tensor.zeros:
        return
    scale, shift = before.extra["diagonal"]
    bare = any(bias not in block.tensors for weight, bias in zip(weights, biases) if weight in block.tensors)
    if shift.any() and bare:
        if block.kind != "linear":
            return
        block.tensors["bias"] = np.zeros(block.fields["out_features"], np.float32)
        block.fields.pop("bias", None)
    for name, bias in zip(weights, biases):
        if name in block.tensors:
            weight = block.tensors[name].astype(np.float64)
            block.tensors[name] = (weight * scale).astype(np.float32)
            if bias in block.tensors:
                block.tensors[bias] = (block.tensors[bias] + weight @ shift).astype(np.float32)
    block.notes += [f"{before.node.title} is folded into it.", *before.notes[1:]]
    chain.layers.pop()


def batch_norm(chain, block, view):
    """Of a BatchNormalization of [B, C] that the layer before cannot have: the block of a Linear. Else None."""
    node, (scale, shift) = block.node, block.extra["batch_norm"]
    if not set_size(view.dims[1], len(scale)):
        raise Broken(f"has {len(scale):,} channels where the graph has {size_of(view.dims[1]):,}")
    if _fold(chain, node, atoms_of(view.dims[1]), scale, shift):
        return None
    if len(scale) > _MAX_DIAGONAL:
        raise Broken(f"scales {len(scale):,} channels of a tensor of 2 dimensions")
    return _diagonal(node, scale, shift)


def arithmetic(chain, node, values, view):
    """Add, Sub, Mul or Div of a tensor and a constant, one number or one for each channel. Gives the block of a Linear
    where no layer before can have it, else None. Raises Broken."""
    constant = values[1 - next(i for i, value in enumerate(values) if isinstance(value, View))]
    first = isinstance(values[0], View)
    if not isinstance(constant, np.ndarray) or constant.dtype.kind != "f" or constant.ndim > len(view.dims):
        raise Broken("computes with something that is no constant of the tensor's dimensions")
    axes = [axis for axis in range(-constant.ndim, 0) if constant.shape[axis] != 1]
    if len(axes) > 1 or (node.op == "Div" and not first) or not chain.tensor.dims:
        raise Broken(_OTHERWISE)
    before, last = _channels_before(chain), chain.tensor.stripped()[-1]
    channels = atoms_of(view.dims[axes[0]]) if axes else last if before is None else before
    count = size_of(channels)
    if channels not in (before, last) or count is None or count > _MAX_CHANNELS or constant.size not in (1, count):
        raise Broken(_OTHERWISE)
    value = np.broadcast_to(constant.reshape(-1).astype(np.float64), (count,))
    one, zero = np.ones(count), np.zeros(count)
    scale, shift = {"Add": (one, value), "Sub": (one, -value) if first else (-one, value), "Mul": (value, zero),
                    "Div": (1 / value, zero)}[node.op]
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        raise Broken("has constants that are not finite, or divides by zero")
    if _fold(chain, node, channels, scale, shift):
        return None
    if channels != last or chain.tensor.zeros or count > _MAX_DIAGONAL:
        raise Broken(_OTHERWISE)
    return _diagonal(node, scale, shift)
