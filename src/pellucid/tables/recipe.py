"""From a table to a trained network: divide the rows, learn, choose, train on all, and report.

    prepare   read the table, decide what its columns are, divide its rows
    train     train a network and a linear model on them, and measure both on rows kept apart
    fit       both, and save

A fifth of the rows are test rows, which training never touches. The others train and validate: with five
folds each row is answered by a member that was not trained on it; without, a fifth is held out from a first
network, and then the network is trained on all of them. These answers say how sure the network may be
(calibration) and from which probability on yes is said (threshold). Of numbers, two networks say at first
whether dropout helps.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DataError, message
from pellucid.tables import building, choosing
from pellucid.tables.building import Asked, Recipe, recipe_for
from pellucid.tables.columns import Decided, decide, require_features, settle
from pellucid.tables.encoding import Encoding, encoding
from pellucid.tables.linear import LinearModel
from pellucid.tables.network import TableNetwork, in_units, open_table, outputs, require_replaceable
from pellucid.tables.reading import NumPy
from pellucid.tables.report import report
from pellucid.tables.schema import Feature, Kind, Schema

TEST_PART = 0.2
#: The stages of a training.
HELD_OUT, WITHOUT_DROPOUT, ALL_ROWS = "held out", "without dropout", "all rows"
#: How many training rows come along for explanations.
BACKGROUND = 100


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
        notes: what was noticed in the table that its user should know.
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
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> dict[str, int]:
        """How many rows each part has."""
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}

    @property
    def known(self) -> int:
        """How many rows of the table have a known target; test rows of another table are not of it."""
        return len(self.y) if self.numbers is None else len(self.numbers)

    @property
    def learned(self) -> NumPy:
        """The places of all rows but the test rows."""
        return np.sort(np.concatenate([self.train, self.validation]))

    @property
    def targets(self) -> NumPy:
        """The targets as the network is trained on them: of numbers, standardised."""
        target = self.schema.target
        if target.kind == "number":
            return ((self.y - target.mean) / target.spread).astype(np.float32)
        return self.y.astype(np.int32 if target.kind == "classes" else np.float32)


def fit(
    table: Any,
    target: str,
    *,
    test: Any = None,
    network: Sequence[int] | None = None,
    epochs: int | None = None,
    folds: int | None = None,
    seconds: float = 30.0,
    threshold: str | float = 0.5,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    verbose: Any = 0,
    leave_out: Sequence[str] = (),
    kind: Kind | None = None,
    yes: str | None = None,
    callbacks: Sequence[Any] = (),
) -> TableNetwork:
    """Train a network that answers one column of a table from the others.

    Numbers, categories, yes and no, and dates are learned from; values may be missing. What else there is
    (texts, columns that name the rows, constants) is left out, with the reason in `network.schema`.

    Ctrl-C ends the training, not the call, once an epoch is over: the weights so far are kept, measured
    and saved, and the network's `interrupted` is true.

    Args:
        table: the name of a file (CSV, TSV, Parquet, JSON lines, Excel), a pattern of names, SQL, a data
            frame (pandas, polars, Arrow), or a dict from names to columns.
        target: the column to answer: of yes and no, of several classes, or of numbers.
        test: a table of its own to measure on; otherwise a fifth of the rows is kept apart for that.
        network: the units of the hidden layers, if not the recipe's; () makes a linear network.
        epochs: how often the rows are gone through, if not as often as the recipe says.
        folds: how many folds, if not as the time allows; 0 for one network.
        seconds: about how long the training may take, as it is reckoned beforehand: five folds are trained
            where they fit in, else one network, else one for fewer epochs.
        threshold: from which probability on the answer is yes: a number, or what it is to be chosen for on
            the validation rows: "best-f1", "cost=FP:FN" (what a false yes and a false no cost), or
            "recall=0.95".
        seed: the same seed on the same table gives the same network.
        out: where to save the network, if it is to be saved.
        verbose: as for `Model.fit`.
        leave_out: columns that the network shall not be given: what would not be known yet when an
            answer is needed.
        kind: "yes/no", "classes" or "number", if not what the values of the target suggest.
        yes: which of two values is the one whose probability is given, if not what they suggest.
        callbacks: callbacks of the training on all rows.

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
    hidden = None if network is None else tuple(network)
    asked = Asked(hidden, epochs, folds, seconds)
    wanted = choosing.Wanted.of(threshold)
    if out is not None:
        require_replaceable(out)
    prepared = prepare(table, target, test=test, seed=seed, leave_out=leave_out, kind=kind, yes=yes)
    trained = train(prepared, asked, threshold=wanted, verbose=verbose, callbacks=callbacks)
    if out is not None:
        trained.save(out)
    return trained


