"""Models: layers in order, from files or from layers."""

import json
import os

from bytegate import _core
from bytegate._error import Error
from bytegate._layers import Layer, kind_of, wrap

_RECURRENT = ("lstm", "gru", "rnn")


class Stream:
    """A model with state: each `step` goes on where the one before ended. Made by Model.stream().

    `step(x)` takes one step or a chunk of steps and returns the output for it. `reset()` starts from zeros again. One
    stream serves one caller at a time; any number of streams share a model.
    """

    def __init__(self, model, batch, num_threads):
        self._batch = batch
        self._step_rank = (0 if model.takes_indices else 1) + (batch is not None)
        self._time_axis, self._time_axis_out = _time_axes(model, batch is not None)
        self._core = _core.Stream(model._core, num_threads)

    def step(self, x):
        """x: one step, [features] ([batch, features] of a stream of a batch), or a chunk, which has a dimension of
        time besides, where the model has it. An Embedding's step has no features. A step gives a step, a chunk gives a
        chunk. A stream is as exact as one call: the outputs of a sequence are the same bits however it is cut."""
        rank = getattr(x, "ndim", None)
        if rank is None:
            raise Error("invalid_argument", f"step takes a float32 or int64 array, not {type(x).__name__}")
        if rank == self._step_rank:
            import numpy
            if not isinstance(x, numpy.generic):
                x = x if isinstance(x, numpy.ndarray) else numpy.from_dlpack(x)
            y = self._core.step(numpy.expand_dims(x, self._time_axis))
            axis = self._time_axis_out
            return numpy.squeeze(y, axis) if axis < y.ndim and y.shape[axis] == 1 else y
        if rank == self._step_rank + 1:
            return self._core.step(x)
        raise Error("shape_mismatch", f"step takes {self._step_rank} dimensions for a step or {self._step_rank + 1} "
                    f"for a chunk of steps, not {rank}" + ("" if self._batch else "; stream(batch=N) takes a batch"))

    def reset(self):
        """Starts from zeros again."""
        self._core.reset()


def _time_axes(model, batched):
    """The axis of time in inputs and outputs. Raises Error for a model that cannot be run in pieces."""
    first = last = None
    for name, layer in model.layers():
        fields, axis = layer.fields, None
        if layer.kind in _RECURRENT:
            if fields.get("bidirectional"):
                raise Error("invalid_argument", f"layer {name!r} runs backwards too, so the model cannot be streamed")
            axis = 1 if batched and fields.get("batch_first") else 0
        elif layer.kind == "conv1d":
            if not fields.get("causal") and (fields["kernel_size"] > 1 or fields.get("padding")):
                raise Error("invalid_argument", f"layer {name!r} is a convolution that is not causal, so the model "
                            "cannot be streamed")
            axis = (1 if batched else 0) if fields.get("channels_last") else (2 if batched else 1)
        elif layer.kind.endswith("_cell"):
            raise Error("invalid_argument", f"layer {name!r} is a cell: each call is a step, which `run` takes")
        if axis is not None:
            first, last = (axis if first is None else first), axis
    return (first or 0), (last or 0)


class Model:
    """Named layers in order, each taking the output of the one before: Sequential(...), or load(path).

    `run(x)` takes one float32 array (int64 indices for a model that begins with an Embedding) and returns one float32
    array. Arrays are those of NumPy or of any library with DLPack; contiguous ones are read where they are.
    `num_threads` is how many threads a call may use; outputs are the same bits for any number. Any number of
    threads may run a model.
    """

    def __init__(self, core, num_threads=1):
        self._core, self.num_threads = core, num_threads

    def run(self, x, /):
        """The output for one input, a new array. All states start from zeros."""
        return self._core.run(x, self.num_threads)

    __call__ = run

    def stream(self, batch=None):
        """A Stream over this model, for one sequence or for `batch` sequences side by side."""
        return Stream(self, batch, self.num_threads)

    def save(self, path):
        """Writes one safetensors file that load() reads back alone. The old file is replaced whole or kept whole."""
        self._core.save(os.fspath(path))

    def layers(self):
        """[(name, layer), ...]"""
        return [(name, wrap(core, self.num_threads)) for name, core in self._core.layers()]

    def __getitem__(self, name):
        for found, layer in self.layers():
            if found == name:
                return layer
        raise KeyError(name)

    def output_shape(self, shape):
        """The shape of the output for an input of that shape."""
        return self._core.output_shape(shape)

    @property
    def name(self):
        """The model's name, the first word of its printed form."""
        return self._core.name

    @property
    def takes_indices(self):
        """Whether the input is int64 indices and not float32."""
        return self._core.takes_indices

    @property
    def architecture(self):
        """The layers in order as a list of dicts, as files have them."""
        return json.loads(self._core.architecture())

    @property
    def notes(self):
        """What loading ignored in the file, a sentence each."""
        return self._core.notes

    def __repr__(self):
        return repr(self._core)

    def __reduce__(self):
        return _restore, (self.name, self.layers(), self.num_threads)


