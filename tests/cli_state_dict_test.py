#!/usr/bin/env python3
"""The command line on files that do not say what model they are.

cli_state_dict_test.py PROGRAM SOURCE_DIR [unittest arguments]
"""

import json
import os
import re

from cli_testing import CommandLine, linear_tensors, lstm_tensors, main, read_header, waves, write_safetensors


class BareStateDict(CommandLine):
    """Files without an architecture: what forward() does is not in them."""

    def setUp(self):
        super().setUp()
        self.bare, self.wrapped, self.ambiguous = self.path("bare"), self.path("wrapped"), self.path("ambiguous")
        # As safetensors.torch.save_file orders them: by name, not by use.
        write_safetensors(self.bare, {**linear_tensors("fc.", 5, 2), **lstm_tensors("lstm.", 3, 5)})
        write_safetensors(self.wrapped, {**linear_tensors("module._orig_mod.fc.", 5, 2),
                                         **lstm_tensors("module._orig_mod.lstm.", 3, 5)})
        write_safetensors(self.ambiguous, {**lstm_tensors("decoder.", 4, 4), **lstm_tensors("encoder.", 4, 4)})
        self.architecture = self.path("architecture.json")
        with open(self.architecture, "w") as file:
            json.dump([{"name": "lstm", "kind": "lstm"}, {"name": "d", "kind": "dropout", "p": 0.1},
                       {"name": "fc", "kind": "linear"}], file)

    def test_is_no_model(self):
        text = self.succeed("inspect", self.bare)
        self.assertRegex(text,
                         r"not a model: .*fc: Linear\(.*lstm: LSTM\(3, 5\).*architecture.*--architecture FILE.*--guess")
        self.assertRegex(text, r"^StateDict\(")
        self.assertFalse(self.json_of("inspect", self.bare)["guessed"])
        out = self.path("out")
        self.assertIn("the result holds layers, not a model", self.succeed("quantize", self.bare, out))
        self.assertEqual({layer["name"]: layer["quantized"] for layer in self.json_of("inspect", out)["layers"]},
                         {"fc": True, "lstm": True})
        self.assertIsNone(self.json_of("compare", self.bare, out)["end_to_end"])
        self.fail_with(1, "architecture", "compare", self.bare, out, "--threshold", "1")
        # With an architecture both are models.
        self.succeed("compare", self.bare, out, "--architecture", self.architecture, "--threshold", "20")

    def test_guess(self):
        text = self.succeed("inspect", self.bare, "--guess")
        self.assertRegex(text, r"note: guessed .*lstm -> fc; layers without tensors \(ReLU, dropout, ...\)")
        self.assertTrue(self.json_of("inspect", self.bare, "--guess")["guessed"])
        out = self.path("out")
        self.assertRegex(self.succeed("quantize", self.bare, out, "--guess"),
                         "note: guessed .*lstm -> fc; layers without tensors")
        self.assertEqual(json.loads(read_header(out)["__metadata__"]["architecture"])[0]["name"], "lstm")
        for arguments in ([out, "--guess"], [self.path("parts"), "--guess"]):
            self.succeed("quantize", self.bare, self.path("parts"))
            self.assertRegex(self.succeed("compare", self.bare, *arguments), "note: both models were guessed")
            self.assertTrue(self.json_of("compare", self.bare, *arguments)["both_guessed"])
        self.assertNotIn("both models", self.succeed("compare", self.bare, out, "--architecture", self.architecture))
        for command in (["inspect", self.ambiguous], ["quantize", self.ambiguous, self.path("no")],
                        ["compare", self.ambiguous, self.ambiguous]):
            self.fail_with(1, "more than one order.*architecture", *command, "--guess")
        self.assertFalse(os.path.exists(self.path("no")))
        self.fail_with(2, "guess", "inspect", self.bare, "--guess", "--architecture", self.architecture)

    def test_wrappers(self):
        out, prefix = self.path("out"), "module._orig_mod."
        for arguments in (["--architecture", self.architecture], ["--guess"], []):
            text = self.succeed("quantize", self.wrapped, out, *arguments, "--exclude", "fc")
            self.assertRegex(text, r"note: all names begin with `module\._orig_mod\.`")
            header = read_header(out)
            self.assertEqual((header[prefix + "lstm.weight_hh_l0"]["dtype"], header[prefix + "fc.weight"]["dtype"]),
                             ("I8", "F32"))
            self.assertEqual(set(read_header(self.wrapped)) - set(header), set())
            self.succeed("compare", self.wrapped, out, *arguments)
        self.assertEqual(self.json_of("inspect", self.wrapped)["stripped_prefix"], prefix)
        self.succeed("quantize", self.wrapped, out, "--guess")
        # The same model without the wrappers.
        self.assertEqual([layer["name"] for layer in self.json_of("compare", self.bare, out, "--guess")["layers"]],
                         ["lstm", "fc"])

    def test_tied_weights(self):
        write_safetensors(self.path("tied"), {**linear_tensors("decoder.", 4, 9), **lstm_tensors("rnn.", 4, 4)},
                          {"format": "pt", "encoder.weight": "decoder.weight"})
        for arguments in ([], ["--guess"]):
            out = self.path("out")
            self.succeed("quantize", self.path("tied"), out, *arguments)
            layers = self.json_of("inspect", out, "--guess")["layers"]
            self.assertEqual([layer["text"].split("(")[0] for layer in layers],
                             ["Embedding", "DynamicQuantizedLSTM", "DynamicQuantizedLinear"])
            self.assertGreater(self.json_of("compare", self.path("tied"), out, "--guess")["end_to_end"]["sqnr_db"], 20)

    def test_foreign_metadata(self):
        write_safetensors(self.path("foreign"), lstm_tensors("lstm.", 3, 5), {"architecture": "BiLSTM"})
        self.assertRegex(self.succeed("inspect", self.path("foreign")),
                         r'LSTM\(3, 5\)(.|\n)*note: the metadata\'s `architecture` is "BiLSTM"')

    def test_incomplete_layer(self):
        write_safetensors(self.path("normed"), {"normed.weight_g": ("F32", [4, 1], waves(4, 1)),
                                                "normed.weight_v": ("F32", [4, 1], waves(4, 1)),
                                                **linear_tensors("fc.", 1, 2)})
        for command in (["inspect"], ["quantize"]):
            text = self.succeed(*command, self.path("normed"), *([self.path("out")] if command == ["quantize"] else []))
            self.assertEqual(len(re.findall("weight_norm", text)), 1, text)

    def test_embedding_of_no_rows(self):
        write_safetensors(self.path("empty"), {"emb.weight": ("F32", [0, 3], [])})
        with open(self.architecture, "w") as file:
            json.dump([{"name": "emb", "kind": "embedding"}], file)
        self.fail_with(1, "no rows", "compare", self.path("empty"), self.path("empty"), "--architecture",
                       self.architecture)

    def test_pytorch_files(self):
        for name, content in (("zip.pt", b"PK\x03\x04" + bytes(60)),
                              ("old.pth", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + bytes(60)),
                              ("pickle.bin", b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00" + bytes(60))):
            with open(self.path(name), "wb") as file:
                file.write(content)
            for command in (["inspect", self.path(name)], ["quantize", self.path(name), self.path("out")],
                            ["compare", self.bare, self.path(name)]):
                self.fail_with(1, "torch.save.*scripts/torch_to_safetensors.py", *command)

    def test_onnx_files(self):
        for beginning in (b"\x08\x08\x12\x07pytorch", b"\x08\x03:\xc7\xa7n\n\x10", b"\x08\x0a\x1a\x051.2.3"):
            with open(self.path("model.onnx"), "wb") as file:
                file.write(beginning + bytes(60))
            self.fail_with(1, "looks like an ONNX model.*python3 -m bytegate convert", "quantize",
                           self.path("model.onnx"), self.path("out"))


if __name__ == "__main__":
    main()
