"""The command line: `pellucid fit`, `predict`, `describe`, `show`, `open`, `explain`, `export` and `run`.

What a command needs is imported when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.errors import ArgumentError, PellucidError, message

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

    from pellucid.tables.network import TableNetwork
    from pellucid.tables.recipe import Prepared
    from pellucid.tables.report import Report
    from pellucid.tables.schema import Schema, Target

#: Exit codes: what was asked cannot be done; stopped by Ctrl-C; nobody reads the output any more.
CANNOT, STOPPED, UNREAD = 2, 130, 141
#: How wide a report is where there is no terminal to ask.
WIDTH = 100

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Train a network on a table, see how good it is, and let it answer for new rows.",
    epilog="Begin with: pellucid fit TABLE --target COLUMN",
)


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    with _plain_endings():
        app()


@contextlib.contextmanager
def _plain_endings() -> Generator[None]:
    """Errors of ours are one message; Ctrl-C and a closed pipe end quietly."""
    try:
        yield
        sys.stdout.flush()
    except PellucidError as error:
        sys.stderr.write(f"pellucid: {error}\n")
        sys.exit(CANNOT)
    except KeyboardInterrupt:
        sys.stderr.write("\npellucid: stopped; nothing was written.\n")
        sys.exit(STOPPED)
    except BrokenPipeError:
        _print_no_more()
        sys.exit(UNREAD)
    except OSError as problem:
        _print_no_more()
        what = f"{problem.filename} cannot be used." if problem.filename else "the output cannot be written."
        sys.stderr.write(f"pellucid: {message(what, came=problem.strerror or str(problem))}\n")
        sys.exit(CANNOT)


def _print_no_more() -> None:
    """What is still to be printed goes nowhere; otherwise Python would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_version(wanted: bool) -> None:
    if wanted:
        import pellucid

        typer.echo(f"pellucid {pellucid.__version__}")
        raise typer.Exit


@app.callback()
def _options(  # pyright: ignore[reportUnusedFunction]
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Train a network on a table, see how good it is, and let it answer for new rows."""


def _ended_plainly(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command's errors reach `main` as they are, past what typer would do with them."""
    import functools

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        with _plain_endings():
            command(*args, **kwargs)

    return run


# fit


@app.command()
@_ended_plainly
def fit(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="A CSV, TSV, Parquet, JSON-lines or Excel file, a pattern of names, or SQL.",
        ),
    ],
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column to answer.", show_default=False)],
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Where the network goes. By default TABLE's name, here.", show_default=False
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="A table of its own to test on. By default a fifth of the rows."),
    ] = None,
    threshold: Annotated[
        str,
        typer.Option(
            metavar="P", help="From which probability on it is yes: 0.5, best-f1, cost=FP:FN, or recall=0.95."
        ),
    ] = "0.5",
    network: Annotated[
        str | None,
        typer.Option(metavar="SIZES", help='Hidden layers: "64,32", or "none". By default the recipe\'s.'),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--time", metavar="SECONDS", help="About how long the training may take.")
    ] = 30.0,
    folds: Annotated[
        int | None,
        typer.Option(metavar="N", help="How many folds, if not as the time allows; 0: one network."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="How often the rows are gone through.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same network.")] = 0,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", "--leave-out", metavar="COLUMNS", help="Columns not to learn from: a,b"),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="yes/no, classes or number, if not what the values suggest."),
    ] = None,
    yes: Annotated[
        str | None,
        typer.Option(metavar="VALUE", help="Which of two values is yes, if not what they suggest."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the name of the file.")] = False,
) -> None:
    """Train a network that answers one column of a table from the others."""
    from pellucid.tables import recipe
    from pellucid.tables.network import require_replaceable

    began = time.perf_counter()
    from pellucid.tables.building import Asked
    from pellucid.tables.choosing import Wanted
    from pellucid.tables.reading import is_question

    file = out if out is not None else f"{_stem(table)}.pellucid"
    asked, wanted = Asked(_sizes(network), epochs, folds, seconds), Wanted.of(threshold)
    if os.path.exists(file) and os.path.exists(table) and os.path.samefile(file, table):
        raise ArgumentError(message("the network would be written over the table.", came=file))
    require_replaceable(file)
    known: Any = kind
    dropped = _columns(drop or ())
    prepared = recipe.prepare(table, target, test=test, seed=seed, leave_out=dropped, kind=known, yes=yes)
    if quiet:
        trained = recipe.train(prepared, asked, threshold=wanted)
    else:
        console = _console()
        _print_data(console, prepared)
        watching = _Watching(console)
        trained = recipe.train(prepared, asked, threshold=wanted, stage=watching.stage)
        watching.ended(trained)
    trained.save(file)
    if quiet:
        typer.echo(file)
    else:
        console = _console()
        _print_network(console, trained)
        _print_report(console, trained.report, trained.schema.target)
        _print_notes(console, trained)
        console.print(f"\n[bold]Saved[/] {_safe(file)} after {time.perf_counter() - began:.1f} s. Next:")
        asked = "TABLE" if is_question(table) else _shell(table)
        console.print(f"  pellucid predict {_safe(_shell(file))} {_safe(asked)}", soft_wrap=True)
        console.print(f"  pellucid describe {_safe(_shell(file))}", soft_wrap=True)
        console.print(f"  pellucid explain {_safe(_shell(file))} {_safe(asked)} --row 1", soft_wrap=True)
        if trained.opens:
            console.print(f"  pellucid show {_safe(_shell(file))} --step 0", soft_wrap=True)
    if trained.interrupted:
        sys.stderr.write(
            f"pellucid: stopped by Ctrl-C after {trained.training['epochs']} epochs; "
            f"the weights so far were measured, and saved in {file}.\n"
        )
        sys.exit(STOPPED)


def _stem(table: str) -> str:
    """The name of a table's file without its folder and its endings; a question has none."""
    from pathlib import Path

    from pellucid.tables.reading import is_question

    if is_question(table):
        return "network"
    name = Path(table).name.removesuffix(".gz").rsplit(".", 1)[0]
    return "".join("_" if letter in "*?[]" else letter for letter in name) or "network"


def _columns(given: Sequence[str]) -> list[str]:
    """Names of columns: each may be several with commas between them."""
    return [name.strip() for each in given for name in each.split(",") if name.strip()]


def _sizes(given: str | None) -> tuple[int, ...] | None:
    """The units of hidden layers, from "64,32"."""
    if given is None:
        return None
    if given.strip().lower() in ("", "none", "linear"):
        return ()
    try:
        return tuple(int(part) for part in given.split(","))
    except ValueError:
        raise ArgumentError(
            message("these are no hidden layers.", came=repr(given), expected='"64,32", or none')
        ) from None


_STAGES = {
    "held out": "a fifth held out, to calibrate",
    "without dropout": "the same without dropout",
    "all rows": "on all rows but the test rows",
}


class _Watching:
    """Shows the training while it runs: a line that moves on a terminal, a few lines elsewhere."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.console = console
        self.live = console.is_terminal
        self.said = 0.0
        self.progress = Progress(
            TextColumn("Training {task.fields[what]}: epoch"),
            MofNCompleteColumn(),
            BarColumn(24),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not self.live,
        )
        self.task: Any = None

    def stage(self, name: str, epochs: int) -> list[Any]:
        """The callback of a stage of the training that this listens with."""
        from pellucid.callbacks import Callback

        watching, what = self, _STAGES.get(name, name)

        class Watch(Callback):
            def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
                if watching.task is not None:
                    watching.progress.remove_task(watching.task)
                watching.task = watching.progress.add_task("compiling", total=epochs, what=what)
                watching.progress.start()

            def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
                watching.epoch(what, epoch, epochs, logs or {})

            def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
                watching.progress.stop()

        return [Watch()]

    def epoch(self, what: str, number: int, epochs: int, logs: Mapping[str, Any]) -> None:
        """An epoch is over."""
        loss = f"loss {logs['loss']:.4f}" if "loss" in logs else ""
        if self.live:
            self.progress.update(self.task, completed=number + 1, description=loss)
        elif (now := time.perf_counter()) - self.said >= 2.0:
            self.said = now
            # By the console, which goes on when nobody reads it any more.
            told = f"Training {what}: epoch {number + 1} of {epochs}, {loss}"
            self.console.print(told, markup=False, soft_wrap=True)

    def ended(self, network: TableNetwork) -> None:
        """Say how the training ended."""
        self.progress.stop()
        facts = network.training
        folds = dict(facts["recipe"])["folds"]
        why = f"{folds} folds as one program" if folds else "twice: with a fifth held out, and on all"
        why = "stopped by Ctrl-C" if facts["ended"] == "interrupted" else why
        self.console.print(f"[bold]Trained[/]   {facts['epochs']} epochs in {facts['seconds']:.1f} s ({why})")
        heat = float(facts["temperature"])
        if heat != 1.0:
            self.console.print(
                f"          calibrated: probabilities were too {'sure' if heat > 1 else 'unsure'}, "
                f"so their logits are divided by {heat:.3g}"
            )


# predict


@app.command()
@_ended_plainly
def predict(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What pellucid fit wrote.")],
    table: Annotated[str, typer.Argument(metavar="TABLE", help="The rows to answer for.")],
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="P", help="From which probability on the answer is yes, if not as trained (yes/no only)."
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Where the answers go: .csv, .tsv, .parquet or .jsonl. By default CSV on the screen.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a table again, with the network's answer (and its probability) in each row."""
    import shutil
    import tempfile

    from pellucid.tables import load

    network = load(file)
    if out is not None:
        network.answer_file(table, out, threshold, told=_tell)
        return
    with tempfile.TemporaryDirectory(prefix="pellucid-") as folder:
        answered = os.path.join(folder, "answers.csv")
        network.answer_file(table, answered, threshold, told=_tell)
        with open(answered, "rb") as written:
            sys.stdout.flush()
            shutil.copyfileobj(written, sys.stdout.buffer)
            sys.stdout.buffer.flush()


def _tell(sentence: str) -> None:
    sys.stderr.write(f"pellucid: {_plain(sentence)}\n")


# describe


@app.command()
@_ended_plainly
def describe(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What pellucid fit wrote.")],
) -> None:
    """Show what a trained network answers, from which columns, and how well."""
    from pellucid.tables import load

    network = load(file)
    console = _console()
    facts = network.training
    console.print(f"[bold]{_safe(file)}[/], trained on {_safe(str(facts.get('table', 'a table')))}")
    _print_columns(console, network.schema, facts.get("counts", []))
    _print_network(console, network)
    recipe = facts.get("recipe")
    recipe = recipe if isinstance(recipe, dict) else {}
    console.print(
        f"[bold]Training[/]  {_safe(str(facts.get('epochs', '?')))} epochs in "
        f"{_safe(str(facts.get('seconds', '?')))} s ({_safe(str(facts.get('ended', '?')))}), "
        f"seed {_safe(str(facts.get('seed', '?')))}"
    )
    console.print(f"          {_safe(', '.join(f'{name} {value}' for name, value in recipe.items()))}")
    console.print(
        f"          table {_safe(str(facts.get('fingerprint', '?'))[:12])}, temperature "
        f"{_safe(str(facts.get('temperature', 1.0)))}"
    )
    _print_report(console, network.report, network.schema.target)
    _print_notes(console, network)
    if network.opens:
        console.print(
            f"\nOpen a step of the training: pellucid show {_safe(_shell(file))} --step 0", soft_wrap=True
        )


# show


@app.command()
@_ended_plainly
def show(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A run file, or a directory of a recorded run.")
    ],
    step: Annotated[
        int | None, typer.Option(metavar="N", help="Which training step, from 0; -1 is the last.")
    ] = None,
    epoch: Annotated[int | None, typer.Option(metavar="N", help="Or: the step of this epoch ...")] = None,
    batch: Annotated[int | None, typer.Option(metavar="N", help="... and of this batch, from 0.")] = None,
    example: Annotated[
        int | None, typer.Option(metavar="N", help="Which row of the batch is followed.")
    ] = None,
    layer: Annotated[str | None, typer.Option(metavar="NAME", help="Tell about this layer only.")] = None,
    unit: Annotated[int | None, typer.Option(metavar="N", help="Which unit of that layer.")] = None,
    full: Annotated[bool, typer.Option("--full", help="With every term of every sum.")] = False,
    formula: Annotated[
        str | None,
        typer.Option(metavar="NAME", help='The arithmetic of one number: "dense/kernel[2,3].gradient".'),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare the gradients with central differences.")
    ] = False,
) -> None:
    """Show a training run, or open one of its steps: forward, cost, gradient, update, in numbers."""
    import pellucid

    history = pellucid.History.load(file)
    if step is None and epoch is None:
        if formula is not None or check or layer is not None or example is not None:
            raise ArgumentError(message("say which step.", mend="pellucid show FILE --step 0"))
        _print_run(history, file)
        return
    opened = history.open(step, epoch=epoch, batch=batch)
    if formula is not None:
        told = [str(opened.formula(formula, example=example))]
    elif check:
        told = [str(opened.check())]
    else:
        told = [opened.story(example, layer, unit, "full" if full else "short")]
    for text in told:
        typer.echo(_plain(text))


