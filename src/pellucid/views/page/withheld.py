"""Answers without some of the rows that they show, for pages that go to other people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

NumPy = np.ndarray[Any, Any]
#: What an answer about a step says of each example of its batch.
OF_BATCH = ("places", "rows", "numbers", "x", "y", "outputs", "losses", "shares", "weight", "right")
#: What the answer about a boundary says of each point.
OF_POINTS = ("points", "places", "examples", "answers", "targets", "wrong", "losses")


def step_with(answer: Mapping[str, Any], count: int) -> dict[str, Any]:
    """A step with so many of its examples, those with the largest losses; with none, no row is told of."""
    batch = dict(answer["batch_of"])
    if count >= len(batch["places"]):
        return dict(answer)
    kept = _largest(batch["losses"], len(batch["places"]), count)
    if count:
        place = int(np.flatnonzero(np.asarray(batch["places"]) == answer["followed"])[0])
        kept = np.unique([place, *kept[: count - 1]])
    for name in OF_BATCH:
        if batch.get(name) is not None:
            batch[name] = np.asarray(batch[name])[kept] if count or name == "places" else None
    if not count:
        batch["x_said"] = "The rows were left out of this file."
    columns = [
        {**each, "values": {kind: np.asarray(values)[kept] for kind, values in each["values"].items()}}
        for each in answer["columns"]
    ]
    return {**answer, "batch_of": batch, "columns": columns}


def formulas_without_code(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Formulas without their Python, which takes as much room as all else of them."""
    found = {name: {**formula, "python": ""} for name, formula in answer["formulas"].items()}
    return {**answer, "formulas": found}


def weight_with(answer: Mapping[str, Any], count: int) -> dict[str, Any]:
    """A weight with so many of the examples that push it, the strongest; the others are one number."""
    pushes = np.asarray(answer["pushes"])
    kept = _largest(np.abs(pushes), len(pushes), count)
    others = np.setdiff1d(np.arange(len(pushes)), kept)
    cut = {name: _rows(answer[name], kept) for name in ("examples", "rows", "gradients", "shares", "pushes")}
    return {**answer, **cut, "rest": float(answer["rest"] + pushes[others].sum(dtype=np.float64))}


def boundary_with(answer: Mapping[str, Any], count: int) -> dict[str, Any]:
    """A boundary with so many of its points, evenly drawn. What is counted, is counted over all."""
    points = len(answer["points"])
    if points <= count:
        return dict(answer)
    kept = np.unique(np.linspace(0, points - 1, count).astype(int))
    said = f"{answer['said']} {len(kept)} of {points:,} points are drawn; the counts are of all.".strip()
    return {**answer, **{name: _rows(answer[name], kept) for name in OF_POINTS}, "said": said}


def _largest(sizes: Any, total: int, count: int) -> NumPy:
    """The places of the largest, in their order."""
    if sizes is None:
        return np.arange(min(count, total))
    order = np.argsort(-np.nan_to_num(np.asarray(sizes, np.float64), nan=np.inf), kind="stable")
    return order[:count]


def _rows(array: Any, kept: NumPy) -> Any:
    return None if array is None else np.asarray(array)[kept]
