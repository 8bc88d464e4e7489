"""A run as a whole: what was trained, on what, and how the cost went."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pellucid.errors import DataError, StateError
from pellucid.formula import indexed, shown
from pellucid.views.payload.numbers import f4
from pellucid.views.payload.source import Source
from pellucid.views.payload.step import ratio, states
from pellucid.views.plots.curve import thinned

NumPy = np.ndarray[Any, Any]
#: How many columns of the rows are told about.
COLUMNS = 200
#: How many points the log has, at most.
POINTS = 4_000
#: If one column spans so many times what another does, that is said.
APART = 100.0
#: How many classes are counted.
CLASSES = 1_000


def run(source: Source) -> dict[str, Any]:
    """What was trained, and how."""
    history = source.history
    model, objective, optimizer = _compiled(history)
    why_not = _why_not(history)
    record = None if history.why_not else history.replay.record.settled()
    starts = np.zeros(0) if record is None else record.starts
    epochs = [number for number, _ in history.each_epoch]
    if record is not None:
        epochs = list(range(record.facts.first_epoch, record.facts.first_epoch + len(starts)))
    return {
        "title": _title(model, history.steps, len(epochs)),
        "model": str(getattr(model, "name", "")),
        "loss": ", ".join(str(each.loss.name) for each in _targets(objective) if each.loss is not None),
        "optimizer": type(getattr(optimizer, "mover", None)).__name__ if optimizer is not None else "",
        "steps": history.steps,
        "first_step": 0 if record is None else record.first_step(),
        "at_hand": 0 if record is None else record.at_hand(),
        "first_epoch": epochs[0] if epochs else 0,
        "steps_per_epoch": 0 if record is None else record.facts.steps_per_epoch,
        "epochs": np.asarray(epochs, np.int32),
        "epoch_starts": np.asarray(starts, np.int32),
        "history": _by_epoch(history, epochs),
        "layers": list(_layers(model)),
        "weights": _weights(model),
        "weights_count": sum(int(each.size) for each in getattr(model, "trainable_variables", ())),
        "pair": _pair(model),
        "columns": [str(each) for each in history.columns],
        "labels": [str(each) for each in history.labels],
        "data": source.kept(
            ("data", _rows(history) is not None, tuple(history.columns)), lambda: _data(history, model)
        ),
        "batch_size": 0 if record is None else record.facts.batch_size,
        "opens": not why_not,
        "why_not": why_not,
        "made_by": f"Pellucid {importlib.metadata.version('pellucid')}",
    }


def _compiled(history: Any) -> tuple[Any, Any, Any]:
    """The model, what it was compiled for, and its optimizer; None where they are not known."""
    if not history.why_not:
        parts = history.replay.engine.parts
        return parts.model, parts.objective, parts.optimizer
    model = history.model
    return model, getattr(model, "_objective", None), getattr(model, "optimizer", None)


def _targets(objective: Any) -> Sequence[Any]:
    return getattr(objective, "targets", ())


def _why_not(history: Any) -> str:
    """Why steps cannot be opened, in one line; empty if they can."""
    if history.why_not:
        return history.why_not
    replay = history.replay
    record = replay.record.settled()
    if record.steps <= record.first_step():
        return "no step was trained yet"
    if replay.trained is not None and replay.trained.rows is None:
        return "the rows that this run was trained on are not here"
    if replay.trained is None and not record.batches:
        return "the batches that this run was trained on are not here"
    try:
        replay.require_same_model()
    except (StateError, DataError) as problem:
        return str(problem).splitlines()[0].rstrip(".")
    return ""


def _title(model: Any, steps: int, epochs: int) -> str:
    name = str(getattr(model, "name", "")) or "model"
    each = f"{epochs:,} epoch{'' if epochs == 1 else 's'}"
    return f"{name}: {steps:,} step{'' if steps == 1 else 's'} in {each}" if steps else f"{name}: {each}"


def _by_epoch(history: Any, epochs: Sequence[int]) -> dict[str, NumPy]:
    """Each name that has one number in an epoch, with a value for every epoch; NaN where there is none."""
    by_number: dict[int, dict[str, Any]] = dict(history.each_epoch)
    logs = [by_number.get(number, {}) for number in epochs]
    names = dict.fromkeys(name for each in logs for name in each)
    columns = {name: _numbers([each.get(name) for each in logs]) for name in names}
    return {name: column for name, column in columns.items() if column is not None}


def _numbers(values: Sequence[Any]) -> NumPy | None:
    """A column of numbers, NaN for what is none; None if none of them is one."""
    if not {float, type(None)}.issuperset(map(type, values)):
        values = [
            float(each) if np.ndim(each) == 0 and np.asarray(each).dtype.kind in "biuf" else None
            for each in values
        ]
    return None if all(each is None for each in values) else np.asarray(values, np.float64)


# Layers and weights.


def _layers(model: Any, inside: int = 0) -> Iterator[dict[str, Any]]:
    """The layers in order, each followed by those within it."""
    for layer in getattr(model, "operations", getattr(model, "layers", ())):
        kind = type(layer).__name__
        if kind == "InputLayer":
            continue
        count = layer.count_params() if hasattr(layer, "count_params") and layer.built else 0
        yield {
            "name": str(layer.name),
            "kind": kind,
            "activation": str(getattr(getattr(layer, "activation", None), "__name__", "")),
            "input": _size_of(getattr(layer, "input_shape", None)),
            "output": _output_of(model, layer),
            "parameters": int(count),
            "states": states(layer),
            "inside": inside,
        }
        if hasattr(layer, "layers"):
            yield from _layers(layer, inside + 1)


def _output_of(model: Any, layer: Any) -> str:
    """The size of a row of outputs of a layer; empty if it is not known before it is called."""
    if not hasattr(model, "output_shape_of") or not getattr(model, "built", False):
        return ""
    return _size_of(model.output_shape_of(layer))


def _size_of(shape: Any) -> str:
    """The size of a row, of which the batch's shape is known."""
    if isinstance(shape, tuple) and all(each is None or isinstance(each, int) for each in shape):
        return " x ".join("?" if each is None else str(each) for each in shape[1:]) or "1"
    if isinstance(shape, dict):
        shape = list(shape.values())
    return ", ".join(map(_size_of, shape)) if isinstance(shape, list | tuple) else ""


def _pair(model: Any) -> list[str]:
    """Two weights for a map of the cost: the first two of a unit; of one alone, it and the next there is."""
    found: list[str] = []
    for variable in getattr(model, "trainable_variables", ()):
        shape = tuple(variable.shape)
        for first in range(min(2 - len(found), shape[0] if shape else 1)):
            found.append(indexed(variable.path, (first, *(0 for _ in shape[1:])) if shape else ()))
        if len(found) == 2:
            break
    return found


def _weights(model: Any) -> list[dict[str, Any]]:
    moved = {id(each) for each in getattr(model, "trainable_weights", ())}
    return [
        {
            "path": each.path,
            "shape": [int(size) for size in each.shape],
            "size": int(each.size),
            "trainable": id(each) in moved,
        }
        for each in getattr(model, "weights", ())
    ]


# Rows.


def _data(history: Any, model: Any) -> dict[str, Any]:
    """What the rows are like."""
    rows = _rows(history)
    x = None if rows is None or isinstance(rows.x, dict | list | tuple) else np.asarray(rows.x)
    columns: list[dict[str, Any]] = []
    if x is not None and x.ndim == 2 and x.dtype.kind in "biuf":
        names = _names(history, x.shape[1])
        columns = [_column(names[place], x[:, place]) for place in range(min(COLUMNS, x.shape[1]))]
    return {
        "rows": 0 if history.why_not else int(history.replay.record.facts.rows),
        "features": int(np.prod(x.shape[1:])) if x is not None else _features(model),
        "here": rows is not None,
        "columns": columns,
        "said": _scales_said(columns) if _takes_rows_as_they_are(model) else None,
        "target": _target(None if rows is None else rows.y),
    }


def _rows(history: Any) -> Any:
    """The rows that were trained on, if they are here together."""
    trained = None if history.why_not else history.replay.trained
    return None if trained is None else trained.rows


def _features(model: Any) -> int:
    shape = getattr(model, "input_shape", None)
    known = isinstance(shape, tuple) and all(isinstance(each, int) for each in shape[1:])
    return math.prod(shape[1:]) if known and shape is not None else 0


def _names(history: Any, count: int) -> list[str]:
    names = [str(each) for each in history.columns]
    return names if len(names) == count else [f"x[{place}]" for place in range(count)]


def _column(name: str, values: NumPy) -> dict[str, Any]:
    """One column of the rows: between what, where, how far apart."""
    numbers = values.astype(np.float64)
    known = numbers[np.isfinite(numbers)]
    there = len(known) > 0
    return {
        "name": name,
        "low": float(known.min()) if there else math.nan,
        "high": float(known.max()) if there else math.nan,
        "mean": float(known.mean()) if there else math.nan,
        "spread": float(known.std()) if there else math.nan,
        "missing": len(numbers) - len(known),
    }


