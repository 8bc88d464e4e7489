"""What an array is here: its types, its default width, and how Python values become one."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

type_of_floats = {"value": "float32"}
place_of_channels = {"value": "channels_last"}

#: The types that numbers can have.
TYPES = (
    *("float16", "float32", "float64", "bfloat16", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("string", "float8_e4m3fn", "float8_e5m2", "complex64", "complex128"),
)

Array = jax.Array
#: Anything that jax.numpy takes as an array: NumPy and JAX arrays, numbers, lists, variables.
ArrayLike = Any
#: The shape of a batch: the first entry, None, is the number of rows, which may be any.
Shape = tuple[int | None, ...]
#: An array, or a list, tuple or dict of them (a pytree).
Arrays = Any


def floatx() -> str:
    """The type that floats have by default: "float32".

    >>> floatx()
    'float32'
    """
    return type_of_floats["value"]


def set_floatx(value: str) -> None:
    """Set the default float type. "float64" also needs `jax.config.update("jax_enable_x64", True)`."""
    from pellucid.errors import ArgumentError, message

    if value not in ("float16", "bfloat16", "float32", "float64"):
        raise ArgumentError(
            message("floatx is unknown.", came=value, expected="float16, bfloat16, float32 or float64")
        )
    type_of_floats["value"] = value


def image_data_format() -> str:
    """Where images have their channels by default: "channels_last".

    >>> image_data_format()
    'channels_last'
    """
    return place_of_channels["value"]


def set_image_data_format(data_format: str) -> None:
    """Set where images have their channels by default: "channels_last" or "channels_first"."""
    place_of_channels["value"] = known_data_format(str(data_format))


def known_data_format(value: Any) -> str:
    """Where the channels are, "channels_last" or "channels_first"; None stands for the default."""
    from pellucid.errors import ArgumentError, message

    given = image_data_format() if value is None else str(value).lower()
    if given not in ("channels_last", "channels_first"):
        raise ArgumentError(
            message(
                "The `data_format` argument is unknown.",
                came=repr(value),
                expected="channels_last or channels_first",
            )
        )
    return given


def as_array(value: ArrayLike, dtype: Any = None) -> Array:
    """Make a JAX array of anything array-like; variables give their value."""
    if isinstance(value, jax.Array):
        return value if dtype is None else value.astype(dtype)
    if callable(convert := getattr(value, "__jax_array__", None)):
        value = convert()
    return jnp.asarray(value, dtype)


def as_float(value: ArrayLike) -> Array:
    """Make a float array: floats keep their width, everything else gets the default one."""
    array = as_array(value)
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(floatx())


def standardize_dtype(dtype: Any) -> str:
    """The name of a type: of a NumPy or JAX type, of `int`, `float` or `bool`; None is the default float.

    >>> standardize_dtype(float), standardize_dtype(int), standardize_dtype(np.dtype("uint8"))
    ('float32', 'int32', 'uint8')
    """
    from pellucid.errors import ArgumentError, message

    if dtype is None:
        return floatx()
    name = str(getattr(dtype, "name", None) or getattr(dtype, "__name__", dtype)).rpartition(".")[2]
    name = {"int": "int32", "float": "float32", "complex": "complex64", "str": "string"}.get(name, name)
    if name not in TYPES:
        raise ArgumentError(
            message("dtype is unknown.", came=repr(dtype), expected=f"{', '.join(TYPES[:13])}, ...")
        )
    return name


def held_dtype(dtype: Any) -> Any:
    """The type that the device holds where this one is asked for: without 64-bit types, one of 32 bits."""
    return jax.dtypes.canonicalize_dtype(standardize_dtype(dtype))


def result_type(*dtypes: Any) -> str:
    """The type of what comes of numbers of several types; Python's `int` and `float` give way to others.

    >>> result_type("int32", float), result_type("bfloat16", int), result_type("int8", "uint8")
    ('float32', 'bfloat16', 'int16')
    """
    numbers = [each if each is int or each is float else held_dtype(each) for each in dtypes or (None,)]
    found, weak = jax.dtypes.result_type(*numbers, return_weak_type_flag=True)
    if weak:
        return floatx() if is_float(found) else standardize_dtype(int)
    return str(found)


def is_float(dtype: Any) -> bool:
    """Whether a dtype is a floating type, bfloat16 included."""
    return bool(jnp.issubdtype(dtype, jnp.floating))


def _host_float() -> str:
    return floatx() if floatx() != "bfloat16" else "float32"


def width_for_device(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Narrow a host array to what the device holds: floats to the default float, 64-bit ints to 32."""
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array, dtype=_host_float())
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8 and not jax.config.read("jax_enable_x64"):
        held = np.iinfo(np.int32)
        fits = not array.size or (array.min() >= held.min and array.max() <= held.max)
        # Larger ones become floats, rounded, rather than other whole numbers.
        return np.ascontiguousarray(array, dtype=np.int32 if fits else _host_float())
    return np.ascontiguousarray(array)


def sizes(shape: Shape, rows: int = 1) -> tuple[int, ...]:
    """A shape with its unknown sizes filled in, for tracing."""
    return tuple(rows if size is None else int(size) for size in shape)


def exact_products() -> contextlib.AbstractContextManager[Any]:
    """Within it, 32-bit numbers are multiplied as such on every device, unless the user told JAX otherwise.

    GPUs and TPUs round the factors of a matrix product first (to 11 bits, as TensorFloat-32, or to 8). Then
    no formula of an opened step would come to its number. Large networks train sooner with
    `jax.config.update("jax_default_matmul_precision", "tensorfloat32")`.
    """
    known: Any = jax.config
    if known.jax_default_matmul_precision is not None or jax.default_backend() == "cpu":
        return contextlib.nullcontext()
    return jax.default_matmul_precision("float32")


def compilation_cache() -> None:
    """Keep compiled programs between processes, unless the user has said where JAX keeps them.

    They lie in a folder of the user's own, readable by nobody else, because what lies there is
    run. PELLUCID_CACHE names another folder, and an empty PELLUCID_CACHE keeps none.
    """
    known: Any = jax.config
    if known.jax_compilation_cache_dir is not None:
        return
    folder = os.environ.get("PELLUCID_CACHE")
    if folder == "":
        return
    if folder is None:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        folder = os.path.join(home, "pellucid", "compiled")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        owner = os.stat(folder)
    except OSError:
        return
    if hasattr(os, "getuid") and (owner.st_uid != os.getuid() or owner.st_mode & 0o022):
        return
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
