"""A model once more, with new layers and new weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pellucid.errors import ArgumentError, message
from pellucid.graph import Operation
from pellucid.layers.core import InputLayer
from pellucid.layers.layer import Layer
from pellucid.models.functional import Functional
from pellucid.models.sequential import Sequential


def clone_model(
    model: Any, input_tensors: Any = None, clone_function: Callable[[Layer], Layer] | None = None
) -> Any:
    """A model of the same layers, made anew, with new weights; it is not compiled.

    Args:
        model: the model.
        input_tensors: the `keras.Input`s that the new model shall begin with, instead of ones like its own.
        clone_function: makes the new layer for each layer; by default one of the same configuration.

    Example:
        >>> from pellucid.layers import Dense, Input
        >>> model = Sequential([Input((3,)), Dense(2)])
        >>> clone_model(model).count_params()
        8

    Raises:
        ArgumentError: if the model's layers are not known, since it calls them itself.
    """
    given = list(input_tensors) if isinstance(input_tensors, list | tuple) else [input_tensors]
    inputs = [] if input_tensors is None else [tensor.node.operation for tensor in given]
    if isinstance(model, Sequential):
        return _sequential(model, inputs, clone_function or _again)
    if isinstance(model, Functional):
        return _functional(model, inputs, clone_function or _again)
    if inputs or clone_function is not None:
        raise ArgumentError(
            message(
                "only layers of a Sequential or functional model can be cloned one by one.",
                came=f"{type(model).__name__} {model.name}",
                mend="clone_model(model), without input_tensors and clone_function.",
            )
        )
    return _again(model)


def _again(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())


def _sequential(model: Sequential, inputs: Sequence[Any], clone: Callable[[Layer], Layer]) -> Sequential:
    first = [_again(layer) for layer in model._chain[:1] if isinstance(layer, InputLayer)]
    layers = [clone(layer) for layer in model.layers]
    return Sequential([*(inputs or first), *layers], name=model.name, trainable=model.trainable)


def _functional(model: Functional, inputs: Sequence[Any], clone: Callable[[Layer], Layer]) -> Any:
    made: dict[str, Any] = {}
    for each in model.operations:
        if isinstance(each, Operation):
            made[each.name] = Operation(each.function, each.name, **each.settings)
        else:
            made[each.name] = _again(each) if isinstance(each, InputLayer) else clone(each)
    made |= dict(zip(model.input_names, inputs, strict=False))
    return type(model).joined(model.get_config(), made)
