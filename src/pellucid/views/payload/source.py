"""What answers come from: a history, and the steps of it that were opened last."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid.errors import StateError, message
from pellucid.views.payload.numbers import Summary
from pellucid.views.plots.network import Links, Neurons, columns_of

NumPy = np.ndarray[Any, Any]
#: How many opened steps are kept, and how many bytes they may take.
KEPT, KEPT_BYTES = 32, 2**28
#: How many other results that take long are kept.
FEW = 4
#: How many units of a layer are told about; where there are many layers, fewer.
UNITS, UNITS_IN_ALL = 16, 512


class Opened:
    """An opened step, and what several answers need of it."""

    def __init__(self, step: Any) -> None:
        self.step = step
        self._summaries: dict[tuple[str, str], Summary] = {}

    @functools.cached_property
    def updates(self) -> dict[str, NumPy]:
        """How far each weight moved."""
        return self.step.updates

    def array(self, what: str, path: str) -> NumPy | None:
        """Weights, gradients, updates, or what the optimizer remembers; or None."""
        step = self.step
        if what in ("weights", "gradients", "updates"):
            return {"weights": step.weights, "gradients": step.gradients, "updates": self.updates}[what][path]
        return self.slots(path).get(what)

    def slots(self, path: str, after: bool = False) -> dict[str, NumPy]:
        """What the optimizer remembers of each of some weights, before the step or after it."""
        variable = self.step.parts.weights[self.step.weight_place(path, path)]
        known = self.step.optimizer.slots(variable, after=after)
        return {name: array for name, array in known.items() if array.shape == self.step.weights[path].shape}

    def summary(self, what: str, path: str) -> Summary:
        """What there is to say about these numbers."""
        if (what, path) not in self._summaries:
            array = self.array(what, path)
            self._summaries[what, path] = Summary.of(np.zeros(0) if array is None else array)
        return self._summaries[what, path]

    @functools.cached_property
    def network(self) -> tuple[list[Neurons], list[Links]]:
        """The network from left to right, with the units that are drawn."""
        layers = max(1, len(self.step.layers))
        most = max(2, min(UNITS, UNITS_IN_ALL // layers))
        return columns_of(self.step, self.step.followed, "output", most, self.step.weights)

    @property
    def first(self) -> Any:
        """The first layer that is drawn."""
        return self.network[0][1].layer

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        step = self.step
        by_weight = (step.weights, step.gradients, step.weights_after, step.weights, step.optimizer.before)
        arrays = [array for each in by_weight for array in each.values()]
        arrays += [
            array for each in (step.opening.handed, step.opening.slopes or {}) for array in each.values()
        ]
        return sum(array.nbytes for array in arrays)


class Source:
    """A history, and the last steps of it that were asked for, opened once.

    Args:
        history: what `fit` returned, or `History.load` read.
    """

    def __init__(self, history: Any) -> None:
        self.history = history
        self._opened: OrderedDict[int, Opened] = OrderedDict()
        self._kept: OrderedDict[Any, Any] = OrderedDict()
        #: JAX and the record are asked one question after the other.
        self.one_at_a_time = threading.RLock()

    def opened(self, number: int) -> Opened:
        """A step by its number.

        Raises:
            ArgumentError: if there is no such step.
            StateError, DataError: if it cannot be opened.
        """
        with self.one_at_a_time:
            if number not in self._opened:
                self._opened[number] = Opened(self.history.open(number))
            self._opened.move_to_end(number)
            while len(self._opened) > 1 and (
                len(self._opened) > KEPT or sum(each.nbytes for each in self._opened.values()) > KEPT_BYTES
            ):
                self._opened.popitem(last=False)
            return self._opened[number]

    def kept(self, key: Any, computed: Callable[[], Any]) -> Any:
        """What takes long to compute, kept for when it is asked for again."""
        with self.one_at_a_time:
            if key not in self._kept:
                self._kept[key] = computed()
            self._kept.move_to_end(key)
            while len(self._kept) > FEW:
                self._kept.popitem(last=False)
            return self._kept[key]

    def require_open(self) -> Any:
        """The record of the training.

        Raises:
            StateError: if nothing was recorded, or not one step was trained.
        """
        record = self.history.replay.record.settled()
        if record.steps <= record.first_step():
            raise StateError(message("this run has no steps yet.", came=repr(self.history)))
        return record
