"""A trained model in another format: ONNX, which many runtimes read, or Keras's own file.

    proto = to_onnx(model)
    exported = export(model, "model.onnx")
    print(exported)

An ONNX graph is written by hand, call by call: each layer and each function between layers has a function
here that says it in ONNX's operators, in 32 bits, as it computes outside of training. What has none is an
error that names the layer. The operators are those of one fixed version, so that the same model gives the
same file whichever version of `onnx` is installed; ONNX Runtime 1.14 and newer runs it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import inspect
import math
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import activations, layers, writing
from pellucid.arrays import Shape, as_array
from pellucid.errors import ArgumentError, FileError, StateError, message
from pellucid.graph import Graph, KerasTensor, Node, Operation
from pellucid.models import Functional, Model, Sequential

NumPy = np.ndarray[Any, Any]
#: The endings of files that models are exported to.
ONNX, KERAS = ".onnx", ".keras"
#: The versions of the operators, of those of ai.onnx.ml, and of the file format.
OPSET, ML_OPSET, IR_VERSION = 18, 3, 8
#: What Normalization divides by at least, as Keras does.
EPSILON = 1e-7


class Value(str):
    """The name of a value in an ONNX graph."""

    __slots__ = ()


def require_onnx() -> Any:
    """The package `onnx`.

    Raises:
        StateError: if it is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise StateError(
            message(
                "ONNX files are written with onnx, which is not installed.",
                came="no onnx",
                mend="pip install 'pellucid[export]'",
            )
        ) from None
    return onnx


class Sheet:
    """An ONNX graph while it is written.

    Attributes:
        at: the name of the layer that is being written; values are named after it.
    """

    def __init__(self) -> None:
        self.onnx = require_onnx()
        self.at = ""
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._constants: dict[tuple[str, Shape, bytes], tuple[Value, Any]] = {}
        self._names: set[str] = set()

    def name(self, wanted: str) -> Value:
        """The name, or with a number behind it if there is one like it."""
        wanted = wanted or "value"
        free, number = wanted, 1
        while free in self._names:
            number += 1
            free = f"{wanted}_{number}"
        self._names.add(free)
        return Value(free)

    def _type(self, dtype: Any) -> int:
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def _declared(self, name: str, dtype: Any, shape: Sequence[int | None], said: str) -> Any:
        sizes: list[int | str] = []
        for axis, size in enumerate(shape):
            unknown = "rows" if axis == 0 else f"{name}_axis_{axis}"
            sizes.append(unknown if size is None else size)
        return self.onnx.helper.make_tensor_value_info(name, self._type(dtype), sizes, doc_string=said)

    def input(self, wanted: str, dtype: Any, shape: Sequence[int | None], said: str = "") -> Value:
        """Declare what comes in.

        Args:
            wanted: what it is called.
            dtype: the type of the numbers; `object` for text.
            shape: its shape, with None for sizes that may be any.
            said: what it is, in a few words that go into the file.
        """
        name = self.name(wanted)
        self._inputs.append(self._declared(name, dtype, shape, said))
        return name

    def output(
        self, name: Value, value: Value, dtype: Any, shape: Sequence[int | None], said: str = ""
    ) -> None:
        """Declare what comes out, under a name that `name` gave."""
        self._nodes.append(self.onnx.helper.make_node("Identity", [value], [name], name=name))
        self._outputs.append(self._declared(name, dtype, shape, said))

    def constant(self, value: Any, dtype: Any = None) -> Value:
        """A value that is known; numbers of Python are of 32 bits, if nothing else is said."""
        array = np.asarray(value, dtype)
        if dtype is None and not isinstance(value, np.ndarray | np.generic):
            array = array.astype({"f": np.float32, "i": np.int64}.get(array.dtype.kind, array.dtype))
        content = repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
        key = (str(array.dtype), array.shape, content)
        if key not in self._constants:
            name = self.name(f"{self.at}/constant" if self.at else "constant")
            tensor = self.onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
            self._constants[key] = name, tensor
        return self._constants[key][0]

    def add(self, operator: str, *given: Any, domain: str = "", **attributes: Any) -> Value:
        """Write an operator, and give what comes out; numbers and arrays among the inputs are constants."""
        return self.several(operator, 1, *given, domain=domain, **attributes)[0]

    def several(
        self, operator: str, count: int, *given: Any, domain: str = "", **attributes: Any
    ) -> list[Value]:
        """Write an operator of several outputs."""
        inputs = [each if isinstance(each, Value) else self.constant(each) for each in given]
        outputs = [self.name(f"{self.at}/{operator}" if self.at else operator) for _ in range(count)]
        made = self.onnx.helper.make_node(
            operator, inputs, outputs, name=outputs[0], domain=domain, **attributes
        )
        self._nodes.append(made)
        return outputs

    def cast(self, value: Value, dtype: Any) -> Value:
        """The same numbers in another type."""
        return self.add("Cast", value, to=self._type(dtype))

    @contextlib.contextmanager
    def of(self, name: str) -> Generator[None]:
        """Write a layer of this name."""
        before, self.at = self.at, f"{self.at}/{name}" if self.at else name
        try:
            yield
        finally:
            self.at = before

    def model(self, name: str, facts: Mapping[str, str]) -> Any:
        """The finished `onnx.ModelProto`, with facts about it by name."""
        helper, used = self.onnx.helper, {name for node in self._nodes for name in node.input}
        known = [tensor for value, tensor in self._constants.values() if value in used]
        graph = helper.make_graph(self._nodes, name or "model", self._inputs, self._outputs, known)
        versions = [helper.make_opsetid("", OPSET)]
        if any(node.domain for node in self._nodes):
            versions.append(helper.make_opsetid("ai.onnx.ml", ML_OPSET))
        version = importlib.metadata.version("pellucid")
        made = helper.make_model(
            graph,
            opset_imports=versions,
            ir_version=IR_VERSION,
            producer_name="pellucid",
            producer_version=version,
        )
        helper.set_model_props(made, {"pellucid": version, **facts})
        return made


