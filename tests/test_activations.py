"""Activations against their formulas, in NumPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import pellucid as keras
from pellucid import activations

Z = np.array([[-6.5, -2.0, -0.3, 0.0], [0.4, 1.0, 3.0, 7.0]])


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softplus(z):
    return np.log1p(np.exp(z))


FORMULAS = {
    "linear": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(-1, keepdims=True),
    "log_softmax": lambda z: z - np.log(np.exp(z).sum(-1, keepdims=True)),
    "elu": lambda z: np.where(z > 0, z, np.exp(z) - 1),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * (np.exp(z) - 1)),
    "gelu": lambda z: z * np.vectorize(lambda each: 0.5 * (1 + math.erf(each / math.sqrt(2))))(z),
    "silu": lambda z: z * sigmoid(z),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.2 * z),
    "relu6": lambda z: np.clip(z, 0, 6),
    "softplus": softplus,
    "softsign": lambda z: z / (1 + np.abs(z)),
    "exponential": np.exp,
    "hard_sigmoid": lambda z: np.clip(z / 6 + 0.5, 0, 1),
    "mish": lambda z: z * np.tanh(softplus(z)),
    "celu": lambda z: np.where(z > 0, z, np.exp(z) - 1),
    "glu": lambda z: z[:, :2] * sigmoid(z[:, 2:]),
    "hard_silu": lambda z: z * np.clip(z + 3, 0, 6) / 6,
    "hard_tanh": lambda z: np.clip(z, -1, 1),
    "hard_shrink": lambda z: z * (np.abs(z) > 0.5),
    "soft_shrink": lambda z: np.sign(z) * np.maximum(np.abs(z) - 0.5, 0),
    "tanh_shrink": lambda z: z - np.tanh(z),
    "log_sigmoid": lambda z: np.log(sigmoid(z)),
    "squareplus": lambda z: (z + np.sqrt(z**2 + 4)) / 2,
    "sparse_plus": lambda z: np.where(z <= -1, 0, np.where(z >= 1, z, (z + 1) ** 2 / 4)),
    "sparse_sigmoid": lambda z: np.clip((z + 1) / 2, 0, 1),
    "sparsemax": lambda z: np.array([[0, 0, 0.35, 0.65], [0, 0, 0, 1.0]]),
    "threshold": lambda z: np.where(z > 0.35, z, -9.0),
}
#: What those take that cannot be called with z alone.
OPTIONS = {"threshold": {"threshold": 0.35, "default_value": -9.0}}


def test_every_activation_has_its_formula_here():
    assert {each.__name__ for each in activations.CATALOGUE.entries.values()} == set(FORMULAS)


@pytest.mark.parametrize("name", FORMULAS)
def test_an_activation_is_its_formula(name):
    found = activations.get(name)(Z, **OPTIONS.get(name, {}))
    np.testing.assert_allclose(found, FORMULAS[name](Z), rtol=2e-5, atol=2e-6)


def test_relu_takes_a_slope_a_ceiling_and_a_threshold():
    found = activations.relu([-2.0, 0.5, 3.0, 9.0], negative_slope=0.1, max_value=6.0, threshold=1.0)
    np.testing.assert_allclose(found, [0.1 * -3.0, 0.1 * -0.5, 3.0, 6.0], rtol=1e-6)


@given(arrays.arrays(np.float32, (2, 3), elements=st.floats(-80, 80, width=32)))
def test_softmax_gives_shares_of_one_however_large_z_is(z):
    shares = np.asarray(activations.softmax(z))
    np.testing.assert_allclose(shares.sum(-1), 1.0, rtol=1e-5)
    assert (shares >= 0).all()


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "silu", "elu", "mish", "log_softmax"])
def test_large_z_gives_finite_numbers(name):
    assert np.isfinite(activations.get(name)([[-1e4, 0.0, 1e4]])).all()


def test_none_is_linear_and_swish_is_silu():
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.silu
    assert keras.activations.swish is activations.silu


def test_functions_of_ones_own_are_taken_as_they_are():
    def square(z):
        return z * z

    assert activations.get(square) is square
