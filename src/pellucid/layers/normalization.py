"""Layers that bring numbers to mean 0 and variance 1, by batch or by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from pellucid import constraints, initializers, regularizers
from pellucid.arrays import Array, Shape, as_array
from pellucid.errors import ShapeError, message
from pellucid.formula import Expression, Rounded, Unit, sqrt
from pellucid.layers.layer import CATALOGUE, Layer
from pellucid.variables import Variable


@CATALOGUE.entry()
class BatchNormalization(Layer):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, for each feature.

    While training, mean and variance are those of the batch, and running means of both are kept:
    moving <- moving * momentum + batch * (1 - momentum). Afterwards the running means are used.
    Ioffe & Szegedy, 2015.

    Args:
        axis: the axis of the features.
        momentum: how much of the running means is kept at each step.
        epsilon: added to the variance.
        center, scale: whether there are beta and gamma.
    """

    rows_independent = False
    fixed = {"renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99}

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis, self.momentum, self.epsilon = int(axis), float(momentum), epsilon
        self.center, self.scale = center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.gamma: Any = None
        self.beta: Any = None
        self.moving_mean: Any = None
        self.moving_variance: Any = None

    def build(self, input_shape: Shape) -> None:
        """Make gamma, beta, and the running means."""
        shape = (_size(self, input_shape, self.axis),)
        if self.scale:
            self.gamma = _weight(self, "gamma", shape)
        if self.center:
            self.beta = _weight(self, "beta", shape)
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def call(self, inputs: Array, training: bool = False, mask: Any = None) -> Array:
        """The inputs, normalized by their batch while training, by the running means otherwise."""
        axis = self.axis % inputs.ndim
        shape = tuple(size if each == axis else 1 for each, size in enumerate(inputs.shape))
        mean, variance = as_array(self.moving_mean.value), as_array(self.moving_variance.value)
        if training and self.trainable:
            others = tuple(each for each in range(inputs.ndim) if each != axis)
            batch_mean, batch_variance = jnp.mean(inputs, axis=others), jnp.var(inputs, axis=others)
            batch_mean = self.hand_out("mean", batch_mean, shared=True)
            batch_variance = self.hand_out("variance", batch_variance, shared=True)
            kept = self.momentum
            self.moving_mean.assign(mean * kept + batch_mean * (1.0 - kept))
            self.moving_variance.assign(variance * kept + batch_variance * (1.0 - kept))
            mean, variance = batch_mean, batch_variance
        factor = jax.lax.rsqrt(variance + self.epsilon)
        if self.gamma is not None:
            factor = factor * as_array(self.gamma.value)
        shift = -mean * factor
        if self.beta is not None:
            shift = shift + as_array(self.beta.value)
        return inputs * factor.reshape(shape) + shift.reshape(shape)

    def formula(self, unit: Unit) -> Expression | None:
        """(x - mean) / sqrt(variance + epsilon) * gamma + beta."""
        x = unit.number("input", *unit.index)
        j = unit.index[(self.axis - 1) if self.axis > 0 else self.axis]
        if unit.training and self.trainable:
            mean, variance = unit.shared("mean", j), unit.shared("variance", j)
        else:
            mean, variance = unit.weight(self.moving_mean, j), unit.weight(self.moving_variance, j)
        return _normalized(self, unit, x, mean, variance, (j,))

    def mixes_rows(self, training: bool) -> bool:
        """Only while training."""
        return training and self.trainable

    def check_input(self, inputs: Array) -> None:
        """The features must be as many as when the layer was built."""
        if self.axis == -1:
            size = self.moving_mean.shape[0]
            self.expects_last(inputs, size, f"this layer was built for {size} features")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape


def _normalized(
    layer: Any, unit: Unit, x: Expression, mean: Expression, variance: Expression, index: tuple[int, ...]
) -> Expression:
    # The code multiplies out x * factor - mean * factor: its rounding is that of the larger products.
    factor = 1.0 / sqrt(variance + layer.epsilon)
    if layer.gamma is not None:
        factor = factor * unit.weight(layer.gamma, *index)
    size = 4.0 * abs(factor.value) * (abs(x.value) + abs(mean.value))
    result = Rounded((x - mean) * factor, size)
    return result if layer.beta is None else result + unit.weight(layer.beta, *index)


def _weight(layer: Layer, name: str, shape: tuple[int, ...]) -> Variable:
    """Add beta or gamma, as the layer's arguments of that name say."""
    own = {what: getattr(layer, f"{name}_{what}") for what in ("initializer", "regularizer", "constraint")}
    return layer.add_weight(shape, name=name, **own)


def _size(layer: Layer, input_shape: Shape, axis: int) -> int:
    size = input_shape[axis]
    if size is None:
        raise ShapeError(
            message(f"{layer.describe()} needs to know the size of axis {axis}.", came=f"shape {input_shape}")
        )
    return size


@CATALOGUE.entry()
class LayerNormalization(Layer):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, within each row. Ba et al., 2016.

    Args:
        axis: the axis or axes within a row that mean and variance are taken over.
        epsilon: added to the variance.
        center, scale: whether there are beta and gamma.
    """

    rows_independent = True
    fixed = {"rms_scaling": False}

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.epsilon, self.center, self.scale = epsilon, center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.gamma: Any = None
        self.beta: Any = None

    def _axes(self, rank: int) -> tuple[int, ...]:
        given = self.axis if isinstance(self.axis, Sequence) else (self.axis,)
        return tuple(sorted(each % rank for each in given))

    def build(self, input_shape: Shape) -> None:
        """Make gamma and beta."""
        shape = tuple(_size(self, input_shape, each) for each in self._axes(len(input_shape)))
        if self.scale:
            self.gamma = _weight(self, "gamma", shape)
        if self.center:
            self.beta = _weight(self, "beta", shape)

    def call(self, inputs: Array) -> Array:
        """The inputs, each row normalized by itself."""
        axes = self._axes(inputs.ndim)
        shape = tuple(size if each in axes else 1 for each, size in enumerate(inputs.shape))
        mean = self.hand_out("mean", jnp.mean(inputs, axis=axes, keepdims=True))
        variance = self.hand_out("variance", jnp.var(inputs, axis=axes, keepdims=True))
        outputs = (inputs - mean) * jax.lax.rsqrt(variance + self.epsilon)
        if self.gamma is not None:
            outputs = outputs * as_array(self.gamma.value).reshape(shape)
        if self.beta is not None:
            outputs = outputs + as_array(self.beta.value).reshape(shape)
        return outputs

    def formula(self, unit: Unit) -> Expression | None:
        """(x - mean) / sqrt(variance + epsilon) * gamma + beta, with mean and variance of the row."""
        axes = [each - 1 for each in self._axes(unit.arrays["input"].ndim)]
        there = tuple(0 if axis in axes else place for axis, place in enumerate(unit.index))
        mean, variance = unit.number("mean", *there), unit.number("variance", *there)
        own = tuple(unit.index[axis] for axis in axes)
        return _normalized(self, unit, unit.number("input", *unit.index), mean, variance, own)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape
