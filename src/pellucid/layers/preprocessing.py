"""Layers that prepare features inside the network, so that new rows are prepared in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from pellucid.arrays import Array, Shape, as_array, as_float
from pellucid.errors import ArgumentError, ShapeError, StateError, message
from pellucid.formula import Expression, Unit, largest, sqrt
from pellucid.layers.layer import CATALOGUE, Layer

EPSILON = 1e-7


@CATALOGUE.entry()
class Normalization(Layer):
    """(x - mean) / sqrt(variance) for each feature; the two are learned from data by `adapt`.

    Args:
        axis: the axis (or axes) of the features, each with its own mean; None: one for all numbers.
        mean, variance: known values, instead of `adapt`.
        invert: whether to go back: x * sqrt(variance) + mean.

    Example:
        >>> layer = Normalization()
        >>> layer.adapt([[1.0], [3.0]])
        >>> layer([[5.0]]).tolist()
        [[3.0]]
    """

    rows_independent = elementwise = True

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ArgumentError(
                message("When setting values directly, both `mean` and `variance` must be set.", came=mean)
            )
        self.axis, self.invert = axis, invert
        self._given = None if mean is None else (np.asarray(mean), np.asarray(variance))
        self.mean: Any = None
        self.variance: Any = None
        self.count: Any = None
        self._features: tuple[int, ...] = ()
        self._rank = 0

    def _axes(self, rank: int) -> tuple[int, ...]:
        given = () if self.axis is None else self.axis if isinstance(self.axis, Sequence) else (self.axis,)
        axes = tuple(sorted(each % rank for each in given))
        if any(each < 0 or each >= rank for each in axes):
            raise ArgumentError(
                message("axis does not fit the data.", came=self.axis, expected=f"{rank} axes")
            )
        return axes

    def build(self, input_shape: Shape) -> None:
        """Make room for mean, variance and count."""
        axes = self._axes(len(input_shape))
        features = tuple(input_shape[each] for each in axes)
        if any(size is None for size in features):
            raise ShapeError(
                message(f"{self.describe()} needs to know how many features there are.", came=input_shape)
            )
        self._features = tuple(int(size or 0) for size in features)
        self._rank = len(input_shape)
        self.mean = self.add_weight(self._features, "zeros", trainable=False, name="mean")
        self.variance = self.add_weight(self._features, "ones", trainable=False, name="variance")
        self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")
        if self._given is not None:
            for variable, value in zip((self.mean, self.variance), self._given, strict=True):
                shape = tuple(1 if each not in axes else size for each, size in enumerate(input_shape))
                wide = np.broadcast_to(value, tuple(size or 1 for size in shape))
                variable.assign(wide.reshape(self._features).astype(variable.dtype))

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn mean and variance from data: an array of rows, or an iterable of batches."""
        if hasattr(data, "to_numpy"):
            data = data.to_numpy()
        batches: Any = [data]
        if not hasattr(data, "shape") and not isinstance(data, list | tuple):
            batches = data
        total: Any = 0.0
        square: Any = 0.0
        count = 0
        for number, batch in enumerate(batches):
            if steps is not None and number >= steps:
                break
            array = np.asarray(batch, np.float64)
            if array.ndim == 1:
                array = array[:, None]
            if not self.built:
                self.build_for((None, *array.shape[1:]))
            if array.size == 0:
                continue
            axes = self._axes(array.ndim)
            others = tuple(each for each in range(array.ndim) if each not in axes)
            rows = int(np.prod([array.shape[each] for each in others]))
            mean, variance = array.mean(axis=others), array.var(axis=others)
            # Means and variances of parts joined as sums would be, without their loss of digits.
            joined = count + rows
            gap = mean - total
            square = square + variance * rows + gap**2 * (count * rows / joined)
            total = total + gap * (rows / joined)
            count = joined
        if count == 0:
            raise ArgumentError(message("adapt was given no rows.", mend="give it the training rows."))
        self.mean.assign(np.asarray(total, self.mean.dtype))
        self.variance.assign(np.asarray(square / count, self.variance.dtype))
        self.count.assign(np.asarray(count, np.int32))

    def call(self, inputs: Array) -> Array:
        """The inputs in standard deviations from the mean."""
        inputs = as_float(inputs)
        axes = self._axes(inputs.ndim)
        shape = tuple(size if each in axes else 1 for each, size in enumerate(inputs.shape))
        mean = as_array(self.mean.value).reshape(shape)
        spread = jnp.maximum(jnp.sqrt(as_array(self.variance.value)).reshape(shape), EPSILON)
        return inputs * spread + mean if self.invert else (inputs - mean) / spread

    def formula(self, unit: Unit) -> Expression | None:
        """(x - mean) / sqrt(variance), or back."""
        own = tuple(unit.index[each - 1] for each in self._axes(unit.arrays["input"].ndim))
        x, mean = unit.number("input", *unit.index), unit.weight(self.mean, *own)
        spread = largest(sqrt(unit.weight(self.variance, *own)), EPSILON)
        return x * spread + mean if self.invert else (x - mean) / spread

    def check_input(self, inputs: Array) -> None:
        """The features must be those of `adapt`."""
        if self.axis == -1:
            size = self._features[0]
            self.expects_last(inputs, size, f"this layer was adapted to {size} features")

    def require_adapted(self) -> None:
        """Raise StateError if mean and variance are not known."""
        if self._given is None and (self.count is None or int(self.count.value) == 0):
            raise StateError(
                message(f"{self.describe()} has not seen data.", mend="call adapt(X) on it first.")
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape


@CATALOGUE.entry()
class Rescaling(Layer):
    """x * scale + offset: `Rescaling(1 / 255)` brings pixels to 0..1."""

    rows_independent = elementwise = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset

    def call(self, inputs: Array) -> Array:
        """The inputs, rescaled."""
        return as_float(inputs) * jnp.asarray(self.scale, self.dtype) + jnp.asarray(self.offset, self.dtype)

    def formula(self, unit: Unit) -> Expression | None:
        """X * scale + offset."""
        shape = unit.row("input").shape
        scale, offset = (
            float(np.broadcast_to(np.asarray(each, np.float64), shape)[unit.index])
            for each in (self.scale, self.offset)
        )
        return unit.number("input", *unit.index) * scale + offset

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape
