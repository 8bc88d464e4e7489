"""The page as one file, which opens from a disk without a network: answers to chosen questions come with it.

First come those about the run, then those about steps, the most telling first, as long as the budget lasts.
What room is left is for the gradients of more weights, for whole layers, and for formulas of more examples.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DataError, PellucidError, StateError, message
from pellucid.views import html, payload
from pellucid.views.page import markup, withheld
from pellucid.writing import require_writable, written_whole

#: How many steps are chosen besides the first of each epoch, and of how many epochs, at most.
CHOSEN, EPOCHS = 60, 200
#: Steps of which all are taken, if there are no more of them.
FEW = 300
#: How many rows of a batch come along where a sample is asked for, and how many points of a boundary.
SAMPLE, SAMPLED_POINTS = 8, 80
DATA = ("all", "sample", "none")
#: Of a step so many weights come along first, then, in as many rounds, more of them and more examples; of so
#: many arrays it comes along how they spread over time.
FIRST_WEIGHTS, MORE, ARRAYS = 3, 64, 24
#: Of so many units of a layer there are formulas.
UNITS = 8
#: As each takes its time, no more rounds are begun after so many formulas.
FORMULAS = 4_000
#: The part of a step's room that the numbers of its examples may take; of so many they come along at least.
PART, FEWEST = 0.3, 16
#: The same of the points of a boundary, and how many bytes one takes.
POINTS, POINTS_PART, POINT = 120, 0.07, 13


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
        size = f"{self.nbytes / 1e6:.1f} MB, {len(self.steps):,} steps to open"
        return f"Wrote {self.path}: {size}. {self.left_out}".strip()


def write(
    history: Any,
    path: str | os.PathLike[str],
    *,
    steps: int | Iterable[int] | None = None,
    budget_mb: float = 5.0,
    data: str = "all",
    title: str | None = None,
    notes: Mapping[int, str] | None = None,
    watch: Callable[[str], None] | None = None,
) -> Exported:
    """Write the page of a training into one file; arguments as for `History.export_html`."""
    require_writable(path, "the page")
    text, found, left_out = made(history, steps, budget_mb, data, title, notes, watch)
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return Exported(Path(path), len(text.encode()), tuple(found), left_out)


def made(
    history: Any,
    steps: int | Iterable[int] | None,
    budget_mb: float,
    data: str = "all",
    title: str | None = None,
    notes: Mapping[int, str] | None = None,
    watch: Callable[[str], None] | None = None,
) -> tuple[str, list[int], str]:
    """The page as text, the steps that it holds, and what was left out."""
    if data not in DATA:
        raise ArgumentError(
            message("data says which rows come along.", came=repr(data), expected=", ".join(DATA))
        )
    if isinstance(budget_mb, bool) or not isinstance(budget_mb, int | float) or not 0 < budget_mb < math.inf:
        raise ArgumentError(
            message("the budget is a size in MB.", came=repr(budget_mb), expected="more than 0")
        )
    if not history.steps:
        raise StateError(
            message("there are no steps to show.", came=history.why_not or "a run without steps")
        )
    told = {history.number(number): str(text) for number, text in (notes or {}).items()}
    wanted = _wanted(history, steps, told)
    page = _Page(history, data, int(budget_mb * 1e6), len(wanted))
    watch = watch or (lambda text: None)
    watch("the whole run")
    page.begin()
    for done, number in enumerate(wanted, 1):
        if page.full:
            break
        watch(f"step {number:,}, {done} of {len(wanted)}")
        page.add_step(number)
    watch("what else there is room for")
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


def _wanted(history: Any, steps: int | Iterable[int] | None, told: Mapping[int, str]) -> list[int]:
    """The steps that are to come along, the most telling first."""
    if steps is not None and not isinstance(steps, int):
        listed = [steps] if not isinstance(steps, Iterable) else list(steps)
        return list(dict.fromkeys([*told, *(history.number(each) for each in listed)]))
    if isinstance(steps, bool) or (isinstance(steps, int) and steps < 1):
        raise ArgumentError(
            message(
                "steps are numbers of steps, or how many are chosen.",
                came=repr(steps),
                expected="[0, 10, -1], or 60",
            )
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
    """Steps that people look for: the first whose cost is no number, the largest cost, the smallest."""
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
    """Numbers in an order in which however few are taken, they lie about evenly: ends, then middles."""
    count = len(numbers)
    order: dict[int, None] = {}
    if count:
        order[0] = order[count - 1] = None
    step = count
    while step > 1 and len(order) < count:
        step = (step + 1) // 2
        order |= dict.fromkeys(range(0, count, step))
    return [numbers[place] for place in order]


def _in_turn(weights: Sequence[str]) -> list[str]:
    """Weights in turn from each array: the first of each, then the second of each, ...

    >>> _in_turn(["a[0]", "a[1]", "b[0]"])
    ['a[0]', 'b[0]', 'a[1]']
    """
    arrays: dict[str, list[str]] = {}
    for each in weights:
        arrays.setdefault(each.partition("[")[0], []).append(each)
    longest = max(map(len, arrays.values()), default=0)
    return [own[place] for place in range(longest) for own in arrays.values() if place < len(own)]


def _left_out(history: Any, found: Sequence[int], wanted: int, data: str, budget_mb: float) -> str:
    """What the file does not hold."""
    count = history.steps - _first(history)
    said: list[str] = []
    if len(found) < count:
        why = f", as many as {budget_mb:g} MB hold" if len(found) < wanted else ""
        said.append(
            f"This file holds {len(found):,} of {count:,} steps{why}; "
            "pellucid open shows the others from the run file."
        )
    if data == "sample":
        said.append(f"Of each batch {SAMPLE} rows came along, of the points of a boundary {SAMPLED_POINTS}.")
    if data == "none":
        said.append("The rows of the data were left out, and what shows single examples.")
    return " ".join(said)


class _Page:
    """The answers that a page holds, as long as there is room for them."""

    def __init__(self, history: Any, data: str, budget: int, wanted: int) -> None:
        self.history, self.data = history, data
        self.answers = payload.Answers(history)
        self.kept: dict[str, Any] = {}
        self.steps: dict[int, dict[str, Any]] = {}
        self.run: dict[str, Any] = {}
        self.seen: set[bytes] = set()
        self.stream = zlib.compressobj(6)
        # What is packed is written in letters, four for three bytes.
        shell = len(markup.document("", {}, b"", html.history(history)).encode())
        self.room = (budget - shell) * 3 // 4
        self.full = False
        self.formulas = 0
        #: How many bytes there are for each step that is wanted.
        self.room_each = self.room / max(wanted, 1)
        #: The weights that a map of the cost lies over; None if there are not two.
        self.pair: list[str] | None = None

    def begin(self) -> None:
        """What is about the whole run; it comes along whatever the budget."""
        self.run = self.answers.answer("run")
        self.keep("run", self.run)
        self.pair = self.run["pair"] if len(self.run["pair"]) == 2 else None
        for question in ("log", "norms", "surface", payload.question("surface", weights=self.pair)):
            self.ask(question)
        for weights in self.run["weights"][:ARRAYS]:
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
        self.kept[question] = answer
        # Packed as if all were one stream, as in the end it is.
        packed = self.stream.compress(payload.encode(self._unseen(answer)))
        self.room -= len(packed) + len(self.stream.flush(zlib.Z_SYNC_FLUSH))

    def _unseen(self, answer: Any) -> Any:
        """An answer without the arrays that are there already: each is packed once."""
        if isinstance(answer, np.ndarray):
            content = answer.tobytes()
            known = content in self.seen
            self.seen.add(content)
            return None if known else answer
        if isinstance(answer, Mapping):
            return {key: self._unseen(each) for key, each in answer.items()}
        return [self._unseen(each) for each in answer] if isinstance(answer, list | tuple) else answer

    def cut(self, question: str, answer: Any) -> Any:
        """The answer as it comes along: without the rows that shall not, and what takes too much room."""
        name = question.partition("?")[0]
        if self.data == "none" and name in ("formulas", "weight", "boundary"):
            raise DataError(message("the rows were left out of this file, and this shows some of them."))
        sample = self.data == "sample"
        if name == "step":
            most = {"all": self.most_examples(answer), "sample": SAMPLE, "none": 0}[self.data]
            return withheld.step_with(answer, most)
        if name == "formulas":
            return withheld.formulas_of(answer, UNITS)
        if name == "weight":
            return withheld.weight_without_code(withheld.weight_with(answer, SAMPLE) if sample else answer)
        if name == "boundary":
            most = SAMPLED_POINTS if sample else max(POINTS, int(POINTS_PART * self.room_each / POINT))
            return withheld.coarse(withheld.boundary_with(answer, most))
        return answer

    def most_examples(self, answer: Mapping[str, Any]) -> int:
        """How many examples of a batch may come along, so that there is room for all steps."""
        batch = answer["batch_of"]
        numbers = sum(np.size(each) for column in answer["columns"] for each in column["values"].values())
        numbers += 0 if batch["x"] is None else np.size(batch["x"])
        bytes_each = 4 * numbers / max(len(batch["places"]), 1)
        return max(FEWEST, int(PART * self.room_each / max(bytes_each, 1)))

    def add_step(self, number: int) -> None:
        """Keep what a step is asked first, if there is room for it."""
        before = dict(self.kept), set(self.seen), self.stream.copy(), self.room
        opened = self.ask(payload.question("step", step=number))
        self.ask(payload.question("formulas", step=number, example=opened.get("followed", 0)))
        for weights in (None, self.pair):
            self.ask(payload.question("descent", step=number, weights=weights))
        self.ask(payload.question("boundary", step=number))
        if "error" not in opened and self.data != "none":
            for of in _in_turn(opened["strongest"])[:FIRST_WEIGHTS]:
                self.ask(payload.question("weight", step=number, of=of))
        if self.room < 0 and self.steps:
            self.kept, self.seen, self.stream, self.room = before
            self.full = True
            return
        self.steps[number] = opened

    def add_more(self) -> None:
        """Fill what room is left: with whole layers, then weights and formulas of more examples."""
        for among in range(MORE):
            for number, opened in self.steps.items():
                if "error" in opened:
                    continue
                for question in self._more(number, opened, among):
                    if self.room < 0 or self.formulas > FORMULAS:
                        return
                    if question not in self.kept:
                        self.formulas += len(self.ask(question).get("formulas", ()))

    def _more(self, number: int, opened: Mapping[str, Any], among: int) -> Iterator[str]:
        """What else a step is asked, the most telling first."""
        if not among:
            yield payload.question("layers", step=number)
            return
        if self.data == "none":
            return
        place = FIRST_WEIGHTS + among - 1
        for of in _in_turn(opened["strongest"])[place : place + 1]:
            yield payload.question("weight", step=number, of=of)
        places, losses = opened["batch_of"]["places"], opened["batch_of"]["losses"]
        order = (
            np.argsort(-np.nan_to_num(losses, nan=np.inf)) if losses is not None else np.arange(len(places))
        )
        for place in order[among - 1 : among]:
            yield payload.question("formulas", step=number, example=int(places[place]))

    def packed(self) -> bytes:
        """All answers as one, as the page unpacks them."""
        return zlib.compress(payload.encode(self.kept), 9)
