"""A training step, opened: every number in it, the arithmetic behind each, and how to check it.

    step = history.open(712)
    print(step)                               # the step as a story
    step.layers["dense"].z                    # what the layer computed, for every row of the batch
    step.formula("dense/kernel[2,3].gradient")
    step.check()                              # against central differences in float64

The weights before and after come from the compiled loop that trained. What is inside comes from the same
step, once more, with everything it computes returned; it is compared with the loop and with the log.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import optimizers
from pellucid.arrays import Arrays
from pellucid.checking import Check, check
from pellucid.data import Rows, as_rows
from pellucid.engine import Engine
from pellucid.errors import ArgumentError, StateError, did_you_mean, message
from pellucid.formula import (
    Expression,
    Formula,
    Let,
    Moved,
    Number,
    Rounded,
    Unit,
    derivative,
    indexed,
    mean,
    stated_by,
    times,
    total,
)
from pellucid.layers.layer import Layer
from pellucid.replay import Place, Replay, values_by_path
from pellucid.step import Batch, Parts, State, Values, step
from pellucid.variables import Handed
from pellucid.views import html, story

NumPy = np.ndarray[Any, Any]
#: An opened step that differs from the training by more than this part of it is not shown.
TOLERATED = 1e-3


class LayerPass:
    """What one layer did with a batch.

    Attributes:
        name: the layer's name; with the names of those it lies in before it, "block/dense", and "@2"
            behind it where a layer is called a second time.
        layer: the layer itself.
        input, z, output: what it was given, what it computed before the activation (None if the layer
            does not say), and what it gave on, for each row: shape (rows, ...).
        d_z, d_output: the gradients of the cost by z and by the output, of the same shapes; None where
            only the forward pass was opened.
        arrays: all that it handed out, by name: also "kept" of Dropout, "mean" of normalizations, ...
    """

    def __init__(
        self, name: str, layer: Layer, arrays: Mapping[str, NumPy], slopes: Mapping[str, NumPy]
    ) -> None:
        self.name, self.layer = name, layer
        self.arrays, self.slopes = dict(arrays), dict(slopes)

    @property
    def input(self) -> Any:
        """What the layer was given; a list where it was given several arrays."""
        return self._one_or_all("input")

    @property
    def output(self) -> Any:
        """What it gave on."""
        return self._one_or_all("output")

    @property
    def z(self) -> NumPy | None:
        """What it computed before its activation."""
        return self.arrays.get("z")

    @property
    def d_z(self) -> NumPy | None:
        """The gradient of the cost by z."""
        return self.slopes.get("z")

    @property
    def d_output(self) -> NumPy | None:
        """The gradient of the cost by the output."""
        return self.slopes.get("output")

    def _one_or_all(self, what: str) -> Any:
        if what in self.arrays:
            return self.arrays[what]
        several = [self.arrays[key] for key in self.arrays if re.fullmatch(rf"{what}_\d+", key)]
        return several or None

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in self.arrays.items())
        return f"<{self.name}: {type(self.layer).__name__}, {shapes}>"


class Layers(list[LayerPass]):
    """Layers in the order they were called, found by number or by name."""

    def __getitem__(self, key: Any) -> Any:
        """The layer of this number or name."""
        if not isinstance(key, str):
            return super().__getitem__(key)
        for each in self:
            if each.name == key:
                return each
        raise ArgumentError(
            message(
                f'there is no layer "{key}" in this step.',
                came=repr(key),
                expected=did_you_mean(key, [each.name for each in self]),
            )
        )


class Pass:
    """A forward pass that was opened: of a batch (`Step`) or of rows that somebody asked about.

    Attributes:
        x: the rows.
        layers: what each layer did, in the order of the calls.
        weights: the weights it was done with, by their paths.
        outputs: what the model gave.
    """

    training = False

    def __init__(
        self, parts: Parts, x: Arrays, layers: Layers, weights: Mapping[str, NumPy], outputs: Any
    ) -> None:
        self.parts = parts
        self.x, self.layers, self.weights, self.outputs = x, layers, dict(weights), outputs
        self.values: dict[str, NumPy] = dict(weights)
        self.columns: Sequence[str] = ()

    @property
    def rows_count(self) -> int:
        """How many rows there are."""
        return len(jax.tree.leaves(self.x)[0])

    def unit(self, layer: LayerPass, what: str, index: tuple[int, ...], example: int) -> Unit:
        """What a layer needs to know to state the arithmetic of one of its numbers."""
        first = self.columns if layer is self.layers[0] and self.columns else ()
        known = (layer.arrays, self.values, self.training, first, layer.slopes)
        return Unit(layer.name, what, index, example, *known)

    def formula(self, reference: str, example: int = 0) -> Formula:
        """The arithmetic of one number, with its value and the recorded number it was compared with.

        Args:
            reference: "dense.z[3]", "dense.output[3]"; indices name a number within the row.
            example: which row of the batch.

        Raises:
            ArgumentError: if there is no such number, or nothing states its arithmetic.
        """
        name, index, what = parsed(reference)
        layer, kind = self._layer_and_kind(name, what, reference)
        self._require_example(example)
        array = layer.arrays[kind]
        place = require_index(reference, index, array.shape[1:])
        roundoff = roundoff_of(array)
        known = f"{layer.name}.{kind}"
        if kind not in ("z", "output"):
            value = Number(array[(example, *place)], indexed(known, place))
            return Formula(indexed(known, place), value, value.value, roundoff)
        stated = stated_by(layer.layer, "formula", "call")
        expression = None if stated is None else stated(self.unit(layer, kind, place, example))
        if expression is None:
            raise ArgumentError(
                message(
                    f"{layer.layer.describe()} states no arithmetic for {reference}.",
                    expected="a layer with a method formula(unit), as Pellucid's own have",
                    mend=f"the number itself is step.layers[{layer.name!r}].{kind}[{example}]"
                    f"[{', '.join(map(str, place))}].",
                )
            )
        return Formula(indexed(known, place), expression, float(array[(example, *place)]), roundoff)

    def _layer_and_kind(self, name: str, what: str, reference: str) -> tuple[LayerPass, str]:
        stem, _, kind = name.rpartition(".")
        if what or not stem:
            raise ArgumentError(
                message("there is no such number.", came=repr(reference), expected=self._known(reference))
            )
        layer: LayerPass = self.layers[stem]
        if kind not in layer.arrays:
            raise ArgumentError(
                message(
                    f"{layer.layer.describe()} has no {kind}.",
                    came=repr(reference),
                    expected=did_you_mean(kind, layer.arrays),
                )
            )
        return layer, kind

    def _known(self, reference: str) -> str:
        return did_you_mean(re.sub(r"\[.*?\]", "", reference), self.names())

    def names(self) -> list[str]:
        """What `formula` can be asked for, without indices."""
        return [f"{layer.name}.{kind}" for layer in self.layers for kind in layer.arrays]

    def _require_example(self, example: int) -> None:
        if not 0 <= example < self.rows_count:
            raise ArgumentError(
                message(
                    "there is no such example in the batch.",
                    came=f"example={example}",
                    expected=f"0 to {self.rows_count - 1}",
                )
            )


def parsed(reference: str) -> tuple[str, tuple[int, ...] | None, str]:
    """A reference as (name, index, what).

    >>> parsed("dense/kernel[2,3].gradient"), parsed("dense.z[3]"), parsed("cost")
    (('dense/kernel', (2, 3), 'gradient'), ('dense.z', (3,), ''), ('cost', None, ''))
    """
    found = re.fullmatch(
        r"\s*([^\[\]]+?)(?:\[\s*(\d+(?:\s*,\s*\d+)*)\s*\])?(?:\.(gradient|update))?\s*", str(reference)
    )
    if found is None:
        raise ArgumentError(
            message(
                "this names no number.",
                came=repr(reference),
                expected='"dense/kernel[2,3]", "dense/kernel[2,3].gradient", "dense.z[3]", "cost", ...',
            )
        )
    index = tuple(int(each) for each in found[2].split(",")) if found[2] else None
    return found[1], index, found[3] or ""


def require_index(reference: str, index: tuple[int, ...] | None, shape: Sequence[int]) -> tuple[int, ...]:
    """An index that lies within a shape; left out, the only number there is."""
    if index is None and math.prod(shape) == 1:
        return (0,) * len(shape)
    fits = (
        index is not None
        and len(index) == len(shape)
        and all(0 <= place < size for place, size in zip(index, shape, strict=True))
    )
    if not fits or index is None:
        last = ",".join(str(size - 1) for size in shape)
        raise ArgumentError(
            message(
                "there is no number of this index.",
                came=repr(reference),
                expected=f"[{','.join('0' * len(shape))}] to [{last}]" if shape else "no index",
            )
        )
    return index


def roundoff_of(array: Any) -> float:
    """How much numbers of an array's type are rounded, as a part of them."""
    return float(jnp.finfo(array.dtype).eps) / 2 if jnp.issubdtype(array.dtype, jnp.floating) else 2.0**-24


