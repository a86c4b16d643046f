#!/usr/bin/env python3
"""Writes what ONNX Runtime computes: into tests/data/onnx, for graphs of onnx_chains.py, an input and the output; into
tests/data/onnx_public_forms.json, for those of onnx_public_forms.py, the output of each frame.

    npm install --ignore-scripts onnxruntime-node@1.30.0       # in a folder of its own
    /usr/bin/python3 tests/python/onnx_runtime_outputs.py FOLDER
"""

import json
import os
import sys
import tempfile

import numpy as np
import onnx
import onnx_chains
import onnx_public_forms as forms
from onnx_evaluator import evaluate

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "scripts"))
import onnx_runtime  # noqa: E402
from torch_to_safetensors import DTYPES, write_file  # noqa: E402

CASES = {"lstm_batch_first_pytorch": 9, "lstm_stack_bidirectional_batch_first": 13, "lstm_last_state": 17,
         "lstm_reverse": 21, "gru_reset_after": 7, "gru_reset_before": 14, "rnn_relu": 11, "embedding_lstm_linear": 15,
         "convolution_then_lstm": 18, "convolution_causal": 12, "convolution_same": 11, "wake_word": 13,
         "layer_norm_node": 17}


class Graph:
    """A graph in ONNX Runtime, with arrays for its inputs and, in the order of the graph, its outputs."""

    def __init__(self, runtime, model, inputs):
        self.inputs = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        # The evaluator tells the shapes alone.
        self.outputs = {name: np.zeros(array.shape, array.dtype)
                        for name, array in evaluate(model, self.inputs).items()}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.onnx")
            onnx.save(model, path)
            self.session = runtime.session(path, self.inputs, self.outputs)

    def run(self):
        self.session.run()
        return list(self.outputs.values())


def write(path, tensors, metadata):
    entries = [(name, DTYPES[array.dtype.name], array.shape, array.nbytes) for name, array in tensors.items()]
    write_file(path, entries, (array.tobytes() for array in tensors.values()), metadata)


def frames(runtime, model, name, all_frames, state, shape, **others):
    """The first output for each frame; the second is the state of the next."""
    graph = Graph(runtime, model, {name: all_frames[0], state: np.zeros(shape, np.float32), **others})
    results = []
    for frame in all_frames:
        graph.inputs[name][:] = frame
        y, after = graph.run()
        graph.inputs[state][:] = after
        results.append([float(f"{value:.9g}") for value in y.ravel()])
    return results


def main():
    runtime = onnx_runtime.Runtime(sys.argv[1])
    made_by = f"ONNX Runtime {runtime.version}, onnxruntime-node of npm"
    data = os.path.join(SOURCE, "tests/data")
    os.makedirs(os.path.join(data, "onnx"), exist_ok=True)
    for name, opset in CASES.items():
        model, x = onnx_chains.build(name, opset)
        graph = Graph(runtime, model, {model.graph.input[0].name: x})
        tensors = {"input": np.ascontiguousarray(x), "output": graph.run()[0]}
        metadata = {"chain": name, "opset": str(opset), "made_by": made_by}
        write(os.path.join(data, "onnx", f"{name}.safetensors"), tensors, metadata)
    outputs = {"made_by": made_by}
    for both, name in ((False, "silero_16k"), (True, "silero_both")):
        outputs[name] = frames(runtime, forms.silero(both), "input", forms.silero_frames(), "state",
                               (2, 1, forms.HIDDEN), sr=np.array(16000, np.int64))
    outputs["dtln"] = frames(runtime, forms.dtln(), "input_2", forms.dtln_frames(), "input_3", (1, 2, forms.HIDDEN, 2))
    with open(os.path.join(data, "onnx_public_forms.json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(outputs).replace("], ", "],\n").replace(', "', ',\n"') + "\n")


if __name__ == "__main__":
    main()
