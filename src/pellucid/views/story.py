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

DETAILS = ("short", "full")
#: How many rows, weights or pushes are listed before "and ... more".
LISTED = 8
#: Longer lines are broken.
WIDTH = 110


def tell(
    step: Any, example: int | None, layer: str | int | None, unit: int | None, detail: str = "short"
) -> str:
    """The story of a step; arguments as for `Step.story`."""
    chosen = _chosen_layers(step, layer)
    require_detail(detail)
    _require_whole("example", example)
    _require_whole("unit", unit)
    if unit is not None and layer is None:
        raise ArgumentError(
            message(
                "say which layer the unit is of.", came=f"unit={unit}", mend='story(layer="dense", unit=2).'
            )
        )
    because = ""
    if example is None:
        example, because = followed(step)
    step.require_example(example)
    terms = 10**9 if detail == "full" else TERMS
    lines = [*_title(step), "", *_batch(step, example, because), ""]
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
    weights = _chosen_weights(step, chosen, units, detail)
    for reference in weights:
        lines += _indented(step.formula(f"{reference}.gradient").text(terms))
    lines += ["", f"UPDATE    {_optimizer(step)}"]
    for number, reference in enumerate(weights):
        if number and detail == "full":
            lines.append("")
        lines += _indented(step.formula(reference).text(terms))
    return _text([*lines, "", _agreement(step)])


def _title(step: Any) -> list[str]:
    of = f" of {step.batches_in_epoch}" if step.batches_in_epoch else ""
    what_if = f", if {' and '.join(step.changes)}" if step.changes else ""
    return [f"Step {step.number}{what_if}: epoch {step.epoch}, batch {step.batch}{of} (all counted from 0)"]


def followed(step: Any) -> tuple[int, str]:
    """The example that is followed if none is named, and why."""
    losses = step.losses_by_example()
    if losses is None or not len(losses):
        return 0, ""
    if np.isnan(losses).any():
        return int(np.argmax(np.isnan(losses))), ", whose loss is no number"
    return int(np.argmax(losses)), ", whose loss is the largest"


def _batch(step: Any, example: int, because: str) -> list[str]:
    count = step.rows_count
    among = f" of {step.rows_in_all:,}" if step.rows_in_all else ""
    which = "from a stream" if step.rows is None else _listed(step.rows)
    if step.numbers is not None:
        which = f"{_listed(step.numbers)} of the table, counted from 1"
    lines = [f"BATCH     {count}{among} row{'s' if among or count != 1 else ''}: {which}"]
    row = "" if step.rows is None else f", row {step.rows[example]}"
    if step.numbers is not None:
        row = f", row {step.numbers[example]} of the table"
    y = "" if step.y is None else f", y = {_values(_example_of(step.y, example))}"
    weight = ""
    if step.sample_weight is not None:
        weight = f", weight {_values(_example_of(step.sample_weight, example))}"
    lines.append(f"          followed here: example {example}{row}{because}{y}{weight}")
    return [*lines, *_given(step, example, "          ", "x: ")]


def _given(passed: Any, example: int, begin: str, named: str = "", limit: int = LISTED) -> list[str]:
    """The line of an example's numbers, with the names of its columns; none if it is several arrays."""
    if isinstance(passed.x, dict | list | tuple):
        return []
    row = np.ravel(passed.x[example])
    if not passed.columns or len(passed.columns) != len(row):
        return [f"{begin}x = {_values(row)}"]
    told = (f"{name} = {shown(float(value))}" for name, value in zip(passed.columns, row, strict=True))
    return [f"{begin}{named}{_listed(told, limit)}"]


def _example_of(y: Any, example: int) -> Any:
    return np.asarray(y)[example] if not isinstance(y, dict | list | tuple) else "several arrays"


def _layer(
    step: Any, layer: Any, example: int, unit: int | None, terms: int, units: dict[str, int]
) -> list[str]:
    """One layer: what it does to the example, for one unit."""
    output = layer.output
    if not isinstance(output, np.ndarray) or output.ndim < 1 or "output" in layer.shared:
        return [f"  {layer.name} ({type(layer.layer).__name__})"]
    shape = output.shape[1:]
    activation = _activation(layer)
    lines = [f"  {headline(layer)}"]
    index = _unit(layer, example, unit)
    if index:
        units[layer.name] = index[-1]
    for what in ("z", "output"):
        if what not in layer.arrays:
            continue
        if what == "output" and "z" in layer.arrays and activation == "linear":
            continue  # a = z, and said already
        array = layer.arrays[what]
        own = index if array.shape == output.shape else _strongest(layer, what, example)
        reference = indexed(f"{layer.name}.{what}", own)
        try:
            lines += _indented(step.formula(reference, example=example).text(terms), 4)
        except ArgumentError:
            value = array[(example, *own)]
            lines.append(f"    {reference} = {shown(float(value))}")
    if shape and int(np.prod(shape)) > 1:
        lines.append(f"    all outputs: {_values(np.ravel(output[example]))}")
    return lines


