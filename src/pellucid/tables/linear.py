"""The linear model that a network is measured beside: logistic, softmax or linear regression.

It is given the same columns, without ramps: numbers in standard deviations from their mean, a column for
each category, and one where values are missing. Its penalty, sum w^2 / 2 against the sum of the losses (or
of half the squares), is small, and makes the solution the only one where columns repeat each other or classes
divide without error.

Where there are categories, most of a row is zeros. Then its columns are a sparse array of SciPy, which comes
with JAX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.tables.encoding import codes_of
from pellucid.tables.schema import Feature, Kind

NumPy = np.ndarray[Any, Any]
#: About so many of more rows say where the way to the logistic regression begins.
BEGIN_WITH = 10_000
#: So many rows are multiplied at once: they stay in the cache.
ROWS_AT_ONCE = 4_096
#: A step of Newton's method is the last if it promised to lower the sum of the losses by less than this part
#: of it: near the end, each step leaves about the square of what was left.
LAST_STEP = 1e-3


class LinearModel:
    """A linear model of the rows of a table.

    Args:
        features: what the columns of x are.
        kind: the kind of target.
        x, y: the rows to learn from, NaN where a value is missing; and their targets.
    """

    def __init__(self, features: Sequence[Feature], kind: Kind, x: NumPy, y: NumPy) -> None:
        self.features, self.kind = features, kind
        #: For each feature mean and spread of its numbers, or its categories; and whether some are missing.
        self.seen = [_seen(feature, x[:, place]) for place, feature in enumerate(features)]
        self.weights = _solved(self.design(x), y, kind)

    def design(self, x: NumPy) -> Any:
        """The columns that rows have, and one of ones: an array, or a sparse one."""
        numbers: list[NumPy] = []
        #: Of each feature the column in which a row has a 1; -1 where it has none.
        marks: list[NumPy] = []
        columns = 0
        for place, (feature, (mean, spread, codes, missing)) in enumerate(
            zip(self.features, self.seen, strict=True)
        ):
            values = x[:, place]
            absent = np.isnan(values)
            marked = np.full(len(x), -1, np.int32)
            if feature.treatment == "category":
                column_of = np.full(int(max([*codes, np.nanmax(values, initial=0.0)])) + 2, -1, np.int32)
                column_of[np.array(codes, np.int64)] = columns + np.arange(len(codes))
                # The last place is of no code: it stands for what is missing.
                marked = column_of[np.where(absent, -1, values).astype(np.int64)]
                columns += len(codes)
            else:
                finite = np.clip(values.astype(np.float64), mean - 1e3 * spread, mean + 1e3 * spread)
                numbers.append(np.where(absent, 0.0, (finite - mean) / spread))
            if missing:
                marked[absent] = columns
                columns += 1
            if feature.treatment == "category" or missing:
                marks.append(marked)
        dense = np.column_stack([*numbers, np.ones(len(x))])
        return _sparse(marks, columns, dense) if marks else dense

    def __call__(self, x: NumPy) -> NumPy:
        """Numbers; probabilities of yes; or of each class, shape (rows, classes)."""
        sums = self.design(x) @ self.weights
        if self.kind == "number":
            return sums[:, 0]
        if self.kind == "yes/no":
            return _sigmoid(sums[:, 0])
        return _softmax(sums)


def _sparse(marks: Sequence[NumPy], columns: int, dense: NumPy) -> Any:
    """Columns of zeros and ones, and others behind them, as a sparse array.

    Args:
        marks: each gives the column in which each row has a 1; -1 where it has none.
        columns: how many columns these are.
        dense: the others, shape (rows, others).
    """
    from scipy import sparse

    rows, shape = len(dense), (len(dense), columns + dense.shape[1])
    places = np.column_stack([*marks, np.broadcast_to(np.arange(columns, shape[1]), dense.shape)])
    values = np.concatenate([np.ones((rows, len(marks))), dense], axis=1)
    ends = np.arange(rows + 1) * places.shape[1]
    if not (there := places >= 0).all():
        places, values = places[there], values[there]
        ends = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return sparse.csr_array((values.ravel(), places.ravel(), ends), shape)


def _seen(feature: Feature, values: NumPy) -> tuple[float, float, list[float], bool]:
    missing = bool(np.isnan(values).any())
    if feature.treatment == "category":
        return 0.0, 1.0, codes_of(values), missing
    finite = values[np.isfinite(values)].astype(np.float64)
    mean, spread = (float(finite.mean()), float(finite.std())) if len(finite) else (0.0, 1.0)
    return mean, spread or 1.0, [], missing


def _sigmoid(z: NumPy) -> NumPy:
    return 1.0 / (1.0 + np.exp(-np.clip(z, -500, 500)))


def _softmax(z: NumPy) -> NumPy:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _solved(design: Any, y: NumPy, kind: Kind) -> NumPy:
    """The weights, shape (columns, outputs), of which the last line is not penalised."""
    rows, columns = design.shape
    if columns - 1 > rows:
        # The best weights are sums of rows. In axes along these, there are no more weights than rows.
        written = _written_out(design)
        axes, along = np.linalg.qr(written[:, :-1].T)
        fewer = _solved(np.column_stack([along.T, written[:, -1]]), y, kind)
        return np.concatenate([axes @ fewer[:-1], fewer[-1:]])
    free = np.ones(columns)
    free[-1] = 0.0
    if kind == "number":
        return _least(_square(design, np.ones(rows)) + np.diag(free) * 0.5, design.T @ y)[:, None]
    if kind == "yes/no":
        return _newton(design, y, free)[:, None]
    return _by_gradients(design, y, free)


def _written_out(design: Any) -> NumPy:
    """The columns of rows with their zeros."""
    return design if isinstance(design, np.ndarray) else design.toarray()


def _square(design: Any, shares: NumPy, digits: Any = np.float64) -> NumPy:
    """The transposed design, times a share of each row, times the design: summed a few rows at a time."""
    found = np.zeros((design.shape[1], design.shape[1]))
    roots = np.sqrt(shares)[:, None].astype(digits)
    for start in range(0, design.shape[0], ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        rows = _written_out(design[some].astype(digits))
        rows *= roots[some]
        found += rows.T @ rows
    return found


def _least(curve: NumPy, slope: NumPy) -> NumPy:
    """Where a parabola is lowest that is curved and inclined so."""
    try:
        return np.linalg.solve(curve, slope)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(curve, slope, rcond=None)[0]


def _newton(design: Any, y: NumPy, free: NumPy) -> NumPy:
    """Logistic regression by Newton's method, with half steps where a whole one goes too far.

    Of many rows some say first where to begin: then a few steps of all of them come to the same end.
    """

    def cost(w: NumPy, sums: NumPy) -> float:
        return float(np.logaddexp(0.0, np.where(y > 0, -sums, sums)).sum() + 0.5 * (free * w**2).sum())

    weights, sums = np.zeros(design.shape[1]), np.zeros(len(y))
    now = cost(weights, sums)
    if many := len(y) >= 2 * BEGIN_WITH:
        some = slice(None, None, len(y) // BEGIN_WITH)
        found = _newton(design[some], y[some], free)
        its = design @ found
        if (there := cost(found, its)) < now:
            weights, sums, now = found, its, there
    # Of many rows, 32-bit numbers say well enough how the slope changes, unless columns nearly repeat.
    digits = np.float32 if many else np.float64
    for _ in range(50):
        p = _sigmoid(sums)
        slope = design.T @ (p - y) + free * weights
        shares = p * (1 - p)
        step = _least(_square(design, shares, digits) + np.diag(free + 1e-9), slope)
        if slope @ step <= 0:
            step = _least(_square(design, shares) + np.diag(free + 1e-9), slope)
        promised = slope @ step
        along, size = design @ step, 1.0
        while (after := cost(weights - size * step, sums - size * along)) > now and size > 1e-4:
            size /= 2
        weights, sums, now = weights - size * step, sums - size * along, after
        if promised < LAST_STEP * max(1.0, now):
            break
    return weights


def _by_gradients(design: Any, y: NumPy, free: NumPy) -> NumPy:
    """Softmax regression by L-BFGS, from SciPy, which comes with JAX."""
    from scipy.optimize import minimize

    classes = int(y.max()) + 1
    hot = np.eye(classes)[y.astype(np.int64)]

    def cost(flat: NumPy) -> tuple[float, NumPy]:
        weights = flat.reshape(design.shape[1], classes)
        p = _softmax(design @ weights)
        loss = -np.log(np.maximum((p * hot).sum(axis=1), 1e-300)).sum()
        loss += 0.5 * float((free[:, None] * weights**2).sum())
        slope = design.T @ (p - hot) + free[:, None] * weights
        return loss / len(y), slope.ravel() / len(y)

    start = np.zeros(design.shape[1] * classes)
    options = {"maxiter": 500, "gtol": 1e-6, "ftol": 1e-10}
    found = minimize(cost, start, jac=True, method="L-BFGS-B", options=options)
    return found.x.reshape(design.shape[1], classes)
