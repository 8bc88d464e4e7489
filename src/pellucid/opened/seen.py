"""What each layer did in a pass, and how its numbers are named: "dense.z[3]", "dense/kernel[2,3]"."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid.arrays import Arrays
from pellucid.errors import ArgumentError, did_you_mean, message
from pellucid.formula import Formula, Number, Unit, indexed, stated_by
from pellucid.layers.layer import Layer
from pellucid.step import Parts

NumPy = np.ndarray[Any, Any]


class LayerPass:
    """What one layer did with a batch.

    Attributes:
        name: the layer's name; with the names of those it lies in before it, "block/dense", and "@2"
            behind it where a layer is called a second time.
        layer: the layer itself.
        input, z, output: what it was given, what it computed before the activation (None if the layer
            does not say), and what it gave on, for each row: shape (rows, ...).
        d_z, d_output: the gradients of the cost by z and by the output, of the same shapes; None where
            only the forward pass was opened.
        arrays: all that it handed out, by name: also "kept" of Dropout, "mean" of normalizations, ...
        shared: the names of those that are for the whole batch, and not for each row.
        loops: in how many loops over time the layer was called. Each puts an axis of times behind that of
            the rows, and a time before the other indices: "time_distributed/dense.z[t,j]".
    """

    def __init__(
        self,
        name: str,
        layer: Layer,
        arrays: Mapping[str, NumPy],
        slopes: Mapping[str, NumPy],
        shared: Collection[str] = (),
        loops: int = 0,
    ) -> None:
        self.name, self.layer, self.loops = name, layer, loops
        self.arrays, self.slopes, self.shared = dict(arrays), dict(slopes), frozenset(shared)

    @property
    def variables(self) -> list[Any]:
        """The variables whose gradients the layer can state: those that it holds itself."""
        return self.layer.stated_for()

    @property
    def times(self) -> tuple[int, ...]:
        """How often each of the loops ran that the layer was called in."""
        by_row = [array for name, array in self.arrays.items() if name not in self.shared]
        return by_row[0].shape[1 : 1 + self.loops] if self.loops else ()

    @property
    def input(self) -> Any:
        """What the layer was given; a list where it was given several arrays."""
        return self._one_or_all("input")

    @property
    def output(self) -> Any:
        """What it gave on."""
        return self._one_or_all("output")

    @property
    def z(self) -> NumPy | None:
        """What it computed before its activation."""
        return self.arrays.get("z")

    @property
    def d_z(self) -> NumPy | None:
        """The gradient of the cost by z."""
        return self.slopes.get("z")

    @property
    def d_output(self) -> NumPy | None:
        """The gradient of the cost by the output."""
        return self.slopes.get("output")

    def _one_or_all(self, what: str) -> Any:
        if what in self.arrays:
            return self.arrays[what]
        several = [self.arrays[key] for key in self.arrays if re.fullmatch(rf"{what}_\d+", key)]
        return several or None

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in self.arrays.items())
        return f"<{self.name}: {type(self.layer).__name__}, {shapes}>"


class Layers(list[LayerPass]):
    """Layers in the order they were called, found by number or by name."""

    def __getitem__(self, key: Any) -> Any:
        """The layer of this number or name."""
        if not isinstance(key, str):
            return super().__getitem__(key)
        for each in self:
            if each.name == key:
                return each
        raise ArgumentError(
            message(
                f'there is no layer "{key}" in this step.',
                came=repr(key),
                expected=did_you_mean(key, [each.name for each in self]),
            )
        )


class Pass:
    """A forward pass that was opened: of a batch (`Step`) or of rows that somebody asked about.

    Attributes:
        x: the rows.
        layers: what each layer did, in the order of the calls.
        weights: the weights it was done with, by their paths.
        outputs: what the model gave.
    """

    training = False

    def __init__(
        self,
        parts: Parts,
        x: Arrays,
        layers: Callable[[], Layers],
        weights: Mapping[str, NumPy],
        outputs: Any,
    ) -> None:
        self.parts = parts
        self.x, self._layers, self.weights, self.outputs = x, layers, dict(weights), outputs
        self.values: dict[str, NumPy] = dict(weights)
        self.columns: Sequence[str] = ()

    @functools.cached_property
    def layers(self) -> Layers:
        """What each layer did; looked up when it is first asked for."""
        return self._layers()

    @property
    def rows_count(self) -> int:
        """How many rows there are."""
        return len(jax.tree.leaves(self.x)[0])

    def unit(self, layer: LayerPass, what: str, index: tuple[int, ...], example: int) -> Unit:
        """What a layer needs to know to state the arithmetic of one of its numbers."""
        first = self.columns if layer is self.layers[0] and self._names_fit else ()
        known = (layer.arrays, self.values, self.training, first, layer.slopes)
        unit = Unit(layer.name, what, index, example, *known)
        for time in index[: layer.loops]:
            unit = unit.at(time, shared=layer.shared)
        return unit

    @functools.cached_property
    def _names_fit(self) -> bool:
        """Whether the first layer is given the rows as they are, so that their names are its inputs'."""
        given = self.layers[0].input
        if not self.columns or not isinstance(given, np.ndarray) or not isinstance(self.x, np.ndarray):
            return False
        rows = cast(NumPy, self.x)
        return given.shape == rows.shape and bool(
            np.array_equal(given, rows.astype(given.dtype), equal_nan=True)
        )

    def formula(self, reference: str, example: int = 0) -> Formula:
        """The arithmetic of one number, with its value and the recorded number it was compared with.

        Args:
            reference: "dense.z[3]", "dense.output[3]"; indices name a number within the row.
            example: which row of the batch.

        Raises:
            ArgumentError: if there is no such number, or nothing states its arithmetic.
        """
        name, index, what = parsed(reference)
        layer, kind = self._layer_and_kind(name, what, reference)
        self.require_example(example)
        array = layer.arrays[kind]
        whole = kind in layer.shared
        place = require_index(reference, index, array.shape if whole else array.shape[1:])
        roundoff = roundoff_of(array)
        known = f"{layer.name}.{kind}"
        if kind not in (*layer.layer.stated, "output") or whole:
            value = Number(array[place if whole else (example, *place)], indexed(known, place))
            return Formula(indexed(known, place), value, value.value, roundoff)
        stated = stated_by(layer.layer, "formula", "call")
        expression = None if stated is None else stated(self.unit(layer, kind, place, example))
        if expression is None and kind == "output" and (inner := self._inside(layer)) is not None:
            return replace(
                self.formula(indexed(f"{inner.name}.output", place), example), name=indexed(known, place)
            )
        if expression is None:
            raise ArgumentError(
                message(
                    f"{layer.layer.describe()} states no arithmetic for {reference}.",
                    expected="a layer with a method formula(unit), as Pellucid's own have",
                    mend=f"the number itself is step.layers[{layer.name!r}].{kind}[{example}]"
                    f"[{', '.join(map(str, place))}].",
                )
            )
        return Formula(indexed(known, place), expression, float(array[(example, *place)]), roundoff)

    def _inside(self, layer: LayerPass) -> LayerPass | None:
        """The layer that is called in another one, and whose output is that of the other."""
        for each in self.layers:
            if each.name.startswith(f"{layer.name}/") and np.array_equal(each.output, layer.output):
                return each
        return None

    def _layer_and_kind(self, name: str, what: str, reference: str) -> tuple[LayerPass, str]:
        stem, _, kind = name.rpartition(".")
        if what or not stem:
            raise ArgumentError(
                message("there is no such number.", came=repr(reference), expected=self._known(reference))
            )
        layer: LayerPass = self.layers[stem]
        if kind not in layer.arrays:
            raise ArgumentError(
                message(
                    f"{layer.layer.describe()} has no {kind}.",
                    came=repr(reference),
                    expected=did_you_mean(kind, layer.arrays),
                )
            )
        return layer, kind

    def _known(self, reference: str) -> str:
        return did_you_mean(re.sub(r"\[.*?\]", "", reference), self.names())

    def names(self) -> list[str]:
        """What `formula` can be asked for, without indices."""
        return [f"{layer.name}.{kind}" for layer in self.layers for kind in layer.arrays]

    def require_example(self, example: int) -> None:
        """Raise ArgumentError if there is no such row."""
        if not 0 <= example < self.rows_count:
            raise ArgumentError(
                message(
                    "there is no such example in the batch.",
                    came=f"example={example}",
                    expected=f"0 to {self.rows_count - 1}",
                )
            )


