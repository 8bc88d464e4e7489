"""Layers that bring numbers to mean 0 and variance 1, by batch or by row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import constraints, initializers, regularizers
from pellucid.arrays import Array, Shape, as_array
from pellucid.errors import KindError, ShapeError, message
from pellucid.formula import Expression, Let, Number, Rounded, Unit, indexed, sqrt, sum_of, times
from pellucid.layers.layer import CATALOGUE, Layer
from pellucid.variables import Variable

#: Added to the number of places that count, so that none at all does no harm.
MASKED = 1e-7


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
    supports_masking = True
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
            shape, self.moving_mean_initializer, trainable=False, autocast=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, autocast=False, name="moving_variance"
        )

    def call(self, inputs: Array, training: bool = False, mask: Any = None) -> Array:
        """The inputs, normalized by their batch while training, by the running means otherwise."""
        dtype, inputs = inputs.dtype, _wide(inputs)
        axis = self.axis % inputs.ndim
        shape = tuple(size if each == axis else 1 for each, size in enumerate(inputs.shape))
        mean, variance = as_array(self.moving_mean.value), as_array(self.moving_variance.value)
        if training and self.trainable:
            batch_mean, batch_variance = self._moments(inputs, axis, mask)
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
        return _as_it_came(inputs * factor.reshape(shape) + shift.reshape(shape), dtype)

    def _moments(self, inputs: Array, axis: int, mask: Any) -> tuple[Array, Array]:
        """Mean and variance of each feature; with a mask, of the places that count."""
        others = tuple(each for each in range(inputs.ndim) if each != axis)
        if mask is None:
            return jnp.mean(inputs, axis=others), jnp.var(inputs, axis=others)
        if mask.ndim != inputs.ndim - 1:
            raise ShapeError(
                message(
                    f"the mask of {self.describe()} has one axis less than the inputs.",
                    came=f"mask.shape={tuple(mask.shape)}, inputs.shape={tuple(inputs.shape)}",
                )
            )
        counts = jnp.broadcast_to(jnp.asarray(mask, bool)[..., None], inputs.shape)
        self.hand_out("counts", counts)
        rows = jnp.sum(counts, axis=others, keepdims=True, dtype=inputs.dtype) + MASKED
        mean = jnp.sum(jnp.where(counts, inputs, 0), axis=others, keepdims=True) / rows
        squares = jnp.square(jnp.where(counts, inputs - mean, 0))
        variance = jnp.sum(squares, axis=others, keepdims=True) / rows
        return mean.reshape(-1), variance.reshape(-1)

    def _feature(self, unit: Unit) -> int:
        """Which feature a number of a row belongs to."""
        return unit.index[(self.axis - 1) if self.axis > 0 else self.axis]

    def _used(self, unit: Unit) -> tuple[Expression, Expression]:
        """The mean and the variance that a number was normalized by."""
        j = self._feature(unit)
        if unit.training and self.trainable:
            return unit.shared("mean", j), unit.shared("variance", j)
        return unit.weight(self.moving_mean, j), unit.weight(self.moving_variance, j)

    def formula(self, unit: Unit) -> Expression | None:
        """(x - mean) / sqrt(variance + epsilon) * gamma + beta."""
        x = unit.number("input", *unit.index)
        return _scaled(self, unit, _normalized(self, x, *self._used(unit)), self._feature(unit))

    def backward(self, unit: Unit) -> Expression | None:
        """dJ/dx = gamma * (d - mean(d) - n * mean(d * n)) / deviation, d = dJ/dy, n = (x - mean) / deviation.

        The two means are over the batch: each x moves the mean and the variance of all. Outside of
        training both are what they are, and dJ/dx = gamma * d / deviation.
        """
        if unit.what != "input":
            return None
        inputs, axis, j = unit.arrays["input"], self.axis % unit.arrays["input"].ndim, self._feature(unit)
        mean, variance = self._used(unit)
        slope = unit.gradient("output", *unit.index)
        gamma = [] if self.gamma is None else [unit.weight(self.gamma, j)]
        counts = unit.arrays.get("counts")
        moves = unit.training and self.trainable
        if not moves or (counts is not None and not counts[(unit.example, *unit.index)]):
            return times(*gamma, slope) / _deviation(self, variance)
        places = [range(size) if each != axis else range(j, j + 1) for each, size in enumerate(inputs.shape)]
        index = list(itertools.product(*places))

        def slope_at(place: tuple[int, ...]) -> Expression:
            return Number(unit.slopes["output"][place], indexed(f"{unit.layer}.d_output", place))

        def input_at(place: tuple[int, ...]) -> Expression:
            return Number(inputs[place], indexed(f"{unit.layer}.input", place))

        rows = len(index) if counts is None else int(np.take(counts, j, axis).sum())
        x = unit.number("input", *unit.index)
        moved = _through_moments(self, slope, x, (mean, variance), index, slope_at, input_at, rows)
        return times(*gamma, moved)

    def gradient_terms(
        self, variable: Variable, index: tuple[int, ...], seen: Unit, slopes: Mapping[str, Any]
    ) -> list[Expression] | None:
        """dJ/dy * n for gamma, dJ/dy for beta, at every place of the feature."""
        slope = slopes["output"]
        axis = self.axis % (slope.ndim + 1) - 1
        places = [range(size) if each != axis else index for each, size in enumerate(slope.shape)]
        return _weight_terms(self, variable, seen, slope, itertools.product(*places), self._used)

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


def _deviation(layer: Any, variance: Expression) -> Expression:
    return sqrt(variance + layer.epsilon)


def _normalized(layer: Any, x: Expression, mean: Expression, variance: Expression) -> Expression:
    """(x - mean) / sqrt(variance + epsilon)."""
    deviation = _deviation(layer, variance)
    # The code may multiply out x / deviation - mean / deviation: its rounding is that of the larger ones.
    size = 4.0 * (abs(x.value) + abs(mean.value)) / deviation.value
    return Rounded((x - mean) / deviation, size)


def _scaled(layer: Any, unit: Unit, normalized: Expression, *index: int) -> Expression:
    """n * gamma + beta."""
    if layer.gamma is not None:
        normalized = normalized * unit.weight(layer.gamma, *index)
    if layer.beta is None:
        return normalized
    beta = unit.weight(layer.beta, *index)
    return Rounded(normalized + beta, abs(beta.value))


def _through_moments(
    layer: Any,
    slope: Expression,
    x: Expression,
    moments: tuple[Expression, Expression],
    places: Sequence[Any],
    slope_at: Callable[[Any], Expression],
    input_at: Callable[[Any], Expression],
    rows: int,
) -> Expression:
    """(d - mean(d) - n * mean(d * n)) / deviation: the gradient by one of the numbers that moments are of.

    Args:
        layer: has an epsilon.
        slope, x: the gradient d by n at the place that is asked for, and the input there.
        moments: mean and variance.
        places: where all d are that depend on these moments.
        slope_at, input_at: the gradient by n, and the input, at a place.
        rows: how many numbers the moments are of.
    """
    mean, variance = moments
    deviation = _deviation(layer, variance)
    slopes = np.array([slope_at(place).value for place in places])
    inputs = np.array([input_at(place).value for place in places])
    n = _normalized(layer, x, mean, variance)

    def product(place: int) -> Expression:
        return slope_at(places[place]) * ((input_at(places[place]) - mean) / deviation)

    by_mean = sum_of(slopes, lambda place: slope_at(places[place])) / rows
    by_deviation = sum_of(slopes * (inputs - mean.value) / deviation.value, product) / rows
    # In the code both sums are of larger numbers, which cancel: d * x, and d * mean.
    sizes = (np.abs(inputs) + abs(mean.value)) / deviation.value
    lost = np.abs(slopes).sum() + abs(n.value) * (np.abs(slopes) * sizes).sum()
    lost += abs(by_deviation.value) * rows * float(sizes.max(initial=0.0))
    error = (8.0 + np.sqrt(len(slopes))) * float(lost) / max(rows, 1) / deviation.value
    moved = slope - Let("mean_d", by_mean) - n * Let("mean_dn", by_deviation)
    return Rounded(moved / deviation, error)


def _weight_terms(
    layer: Any,
    variable: Variable,
    seen: Unit,
    slope: Any,
    places: Iterable[Any],
    moments: Callable[[Unit], Any],
) -> list[Expression]:
    """d for beta, d * n for gamma, at each of the places."""
    terms: list[Expression] = []
    for place in places:
        d = seen.slope("output", slope[place], *place)
        if variable is layer.gamma:
            at = replace(seen, index=place)
            d = d * _normalized(layer, seen.number("input", *place), *moments(at))
        terms.append(d)
    return terms


def _weight(layer: Layer, name: str, shape: tuple[int, ...]) -> Variable:
    """Add beta or gamma, as the layer's arguments of that name say."""
    own = {what: getattr(layer, f"{name}_{what}") for what in ("initializer", "regularizer", "constraint")}
    return layer.add_weight(shape, name=name, autocast=False, **own)


