"""What is measured while training: sums kept in variables, added to batch by batch.

A metric is `update_state(y_true, y_pred, sample_weight)`, `result()` and `reset_state()`, as in
Keras. Within the compiled loop the same methods run in a scope, so a metric of one's own needs
nothing more. Rows that only fill up a batch come with a weight of zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import losses
from pellucid.arrays import Array, ArrayLike, as_array, floatx
from pellucid.errors import ArgumentError, ShapeError, message
from pellucid.losses import same_rank
from pellucid.naming import Catalogue, Configurable, automatic_name, snake_case
from pellucid.variables import Variable

CATALOGUE = Catalogue("metric")


def _divide(numerator: Array, denominator: Array) -> Array:
    """The quotient, and 0 where the denominator is 0."""
    return jnp.where(denominator == 0, 0.0, numerator / jnp.where(denominator == 0, 1.0, denominator))


class Metric(Configurable):
    """A measure with a state. A metric of your own overrides `update_state` and `result`.

    Example:
        >>> mean = Mean()
        >>> mean.update_state([1.0, 2.0, 6.0])
        >>> float(mean.result())
        3.0
    """

    namespace = "keras.metrics"
    #: Whether weight-zero rows leave the result as if they were not there.
    rows_independent: ClassVar[bool] = False
    #: Whether larger is better ("up"), smaller ("down"), or neither is known ("").
    direction: str = ""

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or automatic_name(snake_case(type(self).__name__))
        self.dtype = dtype or floatx()
        self._variables: list[Variable] = []

    def add_variable(
        self, shape: Sequence[int], initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Add a sum to keep."""
        from pellucid import initializers

        variable = Variable(
            initializers.get(initializer),
            shape,
            dtype or self.dtype,
            trainable=False,
            name=name,
            path=f"{self.name}/{name or 'variable'}",
        )
        self._variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "zeros",
        dtype: Any = None,
        name: str | None = None,
    ) -> Variable:
        """The same as `add_variable`."""
        return self.add_variable(shape, initializer, dtype, name)

    @property
    def variables(self) -> list[Variable]:
        """All sums, those of metrics held as attributes included."""
        held = [value for value in vars(self).values() if isinstance(value, Metric)]
        return self._variables + [variable for metric in held for variable in metric.variables]

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch."""
        raise NotImplementedError

    def result(self) -> Any:
        """The measure so far: a number, an array, or a dict of them."""
        raise NotImplementedError

    def reset_state(self) -> None:
        """Begin again from nothing."""
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch and give the result."""
        self.update_state(*args, **kwargs)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def per_row(values: ArrayLike, sample_weight: ArrayLike | None, dtype: Any) -> tuple[Array, Array | None]:
    """Values and weights with one entry per row, their product already in the values."""
    array = as_array(values).astype(dtype)
    weights: Array | None = None
    if sample_weight is not None:
        array, weights = same_rank(array, as_array(sample_weight).astype(dtype))
        if array.ndim > weights.ndim:
            array = jnp.mean(array, axis=tuple(range(weights.ndim, array.ndim)))
        weights = jnp.broadcast_to(weights, array.shape)
        array = array * weights
        if weights.ndim > 1:
            weights = jnp.mean(weights, axis=tuple(range(1, weights.ndim)))
    if array.ndim > 1:
        array = jnp.mean(array, axis=tuple(range(1, array.ndim)))
    return array, weights


@CATALOGUE.entry()
class Sum(Metric):
    """The weighted sum of values."""

    rows_independent = True

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), name="total")

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add values."""
        array, _ = per_row(values, sample_weight, self.dtype)
        self.total.assign(as_array(self.total.value) + jnp.sum(array))

    def result(self) -> Array:
        """The sum."""
        return as_array(self.total.value)


@CATALOGUE.entry()
class Mean(Metric):
    """The weighted mean of values: sum of weight * value over the sum of the weights."""

    rows_independent = True

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), name="total")
        self.count = self.add_variable((), name="count")

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add values."""
        array, weights = per_row(values, sample_weight, self.dtype)
        count = jnp.asarray(array.size, self.dtype) if weights is None else jnp.sum(weights)
        self.total.assign(as_array(self.total.value) + jnp.sum(array))
        self.count.assign(as_array(self.count.value) + count)

    def result(self) -> Array:
        """The mean, 0 if there were no values."""
        return _divide(as_array(self.total.value), as_array(self.count.value))