# Opening.


class Opening(NamedTuple):
    """All that a step returns when it is opened."""

    weights: Values
    others: Values
    optimizer: Values
    cost: Any
    losses: Any
    shares: Any
    outputs: Any
    penalty: Any
    gradients: Values
    handed: dict[str, Any]
    slopes: dict[str, Any]
    update: dict[str, Any]


@dataclass
class Traced:
    """What is known of an opened step before it runs: the layers' calls, and what they hand out."""

    calls: list[tuple[str, Layer, int]]
    shapes: dict[str, Any]
    drawn: set[str]

    @classmethod
    def of(cls, parts: Parts, state: tuple[Values, Values], x: Arrays, training: bool) -> Traced:
        """Trace the forward pass."""
        handed = Handed()

        def forward(weights: Values, others: Values, x: Arrays) -> Any:
            return parts.forward(weights, others, x, training=training, handed=handed).handed

        shapes = jax.eval_shape(forward, *state, x)
        calls = [each for each in handed.calls if each[1].shown_when_opened]
        return cls(calls, shapes, handed.drawn)

    def nudges(self) -> dict[str, Any]:
        """Zeros for all values whose gradients are wanted: z and outputs."""
        return {
            name: jnp.zeros(spec.shape, spec.dtype)
            for name, spec in self.shapes.items()
            if re.search(r"\.(z|output(_\d+)?)$", name) and jnp.issubdtype(spec.dtype, jnp.floating)
        }

    def layers(self, handed: Mapping[str, Any], slopes: Mapping[str, Any], count: int) -> Layers:
        """What each layer did, cut to the rows that count."""
        found = Layers()
        for name, layer, _ in self.calls:
            own = rf"{re.escape(name)}\.(\w+)"

            def those(values: Mapping[str, Any], own: str = own) -> dict[str, NumPy]:
                matched = ((re.fullmatch(own, key), value) for key, value in values.items())
                return {m[1]: _cut(np.asarray(v), count) for m, v in matched if m is not None}

            found.append(LayerPass(name, layer, those(handed), those(slopes)))
        return found


def _cut(array: NumPy, count: int) -> NumPy:
    return array[:count] if array.ndim and len(array) > count and count else array


def opening(parts: Parts, nudges: Any, state: State, batch: Batch) -> Opening:
    """THE step once more, with everything it computes returned."""
    after, seen = step(parts, state, batch, nudges)
    losses, shares = losses_and_shares(parts, seen.forward.outputs, batch)
    return Opening(
        after.weights,
        after.others,
        after.optimizer,
        seen.cost,
        losses,
        shares,
        seen.forward.outputs,
        jnp.asarray(seen.forward.penalty, jnp.float32),
        seen.gradients,
        seen.forward.handed,
        seen.slopes,
        seen.update,
    )


def losses_and_shares(parts: Parts, outputs: Any, batch: Batch) -> tuple[Any, Any]:
    """The loss of each example, and how much of it is in the cost."""
    objective = parts.objective
    losses = objective.losses(batch.y, outputs)
    if losses is None:
        return None, None
    shares = jax.grad(lambda values: objective.reduced(values, batch.weight, batch.valid, batch.rows))(losses)
    return losses, shares


