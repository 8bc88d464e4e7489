"""Pictures of a training: curves, decision boundaries, the surface of the cost, networks, gradients.

Each is a display that holds computed numbers: `from_...` computes them once, by asking the history, step
or model; `plot` draws them with matplotlib, which is imported only then.
"""

from __future__ import annotations

import functools
import math
import re
import textwrap
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from pellucid.errors import ArgumentError, StateError, did_you_mean, message
from pellucid.formula import shown
from pellucid.views import story

NumPy = np.ndarray[Any, Any]

#: Colours that people with any kind of colour vision tell apart (Okabe and Ito, 2008).
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, INK, GREY = "#E69F00", "#56B4E9", "#222222", "#6B6B6B"
#: Classes have a colour and a marker: the second is blue, as what is positive is everywhere here.
COLOURS = (VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)))
#: Curves of more steps than this are thinned: of each bin its smallest and its largest value are drawn.
BINS = 2_000
#: Of more points than this a part is drawn, evenly spread over the rows.
POINTS = 2_000
#: Numbers beside edges or losses are written where there are at most so many.
WRITTEN = 12


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise StateError(
            message(
                "pictures are drawn with matplotlib, and it is not there.",
                came="import matplotlib fails",
                mend="pip install 'pellucid[plots]'",
            )
        ) from None
    return plt


def _axes(ax: Any, size: tuple[float, float]) -> Any:
    """The axes that were given, or those of a new figure (size in inches)."""
    plt = _pyplot()
    if ax is None:
        _, ax = plt.subplots(figsize=size, layout="constrained")
    elif not hasattr(ax, "plot"):
        raise ArgumentError(
            message("ax is no matplotlib axes.", came=repr(ax), mend="figure, ax = plt.subplots()")
        )
    return ax


def _calm(ax: Any) -> None:
    """Leave only the lines that help to read the numbers."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)


def _titled(ax: Any, lines: Sequence[str], width: int = 74) -> None:
    wrapped = [part for line in lines if line for part in textwrap.wrap(line, width)]
    ax.set_title("\n".join(wrapped), fontsize=10.5, color=INK)


def _between_colours() -> Any:
    """From vermillion over nearly white to blue."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("pellucid", [VERMILLION, "#F3B98F", "#F7F7F5", "#8FC1E3", BLUE])


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < least:
        raise ArgumentError(
            message(f"{name} is a whole number.", came=repr(value), expected=f"{least} or more")
        )
    return int(value)


def _weight(step: Any, reference: str) -> tuple[str, tuple[int, ...]]:
    """The path and the index of one weight; errors are those of `step.formula`."""
    step.formula(reference)
    path, _, inside = str(reference).strip().partition("[")
    if path not in step.weights or not re.fullmatch(r"[\d,\s]*\]?", inside):
        raise ArgumentError(
            message(
                "this is no weight.",
                came=repr(reference),
                expected=did_you_mean(re.sub(r"\[.*", "", path), step.weights),
            )
        )
    index = tuple(int(each) for each in inside.rstrip("] ").split(",")) if inside else ()
    return path, index or (0,) * step.weights[path].ndim


