"""The layers: each a configuration and a pure call."""

from pellucid.layers.activation import ELU as ELU
from pellucid.layers.activation import Activation as Activation
from pellucid.layers.activation import LeakyReLU as LeakyReLU
from pellucid.layers.activation import ReLU as ReLU
from pellucid.layers.activation import Softmax as Softmax
from pellucid.layers.core import Dense as Dense
from pellucid.layers.core import Flatten as Flatten
from pellucid.layers.core import Input as Input
from pellucid.layers.core import InputLayer as InputLayer
from pellucid.layers.core import Reshape as Reshape
from pellucid.layers.layer import CATALOGUE as CATALOGUE
from pellucid.layers.layer import Layer as Layer
from pellucid.layers.noise import Dropout as Dropout
from pellucid.layers.noise import GaussianNoise as GaussianNoise
from pellucid.layers.normalization import BatchNormalization as BatchNormalization
from pellucid.layers.normalization import LayerNormalization as LayerNormalization
from pellucid.layers.preprocessing import Normalization as Normalization
from pellucid.layers.preprocessing import Rescaling as Rescaling

__all__ = [
    "ELU",
    "Activation",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianNoise",
    "Input",
    "InputLayer",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Normalization",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
]
