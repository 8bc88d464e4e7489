"""Whose gradient it is: gradients by example, and which rows pushed a weight."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from pellucid.errors import ArgumentError, message
from pellucid.formula import indexed
from pellucid.opened import programs
from pellucid.opened.seen import parsed, require_index
from pellucid.views import html, story, told

NumPy = np.ndarray[Any, Any]


class Push(NamedTuple):
    """What one row of the batch says about a weight.

    Attributes:
        row: the number of the row in the rows that were trained on; None if they have no numbers.
        example: its place in the batch.
        gradient: the gradient of its own loss.
        share: how much of its loss is in the cost (1/32 in a batch of 32).
        push: share * gradient: its part of the gradient. The weight is moved the other way.
    """

    row: int | None
    example: int
    gradient: float
    share: float
    push: float


class Pushes(list[Push]):
    """Which rows pushed a weight, the strongest first; `penalty` is the part of regularizers.

    For `one` weight pushes have signs, and their sum with the penalty is the gradient; for an array of
    weights they are lengths.
    """

    def __init__(
        self, pushes: Sequence[Push], name: str, gradient: float, penalty: float, one: bool = True
    ) -> None:
        super().__init__(pushes)
        self.name, self.gradient, self.penalty, self.one = name, gradient, penalty, one

    def __str__(self) -> str:
        return story.pushes(self)

    def _repr_html_(self) -> str:
        return html.plain(str(self))


def _without_examples(step: Any) -> ArgumentError:
    """Why there is no gradient of a single example."""
    if step.opening.losses is None:
        return ArgumentError(
            message("without a loss there are no examples.", came="a model compiled without a loss")
        )
    return ArgumentError(
        message(
            "the loss gives one number for the whole batch, and none for each example.",
            came=f"the loss {', '.join(t.loss.name for t in step.parts.objective.targets if t.loss)}",
            expected="a loss for each row, as keras.ops.mean(..., axis=-1) gives",
        )
    )


def gradients_by_example(step: Any, path: str) -> NumPy:
    """The gradient of each example's own loss by a weight, shape (rows, *shape of the weight).

    Their weighted mean, each times its share (`step.shares`), and the gradient of the penalties
    together are `step.gradients[path]`.

    Args:
        path: "dense/kernel", or one weight of it: "dense/kernel[2,3]" gives shape (rows,).
    """
    name, index, _ = parsed(path)
    place = step.weight_place(name, path)
    if step.losses is None:
        raise _without_examples(step)
    if index is not None:
        return _of_entry(step, place, require_index(path, index, step.weights[name].shape))
    variable_size = int(np.prod(step.weights[name].shape))
    function = functools.partial(programs.gradients_by_example, step.parts, place)
    args = (*step.pass_state(), step.place.batch, factors(step))
    rows = len(jax.tree.leaves(args[-1])[0])
    if rows * variable_size > 2**28:
        raise ArgumentError(
            message(
                "the gradients of all examples do not fit into memory together.",
                came=f"{rows} examples of {variable_size:,} weights",
                mend=f'ask for one weight: step.gradients_by_example("{name}[0,0]").',
            )
        )
    found = step.engine.program("by example", function, place, *args)(*args)
    return np.asarray(found)[: step.rows_count]


def _of_entry(step: Any, place: int, index: tuple[int, ...]) -> NumPy:
    function = functools.partial(programs.gradient_of_entry, step.parts, place)
    direction = np.zeros(step.parts.weights[place].shape, step.parts.weights[place].dtype)
    direction[index] = 1
    args = (*step.pass_state(), step.place.batch, factors(step), direction)
    found = step.engine.program("entry by example", function, place, *args)(*args)
    return np.asarray(found)[: step.rows_count]


def factors(step: Any) -> Any:
    """How the losses of one example make its own: each by its part of the example's share of the cost."""
    shares = jax.tree.map(np.asarray, step.opening.shares)
    flat = [each.reshape(len(each), -1) for each in jax.tree.leaves(shares)]
    sums = np.sum([each.sum(axis=1) for each in flat], axis=0)
    several = sum(each.shape[1] for each in flat)

    def parts(own: NumPy) -> NumPy:
        whole = sums.reshape(-1, *(1,) * (own.ndim - 1))
        plain = np.full_like(own, 1.0 / max(several, 1))
        return np.where(whole != 0, own / np.where(whole == 0, 1, whole), plain)

    return jax.tree.map(parts, shares)


def pushes_of(step: Any, path: str) -> Pushes:
    """Which rows pushed a weight, the strongest first.

    Args:
        path: one weight, "dense/kernel[2,3]"; for "dense/kernel" the pushes are lengths of gradients.
    """
    name, index, _ = parsed(path)
    step.weight_place(name, path)
    if step.losses is None:
        raise _without_examples(step)
    if index is None and step.weights[name].size == 1:
        index = (0,) * step.weights[name].ndim
        path = indexed(name, index)
    by_example = gradients_by_example(step, path)
    if by_example.ndim > 1:
        by_example = np.sqrt(
            np.square(by_example, dtype=np.float64).sum(axis=tuple(range(1, by_example.ndim)))
        )
    shares = step.shares_by_example()
    rows = [None] * len(by_example) if step.rows is None else step.rows.tolist()
    pushes = [
        Push(row, place, float(gradient), float(share), float(gradient * share))
        for place, (row, gradient, share) in enumerate(zip(rows, by_example, shares, strict=True))
    ]
    pushes.sort(key=lambda each: -abs(each.push))
    whole, penalty = step.gradients[name], step.penalty_gradient(name)
    if index is not None:
        return Pushes(pushes, path, float(whole[index]), float(penalty[index]))
    return Pushes(pushes, path, told.length(whole), told.length(penalty), one=False)
