"""What each column of a table is to a network, as plain data that goes into JSON and back.

A schema is all that is needed to treat new rows as the training rows were treated. How a column
becomes numbers is written down with it (`Feature`), so that new treatments are new data, not new
code paths. Nothing here computes; nothing here needs JAX or NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

from pellucid.errors import FileError, message

#: What a value of the target can be: a piece of text, a whole number, a number, or true and false.
Label = str | int | float | bool
Kind = Literal["yes/no", "classes", "number"]
Treatment = Literal["number", "yes/no", "category", "date"]

KINDS: tuple[Kind, ...] = ("yes/no", "classes", "number")
TREATMENTS: tuple[Treatment, ...] = ("number", "yes/no", "category", "date")
#: What is taken of a date: days since the start of 2000 with their part, or what comes again and again.
DATE_PARTS: tuple[str, ...] = ("day", "month", "weekday", "hour")
#: Words that stand for 1 and 0 in a column of yes and no, in small letters.
YES_NO: dict[str, float] = {
    **dict.fromkeys(("yes", "y", "true", "t", "1", "1.0"), 1.0),
    **dict.fromkeys(("no", "n", "false", "f", "0", "0.0"), 0.0),
}
#: Text that means that a value is missing, in small letters.
MISSING: tuple[str, ...] = ("", "na", "n/a", "nan", "null", "none", "?")


@dataclass(frozen=True)
class Feature:
    """A number that the network is given, and how it comes from the values of a column.

    Args:
        name: what it is called: the name of the column, and of dates the part: "visit (month)".
        treatment: "number" takes numbers as they are; "yes/no" looks words up in `values`, and so does
            "category", where another word is the number behind the last; "date" takes a part of a date.
        values: the number that each word stands for; of yes and no in small letters.
        scale: what a number is multiplied by: a power of ten that brings columns of extreme size
            into the range in which 32-bit numbers are exact; 1 for all others.
        column: the column, if it is called otherwise.
        written: how the column writes its values: "," for numbers with a decimal comma, or how dates
            are written (strptime's letters); "" where there is nothing to say.
        part: of a date, one of DATE_PARTS.
        note: what else was seen in the column.
        low, high: the smallest and the largest number in the training rows.
        missing: in how many training rows it is missing.
        rare: of categories, how many others were too rare to be told apart.
    """

    name: str
    treatment: Treatment = "number"
    values: tuple[tuple[str, float], ...] = ()
    scale: float = 1.0
    column: str = ""
    written: str = ""
    part: str = ""
    note: str = ""
    low: float | None = None
    high: float | None = None
    missing: int = 0
    rare: int = 0

    @classmethod
    def yes_no(cls, name: str, note: str = "") -> Feature:
        """A column of yes and no, under any of their names."""
        return cls(name, "yes/no", tuple(YES_NO.items()), note=note)

    @classmethod
    def category(cls, name: str, words: Sequence[str], note: str = "", rare: int = 0) -> Feature:
        """A column of words: of each the network learns what it means."""
        values = tuple((word, float(number)) for number, word in enumerate(words))
        return cls(name, "category", values, note=note, rare=rare)

    @property
    def source(self) -> str:
        """The name of the column."""
        return self.column or self.name

    def said(self, number: float) -> str:
        """A number as the column would say it.

        >>> Feature.category("colour", ["red", "blue"]).said(1.0), Feature("size").said(2.5)
        ('blue', '2.5')
        """
        if math.isnan(number):
            return "missing"
        words = [word for word, value in self.values if value == number]
        if words:
            return words[0]
        return "another value" if self.treatment == "category" else f"{number / self.scale:.6g}"


@dataclass(frozen=True)
class LeftOut:
    """A column that the network is not given, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Target:
    """What the network answers.

    Args:
        name: the name of the column.
        kind: "yes/no" has two labels, "classes" several, "number" none.
        labels: the possible answers. Of yes/no, the second is the positive one, whose probability
            the network gives.
        reason: why the positive one is that one, or why a column of numbers is taken as classes.
        mean, spread: the mean and standard deviation of numbers, which the network is trained
            without: answer = output * spread + mean.
        low, high: the smallest and the largest number that was trained on: no answer goes beyond.
        threshold: from which probability on the answer of yes/no is the positive one.
        threshold_reason: why it is not 0.5.
    """

    name: str
    kind: Kind
    labels: tuple[Label, ...] = ()
    reason: str = ""
    mean: float = 0.0
    spread: float = 1.0
    low: float | None = None
    high: float | None = None
    threshold: float = 0.5
    threshold_reason: str = ""

    @property
    def positive(self) -> Label | None:
        """The positive answer of yes/no, else None."""
        return self.labels[1] if self.kind == "yes/no" else None


@dataclass(frozen=True)
class Schema:
    """The columns of a table: features, target, and what was left out."""

    features: tuple[Feature, ...]
    target: Target
    left_out: tuple[LeftOut, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The columns that a table needs, each once."""
        return list(dict.fromkeys(each.source for each in self.features))

    def to_json(self) -> dict[str, Any]:
        """The schema in JSON's types."""
        return {
            "features": [{**asdict(each), "values": dict(each.values)} for each in self.features],
            "target": {**asdict(self.target), "labels": list(self.target.labels)},
            "left_out": [{"name": each.name, "reason": each.reason} for each in self.left_out],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schema:
        """Make the schema again.

        Raises:
            FileError: if the data is not what `to_json` gives.
        """
        try:
            features = tuple(_feature(each) for each in _list(data["features"]))
            left_out = tuple(
                LeftOut(_text(each["name"]), _text(each["reason"])) for each in _list(data["left_out"])
            )
            schema = cls(features, _target(data["target"]), left_out)
        except KeyError as missing:
            raise _damaged(f"{missing} is missing") from None
        except (TypeError, ValueError, AttributeError) as problem:
            raise _damaged(str(problem)) from None
        names = [each.name for each in features]
        if not features or len(set(names)) != len(names) or schema.target.name in names:
            raise _damaged("the names of the columns are not all different")
        return schema


def without(schema: Schema, reasons: Mapping[str, str]) -> Schema:
    """The schema with some features left out, for the reasons given by name."""
    kept = tuple(each for each in schema.features if each.name not in reasons)
    left = tuple(LeftOut(each.name, reasons[each.name]) for each in schema.features if each.name in reasons)
    return replace(schema, features=kept, left_out=(*schema.left_out, *left))


def _feature(data: Mapping[str, Any]) -> Feature:
    treatment, part = data["treatment"], data.get("part", "")
    if treatment not in TREATMENTS:
        raise ValueError(f"the treatment {treatment!r} is unknown to this version")
    if part not in (DATE_PARTS if treatment == "date" else ("",)):
        raise ValueError(f"the part {part!r} is unknown to this version")
    words = cast(Mapping[str, Any], data["values"]).items()
    values = tuple((_text(word), _number(number)) for word, number in words)
    if treatment == "category" and [number for _, number in values] != list(range(len(values))):
        raise ValueError("the categories are not numbered from 0")
    scale = _number(data["scale"])
    if scale <= 0:
        raise ValueError("a scale is not above 0")
    column, written, note = (_text(data.get(key, "")) for key in ("column", "written", "note"))
    low, high = (None if data.get(key) is None else _number(data[key]) for key in ("low", "high"))
    counts = [int(_number(data.get(key, 0))) for key in ("missing", "rare")]
    return Feature(
        _text(data["name"]), treatment, values, scale, column, written, part, note, low, high, *counts
    )


def _target(data: Mapping[str, Any]) -> Target:
    kind = data["kind"]
    labels = tuple(_list(data["labels"]))
    if kind not in KINDS:
        raise ValueError(f"the kind of target {kind!r} is unknown to this version")
    if any(not isinstance(label, str | int | float | bool) for label in labels):
        raise ValueError("a label is neither text nor a number")
    fits = {"yes/no": len(labels) == 2, "classes": len(labels) > 2, "number": not labels}
    if not fits[kind] or len({(type(label), label) for label in labels}) != len(labels):
        raise ValueError(f"{len(labels)} labels do not fit the kind {kind}")
    if len({type(label) for label in labels}) > 1:
        raise ValueError("the labels are of different types")
    mean, spread = _number(data["mean"]), _number(data["spread"])
    if spread <= 0:
        raise ValueError("the spread of the target is not above 0")
    low, high = (None if data.get(key) is None else _number(data[key]) for key in ("low", "high"))
    threshold, why = _number(data.get("threshold", 0.5)), _text(data.get("threshold_reason", ""))
    if not 0.0 <= threshold <= 1.0:
        raise ValueError("the threshold is no probability")
    name, reason = _text(data["name"]), _text(data["reason"])
    return Target(name, kind, labels, reason, mean, spread, low, high, threshold, why)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list was expected")
    return cast(list[Any], value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text was expected")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("a number was expected")
    return float(value)


def _damaged(what: str) -> FileError:
    return FileError(
        message(
            "the description of the columns cannot be used.",
            came=what,
            expected="what pellucid fit writes",
            mend="train again with pellucid fit, or use a newer version of Pellucid.",
        )
    )
