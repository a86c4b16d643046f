"""Conv over one dimension, or over two of which one has the size 1."""

import numpy as np

from bytegate.onnx.blocks import MAX_COLUMNS, Block, absorb_bias, matcher, unfit, weight_origin
from bytegate.onnx.fold import float_constant
from bytegate.onnx.norms import absorb_batch_norm

_LARGEST_WEIGHT = 1 << 26  # values of a weight in which several groups become one


class _Window:
    """The kernel along one spatial dimension: size, stride, dilation and padding at both ends."""

    def __init__(self, node, axis, rank, kernel, more_padding):
        def at(name, index, otherwise, count=rank):
            values = node.integers(name) or [otherwise] * count
            if len(values) != count:
                unfit(f"its {name} are {len(values)} numbers; {count} are accepted")
            return values[index]

        self.kernel = kernel
        self.stride, self.dilation = at("strides", axis, 1), at("dilations", axis, 1)
        self.begin, self.end = at("pads", axis, 0, 2 * rank), at("pads", axis + rank, 0, 2 * rank)
        stated = at("kernel_shape", axis, kernel)
        if stated != kernel:
            unfit(f"its kernel_shape is {stated} where its weight has {kernel}")
        if min(self.stride, self.dilation) < 1 or min(self.begin, self.end) < 0 or max(
                self.stride, self.dilation, self.begin, self.end) > MAX_COLUMNS:
            unfit(f"its stride is {self.stride}, its dilation {self.dilation}, its padding {self.begin} and {self.end}")
        self.pad_as_stated(node.text("auto_pad", "NOTSET"))
        self.begin += more_padding[axis]
        self.end += more_padding[axis + rank]
        if max(self.begin, self.end) > MAX_COLUMNS:
            unfit(f"its padding is {self.begin} and {self.end}")

    def pad_as_stated(self, auto_pad):
        if auto_pad == "VALID":
            self.begin = self.end = 0
        elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            if self.stride != 1:
                unfit(f"its auto_pad is {auto_pad} with a stride of {self.stride}, whose padding depends on the length "
                      "of the sequence")
            both = self.dilation * (self.kernel - 1)
            self.begin, self.end = both // 2, both - both // 2
            if auto_pad == "SAME_LOWER":
                self.begin, self.end = self.end, self.begin
        elif auto_pad != "NOTSET":
            unfit(f"its auto_pad is {auto_pad}")

    def causal(self):
        """Whether it sees the steps before, as many as there are, and none behind."""
        return self.kernel > 1 and self.end == 0 and self.begin == self.dilation * (self.kernel - 1)

    def is_nothing(self):
        return (self.kernel, self.stride, self.begin, self.end) == (1, 1, 0, 0)


