#!/usr/bin/env python3
"""The command line as a user runs it: cli_test.py PROGRAM SOURCE_DIR [unittest arguments]."""

import json
import math
import os
import re
import subprocess
import unittest

from cli_testing import SOURCE, CommandLine, main, read_bytes, read_header, run, waves, write_safetensors


class General(CommandLine):
    def test_help_and_version(self):
        self.assertRegex(self.succeed("--version"), r"^bytegate \d+\.\d+\.\d+\n$")
        for command in ("info", "quantize", "inspect", "compare"):
            self.assertIn(command, self.succeed("--help"))
            self.assertIn("--help", self.succeed(command, "--help"))

    def test_wrong_calls(self):
        for arguments in ([], ["nonsense"], ["info", "--nonsense"], ["info", "extra"], ["quantize"], ["quantize", "in"],
                          ["inspect"], ["compare", "one"],
                          ["compare", "a", "b", "--threshold", "x"], ["compare", "a", "b", "--seed"],
                          ["compare", "a", "b", "--input", "c", "--seed", "3"], ["quantize", "a", "b", "c"]):
            with self.subTest(arguments):
                self.assertEqual(self.fail_with(2, "^bytegate: .", *arguments), "")

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w") as full:
            result = run("info", stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, 1)
        self.assertIn("standard output", result.stderr)


class Info(CommandLine):
    def test_json(self):
        info = self.json_of("info")
        chosen = [b["name"] for b in info["backends"] if b["chosen"]]
        self.assertEqual(chosen, [info["selected"]])
        self.assertEqual(info["selected"], info["best"])
        for backend in info["backends"]:
            if backend["built"]:
                self.assertEqual(backend["supported"], backend["missing"] == "", backend)
        text = self.succeed("info")
        for backend in info["backends"]:
            self.assertIn(backend["name"], text)
        self.assertIn("selected: " + info["selected"], text)

    def test_backends_of_this_cpu(self):
        names = subprocess.run([os.path.join(SOURCE, "scripts/backends_of_this_cpu.sh")], capture_output=True,
                               text=True, check=True)
        supported = [b["name"] for b in self.json_of("info")["backends"] if b["supported"]]
        names = names.stdout.split()
        for name in names:
            self.assertIn(name, supported)
        self.assertEqual(names, [name for name in supported if name in names])  # the same order, best first

    def test_chosen_backend(self):
        best = self.json_of("info")["best"]
        for value in ("", "auto"):
            self.assertEqual(self.json_of("info", backend=value)["selected"], best)
        for backend in self.json_of("info")["backends"]:
            if backend["supported"]:
                self.assertEqual(self.json_of("info", backend=backend["name"])["selected"], backend["name"])
            elif backend["built"]:
                self.fail_with(1, f"cannot run.*{backend['name']}.*{re.escape(backend['missing'])}", "info",
                               backend=backend["name"])

    def test_unknown_backend(self):
        for value in ("nonsense", "AVX2", "avx2 "):
            pattern = f"BYTEGATE_BACKEND.*'{value}'.*scalar"
            text = self.fail_with(1, pattern, "info", backend=value)
            info = json.loads(self.fail_with(1, pattern, "info", "--json", backend=value))
            self.assertIsNone(info["selected"])
            self.assertIn(value, info["error"])
            self.assertTrue(info["backends"])
            for backend in info["backends"]:
                self.assertIn(backend["name"], text)
                self.assertFalse(backend["chosen"])


