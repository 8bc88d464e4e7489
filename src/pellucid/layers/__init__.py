"""The layers: each a configuration and a pure call."""

from pellucid.layers.activation import ELU as ELU
from pellucid.layers.activation import Activation as Activation
from pellucid.layers.activation import LeakyReLU as LeakyReLU
from pellucid.layers.activation import PReLU as PReLU
from pellucid.layers.activation import ReLU as ReLU
from pellucid.layers.activation import Softmax as Softmax
from pellucid.layers.attention import AdditiveAttention as AdditiveAttention
from pellucid.layers.attention import Attention as Attention
from pellucid.layers.attention import MultiHeadAttention as MultiHeadAttention
from pellucid.layers.categories import CategoryEncoding as CategoryEncoding
from pellucid.layers.categories import Discretization as Discretization
from pellucid.layers.categories import Hashing as Hashing
from pellucid.layers.cells import GRUCell as GRUCell
from pellucid.layers.cells import LSTMCell as LSTMCell
from pellucid.layers.cells import SimpleRNNCell as SimpleRNNCell
from pellucid.layers.cells import StackedRNNCells as StackedRNNCells
from pellucid.layers.convolution import Conv1D as Conv1D
from pellucid.layers.convolution import Conv1D as Convolution1D
from pellucid.layers.convolution import Conv1DTranspose as Conv1DTranspose
from pellucid.layers.convolution import Conv1DTranspose as Convolution1DTranspose
from pellucid.layers.convolution import Conv2D as Conv2D
from pellucid.layers.convolution import Conv2D as Convolution2D
from pellucid.layers.convolution import Conv2DTranspose as Conv2DTranspose
from pellucid.layers.convolution import Conv2DTranspose as Convolution2DTranspose
from pellucid.layers.convolution import DepthwiseConv1D as DepthwiseConv1D
from pellucid.layers.convolution import DepthwiseConv2D as DepthwiseConv2D
from pellucid.layers.convolution import SeparableConv1D as SeparableConv1D
from pellucid.layers.convolution import SeparableConv1D as SeparableConvolution1D
from pellucid.layers.convolution import SeparableConv2D as SeparableConv2D
from pellucid.layers.convolution import SeparableConv2D as SeparableConvolution2D
from pellucid.layers.core import Dense as Dense
from pellucid.layers.core import Flatten as Flatten
from pellucid.layers.core import Input as Input
from pellucid.layers.core import InputLayer as InputLayer
from pellucid.layers.core import Reshape as Reshape
from pellucid.layers.einsum import EinsumDense as EinsumDense
from pellucid.layers.embedding import Embedding as Embedding
from pellucid.layers.embedding import Masking as Masking
from pellucid.layers.input_spec import InputSpec as InputSpec
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
from pellucid.layers.pooling import AveragePooling1D as AveragePooling1D
from pellucid.layers.pooling import AveragePooling1D as AvgPool1D
from pellucid.layers.pooling import AveragePooling2D as AveragePooling2D
from pellucid.layers.pooling import AveragePooling2D as AvgPool2D
from pellucid.layers.pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
from pellucid.layers.pooling import GlobalAveragePooling1D as GlobalAvgPool1D
from pellucid.layers.pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from pellucid.layers.pooling import GlobalAveragePooling2D as GlobalAvgPool2D
from pellucid.layers.pooling import GlobalMaxPooling1D as GlobalMaxPool1D
from pellucid.layers.pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
from pellucid.layers.pooling import GlobalMaxPooling2D as GlobalMaxPool2D
from pellucid.layers.pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from pellucid.layers.pooling import MaxPooling1D as MaxPool1D
from pellucid.layers.pooling import MaxPooling1D as MaxPooling1D
from pellucid.layers.pooling import MaxPooling2D as MaxPool2D
from pellucid.layers.pooling import MaxPooling2D as MaxPooling2D
from pellucid.layers.preprocessing import Normalization as Normalization
from pellucid.layers.preprocessing import Rescaling as Rescaling
from pellucid.layers.recurrent import GRU as GRU
from pellucid.layers.recurrent import LSTM as LSTM
from pellucid.layers.recurrent import RNN as RNN
from pellucid.layers.recurrent import SimpleRNN as SimpleRNN
from pellucid.layers.reshaping import Cropping1D as Cropping1D
from pellucid.layers.reshaping import Cropping2D as Cropping2D
from pellucid.layers.reshaping import Permute as Permute
from pellucid.layers.reshaping import RepeatVector as RepeatVector
from pellucid.layers.reshaping import UpSampling1D as UpSampling1D
from pellucid.layers.reshaping import UpSampling2D as UpSampling2D
from pellucid.layers.reshaping import ZeroPadding1D as ZeroPadding1D
from pellucid.layers.reshaping import ZeroPadding2D as ZeroPadding2D
from pellucid.layers.wrappers import Bidirectional as Bidirectional
from pellucid.layers.wrappers import TimeDistributed as TimeDistributed
from pellucid.layers.wrappers import Wrapper as Wrapper

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AvgPool1D",
    "AvgPool2D",
    "BatchNormalization",
    "Bidirectional",
    "CategoryEncoding",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Convolution1D",
    "Convolution1DTranspose",
    "Convolution2D",
    "Convolution2DTranspose",
    "Cropping1D",
    "Cropping2D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Discretization",
    "Dot",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "Hashing",
    "Identity",
    "Input",
    "InputLayer",
    "InputSpec",
    "IntegerLookup",
    "LSTMCell",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPooling1D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "StackedRNNCells",
    "StringLookup",
    "Subtract",
    "TimeDistributed",
    "UpSampling1D",
    "UpSampling2D",
    "Wrapper",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
