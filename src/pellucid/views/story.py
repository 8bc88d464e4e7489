"""An opened step as a story in plain text, in the order of the loop: forward, cost, gradient, update.

Every number here is a recorded one or comes from a formula that was compared with the recorded one.
"""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, message
from pellucid.formula import TERMS, indexed, shown
from pellucid.views import told
from pellucid.views.told import LISTED

DETAILS = ("short", "full")
#: Longer lines are broken.
WIDTH = 110


def tell(
    step: Any, example: int | None, layer: str | int | None, unit: int | None, detail: str = "short"
) -> str:
    """The story of a step; arguments as for `Step.story`."""
    chosen = told.chosen_layers(step, layer)
    require_detail(detail)
    told.require_whole("example", example)
    told.require_whole("unit", unit)
    if unit is not None and layer is None:
        raise ArgumentError(
            message(
                "say which layer the unit is of.", came=f"unit={unit}", mend='story(layer="dense", unit=2).'
            )
        )
    because = ""
    if example is None:
        example, because = told.followed(step)
    step.require_example(example)
    terms = 10**9 if detail == "full" else TERMS
    lines = [told.title(step), "", *told.batch(step, example, because), ""]
    lines += ["FORWARD   what the network makes of this example"]
    units: dict[str, int] = {}
    for each in chosen:
        lines += _layer(step, each, example, unit if layer is not None else None, terms, units)
    lines += ["", "COST      how wrong that is, and how wrong the batch is on average"]
    lines += _cost(step, example, terms)
    lines += ["", "GRADIENT  how the cost changes with each number, from the end to the beginning"]
    back = _backward(step, chosen, units, example, terms)
    lines += back
    over = "mean" if step.plain_mean else "weighted sum" if step.sample_weight is not None else "sum"
    join = "and with" if back else "with"
    lines += [f"  {join} a weight, as the {over} over the {step.rows_count} examples:"]
    weights = told.chosen_weights(step, chosen, units, detail)
    for reference in weights:
        lines += _indented(step.formula(f"{reference}.gradient").text(terms))
    lines += ["", f"UPDATE    {told.optimizer(step)}"]
    for number, reference in enumerate(weights):
        if number and detail == "full":
            lines.append("")
        lines += _indented(step.formula(reference).text(terms))
    return _text([*lines, "", told.agreement(step)])


def _layer(
    step: Any, layer: Any, example: int, unit: int | None, terms: int, units: dict[str, int]
) -> list[str]:
    """One layer: what it does to the example, for one unit."""
    output = layer.output
    if not isinstance(output, np.ndarray) or output.ndim < 1 or "output" in layer.shared:
        return [f"  {layer.name} ({type(layer.layer).__name__})"]
    shape = output.shape[1:]
    activation = told.activation(layer)
    lines = [f"  {told.headline(layer)}"]
    index = told.unit(layer, example, unit)
    if index:
        units[layer.name] = index[-1]
    for what in ("z", "output"):
        if what not in layer.arrays:
            continue
        if what == "output" and "z" in layer.arrays and activation == "linear":
            continue  # a = z, and said already
        array = layer.arrays[what]
        own = index if array.shape == output.shape else told.strongest(layer, what, example)
        reference = indexed(f"{layer.name}.{what}", own)
        try:
            lines += _indented(step.formula(reference, example=example).text(terms), 4)
        except ArgumentError:
            value = array[(example, *own)]
            lines.append(f"    {reference} = {shown(float(value))}")
    if shape and int(np.prod(shape)) > 1:
        lines.append(f"    all outputs: {told.values(np.ravel(output[example]))}")
    return lines


def _backward(step: Any, chosen: Sequence[Any], units: dict[str, int], example: int, terms: int) -> list[str]:
    """The gradients by the numbers that were told about, from the last layer to the first."""
    lines: list[str] = []
    for layer in reversed(chosen):
        output = layer.output
        if layer.name not in units or not isinstance(output, np.ndarray) or output.ndim != 2:
            continue
        for kind in ("output", "z"):
            if kind == "z" and told.activation(layer) == "linear":
                continue  # a = z, and said already
            if kind in layer.slopes:
                reference = f"{layer.name}.d_{kind}[{units[layer.name]}]"
                with contextlib.suppress(ArgumentError):
                    lines += _indented(step.formula(reference, example=example).text(terms))
    return lines