class Quantize(CommandLine):
    def test_says_what_it_does(self):
        text = self.succeed("quantize", self.charlm, self.path("out"))
        self.assertRegex(text, r"encoder .*stays float32.* Embedding\(63, 48\)\n")
        self.assertRegex(text, r"lstm .*quantized +DynamicQuantizedLSTM\(48, 160, num_layers=2\)\n")
        self.assertRegex(text, r"decoder .*quantized +DynamicQuantizedLinear\(")
        self.assertIn(f"{os.path.getsize(self.path('out')):,} bytes", text)
        self.assertEqual(os.listdir(self.folder), ["out"])

    def test_size(self):
        self.assertLessEqual(os.path.getsize(self.quantized("--embedding")) / os.path.getsize(self.charlm), 0.27)

    def test_same_bytes_twice(self):
        first = read_bytes(self.quantized())
        self.assertEqual(first, read_bytes(self.quantized()))  # written over the first

    def test_threads(self):
        one = read_bytes(self.quantized())
        for threads in (1, 2, 8):
            self.assertEqual(read_bytes(self.quantized("--threads", threads)), one)
        out = self.quantized()
        for command in (["inspect", out], ["compare", self.charlm, out]):
            self.assertEqual(self.succeed(*command, "--threads", 3), self.succeed(*command))
        for threads in ("0", "-1", "257", "many"):
            self.fail_with(2, "--threads", "inspect", out, "--threads", threads)

    def test_schemes(self):
        for scheme in ("accurate", "torch", "torch_per_tensor_8bit", "torch_per_channel_7bit"):
            header = read_header(self.quantized("--scheme", scheme))
            scales = header["decoder.weight_scale"]["shape"]
            self.assertEqual(math.prod(scales), 1 if scheme in ("torch", "torch_per_tensor_8bit") else 63)
        self.fail_with(1, "nonsense.*per_row.*torch_per_channel_7bit", "quantize", self.charlm, self.path("o"),
                       "--scheme", "nonsense")

    def test_patterns(self):
        def quantized_layers(*arguments):
            layers = self.json_of("inspect", self.quantized(*arguments))["layers"]
            return {layer["name"] for layer in layers if layer["quantized"]}

        self.assertEqual(quantized_layers(), {"lstm", "decoder"})
        self.assertEqual(quantized_layers("--embedding"), {"encoder", "lstm", "decoder"})
        self.assertEqual(quantized_layers("--include", "l*"), {"lstm"})
        self.assertEqual(quantized_layers("--exclude", "l?tm"), {"decoder"})
        self.assertEqual(quantized_layers("--include", "lstm", "--include", "decoder", "--exclude", "decoder"),
                         {"lstm"})
        self.assertIn("left out", self.succeed("quantize", self.charlm, self.path("o"), "--exclude", "lstm"))
        self.fail_with(1, "lsmt", "quantize", self.charlm, self.path("p"), "--exclude", "lsmt")
        self.fail_with(1, "nothing to quantize", "quantize", self.charlm, self.path("p"), "--exclude", "*")
        self.assertFalse(os.path.exists(self.path("p")))

    def test_refusals(self):
        out = self.quantized()
        before = read_bytes(out)
        self.fail_with(1, "missing", "quantize", self.path("missing"), out)
        with open(self.path("bad"), "wb") as file:
            file.write(b"not a safetensors file")
        self.fail_with(1, "bad", "quantize", self.path("bad"), out)
        self.fail_with(1, "already", "quantize", out, self.path("again"))
        # The header of a file is enough to refuse it: its tensors, here with an impossible scale, are not read.
        write_safetensors(self.path("int8"), {"fc.weight": ("I8", [2, 3], [1] * 6),
                                              "fc.weight_scale": ("F32", [1], [-1.0])})
        self.fail_with(1, "already", "quantize", self.path("int8"), self.path("again"))
        self.fail_with(1, "input file", "quantize", out, os.path.join(self.folder, ".", "int8.safetensors"))
        self.assertEqual(read_bytes(out), before)

    def test_output_that_cannot_be_written(self):
        self.fail_with(1, "nowhere", "quantize", self.charlm, self.path("nowhere/out"))
        self.fail_with(1, re.escape(self.folder), "quantize", self.charlm, self.folder)
        self.assertEqual(os.listdir(self.folder), [])

    def test_lone_layer(self):
        write_safetensors(self.path("lone"),
                          {"fc.weight": ("F32", [4, 6], waves(24, 1.0)), "fc.bias": ("F32", [4], waves(4, 1.0))})
        self.succeed("quantize", self.path("lone"), self.path("out"))
        self.assertEqual([layer["quantized"] for layer in self.json_of("inspect", self.path("out"))["layers"]], [True])

    def test_state_dict_that_is_no_model(self):
        parts = self.path("parts")
        write_safetensors(parts, {
            "conv.weight": ("F32", [2, 3, 3], waves(18, 1.0)),
            "gru.weight_ih_l0": ("F32", [6, 3], waves(18, 1.0)), "gru.weight_hh_l0": ("F32", [6, 2], waves(12, 1.0)),
            "left.weight": ("F32", [4, 6], waves(24, 1.0)), "left.bias": ("F32", [4], waves(4, 1.0)),
            "right.fc.weight": ("F32", [5, 6], waves(30, 1.0)), "right.fc.bias": ("F32", [5], waves(5, 1.0)),
        })
        out = self.path("out")
        text = self.succeed("quantize", parts, out, "--exclude", "left")
        self.assertRegex(text, r"left .*stays float32")
        self.assertRegex(text, r"right\.fc .*quantized")
        self.assertRegex(text, r"conv\.weight: .*stays as it is")
        self.assertRegex(text, r"note: .*GRU")
        self.assertRegex(text, r"note: the result holds layers, not a model")
        before, after = read_header(parts), read_header(out)
        self.assertEqual(after["conv.weight"]["shape"], before["conv.weight"]["shape"])
        self.assertEqual((after["left.weight"]["dtype"], after["right.fc.weight"]["dtype"]), ("F32", "I8"))
        inspected = self.json_of("inspect", out)
        self.assertEqual({layer["name"]: layer["quantized"] for layer in inspected["layers"]},
                         {"gru": True, "left": False, "right.fc": True})
        self.assertIn("conv.weight", inspected["others"])
        compared = self.json_of("compare", parts, out)
        figures = {layer["name"]: layer["alone"] for layer in compared["layers"]}
        self.assertTrue(figures["left"]["identical"])
        self.assertTrue(20 < figures["right.fc"]["sqnr_db"] < 70)
        self.assertIsNone(compared["end_to_end"])
        self.assertIn("right.fc", self.succeed("compare", parts, out))
        self.fail_with(1, "--threshold.*end to end", "compare", parts, out, "--threshold", "20")

    def test_architecture(self):
        architecture = self.path("architecture.json")
        layers = [{"name": "a", "kind": "linear", "in_features": 6, "out_features": 4}, {"name": "r", "kind": "relu"},
                  {"name": "b", "kind": "linear", "in_features": 4, "out_features": 3}]
        with open(architecture, "w") as file:
            json.dump(layers, file)
        write_safetensors(self.path("in"),
                          {"a.weight": ("F32", [4, 6], waves(24, 1.0)), "a.bias": ("F32", [4], waves(4, 1.0)),
                           "b.weight": ("F32", [3, 4], waves(12, 1.0)), "b.bias": ("F32", [3], waves(3, 1.0))})
        self.succeed("quantize", self.path("in"), self.path("out"), "--architecture", architecture)
        self.assertEqual([layer["kind"] for layer in self.json_of("inspect", self.path("out"))["layers"]],
                         ["linear", "relu", "linear"])
        self.succeed("compare", self.path("in"), self.path("out"), "--architecture", architecture, "--threshold", "20")
        # Without it the float file is no model, and a guess misses the ReLU.
        self.fail_with(1, "differ", "compare", self.path("in"), self.path("out"))
        self.fail_with(1, "differ", "compare", self.path("in"), self.path("out"), "--guess")
        self.fail_with(1, "cannot read.*missing", "quantize", self.path("in"), self.path("out"), "--architecture",
                       self.path("missing"))


