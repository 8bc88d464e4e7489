"""The functional API: symbolic tensors, and the graph of the calls that join them.

    inputs = keras.Input(shape=(30,))        # a KerasTensor: a shape and a type, no numbers
    hidden = Dense(8)(inputs)                # a Node: this layer was called on these tensors
    model = keras.Model(inputs, Dense(1)(hidden))

A `Graph` is what lies between some tensors and others. It runs as a function of arrays.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from pellucid.arrays import Shape, as_array, floatx, sizes
from pellucid.errors import ArgumentError, UnknownNameError, did_you_mean, message
from pellucid.formula import Expression, Unit, derivative, times, wrapped
from pellucid.masks import mask_of, with_mask
from pellucid.naming import automatic_name, deserialize, serialize, snake_case
from pellucid.variables import current_scope

#: Sizes that stand for unknown ones, of rows and of other axes: what differs between two traces is unknown.
_STAND_INS = ((2, 64), (3, 96))


class KerasHistory(NamedTuple):
    """Where a tensor comes from: an operation, which of its calls, and which of the outputs."""

    operation: Any
    node_index: int
    tensor_index: int


class KerasTensor:
    """A tensor without numbers: what a layer gives when it is called on `keras.Input`.

    Args:
        shape: the shape of a batch; None is a size that may be any.
        dtype: the type; by default the default float.
        name: its name.

    Example:
        >>> import pellucid as keras
        >>> keras.layers.Dense(2)(keras.Input(shape=(3,)))
        <KerasTensor shape=(None, 2), dtype=float32, name=keras_tensor>
    """

    def __init__(
        self,
        shape: Sequence[int | None],
        dtype: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.shape: Shape = tuple(None if size is None else int(size) for size in shape)
        self.dtype: str = str(dtype or floatx())
        self.sparse, self.ragged = bool(sparse), bool(ragged)
        self.name = name or automatic_name("keras_tensor")
        self._keras_history: KerasHistory | None = None

    @property
    def ndim(self) -> int:
        """How many axes the tensor has."""
        return len(self.shape)

    @property
    def node(self) -> Node:
        """The call that this tensor comes from."""
        assert self._keras_history is not None
        return self._keras_history.operation._inbound_nodes[self._keras_history.node_index]

    def reshape(self, *shape: Any) -> KerasTensor:
        """The tensor in another shape."""
        new = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        return operation(reshape)(self, tuple(new))

    def squeeze(self, axis: Any = None) -> KerasTensor:
        """The tensor without axes of size one."""
        return operation(squeeze)(self, axis=axis)

    @property
    def T(self) -> KerasTensor:
        """The tensor with its axes the other way round."""
        return operation(transpose)(self)

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def _no_numbers(self, wanted: str) -> Any:
        raise ArgumentError(
            message(
                f"a KerasTensor cannot be used as {wanted}: it has a shape and no numbers.",
                came=repr(self),
                expected="layers, and functions of keras.ops",
                mend="keras.ops.sum(x) for np.sum(x); a layer of your own for anything else.",
            )
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy leaves its operators with us: np.array(...) + tensor."""
        if method == "__call__" and ufunc.__name__ in OPERATIONS and not kwargs:
            return operation(OPERATIONS[ufunc.__name__])(*inputs)
        return self._no_numbers("a NumPy array")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        self._no_numbers("a NumPy array")

    def __jax_array__(self) -> Any:
        self._no_numbers("a JAX array")

    def __iter__(self) -> Any:
        self._no_numbers("a sequence")

    def __bool__(self) -> bool:
        return self._no_numbers("a condition")

    def __len__(self) -> int:
        return self._no_numbers("a sequence")

    def __float__(self) -> float:
        return self._no_numbers("a number")

    def __int__(self) -> int:
        return self._no_numbers("a number")

    def __getitem__(self, key: Any) -> KerasTensor:
        # The key is an argument of the call, as Keras has it, and no setting of the operation.
        keys = tuple(cast(Sequence[Any], key)) if isinstance(key, list | tuple) else (key,)
        if hidden := symbols(keys):
            hidden[0]._no_numbers("an index")
        return Operation(get_item)(self, keys)

    def __neg__(self) -> KerasTensor:
        return operation(jnp.negative)(self)

    def __abs__(self) -> KerasTensor:
        return operation(jnp.absolute)(self)


