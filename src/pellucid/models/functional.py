"""Functional models: what lies between some symbolic tensors and others.

inputs = keras.Input(shape=(30,))
hidden = keras.layers.Dense(8, activation="relu")(inputs)
model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import jax
import numpy as np

from pellucid.arrays import Shape
from pellucid.data import Rows
from pellucid.errors import ArgumentError, DataError, FileError, ShapeError, message
from pellucid.graph import Graph, KerasTensor, Node, Operation
from pellucid.layers.layer import CATALOGUE, Layer
from pellucid.masks import mask_of, with_mask
from pellucid.models.model import AHEAD, Model
from pellucid.naming import custom_object_scope, deserialize, serialize
from pellucid.variables import current_scope


@CATALOGUE.entry()
class Functional(Model):
    """A model of symbolic tensors; `keras.Model(inputs, outputs)` makes it.

    Args:
        inputs: `keras.Input`s, or tensors that follow from them: one, or a list or dict of them.
        outputs: tensors that follow from the inputs: one, or a list, tuple or dict of them.
        name: the name of the model.

    Example:
        >>> from pellucid.layers import Dense, Input
        >>> age, size = Input((1,), name="age"), Input((2,), name="size")
        >>> model = Functional([age, size], Dense(4)(age) + Dense(1)(size))
        >>> model.predict({"age": [[1.0]], "size": [[2.0, 3.0]]}, verbose=0).shape
        (1, 4)
    """

    rows_independent = True
    namespace = "keras.src.models.functional"

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        trainable = kwargs.pop("trainable", None)
        super().__init__(name=name, **kwargs)
        self._graph = Graph(inputs, outputs)
        #: The part that works on the host, if there is one, and the part that is compiled.
        self._ahead, self._behind = _cut(self._graph)
        self._operations: list[Any] = self._graph.operations
        shapes = [tensor.shape for tensor in self._graph.flat_inputs]
        self.input_shape = shapes[0] if len(shapes) == 1 else shapes
        self.built = True
        if trainable is not None and not trainable:
            self.trainable = False

    def _takes_finite_only(self) -> bool:
        """A model that asks what is NaN knows what to do with it."""
        asks = any(
            getattr(each, "kind", "") in ("isnan", "isfinite", "nan_to_num") for each in self._operations
        )
        return not asks and super()._takes_finite_only()

    # What is between the inputs and the outputs.

    @property
    def inputs(self) -> list[KerasTensor]:
        """The tensors that come in."""
        return self._graph.flat_inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        """The tensors that go out."""
        return self._graph.flat_outputs

    @property
    def input(self) -> Any:
        """The inputs, as they were given."""
        return self._graph.inputs

    @property
    def output(self) -> Any:
        """The outputs, as they were given."""
        return self._graph.outputs

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs."""
        return self._graph.input_names

    @property
    def output_names(self) -> list[str]:
        """The names of the layers that the outputs come from."""
        return self._graph.output_names

    @property
    def output_shape(self) -> Any:
        """The shape of a batch of outputs; a list of them where there are several."""
        shapes = [tensor.shape for tensor in self.outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def operations(self) -> list[Any]:
        """The layers, and the functions of keras.ops between them."""
        return self._operations

    @property
    def layers(self) -> list[Layer]:
        """The layers, those of the inputs included, the farthest from the outputs first."""
        return [each for each in self._operations if isinstance(each, Layer)]

    @property
    def branches(self) -> bool:
        """Whether the layers do more than follow each other in a row."""
        calls = [node for node in self._graph.nodes if node.inputs]
        used = [id(tensor) for node in calls for tensor in node.inputs]
        alone = all(len(node.inputs) == 1 for node in calls) and len(used) == len(set(used))
        return not alone or len({id(node.operation) for node in calls}) < len(calls) or len(self.outputs) > 1

    def connections_of(self, layer: Any) -> list[str]:
        """Which outputs a layer is called on: "dense[0][0]", the first output of the first call of it."""
        tensors = [tensor for node in self._graph.nodes if node.operation is layer for tensor in node.inputs]
        histories = [tensor._keras_history for tensor in tensors]
        return [
            f"{each.operation.name}[{each.node_index}][{each.tensor_index}]" for each in histories if each
        ]

    def output_shape_of(self, layer: Any) -> Any:
        """The shape of a batch of outputs of one of the layers."""
        shapes = [tensor.shape for tensor in layer._inbound_nodes[0].outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """The outputs, layer by layer."""
        if isinstance(inputs, dict) and AHEAD in inputs:
            return _single(self._behind(cast(Any, inputs)[AHEAD], training=training))
        if current_scope() is None:
            self._compare_structure(inputs)
        arrays = [
            self._as_declared(self._fitted(array, tensor), tensor)
            for array, tensor in zip(self._flat(inputs), self.inputs, strict=True)
        ]
        for array, own in zip(arrays, jax.tree.leaves(mask), strict=False):
            if array is not None:
                with_mask(array, own)
        return _single(self._graph(arrays, training=training))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The outputs carry their masks already."""
        return None

    def _as_declared(self, array: Any, tensor: KerasTensor) -> Any:
        """An array in the type that its input says, unless gradients are checked in another."""
        scope = current_scope()
        checked = scope is not None and scope.dtype is not None
        if array is None or checked or tensor.dtype == "string" or str(array.dtype) == tensor.dtype:
            return array
        return with_mask(array.astype(tensor.dtype), mask_of(array))

    def _compare_structure(self, given: Any) -> None:
        """Warn, as Keras does, of inputs in another structure than the model's, if they can be used.

        Raises:
            DataError: if a list is given for inputs by names that are not in the order of the alphabet.
        """
        named = cast(dict[str, Any], self.input) if isinstance(self.input, dict) else None
        by_name = isinstance(given, Mapping)
        if named is None or (by_name and set(cast(Any, given)) <= set(named)):
            return
        text = message(
            "The structure of `inputs` doesn't match the expected structure.",
            came=", ".join(cast(Any, given)) if by_name else type(given).__name__,
            expected=", ".join(named),
        )
        if not by_name and list(named) != sorted(named):
            raise DataError(text)
        warnings.warn(text, stacklevel=3)

    def rows_of(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[Any, float] | None = None,
    ) -> Rows:
        """What a user gave, as rows: inputs, targets and weights in the order of the model's."""
        if isinstance(x, Mapping | list | tuple):
            self._compare_structure(x)
        return super().rows_of(x, y, sample_weight, class_weight)

    def _flat(self, given: Any) -> list[Any]:
        """What was given, one array for each of the inputs."""
        tensors, names = self.inputs, self.input_names
        if isinstance(given, Mapping):
            items = cast(Mapping[str, Any], given)
            wanted = list(self.input) if isinstance(self.input, dict) else names
            missing = [name for name in wanted if name not in items]
            if missing:
                raise DataError(
                    message(
                        f"{self.describe()} has inputs that x does not name.",
                        came=", ".join(map(repr, items)),
                        expected=", ".join(map(repr, wanted)),
                        mend=f"add {', '.join(map(repr, missing))}, or name the inputs: Input(name=...).",
                    )
                )
            if isinstance(self.input, dict):
                # The tensors are in the order of the keys, those of dicts within dicts too.
                return jax.tree.leaves({key: items[key] for key in wanted}, is_leaf=_is_none)
            return [items[name] for name in names]
        arrays = jax.tree.leaves(given, is_leaf=_is_none)
        if len(arrays) != len(tensors):
            shapes = [str(getattr(array, "shape", None)) for array in arrays]
            raise DataError(
                message(
                    f'Layer "{self.name}" expects {len(tensors)} input(s), but it received {len(arrays)}.',
                    came=f"arrays of shape {', '.join(shapes)}",
                    expected=", ".join(f"{tensor.name} {tensor.shape}" for tensor in tensors),
                )
            )
        return arrays

    def _fitted(self, array: Any, tensor: KerasTensor) -> Any:
        """An array in the rank of its input: a last axis of size one may be there or not.

        None stays None, if the input is optional.
        """
        if array is None:
            if getattr(tensor.node.operation, "optional", True):
                return None
            raise DataError(
                message(
                    f'The input "{tensor.name}" is not optional.',
                    came="None",
                    expected=f"an array of shape {tensor.shape}",
                    mend="give the array, or declare it: keras.Input(..., optional=True).",
                )
            )
        shape, wanted = tuple(array.shape), tensor.shape
        found = array
        if len(shape) == len(wanted) - 1 and wanted[-1] == 1:
            found = array[..., None]
        elif len(shape) == len(wanted) + 1 and shape[-1] == 1:
            found = array[..., 0]
        shape = tuple(found.shape)
        fits = len(shape) == len(wanted) and all(
            size is None or given is None or size == given
            for size, given in zip(wanted[1:], shape[1:], strict=True)
        )
        if not fits:
            raise ShapeError(
                message(
                    f"{self.describe()} was built for other rows.",
                    came=f'x of shape {tuple(array.shape)} for the input "{tensor.name}"',
                    expected=f"{wanted}, where None is any number of rows",
                    mend="for one row, give a list of one row: X[:1]."
                    if shape == wanted[1:]
                    else "change keras.Input(shape=...), or the rows.",
                )
            )
        return found if found is array else with_mask(found, mask_of(array))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shapes of the outputs."""
        shapes = [input_shape] if len(self.inputs) == 1 and _is_one(input_shape) else input_shape
        flat = list(shapes.values()) if isinstance(shapes, dict) else list(shapes)
        return self._graph.output_shapes(flat)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Tensors like the outputs, for other inputs."""
        given = self._flat(args[0])
        shapes = [tensor.shape for tensor in given]
        if shapes == [tensor.shape for tensor in self.inputs]:
            return jax.tree.map(lambda tensor: KerasTensor(tensor.shape, tensor.dtype), self._unpacked)
        return jax.tree.map(
            lambda shape, tensor: KerasTensor(shape, tensor.dtype),
            self._graph.output_shapes(shapes),
            self._graph.outputs,
            is_leaf=_is_one,
        )

    @property
    def _unpacked(self) -> Any:
        outputs = self._graph.outputs
        return outputs[0] if isinstance(outputs, list | tuple) and len(outputs) == 1 else outputs

    def build(self, input_shape: Any = None, **more_shapes: Any) -> None:
        """The layers are built already."""

    def mixes_rows(self, training: bool) -> bool:
        """Functions between the layers may mix rows, if they are not known to work number by number."""
        alone = all(each.rows_independent for each in self._operations if isinstance(each, Operation))
        return not alone or super().mixes_rows(training)

    # What comes from outside.

    def _counts(self) -> tuple[int | None, int | None]:
        return len(self.inputs), len(self.outputs)

    def _names_of_outputs(self) -> list[str]:
        return sorted(self.output) if isinstance(self.output, dict) else self.output_names

    def _takes_texts(self) -> bool:
        return self._ahead is not None

    def _adjusted(self, rows: Rows) -> Rows:
        if isinstance(rows.x, dict) and AHEAD in rows.x:
            return rows
        arrays = [
            self._fitted(_in_type(array, tensor), tensor)
            for array, tensor in zip(self._flat(rows.x), self.inputs, strict=True)
        ]
        if self._ahead is not None:
            computed = self._ahead(arrays, training=False)
            return replace(rows, x={AHEAD: [np.asarray(each) for each in computed]})
        return replace(rows, x=arrays[0] if len(arrays) == 1 else arrays)

    # Configuration, as Keras writes it.

    def get_config(self) -> dict[str, Any]:
        """The layers, and how they are called."""
        if not _as_functional(type(self)):
            return super().get_config()
        inside = {id(node) for node in self._graph.nodes}
        for tensor in self.inputs:
            inside.add(id(tensor.node))
        layers: list[dict[str, Any]] = []
        for operation in self._operations:
            kept = [node for node in operation._inbound_nodes if id(node) in inside]
            config = operation.serialized() if isinstance(operation, Operation) else serialize(operation)
            config["name"] = operation.name
            config["inbound_nodes"] = [_node_config(node, inside) for node in kept if node.inputs]
            layers.append(config)
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": layers,
            "input_layers": _tensor_configs(self.input, inside),
            "output_layers": _tensor_configs(self.output, inside),
        }

    def over(self, inputs: Any, call: Callable[..., Any]) -> Any:
        """A model of the same calls on other inputs.

        Args:
            inputs: tensors in the structure of the model's.
            call: makes each call: (operation, *args, **kwargs) -> outputs.
        """
        outputs = self._graph(jax.tree.leaves(inputs), call)
        if not _as_functional(type(self)):
            return Functional(inputs, outputs, name=self.name)
        more = {key: value for key, value in self.get_config().items() if key not in _GRAPH_KEYS}
        return type(self)(inputs, outputs, name=self.name, trainable=self.trainable, **more)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """Make the model again from `get_config`, with new weights."""
        with custom_object_scope(custom_objects):
            if "layers" not in config or not _as_functional(cls):
                return super(Model, cls).from_config(config)
            return Functional.revived(cls, config)

    @staticmethod
    def revived(kind: type, config: Mapping[str, Any]) -> Any:
        """The model of a class that `get_config` described, with new layers."""
        made = {each["name"]: _made(each) for each in config["layers"]}
        waiting = [(made[each["name"]], node) for each in config["layers"] for node in each["inbound_nodes"]]
        while waiting:
            blocked: list[Any] = []
            held: set[int] = set()
            for operation, node in waiting:
                # The calls of one layer are made in their order.
                if id(operation) in held or not _can_call(node, made):
                    held.add(id(operation))
                    blocked.append((operation, node))
                    continue
                args, kwargs = _filled(node["args"], made), _filled(node["kwargs"], made)
                operation(*args, **kwargs)
            if len(blocked) == len(waiting):
                raise FileError(
                    message(
                        "the graph of this model is not connected, or goes in circles.",
                        came=", ".join(operation.name for operation, _ in blocked),
                    )
                )
            waiting = blocked
        more = {key: value for key, value in config.items() if key not in _GRAPH_KEYS}
        return kind(
            _found(config["input_layers"], made),
            _found(config["output_layers"], made),
            name=config.get("name"),
            trainable=config.get("trainable", True),
            **more,
        )


_GRAPH_KEYS = ("name", "trainable", "layers", "input_layers", "output_layers")

Model.made_of_graph = Functional


def _cut(graph: Graph) -> tuple[Graph | None, Graph]:
    """A graph in two: the layers that work on the host, which come first, and all others."""
    hosted = {id(tensor) for tensor in graph.flat_inputs}
    ahead: list[Node] = []
    for node in graph.nodes:
        first = all(id(tensor) in hosted for tensor in node.inputs)
        if node.inputs and first and getattr(node.operation, "on_host", False):
            ahead.append(node)
            hosted |= {id(tensor) for tensor in node.outputs}
    if not ahead:
        return None, graph
    behind = [node for node in graph.nodes if node.inputs and node not in ahead]
    used = [tensor for node in behind for tensor in node.inputs] + graph.flat_outputs
    between = list({id(tensor): tensor for tensor in used if id(tensor) in hosted}.values())
    return Graph(graph.inputs, between), Graph(between, graph.outputs)


def _single(outputs: Any) -> Any:
    """The outputs; the one in a list of one."""
    alone = isinstance(outputs, list | tuple) and len(cast(Any, outputs)) == 1
    return cast(Any, outputs)[0] if alone else outputs


def _as_functional(kind: type) -> bool:
    """Whether a class is made from inputs and outputs: as its parent is, or it hands on what it is given."""
    init = kind.__init__
    if init in (Functional.__init__, Model.__init__):
        return True
    parameters = inspect.signature(init).parameters.values()
    handed_on = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return handed_on <= {each.kind for each in parameters} or [each.name for each in parameters][1:3] == [
        "inputs",
        "outputs",
    ]


def _is_none(value: Any) -> bool:
    return value is None


def _is_one(value: Any) -> bool:
    return isinstance(value, tuple) and all(
        size is None or isinstance(size, int) for size in cast(Shape, value)
    )


def _in_type(array: Any, tensor: KerasTensor) -> Any:
    """Rows in the type that the input says."""
    if not isinstance(array, np.ndarray) or tensor.dtype == "string":
        return array
    wanted = np.dtype(tensor.dtype) if tensor.dtype != "bfloat16" else np.dtype("float32")
    found = cast(Any, array)
    return found if found.dtype == wanted or found.dtype.kind in "USO" else found.astype(wanted)


def _made(written: Mapping[str, Any]) -> Any:
    """A layer, or an operation, without its calls."""
    if str(written.get("module")).startswith("keras.src.ops"):
        import pellucid.ops  # noqa: F401  # which enters its functions  # pyright: ignore[reportUnusedImport]

        return Operation.of(written)
    return CATALOGUE.make(written)


def _place(tensor: KerasTensor, inside: set[int]) -> list[Any]:
    """[name, which of the calls within the model, which output]."""
    history = tensor._keras_history
    assert history is not None
    before = history.operation._inbound_nodes[: history.node_index]
    return [history.operation.name, sum(id(node) in inside for node in before), history.tensor_index]


def _node_config(node: Node, inside: set[int]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, KerasTensor):
            return {
                "class_name": "__keras_tensor__",
                "config": {
                    "shape": list(value.shape),
                    "dtype": value.dtype,
                    "keras_history": _place(value, inside),
                },
            }
        if isinstance(value, list | tuple):
            return [plain(item) for item in cast(Sequence[Any], value)]
        if isinstance(value, dict):
            return {key: plain(item) for key, item in cast(dict[str, Any], value).items()}
        return serialize(value)

    return {"args": plain(list(node.args)), "kwargs": plain(node.kwargs)}


def _tensor_configs(tree: Any, inside: set[int]) -> Any:
    return jax.tree.map(lambda tensor: _place(tensor, inside), tree)


def _tensor(place: Sequence[Any], made: Mapping[str, Any]) -> KerasTensor | None:
    """The tensor that [name, call, output] names, if that call has been made."""
    name, call, number = place
    if name not in made:
        raise FileError(message("the graph names a layer that is not there.", came=repr(name)))
    nodes = made[name]._inbound_nodes
    return nodes[call].outputs[number] if call < len(nodes) else None


def _is_tensor_config(value: Any) -> bool:
    return isinstance(value, Mapping) and cast(Any, value).get("class_name") == "__keras_tensor__"


def _can_call(node: Any, made: Mapping[str, Any]) -> bool:
    if _is_tensor_config(node):
        return _tensor(node["config"]["keras_history"], made) is not None
    if isinstance(node, Mapping):
        return all(_can_call(item, made) for item in cast(Mapping[str, Any], node).values())
    if isinstance(node, list | tuple):
        return all(_can_call(item, made) for item in cast(Sequence[Any], node))
    return True


def _filled(node: Any, made: Mapping[str, Any]) -> Any:
    """The arguments of a call, with tensors in the places of their configurations."""
    if _is_tensor_config(node):
        return _tensor(node["config"]["keras_history"], made)
    if isinstance(node, Mapping) and "class_name" in node:
        return deserialize(node)
    if isinstance(node, Mapping):
        return {key: _filled(item, made) for key, item in cast(Mapping[str, Any], node).items()}
    if isinstance(node, list | tuple):
        return [_filled(item, made) for item in cast(Sequence[Any], node)]
    return node


def _found(tree: Any, made: Mapping[str, Any]) -> Any:
    if isinstance(tree, Mapping):
        return {key: _found(item, made) for key, item in cast(Mapping[str, Any], tree).items()}
    entries: list[Any] = list(tree)
    if len(entries) == 3 and isinstance(entries[0], str):
        tensor = _tensor(entries, made)
        if tensor is None:
            raise ArgumentError(message("the graph names a call that was not made.", came=entries))
        return tensor
    found = [_found(item, made) for item in entries]
    return tuple(found) if isinstance(tree, tuple) else found
