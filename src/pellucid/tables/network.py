"""A network that answers for the rows of a table: trained, or read from its file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pellucid import run_files, writing
from pellucid.errors import ArgumentError, FileError, message
from pellucid.naming import serialize
from pellucid.tables.report import Report, answered
from pellucid.tables.schema import Feature, Label, Schema, Target

if TYPE_CHECKING:
    # DuckDB takes a while to import: what only looks at a network does not wait for it.
    from pellucid.exporting import Exported
    from pellucid.tables.contributions import Contributions
    from pellucid.tables.reading import Table

NumPy = np.ndarray[Any, Any]
#: Rows are always answered by a program for this many at a time, so that a row's answer does not
#: depend on which rows it comes with.
ANSWERED_AT_ONCE = 1_024


@dataclass(frozen=True)
class Answers:
    """What a network says about rows.

    Args:
        answer: for each row one of the labels, or a number.
        probability: of yes/no the probability of the positive label; of classes that of the answer;
            None for numbers.
        probabilities: of classes that of each label, shape (rows, labels); else None.
        notes: for each row what is unusual in it: values that are missing though they never were in the
            training rows, that were never seen, or lie far outside; "" of most.
    """

    answer: NumPy
    probability: NumPy | None = None
    probabilities: NumPy | None = None
    notes: NumPy | None = None

    def __len__(self) -> int:
        return len(self.answer)


class TableNetwork:
    """A network, and all that is needed to give it the rows of a table and to read its outputs.

    Made by `tables.fit` and `tables.load`.

    Attributes:
        schema: what each column is.
        report: how well it answered rows that it had never seen.
        history: loss and metrics of each epoch of the training, by name.
        training: facts about the training: rows, epochs, seed, how it ended.
    """

    def __init__(
        self,
        schema: Schema,
        report: Report,
        history: Mapping[str, Any],
        training: Mapping[str, Any],
        *,
        model: Any = None,
        run: run_files.Run | None = None,
        path: str = "",
        recorded: Any = None,
    ) -> None:
        self.schema, self.report = schema, report
        self.history, self.training = dict(history), dict(training)
        self._model, self._run, self._path, self._recorded = model, run, path, recorded
        self._answering: Any = None

    @property
    def model(self) -> Any:
        """The network itself, a `pellucid.Sequential`."""
        if self._model is None:
            assert self._run is not None
            import pellucid.models  # noqa: F401  # pyright: ignore[reportUnusedImport]  # enters Sequential

            self._model = run_files.build(self._run, self._path)
            self._require_fitting()
        return self._model

    @property
    def answering(self) -> Any:
        """The part of the network that answers: without the single answers of its members."""
        output = self.model.output
        if not isinstance(output, list):
            return self.model
        if self._answering is None:
            from pellucid.models import Model

            self._answering = Model(self.model.input, output[0], name="network")
        return self._answering

    @property
    def recorded(self) -> Any:
        """The recorded training: a `History`, whose steps can be opened.

        Raises:
            FileError: if the file holds none.
        """
        if self._recorded is None:
            assert self._run is not None
            from pellucid import keeping
            from pellucid.models import History

            self._recorded = History.of(keeping.unpack(self._run, Path(self._path)))
        return self._recorded

    def explain(self, table: Any, row: int = 1, threshold: float | None = None) -> Any:
        """The forward pass of a row of a table, with all its numbers, to the decision.

        Args:
            table: the name of a file, a data frame, or a dict from names to columns.
            row: which row, counted from 1.
            threshold: as for `predict`.

        Returns:
            An `Explanation`, as `model.explain` gives it.

        Raises:
            As `predict`, and ArgumentError if there is no such row.
        """
        target = self.schema.target
        threshold = require_threshold(target, threshold)
        with open_table(table) as opened:
            numbers = opened.row_numbers(self.schema.features, row)
        names = [feature.name for feature in self.schema.features]
        labels = [str(label) for label in target.labels]
        found = self.answering.explain(numbers, columns=names, labels=labels, threshold=threshold)
        if target.kind == "number":
            answer = read_outputs(target, np.asarray(found.outputs)).answer[0]
            found.conclusion = (
                f"{target.name} = {answer:g}, which is {found.outputs[0, 0]:.4g} * {target.spread:.4g} "
                f"+ {target.mean:.4g} (the network answers in standard deviations from the mean)"
            )
        else:
            said = read_outputs(target, np.asarray(found.outputs), threshold)
            p = float(cast(NumPy, said.probability)[0])
            sign = ">=" if p >= threshold else "<"
            why = f"{p:.4g} {sign} {threshold:g}" if target.kind == "yes/no" else f"with {p:.4g}"
            found.conclusion = f"{target.name} is {why}: {said.answer[0]}"
        return found

    def contributions(self, table: Any, row: int = 1, threshold: float | None = None) -> Contributions:
        """What moved the answer for a row of a table, against training rows.

        Args and errors as for `explain`, and ArgumentError if the file holds no training rows.
        """
        from pellucid.tables import contributions as moved

        target = self.schema.target
        threshold = require_threshold(target, threshold)
        with open_table(table) as opened:
            numbers = opened.row_numbers(self.schema.features, row)[0]
        background = self._background()
        place = 0
        if target.kind == "classes":
            place = int(np.argmax(outputs(self.answering, numbers[None])[0]))

        def answering(rows: NumPy) -> NumPy:
            given = outputs(self.answering, rows).astype(np.float64)
            if target.kind == "number":
                return in_units(target, given[:, 0])
            p = np.clip(given[:, place], 1e-7, 1 - 1e-7)
            return np.log(p) - np.log1p(-p)

        found = moved.contributions(self.schema, answering, numbers, background)
        if target.kind == "yes/no":
            limit = float(np.log(max(threshold, 1e-7)) - np.log1p(-min(threshold, 1 - 1e-7)))
            flip = moved.nearest_flip(self.schema, answering, numbers, background, limit)
            return replace(found, flip=flip)
        if target.kind == "classes":
            return replace(found, unit=f"log-odds of {target.labels[place]}")
        return found

    def _background(self) -> NumPy:
        """The training rows that others are compared with; NaN where a value is missing."""
        known: Any = self.training.get("background")
        if not isinstance(known, list) or not known:
            raise ArgumentError(message("this file holds no training rows to compare with.", came=self._path))
        try:
            rows: NumPy = np.array(known, np.float32)
        except (TypeError, ValueError):
            rows = np.zeros((0, 0), np.float32)
        if rows.ndim != 2 or rows.shape[1] != len(self.schema.features):
            raise FileError(
                message(
                    f"{self._path}: the training rows to compare with cannot be used.",
                    came=f"rows of shape {rows.shape}",
                    expected=f"{len(self.schema.features)} numbers in each",
                )
            )
        return rows

    def _require_fitting(self) -> None:
        """Raise FileError if the network does not have a number for each feature and each answer."""
        kind, labels = self.schema.target.kind, self.schema.target.labels
        expected = ((None, len(self.schema.features)), (None, len(labels) if kind == "classes" else 1))
        output: Any = self._model.output_shape
        came = (self._model.input_shape, output[0] if isinstance(output, list) and output else output)
        if came != expected:
            raise FileError(
                message(
                    f"{self._path}: the network does not fit the columns.",
                    came=f"a network from {came[0]} to {came[1]}",
                    expected=f"from {expected[0]} to {expected[1]}",
                )
            )

    @property
    def opens(self) -> bool:
        """Whether its training was recorded, so that steps of it can be opened."""
        return self._recorded is not None or bool(self._run is not None and self._run.record)

    @property
    def interrupted(self) -> bool:
        """Whether the training was stopped by Ctrl-C."""
        return self.training.get("ended") == "interrupted"

    def layer_configs(self) -> list[dict[str, Any]]:
        """The configuration of each layer, from the file where there is one, without JAX."""
        config: Any = self._run.model if self._run is not None else serialize(self.model)
        config = config.get("config", config)
        if not isinstance(config, dict):
            config = {}
        layers: Any = config.get("layers")
        if not isinstance(layers, list) or any(
            not isinstance(layer, dict)
            or not isinstance(layer.get("class_name"), str)
            or not isinstance(layer.get("config"), dict)
            for layer in cast(list[Any], layers)
        ):
            raise FileError(message(f"{self._path}: this describes no network.", came=str(layers)[:100]))
        return cast(list[dict[str, Any]], layers)

    def weights_count(self) -> int:
        """How many numbers the weights hold."""
        if self._run is not None:
            return sum(int(array.size) for array in self._run.weights.values())
        return int(self.model.count_params())

    def predict(self, table: Any, threshold: float | None = None) -> Answers:
        """Answer for each row of a table.

        Args:
            table: the name of a file, a data frame, or a dict from names to columns. It needs the
                columns that the network was trained on; others do not matter.
            threshold: from which probability on the answer is the positive label (yes/no only); if not
                said, the one that was chosen when it was trained.

        Raises:
            FileError: if there is no such file, or it is no table.
            DataError: if columns are not there; it lists them.
            ArgumentError: if the threshold cannot be used.
        """
        threshold = require_threshold(self.schema.target, threshold)
        with open_table(table, whole=False) as opened:
            answers = joined(list(self.blocks(opened, threshold)))
            opened.require_unchanged()
            return answers

    def blocks(self, table: Table, threshold: float | None = None) -> Iterator[Answers]:
        """Answer for the rows of a table that is open, a block at a time."""
        threshold = require_threshold(self.schema.target, threshold)
        model = self.answering
        for numbers in table.blocks(self.schema.features):
            answers = read_outputs(self.schema.target, outputs(model, numbers), threshold)
            yield replace(answers, notes=unusual(self.schema.features, numbers))

    def answer_file(
        self,
        table: str | os.PathLike[str],
        out: str | os.PathLike[str],
        threshold: float | None = None,
        kind: str = "",
        told: Callable[[str], None] = lambda sentence: None,
    ) -> int:
        """Write a table again, each row with its answer; gives how many rows there were.

        The columns are called `answer`, `probability` and `note` (what is unusual in the row), with a
        number behind them if the table has such columns.

        Args:
            table: the table, in a file.
            out: where to write it.
            threshold: as for `predict`.
            kind: "csv", "tsv", "parquet" or "json" (lines); else known from the ending of `out`.
            told: hears, once, of columns that were not used, of unusual rows, and of a table that was
                written to while it was read.

        Raises:
            As `predict`, and FileError if it cannot be written there.
        """
        from pellucid.tables.reading import Table, format_of, listed

        kind = kind or format_of(out)
        if kind == "excel":
            raise FileError(
                message(
                    "answers are not written as spreadsheets.",
                    came=str(out),
                    expected="the ending .csv, .tsv, .parquet, .jsonl or .json",
                )
            )
        threshold = require_threshold(self.schema.target, threshold)
        writing.require_writable(out, "the answers")
        if os.path.exists(table) and os.path.exists(out) and os.path.samefile(table, out):
            raise ArgumentError(
                message(
                    "the answers would be written over the table.", came=str(out), mend="choose another name."
                )
            )
        with Table.open(table, whole=False) as opened:
            target = self.schema.target
            names = {name: opened.free_name(name) for name in ("answer", "probability", "note")}
            types = {names["answer"]: sql_type(target)}
            if target.kind != "number":
                types[names["probability"]] = "FLOAT"
            types[names["note"]] = "VARCHAR"
            used = {*self.schema.columns, target.name}
            extra = [name for name in opened.columns if name not in used]
            if extra:
                told(f"{_count(len(extra), 'column')} not used: {listed(extra)}.")
            for note in opened.notes:
                told(note)
            unusual_rows = 0
            opened.begin_answers(types)
            for answers in self.blocks(opened, threshold):
                columns = {names["answer"]: answers.answer}
                if answers.probability is not None:
                    columns[names["probability"]] = answers.probability
                assert answers.notes is not None
                unusual_rows += int((answers.notes != "").sum())
                notes = answers.notes.copy()
                notes[notes == ""] = None
                columns[names["note"]] = notes
                opened.add_answers(columns)
            if unusual_rows:
                told(f'{_count(unusual_rows, "row")} unusual: see column "{names["note"]}".')
            with writing.written_whole(out) as beside:
                opened.write_answered(beside, kind)
            return opened.rows

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network, its schema and its report into one `.pellucid` file.

        Raises:
            FileError: if it cannot be written there, or what is there is another kind of file.
        """
        require_replaceable(path)
        if self._run is None:
            model = self.model
            target = self.schema.target
            packed = self._recorded.packed() if self._recorded is not None else None
            self._run = run_files.Run(
                "table",
                serialize(model),
                {variable.path: variable.numpy() for variable in model.weights},
                self.schema.to_json(),
                self.report.to_json(),
                self.history,
                {"mean": target.mean, "spread": target.spread},
                self.training,
                packed.described if packed is not None else {},
                packed.arrays if packed is not None else {},
                packed.data if packed is not None else {},
            )
        run_files.write(path, self._run)

    def export(self, path: str | os.PathLike[str]) -> Exported:
        """Write the network for other programs: into a file of ONNX's or of Keras's, as the ending says.

        `.onnx` answers for the columns of the table as they are: one input for each column, named as it,
        of shape (rows, 1).

            numbers      float32, NaN where one is missing; float64 where 32 bits do not hold their size
            categories   text without spaces around it; "" (or "na", "?", ...) where it is missing
            yes and no   text, in any of their spellings: "yes", "N", "true", "1"
            dates        int64: seconds since 1970, as numpy's datetime64[s], NaT where it is missing

        It gives "answer": the label (yes/no by the threshold), or the number in its own units; and before it
        "probability" of the positive label (yes/no), or "probabilities", one for each label (classes).
        Where a column has such a name, the output has a number behind it. Target, labels and threshold are
        in the metadata.

        `.keras` opens in Keras 3 as the network itself: a row of numbers goes in, one for each of
        `schema.features` in their order, NaN where one is missing. Categories are numbered from 0 in the
        order of `feature.values`, with any other behind the last. What comes out is a probability, one for
        each label, or a number in standard deviations from the mean. What is returned says this in words.

        Args:
            path: a name that ends in `.onnx` or `.keras`.

        Returns:
            What goes in and what comes out; printed, it is a few lines.

        Raises:
            FileError: if it has another ending, or cannot be written there.
            StateError: if `onnx` is needed and not installed.
        """
        from pellucid.tables.exporting import export

        return export(self, path)

    def __repr__(self) -> str:
        target = self.schema.target
        return f'<TableNetwork: "{target.name}" ({target.kind}) from {len(self.schema.features)} columns>'


