"""Layers that make one array of several: Add, Concatenate, Dot, ..., and functions of the same names."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid.arrays import Array, Shape, as_array
from pellucid.errors import ArgumentError, ShapeError, message
from pellucid.formula import Expression, Number, Unit, derivative, largest, smallest, sqrt, times, total
from pellucid.layers.layer import CATALOGUE, Layer

Index = tuple[int, ...]
#: `Dot(normalize=True)` multiplies by 1/length, and by no more than 1 over this.
EPSILON = 1e-7


class _Merge(Layer):
    """What layers of several inputs share: one output for all of them, and one mask."""

    rows_independent = supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Nothing has weights here; shapes that do not fit are refused."""
        self.compute_output_shape(input_shape)

    def check_input(self, inputs: Any) -> None:
        """The same for the arrays of every call."""
        self.compute_output_shape([tuple(each.shape) for each in self.listed(inputs)])

    def listed(self, given: Any) -> list[Any]:
        """Several inputs, or their shapes, as a list."""
        several = isinstance(given, list | tuple) and not isinstance(next(iter(given), 0), int | None)
        if not several or len(cast(Sequence[Any], given)) == 0:
            raise ShapeError(
                message(
                    f"A merge layer should be called on a list of inputs: {self.describe()} was not.",
                    came=given if isinstance(given, list | tuple) else type(given).__name__,
                    expected=f"{type(self).__name__}()([a, b])",
                )
            )
        return list(cast(Sequence[Any], given))

    def do_not_fit(self, shapes: Any, expected: str) -> ShapeError:
        """The error of shapes that do not go together."""
        return ShapeError(
            message(
                f"Inputs have incompatible shapes for {self.describe()}.",
                came=" and ".join(str(tuple(shape)) for shape in shapes),
                expected=expected,
            )
        )

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """What counts in any of the inputs, if all have masks."""
        if mask is None:
            return None
        self._paired_masks(inputs, mask)
        if any(each is None for each in mask):
            return None
        return functools.reduce(jnp.logical_or, map(as_array, mask))

    def _paired_masks(self, inputs: Any, mask: Any) -> None:
        """Raise ArgumentError unless there is a mask, or None, for each input."""
        for name, value in (("mask", mask), ("inputs", inputs)):
            if not isinstance(value, list | tuple):
                raise ArgumentError(message(f"`{name}` should be a list.", came=type(value).__name__))
        if len(mask) != len(inputs):
            raise ArgumentError(
                message(
                    "The lists `inputs` and `mask` should have the same length.",
                    came=f"{len(inputs)} inputs and {len(mask)} masks",
                )
            )

    def dependents(self, unit: Unit, number: int) -> Iterator[Index]:
        """Where the outputs lie that depend on one place of an input."""
        raise NotImplementedError

    def backward(self, unit: Unit) -> Expression | None:
        """dJ/dx is the sum over all outputs y that x is part of of dJ/dy * dy/dx."""
        what, place = unit.what, unit.index
        if not what.startswith("input"):
            return None
        number = names(unit).index(what)
        x = unit.number(what, *place).name
        parts: list[Expression] = []
        for there in self.dependents(unit, number):
            slope = self.slope(_at(unit, there), number, x)
            if slope is None:
                return None
            parts.append(times(unit.gradient("output", *there), slope))
        return total(parts)

    def slope(self, unit: Unit, number: int, name: str) -> Expression | None:
        """The derivative of an output by the number of this name, which lies in input `number`."""
        made = self.formula(unit)
        return None if made is None else derivative(made, name)


def names(unit: Unit) -> list[str]:
    """What the inputs of a layer are called in an opened step: "input_0", "input_1", ..., or "input"."""
    if "input" in unit.arrays:
        return ["input"]
    return [name for number in range(len(unit.arrays)) if (name := f"input_{number}") in unit.arrays]


def _at(unit: Unit, index: Index) -> Unit:
    return replace(unit, what="output", index=index)