class MeanMetricWrapper(Mean):
    """The mean of a function `(y_true, y_pred) -> values`."""

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name or str(getattr(fn, "__name__", "metric")), dtype)
        self.fn, self.arguments = fn, kwargs

    def update_state(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add a batch."""
        super().update_state(self.fn(y_true, y_pred, **self.arguments), sample_weight)


class FunctionMetric(MeanMetricWrapper):
    """The mean of a user's function, which may do anything with the rows of a batch."""

    rows_independent = False


@CATALOGUE.entry()
def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> Array:
    """1 where (p > threshold) is what y says."""
    y, p = same_rank(as_array(y_true), as_array(y_pred))
    said = (p > threshold).astype(p.dtype)
    return jnp.mean((y.astype(p.dtype) == said).astype(floatx()), axis=-1)


@CATALOGUE.entry()
def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """1 where the largest p is at the class that y, one-hot, says."""
    y, p = as_array(y_true), as_array(y_pred)
    return (jnp.argmax(y, axis=-1) == jnp.argmax(p, axis=-1)).astype(floatx())


@CATALOGUE.entry()
def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """1 where the largest p is at class number y."""
    y, p = as_array(y_true), as_array(y_pred)
    if y.ndim == p.ndim and y.shape[-1] == 1:
        y = y[..., 0]
    return (y.astype("int32") == jnp.argmax(p, axis=-1).astype("int32")).astype(floatx())


@CATALOGUE.entry()
def sparse_top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Array:
    """1 where class number y is among the k largest p."""
    y, p = as_array(y_true), as_array(y_pred)
    classes = y.reshape(-1).astype("int32")
    flat = p.reshape(-1, p.shape[-1])
    right = jnp.take_along_axis(flat, classes[:, None], axis=-1)
    among = (jnp.sum(flat > right, axis=-1) < k).astype(floatx())
    return among.reshape(p.shape[:-1])


@CATALOGUE.entry()
def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Array:
    """1 where the class that y, one-hot, says is among the k largest p."""
    return sparse_top_k_categorical_accuracy(jnp.argmax(as_array(y_true), axis=-1), y_pred, k)


def exact_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """1 where y and p are equal."""
    y, p = same_rank(as_array(y_true), as_array(y_pred))
    return jnp.mean((y == p.astype(y.dtype)).astype(floatx()), axis=-1)


def _measures(name: str, fn: Callable[..., Any], direction: str, short: str = "", **options: Any) -> Any:
    """Make the metric class of a function: its options become the constructor's arguments."""
    names = list(options)

    def init(self: Any, *args: Any, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        # Keras puts `name` after some options and before others; by position come the options.
        given = dict(zip(names if names else ["name", "dtype", *names], args, strict=False))
        name = name or given.pop("name", None)
        values = {option: given.get(option, kwargs.pop(option, options[option])) for option in names}
        if kwargs:
            raise ArgumentError(
                message(f"{type(self).__name__} has no argument {next(iter(kwargs))!r}.", expected=names)
            )
        MeanMetricWrapper.__init__(self, fn, name or short or str(fn.__name__), dtype, **values)
        self.direction = direction

    def get_config(self: Any) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, **self.arguments}

    made = type(
        name,
        (MeanMetricWrapper,),
        {
            "__init__": init,
            "get_config": get_config,
            "rows_independent": True,
            "__module__": __name__,
            "__doc__": f"The mean of {fn.__name__}: {str(fn.__doc__).splitlines()[0]}",
        },
    )
    CATALOGUE.add(made)
    class_of[fn] = made
    return made


#: The metric class of each function of ours.
class_of: dict[Any, Any] = {}

Accuracy: Any = _measures("Accuracy", exact_accuracy, "up", short="accuracy")
BinaryAccuracy: Any = _measures("BinaryAccuracy", binary_accuracy, "up", threshold=0.5)
CategoricalAccuracy: Any = _measures("CategoricalAccuracy", categorical_accuracy, "up")
SparseCategoricalAccuracy: Any = _measures("SparseCategoricalAccuracy", sparse_categorical_accuracy, "up")
TopKCategoricalAccuracy: Any = _measures("TopKCategoricalAccuracy", top_k_categorical_accuracy, "up", k=5)
SparseTopKCategoricalAccuracy: Any = _measures(
    "SparseTopKCategoricalAccuracy", sparse_top_k_categorical_accuracy, "up", k=5
)
MeanSquaredError: Any = _measures("MeanSquaredError", losses.mean_squared_error, "down")
MeanAbsoluteError: Any = _measures("MeanAbsoluteError", losses.mean_absolute_error, "down")
MeanAbsolutePercentageError: Any = _measures(
    "MeanAbsolutePercentageError", losses.mean_absolute_percentage_error, "down"
)
MeanSquaredLogarithmicError: Any = _measures(
    "MeanSquaredLogarithmicError", losses.mean_squared_logarithmic_error, "down"
)
LogCoshError: Any = _measures("LogCoshError", losses.log_cosh, "down", short="logcosh")
Hinge: Any = _measures("Hinge", losses.hinge, "down")
SquaredHinge: Any = _measures("SquaredHinge", losses.squared_hinge, "down")
CategoricalHinge: Any = _measures("CategoricalHinge", losses.categorical_hinge, "down")
KLDivergence: Any = _measures("KLDivergence", losses.kl_divergence, "down")
Poisson: Any = _measures("Poisson", losses.poisson, "down")
BinaryCrossentropy: Any = _measures(
    "BinaryCrossentropy", losses.binary_crossentropy, "down", from_logits=False, label_smoothing=0.0
)
CategoricalCrossentropy: Any = _measures(
    "CategoricalCrossentropy",
    losses.categorical_crossentropy,
    "down",
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
)
SparseCategoricalCrossentropy: Any = _measures(
    "SparseCategoricalCrossentropy",
    losses.sparse_categorical_crossentropy,
    "down",
    from_logits=False,
    axis=-1,
)


def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Array:
    """(y / |y|) . (p / |p|): 1 where they point the same way."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


CosineSimilarity: Any = _measures("CosineSimilarity", cosine_similarity, "up", axis=-1)


@CATALOGUE.entry("rmse", "RMSE")
class RootMeanSquaredError(Mean):
    """The square root of the mean of (y - p)^2, over rows and outputs."""

    direction = "down"

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add a batch."""
        y, p = same_rank(as_array(y_true).astype(self.dtype), as_array(y_pred).astype(self.dtype))
        super().update_state(jnp.square(p - y), sample_weight)

    def result(self) -> Array:
        """The root of the mean."""
        return jnp.sqrt(super().result())


def _columns(
    y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None, dtype: Any
) -> tuple[Array, Array, Array]:
    """Targets, outputs and weights, all of shape (rows, outputs)."""
    y, p = same_rank(as_array(y_true).astype(dtype), as_array(y_pred).astype(dtype))
    if y.shape != p.shape:
        raise ShapeError(
            message(
                "this metric compares each output with its target.",
                came=f"targets of shape {y.shape}, outputs of shape {p.shape}",
                expected="the same shape",
                mend="make whole-number classes one-hot: keras.utils.to_categorical(y).",
            )
        )
    rows = y.shape[0] if y.ndim else 1
    y, p = y.reshape(rows, -1), p.reshape(rows, -1)
    weights = jnp.ones((), dtype) if sample_weight is None else as_array(sample_weight).astype(dtype)
    weights = weights.reshape(rows, -1) if weights.ndim else weights
    return y, p, jnp.broadcast_to(weights, y.shape)


class _Confusion(Metric):
    """Counts of right and wrong answers at one or several thresholds."""

    rows_independent = True
    direction = "up"
    counted: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        default = 0.5 if top_k is None else -1e10
        given = [default] if thresholds is None else thresholds
        levels = [float(each) for each in (given if isinstance(given, list | tuple) else [given])]
        if any(not 0.0 <= level <= 1.0 for level in levels) and top_k is None:
            raise ArgumentError(message("thresholds lie between 0 and 1.", came=thresholds))
        self.thresholds, self.top_k, self.class_id = levels, top_k, class_id
        self.counts = {name: self.add_variable((len(levels),), name=name) for name in self.counted}

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add a batch."""
        y, p, weights = _columns(y_true, y_pred, sample_weight, self.dtype)
        if self.top_k is not None:
            kth = jax.lax.top_k(p, self.top_k)[0][:, -1:]
            p = jnp.where(p >= kth, p, -1e10)
        if self.class_id is not None:
            one = slice(self.class_id, self.class_id + 1)
            y, p, weights = y[:, one], p[:, one], weights[:, one]
        add_confusion(self.counts, y.ravel(), p.ravel(), weights.ravel(), jnp.array(self.thresholds, p.dtype))

    def _shown(self, values: Array) -> Array:
        return values[0] if len(self.thresholds) == 1 else values


def add_confusion(counts: dict[str, Variable], y: Array, p: Array, weights: Array, thresholds: Array) -> None:
    """Add weighted counts, one per threshold: an answer is positive above the threshold."""
    positive = (y > 0).astype(weights.dtype) * weights
    negative = weights - positive
    said = (p[None, ...] > thresholds.reshape((-1,) + (1,) * p.ndim)).astype(weights.dtype)
    found = {
        "true_positives": said * positive,
        "false_positives": said * negative,
        "false_negatives": (1.0 - said) * positive,
        "true_negatives": (1.0 - said) * negative,
    }
    for name, variable in counts.items():
        variable.assign(as_array(variable.value) + jnp.sum(found[name], axis=1))


@CATALOGUE.entry()
class Precision(_Confusion):
    """Of the answers that said yes, the part that was right: TP / (TP + FP)."""

    counted = ("true_positives", "false_positives")

    def result(self) -> Array:
        """The precision, 0 if nothing was said to be positive."""
        hit, miss = (as_array(self.counts[name].value) for name in self.counted)
        return self._shown(_divide(hit, hit + miss))


@CATALOGUE.entry()
class Recall(_Confusion):
    """Of the rows that are positive, the part that was found: TP / (TP + FN)."""

    counted = ("true_positives", "false_negatives")

    def result(self) -> Array:
        """The recall, 0 if nothing is positive."""
        hit, miss = (as_array(self.counts[name].value) for name in self.counted)
        return self._shown(_divide(hit, hit + miss))


class _Count(_Confusion):
    direction = ""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, name=name, dtype=dtype)

    def result(self) -> Array:
        """The count."""
        return self._shown(as_array(self.counts[self.counted[0]].value))


@CATALOGUE.entry()
class TruePositives(_Count):
    """How many rows are positive and were said to be."""

    counted = ("true_positives",)


@CATALOGUE.entry()
class TrueNegatives(_Count):
    """How many rows are negative and were said to be."""

    counted = ("true_negatives",)


@CATALOGUE.entry()
class FalsePositives(_Count):
    """How many rows are negative and were said to be positive."""

    counted = ("false_positives",)


@CATALOGUE.entry()
class FalseNegatives(_Count):
    """How many rows are positive and were said to be negative."""

    counted = ("false_negatives",)


@CATALOGUE.entry("auc")
class AUC(Metric):
    """The area under the ROC curve (or the precision-recall curve), from counts at thresholds.

    Args:
        num_thresholds: how many thresholds between 0 and 1; more is finer.
        curve: "ROC" or "PR".
        summation_method: "interpolation", "minoring" or "majoring".
        name, dtype: as for every metric.
        thresholds: thresholds of one's own, between 0 and 1.
        multi_label: whether each output is a question of its own, whose areas are averaged.
        num_labels: how many outputs, with multi_label; learned from the first batch otherwise.
        label_weights: the weight of each output in the average.
        from_logits: whether y_pred is z before the sigmoid.
    """

    rows_independent = True
    direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(dtype, name)
        if curve not in ("ROC", "PR"):
            raise ArgumentError(message("curve is unknown.", came=repr(curve), expected="ROC or PR"))
        if summation_method not in ("interpolation", "minoring", "majoring"):
            raise ArgumentError(
                message(
                    "summation_method is unknown.",
                    came=repr(summation_method),
                    expected="interpolation, minoring or majoring",
                )
            )
        if thresholds is None and num_thresholds <= 1:
            raise ArgumentError(
                message("num_thresholds is too small.", came=num_thresholds, expected="2 or more")
            )
        self.curve, self.summation_method = curve, summation_method
        self.multi_label, self.from_logits = multi_label, from_logits
        self.label_weights = label_weights
        if thresholds is None:
            inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        else:
            inner = sorted(float(each) for each in thresholds)
        self.thresholds = np.array([-losses.EPSILON, *inner, 1.0 + losses.EPSILON], self.dtype)
        self.counts: dict[str, Variable] = {}
        if not multi_label or num_labels:
            self._build(num_labels if multi_label else None)

    def _build(self, labels: int | None) -> None:
        shape = (len(self.thresholds),) + (() if labels is None else (labels,))
        names = ("true_positives", "false_positives", "true_negatives", "false_negatives")
        self.counts = {name: self.add_variable(shape, name=name) for name in names}

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add a batch."""
        y, p, weights = _columns(y_true, y_pred, sample_weight, self.dtype)
        if not self.counts:
            self._build(int(p.shape[-1]))
        p = jax.nn.sigmoid(p) if self.from_logits else p
        if not self.multi_label:
            if self.label_weights is not None:
                weights = weights * jnp.array(self.label_weights, weights.dtype)
            y, p, weights = y.ravel(), p.ravel(), weights.ravel()
        add_confusion(self.counts, y, p, weights, jnp.asarray(self.thresholds))

    def result(self) -> Array:
        """The area."""
        tp, fp, tn, fn = (as_array(variable.value) for variable in self.counts.values())
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = self._interpolated(tp, fp, fn)
        else:
            recall = _divide(tp, tp + fn)
            x, y = (_divide(fp, fp + tn), recall) if self.curve == "ROC" else (recall, _divide(tp, tp + fp))
            heights = {
                "interpolation": (y[:-1] + y[1:]) / 2.0,
                "minoring": jnp.minimum(y[:-1], y[1:]),
                "majoring": jnp.maximum(y[:-1], y[1:]),
            }[self.summation_method]
            areas = (x[:-1] - x[1:]) * heights
        if not self.multi_label:
            return jnp.sum(areas)
        by_label = jnp.sum(areas, axis=0)
        if self.label_weights is None:
            return jnp.mean(by_label)
        weights = jnp.array(self.label_weights, by_label.dtype)
        return _divide(jnp.sum(by_label * weights), jnp.sum(weights))

    @staticmethod
    def _interpolated(tp: Array, fp: Array, fn: Array) -> Array:
        """The area under precision-recall, with counts linear between thresholds. Davis & Goadrich, 2006."""
        said = tp + fp
        hits, width = tp[:-1] - tp[1:], said[:-1] - said[1:]
        slope = _divide(hits, jnp.maximum(width, 0))
        start = tp[1:] - slope * said[1:]
        ratio = jnp.where((said[:-1] > 0) & (said[1:] > 0), _divide(said[:-1], jnp.maximum(said[1:], 0)), 1.0)
        return _divide(slope * (hits + start * jnp.log(ratio)), jnp.maximum(tp[1:] + fn[1:], 0))


@CATALOGUE.entry()
class FBetaScore(Metric):
    """(1 + beta^2) * precision * recall / (beta^2 * precision + recall), per class or averaged.

    Args:
        average: None (one score per class), "micro", "macro" or "weighted".
        beta: how much more recall counts than precision.
        threshold: above it an output says yes; None: the largest output of the row says yes.
    """

    rows_independent = True
    direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if average not in (None, "micro", "macro", "weighted"):
            raise ArgumentError(
                message("average is unknown.", came=repr(average), expected="None, micro, macro or weighted")
            )
        if beta <= 0.0:
            raise ArgumentError(message("beta must be positive.", came=beta))
        if threshold is not None and not 0.0 < threshold <= 1.0:
            raise ArgumentError(
                message("threshold does not fit.", came=threshold, expected="above 0, at most 1")
            )
        self.average, self.beta, self.threshold = average, beta, threshold
        self.counts: list[Variable] = []

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add a batch."""
        y, p, weights = _columns(y_true, y_pred, sample_weight, self.dtype)
        if not self.counts:
            names = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
            shape = () if self.average == "micro" else (int(p.shape[-1]),)
            self.counts = [self.add_variable(shape, name=name) for name in names]
        if self.threshold is None:
            said = (p >= jnp.max(p, axis=-1, keepdims=True)) & (jnp.abs(p) > 1e-9)
        else:
            said = p > self.threshold
        said = said.astype(p.dtype)
        axis = None if self.average == "micro" else 0
        for variable, each in zip(self.counts, (said * y, said * (1 - y), (1 - said) * y, y), strict=True):
            variable.assign(as_array(variable.value) + jnp.sum(each * weights, axis=axis))

    def result(self) -> Array:
        """The score, or one score per class."""
        hit, wrong, missed, actual = (as_array(variable.value) for variable in self.counts)
        precision = hit / (hit + wrong + losses.EPSILON)
        recall = hit / (hit + missed + losses.EPSILON)
        squared = self.beta**2
        score = (1 + squared) * precision * recall / (squared * precision + recall + losses.EPSILON)
        if self.average == "weighted":
            return jnp.sum(score * actual / (jnp.sum(actual) + losses.EPSILON))
        return score if self.average is None else jnp.mean(score)


@CATALOGUE.entry()
class F1Score(FBetaScore):
    """The harmonic mean of precision and recall."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)


@CATALOGUE.entry()
class R2Score(Metric):
    """1 - (sum of squared errors) / (sum of squared distances from the mean).

    Args:
        class_aggregation: "uniform_average", "variance_weighted_average", or None for one per output.
        num_regressors: how many features, for the adjusted score; 0 for the plain one.
    """

    rows_independent = True
    direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            raise ArgumentError(
                message(
                    "class_aggregation is unknown.",
                    came=repr(class_aggregation),
                    expected="uniform_average, variance_weighted_average or None",
                )
            )
        if num_regressors < 0:
            raise ArgumentError(message("num_regressors cannot be negative.", came=num_regressors))
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.sums: list[Variable] = []

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add a batch."""
        y, p, weights = _columns(y_true, y_pred, sample_weight, self.dtype)
        if not self.sums:
            shape = (int(p.shape[-1]),)
            self.sums = [
                self.add_variable(shape, name=n) for n in ("squared_sum", "sum", "residual", "count")
            ]
        terms = (y * y * weights, y * weights, jnp.square(y - p) * weights, weights)
        for variable, each in zip(self.sums, terms, strict=True):
            variable.assign(as_array(variable.value) + jnp.sum(each, axis=0))

    def result(self) -> Array:
        """The score, or one score per output."""
        squared, total, residual, count = (as_array(variable.value) for variable in self.sums)
        spread = squared - total * total / count
        scores = 1.0 - residual / spread
        scores = jnp.where(jnp.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            score = jnp.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            score = jnp.sum(spread * scores) / jnp.sum(spread)
        else:
            score = scores
        if not self.num_regressors:
            return score
        rows, features = jnp.max(count), self.num_regressors
        adjusted = 1.0 - (1.0 - score) * (rows - 1.0) / (rows - features - 1.0)
        return jnp.where(rows - features - 1.0 > 0, adjusted, score)


def get(identifier: Any) -> Any:
    """The metric that a name, configuration, function or object stands for."""
    known = CATALOGUE.entries
    if isinstance(identifier, str) and identifier not in known and identifier in losses.CATALOGUE.entries:
        return losses.get(identifier)
    return CATALOGUE.make(identifier)


def accuracy_for(y_shape: Sequence[int | None], p_shape: Sequence[int | None]) -> Any:
    """Which accuracy "accuracy" means: Keras's rule, from the shapes of targets and outputs."""
    if p_shape[-1] == 1:
        return BinaryAccuracy
    if len(y_shape) < len(p_shape) or y_shape[-1] == 1:
        return SparseCategoricalAccuracy
    return CategoricalAccuracy


def as_metric(identifier: Any, y_shape: Sequence[int | None], p_shape: Sequence[int | None]) -> Metric:
    """A metric object for what was given to `compile`, named as the user wrote it."""
    name: str | None = None
    if isinstance(identifier, str):
        name = identifier
        if identifier in ("accuracy", "acc"):
            return accuracy_for(y_shape, p_shape)(name=name)
        if identifier in ("crossentropy", "ce"):
            accuracy = accuracy_for(y_shape, p_shape)
            kinds = {
                BinaryAccuracy: BinaryCrossentropy,
                SparseCategoricalAccuracy: SparseCategoricalCrossentropy,
                CategoricalAccuracy: CategoricalCrossentropy,
            }
            return kinds[accuracy](name=name)
    found: Any = get(identifier)
    if isinstance(found, Metric):
        if name is not None:
            found.name = name
        return found
    if isinstance(found, losses.Loss):
        return FunctionMetric(found.call, name=name or found.name)
    if found in class_of:
        return class_of[found](name=name or str(found.__name__))
    if callable(found):
        return FunctionMetric(cast(Callable[..., Any], found), name=name)
    raise ArgumentError(
        message("this is not a metric.", came=repr(identifier), expected="a name or a metric")
    )
