"""The cost over two weights: the surface with the path of the run, and the ways down from one step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, StateError, message
from pellucid.formula import indexed, shown
from pellucid.views.payload.numbers import f4
from pellucid.views.payload.questions import QUESTIONS
from pellucid.views.payload.source import Source
from pellucid.views.plots.canvas import weight_named
from pellucid.views.plots.surface import CostSurfaceDisplay

NumPy = np.ndarray[Any, Any]
#: How many places each way a surface has at most, and of how many weights a run's path is held in memory.
FINEST, WEIGHTS = 101, 2**20
#: Of so many weights the tries of one step are kept.
FEW_WEIGHTS = 2**16
#: Products of places, rows and weights: beyond this the cost is measured on one batch, and beyond that again
#: it takes too long.
WORK = 1e11
#: The learning rates of a descent, as factors of that of the step.
FACTORS = 2.0 ** (np.arange(17) / 2 - 4)


def surface(source: Source, weights: tuple[str, ...] | None, grid: int) -> dict[str, Any]:
    """The cost over two weights, or over the plane in which the run went, and its path there."""
    display = _display(source, weights, grid)
    return {
        "weights": list(display.weights),
        "axes": list(display.axis_names),
        "xx": f4(display.xx[0]),
        "yy": f4(display.yy[:, 0]),
        "costs": f4(display.costs),
        "path": f4(display.path),
        "path_steps": display.path_steps.astype(np.int32),
        "path_costs": f4(display.path_costs),
        "share": display.share,
        "measured_on": display.measured_on,
        "held": display.held_said,
    }


def _display(source: Source, weights: tuple[str, ...] | None, grid: int) -> CostSurfaceDisplay:
    """The surface, computed once for as many steps as the run has."""
    record = source.require_open()
    batch = _measured(source, record, grid)

    def computed() -> CostSurfaceDisplay:
        return CostSurfaceDisplay.from_history(source.history, weights, grid=grid, batch=batch)

    return source.kept(("surface", weights, grid, record.steps), computed)


def _measured(source: Source, record: Any, grid: int) -> int | None:
    """The step on whose batch costs are measured; None for all rows, where that does not take too long."""
    if not 2 <= grid <= FINEST:
        raise ArgumentError(message("this is no grid.", came=grid, expected=f"2 to {FINEST}"))
    parts = source.history.replay.engine.parts
    count = sum(int(each.size) for each in (*parts.weights, *parts.others))
    at_each_row = float(grid) ** 2 * count
    last = record.steps - 1
    if count > WEIGHTS or at_each_row * record.facts.batch_size > WORK:
        raise ArgumentError(
            message(
                "a surface of so many weights takes too long.",
                came=f"{count:,} weights, {grid} x {grid} places",
                expected=f"at most {WEIGHTS:,} weights, and few places where there are many",
                mend="look at the gradients of single weights, or at fewer places.",
            )
        )
    rows = record.facts.rows
    return None if rows and at_each_row * rows <= WORK else last


def descent(source: Source, step: int, weights: tuple[str, ...] | None) -> dict[str, Any]:
    """Where a step leads in the plane of two weights, or of the path, by its learning rate."""
    it = source.opened(step).step
    named, place_of, slope_of = _plane(source, it, weights)
    rate = it.optimizer.learning_rate
    if not math.isfinite(rate):
        raise StateError(
            message("the learning rate of this step is not known.", came=f"{it.optimizer.kind}, {rate}")
        )
    rates = rate * FACTORS
    tried = _tried(source, it, rates)
    reached, costs = [place_of(weights) for weights, _ in tried], [cost for _, cost in tried]
    return {
        "weights": named,
        "at": [float(each) for each in place_of(it.weights)],
        "cost": it.cost,
        "gradient": [float(each) for each in slope_of(it.gradients)],
        "rates": f4(rates),
        "next": f4(reached),
        "costs_after": f4(costs),
        "rate": rate,
        "steps_said": (
            f"step {it.number:,} with learning rates from {shown(float(rates[0]))} to "
            f"{shown(float(rates[-1]))}, and the cost of its {it.rows_count:,} rows after it"
        ),
    }


def _tried(source: Source, it: Any, rates: NumPy) -> list[tuple[Any, float]]:
    """The weights after a step with each of the rates, and the cost of its batch with them."""

    def computed() -> list[tuple[Any, float]]:
        tried: list[tuple[Any, float]] = []
        other = it
        for each in rates:
            found = it
            if each != it.optimizer.learning_rate:
                # A step that was changed once has a rate that can be set, also where it had a schedule.
                found = other = other.what_if(learning_rate=float(each)).after
            tried.append((found.weights_after, found.cost_after))
        return tried

    # Both planes of a small network ask for them, one after the other.
    few = sum(value.size for value in it.weights.values()) <= FEW_WEIGHTS
    return source.kept(("tried", it.number), computed) if few else computed()


def _plane(
    source: Source, it: Any, weights: tuple[str, ...] | None
) -> tuple[list[str], Callable[[Any], NumPy], Callable[[Any], NumPy]]:
    """The names of two weights, if a plane is theirs, and what places weights and gradients in it."""
    if weights is None:
        display = _display(source, None, QUESTIONS["surface"]["grid"].default)
        return list(display.weights), display.place_of, display.slope_of
    places = [weight_named(it, each) for each in weights]
    if len(places) != 2 or places[0] == places[1]:
        raise ArgumentError(message("a plane is that of two different weights.", came=", ".join(weights)))

    def entries(arrays: Any) -> NumPy:
        return np.asarray([arrays[path][index] for path, index in places])

    return [indexed(*each) for each in places], entries, entries
