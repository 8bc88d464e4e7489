"""Pellucid: a neural-network library with the Keras API, whose `fit` you can open.

    import pellucid as keras

    model = keras.Sequential([keras.Input(shape=(30,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(X, y, epochs=10, batch_size=32, validation_split=0.2)

Names are loaded when they are first used, so that what needs no JAX does not wait for it.
"""

from __future__ import annotations

import importlib
import random as python_random
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pellucid import activations as activations
    from pellucid import backend as backend
    from pellucid import callbacks as callbacks
    from pellucid import config as config
    from pellucid import constraints as constraints
    from pellucid import datasets as datasets
    from pellucid import errors as errors
    from pellucid import initializers as initializers
    from pellucid import layers as layers
    from pellucid import losses as losses
    from pellucid import metrics as metrics
    from pellucid import mixed_precision as mixed_precision
    from pellucid import models as models
    from pellucid import ops as ops
    from pellucid import optimizers as optimizers
    from pellucid import plots as plots
    from pellucid import preprocessing as preprocessing
    from pellucid import random as random
    from pellucid import regularizers as regularizers
    from pellucid import saving as saving
    from pellucid import tables as tables
    from pellucid import tree as tree
    from pellucid import utils as utils
    from pellucid.dtype_policies import DTypePolicy as DTypePolicy
    from pellucid.errors import PellucidError as PellucidError
    from pellucid.graph import KerasTensor as KerasTensor
    from pellucid.graph import Operation as Operation
    from pellucid.history import History as History
    from pellucid.initializers import Initializer as Initializer
    from pellucid.layers import Input as Input
    from pellucid.layers import Layer as Layer
    from pellucid.layers.input_spec import InputSpec as InputSpec
    from pellucid.losses import Loss as Loss
    from pellucid.metrics import Metric as Metric
    from pellucid.models import Model as Model
    from pellucid.models import Sequential as Sequential
    from pellucid.optimizers import Optimizer as Optimizer
    from pellucid.regularizers import Regularizer as Regularizer
    from pellucid.variables import Variable as Variable

_namespaces = (
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "errors",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "ops",
    "optimizers",
    "plots",
    "preprocessing",
    "random",
    "regularizers",
    "saving",
    "tables",
    "tree",
    "utils",
)
_names = {
    "DTypePolicy": "dtype_policies",
    "History": "models",
    "Initializer": "initializers",
    "Input": "layers",
    "InputSpec": "layers.input_spec",
    "KerasTensor": "graph",
    "Layer": "layers",
    "Loss": "losses",
    "Metric": "metrics",
    "Model": "models",
    "Operation": "graph",
    "Optimizer": "optimizers",
    "PellucidError": "errors",
    "Regularizer": "regularizers",
    "Sequential": "models",
    "Variable": "variables",
}

__all__ = [*_names, *_namespaces, "__version__"]  # noqa: PLE0604 # pyright: ignore[reportUnsupportedDunderAll]


def _module(name: str) -> ModuleType:
    """Import one of our modules, and leave the random streams as they are.

    JAX draws from NumPy's, and rich from Python's, as they are imported. A seed set before the first
    layer is made must still give the numbers that Keras gives, which imports everything at once.
    """
    path = f"pellucid.{name}"
    if path in sys.modules:
        return sys.modules[path]
    numpy = sys.modules.get("numpy")
    drawn, drawn_by_numpy = python_random.getstate(), numpy.random.get_state() if numpy else None
    try:
        return importlib.import_module(path)
    finally:
        python_random.setstate(drawn)
        if numpy:
            numpy.random.set_state(drawn_by_numpy)


def __getattr__(name: str) -> Any:
    if name in _namespaces:
        return _module(name)
    if name in _names:
        return getattr(_module(_names[name]), name)
    raise AttributeError(f"module 'pellucid' has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext pellucid` does: from now on, `import keras` and `import tensorflow` give Pellucid."""
    _module("standing_in.notebook").load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """What `%unload_ext pellucid` does: imports give what is installed again."""
    _module("standing_in.notebook").unload(shell)


def __dir__() -> list[str]:
    return sorted(__all__)
