"""scheme="torch" beside PyTorch's own quantize_dynamic of the same module, by the rule for reference cases: as near as
1e-5 of the largest output, or, where a last bit of a float moved an activation by one step, an error of at most 5 % of
PyTorch's own error energy."""

import sys
import unittest

from package_testing import PackageTest, bytegate
from torch_testing import first, quantization, torch  # before torch: without it, the test is skipped

engines = getattr(getattr(torch.backends, "quantized", None), "supported_engines", ())
if quantization is None or "qnnpack" not in engines:
    print("skipped: this PyTorch has no quantize_dynamic with the engine qnnpack")
    sys.exit(77)
import torch_modules  # noqa: E402
from torch import nn  # noqa: E402
from bytegate.torch.modules import QuantizedModule  # noqa: E402

KINDS = bytegate._core.kinds()


class SchemeTest(PackageTest):
    def setUp(self):
        super().setUp()
        engine = torch.backends.quantized.engine
        torch.backends.quantized.engine = "qnnpack"
        self.addCleanup(setattr, torch.backends.quantized, "engine", engine)
        self.enterContext(torch.no_grad())

    def near(self, ours, theirs, plain, what):
        difference = (ours - theirs).abs().max()
        if difference <= 1e-5 * max(1.0, theirs.abs().max()):
            return
        energy, error = ((ours - theirs) ** 2).sum(), ((theirs - plain) ** 2).sum()
        self.assertLessEqual(energy, 0.05 * error, what)

    def check(self, module, *example):
        module.eval()
        ours = bytegate.quantize_dynamic(module, scheme="torch")
        theirs = quantization.quantize_dynamic(module, dtype=torch.qint8)
        self.near(first(ours(*example)), first(theirs(*example)), first(module(*example)), type(module).__name__)
        self.assertTrue([m for m in ours.modules() if isinstance(m, QuantizedModule)])

    def test_layers(self):
        self.check(nn.Sequential(nn.Linear(12, 7)), torch.randn(3, 12))
        self.check(nn.Sequential(nn.Linear(12, 7, bias=False)), torch.randn(2, 3, 12) * 30)
        for options in ({}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True}):
            self.check(nn.Sequential(nn.LSTM(6, 9, **options)), torch.randn(5, 2, 6))
            if "gru" in KINDS:
                self.check(nn.Sequential(nn.GRU(6, 9, **options)), torch.randn(5, 2, 6))
        if "lstm_cell" in KINDS:
            for cell in (nn.LSTMCell(6, 9), nn.GRUCell(6, 9), nn.RNNCell(6, 9), nn.RNNCell(6, 9, nonlinearity="relu")):
                self.check(nn.Sequential(cell), torch.randn(3, 6))

    def test_modules(self):
        for cls in torch_modules.ALL:
            if cls in (torch_modules.SelfAttention, torch_modules.Shared):
                continue  # which PyTorch's own makes of it a model that does not run
            if cls is torch_modules.Translator and "gru_cell" not in KINDS:
                continue
            self.check(cls(), *cls.example())
        self.check(torch_modules.sequential(), torch.randn(3, 8))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
