"""bytegate: trained recurrent and linear layers, quantized to int8 on the fly and run on CPUs.

From PyTorch, int8 layers in the place of a module's own, whatever its forward() does:

    model = bytegate.quantize_dynamic(model, {torch.nn.LSTM, torch.nn.Linear})

Without PyTorch, models from files and layers from NumPy arrays:

    model = bytegate.load("model.safetensors")
    y = model.run(x)
    stream = model.stream()
    y = stream.step(x_t)

`export` writes a PyTorch module and `convert_onnx` an ONNX file as a safetensors file that `load` and the C++ library
read; `load_layers` reads the layers of a file that is no whole model. `info()` lists the backends. Every failure is a
bytegate.Error with a `code`. NumPy is needed; torch and onnx are imported only by what uses them. `python -m bytegate
--help` is the command line.
"""

from bytegate._error import Error

__all__ = [
    "ELU", "Conv1d", "Embedding", "Error", "Flatten", "GRU", "GRUCell", "LSTM", "LSTMCell", "LastStep", "Layer",
    "LayerNorm", "LeakyReLU", "Linear", "LogSoftmax", "Model", "Permute", "RNN", "RNNCell", "ReLU", "Sequential",
    "Sigmoid", "Softmax", "Stream", "Tanh", "convert_onnx", "export", "info", "inspect", "load", "load_backend",
    "load_layers", "quantize_dynamic", "set_num_threads"]

# What is imported on first use, so that `import bytegate` is fast and needs no other package, and convert_onnx no
# compiled part: module -> names.
_LAZY = {
    "bytegate._info": ("info", "inspect", "__version__"),
    "bytegate._layers": ("ELU", "GRU", "LSTM", "RNN", "Conv1d", "Embedding", "Flatten", "GRUCell", "LastStep", "Layer",
                         "LayerNorm", "LeakyReLU", "Linear", "LogSoftmax", "LSTMCell", "Permute", "ReLU", "RNNCell",
                         "Sigmoid", "Softmax", "Tanh"),
    "bytegate._models": ("Model", "Sequential", "Stream", "load", "load_layers"),
    "bytegate._quantize": ("quantize_dynamic",),
    "bytegate._core": ("load_backend",),
    "bytegate.onnx.convert": ("convert_onnx",),
    "bytegate.torch.export": ("export",),
    "bytegate.torch.threads": ("set_num_threads",),
}
_MODULES = {name: module for module, names in _LAZY.items() for name in names}


def __getattr__(name):
    import importlib
    if name == "_core":  # asked for by the other modules of the package
        try:
            return importlib.import_module("bytegate._core")
        except ModuleNotFoundError as error:
            raise ImportError("bytegate has no compiled part here (bytegate._core): only convert_onnx and the "
                              "converter of checkpoints run. Build the CMake project with BYTEGATE_PYTHON=ON, and "
                              "import the package from the build tree's folder `python`.") from error
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(__all__))
