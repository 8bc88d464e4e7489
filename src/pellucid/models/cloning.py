"""A model once more, with new layers and new weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pellucid.errors import ArgumentError, message
from pellucid.layers.core import InputLayer
from pellucid.layers.layer import Layer
from pellucid.models.sequential import Sequential


def clone_model(
    model: Any, input_tensors: Any = None, clone_function: Callable[[Layer], Layer] | None = None
) -> Any:
    """A model of the same layers, made anew, with new weights; it is not compiled.

    Args:
        model: the model.
        input_tensors: an `Input` of another shape that the new model shall begin with.
        clone_function: makes the new layer for each layer; by default one of the same configuration.

    Example:
        >>> from pellucid.layers import Dense, Input
        >>> model = Sequential([Input((3,)), Dense(2)])
        >>> clone_model(model).count_params()
        8
    """
    clone = clone_function or _again
    if not isinstance(model, Sequential):
        if input_tensors is not None or clone_function is not None:
            raise ArgumentError(
                message(
                    "only layers of a Sequential or functional model can be cloned one by one.",
                    came=f"{type(model).__name__} {model.name}",
                    mend="clone_model(model), without input_tensors and clone_function.",
                )
            )
        return _again(model)
    first = model._chain[0] if model._chain else None
    begin = [InputLayer.from_config(first.get_config())] if isinstance(first, InputLayer) else []
    if input_tensors is not None:
        given = input_tensors[0] if isinstance(input_tensors, list | tuple) else input_tensors
        begin = [InputLayer(batch_shape=given.shape, dtype=given.dtype)]
    return Sequential([*begin, *(clone(layer) for layer in model.layers)], name=model.name)


def _again(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())