def _takes_rows_as_they_are(model: Any) -> bool:
    """Whether the first layer with weights is a Dense that is given the rows, with nothing before it."""
    kinds = [each["kind"] for each in _layers(model) if each["kind"] not in ("Flatten", "Dropout")]
    return bool(kinds) and kinds[0] == "Dense"


def _scales_said(columns: Sequence[dict[str, Any]]) -> str | None:
    """A warning, if columns are of very different scales."""
    spans = [(each["high"] - each["low"], each["name"]) for each in columns]
    known = [(span, name) for span, name in spans if math.isfinite(span) and span > 0]
    if not known:
        return None
    wide, narrow = max(known), min(known)
    if wide[0] < APART * narrow[0]:
        return None
    return (
        f"{wide[1]} spans {_rounded(wide[0])} and {narrow[1]} {_rounded(narrow[0])}: networks learn faster "
        "from features of the same scale"
    )


def _rounded(value: float) -> str:
    """A number with two digits, as one says it.

    >>> _rounded(2345.6), _rounded(0.1234)
    ('2,300', '0.12')
    """
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 1_000 else shown(rounded)


def _target(y: Any) -> dict[str, Any]:
    """What is to be answered; of several outputs the first."""
    found: dict[str, Any] = {"kind": "other", "counts": [], "low": None, "high": None}
    if isinstance(y, list | tuple | dict):
        several = list(y.values()) if isinstance(y, dict) else list(y)
        y = several[0] if several else None
    array = None if y is None else np.asarray(y)
    if array is None or array.ndim not in (1, 2) or array.dtype.kind not in "biuf" or not array.size:
        return found
    table = array.reshape(len(array), -1)
    if table.shape[1] > 1:
        # A look at the first rows is enough for most that are no classes.
        if _one_of_several(table[:100]) and _one_of_several(table):
            return found | {"kind": "classes", "counts": [int(each) for each in table.sum(axis=0)]}
        return found
    values = table[:, 0]
    if bool(((values == 0) | (values == 1)).all()):
        return found | {"kind": "yes/no", "counts": [int((values == each).sum()) for each in (0, 1)]}
    if array.dtype.kind in "iu" and int(values.min()) >= 0 and int(values.max()) < CLASSES:
        return found | {"kind": "classes", "counts": [int(each) for each in np.bincount(values)]}
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return found
    return found | {"kind": "number", "low": float(known.min()), "high": float(known.max())}


def _one_of_several(table: NumPy) -> bool:
    """Whether each row is 1 in one place, and 0 in the others."""
    return bool(((table == 0) | (table == 1)).all() and (np.count_nonzero(table, axis=1) == 1).all())


# How the cost went.


def log(source: Source) -> dict[str, Any]:
    """The cost and the learning rate of the steps; of a long run the extremes."""
    record = source.require_open()
    table = source.history.log
    kept, said = _kept(record.log.table[:, 0])
    if record.log.stride > 1:
        said = f"every {record.log.stride}th step was logged; {said}"
    return {
        "step": table.at(kept, "step"),
        "epoch": table.at(kept, "epoch"),
        "cost": f4(table.at(kept, "cost")),
        "learning_rate": f4(table.at(kept, "learning_rate")),
        "kept": said,
    }


def _kept(costs: NumPy) -> tuple[NumPy, str]:
    """The places of the costs that are given, and in words which these are."""
    count = len(costs)
    if count <= POINTS:
        return np.arange(count), f"all {count:,} steps"
    # A stretch has three points at most; most have two.
    for stretches in (POINTS // 2 - 1, POINTS // 3 - 1):
        kept = thinned(costs, stretches)
        if len(kept) <= POINTS:
            break
    width = -(-count // stretches)
    said = f"of each {width:,} of {count:,} steps the lowest and the highest cost"
    broken = ", and the first that is not finite" if not np.isfinite(costs).all() else ""
    return kept, said + broken


def norms(source: Source) -> dict[str, Any]:
    """The lengths of gradients, updates and weights of each layer, at some of the steps."""
    source.require_open()
    found = source.history.log.norms
    names = [name.removesuffix(".gradient") for name in found if name.endswith(".gradient")]
    return {
        "step": np.asarray(found["step"]),
        "layers": [
            {
                "name": name,
                "gradient": f4(found[f"{name}.gradient"]),
                "update": f4(found[f"{name}.update"]),
                "weights": f4(found[f"{name}.weights"]),
                "ratio": f4(
                    [
                        ratio(float(update), float(weights))
                        for update, weights in zip(
                            found[f"{name}.update"], found[f"{name}.weights"], strict=True
                        )
                    ]
                ),
            }
            for name in names
        ],
    }
