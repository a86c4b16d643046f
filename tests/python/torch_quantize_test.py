"""quantize_dynamic for PyTorch's modules: what is replaced, that each replacement has the bits of the layer in C++, and
that the result is a module like any other."""

import copy
import inspect
import io
import pickle
import sys
import unittest

from package_testing import bytegate
from torch_testing import TorchTest, first, quantization, torch  # before torch: without it, the test is skipped

import torch_modules
from torch import nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence
from bytegate.torch.modules import QuantizedModule

KINDS = bytegate._core.kinds()
CASES = {  # float module, its input, options of the layer as files name them
    "linear": (lambda: nn.Linear(12, 7), (3, 12), {}),
    "lstm": (lambda: nn.LSTM(6, 9, num_layers=2, batch_first=True, bidirectional=True), (2, 5, 6),
             {"batch_first": True}),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1), (2, 4, 9), {"stride": 2, "padding": 1}),
    "embedding": (lambda: nn.Embedding(12, 7, padding_idx=3), (3, 4), {}),
    "gru": (lambda: nn.GRU(6, 9, num_layers=2), (5, 2, 6), {}),
    "rnn": (lambda: nn.RNN(6, 9, nonlinearity="relu"), (5, 2, 6), {"nonlinearity": "relu"}),
    "lstm_cell": (lambda: nn.LSTMCell(6, 9), (2, 6), {}),
    "gru_cell": (lambda: nn.GRUCell(6, 9, bias=False), (2, 6), {}),
    "rnn_cell": (lambda: nn.RNNCell(6, 9, nonlinearity="relu"), (2, 6), {"nonlinearity": "relu"}),
}
CASES = {kind: case for kind, case in CASES.items() if kind in KINDS}