def open_step(replay: Replay, number: int, given: Rows | None = None, columns: Sequence[str] = ()) -> Step:
    """Open a step of a recorded training.

    Raises:
        StateError: if the model was changed since, or the step comes out otherwise than in training.
        DataError: if the rows that were trained on have changed or are gone.
    """
    replay.require_same_model()
    if replay.trained is not None:
        replay.rows(given)
    before = replay.state_before(number)
    after = replay.run(before, number, number + 1)
    place = replay.batch(number)
    logged = replay.record.log.row(number)
    opened = Step.of(replay.engine, before, place, columns)
    opened.number = number
    opened.epoch, opened.batch = replay.record.place_of(number)
    opened.epoch += replay.record.facts.first_epoch
    opened.batches_in_epoch = len(replay.record.steps_of(opened.epoch - replay.record.facts.first_epoch))
    opened.rows_in_all = replay.record.facts.rows
    opened.compare(after, None if logged is None else float(logged[0]))
    return opened


def difference(one: Any, other: Any) -> float:
    """The largest difference between numbers, as a part of the largest number; 0 for the same bits."""
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    with np.errstate(all="ignore"):
        gap = np.abs(np.where(same, 0.0, a - b))
        scale = np.abs(b[np.isfinite(b)]).max(initial=0.0)
    return float(np.nan_to_num(gap / (scale or 1.0), nan=np.inf).max())


class Push(NamedTuple):
    """What one row of the batch says about a weight.

    Attributes:
        row: the number of the row in the rows that were trained on.
        example: its place in the batch.
        gradient: the gradient of its own loss.
        share: how much of its loss is in the cost (1/32 in a batch of 32).
        push: share * gradient: its part of the gradient. The weight is moved the other way.
    """

    row: int
    example: int
    gradient: float
    share: float
    push: float


class Pushes(list[Push]):
    """Which rows pushed a weight, the strongest first; `penalty` is the part of regularizers."""

    def __init__(self, pushes: Sequence[Push], name: str, gradient: float, penalty: float) -> None:
        super().__init__(pushes)
        self.name, self.gradient, self.penalty = name, gradient, penalty

    def __str__(self) -> str:
        return story.pushes(self)