class _PlaceByPlace(_Merge):
    """Layers whose outputs are made of the inputs at the same place; sizes of 1 are used for all places."""

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The sizes of the largest, axis by axis."""
        shapes = [tuple(shape) for shape in self.listed(input_shape)]
        rows = {shape[0] for shape in shapes if shape} - {None}
        if len(rows) > 1 or not all(shapes):
            raise self.do_not_fit(shapes, "the same number of rows in all of them")
        merged: tuple[int | None, ...] = ()
        for shape in shapes:
            longer, shorter = sorted((merged, shape[1:]), key=len, reverse=True)
            start = len(longer) - len(shorter)
            merged = longer[:start] + tuple(map(self._size, longer[start:], shorter))
            if -1 in merged:
                raise self.do_not_fit(shapes, "sizes that are equal, or 1, axis by axis from the last one")
        return (rows.pop() if rows else None, *merged)

    @staticmethod
    def _size(one: int | None, other: int | None) -> int | None:
        """The size of an axis, where one may be 1 or unknown; -1 if they do not fit."""
        if one is None or other is None:
            return None
        return max(one, other) if one == other or 1 in (one, other) else -1

    def call(self, inputs: Any, mask: Any = None) -> Array:
        """The inputs, merged; shorter rows get axes of size 1 before theirs."""
        given = self.listed(inputs)
        rank = max(array.ndim for array in given)
        return self.merge(
            [array.reshape(array.shape[0], *(1,) * (rank - array.ndim), *array.shape[1:]) for array in given],
            self._masks(given, mask),
        )

    def _masks(self, inputs: list[Array], mask: Any) -> list[Any]:
        """For each input what of it counts, if merging asks that."""
        return [None] * len(inputs)

    def merge(self, inputs: list[Array], masks: list[Any]) -> Array:
        """One array of several that fit together."""
        raise NotImplementedError

    def formula(self, unit: Unit) -> Expression | None:
        """The inputs at this place, merged."""
        return self.merged([unit.number(name, *there) for name, there in self.places(unit)])

    def merged(self, numbers: list[Expression]) -> Expression:
        """One number of several."""
        raise NotImplementedError

    def places(self, unit: Unit) -> list[tuple[str, Index]]:
        """Which number of each input is part of an output."""
        found: list[tuple[str, Index]] = []
        for name in names(unit):
            shape = unit.row(name).shape
            own = unit.index[len(unit.index) - len(shape) :]
            found.append((name, tuple(0 if size == 1 else at for at, size in zip(own, shape, strict=True))))
        return found

    def dependents(self, unit: Unit, number: int) -> Iterator[Index]:
        """The same place, and all others along axes where the input has size 1."""
        shape, outputs = unit.row(unit.what).shape, unit.row("output").shape
        lead = len(outputs) - len(shape)
        ranges = [range(size) for size in outputs[:lead]]
        for at, size, wide in zip(unit.index, shape, outputs[lead:], strict=True):
            ranges.append(range(wide) if size == 1 else range(at, at + 1))
        return itertools.product(*ranges)


@CATALOGUE.entry()
class Add(_PlaceByPlace):
    """y = x_1 + x_2 + ..., place by place.

    Example:
        >>> import numpy as np
        >>> Add()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])]).tolist()
        [[11.0, 22.0]]
    """

    def merge(self, inputs: list[Array], masks: list[Any]) -> Array:
        """The sum."""
        return functools.reduce(jnp.add, inputs)

    def merged(self, numbers: list[Expression]) -> Expression:
        """x_1 + x_2 + ..."""
        return total(numbers)


@CATALOGUE.entry()
class Subtract(_PlaceByPlace):
    """y = x_1 - x_2, place by place, for exactly two inputs."""

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The sizes of the larger, axis by axis."""
        shapes = self.listed(input_shape)
        if len(shapes) != 2:
            raise ShapeError(
                message(
                    "A `Subtract` layer should be called on exactly 2 inputs.", came=f"{len(shapes)} inputs"
                )
            )
        return super().compute_output_shape(shapes)

    def merge(self, inputs: list[Array], masks: list[Any]) -> Array:
        """The difference."""
        return inputs[0] - inputs[1]

    def merged(self, numbers: list[Expression]) -> Expression:
        """x_1 - x_2."""
        return numbers[0] - numbers[1]


@CATALOGUE.entry()
class Average(_PlaceByPlace):
    """y = (x_1 + x_2 + ...) / n, place by place."""

    def merge(self, inputs: list[Array], masks: list[Any]) -> Array:
        """The mean."""
        return functools.reduce(jnp.add, inputs) / len(inputs)

    def merged(self, numbers: list[Expression]) -> Expression:
        """(x_1 + x_2 + ...) / n."""
        return total(numbers) / len(numbers)


