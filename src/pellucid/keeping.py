"""A recorded training in a file: what `History.save` writes, and `History.load` reads.

The record becomes plain JSON (where things are) and safetensors (the numbers): snapshots, log, the
states of the generator that drew the orders, and the rows that were trained on if they are small.
Loading makes the model from its configuration, compiles it as it was compiled, and runs nothing else.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from pellucid import run_files, writing
from pellucid.data import Rows
from pellucid.engine import Batches
from pellucid.errors import ArgumentError, FileError, StateError, UnknownNameError, message
from pellucid.naming import custom_object_scope, serialize
from pellucid.record import (
    Edit,
    Facts,
    Log,
    Orders,
    Record,
    Snapshot,
    Snapshots,
    StreamBatch,
    Trained,
    fingerprint,
    size_of,
)
from pellucid.replay import Replay, description
from pellucid.step import Parts, State

NumPy = np.ndarray[Any, Any]
#: Rows that take less than this many bytes go into the file, if nothing else was said.
DATA_LIMIT = 64 * 2**20
#: Snapshots in a file take at most this many bytes; fewer of them make the way to a step longer.
SNAPSHOT_LIMIT = 64 * 2**20
KIND = "training"
#: The most rows that an order can have: they are counted in 32 bits.
LARGEST_ORDER = 2**31 - 1
#: How many numbers a file may ask room for that are not in it: a row, or the rows of a validation.
LARGEST_ROOM = 2**28
#: Of how many steps the loop tells in one call, at most, if an epoch has fewer.
MOST_TOLD = 2**20
#: Numbers that JSON does not have, as logs are written down.
NOT_FINITE = ("nan", "inf", "-inf")
#: What rows have.
PARTS = ("x", "y", "weight")
#: How a leaf's shape and type is written down.
Spec = list[Any]


@dataclass
class Kept:
    """What a file gave back."""

    replay: Replay
    epochs: list[tuple[int, dict[str, Any]]]
    params: dict[str, Any]
    labels: Sequence[str]
    threshold: float


# Writing.


def save(
    path: str | os.PathLike[str],
    replay: Replay,
    history: Mapping[str, Any],
    final: Mapping[str, Any],
    data: str = "auto",
) -> None:
    """Write a run file that holds a recorded training.

    Args:
        path, data: as for `History.save`.
        replay: the training.
        history: what `of_history` gave.
        final: the weights when it ended, by their paths.
    """
    if data not in ("auto", "all", "none"):
        raise ArgumentError(message("data is unknown.", came=repr(data), expected="auto, all or none"))
    writing.require_writable(path, "the run")
    model = replay.engine.parts.model
    packed = pack(replay, data)
    packed.described |= history
    run = run_files.Run(
        KIND,
        run_files.described_model(model),
        {name: np.asarray(value) for name, value in final.items()},
        history={},
        training={"steps": replay.record.steps},
        record=packed.described,
        arrays=packed.arrays,
        data=packed.data,
    )
    run_files.write(path, run)


def of_history(
    epochs: Sequence[tuple[int, Mapping[str, Any]]] = (),
    params: Mapping[str, Any] | None = None,
    labels: Sequence[str] = (),
    threshold: float = 0.5,
) -> dict[str, Any]:
    """What a history holds besides the record, as plain data."""
    return {
        "epochs": [[number, written_logs(logs)] for number, logs in epochs],
        "params": run_files.plain(
            {name: value for name, value in (params or {}).items() if _is_plain(value)}
        ),
        "labels": list(labels),
        "threshold": float(threshold),
    }


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def written_logs(logs: Mapping[str, Any]) -> dict[str, Any]:
    """What an epoch gave, in JSON's types; what callbacks put there and JSON cannot hold is left out.

    >>> written_logs({"loss": np.float32(0.5), "val_loss": math.nan, "by_class": np.ones(2), "by": print})
    {'loss': 0.5, 'val_loss': 'nan', 'by_class': [1.0, 1.0]}
    """

    def written(value: Any) -> Any:
        value = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        if isinstance(value, list | tuple):
            return [written(each) for each in cast(Sequence[Any], value)]
        return run_files.plain(value)

    found: dict[str, Any] = {}
    for name, value in logs.items():
        try:
            found[str(name)] = written(value)
        except ArgumentError:
            continue
    return found


def read_logs(logs: Mapping[str, Any]) -> dict[str, Any]:
    """What `written_logs` wrote, as it was.

    >>> read_logs({"loss": 0.5, "val_loss": "nan"})
    {'loss': 0.5, 'val_loss': nan}
    """

    def read(value: Any) -> Any:
        if isinstance(value, list):
            return [read(each) for each in cast(list[Any], value)]
        return float(value) if value in NOT_FINITE else math.nan if value is None else value

    return {name: read(value) for name, value in logs.items()}


@dataclass
class Packed:
    """A record as JSON, and its arrays by name."""

    described: dict[str, Any]
    arrays: dict[str, NumPy]
    data: dict[str, NumPy]


def _thinned(snapshots: Snapshots, limit: int) -> Sequence[Snapshot]:
    """Snapshots, evenly apart, that take no more than so many bytes together."""
    each = size_of(snapshots.before(0).state)
    apart = max(1, -(-each * len(snapshots.kept) // limit))
    return snapshots.kept[::apart]


def pack(replay: Replay, data: str = "auto", limit: int = SNAPSHOT_LIMIT) -> Packed:
    """A recorded training as plain data.

    Args:
        replay: the training.
        data: as for `History.save`.
        limit: how many bytes the snapshots may take.

    Raises:
        StateError: if the model was changed since, or no step was trained.
        ArgumentError: if what it was compiled with cannot be written down.
    """
    record = replay.record.settled()
    replay.require_same_model()
    if not record.snapshots.kept:
        raise StateError(message("no step of this run was trained, so there is nothing to keep."))
    facts, parts = record.facts, replay.engine.parts
    arrays: dict[str, NumPy] = {"log": record.log.table}
    kept = _thinned(record.snapshots, limit)
    leaves = [jax.tree.leaves(record.snapshots.before(each.step).state) for each in kept]
    for place in range(len(leaves[0])):
        arrays[f"snapshots/{place}"] = np.stack([np.asarray(each[place]) for each in leaves])
    for number, edit in enumerate(record.edits):
        for place, value in edit.leaves.items():
            arrays[f"edits/{number}/{place}"] = np.asarray(value)
    described: dict[str, Any] = {
        "compile": _compiled(parts),
        "not_decayed": _not_decayed(parts),
        "steps": record.steps,
        "oldest": record.oldest,
        "batch_size": facts.batch_size,
        "steps_per_epoch": facts.steps_per_epoch,
        "first_epoch": facts.first_epoch,
        "rows": facts.rows,
        "exact": facts.exact,
        "epochs_in_order": facts.epochs_in_order,
        "held_out": list(facts.held_out) if facts.held_out else None,
        "held_out_like": _specs(facts.held_out_like),
        "told": facts.told,
        "eager": facts.eager,
        "log_stride": record.log.stride,
        "snapshots": [each.step for each in kept],
        "groups": [len(group) for group in (parts.weights, parts.others, parts.remembered)],
        "edits": [[edit.step, sorted(edit.leaves)] for edit in record.edits],
        "epoch_starts": list(record.epoch_starts),
    }
    if record.orders is not None:
        described["shuffle"] = (
            record.orders.shuffle if record.orders.shuffle == "batch" else bool(record.orders.shuffle)
        )
        described["orders"] = [epoch for epoch, _ in record.orders.notes]
        states = [state for _, state in record.orders.notes]
        if any(state["bit_generator"] != "MT19937" for state in states):
            raise StateError(
                message("the orders of this run came from a generator of another kind than NumPy's own.")
            )
        if states:
            arrays["orders/key"] = np.stack([state["state"]["key"] for state in states])
            arrays["orders/pos"] = np.array([state["state"]["pos"] for state in states], np.int64)
    rows: dict[str, NumPy] = {}
    example: Any = None
    trained = replay.trained
    if trained is not None:
        held = trained.on_device if trained.on_device is not None else trained.rows
        if trained.on_device is None and trained.changed():
            held = None
        if held is None and data == "all":
            raise StateError(message("the rows that were trained on are gone, or have changed."))
        described |= {
            "digest": trained.digest,
            "columns": list(trained.columns),
            "origin": trained.origin,
        }
        arrays |= _named(Rows(None, None, trained.weight), ("weight",))
        if trained.numbers is not None:
            arrays["numbers"] = np.asarray(trained.numbers)
        # Arrays that were changed since have still the shapes that they had.
        example = held if held is not None else trained.rows
        if held is not None and data != "none":
            rows = named_rows(held)
            if data == "auto" and sum(array.nbytes for array in rows.values()) > DATA_LIMIT:
                rows = {}
    # A step that failed has left a batch, and was not trained.
    batches = [batch for batch in record.batches if batch.step < record.steps]
    example = record.batches[0].rows if record.batches else example
    for number, batch in enumerate(batches):
        if data != "none":
            rows |= {f"{number}/{name}": array for name, array in named_rows(batch.rows, True).items()}
            if batch.places is not None:
                rows[f"{number}/places"] = np.asarray(batch.places)
    if batches and data == "auto" and sum(array.nbytes for array in rows.values()) > DATA_LIMIT:
        rows = {}
    described["batches"] = [[batch.step, batch.size] for batch in batches] if rows else []
    described["like"] = _specs(Rows(example.x, example.y)) if example is not None else replay.like
    return Packed(described, arrays, rows)


def _compiled(parts: Parts) -> dict[str, Any]:
    """The arguments of `compile` that made these parts; the model may have been compiled anew since."""
    objective = parts.objective
    config: dict[str, Any] = {
        "optimizer": parts.optimizer,
        "loss": objective.given_loss,
        "loss_weights": objective.given_loss_weights,
        "metrics": objective.given_metrics,
        "weighted_metrics": objective.given_weighted,
    }
    return {name: serialize(value) for name, value in config.items() if value is not None}


def _not_decayed(parts: Parts) -> list[int]:
    """The weights that the optimizer leaves out of its weight decay, by their places."""
    optimizer = parts.optimizer
    if optimizer is None or not optimizer.mover.weight_decay:
        return []
    return [place for place, variable in enumerate(parts.weights) if not optimizer.decays(variable)]


def named_rows(rows: Rows, weight: bool = False) -> dict[str, NumPy]:
    """The arrays of rows by name: "x"; "x/name" where x is a dict, and "x/[0]" where it is a list."""
    named = _named(rows, PARTS if weight else PARTS[:2])
    return {name: np.asarray(array) for name, array in named.items()}


def _named(rows: Rows, parts: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for what in parts:
        value = getattr(rows, what)
        if isinstance(value, Mapping):
            named = cast(Mapping[str, Any], value)
            found |= {f"{what}/{name}": array for name, array in named.items()}
        elif isinstance(value, list | tuple):
            found |= {f"{what}/[{place}]": array for place, array in enumerate(cast(list[Any], value))}
        elif value is not None:
            found[what] = value
    return found


def rows_of(named: Mapping[str, NumPy], prefix: str = "") -> Rows:
    """The rows of arrays by name."""

    def one(what: str) -> Any:
        if f"{prefix}{what}" in named:
            return named[f"{prefix}{what}"]
        begin = f"{prefix}{what}/"
        several = {name.removeprefix(begin): a for name, a in named.items() if name.startswith(begin)}
        places = [f"[{place}]" for place in range(len(several))]
        if set(several) == set(places):
            return [several[place] for place in places] or None
        return several

    return Rows(*map(one, PARTS))


def _specs(rows: Any) -> Any:
    if rows is None:
        return None
    named = _named(rows, PARTS)
    return {name: [list(array.shape), str(array.dtype)] for name, array in named.items()}


def _like(specs: Any, rows: int | None = None) -> Rows:
    """Zeros (or their specifications) of the shapes that were written down."""

    def one(spec: Spec) -> Any:
        shape = tuple(_whole(size) for size in spec[0])
        if rows is not None:
            if math.prod(shape[1:]) > LARGEST_ROOM:
                raise ValueError(f"rows of shape {shape[1:]}")
            return np.zeros((rows, *shape[1:]), spec[1])
        return jax.ShapeDtypeStruct(shape, np.dtype(spec[1]))

    return rows_of({name: one(spec) for name, spec in cast(dict[str, Spec], specs).items()})


# Reading.


def load(path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None) -> Kept:
    """Read a run file that holds a recorded training; arguments as for `History.load`."""
    return unpack(run_files.read(path), Path(path), custom_objects)


def unpack(run: run_files.Run, path: Path, custom_objects: Mapping[str, Any] | None = None) -> Kept:
    """Make a recorded training of what a file holds."""
    if not run.record:
        raise FileError(
            message(
                "this run file holds no recorded training.",
                came=f"{path}: a {run.kind}",
                expected="a file of history.save(...), or of pellucid fit",
            )
        )
    said = run.record
    with custom_object_scope(custom_objects):
        model = run_files.build(run, path)
        try:
            model.compile_again(said["compile"])
        except UnknownNameError as problem:
            raise FileError(
                message(
                    "this run was compiled with something that is not known here.",
                    came=f"{path}: {str(problem).splitlines()[0]}",
                    mend="pass it by its name: History.load(path, custom_objects={...}).",
                )
            ) from None
        except Exception as problem:
            raise run_files.damaged(path, f"compile: {first_line(problem)}") from None
        try:
            return _unpacked(run, path, model)
        except FileError:
            raise
        except Exception as problem:  # whatever sizes and types that do not fit lead to
            raise run_files.damaged(path, f"the record: {first_line(problem)}") from None


def first_line(problem: Exception) -> str:
    """What went wrong, in one line."""
    lines = str(problem).splitlines() or [""]
    return f"{type(problem).__name__} {lines[0][:200]}"


def _unpacked(run: run_files.Run, path: Path, model: Any) -> Kept:
    said, arrays = run.record, run.arrays
    like = _like(said["like"], rows=1)
    engine = model._ready(like, "open")
    parts = engine.parts
    if [len(g) for g in (parts.weights, parts.others, parts.remembered)] != said["groups"]:
        raise run_files.damaged(path, "snapshots of another model")
    variables = [*parts.weights, *parts.others, *parts.remembered]
    steps = [int(step) for step in said["snapshots"]]
    if not steps or steps != sorted(set(steps)) or steps[0] < 0:
        raise run_files.damaged(path, "snapshots that are not in order")
    leaves: list[NumPy] = []
    for place, variable in enumerate(variables):
        array = arrays[f"snapshots/{place}"]
        if array.shape != (len(steps), *variable.shape) or str(array.dtype) != variable.dtype:
            raise run_files.damaged(path, f"snapshots of {variable.path} of shape {array.shape}")
        leaves.append(array)
    counts = [len(parts.weights), len(parts.others), len(parts.remembered)]

    def state(number: int) -> State:
        own = [array[number] for array in leaves]
        first, second = counts[0], counts[0] + counts[1]
        return State(tuple(own[:first]), tuple(own[first:second]), tuple(own[second:]), ())

    held_out = said["held_out"]
    facts = Facts(
        batch_size=_whole(said["batch_size"]),
        steps_per_epoch=_whole(said["steps_per_epoch"]),
        first_epoch=_whole(said["first_epoch"]),
        rows=_whole(said["rows"]),
        exact=bool(said["exact"]),
        epochs_in_order=_whole(said["epochs_in_order"]),
        held_out=None if held_out is None else (_whole(held_out[0]), _whole(held_out[1]), bool(held_out[2])),
        held_out_like=None if said["held_out_like"] is None else _like(said["held_out_like"]),
        told=_whole(said.get("told", 0)),
        eager=_yes_no(said.get("eager", False)),
    )
    record = Record(facts, steps=_whole(said["steps"]), oldest=_whole(said["oldest"]))
    record.snapshots = Snapshots()
    record.snapshots.kept = [Snapshot(step, state(number)) for number, step in enumerate(steps)]
    stride, table = _whole(said["log_stride"]), arrays["log"]
    if stride & (stride - 1) or table.shape != (-(-record.steps // stride), 2):
        raise run_files.damaged(path, f"a log of shape {table.shape} for {record.steps} steps")
    record.log = Log(table=table, stride=stride, steps=record.steps)
    for number, (step, places) in enumerate(said["edits"]):
        changed = {_whole(place): arrays[f"edits/{number}/{place}"] for place in places}
        record.edits.append(Edit(_whole(step), changed))
    record.epoch_starts = [_whole(each) for each in said["epoch_starts"]]
    trained = None
    if "orders" in said:
        record.orders = Orders(facts.rows, facts.batch_size, said["shuffle"])
        drawn = len(said["orders"])
        if drawn and (arrays["orders/key"].shape, arrays["orders/pos"].shape) != ((drawn, 624), (drawn,)):
            raise run_files.damaged(path, "orders without the generators that drew them")
        for place, epoch in enumerate(said["orders"]):
            key, pos = arrays["orders/key"][place], int(arrays["orders/pos"][place])
            record.orders.notes.append((_whole(epoch), generator(key, pos)))
        rows = rows_of(run.data) if run.data else None
        weight = rows_of(arrays).weight
        if rows is not None and fingerprint(rows) != said["digest"]:
            raise run_files.damaged(path, "other rows than those that were trained on")
        trained = Trained(rows, str(said["digest"]), weight, tuple(said["columns"]), str(said["origin"]))
        trained.numbers = arrays.get("numbers")
        if trained.numbers is not None and trained.numbers.shape != (facts.rows,):
            raise run_files.damaged(path, "numbers of other rows")
    for number, (step, size) in enumerate(said["batches"]):
        places = run.data.get(f"{number}/places")
        record.batches.append(
            StreamBatch(_whole(step), rows_of(run.data, f"{number}/"), _whole(size), places)
        )
    if undecayed := [parts.weights[_whole(place)] for place in said["not_decayed"]]:
        model.optimizer.exclude_from_weight_decay(undecayed)
    replay = Replay(engine, record, trained, description(parts))
    replay.like = said["like"]
    require_possible(path, replay)
    epochs = [(_whole(number), read_logs(logs)) for number, logs in said.get("epochs", [])]
    labels, threshold = tuple(map(str, said.get("labels", ()))), float(said.get("threshold", 0.5))
    if not 0.0 <= threshold <= 1.0:
        raise run_files.damaged(path, f"a threshold of {threshold}")
    return Kept(replay, epochs, dict(said.get("params", {})), labels, threshold)


def require_possible(path: Path, replay: Replay) -> None:
    """Raise FileError where what was read of a training does not fit together, or asks for too much room."""
    record, parts, like = replay.record, replay.engine.parts, replay.like

    def require(fits: Any, otherwise: str) -> None:
        if not fits:
            raise run_files.damaged(path, otherwise)

    if record.facts.rows:
        _require_arrays(require, replay)
    else:
        require(record.orders is None and not record.facts.steps_per_epoch, "orders of no rows")
        require(record.facts.held_out is None, "a validation within the steps of a stream")
        steps = [batch.step for batch in record.batches]
        require(
            steps == list(range(record.steps - len(steps), record.steps)), f"batches of the steps {steps}"
        )
        largest = max((batch.rows.count for batch in record.batches), default=0)
        for batch in record.batches:
            named = named_rows(batch.rows)
            require(set(named) == set(like), f"batches of {', '.join(named)}")
            require(
                all(array.shape[1:] == tuple(like[name][0][1:]) for name, array in named.items()),
                "rows of another shape",
            )
            count = batch.rows.count
            require(
                _of_length(batch.rows, count) and 0 < count <= batch.size,
                f"{count} rows of a batch of {batch.size}",
            )
            room = batch.size // count * _numbers(batch.rows)
            require(batch.size <= largest or room <= LARGEST_ROOM, f"a batch of {batch.size}")
        if record.batches:
            record.oldest = max(record.oldest, record.batches[0].step)
        starts = record.epoch_starts
        require(
            starts[:1] == [0] and starts == sorted(set(starts)) and starts[-1] <= record.steps,
            f"epochs that begin at the steps {starts}",
        )
    variables = [*parts.weights, *parts.others, *parts.remembered]
    steps = [edit.step for edit in record.edits]
    require(steps == sorted(set(steps)), "edits that are not in order")
    for edit in record.edits:
        for place, value in edit.leaves.items():
            fits = place < len(variables) and value.shape == variables[place].shape
            require(fits and str(value.dtype) == variables[place].dtype, "an edit of another shape")
    require(record.log.table.dtype == np.float32, "a log of other numbers")


def _require_arrays(require: Callable[[Any, str], None], replay: Replay) -> None:
    """What `require_possible` asks of a training on arrays."""
    record, trained, like = replay.record, replay.trained, replay.like
    facts, orders = record.facts, record.orders
    assert trained is not None
    assert orders is not None
    require(facts.rows <= LARGEST_ORDER and 0 < facts.batch_size <= facts.rows, "batches of impossible sizes")
    batches = Batches(facts.rows, facts.batch_size, facts.exact)
    require(facts.steps_per_epoch == batches.count, f"{facts.steps_per_epoch} steps in an epoch")
    order = facts.epochs_in_order * batches.count * batches.size
    require(facts.epochs_in_order == 1 or 0 < order <= LARGEST_ROOM, "a long order")
    told = f"{facts.told} steps that are told of at once"
    require(facts.told <= max(facts.epochs_in_order * batches.count, MOST_TOLD), told)
    require(orders.shuffle in (True, False, "batch"), f"shuffle {orders.shuffle!r}")
    epochs = [epoch for epoch, _ in orders.notes]
    begun = not (record.steps and orders.shuffle) or epochs[:1] == [0]
    require(begun and epochs == sorted(set(epochs)), "orders of other epochs")
    require(all(spec[0][0] == facts.rows for spec in like.values()), "other numbers of rows")
    if trained.rows is not None:
        require(_specs(Rows(trained.rows.x, trained.rows.y)) == like, "rows of another shape")
    for weight in jax.tree.leaves(trained.weight):
        require(weight.dtype.kind == "f" and weight.shape[:1] == (facts.rows,), "other weights")
    require((facts.held_out is None) == (facts.held_out_like is None), "a validation without rows")
    if facts.held_out is not None:
        count, size, _ = facts.held_out
        held_out = facts.held_out_like
        require(0 < size <= count and held_out.x is not None, "a validation of impossible sizes")
        require(_of_length(held_out, count), "other numbers of rows")
        # Room is made for them, so they may not be many more than those trained on.
        trained_on = sum(math.prod(spec[0]) for spec in like.values())
        require(_numbers(held_out) <= max(LARGEST_ROOM, 16 * trained_on), f"{count} rows held out")


def _of_length(rows: Rows, count: int) -> bool:
    return all(leaf.shape[:1] == (count,) for leaf in jax.tree.leaves(rows))


def _numbers(rows: Rows) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(rows))


def generator(key: NumPy, pos: int) -> dict[str, Any]:
    """The state of NumPy's generator, as it takes it."""
    if key.shape != (624,) or not 0 <= pos <= 624:
        raise ValueError("this is no state of a generator")
    state = {"key": np.asarray(key, np.uint32), "pos": pos}
    return {"bit_generator": "MT19937", "state": state, "has_gauss": 0, "gauss": 0.0}


def _yes_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a whole number")
    return value
