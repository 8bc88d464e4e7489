"""Pooling: of what lies under a window the largest number, or the mean."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from pellucid.arrays import Array, Shape, as_float, known_data_format
from pellucid.formula import Expression, Number, Unit, largest, mean, total
from pellucid.layers.layer import CATALOGUE, Layer
from pellucid.layers.windows import (
    Axis,
    Windows,
    channels_apart,
    channels_behind,
    known_padding,
    lengths,
    require_axes,
    whole_numbers,
    with_channel,
)

Index = tuple[int, ...]
#: A window that is longer than this along an axis is left to XLA's own loop over windows.
LONG = 16


def larger(first: Array, second: Array) -> Array:
    """The larger of two; the first of equal ones, so that only one of them gets the gradient."""
    return jnp.where((first >= second) | jnp.isnan(first), first, second)


class _Pooling(Layer):
    """What pooling layers share: windows within each channel."""

    rows_independent = True
    rank: ClassVar[int]

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        kind = type(self).__name__
        self.pool_size = whole_numbers("pool_size", pool_size, self.rank, kind)
        given = self.pool_size if strides is None else strides
        self.strides = whole_numbers("strides", given, self.rank, kind)
        self.padding = known_padding(padding, kind)
        self.data_format = known_data_format(data_format)

    def _axis(self, number: int, places: int) -> Axis:
        return Axis.under_window(places, self.pool_size[number], self.strides[number], padding=self.padding)

    def _windows(self, places: Sequence[int]) -> Windows:
        return Windows(tuple(self._axis(number, size) for number, size in enumerate(places)))

    def _windows_of(self, unit: Unit) -> Windows:
        return self._windows(channels_apart(unit.row("input").shape, self.data_format)[0])

    def _pooled(
        self, inputs: Array, join: Callable[[Array, Array], Array], reduce: Any, nothing: Any
    ) -> Array:
        """What `join` makes of the numbers under each window; `nothing` pads, and changes none of it.

        It goes along one axis after the other, tap by tap: what lies under the same tap of all windows is a
        slice of the inputs. On a CPU the gradient through slices takes a seventh of the time of the one
        through XLA's own loop over windows.
        """
        first = 2 if self.data_format == "channels_first" else 1
        axes = self._windows(channels_apart(inputs.shape[1:], self.data_format)[0]).axes
        # The last axis first: of equal numbers the first one, row by row, counts.
        for number in reversed(range(self.rank)):
            axis, along = axes[number], first + number
            edges = [(0, 0)] * inputs.ndim
            edges[along] = (axis.before, axis.after)
            if axis.taps > LONG:
                inputs = jax.lax.reduce_window(
                    inputs,
                    nothing,
                    reduce,
                    [axis.taps if each == along else 1 for each in range(inputs.ndim)],
                    [axis.stride if each == along else 1 for each in range(inputs.ndim)],
                    edges,
                )
                continue
            padded = jnp.pad(inputs, edges, constant_values=nothing) if any(edges[along]) else inputs
            end = (axis.steps - 1) * axis.stride + 1
            taps = [
                jax.lax.slice_in_dim(padded, tap, tap + end, axis.stride, along) for tap in range(axis.taps)
            ]
            inputs = taps[0]
            for each in taps[1:]:
                inputs = join(inputs, each)
        return inputs

    def check_input(self, inputs: Array) -> None:
        """There must be as many axes as the window needs."""
        self.compute_output_shape(inputs.shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """How often the window fits along each axis; as many channels."""
        require_axes(self, input_shape, self.rank + 2)
        along = [lambda size, number=number: self._axis(number, size).steps for number in range(self.rank)]
        sizes = lengths(self, input_shape, along, self.data_format)
        _, channels = channels_apart(input_shape[1:], self.data_format)
        return (input_shape[0], *with_channel(sizes, channels, self.data_format))

    def _numbers(self, unit: Unit, step: Index, channel: int) -> list[Number]:
        """What lies under the window at a step."""
        found = self._windows_of(unit).under(step)
        return [unit.number("input", *with_channel(place, channel, self.data_format)) for _, place in found]


class _MaxPooling(_Pooling):
    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)

    def call(self, inputs: Array) -> Array:
        """The largest number under each window."""
        floats = jnp.issubdtype(inputs.dtype, jnp.floating)
        least = -jnp.inf if floats else jnp.iinfo(inputs.dtype).min
        return self._pooled(inputs, larger, jax.lax.max, least)

    def formula(self, unit: Unit) -> Expression | None:
        """The largest number under the window."""
        return largest(*self._numbers(unit, *channels_apart(unit.index, self.data_format)))

    def backward(self, unit: Unit) -> Expression | None:
        """The gradients by the outputs that are this number; of equal ones the first counts."""
        place, channel = channels_apart(unit.index, self.data_format)
        windows, row = self._windows_of(unit), channels_behind(unit.row("input"), self.data_format)
        terms: list[Expression] = []
        for _, step in windows.over(place):
            under = [each for _, each in windows.under(step)]
            if under[int(np.argmax([row[(*each, channel)] for each in under]))] == place:
                terms.append(unit.gradient("output", *with_channel(step, channel, self.data_format)))
        return total(terms)


@CATALOGUE.entry("MaxPool1D")
class MaxPooling1D(_MaxPooling):
    """The largest number under a window that moves along a sequence, for each channel.

    Args:
        pool_size: how many steps the window looks at.
        strides: how far it moves at a time; None: by its own size.
        padding: "valid": the window stays inside; "same": it may reach over the ends.
        data_format: "channels_last" for (rows, steps, channels), "channels_first" for (rows, channels,
            steps); None for the default.

    Shapes: (rows, steps, channels) in, (rows, new steps, channels) out.

    Example:
        >>> MaxPooling1D()([[[1.0], [3.0], [2.0], [4.0]]]).ravel().tolist()
        [3.0, 4.0]
    """

    rank = 1


@CATALOGUE.entry("MaxPool2D")
class MaxPooling2D(_MaxPooling):
    """The largest number under a window that moves over an image, for each channel.

    Args:
        pool_size: height and width of the window, or one number for both.
        strides: how far it moves at a time, down and to the right; None: by its own size.
        padding: "valid": the window stays inside; "same": it may reach over the edges.
        data_format: "channels_last" for (rows, height, width, channels), "channels_first" for (rows,
            channels, height, width); None for the default.

    Shapes: (rows, height, width, channels) in, (rows, new height, new width, channels) out.

    Example:
        >>> MaxPooling2D()([[[[1.0], [2.0]], [[3.0], [4.0]]]]).ravel().tolist()
        [4.0]
    """

    rank = 2


class _AveragePooling(_Pooling):
    def call(self, inputs: Array) -> Array:
        """The mean of the numbers under each window; padding does not count."""
        inputs = as_float(inputs)
        windows = self._windows(channels_apart(inputs.shape[1:], self.data_format)[0])
        counts = np.ones((), np.int64)
        for axis in windows.axes:
            counts = np.multiply.outer(counts, [len(axis.under(step)) for step in range(axis.steps)])
        shape = (1, *with_channel(counts.shape, 1, self.data_format))
        sums = self._pooled(inputs, jnp.add, jax.lax.add, 0.0)
        return sums / counts.reshape(shape).astype(inputs.dtype)

    def formula(self, unit: Unit) -> Expression | None:
        """The mean of the numbers under the window."""
        return mean(self._numbers(unit, *channels_apart(unit.index, self.data_format)))

    def backward(self, unit: Unit) -> Expression | None:
        """The gradients by the outputs whose windows look at this number, each over how many they look at."""
        place, channel = channels_apart(unit.index, self.data_format)
        windows = self._windows_of(unit)
        terms: list[Expression] = []
        for _, step in windows.over(place):
            slope, count = (
                unit.gradient("output", *with_channel(step, channel, self.data_format)),
                len(windows.under(step)),
            )
            terms.append(slope if count == 1 else slope / count)
        return total(terms)


@CATALOGUE.entry("AvgPool1D")
class AveragePooling1D(_AveragePooling):
    """The mean of the numbers under a window that moves along a sequence, for each channel.

    Args:
        pool_size: how many steps the window looks at.
        strides: how far it moves at a time; None: by its own size.
        padding: "valid": the window stays inside; "same": it may reach over the ends, where what lies
            inside is averaged.
        data_format: "channels_last" for (rows, steps, channels), "channels_first" for (rows, channels,
            steps); None for the default.

    Shapes: (rows, steps, channels) in, (rows, new steps, channels) out.

    Example:
        >>> AveragePooling1D(2)([[[1.0], [3.0], [2.0], [4.0]]]).ravel().tolist()
        [2.0, 3.0]
    """

    rank = 1


@CATALOGUE.entry("AvgPool2D")
class AveragePooling2D(_AveragePooling):
    """The mean of the numbers under a window that moves over an image, for each channel.

    Args:
        pool_size: height and width of the window, or one number for both.
        strides: how far it moves at a time, down and to the right; None: by its own size.
        padding: "valid": the window stays inside; "same": it may reach over the edges, where what lies
            inside is averaged.
        data_format: "channels_last" for (rows, height, width, channels), "channels_first" for (rows,
            channels, height, width); None for the default.

    Shapes: (rows, height, width, channels) in, (rows, new height, new width, channels) out.

    Example:
        >>> AveragePooling2D(2)([[[[1.0], [2.0]], [[3.0], [4.0]]]]).ravel().tolist()
        [2.5]
    """

    rank = 2


class _GlobalPooling(Layer):
    """What global pooling layers share: one number for each channel."""

    rows_independent = True
    rank: ClassVar[int]

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format, self.keepdims = known_data_format(data_format), keepdims

    @property
    def _axes(self) -> tuple[int, ...]:
        """The axes of a batch that are pooled."""
        first = 2 if self.data_format == "channels_first" else 1
        return tuple(range(first, first + self.rank))

    def check_input(self, inputs: Array) -> None:
        """There must be as many axes as the layer pools."""
        require_axes(self, inputs.shape, self.rank + 2)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The channels; with `keepdims` each other axis has one place."""
        require_axes(self, input_shape, self.rank + 2)
        _, channels = channels_apart(input_shape[1:], self.data_format)
        places = (1,) * self.rank if self.keepdims else ()
        return (input_shape[0], *with_channel(places, channels, self.data_format))

    def _places(self, unit: Unit, channel: int) -> list[Index]:
        """All numbers of a channel."""
        sizes, _ = channels_apart(unit.row("input").shape, self.data_format)
        return [
            with_channel(place, channel, self.data_format)
            for place in itertools.product(*(range(size) for size in sizes))
        ]

    def _numbers(self, unit: Unit) -> list[Number]:
        """All numbers of the channel that an output is of."""
        _, channel = channels_apart(unit.index, self.data_format)
        return [unit.number("input", *place) for place in self._places(unit, channel)]

    def _slope(self, unit: Unit) -> Number:
        """The gradient by the output that an input is a part of."""
        _, channel = channels_apart(unit.index, self.data_format)
        places = (0,) * self.rank if self.keepdims else ()
        return unit.gradient("output", *with_channel(places, channel, self.data_format))


