"""Layers that are random while training, and do nothing afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.errors import ArgumentError, ShapeError, message
from pellucid.formula import Expression, Number, Unit, indexed
from pellucid.layers.layer import CATALOGUE, Layer
from pellucid.variables import SeedGenerator


class _Random(Layer):
    """What random layers share: a seed, if there is anything to draw, and outputs shaped as the inputs."""

    rows_independent = elementwise = supports_masking = True

    def _draws(self, argument: str, part: float, seed: int | None, most: str = "0 to 1") -> None:
        """Check the part that is random, and draw the seed if there is any."""
        if not 0 <= part <= 1 or (part == 1 and most != "0 to 1"):
            raise ArgumentError(
                message(
                    f"Invalid value received for `{argument}` of {type(self).__name__}.",
                    came=part,
                    expected=most,
                )
            )
        self.seed = seed
        self.seed_generator: SeedGenerator | None = None
        if part > 0:
            self.seed_generator = SeedGenerator(seed, path=f"{self.name}/seed")
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape


def _shape_of_mask(shape: tuple[int, ...], noise_shape: Sequence[int | None] | None) -> tuple[int, ...]:
    if noise_shape is None:
        return shape
    return tuple(size if given is None else given for size, given in zip(shape, noise_shape, strict=True))


def _kept(unit: Unit) -> Number:
    """1 where a number was kept, 0 where it was dropped."""
    kept = np.broadcast_to(unit.arrays["kept"], unit.arrays["input"].shape)
    return Number(kept[(unit.example, *unit.index)], indexed(f"{unit.layer}.kept", unit.index), 0.0)


@CATALOGUE.entry()
class Dropout(_Random):
    """While training, each number is dropped with probability `rate`, the others divided by 1 - rate.

    Srivastava et al., 2014. What is dropped in training step t depends on the layer's seed and t.

    Args:
        rate: the part that is dropped, from 0 to 1.
        noise_shape: the shape of the mask, where parts of a row are dropped together; None: each alone.
        seed: a whole number; drawn when None.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rate, self.noise_shape = rate, _checked_shape(noise_shape)
        self._draws("rate", rate, seed)

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return _shape_of_mask(shape, self.noise_shape)

    def call(self, inputs: Array, training: bool = False) -> Array:
        """The inputs, thinned out while training."""
        if not training or self.seed_generator is None:
            return inputs
        key = self.seed_generator.next()
        if self.rate >= 1:
            return jnp.zeros_like(inputs)
        drawn = jax.random.bernoulli(key, 1.0 - self.rate, self._mask_shape(inputs.shape))
        kept = self.hand_out("kept", drawn, drawn=True)
        return jnp.where(jnp.broadcast_to(kept, inputs.shape), inputs / (1.0 - self.rate), 0.0)

    def formula(self, unit: Unit) -> Expression | None:
        """x / (1 - rate) where it was kept, 0 where it was dropped; x itself when not training."""
        x = unit.number("input", *unit.index)
        if not unit.training or self.rate <= 0:
            return x
        if self.rate >= 1:
            return Number(0.0)
        return x * _kept(unit) / (1.0 - Number(self.rate))


class _SpatialDropout(Dropout):
    """Drops whole channels: all places of a row have the same mask."""

    rank: int

    def check_input(self, inputs: Array) -> None:
        """There must be channels."""
        if inputs.ndim != self.rank:
            raise ShapeError(
                message(
                    f"{self.describe()} drops whole channels of arrays of {self.rank} axes.",
                    came=f"x of shape {tuple(inputs.shape)}",
                    expected=f"{self.rank} axes",
                )
            )


def _checked_shape(shape: Any) -> tuple[int | None, ...] | None:
    """The shape of a mask, or ArgumentError."""
    if shape is None:
        return None
    expected = "a tuple or list of integers" if not isinstance(shape, list | tuple) else None
    sizes: list[Any] = [] if expected else [each for each in shape if each is not None]
    if any(isinstance(each, bool) or not isinstance(each, int | np.integer) for each in sizes):
        expected = "all elements to be integers or None"
    elif any(each <= 0 for each in sizes):
        expected = "all dimensions to be positive integers or None"
    if expected is not None:
        what = "Invalid value received for argument `noise_shape`."
        raise ArgumentError(message(f"{what} Expected {expected}.", came=repr(shape)))
    return tuple(shape)