class LayersTest(TorchTest):
    def example(self, kind, shape):
        return torch.randint(0, 12, shape) if kind == "embedding" else torch.randn(shape)

    def test_bits_of_cpp(self):
        for kind, (make, shape, fields) in CASES.items():
            for scheme in ("per_row", "torch"):
                if scheme == "torch" and kind in ("rnn", "conv1d", "embedding"):
                    continue
                module, x = make(), self.example(kind, shape)
                int8 = bytegate.quantize_dynamic(module, {type(module)}, scheme=scheme)
                self.assertIsInstance(int8, QuantizedModule)
                with self.subTest(kind=kind, scheme=scheme):
                    self.bits_of_cpp(kind, fields, module, int8, x, scheme)

    def test_signatures(self):
        """Results have the shapes and types of the float module's, and values near them."""
        for kind, (make, shape, _) in CASES.items():
            module, x = make().eval(), self.example(kind, shape)
            int8 = bytegate.quantize_dynamic(module, {type(module)})
            inputs = [x] if kind == "embedding" else [x, x.transpose(0, 1).contiguous().transpose(0, 1), x[:0]]
            if kind not in ("embedding", "linear"):
                inputs.append(x[0] if x.dim() < 3 or getattr(module, "batch_first", True) else x[:, 0])
            for given in inputs:
                with self.subTest(kind=kind, shape=tuple(given.shape)):
                    if given.numel() == 0:
                        if kind == "linear":
                            self.assertEqual(int8(given).shape, module(given).shape)
                        continue
                    self.compare(int8(given), module(given))
                    self.compare(int8(input=given), module(input=given))

    def compare(self, got, expected):
        self.assertIs(type(got), type(expected))
        if isinstance(got, tuple):
            self.assertEqual(len(got), len(expected))
            for a, b in zip(got, expected):
                self.compare(a, b)
            return
        self.assertEqual((got.shape, got.dtype, got.requires_grad), (expected.shape, expected.dtype, False))
        self.assertLess((got - expected).abs().max(), 0.1)

    def test_states(self):
        for kind in set(CASES) & {"lstm", "gru", "rnn"}:
            module = CASES[kind][0]().eval()
            int8 = bytegate.quantize_dynamic(module, {type(module)})
            layers = module.num_layers * (2 if module.bidirectional else 1)
            x = torch.randn(2, 5, 6)
            batch = 2 if module.batch_first else 5
            h = torch.randn(layers, batch, 9)
            state = (h, torch.randn(layers, batch, 9)) if kind == "lstm" else h
            with self.subTest(kind=kind):
                self.compare(int8(x, state), module(x, state))
                self.compare(int8(x, hx=state), module(x, hx=state))

    def test_packed(self):
        """Each sequence has the bits that it has alone, in whatever order they come."""
        for kind in set(CASES) & {"lstm", "gru", "rnn"}:
            int8 = bytegate.quantize_dynamic(CASES[kind][0](), {nn.LSTM, nn.GRU, nn.RNN})
            sequences = [torch.randn(steps, 6) for steps in (3, 5, 1, 4)]
            layers = int8.num_layers * (2 if int8.bidirectional else 1)
            h, c = torch.randn(layers, 4, 9), torch.randn(layers, 4, 9)
            for state in (None, (h, c) if kind == "lstm" else h):
                packed = pack_sequence(sequences, enforce_sorted=False)
                out, after = int8(packed, state)
                padded, lengths = pad_packed_sequence(out)
                after = after if isinstance(after, tuple) else (after,)
                self.assertEqual(lengths.tolist(), [3, 5, 1, 4])
                for i, x in enumerate(sequences):
                    given = None
                    if state is not None:
                        given = tuple(s[:, i] for s in state) if kind == "lstm" else state[:, i]
                    alone, end = int8(x, given)
                    end = end if isinstance(end, tuple) else (end,)
                    self.same(padded[:len(x), i], alone)
                    for a, b in zip(after, end):
                        self.same(a[:, i], b)

    def test_printed(self):
        """As PyTorch prints its own."""
        if quantization is None:
            self.skipTest("this PyTorch has no quantization of its own")
        modules = [nn.Linear(16, 40), nn.LSTM(16, 40, num_layers=2), nn.LSTM(16, 40, batch_first=True, dropout=0.5,
                                                                             num_layers=2, bidirectional=True)]
        modules += [nn.GRU(16, 40, batch_first=True)] if "gru" in KINDS else []
        modules += [nn.LSTMCell(16, 40), nn.GRUCell(16, 40), nn.RNNCell(16, 40, nonlinearity="relu"),
                    nn.RNNCell(16, 40, bias=True)] if "gru_cell" in KINDS else []
        for module in modules:
            model = nn.Sequential(module)
            theirs = quantization.quantize_dynamic(model, dtype=torch.qint8)
            self.assertEqual(str(bytegate.quantize_dynamic(model, scheme="torch")), str(theirs))
        self.assertEqual(str(bytegate.quantize_dynamic(nn.Linear(3, 4))), "DynamicQuantizedLinear(in_features=3, "
                         "out_features=4, dtype=torch.qint8, qscheme=torch.per_channel_affine)")
        self.assertEqual(str(bytegate.quantize_dynamic(nn.Conv1d(3, 4, 5, padding=1), {nn.Conv1d})),
                         "DynamicQuantizedConv1d(3, 4, kernel_size=(5,), stride=(1,), padding=(1,))")
        self.assertEqual(str(bytegate.quantize_dynamic(nn.Embedding(3, 4), {nn.Embedding})),
                         "DynamicQuantizedEmbedding(3, 4)")


