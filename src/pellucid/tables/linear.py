"""The linear model that a network is measured beside: logistic, softmax or linear regression.

It is given the same columns, without ramps: numbers in standard deviations from their mean, a column for
each category, and one where values are missing. Its penalty, sum w^2 / 2 against the sum of the losses (or
of half the squares), is small, and makes the solution the only one where columns repeat each other or classes
divide without error.
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
#: So many rows are multiplied at once.
ROWS_AT_ONCE = 4_096


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

    def design(self, x: NumPy) -> NumPy:
        """The columns that rows have, and one of ones."""
        columns: list[NumPy] = []
        for place, (feature, (mean, spread, codes, missing)) in enumerate(
            zip(self.features, self.seen, strict=True)
        ):
            values = x[:, place]
            absent = np.isnan(values)
            if feature.treatment == "category":
                columns += [values == code for code in codes]
            else:
                finite = np.clip(values.astype(np.float64), mean - 1e3 * spread, mean + 1e3 * spread)
                columns.append(np.where(absent, 0.0, (finite - mean) / spread))
            if missing:
                columns.append(absent)
        made = np.ones((len(x), len(columns) + 1), order="F")
        for number, column in enumerate(columns):
            made[:, number] = column
        return made

    def __call__(self, x: NumPy) -> NumPy:
        """Numbers; probabilities of yes; or of each class, shape (rows, classes)."""
        sums = self.design(x) @ self.weights
        if self.kind == "number":
            return sums[:, 0]
        if self.kind == "yes/no":
            return _sigmoid(sums[:, 0])
        return _softmax(sums)


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


def _solved(design: NumPy, y: NumPy, kind: Kind) -> NumPy:
    """The weights, shape (columns, outputs), of which the last line is not penalised."""
    rows, columns = design.shape
    if columns - 1 > rows:
        # The best weights are sums of rows. In axes along these, there are no more weights than rows.
        axes, along = np.linalg.qr(design[:, :-1].T)
        fewer = _solved(np.column_stack([along.T, design[:, -1]]), y, kind)
        return np.concatenate([axes @ fewer[:-1], fewer[-1:]])
    free = np.ones(columns)
    free[-1] = 0.0
    if kind == "number":
        square = design.T @ design + np.diag(free) * 0.5
        return np.linalg.lstsq(square, design.T @ y, rcond=None)[0][:, None]
    if kind == "yes/no":
        return _newton(design, y, free)
    return _by_gradients(design, y, free)


def _newton(design: NumPy, y: NumPy, free: NumPy) -> NumPy:
    """Logistic regression by Newton's method, with half steps where a whole one goes too far.

    Of many rows some say first where to begin: then a few steps of all of them come to the same end.
    """

    def cost(w: NumPy, sums: NumPy) -> float:
        return float(np.logaddexp(0.0, np.where(y > 0, -sums, sums)).sum() + 0.5 * (free * w**2).sum())

    weights, sums = np.zeros(design.shape[1]), np.zeros(len(y))
    now = cost(weights, sums)
    if len(y) >= 2 * BEGIN_WITH:
        some = slice(None, None, len(y) // BEGIN_WITH)
        found = _newton(design[some], y[some], free)[:, 0]
        its = design @ found
        if (there := cost(found, its)) < now:
            weights, sums, now = found, its, there
    for _ in range(50):
        p = _sigmoid(sums)
        slope = design.T @ (p - y) + free * weights
        step = np.linalg.lstsq(_curve(design, p * (1 - p), free), slope, rcond=None)[0]
        along, size = design @ step, 1.0
        while (after := cost(weights - size * step, sums - size * along)) > now and size > 1e-4:
            size /= 2
        weights, sums, now = weights - size * step, sums - size * along, after
        # Near the end each step leaves the square of what was left.
        if slope @ step < 1e-8 * max(1.0, now):
            break
    return weights[:, None]


def _curve(design: NumPy, shares: NumPy, free: NumPy) -> NumPy:
    """How the slope changes with the weights, summed a few rows at a time, which stay in the cache."""
    curve = np.diag(free + 1e-9)
    for start in range(0, len(design), ROWS_AT_ONCE):
        rows = design[start : start + ROWS_AT_ONCE]
        curve += (rows * shares[start : start + ROWS_AT_ONCE, None]).T @ rows
    return curve


def _by_gradients(design: NumPy, y: NumPy, free: NumPy) -> NumPy:
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
