"""The layers everything is made of: Input, Dense, Flatten, Reshape."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import activations, constraints, initializers, regularizers
from pellucid.arrays import Array, Arrays, Shape, as_array, floatx, known_data_format
from pellucid.errors import ArgumentError, ShapeError, message
from pellucid.formula import Expression, Number, Unit, total
from pellucid.graph import KerasTensor, Node
from pellucid.layers.layer import CATALOGUE, Layer, positive
from pellucid.variables import Variable

NumPy = np.ndarray[Any, Any]


@CATALOGUE.entry()
class InputLayer(Layer):
    """Where the rows come in: their shape and type.

    Args:
        shape: the shape of one row.
        batch_size: the number of rows, if it may be only this one.
        dtype: the type of the numbers.
        batch_shape: the shape of a batch, instead of `shape` and `batch_size`.
        input_tensor: a tensor that stands for the input, instead of a new one.
    """

    rows_independent = elementwise = supports_masking = True
    shown_when_opened = False
    unwritten = (*Layer.unwritten, "shape", "input_tensor")
    fixed = {"sparse": False, "ragged": False}

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "input_shape" in kwargs:
            warnings.warn("Argument `input_shape` is deprecated. Use `shape` instead.", stacklevel=2)
        if input_tensor is not None:
            _require_like(input_tensor, shape, batch_size, batch_shape, dtype, sparse)
            shape, batch_shape, dtype = None, input_tensor.shape, input_tensor.dtype
        dtype = str(dtype or floatx())
        super().__init__(dtype=dtype, name=name)
        if shape is None and batch_shape is None:
            shape = kwargs.get("input_shape")
        if shape is None and batch_shape is None:
            raise ShapeError(
                message("Input needs the shape of one row.", mend="say keras.Input(shape=(30,)).")
            )
        if shape is not None and batch_shape is not None:
            raise ArgumentError(
                message("You cannot pass both `shape` and `batch_shape` at the same time.", came="both")
            )
        if batch_size is not None and batch_shape is not None and input_tensor is None:
            raise ArgumentError(
                message("You cannot pass both `batch_size` and `batch_shape` at the same time.", came="both")
            )
        row = shape if isinstance(shape, tuple | list) or shape is None else (shape,)
        whole: Any = tuple(batch_shape) if batch_shape is not None else (batch_size, *(row or ()))
        for size in whole[1:]:
            if size is not None:
                positive("shape", size, "Input")
        self.batch_shape: Shape = tuple(whole)
        self.sparse, self.ragged, self.optional = bool(sparse), bool(ragged), optional
        self.declared_shape = self.batch_shape
        self.built = True
        if input_tensor is None:
            input_tensor = KerasTensor(self.batch_shape, dtype, name=self.name)
        Node(self, (), {}, input_tensor)

    def changed_arguments(self) -> dict[str, Any]:
        """The shape of a batch says what the other arguments said."""
        return {"name": self.name, "batch_shape": self.batch_shape, "dtype": str(self.dtype)}

    @property
    def shape(self) -> Shape:
        """The shape of a batch; the number of rows is None."""
        return self.batch_shape

    def call(self, inputs: Arrays) -> Arrays:
        """What comes in."""
        return inputs

    def formula(self, unit: Unit) -> Expression | None:
        """What comes in."""
        return unit.number("input", *unit.index)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of what comes in."""
        return input_shape


def _require_like(
    tensor: KerasTensor, shape: Any, batch_size: Any, batch_shape: Any, dtype: Any, sparse: Any
) -> None:
    """Raise ArgumentError if what is said beside `input_tensor` is not so of it."""
    if not isinstance(tensor, KerasTensor):
        raise ArgumentError(
            message("Argument `input_tensor` must be a KerasTensor.", came=type(tensor).__name__)
        )
    said = {
        "shape": (shape and tuple(shape), tensor.shape[1:]),
        "batch_size": (batch_size, tensor.shape[0]),
        "batch_shape": (batch_shape and tuple(batch_shape), tensor.shape),
        "dtype": (dtype and str(dtype), tensor.dtype),
        "sparse": (sparse, tensor.sparse),
    }
    for name, (given, own) in said.items():
        if given is not None and given != own:
            raise ArgumentError(
                message(
                    "When providing the `input_tensor` argument, you cannot provide an incompatible "
                    f"`{name}` argument.",
                    came=f"{name}={given}",
                    expected=own,
                )
            )