def _cost(step: Any, example: int, terms: int) -> list[str]:
    lines: list[str] = []
    for one in step.compared:
        index = ",".join(str(each) for each in (example, *(0 for _ in one.losses.shape[1:])))
        try:
            lines += _indented(step.formula(f"{one.title}[{index}]").text(terms))
        except ArgumentError:
            lines.append(f"  {one.title}[{index}] = {told.values(one.losses[example])}")
    return lines + _indented(step.formula("cost").text(terms))


# Explaining a row.


def explain(
    passed: Any, example: int, layer: str | int | None, unit: int | None, detail: str = "short"
) -> str:
    """The forward pass of a row, to the decision; arguments as for `Explanation.story`."""
    require_detail(detail)
    passed.require_example(example)
    terms = 10**9 if detail == "full" else TERMS
    lines = told.given(passed, example, "GIVEN     ", limit=100 if detail == "full" else LISTED)
    lines += ["", "FORWARD   what the network makes of it"]
    for each in told.chosen_layers(passed, layer):
        lines += _layer(passed, each, example, unit if layer is not None else None, terms, {})
    said = passed.conclusion if passed.conclusion and not example else told.decision(passed, example)
    return _text([*lines, "", f"DECISION  {said}"])


# Beside a step.


def pushes(found: Any) -> str:
    """Which rows pushed a weight, as a table."""
    said = (
        "is the sum of these, and the weight is moved the other way"
        if found.one
        else "is the sum of these as vectors, whose lengths are given"
    )
    what = "its gradient" if found.one else "the length of its gradient,"
    lines = [f"What pushed {found.name}: {what} {shown(found.gradient)}{'' if found.one else ','} {said}"]
    lines.append(f"{'row':>10}{'example':>9}{'push' if found.one else 'length':>14}")
    for each in found[: 2 * LISTED]:
        row = "-" if each.row is None else each.row
        lines.append(f"{row:>10}{each.example:>9}{each.push:>14.6g}")
    if len(found) > 2 * LISTED and found.one:
        rest = sum(each.push for each in found[2 * LISTED :])
        lines.append(f"{f'{len(found) - 2 * LISTED} more':>10}{'':>9}{rest:>14.6g}")
    if found.penalty:
        lines.append(f"{'penalties':>10}{'':>9}{found.penalty:>14.6g}")
    return "\n".join(lines)


def what_if(found: Any) -> str:
    """What would have been, beside what was."""
    before, after = found.before, found.after
    lines = [f"Step {before.number}, if {' and '.join(found.changes)}", ""]
    wide = max([34, *(len(f"length of the update of {path}") for path in before.weights)]) + 1
    lines.append(f"{'':{wide}}{'it was':>14}{'it would be':>14}")

    def line(name: str, was: float, would: float) -> None:
        lines.append(f"{name:{wide}}{shown(was):>14}{shown(would):>14}")

    line("learning rate", before.optimizer.learning_rate, after.optimizer.learning_rate)
    line("cost of the batch", before.cost, after.cost)
    line("cost of the batch after the update", before.cost_after, after.cost_after)
    for path in before.weights:
        was, would = before.updates[path], after.updates[path]
        line(f"length of the update of {path}", told.length(was), told.length(would))
    return "\n".join(lines)


# Words and numbers.


def require_detail(detail: str) -> None:
    """Raise ArgumentError if this is no level of detail."""
    if detail not in DETAILS:
        raise ArgumentError(
            message("there is no such level of detail.", came=repr(detail), expected=" or ".join(DETAILS))
        )


def _text(lines: Iterable[str]) -> str:
    """Lines as a text, the long ones broken, and what follows set in."""
    broken: list[str] = []
    for line in lines:
        inside = len(line) - len(line.lstrip())
        later = " " * (inside + 4 if not line[:1].strip() else 10)
        broken += textwrap.wrap(
            line,
            WIDTH,
            subsequent_indent=later,
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
            replace_whitespace=False,
            expand_tabs=False,
        ) or [""]
    return "\n".join(broken)


def _indented(text: str, by: int = 2) -> list[str]:
    return [" " * by + line for line in text.splitlines()]
