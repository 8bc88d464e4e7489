"""keras.config: settings for the whole process."""

from pellucid.arrays import floatx, image_data_format, set_floatx, set_image_data_format
from pellucid.losses import EPSILON


def epsilon() -> float:
    """The small number that keeps logarithms and divisions finite."""
    return EPSILON


def backend() -> str:
    """What computes: JAX."""
    return "jax"


__all__ = ["backend", "epsilon", "floatx", "image_data_format", "set_floatx", "set_image_data_format"]
