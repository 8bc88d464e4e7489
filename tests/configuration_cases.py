"""What is needed to make one of everything that has a name, in either library."""

import contextlib

#: Arguments of what cannot be made without any.
NEEDED = {
    "Activation": ["tanh"],
    "ActivityRegularization": [0.1, 0.2],
    "AlphaDropout": [0.5],
    "AveragePooling1D": [2],
    "AveragePooling2D": [2],
    "AveragePooling3D": [2],
    "CategoryEncoding": [3],
    "Conv1D": [2, 3],
    "Conv1DTranspose": [2, 3],
    "Conv2D": [2, 3],
    "Conv2DTranspose": [2, 3],
    "Conv3D": [2, 3],
    "CosineDecay": [0.1, 10],
    "CosineDecayRestarts": [0.1, 10],
    "Dense": [3],
    "DepthwiseConv1D": [3],
    "DepthwiseConv2D": [3],
    "Discretization": [[0.0, 1.0]],
    "Dot": [1],
    "Dropout": [0.5],
    "EinsumDense": ["ab,bc->ac", 3],
    "Embedding": [5, 2],
    "ExponentialDecay": [0.1, 10, 0.9],
    "GRU": [2],
    "GRUCell": [2],
    "GaussianDropout": [0.5],
    "GaussianNoise": [0.1],
    "HashedCrossing": [3],
    "Hashing": [3],
    "InputLayer": [(4,)],
    "InverseTimeDecay": [0.1, 10, 0.9],
    "IoU": [2, [0]],
    "LSTM": [2],
    "LSTMCell": [2],
    "MeanIoU": [2],
    "MultiHeadAttention": [2, 2],
    "OneHotIoU": [2, [0]],
    "OneHotMeanIoU": [2],
    "Permute": [(2, 1)],
    "PiecewiseConstantDecay": [[10], [0.1, 0.01]],
    "PolynomialDecay": [0.1, 10],
    "PrecisionAtRecall": [0.5],
    "RecallAtPrecision": [0.5],
    "RepeatVector": [2],
    "Rescaling": [2.0],
    "Reshape": [(2, 2)],
    "SensitivityAtSpecificity": [0.5],
    "SeparableConv1D": [2, 3],
    "SeparableConv2D": [2, 3],
    "SimpleRNN": [2],
    "SimpleRNNCell": [2],
    "SpatialDropout1D": [0.5],
    "SpatialDropout2D": [0.5],
    "SpatialDropout3D": [0.5],
    "SpecificityAtSensitivity": [0.5],
}


def configurations(keras, names):
    """The configurations of these: "layers.Dense", ... What this library lacks is left out."""
    found = {}
    if hasattr(keras.utils, "clear_session"):
        keras.utils.clear_session()
    for name in names:
        thing = keras
        for part in name.split("."):
            thing = getattr(thing, part, None)
        if thing is None:
            continue
        # Keras makes some preprocessing layers with TensorFlow only.
        with contextlib.suppress(ImportError):
            made = thing(*NEEDED.get(name.rpartition(".")[2], []))
            found[name] = keras.saving.serialize_keras_object(made)
    return found
