"""Rules that weights must obey after every update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from pellucid.arrays import Array, ArrayLike, as_array
from pellucid.naming import Catalogue, Configurable

CATALOGUE = Catalogue("constraint")
TINY = 1e-7


class Constraint(Configurable):
    """A projection: called with weights, gives the nearest weights that obey."""

    namespace = "keras.constraints"

    def __call__(self, w: ArrayLike) -> Array:
        """The weights that obey."""
        raise NotImplementedError


def _length(w: Array, axis: Any) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(w), axis=axis, keepdims=True))


@CATALOGUE.entry()
class MaxNorm(Constraint):
    """Each unit's weight vector is at most `max_value` long."""

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: ArrayLike) -> Array:
        """The weights, shortened where they are too long."""
        w = as_array(w)
        length = _length(w, self.axis)
        return w * (jnp.clip(length, 0, self.max_value) / (TINY + length))


@CATALOGUE.entry("nonneg")
class NonNeg(Constraint):
    """No weight is negative."""

    def __call__(self, w: ArrayLike) -> Array:
        """The weights, negative ones set to zero."""
        w = as_array(w)
        return w * (w >= 0)


@CATALOGUE.entry()
class UnitNorm(Constraint):
    """Each unit's weight vector has length 1."""

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: ArrayLike) -> Array:
        """The weights, scaled."""
        w = as_array(w)
        return w / (TINY + _length(w, self.axis))


@CATALOGUE.entry()
class MinMaxNorm(Constraint):
    """The length of each unit's weight vector is moved towards [min_value, max_value] by `rate`."""

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0
    ) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: ArrayLike) -> Array:
        """The weights, scaled."""
        w = as_array(w)
        length = _length(w, self.axis)
        wanted = self.rate * jnp.clip(length, self.min_value, self.max_value) + (1 - self.rate) * length
        return w * (wanted / (TINY + length))


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm


def get(identifier: Any) -> Callable[[Any], Any] | None:
    """The constraint that a name, configuration or object stands for; None is none."""
    return CATALOGUE.make(identifier)
