"""Penalties on weights (or outputs) that are added to the cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from pellucid import naming
from pellucid.arrays import Array, ArrayLike, as_array
from pellucid.errors import ArgumentError, message
from pellucid.formula import (
    TERMS,
    Choice,
    Expression,
    Let,
    Number,
    Rest,
    at_least,
    indexed,
    sqrt,
    sum_over,
    total,
)
from pellucid.naming import Catalogue, Configurable

CATALOGUE = Catalogue("regularizer")


def _strength(name: str, value: float | None) -> float:
    value = 0.0 if value is None else float(value)
    if not 0.0 <= value < float("inf"):
        raise ArgumentError(message(f"{name} cannot be negative.", came=value, expected="0 or more"))
    return value


class Regularizer(Configurable):
    """A penalty: called with an array, gives one number. One of your own may state its formulas, too."""

    namespace = "keras.regularizers"

    def __call__(self, x: ArrayLike) -> Array:
        """The penalty of this array."""
        raise NotImplementedError

    def formula(self, array: np.ndarray[Any, Any], name: str) -> Expression | None:
        """The arithmetic of the penalty of an array of that name; None if it states none."""
        return None

    def slope(self, array: np.ndarray[Any, Any], index: tuple[int, ...], name: str) -> Expression | None:
        """The arithmetic of the penalty's derivative by one entry; None if it states none."""
        return None


@CATALOGUE.entry("l1_l2")
class L1L2(Regularizer):
    """l1 * sum |w| + l2 * sum w^2."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = _strength("l1", l1), _strength("l2", l2)

    def __call__(self, x: ArrayLike) -> Array:
        """The penalty of this array."""
        w = as_array(x)
        penalty = jnp.zeros((), w.dtype)
        if self.l1:
            penalty = penalty + self.l1 * jnp.sum(jnp.abs(w))
        if self.l2:
            penalty = penalty + self.l2 * jnp.sum(jnp.square(w))
        return penalty

    def formula(self, array: np.ndarray[Any, Any], name: str) -> Expression | None:
        """l1 * sum |w| + l2 * sum w^2."""
        parts: list[Expression] = []
        if self.l1:
            parts.append(self.l1 * sum_over(array, name, abs))
        if self.l2:
            parts.append(self.l2 * sum_over(array, name, lambda w: w**2))
        return total(parts)

    def slope(self, array: np.ndarray[Any, Any], index: tuple[int, ...], name: str) -> Expression | None:
        """l1 or -l1 by the sign of w, plus 2 * l2 * w."""
        w = Number(array[index], indexed(name, index))
        parts: list[Expression] = []
        if self.l1:
            # At 0, |w| has no slope; JAX takes that of its right side.
            parts.append(Choice(w, ">=", 0, self.l1, -self.l1))
        if self.l2:
            parts.append(2 * (self.l2 * w))
        return total(parts)


@CATALOGUE.entry("l1")
class L1(L1L2):
    """l1 * sum |w|."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


@CATALOGUE.entry("l2")
class L2(L1L2):
    """l2 * sum w^2.

    >>> float(L2(0.5)([1.0, 2.0]))
    2.5
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


@CATALOGUE.entry()
class OrthogonalRegularizer(Regularizer):
    """factor * mean |cosine| between the rows (or columns) of a matrix.

    The mean is over pairs; rows that are orthogonal to each other cost nothing.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise ArgumentError(message("mode is unknown.", came=repr(mode), expected="rows or columns"))
        self.factor, self.mode = _strength("factor", factor), mode

    def __call__(self, x: ArrayLike) -> Array:
        """The penalty of this matrix."""
        w = as_array(x)
        if w.ndim != 2:
            raise ArgumentError(message("this penalty is for matrices.", came=w.shape, expected="2 sizes"))
        vectors = w if self.mode == "rows" else w.T
        lengths = jnp.sqrt(jnp.sum(jnp.square(vectors), axis=1, keepdims=True))
        unit = vectors / jnp.maximum(lengths, 1e-12)
        size = vectors.shape[0]
        cosines = jnp.abs(unit @ unit.T) * (1.0 - jnp.eye(size))
        return self.factor * 0.5 * jnp.sum(cosines) / max(size * (size - 1.0) / 2.0, 1.0)

    def formula(self, array: np.ndarray[Any, Any], name: str) -> Expression | None:
        """factor * mean |v . w| / (|v| * |w|) over the pairs of vectors, of which some are kept apart."""
        rows = self.mode == "rows"
        vectors = np.asarray(array if rows else array.T, np.float64)
        count, entries = vectors.shape
        first, second = np.triu_indices(count, 1)
        with np.errstate(all="ignore"):
            unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            cosines = np.abs((unit @ unit.T)[first, second])
        kept = np.sort(np.argsort(-np.nan_to_num(cosines, nan=np.inf), kind="stable")[:TERMS])

        def numbers(vector: int) -> list[Number]:
            places = [(vector, place) if rows else (place, vector) for place in range(entries)]
            return [Number(array[place], indexed(name, place)) for place in places]

        def length(vector: int) -> Let:
            squares = total(w**2 for w in numbers(vector))
            return Let(f"length_{vector}", at_least(sqrt(squares), 1e-12))

        pairs = [(int(first[pair]), int(second[pair])) for pair in kept]
        lengths = {vector: length(vector) for vector in {each for pair in pairs for each in pair}}
        terms: list[Expression] = [
            abs(total(a * b for a, b in zip(numbers(v), numbers(w), strict=True))) / (lengths[v] * lengths[w])
            for v, w in pairs
        ]
        if others := len(cosines) - len(kept):
            rest = float(np.delete(cosines, kept).sum())
            terms.append(Rest(rest, others, others * (8.0 + math.sqrt(entries))))
        return self.factor * total(terms) / max(len(cosines), 1)


l1, l2, l1_l2 = L1, L2, L1L2


def get(identifier: Any) -> Callable[[Any], Any] | None:
    """The regularizer that a name, configuration or object stands for; None is none."""
    return CATALOGUE.make(identifier)


def serialize(regularizer: Any) -> Any:
    """A regularizer as plain data."""
    return naming.serialize(regularizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The regularizer that `serialize` wrote down."""
    return CATALOGUE.make(config, custom_objects)