# What is exported.


@dataclass(frozen=True)
class Exported:
    """What a file takes and gives.

    Args:
        path: the file.
        format: what it is, in a few words.
        inputs, outputs: for each its name, its type and shape, and what it is in words.
    """

    path: str
    format: str
    inputs: tuple[tuple[str, str, str], ...]
    outputs: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        width = max(len(name) for name, _, _ in (*self.inputs, *self.outputs))
        lines = [f"{self.path}: {self.format}"]
        for title, values in (("In", self.inputs), ("Out", self.outputs)):
            for place, (name, what, said) in enumerate(values):
                described = what + (f": {said}" if said else "")
                lines.append(f"  {'' if place else title:3}  {name:{width}}  {described}")
        return "\n".join(lines)


def require_ending(path: str | os.PathLike[str], *others: str) -> str:
    """The ending of a file that a model can be exported to; `others` may be meant as well.

    Raises:
        FileError: if the name has another one.

    >>> require_ending("model.onnx"), require_ending("page.html", ".html")
    ('.onnx', '.html')
    """
    ending = Path(path).suffix.lower()
    known = (*others, ONNX, KERAS)
    if ending not in known:
        raise FileError(
            message(
                "the ending of the file says what to export to.",
                came=str(path),
                expected=f"a name that ends in {', '.join(known[:-1])} or {known[-1]}",
            )
        )
    return ending


def export(model: Any, path: str | os.PathLike[str]) -> Exported:
    """Write a model into a file that other programs read: ONNX's or Keras's, as the ending says.

    Args:
        model: a functional or sequential model.
        path: a name that ends in `.onnx` or `.keras`.

    Raises:
        ArgumentError: if it holds a layer that ONNX cannot say, or that cannot be written down.
        FileError: if it cannot be written there.
        StateError: if it was never built, or `onnx` is not installed.
    """
    if require_ending(path) == ONNX:
        return write_onnx(to_onnx(model), path)
    graph = graph_of(model)
    model.save(path)
    return written_keras(
        path,
        [(tensor.name, _kind(tensor.dtype, tensor.shape), "") for tensor in graph.flat_inputs],
        [
            (name, _kind(tensor.dtype, tensor.shape), "")
            for name, tensor in zip(graph.output_names, graph.flat_outputs, strict=True)
        ],
    )


def write_onnx(proto: Any, path: str | os.PathLike[str]) -> Exported:
    """Write an ONNX model into a file, whole or not at all."""
    helper = require_onnx().helper
    content = proto.SerializeToString(deterministic=True)
    with writing.written_whole(path) as beside:
        beside.write_bytes(content)

    def described(values: Any) -> tuple[tuple[str, str, str], ...]:
        found: list[tuple[str, str, str]] = []
        for value in values:
            tensor = value.type.tensor_type
            dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            sizes = [size.dim_param or size.dim_value for size in tensor.shape.dim]
            found.append((value.name, _kind(dtype, sizes), value.doc_string))
        return tuple(found)

    graph = proto.graph
    return Exported(str(path), f"ONNX, opset {OPSET}", described(graph.input), described(graph.output))


def written_keras(path: str | os.PathLike[str], inputs: Sequence[Any], outputs: Sequence[Any]) -> Exported:
    """What a file of Keras's that was written takes and gives."""
    return Exported(str(path), "a Keras 3 file: keras.models.load_model", tuple(inputs), tuple(outputs))


