"""How the columns of a table enter a network, as layers of the network itself.

A row comes as numbers: NaN where a value is missing, a code where it is a category. From them are made

    numbers      (x - median) / interquartile range
    ramps        min(max((x - low) / (high - low), 0), 1) between neighbouring edges of a number
    categories   1 where x is this one, else 0
    missing      1 where x is NaN, else 0, for columns in which values were missing

All but the numbers are centred and scaled by what the training rows had, and all are bent smoothly, so that
none goes beyond 3: z / sqrt(1 + (z/3)^2). What is missing stands for the median in the numbers and ramps.

The ramps (a piecewise-linear encoding) let a layer draw any curve over a number. (Gorishniy et al., "On
embeddings for numerical features in tabular deep learning", 2022; the smooth bend is of Holzmueller et al.,
"Better by default", 2024.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.tables.schema import Feature, Kind

NumPy = np.ndarray[Any, Any]

#: A number with no more different values than this has an edge at each (of classes, of numbers).
EDGE_EACH = {"classes": 128, "number": 49}
#: The same in a table of few rows, where numbers with more have no ramps.
FEW = 10
#: The most pieces of a number with more.
PIECES = 48
#: The fewest rows of a piece, and by how much a cut must lower the squares of the standardised target.
PIECE_ROWS, GAIN = 20, 12.0
#: Edges are looked for in at most so many rows.
LOOKED_AT = 100_000
#: Rare columns are not blown up beyond 1 / LEAST_SPREAD.
LEAST_SPREAD = 0.02
#: What a standardised number is bent to, and where it is cut off before, so that its square is finite.
BEND, FARTHEST = 3.0, 1e6


@dataclass(frozen=True)
class Column:
    """One number that the network makes of a feature.

    Args:
        feature: the place of the feature.
        what: "number", "ramp", "category" or "missing".
        low, high: of a ramp, from where to where it rises; of a number, its median and its scale; of a
            category its code and 0.
    """

    feature: int
    what: str
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class Encoding:
    """Everything that the layers of an encoding need.

    Args:
        features: how many features a row has.
        fill: what stands for a missing value of each.
        columns: what is made of them: numbers first, then ramps, categories, missing.
        mean, spread: by which the columns are centred and scaled, but for the numbers.
    """

    features: int
    fill: NumPy
    columns: tuple[Column, ...]
    mean: NumPy
    spread: NumPy

    def of(self, what: str) -> list[Column]:
        """The columns of one kind."""
        return [column for column in self.columns if column.what == what]


def encoding(features: Sequence[Feature], x: NumPy, y: NumPy, kind: Kind, ramps: bool) -> Encoding:
    """Learn an encoding from training rows.

    Args:
        features: what the columns of x are.
        x: rows of numbers, NaN where a value is missing.
        y: their targets: numbers of labels, or numbers.
        kind: the kind of target.
        ramps: whether all numbers get ramps; tables of few rows do better where only those of few different
            values have them.
    """
    numbers: list[Column] = []
    pieces: list[Column] = []
    categories: list[Column] = []
    missing: list[Column] = []
    fill = np.zeros(len(features), np.float32)
    some = _some(len(x))
    targets = standardised(y[some], kind)
    for place, feature in enumerate(features):
        values = x[:, place]
        absent = np.isnan(values)
        if absent.any() and not absent.all():
            missing.append(Column(place, "missing"))
        if feature.treatment == "category":
            fill[place] = -1.0
            known = [code for code in codes_of(values) if code < len(feature.values)]
            categories += [Column(place, "category", code, 0.0) for code in known]
            continue
        there = values[np.isfinite(values)]
        low, median, high = np.quantile(there, [0.25, 0.5, 0.75]) if len(there) else (0.0, 0.0, 0.0)
        spread = high - low
        if not spread and len(there):
            spread = (there.max() - there.min()) / 2.0
        fill[place] = median
        numbers.append(Column(place, "number", float(median), float(spread) or 1.0))
        if feature.treatment != "yes/no":
            edges = edges_of(values[some], targets, kind, ramps)
            ends = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
            pieces += [Column(place, "ramp", low, high) for low, high in ends]
    columns = (*numbers, *pieces, *categories, *missing)
    made = Encoding(len(features), fill, columns, np.zeros(0), np.ones(0))
    mean, spread = _moments(made, x)
    return Encoding(len(features), fill, columns, mean, spread)


def codes_of(values: NumPy) -> list[float]:
    """The different codes of a category, in order; NaN is none.

    >>> codes_of(np.array([2.0, np.nan, 0.0, 2.0]))
    [0.0, 2.0]
    """
    return np.flatnonzero(np.bincount(values[~np.isnan(values)].astype(np.int64))).astype(float).tolist()


def _some(rows: int) -> NumPy:
    """At most LOOKED_AT rows, spread evenly."""
    step = max(1, -(-rows // LOOKED_AT))
    return np.arange(0, rows, step)


def standardised(y: NumPy, kind: Kind) -> NumPy:
    """Targets as columns of mean 0 and spread 1: one for a number or yes/no, one for each class else."""
    columns = (y[:, None] == np.unique(y)[None, :]).astype(np.float64) if kind == "classes" else y[:, None]
    columns = np.asarray(columns, np.float64)
    spread = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def edges_of(values: NumPy, targets: NumPy, kind: Kind, ramps: bool = True) -> NumPy:
    """Where the ramps of a number begin and end: increasing numbers, as 32-bit numbers tell them apart.

    Without `ramps`, numbers of more than FEW different values have none.
    """
    there = np.isfinite(values)
    values, targets = values[there].astype(np.float32), targets[there]
    distinct = np.unique(values)
    if len(distinct) <= (EDGE_EACH["number" if kind == "number" else "classes"] if ramps else FEW):
        return distinct.astype(np.float64)
    if not ramps:
        return np.zeros(0)
    if kind == "number":
        return np.unique(np.quantile(values, np.linspace(0, 1, PIECES + 1)).astype(np.float32)).astype(float)
    cuts = tree_cuts(values, targets)
    return np.unique(np.array([distinct[0], *cuts, distinct[-1]], np.float32)).astype(np.float64)


def tree_cuts(values: NumPy, targets: NumPy) -> list[float]:
    """Where a regression tree on one number cuts it, best cut first, in at most PIECES leaves.

    >>> x = np.arange(200.0)
    >>> tree_cuts(x, standardised((x >= 70).astype(float), "yes/no"))
    [69.5]
    """
    order = np.argsort(values, kind="stable")
    values, targets = values[order].astype(np.float64), targets[order]
    sums = np.concatenate([np.zeros((1, targets.shape[1])), np.cumsum(targets, axis=0)])

    def best(start: int, stop: int) -> tuple[float, int]:
        """The best cut of the rows from start to stop: its gain, and the first row behind it."""
        first, last = start + PIECE_ROWS, stop - PIECE_ROWS
        if first > last:
            return 0.0, 0
        places = np.arange(first, last + 1)
        places = places[values[places - 1] < values[np.minimum(places, len(values) - 1)]]
        if not len(places):
            return 0.0, 0
        left, whole = sums[places] - sums[start], sums[stop] - sums[start]
        counts = (places - start)[:, None].astype(np.float64)
        of_parts = left**2 / counts + (whole - left) ** 2 / (stop - start - counts)
        gains = (of_parts - whole**2 / (stop - start)).sum(axis=1)
        at = int(np.argmax(gains))
        return float(gains[at]), int(places[at])

    leaves = [(*best(0, len(values)), 0, len(values))]
    cuts: list[float] = []
    while len(cuts) < PIECES - 1:
        leaf = max(leaves)
        gain, place, start, stop = leaf
        if gain < GAIN:
            break
        leaves.remove(leaf)
        cuts.append(float((values[place - 1] + values[place]) / 2))
        leaves += [(*best(start, place), start, place), (*best(place, stop), place, stop)]
    return sorted(cuts)


def _moments(made: Encoding, x: NumPy) -> tuple[NumPy, NumPy]:
    """Mean and spread of the ramps, categories and missing over rows; what is missing counts as filled."""
    some = x[_some(len(x))]
    rest = [column for column in made.columns if column.what != "number"]
    mean, spread = np.zeros(len(rest)), np.ones(len(rest))
    of, filled = -1, np.zeros(0)
    for place, column in enumerate(rest):
        if column.what == "missing":
            values = np.isnan(some[:, column.feature])
        else:
            if of != column.feature:
                of, raw = column.feature, some[:, column.feature]
                filled = np.where(np.isnan(raw), made.fill[of], raw).astype(np.float64)
            if column.what == "ramp":
                values = np.clip((filled - column.low) / (column.high - column.low), 0.0, 1.0)
            else:
                values = filled == column.low
        mean[place] = values.mean()
        # What is either 0 or 1 need only be counted.
        found = values.std() if column.what == "ramp" else np.sqrt(mean[place] * (1.0 - mean[place]))
        spread[place] = max(float(found), LEAST_SPREAD)
    return mean, spread


def layers(made: Encoding, row: Any) -> Any:
    """The columns of an encoding from the rows, as layers and functions between layers.

    Args:
        made: the encoding.
        row: a symbolic input of shape (rows, features).
    """
    from pellucid import ops
    from pellucid.layers import Concatenate, Normalization

    absent = ops.isnan(row)
    filled = ops.where(absent, made.fill, row)

    def taken(columns: Sequence[Column]) -> Any:
        return ops.take(filled, [column.feature for column in columns], axis=1)

    def bounds(columns: Sequence[Column]) -> tuple[list[float], list[float]]:
        lows = [column.low for column in columns]
        return lows, [(column.high - column.low) ** 2 for column in columns]

    parts: list[Any] = []
    numbers = made.of("number")
    rest: list[Any] = []
    if numbers:
        mean, scale = [each.low for each in numbers], [each.high**2 for each in numbers]
        parts.append(Normalization(mean=mean, variance=scale, name="numbers")(taken(numbers)))
    if ramps := made.of("ramp"):
        low, width = bounds(ramps)
        rising = Normalization(mean=low, variance=width, name="between_edges")(taken(ramps))
        rest.append(ops.clip(rising, 0.0, 1.0))
    if categories := made.of("category"):
        codes = np.array([each.low for each in categories], np.float32)
        rest.append(ops.cast(ops.equal(taken(categories), codes), "float32"))
    if missing := made.of("missing"):
        places = [column.feature for column in missing]
        rest.append(ops.take(ops.cast(absent, "float32"), places, axis=1))
    if rest:
        joined = Concatenate(name="pieces")(rest) if len(rest) > 1 else rest[0]
        scaled = Normalization(mean=made.mean.tolist(), variance=(made.spread**2).tolist(), name="scaled")
        parts.append(scaled(joined))
    z = Concatenate(name="standardised")(parts) if len(parts) > 1 else parts[0]
    z = ops.clip(z, -FARTHEST, FARTHEST)  # also what is infinite
    return z / ops.sqrt(1.0 + ops.square(z / BEND))
