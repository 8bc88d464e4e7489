"""The cost over two weights, or over the plane in which gradient descent went."""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from pellucid.errors import ArgumentError, StateError, message
from pellucid.formula import shown
from pellucid.views.plots.canvas import INK, VERMILLION, axes_of, titled, weight_named, whole_number

NumPy = np.ndarray[Any, Any]


@dataclass(eq=False, repr=False)
class CostSurfaceDisplay:
    """The cost over a plane through the weights, and the path of gradient descent on it.

    The plane is that of two weights, or that of the two directions in which all weights moved most: the
    principal directions of the weights along the run, seen from where it ended. The end lies in the plane,
    so what is not in the plane is held as it was at the end.

    Attributes:
        xx, yy: the places in the plane, shape (grid, grid).
        costs: the cost at each.
        path: where gradient descent went, shape (points, 2), projected into the plane.
        path_steps: how many steps had been done at each point of the path.
        path_costs: the cost at each point of the path itself, wherever it lies.
        share: how much of the path lies in the plane: of the sum of squared distances from the end.
        shares: the same for each of the two directions.
        weights: the two weights, or none for the plane of the path.
        directions: the two directions, shape (2, number of all weights).
        weights_count: how many weights there are.
        measured_on: what the cost was measured on, in words.
        origin, shapes: the weights at the origin of the plane, shape (number of all weights,), and the shapes
            of the arrays that they are those of, by path.
        ax_, figure_, colorbar_: what was drawn, after `plot`.

    Example:
        >>> from pellucid import Sequential, plots
        >>> from pellucid.layers import Dense, Input
        >>> model = Sequential([Input(shape=(1,)), Dense(1, kernel_initializer="zeros")])
        >>> model.compile(optimizer="sgd", loss="mse")
        >>> history = model.fit([[1.0], [2.0]], [[2.0], [4.0]], epochs=20, verbose=0)
        >>> display = plots.CostSurfaceDisplay.from_history(
        ...     history, ["dense/kernel[0,0]", "dense/bias[0]"], grid=5
        ... )
        >>> display.path_costs[0].item(), display.measured_on
        (10.0, 'all 2 training rows')
        >>> display.plot().ax_.get_xlabel()
        'dense/kernel[0,0]'
    """

    xx: NumPy
    yy: NumPy
    costs: NumPy
    path: NumPy
    path_steps: NumPy
    path_costs: NumPy
    share: float
    shares: tuple[float, float]
    weights: tuple[str, ...]
    directions: NumPy
    weights_count: int
    measured_on: str
    origin: NumPy
    shapes: Mapping[str, tuple[int, ...]]
    ax_: Any = field(default=None, init=False)
    figure_: Any = field(default=None, init=False)
    colorbar_: Any = field(default=None, init=False)

    @classmethod
    def from_history(
        cls,
        history: Any,
        weights: Sequence[str] | None = None,
        grid: int = 41,
        batch: int | None = None,
        span: float = 1.5,
        most: int = 60,
    ) -> Self:
        """Compute it from a recorded training.

        Args:
            history: what `fit` returned.
            weights: two weights, such as ("dense/kernel[0,0]", "dense/bias[0]"); without them the plane
                is that in which the path lies best.
            grid: at how many places each way the cost is computed.
            batch: the number of a step: the cost on its batch, instead of all rows of the training.
                Where rows came from a stream, it is the last step's, if not said.
            span: how much larger than the path the plane is.
            most: at how many steps, at most, the path is sampled.

        Raises:
            ArgumentError: if a weight or step does not exist, or a number makes no sense.
            StateError: if the run was not recorded, or the model was changed since.
            DataError: if the rows have changed or are gone.
        """
        grid, most = whole_number("grid", grid, 2), whole_number("most", most, 2)
        if isinstance(span, bool) or not isinstance(span, int | float) or not 0 < span < math.inf:
            raise ArgumentError(message("span is a factor.", came=repr(span), expected="more than 0"))
        record = history.replay.record.settled()
        first, count = record.first_step(), record.steps
        if count <= first:
            raise StateError(message("this run has no steps.", came=repr(history)))
        chosen: list[tuple[str, tuple[int, ...]]] = []
        begin = history.open(first)
        every = [(path, index) for path, array in begin.weights.items() for index in _few(array.shape)]
        if len(every) < 2:
            raise ArgumentError(message("a surface lies over two weights.", came="a model with one weight"))
        if weights is None and len(every) == 2:
            chosen = every
        elif weights is not None:
            given = [weights] if isinstance(weights, str) else list(weights)
            chosen = [weight_named(begin, each) for each in given]
            if len(chosen) != 2 or chosen[0] == chosen[1]:
                raise ArgumentError(
                    message("a surface lies over two different weights.", came=", ".join(map(str, given)))
                )
        measured = count - 1 if batch is None and history.replay.trained is None else batch
        numbers = _sampled(first, count, most)
        values: list[Mapping[str, NumPy]] = [history.weights_before(int(number)) for number in numbers[:-1]]
        values.append(history.open(count - 1).weights_after)
        shapes = {path: array.shape for path, array in values[-1].items()}
        vectors = np.stack([_vector(each, shapes) for each in values])
        path_costs = np.asarray(history.costs_at(values, batch=measured), np.float64)
        # A run that blew up is followed as long as there are numbers.
        whole = np.flatnonzero(np.isfinite(vectors).all(axis=1) & np.isfinite(path_costs))
        if len(whole) < 2:
            raise StateError(
                message(
                    "this path has no two places at which weights and cost are finite numbers.",
                    mend='look in history.log["cost"] for the first step whose cost is not finite.',
                )
            )
        numbers, vectors, path_costs = numbers[whole], vectors[whole], path_costs[whole]
        end = vectors[-1]
        if chosen:
            directions = np.zeros((2, len(end)))
            for row, (path, index) in enumerate(chosen):
                directions[row, _offset(shapes, path, index)] = 1.0
            origin = np.where(directions.any(axis=0), 0.0, end)
        else:
            directions, origin = _principal(vectors - end), end
        path = (vectors - origin) @ directions.T
        inside, moved = np.square(path - path[-1]).sum(axis=0), float(np.square(vectors - end).sum())
        shares = inside / moved if moved else np.asarray([1.0, 0.0])
        axes = _around(path, grid, float(span))
        xx, yy = np.meshgrid(*axes)
        places = np.stack([xx.ravel(), yy.ravel()], axis=1)
        if measured is None:
            on = f"all {record.facts.rows:,} training rows"
        else:
            step = history.open(measured)
            on = f"the {step.rows_count:,} rows of the batch of step {step.number:,}"

        def along() -> Generator[dict[str, NumPy]]:
            for place in places:
                yield named(origin + place @ directions, shapes)

        costs = np.asarray(history.costs_at(along(), batch=measured), np.float64).reshape(xx.shape)
        names = tuple(f"{path}[{','.join(map(str, index))}]" for path, index in chosen)
        return cls(
            xx=xx,
            yy=yy,
            costs=costs,
            path=path,
            path_steps=numbers,
            path_costs=path_costs,
            share=float(shares.sum()),
            shares=(float(shares[0]), float(shares[1])),
            weights=names,
            directions=directions,
            weights_count=len(end),
            measured_on=on,
            origin=origin,
            shapes=shapes,
        )

    def place_of(self, weights: Mapping[str, NumPy]) -> NumPy:
        """Where weights lie in the plane, shape (2,): their projection, if they do not lie in it."""
        return (_vector(weights, self.shapes) - self.origin) @ self.directions.T

    def slope_of(self, gradients: Mapping[str, NumPy]) -> NumPy:
        """The part of a gradient along the two directions, shape (2,)."""
        return _vector(gradients, self.shapes) @ self.directions.T

    def plot(
        self,
        ax: Any = None,
        *,
        colorbar: bool = True,
        path_style: Mapping[str, Any] | None = None,
        **style: Any,
    ) -> Self:
        """Draw it.

        Args:
            ax: the matplotlib axes to draw into; new ones if not given.
            colorbar: whether the scale of the costs is drawn beside it.
            path_style: for the path, as in `ax.plot`: color, linewidth, ...
            style: for the costs, as in `ax.contourf`: levels, cmap, ...

        Returns:
            The display itself.
        """
        ax = self.ax_ = axes_of(ax, (7.4, 5.5))
        from matplotlib import patheffects
        from matplotlib.colors import LogNorm, PowerNorm

        self.figure_, self.colorbar_ = ax.figure, None
        costs = np.ma.masked_invalid(self.costs)
        levels, logarithmic = _levels(self.costs)
        ends = (levels[0], levels[-1])
        norm = LogNorm(*ends) if logarithmic else PowerNorm(0.5, *ends)
        below = "min" if costs.min() < levels[0] else "neither"
        own: dict[str, Any] = {"levels": levels, "norm": norm, "cmap": "viridis", "extend": below, **style}
        mapped = ax.contourf(self.xx, self.yy, costs, **own)
        ax.contour(self.xx, self.yy, costs, levels=mapped.levels, colors="white", linewidths=0.5, alpha=0.6)
        halo = [patheffects.withStroke(linewidth=3.6, foreground="white")]
        line = {"color": VERMILLION, "linewidth": 1.8, "marker": ".", "markersize": 5, "zorder": 4}
        line |= {"label": "gradient descent", "path_effects": halo, **(path_style or {})}
        ax.plot(*self.path.T, **line)
        for place, marker, size, what in ((0, "o", 80, "start"), (-1, "*", 210, "end")):
            label = f"{what}: cost {shown(float(self.path_costs[place]))}"
            mark = {"color": "white", "edgecolors": INK, "linewidths": 1.2, "zorder": 5}
            ax.scatter(*self.path[place], s=size, marker=marker, label=label, **mark)
        if colorbar:
            self.colorbar_ = ax.figure.colorbar(mapped, ax=ax, label="cost")
            if "levels" not in style:
                ticks = levels[:: max(1, len(levels) // 6)]
                self.colorbar_.set_ticks(ticks, labels=[shown(float(f"{each:.3g}")) for each in ticks])
                self.colorbar_.ax.minorticks_off()
        ax.set_xlim(self.xx.min(), self.xx.max())
        ax.set_ylim(self.yy.min(), self.yy.max())
        if 1 / 3 < np.ptp(self.xx) / np.ptp(self.yy) < 3:
            ax.set_aspect("equal")
        ax.set_xlabel(self.axis_names[0])
        ax.set_ylabel(self.axis_names[1])
        ax.legend(fontsize=8.5, framealpha=0.9, loc="best")
        titled(ax, self._told())
        return self

    def _told(self) -> list[str]:
        first, last = (int(each) for each in self.path_steps[[0, -1]])
        steps = f"{last:,} steps" if not first else f"steps {first:,} to {last - 1:,}"
        if self.weights_count == 2:
            return [f"Cost on {self.measured_on}, and the path of {steps}"]
        part = f"{100 * self.share:.3g}% of it in this plane"
        lines = [f"Cost on {self.measured_on}"]
        lines.append(f"path of {steps} in {self.weights_count:,} weights, {part}")
        return [*lines, self.held_said]

    @property
    def axis_names(self) -> tuple[str, str]:
        """What the two directions are called."""
        if self.weights:
            return self.weights[0], self.weights[1]
        first, second = (f"direction of the path ({100 * share:.3g}% of it)" for share in self.shares)
        return f"first {first}", f"second {second}"

    @property
    def held_said(self) -> str:
        """Where weights are that do not lie in the plane, in words; empty if there are none."""
        if self.weights_count == 2:
            return ""
        kept = "the other weights" if self.weights else "all other directions"
        return f"{kept} are held as at the end"

    def __repr__(self) -> str:
        over = " and ".join(self.weights) or "the plane of the path"
        return f"<CostSurfaceDisplay: cost on {self.measured_on}, over {over}>"


def _sampled(first: int, count: int, most: int) -> NumPy:
    """Numbers of steps, close together at the beginning, where weights move most; the last is `count`."""
    steps = count - first
    if steps < most:
        return np.arange(first, count + 1)
    even = np.linspace(0, steps, most // 2 + 1)
    early = np.geomspace(1, steps, most - most // 2)
    return first + np.unique(np.round(np.concatenate([[0], even, early])).astype(np.int64))


def _few(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The indices of an array, or the first three of them."""
    return list(itertools.islice(np.ndindex(shape), 3))


def _vector(values: Mapping[str, NumPy], shapes: Mapping[str, tuple[int, ...]]) -> NumPy:
    return np.concatenate([np.ravel(values[path]).astype(np.float64) for path in shapes])


def named(vector: NumPy, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NumPy]:
    """The weights by their paths, from all of them in a row."""
    cuts = np.cumsum([math.prod(shape) for shape in shapes.values()])[:-1]
    parts = np.split(vector, cuts)
    return {path: part.reshape(shape) for (path, shape), part in zip(shapes.items(), parts, strict=True)}


def _offset(shapes: Mapping[str, tuple[int, ...]], path: str, index: tuple[int, ...]) -> int:
    """Where a weight lies among all of them in a row."""
    before = 0
    for each, shape in shapes.items():
        if each == path:
            return before + int(np.ravel_multi_index(index, shape)) if shape else before
        before += math.prod(shape)
    raise KeyError(path)


def _principal(moves: NumPy) -> NumPy:
    """The two orthogonal directions in which rows reach farthest; the first row lies on the left."""
    _, _, directions = np.linalg.svd(moves, full_matrices=len(moves) < 2)
    signs = np.where(moves[0] @ directions[:2].T > 0, -1.0, 1.0)
    return directions[:2] * signs[:, None]


def _around(path: NumPy, grid: int, span: float) -> tuple[NumPy, NumPy]:
    """Values along both directions that enclose the path."""
    low, high = path.min(axis=0), path.max(axis=0)
    extent = high - low
    largest = float(extent.max()) or 1.0
    extent = np.where(extent > 1e-6 * largest, extent, largest / 2)
    middle = (low + high) / 2
    # As a picture is a little wider than high, lengths in it can be compared, unless the path is so
    # narrow that nothing would be seen of it.
    alike = largest < 4 * extent.min()
    half = span / 2 * (max(extent[0] / 1.25, extent[1]) * np.asarray([1.25, 1.0]) if alike else extent)
    return (
        np.linspace(middle[0] - half[0], middle[0] + half[0], grid),
        np.linspace(middle[1] - half[1], middle[1] + half[1], grid),
    )


def _levels(costs: NumPy) -> tuple[NumPy, bool]:
    """Levels of contours, and whether each is a multiple of the one before."""
    finite = costs[np.isfinite(costs)]
    if not len(finite):
        raise StateError(message("the cost is nowhere a finite number.", came="not a number, or infinite"))
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        return np.linspace(low - 0.5, high + 0.5, 22), False
    if low >= 0 and high > 10 * low:
        floor = max(low, high * 1e-6)
        levels = np.geomspace(floor, high, 22)
        levels[0], levels[-1] = floor * (1 - 1e-9), high * (1 + 1e-9)
        return levels, True
    # Closer together at the bottom: over a bowl contours then lie evenly.
    wide = high - low
    levels = low + wide * np.linspace(0, 1, 22) ** 2
    levels[0], levels[-1] = low - 1e-9 * wide, high + 1e-9 * wide
    return levels, False