# The curve of a training.


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
        kept = _thinned(costs)
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
            raise ArgumentError(message("scale is unknown.", came=repr(scale), expected="auto, linear or log"))
        ax = self.ax_ = _axes(ax, (7.5, 4.2))
        self.figure_ = ax.figure
        _calm(ax)
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
            few = len(self.steps) <= 60
            named = "cost of each step" if self.metric == "loss" else "cost of each step (right)"
            handles += self.cost_ax_.plot(
                self.step_epochs,
                self.costs,
                color=GREY,
                linewidth=0.7,
                alpha=0.45,
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
        ax.xaxis.get_major_locator().set_params(integer=True)
        rises = len(self.values) > 1 and self.values[-1] > self.values[0]
        ax.legend(handles=handles, loc="lower right" if rises else "upper right", fontsize=9)
        return self

    def __repr__(self) -> str:
        return f"<HistoryDisplay: {self.metric} of {len(self.epochs)} epochs, {self.steps_count:,} steps>"


def _by_epoch(history: Any, name: str) -> tuple[NumPy, NumPy]:
    """The epochs that have a value of this name, and the values."""
    found = [(epoch, logs[name]) for epoch, logs in history._epochs if name in logs]
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


def _thinned(values: NumPy, bins: int = BINS) -> NumPy:
    """Places of the smallest and the largest value in each of so many bins, in order."""
    count = len(values)
    if count <= 2 * bins:
        return np.arange(count)
    width = -(-count // bins)
    padded = np.full(-(-count // width) * width, np.nan)
    padded[:count] = values
    table = padded.reshape(-1, width)
    starts = np.arange(len(table)) * width
    low = starts + np.where(np.isnan(table), np.inf, table).argmin(axis=1)
    high = starts + np.where(np.isnan(table), -np.inf, table).argmax(axis=1)
    return np.unique(np.concatenate([low, high, [count - 1]]))


def _wide(drawn: Sequence[NumPy]) -> bool:
    """Whether values are all positive and go over more than three powers of ten."""
    values = np.concatenate([np.ravel(each) for each in drawn]) if drawn else np.zeros(0)
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() > 1_000 * values.min())


# What a model says over a plane of two features, or along one.


@dataclass(eq=False, repr=False)
class DecisionBoundaryDisplay:
    """What a model answers over the plane of two features, or along one, with the rows as points.

    Attributes:
        kind: what the answers are: "probability" of the second class, "class" or "number".
        features, feature_names: which columns are drawn, and all columns' names.
        xx0, xx1: the values of the two features, shape (grid, grid); xx1 is None for one feature.
        response: the answers there: probabilities, numbers of classes, or numbers; for one feature and
            several classes the probability of each, shape (grid, classes).
        points: the rows that were given, shape (rows, columns).
        targets: their classes as numbers from 0, or their numbers; None without y.
        answers: what the model answers to the rows themselves, with all their own features.
        losses: the loss of each row; None without y or without a loss.
        labels: what the classes are called.
        wrong: which rows are answered wrongly; None without y, or for numbers.
        held: the row whose values the features that are not drawn are held at.
        threshold: from which probability on the answer is the second class.
        equation: of a single unit, the straight line of the boundary, or the curve of one feature.
        when: with which weights, if not with the model's own.
        ax_, figure_, colorbar_: what was drawn, after `plot`.

    Example:
        >>> from pellucid import Sequential, plots
        >>> from pellucid.layers import Dense, Input
        >>> model = Sequential([Input(shape=(2,)), Dense(1, "sigmoid", kernel_initializer="ones")])
        >>> display = plots.DecisionBoundaryDisplay.from_model(
        ...     model, [[-1.0, 0.0], [0.0, 2.0]], [0, 1], feature_names=["age", "size"], grid=20
        ... )
        >>> display.equation
        '0 = 1*age + 1*size + 0'
        >>> display.response.shape, display.wrong.tolist()
        ((20, 20), [False, False])
        >>> display.plot().ax_.get_ylabel()
        'size'
    """

    kind: str
    features: tuple[int, ...]
    feature_names: tuple[str, ...]
    xx0: NumPy
    xx1: NumPy | None
    response: NumPy
    points: NumPy
    targets: NumPy | None
    answers: NumPy
    losses: NumPy | None
    labels: tuple[str, ...]
    wrong: NumPy | None
    held: NumPy
    threshold: float
    others: str = "median"
    equation: str = ""
    when: str = ""
    ax_: Any = field(default=None, init=False)
    figure_: Any = field(default=None, init=False)
    colorbar_: Any = field(default=None, init=False)

    @classmethod
    def from_model(
        cls,
        model: Any,
        X: Any,  # noqa: N803
        y: Any = None,
        features: Any = (0, 1),
        feature_names: Sequence[str] | None = None,
        threshold: float = 0.5,
        grid: int = 200,
        others: Any = "median",
        step: Any = None,
    ) -> Self:
        """Ask the model for its answers.

        Args:
            model: the model; it is asked, and left as it is.
            X: rows of features, shape (rows, columns), or a frame.
            y: a target for each row: numbers of classes or their names, or numbers.
            features: the one or two columns that are drawn, by number or name.
            feature_names: what the columns are called; known, if X is a frame.
            threshold: from which probability on the answer is the second class.
            grid: how many values each feature takes.
            others: where the other features are held: "median", "mean", or a row of values.
            step: an opened step: the answers are those with the weights before it.

        Raises:
            ArgumentError: if a feature, y, threshold, grid or others cannot be used.
            StateError: if the model has no weights, or no answer is a finite number.
        """
        points, names = _table(X, feature_names, step)
        chosen = _features(features, names)
        grid = _whole("grid", grid, 2)
        if isinstance(threshold, bool) or not isinstance(threshold, int | float | np.floating | np.integer):
            raise ArgumentError(message("threshold is a number.", came=repr(threshold)))
        held = _held(others, points)
        answer: Callable[[NumPy], Any] = functools.partial(model.predict, verbose=0) if step is None else (
            step.predict
        )
        layers = _flat(model.layers) if step is None else [each.layer for each in step.layers]
        objective = step.parts.objective if step is not None else getattr(model, "_objective", None)
        axes = [_spread(points[:, place], grid) for place in chosen]
        places = np.meshgrid(*axes) if len(axes) == 2 else axes
        rows = np.repeat(held[None], places[0].size, axis=0)
        for place, values in zip(chosen, places, strict=True):
            rows[:, place] = values.ravel()
        raw, own = _one_array(answer(rows)), _one_array(answer(points))
        if not np.isfinite(raw).any():
            raise StateError(
                message(
                    "no answer of the model is a finite number.",
                    came="not a number, or infinite, for every row",
                    mend="look for the first step whose cost is not finite: history.log['cost'].",
                )
            )
        kind, logits = _kind(layers, objective, raw)
        if kind == "probability" and not 0 < threshold < 1:
            raise ArgumentError(
                message("threshold is a probability.", came=threshold, expected="between 0 and 1")
            )
        targets, labels = (None, ()) if y is None else _targets(y, kind, raw.shape[-1], len(points))
        if kind != "number" and not labels:
            labels = tuple(map(str, range(max(2, raw.shape[-1]))))
        losses = None if targets is None else _losses(objective, y, targets, own)
        if logits and kind == "probability":
            raw, own = _sigmoid(raw), _sigmoid(own)
        one = len(chosen) == 1
        response, own = (
            (raw if one else raw.argmax(axis=1), own.argmax(axis=1)) if kind == "class" else (raw[:, 0], own[:, 0])
        )
        response = response.reshape(*places[0].shape, *response.shape[1:])
        wrong = None
        if targets is not None and kind != "number":
            wrong = (own >= threshold if kind == "probability" else own) != targets
        return cls(
            kind,
            chosen,
            names,
            places[0],
            None if one else places[1],
            response,
            points,
            targets,
            own,
            losses,
            labels,
            wrong,
            held,
            float(threshold),
            others if isinstance(others, str) else "the values given",
            _equation(layers, step, chosen, names, kind, float(threshold)),
            f"weights before {_lowered(story._title(step)[0])}" if step is not None else "",
        )

    def plot(
        self,
        ax: Any = None,
        *,
        colorbar: bool = True,
        point_style: Mapping[str, Any] | None = None,
        **style: Any,
    ) -> Self:
        """Draw it.

        Args:
            ax: the matplotlib axes to draw into; new ones if not given.
            colorbar: whether the scale of the colours is drawn beside it.
            point_style: for the points, as in `ax.scatter`: s, alpha, ...
            style: for the answers, as in `ax.contourf` (levels, alpha, cmap, ...); for one feature as in
                `ax.plot`.

        Returns:
            The display itself.
        """
        ax = self.ax_ = _axes(ax, (7.2, 5.4) if self.xx1 is not None else (7.2, 4.4))
        self.figure_, self.colorbar_ = ax.figure, None
        ax.set_xlabel(self.feature_names[self.features[0]])
        if self.xx1 is not None:
            self._plane(ax, colorbar, point_style or {}, style)
        else:
            self._curve(ax, point_style or {}, style)
        _titled(ax, self._told())
        return self

    def _told(self) -> list[str]:
        what = {"class": "The likeliest class", "number": "What the model answers"}.get(
            self.kind, f"Probability of class {self.labels[1]}" if self.labels else "Probability"
        )
        lines = [what + (f", {self.when}" if self.when else ""), self.equation]
        hidden = [place for place in range(len(self.feature_names)) if place not in self.features]
        if hidden:
            where = {"median": "at their medians", "mean": "at their means"}.get(self.others, "at given values")
            if len(hidden) <= 3:
                values = ", ".join(f"{self.feature_names[p]} = {shown(float(self.held[p]))}" for p in hidden)
                lines.append(f"held {where.replace('their medians', 'the median') if len(hidden) == 1 else where}: {values}")
            else:
                lines.append(f"the other {len(hidden)} features are held {where}")
        return lines

    def _plane(self, ax: Any, colorbar: bool, point_style: Mapping[str, Any], style: Mapping[str, Any]) -> None:
        from matplotlib.colors import ListedColormap, TwoSlopeNorm
        from matplotlib.lines import Line2D

        assert self.xx1 is not None
        ax.set_ylabel(self.feature_names[self.features[1]])
        values = np.ma.masked_invalid(self.response)
        handles: list[Any] = []
        edge = Line2D([], [], color=INK, linewidth=1.8)
        if self.kind == "class":
            count = len(self.labels)
            colours = ListedColormap([COLOURS[each % len(COLOURS)] for each in range(count)])
            own = {"levels": np.arange(count + 1) - 0.5, "cmap": colours, "alpha": 0.28, **style}
            ax.contourf(self.xx0, self.xx1, values, **own)
            inside = [each + 0.5 for each in range(count - 1) if values.min() < each + 0.5 < values.max()]
            if inside:
                ax.contour(self.xx0, self.xx1, values, levels=inside, colors=INK, linewidths=1.2)
            self._name_regions(ax)
        elif self.kind == "probability":
            own = {
                "levels": np.linspace(0, 1, 21),
                "cmap": _between_colours(),
                "norm": TwoSlopeNorm(self.threshold, 0, 1),
                "alpha": 0.75,
                **style,
            }
            mapped = ax.contourf(self.xx0, self.xx1, values, **own)
            if values.min() < self.threshold < values.max():
                ax.contour(self.xx0, self.xx1, values, levels=[self.threshold], colors=INK, linewidths=1.8)
                edge.set_label(f"boundary: probability {shown(self.threshold)}")
                handles.append(edge)
            else:
                side = "above" if values.min() >= self.threshold else "below"
                edge.set(label=f"everywhere here {side} {shown(self.threshold)}", linewidth=0)
                handles.append(edge)
        else:
            low, high = float(values.min()), float(values.max())
            if self.targets is not None:
                low, high = min(low, float(self.targets.min())), max(high, float(self.targets.max()))
            if low == high:
                low, high = low - 0.5, high + 0.5
            own = {"levels": np.linspace(low, high, 21), "cmap": "cividis", "alpha": 0.9, **style}
            mapped = ax.contourf(self.xx0, self.xx1, values, **own)
        handles += self._scatter(ax, point_style)
        if colorbar and self.kind != "class":
            named = f"probability of class {self.labels[1]}" if self.labels else "answer"
            self.colorbar_ = ax.figure.colorbar(mapped, ax=ax, label=named)
            if self.kind == "probability" and "levels" not in style:
                self.colorbar_.set_ticks([0, 0.25, 0.5, 0.75, 1])
                self.colorbar_.ax.axhline(self.threshold, color=INK, linewidth=1.8)
        ax.set_xlim(self.xx0.min(), self.xx0.max())
        ax.set_ylim(self.xx1.min(), self.xx1.max())
        if handles:
            ax.legend(handles=handles, fontsize=9, framealpha=0.9)

    def _name_regions(self, ax: Any) -> None:
        """Write each class's name into the middle of its region."""
        from matplotlib import patheffects

        assert self.xx1 is not None
        for number, label in enumerate(self.labels):
            rows, columns = np.nonzero(self.response == number)
            if not len(rows):
                continue
            apart = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
            place = rows[apart.argmin()], columns[apart.argmin()]
            text = ax.text(
                self.xx0[place], self.xx1[place], label, ha="center", va="center", fontsize=11, zorder=6
            )
            text.set_path_effects([patheffects.withStroke(linewidth=3, foreground="white")])

    def _scatter(self, ax: Any, given: Mapping[str, Any]) -> list[Any]:
        """The rows as points; those that are answered wrongly have a ring around them."""
        first, second = self.features
        drawn = _some(len(self.points))
        x, y = self.points[drawn, first], self.points[drawn, second]
        of = f" ({len(drawn):,} of {len(self.points):,} drawn)" if len(drawn) < len(self.points) else ""
        style = {"s": 34, "edgecolors": "white", "linewidths": 0.7, "zorder": 4, **given}
        if self.targets is None:
            return [ax.scatter(x, y, color=INK, label=f"rows{of}", **style)]
        if self.kind == "number":
            mapped = ax.collections[0]
            own = {"c": self.targets[drawn], "cmap": mapped.cmap, "norm": mapped.norm, **style}
            own["edgecolors"] = given.get("edgecolors", INK)
            ax.scatter(x, y, **own)
            return [_dot(f"rows, coloured by their target{of}", color="white", markeredgecolor=INK)]
        handles: list[Any] = []
        targets = self.targets[drawn]
        for number, label in enumerate(self.labels):
            those = targets == number
            own = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], **style}
            if those.any():
                handles.append(ax.scatter(x[those], y[those], label=f"class {label}{of}", **own))
                of = ""
        if self.wrong is not None and self.wrong.any():
            those = self.wrong[drawn]
            ring = {"facecolors": "none", "edgecolors": INK, "linewidths": 1.3, "zorder": 5}
            told = f"answered wrongly: {int(self.wrong.sum()):,} of {len(self.wrong):,}"
            handles.append(ax.scatter(x[those], y[those], s=2.6 * style["s"], label=told, **ring))
        return handles

    def _curve(self, ax: Any, point_style: Mapping[str, Any], style: Mapping[str, Any]) -> None:
        _calm(ax)
        x = self.points[:, self.features[0]]
        drawn = _some(len(x))
        own: dict[str, Any] = {"linewidth": 2.0, "zorder": 3, **style}
        points = {"s": 36, "edgecolors": "white", "linewidths": 0.7, "zorder": 4, **point_style}
        if self.kind == "class":
            for number, label in enumerate(self.labels):
                line = {
                    "color": COLOURS[number % len(COLOURS)],
                    "linestyle": DASHES[number % len(DASHES)],
                    "label": f"probability of class {label}",
                    **own,
                }
                ax.plot(self.xx0, self.response[:, number], **line)
            ax.set_ylabel("probability")
        else:
            named = f"probability of class {self.labels[1]}" if self.labels else "answer"
            ax.plot(self.xx0, self.response, **{"color": INK, "label": named, **own})
            ax.set_ylabel(named)
        if self.kind == "probability":
            ax.axhline(self.threshold, color=GREY, linestyle="--", linewidth=1.2, label=self._crossing())
        if self.targets is not None:
            self._stand(ax, x, drawn, points)
        else:
            ax.plot(x[drawn], np.zeros(len(drawn)), "|", color=INK, transform=ax.get_xaxis_transform())
        ax.set_xlim(self.xx0.min(), self.xx0.max())
        if self.kind != "number":
            ax.set_ylim(-0.06, 1.06)
        ax.legend(fontsize=9, loc="best" if self.kind == "number" else "center left", framealpha=0.9)

    def _stand(self, ax: Any, x: NumPy, drawn: NumPy, style: Mapping[str, Any]) -> None:
        """Each row at its target, and a dotted line from there to what the model answers."""
        assert self.targets is not None
        numbers = self.kind == "number"
        if self.kind == "class":
            heights, ends = np.ones(len(x)), self._probability_of_target(x)
        else:
            heights, ends = self.targets.astype(np.float64), self.answers
        classes = [""] if numbers else self.labels
        told = "loss of each row" if self.losses is not None else "from each row to its answer"
        if self.losses is not None:
            told += f", mean {shown(float(self.losses.mean()))}"
        ax.vlines(x[drawn], heights[drawn], ends[drawn], colors=GREY, linestyles=":", linewidth=1.2, label=told)
        for number, label in enumerate(classes):
            those = drawn if numbers else drawn[self.targets[drawn] == number]
            own = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], **style}
            if numbers:
                own = {"color": BLUE, "marker": "o", **style}
            if len(those):
                ax.scatter(x[those], heights[those], label="rows" if numbers else f"class {label}", **own)
        if self.losses is not None and len(x) <= WRITTEN:
            for place in range(len(x)):
                middle = (heights[place] + ends[place]) / 2
                ax.annotate(
                    shown(float(f"{self.losses[place]:.2g}")),
                    (x[place], middle),
                    xytext=(4, 0),
                    textcoords="offset points",
                    fontsize=8,
                    color=GREY,
                    va="center",
                )

    def _probability_of_target(self, x: NumPy) -> NumPy:
        assert self.targets is not None
        own = [np.interp(x, self.xx0, self.response[:, each]) for each in range(self.response.shape[1])]
        return np.stack(own, axis=1)[np.arange(len(x)), self.targets.astype(int)]

    def _crossing(self) -> str:
        above = self.response >= self.threshold
        turns = np.flatnonzero(above[1:] != above[:-1])
        if len(turns) != 1:
            return f"threshold {shown(self.threshold)}"
        a, b = turns[0], turns[0] + 1
        part = (self.threshold - self.response[a]) / (self.response[b] - self.response[a])
        at = self.xx0[a] + part * (self.xx0[b] - self.xx0[a])
        return f"threshold {shown(self.threshold)}, at {self.feature_names[self.features[0]]} = {shown(float(at))}"

    def __repr__(self) -> str:
        names = " and ".join(self.feature_names[place] for place in self.features)
        return f"<DecisionBoundaryDisplay: {self.kind} by {names}, {len(self.points):,} rows>"


