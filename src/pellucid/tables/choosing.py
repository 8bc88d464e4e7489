"""What is chosen by the validation rows, and what is noticed before any training.

- The temperature: what the network's last sums are divided by, so that 0.8 comes true in 8 of 10 cases.
- The threshold: from which probability on the answer is yes.
- What a user should know of the table: columns that give the answer away, rows that come twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, message
from pellucid.tables.encoding import standardised
from pellucid.tables.schema import Schema, Target

NumPy = np.ndarray[Any, Any]

#: Fewer validation rows than this say too little about it.
ENOUGH = 50
#: The part of the target's variance that one column explains by itself where it is said to give it away.
GIVES_AWAY = {"yes/no": 0.85, "classes": 0.9, "number": 0.995}


@dataclass(frozen=True)
class Wanted:
    """What the threshold is to be chosen for.

    Args:
        what: "given", "best-f1", "cost" or "recall".
        numbers: the threshold; nothing; what a false yes and a false no cost; the recall.
    """

    what: str
    numbers: tuple[float, ...] = ()

    @classmethod
    def of(cls, said: str | float) -> Wanted:
        """Read what was asked for.

        >>> Wanted.of(0.4), Wanted.of("cost=1:5").numbers
        (Wanted(what='given', numbers=(0.4,)), (1.0, 5.0))
        """
        if isinstance(said, cls):
            return said
        what, sign, rest = str(said).partition("=")
        what = what.strip().lower().replace("_", "-")
        numbers: tuple[float, ...] = ()
        try:
            if not sign and what != "best-f1":
                what, rest = "given", what
            numbers = tuple(float(part) for part in rest.split(":")) if rest else ()
        except ValueError:
            what = ""
        fits = {"given": 1, "best-f1": 0, "cost": 2, "recall": 1}
        wrong = fits.get(what) != len(numbers)
        if not wrong and what in ("given", "recall"):
            wrong = not all(0.0 <= number <= 1.0 for number in numbers)
        if not wrong and what == "cost":
            wrong = not all(0.0 < number < float("inf") for number in numbers)
        if wrong:
            raise ArgumentError(
                message(
                    "this is no threshold.",
                    came=repr(said),
                    expected="a number from 0 to 1, best-f1, cost=FP:FN (such as cost=1:5), or recall=0.95",
                )
            )
        return cls(what, numbers)

    def require(self, target: Target) -> None:
        """Raise ArgumentError if the target has no threshold."""
        if (self.what, self.numbers) != ("given", (0.5,)) and target.kind != "yes/no":
            raise ArgumentError(
                message(
                    "a threshold is for answers of yes or no.",
                    came=f'"{target.name}" is '
                    + ("a number" if target.kind == "number" else "one of several classes"),
                    mend="leave the threshold out.",
                )
            )


@dataclass(frozen=True)
class Chosen:
    """What the validation rows said."""

    temperature: float = 1.0
    threshold: float = 0.5
    reason: str = ""


def choose(target: Target, answers: NumPy, truth: NumPy, wanted: Wanted) -> Chosen:
    """Choose temperature and threshold by answers for rows that the network has not seen.

    Args:
        target: what is answered.
        answers: probabilities of yes, or of each class.
        truth: numbers of labels.
        wanted: what the threshold is for.
    """
    if target.kind == "number":
        return Chosen()
    heat = temperature(answers, truth)
    if target.kind == "classes":
        return Chosen(heat)
    threshold, reason = threshold_for(wanted, cooled(answers, heat), truth)
    return Chosen(heat, threshold, reason)


def cooled(answers: NumPy, heat: float) -> NumPy:
    """Probabilities as they are when what goes into sigmoid or softmax is divided by a temperature."""
    if heat == 1.0:
        return answers
    wide = np.clip(answers.astype(np.float64), 1e-7, 1 - 1e-7)
    if wide.ndim == 1:
        return 1.0 / (1.0 + np.exp(-(np.log(wide) - np.log1p(-wide)) / heat))
    powers = wide ** (1.0 / heat)
    return powers / powers.sum(axis=1, keepdims=True)


def losses(answers: NumPy, truth: NumPy) -> NumPy:
    """Of each row -log of the probability of what is true."""
    wide = np.clip(answers.astype(np.float64), 1e-7, 1 - 1e-7)
    right = (
        np.where(truth > 0, wide, 1 - wide)
        if wide.ndim == 1
        else wide[np.arange(len(wide)), truth.astype(int)]
    )
    return -np.log(right)


def temperature(answers: NumPy, truth: NumPy) -> float:
    """The temperature at which the log loss is least; 1 where its gain is within its standard error.

    >>> places = np.arange(100) % 4
    >>> sure = np.where(places > 0, 0.999, 0.001)
    >>> temperature(sure, places > 1) > 2  # it is right in three of four cases only
    True
    """
    if len(truth) < ENOUGH:
        return 1.0
    low, high = -1.5, 2.5  # of the logarithm
    ratio = (np.sqrt(5.0) - 1) / 2

    def of(logarithm: float) -> float:
        return float(losses(cooled(answers, float(np.exp(logarithm))), truth).mean())

    for _ in range(40):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        worse = of(a) > of(b)
        low, high = (a, high) if worse else (low, b)
    found = float(np.exp((low + high) / 2))
    gains = losses(answers, truth) - losses(cooled(answers, found), truth)
    surely = gains.mean() > gains.std() / np.sqrt(len(gains))
    return found if surely else 1.0


def threshold_for(wanted: Wanted, probabilities: NumPy, truth: NumPy) -> tuple[float, str]:
    """A threshold, and why it is that."""
    if wanted.what == "given":
        value = wanted.numbers[0]
        return value, "" if value == 0.5 else "as asked"
    order = np.argsort(-probabilities, kind="stable")
    sorted_p, sorted_y = probabilities[order].astype(np.float64), truth[order]
    # Yes to the first k rows, for each k after which the probability changes.
    ends = np.flatnonzero(np.append(sorted_p[1:] < sorted_p[:-1], True)) + 1
    right = np.cumsum(sorted_y > 0)[ends - 1]
    wrong, missed = ends - right, int((truth > 0).sum()) - right
    if wanted.what == "best-f1":
        score, why = 2 * right / np.maximum(2 * right + wrong + missed, 1), "the best F1"
    elif wanted.what == "cost":
        score, why = (
            -(wanted.numbers[0] * wrong + wanted.numbers[1] * missed),
            (f"the least cost (false yes {wanted.numbers[0]:g}, false no {wanted.numbers[1]:g})"),
        )
    else:
        enough = right >= wanted.numbers[0] * (right + missed)
        score, why = (
            np.where(enough, -ends, -np.inf),
            f"the highest that finds {wanted.numbers[0]:.0%} of all yes",
        )
    best = int(np.argmax(score))
    if wanted.what == "cost" and score[best] <= -wanted.numbers[1] * int((truth > 0).sum()):
        return 1.0, f"{why} on the validation rows: never yes"
    place = int(ends[best])
    below = sorted_p[place] if place < len(sorted_p) else 0.0
    return float((sorted_p[place - 1] + below) / 2), f"{why} on {len(truth):,} validation rows"


# What is noticed.


def noticed(schema: Schema, x: NumPy, y: NumPy, parts: Sequence[NumPy]) -> tuple[str, ...]:
    """What the user should know of the table.

    Args:
        schema: what the columns are.
        x, y: all rows.
        parts: which train, validate and test.
    """
    return (*_given_away(schema, x, y, parts), *_twice(x, y, parts))


def _given_away(schema: Schema, x: NumPy, y: NumPy, parts: Sequence[NumPy]) -> list[str]:
    """Columns that answer by themselves, measured on rows that they were not measured by."""
    kind, train, judged = schema.target.kind, parts[0], parts[1]
    targets = standardised(y[np.concatenate([train, judged])], kind)
    seen, truth = targets[: len(train)], targets[len(train) :]
    found: list[str] = []
    for place, feature in enumerate(schema.features):
        column = x[:, place]
        if feature.treatment == "category":
            bins, places = column[train], column[judged]
        else:
            there = column[train][np.isfinite(column[train])]
            edges = np.unique(np.quantile(there, np.linspace(0, 1, 33)[1:-1])) if len(there) else np.zeros(0)
            bins, places = np.digitize(column[train], edges), np.digitize(column[judged], edges)
        bins = np.where(np.isnan(column[train]), -1, bins).astype(np.int64) + 1
        places = np.where(np.isnan(column[judged]), -1, places).astype(np.int64) + 1
        size = int(max(bins.max(), places.max())) + 1
        counts = np.bincount(bins, minlength=size)[:, None]
        sums = np.stack([np.bincount(bins, seen[:, each], size) for each in range(seen.shape[1])], 1)
        means = sums / np.maximum(counts, 1)
        left = float(((truth - means[places]) ** 2).sum()) / max(float((truth**2).sum()), 1e-12)
        if 1 - left >= GIVES_AWAY[kind]:
            found.append(
                f'"{feature.source}" alone explains {1 - left:.1%} of "{schema.target.name}": is it known '
                "when an answer is needed? If not, train again without it (--drop)."
            )
    return found


def _twice(x: NumPy, y: NumPy, parts: Sequence[NumPy]) -> list[str]:
    """Test rows that are also training rows."""
    rows = np.ascontiguousarray(np.column_stack([x.astype(np.float32), y.astype(np.float32)]))
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    known = np.unique(keys[np.concatenate(parts[:2])])
    in_test = keys[parts[2]]
    if not len(in_test):
        return []
    places = np.minimum(np.searchsorted(known, in_test), len(known) - 1)
    count = int((known[places] == in_test).sum())
    if not count:
        return []
    return [
        f"{count:,} of {len(in_test):,} test rows are the same as a row that is trained on: "
        "the report is a little better than new rows would have it."
    ]


def fingerprint(schema: Schema, x: NumPy, y: NumPy) -> str:
    """A number that tells this table from others, by its columns and all values that were used."""
    digest = hashlib.sha256(json.dumps([feature.name for feature in schema.features]).encode())
    for array in (x, y):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