def _operator(name: str, function: Callable[..., Any], swapped: bool = False) -> None:
    def computed(x1: Any, x2: Any) -> Any:
        return function(x1, x2)

    computed.__name__ = function.__name__
    register(computed)

    def method(self: KerasTensor, other: Any) -> KerasTensor:
        return operation(computed)(other, self) if swapped else operation(computed)(self, other)

    setattr(KerasTensor, name, method)


#: The functions of arrays that stand in graphs, by name: a file may name these and no others.
OPERATIONS: dict[str, Callable[..., Any]] = {}


def register(function: Callable[..., Any]) -> None:
    """Let a function be found by its name when a graph is read from a file."""
    if function.__module__ == "pellucid.ops":
        OPERATIONS[function.__name__] = function
    else:
        OPERATIONS.setdefault(function.__name__, function)


def reshape(x: Any, newshape: Sequence[int]) -> Any:
    """The array in another shape."""
    return jnp.reshape(x, tuple(newshape))


def squeeze(x: Any, axis: Any = None) -> Any:
    """The array without axes of size one."""
    return jnp.squeeze(x, axis)


def transpose(x: Any, axes: Any = None) -> Any:
    """The array with its axes in another order."""
    return jnp.transpose(x, axes)


def get_item(x: Any, key: Any) -> Any:
    """The part of an array that a key names."""
    # A file has lists in the place of tuples.
    return x[tuple(cast(list[Any], key)) if isinstance(key, list) else key]


class Node:
    """One call of an operation (a layer, a model, or a function of keras.ops) on symbolic tensors.

    Attributes:
        operation: what was called.
        args, kwargs: with what; tensors, and anything else.
        inputs, outputs: the tensors among the arguments, and those that came out.
    """

    def __init__(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> None:
        self.operation, self.args, self.kwargs = operation, args, kwargs
        self.inputs = symbols((args, kwargs))
        self.outputs: list[KerasTensor] = jax.tree.leaves(outputs)
        number = len(operation._inbound_nodes)
        operation._inbound_nodes.append(self)
        for place, tensor in enumerate(self.outputs):
            tensor._keras_history = KerasHistory(operation, number, place)

    @property
    def is_input(self) -> bool:
        """Whether this is where data come in, rather than a call."""
        return not self.inputs

    def __repr__(self) -> str:
        return f"<Node of {self.operation.name}>"


def symbols(tree: Any) -> list[KerasTensor]:
    """The symbolic tensors in a structure of lists, tuples and dicts."""
    return [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, KerasTensor)]


def any_symbols(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call is symbolic."""
    return bool(symbols((args, dict(kwargs))))


def traced_outputs(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What a function gives for symbolic arguments, as tensors, found by tracing it."""
    leaves, structure = jax.tree.flatten((args, kwargs), is_leaf=lambda leaf: leaf is None)
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, KerasTensor)]

    def at(rows: int, size: int) -> Any:
        def call(*arrays: Any) -> Any:
            filled = list(leaves)
            for place, array in zip(places, arrays, strict=True):
                filled[place] = array
            args, kwargs = jax.tree.unflatten(structure, filled)
            return jax.tree.map(as_array, function(*args, **kwargs))

        specs = [
            jax.ShapeDtypeStruct(
                (*sizes(leaves[place].shape[:1], rows), *sizes(leaves[place].shape[1:], size)),
                leaves[place].dtype,
            )
            for place in places
        ]
        return jax.eval_shape(call, *specs)

    known = all(None not in leaves[place].shape for place in places)
    first = at(*_STAND_INS[0])
    second = first if known else at(*_STAND_INS[1])

    def tensor(one: Any, other: Any) -> KerasTensor:
        shape = [size if size == wide else None for size, wide in zip(one.shape, other.shape, strict=True)]
        return KerasTensor(shape, str(one.dtype))

    return jax.tree.map(tensor, first, second)


