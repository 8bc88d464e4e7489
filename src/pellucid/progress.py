"""What `fit` prints while it runs, in the manner of Keras: a bar that fills up, then a line.

At most about ten lines a second are written, so that short epochs are not slowed down by being
talked about. Where the output is not a terminal, nothing is overwritten: one line an epoch.
"""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

WIDTH = 20
REFRESH = 0.1
_interactive = {"value": True}


def is_interactive() -> bool:
    """Whether lines are printed, rather than given to Python's logging."""
    return _interactive["value"]


def set_interactive(value: bool) -> None:
    """Set whether lines are printed, or given to Python's logging."""
    _interactive["value"] = value


def number(value: Any) -> str:
    """A value as the bar writes it.

    >>> number(0.12345), number(0.00012), number(3)
    ('0.1235', '1.2000e-04', '3.0000')
    """
    if np.ndim(value):
        return (
            "["
            + " ".join(number(item) for item in np.ravel(value)[:4])
            + (" ...]" if np.size(value) > 4 else "]")
        )
    return f"{value:.4f}" if abs(value) > 1e-3 or value == 0 else f"{value:.4e}"


def duration(seconds: float) -> str:
    """A time as people read it.

    >>> duration(0.0000069), duration(0.25), duration(75)
    ('7us', '250ms', '1:15')
    """
    if seconds >= 60:
        whole = int(seconds)
        hours, minutes = whole // 3600, whole // 60 % 60
        return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
    if seconds >= 1:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


class Progress:
    """The printer of one `fit`, `evaluate` or `predict`.

    Args:
        verbose: 0 prints nothing, 1 a bar, 2 a line an epoch; "auto" is 1.
        epochs: how many there are, for "Epoch 1/10"; None leaves that line out.
        width: how wide the bar is.
        unit: what a step is called.
    """

    def __init__(
        self, verbose: Any, epochs: int | None = None, width: int = WIDTH, unit: str = "step"
    ) -> None:
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self.epochs, self.width, self.unit = epochs, width, unit
        self.live = self.verbose == 1 and is_interactive() and _is_terminal()
        self.shown = 0.0
        self.drawn = 0
        #: The line of the last epoch, if it was not written.
        self.unwritten = ""

    def steps(
        self, epoch: int, done: int, total: int | None, seconds: float, logs: Mapping[str, Any]
    ) -> None:
        """Draw the bar of an epoch that has been under way for a while, if it is time to."""
        now = time.perf_counter()
        if not self.live or seconds < REFRESH or now - self.shown < REFRESH / 2:
            return
        self.shown = now
        text = f"{self._head(epoch)}{done}/{total or '?'}"
        if total:
            filled = min(self.width, self.width * done // total)
            left = duration(seconds / max(done, 1) * (total - done))
            text += f" \x1b[32m{'━' * filled}\x1b[0m\x1b[37m{'━' * (self.width - filled)}\x1b[0m {left} left"
        self._write(text + _values(logs), end="")

    def epoch(self, epoch: int, steps: int, seconds: float, logs: Mapping[str, Any]) -> None:
        """Write the line of an epoch that is over.

        Where there are more than a hundred, a terminal shows one line that changes, and a file gets
        about twenty of them.
        """
        if not self.verbose:
            return
        bar = f" {'━' * self.width}" if self.verbose == 1 else " -"
        pace = f"{duration(seconds)} {duration(seconds / max(steps, 1))}/{self.unit}"
        line = f"{self._head(epoch)}{steps}/{steps}{bar} {pace}{_values(logs)}"
        now = time.perf_counter()
        count, number = self.epochs or 1, epoch + 1
        many, last = count > 100, number >= count
        if (
            many
            and not last
            and (now - self.shown < REFRESH if self.live else number % -(-count // 20) and epoch)
        ):
            self.unwritten = line
            return
        self.shown, self.unwritten = now, ""
        self._write(line, end="" if many and self.live and not last else "\n")

    def stopped(self) -> None:
        """Write what is still to be written, and leave the terminal at the start of a line."""
        if self.unwritten:
            self._write(self.unwritten, end="\n")
            self.unwritten = ""
        elif self.drawn:
            self._write("", end="\n")

    def say(self, text: str) -> None:
        """Write a line of its own between those of the epochs, also where nothing else is shown."""
        self.stopped()
        self._write(text, end="\n")

    def _head(self, epoch: int) -> str:
        return f"Epoch {epoch + 1}/{self.epochs} " if self.epochs and self.epochs > 1 else ""

    def _write(self, text: str, end: str) -> None:
        if not is_interactive():
            logging.getLogger("pellucid").info(text)
            return
        width = shutil.get_terminal_size((100, 24)).columns
        if end == "" and len(text) > width + 18:  # 18: the colours
            text = text[: width + 17]
        visible = len(text)
        back = "\r" if self.drawn else ""
        blank = " " * max(0, self.drawn - visible)
        sys.stdout.write(f"{back}{text}{blank}{end}")
        sys.stdout.flush()
        self.drawn = 0 if end else visible


def _values(logs: Mapping[str, Any]) -> str:
    return "".join(f" - {name}: {number(value)}" for name, value in logs.items())


def _is_terminal() -> bool:
    return bool(getattr(sys.stdout, "isatty", lambda: False)())