def _dot(label: str, **style: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", marker="o", label=label, **style)


def _some(count: int) -> NumPy:
    """The places of the rows that are drawn."""
    return np.arange(count) if count <= POINTS else np.linspace(0, count - 1, POINTS).astype(int)


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:].removesuffix(" (all counted from 0)")


def _table(x: Any, given: Sequence[str] | None, step: Any) -> tuple[NumPy, tuple[str, ...]]:
    """Rows as an array of numbers, shape (rows, columns), and the names of the columns."""
    names: tuple[str, ...] = ()
    if hasattr(x, "columns") or hasattr(x, "to_numpy"):
        import narwhals as nw

        frame: Any = nw.from_native(x, pass_through=True, allow_series=True)
        if isinstance(frame, nw.DataFrame):
            names = tuple(map(str, frame.columns))
            x = np.stack([np.asarray(frame.get_column(each).to_numpy()) for each in frame.columns], axis=1)
    try:
        array = np.asarray(x, np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(
            message("X is no table of numbers.", came=type(x).__name__, expected="shape (rows, columns)")
        ) from None
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or not array.size:
        raise ArgumentError(message("X is no table.", came=array.shape, expected="shape (rows, columns)"))
    columns = array.shape[1]
    if given is not None and len(given) != columns:
        raise ArgumentError(
            message(
                "feature_names does not fit X.", came=f"{len(given)} names", expected=f"{columns}, one for each column"
            )
        )
    names = tuple(map(str, given)) if given is not None else names or tuple(getattr(step, "columns", ()))
    if len(names) != columns:
        names = tuple(f"x[{each}]" for each in range(columns)) if columns > 1 else ("x",)
    return array, names


def _features(features: Any, names: tuple[str, ...]) -> tuple[int, ...]:
    """The one or two columns that are drawn, as numbers."""
    if isinstance(features, tuple) and features == (0, 1) and len(names) == 1:
        features = (0,)
    given = [features] if isinstance(features, str) or hasattr(features, "__index__") else list(features)
    found: list[int] = []
    for each in given:
        if isinstance(each, str):
            if each not in names:
                raise ArgumentError(
                    message("there is no such feature.", came=repr(each), expected=did_you_mean(each, names))
                )
            found.append(names.index(each))
        elif hasattr(each, "__index__") and -len(names) <= int(each) < len(names):
            found.append(int(each) % len(names))
        else:
            raise ArgumentError(
                message("there is no such feature.", came=repr(each), expected=f"0 to {len(names) - 1}")
            )
    if len(found) not in (1, 2) or len(set(found)) < len(found):
        raise ArgumentError(
            message("one or two different features are drawn.", came=f"features={features!r}")
        )
    return tuple(found)


def _held(others: Any, points: NumPy) -> NumPy:
    """The values of a row at which features that are not drawn are held."""
    if isinstance(others, str):
        if others not in ("median", "mean"):
            raise ArgumentError(
                message("others is unknown.", came=repr(others), expected='"median", "mean", or a row of values')
            )
        return np.median(points, axis=0) if others == "median" else points.mean(axis=0)
    row = np.ravel(np.asarray(others, np.float64))
    if len(row) != points.shape[1]:
        raise ArgumentError(
            message(
                "others is a row of values.",
                came=f"{len(row)} values",
                expected=f"{points.shape[1]}, one for each column",
            )
        )
    return row


def _spread(values: NumPy, grid: int) -> NumPy:
    """Evenly spaced values over those that there are, and a little beyond."""
    if not np.isfinite(values).all():
        raise ArgumentError(message("X has values that are not finite.", came="not a number, or infinite"))
    low, high = float(values.min()), float(values.max())
    margin = 0.08 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, grid)


