"""An opened step: its batch, its network with the numbers of every example, its weights, its formulas."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError
from pellucid.formula import Formula, indexed, shown, stated_by
from pellucid.views import told
from pellucid.views.payload.numbers import f4
from pellucid.views.payload.source import Opened, Source
from pellucid.views.plots.boundary import answered_by, kind_of, probabilities
from pellucid.views.plots.network import Links, Neurons

NumPy = np.ndarray[Any, Any]
#: Of a larger batch so many examples are given, and fewer where their numbers take more than so many bytes.
EXAMPLES, FEWEST, ROOM = 512, 8, 560_000
#: Rows are given with a batch if they are at most so many numbers; targets and outputs if so many.
ROW_NUMBERS, ANSWER_NUMBERS = 2**16, 2**15
#: How many formulas come in one answer.
FORMULAS = 200
KINDS = ("output", "z", "d_output", "d_z")


def step(source: Source, step: int) -> dict[str, Any]:
    """Everything about a step but its formulas."""
    opened = source.opened(step)
    it = opened.step
    columns, links = opened.network
    places = places_of(opened)
    before = _cost_before(source, it)
    right = right_of(it, source.history.threshold)
    followed, because = told.followed(it)
    return {
        "number": it.number,
        "epoch": it.epoch,
        "batch": it.batch,
        "batches_in_epoch": it.batches_in_epoch,
        "title": told.title(it),
        "sentence": _sentence(opened, before, right),
        "exact": it.exact,
        "agreement": told.agreement(it),
        "batch_of": _batch_of(source, it, places, right),
        "followed": followed,
        "followed_said": because.removeprefix(", "),
        "cost": it.cost,
        "cost_before": before,
        "penalty": it.penalty,
        "plain_mean": it.plain_mean,
        "optimizer": _optimizer(it),
        "columns": [_column(opened, each, places) for each in columns],
        "links": [_link(opened, *each) for each in zip(links, columns, columns[1:], strict=False)],
        "weights": [_lengths(opened, path) for path in it.weights],
        "strongest": told.strongest_weights(it),
    }


def places_of(opened: Opened) -> NumPy:
    """The examples that are given, in order: all of a small batch.

    Of a large one the half are those with the largest losses, and the others lie evenly among all.
    """
    it = opened.step
    count = it.rows_count
    values = sum(len(each.drawn) * (len(_kinds(each)) + 1) for each in opened.network[0])
    room = max(FEWEST, min(EXAMPLES, ROOM // (4 * max(values, 1))))
    if count <= room:
        return np.arange(count)
    evenly = np.linspace(0, count - 1, room if it.losses is None else room // 2).astype(int)
    losses = it.losses_by_example()
    if losses is None:
        return np.unique([*evenly, it.followed])
    largest = np.argsort(-np.nan_to_num(losses, nan=np.inf), kind="stable")[: room // 2]
    return np.unique([*largest, *evenly, it.followed])


# The batch.


def _batch_of(source: Source, it: Any, places: NumPy, right: NumPy | None) -> dict[str, Any]:
    x, x_said = _rows(it.x, it.rows_count, places, ROW_NUMBERS, "inputs", "row")
    output, y = first_output(it)
    outputs, outputs_said = _rows(output, it.rows_count, places, ANSWER_NUMBERS, "outputs", "answer")
    targets, y_said = _rows(y, it.rows_count, places, ANSWER_NUMBERS, "targets", "target")
    losses, shares = it.losses_by_example(), None if it.losses is None else it.shares_by_example()
    kind = meaning_of(it)[0]
    several = "" if isinstance(it.outputs, np.ndarray) else "of the first of several outputs"
    return {
        "size": it.rows_count,
        "places": places.astype(np.int32),
        "rows": None if it.rows is None else np.asarray(it.rows)[places],
        "numbers": None if it.numbers is None else np.asarray(it.numbers)[places],
        "columns": [str(each) for each in it.columns],
        "x": x,
        "x_said": x_said,
        "y": targets,
        "y_said": y_said or several,
        "outputs": outputs,
        "outputs_said": outputs_said or several,
        "losses": _given(losses, places),
        "shares": _given(shares, places),
        "weight": _given(_one_by_example(it.sample_weight, it.rows_count), places),
        "kind": kind,
        "right": None if right is None else right[places].astype(np.uint8),
        "right_count": None if right is None else int(right.sum()),
        "labels": labels_of(source.history, kind, output),
        "threshold": source.history.threshold,
    }


def first_output(it: Any) -> tuple[Any, Any]:
    """What the model gave, and what that was compared with; of several outputs the first."""
    if isinstance(it.outputs, np.ndarray):
        return it.outputs, it.y
    outputs: Any = it.outputs
    outputs = [outputs[name] for name in sorted(outputs)] if isinstance(outputs, dict) else list(outputs)
    several = it.y if isinstance(it.y, list) else [it.y]
    return outputs[0] if isinstance(outputs[0], np.ndarray) else outputs, several[0]


def meaning_of(it: Any) -> tuple[str, bool]:
    """What the first output is, "probability", "class" or "number", and whether it is logits; or "other"."""
    output = first_output(it)[0]
    if not isinstance(output, np.ndarray) or output.ndim not in (1, 2):
        return "other", False
    try:
        return kind_of(*answered_by(it, 0), output.reshape(len(output), -1).shape[1])
    except ArgumentError:
        return "other", False


def right_of(it: Any, threshold: float) -> NumPy | None:
    """Which examples are answered rightly; None where that makes no sense, or cannot be told."""
    kind, logits = meaning_of(it)
    output, y = first_output(it)
    if kind not in ("probability", "class") or not isinstance(y, np.ndarray):
        return None
    given = output.reshape(len(output), -1).astype(np.float64)
    targets = y.reshape(len(y), -1)
    if kind == "class" and targets.shape == given.shape:
        truth = targets.argmax(axis=1)
    elif targets.shape[1] == 1 and np.isin(targets, np.arange(max(2, given.shape[1]))).all():
        truth = targets[:, 0].astype(np.int64)
    else:
        return None
    given = probabilities(given) if logits else given
    said = given[:, 0] >= threshold if kind == "probability" else given.argmax(axis=1)
    return (said == truth) & np.isfinite(given).all(axis=1)


def labels_of(history: Any, kind: str, output: Any) -> list[str]:
    """What the classes of the first output are called; none of numbers."""
    if kind not in ("probability", "class"):
        return []
    count = max(2, output.reshape(len(output), -1).shape[1])
    known = [str(each) for each in history.labels]
    return known if len(known) == count else [str(each) for each in range(count)]


def _rows(
    given: Any, count: int, places: NumPy, most: int, several: str, one: str
) -> tuple[NumPy | None, str]:
    """Numbers by example, shape (examples, numbers); or None, and in words why."""
    if given is None:
        return None, f"no {several}"
    if isinstance(given, dict | list | tuple):
        return None, f"{len(given)} {several}"
    array = np.asarray(given)
    shape = told.sizes(array.shape[1:])
    if array.dtype.kind not in "biuf" and not array.dtype.name.startswith("bfloat"):
        return None, f"{one}s that are no numbers"
    if array.ndim > 2 or not array.ndim or len(array) != count:
        return None, f"{one}s of shape {shape}"
    table = array.reshape(count, -1)
    if min(count, EXAMPLES) * table.shape[1] > most:
        return None, f"{one}s of {shape} numbers, too many to be shown"
    return f4(table[places]), ""


def _one_by_example(given: Any, count: int) -> NumPy | None:
    array = None if isinstance(given, dict | list | tuple) or given is None else np.asarray(given)
    return array if array is not None and array.shape == (count,) else None


def _given(values: NumPy | None, places: NumPy) -> NumPy | None:
    return None if values is None else f4(values[places])


# The step itself.


def _cost_before(source: Source, it: Any) -> float | None:
    """The cost of the step before, as it was logged."""
    logged = source.history.replay.record.log.row(it.number - 1) if it.number else None
    return None if logged is None else float(logged[0])


def _sentence(opened: Opened, before: float | None, right: NumPy | None) -> str:
    """The step in one line, for those who do not see it."""
    it = opened.step
    parts = [f"cost {shown(it.cost)}"]
    if before is not None and math.isfinite(before) and math.isfinite(it.cost):
        change = it.cost - before
        way = "up" if change > 0 else "down"
        parts[0] += f", {way} {shown(abs(change))} from the step before" if change else ", as the step before"
    if right is not None:
        parts.append(f"{int(right.sum()):,} of {len(right):,} right")
    if (found := told.largest_of(opened.updates)) is not None:
        reference, value = found
        parts.append(f"largest change: {reference} {'+' if value > 0 else ''}{shown(value)}")
    return f"Step {it.number}: {'; '.join(parts)}"


def _optimizer(it: Any) -> dict[str, Any]:
    known = it.optimizer
    return {
        "kind": known.kind,
        "line": told.optimizer(it),
        "learning_rate": known.learning_rate,
        "iteration": int(known.before.get("iteration", 0)),
        "skipped": bool(known.skipped),
        "loss_scale": known.loss_scale,
    }


def _lengths(opened: Opened, path: str) -> dict[str, Any]:
    """An array of weights in a few numbers."""
    weights, gradients, updates = (opened.summary(each, path) for each in ("weights", "gradients", "updates"))
    return {
        "path": path,
        "shape": list(opened.step.weights[path].shape),
        "size": weights.size,
        "norm": weights.norm,
        "gradient_norm": gradients.norm,
        "update_norm": updates.norm,
        "ratio": ratio(updates.norm, weights.norm),
        "nan": weights.nan,
        "inf": weights.inf,
        "zero": weights.zero,
    }


def ratio(update: float, weights: float) -> float:
    """How far weights moved, as a part of their length; no number where they are all 0."""
    return update / weights if weights else math.nan


# The network.


def _kinds(column: Neurons) -> list[str]:
    """What is known of each unit of a column: "output", "z", and the gradients by them."""
    if column.layer is None:
        return ["output"]
    layer = column.layer
    return [kind for kind in KINDS if _by_unit(layer, kind) is not None]


def _by_unit(layer: Any, kind: str) -> NumPy | None:
    """Numbers of a layer by example and unit, as its outputs are; None if it has none of these."""
    known = layer.slopes if kind.startswith("d_") else layer.arrays
    array = known.get(kind.removeprefix("d_"))
    fits = array is not None and array.shape == layer.output.shape and kind not in layer.shared
    return array if fits else None


def _column(opened: Opened, column: Neurons, places: NumPy) -> dict[str, Any]:
    it, layer = opened.step, column.layer
    given = it.layers[0].input if layer is None else layer.output
    shape = given.shape[1:] if isinstance(given, np.ndarray) and given.ndim else (len(column.values),)
    if layer is None:
        by_unit = {"output": given} if isinstance(given, np.ndarray) else {}
    else:
        by_unit = {kind: _by_unit(layer, kind) for kind in _kinds(column)}
    indices = [[int(each) for each in np.unravel_index(unit, shape or (1,))] for unit in column.drawn]
    return {
        "name": "" if layer is None else column.name,
        "kind": "" if layer is None else type(layer.layer).__name__,
        "activation": "" if layer is None else told.activation(layer),
        "headline": f"input: {told.sizes(shape)}" if layer is None else told.headline(layer),
        "units": len(column.values),
        "shape": told.sizes(shape),
        "drawn": column.drawn,
        "index": indices if shape else [[] for _ in indices],
        "labels": [column.labels[unit] for unit in column.drawn] if column.labels else [],
        "bias_path": column.bias_path or None,
        "values": {
            kind: f4(array.reshape(len(array), -1)[np.ix_(places, column.drawn)])
            for kind, array in by_unit.items()
            if array is not None
        },
        "bias": _bias(opened, column),
        "states": layer is not None and states(layer.layer),
    }


def _bias(opened: Opened, column: Neurons) -> dict[str, Any] | None:
    if not column.bias_path:
        return None
    return {
        what: f4(np.ravel(_array(opened, what, column.bias_path))[column.drawn])
        for what in ("weights", "gradients", "updates")
    }


def states(layer: Any) -> bool:
    """Whether a layer states its arithmetic in words of its own."""
    stated = stated_by(layer, "formula", "call")
    if stated is None:
        return False
    kind = type(layer)
    own = next(each for each in kind.__mro__ if "formula" in vars(each))
    return own.__name__ != "Layer"


def _link(opened: Opened, link: Links, before: Neurons, after: Neurons) -> dict[str, Any]:
    """What lies between two columns."""
    found: dict[str, Any] = {"kind": link.kind, "kernel": link.path or None}
    whats = ("weights", "gradients", "updates")
    if link.path:
        drawn = np.ix_(before.drawn, after.drawn)
        found |= {what: f4(_array(opened, what, link.path)[drawn]) for what in whats}
        found["largest"] = {what: opened.summary(what, link.path).largest for what in whats}
        return found
    return found | dict.fromkeys((*whats, "largest"))


def _array(opened: Opened, what: str, path: str) -> NumPy:
    array = opened.array(what, path)
    assert array is not None
    return array


# Formulas.


def formula(source: Source, step: int, of: str, example: int | None) -> dict[str, Any]:
    """How one number of a step came about."""
    return told_formula(of, source.opened(step).step.formula(of, example=example))


def told_formula(of: str, made: Formula) -> dict[str, Any]:
    """A formula in all its forms."""
    return {
        "of": of,
        "mathml": made.mathml,
        "symbols": made.symbols_mathml,
        "text": made.text(),
        "python": made.python,
        "value": made.value,
        "recorded": float(made.recorded),
        "holds": made.holds,
        "remark": made.remark,
    }


def formulas(source: Source, step: int, example: int | None) -> dict[str, Any]:
    """The formulas of the cost, of an example's loss, and of what the units that are drawn gave for it."""
    opened = source.opened(step)
    it = opened.step
    one: int = it.followed if example is None else example
    it.require_example(one)
    found: dict[str, Any] = {}
    unstated: dict[str, bool] = {}
    left_out = 0
    for layer, reference in _references(opened, one):
        if len(found) >= FORMULAS:
            left_out += 1
            continue
        with contextlib.suppress(ArgumentError):
            found[reference] = told_formula(reference, it.formula(reference, example=one))
        if layer and not reference.startswith(f"{layer}.d_"):
            unstated[layer] = unstated.get(layer, True) and reference not in found
    return {
        "example": one,
        "formulas": found,
        "unstated": [name for name, none in unstated.items() if none],
        "left_out": left_out,
    }


def _references(opened: Opened, example: int) -> Iterator[tuple[str, str]]:
    """What formulas are asked for, the most telling first: of each layer one unit, then another."""
    it = opened.step
    yield "", "cost"
    for one in it.compared:
        yield "", indexed(one.title, (example, *(0 for _ in one.losses.shape[1:])))
    columns = [each for each in opened.network[0] if each.layer is not None]
    for place in range(max((len(each.drawn) for each in columns), default=0)):
        for column in columns:
            if place < len(column.drawn):
                yield from ((column.name, each) for each in _of_unit(column, _by_size(column)[place]))


def _by_size(column: Neurons) -> NumPy:
    """The units that are drawn, the largest first."""
    sizes = np.abs(np.nan_to_num(column.values[column.drawn], nan=np.inf))
    return column.drawn[np.argsort(-sizes, kind="stable")]


def _of_unit(column: Neurons, unit: int) -> Sequence[str]:
    shape = column.layer.output.shape[1:]
    index = np.unravel_index(unit, shape) if shape else ()
    return [indexed(f"{column.name}.{kind}", index) for kind in _kinds(column)]