def load(path: str | os.PathLike[str]) -> TableNetwork:
    """Read a network from the file that `save` wrote. JAX is imported when it is asked something.

    Raises:
        FileError: if there is no such file, or it is damaged or of another kind.
    """
    return of_run(run_files.read(path, "table"), path)


def of_run(run: run_files.Run, path: str | os.PathLike[str]) -> TableNetwork:
    """The network of a run on a table, which was read from this path."""
    schema, report = Schema.from_json(run.schema), Report.from_json(run.report)
    if report.kind != schema.target.kind:
        raise FileError(message("the report is about another kind of target.", came=report.kind))
    counts = run.training.get("counts")
    if not isinstance(counts, list) or any(type(count) is not int for count in cast(list[Any], counts)):
        raise FileError(message("the facts about the training cannot be used.", came=f"counts: {counts}"))
    return TableNetwork(schema, report, run.history, run.training, run=run, path=str(path))


def require_replaceable(path: str | os.PathLike[str]) -> None:
    """Raise FileError if nothing can be written there, or a file there is no run file."""
    writing.require_writable(path)
    if os.path.isfile(path) and os.path.getsize(path):
        with open(path, "rb") as file:
            start = file.read(4)
        if start != b"PK\x03\x04":
            raise FileError(
                message(
                    "there is a file of that name, and it is not a trained network.",
                    came=str(path),
                    expected=f"a new name, or a {run_files.ENDING} file to write over",
                )
            )


