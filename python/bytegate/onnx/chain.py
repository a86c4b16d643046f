"""The graph as a chain of layers: walks its nodes in order and follows the one tensor that goes through all of them.

Every node on the way is a layer, or moves dimensions (a View), or computes with shapes alone. Anything else breaks the
chain, as does a tensor that two layers read.
"""

import numpy as np

from bytegate.onnx import parts, steps
from bytegate.onnx.blocks import Block
from bytegate.onnx.graph import quoted
from bytegate.onnx.layout import Atom, Broken, Sym, Tensor, View
from bytegate.onnx.moves import MOVES, move
from bytegate.onnx.read import FLOAT_TYPES, HALF_TYPES, INDEX_TYPES
from bytegate.onnx.sizes import Opaque, Sizes, evaluate
from bytegate.onnx.twins import find_twins

_MAX_OUTPUTS = 64  # of a graph that may be a chain, all but one of which are states


class Breach(Exception):
    """Where and why a graph is no chain: `node` may be None."""

    def __init__(self, node, reason):
        super().__init__(f"{node.title} {reason}" if node is not None else reason)


class Chain:
    """`layers` are the blocks of the model in their order, `states` the outputs of the graph that are final states of
    recurrent layers. Raises Breach."""

    def __init__(self, graph, blocks, problems):
        self.graph, self.blocks, self.problems = graph, blocks, problems
        self.layers, self.values = [], {}
        self.picks = {}  # nodes that read one of the tensors that a Concat joins, which is not needed then
        self.half = False  # whether the graph computes in half precision somewhere
        self.owned = {node for block in blocks.values() for node in block.nodes} - set(blocks)
        self.quantizers = {node for block in blocks.values() for node in block.shared}
        self.output, self.states = self.find_output()
        self.needed, self.reads = self.find_needed()
        self.twins = find_twins({node: block for node, block in blocks.items() if node in self.needed})
        self.input = self.start()
        for node in graph.nodes:
            if node in self.needed and node not in self.owned:
                try:
                    self.step(node)
                except Broken as problem:
                    raise Breach(node, str(problem)) from None
        self.finish()

    def find_output(self):
        """The output that is no final state, and those that are."""
        if len(self.graph.outputs) > _MAX_OUTPUTS:
            raise Breach(None, f"the graph has {len(self.graph.outputs)} outputs")
        states = [name for name in self.graph.outputs if self.is_state(name)]
        others = [name for name in self.graph.outputs if name not in states]
        if not others and len(states) == 1:
            return states[0], []
        if len(others) != 1:
            raise Breach(None, f"the graph has {len(self.graph.outputs)} outputs: "
                         f"{', '.join(quoted(name) for name in self.graph.outputs[:8])}")
        return others[0], states

    def is_state(self, name):
        """Whether an output is a final state of recurrent layers, moved about at most."""
        pending, seen = [name], set()
        while pending:
            name = pending.pop()
            node = self.graph.producers.get(name)
            if node is None or (node.domain and node not in self.blocks):
                return False
            if name in seen:
                continue
            seen.add(name)
            if node in self.blocks and self.blocks[node].extra.get("recurrent"):
                if name == node.output(0):
                    return False
            elif node.op == "Concat":
                pending += node.inputs
            elif node.op in ("Squeeze", "Unsqueeze", "Transpose", "Reshape", "Identity", "Cast", "Slice"):
                pending.append(node.inputs[0])
            else:
                return False
        return True

    def find_needed(self):
        """The nodes that the output depends on, and the tensors that these read."""
        needed, reads, pending = set(), {self.output}, [self.output]
        while pending:
            node = self.graph.producers.get(pending.pop())
            if node is None or node in needed or all(name in self.graph.constants for name in node.outputs):
                continue
            needed.add(node)
            if node.graphs:
                what = "the output depends on it, and which of its branches runs is decided by the input" \
                    if node.op == "If" else "the output depends on it, and it runs a graph of its own"
                raise Breach(node, f"is a part of the graph: {what}")
            picked = self.picked_state(node)
            if picked:
                self.picks[node] = picked
            for name in [picked] if picked else filter(None, node.inputs):
                if name not in reads:
                    reads.add(name)
                    pending.append(name)
        return needed, reads

    def picked_state(self, node):
        """Of a Gather that takes one of the final states of stacked layers, which a Concat joins: that state's name.
        Else an empty name."""
        joined = self.graph.producers.get(node.input(0)) if node.op == "Gather" and node.domain == "" else None
        index = self.graph.constant(node.input(1))
        if joined is None or joined.op != "Concat" or joined.domain or index is None or index.size != 1:
            return ""
        blocks = [self.blocks.get(self.graph.producers.get(name)) for name in joined.inputs]
        place, count = int(index.reshape(-1)[0]), len(blocks)
        one_each = all(block is not None and block.extra.get("recurrent") and block.extra["directions"] == 1
                       and block.extra["layout"] == 0 and name != block.node.output(0)
                       for block, name in zip(blocks, joined.inputs))
        if index.ndim or not one_each or joined.integer("axis", 0) or node.integer("axis", 0):
            return ""
        if not -count <= place < count:
            return ""
        return joined.inputs[place]

    def start(self):
        """The graph's input as the library's tensor."""
        used = [entry for entry in self.graph.inputs if entry[0] in self.reads]
        if len(used) != 1:
            names = ", ".join(quoted(name) for name, *_ in used[:8])
            raise Breach(None, f"the output depends on {len(used)} inputs{': ' if names else ''}{names}")
        name, kind, dims = used[0]
        if kind not in FLOAT_TYPES and kind not in INDEX_TYPES:
            raise Breach(None, f"the input {quoted(name)} is of element type {kind}, neither floats nor indices")
        if dims is None:
            raise Breach(None, f"the graph does not state the shape of its input {quoted(name)}")
        named = {}
        atoms = []
        for dim in dims:
            if isinstance(dim, str):
                atoms.append(named.setdefault(dim, Atom(None, dim)))
            else:
                atoms.append(Atom(dim))
        if len(set(atoms)) < len(atoms):  # two dimensions of one name are still two
            atoms = [Atom(dim if isinstance(dim, int) else None) for dim in dims]
        self.tensor = Tensor([(atom,) for atom in atoms], self.insert)
        self.values[name] = View(self.tensor.dims, 0, kind in INDEX_TYPES)
        self.half = kind in HALF_TYPES
        return name

    def insert(self, kind, fields):
        self.layers.append(Block(kind, None, "", "", fields, {}))

    def finish(self):
        """The library's tensor in the form of the graph's output."""
        try:
            view = self.current(self.value(self.output))
            if not any(block.node is not None for block in self.layers):
                raise Broken("is computed by no layer of the library")
            steps.settle(self)
            self.tensor.arrange(view.dims)
        except Broken as problem:
            raise Breach(None, f"the output {quoted(self.output)} {problem}") from None

    def value(self, name):
        """A View, Sizes, Filled, Opaque, an array for a constant, or None for an input that is left out."""
        if not name:
            return None
        constant = self.graph.constant(name)
        return constant if constant is not None else self.values.get(name, Opaque())

    def step(self, node):
        block = self.blocks.get(node)
        if block is not None:
            return steps.apply(self, block)
        if node in self.quantizers:
            return None
        if node in self.problems:
            raise Broken(f"cannot be converted: {self.problems[node]}")
        if node in self.picks:
            values = [self.value(self.picks[node]), np.array(0, np.int64)]
        else:
            values = [self.value(name) for name in node.inputs]
        views = [value for value in values if isinstance(value, View)]
        if not views and all(not isinstance(value, Opaque) or name in self.values
                             for value, name in zip(values, node.inputs)):
            result = evaluate(node, values) if node.domain == "" else Opaque()
        elif node.domain == "" and node.op == "Shape" and views:
            sizes = [Sym.of(dim) for dim in views[0].dims]
            result = Sizes(sizes[node.integer("start", 0):node.integer("end", len(sizes))])
        elif node.domain == "" and node.op in MOVES and isinstance(values[0], View):
            result = View(move(node, values), values[0].version, values[0].indices)
            result.part = values[0].part
            self.half = self.half or values[0].half
        elif node.domain == "" and node.op == "Concat" and isinstance(values[0], View):
            result = parts.concat(node, values)
        elif node.domain == "" and len(views) == 1 and (isinstance(values[0], View) or len(values) == 2):
            result = steps.compute(self, node, values)
        elif len(views) > 1:
            raise Broken("brings two tensors together: the graph branches")
        else:
            raise Broken("is no layer of the library")
        for i, name in enumerate(node.outputs):
            self.values[name] = result[i] if isinstance(result, list) else result
        return None

    def current(self, view):
        """A View that a layer is about to read."""
        if not isinstance(view, View):
            raise Broken("reads what is computed beside the chain")
        if view.version != self.tensor.version:
            raise Broken("reads a tensor that another layer has read already: the graph branches there")
        if view.indices:
            raise Broken("computes with integers")
        if view.part is not None:
            raise Broken("reads a part of a tensor, such as one direction of a recurrent layer")
        return view
