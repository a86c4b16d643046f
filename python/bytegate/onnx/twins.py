"""Two recurrent layers, one forwards and one backwards, that read the same tensor: one bidirectional layer, of which
each has a direction. Exporters that know no bidirectional layer write them so."""

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


def join(block, forward, backward):
    """Makes a copy of a block the bidirectional layer of a pair."""
    block.tensors = dict(forward.tensors)
    for name, array in backward.tensors.items():
        stem, scale, _ = name.partition("_scale")
        block.tensors[f"{stem}_reverse{scale}"] = array
    block.fields["bidirectional"] = True
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
