"""How wrong a prediction is: the loss of each example, and the cost, their mean.

Each loss is a function of (y_true, y_pred) that gives one number per example, and a class around
it that reduces those numbers to the cost. Rows that only fill up a batch (`valid` False) count
neither in the sum nor in the number of examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import naming
from pellucid.arrays import Array, ArrayLike, as_array, as_float, floatx
from pellucid.errors import ArgumentError, DataError, ShapeError, message
from pellucid.formula import (
    LARGE,
    Choice,
    Expression,
    Function,
    Let,
    Number,
    at_least,
    exponentials,
    largest,
    log,
    log_sum_exp,
    mean,
    sigmoid,
    softplus,
    sqrt,
    statement_of,
    states,
    total,
    within,
)
from pellucid.masks import mask_of, with_mask
from pellucid.naming import Catalogue, Configurable, snake_case

CATALOGUE = Catalogue("loss")
#: Probabilities are kept this far from 0 and 1 before their logarithm is taken.
EPSILON = 1e-7
REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None)


def same_rank(first: Array, second: Array) -> tuple[Array, Array]:
    """Give (n,) and (n, 1) the same number of axes; leave everything else as it is."""
    swapped = first.ndim < second.ndim
    longer, shorter = (second, first) if swapped else (first, second)
    if longer.ndim == shorter.ndim + 1 and longer.shape[-1] == 1:
        if shorter.ndim == 1:
            shorter = shorter[:, None]
        else:
            longer = longer[..., 0]
    return (shorter, longer) if swapped else (longer, shorter)


def _mean_of(term: Callable[..., Expression]) -> Callable[..., Expression]:
    """The statement of a loss that is the mean of a term over the targets and outputs of an example."""
    return lambda y, p, **options: mean(term(*each, **options) for each in zip(y, p, strict=True))


def _pair(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[Array, Array]:
    predicted = as_float(y_pred)
    actual, predicted = same_rank(as_array(y_true).astype(predicted.dtype), predicted)
    return actual, predicted


def _same_shape(y_true: Array, y_pred: Array, loss: str) -> None:
    if y_true.shape != y_pred.shape:
        raise ShapeError(
            message(
                f"{loss}: Arguments `target` and `output` must have the same shape.",
                came=f"targets of shape {y_true.shape}, outputs of shape {y_pred.shape}",
                expected="one target for each output",
                mend="give the last layer as many units as a row of y has numbers"
                + (
                    ", or use sparse_categorical_crossentropy for whole-number classes."
                    if y_pred.shape[-1] > 1
                    else "."
                ),
            )
        )


@CATALOGUE.entry("mse", "MSE")
@states(_mean_of(lambda y, p: (y - p) ** 2))
def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """loss = mean((y - p)^2).

    >>> mean_squared_error([[1.0, 2.0]], [[1.0, 4.0]]).tolist()
    [2.0]
    """
    y, p = _pair(y_true, y_pred)
    return jnp.mean(jnp.square(y - p), axis=-1)


@CATALOGUE.entry("mae", "MAE")
@states(_mean_of(lambda y, p: abs(y - p)))
def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """loss = mean(|y - p|)."""
    y, p = _pair(y_true, y_pred)
    return jnp.mean(jnp.abs(y - p), axis=-1)


_mean_share = _mean_of(lambda y, p: abs(y - p) / at_least(abs(y), EPSILON))


@CATALOGUE.entry("mape", "MAPE")
@states(lambda y, p: 100 * _mean_share(y, p))
def mean_absolute_percentage_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """loss = 100 * mean(|y - p| / |y|)."""
    y, p = _pair(y_true, y_pred)
    return 100.0 * jnp.mean(jnp.abs((y - p) / jnp.maximum(jnp.abs(y), EPSILON)), axis=-1)


@CATALOGUE.entry("msle", "MSLE")
@states(_mean_of(lambda y, p: (log(1 + at_least(y, EPSILON)) - log(1 + at_least(p, EPSILON))) ** 2))
def mean_squared_logarithmic_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """loss = mean((log(1 + y) - log(1 + p))^2)."""
    y, p = _pair(y_true, y_pred)
    difference = jnp.log(jnp.maximum(p, EPSILON) + 1.0) - jnp.log(jnp.maximum(y, EPSILON) + 1.0)
    return jnp.mean(jnp.square(difference), axis=-1)


def _huber(y: Expression, p: Expression, delta: float = 1.0) -> Expression:
    error = abs(p - y)
    return Choice(error, "<=", delta, 0.5 * error**2, delta * error - 0.5 * Number(delta) ** 2)


@CATALOGUE.entry()
@states(_mean_of(_huber))
def huber(y_true: ArrayLike, y_pred: ArrayLike, delta: float = 1.0) -> Array:
    """loss = mean(e^2 / 2 where |e| <= delta, else delta * |e| - delta^2 / 2), e = p - y. Huber, 1964."""
    y, p = _pair(y_true, y_pred)
    error = jnp.abs(p - y)
    return jnp.mean(jnp.where(error <= delta, 0.5 * error**2, delta * error - 0.5 * delta**2), axis=-1)


def _log_cosh(y: Expression, p: Expression) -> Expression:
    error = p - y
    if abs(error.value) <= LARGE:
        return log(Function("cosh", [error]))
    return softplus(-2 * abs(error)) + abs(error) - log(2)


@CATALOGUE.entry("logcosh")
@states(_mean_of(_log_cosh))
def log_cosh(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """loss = mean(log(cosh(p - y)))."""
    y, p = _pair(y_true, y_pred)
    error = p - y
    return jnp.mean(error + jax.nn.softplus(-2.0 * error) - jnp.log(jnp.array(2.0, error.dtype)), axis=-1)


def _signed(y: Array) -> Array:
    """Labels 0 and 1 as -1 and +1; other labels as they are."""
    return jnp.where(jnp.all((y == 0) | (y == 1)), 2.0 * y - 1.0, y)


@CATALOGUE.entry()
@states(_mean_of(lambda y, p: largest(1 - y * p, 0)))
def hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """loss = mean(max(1 - y * p, 0)), with y -1 or +1 (0 and 1 are taken as those)."""
    y, p = _pair(y_true, y_pred)
    return jnp.mean(jnp.maximum(1.0 - _signed(y) * p, 0.0), axis=-1)


@CATALOGUE.entry()
@states(_mean_of(lambda y, p: largest(1 - y * p, 0) ** 2))
def squared_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """loss = mean(max(1 - y * p, 0)^2), with y -1 or +1 (0 and 1 are taken as those)."""
    y, p = _pair(y_true, y_pred)
    return jnp.mean(jnp.square(jnp.maximum(1.0 - _signed(y) * p, 0.0)), axis=-1)


def _categorical_hinge(y: Sequence[Expression], p: Sequence[Expression]) -> Expression:
    pairs = list(zip(y, p, strict=True))
    wrong = largest(*((1 - y) * p for y, p in pairs))
    return largest(wrong - total(y * p for y, p in pairs) + 1, 0)


@CATALOGUE.entry()
@states(_categorical_hinge)
def categorical_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """loss = max(1 + (largest p of a wrong class) - (p of the right class), 0)."""
    y, p = _pair(y_true, y_pred)
    right, wrong = jnp.sum(y * p, axis=-1), jnp.max((1.0 - y) * p, axis=-1)
    return jnp.maximum(wrong - right + 1.0, 0.0)


def _kl_divergence(y: Sequence[Expression], p: Sequence[Expression]) -> Expression:
    pairs = [(within(y, EPSILON, 1.0), within(p, EPSILON, 1.0)) for y, p in zip(y, p, strict=True)]
    return total(y * log(y / p) for y, p in pairs)


@CATALOGUE.entry("kld", "KLD", "kl_divergence", "kullback_leibler_divergence")
@states(_kl_divergence)
def kl_divergence(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """loss = sum(y * log(y / p))."""
    y, p = _pair(y_true, y_pred)
    y, p = jnp.clip(y, EPSILON, 1.0), jnp.clip(p, EPSILON, 1.0)
    return jnp.sum(y * jnp.log(y / p), axis=-1)


@CATALOGUE.entry()
@states(_mean_of(lambda y, p: p - y * log(p + EPSILON)))
def poisson(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """loss = mean(p - y * log(p))."""
    y, p = _pair(y_true, y_pred)
    return jnp.mean(p - y * jnp.log(p + EPSILON), axis=-1)


def _length(name: str, v: Sequence[Expression]) -> Expression:
    return Let(name, sqrt(at_least(total(each**2 for each in v), 1e-12)))


def _cosine_similarity(y: Sequence[Expression], p: Sequence[Expression], axis: int = -1) -> Expression:
    products = total(y * p for y, p in zip(y, p, strict=True))
    return -(products / (_length("length_y", y) * _length("length_p", p)))


@CATALOGUE.entry()
@states(_cosine_similarity)
def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Array:
    """loss = -(y / |y|) . (p / |p|): -1 where they point the same way."""
    y, p = _pair(y_true, y_pred)

    def unit(v: Array) -> Array:
        return v * jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(v), axis=axis, keepdims=True), 1e-12))

    return -jnp.sum(unit(y) * unit(p), axis=axis)


def _inside(p: Expression) -> Expression:
    """A probability kept away from 0 and 1, as far as numbers of the default type can be."""
    return within(p, EPSILON, float(np.asarray(1.0 - EPSILON, jnp.dtype(floatx()))))


def _binary_crossentropy(
    y: Expression, p: Expression, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Expression:
    if label_smoothing:
        y = y * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        return y * softplus(-p) + (1 - y) * softplus(p)
    p = _inside(p)
    return -(y * log(p) + (1 - y) * log(1 - p))


@CATALOGUE.entry()
@states(_mean_of(_binary_crossentropy))
def binary_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """loss = mean(-(y * log(p) + (1 - y) * log(1 - p))).

    Args:
        y_true: 0 or 1 (or a probability) for each output, shape (rows, outputs).
        y_pred: probabilities, kept 1e-7 from 0 and 1; or z before the sigmoid, with `from_logits`.
        from_logits: whether y_pred is z rather than sigmoid(z).
        label_smoothing: how far y is moved towards 0.5: y * (1 - s) + 0.5 * s.
        axis: the axis that the mean is taken over.
    """
    y, p = _pair(y_true, y_pred)
    _same_shape(y, p, "binary_crossentropy")
    if label_smoothing:
        y = y * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        log_p, log_q = jax.nn.log_sigmoid(p), jax.nn.log_sigmoid(-p)
    else:
        p = jnp.clip(p, EPSILON, 1.0 - EPSILON)
        log_p, log_q = jnp.log(p), jnp.log(1.0 - p)
    return jnp.mean(-(y * log_p + (1.0 - y) * log_q), axis=axis)


def _log_probabilities(p: Array, from_logits: bool, axis: int) -> Array:
    if from_logits:
        return jax.nn.log_softmax(p, axis=axis)
    p = p / jnp.sum(p, axis=axis, keepdims=True)
    return jnp.log(jnp.clip(p, EPSILON, 1.0 - EPSILON))


def _log_probability(p: Sequence[Expression], from_logits: bool) -> Callable[[int], Expression]:
    """What gives the logarithm of the probability of a class."""
    if from_logits:
        log_sum = log_sum_exp(p)
        return lambda place: p[place] - log_sum
    sum_of_p = Let("sum_p", total(p))
    return lambda place: log(_inside(p[place] / sum_of_p))


def _categorical_crossentropy(
    y: Sequence[Expression],
    p: Sequence[Expression],
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Expression:
    if label_smoothing:
        y = [each * (1.0 - label_smoothing) + label_smoothing / len(y) for each in y]
    log_p = _log_probability(p, from_logits)
    return -total(each * log_p(place) for place, each in enumerate(y))


@CATALOGUE.entry()
@states(_categorical_crossentropy)
def categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """loss = -sum(y * log(p)), with y one-hot: 1 at the right class, shape (rows, classes)."""
    y, p = _pair(y_true, y_pred)
    _same_shape(y, p, "categorical_crossentropy")
    if label_smoothing:
        y = y * (1.0 - label_smoothing) + label_smoothing / y.shape[-1]
    return -jnp.sum(y * _log_probabilities(p, from_logits, axis), axis=axis)


def _sparse_categorical_crossentropy(
    y: Sequence[Expression],
    p: Sequence[Expression],
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Expression:
    right = int(y[0].value)
    if right == ignore_class or not 0 <= right < len(p):
        return Number(0.0)
    return -_log_probability(p, from_logits)(right)


@CATALOGUE.entry()
@states(_sparse_categorical_crossentropy)
def sparse_categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Array:
    """loss = -log(p of the right class), with y the number of the class, from 0."""
    p, y = as_float(y_pred), as_array(y_true)
    if y.ndim == p.ndim and y.shape[-1] == 1:
        y = y[..., 0]
    if y.shape != p.shape[:-1]:
        raise ShapeError(
            message(
                "sparse_categorical_crossentropy: Arguments `target` and `output` must have the same shape "
                f"up until the last dimension: target.shape={y.shape}, output.shape={p.shape}",
                came="another number of classes than of rows of outputs",
                expected=f"targets of shape {p.shape[:-1]}",
                mend="put a Flatten layer before the Dense layers."
                if y.ndim < p.ndim - 1
                else "for one-hot targets use categorical_crossentropy.",
            )
        )
    classes = y.astype("int32")
    one_hot = jax.nn.one_hot(classes, p.shape[axis], axis=axis, dtype=p.dtype)
    losses = -jnp.sum(one_hot * _log_probabilities(p, from_logits, axis), axis=axis)
    if ignore_class is None:
        return losses
    counted = classes != ignore_class
    # What is ignored is no part of a mean, either.
    return with_mask(jnp.where(counted, losses, 0.0), counted)


def _focal(
    y: Expression,
    p: Expression,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Expression:
    if label_smoothing:
        y = y * (1.0 - label_smoothing) + 0.5 * label_smoothing
    p = sigmoid(p) if from_logits else p
    focal = (1 - (y * p + (1 - y) * (1 - p))) ** gamma * _binary_crossentropy(y, p)
    return (y * alpha + (1 - y) * (1 - alpha)) * focal if apply_class_balancing else focal


@CATALOGUE.entry()
@states(_mean_of(_focal))
def binary_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """loss = mean((1 - p_t)^gamma * binary crossentropy), p_t the probability of what is right.

    Examples that are right already count little. Lin et al., 2017.

    Args:
        y_true, y_pred, from_logits, label_smoothing, axis: as for `binary_crossentropy`.
        apply_class_balancing: whether losses of class 1 are multiplied by alpha, of class 0 by 1 - alpha.
        alpha: see there.
        gamma: 0 gives the plain crossentropy.
    """
    y, p = _pair(y_true, y_pred)
    _same_shape(y, p, "binary_focal_crossentropy")
    if label_smoothing:
        y = y * (1.0 - label_smoothing) + 0.5 * label_smoothing
    p = jax.nn.sigmoid(p) if from_logits else p
    inside = jnp.clip(p, EPSILON, 1.0 - EPSILON)
    plain = -(y * jnp.log(inside) + (1.0 - y) * jnp.log(1.0 - inside))
    focal = jnp.power(1.0 - (y * p + (1.0 - y) * (1.0 - p)), gamma) * plain
    if apply_class_balancing:
        focal = (y * alpha + (1.0 - y) * (1.0 - alpha)) * focal
    return jnp.mean(focal, axis=axis)


def _categorical_focal(
    y: Sequence[Expression],
    p: Sequence[Expression],
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Expression:
    if label_smoothing:
        y = [each * (1.0 - label_smoothing) + label_smoothing / len(y) for each in y]
    if from_logits:
        powers, _ = exponentials(p)
        p = [each / total(powers) for each in powers]
    sum_of_p = Let("sum_p", total(p))
    inside = [_inside(each / sum_of_p) for each in p]
    return total(alpha * (1 - q) ** gamma * -(y * log(q)) for y, q in zip(y, inside, strict=True))


@CATALOGUE.entry()
@states(_categorical_focal)
def categorical_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """loss = -sum(alpha * (1 - p)^gamma * y * log(p)), with y one-hot. Lin et al., 2017."""
    y, p = _pair(y_true, y_pred)
    _same_shape(y, p, "categorical_focal_crossentropy")
    if label_smoothing:
        y = y * (1.0 - label_smoothing) + label_smoothing / y.shape[-1]
    p = jax.nn.softmax(p, axis=axis) if from_logits else p
    p = jnp.clip(p / jnp.sum(p, axis=axis, keepdims=True), EPSILON, 1.0 - EPSILON)
    return jnp.sum(jnp.power(1.0 - p, gamma) * alpha * (-y * jnp.log(p)), axis=axis)


def _generalized(y: Sequence[Expression], p: Sequence[Expression], q: float = 0.5) -> Expression:
    return (1 - p[int(y[0].value)] ** q) / q


@CATALOGUE.entry()
@states(_generalized)
def categorical_generalized_cross_entropy(y_true: ArrayLike, y_pred: ArrayLike, q: float = 0.5) -> Array:
    """loss = (1 - p^q) / q, p the probability of class number y; few wrong labels do little harm.

    Near q = 0 it is the crossentropy, at q = 1 the absolute error. Zhang & Sabuncu, 2018.
    """
    p, y = as_float(y_pred), as_array(y_true)
    y = y[..., 0] if y.ndim == p.ndim and y.shape[-1] == 1 else y
    one_hot = jax.nn.one_hot(y.astype("int32"), p.shape[-1], dtype=p.dtype)
    return (1.0 - jnp.power(jnp.sum(p * one_hot, axis=-1), q)) / q


def _tversky(
    y: Sequence[Expression], p: Sequence[Expression], alpha: float = 0.5, beta: float = 0.5, axis: Any = None
) -> Expression:
    pairs = list(zip(y, p, strict=True))
    both = Let("both", total(y * p for y, p in pairs))
    below = both + alpha * total((1 - p) * y for y, p in pairs) + beta * total(p * (1 - y) for y, p in pairs)
    return 1 - both / (below + EPSILON)


@CATALOGUE.entry()
@states(_tversky)
def tversky(
    y_true: ArrayLike, y_pred: ArrayLike, alpha: float = 0.5, beta: float = 0.5, axis: Any = None
) -> Array:
    """loss = 1 - TP / (TP + alpha * sum((1 - p) * y) + beta * sum(p * (1 - y))), TP = sum(y * p).

    The sums are over all numbers of the batch, or over an axis (or several). Salehi et al., 2017.
    """
    y, p = _pair(y_true, y_pred)
    both = jnp.sum(y * p, axis=axis)
    missed, wrong = jnp.sum((1.0 - p) * y, axis=axis), jnp.sum(p * (1.0 - y), axis=axis)
    return 1.0 - both / (both + missed * alpha + wrong * beta + EPSILON)


def _dice(y: Sequence[Expression], p: Sequence[Expression], axis: Any = None) -> Expression:
    both = total(y * p for y, p in zip(y, p, strict=True))
    return 1 - 2 * both / (total(y) + total(p) + EPSILON)


@CATALOGUE.entry()
@states(_dice)
def dice(y_true: ArrayLike, y_pred: ArrayLike, axis: Any = None) -> Array:
    """loss = 1 - 2 * sum(y * p) / (sum(y) + sum(p)).

    The sums are over all numbers of the batch, or over an axis (or several): (1, 2, 3) gives a loss for
    each picture.
    """
    y, p = _pair(y_true, y_pred)
    both = jnp.sum(y * p, axis=axis)
    return 1.0 - 2.0 * both / (jnp.sum(y, axis=axis) + jnp.sum(p, axis=axis) + EPSILON)


class Loss(Configurable):
    """A loss: `call` gives a number per example, calling it gives their reduction, the cost.

    A loss of your own overrides `call(y_true, y_pred)`.

    Args:
        name: its name in messages and logs.
        reduction: "sum_over_batch_size" (the mean; alias "mean"): sum of weight * loss over the
            number of losses. "mean_with_sample_weight": the same over the sum of the weights.
            "sum"; or None, for the losses as they are.

    Example:
        >>> float(MeanSquaredError()([1.0, 2.0], [1.0, 4.0]))
        2.0
    """

    namespace = "keras.losses"
    #: Whether an example's loss depends on that example alone.
    rows_independent: ClassVar[bool] = False

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        if reduction not in REDUCTIONS:
            raise ArgumentError(
                message(
                    "Invalid value for argument `reduction`.",
                    came=repr(reduction),
                    expected=", ".join(str(each) for each in REDUCTIONS),
                )
            )
        self.name = name or snake_case(type(self).__name__)
        self.reduction = reduction
        # A policy says what is computed in.
        self._dtype = None if dtype is None else str(getattr(dtype, "compute_dtype", dtype))

    @property
    def dtype(self) -> str:
        """What is computed in."""
        return self._dtype or floatx()

    def call(self, y_true: ArrayLike, y_pred: ArrayLike) -> Array:
        """The loss of each example."""
        raise NotImplementedError

    def formula(
        self, y: Sequence[Expression], p: Sequence[Expression], batch: np.ndarray[Any, Any] | None = None
    ) -> Expression | None:
        """The arithmetic of one example's loss; None if it states none. A loss of your own may.

        Args:
            y: the targets of the example along the last axis; for sparse_categorical_crossentropy
                one number, that of the class.
            p: its outputs along the last axis.
            batch: all targets of the batch. Only the hinges look at them: whether they are all 0 or 1.
        """
        return None

    def cost_formula(
        self, losses: Sequence[Expression], weights: Sequence[Expression] | None = None
    ) -> Expression:
        """The cost of a batch, from the losses of its examples and their weights, if they have any.

        >>> MeanSquaredError().cost_formula([Number(1.0), Number(4.0)], [Number(2.0), Number(0.5)])
        <(2*1 + 0.5*4)/2 = 2>
        """
        terms = list(losses)
        if weights is not None:
            terms = [weight * loss for weight, loss in zip(weights, losses, strict=True)]
        if self.reduction == "sum":
            return total(terms)
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            all_weights = total(weights)
            return total(terms) / all_weights if all_weights.value else Number(0.0)
        # A loss without reduction still needs one number to descend, and that is the mean.
        return mean(terms)

    def check_targets(self, y_true: np.ndarray[Any, Any], outputs: tuple[int | None, ...]) -> None:
        """Raise DataError if these targets cannot be targets of this loss. Runs on the host, once."""

    def __call__(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        valid: Array | None = None,
        rows: Any = None,
        mask: Array | None = None,
    ) -> Array:
        """The cost: the losses weighted and reduced.

        `valid` marks the rows that count, `rows` of them; `mask` the entries within rows, by default the
        mask that travels with the outputs.
        """
        mask = mask_of(y_pred) if mask is None else mask
        values = as_array(self.call(*self.converted(y_true, y_pred)))
        if (ignored := mask_of(values)) is not None:
            mask = ignored if mask is None else _both(as_array(mask), ignored)
        return reduce(values, sample_weight, self.reduction, valid, rows, mask)

    def converted(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Targets and outputs in the loss's type, if it was given one; losses do not compute in 16 bits."""
        if self._dtype is not None:
            return as_array(y_true, self._dtype), as_array(y_pred, self._dtype)
        if str(getattr(y_pred, "dtype", "")) in ("float16", "bfloat16"):
            y_pred = as_array(y_pred).astype(self.dtype)
        return y_true, y_pred


