"""Layers that move numbers to other places: padding, cropping, enlarging, repeating, turning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from pellucid.arrays import Array, Shape, known_data_format
from pellucid.errors import ArgumentError, message
from pellucid.formula import Expression, Number, Unit, total
from pellucid.layers.core import moved, moved_back
from pellucid.layers.layer import CATALOGUE, Layer, positive
from pellucid.layers.windows import channels_apart, lengths, require_axes, whole_numbers, with_channel

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
Index = tuple[int, ...]
#: How many places come before and after along an axis.
Ends = tuple[int, int]


class _Moving(Layer):
    """A layer whose outputs are inputs at other places, or zeros."""

    rows_independent = True

    def call(self, inputs: Array) -> Array:
        """The inputs, moved."""
        return self._move(inputs)

    def _move(self, inputs: Array) -> Array:
        """Where each number goes."""
        raise NotImplementedError

    def formula(self, unit: Unit) -> Expression | None:
        """The number that lies there."""
        return moved(self, unit)

    def backward(self, unit: Unit) -> Expression | None:
        """The gradients by the places where the number lies now."""
        return moved_back(self, unit)

    def check_input(self, inputs: Array) -> None:
        """There must be as many axes as the layer moves numbers along."""
        self.compute_output_shape(inputs.shape)


class _Spatial(_Moving):
    """One that changes the length of each axis but that of the channels."""

    rank: ClassVar[int]
    data_format = "channels_last"

    def _lengths(self) -> list[Callable[[int], int]]:
        """How long each axis becomes."""
        raise NotImplementedError

    def _edges(self, ends: Sequence[Ends]) -> list[Ends]:
        """The same numbers for all axes of a batch: none for rows and channels."""
        return [(0, 0), *with_channel(ends, (0, 0), self.data_format)]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Each axis longer or shorter; as many channels."""
        require_axes(self, input_shape, self.rank + 2)
        sizes = lengths(self, input_shape, self._lengths(), self.data_format)
        _, channels = channels_apart(input_shape[1:], self.data_format)
        return (input_shape[0], *with_channel(sizes, channels, self.data_format))


def _both_ends(name: str, value: Any, layer: str) -> tuple[Ends, Ends]:
    """What a user says of height and width: one number, one for each, or two for each."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = (value, value)
    given: Any = value
    if not hasattr(given, "__len__") or len(given) != 2:
        raise ArgumentError(
            message(
                f"`{name}` of {layer} should have two elements.",
                came=repr(value),
                expected="a number, (height, width), or ((top, bottom), (left, right))",
            )
        )
    top, bottom = whole_numbers(f"1st entry of {name}", given[0], 2, layer, least=0)
    left, right = whole_numbers(f"2nd entry of {name}", given[1], 2, layer, least=0)
    return (top, bottom), (left, right)


class _Padding(_Spatial):
    _ends: Sequence[Ends]

    def _move(self, inputs: Array) -> Array:
        return jnp.pad(inputs, self._edges(self._ends))

    def _lengths(self) -> list[Callable[[int], int]]:
        return [lambda size, ends=ends: size + sum(ends) for ends in self._ends]


@CATALOGUE.entry()
class ZeroPadding1D(_Padding):
    """Zeros before and after each sequence.

    Args:
        padding: how many: one number for both ends, or (before, after).
        data_format: "channels_last" for (rows, steps, channels), "channels_first" for (rows, channels,
            steps); None for the default.

    Example:
        >>> ZeroPadding1D((1, 0))([[[2.0], [3.0]]]).ravel().tolist()
        [0.0, 2.0, 3.0]
    """

    rank = 1

    def __init__(
        self, padding: int | Sequence[int] = 1, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = known_data_format(data_format)
        before, after = whole_numbers("padding", padding, 2, "ZeroPadding1D", least=0)
        self.padding = (before, after)
        self._ends = (self.padding,)


@CATALOGUE.entry()
class ZeroPadding2D(_Padding):
    """Zeros around each image.

    Args:
        padding: how many: one number, (height, width), or ((top, bottom), (left, right)).
        data_format: "channels_last" for (rows, height, width, channels), "channels_first" for (rows,
            channels, height, width); None for the default.

    Example:
        >>> ZeroPadding2D(((1, 0), (2, 2))).compute_output_shape((None, 5, 5, 3))
        (None, 6, 9, 3)
    """

    rank = 2

    def __init__(
        self, padding: int | Sequence[Any] = (1, 1), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = known_data_format(data_format)
        self.padding = self._ends = _both_ends("padding", padding, "ZeroPadding2D")


class _Cropping(_Spatial):
    _ends: Sequence[Ends]

    def _move(self, inputs: Array) -> Array:
        edges = zip(self._edges(self._ends), inputs.shape, strict=True)
        return inputs[tuple(slice(before, size - after) for (before, after), size in edges)]

    def _lengths(self) -> list[Callable[[int], int]]:
        return [lambda size, ends=ends: size - sum(ends) for ends in self._ends]


@CATALOGUE.entry()
class Cropping1D(_Cropping):
    """Each sequence without its first and last steps.

    Args:
        cropping: how many: one number for both ends, or (before, after).

    Example:
        >>> Cropping1D()([[[1.0], [2.0], [3.0]]]).ravel().tolist()
        [2.0]
    """

    rank = 1

    def __init__(self, cropping: int | Sequence[int] = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        before, after = whole_numbers("cropping", cropping, 2, "Cropping1D", least=0)
        self.cropping = (before, after)
        self._ends = (self.cropping,)


@CATALOGUE.entry()
class Cropping2D(_Cropping):
    """Each image without its edges.

    Args:
        cropping: how many: one number, (height, width), or ((top, bottom), (left, right)).
        data_format: "channels_last" for (rows, height, width, channels), "channels_first" for (rows,
            channels, height, width); None for the default.

    Example:
        >>> Cropping2D(((1, 0), (2, 2))).compute_output_shape((None, 5, 5, 3))
        (None, 4, 1, 3)
    """

    rank = 2

    def __init__(
        self,
        cropping: int | Sequence[Any] = ((0, 0), (0, 0)),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = known_data_format(data_format)
        self.cropping = self._ends = _both_ends("cropping", cropping, "Cropping2D")


@CATALOGUE.entry()
class UpSampling1D(_Spatial):
    """Each step of a sequence, `size` times.

    Example:
        >>> UpSampling1D(2)([[[1.0], [2.0]]]).ravel().tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    rank = 1

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = positive("size", size, "UpSampling1D")

    def _move(self, inputs: Array) -> Array:
        return jnp.repeat(inputs, self.size, axis=1)

    def _lengths(self) -> list[Callable[[int], int]]:
        return [lambda size: size * self.size]


