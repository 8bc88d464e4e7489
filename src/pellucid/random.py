"""keras.random: random numbers for layers and data of one's own; same seed, same numbers as Keras.

A seed is a whole number (the same numbers again at each call), a `SeedGenerator` (the next ones at
each call), or None: then the numbers are those of one generator for the whole process, which
`keras.utils.set_random_seed` starts anew. A layer keeps a `SeedGenerator` as an attribute, so that
what it draws is a function of the seed and the number of the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from pellucid import seeds
from pellucid.arrays import Array, ArrayLike, as_array, held_dtype, is_float
from pellucid.errors import ArgumentError, StateError, message
from pellucid.graph import operation
from pellucid.variables import SeedGenerator as SeedGenerator

Shape = Sequence[int]


def _key(seed: Any) -> Any:
    """The JAX key that a seed gives now."""
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if isinstance(seed, jax.Array):
        return seed
    if isinstance(seed, int):
        return seeds.key(seed)
    if seed is not None:
        raise ArgumentError(
            message(
                "a seed is a whole number or a SeedGenerator.",
                came=repr(seed),
                mend="keep keras.random.SeedGenerator(1) as an attribute of the layer, and pass that.",
            )
        )
    if isinstance(jnp.zeros(()), Tracer):
        raise StateError(
            message(
                "without a seed, a draw in what is compiled would stay the same at every step.",
                mend="keep keras.random.SeedGenerator(1) as an attribute of the layer; pass it as seed.",
            )
        )
    return seeds.next_global_key()


def normal(
    shape: Shape, mean: ArrayLike = 0.0, stddev: ArrayLike = 1.0, dtype: Any = None, seed: Any = None
) -> Array:
    """Normally distributed numbers.

    >>> normal((2,), seed=1).tolist() == normal((2,), seed=1).tolist()
    True
    """
    drawn = jax.random.normal(_key(seed), tuple(shape), held_dtype(dtype))
    return drawn * as_array(stddev) + as_array(mean)


def truncated_normal(
    shape: Shape, mean: ArrayLike = 0.0, stddev: ArrayLike = 1.0, dtype: Any = None, seed: Any = None
) -> Array:
    """Normally distributed numbers, those up to two standard deviations from the mean."""
    drawn = jax.random.truncated_normal(_key(seed), -2.0, 2.0, tuple(shape), held_dtype(dtype))
    return drawn * as_array(stddev) + as_array(mean)


def uniform(
    shape: Shape, minval: ArrayLike = 0.0, maxval: ArrayLike = 1.0, dtype: Any = None, seed: Any = None
) -> Array:
    """Numbers from minval to before maxval, each as likely as any other."""
    kind = held_dtype(dtype)
    if not is_float(kind):
        raise ArgumentError(
            message(
                "keras.random.uniform gives floats.", came=f"dtype={kind}", mend="use keras.random.randint."
            )
        )
    return jax.random.uniform(_key(seed), tuple(shape), kind, as_array(minval), as_array(maxval))


def randint(
    shape: Shape, minval: ArrayLike, maxval: ArrayLike, dtype: Any = "int32", seed: Any = None
) -> Array:
    """Whole numbers from minval to before maxval."""
    kind = held_dtype(dtype)
    if is_float(kind):
        raise ArgumentError(
            message(
                "keras.random.randint gives whole numbers.",
                came=f"dtype={kind}",
                mend="use keras.random.uniform.",
            )
        )
    return jax.random.randint(_key(seed), tuple(shape), as_array(minval), as_array(maxval), kind)


@operation
def categorical(logits: ArrayLike, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Array:
    """Numbers of classes, drawn with probabilities softmax(logits); shape (rows, num_samples)."""
    scores = as_array(logits)
    if scores.ndim != 2:
        raise ArgumentError(
            message(
                "`logits` should be a 2-D tensor.", came=f"shape {scores.shape}", expected="(rows, classes)"
            )
        )
    shape = (scores.shape[0], num_samples)
    drawn = jax.random.categorical(_key(seed), scores[..., None], axis=1, shape=shape)
    return drawn.astype(held_dtype(dtype))


def gamma(shape: Shape, alpha: ArrayLike, dtype: Any = None, seed: Any = None) -> Array:
    """Numbers with a gamma distribution."""
    return jax.random.gamma(_key(seed), as_array(alpha), tuple(shape), held_dtype(dtype))


def beta(shape: Shape, alpha: ArrayLike, beta: ArrayLike, dtype: Any = None, seed: Any = None) -> Array:
    """Numbers with a beta distribution."""
    return jax.random.beta(_key(seed), as_array(alpha), as_array(beta), tuple(shape), held_dtype(dtype))


def binomial(
    shape: Shape, counts: ArrayLike, probabilities: ArrayLike, dtype: Any = None, seed: Any = None
) -> Array:
    """How often something happened in `counts` trials."""
    return jax.random.binomial(
        _key(seed), as_array(counts), as_array(probabilities), tuple(shape), held_dtype(dtype)
    )


@operation
def dropout(inputs: ArrayLike, rate: float, noise_shape: Any = None, seed: Any = None) -> Array:
    """Each number with probability `rate` 0, and else divided by 1 - rate.

    Args:
        inputs: an array.
        rate: the probability.
        noise_shape: the shape of what is drawn, where it is the same along some axes (there 1); None
            is the size of the input.
        seed: see the module.
    """
    array = as_array(inputs)
    if not 0 <= rate <= 1:
        raise ArgumentError(message("rate is a probability.", came=rate, expected="from 0 to 1"))
    if rate == 1:
        return jnp.zeros_like(array)
    if rate == 0:
        return array
    keep = 1.0 - rate
    sizes: Any = array.shape if noise_shape is None else noise_shape
    shape = [own if size is None else size for own, size in zip(array.shape, sizes, strict=True)]
    kept = jnp.broadcast_to(jax.random.bernoulli(_key(seed), keep, shape), array.shape)
    return jnp.where(kept, array / keep, jnp.zeros_like(array))


@operation
def shuffle(x: ArrayLike, axis: int = 0, seed: Any = None) -> Array:
    """The entries along an axis in another order, which differs from row to row of the other axes."""
    return jax.random.permutation(_key(seed), as_array(x), axis, independent=True)


__all__ = [
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "dropout",
    "gamma",
    "normal",
    "randint",
    "shuffle",
    "truncated_normal",
    "uniform",
]
