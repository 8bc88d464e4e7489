"""A training that is watched while it runs.

All that is computed for the page is computed on the thread that trains, at the edges of its chunks of steps:
so nothing is read while it is written, and the numbers of the training are the same, bit for bit, whoever
looks on. While it runs, questions take a twentieth of its time at most; while it is paused, all of it. Where
nobody has a page open, the edge costs one look at the clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pellucid import seeds
from pellucid.errors import ArgumentError, StateError, message
from pellucid.views.page.desk import Asked, Desk

#: Answers take this part of the time of the training, at most; so many seconds can be saved up.
SHARE, SAVED = 0.05, 0.1
#: What had to be compiled first is compiled once, and counts as this many seconds only.
ONCE = 0.05
#: How often, at most, a running training says how far it is; and how often a paused one looks around.
TELLING, LOOKING = 0.2, 0.25
#: After so many seconds without any sign of a page, a paused training goes on.
ALONE = 5.0


class Watched(Protocol):
    """What is asked of the history of a training that runs."""

    @property
    def compilations(self) -> int:
        """How many programs have been compiled."""
        ...

    def reached(self, wait: bool = False) -> tuple[int, float | None]:
        """How many epochs have ended, and the cost of the last step that is known."""
        ...


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Args:
        steps, epochs: how many steps were started, and how many epochs have ended.
        cost: that of the last step that is known.
        state: "running", "paused" or "ended".
        said: what there is to say to people, beside the numbers.
    """

    steps: int = 0
    epochs: int = 0
    cost: float | None = None
    state: str = "running"
    said: str = ""


class Live:
    """The gate of a training, and what a page knows of it and can do to it.

    Args:
        desk: where questions wait.
        history: the history of the training.
        tell: writes a line on the terminal.
    """

    def __init__(self, desk: Desk, history: Watched, tell: Callable[[str], None]) -> None:
        self.desk, self.history, self._tell = desk, history, tell
        self.alone = ALONE
        #: How many pages are told of every change, and when any page was last heard of.
        self.listeners, self.heard = 0, -float("inf")
        self._lock = threading.Lock()
        #: Before which step to pause; None: before none. And whether that came by single steps.
        self._target: int | None = None
        self._by_step = False
        #: Whether the training waits here.
        self._waits = False
        self._ended: Progress | None = None
        self._known = Progress()
        self._told_at = self._since = time.monotonic()
        self._saved = SAVED

    # For the page, on any thread.

    @property
    def progress(self) -> Progress:
        """How far the training is, as far as it has said."""
        known, target = self._known, self._target
        if self._ended is not None:
            return self._ended
        if self._waits and target is not None and target <= known.steps:
            return Progress(
                known.steps, known.epochs, known.cost, "paused", f"Paused before step {known.steps:,}."
            )
        said = "" if target is None else "Pausing." if target <= known.steps else f"Until step {target:,}."
        return Progress(known.steps, known.epochs, known.cost, "running", said)

    def control(self, do: str, step: int | None = None) -> Progress:
        """Pause, go on by one step, until before a step, or without end.

        Raises:
            ArgumentError: if that is no command, or the training is past that step.
            StateError: if it has ended.
        """
        with self._lock:
            if self._ended is not None:
                raise StateError(message("the training has ended.", came=f"{do!r}"))
            done = self._known.steps
            if do not in ("pause", "step", "run", "until") or (step is None) != (do != "until"):
                raise ArgumentError(
                    message(
                        "this cannot be done to a training.",
                        came=f"{do!r}" if step is None else f"{do!r} with step={step}",
                        expected='"pause", "step", "run", or "until" with a step',
                    )
                )
            if do == "run":
                self._target = None
            elif do == "pause":
                self._target = 0
            elif do == "step":
                ahead = self._target if self._by_step and self._target is not None else 0
                self._target = max(done, ahead) + 1
            else:
                assert step is not None
                if step <= done:
                    raise ArgumentError(
                        message("the training is past this step.", came=step, expected=f"{done + 1} or more")
                    )
                self._target = step
            self._by_step = do == "step"
        self.desk.wake()
        return self.progress

    # For the training, on its own thread.

    def gate(self, steps: int, look: Callable[[], None]) -> int | None:
        """What `fitting.Plan.gate` is."""
        now = time.monotonic()
        if self.desk.closed or (self._target is None and not self._followed(now)):
            return None
        if now - self._told_at >= TELLING:
            self._note(steps, now)
        if self._paused(steps):
            self._pause(steps, look)
        elif self.desk.waiting and steps:
            self._answer_some(look)
        target = self._target
        return None if target is None else max(1, target - steps)

    def ended(self, progress: Progress) -> None:
        """The training is over."""
        with self._lock:
            self._ended, self._target = progress, None

    def _paused(self, steps: int) -> bool:
        return self._target is not None and self._target <= steps and not self.desk.closed

    def _followed(self, now: float) -> bool:
        return self.listeners > 0 or now - self.heard < self.alone or self.desk.waiting

    def _note(self, steps: int, now: float, wait: bool = False) -> None:
        """Say how far the training is."""
        self._told_at = now
        self._known = Progress(steps, *self.history.reached(wait))

    def _pause(self, steps: int, look: Callable[[], None]) -> None:
        """Answer every question, until the training shall go on, or nobody is there any more."""
        look()
        self._note(steps, time.monotonic(), wait=True)
        self._waits = True
        try:
            while self._paused(steps):
                if (asked := self.desk.next(LOOKING)) is not None:
                    self._answer(asked)
                elif not self._followed(time.monotonic()):
                    self._release()
                look()
        finally:
            self._waits = False
            self.desk.forget()
            self._since = time.monotonic()

    def _release(self) -> None:
        """Go on, since nobody is there who could say so."""
        with self._lock:
            self._target = None
        self._tell("The page is gone, so the training goes on.")

    def _answer_some(self, look: Callable[[], None]) -> None:
        """Answer questions, as long as the training can spare the time."""
        self._saved = min(SAVED, self._saved + SHARE * (time.monotonic() - self._since))
        while self._saved > 0 and (asked := self.desk.next(0)) is not None:
            look()  # waiting for steps is no time that is lost
            began, compiled = time.monotonic(), self.history.compilations
            self._answer(asked)
            taken = time.monotonic() - began
            self._saved -= min(taken, ONCE) if self.history.compilations != compiled else taken
        self.desk.forget()
        self._since = time.monotonic()

    def _answer(self, asked: Asked) -> None:
        with seeds.untouched():
            self.desk.answer(asked)
