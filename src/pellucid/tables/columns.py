"""Decide what each column of a table is: a feature, the target, or left out, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DataError, did_you_mean, message
from pellucid.tables.reading import NumPy, Table, listed
from pellucid.tables.schema import KINDS, YES_NO, Feature, Kind, Label, LeftOut, Schema, Target

#: Fewer rows than this cannot be divided into rows to train on, to validate on and to test on.
FEWEST_ROWS = 20
#: A class needs a row to test on, a row to validate on, and a few to learn from.
FEWEST_OF_CLASS = 5
#: More different whole numbers than this are a number to answer, not classes.
MOST_NUMBERED_CLASSES = 20
#: More classes than this are no classes.
MOST_CLASSES = 1000
#: Words that mean that what is asked for is there, in small letters.
POSITIVE_WORDS = frozenset(
    [
        "yes",
        "y",
        "true",
        "t",
        "1",
        "positive",
        "pos",
        "malignant",
        "present",
        "sick",
        "ill",
        "diseased",
        "abnormal",
        "bad",
        "fraud",
        "spam",
        "churn",
        "churned",
        "default",
        "defaulted",
        "failed",
        "failure",
    ]
)


@dataclass(frozen=True)
class Decided:
    """What was decided: the schema, and the answers that the table gives.

    Args:
        schema: what each column is.
        y: for each row of the table the number of its label, or the number itself; NaN where the
            target is missing.
        counts: how many rows have each label; empty for numbers.
    """

    schema: Schema
    y: NumPy
    counts: tuple[int, ...]

    @property
    def known(self) -> NumPy:
        """The places of the rows whose target is known."""
        return np.flatnonzero(~np.isnan(self.y))


def decide(
    table: Table,
    target: str,
    leave_out: Sequence[str] = (),
    kind: Kind | None = None,
    yes: str | None = None,
) -> Decided:
    """Decide what each column is.

    Args:
        table: the table.
        target: the name of the column to answer.
        leave_out: names of columns that the network shall not be given.
        kind: what the target is taken as: "yes/no", "classes" or "number"; None decides by its values.
        yes: which of two values is the positive one; None decides by what they say.

    Raises:
        ArgumentError: if `kind` is none of them, or `yes` is no value of the target.
        DataError: if there is no such column, the target cannot be learned, or no column is a feature.
    """
    if kind is not None and kind not in KINDS:
        raise ArgumentError(message("kind is unknown.", came=repr(kind), expected=", ".join(KINDS)))
    for name in (target, *leave_out):
        _require_column(table, name, "no such column")
    if target in leave_out:
        raise ArgumentError(message("the target cannot be left out.", came=f'"{target}" as both'))
    decided_target, y, counts = _target(table, target, kind, yes)
    known = int((~np.isnan(y)).sum())
    if known < FEWEST_ROWS:
        raise DataError(
            message(
                "there are too few rows to train on and to test on.",
                came=f"{known} rows with a known {target!r} in {table.name}",
                expected=f"{FEWEST_ROWS} or more",
                mend="collect more rows.",
            )
        )
    features: list[Feature] = []
    left_out: list[LeftOut] = []
    for name in table.columns:
        if name == target:
            continue
        judged = LeftOut(name, "as asked") if name in leave_out else _judge(table, name)
        if isinstance(judged, Feature):
            features.append(judged)
        else:
            left_out.append(judged)
    schema = Schema(tuple(features), decided_target, tuple(left_out))
    require_features(schema, table.name)
    return Decided(schema, y, counts)


def require_features(schema: Schema, name: str) -> None:
    """Raise DataError, with the reasons, if no column is a feature."""
    if not schema.features:
        raise DataError(
            message(
                "no column of this table can be used to answer from.",
                came="; ".join(f'"{each.name}": {each.reason}' for each in schema.left_out[:6])
                or f'{name} has no column beside "{schema.target.name}"',
                expected="columns of numbers, or of yes and no, that differ from row to row",
            )
        )


def _require_column(table: Table, name: str, what: str) -> None:
    if name not in table.columns:
        raise DataError(
            message(
                f'{table.name} has {what}: "{name}".',
                came=repr(name),
                expected=did_you_mean(name, table.columns),
                mend="write the name as the first line of the table does.",
            )
        )


def _judge(table: Table, name: str) -> Feature | LeftOut:
    """What a column is, from all of its values."""
    facts = table.facts(name)
    there, kind = facts["there"], table.columns[name]
    if there == 0:
        return LeftOut(name, "all values are missing")
    if kind == "BOOLEAN":
        return Feature.yes_no(name)
    if table.is_number(name) or (table.is_text(name) and facts["numbers"] == there):
        return Feature(name)
    if facts["dates"] == there:
        return LeftOut(name, f"dates, such as {table.example(name)[0]}")
    if not table.is_text(name):
        return LeftOut(name, f"values of type {kind.split('(')[0]}")
    words = [(str(value).lower(), count) for value, count in table.different(name, 6)]
    if {word for word, _ in words} <= set(YES_NO):
        return Feature.yes_no(name)
    value, row = table.example(name)
    if facts["numbers"] > there / 2:
        count = there - facts["numbers"]
        return LeftOut(name, f'text in {count} of {there} values, the first "{_short(value)}" in row {row}')
    return LeftOut(name, f'text, such as "{_short(value)}"')


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:21]}..."


def _target(
    table: Table, name: str, kind: Kind | None, yes: str | None
) -> tuple[Target, NumPy, tuple[int, ...]]:
    """What the target is, and the answer of each row as a number."""
    facts = table.facts(name)
    if facts["there"] == 0:
        raise DataError(
            message(
                f'the target "{name}" is missing in all {table.rows} rows.',
                expected="a known answer in the rows to learn from",
            )
        )
    numeric = facts["numbers"] == facts["there"] and table.columns[name] != "BOOLEAN"
    if not numeric and (kind == "number" or not (table.is_text(name) or table.columns[name] == "BOOLEAN")):
        what = f"dates, such as {table.example(name)[0]}" if facts["dates"] else f"{table.example(name)[0]!r}"
        raise DataError(
            message(
                f'the target "{name}" cannot be learned as it is.',
                came=f"{what} ({table.columns[name]})",
                expected="numbers" if kind == "number" else "yes and no, a few classes, or numbers",
            )
        )
    values, labels = _numbers(table, name) if numeric else _labels(table, name)
    if len(labels) == 1:
        raise DataError(
            message(
                f'the target "{name}" has the same value in every row, so there is nothing to learn.',
                came=f"{labels[0]!r} in all {facts['there']} rows that have one",
                expected="two or more different values",
            )
        )
    if kind == "yes/no" and len(labels) != 2:
        raise DataError(
            message(
                f'the target "{name}" is not yes or no.',
                came=f"{len(labels)} different values: {listed(labels)}",
                expected="two different values",
            )
        )
    reason = ""
    if numeric and (kind == "number" or (kind is None and len(labels) > 2)):
        whole = bool(np.all(np.mod(values[~np.isnan(values)], 1) == 0))
        rows = np.unique(values[~np.isnan(values)], return_counts=True)[1]
        few = len(labels) <= MOST_NUMBERED_CLASSES and int(rows.min()) >= FEWEST_OF_CLASS
        if kind == "number" or not (whole and few):
            return Target(name, "number"), values, ()
        reason = f"{len(labels)} different whole numbers are taken as classes"
    if len(labels) > MOST_CLASSES:
        raise DataError(
            message(
                f'the target "{name}" has too many different values to be classes.',
                came=f"more than {MOST_CLASSES}: {listed(labels)}",
                expected="a few classes, or numbers",
            )
        )
    numbers = {label: number for number, label in enumerate(labels)}
    if numeric:
        y = values.copy()
        there = ~np.isnan(values)
        y[there] = [numbers[_plain(value)] for value in values[there].tolist()]
    else:
        y = np.array([np.nan if value is None else numbers[value] for value in values.tolist()], np.float64)
    counts = tuple(int((y == number).sum()) for number in range(len(labels)))
    _require_enough(name, labels, counts)
    if len(labels) > 2:
        if yes is not None:
            raise ArgumentError(
                message(
                    f'the target "{name}" is not yes or no.',
                    came=f"{yes!r} as yes, and {len(labels)} different values: {listed(labels)}",
                    expected="two different values",
                )
            )
        return Target(name, "classes", labels, reason), y, counts
    positive, reason = _positive(labels, counts, yes)
    if positive == 0:
        labels, counts, y = labels[::-1], counts[::-1], 1.0 - y
    return Target(name, "yes/no", labels, reason), y, counts


def _numbers(table: Table, name: str) -> tuple[NumPy, tuple[Label, ...]]:
    values = table.raw_numbers([name])[name]
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        raise DataError(
            message(
                f'the target "{name}" is infinite in {len(infinite)} rows.',
                came=f"rows {listed((infinite + 1).tolist())} (rows count from 1, without the header)",
                expected="finite numbers, or nothing where the answer is not known",
            )
        )
    return values, tuple(_plain(value) for value in np.unique(values[~np.isnan(values)]).tolist())


def _plain(value: float) -> int | float:
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def _labels(table: Table, name: str) -> tuple[NumPy, tuple[Label, ...]]:
    found = [value for value, _ in table.different(name, MOST_CLASSES)]
    return table.values(name), tuple(sorted(found))


def _require_enough(name: str, labels: Sequence[Label], counts: Sequence[int]) -> None:
    few = [
        f"{label!r}: {count}" for label, count in zip(labels, counts, strict=True) if count < FEWEST_OF_CLASS
    ]
    if few:
        raise DataError(
            message(
                f'the target "{name}" has classes with too few rows to learn from and to test on.',
                came=listed(few),
                expected=f"{FEWEST_OF_CLASS} rows or more of each of the {len(labels)} classes",
                mend="collect more rows of these classes, leave their rows out, or join them with others"
                + (
                    "; if the target is a number to be answered, say that its kind is number."
                    if all(not isinstance(label, str) for label in labels)
                    else "."
                ),
            )
        )


def _positive(labels: Sequence[Label], counts: Sequence[int], yes: str | None = None) -> tuple[int, str]:
    """Which of two labels is the positive one, and why.

    It is the one that was asked for; else the one that is a word for "there" (yes, true, 1,
    positive, malignant, ...) if the other one is not; else the rarer one; else the last in the order
    of the alphabet.

    >>> _positive(("benign", "malignant"), (5, 5))
    (1, '"malignant" means yes')
    >>> _positive(("cat", "dog"), (5, 9))
    (0, '"cat" is the rarer')
    """
    if yes is not None:
        names = [str(label).lower() for label in labels]
        if yes.lower() not in names:
            raise ArgumentError(
                message(
                    "yes is to be one of the two values of the target.",
                    came=repr(yes),
                    expected=" or ".join(repr(str(label)) for label in labels),
                )
            )
        place = names.index(yes.lower())
        return place, "that was asked for"
    means_yes = [str(label).lower() in POSITIVE_WORDS for label in labels]
    if means_yes[0] != means_yes[1]:
        place = means_yes.index(True)
        return place, f'"{labels[place]}" means yes'
    if counts[0] != counts[1]:
        place = 0 if counts[0] < counts[1] else 1
        return place, f'"{labels[place]}" is the rarer'
    return 1, f'"{labels[1]}" is the last in the alphabet, and as frequent as "{labels[0]}"'


def settle(schema: Schema, numbers: NumPy) -> tuple[Schema, NumPy]:
    """Look at the training rows: leave out what is constant in them, and scale what is extreme.

    Args:
        schema: what was decided by the values of the table.
        numbers: the features of the training rows, in 64 bits.

    Returns:
        The schema, and which of its features stay.
    """
    low, high = numbers.min(axis=0), numbers.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = numbers.std(axis=0)
        size = np.maximum(np.abs(low), np.abs(high))
    features: list[Feature] = []
    left_out = list(schema.left_out)
    stays = np.zeros(len(schema.features), bool)
    for place, feature in enumerate(schema.features):
        if low[place] == high[place]:
            left_out.append(LeftOut(feature.name, f"the same value in all training rows: {low[place]:g}"))
        elif not np.isfinite(spread[place]) or spread[place] < 1e-6 * size[place]:
            left_out.append(
                LeftOut(feature.name, "its values differ too little, or too much, for 32-bit numbers")
            )
        else:
            extreme = not 1e-4 < spread[place] < 1e8
            scale = 10.0 ** -round(float(np.log10(spread[place]))) if extreme else 1.0
            features.append(replace(feature, scale=scale))
            stays[place] = True
    return replace(schema, features=tuple(features), left_out=tuple(left_out)), stays
