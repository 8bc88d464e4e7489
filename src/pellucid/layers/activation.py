"""Activations as layers of their own."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from pellucid import activations
from pellucid.arrays import Array, Shape
from pellucid.errors import ArgumentError, message
from pellucid.formula import Expression, Unit
from pellucid.layers.core import activated, activated_slope
from pellucid.layers.layer import CATALOGUE, Layer


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
class Softmax(_Elementwise):
    """a_i = exp(z_i) / sum_j exp(z_j) along an axis; masked entries get 0."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if axis == 0:
            raise ArgumentError(message("Softmax over the rows of a batch would mix them.", came="axis=0"))
        self.axis = axis

    def call(self, inputs: Array, mask: Any = None) -> Array:
        """The inputs as parts of one."""
        if mask is not None:
            inputs = jnp.where(mask, inputs, jnp.finfo(inputs.dtype).min / 2)
        return jax.nn.softmax(inputs, axis=self.axis)

    def formula(self, unit: Unit) -> Expression | None:
        """a_i = exp(z_i) / sum_j exp(z_j), along the axis."""
        shape = unit.row("input").shape
        axis = self.axis - 1 if self.axis > 0 else self.axis % len(shape)
        along = [(*unit.index[:axis], each, *unit.index[axis + 1 :]) for each in range(shape[axis])]
        row = [unit.number("input", *index) for index in along]
        return activations.formula(activations.softmax, row, unit.index[axis])

    def backward(self, unit: Unit) -> Expression | None:
        """dJ/dz_j = sum_i dJ/da_i * da_i/dz_j."""
        last = len(unit.row("input").shape)
        return activated_slope(activations.softmax, unit, "input") if self.axis in (-1, last) else None