def _kind(dtype: Any, shape: Sequence[Any]) -> str:
    """A type and a shape in a few words."""
    sizes = ["rows" if size is None and axis == 0 else str(size) for axis, size in enumerate(shape)]
    name = "text" if str(dtype) in ("object", "string") else str(dtype)
    return f"{name} ({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def graph_of(model: Any) -> Graph:
    """The calls between the inputs and the outputs of a model.

    Raises:
        ArgumentError: if it is a class with a `call` of its own, or no model.
        StateError: if its shapes are not known yet.
    """
    if not isinstance(model, Model) or type(model).call not in (Functional.call, Sequential.call):
        raise ArgumentError(
            message(
                "only models of which all layers are known can be exported.",
                came=f"a {type(model).__name__}"
                + (" with a call of its own" if isinstance(model, Model) else ""),
                expected="keras.Sequential([...]), or keras.Model(inputs, outputs)",
            )
        )
    known = cast(Any, model)
    return Graph(known.inputs, known.outputs)


def to_onnx(model: Any, facts: Mapping[str, str] | None = None) -> Any:
    """A model as an `onnx.ModelProto`, as it computes outside of training.

    Inputs and outputs have the names of the model's; the number of rows may be any.

    Args:
        model: a functional or sequential model of 32-bit numbers.
        facts: text that goes into the metadata of the file, by name; the version of Pellucid is there.

    Raises:
        ArgumentError: if it holds a layer, or a function between layers, that is not known here in ONNX.
        StateError: if it was never built, or `onnx` is not installed.

    Example:
        >>> import pellucid as keras
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="relu")])
        >>> [node.op_type for node in to_onnx(model).graph.node]
        ['MatMul', 'Add', 'Relu', 'Identity']
    """
    graph = graph_of(model)
    sheet = Sheet()
    given = [
        sheet.input(tensor.name, _held(tensor, "the input"), tensor.shape) for tensor in graph.flat_inputs
    ]
    names = [sheet.name(name) for name in graph.output_names]
    found = inline(sheet, graph, given)
    for name, value, tensor in zip(names, found, graph.flat_outputs, strict=True):
        sheet.output(name, value, tensor.dtype, tensor.shape)
    return sheet.model(model.name, facts or {})


def _held(tensor: KerasTensor, what: str) -> str:
    """The type of a tensor, which ONNX has to compute in."""
    kind = np.dtype(tensor.dtype).kind if tensor.dtype not in ("string", "bfloat16") else "?"
    if kind not in "iub" and tensor.dtype != "float32":
        raise ArgumentError(
            message(
                f"{what} cannot be exported to ONNX: it is not of 32-bit numbers.",
                came=tensor.dtype,
                expected="float32, whole numbers, or true and false",
            )
        )
    return tensor.dtype


def inline(sheet: Sheet, graph: Graph, given: Sequence[Value]) -> list[Value]:
    """Write all calls of a graph; gives its outputs for these inputs."""
    values: dict[int, Value] = dict(zip(map(id, graph.flat_inputs), given, strict=True))
    for node in graph.nodes:
        if node.is_input or all(id(tensor) in values for tensor in node.outputs):
            continue
        operation = node.operation
        with sheet.of(operation.name):
            for tensor in (*node.inputs, *node.outputs):
                _held(tensor, operation.describe())
            if isinstance(operation, Operation):
                found = [_operation(sheet, operation, node, values)]
            elif isinstance(operation, Model):
                inner = graph_of(operation)
                found = inline(sheet, inner, _handed(operation, inner, node, values))
            else:
                found = [_layer(sheet, operation, node, values)]
        for tensor, value in zip(node.outputs, found, strict=True):
            values[id(tensor)] = value
    return [values[id(tensor)] for tensor in graph.flat_outputs]


def _unknown(operation: Any, what: str = "") -> ArgumentError:
    kind = type(operation).__name__ if not isinstance(operation, Operation) else f"keras.ops.{operation.kind}"
    return ArgumentError(
        message(
            f"{operation.describe()} cannot be exported to ONNX{what}.",
            came=kind,
            expected=f"layers of the kinds {', '.join(sorted(each.__name__ for each in _LAYERS))}",
            mend="model.save('model.keras') writes any model for Keras.",
        )
    )


def _handed(operation: Any, inner: Graph, node: Node, values: Mapping[int, Value]) -> list[Value]:
    """What a model within a model is called on, in the order of its inputs."""
    first = node.args[0] if len(node.args) == 1 else None
    if isinstance(first, dict) and not isinstance(inner.inputs, dict):
        first = [cast(dict[str, Any], first).get(name) for name in inner.input_names]
    tensors = jax.tree.leaves(first)
    if len(tensors) != len(inner.flat_inputs) or len(node.inputs) != len(tensors):
        raise _unknown(operation, " as it is called here")
    return [values[id(tensor)] for tensor in tensors]


