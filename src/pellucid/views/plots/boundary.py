"""What a model says over a plane of two features, or along one."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from pellucid.errors import ArgumentError, StateError, did_you_mean, message
from pellucid.formula import shown
from pellucid.views import told
from pellucid.views.plots.canvas import (
    AT_ONCE,
    BLUE,
    COLOURS,
    DASHES,
    GREY,
    INK,
    MARKERS,
    POINTS,
    WRITTEN,
    axes_of,
    beside,
    calm,
    from_to,
    titled,
    whole_number,
)

NumPy = np.ndarray[Any, Any]


@dataclass(eq=False, repr=False)
class DecisionBoundaryDisplay:
    """What a model answers over the plane of two features, or along one, with the rows as points.

    Attributes:
        kind: what the answers are: "probability" of the second class, "class" or "number".
        features, feature_names: which columns are drawn, and all columns' names.
        xx0, xx1: the values of the two features, shape (grid, grid); xx1 is None for one feature.
        response: the answers there: probabilities, or numbers; of several classes the probability of
            each, shape (grid, grid, classes).
        points: the rows that were given, shape (rows, columns).
        answers: what the model answers to these rows, with all their own features.
        targets: their classes as numbers from 0, or their numbers; None without y.
        wrong: which rows are answered wrongly; None without y, or for numbers.
        losses: the loss of each row; None without y or without a loss.
        labels: what the classes are called.
        held: a row with the values at which the features that are not drawn are held.
        others: where that is: "median", "mean" or "given".
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
        '0 = 1*age + 1*size'
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
    answers: NumPy
    targets: NumPy | None = None
    wrong: NumPy | None = None
    losses: NumPy | None = None
    labels: tuple[str, ...] = ()
    held: NumPy = field(default_factory=lambda: np.zeros(0))
    others: str = "median"
    threshold: float = 0.5
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
        output: int | None = None,
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
            output: of a model with several outputs, which of them is drawn.

        Raises:
            ArgumentError: if a feature, y, threshold, grid, others or output cannot be used.
            StateError: if the model has no weights, or no answer is a finite number.
        """
        points, names = _table(X, feature_names, step)
        chosen = _features(features, names)
        grid = whole_number("grid", grid, 2)
        held = _held(others, points)
        if step is None:
            layers, objective = _flat(model.layers), getattr(model, "_objective", None)
        else:
            layers, objective = answered_by(step, output)
        ask: Any = step.predict if step is not None else functools.partial(model.predict, verbose=0)
        axes = [_spread(points[:, place], grid) for place in chosen]
        places = np.meshgrid(*axes)
        flat = np.stack([each.ravel() for each in places], axis=1)
        asked: list[NumPy] = []
        for part in np.array_split(flat, -(-flat.size * len(held) // AT_ONCE)):
            rows = np.repeat(held[None], len(part), axis=0)
            rows[:, list(chosen)] = part
            asked.append(_one_array(ask(rows), output))
        response, answers = np.concatenate(asked), _one_array(ask(points), output)
        if not np.isfinite(response).any():
            raise StateError(
                message(
                    "no answer of the model is a finite number.",
                    came="not a number, or infinite, for every row",
                    mend='look in history.log["cost"] for the first step whose cost is not finite.',
                )
            )
        kind, logits = kind_of(layers, objective, response.shape[1])
        threshold = _threshold(threshold, kind)
        outputs = response.shape[1]
        targets, labels = (None, ()) if y is None else _targets(y, kind, outputs, len(points))
        if kind != "number" and not labels:
            labels = tuple(map(str, range(max(2, outputs))))
        losses = None if targets is None else _losses(objective, y, targets, answers)
        if logits:
            response, answers = probabilities(response), probabilities(answers)
        wrong = None
        if targets is not None and kind != "number":
            said = answers[:, 0] >= threshold if kind == "probability" else answers.argmax(axis=1)
            wrong = said != targets
        if kind != "class":
            response, answers = response[:, 0], answers[:, 0]
        return cls(
            kind=kind,
            features=chosen,
            feature_names=names,
            xx0=places[0],
            xx1=places[1] if len(places) == 2 else None,
            response=response.reshape(*places[0].shape, *response.shape[1:]),
            points=points,
            answers=answers,
            targets=targets,
            wrong=wrong,
            losses=losses,
            labels=labels,
            held=held,
            others=others if isinstance(others, str) else "given",
            threshold=threshold,
            equation=_equation(layers, step, chosen, names, kind, threshold),
            when=f"weights before {_lowered(told.title(step))}" if step is not None else "",
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
            style: for the answers, as in `ax.contourf` (levels, cmap, ...); for one feature as in
                `ax.plot`.

        Returns:
            The display itself.
        """
        ax = self.ax_ = axes_of(ax, (7.2, 5.4) if self.xx1 is not None else (8.6, 4.2))
        self.figure_, self.colorbar_ = ax.figure, None
        ax.set_xlabel(self.feature_names[self.features[0]])
        ax.set_xlim(self.xx0.min(), self.xx0.max())
        points = {"s": 34, "edgecolors": "white", "linewidths": 0.7, "zorder": 4, **(point_style or {})}
        if self.xx1 is None:
            self._curve(ax, points, style)
        else:
            self._plane(ax, self.xx1, points, style, colorbar)
        titled(ax, self._told())
        return self

    def _told(self) -> list[str]:
        what = {"class": "The likeliest class", "number": "What the model answers"}
        lines = [what.get(self.kind) or "P" + self._named()[1:], self.when]
        lines.append(f"boundary: {self.equation}" if self.equation.startswith("0 =") else self.equation)
        return [*lines, self.held_said]

    @property
    def held_said(self) -> str:
        """Where the features that are not drawn are held, in words; empty if all are drawn."""
        hidden = [place for place in range(len(self.feature_names)) if place not in self.features]
        where = {"median": "at the median", "mean": "at the mean"}.get(self.others, "at values given")
        if len(hidden) > 3:
            return f"the other {len(hidden)} features are held {where}"
        values = [f"{self.feature_names[each]} = {shown(float(self.held[each]))}" for each in hidden]
        return f"held {where}: {', '.join(values)}" if hidden else ""

    def _named(self) -> str:
        return "answer" if self.kind == "number" else f"probability of class {self.labels[1]}"

    def _class_style(self, number: int) -> dict[str, Any]:
        return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}

    # Two features.

    def _plane(
        self, ax: Any, second: NumPy, points: dict[str, Any], style: dict[str, Any], colorbar: bool
    ) -> None:
        from matplotlib.colors import TwoSlopeNorm
        from matplotlib.lines import Line2D
        from matplotlib.ticker import MaxNLocator

        place = (self.xx0, second)
        ax.set_ylabel(self.feature_names[self.features[1]])
        ax.set_ylim(second.min(), second.max())
        if self.kind == "class":
            self._regions(ax, second, style)
            ax.legend(handles=self._scatter(ax, points), fontsize=9, framealpha=0.9)
            return
        values = np.ma.masked_invalid(self.response)
        edge = Line2D([], [], color=INK, linewidth=1.8)
        handles: list[Any] = []
        own: dict[str, Any]
        if self.kind == "probability":
            own = {"levels": np.linspace(0, 1, 21), "cmap": from_to(0.25)}
            own |= {"norm": TwoSlopeNorm(self.threshold, 0, 1), **style}
            if values.min() < self.threshold < values.max():
                ax.contour(*place, values, levels=[self.threshold], colors=INK, linewidths=1.8, zorder=3)
                edge.set_label(f"boundary: probability {shown(self.threshold)}")
            else:
                side = "above" if values.min() >= self.threshold else "below"
                edge.set(label=f"everywhere here {side} {shown(self.threshold)}", linewidth=0)
            handles.append(edge)
        else:
            seen = [values.min(), values.max(), *(() if self.targets is None else self.targets)]
            own = {"levels": MaxNLocator(20).tick_values(min(seen), max(seen)), "cmap": "cividis", **style}
        mapped = ax.contourf(*place, values, **own)
        handles += self._scatter(ax, points, mapped)
        if colorbar:
            self.colorbar_ = ax.figure.colorbar(mapped, ax=ax, label=self._named())
            if "levels" not in style:
                ends = (0, 1) if self.kind == "probability" else (own["levels"][0], own["levels"][-1])
                ticks = np.asarray(MaxNLocator(5).tick_values(*ends))
                self.colorbar_.set_ticks(ticks[(ticks >= ends[0]) & (ticks <= ends[1])])
            if self.kind == "probability":
                self.colorbar_.ax.axhline(self.threshold, color=INK, linewidth=1.8)
        ax.legend(handles=handles, fontsize=9, framealpha=0.9)

    def _regions(self, ax: Any, second: NumPy, style: dict[str, Any]) -> None:
        """Where each class is the likeliest."""
        from matplotlib import patheffects

        values = np.nan_to_num(self.response)
        for number, label in enumerate(self.labels):
            lead = values[..., number] - np.delete(values, number, axis=-1).max(axis=-1)
            if lead.max() <= 0:
                continue
            colour = COLOURS[number % len(COLOURS)]
            own = {"colors": [colour], "alpha": 0.3, "levels": [0.0, 1.0], **style}
            ax.contourf(self.xx0, second, lead, **own)
            if lead.min() < 0:
                ax.contour(self.xx0, second, lead, levels=[0.0], colors=INK, linewidths=1.2, zorder=3)
            if self.targets is None:
                rows, columns = np.nonzero(lead > 0)
                nearest = ((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2).argmin()
                place = rows[nearest], columns[nearest]
                text = ax.text(self.xx0[place], second[place], label, ha="center", va="center", zorder=6)
                text.set_path_effects([patheffects.withStroke(linewidth=3, foreground="white")])

    def _scatter(self, ax: Any, style: dict[str, Any], mapped: Any = None) -> list[Any]:
        """The rows as points; those that are answered wrongly have a ring around them."""
        drawn = _some(len(self.points))
        x, y = (self.points[drawn, place] for place in self.features)
        of = f" ({len(drawn):,} of {len(self.points):,} are drawn)" if len(drawn) < len(self.points) else ""
        if self.targets is None:
            return [ax.scatter(x, y, label=f"rows{of}", **{"color": INK, **style})]
        targets = self.targets[drawn]
        if self.kind == "number":
            own = {"c": targets, "cmap": mapped.cmap, "norm": mapped.norm, **style}
            return [ax.scatter(x, y, label=f"rows, filled by their target{of}", **own)]
        handles: list[Any] = []
        for number, label in enumerate(self.labels):
            those = targets == number
            own = {**self._class_style(number), **style}
            if those.any():
                handles.append(ax.scatter(x[those], y[those], label=f"class {label}{of}", **own))
                of = ""
        if self.wrong is not None and self.wrong.any():
            those = self.wrong[drawn]
            ring = {"s": 2.3 * style["s"], "facecolors": "none", "edgecolors": INK, "linewidths": 0.9}
            named = f"answered wrongly: {int(self.wrong.sum()):,} of {len(self.wrong):,}"
            handles.append(ax.scatter(x[those], y[those], label=named, zorder=5, **ring))
        return handles

    # One feature.

    def _curve(self, ax: Any, points: dict[str, Any], style: dict[str, Any]) -> None:
        calm(ax)
        own: dict[str, Any] = {"linewidth": 2.0, "zorder": 3, **style}
        handles: list[Any] = []
        if self.kind == "class":
            ax.set_ylabel("probability")
            for number, label in enumerate(self.labels):
                colour, dashes = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
                line = {"color": colour, "linestyle": dashes, **own}
                named = f"probability of class {label}"
                handles += ax.plot(self.xx0, self.response[:, number], label=named, **line)
        else:
            ax.set_ylabel(self._named())
            handles += ax.plot(self.xx0, self.response, label=self._named(), **{"color": INK, **own})
        if self.kind == "probability":
            line = {"color": GREY, "linestyle": "--", "linewidth": 1.2}
            handles.append(ax.axhline(self.threshold, label=self._crossing(), **line))
        if self.targets is not None:
            handles += self._stand(ax, self.targets, points)
        else:
            x = self.points[_some(len(self.points)), self.features[0]]
            heights, across = np.zeros(len(x)), ax.get_xaxis_transform()
            handles += ax.plot(x, heights, "|", color=INK, transform=across, label="rows", clip_on=False)
        if self.kind != "number":
            ax.set_ylim(-0.1, 1.1)
        beside(ax, handles)

    def _stand(self, ax: Any, targets: NumPy, style: dict[str, Any]) -> list[Any]:
        """Each row at its target, and a dotted line from there to what the model answers."""
        x, drawn = self.points[:, self.features[0]], _some(len(self.points))
        heights, ends = targets.astype(np.float64), self.answers
        if self.kind == "class":
            heights, ends = np.ones(len(x)), self.answers[np.arange(len(x)), targets]
        ways = "from each row to its answer"
        if self.losses is not None:
            ways += f";\nmean loss {shown(float(self.losses.mean()))}"
        faint = 1.0 if len(drawn) <= 50 else 0.4
        line = {"colors": GREY, "linestyles": ":", "linewidth": 1.2, "alpha": faint}
        handles = [ax.vlines(x[drawn], heights[drawn], ends[drawn], label=ways, **line)]
        for number, label in enumerate(self.labels or ("",)):
            those = drawn if self.kind == "number" else drawn[targets[drawn] == number]
            own = {**self._class_style(number), **style}
            own |= {"color": BLUE} if self.kind == "number" and "color" not in style else {}
            named = f"class {label}" if label else "rows"
            if len(those):
                handles.append(ax.scatter(x[those], heights[those], label=named, **own))
        if self.losses is not None and len(x) <= WRITTEN:
            for at, height, end, loss in zip(x, heights, ends, self.losses, strict=True):
                side = 1 if height >= end else -1
                ax.annotate(
                    shown(float(f"{loss:.2g}")),
                    (at, height),
                    xytext=(0, 7 * side),
                    textcoords="offset points",
                    fontsize=8,
                    color=INK,
                    ha="center",
                    va="bottom" if side > 0 else "top",
                )
        return handles

    def _crossing(self) -> str:
        above = self.response >= self.threshold
        turns = np.flatnonzero(above[1:] != above[:-1])
        if len(turns) != 1:
            return f"threshold {shown(self.threshold)}"
        a, b = turns[0], turns[0] + 1
        part = (self.threshold - self.response[a]) / (self.response[b] - self.response[a])
        at = float(self.xx0[a] + part * (self.xx0[b] - self.xx0[a]))
        name = self.feature_names[self.features[0]]
        return f"threshold {shown(self.threshold)}, reached at\n{name} = {shown(at)}"

    def __repr__(self) -> str:
        names = " and ".join(self.feature_names[place] for place in self.features)
        return f"<DecisionBoundaryDisplay: {self.kind} by {names}, {len(self.points):,} rows>"


def _threshold(value: Any, kind: str) -> float:
    number = isinstance(value, int | float | np.floating) and not isinstance(value, bool)
    if not number or (kind == "probability" and not 0 < value < 1):
        raise ArgumentError(
            message("threshold is a probability.", came=repr(value), expected="between 0 and 1")
        )
    return float(value)


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
                "feature_names does not fit X.",
                came=f"{len(given)} names",
                expected=f"{columns}, one for each column",
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
    several = isinstance(features, list | tuple | np.ndarray)
    given: Sequence[Any] = list(features) if several else [features]
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
                message(
                    "others is unknown.", came=repr(others), expected='"median", "mean", or a row of values'
                )
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


def _one_array(outputs: Any, which: int | None) -> NumPy:
    """The outputs of a model with one output, or one of several, shape (rows, numbers)."""
    if which is not None and isinstance(outputs, dict):
        outputs = [outputs[name] for name in sorted(outputs)]
    if which is not None and isinstance(outputs, list | tuple):
        if not 0 <= which < len(outputs):
            raise ArgumentError(
                message("there is no such output.", came=which, expected=f"0 to {len(outputs) - 1}")
            )
        outputs = outputs[which]
    if isinstance(outputs, dict | list | tuple) or np.ndim(outputs) not in (1, 2):
        came = f"shape {np.shape(outputs)}" if isinstance(outputs, np.ndarray) else type(outputs).__name__
        raise ArgumentError(
            message(
                "models with one output can be drawn.",
                came=came,
                expected="outputs of shape (rows, numbers)",
                mend="of several outputs, say which: output=0.",
            )
        )
    array = np.asarray(outputs, np.float64)
    return array.reshape(len(array), -1)


def answered_by(step: Any, output: int | None) -> tuple[list[Any], Any]:
    """The layers that one of the outputs comes from, the last one last, and what says its loss.

    Args:
        step: an opened step.
        output: which output; None for the only one.
    """
    layers, objective = [each.layer for each in step.layers], step.parts.objective
    if output is None or len(objective.targets) < 2:
        return layers, objective
    names = [f"{each.name}.output" for each in step.layers]
    source = step.traced.outputs[output]
    stop = names.index(source) + 1 if source in names else len(names)
    return layers[:stop], objective.targets[output]


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


def kind_of(layers: Sequence[Any], objective: Any, outputs: int) -> tuple[str, bool]:
    """What the outputs are, and whether the loss holds the sigmoid or softmax behind them.

    Args:
        layers: all layers, in order.
        objective: what was compiled.
        outputs: how many numbers are given for a row.

    Returns:
        "probability", "class" or "number"; and whether the numbers are logits.

    Raises:
        ArgumentError: if they are several numbers that are no classes.
    """
    loss = getattr(objective, "loss", None)
    named, last = type(loss).__name__, _last_activation(layers)
    logits = bool(getattr(loss, "from_logits", False))
    if outputs > 1:
        if last != "softmax" and "CategoricalCrossentropy" not in named:
            raise ArgumentError(
                message(
                    "models that answer with one number, or with probabilities of classes, can be drawn.",
                    came=f"{outputs} numbers for each row",
                )
            )
        return "class", logits
    known = logits or last == "sigmoid" or named == "BinaryCrossentropy"
    return ("probability" if known else "number"), logits


def probabilities(z: NumPy) -> NumPy:
    """The sigmoid of one number, the softmax of several."""
    if z.shape[1] == 1:
        return 0.5 * (1 + np.tanh(0.5 * z))
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


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
            message(
                "y has more classes than the model.", came=f"{len(values)}", expected=f"{classes} or fewer"
            )
        )
    names = [*map(str, values), *(str(each) for each in range(len(values), classes))]
    return codes.astype(np.int64), tuple(names)