def reduce(
    values: Array,
    sample_weight: ArrayLike | None = None,
    reduction: str | None = "sum_over_batch_size",
    valid: Array | None = None,
    rows: Any = None,
    mask: Array | None = None,
) -> Array:
    """Weight the losses and reduce them. Of means, those that a mask leaves out are no part.

    >>> float(reduce(jnp.array([1.0, 2.0, 6.0]), [1.0, 2.0, 0.0]))
    1.6666666269302368
    """
    weights = None if sample_weight is None else as_float(sample_weight).astype(values.dtype)
    if mask is not None:
        weights = _masked_weights(weights, mask, values, reduction, valid, rows)
    if weights is not None:
        values, weights = same_rank(values, weights)
        values = values * weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim))
    if reduction in (None, "none") or values.ndim == 0:
        return values
    count: Any = values.size
    if valid is not None:
        values = jnp.where(valid.reshape(valid.shape + (1,) * (values.ndim - 1)), values, 0.0)
        rows = jnp.sum(valid) if rows is None else rows
        count = as_array(rows).astype(values.dtype) * (values.size // max(values.shape[0], 1))
    summed = jnp.sum(values)
    if reduction == "sum":
        return summed
    if reduction == "mean_with_sample_weight" and weights is not None:
        if valid is not None:
            weights = jnp.where(valid.reshape(valid.shape + (1,) * (weights.ndim - 1)), weights, 0.0)
        count = jnp.sum(weights)
        return jnp.where(count == 0, 0.0, summed / jnp.where(count == 0, 1.0, count))
    return summed / count


def _both(first: Array, second: Array) -> Array:
    first, second = same_rank(first.astype(bool), second.astype(bool))
    return first & second


def _masked_weights(
    weights: Array | None, mask: Array, values: Array, reduction: str | None, valid: Array | None, rows: Any
) -> Array:
    """The weights of masked losses: 0 where the mask says so, and the more elsewhere in a mean over all."""
    counted = as_array(mask).astype(values.dtype)
    if reduction in ("sum_over_batch_size", "mean"):
        total: Any = counted.size
        kept = counted
        if valid is not None:
            kept = jnp.where(valid.reshape(valid.shape + (1,) * (counted.ndim - 1)), counted, 0.0)
            number = jnp.sum(valid) if rows is None else rows
            total = as_array(number).astype(values.dtype) * (counted.size // max(counted.shape[0], 1))
        counted = counted * (total / (jnp.sum(kept) + EPSILON))
    if weights is None:
        return counted
    small, wide = sorted((weights, counted), key=lambda each: each.ndim)
    return wide * small.reshape(small.shape + (1,) * (wide.ndim - small.ndim))


class FunctionLoss(Loss):
    """A function `(y_true, y_pred) -> losses`, as a loss."""

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or str(getattr(fn, "__name__", "loss")), reduction)
        self.fn, self.arguments = fn, kwargs

    def call(self, y_true: ArrayLike, y_pred: ArrayLike) -> Array:
        """The loss of each example."""
        y, p = same_rank(as_array(y_true), as_array(y_pred))
        return self.fn(y.astype(p.dtype) if y.dtype != p.dtype else y, p, **self.arguments)

    def formula(
        self, y: Sequence[Expression], p: Sequence[Expression], batch: np.ndarray[Any, Any] | None = None
    ) -> Expression | None:
        """What was stated for the function."""
        return _stated(self.fn, y, p, batch, self.arguments)


def _stated(
    function: Any,
    y: Sequence[Expression],
    p: Sequence[Expression],
    batch: np.ndarray[Any, Any] | None,
    options: dict[str, Any],
) -> Expression | None:
    """What a loss function states of one example. None along another axis than the last."""
    statement = statement_of(function)
    if statement is None or options.get("axis", -1) != -1:
        return None
    if function in (hinge, squared_hinge) and batch is not None and np.isin(batch, (0, 1)).all():
        y = [2 * each - 1 for each in y]
    return statement(y, p, **options)


def _finite_between(y: np.ndarray[Any, Any], low: float, high: float, loss: str, mend: str) -> None:
    wrong = ~((y >= low) & (y <= high))
    if wrong.any():
        rows = np.flatnonzero(wrong.reshape(len(y), -1).any(axis=1))
        shown = ", ".join(str(value) for value in np.unique(y[wrong])[:5])
        raise DataError(
            message(
                f"{loss}: labels outside the classes, in {len(rows)} rows (the first: row {rows[0]}).",
                came=f"labels such as {shown}",
                expected=f"labels from {low:g} to {high:g}",
                mend=mend,
            )
        )


def _paired_targets(self: Any, y_true: np.ndarray[Any, Any], outputs: tuple[int | None, ...]) -> None:
    row, wanted = y_true.shape[1:] or (1,), tuple(outputs[1:]) or (1,)
    alike = len(row) == len(wanted) and all(
        size in (None, own) for own, size in zip(row, wanted, strict=True)
    )
    # Keras spreads (rows,) over (rows, steps, 1) and the like; a clash of sizes is a mistake.
    if not alike and abs(len(row) - len(wanted)) != 1:
        mend = f"give the last layer {row[-1]} unit{'s' if row[-1] != 1 else ''}, or look at y."
        if isinstance(self, CategoricalCrossentropy) and row == (1,):
            mend = "use sparse_categorical_crossentropy for whole-number classes."
        raise ShapeError(
            message(
                f"{self.name}: each output needs its target.",
                came=f"rows of y of shape {row}, rows of outputs of shape {wanted}",
                expected="the same shape",
                mend=mend,
            )
        )


def _class(
    name: str,
    function: Callable[..., Any],
    *,
    order: Sequence[str] = (),
    rows_independent: bool = True,
    **options: Any,
) -> Any:
    """Make the class of a loss function: its options become the constructor's arguments.

    Args:
        name: the name of the class.
        function: the loss function.
        order: the order of the arguments by position, if `reduction` and `name` do not come last.
        rows_independent: whether an example's loss depends on that example alone.
        options: the options of the function, and their defaults.
    """
    names = list(options)
    places = order or (*names, "reduction", "name", "dtype")

    def init(
        self: Loss,
        *args: Any,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        given = dict(zip(places, args, strict=False))
        name = given.pop("name", name) or str(function.__name__)
        Loss.__init__(self, name, given.pop("reduction", reduction), given.pop("dtype", dtype))
        unknown = [each for each in kwargs if each not in options]
        if unknown:
            raise ArgumentError(
                message(f"{type(self).__name__} has no argument {unknown[0]!r}.", expected=", ".join(names))
            )
        for option, default in options.items():
            setattr(self, option, given.get(option, kwargs.get(option, default)))

    def call(self: Any, y_true: ArrayLike, y_pred: ArrayLike) -> Array:
        return function(y_true, y_pred, **{option: getattr(self, option) for option in names})

    def formula(
        self: Any,
        y: Sequence[Expression],
        p: Sequence[Expression],
        batch: np.ndarray[Any, Any] | None = None,
    ) -> Expression | None:
        return _stated(function, y, p, batch, {option: getattr(self, option) for option in names})

    def get_config(self: Any) -> dict[str, Any]:
        return {
            "name": self.name,
            "reduction": self.reduction,
            **{option: getattr(self, option) for option in names},
        }

    made = type(
        name,
        (Loss,),
        {
            "__init__": init,
            "call": call,
            "formula": formula,
            "get_config": get_config,
            "check_targets": _paired_targets,
            "rows_independent": rows_independent,
            "__module__": __name__,
            "__doc__": function.__doc__,
        },
    )
    CATALOGUE.entries[name] = made
    _class_of[function] = made
    return made


_class_of: dict[Any, Any] = {}

MeanSquaredError: Any = _class("MeanSquaredError", mean_squared_error)
MeanAbsoluteError: Any = _class("MeanAbsoluteError", mean_absolute_error)
MeanAbsolutePercentageError: Any = _class("MeanAbsolutePercentageError", mean_absolute_percentage_error)
MeanSquaredLogarithmicError: Any = _class("MeanSquaredLogarithmicError", mean_squared_logarithmic_error)
Huber: Any = _class("Huber", huber, delta=1.0)
LogCosh: Any = _class("LogCosh", log_cosh)
Hinge: Any = _class("Hinge", hinge)
SquaredHinge: Any = _class("SquaredHinge", squared_hinge)
CategoricalHinge: Any = _class("CategoricalHinge", categorical_hinge)
KLDivergence: Any = _class("KLDivergence", kl_divergence)
Poisson: Any = _class("Poisson", poisson)
CosineSimilarity: Any = _class("CosineSimilarity", cosine_similarity, axis=-1)
BinaryCrossentropy: Any = _class(
    "BinaryCrossentropy", binary_crossentropy, from_logits=False, label_smoothing=0.0, axis=-1
)
CategoricalCrossentropy: Any = _class(
    "CategoricalCrossentropy", categorical_crossentropy, from_logits=False, label_smoothing=0.0, axis=-1
)
BinaryFocalCrossentropy: Any = _class(
    "BinaryFocalCrossentropy",
    binary_focal_crossentropy,
    apply_class_balancing=False,
    alpha=0.25,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
)
CategoricalFocalCrossentropy: Any = _class(
    "CategoricalFocalCrossentropy",
    categorical_focal_crossentropy,
    alpha=0.25,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
)
CategoricalGeneralizedCrossEntropy: Any = _class(
    "CategoricalGeneralizedCrossEntropy", categorical_generalized_cross_entropy, q=0.5
)
Tversky: Any = _class(
    "Tversky",
    tversky,
    order=("alpha", "beta", "reduction", "name", "axis", "dtype"),
    rows_independent=False,
    alpha=0.5,
    beta=0.5,
    axis=None,
)
Dice: Any = _class(
    "Dice", dice, order=("reduction", "name", "axis", "dtype"), rows_independent=False, axis=None
)
SparseCategoricalCrossentropy: Any = _class(
    "SparseCategoricalCrossentropy",
    sparse_categorical_crossentropy,
    from_logits=False,
    ignore_class=None,
    axis=-1,
)


def _binary_targets(self: Any, y_true: np.ndarray[Any, Any], outputs: tuple[int | None, ...]) -> None:
    _paired_targets(self, y_true, outputs)
    _finite_between(y_true, 0, 1, str(self.name), "code the two classes as 0 and 1.")


def _class_targets(self: Any, y_true: np.ndarray[Any, Any], outputs: tuple[int | None, ...]) -> None:
    classes, ignored = outputs[getattr(self, "axis", -1)], getattr(self, "ignore_class", None)
    labels = y_true if ignored is None else np.where(y_true == ignored, 0, y_true)
    if classes is not None:
        mend = f"number the classes from 0, or give the last layer a unit for each class (it has {classes})."
        _finite_between(labels, 0, classes - 1, str(self.name), mend)


BinaryCrossentropy.check_targets = _binary_targets
BinaryFocalCrossentropy.check_targets = _binary_targets
SparseCategoricalCrossentropy.check_targets = _class_targets
CategoricalGeneralizedCrossEntropy.check_targets = _class_targets


def get(identifier: Any) -> Any:
    """The loss function or object that a name, configuration or object stands for, as in Keras.

    >>> get("mse").__name__
    'mean_squared_error'
    """
    return CATALOGUE.make(identifier)


def as_loss(identifier: Any) -> Loss:
    """The same as an object: functions of ours become their class, other functions `FunctionLoss`."""
    found = get(identifier)
    if isinstance(found, Loss):
        return found
    if found in _class_of:
        return _class_of[found]()
    if callable(found):
        return FunctionLoss(found)
    raise ArgumentError(message("this is not a loss.", came=repr(identifier), expected="a name or a loss"))


def serialize(loss: Any) -> Any:
    """A loss, or a loss function, as plain data."""
    return naming.serialize(loss)


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The loss that `serialize` wrote down.

    >>> deserialize(serialize(Huber(delta=0.5))).delta
    0.5
    """
    return CATALOGUE.make(name, custom_objects)
