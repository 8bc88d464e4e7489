"""What a training leaves behind, so that any of its steps can be opened: plain data, and little of it.

- `Orders`: the state of the random generator that drew the rows' orders, not the orders themselves.
- `Log`: the cost and the learning rate of every step.
- `Snapshots`: everything a step changes, at some steps, under a budget; the fewer there are, the longer
  is the way from the nearest one to a step.
- `edits`: what callbacks changed between steps (a learning rate, weights), so that it is changed again.

Recording looks on. The training runs the same programs on the same numbers whether or not somebody does.
"""

from __future__ import annotations

import bisect
import hashlib
import os
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from pellucid import seeds
from pellucid.data import Rows
from pellucid.errors import ArgumentError, message
from pellucid.step import State

NumPy = np.ndarray[Any, Any]
#: How many bytes a record may take, if nothing else was said.
BUDGET = 256 * 2**20
#: Snapshots are at least this many steps apart, and never more than so many.
SPACING, MOST_SNAPSHOTS = 64, 4_096
#: Rows that are drawn, at most, to find an order again.
DRAWN_AGAIN = 500_000
#: Calls of the loop whose logs are not read yet, at most, and the most that these may take.
UNREAD, UNREAD_BYTES = 64, 2**22
#: Rows are fingerprinted by blocks of this many bytes.
BLOCK = 2**20
#: What is logged of each step.
COLUMNS = ("cost", "learning_rate")


class Orders:
    """The orders in which epochs took the rows, as far as they were drawn.

    Args:
        rows, size: how many rows there are, and how many a batch has.
        shuffle: as given to `fit`.
    """

    def __init__(self, rows: int, size: int, shuffle: Any) -> None:
        self.rows, self.size, self.shuffle = rows, size, shuffle
        #: (epoch, the generator's state before its order), where it does not follow from the one before.
        self.notes: list[tuple[int, dict[str, Any]]] = []
        self.drawn = 0
        self._after: dict[str, Any] | None = None
        #: The epoch that was drawn again last, its order, and the generator after it.
        self._again_last: tuple[int, NumPy, Any] | None = None
        self._lock = threading.Lock()

    def draw(self, into: NumPy, noted: bool = True) -> None:
        """Draw the order of the next epochs, one for each row of `into`, from NumPy's stream."""
        note = noted and bool(self.shuffle)
        if note:
            before = np.random.get_state(legacy=False)
            since = self.drawn - self.notes[-1][0] if self.notes else 0
            if not self.notes or since * self.rows > DRAWN_AGAIN or not _same(before, self._after):
                self.notes.append((self.drawn, before))
        for epoch in into:
            epoch[: self.rows] = self._one(np.random)
            # Rows that fill up the last batch repeat one that is in it.
            epoch[self.rows :] = epoch[self.rows - 1]
        self.drawn += len(into)
        if note:
            self._after = np.random.get_state(legacy=False)

    def _one(self, random: Any) -> NumPy:
        if not self.shuffle:
            return np.arange(self.rows)
        if self.shuffle != "batch":
            return seeds.row_order(self.rows, random)
        order = np.empty(self.rows, np.int64)
        for start in range(0, self.rows, self.size):
            stop = min(start + self.size, self.rows)
            order[start:stop] = start + seeds.row_order(stop - start, random)
        return order

    def again(self, epoch: int) -> NumPy:
        """The order of an epoch, counted from 0, drawn once more from a generator of its own."""
        if not self.shuffle:
            return np.arange(self.rows)
        with self._lock:  # a page may open steps while others do
            return self._again(epoch)

    def _again(self, epoch: int) -> NumPy:
        place = bisect.bisect_right(self.notes, epoch, key=lambda note: note[0]) - 1
        at, state = self.notes[place]
        if self._again_last is not None and at <= self._again_last[0] <= epoch:
            last, order, random = self._again_last
            if last == epoch:
                return order
            at = last + 1
        else:
            random = np.random.RandomState()
            random.set_state(state)
        for _ in range(at, epoch):
            self._one(random)
        order = self._one(random)
        order.setflags(write=False)  # it is given to whoever asks for this epoch next
        self._again_last = (epoch, order, random)
        return order

    @property
    def nbytes(self) -> int:
        """How much memory the notes take."""
        return len(self.notes) * 2_600