class _OfWhatCounts(_PlaceByPlace):
    """Layers that merge only what the masks of their inputs say counts."""

    def _masks(self, inputs: list[Array], mask: Any) -> list[Any]:
        given = [None] * len(inputs) if mask is None else list(mask)
        found: list[Any] = []
        for number, (array, own) in enumerate(zip(inputs, given, strict=True)):
            if own is not None:
                own = jnp.broadcast_to(jnp.asarray(own, bool)[..., None], array.shape)
                self.hand_out(f"counts_{number}", own)
                rank = max(each.ndim for each in inputs)
                own = own.reshape(own.shape[0], *(1,) * (rank - own.ndim), *own.shape[1:])
            found.append(own)
        return found

    def counting(self, unit: Unit) -> list[int]:
        """Which inputs count at a place; the first, if none does."""
        places = [there for _, there in self.places(unit)]
        return [
            number
            for number, there in enumerate(places)
            if (mask := unit.arrays.get(f"counts_{number}")) is None or mask[(unit.example, *there)]
        ]

    def formula(self, unit: Unit) -> Expression | None:
        """What counts at this place, merged."""
        numbers = [unit.number(name, *there) for name, there in self.places(unit)]
        return self.merged([numbers[each] for each in self.counting(unit) or [0]])


@CATALOGUE.entry()
class Multiply(_OfWhatCounts):
    """y = x_1 * x_2 * ..., place by place. What is masked is left out, and where all is, the output is 0."""

    def merge(self, inputs: list[Array], masks: list[Any]) -> Array:
        """The product."""
        plain = [
            array if mask is None else jnp.where(mask, array, 1)
            for array, mask in zip(inputs, masks, strict=True)
        ]
        output = functools.reduce(jnp.multiply, plain)
        if any(mask is None for mask in masks):
            return output
        return jnp.where(functools.reduce(jnp.logical_or, masks), output, 0)

    def formula(self, unit: Unit) -> Expression | None:
        """x_1 * x_2 * ..., of those that count."""
        return super().formula(unit) if self.counting(unit) else Number(0.0)

    def merged(self, numbers: list[Expression]) -> Expression:
        """x_1 * x_2 * ..."""
        return functools.reduce(lambda one, other: one * other, numbers)


class _Extreme(_OfWhatCounts):
    """The largest or smallest, place by place."""

    def merge(self, inputs: list[Array], masks: list[Any]) -> Array:
        """The extreme one of what counts."""
        output, counts = inputs[0], masks[0]
        for array, mask in zip(inputs[1:], masks[1:], strict=True):
            array = array if mask is None else jnp.where(mask, array, output)
            output = output if counts is None else jnp.where(counts, output, array)
            counts = None if counts is None or mask is None else counts | mask
            output = self.of_two(output, array)
        return output

    def of_two(self, one: Array, other: Array) -> Array:
        """The extreme one of two."""
        raise NotImplementedError

    def slope(self, unit: Unit, number: int, name: str) -> Expression | None:
        """1 for the extreme one; two that are equal have half of it each."""
        places, shares, extreme = self.places(unit), dict[int, float](), 0.0
        for each in self.counting(unit) or [0]:
            value = float(unit.arrays[places[each][0]][(unit.example, *places[each][1])])
            if shares and value == extreme:
                shares = {known: share / 2 for known, share in shares.items()} | {each: 0.5}
            elif not shares or self.merged([Number(extreme), Number(value)]).value == value:
                shares, extreme = {each: 1.0}, value
        return Number(shares.get(number, 0.0))


@CATALOGUE.entry()
class Maximum(_Extreme):
    """y = max(x_1, x_2, ...), place by place. What is masked does not count."""

    def of_two(self, one: Array, other: Array) -> Array:
        """The larger one."""
        return jnp.maximum(one, other)

    def merged(self, numbers: list[Expression]) -> Expression:
        """max(x_1, x_2, ...)."""
        return largest(*numbers)


