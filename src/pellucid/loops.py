"""Loops over time inside a layer's call, compiled once for any length, whose every round can be opened.

`scan` is `jax.lax.scan`, and `each` is `jax.vmap`, for code that does more than compute values: it assigns
variables, adds losses, calls layers, hands out numbers. Whatever a round hands out comes back as one array
(rows, time, ...) under its usual name, and a nudge of that shape reaches each round (see variables.py).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from pellucid.arrays import Array, Arrays, as_array
from pellucid.errors import StateError, message
from pellucid.variables import Handed, Scope, Variable, current_scope


def scan(
    body: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    xs: Arrays,
    variables: Sequence[Variable] = (),
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """Run `carry, y = body(carry, x)` for each x of a sequence.

    Args:
        body: one round. It may call layers.
        carry: what the first round is given; an array, or a list, tuple or dict of arrays.
        xs: the sequence, or several: (time, rows, ...).
        variables: those that the rounds assign, such as running means and positions of random seeds.
        reverse: whether the last x comes first. What comes back lies as xs does.
        unroll: how many rounds are written out one after the other in the program; True: all.

    Returns:
        What the last round gave on, and each round's y, stacked: (time, rows, ...).

    Raises:
        StateError: if a round assigns a variable that is not among `variables`.

    Example:
        >>> total, so_far = scan(lambda sum, x: (sum + x, sum + x), jnp.zeros(2), jnp.ones((3, 2)))
        >>> total.tolist(), so_far[:, 0].tolist()
        ([3.0, 3.0], [1.0, 2.0, 3.0])
    """
    rounds = _Rounds(xs, variables)

    def one(state: tuple[Any, Any], given: tuple[Any, Any]) -> tuple[Any, Any]:
        (carry, values), (x, parts) = state, given
        (carry, y), values, told = rounds.one(lambda: body(carry, x), x, values, parts)
        return (carry, values), (y, told)

    state = (carry, rounds.values())
    parts = rounds.parts(lambda x, parts: one(state, (x, parts)))
    (carry, values), (ys, told) = jax.lax.scan(one, state, (xs, parts), reverse=reverse, unroll=unroll)
    rounds.finish(values, told, ys)
    return carry, ys


def each(body: Callable[[Any], Any], xs: Arrays) -> Any:
    """Run `y = body(x)` for each x of a sequence, all at once: no round knows of another.

    Args:
        body: one round. It may call layers, and assigns no variable.
        xs: the sequence, or several: (time, rows, ...).

    Returns:
        Each round's y, stacked: (time, rows, ...).

    Example:
        >>> each(lambda x: 2 * x, jnp.ones((3, 2))).shape
        (3, 2)
    """
    rounds = _Rounds(xs)

    def one(x: Any, parts: Any) -> tuple[Any, Any]:
        y, _, told = rounds.one(lambda: body(x), x, (), parts)
        return y, told

    ys, told = jax.vmap(one)(xs, rounds.parts(one))
    rounds.finish((), told, ys)
    return ys


def turned(array: Array) -> Array:
    """An array with the first two axes, rows and times, in each other's place.

    An opened step knows what comes out, and each of its times in a loop, as what was turned.
    """
    made = jnp.swapaxes(array, 0, 1)
    scope = current_scope()
    if scope is not None and scope.handed is not None:
        scope.handed.seen_as(made, scope.handed.origin_of(array))
    return made


class _Rounds:
    """The rounds of a loop, and the call that the loop is in."""

    def __init__(self, xs: Arrays, variables: Sequence[Variable] = ()) -> None:
        self.xs, self.variables = xs, list(dict.fromkeys(variables))
        self.outer = current_scope()
        self.handed = None if self.outer is None else self.outer.handed
        #: What the round that was traced last has handed out, and which calls gave its results.
        self.seen = Handed()
        self.gave: list[str | None] = []

    def values(self) -> tuple[Array, ...]:
        """The values that the variables have before the first round."""
        return tuple(as_array(variable.value) for variable in self.variables)

    def one(self, body: Callable[[], Any], x: Any, values: Sequence[Any], parts: Any) -> tuple[Any, Any, Any]:
        """One round as a pure call: its result, the variables after it, and what it told on the way."""
        scope = Scope() if self.outer is None else copy.copy(self.outer)
        scope.values = {**scope.values, **dict(zip(self.variables, values, strict=True))}
        before = dict(scope.values)
        scope.losses = []
        if self.handed is not None:
            scope.handed = self.seen = self.handed.within(*parts)
            for whole, at_one_time in zip(*map(jax.tree.leaves, (self.xs, x)), strict=True):
                self.seen.seen_as(at_one_time, self.handed.origin_of(whole))
        with scope():
            result = body()
        self.gave = [self.seen.origin_of(each) for each in jax.tree.leaves(result)]
        for variable, value in scope.values.items():
            if value is not before[variable] and variable not in self.variables:
                raise StateError(
                    message(
                        f'variable "{variable.path}" was assigned in a loop that does not carry it.',
                        expected="a variable that the loop was given",
                        mend="scan(body, carry, xs, variables=[...]).",
                    )
                )
        return result, scope.after(self.variables), (scope.losses, self._new(self.seen.values))

    def _new(self, values: dict[str, Any]) -> dict[str, Any]:
        """What was handed out within the loop."""
        taken = {} if self.handed is None else self.handed.values
        return {name: value for name, value in values.items() if name not in taken}

    def _turned(self, name: str, value: Array) -> Array:
        """Rows and times in each other's place, where there are both."""
        alone = name in self.seen.shared or value.ndim < 2
        return value if alone else jnp.swapaxes(value, 0, 1)

    def parts(self, one: Callable[..., Any]) -> Any:
        """The nudges, and the values given, of what each round hands out; found by tracing a round."""
        if self.handed is None:
            return ({}, {})
        x = jax.tree.map(lambda each: jax.ShapeDtypeStruct(each.shape[1:], each.dtype), self.xs)
        jax.eval_shape(lambda x: one(x, ({}, {})), x)
        names = self._new(self.seen.values)
        return tuple(
            {name: self._turned(name, as_array(held[name])) for name in names if name in held}
            for held in (self.handed.nudges, self.handed.given)
        )

    def finish(self, values: Sequence[Any], told: Any, ys: Any) -> None:
        """Give the variables their last values, and tell the call around what the rounds told."""
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)
        losses, handed = told
        if self.outer is not None:
            self.outer.losses += [jnp.sum(each) for each in losses]
        if self.handed is not None:
            self.handed.values |= {name: self._turned(name, value) for name, value in handed.items()}
            self.handed.calls[:] = self.seen.calls
            self.handed.looped |= self.seen.looped
            self.handed.origins |= self.seen.origins
            self.handed.same |= self.seen.same
            self.handed.same |= self.seen.same
            self.handed.drawn |= self.seen.drawn
            self.handed.shared |= self.seen.shared
            stacked = jax.tree.leaves(ys)
            for each, name in zip(stacked, self.gave[len(self.gave) - len(stacked) :], strict=True):
                self.handed.seen_as(each, name)