def _count(number: int, what: str) -> str:
    return f"1 {what} is" if number == 1 else f"{number:,} {what}s are"


def open_table(table: Any, *, whole: bool = True) -> Table:
    """Open a file, a data frame or columns; `whole` as for `Table.open`."""
    from pellucid.tables.reading import Table

    return Table.open(table, whole=whole) if isinstance(table, str | os.PathLike) else Table.of(table)


def require_threshold(target: Target, threshold: float | None) -> float:
    """The threshold to use; raises ArgumentError if it means nothing."""
    if threshold is None:
        return target.threshold
    if not 0.0 <= threshold <= 1.0:
        raise ArgumentError(message("threshold is no probability.", came=threshold, expected="0 to 1"))
    if threshold != 0.5 and target.kind != "yes/no":
        raise ArgumentError(
            message(
                "threshold is for answers of yes or no.",
                came=f'{threshold}, and "{target.name}" is '
                + ("a number" if target.kind == "number" else f"one of {len(target.labels)} classes"),
                mend="leave it out.",
            )
        )
    return threshold


def unusual(features: Sequence[Feature], numbers: NumPy) -> NumPy:
    """What is unusual in each row; "" where nothing is.

    >>> size = Feature("size", low=1.0, high=3.0)
    >>> unusual([size], np.array([[2.0], [90.0], [np.nan]])).tolist()
    ['', 'size 90 is far from 1 to 3', 'size is missing']
    """
    notes = np.full(len(numbers), "", object)

    def add(rows: NumPy, say: Callable[[float], str], values: NumPy) -> None:
        for row in np.flatnonzero(rows).tolist():
            said = say(float(values[row]))
            notes[row] = f"{notes[row]}; {said}" if notes[row] else said

    for place, feature in enumerate(features):
        values = numbers[:, place]
        absent = np.isnan(values)
        if not feature.missing and absent.any():
            add(absent, lambda value, feature=feature: f"{feature.name} is missing", values)
        if feature.treatment == "category":
            unseen = values == len(feature.values)
            if unseen.any() and not feature.rare:
                add(unseen, lambda value, feature=feature: f"{feature.name} has a value never seen", values)
        elif feature.low is not None and feature.high is not None and feature.treatment != "yes/no":
            low, high = feature.low * feature.scale, feature.high * feature.scale
            reach = (high - low) / 2
            far = (values < low - reach) | (values > high + reach)
            if far.any():
                add(
                    far,
                    lambda value, feature=feature: (
                        f"{feature.name} {feature.said(value)} is far from "
                        f"{feature.low:.6g} to {feature.high:.6g}"
                    ),
                    values,
                )
    return notes


