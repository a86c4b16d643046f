"""quantize_dynamic, for PyTorch's modules and for the package's own layers and models."""

from bytegate._error import Error
from bytegate._layers import Layer
from bytegate._models import Model, quantize

_ACCEPTED = "qint8"


def quantize_dynamic(model, qconfig_spec=None, dtype=_ACCEPTED, mapping=None, inplace=False, *, scheme="per_row",
                     backend=None):
    """The model with int8 layers in the place of float ones. Takes PyTorch modules, and layers and models of bytegate.

    model: a torch.nn.Module with any forward(); a copy is returned in which the chosen modules are int8 layers of
        bytegate and the rest is as it was, in eval mode. Or a bytegate.Model or bytegate.Layer.
    qconfig_spec: which modules, as PyTorch's quantize_dynamic takes it. None: Linear, LSTM, GRU and the cells. A set of
        types, of names of modules (a name covers its children), or of both; or a dict of either, in which None as a
        value excludes. RNN, Conv1d and Embedding are quantized where a type or name says so.
    dtype: torch.qint8 or "qint8"; any other is an error.
    mapping: None, or a dict whose keys are the only types that are replaced.
    inplace: whether `model` itself is changed.
    scheme: "per_row" (one scale a row of activations), "torch" (PyTorch's own arithmetic: 8 bits, one scale a tensor),
        or a longer name such as "torch_per_channel_7bit".
    backend: a name that bytegate.info() lists; None for the best one.

    Raises bytegate.Error that names the module for weights that are not float32 on the CPU, or not finite.

        int8 = bytegate.quantize_dynamic(model, {torch.nn.LSTM, torch.nn.Linear}, dtype=torch.qint8)
    """
    if str(dtype).replace("torch.", "") != _ACCEPTED:
        raise Error("invalid_argument", f"dtype is {str(dtype)[:100]}; only torch.qint8 is accepted")
    if isinstance(model, (Layer, Model)):
        if inplace:
            raise Error("invalid_argument", "layers and models of bytegate are immutable: inplace must be False")
        if mapping is not None:
            raise Error("invalid_argument", "mapping is for PyTorch's modules")
        return quantize(model, qconfig_spec, scheme, backend)
    import sys
    torch = sys.modules.get("torch")  # whoever has a module has imported it
    if torch is None or not isinstance(model, torch.nn.Module):
        raise Error("invalid_argument", "quantize_dynamic takes a torch.nn.Module, a bytegate.Model or a "
                    f"bytegate.Layer, not {type(model).__name__}")
    from bytegate.torch.quantize import quantize_module
    return quantize_module(model, qconfig_spec, mapping, inplace, scheme, backend)