def _same_padding(window, weight):
    """The weight [O, C, K] with zeros before or behind it so that the same padding at both ends gives what different
    paddings give; the padding goes into `window`."""
    more = abs(window.begin - window.end)
    if more == 0 or window.causal():
        return weight
    if more % window.dilation or more > window.dilation * (weight.shape[2] - 1):
        unfit(f"its padding is {window.begin} at one end and {window.end} at the other, with a kernel of "
              f"{weight.shape[2]} and a dilation of {window.dilation}")
    zeros = np.zeros((*weight.shape[:2], more // window.dilation), weight.dtype)
    parts = [weight, zeros] if window.begin > window.end else [zeros, weight]
    window.begin = window.end = max(window.begin, window.end)
    window.kernel += more // window.dilation
    return np.concatenate(parts, axis=2)


def _fields(weight, window, groups):
    fields = {"in_channels": weight.shape[1] * groups, "out_channels": weight.shape[0], "kernel_size": weight.shape[2]}
    for name, value, otherwise in (("stride", window.stride, 1), ("padding", window.begin, 0),
                                   ("dilation", window.dilation, 1), ("groups", groups, 1)):
        if value != otherwise:
            fields[name] = value
    if window.causal():
        del fields["padding"]
        fields["causal"] = True
    return fields


def _one_group(weight, groups):
    """(weight, groups) with one group, whose other inputs have weights of zero, in the place of several. The library
    has several only where each channel is one."""
    rows, columns, kernel = weight.shape
    if groups == 1 or (columns == 1 and rows == groups):
        return weight, groups
    if rows * columns * groups * kernel > _LARGEST_WEIGHT:
        unfit(f"it has {groups} groups, which are no single channels")
    whole = np.zeros((rows, columns * groups, kernel), weight.dtype)
    for group, part in enumerate(np.split(weight, groups)):
        first = group * len(part)
        whole[first:first + len(part), group * columns:(group + 1) * columns] = part
    return whole, 1


@matcher("Pad")
def match_padded_conv(node, graph):
    """A Pad with zeros along the sequence that a convolution alone reads."""
    conv = graph.sole_consumer(node.outputs[0])
    if conv is None or conv.op != "Conv" or conv.inputs[0] != node.outputs[0]:
        return None
    if node.text("mode", "constant") != "constant":
        return None
    value = graph.constant(node.input(2)) if node.input(2) else np.float32(node.number("value", 0.0)).reshape(())
    pads = node.integers("pads")
    if pads is None:
        constant = graph.constant(node.input(1))
        pads = None if constant is None else [int(pad) for pad in constant.reshape(-1)]
    if node.input(3) or value is None or value.any() or pads is None or len(pads) not in (6, 8) or min(pads) < 0:
        return None
    rank = len(pads) // 2
    if any(pads[i] or pads[rank + i] for i in (0, 1)):
        return None
    block = match_conv(conv, graph, [*pads[2:rank], *pads[rank + 2:]])
    if block is not None:
        block.source = node.inputs[0]
        block.nodes.insert(0, node)
    return block


@matcher("Conv")
def match_conv(node, graph, more_padding=None):
    """`more_padding`: what a Pad before it adds, at the beginnings and at the ends of its dimensions."""
    if graph.constant(node.input(1)) is None:
        return None
    weight = float_constant(graph, node.inputs[1], "weight", unfit)
    rank, groups = weight.ndim - 2, node.integer("group", 1)
    if rank not in (1, 2):
        unfit(f"it is a convolution over {rank} dimensions; one is accepted")
    if 0 in weight.shape or groups < 1 or weight.shape[0] % groups:
        unfit(f"its weight has the shape {list(weight.shape)}, in {groups} groups")
    if max(weight.shape[0], weight.shape[1] * groups) > MAX_COLUMNS:
        unfit(f"it has {weight.shape[1] * groups:,} channels and {weight.shape[0]:,} behind it; at most "
              f"{MAX_COLUMNS:,} are accepted")
    more_padding = more_padding or [0] * 2 * rank
    if len(more_padding) != 2 * rank:
        return None
    windows = [_Window(node, axis, rank, weight.shape[2 + axis], more_padding) for axis in range(rank)]
    unit = None  # of two dimensions: the one over which nothing moves
    if rank == 2:
        unit = next((axis for axis in (0, 1) if windows[axis].is_nothing()), None)
        if unit is None:
            unfit("it is a convolution over 2 dimensions; one is accepted")
        weight = weight.squeeze(2 + unit)
    window = windows[1 - unit if rank == 2 else 0]
    kernel = window.kernel
    weight, several = _same_padding(window, weight), groups
    weight, groups = _one_group(weight, groups)
    if weight.shape[1] * weight.shape[2] > MAX_COLUMNS:
        unfit(f"its kernel has {weight.shape[1] * weight.shape[2]:,} inputs; at most {MAX_COLUMNS:,} are accepted")
    tensors = {"weight": np.ascontiguousarray(weight)}
    fields = _fields(weight, window, groups)
    block = Block("conv1d", node, node.inputs[0], node.outputs[0], fields, tensors,
                  weight_name=weight_origin(graph, node.inputs[1]), unit_axis=unit, rank=rank + 2)
    if window.kernel != kernel:
        block.notes.append("Its padding differs at the two ends, so its kernel is filled up with zeros.")
    if groups != several:
        block.notes.append(f"It has {several} groups, so its weight is filled up with zeros to one.")
    if node.input(2):
        bias = float_constant(graph, node.inputs[2], "bias", unfit)
        if bias.size != weight.shape[0]:
            unfit(f"its bias has {bias.size} values")
        tensors["bias"] = bias.reshape(-1)
    else:
        fields["bias"] = False
        channels = weight.shape[0]
        absorb_bias(graph, block, [(channels,) + (1,) * rank])
    absorb_batch_norm(graph, block)
    return block
