"""The layers: each a configuration and a pure call."""

from pellucid.layers.activation import ELU as ELU
from pellucid.layers.activation import Activation as Activation
from pellucid.layers.activation import LeakyReLU as LeakyReLU
from pellucid.layers.activation import PReLU as PReLU
from pellucid.layers.activation import ReLU as ReLU
from pellucid.layers.activation import Softmax as Softmax
from pellucid.layers.categories import CategoryEncoding as CategoryEncoding
from pellucid.layers.categories import Discretization as Discretization
from pellucid.layers.categories import Hashing as Hashing
from pellucid.layers.core import Dense as Dense
from pellucid.layers.core import Flatten as Flatten
from pellucid.layers.core import Input as Input
from pellucid.layers.core import InputLayer as InputLayer
from pellucid.layers.core import Reshape as Reshape
from pellucid.layers.layer import CATALOGUE as CATALOGUE
from pellucid.layers.layer import Layer as Layer
from pellucid.layers.lookup import IntegerLookup as IntegerLookup
from pellucid.layers.lookup import StringLookup as StringLookup
from pellucid.layers.merging import Add as Add
from pellucid.layers.merging import Average as Average
from pellucid.layers.merging import Concatenate as Concatenate
from pellucid.layers.merging import Dot as Dot
from pellucid.layers.merging import Maximum as Maximum
from pellucid.layers.merging import Minimum as Minimum
from pellucid.layers.merging import Multiply as Multiply
from pellucid.layers.merging import Subtract as Subtract
from pellucid.layers.merging import add as add
from pellucid.layers.merging import average as average
from pellucid.layers.merging import concatenate as concatenate
from pellucid.layers.merging import dot as dot
from pellucid.layers.merging import maximum as maximum
from pellucid.layers.merging import minimum as minimum
from pellucid.layers.merging import multiply as multiply
from pellucid.layers.merging import subtract as subtract
from pellucid.layers.noise import AlphaDropout as AlphaDropout
from pellucid.layers.noise import Dropout as Dropout
from pellucid.layers.noise import GaussianDropout as GaussianDropout
from pellucid.layers.noise import GaussianNoise as GaussianNoise
from pellucid.layers.noise import SpatialDropout1D as SpatialDropout1D
from pellucid.layers.noise import SpatialDropout2D as SpatialDropout2D
from pellucid.layers.normalization import BatchNormalization as BatchNormalization
from pellucid.layers.normalization import LayerNormalization as LayerNormalization
from pellucid.layers.passing import ActivityRegularization as ActivityRegularization
from pellucid.layers.passing import Identity as Identity
from pellucid.layers.passing import Lambda as Lambda
from pellucid.layers.preprocessing import Normalization as Normalization
from pellucid.layers.preprocessing import Rescaling as Rescaling

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "CategoryEncoding",
    "Concatenate",
    "Dense",
    "Discretization",
    "Dot",
    "Dropout",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "Hashing",
    "Identity",
    "Input",
    "InputLayer",
    "IntegerLookup",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "StringLookup",
    "Subtract",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
