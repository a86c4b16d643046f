"""ONNX Runtime's C library, called from Python: a session on one thread whose inputs and outputs stay where they are.

The library is that of npm's package, in the folder that this made: npm install --ignore-scripts onnxruntime-node@1.30.0
"""

import ctypes as c
import glob
import os
import platform
import sys

import numpy as np

# Positions in the function table OrtApi of version 14, which later versions keep.
_POSITIONS = {"GetErrorMessage": 2, "CreateEnv": 3, "CreateSession": 7, "Run": 9, "CreateSessionOptions": 10,
              "SetIntraOpNumThreads": 24, "SetInterOpNumThreads": 25, "CreateTensorWithDataAsOrtValue": 49,
              "CreateCpuMemoryInfo": 69, "ReleaseStatus": 93}
_TYPES = {"float32": 1, "int32": 6, "int64": 7}  # ONNXTensorElementDataType


class _Base(c.Structure):
    _fields_ = [("api", c.CFUNCTYPE(c.c_void_p, c.c_uint32)), ("version", c.CFUNCTYPE(c.c_char_p))]


def library(folder):
    """The path of libonnxruntime.so in the folder of an npm project. Ends the program where it is not there."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = os.path.join(folder, "node_modules/onnxruntime-node")
    found = glob.glob(os.path.join(package, f"bin/napi-v*/linux/{machine}/libonnxruntime.so*"))
    if not found:
        sys.exit(f"{folder} has no ONNX Runtime; in it, run: npm install --ignore-scripts onnxruntime-node@1.30.0")
    return found[0]


class Runtime:
    def __init__(self, folder):
        base_of = c.CDLL(library(folder)).OrtGetApiBase
        base_of.restype = c.POINTER(_Base)
        base = base_of().contents
        self.version = base.version().decode()
        self._table = c.cast(base.api(14), c.POINTER(c.c_void_p))
        self._environment, self.memory = c.c_void_p(), c.c_void_p()
        self.call("CreateEnv", c.c_int(3), c.c_char_p(b"bytegate"), c.byref(self._environment))
        self.call("CreateCpuMemoryInfo", c.c_int(0), c.c_int(0), c.byref(self.memory))

    def function(self, name, *types, result=c.c_void_p):
        return c.CFUNCTYPE(result, *types)(self._table[_POSITIONS[name]])

    def call(self, name, *arguments):
        """Calls a function that returns a status. Arguments are values of ctypes."""
        arguments = [a if isinstance(a, c._SimpleCData) else c.cast(a, c.c_void_p) for a in arguments]
        self.check(self.function(name, *map(type, arguments))(*arguments))

    def check(self, status):
        if status:
            text = self.function("GetErrorMessage", c.c_void_p, result=c.c_char_p)(status).decode()
            self.function("ReleaseStatus", c.c_void_p, result=None)(status)
            raise RuntimeError(f"ONNX Runtime: {text}")

    def session(self, path, inputs, outputs):
        return Session(self, path, inputs, outputs)


class Session:
    """A model, and contiguous arrays for its inputs and outputs, by name. `run()` reads the inputs and writes the
    outputs."""

    def __init__(self, runtime, path, inputs, outputs):
        options, session = c.c_void_p(), c.c_void_p()
        runtime.call("CreateSessionOptions", c.byref(options))
        runtime.call("SetIntraOpNumThreads", options, c.c_int(1))
        runtime.call("SetInterOpNumThreads", options, c.c_int(1))
        runtime.call("CreateSession", runtime._environment, c.c_char_p(os.fsencode(path)), options, c.byref(session))
        self._runtime, self._arrays = runtime, [*inputs.values(), *outputs.values()]
        sides = []
        for side in (inputs, outputs):
            names = (c.c_char_p * len(side))(*(name.encode() for name in side))
            values = (c.c_void_p * len(side))(*(self._value(runtime, array) for array in side.values()))
            sides.append((names, values, len(side)))
        self._sides = sides
        (in_names, in_values, in_count), (out_names, out_values, out_count) = sides
        self._run = runtime.function("Run", *[c.c_void_p] * 4, c.c_size_t, c.c_void_p, c.c_size_t, c.c_void_p)
        self._call = (session, None, c.cast(in_names, c.c_void_p), c.cast(in_values, c.c_void_p), in_count,
                      c.cast(out_names, c.c_void_p), out_count, c.cast(out_values, c.c_void_p))

    @staticmethod
    def _value(runtime, array):
        assert array.flags.c_contiguous
        shape, value = (c.c_int64 * max(array.ndim, 1))(*array.shape), c.c_void_p()
        runtime.call("CreateTensorWithDataAsOrtValue", runtime.memory, c.c_void_p(array.ctypes.data),
                     c.c_size_t(array.nbytes), shape, c.c_size_t(array.ndim), c.c_int(_TYPES[array.dtype.name]),
                     c.byref(value))
        return value.value

    def run(self):
        status = self._run(*self._call)
        if status:
            self._runtime.check(status)
