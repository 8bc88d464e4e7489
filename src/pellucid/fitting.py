"""The host's side of training: epochs, orders, chunks of time, callbacks, Ctrl-C.

The loop over steps is compiled (see engine). Here it is started for as many steps as take about a
tenth of a second, so that progress can be shown and Ctrl-C is heard, and its logs are read while
the next steps already run. Where nobody looks at single epochs, one call trains many of them.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import numpy as np

from pellucid.callbacks import EPOCH, TEST, TEST_BATCH, TRAIN_BATCH, CallbackList
from pellucid.data import Rows, Stream
from pellucid.engine import Engine, Loop
from pellucid.errors import DataError, message
from pellucid.progress import Progress
from pellucid.record import Facts, Orders, Record

CHUNK_SECONDS = 0.1
Logs = dict[str, Any]
#: Is asked before steps are started. It is given how many have been so far, and a function to call while it
#: waits: that reads all logs which are still to come, and raises a Ctrl-C that was kept. It says how many may
#: be started now, at least one; None: as many as wanted.
Gate = Callable[[int, Callable[[], None]], int | None]


class Pace:
    """How many steps to start at once, learned from how long they took."""

    def __init__(self) -> None:
        self.steps_per_second = 0.0
        self.chunk = 8

    def took(self, steps: int, seconds: float) -> None:
        """Learn from a chunk."""
        if steps and seconds > 0:
            self.steps_per_second = steps / seconds
            wanted = int(self.steps_per_second * CHUNK_SECONDS)
            self.chunk = max(1, min(wanted, self.chunk * 16))


@dataclass
class Plan:
    """What `fit` was asked for."""

    engine: Engine
    callbacks: CallbackList
    progress: Progress
    epochs: int
    initial_epoch: int = 0
    shuffle: Any = True
    validation_freq: Any = 1
    steps_per_execution: int = 1
    #: Validates now, by itself, and gives the logs; None if there is nothing to validate on.
    validate: Callable[[], Logs] | None = None
    stopped: Callable[[], bool] = field(default=lambda: False)
    #: Makes the record of the training, when it is known how it will run; None: nothing is recorded.
    recording: Callable[[Facts, Orders | None], Record | None] | None = None
    #: Lets somebody who watches the training pause it, and ask questions in between; None: nobody does.
    gate: Gate | None = None

    def record(self, facts: Facts, orders: Orders | None) -> Record | None:
        """The record of the training; None if nothing is recorded."""
        record = None if self.recording is None else self.recording(facts, orders)
        if record is not None:
            record.watched = self.gate is not None
        return record

    def validates(self, epoch: int) -> bool:
        """Whether there is a validation after this epoch, counted from 0."""
        if self.validate is None:
            return False
        if isinstance(self.validation_freq, int):
            return (epoch + 1) % self.validation_freq == 0
        return (epoch + 1) in self.validation_freq

    def end_epoch(
        self, epoch: int, steps: int, seconds: float, logs: Logs, found: Logs | None = None
    ) -> None:
        """Add what validation found (finding it now if it has not run), and tell everybody."""
        if self.validate is not None and self.validates(epoch):
            found = self.validate() if found is None else found
            logs = in_order(logs, found)
        self.callbacks.on_epoch_end(epoch, logs)
        self.progress.epoch(epoch, steps, seconds, logs)


def in_order(logs: Logs, held_out: Logs) -> Logs:
    """The logs of an epoch and those of its validation, by name, as Keras gives them."""
    return dict(sorted({**logs, **{f"val_{name}": value for name, value in held_out.items()}}.items()))


class _Chunk(NamedTuple):
    """Steps that were started, and whose logs have not been read."""

    first_epoch: int
    start: int
    stop: int
    logs: Any


class ArrayTraining:
    """`fit` on rows that lie on the device as a whole."""

    def __init__(self, plan: Plan, rows: Rows, held_out: Rows | None, size: int, held_out_size: int) -> None:
        self.plan, self.engine = plan, plan.engine
        self.batches = self.engine.cut(rows.count, size, training=True)
        self.by_batch = plan.callbacks.any_overrides(*TRAIN_BATCH)
        self.by_epoch = self.by_batch or plan.callbacks.any_overrides(*EPOCH)
        # A validation that callbacks watch runs by itself; any other is part of the compiled loop.
        # So does one that moves something, which a replay, where nothing is validated, must hear of.
        watched = plan.callbacks.any_overrides(*TEST) or bool(plan.engine.parts.moving)
        inside = held_out is not None and not watched
        cut = self.engine.cut(held_out.count, held_out_size, False) if inside and held_out else None
        single = self.by_epoch or (plan.validate is not None and not inside)
        told = plan.steps_per_execution if self.by_batch else 0
        self.loop = Loop(self.batches, 1 if single else Loop.epochs_in_order(self.batches), cut, told)
        self.data = jax.device_put(rows)
        self.held_out = jax.device_put(held_out) if inside else None
        self.orders = Orders(rows.count, self.batches.size, plan.shuffle)
        self.record = self._record(held_out if inside else None)
        self.pace = Pace()
        self.ctrl_c = CtrlC()
        self.started: deque[_Chunk] = deque()
        self.steps_done = 0
        self.epoch_began = self.read_at = self.waited_for = 0.0

    def _record(self, held_out: Rows | None) -> Record | None:
        cut = self.loop.held_out
        facts = Facts(
            batch_size=self.batches.size,
            steps_per_epoch=self.batches.count,
            first_epoch=self.plan.initial_epoch,
            rows=self.batches.rows,
            exact=self.batches.exact,
            epochs_in_order=self.loop.epochs,
            told=self.loop.told,
            held_out=None if cut is None else (cut.rows, cut.size, cut.exact),
            held_out_like=jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), held_out),
        )
        return self.plan.record(facts, self.orders)

    def run(self) -> None:
        """Train all epochs. Ctrl-C leaves the weights and the history of all steps that were started."""
        try:
            with self.ctrl_c.listening():
                self._run()
        except KeyboardInterrupt:
            self._keep_history()
            raise

    def _run(self) -> None:
        plan, loop = self.plan, self.loop
        for epoch in range(plan.initial_epoch, plan.epochs, loop.epochs):
            count = min(loop.epochs, plan.epochs - epoch)
            if self.by_epoch:
                plan.callbacks.on_epoch_begin(epoch)
            order = jax.device_put(self._draw(count))
            validated = np.array([plan.validates(epoch + each) for each in range(loop.epochs)])
            self._train(epoch, count, order, validated)
            if loop.epochs == 1:
                self._finish()
            if plan.stopped():
                break
        self._finish()

    def _draw(self, count: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        """The rows of the next epochs, in the order they are trained on."""
        order = self.loop.empty_order()
        self.orders.draw(order[:count], noted=self.record is not None)
        return order

    def _train(self, first_epoch: int, count: int, order: Any, validated: Any) -> None:
        """Train the epochs of one order, chunk by chunk."""
        plan, engine, steps = self.plan, self.engine, self.batches.count
        sums: Any = ()
        at, end = 0, count * steps
        self.epoch_began = self.read_at = time.perf_counter()
        while at < end:
            stop = min(end, at + self._wanted())
            if self.by_batch:
                plan.callbacks.on_train_batch_begin(at)
            if at % steps == 0:
                sums = engine.no_sums()
            before = engine.parts.read()._replace(metrics=sums)
            with self.ctrl_c.whole():
                if self.record is not None:
                    self.record.begins(before)
                state, logs, told = engine.run(
                    self.loop, before, self.data, self.held_out, order, validated, at, stop
                )
                engine.parts.write(state)
                if self.record is not None:
                    self.record.ran(stop - at, told, state)
                self.steps_done += stop - at
                sums = state.metrics
                if not self.by_batch:
                    self.started.append(_Chunk(first_epoch, at, stop, logs))
            if self.by_batch:
                row = np.asarray(logs)[0]
                plan.callbacks.on_train_batch_end(stop - 1, engine.named(row))
                if plan.stopped() and stop < end:
                    plan.end_epoch(
                        first_epoch, stop, time.perf_counter() - self.epoch_began, engine.named(row)
                    )
                    return
                self.started.append(_Chunk(first_epoch, at, stop, logs))
            if len(self.started) > 1 or self.by_batch:
                self._read()
            at = stop

    def _wanted(self) -> int:
        """How many steps to start now. Callbacks that watch batches see them as they always come."""
        plan, allowed = self.plan, None
        if plan.gate is not None:
            began, self.waited_for = time.perf_counter(), 0.0
            allowed = plan.gate(self.steps_done, self._look)
            # What somebody who watches takes is not the time of an epoch.
            taken = time.perf_counter() - began - self.waited_for
            self.epoch_began += taken
            self.read_at += taken
        if self.by_batch:
            return plan.steps_per_execution
        return self.pace.chunk if allowed is None else min(self.pace.chunk, allowed)

    def _look(self) -> None:
        """Hear Ctrl-C, and wait for all that was started."""
        began = time.perf_counter()
        self.ctrl_c.check()
        self._finish()
        self.waited_for += time.perf_counter() - began

    def _finish(self) -> None:
        """Read all logs that are still to come."""
        while self.started:
            self._read()

    def _read(self) -> None:
        """Read the oldest logs, and report the epochs that they end."""
        chunk = self.started[0]
        rows = np.asarray(chunk.logs)
        now = time.perf_counter()
        steps = self.batches.count
        self.pace.took(chunk.stop - chunk.start, now - self.read_at)
        ended = range(chunk.start // steps, chunk.stop // steps)
        each = (now - self.epoch_began) / max(len(ended), 1)
        self.read_at = now
        for epoch in ended:
            row, number = rows[epoch], chunk.first_epoch + epoch
            found = self._held_out_logs(number, row)
            self.plan.end_epoch(number, steps, each, self.engine.named(row), found)
            self.epoch_began = now
        self.started.popleft()
        if (done := chunk.stop % steps) and not self.by_batch:
            epoch = chunk.stop // steps
            running = self.engine.named(rows[epoch])
            self.plan.progress.steps(chunk.first_epoch + epoch, done, steps, now - self.epoch_began, running)

    def _keep_history(self) -> None:
        """After Ctrl-C: let the history have every epoch that was trained, and nobody else hear of it."""
        history = self.plan.callbacks.history()
        if history is None:
            return
        steps, known = self.batches.count, max(history.epoch, default=-1)
        for chunk in self.started:
            rows = np.asarray(chunk.logs)
            for epoch in range(chunk.start // steps, chunk.stop // steps):
                number, row = chunk.first_epoch + epoch, rows[epoch]
                if number > known:
                    held_out = self._held_out_logs(number, row) or {}
                    history.on_epoch_end(number, in_order(self.engine.named(row), held_out))

    def _held_out_logs(self, epoch: int, row: np.ndarray[Any, Any]) -> Logs | None:
        """What the compiled validation found after an epoch, if there was one."""
        if self.loop.held_out is None or not self.plan.validates(epoch):
            return None
        return self.engine.named(row[len(row) // 2 :])


class CtrlC:
    """Ctrl-C while training: heard between the chunks that are started, never within one.

    Whenever Python collects its garbage, JAX (and others) collect their own, and what is raised within
    that goes nowhere. A Ctrl-C that falls there is kept for the next chunk, too.
    """

    def __init__(self) -> None:
        self.kept = False
        self.busy = False

    @contextlib.contextmanager
    def listening(self) -> Generator[None]:
        """Listen for the length of a with block; other threads than the main one hear nothing anyway."""
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            yield
            return

        def hear(number: int, frame: Any) -> None:
            if self.busy or _collects_garbage(frame):
                self.kept = True
            else:
                before(number, frame)

        signal.signal(signal.SIGINT, hear)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextlib.contextmanager
    def whole(self) -> Generator[None]:
        """Let Ctrl-C wait until what is within is done, so that weights are never half written."""
        self.check()
        self.busy = True
        try:
            yield
        finally:
            self.busy = False
        self.check()

    def check(self) -> None:
        """Raise what was kept."""
        if self.kept:
            self.kept = False
            signal.raise_signal(signal.SIGINT)


def _collects_garbage(frame: Any) -> bool:
    """Whether this frame runs for one of the functions that Python calls around its garbage collection."""
    collecting = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame is not None:
        if frame.f_code in collecting:
            return True
        frame = frame.f_back
    return False


class StreamTraining:
    """`fit` on batches that come one by one. Smaller batches are filled up where rows are independent."""

    def __init__(self, plan: Plan, stream: Stream, steps_per_epoch: int | None) -> None:
        self.plan, self.engine, self.stream = plan, plan.engine, stream
        self.steps = steps_per_epoch or stream.length
        self.batches_of_steps = steps_per_epoch
        self.largest = self.steps_done = 0
        self.record = plan.record(Facts(0), None)
        self.ctrl_c = CtrlC()
        self.epoch_began = 0.0

    def run(self) -> None:
        """Train all epochs."""
        with self.ctrl_c.listening():
            self._run()

    def _run(self) -> None:
        plan = self.plan
        for epoch in range(plan.initial_epoch, plan.epochs):
            plan.callbacks.on_epoch_begin(epoch)
            self.stream.epoch_begins()
            self.epoch_began = time.perf_counter()
            if self.record is not None:
                self.record.facts.first_epoch = plan.initial_epoch
                self.record.epoch_starts.append(self.record.steps)
            steps, logs = self._epoch(epoch)
            if steps == 0:
                if self.record is not None:
                    self.record.epoch_starts.pop()
                warnings.warn(
                    f"Your input ran out of data after {epoch} of {plan.epochs} epochs; training stops. "
                    "Give something that can be iterated again, or a generator that does not end together "
                    "with steps_per_epoch.",
                    stacklevel=4,
                )
                break
            self.steps = self.steps or steps
            self.stream.epoch_ends()
            plan.end_epoch(epoch, steps, time.perf_counter() - self.epoch_began, logs)
            if plan.stopped():
                break

    def _epoch(self, epoch: int) -> tuple[int, Logs]:
        plan, engine = self.plan, self.engine
        by_batch = plan.callbacks.any_overrides(*TRAIN_BATCH)
        sums, row = engine.no_sums(), None
        steps, looked = 0, self.epoch_began
        wanted = self.batches_of_steps or self.stream.length
        for rows in self.stream.batches(wanted):
            if plan.gate is not None:
                waits = time.perf_counter()
                plan.gate(self.steps_done, self.ctrl_c.check)
                self.epoch_began += time.perf_counter() - waits
            plan.callbacks.on_train_batch_begin(steps)
            sums, logs = self.one_step(rows, sums)
            row, steps = logs, steps + 1
            self.steps_done += 1
            now = time.perf_counter()
            # Looking waits for the device, and so also keeps it from falling behind.
            if by_batch or now - looked > CHUNK_SECONDS / 2:
                looked = now
                values = engine.named(np.asarray(logs)[0])
                plan.callbacks.on_train_batch_end(steps - 1, values)
                plan.progress.steps(epoch, steps, self.steps, now - self.epoch_began, values)
            if plan.stopped():
                break
        else:
            if wanted is not None and steps < wanted:
                warnings.warn(
                    "Your input ran out of data; interrupting training. Make sure that your dataset or "
                    f"generator can generate at least {wanted} batches an epoch (it gave {steps}).",
                    stacklevel=5,
                )
        return steps, {} if row is None else engine.named(np.asarray(row)[0])

    def one_step(self, rows: Rows, sums: Any) -> tuple[Any, Any]:
        """Train on one batch, from these sums on; gives the sums after it, and the logs."""
        engine, count, given = self.engine, rows.count, rows
        self.largest = max(self.largest, count)
        batches = engine.cut(self.largest, self.largest, training=True)
        if batches.exact:
            batches = engine.cut(count, count, training=True)
        else:
            rows = replace(rows.padded(self.largest), counted=np.int32(count))
        loop = Loop(batches, 1)
        order, validated = np.arange(batches.size, dtype=np.int32)[None], np.zeros(1, np.bool_)
        before = engine.parts.read()._replace(metrics=sums)
        with self.ctrl_c.whole():
            if self.record is not None:
                self.record.begins(before)
                places = getattr(self.stream.source, "places", None)
                self.record.took(jax.tree.map(np.array, given), batches.size, places)
            state, logs, told = engine.run(loop, before, rows, None, order, validated, 0, 1)
            engine.parts.write(state)
            if self.record is not None:
                self.record.ran(1, told, state)
        return state.metrics, logs


def evaluate_arrays(
    engine: Engine,
    rows: Rows,
    size: int,
    callbacks: CallbackList | None = None,
    progress: Progress | None = None,
    sums: Any = None,
) -> Logs:
    """Loss and metrics of these rows, from one compiled call, or batch by batch if that is watched."""
    batches = engine.cut(rows.count, size, training=False)
    sums = engine.no_sums() if sums is None else sums
    data = jax.device_put(rows)
    by_batch = callbacks is not None and callbacks.any_overrides(*TEST_BATCH)
    began = time.perf_counter()
    row: Any = None
    for start in range(0, batches.count, 1 if by_batch else batches.count):
        stop = start + 1 if by_batch else batches.count
        if callbacks is not None and by_batch:
            callbacks.on_test_batch_begin(start)
        sums, row = engine.evaluate(data, batches, sums, start, stop)
        if callbacks is not None and by_batch:
            callbacks.on_test_batch_end(start, engine.named(np.asarray(row)))
    logs = engine.named(np.asarray(row))
    engine.parts.write(engine.parts.read()._replace(metrics=sums))
    if progress is not None:
        progress.epoch(0, batches.count, time.perf_counter() - began, logs)
    return logs


def evaluate_stream(
    engine: Engine,
    stream: Stream,
    steps: int | None,
    callbacks: CallbackList | None,
    progress: Progress | None,
) -> Logs:
    """Loss and metrics of the batches of a stream."""
    sums, row, count, largest = engine.no_sums(), None, 0, 0
    began = time.perf_counter()
    for rows in stream.batches(steps or stream.length):
        if callbacks is not None:
            callbacks.on_test_batch_begin(count)
        size = rows.count
        largest = max(largest, size)
        batches = engine.cut(largest, largest, training=False)
        if batches.exact:
            batches = engine.cut(size, size, training=False)
        else:
            rows = replace(rows.padded(largest), counted=np.int32(size))
        sums, row = engine.evaluate(rows, batches, sums, 0, 1)
        if callbacks is not None and callbacks.any_overrides(*TEST_BATCH):
            callbacks.on_test_batch_end(count, engine.named(np.asarray(row)))
        count += 1
    stream.epoch_ends()
    stream.begin_anew()
    if row is None:
        raise DataError(message("the data gave no batch.", came=type(stream.source).__name__))
    logs = engine.named(np.asarray(row))
    if progress is not None:
        progress.epoch(0, count, time.perf_counter() - began, logs)
    return logs