def outputs(model: Any, numbers: NumPy, members: bool = False) -> NumPy:
    """What the network gives for rows, (rows, outputs); or its members, (rows, members, outputs)."""
    given: Any = model.predict(numbers, batch_size=ANSWERED_AT_ONCE, verbose=0)
    return np.asarray(given[int(members)] if isinstance(given, list) else given)


def read_outputs(target: Target, given: NumPy, threshold: float = 0.5) -> Answers:
    """Outputs of the network as answers in the words of the table."""
    if target.kind == "number":
        return Answers(in_units(target, given[:, 0]))
    labels = label_array(target.labels)
    if target.kind == "yes/no":
        probability = given[:, 0]
        return Answers(labels[answered("yes/no", probability, threshold)], probability)
    best = answered("classes", given)
    return Answers(labels[best], np.take_along_axis(given, best[:, None], axis=1)[:, 0], given)


def in_units(target: Target, standardised: NumPy) -> NumPy:
    """Numbers in the units of the table, with no more digits than a 32-bit network knows."""
    numbers = standardised.astype(np.float64) * target.spread + target.mean
    if target.low is not None and target.high is not None:
        numbers = np.clip(numbers, target.low, target.high)
    digits = 6 - int(np.floor(np.log10(target.spread)))
    return np.round(numbers, digits) if abs(digits) < 300 else numbers


def label_array(labels: tuple[Label, ...]) -> NumPy:
    """The labels as an array of their own type."""
    if isinstance(labels[0], str):
        array = np.empty(len(labels), object)
        array[:] = labels
        return array
    return np.array(labels)


def sql_type(target: Target) -> str:
    """The DuckDB type of the answers."""
    if target.kind == "number":
        return "DOUBLE"
    kinds = {str: "VARCHAR", bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE"}
    return kinds[type(target.labels[0])]


def joined(parts: list[Answers]) -> Answers:
    """The answers of several blocks as one."""
    if len(parts) == 1:
        return parts[0]

    def together(name: str) -> Any:
        arrays = [getattr(part, name) for part in parts]
        return None if arrays[0] is None else np.concatenate(arrays)

    return Answers(together("answer"), together("probability"), together("probabilities"), together("notes"))
