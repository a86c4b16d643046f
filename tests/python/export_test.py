"""export: chains become whole models with the module's outputs, in Python and in C++; anything else becomes layers,
with the operation named; nothing wrong is ever written."""

import os
import sys
import unittest

from package_testing import PackageTest, bytegate, need_torch, np, read_tensors

torch = need_torch()
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import torch_modules  # noqa: E402


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(12, 8)
        self.lstm = nn.LSTM(8, 10, num_layers=2, batch_first=True)
        self.drop = nn.Dropout(0.5)
        self.conv = nn.Conv1d(8, 10, 3, padding=1)
        self.norm = nn.BatchNorm1d(10)
        self.layer_norm = nn.LayerNorm(10)
        self.fc = nn.Linear(10, 4)
        with torch.no_grad():
            for name in ("running_mean", "running_var", "weight", "bias"):
                getattr(self.norm, name).uniform_(0.5, 2)


def module(forward, **children):
    """A Base with that forward()."""
    made = type("Example", (Base,), {"forward": forward})()
    for name, child in children.items():
        setattr(made, name, child)
    return made


WORDS, FLOATS, CHANNELS = torch.randint(0, 12, (3, 6)), torch.randn(3, 6, 8), torch.randn(3, 8, 6)


def last_by_output(self, x):
    out, _ = self.lstm(self.embedding(x))
    return functional.log_softmax(self.fc(self.drop(torch.relu(out[:, -1]))), dim=1)


def last_by_state(self, x, state=None):
    _, (h, _) = self.lstm(self.embedding(x))
    return torch.sigmoid(self.fc(h[-1]))


def last_by_slice(self, x):
    return self.fc(self.lstm(x)[0][:, -1, :].contiguous().tanh())


def convolutional(self, x):
    x = functional.leaky_relu(self.norm(self.conv(x)), 0.2)
    out = functional.elu(x.transpose(1, 2), alpha=0.5)
    return self.fc(self.layer_norm(out)).softmax(-1)


def in_place(self, x):
    return torch.sigmoid_(self.fc(functional.relu_(self.lstm(x)[0]))).tanh_()


def permuted(self, x):
    out = self.conv(x.permute(0, 2, 1)).permute([2, 0, 1])
    return self.fc(out)[-1]


def flat_by_view(self, x):
    return self.fc(self.lstm(x)[0]).view(x.size(0), -1)


def flat_by_reshape(self, x):
    return torch.flatten(self.fc(self.lstm(x)[0]), 1)


def flat_by_shape(self, x):
    out = self.fc(self.lstm(x)[0])
    return out.reshape(out.shape[0], -1)


def with_states(self, x):
    out, state = self.lstm(x)
    return self.fc(out), state


def twice(self, x):
    return self.fc(self.drop(x)) if self.training else self.square(self.square(x).relu())


CHAINS = [(last_by_output, WORDS), (last_by_state, WORDS), (last_by_slice, FLOATS), (convolutional, CHANNELS),
          (permuted, FLOATS),
          (in_place, FLOATS), (flat_by_view, FLOATS), (flat_by_reshape, FLOATS), (flat_by_shape, FLOATS),
          (with_states, FLOATS), (twice, FLOATS)]


class ChainsTest(PackageTest):
    def check(self, made, x, *kinds):
        path, modes = self.path("m.safetensors"), [m.training for m in made.modules()]
        report = bytegate.export(made, path, x)
        self.assertTrue(report.whole, report)
        self.assertEqual([m.training for m in made.modules()], modes)
        with torch.no_grad():
            expected = made.eval()(x)
        while isinstance(expected, tuple):
            expected = expected[0]
        model = bytegate.load(path)
        for got in (model.run(x.numpy()), self.run_file(path, x.numpy())):
            self.assertEqual(got.shape, tuple(expected.shape))
            self.assertLessEqual(np.abs(got - expected.numpy()).max(), 1e-5)
        self.assertLessEqual(report.verified, 1e-5)
        self.assertIn("verified", str(report))
        return model, report

    def test_chains(self):
        for forward, x in CHAINS:
            with self.subTest(forward=forward.__name__):
                self.check(module(forward, square=nn.Linear(8, 8)), x)

    def test_printed(self):
        model, report = self.check(module(convolutional), CHANNELS)
        self.assertEqual(report.notes, ["norm is folded into the weights of conv"])
        self.assertEqual([name for name, _ in model.layers()],
                         ["conv", "leaky_relu", "permute", "elu", "layer_norm", "fc", "softmax"])
        self.assertTrue(repr(model).startswith("Example("))
        self.assertTrue(repr(model["elu"]).startswith("ELU(alpha=0.5"))

    def test_lone_layers_and_sequentials(self):
        kinds = bytegate._core.kinds()
        for made, x in ((nn.Linear(8, 3), FLOATS), (nn.LSTM(8, 3, bidirectional=True), FLOATS),
                        (nn.Embedding(12, 3), WORDS), (nn.Conv1d(8, 3, 2), CHANNELS),
                        (nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Identity(), nn.Flatten(), nn.Linear(30, 2),
                                       nn.LogSoftmax(dim=-1)), FLOATS),
                        (nn.Sequential(nn.Linear(8, 5), nn.BatchNorm1d(5)), torch.randn(3, 8)),
                        (nn.utils.weight_norm(nn.Linear(8, 3)), FLOATS)):
            self.check(made, x)
        if "gru" in kinds:
            self.check(nn.GRU(8, 3, num_layers=2), FLOATS)
            self.check(nn.RNN(8, 3, nonlinearity="relu"), FLOATS)

    def test_int8(self):
        made = bytegate.quantize_dynamic(module(last_by_output))
        model, _ = self.check(made, WORDS)
        self.assertTrue(model["lstm"].quantized)
        with torch.no_grad():
            self.equal(model["lstm"].run(FLOATS.numpy()), made.lstm(FLOATS)[0].numpy())


