"""The int8 recurrent modules."""

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from bytegate._error import Error
from bytegate.torch.modules import QuantizedModule
from bytegate.torch.tensors import to_array as _to_array
from bytegate.torch.threads import num_threads as _num_threads

_from_numpy = torch.from_numpy


def _as_states(hx, count, name):
    """The state as a tuple of tensors."""
    if count == 1:
        return (hx,)
    if not isinstance(hx, (tuple, list)) or len(hx) != count:
        raise Error("invalid_argument", f"the state of {name} must be a pair of tensors, (h, c)")
    return tuple(hx)


class _Recurrent(QuantizedModule):
    STATES = 1

    @classmethod
    def options(cls):
        return ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional", "mode",
                "proj_size")

    def fields(self):
        fields = {name: getattr(self, name) for name in ("input_size", "hidden_size", "num_layers", "bias",
                                                          "batch_first", "bidirectional")}
        if self.proj_size:
            fields["proj_size"] = self.proj_size
        return fields

    def forward(self, input, hx=None):
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        x, states = _to_array(input, self.NAME), hx
        if hx is not None:
            states = [_to_array(h, self.NAME, "the state") for h in _as_states(hx, self.STATES, self.NAME)]
        y, after = self._layer.run_with_state(x, states, None, self.num_threads or _num_threads())
        if self.STATES == 1:
            return _from_numpy(y), _from_numpy(after[0])
        return _from_numpy(y), (_from_numpy(after[0]), _from_numpy(after[1]))

    def _forward_packed(self, packed, hx):
        data, batch_sizes, sorted_indices, unsorted_indices = packed
        self._input(data)
        padded, lengths = pad_packed_sequence(PackedSequence(data.detach(), batch_sizes), self.batch_first)
        states = None
        if hx is not None:
            states = _as_states(hx, self.STATES, self._get_name())
            if sorted_indices is not None:
                states = [h.index_select(1, sorted_indices) for h in states]
            states = [self._input(h, "the state") for h in states]
        y, after = self._layer.run_with_state(padded.numpy(), states, lengths.numpy(), self._threads())
        after = [torch.from_numpy(state) for state in after]
        if unsorted_indices is not None:
            after = [h.index_select(1, unsorted_indices) for h in after]
        output = pack_padded_sequence(torch.from_numpy(y), lengths, self.batch_first)
        result = PackedSequence(output.data, batch_sizes, sorted_indices, unsorted_indices)
        return result, after[0] if self.STATES == 1 else tuple(after)


class LSTM(_Recurrent):
    FLOAT, KIND, STATES = nn.LSTM, "lstm", 2


class GRU(_Recurrent):
    FLOAT, KIND = nn.GRU, "gru"


class RNN(_Recurrent):
    FLOAT, KIND = nn.RNN, "rnn"

    @classmethod
    def options(cls):
        return (*super().options(), "nonlinearity")

    def fields(self):
        return {**super().fields(), "nonlinearity": self.nonlinearity}


class _Cell(QuantizedModule):
    STATES = 1

    @classmethod
    def options(cls):
        return "input_size", "hidden_size", "bias"

    def fields(self):
        return {name: getattr(self, name) for name in self.options()}

    def forward(self, input, hx=None):
        x, states = _to_array(input, self.NAME), hx
        if hx is not None:
            states = [_to_array(h, self.NAME, "the state") for h in _as_states(hx, self.STATES, self.NAME)]
        after = self._layer.run_with_state(x, states, None, self.num_threads or _num_threads())[1]
        if self.STATES == 1:
            return _from_numpy(after[0])
        return _from_numpy(after[0]), _from_numpy(after[1])


class LSTMCell(_Cell):
    FLOAT, KIND, STATES = nn.LSTMCell, "lstm_cell", 2


class GRUCell(_Cell):
    FLOAT, KIND = nn.GRUCell, "gru_cell"


class RNNCell(_Cell):
    FLOAT, KIND = nn.RNNCell, "rnn_cell"

    @classmethod
    def options(cls):
        return (*super().options(), "nonlinearity")
