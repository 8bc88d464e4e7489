"""A recorded training, run again up to any step: the nearest snapshot, then the same compiled loop.

The weights before a step and after it come from the very program that trained, so they are those of
the training, bit for bit.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import replace
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid.data import Rows
from pellucid.engine import Batches, Engine, Loop
from pellucid.errors import DataError, StateError, message
from pellucid.optimizers import Optimizer
from pellucid.record import Record, StreamBatch, Trained, fingerprint, size_of
from pellucid.step import Batch, State, Values

NumPy = np.ndarray[Any, Any]
#: How many states that were reached are kept, and how many bytes they may take.
REACHED, REACHED_BYTES = 256, 2**26


class Place(NamedTuple):
    """One step's batch: as the step was given it, and which rows these are."""

    batch: Batch
    rows: NumPy | None  # their numbers, those that count only; None where they have none
    size: int  # how many of the batch count
    whole: Rows  # the rows that count, as host arrays


class Replay:
    """Runs parts of a recorded training again.

    Args:
        engine: compiles the programs of the model as it was compiled.
        record: what the training left behind.
        trained: the rows that it was trained on; None where batches came from a stream.
        described: what `description` gave for the model when it was trained.
    """

    def __init__(self, engine: Engine, record: Record, trained: Trained | None, described: str = "") -> None:
        self.engine, self.record, self.trained = engine, record, trained
        self.described = described
        #: What rows are like, as the file says that the run came from.
        self.like: Any = None
        self._held_out: Rows | None = None
        #: States before steps that were asked for last, beside the snapshots.
        self.reached: OrderedDict[int, State] = OrderedDict()
        self._reaching = threading.RLock()

    @property
    def loop(self) -> Loop:
        """The loop that trained."""
        facts = self.record.facts
        held_out = None if facts.held_out is None else Batches(*facts.held_out)
        batches = Batches(facts.rows, facts.batch_size, facts.exact)
        return Loop(batches, facts.epochs_in_order, held_out, facts.told)

    def require_same_model(self) -> None:
        """Raise StateError if the model is no longer the one that was trained."""
        parts = self.engine.parts
        require_paths(parts)
        model = parts.model
        now = (model.trainable_variables, model.non_trainable_variables)
        if now != (parts.weights, parts.others) or description(parts) != self.described:
            raise StateError(
                message(
                    "the model was changed after this fit, so its steps cannot be run again.",
                    came="other layers, or the same with other settings",
                    expected="the model as it was when fit was called",
                    mend="open steps before changing it, or save the history first and load it.",
                )
            )

    def rows(self, given: Rows | None = None) -> Rows:
        """The rows that were trained on, on the device; checked once against their fingerprint."""
        trained = self.trained
        assert trained is not None
        if given is not None:
            count = self.record.facts.rows
            # After a validation_split, those that were trained on are the first part of all.
            given = given.part(0, count) if given.count > count else given
            if (found := fingerprint(given)) != trained.digest:
                raise DataError(
                    message(
                        "these are not the rows that this run was trained on.",
                        came=f"{given.count} rows with the fingerprint {found[:12]}",
                        expected=f"{count} rows with {trained.digest[:12]}{_from(trained)}",
                        mend="give exactly the x and y that fit was given.",
                    )
                )
            trained.rows, trained.on_device = given, None
        if trained.on_device is None:
            if trained.rows is None:
                raise DataError(
                    message(
                        "the rows that this run was trained on are not here.",
                        came="a run that was saved without its data",
                        expected=f"rows with the fingerprint {trained.digest[:12]}{_from(trained)}",
                        mend="history.open(step, x=X, y=y)",
                    )
                )
            if trained.changed():
                raise DataError(
                    message(
                        "the arrays that this run was trained on have been changed since.",
                        came="other numbers in x or y than when fit was called",
                        mend="history.open(step, x=X, y=y) with the numbers as they were.",
                    )
                )
            # A copy of our own: on a CPU, device_put may share the memory of the user's array.
            rows = Rows(trained.rows.x, trained.rows.y, trained.weight)
            trained.on_device = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), rows)
        return cast(Rows, trained.on_device)

    # States.

    def state_before(self, step: int) -> State:
        """Everything that a step changes, as it was before this step."""
        with self._reaching:  # a page may open steps while others do
            return self._reach(step)

    def _reach(self, step: int) -> State:
        state, at = self._nearest(step)
        for edit in self.record.edits_between(at, step):
            state = self.run(state, at, edit.step)
            leaves, structure = jax.tree.flatten(state)
            for place, value in edit.leaves.items():
                leaves[place] = value
            state, at = jax.tree.unflatten(structure, leaves), edit.step
        state = self.run(state, at, step)
        self._keep(step, state)
        return state

    def _nearest(self, step: int) -> tuple[State, int]:
        """The nearest state before (or at) a step that is at hand, and its step."""
        snapshot = self.record.before(step)
        at = max((each for each in self.reached if snapshot.step < each <= step), default=None)
        return (snapshot.state, snapshot.step) if at is None else (self.reached[at], at)

    def _keep(self, step: int, state: State) -> None:
        """Keep a state that was reached, for the steps near it that are asked for next."""
        if step in self.reached:
            self.reached.move_to_end(step)
            return
        most = min(REACHED, REACHED_BYTES // max(size_of(state), 1))
        if most:
            self.reached[step] = state
        while len(self.reached) > most:
            self.reached.popitem(last=False)

    def step(self, state: State, number: int) -> tuple[State, NumPy]:
        """The state after a step, from that before it; and its cost and learning rate, as the loop tells."""
        return self._run(state, number, number + 1)

    def run(self, state: State, start: int, stop: int) -> State:
        """The state before step `stop`, from the state before step `start`."""
        return self._run(state, start, stop)[0] if start < stop else state

    def _run(self, state: State, start: int, stop: int) -> tuple[State, NumPy]:
        """The state before step `stop`, and what the loop tells of the step before it."""
        with jax.disable_jit(self.record.facts.eager):
            if not self.record.facts.rows:
                return self._stream(start, stop, state)
            return self._array(start, stop, state)

    def _array(self, start: int, stop: int, state: State) -> tuple[State, NumPy]:
        loop, data, held_out = self.loop, self.rows(), self._nothing_held_out()
        steps = loop.batches.count
        block = loop.epochs * steps
        validated = np.zeros(loop.epochs, np.bool_)
        told: Any = None
        last = 0
        while start < stop:
            first = start // block * block
            end = min(stop, first + block)
            order = self._order(loop, start // steps, -(-end // steps))
            state, _, told = self.engine.run(
                loop,
                state._replace(metrics=self.engine.no_sums()),
                data,
                held_out,
                order,
                validated,
                start - first,
                end - first,
            )
            last = end - start - 1
            state, start = state._replace(metrics=()), end
        # What there is no room for is written over the last row.
        return state, np.asarray(told)[min(last, len(told) - 1)]

    def _order(self, loop: Loop, first: int, last: int) -> NumPy:
        order = loop.empty_order()
        assert self.record.orders is not None
        rows = loop.batches.rows
        for epoch in range(first, last):
            row = order[epoch % loop.epochs]
            row[:rows] = self.record.orders.again(epoch)
            row[rows:] = row[rows - 1]
        return order

    def _nothing_held_out(self) -> Rows | None:
        like = self.record.facts.held_out_like
        if like is not None and self._held_out is None:
            self._held_out = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
        return self._held_out

    def _stream(self, start: int, stop: int, state: State) -> tuple[State, NumPy]:
        told: Any = None
        for step in range(start, stop):
            kept = self._of_stream(step)
            rows, count = kept.rows, kept.rows.count
            exact = self.engine.exact[True]
            batches = Batches(kept.size, kept.size, exact)
            if not exact:
                rows = replace(rows.padded(kept.size), counted=np.int32(count))
            state, _, told = self.engine.run(
                Loop(batches, 1),
                state._replace(metrics=self.engine.no_sums()),
                rows,
                None,
                np.arange(kept.size, dtype=np.int32)[None],
                np.zeros(1, np.bool_),
                0,
                1,
            )
            state = state._replace(metrics=())
        return state, np.asarray(told)[0]

    # Batches.

    def batch(self, step: int) -> Place:
        """The batch of a step, cut as the loop cuts it."""
        facts = self.record.facts
        if not facts.rows:
            kept = self._of_stream(step)
            count, exact = kept.rows.count, self.engine.exact[True]
            rows = kept.rows if exact else replace(kept.rows.padded(kept.size), counted=np.int32(count))
            found = _placed(Batches(kept.size, kept.size, exact), rows, np.arange(kept.size), 0, count)
            return found._replace(rows=kept.places)
        epoch, number = self.record.place_of(step)
        batches = self.loop.batches
        assert self.record.orders is not None
        order = self.record.orders.again(epoch)
        full = np.append(order, np.repeat(order[-1:], batches.count * batches.size - len(order)))
        count = min(batches.size, batches.rows - number * batches.size)
        trained = self.trained
        assert trained is not None
        self.rows()
        return _placed(batches, trained.on_device, full, number, count)

    def _of_stream(self, step: int) -> StreamBatch:
        batches = self.record.batches
        if not batches:
            raise DataError(
                message(
                    "the batches that this run was trained on are not here.",
                    came="a run on batches from a stream, which was saved without its data",
                    mend='history.save(path, data="all") before, or train again.',
                )
            )
        return batches[step - batches[0].step]


def _placed(batches: Batches, rows: Any, order: NumPy, number: int, count: int) -> Place:
    masked = batches.last > 0 and not batches.exact
    size = count if batches.exact else batches.size
    start = number * batches.size
    places = order[start : start + size]
    taken = jax.tree.map(lambda array: _gathered(array, places), (rows.x, rows.y, rows.weight))
    counted = batches.rows - start if rows.counted is None else int(rows.counted) - start
    valid: Any = None
    if masked or rows.counted is not None:
        valid = np.arange(size) < counted
        count = min(counted, size)
    whole = jax.tree.map(lambda array: array[:count], Rows(*taken))
    x, y, weight = taken
    return Place(Batch(x, y, weight, valid, np.int32(count)), places[:count], count, whole)


def _gathered(array: Any, places: NumPy) -> NumPy:
    """Some rows of an array, without fetching the others from a device of its own."""
    here = isinstance(array, np.ndarray) or all(each.platform == "cpu" for each in array.devices())
    return np.asarray(array)[places] if here else np.asarray(array[places])


def _from(trained: Trained) -> str:
    return f", which came from {trained.origin}" if trained.origin else ""


def require_paths(parts: Any) -> None:
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


def description(parts: Any) -> str:
    """What can be said of the model and the optimizer in words; "" where they cannot be described."""
    said: list[str] = []
    for thing in (parts.model, parts.optimizer):
        try:
            config = thing.described() if isinstance(thing, Optimizer) else dict(thing.get_config())
        except Exception:
            said.append("")
            continue
        said.append(json.dumps(config, sort_keys=True, default=str))
    return "\n".join(said)


def values_by_path(variables: list[Any], values: Values) -> dict[str, NumPy]:
    """Values as host arrays, by the paths of their variables."""
    return {variable.path: np.asarray(value) for variable, value in zip(variables, values, strict=True)}
