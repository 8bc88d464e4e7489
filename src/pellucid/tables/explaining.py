"""One row, explained by the network of a run file: of a table, or of any other recorded training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pellucid import run_files
from pellucid.errors import ArgumentError, message
from pellucid.tables.contributions import Contributions
from pellucid.tables.network import of_run, open_table
from pellucid.tables.schema import Feature


def explain(
    file: str,
    table: str | None = None,
    row: int | None = None,
    values: str | None = None,
    threshold: float | None = None,
) -> tuple[Any, Contributions | None]:
    """The forward pass of a row of a table, or of values, to the decision; and what moved it.

    Args:
        file: a run file.
        table, row: the table of the row, and which row, counted from 1.
        values: the values themselves, "age=54,size=3.2", instead of a table.
        threshold: from which probability on the decision is yes; if not said, as it was trained.

    Returns:
        An `Explanation`, and of a table's network the `Contributions` of its columns.

    Raises:
        ArgumentError: if there is no such row, or values do not fit.
        FileError, DataError: if file or table cannot be used.
    """
    if (table is None) == (values is None):
        raise ArgumentError(
            message(
                "say which row: of a table, or its values.",
                came="both" if table is not None else "neither",
                mend='FILE TABLE --row 17, or FILE --values "age=54,size=3.2".',
            )
        )
    if table is not None and row is None:
        raise ArgumentError(message("say which row of the table.", mend="--row 1 is the first."))
    if values is not None and row is not None:
        raise ArgumentError(message("--row is for a table.", came="--row and --values"))
    run = run_files.read(file)
    if run.kind == "table":
        network = of_run(run, file)
        names = network.schema.columns
        given: Any = table if values is None else parsed(values, names)
        at = 1 if row is None else row
        moved = network.contributions(given, at, threshold) if network.training.get("background") else None
        return network.explain(given, at, threshold), moved
    return _explain_any(run, file, table if values is None else values, row, threshold), None


def parsed(values: str, names: Sequence[str]) -> dict[str, list[Any]]:
    """Values as a table of one row.

    >>> parsed("age=54, size=3.2", ["age", "size"])
    {'age': ['54'], 'size': ['3.2']}
    >>> parsed("54, 3.2", ["age", "size"])
    {'age': ['54'], 'size': ['3.2']}
    """
    entries = [entry.strip() for entry in values.split(",") if entry.strip()]
    if not any("=" in entry for entry in entries) and len(entries) == len(names):
        return {name: [entry] for name, entry in zip(names, entries, strict=True)}
    found: dict[str, list[Any]] = {}
    for entry in entries:
        name, sign, value = entry.partition("=")
        if not sign:
            raise ArgumentError(
                message("this is no value with a name.", came=repr(entry), expected="name=value")
            )
        if name.strip() in found:
            raise ArgumentError(message("a value is given twice.", came=entry))
        found[name.strip()] = [value.strip()]
    unknown = [name for name in found if name not in names]
    if unknown:
        raise ArgumentError(
            message(
                "the network does not take these values.",
                came=", ".join(unknown),
                expected=", ".join(names),
            )
        )
    return found


def _explain_any(
    run: run_files.Run, file: str, given: str | None, row: int | None, threshold: float | None
) -> Any:
    from pellucid import keeping
    from pellucid.models import History

    history = History.of(keeping.unpack(run, Path(file)))
    model: Any = history.model
    shape = model.input_shape
    if not (isinstance(shape, tuple) and len(shape) == 2 and isinstance(shape[1], int)):
        raise ArgumentError(
            message("only rows of numbers can be explained from here.", came=f"a network for {shape}")
        )
    named = bool(history.columns)
    names = list(history.columns) or [f"x{number}" for number in range(shape[1])]
    if row is None:
        assert given is not None
        values = parsed(given, names)
        missing = [name for name in names if name not in values]
        if missing:
            raise ArgumentError(message("values are missing.", came=given, expected=", ".join(missing)))
        table: Any = values
    else:
        table = given
    with open_table(table) as opened:
        columns = names
        if not named and row is not None:
            columns = [name for name in opened.columns if opened.is_number(name)]
            if len(columns) != len(names):
                raise ArgumentError(
                    message(
                        "the table has another number of columns of numbers than the network takes.",
                        came=f"{len(columns)}: {', '.join(columns[:8])}",
                        expected=f"{len(names)}, as the network was trained on rows without names",
                    )
                )
        numbers: Any = opened.row_numbers([Feature(name) for name in columns], 1 if row is None else row)
    return model.explain(
        np.asarray(numbers),
        columns=columns,
        labels=history.labels,
        threshold=0.5 if threshold is None else threshold,
    )
