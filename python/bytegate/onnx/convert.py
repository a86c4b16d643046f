"""convert_onnx: from an ONNX file to a safetensors file."""

import json
import os

import numpy as np

from bytegate._error import Error
from bytegate._safetensors import write_safetensors
from bytegate.onnx.blocks import Refused, names_for
from bytegate.onnx.chain import Breach, Chain
from bytegate.onnx.collect import Collection, find_everywhere, state_origin
from bytegate.onnx.fold import Budget, fold
from bytegate.onnx.graph import quoted
from bytegate.onnx.read import read_model
from bytegate.onnx.report import Report, ReportLayer
from bytegate.onnx.verify import verify

_MAX_ARCHITECTURE = 1 << 20  # bytes of JSON that the library reads
_DAMAGED = (AttributeError, TypeError, IndexError, KeyError, ValueError, OverflowError, ZeroDivisionError,
            StopIteration, RecursionError, MemoryError)


def convert_onnx(path_in, path_out, *, name=None, leave_out=(), layers_only=False):
    """Converts the ONNX model `path_in` to `path_out`, a safetensors file that this library reads. Returns a Report.

    A graph that is a chain of layers becomes a whole model. Of any other graph, and with `layers_only`, its layers are
    written under readable names, and the report says what each feeds and what was left out. `name` is the model's name
    in the file. Weights are float32; those that are int8 in the graph stay int8 where their zero point is 0.

    A recurrent layer that does what the library's layers do not (peepholes, clip, other activations) is an Error that
    names it. Nodes whose names are in `leave_out` are left out instead, as are what they compute. Where ONNX Runtime's
    Python package is installed, a whole model is run beside the graph, and what differs is an Error.

    Raises bytegate.Error: "io_error", "bad_file" (no ONNX model, or a damaged one), "invalid_argument" (nothing in it
    can be converted). No file is written then, and an old one is kept.

        print(bytegate.convert_onnx("model.onnx", "model.safetensors"))
    """
    path_in, path_out = os.fspath(path_in), os.fspath(path_out)
    if os.path.exists(path_out) and os.path.exists(path_in) and os.path.samefile(path_in, path_out):
        raise Error("invalid_argument", f"{path_out} is the file that is converted; name another one to write")
    leave_out = {leave_out} if isinstance(leave_out, str) else set(leave_out)
    try:
        with np.errstate(all="ignore"):
            report, tensors, metadata = _convert(path_in, path_out, name, leave_out, layers_only)
    except Error:
        raise
    except _DAMAGED as error:
        what = "takes more memory than there is" if isinstance(error, MemoryError) else f"{error}"[:200]
        raise Error("bad_file", f"{path_in} is damaged, or of a form that the converter does not know: "
                    f"{type(error).__name__}: {what}") from error
    if report.whole:
        report.verified = verify(path_in, tensors, metadata, report)
    write_safetensors(path_out, tensors, metadata)
    return report


def _convert(path_in, path_out, name, leave_out, layers_only):
    """(report, tensors, metadata)"""
    graph = read_model(path_in)
    notes = []
    size = os.path.getsize(path_in)
    graph.largest_weight = 4 * size + 1024
    fold(graph, Budget(size), notes)
    try:
        found = find_everywhere(graph, leave_out)
    except Refused as refusal:
        hint = f"; with leave_out=[{refusal.node.name!r}] the rest is converted" if refusal.node.name else ""
        raise Error(refusal.code, f"{path_in}: {refusal}{hint}") from None
    _check_leave_out(leave_out, found)
    chain, reason = None, "only the layers were asked for"
    if not layers_only:
        try:
            chain = Chain(graph, *found[graph])
        except Breach as breach:
            reason = str(breach)
    if chain is not None:
        blocks, paths = chain.layers, {}
        report = Report(path_out, True, "", [], [], chain.states, notes)
        report.half = chain.half
        if chain.half:
            notes.append("the graph computes in half precision, the model in float32")
    else:
        collection = Collection(graph, found)
        blocks, paths = collection.layers, collection.paths
        report = Report(path_out, False, reason, [], collection.left_out, [], notes)
    if not blocks:
        raise Error("invalid_argument", f"{path_in}: nothing in it can be converted: {reason}; "
                    + _left_out_text(report.left_out))
    _give_names(blocks, paths)
    for number, block in enumerate(blocks):
        if chain is None:
            readers = collection.feeds[block]
        else:
            readers = blocks[number + 1:number + 2] or [f"output {quoted(chain.output)}"]
        names = [reader if isinstance(reader, str) else reader.name for reader in readers]
        report.layers.append(ReportLayer(block, [name for name in names if name]))
    tensors, metadata = _contents(path_in, blocks, chain is not None, name)
    if chain is None:
        tensors.update(_add_hints(report, blocks, graph))
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():  # such as a product with a large alpha
            raise Error("invalid_argument", f"{path_in}: the tensor {name} of the converted layers holds NaN or "
                        "infinity")
    return report, tensors, metadata


