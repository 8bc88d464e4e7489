"""Rules that weights must obey after every update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from pellucid import naming
from pellucid.arrays import Array, ArrayLike, as_array
from pellucid.formula import Choice, Expression, Let, sqrt, sum_over, within
from pellucid.naming import Catalogue, Configurable

CATALOGUE = Catalogue("constraint")
TINY = 1e-7


class Constraint(Configurable):
    """A projection: called with weights, gives the nearest weights that obey; this one all of them.

    One of your own overrides the call, and may state its formula, too.
    """

    namespace = "keras.constraints"

    def __call__(self, w: ArrayLike) -> Array:
        """The weights that obey."""
        return as_array(w)

    def formula(
        self, array: np.ndarray[Any, Any], index: tuple[int, ...], weight: Expression
    ) -> Expression | None:
        """The arithmetic of one weight that obeys; None if it states none.

        Args:
            array: all weights before.
            index: which of them is meant.
            weight: that weight before.
        """
        return None


def _length_formula(array: np.ndarray[Any, Any], index: tuple[int, ...], axis: Any) -> Expression:
    """The length of the vector along an axis (or several) that an entry belongs to."""
    axes = {each % array.ndim for each in np.atleast_1d(range(array.ndim) if axis is None else axis)}
    vector = array[tuple(slice(None) if each in axes else place for each, place in enumerate(index))]
    return Let("length", sqrt(sum_over(vector, "w", lambda w: w**2)))


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

    def formula(
        self, array: np.ndarray[Any, Any], index: tuple[int, ...], weight: Expression
    ) -> Expression | None:
        """w * min(length, max_value) / length."""
        length = _length_formula(array, index, self.axis)
        return weight * (within(length, 0, self.max_value) / (TINY + length))


@CATALOGUE.entry("nonneg")
class NonNeg(Constraint):
    """No weight is negative."""

    def __call__(self, w: ArrayLike) -> Array:
        """The weights, negative ones set to zero."""
        w = as_array(w)
        return w * (w >= 0)

    def formula(
        self, array: np.ndarray[Any, Any], index: tuple[int, ...], weight: Expression
    ) -> Expression | None:
        """w, or 0 if it is negative (or not a number)."""
        return Choice(weight, ">=", 0, weight, 0)


@CATALOGUE.entry()
class UnitNorm(Constraint):
    """Each unit's weight vector has length 1."""

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: ArrayLike) -> Array:
        """The weights, scaled."""
        w = as_array(w)
        return w / (TINY + _length(w, self.axis))

    def formula(
        self, array: np.ndarray[Any, Any], index: tuple[int, ...], weight: Expression
    ) -> Expression | None:
        """w / length."""
        return weight / (TINY + _length_formula(array, index, self.axis))


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

    def formula(
        self, array: np.ndarray[Any, Any], index: tuple[int, ...], weight: Expression
    ) -> Expression | None:
        """w * (rate * (length within the limits) + (1 - rate) * length) / length."""
        length = _length_formula(array, index, self.axis)
        wanted = within(length, self.min_value, self.max_value)
        if self.rate != 1:
            wanted = self.rate * wanted + (1 - self.rate) * length
        return weight * (wanted / (TINY + length))


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm


def get(identifier: Any) -> Callable[[Any], Any] | None:
    """The constraint that a name, configuration or object stands for; None is none."""
    return CATALOGUE.make(identifier)


def serialize(constraint: Any) -> Any:
    """A constraint as plain data."""
    return naming.serialize(constraint)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The constraint that `serialize` wrote down."""
    return CATALOGUE.make(config, custom_objects)