class ModulesTest(TorchTest):
    def test_left_alone(self):
        module = bytegate.quantize_dynamic(torch_modules.SelfAttention())
        self.assertIs(type(module.into), bytegate.torch.modules.Linear)
        for name in ("attention.out_proj", "encoder.layers.0.linear1", "encoder.layers.1.linear2"):
            self.assertIsInstance(dict(module.named_modules())[name], nn.Linear, name)
        shared = bytegate.quantize_dynamic(torch_modules.Shared())
        self.assertIsInstance(shared.read, nn.Linear)
        self.assertIs(shared.first, shared.again[0])
        tied = bytegate.quantize_dynamic(torch_modules.TiedLanguageModel())
        self.assertIsInstance(tied.embedding.weight, nn.Parameter)
        self.assertIsInstance(tied.out, QuantizedModule)  # init_weights reads its weights, forward does not

    def test_chosen(self):
        def chosen(spec, **options):
            model = nn.Sequential(nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 8), nn.LSTM(8, 8)), nn.Linear(8, 8))
            int8 = bytegate.quantize_dynamic(model, spec, **options)
            return {name for name, m in int8.named_modules() if isinstance(m, QuantizedModule)}

        qconfig = quantization.default_dynamic_qconfig if quantization else object()
        for spec, expected in ((None, {"0", "1.0", "1.1", "2"}), ({nn.LSTM}, {"1.1"}), ({"1"}, {"1.0", "1.1"}),
                               ({"2", nn.LSTM}, {"1.1", "2"}), ({nn.Linear: qconfig}, {"0", "1.0", "2"}),
                               ({nn.Linear: qconfig, "1": None}, {"0", "1.0", "2"}),
                               ({nn.Linear: qconfig, "1.0": None}, {"0", "2"}),
                               ({"": qconfig}, {"0", "1.0", "1.1", "2"}),
                               ({"1": qconfig, "1.1": None}, {"1.0"}), (set(), set())):
            self.assertEqual(chosen(spec), expected, spec)
        self.assertEqual(chosen(None, mapping={nn.LSTM: object}), {"1.1"})
        with self.assertWarnsRegex(UserWarning, "no modules of these names: nothing"):
            chosen({"nothing", nn.LSTM})

    def test_against_pytorch_what_is_chosen(self):
        """The same modules as PyTorch's own, for its own spelling."""
        if quantization is None:
            self.skipTest("this PyTorch has no quantization of its own")
        qconfig = quantization.default_dynamic_qconfig
        for spec in (None, {nn.Linear}, {"blocks.1"}, {"blocks.1": qconfig, "blocks.1.fc": None}, {nn.LSTM: qconfig},
                     {nn.ModuleDict: qconfig}, {"blocks": qconfig, nn.Linear: None}):
            def replaced(model):
                return {name for name, m in model.named_modules() if m._get_name().startswith("DynamicQuantized")}
            ours = bytegate.quantize_dynamic(torch_modules.Residual(), spec)
            theirs = quantization.quantize_dynamic(torch_modules.Residual(), spec)
            self.assertEqual(replaced(ours), replaced(theirs), spec)

    def test_in_place(self):
        model = torch_modules.Residual()
        expected = bytegate.quantize_dynamic(model)
        self.assertIs(bytegate.quantize_dynamic(model, inplace=True), model)
        self.assertIsInstance(model.blocks[0]["lstm"], QuantizedModule)
        x = torch.randn(2, 5, 16)
        self.same(model(x), expected(x))
        self.assertIsInstance(bytegate.quantize_dynamic(nn.Linear(2, 3), inplace=True), QuantizedModule)

    def test_subclasses(self):
        class Same(nn.Linear):
            """Another constructor."""

            def __init__(self, size):
                super().__init__(size, size)

        class Other(nn.Linear):
            def forward(self, x):
                return super().forward(x) * 2

        class More(nn.Linear):
            def __init__(self, size):
                super().__init__(size, size)
                self.gain = nn.Parameter(torch.ones(1))

        model = bytegate.quantize_dynamic(nn.Sequential(Same(4), Other(4, 4), More(4)))
        self.assertEqual([isinstance(m, QuantizedModule) for m in model], [True, False, False])
        noted = nn.Linear(4, 4)
        noted.note = "a user's own"
        self.assertEqual(bytegate.quantize_dynamic(noted).note, noted.note)
        patched = nn.Linear(4, 4)
        patched.forward = lambda x: x
        self.assertNotIsInstance(bytegate.quantize_dynamic(patched), QuantizedModule)

    def test_hooks_stay(self):
        model, seen = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)), []
        model[0].register_forward_hook(lambda m, args, out: seen.append("behind") or out * 2)
        model[1].register_forward_pre_hook(lambda m, args: seen.append("before"))
        model.register_forward_hook(lambda m, args, out: seen.append("all"))
        int8 = bytegate.quantize_dynamic(model)
        x = torch.randn(2, 8)
        y = int8(x)
        self.assertEqual(seen, ["behind", "before", "all"])
        seen.clear()
        self.assertLess((y - model(x)).abs().max(), 0.1)

    def test_folded(self):
        """Normalized, parametrized and pruned weights are those that the module computes with."""
        from torch.nn.utils import parametrize, prune
        normal = [lambda m: nn.utils.weight_norm(m), lambda m: nn.utils.spectral_norm(m).eval(),
                  lambda m: prune.l1_unstructured(m, "weight", 0.5) and m]
        new = getattr(nn.utils, "parametrizations", None)
        normal += [getattr(new, name) for name in ("weight_norm", "spectral_norm", "orthogonal") if hasattr(new, name)]
        for change in normal:
            module = change(nn.Linear(8, 8))
            x = torch.randn(3, 8)
            for _ in range(3):
                module.train()(x)  # spectral_norm comes closer with each call
            module.eval()
            expected = module(x)
            buffers = {k: v.clone() for k, v in module.state_dict().items()}
            int8 = bytegate.quantize_dynamic(nn.Sequential(module))[0]
            self.assertIsInstance(int8, QuantizedModule)
            plain = nn.Linear(8, 8)
            plain.weight.copy_(module.weight)
            plain.bias.copy_(module.bias)
            self.bits_of_cpp("linear", {}, plain, int8, x, "per_row")
            self.assertLess((int8(x) - expected).abs().max(), 0.1)
            for name, tensor in module.state_dict().items():
                self.assertTrue(torch.equal(tensor, buffers[name]), name)
        self.assertFalse(parametrize.is_parametrized(int8))
        with torch.enable_grad():  # a tensor with a history, in a module that stays float
            model = nn.Sequential(nn.utils.weight_norm(nn.Conv1d(6, 6, 3)), nn.Linear(7, 2))
            expected = model(torch.ones(2, 6, 9)).detach()
        self.assertLess((bytegate.quantize_dynamic(model)(torch.ones(2, 6, 9)) - expected).abs().max(), 0.1)
        lstm = nn.utils.weight_norm(nn.LSTM(4, 5), "weight_hh_l0")
        lstm(torch.randn(2, 1, 4))
        int8 = bytegate.quantize_dynamic(lstm)
        self.assertLess((int8(torch.ones(3, 1, 4))[0] - lstm(torch.ones(3, 1, 4))[0]).abs().max(), 0.1)

    def test_copies_and_files(self):
        for cls in (torch_modules.AttentionTagger, torch_modules.Residual):
            model, (x,) = bytegate.quantize_dynamic(cls(), {nn.Linear, nn.LSTM, nn.Embedding}), cls.example()
            expected = model(x)
            stored = io.BytesIO()
            torch.save(model, stored)
            stored.seek(0)
            options = {"weights_only": False} if "weights_only" in inspect.signature(torch.load).parameters else {}
            for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(stored, **options)):
                self.same(again(x), expected)
                self.assertEqual(str(again), str(model))
            other = bytegate.quantize_dynamic(cls(), {nn.Linear, nn.LSTM, nn.Embedding})
            self.assertFalse(torch.equal(other(x), expected))
            stored = io.BytesIO()
            torch.save(model.state_dict(), stored)
            stored.seek(0)
            other.load_state_dict(torch.load(stored))
            self.same(other(x), expected)
            self.assertFalse(copy.deepcopy(model).train().eval().training)

    def test_state_dict(self):
        module = nn.Sequential(nn.LSTM(4, 5), nn.Linear(5, 2))
        int8 = bytegate.quantize_dynamic(module)
        keys = set(int8.state_dict())
        self.assertEqual({k for k in keys if not k.endswith("_scale")}, set(module.state_dict()))
        self.assertEqual({k for k in keys if k.endswith("_scale")},
                         {"0.weight_ih_l0_scale", "0.weight_hh_l0_scale", "1.weight_scale"})
        other = bytegate.quantize_dynamic(nn.Sequential(nn.LSTM(4, 5), nn.Linear(5, 2)))
        other.load_state_dict(module.state_dict())  # float weights are quantized
        x = torch.randn(3, 4)
        self.same(other[1](other[0](x)[0]), int8[1](int8[0](x)[0]))
        missing = int8.state_dict()
        del missing["1.weight_scale"]
        with self.assertRaisesRegex(RuntimeError, "1.weight_scale"):
            other.load_state_dict(missing)
        self.assertEqual(other.load_state_dict(missing, strict=False).missing_keys, ["1.weight_scale"])
        with self.assertRaisesRegex(RuntimeError, "shape"):
            bytegate.quantize_dynamic(nn.Sequential(nn.LSTM(4, 5), nn.Linear(5, 3))).load_state_dict(int8.state_dict())
        with self.assertRaisesRegex(RuntimeError, "scheme torch_per_tensor_8bit"):
            bytegate.quantize_dynamic(module, scheme="torch").load_state_dict(int8.state_dict())
        with self.assertRaisesRegex(RuntimeError, "more"):
            other.load_state_dict({**int8.state_dict(), "1.more": torch.ones(1)})

    def test_weights_as_tensors(self):
        module = nn.Linear(8, 4)
        int8 = bytegate.quantize_dynamic(module)
        self.assertLess((int8.weight - module.weight).abs().max(), 0.01)
        self.same(int8.bias, module.bias.detach())
        self.assertIsNone(bytegate.quantize_dynamic(nn.Linear(8, 4, bias=False)).bias)
        with self.assertRaises(AttributeError):
            int8.weights
        self.assertEqual(list(int8.parameters()), [])
        bytegate.quantize_dynamic(nn.LSTM(3, 4)).flatten_parameters()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