class Inspect(CommandLine):
    def test_float(self):
        header = read_header(self.charlm)
        parameters = sum(math.prod(t["shape"]) for name, t in header.items() if name != "__metadata__")
        model = self.json_of("inspect", self.charlm)
        self.assertEqual((model["parameters"], model["bytes"]), (parameters, 4 * parameters))
        self.assertEqual(model["file_bytes"], os.path.getsize(self.charlm))
        self.assertEqual([layer["kind"] for layer in model["layers"]], ["embedding", "lstm", "linear"])
        text = self.succeed("inspect", self.charlm)
        self.assertIn(f"{parameters:,}", text)
        self.assertRegex(text, r"\(lstm\): LSTM\(48, 160, num_layers=2\)")

    def test_quantized(self):
        out = self.quantized("--embedding")
        tensors = {name: t for name, t in read_header(out).items() if name != "__metadata__"}
        model = self.json_of("inspect", out)
        self.assertEqual(model["bytes"], sum(t["data_offsets"][1] - t["data_offsets"][0] for t in tensors.values()))
        self.assertEqual(model["parameters"], self.json_of("inspect", self.charlm)["parameters"])
        scales = [scale for layer in model["layers"] for scale in layer["scales"]]
        self.assertEqual({s["tensor"] for s in scales}, {name for name, t in tensors.items() if t["dtype"] == "I8"})
        for scale in scales:
            self.assertTrue(0 < scale["min"] <= scale["max"], scale)
            self.assertEqual(scale["count"], math.prod(tensors[scale["tensor"] + "_scale"]["shape"]))
        self.assertIn("DynamicQuantizedLSTM(48, 160, num_layers=2)", self.succeed("inspect", out))

    def test_bad_files(self):
        self.fail_with(1, "missing", "inspect", self.path("missing"))
        self.fail_with(1, ".", "inspect", self.folder)


