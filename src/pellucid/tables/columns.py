"""Decide what each column of a table is: a feature, the target, or left out, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DataError, message
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
#: A column in which this part of the values are numbers is one of numbers; others count as missing.
MOSTLY = 0.9
#: The most categories of a column that the network is told apart, and the fewest rows that one needs.
MOST_CATEGORIES, FEWEST_OF_CATEGORY = 254, 3
#: Text of more words than this, and of many values, is no category.
MOST_WORDS = 6
#: Names of columns that say which row this is.
_IDENTIFIER = re.compile(
    r"(^|[_ .-])(id|ids|key|uuid|guid|nr|no|number|index|rownum|row)([_ .-]|$)|ID$|Id$", re.I
)
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
        table.require_column(name)
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
        if isinstance(judged, LeftOut):
            left_out.append(judged)
        else:
            features += judged
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


def features_of(columns: Mapping[str, NumPy]) -> tuple[list[Feature], list[LeftOut]]:
    """The features among columns that somebody has chosen: numbers stay, whatever they look like."""
    features: list[Feature] = []
    left_out: list[LeftOut] = []
    others = {name: column for name, column in columns.items() if column.dtype.kind not in "fiu"}
    judged: dict[str, list[Feature] | LeftOut] = {}
    if others:
        with Table.of(others) as table:
            judged = {name: _judge(table, name) for name in others}
    for name in columns:
        found = judged.get(name, [Feature(name)])
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            features += found
    return features, left_out


def _judge(table: Table, name: str) -> list[Feature] | LeftOut:
    """What a column is, from all of its values."""
    facts = table.facts(name)
    there, kind = facts["there"], table.columns[name]
    if there == 0:
        return LeftOut(name, "all values are missing")
    missing = f"{table.rows - there:,} of {table.rows:,} missing" if there < table.rows else ""
    if kind == "BOOLEAN":
        return [Feature.yes_no(name, missing)]
    if facts["numbers"] == there:
        return _judge_numbers(table, name, facts, missing)
    if facts["dates"] == there:
        return _parts_of_dates(table, name, "", missing)
    if not table.is_text(name):
        return LeftOut(name, f"values of type {kind.split('(')[0]}")
    words = [str(value).lower() for value in table.different(name, 6)]
    if set(words) <= set(YES_NO):
        return [Feature.yes_no(name, missing)]
    if facts["commas"] and facts["commas"] + facts["numbers"] == there:
        return [Feature(name, written=",", note=_joined("with decimal commas", missing))]
    if facts["numbers"] >= MOSTLY * there:
        value, row = table.example(name)
        others = there - facts["numbers"]
        said = f'{others:,} are no numbers and count as missing, the first "{_short(value)}" in row {row}'
        return [Feature(name, note=_joined(said, missing))]
    if (written := table.dates(name)) is not None:
        return _parts_of_dates(table, name, written, missing)
    return _judge_words(table, name, facts, missing)


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _judge_numbers(table: Table, name: str, facts: dict[str, int], missing: str) -> list[Feature] | LeftOut:
    """A column of numbers: a feature, unless it only says which row this is."""
    whole = facts["whole"] == facts["there"] == table.rows
    if whole and facts["different"] > 0.8 * table.rows and table.exactly_different(name) == table.rows:
        if table.counts_rows(name):
            return LeftOut(name, "it counts the rows")
        if _IDENTIFIER.search(name):
            return LeftOut(name, "it names the rows: each has a number of its own")
    return [Feature(name, note=missing)]


def _judge_words(table: Table, name: str, facts: dict[str, int], missing: str) -> list[Feature] | LeftOut:
    """A column of text: categories, unless nearly each row has words of its own."""
    there = facts["there"]
    example = _short(table.example(name, numbers=False)[0])
    several = table.exactly_different(name)
    if several == there and there >= FEWEST_ROWS:
        return LeftOut(name, f'each row has a text of its own, such as "{example}"')
    if several > there / 2 and there >= FEWEST_ROWS:
        return LeftOut(name, f'text: {several:,} different values in {there:,} rows, such as "{example}"')
    if facts["words"] > MOST_WORDS and several > MOST_CATEGORIES:
        return LeftOut(name, f'text of up to {facts["words"]} words, such as "{example}"')
    found = table.frequent(name, MOST_CATEGORIES)
    kept = [value for value, count in found if count >= FEWEST_OF_CATEGORY or several <= 2]
    if not kept:
        return LeftOut(name, f'hardly a value comes twice, such as "{example}"')
    rare = several - len(kept)
    said = f"{len(kept):,} categories" + (f", and {rare:,} rare ones taken together" if rare else "")
    return [Feature.category(name, kept, _joined(said, missing), rare)]


def _parts_of_dates(table: Table, name: str, written: str, missing: str) -> list[Feature]:
    """A column of dates: when it was, and what of it comes again: month, weekday, hour."""
    ways = [way for way in written.split("|") if way]
    note = _joined("dates" + (f" written as {' or '.join(ways)}" if ways else ""), missing)

    def part(which: str, title: str) -> Feature:
        called = f"{name} ({title})"
        return Feature(called, "date", column=name, written=written, part=which, note=note)

    return [part("day", "day"), part("month", "month"), part("weekday", "weekday"), part("hour", "hour")]


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
                came=f"{labels[0]!r} in {_all_rows(facts['there'])}",
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


def _all_rows(there: int) -> str:
    return "the only row that has one" if there == 1 else f"all {there:,} rows that have one"


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
    return table.values(name), tuple(sorted(table.different(name, MOST_CLASSES)))


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
    finite = np.where(np.isfinite(numbers), numbers, np.nan)
    features: list[Feature] = []
    left_out = list(schema.left_out)
    stays = np.zeros(len(schema.features), bool)
    for place, feature in enumerate(schema.features):
        settled = _settled(feature, numbers[:, place], finite[:, place])
        if isinstance(settled, LeftOut):
            left_out.append(settled)
        else:
            features.append(settled)
            stays[place] = True
    return replace(schema, features=tuple(features), left_out=tuple(left_out)), stays


def _settled(feature: Feature, raw: NumPy, finite: NumPy) -> Feature | LeftOut:
    """A feature as the training rows show it, or why it is none."""
    there = finite[~np.isnan(finite)]
    if not len(there):
        return LeftOut(feature.name, "all values are missing in the training rows")
    low, high = float(there.min()), float(there.max())
    if low == high and len(there) == len(finite):
        return LeftOut(feature.name, f"the same value in all training rows: {feature.said(low)}")
    feature = replace(feature, missing=len(finite) - len(there))
    if feature.treatment == "category":
        return feature
    with np.errstate(over="ignore", invalid="ignore"):
        spread, size = float(there.std()), max(abs(low), abs(high))
    if low != high and not (np.isfinite(spread) and spread >= 1e-6 * size):
        return LeftOut(feature.name, "its values differ too little, or too much, for 32-bit numbers")
    extreme = low != high and not 1e-4 < spread < 1e8
    scale = 10.0 ** -round(float(np.log10(spread))) if extreme else 1.0
    infinite = int(np.isinf(raw).sum())
    note = _joined(feature.note, f"{infinite:,} infinite" if infinite else "")
    return replace(feature, scale=scale, low=low, high=high, note=note)
