"""What became of a graph."""


class ReportLayer:
    """A layer of the written file. `node` is the graph's node, None for a layer that was inserted; `feeds` names the
    layers, outputs and other nodes that read its output; `notes` are sentences about it."""

    def __init__(self, block, feeds):
        self.name, self.kind, self.text = block.name, block.kind, block.sizes_text()
        self.fields = dict(block.fields)
        self.operation = block.node.op if block.node is not None else None
        self.node = block.node.name if block.node is not None else None
        self.feeds, self.notes = feeds, list(block.notes)

    def __repr__(self):
        return f"<{self.text} {self.name!r}>"


class Report:
    """What convert_onnx wrote.

    `whole` says whether the file is a model that runs as the graph does; otherwise it holds layers without an order,
    and `reason` says what in the graph is no chain of layers. `layers` are ReportLayers, `left_out` pairs of a node and
    why it is not in the file, `states` the outputs of the graph that are final states of the model's recurrent layers,
    `notes` further sentences. `verified` is the largest difference from ONNX Runtime's output, None where the model was
    not run. `half` says that a graph that became a whole model computes in half precision somewhere. Printed, a report
    is a text for people.
    """

    def __init__(self, path, whole, reason, layers, left_out, states, notes):
        self.path, self.whole, self.reason = path, whole, reason
        self.layers, self.left_out, self.states, self.notes = layers, left_out, states, notes
        self.verified, self.half = None, False

    def __repr__(self):
        return f"<Report: {'a whole model' if self.whole else 'layers'} of {len(self.layers)} layers in {self.path!r}>"

    def __str__(self):
        lines = []
        count = f"{len(self.layers)} layer{'' if len(self.layers) == 1 else 's'}"
        if self.whole:
            lines.append(f"{self.path}: a whole model of {count}{'' if len(self.layers) == 1 else ', in this order'}")
        else:
            lines.append(f"{self.path}: {count}, not a whole model: {self.reason}")
        for layer in self.layers:
            feeds = "" if self.whole or not layer.feeds else f" -> {', '.join(layer.feeds)}"
            origin = f"{layer.operation} {layer.node}".rstrip() if layer.operation else "inserted"
            lines.append(f"  {layer.name}: {layer.text} from {origin}{feeds}"
                         if layer.operation else f"  {layer.name}: {layer.kind}, inserted")
            lines += [f"      {note}" for note in layer.notes]
        if self.left_out:
            lines.append("left out:")
            lines += [f"  {title}: {why}" for title, why in self.left_out]
        if self.states:
            lines.append(f"outputs that are final states of the layers, not of the model: {', '.join(self.states)}")
        lines += [f"note: {note}" for note in self.notes]
        if self.verified is not None:
            lines.append(f"verified: differs from ONNX Runtime by at most {self.verified:.1e}")
        return "\n".join(lines)
