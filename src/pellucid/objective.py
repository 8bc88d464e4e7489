"""What training is for, once the shapes are known: the losses, and what is measured.

`compile` takes names, functions, objects, lists and dicts. Here they become, for each output of the
model, one loss and a list of metrics, each with the name it has in the logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import losses, metrics
from pellucid.arrays import Array, Arrays, as_array, as_float
from pellucid.errors import ArgumentError, StateError, UnknownOutputError, message
from pellucid.layers.layer import declares
from pellucid.metrics import Mean, Metric
from pellucid.metrics import get as find_metric
from pellucid.variables import Variable

_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")


@dataclass
class Target:
    """What one output of the model is compared with, and how."""

    #: The output's name, where there are several; and whether it is in the names of the logs.
    name: str | None = None
    named: bool = False
    loss: losses.Loss | None = None
    #: The factor of the loss in the cost.
    weight: float | None = None
    #: The mean of this loss, where there are several.
    mean: Mean | None = None
    metrics: list[Metric] = field(default_factory=list[Metric])
    weighted: list[Metric] = field(default_factory=list[Metric])

    def cost(
        self, y: Any, output: Any, weight: Array | None, valid: Array | None, rows: Any, mask: Any = None
    ) -> Array:
        """The loss of each example, weighted and reduced to one number."""
        if self.loss is None:
            return jnp.zeros(())
        if y is None:
            raise StateError(
                message("the loss compares outputs with targets, and there are none.", mend="pass y.")
            )
        return self._one(self.loss(y, output, weight, valid=valid, rows=rows, mask=mask), valid, rows)

    def reduced(
        self, values: Array, weight: Array | None, valid: Array | None, rows: Any, mask: Any = None
    ) -> Array:
        """The same from the losses of the examples, with the factor that it has in the cost."""
        assert self.loss is not None
        cost = losses.reduce(values, weight, self.loss.reduction, valid, rows, mask)
        return self.factored(self._one(cost, valid, rows))

    def _one(self, cost: Array, valid: Array | None, rows: Any) -> Array:
        # A loss without reduction still needs one number to descend.
        return losses.reduce(cost, None, "sum_over_batch_size", valid, rows) if cost.ndim else cost

    def factored(self, cost: Array) -> Array:
        """The loss times its factor."""
        return cost if self.weight is None else cost * self.weight


class Objective:
    """The loss that training lowers and the metrics that it reports.

    Args:
        loss, metrics, weighted_metrics, loss_weights: as given to `compile`.
    """

    def __init__(
        self, loss: Any, metrics: Any = None, weighted_metrics: Any = None, loss_weights: Any = None
    ):
        self.given_loss, self.given_loss_weights = loss, loss_weights
        self.given_metrics, self.given_weighted = metrics, weighted_metrics
        # Unknown names are found out when compile is called, not when fit is.
        for each in _flat(loss):
            if isinstance(each, str) and each not in _BY_SHAPE:
                losses.as_loss(each)
        for each in [*_flat(metrics), *_flat(weighted_metrics)]:
            if isinstance(each, str) and each not in _BY_SHAPE:
                find_metric(each)
        for each in _flat(loss_weights):
            if not isinstance(each, int | float | None):
                raise ArgumentError(
                    message(
                        "loss_weights is a number, or one for each output.",
                        came=repr(loss_weights),
                        mend="metrics go by name: compile(optimizer, loss, metrics=['accuracy']).",
                    )
                )
        self.mean_loss = Mean(name="loss")
        self.targets: list[Target] = []
        self.resolved = False
        self._by_dict = False
        if len(_flat(loss)) == 1 and len(_flat(loss_weights)) <= 1:
            # With one loss all is known, but for the number of outputs and what is measured.
            only = _loss(_flat(loss)[0])
            self.targets = [Target(loss=only, weight=next(iter(_flat(loss_weights)), None))]

    @property
    def loss(self) -> losses.Loss | None:
        """The loss of a model of one output; None of several."""
        return self.targets[0].loss if len(self.targets) == 1 else None

    @property
    def loss_weight(self) -> float | None:
        """The factor of that loss."""
        return self.targets[0].weight if len(self.targets) == 1 else None

    @property
    def needs_targets(self) -> bool:
        """Whether there is a loss."""
        return any(each is not None for each in _flat(self.given_loss))

    def resolve(self, y: Any, outputs: Any, names: Sequence[str] | None = None) -> None:
        """Settle what depends on shapes: which accuracy, which cross-entropy, how many sums.

        Args:
            y: the targets: an array, or a list with one (or None) for each output.
            outputs: the shapes of the outputs.
            names: their names, if the model knows them.
        """
        if self.resolved:
            return
        leaves = jax.tree.leaves(outputs)
        several = len(leaves) > 1
        named = names is not None or isinstance(outputs, Mapping)
        names = _names(outputs, names, len(leaves))
        shapes = [_shape(each) for each in (y if several and isinstance(y, list) else [y] * len(leaves))]
        spread = [
            _by_output(given, what, names, several)
            for given, what in (
                (self.given_loss, "loss"),
                (self.given_loss_weights, "loss_weights"),
                (self.given_metrics, "metrics"),
                (self.given_weighted, "weighted_metrics"),
            )
        ]
        self._by_dict = several and isinstance(outputs, Mapping) and _is_dict(self.given_loss)
        self.targets = []
        for name, shape, output, loss, weight, measured, weighted in zip(
            names, shapes, leaves, *spread, strict=True
        ):
            pair: Any = (shape, tuple(output.shape))
            made = _loss(loss, pair)
            title = name if named or made is None else made.name
            self.targets.append(
                Target(
                    name if several else None,
                    several and named,
                    made,
                    weight,
                    Mean(name=f"{title}_loss") if several and made is not None else None,
                    [metrics.as_metric(each, *pair) for each in _flat(measured)],
                    [metrics.as_metric(each, *pair) for each in _flat(weighted)],
                )
            )
            for metric in [*self.targets[-1].metrics, *self.targets[-1].weighted]:
                if not metric.variables:
                    # Some metrics learn the number of outputs from their first batch.
                    metric.update_state(*(np.zeros((2, *each[1:]), np.float32) for each in pair))
                    metric.reset_state()
        if sum(target.mean is not None for target in self.targets) == 1:
            # One loss of several outputs is the loss.
            for target in self.targets:
                target.mean = None
        self.resolved = True

    # What is measured, in the order of the logs: losses, metrics, weighted metrics.

    def _named(self) -> list[tuple[str, Metric]]:
        found: list[tuple[str, Metric]] = [("loss", self.mean_loss)]
        means = [target for target in self.targets if target.mean is not None]
        if self._by_dict:
            # The losses of outputs in a dict come as the losses were given.
            order = list(self.given_loss)
            means.sort(key=lambda target: order.index(target.name))
        for target in means:
            assert target.mean is not None
            name, number = target.mean.name, 1
            while any(name == known for known, _ in found):
                name, number = f"{target.mean.name}_{number}", number + 1
            found.append((name, target.mean))
        taken = [name for name, _ in found]
        for weighted in (False, True):
            for target in self.targets:
                for metric in target.weighted if weighted else target.metrics:
                    of = f"{target.name}_" if target.named else ""
                    name, number = f"{of}{metric.name}", 1
                    if name in taken and weighted:
                        name = f"{of}weighted_{metric.name}"
                    while name in taken:
                        name, number = f"{of}{metric.name}_{number}", number + 1
                    taken.append(name)
                    found.append((name, metric))
        return found

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that take no weights."""
        return [metric for target in self.targets for metric in target.metrics]

    @property
    def weighted(self) -> list[Metric]:
        """The metrics that take the sample weights."""
        return [metric for target in self.targets for metric in target.weighted]

    @property
    def all_metrics(self) -> list[Metric]:
        """The mean losses, then the metrics, then the weighted metrics."""
        return [metric for _, metric in self._named()]

    def names(self) -> list[str]:
        """The names in the logs, one for each of `all_metrics`; a name that is taken gets a number."""
        return [name for name, _ in self._named()]

    def listed_names(self) -> list[str]:
        """The names in the order in which `evaluate` lists their values, which is Keras's.

        First those that metrics have by themselves: the loss, what is measured, the losses of several
        outputs; then, sorted, those that begin with an output or end with a number.
        """
        known = self.names()
        means = [target.mean.name for target in self.targets if target.mean is not None]
        if self._by_dict:
            means = [name for name in known if name in means]
        own = ["loss", *(metric.name for metric in [*self.metrics, *self.weighted]), *means]
        first = [name for name in dict.fromkeys(own) if name in known]
        return [*first, *sorted(set(known) - set(first))]

    @property
    def variables(self) -> list[Variable]:
        """The sums of all metrics."""
        return [variable for metric in self.all_metrics for variable in metric.variables]

    @property
    def mixes_rows(self) -> bool:
        """Whether a loss or a metric may need the batch just as it is, without rows that fill it up."""
        parts: list[Any] = [*self.metrics, *self.weighted]
        parts += [target.loss for target in self.targets if target.loss is not None]
        return not all(declares(part, "rows_independent") for part in parts)

    # What a batch costs.

    def _each(
        self, y: Any, outputs: Any, weight: Any = None, masks: Sequence[Any] | None = None
    ) -> list[tuple[Target, Any, Any, Any, Any]]:
        """Each target with its own y, output, weights and mask."""
        leaves = jax.tree.leaves(outputs)
        count = len(self.targets)
        ys = y if isinstance(y, list) else [y] * count
        weights = weight if isinstance(weight, list) else [weight] * count
        known = list(masks) if masks else [None] * count
        return list(zip(self.targets, ys, leaves, weights, known, strict=True))

    def cost(
        self,
        y: Any,
        outputs: Any,
        weight: Any,
        valid: Array | None,
        rows: Any,
        masks: Sequence[Any] | None = None,
    ) -> Array:
        """The losses, each times its factor, in one number."""
        total: Any = None
        for target, own_y, output, own_weight, mask in self._each(y, outputs, weight, masks):
            if target.loss is not None:
                cost = target.factored(target.cost(own_y, output, own_weight, valid, rows, mask))
                total = cost if total is None else total + cost
        return jnp.zeros(()) if total is None else total

    def losses(self, y: Any, outputs: Any) -> Any:
        """The loss of each example, before weights and reduction; by output where there are several."""
        found = {
            target.name: as_array(target.loss.call(*target.loss.converted(own_y, output)))
            for target, own_y, output, _, _ in self._each(y, outputs)
            if target.loss is not None
        }
        if not found:
            return None
        return found.get(None, found)

    def reduced(
        self, values: Any, weight: Any, valid: Array | None, rows: Any, masks: Sequence[Any] | None = None
    ) -> Array:
        """The cost, without penalties, from the losses of the examples."""
        total: Any = None
        weights = weight if isinstance(weight, list) else [weight] * len(self.targets)
        known = list(masks) if masks else [None] * len(self.targets)
        for target, own_weight, mask in zip(self.targets, weights, known, strict=True):
            if target.loss is not None:
                own = values if target.name is None else values[target.name]
                cost = target.reduced(own, own_weight, valid, rows, mask)
                total = cost if total is None else total + cost
        return total

    def measure(
        self,
        y: Any,
        outputs: Any,
        weight: Any,
        valid: Array | None,
        cost: Array,
        rows: Any,
        masks: Sequence[Any] | None = None,
    ) -> None:
        """Add a batch to the mean losses and to every metric."""
        count = as_float(rows).reshape(())
        self.mean_loss.update_state(cost, count)
        for target, own_y, output, own_weight, mask in self._each(y, outputs, weight, masks):
            if target.mean is not None:
                target.mean.update_state(target.cost(own_y, output, own_weight, valid, rows, mask), count)
            for metric in target.metrics:
                metric.update_state(own_y, output, _counted(metric, None, valid, mask))
            for metric in target.weighted:
                metric.update_state(own_y, output, _counted(metric, own_weight, valid, mask))

    def results(self) -> dict[str, Any]:
        """Each name with its result."""
        return {name: metric.result() for name, metric in self._named()}

    def check_targets(self, y: Arrays, outputs: Any) -> None:
        """Raise DataError if a loss cannot use these targets."""
        if len(self.targets) != len(jax.tree.leaves(outputs)):
            return
        for target, own_y, output, _, _ in self._each(y, outputs):
            if target.loss is not None and isinstance(own_y, np.ndarray):
                target.loss.check_targets(cast(Any, own_y), output.shape)


