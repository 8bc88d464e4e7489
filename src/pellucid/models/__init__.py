"""Models: layers that are compiled, fitted, evaluated, asked, and opened."""

from pellucid.history import History as History
from pellucid.models.functional import Functional as Functional
from pellucid.models.model import Model as Model
from pellucid.models.sequential import Sequential as Sequential

__all__ = ["History", "Model", "Sequential"]