class Step(Pass):
    """One training step, opened.

    Attributes:
        number, epoch, batch: which step: in all, its epoch, and its place in the epoch, from 0.
        rows: the numbers of the batch's rows among the rows that were trained on.
        x, y, sample_weight: the rows themselves, their targets and their weights (or None).
        layers: each with `name`, `input`, `z`, `output`, `d_z`, `d_output`; found by number or name.
        losses: the loss of each example, before weights and mean.
        shares: how much of each loss is in the cost: 1/32 each in a batch of 32 without weights.
        cost: the mean of the losses (or what the loss's reduction says), with penalties.
        weights, gradients, updates, weights_after: by path, "dense/kernel".
        optimizer: `optimizer.learning_rate`, and its state `before` and `after` by name.
        exact: whether all numbers are those of the training, bit for bit.
        difference: the largest difference otherwise, as a part of the number.
    """

    training = True
    number = epoch = batch = 0
    batches_in_epoch = 0
    rows_in_all = 0

    def __init__(
        self,
        engine: Engine,
        state: State,
        place: Place,
        traced: Traced,
        opened: Opening,
        columns: Sequence[str] = (),
    ) -> None:
        parts = engine.parts
        count = place.size
        layers = traced.layers(opened.handed, opened.slopes or {}, count)
        super().__init__(
            parts,
            place.whole.x,
            layers,
            values_by_path(parts.weights, state.weights),
            jax.tree.map(lambda each: np.asarray(each)[:count], opened.outputs),
        )
        self.engine, self._state, self._place, self._traced = engine, state, place, traced
        self.columns = columns
        self.values |= values_by_path(parts.others, state.others)
        self.rows = place.rows
        self.y, self.sample_weight = place.whole.y, place.whole.weight
        self.losses: Any = None if opened.losses is None else np.asarray(opened.losses)[:count]
        self.shares: Any = None if opened.shares is None else np.asarray(opened.shares)[:count]
        self.cost = float(opened.cost)
        self.penalty = float(opened.penalty)
        self._cost_type = np.asarray(opened.cost)
        self.gradients = values_by_path(parts.weights, opened.gradients)
        self.update_values = {name: np.asarray(value) for name, value in opened.update.items()}
        self._opened_after = opened
        self.weights_after = values_by_path(parts.weights, opened.weights)
        self.optimizer = OptimizerPass(parts, state, opened.optimizer, self.update_values)
        self.differences: dict[str, float] = {}

    @classmethod
    def of(cls, engine: Engine, state: State, place: Place, columns: Sequence[str] = ()) -> Step:
        """Open the step from a state, on a batch."""
        parts = engine.parts
        full = state._replace(metrics=engine.no_sums())
        traced = Traced.of(parts, (state.weights, state.others), place.batch.x, training=True)
        nudges = traced.nudges()
        function = functools.partial(opening, parts)
        opened = engine.program("opened", function, None, nudges, full, place.batch)(
            nudges, full, place.batch
        )
        return cls(engine, state, place, traced, opened, columns)

    @property
    def updates(self) -> dict[str, NumPy]:
        """How far each weight moved: weights_after - weights."""
        return {path: self.weights_after[path] - value for path, value in self.weights.items()}

    # How it compares with the training.

    def compare(self, after: State, logged: float | None) -> None:
        """Compare with what the loop computed, take over its weights, and refuse what does not agree."""
        ours = values_by_path(self.parts.weights, self._opened_after.weights)
        loops = values_by_path(self.parts.weights, after.weights)
        found = {f"{path} after": difference(ours[path], loops[path]) for path in loops}
        if logged is not None:
            found["cost"] = difference(np.float32(self.cost), np.float32(logged))
        self.differences = {name: value for name, value in found.items() if value}
        if any(value > TOLERATED for value in self.differences.values()):
            name = max(self.differences, key=lambda each: self.differences[each])
            raise StateError(
                message(
                    f"step {self.number}, opened, is not the step that was trained.",
                    came=f"{name} differs by {self.differences[name]:.2g} of it",
                    expected="the same numbers, to rounding",
                    mend="a layer, loss or optimizer has been changed since fit, or draws random numbers "
                    "that do not come from its variables.",
                )
            )
        self.weights_after = loops
        self.optimizer = OptimizerPass(self.parts, self._state, after.optimizer, self.update_values)

    @property
    def exact(self) -> bool:
        """Whether all numbers are those of the training, bit for bit."""
        return not self.differences

    @property
    def difference(self) -> float:
        """The largest difference from the training, as a part of the number."""
        return max(self.differences.values(), default=0.0)

    # Whose gradient it is.

    def gradients_by_example(self, path: str) -> NumPy:
        """The gradient of each example's own loss by a weight, shape (rows, *shape of the weight).

        Their weighted mean, each times its share (`step.shares`), and the gradient of the penalties
        together are `step.gradients[path]`.

        Args:
            path: "dense/kernel", or one weight of it: "dense/kernel[2,3]" gives shape (rows,).
        """
        name, index, _ = parsed(path)
        place = self._weight_place(name, path)
        if index is not None:
            return self._by_example_entry(place, require_index(path, index, self.weights[name].shape))
        variable_size = int(np.prod(self.weights[name].shape))
        function = functools.partial(_gradients_by_example, self.parts, place)
        args = (*self._pass_state(), self._place.batch, self._factors())
        rows = len(self._factors())
        if rows * variable_size > 2**28:
            raise ArgumentError(
                message(
                    "the gradients of all examples do not fit into memory together.",
                    came=f"{rows} examples of {variable_size:,} weights",
                    mend=f'ask for one weight: step.gradients_by_example("{name}[0,0]").',
                )
            )
        found = self.engine.program("by example", function, place, *args)(*args)
        return np.asarray(found)[: self.rows_count]

    def _by_example_entry(self, place: int, index: tuple[int, ...]) -> NumPy:
        function = functools.partial(_gradient_of_entry, self.parts, place)
        direction = np.zeros(self.parts.weights[place].shape, self.parts.weights[place].dtype)
        direction[index] = 1
        args = (*self._pass_state(), self._place.batch, self._factors(), direction)
        found = self.engine.program("entry by example", function, place, *args)(*args)
        return np.asarray(found)[: self.rows_count]

    def _pass_state(self) -> tuple[Values, Values]:
        return self._state.weights, self._state.others

    def _factors(self) -> NumPy:
        """How the losses of one example make its own: 1, or the mean over what it has several of."""
        losses, shares = np.asarray(self._opened_after.losses), np.asarray(self._opened_after.shares)
        sums = shares.reshape(len(shares), -1).sum(axis=1).reshape(-1, *(1,) * (losses.ndim - 1))
        plain = np.full_like(shares, 1.0 / max(math.prod(losses.shape[1:]), 1))
        return np.where(sums != 0, shares / np.where(sums == 0, 1, sums), plain)

    def shares_by_example(self) -> NumPy:
        """How much of each example is in the cost."""
        return self.shares.reshape(len(self.shares), -1).sum(axis=1)

    def penalty_gradient(self, path: str) -> NumPy:
        """The part of a weight's gradient that comes from penalties rather than from examples."""
        place = self._weight_place(path, path)
        function = functools.partial(_penalty_gradients, self.parts)
        args = (*self._pass_state(), self._place.batch.x)
        return np.asarray(self.engine.program("penalty", function, None, *args)(*args)[place])

    def pushes(self, path: str) -> Pushes:
        """Which rows pushed a weight, the strongest first.

        Args:
            path: one weight, "dense/kernel[2,3]"; for "dense/kernel" the pushes are lengths of gradients.
        """
        name, index, _ = parsed(path)
        by_example = self.gradients_by_example(path)
        if by_example.ndim > 1:
            by_example = np.sqrt(np.square(by_example).sum(axis=tuple(range(1, by_example.ndim))))
        shares = self.shares_by_example()
        pushes = [
            Push(int(row), place, float(gradient), float(share), float(gradient * share))
            for place, (row, gradient, share) in enumerate(zip(self.rows, by_example, shares, strict=True))
        ]
        pushes.sort(key=lambda each: -abs(each.push))
        whole, penalty = self.gradients[name], self.penalty_gradient(name)
        if index is not None:
            return Pushes(pushes, path, float(whole[index]), float(penalty[index]))
        return Pushes(pushes, path, float(np.linalg.norm(whole)), float(np.linalg.norm(penalty)))

    def _weight_place(self, name: str, reference: str) -> int:
        paths = list(self.weights)
        if name not in paths:
            still = name in self.values
            raise ArgumentError(
                message(
                    f'"{name}" is not moved by gradient descent.' if still else "there is no such weight.",
                    came=repr(reference),
                    expected=did_you_mean(name, paths),
                )
            )
        return paths.index(name)

    # Formulas.

    def names(self) -> list[str]:
        """What `formula` can be asked for, without indices."""
        slopes = [f"{layer.name}.d_{kind}" for layer in self.layers for kind in layer.slopes]
        return ["cost", "loss", *self.weights, *super().names(), *slopes]

    def formula(self, reference: str, example: int | None = None) -> Formula:
        """The arithmetic of one number, with its value and the recorded number it was compared with.

        Args:
            reference: one of

                "dense.z[3]", "dense.output[3]"   of unit 3, for `example`
                "dense.d_z[3]", "dense.d_output[3]"  the gradients of the cost by these
                "loss[4]", "cost"                 of example 4, and of the batch
                "dense/kernel[2,3].gradient"      as the mean over the examples
                "dense/kernel[2,3].update"        how far the optimizer moves it
                "dense/kernel[2,3]"               the weight after the step
            example: which row of the batch; the first if not said.

        Raises:
            ArgumentError: if there is no such number, or nothing states its arithmetic.
        """
        name, index, what = parsed(reference)
        if name == "cost" and index is None and not what:
            return self._cost_formula()
        if name == "loss" and not what:
            return self._loss_formula(index, reference)
        if name in self.values and name not in self.weights:
            self._weight_place(name, reference)
        if name in self.weights:
            place = require_index(reference, index, self.weights[name].shape)
            makers: dict[str, Callable[[str, tuple[int, ...]], Formula]] = {
                "gradient": self._gradient_formula,
                "update": self._update_formula,
                "": self._after_formula,
            }
            return makers[what](name, place)
        if "/" in name and "." not in name:
            self._weight_place(name, reference)
        stem, _, kind = name.rpartition(".")
        if kind in ("d_z", "d_output") and not what:
            layer: LayerPass = self.layers[stem]
            self._require_example(example or 0)
            if kind.removeprefix("d_") in layer.slopes:
                return self._slope_formula(layer, kind.removeprefix("d_"), index, reference, example or 0)
        return super().formula(reference, example or 0)

    def _slope_formula(
        self, layer: LayerPass, kind: str, index: tuple[int, ...] | None, reference: str, example: int
    ) -> Formula:
        """How the gradient by z or by an output comes from those behind it."""
        array = layer.slopes[kind]
        place = require_index(reference, index, array.shape[1:])
        recorded = float(array[(example, *place)])
        behind = self.layers[self.layers.index(layer) + 1 :]
        made: Expression | None = None
        if kind == "z":
            made = _backward(layer.layer, self.unit(layer, "z", place, example))
        elif behind and _same(behind[0].input, layer.output):
            made = _backward(behind[0].layer, self.unit(behind[0], "input", place, example))
        elif not behind and self.losses is not None:
            made = self._loss_slope((example, *place[: self.losses.ndim - 1]), place)
        name = indexed(f"{layer.name}.d_{kind}", place)
        found = None if made is None else Formula(name, made, recorded, roundoff_of(array))
        if found is None or not found.holds:
            raise ArgumentError(
                message(
                    f"no arithmetic is stated for {reference}.",
                    came="a layer or loss that states none, or a gradient that comes on several ways",
                    mend=f"the number itself is {recorded:.6g}.",
                )
            )
        return found

    def _loss_slope(self, index: tuple[int, ...], place: tuple[int, ...]) -> Expression | None:
        """share * dloss/dp, for one of the outputs."""
        loss = self._loss_expression(index)
        if loss is None:
            return None
        share = Number(self.shares[index], indexed("share", index))
        return times(share, derivative(loss, indexed(f"{self.layers[-1].name}.output", place)))

    def _loss_formula(self, index: tuple[int, ...] | None, reference: str) -> Formula:
        if self.losses is None:
            raise ArgumentError(message("this model was compiled without a loss.", came=reference))
        index = require_index(reference, index, self.losses.shape)
        expression = self._loss_expression(index)
        if expression is None:
            raise ArgumentError(
                message(
                    f"the loss {self.parts.objective.loss} states no arithmetic.",
                    mend=f"the number itself is step.losses[{index[0]}].",
                )
            )
        return Formula(
            indexed("loss", index), expression, float(self.losses[index]), roundoff_of(self.losses)
        )

    def _loss_expression(self, index: tuple[int, ...]) -> Expression | None:
        loss = self.parts.objective.loss
        assert loss is not None
        y, p = np.asarray(self.y)[index], np.asarray(self.outputs)[index]
        if p.ndim > 1 or getattr(loss, "axis", -1) not in (-1, np.ndim(self.outputs) - 1):
            return None
        output = f"{self.layers[-1].name}.output" if self.layers else "output"
        inner = index[1:]
        ys = [
            Number(value, indexed("y", (*inner, j) if np.ndim(y) else inner), 0.0)
            for j, value in enumerate(np.ravel(y))
        ]
        ps = [
            Number(value, indexed(output, (*inner, j) if p.ndim else inner))
            for j, value in enumerate(np.ravel(p))
        ]
        stated = stated_by(loss, "formula", "call")
        return None if stated is None else stated(ys, ps, batch=np.asarray(self.y))

    def _cost_formula(self) -> Formula:
        objective = self.parts.objective
        parts: list[Expression] = []
        if self.losses is not None and objective.loss is not None:
            losses = [
                Number(self.losses[index], indexed("loss", index)) for index in np.ndindex(self.losses.shape)
            ]
            weights = None
            if self.sample_weight is not None:
                shape = (*self.sample_weight.shape, *(1,) * (self.losses.ndim - self.sample_weight.ndim))
                wide = np.broadcast_to(
                    self.sample_weight.reshape(shape[: self.losses.ndim]), self.losses.shape
                )
                weights = [Number(wide[index], indexed("weight", index)) for index in np.ndindex(wide.shape)]
            mean_loss = objective.loss.cost_formula(losses, weights)
            if objective.loss_weight is not None:
                mean_loss = mean_loss * objective.loss_weight
            parts.append(mean_loss)
        parts += self._penalties()
        return Formula("cost", total(parts), self.cost, roundoff_of(self._cost_type))

    def _penalties(self) -> list[Expression]:
        known: list[Expression] = []
        for variable in self.parts.regularized:
            regularizer: Any = variable.regularizer
            stated = stated_by(regularizer, "formula", "__call__")
            made = stated(self.weights[variable.path], variable.path) if stated is not None else None
            if made is None:
                made = Number(np.asarray(regularizer(self.weights[variable.path])))
            known.append(Let(f"penalty of {variable.path}", made))
        # What else is in the penalty comes from outputs and add_loss, and is one number.
        rest = self.penalty - sum(each.value for each in known)
        adds = any(
            call[1].activity_regularizer is not None or not type(call[1]).__module__.startswith("pellucid.")
            for call in self._traced.calls
        ) or not type(self.parts.model).__module__.startswith("pellucid.")
        if adds and rest:
            error = abs(self.penalty) + sum(each.error for each in known)
            known.append(Number(rest, "penalties of outputs", error))
        return known

    def _gradient_formula(self, path: str, index: tuple[int, ...]) -> Formula:
        recorded = float(self.gradients[path][index])
        variable = self.parts.weights[self._weight_place(path, path)]
        name = f"{indexed(path, index)}.gradient"
        return Formula(
            name, self._gradient_expression(variable, index), recorded, roundoff_of(self.gradients[path])
        )

    def _gradient_expression(self, variable: Any, index: tuple[int, ...]) -> Expression:
        """The mean over the examples, and what penalties add."""
        count = self.rows_count
        users = [each for each in self.layers if any(variable is held for held in own_variables(each.layer))]
        terms: list[Expression] = []
        stated = bool(users)
        for layer in users:
            for example in range(count):
                slopes = {kind: array[example] * np.float64(count) for kind, array in layer.slopes.items()}
                unit = replace(self.unit(layer, "z", (), example), among_others=True)
                terms_of = stated_by(layer.layer, "gradient_terms", "call") if stated else None
                made = None if terms_of is None else terms_of(variable, index, unit, slopes)
                stated = stated and made is not None
                terms += made or []
        path = variable.path
        penalties: list[Expression] = []
        if stated:
            if variable.regularizer is not None:
                slope = stated_by(variable.regularizer, "slope", "__call__")
                made = slope(self.weights[path], index, path) if slope is not None else None
                if made is None:
                    value = jax.grad(variable.regularizer)(jnp.asarray(self.weights[path]))[index]
                    made = Number(value, "by its penalty")
                penalties = [made]
            return total([total(terms) / count, *penalties])
        by_example, shares = self.gradients_by_example(indexed(path, index)), self.shares_by_example()
        terms = [
            Number(np.float64(gradient) * share * count, f"example {each}", 4 * abs(gradient * share * count))
            for each, (gradient, share) in enumerate(zip(by_example, shares, strict=True))
        ]
        penalty = float(self.penalty_gradient(path)[index])
        if penalty:
            penalties = [Number(penalty, "by penalties")]
        return total([mean(terms), *penalties])

    def _moved(self, path: str, index: tuple[int, ...]) -> Moved:
        variable = self.parts.weights[self._weight_place(path, path)]
        optimizer = self.parts.optimizer
        assert optimizer is not None
        gradient = Number(self.gradients[path][index], f"{indexed(path, index)}.gradient")
        own = (f"{path}.gradient", self.gradients[path])
        named = {f"{name}.gradient": array for name, array in self.gradients.items()}
        clipped = optimizer.clip_formula(gradient, index, own, named)
        if clipped is not gradient:
            clipped = Let("g", clipped)
        rate = Number(self.optimizer.learning_rate, "learning_rate")
        weight: Expression = Number(self.weights[path][index], indexed(path, index))
        if optimizer.decays(variable):
            weight = Let("decayed", weight - weight * optimizer.weight_decay * rate)
        slots = {
            slot: Number(array[index] if array.shape else array, indexed(slot, index if array.shape else ()))
            for slot, array in self.optimizer.slots(variable).items()
        }
        t = Number(self.optimizer.before.get("iteration", np.asarray(0)) + 1, "t", 0.0)
        return Moved(path, index, weight, clipped, rate, t, slots)

    def _change(self, path: str, index: tuple[int, ...]) -> tuple[Moved | None, Expression, Expression]:
        """What the optimizer was given, what it adds to the weight, and the weight after the step."""
        variable = self.parts.weights[self._weight_place(path, path)]
        optimizer = self.parts.optimizer
        before, after = self.weights[path][index], self.weights_after[path][index]
        moved = self._moved(path, index) if optimizer is not None else None
        rule = None if optimizer is None else stated_by(optimizer, "rule", "update_step")
        change = rule(moved) if rule is not None and moved is not None else None
        if moved is None or change is None:
            # A transformation of optax, or a rule of one's own, says by how much, and not why.
            name = indexed(path, index)
            change = Number(
                np.float64(after) - np.float64(before), f"update by {optimizer and optimizer.name}"
            )
            return None, change, Number(before, name) + change
        result: Expression = moved.weight + change
        if variable.constraint is not None:
            stated = stated_by(variable.constraint, "formula", "__call__")
            array = self.update_values[f"{path}.moved"]
            made = stated(array, index, Let("moved", result)) if stated is not None else None
            result = made if made is not None else Number(after, "constrained")
        return moved, change, result

    def _after_formula(self, path: str, index: tuple[int, ...]) -> Formula:
        _, _, after = self._change(path, index)
        return Formula(
            f"{indexed(path, index)} after",
            after,
            float(self.weights_after[path][index]),
            roundoff_of(self.weights[path]),
        )

    def _update_formula(self, path: str, index: tuple[int, ...]) -> Formula:
        variable = self.parts.weights[self._weight_place(path, path)]
        optimizer = self.parts.optimizer
        moved, change, after = self._change(path, index)
        before = self.weights[path][index]
        recorded = float(np.float64(self.weights_after[path][index]) - np.float64(before))
        if moved is not None and optimizer is not None:
            weight = Number(before, indexed(path, index))
            if variable.constraint is not None:
                change = after - weight
            elif optimizer.decays(variable):
                change = change - weight * optimizer.weight_decay * moved.learning_rate
        # The weight after is rounded as a weight is, however small the change.
        error = 2.0 * abs(float(before)) + 2.0 * abs(float(self.weights_after[path][index]))
        return Formula(
            f"{indexed(path, index)}.update",
            Rounded(change, error),
            recorded,
            roundoff_of(self.weights[path]),
        )

    # Checking.

    def check(self, entries: int | None = None, seed: int = 0) -> Check:
        """Compare every gradient with central differences of the cost, computed in float64.

        Args:
            entries: how many weights are compared in all; if not said, every one of up to about
                22,000, and fewer of larger networks. Where some are left out, those of each array are
                drawn, and the derivative along a random direction through all of them is compared, too.
            seed: which are drawn.

        Returns:
            A `Check`: true if all agree; printing it shows the largest difference of each array.
        """
        return check(self, entries, seed)

    # What if.

    @property
    def cost_after(self) -> float:
        """The cost of the same batch after the update."""
        weights = tuple(jnp.asarray(value) for value in self.weights_after.values())
        function = functools.partial(_cost_of, self.parts)
        args = (weights, self._state.others, self._place.batch)
        return float(self.engine.program("cost", function, None, *args)(*args))

    def predict(self, x: Any) -> Any:
        """What the model gave for rows at this moment: with the weights before this step.

        Args:
            x: rows, as `model.predict` takes them: an array, a list, a frame.

        Returns:
            The outputs as NumPy arrays, shape (rows, ...), with layers as in prediction: no dropout.

        Raises:
            ShapeError: if the rows do not fit the layers.
        """
        rows = cast(Any, self.parts.model)._adjusted(as_rows(x))
        args = (*self._pass_state(), rows.x)
        program = self.engine.program("predict", functools.partial(_outputs_of, self.parts), None, *args)
        return jax.tree.map(np.asarray, program(*args))

    def what_if(
        self,
        learning_rate: float | None = None,
        optimizer: Any = None,
        weights: Mapping[str, float] | None = None,
        x: Mapping[Any, float] | None = None,
        y: Mapping[Any, float] | None = None,
        **settings: Any,
    ) -> WhatIf:
        """The same step with something changed. The run is not touched.

        Args:
            learning_rate: another learning rate.
            optimizer: another optimizer: a name or an object. It begins without a memory.
            weights: other weights: {"dense/kernel[2,3]": 0.5}, or a whole array by its path.
            x, y: other numbers in the batch: {(4, 2): 1.5} changes feature 2 of example 4.
            settings: other settings of the optimizer: beta_1=0.5, clipnorm=1.0, ...

        Returns:
            What it would have been: `cost`, `updates`, `weights_after`, `cost_after` and all else of a
            step, beside what it was. Printing it shows both.

        Raises:
            ArgumentError: if there is no such weight, number or setting.
        """
        changes: list[str] = []
        engine, state, place = self.engine, self._state, self._place
        if optimizer is not None or settings or learning_rate is not None:
            engine, state, said = self._other_optimizer(learning_rate, optimizer, settings)
            changes += said
        if weights:
            values = dict(zip(self.weights, state.weights, strict=True))
            for reference, value in weights.items():
                name, index, _ = parsed(reference)
                self._weight_place(name, reference)
                array = np.array(values[name])
                array[index if index is None else require_index(reference, index, array.shape)] = value
                if index is None:
                    array = np.array(np.broadcast_to(value, array.shape), array.dtype)
                values[name] = array
                changes.append(f"{reference} = {value}" if index is not None else f"other {reference}")
            state = state._replace(weights=tuple(values.values()))
        for what, given in (("x", x), ("y", y)):
            if given:
                place, said = self._other_rows(place, what, given)
                changes += said
        if not changes:
            raise ArgumentError(
                message("nothing is changed.", mend="say what: step.what_if(learning_rate=0.1).")
            )
        after = Step.of(engine, state, place, self.columns)
        after.number, after.epoch, after.batch = self.number, self.epoch, self.batch
        after.batches_in_epoch, after.rows_in_all = self.batches_in_epoch, self.rows_in_all
        return WhatIf(self, after, changes)

    def _other_rows(self, place: Place, what: str, given: Mapping[Any, float]) -> tuple[Place, list[str]]:
        array = getattr(place.batch, what)
        if not isinstance(array, np.ndarray):
            raise ArgumentError(message(f"{what} is not one array.", came=str(type(array).__name__)))
        array = np.array(array)
        for key, value in given.items():
            index = tuple(key) if isinstance(key, tuple | list) else (key,)
            index = tuple(self._column(each) if isinstance(each, str) else int(each) for each in index)
            if not index or not 0 <= index[0] < self.rows_count:
                raise ArgumentError(
                    message(
                        "there is no such example in the batch.",
                        came=f"{what}={{{key!r}: ...}}",
                        expected=f"0 to {self.rows_count - 1}",
                    )
                )
            try:
                array[index] = value
            except (IndexError, ValueError):
                raise ArgumentError(
                    message(f"there is no such number in {what}.", came=repr(key), expected=str(array.shape))
                ) from None
        cut = array[: self.rows_count]
        batch = place.batch._replace(**{what: array})
        whole = Rows(
            cut if what == "x" else place.whole.x, cut if what == "y" else place.whole.y, place.whole.weight
        )
        said = [f"{what}[{key}] = {value}" for key, value in given.items()]
        return Place(batch, place.rows, place.size, whole), said

    def _column(self, name: str) -> int:
        if name not in self.columns:
            raise ArgumentError(
                message(
                    "there is no such column.", came=repr(name), expected=did_you_mean(name, self.columns)
                )
            )
        return list(self.columns).index(name)

    def _other_optimizer(
        self, learning_rate: float | None, optimizer: Any, settings: Mapping[str, Any]
    ) -> tuple[Engine, State, list[str]]:
        current = self.parts.optimizer
        said = [f"{name} = {value}" for name, value in settings.items()]
        if optimizer is not None:
            made = optimizers.get(optimizer)
            config = {**made.get_config(), **settings}
            made, said = type(made), [f"optimizer {made.name}", *said]
        else:
            assert current is not None
            config, made = {**current.get_config(), **settings}, type(current)
            if "learning_rate" not in config or current.rate_is_state:
                config["learning_rate"] = self.optimizer.learning_rate
        if learning_rate is not None:
            config["learning_rate"] = learning_rate
            said.append(f"learning_rate = {learning_rate}")
        known = made.from_config(config)
        known.name = current.name if current is not None else known.name
        known.build(self.parts.weights)
        before = self.optimizer.before
        values: list[Any] = []
        for variable in known.variables:
            key = variable.path.partition("/")[2]
            keep = optimizer is None and key in before and key != "learning_rate"
            keep = keep or key == "iteration"
            values.append(before[key] if keep and key in before else variable.value)
        parts = Parts(self.parts.model, self.parts.objective, known)
        return Engine(parts), self._state._replace(optimizer=tuple(values)), said

    # Showing.

    def story(
        self,
        example: int | None = None,
        layer: str | int | None = None,
        unit: int | None = None,
        detail: str = "short",
    ) -> str:
        """The step as a readable story, in the order of the loop: forward, cost, gradient, update.

        Args:
            example: which row of the batch is followed; the one with the largest loss if not said.
            layer: the layer that is told about, by name or number; all of them if not said.
            unit: the unit of the layer; the one that matters most to this example if not said.
            detail: "short", or "full" with every term and every weight of the unit.
        """
        return story.tell(self, example, layer, unit, detail)

    def __str__(self) -> str:
        return self.story()

    def __repr__(self) -> str:
        return f"<Step {self.number}: epoch {self.epoch}, batch {self.batch}, cost {self.cost:.6g}>"

    def _repr_html_(self) -> str:
        return html.step(self)


