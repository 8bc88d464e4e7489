"""Answers as bytes: JSON in which arrays stand, and then the arrays as they lie in memory.

    8 bytes           the length of the head, little-endian
    head              JSON, filled up with spaces to a multiple of 8 bytes
    arrays            each at a multiple of 8 bytes, little-endian

In the JSON an array is {"$array": [type, shape, where it begins, from the end of the head]}, and a number
that is not finite is {"$number": "nan"}. Keys of dicts that begin with "$" have it doubled. What is the same
array twice is written once.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from pellucid.errors import ArgumentError, FileError, message

NumPy = np.ndarray[Any, Any]
#: The types of arrays, as their bytes are written.
TYPES = {"f4": "<f4", "f8": "<f8", "i4": "<i4", "u1": "|u1"}
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode(answer: Any) -> bytes:
    """Plain data, in which arrays may stand, as bytes.

    Args:
        answer: dicts with names, lists, texts, numbers, None, and arrays of numbers.

    Raises:
        ArgumentError: if it holds anything else.

    Example:
        >>> decode(encode({"cost": float("nan"), "gradients": np.arange(3.0)}))
        {'cost': nan, 'gradients': array([0., 1., 2.])}
    """
    arrays: list[bytes] = []
    places: dict[bytes, int] = {}
    at = 0

    def of_array(array: NumPy) -> dict[str, Any]:
        nonlocal at
        kind, written = _written(array)
        content = written.tobytes()
        if content not in places:
            places[content] = at
            fill = -len(content) % 8
            arrays.extend([content, b"\0" * fill])
            at += len(content) + fill
        return {"$array": [kind, list(written.shape), places[content]]}

    def of(value: Any) -> Any:
        if value is None or isinstance(value, str | bool):
            return value
        if isinstance(value, np.ndarray):
            return of_array(value)
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"$number": str(value)}
        if isinstance(value, Mapping):
            return {_key(key): of(each) for key, each in cast(Mapping[Any, Any], value).items()}
        if isinstance(value, list | tuple):
            return [of(each) for each in cast(Sequence[Any], value)]
        raise ArgumentError(
            message(
                "an answer holds plain data and arrays of numbers.",
                came=type(value).__name__,
                expected="dict, list, str, int, float, bool, None or an array",
            )
        )

    head = json.dumps(of(answer), allow_nan=False, separators=(",", ":")).encode("ascii")
    head += b" " * (-len(head) % 8)
    return b"".join([struct.pack("<Q", len(head)), head, *arrays])


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise ArgumentError(message("the keys of an answer are texts.", came=repr(key)))
    return f"${key}" if key.startswith("$") else key


def _written(array: NumPy) -> tuple[str, NumPy]:
    """An array in one of the types that are written, and which one."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if array.dtype.name.startswith(("bfloat", "float8")):
        kind, size = "f", 2
    if kind == "b" or (kind, size) == ("u", 1):
        name = "u1"
    elif kind in "iu":
        fits = size < 4 or not array.size or (int(array.min()) >= -(2**31) and int(array.max()) < 2**31)
        name = "i4" if fits else "f8"
    elif kind == "f":
        name = "f4" if size <= 4 else "f8"
    else:
        raise ArgumentError(
            message("an answer holds arrays of numbers.", came=f"an array of type {array.dtype}")
        )
    with np.errstate(over="ignore"):
        written = np.asarray(array, TYPES[name])
    return name, written


def decode(data: bytes) -> Any:
    """The plain data that `encode` was given; arrays are read-only views of the bytes.

    Raises:
        FileError: if these are no such bytes.
    """
    try:
        (length,) = struct.unpack_from("<Q", data)
        if length % 8 or 8 + length > len(data):
            raise ValueError(f"a head of {length} bytes")
        return _decoded(json.loads(data[8 : 8 + length].decode("utf-8")), memoryview(data)[8 + length :])
    except (ValueError, KeyError, TypeError, struct.error, RecursionError, OverflowError) as problem:
        raise FileError(message("these bytes are no answer.", came=str(problem)[:200])) from None


def _decoded(value: Any, arrays: memoryview) -> Any:
    if isinstance(value, list):
        return [_decoded(each, arrays) for each in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    known = cast(dict[str, Any], value)
    if "$number" in known:
        return _NOT_FINITE[known["$number"]]
    if "$array" in known:
        kind, shape, at = known["$array"]
        if min([0, at, *shape]) < 0 or at % 8:
            raise ValueError(f"an array of shape {shape} at {at}")
        count = math.prod(shape)
        return np.frombuffer(arrays if count else b"", TYPES[kind], count, at if count else 0).reshape(shape)
    return {key[1:] if key.startswith("$") else key: _decoded(each, arrays) for key, each in known.items()}
