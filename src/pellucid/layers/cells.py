"""Recurrent cells: what a recurrent layer does at one time of a sequence, and the arithmetic of it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import activations, constraints, initializers, regularizers
from pellucid.arrays import Array, Shape, as_array
from pellucid.errors import ArgumentError, ShapeError, message
from pellucid.formula import Expression, Number, Unit, statement_of, times, total
from pellucid.layers.layer import CATALOGUE, Layer, positive
from pellucid.variables import SeedGenerator, Variable

#: What is dropped of the inputs and of the state, the same at all times; None: nothing.
Kept = tuple[Array | None, Array | None]


class Cell(Layer):
    """What our cells share: weights, sums, and what is dropped.

    For each of its gates a cell makes sums over the inputs and over the state before:

        z_j = sum_i x_i * kernel_ij + sum_i h_i * recurrent_kernel_ij + bias_j
    """

    #: How many sums there are for each unit.
    gates: ClassVar[int] = 1
    #: How many arrays of `units` numbers are passed on.
    states: ClassVar[int] = 1
    #: Whether z is just the sum of the inputs' part and the state's.
    adds_recurrent_sums: ClassVar[bool] = True
    rows_independent = True

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = positive("units", units, type(self).__name__)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer: Any = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.dropout = min(1.0, max(0.0, dropout))
        self.recurrent_dropout = min(1.0, max(0.0, recurrent_dropout))
        self.seed = seed
        #: Whether each gate drops other numbers.
        self.drops_by_gate = False
        #: What is dropped in the sequence that is under way.
        self.kept: Kept | None = None
        self.kernel: Any = None
        self.recurrent_kernel: Any = None
        self.bias: Any = None

    @property
    def state_size(self) -> Any:
        """How many numbers each state has."""
        return self.units if self.states == 1 else [self.units] * self.states

    @property
    def output_size(self) -> int:
        """How many numbers come out."""
        return self.units

    def build(self, input_shape: Shape) -> None:
        """Make kernel, recurrent kernel and bias."""
        if input_shape[-1] is None:
            raise ShapeError(
                message(
                    f"{self.describe()} needs to know how many numbers there are at each time.",
                    came=f"input of shape {input_shape}",
                    mend="say keras.Input(shape=(None, 8)) for sequences of any length, 8 numbers each.",
                )
            )
        columns = self.gates * self.units
        self.kernel = self.add_weight(
            shape=(input_shape[-1], columns),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, columns),
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
            name="recurrent_kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                shape=self.bias_shape(),
                initializer=self.first_bias,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
        self.seed_generator.state.path = f"{self.kernel.path.rpartition('/')[0]}/seed"
        self.seed_generator.state.moves_when_asked = self.draws > 0

    seed_generator: SeedGenerator

    def bias_shape(self) -> tuple[int, ...]:
        """The shape of the bias."""
        return (self.gates * self.units,)

    def first_bias(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """The bias to start from."""
        return self.bias_initializer(shape, dtype=dtype)

    def get_initial_state(self, batch_size: int | None = None) -> list[Array]:
        """Zeros: the states before the first time."""
        return [jnp.zeros((batch_size or 1, self.units), self.compute_dtype) for _ in range(self.states)]

    # What is dropped.

    @property
    def draws(self) -> int:
        """How many draws a sequence takes; as in Keras, also one for whose answers nothing is dropped."""
        each = self.gates if self.drops_by_gate else 1
        return each * sum(rate > 0 for rate in (self.dropout, self.recurrent_dropout))

    def draw(self, rows: int, training: bool) -> Kept:
        """Which inputs and which numbers of the state are kept, for all times of a sequence."""
        inputs = self.kernel.shape[0]
        return (
            self._drawn("kept", self.dropout, rows, inputs) if training else None,
            self._drawn("kept_of_state", self.recurrent_dropout, rows, self.units) if training else None,
        )

    def _drawn(self, name: str, rate: float, rows: int, size: int) -> Array | None:
        if not 0 < rate < 1:
            return None
        masks = [
            jax.random.bernoulli(self.seed_generator.next(), 1.0 - rate, (rows, size))
            for _ in range(self.gates if self.drops_by_gate else 1)
        ]
        return self.hand_out(name, jnp.stack(masks, 1) if self.drops_by_gate else masks[0], drawn=True)

    @contextlib.contextmanager
    def sequence(self, rows: int, training: bool) -> Generator[Kept]:
        """Drop the same numbers at all times within a with block."""
        self.kept = self.draw(rows, training)
        if not training and self.draws:
            self.seed_generator.skip(self.draws)
        try:
            yield self.kept
        finally:
            self.kept = None

    def _product(self, x: Any, kept: Array | None, rate: float, matrix: Any) -> Array:
        """X @ matrix, where only some of x are kept, and those enlarged."""
        matrix = as_array(matrix)
        if kept is None:
            return x @ matrix
        factors = kept * (jnp.ones((), x.dtype) / (1.0 - rate))
        if kept.ndim == 2:
            return (x * factors) @ matrix
        by_gate = matrix.reshape(matrix.shape[0], kept.shape[1], -1)
        sums = jnp.einsum("...gi,igj->...gj", x[..., None, :] * factors, by_gate)
        return sums.reshape(*x.shape[:-1], -1)

    # One time.

    def project(self, x: Array, kept: Array | None) -> Array:
        """The inputs' part of the sums, (..., rows, gates * units), for one time or for all."""
        sums = self._product(x, kept, self.dropout, self.kernel)
        return sums + self.input_bias if self.use_bias else sums

    @property
    def input_bias(self) -> Any:
        """What is added to the inputs' part."""
        return self.bias

    def advance(self, projected: Array, states: list[Array], kept: Array | None) -> list[Array]:
        """The states after one time, from the inputs' part of the sums; the first is the output."""
        raise NotImplementedError

    def call(self, inputs: Array, states: Any, training: bool = False) -> tuple[Array, Any]:
        """One time: the output, and the states after it."""
        several = isinstance(states, list | tuple)
        before = list(cast(Sequence[Any], states)) if several else [states]
        kept, kept_of_state = self.kept or self.draw(inputs.shape[0], training)
        if self.kept is not None:  # and so drawn for the whole sequence, by the layer that calls
            kept = kept if kept is None else self.hand_out("kept", kept)
            if kept_of_state is not None:
                kept_of_state = self.hand_out("kept_of_state", kept_of_state)
        after = self.advance(self.project(inputs, kept), before, kept_of_state)
        return after[0], after if several else after[0]

    def compute_output_shape(self, input_shape: Any, states_shape: Any = None) -> Any:
        """The shapes of the output and of the states."""
        shape = (input_shape[0], self.units)
        return shape, [shape] * self.states

    # Its arithmetic: of one time.

    def functions(self) -> list[Any]:
        """The activations."""
        return [self.activation]

    def formula(self, unit: Unit) -> Expression | None:
        """The arithmetic of one time, if that of the activations is known."""
        known = all(statement_of(function) is not None for function in self.functions())
        return self.arithmetic(unit) if known else None

    def backward(self, unit: Unit) -> Expression | None:
        """The way back through one time: the gradient by a sum, or by "input", "h_before", "c_before"."""
        known = all(
            statement_of(function) is not None and not activations.mixes_row(function)
            for function in self.functions()
        )
        return self.way_back(unit) if known and unit.what != "h" else None

    def arithmetic(self, unit: Unit) -> Expression:
        """The sums, and what the cell makes of them."""
        (j,) = unit.index
        return self.sum_of(unit, j) if unit.what == "z" else self.gate(unit, self.activation, "z", 0, j)

    def way_back(self, unit: Unit) -> Expression:
        """The gradient by a sum, and by what went into the sums."""
        (j,) = unit.index
        if unit.what == "z":
            return times(unit.gradient("h", j), self.gate_slope(unit, self.activation, "z", 0, j))
        return self.spread(unit, unit.what, j)

    def gate(self, unit: Unit, activation: Any, what: str, gate: int, j: int) -> Expression:
        """What an activation makes of the sums of a gate."""
        row = [unit.number(what, gate * self.units + each) for each in range(self.units)]
        return cast(Expression, activations.formula(activation, row, j))

    def gate_slope(self, unit: Unit, activation: Any, what: str, gate: int, j: int) -> Expression:
        """How it changes with its own sum."""
        z, a = unit.number(what, gate * self.units + j), self.gate(unit, activation, what, gate, j)
        return cast(Expression, activations.slope(activation, [z], [a], 0, 0))

    def sum_of(self, unit: Unit, column: int) -> Expression:
        """z_j = sum_i x_i * kernel_ij + sum_i h_i * recurrent_kernel_ij + bias_j."""
        terms = [*self.terms(unit, "input", column), *self.terms(unit, "h_before", column)]
        return total([*terms, unit.weight(self.bias, column)] if self.use_bias else terms)

    def terms(self, unit: Unit, what: str, column: int) -> list[Expression]:
        """The terms of a sum that come from the inputs, or from the state before."""
        matrix, size = self.matrix_of(what), len(unit.row(what))
        if what == "h_before" and not unit.row(what).any():
            return []  # before the first time
        terms = [
            times(unit.number(what, i), self.factor(unit, what, i, column), unit.weight(matrix, i, column))
            for i in range(size)
        ]
        return [term for term in terms if not isinstance(term, Number)]

    def matrix_of(self, what: str) -> Any:
        """The weights that a number is multiplied by."""
        return self.kernel if what == "input" else self.recurrent_kernel

    def factor(self, unit: Unit, what: str, i: int, column: int) -> Expression:
        """By what a number is multiplied before its weight: 1 / (1 - rate), or 0, where some are dropped."""
        name, rate = ("kept", self.dropout) if what == "input" else ("kept_of_state", self.recurrent_dropout)
        if name not in unit.arrays:
            return Number(1.0)
        kept = unit.row(name)
        is_kept = kept[column // self.units, i] if kept.ndim == 2 else kept[i]
        return 1 / (1 - Number(rate)) if is_kept else Number(0.0)

    def part_slope(self, unit: Unit, what: str, column: int, d_z: Expression) -> Expression:
        """The gradient by the inputs' part of a sum, or by the state's: that by the sum."""
        return d_z

    def d_z(self, unit: Unit, column: int, slopes: Mapping[str, Any] | None = None) -> Expression:
        """The gradient of the cost by a sum; with `slopes`, of an example's own loss."""
        return unit.gradient("z", column) if slopes is None else unit.slope("z", slopes["z"][column], column)

    def spread(self, unit: Unit, what: str, i: int) -> Expression:
        """Sum_j dJ/dz_j * matrix_ij, over all sums that a number goes into."""
        matrix = self.matrix_of(what)
        return total(
            times(
                self.part_slope(unit, what, column, self.d_z(unit, column)),
                self.factor(unit, what, i, column),
                unit.weight(matrix, i, column),
            )
            for column in range(self.gates * self.units)
        )

    def biased(self, unit: Unit, index: tuple[int, ...], d_z: Expression) -> Expression:
        """What one time adds to the gradient of a bias."""
        return d_z

    def gradient_terms(
        self, variable: Variable, index: tuple[int, ...], seen: Unit, slopes: Mapping[str, Any]
    ) -> list[Expression] | None:
        """x_i * dJ/dz_j for kernel_ij, h_i * dJ/dz_j for recurrent_kernel_ij, dJ/dz_j for bias_j."""
        if any(statement_of(function) is None for function in self.functions()):
            return None
        column = index[-1]
        d_z = self.d_z(seen, column, slopes)
        if variable is self.bias:
            return [self.biased(seen, index, d_z)]
        i, what = index[0], "input" if variable is self.kernel else "h_before"
        slope = self.part_slope(seen, what, column, d_z)
        return [times(seen.number(what, i), self.factor(seen, what, i, column), slope)]


@CATALOGUE.entry()
class SimpleRNNCell(Cell):
    """The simplest cell: h = activation(x W + h_before R + b).

    Args:
        units: how many numbers the state, and so the output, has.
        activation: a name or a function; None leaves h = z.
        use_bias: whether each unit has a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: first values.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties added to the cost.
        kernel_constraint, recurrent_constraint, bias_constraint: rules applied after each update.
        dropout: the part of the inputs that is dropped while training, the same at all times.
        recurrent_dropout: the same of the state.
        seed: what is dropped; drawn when None.

    Shapes: inputs (rows, features) and states [(rows, units)] in, the same states out.

    Example:
        >>> output, states = SimpleRNNCell(2)(np.ones((1, 3)), [np.zeros((1, 2))])
        >>> output.shape, len(states)
        ((1, 2), 1)
    """

    stated = ("z", "h")

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        # Of the three cells this one draws its own seed before those of its weights.
        self.seed_generator = SeedGenerator(seed)
        super().__init__(
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
            seed,
            **kwargs,
        )

    def advance(self, projected: Array, states: list[Array], kept: Array | None) -> list[Array]:
        """H = activation(z)."""
        before = self.hand_out("h_before", states[0])
        recurrent = self._product(before, kept, self.recurrent_dropout, self.recurrent_kernel)
        return [self.hand_out("h", self.activation(self.hand_out("z", projected + recurrent)))]


class GatedCell(Cell):
    """A cell with gates: numbers between 0 and 1 that say how much goes through."""

    def __init__(
        self,
        units: int,
        activation: Any,
        recurrent_activation: Any,
        *others: Any,
        seed: int | None,
        **kwargs: Any,
    ) -> None:
        implementation = kwargs.pop("implementation", 2)
        super().__init__(units, activation, *others, seed=seed, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.seed_generator = SeedGenerator(seed)
        self.drops_by_gate = implementation == 1 or self.recurrent_dropout > 0

    def functions(self) -> list[Any]:
        """The activations."""
        return [self.activation, self.recurrent_activation]


@CATALOGUE.entry()
class LSTMCell(GatedCell):
    """A cell with a memory c, and gates that say what is forgotten, written and read.

        i, f, o = recurrent_activation(z_i), recurrent_activation(z_f), recurrent_activation(z_o)
        c = f * c_before + i * activation(z_c)
        h = o * activation(c)

    The sums z come in the order i, f, c, o. Hochreiter & Schmidhuber, 1997; Gers et al., 2000.

    Args:
        units: how many numbers each of the two states, and so the output, has.
        activation: of what is written into the memory, and read from it.
        recurrent_activation: of the gates.
        use_bias: whether each sum has a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: first values.
        unit_forget_bias: whether the bias of the forget gate starts from 1.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties added to the cost.
        kernel_constraint, recurrent_constraint, bias_constraint: rules applied after each update.
        dropout: the part of the inputs that is dropped while training, the same at all times.
        recurrent_dropout: the same of the state, for each gate its own.
        seed: what is dropped; drawn when None.

    Shapes: inputs (rows, features) and states [h, c], each (rows, units), in; the same states out.

    Example:
        >>> cell = LSTMCell(3)
        >>> output, (h, c) = cell(np.ones((2, 4)), cell.get_initial_state(2))
        >>> output.shape, h.shape, c.shape
        ((2, 3), (2, 3), (2, 3))
    """

    gates = 4
    states = 2
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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
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
            **kwargs,
        )
        self.unit_forget_bias = unit_forget_bias

    def first_bias(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Ones for the forget gate, so that nothing is forgotten at first."""
        if not self.unit_forget_bias:
            return super().first_bias(shape, dtype)
        input_gate = self.bias_initializer((self.units,), dtype=dtype)
        others = self.bias_initializer((2 * self.units,), dtype=dtype)
        return np.concatenate([input_gate, np.ones(self.units, dtype), others])

    def advance(self, projected: Array, states: list[Array], kept: Array | None) -> list[Array]:
        """The gates, what is remembered, and what is read of it."""
        h, c = self.hand_out("h_before", states[0]), self.hand_out("c_before", states[1])
        recurrent = self._product(h, kept, self.recurrent_dropout, self.recurrent_kernel)
        z = self.hand_out("z", projected + recurrent)
        z_i, z_f, z_c, z_o = jnp.split(z, 4, axis=-1)
        gate = self.recurrent_activation
        c = self.hand_out("c", gate(z_f) * c + gate(z_i) * self.activation(z_c))
        return [self.hand_out("h", gate(z_o) * self.activation(c)), c]

    def arithmetic(self, unit: Unit) -> Expression:
        """C = f * c_before + i * activation(z_c); h = o * activation(c)."""
        (j,) = unit.index
        sigmoid = self.recurrent_activation
        if unit.what == "z":
            return self.sum_of(unit, j)
        if unit.what == "c":
            i, f = self.gate(unit, sigmoid, "z", 0, j), self.gate(unit, sigmoid, "z", 1, j)
            return total([f * unit.number("c_before", j), i * self.gate(unit, self.activation, "z", 2, j)])
        return self.gate(unit, sigmoid, "z", 3, j) * self.gate(unit, self.activation, "c", 0, j)

    def way_back(self, unit: Unit) -> Expression:
        """The way back through one time, by the rules of products."""
        (column,) = unit.index
        sigmoid, tanh = self.recurrent_activation, self.activation
        if unit.what == "c_before":
            return unit.gradient("c", column) * self.gate(unit, sigmoid, "z", 1, column)
        if unit.what == "c":
            o = self.gate(unit, sigmoid, "z", 3, column)
            return times(unit.gradient("h", column), o, self.gate_slope(unit, tanh, "c", 0, column))
        if unit.what != "z":
            return super().way_back(unit)
        gate, j = divmod(column, self.units)
        slope = self.gate_slope(unit, tanh if gate == 2 else sigmoid, "z", gate, j)
        if gate == 3:
            return times(unit.gradient("h", j), self.gate(unit, tanh, "c", 0, j), slope)
        if gate == 1:
            return times(unit.gradient("c", j), unit.number("c_before", j), slope)
        other = self.gate(unit, sigmoid, "z", 0, j) if gate == 2 else self.gate(unit, tanh, "z", 2, j)
        return times(unit.gradient("c", j), other, slope)


@CATALOGUE.entry()
class GRUCell(GatedCell):
    """A cell whose state is a mixture, by gates, of the state before and a candidate for it.

        update, reset = recurrent_activation(z)
        candidate = x W + reset * (h_before R + recurrent bias) + bias
        h = update * h_before + (1 - update) * activation(candidate)

    With reset_after=False the state is reset before its product: ... + (reset * h_before) R + bias.
    The columns of the weights come in the order update, reset, candidate. An opened step shows the sums of
    the two gates as z, (rows, 2 * units), and that of the candidate beside it. Cho et al., 2014.

    Args:
        units: how many numbers the state, and so the output, has.
        activation: of the candidate.
        recurrent_activation: of the gates.
        use_bias: whether each sum has a bias; two, one for the state's part, if `reset_after`.
        kernel_initializer, recurrent_initializer, bias_initializer: first values.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties added to the cost.
        kernel_constraint, recurrent_constraint, bias_constraint: rules applied after each update.
        dropout: the part of the inputs that is dropped while training, the same at all times.
        recurrent_dropout: the same of the state, for each gate its own.
        reset_after: whether the state is reset after its product.
        seed: what is dropped; drawn when None.

    Shapes: inputs (rows, features) and states [(rows, units)] in, the same states out.

    Example:
        >>> cell = GRUCell(3)
        >>> output, states = cell(np.ones((2, 4)), cell.get_initial_state(2))
        >>> output.shape
        (2, 3)
    """

    adds_recurrent_sums = False
    gates = 3
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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
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
            **kwargs,
        )
        self.reset_after = reset_after

    def bias_shape(self) -> tuple[int, ...]:
        """Two biases for each sum, if the state is reset after its product: (2, 3 * units)."""
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    @property
    def input_bias(self) -> Any:
        """What is added to the inputs' part."""
        return self.bias[0] if self.reset_after else self.bias

    def advance(self, projected: Array, states: list[Array], kept: Array | None) -> list[Array]:
        """The gates, the candidate, and their mixture."""
        h, gates, rate = self.hand_out("h_before", states[0]), 2 * self.units, self.recurrent_dropout
        if self.reset_after:
            recurrent = self._product(h, kept, rate, self.recurrent_kernel)
            recurrent = recurrent + self.bias[1] if self.use_bias else recurrent
        else:
            of_gates = None if kept is None else kept[:, :2]
            recurrent = self._product(h, of_gates, rate, self.recurrent_kernel[:, :gates])
        z = self.hand_out("z", projected[:, :gates] + recurrent[:, :gates])
        update, reset = jnp.split(self.recurrent_activation(z), 2, axis=-1)
        if self.reset_after:
            part = reset * recurrent[:, gates:]
        else:
            of_candidate = None if kept is None else kept[:, 2]
            part = self._product(reset * h, of_candidate, rate, self.recurrent_kernel[:, gates:])
        candidate = self.hand_out("candidate", projected[:, gates:] + part)
        return [self.hand_out("h", update * h + (1 - update) * self.activation(candidate))]

    def _reset(self, unit: Unit, j: int) -> Expression:
        return self.gate(unit, self.recurrent_activation, "z", 1, j)

    def arithmetic(self, unit: Unit) -> Expression:
        """The sums of the gates and of the candidate, and the mixture."""
        (j,) = unit.index
        if unit.what == "z":
            return self.sum_of(unit, j)
        if unit.what == "candidate":
            return self.sum_of(unit, 2 * self.units + j)
        update = self.gate(unit, self.recurrent_activation, "z", 0, j)
        candidate = self.gate(unit, self.activation, "candidate", 0, j)
        return total([update * unit.number("h_before", j), (1 - update) * candidate])

    def sum_of(self, unit: Unit, column: int) -> Expression:
        """The sum of a gate or of a candidate."""
        recurrent = self.recurrent_sum(unit, column)
        if self.reset_after and column >= 2 * self.units:
            recurrent = times(self._reset(unit, column - 2 * self.units), recurrent)
        bias = [unit.weight(self.bias, *((0,) if self.reset_after else ()), column)] if self.use_bias else []
        return total([*self.terms(unit, "input", column), recurrent, *bias])

    def recurrent_sum(self, unit: Unit, column: int) -> Expression:
        """The part of a sum that comes from the state."""
        bias = [unit.weight(self.bias, 1, column)] if self.use_bias and self.reset_after else []
        return total([*self.terms(unit, "h_before", column), *bias])

    def factor(self, unit: Unit, what: str, i: int, column: int) -> Expression:
        """What is reset before its product is multiplied by the reset gate, too."""
        factor = super().factor(unit, what, i, column)
        if self.reset_after or what == "input" or column < 2 * self.units:
            return factor
        return times(self._reset(unit, i), factor)

    def part_slope(self, unit: Unit, what: str, column: int, d_z: Expression) -> Expression:
        """What is reset after its product passes on only as much of the gradient."""
        if not self.reset_after or what == "input" or column < 2 * self.units:
            return d_z
        return times(self._reset(unit, column - 2 * self.units), d_z)

    def way_back(self, unit: Unit) -> Expression:
        """The way back through one time, by the rules of products."""
        (column,) = unit.index
        gate, j = divmod(column, self.units)
        sigmoid, what = self.recurrent_activation, unit.what
        if what == "h_before":
            update = self.gate(unit, sigmoid, "z", 0, j)
            return total([unit.gradient("h", j) * update, self.spread(unit, what, j)])
        if what == "candidate":
            update, slope = (
                self.gate(unit, sigmoid, "z", 0, j),
                self.gate_slope(unit, self.activation, what, 0, j),
            )
            return times(unit.gradient("h", j), 1 - update, slope)
        if what != "z":
            return super().way_back(unit)
        slope = self.gate_slope(unit, sigmoid, "z", gate, j)
        if gate == 0:
            candidate = self.gate(unit, self.activation, "candidate", 0, j)
            return times(unit.gradient("h", j), unit.number("h_before", j) - candidate, slope)
        place = 2 * self.units + j
        if self.reset_after:
            return times(unit.gradient("candidate", j), self.recurrent_sum(unit, place), slope)
        kept = super().factor(unit, "h_before", j, place)
        by_candidates = total(
            unit.gradient("candidate", k) * unit.weight(self.recurrent_kernel, j, 2 * self.units + k)
            for k in range(self.units)
        )
        return times(by_candidates, kept, unit.number("h_before", j), slope)

    def d_z(self, unit: Unit, column: int, slopes: Mapping[str, Any] | None = None) -> Expression:
        """The gradient by the sum of a gate, or of a candidate."""
        if column < 2 * self.units:
            return super().d_z(unit, column, slopes)
        j = column - 2 * self.units
        if slopes is None:
            return unit.gradient("candidate", j)
        return unit.slope("candidate", slopes["candidate"][j], j)

    def biased(self, unit: Unit, index: tuple[int, ...], d_z: Expression) -> Expression:
        """The recurrent bias is in the state's part."""
        of_state = self.reset_after and index[0] == 1
        return self.part_slope(unit, "h_before", index[-1], d_z) if of_state else d_z


@CATALOGUE.entry()
class StackedRNNCells(Layer):
    """Cells on top of each other, as one cell: the output of each is the input of the next.

    Args:
        cells: a list of cells.

    Example:
        >>> cell = StackedRNNCells([LSTMCell(4), LSTMCell(3)])
        >>> output, states = cell(np.zeros((2, 5)), cell.get_initial_state(2))
        >>> output.shape, [len(each) for each in states]
        ((2, 3), [2, 2])
    """

    rows_independent = True

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = [as_cell(cell) for cell in cells]

    @property
    def state_size(self) -> list[Any]:
        """How many numbers each state of each cell has."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """How many numbers come out."""
        return output_size_of(self.cells[-1])

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """The states of each cell before the first time."""
        return [initial_state_of(cell, batch_size, self.compute_dtype) for cell in self.cells]

    def build(self, input_shape: Shape) -> None:
        """Build each cell for the outputs of the one before."""
        for cell in self.cells:
            if isinstance(cell, Layer):
                cell.build_for(input_shape)
            input_shape = (input_shape[0], output_size_of(cell))

    def call(self, inputs: Array, states: Sequence[Any], training: bool = False) -> tuple[Array, list[Any]]:
        """One time: through all cells."""
        after: list[Any] = []
        for cell, before in zip(self.cells, states, strict=True):
            several = isinstance(before, list | tuple)
            inputs, now = call_cell(cell, inputs, before if several else [before], training)
            after.append(now if several else jax.tree.leaves(now)[0])
        return inputs, after


def as_cell(cell: Any) -> Any:
    """A cell, also from its configuration, or ArgumentError."""
    if isinstance(cell, Mapping):
        cell = CATALOGUE.make(cell)
    for name in ("call", "state_size"):
        if not hasattr(cell, name):
            raise ArgumentError(
                message(
                    f"a cell of an RNN has call(inputs, states) and state_size; this one has no {name}.",
                    came=repr(cell),
                    expected="such as keras.layers.LSTMCell(32)",
                )
            )
    return cell


def call_cell(cell: Any, inputs: Array, states: Any, training: bool) -> Any:
    """One time of any cell."""
    return cell(inputs, states, training=training) if isinstance(cell, Layer) else cell.call(inputs, states)


def output_size_of(cell: Any) -> int:
    """How many numbers come out of a cell."""
    size = getattr(cell, "output_size", None)
    return jax.tree.leaves(cell.state_size)[0] if size is None else size


def initial_state_of(cell: Any, rows: int | None, dtype: str) -> Any:
    """The states of a cell before the first time: what it says, or zeros."""
    if hasattr(cell, "get_initial_state"):
        return cell.get_initial_state(batch_size=rows)
    sizes = cell.state_size
    zeros = [jnp.zeros((rows or 1, size), dtype) for size in jax.tree.leaves(sizes)]
    return zeros if isinstance(sizes, list | tuple) else zeros[0]


def own_cells(cell: Any) -> list[Cell]:
    """Our own cells, also those in a stack."""
    if isinstance(cell, StackedRNNCells):
        return [inner for each in cell.cells for inner in own_cells(each)]
    return [cell] if isinstance(cell, Cell) else []