def own_variables(layer: Layer) -> list[Any]:
    """The variables that a layer holds itself, not through other layers."""
    held = cast(Any, layer)
    return list(held._own())


def _backward(layer: Layer, unit: Unit) -> Expression | None:
    """What a layer states of its backward pass, if its statements are about the code that ran."""
    return None if stated_by(layer, "formula", "call") is None else layer.backward(unit)


def _same(one: Any, other: Any) -> bool:
    """Whether two arrays hold the same numbers."""
    known = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    return known and np.array_equal(cast(NumPy, one), cast(NumPy, other), equal_nan=True)


# The programs beside the step itself.


def _example_losses(parts: Parts, weights: Values, others: Values, batch: Batch, factors: Any) -> Any:
    forward = parts.forward(weights, others, batch.x, training=True)
    losses = parts.objective.losses(batch.y, forward.outputs)
    assert losses is not None
    return jnp.sum((losses * factors).reshape(losses.shape[0], -1), axis=1)


def _with(weights: Values, place: int, value: Any) -> Values:
    return (*weights[:place], value, *weights[place + 1 :])


def _gradients_by_example(
    parts: Parts, place: int, weights: Values, others: Values, batch: Batch, factors: Any
) -> Any:
    def losses(value: Any) -> Any:
        return _example_losses(parts, _with(weights, place, value), others, batch, factors)

    found, back = jax.vjp(losses, weights[place])
    return jax.lax.map(lambda direction: back(direction)[0], jnp.eye(found.size, dtype=found.dtype))


