"""Directions of recurrent layers that are no layers of the library by themselves.

A layer that runs backwards alone is a bidirectional one whose first direction has weights of zero, and gives zeros. Two
layers, one forwards and one backwards, that read the same tensor are one bidirectional layer; exporters that know none
write them so.
"""

import numpy as np

from bytegate.onnx.layout import Atom, Broken, View


def find_twins(blocks):
    """{node: (block of the forward direction, block of the other)} for both nodes of each pair."""
    lone, twins = {}, {}
    for block in blocks.values():
        if not block.extra.get("recurrent") or block.extra["directions"] != 1:
            continue
        key = (block.source, block.kind, block.extra["layout"], block.extra["lengths"], tuple(sorted(
            (name, str(value)) for name, value in block.fields.items())))
        other = lone.get(key)
        if other is None:
            lone[key] = block
        elif other.extra["reverse"] != block.extra["reverse"]:
            pair = (block, other) if other.extra["reverse"] else (other, block)
            twins[block.node] = twins[other.node] = pair
            del lone[key]
    return twins


def _set_directions(block, first, second):
    """first, second: a direction's tensors, under the names of a forward one"""
    block.tensors = dict(first)
    for name, array in second.items():
        stem, scale, _ = name.partition("_scale")
        block.tensors[f"{stem}_reverse{scale}"] = array
    block.fields["bidirectional"] = True


def run_backwards(block):
    """Makes a layer with the one direction that the node has the second of two."""
    _set_directions(block, {name: np.zeros_like(array) for name, array in block.tensors.items()}, block.tensors)
    block.notes.append("It runs backwards alone: its forward direction has weights of zero, and the graph's output is "
                       "the second half of its own.")


def join(block, forward, backward):
    """Makes a copy of a block the bidirectional layer of a pair."""
    _set_directions(block, forward.tensors, backward.tensors)
    block.weight_name, block.node = forward.weight_name, forward.node
    block.notes = [*forward.notes, *backward.notes, f"Its second direction is {backward.node.title}."]
    block.extra = {**block.extra, "directions": 2, "reverse": False,
                   "states": [*forward.extra["states"], *backward.extra["states"]]}


def share(chain, forward, backward, view, batch_first):
    """Gives each node of a pair its direction of the View of both."""
    for block in (forward, backward):
        if [i for i, name in enumerate(block.node.outputs) if name in chain.reads] != [0]:
            raise Broken("gives final states of two directions, or several of its outputs, to the chain")
    place = 2 if batch_first else 1
    directions = view.dims[place][0]
    for index, block in enumerate((forward, backward)):
        dims = [*view.dims[:place], (Atom(1),), *view.dims[place + 1:]]
        part = View(dims, view.version)
        part.part = (directions, index)
        chain.values[block.node.outputs[0]] = part
        chain.owned.add(block.node)
