"""Sequences of unequal length, and long series, as rows to train on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DataError, message

NumPy = np.ndarray[Any, Any]


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ArgumentError(message(f"{name} is unknown.", came=repr(value), expected=" or ".join(known)))


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> NumPy:
    """Sequences as rows of one length: shorter ones filled up, longer ones cut.

    Args:
        sequences: lists of numbers, or of vectors of one shape.
        maxlen: the length; by default that of the longest.
        dtype: the type of the numbers; `object` for texts.
        padding, truncating: where short ones are filled up and long ones cut: "pre" or "post".
        value: what they are filled up with.

    Returns:
        An array of shape (sequences, maxlen, ...).

    Example:
        >>> pad_sequences([[1], [2, 3, 4]], maxlen=2).tolist()
        [[0, 1], [3, 4]]
    """
    _one_of("padding", padding, ("pre", "post"))
    _one_of("truncating", truncating, ("pre", "post"))
    if not hasattr(sequences, "__len__"):
        raise DataError(message("`sequences` must be iterable.", came=type(sequences).__name__))
    wrong = [each for each in sequences if not hasattr(each, "__len__")]
    if wrong:
        raise DataError(message("`sequences` must be a list of iterables.", came=repr(wrong[0])))
    kind: Any = np.dtype(dtype)
    if isinstance(value, str) and kind.kind not in "OUS":
        raise ArgumentError(
            message(f"a text does not go into {kind}.", came=f"value={value!r}", mend="say dtype=object.")
        )
    length = max((len(each) for each in sequences), default=0) if maxlen is None else maxlen
    shape = next((np.asarray(each).shape[1:] for each in sequences if len(each)), ())
    rows = np.full((len(sequences), length, *shape), value, dtype=kind)
    for row, each in zip(rows, sequences, strict=True):
        if not len(each) or not length:
            continue
        kept = np.asarray(each[-length:] if truncating == "pre" else each[:length], dtype=kind)
        if kept.shape[1:] != shape:
            raise DataError(
                message("the entries of all sequences have one shape.", came=kept.shape[1:], expected=shape)
            )
        begin = length - len(kept) if padding == "pre" else 0
        row[begin : begin + len(kept)] = kept
    return rows


class Windows:
    """Windows over a series, batch by batch, with the target that stands where each begins.

    Args:
        data: the series: its steps along the first axis.
        targets: a target for each step; None gives the windows alone.
        starts: where the windows begin.
        length, rate: how many steps a window has, and how far they lie apart.
        batch_size: how many windows are a batch; None gives one window after another.
    """

    def __init__(
        self,
        data: NumPy,
        targets: NumPy | None,
        starts: NumPy,
        length: int,
        rate: int,
        batch_size: int | None,
    ) -> None:
        self.data, self.targets, self.starts = data, targets, starts
        self.steps = np.arange(0, length * rate, rate)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.starts) / (self.batch_size or 1))

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        size = self.batch_size
        begins = self.starts[index] if size is None else self.starts[index * size : (index + 1) * size]
        windows = self.data[np.asarray(begins)[..., None] + self.steps]
        return windows if self.targets is None else (windows, self.targets[begins])

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Windows:
    """Windows over a series, batch by batch, to give to `fit`.

    Args:
        data: the series: its steps along the first axis.
        targets: the target of the window that begins at each step; None for windows alone.
        sequence_length: how many steps a window has.
        sequence_stride: how far the next window begins after the one before.
        sampling_rate: how far the steps of a window lie apart.
        batch_size: how many windows are a batch; None for single windows.
        shuffle: whether the windows come in another order.
        seed: what that order follows from.
        start_index, end_index: the part of the series that is used.
        format: taken for Keras's sake; what is given can be iterated.

    Example:
        >>> windows = timeseries_dataset_from_array(np.arange(6), np.arange(3, 6), sequence_length=3)
        >>> [(x.tolist(), y.tolist()) for x, y in windows]
        [([[0, 1, 2], [1, 2, 3], [2, 3, 4]], [3, 4, 5])]
    """
    series = np.asarray(data)
    count = len(series)
    for name, value, least in (
        ("start_index", start_index, 0),
        ("end_index", end_index, (start_index or 0) + 1),
        ("sampling_rate", sampling_rate, 1),
        ("sequence_stride", sequence_stride, 1),
    ):
        if value is not None and not least <= value < count:
            raise ArgumentError(
                message(f"`{name}` is outside the series.", came=value, expected=f"{least} to {count - 1}")
            )
    _one_of("format", format, ("tf", "grain"))
    first, last = start_index or 0, count if end_index is None else end_index
    windows = last - first - (sequence_length - 1) * sampling_rate
    known = None if targets is None else np.asarray(targets)
    if known is not None:
        windows = min(windows, len(known))
    starts = np.arange(0, windows, sequence_stride)
    if shuffle:
        seed = np.random.randint(10**6) if seed is None else seed
        np.random.RandomState(seed).shuffle(starts)
    part = None if known is None else known[first:last]
    return Windows(series[first:last], part, starts, sequence_length, sampling_rate, batch_size)
