"""The layer: a configuration, variables, and a pure call.

A layer of your own is written as in Keras: `build(input_shape)` adds weights, `call(inputs)`
computes. The same call runs by hand on an array, compiled inside `fit`, and opened.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import inspect
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import constraints, initializers, regularizers
from pellucid.arrays import Array, Arrays, Shape, as_array, floatx, is_float, sizes
from pellucid.errors import ArgumentError, ShapeError, StateError, message
from pellucid.formula import Expression, Unit, derivative, times
from pellucid.naming import Catalogue, Configurable, automatic_name, snake_case
from pellucid.variables import (
    Handed,
    SeedGenerator,
    Variable,
    current_scope,
    hand_out,
    pure,
    structure_changed,
)

CATALOGUE = Catalogue("layer")

#: The names of the layers that are being built, outermost first: the path of their variables.
_building: contextvars.ContextVar[tuple[str, ...] | None] = contextvars.ContextVar("building", default=None)


class Layer(Configurable):
    """The part that all layers share.

    Args:
        activity_regularizer: a penalty on the outputs, divided by the number of rows.
        trainable: whether gradient descent moves the weights.
        dtype: the type of weights and outputs; by default the default float.
        name: the name; by default `dense`, `dense_1`, ...
        input_shape: the shape of one row, for the first layer of a `Sequential`.
        input_dim: the same for rows that are flat: `input_shape=(input_dim,)`.

    Example, a layer of one's own:
        >>> class Scale(Layer):
        ...     def build(self, input_shape):
        ...         self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones")
        ...     def call(self, inputs):
        ...         return inputs * self.scale
        >>> Scale()([[1.0, 2.0]]).tolist()
        [[1.0, 2.0]]
    """

    namespace = "keras.layers"
    #: Whether each output row depends on its input row alone. A layer of your own may say so; the
    #: last, smaller batch is then filled up instead of being computed by a program of its own size.
    rows_independent: ClassVar[bool] = False
    #: Whether each output depends on the one input at its place.
    elementwise: ClassVar[bool] = False
    #: Whether an opened step shows it: models only hold the layers that are shown.
    shown_when_opened: ClassVar[bool] = True
    unwritten = (
        "activity_regularizer",
        "autocast",
        "input_shape",
        "input_dim",
        "batch_size",
        "batch_input_shape",
    )

    name: str
    built: bool

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs = self.without_fixed(kwargs)
        declared = kwargs.pop("input_shape", None)
        if (width := kwargs.pop("input_dim", None)) is not None:
            declared = (width,)
        rows = kwargs.pop("batch_size", None)
        batch_shape = kwargs.pop("batch_input_shape", None)
        if kwargs:
            raise ArgumentError(
                message(
                    f"Unrecognized keyword arguments passed to {type(self).__name__}.",
                    came=", ".join(f"{key}={value!r}" for key, value in kwargs.items()),
                    expected=", ".join(list(inspect.signature(type(self).__init__).parameters)[1:]),
                )
            )
        self.name = name or automatic_name(snake_case(type(self).__name__))
        if declared is not None:
            batch_shape = (rows, *(declared if isinstance(declared, tuple | list) else (declared,)))
        #: The shape of a batch that the user declared for this layer, or None.
        self.declared_shape: Shape | None = None if batch_shape is None else tuple(batch_shape)
        #: The shape of a batch that the layer was built for, or None.
        self.input_shape: Any = None
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.autocast = autocast
        self.dtype = str(dtype) if isinstance(dtype, str) else floatx() if dtype is None else str(dtype)
        self.built = False
        #: Where the layer stands in its model, for messages: "layer 2", "layer 1 (Dense ...)".
        self.place: tuple[str, str] | None = None
        self._trainable = bool(trainable)
        self._added: list[Variable] = []

    # What a layer of one's own overrides.

    def build(self, input_shape: Any) -> None:
        """Make the weights, for batches of this shape (the number of rows is None)."""

    def call(self, inputs: Arrays, *args: Any, **kwargs: Any) -> Arrays:
        """The outputs. Takes `training` as well, if it behaves differently while training."""
        raise NotImplementedError(f"{type(self).__name__} has no call().")

    def hand_out(self, name: str, value: Array, drawn: bool = False, shared: bool = False) -> Array:
        """Hand out a value on the way of `call`, and give the value to go on with.

        `z = self.hand_out("z", z)` says where z is: an opened step then shows it and its gradient.

        Args:
            name: what it is.
            value: an array.
            drawn: whether it was drawn at random, as masks are. It is then the same when the call is
                done again to check it.
            shared: whether it is for the whole batch, such as a mean over it, rather than for each row.
        """
        return hand_out(name, value, drawn, shared)

    def formula(self, unit: Unit) -> Expression | None:
        """The arithmetic of one number of this layer, "z" or "output"; None if it states none."""
        return None

    def backward(self, unit: Unit) -> Expression | None:
        """The arithmetic of the gradient of the cost by one number: by "z", or by the layer's "input".

        Where each output depends on the one input at its place, it follows from `formula`. None if
        the layer states none.
        """
        if not self.elementwise or unit.what != "input":
            return None
        made = self.formula(replace(unit, what="output"))
        if made is None:
            return None
        slope = derivative(made, unit.number("input", *unit.index).name)
        return times(unit.gradient("output", *unit.index), slope)

    def gradient_terms(
        self, variable: Variable, index: tuple[int, ...], seen: Unit, slopes: Mapping[str, Any]
    ) -> list[Expression] | None:
        """What one example adds to the gradient of a weight, as products; None if it states none.

        Args:
            variable, index: which weight.
            seen: what the layer computed for the example.
            slopes: the gradients of the example's loss by what was handed out: "z", "output".
        """
        return None

    # Calling.

    def __call__(self, inputs: Arrays, *args: Any, training: bool | None = None, **kwargs: Any) -> Arrays:
        """Build the layer if it is not, and compute its outputs for a batch."""
        inputs = jax.tree.map(self._convert, inputs, is_leaf=_is_leaf)
        if not self.built:
            self.build_for(jax.tree.map(lambda array: (None, *array.shape[1:]), inputs))
        self.check_input(inputs)
        scope = current_scope()
        if training is None and scope is not None:
            training = scope.training
        if takes_training(type(self).call):
            kwargs["training"] = bool(training)
        # The layers that this one calls train when it does.
        before = scope.training if scope is not None else None
        if scope is not None:
            scope.training = training
        handed = scope.handed if scope is not None else None
        try:
            with self._naming():
                if handed is None:
                    outputs = self.call(inputs, *args, **kwargs)
                else:
                    with handed.calling(self) as name:
                        outputs = self._handed_call(handed, name, inputs, *args, **kwargs)
        except (TypeError, ValueError) as error:
            if "__jax_array__" not in str(error):
                raise
            raise ArgumentError(
                message(
                    f"{self.describe()} gives a variable to a function of JAX, which takes arrays only.",
                    expected="an operator, such as x @ self.w, or the variable's value",
                    mend="write jnp.matmul(x, self.w.value) for jnp.matmul(x, self.w).",
                )
            ) from error
        finally:
            if scope is not None:
                scope.training = before
        if self.activity_regularizer is not None and scope is not None:
            for output in jax.tree.leaves(outputs):
                scope.losses.append(self.activity_regularizer(output) / output.shape[0])
        return outputs

    def _handed_call(self, handed: Handed, name: str, inputs: Arrays, *args: Any, **kwargs: Any) -> Arrays:
        """The same call, whose inputs and outputs are handed out."""
        if not name:
            return self.call(inputs, *args, **kwargs)
        one = len(jax.tree.leaves(inputs)) == 1
        for number, each in enumerate(jax.tree.leaves(inputs)):
            handed.values[f"{name}.input" if one else f"{name}.input_{number}"] = each
        outputs = self.call(inputs, *args, **kwargs)
        leaves, structure = jax.tree.flatten(jax.tree.map(as_array, outputs))
        what = [f"{name}.output" if len(leaves) == 1 else f"{name}.output_{n}" for n in range(len(leaves))]
        return jax.tree.unflatten(
            structure, [handed.take(key, leaf) for key, leaf in zip(what, leaves, strict=True)]
        )

    def _convert(self, value: Any) -> Array:
        if isinstance(value, Layer):
            raise ArgumentError(
                message(
                    f"{self.describe()} was called on a layer: such models are not supported yet.",
                    came=repr(value),
                    expected="an array",
                    mend="keras.Sequential([keras.Input(shape=...), ...]), or a Model with its own call().",
                )
            )
        array = as_array(value)
        scope = current_scope()
        dtype = self.dtype if scope is None or scope.dtype is None else scope.dtype
        return array.astype(dtype) if self.autocast and is_float(array.dtype) else array

    def check_input(self, inputs: Arrays) -> None:
        """Raise ShapeError if the layer was built for other rows."""

    def expects_last(self, inputs: Arrays, size: int, weights: str) -> None:
        """Raise ShapeError if the rows do not end in an axis of this size."""
        came = tuple(inputs.shape)
        if came and came[-1] == size:
            return
        place, before = self.place or ("this layer", "")
        origin = f", from {before}" if before else ""
        raise ShapeError(
            message(
                f"{place} ({self.describe()}) expects rows of {size} numbers, and got "
                f"{'a single number' if len(came) < 2 else f'rows of {came[-1]}'}.",
                came=f"x of shape {came}{origin}",
                expected=f"({', '.join(str(each) for each in (*came[:-1], size))}), because {weights}",
                mend=f"give it rows of {size} numbers, or build the model again after changing it.",
            )
        )

    def describe(self) -> str:
        """The layer in a few words, for messages."""
        return f'{type(self).__name__} "{self.name}"'

    def build_for(self, input_shape: Any) -> None:
        """Build the layer under its own name, once."""
        if self.built:
            return
        with self._naming():
            self.build(input_shape)
        self.input_shape = input_shape
        self.built = True

    @contextlib.contextmanager
    def _naming(self) -> Generator[None]:
        """Put this layer's name before the paths of the weights that are made within.

        The name of a whole model would only lengthen the paths: "dense/kernel".
        """
        outer = _building.get()
        whole = outer is None and not self.shown_when_opened
        token = _building.set(() if whole else (*(outer or ()), self.name))
        try:
            yield
        finally:
            _building.reset(token)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the outputs for inputs of this shape, found by tracing the call."""
        is_shape = _is_shape
        specs = jax.tree.map(
            lambda shape: jax.ShapeDtypeStruct(sizes(shape), self.dtype), input_shape, is_leaf=is_shape
        )
        variables = self.variables
        call = pure(lambda inputs: self(inputs, training=False), variables)
        values = [jax.ShapeDtypeStruct(variable.shape, variable.dtype) for variable in variables]
        outputs = jax.eval_shape(lambda values, inputs: call(values, inputs)[0], values, specs)
        return jax.tree.map(lambda output: (None, *output.shape[1:]), outputs)

    # Variables.

    def add_weight(
        self,
        shape: Sequence[int] | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> Variable:
        """Add a variable: glorot_uniform for floats, zeros otherwise, if no initializer is given."""
        if isinstance(shape, str) and initializer is None:
            raise ArgumentError(
                message("add_weight takes the shape first.", came=shape, expected="shape=(...)")
            )
        shape = tuple(int(size) for size in (shape or ()))
        dtype = dtype or self.dtype
        dtype = {"int": "int32", "float": floatx(), "bool": "bool"}.get(str(dtype), dtype)
        if initializer is None:
            initializer = "glorot_uniform" if is_float(dtype) else "zeros"
        name = name or f"variable_{len(self._added)}" if self._added else name or "variable"
        names = _building.get() or ()
        if not names or names[-1] != self.name:
            names = (*names, self.name)
        variable = Variable(
            initializers.get(initializer),
            shape,
            dtype,
            trainable,
            name=name,
            path="/".join((*names, name)),
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        self._added.append(variable)
        return variable

    def add_loss(self, loss: Any) -> None:
        """Add a number to the cost of the batch that is being computed."""
        scope = current_scope()
        if scope is not None:
            for each in jax.tree.leaves(loss):
                scope.losses.append(jnp.sum(as_array(each)))

    def _held(self) -> Iterator[Any]:
        """The variables, seed generators and layers that this layer holds, in the order it got them."""
        seen: set[int] = set()

        def walk(value: Any) -> Iterator[Any]:
            if isinstance(value, Variable | SeedGenerator | Layer):
                if id(value) not in seen:
                    seen.add(id(value))
                    yield value
            elif isinstance(value, list | tuple):
                for item in cast(Sequence[Any], value):
                    yield from walk(item)
            elif isinstance(value, dict):
                for item in cast(dict[Any, Any], value).values():
                    yield from walk(item)

        yield from walk(self._added)
        for name, value in vars(self).items():
            if name not in ("_added", "_arguments"):
                yield from walk(value)

    @property
    def sublayers(self) -> list[Layer]:
        """The layers that this layer holds."""
        return [item for item in self._held() if isinstance(item, Layer)]

    def _own(self) -> list[Variable]:
        return [item for item in self._held() if isinstance(item, Variable)]

    @property
    def weights(self) -> list[Variable]:
        """All weights, those that training does not move included, but not the random seeds."""
        nested = [variable for layer in self.sublayers for variable in layer.weights]
        return _once([*self._own(), *nested])

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that gradient descent moves."""
        if not self.trainable:
            return []
        own = [variable for variable in self._own() if variable.trainable]
        nested = [variable for layer in self.sublayers for variable in layer.trainable_weights]
        return _once([*own, *nested])

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that gradient descent does not move."""
        moved = set(self.trainable_weights)
        return [variable for variable in self.weights if variable not in moved]

    @property
    def variables(self) -> list[Variable]:
        """All variables: the weights and the positions of the random seeds."""
        seeds = [item.state for item in self._held() if isinstance(item, SeedGenerator)]
        nested = [variable for layer in self.sublayers for variable in layer.variables]
        return _once([*self._own(), *seeds, *nested])

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """All variables that gradient descent does not move."""
        moved = set(self.trainable_weights)
        return [variable for variable in self.variables if variable not in moved]

    @property
    def trainable(self) -> bool:
        """Whether gradient descent moves the weights. A compiled model must be compiled again."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        structure_changed()
        for layer in self.sublayers:
            layer.trainable = value

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """NumPy copies of all weights."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all weights, in the order of `get_weights`. Nothing is set if one does not fit."""
        variables = self.weights
        if len(weights) != len(variables):
            raise ShapeError(
                message(
                    f"{self.describe()} has {len(variables)} weight arrays.",
                    came=f"a list of {len(weights)} arrays",
                    expected=", ".join(f"{each.path} {each.shape}" for each in variables) or "none",
                    mend="build the model before set_weights." if not variables else "",
                )
            )
        arrays = [np.asarray(value) for value in weights]
        for variable, array in zip(variables, arrays, strict=True):
            if tuple(array.shape) != variable.shape:
                raise ShapeError(
                    message(
                        f'weight "{variable.path}" does not fit.',
                        came=f"an array of shape {tuple(array.shape)}",
                        expected=f"shape {variable.shape}",
                    )
                )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def save_own_variables(self, store: dict[str, Any]) -> None:
        """Put the layer's own weights, without those of layers within it, into the dict of a file."""
        for number, variable in enumerate(self._stored()):
            store[str(number)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take the layer's own weights from the dict of a file. None is taken if one does not fit."""
        variables = self._stored()
        if len(store) != len(variables):
            raise ShapeError(
                message(
                    f"{self.describe()} expected {len(variables)} variables, "
                    f"but received {len(store)} variables during loading.",
                    expected=", ".join(f"{each.name} {each.shape}" for each in variables) or "none",
                )
            )
        for number, variable in enumerate(variables):
            if (came := tuple(store[str(number)].shape)) != variable.shape:
                raise ShapeError(
                    message(
                        f'weight "{variable.path}" does not fit.',
                        came=f"an array of shape {came}",
                        expected=f"shape {variable.shape}",
                    )
                )
        for number, variable in enumerate(variables):
            variable.assign(store[str(number)])

    def _stored(self) -> list[Variable]:
        """The layer's own variables as Keras's files have them: those that can be trained come first."""
        return sorted(self._own(), key=lambda variable: not variable.trainable)

    def count_params(self) -> int:
        """How many numbers the weights hold."""
        if not self.built:
            raise StateError(
                message(f"{self.describe()} has no weights yet.", mend="build it, or call it on data, first.")
            )
        return sum(variable.size for variable in self.weights)

    def mixes_rows(self, training: bool) -> bool:
        """Whether an output row may depend on other rows of the batch."""
        if self.activity_regularizer is not None:
            return True  # the penalty is divided by the number of rows
        if declares(self, "rows_independent"):
            return any(layer.mixes_rows(training) for layer in self.sublayers)
        return True

    def changed_arguments(self) -> dict[str, Any]:
        """What every layer writes; whether it is trainable may have been set since."""
        changed = {
            **super().changed_arguments(),
            "trainable": self._trainable,
            "dtype": self._written_dtype(),
        }
        if self.activity_regularizer is not None:
            changed["activity_regularizer"] = self.activity_regularizer
        return changed

    def _written_dtype(self) -> Any:
        """The type of weights and outputs, as Keras writes that of layers."""
        policy = {"name": str(self.dtype)}
        return {"module": "keras", "class_name": "DTypePolicy", "config": policy, "registered_name": None}

    def get_build_config(self) -> dict[str, Any] | None:
        """The shape that the layer was built for; None if it was not."""
        if not self.built or self.input_shape is None or type(self).build is Layer.build:
            return None
        return {"input_shape": self.input_shape}

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Build the layer from what `get_build_config` gave."""
        if (shape := config.get("input_shape")) is not None:
            self.build_for(_as_shapes(shape))

    def __repr__(self) -> str:
        return f"<{self.describe()}{'' if self.built else ', not built'}>"


@functools.cache
def takes_training(call: Callable[..., Any]) -> bool:
    """Whether a layer's call behaves differently while training, and so asks."""
    return "training" in inspect.signature(call).parameters


def declares(thing: Any, flag: str) -> bool:
    """Whether a class says so itself: a user's subclass of one of ours does not inherit it."""
    kind = type(thing)
    return bool(getattr(kind, flag, False)) and (
        kind.__module__.startswith("pellucid.") or flag in vars(kind) or flag in vars(thing)
    )


def _once(variables: Sequence[Variable]) -> list[Variable]:
    return list(dict.fromkeys(variables))


def _is_shape(value: Any) -> bool:
    if not isinstance(value, tuple | list):
        return False
    entries = cast(Sequence[Any], value)
    return all(size is None or isinstance(size, int | np.integer) for size in entries)


def _as_shapes(value: Any) -> Any:
    """Shapes as configurations hold them, in lists, as tuples again."""
    if isinstance(value, Mapping):
        return {name: _as_shapes(each) for name, each in cast(Mapping[str, Any], value).items()}
    return tuple(cast(Sequence[Any], value)) if _is_shape(value) else [_as_shapes(each) for each in value]


def _is_leaf(value: Any) -> bool:
    """Lists of plain numbers are arrays; lists of arrays are several inputs."""
    if not isinstance(value, list | tuple):
        return isinstance(value, Variable)
    entries = cast(Sequence[Any], value)
    return bool(entries) and not any(hasattr(item, "shape") for item in entries)


def positive(name: str, value: Any, layer: str) -> int:
    """A whole number above zero, or ArgumentError."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if isinstance(value, bool) or number != value or number <= 0:
        raise ArgumentError(
            message(
                f"Received an invalid value for `{name}` of {layer}, expected a positive integer.",
                came=repr(value),
                expected="a whole number, 1 or more",
            )
        )
    return number
