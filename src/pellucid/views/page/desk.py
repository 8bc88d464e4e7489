"""Questions that wait, and the one thread at a time that answers them.

The page's server asks; who answers is the training itself while it runs (see live.py), and a thread of its
own otherwise. Never both: nothing of a history is read while it is written, and what was computed for one
question serves the next.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from pellucid.errors import StateError, message

#: How many answers are kept, and how many bytes of them.
KEPT, KEPT_BYTES = 256, 64 * 2**20


@dataclass(frozen=True)
class Answer:
    """The bytes of an answer, and a digest that is the same for the same bytes only."""

    content: bytes
    digest: str

    @classmethod
    def of(cls, content: bytes) -> Answer:
        """Take note of bytes."""
        return cls(content, hashlib.sha256(content).hexdigest()[:32])


@dataclass
class Asked:
    """A question, and all who wait for its answer."""

    question: str
    waiting: list[Future[Answer]] = field(default_factory=list[Future[Answer]])

    @property
    def dropped(self) -> bool:
        """Whether nobody waits any more."""
        return all(each.cancelled() for each in self.waiting)

    def give(self, answer: Answer | BaseException) -> None:
        """Give the answer, or the error, to all."""
        for each in self.waiting:
            if not each.set_running_or_notify_cancel():
                continue
            if isinstance(answer, Answer):
                each.set_result(answer)
            else:
                each.set_exception(answer)


class Desk:
    """Where questions are asked, by any thread, and answered, by one.

    Args:
        answering: gives the bytes of the answer to a question, or raises.
    """

    def __init__(self, answering: Callable[[str], bytes]) -> None:
        self._answering = answering
        self._asked: OrderedDict[str, Asked] = OrderedDict()
        self._kept: OrderedDict[str, Answer] = OrderedDict()
        self._kept_bytes = 0
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self.closed = False

    # Asking.

    def ask(self, question: str) -> Future[Answer]:
        """Ask a question. Whoever cancels the future is no longer waited for."""
        future: Future[Answer] = Future()
        with self._changed:
            if self.closed:
                future.set_exception(_closed())
            elif (known := self._kept.get(question)) is not None:
                self._kept.move_to_end(question)
                future.set_result(known)
            else:
                self._asked.setdefault(question, Asked(question)).waiting.append(future)
                self._changed.notify_all()
        return future

    @property
    def waiting(self) -> bool:
        """Whether questions wait."""
        return bool(self._asked)

    # Answering.

    def next(self, timeout: float | None = None) -> Asked | None:
        """The question that has waited longest; None if there is none for so many seconds, or all is over."""
        with self._changed:
            if not self._asked and not self.closed and timeout != 0:
                self._changed.wait(timeout)
            while self._asked:
                _, asked = self._asked.popitem(last=False)
                if not asked.dropped:
                    return asked
        return None

    def wake(self) -> None:
        """Let the one who waits for a question look at what else has changed."""
        with self._changed:
            self._changed.notify_all()

    def answer(self, asked: Asked) -> None:
        """Answer a question on this thread. If Ctrl-C comes meanwhile, the question waits again."""
        try:
            found = self._kept.get(asked.question) or Answer.of(self._answering(asked.question))
        except Exception as error:
            asked.give(error)
            return
        except BaseException:
            with self._changed:
                later = self._asked.pop(asked.question, Asked(asked.question))
                self._asked[asked.question] = Asked(asked.question, asked.waiting + later.waiting)
                self._asked.move_to_end(asked.question, last=False)
            raise
        self._keep(asked.question, found)
        asked.give(found)

    def _keep(self, question: str, answer: Answer) -> None:
        with self._changed:
            if question not in self._kept:
                self._kept[question] = answer
                self._kept_bytes += len(answer.content)
            while len(self._kept) > KEPT or self._kept_bytes > KEPT_BYTES:
                self._kept_bytes -= len(self._kept.popitem(last=False)[1].content)

    def forget(self) -> None:
        """Forget the answers: there is more to know."""
        with self._changed:
            self._kept.clear()
            self._kept_bytes = 0

    # A thread for it.

    def work(self, answering: Callable[[str], bytes] | None = None) -> None:
        """From now on answer questions on a thread of this desk's own, which ends with it."""
        self._answering = answering or self._answering
        self.forget()
        self._worker = threading.Thread(target=self._work, name="pellucid answers", daemon=True)
        self._worker.start()

    def _work(self) -> None:
        while not self.closed:
            if (asked := self.next()) is not None:
                self.answer(asked)

    def close(self, timeout: float = 5.0) -> None:
        """Answer nothing any more. Who still waits is told."""
        with self._changed:
            self.closed = True
            left = list(self._asked.values())
            self._asked.clear()
            self._changed.notify_all()
        for asked in left:
            asked.give(_closed())
        if self._worker is not None and self._worker is not threading.current_thread():
            self._worker.join(timeout)
        self._answering = _refuse  # what was opened to answer is let go
        self.forget()


def _refuse(question: str) -> bytes:
    raise _closed()


def _closed() -> StateError:
    return StateError(message("this view was closed.", mend="history.view() opens another."))
