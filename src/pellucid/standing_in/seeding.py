"""tf.random.set_seed, and the random numbers that TensorFlow's functions draw.

Weights and dropout come from Python's stream of random numbers, the order of rows from NumPy's (see
`pellucid.seeds`). A script that calls only `tf.random.set_seed` wants both to be the same each time. So it
seeds Python's stream, and NumPy's too unless the script has seeded that one itself: its own numbers then
stay those that it would have anywhere. What TensorFlow's functions draw comes from a third stream.
"""

from __future__ import annotations

import random
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from pellucid import seeds
from pellucid.errors import StateError, message


class Streams:
    """The state of what is drawn.

    Attributes:
        seed: what `set_seed` was given, or None.
        drawn: how many keys or generators were made of it since.
        numpy_seeded: whether the script itself has seeded NumPy's stream.
    """

    def __init__(self) -> None:
        self.seed: int | None = None
        self.drawn = 0
        self.numpy_seeded = False
        self._seed_numpy: Any = np.random.seed

    def watch(self) -> None:
        """Begin anew, and notice from now on when the script seeds NumPy's stream."""
        self.seed, self.drawn, self.numpy_seeded = None, 0, False
        seed_numpy = self._seed_numpy = np.random.seed

        def seed(seed: Any = None) -> None:
            self.numpy_seeded = True
            seed_numpy(seed)

        np.random.seed = seed

    def unwatch(self) -> None:
        """Give NumPy its own function back."""
        np.random.seed = self._seed_numpy

    def set_seed(self, seed: int) -> None:
        """Make what follows repeatable."""
        self.seed, self.drawn = int(seed), 0
        random.seed(self.seed)
        if not self.numpy_seeded:
            self._seed_numpy(self.seed % 2**32)

    def generator(self, seed: int | None) -> np.random.Generator:
        """A generator for one operation: of the seed of all, the operation's own, and its number."""
        self.drawn += 1
        if self.seed is None and seed is None:
            return np.random.default_rng()
        known = (self.seed, seed, self.drawn)
        return np.random.default_rng([0 if each is None else abs(int(each)) + 1 for each in known])

    def key(self, seed: int | None) -> seeds.Words:
        """A key for one draw of JAX."""
        if isinstance(jnp.zeros(()), Tracer):
            raise StateError(
                message(
                    "tf.random inside a layer would draw the same numbers in each step: it is compiled once.",
                    expected="keras.random, with a seed that the layer keeps",
                    mend="self.seed = keras.random.SeedGenerator() in __init__, and "
                    "keras.random.normal(shape, seed=self.seed) in call.",
                )
            )
        return self.generator(seed).integers(0, 2**32, 2, dtype=np.uint32)


STREAMS = Streams()
