"""The int8 modules that stand in the place of PyTorch's."""

import copy

import torch
from torch import nn

from bytegate import _core
from bytegate._error import Error
from bytegate.torch import tensors as _tensors
from bytegate.torch.threads import num_threads as _num_threads

_to_array, _from_numpy = _tensors.to_array, torch.from_numpy
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
          "_forward_pre_hooks_with_kwargs")


class QuantizedModule(nn.Module):
    """An int8 layer of bytegate as a module. It has no parameters: its weights are packed for the CPU once.

    `scheme` is the name of its scheme. `num_threads` is how many threads a call may use; None: what set_num_threads
    says, by default torch.get_num_threads(). `weight` and the like are new float tensors, the int8 weights times their
    scales; changing them changes nothing. state_dict() has the float module's keys, int8 for weights, and for each of
    these a `_scale`; load_state_dict() takes that, or a float module's state dict, whose weights it quantizes.
    """

    FLOAT = None  # the class of modules that it stands in for
    KIND = None  # the library's name of the layer
    NAME = None  # as it is printed

    def __init__(self, module, tensors, scheme, backend):
        """`tensors` are the float weights of `module`, a FLOAT, under its names."""
        super().__init__()
        for name in self.options():
            setattr(self, name, getattr(module, name))
        self.scheme, self.backend, self.num_threads = scheme, backend, None
        self.training = False
        self._layer = self._make(tensors)
        for name, value in vars(module).items():  # a user's own, that others may read
            if not name.startswith("_") and name not in self.__dict__:
                setattr(self, name, value)

    @classmethod
    def options(cls):
        """Attributes of the float module that this one has too."""
        raise NotImplementedError

    def fields(self):
        """The layer's options as the library names them."""
        raise NotImplementedError

    def _make(self, tensors):
        """The layer of float or int8 tensors."""
        return _core.Layer.make(self.KIND, self.fields(), tensors, self.scheme, self.backend, quantize=True)

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if cls.FLOAT is not None:
            cls.NAME = "DynamicQuantized" + cls.FLOAT.__name__

    def _get_name(self):
        return self.NAME

    def extra_repr(self):
        return self.FLOAT.extra_repr(self)

    def _threads(self):
        return self.num_threads or _num_threads()

    def _input(self, x, what="the input"):
        """The NumPy array of a tensor, once it is known to be one that int8 layers take."""
        return _to_array(x, self.NAME, what)

    def __getattr__(self, name):
        if name.startswith(("weight", "bias")) and "_layer" in self.__dict__:
            tensors = self._layer.tensors()
            if name in tensors:
                return _tensors.dequantize(name, tensors)
            if name == "bias":
                return None
        return super().__getattr__(name)

    def keep_hooks(self, module, folded):
        """Takes over the forward hooks of the float module, except those in `folded`, whose work is done."""
        for table in _HOOKS:
            found = module.__dict__.get(table)
            if found:
                setattr(self, table, type(found)((key, hook) for key, hook in found.items() if key not in folded))

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, array in self._layer.tensors().items():
            destination[prefix + name] = torch.from_numpy(array)
        metadata = getattr(destination, "_metadata", {}).get(prefix[:-1])
        if metadata is not None:
            metadata["scheme"] = self.scheme

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
                              error_msgs):
        scheme = local_metadata.get("scheme", self.scheme)
        if scheme != self.scheme:
            error_msgs.append(f"{prefix[:-1] or self._get_name()} has the scheme {self.scheme}, the state dict has "
                              f"{scheme}: quantize the model with scheme={scheme!r}")
            return
        own = self._layer.tensors()
        names = [name for name in own if not name.endswith("_scale")]
        given = {}
        for name in names:
            if prefix + name not in state_dict:
                missing_keys.append(prefix + name)
                continue
            given[name] = state_dict[prefix + name]
            scale = name + "_scale"
            if given[name].dtype is torch.int8:
                if prefix + scale in state_dict:
                    given[scale] = state_dict[prefix + scale]
                else:
                    missing_keys.append(prefix + scale)
        if strict:
            unexpected_keys += [key for key in state_dict
                                if key.startswith(prefix) and key[len(prefix):] not in own]
        if len([name for name in given if not name.endswith("_scale")]) != len(names) or \
                any(given[name].dtype is torch.int8 and name + "_scale" not in given for name in names):
            return
        try:
            self._layer = self._make({name: tensor.detach().cpu().numpy() for name, tensor in given.items()})
        except Error as error:
            error_msgs.append(f"{prefix[:-1] or self._get_name()}: {error}")

    def __getstate__(self):
        state = self.__dict__.copy()
        state.pop("_compiled_call_impl", None)  # of Module.compile(), which no copy has
        tensors = state.pop("_layer").tensors()
        state["_stored"] = {name: torch.from_numpy(array) for name, array in tensors.items()}
        return state

    def __setstate__(self, state):
        state = dict(state)
        stored = state.pop("_stored")
        super().__setstate__(state)
        self._layer = self._make({name: tensor.numpy() for name, tensor in stored.items()})

    def __deepcopy__(self, memo):
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        layer = self.__dict__["_layer"]  # immutable, so that copies share it
        rest = {name: value for name, value in self.__dict__.items() if name not in ("_layer", "_compiled_call_impl")}
        new.__dict__.update(copy.deepcopy(rest, memo), _layer=layer)
        return new

    def __prepare_scriptable__(self):
        raise Error("invalid_argument", f"{self._get_name()} computes outside of TorchScript, so torch.jit.script "
                    "cannot compile it; run the module as it is, or use bytegate.export for a file that C++ reads")

    def flatten_parameters(self):
        """Does nothing; float recurrent modules have it for GPUs."""


