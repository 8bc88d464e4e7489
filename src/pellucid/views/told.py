"""What is told of a step, whoever tells it: story, HTML, plots and pages are painters of the same choice.

Which example is followed, which unit of a layer, which weights; how a layer, a step and an optimizer are
called in one line; whether the step agrees with the training.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, message
from pellucid.formula import indexed, shown

#: Of a larger array no copy is made in float64: it is taken in parts of so many numbers.
PART = 2**20
#: How many rows or weights are listed before "and ... more".
LISTED = 8


def title(step: Any) -> str:
    """Which step it is, in one line."""
    of = f" of {step.batches_in_epoch}" if step.batches_in_epoch else ""
    what_if = f", if {' and '.join(step.changes)}" if step.changes else ""
    return f"Step {step.number}{what_if}: epoch {step.epoch}, batch {step.batch}{of} (all counted from 0)"


def followed(step: Any) -> tuple[int, str]:
    """The example that is followed if none is named, and why."""
    losses = step.losses_by_example()
    if losses is None or not len(losses):
        return 0, ""
    if np.isnan(losses).any():
        return int(np.argmax(np.isnan(losses))), ", whose loss is no number"
    return int(np.argmax(losses)), ", whose loss is the largest"


def batch(step: Any, example: int, because: str) -> list[str]:
    """The lines that say which rows the batch has, and what the followed one is like."""
    count = step.rows_count
    among = f" of {step.rows_in_all:,}" if step.rows_in_all else ""
    which = "from a stream" if step.rows is None else listed(step.rows)
    if step.numbers is not None:
        which = f"{listed(step.numbers)} of the table, counted from 1"
    lines = [f"BATCH     {count}{among} row{'s' if among or count != 1 else ''}: {which}"]
    row = "" if step.rows is None else f", row {step.rows[example]}"
    if step.numbers is not None:
        row = f", row {step.numbers[example]} of the table"
    y = "" if step.y is None else f", y = {values(example_of(step.y, example))}"
    weight = ""
    if step.sample_weight is not None:
        weight = f", weight {values(example_of(step.sample_weight, example))}"
    lines.append(f"          followed here: example {example}{row}{because}{y}{weight}")
    return [*lines, *given(step, example, "          ", "x: ")]


def given(passed: Any, example: int, begin: str, named: str = "", limit: int = LISTED) -> list[str]:
    """The line of an example's numbers, with the names of its columns; none if it is several arrays."""
    if isinstance(passed.x, dict | list | tuple):
        return []
    row = np.ravel(passed.x[example])
    if not passed.columns or len(passed.columns) != len(row):
        return [f"{begin}x = {values(row)}"]
    told = (f"{name} = {shown(float(value))}" for name, value in zip(passed.columns, row, strict=True))
    return [f"{begin}{named}{listed(told, limit)}"]


def example_of(y: Any, example: int) -> Any:
    """What belongs to one example."""
    return np.asarray(y)[example] if not isinstance(y, dict | list | tuple) else "several arrays"


def headline(layer: Any) -> str:
    """A layer in one line: its name, the sizes of its rows, its kind."""
    kind, bent = type(layer.layer).__name__, activation(layer)
    named = f", {bent}" if bent and bent != "linear" and kind != "Activation" else ""
    both = [sizes(each.shape[1:]) for each in (layer.input, layer.output) if isinstance(each, np.ndarray)]
    return f"{layer.name}: {' -> '.join(both)} ({kind}{named})" if both else f"{layer.name} ({kind}{named})"


def activation(layer: Any) -> str:
    """The name of the layer's activation, if it has one."""
    return str(getattr(getattr(layer.layer, "activation", None), "__name__", ""))


def unit(layer: Any, example: int, unit: int | None) -> tuple[int, ...]:
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


def strongest(layer: Any, what: str, example: int) -> tuple[int, ...]:
    """The place of one number of a layer that matters most to the cost; without gradients, the largest."""
    known = layer.slopes.get(what, layer.arrays[what])[example]
    return tuple(int(each) for each in np.unravel_index(int(np.argmax(np.abs(known))), known.shape))


# What is chosen.


def chosen_layers(step: Any, layer: str | int | None) -> list[Any]:
    """The layers that are told about: the one asked for, or all."""
    if layer is None:
        return list(step.layers)
    if not isinstance(layer, str):
        require_whole("layer", layer)
    if isinstance(layer, int) and not -len(step.layers) <= layer < len(step.layers):
        raise ArgumentError(
            message("there is no such layer.", came=f"layer={layer}", expected=f"0 to {len(step.layers) - 1}")
        )
    return [step.layers[layer]]


def chosen_weights(step: Any, chosen: Sequence[Any], units: dict[str, int], detail: str) -> list[str]:
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


