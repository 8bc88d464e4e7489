"""What is measured while training: sums kept in variables, added to batch by batch.

A metric is `update_state(y_true, y_pred, sample_weight)`, `result()` and `reset_state()`, as in
Keras. Within the compiled loop the same methods run in a scope, so a metric of one's own needs
nothing more. Rows that only fill up a batch come with a weight of zero.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import losses, naming
from pellucid.arrays import Array, ArrayLike, as_array, floatx
from pellucid.errors import ArgumentError, ShapeError, message
from pellucid.losses import binary_crossentropy as binary_crossentropy
from pellucid.losses import binary_focal_crossentropy as binary_focal_crossentropy
from pellucid.losses import categorical_crossentropy as categorical_crossentropy
from pellucid.losses import categorical_focal_crossentropy as categorical_focal_crossentropy
from pellucid.losses import categorical_hinge as categorical_hinge
from pellucid.losses import hinge as hinge
from pellucid.losses import huber as huber
from pellucid.losses import kl_divergence as kl_divergence
from pellucid.losses import log_cosh as log_cosh
from pellucid.losses import mean_absolute_error as mean_absolute_error
from pellucid.losses import mean_absolute_percentage_error as mean_absolute_percentage_error
from pellucid.losses import mean_squared_error as mean_squared_error
from pellucid.losses import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from pellucid.losses import poisson as poisson
from pellucid.losses import same_rank
from pellucid.losses import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from pellucid.losses import squared_hinge as squared_hinge
from pellucid.masks import mask_of
from pellucid.naming import Catalogue, Configurable, automatic_name, snake_case
from pellucid.variables import Scope, Variable

CATALOGUE = Catalogue("metric")


#: What lies below every threshold.
BELOW_ALL = -1e10


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
        # A policy says what is computed in.
        kind = str(getattr(dtype, "compute_dtype", dtype) or floatx())
        self._dtype = {"int": "int32", "float": floatx()}.get(kind, kind)
        self._variables: list[Variable] = []

    @property
    def dtype(self) -> str:
        """What is computed in."""
        return self._dtype

    def changed_arguments(self) -> dict[str, Any]:
        """The type, which is settled when the metric is made."""
        return {**super().changed_arguments(), "dtype": self.dtype}

    def add_variable(
        self, shape: Sequence[int], initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Add a sum to keep."""
        from pellucid import initializers

        variable = Variable(
            initializers.get(initializer),
            shape,
            {"int": "int32", "float": floatx()}.get(str(dtype), dtype) or self.dtype,
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
        """All sums: those added, then other variables and metrics held, in lists and dicts, too."""
        own, held = list(self._variables), [value for key, value in vars(self).items() if key != "_variables"]
        metrics: list[Metric] = []
        for value in held:
            if isinstance(value, Metric):
                metrics.append(value)
            elif isinstance(value, Variable):
                own += [] if any(value is each for each in own) else [value]
            elif isinstance(value, Mapping):
                held += list(cast(Mapping[Any, Any], value).values())
            elif isinstance(value, list | tuple):
                held += cast(list[Any], value)
        return own + [variable for metric in metrics for variable in metric.variables]

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

    def stateless_update_state(self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """The values of the variables, with a batch added, as a function of their values before."""
        with self._holding(metric_variables) as scope:
            self.update_state(*args, **kwargs)
        return list(scope.after(self.variables))

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """The measure, as a function of the values of the variables."""
        with self._holding(metric_variables):
            return self.result()

    def stateless_reset_state(self) -> list[Any]:
        """The values of the variables from which everything begins."""
        with self._holding([variable.value for variable in self.variables]) as scope:
            self.reset_state()
        return list(scope.after(self.variables))

    def _holding(self, values: Sequence[Any]) -> Any:
        variables = self.variables
        if len(values) != len(variables):
            raise ShapeError(
                message(
                    f"{self.name} has a value for each variable.",
                    came=f"{len(values)} values",
                    expected=f"{len(variables)}",
                )
            )
        return Scope(variables, [as_array(value) for value in values])()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch and give the result."""
        self.update_state(*args, **kwargs)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def per_row(
    values: ArrayLike, sample_weight: ArrayLike | None, dtype: Any, reduce: Callable[..., Array] = jnp.mean
) -> tuple[Array, Array | None]:
    """Values and weights with one entry per row, their product already in the values."""
    array = as_array(values).astype(dtype)
    weights: Array | None = None
    if sample_weight is not None:
        given = as_array(sample_weight).astype(dtype)
        if (mask := mask_of(values)) is not None:
            counted, given = same_rank(mask.astype(dtype), given)
            given = given * counted
        array, weights = same_rank(array, given)
        if array.ndim > weights.ndim:
            array = reduce(array, axis=tuple(range(weights.ndim, array.ndim)))
        weights = jnp.broadcast_to(weights, array.shape)
        array = array * weights
        if weights.ndim > 1:
            weights = reduce(weights, axis=tuple(range(1, weights.ndim)))
    if array.ndim > 1:
        array = reduce(array, axis=tuple(range(1, array.ndim)))
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
        array, _ = per_row(values, sample_weight, self.dtype, jnp.sum)
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
    return (y == (p > threshold).astype(y.dtype)).astype(floatx())


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
def sparse_top_k_categorical_accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, k: int = 5, from_sorted_ids: bool = False
) -> Array:
    """1 where class number y is among the k largest p; or the first k of p, if they are sorted numbers."""
    y, p = as_array(y_true), as_array(y_pred)
    flat = p.reshape(-1, p.shape[-1])
    if from_sorted_ids:
        among = jnp.any(y.reshape(-1, 1).astype(p.dtype) == flat[:, :k], axis=-1)
    else:
        right = jnp.take_along_axis(flat, y.reshape(-1, 1).astype("int32"), axis=-1)
        among = (jnp.sum(flat > right, axis=-1) < k) & jnp.isfinite(right[:, 0])
    return among.astype(floatx()).reshape(p.shape[:-1])


@CATALOGUE.entry()
def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Array:
    """1 where the class that y, one-hot, says is among the k largest p."""
    return sparse_top_k_categorical_accuracy(jnp.argmax(as_array(y_true), axis=-1), y_pred, k)


def exact_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """1 where y and p are equal."""
    y, p = same_rank(as_array(y_true), as_array(y_pred))
    return (y.astype(p.dtype) == p).astype(floatx())


def _measures(
    name: str,
    fn: Callable[..., Any],
    direction: str,
    short: str = "",
    order: Sequence[str] = (),
    **options: Any,
) -> Any:
    """Make the metric class of a function: its options become the constructor's arguments.

    Args:
        name: the name of the class.
        fn: the function.
        direction: whether larger is better, "up", or smaller, "down".
        short: the name in the logs, if it is not that of the function.
        order: the order of the arguments by position, if `name` and `dtype` do not come first.
        options: the options of the function, and their defaults.
    """
    names = list(options)
    places = order or ("name", "dtype", *names)

    def init(self: Any, *args: Any, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        given = dict(zip(places, args, strict=False))
        name, dtype = given.pop("name", name), given.pop("dtype", dtype)
        values = {option: given.get(option, kwargs.pop(option, options[option])) for option in names}
        if kwargs:
            raise ArgumentError(
                message(f"{type(self).__name__} has no argument {next(iter(kwargs))!r}.", expected=names)
            )
        MeanMetricWrapper.__init__(self, fn, name or short or str(fn.__name__), dtype, **values)
        for option, value in values.items():
            setattr(self, option, value)
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
TopKCategoricalAccuracy: Any = _measures(
    "TopKCategoricalAccuracy", top_k_categorical_accuracy, "up", order=("k", "name", "dtype"), k=5
)
SparseTopKCategoricalAccuracy: Any = _measures(
    "SparseTopKCategoricalAccuracy",
    sparse_top_k_categorical_accuracy,
    "up",
    order=("k", "name", "dtype", "from_sorted_ids"),
    k=5,
    from_sorted_ids=False,
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
    ignore_class=None,
)


def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Array:
    """(y / |y|) . (p / |p|): 1 where they point the same way."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


CosineSimilarity: Any = _measures("CosineSimilarity", cosine_similarity, "up", axis=-1)


@CATALOGUE.entry()
def pearson_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Array:
    """mean((y - mean y) / std y * (p - mean p) / std p): 1 where p rises as y does."""
    p = as_array(y_pred)
    y, p = same_rank(as_array(y_true).astype(p.dtype), p)
    y, p = (each - jnp.mean(each, axis=axis, keepdims=True) for each in (y, p))
    y, p = (each / jnp.std(each, axis=axis, keepdims=True) for each in (y, p))
    return jnp.mean(y * p, axis=axis)


@CATALOGUE.entry()
def concordance_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Array:
    """mean(2 * (y - mean p) * (p - mean p) / (var y + var p + (mean y - mean p)^2)): 1 where p is y."""
    p = as_array(y_pred)
    y, p = same_rank(as_array(y_true).astype(p.dtype), p)
    mean_y, mean_p = (jnp.mean(each, axis=axis, keepdims=True) for each in (y, p))
    spread_y, spread_p = (jnp.var(each, axis=axis, keepdims=True) for each in (y, p))
    norm = spread_y + spread_p + jnp.square(mean_y - mean_p)
    return jnp.mean(2 * (y - mean_p) * (p - mean_p) / (norm + losses.EPSILON), axis=axis)


PearsonCorrelation: Any = _measures("PearsonCorrelation", pearson_correlation, "up", axis=-1)
ConcordanceCorrelation: Any = _measures("ConcordanceCorrelation", concordance_correlation, "up", axis=-1)


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
    weights = jnp.ones((1,), dtype)
    if sample_weight is not None:
        # A weight for each row, or for each number.
        weights = as_array(sample_weight).astype(dtype)[..., None]
        weights = weights[..., 0] if weights.ndim == y.ndim + 1 else weights
    weights = jnp.broadcast_to(weights, y.shape)
    return y.reshape(rows, -1), p.reshape(rows, -1), weights.reshape(rows, -1)


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
        default = 0.5 if top_k is None else BELOW_ALL
        given = default if thresholds is None else thresholds
        levels = list(cast(Sequence[Any], given)) if isinstance(given, list | tuple) else [given]
        if thresholds is not None and any(each is None or not 0.0 <= each <= 1.0 for each in levels):
            raise ArgumentError(message("Threshold values must be in [0, 1].", came=thresholds))
        self.thresholds, self.top_k, self.class_id = levels, top_k, class_id
        for count in self.counted:
            setattr(self, count, self.add_variable((len(levels),), name=count))

    @property
    def counts(self) -> dict[str, Variable]:
        """The counts, by name."""
        return {name: getattr(self, name) for name in self.counted}

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add a batch."""
        said = as_array(y_pred)
        if self.top_k is not None:
            # Without an axis of classes, all numbers are those of one row.
            kept = jax.lax.top_k(said, self.top_k)[1]
            among = jnp.sum(jax.nn.one_hot(kept, said.shape[-1]), axis=-2) > 0
            said = jnp.where(among, said, BELOW_ALL)
        y, p, weights = _columns(y_true, said, sample_weight, self.dtype)
        y, p, weights = _of_class(self.class_id, said.ndim, y, p, weights)
        add_confusion(self.counts, y.ravel(), p.ravel(), weights.ravel(), jnp.array(self.thresholds, p.dtype))

    def _shown(self, values: Array) -> Array:
        return values[0] if len(self.thresholds) == 1 else values


def _of_class(class_id: int | None, axes: int, *columns: Array) -> tuple[Array, ...]:
    """The columns of one class alone, if one is asked for."""
    if class_id is None:
        return columns
    if axes == 1:
        raise ShapeError(
            message(
                "When class_id is provided, y_pred must be a 2D array with shape (num_samples, num_classes).",
                came="one number for each row",
            )
        )
    return tuple(column[:, class_id : class_id + 1] for column in columns)


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


COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


class _AtLeast(Metric):
    """The best of one share among the thresholds at which another share is at least as asked for."""

    rows_independent = True
    direction = "up"
    #: What must be reached, and what is then as large as can be: each as the counts above the line
    #: and the others below it.
    asked: ClassVar[tuple[str, str]]
    best: ClassVar[tuple[str, str]]

    def __init__(
        self,
        value: float,
        name_of_value: str,
        num_thresholds: int,
        class_id: int | None,
        name: Any,
        dtype: Any,
    ) -> None:
        super().__init__(dtype, name)
        if not 0 <= value <= 1:
            raise ArgumentError(
                message(f"Argument `{name_of_value}` must be in the range [0, 1].", came=value)
            )
        if num_thresholds <= 0:
            raise ArgumentError(
                message("Argument `num_thresholds` must be an integer > 0.", came=num_thresholds)
            )
        self.value, self.num_thresholds, self.class_id = value, num_thresholds, class_id
        setattr(self, name_of_value, value)
        last = num_thresholds - 1
        self.thresholds = [each / last for each in range(num_thresholds)] if last else [0.5]
        for count in COUNTS:
            setattr(self, count, self.add_variable((num_thresholds,), name=count))

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add a batch."""
        columns = _columns(y_true, y_pred, sample_weight, self.dtype)
        y, p, weights = _of_class(self.class_id, np.ndim(y_pred), *columns)
        counts = {name: getattr(self, name) for name in COUNTS}
        add_confusion(counts, y.ravel(), p.ravel(), weights.ravel(), jnp.array(self.thresholds, p.dtype))

    def result(self) -> Array:
        """The best share, 0 if the other is never reached."""
        counts = {name: as_array(getattr(self, name).value) for name in COUNTS}
        asked, best = (_divide(counts[a], counts[a] + counts[b]) for a, b in (self.asked, self.best))
        return jnp.max(jnp.where(asked >= self.value, best, 0.0), initial=0.0)


_SENSITIVITY = _RECALL = ("true_positives", "false_negatives")
_SPECIFICITY = ("true_negatives", "false_positives")
_PRECISION = ("true_positives", "false_positives")


@CATALOGUE.entry()
class SensitivityAtSpecificity(_AtLeast):
    """The best TP / (TP + FN) where TN / (TN + FP) is at least `specificity`."""

    asked, best = _SPECIFICITY, _SENSITIVITY

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, "specificity", num_thresholds, class_id, name, dtype)


@CATALOGUE.entry()
class SpecificityAtSensitivity(_AtLeast):
    """The best TN / (TN + FP) where TP / (TP + FN) is at least `sensitivity`."""

    asked, best = _SENSITIVITY, _SPECIFICITY

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, "sensitivity", num_thresholds, class_id, name, dtype)


