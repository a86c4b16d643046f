"""What int8 modules refuse, and in which words; threads, warnings, and what tracing and compiling meet."""

import os
import sys
import threading
import unittest
import warnings

from package_testing import PackageTest, bytegate, need_torch

torch = need_torch()
from torch import nn  # noqa: E402

import torch_modules  # noqa: E402
from bytegate.torch.modules import QuantizedModule  # noqa: E402
from bytegate.torch.threads import num_threads  # noqa: E402


class ErrorsTest(PackageTest):
    def test_inputs(self):
        fc, lstm = bytegate.quantize_dynamic(nn.Linear(4, 3)), bytegate.quantize_dynamic(nn.LSTM(4, 3))
        embedding = bytegate.quantize_dynamic(nn.Embedding(4, 3), {nn.Embedding})
        for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int64):
            self.refuse("must be of type torch.float32, not " + str(dtype), lambda: fc(torch.ones(2, 4).to(dtype)))
            self.refuse("float32", lambda: lstm(torch.ones(2, 1, 4).to(dtype)))
        self.refuse(r"\[2, 5\].* 4", lambda: fc(torch.ones(2, 5)), "shape_mismatch")
        self.refuse(r"\[2, 1, 5\].* 4", lambda: lstm(torch.ones(2, 1, 5)), "shape_mismatch")
        self.refuse("must be a torch.Tensor, not list", lambda: fc([1.0]))
        self.refuse(r"pair of tensors, \(h, c\)", lambda: lstm(torch.ones(2, 1, 4), torch.ones(1, 1, 3)))
        self.refuse("state", lambda: lstm(torch.ones(2, 1, 4), (torch.ones(1, 2, 3), torch.ones(1, 1, 3))),
                    "shape_mismatch")
        self.refuse("the state of .*float32", lambda: lstm(torch.ones(2, 1, 4), (torch.ones(1, 1, 3).double(),) * 2))
        self.refuse("int64, not torch.float32", lambda: embedding(torch.ones(2)))
        self.refuse("index 4", lambda: embedding(torch.tensor([0, 4])))
        self.assertEqual(embedding(torch.tensor([0, 3], dtype=torch.int32)).shape, (2, 3))
        meta = torch.ones(2, 4, device="meta")
        self.refuse("device meta", lambda: fc(meta))
        self.refuse("no plain tensor|Tensor", lambda: fc(torch.ones(2, 4).to_sparse()))

    def test_grad(self):
        fc = bytegate.quantize_dynamic(nn.Linear(4, 3))
        x = torch.ones(2, 4, requires_grad=True)
        self.refuse("requires grad", lambda: fc(x))
        lstm = bytegate.quantize_dynamic(nn.LSTM(4, 3))
        self.refuse("requires grad", lambda: lstm(torch.ones(2, 1, 4), (torch.ones(1, 1, 3, requires_grad=True),) * 2))
        for mode in (torch.no_grad(), torch.inference_mode()):
            with mode:
                self.assertFalse(fc(x).requires_grad)
        with torch.inference_mode():
            fc(torch.ones(2, 4))
        self.assertEqual(fc(torch.ones(2, 4)).shape, (2, 3))

    def test_modules(self):
        self.refuse("layer '1': weight is of type torch.float64",
                    lambda: bytegate.quantize_dynamic(nn.Sequential(nn.ReLU(), nn.Linear(2, 3).double())))
        self.refuse("device meta", lambda: bytegate.quantize_dynamic(nn.Linear(2, 3, device="meta")))
        broken = nn.Sequential(nn.Linear(2, 3))
        broken[0].weight.data[0, 0] = float("nan")
        self.refuse("layer '0': .*(NaN|nan|infinit)", lambda: bytegate.quantize_dynamic(broken))
        self.refuse("65,?536", lambda: bytegate.quantize_dynamic(nn.Linear(65537, 1)))
        for dtype in (torch.float16, torch.quint8, "int4"):
            self.refuse("only torch.qint8", lambda: bytegate.quantize_dynamic(nn.Linear(2, 3), dtype=dtype))
        self.assertIsInstance(bytegate.quantize_dynamic(nn.Linear(2, 3), {nn.Linear}, torch.qint8), QuantizedModule)
        self.refuse("there is no scheme", lambda: bytegate.quantize_dynamic(nn.Linear(2, 3), scheme="int4"))
        self.refuse("no backend", lambda: bytegate.quantize_dynamic(nn.Linear(2, 3), backend="gpu"), "unknown_backend")
        self.refuse("qconfig_spec has", lambda: bytegate.quantize_dynamic(nn.Linear(2, 3), {5}))
        self.refuse("not dict", lambda: bytegate.quantize_dynamic({}))

    def test_recorded_calls(self):
        model = bytegate.quantize_dynamic(nn.Sequential(nn.Linear(4, 3)))
        self.refuse("torch.jit.trace cannot record", lambda: torch.jit.trace(model, torch.ones(2, 4)))
        self.refuse("torch.jit.script cannot", lambda: torch.jit.script(model))

    @unittest.skipUnless(hasattr(torch, "compile"), "this PyTorch has no torch.compile")
    def test_compile(self):
        model = bytegate.quantize_dynamic(nn.Sequential(nn.Linear(4, 3)))
        model = torch.compile(model, backend="eager", fullgraph=True)
        with self.assertRaises(Exception):
            model(torch.ones(2, 4))

    def test_warnings(self):
        model = nn.Sequential(nn.Conv1d(2, 3, 2), nn.Linear(3, 3), nn.Embedding(3, 2))
        kinds = {nn.Conv1d, nn.Linear, nn.Embedding}
        with self.assertWarnsRegex(UserWarning, "torch_per_tensor_8bit these stay float, as PyTorch leaves them: 0, 2"):
            int8 = bytegate.quantize_dynamic(model, kinds, scheme="torch")
        self.assertEqual([isinstance(m, QuantizedModule) for m in int8], [False, True, False])
        odd = nn.Sequential(nn.Conv1d(4, 4, 3, groups=2), nn.Conv1d(4, 4, 3, padding_mode="circular"),
                            nn.Conv1d(4, 4, 2, padding="same"), nn.Embedding(3, 2, max_norm=1.0),
                            nn.Conv1d(4, 4, 3, padding="same"), nn.Conv1d(4, 4, 3, padding="valid", groups=4))
        with self.assertWarnsRegex(UserWarning, "stay float: 0 .2 groups., 1 .padding_mode 'circular'., 2 .*, 3 "):
            int8 = bytegate.quantize_dynamic(odd, kinds)
        self.assertEqual([isinstance(m, QuantizedModule) for m in int8], [False] * 4 + [True] * 2)
        with torch.no_grad():
            x = torch.randn(2, 4, 9)
            for i in (4, 5):
                self.assertLess((int8[i](x) - odd[i](x)).abs().max(), 0.1)
        with self.assertWarnsRegex(UserWarning, "nothing was quantized: .*0.linear1, 0.linear2"):
            bytegate.quantize_dynamic(nn.Sequential(nn.TransformerEncoderLayer(8, 2, 8)), {"0"})
        with self.assertWarnsRegex(UserWarning, "0 .6 groups"):
            bytegate.quantize_dynamic(nn.Sequential(nn.Conv1d(6, 12, 3, groups=6)), {nn.Conv1d})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            bytegate.quantize_dynamic(torch_modules.Residual())

    def test_threads(self):
        self.assertEqual(num_threads(), min(torch.get_num_threads(), 256))
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(3)
            self.assertEqual(num_threads(), 3)
            bytegate.set_num_threads(2)
            self.assertEqual(num_threads(), 2)
            model, (x,) = bytegate.quantize_dynamic(torch_modules.Residual()), torch_modules.Residual.example()
            with torch.no_grad():
                two = model(x)
                bytegate.set_num_threads(1)
                self.assertTrue(torch.equal(model(x), two))
            for count in (0, 257):
                self.refuse("1 to 256", lambda: bytegate.set_num_threads(count))
        finally:
            bytegate.set_num_threads(None)
            torch.set_num_threads(before)

    def test_called_by_threads(self):
        model = bytegate.quantize_dynamic(torch_modules.AttentionTagger())
        (x,) = torch_modules.AttentionTagger.example()
        wrong = []
        with torch.no_grad():
            expected = model(x)

        def work():
            with torch.no_grad():
                for _ in range(20):
                    if not torch.equal(model(x), expected):
                        wrong.append(1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertFalse(wrong)

    def test_nan_stays_in_its_row(self):
        with torch.no_grad():
            fc, x = bytegate.quantize_dynamic(nn.Linear(4, 3)), torch.randn(3, 4)
            expected = fc(x)
            x[1, 2] = float("nan")
            y = fc(x)
        self.assertTrue(y[1].isnan().all())
        self.assertTrue(torch.equal(y[[0, 2]], expected[[0, 2]]))

    def test_other_views(self):
        """Transposed tensors and slices, and outputs that own their memory."""
        with torch.no_grad():
            fc, x = bytegate.quantize_dynamic(nn.Linear(4, 3)), torch.randn(4, 5, 6)
            self.assertTrue(torch.equal(fc(x.transpose(0, 2)), fc(x.transpose(0, 2).contiguous())))
            self.assertTrue(torch.equal(fc(x[:, 1, 1:5]), fc(x[:, 1, 1:5].clone())))
            y = fc(torch.ones(1, 4))
            before = y.clone()
            fc(torch.zeros(1, 4))
            self.assertTrue(torch.equal(y, before))
            self.assertEqual(fc(torch.ones(4)).shape, (3,))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