def _wide(inputs: Array) -> Array:
    """Floats of 16 bits as float32: in 16 bits means and variances are coarse, and may be too large."""
    return inputs.astype(jnp.float32) if inputs.dtype in (jnp.float16, jnp.bfloat16) else inputs


def _as_it_came(outputs: Array, dtype: Any) -> Array:
    """What was computed in float32, in the 16 bits that the inputs had; all else as it is."""
    return outputs.astype(dtype) if dtype in (jnp.float16, jnp.bfloat16) else outputs


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

    rows_independent = supports_masking = True
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
        axes = list(axis) if isinstance(axis, list | tuple) else [axis]
        if not all(isinstance(each, int) for each in axes):
            raise KindError(
                message(
                    f"Expected an int or a list/tuple of ints for the argument 'axis' of {self.describe()}.",
                    came=repr(axis),
                )
            )
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
        dtype, inputs = inputs.dtype, _wide(inputs)
        axes = self._axes(inputs.ndim)
        shape = tuple(size if each in axes else 1 for each, size in enumerate(inputs.shape))
        mean = self.hand_out("mean", jnp.mean(inputs, axis=axes, keepdims=True))
        variance = self.hand_out("variance", jnp.var(inputs, axis=axes, keepdims=True))
        outputs = (inputs - mean) * jax.lax.rsqrt(variance + self.epsilon)
        if self.gamma is not None:
            outputs = outputs * as_array(self.gamma.value).reshape(shape)
        if self.beta is not None:
            outputs = outputs + as_array(self.beta.value).reshape(shape)
        return _as_it_came(outputs, dtype)

    def _used(self, unit: Unit) -> tuple[Expression, Expression]:
        """The mean and the variance that a number was normalized by."""
        axes = [each - 1 for each in self._axes(unit.arrays["input"].ndim)]
        there = tuple(0 if axis in axes else place for axis, place in enumerate(unit.index))
        return unit.number("mean", *there), unit.number("variance", *there)

    def _place_of_weights(self, unit: Unit, index: tuple[int, ...]) -> tuple[int, ...]:
        """The place of gamma and beta for a place in a row."""
        return tuple(index[axis - 1] for axis in self._axes(unit.arrays["input"].ndim))

    def formula(self, unit: Unit) -> Expression | None:
        """(x - mean) / sqrt(variance + epsilon) * gamma + beta, with mean and variance of the row."""
        x = unit.number("input", *unit.index)
        return _scaled(
            self, unit, _normalized(self, x, *self._used(unit)), *self._place_of_weights(unit, unit.index)
        )

    def backward(self, unit: Unit) -> Expression | None:
        """dJ/dx = (d - mean(d) - n * mean(d * n)) / deviation, d = dJ/dy * gamma, n = (x - mean) / deviation.

        The two means are over the row: each x moves its mean and variance.
        """
        if unit.what != "input":
            return None
        axes = [each - 1 for each in self._axes(unit.arrays["input"].ndim)]
        places = [
            range(size) if axis in axes else range(at, at + 1)
            for axis, (size, at) in enumerate(zip(unit.row("input").shape, unit.index, strict=True))
        ]

        def slope_at(place: tuple[int, ...]) -> Expression:
            slope = unit.gradient("output", *place)
            return (
                slope
                if self.gamma is None
                else slope * unit.weight(self.gamma, *self._place_of_weights(unit, place))
            )

        def input_at(place: tuple[int, ...]) -> Expression:
            return unit.number("input", *place)

        index = list(itertools.product(*places))
        own = slope_at(unit.index), input_at(unit.index)
        return _through_moments(self, *own, self._used(unit), index, slope_at, input_at, len(index))

    def gradient_terms(
        self, variable: Variable, index: tuple[int, ...], seen: Unit, slopes: Mapping[str, Any]
    ) -> list[Expression] | None:
        """dJ/dy * n for gamma, dJ/dy for beta, at every place that shares them."""
        slope = slopes["output"]
        own = dict(zip(self._axes(slope.ndim + 1), index, strict=True))
        places = [
            [own[axis + 1]] if axis + 1 in own else range(size) for axis, size in enumerate(slope.shape)
        ]
        return _weight_terms(self, variable, seen, slope, itertools.product(*places), self._used)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape
