"""Learning rates that change with the number of the step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from pellucid import naming
from pellucid.arrays import Array, ArrayLike, as_array, floatx
from pellucid.errors import ArgumentError, message
from pellucid.naming import Catalogue, Configurable

CATALOGUE = Catalogue("learning rate schedule")


class LearningRateSchedule(Configurable):
    """A function of the step, counted from 0 before each update: called with it, gives the rate."""

    namespace = "keras.optimizers.schedules"
    name: str | None = None

    def __call__(self, step: ArrayLike) -> Array:
        """The learning rate at this step."""
        raise NotImplementedError


def _step(step: ArrayLike) -> Array:
    return as_array(step).astype(floatx())


class _Decay(LearningRateSchedule):
    """A rate that falls with step / decay_steps; in stairs if `staircase`."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = None,
    ) -> None:
        if decay_steps <= 0:
            raise ArgumentError(message("decay_steps must be positive.", came=decay_steps))
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase = decay_rate, staircase
        self.name = name or type(self).__name__

    def _done(self, step: ArrayLike) -> Array:
        done = _step(step) / self.decay_steps
        return jnp.floor(done) if self.staircase else done


@CATALOGUE.entry()
class ExponentialDecay(_Decay):
    """initial * decay_rate^(step / decay_steps); in stairs if `staircase`."""

    def __call__(self, step: ArrayLike) -> Array:
        """The learning rate at this step."""
        done = self._done(step)
        return self.initial_learning_rate * jnp.power(jnp.asarray(self.decay_rate, done.dtype), done)


@CATALOGUE.entry()
class InverseTimeDecay(_Decay):
    """initial / (1 + decay_rate * step / decay_steps); in stairs if `staircase`."""

    def __call__(self, step: ArrayLike) -> Array:
        """The learning rate at this step."""
        return self.initial_learning_rate / (1.0 + self.decay_rate * self._done(step))


@CATALOGUE.entry()
class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] while the step is at most boundaries[i], the last value after.

    >>> rate = PiecewiseConstantDecay([100], [0.1, 0.01])
    >>> [round(float(rate(step)), 4) for step in (0, 100, 101)]
    [0.1, 0.1, 0.01]
    """

    def __init__(
        self, boundaries: Sequence[int], values: Sequence[float], name: str | None = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) != len(values) - 1 or not boundaries:
            raise ArgumentError(
                message(
                    "there is one value more than boundaries.",
                    came=f"{len(boundaries)} boundaries and {len(values)} values",
                )
            )
        self.boundaries, self.values, self.name = list(boundaries), list(values), name

    def __call__(self, step: ArrayLike) -> Array:
        """The learning rate at this step."""
        passed = jnp.sum(_step(step) > jnp.array(self.boundaries, floatx()))
        return jnp.array(self.values, floatx())[passed]


@CATALOGUE.entry()
class PolynomialDecay(LearningRateSchedule):
    """end + (initial - end) * (1 - step / decay_steps)^power; starting anew if `cycle`."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str | None = "PolynomialDecay",
    ) -> None:
        if decay_steps <= 0:
            raise ArgumentError(message("decay_steps must be positive.", came=decay_steps))
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power = end_learning_rate, power
        self.cycle, self.name = cycle, name

    def __call__(self, step: ArrayLike) -> Array:
        """The learning rate at this step."""
        now, length = _step(step), jnp.asarray(self.decay_steps, floatx())
        if self.cycle:
            length = length * jnp.where(now == 0, 1.0, jnp.ceil(now / self.decay_steps))
        else:
            now = jnp.minimum(now, length)
        left = jnp.power(1.0 - now / length, self.power)
        return (self.initial_learning_rate - self.end_learning_rate) * left + self.end_learning_rate


@CATALOGUE.entry()
class CosineDecay(LearningRateSchedule):
    """Half a cosine from the first rate to `alpha` times it, after a linear warm-up if asked.

    Loshchilov & Hutter, 2017.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str | None = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        if decay_steps <= 0:
            raise ArgumentError(message("decay_steps must be positive.", came=decay_steps))
        self.initial_learning_rate, self.decay_steps, self.alpha = initial_learning_rate, decay_steps, alpha
        self.name, self.warmup_target, self.warmup_steps = name, warmup_target, warmup_steps

    def _decayed(self, step: Array, first: float) -> Array:
        done = jnp.minimum(step, float(self.decay_steps)) / self.decay_steps
        cosine = 0.5 * (1.0 + jnp.cos(math.pi * done))
        return ((1.0 - self.alpha) * cosine + self.alpha) * first

    def __call__(self, step: ArrayLike) -> Array:
        """The learning rate at this step."""
        now = _step(step)
        if self.warmup_target is None:
            return self._decayed(now, self.initial_learning_rate)
        rise = (self.warmup_target - self.initial_learning_rate) * now / max(self.warmup_steps, 1)
        warm = self.initial_learning_rate + rise
        return jnp.where(
            now < self.warmup_steps, warm, self._decayed(now - self.warmup_steps, self.warmup_target)
        )


@CATALOGUE.entry()
class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decay that starts again, each time `t_mul` longer and from `m_mul` times the rate.

    Loshchilov & Hutter, 2017.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str | None = "SGDRDecay",
    ) -> None:
        if first_decay_steps <= 0:
            raise ArgumentError(message("first_decay_steps must be positive.", came=first_decay_steps))
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step: ArrayLike) -> Array:
        """The learning rate at this step."""
        done = _step(step) / self.first_decay_steps
        if self.t_mul == 1.0:
            restart = jnp.floor(done)
            done = done - restart
        else:
            restart = jnp.floor(jnp.log(1.0 - done * (1.0 - self.t_mul)) / math.log(self.t_mul))
            began = (1.0 - self.t_mul**restart) / (1.0 - self.t_mul)
            done = (done - began) / self.t_mul**restart
        height = 0.5 * self.m_mul**restart * (1.0 + jnp.cos(math.pi * done))
        return self.initial_learning_rate * ((1.0 - self.alpha) * height + self.alpha)


def get(identifier: Any) -> Any:
    """The schedule that a name, configuration or object stands for."""
    return CATALOGUE.make(identifier)


def serialize(learning_rate_schedule: LearningRateSchedule) -> Any:
    """A schedule as plain data."""
    return naming.serialize(learning_rate_schedule)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The schedule that `serialize` wrote down."""
    return CATALOGUE.make(config, custom_objects)
