"""What each layer does to the dimensions of a chain, and which form of the library's tensor it asks for."""

import copy

import numpy as np

from bytegate.onnx import twins
from bytegate.onnx.affine import absorb_diagonal, arithmetic, batch_norm
from bytegate.onnx.blocks import MAX_COLUMNS, Block
from bytegate.onnx.fold import slice_arguments
from bytegate.onnx.layout import Atom, Broken, View, atoms_of, set_size, size_of
from bytegate.onnx.moves import as_array
from bytegate.onnx.parts import part_of, split
from bytegate.onnx.sizes import as_filled, as_sizes

# Operations that compute element by element: operation -> (kind, {attribute: (field, default)}).
_ACTIVATIONS = {"Relu": ("relu", {}), "Sigmoid": ("sigmoid", {}), "Tanh": ("tanh", {}),
                "LeakyRelu": ("leaky_relu", {"alpha": ("negative_slope", 0.01)}),
                "Elu": ("elu", {"alpha": ("alpha", 1.0)})}


def _own(block):
    """A copy that a chain may change."""
    block = copy.copy(block)
    block.fields, block.tensors, block.notes = dict(block.fields), dict(block.tensors), list(block.notes)
    return block


def advance(chain, block, tensor_dims, view_dims):
    """Adds a layer; gives the View of what it computes."""
    chain.layers.append(block)
    chain.tensor.dims = list(tensor_dims)
    chain.tensor.version += 1
    return View(view_dims, chain.tensor.version)


def settle(chain):
    """Leaves out the channels of zeros that stand before those of the graph's tensor, by a Linear that selects."""
    tensor = chain.tensor
    if not tensor.zeros:
        return
    size = size_of(tensor.dims[-1])
    weight = np.concatenate([np.zeros((size, tensor.zeros), np.float32), np.eye(size, dtype=np.float32)], axis=1)
    fields = {"in_features": weight.shape[1], "out_features": size, "bias": False}
    chain.layers.append(Block("linear", None, "", "", fields, {"weight": weight}))
    chain.layers[-1].notes.append("It selects the half of the layer before it that the graph has.")
    tensor.zeros = 0


def _widen(chain, block, names, field):
    """Gives a layer the channels of zeros that stand before those that it reads."""
    zeros = chain.tensor.zeros
    if not zeros:
        return
    if block.fields[field] + zeros > MAX_COLUMNS:
        settle(chain)
        return
    for name in names:
        weight = block.tensors.get(name)
        if weight is not None:
            block.tensors[name] = np.concatenate([np.zeros((len(weight), zeros), weight.dtype), weight], axis=1)
    block.fields[field] += zeros
    chain.tensor.zeros = 0


def _expect(dim, size, what):
    if not set_size(dim, size):
        raise Broken(f"has {what} of {size} where the graph has {size_of(dim)}")


def _linear(chain, block, view):
    tensor, last = chain.tensor, view.dims[-1]
    _expect(last, block.fields["in_features"], "an input")
    block = _own(block)
    if atoms_of(last) and tensor.stripped()[-1:] == [atoms_of(last)]:
        absorb_diagonal(chain, block, ["weight"], ["bias"])
        _widen(chain, block, ["weight"], "in_features")
    else:
        settle(chain)
        tensor.arrange_last(view.dims, len(view.dims) - 1)
    out = (Atom(block.fields["out_features"]),)
    return advance(chain, block, [*tensor.dims[:-1], out], [*view.dims[:-1], out])


