"""The gradients of every layer, loss and activation, against central differences in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import pellucid as keras
from pellucid import activations, losses
from pellucid.layers import CATALOGUE as LAYERS
from pellucid.objective import Objective
from pellucid.step import Batch, Parts

H = 1e-6
L = keras.layers


@pytest.fixture(autouse=True)
def float64():
    keras.config.set_floatx("float64")
    with jax.enable_x64(True):
        yield


def worst(model, loss, y, weight=None, rows=5):
    """The largest difference between the gradient of the cost and its central differences."""
    x = np.random.default_rng(1).normal(size=(rows, 3))
    objective = Objective(loss)
    objective.resolve(y, jax.ShapeDtypeStruct((rows, *model.output_shape[1:]), "float64"))
    parts = Parts(model, objective, None)
    # Moved a little from where they start, so that no bias is 0 and no gamma is 1.
    random = np.random.default_rng(2)
    state = parts.read()
    flat, unravel = ravel_pytree(tuple(w + 0.1 * random.normal(size=w.shape) for w in state.weights))

    def cost(values):
        forward = parts.forward(unravel(values), state.others, x, training=True)
        return parts.cost(forward, Batch(x, y, weight))

    @jax.jit
    def both(flat):
        moves = H * jnp.eye(flat.size)
        return jax.grad(cost)(flat), (jax.vmap(cost)(flat + moves) - jax.vmap(cost)(flat - moves)) / (2 * H)

    gradient, differences = both(flat)
    assert gradient.dtype == jnp.float64
    assert np.abs(gradient).max() > 1e-6, "nothing to compare"
    return float(jnp.max(jnp.abs(gradient - differences)))


def branches():
    """Two ways through the same weights, and a sum of both."""
    x = keras.Input((4,))
    shared = L.Dense(3, activation="tanh")
    return keras.Model(x, shared(x) * shared(2.0 * x) + L.Dense(3)(x))


def network(*layers, units=2, last=None):
    inner = [L.Input(shape=(3,)), L.Dense(4), *layers, L.Flatten(), L.Dense(units, activation=last)]
    return keras.Sequential(inner)


class Branches(L.Layer):
    """Calls a layer on what two dense layers give."""

    def __init__(self, merging, units=3, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second, self.merging = L.Dense(3), L.Dense(units), merging

    def build(self, input_shape):
        self.first.build_for(input_shape)
        self.second.build_for(input_shape)

    def call(self, inputs):
        return self.merging([self.first(inputs), self.second(inputs)])


class Itself(L.Layer):
    """Calls an attention on what comes in, for everything that it takes."""

    def __init__(self, attention, listed=False, **kwargs):
        super().__init__(**kwargs)
        self.attention, self.listed = attention, listed

    def build(self, input_shape):
        if self.listed:
            self.attention.build_for([input_shape, input_shape])
        else:
            self.attention.build_for(input_shape, value_shape=input_shape)

    def call(self, inputs):
        return self.attention([inputs, inputs]) if self.listed else self.attention(inputs, inputs)


def sequences():
    return L.Reshape((2, 2))


CASES = {
    "Activation": lambda: [L.Activation("tanh")],
    "ActivityRegularization": lambda: [L.ActivityRegularization(0.1, 0.2)],
    "Add": lambda: [Branches(L.Add())],
    "AdditiveAttention": lambda: [sequences(), Itself(L.AdditiveAttention(), listed=True)],
    "AlphaDropout": lambda: [L.AlphaDropout(0.4, seed=3)],
    "Attention": lambda: [sequences(), Itself(L.Attention(use_scale=True, score_mode="concat"), listed=True)],
    "Average": lambda: [Branches(L.Average(), units=1)],
    "AveragePooling1D": lambda: [L.Reshape((4, 1)), L.AveragePooling1D(2, strides=1, padding="same")],
    "AveragePooling2D": lambda: [L.Reshape((2, 2, 1)), L.AveragePooling2D((1, 2))],
    "BatchNormalization": lambda: [L.BatchNormalization()],
    "Concatenate": lambda: [Branches(L.Concatenate(), units=2)],
    "Conv1D": lambda: [L.Reshape((4, 1)), L.Conv1D(2, 2, padding="causal", activation="tanh")],
    "Conv1DTranspose": lambda: [L.Reshape((2, 2)), L.Conv1DTranspose(2, 2, strides=2)],
    "Conv2D": lambda: [L.Reshape((2, 2, 1)), L.Conv2D(2, 2, padding="same", activation="tanh")],
    "Conv2DTranspose": lambda: [L.Reshape((1, 2, 2)), L.Conv2DTranspose(2, 2, strides=2, padding="same")],
    "Cropping1D": lambda: [L.Reshape((4, 1)), L.Cropping1D((1, 0))],
    "Cropping2D": lambda: [L.Reshape((2, 2, 1)), L.Cropping2D(((0, 1), (0, 0)))],
    "Dense": lambda: [
        L.Dense(3, activation="tanh", kernel_regularizer="l2", bias_regularizer=keras.regularizers.L1())
    ],
    "DepthwiseConv1D": lambda: [L.Reshape((2, 2)), L.DepthwiseConv1D(2, depth_multiplier=2)],
    "DepthwiseConv2D": lambda: [L.Reshape((2, 1, 2)), L.DepthwiseConv2D((2, 1), padding="same")],
    "Dot": lambda: [Branches(L.Dot(axes=1, normalize=True))],
    "Dropout": lambda: [L.Dropout(0.4, seed=3)],
    "EinsumDense": lambda: [sequences(), L.EinsumDense("abc,bcd->abd", (None, 3), "tanh", "bd")],
    "ELU": lambda: [L.ELU(0.7)],
    "Flatten": lambda: [L.Reshape((2, 2)), L.Flatten()],
    "Functional": lambda: [branches()],
    "GaussianDropout": lambda: [L.GaussianDropout(0.4, seed=3)],
    "GaussianNoise": lambda: [L.GaussianNoise(0.2, seed=3)],
    "GlobalAveragePooling1D": lambda: [L.Reshape((2, 2)), L.GlobalAveragePooling1D()],
    "GlobalAveragePooling2D": lambda: [L.Reshape((1, 2, 2)), L.GlobalAveragePooling2D()],
    "GlobalMaxPooling1D": lambda: [L.Reshape((2, 2)), L.GlobalMaxPooling1D()],
    "GlobalMaxPooling2D": lambda: [L.Reshape((1, 2, 2)), L.GlobalMaxPooling2D()],
    "Identity": lambda: [L.Identity()],
    "InputLayer": list,
    "Lambda": lambda: [L.Lambda(lambda x: x * x)],
    "LayerNormalization": lambda: [L.LayerNormalization()],
    "LeakyReLU": lambda: [L.LeakyReLU()],
    "MaxPooling1D": lambda: [L.Reshape((4, 1)), L.MaxPooling1D(2, strides=1, padding="same")],
    "MaxPooling2D": lambda: [L.Reshape((2, 2, 1)), L.MaxPooling2D((1, 2))],
    "Maximum": lambda: [Branches(L.Maximum())],
    "Minimum": lambda: [Branches(L.Minimum())],
    "MultiHeadAttention": lambda: [sequences(), Itself(L.MultiHeadAttention(2, 3, use_gate=True))],
    "Multiply": lambda: [Branches(L.Multiply())],
    "Normalization": lambda: [L.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 2.0, 3.0, 4.0])],
    "PReLU": lambda: [L.PReLU()],
    "Permute": lambda: [L.Reshape((2, 2)), L.Permute((2, 1))],
    "ReLU": lambda: [L.ReLU(max_value=0.8, negative_slope=0.1, threshold=0.05)],
    "RepeatVector": lambda: [L.RepeatVector(2)],
    "Rescaling": lambda: [L.Rescaling(2.0, 1.0)],
    "Reshape": lambda: [L.Reshape((2, -1)), L.Dense(3)],
    "SeparableConv1D": lambda: [L.Reshape((2, 2)), L.SeparableConv1D(2, 2, activation="tanh")],
    "SeparableConv2D": lambda: [L.Reshape((1, 2, 2)), L.SeparableConv2D(2, (1, 2))],
    "Sequential": lambda: [keras.Sequential([L.Dense(3, activation="tanh"), L.Dense(2)])],
    "Softmax": lambda: [L.Softmax()],
    "SpatialDropout1D": lambda: [L.Reshape((2, 2)), L.SpatialDropout1D(0.4, seed=3)],
    "SpatialDropout2D": lambda: [L.Reshape((2, 1, 2)), L.SpatialDropout2D(0.4, seed=3)],
    "Subtract": lambda: [Branches(L.Subtract())],
    "UpSampling1D": lambda: [L.Reshape((2, 2)), L.UpSampling1D(2)],
    "UpSampling2D": lambda: [L.Reshape((1, 2, 2)), L.UpSampling2D(2, interpolation="bilinear")],
    "ZeroPadding1D": lambda: [L.Reshape((2, 2)), L.ZeroPadding1D(1)],
    "ZeroPadding2D": lambda: [L.Reshape((1, 2, 2)), L.ZeroPadding2D(1)],
    "Bidirectional": lambda: [L.Reshape((2, 2)), L.Bidirectional(L.SimpleRNN(2))],
    "Embedding": lambda: [L.Lambda(lambda x: (x > 0).astype("int32")), L.Embedding(2, 3)],
    "GRU": lambda: [L.Reshape((2, 2)), L.GRU(3)],
    "GRUCell": lambda: [L.Reshape((2, 2)), L.RNN(L.GRUCell(3, reset_after=False))],
    "LSTM": lambda: [L.Reshape((2, 2)), L.LSTM(3)],
    "LSTMCell": lambda: [L.Reshape((2, 2)), L.RNN(L.LSTMCell(3))],
    "Masking": lambda: [L.Reshape((2, 2)), L.Masking()],
    "RNN": lambda: [L.Reshape((2, 2)), L.RNN([L.SimpleRNNCell(2), L.SimpleRNNCell(3)], unroll=True)],
    "SimpleRNN": lambda: [L.Reshape((2, 2)), L.SimpleRNN(3, go_backwards=True, return_sequences=True)],
    "SimpleRNNCell": lambda: [L.Reshape((2, 2)), L.RNN(L.SimpleRNNCell(3))],
    "StackedRNNCells": lambda: [L.Reshape((2, 2)), L.RNN(L.StackedRNNCells([L.GRUCell(2)]))],
    "TimeDistributed": lambda: [L.Reshape((2, 2)), L.TimeDistributed(L.Dense(3))],
}


#: What they give are whole numbers, which have no slope.
WITHOUT_SLOPE = {"Wrapper", "CategoryEncoding", "Discretization", "Hashing", "IntegerLookup", "StringLookup"}


def test_every_layer_is_in_these_tests():
    assert keras.Sequential  # which enters itself when it is imported
    ours = {e.__name__ for e in LAYERS.entries.values() if e.__module__.startswith("pellucid.")}
    assert ours - WITHOUT_SLOPE == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_through_a_layer_is_that_of_central_differences(name):
    model = network(*CASES[name]())
    y = np.random.default_rng(3).normal(size=(5, 2))
    assert worst(model, "mse", y) < 1e-8


@pytest.mark.parametrize("name", sorted({e.__name__ for e in activations.CATALOGUE.entries.values()}))
def test_the_gradient_through_an_activation_is_that_of_central_differences(name):
    y = np.random.default_rng(3).normal(size=(5, 2))
    given = functools.partial(activations.threshold, threshold=0.4, default_value=0.1)
    layer = L.Activation(given if name == "threshold" else name)
    assert worst(network(layer), "mse", y) < 1e-8


def targets(name):
    random = np.random.default_rng(3)
    numbered = ("SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy")
    if "Categorical" in name and name not in numbered:
        return np.eye(3)[random.integers(0, 3, 5)], "softmax"
    if name in numbered:
        return random.integers(0, 3, 5), "softmax"
    if name == "KLDivergence":
        return random.dirichlet(np.ones(3), 5), "softmax"
    if name in ("Poisson", "MeanSquaredLogarithmicError", "MeanAbsolutePercentageError"):
        return random.random((5, 3)) + 0.5, "softplus"
    if name.startswith("Binary"):
        return random.integers(0, 2, (5, 3)).astype(float), "sigmoid"
    if "Hinge" in name:
        return random.choice([-1.0, 1.0], (5, 3)), None
    return random.normal(size=(5, 3)), None


LOSSES = sorted({e.__name__ for e in losses.CATALOGUE.entries.values() if isinstance(e, type)})


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_of_a_loss_is_that_of_central_differences(name, weighted):
    y, last = targets(name)
    weight = np.array([1.0, 0.0, 2.0, 0.5, 3.0]) if weighted else None
    assert worst(network(units=3, last=last), name, y, weight) < 1e-8


@pytest.mark.parametrize("name", [name for name in LOSSES if name.endswith("Crossentropy")])
def test_the_gradient_of_a_crossentropy_from_logits_is_that_of_central_differences(name):
    y, _ = targets(name)
    loss = getattr(losses, name)(from_logits=True)
    assert worst(network(units=3), loss, y) < 1e-8


def test_penalties_of_weights_outputs_and_layers_of_ones_own_are_in_the_gradient():
    class Penalized(keras.Layer):
        def call(self, inputs):
            self.add_loss(0.1 * jnp.mean(inputs**2))
            return inputs

    def model(strength):
        return network(
            L.Dense(
                3,
                kernel_regularizer=keras.regularizers.L1L2(0.01 * strength, 0.02 * strength),
                activity_regularizer=keras.regularizers.OrthogonalRegularizer(strength),
                kernel_constraint="non_neg",
            ),
            Penalized(),
        )

    y = np.random.default_rng(3).normal(size=(5, 2))
    assert worst(model(1.0), "mse", y) < 1e-8
