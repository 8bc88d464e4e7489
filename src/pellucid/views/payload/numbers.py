"""Arrays of any size as few numbers: what there is to say about them, and pictures of few cells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.views.told import PART

NumPy = np.ndarray[Any, Any]


def f4(values: Any) -> NumPy:
    """Numbers in float32; what is too large for it is infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values).astype(np.float32)


@dataclass(frozen=True)
class Summary:
    """What there is to say about the numbers of an array.

    Attributes:
        largest: the largest size of a finite number.
        clip: where a scale of colours may end: three times the root mean square of the finite numbers, at
            most the largest.
        nan, inf, zero: how many numbers are none, infinite, and 0.
        norm: the 2-norm of all; `mean` is that of the finite ones.
    """

    size: int
    largest: float
    clip: float
    nan: int
    inf: int
    zero: int
    norm: float
    mean: float

    @classmethod
    def of(cls, array: NumPy) -> Summary:
        """Look at an array, part after part."""
        flat = np.ravel(array)
        largest, total, squares, nan, inf, zero = 0.0, 0.0, 0.0, 0, 0, 0
        for start in range(0, flat.size, PART):
            part = flat[start : start + PART].astype(np.float64)
            finite = np.isfinite(part)
            if not finite.all():
                lost = int(np.isnan(part).sum())
                nan, inf = nan + lost, inf + int(part.size - finite.sum()) - lost
                part = part[finite]
            zero += part.size - int(np.count_nonzero(part))
            largest = max(largest, float(np.abs(part).max(initial=0.0)))
            total += float(part.sum())
            squares += float(part @ part)
        known = flat.size - nan - inf
        clip = min(largest, 3.0 * math.sqrt(squares / known)) if known else 0.0
        norm = math.nan if nan else math.inf if inf else math.sqrt(squares)
        return cls(flat.size, largest, clip, nan, inf, zero, norm, total / known if known else math.nan)


def flat_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """The rows and columns in which an array is laid out: all axes but the last, and the last.

    >>> flat_shape((3, 3, 8, 16)), flat_shape((16,)), flat_shape(())
    ((72, 16), (1, 16), (1, 1))
    """
    return math.prod(shape[:-1]), shape[-1] if shape else 1


def grid(array: NumPy, summary: Summary, side: int) -> dict[str, Any]:
    """A picture of an array with at most `side` rows and columns.

    Each cell holds the number of largest size in it; one that is no number counts as the largest.
    """
    rows, columns = flat_shape(array.shape)
    table = _plain(array).reshape(rows, columns)
    cell = [max(1, -(-rows // side)), max(1, -(-columns // side))]
    return as_grid(_reduced(table, cell) if cell != [1, 1] else table, cell, array.shape, summary)


def part(array: NumPy, summary: Summary, rows: tuple[int, int], columns: tuple[int, int]) -> dict[str, Any]:
    """A part of an array as it is; the summary is that of the whole, so that parts have one scale."""
    table = array.reshape(flat_shape(array.shape))
    return as_grid(table[slice(*rows), slice(*columns)], [1, 1], array.shape, summary)


def as_grid(values: NumPy, cell: list[int], shape: tuple[int, ...], summary: Summary) -> dict[str, Any]:
    """Values of cells with what there is to say about the array."""
    return {
        "values": f4(values),
        "cell": cell,
        "largest": summary.largest,
        "clip": summary.clip,
        "nan": summary.nan,
        "inf": summary.inf,
        "zero": summary.zero,
        "norm": summary.norm,
        "mean": summary.mean,
        "shape": list(shape),
    }


def _plain(array: NumPy) -> NumPy:
    """An array in a type that NumPy itself knows."""
    return array if array.dtype in (np.float32, np.float64) else f4(array)


def _reduced(table: NumPy, cell: list[int]) -> NumPy:
    """Of each cell the number of largest size."""
    if not table.size:
        return table
    starts = [np.arange(0, size, each) for size, each in zip(table.shape, cell, strict=True)]
    low, high = (
        into.reduceat(into.reduceat(table, starts[0], axis=0), starts[1], axis=1)
        for into in (np.minimum, np.maximum)
    )
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(low) > np.abs(high), low, high)