def _one_array(outputs: Any) -> NumPy:
    """The outputs of a model with one output, shape (rows, numbers)."""
    if isinstance(outputs, dict | list | tuple) or np.ndim(outputs) not in (1, 2):
        came = f"shape {np.shape(outputs)}" if isinstance(outputs, np.ndarray) else type(outputs).__name__
        raise ArgumentError(
            message("models with one output can be drawn.", came=came, expected="outputs of shape (rows, numbers)")
        )
    array = np.asarray(outputs, np.float64)
    return array.reshape(len(array), -1)


def _flat(layers: Sequence[Any]) -> list[Any]:
    """The layers, and those within them, in order."""
    found: list[Any] = []
    for each in layers:
        inner = getattr(each, "layers", None)
        found += _flat(inner) if inner else [each]
    return found


def _last_activation(layers: Sequence[Any]) -> str:
    for each in reversed(layers):
        if type(each).__name__ == "Softmax":
            return "softmax"
        if name := getattr(getattr(each, "activation", None), "__name__", ""):
            return str(name)
    return ""


def _kind(layers: Sequence[Any], objective: Any, outputs: NumPy) -> tuple[str, bool]:
    """What the outputs are, and whether they are z before a sigmoid that the loss holds."""
    loss = getattr(objective, "loss", None)
    if outputs.shape[1] > 1:
        known = "entropy" in type(loss).__name__.lower() or _last_activation(layers) == "softmax"
        if not known:
            raise ArgumentError(
                message(
                    "models that answer with one number, or with probabilities of classes, can be drawn.",
                    came=f"{outputs.shape[1]} numbers for each row",
                )
            )
        return "class", False
    logits = bool(getattr(loss, "from_logits", False))
    if logits or _last_activation(layers) == "sigmoid" or type(loss).__name__ == "BinaryCrossentropy":
        return "probability", logits
    return "number", False