def _time_behind(block, time):
    """The dimension of time behind a convolution: that before it where their lengths are the same."""
    get = block.fields.get
    reach, stride, length = get("dilation", 1) * (block.fields["kernel_size"] - 1), get("stride", 1), size_of(time)
    more = (0 if get("causal") else 2 * get("padding", 0) - reach)
    if stride == 1 and more == 0:
        return time
    if length is not None and length + more < 1:
        raise Broken("has a kernel that is longer than the sequence")
    return (Atom(None if length is None else (length + more - 1) // stride + 1),)


def _conv1d(chain, block, view):
    if "batch_norm" in block.extra and len(view.dims) == 2:
        diagonal = batch_norm(chain, block, view)
        if diagonal is not None:
            settle(chain)
            chain.tensor.arrange_last(view.dims, 1)
        return _scaled(chain, diagonal, view)
    unit, dims, block = block.extra["unit_axis"], list(view.dims), _own(block)
    if len(dims) != (3 if unit is None else 4):
        raise Broken(f"reads a tensor of {len(dims)} dimensions")
    if unit is not None and atoms_of(dims.pop(2 + unit)):
        raise Broken("is a convolution over 2 dimensions; one is accepted")
    _expect(dims[1], block.fields["in_channels"], "channels")
    settle(chain)
    batch, channels, time = map(atoms_of, dims)
    channels_last = chain.tensor.stripped() == [batch, time, channels] and channels != time
    if channels_last:
        block.fields["channels_last"] = True
    else:
        chain.tensor.arrange(dims)
    time = _time_behind(block, dims[2])
    out = [dims[0], (Atom(block.fields["out_channels"]),), time]
    seen = out if unit is None else [*out[:2 + unit], (Atom(1),), *out[2 + unit:]]
    return advance(chain, block, [out[0], out[2], out[1]] if channels_last else out, seen)


def _embedding(chain, block, view):
    if chain.layers:
        raise Broken("is an embedding of indices that are computed")
    out = (Atom(block.fields["embedding_dim"]),)
    return advance(chain, block, [*chain.tensor.dims, out], [*view.dims, out])


def _layer_norm(chain, block, view):
    block = _own(block)
    if not view.dims or block.extra["axis"] % len(view.dims) != len(view.dims) - 1:
        raise Broken("normalizes over another dimension than the last, or over several")
    size = size_of(view.dims[-1])
    width = block.fields["normalized_shape"] or size
    if block.fields["normalized_shape"] == 1:  # one number for each of however many
        width = size
    if width is None or width > MAX_COLUMNS:
        raise Broken(f"normalizes over a dimension of {'unknown size' if width is None else f'the size {width:,}'}")
    if not block.tensors["weight"].size:
        block.fields["normalized_shape"] = width
        block.tensors = {"weight": np.ones(width, np.float32), "bias": np.zeros(width, np.float32)}
    elif block.fields["normalized_shape"] == 1 and size not in (1, None) and size <= MAX_COLUMNS:  # one number for all
        block.fields["normalized_shape"] = width = size
        block.tensors = {name: np.broadcast_to(array, (width,)).copy() for name, array in block.tensors.items()}
    _expect(view.dims[-1], width, "a width")
    settle(chain)
    chain.tensor.arrange_last(view.dims, len(view.dims) - 1)
    return advance(chain, block, chain.tensor.dims, view.dims)


def _check_states(chain, block):
    for name in filter(None, block.extra["states"]):
        zeros = as_filled(chain.value(name))
        if zeros is None or zeros.value != 0:
            raise Broken(f"starts from a state ({name}) that is not zero in every run")


def _check_lengths(chain, block, time):
    if not block.extra["lengths"]:
        return
    lengths, steps = as_sizes(chain.value(block.extra["lengths"])), size_of(time)
    if lengths is None or any(length != steps or steps is None for length in lengths.values):
        raise Broken("takes the lengths of its sequences as an input (sequence_lens)")


def _arrange_sequence(chain, block, time, batch, features):
    """Brings the library's tensor to [T, B, F], or leaves it [B, T, F] or [T, F]; whether the batch comes first."""
    tensor = chain.tensor
    t, b, f = atoms_of(time), atoms_of(batch), atoms_of(features)
    now = tensor.stripped()
    known = {(t, b, f): False, (b, t, f): True}
    if t and not b:
        known[(t, f)] = False
    if tuple(now) in known:
        absorb_diagonal(chain, block, ["weight_ih_l0", "weight_ih_l0_reverse"], ["bias_ih_l0", "bias_ih_l0_reverse"])
        _widen(chain, block, ["weight_ih_l0", "weight_ih_l0_reverse"], "input_size")
        return known[tuple(now)]
    settle(chain)
    tensor.arrange([time, batch, features])
    return False


def _recurrent(chain, block, view):
    if len(view.dims) != 3:
        raise Broken(f"reads a tensor of {len(view.dims)} dimensions")
    node, pair, tensor, block = block.node, chain.twins.get(block.node), chain.tensor, _own(block)
    used = [i for i, name in enumerate(node.outputs) if name in chain.reads]
    if pair is not None:
        twins.join(block, *pair)
    if used not in ([0], [1]):
        raise Broken("gives several of its outputs, or its cell state, to the chain")
    batch_first = block.extra["layout"] == 1
    time, batch, features = (view.dims[i] for i in ((1, 0, 2) if batch_first else (0, 1, 2)))
    _expect(features, block.fields["input_size"], "an input")
    _check_states(chain, block)
    _check_lengths(chain, block, time)
    if used == [1] and atoms_of(time) and (block.extra["directions"] == 2 or block.extra["reverse"]):
        raise Broken("gives final states of a direction that runs backwards, which are no step of its output")
    if block.extra["reverse"]:
        twins.run_backwards(block)
    if _arrange_sequence(chain, block, time, batch, features):
        block.fields["batch_first"] = True
    directions, hidden = (Atom(block.extra["directions"]),), (Atom(block.fields["hidden_size"]),)
    dims = [*tensor.dims[:-1], directions + hidden]
    if used == [0]:
        seen = [batch, time, directions, hidden] if batch_first else [time, directions, batch, hidden]
    else:
        seen = [batch, directions, hidden] if batch_first else [directions, batch, hidden]
    result = advance(chain, block, dims, seen)
    if pair is not None:
        return twins.share(chain, *pair, result, batch_first)
    if block.extra["reverse"]:
        tensor.zeros = block.fields["hidden_size"]
    if used == [1]:
        result = _last_of(chain, result, time)
    chain.values[node.outputs[used[0]]] = result
    return result


_LAYERS = {"linear": _linear, "conv1d": _conv1d, "embedding": _embedding, "layer_norm": _layer_norm,
           "lstm": _recurrent, "gru": _recurrent, "rnn": _recurrent}


def apply(chain, block):
    """Adds a block's layer to the chain, and what it needs before it. Raises Broken."""
    view = chain.value(block.source)
    if block.kind == "embedding" and isinstance(view, View) and view.indices:
        pass  # the one layer that reads integers
    else:
        view = chain.current(view)
        if not view.dims or block.extra.get("rank", 0) > len(view.dims):
            raise Broken("adds a dimension of size 1, which no layer of the library does")
    result = _LAYERS[block.kind](chain, block, view)
    if block.output and result is not None:
        chain.values.setdefault(block.output, result)


def _last_of(chain, view, time):
    """The last place along a dimension, which goes."""
    tensor, wanted = chain.tensor, atoms_of(time)
    if not wanted:
        return view
    if wanted not in tensor.stripped():
        raise Broken("takes the last place along several dimensions, or a part of one")
    place = tensor.stripped().index(wanted)
    if place == len(tensor.dims) - 1:
        settle(chain)
    if place > 1:
        tensor.permute([place, *(i for i in range(len(tensor.dims)) if i != place)])
        place = 0
    tensor.drop(place)
    tensor.version += 1
    return View(view.dims, tensor.version)


def _take_last(chain, view, axis, index, keeps_dimension):
    if not -len(view.dims) <= axis < len(view.dims):
        raise Broken(f"has the axis {axis}")
    axis %= len(view.dims)
    size, atoms = size_of(view.dims[axis]), atoms_of(view.dims[axis])
    last = index == -1 or (size is not None and index == size - 1)
    if not last or (atoms and atoms not in chain.tensor.stripped()):
        return part_of(view, axis, index, keeps_dimension)
    rest = [*view.dims[:axis], *([(Atom(1),)] if keeps_dimension else []), *view.dims[axis + 1:]]
    return _last_of(chain, View(rest, view.version), view.dims[axis])


def _gather(chain, node, values, view):
    index = as_sizes(values[1]) if len(values) > 1 else None
    if index is None or len(index.values) != 1 or not isinstance(index.values[0], int):
        raise Broken("picks values as no layer of the library does")
    return _take_last(chain, view, node.integer("axis", 0), index.values[0], not index.scalar)


def _slice(chain, node, values, view):
    starts, ends, axes, steps = slice_arguments(node, [as_array(value) for value in values])
    if starts is None or ends is None or len(starts) != 1 or (steps or [1]) != [1]:
        raise Broken("cuts a tensor as no layer of the library does")
    axis = (axes or [0])[0]
    size = size_of(view.dims[axis]) if -len(view.dims) <= axis < len(view.dims) else None
    to_end = ends[0] >= (size if size is not None else 2**31 - 1)
    if starts[0] == 0 and to_end and size != 1:
        return View(view.dims, view.version)
    if not to_end and (size is None or starts[0] % size + 1 != ends[0] % size):
        raise Broken("cuts a tensor as no layer of the library does")
    return _take_last(chain, view, axis, starts[0], True)


def _split(chain, node, values, view):
    return split(node, values, view)


def _scaled(chain, diagonal, view):
    """Adds the Linear of a scaling of the last dimension; None: a layer has it already."""
    if diagonal is None:
        return View(view.dims, chain.tensor.version)
    return advance(chain, diagonal, chain.tensor.dims, view.dims)


def _arithmetic(chain, node, values, view):
    settle(chain)
    return _scaled(chain, arithmetic(chain, node, values, view), view)


def _softmax(chain, node, values, view):
    new = chain.graph.opset >= 13
    axis, rank = node.integer("axis", -1 if new else 1), len(view.dims)
    if not -rank <= axis < rank:
        raise Broken(f"has the axis {axis}")
    axis %= rank
    if not new:  # over the last dimensions from the axis on, as one
        if any(atoms_of(dim) for dim in view.dims[axis:-1]):
            raise Broken("is a softmax over several dimensions")
        axis = rank - 1
    settle(chain)
    chain.tensor.arrange_last(view.dims, axis)
    kind = "softmax" if node.op == "Softmax" else "log_softmax"
    return advance(chain, Block(kind, node, "", "", {}, {}), chain.tensor.dims, view.dims)


def _activation(chain, node, values, view):
    kind, attributes = _ACTIVATIONS[node.op]
    fields = {field: node.number(name, default) for name, (field, default) in attributes.items()
              if node.number(name, default) != default}
    for field, value in fields.items():
        if not abs(value) < float("inf"):
            raise Broken(f"has the {field} {value}")
    return advance(chain, Block(kind, node, "", "", fields, {}), chain.tensor.dims, view.dims)


def _clip(chain, node, values, view):
    bounds = [as_array(value) for value in values[1:]]
    low = node.number("min", None) if chain.graph.opset < 11 else bounds[0] if bounds else None
    high = node.number("max", None) if chain.graph.opset < 11 else bounds[1] if len(bounds) > 1 else None
    if any(name and value is None for name, value in zip(node.inputs[1:], bounds)):
        raise Broken("clips to bounds that are computed")
    if low is None or float(low) != 0 or (high is not None and float(high) < 3e38):
        raise Broken("clips to other bounds than from 0 on")
    return advance(chain, Block("relu", node, "", "", {}, {}), chain.tensor.dims, view.dims)


_COMPUTATIONS = {**dict.fromkeys(_ACTIVATIONS, _activation), "Softmax": _softmax, "LogSoftmax": _softmax,
                 "Gather": _gather, "Slice": _slice, "Split": _split,
                 **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _arithmetic), "Clip": _clip}


def has_kind(node):
    """Whether the library has a node's operation as a layer without tensors."""
    return node.domain == "" and node.op in (*_ACTIVATIONS, "Softmax", "LogSoftmax")


def compute(chain, node, values):
    """Adds the layer of a node that has no tensors; gives the View of its result. Raises Broken."""
    if node.op not in _COMPUTATIONS:
        raise Broken("is no layer of the library")
    view = next(value for value in values if isinstance(value, View))
    return _COMPUTATIONS[node.op](chain, node, values, chain.current(view))
