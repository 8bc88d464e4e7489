"""Questions about a run, and their answers as plain data and as bytes.

A page asks questions, and a source answers them: a server, a file, or a cell of a notebook. All of them have
their answers from here:

    answers = Answers(history)
    answers.answer("step?step=120")["cost"]
    answers.bytes("step?step=120")              # what a page is given
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pellucid.views.payload import boundary, cost, run, step, weights
from pellucid.views.payload.questions import QUESTIONS as QUESTIONS
from pellucid.views.payload.questions import parsed as parsed
from pellucid.views.payload.questions import question as question
from pellucid.views.payload.questions import understood
from pellucid.views.payload.source import Source
from pellucid.views.payload.wire import decode as decode
from pellucid.views.payload.wire import encode as encode

#: What answers each question.
_ANSWERS: Mapping[str, Callable[..., Any]] = {
    "run": run.run,
    "log": run.log,
    "norms": run.norms,
    "step": step.step,
    "formulas": step.formulas,
    "formula": step.formula,
    "weight": weights.weight,
    "layers": weights.layers,
    "tensor": weights.tensor,
    "spread": weights.spread,
    "boundary": boundary.boundary,
    "surface": cost.surface,
    "descent": cost.descent,
}


class Answers(Source):
    """Answers questions about one run; the steps that were asked for last are opened once.

    Args:
        history: what `fit` returned, or `History.load` read.
    """

    def answer(self, question: str) -> Any:
        """The answer to a question: plain data, in which arrays stand.

        Raises:
            ArgumentError: if there is no such question, step, weight, ...
            StateError: if the run was not recorded, or the model was changed since.
            DataError: if its rows are gone, or of a kind that the question is not about.
        """
        name, values = understood(question)
        with self.one_at_a_time:
            return _ANSWERS[name](self, **values)

    def bytes(self, question: str) -> bytes:
        """The answer as it is sent and kept; errors are those of `answer`."""
        return encode(self.answer(question))


def answer(history: Any, question: str) -> Any:
    """The answer to one question about a run; errors are those of `Answers.answer`.

    Example:
        >>> from pellucid import Sequential
        >>> from pellucid.layers import Dense, Input
        >>> model = Sequential([Input(shape=(1,)), Dense(1, kernel_initializer="zeros")])
        >>> model.compile(optimizer="sgd", loss="mse")
        >>> history = model.fit([[1.0], [2.0]], [[2.0], [4.0]], epochs=3, verbose=0)
        >>> answer(history, question("step", step=0))["cost"]
        10.0
    """
    return Answers(history).answer(question)
