"""The layers: each a configuration and a pure call."""

from pellucid.layers.activation import ELU as ELU
from pellucid.layers.activation import Activation as Activation
from pellucid.layers.activation import LeakyReLU as LeakyReLU
from pellucid.layers.activation import ReLU as ReLU
from pellucid.layers.activation import Softmax as Softmax
from pellucid.layers.cells import GRUCell as GRUCell
from pellucid.layers.cells import LSTMCell as LSTMCell
from pellucid.layers.cells import SimpleRNNCell as SimpleRNNCell
from pellucid.layers.cells import StackedRNNCells as StackedRNNCells
from pellucid.layers.core import Dense as Dense
from pellucid.layers.core import Flatten as Flatten
from pellucid.layers.core import Input as Input
from pellucid.layers.core import InputLayer as InputLayer
from pellucid.layers.core import Reshape as Reshape
from pellucid.layers.embedding import Embedding as Embedding
from pellucid.layers.embedding import Masking as Masking
from pellucid.layers.layer import CATALOGUE as CATALOGUE
from pellucid.layers.layer import Layer as Layer
from pellucid.layers.noise import Dropout as Dropout
from pellucid.layers.noise import GaussianNoise as GaussianNoise
from pellucid.layers.normalization import BatchNormalization as BatchNormalization
from pellucid.layers.normalization import LayerNormalization as LayerNormalization
from pellucid.layers.preprocessing import Normalization as Normalization
from pellucid.layers.preprocessing import Rescaling as Rescaling
from pellucid.layers.recurrent import GRU as GRU
from pellucid.layers.recurrent import LSTM as LSTM
from pellucid.layers.recurrent import RNN as RNN
from pellucid.layers.recurrent import SimpleRNN as SimpleRNN
from pellucid.layers.wrappers import Bidirectional as Bidirectional
from pellucid.layers.wrappers import TimeDistributed as TimeDistributed
from pellucid.layers.wrappers import Wrapper as Wrapper

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "BatchNormalization",
    "Bidirectional",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GaussianNoise",
    "Input",
    "InputLayer",
    "LSTMCell",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "Normalization",
    "ReLU",
    "Rescaling",
    "Reshape",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "StackedRNNCells",
    "TimeDistributed",
    "Wrapper",
]