def _linear_qscheme(scheme):
    """As text, since a PyTorch without quantization of its own need not have these."""
    return "torch.per_tensor_affine" if "per_tensor" in scheme else "torch.per_channel_affine"


class Linear(QuantizedModule):
    FLOAT, KIND = nn.Linear, "linear"

    @classmethod
    def options(cls):
        return "in_features", "out_features"

    def fields(self):
        return {"in_features": self.in_features, "out_features": self.out_features}

    def extra_repr(self):
        return (f"in_features={self.in_features}, out_features={self.out_features}, dtype=torch.qint8, "
                f"qscheme={_linear_qscheme(self.scheme)}")

    def forward(self, input):
        return _from_numpy(self._layer.run(_to_array(input, self.NAME), self.num_threads or _num_threads()))


class Embedding(QuantizedModule):
    FLOAT, KIND = nn.Embedding, "embedding"

    @classmethod
    def options(cls):
        return "num_embeddings", "embedding_dim", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse"

    def fields(self):
        return {"num_embeddings": self.num_embeddings, "embedding_dim": self.embedding_dim}

    def forward(self, input):
        indices = _tensors.to_indices(input, self._get_name())
        return torch.from_numpy(self._layer.run(indices, self._threads()))


class Conv1d(QuantizedModule):
    FLOAT, KIND = nn.Conv1d, "conv1d"

    @classmethod
    def options(cls):
        return ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode",
                "transposed", "output_padding")

    def fields(self):
        fields = {"in_channels": self.in_channels, "out_channels": self.out_channels}
        for name in ("kernel_size", "stride", "dilation"):
            fields[name] = getattr(self, name)[0]
        fields["padding"] = conv_padding(self)
        fields["groups"] = self.groups
        return fields

    def forward(self, input):
        return torch.from_numpy(self._layer.run(self._input(input), self._threads()))


def conv_padding(module):
    """The zeros at either end; None where there are not as many at both."""
    if not isinstance(module.padding, str):
        return module.padding[0]
    if module.padding == "valid":
        return 0
    total = module.dilation[0] * (module.kernel_size[0] - 1)
    return total // 2 if total % 2 == 0 else None
