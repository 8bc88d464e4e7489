"""Windows that slide over an image or a sequence: which output looks at which inputs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from pellucid.arrays import Shape
from pellucid.errors import ArgumentError, ShapeError, message

NumPy = np.ndarray[Any, Any]
#: The place of a number without its channel, or the steps or the taps of a window, one for each axis.
Places = tuple[int, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Axis:
    """One axis under a window: at step s its tap t lies on place s * stride + t * dilation - before.

    >>> Axis.under_window(5, taps=3, stride=2, padding="same").under(0)
    [(1, 0), (2, 1)]

    Args:
        places: how long the axis is.
        steps: how often the window stands on it.
        taps: how many places the window looks at.
        stride: how far it moves with each step.
        dilation: how far its taps lie apart.
        before: how many places of padding lie before the first one.
    """

    places: int
    steps: int
    taps: int
    stride: int = 1
    dilation: int = 1
    before: int = 0

    @classmethod
    def under_window(
        cls, places: int, taps: int, stride: int = 1, dilation: int = 1, padding: str = "valid"
    ) -> Axis:
        """The axis of what a window moves along; padding "valid", "same" or "causal"."""
        reach = _reach(taps, dilation)
        if padding == "valid":
            return cls(places, max((places - reach) // stride + 1, 0), taps, stride, dilation)
        steps = -(-places // stride)
        missing = max((steps - 1) * stride + reach - places, 0)
        before = reach - 1 if padding == "causal" else missing // 2
        return cls(places, steps, taps, stride, dilation, before)

    @classmethod
    def spread_out(
        cls, steps: int, taps: int, stride: int, dilation: int, padding: str, more: int | None
    ) -> Axis:
        """The axis that a transposed convolution makes: each input is a step, and spreads to places.

        Args:
            steps: how long the axis of the inputs is.
            taps, stride, dilation: of the window.
            padding: "valid", or "same".
            more: how many places are added at the end; None: as many as make up the usual length.
        """
        reach = _reach(taps, dilation)
        if padding == "valid":
            more = max(reach, stride) - reach if more is None else more
            return cls((steps - 1) * stride + reach + more, steps, taps, stride, dilation)
        padded = stride + reach - 2 if more is None else reach + reach % 2 - 2 + more
        before = reach - 1 - min(-(-padded // 2), reach - 1)
        return cls((steps - 1) * stride + 2 + padded - reach, steps, taps, stride, dilation, before)

    @property
    def after(self) -> int:
        """How many places of padding lie behind the last one."""
        end = (self.steps - 1) * self.stride + _reach(self.taps, self.dilation)
        return max(end - self.before - self.places, 0)

    @property
    def around(self) -> tuple[int, int]:
        """How many zeros lie before and behind the inputs that a transposed convolution has spread out."""
        reach = _reach(self.taps, self.dilation)
        before = reach - 1 - self.before
        return before, self.places - (self.steps - 1) * self.stride + reach - 2 - before

    def place(self, step: int, tap: int) -> int:
        """Where a tap lies; outside of the axis, too."""
        return step * self.stride + tap * self.dilation - self.before

    def under(self, step: int) -> list[tuple[int, int]]:
        """What lies under the window at a step: each tap, and its place."""
        found = ((tap, self.place(step, tap)) for tap in range(self.taps))
        return [(tap, place) for tap, place in found if 0 <= place < self.places]

    def over(self, place: int) -> list[tuple[int, int]]:
        """Which windows lie over a place: each tap, and its step."""
        found = ((tap, *divmod(place - self.place(0, tap), self.stride)) for tap in range(self.taps))
        return [(tap, step) for tap, step, rest in found if rest == 0 and 0 <= step < self.steps]

    def along(self, tap: int) -> tuple[NumPy, NumPy]:
        """The steps at which a tap lies on a place, and those places."""
        steps = np.arange(self.steps)
        places = steps * self.stride + self.place(0, tap)
        inside = (places >= 0) & (places < self.places)
        return steps[inside], places[inside]


def _reach(taps: int, dilation: int) -> int:
    return (taps - 1) * dilation + 1


@dataclass(frozen=True)
class Windows:
    """The same along several axes at once."""

    axes: tuple[Axis, ...]

    def under(self, step: Places) -> list[tuple[Places, Places]]:
        """What lies under the window at a step: all taps, and their places."""
        return _crossed(axis.under(each) for axis, each in zip(self.axes, step, strict=True))

    def over(self, place: Places) -> list[tuple[Places, Places]]:
        """Which windows lie over a place: all taps, and their steps."""
        return _crossed(axis.over(each) for axis, each in zip(self.axes, place, strict=True))

    def along(self, taps: Places) -> tuple[list[NumPy], list[NumPy]]:
        """The steps at which a tap lies on a place, and those places, for each axis."""
        both = [axis.along(tap) for axis, tap in zip(self.axes, taps, strict=True)]
        return [steps for steps, _ in both], [places for _, places in both]


def _crossed(pairs: Iterable[list[tuple[int, int]]]) -> list[tuple[Places, Places]]:
    return [
        (tuple(first for first, _ in each), tuple(second for _, second in each))
        for each in itertools.product(*pairs)
    ]


# Where the channels are.


def channels_apart(row: Sequence[T], data_format: str) -> tuple[tuple[T, ...], T]:
    """The shape of a row, or an index within it, as places and channel.

    >>> channels_apart((28, 24, 3), "channels_last"), channels_apart((3, 28, 24), "channels_first")
    (((28, 24), 3), ((28, 24), 3))
    """
    if data_format == "channels_first":
        return tuple(row[1:]), row[0]
    return tuple(row[:-1]), row[-1]


def with_channel(places: Iterable[T], channel: T, data_format: str) -> tuple[T, ...]:
    """Places and channel as one index, or as the shape of a row."""
    return (channel, *places) if data_format == "channels_first" else (*places, channel)


def channels_behind(row: NumPy, data_format: str) -> NumPy:
    """A row whose last axis is that of the channels."""
    return np.moveaxis(row, 0, -1) if data_format == "channels_first" else row


# What users say.


def whole_numbers(name: str, value: Any, count: int, layer: str, least: int = 1) -> tuple[int, ...]:
    """As many whole numbers as there are axes, from one for all of them or from one for each."""
    given: Any = (value,) * count if isinstance(value, int | np.integer) else value
    try:
        found = tuple(int(each) for each in given)
        fits = found == tuple(given) and len(found) == count and min(found) >= least
    except (TypeError, ValueError):
        found, fits = (), False
    if not fits or any(isinstance(each, bool) for each in given):
        raise ArgumentError(
            message(
                f"The `{name}` argument of {layer} must be a tuple of {count} integers.",
                came=f"{name}={value!r}",
                expected=f"{f'{count} whole numbers' if count > 1 else 'a whole number'}, {least} or more",
            )
        )
    return found


def known_padding(value: Any, layer: str, known: Sequence[str] = ("valid", "same")) -> str:
    """A kind of padding in small letters."""
    if not isinstance(value, str) or value.lower() not in known:
        raise ArgumentError(
            message(
                f"The `padding` argument of {layer} is unknown.",
                came=repr(value),
                expected=" or ".join(known),
            )
        )
    return value.lower()


# Shapes.


def require_axes(layer: Any, shape: Sequence[Any], count: int) -> None:
    """Raise ShapeError if batches of this shape have another number of axes."""
    if len(shape) == count:
        return
    row = {2: "(rows, features)", 3: "(rows, steps, channels)", 4: "(rows, height, width, channels)"}
    form = row.get(count, f"{count} axes, rows first")
    if getattr(layer, "data_format", "") == "channels_first" and count > 2:
        form = form.replace(", channels", "").replace("rows, ", "rows, channels, ")
    mend = ""
    if len(shape) == count - 1 and count > 2:
        mend = "give each row an axis of its own for the channels: x[..., None] if there is one channel."
    raise ShapeError(
        message(
            f"{layer.describe()} expects ndim={count}, found ndim={len(shape)}.",
            came=f"input of shape {tuple(shape)}",
            expected=form,
            mend=mend,
        )
    )


def lengths(
    layer: Any, input_shape: Shape, along: Sequence[Callable[[int], int]], data_format: str
) -> tuple[int | None, ...]:
    """How long each axis of the outputs is, by what is done along it; unknown where the input's is.

    Raises:
        ShapeError: if nothing would be left.
    """
    places, _ = channels_apart(input_shape[1:], data_format)
    found = tuple(None if size is None else after(size) for size, after in zip(places, along, strict=True))
    if any(size is not None and size <= 0 for size in found):
        raise ShapeError(
            message(
                f"Computed output size of {layer.describe()} would be zero or negative.",
                came=f"input of shape {tuple(input_shape)}, which would leave {found}",
                expected="rows at least as large as the layer's window",
                mend='a smaller window, or padding="same" where the layer has one.',
            )
        )
    return found
