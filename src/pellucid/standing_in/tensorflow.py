"""Of TensorFlow, what scripts use around Keras: functions of arrays, tf.random, tf.data, and a few switches.

Each function takes TensorFlow's arguments and leaves the arithmetic to `pellucid.ops`, so that it also
works on the symbolic tensors of functional models. Arrays are JAX's: a `tf.Tensor` is a `jax.Array`, and
where JAX computes in 32 bits, so does this. `OFFERED` has every name that there is, without its "tf.".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from pellucid import initializers, ops
from pellucid.arrays import as_array
from pellucid.errors import ArgumentError, message
from pellucid.naming import snake_case
from pellucid.standing_in.dataset import AUTOTUNE, INFINITE, UNKNOWN, Dataset, TensorSpec
from pellucid.standing_in.finder import TENSORFLOW
from pellucid.standing_in.seeding import STREAMS
from pellucid.variables import Variable

#: Every name of TensorFlow that there is: "reduce_mean", "math.reduce_mean", ...
OFFERED: dict[str, Any] = {}
Function = TypeVar("Function", bound=Callable[..., Any])


def _offer(*names: str) -> Callable[[Function], Function]:
    """Enter a function under the names that TensorFlow has for it."""

    def enter(function: Function) -> Function:
        OFFERED.update(dict.fromkeys(names, function))
        return function

    return enter


def _dtype(dtype: Any) -> Any:
    """The type that stands for a type: 64 bits become 32, unless JAX was told to keep them."""
    if dtype is None or dtype == "string":
        return None
    return np.dtype(jax.dtypes.canonicalize_dtype(dtype))


# Making arrays.


@_offer("convert_to_tensor")
def convert_to_tensor(value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None) -> Any:
    """An array of a value; text stays with NumPy."""
    if isinstance(value, Variable):
        value = value.value
    if not hasattr(value, "dtype"):
        value = np.asarray(jax.tree.map(np.asarray, value, is_leaf=lambda leaf: hasattr(leaf, "dtype")))
    if value.dtype.kind in "OUST":
        return value
    return ops.convert_to_tensor(value, _dtype(value.dtype if dtype is None else dtype))


@_offer("constant")
def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """An array of a value, or filled with it."""
    array = convert_to_tensor(value, dtype)
    if shape is None:
        return array
    return ops.broadcast_to(array, shape) if array.size == 1 else ops.reshape(array, shape)


@_offer("Variable")
class TensorVariable(Variable):
    """A variable, with TensorFlow's arguments."""

    def __init__(
        self,
        initial_value: Any,
        trainable: bool | None = True,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        value = initial_value() if callable(initial_value) else initial_value
        array = np.asarray(value)
        super().__init__(array, dtype=_dtype(dtype or array.dtype), trainable=bool(trainable), name=name)


@_offer("zeros")
def zeros(shape: Any, dtype: Any = "float32", name: str | None = None) -> Any:
    """Zeros."""
    return ops.zeros(_sizes(shape), _dtype(dtype))


@_offer("ones")
def ones(shape: Any, dtype: Any = "float32", name: str | None = None) -> Any:
    """Ones."""
    return ops.ones(_sizes(shape), _dtype(dtype))


@_offer("fill")
def fill(dims: Any, value: Any, name: str | None = None) -> Any:
    """An array filled with a number."""
    return ops.broadcast_to(convert_to_tensor(value), _sizes(dims))


@_offer("zeros_like")
def zeros_like(input: Any, dtype: Any = None, name: str | None = None) -> Any:
    """Zeros in the shape of another array."""
    return ops.zeros_like(input, dtype=_dtype(dtype))


@_offer("ones_like")
def ones_like(input: Any, dtype: Any = None, name: str | None = None) -> Any:
    """Ones in the shape of another array."""
    return ops.ones_like(input, dtype=_dtype(dtype))


@_offer("eye", "linalg.eye")
def eye(num_rows: int, num_columns: int | None = None, dtype: Any = "float32", **kwargs: Any) -> Any:
    """The identity matrix."""
    return ops.eye(num_rows, num_columns, dtype=_dtype(dtype))


@_offer("range")
def arange(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = None) -> Any:
    """Numbers at equal distances, the limit not among them."""
    first, last = (0, start) if limit is None else (start, limit)
    return ops.arange(first, last, delta, dtype=_dtype(dtype))


@_offer("linspace")
def linspace(start: Any, stop: Any, num: int, name: str | None = None, axis: int = 0) -> Any:
    """Numbers at equal distances, the last among them."""
    return ops.linspace(start, stop, int(num), axis=axis)


@_offer("one_hot")
def one_hot(
    indices: Any,
    depth: int,
    on_value: Any = None,
    off_value: Any = None,
    axis: int | None = None,
    dtype: Any = "float32",
    name: str | None = None,
) -> Any:
    """Class numbers as rows with a one at their place."""
    rows = ops.one_hot(indices, int(depth), axis=-1 if axis is None else axis, dtype=_dtype(dtype))
    if on_value is None and off_value is None:
        return rows
    on, off = 1 if on_value is None else on_value, 0 if off_value is None else off_value
    return rows * on + (1 - rows) * off


def _sizes(shape: Any) -> tuple[int, ...]:
    """A shape as whole numbers, whatever it was given as."""
    if hasattr(shape, "__index__"):
        return (int(shape),)
    return tuple(int(size) for size in shape)


# What arrays are.


@_offer("shape")
def shape(input: Any, out_type: Any = None, name: str | None = None) -> Any:
    """The sizes along the axes, as a tuple."""
    return ops.shape(input)


@_offer("size")
def size(input: Any, out_type: Any = None, name: str | None = None) -> Any:
    """How many numbers there are."""
    return ops.size(input)


@_offer("rank")
def rank(input: Any, name: str | None = None) -> int:
    """How many axes there are."""
    return ops.ndim(input)


@_offer("is_tensor")
def is_tensor(x: Any) -> bool:
    """Whether this is an array of JAX, a variable, or symbolic."""
    return isinstance(x, jax.Array | Variable) or ops.is_tensor(x)


@_offer("cast", "dtypes.cast")
def cast_(x: Any, dtype: Any, name: str | None = None) -> Any:
    """The same numbers in another type."""
    return ops.cast(x, _dtype(dtype))


@_offer("print")
def print_(*inputs: Any, output_stream: Any = None, sep: str = " ", end: str = "\n", **kwargs: Any) -> None:
    """Print; arrays as NumPy writes them."""
    print(*(np.asarray(each) if isinstance(each, jax.Array) else each for each in inputs), sep=sep, end=end)


# Arithmetic. The names are those of keras.ops; TensorFlow's come after a colon where they are others.


def _named(names: str) -> list[tuple[str, str]]:
    pairs = (each.partition(":") for each in names.split())
    return [(ours, theirs or ours) for ours, _, theirs in pairs]


def _with_name(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that also takes TensorFlow's `name`."""

    def call(*args: Any, name: str | None = None, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = function.__name__
    call.__doc__ = function.__doc__
    return call


EVERYWHERE = (
    "abs add arccos:acos arcsin:asin arctan:atan arctan2:atan2 cos cosh equal exp floor "
    "floor_divide:floordiv greater greater_equal less less_equal logical_and logical_not logical_or maximum "
    "minimum multiply negative not_equal power:pow round sigmoid sign sin sinh sqrt square stop_gradient "
    "subtract tan tanh true_divide:divide true_divide:truediv"
)
ONLY_MATH = (
    "ceil count_nonzero erf expm1 isfinite:is_finite isinf:is_inf isnan:is_nan log log1p log_sigmoid "
    "mod:floormod reciprocal rsqrt softplus"
)
NEURAL = "relu relu6 elu selu silu silu:swish softplus softsign sigmoid tanh log_sigmoid"
for _ours, _theirs in _named(EVERYWHERE):
    OFFERED[_theirs] = OFFERED[f"math.{_theirs}"] = _with_name(getattr(ops, _ours))
for _ours, _theirs in _named(ONLY_MATH):
    OFFERED[f"math.{_theirs}"] = _with_name(getattr(ops, _ours))
for _ours, _theirs in _named(NEURAL):
    OFFERED[f"nn.{_theirs}"] = _with_name(getattr(ops, _ours))


@_offer("identity")
def identity(input: Any, name: str | None = None) -> Any:
    """The array itself."""
    return as_array(input) if not ops.is_tensor(input) else input


@_offer("math.squared_difference")
def squared_difference(x: Any, y: Any, name: str | None = None) -> Any:
    """(x - y)^2"""
    return ops.square(ops.subtract(x, y))


@_offer("math.divide_no_nan")
def divide_no_nan(x: Any, y: Any, name: str | None = None) -> Any:
    """x / y, and 0 where y is 0."""
    zero = ops.equal(y, 0)
    return ops.where(zero, 0.0, ops.true_divide(x, ops.where(zero, 1.0, y)))


@_offer("clip_by_value")
def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Any:
    """Numbers, none of them below or above the bounds."""
    return ops.clip(t, clip_value_min, clip_value_max)


@_offer("add_n", "math.add_n")
def add_n(inputs: Sequence[Any], name: str | None = None) -> Any:
    """The sum of several arrays."""
    total = inputs[0]
    for each in inputs[1:]:
        total = ops.add(total, each)
    return total


@_offer("cumsum", "math.cumsum")
def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: Any = None) -> Any:
    """Sums of the numbers up to each place."""
    array = ops.flip(x, axis) if reverse else x
    sums = ops.cumsum(array, axis)
    sums = ops.subtract(sums, array) if exclusive else sums
    return ops.flip(sums, axis) if reverse else sums


def _reduction(name: str, *others: str) -> None:
    reduce = getattr(ops, name)

    def call(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
        return reduce(input_tensor, axis=axis, keepdims=keepdims)

    call.__name__ = f"reduce_{others[0] if others else name}"
    call.__doc__ = reduce.__doc__
    OFFERED[call.__name__] = OFFERED[f"math.{call.__name__}"] = call


for _name in ("sum", "mean", "max", "min", "prod", "all", "any", "logsumexp"):
    _reduction(_name)
for _name, _other in (("std", "std"), ("var", "variance")):
    _reduction(_name, _other)
    del OFFERED[f"reduce_{_other}"]  # only in tf.math


def _index(name: str, ours: str) -> None:
    find = getattr(ops, ours)

    def call(input: Any, axis: int | None = None, output_type: Any = "int64", name: str | None = None) -> Any:
        return ops.cast(find(input, axis=0 if axis is None else axis), _dtype(output_type))

    call.__name__ = name
    call.__doc__ = find.__doc__
    OFFERED[name] = OFFERED[f"math.{name}"] = call


_index("argmax", "argmax")
_index("argmin", "argmin")


@_offer("argsort")
def argsort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", stable: bool = False, name: Any = None
):
    """The places of the numbers in their order."""
    return ops.argsort(values if direction == "ASCENDING" else ops.negative(values), axis=axis)


@_offer("sort")
def sort(values: Any, axis: int = -1, direction: str = "ASCENDING", name: str | None = None) -> Any:
    """The numbers in their order."""
    ordered = ops.sort(values, axis=axis)
    return ordered if direction == "ASCENDING" else ops.flip(ordered, axis)


@_offer("math.top_k", "nn.top_k")
def top_k(input: Any, k: int = 1, sorted: bool = True, name: str | None = None) -> Any:
    """The largest numbers along the last axis, and their places."""
    return ops.top_k(input, k, sorted=sorted)


@_offer("math.confusion_matrix")
def confusion_matrix(
    labels: Any,
    predictions: Any,
    num_classes: int | None = None,
    weights: Any = None,
    dtype: Any = "int32",
    name: str | None = None,
) -> Any:
    """How many of each class (rows) were taken for which (columns)."""
    true, said = np.asarray(labels).astype(int).ravel(), np.asarray(predictions).astype(int).ravel()
    classes = int(max(true.max(initial=-1), said.max(initial=-1))) + 1 if num_classes is None else num_classes
    counts = np.zeros((classes, classes), np.dtype(_dtype(dtype)))
    np.add.at(counts, (true, said), 1 if weights is None else np.asarray(weights))
    return as_array(counts)


@_offer("math.bincount")
def bincount(arr: Any, weights: Any = None, minlength: Any = None, **kwargs: Any) -> Any:
    """How often each whole number occurs."""
    return as_array(np.bincount(np.asarray(arr).ravel(), weights, minlength or 0))


# Matrices.


@_offer("matmul", "linalg.matmul")
def matmul(
    a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, name: str | None = None
) -> Any:
    """The product of matrices."""
    return ops.matmul(_turned(a) if transpose_a else a, _turned(b) if transpose_b else b)


def _turned(matrices: Any) -> Any:
    return ops.swapaxes(matrices, -1, -2)


@_offer("tensordot")
def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Any:
    """The sum of products over some axes."""
    return ops.tensordot(a, b, axes)


@_offer("einsum")
def einsum(equation: str, *inputs: Any, **kwargs: Any) -> Any:
    """The sum of products that an equation names."""
    return ops.einsum(equation, *inputs)


@_offer("norm", "linalg.norm")
def norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool = False, name: Any = None):
    """The length of vectors; of the whole array if no axis is said."""
    array = ops.reshape(tensor, (-1,)) if axis is None else tensor
    length = ops.norm(array, None if ord == "euclidean" else ord, -1 if axis is None else axis, keepdims)
    return ops.reshape(length, (1,) * len(ops.shape(tensor))) if axis is None and keepdims else length


@_offer("linalg.inv")
def inv(input: Any, adjoint: bool = False, name: str | None = None) -> Any:
    """The inverse of matrices."""
    return ops.inv(input)


@_offer("linalg.det")
def det(input: Any, name: str | None = None) -> Any:
    """The determinant of matrices."""
    return ops.det(input)


@_offer("linalg.diag")
def diag(diagonal: Any, name: str | None = None) -> Any:
    """A matrix with these numbers on its diagonal."""
    return ops.diag(diagonal)


@_offer("linalg.diag_part")
def diag_part(input: Any, name: str | None = None) -> Any:
    """The diagonal of matrices."""
    return ops.diagonal(input, axis1=-2, axis2=-1)


# Shapes and parts.


@_offer("reshape")
def reshape(tensor: Any, shape: Any, name: str | None = None) -> Any:
    """The same numbers in another shape."""
    return ops.reshape(tensor, _sizes(shape))


@_offer("transpose")
def transpose(a: Any, perm: Any = None, conjugate: bool = False, name: str | None = None) -> Any:
    """The axes in another order."""
    return ops.transpose(a, perm)


@_offer("expand_dims")
def expand_dims(input: Any, axis: Any, name: str | None = None) -> Any:
    """One more axis, of size one."""
    return ops.expand_dims(input, axis)


@_offer("squeeze")
def squeeze(input: Any, axis: Any = None, name: str | None = None) -> Any:
    """Without axes of size one."""
    return ops.squeeze(input, tuple(axis) if isinstance(axis, list) else axis)


@_offer("concat")
def concat(values: Any, axis: int, name: str | None = None) -> Any:
    """Arrays one after the other along an axis."""
    return ops.concatenate([each.value if isinstance(each, Variable) else each for each in values], axis)


@_offer("stack")
def stack(values: Any, axis: int = 0, name: str | None = None) -> Any:
    """Arrays side by side along a new axis."""
    return ops.stack([each.value if isinstance(each, Variable) else each for each in values], axis)


@_offer("unstack")
def unstack(value: Any, num: int | None = None, axis: int = 0, name: str | None = None) -> Any:
    """The parts along an axis."""
    return ops.unstack(value, num, axis)


@_offer("split")
def split(value: Any, num_or_size_splits: Any, axis: int = 0, num: Any = None, name: Any = None) -> Any:
    """Parts of equal size, or of the sizes that are said."""
    if hasattr(num_or_size_splits, "__index__"):
        return ops.split(value, int(num_or_size_splits), axis)
    return ops.split(value, np.cumsum(num_or_size_splits)[:-1].tolist(), axis)


@_offer("tile")
def tile(input: Any, multiples: Any, name: str | None = None) -> Any:
    """The array again and again along its axes."""
    return ops.tile(input, _sizes(multiples))


@_offer("repeat")
def repeat(input: Any, repeats: Any, axis: int | None = None, name: str | None = None) -> Any:
    """Each part again and again."""
    return ops.repeat(input, repeats, axis)


@_offer("reverse")
def reverse(tensor: Any, axis: Any, name: str | None = None) -> Any:
    """The array from its end to its beginning along some axes."""
    return ops.flip(tensor, tuple(axis) if isinstance(axis, list) else axis)


@_offer("pad")
def pad(
    tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0, name: Any = None
) -> Any:
    """More room at the ends of each axis."""
    sizes = tuple((int(before), int(after)) for before, after in np.asarray(paddings))
    if mode.upper() == "CONSTANT":
        return ops.pad(tensor, sizes, "constant", constant_values)
    return ops.pad(tensor, sizes, mode.lower())


@_offer("broadcast_to")
def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Any:
    """The array repeated to a shape."""
    return ops.broadcast_to(input, _sizes(shape))


@_offer("gather", "nn.embedding_lookup")
def gather(params: Any, indices: Any, validate_indices: Any = None, axis: int = 0, **kwargs: Any) -> Any:
    """The parts at some places along an axis."""
    return ops.take(params, indices, axis=axis)


@_offer("boolean_mask")
def boolean_mask(tensor: Any, mask: Any, axis: int | None = None, name: str | None = None) -> Any:
    """The parts where a mask is true."""
    before = (slice(None),) * (axis or 0)
    return as_array(tensor)[(*before, np.asarray(mask, bool))]


@_offer("where")
def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Any:
    """x where a condition is true, else y; the places where it is true if neither is given."""
    if x is None and y is None:
        return as_array(np.argwhere(np.asarray(condition)))
    return ops.where(condition, x, y)


# Neural networks.


@_offer("nn.softmax")
def softmax(logits: Any, axis: int = -1, name: str | None = None) -> Any:
    """exp(z) / sum(exp(z))"""
    return ops.softmax(logits, axis)


@_offer("nn.log_softmax")
def log_softmax(logits: Any, axis: int = -1, name: str | None = None) -> Any:
    """The logarithm of softmax."""
    return ops.log_softmax(logits, axis)


@_offer("nn.leaky_relu")
def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Any:
    """x where it is positive, else alpha*x"""
    return ops.leaky_relu(features, alpha)


@_offer("nn.gelu")
def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Any:
    """x times the normal distribution function at x."""
    return ops.gelu(features, approximate)


@_offer("nn.l2_loss")
def l2_loss(t: Any, name: str | None = None) -> Any:
    """Half of the sum of squares."""
    return ops.sum(ops.square(t)) / 2


@_offer("nn.l2_normalize", "math.l2_normalize")
def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None) -> Any:
    """Vectors divided by their length."""
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(squares, epsilon)))