def _layer(sheet: Sheet, layer: Any, node: Node, values: Mapping[int, Value]) -> Value:
    """Write the call of a layer."""
    write = _LAYERS.get(type(layer))
    alone = len(node.args) == 1 and not jax.tree.leaves({**node.kwargs, "training": None})
    if write is None:
        raise _unknown(layer)
    if not alone or node.kwargs.get("training"):
        what = ", which always works as in training" if node.kwargs.get("training") else " with a mask"
        raise _unknown(layer, what)
    wanted = node.outputs[0].dtype
    given = [
        values[id(tensor)] if tensor.dtype == wanted else sheet.cast(values[id(tensor)], wanted)
        for tensor in node.inputs
    ]
    call = Call(layer, tuple(tensor.shape for tensor in node.inputs), node.outputs[0].shape)
    return write(sheet, call, *given)


@dataclass(frozen=True)
class Call:
    """A layer, and the shapes of what it is given and gives in one of its calls."""

    layer: Any
    inputs: tuple[Shape, ...]
    output: Shape


Written = Callable[..., Value]
_LAYERS: dict[type, Written] = {}
_OPERATIONS: dict[str, Written] = {}
_ACTIVATIONS: dict[str, Written] = {}


def _enter(table: dict[Any, Written], *keys: Any) -> Callable[[Written], Written]:
    """Enter a function into one of the tables."""

    def entered(function: Written) -> Written:
        table.update(dict.fromkeys(keys, function))
        return function

    return entered


def _weight(variable: Any) -> NumPy:
    return np.asarray(as_array(variable.value), np.float32)


# Activations.


def activated(sheet: Sheet, call: Call, z: Value, function: Any) -> Value:
    """a = g(z), for one of the activation functions."""
    if function is None:
        return z
    name = getattr(function, "__name__", "")
    if name not in _ACTIVATIONS or getattr(activations, name, None) is not function:
        raise _unknown(call.layer, f" with the activation {name or function!r}")
    return _ACTIVATIONS[name](sheet, z)


@_enter(_ACTIVATIONS, "linear")
def _linear(sheet: Sheet, z: Value) -> Value:
    return z


