"""Writing safetensors files from NumPy arrays."""

import itertools
import json
import os
import stat
import struct
import tempfile

from bytegate._error import Error

_DTYPES = {"float32": "F32", "int8": "I8"}


def _output_target(path):
    """The file that writing to `path` replaces, `path` itself or the end of its links, and its permissions. A rename
    would put a plain file in the place of a device or a pipe, so these are refused."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if os.path.islink(path):
            raise OSError("it is a symbolic link to nothing") from None
        return path, None
    if stat.S_ISDIR(mode):
        raise OSError("it is a directory")
    if not stat.S_ISREG(mode):
        raise OSError("it is not a regular file")
    return os.path.realpath(path), stat.S_IMODE(mode)


def _header(tensors, metadata):
    """The length and the JSON that a file begins with."""
    header = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, array in tensors.items():
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": _DTYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _replace(target, mode, parts):
    """Writes a temporary file beside the target and renames it, so that a failure leaves the old file whole."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(target)), prefix=os.path.basename(target))
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        if mode is None:
            umask = os.umask(0)
            os.umask(umask)
            mode = 0o666 & ~umask
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def write_safetensors(path, tensors, metadata):
    """Writes `tensors`, a dict of names and float32 or int8 arrays, in its order, and `metadata`, a dict of strings.
    Raises Error (io_error); the old file, if there is one, is kept whole then."""
    path = os.fspath(path)
    little = {name: array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
              for name, array in tensors.items()}
    try:
        target, mode = _output_target(path)
        parts = (array.reshape(-1).view("u1") for array in little.values())
        _replace(target, mode, itertools.chain([_header(little, metadata)], parts))
    except OSError as error:
        raise Error("io_error", f"cannot write {path}: {error}") from error
