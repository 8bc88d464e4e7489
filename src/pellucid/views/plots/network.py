"""A step as a network, with its numbers."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from pellucid.errors import ArgumentError, message
from pellucid.formula import shown
from pellucid.views import told
from pellucid.views.plots.canvas import (
    BLUE,
    GREY,
    INK,
    VERMILLION,
    WRITTEN,
    axes_of,
    from_to,
    titled,
    whole_number,
)

NumPy = np.ndarray[Any, Any]
# A step as a network.

#: What circles are filled with: the name as people say it, and as layers hold it.
VALUES = {"outputs": "output", "z": "z", "gradients": "d_z"}
EDGES = ("weights", "gradients", "updates")
#: Layers that give on each number by itself.
ONE_TO_ONE = (
    *("Activation", "BatchNormalization", "Dropout", "ELU", "Flatten", "GaussianDropout", "GaussianNoise"),
    *("LeakyReLU", "Normalization", "PReLU", "ReLU", "Rescaling", "Reshape"),
)


@dataclass(eq=False)
class Neurons:
    """One column of a network: what came in, or what a layer gave.

    Attributes:
        name, kind: the layer's name, and what it is: "Dense, relu".
        values: the numbers of all units, for the example.
        drawn: which units are drawn.
        labels: what the units are called, where they have names.
        bias: a number for the bias of each unit; None without biases.
        bias_path: the path of these biases.
        layer: the layer's pass; None for what came in.
    """

    name: str
    kind: str
    values: NumPy
    drawn: NumPy
    labels: tuple[str, ...] = ()
    bias: NumPy | None = None
    bias_path: str = ""
    layer: Any = None

    @property
    def cut(self) -> bool:
        """Whether there are more units than are drawn."""
        return len(self.drawn) < len(self.values)


@dataclass(eq=False)
class Links:
    """What lies between two columns.

    Attributes:
        kind: "weights", "one to one", or "" where a layer does something else.
        values: of weights, shape (units before, units after).
        path: the path of these weights.
    """

    kind: str
    values: NumPy | None = None
    path: str = ""


@dataclass(eq=False, repr=False)
class NetworkDisplay:
    """A step, or a row that was explained, as a network with its numbers.

    A circle is a unit, filled by its number for one example (blue above 0, vermillion below; the darker,
    the larger within its layer). A line is a weight: blue and solid above 0, vermillion and dashed below;
    the thicker, the larger among all lines between these two layers.

    Attributes:
        columns: what came in, then what each layer gave.
        links: what lies between one column and the next.
        values, edges: what circles and lines show: "outputs", "weights", ...
        example: the place of the example in the batch.
        outcome: what is said at the right: target, loss and cost, or the decision.
        title: which step and example.
        ax_, figure_: what was drawn into, after `plot`.

    Example:
        >>> from pellucid import Sequential, plots
        >>> from pellucid.layers import Dense, Input
        >>> model = Sequential([Input(shape=(2,)), Dense(1, "sigmoid", kernel_initializer="ones")])
        >>> display = plots.NetworkDisplay.from_step(model.explain([0.5, 1.5], columns=["age", "size"]))
        >>> display.columns[0].labels, display.columns[1].values.round(2).tolist()
        (('age', 'size'), [0.88])
        >>> display.links[0].values.tolist()
        [[1.0], [1.0]]
        >>> len(display.plot().ax_.collections) > 0
        True
    """

    columns: list[Neurons]
    links: list[Links]
    values: str
    edges: str
    example: int
    outcome: tuple[str, ...]
    title: str
    ax_: Any = field(default=None, init=False)
    figure_: Any = field(default=None, init=False)

    @classmethod
    def from_step(
        cls,
        step: Any,
        example: int | None = None,
        values: str = "outputs",
        most: int = 16,
        edges: str = "weights",
    ) -> Self:
        """Take the numbers from an opened step, or from what `model.explain` gave.

        Args:
            step: the step, or the explanation.
            example: which row of the batch; that with the largest loss if not said.
            values: what the circles show: "outputs", "z" (before the activation), or "gradients" (of the
                cost by z: what comes back through the network).
            most: of a layer with more units as many are drawn, those with the largest numbers.
            edges: what the lines show: "weights", "gradients" or "updates".

        Raises:
            ArgumentError: if there is no such example, or these numbers are not known.
        """
        opened = hasattr(step, "gradients")
        for name, given, known in (("values", values, VALUES), ("edges", edges, EDGES)):
            if given not in known:
                raise ArgumentError(
                    message(f"{name} is unknown.", came=repr(given), expected=", ".join(known))
                )
            if given in ("gradients", "updates") and not opened:
                raise ArgumentError(
                    message(
                        f"an explanation has no {given}: nothing was trained.",
                        came=f"{name}={given!r}",
                        mend="open a step of a training: history.open(0).",
                    )
                )
        most = whole_number("most", most, 1)
        if example is None:
            example = told.followed(step)[0] if opened else 0
        elif (
            isinstance(example, bool)
            or not hasattr(example, "__index__")
            or not 0 <= example < step.rows_count
        ):
            raise ArgumentError(
                message(
                    "there is no such example in the batch.",
                    came=f"example={example!r}",
                    expected=f"0 to {step.rows_count - 1}",
                )
            )
        numbers = {
            "weights": step.values,
            "gradients": getattr(step, "gradients", {}),
            "updates": step.updates if edges == "updates" else {},
        }[edges]
        columns, links = columns_of(step, int(example), VALUES[values], most, numbers)
        return cls(
            columns,
            links,
            values,
            edges,
            int(example),
            _outcome(step, int(example)),
            f"{told.title(step)}; example {example}"
            + ("" if step.rows is None else f", row {step.rows[example]}")
            if opened
            else f"What the network makes of {'this row' if step.rows_count == 1 else f'row {example}'}",
        )

    def plot(self, ax: Any = None, *, colormap: Any = None, **style: Any) -> Self:
        """Draw it.

        Args:
            ax: the matplotlib axes to draw into; new ones if not given.
            colormap: for the circles, from the smallest number below 0 to the largest above.
            style: for the lines, as in matplotlib's `LineCollection`: alpha, ...

        Returns:
            The display itself.
        """
        # Lengths in inches: from column to column, from unit to unit, and what text needs at both sides.
        tallest = max(len(each.drawn) for each in self.columns)
        apart, down = 1.75, 0.75 if tallest <= 6 else 0.53
        left = 0.35 + 0.068 * max(map(len, self._input_names()), default=0)
        right = 0.95 + 0.068 * max(map(len, self.outcome), default=0)
        width, height = apart * (len(self.columns) - 1) + left + right, down * tallest + 0.95
        ax = self.ax_ = axes_of(ax, (max(width, 5.0), height + 0.6))
        self.figure_ = ax.figure
        ax.set_axis_off()
        ax.set_xlim(-left / apart, len(self.columns) - 1 + right / apart)
        top = tallest / 2 + 0.5 / down
        ax.set_ylim(-tallest / 2 - 0.45 / down, top)
        titled(ax, [self.title, self._circles()])
        # Circles are as large as there is room, which is known once the frame is laid out.
        ax.figure.canvas.figure.draw_without_rendering()
        box, dots = ax.get_window_extent(), ax.figure.dpi / 72
        part = min(box.width / width, box.height / height) / dots
        across = min(30.0, part * down * (0.6 if self._said_below() else 0.8))
        scale = min(1.0, part / 72)
        for place, (links, after) in enumerate(zip(self.links, self.columns[1:], strict=True)):
            self._lines(ax, place, links, after, down / apart, scale, style)
        for place, column in enumerate(self.columns):
            head = f"{_short_name(column.name)}\n{column.kind}".strip()
            ax.text(place, top, head, ha="center", va="top", fontsize=8.5 * scale, color=INK)
            self._neurons(ax, place, column, across, scale, colormap or from_to())
        self._end(ax, across, scale)
        self._key(ax, scale)
        return self

    def _input_names(self) -> list[str]:
        names = self.columns[0].labels
        return [
            textwrap.shorten(names[unit], 26, placeholder="...") for unit in self.columns[0].drawn if names
        ]

    def _said_below(self) -> bool:
        """Whether units have something written below them."""
        return any(each.bias is not None or each.cut for each in self.columns[1:])

    def _circles(self) -> str:
        what = {
            "outputs": "what each unit gives",
            "z": "z of each unit, before its activation",
            "gradients": "the gradient of the cost by z of each unit",
        }
        given = ", and the input as it came" if self.values != "outputs" else ""
        return f"circles: {what[self.values]}{given}; lines and b: {self.edges}"

    def _key(self, ax: Any, scale: float) -> None:
        from matplotlib.lines import Line2D

        named = self.edges.removesuffix("s")
        dashed: dict[str, Any] = {"color": VERMILLION, "linestyle": (0, (2.5, 1.2)), "linewidth": 2}
        handles = [
            Line2D([], [], color=BLUE, linewidth=2, label=f"{named} above 0"),
            Line2D([], [], label=f"{named} below 0", **dashed),
        ]
        where = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.02)}
        ax.legend(handles=handles, ncols=2, frameon=False, fontsize=8.5 * scale, **where)

    def _lines(
        self,
        ax: Any,
        place: int,
        links: Links,
        after: Neurons,
        slope: float,
        scale: float,
        style: Mapping[str, Any],
    ) -> None:
        from matplotlib.collections import LineCollection

        before = self.columns[place]
        left, right = _heights(before), _heights(after)
        if links.kind == "one to one":
            ends = [[(place, left[unit]), (place + 1, right[unit])] for unit in left if unit in right]
            ax.add_collection(LineCollection(ends, colors="#BBBBBB", linewidths=0.9, zorder=1))
            return
        if links.values is None:
            arrow = {"arrowstyle": "-|>", "color": GREY, "linewidth": 1.4}
            ax.annotate("", (place + 0.72, 0), (place + 0.28, 0), arrowprops=arrow)
            return
        every = np.nan_to_num(links.values.astype(np.float64))
        chosen = every[np.ix_(before.drawn, after.drawn)]
        strength = np.abs(chosen) / (np.abs(every).max() or 1.0)
        # The strongest are drawn last, and where there are many the others are faint.
        order = np.argsort(strength, axis=None, kind="stable")
        pairs = [tuple(map(int, np.unravel_index(each, chosen.shape))) for each in order]
        ends = [[(place, left[before.drawn[i]]), (place + 1, right[after.drawn[j]])] for i, j in pairs]
        strong, few = np.ravel(strength)[order], chosen.size <= WRITTEN
        above = np.ravel(chosen)[order] >= 0
        lines = LineCollection(
            ends,
            colors=np.where(above, BLUE, VERMILLION),
            linewidths=0.3 + (3.4 if few else 2.6) * strong ** (1 if few else 1.5),
            linestyles=["-" if each else (0, (2.5, 1.2)) for each in above],
            alpha=np.ones(len(strong)) if few else 0.06 + 0.94 * strong**2,
            zorder=1,
        )
        lines.set(**style)
        ax.add_collection(lines)
        if few:
            written: list[NumPy] = []
            for (i, j), (begin, end) in zip(pairs, ends, strict=True):
                at = _free(np.asarray(begin), np.asarray(end), written, np.asarray([1.0, 2 * slope]))
                written.append(at)
                box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.9}
                how = {"ha": "center", "va": "center", "fontsize": 7.5 * scale, "color": INK, "zorder": 2}
                ax.text(*at, _short(float(chosen[i, j])), bbox=box, **how)

    def _neurons(
        self, ax: Any, place: int, column: Neurons, across: float, scale: float, colormap: Any
    ) -> None:
        text = min(8.0, 0.29 * across)
        heights = _heights(column)
        values = column.values[column.drawn]
        largest = float(np.abs(column.values[np.isfinite(column.values)]).max(initial=0.0)) or 1.0
        within = np.nan_to_num(values, posinf=largest, neginf=-largest) / largest
        colours = colormap((within + 1) / 2)
        look = {"s": across**2, "edgecolors": INK, "linewidths": 0.9, "zorder": 3}
        ax.scatter([place] * len(values), list(heights.values()), color=colours, **look)
        names = self._input_names() if place == 0 else []
        for number, (unit, y) in enumerate(heights.items()):
            dark = float(colours[number, :3] @ np.asarray([0.299, 0.587, 0.114])) < 0.55
            inside = {"ha": "center", "va": "center_baseline", "fontsize": text, "zorder": 4}
            ax.text(place, y, _short(float(values[number])), color="white" if dark else INK, **inside)
            beside: dict[str, Any] = {"textcoords": "offset points", "color": INK}
            if names:
                beside |= {
                    "xytext": (-across / 2 - 4, 0),
                    "ha": "right",
                    "va": "center",
                    "fontsize": 8 * scale,
                }
                ax.annotate(names[number], (place, y), **beside)
                continue
            below = f"[{unit}] " if column.cut else ""
            below += f"b {_short(float(column.bias[unit]))}" if column.bias is not None else ""
            if below:
                beside |= {"xytext": (0, -across / 2 - 1), "ha": "center", "va": "top"}
                beside |= {"fontsize": 0.82 * text, "zorder": 2}
                beside["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 0.2, "alpha": 0.75}
                ax.annotate(below.strip(), (place, y), **beside)
        if column.cut:
            some = f"{len(values)} of {len(column.values):,},\nthe largest"
            where = {"xytext": (0, -across / 2 - 11 * scale), "textcoords": "offset points"}
            how = {"ha": "center", "va": "top", "fontsize": 7.5 * scale, "color": INK, "zorder": 5}
            ax.annotate(some, (place, min(heights.values())), **where, **how)

    def _end(self, ax: Any, across: float, scale: float) -> None:
        """What came of it, at the right."""
        if not self.outcome:
            return
        last = len(self.columns) - 1
        box = {"boxstyle": "round,pad=0.5", "facecolor": "#F5F5F2", "edgecolor": GREY}
        arrow = {"arrowstyle": "<|-", "color": GREY, "shrinkB": across / 2 + 3}
        ax.annotate(
            "\n".join(self.outcome),
            (last, 0),
            xytext=(across / 2 + 26 * scale, 0),
            textcoords="offset points",
            fontsize=8.5 * scale,
            ha="left",
            va="center",
            color=INK,
            bbox=box,
            arrowprops=arrow,
            zorder=5,
        )

    def __repr__(self) -> str:
        sizes = "-".join(str(len(each.values)) for each in self.columns)
        return f"<NetworkDisplay: {sizes}, {self.title}>"


def _heights(column: Neurons) -> dict[int, float]:
    """How high each drawn unit lies."""
    count = len(column.drawn)
    return {int(unit): (count - 1) / 2 - place for place, unit in enumerate(column.drawn)}


def _free(begin: NumPy, end: NumPy, taken: Sequence[NumPy], scale: NumPy) -> NumPy:
    """A place on a line that is far from those that are taken; all else equal, near its begin."""
    places = [begin + part * (end - begin) for part in (0.36, 0.46, 0.28, 0.56, 0.64)]
    if not taken:
        return places[0]
    free = [min(float(np.hypot(*((each - other) * scale))) for other in taken) for each in places]
    return places[int(np.argmax(np.minimum(free, 0.3)))]


def _strongest(values: NumPy, most: int) -> NumPy:
    """The units with the largest numbers, in their order."""
    order = np.argsort(-np.abs(np.nan_to_num(values, nan=np.inf)), kind="stable")
    return np.sort(order[:most])


def columns_of(
    step: Any, example: int, what: str, most: int, numbers: Mapping[str, NumPy]
) -> tuple[list[Neurons], list[Links]]:
    """What came in and what each layer gave, for one example, and what lies between.

    Args:
        step: an opened step, or an explanation.
        example: which row of the batch.
        what: "output", "z" or "d_z".
        most: of a layer with more units as many are drawn.
        numbers: what is on the lines, by the paths of the weights.
    """
    layers = [
        each for each in step.layers if isinstance(each.output, np.ndarray) and "output" not in each.shared
    ]
    if not layers:
        raise ArgumentError(message("this step has no layers to draw.", came=repr(step)))
    given = layers[0].input if isinstance(layers[0].input, np.ndarray) else np.zeros((step.rows_count, 0))
    came = np.ravel(given[example]).astype(np.float64)
    names = tuple(step.columns) if len(step.columns) == len(came) else ()
    names = names or (tuple(f"x[{each}]" for each in range(len(came))) if given.ndim == 2 else ())
    columns = [Neurons("input", "", came, _strongest(came, most), names)]
    links: list[Links] = []
    for layer in layers:
        array = layer.arrays.get(what) if what in ("output", "z") else layer.slopes.get("z")
        if array is None:
            array = layer.output if what != "d_z" else layer.slopes.get("output", np.zeros_like(layer.output))
        values = np.ravel(array[example]).astype(np.float64)
        own = [variable.path for variable in layer.variables]
        sizes = (len(columns[-1].values), len(values))
        kernels = [path for path in own if path in numbers and numbers[path].shape == sizes]
        kind = type(layer.layer).__name__
        bias = [path for path in own if path.endswith("/bias") and path in numbers]
        follows = isinstance(layer.input, np.ndarray) and layer.input[example].size == sizes[0]
        if kernels and follows:
            links.append(Links("weights", numbers[kernels[0]], kernels[0]))
        else:
            links.append(
                Links("one to one" if kind in ONE_TO_ONE and follows and sizes[0] == sizes[1] else "")
            )
        activation = getattr(getattr(layer.layer, "activation", None), "__name__", "")
        named = f"{kind}, {activation}" if activation and activation != "linear" else kind
        drawn = columns[-1].drawn if links[-1].kind == "one to one" else _strongest(values, most)
        biases = np.ravel(numbers[bias[0]]).astype(np.float64) if bias else None
        if biases is not None and len(biases) != len(values):
            biases = None
        path = bias[0] if biases is not None else ""
        columns.append(Neurons(layer.name, named, values, drawn, (), biases, path, layer))
    return columns, links


def _outcome(step: Any, example: int) -> tuple[str, ...]:
    """What came of an example: its target and loss and the cost, or the decision."""
    if not hasattr(step, "gradients"):
        return tuple(textwrap.wrap(f"decision: {told.decision(step, example)}", 28))
    lines: list[str] = []
    if step.y is not None:
        lines.append(f"y = {told.values(told.example_of(step.y, example))}")
    if (losses := step.losses_by_example()) is not None:
        lines.append(f"loss = {shown(float(losses[example]))}")
        lines.append(f"cost of the {step.rows_count:,} rows = {shown(step.cost)}")
    return tuple(lines)


def _short(value: float) -> str:
    """A number in few letters.

    >>> _short(0.8312), _short(-12.34), _short(1234.6), _short(1e-5), _short(0.0), _short(2e6)
    ('0.83', '-12', '1235', '1e-5', '0', '2e6')
    """
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size == 0:
        return "0"
    if size < 0.005 or size >= 9_999.5:
        return re.sub(r"e([+-])0*", lambda found: "e" + found[1].strip("+"), f"{value:.0e}")
    return f"{value:.2f}" if size < 9.995 else f"{value:.0f}"


def _short_name(name: str) -> str:
    return name if len(name) <= 20 else f"...{name[-17:]}"