#: Functions that give each row by its own row alone.
_ROW_BY_ROW = frozenset(
    (
        *("absolute", "add", "subtract", "multiply", "divide", "true_divide", "negative", "square", "sqrt"),
        *(
            "exp",
            "log",
            "maximum",
            "minimum",
            "power",
            "clip",
            "cast",
            "sin",
            "cos",
            "floor",
            "ceil",
            "round",
        ),
        *("relu", "sigmoid", "tanh", "softplus", "silu", "gelu", "elu", "selu", "leaky_relu", "softsign"),
        *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"),
        *("isnan", "isinf", "isfinite", "nan_to_num", "where"),
    )
)
#: Functions of which each output row is made of its own input row, if they work along another axis.
_ALONG_AN_AXIS = frozenset(("take", "sum", "mean", "max", "min", "softmax", "log_softmax", "argmax", "flip"))


#: Where Keras has the classes of functions that are not in its keras.src.ops.numpy, for the files it reads.
_ELSEWHERE = {
    "core": ("cast", "saturate_cast", "scatter", "slice", "stop_gradient", "unstack"),
    "math": ("erf", "erfinv", "in_top_k", "logsumexp", "rsqrt", "segment_max", "segment_sum", "top_k"),
    "linalg": ("cholesky", "det", "inv", "norm", "solve"),
    "nn": (
        *(
            "celu",
            "elu",
            "gelu",
            "glu",
            "hard_sigmoid",
            "hard_silu",
            "leaky_relu",
            "log_sigmoid",
            "log_softmax",
        ),
        *(
            "normalize",
            "one_hot",
            "relu",
            "relu6",
            "selu",
            "sigmoid",
            "silu",
            "softmax",
            "softplus",
            "softsign",
        ),
    ),
}
_KERAS_MODULE = {name: module for module, names in _ELSEWHERE.items() for name in names}

#: The functions whose arithmetic is told in opened steps.
_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "true_divide": operator.truediv,
    "negative": operator.neg,
    "square": lambda x: x * x,
}


