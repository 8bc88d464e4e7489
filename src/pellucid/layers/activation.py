"""Activations as layers of their own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from pellucid import activations, constraints, initializers, regularizers
from pellucid.arrays import Array, Shape, as_array
from pellucid.errors import ArgumentError, ShapeError, message
from pellucid.formula import Expression, Number, Unit, largest, smallest, total
from pellucid.layers.core import activated, activated_shape, activated_slope
from pellucid.layers.layer import CATALOGUE, Layer
from pellucid.variables import Variable


class _Elementwise(Layer):
    """A layer whose outputs have the shape of its inputs."""

    rows_independent = elementwise = supports_masking = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape


@CATALOGUE.entry()
class Activation(_Elementwise):
    """a = g(z) for a named or given function g."""

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Array) -> Array:
        """g of the inputs."""
        return self.activation(inputs)

    def formula(self, unit: Unit) -> Expression | None:
        """a = g(z)."""
        return activated(self.activation, unit, "input")

    def backward(self, unit: Unit) -> Expression | None:
        """dJ/dz = dJ/da * g'(z)."""
        return activated_slope(self.activation, unit, "input")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs, unless g gives fewer numbers than it takes."""
        return activated_shape(self.activation, input_shape)


def _at_least_zero(name: str, value: float | None) -> float:
    if value is None or value < 0:
        raise ArgumentError(message(f"{name} cannot be negative.", came=value, expected="0 or more"))
    return float(value)


@CATALOGUE.entry("relu")
class ReLU(_Elementwise):
    """a = max(z, 0), with a slope below the threshold and a ceiling if they are given."""

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _at_least_zero("max_value", max_value)
        self.negative_slope = _at_least_zero("negative_slope", negative_slope)
        self.threshold = _at_least_zero("threshold", threshold)

    def call(self, inputs: Array) -> Array:
        """The inputs, cut at zero."""
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def formula(self, unit: Unit) -> Expression | None:
        """a = max(z, 0), with what was asked for."""
        options = {
            "negative_slope": self.negative_slope,
            "max_value": self.max_value,
            "threshold": self.threshold,
        }
        return activated(activations.relu, unit, "input", **options)


@CATALOGUE.entry()
class LeakyReLU(_Elementwise):
    """a = z above 0, negative_slope * z below."""

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        self.negative_slope = _at_least_zero("negative_slope", negative_slope)

    def call(self, inputs: Array) -> Array:
        """The inputs, flatter below zero."""
        return activations.leaky_relu(inputs, self.negative_slope)

    def formula(self, unit: Unit) -> Expression | None:
        """a = z, or negative_slope * z."""
        return activated(activations.leaky_relu, unit, "input", negative_slope=self.negative_slope)


@CATALOGUE.entry()
class ELU(_Elementwise):
    """a = z above 0, alpha * (exp(z) - 1) below. Clevert et al., 2016."""

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Array) -> Array:
        """The inputs, bent below zero."""
        return activations.elu(inputs, self.alpha)

    def formula(self, unit: Unit) -> Expression | None:
        """a = z, or alpha * (exp(z) - 1)."""
        return activated(activations.elu, unit, "input", alpha=self.alpha)


@CATALOGUE.entry()
class PReLU(_Elementwise):
    """a = z above 0, alpha * z below, where alpha is learned. He et al., 2015.

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: for alpha.
        shared_axes: the axes, counted with that of the rows as 0, along which all places share one alpha.

    Shapes: (rows, ...) in and out; alpha has the shape of a row, with sizes of 1 along `shared_axes`.
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else list(shared_axes or ())
        self.alpha: Any = None

    def build(self, input_shape: Shape) -> None:
        """Make alpha."""
        shared = {each % len(input_shape) for each in self.shared_axes}
        sizes = [1 if axis in shared else size for axis, size in enumerate(input_shape)][1:]
        if None in sizes:
            raise ShapeError(
                message(
                    f"{self.describe()} has an alpha for each place of a row, and needs to know how many.",
                    came=f"input of shape {input_shape}",
                    mend="share alpha along the axes of unknown size: shared_axes=[1].",
                )
            )
        self.alpha = self.add_weight(
            shape=[int(size or 0) for size in sizes],
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            name="alpha",
        )

    def call(self, inputs: Array) -> Array:
        """The inputs, flatter below zero."""
        below = -as_array(self.alpha.value) * activations.relu(-inputs)
        return activations.relu(inputs) + below

    def formula(self, unit: Unit) -> Expression | None:
        """max(z, 0) + alpha * min(z, 0)."""
        z = unit.number("input", *unit.index)
        own = [0 if size == 1 else at for at, size in zip(unit.index, self.alpha.shape, strict=True)]
        return largest(z, 0) + unit.weight(self.alpha, *own) * smallest(z, 0)

    def gradient_terms(
        self, variable: Variable, index: tuple[int, ...], seen: Unit, slopes: Mapping[str, Any]
    ) -> list[Expression] | None:
        """min(z, 0) * dJ/da, at every place that shares this alpha."""
        slope = slopes["output"]
        shared = zip(slope.shape, self.alpha.shape, index, strict=True)
        places = [range(size) if own == 1 else range(at, at + 1) for size, own, at in shared]
        return [
            smallest(seen.number("input", *place), 0) * seen.slope("output", slope[place], *place)
            for place in itertools.product(*places)
        ]


