#!/usr/bin/env python3
"""Turns a PyTorch checkpoint into a safetensors file that bytegate reads. Needs PyTorch and nothing else.

    torch_to_safetensors.py model.pt model.safetensors [--architecture layers.json]

model.pt is what torch.save(model.state_dict(), ...) wrote, or a checkpoint that holds a state dict under a key such as
"model" or "state_dict". A state dict does not say in which order the layers run, nor what has no tensors (ReLU,
Flatten, batch_first); --architecture stores these with it, as a JSON list such as
    [{"name": "lstm", "kind": "lstm", "batch_first": true}, {"name": "relu", "kind": "relu"},
     {"name": "fc", "kind": "linear"}]
Weights that a reparametrization keeps in parts are folded into one: weight_norm and spectral_norm (torch.nn.utils and
torch.nn.utils.parametrizations), pruning, weight drop.
"""

import argparse
import inspect
import json
import os
import pickle
import stat
import struct
import sys
import tempfile

torch = None  # import_torch brings it: the package bytegate uses write_file without PyTorch

DTYPES = {"bool": "BOOL", "uint8": "U8", "int8": "I8", "float8_e5m2": "F8_E5M2", "float8_e4m3fn": "F8_E4M3",
          "int16": "I16", "uint16": "U16", "float16": "F16", "bfloat16": "BF16", "int32": "I32", "uint32": "U32",
          "float32": "F32", "float64": "F64", "int64": "I64", "uint64": "U64"}

# Where training loops keep the state dict, the likeliest first.
CONTAINER_KEYS = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network")


def import_torch():
    global torch
    try:
        import torch as imported
    except ImportError:
        sys.exit("torch_to_safetensors.py needs PyTorch, which this Python does not have; run it where the model was "
                 "trained")
    torch = imported


def note(text):
    print(f"note: {text}")


def load_file(path, unsafe):
    """What torch.save wrote, without running code that the file may hold unless `unsafe`."""
    options = {"map_location": "cpu"}
    if "weights_only" in inspect.signature(torch.load).parameters:
        options["weights_only"] = not unsafe
    elif not unsafe:
        sys.exit(f"this PyTorch ({torch.__version__}) cannot load without running code from the file; if you trust "
                 f"{path}, add --unsafe")
    try:
        return torch.load(path, **options)
    except pickle.UnpicklingError as error:
        sys.exit(f"{path} holds more than tensors (a whole module, numbers or objects of a training loop), which "
                 "cannot be loaded without running code from it; if you trust it, add --unsafe, or save a file with "
                 "torch.save(model.state_dict(), ...)"
                 f" ({str(error).splitlines()[0][:200]})")
    except (OSError, RuntimeError, EOFError, AttributeError, ImportError) as error:
        sys.exit(f"cannot load {path}: {(str(error).splitlines() or [type(error).__name__])[0]}")


def as_state_dict(value):
    """The dict that a module or a dict of tensors (and perhaps other things) is; None if it is neither."""
    if isinstance(value, torch.nn.Module):
        return value.state_dict()
    if isinstance(value, dict) and any(isinstance(item, torch.Tensor) for item in value.values()):
        return value
    return None


def find_state_dict(value, where=""):
    """The state dict in a checkpoint and the keys that lead to it; None if there is none."""
    found = as_state_dict(value)
    if found is not None or not isinstance(value, dict):
        return found, where
    for key in CONTAINER_KEYS:
        if key in value:
            found, inner = find_state_dict(value[key], f"{where}.{key}".lstrip("."))
            if found is not None:
                return found, inner
    return None, where


def select(value, keys, path):
    for key in keys.split("."):
        if not isinstance(value, dict) or key not in value:
            there = ", ".join(map(str, list(value)[:20])) if isinstance(value, dict) else f"a {type(value).__name__}"
            sys.exit(f"{path}: there is no key {key!r} on the way of --key {keys}; there is {there}")
        value = value[key]
    return value


