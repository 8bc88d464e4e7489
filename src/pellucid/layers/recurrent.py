"""Recurrent layers: a cell, called at each time of a sequence, which passes a state on to the next time.

`RNN` is the loop around any cell. `SimpleRNN`, `LSTM` and `GRU` are that loop around a cell of ours; they
take the part of the sums that comes from the inputs for all times in one product, before the loop.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import loops
from pellucid.arrays import Array, Shape, as_array
from pellucid.errors import ArgumentError, ShapeError, message
from pellucid.formula import Expression, Number, Unit, total
from pellucid.layers.cells import (
    Cell,
    GRUCell,
    Kept,
    LSTMCell,
    SimpleRNNCell,
    StackedRNNCells,
    as_cell,
    call_cell,
    initial_state_of,
    output_size_of,
    own_cells,
)
from pellucid.layers.layer import CATALOGUE, Layer
from pellucid.variables import Variable, current_scope


class _States:
    """The states that a stateful layer keeps: variables, but none of its weights."""

    def __init__(self, values: Any, path: str) -> None:
        leaves, self.structure = jax.tree.flatten(values)
        self.variables = [
            Variable(value, trainable=False, name="rnn_state", path=f"{path}/rnn_state{f'_{n}' if n else ''}")
            for n, value in enumerate(leaves)
        ]

    def values(self) -> Any:
        """The states, in the form that the cell has them in."""
        return jax.tree.unflatten(self.structure, [as_array(each.value) for each in self.variables])

    def keep(self, values: Any) -> None:
        """Take over new states."""
        for variable, value in zip(self.variables, jax.tree.leaves(values), strict=True):
            variable.assign(value)


@CATALOGUE.entry()
class RNN(Layer):
    """A cell, called at each time of a sequence: `output, states = cell(inputs, states)`.

    Args:
        cell: a cell, or a list of cells for a stack: a layer with `state_size` and
            `call(inputs, states)`, which gives `(output, states)`.
        return_sequences: whether the outputs of all times come out, or only the last.
        return_state: whether the last states come out beside.
        go_backwards: whether the last time comes first. The outputs come in that order, too.
        stateful: whether each batch goes on with the states that the rows of the last one ended with:
            from call to call, and from step to step of `fit`. `evaluate` and `predict` begin with the
            states there are, and leave them alone.
        unroll: whether the compiled loop is written out, one time after the other.
        zero_output_for_mask: whether masked times give zeros. Otherwise they repeat the output before.

    Shapes: (rows, time, ...) in; (rows, time, output_size) or (rows, output_size) out.

    Call arguments: `initial_state`, a list of states; `mask`, (rows, time), true where a time counts:
    where it is false the states stay as they are.

    Example, a cell of one's own:
        >>> class Sum(Layer):
        ...     state_size = 1
        ...     def call(self, inputs, states):
        ...         total = states[0] + inputs
        ...         return total, [total]
        >>> RNN(Sum(), return_sequences=True)([[[1.0], [2.0], [3.0]]]).ravel().tolist()
        [1.0, 3.0, 6.0]
    """

    rows_independent = True
    supports_masking = True

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cell = StackedRNNCells(cell) if isinstance(cell, list | tuple) else as_cell(cell)
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards, self.stateful, self.unroll = go_backwards, stateful, unroll
        self.zero_output_for_mask = zero_output_for_mask
        self._kept_states: _States | None = None

    @property
    def state_size(self) -> list[Any]:
        """How many numbers each state has."""
        sizes = self.cell.state_size
        return list(sizes) if isinstance(sizes, list | tuple) else [sizes]

    @property
    def states(self) -> list[Variable] | None:
        """The states that a stateful layer keeps; None of others."""
        return None if self._kept_states is None else self._kept_states.variables

    @property
    def variables(self) -> list[Variable]:
        """All variables: also the states that are kept, which are no weights."""
        return [*super().variables, *(self.states or [])]

    def build(self, sequences_shape: Shape, initial_state_shape: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Build the cell for one time."""
        if len(sequences_shape) < 3:
            raise ShapeError(
                message(
                    f"{self.describe()} expects sequences.",
                    came=f"input of shape {tuple(sequences_shape)}",
                    expected="(rows, time, numbers)",
                    mend="reshape x to (rows, time, 1) if there is one number at each time.",
                )
            )
        if isinstance(self.cell, Layer):
            self.cell.build_for((sequences_shape[0], *sequences_shape[2:]))
        if self.stateful:
            if sequences_shape[0] is None:
                raise ShapeError(
                    message(
                        f"{self.describe()} is stateful, and keeps a state for each row of the batch.",
                        came=f"input of shape {tuple(sequences_shape)}",
                        expected="a fixed number of rows",
                        mend="say keras.Input(batch_shape=(32, time, numbers)), and batch_size=32 to fit.",
                    )
                )
            self._kept_states = _States(self.get_initial_state(sequences_shape[0]), self.name)

    def __call__(self, sequences: Any, *args: Any, **kwargs: Any) -> Any:
        """Build the layer if it is not, and compute its outputs for a batch."""
        if self.stateful and not self.built and hasattr(sequences, "shape"):
            self.build_for(tuple(sequences.shape))  # with the number of rows, for which states are kept
        return super().__call__(sequences, *args, **kwargs)

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """The states before the first time: what the cell says, or zeros."""
        state = initial_state_of(self.cell, batch_size, self.compute_dtype)
        return list(state) if isinstance(state, list | tuple) else [state]

    def reset_state(self) -> None:
        """Set the states that are kept to zeros."""
        for variable in self.states or []:
            variable.assign(np.zeros(variable.shape, variable.dtype))

    def reset_states(self) -> None:
        """The same as `reset_state`."""
        self.reset_state()

    def mixes_rows(self, training: bool) -> bool:
        """A stateful layer needs all rows that it keeps states for."""
        return self.stateful or not isinstance(self.cell, Layer) or super().mixes_rows(training)

    def call(
        self, sequences: Array, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        """The outputs of the cell at all times, or at the last."""
        rows = sequences.shape[0]
        states = self._first_states(rows, initial_state)
        by_time = loops.turned(sequences)
        counts = None if mask is None else jnp.swapaxes(self.hand_out("mask", _whole_times(mask)), 0, 1)
        with contextlib.ExitStack() as stack:
            kept = [stack.enter_context(each.sequence(rows, training)) for each in own_cells(self.cell)]
            last, states, outputs = self._loop(self.prepare(by_time, kept), states, counts, training)
        if self._kept_states is not None:
            self._kept_states.keep(states)
        if self.return_sequences:
            outputs = jnp.flip(outputs, 0) if self.go_backwards else outputs
            last = loops.turned(outputs)
        return (last, *states) if self.return_state else last

    def _first_states(self, rows: int, given: Any) -> list[Any]:
        if self._kept_states is not None:
            expected = self._kept_states.variables[0].shape[0]
            if rows != expected:
                raise ShapeError(
                    message(
                        f"{self.describe()} is stateful, and keeps a state for each row of the batch.",
                        came=f"a batch of {rows} rows",
                        expected=f"{expected} rows",
                        mend=f"batch_size={expected}, and a number of rows that it divides.",
                    )
                )
        if given is None:
            kept = self._kept_states
            given = self.get_initial_state(rows) if kept is None else kept.values()
        states = list(cast(Sequence[Any], given)) if isinstance(given, list | tuple) else [given]
        return jax.tree.map(lambda state: as_array(state).astype(self.compute_dtype), states)

    def _loop(
        self, xs: Any, states: list[Any], counts: Any, training: bool, whole: bool = False
    ) -> tuple[Any, list[Any], Any]:
        """All times, the first axis of xs: the last output, the last states, and the outputs of each.

        The outputs of each time come only where they are needed, or `whole` says that they shall.
        """
        # Written out, the loop repeats the output before; else the state before, which is meant to be it.
        repeats = counts is not None and self.unroll
        whole = whole or self.return_sequences or not self.gives_state
        whole = whole or (counts is not None and self._masks_output)

        def one(carry: Any, given: Any) -> Any:
            (states, previous), (x, counted) = carry, given
            output, after = self.advance(x, states, training)
            after = jax.tree.unflatten(jax.tree.structure(states), jax.tree.leaves(after))
            after = jax.tree.map(lambda new, old: new.astype(old.dtype), after, states)
            if counted is not None:
                before = previous if repeats else jax.tree.leaves(_top(states))[0]
                before = jnp.zeros_like(output) if self._masks_output and not repeats else before
                output = _where(counted, output, before)
                after = jax.tree.map(lambda new, old: _where(counted, new, old), after, states)
            return (after, output if repeats else None), output if whole else None

        previous = jnp.zeros_like(jax.tree.leaves(_top(states))[0]) if repeats else None
        (states, _), outputs = loops.scan(
            one,
            (states, previous),
            (xs, counts),
            self.loop_variables(),
            reverse=self.go_backwards,
            unroll=self.unroll,
        )
        if not whole:
            return states[0], states, None
        return outputs[0 if self.go_backwards else -1], states, outputs

    @property
    def _masks_output(self) -> bool:
        """Whether masked times do not give the state before."""
        return self.zero_output_for_mask or self.unroll

    # What a layer with a cell of ours does otherwise.

    #: Whether the first state is the output.
    gives_state: ClassVar[bool] = False

    def prepare(self, xs: Array, kept: Sequence[Kept]) -> Array:
        """What the cell is given at each time, (time, rows, ...), before the loop."""
        return xs

    def advance(self, x: Array, states: list[Any], training: bool) -> tuple[Array, Any]:
        """One time."""
        return call_cell(self.cell, x, states, training)

    def loop_variables(self) -> list[Variable]:
        """The variables that the cell may assign."""
        own = self.cell.variables if isinstance(self.cell, Layer) else []
        return [variable for variable in own if not variable.trainable]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask goes on with sequences, and ends with the last output."""
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        own = mask if self.return_sequences else None
        return [own, *(None for _ in self.state_size)] if self.return_state else own

    def compute_output_shape(self, sequences_shape: Shape, initial_state_shape: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(rows, time, output_size) or (rows, output_size); with the states beside, if they come out."""
        rows, length = sequences_shape[:2]
        size = output_size_of(self.cell)
        output = (rows, length, size) if self.return_sequences else (rows, size)
        if not self.return_state:
            return output
        return (output, *jax.tree.map(lambda size: (rows, size), self.state_size))


def _top(states: list[Any]) -> Any:
    """The states of the last cell of a stack, or all states of a single one."""
    return states[-1] if isinstance(states[0], list | tuple) else states


def _whole_times(mask: Any) -> Array:
    """A mask of whole times: (rows, time)."""
    mask = as_array(mask).astype(bool)
    return mask if mask.ndim == 2 else jnp.any(mask.reshape(*mask.shape[:2], -1), axis=-1)


def _where(counted: Array, new: Array, old: Array) -> Array:
    """The new numbers of rows whose time counts, the old ones of others."""
    return jnp.where(counted.reshape(-1, *(1,) * (new.ndim - 1)), new, old)


def _of_cell(name: str) -> Any:
    """A property of the cell, as one of the layer."""

    def read(self: Any) -> Any:
        return getattr(self.cell, name)

    return property(read, doc=f"The cell's {name}.")


class _Recurrent(RNN):
    """The loop around a cell of ours, whose sums and states it shows as its own: "lstm.z[2,5]" at time 2."""

    gives_state = True
    unwritten = (*RNN.unwritten, "use_cudnn", "implementation")
    cell: Cell
    #: What has an axis of times, of all that is shown.
    _over_time = ("input", "mask", "z", "candidate", "h", "c", "h_before", "c_before")

    units, activation, use_bias = _of_cell("units"), _of_cell("activation"), _of_cell("use_bias")
    kernel_initializer, bias_initializer = _of_cell("kernel_initializer"), _of_cell("bias_initializer")
    recurrent_initializer = _of_cell("recurrent_initializer")
    kernel_regularizer, bias_regularizer = _of_cell("kernel_regularizer"), _of_cell("bias_regularizer")
    recurrent_regularizer = _of_cell("recurrent_regularizer")
    kernel_constraint, bias_constraint = _of_cell("kernel_constraint"), _of_cell("bias_constraint")
    recurrent_constraint = _of_cell("recurrent_constraint")
    dropout, recurrent_dropout = _of_cell("dropout"), _of_cell("recurrent_dropout")

    def _made_of(self, name: str, given: Any) -> Any:
        """What the layer, or its cell, made of an argument."""
        return self.cell._made_of(name, super()._made_of(name, given))

    def changed_arguments(self) -> dict[str, Any]:
        """What every layer writes, and what masked times give."""
        return {**super().changed_arguments(), "zero_output_for_mask": self.zero_output_for_mask}

    def check_input(self, inputs: Array) -> None:
        """Sequences of as many numbers as the kernel has rows."""
        shape = self.cell.kernel.shape
        self.expects_last(inputs, shape[0], f"this layer's weights were built as {shape}")

    def prepare(self, xs: Array, kept: Sequence[Kept]) -> Array:
        """The inputs' part of the sums, for all times in one product."""
        return self.cell.project(xs, kept[0][0])

    def advance(self, x: Array, states: list[Any], training: bool) -> tuple[Array, Any]:
        """One time, from the inputs' part of the sums."""
        kept = None if self.cell.kept is None else self.cell.kept[1]
        after = self.cell.advance(x, states, kept)
        return after[0], after

    def loop_variables(self) -> list[Variable]:
        """The cells of ours draw before the loop, and assign nothing within."""
        return []

    def _loop(
        self, xs: Any, states: list[Any], counts: Any, training: bool, whole: bool = False
    ) -> tuple[Any, list[Any], Any]:
        """The same loop; the gradient of the recurrent kernel comes after it, in one product.

        On its way back the loop finds the gradient by each time's sums, which is that by xs. The kernel's
        is the sum over the times of (state before)^T (that gradient): one product for all of them, where
        the loop would add up one for each time.
        """
        scope, kernel = current_scope(), self.cell.recurrent_kernel
        dropped = self.cell.kept is not None and self.cell.kept[1] is not None
        masked = counts is not None and self._masks_output
        if (
            scope is None
            or scope.handed is not None
            or dropped
            or masked
            or not self.cell.adds_recurrent_sums
        ):
            return super()._loop(xs, states, counts, training, whole)

        def run(matrix: Any, xs: Any, states: Any, counts: Any) -> Any:
            with scope.standing_in(kernel, matrix):
                return RNN._loop(self, xs, states, counts, training, whole=True)

        def forward(matrix: Any, xs: Any, states: Any, counts: Any) -> Any:
            results, back = jax.vjp(lambda xs, states: run(matrix, xs, states, counts), xs, states)
            outputs, first = results[2], states[0][None]
            before = [outputs[1:], first] if self.go_backwards else [first, outputs[:-1]]
            return results, (back, jnp.concatenate(before))

        def backward(kept: Any, slopes: Any) -> Any:
            back, before = kept
            by_xs, by_states = back(slopes)
            return jnp.einsum("tbi,tbj->ij", before, by_xs), by_xs, by_states, None

        whole_loop: Any = jax.custom_vjp(run)
        whole_loop.defvjp(forward, backward)
        last, states, outputs = whole_loop(as_array(kernel), xs, states, counts)
        return last, states, outputs if whole or self.return_sequences else None

    def stated_for(self) -> list[Variable]:
        """The cell's weights, which are used here."""
        return self.cell.stated_for()

    # Its arithmetic: that of the cell, at one time.

    def formula(self, unit: Unit) -> Expression | None:
        """The cell's arithmetic at the time that comes first in the index."""
        if unit.what != "output":
            return self.cell.formula(unit.at(unit.index[0], self._over_time))
        now = self._when_given(unit)
        if not self._counts(unit, now.times[-1]):
            return Number(0.0) if self.zero_output_for_mask else now.number("h_before", *now.index)
        return self.cell.formula(now)

    def _when_given(self, unit: Unit) -> Unit:
        """The number of an output, seen at its time."""
        *place, j = unit.index
        last = len(unit.row("h")) - 1
        time = place[0] if place else last
        return replace(unit, index=(time, j)).at(last - time if self.go_backwards else time, self._over_time)

    def backward(self, unit: Unit) -> Expression | None:
        """The way back through time."""
        now = unit.at(unit.index[0], self._over_time)
        if unit.what not in ("h", "c"):
            return self.cell.backward(now)
        if self.cell.backward(replace(now, what="h_before")) is None:
            return None
        return self._state_slope(unit, now)

    def _state_slope(self, unit: Unit, now: Unit) -> Expression:
        """DJ/dh from the outputs that are h, and from the next time; dJ/dc from h and the next time."""
        time, j = unit.index
        if not self._counts(unit, time):
            return Number(0.0)
        terms: list[Expression | None] = [self.cell.backward(now)] if unit.what == "c" else []
        times = range(len(unit.row("h")))
        order = [*reversed(times)] if self.go_backwards else [*times]
        for place in range(order.index(time), len(order)):
            then = order[place]
            if then != time and self._counts(unit, then):
                before = replace(unit, what=f"{unit.what}_before", index=(then, j))
                terms.append(self.cell.backward(before.at(then, self._over_time)))
                break
            told = self.return_sequences or place == len(order) - 1
            if unit.what == "h" and told and (then == time or not self.zero_output_for_mask):
                output = "output_0" if self.return_state else "output"
                terms.append(unit.gradient(output, *([place] if self.return_sequences else []), j))
        else:
            if self.return_state:
                terms.append(unit.gradient("output_1" if unit.what == "h" else "output_2", j))
        return total([term for term in terms if term is not None])

    def _counts(self, unit: Unit, time: int) -> bool:
        """Whether a time of an example counts."""
        return "mask" not in unit.arrays or bool(unit.row("mask")[time])

    def gradient_terms(
        self, variable: Variable, index: tuple[int, ...], seen: Unit, slopes: Mapping[str, Any]
    ) -> list[Expression] | None:
        """What the cell states for each time."""
        terms: list[Expression] = []
        for time in range(len(seen.row("h"))):
            then = {name: array[time] for name, array in slopes.items() if name in self._over_time}
            made = self.cell.gradient_terms(variable, index, seen.at(time, self._over_time), then)
            if made is None:
                return None
            terms += made
        return terms


@CATALOGUE.entry()
class SimpleRNN(_Recurrent):
    """A simple recurrent layer: each output goes into the next time's sums.

        z_tj = sum_i x_ti * kernel_ij + sum_i h_(t-1)i * recurrent_kernel_ij + bias_j
        h_t = activation(z_t)

    Args:
        units: how many numbers come out.
        activation: a name or a function; None leaves h = z.
        use_bias: whether each sum has a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: first values.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: penalties added
            to the cost.
        kernel_constraint, recurrent_constraint, bias_constraint: rules applied after each update.
        dropout, recurrent_dropout: the part of the inputs, and of the state, that is dropped while
            training, the same at all times of a sequence.
        seed: what is dropped; drawn when None.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: see `RNN`.

    Shapes: (rows, time, features) in; (rows, time, units) or (rows, units) out; kernel (features, units),
    recurrent_kernel (units, units), bias (units,).

    Example:
        >>> SimpleRNN(4)(np.zeros((2, 5, 3))).shape
        (2, 4)
    """

    stated = ("z", "h")

    #: Keras draws the seed of the layer's own dropout before those of the weights.
    made_within = ("kernel_initializer", "recurrent_initializer", "bias_initializer")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        cell = SimpleRNNCell(
            units,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed=seed,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="simple_rnn_cell",
        )
        super().__init__(
            cell,
            return_sequences,
            return_state,
            go_backwards,
            stateful,
            unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )


@CATALOGUE.entry()
class LSTM(_Recurrent):
    """Long short-term memory: a layer that decides at each time what it forgets, keeps and tells.

        z_tj = sum_i x_ti * kernel_ij + sum_i h_(t-1)i * recurrent_kernel_ij + bias_j
        i, f, o = recurrent_activation(z_i), recurrent_activation(z_f), recurrent_activation(z_o)
        c_t = f * c_(t-1) + i * activation(z_c)
        h_t = o * activation(c_t)

    The sums z come in the order i, f, c, o. Hochreiter & Schmidhuber, 1997; Gers et al., 2000.

    Args:
        units: how many numbers come out.
        activation: of what is written into the memory, and read from it.
        recurrent_activation: of the gates.
        use_bias: whether each sum has a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: first values.
        unit_forget_bias: whether the bias of the forget gate starts from 1.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: penalties added
            to the cost.
        kernel_constraint, recurrent_constraint, bias_constraint: rules applied after each update.
        dropout, recurrent_dropout: the part of the inputs, and of the state, that is dropped while
            training, the same at all times of a sequence.
        seed: what is dropped; drawn when None.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: see `RNN`.
        use_cudnn: taken and not needed.

    Shapes: (rows, time, features) in; (rows, time, units) or (rows, units) out; kernel
    (features, 4 * units), recurrent_kernel (units, 4 * units), bias (4 * units,).

    Example:
        >>> output, h, c = LSTM(4, return_state=True)(np.zeros((2, 5, 3)))
        >>> output.shape, h.shape, c.shape
        ((2, 4), (2, 4), (2, 4))
    """

    stated = ("z", "h", "c")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        implementation = kwargs.pop("implementation", 2)
        _check_cudnn(use_cudnn)
        cell = LSTMCell(
            units,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            unit_forget_bias,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed=seed,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="lstm_cell",
            implementation=implementation,
        )
        super().__init__(
            cell,
            return_sequences,
            return_state,
            go_backwards,
            stateful,
            unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )


@CATALOGUE.entry()
class GRU(_Recurrent):
    """Gated recurrent units: a layer that mixes at each time what it knew with what it sees.

        update, reset = recurrent_activation(z)
        candidate = x_t W + reset * (h_(t-1) R + recurrent bias) + bias
        h_t = update * h_(t-1) + (1 - update) * activation(candidate)

    An opened step shows the sums of the two gates as z, (rows, time, 2 * units), and that of the candidate
    beside it. Cho et al., 2014.

    Args:
        units: how many numbers come out.
        activation: of the candidate.
        recurrent_activation: of the gates.
        use_bias: whether each sum has a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: first values.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: penalties added
            to the cost.
        kernel_constraint, recurrent_constraint, bias_constraint: rules applied after each update.
        dropout, recurrent_dropout: the part of the inputs, and of the state, that is dropped while
            training, the same at all times of a sequence.
        seed: what is dropped; drawn when None.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: see `RNN`.
        reset_after: whether the state is reset after its product with R, or before.
        use_cudnn: taken and not needed.

    Shapes: (rows, time, features) in; (rows, time, units) or (rows, units) out; kernel
    (features, 3 * units), recurrent_kernel (units, 3 * units), bias (2, 3 * units), or (3 * units,) with
    reset_after=False.

    Example:
        >>> GRU(4, return_sequences=True)(np.zeros((2, 5, 3))).shape
        (2, 5, 4)
    """

    stated = ("z", "candidate", "h")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        implementation = kwargs.pop("implementation", 2)
        _check_cudnn(use_cudnn)
        cell = GRUCell(
            units,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed=seed,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="gru_cell",
            reset_after=reset_after,
            implementation=implementation,
        )
        super().__init__(
            cell,
            return_sequences,
            return_state,
            go_backwards,
            stateful,
            unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )

    reset_after = _of_cell("reset_after")


def _check_cudnn(value: Any) -> None:
    if value not in ("auto", True, False):
        raise ArgumentError(
            message("use_cudnn is unknown.", came=repr(value), expected="'auto', True or False")
        )
