"""The layers from NumPy arrays."""

import importlib

from bytegate import _core
from bytegate._error import Error


def _scheme_name(scheme):
    return None if scheme is None else str(scheme)


class Layer:
    """A layer, float32 or int8. It is immutable, and any number of threads may run it at once.

    `run(x)` is one float32 array (int64 indices for an Embedding) in and one float32 array out. Arrays are those of
    NumPy or of any library with DLPack (`__dlpack__`); contiguous ones are read where they are. Other types are an
    Error: nothing is converted. `num_threads` is how many threads a call may use, 1 to 256; outputs are the same bits
    for any number. The interpreter's lock is released while a layer computes.
    """

    __slots__ = ("_core", "num_threads", "__weakref__")
    _kind = None

    def __init__(self, fields, tensors, scheme=None, backend=None):
        self._core = _core.Layer.make(self._kind, fields, tensors, scheme, backend)
        self.num_threads = 1

    def run(self, x):
        """The output for one input, a new array."""
        return self._core.run(x, self.num_threads)

    __call__ = run

    @property
    def kind(self):
        """The layer's name in an architecture: "linear"."""
        return self._core.kind

    @property
    def fields(self):
        """Options and sizes under PyTorch's names."""
        return self._core.fields

    @property
    def quantized(self):
        """Whether the weights are int8."""
        return self._core.quantized

    @property
    def scheme(self):
        """The name of the scheme of an int8 layer, "per_row"; None for a float one."""
        return self._core.scheme

    def tensors(self):
        """Copies of the weights under PyTorch's names; int8 ones have their scales beside them: `weight_scale`."""
        return self._core.tensors()

    def output_shape(self, shape):
        """The shape of the output for an input of that shape."""
        return self._core.output_shape(shape)

    def __repr__(self):
        return repr(self._core)

    def __getattr__(self, name):
        if not name.startswith("_"):
            fields = self._core.fields
            if name in fields:
                return fields[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __reduce__(self):
        return _restore, (self.kind, self.fields, self.tensors(), self.scheme, self.num_threads)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


class Linear(Layer):
    """y = x weight^T + bias, as torch.nn.Linear; `relu` fuses a ReLU.

    weight [out_features, in_features], float32, or int8 with `weight_scale` [out_features] or [1], float32.
    bias [out_features]. x [..., in_features].

        fc = bytegate.Linear(weight, bias)
        y = bytegate.quantize_dynamic(fc).run(x)
    """

    __slots__ = ()
    _kind = "linear"

    def __init__(self, weight, bias=None, *, relu=False, weight_scale=None, scheme=None, backend=None):
        tensors = {"weight": weight, "bias": bias, "weight_scale": weight_scale}
        super().__init__({"relu": relu}, tensors, scheme, backend)


class Embedding(Layer):
    """y = weight[x], as torch.nn.Embedding. weight [num_embeddings, embedding_dim], float32, or int8 with
    `weight_scale` [num_embeddings]. x: int64 indices of any shape."""

    __slots__ = ()
    _kind = "embedding"

    def __init__(self, weight, *, weight_scale=None, backend=None):
        super().__init__({}, {"weight": weight, "weight_scale": weight_scale}, None, backend)


class Conv1d(Layer):
    """torch.nn.Conv1d. weight [out_channels, in_channels / groups, kernel_size], float32, or int8 with `weight_scale`
    [out_channels]. bias [out_channels]. x [B, in_channels, T], or [B, T, in_channels] with channels_last, or without
    B. `causal`: zeros in front of the first step only, and a state between the steps of a stream."""

    __slots__ = ()
    _kind = "conv1d"

    def __init__(self, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1, channels_last=False,
                 causal=False, weight_scale=None, scheme=None, backend=None):
        fields = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
                  "channels_last": channels_last, "causal": causal}
        super().__init__(fields, {"weight": weight, "bias": bias, "weight_scale": weight_scale}, scheme, backend)


class _Recurrent(Layer):
    __slots__ = ()
    _states = 1

    def __init__(self, weights, *, batch_first=False, scheme=None, backend=None, **fields):
        super().__init__({"batch_first": batch_first, **fields}, dict(weights), scheme, backend)

    def __call__(self, x, state=None, lengths=None):
        """(output, state after the last step), as PyTorch returns them: state is h, or (h, c) of an LSTM, None for
        zeros. lengths: int64 [B], the steps of each sequence of a padded batch; the output is zero behind them."""
        if state is not None and self._states == 1:
            state = (state,)
        y, after = self._core.run_with_state(x, state, lengths, self.num_threads)
        return y, after if self._states > 1 else after[0]


class LSTM(_Recurrent):
    """torch.nn.LSTM. `weights` are arrays under PyTorch's names, from which the sizes are read: weight_ih_l0
    [4 hidden_size, input_size], weight_hh_l0, bias_ih_l0, bias_hh_l0, `_l1`, `_reverse`, weight_hr_l0. float32, or
    int8 with float32 `weight_ih_l0_scale` and so on. x [T, B, input_size], [B, T, input_size] with batch_first, or
    [T, input_size].

        lstm = bytegate.LSTM({"weight_ih_l0": w, "weight_hh_l0": u, "bias_ih_l0": b, "bias_hh_l0": c})
        output, (h, c) = lstm(x)
    """

    __slots__ = ()
    _kind = "lstm"
    _states = 2