class _GlobalMaxPooling(_GlobalPooling):
    def call(self, inputs: Array) -> Array:
        """The largest number of each channel."""
        return jnp.max(inputs, axis=self._axes, keepdims=self.keepdims)

    def formula(self, unit: Unit) -> Expression | None:
        """The largest number of the channel."""
        return largest(*self._numbers(unit))

    def backward(self, unit: Unit) -> Expression | None:
        """The gradient by the output, if this is the largest number; equal ones share it."""
        numbers = [each.value for each in self._numbers(unit)]
        number, top = unit.number("input", *unit.index).value, max(numbers)
        if number != top:
            return Number(0.0)
        return self._slope(unit) / numbers.count(top) if numbers.count(top) > 1 else self._slope(unit)


@CATALOGUE.entry("GlobalMaxPool1D")
class GlobalMaxPooling1D(_GlobalMaxPooling):
    """The largest number of each channel of a sequence.

    Args:
        data_format: "channels_last" for (rows, steps, channels), "channels_first" for (rows, channels,
            steps); None for the default.
        keepdims: whether the axis that is pooled stays, with one place.

    Shapes: (rows, steps, channels) in, (rows, channels) out.

    Example:
        >>> GlobalMaxPooling1D()([[[1.0], [3.0], [2.0]]]).tolist()
        [[3.0]]
    """

    rank = 1


