"""export of modules that look like chains of layers and are none, and of chains in unusual words: whatever is written
as a whole model has the module's outputs, and a module is the same before and after."""

import os
import sys
import unittest

from package_testing import PackageTest, bytegate, need_torch, np

torch = need_torch()
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

ROWS, SEQUENCES = torch.randn(5, 8), torch.randn(3, 6, 8)


class Module(nn.Module):
    """One with layers to call."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.relu = nn.ReLU(inplace=True)
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.both_ways = nn.LSTM(8, 4, bidirectional=True)
        self.flat = nn.Linear(48, 4)
        self.list = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.register_buffer("count", torch.zeros(1))
        self.kept = None


def module(forward):
    return type("Example", (Module,), {"forward": forward})()


class DropoutThatStays(nn.Dropout):
    def forward(self, x):
        return functional.dropout(x, self.p, True)


def discarded(change):
    """A forward() that changes a tensor in place and goes on with it."""
    def forward(self, x):
        y = self.first(x)
        change(self, y)
        return self.second(y)
    return forward


def written_in(self, x):
    y = self.first(x)
    y[:, 0] = 0
    return self.second(y)


def used_before_the_change(self, x):
    y = self.first(x)
    z = torch.relu(y)
    y.sigmoid_()
    return self.second(y) + z


def keeps_a_state(self, x):
    y, self.kept = self.lstm(x, self.kept)
    return y


def counts(self, x):
    self.count += 1
    return self.first(x)


def catches_a_branch(self, x):
    try:
        if x.shape[0] > 50:
            return self.second(x)
    except Exception:
        pass
    return self.first(x)


def looks_at_the_type(self, x):
    return self.first(x * 2 if isinstance(x, torch.Tensor) else x)


def branches(self, x):
    return self.first(x) if x.mean() > 0 else self.second(x)


def loops_by_values(self, x):
    while x.sum() < 100:
        x = x + 1
    return self.first(x)


def rows_of_one_sequence(self, x):
    batch, steps, _ = x.shape
    return self.first(x).view(batch * steps, 8)


def last_of_both_ways(self, x):
    _, (h, _) = self.both_ways(x)
    return h[-1]


BROKEN = [  # forward, example, what the reason says
    (discarded(lambda self, y: functional.relu(y, inplace=True)), ROWS, "'relu'.* in place"),
    (discarded(lambda self, y: functional.leaky_relu(y, 0.2, True)), ROWS, "'leaky_relu'.* in place"),
    (discarded(lambda self, y: self.relu(y)), ROWS, "'relu' changes a tensor in place"),
    (discarded(lambda self, y: y.clamp_(0, 1)), ROWS, "'clamp_'.* in place"),
    (discarded(lambda self, y: torch.tanh(y, out=y)), ROWS, "'tanh'.* in place"),
    (written_in, ROWS, "item assignment"), (used_before_the_change, ROWS, "'sigmoid_'.* in place"),
    (keeps_a_state, SEQUENCES, "'kept'"), (counts, ROWS, "'count'"), (catches_a_branch, ROWS, "control flow"),
    (looks_at_the_type, ROWS, "besides calling the layers"), (branches, ROWS, "control flow"),
    (loops_by_values, ROWS, "control flow"), (rows_of_one_sequence, SEQUENCES, "iterated"),
    (last_of_both_ways, SEQUENCES, "'getitem'"),
    (lambda self, x: self.first(x.float()), torch.ones(2, 8, dtype=torch.int64), "converts it"),
    (lambda self, x: self.first(x).double(), ROWS, "'double'"),
    (lambda self, x: functional.softmax(self.first(x), -1, dtype=torch.float64), ROWS, "'softmax'"),
    (lambda self, x: functional.softmax(self.first(x), 0), ROWS, "'softmax'"),
    (lambda self, x: functional.dropout(self.first(x), 0.5), ROWS, "'dropout'"),
    (lambda self, x: self.first(x)[:, :-1], SEQUENCES, "'getitem'"),
    (lambda self, x: self.first(x)[..., -1], SEQUENCES, "'getitem'"),
    (lambda self, x: self.first(x)[0], SEQUENCES, "'getitem'"),
    (lambda self, x: self.first(x).view(-1, 8), SEQUENCES, "'view'"),
    (lambda self, x: self.flat(x.view(3, 48)), SEQUENCES, "'view'"),
    (lambda self, x: self.lstm(x)[1], SEQUENCES, "output"),
    (lambda self, x: (self.lstm(x)[1][0], self.lstm(x)[0]), SEQUENCES, "already|output"),
    (lambda self, x: self.lstm(x.flip(1))[0], SEQUENCES, "'flip'"),
    (lambda self, x: torch.sigmoid(self.first(x)) * self.second(x), ROWS, "'second'.* already"),
    (lambda self, x: torch.topk(self.first(x), 2), ROWS, "'topk'"),
    (lambda self, x: self.first(x).unsqueeze(0), ROWS, "'unsqueeze'"),
    (lambda self, x: self.first(x) + torch.ones(8), ROWS, "tensor"),
]


def all_of_a_list(self, x):
    for layer in self.list:
        x = torch.relu(layer(x))
    return x


def flag(self, x, both=False):
    return self.first(x) if both else self.first(x).relu()


WHOLE = [  # forward, example, kinds
    (lambda self, x: self.first(self.first(x)), ROWS, "linear linear"),
    (all_of_a_list, ROWS, "linear relu linear relu linear relu"),
    (flag, ROWS, "linear relu"),
    (lambda self, x: self.relu(self.first(x)).clone(), ROWS, "linear relu"),
    (lambda self, x: self.second(functional.relu(self.first(x), inplace=True)), ROWS, "linear relu linear"),
    (lambda self, x: self.first(x)[-1], SEQUENCES, "linear last_step"),
    (lambda self, x: self.first(x.transpose(dim0=1, dim1=0)), SEQUENCES, "permute linear"),
    (lambda self, x: self.flat(x.view(x.shape[0], -1)), SEQUENCES, "flatten linear"),
    (lambda self, x: self.second(self.lstm(x)[1][0].squeeze(0)), SEQUENCES, "lstm last_step linear"),
    (lambda self, x: self.both_ways(x)[0][-1], SEQUENCES, "lstm last_step"),
    (lambda self, x: functional.dropout(self.first(x), 0.5, self.training), ROWS, "linear"),
]


def held(made):
    """What a module holds: attributes as they are, tensors as copies."""
    return [(name, {key: value for key, value in vars(m).items() if not key.startswith("_")},
             {key: tensor.clone() for key, tensor in m.state_dict().items()}) for name, m in made.named_modules()]


class HostileTest(PackageTest):
    def unchanged(self, before, made):
        for (name, attributes, tensors), (_, now, tensors_now) in zip(before, held(made)):
            self.assertEqual(attributes, now, name)
            for key, tensor in tensors.items():
                self.assertTrue(torch.equal(tensor, tensors_now[key]), key)

    def right(self, made, path, x):
        model = bytegate.load(path)
        for given in (x, torch.randn_like(x) * 5):
            with torch.no_grad():
                expected = made.eval()(given).numpy()
            got = model.run(given.numpy())
            self.assertEqual(got.shape, expected.shape)
            self.assertLessEqual(np.abs(got - expected).max(), 1e-5 * max(1, np.abs(expected).max()))
        return model

    def test_no_chains(self):
        for i, (forward, x, reason) in enumerate(BROKEN):
            with self.subTest(i=i, reason=reason):
                made, path = module(forward), self.path(f"{i}.safetensors")
                before = held(made)
                report = bytegate.export(made, path, x)
                self.assertFalse(report.whole, report)
                self.assertRegex(report.reason, reason)
                self.unchanged(before, made)
                with self.assertRaisesRegex(bytegate.Error, "no architecture|layer"):
                    bytegate.load(path)

    def test_chains(self):
        for i, (forward, x, kinds) in enumerate(WHOLE):
            with self.subTest(i=i, kinds=kinds):
                made, path = module(forward), self.path(f"{i}.safetensors")
                before = held(made)
                report = bytegate.export(made, path, x)
                self.assertTrue(report.whole, report)
                self.unchanged(before, made)
                self.assertEqual(" ".join(layer.kind for _, layer in self.right(made, path, x).layers()), kinds)

    def test_modules_that_look_like_others(self):
        patched = nn.ReLU()
        patched.forward = lambda x: x + 1
        for child, reason in ((DropoutThatStays(), "'dropout'"), (patched, "module '1'"), (nn.ReLU6(), "module '1'"),
                              (nn.Softmax(dim=0), "another dimension"), (nn.Flatten(0), "module '1'"),
                              (nn.BatchNorm1d(8, track_running_stats=False), "cannot be folded")):
            made = nn.Sequential(nn.Linear(8, 8), child)
            report = bytegate.export(made, self.path("m"), ROWS)
            self.assertRegex(report.reason, reason)
        for convolution in (nn.Conv1d(6, 6, 3, groups=2), nn.Conv1d(6, 12, 3, groups=6)):
            report = bytegate.export(nn.Sequential(convolution, nn.Linear(6, 2)), self.path("m"), torch.randn(2, 6, 8))
            self.assertRegex(report.reason, "module '0'")

    def test_values_that_are_no_numbers(self):
        made = nn.Sequential(nn.Linear(8, 3), nn.ReLU())
        with torch.no_grad():
            made[0].weight[1, 2] = float("inf")
        self.assertTrue(bytegate.export(nn.Sequential(made[0]), self.path("m"), ROWS).whole)
        big = nn.Linear(8, 3)
        with torch.no_grad():
            big.weight.mul_(1e6)
        report = bytegate.export(big, self.path("m"), ROWS)
        self.assertTrue(report.whole)
        self.assertLess(report.verified, 1e-5)
        self.assertEqual(len(os.listdir(self.folder)), 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