def _print_run(history: Any, file: str) -> None:
    typer.echo(_plain(f"{file}: {history.steps:,} steps in {len(history.epoch)} epochs"))
    log = history.log
    if len(log["cost"]):
        costs = log["cost"]
        typer.echo(
            f"cost of step {int(log['step'][0])} {costs[0]:.6g}, "
            f"of step {int(log['step'][-1])} {costs[-1]:.6g}" + _lowest(costs, log["step"])
        )
    for name, values in history.history.items():
        if values and isinstance(values[-1], float):
            typer.echo(
                _plain(f"  {name:24} {values[0]:.6g} after the first epoch, {values[-1]:.6g} at the end")
            )
    if history.steps:
        typer.echo(_plain(f"Open a step: pellucid show {_shell(file)} --step {history.steps // 2}"))


def _lowest(costs: Any, steps: Any) -> str:
    import numpy as np

    if not np.isfinite(costs).any():
        return ", none of them a number"
    place = int(np.nanargmin(np.where(np.isfinite(costs), costs, np.nan)))
    lost = int((~np.isfinite(costs)).sum())
    return f", lowest {costs[place]:.6g} at step {int(steps[place])}" + (
        f"; {lost:,} steps have no finite cost, the first is {int(steps[(~np.isfinite(costs)).argmax()])}"
        if lost
        else ""
    )


