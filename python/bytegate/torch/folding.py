"""The weights of a module as it computes with them: parametrized, normalized and pruned ones folded."""

import torch
from torch import nn

from bytegate._error import Error

try:
    from torch.nn.utils import parametrize
    _is_parametrized = parametrize.is_parametrized
except ImportError:
    def _is_parametrized(module):
        return False


def is_parametrized(module):
    """Whether torch.nn.utils.parametrize (weight_norm, spectral_norm, orthogonal of today) is at work."""
    return _is_parametrized(module)


def _folding_hooks(module):
    """Keys and hooks that compute a weight before each call: weight_norm and spectral_norm of old, pruning."""
    return {key: hook for key, hook in module._forward_pre_hooks.items()
            if type(hook).__module__.startswith("torch.nn.utils.")}


def is_folded_by_hooks(module):
    """Whether such hooks, which keep tensors of their own in the module, are all that it has beyond its class."""
    return bool(_folding_hooks(module)) and not module._modules


def names(module, base):
    """The names of the tensors that a module of that class has."""
    if issubclass(base, nn.RNNBase):
        return [name for names in module._all_weights for name in names]
    if issubclass(base, nn.RNNCellBase):
        return ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] if module.bias else ["weight_ih", "weight_hh"]
    return ["weight"] if base is nn.Embedding else ["weight", "bias"]


def _detached_copy(module):
    """A module that shares the tensors and can be changed without the other, in eval mode."""
    clone = object.__new__(type(module))
    clone.__dict__.update(module.__dict__)
    for table in ("_parameters", "_buffers", "_modules"):
        clone.__dict__[table] = dict(module.__dict__[table])
    if "_flat_weights" in clone.__dict__:
        clone.__dict__["_flat_weights"] = list(module._flat_weights)
    clone.__dict__["training"] = False
    return clone


def _in_eval_mode(module, name):
    """A parametrized tensor, as it is in eval mode: spectral_norm changes its buffers in training mode."""
    inner = [m for m in module.modules() if m is not module]
    before = [m.training for m in inner]
    try:
        for m in inner:
            m.training = False
        return getattr(module, name)
    finally:
        for m, training in zip(inner, before):
            m.training = training


def _check(tensor, name):
    if isinstance(tensor, nn.parameter.UninitializedParameter):
        raise Error("invalid_argument", f"{name} has no shape yet; call the model once before it is quantized")
    if tensor.dtype is not torch.float32:
        raise Error("invalid_argument", f"{name} is of type {tensor.dtype}; only torch.float32 is accepted")
    if tensor.device.type != "cpu":
        raise Error("invalid_argument", f"{name} is on the device {tensor.device}; move the model to the CPU first")


def tensors_of(module, base):
    """({name: float32 array}, keys of forward pre-hooks whose work is in them)."""
    hooks = _folding_hooks(module)
    source = module
    if hooks:
        source = _detached_copy(module)
        for hook in hooks.values():
            hook(source, None)
    arrays = {}
    for name in names(module, base):
        tensor = _in_eval_mode(source, name) if is_parametrized(module) else getattr(source, name)
        if tensor is None:
            continue
        _check(tensor, name)
        arrays[name] = tensor.detach().numpy()
    return arrays, set(hooks)