class Operation:
    """A function of keras.ops as it stands in a graph: it has a name, and no weights.

    Args:
        function: a function of arrays.
        name: its name; by default the function's.
        settings: arguments of the function that are no tensors: axis, ...
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None, **settings: Any) -> None:
        self.function, self.settings = function, settings
        self.kind = getattr(function, "__name__", "operation").strip("_")
        self.name = name or automatic_name(snake_case(self.kind))
        self._inbound_nodes: list[Node] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute, or take a place in the graph if an argument is symbolic."""
        if not any_symbols(args, kwargs):
            return self._computed(args, kwargs)
        outputs = traced_outputs(functools.partial(self.function, **self.settings), args, kwargs)
        Node(self, args, kwargs, outputs)
        return outputs

    def _computed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        scope = current_scope()
        handed = None if scope is None else scope.handed
        if handed is None:
            return self.function(*args, **kwargs, **self.settings)
        with handed.calling(self) as name:
            arrays = [leaf for leaf in jax.tree.leaves((args, kwargs)) if hasattr(leaf, "shape")]
            handed.given_to(name, arrays)
            outputs = self.function(*args, **kwargs, **self.settings)
            if not hasattr(outputs, "shape"):
                return outputs  # several arrays are seen in what is made of them
            output = handed.take(f"{name}.output", outputs)
            handed.came_from(name, [output])
            return output

    @property
    def output(self) -> Any:
        """What came out of its first call."""
        return self._inbound_nodes[0].outputs[0]

    # What an opened step asks of a layer.

    #: It is shown, hands out nothing but its output, and states its arithmetic, if it is in `_ARITHMETIC`.
    shown_when_opened, stated = True, ()

    def formula(self, unit: Unit) -> Expression | None:
        """The function of the numbers at this place; None for functions that are more than that."""
        if self.kind not in _ARITHMETIC or self.settings:
            return None
        operands: list[Any] = []
        count = len(self._inbound_nodes[0].inputs)
        for given in self._inbound_nodes[0].args:
            if isinstance(given, KerasTensor):
                seen = sum(not isinstance(each, int | float) for each in operands)
                what = "input" if count == 1 else f"input_{seen}"
                # An axis of size one is used at every place of the others.
                shape = unit.row(what).shape
                places = zip(unit.index[len(unit.index) - len(shape) :], shape, strict=True)
                operands.append(unit.number(what, *(0 if size == 1 else place for place, size in places)))
            elif isinstance(given, int | float):
                operands.append(given)
            else:
                return None
        return wrapped(_ARITHMETIC[self.kind](*operands))

    def backward(self, unit: Unit) -> Expression | None:
        """The gradient by an input, where each output is made of the numbers at its own place."""
        if unit.row(unit.what).shape != unit.row("output").shape:
            return None
        made = self.formula(replace(unit, what="output"))
        if made is None:
            return None
        slope = derivative(made, unit.number(unit.what, *unit.index).name)
        return times(unit.gradient("output", *unit.index), slope)

    def stated_for(self) -> list[Any]:
        """It has no weights."""
        return []

    def describe(self) -> str:
        """The operation in a few words."""
        return f'operation "{self.name}"'

    @property
    def rows_independent(self) -> bool:
        """Whether each output row is known to depend on its own input rows alone."""
        return all(self._keeps_rows(node) for node in self._inbound_nodes)

    def _keeps_rows(self, node: Node) -> bool:
        ranks = {tensor.ndim for tensor in node.inputs}
        if len(ranks) != 1:
            return False
        if self.kind in _ALONG_AN_AXIS:
            axis = {**self.settings, **node.kwargs}.get("axis")
            return isinstance(axis, int) and axis % ranks.pop() != 0
        return self.kind in _ROW_BY_ROW

    def serialized(self) -> dict[str, Any]:
        """The operation as Keras writes it into the file of a functional model."""
        kind = "".join(part.capitalize() for part in self.kind.split("_"))
        return {
            "module": f"keras.src.ops.{_KERAS_MODULE.get(self.kind, 'numpy')}",
            "class_name": kind,
            "config": {"name": self.name, **{key: serialize(value) for key, value in self.settings.items()}},
            "registered_name": kind,
        }

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> Operation:
        """The operation that `serialized` wrote; only known functions are looked up."""
        name = snake_case(str(written["class_name"]))
        if name not in OPERATIONS:
            raise UnknownNameError(
                message(
                    f'there is no operation "{name}".', came=name, expected=did_you_mean(name, OPERATIONS)
                )
            )
        config = dict(written.get("config") or {})
        # A dtype policy, which Keras writes, is nobody's argument; a type is.
        settings = {
            key: deserialize(value)
            for key, value in config.items()
            if not (key == "dtype" and isinstance(value, Mapping))
        }
        return cls(OPERATIONS[name], **settings)

    def __repr__(self) -> str:
        return f"<Operation {self.name}>"


