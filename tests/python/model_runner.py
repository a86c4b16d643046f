"""Runs models that bytegate reads, written naively in NumPy from docs/file-format.md. It shares no code with the
library or the converter: it is what both are compared with."""

import json
import struct

import numpy as np

_DTYPES = {"F32": "<f4", "I8": "i1", "I64": "<i8"}


def read_safetensors(path):
    """(tensors, metadata)"""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[begin:end], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def write_input(path, array):
    """A file with one tensor, `input`."""
    name = {"float32": "F32", "int64": "I64"}[array.dtype.name]
    header = {"input": {"dtype": name, "shape": list(array.shape), "data_offsets": [0, array.nbytes]}}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + np.ascontiguousarray(array).tobytes())


class Layer:
    """A layer's object of an architecture, and its tensors as float64."""

    def __init__(self, fields, tensors):
        self.fields, self.kind, self.name = fields, fields["kind"], fields["name"]
        self.tensors = {}
        for name, array in tensors.items():
            short = name[len(self.name) + 1:]
            if not name.startswith(self.name + ".") or short.endswith("_scale"):
                continue
            value = array.astype(np.float64)
            if name + "_scale" in tensors:
                value = value * tensors[name + "_scale"].astype(np.float64).reshape(-1, 1)
            self.tensors[short] = value

    def get(self, name, otherwise=None):
        return self.fields.get(name, otherwise)

    def __call__(self, x, **states):
        return _KINDS[self.kind](self, x, **states)


def read_layers(path, key):
    tensors, metadata = read_safetensors(path)
    return [Layer(fields, tensors) for fields in json.loads(metadata[key])]


def run_model(path, x):
    """The output of a whole model."""
    for layer in read_layers(path, "architecture"):
        x = layer(x)
    return x


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _linear(layer, x):
    weight = layer.tensors["weight"]
    assert weight.shape == (layer.get("out_features"), layer.get("in_features")), weight.shape
    assert layer.get("bias", True) == ("bias" in layer.tensors)
    return x @ weight.T + layer.tensors.get("bias", 0.0)


def _embedding(layer, x):
    assert x.dtype.kind == "i"
    return layer.tensors["weight"][x]


def _steps(layer, suffix, x, h, c):
    """One direction over [T, B, I]."""
    weight_ih, weight_hh = layer.tensors["weight_ih" + suffix], layer.tensors["weight_hh" + suffix]
    bias_ih, bias_hh = (layer.tensors.get(name + suffix, 0.0) for name in ("bias_ih", "bias_hh"))
    hidden, out = weight_hh.shape[1], []
    function = {"tanh": np.tanh, "relu": lambda v: np.maximum(v, 0)}[layer.get("nonlinearity", "tanh")]
    for step in x:
        a, b = step @ weight_ih.T + bias_ih, h @ weight_hh.T + bias_hh
        if layer.kind == "lstm":
            i, f, g, o = np.split(a + b, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        elif layer.kind == "gru":
            r, z = (sigmoid(a[:, k * hidden:(k + 1) * hidden] + b[:, k * hidden:(k + 1) * hidden]) for k in (0, 1))
            late = r * b[:, 2 * hidden:]
            if not layer.get("reset_after", True):
                late = (r * h) @ weight_hh[2 * hidden:].T
                late = late + (bias_hh[2 * hidden:] if np.ndim(bias_hh) else 0.0)
            n = function(a[:, 2 * hidden:] + late)
            h = (h - n) * z + n
        else:
            h = function(a + b)
        out.append(h)
    return np.stack(out), h, c


def recurrent(layer, x, h0=None, c0=None):
    """(output, hn, cn); states are [directions, B, H]."""
    unbatched = x.ndim == 2
    x = x[:, None] if unbatched else x.swapaxes(0, 1) if layer.get("batch_first") else x
    assert x.shape[2] == layer.get("input_size"), (x.shape, layer.fields)
    hidden, directions = layer.get("hidden_size"), 2 if layer.get("bidirectional") else 1
    zeros = np.zeros((directions, x.shape[1], hidden))
    h0, c0 = (zeros if state is None else state for state in (h0, c0))
    y, h, c = _steps(layer, "_l0", x, h0[0], c0[0])
    hn, cn = [h], [c]
    if directions == 2:
        back, h, c = _steps(layer, "_l0_reverse", x[::-1], h0[1], c0[1])
        y = np.concatenate([y, back[::-1]], axis=2)
        hn.append(h)
        cn.append(c)
    y = y[:, 0] if unbatched else y.swapaxes(0, 1) if layer.get("batch_first") else y
    return y, np.stack(hn), np.stack(cn)


def _recurrent(layer, x):
    return recurrent(layer, x)[0]


def _conv1d(layer, x):
    stride, padding, dilation = layer.get("stride", 1), layer.get("padding", 0), layer.get("dilation", 1)
    groups, weight = layer.get("groups", 1), layer.tensors["weight"]
    assert weight.shape == (layer.get("out_channels"), layer.get("in_channels") // groups, layer.get("kernel_size"))
    x = x.swapaxes(1, 2) if layer.get("channels_last") else x
    assert x.ndim == 3 and x.shape[1] == layer.get("in_channels")
    assert groups in (1, x.shape[1]) and (groups == 1 or weight.shape[0] == groups)
    before = dilation * (weight.shape[2] - 1) if layer.get("causal") else padding
    x = np.pad(x, ((0, 0), (0, 0), (before, padding)))
    length = (x.shape[2] - dilation * (weight.shape[2] - 1) - 1) // stride + 1
    parts = []
    for part, kernel in zip(np.split(x, groups, axis=1), np.split(weight, groups)):
        y = np.zeros((x.shape[0], len(kernel), length))
        for k in range(weight.shape[2]):
            window = part[:, :, k * dilation:k * dilation + (length - 1) * stride + 1:stride]
            y += np.einsum("bct,oc->bot", window, kernel[:, :, k])
        parts.append(y)
    assert layer.get("bias", True) == ("bias" in layer.tensors)
    bias = layer.tensors.get("bias")
    y = np.concatenate(parts, axis=1) + (0.0 if bias is None else bias[:, None])
    return y.swapaxes(1, 2) if layer.get("channels_last") else y


def _layer_norm(layer, x):
    assert x.shape[-1] == layer.get("normalized_shape")
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred ** 2).mean(axis=-1, keepdims=True) + layer.get("eps", 1e-5))
    return centred / deviation * layer.tensors["weight"] + layer.tensors["bias"]


def _softmax(layer, x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    y = e / e.sum(axis=-1, keepdims=True)
    return y if layer.kind == "softmax" else np.log(y)


_KINDS = {
    "linear": _linear, "embedding": _embedding, "lstm": _recurrent, "gru": _recurrent, "rnn": _recurrent,
    "conv1d": _conv1d, "layer_norm": _layer_norm, "softmax": _softmax,
    "log_softmax": _softmax,
    "relu": lambda layer, x: np.maximum(x, 0),
    "sigmoid": lambda layer, x: sigmoid(x),
    "tanh": lambda layer, x: np.tanh(x),
    "leaky_relu": lambda layer, x: np.where(x < 0, layer.get("negative_slope", 0.01) * x, x),
    "elu": lambda layer, x: np.where(x < 0, layer.get("alpha", 1.0) * np.expm1(x), x),
    "flatten": lambda layer, x: x.reshape(x.shape[0], -1),
    "permute": lambda layer, x: x.transpose(layer.get("dims")),
    "last_step": lambda layer, x: x[:, -1] if layer.get("batch_first") else x[-1],
}
