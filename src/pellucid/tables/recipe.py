"""From a table to a trained network: divide the rows, build, train, choose, and report.

    prepare   read the table, decide what its columns are, divide its rows
    train     train a network and a linear model on them, and measure both on rows kept apart
    fit       both, and save

A fifth of the rows are test rows, which training never touches; a fifth of the others validate:
they say when to stop and which epoch's weights to keep.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, message
from pellucid.tables.columns import Decided, decide, require_features, settle
from pellucid.tables.network import TableNetwork, in_units, open_table, outputs, require_replaceable
from pellucid.tables.reading import NumPy
from pellucid.tables.report import report
from pellucid.tables.schema import Kind, Schema

EPOCHS = 300
PATIENCE = 20
HIDDEN = (32, 16)
TEST_PART = VALIDATION_PART = 0.2
LEARNING_RATE = 1e-3
#: The penalty on the hidden layers' weights, PENALTY / rows * sum w^2: it keeps a network small that
#: has seen few rows, and hardly touches one that has seen many.
PENALTY = 4.0
#: The linear model is trained by this many steps on at most this many rows at a time.
LINEAR_STEPS, LINEAR_BATCH = 1_500, 4_096


@dataclass(frozen=True)
class Prepared:
    """A table, ready to be trained on.

    Args:
        name: what the table is called.
        table_rows: how many rows it has.
        schema: what its columns are.
        x: the features of the rows whose target is known, as 32-bit numbers.
        y: their targets: numbers of labels, or numbers.
        counts: how many rows have each label; empty for numbers.
        train, validation, test: the places of the rows in x and y.
        seed: what everything random was and will be drawn from.
        numbers: the number of each row of x in the table, from 1.
    """

    name: str
    table_rows: int
    schema: Schema
    x: NumPy
    y: NumPy
    counts: tuple[int, ...]
    train: NumPy
    validation: NumPy
    test: NumPy
    seed: int
    numbers: NumPy | None = None

    @property
    def rows(self) -> dict[str, int]:
        """How many rows each part has."""
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}


def fit(
    table: Any,
    target: str,
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    verbose: Any = 0,
    leave_out: Sequence[str] = (),
    kind: Kind | None = None,
    yes: str | None = None,
    callbacks: Sequence[Any] = (),
) -> TableNetwork:
    """Train a network that answers one column of a table from the others.

    Ctrl-C ends the training, not the call, once an epoch is over: the best weights so far are kept,
    measured and saved, and the network's `interrupted` is true.

    Args:
        table: the name of a file (CSV, TSV, Parquet, JSON lines), a data frame, or a dict from names
            to columns.
        target: the column to answer: of yes and no, of several classes, or of numbers.
        epochs: the largest number of epochs; training stops earlier when it no longer gets better.
        seed: the same seed on the same table gives the same network.
        out: where to save the network, if it is to be saved.
        verbose: as for `Model.fit`.
        leave_out: columns that the network shall not be given: row numbers, or what would not be
            known yet when an answer is needed.
        kind: "yes/no", "classes" or "number", if not what the values of the target suggest.
        yes: which of two values is the one whose probability is given, if not what they suggest.
        callbacks: callbacks of the training.

    Raises:
        FileError: if the file is missing or no table, or nothing can be written to `out`.
        DataError: if the rows or columns cannot be used; it says which.
        ArgumentError: if an argument cannot mean anything.

    Example:
        >>> import pellucid
        >>> sizes = [float(size) for size in range(40)]
        >>> columns = {"size": sizes, "large": ["yes" if size > 20 else "no" for size in sizes]}
        >>> network = pellucid.tables.fit(columns, "large")
        >>> network.predict({"size": [2.0, 38.0]}).answer.tolist()
        ['no', 'yes']
    """
    require_epochs(epochs)
    if out is not None:
        require_replaceable(out)
    prepared = prepare(table, target, seed=seed, leave_out=leave_out, kind=kind, yes=yes)
    network = train(prepared, epochs=epochs, verbose=verbose, callbacks=callbacks)
    if out is not None:
        network.save(out)
    return network


def require_epochs(epochs: Any) -> None:
    """Raise ArgumentError if a number of epochs cannot be trained."""
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
        raise ArgumentError(
            message("epochs does not fit.", came=repr(epochs), expected="a whole number, 1 or more")
        )


def prepare(
    table: Any,
    target: str,
    *,
    seed: int = 0,
    leave_out: Sequence[str] = (),
    kind: Kind | None = None,
    yes: str | None = None,
) -> Prepared:
    """Read a table, decide what its columns are, and divide its rows. Arguments as for `fit`."""
    if not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ArgumentError(
            message("the seed does not fit.", came=repr(seed), expected="a whole number from 0 to 4294967295")
        )
    with open_table(table) as opened:
        decided = decide(opened, target, leave_out, kind, yes)
        known = decided.known
        needed = np.isfinite(decided.y)
        numbers = opened.numbers(decided.schema.features, needed=needed, wide=True)[known]
        y = decided.y[known]
        parts = divide(decided, y, seed)
        schema, stays = settle(decided.schema, numbers[parts[0]])
        require_features(schema, opened.name)
        scale = np.array([feature.scale for feature in schema.features])
        x = np.ascontiguousarray(numbers[:, stays] * scale, np.float32)
        if schema.target.kind == "number":
            seen = y[parts[0]]
            spread = float(seen.std())
            schema = replace(
                schema, target=replace(schema.target, mean=float(seen.mean()), spread=spread or 1.0)
            )
        numbered = np.arange(1, opened.rows + 1)[known]
        return Prepared(opened.name, opened.rows, schema, x, y, decided.counts, *parts, seed, numbered)


def divide(decided: Decided, y: NumPy, seed: int) -> tuple[NumPy, NumPy, NumPy]:
    """Draw which rows train, validate and test; of each class the same part goes to each."""
    draw = np.random.default_rng(seed)
    groups = [np.flatnonzero(y == number) for number in range(len(decided.counts))] or [np.arange(len(y))]
    parts: tuple[list[NumPy], ...] = ([], [], [])
    for group in groups:
        order = draw.permutation(group)
        test = max(1, round(TEST_PART * len(order)))
        validation = max(1, round(VALIDATION_PART * (len(order) - test)))
        for part, rows in zip(
            parts, np.split(order, [len(order) - test - validation, len(order) - test]), strict=True
        ):
            part.append(rows)
    train, validation, test = (np.sort(np.concatenate(part)) for part in parts)
    return train, validation, test


def train(
    prepared: Prepared, *, epochs: int = EPOCHS, verbose: Any = 0, callbacks: Sequence[Any] = ()
) -> TableNetwork:
    """Train a network and a linear model, and measure both on the test rows. Arguments as for `fit`."""
    # All that draws random numbers as it is imported comes before the seed.
    import pellucid.models  # noqa: F401  # pyright: ignore[reportUnusedImport]
    from pellucid.callbacks import EarlyStopping

    target = prepared.schema.target
    x, y = prepared.x, prepared.y
    targets = ((y - target.mean) / target.spread if target.kind == "number" else y).astype(
        np.int32 if target.kind == "classes" else np.float32
    )
    rows, held_out = prepared.train, prepared.validation
    stopping = EarlyStopping("val_loss", min_delta=1e-4, patience=PATIENCE, restore_best_weights=True)
    batch = batch_size(len(rows))
    began = time.perf_counter()
    with _seeded(prepared.seed):
        model = build(prepared, HIDDEN, x[rows], PENALTY / len(rows))
        compile_for(model, target.kind, LEARNING_RATE)
        ended = "after all epochs"
        try:
            model.fit(
                x[rows],
                targets[rows],
                batch_size=batch,
                epochs=epochs,
                verbose=verbose,
                validation_data=(x[held_out], targets[held_out]),
                callbacks=[stopping, *callbacks],
            )
            if stopping.stopped_epoch:
                ended = "no longer better"
        except KeyboardInterrupt:
            if not model.history or not model.history.epoch:
                raise  # not one epoch was finished: there is nothing to keep
            ended = "interrupted"
        seconds = time.perf_counter() - began
        recorded = model.history
        if recorded is not None:
            recorded.columns = [feature.name for feature in prepared.schema.features]
            if prepared.numbers is not None:
                recorded.comes_from(prepared.numbers[rows])
            recorded.labels = [str(label) for label in target.labels]
        both = np.concatenate([rows, held_out])
        linear, converged = train_linear(prepared, x[both], targets[both])
    if not converged:
        ended = "interrupted"
    history: dict[str, list[Any]] = dict(model.history.history) if model.history is not None else {}
    found = [_answers_to_measure(prepared, each) for each in (model, linear)]
    measured = report(
        target.kind, target.labels, prepared.rows, y[prepared.test], found[0], found[1], y[both]
    )
    facts = {
        "table": prepared.name,
        "table_rows": prepared.table_rows,
        "rows": prepared.rows,
        "rows_without_target": prepared.table_rows - len(y),
        "counts": list(prepared.counts),
        "seed": prepared.seed,
        "optimizer": "adam",
        "learning_rate": LEARNING_RATE,
        "batch_size": batch,
        "epochs_at_most": epochs,
        "epochs": len(history.get("loss", [])),
        "best_epoch": stopping.best_epoch + 1 if history.get("val_loss") else 0,
        "ended": ended,
        "seconds": round(seconds, 3),
    }
    return TableNetwork(prepared.schema, measured, history, facts, model=model, recorded=recorded)


def _answers_to_measure(prepared: Prepared, model: Any) -> NumPy:
    """A model's numbers or probabilities for the test rows."""
    given = outputs(model, prepared.x[prepared.test])
    kind = prepared.schema.target.kind
    if kind == "number":
        return in_units(prepared.schema.target, given[:, 0])
    return given if kind == "classes" else given[:, 0]


