"""The command line: python -m bytegate convert model.onnx|model.pt model.safetensors, and the commands of the program
`bytegate`: info, quantize, inspect, compare."""

import argparse
import os
import signal
import sys

from bytegate._error import Error

_TORCH_MAGIC = (b"PK\x03\x04", b"\x80\x02")  # zip files and pickles


def _is_checkpoint(path):
    """Whether a file is what torch.save writes."""
    if path.endswith(".onnx"):
        return False
    if path.endswith((".pt", ".pth", ".ckpt")):
        return True
    try:
        with open(path, "rb") as file:
            return file.read(4).startswith(_TORCH_MAGIC)
    except OSError:
        return False


def _convert(arguments, others):
    if _is_checkpoint(arguments.model):
        from bytegate import torch_to_safetensors
        return torch_to_safetensors.main([arguments.model, arguments.out, *others])
    parser = argparse.ArgumentParser(prog="python -m bytegate convert model.onnx model.safetensors")
    parser.add_argument("--name", help="the model's name in the file")
    parser.add_argument("--leave-out", metavar="NODE", action="append", default=[],
                        help="a node of the graph that is left out; may be repeated")
    parser.add_argument("--layers-only", action="store_true", help="write the layers without an order")
    options = parser.parse_args(others)
    from bytegate import convert_onnx
    print(convert_onnx(arguments.model, arguments.out, name=options.name, leave_out=options.leave_out,
                       layers_only=options.layers_only))
    return None


def _library_command(arguments):
    """The commands of the C++ program. It ends at once when it is interrupted or its output is closed, as a
    program does."""
    try:
        from bytegate import _core
        command_line = _core.command_line
    except (ImportError, AttributeError):
        return None
    for name in ("SIGINT", "SIGPIPE"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    sys.stdout.flush()
    code = command_line(["bytegate", *arguments])
    if arguments in (["--help"], ["-h"]):
        print("  convert                     Turn an ONNX model or a PyTorch checkpoint into a safetensors file "
              "(python -m bytegate\n                              convert --help)")
    return code


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] != "convert":
        code = _library_command(arguments)
        if code is not None:
            return code
    parser = argparse.ArgumentParser(prog="python -m bytegate", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    convert = commands.add_parser(
        "convert", help="turn an ONNX model or a PyTorch checkpoint into a safetensors file",
        description="Turns an ONNX model, or what torch.save wrote, into a safetensors file. Options for ONNX: --name, "
        "--leave-out NODE, --layers-only. Options for checkpoints: those of scripts/torch_to_safetensors.py.")
    convert.add_argument("model", help="model.onnx or model.pt")
    convert.add_argument("out", help="the safetensors file to write; replaced if it exists")
    known, others = parser.parse_known_args(arguments)
    try:
        code = _convert(known, others)
        sys.stdout.flush()
        return code
    except Error as error:
        print(f"bytegate: {' '.join(str(error).splitlines())}", file=sys.stderr)
    except BrokenPipeError:  # of standard output; nothing more is written to it when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


if __name__ == "__main__":
    sys.exit(main())