@CATALOGUE.entry("GlobalMaxPool2D")
class GlobalMaxPooling2D(_GlobalMaxPooling):
    """The largest number of each channel of an image.

    Args:
        data_format: "channels_last" for (rows, height, width, channels), "channels_first" for (rows,
            channels, height, width); None for the default.
        keepdims: whether the axes that are pooled stay, with one place each.

    Shapes: (rows, height, width, channels) in, (rows, channels) out.

    Example:
        >>> GlobalMaxPooling2D()([[[[1.0], [2.0]], [[3.0], [4.0]]]]).tolist()
        [[4.0]]
    """

    rank = 2


class _GlobalAveragePooling(_GlobalPooling):
    def call(self, inputs: Array) -> Array:
        """The mean of each channel."""
        return jnp.mean(inputs, axis=self._axes, keepdims=self.keepdims)

    def formula(self, unit: Unit) -> Expression | None:
        """The mean of the channel."""
        return mean(self._numbers(unit))

    def backward(self, unit: Unit) -> Expression | None:
        """The gradient by the output, over how many numbers it is the mean of."""
        return self._slope(unit) / len(self._numbers(unit))


@CATALOGUE.entry("GlobalAvgPool1D")
class GlobalAveragePooling1D(_GlobalAveragePooling):
    """The mean of each channel of a sequence; of a masked one, over the steps that the mask keeps.

    Args:
        data_format: "channels_last" for (rows, steps, channels), "channels_first" for (rows, channels,
            steps); None for the default.
        keepdims: whether the axis that is pooled stays, with one place.

    Shapes: (rows, steps, channels) in, (rows, channels) out; a mask has shape (rows, steps).

    Example:
        >>> GlobalAveragePooling1D()([[[1.0], [3.0], [2.0]]]).tolist()
        [[2.0]]
    """

    rank = 1
    supports_masking = True

    def call(self, inputs: Array, mask: Any = None) -> Array:
        """The mean of each channel."""
        if mask is None:
            return super().call(inputs)
        (axis,) = self._axes
        kept = self.hand_out("kept", jnp.asarray(mask).astype(bool))
        kept = jnp.expand_dims(kept, 3 - axis)
        sums = jnp.sum(jnp.where(kept, inputs, 0), axis=axis, keepdims=self.keepdims)
        return sums / jnp.sum(kept.astype(inputs.dtype), axis=axis, keepdims=self.keepdims)

    def formula(self, unit: Unit) -> Expression | None:
        """The mean of the channel, over the steps that are kept."""
        numbers = self._numbers(unit)
        kept = [number for number, stays in zip(numbers, self._kept(unit), strict=True) if stays]
        return mean(kept) if kept else Number(np.nan)

    def backward(self, unit: Unit) -> Expression | None:
        """The gradient by the output, over how many numbers it is the mean of; 0 for what is not kept."""
        kept = self._kept(unit)
        ((step,), _) = channels_apart(unit.index, self.data_format)
        return self._slope(unit) / sum(kept) if kept[step] else Number(0.0)

    def _kept(self, unit: Unit) -> list[bool]:
        ((steps,), _) = channels_apart(unit.row("input").shape, self.data_format)
        return [bool(each) for each in unit.row("kept")] if "kept" in unit.arrays else [True] * steps

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """No steps are left that a mask could be for."""


@CATALOGUE.entry("GlobalAvgPool2D")
class GlobalAveragePooling2D(_GlobalAveragePooling):
    """The mean of each channel of an image.

    Args:
        data_format: "channels_last" for (rows, height, width, channels), "channels_first" for (rows,
            channels, height, width); None for the default.
        keepdims: whether the axes that are pooled stay, with one place each.

    Shapes: (rows, height, width, channels) in, (rows, channels) out.

    Example:
        >>> GlobalAveragePooling2D()([[[[1.0], [2.0]], [[3.0], [4.0]]]]).tolist()
        [[2.5]]
    """

    rank = 2
