"""tf.data.Dataset on NumPy: the forms in which tutorials feed `fit`.

A dataset is a way to read elements anew, each an array or a tuple or dict of arrays; a transformation
gives another one that reads it. Nothing is read before somebody iterates.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

import jax.numpy as jnp
import numpy as np

from pellucid.errors import DataError, message
from pellucid.standing_in.seeding import STREAMS

Element = Any
#: How many elements there are, where that is no number.
INFINITE, UNKNOWN = -1, -2
AUTOTUNE = -1


class TensorSpec(NamedTuple):
    """The shape and type of an array."""

    shape: Any = None
    dtype: Any = "float32"
    name: str | None = None


class Dataset:
    """Elements, one after the other.

    Args:
        read: gives an iterator from the beginning.
        count: how many elements there are; INFINITE or UNKNOWN.

    Example:
        >>> numbers = Dataset.from_tensor_slices([1, 2, 3, 4, 5])
        >>> [batch.tolist() for batch in numbers.map(lambda n: n * 10).batch(2)]
        [[10, 20], [30, 40], [50]]
    """

    def __init__(self, read: Callable[[], Iterator[Element]], count: int) -> None:
        self._read, self._count = read, count

    # Where elements come from.

    @classmethod
    def from_tensor_slices(cls, tensors: Any, name: str | None = None) -> Dataset:
        """An element for each row of arrays of equal length."""
        arrays = _map(np.asarray, tensors)
        lengths = {array.shape[0] if array.ndim else None for array in _leaves(arrays)}
        if len(lengths) != 1 or None in lengths:
            came = ", ".join(str(array.shape) for array in _leaves(arrays))
            raise DataError(
                message("rows are cut from arrays of equal length.", came=f"arrays of shape {came}")
            )
        count = cast(int, lengths.pop())

        def read() -> Iterator[Element]:
            for place in range(count):
                yield _map(lambda array, place=place: array[place], arrays)

        return cls(read, count)

    @classmethod
    def from_tensors(cls, tensors: Any, name: str | None = None) -> Dataset:
        """One element."""
        return cls(lambda: iter([_map(np.asarray, tensors)]), 1)

    @classmethod
    def from_generator(
        cls,
        generator: Callable[..., Iterable[Any]],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Iterable[Any] = (),
        output_signature: Any = None,
        name: str | None = None,
    ) -> Dataset:
        """What a function that gives a generator yields, in the types that were said."""
        given = tuple(args)
        types = output_types if output_signature is None else _map(lambda spec: spec.dtype, output_signature)

        def read() -> Iterator[Element]:
            for element in generator(*given):
                yield _map(np.asarray, element) if types is None else _map(np.asarray, element, types)

        return cls(read, UNKNOWN)

    @classmethod
    def range(cls, *args: int, output_type: Any = "int64", name: str | None = None) -> Dataset:
        """Whole numbers, as Python's range gives them."""
        numbers = range(*(int(each) for each in args))
        return cls(lambda: iter(np.asarray(numbers, output_type)), len(numbers))

    @classmethod
    def zip(cls, *datasets: Any, name: str | None = None) -> Dataset:
        """Elements side by side, as long as all have one."""
        parts = datasets[0] if len(datasets) == 1 and isinstance(datasets[0], tuple | dict) else datasets
        leaves: list[Dataset] = _leaves(parts)
        counts = [each._count for each in leaves]
        ends = [count for count in counts if count != INFINITE]
        count = UNKNOWN if UNKNOWN in ends else min(ends, default=INFINITE)

        def read() -> Iterator[Element]:
            for elements in zip(*(each._read() for each in leaves), strict=False):
                each = iter(elements)
                yield _map(lambda _, each=each: next(each), parts)

        return cls(read, count)

    # One dataset from another.

    def map(self, map_func: Callable[..., Any], *args: Any, **kwargs: Any) -> Dataset:
        """A function of each element. How many are computed at once is accepted, and one is."""

        def read() -> Iterator[Element]:
            for element in self._read():
                yield _map(_array, _call(map_func, element))

        return Dataset(read, self._count)

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """The elements for which a function is true."""
        return Dataset(lambda: (each for each in self._read() if bool(_call(predicate, each))), UNKNOWN)

    def flat_map(self, map_func: Callable[..., Dataset], name: str | None = None) -> Dataset:
        """The elements of the datasets that a function gives for each element."""
        return Dataset(
            lambda: (inner for each in self._read() for inner in _call(map_func, each)._read()), UNKNOWN
        )

    def shuffle(
        self,
        buffer_size: int,
        seed: int | None = None,
        reshuffle_each_iteration: bool = True,
        name: str | None = None,
    ) -> Dataset:
        """Each time one of the next `buffer_size` elements that were not given yet, drawn at random."""
        first = int(STREAMS.generator(seed).integers(2**63))
        times = itertools.count()

        def read() -> Iterator[Element]:
            random = np.random.default_rng([first, next(times) if reshuffle_each_iteration else 0])
            source, held = self._read(), []
            for element in source:
                if len(held) < buffer_size:
                    held.append(element)
                    continue
                place = int(random.integers(len(held)))
                yield held[place]
                held[place] = element
            for place in random.permutation(len(held)):
                yield held[place]

        return Dataset(read, self._count)

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        *args: Any,
        name: str | None = None,
        **kwargs: Any,
    ) -> Dataset:
        """Elements stacked, `batch_size` at a time; the last ones may be fewer."""
        return self._batched(int(batch_size), drop_remainder, lambda *rows: np.stack(rows))

    def padded_batch(
        self,
        batch_size: int,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """The same for elements of different sizes: each batch is filled up to its largest."""
        fill = 0 if padding_values is None else padding_values

        def stack(*rows: Any) -> Any:
            shape = np.max([row.shape for row in rows], axis=0)
            return np.stack(
                [
                    np.pad(
                        row,
                        [(0, wide - own) for own, wide in zip(row.shape, shape, strict=True)],
                        constant_values=fill,
                    )
                    for row in rows
                ]
            )

        return self._batched(int(batch_size), drop_remainder, stack)

    def _batched(self, size: int, drop: bool, stack: Callable[..., Any]) -> Dataset:
        count = self._count
        if count >= 0:
            count = count // size if drop else -(-count // size)

        def read() -> Iterator[Element]:
            source = self._read()
            while rows := list(itertools.islice(source, size)):
                if drop and len(rows) < size:
                    return
                yield _map(stack, *rows)

        return Dataset(read, count)

    def unbatch(self, name: str | None = None) -> Dataset:
        """The rows of each element, one by one."""

        def rows(*parts: Any) -> Dataset:
            return Dataset.from_tensor_slices(parts[0] if len(parts) == 1 else parts)

        return self.flat_map(rows)

    def window(
        self,
        size: int,
        shift: int | None = None,
        stride: int = 1,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """Datasets of `size` elements each, `stride` apart, that begin `shift` after one another."""
        step = size if shift is None else shift
        reach = (size - 1) * stride + 1

        def read() -> Iterator[Element]:
            source = self._read()
            held: deque[Element] = deque(itertools.islice(source, reach))
            while held:
                if len(held) < reach and drop_remainder:
                    return
                rows = list(itertools.islice(held, 0, reach, stride))
                columns = _map(lambda *each: Dataset(lambda: iter(each), len(each)), *rows)
                yield columns
                for _ in range(step):
                    if held:
                        held.popleft()
                    else:
                        next(source, None)
                held.extend(itertools.islice(source, reach - len(held)))

        return Dataset(read, UNKNOWN)

    def repeat(self, count: int | None = None, name: str | None = None) -> Dataset:
        """The elements again and again; `count` times if that is said."""
        endless = count is None or count < 0

        def read() -> Iterator[Element]:
            for _ in itertools.count() if endless else range(cast(int, count)):
                empty = True
                for element in self._read():
                    empty = False
                    yield element
                if empty:
                    return

        if endless:
            return Dataset(read, INFINITE if self._count else 0)
        return Dataset(read, self._count * cast(int, count) if self._count > 0 else self._count)

    def take(self, count: int, name: str | None = None) -> Dataset:
        """The first elements; all of them for -1."""
        if count < 0:
            return self
        known = count if self._count == INFINITE else min(count, self._count)
        return Dataset(lambda: itertools.islice(self._read(), count), known)

    def skip(self, count: int, name: str | None = None) -> Dataset:
        """All but the first elements."""
        known = max(self._count - count, 0) if self._count >= 0 else self._count
        return Dataset(lambda: itertools.islice(self._read(), count, None), known)

    def concatenate(self, dataset: Dataset, name: str | None = None) -> Dataset:
        """These elements, and then those."""
        counts = (self._count, dataset._count)
        count = INFINITE if INFINITE in counts else UNKNOWN if UNKNOWN in counts else sum(counts)
        return Dataset(lambda: itertools.chain(self._read(), dataset._read()), count)

    def enumerate(self, start: int = 0, name: str | None = None) -> Dataset:
        """Each element with its number."""
        return (
            Dataset.zip(Dataset.range(start, 2**62), self)
            if self._count < 0
            else Dataset.zip(Dataset.range(start, start + self._count), self)
        )

    def cache(self, filename: str = "", name: str | None = None) -> Dataset:
        """The same elements, which are computed once and kept in memory."""
        kept: list[Element] = []
        whole = False

        def read() -> Iterator[Element]:
            nonlocal whole
            if whole:
                yield from kept
                return
            kept.clear()
            for element in self._read():
                kept.append(element)
                yield element
            whole = True

        return Dataset(read, self._count)

    def prefetch(self, buffer_size: int, name: str | None = None) -> Dataset:
        """The same elements: they are in memory already, and nothing is fetched ahead."""
        return self

    # Reading it.

    def __iter__(self) -> Iterator[Element]:
        """The elements as JAX arrays; text stays with NumPy."""
        return (_map(_on_device, element) for element in self._read())

    def as_numpy_iterator(self) -> Iterator[Element]:
        """The elements as NumPy arrays."""
        return (_map(lambda array: np.asarray(array)[()], element) for element in self._read())

    def reduce(self, initial_state: Any, reduce_func: Callable[[Any, Any], Any]) -> Any:
        """What comes of taking each element into a state, one after the other."""
        for element in self:
            initial_state = reduce_func(initial_state, element)
        return initial_state

    def cardinality(self) -> np.int64:
        """How many elements there are: -1 for ever, -2 unknown."""
        return np.int64(self._count)

    def __len__(self) -> int:
        if self._count < 0:
            raise TypeError(
                f"this dataset has {'no end' if self._count == INFINITE else 'an unknown length'}"
            )
        return self._count

    @property
    def element_spec(self) -> Any:
        """Shape and type of the first element."""
        return _map(lambda a: TensorSpec(a.shape, a.dtype), _map(np.asarray, next(self._read())))

    def __repr__(self) -> str:
        return f"<Dataset of {self._count if self._count >= 0 else 'many'} elements>"


def _map(function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """A function of what is at the same place in tuples and dicts."""
    if isinstance(first, tuple) and not isinstance(first, TensorSpec):
        return tuple(_map(function, *each) for each in zip(first, *others, strict=True))
    if isinstance(first, Mapping):
        named = cast(Mapping[str, Any], first)
        return {key: _map(function, named[key], *(each[key] for each in others)) for key in named}
    return function(first, *others)


def _leaves(structure: Any) -> list[Any]:
    found: list[Any] = []
    _map(found.append, structure)
    return found


def _call(function: Callable[..., Any], element: Element) -> Any:
    """A function of an element: a tuple gives it several arguments."""
    return function(*element) if isinstance(element, tuple) else function(element)


def _array(value: Any) -> Any:
    """A NumPy array of what a function gave, unless it is a dataset."""
    return value if isinstance(value, Dataset) else np.asarray(value)


def _on_device(value: Any) -> Any:
    if isinstance(value, Dataset) or np.asarray(value).dtype.kind not in "biufc":
        return value
    return jnp.asarray(value)
