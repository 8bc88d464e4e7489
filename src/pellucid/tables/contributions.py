"""What moved the answer for a row: how much each column added, and the nearest change that would flip it.

A column's contribution is its Shapley value: how much the answer changes when the column takes this row's
value instead of a training row's, on average over training rows and over the orders in which the columns
change. The contributions add up to the answer of the row less the mean answer of those training rows; the sum
is checked. Yes and no are explained in log-odds, in which the columns of a linear network add up exactly,
whatever the order. (Shapley, 1953; Strumbelj and Kononenko, "Explaining prediction models and individual
predictions with feature contributions", 2014.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.tables.schema import Feature, Schema

NumPy = np.ndarray[Any, Any]
Answering = Callable[[NumPy], NumPy]
#: About how many rows the network is asked for one explanation.
ASKED = 60_000


@dataclass(frozen=True)
class Contribution:
    """What a column added.

    Args:
        column: its name.
        value: what the row has there, as the table says it.
        added: by how much it moved the answer: in log-odds, or in the target's units.
        error: the standard error of that, as the orders were drawn; 0 where they do not matter.
    """

    column: str
    value: str
    added: float
    error: float


@dataclass(frozen=True)
class Contributions:
    """What moved an answer.

    Args:
        unit: "log-odds", or what numbers are in: the target's name.
        base: the mean answer for the training rows that the row is compared with.
        answer: the answer for the row.
        each: what the columns added, the largest first.
        rows: how many training rows it is compared with.
        flip: the nearest change that would flip the decision, as a sentence; "" where there is none.
    """

    unit: str
    base: float
    answer: float
    each: tuple[Contribution, ...]
    rows: int
    flip: str = ""

    @property
    def gap(self) -> float:
        """What is left of the answer when base and contributions are taken off: rounding."""
        return self.answer - self.base - sum(one.added for one in self.each)

    def story(self, most: int = 12) -> str:
        """The contributions, line by line."""
        exact = all(one.error == 0 for one in self.each)
        lines = [
            f"What moved it, in {self.unit}, against {self.rows} training rows"
            + (" (exact)" if exact else " (Shapley values, with their standard errors)")
            + ":",
            f"  {'the mean of those rows':36} {self.base:+10.4f}",
        ]
        for one in self.each[:most]:
            error = "" if exact else f" +- {one.error:.4f}"
            lines.append(f"  {f'{one.column} = {one.value}'[:36]:36} {one.added:+10.4f}{error}")
        if len(self.each) > most:
            rest = sum(one.added for one in self.each[most:])
            lines.append(f"  {f'{len(self.each) - most} more columns':36} {rest:+10.4f}")
        lines.append(f"  {'the answer':36} {self.answer:+10.4f}   (the sum is off by {abs(self.gap):.1e})")
        if self.flip:
            lines.append(self.flip)
        return "\n".join(lines)


def contributions(
    schema: Schema, answering: Answering, row: NumPy, background: NumPy, seed: int = 0
) -> Contributions:
    """What each column added to the answer for a row.

    Args:
        schema: what the numbers of a row are.
        answering: gives the answers for rows of numbers: log-odds, or numbers; shape (rows,).
        row: the row, shape (features,).
        background: training rows, shape (rows, features).
        seed: what the orders are drawn from.
    """
    groups = _groups(schema.features)
    draw = np.random.default_rng(seed)
    steps, rows = len(groups) + 1, len(background)
    orders = max(2, min(64, ASKED // (rows * steps)) // 2 * 2)
    asked = np.empty((orders, rows, steps, len(row)), np.float32)
    sequences = np.empty((orders, rows, len(groups)), np.int64)
    for order in range(orders):
        for each in range(rows):
            # Every second order is the one before backwards, which takes away noise of columns in pairs.
            drawn = draw.permutation(len(groups)) if order % 2 == 0 else sequences[order - 1, each][::-1]
            sequences[order, each] = drawn
            current = background[each].copy()
            asked[order, each, 0] = current
            for step, group in enumerate(drawn.tolist(), 1):
                places = groups[group][1]
                current[places] = row[places]
                asked[order, each, step] = current
    answers = answering(asked.reshape(-1, len(row))).reshape(orders, rows, steps).astype(np.float64)
    moved = np.diff(answers, axis=2)
    added = np.zeros((orders, rows, len(groups)))
    np.put_along_axis(added, sequences, moved, axis=2)
    pairs = (added[0::2] + added[1::2]) / 2
    mean = added.mean(axis=(0, 1))
    spread = (
        pairs.std(axis=0, ddof=1).mean(axis=0) / np.sqrt(len(pairs) * rows)
        if len(pairs) > 1
        else np.abs(added[0] - added[1]).mean(axis=0) / np.sqrt(rows)
    )
    scale = np.maximum(np.abs(answers).max(), 1.0)
    spread = np.where(spread < 1e-5 * scale, 0.0, spread)
    each = [
        Contribution(name, _said(schema.features, places, row), float(mean[n]), float(spread[n]))
        for n, (name, places) in enumerate(groups)
    ]
    each.sort(key=lambda one: -abs(one.added))
    unit = "log-odds" if schema.target.kind != "number" else schema.target.name
    return Contributions(unit, float(answers[:, :, 0].mean()), float(answers[0, 0, -1]), tuple(each), rows)


def _groups(features: Sequence[Feature]) -> list[tuple[str, list[int]]]:
    """The columns, and the places of the numbers that come from each."""
    found: dict[str, list[int]] = {}
    for place, feature in enumerate(features):
        found.setdefault(feature.source, []).append(place)
    return list(found.items())


def _said(features: Sequence[Feature], places: Sequence[int], row: NumPy) -> str:
    if features[places[0]].treatment != "date":
        return features[places[0]].said(float(row[places[0]]))
    days = float(row[places[0]]) / features[places[0]].scale
    if np.isnan(days):
        return "missing"
    return str(np.datetime64("2000-01-01") + np.timedelta64(int(np.floor(days)), "D"))


def nearest_flip(schema: Schema, answering: Answering, row: NumPy, background: NumPy, limit: float) -> str:
    """The smallest change of a single column that takes the answer over the limit, as a sentence.

    Numbers are moved to values that training rows have, and are measured by where they then stand among them;
    another category or a yes for a no is a whole step.
    """
    target = schema.target
    before = bool(answering(row[None])[0] >= limit)
    best: tuple[float, int, float] | None = None
    for place, feature in enumerate(schema.features):
        if feature.treatment == "date":
            continue
        column = background[:, place]
        there = np.unique(column[~np.isnan(column)])
        if feature.treatment in ("category", "yes/no"):
            there = np.unique([number for _, number in feature.values])
        there = there[there != row[place]]
        if not len(there):
            continue
        asked = np.repeat(row[None], len(there), axis=0)
        asked[:, place] = there
        flipped = (answering(asked) >= limit) != before
        if not flipped.any():
            continue
        known = np.sort(column[~np.isnan(column)])
        if feature.treatment in ("category", "yes/no") or np.isnan(row[place]) or not len(known):
            far = np.ones(len(there))
        else:
            far = np.abs(np.searchsorted(known, there) - np.searchsorted(known, row[place])) / len(known)
        far = np.where(flipped, far, np.inf)
        at = int(np.argmin(far))
        if best is None or far[at] < best[0]:
            best = (float(far[at]), place, float(there[at]))
    other = target.labels[0 if before else 1]
    if best is None:
        return f"No change of a single column to a value of the training rows makes it {other}."
    feature, value = schema.features[best[1]], best[2]
    return (
        f"Nearest change that flips it: {feature.name} = {feature.said(value)} instead of "
        f"{feature.said(float(row[best[1]]))} makes it {other}."
    )
