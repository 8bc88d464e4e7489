"""The compiled loop: the one step, run from any step to any other, inside XLA.

    run(state, data, order, start, stop)

The bounds are values, not shapes: one program trains many epochs, part of one, or a single step.
Data stays on the device, and the order of the rows comes from the host. The sums of loss and
metrics live in the loop's state, and are read once per call.
"""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pellucid.arrays import Array, Arrays, as_array, as_float, compilation_cache, exact_products
from pellucid.data import Rows
from pellucid.progress import Progress
from pellucid.step import Batch, Parts, State, Values, step

#: An order of rows for several epochs is at most this many numbers, if the epochs are short.
ORDER_SIZE = 65_536
#: Answers are computed for this many rows at a time.
PREDICTED_AT_ONCE = 1_024
#: How many compiled programs are kept, whichever models they came from.
KEPT_PROGRAMS = 64

Body = Callable[..., Any]


@dataclass(frozen=True)
class Batches:
    """How rows are cut into batches.

    Args:
        rows: how many rows there are.
        size: rows in a batch.
        exact: whether the last, smaller batch must be computed just as it is. Otherwise it is
            filled up with rows that do not count, and needs no code of its own.
    """

    rows: int
    size: int
    exact: bool

    @property
    def full(self) -> int:
        """How many batches are full."""
        return self.rows // self.size

    @property
    def last(self) -> int:
        """How many rows the last batch has, if it is not full; else 0."""
        return self.rows % self.size

    @property
    def count(self) -> int:
        """How many batches there are."""
        return self.full + (self.last > 0)

    def each(self, begin: Any, end: Any, body: Body, carry: Any) -> Any:
        """Run `body(carry, number, size, masked)` for the batches from begin to end."""
        masked = self.last > 0 and not self.exact
        if not (self.last and self.exact):
            return jax.lax.fori_loop(begin, end, lambda i, c: body(c, i, self.size, masked), carry)
        if self.full:
            until = jnp.minimum(end, self.full)
            carry = jax.lax.fori_loop(begin, until, lambda i, c: body(c, i, self.size, False), carry)
        reached = (end > self.full) & (begin <= self.full)
        return jax.lax.cond(reached, lambda c: body(c, self.full, self.last, False), lambda c: c, carry)

    def take(self, data: Rows, order: Array | None, number: Any, size: int, masked: bool) -> Batch:
        """The rows of one batch: places number * size and on, of the order or of the data as it lies."""
        start = number * self.size
        if order is None:
            places = start + jnp.arange(size)
            places = jnp.minimum(places, self.rows - 1) if masked else places
        else:
            places = jax.lax.dynamic_slice(order, (start,), (size,))
        counted = (self.rows if data.counted is None else data.counted) - start
        x, y, weight = jax.tree.map(
            lambda array: as_array(array).at[places].get(mode="promise_in_bounds"),
            (data.x, data.y, data.weight),
        )
        if not masked and data.counted is None:
            return Batch(x, y, weight, None, size)
        return Batch(x, y, weight, jnp.arange(size) < counted, jnp.minimum(counted, size))