@_enter(_ACTIVATIONS, "relu")
def _relu(
    sheet: Sheet,
    z: Value,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Value:
    if negative_slope == 0.0 and threshold == 0.0 and max_value is None:
        return sheet.add("Relu", z)
    above = sheet.add("Greater" if threshold else "GreaterOrEqual", z, float(threshold))
    shifted = sheet.add("Sub", z, float(threshold)) if threshold else z
    a = sheet.add("Where", above, z, sheet.add("Mul", shifted, float(negative_slope)))
    return a if max_value is None else sheet.add("Min", a, float(max_value))


def _plain(operator: str, **attributes: Any) -> Written:
    """An activation that is an operator of ONNX."""
    return lambda sheet, z: sheet.add(operator, z, **attributes)


_ACTIVATIONS.update(
    {
        "sigmoid": _plain("Sigmoid"),
        "tanh": _plain("Tanh"),
        "softplus": _plain("Softplus"),
        "softsign": _plain("Softsign"),
        "exponential": _plain("Exp"),
        "selu": _plain("Selu"),
        "hard_sigmoid": _plain("HardSigmoid", alpha=1 / 6, beta=0.5),
        "hard_silu": lambda sheet, z: sheet.add("Mul", z, sheet.add("HardSigmoid", z, alpha=1 / 6, beta=0.5)),
        "silu": lambda sheet, z: sheet.add("Mul", z, sheet.add("Sigmoid", z)),
        "mish": lambda sheet, z: sheet.add("Mul", z, sheet.add("Tanh", sheet.add("Softplus", z))),
        "relu6": lambda sheet, z: _between(sheet, z, 0.0, 6.0),
        "hard_tanh": lambda sheet, z: _between(sheet, z, -1.0, 1.0),
        "tanh_shrink": lambda sheet, z: sheet.add("Sub", z, sheet.add("Tanh", z)),
        "log_sigmoid": lambda sheet, z: sheet.add("Neg", sheet.add("Softplus", sheet.add("Neg", z))),
        "elu": lambda sheet, z, alpha=1.0: sheet.add("Elu", z, alpha=float(alpha)),
        "celu": lambda sheet, z, alpha=1.0: sheet.add("Celu", z, alpha=float(alpha)),
        "leaky_relu": lambda sheet, z, negative_slope=0.2: sheet.add(
            "LeakyRelu", z, alpha=float(negative_slope)
        ),
        "hard_shrink": lambda sheet, z, threshold=0.5: sheet.add(
            "Shrink", z, lambd=float(threshold), bias=0.0
        ),
        "soft_shrink": lambda sheet, z, threshold=0.5: sheet.add(
            "Shrink", z, lambd=float(threshold), bias=float(threshold)
        ),
        "sparse_sigmoid": lambda sheet, z: _between(
            sheet, sheet.add("Mul", sheet.add("Add", z, 1.0), 0.5), 0.0, 1.0
        ),
    }
)


def _between(sheet: Sheet, z: Value, low: Any, high: Any) -> Value:
    """min(max(z, low), high); what is NaN stays."""
    return sheet.add("Min", sheet.add("Max", z, low), high)


@_enter(_ACTIVATIONS, "gelu")
def _gelu(sheet: Sheet, z: Value, approximate: bool = False) -> Value:
    if approximate:
        cubed = sheet.add("Mul", sheet.add("Mul", z, sheet.add("Mul", z, z)), 0.044715)
        inner = sheet.add("Mul", sheet.add("Add", z, cubed), math.sqrt(2 / math.pi))
        part = sheet.add("Tanh", inner)
    else:
        part = sheet.add("Erf", sheet.add("Mul", z, math.sqrt(0.5)))
    return sheet.add("Mul", sheet.add("Mul", z, 0.5), sheet.add("Add", part, 1.0))


@_enter(_ACTIVATIONS, "softmax")
def _softmax(sheet: Sheet, z: Value, axis: Any = -1) -> Value:
    axes = [axis] if isinstance(axis, int) else list(axis)
    if len(axes) == 1:
        return sheet.add("Softmax", z, axis=axes[0])
    largest = sheet.add("ReduceMax", z, np.array(axes, np.int64))
    powers = sheet.add("Exp", sheet.add("Sub", z, largest))
    return sheet.add("Div", powers, sheet.add("ReduceSum", powers, np.array(axes, np.int64)))


@_enter(_ACTIVATIONS, "log_softmax")
def _log_softmax(sheet: Sheet, z: Value, axis: int = -1) -> Value:
    return sheet.add("LogSoftmax", z, axis=axis)


@_enter(_ACTIVATIONS, "glu")
def _glu(sheet: Sheet, z: Value, axis: int = -1) -> Value:
    numbers, gates = sheet.several("Split", 2, z, axis=axis, num_outputs=2)
    return sheet.add("Mul", numbers, sheet.add("Sigmoid", gates))


@_enter(_ACTIVATIONS, "squareplus")
def _squareplus(sheet: Sheet, z: Value, b: float = 4.0) -> Value:
    root = sheet.add("Sqrt", sheet.add("Add", sheet.add("Mul", z, z), float(b)))
    return sheet.add("Mul", sheet.add("Add", z, root), 0.5)


@_enter(_ACTIVATIONS, "sparse_plus")
def _sparse_plus(sheet: Sheet, z: Value) -> Value:
    one_more = sheet.add("Add", z, 1.0)
    between = sheet.add("Mul", sheet.add("Mul", one_more, one_more), 0.25)
    above = sheet.add("Where", sheet.add("GreaterOrEqual", z, 1.0), z, between)
    return sheet.add("Where", sheet.add("LessOrEqual", z, -1.0), 0.0, above)


# Layers.


@_enter(
    _LAYERS,
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.GaussianNoise,
    layers.GaussianDropout,
    layers.AlphaDropout,
    layers.Identity,
    layers.ActivityRegularization,
)
def _same(sheet: Sheet, call: Call, x: Value) -> Value:
    """What does nothing outside of training."""
    return x


@_enter(_LAYERS, layers.Dense)
def _dense(sheet: Sheet, call: Call, x: Value) -> Value:
    layer = call.layer
    z = sheet.add("MatMul", x, _weight(layer.kernel))
    if layer.use_bias:
        z = sheet.add("Add", z, _weight(layer.bias))
    return activated(sheet, call, z, layer.activation)


@_enter(_LAYERS, layers.EinsumDense)
def _einsum_dense(sheet: Sheet, call: Call, x: Value) -> Value:
    layer = call.layer
    one, other, outcome = layer._letters(len(call.inputs[0]))
    if one == outcome and one.endswith(other):
        z = sheet.add("Mul", x, _weight(layer.kernel))
    else:
        z = sheet.add("Einsum", x, _weight(layer.kernel), equation=f"{one},{other}->{outcome}")
    if layer.bias is not None:
        z = sheet.add("Add", z, _weight(layer.bias))
    return activated(sheet, call, z, layer.activation)


@_enter(_LAYERS, layers.Activation)
def _activation(sheet: Sheet, call: Call, z: Value) -> Value:
    return activated(sheet, call, z, call.layer.activation)


@_enter(_LAYERS, layers.ReLU)
def _relu_layer(sheet: Sheet, call: Call, z: Value) -> Value:
    return _relu(sheet, z, call.layer.negative_slope, call.layer.max_value, call.layer.threshold)


@_enter(_LAYERS, layers.LeakyReLU)
def _leaky_relu_layer(sheet: Sheet, call: Call, z: Value) -> Value:
    return _ACTIVATIONS["leaky_relu"](sheet, z, call.layer.negative_slope)


@_enter(_LAYERS, layers.ELU)
def _elu_layer(sheet: Sheet, call: Call, z: Value) -> Value:
    return _ACTIVATIONS["elu"](sheet, z, call.layer.alpha)


@_enter(_LAYERS, layers.PReLU)
def _prelu(sheet: Sheet, call: Call, z: Value) -> Value:
    return sheet.add("PRelu", z, _weight(call.layer.alpha))


@_enter(_LAYERS, layers.Softmax)
def _softmax_layer(sheet: Sheet, call: Call, z: Value) -> Value:
    return _softmax(sheet, z, call.layer.axis)


@_enter(_LAYERS, layers.Normalization)
def _normalization(sheet: Sheet, call: Call, x: Value) -> Value:
    layer = call.layer
    mean = np.asarray(layer.mean, np.float32)
    spread = np.maximum(np.sqrt(np.asarray(layer.variance, np.float32)), np.float32(EPSILON))
    if layer.invert:
        return sheet.add("Add", sheet.add("Mul", x, spread), mean)
    return sheet.add("Div", sheet.add("Sub", x, mean), spread)


@_enter(_LAYERS, layers.Rescaling)
def _rescaling(sheet: Sheet, call: Call, x: Value) -> Value:
    scale, offset = (np.asarray(each, np.float32) for each in (call.layer.scale, call.layer.offset))
    scaled = sheet.add("Mul", x, scale)
    return sheet.add("Add", scaled, offset) if offset.any() else scaled


@_enter(_LAYERS, layers.BatchNormalization)
def _batch_normalization(sheet: Sheet, call: Call, x: Value) -> Value:
    layer, rank = call.layer, len(call.inputs[0])
    factor = 1 / np.sqrt(_weight(layer.moving_variance) + np.float32(layer.epsilon))
    if layer.gamma is not None:
        factor = factor * _weight(layer.gamma)
    shift = -_weight(layer.moving_mean) * factor
    if layer.beta is not None:
        shift = shift + _weight(layer.beta)
    shape = [-1 if axis == layer.axis % rank else 1 for axis in range(rank)]
    return sheet.add("Add", sheet.add("Mul", x, factor.reshape(shape)), shift.reshape(shape))


@_enter(_LAYERS, layers.LayerNormalization)
def _layer_normalization(sheet: Sheet, call: Call, x: Value) -> Value:
    layer, shape = call.layer, call.inputs[0]
    given = layer.axis if isinstance(layer.axis, Sequence) else (layer.axis,)
    axes = sorted(each % len(shape) for each in given)
    along = np.array(axes, np.int64)
    wide = [size if axis in axes else 1 for axis, size in enumerate(shape)]
    apart = sheet.add("Sub", x, sheet.add("ReduceMean", x, along))
    variance = sheet.add("ReduceMean", sheet.add("Mul", apart, apart), along)
    z = sheet.add("Div", apart, sheet.add("Sqrt", sheet.add("Add", variance, float(layer.epsilon))))
    if layer.gamma is not None:
        z = sheet.add("Mul", z, _weight(layer.gamma).reshape(cast(Any, wide)))
    if layer.beta is not None:
        z = sheet.add("Add", z, _weight(layer.beta).reshape(cast(Any, wide)))
    return z


@_enter(_LAYERS, layers.Flatten)
def _flatten(sheet: Sheet, call: Call, x: Value) -> Value:
    rank = len(call.inputs[0])
    if call.layer.data_format == "channels_first" and rank > 2:
        x = sheet.add("Transpose", x, perm=[0, *range(2, rank), 1])
    return sheet.add("Flatten", x, axis=1)


@_enter(_LAYERS, layers.Reshape)
def _reshape(sheet: Sheet, call: Call, x: Value) -> Value:
    row = list(call.output[1:])
    if row.count(None) > 1:
        raise _unknown(call.layer, " with more than one size that is not known")
    # 0 is the size that the axis has: that of the rows.
    return sheet.add("Reshape", x, np.array([0, *(-1 if size is None else size for size in row)], np.int64))


@_enter(_LAYERS, layers.Permute)
def _permute(sheet: Sheet, call: Call, x: Value) -> Value:
    return sheet.add("Transpose", x, perm=[0, *call.layer.dims])


@_enter(_LAYERS, layers.Concatenate)
def _concatenate(sheet: Sheet, call: Call, *given: Value) -> Value:
    return sheet.add("Concat", *given, axis=call.layer.axis)


def _merged(operator: str) -> Written:
    """A layer that merges place by place with an operator of two; shorter rows get axes of size 1."""

    def write(sheet: Sheet, call: Call, *given: Value) -> Value:
        rank = max(map(len, call.inputs))
        wide: list[Value] = []
        for value, shape in zip(given, call.inputs, strict=True):
            more = np.arange(1, 1 + rank - len(shape), dtype=np.int64)
            wide.append(sheet.add("Unsqueeze", value, more) if len(more) else value)
        return functools.reduce(lambda one, other: sheet.add(operator, one, other), wide)

    return write


_LAYERS.update(
    {
        layers.Add: _merged("Add"),
        layers.Subtract: _merged("Sub"),
        layers.Multiply: _merged("Mul"),
        layers.Maximum: _merged("Max"),
        layers.Minimum: _merged("Min"),
    }
)


@_enter(_LAYERS, layers.Average)
def _average(sheet: Sheet, call: Call, *given: Value) -> Value:
    return sheet.add("Div", _merged("Add")(sheet, call, *given), float(len(given)))


def _pooled(operator: str) -> Written:
    """A layer that takes the mean or the largest over all places."""

    def write(sheet: Sheet, call: Call, x: Value) -> Value:
        rank = len(call.inputs[0])
        first = 2 if call.layer.data_format == "channels_first" else 1
        along = np.arange(first, first + rank - 2, dtype=np.int64)
        return sheet.add(operator, x, along, keepdims=int(call.layer.keepdims))

    return write


_LAYERS.update(
    {
        layers.GlobalAveragePooling1D: _pooled("ReduceMean"),
        layers.GlobalAveragePooling2D: _pooled("ReduceMean"),
        layers.GlobalMaxPooling1D: _pooled("ReduceMax"),
        layers.GlobalMaxPooling2D: _pooled("ReduceMax"),
    }
)


# Functions between layers.

#: Operators of two tensors in the type of the outcome, and of one.
_TWO = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "true_divide": "Div",
    "maximum": "Max",
    "minimum": "Min",
    "power": "Pow",
    "matmul": "MatMul",
    "logical_and": "And",
    "logical_or": "Or",
}
_ONE = {
    "negative": "Neg",
    "absolute": "Abs",
    "abs": "Abs",
    "sqrt": "Sqrt",
    "exp": "Exp",
    "log": "Log",
    "floor": "Floor",
    "ceil": "Ceil",
    "reciprocal": "Reciprocal",
    "erf": "Erf",
    "sin": "Sin",
    "cos": "Cos",
    "logical_not": "Not",
}
#: Operators that compare two tensors, and whether what they say is turned round.
_COMPARED = {
    "equal": ("Equal", False),
    "not_equal": ("Equal", True),
    "less": ("Less", False),
    "less_equal": ("LessOrEqual", False),
    "greater": ("Greater", False),
    "greater_equal": ("GreaterOrEqual", False),
}