def _restore(name, layers, num_threads):
    return Model(_core.Model.from_layers(name, [(n, layer._core) for n, layer in layers]), num_threads)


def Sequential(*layers, name="Sequential", num_threads=1, **named):
    """A model of layers: Sequential(lstm=lstm, fc=fc), or Sequential(lstm, fc) with the names "0" and "1"."""
    pairs = [(str(i), layer) for i, layer in enumerate(layers)] + list(named.items())
    for layer_name, layer in pairs:
        if not isinstance(layer, Layer):
            raise Error("invalid_argument", f"layer {layer_name!r} is {type(layer).__name__}, not a layer of bytegate")
    return _restore(name, pairs, num_threads)


def load(path, backend=None, num_threads=1, *, architecture=None, guess_architecture=False, ignore_extra=False):
    """The model of a safetensors file, float or int8.

    A file that the library wrote says itself what the model is. For a state dict of several layers, `architecture`
    states their order: a list of dicts, or JSON, such as [{"name": "lstm", "kind": "lstm"}, {"name": "act", "kind":
    "relu"}, {"name": "fc", "kind": "linear"}]. `guess_architecture` takes the one order that the sizes allow.
    `ignore_extra` accepts tensors that no layer uses. `backend` is a name that info() lists, None for the best one or
    the one that BYTEGATE_BACKEND names.

        model = bytegate.load("model.int8.safetensors")
        y = model.run(x)
    """
    if architecture is not None and not isinstance(architecture, str):
        architecture = json.dumps(architecture)
    core = _core.Model.load(os.fspath(path), backend, num_threads, architecture or "", guess_architecture, ignore_extra)
    return Model(core, num_threads)


def load_layers(path, backend=None, num_threads=1):
    """The layers of a safetensors file by name, whatever runs between them: what convert_onnx and export write of a
    graph that is no chain, a model's file, or a state dict. A dict of layers in the order of the file.

        layers = bytegate.load_layers("layers.safetensors")
        y, (h, c) = layers["decoder.lstm"](x)
    """
    return {name: wrap(core, num_threads) for name, core in _core.read_layers(os.fspath(path), backend)}


def quantize(model, spec=None, scheme=None, backend=None):
    """quantize_dynamic for layers and models of this package."""
    if isinstance(model, Layer):
        if spec is not None:
            raise Error("invalid_argument", "qconfig_spec chooses layers of a model; this is one layer")
        core = model._core.quantize_dynamic(scheme, backend)
        if core is None:
            raise Error("invalid_argument", f"{model} has no int8 form, or is int8 already")
        return wrap(core, model.num_threads)
    kinds, include, exclude = _chosen(model, spec)
    if spec is not None and not kinds and not include:
        return model
    core = model._core.quantize_dynamic(scheme, kinds, include, exclude, backend, model.num_threads)
    return Model(core, model.num_threads)


def _chosen(model, spec):
    """Kinds, names to include and names to exclude, as the core takes them."""
    layers = [(name, core.kind) for name, core in model._core.layers()]
    names = {name for name, _ in layers}
    kinds, include, exclude = [], [], []
    rules = spec if isinstance(spec, dict) else dict.fromkeys(spec if spec is not None else (), True)
    for item, value in rules.items():
        if isinstance(item, str) and (item in names or any(c in item for c in "*?")):
            (exclude if value is None else include).append(item)
        elif value is not None:
            kinds.append(kind_of(item))
        else:
            kind_of(item)  # a kind that no other rule chooses is left as it is
    if kinds and include:  # each of them chooses layers: named ones, and all of a kind
        include += [name for name, kind in layers if kind in kinds]
        kinds = list(_core.kinds())
    return kinds, include, exclude