class Compare(CommandLine):
    def test_figures(self):
        out = self.quantized()
        result = self.json_of("compare", self.charlm, out)
        self.assertEqual([layer["name"] for layer in result["layers"]], ["encoder", "lstm", "decoder"])
        encoder, lstm, decoder = result["layers"]
        self.assertTrue(encoder["alone"]["identical"] and encoder["end_to_end"]["identical"])  # float in both
        self.assertEqual(lstm["alone"], lstm["end_to_end"])  # the first layer that differs
        self.assertGreater(decoder["alone"]["sqnr_db"], decoder["end_to_end"]["sqnr_db"])
        self.assertEqual(decoder["end_to_end"], result["end_to_end"])
        self.assertGreater(result["end_to_end"]["sqnr_db"], 20)
        self.assertGreater(result["end_to_end"]["max_error"], 0)
        self.assertIn(f"{result['end_to_end']['sqnr_db']:.2f} dB", self.succeed("compare", self.charlm, out))

    def test_says_that_random_inputs_are_not_the_users(self):
        out = self.quantized()
        pattern = "random inputs are not your data.*--input FILE"
        self.assertRegex(self.succeed("compare", self.charlm, out), pattern)
        self.assertRegex(" ".join(self.json_of("compare", self.charlm, out)["notes"]), pattern)
        write_safetensors(self.path("input"), {"input": ("I64", [3, 1], [0, 1, 2])})
        self.assertNotRegex(self.succeed("compare", self.charlm, out, "--input", self.path("input")), "random|note")

    def test_swapped(self):
        out = self.quantized()
        self.fail_with(1, "int8 in the first file.*compare FLOAT INT8", "compare", out, self.charlm)
        self.succeed("compare", out, out)  # two quantized models may be compared

    def test_a_model_with_itself(self):
        result = self.json_of("compare", self.charlm, self.charlm, "--threshold", "500")
        self.assertEqual(result["end_to_end"], {"sqnr_db": None, "max_error": 0.0, "identical": True})
        self.assertTrue(result["passed"])

    def test_threshold(self):
        out = self.quantized()
        self.succeed("compare", self.charlm, out, "--threshold", "20")
        strict = ("compare", self.charlm, out, "--threshold", "200")
        self.assertIn("decoder", self.fail_with(1, "below the threshold of 200 dB", *strict))
        self.assertFalse(json.loads(self.fail_with(1, "below", *strict, "--json"))["passed"])

    def test_random_inputs_are_stated(self):
        out = self.quantized()
        text = self.succeed("compare", self.charlm, out, "--seed", "7", "-T", "12", "-B", "3")
        self.assertRegex(text, r"input: random indices \[12, 3\], seed 7, T=12, B=3")
        self.assertEqual(text, self.succeed("compare", self.charlm, out, "--seed", "7", "-T", "12", "-B", "3"))
        other = self.succeed("compare", self.charlm, out, "--seed", "8", "-T", "12", "-B", "3")
        self.assertNotEqual(text.split("\n")[4:], other.split("\n")[4:])
        self.fail_with(1, "at least one", "compare", self.charlm, out, "-T", "0")

    def test_input_file(self):
        out = self.quantized()
        write_safetensors(self.path("input"), {"input": ("I64", [5, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 62])})
        self.assertIn("[5, 2]", self.json_of("compare", self.charlm, out, "--input", self.path("input"))["input"])
        for name, tensor, pattern in (("range", ("I64", [2, 1], [0, 63]), "63"),
                                      ("floats", ("F32", [2, 1], [0.0, 1.0]), "indices|index"),
                                      ("bytes", ("I8", [2, 1], [0, 1]), "I8.*F32 or I64"),
                                      ("rank", ("I64", [], [1]), "indices")):
            write_safetensors(self.path(name), {"input": tensor})
            self.fail_with(1, pattern, "compare", self.charlm, out, "--input", self.path(name))
        write_safetensors(self.path("none"), {"other": ("F32", [1], [1.0])})
        self.fail_with(1, "input", "compare", self.charlm, out, "--input", self.path("none"))

    def test_float_input(self):
        float_model, int8_model = self.path("float"), self.path("int8")
        write_safetensors(float_model,
                          {"fc.weight": ("F32", [4, 6], waves(24, 1.0)), "fc.bias": ("F32", [4], waves(4, 1.0))})
        self.succeed("quantize", float_model, int8_model)
        write_safetensors(self.path("input"), {"input": ("F32", [3, 6], waves(18, 0.3))})
        result = self.json_of("compare", float_model, int8_model, "--input", self.path("input"))
        self.assertTrue(20 < result["end_to_end"]["sqnr_db"] < 70)
        write_safetensors(self.path("wide"), {"input": ("F32", [3, 7], waves(21, 0.3))})
        self.fail_with(1, "7", "compare", float_model, int8_model, "--input", self.path("wide"))

    def test_different_models(self):
        write_safetensors(self.path("other"), {"fc.weight": ("F32", [4, 6], waves(24, 1.0))})
        self.fail_with(1, "differ", "compare", self.charlm, self.path("other"))

    def test_same_figures_on_every_backend(self):
        out = self.quantized("--embedding")
        figures = set()
        backends = [b["name"] for b in self.json_of("info")["backends"] if b["supported"]]
        for backend in backends:
            result = self.json_of("compare", self.charlm, out, backend=backend)
            self.assertEqual(result["backend"], backend)
            figures.add(json.dumps([result["layers"], result["end_to_end"]]))
        self.assertEqual(len(figures), 1)

    def test_bad_backend(self):
        self.fail_with(1, "nonsense", "compare", self.charlm, self.charlm, backend="nonsense")


class Readme(unittest.TestCase):
    def test_example_is_the_one_that_is_compiled(self):
        program = read_bytes(os.path.join(SOURCE, "examples/readme_example.cpp")).decode()
        example = program.split("// [readme]\n")[1].split("// [/readme]")[0]
        self.assertIn("```cpp\n" + example + "```", read_bytes(os.path.join(SOURCE, "README.md")).decode())


if __name__ == "__main__":
    main()
