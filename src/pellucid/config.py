"""keras.config: settings for the whole process."""

from __future__ import annotations

from typing import NoReturn

from pellucid import losses, naming, seeds
from pellucid.arrays import floatx, image_data_format, set_floatx, set_image_data_format
from pellucid.dtype_policies import dtype_policy, set_dtype_policy
from pellucid.errors import ArgumentError, message
from pellucid.progress import is_interactive, set_interactive


def epsilon() -> float:
    """The small number that keeps logarithms and divisions finite.

    >>> epsilon()
    1e-07
    """
    return losses.EPSILON


def set_epsilon(value: float) -> None:
    """Set the small number that keeps logarithms and divisions finite; for what is compiled from now on."""
    losses.EPSILON = float(value)  # pyright: ignore[reportConstantRedefinition]


def backend() -> str:
    """What computes: JAX."""
    return "jax"


def set_backend(backend: str) -> None:
    """Choose what computes: there is only JAX."""
    if backend != "jax":
        raise ArgumentError(
            message("Pellucid computes with JAX.", came=repr(backend), expected='"jax"', mend="leave it out.")
        )


def clear_session(free_memory: bool = True) -> None:
    """Begin the names of layers, the generator of draws without a seed, and the dtype policy anew.

    >>> import pellucid as keras
    >>> clear_session()
    >>> keras.layers.Dense(1).name
    'dense'
    """
    naming.forget_names()
    seeds.forget_global_key()
    set_dtype_policy(floatx())


def enable_interactive_logging() -> None:
    """Let `fit` print what it does, as it does at first."""
    set_interactive(True)


def disable_interactive_logging() -> None:
    """Let `fit` tell what it does to Python's logging, under the name "pellucid", in place of printing it."""
    set_interactive(False)


def is_interactive_logging_enabled() -> bool:
    """Whether `fit` prints what it does."""
    return is_interactive()


def enable_traceback_filtering() -> None:
    """Nothing to do: no lines are left out of tracebacks here."""


def disable_traceback_filtering() -> None:
    """Nothing to do: no lines are left out of tracebacks here."""


def is_traceback_filtering_enabled() -> bool:
    """Whether lines are left out of tracebacks: they never are."""
    return False


def enable_flash_attention() -> None:
    """Refused: attention is computed in one way here."""
    raise ArgumentError(message("there is no flash attention.", mend="leave the call out."))


def disable_flash_attention() -> None:
    """Nothing to do: there is no flash attention."""


def is_flash_attention_enabled() -> bool:
    """Whether attention may be computed another way: it may not."""
    return False


def is_nnx_enabled() -> bool:
    """Whether layers are modules of Flax: they are not."""
    return False


def enable_unsafe_deserialization() -> NoReturn:
    """Refused: files hold data here, and never code that is run."""
    raise ArgumentError(
        message(
            "code that a file brings along is never run, for all files at once or for one.",
            came="enable_unsafe_deserialization()",
            mend="define the function or the class in your script, and pass it: "
            'load_model(path, custom_objects={"name": function}).',
        )
    )


__all__ = [
    "backend",
    "clear_session",
    "disable_flash_attention",
    "disable_interactive_logging",
    "disable_traceback_filtering",
    "dtype_policy",
    "enable_flash_attention",
    "enable_interactive_logging",
    "enable_traceback_filtering",
    "enable_unsafe_deserialization",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_flash_attention_enabled",
    "is_interactive_logging_enabled",
    "is_nnx_enabled",
    "is_traceback_filtering_enabled",
    "set_backend",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
]
