"""EinsumDense: a dense layer along any axes, said by an einsum equation."""

from __future__ import annotations

import functools
import itertools
import math
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from pellucid import activations, constraints, initializers, regularizers
from pellucid.arrays import Array, Shape, as_array
from pellucid.errors import ArgumentError, ShapeError, message
from pellucid.formula import Expression, Unit, total
from pellucid.layers.core import activated, activated_slope
from pellucid.layers.layer import CATALOGUE, Layer
from pellucid.variables import Variable


def specifications(equation: str) -> tuple[str, str, str]:
    """The letters of both factors of an einsum equation, and of its outcome.

    >>> specifications("abc,cd->abd")
    ('abc', 'cd', 'abd')
    """
    found = re.fullmatch(r"([a-zA-Z.]+),([a-zA-Z.]+)->([a-zA-Z.]+)", equation.replace(" ", ""))
    if found is None:
        raise ArgumentError(
            message(
                f"Invalid einsum equation '{equation}'.",
                expected="[X],[Y]->[Z], ...[X],[Y]->...[Z], or [X]...,[Y]->[Z]...",
            )
        )
    return found[1], found[2], found[3]


def products(
    letters: tuple[str, str, str],
    index: Sequence[int],
    sizes: Mapping[str, int],
    one: Callable[..., Expression],
    other: Callable[..., Expression],
) -> Iterator[Expression]:
    """The products that one number of the outcome is the sum of.

    Args:
        letters: of both factors, and of the outcome.
        index: which number of the outcome.
        sizes: how long the axis of each letter is.
        one, other: give a number of a factor at a place.
    """
    known = dict(zip(letters[2], index, strict=True))
    free = [letter for letter in dict.fromkeys(letters[0] + letters[1]) if letter not in known]
    for at in itertools.product(*(range(sizes[letter]) for letter in free)):
        place = {**known, **dict(zip(free, at, strict=True))}
        first, second = ([place[letter] for letter in each] for each in letters[:2])
        yield one(*first) * other(*second)


