"""Layers that are random while training, and do nothing afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.errors import ArgumentError, message
from pellucid.formula import Expression, Number, Unit, indexed
from pellucid.layers.layer import CATALOGUE, Layer
from pellucid.variables import SeedGenerator


@CATALOGUE.entry()
class Dropout(Layer):
    """While training, each number is dropped with probability `rate`, the others divided by 1 - rate.

    Srivastava et al., 2014. What is dropped in training step t depends on the layer's seed and t.

    Args:
        rate: the part that is dropped, from 0 to 1.
        noise_shape: the shape of the mask, where parts of a row are dropped together; None: each alone.
        seed: a whole number; drawn when None.
    """

    rows_independent = elementwise = supports_masking = True

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ArgumentError(
                message("Invalid value received for `rate` of Dropout.", came=rate, expected="0 to 1")
            )
        self.rate, self.noise_shape, self.seed = rate, noise_shape, seed
        self.seed_generator: SeedGenerator | None = None
        if rate > 0:
            self.seed_generator = SeedGenerator(seed, path=f"{self.name}/seed")
        self.built = True

    def call(self, inputs: Array, training: bool = False) -> Array:
        """The inputs, thinned out while training."""
        if not training or self.seed_generator is None:
            return inputs
        key = self.seed_generator.next()
        if self.rate >= 1:
            return jnp.zeros_like(inputs)
        shape = inputs.shape
        if self.noise_shape is not None:
            shape = tuple(
                size if given is None else given for size, given in zip(shape, self.noise_shape, strict=True)
            )
        kept = self.hand_out("kept", jax.random.bernoulli(key, 1.0 - self.rate, shape), drawn=True)
        return jnp.where(jnp.broadcast_to(kept, inputs.shape), inputs / (1.0 - self.rate), 0.0)

    def formula(self, unit: Unit) -> Expression | None:
        """x / (1 - rate) where it was kept, 0 where it was dropped; x itself when not training."""
        x = unit.number("input", *unit.index)
        if not unit.training or self.rate <= 0:
            return x
        if self.rate >= 1:
            return Number(0.0)
        kept = np.broadcast_to(unit.arrays["kept"], unit.arrays["input"].shape)
        mask = Number(kept[(unit.example, *unit.index)], indexed(f"{unit.layer}.kept", unit.index), 0.0)
        return x * mask / (1.0 - Number(self.rate))

    def mixes_rows(self, training: bool) -> bool:
        """A mask shared by rows is the same for any number of rows."""
        return False

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape


@CATALOGUE.entry()
class GaussianNoise(Layer):
    """While training, normal noise of standard deviation `stddev` is added."""

    rows_independent = elementwise = supports_masking = True

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= stddev <= 1:
            raise ArgumentError(
                message(
                    "Invalid value received for `stddev` of GaussianNoise.", came=stddev, expected="0 to 1"
                )
            )
        self.stddev, self.seed = stddev, seed
        self.seed_generator: SeedGenerator | None = None
        if stddev > 0:
            self.seed_generator = SeedGenerator(seed, path=f"{self.name}/seed")
        self.built = True

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

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape
