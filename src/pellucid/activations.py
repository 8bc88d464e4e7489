"""What a neuron makes of its sum z: the activation functions, each a = g(z), element by element."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from pellucid import formula as f
from pellucid.arrays import Array, ArrayLike, as_float
from pellucid.formula import Choice, Expression, Known, largest, smallest, states
from pellucid.naming import Catalogue

CATALOGUE = Catalogue("activation", by_name=True)


@dataclass(frozen=True)
class OfRow:
    """What states an activation that mixes the numbers of a row: `statement(row, place, **options)`.

    >>> @states(OfRow(lambda row, place: row[place] / f.total(row)))
    ... def share(z):
    ...     return z / z.sum(axis=-1, keepdims=True)
    >>> formula(share, [f.Number(1.0), f.Number(3.0)], 0)
    <share(1) = 0.25>
    """

    statement: Callable[..., Expression]

    def __call__(self, row: Sequence[Expression], place: int, **options: Any) -> Expression:
        """The arithmetic of one number of the row."""
        return self.statement(row, place, **options)


def formula(activation: Any, row: Sequence[Expression], place: int, **options: Any) -> Expression | None:
    """The arithmetic of a = g(z), with the name of g before what it means; None if g states none.

    Args:
        activation: the function g.
        row: all z along the last axis.
        place: which of them is meant.
        options: the options that g is called with.

    Example:
        >>> formula(sigmoid, [f.Number(0.0)], 0)
        <sigmoid(0) = 0.5>
    """
    z, statement = row[place], f.statement_of(activation)
    if statement is None:
        return None
    meaning = statement(row, place, **options) if isinstance(statement, OfRow) else statement(z, **options)
    name = getattr(activation, "__name__", "activation")
    says_so = meaning is z or (isinstance(meaning, f.Function) and meaning.name == name)
    return meaning if says_so else Known(name, [z], meaning)


def slope(
    activation: Any, row: Sequence[Expression], given: Sequence[Expression], of: int, by: int, **options: Any
) -> Expression | None:
    """How a_i = g(z)_i changes with z_j; None if g states nothing.

    Args:
        activation: the function g.
        row, given: all z along the last axis, and all a.
        of, by: which a, and which z.
        options: the options that g is called with.

    Example:
        >>> slope(sigmoid, [f.Number(0.0, "z")], [f.Number(0.5, "a")], 0, 0)
        <0.5*(1 - 0.5) = 0.25>
    """
    statement, stated = f.statement_of(activation), f.slope_of(activation)
    if statement is None:
        return None
    if isinstance(statement, OfRow):
        if stated is not None:
            return stated(given, of, by)
        name = getattr(row[by], "name", "")
        return f.derivative(statement(row, of, **options), name)
    if of != by:
        return f.Number(0.0)
    if stated is not None:
        return stated(row[of], given[of], **options)
    return f.derivative(statement(row[of], **options), getattr(row[by], "name", ""))


def mixes_row(activation: Any) -> bool:
    """Whether an activation mixes the numbers of a row, as softmax does."""
    return isinstance(f.statement_of(activation), OfRow)


def _relu(
    z: Expression, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Expression:
    if negative_slope == 0.0 and threshold == 0.0:
        a = largest(z, 0)
    else:
        a = Choice(z, ">=", threshold, z, negative_slope * (z - threshold) if negative_slope else 0)
    return a if max_value is None else smallest(a, max_value)


def _elu(z: Expression, alpha: float = 1.0) -> Expression:
    below = f.exp(z) - 1
    return Choice(z, ">", 0, z, below if alpha == 1.0 else alpha * below)


def _selu(z: Expression, alpha: float = 1.6732632423543772, scale: float = 1.0507009873554805) -> Expression:
    return Choice(z, ">", 0, scale * z, scale * f.Number(alpha) * (f.exp(z) - 1))


def _gelu(z: Expression, approximate: bool = False) -> Expression:
    if approximate:
        return 0.5 * z * (1 + f.tanh(f.sqrt(2 / f.Number(math.pi)) * (z + 0.044715 * z**3)))
    return 0.5 * z * (1 + f.erf(z / f.sqrt(2)))


def _softmax(row: Sequence[Expression], place: int, axis: int = -1) -> Expression:
    powers, _ = f.exponentials(row)
    return powers[place] / f.total(powers)


def _log_softmax(row: Sequence[Expression], place: int, axis: int = -1) -> Expression:
    return row[place] - f.log_sum_exp(row)


@CATALOGUE.entry()
@states(lambda z: z)
def linear(x: ArrayLike) -> Array:
    """a = z."""
    return as_float(x)


@CATALOGUE.entry()
@states(_relu)
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
@states(f.sigmoid, slope=lambda z, a: a * (1 - a))
def sigmoid(x: ArrayLike) -> Array:
    """a = 1 / (1 + exp(-z))."""
    return jax.nn.sigmoid(as_float(x))


@CATALOGUE.entry()
@states(f.tanh)
def tanh(x: ArrayLike) -> Array:
    """a = tanh(z)."""
    return jnp.tanh(as_float(x))


@CATALOGUE.entry()
@states(OfRow(_softmax), slope=lambda a, of, by: a[of] * ((1 if of == by else 0) - a[by]))
def softmax(x: ArrayLike, axis: int = -1) -> Array:
    """a_i = exp(z_i) / sum_j exp(z_j)."""
    z = as_float(x)
    if z.ndim and z.shape[axis] == 1:
        warnings.warn(
            "softmax over one number is always 1: nothing can be learned. Did you mean sigmoid?", stacklevel=2
        )
    return jax.nn.softmax(z, axis=axis)


@CATALOGUE.entry()
@states(OfRow(_log_softmax))
def log_softmax(x: ArrayLike, axis: int = -1) -> Array:
    """a_i = z_i - log(sum_j exp(z_j))."""
    return jax.nn.log_softmax(as_float(x), axis=axis)


@CATALOGUE.entry()
@states(_elu)
def elu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """a = z above 0, alpha * (exp(z) - 1) below. Clevert et al., 2016."""
    return jax.nn.elu(as_float(x), alpha)


@CATALOGUE.entry()
@states(_selu)
def selu(x: ArrayLike) -> Array:
    """elu with constants that keep mean 0 and variance 1. Klambauer et al., 2017."""
    return jax.nn.selu(as_float(x))


@CATALOGUE.entry()
@states(_gelu)
def gelu(x: ArrayLike, approximate: bool = False) -> Array:
    """a = z * P(N <= z) for a standard normal N. Hendrycks & Gimpel, 2016."""
    return jax.nn.gelu(as_float(x), approximate)


@CATALOGUE.entry("swish")
@states(lambda z: f.sigmoid(z, height=z))
def silu(x: ArrayLike) -> Array:
    """a = z * sigmoid(z); also called swish."""
    return jax.nn.silu(as_float(x))


@CATALOGUE.entry()
@states(lambda z, negative_slope=0.2: Choice(z, ">=", 0, z, negative_slope * z))
def leaky_relu(x: ArrayLike, negative_slope: float = 0.2) -> Array:
    """a = z above 0, negative_slope * z below."""
    return jax.nn.leaky_relu(as_float(x), negative_slope)


@CATALOGUE.entry()
@states(lambda z: smallest(largest(z, 0), 6))
def relu6(x: ArrayLike) -> Array:
    """a = min(max(z, 0), 6)."""
    return jax.nn.relu6(as_float(x))


@CATALOGUE.entry()
@states(f.softplus)
def softplus(x: ArrayLike) -> Array:
    """a = log(1 + exp(z))."""
    return jax.nn.softplus(as_float(x))


@CATALOGUE.entry()
@states(lambda z: z / (1 + abs(z)))
def softsign(x: ArrayLike) -> Array:
    """a = z / (1 + |z|)."""
    return jax.nn.soft_sign(as_float(x))


@CATALOGUE.entry()
@states(f.exp)
def exponential(x: ArrayLike) -> Array:
    """a = exp(z)."""
    return jnp.exp(as_float(x))


@CATALOGUE.entry()
@states(lambda z: smallest(largest(z / 6 + 0.5, 0), 1))
def hard_sigmoid(x: ArrayLike) -> Array:
    """a = min(max(z / 6 + 1/2, 0), 1)."""
    return jax.nn.hard_sigmoid(as_float(x))


@CATALOGUE.entry()
@states(lambda z: z * f.tanh(f.softplus(z)))
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
