"""Silero VAD from Python: the program of silero_vad.cpp, with the same probabilities.

    python3 examples/silero_vad.py silero.safetensors speech.wav [--int8] [--probabilities FILE]
"""

import argparse
import sys
import wave

import bytegate
import numpy as np

RATE, FRAME, CONTEXT, PADDING = 16000, 512, 64, 64


class SileroVad:
    """The probability of speech, frame by frame."""

    def __init__(self, path, int8=False):
        layers = bytegate.load_layers(path)
        # In a file that has the layers for 8 kHz too, names begin with the branch: "If_0.then_branch.stft".
        prefix = next((name[:-4] for name, layer in layers.items()
                       if name.endswith("stft") and layer.kernel_size == 256), None)
        if prefix is None:
            sys.exit(f"{path} has no layer 'stft' with a kernel of 256; docs/onnx.md lists the files that are run")
        convolutions = [layers[f"{prefix}encoder.{i}.reparam_conv"] for i in range(4)]
        self.stft = layers[prefix + "stft"]
        self.encoder = bytegate.Sequential(*(layer for conv in convolutions for layer in (conv, bytegate.ReLU())),
                                           bytegate.Permute([0, 2, 1]))
        self.lstm = next(layer for name, layer in layers.items()
                         if name.startswith(prefix + "decoder.") and name.endswith("rnn"))
        if int8:
            self.lstm = bytegate.quantize_dynamic(self.lstm)
        self.out = bytegate.Sequential(bytegate.ReLU(), bytegate.Permute([0, 2, 1]),
                                       layers[prefix + "decoder.decoder.2"], bytegate.Sigmoid())
        self.state, self.context = None, np.zeros(CONTEXT, np.float32)

    def __call__(self, frame):
        x = np.concatenate([self.context, frame])
        self.context = x[-CONTEXT:]
        x = np.pad(x, (0, PADDING), mode="reflect")
        real, imaginary = np.split(self.stft(x[None, None]), 2, axis=1)
        x = self.encoder(np.sqrt(real * real + imaginary * imaginary))
        x, self.state = self.lstm(x, self.state)
        return self.out(x).item()


def read_wav(path):
    with wave.open(path) as file:
        form = file.getnchannels(), file.getsampwidth(), file.getframerate()
        if form != (1, 2, RATE):
            sys.exit(f"{path}: {8 * form[1]} bit, {form[0]} channel(s), {form[2]} Hz; 16 bit PCM, one channel, "
                     f"{RATE} Hz is accepted")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def segments_of(probabilities):
    """Speech begins with 0.5 or more and ends where 4 frames are below 0.35. Less than 8 frames are dropped."""
    first = last = None
    for i, p in enumerate([*probabilities, 0, 0, 0, 0]):
        if first is None and p >= 0.5:
            first = i
        if p >= 0.35:
            last = i + 1
        if first is not None and i + 1 - last >= 4:
            if last - first >= 8:
                yield first, last
            first = None


def main():
    parser = argparse.ArgumentParser(description="Where in a recording is speech?")
    parser.add_argument("model", help="what convert_onnx made of Silero VAD")
    parser.add_argument("wav", help="16 kHz, one channel, 16 bit PCM")
    parser.add_argument("--int8", action="store_true", help="quantize the LSTM")
    parser.add_argument("--probabilities", metavar="FILE", help="write that of each frame, a line each")
    arguments = parser.parse_args()
    vad, audio = SileroVad(arguments.model, arguments.int8), read_wav(arguments.wav)
    audio = np.pad(audio, (0, -len(audio) % FRAME))
    probabilities = [vad(frame) for frame in audio.reshape(-1, FRAME)]
    for first, last in segments_of(probabilities):
        print(f"{first * FRAME / RATE:8.2f} {last * FRAME / RATE:8.2f}")
    if arguments.probabilities:
        np.savetxt(arguments.probabilities, np.array(probabilities, np.float32), "%.9g")


if __name__ == "__main__":
    main()
