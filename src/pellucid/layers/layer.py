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

from pellucid import constraints, dtype_policies, initializers, regularizers
from pellucid.arrays import Array, Arrays, Shape, as_array, exact_products, floatx, is_float
from pellucid.errors import ArgumentError, KindError, ShapeError, StateError, message
from pellucid.formula import Expression, Unit, derivative, times
from pellucid.graph import KerasTensor, Node, any_symbols, symbols, traced_outputs
from pellucid.layers.input_spec import require_input
from pellucid.masks import mask_of, with_mask
from pellucid.naming import Catalogue, Configurable, automatic_name, is_ours, snake_case
from pellucid.variables import (
    Handed,
    SeedGenerator,
    Variable,
    current_scope,
    hand_out,
    pure,
    structure_changed,
    weights_cast,
)

CATALOGUE = Catalogue("layer")

#: The names of the layers that are being built, outermost first: the path of their variables.
_building: contextvars.ContextVar[tuple[str, ...] | None] = contextvars.ContextVar("building", default=None)


class Layer(Configurable):
    """The part that all layers share.

    Args:
        activity_regularizer: a penalty on the outputs, divided by the number of rows.
        trainable: whether gradient descent moves the weights.
        dtype: the type of weights and outputs, or a dtype policy ("mixed_bfloat16"); by default the
            default float.
        autocast: whether floats that come in are turned into that type.
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
    #: What it hands out and states the arithmetic of, forth and back; of its output it does so anyway.
    stated: ClassVar[tuple[str, ...]] = ("z",)
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
    #: Whether a mask that comes with the inputs goes on with the outputs (see `compute_mask`).
    supports_masking: bool = False
    #: What inputs must be like: an `InputSpec`, or one for each input.
    input_spec: Any = None

    name: str
    built: bool

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = _named_build(cls.build)

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
        self.dtype_policy = dtype_policies.get(dtype)
        #: The shapes that `build` was given, by the names of its arguments.
        self._build_shapes: dict[str, Any] = {}
        #: Whether the weights are there. Layers of ours that have none are built from the start.
        self.built = type(self).build is Layer.build and is_ours(type(self))
        #: Where the layer stands in its model, for messages: "layer 2", "layer 1 (Dense ...)".
        self.place: tuple[str, str] | None = None
        self._trainable = bool(trainable)
        self._added: list[Variable] = []
        #: What `add_loss` was given in the last call by hand.
        self._losses: list[Any] = []
        #: The calls on symbolic tensors.
        self._inbound_nodes: list[Node] = []

    @property
    def dtype(self) -> str:
        """The type of the weights."""
        return self.dtype_policy.variable_dtype

    @property
    def variable_dtype(self) -> str:
        """The type of the weights."""
        return self.dtype_policy.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The type that the layer computes in: its own, but float64 where gradients are checked."""
        scope, own = current_scope(), self.dtype_policy.compute_dtype
        return own if scope is None or scope.dtype is None or not is_float(own) else scope.dtype

    @property
    def path(self) -> str:
        """The layer's name, as it begins the paths of its weights."""
        return self.name

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
        """The arithmetic of one number of this layer, one of `stated`; None if it states none."""
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

    def stated_for(self) -> list[Variable]:
        """The variables for which `gradient_terms` is asked: those that the layer holds itself."""
        return self._own()

    # Calling.

    def __call__(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Build the layer if it is not, and compute its outputs for a batch.

        Called on symbolic tensors (`keras.Input`), it takes its place in their graph.
        """
        if "_inbound_nodes" not in vars(self):
            raise StateError(
                message(
                    f"In layer {type(self).__name__}, you forgot to call super().__init__().",
                    mend="make it the first line of __init__: super().__init__(**kwargs).",
                )
            )
        if any_symbols(args, kwargs):
            return self._symbolic_call(args, kwargs, training)
        args, kwargs = self._converted(args, kwargs)
        given = self._arguments_of_call(args, kwargs)
        inputs = next(iter(given.values()), None)
        require_input(self.input_spec, inputs, self.name)
        if not self._is_ready():
            self._build_for_arguments(given)
        self.check_input(cast(Any, inputs))
        scope = current_scope()
        if training is None and scope is not None:
            training = scope.training
        if takes(type(self).call, "training"):
            kwargs["training"] = bool(training)
        self._fill_masks(given, args, kwargs)
        masks = jax.tree.map(mask_of, inputs)
        # The layers that this one calls train when it does.
        before = scope.training if scope is not None else None
        if scope is not None:
            scope.training = training
        elif _building.get() is None:
            self._forget_losses()
        handed = scope.handed if scope is not None else None
        try:
            with self._naming(), weights_cast(self._weights_type()), exact_products():
                if handed is None:
                    outputs = self.call(*args, **kwargs)
                else:
                    with handed.calling(self) as name:
                        outputs = self._handed_call(handed, name, inputs, args, kwargs)
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
        if self.activity_regularizer is not None:
            for output in jax.tree.leaves(outputs):
                self.add_loss(self.activity_regularizer(output) / output.shape[0])
        return self._pass_masks(inputs, outputs, masks)

    def _symbolic_call(self, args: tuple[Any, ...], kwargs: dict[str, Any], training: bool | None) -> Any:
        """Take a place in the graph of the tensors among the arguments; gives the tensors that come out."""
        given = self._arguments_of_call(args, kwargs)
        require_input(self.input_spec, next(iter(given.values()), None), self.name)
        if not self._is_ready():
            self._build_for_arguments(given)
        elif given and symbols(first := next(iter(given.values()))):
            self.check_input(first)
        outputs = self.compute_output_spec(*args, **kwargs)
        if training is not None and takes(type(self).call, "training"):
            kwargs = {**kwargs, "training": training}
        Node(self, args, kwargs, outputs)
        return outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The tensors that come out for symbolic tensors: their shapes and types.

        They follow from `compute_output_shape` where a layer has one, and from tracing the call
        otherwise.
        """
        if type(self).compute_output_shape is Layer.compute_output_shape:
            return self._traced_spec(args, kwargs)
        given = {
            name: jax.tree.map(_shape_of, each)
            for name, each in self._arguments_of_call(args, kwargs).items()
        }
        wanted = list(inspect.signature(self.compute_output_shape).parameters)
        by_name = {f"{name}_shape": shape for name, shape in given.items() if f"{name}_shape" in wanted}
        if len(given) > 1 and len(by_name) > 1:
            shapes = self.compute_output_shape(**by_name)
        else:
            shapes = self.compute_output_shape(next(iter(given.values())))
        return jax.tree.map(lambda shape: KerasTensor(shape, self.compute_dtype), shapes, is_leaf=is_shape)

    def _traced_spec(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        variables = self.variables
        values = tuple(variable.value for variable in variables)

        def call(*args: Any, **kwargs: Any) -> Any:
            return pure(lambda: self(*args, training=False, **kwargs), variables)(values)[0]

        return traced_outputs(call, args, kwargs)

    def _converted(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The arguments of a call, arrays in the layer's type; the first may be a list of numbers."""
        if args:
            first = jax.tree.map(self._convert, args[0], is_leaf=_is_leaf)
            args = (first, *jax.tree.map(self._convert_array, args[1:]))
        return args, jax.tree.map(self._convert_array, kwargs)

    def _arguments_of_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments that hold arrays or tensors, by their names in `call`."""
        given: dict[str, Any] = {}
        names = parameters_of(type(self).call)
        named = dict(zip(names, args, strict=False)) if len(names) >= len(args) else {"inputs": args[0]}
        for name, value in {**named, **kwargs}.items():
            leaves = jax.tree.leaves(value)
            if leaves and all(hasattr(leaf, "shape") for leaf in leaves) and not name.endswith("mask"):
                given[name] = value
        # In the order of `call`, whichever was given by name.
        return {name: given[name] for name in (*names, *given) if name in given}

    def _build_for_arguments(self, given: dict[str, Any]) -> None:
        """Build for the shapes of a call's arguments; several are told by name: `query_shape`, ..."""
        shapes = {f"{name}_shape": jax.tree.map(_batch_shape, each) for name, each in given.items()}
        wanted = parameters_of(type(self).build)
        by_name = {name: shapes[name] for name in wanted if name in shapes}
        if len(wanted) > 1 and by_name:
            first = next(iter(by_name))
            self.build_for(by_name.pop(first), **by_name)
        else:
            self.build_for(next(iter(shapes.values()), None))

    def _fill_masks(self, given: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Give `call` the masks that travel with its arguments, if it asks for them and was given none."""
        by_place = parameters_of(type(self).call)[: len(args)]
        names = ["mask"] if len(given) == 1 else [f"{name}_mask" for name in given]
        for name, value in zip(names, given.values(), strict=True):
            asked = takes(type(self).call, name) and name not in by_place
            if asked and kwargs.get(name) is None:
                kwargs[name] = jax.tree.map(mask_of, value)

    def _pass_masks(self, inputs: Any, outputs: Any, masks: Any) -> Any:
        """Let the mask of the inputs go on with the outputs, as the layer says."""
        leaves = jax.tree.leaves(outputs)
        computes = type(self).compute_mask is not Layer.compute_mask
        if not (self.supports_masking or computes) or all(mask_of(leaf) is not None for leaf in leaves):
            return outputs
        if masks is None and not computes:
            return outputs
        found = self.compute_mask(inputs, masks)
        for leaf, mask in zip(leaves, jax.tree.leaves(found, is_leaf=_is_none), strict=False):
            if mask is not None and mask_of(leaf) is None:
                with_mask(leaf, mask)
        return outputs

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the outputs, by that of the inputs."""
        return mask

    def _weights_type(self) -> str | None:
        """The type that the weights are read in, if it is not their own."""
        scope = current_scope()
        if scope is not None and scope.dtype is not None:
            return None
        policy = self.dtype_policy
        mixed = policy.compute_dtype != policy.variable_dtype and self.autocast
        return policy.compute_dtype if mixed else None

    def _handed_call(
        self, handed: Handed, name: str, inputs: Arrays, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arrays:
        """The same call, whose inputs and outputs are handed out."""
        if not self.shown_when_opened:
            return self.call(*args, **kwargs)
        handed.given_to(name, jax.tree.leaves(inputs))
        outputs = self.call(*args, **kwargs)
        leaves, structure = jax.tree.flatten(jax.tree.map(as_array, outputs))
        what = [f"{name}.output" if len(leaves) == 1 else f"{name}.output_{n}" for n in range(len(leaves))]
        told = [
            with_mask(handed.take(key, leaf), mask_of(leaf)) for key, leaf in zip(what, leaves, strict=True)
        ]
        handed.came_from(name, told)
        return jax.tree.unflatten(structure, told)

    def _convert(self, value: Any) -> Any:
        if isinstance(value, Layer):
            raise ArgumentError(
                message(
                    f"{self.describe()} was called on a layer.",
                    came=repr(value),
                    expected="an array, or what a layer gave for keras.Input(shape=...)",
                    mend="call the layer on its input first: Dense(1)(Dense(8)(inputs)).",
                )
            )
        if isinstance(value, list | tuple):
            value = np.asarray(value)
        return self._convert_array(value if _is_text(value) else as_array(value))

    def _convert_array(self, value: Any) -> Any:
        """An array in the type that the layer computes in, with its mask; anything else as it is."""
        if isinstance(value, np.ndarray | np.generic | Variable) and not _is_text(value):
            value = as_array(value)
        if not isinstance(value, jax.Array) or not self.autocast or not is_float(value.dtype):
            return value
        dtype = self.compute_dtype
        if value.dtype == dtype or not is_float(dtype):
            return value
        return with_mask(value.astype(dtype), mask_of(value))

    def check_input(self, inputs: Arrays) -> None:
        """Raise ShapeError if the layer was built for other rows."""

    def expects_last(self, inputs: Arrays, size: int, weights: str) -> None:
        """Raise ShapeError if the rows do not end in an axis of this size."""
        came = tuple(inputs.shape)
        if came and came[-1] in (size, None):
            return  # an axis of unknown size may turn out to be of this
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

    def _is_ready(self) -> bool:
        """Whether the layer is built; one without weights must also have seen the shape of its input."""
        return self.built and (self.input_shape is not None or type(self).build is not Layer.build)

    def build_for(self, input_shape: Any, **more_shapes: Any) -> None:
        """Build the layer under its own name, once."""
        if self._is_ready():
            return
        self.build(input_shape, **more_shapes)
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
        given = jax.tree.map(
            lambda shape: KerasTensor(shape, self.compute_dtype), input_shape, is_leaf=is_shape
        )
        return jax.tree.map(_shape_of, self._traced_spec((given,), {}))

    # What the graph knows of the layer.

    @property
    def input(self) -> Any:
        """The symbolic tensors that the layer was called on first."""
        node = self._first_node()
        return node.args[0] if node.args else node.inputs[0]

    @property
    def output(self) -> Any:
        """The symbolic tensors that came out of its first call."""
        outputs = self._first_node().outputs
        return outputs[0] if len(outputs) == 1 else outputs

    def _first_node(self) -> Node:
        if not self._inbound_nodes:
            raise StateError(
                message(
                    f"The layer {self.name} has never been called and thus has no defined input.",
                    mend="call it on keras.Input(shape=...), or build the Sequential it is in.",
                )
            )
        return self._inbound_nodes[0]

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
            autocast=autocast,
        )
        self._added.append(variable)
        return variable

    def add_variable(self, *args: Any, **kwargs: Any) -> Variable:
        """The same as `add_weight`."""
        return self.add_weight(*args, **kwargs)

    def add_loss(self, loss: Any) -> None:
        """Add a number to the cost of the batch that is being computed."""
        scope = current_scope()
        kept = self._losses if scope is None else scope.losses
        for each in jax.tree.leaves(loss):
            kept.append(jnp.sum(as_array(each)))

    @property
    def losses(self) -> list[Any]:
        """What penalties on weights add to the cost, and `add_loss` in the last call by hand."""
        penalties = [
            variable.regularizer(variable.value)
            for variable in self.trainable_weights
            if variable.regularizer is not None
        ]
        return [*self._added_losses(), *penalties]

    def _added_losses(self) -> list[Any]:
        return [*self._losses, *(loss for layer in self.sublayers for loss in layer._added_losses())]

    def _forget_losses(self) -> None:
        self._losses = []
        for layer in self.sublayers:
            layer._forget_losses()

    def _held(self) -> Iterator[Any]:
        """The variables, seed generators and layers that this layer holds, in the order it got them."""
        seen: set[int] = set()
        around: list[int] = []

        def walk(value: Any) -> Iterator[Any]:
            if isinstance(value, Variable | SeedGenerator | Layer):
                if id(value) not in seen:
                    seen.add(id(value))
                    yield value
            elif isinstance(value, list | tuple):
                if id(cast(Any, value)) in around:
                    return  # a list that holds itself
                around.append(id(cast(Any, value)))
                for item in cast(Sequence[Any], value):
                    yield from walk(item)
                around.pop()
            elif isinstance(value, dict):
                for item in cast(dict[Any, Any], value).values():
                    yield from walk(item)

        yield from walk(self._added)
        for name, value in vars(self).items():
            if name not in ("_added", "_arguments", "_inbound_nodes"):
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
            "dtype": self.dtype_policy,
        }
        if self.activity_regularizer is not None:
            changed["activity_regularizer"] = self.activity_regularizer
        return changed

    def get_build_config(self) -> dict[str, Any] | None:
        """The shape that the layer was built for; None if it was not."""
        if not self.built or self.input_shape is None or type(self).build is Layer.build:
            return None
        if len(self._build_shapes) > 1:
            return {"shapes_dict": dict(self._build_shapes)}
        return {"input_shape": self.input_shape}

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Build the layer from what `get_build_config` gave."""
        if (several := config.get("shapes_dict")) is not None:
            if not self.built:
                self.build(
                    **{name: None if one is None else _as_shapes(one) for name, one in several.items()}
                )
        elif (shape := config.get("input_shape")) is not None:
            self.build_for(_as_shapes(shape))

    def __repr__(self) -> str:
        return f"<{self.describe()}{'' if self.built else ', not built'}>"


def _named_build(build: Callable[..., Any]) -> Callable[..., Any]:
    """Let `build`, also when it is called by hand, name the weights that it makes, and be noted."""

    @functools.wraps(build)
    def named(self: Layer, *args: Any, **kwargs: Any) -> None:
        names = _building.get()
        if names and names[-1] == self.name:
            build(self, *args, **kwargs)
        else:
            with self._naming():
                build(self, *args, **kwargs)
        self._build_shapes = dict(list(signature.bind(self, *args, **kwargs).arguments.items())[1:])
        self.input_shape = args[0] if args else next(iter(kwargs.values()), None)
        self.built = True

    signature = inspect.signature(build)
    return named


Layer.build = _named_build(Layer.build)


@functools.cache
def parameters_of(call: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a method's parameters that are given by place or by name, without self."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(call).parameters.values()
    return tuple(each.name for each in parameters if each.kind not in kinds)[1:]


def takes(call: Callable[..., Any], name: str) -> bool:
    """Whether a layer's call asks for an argument of this name, such as "training"."""
    return name in parameters_of(call)


def declares(thing: Any, flag: str) -> bool:
    """Whether a class says so itself: a user's subclass of one of ours does not inherit it."""
    kind = type(thing)
    return bool(getattr(kind, flag, False)) and (
        kind.__module__.startswith("pellucid.") or flag in vars(kind) or flag in vars(thing)
    )


def _once(variables: Sequence[Variable]) -> list[Variable]:
    return list(dict.fromkeys(variables))


def is_shape(value: Any) -> bool:
    """Whether this is a shape, rather than a list or dict of shapes."""
    if not isinstance(value, tuple | list):
        return False
    entries = cast(Sequence[Any], value)
    return all(size is None or isinstance(size, int | np.integer) for size in entries)


def _as_shapes(value: Any) -> Any:
    """Shapes as configurations hold them, in lists, as tuples again."""
    if isinstance(value, Mapping):
        return {name: _as_shapes(each) for name, each in cast(Mapping[str, Any], value).items()}
    return tuple(cast(Sequence[Any], value)) if is_shape(value) else [_as_shapes(each) for each in value]


def _is_none(value: Any) -> bool:
    return value is None


def _is_text(value: Any) -> bool:
    """Whether this is an array of texts, which stays on the host."""
    return isinstance(value, np.ndarray) and cast(Any, value).dtype.kind in "USO"


def _shape_of(value: Any) -> Shape:
    return tuple(value.shape)


def _batch_shape(value: Any) -> Shape:
    """The shape of a batch of any number of rows."""
    return (None, *value.shape[1:]) if len(value.shape) else ()


def _is_leaf(value: Any) -> bool:
    """Lists of plain numbers are arrays; lists of arrays are several inputs."""
    if not isinstance(value, list | tuple):
        return isinstance(value, Variable)
    entries = cast(Sequence[Any], value)
    return bool(entries) and not any(hasattr(leaf, "shape") for leaf in jax.tree.leaves(entries))


def positive(name: str, value: Any, layer: str) -> int:
    """A whole number above zero, or KindError."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if isinstance(value, bool) or number != value or number <= 0:
        raise KindError(
            message(
                f"Invalid value for `{name}` of {layer}: `{name}` must be a positive integer.",
                came=repr(value),
                expected="a whole number, 1 or more",
            )
        )
    return number
