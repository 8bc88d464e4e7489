"""A training step, opened: every number in it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid.checking import Check, check
from pellucid.data import Rows
from pellucid.engine import Engine
from pellucid.errors import ArgumentError, StateError, did_you_mean, message
from pellucid.formula import ROUNDOFF, Formula
from pellucid.opened import arithmetic, examples, programs
from pellucid.opened.examples import Pushes
from pellucid.opened.programs import Opening, Traced, opening
from pellucid.opened.seen import Pass, parsed, require_index, roundoff_of
from pellucid.opened.what_if import WhatIf, what_if
from pellucid.replay import Place, Replay, values_by_path
from pellucid.step import Parts, State, Values
from pellucid.views import html, story, told

NumPy = np.ndarray[Any, Any]
#: A cost that differs from that of the training by more than this part of it is not shown.
TOLERATED = 1e-3
#: The same for how far a weight moved. Rounding of a gradient is enlarged by rules that divide by its size,
#: and a gradient that is this small beside the largest may be nothing but rounding.
TOLERATED_UPDATE, NOISE = 0.05, 1e-4


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
    after, told = replay.step(before, number)
    place = replay.batch(number)
    with jax.disable_jit(replay.record.facts.eager):
        opened = Step.of(replay.engine, before, place, columns)
    opened.number = number
    opened.epoch, opened.batch = replay.record.place_of(number)
    opened.epoch += replay.record.facts.first_epoch
    own = replay.record.steps_of(opened.epoch - replay.record.facts.first_epoch)
    opened.batches_in_epoch = replay.record.facts.steps_per_epoch or len(own)
    if replay.trained is not None and replay.trained.numbers is not None:
        opened.numbers = replay.trained.numbers[place.rows]
    opened.rows_in_all = replay.record.facts.rows
    opened.compare(after, told, replay.record.log.row(number))
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


def _update_off(before: NumPy, ours: NumPy, theirs: NumPy, gradient: NumPy, noise: float) -> float:
    """How far two updates are apart, as a part of the largest; where the gradient is more than noise."""
    if not ours.size:
        return 0.0
    with np.errstate(all="ignore"):
        move = np.asarray(theirs, np.float64) - before
        gap = np.abs(np.asarray(ours, np.float64) - theirs)
        rounding = 4 * np.finfo(np.float32).eps * np.abs(theirs)
        counts = (np.abs(gradient) > noise) & (gap > rounding)
        scale = float(np.abs(move[np.isfinite(move)]).max(initial=0.0))
        off = np.where(np.isnan(ours) & np.isnan(theirs), 0.0, gap)[counts]
    if not off.size:
        return 0.0
    return float(np.nan_to_num(off.max(initial=0.0), nan=np.inf)) / (scale or 1.0)


class Step(Pass):
    """One training step, opened.

    Attributes:
        number, epoch, batch: which step: in all, its epoch, and its place in the epoch, from 0.
        rows: the numbers of the batch's rows among the rows that were trained on; None where they came
            from a stream, and have none.
        x, y, sample_weight: the rows themselves, their targets and their weights (or None).
        layers: each with `name`, `input`, `z`, `output`, `d_z`, `d_output`; found by number or name.
        losses: the loss of each example, before weights and mean; of a model of several outputs a dict
            of these by output.
        shares: how much of each loss is in the cost: 1/32 each in a batch of 32 without weights.
        cost: the mean of the losses (or what the loss's reduction says), with penalties.
        weights, gradients, updates, weights_after: by path, "dense/kernel".
        optimizer: `optimizer.learning_rate`, and its state `before` and `after` by name.
        exact: whether all numbers are those of the training, bit for bit.
        differences: what differs otherwise; None of a step that was not trained (a what-if).
        difference: the largest difference otherwise, as a part of the number.
    """

    training = True
    number = epoch = batch = 0
    batches_in_epoch = 0
    rows_in_all = 0
    #: The numbers of the rows in the table that they came from, from 1, if they came from one.
    numbers: Any = None

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
        given = len(jax.tree.leaves(place.batch.x)[0])
        super().__init__(
            parts,
            place.whole.x,
            functools.partial(traced.layers, opened.handed, opened.slopes or {}, given, count),
            values_by_path(parts.weights, state.weights),
            jax.tree.map(lambda each: np.asarray(each)[:count], opened.outputs),
        )
        self.engine, self.state, self.place, self.traced = engine, state, place, traced
        self.columns = columns
        self.values |= values_by_path(parts.others, state.others)
        self.rows = place.rows
        self.y, self.sample_weight = place.whole.y, place.whole.weight
        # Of rows that are one number each, some losses are the mean of the batch, and not of examples.
        known = jax.tree.leaves(opened.losses)
        alone = bool(known) and all(np.ndim(each) > 0 for each in known)
        self.losses: Any = (
            jax.tree.map(lambda each: np.asarray(each)[:count], opened.losses) if alone else None
        )
        self.shares: Any = (
            jax.tree.map(lambda each: np.asarray(each)[:count], opened.shares) if alone else None
        )
        #: The outputs that have a loss, each with what it was compared with.
        self.compared = Compared.all_of(self) if alone else []
        self.cost = float(opened.cost)
        self.penalty = float(opened.penalty)
        self.cost_array = np.asarray(opened.cost)
        self.gradients = values_by_path(parts.weights, opened.gradients)
        self.update_values = {name: np.asarray(value) for name, value in opened.update.items()}
        self.opening = opened
        self.weights_after = values_by_path(parts.weights, opened.weights)
        self.optimizer = OptimizerPass(parts, state, opened.optimizer, self.update_values, opened.scale)
        #: What differs from the training, and by what part; None if it was compared with none.
        self.differences: dict[str, float] | None = None
        #: What makes this step another than that of the training, in words.
        self.changes: list[str] = []

    @classmethod
    def of(cls, engine: Engine, state: State, place: Place, columns: Sequence[str] = ()) -> Step:
        """Open the step from a state, on a batch."""
        parts = engine.parts
        full = state._replace(metrics=engine.no_sums())
        values, x = (state.weights, state.others), place.batch.x
        traced = engine.once("traced", lambda: Traced.of(parts, values, x, training=True), values, x)
        nudges = traced.nudges
        function = functools.partial(opening, parts)
        with programs.in_sight():
            program = engine.program("opened", function, None, nudges, full, place.batch)
            opened = program(nudges, full, place.batch)
        return cls(engine, state, place, traced, opened, columns)

    @property
    def updates(self) -> dict[str, NumPy]:
        """How far each weight moved: weights_after - weights."""
        with np.errstate(invalid="ignore"):
            return {path: self.weights_after[path] - value for path, value in self.weights.items()}

    # How it compares with the training.

    def compare(self, after: State, told: NumPy, logged: NumPy | None) -> None:
        """Compare with what the loop computed, take over its weights, and refuse what does not agree.

        Args:
            after: the state after the step, by the loop, run again.
            told: cost and learning rate of the step, by the loop, run again.
            logged: the same as the training logged it; None if this step is not in the log.
        """
        parts, opened = self.parts, self.opening
        found: dict[str, float] = {}
        refused: dict[str, float] = {}

        def numbers(name: str, ours: Any, theirs: Any, tolerated: float = TOLERATED) -> None:
            found[name] = difference(ours, theirs)
            if found[name] > tolerated:
                refused[name] = found[name]

        numbers("the cost", np.float32(self.cost), told[0])
        numbers("the learning rate", np.float32(self.optimizer.learning_rate), told[1])
        if logged is not None:
            numbers("the cost, run again,", told[0], logged[0])
            numbers("the learning rate, run again,", told[1], logged[1])
        ours, loops = (values_by_path(parts.others, values) for values in (opened.others, after.others))
        for path, value in loops.items():
            numbers(f"{path} after the step", ours[path], value)
        largest = max((float(np.abs(g).max(initial=0.0)) for g in self.gradients.values()), default=0.0)
        ours, loops = (values_by_path(parts.weights, values) for values in (opened.weights, after.weights))
        for path, value in loops.items():
            found[f"{path} after"] = difference(ours[path], value)
            off = _update_off(self.weights[path], ours[path], value, self.gradients[path], NOISE * largest)
            if off > TOLERATED_UPDATE:
                refused[f"the update of {path}"] = off
        if refused:
            name = max(refused, key=lambda each: refused[each])
            raise StateError(
                message(
                    f"step {self.number}, opened, is not the step that was trained.",
                    came=f"{name} differs by {refused[name]:.2g} of it",
                    expected="the same numbers, to rounding",
                    mend="a layer, loss or optimizer has been changed since fit, or draws random numbers "
                    "that do not come from its variables.",
                )
            )
        self.differences = {name: value for name, value in found.items() if value}
        self.weights_after = loops
        self.optimizer = OptimizerPass(parts, self.state, after.optimizer, self.update_values, opened.scale)

    @property
    def exact(self) -> bool:
        """Whether all numbers are those of the training, bit for bit; never of a what-if."""
        return self.differences == {}

    @property
    def difference(self) -> float:
        """The largest difference from the training, as a part of the number."""
        return max((self.differences or {}).values(), default=0.0)

    @functools.cached_property
    def coarsest(self) -> float:
        """The rounding of the 16-bit type that layers compute in; 0 if none does."""
        roundings = (roundoff_of(array) for layer in self.layers for array in layer.arrays.values())
        return max((each for each in roundings if each > ROUNDOFF), default=0.0)

    @functools.cached_property
    def followed(self) -> int:
        """The example that the story follows if none is named: the one with the largest loss."""
        return told.followed(self)[0]

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
        """The weights and other values that the forward pass of this step reads."""
        return self.state.weights, self.state.others

    def shares_by_example(self) -> NumPy:
        """How much of each example is in the cost."""
        return cast(Any, sum(each.shares.reshape(len(each.shares), -1).sum(axis=1) for each in self.compared))

    def losses_by_example(self) -> NumPy | None:
        """One loss for each example: the mean of its own, or the weighted sum of those of all outputs."""
        if not self.compared:
            return None
        each = [one.losses.reshape(len(one.losses), -1).mean(axis=1) * one.factor for one in self.compared]
        return cast(Any, sum(each))

    @property
    def plain_mean(self) -> bool:
        """Whether the cost is the mean over the examples, each with the same weight."""
        return arithmetic.plain_mean(self)

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
        losses = [each.title for each in self.compared] or ["loss"]
        return ["cost", *losses, *self.weights, *super().names(), *slopes]

    def formula(self, reference: str, example: int | None = None) -> Formula:
        """The arithmetic of one number, with its value and the recorded number it was compared with.

        Args:
            reference: one of

                "dense.z[3]", "dense.output[3]"   of unit 3, for `example`
                "dense.d_z[3]", "dense.d_output[3]"  the gradients of the cost by these
                "loss[4]", "cost"                 of example 4, and of the batch; of several outputs
                                                  "size_loss[4]"
                "dense/kernel[2,3].gradient"      as the mean over the examples
                "dense/kernel[2,3].update"        how far the optimizer moves it
                "dense/kernel[2,3]"               the weight after the step
            example: which row of the batch; if not said, the one that the story follows, `followed`.

        Raises:
            ArgumentError: if there is no such number, or nothing states its arithmetic.
        """
        name, index, what = parsed(reference)
        if example is not None and (isinstance(example, bool) or not hasattr(example, "__index__")):
            raise ArgumentError(message("an example is a whole number.", came=repr(example)))
        if name == "cost" and index is None and not what:
            return arithmetic.cost_formula(self)
        if not what and (name == "loss" or any(name == each.title for each in self.compared)):
            return arithmetic.loss_formula(self, name, index, reference)
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
        one = self.followed if example is None else example
        self.require_example(one)
        by = kind.removeprefix("d_")
        if by != kind and not what and by in self.layers[stem].slopes:
            made = arithmetic.slope_formula(self, self.layers[stem], by, index, reference, one)
        else:
            made = super().formula(reference, one)
        return made if example is not None else replace(made, remark=f"example {one}")

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
        rows = cast(Any, self.parts.model).rows_of(x)
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
            optimizer: another optimizer: a name or an object. It begins anew, without a memory.
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
        what_if = f" if {' and '.join(self.changes)}" if self.changes else ""
        return f"<Step {self.number}{what_if}: epoch {self.epoch}, batch {self.batch}, cost {self.cost:.6g}>"

    def _repr_html_(self) -> str:
        return html.step(self)


@dataclass
class Compared:
    """One of the model's outputs, and what it was compared with.

    Attributes:
        name: the output's name; None of the only one.
        target: its loss, and the factor that the loss has in the cost.
        output, y, weight: what the model gave, the targets, and the weights of the rows.
        losses, shares: the loss of each example, and how much of it is in the cost.
        source: which number of a layer the output is: "dense_1.output"; None if it is of no layer.
        masked: whether a mask leaves out some of the losses.
    """

    name: str | None
    target: Any
    output: NumPy
    y: NumPy
    weight: NumPy | None
    losses: NumPy
    shares: NumPy
    source: str | None
    masked: bool

    @classmethod
    def all_of(cls, step: Step) -> list[Compared]:
        """Those of a step."""
        found: list[Compared] = []
        targets = step.parts.objective.targets
        outputs = jax.tree.leaves(step.outputs)
        ys = step.y if isinstance(step.y, list) else [step.y] * len(targets)
        weights = step.sample_weight
        each_weight = weights if isinstance(weights, list) else [weights] * len(targets)
        for number, target in enumerate(targets):
            if target.loss is None:
                continue
            losses, shares = (
                given if target.name is None else given[target.name] for given in (step.losses, step.shares)
            )
            found.append(
                cls(
                    name=target.name,
                    target=target,
                    output=outputs[number],
                    y=ys[number],
                    weight=each_weight[number],
                    losses=losses,
                    shares=shares,
                    source=step.traced.outputs[number],
                    masked=number in step.traced.masked,
                )
            )
        return found

    @property
    def title(self) -> str:
        """What its losses are called: "loss", or "size_loss"."""
        return "loss" if self.name is None else f"{self.name}_loss"

    @property
    def factor(self) -> float:
        """What the loss is multiplied by in the cost."""
        return 1.0 if self.target.weight is None else float(self.target.weight)


class OptimizerPass:
    """What the optimizer knew at a step, and knows after it.

    Attributes:
        name: "adam".
        mover: the optimizer whose rule moves the weights: the inner one of a `LossScaleOptimizer`.
        learning_rate: the learning rate of this step.
        loss_scale: what the cost was multiplied by before it was differentiated; None if by nothing. All
            gradients that are shown are those of the cost itself.
        skipped: whether no weight was moved, since gradients were not finite.
        before, after: its variables by name: "iteration", "learning_rate", "dense/kernel/momentum", ...
    """

    def __init__(
        self, parts: Parts, state: State, after: Values, handed: Mapping[str, NumPy], scale: Any = None
    ) -> None:
        self.mover = None if parts.optimizer is None else parts.optimizer.mover
        self.kind = type(self.mover).__name__
        self.name = self.mover.name if self.mover is not None else ""
        known = {} if parts.optimizer is None else parts.optimizer.by_name()
        self.before, self.after = (
            {name: np.asarray(by_variable[variable]) for name, variable in known.items()}
            for by_variable in (
                dict(zip(parts.remembered, values, strict=True)) for values in (state.optimizer, after)
            )
        )
        self.learning_rate = float(handed.get("learning_rate", np.nan))
        self.loss_scale = None if scale is None else float(scale)
        self.skipped = not handed.get("finite", True)

    def slots(self, variable: Any, after: bool = False) -> dict[str, NumPy]:
        """What it remembers for one weight, by name: "momentum", "velocity"; and what is for all."""
        values = self.after if after else self.before
        own = {
            name.rpartition("/")[2]: array
            for name, array in values.items()
            if name.startswith(f"{variable.path}/") and name.count("/") == variable.path.count("/") + 1
        }
        shared = {
            name: array
            for name, array in values.items()
            if "/" not in name and name not in ("iteration", "learning_rate") and not array.shape
        }
        return {**shared, **own}

    def __repr__(self) -> str:
        return f"<{self.kind}, learning rate {self.learning_rate:.6g}, {len(self.before)} variables>"
