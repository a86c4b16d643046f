"""Tensors as arrays for the library."""

import torch

from bytegate._error import Error


def _never():
    return False


_is_tracing = getattr(getattr(torch, "jit", None), "is_tracing", _never)
_is_compiling = getattr(getattr(torch, "compiler", None), "is_compiling", None)


def refuse_tracing(name):
    """Raises Error where the call is recorded and not made."""
    if _is_tracing():
        raise Error("invalid_argument", f"{name} computes outside of PyTorch, so torch.jit.trace cannot record it; "
                    "trace the float module, or use bytegate.export for a file that C++ reads")
    if _is_compiling is not None and _is_compiling():
        raise Error("invalid_argument", f"{name} computes outside of PyTorch, so torch.compile and torch.export cannot "
                    "compile it; run the module as it is")


def to_array(x, name, what="the input"):
    """The NumPy array that shares a tensor's memory. Raises Error for a tensor that int8 layers do not take."""
    if type(x) is torch.Tensor and x.dtype is torch.float32 and x.is_cpu and not x.requires_grad and \
            not _is_tracing() and (_is_compiling is None or not _is_compiling()):
        try:
            return x.numpy()
        except (TypeError, RuntimeError):
            return _numpy(x, name, what)  # which says why
    _check_tensor(x, name, what)
    if x.dtype is not torch.float32:
        raise Error("invalid_argument", f"{what} of {name} must be of type torch.float32, not {x.dtype}")
    refuse_tracing(name)
    if x.requires_grad:
        if torch.is_grad_enabled():
            raise Error("invalid_argument", f"{what} of {name} requires grad, and int8 layers have no backward pass: "
                        "call the model under torch.no_grad() or torch.inference_mode()")
        x = x.detach()
    return _numpy(x, name, what)


def _check_tensor(x, name, what):
    if isinstance(x, torch.Tensor):
        return
    hint = "; torch.fx cannot record int8 layers, bytegate.export writes a file" if hasattr(x, "tracer") else ""
    raise Error("invalid_argument", f"{what} of {name} must be a torch.Tensor, not {type(x).__name__}{hint}")


def to_indices(x, name):
    """The int64 array of a tensor of indices; int32 is converted, as PyTorch takes it too."""
    _check_tensor(x, name, "the input")
    if x.dtype not in (torch.int64, torch.int32):
        raise Error("invalid_argument", f"the input of {name} must be of type torch.int64, not {x.dtype}")
    refuse_tracing(name)
    return _numpy(x.to(torch.int64), name, "the input")


def _numpy(x, name, what):
    if not x.is_cpu:
        raise Error("invalid_argument", f"{what} of {name} is on the device {x.device}; int8 layers run on the CPU")
    try:
        return x.numpy()
    except (TypeError, RuntimeError) as error:  # sparse tensors, those of vmap and of fake modes
        raise Error("invalid_argument", f"{what} of {name} is no plain tensor: {str(error)[:200]}") from error


def dequantize(name, tensors):
    """A new float tensor of a layer's tensor: scale times int8."""
    tensor = torch.from_numpy(tensors[name])
    scale = tensors.get(name + "_scale")
    if scale is None:
        return tensor
    scale = torch.from_numpy(scale)
    return tensor.float() * scale.reshape([-1] + [1] * (tensor.dim() - 1))