@CATALOGUE.entry()
class EinsumDense(Layer):
    """a = g(einsum(equation, x, kernel) + bias): a dense layer along any axes.

    Args:
        equation: letters for the axes of x, of the kernel and of z, those of the rows first:
            "abc,cd->abd" is `Dense` on sequences. "..." stands for axes that stay.
        output_shape: the sizes of z without the rows; None for those that x has, too.
        activation: a name or a function; None leaves a = z.
        bias_axes: the letters of the axes of z along which there is a bias for each place; None: no bias.
        kernel_initializer, bias_initializer: first values.
        kernel_regularizer, bias_regularizer: penalties added to the cost.
        kernel_constraint, bias_constraint: rules applied after each update.

    Example:
        >>> layer = EinsumDense("abc,cd->abd", (None, 2), bias_axes="d", kernel_initializer="ones")
        >>> layer([[[1.0, 2.0], [3.0, 4.0]]]).tolist()
        [[[3.0, 3.0], [7.0, 7.0]]]
    """

    rows_independent = supports_masking = True
    fixed = {"quantization_config": None}

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.equation, self.bias_axes = equation, bias_axes
        specifications(equation)
        self.partial_output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.kernel: Any = None
        self.bias: Any = None

    def _letters(self, rank: int) -> tuple[str, str, str]:
        """The letters, one for each axis, for inputs of this many axes."""
        one, other, outcome = specifications(self.equation)
        left = [letter for letter in string.ascii_letters if letter not in self.equation]
        more = rank - len(one.replace("...", ""))
        if more < 0 or (more > 0 and "..." not in one):
            raise ShapeError(
                message(
                    f"{self.describe()} takes other inputs.",
                    came=f"inputs of {rank} axes",
                    expected=f"the axes of its equation {self.equation}",
                )
            )
        spare = "".join(left[:more])
        return one.replace("...", spare), other, outcome.replace("...", spare)

    def _sizes(self, input_shape: Shape) -> tuple[tuple[str, str, str], dict[str, int | None]]:
        """The letters, and the size of the axis of each."""
        letters = self._letters(len(input_shape))
        sizes: dict[str, int | None] = dict(zip(letters[0], input_shape, strict=True))
        said = [letter for letter in letters[2][1:] if letter in self.equation]
        if len(said) != len(self.partial_output_shape):
            raise ShapeError(
                message(
                    f"output_shape of {self.describe()} has a size for each axis but that of the rows.",
                    came=self.partial_output_shape,
                    expected=f"sizes of {', '.join(said)}",
                )
            )
        for letter, size in zip(said, self.partial_output_shape, strict=True):
            if size is not None and sizes.setdefault(letter, size) not in (None, size):
                raise ShapeError(
                    message(
                        f"Input shape and output shape do not match at shared dimension '{letter}'.",
                        came=f"{sizes[letter]} and {size}",
                    )
                )
            sizes[letter] = sizes.get(letter) if size is None else size
        unknown = [letter for letter in letters[1] + (self.bias_axes or "") if sizes.get(letter) is None]
        if unknown:
            raise ShapeError(
                message(
                    f"the sizes of some axes of {self.describe()} are not known.",
                    came=f"no size for {', '.join(unknown)} in {self.equation}",
                    expected="a size in output_shape, or in the shape of the inputs",
                )
            )
        return letters, sizes

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        letters, sizes = self._sizes(input_shape)
        shape = [sizes[letter] or 0 for letter in letters[1]]
        given = math.prod(sizes[letter] or 0 for letter in letters[1] if letter not in letters[2])
        made = math.prod(sizes[letter] or 0 for letter in letters[1] if letter in letters[2])
        initializer: Any = self.kernel_initializer

        def as_matrix(shape: Sequence[int], dtype: Any = None) -> Any:
            # The scale follows from how many numbers are summed, and how many come out.
            return initializer((given, made), dtype=dtype).reshape(shape)

        scaled = isinstance(initializer, initializers.VarianceScaling)
        self.kernel = self.add_weight(
            shape,
            as_matrix if scaled else initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        if self.bias_axes is not None:
            self.bias = self.add_weight(
                [
                    sizes[each] or 0 if each in self.bias_axes else 1
                    for each in self._bias_letters(letters[2])
                ],
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def _bias_letters(self, outcome: str) -> str:
        """The letters of the axes of the bias: those of z from the first of `bias_axes` on."""
        axes = self.bias_axes or ""
        if not axes or any(letter not in outcome for letter in axes):
            raise ArgumentError(
                message(
                    "bias_axes are letters of the outputs.", came=repr(axes), expected=f"some of {outcome}"
                )
            )
        return outcome[min(outcome.index(letter) for letter in axes) :]

    def call(self, inputs: Array) -> Array:
        """z = einsum(x, kernel) + bias, a = g(z)."""
        z = jnp.einsum(self.equation, inputs, as_array(self.kernel.value))
        if self.bias is not None:
            z = z + as_array(self.bias.value)
        return self.activation(self.hand_out("z", z))

    def _of_a_row(self, unit: Unit, inputs: str, made: str) -> tuple[tuple[str, str, str], dict[str, int]]:
        """The letters without that of the rows, and their sizes."""
        letters = self._letters(unit.arrays[inputs].ndim)
        one, other, outcome = letters[0][1:], letters[1], letters[2][1:]
        sizes = dict(zip(other, self.kernel.shape, strict=True))
        for spec, what in ((one, inputs), (outcome, made)):
            sizes |= dict(zip(spec, unit.row(what).shape, strict=True))
        return (one, other, outcome), sizes

    def _bias_place(self, index: Sequence[int]) -> list[int]:
        own = index[len(index) - len(self.bias.shape) :]
        return [0 if size == 1 else at for at, size in zip(own, self.bias.shape, strict=True)]

    def outcome(self, unit: Unit, inputs: str = "input", made: str = "z") -> Expression:
        """Sum of x * kernel, + bias, where x and z go by these names."""
        letters, sizes = self._of_a_row(unit, inputs, made)
        number = functools.partial(unit.number, inputs)
        weight = functools.partial(unit.weight, self.kernel)
        terms = list(products(letters, unit.index, sizes, number, weight))
        if self.bias is not None:
            terms.append(unit.weight(self.bias, *self._bias_place(unit.index)))
        return total(terms)

    def way_back(self, unit: Unit, inputs: str = "input", made: str = "z") -> Expression:
        """dJ/dx: the sum of dJ/dz * kernel, where x and z go by these names."""
        (one, other, outcome), sizes = self._of_a_row(unit, inputs, made)
        slope = functools.partial(unit.gradient, made)
        weight = functools.partial(unit.weight, self.kernel)
        return total(products((outcome, other, one), unit.index, sizes, slope, weight))

    def formula(self, unit: Unit) -> Expression | None:
        """Sum of x * kernel, + bias; g(z)."""
        return activated(self.activation, unit, "z") if unit.what == "output" else self.outcome(unit)

    def backward(self, unit: Unit) -> Expression | None:
        """dJ/dz = dJ/da * g'(z); dJ/dx is the sum of dJ/dz * kernel."""
        return activated_slope(self.activation, unit, "z") if unit.what == "z" else self.way_back(unit)

    def gradient_terms(
        self, variable: Variable, index: tuple[int, ...], seen: Unit, slopes: Mapping[str, Any]
    ) -> list[Expression] | None:
        """x * dJ/dz for the kernel, dJ/dz for the bias, at all places that use them."""
        slope = slopes["z"]

        def at(*place: int) -> Expression:
            return seen.slope("z", slope[place], *place)

        if variable is self.bias:
            before = slope.ndim - len(index)
            own = zip(index, self.bias.shape, slope.shape[before:], strict=True)
            along = [range(count) if size == 1 else (at_,) for at_, size, count in own]
            return [at(*place) for place in itertools.product(*map(range, slope.shape[:before]), *along)]
        (one, other, outcome), sizes = self._of_a_row(seen, "input", "z")
        number = functools.partial(seen.number, "input")
        return list(products((one, outcome, other), index, sizes, number, at))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The sizes of the letters of z."""
        letters, sizes = self._sizes(tuple(input_shape))
        return tuple(sizes[letter] for letter in letters[2])