def operation(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of arrays take symbolic tensors as well.

    Tensors, and what stands for one (a parameter named x, x1, ..., or indices), are what it is called on
    in the graph, as in Keras's files; its other arguments are settings.

    >>> double = operation(lambda x: 2 * x)
    >>> double(3.0), double(KerasTensor((None, 2))).shape
    (6.0, (None, 2))
    """
    register(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not any_symbols(args, kwargs):
            return function(*args, **kwargs)
        given, settings = _split(function, args, kwargs)
        return Operation(function, **settings)(*given)

    return call


_BOUNDS = ("x_min", "x_max")


def _split(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """What a function is called on, and its settings."""
    signature = inspect.signature(function)

    def stands_for_tensor(name: str) -> bool:
        # The bounds of clip are settings where they are known.
        bounded = name in _BOUNDS and not symbols([bound.arguments.get(each) for each in _BOUNDS])
        return name == "indices" or (name.startswith("x") and not bounded)

    if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in signature.parameters.values()):
        return list(args), kwargs  # as einsum("ij,jk->ik", x, y)
    bound = signature.bind(*args, **kwargs)
    given: list[Any] = []
    settings: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            settings |= value
        elif not settings and (symbols(value) or stands_for_tensor(name)):
            given.append(value)
        else:
            settings[name] = value
    hidden = [name for name, value in settings.items() if symbols(value)]
    if hidden:
        raise ArgumentError(
            message(
                f"{function.__name__} takes tensors before anything else.",
                came=f"a tensor as {', '.join(hidden)}",
                mend="give the tensors first.",
            )
        )
    return given, settings


for _name, _function in (
    ("add", jnp.add),
    ("sub", jnp.subtract),
    ("mul", jnp.multiply),
    ("truediv", jnp.true_divide),
    ("floordiv", jnp.floor_divide),
    ("mod", jnp.mod),
    ("pow", jnp.power),
    ("matmul", jnp.matmul),
):
    _operator(f"__{_name}__", _function)
    _operator(f"__r{_name}__", _function, swapped=True)
for _name, _function in (
    ("lt", jnp.less),
    ("le", jnp.less_equal),
    ("gt", jnp.greater),
    ("ge", jnp.greater_equal),
    ("and", jnp.logical_and),
    ("or", jnp.logical_or),
):
    _operator(f"__{_name}__", _function)
for _function in (get_item, jnp.negative, jnp.absolute, reshape, squeeze, transpose):
    register(_function)


class Graph:
    """What lies between some tensors and others: a function of arrays.

    Args:
        inputs, outputs: tensors, or lists, tuples and dicts of them.

    Attributes:
        nodes: the calls, each after those whose outputs it is given.
        operations: what is called, in the order of Keras: the farthest from the outputs first.

    Raises:
        ArgumentError: if the outputs do not follow from the inputs.
    """

    def __init__(self, inputs: Any, outputs: Any) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.flat_inputs = _tensors(inputs, "inputs")
        self.flat_outputs = _tensors(outputs, "outputs")
        self._given = {id(tensor) for tensor in self.flat_inputs}
        found, first_seen = self._walk()
        self._order(found, first_seen)
        self._require_names()

    def _walk(self) -> tuple[list[Node], dict[int, int]]:
        """The nodes behind the outputs, inputs first, and in which order operations were met."""
        done: set[int] = set()
        found: list[Node] = []
        met: dict[int, int] = {}
        path: list[str] = []

        def visit(tensor: KerasTensor) -> None:
            if tensor._keras_history is None:
                return self._disconnected(tensor, path)
            node = tensor.node
            if id(node) in done:
                return None
            if id(tensor) in self._given and not node.is_input:
                return None
            if node.is_input and id(tensor) not in self._given:
                return self._disconnected(tensor, path)
            done.add(id(node))
            met.setdefault(id(node.operation), len(met))
            path.append(node.operation.name)
            for each in node.inputs:
                visit(each)
            path.pop()
            found.append(node)
            return None

        for tensor in self.flat_outputs:
            visit(tensor)
        return found, met

    def _disconnected(self, tensor: KerasTensor, path: list[str]) -> None:
        raise ArgumentError(
            message(
                "Graph disconnected: the outputs do not follow from the inputs alone.",
                came=f"{tensor}, which {path[-1] if path else 'the model'} needs",
                expected=f"only {', '.join(each.name for each in self.flat_inputs)}",
                mend="give the missing keras.Input to keras.Model(inputs=[...]) as well.",
            )
        )

    def _order(self, found: list[Node], met: dict[int, int]) -> None:
        """Order operations by their distance to the outputs, as Keras does: the order of the weights."""
        #: Nodes in the order that Keras meets them in, with their depths: the order in which it runs them.
        node_depth: dict[Node, int] = {}
        depths: dict[int, int] = {}
        operations: dict[int, Any] = {}
        inside = set(found)
        for node in reversed(found):
            depth = max(node_depth.setdefault(node, 0), depths.get(id(node.operation), 0))
            depths[id(node.operation)] = node_depth[node] = depth
            operations[id(node.operation)] = node.operation
            for each in node.inputs:
                if id(each) in self._given and not each.node.is_input:
                    continue
                if (parent := each.node) in inside:
                    node_depth[parent] = max(depth + 1, node_depth.get(parent, 0))
        for tensor in self.flat_inputs:
            # Inputs that no output follows from.
            node = tensor.node
            if node.is_input and id(node.operation) not in depths:
                depths[id(node.operation)], met[id(node.operation)] = 0, -1
                operations[id(node.operation)] = node.operation
        self.nodes = sorted(node_depth, key=lambda each: -node_depth[each])
        ordered = sorted(operations, key=lambda each: (-depths[each], met[each]))
        self.operations: list[Any] = [operations[each] for each in ordered]

    def _require_names(self) -> None:
        names = [each.name for each in self.operations]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ArgumentError(
                message(
                    f'The name "{twice}" is used {names.count(twice)} times in the model. '
                    "All operation names should be unique.",
                    mend="give one of the layers another name.",
                )
            )

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs."""
        return [tensor.name for tensor in self.flat_inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the operations that the outputs come from."""
        return [_history(tensor).operation.name for tensor in self.flat_outputs]

    def __call__(self, arrays: Sequence[Any], call: Callable[..., Any] | None = None, **context: Any) -> Any:
        """The outputs for arrays, or other tensors, in place of the inputs.

        Args:
            arrays: one for each of `flat_inputs`.
            call: what is done instead of calling the operation: (operation, *args, **kwargs) -> outputs.
            context: `training`, handed to operations that take it.
        """
        values: dict[int, Any] = dict(zip(map(id, self.flat_inputs), arrays, strict=True))

        def filled(tree: Any) -> Any:
            # Optional inputs may be None.
            return jax.tree.map(
                lambda leaf: values[id(leaf)] if isinstance(leaf, KerasTensor) else leaf, tree
            )

        for node in self.nodes:
            if node.is_input:
                continue
            args, kwargs = filled(node.args), filled(node.kwargs)
            if not isinstance(node.operation, Operation):
                kwargs = {**context, **kwargs}
            # A layer may take the masks off what it is given; here they travel on to the other calls.
            masks = [(leaf, mask_of(leaf)) for leaf in jax.tree.leaves((args, kwargs))]
            computed = node.operation if call is None else functools.partial(call, node.operation)
            outputs = computed(*args, **kwargs)
            for leaf, mask in masks:
                if mask is not None:
                    with_mask(leaf, mask)
            for tensor, value in zip(node.outputs, jax.tree.leaves(outputs), strict=True):
                values[id(tensor)] = value
        return filled(self.outputs)

    def output_shapes(self, input_shapes: Sequence[Shape]) -> Any:
        """The shapes of the outputs for inputs of other shapes."""
        tensors = [
            KerasTensor(shape, each.dtype) for shape, each in zip(input_shapes, self.flat_inputs, strict=True)
        ]
        if [each.shape for each in tensors] == [each.shape for each in self.flat_inputs]:
            return jax.tree.map(lambda tensor: tensor.shape, self.outputs)
        specs = traced_outputs(lambda arrays: self(arrays, training=False), (tensors,), {})
        return jax.tree.map(lambda tensor: tensor.shape, specs)


def _history(tensor: KerasTensor) -> KerasHistory:
    assert tensor._keras_history is not None
    return tensor._keras_history


def _tensors(tree: Any, what: str) -> list[KerasTensor]:
    leaves = jax.tree.leaves(tree)
    wrong = [leaf for leaf in leaves if not isinstance(leaf, KerasTensor)]
    if wrong or not leaves:
        raise ArgumentError(
            message(
                f"All `{what}` values must be KerasTensors.",
                came=repr(wrong[0]) if wrong else "nothing",
                expected=f"{what} that come from keras.Input(shape=...)",
            )
        )
    return cast(list[KerasTensor], leaves)


__all__ = ["Graph", "KerasTensor", "Node", "Operation", "operation", "symbols", "traced_outputs"]