class LayersTest(PackageTest):
    def check(self, made, x, reason):
        path = self.path("m.safetensors")
        report = bytegate.export(made, path, x)
        self.assertFalse(report.whole, report)
        self.assertRegex(report.reason, reason)
        self.assertIn("not a whole model", str(report))
        with self.assertRaises(bytegate.Error) as caught:
            bytegate.load(path)
        self.assertEqual(caught.exception.code, "bad_file")
        written = read_tensors(path)
        for name, tensor in made.state_dict().items():
            if name in written:
                np.testing.assert_array_equal(written[name], tensor.numpy())
        return report

    def test_broken_chains(self):
        def residual(self, x):
            return self.square(x) + x

        def gelu(self, x):
            return functional.gelu(self.square(x))

        def branch(self, x):
            return self.square(x) if x.sum() > 0 else x

        def both(self, x):
            return torch.cat([self.square(x), x], -1)

        def fixed_step(self, x):
            return self.fc(self.lstm(x)[0][:, 3])

        def number(self, x):
            return self.square(x) * 2

        def parameter(self, x):
            return functional.linear(x, self.square.weight)

        def state(self, x):
            return self.lstm(x, (torch.zeros(2, 3, 10), torch.ones(2, 3, 10)))[0]

        def first_layer_state(self, x):
            return self.fc(self.lstm(x)[1][0][0])

        def cell_state(self, x):
            return self.fc(self.lstm(x)[1][1][-1])

        def named(self, x):
            return {"y": self.square(x)}

        def changed(self, x):
            y = self.square(x)
            return functional.hardtanh_(y).mean(1)

        def pair(self, x):
            return self.fc(self.lstm(x)[0]), x

        def earlier(self, x):
            out = self.square(x)
            return self.square(out).relu() if out is None else self.square(out).sigmoid() * out

        for forward, reason in ((residual, "'add'"), (gelu, "'gelu'"), (branch, "control flow"), (both, "'cat'"),
                                (fixed_step, "'getitem'"), (number, "'mul'"), (parameter, "weight|'linear'"),
                                (state, "constant|state|zeros"), (first_layer_state, "'getitem'"),
                                (cell_state, "'getitem'"), (named, "output"),
                                (changed, "'hardtanh_'"), (pair, "more than one tensor"), (earlier, "'mul'")):
            with self.subTest(forward=forward.__name__):
                self.check(module(forward, square=nn.Linear(8, 8)), FLOATS, reason)

    def test_hooks_and_softmaxes(self):
        made = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
        made[0].register_forward_hook(lambda m, args, out: out + 1)
        with self.assertRaisesRegex(bytegate.Error, "differs"):
            bytegate.export(made, self.path("m.safetensors"), FLOATS)
        self.assertFalse(os.path.exists(self.path("m.safetensors")))
        self.check(nn.Sequential(nn.Linear(8, 8), nn.Softmax(dim=1)), FLOATS, "softmax over another dimension")
        self.check(nn.Sequential(nn.Linear(8, 8), nn.TransformerEncoderLayer(8, 2)), FLOATS, "module '1'")

    def test_modules(self):
        for cls in torch_modules.ALL:
            with self.subTest(module=cls.__name__):
                made, path = cls(), self.path("m.safetensors")
                report = bytegate.export(made, path, cls.example())
                if cls in (torch_modules.TiedLanguageModel,):
                    self.assertTrue(report.whole, report)
                else:
                    self.assertFalse(report.whole, report)
                    self.assertTrue(report.reason)

    def test_what_tracing_does_not_see(self):
        """A forward() that depends on what torch.fx takes for constant."""
        def by_rank(self, x):
            return self.square(x).relu() if len(self.seen) % 2 else self.square(x)

        class Counting(nn.Linear):
            pass

        made = module(by_rank, square=Counting(8, 8))
        made.seen = [1]
        self.assertTrue(bytegate.export(made, self.path("m.safetensors"), FLOATS).whole)

        def alternating(self, x):
            self.calls = getattr(self, "calls", 0) + 1
            y = self.square(x)
            return y.relu() if self.calls % 2 else y.sigmoid()

        made = module(alternating, square=nn.Linear(8, 8))
        os.unlink(self.path("m.safetensors"))
        try:
            report = bytegate.export(made, self.path("m.safetensors"), FLOATS)
            self.assertFalse(report.whole)
        except bytegate.Error:
            self.assertFalse(os.path.exists(self.path("m.safetensors")))

    def test_errors(self):
        self.refuse("takes a torch.nn.Module", lambda: bytegate.export(5, self.path("m"), FLOATS))
        self.refuse("example_inputs", lambda: bytegate.export(nn.Linear(8, 2), self.path("m"), None))
        self.refuse("no layer that the library has", lambda: bytegate.export(nn.GELU(), self.path("m"), FLOATS))
        self.refuse("", lambda: bytegate.export(nn.Linear(8, 2), self.path("none/m"), FLOATS), "io_error")
        self.refuse("float64", lambda: bytegate.export(nn.Linear(8, 2).double(), self.path("m"), FLOATS.double()))
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
