"""Where random numbers come from, so that the same seed gives the numbers that Keras gives.

Three streams, as in Keras on its JAX backend:

- Python's `random` draws one integer for each random initializer, dropout or noise layer, at the
  moment that it is constructed;
- NumPy's global generator draws the order of the training rows, once per epoch;
- JAX keys `[integer, position]` draw values and masks. The key is the raw pair of words, not
  `jax.random.key(integer)`, which holds them the other way round.

Everything random is therefore a function of (seed, position).
"""

from __future__ import annotations

import contextlib
import random as python_random
from collections.abc import Generator
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, message

Words = np.ndarray[Any, np.dtype[np.uint32]]
_global: dict[str, Words] = {}


def set_random_seed(seed: int) -> None:
    """Seed every stream: initial weights, dropout and the order of rows can then be repeated.

    >>> set_random_seed(1); draw_seed()
    144272510
    """
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ArgumentError(
            message("the seed does not fit.", came=repr(seed), expected="a whole number from 0 to 4294967295")
        )
    python_random.seed(seed)
    np.random.seed(seed)
    forget_global_key()


def draw_seed() -> int:
    """One integer from Python's stream, as Keras draws it."""
    return python_random.randint(1, 10**9)


def key(seed: int, position: int = 0) -> Words:
    """The raw JAX key for a position of a seed's stream."""
    if not 0 <= seed < 2**32:
        raise ArgumentError(message("the seed does not fit.", came=seed, expected="0 to 4294967295"))
    return np.array([seed, position], dtype=np.uint32)


def jump(words: Any) -> Any:
    """Where a generator goes from a state when its draws need no order, as in Keras."""
    return (words + np.uint32(1)) * np.uint32(5387) % np.uint32(933199)


def next_global_key() -> Words:
    """The key for a draw without a seed, from one generator for the whole process.

    Its seed is drawn at the first use after `set_random_seed`.

    >>> set_random_seed(1); next_global_key().tolist(), next_global_key().tolist()
    ([144272510, 0], [493872, 5387])
    """
    words = _global.get("key")
    words = key(draw_seed()) if words is None else words
    _global["key"] = jump(words)
    return words


def forget_global_key() -> None:
    """Let the next draw without a seed begin a generator anew."""
    _global.clear()


@contextlib.contextmanager
def untouched() -> Generator[None]:
    """Leave all three streams as they are, whatever is drawn within a with block.

    >>> set_random_seed(1)
    >>> with untouched(): _ = draw_seed(), np.random.random(), next_global_key()
    >>> draw_seed()
    144272510
    """
    before = python_random.getstate(), np.random.get_state(legacy=False), dict(_global)
    try:
        yield
    finally:
        python_random.setstate(before[0])
        np.random.set_state(before[1])
        _global.clear()
        _global.update(before[2])


def row_order(rows: int, random: Any = np.random) -> np.ndarray[Any, Any]:
    """A fresh order of the training rows, from NumPy's stream, or from a generator of that kind."""
    return random.permutation(rows)


def batch_order(batches: int) -> list[int]:
    """A fresh order of batches that can be asked for by number, from Python's stream, as in Keras."""
    order = list(range(batches))
    python_random.shuffle(order)
    return order


def spend_row_order(rows: int) -> None:
    """Draw an order and drop it.

    The first `fit` after each `compile` in Keras fetches one batch to learn its shapes, and so
    spends one permutation before the first epoch. We know the shapes without it, and draw only
    to stay in step.
    """
    np.random.permutation(rows)


def random_words(seed_words: Words, count: int) -> Words:
    """The first `count` random 32-bit words of a key: Threefry-2x32 with 20 rounds, in counter mode.

    The same bits as `jax.random.bits(key)`, from NumPy alone, so that making a layer compiles
    nothing. (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.)
    """
    position = np.arange(count, dtype=np.uint64)
    first = (position >> np.uint64(32)).astype(np.uint32)
    second = position.astype(np.uint32)
    keys = (seed_words[0], seed_words[1], seed_words[0] ^ seed_words[1] ^ np.uint32(0x1BD11BDA))
    turns = ((13, 15, 26, 6), (17, 29, 16, 24))
    first += keys[0]
    second += keys[1]
    for block in range(5):
        for turn in turns[block % 2]:
            first += second
            second = (second << np.uint32(turn)) | (second >> np.uint32(32 - turn))
            second ^= first
        first += keys[(block + 1) % 3]
        second += keys[(block + 2) % 3]
        second += np.uint32(block + 1)
    return first ^ second


def uniform(seed_words: Words, shape: tuple[int, ...], low: float, high: float) -> np.ndarray[Any, Any]:
    """Uniform float32 numbers, bit for bit those of `jax.random.uniform(key, shape, minval, maxval)`."""
    count = int(np.prod(shape, dtype=np.int64))
    words = random_words(seed_words, count)
    unit = ((words >> np.uint32(9)) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)
    low32, high32 = np.float32(low), np.float32(high)
    # Rounded once, as a fused multiply-add does: the product is exact in float64.
    scaled = (unit.astype(np.float64) * np.float64(high32 - low32) + np.float64(low32)).astype(np.float32)
    return np.maximum(low32, scaled).reshape(shape)