@CATALOGUE.entry()
class UpSampling2D(_Spatial):
    """Each image enlarged: each number several times, or what lies between numbers interpolated.

    Args:
        size: how many times, down and to the right; one number for both.
        data_format: "channels_last" for (rows, height, width, channels), "channels_first" for (rows,
            channels, height, width); None for the default.
        interpolation: "nearest" repeats; "bilinear", "bicubic", "lanczos3" and "lanczos5" interpolate.

    Example:
        >>> UpSampling2D((1, 2))([[[[1.0], [2.0]]]]).ravel().tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    rank = 2

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = known_data_format(data_format)
        self.size = whole_numbers("size", size, 2, "UpSampling2D")
        self.interpolation = str(interpolation).lower()
        if self.interpolation not in INTERPOLATIONS:
            raise ArgumentError(
                message(
                    "Invalid value for argument `interpolation` of UpSampling2D.",
                    came=repr(interpolation),
                    expected=", ".join(INTERPOLATIONS),
                )
            )

    def _move(self, inputs: Array) -> Array:
        if self.interpolation != "nearest":
            larger: Any = self.compute_output_shape(inputs.shape)
            return jax.image.resize(inputs, larger, self.interpolation, antialias=False)
        first = 2 if self.data_format == "channels_first" else 1
        for axis, times in enumerate(self.size, first):
            inputs = jnp.repeat(inputs, times, axis=axis)
        return inputs

    def _lengths(self) -> list[Callable[[int], int]]:
        return [lambda size, times=times: size * times for times in self.size]

    def _shares(self, unit: Unit) -> list[Any]:
        """How much of each input is in each output, along both axes."""
        places, _ = channels_apart(unit.row("input").shape, self.data_format)
        method = self.interpolation
        return [
            np.asarray(jax.image.resize(jnp.eye(size), (size * times, size), method, antialias=False))
            for size, times in zip(places, self.size, strict=True)
        ]

    def formula(self, unit: Unit) -> Expression | None:
        """The number that lies there, or the sum of those around it, each times its share."""
        if self.interpolation == "nearest":
            return moved(self, unit)
        place, channel = channels_apart(unit.index, self.data_format)
        shares = [each[at] for each, at in zip(self._shares(unit), place, strict=True)]
        return self._weighted(shares, channel, lambda index: unit.number("input", *index))

    def backward(self, unit: Unit) -> Expression | None:
        """The gradients by the places where the number lies now, each times its share."""
        if self.interpolation == "nearest":
            return moved_back(self, unit)
        place, channel = channels_apart(unit.index, self.data_format)
        shares = [each[:, at] for each, at in zip(self._shares(unit), place, strict=True)]
        return self._weighted(shares, channel, lambda index: unit.gradient("output", *index))

    def _weighted(self, shares: list[Any], channel: int, number: Callable[[Index], Number]) -> Expression:
        rows, columns = shares
        return total(
            number(with_channel((int(y), int(x)), channel, self.data_format)) * Number(rows[y] * columns[x])
            for y in np.flatnonzero(rows)
            for x in np.flatnonzero(columns)
        )


@CATALOGUE.entry()
class Permute(_Moving):
    """Each row with its axes in another order.

    Args:
        dims: the axes, counted from 1, in their new order.

    Example:
        >>> Permute((2, 1)).compute_output_shape((None, 10, 64))
        (None, 64, 10)
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ArgumentError(
                message(
                    "Invalid permutation argument `dims` for Permute Layer.",
                    came=f"dims={dims}",
                    expected="each axis once, counted from 1: (2, 1), (3, 1, 2), ...",
                )
            )

    def _move(self, inputs: Array) -> Array:
        return jnp.transpose(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The sizes in their new order."""
        require_axes(self, input_shape, len(self.dims) + 1)
        return (input_shape[0], *(input_shape[each] for each in self.dims))


@CATALOGUE.entry()
class RepeatVector(_Moving):
    """Each row n times: (rows, features) -> (rows, n, features).

    Example:
        >>> RepeatVector(2)([[1.0, 2.0]]).tolist()
        [[[1.0, 2.0], [1.0, 2.0]]]
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = positive("n", n, "RepeatVector")

    def _move(self, inputs: Array) -> Array:
        return jnp.repeat(inputs[:, None], self.n, axis=1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """A new axis of length n."""
        require_axes(self, input_shape, 2)
        return (input_shape[0], self.n, input_shape[1])