class Applied:
    """A function of `keras.ops` in one of its calls: its arguments as values, and its settings."""

    def __init__(self, sheet: Sheet, operation: Operation, node: Node, values: Mapping[int, Value]) -> None:
        self.sheet, self.operation, self.node, self._values = sheet, operation, node, values
        self.output = node.outputs[0]
        parameters = inspect.signature(operation.function).parameters.values()
        named = [each for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD]
        #: All arguments by name: tensors, and anything else.
        self.arguments: dict[str, Any] = {
            each.name: each.default for each in named if each.default is not inspect.Parameter.empty
        }
        self.arguments |= dict(zip((each.name for each in named), node.args, strict=False))
        self.arguments |= {**node.kwargs, **operation.settings}

    def number(self, place: int) -> Any:
        """An argument by its place."""
        return list(self.node.args)[place]

    def known(self, argument: Any) -> NumPy:
        """An argument that is no tensor, as an array of the type that it is computed in."""
        if any(isinstance(leaf, KerasTensor) for leaf in jax.tree.leaves(argument)):
            raise _unknown(self.operation, " with a tensor in this place")
        return np.asarray(jnp.asarray(argument))

    def value(self, argument: Any, dtype: Any) -> Value:
        """An argument in a type: a tensor, or numbers that are known."""
        if isinstance(argument, KerasTensor):
            value = self._values[id(argument)]
            return value if argument.dtype == str(dtype) else self.sheet.cast(value, dtype)
        return self.sheet.constant(np.asarray(self.known(argument), dtype))

    def common(self, arguments: Sequence[Any]) -> str:
        """The type that arguments are brought to before they are compared."""
        kinds = [
            jnp.dtype(each.dtype)
            if isinstance(each, KerasTensor)
            else each
            if isinstance(each, bool | int | float)
            else self.known(each).dtype
            for each in arguments
        ]
        return str(jnp.result_type(*kinds))


