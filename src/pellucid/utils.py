"""keras.utils: the few helpers that scripts use around a model.

The name is Keras's; nothing inside Pellucid imports it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid import seeds
from pellucid.errors import DataError, message
from pellucid.naming import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from pellucid.naming import deserialize as deserialize_keras_object
from pellucid.naming import serialize as serialize_keras_object

#: The name that Keras also has for it.
CustomObjectScope = custom_object_scope

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "normalize",
    "register_keras_serializable",
    "serialize_keras_object",
    "set_random_seed",
    "to_categorical",
]


def set_random_seed(seed: int) -> None:
    """Seed every stream: initial weights, dropout and the order of rows can then be repeated.

    What draws random numbers as it is imported (JAX does) is imported first, so that the first layer
    that is made after this draws the first number.

    >>> set_random_seed(1)
    """
    import pellucid.models  # noqa: F401  # pyright: ignore[reportUnusedImport]

    seeds.set_random_seed(seed)


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray[Any, Any]:
    """Class numbers as one-hot rows.

    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    labels = np.asarray(x).astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    classes = int(labels.max(initial=-1)) + 1 if num_classes is None else int(num_classes)
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise DataError(
            message(
                "class numbers outside the classes.",
                came=f"numbers from {labels.min()} to {labels.max()}",
                expected=f"0 to {classes - 1}",
            )
        )
    return np.eye(classes)[labels]


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray[Any, Any]:
    """Vectors along an axis, divided by their length."""
    array = np.asarray(x)
    length = np.atleast_1d(np.linalg.norm(array, order, axis))
    length = np.where(length == 0, 1, length)
    return array / np.expand_dims(length, axis)
