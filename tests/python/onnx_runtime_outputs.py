#!/usr/bin/env python3
"""Writes tests/data/onnx: graphs of onnx_chains.py, an input of each, and the output that ONNX Runtime computes.

    npm install --ignore-scripts onnxruntime-node@1.30.0       # in a folder of its own
    python3 tests/python/onnx_runtime_outputs.py FOLDER
"""

import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnx_chains

CASES = {"lstm_batch_first_pytorch": 9, "lstm_stack_bidirectional_batch_first": 13, "lstm_last_state": 17,
         "lstm_reverse": 21, "gru_reset_after": 7, "gru_reset_before": 14, "rnn_relu": 11, "embedding_lstm_linear": 15,
         "convolution_then_lstm": 18, "convolution_causal": 12, "convolution_same": 11, "wake_word": 13,
         "layer_norm_node": 17}


def write(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, array in tensors.items():
        kind = {"float32": "F32", "int64": "I64"}[array.dtype.name]
        offsets = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets}
        data += array.tobytes()
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    data = os.path.join(os.path.dirname(here), "data/onnx")
    os.makedirs(data, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        entries, inputs = [], {}
        for name, opset in CASES.items():
            model, x = onnx_chains.build(name, opset)
            path = os.path.join(folder, name)
            onnx.save(model, path)
            inputs[name] = np.ascontiguousarray(x)
            inputs[name].tofile(path + ".in")
            entries.append({"file": path, "input": path + ".in", "type": x.dtype.name, "shape": list(x.shape),
                            "output": path + ".out"})
        with open(os.path.join(folder, "list.json"), "w", encoding="utf-8") as file:
            json.dump(entries, file)
        subprocess.run(["node", os.path.join(here, "onnx_runtime_outputs.js"), os.path.join(folder, "list.json")],
                       cwd=sys.argv[1], check=True)
        for name, entry in zip(CASES, entries):
            with open(entry["output"] + ".shape", encoding="utf-8") as file:
                y = np.fromfile(entry["output"], np.float32).reshape(json.load(file))
            write(os.path.join(data, f"{name}.safetensors"), {"input": inputs[name], "output": y},
                  {"chain": name, "opset": str(CASES[name]), "made_by": "ONNX Runtime 1.30.0, onnxruntime-node of npm"})


if __name__ == "__main__":
    main()
