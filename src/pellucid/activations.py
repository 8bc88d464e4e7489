"""What a neuron makes of its sum z: the activation functions, each a = g(z), element by element."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from pellucid import formula as f
from pellucid import naming
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
        above = ">" if threshold else ">="
        a = Choice(z, above, threshold, z, negative_slope * (z - threshold) if negative_slope else 0)
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


def _soft_shrink(z: Expression, threshold: float = 0.5) -> Expression:
    return Choice(z, ">", threshold, z - threshold, Choice(z, "<", -threshold, z + threshold, 0))


def _sparse(z: Expression, between: Expression, above: Any) -> Expression:
    """0 below -1, `between` up to 1, and `above` from there."""
    return Choice(z, "<=", -1, 0, Choice(z, ">=", 1, above, between))


def _squareplus(z: Expression, b: float = 4.0) -> Expression:
    squared = z**2 if z.value**2 <= f.LARGEST else f.Number(math.inf)
    return (z + f.sqrt(squared + b)) / 2


def _glu(row: Sequence[Expression], place: int, axis: int = -1) -> Expression:
    return f.sigmoid(row[place + len(row) // 2], height=row[place])


def _sparsemax(row: Sequence[Expression], place: int, axis: int = -1) -> Expression:
    ordered = sorted(row, key=lambda z: (math.isnan(z.value), -z.value))
    sums = itertools.accumulate(z.value for z in ordered)
    shares = zip(ordered, sums, range(1, len(row) + 1), strict=True)
    kept = sum(z.value - (before - 1) / count > 0 for z, before, count in shares)
    # Of numbers that are too large none is kept, and what is divided by 0 is infinite.
    tau = f.Let("tau", (f.total(ordered[:kept]) - 1) / kept) if kept else f.Number(-math.inf)
    return largest(row[place] - tau, 0)


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
    above = z > threshold if threshold else z >= 0.0
    a = jnp.where(above, z, negative_slope * (z - threshold))
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
def softmax(x: ArrayLike, axis: Any = -1) -> Array:
    """a_i = exp(z_i) / sum_j exp(z_j), along an axis, or several."""
    z = as_float(x)
    if z.ndim and isinstance(axis, int) and z.shape[axis] == 1:
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


@CATALOGUE.entry()
@states(lambda z, alpha=1.0: Choice(z, ">", 0, z, alpha * (f.exp(z / alpha) - 1)))
def celu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """a = z above 0, alpha * (exp(z / alpha) - 1) below. Barron, 2017."""
    return jax.nn.celu(as_float(x), alpha)


@CATALOGUE.entry()
@states(OfRow(_glu))
def glu(x: ArrayLike, axis: int = -1) -> Array:
    """a_i = z_i * sigmoid(z_(i + n)): the second n numbers of a row are gates of the first n.

    Dauphin et al., 2017.
    """
    return jax.nn.glu(as_float(x), axis)


@CATALOGUE.entry("hard_swish")
@states(lambda z: z * (smallest(largest(z + 3, 0), 6) / 6))
def hard_silu(x: ArrayLike) -> Array:
    """a = z * min(max(z + 3, 0), 6) / 6. Howard et al., 2019."""
    return jax.nn.hard_silu(as_float(x))


@CATALOGUE.entry()
@states(lambda z: smallest(largest(z, -1), 1))
def hard_tanh(x: ArrayLike) -> Array:
    """a = min(max(z, -1), 1)."""
    return jax.nn.hard_tanh(as_float(x))


@CATALOGUE.entry()
@states(lambda z, threshold=0.5: Choice(abs(z), ">", threshold, z, 0))
def hard_shrink(x: ArrayLike, threshold: float = 0.5) -> Array:
    """a = z where |z| > threshold, else 0."""
    z = as_float(x)
    return jnp.where(jnp.abs(z) > threshold, z, 0.0)


@CATALOGUE.entry()
@states(_soft_shrink)
def soft_shrink(x: ArrayLike, threshold: float = 0.5) -> Array:
    """a = z, nearer to 0 by `threshold`; 0 where |z| <= threshold."""
    z = as_float(x)
    return jnp.where(z > threshold, z - threshold, jnp.where(z < -threshold, z + threshold, 0.0))


@CATALOGUE.entry()
@states(lambda z: z - f.tanh(z))
def tanh_shrink(x: ArrayLike) -> Array:
    """a = z - tanh(z)."""
    z = as_float(x)
    return z - jnp.tanh(z)


@CATALOGUE.entry()
@states(lambda z: -f.softplus(-z))
def log_sigmoid(x: ArrayLike) -> Array:
    """a = log(sigmoid(z)) = -log(1 + exp(-z))."""
    return jax.nn.log_sigmoid(as_float(x))


@CATALOGUE.entry()
@states(_squareplus)
def squareplus(x: ArrayLike, b: float = 4) -> Array:
    """a = (z + sqrt(z^2 + b)) / 2. Barron, 2021."""
    return jax.nn.squareplus(as_float(x), b)


@CATALOGUE.entry()
@states(lambda z: _sparse(z, (z + 1) ** 2 / 4, z))
def sparse_plus(x: ArrayLike) -> Array:
    """a = 0 below -1, (z + 1)^2 / 4 up to 1, z from there."""
    return jax.nn.sparse_plus(as_float(x))


@CATALOGUE.entry()
@states(lambda z: _sparse(z, 0.5 * (z + 1), 1))
def sparse_sigmoid(x: ArrayLike) -> Array:
    """a = 0 below -1, (z + 1) / 2 up to 1, 1 from there."""
    return jax.nn.sparse_sigmoid(as_float(x))


@CATALOGUE.entry()
@states(OfRow(_sparsemax))
def sparsemax(x: ArrayLike, axis: int = -1) -> Array:
    """a_i = max(z_i - tau, 0), with tau such that the sum is 1: shares, of which many are 0.

    Martins & Astudillo, 2016. (In Keras 3.15.1 the shares do not sum to 1 where more than one is left.)
    """
    z = jnp.moveaxis(as_float(x), axis, -1)
    ordered = -jnp.sort(-z, axis=-1)
    kept = ordered - (jnp.cumsum(ordered, axis=-1) - 1) / jnp.arange(1, z.shape[-1] + 1) > 0
    sums = jnp.sum(jnp.where(kept, ordered, 0.0), axis=-1, keepdims=True)
    tau = (sums - 1) / jnp.sum(kept, axis=-1, keepdims=True)
    return jnp.moveaxis(jnp.maximum(z - tau, 0.0), -1, axis)


@CATALOGUE.entry()
@states(lambda z, threshold, default_value: Choice(z, ">", threshold, z, default_value))
def threshold(x: ArrayLike, threshold: float, default_value: float) -> Array:
    """a = z above the threshold, `default_value` elsewhere."""
    z = as_float(x)
    return jnp.where(z > threshold, z, default_value)


swish, hard_swish = silu, hard_silu


def get(identifier: Any) -> Callable[..., Any]:
    """The function that a name or a function stands for; None is `linear`.

    >>> get("relu")([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    return linear if identifier is None else CATALOGUE.make(identifier)


def serialize(activation: Any) -> Any:
    """An activation as plain data: its name."""
    return naming.serialize(activation)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The activation that `serialize` wrote down.

    >>> deserialize("tanh") is tanh
    True
    """
    return CATALOGUE.make(config, custom_objects)