def _left_out_text(left_out):
    texts = [f"{title}: {why}" for title, why in left_out[:5]]
    return "; ".join(texts) + (f"; and {len(left_out) - 5} more" if len(left_out) > 5 else "")


def _check_leave_out(leave_out, found):
    names = {node.name for graph in found for node in graph.nodes}
    for name in sorted(leave_out):
        if name not in names:
            raise Error("invalid_argument", f"leave_out: no node of the graph is named {quoted(name)}")


def _give_names(blocks, paths):
    """Unique names: after the weights, the node or the kind, with the branch that a layer is in before it."""
    used, numbers = set(), {}
    for block in blocks:
        path = paths.get(block, "")
        candidates = [path + name for name in names_for(block)]
        taken = [name for name in candidates if not _clashes(name, block, used)]
        while not taken:
            numbers[candidates[-1]] = numbers.get(candidates[-1], 1) + 1
            name = f"{candidates[-1]}_{numbers[candidates[-1]]}"
            taken = [] if _clashes(name, block, used) else [name]
        block.name = taken[0]
        used.add(block.name)
        used.update(f"{block.name}.{tensor}" for tensor in block.tensors)


def _clashes(name, block, used):
    return name in used or any(f"{name}.{tensor}" in used for tensor in block.tensors)


def _add_hints(report, blocks, graph):
    """What a caller of single layers must know that their fields do not say. Gives the initial states that the graph
    holds, [directions, B, hidden_size], by names for the file."""
    tensors = {}
    for block, layer in zip(blocks, report.layers):
        if not block.extra.get("recurrent"):
            continue
        for name, state in zip(block.extra["states"], ("h0", "c0")):
            value = graph.constant(name)
            if not name:
                continue
            if value is None:
                origin = state_origin(block.extra["graph"], name)
                layer.notes.append(f"Its state {state} is {quoted(name)}{f', of {origin}' if origin else ''}.")
            elif value.dtype.kind == "f" and value.ndim == 3 and value.any() and value.size <= graph.largest_weight:
                value = value.swapaxes(0, 1) if block.extra["layout"] else value
                if block.extra["reverse"]:
                    value = np.concatenate([np.zeros_like(value), value])
                tensors[f"{block.name}.{state}"] = np.ascontiguousarray(value, dtype=np.float32)
                layer.notes.append(f"Its state {state} is the file's tensor {block.name}.{state}.")
        if block.extra["lengths"]:
            layer.notes.append(f"The lengths of its sequences are {block.extra['lengths']}.")
    return tensors


def _contents(path_in, blocks, whole, name):
    """(tensors, metadata) of the file."""
    tensors, layers = {}, []
    for block in blocks:
        layers.append({"name": block.name, "kind": block.kind, **block.fields})
        tensors.update({f"{block.name}.{tensor}": array for tensor, array in block.tensors.items()})
    text = json.dumps(layers, separators=(",", ":"), ensure_ascii=False)
    size = len(text.encode())
    if size > _MAX_ARCHITECTURE:
        raise Error("invalid_argument", f"{path_in}: its {len(layers)} layers take {size:,} bytes of JSON; at most "
                    f"{_MAX_ARCHITECTURE:,} can be read again")
    metadata = {"format": "bytegate", "format_version": "1", "architecture" if whole else "layers": text}
    if name:
        metadata["name"] = name
    if any(block.quantized() for block in blocks):
        metadata["scheme"] = "per_row"
    return tensors, metadata