@CATALOGUE.entry()
class Softmax(_Elementwise):
    """a_i = exp(z_i) / sum_j exp(z_j) along an axis, or several; what is masked gets 0.

    Args:
        axis: the axis, or axes, of what are parts of one.

    Shapes: (rows, ...) in and out; a mask is broadcast to the inputs.
    """

    elementwise = False

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if 0 in (axis if isinstance(axis, Sequence) else (axis,)):
            raise ArgumentError(message("Softmax over the rows of a batch would mix them.", came="axis=0"))
        self.axis = axis

    def _axes(self, rank: int) -> tuple[int, ...]:
        given = self.axis if isinstance(self.axis, Sequence) else (self.axis,)
        return tuple(each % rank for each in given)

    def call(self, inputs: Array, mask: Any = None) -> Array:
        """The inputs as parts of one."""
        axes = self._axes(inputs.ndim)
        if mask is None:
            return jax.nn.softmax(inputs, axis=axes)
        counts = jnp.broadcast_to(jnp.asarray(mask, bool), inputs.shape)
        self.hand_out("counts", counts)
        lowest = jnp.finfo(inputs.dtype).min / 2
        return jnp.where(counts, jax.nn.softmax(jnp.where(counts, inputs, lowest), axis=axes), 0)

    def _along(self, unit: Unit) -> list[tuple[int, ...]]:
        """The places that share the sum: those along the axes which count."""
        axes = [each - 1 for each in self._axes(unit.row("input").ndim + 1)]
        shape = unit.row("input").shape
        ranges = [
            range(size) if axis in axes else range(at, at + 1)
            for axis, (size, at) in enumerate(zip(shape, unit.index, strict=True))
        ]
        everywhere = list(itertools.product(*ranges))
        counts = unit.arrays.get("counts")
        if counts is None:
            return everywhere
        return [place for place in everywhere if counts[(unit.example, *place)]]

    def formula(self, unit: Unit) -> Expression | None:
        """a_i = exp(z_i) / sum_j exp(z_j), along the axis."""
        places = self._along(unit)
        if unit.index not in places:
            return Number(0.0)
        row = [unit.number("input", *place) for place in places]
        return activations.formula(activations.softmax, row, places.index(unit.index))

    def backward(self, unit: Unit) -> Expression | None:
        """dJ/dz_j = sum_i dJ/da_i * da_i/dz_j."""
        places = self._along(unit)
        if unit.index not in places:
            return Number(0.0)
        row = [unit.number("input", *place) for place in places]
        given = [unit.number("output", *place) for place in places]
        terms: list[Expression] = []
        for i, place in enumerate(places):
            made = activations.slope(activations.softmax, row, given, i, places.index(unit.index))
            if made is None:
                return None
            terms.append(unit.gradient("output", *place) * made)
        return total(terms)