def _strongest(layer: Any, what: str, example: int) -> tuple[int, ...]:
    """The place of one number of a layer that matters most to the cost; without gradients, the largest."""
    known = layer.slopes.get(what, layer.arrays[what])[example]
    return tuple(int(each) for each in np.unravel_index(int(np.argmax(np.abs(known))), known.shape))


def headline(layer: Any) -> str:
    """A layer in one line: its name, the sizes of its rows, its kind."""
    kind, activation = type(layer.layer).__name__, _activation(layer)
    named = f", {activation}" if activation and activation != "linear" and kind != "Activation" else ""
    sizes = [_sizes(each.shape[1:]) for each in (layer.input, layer.output) if isinstance(each, np.ndarray)]
    return f"{layer.name}: {' -> '.join(sizes)} ({kind}{named})" if sizes else f"{layer.name} ({kind}{named})"


def _activation(layer: Any) -> str:
    """The name of the layer's activation, if it has one."""
    return str(getattr(getattr(layer.layer, "activation", None), "__name__", ""))


def _unit(layer: Any, example: int, unit: int | None) -> tuple[int, ...]:
    """The unit that is told about: the one asked for, else the one that matters most to the cost."""
    output = layer.output[example]
    shape = output.shape
    if not shape:
        return ()
    if unit is not None:
        if not 0 <= unit < shape[-1]:
            raise ArgumentError(
                message(
                    f"{layer.name} has no such unit.", came=f"unit={unit}", expected=f"0 to {shape[-1] - 1}"
                )
            )
        return (*(0,) * (len(shape) - 1), unit)
    slopes = layer.slopes.get("z", layer.slopes.get("output"))
    if slopes is not None and slopes.shape != layer.output.shape:
        slopes = layer.slopes.get("output")
    measured = np.abs(output if slopes is None or not slopes[example].any() else slopes[example])
    place = int(np.argmax(np.nan_to_num(measured, nan=np.inf)))
    return tuple(int(each) for each in np.unravel_index(place, shape))


def _backward(step: Any, chosen: Sequence[Any], units: dict[str, int], example: int, terms: int) -> list[str]:
    """The gradients by the numbers that were told about, from the last layer to the first."""
    lines: list[str] = []
    for layer in reversed(chosen):
        output = layer.output
        if layer.name not in units or not isinstance(output, np.ndarray) or output.ndim != 2:
            continue
        for kind in ("output", "z"):
            if kind == "z" and _activation(layer) == "linear":
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
            lines.append(f"  {one.title}[{index}] = {_values(one.losses[example])}")
    return lines + _indented(step.formula("cost").text(terms))


def _chosen_layers(step: Any, layer: str | int | None) -> list[Any]:
    if layer is None:
        return list(step.layers)
    if not isinstance(layer, str):
        _require_whole("layer", layer)
    if isinstance(layer, int) and not -len(step.layers) <= layer < len(step.layers):
        raise ArgumentError(
            message("there is no such layer.", came=f"layer={layer}", expected=f"0 to {len(step.layers) - 1}")
        )
    return [step.layers[layer]]


def _chosen_weights(step: Any, chosen: Sequence[Any], units: dict[str, int], detail: str) -> list[str]:
    """The weights that are told about: of each layer the one with the largest gradient in its unit."""
    paths: list[tuple[str, int | None]] = []
    for layer in chosen:
        for variable in layer.variables:
            if variable.path in step.gradients and variable.path not in [path for path, _ in paths]:
                paths.append((variable.path, units.get(layer.name)))
    if not paths:
        paths = [(path, None) for path in step.gradients]
    if detail == "short":
        first: dict[str, tuple[str, int | None]] = {}
        for path, unit in paths:
            first.setdefault(path.rpartition("/")[0], (path, unit))
        paths = list(first.values())
    found: list[str] = []
    for path, unit in paths:
        gradient = np.abs(np.nan_to_num(step.gradients[path], nan=np.inf))
        last = unit if unit is not None and gradient.ndim and unit < gradient.shape[-1] else None
        measured = gradient if last is None else gradient[..., last]
        many = len(np.ravel(measured)) if detail == "full" else 1
        order = np.argsort(-np.ravel(measured), kind="stable")[: min(many, LISTED)]
        for place in np.sort(order):
            index = tuple(int(each) for each in np.unravel_index(place, measured.shape))
            index = index if last is None else (*index, last)
            found.append(f"{path}[{','.join(map(str, index))}]" if index else path)
    return found


def _optimizer(step: Any) -> str:
    optimizer = step.optimizer
    t = int(optimizer.before.get("iteration", 0)) + 1
    rate = "" if np.isnan(optimizer.learning_rate) else f", learning rate {shown(optimizer.learning_rate)}"
    said = f"{optimizer.kind}{rate}, its step {t}{_scaled(optimizer)}"
    if not optimizer.skipped:
        return said
    halved = shown(float(optimizer.after["dynamic_scale"]))
    return f"skipped: gradients not finite, scale halved to {halved} ({said})"


