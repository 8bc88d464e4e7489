"""Layers around another layer: at each time of a sequence, or over it in both directions."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from pellucid import loops
from pellucid.arrays import Array, Shape, as_array
from pellucid.errors import ArgumentError, ShapeError, StateError, message
from pellucid.formula import Expression, Unit, total
from pellucid.layers.layer import CATALOGUE, Layer
from pellucid.variables import Variable


@CATALOGUE.entry()
class Wrapper(Layer):
    """What layers around one other layer share; subclass it for one of your own.

    Args:
        layer: the layer within, or its configuration.
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = as_layer(layer, type(self).__name__)

    def build(self, input_shape: Any) -> None:
        """Build the layer within."""
        self.layer.build_for(input_shape)


def as_layer(layer: Any, wrapper: str) -> Layer:
    """A layer, also from its configuration, or ArgumentError."""
    made = CATALOGUE.make(layer) if isinstance(layer, Mapping) else layer
    if not isinstance(made, Layer):
        raise ArgumentError(
            message(
                f"{wrapper} goes around a layer.",
                came=repr(layer),
                expected="such as keras.layers.Dense(8)",
            )
        )
    return made


@CATALOGUE.entry()
class TimeDistributed(Wrapper):
    """The same layer at each time of a sequence.

    Layers that move nothing but weights are computed for all times at once; those that move on as they
    are called, such as Dropout or BatchNormalization while training, one time after the other. An opened
    step shows the layer within at each time: "time_distributed/dense.z[2,5]" is unit 5 at time 2.

    Args:
        layer: the layer within.

    Shapes: (rows, time, ...) in, (rows, time, ...) out.

    Example:
        >>> from pellucid.layers import Dense
        >>> TimeDistributed(Dense(8))(jnp.ones((2, 5, 3))).shape
        (2, 5, 8)
    """

    rows_independent = True
    supports_masking = True

    def _within(self, input_shape: Any) -> Shape:
        """The shape of what the layer within is given."""
        if len(input_shape) < 3:
            raise ShapeError(
                message(
                    f"{self.describe()} expects sequences.",
                    came=f"input of shape {tuple(input_shape)}",
                    expected="(rows, time, ...)",
                )
            )
        return (input_shape[0], *input_shape[2:])

    def build(self, input_shape: Any) -> None:
        """Build the layer within for one time."""
        super().build(self._within(input_shape))

    def call(self, inputs: Array, training: bool = False, mask: Any = None) -> Array:
        """The layer's outputs at all times."""
        if mask is not None and tuple(mask.shape[:2]) != tuple(inputs.shape[:2]):
            raise ShapeError(
                message(
                    f"the mask does not fit what {self.describe()} was given.",
                    came=f"a mask of shape {tuple(mask.shape)}",
                    expected=f"{tuple(inputs.shape[:2])}",
                )
            )
        wanted = mask is not None and "mask" in inspect.signature(type(self.layer).call).parameters
        masks = jnp.swapaxes(as_array(mask), 0, 1) if wanted else None

        def once(given: Any) -> Any:
            x, mask = given
            more = {} if mask is None else {"mask": mask}
            return self.layer(x, training=training, **more)

        moved = [variable for variable in self.layer.variables if not variable.trainable]
        given = (loops.turned(inputs), masks)
        if training and moved:
            _, outputs = loops.scan(lambda carry, x: (carry, once(x)), (), given, moved)
        else:
            outputs = loops.each(once, given)
        return jax.tree.map(loops.turned, outputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The layer's output shape, with the times behind the rows."""
        rows, *rest = self.layer.compute_output_shape(self._within(input_shape))
        return (rows, input_shape[1], *rest)


@CATALOGUE.entry()
class Bidirectional(Layer):
    """A recurrent layer over the sequence, and another one over the sequence backwards, side by side.

    Schuster & Paliwal, 1997.

    Args:
        layer: a recurrent layer; two new layers are made from its configuration.
        merge_mode: what is made of the two outputs: "concat", "sum", "mul", "ave", or None for both.
        weights: first values: those of the forward layer, then those of the backward layer.
        backward_layer: the layer that goes backwards, if it is not to be like the other one.

    Shapes: (rows, time, features) in; (rows, 2 * units) or (rows, time, 2 * units) out for "concat",
    as of the layer itself for other modes.

    Example:
        >>> from pellucid.layers import LSTM
        >>> Bidirectional(LSTM(4))(jnp.ones((2, 5, 3))).shape
        (2, 8)
    """

    rows_independent = True
    supports_masking = True
    unwritten = (*Layer.unwritten, "weights")

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        if merge_mode not in ("sum", "mul", "ave", "concat", None):
            raise ArgumentError(
                message(
                    "Invalid merge mode.",
                    came=repr(merge_mode),
                    expected="'sum', 'mul', 'ave', 'concat' or None",
                )
            )
        super().__init__(**kwargs)
        given: Any = as_layer(layer, "Bidirectional")
        self.forward_layer: Any = _again(given, "forward")
        self.backward_layer: Any = (
            _again(given, "backward", go_backwards=True)
            if backward_layer is None
            else as_layer(backward_layer, "Bidirectional")
        )
        self._compare()
        self.merge_mode, self.first_weights = merge_mode, weights
        self.stateful: bool = given.stateful
        self.return_sequences: bool = given.return_sequences
        self.return_state: bool = given.return_state
        for each in (self.forward_layer, self.backward_layer):
            # The two meet at each time, and where none counts neither has anything to say.
            if hasattr(each, "zero_output_for_mask"):
                each.zero_output_for_mask = self.return_sequences

    def _compare(self) -> None:
        """Raise ArgumentError if the two layers do not fit together."""
        one, other = self.forward_layer, self.backward_layer
        if one.go_backwards == other.go_backwards:
            raise ArgumentError(
                message(
                    "one of the two layers goes forward, the other backwards.",
                    came=f"go_backwards={one.go_backwards} for both",
                )
            )
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(one, name) != getattr(other, name):
                raise ArgumentError(
                    message(
                        f"the forward and the backward layer have the same `{name}`.",
                        came=f"{getattr(one, name)} and {getattr(other, name)}",
                    )
                )

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Build both layers."""
        self.forward_layer.build_for(sequences_shape)
        self.backward_layer.build_for(sequences_shape)
        if self.first_weights:
            half = len(self.first_weights) // 2
            self.forward_layer.set_weights(self.first_weights[:half])
            self.backward_layer.set_weights(self.first_weights[half:])

    def __call__(self, sequences: Any, *args: Any, **kwargs: Any) -> Any:
        """Build the layers if they are not, and compute their outputs for a batch."""
        if self.stateful and not self.built and hasattr(sequences, "shape"):
            self.build_for(tuple(sequences.shape))  # with the number of rows, for which states are kept
        return super().__call__(sequences, *args, **kwargs)

    def call(
        self, sequences: Array, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        """The outputs of both, put together."""
        more: dict[str, Any] = {} if mask is None else {"mask": mask}
        halves: list[dict[str, Any]] = [{}, {}]
        if initial_state is not None:
            half = len(initial_state) // 2
            halves = [{"initial_state": initial_state[:half]}, {"initial_state": initial_state[half:]}]
        y = self.forward_layer(sequences, training=training, **halves[0], **more)
        z = self.backward_layer(sequences, training=training, **halves[1], **more)
        states: tuple[Any, ...] = ()
        if self.return_state:
            (y, *one), (z, *other) = y, z
            states = (*one, *other)
        z = jnp.flip(z, 1) if self.return_sequences else z
        merged = self._merged(self.hand_out("forward", y), self.hand_out("backward", z))
        if not self.return_state:
            return merged
        return (*merged, *states) if self.merge_mode is None else (merged, *states)

    def _merged(self, y: Array, z: Array) -> Any:
        if self.merge_mode == "concat":
            return jnp.concatenate([y, z], axis=-1)
        if self.merge_mode == "sum":
            return y + z
        if self.merge_mode == "ave":
            return (y + z) / 2
        return y * z if self.merge_mode == "mul" else (y, z)

    def formula(self, unit: Unit) -> Expression | None:
        """One of the two outputs, or what is made of both."""
        *place, j = unit.index
        if self.merge_mode == "concat":
            size = unit.row("forward").shape[-1]
            which, j = ("forward", j) if j < size else ("backward", j - size)
            return unit.number(which, *place, j)
        y, z = unit.number("forward", *unit.index), unit.number("backward", *unit.index)
        if self.merge_mode == "mul":
            return y * z
        return total([y, z]) / 2 if self.merge_mode == "ave" else total([y, z])

    def reset_state(self) -> None:
        """Set the states that are kept to zeros."""
        if not self.stateful:
            raise StateError(message(f"{self.describe()} keeps no states.", expected="stateful=True"))
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def reset_states(self) -> None:
        """The same as `reset_state`."""
        self.reset_state()

    @property
    def states(self) -> list[Variable] | None:
        """The states that both layers keep, if they do."""
        one, other = self.forward_layer.states, self.backward_layer.states
        return [*one, *other] if one and other else None

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask goes on with sequences, and ends with the last output."""
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        own = mask if self.return_sequences else None
        outputs = [own] if self.merge_mode is not None else [own, own]
        if self.return_state:
            outputs += [None] * (2 * len(self.forward_layer.state_size))
        return outputs if len(outputs) > 1 else own

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """That of the layers; for "concat" with a last axis of both together."""
        shape = self.forward_layer.compute_output_shape(sequences_shape)
        output, states = (shape[0], shape[1:]) if self.return_state else (shape, ())
        if self.merge_mode == "concat":
            output = (*output[:-1], 2 * output[-1])
        outputs = (output, output) if self.merge_mode is None else (output,)
        return (*outputs, *states, *states) if len(outputs) + len(states) > 1 else output


def _again(layer: Layer, direction: str, **changed: Any) -> Layer:
    """A new layer from the configuration of another."""
    name = f"{direction}_{layer.name.removeprefix(f'{direction}_')}"
    return type(layer).from_config({**layer.get_config(), **changed, "name": name})