def build(prepared: Prepared, hidden: Sequence[int], seen: NumPy, penalty: float) -> Any:
    """A network for the features: it standardises them by the rows it has seen, then come dense layers.

    Args:
        prepared: what it is for.
        hidden: the units of the hidden layers; none makes a linear model.
        seen: the rows that it standardises by.
        penalty: the l2 penalty on the weights of the hidden layers, or of the answer if there are none.
    """
    from pellucid.layers import Dense, Input, Normalization
    from pellucid.models import Sequential
    from pellucid.regularizers import L2

    target = prepared.schema.target
    units, activation = {
        "yes/no": (1, "sigmoid"),
        "classes": (len(target.labels), "softmax"),
        "number": (1, None),
    }[target.kind]
    standardise = Normalization(name="standardise")
    standardise.adapt(seen)
    return Sequential(
        [
            Input(shape=(len(prepared.schema.features),), name="features"),
            standardise,
            *(
                Dense(size, activation="relu", kernel_regularizer=L2(penalty), name=f"hidden_{number}")
                for number, size in enumerate(hidden, 1)
            ),
            Dense(
                units,
                activation=activation,
                kernel_regularizer=None if hidden else L2(penalty),
                name="answer",
            ),
        ],
        name="network" if hidden else "linear_model",
    )