def _scaled(optimizer: Any) -> str:
    """What the cost was multiplied by for the gradient, and whether the scale has grown by this step."""
    if optimizer.loss_scale is None:
        return ""
    after = float(optimizer.after.get("dynamic_scale", optimizer.loss_scale))
    grown = f", from then on by {shown(after)}" if after > optimizer.loss_scale else ""
    return f", cost scaled by {shown(optimizer.loss_scale)}{grown}"


def _agreement(step: Any) -> str:
    if step.differences is None:
        return "This is how the step would have been; the training was another."
    if not step.differences:
        return "Exact: the weights and the cost are those of the training, bit for bit."
    name = max(step.differences, key=lambda each: step.differences[each])
    return (
        f"Run again, the step differs from the training by {step.difference:.1e} of the number at most "
        f"({name}); the weights shown are those of the compiled loop."
    )


# Explaining a row.


def explain(
    passed: Any, example: int, layer: str | int | None, unit: int | None, detail: str = "short"
) -> str:
    """The forward pass of a row, to the decision; arguments as for `Explanation.story`."""
    require_detail(detail)
    passed.require_example(example)
    terms = 10**9 if detail == "full" else TERMS
    lines = _given(passed, example, "GIVEN     ", limit=100 if detail == "full" else LISTED)
    lines += ["", "FORWARD   what the network makes of it"]
    for each in _chosen_layers(passed, layer):
        lines += _layer(passed, each, example, unit if layer is not None else None, terms, {})
    said = passed.conclusion if passed.conclusion and not example else decision(passed, example)
    return _text([*lines, "", f"DECISION  {said}"])


def decision(passed: Any, example: int) -> str:
    """What the outputs for a row say: a class by a threshold, the likeliest class, or a number."""
    outputs = passed.outputs
    if not isinstance(outputs, np.ndarray):
        return "several outputs: see .outputs"
    given = np.ravel(outputs[example])
    if np.isnan(given).any():
        row = np.ravel(passed.x[example]) if isinstance(passed.x, np.ndarray) else np.zeros(0)
        lost = np.flatnonzero(np.isnan(row)) if row.dtype.kind == "f" else []
        named = [passed.columns[each] if len(passed.columns) == len(row) else f"x[{each}]" for each in lost]
        why = (
            f"{_listed(named)} {'is' if len(named) == 1 else 'are'} missing"
            if named
            else "weights are no numbers"
        )
        return f"none: the output is no number, because {why}"
    last = _last_activation(passed)
    labels = list(passed.labels)
    if len(given) == 1 and last == "sigmoid":
        yes = given[0] >= passed.threshold
        sign = ">=" if yes else "<"
        names = labels if len(labels) == 2 else ["class 0", "class 1"]
        return f"{shown(float(given[0]))} {sign} {shown(passed.threshold)}: {names[int(yes)]}"
    if len(given) > 1 and last == "softmax":
        best = int(np.argmax(given))
        names = labels if len(labels) == len(given) else [f"class {each}" for each in range(len(given))]
        second = int(np.argsort(-given)[1])
        return (
            f"{names[best]}, with the largest of {len(given)} probabilities: {shown(float(given[best]))} "
            f"(the next is {names[second]}, {shown(float(given[second]))})"
        )
    return f"the answer is {_values(given)}"


def _last_activation(passed: Any) -> str:
    """The activation that the outputs come from, if nothing but their places is changed after it."""
    for each in reversed(passed.layers):
        kind = type(each.layer).__name__
        if kind == "Softmax":
            return "softmax"
        if kind not in ("Flatten", "Reshape", "Dropout", "GaussianNoise"):
            return _activation(each)
    return ""


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
        line(f"length of the update of {path}", length(was), length(would))
    return "\n".join(lines)


def length(array: Any) -> float:
    """The length (2-norm) of an array, in float64."""
    return float(np.linalg.norm(np.asarray(array, np.float64)))


# Words and numbers.


def _require_whole(name: str, value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not hasattr(value, "__index__")):
        raise ArgumentError(message(f"{name} is a whole number.", came=repr(value)))


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


def _sizes(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) if shape else "1"


def _listed(items: Iterable[Any], limit: int = LISTED) -> str:
    listed = [str(each) for each in items]
    more = f", and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more


def _values(array: Any) -> str:
    flat = np.ravel(array)
    if not len(flat):
        return "nothing"
    told = [shown(float(value)) for value in flat[:LISTED]] if flat.dtype.kind in "biuf" else [str(array)]
    more = f", and {len(flat) - LISTED} more" if len(flat) > LISTED else ""
    return ", ".join(told) + more