def Input(
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> KerasTensor:
    """The tensor that stands for the rows: the first entry of a `Sequential`, or what layers are called on.

    >>> Input(shape=(30,)).shape
    (None, 30)
    """
    layer = InputLayer(
        shape,
        batch_size,
        dtype,
        sparse,
        ragged,
        batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
    return layer.output


def activated(activation: Any, unit: Unit, what: str, **options: Any) -> Expression | None:
    """a = g(z), where z is what the layer was given or handed out under the name `what`."""
    if not unit.index:
        return activations.formula(activation, [unit.number(what)], 0, **options)
    *lead, j = unit.index
    row = [unit.number(what, *lead, each) for each in range(unit.row(what).shape[-1])]
    return activations.formula(activation, row, j, **options)


def activated_shape(activation: Any, shape: Shape) -> Shape:
    """The shape of a = g(z): another only where g gives fewer numbers than it takes, as "glu" does."""
    if not activations.mixes_row(activation) or shape[-1] is None:
        return shape
    row = jax.eval_shape(activation, jax.ShapeDtypeStruct((1, shape[-1]), floatx()))
    return (*shape[:-1], row.shape[-1])


def activated_slope(activation: Any, unit: Unit, what: str, **options: Any) -> Expression | None:
    """dJ/dz_j = sum_i dJ/da_i * da_i/dz_j; only a_j depends on z_j, if the row is not mixed."""
    if not unit.index:
        made = activations.slope(activation, [unit.number(what)], [unit.number("output")], 0, 0, **options)
        return None if made is None else unit.gradient("output") * made
    *lead, j = unit.index
    size = unit.row(what).shape[-1]
    row = [unit.number(what, *lead, each) for each in range(size)]
    outputs = unit.row("output").shape[-1]
    given = [unit.number("output", *lead, each) for each in range(outputs)]
    terms: list[Expression] = []
    for i in range(outputs) if activations.mixes_row(activation) else [j]:
        made = activations.slope(activation, row, given, i, j, **options)
        if made is None:
            return None
        terms.append(unit.gradient("output", *lead, i) * made)
    return total(terms)


@CATALOGUE.entry()
class Dense(Layer):
    """Every unit sums all inputs, each times its weight, and adds its bias: a = g(x W + b).

        z_j = sum_i x_i * kernel_ij + bias_j
        a_j = activation(z_j)

    One unit without activation is linear regression; one unit with "sigmoid" is logistic regression.

    Args:
        units: how many units, that is, numbers that come out for each row.
        activation: a name ("relu", "sigmoid", ...) or a function; None leaves a = z.
        use_bias: whether each unit has a bias.
        kernel_initializer, bias_initializer: first values.
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties added to the cost.
        kernel_constraint, bias_constraint: rules applied after each update.

    Shapes: (rows, ..., inputs) in, (rows, ..., units) out; kernel (inputs, units), bias (units,).

    Example:
        >>> layer = Dense(1, kernel_initializer="ones")
        >>> layer([[1.0, 2.0]]).tolist()
        [[3.0]]
    """

    rows_independent = supports_masking = True
    fixed = {"quantization_config": None}

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = positive("units", units, "Dense")
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.kernel: Any = None
        self.bias: Any = None

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ShapeError(
                message(
                    f"{self.describe()} needs rows of a known number of numbers.",
                    came=f"input of shape {input_shape}",
                    expected="(rows, numbers)",
                    mend="reshape x to (rows, 1) if each row is one number: x.reshape(-1, 1).",
                )
            )
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def call(self, inputs: Array) -> Array:
        """z = x W + b, a = g(z)."""
        z = jnp.matmul(inputs, as_array(self.kernel.value))
        if self.use_bias:
            z = z + as_array(self.bias.value)
        z = self.hand_out("z", z)
        return z if self.activation is None else self.activation(z)

    def formula(self, unit: Unit) -> Expression | None:
        """z_j = sum_i x_i * kernel_ij + bias_j; a_j = g(z_j)."""
        *lead, j = unit.index
        if unit.what == "output":
            return activated(self.activation, unit, "z")
        inputs = unit.row("input").shape[-1]
        terms: list[Any] = [
            unit.number("input", *lead, i) * unit.weight(self.kernel, i, j) for i in range(inputs)
        ]
        return total([*terms, unit.weight(self.bias, j)] if self.use_bias else terms)

    def backward(self, unit: Unit) -> Expression | None:
        """dJ/dz_j = dJ/da_j * g'(z_j); dJ/dx_i = sum_j dJ/dz_j * kernel_ij."""
        *lead, i = unit.index
        if unit.what == "z":
            return activated_slope(self.activation, unit, "z")
        return total(unit.gradient("z", *lead, j) * unit.weight(self.kernel, i, j) for j in range(self.units))

    def gradient_terms(
        self, variable: Variable, index: tuple[int, ...], seen: Unit, slopes: Mapping[str, Any]
    ) -> list[Expression] | None:
        """x_i * dJ/dz_j for kernel_ij, and dJ/dz_j for bias_j, at every place where the layer is used."""
        slope, j = slopes["z"], index[-1]
        terms: list[Expression] = []
        for lead in np.ndindex(*slope.shape[:-1]):
            d_z = seen.slope("z", slope[(*lead, j)], *lead, j)
            terms.append(seen.number("input", *lead, index[0]) * d_z if variable is self.kernel else d_z)
        return terms

    def check_input(self, inputs: Array) -> None:
        """The last axis must be as long as the kernel."""
        shape = self.kernel.shape
        self.expects_last(inputs, shape[0], f"this layer's weights were built as {shape}")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The last axis becomes `units`."""
        return activated_shape(self.activation, (*input_shape[:-1], self.units))

    def describe(self) -> str:
        """The layer in a few words."""
        return f'Dense "{self.name}", {self.units} unit{"s" if self.units != 1 else ""}'


@CATALOGUE.entry()
class Flatten(Layer):
    """Each row becomes flat: (rows, 28, 28) -> (rows, 784)."""

    rows_independent = True

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = known_data_format(data_format)

    def call(self, inputs: Array) -> Array:
        """The rows, flat."""
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = jnp.moveaxis(inputs, 1, -1)
        return inputs.reshape(inputs.shape[0], -1)

    def formula(self, unit: Unit) -> Expression | None:
        """The number that lies there."""
        return moved(self, unit)

    def backward(self, unit: Unit) -> Expression | None:
        """The gradient by the number where it lies now."""
        return moved_back(self, unit)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """All axes but the first, multiplied."""
        row = input_shape[1:]
        known = [size for size in row if size is not None]
        return (input_shape[0], math.prod(known) if len(known) == len(row) else None)


def places_after(layer: Layer, row: Sequence[int]) -> NumPy:
    """Which number of a row lies at each place of the outputs, counted through; -1 for zeros put in.

    Such a layer only moves numbers: called on a row of 1, 2, 3, ..., it says itself where each one goes.
    """
    counted = jnp.arange(1, math.prod(row) + 1, dtype="int32").reshape(1, *row)
    return np.asarray(layer.call(counted))[0] - 1


def moved(layer: Layer, unit: Unit) -> Expression:
    """The input that an output is, where numbers only change their places."""
    row = unit.row("input").shape
    place = int(places_after(layer, row)[unit.index])
    return Number(0.0) if place < 0 else unit.number("input", *_index(place, row))


def moved_back(layer: Layer, unit: Unit) -> Expression:
    """The gradient by an input, where numbers only change their places: that of all places it lies at."""
    row, outputs = unit.row("input").shape, unit.row("output").shape
    there = np.flatnonzero(places_after(layer, row).ravel() == np.ravel_multi_index(unit.index, row))
    return total(unit.gradient("output", *_index(int(place), outputs)) for place in there)


def _index(place: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(each) for each in np.unravel_index(place, shape))


@CATALOGUE.entry()
class Reshape(Layer):
    """Each row gets the shape `target_shape`; one size may be -1.

    >>> Reshape((2, -1))([[1.0, 2.0, 3.0, 4.0]]).shape
    (1, 2, 2)
    """

    rows_independent = True

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(int(size) for size in target_shape)
        if any(size < -1 for size in self.target_shape) or self.target_shape.count(-1) > 1:
            raise ArgumentError(
                message(
                    "Each size is a non-negative integer, or -1 for at most one unknown dimension. Received: "
                    f"target_shape={self.target_shape}",
                    expected="(2, -1)",
                )
            )

    def _row(self, size: int) -> tuple[int, ...]:
        known = math.prod(each for each in self.target_shape if each != -1)
        unknown = self.target_shape.count(-1)
        fits = size == known if unknown == 0 else unknown == 1 and known > 0 and size % known == 0
        if not fits:
            raise ShapeError(
                message(
                    f"{self.describe()} cannot reshape these rows.",
                    came=f"rows of {size} numbers",
                    expected=f"rows that fit into {self.target_shape}",
                )
            )
        return tuple(size // known if each == -1 else each for each in self.target_shape)

    def call(self, inputs: Array) -> Array:
        """The rows in their new shape."""
        return inputs.reshape(inputs.shape[0], *self._row(math.prod(inputs.shape[1:])))

    def formula(self, unit: Unit) -> Expression | None:
        """The number that lies there."""
        return moved(self, unit)

    def backward(self, unit: Unit) -> Expression | None:
        """The gradient by the number where it lies now."""
        return moved_back(self, unit)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The target shape, with -1 found."""
        row = input_shape[1:]
        known = [size for size in row if size is not None]
        if len(known) < len(row):
            return (input_shape[0], *(None if size == -1 else size for size in self.target_shape))
        return (input_shape[0], *self._row(math.prod(known)))
