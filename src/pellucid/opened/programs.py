"""The programs of opened steps: the step once more, returning everything, and what is asked of it beside.

The step differentiates the cost. Here alone it is done otherwise: example by example, and penalty by penalty.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pellucid.arrays import Arrays
from pellucid.errors import StateError, message
from pellucid.layers.layer import Layer
from pellucid.opened.seen import LayerPass, Layers
from pellucid.step import Batch, Forward, Parts, State, Values, step
from pellucid.variables import Handed

NumPy = np.ndarray[Any, Any]


class Opening(NamedTuple):
    """All that a step returns when it is opened."""

    weights: Values
    others: Values
    optimizer: Values
    cost: Any
    losses: Any
    shares: Any
    outputs: Any
    penalty: Any
    gradients: Values
    handed: dict[str, Any]
    slopes: dict[str, Any]
    update: dict[str, Any]
    scale: Any


@dataclass
class Traced:
    """What is known of an opened step before it runs: the layers' calls, and what they hand out."""

    calls: list[tuple[str, Layer, int]]
    shapes: dict[str, Any]
    drawn: set[str]
    shared: set[str]
    looped: dict[str, int]
    #: Where the inputs of calls came from, which outputs are those of a call within, and where the
    #: model's outputs came from: by and as names such as "dense.output" (see `Handed`).
    origins: dict[str, str]
    same: dict[str, str]
    outputs: list[str | None]
    #: The numbers of the outputs that carry a mask.
    masked: set[int]

    @classmethod
    def of(cls, parts: Parts, state: tuple[Values, Values], x: Arrays, training: bool) -> Traced:
        """Trace the forward pass."""
        handed = Handed()
        outputs: list[str | None] = []
        masked: set[int] = set()

        def forward(weights: Values, others: Values, x: Arrays) -> Any:
            found = parts.forward(weights, others, x, training=training, handed=handed)
            outputs.extend(handed.origin_of(each) for each in jax.tree.leaves(found.outputs))
            masked.update(n for n, mask in enumerate(found.masks or ()) if mask is not None)
            return found.handed

        shapes = jax.eval_shape(forward, *state, x)
        calls = [each for each in handed.calls if each[1].shown_when_opened]
        known = (handed.drawn, handed.shared, handed.looped, handed.origins, handed.same)
        return cls(calls, shapes, *known, outputs, masked)

    @functools.cached_property
    def nudges(self) -> dict[str, Any]:
        """Zeros for all values whose gradients are wanted: z, what else layers state, and outputs."""
        stated = {f"{name}.{what}" for name, layer, _ in self.calls for what in layer.stated}
        return {
            name: jnp.zeros(spec.shape, spec.dtype)
            for name, spec in self.shapes.items()
            if (name in stated or re.search(r"\.output(_\d+)?$", name))
            and jnp.issubdtype(spec.dtype, jnp.floating)
        }

    def layers(self, handed: Mapping[str, Any], slopes: Mapping[str, Any], rows: int, count: int) -> Layers:
        """What each layer did with the rows; of those that fill up the batch, nothing."""
        shared: dict[str, set[str]] = {}

        def by_layer(values: Mapping[str, Any]) -> dict[str, dict[str, NumPy]]:
            told: dict[str, dict[str, NumPy]] = {}
            for key, value in values.items():
                name, _, what = key.rpartition(".")
                array = np.asarray(value)
                by_row = key not in self.shared and array.ndim > 0 and len(array) == rows
                told.setdefault(name, {})[what] = array[:count] if by_row else array
                if not by_row:
                    shared.setdefault(name, set()).add(what)
            return told

        arrays, by_value = by_layer(handed), by_layer(slopes)
        return Layers(
            LayerPass(
                name,
                layer,
                arrays.get(name, {}),
                by_value.get(name, {}),
                shared.get(name, set()),
                self.looped.get(name, 0),
            )
            for name, layer, _ in self.calls
        )


