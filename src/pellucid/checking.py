"""The gradients of an opened step, checked against central differences in float64.

A derivative is what (cost(w + h) - cost(w - h)) / 2h comes to for a small h. That needs no
backward pass, and in float64 its own error is tiny: an outside judge for every gradient there is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pellucid.errors import ArgumentError, message
from pellucid.formula import indexed
from pellucid.variables import Handed
from pellucid.views import html

#: How far a weight is moved: little, as a network with many units has a kink nearby.
H = 1e-6
#: How many changed copies of the weights, and of what is computed with them, are held at once, in numbers.
AT_ONCE = 2**22
#: The product of weights compared and weights moved, at most, if nothing else was said.
WORK = 5 * 10**8
#: A gradient agrees if it is off by no more than this part of the largest one of its array,
TOLERANCE = 1e-3
#: and by so many roundings more where layers compute in 16 bits.
ROUNDINGS = 16
#: An array whose gradients are smaller than this part of the largest of all is measured as if they were that
#: large: where they cancel out, as before a normalization, what is left of them is rounding.
SMALL = 1e-3

NumPy = np.ndarray[Any, Any]


class Checked(NamedTuple):
    """One array of weights: how many were compared, the largest difference, and where."""

    path: str
    weights: int
    compared: int
    difference: float
    where: str
    gradient: float
    by_differences: float
    scale: float
    kinks: int
    along: float | None  # the difference along a random direction through all weights of the array
    tolerance: float = TOLERANCE

    @property
    def agrees(self) -> bool:
        """Whether all that was compared agrees; not if nothing could be compared."""
        if self.compared == 0 and self.along is None:
            return False
        allowed = self.tolerance * self.scale + 1e-7
        return self.difference <= allowed and (self.along is None or self.along <= self.tolerance)


class Check:
    """What `step.check()` found.

    Attributes:
        arrays: for each array of weights what was compared, and the largest difference.
        largest: the one with the largest difference.
        ok: whether all gradients agree with the differences.
    """

    def __init__(self, arrays: Sequence[Checked]) -> None:
        self.arrays = list(arrays)

    @property
    def ok(self) -> bool:
        """Whether all gradients agree with the differences."""
        return all(each.agrees for each in self.arrays)

    @property
    def largest(self) -> Checked | None:
        """The array with the largest difference."""
        return max(self.arrays, key=lambda each: each.difference, default=None)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = ["Gradients, and central differences of the cost in float64"]
        lines.append(f"{'':30}{'compared':>16}{'largest difference':>20}  at")
        for each in self.arrays:
            compared = f"{each.compared:,} of {each.weights:,}"
            lines.append(f"{each.path:30}{compared:>16}{each.difference:>20.2e}  {each.where}")
            if each.along is not None:
                lines.append(f"{'':30}{'all, along one direction':>24}{each.along:>12.1e} of it")
            if each.kinks:
                lines.append(
                    f"{'':30}{each.kinks:>16} more lie at a kink, where there is no derivative: left out"
                )
        largest = self.largest
        if largest is not None:
            nothing = [each.path for each in self.arrays if not each.compared]
            verdict = "All agree." if self.ok else "NOT all agree."
            if nothing and all(each.agrees for each in self.arrays if each.compared):
                verdict = f"All that could be compared agree; of {', '.join(nothing)} nothing could."
            lines.append(
                f"The largest: {largest.where}, gradient {largest.gradient:.6g}, "
                f"by differences {largest.by_differences:.6g}. {verdict}"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html.plain(str(self))

    def __repr__(self) -> str:
        return f"<Check: {'all agree' if self.ok else 'differences'}, {len(self.arrays)} arrays>"


def check(step: Any, entries: int | None = None, seed: int = 0) -> Check:
    """Check the gradients of an opened step; arguments as for `Step.check`."""
    parts = step.parts
    state, batch, drawn = step.state, step.place.batch, step.traced.drawn
    given = {name: np.asarray(step.opening.handed[name]) for name in drawn}
    random = np.random.default_rng(seed)
    sizes = [math.prod(variable.shape) for variable in parts.weights]
    if entries is not None and (not isinstance(entries, int) or isinstance(entries, bool) or entries < 1):
        raise ArgumentError(
            message("entries is a number of weights.", came=repr(entries), expected="1 or more, or None")
        )
    # Where weights are used at many places, as in convolutions, what is computed is more than the weights.
    numbers = sum(np.size(each) for each in step.opening.handed.values())
    if entries is None:
        entries = max(WORK // max(sum(sizes), numbers, 1), 100)
    all_of_them = sum(sizes) <= entries
    each_array = max(entries // max(len(sizes), 1), 1)
    arrays: list[Checked] = []
    largest = max((_largest(gradient) for gradient in step.gradients.values()), default=0.0)
    with jax.enable_x64(True):
        weights = tuple(jnp.asarray(np.asarray(value, np.float64)) for value in state.weights)

        # Given to the programs, and not written into them: XLA would compute with what is written there.
        known = (weights, state.others, batch)

        def cost(place: int, value: Any, known: Any) -> Any:
            weights, others, batch = known
            changed = (*weights[:place], value, *weights[place + 1 :])
            handed = Handed(given=given)
            forward = parts.forward(changed, others, batch.x, training=True, handed=handed, dtype="float64")
            return parts.cost(forward, batch)

        for place, variable in enumerate(parts.weights):
            size = sizes[place]
            chosen = np.arange(size)
            if not all_of_them and size > each_array:
                chosen = np.sort(random.choice(size, each_array, replace=False))
            found, kinks = _differences(cost, place, known, chosen, max(size, numbers))
            gradient = np.ravel(np.asarray(step.gradients[variable.path], np.float64))
            gap = np.abs(found - gradient[chosen])
            gap[kinks] = 0.0
            gap = np.nan_to_num(gap, nan=np.inf)
            worst = int(np.argmax(gap))
            along = None
            if len(chosen) < size:
                along = _along(cost, place, known, gradient, random, SMALL * largest)
            index = np.unravel_index(int(chosen[worst]), variable.shape)
            arrays.append(
                Checked(
                    variable.path,
                    size,
                    len(chosen) - int(kinks.sum()),
                    float(gap[worst]),
                    indexed(variable.path, index),
                    float(gradient[chosen[worst]]),
                    float(found[worst]),
                    max(_largest(gradient), SMALL * largest),
                    int(kinks.sum()),
                    along,
                    TOLERANCE + ROUNDINGS * step.coarsest,
                )
            )
    return Check(arrays)


def _differences(cost: Any, place: int, known: Any, chosen: NumPy, numbers: int) -> tuple[NumPy, NumPy]:
    """Central differences at the chosen entries, and which of them lie at a kink.

    Each copy of the weights needs memory for so many numbers.
    """

    def moved(entry: Any, by: Any, known: Any) -> Any:
        value = known[0][place]
        return cost(place, value.ravel().at[entry].add(by).reshape(value.shape), known)

    def central(entry: Any, known: Any) -> Any:
        here = moved(entry, 0.0, known)

        def both(h: float) -> tuple[Any, Any]:
            up, down = moved(entry, h, known), moved(entry, -h, known)
            return (up - down) / (2 * h), jnp.abs(up - 2 * here + down) / h

        near, jump = both(H / 2)
        return near, jump, both(H)[1]

    once = max(1, min(len(chosen), AT_ONCE // max(numbers, 1)))
    mapped = jax.jit(jax.vmap(central, in_axes=(0, None)))
    parts: list[Any] = []
    for start in range(0, len(chosen), once):
        some = chosen[start : start + once]
        full = np.concatenate([some, np.repeat(some[:1], once - len(some))])
        parts.append([np.asarray(each)[: len(some)] for each in mapped(full, known)])
    near, jump, jump_further = (np.concatenate([part[each] for part in parts]) for each in range(3))
    # Where it is smooth, the slopes to both sides differ by curvature times h, which halves with h; at a
    # kink they differ by a jump, which stays.
    kinks = (jump > 0.7 * jump_further) & (jump > 1e-6)
    return near, kinks


def _largest(array: NumPy) -> float:
    return float(np.abs(np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)).max(initial=0.0))


def _along(cost: Any, place: int, known: Any, gradient: NumPy, random: Any, least: float) -> float:
    """How far the derivative along a random direction through all weights of an array is off."""
    value = known[0][place]
    direction = random.choice([-1.0, 1.0], value.shape) / math.sqrt(value.size)
    both = jax.jit(lambda by, known: cost(place, known[0][place] + by * direction, known))
    found = float((both(H, known) - both(-H, known)) / (2 * H))
    expected = float(np.ravel(direction) @ gradient)
    scale = max(abs(expected), float(np.linalg.norm(gradient)) / math.sqrt(value.size), least, 1e-12)
    return abs(found - expected) / scale
