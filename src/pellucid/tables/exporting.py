"""The network of a table in another format, with the way from the columns to its numbers, and to the answer.

In ONNX everything is in the graph: a table's own values go in, a column at a time, and its own words or
units come out. A file of Keras's takes the row of numbers that the network takes; what they stand for is
said beside it.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid import exporting
from pellucid.errors import ArgumentError, message
from pellucid.exporting import Exported, Sheet, Value
from pellucid.tables.schema import MISSING, Feature, Schema, Target

NumPy = np.ndarray[Any, Any]
#: Which of a date's seconds stand for no date: numpy's NaT.
NO_DATE = np.iinfo(np.int64).min
DAY = 86_400
#: 1970-01-01 was a Thursday; 2000-01-01 came 10,957 days later.
WEEKDAY_OF_1970, DAYS_TO_2000 = 3, 10_957
#: From 0000-03-01 to 1970-01-01, and in 400, 100, 4 and 1 years, there are so many days.
DAYS_TO_1970, FOUR_CENTURIES, CENTURY, FOUR_YEARS, YEAR = 719_468, 146_097, 36_524, 1_460, 365
#: Words of so many letters are looked for in any mixture of small and capital letters.
ANY_CAPITALS = 6
#: How many words a description names.
NAMED = 12
PARTS = {
    "day": "days since the start of 2000, with their part",
    "month": "the month, 1 to 12",
    "weekday": "the weekday, 1 (Monday) to 7",
    "hour": "the hour, with its minutes as its part",
}


def export(network: Any, path: str | os.PathLike[str]) -> Exported:
    """Write the network of a table for other programs; see `TableNetwork.export`."""
    schema, model = network.schema, network.answering
    if exporting.require_ending(path) == exporting.ONNX:
        return exporting.write_onnx(to_onnx(schema, model), path)
    model.save(path)
    return exporting.written_keras(
        path,
        [("row", f"float32 (rows, {len(schema.features)})", _row_said(schema.features))],
        [("answer", f"float32 (rows, {model.output_shape[-1]})", _output_said(schema.target))],
    )


def to_onnx(schema: Schema, model: Any) -> Any:
    """The network of a table as an `onnx.ModelProto`; see `TableNetwork.export`."""
    sheet, target = Sheet(), schema.target
    sources = {name: [each for each in schema.features if each.source == name] for name in schema.columns}
    given = {name: _input(sheet, name, features) for name, features in sources.items()}
    kinds = {
        "yes/no": ("probability", "answer"),
        "classes": ("probabilities", "answer"),
        "number": ("answer",),
    }
    names = [sheet.name(name) for name in kinds[target.kind]]
    numbers: list[Value] = []
    for feature in schema.features:
        with sheet.of(feature.name):
            numbers.append(_treated(sheet, feature, given[feature.source]))
    row = sheet.add("Concat", *numbers, axis=1)
    (output,) = exporting.inline(sheet, exporting.graph_of(model), [row])
    with sheet.of("answer"):
        _answer(sheet, target, output, names)
    facts = {"target": target.name, "kind": target.kind}
    if target.labels:
        facts["labels"] = json.dumps(list(target.labels), ensure_ascii=False)
    if target.kind == "yes/no":
        facts["threshold"] = repr(target.threshold)
    return sheet.model("network", facts)


# From columns to numbers.


def _input(sheet: Sheet, name: str, features: Sequence[Feature]) -> Value:
    """Declare the input of a column."""
    kinds = {_taken_as(each) for each in features}
    if len(kinds) > 1:
        raise ArgumentError(
            message(f'the column "{name}" is given to the network in several ways.', came=", ".join(kinds))
        )
    # What 32 bits cannot hold comes as it is, in 64.
    dtype = {"text": object, "date": np.int64, "number": np.float32, "wide number": np.float64}[kinds.pop()]
    return sheet.input(name, dtype, (None, 1), _input_said(features[0]))


def _taken_as(feature: Feature) -> str:
    if feature.treatment in ("category", "yes/no"):
        return "text"
    if feature.treatment == "number":
        return "number" if feature.scale == 1.0 else "wide number"
    return feature.treatment


def _input_said(feature: Feature) -> str:
    if feature.treatment == "date":
        return "seconds since 1970-01-01, as numpy's datetime64[s]; NaT, the least one, where it is missing"
    if feature.treatment == "number":
        return "a number; NaN where it is missing"
    words = [word for word, _ in feature.values]
    named = ", ".join(words[:NAMED]) + (f" and {len(words) - NAMED} more" if len(words) > NAMED else "")
    return f'{named}; "" where it is missing'


def _treated(sheet: Sheet, feature: Feature, given: Value) -> Value:
    """A column as the numbers of a feature: float32, with NaN where there is none."""
    if feature.treatment == "date":
        wide = _date_part(sheet, feature.part, given)
    elif feature.treatment == "number":
        wide = given
    else:
        wide = _looked_up(sheet, feature, given)
    if feature.scale != 1.0:
        wide = wide if feature.treatment in ("number", "date") else sheet.cast(wide, np.float64)
        wide = sheet.add("Mul", wide, np.array(feature.scale, np.float64))
    needs = feature.treatment == "date" or feature.scale != 1.0
    return sheet.cast(wide, np.float32) if needs else wide


def capitals(word: str) -> list[str]:
    """A word in small and capital letters: in every mixture if it is short.

    >>> capitals("no"), capitals("N/A")
    (['no', 'nO', 'No', 'NO'], ['n/a', 'n/A', 'N/a', 'N/A'])
    """
    word = word.lower()
    if len(word) > ANY_CAPITALS:
        return list(dict.fromkeys((word, word.capitalize(), word.upper())))
    mixtures = itertools.product(*((letter, letter.upper()) for letter in word))
    return list(dict.fromkeys("".join(letters) for letters in mixtures))


def _looked_up(sheet: Sheet, feature: Feature, given: Value) -> Value:
    """Words as their numbers."""
    found = {word: math.nan for missing in MISSING for word in capitals(missing)}
    if feature.treatment == "category":
        found |= dict(feature.values)
        other = float(len(feature.values))
    else:
        found |= {word: number for each, number in feature.values for word in capitals(each)}
        other = math.nan
    return sheet.add(
        "LabelEncoder",
        given,
        domain="ai.onnx.ml",
        keys_strings=list(found),
        values_floats=[float(number) for number in found.values()],
        default_float=other,
    )


def _date_part(sheet: Sheet, part: str, given: Value) -> Value:
    """A part of dates that are given in seconds, in 64 bits; NaN where there is none."""
    add = sheet.add
    absent = add("Equal", given, np.array(NO_DATE))
    seconds = add("Where", absent, np.array(0, np.int64), given)
    in_day = add("Mod", seconds, np.array(DAY))
    days = add("Div", add("Sub", seconds, in_day), np.array(DAY))
    if part == "day":
        number = add("Div", sheet.cast(seconds, np.float64), np.array(float(DAY)))
        number = add("Sub", number, np.array(float(DAYS_TO_2000)))
    elif part == "weekday":
        week = add("Mod", add("Add", days, np.array(WEEKDAY_OF_1970)), np.array(7))
        number = sheet.cast(add("Add", week, np.array(1)), np.float64)
    elif part == "month":
        number = sheet.cast(_month(sheet, days), np.float64)
    else:
        minutes = add("Div", add("Mod", in_day, np.array(3600)), np.array(60))
        hours = sheet.cast(add("Div", in_day, np.array(3600)), np.float64)
        number = add("Add", hours, add("Div", sheet.cast(minutes, np.float64), np.array(60.0)))
    return add("Where", absent, np.array(math.nan), number)


def _month(sheet: Sheet, days: Value) -> Value:
    """The months of days since 1970: years are counted from March on, so that leap days come last in them."""

    def each(operator: str, one: Value, other: Value | int) -> Value:
        return sheet.add(operator, one, other if isinstance(other, Value) else np.array(other))

    day = each("Mod", each("Add", days, DAYS_TO_1970), FOUR_CENTURIES)
    leaps = each("Sub", each("Div", day, FOUR_YEARS), each("Div", day, CENTURY))
    leaps = each("Add", leaps, each("Div", day, FOUR_CENTURIES - 1))
    year = each("Div", each("Sub", day, leaps), YEAR)
    before = each("Sub", each("Add", each("Mul", year, YEAR), each("Div", year, 4)), each("Div", year, 100))
    # The months from March on have 153 days in each five of them.
    month = each("Div", each("Add", each("Mul", each("Sub", day, before), 5), 2), 153)
    return each("Add", each("Mod", each("Add", month, 2), 12), 1)


# From the network's output to the answer.


def _answer(sheet: Sheet, target: Target, output: Value, names: Sequence[Value]) -> None:
    """Declare what comes out."""
    if target.kind == "number":
        sheet.output(names[0], _in_units(sheet, target, output), np.float64, (None,), f"{target.name}")
        return
    labels = np.array(target.labels, object if isinstance(target.labels[0], str) else None)
    said = ", ".join(str(label) for label in target.labels[:NAMED])
    said += f" and {len(target.labels) - NAMED} more" if len(target.labels) > NAMED else ""
    if target.kind == "yes/no":
        probability = sheet.add("Squeeze", output, np.array([1]))
        positive = sheet.add("GreaterOrEqual", probability, np.array(target.threshold, np.float32))
        sheet.output(names[0], probability, np.float32, (None,), f"of {target.name} being {target.positive}")
        place = sheet.cast(positive, np.int64)
    else:
        sheet.output(names[0], output, np.float32, (None, len(labels)), f"of {said}")
        place = sheet.add("ArgMax", output, axis=1, keepdims=0)
    answer = sheet.add("Gather", labels, place, axis=0)
    sheet.output(names[1], answer, labels.dtype, (None,), f"{target.name}: {said}")


def _in_units(sheet: Sheet, target: Target, output: Value) -> Value:
    """Numbers in the units of the table, as `in_units` gives them."""

    def each(operator: str, one: Value, other: float) -> Value:
        return sheet.add(operator, one, np.array(other, np.float64))

    numbers = sheet.cast(sheet.add("Squeeze", output, np.array([1])), np.float64)
    numbers = each("Add", each("Mul", numbers, target.spread), target.mean)
    if target.low is not None and target.high is not None:
        numbers = each("Min", each("Max", numbers, target.low), target.high)
    digits = 6 - math.floor(math.log10(target.spread))
    if abs(digits) >= 300:
        return numbers
    there, back = ("Mul", "Div") if digits >= 0 else ("Div", "Mul")
    power = 10.0 ** abs(digits)
    return each(back, sheet.add("Round", each(there, numbers, power)), power)


# A file of Keras's: what its numbers are.


def _row_said(features: Sequence[Feature]) -> str:
    return "a row of these numbers, NaN where one is missing\n" + "\n".join(
        f"       {place:3}  {feature.name}: {number_said(feature)}" for place, feature in enumerate(features)
    )


def number_said(feature: Feature) -> str:
    """What the number of a feature stands for.

    >>> number_said(Feature.category("colour", ["red", "blue"]))
    '0 red, 1 blue, 2 any other'
    """
    times = f", times {feature.scale:g}" if feature.scale != 1.0 else ""
    if feature.treatment == "number":
        return f"the number{times}"
    if feature.treatment == "date":
        return f"{PARTS[feature.part]}{times}"
    if feature.treatment == "yes/no":
        return f"1 yes, 0 no{times}"
    words = [f"{number:g} {word}" for word, number in feature.values]
    return ", ".join((*words, f"{len(words)} any other")) + times


def _output_said(target: Target) -> str:
    if target.kind == "number":
        within = "" if target.low is None else f", kept from {target.low:g} to {target.high:g}"
        return f"{target.name} = this * {target.spread!r} + {target.mean!r}{within}"
    if target.kind == "yes/no":
        return f"the probability of {target.name} being {target.positive}; yes from {target.threshold:g} on"
    named = ", ".join(f"{place} {label}" for place, label in enumerate(target.labels))
    return f"the probability of each {target.name}: {named}"