def _losses(objective: Any, y: Any, targets: NumPy, outputs: NumPy) -> NumPy | None:
    """The loss of each row, as the model's own loss says."""
    loss = getattr(objective, "loss", None)
    if loss is None:
        return None
    given = np.asarray(y)
    if outputs.shape[1] == 1:
        given = (given if given.dtype.kind in "biuf" else targets).reshape(-1, 1).astype(np.float32)
    elif "Sparse" in type(loss).__name__:
        given = targets
    elif given.shape != outputs.shape:
        given = np.eye(outputs.shape[1], dtype=np.float32)[targets]
    found = np.asarray(loss.call(*loss.converted(given, outputs.astype(np.float32))), np.float64)
    # Some losses give one number for all rows.
    return found.reshape(len(found), -1).mean(axis=1) if found.ndim else None


def _equation(
    layers: Sequence[Any],
    step: Any,
    chosen: tuple[int, ...],
    names: tuple[str, ...],
    kind: str,
    threshold: float,
) -> str:
    """The boundary of a single unit on the features that are drawn, as a formula; else ""."""
    if len(layers) != 1 or type(layers[0]).__name__ != "Dense" or len(chosen) != len(names):
        return ""
    arrays = (
        list(step.weights.values())
        if step is not None
        else [np.asarray(each.value) for each in layers[0].weights]
    )
    if not arrays or arrays[0].shape != (len(names), 1) or kind == "class":
        return ""
    bias = float(arrays[1][0]) if len(arrays) > 1 else 0.0
    terms = [(float(arrays[0][place, 0]), names[place]) for place in sorted(chosen)]
    if kind == "number":
        return f"answer = {_linear(terms, bias)}"
    if len(chosen) == 1:
        return f"probability = sigmoid({_linear(terms, bias)})"
    # sigmoid(z) is the threshold where z is its logit.
    return f"0 = {_linear(terms, bias - math.log(threshold / (1 - threshold)))}"


def _linear(terms: Sequence[tuple[float, str]], constant: float) -> str:
    """A sum as text.

    >>> _linear([(2.0, "size"), (-0.5, "age")], -1.0)
    '2*size - 0.5*age - 1'
    """
    said = ""
    for value, name in [*terms, *([(constant, "")] if constant else [])]:
        sign = ("-" if value < 0 else "") if not said else (" - " if value < 0 else " + ")
        said += sign + shown(abs(value)) + (f"*{name}" if name else "")
    return said