@CATALOGUE.entry()
class PrecisionAtRecall(_AtLeast):
    """The best TP / (TP + FP) where TP / (TP + FN) is at least `recall`."""

    asked, best = _RECALL, _PRECISION

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, "recall", num_thresholds, class_id, name, dtype)


@CATALOGUE.entry()
class RecallAtPrecision(_AtLeast):
    """The best TP / (TP + FN) where TP / (TP + FP) is at least `precision`."""

    asked, best = _PRECISION, _RECALL

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, "precision", num_thresholds, class_id, name, dtype)


@CATALOGUE.entry("auc")
class AUC(Metric):
    """The area under the ROC curve (or the precision-recall curve), from counts at thresholds.

    Args:
        num_thresholds: how many thresholds between 0 and 1; more is finer.
        curve: "ROC", "PR", or "PRGAIN": precision and recall as gains over always saying yes.
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
        if curve not in ("ROC", "PR", "PRGAIN"):
            raise ArgumentError(message("curve is unknown.", came=repr(curve), expected="ROC, PR or PRGAIN"))
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
                message("Argument `num_thresholds` must be an integer > 1.", came=num_thresholds)
            )
        if num_labels and not multi_label:
            raise ArgumentError(message("`num_labels` is needed only when `multi_label` is True."))
        self.curve, self.summation_method = curve, summation_method
        self.multi_label, self.num_labels, self.from_logits = multi_label, num_labels, from_logits
        self.label_weights = label_weights
        if thresholds is None:
            inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        else:
            inner = sorted(float(each) for each in thresholds)
        self.thresholds = [-losses.EPSILON, *inner, 1.0 + losses.EPSILON]
        self.num_thresholds = len(self.thresholds)
        self.counts: dict[str, Variable] = {}
        if not multi_label or num_labels:
            self._build(num_labels if multi_label else None)

    def _build(self, labels: int | None) -> None:
        shape = (len(self.thresholds),) + (() if labels is None else (labels,))
        for name in COUNTS:
            self.counts[name] = self.add_variable(shape, name=name)
            setattr(self, name, self.counts[name])

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
        add_confusion(self.counts, y, p, weights, jnp.array(self.thresholds, p.dtype))

    def result(self) -> Array:
        """The area."""
        tp, fp, tn, fn = (as_array(self.counts[name].value) for name in COUNTS)
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = self._interpolated(tp, fp, fn)
        else:
            x, y = self._points(tp, fp, tn, fn)
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

    def _points(self, tp: Array, fp: Array, tn: Array, fn: Array) -> tuple[Array, Array]:
        """The points of the curve, one for each threshold."""
        recall = _divide(tp, tp + fn)
        if self.curve == "ROC":
            return _divide(fp, fp + tn), recall
        if self.curve == "PR":
            return recall, _divide(tp, tp + fp)
        # Flach & Kull, 2015.
        odds = _divide(tp + fn, tn + fp)
        recall_gain = jnp.where(tp == 0, 0.0, 1.0 - odds * _divide(fn, tp))
        precision_gain = jnp.where(tp == 0, 1.0, 1.0 - odds * _divide(fp, tp))
        return jnp.maximum(recall_gain, 0.0), precision_gain

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
        if not isinstance(beta, int | float) or beta <= 0.0:
            raise ArgumentError(message("beta must be a positive number.", came=repr(beta)))
        if threshold is not None and not (isinstance(threshold, int | float) and 0.0 < threshold <= 1.0):
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
                    "Invalid value for argument `class_aggregation`.",
                    came=repr(class_aggregation),
                    expected="uniform_average, variance_weighted_average or None",
                )
            )
        if num_regressors < 0:
            raise ArgumentError(
                message(
                    "Invalid value for argument `num_regressors`.", came=num_regressors, expected="0 or more"
                )
            )
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples: Any = None
        self.sums: list[Variable] = []

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add a batch."""
        y, p, weights = _columns(y_true, y_pred, sample_weight, self.dtype)
        if np.ndim(y_pred) > 2:
            raise ShapeError(
                message(
                    "R2Score expects 2D inputs with shape (batch_size, output_dim).",
                    came=f"outputs of shape {np.shape(y_pred)}",
                )
            )
        if not self.sums:
            self.num_samples = self.add_variable((), name="num_samples")
            shape = (int(p.shape[-1]),)
            self.sums = [
                self.add_variable(shape, name=n) for n in ("squared_sum", "sum", "residual", "count")
            ]
        terms = (y * y * weights, y * weights, jnp.square(y - p) * weights, weights)
        for variable, each in zip(self.sums, terms, strict=True):
            variable.assign(as_array(variable.value) + jnp.sum(each, axis=0))
        # Rows that only fill up a batch weigh nothing, and do not count.
        self.num_samples.assign(as_array(self.num_samples.value) + jnp.sum(weights != 0))

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
        rows, features = as_array(self.num_samples.value), self.num_regressors
        adjusted = 1.0 - (1.0 - score) * (rows - 1.0) / (rows - features - 1.0)
        return jnp.where(rows - features - 1.0 > 0, adjusted, score)