@contextlib.contextmanager
def in_sight() -> Generator[None]:
    """Say what it means when JAX complains of values that left the loop they were made in."""
    try:
        yield
    except (jax.errors.UnexpectedTracerError, TypeError) as error:
        if isinstance(error, TypeError) and "compiled for" not in str(error):
            raise
        raise StateError(
            message(
                "a layer calls other layers inside of jax.lax.scan, jax.vmap or the like, and what they "
                "compute there is out of sight.",
                expected="layers that are called in the layer's call itself",
                mend="write the loop with pellucid.loops.scan, which takes the place of jax.lax.scan, or "
                "in Python.",
            )
        ) from error


def opening(parts: Parts, nudges: Any, state: State, batch: Batch) -> Opening:
    """THE step once more, with everything it computes returned."""
    after, seen = step(parts, state, batch, nudges)
    losses, shares = losses_and_shares(parts, seen.forward, batch)
    return Opening(
        after.weights,
        after.others,
        after.optimizer,
        seen.cost,
        losses,
        shares,
        seen.forward.outputs,
        jnp.asarray(seen.forward.penalty, jnp.float32),
        seen.gradients,
        seen.forward.handed,
        seen.slopes,
        seen.update,
        seen.scale,
    )


def losses_and_shares(parts: Parts, forward: Forward, batch: Batch) -> tuple[Any, Any]:
    """The loss of each example, and how much of it is in the cost; by output where there are several."""
    objective = parts.objective
    losses = objective.losses(batch.y, forward.outputs)
    if losses is None:
        return None, None

    def cost(values: Any) -> Any:
        return objective.reduced(values, batch.weight, batch.valid, batch.rows, forward.masks)

    return losses, jax.grad(cost)(losses)


def _example_losses(
    parts: Parts, weights: Values, others: Values, batch: Batch, factors: Any, handed: Handed | None = None
) -> Any:
    forward = parts.forward(weights, others, batch.x, training=True, handed=handed)
    losses = parts.objective.losses(batch.y, forward.outputs)
    assert losses is not None
    each = jax.tree.map(lambda own, by: (own * by).reshape(own.shape[0], -1).sum(axis=1), losses, factors)
    return sum(jax.tree.leaves(each))


def _with(weights: Values, place: int, value: Any) -> Values:
    return (*weights[:place], value, *weights[place + 1 :])


def gradients_by_example(
    parts: Parts, place: int, weights: Values, others: Values, batch: Batch, factors: Any
) -> Any:
    """The gradient of each example's own loss by a whole array of weights."""

    def losses(value: Any) -> Any:
        return _example_losses(parts, _with(weights, place, value), others, batch, factors)

    found, back = jax.vjp(losses, weights[place])
    return jax.lax.map(lambda direction: back(direction)[0], jnp.eye(found.size, dtype=found.dtype))


def gradient_of_entry(
    parts: Parts, place: int, weights: Values, others: Values, batch: Batch, factors: Any, direction: Any
) -> Any:
    """The same along one direction in it: by one weight.

    It goes forward through the layers. All of them let it where they are asked to hand out what they
    compute; otherwise some loops only have a backward pass of their own.
    """

    def losses(value: Any) -> Any:
        return _example_losses(parts, _with(weights, place, value), others, batch, factors, Handed())

    return jax.jvp(losses, (jnp.asarray(weights[place]),), (direction,))[1]


def penalty_gradients(parts: Parts, weights: Values, others: Values, x: Arrays) -> Any:
    """The gradients of the penalties alone."""

    def penalty(weights: Values) -> Any:
        return jnp.asarray(parts.forward(weights, others, x, training=True).penalty, jnp.float32)

    return jax.grad(penalty)(weights)


def outputs_of(parts: Parts, weights: Values, others: Values, x: Arrays) -> Any:
    """What the model answers for rows."""
    return parts.forward(weights, others, x, training=False).outputs


def cost_of(parts: Parts, weights: Values, others: Values, batch: Batch) -> Any:
    """The cost of a batch."""
    return parts.cost(parts.forward(weights, others, batch.x, training=True), batch)


def slopes_of_penalty(penalty: Any, weights: NumPy) -> NumPy:
    """The gradient of a regularizer's penalty by the weights that it is on."""
    return np.asarray(jax.grad(penalty)(jnp.asarray(weights)))
