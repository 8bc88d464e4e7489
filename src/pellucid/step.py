"""THE training step.

    forward -> cost -> gradient -> update

Where the optimizer scales the cost, for float16, what is differentiated is the cost times its scale. The
optimizer is given these gradients, and divides by the scale; what is seen of a step is without it.

Everything that trains, replays or opens a step calls `step`. It is a pure function of plain
values; the `Parts` say whose values they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from pellucid.arrays import Array, Arrays, as_array
from pellucid.layers.layer import Layer
from pellucid.masks import mask_of
from pellucid.objective import Objective
from pellucid.optimizers import Optimizer
from pellucid.variables import Handed, Scope, Variable

Values = tuple[Any, ...]
Named = dict[str, Any]


class State(NamedTuple):
    """Everything that a step changes."""

    weights: Values  # what gradient descent moves
    others: Values  # what the forward pass itself moves: running means, positions of random seeds
    optimizer: Values  # what the optimizer remembers
    metrics: Values  # the sums of loss and metrics


class Batch(NamedTuple):
    """The rows of one step."""

    x: Arrays
    y: Arrays
    weight: Arrays = None
    valid: Array | None = None  # which rows count; None: all
    rows: Any = 0  # how many rows count


class Forward(NamedTuple):
    """What the forward pass gives."""

    outputs: Arrays
    penalty: Array | float  # regularizers and add_loss
    others: Values
    handed: Named  # what the layers handed out on the way, if they were asked
    masks: tuple[Any, ...] | None = None  # for each output, which entries of the rows count; None: all


class Seen(NamedTuple):
    """What a step can be asked for. What is not asked for is not computed."""

    forward: Forward
    cost: Array
    gradients: Values
    slopes: Any  # the gradients by what was nudged
    update: Named  # what the optimizer handed out: "learning_rate", ...
    scale: Array | None  # what the cost was multiplied by before it was differentiated; None: by nothing


def step(parts: Parts, state: State, batch: Batch, nudges: Named | None = None) -> tuple[State, Seen]:
    """One training step: forward, cost, gradient, update.

    With `nudges`, zeros that are added to what layers hand out by name, it is opened: the layers
    hand out their values, and the gradients by these values come back beside those by the weights.
    """
    scale = parts.scale(state.optimizer)

    def cost_of(weights: Values, nudges: Named | None) -> tuple[Array, tuple[Array, Forward]]:
        handed = None if nudges is None else Handed(nudges)
        forward = parts.forward(weights, state.others, batch.x, training=True, handed=handed)
        cost = parts.cost(forward, batch)
        return cost if scale is None else cost * scale, (cost, forward)

    both = jax.value_and_grad(cost_of, argnums=(0, 1), has_aux=True)
    (_, (cost, forward)), (gradients, slopes) = both(state.weights, nudges)
    weights, optimizer, update = parts.update(gradients, state.weights, state.optimizer)
    metrics = parts.measure(state.metrics, forward, batch, cost)
    gradients, slopes = unscaled(gradients, scale), unscaled(slopes, scale)
    seen = Seen(forward, cost, gradients, slopes, update, scale)
    return State(weights, forward.others, optimizer, metrics), seen


def unscaled(gradients: Any, scale: Array | None) -> Any:
    """Gradients of the cost, from those of the cost times a scale; in float32, if they were in float16."""
    if scale is None:
        return gradients

    def divided(each: Array) -> Array:
        return each.astype(jnp.promote_types(each.dtype, jnp.float32)) / scale

    return jax.tree.map(divided, gradients)


@dataclass
class Parts:
    """The model, the objective and the optimizer, each as pure functions of its values."""

    model: Layer
    objective: Objective
    optimizer: Optimizer | None

    def __post_init__(self) -> None:
        self.weights: list[Variable] = self.model.trainable_variables
        self.others: list[Variable] = self.model.non_trainable_variables
        self.remembered: list[Variable] = self.optimizer.variables if self.optimizer else []
        self.sums: list[Variable] = self.objective.variables
        #: The places of those others that `evaluate` and `predict` leave changed, too.
        self.moving = [place for place, each in enumerate(self.others) if each.moves_when_asked]
        self.regularized = [variable for variable in self.weights if variable.regularizer is not None]

    def forward(
        self,
        weights: Values,
        others: Values,
        x: Arrays,
        training: bool,
        handed: Handed | None = None,
        dtype: str | None = None,
    ) -> Forward:
        """The outputs for a batch, and what the pass leaves behind.

        With `handed` the layers hand out what they compute; with `dtype` they compute in another type
        than their own.
        """
        with Scope([*self.weights, *self.others], [*weights, *others])() as scope:
            scope.training, scope.handed, scope.dtype = training, handed, dtype
            outputs = jax.tree.map(as_array, self.model(x, training=training))
            penalty: Any = 0.0
            for variable in self.regularized:
                assert variable.regularizer is not None
                penalty = penalty + variable.regularizer(variable.value)
            if handed is not None and scope.losses:
                handed.values["added_losses"] = sum(scope.losses, as_array(0.0))
            penalty = sum(scope.losses, penalty)
            masks = tuple(mask_of(output) for output in jax.tree.leaves(outputs))
        known = masks if any(mask is not None for mask in masks) else None
        return Forward(outputs, penalty, scope.after(self.others), handed.values if handed else {}, known)

    def moved(self, others: Values) -> Values:
        """Those of the others that a forward pass without training leaves changed: mostly none."""
        return tuple(others[place] for place in self.moving)

    def with_moved(self, others: Values, moved: Values) -> Values:
        """The others, with these values for those that moved."""
        found = dict(zip(self.moving, moved, strict=True))
        return tuple(found.get(place, value) for place, value in enumerate(others))

    def cost(self, forward: Forward, batch: Batch) -> Array:
        """The mean loss of the batch, and the penalties."""
        loss = self.objective.cost(
            batch.y, forward.outputs, batch.weight, batch.valid, batch.rows, forward.masks
        )
        return loss + forward.penalty

    def scale(self, remembered: Values) -> Array | None:
        """What the optimizer multiplies the cost by before it is differentiated; None: by nothing."""
        if self.optimizer is None:
            return None
        one = jnp.float32(1.0)
        with Scope(self.remembered, remembered)():
            found = self.optimizer.scale_loss(one)
        return None if found is one else as_array(found)

    def update(
        self, gradients: Sequence[Any], weights: Values, remembered: Values
    ) -> tuple[Values, Values, Named]:
        """The weights after the optimizer's step, what it remembers, and what it handed out."""
        if self.optimizer is None or not self.weights:
            return weights, remembered, {}
        with Scope([*self.weights, *self.remembered], [*weights, *remembered])() as scope:
            scope.handed = Handed()
            self.optimizer.apply(gradients, self.weights)
        return scope.after(self.weights), scope.after(self.remembered), scope.handed.values

    def measure(self, sums: Values, forward: Forward, batch: Batch, cost: Array) -> Values:
        """The sums with this batch added."""
        with Scope(self.sums, sums)() as scope:
            self.objective.measure(
                batch.y, forward.outputs, batch.weight, batch.valid, cost, batch.rows, forward.masks
            )
        return scope.after(self.sums)

    def results(self, sums: Values) -> dict[str, Any]:
        """Loss and metrics from their sums."""
        with Scope(self.sums, sums)():
            return self.objective.results()

    def read(self) -> State:
        """The values that the variables have now."""
        groups = (self.weights, self.others, self.remembered, self.sums)
        return State(*(tuple(variable.value for variable in group) for group in groups))

    def write(self, state: State) -> None:
        """Give the variables these values."""
        groups = (self.weights, self.others, self.remembered, self.sums)
        for group, values in zip(groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.receive(value)
