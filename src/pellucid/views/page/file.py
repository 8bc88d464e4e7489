"""The page as one file, which opens from a disk without a network: the answers to chosen questions come with it.

What is asked first is shown first: the run, then each step in the order of what it tells, as long as the budget
lasts. Then come the gradients of more weights and the formulas of more examples, as many as there is room for.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DataError, PellucidError, StateError, message
from pellucid.views import html, payload
from pellucid.views.page import markup, withheld
from pellucid.writing import require_writable, written_whole

#: How many steps are chosen besides the first of each epoch, and how many epochs begin among the chosen, at most.
CHOSEN, EPOCHS = 60, 200
#: Steps of which all are taken, if there are no more of them.
FEW = 300
#: How many rows of a batch come along where a sample is asked for.
SAMPLE = 8
DATA = ("all", "sample", "none")
#: What a step is asked first; the example is the one that it follows.
OF_STEP = ("step", "formulas", "boundary", "layers")


@dataclass(frozen=True)
class Exported:
    """A page that was written.

    Attributes:
        path: the file.
        nbytes: its size.
        steps: the steps that it holds.
        left_out: what it does not hold, in words.
    """

    path: Path
    nbytes: int
    steps: tuple[int, ...]
    left_out: str

    def __str__(self) -> str:
        return f"Wrote {self.path}: {self.nbytes / 1e6:.1f} MB, {len(self.steps)} steps to open. {self.left_out}".strip()


def write(
    history: Any,
    path: str | os.PathLike[str],
    *,
    steps: int | Iterable[int] | None = None,
    budget_mb: float = 5.0,
    data: str = "all",
    title: str | None = None,
    notes: Mapping[int, str] | None = None,
) -> Exported:
    """Write the page of a training into one file; arguments as for `History.export_html`."""
    require_writable(path, "the page")
    text, found, left_out = made(history, steps, budget_mb, data, title, notes)
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return Exported(Path(path), len(text.encode()), tuple(found), left_out)


def made(
    history: Any,
    steps: int | Iterable[int] | None,
    budget_mb: float,
    data: str,
    title: str | None,
    notes: Mapping[int, str] | None,
) -> tuple[str, list[int], str]:
    """The page as text, the steps that it holds, and what was left out."""
    if data not in DATA:
        raise ArgumentError(message("data says which rows come along.", came=repr(data), expected=", ".join(DATA)))
    if isinstance(budget_mb, bool) or not isinstance(budget_mb, int | float) or not 0 < budget_mb < math.inf:
        raise ArgumentError(message("the budget is a size in MB.", came=repr(budget_mb), expected="more than 0"))
    if not history.steps:
        raise StateError(message("there are no steps to show.", came=history.why_not or "a run without steps"))
    told = {_step_of(history, number): str(text) for number, text in (notes or {}).items()}
    wanted = _wanted(history, steps, told)
    page = _Page(history, data, int(budget_mb * 1e6))
    page.begin()
    for number in wanted:
        page.add_step(number)
    page.add_more()
    found = sorted(page.steps)
    left_out = _left_out(history, found, len(wanted), data, budget_mb)
    name = title or str(page.run["title"])
    source = {
        "kind": "file",
        "steps": found,
        "left_out": left_out,
        "title": title or "",
        "notes": {str(number): text for number, text in told.items()},
        "data": data,
    }
    return markup.document(name, source, page.packed(), html.history(history)), found, left_out


def _first(history: Any) -> int:
    """The first step that can still be opened."""
    return int(history.replay.record.settled().first_step())


def _step_of(history: Any, number: Any) -> int:
    """The number of a step, counted from the end if it is negative."""
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise ArgumentError(message("a step is a whole number.", came=repr(number)))
    first, count = _first(history), history.steps
    found = int(number) + (count if int(number) < 0 else 0)
    if not first <= found < count:
        raise ArgumentError(
            message("there is no such step.", came=str(int(number)), expected=f"{first} to {count - 1}")
        )
    return found


def _wanted(history: Any, steps: int | Iterable[int] | None, told: Mapping[int, str]) -> list[int]:
    """The steps that are to come along, the most telling first."""
    if steps is not None and not isinstance(steps, int):
        listed = [steps] if not isinstance(steps, Iterable) else list(steps)
        return list(dict.fromkeys([*told, *(_step_of(history, each) for each in listed)]))
    if isinstance(steps, bool) or (isinstance(steps, int) and steps < 1):
        raise ArgumentError(
            message("steps are numbers of steps, or how many are chosen.", came=repr(steps), expected="[0, 10, -1], or 60")
        )
    first, count = _first(history), history.steps
    chosen = [first, count - 1, *told, *_striking(history)]
    if steps is None and count - first <= FEW:
        return list(dict.fromkeys([*chosen, *_spread(range(first, count))]))
    log = history.log
    epochs = np.flatnonzero(np.diff(log["epoch"], prepend=-1))
    starts = [int(each) for each in log["step"][epochs] if each >= first]
    most = steps if steps is not None else CHOSEN
    evenly = np.unique(np.linspace(first, count - 1, max(2, most)).astype(int)).tolist()
    spread = _spread(evenly)
    if steps is None:
        every = max(1, -(-len(starts) // EPOCHS))
        spread = [*spread, *_spread(starts[::every])]
    found = list(dict.fromkeys([*chosen, *spread]))
    return found if steps is None else found[: max(steps, len(told))]


def _striking(history: Any) -> list[int]:
    """Steps that people look for: the first whose cost is no number, that of the largest cost, the largest rise."""
    log = history.log
    steps, cost = log["step"], np.asarray(log["cost"], np.float64)
    within = steps >= _first(history)
    steps, cost = steps[within], cost[within]
    found: list[int] = []
    lost = np.flatnonzero(~np.isfinite(cost))
    if len(lost):
        found += [int(steps[lost[0]]), int(steps[max(lost[0] - 1, 0)])]
    if np.isfinite(cost).any():
        known = np.where(np.isfinite(cost), cost, -np.inf)
        found.append(int(steps[int(np.argmax(known))]))
        found.append(int(steps[int(np.argmin(np.where(np.isfinite(cost), cost, np.inf)))]))
    return found


def _spread(numbers: Sequence[int]) -> list[int]:
    """Numbers in such an order that however few are taken, they lie about evenly: ends first, then middles."""
    count = len(numbers)
    order: dict[int, None] = {}
    if count:
        order[0] = order[count - 1] = None
    step = count
    while step > 1 and len(order) < count:
        step = (step + 1) // 2
        order |= dict.fromkeys(range(0, count, step))
    return [numbers[place] for place in order]


def _left_out(history: Any, found: Sequence[int], wanted: int, data: str, budget_mb: float) -> str:
    """What the file does not hold."""
    count = history.steps - _first(history)
    said: list[str] = []
    if len(found) < count:
        why = f", as many as {budget_mb:g} MB hold" if len(found) < wanted else ""
        said.append(f"This file holds {len(found):,} of {count:,} steps{why}; pellucid open shows the others from the run file.")
    if data == "sample":
        said.append(f"Of each batch {SAMPLE} rows came along.")
    if data == "none":
        said.append("The rows of the data were left out, and what shows single examples.")
    return " ".join(said)


class _Page:
    """The answers that a page holds, as long as there is room for them."""

    def __init__(self, history: Any, data: str, budget: int) -> None:
        self.history, self.data = history, data
        self.answers = payload.Answers(history)
        self.kept: dict[str, bytes] = {}
        self.steps: dict[int, dict[str, Any]] = {}
        self.run: dict[str, Any] = {}
        # What is packed is written in letters, four for three bytes.
        shell = len(markup.document("", {}, b"", html.history(history)).encode())
        self.room = (budget - shell) * 3 // 4
        self.full = False

    def begin(self) -> None:
        """What is about the whole run; it comes along whatever the budget."""
        self.run = self.answers.answer("run")
        self.keep("run", self.run)
        for question in ("log", "norms", "surface"):
            self.ask(question)
        for weights in self.run["weights"][:24]:
            self.ask(payload.question("spread", of=weights["path"]))

    def ask(self, question: str) -> Any:
        """Keep the answer to a question, or why there is none; gives what it is."""
        try:
            answer = self.cut(question, self.answers.answer(question))
        except PellucidError as why:
            answer = {"error": {"kind": type(why).__name__, "text": str(why)}}
        self.keep(question, answer)
        return answer

    def keep(self, question: str, answer: Any) -> None:
        """Keep an answer."""
        content = payload.encode(answer)
        self.room -= len(zlib.compress(content, 1))
        self.kept[question] = content

    def cut(self, question: str, answer: Any) -> Any:
        """The answer without the rows that shall not come along."""
        name = question.partition("?")[0]
        if self.data == "all":
            return answer
        if name == "step":
            return withheld.step_with(answer, SAMPLE if self.data == "sample" else 0)
        if name in ("formulas", "formula", "weight", "boundary"):
            if self.data == "none":
                raise DataError(message("the rows were left out of this file, and this shows some of them."))
            if name == "boundary":
                return withheld.boundary_with(answer, 10 * SAMPLE)
            if name == "weight":
                return withheld.weight_with(answer, SAMPLE)
        return answer

    def add_step(self, number: int) -> None:
        """Keep what a step is asked first, if there is room for it."""
        if self.full:
            return
        before, room = dict(self.kept), self.room
        opened = self.ask(payload.question("step", step=number))
        followed = opened.get("followed", 0)
        for name in OF_STEP[1:]:
            extra = {"example": followed} if name == "formulas" else {}
            self.ask(payload.question(name, step=number, **extra))
        if self.room < 0 and self.steps:
            self.kept, self.room, self.full = before, room, True
            return
        self.steps[number] = opened

    def add_more(self) -> None:
        """Fill what room is left: weights by whom their gradients are, and the formulas of more examples."""
        for round_ in range(64):
            asked = False
            for number, opened in self.steps.items():
                for question in self._more(number, opened, round_):
                    if self.room < 0:
                        return
                    self.ask(question)
                    asked = True
            if not asked:
                return

    def _more(self, number: int, opened: Mapping[str, Any], round_: int) -> Iterator[str]:
        if "error" in opened:
            return
        strongest = opened["strongest"]
        if round_ < len(strongest) and self.data != "none":
            yield payload.question("weight", step=number, of=strongest[round_])
        places = [int(each) for each in np.asarray(opened["batch_of"]["places"])]
        if self.data != "none" and round_ % 2 and round_ // 2 < len(places):
            by_loss = opened["batch_of"]["losses"]
            order = np.argsort(-np.nan_to_num(np.asarray(by_loss), nan=np.inf)) if by_loss is not None else places
            example = places[int(order[round_ // 2])] if by_loss is not None else places[round_ // 2]
            question = payload.question("formulas", step=number, example=example)
            if question not in self.kept:
                yield question

    def packed(self) -> bytes:
        """All answers, as the page unpacks them."""
        index: dict[str, tuple[int, int]] = {}
        parts: list[bytes] = []
        at = 0
        for question, content in self.kept.items():
            index[question] = (at, len(content))
            padded = content + b"\0" * (-len(content) % 8)
            parts.append(padded)
            at += len(padded)
        head = json.dumps(index, separators=(",", ":")).encode()
        begin = len(head).to_bytes(4, "little") + head
        return zlib.compress(b"".join([begin + b"\0" * (-len(begin) % 8), *parts]), 9)