@dataclass(frozen=True)
class Loop:
    """What a compiled `run` is made for: how the rows are cut, and what is validated."""

    batches: Batches
    epochs: int  # how many epochs an order holds
    held_out: Batches | None = None
    #: How many steps can be told about in one call; 0 means all that an order holds.
    told: int = 0

    @staticmethod
    def epochs_in_order(batches: Batches) -> int:
        """How many epochs of this length share one order."""
        return max(1, min(ORDER_SIZE // (batches.count * batches.size), 512))

    def empty_order(self) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Room for the rows of each epoch; the places behind the last row name row 0."""
        return np.zeros((self.epochs, self.batches.count * self.batches.size), np.int32)


def run(
    parts: Parts,
    loop: Loop,
    state: State,
    data: Rows,
    held_out: Rows | None,
    order: Array,
    validated: Array,
    start: Array,
    stop: Array,
) -> tuple[State, Array, Array]:
    """Train from step `start` to step `stop` of the epochs in `order`.

    The sums go on from those in `state`, and begin anew with each further epoch. Returns the state;
    for each epoch, loss and metrics (and those of the rows held out, if the epoch was finished and is
    one of those `validated`), in one row of numbers; and for each step, from `start` on, its cost and
    learning rate.
    """
    steps = loop.batches.count
    nothing = tuple(jnp.zeros(value.shape, value.dtype) for value in state.metrics)

    def one_epoch(epoch: Array, carry: tuple[State, Array, Array]) -> tuple[State, Array, Array]:
        state, logs, told = carry
        first = epoch * steps
        begin, end = jnp.maximum(start - first, 0), jnp.minimum(stop - first, steps)
        another = epoch > start // steps
        fresh = tuple(
            jnp.where(another, zero, sums) for zero, sums in zip(nothing, state.metrics, strict=True)
        )
        places = jax.lax.dynamic_index_in_dim(order, epoch, keepdims=False)

        def one_step(carry: tuple[State, Array], number: Any, size: int, masked: bool) -> Any:
            state, told = carry
            state, seen = step(parts, state, loop.batches.take(data, places, number, size, masked))
            row = jnp.stack([as_float(seen.cost), as_float(seen.update.get("learning_rate", jnp.nan))])
            row = row.astype(jnp.float32)[None]
            place = first + number - start
            return state, jax.lax.dynamic_update_slice(told, row, (place, jnp.zeros_like(place)))

        carried = (state._replace(metrics=fresh), told)
        state, told = loop.batches.each(begin, end, one_step, carried)
        row = flatten_results(parts.results(state.metrics))
        if loop.held_out is not None and held_out is not None:
            count = jnp.where((end == steps) & validated[epoch], loop.held_out.count, 0)
            values = (state.weights, state.others)
            sums, _ = evaluate(parts, loop.held_out, values, nothing, held_out, jnp.zeros_like(count), count)
            row = jnp.concatenate([row, flatten_results(parts.results(sums))])
        return state, jax.lax.dynamic_update_index_in_dim(logs, row, epoch, 0), told

    width = sum(results_width(parts)) * (2 if loop.held_out is not None else 1)
    logs = jnp.zeros((loop.epochs, width), jnp.float32)
    told = jnp.zeros((loop.told or loop.epochs * steps, 2), jnp.float32)
    return jax.lax.fori_loop(start // steps, -(-stop // steps), one_epoch, (state, logs, told))


def evaluate(
    parts: Parts,
    batches: Batches,
    values: tuple[Values, Values],
    sums: Values,
    data: Rows,
    start: Any,
    stop: Any,
) -> tuple[Values, Values]:
    """Add the batches from start to stop, as they lie, to the sums of loss and metrics.

    Returns the sums, and what moved on the way (`Parts.moved`).
    """
    weights, others = values

    def one_batch(carry: tuple[Values, Values], number: Any, size: int, masked: bool) -> Any:
        sums, moved = carry
        batch = batches.take(data, None, number, size, masked)
        forward = parts.forward(weights, parts.with_moved(others, moved), batch.x, training=False)
        sums = parts.measure(sums, forward, batch, parts.cost(forward, batch))
        return sums, parts.moved(forward.others)

    return batches.each(start, stop, one_batch, (sums, parts.moved(others)))


def flatten_results(results: dict[str, Any]) -> Array:
    """All results in one row of numbers."""
    return jnp.concatenate([jnp.ravel(leaf).astype(jnp.float32) for leaf in jax.tree.leaves(results)])


def results_width(parts: Parts) -> list[int]:
    """How many numbers each result is."""
    return [int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(results_shape(parts))]


def results_shape(parts: Parts) -> dict[str, Any]:
    """The shapes of the results, without computing them."""
    sums = [jax.ShapeDtypeStruct(variable.shape, variable.dtype) for variable in parts.sums]
    return jax.eval_shape(parts.results, tuple(sums))


class Engine:
    """Compiles the programs of one model as it is compiled, and runs them."""

    def __init__(self, parts: Parts) -> None:
        compilation_cache()
        self.parts = parts
        alone = not parts.objective.mixes_rows
        #: Whether the last, smaller batch must be computed just as it is, by whether it is trained on.
        self.exact = {
            training: not (alone and not parts.model.mixes_rows(training)) for training in (True, False)
        }
        self.programs: dict[Any, Any] = {}
        #: What was found once (see `once`).
        self.found: dict[Any, Any] = {}
        #: How many programs were made: what a test can hold us to.
        self.compilations = 0
        self._names: list[str] | None = None
        self._structure: Any = None
        self._shapes: list[tuple[int, ...]] = []

    def cut(self, rows: int, size: int, training: bool) -> Batches:
        """Cut rows into batches; exactly, where a layer, the loss or a metric mixes rows."""
        return Batches(rows, min(size, rows), self.exact[training])

    def program(self, kind: str, function: Callable[..., Any], static: Any, *args: Any) -> Callable[..., Any]:
        """The compiled program for these arguments."""
        if uncompiled():
            return function
        key = (kind, static, *_shapes(args))
        if key not in self.programs:
            self.compilations += 1
            self.programs[key] = compiled(function, *args)
        return self.programs[key]

    def once(self, key: Any, find: Callable[[], Any], *args: Any) -> Any:
        """What a function finds: found once for arguments of the same shapes, and kept."""
        if uncompiled():
            return find()
        key = (key, *_shapes(args))
        if key not in self.found:
            self.found[key] = find()
        return self.found[key]

    def run(
        self,
        loop: Loop,
        state: State,
        data: Rows,
        held_out: Rows | None,
        order: Any,
        validated: Any,
        start: int,
        stop: int,
    ) -> tuple[State, Array, Array]:
        """Train from step start to step stop. What comes back is not computed yet."""
        args = (state, data, held_out, order, validated, np.int32(start), np.int32(stop))
        program = self.program("run", functools.partial(run, self.parts, loop), loop, *args)
        return program(*args)

    def evaluate(
        self, data: Rows, batches: Batches, sums: Values, start: int, stop: int
    ) -> tuple[Values, Array]:
        """Add batches to the sums; also gives their results in a row."""
        parts = self.parts

        def measured(state: tuple[Values, Values], sums: Values, data: Rows, start: Any, stop: Any) -> Any:
            sums, moved = evaluate(parts, batches, state, sums, data, start, stop)
            return sums, flatten_results(parts.results(sums)), moved

        state = parts.read()
        args = ((state.weights, state.others), sums, data, np.int32(start), np.int32(stop))
        sums, row, moved = self.program("evaluate", measured, batches, *args)(*args)
        for place, value in zip(parts.moving, moved, strict=True):
            parts.others[place].receive(value)
        return sums, row

    def no_sums(self) -> Values:
        """Sums of nothing."""
        return tuple(np.zeros(variable.shape, variable.dtype) for variable in self.parts.sums)

    def named(self, row: np.ndarray[Any, Any]) -> dict[str, Any]:
        """A row of results as Python numbers by name, sorted as Keras sorts them."""
        if self._names is None:
            shape = results_shape(self.parts)
            leaves, self._structure = jax.tree.flatten(shape)
            self._shapes = [leaf.shape for leaf in leaves]
            self._names = list(shape)
        if all(shape == () for shape in self._shapes) and len(self._shapes) == len(self._names):
            # jax.tree sorts a dict's keys, and so do Keras's logs.
            return dict(zip(sorted(self._names), row.tolist(), strict=False))
        values: list[Any] = []
        start = 0
        for shape in self._shapes:
            size = int(np.prod(shape))
            part = row[start : start + size]
            values.append(float(part[0]) if shape == () else part.reshape(shape))
            start += size
        named: dict[str, Any] = {}
        for name, value in jax.tree.unflatten(self._structure, values).items():
            named.update(value if isinstance(value, dict) else {name: value})
        return dict(sorted(named.items()))


def uncompiled() -> bool:
    """Whether everything runs step by step in Python, for print and debuggers: `run_eagerly`."""
    known: Any = jax.config
    return bool(known.jax_disable_jit)


def _shapes(args: Any) -> tuple[Any, ...]:
    """The structure of arguments, and the shape and type of each array in them."""
    leaves, structure = jax.tree.flatten(args)
    return structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)


def compiled(function: Callable[..., Any], *args: Any) -> Callable[..., Any]:
    """Compile a function for arguments of these shapes.

    The same computation is compiled once in a process, whichever model asks: programs are kept by
    their text. Programs that call back into Python are theirs alone.
    """
    with exact_products():
        lowered = jax.jit(function).lower(*jax.tree.map(_spec, args))
    text = lowered.as_text()
    if "callback" in text:
        return lowered.compile()
    # The text leaves out arguments that are not used, and they must have the same shapes, too; and it
    # does not say whether outputs are a list, or a dict by which names.
    shapes = [(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(args)]
    place = f"{jax.default_backend()} {jax.tree.structure(args)} {lowered.out_tree} {shapes}"
    key = hashlib.sha256(f"{text}{place}".encode()).hexdigest()
    with _keeping:
        if (found := _kept.get(key)) is not None:
            _kept.move_to_end(key)
            return found
    found = lowered.compile()
    with _keeping:
        _kept[key] = found
        while len(_kept) > KEPT_PROGRAMS:
            _kept.popitem(last=False)
    return found


_kept: OrderedDict[str, Callable[..., Any]] = OrderedDict()
#: Steps may be opened for a page, on a thread of its own, while others are trained.
_keeping = threading.Lock()


def _spec(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


class Predictor:
    """Answers for rows, in pieces of a few fixed sizes, so that little is compiled."""

    def __init__(self, parts: Parts) -> None:
        compilation_cache()
        self.parts = parts
        self.mixes = parts.model.mixes_rows(False)
        self.programs: dict[Any, Any] = {}

    def _answer(self, state: tuple[Values, Values], x: Arrays) -> tuple[Arrays, Values]:
        forward = self.parts.forward(*state, x, training=False)
        return forward.outputs, self.parts.moved(forward.others)

    def __call__(self, rows: Rows, batch_size: int, progress: Progress | None = None) -> Arrays:
        """The outputs for all rows, as host arrays."""
        began = time.perf_counter()
        state = self.parts.read()
        values = (state.weights, state.others)
        count = rows.count
        if self.mixes:
            piece = batch_size
        else:
            piece = batch_size if count <= batch_size else max(PREDICTED_AT_ONCE, batch_size)
        outputs: list[Any] = []
        moved: Values = ()
        for start in range(0, count, piece):
            part = rows.part(start, min(start + piece, count))
            size = part.count
            x = part.x if self.mixes else part.padded(piece).x
            if start == 0 and not self._knows(x) and size < piece:
                # What does not fit is to be told in the user's own numbers of rows.
                jax.eval_shape(self._answer, values, part.x)
            answers, moved = self._program(values, x)(values, x)
            outputs.append((answers, size))
            if len(outputs) > 4:
                # Keep a few pieces under way, not all of them.
                jax.block_until_ready(outputs[-4][0])
            if progress is not None:
                progress.steps(0, start // piece + 1, -(-count // piece), time.perf_counter() - began, {})
        for place, after in zip(self.parts.moving, moved, strict=True):
            # A piece is one call here, and as many as it has batches in Keras.
            before = np.asarray(values[1][place])
            by_batch = np.asarray(after) - before
            self.parts.others[place].receive(before + by_batch * np.uint32(-(-count // batch_size)))
        host = [jax.tree.map(lambda each, size=size: np.asarray(each)[:size], each) for each, size in outputs]
        if progress is not None:
            progress.epoch(0, -(-count // batch_size), time.perf_counter() - began, {})
        if len(host) == 1:
            return host[0]
        return jax.tree.map(lambda *each: np.concatenate(each), *host)

    def _knows(self, x: Arrays) -> bool:
        return tuple((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(x)) in self.programs

    def _program(self, values: tuple[Values, Values], x: Arrays) -> Callable[..., Any]:
        if uncompiled():
            return self._answer
        key = tuple((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(x))
        if key not in self.programs:
            self.programs[key] = compiled(self._answer, values, x)
        return self.programs[key]


def place(rows: Rows) -> Rows:
    """Put rows on the device, once."""
    return jax.device_put(rows)
