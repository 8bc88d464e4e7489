"""Until Pellucid has keras.saving: the few functions of it that tests of other parts use."""

import importlib

from pellucid import naming

custom_object_scope = naming.custom_objects
serialize_keras_object = naming.serialize
_registered = naming._custom


def register_keras_serializable(package="Custom", name=None):
    def enter(thing):
        _registered[name or thing.__name__] = thing
        _registered[f"{package}>{name or thing.__name__}"] = thing
        return thing

    return enter


def deserialize_keras_object(config, custom_objects=None):
    module = importlib.import_module(config["module"].replace("keras", "pellucid", 1))
    with naming.custom_objects(custom_objects):
        return module.CATALOGUE.make(config)
