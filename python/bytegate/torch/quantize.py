"""quantize_dynamic for PyTorch's modules."""

import copy
import warnings

import torch
from torch import nn

from bytegate import _core
from bytegate._error import Error
from bytegate.torch import folding, modules, reads, recurrent

CLASSES = {cls.FLOAT: cls for cls in (modules.Linear, modules.Embedding, modules.Conv1d, recurrent.LSTM, recurrent.GRU,
                                       recurrent.RNN, recurrent.LSTMCell, recurrent.GRUCell, recurrent.RNNCell)
            if cls.KIND in _core.kinds()}
_BY_DEFAULT = (nn.Linear, nn.LSTM, nn.GRU, nn.LSTMCell, nn.RNNCell, nn.GRUCell)
# PyTorch's own quantize_dynamic leaves these as they are, so its schemes have no form of them.
_NOT_BY_TORCH = (nn.RNN, nn.Conv1d, nn.Embedding)
_LEFT_ALONE = tuple(cls for cls in (getattr(nn.modules.linear, "NonDynamicallyQuantizableLinear", None),) if cls)
_MAX_LISTED = 8  # names in a message

# What a subclass may define and still compute what its base does.
_HARMLESS = {"__module__", "__qualname__", "__doc__", "__init__", "__annotations__", "__annotate__",
             "__annotate_func__", "__annotations_cache__", "__dict__", "__weakref__", "__parameters__",
             "__orig_bases__", "__slots__", "__constants__", "__jit_unused_properties__", "__firstlineno__",
             "__static_attributes__", "__repr__", "__abstractmethods__", "_abc_impl", "_version",
             "reset_parameters", "extra_repr"}


def quantize_module(model, spec, mapping, inplace, scheme, backend):
    """As bytegate.quantize_dynamic."""
    plan = _Plan(_rules(spec), mapping, _core.parse_scheme(str(scheme)),
                 None if backend is None else _core.find_backend(backend))
    with torch.no_grad():
        plan.visit(model, "", None, None)
    plan.warn()
    if inplace:
        result = plan.swaps.get(id(model), model)
        for parent, name, child in plan.places:
            parent._modules[name] = plan.swaps[id(child)]
    else:
        result = plan.copy(model)
    return result.eval()


def _rules(spec):
    """qconfig_spec as a dict of types and names whose values are None for "leave it"."""
    if spec is None:
        spec = set(_BY_DEFAULT)
    if isinstance(spec, (str, type)):
        spec = {spec}
    rules = dict(spec) if isinstance(spec, dict) else dict.fromkeys(spec, True)
    for key in rules:
        if not isinstance(key, (str, type)):
            raise Error("invalid_argument", f"qconfig_spec has {str(key)[:100]!r}; types of modules and names are "
                        "expected")
    return rules


def _listed(names):
    shown = ", ".join(names[:_MAX_LISTED])
    return shown if len(names) <= _MAX_LISTED else f"{shown} and {len(names) - _MAX_LISTED} more"


def is_unchanged(module, base):
    """Whether a module computes what its base does: no method, tensor or child is its own."""
    own = type(module)
    if folding.is_parametrized(module):
        own = own.__bases__[0]
    if "forward" in module.__dict__ or issubclass(own, _LEFT_ALONE):
        return False
    for cls in own.__mro__[:own.__mro__.index(base)]:
        if not _HARMLESS.issuperset(vars(cls)):
            return False
    if folding.is_folded_by_hooks(module):
        return True
    tables = (module._parameters, module._buffers)
    own_tensors = {name for table in tables for name, tensor in table.items() if tensor is not None}
    return own_tensors <= set(folding.names(module, base)) and set(module._modules) <= {"parametrizations"}


