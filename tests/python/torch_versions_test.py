"""What differs between versions of PyTorch: the package uses nothing that newer ones have removed, and does what they
expect of a module. What this PyTorch has is taken away, and what it lacks is put in its place."""

import collections
import copy
import inspect
import io
import os
import pickle
import subprocess
import sys
import unittest
from unittest import mock

from package_testing import PACKAGE, bytegate
from torch_testing import TorchTest, torch  # before torch: without it, the test is skipped

from torch import nn

WITHOUT = """
import sys
import torch
from torch import nn
import torch.nn.utils.parametrize
for name in ("quantization", "ao", "compile", "compiler", "qint8"):
    if hasattr(torch, name):
        delattr(torch, name)
for name in [name for name in sys.modules if name.startswith(("torch.ao", "torch.quantization"))]:
    sys.modules[name] = None  # an import is an error
for module, name in ((torch.jit, "is_tracing"), (nn.modules.linear, "NonDynamicallyQuantizableLinear"),
                     (nn.utils, "weight_norm")):
    if hasattr(module, name):
        delattr(module, name)
import bytegate

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.attention = nn.LSTM(8, 8), nn.MultiheadAttention(8, 2)
        self.encoder, self.fc = nn.TransformerEncoderLayer(8, 2, 16), nn.Linear(8, 3)

    def forward(self, x):
        x = self.lstm(x)[0]
        return self.fc(self.encoder(self.attention(x, x, x)[0]))

model = Model().eval()
int8 = bytegate.quantize_dynamic(model)
x = torch.randn(5, 2, 8)
with torch.no_grad():
    assert (int8(x) - model(x)).abs().max() < 0.2
assert int8.fc._get_name() == int8.lstm._get_name().replace("LSTM", "Linear") == "DynamicQuantizedLinear"
other = bytegate.quantize_dynamic(Model(), dtype="qint8")
other.load_state_dict(int8.state_dict())
with torch.no_grad():
    assert torch.equal(other(x), int8(x))
report = bytegate.export(nn.Sequential(nn.Linear(8, 3), nn.ReLU()), sys.argv[1], x)
assert report.whole
print("done")
"""


class VersionsTest(TorchTest):
    def test_without_what_is_removed(self):
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", WITHOUT, self.path("m.safetensors")], check=False,
                              env={**os.environ, "PYTHONPATH": PACKAGE}, capture_output=True, text=True)
        self.assertEqual(done.stdout, "done\n", done.stderr[-3000:])

    def test_compiling_is_refused(self):
        """As torch.compiler.is_compiling() says, which this PyTorch may not have."""
        model = bytegate.quantize_dynamic(nn.Sequential(nn.Linear(4, 3)))
        lstm = bytegate.quantize_dynamic(nn.LSTM(4, 3))
        with mock.patch("bytegate.torch.tensors._is_compiling", lambda: True):
            self.refuse("torch.compile and torch.export cannot", lambda: model(torch.ones(2, 4)))
            self.refuse("torch.compile and torch.export cannot", lambda: lstm(torch.ones(2, 1, 4)))
        with mock.patch("bytegate.torch.tensors._is_compiling", lambda: False):
            self.assertEqual(model(torch.ones(2, 4)).shape, (2, 3))

    def test_fx_is_refused(self):
        model = bytegate.quantize_dynamic(nn.Sequential(nn.Linear(4, 3)))
        self.refuse("torch.fx cannot record", lambda: torch.fx.symbolic_trace(model))

    def test_tensors_without_memory(self):
        """Those of fake modes and of vmap are an error, not a crash."""
        fc = bytegate.quantize_dynamic(nn.Linear(4, 3))
        fake = getattr(getattr(torch, "_subclasses", None), "FakeTensorMode", None)
        if fake is not None:
            with fake():
                x = torch.ones(2, 4)
                self.refuse("no plain tensor|device|float32", lambda: fc(x))
        vmap = getattr(getattr(torch, "func", None), "vmap", None)
        if vmap is None:
            try:
                from functorch import vmap
            except ImportError:
                return
        self.refuse("no plain tensor", lambda: vmap(fc)(torch.ones(2, 4)))

    def test_whole_modules_and_state_dicts_as_files(self):
        """torch.load of today reads tensors only, unless told otherwise."""
        model = bytegate.quantize_dynamic(nn.Sequential(nn.LSTM(4, 5), nn.Identity()))
        whole, tensors = io.BytesIO(), io.BytesIO()
        torch.save(model, whole)
        torch.save(model.state_dict(), tensors)
        whole.seek(0)
        tensors.seek(0)
        strict = "weights_only" in inspect.signature(torch.load).parameters
        again = torch.load(whole, **({"weights_only": False} if strict else {}))
        x = torch.randn(3, 4)
        self.same(again[0](x)[0], model[0](x)[0])
        other = bytegate.quantize_dynamic(nn.Sequential(nn.LSTM(4, 5), nn.Identity()))
        other.load_state_dict(torch.load(tensors, **({"weights_only": True} if strict else {})))
        self.same(other[0](x)[0], model[0](x)[0])

    def test_attributes_of_newer_modules(self):
        """Tables of hooks that newer versions have are kept; what Module.compile() leaves is not copied."""
        fc = nn.Linear(4, 3)
        for name in ("_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs"):
            if not hasattr(fc, name):
                setattr(fc, name, collections.OrderedDict())
            getattr(fc, name)[7] = True
        int8 = bytegate.quantize_dynamic(fc)
        self.assertTrue(int8._forward_hooks_with_kwargs[7] and int8._forward_pre_hooks_with_kwargs[7])
        int8._compiled_call_impl = lambda *args: self.fail("a compiled call was copied")
        for again in (copy.deepcopy(int8), pickle.loads(pickle.dumps(int8))):
            self.assertNotIn("_compiled_call_impl", vars(again))

    def test_inference_tensors(self):
        """Modules that are made under inference_mode, whose tensors do not count their changes."""
        with torch.inference_mode():
            model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        self.assertTrue(bytegate.export(model, self.path("m"), torch.ones(2, 4)).whole)
        self.assertEqual(bytegate.quantize_dynamic(model)(torch.ones(2, 4)).shape, (2, 3))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