@CATALOGUE.entry()
class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole channels of sequences: (rows, places, channels). Tompson et al., 2014.

    Args:
        rate: the part that is dropped, from 0 to 1.
        seed: a whole number; drawn when None.
    """

    rank = 3

    def __init__(
        self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], 1, shape[2])


@CATALOGUE.entry()
class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of pictures: (rows, height, width, channels). Tompson et al., 2014.

    Args:
        rate: the part that is dropped, from 0 to 1.
        data_format: "channels_last", or "channels_first" where the channels lie behind the rows.
        seed: a whole number; drawn when None.
    """

    rank = 4

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.data_format = data_format or "channels_last"

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.data_format == "channels_first":
            return (*shape[:2], 1, 1)
        return (shape[0], 1, 1, shape[3])


@CATALOGUE.entry()
class GaussianNoise(_Random):
    """While training, normal noise of standard deviation `stddev` is added."""

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = stddev
        self._draws("stddev", stddev, seed)

    def call(self, inputs: Array, training: bool = False) -> Array:
        """The inputs, with noise while training."""
        if not training or self.seed_generator is None:
            return inputs
        noise = jax.random.normal(self.seed_generator.next(), inputs.shape, inputs.dtype)
        return inputs + self.hand_out("noise", noise, drawn=True) * self.stddev

    def formula(self, unit: Unit) -> Expression | None:
        """x + noise * stddev; x itself when not training."""
        x = unit.number("input", *unit.index)
        if not unit.training or self.stddev <= 0:
            return x
        return x + unit.number("noise", *unit.index) * self.stddev


@CATALOGUE.entry()
class GaussianDropout(_Random):
    """While training, each number is multiplied by a normal one of mean 1 and variance rate / (1 - rate).

    Srivastava et al., 2014.

    Args:
        rate: as of `Dropout`, whose noise has the same variance; below 1.
        seed: a whole number; drawn when None.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self._draws("rate", rate, seed, most="0 to 1, and not 1")

    def call(self, inputs: Array, training: bool = False) -> Array:
        """The inputs, shaken while training."""
        if not training or self.seed_generator is None:
            return inputs
        noise = jax.random.normal(self.seed_generator.next(), inputs.shape, inputs.dtype)
        stddev = math.sqrt(self.rate / (1.0 - self.rate))
        return inputs * self.hand_out("factor", noise * stddev + 1.0, drawn=True)

    def formula(self, unit: Unit) -> Expression | None:
        """x * factor; x itself when not training."""
        x = unit.number("input", *unit.index)
        if not unit.training or self.rate <= 0:
            return x
        return x * unit.number("factor", *unit.index)


@CATALOGUE.entry()
class AlphaDropout(_Random):
    """Dropout that keeps mean and variance of what `selu` gives. Klambauer et al., 2017.

        y = a * (x * kept + s * (1 - kept)) + b

    where s is the value that selu approaches far below 0, and a and b bring mean and variance back.

    Args:
        rate: the part that is dropped, from 0 to 1.
        noise_shape: the shape of the mask, where parts of a row are dropped together; None: each alone.
        seed: a whole number; drawn when None.
    """

    #: What selu approaches far below zero.
    lowest = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rate, self.noise_shape = rate, noise_shape
        self._draws("rate", rate, seed)

    def _factors(self) -> tuple[float, float]:
        a = ((1 - self.rate) * (1 + self.rate * self.lowest**2)) ** -0.5
        return a, -a * self.lowest * self.rate

    def call(self, inputs: Array, training: bool = False) -> Array:
        """The inputs, thinned out while training."""
        if not training or self.seed_generator is None:
            return inputs
        shape = _shape_of_mask(inputs.shape, self.noise_shape)
        drawn = jax.random.uniform(self.seed_generator.next(), shape) >= self.rate
        kept = self.hand_out("kept", drawn, drawn=True).astype(inputs.dtype)
        a, b = self._factors()
        return a * (inputs * kept + self.lowest * (1 - kept)) + b

    def formula(self, unit: Unit) -> Expression | None:
        """a * (x * kept + s * (1 - kept)) + b; x itself when not training."""
        x = unit.number("input", *unit.index)
        if not unit.training or self.rate <= 0:
            return x
        (a, b), kept = self._factors(), _kept(unit)
        return a * (x * kept + self.lowest * (1 - kept)) + b
