"""What the model answers over two features at a step, and the training rows in that plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DataError, message
from pellucid.views import told
from pellucid.views.payload.numbers import f4
from pellucid.views.payload.source import Source
from pellucid.views.payload.step import first_output
from pellucid.views.plots.boundary import DecisionBoundaryDisplay
from pellucid.views.plots.canvas import POINTS

NumPy = np.ndarray[Any, Any]
#: Of more rows than this only a part is asked for, evenly spread over the rows.
ASKED = 20_000
#: How many values of a feature there may be, and how many answers in all.
FINEST, ANSWERS = 200, 2**21
#: The thresholds at which right and wrong answers are counted.
THRESHOLDS = np.linspace(0.0, 1.0, 101)


def boundary(
    source: Source, step: int, features: tuple[int, ...] | None, grid: int, others: str
) -> dict[str, Any]:
    """What the model answered over one or two features with the weights before a step."""
    it = source.opened(step).step
    _require_table(it)
    x, y, places, examples = _rows(source, it)
    chosen = _features(features, x.shape[1])
    _require_grid(grid, len(chosen), it)
    known: NumPy = np.isfinite(x[:, list(chosen)]).min(axis=1)
    if not known.any():
        raise DataError(message("no row has known values of these features.", came=f"features {chosen}"))
    x, places, examples = x[known], places[known], examples[known]
    y = None if y is None else y[known]
    held = _held(x, others)
    display, not_compared = _display(it, x, y, chosen, grid, held, source.history.threshold)
    # The display is given the values themselves; it is these that are said.
    display.others = others
    drawn = _drawn(len(x), examples)
    confusion = _confusion(display)
    return {
        "kind": display.kind,
        "features": list(chosen),
        "names": [display.feature_names[place] for place in chosen],
        "columns": list(display.feature_names),
        "xx0": f4(display.xx0 if display.xx1 is None else display.xx0[0]),
        "xx1": None if display.xx1 is None else f4(display.xx1[:, 0]),
        "response": f4(display.response),
        "points": f4(display.points[drawn][:, list(chosen)]),
        "places": places[drawn].astype(np.int32),
        "examples": examples[drawn].astype(np.int32),
        "answers": f4(display.answers[drawn]),
        **{
            name: None if values is None else f4(values[drawn])
            for name, values in (("targets", display.targets), ("losses", display.losses))
        },
        "wrong": None if display.wrong is None else display.wrong[drawn].astype(np.uint8),
        "labels": _labels(source.history, display),
        "held": display.held_said,
        "threshold": display.threshold,
        "equation": display.equation,
        "when": display.when,
        "thresholds": f4(THRESHOLDS),
        "confusion": confusion,
        "said": _said(source, x, known, drawn, confusion, not_compared),
    }


def _require_table(it: Any) -> None:
    """Raise DataError where the rows of a step are no table of features."""
    x = it.x
    said = ""
    if isinstance(x, dict | list | tuple):
        said = f"{len(x)} inputs"
    elif np.ndim(x) != 2:
        said = f"rows of shape {told.sizes(np.shape(x)[1:])}"
    elif np.asarray(x).dtype.kind not in "biuf":
        said = "rows that are no numbers"
    elif type(it.layers[0].layer).__name__ == "Embedding":
        said = "rows of numbers that stand for words or the like"
    if said:
        raise DataError(
            message("a boundary lies over the features of a table.", came=said, expected="rows of numbers")
        )


def _rows(source: Source, it: Any) -> tuple[NumPy, NumPy | None, NumPy, NumPy]:
    """Rows, their targets or None, and which training rows and examples of the batch these are, or -1."""
    trained = source.history.replay.trained
    size = it.rows_count
    if trained is None or trained.rows is None:
        places = np.full(size, -1) if it.rows is None else np.asarray(it.rows)
        return np.asarray(it.x), _one_target(first_output(it)[1], size), places, np.arange(size)
    count = len(trained.rows.x)
    own = np.asarray(it.rows)
    places = np.arange(count)
    if count > ASKED:
        places = np.unique(np.concatenate([np.linspace(0, count - 1, ASKED).astype(int), own]))
    examples = np.full(count, -1)
    examples[own] = np.arange(size)
    y = trained.rows.y
    y = _one_target(y[0] if isinstance(y, list) and y else y, count)
    x = np.asarray(trained.rows.x)
    return x[places], None if y is None else y[places], places, examples[places]


def _one_target(y: Any, count: int) -> NumPy | None:
    """Targets of an output, a row each; None if they are of another form."""
    if y is None or isinstance(y, dict | list | tuple):
        return None
    array = np.asarray(y)
    return array if array.ndim in (1, 2) and len(array) == count and array.dtype.kind in "biuf" else None


def _features(given: tuple[int, ...] | None, count: int) -> tuple[int, ...]:
    """The columns that are drawn: those asked for, or the first two."""
    chosen = tuple(range(min(2, count))) if given is None else given
    if (
        len(chosen) not in (1, 2)
        or len(set(chosen)) < len(chosen)
        or not all(each < count for each in chosen)
    ):
        raise ArgumentError(
            message(
                "one or two different features are drawn.",
                came=", ".join(map(str, chosen)),
                expected=f"of 0 to {count - 1}",
            )
        )
    return chosen


def _require_grid(grid: int, features: int, it: Any) -> None:
    output = first_output(it)[0]
    numbers = output.reshape(len(output), -1).shape[1] if isinstance(output, np.ndarray) else 1
    if not 2 <= grid <= FINEST or grid**features * numbers > ANSWERS:
        raise ArgumentError(
            message(
                "this is no grid.",
                came=f"{grid} values of each of {features} features, {numbers} answers at each place",
                expected=f"2 to {FINEST} values, and at most {ANSWERS:,} answers",
            )
        )


def _held(x: NumPy, others: str) -> list[float]:
    """The value at which each feature is held: of the values that are known."""
    middle = np.median if others == "median" else np.mean
    known = [column[np.isfinite(column)] for column in x.astype(np.float64).T]
    return [float(middle(each)) if len(each) else 0.0 for each in known]


def _display(
    it: Any,
    x: NumPy,
    y: NumPy | None,
    chosen: Sequence[int],
    grid: int,
    held: Sequence[float],
    threshold: float,
) -> tuple[DecisionBoundaryDisplay, str]:
    """The display that has the numbers; and why answers are not compared with targets, if they are not."""

    def made(y: NumPy | None) -> DecisionBoundaryDisplay:
        which = None if isinstance(it.outputs, np.ndarray) else 0
        names = it.columns if len(it.columns) == x.shape[1] else None
        return DecisionBoundaryDisplay.from_model(
            it.parts.model, x, y, tuple(chosen), names, threshold, grid, held, it, which
        )

    if y is None:
        return made(None), "there are no targets that these answers could be compared with"
    try:
        return made(y), ""
    except ArgumentError as problem:
        # The targets may be of another form than the answers; without them there is still a boundary.
        return made(None), str(problem).splitlines()[0].rstrip(".")


def _labels(history: Any, display: DecisionBoundaryDisplay) -> list[str]:
    known = [str(each) for each in history.labels]
    return known if len(known) == len(display.labels) else list(display.labels)


def _drawn(count: int, examples: NumPy) -> NumPy:
    """The places of the rows that are drawn: evenly spread, and those of the batch."""
    if count <= POINTS:
        return np.arange(count)
    own = np.flatnonzero(examples >= 0)
    own = own[np.linspace(0, len(own) - 1, min(len(own), POINTS // 2)).astype(int)]
    evenly = np.linspace(0, count - 1, POINTS - len(own)).astype(int)
    return np.unique(np.concatenate([evenly, own]))


def _confusion(display: DecisionBoundaryDisplay) -> NumPy | None:
    """True yes, false yes, true no, false no at each threshold, over all rows that have an answer."""
    if display.kind != "probability" or display.targets is None:
        return None
    known = np.isfinite(display.answers)
    answers, yes = display.answers[known], display.targets[known] == 1
    # How many of each class are answered with this probability or more.
    above = [len(each) - np.searchsorted(np.sort(each), THRESHOLDS) for each in (answers[yes], answers[~yes])]
    true_yes, false_yes = above
    counts = (true_yes, false_yes, int((~yes).sum()) - false_yes, int(yes.sum()) - true_yes)
    return np.stack(counts, axis=1).astype(np.int32)


def _said(
    source: Source, x: NumPy, known: NumPy, drawn: NumPy, confusion: NumPy | None, not_compared: str
) -> str:
    """What a reader has to know of the rows."""
    trained = source.history.replay.trained
    lines: list[str] = []
    if trained is None:
        lines.append("the rows are those of this step's batch, as the training came batch by batch")
    elif len(known) < (count := source.history.replay.record.facts.rows):
        lines.append(f"{len(known):,} of {count:,} training rows, evenly spread")
    if not known.all():
        lines.append(
            f"{int((~known).sum()):,} rows in which a value of these features is missing are left out"
        )
    if len(drawn) < len(x):
        lines.append(f"{len(drawn):,} of {len(x):,} are drawn")
    if confusion is not None and int(confusion[0].sum()) < len(x):
        lines.append(f"{len(x) - int(confusion[0].sum()):,} rows have no finite answer, and are not counted")
    return "; ".join([*lines, *([not_compared] if not_compared else [])])
