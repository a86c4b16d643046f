"""What the tests of int8 modules share. Imported, it ends a program as a skipped test where PyTorch is missing."""

from package_testing import PackageTest, need_torch

torch = need_torch()
# PyTorch's own, which it is removing.
quantization = getattr(torch, "quantization", None) or getattr(getattr(torch, "ao", None), "quantization", None)
if not hasattr(quantization, "quantize_dynamic"):
    quantization = None


def example_of(module):
    return module.example() if hasattr(module, "example") else (torch.randn(3, 8),)


def first(result):
    while isinstance(result, tuple) and not hasattr(result, "batch_sizes"):
        result = result[0]
    return result


class TorchTest(PackageTest):
    def setUp(self):
        super().setUp()
        self.enterContext(torch.no_grad())

    def same(self, a, b):
        self.equal(a.numpy(), b.numpy())

    def bits_of_cpp(self, kind, fields, module, int8, x, scheme):
        tensors = {name: tensor.detach().numpy() for name, tensor in module.named_parameters()}
        self.equal(first(int8(x)).numpy(), self.run_in_cpp(kind, fields, tensors, x.numpy(), scheme))
