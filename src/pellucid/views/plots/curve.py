"""The curve of a training: a metric over the epochs, and the cost of every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from pellucid.errors import ArgumentError, StateError, did_you_mean, message
from pellucid.views.plots.canvas import BINS, BLUE, GREY, INK, VERMILLION, axes_of, calm

NumPy = np.ndarray[Any, Any]


@dataclass(eq=False, repr=False)
class HistoryDisplay:
    """A metric over the epochs, and the cost of every step behind it.

    The value of an epoch is drawn at the epoch's number, in the middle of its steps: it is their mean.

    Attributes:
        metric: its name.
        epochs, values: the numbers of the epochs, and what the metric was in each.
        validation_epochs, validation: the same for the rows that were held out; empty without any.
        steps, costs: the steps that are drawn, and the cost of each. Of a long run that is the smallest
            and the largest of every few steps, so that no spike is lost.
        step_epochs: where the steps lie on the axis of the epochs: from 2.5 to 3.5 in epoch 3.
        steps_count: how many steps there were.
        stopped_at: the first step whose cost was not finite; None if there was none.
        ax_, figure_: what was drawn into, after `plot`.
        cost_ax_: the axes of the costs; those on the right, if the metric is not the loss.

    Example:
        >>> from pellucid import Sequential, plots
        >>> from pellucid.layers import Dense, Input
        >>> model = Sequential([Input(shape=(1,)), Dense(1)])
        >>> model.compile(optimizer="sgd", loss="mse")
        >>> history = model.fit([[1.0], [2.0]], [[2.0], [4.0]], batch_size=1, epochs=3, verbose=0)
        >>> display = plots.HistoryDisplay.from_history(history)
        >>> display.epochs.tolist(), display.step_epochs.tolist()
        ([0, 1, 2], [-0.25, 0.25, 0.75, 1.25, 1.75, 2.25])
        >>> display.plot().ax_.get_xlabel()
        'epoch'
    """

    metric: str
    epochs: NumPy
    values: NumPy
    validation_epochs: NumPy
    validation: NumPy
    steps: NumPy
    step_epochs: NumPy
    costs: NumPy
    steps_count: int = 0
    stopped_at: int | None = None
    ax_: Any = field(default=None, init=False)
    cost_ax_: Any = field(default=None, init=False)
    figure_: Any = field(default=None, init=False)

    @classmethod
    def from_history(cls, history: Any, metric: str = "loss") -> Self:
        """Take the numbers from what `fit` returned.

        Args:
            history: the history.
            metric: a name in `history.history`; "val_loss" is the same picture as "loss".

        Raises:
            ArgumentError: if there is no such metric, or it is several numbers an epoch.
            StateError: if there was no training yet.
        """
        known = history.history
        if not known:
            raise StateError(message("there are no epochs to draw.", came=repr(history), mend="call fit."))
        plain = metric.removeprefix("val_") if isinstance(metric, str) else metric
        if plain not in known:
            names = [name for name in known if not name.startswith("val_")]
            raise ArgumentError(
                message(
                    "this training did not measure that.",
                    came=f"metric={metric!r}",
                    expected=did_you_mean(str(metric), names),
                )
            )
        epochs, values = _by_epoch(history, plain)
        validation_epochs, validation = _by_epoch(history, f"val_{plain}")
        if not getattr(history, "steps", 0):
            nothing = np.zeros(0)
            return cls(
                plain, epochs, values, validation_epochs, validation, nothing.astype(int), nothing, nothing
            )
        log = history.log
        steps, costs = np.asarray(log["step"]), np.asarray(log["cost"], np.float64)
        places = _on_epochs(np.asarray(log["epoch"]))
        broken = np.flatnonzero(~np.isfinite(costs))
        costs = np.where(np.isfinite(costs), costs, np.nan)
        kept = thinned(costs)
        return cls(
            plain,
            epochs,
            values,
            validation_epochs,
            validation,
            steps[kept],
            places[kept],
            costs[kept],
            int(history.steps),
            int(steps[broken[0]]) if len(broken) else None,
        )

    def plot(self, ax: Any = None, *, scale: str = "auto", steps: bool = True, **style: Any) -> Self:
        """Draw it.

        Args:
            ax: the matplotlib axes to draw into; new ones if not given.
            scale: of the costs: "linear", "log", or "auto", which is "log" if they go over more than
                three powers of ten.
            steps: whether the costs of the steps are drawn.
            style: for the lines of the metric, as in `ax.plot`: color, linewidth, ...

        Returns:
            The display itself.
        """
        if scale not in ("auto", "linear", "log"):
            raise ArgumentError(
                message("scale is unknown.", came=repr(scale), expected="auto, linear or log")
            )
        ax = self.ax_ = axes_of(ax, (7.5, 4.2))
        self.figure_ = ax.figure
        calm(ax)
        self.cost_ax_ = ax
        drawn = [self.values, self.validation] if self.metric == "loss" else []
        handles: list[Any] = []
        if steps and len(self.steps):
            if self.metric != "loss":
                self.cost_ax_ = ax.twinx()
                self.cost_ax_.spines[["top", "left"]].set_visible(False)
                self.cost_ax_.set_ylabel("cost of a step", color=GREY)
                self.cost_ax_.tick_params(colors=GREY)
                ax.set_zorder(self.cost_ax_.get_zorder() + 1)
                ax.patch.set_visible(False)
            few, many = len(self.steps) <= 60, len(self.steps) > 1_000
            named = "cost of each step" if self.metric == "loss" else "cost of each step (right)"
            handles += self.cost_ax_.plot(
                self.step_epochs,
                self.costs,
                color=GREY,
                linewidth=0.5 if many else 0.7,
                alpha=0.3 if many else 0.45,
                marker="." if few else None,
                markersize=4,
                zorder=1,
                label=named,
            )
            drawn.append(self.costs)
            if self.stopped_at is not None:
                place = np.interp(self.stopped_at, self.steps, self.step_epochs)
                line = ax.axvline(place, color=INK, linestyle=":", linewidth=1.2)
                line.set_label(f"cost is not finite from step {self.stopped_at:,} on")
                handles.append(line)
        for epochs, values, dashes, marker, colour, label in (
            (self.epochs, self.values, "-", "o", BLUE, f"{self.metric}, mean of the epoch"),
            (self.validation_epochs, self.validation, "--", "s", VERMILLION, f"{self.metric}, validation"),
        ):
            if len(values):
                own = {"color": colour, "linewidth": 1.8, "linestyle": dashes, "zorder": 3, **style}
                own.setdefault("marker", marker if len(values) <= 30 else None)
                handles += ax.plot(epochs, values, label=label, markersize=4.5, **own)
        if scale == "log" or (scale == "auto" and _wide(drawn)):
            self.cost_ax_.set_yscale("log")
        ax.set_xlabel("epoch")
        ax.set_ylabel(self.metric)
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        first, last = float(self.epochs.min()) - 0.5, self._reach() + 0.5
        ax.set_xlim(first - 0.02 * (last - first), last + 0.02 * (last - first))
        ax.legend(handles=handles, loc="best" if self.metric == "loss" else "center right", fontsize=9)
        return self

    def _reach(self) -> float:
        """The last epoch in which there is something to see."""
        curves = ((self.epochs, self.values), (self.validation_epochs, self.validation))
        curves = (*curves, (np.round(self.step_epochs), self.costs))
        return float(
            max(epochs[np.isfinite(values)].max(initial=self.epochs[0]) for epochs, values in curves)
        )

    def __repr__(self) -> str:
        return f"<HistoryDisplay: {self.metric} of {len(self.epochs)} epochs, {self.steps_count:,} steps>"


def _by_epoch(history: Any, name: str) -> tuple[NumPy, NumPy]:
    """The epochs that have a value of this name, and the values."""
    found = [(epoch, logs[name]) for epoch, logs in history.each_epoch if name in logs]
    if found and np.ndim(found[0][1]):
        raise ArgumentError(
            message(
                f'"{name}" is several numbers for each epoch, and one can be drawn.',
                came=f"numbers of shape {np.shape(found[0][1])}",
            )
        )
    epochs = np.asarray([epoch for epoch, _ in found], np.int64)
    return epochs, np.asarray([value for _, value in found], np.float64)


def _on_epochs(epochs: NumPy) -> NumPy:
    """Steps on the axis of the epochs: those of epoch 3 lie evenly between 2.5 and 3.5."""
    _, first, inverse, counts = np.unique(epochs, return_index=True, return_inverse=True, return_counts=True)
    within = np.arange(len(epochs)) - first[inverse]
    # An epoch that was broken off does not fill its place.
    return epochs - 0.5 + (within + 0.5) / np.maximum(counts, counts.max(initial=1))[inverse]


def thinned(values: NumPy, bins: int = BINS) -> NumPy:
    """Places of the smallest and the largest value in each of so many bins, in order, and of the last one.

    Where values of a bin are not finite, the first of them is among the places, too.
    """
    count = len(values)
    if count <= 2 * bins:
        return np.arange(count)
    width = -(-count // bins)
    whole = count // width * width
    found = _extremes(values[:whole].reshape(-1, width))
    if whole < count:  # the last bin has fewer
        found = [*found, *(whole + each for each in _extremes(values[whole:][None]))]
    return np.unique(np.concatenate([*found, [count - 1]]))


def _extremes(table: NumPy) -> list[NumPy]:
    """Places, in the table as one row, of the smallest and the largest finite value of each row.

    And of the first that is not finite, where there is one.
    """
    starts = np.arange(len(table)) * table.shape[1]
    finite = np.isfinite(table)
    if finite.all():
        return [starts + table.argmin(axis=1), starts + table.argmax(axis=1)]
    some, broken = finite.any(axis=1), ~finite.all(axis=1)
    low = starts + np.where(finite, table, np.inf).argmin(axis=1)
    high = starts + np.where(finite, table, -np.inf).argmax(axis=1)
    first = starts + finite.argmin(axis=1)
    return [low[some], high[some], first[broken]]


def _wide(drawn: Sequence[NumPy]) -> bool:
    """Whether values are all positive and go over more than three powers of ten."""
    values = np.concatenate([np.ravel(each) for each in drawn]) if drawn else np.zeros(0)
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() > 1_000 * values.min())