def _plain(text: str) -> str:
    """Text of which nothing moves the cursor, line by line."""
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in text.split("\n"))


# open


@app.command("open")
@_ended_plainly
def open_page(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A run file, or a directory of a recorded run.")
    ],
    port: Annotated[
        int, typer.Option(metavar="N", help="Where the page is served; by default a port that is free.")
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address, and open no browser.")
    ] = False,
) -> None:
    """Show a training run on a page in the browser: each step, to be opened and played with."""
    import pellucid

    history = pellucid.History.load(file)
    with history.view(open_browser=not no_browser, port=port) as view:
        typer.echo(_plain(f"{file}: {history.steps:,} steps at {view.url}"))
        typer.echo("Ctrl-C ends it.")
        with contextlib.suppress(KeyboardInterrupt):
            view.wait()
    typer.echo("")


# explain


@app.command()
@_ended_plainly
def explain(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A run file.")],
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="The table of the row.", show_default=False)
    ] = None,
    row: Annotated[int | None, typer.Option(metavar="N", help="Which row of TABLE, from 1.")] = None,
    values: Annotated[
        str | None, typer.Option(metavar="VALUES", help="Or the values themselves: age=54,size=3.2")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(metavar="P", help="From which probability on it is yes.")
    ] = None,
    layer: Annotated[str | None, typer.Option(metavar="NAME", help="Tell about this layer only.")] = None,
    unit: Annotated[int | None, typer.Option(metavar="N", help="Which unit of that layer.")] = None,
    full: Annotated[bool, typer.Option("--full", help="With every term of every sum.")] = False,
) -> None:
    """Show how a network comes to its answer for one row, with all its numbers."""
    from pellucid.tables.explaining import explain as explain_row

    found, moved = explain_row(file, table, row, values, threshold)
    if moved is not None and layer is None and unit is None:
        typer.echo(_plain(f"{found.conclusion}\n\n{moved.story()}\n"))
    typer.echo(_plain(found.story(layer=layer, unit=unit, detail="full" if full else "short")))


# export


