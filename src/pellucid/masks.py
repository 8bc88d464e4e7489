"""Masks: which entries of a batch count, such as the words of a padded sentence.

A mask travels with its array, from the layer that makes it (Masking, Embedding) through those that
pass it on to those that use it, as in Keras. Arrays of JAX carry no attributes, so the pairs are kept
here, for as long as the array lives.
"""

from __future__ import annotations

import weakref
from typing import Any

_kept: dict[int, tuple[weakref.ref[Any], Any]] = {}


def with_mask(array: Any, mask: Any) -> Any:
    """Let a mask travel with an array from here on; None takes it off. Gives the array.

    >>> import jax.numpy as jnp
    >>> words = with_mask(jnp.array([[3, 7, 0]]), jnp.array([[True, True, False]]))
    >>> mask_of(words).tolist()
    [[True, True, False]]
    """
    place = id(array)
    if mask is None:
        _kept.pop(place, None)
    else:
        _kept[place] = (weakref.ref(array, lambda _: _kept.pop(place, None)), mask)
    return array


def mask_of(array: Any) -> Any:
    """The mask that travels with an array, or None."""
    found = _kept.get(id(array))
    return found[1] if found is not None and found[0]() is array else None
