"""scikit-learn estimators: the network for tables in `Pipeline`, `cross_val_score` and `GridSearchCV`.

    from pellucid.sklearn import NetworkClassifier
    cross_val_score(NetworkClassifier(), frame, frame.pop("malignant"))

They take arrays, and data frames with text, categories, dates and missing values; nothing has to be scaled
or encoded before. scikit-learn must be installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from pellucid.errors import MissingModuleError, message

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils.multiclass import check_classification_targets, unique_labels
    from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d, validate_data
except ImportError:
    raise MissingModuleError(
        message(
            "pellucid.sklearn needs scikit-learn.", came="no scikit-learn", mend="pip install scikit-learn"
        )
    ) from None

from pellucid import run_files
from pellucid.naming import serialize
from pellucid.tables import choosing, recipe
from pellucid.tables.building import VALIDATION_PART, Asked
from pellucid.tables.columns import features_of
from pellucid.tables.network import in_units
from pellucid.tables.schema import Feature, Kind, Schema, Target

NumPy = np.ndarray[Any, Any]
#: With fewer rows than this none are held out to calibrate by.
FEWEST_TO_HOLD_OUT = 40


class _Network(BaseEstimator):
    """What the two estimators share: columns to numbers, training, and answers."""

    def __init__(
        self,
        *,
        hidden: Sequence[int] | None = None,
        epochs: int | None = None,
        random_state: int | None = 0,
        verbose: int = 0,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags: Any = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _columns(self, rows: Any, reset: bool) -> dict[str, NumPy]:
        """The columns of a frame or an array, checked as scikit-learn checks them."""
        if hasattr(rows, "columns") and hasattr(rows, "__array__"):
            validate_data(self, rows, reset=reset, skip_check_array=True)
            columns = _of_frame(rows)
            if not columns or not len(next(iter(columns.values()))):
                check_array(rows, dtype=cast(Any, None), ensure_all_finite=False)  # says what is wrong
            return columns
        array: Any = validate_data(self, rows, reset=reset, dtype=None, ensure_all_finite="allow-nan")
        if array.dtype.kind == "c":
            raise ValueError("Complex data not supported")
        if array.dtype.kind in "US":
            array = array.astype(object)
        return {f"x{place}": array[:, place] for place in range(array.shape[1])}

    def _learn(self, columns: dict[str, NumPy], y: NumPy, target: Target) -> None:
        """Train, and keep what answers."""
        features, left_out = features_of(columns)
        self.left_out_ = {each.name: each.reason for each in left_out}
        schema = Schema(tuple(features), target, tuple(left_out))
        x = _numbers(columns, features)
        seed = np.random.randint(2**31 - 1) if self.random_state is None else self.random_state
        seed = int(seed) if isinstance(seed, int | np.integer) else int(cast(Any, seed).randint(2**31 - 1))
        train, validation = _held_out(y, target.kind, seed)
        empty = np.zeros(0, np.int64)
        prepared = recipe.Prepared("the rows", len(y), schema, x, y, (), train, validation, empty, seed)
        watched = recipe.Watched(self.verbose)
        asked = Asked(None if self.hidden is None else tuple(self.hidden), self.epochs)
        found = recipe.learn(prepared, choosing.Wanted.of(0.5), watched, asked)
        self.schema_ = found.schema
        weights = {variable.path: variable.numpy() for variable in found.model.weights}
        self.run_ = run_files.Run("table", serialize(found.model), weights)
        self._model = found.model

    def _answers(self, rows: Any) -> NumPy:
        check_is_fitted(self, "run_")
        x = _numbers(self._columns(rows, reset=False), self.schema_.features)
        return recipe.answers_of(self._model, x)

    @property
    def model_(self) -> Any:
        """The network itself, a `pellucid.Model`, whose training can be opened: `model_.history`."""
        check_is_fitted(self, "run_")
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        state = dict(cast(dict[str, Any], super().__getstate__()))
        state.pop("_model", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "run_" in state:
            import pellucid.models  # noqa: F401  # pyright: ignore[reportUnusedImport]

            self._model = run_files.build(self.run_, "the pickled estimator")


class NetworkClassifier(ClassifierMixin, _Network):
    """A network that answers one of two or more classes, with probabilities.

    Args:
        hidden: the units of the hidden layers, if not the recipe's; () makes a linear network.
        epochs: how often the rows are gone through, if not as often as the recipe says.
        random_state: the same seed on the same rows gives the same network; None draws one.
        verbose: as for `Model.fit`.

    Attributes:
        classes_: the classes, sorted.
        model_: the network, whose recorded training can be opened.
        left_out_: the columns of a frame that could not be learned from, with the reasons.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> x, y = load_iris(return_X_y=True, as_frame=True)
        >>> bool(NetworkClassifier().fit(x, y).score(x, y) > 0.9)
        True
    """

    classes_: NumPy

    def fit(self, X: Any, y: Any) -> NetworkClassifier:  # noqa: N803
        """Train on rows and their classes."""
        columns = self._columns(X, reset=True)
        y = _targets(self, y, columns)
        check_classification_targets(y)
        self.classes_ = unique_labels(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"NetworkClassifier needs samples of at least 2 classes in the data, but got one class: "
                f"{self.classes_[0]!r}"
            )
        places = np.searchsorted(self.classes_, y).astype(np.float64)
        labels = tuple(range(len(self.classes_)))
        kind: Kind = "yes/no" if len(labels) == 2 else "classes"
        self._learn(columns, places, Target("y", kind, labels))
        return self

    def predict_proba(self, X: Any) -> NumPy:  # noqa: N803
        """The probability of each class for each row, shape (rows, classes)."""
        given = self._answers(X)
        given = np.column_stack([1.0 - given, given]) if given.ndim == 1 else given
        return given.astype(np.float64)

    def predict(self, X: Any) -> NumPy:  # noqa: N803
        """The likeliest class of each row."""
        best = np.argmax(self.predict_proba(X), axis=1)
        return self.classes_[best]


class NetworkRegressor(RegressorMixin, _Network):
    """A network that answers a number. Arguments and attributes as for `NetworkClassifier`.

    Example:
        >>> x = np.linspace(-3, 3, 300)[:, None]
        >>> bool(NetworkRegressor().fit(x, np.abs(x[:, 0])).score(x, np.abs(x[:, 0])) > 0.9)
        True
    """

    def fit(self, X: Any, y: Any) -> NetworkRegressor:  # noqa: N803
        """Train on rows and their numbers."""
        columns = self._columns(X, reset=True)
        y = _targets(self, y, columns, numeric=True)
        spread = float(y.std()) or 1.0
        low, high = float(y.min()), float(y.max())
        target = Target("y", "number", mean=float(y.mean()), spread=spread, low=low, high=high)
        self._learn(columns, y, target)
        return self

    def predict(self, X: Any) -> NumPy:  # noqa: N803
        """The number for each row."""
        answers = self._answers(X)
        return in_units(self.schema_.target, answers)


def _targets(estimator: Any, y: Any, columns: dict[str, NumPy], numeric: bool = False) -> NumPy:
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    y = column_or_1d(y, warn=True)
    rows = len(next(iter(columns.values())))
    if len(y) != rows:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: [{rows}, {len(y)}]")
    if numeric or y.dtype.kind == "f":
        wide = y.astype(np.float64)
        if not np.isfinite(wide).all():
            raise ValueError("Input y contains NaN or infinity.")
        return wide if numeric else y
    return y


def _of_frame(frame: Any) -> dict[str, NumPy]:
    from pellucid.tables.reading import as_columns

    return as_columns(frame)


def _numbers(columns: dict[str, NumPy], features: Sequence[Feature]) -> NumPy:
    """Rows of numbers: straight from numbers, by way of the table for all else."""
    if all(
        feature.treatment == "number" and columns[feature.source].dtype.kind in "fiu" for feature in features
    ):
        with np.errstate(over="ignore"):
            return np.column_stack([columns[feature.source].astype(np.float32) for feature in features])
    from pellucid.tables.reading import Table

    with Table.of(columns) as table:
        return table.numbers(features)


def _held_out(y: NumPy, kind: Kind, seed: int) -> tuple[NumPy, NumPy]:
    """The rows that train first, and a fifth that is held out; of each class the same part."""
    rows = len(y)
    if rows < FEWEST_TO_HOLD_OUT:
        return np.arange(rows), np.zeros(0, np.int64)
    draw = np.random.default_rng(seed)
    groups = recipe.groups_of(y, kind)
    held = [draw.permutation(group)[: round(VALIDATION_PART * len(group))] for group in groups]
    validation = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(rows), validation), validation