@CATALOGUE.entry()
class Minimum(_Extreme):
    """y = min(x_1, x_2, ...), place by place. What is masked does not count."""

    def of_two(self, one: Array, other: Array) -> Array:
        """The smaller one."""
        return jnp.minimum(one, other)

    def merged(self, numbers: list[Expression]) -> Expression:
        """min(x_1, x_2, ...)."""
        return smallest(*numbers)


@CATALOGUE.entry()
class Concatenate(_Merge):
    """The inputs one after the other along an axis.

    Args:
        axis: the axis; the sizes of the others must be equal.

    Example:
        >>> import numpy as np
        >>> Concatenate()([np.array([[1.0, 2.0]]), np.array([[3.0]])]).tolist()
        [[1.0, 2.0, 3.0]]
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if axis == 0:
            raise ArgumentError(
                message("Concatenate joins rows, not batches.", came="axis=0", expected="1 or more, or -1")
            )
        self.axis = axis

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The sizes along the axis, summed."""
        shapes = [tuple(shape) for shape in self.listed(input_shape)]
        rank = len(shapes[0])
        fit = "shapes that are equal except for the concatenation axis"
        if any(len(shape) != rank for shape in shapes) or not -rank <= self.axis < rank or not rank:
            raise self.do_not_fit(shapes, f"{fit} {self.axis}")
        axis, output = self.axis % rank, list(shapes[0])
        for place in range(rank):
            known = {shape[place] for shape in shapes} - {None}
            if place != axis and len(known) > 1:
                raise self.do_not_fit(shapes, f"{fit} {self.axis}")
            output[place] = next(iter(known), None)
        joined = [shape[axis] for shape in shapes]
        output[axis] = None if None in joined else sum(size or 0 for size in joined)
        return tuple(output)

    def call(self, inputs: Any) -> Array:
        """The inputs, joined."""
        return jnp.concatenate(self.listed(inputs), axis=self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The masks, joined; inputs without one count."""
        if mask is None:
            return None
        self._paired_masks(inputs, mask)
        if all(each is None for each in mask):
            return None
        wide: list[Any] = []
        for array, own in zip(inputs, mask, strict=True):
            own = jnp.ones(array.shape, bool) if own is None else jnp.asarray(own, bool)
            wide.append(jnp.broadcast_to(own[..., None], array.shape) if own.ndim < array.ndim else own)
        return jnp.any(jnp.concatenate(wide, axis=self.axis), axis=-1)

    def _starts(self, unit: Unit) -> tuple[int, list[int]]:
        """The axis within a row, and where each input begins along it."""
        rows = [unit.row(name).shape for name in names(unit)]
        axis = self.axis % (len(rows[0]) + 1) - 1
        return axis, [0, *itertools.accumulate(shape[axis] for shape in rows)]

    def formula(self, unit: Unit) -> Expression | None:
        """The number that lies there."""
        axis, starts = self._starts(unit)
        which = int(np.searchsorted(starts, unit.index[axis], side="right")) - 1
        there = list(unit.index)
        there[axis] -= starts[which]
        return unit.number(names(unit)[which], *there)

    def dependents(self, unit: Unit, number: int) -> Iterator[Index]:
        """Where it lies now."""
        axis, starts = self._starts(unit)
        there = list(unit.index)
        there[axis] += starts[number]
        yield tuple(there)


@CATALOGUE.entry()
class Dot(_Merge):
    """y = sum_i a_i * b_i, along one axis of each of two inputs; all other axes stay.

    Args:
        axes: the axis of both, or a pair: one of the first and one of the second input.
        normalize: whether both are divided by their lengths first; y is then the cosine between them.

    Example:
        >>> import numpy as np
        >>> Dot(axes=1)([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])]).tolist()
        [[11.0]]
    """

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        both = (axes, axes) if isinstance(axes, int) else tuple(axes)
        if len(both) != 2 or not all(isinstance(each, int) for each in both) or 0 in both:
            raise ArgumentError(
                message(
                    "Invalid format for argument `axes`.", came=repr(axes), expected="one or two axes, not 0"
                )
            )
        self.axes, self.normalize = axes, normalize

    def _axes(self, *ranks: int) -> tuple[int, ...]:
        given = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        return tuple(
            each % rank if -rank <= each < rank else 0 for each, rank in zip(given, ranks, strict=True)
        )

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The axes of both that are not summed over."""
        shapes = [tuple(shape) for shape in self.listed(input_shape)]
        if len(shapes) != 2:
            raise ShapeError(
                message("A `Dot` layer should be called on a list of 2 inputs.", came=f"{len(shapes)} inputs")
            )
        axes = self._axes(*map(len, shapes))
        sizes = {shape[axis] for shape, axis in zip(shapes, axes, strict=True)} - {None}
        if 0 in axes or len(sizes) > 1 or len({shapes[0][0], shapes[1][0]} - {None}) > 1:
            raise self.do_not_fit(shapes, f"equally many numbers along the axes {axes}")
        first, second = (
            tuple(size for place, size in enumerate(shape) if place not in (0, axis))
            for shape, axis in zip(shapes, axes, strict=True)
        )
        rows = shapes[0][0] if shapes[0][0] is not None else shapes[1][0]
        return (rows, *((*first, *second) or (1,)))

    def call(self, inputs: Any) -> Array:
        """The products, summed."""
        one, other = self.listed(inputs)
        first, second = self._axes(one.ndim, other.ndim)
        if self.normalize:
            one, other = (_unit_length(array, axis) for array, axis in ((one, first), (other, second)))
        one, other = jnp.moveaxis(one, first, -1), jnp.moveaxis(other, second, 1)
        flat = jnp.matmul(one.reshape(one.shape[0], -1, one.shape[-1]), other.reshape(*other.shape[:2], -1))
        return flat.reshape(one.shape[0], *((*one.shape[1:-1], *other.shape[2:]) or (1,)))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """None: the axes of a mask are no longer there."""
        return None

    def _along(self, unit: Unit) -> list[list[Expression]]:
        """The numbers of both inputs that an output is made of."""
        ranks = [unit.row(name).ndim for name in names(unit)]
        axes = [axis - 1 for axis in self._axes(*(rank + 1 for rank in ranks))]
        cut = ranks[0] - 1
        rest = (unit.index[:cut], unit.index[cut:] if ranks[1] > 1 else ())
        found: list[list[Expression]] = []
        for name, axis, own in zip(names(unit), axes, rest, strict=True):
            size = unit.row(name).shape[axis]
            row: list[Expression] = [unit.number(name, *own[:axis], at, *own[axis:]) for at in range(size)]
            found.append(row)
        return found

    def formula(self, unit: Unit) -> Expression | None:
        """Sum of a_i * b_i; divided by the lengths of both, if they are normalized."""
        one, other = self._along(unit)
        product = total(a * b for a, b in zip(one, other, strict=True))
        if not self.normalize:
            return product
        length = [sqrt(total(each * each for each in row)) for row in (one, other)]
        if any(each.value <= EPSILON for each in length):
            return None
        return product / (length[0] * length[1])

    def dependents(self, unit: Unit, number: int) -> Iterator[Index]:
        """All outputs that the rest of the other input takes part in."""
        rows = [unit.row(name) for name in names(unit)]
        axes = [axis - 1 for axis in self._axes(*(row.ndim + 1 for row in rows))]
        own = (*unit.index[: axes[number]], *unit.index[axes[number] + 1 :])
        rest = [
            [range(size) for place, size in enumerate(row.shape) if place != axis]
            for row, axis in zip(rows, axes, strict=True)
        ]
        rest[number] = [range(at, at + 1) for at in own]
        return itertools.product(*((rest[0] + rest[1]) or [range(1)]))


def _unit_length(array: Array, axis: int) -> Array:
    inverse = jax.lax.rsqrt(jnp.sum(jnp.square(array), axis=axis, keepdims=True))
    return array * jnp.minimum(inverse, 1.0 / EPSILON)


def add(inputs: Any, **kwargs: Any) -> Any:
    """`Add` of these inputs; `kwargs` are the layer's arguments."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """`Subtract` of these two inputs."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """`Multiply` of these inputs."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """`Average` of these inputs."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """`Maximum` of these inputs."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """`Minimum` of these inputs."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate` of these inputs along an axis.

    >>> import numpy as np
    >>> concatenate([np.ones((2, 3)), np.ones((2, 1))]).shape
    (2, 4)
    """
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """`Dot` of these two inputs along axes."""
    return Dot(axes=axes, **kwargs)(inputs)
