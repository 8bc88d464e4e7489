"""Whole numbers become rows of a table; and times that do not count."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from pellucid import constraints, initializers, regularizers
from pellucid.arrays import Array, Shape, as_array
from pellucid.formula import Expression, Number, Unit
from pellucid.layers.layer import CATALOGUE, Layer, positive
from pellucid.variables import Variable


@CATALOGUE.entry()
class Embedding(Layer):
    """Each whole number stands for one row of a table that is learned: a word, a product, a day.

        output_tj = embeddings[input_t, j]

    Args:
        input_dim: how many numbers there are: the largest one plus 1.
        output_dim: how many numbers each stands for.
        embeddings_initializer: first values.
        embeddings_regularizer: a penalty added to the cost.
        embeddings_constraint: a rule applied after each update.
        mask_zero: whether 0 stands for nothing, and fills up sequences: recurrent layers then pass over
            such times.
        weights: first values, as an array or a list of one.

    Shapes: whole numbers (rows, ...) in, (rows, ..., output_dim) out; embeddings (input_dim, output_dim).

    Example:
        >>> Embedding(10, 4)([[1, 2, 0]]).shape
        (1, 3, 4)
    """

    rows_independent = True
    fixed = {"quantization_config": None}
    #: Its `input_dim` is not that of other layers, the size of rows.
    unwritten = (*(name for name in Layer.unwritten if name != "input_dim"), "weights")

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("input_length", None) is not None:
            warnings.warn("`input_length` is not needed, and will be an error one day.", stacklevel=2)
        super().__init__(**kwargs)
        self.input_dim = positive("input_dim", input_dim, "Embedding")
        self.output_dim = positive("output_dim", output_dim, "Embedding")
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = self.supports_masking = mask_zero
        self.autocast = False
        self.embeddings: Any = None
        if weights is not None:
            self.build_for(None)
            self.set_weights(weights if isinstance(weights, list) else [weights])

    def build(self, input_shape: Any = None) -> None:
        """Make the table."""
        self.embeddings = self.add_weight(
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
            name="embeddings",
        )

    def call(self, inputs: Array) -> Array:
        """The row of each number; NaN for numbers that are too large for the table."""
        return jnp.take(as_array(self.embeddings), inputs.astype("int32"), axis=0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True where there is another number than 0, if 0 stands for nothing."""
        return as_array(inputs) != 0 if self.mask_zero else None

    def formula(self, unit: Unit) -> Expression | None:
        """The number in the table."""
        *place, j = unit.index
        return unit.weight(self.embeddings, self._row(unit.row("input")[tuple(place)]), j)

    def _row(self, number: Any) -> int:
        """Which row a number stands for; those below 0 count from the end."""
        return int(number) % self.input_dim

    def gradient_terms(
        self, variable: Variable, index: tuple[int, ...], seen: Unit, slopes: Mapping[str, Any]
    ) -> list[Expression] | None:
        """The gradient by the output, at each place where the row's number stands."""
        row, j = index
        numbers = seen.row("input")
        return [
            seen.slope("output", slopes["output"][(*place, j)], *place, j)
            for place in np.ndindex(*numbers.shape)
            if self._row(numbers[place]) == row
        ]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """One more axis, of `output_dim`."""
        return (*input_shape, self.output_dim)


@CATALOGUE.entry()
class Masking(Layer):
    """Times at which all numbers are `mask_value` do not count: recurrent layers pass over them.

    Args:
        mask_value: the number that fills up sequences.

    Shapes: (rows, time, features) in, the same out, with zeros where nothing counts.

    Example:
        >>> Masking()([[[1.0, 0.0], [0.0, 0.0]]]).tolist()
        [[[1.0, 0.0], [0.0, 0.0]]]
    """

    rows_independent = True
    supports_masking = True

    def __init__(self, mask_value: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.built = True

    def call(self, inputs: Array) -> Array:
        """The inputs, and zeros where nothing counts."""
        return jnp.where(self.compute_mask(inputs)[..., None], inputs, 0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True at the times that count."""
        return jnp.any(inputs != jnp.asarray(self.mask_value, inputs.dtype), axis=-1)

    def _counts(self, unit: Unit) -> bool:
        value = np.asarray(self.mask_value, unit.arrays["input"].dtype)
        return bool((unit.row("input")[unit.index[:-1]] != value).any())

    def formula(self, unit: Unit) -> Expression | None:
        """What comes in, at times that count; else 0."""
        return unit.number("input", *unit.index) if self._counts(unit) else Number(0.0)

    def backward(self, unit: Unit) -> Expression | None:
        """The gradient by the output, at times that count; else 0."""
        return unit.gradient("output", *unit.index) if self._counts(unit) else Number(0.0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape
