"""Names of Keras that are older than Keras 3: K.mean, K.square, ..., losses.mse, preprocessing.text.

The functions of keras.backend take the arguments that they always took, and leave the arithmetic to
`pellucid.ops`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from pellucid import losses, ops, random
from pellucid.arrays import floatx
from pellucid.errors import ArgumentError, message
from pellucid.standing_in import text
from pellucid.variables import Variable

#: Every older name: "backend.mean", "losses.mse", ...
OFFERED: dict[str, Any] = {
    "preprocessing.text.Tokenizer": text.Tokenizer,
    "preprocessing.text.hashing_trick": text.hashing_trick,
    "preprocessing.text.one_hot": text.one_hot,
    "preprocessing.text.text_to_word_sequence": text.text_to_word_sequence,
    "preprocessing.text.tokenizer_from_json": text.tokenizer_from_json,
}
#: Losses by the names that they had, which are also metrics.
SHORT = {
    "kullback_leibler_divergence": "kl_divergence",
    "kld": "kl_divergence",
    "logcosh": "log_cosh",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}
for _name, _new in SHORT.items():
    for _short in {_name, _name.upper()} if len(_name) < 5 else {_name}:
        OFFERED[f"losses.{_short}"] = OFFERED[f"metrics.{_short}"] = getattr(losses, _new)
Function = TypeVar("Function", bound=Callable[..., Any])
#: Those that are the same in keras.ops; the name that they have there comes after a colon if it is another.
SAME = (
    "abs all any arange cast clip cos cumprod cumsum dot elu equal exp expand_dims eye gather:take greater "
    "greater_equal hard_sigmoid less less_equal log logsumexp max maximum mean min minimum not_equal one_hot "
    "ones ones_like pow:power prod repeat_elements:repeat reshape round sigmoid sign sin softplus softsign "
    "sqrt square squeeze stack std stop_gradient sum tanh tile transpose var zeros zeros_like"
)


def _offer(function: Function) -> Function:
    """Enter a function under its name."""
    OFFERED[f"backend.{function.__name__.rstrip('_')}"] = function
    return function


for _name in SAME.split():
    _old, _, _new = _name.partition(":")
    OFFERED[f"backend.{_old}"] = getattr(ops, _new or _old)


def _last(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays whose `axis` is the last one if none is said."""

    def call(x: Any, axis: int = -1) -> Any:
        return function(x, axis=axis)

    return call


for _name in ("argmax", "argmin", "softmax"):
    OFFERED[f"backend.{_name}"] = _last(getattr(ops, _name))


@_offer
def flatten(x: Any) -> Any:
    """All numbers in one row."""
    return ops.reshape(x, (-1,))


@_offer
def batch_flatten(x: Any) -> Any:
    """Each row of a batch as one row of numbers."""
    return ops.reshape(x, (-1, int(np.prod(ops.shape(x)[1:]))))


@_offer
def concatenate(tensors: Sequence[Any], axis: int = -1) -> Any:
    """Arrays one after the other along an axis."""
    return ops.concatenate(tensors, axis)


@_offer
def permute_dimensions(x: Any, pattern: Any) -> Any:
    """The axes in another order."""
    return ops.transpose(x, pattern)


@_offer
def relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """x where it is positive, else alpha*x."""
    from pellucid.activations import relu

    return relu(x, alpha, max_value, threshold)


@_offer
def l2_normalize(x: Any, axis: int | None = None) -> Any:
    """Vectors divided by their length."""
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(squares, 1e-12)))


@_offer
def shape(x: Any) -> Any:
    """The sizes along the axes."""
    return ops.shape(x)


@_offer
def int_shape(x: Any) -> Any:
    """The sizes along the axes; None for what may be any."""
    return tuple(x.shape)


@_offer
def ndim(x: Any) -> int:
    """How many axes there are."""
    return len(x.shape)


@_offer
def dtype(x: Any) -> str:
    """The name of the type of the numbers."""
    return str(x.dtype)


@_offer
def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """An array of a value, or filled with it."""
    array = ops.convert_to_tensor(value, dtype or floatx())
    return array if shape is None else ops.broadcast_to(array, tuple(shape))


@_offer
def variable(value: Any, dtype: Any = None, name: str | None = None, constraint: Any = None) -> Variable:
    """A variable."""
    return Variable(np.asarray(value), dtype=dtype or floatx(), name=name, constraint=constraint)


@_offer
def get_value(x: Any) -> Any:
    """The value of a variable, as a NumPy array."""
    return np.array(x)[()]


@_offer
def set_value(x: Variable, value: Any) -> None:
    """Set the value of a variable."""
    x.assign(value)


@_offer
def eval_(x: Any) -> Any:
    """The value of an array, as a NumPy array."""
    return np.array(x)[()]


@_offer
def update(x: Variable, new_x: Any) -> Variable:
    """Set the value of a variable."""
    return x.assign(new_x)


@_offer
def update_add(x: Variable, increment: Any) -> Variable:
    """Add to a variable."""
    return x.assign_add(increment)


@_offer
def update_sub(x: Variable, decrement: Any) -> Variable:
    """Subtract from a variable."""
    return x.assign_sub(decrement)


@_offer
def count_params(x: Any) -> int:
    """How many numbers there are."""
    return int(np.prod(x.shape))


@_offer
def repeat(x: Any, n: int) -> Any:
    """Each row n times, along a new axis after the first."""
    return ops.repeat(ops.expand_dims(x, 1), n, axis=1)


@_offer
def reverse(x: Any, axes: Any) -> Any:
    """From the end to the beginning along some axes."""
    return ops.flip(x, axes)


@_offer
def random_normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None):
    """Normally distributed numbers."""
    return random.normal(tuple(shape), mean, stddev, dtype, seed)


@_offer
def random_uniform(shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None):
    """Numbers between two bounds."""
    return random.uniform(tuple(shape), minval, maxval, dtype, seed)


@_offer
def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """One of two arrays (or functions that give them), number by number."""
    one, other = (each() if callable(each) else each for each in (then_expression, else_expression))
    return ops.where(condition, one, other)


@_offer
def cast_to_floatx(x: Any) -> Any:
    """The same numbers in the default float type."""
    return np.asarray(x, floatx()) if isinstance(x, np.ndarray | list | float) else ops.cast(x, floatx())


@_offer
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """The loss of each number."""
    return ops.binary_crossentropy(target, output, from_logits)


@_offer
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """The loss of each row, with one-hot targets."""
    return ops.categorical_crossentropy(target, output, from_logits, axis)


@_offer
def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    """The loss of each row, with class numbers as targets."""
    return ops.sparse_categorical_crossentropy(target, output, from_logits, axis)


@_offer
def learning_phase() -> Any:
    """Not there any more: a call that trains is told so."""
    raise ArgumentError(
        message(
            "there is no learning phase any more.", mend="take `training` in call(self, inputs, training)."
        )
    )
