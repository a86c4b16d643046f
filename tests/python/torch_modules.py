"""PyTorch modules of the kinds that people have, for the tests: each with a forward() of its own."""

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class AttentionTagger(nn.Module):
    """Words to tags, each step looking at all others."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 16)
        self.lstm = nn.LSTM(16, 12, num_layers=2, batch_first=True, bidirectional=True)
        self.score = nn.Linear(24, 1)
        self.tag = nn.Linear(48, 5)

    def forward(self, words):
        states, _ = self.lstm(self.embedding(words))
        weights = torch.softmax(self.score(torch.tanh(states)), dim=1)
        context = (weights * states).sum(dim=1, keepdim=True).expand_as(states)
        return self.tag(torch.cat([states, context], dim=-1))

    @staticmethod
    def example():
        return (torch.randint(0, 30, (3, 7)),)


class SelfAttention(nn.Module):
    """MultiheadAttention and an encoder layer between layers that are quantized."""

    def __init__(self):
        super().__init__()
        self.into = nn.Linear(10, 16)
        self.attention = nn.MultiheadAttention(16, 4)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32), 2)
        self.out = nn.Linear(16, 3)

    def forward(self, x):
        x = self.into(x)
        x = x + self.attention(x, x, x)[0]
        return self.out(self.encoder(x))

    @staticmethod
    def example():
        return (torch.randn(6, 2, 10),)


class Translator(nn.Module):
    """An encoder, and a decoder of cells in a loop."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.GRU(8, 12)
        self.cells = nn.ModuleList([nn.GRUCell(12, 12), nn.GRUCell(12, 12)])
        self.lstm_cell = nn.LSTMCell(12, 10)
        self.out = nn.Linear(10, 12)

    def forward(self, x, steps=4):
        _, h = self.encoder(x)
        states = [h[-1], torch.zeros_like(h[-1])]
        pair, y, outputs = None, torch.zeros_like(h[-1]), []
        for _ in range(steps):
            for i, cell in enumerate(self.cells):
                states[i] = y = cell(y, states[i])
            pair = self.lstm_cell(y, pair)
            y = self.out(pair[0])
            outputs.append(y)
        return torch.stack(outputs)

    @staticmethod
    def example():
        return (torch.randn(5, 2, 8),)


class Residual(nn.Module):
    """A ModuleList with residual connections and normalization."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.ModuleDict({"lstm": nn.LSTM(16, 16, batch_first=True),
                                                   "norm": nn.LayerNorm(16), "fc": nn.Linear(16, 16)})
                                    for _ in range(3))

    def forward(self, x):
        for block in self.blocks:
            y, _ = block["lstm"](x)
            x = x + functional.gelu(block["fc"](block["norm"](y)))
        return x

    @staticmethod
    def example():
        return (torch.randn(2, 5, 16),)


class TiedLanguageModel(nn.Module):
    """The output layer has the embedding's weights."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 16)
        self.lstm = nn.LSTM(16, 16)
        self.out = nn.Linear(16, 30)
        self.out.weight = self.embedding.weight
        self.init_weights()

    def init_weights(self):
        self.out.bias.data.zero_()
        self.embedding.weight.data.uniform_(-0.5, 0.5)

    def forward(self, words, state=None):
        y, state = self.lstm(self.embedding(words), state)
        return self.out(y), state

    @staticmethod
    def example():
        return (torch.randint(0, 30, (6, 2)),)


class Ragged(nn.Module):
    """Packed sequences, whose lengths are in any order."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 9, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(18, 4)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.fc(y)

    @staticmethod
    def example():
        return torch.randn(4, 7, 6), torch.tensor([3, 7, 1, 5])


class Shared(nn.Module):
    """One layer in two places, and one that reads a child's weights itself."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.again = nn.Sequential(self.first, nn.ReLU())
        self.read = nn.Linear(8, 8)
        self.last = nn.Linear(8, 2)

    def forward(self, x):
        x = self.again(self.first(x))
        return self.last(functional.linear(x, self.read.weight, self.read.bias))

    @staticmethod
    def example():
        return (torch.randn(3, 8),)


def sequential():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Sequential(nn.Linear(16, 16), nn.Tanh()), nn.Linear(16, 3))


class Projected(nn.Module):
    """Projections in both directions, and a state that is handed on from one layer to the next, unbatched."""

    def __init__(self):
        super().__init__()
        self.first = nn.LSTM(8, 12, num_layers=2, bidirectional=True, proj_size=5)
        self.second = nn.LSTM(10, 12, num_layers=2, bidirectional=True, proj_size=5)

    def forward(self, x):
        y, state = self.first(x)
        y, (h, c) = self.second(y, state)
        return torch.cat([y.flatten(), h.flatten(), c.flatten()])

    @staticmethod
    def example():
        return (torch.randn(6, 8),)


class PackedStates(nn.Module):
    """Packed sequences in any order with states of their own, through two kinds of layers that share an input."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 9, num_layers=2, batch_first=True)
        self.gru = nn.GRU(6, 9, bidirectional=True)
        self.fc = nn.Linear(27, 4)

    def forward(self, x, lengths, h, c):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        a, after = self.lstm(packed, (h, c))
        b, last = self.gru(packed, h)
        both = torch.cat([pad_packed_sequence(y, batch_first=True)[0] for y in (a, b)], -1)
        return self.fc(both), after, last

    @staticmethod
    def example():
        return torch.randn(4, 7, 6), torch.tensor([3, 7, 1, 5]), torch.randn(2, 4, 9), torch.randn(2, 4, 9)


class EveryKind(nn.Module):
    """The kinds that are quantized where the caller says so, with hooks that change what passes."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 8)
        self.conv = nn.Conv1d(8, 12, 3, padding=1, stride=2)
        self.rnn = nn.RNN(12, 10, nonlinearity="relu", batch_first=True, bidirectional=True)
        self.cell = nn.RNNCell(20, 7)
        self.out = nn.Sequential(nn.Linear(7, 9, bias=False), nn.Tanh(), nn.Linear(9, 2))
        self.conv.register_forward_hook(lambda module, args, y: torch.relu(y))
        self.rnn.register_forward_pre_hook(lambda module, args: (args[0] * 2, *args[1:]))

    def forward(self, words):
        x = self.conv(self.embedding(words).transpose(1, 2)).transpose(1, 2)
        y, h = self.rnn(x, torch.ones(2, len(x), 10))
        state = self.cell(torch.cat([h[0], h[1]], -1))
        for step in y.unbind(1):
            state = self.cell(step, state)
        return self.out(state)

    @staticmethod
    def example():
        return (torch.randint(0, 30, (3, 9)),)


MORE = (Projected, PackedStates, EveryKind)
ALL = (AttentionTagger, SelfAttention, Translator, Residual, TiedLanguageModel, Ragged, Shared)