class GRU(_Recurrent):
    """torch.nn.GRU, with arrays and shapes as LSTM has them, three gates. `reset_after=False` is the form of ONNX's
    default and of Keras's reset_after=False."""

    __slots__ = ()
    _kind = "gru"


class RNN(_Recurrent):
    """torch.nn.RNN, with arrays and shapes as LSTM has them, one gate. `nonlinearity`: "tanh" or "relu"."""

    __slots__ = ()
    _kind = "rnn"


class _Cell(_Recurrent):
    __slots__ = ()

    def __init__(self, weights, *, scheme=None, backend=None, **fields):
        Layer.__init__(self, fields, dict(weights), scheme, backend)

    def __call__(self, x, state=None):
        """The new state, as PyTorch returns it: h, or (h, c) of an LSTMCell. x [B, input_size] or [input_size]."""
        return super().__call__(x, state)[1]


class LSTMCell(_Cell):
    """torch.nn.LSTMCell: weight_ih, weight_hh, bias_ih, bias_hh."""

    __slots__ = ()
    _kind = "lstm_cell"
    _states = 2


class GRUCell(_Cell):
    """torch.nn.GRUCell: weight_ih, weight_hh, bias_ih, bias_hh."""

    __slots__ = ()
    _kind = "gru_cell"


class RNNCell(_Cell):
    """torch.nn.RNNCell: weight_ih, weight_hh, bias_ih, bias_hh. `nonlinearity`: "tanh" or "relu"."""

    __slots__ = ()
    _kind = "rnn_cell"


class LayerNorm(Layer):
    """torch.nn.LayerNorm over the last dimension. weight and bias [normalized_shape]."""

    __slots__ = ()
    _kind = "layer_norm"

    def __init__(self, normalized_shape, weight=None, bias=None, *, eps=1e-5):
        if not isinstance(normalized_shape, int):
            (normalized_shape,) = normalized_shape
        fields = {"normalized_shape": normalized_shape, "eps": eps, "elementwise_affine": weight is not None}
        super().__init__(fields, {"weight": weight, "bias": bias})


def _plain(name, kind, text, options=()):
    """A layer without tensors, with options and their defaults."""

    def __init__(self, *values, backend=None, **named):
        if len(values) > len(options):
            raise TypeError(f"{name} takes {len(options)} options, not {len(values)}")
        fields = dict(options)
        fields.update(zip(fields, values))
        fields.update(named)
        Layer.__init__(self, fields, {}, None, backend)

    body = {"__slots__": (), "_kind": kind, "__init__": __init__, "__doc__": text, "__module__": __name__}
    return type(name, (Layer,), body)


ReLU = _plain("ReLU", "relu", "max(0, x).")
LeakyReLU = _plain("LeakyReLU", "leaky_relu", "x where x > 0, else negative_slope * x.", [("negative_slope", 0.01)])
ELU = _plain("ELU", "elu", "x where x > 0, else alpha * (e^x - 1).", [("alpha", 1.0)])
Sigmoid = _plain("Sigmoid", "sigmoid", "1 / (1 + e^-x).")
Tanh = _plain("Tanh", "tanh", "tanh(x).")
Softmax = _plain("Softmax", "softmax", "softmax over the last dimension.")
LogSoftmax = _plain("LogSoftmax", "log_softmax", "log(softmax(x)) over the last dimension.")
Flatten = _plain("Flatten", "flatten", "[D0, D1, ...] -> [D0, D1 * ...].")
LastStep = _plain("LastStep", "last_step", "The last time step: x[-1], or x[:, -1] with batch_first.",
                  [("batch_first", False)])
Permute = _plain("Permute", "permute", "torch.permute: dimension i of y is dimension dims[i] of x.", [("dims", None)])

_CLASSES = {c._kind: c for c in (Linear, Embedding, Conv1d, LSTM, GRU, RNN, LSTMCell, GRUCell, RNNCell, LayerNorm, ReLU,
                                 LeakyReLU, ELU, Sigmoid, Tanh, Softmax, LogSoftmax, Flatten, LastStep, Permute)}


def wrap(core, num_threads=1):
    """The Python object of a layer of the core."""
    cls = _CLASSES.get(core.kind, Layer)
    layer = cls.__new__(cls)
    layer._core, layer.num_threads = core, num_threads
    return layer


def kind_of(cls):
    """The kind of a class of layers, or the kind itself as text. Raises Error for anything else."""
    if isinstance(cls, str):
        return cls
    kind = getattr(cls, "_kind", None)
    if kind is None:
        raise Error("invalid_argument", f"{cls!r} is no class of bytegate's layers and no name of a kind")
    return kind


def _restore(kind, fields, tensors, scheme, num_threads):
    fields = {name: value for name, value in fields.items() if name != "dtype"}
    return wrap(_core.Layer.make(kind, fields, tensors, scheme), num_threads)
