"""Runs a converted model and its graph on the same inputs, where ONNX Runtime's Python package is installed."""

import os
import tempfile

import numpy as np

from bytegate._error import Error
from bytegate._safetensors import write_safetensors

TOLERANCE = 1e-5  # times the largest output, at least 1
HALF_TOLERANCE = 1e-2  # of a graph that computes in half precision, which the model does not
_STEPS = 7  # of each dimension that the graph leaves open


def verify(path_in, tensors, metadata, report):
    """The largest difference of outputs on inputs made here; None where ONNX Runtime or the library's own extension is
    not installed, or where the model is no float32 model. Raises Error where they differ."""
    try:
        import onnxruntime
        from bytegate import load
    except ImportError:
        return None
    if any(layer.fields.get("dtype") for layer in report.layers):
        return None  # its activations are quantized in another way
    try:
        session = onnxruntime.InferenceSession(path_in, providers=["CPUExecutionProvider"])
    except Exception as error:  # of that package's own kinds
        report.notes.append(f"not compared with ONNX Runtime, which does not load the graph: {error}"[:300])
        return None
    entry = session.get_inputs()[0]
    if len(session.get_inputs()) != 1 or entry.type not in ("tensor(float)", "tensor(int64)", "tensor(int32)"):
        return None
    x = _make_input(entry, report)
    names = [output.name for output in session.get_outputs() if output.name not in report.states]
    try:
        expected = session.run(names, {entry.name: x})[0]
    except Exception as error:
        report.notes.append(f"not compared with ONNX Runtime, which does not run the graph: {error}"[:300])
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.safetensors")
        write_safetensors(path, tensors, metadata)
        got = np.asarray(load(path).run(x.astype(np.int64) if x.dtype == np.int32 else x))
    if got.shape != expected.shape:
        raise Error("invalid_argument", f"{path_in}: the converted model gives the shape {list(got.shape)} where ONNX "
                    f"Runtime gives {list(expected.shape)}; nothing is written")
    difference = float(np.max(np.abs(got - expected), initial=0.0))
    tolerance = HALF_TOLERANCE if report.half else TOLERANCE
    if not difference <= tolerance * max(1.0, float(np.max(np.abs(expected), initial=0.0))):
        raise Error("invalid_argument", f"{path_in}: the converted model differs from ONNX Runtime by "
                    f"{difference:.2g}; nothing is written")
    return difference


def _make_input(entry, report):
    shape = [size if isinstance(size, int) and size > 0 else _STEPS for size in entry.shape]
    random = np.random.default_rng(0)
    if entry.type == "tensor(float)":
        return random.standard_normal(shape).astype(np.float32)
    rows = next((layer.fields["num_embeddings"] for layer in report.layers if layer.kind == "embedding"), 1)
    return random.integers(0, rows, shape).astype(np.int32 if entry.type == "tensor(int32)" else np.int64)
