"""A training that is recorded in a directory: written as it goes, and there even if the process dies.

    run.pellucid      the model, how it was compiled, the beginning, and the data if it is small
    log.f32           cost and learning rate of each step, two float32 each
    epochs.jsonl      what each epoch gave, one line each
    snapshots/        what a step changes, before the step of that number
    edits/            what callbacks changed before the step of that number
    orders/           the state of NumPy's generator before the order of the epoch of that number
    batches/          the batches of a stream, by step
    end.safetensors   the weights that the training left, when it came to its end

Each file appears whole. Reading them runs nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from pellucid import keeping, run_files
from pellucid.errors import FileError, message
from pellucid.record import Edit, Record, Snapshot, Snapshots, StreamBatch
from pellucid.replay import Replay
from pellucid.step import State

NumPy = np.ndarray[Any, Any]
RUN, LOG, EPOCHS, END = "run.pellucid", "log.f32", "epochs.jsonl", "end.safetensors"
PARTS = ("snapshots", "edits", "orders", "batches")
#: Snapshots in a directory take at most this much, and at most the half of what is free.
BUDGET = 8 * 2**30


def require_usable(folder: Path) -> Path:
    """Make the directory if it is not there; refuse one that holds a run already.

    Raises:
        FileError: if it cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise FileError(
            message(
                "the training cannot be recorded there.",
                came=f"{folder}: {problem.strerror or problem}",
                expected="a directory that exists or can be made",
            )
        ) from None
    taken = [name for name in (RUN, LOG, EPOCHS, END, *PARTS) if (folder / name).exists()]
    if taken:
        raise FileError(
            message(
                "this directory holds a recorded training already.",
                came=f"{folder}, with {', '.join(taken)}",
                expected="a new directory, or an empty one",
                mend="name another one, or remove that one first.",
            )
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(message("the training cannot be recorded there.", came=f"{folder} is read-only"))
    return folder


class Folder:
    """Writes a record down as it grows.

    Args:
        folder: the directory, which `require_usable` has looked at.
        replay: the training that begins.
        failed: is told, once, why nothing more can be written.
    """

    def __init__(self, folder: Path, replay: Replay, failed: Callable[[str], None]) -> None:
        self.folder, self.replay, self.failed = folder, replay, failed
        self.begun = self.broken = False
        self.noted = 0
        self._structure: Any = None
        self._first: Snapshot | None = None
        record = replay.record
        free = shutil.disk_usage(folder).free // 2
        record.snapshots.budget = min(BUDGET, free)
        record.snapshots.read, record.snapshots.drop = self.read, self.drop
        record.keeper = self

    def snapshot(self, snapshot: Snapshot) -> None:
        """Write a snapshot; the first one with all that is known at the beginning."""
        if self._first is None:
            self._first = snapshot
            if self.replay.record.facts.rows:
                self._begin([])
        leaves, self._structure = jax.tree.flatten(snapshot.state)
        self._save("snapshots", snapshot.step, {str(n): np.asarray(leaf) for n, leaf in enumerate(leaves)})
        self._notes()

    def _begin(self, batches: list[StreamBatch]) -> None:
        """Write the beginning; that of a stream when its first batch shows what rows are like."""
        assert self._first is not None
        final = {each.path: each.value for each in self.replay.engine.parts.model.weights}
        record = replace(self.replay.record, snapshots=Snapshots(), batches=deque(batches), keeper=None)
        record.snapshots.add(self._first)
        beginning = Replay(self.replay.engine, record, self.replay.trained, self.replay.described)
        # Batches are files of their own.
        data = "none" if batches else "auto"
        self._guarded(
            lambda: keeping.save(self.folder / RUN, beginning, keeping.of_history(), final, data=data)
        )
        self.begun = True

    def read(self, step: int) -> State:
        """A snapshot from the directory."""
        arrays = _load(self.folder / "snapshots" / _name(step))
        leaves = [arrays[str(number)] for number in range(len(arrays))]
        return jax.tree.unflatten(self._structure, leaves)

    def drop(self, step: int) -> None:
        """Remove a snapshot that is no longer needed."""
        self._guarded(lambda: (self.folder / "snapshots" / _name(step)).unlink(missing_ok=True))

    def edit(self, edit: Edit) -> None:
        """Write an edit."""
        self._save("edits", edit.step, {str(place): value for place, value in edit.leaves.items()})

    def log(self, rows: NumPy) -> None:
        """Add to the log."""

        def add() -> None:
            with open(self.folder / LOG, "ab") as file:
                file.write(np.ascontiguousarray(rows, "<f4").tobytes())

        self._notes()
        self._guarded(add)

    def batch(self, batch: StreamBatch) -> None:
        """Write a batch of a stream, with the step at which its epoch began."""
        if not self.begun:
            self._begin([batch])
        named = keeping.named_rows(batch.rows, weight=True)
        start = self.replay.record.epoch_starts[-1]
        if batch.places is not None:
            named["places"] = np.asarray(batch.places)
        self._save("batches", batch.step, {**named, "size": np.array(batch.size), "start": np.array(start)})

    def epoch(self, number: int, logs: Mapping[str, Any]) -> None:
        """Add what an epoch gave."""

        def add() -> None:
            with open(self.folder / EPOCHS, "a", encoding="utf-8") as file:
                told = [number, keeping.written_logs(logs)]
                file.write(json.dumps(told, allow_nan=False) + "\n")

        self._guarded(add)

    def end(self, final: Mapping[str, Any]) -> None:
        """Write the weights that the training left."""
        if self.begun:
            self._save("", None, {name: np.asarray(value) for name, value in final.items()})

    def _notes(self) -> None:
        orders = self.replay.record.orders
        if orders is None:
            return
        for epoch, state in orders.notes[self.noted :]:
            own = state["state"]
            self._save("orders", epoch, {"key": own["key"], "pos": np.array(own["pos"], np.int64)})
        self.noted = len(orders.notes)

    def _save(self, part: str, number: int | None, arrays: Mapping[str, NumPy]) -> None:
        from safetensors.numpy import save

        def write() -> None:
            into = self.folder / part
            into.mkdir(exist_ok=True)
            name = END if number is None else _name(number)
            beside = into / f".{name}.part"
            try:
                beside.write_bytes(save({key: np.asarray(a, order="C") for key, a in arrays.items()}))
                os.replace(beside, into / name)
            except OSError:
                beside.unlink(missing_ok=True)
                raise

        self._guarded(write)

    def _guarded(self, write: Callable[[], None]) -> None:
        """Write, if it can be; a full disk ends the recording, not the training."""
        if self.broken:
            return
        try:
            write()
        except (OSError, FileError) as problem:
            self.broken = True
            told = f"{self.folder}: {str(problem).splitlines()[0]}"
            self.failed(f"the record could not be written any more ({told})")
            warnings.warn(f"The training goes on, but is no longer recorded. {told}", stacklevel=2)


def _name(number: int) -> str:
    return f"{number:012d}.safetensors"


def _load(path: Path) -> dict[str, NumPy]:
    try:
        return run_files.tensors(path, path.read_bytes(), path.name)
    except OSError as problem:
        raise FileError(
            message("a file of the recorded training cannot be read.", came=f"{path}: {problem.strerror}")
        ) from None


def _numbered(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    found = (re.fullmatch(r"(\d{12})\.safetensors", each.name) for each in folder.iterdir())
    return sorted(int(match[1]) for match in found if match is not None)


def load(folder: Path, custom_objects: Mapping[str, Any] | None = None) -> keeping.Kept:
    """Read what a training has written into a directory, up to where it came.

    Raises:
        FileError: if there is no recorded training, or it is damaged.
    """
    if not (folder / RUN).is_file():
        raise FileError(
            message(
                "this directory holds no recorded training.",
                came=str(folder),
                expected=f"{RUN}, as fit(record={str(folder)!r}) writes it",
            )
        )
    kept = keeping.unpack(run_files.read(folder / RUN), folder / RUN, custom_objects)
    try:
        return _continued(folder, kept)
    except FileError:
        raise
    except Exception as problem:  # whatever files that do not fit together lead to
        raise run_files.damaged(folder, keeping.first_line(problem)) from None


def _continued(folder: Path, kept: keeping.Kept) -> keeping.Kept:
    """What a training has written into a directory since its beginning."""
    record = kept.replay.record
    rows = np.zeros((0, 2), np.float32)
    if (folder / LOG).is_file():
        content = (folder / LOG).read_bytes()
        # The last row may be half written, if the process was killed.
        rows = np.frombuffer(content[: len(content) // 8 * 8], "<f4").reshape(-1, 2).astype(np.float32)
    record.log = type(record.log)()
    record.log.add(rows)
    record.steps = len(rows)
    begun = record.snapshots.kept[0]
    leaves, structure = jax.tree.flatten(begun.state)
    like = [(np.shape(leaf), leaf.dtype) for leaf in leaves]

    def read(step: int) -> State:
        path = folder / "snapshots" / _name(step)
        arrays = _load(path)
        leaves = [arrays.get(str(number)) for number in range(len(like))]
        if any(
            leaf is None or (leaf.shape, leaf.dtype) != each for leaf, each in zip(leaves, like, strict=True)
        ):
            raise run_files.damaged(path, "a snapshot of another model")
        return cast(State, jax.tree.unflatten(structure, leaves))

    for step in _numbered(folder / "batches"):
        arrays = _load(folder / "batches" / _name(step))
        size, start = int(arrays.pop("size")), int(arrays.pop("start"))
        record.batches.append(StreamBatch(step, keeping.rows_of(arrays), size, arrays.get("places")))
        if start not in record.epoch_starts[-1:]:
            record.epoch_starts.append(start)
    if not record.facts.rows:
        # A batch is written before its step runs: the last ones may not have been trained on.
        record.steps = min(record.steps, len(record.batches))
        while len(record.batches) > record.steps:
            record.batches.pop()
        record.epoch_starts = [start for start in record.epoch_starts if start < max(record.steps, 1)]
    later = [step for step in _numbered(folder / "snapshots") if begun.step < step <= record.steps]
    record.snapshots.kept = [begun, *(Snapshot(step, None) for step in later)]
    record.snapshots.read = read
    for step in _numbered(folder / "edits"):
        arrays = _load(folder / "edits" / _name(step))
        record.edits.append(Edit(step, {int(place): value for place, value in arrays.items()}))
    if record.orders is not None:
        record.orders.notes = []
        for epoch in _numbered(folder / "orders"):
            own = _load(folder / "orders" / _name(epoch))
            record.orders.notes.append((epoch, keeping.generator(own["key"], int(own["pos"]))))
    keeping.require_possible(folder, kept.replay)
    _final(folder, kept, record)
    return replace(kept, epochs=_epochs(folder / EPOCHS))


def _final(folder: Path, kept: keeping.Kept, record: Record) -> None:
    """Give the model the weights that the training left; those of the last snapshot if it was cut off."""
    parts = kept.replay.engine.parts
    if (folder / END).is_file():
        found = _load(folder / END)
        if set(found) != {each.path for each in parts.model.weights}:
            raise run_files.damaged(folder / END, "weights of another model")
        for variable in parts.model.weights:
            variable.assign(found[variable.path])
        return
    state = record.snapshots.before(record.steps).state
    for variables, values in ((parts.weights, state.weights), (parts.others, state.others)):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(np.asarray(value))


def _epochs(path: Path) -> list[tuple[int, dict[str, Any]]]:
    epochs: list[tuple[int, dict[str, Any]]] = []
    if not path.is_file():
        return epochs
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            break  # the line that was being written when the process ended
        number, logs = json.loads(line)
        epochs.append((int(number), keeping.read_logs(logs)))
    return epochs
