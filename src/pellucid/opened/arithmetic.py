"""The arithmetic of a step's numbers: cost, losses, gradients, the way back, and the update."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from pellucid.errors import ArgumentError, message
from pellucid.formula import (
    Expression,
    Formula,
    Let,
    Moved,
    Number,
    Rounded,
    Unit,
    derivative,
    indexed,
    mean,
    stated_by,
    times,
    total,
)
from pellucid.layers.layer import Layer
from pellucid.opened import programs
from pellucid.opened.seen import LayerPass, require_index, roundoff_of

NumPy = np.ndarray[Any, Any]


def loss_formula(step: Any, index: tuple[int, ...] | None, reference: str) -> Formula:
    """How the loss of an example comes about."""
    if step.losses is None:
        raise ArgumentError(message("this model was compiled without a loss.", came=reference))
    index = require_index(reference, index, step.losses.shape)
    expression = loss_expression(step, index)
    if expression is None:
        raise ArgumentError(
            message(
                f"the loss {step.parts.objective.loss.name} states no arithmetic.",
                mend=f"the number itself is step.losses[{index[0]}].",
            )
        )
    return Formula(indexed("loss", index), expression, float(step.losses[index]), roundoff_of(step.losses))


def loss_expression(step: Any, index: tuple[int, ...]) -> Expression | None:
    """The loss of an example in its targets and outputs; None if the loss states none."""
    loss = step.parts.objective.loss
    assert loss is not None
    y, p = np.asarray(step.y)[index], np.asarray(step.outputs)[index]
    if p.ndim > 1 or getattr(loss, "axis", -1) not in (-1, np.ndim(step.outputs) - 1):
        return None
    output = f"{step.layers[-1].name}.output" if step.layers else "output"
    inner = index[1:]
    ys = [
        Number(value, indexed("y", (*inner, j) if np.ndim(y) else inner), 0.0)
        for j, value in enumerate(np.ravel(y))
    ]
    ps = [
        Number(value, indexed(output, (*inner, j) if p.ndim else inner), 0.0)
        for j, value in enumerate(np.ravel(p))
    ]
    stated = stated_by(loss, "formula", "call")
    return None if stated is None else stated(ys, ps, batch=np.asarray(step.y))


def cost_formula(step: Any) -> Formula:
    """How the cost comes from the losses, and from penalties."""
    objective = step.parts.objective
    parts: list[Expression] = []
    if step.losses is not None and objective.loss is not None:
        losses = [
            Number(step.losses[index], indexed("loss", index)) for index in np.ndindex(step.losses.shape)
        ]
        weights = None
        if step.sample_weight is not None:
            shape = (*step.sample_weight.shape, *(1,) * (step.losses.ndim - step.sample_weight.ndim))
            wide = np.broadcast_to(step.sample_weight.reshape(shape[: step.losses.ndim]), step.losses.shape)
            weights = [Number(wide[index], indexed("weight", index)) for index in np.ndindex(wide.shape)]
        mean_loss = objective.loss.cost_formula(losses, weights)
        if objective.loss_weight is not None:
            mean_loss = mean_loss * objective.loss_weight
        parts.append(mean_loss)
    if step.losses is None and step.opening.losses is not None:
        parts.append(Number(step.opening.losses, "loss of the batch"))
    parts += penalties(step)
    return Formula("cost", total(parts), step.cost, roundoff_of(step.cost_array))


def penalties(step: Any) -> list[Expression]:
    """What penalties add to the cost."""
    known: list[Expression] = []
    for variable in step.parts.regularized:
        regularizer: Any = variable.regularizer
        stated = stated_by(regularizer, "formula", "__call__")
        made = stated(step.weights[variable.path], variable.path) if stated is not None else None
        if made is None:
            made = Number(np.asarray(regularizer(step.weights[variable.path])))
        known.append(Let(f"penalty of {variable.path}", made))
    # What layers added, by penalties on outputs and add_loss, is one number, handed out for itself.
    added = step.opening.handed.get("added_losses")
    if added is not None:
        known.append(Number(added, "added by layers"))
    return known


def slope_formula(
    step: Any, layer: LayerPass, kind: str, index: tuple[int, ...] | None, reference: str, example: int
) -> Formula:
    """How the gradient by z or by an output comes from those behind it."""
    array = layer.slopes[kind]
    place = require_index(reference, index, array.shape[1:])
    recorded = float(array[(example, *place)])
    behind = step.layers[step.layers.index(layer) + 1 :]
    made: Expression | None = None
    if kind in layer.layer.stated:
        made = _backward(layer.layer, step.unit(layer, kind, place, example))
    elif behind and _same(behind[0].input, layer.output):
        made = _backward(behind[0].layer, step.unit(behind[0], "input", place, example))
    elif not behind and step.losses is not None:
        made = loss_slope(step, (example, *place[: step.losses.ndim - 1]), place)
    name = indexed(f"{layer.name}.d_{kind}", place)
    found = None if made is None else Formula(name, made, recorded, roundoff_of(array))
    if found is None or not found.holds:
        raise ArgumentError(
            message(
                f"no arithmetic is stated for {reference}.",
                came="a layer or loss that states none, or a gradient that comes on several ways",
                mend=f"the number itself is {recorded:.6g}.",
            )
        )
    return found


def loss_slope(step: Any, index: tuple[int, ...], place: tuple[int, ...]) -> Expression | None:
    """share * dloss/dp, for one of the outputs."""
    loss = loss_expression(step, index)
    if loss is None:
        return None
    share = Number(step.shares[index], indexed("share", index))
    return times(share, derivative(loss, indexed(f"{step.layers[-1].name}.output", place)))


def _backward(layer: Layer, unit: Unit) -> Expression | None:
    """What a layer states of its backward pass, if its statements are about the code that ran."""
    return None if stated_by(layer, "formula", "call") is None else layer.backward(unit)


def _same(one: Any, other: Any) -> bool:
    """Whether two arrays hold the same numbers."""
    known = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    return known and np.array_equal(cast(NumPy, one), cast(NumPy, other), equal_nan=True)


def gradient_formula(step: Any, path: str, index: tuple[int, ...]) -> Formula:
    """How the gradient by a weight comes from the examples: as a mean of products, where layers say so."""
    recorded, roundoff = float(step.gradients[path][index]), roundoff_of(step.gradients[path])
    variable = step.parts.weights[step.weight_place(path, path)]
    name = f"{indexed(path, index)}.gradient"
    stated = _stated_gradient(step, variable, index)
    if stated is not None and (found := Formula(name, stated, recorded, roundoff)).holds:
        return found
    # No layer states it, or the weight is used outside of the layer that does.
    return Formula(name, _gradient_by_example(step, path, index), recorded, roundoff)


def _stated_gradient(step: Any, variable: Any, index: tuple[int, ...]) -> Expression | None:
    """The mean over the examples of what layers state that each adds, and what a penalty adds."""
    count, path = step.rows_count, variable.path
    users = [each for each in step.layers if any(variable is held for held in each.variables)]
    terms: list[Expression] = []
    plain = plain_mean(step)
    for layer in users:
        stated = stated_by(layer.layer, "gradient_terms", "call")
        for example in range(count):
            scale = np.float64(count if plain else 1)
            slopes = {kind: array[example] * scale for kind, array in layer.slopes.items()}
            unit = replace(step.unit(layer, "z", (), example), among_others=True, of_loss=plain)
            made = None if stated is None else stated(variable, index, unit, slopes)
            if made is None:
                return None
            terms += made
    if not terms:
        return None
    whole = total(terms) / count if plain else total(terms)
    if variable.regularizer is None:
        return whole
    slope = stated_by(variable.regularizer, "slope", "__call__")
    penalty = slope(step.weights[path], index, path) if slope is not None else None
    if penalty is None:
        slopes = programs.slopes_of_penalty(variable.regularizer, step.weights[path])
        penalty = Number(slopes[index], "by its penalty")
    return total([whole, penalty])


def plain_mean(step: Any) -> bool:
    """Whether the cost is the mean over the examples, each with the same weight."""
    if step.shares is None:
        return False
    shares = step.shares_by_example()
    return bool(np.allclose(shares, 1.0 / max(len(shares), 1), rtol=1e-6))


def _gradient_by_example(step: Any, path: str, index: tuple[int, ...]) -> Expression:
    """The mean (or weighted sum) of the examples' own gradients, as numbers, and what penalties add."""
    penalty = float(step.penalty_gradient(path)[index])
    penalties = [Number(penalty, "by penalties")] if penalty else []
    if step.losses is None:
        return total(penalties)
    by_example, shares = step.gradients_by_example(indexed(path, index)), step.shares_by_example()
    plain = plain_mean(step)
    terms: list[Expression] = []
    for example, (gradient, share) in enumerate(zip(by_example, shares, strict=True)):
        own = Number(gradient, f"gradient[{example}]", 4 * abs(float(gradient)))
        terms.append(own if plain else own * Number(share, f"share[{example}]"))
    # Where terms cancel, what is left is rounding of the size of the largest gradients.
    largest = max(float(np.abs(each).max(initial=0.0)) for each in step.gradients.values())
    return Rounded(total([mean(terms) if plain else total(terms), *penalties]), 32 * largest)