@_offer("nn.moments")
def moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """Mean and variance along some axes."""
    axes = tuple(axes) if isinstance(axes, list) else axes
    return ops.mean(x, axis=axes, keepdims=keepdims), ops.var(x, axis=axes, keepdims=keepdims)


@_offer("nn.bias_add")
def bias_add(value: Any, bias: Any, data_format: Any = None, name: str | None = None) -> Any:
    """A bias for each channel, the last axis."""
    return ops.add(value, bias)


@_offer("nn.sigmoid_cross_entropy_with_logits")
def sigmoid_cross_entropy_with_logits(labels: Any = None, logits: Any = None, name: str | None = None) -> Any:
    """max(z, 0) - z*y + log(1 + exp(-|z|)), of each number"""
    return ops.relu(logits) - logits * labels + ops.log1p(ops.exp(-ops.abs(logits)))


@_offer("nn.softmax_cross_entropy_with_logits")
def softmax_cross_entropy_with_logits(
    labels: Any, logits: Any, axis: int = -1, name: str | None = None
) -> Any:
    """-sum(y * log_softmax(z)), of each row"""
    return ops.negative(ops.sum(ops.multiply(labels, ops.log_softmax(logits, axis)), axis=axis))


@_offer("nn.sparse_softmax_cross_entropy_with_logits")
def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any, name: str | None = None) -> Any:
    """-log_softmax(z) at the class number, of each row"""
    classes = ops.one_hot(labels, ops.shape(logits)[-1])
    return softmax_cross_entropy_with_logits(classes, logits)


