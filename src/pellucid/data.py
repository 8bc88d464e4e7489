"""What users have (arrays, lists, data frames, iterators of batches), as numbers in rows.

`Rows` are x, y and weights as host arrays of the types the device holds, checked: equal lengths,
nothing that is not a number, nothing that is not finite. `Stream`s give such rows batch by batch.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import jax
import numpy as np

from pellucid import seeds
from pellucid.arrays import Arrays, width_for_device
from pellucid.errors import DataError, ShapeError, message
from pellucid.variables import Variable

NumPy = np.ndarray[Any, Any]
_FRAMES = ("pandas", "polars", "pyarrow", "modin", "cudf", "narwhals", "dask", "duckdb")


@dataclass(frozen=True)
class Rows:
    """Rows to train on or to answer for: x, y and weights have the same number of rows.

    Where `counted` is a number, only that many rows count, and the others fill up a batch.
    """

    x: Arrays
    y: Arrays = None
    weight: Any = None
    counted: Any = None

    @property
    def count(self) -> int:
        """How many rows there are."""
        return int(jax.tree.leaves(self.x)[0].shape[0])

    def part(self, start: int, stop: int) -> Rows:
        """The rows from start to stop."""
        return jax.tree.map(lambda array: array[start:stop], self)

    def padded(self, count: int) -> Rows:
        """These rows, and the first one again until there are `count`."""
        missing = count - self.count

        def fill(array: NumPy) -> NumPy:
            return np.concatenate([array, np.repeat(array[:1], missing, axis=0)])

        return self if missing <= 0 else jax.tree.map(fill, self)


jax.tree_util.register_dataclass(Rows, data_fields=["x", "y", "weight", "counted"], meta_fields=[])


def is_stream(x: Any) -> bool:
    """Whether this is something that gives batches, rather than an array of rows."""
    if x is None or isinstance(x, str | bytes | list | tuple | Mapping | Variable):
        return False
    if hasattr(x, "shape") or hasattr(x, "__array__") or _is_frame(x):
        return False
    return hasattr(x, "__iter__") or hasattr(x, "__next__") or hasattr(x, "__getitem__")


def _is_frame(value: Any) -> bool:
    return type(value).__module__.split(".")[0] in _FRAMES


def _from_frame(value: Any, what: str) -> NumPy:
    import narwhals as nw

    frame: Any = nw.from_native(value, allow_series=True)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, nw.DataFrame):
        text = [name for name, kind in frame.schema.items() if not (kind.is_numeric() or kind == nw.Boolean)]
        if text:
            raise DataError(
                message(
                    f"{what} has columns that are not numbers.",
                    came=", ".join(f"{name} ({frame.schema[name]})" for name in text[:6])
                    + (f" and {len(text) - 6} more" if len(text) > 6 else ""),
                    expected="numbers in every column",
                    mend="leave these columns out, or turn them into numbers.",
                )
            )
        # Not frame[name]: pandas allows numbers as names, and those would be rows.
        columns = [np.asarray(frame.get_column(name).to_numpy()) for name in frame.columns]
        if not columns:
            raise DataError(message(f"{what} has no columns.", came=f"a table of shape {frame.shape}"))
        return np.stack(columns, axis=1)
    return np.asarray(frame.to_numpy())


def column_names(x: Any) -> tuple[str, ...]:
    """The names of the columns of a data frame; none of anything else."""
    if not _is_frame(x):
        return ()
    import narwhals as nw

    frame: Any = nw.from_native(x, allow_series=True)
    if isinstance(frame, nw.LazyFrame):
        return tuple(map(str, frame.collect_schema().names()))
    return tuple(map(str, frame.columns)) if isinstance(frame, nw.DataFrame) else ()


def as_numbers(given: Any, what: str = "x", texts: bool = False) -> NumPy:
    """One array-like thing as a host array of numbers, as wide as the device holds them.

    With `texts`, arrays of texts are let through: for models that look them up.
    """
    if callable(given) and not hasattr(given, "__array__"):
        raise DataError(
            message(
                f"{what} is a function.",
                came=repr(given),
                expected="an array, or what a generator function gives",
                mend=f"call it: {getattr(given, '__name__', 'it')}().",
            )
        )
    value: Any = given
    if isinstance(value, np.ndarray):
        array = cast(NumPy, value)
    elif isinstance(value, Variable):
        array = value.numpy()
    elif _is_frame(value):
        array = _from_frame(value, what)
    elif hasattr(value, "toarray"):
        array = np.asarray(value.toarray())
    else:
        if hasattr(value, "detach"):
            value = value.detach()
        try:
            array = np.asarray(value)
        except ValueError:
            raise ShapeError(
                message(
                    f"{what} is ragged: its rows have different lengths.", mend="make all rows equally long."
                )
            ) from None
    if texts and (array.dtype.kind in "US" or _holds_texts(array)):
        return array.astype(str)
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise _not_numbers(array, what) from None
    if array.dtype.kind not in "biufV" and str(array.dtype) != "bfloat16":
        raise _not_numbers(array, what)
    return width_for_device(array)


def _holds_texts(array: NumPy) -> bool:
    return array.dtype == object and any(isinstance(each, str | bytes) for each in array.ravel()[:100])


def _not_numbers(array: NumPy, what: str) -> DataError:
    kind = {"U": "text", "S": "text", "O": "objects", "M": "dates", "m": "time spans", "c": "complex numbers"}
    sample = ", ".join(repr(item) for item in array.ravel()[:3].tolist())
    return DataError(
        message(
            f"{what} does not hold numbers.",
            came=f"{kind.get(array.dtype.kind, str(array.dtype))}: {sample}, ...",
            expected="numbers",
            mend="turn them into numbers first; classes become 0, 1, 2, ...",
        )
    )


def as_rows(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Mapping[Any, float] | None = None,
    inputs: int | None = None,
    outputs: int | None = None,
    texts: bool = False,
) -> Rows:
    """Check what a user gave, and make it rows.

    Args:
        x, y, sample_weight, class_weight: as given to `fit`.
        inputs, outputs: how many arrays x and y are, if that is known: a list of arrays may be several
            inputs, or the rows of one.
        texts: whether x may hold texts.
    """
    rows_x = _nested(x, "x", inputs, texts)
    rows_y = None if y is None else _nested(y, "y", outputs)
    weight = None if sample_weight is None else _nested(sample_weight, "sample_weight", outputs)
    lengths = {
        name: {len(array) if array.ndim else 0 for array in jax.tree.leaves(value)}
        for name, value in (("x", rows_x), ("y", rows_y), ("sample_weight", weight))
        if value is not None
    }
    found = set[int]().union(*lengths.values())
    if len(found) > 1:
        raise DataError(
            message(
                "x and y have different numbers of rows. (Data cardinality is ambiguous.)",
                came=", ".join(
                    f"{name}: {' and '.join(map(str, sorted(n)))} rows" for name, n in lengths.items()
                ),
                expected="one target, and one weight if there are weights, for each row of x",
            )
        )
    if found <= {0}:
        raise DataError(
            message(
                "there are no rows.",
                came=f"x of shape {', '.join(str(array.shape) for array in jax.tree.leaves(rows_x))}",
                expected="at least one row",
            )
        )
    if weight is not None:
        weight = jax.tree.map(
            lambda each: each if each.dtype.kind == "f" else each.astype(np.float32), weight
        )
    if class_weight is not None:
        weight = _class_weights(class_weight, rows_y, weight)
    return Rows(rows_x, rows_y, weight)


def _nested(value: Any, what: str, count: int | None = None, texts: bool = False) -> Arrays:
    """One array, or a list or dict of them: `count` of them, if that is known."""
    if isinstance(value, Mapping):
        items = cast(Mapping[str, Any], value)
        return {
            name: None if item is None else as_numbers(item, f"{what}[{name!r}]", texts)
            for name, item in items.items()
        }
    if isinstance(value, list | tuple):
        entries = list(cast(Sequence[Any], value))
        if len(entries) == 1 and count in (None, 1) and getattr(entries[0], "ndim", 0) > 1:
            return as_numbers(entries[0], what, texts)
        arrays = all(entry is None or getattr(entry, "ndim", 0) > 0 or _is_frame(entry) for entry in entries)
        if (count is not None and count > 1 and len(entries) == count) or (count is None and arrays):
            return [
                None if entry is None else as_numbers(entry, f"{what}[{number}]", texts)
                for number, entry in enumerate(entries)
            ]
    return as_numbers(value, what, texts)


def _class_weights(class_weight: Mapping[Any, float], y: Arrays, weight: NumPy | None) -> NumPy:
    if weight is not None:
        raise DataError(
            message(
                "You cannot `class_weight` and `sample_weight` at the same time.",
                came="both",
                mend="multiply the weights of the rows by those of their classes, and give sample_weight.",
            )
        )
    if not isinstance(y, np.ndarray):
        raise DataError(message("class_weight needs one array of targets.", came=type(y).__name__))
    targets = cast(NumPy, y)
    try:
        if not isinstance(class_weight, Mapping):
            raise TypeError
        by_class = {int(key): float(value) for key, value in class_weight.items()}
    except (TypeError, ValueError):
        raise DataError(
            message(
                "class_weight maps class numbers to weights.",
                came=repr(class_weight),
                expected="{0: 1.0, ...}",
            )
        ) from None
    if targets.ndim > 1 and targets.shape[-1] > 1:
        classes = np.argmax(targets, axis=-1)
    else:
        classes = np.rint(targets.reshape(len(targets), -1)[:, 0]).astype(int)
    found, place = np.unique(classes, return_inverse=True)
    return np.array([by_class.get(int(each), 1.0) for each in found], np.float32)[
        place.reshape(classes.shape)
    ]


def require_finite(array: NumPy, what: str) -> None:
    """Raise DataError if a number is missing or infinite, and say in which columns and rows."""
    if array.dtype.kind != "f":
        return
    # One sum tells whether to look closer: it is finite if everything is (and does not overflow).
    with np.errstate(all="ignore"):
        if np.isfinite(array.sum(dtype=np.float64)):
            return
    wrong = ~np.isfinite(array)
    if not wrong.any():
        return
    flat = wrong.reshape(len(array), -1)
    rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))

    def listed(numbers: NumPy) -> str:
        return ", ".join(map(str, numbers[:5])) + (
            f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
        )

    where = f"rows {listed(rows)}" + (f"; columns {listed(columns)}" if flat.shape[1] > 1 else "")
    raise DataError(
        message(
            f"{what} holds numbers that are missing or infinite.",
            came=f"{int(np.isnan(array).sum())} NaN and {int(np.isinf(array).sum())} infinite, in {where} "
            "(counted from 0)",
            expected="finite numbers",
            mend="leave those rows out, or fill them in, for example with the column's median.",
        )
    )


def split_rows(rows: Rows, fraction: float) -> tuple[Rows, Rows]:
    """The rows to train on, and the last `fraction` of them to validate on, before any shuffling."""
    count = rows.count
    cut = int(np.floor(count * (1.0 - fraction)))
    if not 0.0 < fraction < 1.0 or cut in (0, count):
        raise DataError(
            message(
                "validation_split leaves an empty part.",
                came=f"validation_split={fraction} of {count} rows: {min(max(cut, 0), count)} to train on",
                expected="a fraction between 0 and 1 that leaves rows in both parts",
            )
        )
    return rows.part(0, cut), rows.part(cut, count)


def unpack(data: Any) -> tuple[Any, Any, Any]:
    """(x,), (x, y) or (x, y, sample_weight) as three; anything else is x alone."""
    if isinstance(data, tuple) or (isinstance(data, list) and 2 <= len(cast(list[Any], data)) <= 3):
        parts = tuple(cast(Sequence[Any], data))
        if 1 <= len(parts) <= 3:
            x, y, weight = [*parts, None, None][:3]
            return x, y, weight
        raise DataError(
            message("a batch is (x,), (x, y) or (x, y, sample_weight).", came=f"{len(parts)} parts")
        )
    return data, None, None


class PyDataset:
    """Batches by number: a class of one's own gives them in `__getitem__` and counts them in `__len__`.

    `fit` reads them once each epoch, in another order if it shuffles; the rows of a batch stay together.

    Args:
        workers: how many threads read batches ahead; 1 reads none ahead.
        use_multiprocessing: taken for Keras's sake; it is threads that read.
        max_queue_size: how many batches are read ahead at most.

    Example:
        >>> class Squares(PyDataset):
        ...     def __len__(self):
        ...         return 2
        ...     def __getitem__(self, index):
        ...         x = np.arange(3.0) + 3 * index
        ...         return x, x**2
        >>> [y.tolist() for x, y in Squares()]
        [[0.0, 1.0, 4.0], [9.0, 16.0, 25.0]]
    """

    workers = 1
    use_multiprocessing = False
    max_queue_size = 10

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        """The batch of this number: (x,), (x, y) or (x, y, sample_weight)."""
        raise NotImplementedError

    @property
    def num_batches(self) -> int | None:
        """How many batches there are; None is no end of them."""
        if hasattr(self, "__len__"):
            return len(cast(Any, self))
        raise NotImplementedError("You need to implement __len__, or the num_batches property.")

    def __iter__(self) -> Iterator[Any]:
        count = self.num_batches
        return (self[number] for number in (itertools.count() if count is None else range(count)))

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch: the place to shuffle rows."""


