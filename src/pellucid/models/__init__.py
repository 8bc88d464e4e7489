"""Models: layers that are compiled, fitted, evaluated, asked, and opened."""

from pellucid.history import History as History
from pellucid.keras_files import load_model as load_model
from pellucid.keras_files import load_weights as load_weights
from pellucid.keras_files import model_from_json as model_from_json
from pellucid.keras_files import save_model as save_model
from pellucid.keras_files import save_weights as save_weights
from pellucid.models.cloning import clone_model as clone_model
from pellucid.models.functional import Functional as Functional
from pellucid.models.model import Model as Model
from pellucid.models.sequential import Sequential as Sequential

__all__ = ["History", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]
