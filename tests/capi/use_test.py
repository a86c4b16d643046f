#!/usr/bin/env python3
"""use_test.py CHARLM WORK USE USE_CPP: a program in C99 and one in C++ compute the same bits, and what the program in C
prints as JSON describes its models."""

import json
import os
import subprocess
import sys
from pathlib import Path

failures = []


def expect(condition, message):
    print(("ok     " if condition else "FAILED ") + message)
    if not condition:
        failures.append(message)


def lines_of(program, charlm, work):
    done = subprocess.run([program, charlm, work], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"use_test: {program} ends with {done.returncode}: {done.stderr}")
    return done.stdout.splitlines()


def check_description(text):
    model = json.loads(text, object_pairs_hook=no_key_twice)
    layers = model["layers"]
    name = f"{model['name']} of {', '.join(layer['text'] for layer in layers)}"
    expect(model["text"].startswith(model["name"] + "(") and all(layer["text"] in model["text"] for layer in layers),
           f"{name}: the text is that of its layers")
    for layer in layers:
        tensors = layer["tensors"]
        count = sum(product(t["shape"]) for t in tensors)
        size = sum(product(t["shape"]) * (1 if t["dtype"] == "I8" else 4) for t in tensors)
        expect(layer["parameters"] == count, f"{name}: {layer['name']} has {count} parameters")
        expect(layer["quantized"] == any(t["dtype"] == "I8" for t in tensors), f"{name}: quantized")
        scales = layer["bytes"] - size  # of int8 matrices, one float a row
        rows = sum(t["shape"][0] for t in tensors if t["dtype"] == "I8")
        expect(scales == 4 * rows, f"{name}: {layer['name']} has {layer['bytes']} bytes")
        expect(("scheme" in layer) == layer["quantized"], f"{name}: {layer['name']} has a scheme if it is quantized")
    for what in ("parameters", "bytes"):
        expect(model[what] == sum(layer[what] for layer in layers), f"{name}: {what} are the sum of the layers'")
    if model["name"] == "of layers":
        expect(layers[0]["fields"]["hidden_size"] == 12 and layers[1]["fields"]["relu"] is True, f"{name}: fields")
    else:
        expect(model["takes_indices"] and layers[0]["kind"] == "embedding" and not model["guessed"]
               and model["notes"] == [], f"{name}: takes indices")


def product(shape):
    result = 1
    for size in shape:
        result *= size
    return result


def no_key_twice(pairs):
    expect(len(dict(pairs)) == len(pairs), f"no key appears twice in {[key for key, _ in pairs]}")
    return dict(pairs)


def main():
    charlm, work, use, use_cpp = sys.argv[1:]
    os.makedirs(work, exist_ok=True)
    ours = lines_of(use, charlm, work)
    theirs = lines_of(use_cpp, charlm, work)
    described = [line[5:] for line in ours if line.startswith("json ")]
    ours = [line for line in ours if not line.startswith("json ")]
    digests = [line for line in theirs if not line.startswith(("backend ", "version ", "selected "))]
    expect(len(digests) >= 20 and len({line.split()[1] for line in digests}) >= 16, f"{len(digests)} outputs")
    expect(ours == theirs, "C and C++ print the same")
    for c, cpp in zip(ours, theirs):
        if c != cpp:
            print(f"  in C   {c}\n  in C++ {cpp}")
    same_file = Path(work, "c.safetensors").read_bytes() == Path(work, "cpp.safetensors").read_bytes()
    expect(same_file, "C and C++ write the same file")
    expect(len(described) == 7, f"{len(described)} descriptions")
    for text in described:
        check_description(text)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