@app.command()
@_ended_plainly
def export(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A run file, or a directory of a recorded run.")
    ],
    out: Annotated[
        str, typer.Argument(metavar="OUT", help="Where it goes: a name that ends in .html, .onnx or .keras.")
    ],
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="Of a page: how many steps it holds.", min=1)
    ] = None,
    budget_mb: Annotated[
        float, typer.Option("--budget-mb", metavar="MB", help="Of a page: how large it may be.")
    ] = 5.0,
    data: Annotated[
        str, typer.Option(metavar="ROWS", help="Of a page: all, sample (8 rows a batch) or none.")
    ] = "all",
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Of a page: its title.")] = None,
) -> None:
    """Write the page of a training (.html), or the network for ONNX Runtime (.onnx) or Keras (.keras)."""
    from pathlib import Path

    from pellucid import exporting, run_files

    ending = exporting.require_ending(out, ".html")
    if os.path.exists(file) and os.path.exists(out) and os.path.samefile(file, out):
        raise ArgumentError(message("the network would be written over its own file.", came=out))
    import pellucid

    if ending == ".html":
        history = pellucid.History.load(file)
        with _console().status("Writing the page") as status:
            told = history.export_html(
                out,
                steps=steps,
                budget_mb=budget_mb,
                data=data,
                title=title,
                watch=lambda text: status.update(f"Writing the page: {text}"),
            )
        typer.echo(_plain(str(told)))
        return
    if Path(file).is_dir():
        exported = exporting.export(pellucid.History.load(file).model, out)
    elif (run := run_files.read(file)).kind == "table":
        from pellucid.tables.network import of_run

        exported = of_run(run, file).export(out)
    else:
        exported = exporting.export(run_files.build(run, file), out)
    typer.echo(_plain(str(exported)))


# run


@app.command(context_settings={"allow_interspersed_args": False})
@_ended_plainly
def run(
    script: Annotated[str, typer.Argument(metavar="SCRIPT.py", help="A Python script that uses Keras.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGS]...", help="The script's own arguments.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--open",
            metavar="FILE_OR_DIR",
            help="Keep each training in a file that pellucid show opens: FILE.pellucid, or in a directory.",
            show_default=False,
        ),
    ] = None,
    module: Annotated[
        bool, typer.Option("-m", help="SCRIPT.py is the name of a module, as for python -m.")
    ] = False,
) -> None:
    """Run an unchanged Keras or tf.keras script on Pellucid, and say which of its trainings can be opened."""
    from pellucid.standing_in import script as scripts

    sys.exit(scripts.run(script, arguments or (), module=module, keep=keep))


# What is printed.


def _console() -> Console:
    from rich.console import Console

    class Patient(Console):
        """A console that goes on when nobody reads it any more, so that no network is lost."""

        def on_broken_pipe(self) -> None:
            self.quiet = True
            _print_no_more()

    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Patient(highlight=False, width=None if wide else WIDTH)


def _safe(text: str) -> str:
    """Text of the user's, of which nothing is taken for a style, and nothing moves the cursor."""
    from rich.markup import escape

    return escape("".join(letter if letter.isprintable() else "?" for letter in text))


def _shell(name: str) -> str:
    import shlex

    return shlex.quote(name)


def _print_data(console: Console, prepared: Prepared) -> None:
    rows, schema = prepared.rows, prepared.schema
    known = prepared.known
    console.print(f"[bold]Table[/]     {_safe(prepared.name)}: {prepared.table_rows:,} rows")
    if known < prepared.table_rows:
        console.print(
            f"          {prepared.table_rows - known:,} rows are left out: "
            f"their {_safe(schema.target.name)} is missing"
        )
    console.print(
        f"          {rows['train']:,} to train on, {rows['validation']:,} to validate on, "
        f"{rows['test']:,} to test on (seed {prepared.seed})"
    )
    _print_columns(console, schema, prepared.counts)


