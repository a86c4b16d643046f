#!/usr/bin/env python3
"""ctypes_test.py LIBRARY CHARLM WORK USE_CPP: the shared library used from another language through a plain foreign
function interface, here Python's ctypes. Outputs are compared with those that use_cpp computes."""

import ctypes
import json
import os
import struct
import subprocess
import sys
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_int32, c_int64, c_size_t, c_void_p

OK, NULL_POINTER, INVALID_HANDLE, UNKNOWN_BACKEND = 0, 7, 8, 3


class QuantizeOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("scheme", c_char_p), ("kinds", POINTER(c_char_p)), ("num_kinds", c_size_t),
                ("include", POINTER(c_char_p)), ("num_include", c_size_t), ("exclude", POINTER(c_char_p)),
                ("num_exclude", c_size_t), ("backend", c_char_p), ("num_threads", c_int32)]


class BackendInfo(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("name", c_char_p), ("description", c_char_p), ("supported", c_int32),
                ("selected", c_int32), ("priority", c_int32), ("unmet", ctypes.c_char * 228)]


class LinearOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("in_features", c_int64), ("out_features", c_int64),
                ("weight", POINTER(c_float)), ("bias", POINTER(c_float)), ("relu", c_int32), ("backend", c_char_p)]


def make(struct_type, **members):
    return struct_type(struct_size=ctypes.sizeof(struct_type), **members)


class Library:
    """The functions, each of which must return OK unless another status is expected."""

    def __init__(self, path):
        self.functions = ctypes.CDLL(path)
        for name in ("bytegate_last_error", "bytegate_version", "bytegate_status_name"):
            getattr(self.functions, name).restype = c_char_p

    def __getattr__(self, name):
        function = getattr(self.functions, f"bytegate_{name}")

        def call(*arguments, expected=OK):
            status = function(*arguments)
            assert status == expected, f"{name}: {status}: {self.functions.bytegate_last_error().decode()}"
        return call


def shape_of(*sizes):
    return (c_int64 * len(sizes))(*sizes), c_size_t(len(sizes))


def digest(values):
    result = 14695981039346656037
    for (bits,) in struct.iter_unpack("<I", bytes(values)):
        result = (result ^ bits) * 1099511628211 % 2**64
    return f"{result:016x}"


def use_characters(lib, model, workspace):
    text = (c_int64 * 6)(31, 44, 41, 0, 7, 12)
    x_shape, x_rank = shape_of(3, 2)
    y_shape, y_rank = (c_int64 * 8)(), c_size_t()
    lib.model_output_shape(model, x_shape, x_rank, y_shape, byref(y_rank))
    assert list(y_shape)[:y_rank.value] == [3, 2, 63]
    y = (c_float * (3 * 2 * 63))()
    lib.model_forward_indices(model, text, x_shape, x_rank, y, y_shape, y_rank, workspace, None)
    return digest(y)


def use_layer(lib, workspace):
    weight, bias = (c_float * 6)(1, 2, 3, 4, 5, 6), (c_float * 2)(0.5, -100)
    layer, model = c_void_p(), c_void_p()
    lib.linear_create(byref(make(LinearOptions, in_features=3, out_features=2, weight=weight, bias=bias, relu=1)),
                      byref(layer))
    lib.model_create(None, (c_char_p * 1)(b"fc"), (c_void_p * 1)(layer), c_size_t(1), byref(model))
    x, y = (c_float * 3)(1, 1, 1), (c_float * 2)()
    (x_shape, rank), (y_shape, _) = shape_of(3), shape_of(2)
    lib.model_forward(model, x, x_shape, rank, y, y_shape, rank, workspace, None)
    assert list(y) == [6.5, 0], list(y)
    lib.layer_close(layer)
    lib.layer_close(layer, expected=INVALID_HANDLE)
    lib.model_close(model)


def main():
    path, charlm, work, use_cpp = sys.argv[1:]
    os.makedirs(work, exist_ok=True)
    printed = subprocess.run([use_cpp, charlm, work], capture_output=True, text=True, check=True).stdout
    wanted = dict(line.split(" ", 1) for line in printed.splitlines())
    lib = Library(path)
    assert lib.functions.bytegate_version().decode() == wanted["version"]

    count, info = c_size_t(), make(BackendInfo)
    lib.backend_count(byref(count))
    selected = []
    for i in range(count.value):
        lib.backend_get(c_size_t(i), byref(info))
        selected += [info.name.decode()] if info.selected else []
        assert (info.unmet == b"") == bool(info.supported)
    assert selected == [wanted["selected"]]

    model, int8, workspace = c_void_p(), c_void_p(), c_void_p()
    lib.workspace_create(c_int(1), byref(workspace))
    lib.model_load(charlm.encode(), None, byref(model))
    assert use_characters(lib, model, workspace) == wanted["charlm_float"]
    kinds = (c_char_p * 3)(b"embedding", b"lstm", b"linear")
    exclude = (c_char_p * 1)(b"dec*")
    options = make(QuantizeOptions, kinds=kinds, num_kinds=3, exclude=exclude, num_exclude=1)
    lib.model_quantize(model, byref(options), byref(int8))
    assert use_characters(lib, int8, workspace) == wanted["charlm_chosen"]

    needed = c_size_t()
    lib.model_describe(int8, None, c_size_t(0), byref(needed))
    text = ctypes.create_string_buffer(needed.value)
    lib.model_describe(int8, text, needed, byref(needed))
    described = json.loads(text.value)
    assert [layer["quantized"] for layer in described["layers"]] == [True, True, False]
    saved = os.path.join(work, "ctypes.safetensors")
    lib.model_save(int8, saved.encode())
    lib.model_close(int8)
    lib.model_load(saved.encode(), None, byref(int8))
    assert use_characters(lib, int8, workspace) == wanted["charlm_chosen"]
    options.backend = b"nobody's"
    lib.model_quantize(model, byref(options), byref(model), expected=UNKNOWN_BACKEND)
    assert b"nobody's" in lib.functions.bytegate_last_error() and model.value is None
    use_layer(lib, workspace)
    lib.model_close(int8)
    lib.workspace_close(workspace)
    lib.model_close(c_void_p(1), expected=INVALID_HANDLE)
    lib.model_close(None)
    print("all passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
