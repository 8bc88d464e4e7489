"""Sequential: layers in a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import jax
import numpy as np

from pellucid.arrays import Arrays, Shape
from pellucid.data import Rows
from pellucid.errors import ArgumentError, ShapeError, StateError, message
from pellucid.graph import KerasTensor
from pellucid.layers.core import Dense, InputLayer
from pellucid.layers.layer import CATALOGUE, Layer, is_shape
from pellucid.layers.preprocessing import Normalization
from pellucid.masks import with_mask
from pellucid.models.model import AHEAD, Model
from pellucid.naming import custom_object_scope, serialize


@CATALOGUE.entry()
class Sequential(Model):
    """Layers in a row: the outputs of each are the inputs of the next.

    Args:
        layers: a list of layers; it may begin with `keras.Input(shape=(...))`.
        name: the name of the model.

    Example:
        >>> model = Sequential([Dense(2, input_shape=(3,), activation="relu"), Dense(1)])
        >>> model.count_params()
        11
    """

    rows_independent = True

    def __init__(self, layers: Sequence[Any] | None = None, trainable: bool = True, name: str | None = None):
        super().__init__(trainable=trainable, name=name)
        self._chain: list[Layer] = []
        for layer in layers or []:
            self.add(layer)

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put a layer at the end."""
        if isinstance(layer, KerasTensor) and isinstance(origin := _origin(layer), InputLayer):
            layer = origin
        if not isinstance(layer, Layer):
            raise ArgumentError(
                message(
                    "Only instances of `keras.Layer` can be added to a Sequential model.",
                    came=repr(layer),
                    expected="a layer, such as keras.layers.Dense(1)",
                )
            )
        if any(layer.name == other.name for other in self._chain):
            raise ArgumentError(
                message(
                    "All layers added to a Sequential model should have unique names.",
                    came=f'"{layer.name}" twice',
                    mend="give the layer another name.",
                )
            )
        if isinstance(layer, InputLayer) and self._chain:
            raise ArgumentError(
                message("Input comes first in a Sequential model.", came=f"after {self._chain[-1]}")
            )
        self._chain.append(layer)
        self._connect(layer)

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the last layer off."""
        if not self._chain:
            raise StateError(message("there is no layer to take off."))
        layer = self._chain.pop()
        self._reset_compiled()
        if not self._chain:
            self.built, self.input_shape = False, None
        return layer

    def _connect(self, layer: Layer) -> None:
        """Build a layer that was added, if the shape of what it will be given is known."""
        self._reset_compiled()
        if len(self._chain) == 1:
            shape = layer.declared_shape
            if shape is None and layer.built and _is_known(layer.input_shape):
                shape = layer.input_shape
            if shape is None and isinstance(layer, Model) and layer.built:
                shape = layer.input_shape
            if shape is not None:
                self.build_for(shape)
        elif self.built:
            self._build_from(len(self._chain) - 1, self._tensors[id(self._chain[-2])])

    def build(self, input_shape: Any = None, **more_shapes: Any) -> None:
        """Build all layers for batches of this shape."""
        if input_shape is None:
            raise ArgumentError(message("build needs the shape of a batch.", mend="model.build((None, 30))."))
        if not self._chain:
            raise StateError(
                message(
                    f"Sequential model {self.name} cannot be built because it has no layers.",
                    mend="call add first.",
                )
            )
        layer, dtype = self._chain[0], _type_of_input(self._chain[0])
        if is_shape(input_shape) or isinstance(layer, InputLayer):
            input_shape = tuple(input_shape)
        if isinstance(layer, InputLayer):
            self._require_declared(layer.batch_shape, input_shape)
            tensor = layer.output
        else:
            tensor = jax.tree.map(
                lambda shape: InputLayer(batch_shape=shape, dtype=dtype).output, input_shape, is_leaf=is_shape
            )
        #: What comes out of each layer, as a symbolic tensor, by the layer.
        self._tensors: dict[int, Any] = {}
        #: What comes in: a symbolic tensor; or a list or dict of them, if the first layer takes that.
        self._input_tensor: Any = tensor
        self._build_from(0, self._input_tensor)
        self.input_shape = input_shape
        self.built = True

    def _require_declared(self, declared: Shape, shape: Shape) -> None:
        """Raise ShapeError if the model begins with an Input of another shape."""
        if len(declared) == len(shape) and all(
            size is None or given is None or size == given
            for size, given in zip(declared, shape, strict=True)
        ):
            return
        raise ShapeError(
            message(
                f"Sequential model '{self.name}' has already been configured to use input shape {declared}.",
                came=shape,
                mend="change keras.Input(shape=...).",
            )
        )

    def _build_from(self, first: int, tensor: Any) -> None:
        for number in range(first, len(self._chain)):
            layer = self._chain[number]
            before = self._chain[number - 1] if number else None
            place = number + 1 - isinstance(self._chain[0], InputLayer)
            origin = (
                ""
                if before is None or isinstance(before, InputLayer)
                else (f"layer {place - 1} ({before.describe()})")
            )
            layer.place = (f"layer {place}", origin)
            if number and layer.built and _is_known(layer.input_shape):
                self._compare(layer, tensor.shape)
            if not isinstance(layer, InputLayer):
                tensor = layer(tensor)
            self._tensors[id(layer)] = tensor

    def _compare(self, layer: Layer, shape: Any) -> None:
        probe = jax.ShapeDtypeStruct(tuple(1 if size is None else size for size in shape), np.float32)
        layer.check_input(cast(Any, probe))

    def output_shape_of(self, layer: Layer) -> Any:
        """The shape of a batch of outputs of one of the layers."""
        return jax.tree.map(lambda tensor: tensor.shape, self._tensors[id(layer)])

    @property
    def inputs(self) -> list[KerasTensor]:
        """The tensor that comes in, once the shape is known."""
        self._require_shape()
        return jax.tree.leaves(self._input_tensor)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The tensor that goes out, once the shape is known."""
        self._require_shape()
        return jax.tree.leaves(self._tensors[id(self._chain[-1])])

    @property
    def input(self) -> Any:
        """The tensor that comes in; a list or dict of them, if the first layer takes that."""
        self._require_shape()
        return self._input_tensor

    @property
    def output(self) -> Any:
        """The tensor that goes out."""
        return self.outputs[0]

    def _require_shape(self) -> None:
        if not self.built or not self._chain:
            raise StateError(
                message(
                    f"Sequential model '{self.name}' has no defined input shape yet.",
                    mend="begin it with keras.Input(shape=...), or call it on data first.",
                )
            )

    @property
    def output_shape(self) -> Any:
        """The shape of a batch of outputs."""
        return self.output_shape_of(self._chain[-1]) if self.built else None

    def call(self, inputs: Arrays, training: bool = False, mask: Any = None) -> Arrays:
        """Each layer's outputs are the next one's inputs."""
        chain = self._chain
        if isinstance(inputs, dict) and AHEAD in inputs:
            inputs, chain = cast(Any, inputs)[AHEAD], chain[len(self._first_on_host()) :]
        if mask is not None and isinstance(inputs, jax.Array):
            with_mask(inputs, mask)
        for layer in chain:
            inputs = layer(inputs, training=training)
        return inputs

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The outputs carry their mask already."""
        return None

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the last layer's outputs."""
        for layer in self._chain:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The last layer's outputs, in shape and type."""
        tensor = args[0]
        for layer in self._chain:
            if not isinstance(layer, InputLayer):
                tensor = layer.compute_output_spec(tensor)
        return tensor

    def _counts(self) -> tuple[int | None, int | None]:
        return 1, 1

    def _first_on_host(self) -> list[Layer]:
        """The layers that work on the host, and the input before them; none if it begins otherwise."""
        first: list[Layer] = []
        for layer in self._chain:
            if not isinstance(layer, InputLayer) and not getattr(layer, "on_host", False):
                break
            first.append(layer)
        return first if any(getattr(layer, "on_host", False) for layer in first) else []

    def _takes_texts(self) -> bool:
        return bool(self._first_on_host())

    def _adjusted(self, rows: Rows) -> Rows:
        first = self._first_on_host()
        if not first or (isinstance(rows.x, dict) and AHEAD in rows.x):
            return super()._adjusted(rows)
        found: Any = cast(Any, rows.x)
        if not self.built:
            self.build_for((None, *found.shape[1:]))
        for layer in first:
            found = layer(found)
        return replace(rows, x={AHEAD: np.asarray(found)})

    def check_input(self, inputs: Arrays) -> None:
        """The rows must have the shape that the model was built for."""
        first = self.layers[0] if self.layers else None
        if not isinstance(inputs, jax.Array) or not isinstance(self.input_shape, tuple) or first is None:
            return
        expected, came = cast(Shape, self.input_shape), inputs.shape
        if len(came) == len(expected) and type(first).check_input is not Layer.check_input:
            return  # the first layer looks, and says more
        fits = len(came) == len(expected) and all(
            size is None or size == other for size, other in zip(expected[1:], came[1:], strict=True)
        )
        if not fits:
            raise ShapeError(
                message(
                    f"{self.describe()} was built for other rows.",
                    came=f"x of shape {came}",
                    expected=f"{expected}, where None is any number of rows",
                    mend="for one row, give a list of one row: X[:1]."
                    if came == expected[1:]
                    else "change keras.Input(shape=...), or the rows.",
                )
            )

    def _build_for_prediction(self) -> None:
        first = self._chain[0] if self._chain else None
        if isinstance(first, Normalization) and first.built:
            self.build_for(first.input_shape)
        else:
            super()._build_for_prediction()

    def _takes_columns(self) -> bool:
        if super()._takes_columns():
            return True
        return not self.built and bool(self._chain) and isinstance(self._chain[0], Dense)

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return [layer for layer in self._chain if not isinstance(layer, InputLayer)]

    def get_config(self) -> dict[str, Any]:
        """The layers' configurations."""
        config: dict[str, Any] = {**self.changed_arguments(), "layers": self._chain}
        if self.built:
            config["build_input_shape"] = self.input_shape
        return {name: serialize(value) for name, value in config.items()}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Sequential:
        """Make the model again from `get_config`, with new weights."""
        if not {"name", "layers"} <= set(config):
            raise ArgumentError(
                message(
                    "A Sequential model configuration must be a dictionary containing the 'name' and 'layers'"
                    " keys.",
                    came=", ".join(config),
                )
            )
        with custom_object_scope(custom_objects):
            return cls._revived(config)

    @classmethod
    def _revived(cls, config: Mapping[str, Any]) -> Sequential:
        model = cls(name=config.get("name"), trainable=config.get("trainable", True))
        for layer in config["layers"]:
            model.add(CATALOGUE.make(layer))
        if not model.built and config.get("build_input_shape"):
            model.build_for(_as_shape(config["build_input_shape"]))
        elif model.built and config.get("build_input_shape"):
            # For as many rows as it was, where layers alone do not say.
            model.build(_as_shape(config["build_input_shape"]))
        return model


def _origin(tensor: KerasTensor) -> Any:
    return None if tensor._keras_history is None else tensor._keras_history.operation


def _type_of_input(layer: Layer) -> str | None:
    """The type of rows that a first layer takes, where it is not a float."""
    return getattr(layer, "input_dtype", None)


def _as_shape(written: Any) -> Any:
    """A shape as it was before it was written down; or a list or dict of shapes."""
    if isinstance(written, Mapping):
        return {name: _as_shape(each) for name, each in cast(Mapping[str, Any], written).items()}
    sizes = list(cast(Sequence[Any], written))
    return tuple(sizes) if is_shape(tuple(sizes)) else [_as_shape(each) for each in sizes]


def _is_known(shape: Any) -> bool:
    return isinstance(shape, tuple) and all(size is not None for size in cast(Shape, shape)[1:])
