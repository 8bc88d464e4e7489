"""A training step, opened: every number in it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid.checking import Check, check
from pellucid.data import Rows, as_rows
from pellucid.engine import Engine
from pellucid.errors import ArgumentError, StateError, did_you_mean, message
from pellucid.formula import Formula
from pellucid.opened import arithmetic, examples, programs
from pellucid.opened.examples import Pushes
from pellucid.opened.programs import Opening, Traced, opening
from pellucid.opened.seen import LayerPass, Pass, parsed, require_index
from pellucid.opened.what_if import WhatIf, what_if
from pellucid.replay import Place, Replay, values_by_path
from pellucid.step import Parts, State, Values
from pellucid.views import html, story

NumPy = np.ndarray[Any, Any]
#: An opened step that differs from the training by more than this part of it is not shown.
TOLERATED = 1e-3


def open_step(replay: Replay, number: int, given: Rows | None = None, columns: Sequence[str] = ()) -> Step:
    """Open a step of a recorded training.

    Raises:
        StateError: if the model was changed since, or the step comes out otherwise than in training.
        DataError: if the rows that were trained on have changed or are gone.
    """
    replay.require_same_model()
    _require_paths(replay.engine.parts)
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


def _require_paths(parts: Parts) -> None:
    """Raise StateError if a path names two weights: numbers would be mixed up."""
    paths = [variable.path for variable in (*parts.weights, *parts.others)]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise StateError(
            message(
                "two weights have the same path, so their numbers cannot be told apart.",
                came=", ".join(twice),
                expected="a path of its own for each weight",
                mend="give the layers different names.",
            )
        )


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
        self.engine, self.state, self.place, self.traced = engine, state, place, traced
        self.columns = columns
        self.values |= values_by_path(parts.others, state.others)
        self.rows = place.rows
        self.y, self.sample_weight = place.whole.y, place.whole.weight
        self.losses: Any = None if opened.losses is None else np.asarray(opened.losses)[:count]
        self.shares: Any = None if opened.shares is None else np.asarray(opened.shares)[:count]
        self.cost = float(opened.cost)
        self.penalty = float(opened.penalty)
        self.cost_array = np.asarray(opened.cost)
        self.gradients = values_by_path(parts.weights, opened.gradients)
        self.update_values = {name: np.asarray(value) for name, value in opened.update.items()}
        self.opening = opened
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
        ours = values_by_path(self.parts.weights, self.opening.weights)
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
        self.optimizer = OptimizerPass(self.parts, self.state, after.optimizer, self.update_values)

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
        return examples.gradients_by_example(self, path)

    def pass_state(self) -> tuple[Values, Values]:
        return self.state.weights, self.state.others

    def shares_by_example(self) -> NumPy:
        """How much of each example is in the cost."""
        return self.shares.reshape(len(self.shares), -1).sum(axis=1)

    def penalty_gradient(self, path: str) -> NumPy:
        """The part of a weight's gradient that comes from penalties rather than from examples."""
        place = self.weight_place(path, path)
        function = functools.partial(programs.penalty_gradients, self.parts)
        args = (*self.pass_state(), self.place.batch.x)
        return np.asarray(self.engine.program("penalty", function, None, *args)(*args)[place])

    def pushes(self, path: str) -> Pushes:
        """Which rows pushed a weight, the strongest first.

        Args:
            path: one weight, "dense/kernel[2,3]"; for "dense/kernel" the pushes are lengths of gradients.
        """
        return examples.pushes_of(self, path)

    def weight_place(self, name: str, reference: str) -> int:
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
            return arithmetic.cost_formula(self)
        if name == "loss" and not what:
            return arithmetic.loss_formula(self, index, reference)
        if name in self.values and name not in self.weights:
            self.weight_place(name, reference)
        if name in self.weights:
            place = require_index(reference, index, self.weights[name].shape)
            makers: dict[str, Callable[[Any, str, tuple[int, ...]], Formula]] = {
                "gradient": arithmetic.gradient_formula,
                "update": arithmetic.update_formula,
                "": arithmetic.after_formula,
            }
            return makers[what](self, name, place)
        if "/" in name and "." not in name:
            self.weight_place(name, reference)
        stem, _, kind = name.rpartition(".")
        if kind in ("d_z", "d_output") and not what:
            layer: LayerPass = self.layers[stem]
            self.require_example(example or 0)
            if kind.removeprefix("d_") in layer.slopes:
                return arithmetic.slope_formula(
                    self, layer, kind.removeprefix("d_"), index, reference, example or 0
                )
        return super().formula(reference, example or 0)

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
        function = functools.partial(programs.cost_of, self.parts)
        args = (weights, self.state.others, self.place.batch)
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
        args = (*self.pass_state(), rows.x)
        program = self.engine.program(
            "predict", functools.partial(programs.outputs_of, self.parts), None, *args
        )
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
        return what_if(self, learning_rate, optimizer, weights, x, y, settings)

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
