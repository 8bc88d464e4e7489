"""One gradient, by example."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from pellucid.formula import shown
from pellucid.views import told
from pellucid.views.plots.canvas import (
    BLUE,
    GREY,
    INK,
    VERMILLION,
    axes_of,
    beside,
    calm,
    titled,
    weight_named,
    whole_number,
)

NumPy = np.ndarray[Any, Any]


@dataclass(eq=False, repr=False)
class GradientDisplay:
    """The gradient of one weight as the sum of what each example says.

    Attributes:
        weight: its name.
        rows: the numbers of the rows, those that push most first.
        pushes: the part of each in the gradient.
        rest, rest_count: the sum of the parts that are not drawn by themselves, and of how many rows.
        penalty: the part of regularizers.
        gradient: the gradient: the sum of all of these.
        update: how far the step moved the weight.
        when: which step.
        ax_, figure_: what was drawn into, after `plot`.

    Example:
        >>> from pellucid import Sequential, plots
        >>> from pellucid.layers import Dense, Input
        >>> model = Sequential([Input(shape=(1,)), Dense(1, kernel_initializer="zeros")])
        >>> model.compile(optimizer="sgd", loss="mse")
        >>> history = model.fit([[1.0], [2.0]], [[2.0], [4.0]], shuffle=False, verbose=0)
        >>> display = plots.GradientDisplay.from_step(history.open(0), "dense/kernel[0,0]")
        >>> display.rows.tolist(), display.pushes.tolist(), display.gradient
        ([1, 0], [-8.0, -2.0], -10.0)
        >>> [bar.get_height().item() for bar in display.plot(running=False).ax_.patches]
        [-8.0, -2.0]
    """

    weight: str
    rows: NumPy
    pushes: NumPy
    rest: float
    rest_count: int
    penalty: float
    gradient: float
    update: float
    when: str
    ax_: Any = field(default=None, init=False)
    figure_: Any = field(default=None, init=False)

    @classmethod
    def from_step(cls, step: Any, weight: str, most: int = 32) -> Self:
        """Take the numbers from an opened step.

        Args:
            step: the step.
            weight: one weight: "dense/kernel[2,3]".
            most: so many rows have a bar of their own; the others share one.

        Raises:
            ArgumentError: if there is no such weight.
        """
        most = whole_number("most", most, 1)
        path, index = weight_named(step, str(weight).strip().removesuffix(".gradient"))
        name = f"{path}[{','.join(map(str, index))}]" if index else path
        found = step.pushes(name)
        return cls(
            name,
            np.asarray([each.row for each in found[:most]], np.int64),
            np.asarray([each.push for each in found[:most]], np.float64),
            float(sum(each.push for each in found[most:])),
            len(found[most:]),
            float(found.penalty),
            float(step.gradients[path][index]),
            float(step.updates[path][index]),
            told.title(step),
        )

    @property
    def bars(self) -> list[tuple[str, float]]:
        """What is drawn, from the left: a name and a height each. Their sum is the gradient."""
        bars = [(str(row), float(push)) for row, push in zip(self.rows, self.pushes, strict=True)]
        if self.rest_count:
            bars.append((f"{self.rest_count:,} more rows", self.rest))
        if self.penalty:
            bars.append(("penalties", self.penalty))
        return bars

    def plot(self, ax: Any = None, *, running: bool = True, **style: Any) -> Self:
        """Draw it.

        Args:
            ax: the matplotlib axes to draw into; new ones if not given.
            running: whether the sum of the bars from the left is drawn, which ends at the gradient.
            style: for the bars, as in `ax.bar`: color, width, ...

        Returns:
            The display itself.
        """
        bars = self.bars
        ax = self.ax_ = axes_of(ax, (max(6.5, 0.27 * len(bars) + 3.4), 4.4))
        from matplotlib.patches import Patch

        self.figure_ = ax.figure
        calm(ax)
        ax.grid(False, axis="x")
        parts = np.asarray([height for _, height in bars])
        heights = np.where(np.isfinite(parts), parts, 0.0)
        places = np.arange(len(bars))
        for above, colour, hatch in ((True, BLUE, None), (False, VERMILLION, "///")):
            those = (heights > 0) if above else (heights <= 0)
            own = {"color": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0.6, "width": 0.8}
            ax.bar(places[those], heights[those], zorder=2, **{**own, **style})
        handles = [
            Patch(facecolor=BLUE, label="raises the gradient"),
            Patch(facecolor=VERMILLION, hatch="///", edgecolor="white", label="lowers the gradient"),
        ]
        if running:
            edges = np.append(places - 0.5, places[-1] + 0.5)
            line: dict[str, Any] = {"baseline": None, "color": GREY, "linewidth": 1.4, "linestyle": ":"}
            sums = np.cumsum(heights)
            handles.append(ax.stairs(sums, edges, label="sum from the left", zorder=3, **line))
        line = {"color": INK, "linewidth": 1.6, "linestyle": "--", "zorder": 3}
        level = self.gradient if math.isfinite(self.gradient) else math.nan
        handles.append(ax.axhline(level, label=f"gradient = {shown(self.gradient)}", **line))
        broken = places[~np.isfinite(parts)]
        if len(broken):
            mark = {"marker": "x", "color": INK, "zorder": 4, "label": "no finite number"}
            handles.append(ax.scatter(broken, np.zeros(len(broken)), **mark))
        ax.axhline(0, color=INK, linewidth=0.8)
        ax.set_xticks(places, [name for name, _ in bars], rotation=90, fontsize=8)
        ax.tick_params(axis="x", length=0)
        ax.set_xlim(-0.7, len(bars) - 0.3)
        ax.set_xlabel("row of the training")
        ax.set_ylabel("part of the gradient")
        beside(ax, handles)
        moved = f"the step moved this weight by {shown(self.update)}"
        titled(ax, [f"Whose gradient it is: {self.weight}", self.when, moved])
        return self

    def __repr__(self) -> str:
        rows = len(self.rows) + self.rest_count
        return f"<GradientDisplay: {self.weight}, gradient {shown(self.gradient)} of {rows:,} rows>"
