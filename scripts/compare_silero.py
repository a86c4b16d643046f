#!/usr/bin/env python3
"""Silero VAD by examples/silero_vad beside ONNX Runtime's float session: probabilities, decisions, and the time of a
frame, on one thread each. "int8 LSTM" is the example's --int8, "int8, all" what `bytegate quantize` makes of the file.

    scripts/get_silero.sh
    mkdir -p peers && (cd peers && npm install --ignore-scripts onnxruntime-node@1.30.0)
    /usr/bin/python3 scripts/compare_silero.py peers [RECORDING.wav ...]

Recordings are 16 kHz, one channel, 16 bit. Without any, espeak-ng (Debian: apt install espeak-ng) reads some sentences,
which are run clean, under pink noise at 20 dB and 6 dB, and followed by white noise alone: more than 1,500 frames.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import wave

import numpy as np
import onnx_runtime

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "python"))
RATE, FRAME, CONTEXT = 16000, 512, 64
SENTENCES = [
    ("en-us", "The quick brown fox jumps over the lazy dog, while seven wizards brew a potion behind the old wall."),
    ("en-gb+f3", "Please call Stella. Ask her to bring these things with her from the store: six spoons of fresh snow "
                 "peas, five thick slabs of blue cheese."),
    ("de", "Gestern gingen wir am Fluss entlang, und niemand sagte ein Wort, bis es dunkel wurde."),
    ("fr+f2", "Quand la lumière du soleil frappe les gouttes de pluie, un arc-en-ciel apparaît.")]


def read_wav(path):
    with wave.open(path) as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE):
            sys.exit(f"{path}: 16 kHz, one channel and 16 bit are needed")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def write_wav(path, samples):
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.clip(np.round(samples * 32768), -32768, 32767).astype("<i2").tobytes())


def speak(voice, text, folder):
    """A sentence by espeak-ng, brought to 16 kHz, with a pause behind it."""
    path = os.path.join(folder, "sentence.wav")
    try:
        subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", path, text], check=True)
    except FileNotFoundError:
        sys.exit("espeak-ng is missing (Debian: apt install espeak-ng); or name recordings")
    with wave.open(path) as file:
        rate, data = file.getframerate(), file.readframes(file.getnframes())
    samples = np.frombuffer(data, "<i2").astype(np.float64) / 32768
    times = np.arange(int(len(samples) * RATE / rate)) / RATE
    return np.concatenate([np.interp(times, np.arange(len(samples)) / rate, samples), np.zeros(RATE)])


def synthesized(path, folder):
    clean = np.concatenate([speak(voice, text, folder) for voice, text in SENTENCES])
    random = np.random.default_rng(1)
    noise = random.standard_normal(len(clean))
    pink = np.fft.irfft(np.fft.rfft(noise) / np.sqrt(np.arange(len(noise) // 2 + 1) + 1), len(noise))
    pink *= clean.std() / pink.std()
    noisy = [clean + 10 ** (-decibels / 20) * pink for decibels in (20, 6)]  # signal-to-noise ratios
    write_wav(path, np.concatenate([clean, *noisy, 0.05 * random.standard_normal(3 * RATE)]))


def by_onnx_runtime(runtime, model, audio):
    """(the probabilities, the median time of a frame in us)"""
    x, state, y, after = (np.zeros(s, np.float32) for s in ((1, CONTEXT + FRAME), (2, 1, 128), (1, 1), (2, 1, 128)))
    inputs = {"input": x, "state": state, "sr": np.array(RATE, np.int64)}
    session = runtime.session(model, inputs, {"output": y, "stateN": after})
    probabilities, times = [], []
    for frame in np.pad(audio, (0, -len(audio) % FRAME)).reshape(-1, FRAME):
        x[0, :CONTEXT], x[0, CONTEXT:] = x[0, FRAME:], frame
        before = time.perf_counter()
        session.run()
        times.append(1e6 * (time.perf_counter() - before))
        state[:] = after
        probabilities.append(y.item())
    return np.array(probabilities), statistics.median(times)


def by_example(program, model, wav, folder, *options):
    out = os.path.join(folder, "probabilities")
    done = subprocess.run([program, model, wav, "--time", "--probabilities", out, *options], check=True,
                          capture_output=True, text=True).stdout
    return np.loadtxt(out, ndmin=1), float(done.split("median ")[1].split()[0]), done.split()[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("npm", help="folder in which npm has installed onnxruntime-node")
    parser.add_argument("wav", nargs="*")
    parser.add_argument("--model", default=os.path.join(ROOT, "build/models/silero_vad_16k_op15.onnx"))
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/examples/silero_vad"))
    parser.add_argument("--command", default=os.path.join(ROOT, "build/release/tools/bytegate"))
    parser.add_argument("--rounds", type=int, default=3, help="each of which times all in turn")
    arguments = parser.parse_args()
    import bytegate
    runtime = onnx_runtime.Runtime(arguments.npm)
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "silero.safetensors")
        bytegate.convert_onnx(arguments.model, model)
        int8 = os.path.join(folder, "silero.int8.safetensors")
        subprocess.run([arguments.command, "quantize", model, int8], check=True, capture_output=True)
        wavs = arguments.wav
        if not wavs:
            wavs = [os.path.join(folder, "speech.wav")]
            synthesized(wavs[0], folder)
        for wav in wavs:
            audio, times, results = read_wav(wav), {}, {}
            for _ in range(arguments.rounds):
                reference, us = by_onnx_runtime(runtime, arguments.model, audio)
                times.setdefault("ONNX Runtime", []).append(us)
                for name, file, *options in (("float", model), ("int8 LSTM", model, "--int8"), ("int8, all", int8)):
                    results[name], us, backend = by_example(arguments.program, file, wav, folder, *options)
                    times.setdefault(name, []).append(us)
            report(os.path.basename(wav), runtime.version, backend, reference, results, times)


def report(wav, version, backend, reference, results, times):
    speech = int((reference >= 0.5).sum())
    print(f"{wav}: {len(reference)} frames of 32 ms, {speech} of them speech; ONNX Runtime {version}; {backend}; "
          "one thread each")
    print("               us a frame   times faster   largest difference   decisions   of them outside 0.45-0.55")
    base = statistics.median(times["ONNX Runtime"])
    print(f"  ONNX Runtime   {base:8.1f}")
    for name, p in results.items():
        us = statistics.median(times[name])
        other = (p >= 0.5) != (reference >= 0.5)
        far = other & (np.abs(reference - 0.5) > 0.05)
        largest = np.abs(p - reference).max()
        print(f"  {name:<12}   {us:8.1f}   {base / us:12.1f}   {largest:18.2g}   {other.sum():9d}   {far.sum():24d}")


if __name__ == "__main__":
    main()
