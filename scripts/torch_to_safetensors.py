#!/usr/bin/env python3
"""Turns a PyTorch state dict into a safetensors file that bytegate reads. Needs PyTorch and nothing else.

    torch_to_safetensors.py model.pt model.safetensors [--architecture layers.json]

model.pt is what torch.save(model.state_dict(), ...) wrote. The layers' order and what has no tensors (ReLU, Flatten, batch_first)
cannot be seen in a state dict; --architecture stores them with it, as a JSON list such as
    [{"name": "lstm", "kind": "lstm", "input_size": 64, "hidden_size": 32, "batch_first": true}, {"name": "relu", "kind": "relu"},
     {"name": "fc", "kind": "linear", "in_features": 32, "out_features": 10}]
"""

import argparse
import inspect
import json
import os
import pickle
import struct
import sys
import tempfile

import torch

DTYPES = {"bool": "BOOL", "uint8": "U8", "int8": "I8", "float8_e5m2": "F8_E5M2", "float8_e4m3fn": "F8_E4M3", "int16": "I16", "uint16": "U16",
          "float16": "F16", "bfloat16": "BF16", "int32": "I32", "uint32": "U32", "float32": "F32", "float64": "F64", "int64": "I64",
          "uint64": "U64"}


def load_state_dict(path, unsafe):
    """The state dict in the file, without running code that the file may hold."""
    options = {"map_location": "cpu"}
    if "weights_only" in inspect.signature(torch.load).parameters:
        options["weights_only"] = not unsafe
    elif not unsafe:
        sys.exit(f"this PyTorch ({torch.__version__}) cannot load without running code from the file; if you trust {path}, add --unsafe")
    try:
        loaded = torch.load(path, **options)
    except pickle.UnpicklingError as error:
        sys.exit(f"{path} is no state dict that can be loaded without running code from it; save one with torch.save(model.state_dict(), ...)"
                 f" ({str(error).splitlines()[0][:200]})")
    except (OSError, RuntimeError, EOFError, AttributeError) as error:
        sys.exit(f"cannot load {path}: {error}")
    for key in ("state_dict", "model_state_dict"):  # checkpoints of common training loops
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not loaded:
        sys.exit(f"{path} holds a {type(loaded).__name__}, not a state dict; save it with torch.save(model.state_dict(), ...)")
    for name, tensor in loaded.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            sys.exit(f"{path}: {name!r} is a {type(tensor).__name__}, not a tensor; a state dict holds names and tensors")
        if tensor.is_quantized or tensor.layout is not torch.strided or str(tensor.dtype).split(".")[1] not in DTYPES:
            sys.exit(f"{path}: tensor {name!r} is {tensor.dtype} ({tensor.layout}), which safetensors cannot hold")
    return loaded


def data_of(tensor):
    """The values, row by row; views, shared and transposed tensors become copies of their own."""
    flat = tensor.detach().cpu().contiguous().flatten()
    if flat.numel() == 0:
        return b""
    # As bytes first: NumPy has no bfloat16. A lone element is made a matrix of one row, which every PyTorch can view as bytes.
    return flat.unsqueeze(0).view(torch.uint8).numpy().tobytes()


def write_safetensors(path, tensors, metadata):
    """tensors: name -> tensor, written in this order."""
    if sys.byteorder != "little":
        sys.exit("safetensors data is little-endian; run this on a little-endian machine")
    header = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPES[str(tensor.dtype).split(".")[1]], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    # Beside the target and renamed, so that a failure leaves the old file whole.
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(path)), prefix=os.path.basename(path))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for tensor in tensors.values():
                file.write(data_of(tensor))
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_architecture(path):
    """The JSON as one line, checked to be a list of layers."""
    try:
        with open(path, encoding="utf-8") as file:
            layers = json.load(file)
    except (OSError, ValueError) as error:
        sys.exit(f"cannot read the architecture {path}: {error}")
    if not isinstance(layers, list) or not all(isinstance(layer, dict) and "name" in layer and "kind" in layer for layer in layers):
        sys.exit(f"{path}: an architecture is a list of objects with a name and a kind")
    return json.dumps(layers, separators=(",", ":"), ensure_ascii=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state_dict", help="what torch.save(model.state_dict(), ...) wrote")
    parser.add_argument("out", help="the safetensors file to write; replaced if it exists")
    parser.add_argument("--architecture", metavar="FILE", help="JSON list of the model's layers, kept in the file")
    parser.add_argument("--unsafe", action="store_true", help="allow the file to run code while it is loaded")
    arguments = parser.parse_args()
    tensors = load_state_dict(arguments.state_dict, arguments.unsafe)
    metadata = {"architecture": read_architecture(arguments.architecture)} if arguments.architecture else {}
    try:
        write_safetensors(arguments.out, tensors, metadata)
    except OSError as error:
        sys.exit(f"cannot write {arguments.out}: {error}")
    print(f"{arguments.out}: {len(tensors)} tensors, {os.path.getsize(arguments.out):,} bytes")


if __name__ == "__main__":
    main()
