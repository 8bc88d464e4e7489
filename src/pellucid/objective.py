"""What `compile` asked for, once the shapes are known: the loss, and what is measured.

`compile` takes names, functions, objects, lists and dicts. Here they become one loss and a list
of metrics, each with the name it has in the logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import jax.numpy as jnp
import numpy as np

from pellucid import losses, metrics
from pellucid.arrays import Array, Arrays, as_array, as_float
from pellucid.errors import ArgumentError, StateError, message
from pellucid.layers.layer import declares
from pellucid.metrics import Mean, Metric
from pellucid.metrics import get as find_metric
from pellucid.variables import Variable


class Objective:
    """The loss that training lowers and the metrics that it reports.

    Args:
        loss, metrics, weighted_metrics, loss_weights: as given to `compile`.
    """

    def __init__(
        self, loss: Any, metrics: Any = None, weighted_metrics: Any = None, loss_weights: Any = None
    ):
        self.given_loss = _only(loss, "loss")
        self.given_metrics = _listed(metrics)
        self.given_weighted = _listed(weighted_metrics)
        self.loss_weight = _only(loss_weights, "loss_weights")
        if not isinstance(self.loss_weight, int | float | None):
            raise ArgumentError(
                message(
                    "loss_weights is a number.",
                    came=repr(loss_weights),
                    mend="metrics go by name: compile(optimizer, loss, metrics=['accuracy']).",
                )
            )
        # Unknown names are found out when compile is called, not when fit is.
        self.loss: losses.Loss | None = None
        if self.given_loss is not None and self.given_loss not in ("crossentropy", "ce"):
            self.loss = losses.as_loss(self.given_loss)
        for each in [*self.given_metrics, *self.given_weighted]:
            if isinstance(each, str) and each not in ("accuracy", "acc", "crossentropy", "ce"):
                find_metric(each)
        self.mean_loss = Mean(name="loss")
        self.metrics: list[Metric] = []
        self.weighted: list[Metric] = []
        self.resolved = False

    def resolve(self, y_shape: Sequence[int | None], outputs: Any) -> None:
        """Settle what depends on shapes: which accuracy, which cross-entropy, how many sums."""
        if self.resolved:
            return
        if self.loss is None and self.given_loss is not None:
            accuracy = metrics.accuracy_for(y_shape, outputs.shape)
            kinds = {
                metrics.BinaryAccuracy: losses.BinaryCrossentropy,
                metrics.SparseCategoricalAccuracy: losses.SparseCategoricalCrossentropy,
                metrics.CategoricalAccuracy: losses.CategoricalCrossentropy,
            }
            self.loss = kinds[accuracy]()
        shapes: Any = (tuple(y_shape), tuple(outputs.shape))
        self.metrics = [metrics.as_metric(each, *shapes) for each in self.given_metrics]
        self.weighted = [metrics.as_metric(each, *shapes) for each in self.given_weighted]
        for metric in [*self.metrics, *self.weighted]:
            if not metric.variables:
                # Some metrics learn the number of outputs from their first batch.
                metric.update_state(*(np.zeros((2, *shape[1:]), np.float32) for shape in shapes))
                metric.reset_state()
        self.resolved = True

    @property
    def all_metrics(self) -> list[Metric]:
        """The mean loss, then the metrics, then the weighted metrics."""
        return [self.mean_loss, *self.metrics, *self.weighted]

    @property
    def variables(self) -> list[Variable]:
        """The sums of all metrics."""
        return [variable for metric in self.all_metrics for variable in metric.variables]

    def names(self) -> list[str]:
        """The names in the logs, one for each of `all_metrics`; a name that is taken gets a number."""
        taken: list[str] = []
        for place, metric in enumerate(self.all_metrics):
            name = metric.name
            if name in taken and place > len(self.metrics):
                name = f"weighted_{name}"
            number = 1
            while name in taken:
                name = f"{metric.name}_{number}"
                number += 1
            taken.append(name)
        return taken

    @property
    def mixes_rows(self) -> bool:
        """Whether the loss or a metric may need the batch just as it is, without rows that fill it up."""
        parts: list[Any] = [*self.metrics, *self.weighted, *([self.loss] if self.loss is not None else [])]
        return not all(declares(part, "rows_independent") for part in parts)

    def cost(self, y: Any, outputs: Any, weight: Array | None, valid: Array | None, rows: Any) -> Array:
        """The loss of each example, weighted and reduced to one number."""
        if self.loss is None:
            return jnp.zeros(())
        if y is None:
            raise StateError(
                message("the loss compares outputs with targets, and there are none.", mend="pass y.")
            )
        cost = self.loss(y, outputs, weight, valid=valid, rows=rows)
        if cost.ndim:
            # A loss without reduction still needs one number to descend.
            cost = losses.reduce(cost, None, "sum_over_batch_size", valid, rows)
        return cost if self.loss_weight is None else cost * self.loss_weight

    def losses(self, y: Any, outputs: Any) -> Array | None:
        """The loss of each example, before weights and reduction; None without a loss."""
        return None if self.loss is None else as_array(self.loss.call(y, outputs))

    def reduced(self, values: Array, weight: Array | None, valid: Array | None, rows: Any) -> Array:
        """The losses of a batch, weighted and reduced to one number: the cost without penalties."""
        assert self.loss is not None
        cost = losses.reduce(values, weight, self.loss.reduction, valid, rows)
        if cost.ndim:
            cost = losses.reduce(cost, None, "sum_over_batch_size", valid, rows)
        return cost if self.loss_weight is None else cost * self.loss_weight

    def measure(
        self, y: Any, outputs: Any, weight: Array | None, valid: Array | None, cost: Array, rows: Any
    ) -> None:
        """Add a batch to the mean loss and to every metric."""
        self.mean_loss.update_state(cost, as_float(rows).reshape(()))
        counted = None if valid is None else valid.astype(outputs.dtype)
        for metric in self.metrics:
            metric.update_state(y, outputs, counted)
        weights = weight if valid is None else counted if weight is None else _times(weight, counted)
        for metric in self.weighted:
            metric.update_state(y, outputs, weights)

    def results(self) -> dict[str, Any]:
        """Each name with its result."""
        return {name: metric.result() for name, metric in zip(self.names(), self.all_metrics, strict=True)}

    def check_targets(self, y: Arrays, outputs: Any) -> None:
        """Raise DataError if the loss cannot use these targets."""
        if self.loss is not None and isinstance(y, np.ndarray):
            self.loss.check_targets(cast(Any, y), outputs.shape)


def _times(weight: Array, counted: Any) -> Array:
    return weight * counted.reshape(counted.shape + (1,) * (weight.ndim - 1))


def _only(value: Any, what: str) -> Any:
    """One thing, also when it comes in a list or dict of one."""
    if isinstance(value, Mapping) and "class_name" not in value:
        value = list(cast(Mapping[str, Any], value).values())
    if isinstance(value, list | tuple):
        entries = cast(Sequence[Any], value)
        if len(entries) != 1:
            raise ArgumentError(
                message(f"this model has one output, and so one {what}.", came=f"{len(entries)} of them")
            )
        return entries[0]
    return value


def _listed(value: Any) -> list[Any]:
    """A flat list of what was given as nothing, one, a list, or a dict of one output."""
    if value is None:
        return []
    if isinstance(value, Mapping) and "class_name" not in value:
        return [item for each in cast(Mapping[str, Any], value).values() for item in _listed(each)]
    if isinstance(value, list | tuple):
        return [item for each in cast(Sequence[Any], value) for item in _listed(each)]
    return [value]