class _Plan:
    """Which modules are replaced, and by what."""

    def __init__(self, rules, mapping, scheme, backend):
        self.rules, self.mapping, self.scheme, self.backend = rules, mapping, scheme, backend
        self.swaps = {}  # id of a module -> the int8 module
        self.places = []  # (parent, name, child) of every module that is replaced
        self.names = set()
        self.kept_by_scheme, self.kept, self.read_by_parents = [], [], []

    def visit(self, module, name, parent, chosen):
        """Decides about a module and what is below it. `chosen` is its parent's rule, which it inherits."""
        self.names.add(name)
        base = next((cls for cls in type(module).__mro__ if cls in CLASSES), None)
        own_type = type(module).__bases__[0] if folding.is_parametrized(module) else type(module)
        unchanged = base is not None and is_unchanged(module, base)
        chosen = self.rules.get(own_type, self.rules.get(base, chosen) if unchanged else chosen)
        chosen = self.rules.get(name, chosen)
        chosen = getattr(module, "qconfig", chosen) if "qconfig" in module.__dict__ else chosen
        if chosen is not None and unchanged and self.takes(module, name, parent, base):
            if id(module) not in self.swaps:
                self.swaps[id(module)] = self.replacement(module, name, base)
            return
        for key, child in module._modules.items():
            if child is None:
                continue
            self.visit(child, f"{name}.{key}" if name else key, (module, key), chosen)
            if id(child) in self.swaps:
                self.places.append((module, key, child))

    def takes(self, module, name, parent, base):
        """Whether a chosen module can be replaced; notes why not."""
        if self.mapping is not None and base not in self.mapping:
            return False
        if self.scheme != "per_row" and base in _NOT_BY_TORCH:
            self.kept_by_scheme.append(name or base.__name__)
            return False
        if parent is not None and reads.reads_weights(type(parent[0]), parent[1]):
            self.read_by_parents.append(name)
            return False
        reason = None
        if base is nn.Conv1d:
            reason = unsupported_convolution(module)
        elif base is nn.Embedding and module.max_norm is not None:
            reason = "its max_norm changes the weights in each call"
        if reason:
            self.kept.append(f"{name or base.__name__} ({reason})")
        return reason is None

    def replacement(self, module, name, base):
        title = f"layer {name!r}" if name else base.__name__
        try:
            tensors, folded = folding.tensors_of(module, base)
            new = CLASSES[base](module, tensors, self.scheme, self.backend)
        except Error as error:
            raise Error(error.code, f"{title}: {error}") from None
        new.keep_hooks(module, folded)
        return new

    def warn(self):
        if self.kept_by_scheme:
            warnings.warn(f"under the scheme {self.scheme} these stay float, as PyTorch leaves them: "
                          f"{_listed(self.kept_by_scheme)}; per_row quantizes them", stacklevel=4)
        if self.read_by_parents and not self.swaps:
            warnings.warn("nothing was quantized: these stay float, since the modules around them read their weights "
                          f"and do not call them: {_listed(self.read_by_parents)}", stacklevel=4)
        if self.kept:
            warnings.warn(f"these stay float: {_listed(self.kept)}", stacklevel=4)
        unknown = [key for key in self.rules if isinstance(key, str) and key not in self.names
                   and not any(known.startswith(key + ".") for known in self.names)]
        unknown = [key for key in unknown if not self._below_a_swap(key)]
        if unknown:
            warnings.warn(f"the model has no modules of these names: {_listed(unknown)}", stacklevel=4)

    def _below_a_swap(self, key):
        return any(known and key.startswith(known + ".") for known in self.names)

    def copy(self, model):
        """A copy of the model with the replacements in it. What is replaced is not copied."""
        memo = dict(self.swaps)
        for module in model.modules():  # weight_norm and the like of old compute a tensor anew in each call
            for value in vars(module).values():
                for tensor in value if isinstance(value, list) else (value,):
                    if isinstance(tensor, torch.Tensor) and not tensor.is_leaf:
                        memo[id(tensor)] = tensor.detach().clone()
        try:
            return copy.deepcopy(model, memo)
        except RuntimeError as error:
            if "deepcopy" not in str(error):
                raise
            raise Error("invalid_argument", "the model cannot be copied, since it holds tensors with a history of "
                        "gradients: call it once under torch.no_grad(), or use inplace=True") from error


def unsupported_convolution(module):
    """Why a convolution stays float; None if it need not."""
    if module.padding_mode != "zeros":
        return f"padding_mode {module.padding_mode!r}"
    if modules.conv_padding(module) is None:
        return "padding 'same' with an even kernel"
    depthwise = module.groups == module.in_channels == module.out_channels
    if module.groups != 1 and not depthwise:
        return f"{module.groups} groups"
    return None