def after_formula(step: Any, path: str, index: tuple[int, ...]) -> Formula:
    """How the weight after the step comes about."""
    _, _, after = change_of(step, path, index)
    own, remark = _after_opened(step, path, index)
    return Formula(f"{indexed(path, index)} after", after, own, roundoff_of(step.weights[path]), remark)


def update_formula(step: Any, path: str, index: tuple[int, ...]) -> Formula:
    """How far the optimizer moves a weight."""
    variable = step.parts.weights[step.weight_place(path, path)]
    optimizer = step.parts.optimizer
    moved, change, after = change_of(step, path, index)
    before = float(step.weights[path][index])
    own, remark = _after_opened(step, path, index)
    if moved is not None and optimizer is not None:
        weight = Number(before, indexed(path, index))
        if variable.constraint is not None or not np.isfinite(before):
            change = after - weight
        elif optimizer.decays(variable):
            change = change - weight * optimizer.weight_decay * moved.learning_rate
    # The weight after is rounded as a weight is, however small the change.
    error = 2.0 * abs(before) + 2.0 * abs(own)
    name = f"{indexed(path, index)}.update"
    return Formula(name, Rounded(change, error), own - before, roundoff_of(step.weights[path]), remark)


def _after_opened(step: Any, path: str, index: tuple[int, ...]) -> tuple[float, str]:
    """The weight after the opened step, and what to say if that of the training is another.

    The arithmetic is that of the opened step, with its gradients. Where a gradient is mere rounding,
    the program that trained has rounded it otherwise.
    """
    place = step.weight_place(path, path)
    own, trained = (
        float(np.asarray(step.opening.weights[place])[index]),
        float(step.weights_after[path][index]),
    )
    same = own == trained or (np.isnan(own) and np.isnan(trained))
    return own, "" if same else f"in the training, by rounding: {trained:.9g}"