def parsed(reference: str) -> tuple[str, tuple[int, ...] | None, str]:
    """A reference as (name, index, what).

    >>> parsed("dense/kernel[2,3].gradient"), parsed("dense.z[3]"), parsed("cost")
    (('dense/kernel', (2, 3), 'gradient'), ('dense.z', (3,), ''), ('cost', None, ''))
    """
    found = isinstance(reference, str) and re.fullmatch(
        r"\s*([^\[\]]+?)(?:\[\s*(\d+(?:\s*,\s*\d+)*)\s*\])?(?:\.(gradient|update))?\s*", reference
    )
    if not found:
        raise ArgumentError(
            message(
                "this names no number.",
                came=repr(reference),
                expected='"dense/kernel[2,3]", "dense/kernel[2,3].gradient", "dense.z[3]", "cost", ...',
            )
        )
    index = tuple(int(each) for each in found[2].split(",")) if found[2] else None
    return found[1], index, found[3] or ""


def require_index(reference: str, index: tuple[int, ...] | None, shape: Sequence[int]) -> tuple[int, ...]:
    """An index that lies within a shape; left out, the only number there is."""
    if index is None and math.prod(shape) == 1:
        return (0,) * len(shape)
    fits = (
        index is not None
        and len(index) == len(shape)
        and all(0 <= place < size for place, size in zip(index, shape, strict=True))
    )
    if not fits or index is None:
        last = ",".join(str(size - 1) for size in shape)
        raise ArgumentError(
            message(
                "there is no number of this index.",
                came=repr(reference),
                expected=f"[{','.join('0' * len(shape))}] to [{last}]" if shape else "no index",
            )
        )
    return index


def roundoff_of(array: Any) -> float:
    """How much numbers of an array's type are rounded, as a part of them."""
    return float(jnp.finfo(array.dtype).eps) / 2 if jnp.issubdtype(array.dtype, jnp.floating) else 2.0**-24
