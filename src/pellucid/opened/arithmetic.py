"""The arithmetic of a step's numbers: cost, losses, gradients, the way back, and the update."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
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
    shown,
    stated_by,
    times,
    total,
)
from pellucid.layers.layer import Layer
from pellucid.opened import programs
from pellucid.opened.seen import LayerPass, require_index, roundoff_of

NumPy = np.ndarray[Any, Any]


def loss_formula(step: Any, name: str, index: tuple[int, ...] | None, reference: str) -> Formula:
    """How the loss of an example comes about."""
    if not step.compared:
        raise ArgumentError(message("this model was compiled without a loss.", came=reference))
    one = next((each for each in step.compared if each.title == name), None)
    if one is None:
        known = ", ".join(each.title for each in step.compared)
        raise ArgumentError(message("the loss of which output?", came=reference, expected=known))
    index = require_index(reference, index, one.losses.shape)
    expression = loss_expression(one, index)
    if expression is None:
        raise ArgumentError(
            message(
                f"the loss {one.target.loss.name} states no arithmetic.",
                mend=f"the number itself is step.losses[{index[0]}].",
            )
        )
    return Formula(indexed(name, index), expression, float(one.losses[index]), roundoff_of(one.losses))


def loss_expression(one: Any, index: tuple[int, ...]) -> Expression | None:
    """The loss of an example in its targets and outputs; None if the loss states none."""
    loss = one.target.loss
    y, p = np.asarray(one.y)[index], np.asarray(one.output)[index]
    if p.ndim > 1 or getattr(loss, "axis", -1) not in (-1, np.ndim(one.output) - 1):
        return None
    output, inner = one.source or "output", index[1:]
    targets = "y" if one.name is None else f"y_{one.name}"
    ys = [
        Number(value, indexed(targets, (*inner, j) if np.ndim(y) else inner), 0.0)
        for j, value in enumerate(np.ravel(y))
    ]
    ps = [
        Number(value, indexed(output, (*inner, j) if p.ndim else inner), 0.0)
        for j, value in enumerate(np.ravel(p))
    ]
    stated = stated_by(loss, "formula", "call")
    return None if stated is None else stated(ys, ps, batch=np.asarray(one.y))


def cost_formula(step: Any) -> Formula:
    """How the cost comes from the losses, and from penalties."""
    parts = [_cost_of(one) for one in step.compared]
    if step.losses is None and step.opening.losses is not None:
        parts.append(Number(sum(jax.tree.leaves(step.opening.losses)), "loss of the batch"))
    parts += penalties(step)
    return Formula("cost", total(parts), step.cost, roundoff_of(step.cost_array))


def _cost_of(one: Any) -> Expression:
    """What one output adds to the cost."""
    places = list(np.ndindex(one.losses.shape))
    losses = [Number(one.losses[index], indexed(one.title, index)) for index in places]
    if one.masked:
        shares = [Number(one.shares[index], indexed("share", index)) for index in places]
        return total(loss * share for loss, share in zip(losses, shares, strict=True))
    weights = None
    if one.weight is not None:
        shape = (*one.weight.shape, *(1,) * (one.losses.ndim - one.weight.ndim))
        wide = np.broadcast_to(one.weight.reshape(shape[: one.losses.ndim]), one.losses.shape)
        weights = [Number(wide[index], indexed("weight", index)) for index in places]
    mean_loss = one.target.loss.cost_formula(losses, weights)
    if one.name is not None:
        mean_loss = Let(one.title, mean_loss)
    return mean_loss if one.target.weight is None else mean_loss * one.target.weight


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
    made: Expression | None = None
    if not kind.startswith("output"):
        made = _backward(layer.layer, step.unit(layer, kind, place, example))
    else:
        made = _output_slope(step, layer, kind, place, example)
    name = indexed(f"{layer.name}.d_{kind}", place)
    # It was computed in the type of what it is the gradient by.
    roundoff = roundoff_of(layer.arrays[kind])
    found = None if made is None else Formula(name, made, recorded, roundoff)
    if found is None or not found.holds:
        raise ArgumentError(
            message(
                f"no arithmetic is stated for {reference}.",
                came="a layer or loss that states none, or a gradient that comes on several ways",
                mend=f"the number itself is {recorded:.6g}.",
            )
        )
    return found


def _output_slope(
    step: Any, layer: LayerPass, kind: str, place: tuple[int, ...], example: int
) -> Expression | None:
    """The sum over all ways that an output goes: into layers, and into the losses."""
    traced = step.traced
    name = traced.same.get(f"{layer.name}.{kind}", f"{layer.name}.{kind}")
    users = [
        (each, what)
        for each in step.layers
        for what in each.arrays
        if traced.origins.get(f"{each.name}.{what}") == name
    ]
    terms: list[Expression | None] = []
    for each, what in users:
        if any(each.name.startswith(f"{outer.name}/") for outer, _ in users):
            continue
        made = _backward(each.layer, step.unit(each, what, place, example))
        inner = [pair for pair in users if pair[0].name.startswith(f"{each.name}/")]
        if made is None and inner:
            # A layer that only hands on what it is given: those in it say how.
            terms += [_backward(one.layer, step.unit(one, key, place, example)) for one, key in inner]
        else:
            terms.append(made)
    if name in traced.outputs:
        terms.append(loss_slope(step, name, example, place))
    known = [term for term in terms if term is not None]
    return total(known) if known and len(known) == len(terms) else None


def loss_slope(step: Any, name: str, example: int, place: tuple[int, ...]) -> Expression | None:
    """share * dloss/dp, for one of the numbers that this output of a layer gives to a loss."""
    one = next((each for each in step.compared if each.source == name), None)
    if one is None:
        return None
    index = (example, *place[: one.losses.ndim - 1])
    loss = loss_expression(one, index)
    if loss is None:
        return None
    share = Number(one.shares[index], indexed("share", index))
    return times(share, derivative(loss, indexed(name, place)))


def _backward(layer: Layer, unit: Unit) -> Expression | None:
    """What a layer states of its backward pass, if its statements are about the code that ran."""
    return None if stated_by(layer, "formula", "call") is None else layer.backward(unit)


def gradient_formula(step: Any, path: str, index: tuple[int, ...]) -> Formula:
    """How the gradient by a weight comes from the examples: as a mean of products, where layers say so."""
    recorded = float(step.gradients[path][index])
    roundoff = max(roundoff_of(step.gradients[path]), step.coarsest)
    variable = step.parts.weights[step.weight_place(path, path)]
    name = f"{indexed(path, index)}.gradient"
    if step.optimizer.skipped and not np.isfinite(recorded):
        remark = f"too large for float16 when the cost is scaled by {shown(step.optimizer.loss_scale)}"
        return Formula(name, Number(recorded), recorded, roundoff, remark)
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
        if layer.shared & set(layer.slopes):
            return None  # what it gives is for all rows together
        stated = stated_by(layer.layer, "gradient_terms", "call")
        scale = np.float64(count if plain else 1)
        for example, *moment in np.ndindex(count, *layer.times):
            slopes = {kind: array[(example, *moment)] * scale for kind, array in layer.slopes.items()}
            unit = replace(step.unit(layer, "z", tuple(moment), example), among_others=True, of_loss=plain)
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
    optimizer = step.optimizer.mover
    moved, change, after = change_of(step, path, index)
    before = float(step.weights[path][index])
    own, remark = _after_opened(step, path, index)
    if moved is not None and optimizer is not None:
        weight = Number(before, indexed(path, index))
        averaged = optimizer.use_ema and optimizer.ema_overwrite_frequency
        if variable.constraint is not None or averaged or not np.isfinite(before):
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
    optimizer = step.optimizer.mover
    before, after = step.weights[path][index], _after_opened(step, path, index)[0]
    if step.optimizer.skipped:
        return None, Number(0.0), Number(before, indexed(path, index))
    rule = None if optimizer is None else stated_by(optimizer, "rule", "update_step", "apply")
    overwrites = optimizer is not None and optimizer.use_ema and optimizer.ema_overwrite_frequency
    if optimizer is not None and optimizer.gradient_accumulation_steps:
        if overwrites:
            rule = None  # the means may become the weights between updates, too
        elif optimizer.keeps_still(step.optimizer.before["iteration"]):
            return None, Number(0.0), Number(before, indexed(path, index))
    moved = moved_by(step, path, index) if rule is not None else None
    change = rule(moved) if rule is not None and moved is not None else None
    if moved is None or change is None:
        # A transformation of optax, or a rule of one's own, says by how much, and not why.
        name = indexed(path, index)
        change = Number(np.float64(after) - np.float64(before), f"update by {optimizer and optimizer.name}")
        return None, change, Number(before, name) + change
    assert optimizer is not None
    result: Expression = moved.weight + change
    if overwrites:
        result = optimizer.average_formula(result, moved)
    if variable.constraint is not None:
        stated = stated_by(variable.constraint, "formula", "__call__")
        array = step.update_values[f"{path}.moved"]
        made = stated(array, index, Let("moved", result)) if stated is not None else None
        result = made if made is not None else Number(after, "constrained")
    return moved, change, result


def moved_by(step: Any, path: str, index: tuple[int, ...]) -> Moved:
    """What the rule is given: the clipped gradient, the decayed weight, and what it remembers."""
    variable = step.parts.weights[step.weight_place(path, path)]
    optimizer = step.optimizer.mover
    assert optimizer is not None
    gradient: Expression = Number(step.gradients[path][index], f"{indexed(path, index)}.gradient")
    named = {f"{name}.gradient": array for name, array in step.gradients.items()}
    if steps := optimizer.gradient_accumulation_steps:
        slot = "gradient_accumulator"
        kept = {name: step.optimizer.before[f"{name}/{slot}"] for name in step.gradients}
        own = Number(kept[path][index], indexed(slot, index))
        gradient = Let("mean_gradient", (gradient + own) / steps)
        named = {f"{name}.mean": (array + kept[name]) / steps for name, array in step.gradients.items()}
    own_name = f"{path}.mean" if steps else f"{path}.gradient"
    clipped = optimizer.clip_formula(gradient, index, (own_name, named[own_name]), named)
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
    done = step.optimizer.before.get("iteration", np.asarray(0)) // (steps or 1)
    t = Number(done + 1, "t", 0.0)
    return Moved(path, index, weight, clipped, rate, t, slots)