def _print_columns(console: Console, schema: Schema, counts: Sequence[int]) -> None:
    from pellucid.tables.report import shown

    target = schema.target
    if target.kind == "number":
        what = f"a number, {target.mean:.4g} on average, give or take {target.spread:.4g}"
    else:
        named = [
            f"{_safe(shown(label))} {count:,}" for label, count in zip(target.labels, counts, strict=False)
        ]
        more = f" and {len(named) - 8} more" if len(named) > 8 else ""
        what = f"{'yes or no' if target.kind == 'yes/no' else f'{len(target.labels)} classes'}: " + ", ".join(
            named[:8]
        )
        what += more
    console.print(f"[bold]Target[/]    {_safe(target.name)}, {what}")
    if target.positive is not None:
        console.print(
            f"          yes is {_safe(shown(target.positive))}, because {_safe(target.reason)}"
            f"{'' if target.reason.startswith('that') else ' (--yes VALUE changes that)'}"
        )
    elif target.reason:
        console.print(f"          {_safe(target.reason)}")
    if target.threshold_reason:
        console.print(f"          yes from {target.threshold:.3g} on: {_safe(target.threshold_reason)}")
    console.print(f"[bold]Features[/]  {len(schema.columns)} columns, {len(schema.features)} numbers a row")
    plain = [each.name for each in schema.features if not each.note and each.treatment == "number"]
    if plain:
        more = f" and {len(plain) - 40} more" if len(plain) > 40 else ""
        console.print(f"          numbers: {_safe(', '.join(plain[:40]))}{more}", soft_wrap=True)
    told = [each for each in schema.features if each.note or each.treatment != "number"]
    for feature in told[:40]:
        what = "yes or no" if feature.treatment == "yes/no" else feature.treatment
        note = f"; {feature.note}" if feature.note else ""
        console.print(f"          {_safe(feature.name)}: {what}{_safe(note)}", soft_wrap=True)
    for left in schema.left_out[:20]:
        console.print(f"          left out: {_safe(left.name)} ({_safe(left.reason)})")
    if len(schema.left_out) > 20:
        console.print(f"          and {len(schema.left_out) - 20} more columns are left out")


def _print_notes(console: Console, network: TableNetwork) -> None:
    notes = network.training.get("notes")
    for note in notes if isinstance(notes, list) else []:
        console.print(f"[bold]Note[/]  {_safe(str(note))}")


def _print_network(console: Console, network: TableNetwork) -> None:
    layers = [
        _layer(each)
        for each in network.layer_configs()
        if each["class_name"] in ("Dense", "EinsumDense") and each["config"].get("name") != "input_scale"
    ]
    columns = network.training.get("columns", "?")
    console.print(
        f"[bold]Network[/]   {len(network.schema.features)} numbers > {_safe(str(columns))} columns > "
        f"{' > '.join(layers)}: {network.weights_count():,} weights"
    )


def _layer(layer: Mapping[str, Any]) -> str:
    config = layer["config"]
    activation = config.get("activation")
    name = f" {activation}" if isinstance(activation, str) and activation != "linear" else ""
    shape = config.get("output_shape")
    units = " x ".join(map(str, shape)) if isinstance(shape, list | tuple) else config.get("units")
    return _safe(f"{units}{name}")


def _print_report(console: Console, report: Report, target: Target) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from pellucid.tables.report import LESS_IS_BETTER, shown

    table: RichTable = Table(box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.title = f"On {report.rows['test']:,} test rows, never seen in training"
    for heading in (
        "",
        "network",
        "95 % interval",
        report.linear_name,
        f"always {_safe(shown(report.always))}",
    ):
        table.add_column(heading, justify="left" if not heading else "right")
    digits = ".4g" if report.kind == "number" else ".4f"
    for name, *values in report.table():
        cells = ["-" if value is None else f"{value:{digits}}" for value in values]
        known = [value for value in values if value is not None]
        best = (min if name in LESS_IS_BETTER else max)(known) if known else None
        styled = [
            f"[bold]{cell}[/]" if value is not None and value == best else cell
            for cell, value in zip(cells, values, strict=True)
        ]
        ends = report.intervals.get(name)
        interval = f"{ends[0]:{digits}} to {ends[1]:{digits}}" if ends else "-"
        title = name + (" (less is better)" if name in LESS_IS_BETTER else "")
        table.add_row(title, styled[0], interval, *styled[1:])
    console.print()
    console.print(table)
    if report.confusion and len(report.labels) <= 12:
        counts: RichTable = Table(box=SIMPLE_HEAD, pad_edge=False)
        counts.add_column(f"{_safe(target.name)} is")
        for label in report.labels:
            counts.add_column(f"answered {_safe(shown(label))}", justify="right")
        for label, line in zip(report.labels, report.confusion, strict=True):
            counts.add_row(_safe(shown(label)), *(str(count) for count in line))
        console.print(counts)
    if report.at_half:
        named = [f"{name} {value:.4f}" for name, value in report.at_half.items() if value is not None]
        console.print(f"With the threshold at 0.5: {', '.join(named)}.")
    counted = [line for line in report.calibration if line[0] >= 10]
    if len(counted) > 1:
        said = [f"{mean:.2f} and {part:.2f} ({count:,} rows)" for count, mean, part in counted]
        console.print(f"Calibration, by tenths: said and true {', '.join(said)}.")
    console.print(_safe(report.verdict()))