def change_of(step: Any, path: str, index: tuple[int, ...]) -> tuple[Moved | None, Expression, Expression]:
    """What the optimizer was given, what it adds to the weight, and the weight after the step."""
    variable = step.parts.weights[step.weight_place(path, path)]
    optimizer = step.parts.optimizer
    before, after = step.weights[path][index], _after_opened(step, path, index)[0]
    rule = None if optimizer is None else stated_by(optimizer, "rule", "update_step", "apply")
    moved = moved_by(step, path, index) if rule is not None else None
    change = rule(moved) if rule is not None and moved is not None else None
    if moved is None or change is None:
        # A transformation of optax, or a rule of one's own, says by how much, and not why.
        name = indexed(path, index)
        change = Number(np.float64(after) - np.float64(before), f"update by {optimizer and optimizer.name}")
        return None, change, Number(before, name) + change
    result: Expression = moved.weight + change
    if variable.constraint is not None:
        stated = stated_by(variable.constraint, "formula", "__call__")
        array = step.update_values[f"{path}.moved"]
        made = stated(array, index, Let("moved", result)) if stated is not None else None
        result = made if made is not None else Number(after, "constrained")
    return moved, change, result


def moved_by(step: Any, path: str, index: tuple[int, ...]) -> Moved:
    """What the rule is given: the clipped gradient, the decayed weight, and what it remembers."""
    variable = step.parts.weights[step.weight_place(path, path)]
    optimizer = step.parts.optimizer
    assert optimizer is not None
    gradient = Number(step.gradients[path][index], f"{indexed(path, index)}.gradient")
    own = (f"{path}.gradient", step.gradients[path])
    named = {f"{name}.gradient": array for name, array in step.gradients.items()}
    clipped = optimizer.clip_formula(gradient, index, own, named)
    if clipped is not gradient:
        clipped = Let("g", clipped)
    rate = Number(step.optimizer.learning_rate, "learning_rate")
    weight: Expression = Number(step.weights[path][index], indexed(path, index))
    if optimizer.decays(variable):
        weight = Let("decayed", weight - weight * optimizer.weight_decay * rate)
    slots = {
        slot: Number(array[index] if array.shape else array, indexed(slot, index if array.shape else ()))
        for slot, array in step.optimizer.slots(variable).items()
    }
    t = Number(step.optimizer.before.get("iteration", np.asarray(0)) + 1, "t", 0.0)
    return Moved(path, index, weight, clipped, rate, t, slots)
