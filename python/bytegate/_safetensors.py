"""Writing safetensors files from NumPy arrays."""

import os

from bytegate._error import Error
from bytegate.torch_to_safetensors import DTYPES, write_file


def write_safetensors(path, tensors, metadata):
    """Writes `tensors`, a dict of names and arrays, in its order, and `metadata`, a dict of strings. Raises Error
    (io_error); the old file, if there is one, is kept whole then."""
    path = os.fspath(path)
    little = {name: array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
              for name, array in tensors.items()}
    entries = [(name, DTYPES[array.dtype.name], array.shape, array.nbytes) for name, array in little.items()]
    try:
        write_file(path, entries, (array.reshape(-1).view("u1") for array in little.values()), metadata)
    except OSError as error:
        raise Error("io_error", f"cannot write {path}: {error}") from error
