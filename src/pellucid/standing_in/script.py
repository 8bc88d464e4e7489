"""Runs a script as Python would, with Pellucid in the place of Keras, and says what can be opened.

Whatever the script does, its output, its exit code and its tracebacks are those that it would have: of
the frames of Pellucid that run it, none is shown.
"""

from __future__ import annotations

import os
import runpy
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from pellucid import history as histories
from pellucid import standing_in
from pellucid.errors import ArgumentError, FileError, MissingError, PellucidError, UnknownNameError, message
from pellucid.history import History

ENDING = ".pellucid"
#: How many trainings are listed one by one.
LISTED = 10


@dataclass
class Training:
    """A training of the script: what was trained, and where it is kept, or why it is not."""

    model: str
    steps: int
    file: Path | None = None
    why_not: str = ""


class Trainings:
    """The trainings of a script, as they end.

    Args:
        into: the file or the directory that keeps them, or None.
    """

    def __init__(self, into: str | None) -> None:
        self.into = None if into is None else Path(into).absolute()
        self.named = into
        self.all: list[Training] = []

    def ended(self, history: History) -> None:
        """Take note of a training, and keep it if that was asked for."""
        training = Training(getattr(history.model, "name", ""), history.steps)
        if not training.steps:
            training.why_not = history.why_not
        elif self.into is not None:
            training.file = self._place(sum(each.file is not None for each in self.all))
            try:
                history.save(training.file)
            except Exception as problem:  # nothing that goes wrong here may end the script
                training.file, training.why_not = None, str(problem)
        if training.steps or training.why_not:
            self.all.append(training)

    def _place(self, before: int) -> Path:
        """Where the next training goes."""
        assert self.into is not None
        if self.into.suffix == ENDING and not self.into.is_dir():
            return self.into if not before else self.into.with_stem(f"{self.into.stem}-{before + 1}")
        return self.into / f"fit-{before + 1}{ENDING}"

    def told(self, command: Sequence[str]) -> str:
        """What there is to open, and how; nothing if nothing was trained."""
        lines: list[str] = []
        kept = [each for each in self.all if each.file is not None]
        for training in kept[:LISTED]:
            lines.append(f"kept {self._shown(training.file)}: {_described(training)}")
        if len(kept) > LISTED:
            lines.append(f"kept {len(kept) - LISTED} more, the last in {self._shown(kept[-1].file)}")
        lines += [
            f"not kept: {_described(each)}, because {each.why_not}" for each in self.all if each.why_not
        ]
        if kept:
            lines += self._opening(kept[0])
        elif can := [each for each in self.all if not each.why_not]:
            lines.append(
                f"{len(can)} training{'s' if len(can) > 1 else ''} of {sum(each.steps for each in can):,} "
                "steps can be opened; keep them in a file with:"
            )
            lines.append(f"  pellucid run --open run{ENDING} {shlex.join(command)}")
        return "".join(f"pellucid: {line}\n" if not line.startswith(" ") else f"{line}\n" for line in lines)

    def _opening(self, training: Training) -> list[str]:
        """How to open a step of a training that was kept: in Python, if that takes classes of the script."""
        assert training.file is not None
        step = training.steps // 2
        try:
            History.load(training.file)
        except PellucidError as problem:
            if not isinstance(problem.__context__, UnknownNameError):
                return [f"and it cannot be opened again: {problem}"]
            what = str(problem.__context__).splitlines()[0]
            return [
                f"to open a step takes what the script defines ({what}); in Python:",
                f"  pellucid.History.load({os.fspath(training.file)!r}, custom_objects={{...}}).open({step})",
            ]
        return [f"open a step with: pellucid show {self._shown(training.file)} --step {step}"]

    def _shown(self, file: Path | None) -> str:
        """A file's name as the user would type it."""
        assert file is not None
        shown = os.path.relpath(file) if self.named and not os.path.isabs(self.named) else str(file)
        return shlex.quote(shown)


def _described(training: Training) -> str:
    return f'fit of "{training.model}", {training.steps:,} steps'


