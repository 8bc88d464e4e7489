"""keras.config: settings for the whole process."""

from pellucid.arrays import floatx, set_floatx
from pellucid.losses import EPSILON


def epsilon() -> float:
    """The small number that keeps logarithms and divisions finite."""
    return EPSILON


def backend() -> str:
    """What computes: JAX."""
    return "jax"


__all__ = ["backend", "epsilon", "floatx", "set_floatx"]
