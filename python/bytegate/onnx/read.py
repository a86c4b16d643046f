"""Reads an ONNX file as a Graph. Nothing is trusted: sizes are checked before anything is allocated by them."""

import os
import stat
import warnings

import numpy as np

from bytegate._error import Error
from bytegate.onnx.graph import Graph, Node, quoted

MAX_FILE_BYTES = 2**31 - 1  # what the format's own encoding can hold
MAX_RANK = 32
MAX_NODES = 200_000  # and constants, of a model; each takes some thousand bytes here, and need not take ten in a file

# TensorProto.DataType -> NumPy's type and the field that holds values that are not in raw_data. bfloat16 (16) is read
# as uint16 and widened.
_TYPES = {1: ("<f4", "float_data"), 2: ("u1", "int32_data"), 3: ("i1", "int32_data"), 4: ("<u2", "int32_data"),
          5: ("<i2", "int32_data"), 6: ("<i4", "int32_data"), 7: ("<i8", "int64_data"), 9: ("?", "int32_data"),
          10: ("<u2", "int32_data"), 11: ("<f8", "double_data"), 12: ("<u4", "uint64_data"),
          13: ("<u8", "uint64_data"), 16: ("<u2", "int32_data")}
NUMPY_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_,
               10: np.float16, 11: np.float64, 12: np.uint32, 13: np.uint64}
FLOAT_TYPES = (1, 10, 11, 16)
HALF_TYPES = (10, 16)
INDEX_TYPES = (6, 7)

_ATTRIBUTE_FIELDS = {1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 6: "floats", 7: "ints", 8: "strings", 10: "graphs"}


def import_onnx():
    try:
        import onnx
    except ImportError as error:
        raise Error("invalid_argument", "convert_onnx needs the Python package onnx, which this Python does not have "
                    f"(Debian: python3-onnx; pip: onnx): {error}") from error
    return onnx