class _Overlap(Metric):
    """How far what was said of each class overlaps with what is there, from a table of both."""

    rows_independent = True
    direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None,
        dtype: Any,
        ignore_class: int | None,
        sparse_y_true: bool,
        sparse_y_pred: bool,
        axis: int,
    ) -> None:
        super().__init__(dtype or "int", name)
        if max(target_class_ids) >= num_classes:
            raise ArgumentError(
                message(
                    f"Target class id {max(target_class_ids)} is out of range.",
                    came=list(target_class_ids),
                    expected=f"0 to {num_classes - 1}",
                )
            )
        self.num_classes, self.target_class_ids = num_classes, list(target_class_ids)
        self.ignore_class, self.axis = ignore_class, axis
        self.sparse_y_true, self.sparse_y_pred = sparse_y_true, sparse_y_pred
        self.total_cm = self.add_variable((num_classes, num_classes), name="total_confusion_matrix")

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add a batch."""
        given: Any = sample_weight
        if isinstance(given, np.ndarray) and given.dtype.kind == "f" and "int" in self.dtype:
            what = "sample_weight is `float`, and the dtype is `int`: casting cuts it to whole numbers."
            warnings.warn(what, stacklevel=2)
        y, p = as_array(y_true), as_array(y_pred)
        y = (y if self.sparse_y_true else jnp.argmax(y, axis=self.axis)).astype("int32")
        p = (p if self.sparse_y_pred else jnp.argmax(p, axis=self.axis)).astype("int32").ravel()
        weights = as_array(1 if sample_weight is None else sample_weight).astype(self.dtype)
        if weights.ndim == 1 and y.ndim > 1 and weights.size == y.shape[0]:
            weights = weights.reshape(-1, *[1] * (y.ndim - 1))
        weights = jnp.broadcast_to(weights if weights.ndim == y.ndim else weights.ravel(), y.shape).ravel()
        y = y.ravel()
        counts = (y >= 0) & (y < self.num_classes) & (p >= 0) & (p < self.num_classes)
        if self.ignore_class is not None:
            counts = counts & (y != self.ignore_class)
        there, said = (jax.nn.one_hot(each, self.num_classes, dtype=self.dtype) for each in (y, p))
        there = there * jnp.where(counts, weights, 0)[:, None]
        self.total_cm.assign(as_array(self.total_cm.value) + there.T @ said)

    def result(self) -> Array:
        """The mean over the classes that occur."""
        table = as_array(self.total_cm.value)
        both = jnp.diag(table)
        either = (jnp.sum(table, axis=0) + jnp.sum(table, axis=1) - both).astype("float32")
        targets = np.array(self.target_class_ids)
        either, both = either[targets], both[targets].astype("float32")
        occurs = either > 1e-9
        overlaps = jnp.where(occurs, both / (either + losses.EPSILON), 0.0)
        return jnp.sum(overlaps) / (jnp.sum(occurs) + losses.EPSILON)


@CATALOGUE.entry()
class IoU(_Overlap):
    """TP / (TP + FP + FN) of classes, their mean over `target_class_ids`: intersection over union.

    Args:
        num_classes: how many classes there are.
        target_class_ids: which of them count.
        name, dtype: as for every metric.
        ignore_class: places of this class do not count.
        sparse_y_true, sparse_y_pred: whether these are numbers of classes rather than one-hot.
        axis: where the classes lie, if they are one-hot.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, target_class_ids, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis
        )


