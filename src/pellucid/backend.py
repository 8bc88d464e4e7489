"""keras.backend: types and settings, by the names that older scripts use."""

from __future__ import annotations

from typing import Any

from pellucid.arrays import is_float, result_type, standardize_dtype
from pellucid.config import (
    backend,
    clear_session,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from pellucid.graph import KerasTensor
from pellucid.naming import count_name


def is_keras_tensor(x: Any) -> bool:
    """Whether this is a symbolic tensor: what `keras.Input` gives, and layers called on it."""
    return isinstance(x, KerasTensor)


def is_float_dtype(dtype: Any) -> bool:
    """Whether numbers of this type are floats.

    >>> is_float_dtype("bfloat16"), is_float_dtype("int8")
    (True, False)
    """
    name = standardize_dtype(dtype)
    return name != "string" and is_float(name)


def is_int_dtype(dtype: Any) -> bool:
    """Whether numbers of this type are whole.

    >>> is_int_dtype("uint8"), is_int_dtype("bool")
    (True, False)
    """
    return standardize_dtype(dtype).lstrip("u").startswith("int")


def get_uid(prefix: str = "") -> int:
    """The next number of a name, from 1.

    >>> get_uid("of a script"), get_uid("of a script")
    (1, 2)
    """
    return count_name(prefix)


__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "get_uid",
    "image_data_format",
    "is_float_dtype",
    "is_int_dtype",
    "is_keras_tensor",
    "result_type",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "standardize_dtype",
]
