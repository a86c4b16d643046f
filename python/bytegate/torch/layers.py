"""The library's layers of PyTorch's float modules."""

import numpy
import torch
from torch import nn

from bytegate import _core
from bytegate.torch import folding, modules, recurrent
from bytegate.torch.quantize import CLASSES, is_unchanged, unsupported_convolution

NOTHING = tuple(getattr(nn, name) for name in ("Identity", "Dropout", "Dropout1d", "Dropout2d", "AlphaDropout",
                                               "FeatureAlphaDropout") if hasattr(nn, name))
_PLAIN = {nn.ReLU: ("relu", ()), nn.LeakyReLU: ("leaky_relu", ("negative_slope",)), nn.ELU: ("elu", ("alpha",)),
          nn.Sigmoid: ("sigmoid", ()), nn.Tanh: ("tanh", ()), nn.Softmax: ("softmax", ()),
          nn.LogSoftmax: ("log_softmax", ()), nn.Flatten: ("flatten", ())}
_LEFT_ALONE = getattr(nn.modules.linear, "NonDynamicallyQuantizableLinear", ())


def _base(module):
    return next((cls for cls in type(module).__mro__ if cls in CLASSES), None)


def has_weights(module):
    """Whether a module is a layer that a file can hold: one of PyTorch's, or an int8 one of this package."""
    if isinstance(module, modules.QuantizedModule):
        return True
    base = _base(module)
    if base is None or not is_unchanged(module, base):
        return isinstance(module, _LEFT_ALONE) if _LEFT_ALONE else False
    return not (base is nn.Conv1d and unsupported_convolution(module)) and \
        not (base is nn.Embedding and module.max_norm is not None)


def is_known(module):
    """Whether the chain takes a module as a whole."""
    if has_weights(module):
        return True
    return "forward" not in vars(module) and (type(module) in _PLAIN or does_nothing(module)
                                              or type(module) in (nn.LayerNorm, nn.BatchNorm1d))


def does_nothing(module):
    """Whether a module returns its input in eval mode."""
    return any(isinstance(module, cls) and type(module).forward is cls.forward for cls in NOTHING)


def is_recurrent(module):
    return isinstance(module, (nn.RNNBase, recurrent._Recurrent))


def is_cell(module):
    return isinstance(module, (nn.RNNCellBase, recurrent._Cell))


def has_pair(module):
    """Whether the state is (h, c)."""
    return isinstance(module, (nn.LSTM, nn.LSTMCell)) or getattr(module, "STATES", 1) == 2


def has_hooks(module):
    """Whether forward hooks are there that are not PyTorch's own computation of weights."""
    own = set(folding._folding_hooks(module))
    return bool(module._forward_hooks) or any(key not in own for key in module._forward_pre_hooks)


def lone_name(module):
    """The name of a module that is a model by itself."""
    if isinstance(module, modules.QuantizedModule):
        return module.KIND
    base = _base(module)
    return CLASSES[base].KIND if base else type(module).__name__.lower()


def plain(kind, fields):
    return _core.Layer.make(kind, fields, {})


def _weighted(module, base):
    """A float layer: the class of the int8 module knows how options are named."""
    cls = CLASSES[base]
    options = cls.__new__(cls)
    nn.Module.__init__(options)
    for name in cls.options():
        setattr(options, name, getattr(module, name))
    with torch.no_grad():
        return _core.Layer.make(cls.KIND, options.fields(), folding.tensors_of(module, base)[0])


def layer_of(module):
    """The layer of the library; None for a module that has none."""
    if isinstance(module, modules.QuantizedModule):
        return module._layer
    if has_weights(module):
        return _weighted(module, _base(module))
    if type(module) in _PLAIN:
        kind, fields = _PLAIN[type(module)]
        return plain(kind, {name: float(getattr(module, name)) for name in fields})
    if type(module) is nn.LayerNorm and len(module.normalized_shape) == 1:
        tensors = {name: tensor.detach().numpy() for name, tensor in module.named_parameters()}
        fields = {"normalized_shape": module.normalized_shape[0], "eps": module.eps,
                  "elementwise_affine": module.weight is not None}
        return _core.Layer.make("layer_norm", fields, tensors)
    return None


def fold_batch_norm(layer, norm, rank):
    """The float Linear or Conv1d with the normalization in its weights, rounded once; None where it cannot be."""
    ranks = {"linear": 2, "conv1d": 3}
    if layer.kind not in ranks or layer.quantized or norm.running_mean is None or rank != ranks[layer.kind]:
        return None
    fields, tensors = layer.fields, layer.tensors()
    if fields.get("relu") or fields.get("channels_last"):
        return None

    def array(tensor, otherwise):
        if tensor is None:
            return numpy.full(norm.num_features, otherwise)
        return tensor.detach().double().numpy()

    scale = array(norm.weight, 1.0) / numpy.sqrt(array(norm.running_var, 1.0) + norm.eps)
    shift = array(norm.bias, 0.0) - array(norm.running_mean, 0.0) * scale
    weight, bias = tensors["weight"].astype("d"), tensors.get("bias")
    new = {"weight": (weight * scale.reshape([-1] + [1] * (weight.ndim - 1))).astype("f"),
           "bias": (shift if bias is None else bias * scale + shift).astype("f")}
    return _core.Layer.make(layer.kind, {**fields, "bias": True}, new)
