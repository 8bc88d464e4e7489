"""A model once more, with new layers and new weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax

from pellucid.errors import ArgumentError, message
from pellucid.graph import KerasTensor, Operation
from pellucid.layers.core import Input, InputLayer
from pellucid.layers.layer import Layer
from pellucid.models.functional import Functional
from pellucid.models.sequential import Sequential


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Any:
    """A model of the same layers, made anew, with new weights; a functional one is not compiled.

    Args:
        model: the model.
        input_tensors: the `keras.Input`s that the new model shall begin with, instead of ones like its own.
        clone_function: makes the new layer for each layer; by default one of the same configuration.
        call_function: calls the new layer, (layer, *args, **kwargs) -> outputs, where a layer is called in
            a functional model; by default that is all it does.
        recursive: whether the layers of models within the model are cloned one by one as well.

    Example:
        >>> from pellucid.layers import Dense, Input
        >>> model = Sequential([Input((3,)), Dense(2)])
        >>> clone_model(model).count_params()
        8

    Raises:
        ArgumentError: if the model's layers are not known, since it calls them itself.
    """
    if isinstance(model, Sequential) and call_function is None:
        return _sequential(model, input_tensors, _cloning(clone_function, None, recursive))
    if isinstance(model, Functional):
        clone = _cloning(clone_function, call_function, recursive)
        return _functional(model, input_tensors, clone, call_function or _called)
    if input_tensors is not None or clone_function is not None or call_function is not None:
        raise ArgumentError(
            message(
                "only layers of a functional model are called one by one."
                if isinstance(model, Sequential)
                else "only layers of a Sequential or functional model can be cloned one by one.",
                came=f"{type(model).__name__} {model.name}",
                mend="clone_model(model), without input_tensors, clone_function and call_function.",
            )
        )
    return _again(model)


def _again(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())


def _called(layer: Any, *args: Any, **kwargs: Any) -> Any:
    return layer(*args, **kwargs)


def _cloning(clone: Any, call: Any, recursive: bool) -> Callable[[Layer], Layer]:
    """What makes the new layer of a layer: a model's layers are cloned one by one if that is asked for."""

    def cloned(layer: Layer) -> Layer:
        if recursive and isinstance(layer, Functional | Sequential):
            inner = call if isinstance(layer, Functional) else None
            return clone_model(layer, None, clone, inner, recursive)
        return (clone or _again)(layer)

    return cloned


def _sequential(model: Sequential, tensors: Any, clone: Callable[[Layer], Layer]) -> Sequential:
    begin: list[Any] = [_again(layer) for layer in model._chain[:1] if isinstance(layer, InputLayer)]
    if tensors is not None:
        begin = jax.tree.leaves(tensors)
    layers = [clone(layer) for layer in model.layers]
    made = Sequential([*begin, *layers], name=model.name, trainable=model.trainable)
    if model.built and not made.built:
        made.build_for(model.input_shape)
    if model.compiled:
        made.compile_from_config(model.get_compile_config())
    return made


def _functional(
    model: Functional, tensors: Any, clone: Callable[[Layer], Layer], call: Callable[..., Any]
) -> Any:
    if tensors is not None and len(jax.tree.leaves(tensors)) == len(model.inputs) == 1:
        tensors = jax.tree.unflatten(jax.tree.structure(model.input), jax.tree.leaves(tensors))
    if tensors is not None and jax.tree.structure(tensors) != jax.tree.structure(model.input):
        raise ArgumentError(
            message(
                "`input_tensors` must have the same structure as model.input.",
                came=tensors,
                expected=model.input,
            )
        )
    made: dict[str, Any] = {}
    for each in model.operations:
        if isinstance(each, Operation):
            made[each.name] = Operation(each.function, each.name, **each.settings)
        elif isinstance(each, InputLayer):
            made[each.name] = _again(each) if tensors is None else each
        else:
            made[each.name] = clone(each)
    if tensors is None:
        tensors = jax.tree.map(lambda tensor: _input(tensor, made), model.input)
    return model.over(tensors, lambda each, *args, **kwargs: call(made[each.name], *args, **kwargs))


def _input(tensor: KerasTensor, made: Mapping[str, Any]) -> KerasTensor:
    """What a new model begins with, where the old one began with this tensor."""
    layer = tensor.node.operation
    if isinstance(layer, InputLayer):
        return made[layer.name].output
    return Input(batch_shape=tensor.shape, dtype=tensor.dtype)