def _gradient_of_entry(
    parts: Parts, place: int, weights: Values, others: Values, batch: Batch, factors: Any, direction: Any
) -> Any:
    def losses(value: Any) -> Any:
        return _example_losses(parts, _with(weights, place, value), others, batch, factors)

    return jax.jvp(losses, (jnp.asarray(weights[place]),), (direction,))[1]


def _penalty_gradients(parts: Parts, weights: Values, others: Values, x: Arrays) -> Any:
    def penalty(weights: Values) -> Any:
        return jnp.asarray(parts.forward(weights, others, x, training=True).penalty, jnp.float32)

    return jax.grad(penalty)(weights)


def _outputs_of(parts: Parts, weights: Values, others: Values, x: Arrays) -> Any:
    return parts.forward(weights, others, x, training=False).outputs


def _cost_of(parts: Parts, weights: Values, others: Values, batch: Batch) -> Any:
    return parts.cost(parts.forward(weights, others, batch.x, training=True), batch)


class OptimizerPass:
    """What the optimizer knew at a step, and knows after it.

    Attributes:
        name: "adam".
        learning_rate: the learning rate of this step.
        before, after: its variables by name: "iteration", "learning_rate", "dense/kernel/momentum", ...
    """

    def __init__(self, parts: Parts, state: State, after: Values, handed: Mapping[str, NumPy]) -> None:
        self.kind = type(parts.optimizer).__name__
        self.name = parts.optimizer.name if parts.optimizer is not None else ""
        names = [variable.path.partition("/")[2] for variable in parts.remembered]
        self.before = {n: np.asarray(v) for n, v in zip(names, state.optimizer, strict=True)}
        self.after = {n: np.asarray(v) for n, v in zip(names, after, strict=True)}
        self.learning_rate = float(handed.get("learning_rate", np.nan))

    def slots(self, variable: Any, after: bool = False) -> dict[str, NumPy]:
        """What it remembers for one weight, by name: "momentum", "velocity"; and what is for all."""
        values = self.after if after else self.before
        own = {
            name.rpartition("/")[2]: array
            for name, array in values.items()
            if name.startswith(f"{variable.path}/") and name.count("/") == variable.path.count("/") + 1
        }
        shared = {n: a for n, a in values.items() if "/" not in n and n not in ("iteration", "learning_rate")}
        return {**shared, **own}

    def __repr__(self) -> str:
        return f"<{self.kind}, learning rate {self.learning_rate:.6g}, {len(self.before)} variables>"


