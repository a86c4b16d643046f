"""The layers of a graph that is no chain, those of its branches among them, and what is left out."""

from bytegate.onnx.blocks import find_blocks
from bytegate.onnx.graph import quoted
from bytegate.onnx.steps import has_kind
from bytegate.onnx.twins import run_backwards

# Operations that compute nothing with floats: nothing is lost where they are not in the file.
_QUIET = {"Identity", "Cast", "Squeeze", "Unsqueeze", "Transpose", "Reshape", "Flatten", "Dropout", "Shape", "Size",
          "Constant", "ConstantOfShape", "Gather", "Slice", "Concat", "Expand", "Split", "Equal", "Where", "Range"}
_MAX_FEEDS, _MAX_FOLLOWED = 16, 1000  # readers of one layer, and tensors looked at for them


class Collection:
    """`layers` are the blocks that can be written, `left_out` pairs of a node's title and why it is not in the file,
    `feeds` what reads each block's output."""

    def __init__(self, graph, found):
        self.found = found  # graph -> (blocks, problems)
        self.layers, self.left_out, self.feeds = [], [], {}
        self.paths = {}
        self.visit(graph)
        for inner, (blocks, _) in found.items():
            owners = {node: block for block in blocks.values() for node in block.nodes}
            for block in blocks.values():
                self.feeds[block] = self.readers(inner, block, owners)

    def visit(self, graph):
        blocks, problems = self.found[graph]
        owned = {node for block in blocks.values() for node in [*block.nodes, *block.shared]}
        for node in graph.nodes:
            block = blocks.get(node)
            if block is not None:
                why = _unwritable(block)
                if why:
                    self.leave_out(graph, node, why)
                else:
                    if block.extra.get("reverse"):
                        run_backwards(block)
                    self.layers.append(block)
                    self.paths[block] = graph.path
            elif node in problems:
                self.leave_out(graph, node, problems[node])
            elif node not in owned and not _is_quiet(node, graph):
                self.leave_out(graph, node, _why_left_out(node))
            for inner in node.graphs.values():
                self.visit(inner)

    def leave_out(self, graph, node, why):
        where = f" in {graph.path.rstrip('.')}" if graph.path else ""
        self.left_out.append((node.title + where, why))

    def readers(self, graph, block, owners):
        """Layers (blocks) and other readers (texts) of a block's outputs, past nodes that only move values."""
        found, seen = [], set()
        pending = [block.output, *(block.node.outputs if block.extra.get("recurrent") else [])]
        while pending and len(found) < _MAX_FEEDS and len(seen) < _MAX_FOLLOWED:
            name = pending.pop(0)
            if not name or name in seen:
                continue
            seen.add(name)
            if name in graph.output_names:
                found.append(f"output {quoted(name)}")
            for node in graph.consumers.get(name, ()):
                if node in owners:
                    if owners[node] is not block:
                        found.append(owners[node])
                elif _is_quiet(node, graph) and node.op not in ("Shape", "Size"):
                    pending += node.outputs
                elif node.op not in ("Shape", "Size"):
                    found.append(node.title)
        return list(dict.fromkeys(found))


def find_everywhere(graph, leave_out):
    """{graph: (blocks, problems)} of a graph and its branches. Raises Refused."""
    found = {graph: find_blocks(graph, leave_out)}
    for node in graph.nodes:
        for inner in node.graphs.values():
            found.update(find_everywhere(inner, leave_out))
    return found


def state_origin(graph, name):
    """The graph's input that a state is cut from, or the node that computes it; empty where that is `name` itself."""
    first = name
    for _ in range(_MAX_FOLLOWED):
        node = graph.producers.get(name)
        if node is None and graph.parent is not None and name not in graph.local:
            graph = graph.parent
        elif node is None:
            return "" if name == first else f"input {quoted(name)}"
        elif node.domain == "" and node.op in _QUIET and node.inputs and node.op not in ("Concat", "Where"):
            name = node.inputs[0]
        else:
            return node.title
    return ""


def _is_quiet(node, graph):
    return (node.domain == "" and node.op in _QUIET) or all(name in graph.constants for name in node.outputs)


def _why_left_out(node):
    if node.graphs:
        branches = " and ".join(node.graphs)
        return f"which of its graphs ({branches}) runs is decided when the model runs; their layers are looked for"
    if has_kind(node):
        return "it has no weights; the library has it as a layer of its own"
    return "no layer of the library"


def _unwritable(block):
    if block.extra.get("unit_axis") is not None:
        return "it is a convolution over 2 dimensions; one is accepted"
    if block.kind == "layer_norm" and not block.tensors["weight"].size:
        return "it normalizes without weights of its own"
    if block.kind == "layer_norm" and block.fields["normalized_shape"] == 1:
        return "it has one weight for a dimension whose size is not known"
    return ""