def load_state_dict(path, unsafe, keys):
    loaded = load_file(path, unsafe)
    if keys:
        loaded = select(loaded, keys, path)
    found, where = find_state_dict(loaded)
    if found is None:
        if isinstance(loaded, dict) and loaded:
            kinds = ", ".join(f"{key!r} (a {type(item).__name__})" for key, item in list(loaded.items())[:20])
            sys.exit(f"{path} holds a dict, but no state dict is found in it: a state dict holds names and tensors, "
                     f"and there is {kinds}; --key NAME says under which key it is")
        sys.exit(f"{path} holds a {type(loaded).__name__}, not a state dict; save it with "
                 "torch.save(model.state_dict(), ...)")
    if where:
        note(f"the state dict is the one under {where!r}; what is beside it is left out")
    tensors = {}
    for name, tensor in found.items():
        if not isinstance(name, str):
            sys.exit(f"{path}: {name!r} is not the name of a tensor; a state dict holds names and tensors")
        if not isinstance(tensor, torch.Tensor):
            note(f"{name!r} is a {type(tensor).__name__}, not a tensor, and is left out")
        elif tensor.is_quantized or tensor.layout is not torch.strided or str(tensor.dtype).split(".")[1] not in DTYPES:
            sys.exit(f"{path}: tensor {name!r} is {tensor.dtype} ({tensor.layout}), which safetensors cannot hold")
        else:
            tensors[name] = tensor.detach()
    return tensors


def weight_norm(g, v):
    """g * v / |v|, with the norm over the dimensions in which g has one value for all."""
    if g.dim() not in (0, v.dim()) or any(a not in (1, b) for a, b in zip(g.shape, v.shape)):
        return None
    over = [i for i in range(v.dim()) if g.dim() == 0 or g.shape[i] != v.shape[i]]
    wide = v.double()
    norm = wide.pow(2).sum(dim=over, keepdim=True).sqrt() if over else wide.abs()
    return (wide * (g.double() / norm)).to(v.dtype)


def spectral_norm(weight, u, v):
    """The weight over its largest singular value, as the stored vectors u and v estimate it."""
    for dim in range(weight.dim()):
        matrix = weight.double().permute(dim, *[i for i in range(weight.dim()) if i != dim])
        matrix = matrix.reshape(matrix.shape[0], -1)
        if tuple(matrix.shape) == (u.numel(), v.numel()):
            sigma = torch.dot(u.double().flatten(), matrix @ v.double().flatten())
            return (weight.double() / sigma).to(weight.dtype)
    return None


def parts_of(name):
    """For the first of the tensors that stand for one weight: the weight's name, the other tensors' names and the fold.
    For any other tensor: None."""
    module, dot, last = name.rpartition(".")
    prefix = module + dot
    if last == "original0" and ".parametrizations." in "." + name:
        base = prefix[:-1].rpartition("parametrizations.")
        return base[0] + base[2], [prefix + "original1"], weight_norm
    if last == "original" and ".parametrizations." in "." + name:
        base = prefix[:-1].rpartition("parametrizations.")
        return base[0] + base[2], [prefix + "0._u", prefix + "0._v"], spectral_norm
    if last.endswith("_g"):
        return name[:-2], [name[:-2] + "_v"], weight_norm
    if last.endswith("_raw"):
        return name[:-4], [], lambda weight: weight
    return None


def fold(tensors):
    """The tensors with one weight in the place of each reparametrization's parts."""
    folded = dict(tensors)
    replaced = {}  # name of the first part -> (weight's name, weight)
    for name, tensor in tensors.items():
        found = [parts_of(name)]
        if name.endswith("_orig"):
            base = name[:-5]
            found = [(base, [base + "_u", base + "_v"], spectral_norm), (base, [base + "_mask"], torch.mul)]
        for base, others, compute in filter(None, found):
            last = base.rpartition(".")[2]
            if not all(other in tensors for other in others) or ("weight" not in last and "bias" not in last):
                continue
            weight = compute(tensor, *(tensors[other] for other in others))
            if weight is None:
                continue
            module, dot, last = base.rpartition(".")
            if not others and f"{module}{dot}module.weight_ih_l0" in tensors:
                # Weight drop around an LSTM that it calls `module`.
                base = f"{module}{dot}module.{last}"
            for other in (base, *others):
                folded.pop(other, None)
            replaced[name] = base, weight
            print(f"folded into {base}: {', '.join([name, *others])}")
            break
    result = {}
    for name, tensor in folded.items():
        new_name, weight = replaced.get(name, (name, tensor))
        result[new_name] = weight
    return result