class WhatIf:
    """A step as it would have been, beside the step as it was.

    Attributes:
        before: the step as it was.
        after: the step as it would have been: a `Step` with all its numbers.
        changes: what was changed, in words.
    """

    def __init__(self, before: Step, after: Step, changes: Sequence[str]) -> None:
        self.before, self.after, self.changes = before, after, list(changes)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.after, name)

    def __str__(self) -> str:
        return story.what_if(self)

    def __repr__(self) -> str:
        return f"<WhatIf {', '.join(self.changes)}: cost {self.after.cost:.6g}, was {self.before.cost:.6g}>"

    def _repr_html_(self) -> str:
        return html.plain(str(self))


# One row, explained.


class Explanation(Pass):
    """The forward pass of rows that somebody asked about, to the decision.

    Attributes:
        x: the rows, shape (rows, ...).
        outputs: what the model gives for them.
        layers: what each layer did: `layers["dense"].z`, ...
        decision: the decision in words, for the first row: "0.83 >= 0.5: malignant".
    """

    labels: Sequence[str] = ()
    threshold = 0.5
    #: The decision in the words of a table, if there is one.
    conclusion = ""

    @classmethod
    def of(
        cls,
        parts: Parts,
        x: Arrays,
        columns: Sequence[str] = (),
        labels: Sequence[str] = (),
        threshold: float = 0.5,
    ) -> Explanation:
        """Explain what the model says about rows."""
        state = parts.read()
        values = (state.weights, state.others)
        traced = Traced.of(parts, values, x, training=False)

        def forward(weights: Values, others: Values, x: Arrays) -> Any:
            found = parts.forward(weights, others, x, training=False, handed=Handed())
            return found.outputs, found.handed

        outputs, handed = jax.jit(forward)(*values, x)
        count = len(jax.tree.leaves(x)[0])
        layers = traced.layers(handed, {}, count)
        made = cls(
            parts, x, layers, values_by_path(parts.weights, values[0]), jax.tree.map(np.asarray, outputs)
        )
        made.values |= values_by_path(parts.others, values[1])
        made.columns, made.labels, made.threshold = columns, labels, threshold
        return made

    @property
    def decision(self) -> str:
        """The decision for the first row, in words."""
        return story.decision(self, 0)

    def story(
        self, example: int = 0, layer: str | int | None = None, unit: int | None = None, detail: str = "short"
    ) -> str:
        """The forward pass of one of the rows as a readable story, to the decision."""
        return story.explain(self, example, layer, unit, detail)

    def __str__(self) -> str:
        return self.story()

    def __repr__(self) -> str:
        return f"<Explanation: {self.decision}>"

    def _repr_html_(self) -> str:
        return html.plain(str(self))
