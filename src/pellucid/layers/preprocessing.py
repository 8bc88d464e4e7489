"""Layers that prepare features inside the network, so that new rows are prepared in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from pellucid.arrays import Array, Shape, as_array, as_float
from pellucid.errors import ArgumentError, ShapeError, StateError, message
from pellucid.formula import Expression, Number, Unit, indexed, largest, sqrt
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
        self.adapt_mean: Any = None
        self.adapt_variance: Any = None
        self.count: Any = None
        self._features: tuple[int, ...] = ()
        #: The shape of mean and variance in a batch, with sizes of 1 where they are the same.
        self._wide: tuple[int, ...] = ()

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
        self._wide = tuple(int(size or 0) if each in axes else 1 for each, size in enumerate(input_shape))
        if self._given is None:
            self.adapt_mean = self.add_weight(self._features, "zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(self._features, "ones", trainable=False, name="variance")
            # Files of Keras hold it; nothing is counted in it any more.
            self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")
        else:
            self._given = tuple(self._spread(value, axes) for value in self._given)

    def _spread(self, value: Any, axes: tuple[int, ...]) -> Any:
        """A given value for every feature; its axes are the last ones of those of the features."""
        sizes = [1] * len(self._wide)
        for axis, size in zip(axes[len(axes) - value.ndim :], value.shape, strict=True):
            sizes[axis] = size
        return np.broadcast_to(value.reshape(sizes), self._wide).astype(self.dtype)

    @property
    def mean(self) -> Any:
        """The mean of each feature, in a shape that fits a batch; None if the layer is not built."""
        return self._known(0, self.adapt_mean)

    @property
    def variance(self) -> Any:
        """The variance of each feature, in a shape that fits a batch; None if the layer is not built."""
        return self._known(1, self.adapt_variance)

    def _known(self, which: int, variable: Any) -> Any:
        if not self._wide:
            return None
        return jnp.asarray(
            self._given[which] if self._given else as_array(variable.value).reshape(self._wide)
        )

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn mean and variance from data: an array of rows, or an iterable of batches."""
        if self._given is not None:
            raise StateError(
                message(
                    f"{self.describe()} was given mean and variance, and learns none.",
                    mend="make the layer without them.",
                )
            )
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
        self.adapt_mean.assign(np.asarray(total, self.adapt_mean.dtype))
        self.adapt_variance.assign(np.asarray(square / count, self.adapt_variance.dtype))

    def call(self, inputs: Array) -> Array:
        """The inputs in standard deviations from the mean."""
        inputs, mean = as_float(inputs), self.mean
        spread = jnp.maximum(jnp.sqrt(self.variance), EPSILON)
        return inputs * spread + mean if self.invert else (inputs - mean) / spread

    def formula(self, unit: Unit) -> Expression | None:
        """(x - mean) / sqrt(variance), or back."""
        own = tuple(unit.index[each - 1] for each in self._axes(unit.arrays["input"].ndim))
        x = unit.number("input", *unit.index)
        if self._given is None:
            mean, variance = unit.weight(self.adapt_mean, *own), unit.weight(self.adapt_variance, *own)
        else:
            wide = (value.reshape(self._features)[own] for value in self._given)
            mean, variance = (
                Number(value, indexed(f"{self.name}.{name}", own))
                for name, value in zip(("mean", "variance"), wide, strict=True)
            )
        spread = largest(sqrt(variance), EPSILON)
        return x * spread + mean if self.invert else (x - mean) / spread

    def check_input(self, inputs: Array) -> None:
        """The features must be those of `adapt`."""
        if self.axis == -1:
            size = self._features[0]
            self.expects_last(inputs, size, f"this layer was adapted to {size} features")

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
