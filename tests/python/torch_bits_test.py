"""Each int8 layer inside modules of any forward() has the bits of the same layer in C++ and of the layer that is made
from arrays, and the module that was quantized is as it was."""

import sys
import unittest

from package_testing import bytegate
from torch_testing import TorchTest, example_of, first, torch  # before torch: without it, the test is skipped

import torch_modules
from torch import nn
from torch.nn.utils.rnn import pad_packed_sequence
from bytegate.torch.modules import QuantizedModule

RECURRENT = {"lstm", "gru", "rnn", "lstm_cell", "gru_cell", "rnn_cell"}


class BitsTest(TorchTest):
    def test_any_forward(self):
        """Each replaced layer's output has the bits of C++ for the input it had, and the original is untouched."""
        types = {nn.Linear, nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell}
        for make in (*torch_modules.ALL, *torch_modules.MORE, torch_modules.sequential):
            module = make()
            before, training = {k: v.clone() for k, v in module.state_dict().items()}, module.training
            every = {nn.RNN, nn.RNNCell, nn.Conv1d, nn.Embedding} if make is torch_modules.EveryKind else set()
            int8 = bytegate.quantize_dynamic(module, types | every)
            with self.subTest(module=make.__name__):
                self.follow(module, int8, example_of(module))
                self.assertEqual(module.training, training)
                self.assertFalse(int8.training)
                self.assertFalse([m for m in module.modules() if isinstance(m, QuantizedModule)])
                for name, tensor in module.state_dict().items():
                    self.assertTrue(torch.equal(tensor, before[name]), name)

    def follow(self, module, int8, example):
        floats, calls = dict(module.named_modules()), []
        names = {m: name for name, m in int8.named_modules()}
        replaced = [m for m in int8.modules() if isinstance(m, QuantizedModule)]
        self.assertTrue(replaced)
        hooks = [m.register_forward_hook(lambda m, args, out: calls.append((m, args, out))) for m in replaced]
        got = first(int8(*example))
        for hook in hooks:
            hook.remove()
        self.assertEqual(got.shape, first(module.eval()(*example)).shape)
        module.train()
        self.assertLess((got - first(module.eval()(*example))).abs().max(), 0.2)
        module.train()
        self.assertEqual({m for m, _, _ in calls}, set(replaced))
        for m, args, out in calls:
            packed, state = hasattr(args[0], "batch_sizes"), args[1] if len(args) > 1 else None
            if m.KIND in RECURRENT:
                self.bits_of_arrays(floats[names[m]], m, args[0], state, out)
            if packed or state is not None:
                continue  # the program in C++ takes neither
            options = {name: getattr(m, name) for name in ("batch_first", "nonlinearity") if hasattr(m, name)}
            if m.KIND == "conv1d":
                options = {"stride": m.stride[0], "padding": m.padding[0]}
            tensors = {name: tensor.detach().numpy() for name, tensor in floats[names[m]].named_parameters()}
            expected = self.run_in_cpp(m.KIND, options, tensors, args[0].numpy(), m.scheme)
            if not floats[names[m]]._forward_hooks:
                self.equal(first(out).numpy(), expected)
            self.equal(first(m.forward(*args)).numpy(), expected)

    def bits_of_arrays(self, module, int8, x, state, out):
        """A call of a recurrent module has the bits of the layer that is made from arrays, each sequence alone."""
        tensors = {name: tensor.detach().numpy() for name, tensor in module.named_parameters()}
        options = {"nonlinearity": module.nonlinearity} if hasattr(module, "nonlinearity") else {}
        layer, pair = getattr(bytegate, type(module).__name__)(tensors, **options), int8.STATES == 2
        layer = bytegate.quantize_dynamic(layer)
        if int8.KIND.endswith("_cell"):
            expected = layer(x.numpy(), None if state is None else tuple(s.numpy() for s in state) if pair
                             else state.numpy())
            for a, b in zip(out if pair else (out,), expected if pair else (expected,)):
                self.equal(a.numpy(), b)
            return
        y, after = out
        states = None if state is None else state if pair else (state,)
        if hasattr(x, "batch_sizes"):
            (x, lengths), (y, _) = pad_packed_sequence(x), pad_packed_sequence(y)
        elif x.dim() == 2:
            x, y, lengths = x.unsqueeze(1), y.unsqueeze(1), [len(x)]
            states = None if states is None else [s.unsqueeze(1) for s in states]
            after = tuple(s.unsqueeze(1) for s in after) if pair else after.unsqueeze(1)
        else:
            x, y = (x.transpose(0, 1), y.transpose(0, 1)) if int8.batch_first else (x, y)
            lengths = [len(x)] * x.shape[1]
        for i, steps in enumerate(lengths):
            given = None if states is None else [s[:, i].numpy() for s in states]
            alone, end = layer(x[:steps, i].numpy(), given if pair or given is None else given[0])
            self.equal(y[:steps, i].numpy(), alone)
            for a, b in zip(after if pair else (after,), end if pair else (end,)):
                self.equal(a[:, i].numpy(), b)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