def _read_ahead(source: Any, order: Iterable[int], workers: int, ahead: int) -> Iterator[Any]:
    """The batches of these numbers, in this order, read by several threads."""
    with ThreadPoolExecutor(workers) as readers:
        waiting: deque[Future[Any]] = deque()
        for number in order:
            waiting.append(readers.submit(source.__getitem__, number))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class Stream:
    """Batches from a generator, a data loader, a `PyDataset`, or anything else that iterates."""

    def __init__(
        self, source: Any, class_weight: Mapping[Any, float] | None = None, shuffle: bool = False
    ) -> None:
        self.source = source
        self.class_weight = class_weight
        #: How a batch becomes rows, and what is done with them as they are read: a model puts its own here.
        self.make: Callable[..., Rows] = as_rows
        self.prepare: Callable[[Rows], Rows] = lambda rows: rows
        self._peeked: list[Rows] = []
        self._iterator: Iterator[Any] | None = None
        #: How many batches an epoch has, or None if that is not known before it ends.
        self.length: int | None = None
        try:
            self.length = len(source)
        except TypeError:
            count = getattr(source, "num_batches", None)
            self.length = count if isinstance(count, int) else None
        self.restarts = not hasattr(source, "__next__")
        #: Whether each epoch takes the batches in another order: a source that can be asked for any of them.
        self.shuffles = bool(shuffle) and isinstance(source, PyDataset) and self.length is not None

    def _start(self) -> Iterator[Any]:
        source = self.source
        if not hasattr(source, "__getitem__") or self.length is None:
            return iter(cast(Iterable[Any], source))
        order = seeds.batch_order(self.length) if self.shuffles else range(self.length)
        if (workers := getattr(source, "workers", 1)) > 1 and isinstance(source, PyDataset):
            return _read_ahead(source, order, workers, source.max_queue_size)
        return (source[number] for number in order)

    def peek(self) -> Rows:
        """The first batch, which stays to be read."""
        first = next(self.batches(1), None)
        if first is None:
            raise DataError(message("the data gave no batch.", came=type(self.source).__name__))
        self._peeked.insert(0, first)
        return first

    def batches(self, count: int | None = None) -> Iterator[Rows]:
        """The batches of one epoch, or the next `count` of them."""
        return itertools.islice(self._read(), count)

    def _read(self) -> Iterator[Rows]:
        given = False
        while True:
            if self._peeked:
                given = True
                yield self.prepare(self._peeked.pop(0))
                continue
            begun = self._iterator is None
            if self._iterator is None:
                self._iterator = self._start()
            try:
                item = next(self._iterator)
            except StopIteration:
                self._iterator = None
                # An epoch that begins where the source ended begins with the source's beginning.
                if given or begun or not self.restarts:
                    return
                continue
            given = True
            yield self.prepare(self.make(*unpack(item), self.class_weight))

    def epoch_begins(self) -> None:
        """Tell the source, if it wants to know."""
        if isinstance(self.source, PyDataset):
            self.source.on_epoch_begin()

    def epoch_ends(self) -> None:
        """Let the source shuffle, if it does."""
        if hasattr(self.source, "on_epoch_end"):
            self.source.on_epoch_end()

    def begin_anew(self) -> None:
        """Read from the source's beginning next, where it has one."""
        if self.restarts:
            self._iterator = None
            self._peeked.clear()
