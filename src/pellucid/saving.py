"""keras.saving: files of models and weights, and configurations of everything.

The name is Keras's; nothing inside Pellucid imports it.
"""

from pellucid.models import load_model, load_weights, save_model, save_weights
from pellucid.naming import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from pellucid.naming import deserialize as deserialize_keras_object
from pellucid.naming import serialize as serialize_keras_object

#: The name that Keras also has for it.
CustomObjectScope = custom_object_scope

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]
