"""Weights: one of them, whole arrays, and how an array spreads over the run."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, did_you_mean, message
from pellucid.formula import indexed
from pellucid.views import told
from pellucid.views.payload.numbers import f4, flat_shape, grid, part
from pellucid.views.payload.source import Opened, Source
from pellucid.views.payload.step import places_of, told_formula
from pellucid.views.plots.canvas import weight_named

NumPy = np.ndarray[Any, Any]
#: A picture of an array has at most so many rows and columns, all pictures together so many numbers; then
#: pictures are smaller. Of more arrays those that are left out are said.
SIDES, CELLS, ARRAYS = (64, 48, 32, 24, 16, 12, 8, 4), 300_000, 400
#: A part of an array is at most so many numbers, and where nothing is said so many rows and columns.
PART_NUMBERS, PART_SIDE = 2**18, 64
#: At how many steps an array is looked at.
SPREAD_STEPS = 40
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
#: Outputs of these activations are at an end where they are within this part of it.
ENDS = {"sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "hard_tanh": (-1.0, 1.0)}
NEAR = 0.01
SILENT = ("relu", "relu6")


def weight(source: Source, step: int, of: str) -> dict[str, Any]:
    """One weight at a step: whose gradient it is, and how it was moved."""
    opened = source.opened(step)
    it = opened.step
    path, index = weight_named(it, of)
    name = indexed(path, index)
    return {
        "of": name,
        "path": path,
        "index": list(index),
        "gradient": float(it.gradients[path][index]),
        **_pushes(opened, path, index),
        "before": float(it.weights[path][index]),
        "after": float(it.weights_after[path][index]),
        "update": float(opened.updates[path][index]),
        "state": _remembered(opened, path, index),
        "learning_rate": it.optimizer.learning_rate,
        "formulas": {
            "gradient": _formula_or_none(it, f"{name}.gradient"),
            "update": _formula_or_none(it, f"{name}.update"),
            "after": _formula_or_none(it, name),
        },
    }


def _formula_or_none(it: Any, reference: str) -> dict[str, Any] | None:
    with contextlib.suppress(ArgumentError):
        return told_formula(reference, it.formula(reference))
    return None


def _pushes(opened: Opened, path: str, index: tuple[int, ...]) -> dict[str, Any]:
    """What each example says about a weight, in the order of the examples that are given."""
    it = opened.step
    if it.losses is None:
        nothing: dict[str, Any] = dict.fromkeys(("examples", "rows", "gradients", "shares", "pushes"))
        said = "the loss gives no number for each example"
        return nothing | {"rest": 0.0, "penalty": float(it.penalty_gradient(path)[index]), "said": said}
    found = it.pushes(indexed(path, index))
    places = places_of(opened)
    by_example = sorted(found, key=lambda push: push.example)
    shown = [by_example[place] for place in places.tolist()]
    given = set(places.tolist())
    return {
        "examples": places.astype(np.int32),
        "rows": None if it.rows is None else np.asarray([push.row for push in shown], np.int64),
        "gradients": f4([push.gradient for push in shown]),
        "shares": f4([push.share for push in shown]),
        "pushes": f4([push.push for push in shown]),
        "rest": float(sum(push.push for push in by_example if push.example not in given)),
        "penalty": float(found.penalty),
        "said": "",
    }


def _remembered(opened: Opened, path: str, index: tuple[int, ...]) -> list[dict[str, Any]]:
    """What the optimizer remembers of a weight, before the step and after it."""
    after = opened.slots(path, after=True)
    return [
        {"name": name, "before": float(array[index]), "after": float(after[name][index])}
        for name, array in opened.slots(path).items()
    ]


# Whole arrays.


def layers(source: Source, step: int) -> dict[str, Any]:
    """All arrays of weights as pictures, with their gradients, updates, and what the optimizer remembers."""
    opened = source.opened(step)
    paths = list(opened.step.weights)[:ARRAYS]
    left_out = len(opened.step.weights) - len(paths)
    side = _side(opened, paths)
    smaller = f"pictures of at most {side} x {side} cells, as there are many" if side < SIDES[0] else ""
    fewer = f"{left_out:,} arrays are left out" if left_out else ""
    return {
        "arrays": [_heat(opened, path, side) for path in paths],
        "units": [each for layer in opened.step.layers if (each := _units(layer)) is not None],
        "said": "; ".join(each for each in (smaller, fewer) if each),
    }


def _side(opened: Opened, paths: list[str]) -> int:
    """How many rows and columns pictures may have, so that all of them have room."""
    shapes = [flat_shape(opened.step.weights[path].shape) for path in paths]
    each = [3 + len(opened.slots(path)) for path in paths]

    def cells(side: int) -> int:
        return sum(
            many * math.prod(-(-size // max(1, -(-size // side))) for size in shape)
            for many, shape in zip(each, shapes, strict=True)
        )

    return next((side for side in SIDES if cells(side) <= CELLS), SIDES[-1])


def _heat(opened: Opened, path: str, side: int) -> dict[str, Any]:
    def picture(what: str) -> dict[str, Any]:
        array = opened.array(what, path)
        assert array is not None
        return grid(array, opened.summary(what, path), side)

    return {
        "path": path,
        "shape": list(opened.step.weights[path].shape),
        **{what: picture(what) for what in ("weights", "gradients", "updates")},
        "state": [{"name": name, "grid": picture(name)} for name in opened.slots(path)],
    }


def _units(layer: Any) -> dict[str, Any] | None:
    """How many units of a layer say nothing to any example of the batch; None where that is not asked."""
    bent, output = told.activation(layer), layer.output
    if bent not in (*ENDS, *SILENT) or not isinstance(output, np.ndarray) or output.ndim < 2:
        return None
    by_unit = output.reshape(-1, output.shape[-1])
    silent = saturated = 0
    if bent in SILENT:
        silent = int((by_unit == 0).all(axis=0).sum())
    else:
        low, high = ENDS[bent]
        near = NEAR * (high - low)
        saturated = int(((by_unit <= low + near) | (by_unit >= high - near)).all(axis=0).sum())
    units = output.shape[-1]
    what = "give 0" if silent else "are within 1% of an end of their activation"
    said = f"{silent or saturated} of {units} units {what} for all {len(output):,} rows of the batch"
    return {
        "name": layer.name,
        "units": units,
        "silent": silent,
        "saturated": saturated,
        "said": said if silent or saturated else "",
    }


def tensor(
    source: Source,
    step: int,
    of: str,
    what: str,
    rows: tuple[int, int] | None,
    columns: tuple[int, int] | None,
) -> dict[str, Any]:
    """A part of an array as it is."""
    opened = source.opened(step)
    opened.step.weight_place(of, of)
    array = opened.array(what, of)
    if array is None:
        known = ["weights", "gradients", "updates", *opened.slots(of)]
        raise ArgumentError(
            message(f"{of} has no such numbers.", came=repr(what), expected=did_you_mean(what, known))
        )
    sizes = flat_shape(array.shape)
    spans = (_span("rows", rows, sizes[0]), _span("columns", columns, sizes[1]))
    if math.prod(last - first for first, last in spans) > PART_NUMBERS:
        raise ArgumentError(
            message("this part is too large.", came=spans, expected=f"at most {PART_NUMBERS:,} numbers")
        )
    return part(array, opened.summary(what, of), *spans)


def _span(name: str, given: tuple[int, int] | None, size: int) -> tuple[int, int]:
    if given is None:
        return 0, min(PART_SIDE, size)
    if not 0 <= given[0] < given[1] <= size:
        raise ArgumentError(
            message(f"there are no such {name}.", came=f"{given[0]}:{given[1]}", expected=f"within 0:{size}")
        )
    return given


def spread(source: Source, of: str) -> dict[str, Any]:
    """How the numbers of an array spread, at some of the steps."""
    record = source.require_open()
    steps, found = source.kept(("spread", record.steps), lambda: _spreads(source))
    if of not in found:
        raise ArgumentError(
            message("there is no such weight.", came=repr(of), expected=did_you_mean(of, found))
        )
    quantiles, lost = (np.stack(each) for each in zip(*found[of], strict=True))
    return {
        "of": of,
        "step": np.asarray(steps, np.int32),
        "quantiles": f4(quantiles),
        "not_finite": lost.astype(np.int32),
    }


def _spreads(source: Source) -> tuple[list[int], dict[str, list[tuple[NumPy, NumPy]]]]:
    """The steps, and at each the quantiles of all arrays and how many of their numbers are not finite."""
    steps = source.history.log.sampled(SPREAD_STEPS)
    found: dict[str, list[tuple[NumPy, NumPy]]] = {}
    for number in steps:
        for path, array in source.history.weights_before(number).items():
            flat = np.ravel(array).astype(np.float32)
            known = flat[np.isfinite(flat)]
            quantiles = np.quantile(known, QUANTILES) if known.size else np.full(len(QUANTILES), np.nan)
            found.setdefault(path, []).append((quantiles, np.asarray(flat.size - known.size)))
    return steps, found
