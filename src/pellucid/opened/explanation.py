"""One row, explained: the forward pass with all its numbers, to the decision."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from pellucid.arrays import Arrays
from pellucid.engine import compiled
from pellucid.opened.programs import Traced, in_sight
from pellucid.opened.seen import Pass
from pellucid.replay import values_by_path
from pellucid.step import Parts, Values
from pellucid.variables import Handed
from pellucid.views import html, story, told


class Explanation(Pass):
    """The forward pass of rows that somebody asked about, to the decision.

    Attributes:
        x: the rows, shape (rows, ...).
        outputs: what the model gives for them.
        layers: what each layer did: `layers["dense"].z`, ...
        decision: the decision in words, for the first row: "0.83 >= 0.5: malignant".
    """

    labels: Sequence[str] = ()
    threshold = 0.5
    #: The decision in the words of a table, if there is one.
    conclusion = ""

    @classmethod
    def of(
        cls,
        parts: Parts,
        x: Arrays,
        columns: Sequence[str] = (),
        labels: Sequence[str] = (),
        threshold: float = 0.5,
    ) -> Explanation:
        """Explain what the model says about rows."""
        state = parts.read()
        values = (state.weights, state.others)
        traced = Traced.of(parts, values, x, training=False)

        def forward(weights: Values, others: Values, x: Arrays) -> Any:
            found = parts.forward(weights, others, x, training=False, handed=Handed())
            return found.outputs, found.handed

        with in_sight():
            outputs, handed = compiled(forward, *values, x)(*values, x)
        count = len(jax.tree.leaves(x)[0])
        made = cls(
            parts,
            x,
            functools.partial(traced.layers, handed, {}, count, count),
            values_by_path(parts.weights, values[0]),
            jax.tree.map(np.asarray, outputs),
        )
        made.values |= values_by_path(parts.others, values[1])
        made.columns, made.labels, made.threshold = columns, labels, threshold
        return made

    @property
    def decision(self) -> str:
        """The decision for the first row, in words."""
        return told.decision(self, 0)

    def story(
        self, example: int = 0, layer: str | int | None = None, unit: int | None = None, detail: str = "short"
    ) -> str:
        """The forward pass of one of the rows as a readable story, to the decision."""
        return story.explain(self, example, layer, unit, detail)

    def __str__(self) -> str:
        return self.story()

    def __repr__(self) -> str:
        return f"<Explanation: {self.decision}>"

    def _repr_html_(self) -> str:
        return html.plain(str(self))
