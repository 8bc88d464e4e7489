"""A table, from a file or from columns, read and written through DuckDB.

CSV, TSV, Parquet and JSON lines (also packed with gzip) become one DuckDB table, which lies on
disk where it is larger than memory. Text files are read as text: what a column is, is decided by
all of its values (see columns.py), and what is written out again is what was there.

Rows that are only answered are not taken into memory: Parquet is read where it lies, block by block, and CSV
from a packed copy, since it has no places to begin to read at. Their answers lie packed on disk until the
table is written again with them.
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import glob
import os
import re
import shutil
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, cast

import duckdb
import numpy as np

from pellucid.errors import ArgumentError, DataError, FileError, did_you_mean, message
from pellucid.tables.schema import MISSING, Feature

NumPy = np.ndarray[Any, Any]
#: How many rows are read, answered and written at a time.
BLOCK = 65_536
#: A block of many columns has fewer rows: not more numbers than this, and not fewer rows.
BLOCK_NUMBERS, FEWEST_OF_BLOCK = 2**25, 8_192
#: How many numbers or words a packed copy holds in a piece of its own.
PIECE = 2**22
#: What DuckDB calls the place of a row in a Parquet file, and the file's name.
PLACE, FILE = "file_row_number", "filename"
#: How much of a table lies in memory; the rest lies on disk.
MEMORY = "2GB"
#: How many values of a column say whether a look at all of them is worth while.
LOOKED_AT = 1_000
#: In tables of many rows, values are grouped where each comes about so often, or more often.
MANY_ROWS, WORTH_GROUPING = 10_000, 4
#: Of a table with more columns, so many at a time are looked at apart.
MANY_COLUMNS = 64
#: How many columns, or rows of a column, a message names.
NAMED = 5

_FORMATS = {
    ".csv": "csv",
    ".txt": "csv",
    ".data": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".xlsx": "excel",
    ".xlsm": "excel",
}
_AS_TEXT = "all_varchar = true, header = true, skip = 0, quote = '\"', escape = '\"'"
_READERS = {
    # Only the separator is guessed. Guessing more drops lines at the top, or quotes that come late.
    "csv": f"read_csv({{files}}, {_AS_TEXT}{{more}})",
    "tsv": f"read_csv({{files}}, {_AS_TEXT}, delim = '\t'{{more}})",
    "parquet": "read_parquet({files}{more})",
    "json": "read_json({files}, sample_size = -1{more})",
}
_WRITERS = {
    "csv": "FORMAT csv, HEADER",
    "tsv": "FORMAT csv, HEADER, DELIMITER '\t'",
    "parquet": "FORMAT parquet",
    "json": "FORMAT json",
}
#: What is taken of a point in time, as SQL.
_PARTS = {
    "day": "(epoch({0}) / 86400.0 - 10957.0)",
    "month": "month({0})::DOUBLE",
    "weekday": "isodow({0})::DOUBLE",
    "hour": "(hour({0}) + minute({0}) / 60.0)",
}
#: How dates are written, in the order in which they are tried; "" is DuckDB's own: 2024-05-31 13:00.
DATES = (
    "",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d.%m.%Y %H:%M",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d.%m.%y",
)
_NUMBERS = [
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
    "FLOAT",
    "DOUBLE",
]


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def listed(names: Sequence[Any], most: int = NAMED) -> str:
    """The first few of some names, and how many more there are."""
    return ", ".join(str(name) for name in names[:most]) + (
        f" and {len(names) - most} more" if len(names) > most else ""
    )


def format_of(path: str | os.PathLike[str]) -> str:
    """The format that the ending of a file's name says.

    Raises:
        FileError: if it says none that is known.

    >>> format_of("tumours.csv"), format_of("tumours.parquet"), format_of("tumours.csv.gz")
    ('csv', 'parquet', 'csv')
    """
    endings = [ending.lower() for ending in Path(path).suffixes]
    if endings and endings[-1] == ".gz":
        endings.pop()
    if endings and endings[-1] in _FORMATS:
        return _FORMATS[endings[-1]]
    raise FileError(
        message(
            "the ending of this file's name does not say what kind of table it is.",
            came=str(path),
            expected=".csv, .tsv, .parquet, .jsonl, .json or .xlsx",
            mend="save the table as one of these; a spreadsheet can save itself as CSV.",
        )
    )


def require_file(path: str | os.PathLike[str]) -> None:
    """Raise FileError if there is no such file; it names a file nearby whose name is similar."""
    path = Path(path)
    if path.is_dir():
        raise FileError(message("this is a folder, not a table.", came=str(path), expected="one file"))
    if path.exists():
        return
    near: list[str] = []
    if path.parent.is_dir():
        with contextlib.suppress(OSError):
            near = difflib.get_close_matches(path.name, sorted(os.listdir(path.parent)), n=1, cutoff=0.75)
    raise FileError(
        message(
            "there is no such file.",
            came=str(path),
            expected="the name of a table",
            mend=f"did you mean {path.parent / near[0]}?" if near else "look at the folder and the spelling.",
        )
    )


def is_question(text: str) -> bool:
    """Whether this is SQL rather than the name of a file.

    >>> is_question("SELECT * FROM 'visits.csv'"), is_question("selected.csv")
    (True, False)
    """
    words = text.split(None, 1)
    return len(words) == 2 and words[0].upper() in ("SELECT", "FROM", "WITH")


def _files(path: str | os.PathLike[str]) -> list[str]:
    """The file of this name, or those that it stands for as a pattern."""
    text = str(path)
    if any(letter in text for letter in "*?[") and not os.path.exists(path):
        found = sorted(glob.glob(text, recursive=True))
        if not found:
            raise FileError(message("no file has a name like this.", came=text, expected="files to read"))
        return found
    require_file(path)
    return [text]


def _state(name: str) -> tuple[int, ...]:
    """What changes when a file is written to, or another takes its place."""
    try:
        known = os.stat(name)
    except OSError:
        return ()
    return known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns


def _literal(files: Sequence[str]) -> str:
    """Names of files as SQL writes them, each standing for itself."""
    # A name with * or ? would be taken for a pattern of names.
    names = ("".join(f"[{letter}]" if letter in "*?[" else letter for letter in name) for name in files)
    return "[" + ", ".join(f"'{_escaped(name)}'" for name in names) + "]"


def _encodings(path: str) -> list[str]:
    """The encodings to try for a text file: UTF-8, and what is met where it is not."""
    if path.endswith(".gz"):
        return [""]
    with open(path, "rb") as file:
        start = file.read(2)
    return ["utf-16"] if start in (b"\xff\xfe", b"\xfe\xff") else ["", "latin-1"]


def _is_about_encoding(problem: str) -> bool:
    return "utf-8" in problem.lower() or "unicode" in problem.lower()


def _sheet(path: str) -> dict[str, list[Any]]:
    """The columns of the first sheet of a spreadsheet."""
    try:
        import openpyxl  # pyright: ignore[reportMissingModuleSource]
    except ImportError:
        raise FileError(
            message(
                "a spreadsheet is read with openpyxl, which is not installed.",
                came=path,
                mend="pip install openpyxl, or save the sheet as CSV.",
            )
        ) from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as problem:
        raise FileError(
            message("this file cannot be read as a spreadsheet.", came=f"{path}: {problem}")
        ) from None
    lines = [
        line for line in book.worksheets[0].iter_rows(values_only=True) if any(v is not None for v in line)
    ]
    if len(lines) < 2:
        raise DataError(message("the first sheet has no rows.", came=path))
    names = [str(name) if name is not None else f"column {place + 1}" for place, name in enumerate(lines[0])]
    return {name: [line[place] for line in lines[1:]] for place, name in enumerate(names)}


class Table:
    """A table whose columns can be asked for as numbers, block by block.

    Make one with `Table.open(path)` or `Table.of(columns)`, and close it (it is a context manager).

    Attributes:
        name: what messages call it.
        columns: the DuckDB type of each column, by its name, in the table's order.
        rows: how many rows there are.
        notes: what was noticed while it was read.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._folder = tempfile.mkdtemp(prefix="pellucid-")
        # DuckDB puts what does not fit into memory into the folder. It may not fetch anything.
        self._connection: Any = duckdb.connect(
            config={
                "temp_directory": self._folder,
                "autoinstall_known_extensions": "false",
                "memory_limit": MEMORY,
            }
        )
        self._connection.execute("SET enable_progress_bar = false")
        self.columns: dict[str, str] = {}
        self.rows = 0
        self.notes: tuple[str, ...] = ()
        #: Where the rows are, and by which column, counted from 0, each has its place there.
        self._source, self._place = "given", "rowid"
        #: The parts that places count in: for each the condition that a row is in it, and how many are.
        self._parts: list[tuple[str, int]] = []
        #: What the files were like as they were opened; of those that still are read.
        self._files: dict[str, tuple[int, ...]] = {}
        #: The columns of answers with their types, the files in which they lie, and the connection for them.
        self._answers: dict[str, str] = {}
        self._pieces: list[str] = []
        self._answered: Any = None
        #: Which columns of a wide table are looked at apart.
        self._slice: list[str] = []
        #: The column whose values were asked for last, and what `_several` said of it.
        self._grouped: tuple[str | None, tuple[str, str, str]] = (None, ("", "", ""))

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, whole: bool = True) -> Self:
        """Read a file, all files that a pattern names, or what an SQL question gives.

        Args:
            path: the name of a file; a pattern such as "visits/*.parquet"; or SQL that begins with
                SELECT, FROM or WITH, and names files in quotes.
            whole: whether all rows are taken in, so that columns can be asked about. Otherwise there are
                `numbers`, `blocks` and answers, for which CSV and Parquet of any size take the same memory.

        Raises:
            FileError: if there is no such file, or it cannot be read as a table.
            DataError: if it has no rows.
        """
        text = str(path)
        if is_question(text):
            table, files, kind = cls("the question"), list[str](), ""
        else:
            files = _files(path)
            kind = format_of(files[0])
            if other := [each for each in files if format_of(each) != kind]:
                raise FileError(
                    message(
                        "these files are of different kinds.",
                        came=f"{files[0]} and {other[0]}",
                        expected="files of one kind",
                    )
                )
            if kind == "excel":
                return cls.of(_sheet(files[0]), name=text)
            table = cls(text)
        try:
            if files:
                table._files = {name: _state(name) for name in files}
                table._read(files, kind, whole)
            else:
                table._ask(text)
            table._look()
            if kind in ("csv", "tsv"):
                _require_columns(path, list(table.columns))
        except BaseException:
            table.close()
            raise
        return table

    def _ask(self, question: str) -> None:
        try:
            with _heard():
                self._connection.execute(f"CREATE TEMP TABLE given AS ({question.rstrip().rstrip(';')})")
        except duckdb.Error as problem:
            said = " ".join(line.strip() for line in str(problem).splitlines() if line.strip())[:300]
            raise FileError(
                message(
                    "this question cannot be answered.",
                    came=f"{question[:100]}: {said}",
                    mend="write files in single quotes: SELECT * FROM 'visits.parquet' WHERE year > 2019.",
                )
            ) from None

    def _read(self, files: list[str], kind: str, whole: bool) -> None:
        more = ", union_by_name = true" if len(files) > 1 else ""
        encodings = _encodings(files[0]) if kind in ("csv", "tsv") else [""]
        for place, encoding in enumerate(encodings):
            said = f", encoding = '{encoding}'" if encoding else ""
            reader = _READERS[kind].format(files=_literal(files), more=more + said)
            try:
                with _heard():
                    if whole or kind == "json":
                        self._connection.execute(f"CREATE TEMP TABLE given AS SELECT * FROM {reader}")
                    elif kind == "parquet":
                        self._lies_in(files, more)
                        return
                    else:
                        self._pack(reader)
            except duckdb.Error as problem:
                if place + 1 < len(encodings) and _is_about_encoding(str(problem)):
                    continue
                raise self._no_room(problem) or _unreadable(
                    self.name, kind, str(problem), self._changed()
                ) from None
            if self._changed():
                said = f"{self.name} was written to while it was read"
                self.notes = (f"{said}: the rows are those that were there then.",)
            self._files = {}
            return

    def _pack(self, reader: str) -> None:
        """Copy what is read into a packed file, which can be read from any row on."""
        columns = len(self._connection.execute(f"DESCRIBE SELECT * FROM {reader}").fetchall())
        packed = os.path.join(self._folder, "packed.parquet")
        size = min(BLOCK, max(2_048, PIECE // max(columns, 1)))
        # Several threads would hold back what they have read until its turn comes to be written.
        self._connection.execute("SET threads = 1")
        self._connection.execute(
            f"COPY (SELECT * FROM {reader}) TO '{_escaped(packed)}' (FORMAT parquet, ROW_GROUP_SIZE {size})"
        )
        self._connection.execute("RESET threads")
        self._lies_in([packed])

    def _lies_in(self, files: list[str], more: str = "") -> None:
        """Read the rows of Parquet files where they lie, unless a column is called as their places are."""
        reader = _READERS["parquet"].format(files=_literal(files), more=more)
        described = self._connection.execute(f"DESCRIBE FROM {reader}").fetchall()
        kind = "TABLE" if {row[0].lower() for row in described} & {PLACE, FILE} else "VIEW"
        self._connection.execute(f"CREATE TEMP {kind} given AS SELECT * FROM {reader}")
        if kind == "TABLE":
            return
        counts = dict(
            self._connection.execute(
                f"SELECT file_name, num_rows FROM parquet_file_metadata({_literal(files)})"
            ).fetchall()
        )
        named = f", {FILE} = true" if len(files) > 1 else ""
        more = f"{more}, {PLACE} = true{named}"
        self._source, self._place = _READERS["parquet"].format(files=_literal(files), more=more), PLACE
        self._parts = [
            (f"{FILE} = '{_escaped(name)}' AND " if named else "", int(counts[name])) for name in files
        ]

    @classmethod
    def of(cls, columns: Any, name: str = "the columns") -> Self:
        """Take a data frame, or a dict from names to columns; a single value is a column of one row.

        Args:
            columns: the columns.
            name: what messages call them.

        Raises:
            DataError: if the columns differ in length or cannot be read.
        """
        table = cls(name)
        try:
            arrays = as_columns(columns)
            lengths = {len(array) for array in arrays.values()}
            if len(lengths) > 1:
                raise DataError(
                    message(
                        "the columns have different lengths.",
                        came=listed([f"{name}: {len(array)}" for name, array in arrays.items()]),
                        expected="one value in each column for each row",
                    )
                )
            if not arrays:
                raise DataError(message("there are no columns.", came=type(columns).__name__))
            try:
                table._connection.register("from_python", arrays)
                table._connection.execute("CREATE TEMP TABLE given AS SELECT * FROM from_python")
            except duckdb.Error as problem:
                raise DataError(
                    message("these columns cannot be read.", came=str(problem).splitlines()[0])
                ) from None
            table._look()
        except BaseException:
            table.close()
            raise
        return table

    def _run(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Let DuckDB do something that gives no rows."""
        with self._working():
            self._connection.execute(sql, list(values))

    def _arrays(self, sql: str, values: Sequence[Any] = ()) -> dict[str, Any]:
        """The columns that a question to DuckDB gives, as arrays."""
        with self._working():
            return cast(dict[str, Any], self._connection.execute(sql, list(values)).fetchnumpy())

    @contextlib.contextmanager
    def _working(self) -> Generator[None]:
        """DuckDB's failures (memory or disk that ends) as ours, and Ctrl-C as what it is."""
        try:
            with _heard():
                yield
        except duckdb.Error as problem:
            raise self._no_room(problem) or FileError(
                message(f"{self.name} cannot be worked on.", came=str(problem).splitlines()[0][:200])
            ) from None

    def _no_room(self, problem: duckdb.Error) -> FileError | None:
        """The error for a temporary file that could not be written; None if it was something else."""
        file, reason = _not_written(problem)
        if not file.startswith(self._folder):
            return None
        return FileError(
            message(
                f"there is no room for temporary files of {self.name}.",
                came=f"{file}: {reason}",
                mend="make room there, or name another folder: TMPDIR=/elsewhere.",
            )
        )

    def _look(self) -> None:
        described = self.query("DESCRIBE given")
        self.columns = {str(row[0]): str(row[1]) for row in described}
        self.rows = int(self.query("SELECT count(*) FROM given")[0][0])
        self._parts = self._parts or [("", self.rows)]
        if self.rows == 0:
            raise DataError(
                message(
                    "this table has no rows.",
                    came=self.name if not self.columns else f"{self.name}, with {len(self.columns)} columns",
                    expected="the names of the columns in the first line, then a line for each row",
                )
            )

    def _changed(self) -> bool:
        """Whether a file has been written to since it was opened."""
        return any(_state(name) != before for name, before in self._files.items())

    def require_unchanged(self) -> None:
        """Raise FileError if a file whose rows are read where they lie has been written to."""
        if self._changed():
            raise FileError(
                message(
                    "the table was written to while it was read.",
                    came=self.name,
                    expected="a file that stays as it is",
                    mend="wait until it is complete, or make a copy, and try again.",
                )
            )

    def close(self) -> None:
        """Let go of the table, and of what lies on disk for it."""
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    # Values as SQL.

    def is_text(self, name: str) -> bool:
        """Whether the values of a column came as text."""
        return self.columns[name] == "VARCHAR" or self.columns[name].startswith("ENUM")

    def is_number(self, name: str) -> bool:
        """Whether the values of a column came as numbers."""
        return self.columns[name] in _NUMBERS or self.columns[name].startswith("DECIMAL")

    def _known(self, name: str) -> str:
        """A column whose missing values are NULL, whichever way they were written."""
        column = quoted(name)
        if self.is_text(name):
            return f"(CASE WHEN {self._is_missing(name)} THEN NULL ELSE trim({column}::VARCHAR) END)"
        if self.columns[name] in ("FLOAT", "DOUBLE"):
            return f"(CASE WHEN isnan({column}) THEN NULL ELSE {column} END)"
        return column

    def _is_missing(self, name: str) -> str:
        """Whether a column of texts holds a word for what is missing, or NULL.

        It is not asked with IN, which DuckDB makes a join of, done for all rows and wherever it stands.
        """
        text = f"{quoted(name)}::VARCHAR"
        words = ", ".join(f"'{word}'" for word in MISSING)
        return f"coalesce(list_position([{words}], trim(lower({text}))), if({text} IS NULL, 1, 0)) > 0"

    def _number(self, name: str, written: str = "") -> str:
        """A column as numbers as they are; NULL or NaN where it holds none."""
        column = quoted(name)
        # The words for missing values are no numbers either, so they need not be looked for.
        if self.columns[name].startswith("ENUM"):
            column = f"{column}::VARCHAR"
        if written == "," and self.is_text(name):
            column = f"replace(replace({column}, '.', ''), ',', '.')"
        return f"TRY_CAST({column} AS DOUBLE)"

    def _treated(self, feature: Feature) -> str:
        """A column as numbers, and NULL where it holds none."""
        known = self._known(feature.source)
        if feature.treatment == "yes/no":
            written = f"lower({known}::VARCHAR)"
            cases = " ".join(f"WHEN '{_escaped(word)}' THEN {number!r}" for word, number in feature.values)
            return f"(CASE {written} {cases} ELSE NULL END)::DOUBLE"
        if feature.treatment == "category":
            return self._code(feature.source, [word for word, _ in feature.values])
        if feature.treatment == "date":
            return _PARTS[feature.part].format(self._date(feature.source, feature.written))
        return self._number(feature.source, feature.written)

    def _code(self, name: str, words: Sequence[str]) -> str:
        """The place of a value among words, how many these are if it is none, and NULL if it is missing.

        What is written just as it was in training is found at once, as a value of an ENUM; what is not is
        looked for without its blanks. (Each term is asked only of the rows for which those before it gave
        nothing, unless a part of it stands twice in the whole.)
        """
        text, listed = f"{quoted(name)}::VARCHAR", ", ".join(f"'{_escaped(word)}'" for word in words)
        missing = self._is_missing(name) if self.is_text(name) else f"{self._known(name)} IS NULL"
        otherwise = f"CASE WHEN {missing} THEN NULL ELSE {len(words)} END"
        if not words:
            return f"({otherwise})::DOUBLE"
        found = f"enum_code(TRY_CAST({text} AS ENUM({listed})))"
        return f"coalesce({found}, list_position([{listed}], trim({text})) - 1, {otherwise})::DOUBLE"

    def _date(self, name: str, written: str) -> str:
        """A column as points in time; NULL where it holds none."""
        known = self._known(name)
        if not self.is_text(name):
            return f"TRY_CAST({known} AS TIMESTAMP)"
        ways = [
            f"try_strptime({known}, '{_escaped(way)}')" if way else f"TRY_CAST({known} AS TIMESTAMP)"
            for way in written.split("|")
        ]
        return f"coalesce({', '.join(ways)}, NULL)"

    # Reading.

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows that a question to DuckDB gives; the table's name is `given`."""
        with self._working():
            return cast(list[tuple[Any, ...]], self._connection.execute(sql, list(values)).fetchall())

    def _several(self, name: str) -> tuple[str, str, str]:
        """The values of a column, as SQL: where they are, how often each is there, and its first row from 0.

        Where many rows have the same value, each value is there once: all that is asked of a column is asked
        of these few. Otherwise they are the rows.
        """
        if self._grouped[0] == name:
            return self._grouped[1]
        column, often, first = quoted(name), quoted(f"{name} often"), quoted(f"{name} first")
        rows = self._rows_with(name)
        found = (rows, "1", "rowid")
        if self.rows >= MANY_ROWS:
            about = int(self.query(f"SELECT approx_count_distinct({column}) FROM {rows}")[0][0])
            if about * WORTH_GROUPING < self.rows:
                self._run(
                    f"CREATE OR REPLACE TEMP TABLE several AS SELECT {column}, count(*) AS {often}, "
                    f"min(rowid) AS {first} FROM {rows} GROUP BY {column}"
                )
                found = ("several", often, first)
        self._grouped = (name, found)
        return found

    def _rows_with(self, name: str) -> str:
        """A table of the rows with a column: `given`, or a few columns of a wide one, to be asked sooner."""
        names = list(self.columns)
        if len(names) <= MANY_COLUMNS:
            return "given"
        if name not in self._slice:
            start = names.index(name)
            self._slice = names[start : start + MANY_COLUMNS]
            fields = ", ".join(quoted(each) for each in self._slice)
            self._run(f"CREATE OR REPLACE TEMP TABLE slice AS SELECT {fields} FROM given ORDER BY rowid")
        return "slice"

    def facts(self, name: str) -> dict[str, int]:
        """What the values of a column are: how many there are, how many are numbers, whole, dates, different.

        Of text also how many words a value has at most ("words"), and how many are numbers with a decimal
        comma ("commas"). How many are different is about right.
        """
        known, kind = self._known(name), self.columns[name]
        if not self.is_text(name):
            whole = "0" if not self.is_number(name) else f"count(*) FILTER ({known} = floor({known}))"
            there, different, wholes = self.query(
                f"SELECT count({known}), approx_count_distinct({known}), {whole} FROM {self._rows_with(name)}"
            )[0]
            dated = kind == "DATE" or kind.startswith("TIMESTAMP")
            return {
                "there": int(there),
                "numbers": int(there) * self.is_number(name),
                "whole": int(wholes) * (kind not in ("FLOAT", "DOUBLE")),
                "dates": int(there) * dated,
                "different": int(different),
                "words": 0,
                "commas": 0,
            }
        number = self._number(name)
        several, often, _ = self._several(name)
        names = ("numbers", "others", "different", "words", "whole", "commas")
        comma = r"'^[+-]?[0-9.]*[0-9],[0-9]+$'"
        found = self.query(
            f"SELECT sum(often) FILTER (NOT isnan(number)), sum(often) FILTER (word IS NOT NULL), "
            f"approx_count_distinct(value), max(length(word) - length(replace(word, ' ', '')) + 1), "
            f"sum(often) FILTER (number = floor(number) AND NOT contains(value, '.')), "
            f"sum(often) FILTER (regexp_matches(value, {comma})) "
            f"FROM (SELECT {number} AS number, {known} AS value, {often} AS often, "
            f"CASE WHEN {number} IS NULL THEN {known} ELSE NULL END AS word FROM {several})"
        )[0]
        facts = {name: int(value or 0) for name, value in zip(names, found, strict=True)}
        return {**facts, "there": facts["numbers"] + facts["others"], "dates": 0}

    def exactly_different(self, name: str) -> int:
        """How many different values a column has."""
        several, _, _ = self._several(name)
        return int(self.query(f"SELECT count(DISTINCT {self._known(name)}) FROM {several}")[0][0])

    def frequent(self, name: str, most: int) -> list[tuple[str, int]]:
        """The most frequent values of a column as text, each with its count; equally frequent by the text."""
        known = f"{self._known(name)}::VARCHAR"
        several, often, _ = self._several(name)
        found = self.query(
            f"SELECT {known} AS value, sum({often}) AS count FROM {several} WHERE value IS NOT NULL "
            f"GROUP BY value ORDER BY count DESC, value LIMIT {most}"
        )
        return [(str(value), int(count)) for value, count in found]

    def dates(self, name: str) -> str | None:
        """How the dates of a column are written, one way or several ("|" between); None if it holds others.

        Where the day and the month could be either way round, the day comes first.
        """
        several, often, _ = self._several(name)
        where = f"WHERE {self._known(name)} IS NOT NULL"
        # A few values say of most columns of words that they hold no dates.
        looked_at = f"(SELECT {quoted(name)} FROM {several} {where} LIMIT {LOOKED_AT})"
        if self.query(f"SELECT 1 FROM {looked_at} WHERE {self._date(name, '|'.join(DATES))} IS NULL LIMIT 1"):
            return None
        for way in DATES:
            unread = f"{self._date(name, way)} IS NULL LIMIT 1"
            if not self.query(f"SELECT 1 FROM {looked_at} WHERE {unread}") and not self.query(
                f"SELECT 1 FROM {several} {where} AND {unread}"
            ):
                return way
        ways: list[str] = []
        total = int(self.query(f"SELECT sum({often}) FROM {several} {where}")[0][0] or 0)
        while total:
            counts = [f"sum({often}) FILTER ({self._date(name, way)} IS NOT NULL)" for way in DATES]
            counted = self.query(f"SELECT {', '.join(counts)} FROM {several} {where}")[0]
            found = [int(count or 0) for count in counted]
            best = max(range(len(DATES)), key=lambda place: (found[place], -place))
            if not found[best]:
                return None
            ways.append(DATES[best])
            total -= found[best]
            where += f" AND {self._date(name, DATES[best])} IS NULL"
        return "|".join(ways)

    def counts_rows(self, name: str) -> bool:
        """Whether a column of whole numbers goes up by one from row to row."""
        number = self._number(name)
        steps = self.query(
            f"SELECT count(*) FROM (SELECT {number} - lag({number}) OVER (ORDER BY rowid) AS step "
            "FROM given) WHERE step = 1"
        )
        return int(steps[0][0]) == self.rows - 1

    def different(self, name: str, most: int) -> list[Any]:
        """The different values of a column that are there, as they come, at most `most + 1`."""
        known = self._known(name)
        several, _, first = self._several(name)
        found = self.query(
            f"SELECT {known} AS value FROM {several} WHERE value IS NOT NULL "
            f"GROUP BY value ORDER BY min({first}) LIMIT {most + 1}"
        )
        return [value for (value,) in found]

    def example(self, name: str, numbers: bool = True) -> tuple[Any, int]:
        """The first value that is there (and is no number), and its row, counted from 1."""
        known = self._known(name)
        several, _, first = self._several(name)
        wrong = f" AND TRY_CAST({known} AS DOUBLE) IS NULL" if numbers and self.is_text(name) else ""
        rows = self.query(
            f"SELECT {known}, {first} + 1 FROM {several} WHERE {known} IS NOT NULL{wrong} "
            f"ORDER BY {first} LIMIT 1"
        )
        return rows[0] if rows else (None, 0)

    def values(self, name: str) -> NumPy:
        """All values of a column as Python's objects; None where one is missing."""
        rows = self.query(f"SELECT {self._known(name)} FROM given ORDER BY rowid")
        values = np.empty(len(rows), object)
        values[:] = [row[0] for row in rows]
        return values

    def raw_numbers(self, names: Sequence[str]) -> dict[str, NumPy]:
        """Columns as 64-bit numbers; NaN where there is none."""
        fields = ", ".join(f"{self._number(name)} AS c{number}" for number, name in enumerate(names))
        found = self._arrays(f"SELECT {fields} FROM given ORDER BY rowid")
        return {name: _filled(found[f"c{number}"]) for number, name in enumerate(names)}

    def row_numbers(self, features: Sequence[Feature], row: int) -> NumPy:
        """One row as the network takes it, shape (1, features).

        Args:
            features: as for `numbers`.
            row: which row, counted from 1.

        Raises:
            As `numbers`, and ArgumentError if there is no such row.
        """
        if not 1 <= row <= self.rows:
            raise ArgumentError(
                message("there is no such row.", came=f"row {row}", expected=f"1 to {self.rows}")
            )
        return self.numbers(features, row - 1, row)

    def numbers(
        self,
        features: Sequence[Feature],
        start: int = 0,
        stop: int | None = None,
        *,
        wide: bool = False,
    ) -> NumPy:
        """The rows from start to stop as the network takes them: a column for each feature.

        What is missing, or is no number in a column of numbers, is NaN.

        Args:
            features: the columns, and how they become numbers.
            start, stop: which rows, counted from 0.
            wide: whether to give 64-bit numbers instead of 32-bit ones.

        Raises:
            DataError: if the table lacks columns; it names them.
        """
        self.require(features)
        stop = self.rows if stop is None else min(stop, self.rows)
        numbers = np.empty((stop - start, len(features)), np.float64 if wide else np.float32)
        fields = ", ".join(f"{self._treated(each)} AS c{number}" for number, each in enumerate(features))
        before = 0
        for within, count in self._parts:
            first, last = max(start - before, 0), min(stop - before, count)
            if first < last:
                rows = numbers[before + first - start : before + last - start]
                self._fill(
                    rows, features, fields, f"{within}{self._place} >= {first} AND {self._place} < {last}"
                )
            before += count
        return numbers

    def _fill(self, rows: NumPy, features: Sequence[Feature], fields: str, where: str) -> None:
        """Write the numbers of some rows, which must be there, into an array."""
        # Without ORDER BY, several threads give the rows in any order.
        found = self._arrays(f"SELECT {fields} FROM {self._source} WHERE {where} ORDER BY {self._place}")
        if len(found["c0"]) != len(rows):
            self.require_unchanged()
        with np.errstate(over="ignore"):
            for place, feature in enumerate(features):
                rows[:, place] = _filled(found[f"c{place}"]) * feature.scale

    def blocks(self, features: Sequence[Feature], size: int = BLOCK) -> Iterator[NumPy]:
        """All rows as `numbers`, a block at a time; the next is read while one is worked on."""
        size = min(size, max(FEWEST_OF_BLOCK, BLOCK_NUMBERS // max(len(features), 1)))
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self.numbers, features, 0, size)
            for start in range(size, self.rows + size, size):
                numbers = coming.result()
                if start < self.rows:
                    coming = reader.submit(self.numbers, features, start, start + size)
                yield numbers

    def require_column(self, name: str) -> None:
        """Raise DataError, naming one nearby, if there is no such column."""
        if name not in self.columns:
            raise DataError(
                message(
                    f'{self.name} has no such column: "{name}".',
                    came=repr(name),
                    expected=did_you_mean(name, self.columns),
                    mend="write the name as the first line of the table does.",
                )
            )

    def require(self, features: Sequence[Feature]) -> None:
        """Raise DataError, with all their names, if columns are not there."""
        needed = dict.fromkeys(each.source for each in features)
        missing = [name for name in needed if name not in self.columns]
        if missing:
            many = len(missing) != 1
            raise DataError(
                message(
                    f"{self.name} lacks {len(missing)} column{'s' if many else ''} "
                    f"that the network was trained on.",
                    came=f"the columns {listed(list(self.columns), 12)}",
                    expected=f"also {', '.join(missing)}",
                    mend="give the table these columns, under these names.",
                )
            )

    # Writing.

    def begin_answers(self, columns: Mapping[str, str]) -> None:
        """Make room for columns of answers, with their DuckDB types."""
        self._answers, self._pieces = dict(columns), []
        # A connection of its own: the table's own may be reading the next rows.
        self._answered = self._connection.cursor()

    def add_answers(self, columns: Mapping[str, NumPy]) -> None:
        """Add the answers of the next rows."""
        fields = ", ".join(
            f"{quoted(name)}::{kind} AS {quoted(name)}" for name, kind in self._answers.items()
        )
        piece = os.path.join(self._folder, f"answers_{len(self._pieces)}.parquet")
        self._answered.register("block", dict(columns))
        with self._working():
            self._answered.execute(
                f"COPY (SELECT {fields} FROM block) TO '{_escaped(piece)}' (FORMAT parquet)"
            )
        self._answered.unregister("block")
        self._pieces.append(piece)

    def free_name(self, name: str) -> str:
        """The name, or with a number behind it if the table has such a column.

        >>> with Table.of({"answer": [1]}) as table:
        ...     table.free_name("answer"), table.free_name("probability")
        ('answer_2', 'probability')
        """
        taken = {column.lower() for column in self.columns}
        free, number = name, 1
        while free.lower() in taken:
            number += 1
            free = f"{name}_{number}"
        return free

    def write_answered(self, path: str | os.PathLike[str], kind: str) -> None:
        """Write the table, each row with its answer, in the order of the rows.

        Raises:
            OSError: if it cannot be written.
            FileError: if the table was written to since it was opened.
        """
        answers = f"read_parquet({_literal(self._pieces)}) AS answers"
        try:
            with _heard():
                self._connection.execute(
                    f"COPY (SELECT given.*, answers.* FROM given POSITIONAL JOIN {answers}) "
                    f"TO '{_escaped(str(path))}' ({_WRITERS[kind]})"
                )
        except duckdb.Error as problem:
            self.require_unchanged()
            raise OSError(_not_written(problem)[1]) from None
        self.require_unchanged()


@contextlib.contextmanager
def _heard() -> Generator[None]:
    """Ctrl-C while DuckDB works is what it is everywhere else."""
    try:
        yield
    except RuntimeError as problem:
        if "interrupted" in str(problem).lower():
            raise KeyboardInterrupt from None
        raise


def _not_written(problem: duckdb.Error) -> tuple[str, str]:
    """Which file DuckDB could not write, and why; of any other problem "" and what DuckDB says."""
    said = str(problem).replace("\\", "")
    found = re.search(r'Could not write file "(.+?)": ([^"]+)', said)
    return (found[1], found[2].strip()) if found else ("", said.splitlines()[0][:200])


def _filled(column: Any) -> NumPy:
    """DuckDB's column of numbers, with NaN where it says that there is none."""
    if isinstance(column, np.ma.MaskedArray):
        return np.asarray(cast(Any, column).astype(np.float64).filled(np.nan))
    return np.asarray(column, np.float64)


def _escaped(text: str) -> str:
    return text.replace("'", "''")


def as_columns(columns: Any) -> dict[str, NumPy]:
    """The columns of a frame or a dict as arrays, by name."""
    if not isinstance(columns, Mapping):
        import narwhals as nw

        try:
            frame: Any = nw.from_native(columns)
        except TypeError:
            raise ArgumentError(
                message(
                    "this is not a table.",
                    came=type(columns).__name__,
                    expected="the name of a file, a data frame, or a dict from names to columns",
                )
            ) from None
        if isinstance(frame, nw.LazyFrame):
            frame = frame.collect()
        columns = {series.name: series.to_numpy() for series in frame.iter_columns()}
    given = cast(Mapping[Any, Any], columns)
    return {str(name): _as_column(str(name), value) for name, value in given.items()}


def _as_column(name: str, value: Any) -> NumPy:
    if (
        isinstance(value, list | tuple)
        and len({type(each) for each in cast(Any, value) if each is not None}) > 1
    ):
        value = [None if each is None else _as_text(each) for each in cast(Any, value)]
    array = np.atleast_1d(np.asarray(value))
    if array.ndim != 1:
        raise DataError(
            message(f'column "{name}" is not one value a row.', came=f"an array of shape {array.shape}")
        )
    if array.dtype.kind in "US":
        return array.astype(object)
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]")
    if array.dtype == np.float16:
        return array.astype(np.float32)
    return array


def _as_text(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _require_columns(path: str | os.PathLike[str], names: list[str]) -> None:
    """One column whose name has commas in it is a table whose rows are not all of one length."""
    if len(names) == 1 and (marks := [mark for mark in ",;\t|" if mark in names[0]]):
        odd = _odd_lines(str(path), max(marks, key=names[0].count))
        raise FileError(
            message(
                "the rows of this table do not all have as many values as it has columns.",
                came=f"{path}, which begins with {names[0][:60]!r}" + (f"; {odd}" if odd else ""),
                expected="in each line one value for each column",
                mend="look for lines with too many or too few separators; put text that has one in quotes.",
            )
        )


def _odd_lines(path: str, mark: str) -> str:
    """Which lines have another number of values than the first, in words."""
    found: list[str] = []
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            lines = csv.reader(file, delimiter=mark)
            first = len(next(lines))
            for line in lines:
                if line and len(line) != first:
                    found.append(f"line {lines.line_num} has {len(line)}")
                    if len(found) > NAMED:
                        break
    except (OSError, csv.Error, StopIteration):
        return ""
    return f"the first line has {first} values, {', '.join(found[:NAMED])}" if found else ""


def _unreadable(path: str | os.PathLike[str], kind: str, problem: str, changed: bool) -> FileError:
    if changed:
        said, mend = "it was written to while it was read", "wait until it is complete, and try again."
    elif "utf-8" in problem.lower():
        said, mend = "it is not written in UTF-8", "save it as UTF-8."
    else:
        lines = [line.strip() for line in problem.splitlines() if line.strip()]
        told = [line for line in lines if line.startswith("Expected Number of Columns")]
        said = " ".join([*lines[:1], *told])[:200]
        mend = "look whether the file is complete, and of the kind that its name says."
    names = {"csv": "CSV", "tsv": "TSV", "parquet": "Parquet", "json": "JSON"}
    return FileError(
        message(f"this file cannot be read as {names[kind]}.", came=f"{path}: {said}", mend=mend)
    )