def _sigmoid(z: NumPy) -> NumPy:
    return 0.5 * (1 + np.tanh(0.5 * z))


def _targets(y: Any, kind: str, outputs: int, rows: int) -> tuple[NumPy, tuple[str, ...]]:
    """The targets as numbers (classes from 0), and what the classes are called."""
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == outputs > 1:
        array = array.argmax(axis=1)
    if array.shape not in ((rows,), (rows, 1)):
        raise ArgumentError(
            message(
                "y has a target for each row of X.", came=f"shape {array.shape}", expected=f"shape ({rows},)"
            )
        )
    array = array.ravel()
    number = array.dtype.kind in "biuf"
    if kind == "number":
        if not number:
            raise ArgumentError(message("y are no numbers.", came=array.dtype, expected="numbers"))
        return array.astype(np.float64), ()
    classes = max(2, outputs)
    if number and np.isin(array, np.arange(classes)).all():
        return array.astype(np.int64), tuple(map(str, range(classes)))
    values, codes = np.unique(array, return_inverse=True)
    if len(values) > classes:
        raise ArgumentError(
            message("y has more classes than the model.", came=f"{len(values)}", expected=f"{classes} or fewer")
        )
    names = [*map(str, values), *(str(each) for each in range(len(values), classes))]
    return codes.astype(np.int64), tuple(names)