@CATALOGUE.entry()
class BinaryIoU(_Overlap):
    """The same for classes 0 and 1, where an output of at least `threshold` says 1."""

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype, None, True, True, -1)
        self.threshold = threshold

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add a batch."""
        super().update_state(y_true, as_array(y_pred) >= self.threshold, sample_weight)


@CATALOGUE.entry()
class MeanIoU(_Overlap):
    """TP / (TP + FP + FN), the mean over all classes."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        every = range(num_classes)
        super().__init__(num_classes, every, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


@CATALOGUE.entry()
class OneHotIoU(_Overlap):
    """As `IoU`, for one-hot targets."""

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


@CATALOGUE.entry()
class OneHotMeanIoU(_Overlap):
    """As `MeanIoU`, for one-hot targets."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, range(num_classes), name, dtype, ignore_class, False, sparse_y_pred, axis
        )


def get(identifier: Any) -> Any:
    """The metric that a name, configuration, function or object stands for.

    >>> get("mse").name
    'mean_squared_error'
    """
    if not isinstance(identifier, str):
        return CATALOGUE.make(identifier)
    own = identifier in CATALOGUE.entries or identifier not in losses.CATALOGUE.entries
    found = (CATALOGUE if own else losses.CATALOGUE).find(identifier)
    if isinstance(found, type) or found in class_of:
        return class_of.get(found, found)()
    return found


def serialize(metric: Any) -> Any:
    """A metric as plain data."""
    return naming.serialize(metric)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The metric that `serialize` wrote down.

    >>> deserialize(serialize(MeanIoU(num_classes=3))).num_classes
    3
    """
    return CATALOGUE.make(config, custom_objects)


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
