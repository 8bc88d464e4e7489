"""How well a network answers rows that it has never seen, beside two baselines, as plain data.

The baselines are what anybody can do without a network: always give the commonest answer (for
numbers, the mean), and a linear model. The numbers are computed here, exactly, from the answers;
reading and showing them again needs neither JAX nor the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from pellucid.errors import FileError, message
from pellucid.tables.schema import KINDS, Kind, Label, Target

NumPy = np.ndarray[Any, Any]
Measures = dict[str, float | None]

#: Of which measures less is better.
LESS_IS_BETTER = frozenset({"log loss", "mean absolute error", "root mean squared error"})
#: How often the test rows are drawn again.
DRAWS = 500
#: The measure that a kind is judged by first.
FIRST_MEASURE: dict[Kind, str] = {
    "yes/no": "AUC",
    "classes": "accuracy",
    "number": "root mean squared error",
}


@dataclass(frozen=True)
class Report:
    """Measures of a network, of a linear model and of always the same answer, on the same test rows.

    Args:
        kind: the kind of the target.
        rows: how many rows were trained on, validated on and tested on.
        labels: the possible answers; of yes/no, the second is the positive one.
        always: what is always answered.
        network, linear, constant: each measure by its name; None where it is not defined.
        confusion: how many test rows with the label of each line were answered with that of each
            column; empty for numbers.
        intervals: of each of the network's measures where it lies in 95 of 100 drawings of as many test
            rows, with putting back (a bootstrap).
        gain: by how much the network is better than the linear model, by the first measure of its kind; and
            the interval of that.
        calibration: of yes/no, for each tenth of probability how many test rows have one, their mean
            probability, and the part of them that is yes.
        at_half: of yes/no with another threshold than 0.5, the measures that 0.5 would have.
    """

    kind: Kind
    rows: Mapping[str, int]
    labels: tuple[Label, ...]
    always: Label
    network: Mapping[str, float | None]
    linear: Mapping[str, float | None]
    constant: Mapping[str, float | None]
    confusion: tuple[tuple[int, ...], ...] = ()
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    gain: tuple[float, float, float] | None = None
    calibration: tuple[tuple[int, float, float], ...] = ()
    at_half: Mapping[str, float | None] = field(default_factory=dict[str, "float | None"])

    def table(self) -> list[tuple[str, float | None, float | None, float | None]]:
        """A line for each measure: its name, the network's, the linear model's, the constant's."""
        return [
            (name, value, self.linear.get(name), self.constant.get(name))
            for name, value in self.network.items()
        ]

    @property
    def linear_name(self) -> str:
        """What the linear model is called."""
        return "linear regression" if self.kind == "number" else "logistic regression"

    def verdict(self) -> str:
        """One plain sentence that says whether the network was worth it."""
        name = FIRST_MEASURE[self.kind]
        network, linear, constant = (each.get(name) for each in (self.network, self.linear, self.constant))
        if network is None or linear is None or constant is None:
            return f"The {name} is not defined on these test rows."
        sign = -1.0 if name in LESS_IS_BETTER else 1.0
        if sign * network <= sign * constant:
            return (
                f"By {name} the network is no better than always answering {shown(self.always)}: "
                "it has learned nothing that holds for new rows."
            )
        low, high = (self.gain[1], self.gain[2]) if self.gain is not None else (0.0, 0.0)
        if low > 0:
            return f"By {name} the network is better than a {self.linear_name}."
        if high < 0:
            return f"By {name} a {self.linear_name} is better than the network on these rows."
        return f"By {name} a {self.linear_name} is as good as the network on these rows."

    def to_json(self) -> dict[str, Any]:
        """The report in JSON's types."""
        return {
            "kind": self.kind,
            "rows": dict(self.rows),
            "labels": list(self.labels),
            "always": self.always,
            "network": dict(self.network),
            "linear": dict(self.linear),
            "constant": dict(self.constant),
            "confusion": [list(line) for line in self.confusion],
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "gain": None if self.gain is None else list(self.gain),
            "calibration": [list(line) for line in self.calibration],
            "at_half": dict(self.at_half),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Report:
        """Make the report again.

        Raises:
            FileError: if the data is not what `to_json` gives.
        """
        try:
            if data["kind"] not in KINDS:
                raise ValueError(f"the kind {data['kind']!r} is unknown")
            confusion = tuple(tuple(int(count) for count in line) for line in data["confusion"])
            labels = tuple(cast(list[Label], data["labels"]))
            if confusion and {len(labels)} != {len(confusion), *(len(line) for line in confusion)}:
                raise ValueError("the confusion does not have a line and a column for each label")
            return cls(
                data["kind"],
                {name: int(data["rows"][name]) for name in ("train", "validation", "test")},
                labels,
                data["always"],
                _measures(data["network"]),
                _measures(data["linear"]),
                _measures(data["constant"]),
                confusion,
                {str(name): _numbers(ends, 2) for name, ends in data.get("intervals", {}).items()},
                None if data.get("gain") is None else _numbers(data["gain"], 3),
                tuple((int(line[0]), *_numbers(line[1:], 2)) for line in data.get("calibration", [])),
                _measures(data.get("at_half", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise FileError(message("the report cannot be used.", came=repr(problem))) from None


def _numbers(data: Any, count: int) -> Any:
    found = tuple(float(each) for each in data)
    if len(found) != count:
        raise ValueError(f"{count} numbers were expected")
    return found


def _measures(data: Mapping[str, Any]) -> Measures:
    return {str(name): None if value is None else float(value) for name, value in data.items()}


def shown(label: Label) -> str:
    """A label as messages show it.

    >>> shown("benign"), shown(3), shown(12.345678)
    ('"benign"', '3', '12.35')
    """
    if isinstance(label, str):
        return f'"{label}"'
    return f"{label:.4g}" if isinstance(label, float) else str(label)


def measure(kind: Kind, y: NumPy, answers: NumPy, probabilities: NumPy | None = None) -> Measures:
    """All measures of some answers.

    Args:
        kind: the kind of the target.
        y: the truth: 0 or 1, numbers of classes, or numbers.
        answers: the same of the answers.
        probabilities: of yes/no the probability of 1, shape (rows,); of classes that of each, shape
            (rows, classes).
    """
    return Judged(kind, y, answers, probabilities).measures(np.ones(len(y)))


class Judged:
    """Answers and the truth of some rows, to be measured on any of them. Arguments as for `measure`."""

    def __init__(self, kind: Kind, y: NumPy, answers: NumPy, probabilities: NumPy | None = None) -> None:
        self.kind, self.y = kind, y
        self.losses: NumPy = np.zeros(0)
        if kind == "number":
            self.error = answers - y
            return
        assert probabilities is not None
        wide = np.asarray(probabilities, np.float64)
        by_class = np.column_stack([1.0 - wide, wide]) if kind == "yes/no" else wide
        self.classes = by_class.shape[1]
        #: The cell of the confusion table of each row.
        self.cells = y.astype(np.int64) * self.classes + answers.astype(np.int64)
        right = np.take_along_axis(by_class, y.astype(np.int64)[:, None], axis=1)[:, 0]
        self.losses = -np.log(np.clip(right, float(np.finfo(np.float32).eps), 1.0))
        if kind == "yes/no":
            self.distinct, self.order = np.unique(wide, return_inverse=True)

    def measures(self, counts: NumPy) -> Measures:
        """All measures, where each row comes so many times."""
        if self.kind == "number":
            return self._of_numbers(counts)
        square = self.classes * self.classes
        confusion = np.bincount(self.cells, weights=counts, minlength=square).reshape(self.classes, -1)
        total = float(counts.sum())
        found: Measures = {"accuracy": float(np.trace(confusion)) / total}
        if self.kind == "yes/no":
            found["AUC"] = self._area_under_roc(counts)
            found["precision"], found["recall"], found["F1"] = _of_class(confusion, 1)
        else:
            # A class that is never answered and never right counts as 0, as scikit-learn has it.
            each = [_of_class(confusion, number)[2] or 0.0 for number in range(len(confusion))]
            found["mean F1"] = float(np.mean(each))
        found["log loss"] = float(self.losses @ counts) / total
        return {name: _finite(value) for name, value in found.items()}

    def _of_numbers(self, counts: NumPy) -> Measures:
        total = float(counts.sum())
        squares = float(counts @ np.square(self.y - self.y @ counts / total))
        of_errors = float(counts @ np.square(self.error))
        return {
            "R squared": _finite(1.0 - of_errors / squares) if squares > 0 else None,
            "root mean squared error": _finite(math.sqrt(of_errors / total)),
            "mean absolute error": _finite(float(counts @ np.abs(self.error)) / total),
        }

    def _area_under_roc(self, counts: NumPy) -> float | None:
        """The chance that a row with 1 has a higher score than a row with 0; equal scores count half."""
        ones = np.bincount(self.order, weights=counts * (self.y == 1), minlength=len(self.distinct))
        zeros = np.bincount(self.order, weights=counts, minlength=len(self.distinct)) - ones
        pairs = float(ones.sum() * zeros.sum())
        below = np.cumsum(zeros) - zeros / 2
        return float(ones @ below) / pairs if pairs else None


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def count_confusion(y: NumPy, answers: NumPy, classes: int) -> NumPy:
    """How many rows of each class (line) got which answer (column).

    >>> count_confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    places = y.astype(np.int64) * classes + answers.astype(np.int64)
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


def _of_class(confusion: NumPy, number: int) -> tuple[float | None, float | None, float | None]:
    """Precision, recall and F1 of one class; None where they would be 0 / 0."""
    right = float(confusion[number, number])
    answered, there = float(confusion[:, number].sum()), float(confusion[number].sum())
    precision = right / answered if answered else None
    recall = right / there if there else None
    f1 = 2 * right / (answered + there) if answered + there else None
    return precision, recall, f1


def report(
    target: Target,
    rows: Mapping[str, int],
    y: NumPy,
    network: NumPy,
    linear: NumPy,
    trained_y: NumPy,
    seed: int = 0,
) -> Report:
    """Measure the network, a linear model and the constant answer on the test rows.

    Args:
        target: what is answered; its threshold is the network's.
        rows: as in `Report`.
        y: the truth of the test rows.
        network, linear: what they give for them: numbers, or probabilities as in `measure`.
        trained_y: the truth of the rows that are not test rows: what is commonest, or the mean.
        seed: what the bootstrap draws from.
    """
    kind, labels = target.kind, target.labels
    if kind == "number":
        mean = float(np.mean(trained_y))
        constant = np.full(len(y), mean)
        first, second, third = (measure(kind, y, each) for each in (network, linear, constant))
        intervals, gain = bootstrapped(kind, y, network, linear, seed)
        return Report(kind, rows, (), mean, first, second, third, (), intervals, gain)
    shares = np.bincount(trained_y.astype(np.int64), minlength=len(labels)) / len(trained_y)
    commonest = int(np.argmax(shares))
    constant = np.tile(shares, (len(y), 1)) if kind == "classes" else np.full(len(y), shares[1])
    threshold = target.threshold
    answers = [answered(kind, network, threshold), answered(kind, linear), np.full(len(y), commonest)]
    first, second, third = (
        measure(kind, y, answer, probabilities)
        for answer, probabilities in zip(answers, (network, linear, constant), strict=True)
    )
    confusion = tuple(map(tuple, count_confusion(y, answers[0], len(labels)).tolist()))
    intervals, gain = bootstrapped(kind, y, network, linear, seed, threshold)
    at_half = measure(kind, y, answered(kind, network), network) if threshold != 0.5 else {}
    tenths = calibration(y, network) if kind == "yes/no" else ()
    return Report(
        kind,
        rows,
        tuple(labels),
        labels[commonest],
        first,
        second,
        third,
        confusion,
        intervals,
        gain,
        tenths,
        at_half,
    )


def bootstrapped(
    kind: Kind, y: NumPy, network: NumPy, linear: NumPy, seed: int, threshold: float = 0.5
) -> tuple[dict[str, tuple[float, float]], tuple[float, float, float] | None]:
    """The 95 % intervals of the network's measures, and of its gain over the linear model.

    The test rows are drawn again, with putting back, DRAWS times; both models answer the same rows.
    """
    draw = np.random.default_rng(seed)
    name = FIRST_MEASURE[kind]
    sign = -1.0 if name in LESS_IS_BETTER else 1.0
    found: dict[str, list[float]] = {}
    gains: list[float] = []
    judged = (
        [Judged(kind, y, given) for given in (network, linear)]
        if kind == "number"
        else [
            Judged(kind, y, answered(kind, given, limit), given)
            for given, limit in ((network, threshold), (linear, 0.5))
        ]
    )
    draws = max(50, min(DRAWS, int(2.5e6 / max(len(y), 1))))
    for _ in range(draws):
        counts = np.bincount(draw.integers(0, len(y), len(y)), minlength=len(y)).astype(np.float64)
        mine, other = (each.measures(counts) for each in judged)
        for key, value in mine.items():
            if value is not None:
                found.setdefault(key, []).append(value)
        a, b = mine.get(name), other.get(name)
        if a is not None and b is not None:
            gains.append(sign * (a - b))
    intervals = {
        key: (float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975)))
        for key, values in found.items()
        if len(values) > draws // 2
    }
    if len(gains) <= draws // 2:
        return intervals, None
    return intervals, (
        float(np.mean(gains)),
        float(np.quantile(gains, 0.025)),
        float(np.quantile(gains, 0.975)),
    )


def calibration(y: NumPy, probabilities: NumPy) -> tuple[tuple[int, float, float], ...]:
    """For each tenth of probability with rows in it: how many, their mean probability, the part that is 1.

    >>> calibration(np.array([0, 1, 1]), np.array([0.0, 0.92, 0.94]))
    ((1, 0.0, 0.0), (2, 0.93, 1.0))
    """
    tenths = np.minimum((probabilities * 10).astype(int), 9)
    lines = [tenths == tenth for tenth in range(10)]
    return tuple(
        (int(there.sum()), round(float(probabilities[there].mean()), 6), round(float(np.mean(y[there])), 6))
        for there in lines
        if there.any()
    )


def answered(kind: Kind, probabilities: NumPy, threshold: float = 0.5) -> NumPy:
    """The number of the label that probabilities answer with."""
    if kind == "yes/no":
        return (probabilities >= threshold).astype(np.int64)
    return np.argmax(probabilities, axis=1)
