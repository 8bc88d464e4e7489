"""What a neuron makes of its sum z: the activation functions, each a = g(z), element by element."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from pellucid.arrays import Array, ArrayLike, as_float
from pellucid.naming import Catalogue

CATALOGUE = Catalogue("activation")


@CATALOGUE.entry()
def linear(x: ArrayLike) -> Array:
    """a = z."""
    return as_float(x)


@CATALOGUE.entry()
def relu(
    x: ArrayLike, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Array:
    """a = max(z, 0); with a slope below the threshold and a ceiling if they are given."""
    z = as_float(x)
    if negative_slope == 0.0 and max_value is None and threshold == 0.0:
        return jax.nn.relu(z)
    a = jnp.where(z >= threshold, z, negative_slope * (z - threshold))
    return a if max_value is None else jnp.minimum(a, max_value)


@CATALOGUE.entry()
def sigmoid(x: ArrayLike) -> Array:
    """a = 1 / (1 + exp(-z))."""
    return jax.nn.sigmoid(as_float(x))


@CATALOGUE.entry()
def tanh(x: ArrayLike) -> Array:
    """a = tanh(z)."""
    return jnp.tanh(as_float(x))


@CATALOGUE.entry()
def softmax(x: ArrayLike, axis: int = -1) -> Array:
    """a_i = exp(z_i) / sum_j exp(z_j)."""
    z = as_float(x)
    if z.ndim and z.shape[axis] == 1:
        warnings.warn(
            "softmax over one number is always 1: nothing can be learned. Did you mean sigmoid?", stacklevel=2
        )
    return jax.nn.softmax(z, axis=axis)


@CATALOGUE.entry()
def log_softmax(x: ArrayLike, axis: int = -1) -> Array:
    """a_i = z_i - log(sum_j exp(z_j))."""
    return jax.nn.log_softmax(as_float(x), axis=axis)


@CATALOGUE.entry()
def elu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """a = z above 0, alpha * (exp(z) - 1) below. Clevert et al., 2016."""
    return jax.nn.elu(as_float(x), alpha)


@CATALOGUE.entry()
def selu(x: ArrayLike) -> Array:
    """elu with constants that keep mean 0 and variance 1. Klambauer et al., 2017."""
    return jax.nn.selu(as_float(x))


@CATALOGUE.entry()
def gelu(x: ArrayLike, approximate: bool = False) -> Array:
    """a = z * P(N <= z) for a standard normal N. Hendrycks & Gimpel, 2016."""
    return jax.nn.gelu(as_float(x), approximate)


@CATALOGUE.entry("swish")
def silu(x: ArrayLike) -> Array:
    """a = z * sigmoid(z); also called swish."""
    return jax.nn.silu(as_float(x))


@CATALOGUE.entry()
def leaky_relu(x: ArrayLike, negative_slope: float = 0.2) -> Array:
    """a = z above 0, negative_slope * z below."""
    return jax.nn.leaky_relu(as_float(x), negative_slope)


@CATALOGUE.entry()
def relu6(x: ArrayLike) -> Array:
    """a = min(max(z, 0), 6)."""
    return jax.nn.relu6(as_float(x))


@CATALOGUE.entry()
def softplus(x: ArrayLike) -> Array:
    """a = log(1 + exp(z))."""
    return jax.nn.softplus(as_float(x))


@CATALOGUE.entry()
def softsign(x: ArrayLike) -> Array:
    """a = z / (1 + |z|)."""
    return jax.nn.soft_sign(as_float(x))


@CATALOGUE.entry()
def exponential(x: ArrayLike) -> Array:
    """a = exp(z)."""
    return jnp.exp(as_float(x))


@CATALOGUE.entry()
def hard_sigmoid(x: ArrayLike) -> Array:
    """a = min(max(z / 6 + 1/2, 0), 1)."""
    return jax.nn.hard_sigmoid(as_float(x))


@CATALOGUE.entry()
def mish(x: ArrayLike) -> Array:
    """a = z * tanh(softplus(z)). Misra, 2019."""
    return jax.nn.mish(as_float(x))


swish = silu


def get(identifier: Any) -> Callable[..., Any]:
    """The function that a name or a function stands for; None is `linear`.

    >>> get("relu")([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    return linear if identifier is None else CATALOGUE.make(identifier)