def _counted(metric: Metric, weight: Array | None, valid: Array | None, mask: Any) -> Array | None:
    """How much each row, or each entry of it, counts for a metric. Only means look at masks, as in Keras."""
    found: Any = weight
    for each in (valid, mask if isinstance(metric, metrics.MeanMetricWrapper) else None):
        if each is None:
            continue
        own = as_float(each)
        if found is None:
            found = own
            continue
        small, wide = sorted((found, own), key=lambda array: array.ndim)
        found = wide * small.reshape(small.shape + (1,) * (wide.ndim - small.ndim))
    return found


def _loss(given: Any, shapes: Any = None) -> losses.Loss | None:
    """The loss that is meant; "crossentropy" by the shapes of targets and outputs."""
    if given is None or (isinstance(given, str) and given in _BY_SHAPE and shapes is None):
        return None
    if not (isinstance(given, str) and given in _BY_SHAPE):
        return losses.as_loss(given)
    kinds = {
        metrics.BinaryAccuracy: losses.BinaryCrossentropy,
        metrics.SparseCategoricalAccuracy: losses.SparseCategoricalCrossentropy,
        metrics.CategoricalAccuracy: losses.CategoricalCrossentropy,
    }
    return kinds[metrics.accuracy_for(*shapes)]()


def _shape(y: Any) -> tuple[int | None, ...]:
    return tuple(y.shape) if hasattr(y, "shape") else (None,)


