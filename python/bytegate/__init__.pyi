from bytegate._core import load_backend as load_backend
from bytegate._error import Error as Error
from bytegate._info import info as info, inspect as inspect
from bytegate._layers import (
    ELU as ELU, GRU as GRU, LSTM as LSTM, RNN as RNN, Conv1d as Conv1d, Embedding as Embedding, Flatten as Flatten,
    GRUCell as GRUCell, LastStep as LastStep, Layer as Layer, LayerNorm as LayerNorm, LeakyReLU as LeakyReLU,
    Linear as Linear, LogSoftmax as LogSoftmax, LSTMCell as LSTMCell, Permute as Permute, ReLU as ReLU,
    RNNCell as RNNCell, Sigmoid as Sigmoid, Softmax as Softmax, Tanh as Tanh)
from bytegate._models import (
    Model as Model, Sequential as Sequential, Stream as Stream, load as load, load_layers as load_layers)
from bytegate._quantize import quantize_dynamic as quantize_dynamic
from bytegate.onnx.convert import convert_onnx as convert_onnx
from bytegate.torch.export import export as export
from bytegate.torch.threads import set_num_threads as set_num_threads

__version__: str
__all__: list[str]
