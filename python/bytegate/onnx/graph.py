"""A graph of ONNX as the converter sees it: nodes in an order in which they can run, and who reads what."""

import re

import numpy as np

_UNREADABLE = re.compile(r"[^A-Za-z0-9_.-]+")
# What onnx.inliner puts before the names of an inlined branch, in whose name the branch is already.
_INLINED = re.compile(r"\bIf_\d+_(then|else)_branch__Inline_\d+__/?")


def quoted(name):
    """A name from a file, safe to print and not too long."""
    text = name.encode("unicode_escape").decode() if not name.isprintable() else name
    return f'"{text}"' if len(text) <= 100 else f'"{text[:100]}..."'


def readable(name):
    """A name of a layer from a name of the graph: "/encoder/lstm/" becomes "encoder.lstm"."""
    name = _UNREADABLE.sub("_", _INLINED.sub("", name).strip("/").replace("/", ".").replace("::", "_"))
    return name.strip("._")[:100]


def shortest(value):
    """The number of the fewest digits that is this float32: 1e-05, not 9.999999747378752e-06."""
    return float(str(np.float32(value)))


class Node:
    """An operation. `label` is a readable name that is never empty, `title` what messages call it."""

    def __init__(self, op, domain, name, inputs, outputs, attributes, graphs, index):
        self.op, self.domain, self.name = op, domain, name
        self.inputs, self.outputs, self.attributes, self.graphs = inputs, outputs, attributes, graphs
        self.label = readable(name) or f"{readable(op) or 'node'}_{index}"
        self.title = f"{op} {quoted(name)}" if name else f"{op} without a name (node {index})"

    def __repr__(self):
        return f"<{self.title}>"

    def input(self, index):
        """The name of an input; empty where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def output(self, index=0):
        return self.outputs[index] if index < len(self.outputs) else ""

    def integer(self, name, otherwise):
        value = self.attributes.get(name, otherwise)
        return value if isinstance(value, int) else otherwise

    def number(self, name, otherwise):
        value = self.attributes.get(name, otherwise)
        return shortest(value) if isinstance(value, (int, float)) else otherwise

    def integers(self, name):
        """A list of integers, or None if the attribute is not there."""
        value = self.attributes.get(name)
        return value if isinstance(value, list) and all(isinstance(item, int) for item in value) else None

    def text(self, name, otherwise):
        value = self.attributes.get(name)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else otherwise


class Graph:
    """`inputs` are (name, element type, dimensions); `constants` are arrays by name, of initializers at first and of
    all that fold.py computes later; `consumers` are the nodes that read a tensor, themselves or in their branches."""

    def __init__(self, parent, path, opset):
        self.parent, self.path, self.opset = parent, path, opset
        self.inputs, self.outputs, self.nodes = [], [], []
        self.output_names = set()
        self.constants, self.local = {}, set()
        self.producers, self.consumers = {}, {}
        self.largest_weight = 0  # elements, in the model's own graph

    def root(self):
        return self if self.parent is None else self.parent.root()

    def add_constant(self, name, array):
        """None stands for a value that is known to be constant and of a type that no layer has."""
        self.constants[name] = array

    def knows(self, name):
        return name in self.local or (self.parent is not None and self.parent.knows(name))

    def constant(self, name):
        """The array of a constant of this graph or of one around it; None if it is none."""
        graph = self if name else None
        while graph is not None:
            if name in graph.local:
                return graph.constants.get(name)
            graph = graph.parent
        return None

    def names_read(self):
        """What the nodes read, in their branches too; names of the branches' own tensors are among them."""
        names = set(self.outputs)
        for node in self.nodes:
            names.update(filter(None, node.inputs))
            for inner in node.graphs.values():
                names.update(inner.names_read())
        return names

    def finish(self, fail):
        """Sorts the nodes and notes who gives and who reads each tensor. A cycle is a failure."""
        self.output_names = set(self.outputs)
        self.producers = {name: node for node in self.nodes for name in node.outputs if name}
        reads = {}
        for node in self.nodes:
            names = set(filter(None, node.inputs))
            for inner in node.graphs.values():
                names |= inner.names_read() - inner.local
            reads[node] = names
            for name in names:
                self.consumers.setdefault(name, []).append(node)
        waiting = {node: sum(name in self.producers for name in names) for node, names in reads.items()}
        ready = [node for node in self.nodes if waiting[node] == 0]
        order = []
        for node in ready:  # grows while it is walked
            order.append(node)
            for name in filter(None, node.outputs):
                for reader in self.consumers.get(name, ()):
                    waiting[reader] -= 1
                    if waiting[reader] == 0:
                        ready.append(reader)
        if len(order) < len(self.nodes):
            stuck = next(node for node in self.nodes if waiting[node] > 0)
            fail(f"the graph has a cycle, of which {stuck.title} may be a part")
        self.nodes = order

    def sole_consumer(self, name):
        """The one node that reads a tensor, which is then no output of the graph; None if there are others."""
        readers = self.consumers.get(name, ())
        return readers[0] if len(readers) == 1 and name not in self.output_names else None