def prepare(
    table: Any,
    target: str,
    *,
    test: Any = None,
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
        numbers = opened.numbers(decided.schema.features, wide=True)[known]
        y = decided.y[known]
        parts = divide(decided, y, seed, apart=test is None)
        numbered = np.arange(1, opened.rows + 1)[known]
        name, rows, notes = opened.name, opened.rows, opened.notes
    if test is not None:
        with open_table(test) as opened:
            more, more_y = labelled(opened, decided.schema)
            there = np.isfinite(more_y)
            if not there.any():
                raise DataError(
                    message(
                        f'"{target}" is known in no row of {opened.name}, so nothing can be tested on it.',
                        came=f"{opened.rows} rows",
                        expected="rows with a known answer",
                    )
                )
            parts = (*parts[:2], np.arange(len(y), len(y) + int(there.sum())))
            numbers, y = np.concatenate([numbers, more[there]]), np.concatenate([y, more_y[there]])
            name, notes = f"{name}, tested on {opened.name}", (*notes, *opened.notes)
    learned = np.sort(np.concatenate(parts[:2]))
    schema, stays = settle(decided.schema, numbers[learned])
    require_features(schema, name)
    scale = np.array([feature.scale for feature in schema.features])
    with np.errstate(over="ignore"):
        x = np.ascontiguousarray(numbers[:, stays] * scale, np.float32)
    if schema.target.kind == "number":
        seen = y[learned]
        facts = {"low": float(seen.min()), "high": float(seen.max()), "spread": float(seen.std()) or 1.0}
        schema = replace(schema, target=replace(schema.target, mean=float(seen.mean()), **facts))
    notes = (*notes, *choosing.noticed(schema, x, y, parts))
    return Prepared(name, rows, schema, x, y, decided.counts, *parts, seed, numbered, notes)


def labelled(table: Any, schema: Schema) -> tuple[NumPy, NumPy]:
    """The rows of a table as numbers, and their targets as a schema numbers them; NaN where unknown.

    Raises:
        DataError: if columns are missing, or the target holds other values than those trained on.
    """
    target = schema.target
    table.require_column(target.name)
    x = table.numbers(schema.features, wide=True)
    if target.kind == "number":
        return x, table.raw_numbers([target.name])[target.name]
    numbers = {label_text(label): place for place, label in enumerate(target.labels)}
    values = table.values(target.name)
    unknown = sorted(
        {str(value) for value in values.tolist() if value is not None and label_text(value) not in numbers}
    )
    if unknown:
        raise DataError(
            message(
                f'{table.name} has other values of "{target.name}" than the table that is trained on.',
                came=", ".join(unknown[:5]),
                expected=", ".join(str(label) for label in target.labels[:8]),
            )
        )
    y = [np.nan if value is None else numbers[label_text(value)] for value in values.tolist()]
    return x, np.array(y, np.float64)


def label_text(label: Any) -> str:
    """A label as text that is the same for 1, 1.0 and "1".

    >>> label_text(1.0), label_text("1"), label_text("one"), label_text(True)
    ('1', '1', 'one', 'True')
    """
    try:
        return f"{float(str(label)):.17g}"
    except ValueError:
        return str(label)


def divide(decided: Decided, y: NumPy, seed: int, apart: bool = True) -> tuple[NumPy, NumPy, NumPy]:
    """Draw which rows train, validate and test; of each class the same part goes to each.

    Without `apart`, none is kept for the test: its rows come from another table.
    """
    draw = np.random.default_rng(seed)
    parts: tuple[list[NumPy], ...] = ([], [], [])
    for group in groups_of(y, decided.schema.target.kind):
        order = draw.permutation(group)
        test = max(1, round(TEST_PART * len(order))) if apart else 0
        validation = max(1, round(building.VALIDATION_PART * (len(order) - test)))
        for part, rows in zip(
            parts, np.split(order, [len(order) - test - validation, len(order) - test]), strict=True
        ):
            part.append(rows)
    train, validation, test = (np.sort(np.concatenate(part)) for part in parts)
    return train, validation, test


@dataclass
class Watched:
    """Who hears of a training: the callbacks of its stages, and what each stage is for."""

    verbose: Any = 0
    callbacks: Sequence[Any] = ()
    #: Called as a stage begins, with what it is for and how many epochs it has.
    stage: Callable[[str, int], Sequence[Any]] = lambda name, epochs: ()


def train(
    prepared: Prepared,
    asked: Asked | None = None,
    *,
    threshold: choosing.Wanted | None = None,
    verbose: Any = 0,
    callbacks: Sequence[Any] = (),
    stage: Callable[[str, int], Sequence[Any]] | None = None,
) -> TableNetwork:
    """Train a network and a linear model, and measure both on the test rows. Arguments as for `fit`.

    Args:
        asked: what was asked for instead of what the recipe says.
        stage: called as each stage of the training begins, with its name and its number of epochs; gives
            callbacks for it.
    """
    x, y = prepared.x, prepared.y
    wanted = choosing.Wanted.of(0.5) if threshold is None else threshold
    wanted.require(prepared.schema.target)
    watched = Watched(verbose, callbacks, stage or (lambda name, epochs: ()))
    began = time.perf_counter()
    found = learn(prepared, wanted, watched, asked)
    seconds = time.perf_counter() - began
    schema, target = found.schema, found.schema.target
    recorded = found.model.history
    if recorded is not None:
        recorded.columns = [feature.name for feature in schema.features]
        if prepared.numbers is not None:
            recorded.comes_from(prepared.numbers[found.rows])
        recorded.labels = [str(label) for label in target.labels]
        recorded.threshold = target.threshold
    learned = prepared.learned
    linear = LinearModel(schema.features, target.kind, x[learned], y[learned])
    in_test = x[prepared.test]
    given = answers_of(found.model, in_test)
    if target.kind == "number":
        given = in_units(target, given)
    measured = report(
        target, prepared.rows, y[prepared.test], given, linear(in_test), y[learned], seed=prepared.seed
    )
    history: dict[str, list[Any]] = dict(recorded.history) if recorded is not None else {}
    facts = {
        "table": prepared.name,
        "table_rows": prepared.table_rows,
        "rows": prepared.rows,
        "rows_without_target": prepared.table_rows - prepared.known,
        "counts": list(prepared.counts),
        "seed": prepared.seed,
        "recipe": {**vars(found.recipe), "hidden": list(found.recipe.hidden)},
        "columns": found.columns,
        "temperature": found.temperature,
        "epochs": len(history.get("loss", [])),
        "ended": "interrupted" if found.stopped else "after all epochs",
        "seconds": round(seconds, 3),
        "notes": [*prepared.notes],
        "fingerprint": choosing.fingerprint(schema, x, y),
        "background": background(x[learned], prepared.seed),
    }
    return TableNetwork(schema, measured, history, facts, model=found.model, recorded=recorded)


def background(x: NumPy, seed: int) -> list[list[float | None]]:
    """A few training rows, which explanations compare others with; None where a value is missing."""
    rows = np.random.default_rng(seed).permutation(len(x))[: max(8, min(BACKGROUND, 20_000 // x.shape[1]))]
    numbers = np.clip(x[rows].astype(np.float64), -3e38, 3e38)
    return [[None if np.isnan(value) else float(value) for value in row] for row in numbers]


@dataclass(frozen=True)
class Learned:
    """What a training gave.

    Args:
        model: the network, calibrated.
        schema: the schema, with the threshold.
        recipe: how it was trained.
        rows: the places of the rows that it was trained on.
        columns: how many columns the encoding has.
        temperature: what its last sums were divided by.
        stopped: whether Ctrl-C ended it.
    """

    model: Any
    schema: Schema
    recipe: Recipe
    rows: NumPy
    columns: int
    temperature: float
    stopped: bool


def learn(
    prepared: Prepared,
    wanted: choosing.Wanted,
    watched: Watched,
    asked: Asked | None = None,
) -> Learned:
    """Train on all rows but the test rows, and choose by answers for rows that were not trained on.

    These are the folds' own, or of validation rows that a first network was not given.
    """
    # All that draws random numbers as it is imported comes before the seed.
    import pellucid.models  # noqa: F401  # pyright: ignore[reportUnusedImport]

    target, validation = prepared.schema.target, prepared.validation
    learned = prepared.learned
    columns = sum(_columns_of(feature, len(learned)) for feature in prepared.schema.features)
    recipe = recipe_for(len(learned), columns, asked, target.kind)
    answers = None
    with seeded(prepared.seed):
        first = None
        if len(validation) and (recipe.tries or not recipe.folds):
            first, answers = _held_out(prepared, recipe, watched)
            recipe = replace(recipe, dropout=first.dropout)
        if first is not None and first.stopped:
            # Ctrl-C: what there is by now is kept.
            last, recipe = first, replace(recipe, folds=0)
        else:
            last = _train_one(prepared, recipe, learned, watched, ALL_ROWS)
    judged = validation if last.apart is None else learned
    answers = answers if last.apart is None else last.apart
    chosen = choosing.Chosen(threshold=0.5)
    if answers is not None:
        chosen = choosing.choose(target, answers, prepared.y[judged], wanted)
    if chosen.temperature != 1.0:
        _cool(last.model, chosen.temperature)
    target = replace(target, threshold=chosen.threshold, threshold_reason=chosen.reason)
    schema = replace(prepared.schema, target=target)
    return Learned(last.model, schema, recipe, last.rows, last.columns, chosen.temperature, last.stopped)


def _columns_of(feature: Feature, rows: int) -> int:
    """About how many columns a feature will have."""
    if feature.treatment == "category":
        return len(feature.values)
    return 1 if rows < building.SMALL or feature.treatment == "yes/no" else 40


@dataclass(frozen=True)
class _Trained:
    model: Any
    rows: NumPy
    columns: int
    dropout: float
    stopped: bool
    #: With folds, for each row the answer of the member that was not trained on it.
    apart: NumPy | None = None


def _train_one(prepared: Prepared, recipe: Recipe, rows: NumPy, watched: Watched, stage: str) -> _Trained:
    """Train a network on some of the rows."""
    target = prepared.schema.target
    x, targets = prepared.x[rows], prepared.targets[rows]
    made: Encoding = encoding(prepared.schema.features, x, prepared.y[rows], target.kind, recipe.ramps)
    model = building.network(made, target, recipe)
    building.compile_for(model, target.kind, recipe, len(rows))
    given: dict[str, Any] = {"x": x, "y": targets}
    fold = _fold_of(prepared.y[rows], target.kind, recipe.folds, prepared.seed)
    if recipe.folds:
        # What has no loss is given any targets.
        each = np.repeat(targets[:, None, None], recipe.folds, axis=1)
        counts = (fold[:, None] != np.arange(recipe.folds)).astype(np.float32)
        given["y"] = [targets[:, None], each]
        given["sample_weight"] = [np.ones(len(rows), np.float32), counts * recipe.folds / (recipe.folds - 1)]
    callbacks = [*watched.stage(stage, recipe.epochs), *(watched.callbacks if stage == ALL_ROWS else ())]
    stopped = False
    try:
        model.fit(
            **given,
            batch_size=min(recipe.batch, len(rows)),
            epochs=recipe.epochs,
            verbose=watched.verbose,
            callbacks=callbacks,
            record="auto" if stage == ALL_ROWS else False,
        )
    except KeyboardInterrupt:
        if not model.history or not model.history.epoch:
            raise  # not one epoch was finished: there is nothing to keep
        stopped = True
    apart: NumPy | None = None
    if recipe.folds:
        members = outputs(model, x, members=True)[np.arange(len(x)), fold]
        apart = members if members.shape[1] > 1 else members[:, 0]
    return _Trained(model, rows, len(made.columns), recipe.dropout, stopped, apart)


def groups_of(y: NumPy, kind: Kind) -> list[NumPy]:
    """The places of the rows of each class, of which each part of a division gets its share; or of all."""
    if kind == "number":
        return [np.arange(len(y))]
    return [np.flatnonzero(y == each) for each in np.unique(y)]


def _fold_of(y: NumPy, kind: Kind, folds: int, seed: int) -> NumPy:
    """The fold of each row; of each class the same part is in each."""
    fold = np.zeros(len(y), np.int64)
    if not folds:
        return fold
    draw = np.random.default_rng(seed + 1)
    start = 0
    for group in groups_of(y, kind):
        fold[draw.permutation(group)] = (np.arange(len(group)) + start) % folds
        start += len(group)
    return fold


def _held_out(prepared: Prepared, recipe: Recipe, watched: Watched) -> tuple[_Trained, NumPy]:
    """Train a single network without the validation rows, and give its answers for them.

    Where that is to be tried, a second is trained without dropout, and the better is given.
    """
    x, truth = prepared.x[prepared.validation], prepared.targets[prepared.validation]
    single = replace(recipe, folds=0)
    first = _train_one(prepared, single, prepared.train, watched, HELD_OUT)
    answers = answers_of(first.model, x)
    if not recipe.tries or first.stopped:
        return first, answers
    second = _train_one(prepared, replace(single, dropout=0.0), prepared.train, watched, WITHOUT_DROPOUT)
    others = answers_of(second.model, x)
    if np.mean((others - truth) ** 2) < np.mean((answers - truth) ** 2):
        return second, others
    return replace(first, stopped=second.stopped), answers


def answers_of(model: Any, x: NumPy) -> NumPy:
    """A model's answers: probabilities, those of each class, or standardised numbers."""
    given = outputs(model, x)
    return given if given.shape[1] > 1 else given[:, 0]


def _cool(model: Any, temperature: float) -> None:
    """Divide what goes into the last sigmoid or softmax by a temperature."""
    names = [layer.name for layer in model.layers]
    last = model.get_layer("members" if "members" in names else "answer")
    for variable in last.weights:
        variable.assign(variable.numpy() / np.float32(temperature))


@contextlib.contextmanager
def seeded(seed: int) -> Generator[None]:
    """Draw everything from this seed, and leave the caller's random numbers as they were."""
    from pellucid.seeds import set_random_seed

    before, before_numpy = random.getstate(), np.random.get_state()
    set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)