def compile_for(model: Any, kind: Kind, learning_rate: Any) -> None:
    """Say what training is for a kind of target."""
    from pellucid.optimizers import Adam

    loss = {
        "yes/no": "binary_crossentropy",
        "classes": "sparse_categorical_crossentropy",
        "number": "mean_squared_error",
    }[kind]
    metrics = ["accuracy"] if kind != "number" else None
    model.compile(optimizer=Adam(learning_rate=learning_rate), loss=loss, metrics=metrics)


def train_linear(prepared: Prepared, x: NumPy, targets: NumPy) -> tuple[Any, bool]:
    """The same network without hidden layers, trained until nothing changes (or until Ctrl-C).

    Its penalty on the weights, 0.5 / rows * sum w^2, is small, and what makes the solution the only
    one where columns repeat each other or classes can be divided without error.
    """
    from pellucid.schedules import CosineDecay

    model = build(prepared, (), x, 0.5 / len(x))
    batch = min(len(x), LINEAR_BATCH)
    steps_each = -(-len(x) // batch)
    epochs = max(5, -(-LINEAR_STEPS // steps_each))
    compile_for(model, prepared.schema.target.kind, CosineDecay(0.1, epochs * steps_each))
    try:
        model.fit(x, targets, batch_size=batch, epochs=epochs, verbose=0)
    except KeyboardInterrupt:
        return model, False
    return model, True


def batch_size(rows: int) -> int:
    """Rows in a batch: few in small tables, so that an epoch has steps; more in large ones, so it is short.

    >>> batch_size(100), batch_size(400), batch_size(20_000), batch_size(10_000_000)
    (8, 32, 256, 1024)
    """
    size = 8
    while size < 1_024 and size * (20 if size < 32 else 150) < rows:
        size *= 2
    return size


@contextlib.contextmanager
def _seeded(seed: int) -> Generator[None]:
    """Draw everything from this seed, and leave the caller's random numbers as they were."""
    from pellucid.seeds import set_random_seed

    before, before_numpy = random.getstate(), np.random.get_state()
    set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)