def _losses(objective: Any, y: Any, targets: NumPy, outputs: NumPy) -> NumPy | None:
    """The loss of each row, as the model's own loss says."""
    if getattr(objective, "loss", None) is None:
        return None
    given = np.asarray(y)
    given = given if given.dtype.kind in "biuf" else targets
    given = given if given.dtype.kind in "iu" else given.astype(np.float32)
    if given.ndim == 1 and outputs.shape[1] == 1:
        given = given[:, None].astype(np.float32)
    found = np.asarray(objective.losses(given, outputs.astype(np.float32)), np.float64)
    return found.reshape(len(found), -1).mean(axis=1)


def _equation(
    layers: Sequence[Any], step: Any, chosen: tuple[int, ...], names: tuple[str, ...], kind: str, threshold: float
) -> str:
    """The boundary of a single unit on the features that are drawn, as a formula; else ""."""
    if len(layers) != 1 or type(layers[0]).__name__ != "Dense" or len(chosen) != len(names):
        return ""
    arrays = list(step.weights.values()) if step is not None else [np.asarray(each.value) for each in layers[0].weights]
    if not arrays or arrays[0].shape != (len(names), 1) or kind == "class":
        return ""
    kernel, bias = arrays[0][:, 0], float(arrays[1][0]) if len(arrays) > 1 else 0.0
    order = sorted(chosen)
    if len(chosen) == 2 and kind == "probability":
        return f"0 = {_linear([(float(kernel[p]), names[p]) for p in order], bias - math.log(threshold / (1 - threshold)))}"
    told = _linear([(float(kernel[p]), names[p]) for p in order], bias)
    return f"probability = sigmoid({told})" if kind == "probability" else f"answer = {told}"


def _linear(terms: Sequence[tuple[float, str]], constant: float) -> str:
    """A sum as text.

    >>> _linear([(2.0, "size"), (-0.5, "age")], -1.0)
    '2*size - 0.5*age - 1'
    """
    said = ""
    for value, name in [*terms, (constant, "")]:
        sign = ("-" if value < 0 else "") if not said else (" - " if value < 0 else " + ")
        said += sign + shown(abs(value)) + (f"*{name}" if name else "")
    return said