def read_bytes(path):
    """The bytes of a regular file of a size that an ONNX file can have."""
    try:
        with open(path, "rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise Error("io_error", f"cannot read {path}: it is not a regular file")
            if state.st_size > MAX_FILE_BYTES:
                raise Error("bad_file", f"{path} has {state.st_size:,} bytes; an ONNX file has at most "
                            f"{MAX_FILE_BYTES:,}")
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise Error("io_error", f"cannot read {path}: {error.strerror or error}") from error


def read_model(path):
    """The file's graph. Raises Error (io_error, bad_file)."""
    onnx = import_onnx()
    from google.protobuf.message import DecodeError
    data = read_bytes(path)
    if not data:
        raise Error("bad_file", f"{path} is empty; it is no ONNX model")
    model = onnx.ModelProto()
    try:
        with warnings.catch_warnings(record=True) as caught:  # of data that follows what could be parsed
            warnings.simplefilter("always")
            parsed = model.ParseFromString(data)
        if caught or (isinstance(parsed, int) and parsed != len(data)):
            raise ValueError(str(caught[0].message) if caught else f"{parsed:,} of its {len(data):,} bytes can be read")
    except (DecodeError, RecursionError, ValueError) as error:
        raise Error("bad_file", f"{path} is no ONNX model, or is cut off or damaged: {error}") from error
    del data
    try:
        return _Reader(path, model).read()
    except UnicodeError as error:
        raise Error("bad_file", f"{path} is damaged: a name in it is not UTF-8") from error


def tensor_array(tensor):
    """The values of a TensorProto. None for types that no layer has (strings, 8-bit floats). Raises ValueError."""
    if tensor.data_location == 1 or tensor.external_data:
        raise ValueError("its data is in another file (external data), which is not read; store it in the model, with "
                         "onnx.save_model(onnx.load(path), path) where the other file is at hand")
    if tensor.data_type not in _TYPES:
        return None
    dims = list(tensor.dims)
    if len(dims) > MAX_RANK or any(dim < 0 for dim in dims):
        raise ValueError(f"its dimensions are {dims[:8]}")
    count = 1
    for dim in dims:
        count *= dim
    name, field = _TYPES[tensor.data_type]
    dtype = np.dtype(name)
    if tensor.HasField("raw_data"):
        have = len(tensor.raw_data) / dtype.itemsize
        values = tensor.raw_data
    else:
        values = getattr(tensor, field)
        have = len(values)
    if have != count:
        raise ValueError(f"its dimensions {dims[:8]} make {count} values, and it holds {have:g}")
    if tensor.HasField("raw_data"):
        array = np.frombuffer(values, dtype)
    elif tensor.data_type in (10, 16):  # the bits of 16-bit floats
        array = np.array(values, np.int64).astype(np.uint16)
    else:
        array = np.array(values, dtype)
    if tensor.data_type == 10:
        array = array.view(np.float16)
    elif tensor.data_type == 16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.reshape(dims)


class _Reader:
    def __init__(self, path, model):
        self.path, self.model, self.count = path, model, 0

    def fail(self, message):
        raise Error("bad_file", f"{self.path}: {message}")

    def text(self, name):
        """A name, which protobuf's classes give as bytes where it is no UTF-8."""
        if not isinstance(name, str):
            self.fail(f"it is damaged: the name {name[:40]!r} in it is not UTF-8")
        return name

    def read(self):
        if not self.model.HasField("graph"):
            self.fail("it holds no graph, so it is no ONNX model")
        opsets = {entry.domain: entry.version for entry in self.model.opset_import}
        opset = opsets.get("", opsets.get("ai.onnx", 0))
        if opset < 1:
            self.fail("it states no version of ONNX's operators, so it is no ONNX model, or is damaged")
        if opset < 7:
            self.fail(f"it uses version {opset} of ONNX's operators; 7 and newer are accepted. onnx.version_converter "
                      "brings it to a newer one")
        self.functions = {(entry.domain, entry.name) for entry in self.model.functions}
        graph = self.graph(self.model.graph, None, "", opset)
        if not graph.nodes:
            self.fail("its graph has no nodes")
        self.check(graph)
        return graph

    def graph(self, proto, parent, path, opset):
        """`path` names the branch of which the graph is the body; it is empty for the model's own graph."""
        self.count += len(proto.node) + len(proto.initializer)
        if self.count > MAX_NODES:
            self.fail(f"it has more than {MAX_NODES:,} nodes and constants")
        graph = Graph(parent, path, opset)
        for initializer in proto.initializer:
            name = self.text(initializer.name)
            graph.add_constant(name, self.tensor(initializer, f"initializer {quoted(name)}"))
        if proto.sparse_initializer:
            self.fail("it has sparse initializers, which are not read")
        for value in proto.input:
            if self.text(value.name) not in graph.constants:
                graph.inputs.append((value.name, *self.value_type(value)))
        graph.outputs = [self.text(value.name) for value in proto.output]
        for index, node in enumerate(proto.node):
            graph.nodes.append(self.node(node, index, graph))
        return graph

    def tensor(self, proto, what):
        try:
            return tensor_array(proto)
        except (ValueError, OverflowError) as error:
            self.fail(f"{what} is damaged or cannot be read: {error}")

    def value_type(self, value):
        """(element type, dimensions): a list of integers and names, None for one that is unknown; no list where the
        graph states no shape."""
        kind = value.type.tensor_type
        if not value.type.HasField("tensor_type"):
            return 0, None
        if not kind.HasField("shape") or len(kind.shape.dim) > MAX_RANK:
            return kind.elem_type, None
        dims = []
        for dim in kind.shape.dim:
            dims.append(dim.dim_value if dim.dim_value > 0 else self.text(dim.dim_param) or None)
        return kind.elem_type, dims

    def node(self, proto, index, graph):
        if (proto.domain, proto.op_type) in self.functions:
            self.fail(f"it uses a function of its own, {quoted(proto.op_type)}, and functions are not read; export it "
                      "with them inlined")
        for name in (proto.op_type, proto.domain, proto.name, *proto.input, *proto.output):
            self.text(name)
        attributes, graphs = {}, {}
        node = Node(proto.op_type, proto.domain if proto.domain != "ai.onnx" else "", proto.name,
                    list(proto.input), list(proto.output), attributes, graphs, index)
        while node.outputs and not node.outputs[-1]:
            node.outputs.pop()
        for attribute in proto.attribute:
            field = _ATTRIBUTE_FIELDS.get(attribute.type)
            self.text(attribute.name)
            if field is None:
                attributes[attribute.name] = None
            elif field == "t":
                attributes[attribute.name] = self.tensor(attribute.t, f"{node.title}: attribute {attribute.name}")
            elif field in ("g", "graphs"):
                for number, inner in enumerate([attribute.g] if field == "g" else attribute.graphs):
                    name = attribute.name + (f"_{number}" if field == "graphs" else "")
                    path = f"{graph.path}{node.label}.{name}."
                    graphs[name] = self.graph(inner, graph, path, graph.opset)
            else:
                value = getattr(attribute, field)
                attributes[attribute.name] = list(value) if field.endswith("s") and field != "s" else value
        return node

    def check(self, graph):
        """Each tensor has one origin, and it is there; and no node waits for itself."""
        seen = {name for name, *_ in graph.inputs} | set(graph.constants)
        for node in graph.nodes:
            for name in filter(None, node.outputs):
                if name in seen:
                    self.fail(f"tensor {quoted(name)} has two origins; one of them is {node.title}")
                seen.add(name)
        graph.local = seen
        for node in graph.nodes:
            for name in filter(None, node.inputs):
                if not graph.knows(name):
                    self.fail(f"{node.title} reads the tensor {quoted(name)}, which nothing in the graph gives")
        for name in graph.outputs:
            if not graph.knows(name):
                self.fail(f"output {quoted(name)} is given by nothing in the graph")
        for node in graph.nodes:
            for inner in node.graphs.values():
                self.check(inner)
        graph.finish(self.fail)