def rename_lstm_cells(tensors, path, rename):
    """torch.nn.LSTMCell's tensors under the names that torch.nn.LSTM has for its first layer."""
    cells = [name[:-len("weight_ih")] for name, tensor in tensors.items()
             if name.rpartition(".")[2] == "weight_ih" and tensor.dim() == 2
             and name[:-2] + "hh" in tensors and tensors[name[:-2] + "hh"].dim() == 2
             and tensor.shape[0] == 4 * tensors[name[:-2] + "hh"].shape[1]]
    if not cells:
        if rename:
            sys.exit(f"{path}: there is no LSTMCell for --lstm-cells to rename (weight_ih and weight_hh of 4 rows for "
                     "each unit)")
        return tensors
    if not rename:
        names = ", ".join(repr(cell.rstrip(".")) for cell in cells)
        note(f"{names}: weight_ih and weight_hh without _l0 are a torch.nn.LSTMCell's, one step, of which the loop is "
             "in the model's own code; where that loop does what torch.nn.LSTM does, --lstm-cells gives them the "
             "names of an LSTM, which bytegate runs")
        return tensors
    moved = {cell + part: cell + part + "_l0" for cell in cells
             for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    return {moved.get(name, name): tensor for name, tensor in tensors.items()}


def data_of(tensor):
    """The values, row by row; views, shared and transposed tensors become copies of their own."""
    flat = tensor.detach().cpu().contiguous().flatten()
    if flat.numel() == 0:
        return b""
    # As bytes first: NumPy has no bfloat16. A lone element is made a matrix of one row, which every PyTorch can view as
    # bytes.
    return flat.unsqueeze(0).view(torch.uint8).numpy().tobytes()


def output_target(path):
    """The file that writing to `path` replaces: `path` itself or the end of its links. A rename would put a plain file
    in the place of a device or a pipe, so they are refused."""
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


def write_file(path, entries, parts, metadata):
    """entries: (name, safetensors' name of the type, shape, bytes) of each tensor; parts: their data, in that order."""
    header = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, dtype, shape, size in entries:
        begin, end = end, end + size
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    target, mode = output_target(path)
    # Beside the target and renamed, so that a failure leaves the old file whole.
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(target)), prefix=os.path.basename(target))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
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
    """tensors: name -> tensor, written in this order."""
    if sys.byteorder != "little":
        sys.exit("safetensors data is little-endian; run this on a little-endian machine")
    entries = [(name, DTYPES[str(tensor.dtype).split(".")[1]], tensor.shape, tensor.numel() * tensor.element_size())
               for name, tensor in tensors.items()]
    write_file(path, entries, map(data_of, tensors.values()), metadata)


def read_architecture(path):
    """The JSON as one line, checked to be a list of layers."""
    try:
        with open(path, encoding="utf-8") as file:
            layers = json.load(file)
    except (OSError, ValueError) as error:
        sys.exit(f"cannot read the architecture {path}: {error}")
    if not isinstance(layers, list) or not all(isinstance(layer, dict) and "name" in layer and "kind" in layer
                                               for layer in layers):
        sys.exit(f"{path}: an architecture is a list of objects with a name and a kind")
    return json.dumps(layers, separators=(",", ":"), ensure_ascii=False)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state_dict",
                        help="what torch.save(model.state_dict(), ...) wrote, or a checkpoint that holds a state dict")
    parser.add_argument("out", help="the safetensors file to write; replaced if it exists")
    parser.add_argument("--architecture", metavar="FILE", help="JSON list of the model's layers, kept in the file")
    parser.add_argument("--key", metavar="NAME",
                        help="the checkpoint's key that holds the state dict; a.b is the key b of the dict under a")
    parser.add_argument("--lstm-cells", action="store_true",
                        help="name the tensors of LSTMCells as those of LSTMs of one layer")
    parser.add_argument("--unsafe", action="store_true", help="allow the file to run code while it is loaded")
    arguments = parser.parse_args(arguments)
    import_torch()
    tensors = fold(load_state_dict(arguments.state_dict, arguments.unsafe, arguments.key))
    tensors = rename_lstm_cells(tensors, arguments.state_dict, arguments.lstm_cells)
    metadata = {"architecture": read_architecture(arguments.architecture)} if arguments.architecture else {}
    try:
        write_safetensors(arguments.out, tensors, metadata)
    except OSError as error:
        sys.exit(f"cannot write {arguments.out}: {error}")
    print(f"{arguments.out}: {len(tensors)} tensors, {os.path.getsize(arguments.out):,} bytes")


if __name__ == "__main__":
    main()
