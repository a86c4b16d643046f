"""bytegate: trained recurrent and linear layers, quantized to int8 on the fly and run on CPUs.

`convert_onnx` turns an ONNX file into a safetensors file that the library reads. It needs the packages numpy and onnx,
which are imported when it is called, and nothing else.
"""

from bytegate._error import Error

__all__ = ["Error", "convert_onnx"]

# What is imported on first use, so that `import bytegate` is fast and needs no package: name -> module.
_LAZY = {"convert_onnx": "bytegate.onnx.convert"}


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(__all__))