def _operation(sheet: Sheet, operation: Operation, node: Node, values: Mapping[int, Value]) -> Value:
    """Write the call of a function of `keras.ops`, or of an operator of Python."""
    if len(node.outputs) != 1:
        raise _unknown(operation)
    kind, wanted = operation.kind, node.outputs[0].dtype
    call = Applied(sheet, operation, node, values)
    if kind in _TWO and len(node.args) == 2:
        dtype = "bool" if kind.startswith("logical") else wanted
        return sheet.add(_TWO[kind], *(call.value(each, dtype) for each in node.args))
    if kind in _COMPARED and len(node.args) == 2:
        operator, turned = _COMPARED[kind]
        dtype = call.common(node.args)
        # Other comparisons than of equality have no true and false in ONNX.
        dtype = "int32" if dtype == "bool" and operator != "Equal" else dtype
        found = sheet.add(operator, *(call.value(each, dtype) for each in node.args))
        return sheet.add("Not", found) if turned else found
    if kind in _ONE and len(node.args) == 1:
        return sheet.add(_ONE[kind], call.value(node.args[0], "bool" if kind == "logical_not" else wanted))
    if kind in _OPERATIONS:
        return _OPERATIONS[kind](call)
    if kind in _ACTIVATIONS and operation.function.__module__ == "pellucid.ops":
        first = next(iter(inspect.signature(operation.function).parameters))
        options = {name: value for name, value in call.arguments.items() if name != first}
        return _ACTIVATIONS[kind](sheet, call.value(node.args[0], wanted), **options)
    raise _unknown(operation)