def _same(one: dict[str, Any], other: dict[str, Any] | None) -> bool:
    if other is None or one["bit_generator"] != other["bit_generator"]:
        return False
    mine, theirs = one["state"], other["state"]
    return all(np.array_equal(mine[name], theirs[name]) for name in mine)


class Log:
    """Cost and learning rate of every step; of every second, fourth, ... in a very long run.

    Args:
        budget: how many bytes it may take.
        table, stride, steps: what is there already: of so many steps, one in each stride.
    """

    def __init__(
        self, budget: int = BUDGET // 4, table: NumPy | None = None, stride: int = 1, steps: int = 0
    ) -> None:
        self.budget, self.stride, self.steps = budget, stride, steps
        # Column by column, so that each of them lies together.
        self._rows = np.empty((0, len(COLUMNS)), np.float32, order="F") if table is None else table
        self._count = len(self._rows)

    def add(self, rows: NumPy) -> None:
        """Add the rows of the next steps: (steps, columns)."""
        kept = rows[-self.steps % self.stride :: self.stride]
        self.steps += len(rows)
        before, self._count = self._count, self._count + len(kept)
        if self._count > len(self._rows):
            self._resize(self.table[:before], max(self._count, min(2 * before, self._most)))
        self._rows[before : self._count] = kept
        while self._count > max(self._most, 1):
            self._resize(self.table[::2], -(-self._count // 2))
            self._count, self.stride = len(self._rows), 2 * self.stride

    @property
    def _most(self) -> int:
        """How many rows there is room for."""
        return self.budget // (len(COLUMNS) * np.dtype(np.float32).itemsize)

    def _resize(self, rows: NumPy, size: int) -> None:
        room = np.empty((size, len(COLUMNS)), np.float32, order="F")
        room[: len(rows)] = rows
        self._rows = room

    @property
    def nbytes(self) -> int:
        """How much memory the log takes."""
        return self._rows.nbytes

    @property
    def table(self) -> NumPy:
        """(steps / stride, columns)."""
        return self._rows[: self._count]

    @property
    def last(self) -> NumPy | None:
        """The last row that is kept, if there is one."""
        return self.table[-1] if self._count else None

    def row(self, step: int) -> NumPy | None:
        """What was logged of a step, if it is among those that are kept."""
        place, off = divmod(step, self.stride)
        return None if off or place >= self._count else self.table[place]


class Snapshot(NamedTuple):
    """Everything that a step changes, before that step; without the sums of the metrics.

    The state is None where it was written down somewhere else, and is read when it is needed.
    """

    step: int
    state: Any


def size_of(values: Any) -> int:
    """The bytes of all arrays in it, and about what it takes to hold them."""
    return sum(int(leaf.nbytes) + 200 for leaf in jax.tree.leaves(values))


class Snapshots:
    """Snapshots under a budget: when they take too much, every second one is dropped."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget, self.spacing = budget, SPACING
        self.kept: list[Snapshot] = []
        self.nbytes = 0
        #: Where snapshots are kept somewhere else: how to read one of them, and how to drop one.
        self.read: Callable[[int], State] | None = None
        self.drop: Callable[[int], None] | None = None

    def wants(self, step: int) -> bool:
        """Whether a snapshot before this step would be kept."""
        return not self.kept or step - self.kept[-1].step >= self.spacing

    def add(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; those that are dropped for it leave the others evenly apart."""
        each = size_of(snapshot.state)
        self.kept.append(snapshot if self.read is None else Snapshot(snapshot.step, None))
        self.nbytes += each
        while (self.nbytes > self.budget or len(self.kept) > MOST_SNAPSHOTS) and len(self.kept) > 2:
            if self.drop is not None:
                for gone in self.kept[1::2]:
                    self.drop(gone.step)
            self.kept = self.kept[::2]
            self.nbytes = each * len(self.kept)
            gaps = self.kept[1].step - self.kept[0].step if len(self.kept) > 1 else 0
            self.spacing = max(2 * self.spacing, gaps)

    def forget_before(self, step: int) -> None:
        """Drop those before a step, but for the last one: nobody can go on from them."""
        while len(self.kept) > 1 and self.kept[0].step < step:
            self.nbytes -= size_of(self.kept.pop(0).state)

    def before(self, step: int) -> Snapshot:
        """The nearest snapshot before (or at) a step."""
        place = bisect.bisect_right(self.kept, step, key=lambda each: each.step) - 1
        found = self.kept[max(place, 0)]
        if found.state is None and self.read is not None:
            return Snapshot(found.step, self.read(found.step))
        return found


class Edit(NamedTuple):
    """What a callback changed before a step: leaves of the state, by their places."""

    step: int
    leaves: dict[int, Any]


@dataclass
class Facts:
    """How `fit` ran: what is needed to run parts of it again.

    Args:
        batch_size: rows in a batch.
        steps_per_epoch: steps in an epoch; 0 where batches came from a stream.
        first_epoch: the number of the first epoch.
        rows: rows that were trained on; 0 where batches came from a stream.
        exact: whether the last, smaller batch was computed just as it is.
        epochs_in_order: how many epochs the compiled loop held at once.
        held_out: (rows, batch size, exact) of the validation within the compiled loop, or None.
        held_out_like: arrays of the shapes of the rows held out. A replay validates nothing, but the
            same program wants to be given such rows.
        told: how many steps the loop tells about in one call; 0 means all that an order holds.
        eager: whether the steps ran uncompiled, one operation at a time.
    """

    batch_size: int
    steps_per_epoch: int = 0
    first_epoch: int = 0
    rows: int = 0
    exact: bool = False
    epochs_in_order: int = 1
    held_out: tuple[int, int, bool] | None = None
    held_out_like: Any = None
    told: int = 0
    eager: bool = False


@dataclass
class StreamBatch:
    """A batch that came from a stream: its rows, to how many they were filled up, and which they are.

    `places` are the numbers of the rows in the arrays that they were taken from, if that is known.
    """

    step: int
    rows: Rows
    size: int
    places: NumPy | None = None


class Keeper(Protocol):
    """What writes a record down as it grows."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """A snapshot was taken."""

    def edit(self, edit: Edit) -> None:
        """Something was changed by hand."""

    def log(self, rows: NumPy) -> None:
        """Steps were logged."""

    def batch(self, batch: StreamBatch) -> None:
        """A batch came from a stream."""


@dataclass
class Record:
    """What one `fit` leaves behind.

    Args:
        facts: how it ran.
        orders: the orders of the rows; None where batches came from a stream.
        budget: how many bytes snapshots and log may take together.
        keeper: writes all of it down somewhere else as it grows; or None.

    Attributes:
        steps: how many steps were trained.
        epoch_starts: the steps at which epochs of a stream began.
        oldest: what happened before this step has been dropped in part, so that no replay can begin there.
        watched: whether somebody looks on while it grows. Then the state before the steps that were started
            last is kept, too, and the first of them opens at once.
    """

    facts: Facts
    orders: Orders | None = None
    budget: int = BUDGET
    log: Log = field(default_factory=Log)
    snapshots: Snapshots = field(default_factory=Snapshots)
    edits: list[Edit] = field(default_factory=list[Edit])
    batches: deque[StreamBatch] = field(default_factory=deque[StreamBatch])
    steps: int = 0
    epoch_starts: list[int] = field(default_factory=list[int])
    oldest: int = 0
    last: State | None = None
    keeper: Keeper | None = None
    watched: bool = False
    _recent: Snapshot | None = None
    _pending: deque[tuple[int, Any]] = field(default_factory=deque[tuple[int, Any]])
    _edit_bytes: int = 0
    _batch_bytes: int = 0
    #: How much of edits and batches came since the last snapshot.
    _since: int = 0

    def __post_init__(self) -> None:
        # Of a stream the batches take the half, of arrays the snapshots.
        self.snapshots.budget = self.budget // (2 if self.facts.rows else 4)
        self.log.budget = self.budget // (4 if self.facts.rows else 8)

    def begins(self, state: State) -> None:
        """Look at the state before the next steps: keep it, or what was changed by hand in it."""
        step = self.steps
        state = state._replace(metrics=())
        if self.last is not None:
            changed = {
                place: np.array(now)
                for place, (was, now) in enumerate(
                    zip(jax.tree.leaves(self.last), jax.tree.leaves(state), strict=True)
                )
                if was is not now
            }
            if changed:
                self.edits.append(edit := Edit(step, changed))
                self._edit_bytes += (taken := size_of(changed))
                self._since += taken
                if self.keeper is not None:
                    self.keeper.edit(edit)
        # Where the oldest steps are dropped, there must always be a snapshot among those that stay.
        wanted = self.snapshots.wants(step) or self._since > self.budget // 16
        if wanted or self.watched:
            snapshot = Snapshot(step, jax.tree.map(_unshared, state))
            self._recent = snapshot if self.watched else None
            if wanted:
                self._since = 0
                if self.keeper is not None:
                    self.keeper.snapshot(snapshot)
                self.snapshots.add(snapshot)
        self._forget()

    def ran(self, steps: int, told: Any, state: State) -> None:
        """Steps were started: the first rows of `told` will say their cost and learning rate."""
        self.steps += steps
        self.last = state._replace(metrics=())
        self._pending.append((steps, told))
        # Reading waits for the device; what is read was started long ago.
        # What is written down as it grows shall not lag behind.
        while len(self._pending) > (UNREAD if self.keeper is None else 2) or (
            len(self._pending) > 2 and len(self._pending) * told.nbytes > UNREAD_BYTES
        ):
            self._settle()

    def _settle(self) -> None:
        steps, told = self._pending[0]
        rows = np.asarray(told)[:steps]
        self._pending.popleft()
        if self.keeper is not None:
            self.keeper.log(rows)
        self.log.add(rows)

    def settled(self, but: int = 0) -> Record:
        """Wait for everything that was started; all but the last so many calls of the loop."""
        while len(self._pending) > but:
            self._settle()
        return self

    def took(self, rows: Rows, size: int, places: NumPy | None = None) -> None:
        """Keep a batch of a stream; when batches take too much, the oldest are dropped."""
        self.batches.append(batch := StreamBatch(self.steps, rows, size, places))
        if self.keeper is not None:
            self.keeper.batch(batch)
        self._batch_bytes += (taken := size_of(rows))
        self._since += taken
        self._forget()

    def _forget(self) -> None:
        """Drop the oldest batches and edits where they take too much, and the snapshots before them."""
        while self._batch_bytes > self.budget // 2 and len(self.batches) > 1:
            self._batch_bytes -= size_of(self.batches.popleft().rows)
            self.oldest = max(self.oldest, self.batches[0].step)
        share = self.budget // (4 if self.facts.rows else 8)
        if self._edit_bytes > share:
            count = 0
            while self._edit_bytes > share * 3 // 4 and count < len(self.edits) - 1:
                self._edit_bytes -= size_of(self.edits[count].leaves)
                count += 1
            self.oldest = max(self.oldest, self.edits[count - 1].step) if count else self.oldest
            del self.edits[:count]
        self.snapshots.forget_before(self.oldest)

    # Where steps are.

    def first_step(self) -> int:
        """The first step that can be opened: 0, but where batches or edits were dropped."""
        whole = (each.step for each in self.snapshots.kept if each.step >= self.oldest)
        return next(whole, self.steps)

    def before(self, step: int) -> Snapshot:
        """The nearest state before (or at) a step that was kept."""
        recent = self._recent
        return recent if recent is not None and recent.step <= step else self.snapshots.before(step)

    def at_hand(self) -> int:
        """The last step that opens without others being run again; where there is none, the first step."""
        kept = [*self.snapshots.kept[-2:], *filter(None, [self._recent])]
        return max((each.step for each in kept if each.step < self.steps), default=self.first_step())

    def place_of(self, step: int) -> tuple[int, int]:
        """(epoch, batch) of a step, both from 0; epochs from the first of this `fit`."""
        if self.facts.steps_per_epoch:
            return divmod(step, self.facts.steps_per_epoch)
        epoch = max(bisect.bisect_right(self.epoch_starts, step) - 1, 0)
        return epoch, step - (self.epoch_starts[epoch] if self.epoch_starts else 0)

    def steps_of(self, epoch: int) -> range:
        """The steps of an epoch, from 0 in this `fit`."""
        if each := self.facts.steps_per_epoch:
            return range(min(epoch * each, self.steps), min((epoch + 1) * each, self.steps))
        starts = [*self.epoch_starts, self.steps]
        return range(starts[epoch], starts[epoch + 1]) if epoch < len(self.epoch_starts) else range(0)

    @property
    def starts(self) -> NumPy:
        """The first steps of the epochs that were begun."""
        if each := self.facts.steps_per_epoch:
            return np.arange(0, self.steps, each)
        return np.asarray(self.epoch_starts, np.int64)

    @property
    def epochs(self) -> int:
        """How many epochs were begun."""
        return len(self.starts)

    def edits_between(self, start: int, stop: int) -> Iterator[Edit]:
        """What was changed by hand after `start` and up to `stop`."""
        first = bisect.bisect_right(self.edits, start, key=lambda edit: edit.step)
        for edit in self.edits[first:]:
            if edit.step > stop:
                return
            yield edit

    @property
    def nbytes(self) -> int:
        """How much memory the record takes."""
        orders = self.orders.nbytes if self.orders is not None else 0
        return self.snapshots.nbytes + self.log.nbytes + orders + size_of([e.leaves for e in self.edits])


def _unshared(leaf: Any) -> Any:
    """Arrays of NumPy may be changed by whoever else holds them; those of JAX never change."""
    return np.array(leaf) if isinstance(leaf, np.ndarray) else leaf


# What to keep.


@dataclass(frozen=True)
class Kept:
    """What `fit(record=...)` asked for: how many bytes in memory, and a directory if one was named."""

    budget: int = BUDGET
    folder: Path | None = None


def wanted(record: Any) -> Kept | None:
    """What `fit(record=...)` asks for; None for nothing.

    >>> wanted("auto").budget, wanted(False)
    (268435456, None)
    """
    if record is False or record is None:
        return None
    if record is True or (isinstance(record, str) and record == "auto"):
        return Kept()
    if isinstance(record, str | os.PathLike) and str(record):
        return Kept(BUDGET, Path(record))
    raise ArgumentError(
        message(
            "record is unknown.",
            came=repr(record),
            expected='"auto", False, or the name of a directory',
        )
    )


# What was trained on.


def fingerprint(rows: Rows) -> str:
    """A digest of x and y: the same for the same numbers of the same types and shapes.

    Each block of a megabyte is summed up by a CRC, which is three times as fast as a digest and finds
    every change that happens by accident; the digest is that of the sums.
    """
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves((rows.x, rows.y)):
        array: Any = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        numbers = array.reshape(-1).view(np.uint8)
        for start in range(0, len(numbers), BLOCK):
            digest.update(zlib.crc32(numbers[start : start + BLOCK]).to_bytes(4, "little"))
    return digest.hexdigest()


@dataclass
class Trained:
    """The rows that were trained on: a reference, and what they were like.

    Args:
        rows: the rows; None if they are gone, and only their description is left.
        digest: the fingerprint of x and y, taken before the first step.
        weight: a copy of the weights of the rows, or None.
        columns: the names of the columns of x, if it had names.
        origin: where they came from, in words or as a file's name.
        numbers: the numbers that the rows have in a table, from 1, if they came from one.
    """

    rows: Rows | None
    digest: str
    weight: Any = None
    columns: Sequence[str] = ()
    origin: str = ""
    on_device: Rows | None = None
    numbers: Any = None

    @classmethod
    def of(cls, rows: Rows, columns: Sequence[str] = (), origin: str = "") -> Trained:
        """Take note of rows."""
        weight = jax.tree.map(np.array, rows.weight)
        return cls(rows, fingerprint(rows), weight, tuple(columns), origin)

    def changed(self) -> bool:
        """Whether the arrays hold other numbers than when they were trained on."""
        return self.rows is not None and fingerprint(self.rows) != self.digest
