#!/usr/bin/env python3
"""What a call of a small int8 layer costs in Python over the same call in C++, and an LSTM beside PyTorch's own int8.

    PYTHONPATH=build/release/python /usr/bin/python3 scripts/time_python.py [--build build/release] [--check]

All on one thread. C++ is bench_layers of the build tree, a program; NumPy and torch are calls of this interpreter. Each
time is the least of many short runs, in microseconds, which other programs on the machine disturb least. --check
ends with 1 where a target is missed, which the constants below say.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time

import numpy
import torch
from torch import nn

import bytegate

SIZE = 64
CHECKS = {"NumPy": 3.0, "torch": 10.0}  # microseconds over C++, for calls of one row and one step
TIMES_PYTORCH = 20.0  # PyTorch's int8 divided by this package's, LSTM of 100 steps, from torch


def best(call, seconds=1.5):
    """Microseconds of a call, the least of runs of about 2 ms."""
    call()
    begin = time.perf_counter()
    call()
    number = max(1, int(0.002 / max(time.perf_counter() - begin, 1e-7)))
    least, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        for _ in range(number):
            call()
        least = min(least, (time.perf_counter() - begin) / number)
    return least * 1e6


def times_in_cpp(build):
    """{name: microseconds} on the default backend."""
    backend = bytegate.info()["default_backend"]
    command = [os.path.join(build, "bench", "bench_layers"), f"--linear=1,{SIZE},{SIZE}", f"--lstm={SIZE},{SIZE},1,1,1",
               f"--lstm={SIZE},{SIZE},1,100,1", f"--benchmark_filter=/{backend}/", "--benchmark_min_time=0.002",
               "--benchmark_repetitions=200", "--benchmark_format=json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    times = {}
    for run in json.loads(done.stdout)["benchmarks"]:
        if run["run_type"] != "iteration":
            continue
        assert run["time_unit"] == "us", run["time_unit"]
        layer = "linear" if run["name"].startswith("linear/") else "lstm 100" if "/t:100/" in run["name"] else "lstm 1"
        times[layer] = min(times.get(layer, float("inf")), run["real_time"])
    return times


@contextlib.contextmanager
def without_messages():
    """The engine qnnpack warns in every step of a sequence."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def of_pytorch(module, x):
    """[(microseconds, engine), ...] of PyTorch's own int8, empty where it has none."""
    quantization = getattr(getattr(torch, "ao", None), "quantization", None) or getattr(torch, "quantization", None)
    if not hasattr(quantization, "quantize_dynamic"):
        return []
    found, before = [], torch.backends.quantized.engine
    for engine in torch.backends.quantized.supported_engines:
        if engine == "none":
            continue
        torch.backends.quantized.engine = engine
        int8 = quantization.quantize_dynamic(nn.Sequential(module), dtype=torch.qint8)[0]
        with without_messages():
            found.append((best(lambda int8=int8: int8(x)), engine))
    torch.backends.quantized.engine = before
    return sorted(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="build tree with bench/bench_layers")
    parser.add_argument("--check", action="store_true", help="end with 1 where a target is missed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cpp, missed = times_in_cpp(arguments.build), []

    def line(title, name, from_numpy, from_torch, checked=True):
        """Times NumPy and torch, and says by how much they are over C++."""
        took = {"NumPy": best(from_numpy), "torch": best(from_torch)}
        cells = [f"{cpp[name]:9.2f}"]
        for caller, us in took.items():
            over = us - cpp[name]
            cells.append(f"{us:9.2f}{over:+9.2f}")
            if checked and over >= CHECKS[caller]:
                missed.append(f"{title} from {caller}: {over:.2f} us over C++, {CHECKS[caller]} are accepted")
        print(f"{title:22}" + "".join(cells))
        return took["torch"]

    fc, lstm = nn.Linear(SIZE, SIZE), nn.LSTM(SIZE, SIZE)
    arrays = [{name: tensor.detach().numpy() for name, tensor in module.named_parameters()} for module in (fc, lstm)]
    int8_fc = bytegate.quantize_dynamic(bytegate.Linear(**arrays[0]))
    int8_lstm = bytegate.quantize_dynamic(bytegate.LSTM(arrays[1]))
    torch_fc, torch_lstm = bytegate.quantize_dynamic(fc), bytegate.quantize_dynamic(lstm)
    row, step, sequence = torch.randn(1, SIZE), torch.randn(1, 1, SIZE), torch.randn(100, 1, SIZE)
    state = (torch.randn(1, 1, SIZE), torch.randn(1, 1, SIZE))
    x_row, x_step, x_sequence, x_state = row.numpy(), step.numpy(), sequence.numpy(), tuple(s.numpy() for s in state)
    print(f"bytegate {bytegate.__version__}, {bytegate.info()['default_backend']}, PyTorch {torch.__version__}, NumPy "
          f"{numpy.__version__}, Python {sys.version.split()[0]}; microseconds a call, one thread\n")
    print(f"{'':22}{'C++':>9}{'NumPy':>9}{'over':>9}{'torch':>9}{'over':>9}")
    with torch.no_grad():
        line("linear 1 x 64 x 64", "linear", lambda: int8_fc.run(x_row), lambda: torch_fc(row))
        line("lstm 64, T = 1", "lstm 1", lambda: int8_lstm(x_step), lambda: torch_lstm(step))
        line("  with a state", "lstm 1", lambda: int8_lstm(x_step, x_state), lambda: torch_lstm(step, state), False)
        ours = line("lstm 64, T = 100", "lstm 100", lambda: int8_lstm(x_sequence), lambda: torch_lstm(sequence), False)
        theirs = of_pytorch(lstm, sequence)
    print()
    for us, engine in theirs:
        print(f"lstm 64, T = 100 by PyTorch's int8, {engine}: {us:.0f} us, {us / ours:.1f} times this package's")
    if not theirs:
        print("This PyTorch has no quantize_dynamic of its own to compare with.")
    elif theirs[0][0] / ours < TIMES_PYTORCH:
        missed.append(f"lstm 64, T = 100: PyTorch's int8 takes less than {TIMES_PYTORCH} times this package's time")
    for text in missed:
        print(f"missed: {text}")
    return 1 if missed and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