@_enter(_OPERATIONS, "square")
def _square(call: Applied) -> Value:
    x = call.value(call.number(0), call.output.dtype)
    return call.sheet.add("Mul", x, x)


@_enter(_OPERATIONS, "isnan")
def _isnan(call: Applied) -> Value:
    return call.sheet.add("IsNaN", call.value(call.number(0), "float32"))


@_enter(_OPERATIONS, "isinf")
def _isinf(call: Applied) -> Value:
    return call.sheet.add("IsInf", call.value(call.number(0), "float32"))


@_enter(_OPERATIONS, "isfinite")
def _isfinite(call: Applied) -> Value:
    x = call.value(call.number(0), "float32")
    return call.sheet.add("Not", call.sheet.add("Or", call.sheet.add("IsNaN", x), call.sheet.add("IsInf", x)))


@_enter(_OPERATIONS, "where")
def _where(call: Applied) -> Value:
    if len(call.node.args) != 3:
        raise _unknown(call.operation, " without two values to choose from")
    condition, one, other = call.node.args
    dtype = call.output.dtype
    return call.sheet.add(
        "Where", call.value(condition, "bool"), call.value(one, dtype), call.value(other, dtype)
    )


@_enter(_OPERATIONS, "cast")
def _cast(call: Applied) -> Value:
    return call.value(call.number(0), call.output.dtype)


@_enter(_OPERATIONS, "clip")
def _clip(call: Applied) -> Value:
    x, low, high = (call.value(call.arguments[name], call.output.dtype) for name in ("x", "x_min", "x_max"))
    return _between(call.sheet, x, low, high)


@_enter(_OPERATIONS, "take")
def _take(call: Applied) -> Value:
    x, axis = call.number(0), call.arguments["axis"]
    if axis is None:
        raise _unknown(call.operation, " without an axis")
    size = x.shape[axis]
    indices = call.known(call.arguments["indices"]).astype(np.int64)
    if size is None or (indices < -size).any() or (indices >= size).any():
        raise _unknown(call.operation, " with indices beyond the end")
    return call.sheet.add("Gather", call.value(x, call.output.dtype), indices, axis=int(axis))


@_enter(_OPERATIONS, "concatenate")
def _concatenated(call: Applied) -> Value:
    parts = [call.value(each, call.output.dtype) for each in call.number(0)]
    return call.sheet.add("Concat", *parts, axis=int(call.arguments["axis"]))


@_enter(_OPERATIONS, "reshape")
def _reshaped(call: Applied) -> Value:
    sizes = call.known(call.arguments["newshape"]).astype(np.int64)
    return call.sheet.add("Reshape", call.value(call.number(0), call.output.dtype), sizes)


@_enter(_OPERATIONS, "transpose")
def _transposed(call: Applied) -> Value:
    rank = call.number(0).ndim
    axes = call.arguments["axes"]
    order = [int(axis) % rank for axis in axes] if axes is not None else list(reversed(range(rank)))
    return call.sheet.add("Transpose", call.value(call.number(0), call.output.dtype), perm=order)


@_enter(_OPERATIONS, "sum", "mean", "max", "min")
def _reduced(call: Applied) -> Value:
    names = {"sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin"}
    axis, rank = call.arguments.get("axis"), call.number(0).ndim
    if call.arguments.get("initial") is not None or call.output.dtype == "bool":
        raise _unknown(call.operation, " with an initial value, or of true and false")
    axes = range(rank) if axis is None else [axis] if isinstance(axis, int) else axis
    along = np.array([int(each) % rank for each in axes], np.int64)
    x = call.value(call.number(0), call.output.dtype)
    return call.sheet.add(
        names[call.operation.kind], x, along, keepdims=int(bool(call.arguments.get("keepdims")))
    )
