"""Models: layers that are compiled, fitted, evaluated, and asked."""

from pellucid.models.model import Model as Model
from pellucid.models.sequential import Sequential as Sequential

__all__ = ["Model", "Sequential"]