# tf.random


OFFERED["random.set_seed"] = STREAMS.set_seed


@_offer("random.normal")
def random_normal(
    shape: Any,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> Any:
    """Normal numbers."""
    return jax.random.normal(STREAMS.key(seed), _sizes(shape), _dtype(dtype)) * stddev + mean


@_offer("random.truncated_normal")
def random_truncated_normal(
    shape: Any,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> Any:
    """Normal numbers, none further than two standard deviations from the mean."""
    drawn = jax.random.truncated_normal(STREAMS.key(seed), -2.0, 2.0, _sizes(shape), _dtype(dtype))
    return drawn * stddev + mean


@_offer("random.uniform")
def random_uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> Any:
    """Numbers between two bounds; whole numbers if the type says so."""
    kind = np.dtype(_dtype(dtype))
    if kind.kind in "iu":
        if maxval is None:
            raise ArgumentError(message("whole numbers need an upper bound.", came="maxval=None"))
        return jax.random.randint(STREAMS.key(seed), _sizes(shape), minval, maxval, kind)
    return jax.random.uniform(
        STREAMS.key(seed), _sizes(shape), kind, minval, 1.0 if maxval is None else maxval
    )


@_offer("random.shuffle")
def random_shuffle(value: Any, seed: int | None = None, name: str | None = None) -> Any:
    """The rows in another order."""
    array = as_array(value)
    return array[STREAMS.generator(seed).permutation(len(array))]


# tf.function, tf.config, logging: what a script says around its model.


@_offer("function")
def function(func: Any = None, **kwargs: Any) -> Any:
    """The function itself: it runs as it stands, and what `fit` does is compiled in any case."""
    return func if func is not None else lambda decorated: decorated


@_offer("config.list_physical_devices", "config.list_logical_devices")
@_offer("config.experimental.list_physical_devices")
def list_physical_devices(device_type: str | None = None) -> list[Any]:
    """The devices that JAX computes on, and the CPU."""
    found = {device.id: device for device in jax.devices()}
    devices = [*jax.devices("cpu"), *(each for each in found.values() if each.platform != "cpu")]
    return [each for each in devices if device_type in (None, each.platform.upper())]


@_offer("test.gpu_device_name")
def gpu_device_name() -> str:
    """The name of the first GPU, or nothing."""
    return "/device:GPU:0" if list_physical_devices("GPU") else ""


@_offer("test.is_gpu_available")
def is_gpu_available(*args: Any, **kwargs: Any) -> bool:
    """Whether JAX computes on a GPU."""
    return bool(list_physical_devices("GPU"))


@_offer("executing_eagerly")
def executing_eagerly() -> bool:
    """Outside of `fit`, everything is computed at once."""
    return True


@_offer("get_logger")
def get_logger() -> logging.Logger:
    """The logger of that name. Nothing here writes to it."""
    return logging.getLogger("tensorflow")


@_offer("autograph.set_verbosity", "compat.v1.logging.set_verbosity")
def set_verbosity(level: Any, *args: Any, **kwargs: Any) -> None:
    """Accepted: there is nothing that could be silenced."""


@_offer("config.experimental.set_memory_growth")
def set_memory_growth(device: Any, enable: bool) -> None:
    """Accepted: how much memory JAX takes is set before Python starts, by XLA_PYTHON_CLIENT_PREALLOCATE."""


@_offer("config.experimental.enable_op_determinism")
def enable_op_determinism() -> None:
    """Accepted: on a CPU the same seed gives the same numbers anyway."""


@_offer("config.run_functions_eagerly")
def run_functions_eagerly(run_eagerly: bool) -> None:
    """Accepted: functions run as they stand. `model.compile(run_eagerly=True)` is for `fit`."""


FLOATS, INTEGERS = "float16 float32 float64", "int8 int16 int32 int64 uint8 uint16 uint32"
for _name in f"{FLOATS} {INTEGERS} bool".split():
    OFFERED[_name] = OFFERED[f"dtypes.{_name}"] = np.dtype(_name)
for _name in ("DEBUG", "ERROR", "FATAL", "INFO", "WARN"):
    OFFERED[f"compat.v1.logging.{_name}"] = getattr(logging, _name)
for _name in ("RandomNormal", "RandomUniform", "TruncatedNormal", "Constant", "Ones", "Zeros"):
    OFFERED[f"{snake_case(_name)}_initializer"] = getattr(initializers, _name)
OFFERED.update(
    {
        "bfloat16": np.dtype(jax.numpy.bfloat16),
        "string": "string",
        "dtypes.string": "string",
        "newaxis": None,
        "Tensor": jax.Array,
        "TensorShape": tuple,
        "TensorSpec": TensorSpec,
        "data.Dataset": Dataset,
        "data.AUTOTUNE": AUTOTUNE,
        "data.experimental.AUTOTUNE": AUTOTUNE,
        "data.INFINITE_CARDINALITY": INFINITE,
        "data.UNKNOWN_CARDINALITY": UNKNOWN,
        "version.VERSION": TENSORFLOW,
    }
)