def strongest_weights(step: Any, each: int = 4, most: int = 64) -> list[str]:
    """The weights whose gradients are largest: a few of each array; of a small model all weights.

    Args:
        step: an opened step.
        each: how many of an array, at most.
        most: how many in all, at most. A model of no more weights has all of them told.
    """
    if sum(array.size for array in step.weights.values()) <= most:
        return [
            indexed(path, index) for path, array in step.weights.items() for index in np.ndindex(array.shape)
        ]
    found: list[tuple[float, str]] = []
    for path, gradient in step.gradients.items():
        sizes = _sizes_of(gradient)
        order = np.argpartition(-sizes, min(each, sizes.size) - 1)[:each] if sizes.size else []
        for place in np.sort(order):
            found.append((float(sizes[place]), indexed(path, np.unravel_index(place, gradient.shape))))
    kept = sorted(sorted(range(len(found)), key=lambda place: -found[place][0])[:most])
    return [found[place][1] for place in kept]


def largest_of(arrays: Mapping[str, Any]) -> tuple[str, float] | None:
    """The number of largest size in arrays, and what it is called; None if all are 0, or there are none."""
    best: tuple[float, str, float] | None = None
    for path, array in arrays.items():
        if not array.size:
            continue
        sizes = _sizes_of(array)
        place = int(np.argmax(sizes))
        if sizes[place] and (best is None or sizes[place] > best[0]):
            value = float(np.ravel(array)[place])
            best = float(sizes[place]), indexed(path, np.unravel_index(place, array.shape)), value
    return None if best is None else (best[1], best[2])


def _sizes_of(array: Any) -> Any:
    """The sizes of numbers, one after the other; what is no number is larger than all."""
    sizes = np.abs(np.ravel(array))
    sizes[np.isnan(sizes)] = np.inf
    return sizes


def optimizer(step: Any) -> str:
    """What moved the weights, in one line."""
    known = step.optimizer
    t = int(known.before.get("iteration", 0)) + 1
    rate = "" if np.isnan(known.learning_rate) else f", learning rate {shown(known.learning_rate)}"
    said = f"{known.kind}{rate}, its step {t}{_scaled(known)}"
    if not known.skipped:
        return said
    halved = shown(float(known.after["dynamic_scale"]))
    return f"skipped: gradients not finite, scale halved to {halved} ({said})"


def _scaled(optimizer: Any) -> str:
    """What the cost was multiplied by for the gradient, and whether the scale has grown by this step."""
    if optimizer.loss_scale is None:
        return ""
    after = float(optimizer.after.get("dynamic_scale", optimizer.loss_scale))
    grown = f", from then on by {shown(after)}" if after > optimizer.loss_scale else ""
    return f", cost scaled by {shown(optimizer.loss_scale)}{grown}"


def agreement(step: Any) -> str:
    """Whether the step, opened, is that of the training, bit for bit."""
    if step.differences is None:
        return "This is how the step would have been; the training was another."
    if not step.differences:
        return "Exact: the weights and the cost are those of the training, bit for bit."
    name = max(step.differences, key=lambda each: step.differences[each])
    return (
        f"Run again, the step differs from the training by {step.difference:.1e} of the number at most "
        f"({name}); the weights shown are those of the compiled loop."
    )


# What a row comes to.


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
            f"{listed(named)} {'is' if len(named) == 1 else 'are'} missing"
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
    return f"the answer is {values(given)}"


def _last_activation(passed: Any) -> str:
    """The activation that the outputs come from, if nothing but their places is changed after it."""
    for each in reversed(passed.layers):
        kind = type(each.layer).__name__
        if kind == "Softmax":
            return "softmax"
        if kind not in ("Flatten", "Reshape", "Dropout", "GaussianNoise"):
            return activation(each)
    return ""


# Words and numbers.


def length(array: Any) -> float:
    """The length (2-norm) of an array, in float64; of a large one part after part."""
    flat = np.ravel(array)
    parts = [flat[start : start + PART] for start in range(0, max(flat.size, 1), PART)]
    return math.hypot(*(float(np.linalg.norm(part.astype(np.float64))) for part in parts))


def require_whole(name: str, value: Any) -> None:
    """Raise ArgumentError if this is no whole number; None is left to the one who asks."""
    if value is not None and (isinstance(value, bool) or not hasattr(value, "__index__")):
        raise ArgumentError(message(f"{name} is a whole number.", came=repr(value)))


def sizes(shape: Sequence[int]) -> str:
    """A shape as people write it.

    >>> sizes((28, 28, 1)), sizes(())
    ('28 x 28 x 1', '1')
    """
    return " x ".join(map(str, shape)) if shape else "1"


def listed(items: Iterable[Any], limit: int = LISTED) -> str:
    """The first of several things, and how many more there are."""
    every = [str(each) for each in items]
    more = f", and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(every[:limit]) + more


def values(array: Any) -> str:
    """The first numbers of an array, and how many more there are."""
    flat = np.ravel(array)
    if not len(flat):
        return "nothing"
    told = [shown(float(value)) for value in flat[:LISTED]] if flat.dtype.kind in "biuf" else [str(array)]
    more = f", and {len(flat) - LISTED} more" if len(flat) > LISTED else ""
    return ", ".join(told) + more
