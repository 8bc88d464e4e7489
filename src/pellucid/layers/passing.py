"""Layers that give on what comes in (Identity, ActivityRegularization), or what a function makes of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import jax

from pellucid import activations, regularizers
from pellucid.arrays import Arrays
from pellucid.errors import ArgumentError, message
from pellucid.formula import Expression, Unit
from pellucid.layers.core import activated
from pellucid.layers.layer import CATALOGUE, Layer
from pellucid.naming import Catalogue, deserialize

#: Functions of one's own are found by name in `custom_objects`; there are no others.
FUNCTIONS = Catalogue("function", mend="pass the function in custom_objects when loading.")


class _Passing(Layer):
    """Gives on what comes in."""

    rows_independent = elementwise = supports_masking = True

    def call(self, inputs: Arrays) -> Arrays:
        """What comes in."""
        return inputs

    def formula(self, unit: Unit) -> Expression | None:
        """What comes in."""
        return unit.number("input", *unit.index)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of what comes in."""
        return input_shape


@CATALOGUE.entry()
class Identity(_Passing):
    """y = x: a place for a layer where none is wanted."""


@CATALOGUE.entry()
class ActivityRegularization(_Passing):
    """y = x, and a penalty on x is added to the cost: (l1 * sum|x| + l2 * sum x^2) / rows.

    Args:
        l1, l2: how strong the penalties are.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1, self.l2 = l1, l2

    def changed_arguments(self) -> dict[str, Any]:
        """The penalties say what the regularizer is."""
        changed = super().changed_arguments()
        return {name: value for name, value in changed.items() if name != "activity_regularizer"}


@CATALOGUE.entry()
class Lambda(Layer):
    """y = function(x), for a function of one's own.

    A function made with `def` is written into files by its name, and passed in `custom_objects` when
    the file is loaded; one made with `lambda` has no name, and cannot be written: files carry no code.

    Args:
        function: takes the inputs, and `mask` and `training` if it has arguments of these names.
        output_shape: the shape of an output row, or a function from the shape of the inputs to that of
            the outputs; found by tracing if None.
        mask: the mask of the outputs, or a function of inputs and mask that gives it; None for none.
        arguments: further arguments of the function, by name.

    Example:
        >>> Lambda(lambda x: x ** 2)([[1.0, 3.0]]).tolist()
        [[1.0, 9.0]]
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.function = _function(function)
        self.arguments = dict(arguments or {})
        self.supports_masking = mask is not None
        self.mask = _function(mask) if isinstance(mask, str | Mapping) else mask
        named = isinstance(output_shape, str | Mapping)
        self._output_shape = _function(output_shape) if named else output_shape
        if isinstance(output_shape, list):
            # As files have it.
            self._output_shape = tuple(cast(Sequence[int | None], output_shape))
        self._asks = set(inspect.signature(self.function).parameters) & {"mask", "training"}

    def changed_arguments(self) -> dict[str, Any]:
        """The shape is a tuple, also where a file had a list."""
        shape = self._output_shape
        return {
            **super().changed_arguments(),
            **({"output_shape": shape} if isinstance(shape, tuple) else {}),
        }

    def call(self, inputs: Arrays, mask: Any = None, training: bool = False) -> Arrays:
        """What the function makes of the inputs."""
        known = {"mask": mask, "training": training}
        return self.function(inputs, **self.arguments, **{name: known[name] for name in self._asks})

    def formula(self, unit: Unit) -> Expression | None:
        """The function's own statement, if it has one."""
        if self.arguments or "input" not in unit.arrays:
            return None
        return activated(self.function, unit, "input")

    def compute_mask(self, inputs: Arrays, mask: Any = None) -> Any:
        """The mask that was given, or what its function gives."""
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape that was given, or found by tracing the function."""
        if self._output_shape is None:
            return super().compute_output_shape(input_shape)
        if callable(self._output_shape):
            return self._output_shape(input_shape)
        rows = jax.tree.leaves(input_shape, is_leaf=lambda leaf: leaf is None)[0]
        return (rows, *self._output_shape)


def _function(given: Any) -> Callable[..., Any]:
    """A function, or the one of custom_objects that a configuration names."""
    config = cast(Mapping[str, Any], given) if isinstance(given, Mapping) else {}
    if config.get("class_name") == "__lambda__":
        raise ArgumentError(
            message(
                "a Lambda's function is code, and code is not read from files.",
                came='a configuration with class_name "__lambda__"',
                expected="the name of a function",
                mend="make the function with def, save again, and pass it in custom_objects when loading.",
            )
        )
    known = activations.CATALOGUE.entries
    if isinstance(given, str) and given in known:
        return known[given]
    found = deserialize(config) if config else FUNCTIONS.make(given)
    if not callable(found):
        raise ArgumentError(message("Lambda needs a function.", came=repr(given)))
    return found