def require_writable(into: str) -> None:
    """Refuse a place where trainings cannot be kept, before the script runs.

    Raises:
        FileError: if the directory of the file cannot be made, or something else lies in the file.
    """
    place = Path(into)
    file = place.suffix == ENDING and not place.is_dir()
    folder = place.parent if file else place
    if file and place.exists():
        from pellucid.run_files import read

        read(place)  # a run file may be written over, and nothing else
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise FileError(
            message(
                "the trainings cannot be kept there.",
                came=f"{folder}: {problem.strerror or problem}",
                expected=f"a file ending in {ENDING}, or a directory",
            )
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(message("the trainings cannot be kept there.", came=f"{folder} is read-only"))


def run(script: str, arguments: Sequence[str] = (), *, module: bool = False, keep: str | None = None) -> int:
    """Run a script with Pellucid in the place of Keras and TensorFlow.

    Args:
        script: the file; or the name of a module, with `module`, as `python -m` takes it.
        arguments: what comes after it: the script's `sys.argv[1:]`.
        module: whether `script` is the name of a module.
        keep: a file ending in .pellucid, or a directory, where the trainings are kept. The second
            training of FILE.pellucid is FILE-2.pellucid, and so on.

    Returns:
        The exit code.

    Raises:
        FileError: if there is no such script, or the trainings cannot be kept there.
    """
    prepared = _prepared_module(script) if module else _prepared_script(script)
    if keep is not None:
        require_writable(keep)
    trainings = Trainings(keep)
    histories.listeners.append(trainings.ended)
    standing_in.install()
    sys.argv = [script, *arguments]
    ended: BaseException | None = None
    try:
        prepared()
    except BaseException as error:  # whatever a script may end with
        ended = error
    sys.stdout.flush()
    sys.stderr.write(trainings.told([*(["-m"] if module else []), script, *arguments]))
    return _exit_code(ended)


def _prepared_script(script: str) -> Callable[[], Any]:
    """What runs a script, which is read and compiled when it runs, as `__main__`."""
    path = Path(script)
    file = os.path.abspath(script)
    if path.suffix == ".ipynb":
        raise ArgumentError(
            message(
                "a notebook is no script.",
                came=script,
                mend="write %load_ext pellucid in its first cell, and run it as ever.",
            )
        )
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise FileError(
            message("the script cannot be read.", came=f"{script}: {problem.strerror}", expected="a file")
        ) from None
    _first_in_path(str(path.resolve().parent))

    def go() -> None:
        main = ModuleType("__main__")
        main.__dict__.update(__file__=file, __builtins__=__builtins__, __cached__=None)
        sys.modules["__main__"] = main
        exec(compile(content, file, "exec", dont_inherit=True), main.__dict__)

    return go


def _prepared_module(name: str) -> Callable[[], Any]:
    """What runs a module as `python -m` does."""
    _first_in_path(os.getcwd())
    return lambda: runpy.run_module(name, run_name="__main__", alter_sys=True)


def _first_in_path(folder: str) -> None:
    """Put the folder where Python looks first, in the place of the folder of Pellucid's command."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _exit_code(ended: BaseException | None) -> int:
    """Say how a script ended, as Python does, and with which code."""
    if ended is None:
        return 0
    if isinstance(ended, SystemExit):
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        sys.stderr.write(f"{ended.code}\n")
        return 1
    own = _own_frames(ended)
    sys.excepthook(type(ended), ended.with_traceback(own), own)
    return 130 if isinstance(ended, KeyboardInterrupt) else 1


def _own_frames(ended: BaseException) -> TracebackType | None:
    """The frames from the script's on; where something is missing, up to the line that asked for it."""
    frames: list[TracebackType] = []
    at = ended.__traceback__
    while at is not None:
        frames.append(at)
        at = at.tb_next
    while frames and (_is_ours(frames[0]) or _module_of(frames[0]) == "runpy"):
        frames.pop(0)
    while isinstance(ended, MissingError) and frames and _is_ours(frames[-1]):
        frames.pop()
    chained: TracebackType | None = None
    for frame in reversed(frames):
        chained = TracebackType(chained, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return chained


def _module_of(frame: TracebackType) -> str:
    return str(frame.tb_frame.f_globals.get("__name__", ""))


def _is_ours(frame: TracebackType) -> bool:
    return _module_of(frame).startswith("pellucid.standing_in")