def _names(outputs: Any, names: Sequence[str] | None, count: int) -> list[str]:
    """The names of the outputs: of a dict its keys, else those of the layers, else numbers."""
    if isinstance(outputs, Mapping) and len(cast(Any, outputs)) == count:
        return sorted(cast(Mapping[str, Any], outputs))
    return list(names) if names is not None and len(names) == count else [f"output_{n}" for n in range(count)]


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and "class_name" not in value


def _by_output(given: Any, what: str, names: list[str], several: bool) -> list[Any]:
    """What was given to `compile`, one entry for each output."""
    if not several:
        if what in ("loss", "loss_weights"):
            return [_only(given, what)]
        return [_flat(given)]
    if given is None:
        return [None] * len(names)
    if _is_dict(given):
        unknown = set(given) - set(names)
        if unknown or (what == "loss" and not given):
            raise UnknownOutputError(
                message(
                    f"`{what}` names outputs that the model does not have.",
                    came=", ".join(map(repr, given)),
                    expected=", ".join(map(repr, names)),
                )
            )
        return [_entry(given.get(name), what) for name in names]
    if isinstance(given, list | tuple):
        entries = list(cast(Sequence[Any], given))
        if len(entries) == len(names):
            return [_entry(each, what) for each in entries]
        raise ArgumentError(
            message(
                f"this model has {len(names)} outputs, and so as many entries in `{what}`.",
                came=f"{len(entries)} of them",
                expected=f"one for each of {', '.join(names)}",
                mend=f"give a list of {len(names)}, or a dict by the names of the outputs.",
            )
        )
    # One loss is that of each output; one factor or metric would not say of which.
    if what == "loss":
        return [given] * len(names)
    raise ArgumentError(
        message(
            f"`{what}` does not say for which output.",
            came=repr(given),
            expected=f"a list, or a dict by {', '.join(names)}",
        )
    )


def _entry(value: Any, what: str) -> Any:
    """What was given for one output: the loss or factor itself, also if it comes in a list of one."""
    return _only(value, what) if what in ("loss", "loss_weights") else value


def _only(value: Any, what: str) -> Any:
    """One thing, also when it comes in a list or dict of one, or in a list in a dict."""
    if _is_dict(value):
        value = list(cast(Mapping[str, Any], value).values())
    if isinstance(value, list | tuple):
        entries = cast(Sequence[Any], value)
        if len(entries) != 1:
            raise ArgumentError(
                message(f"one output has one {what}.", came=f"{len(entries)} of them: {entries}")
            )
        return _only(entries[0], what)
    return value


def _flat(value: Any) -> list[Any]:
    """A flat list of what was given as nothing, one, a list, or a dict of them."""
    if value is None:
        return []
    if _is_dict(value):
        return [item for each in cast(Mapping[str, Any], value).values() for item in _flat(each)]
    if isinstance(value, list | tuple):
        return [item for each in cast(Sequence[Any], value) for item in _flat(each)]
    return [value]
