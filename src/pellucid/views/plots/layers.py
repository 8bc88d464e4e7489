"""A model as boxes, one for each call of a layer, joined by arrows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.views.plots.canvas import GREY, INK, axes_of, closed


@dataclass(frozen=True)
class Box:
    """A call of a layer: what is written in it, and the numbers of the boxes that come before it."""

    lines: tuple[str, ...]
    sources: tuple[int, ...] = ()


def levels(boxes: Sequence[Box]) -> list[int]:
    """How many boxes lie before each, on the longest way to it.

    >>> levels([Box(("a",)), Box(("b",), (0,)), Box(("c",), (0, 1))])
    [0, 1, 2]
    """
    found: list[int] = []
    for box in boxes:
        found.append(1 + max((found[source] for source in box.sources), default=-1))
    return found


def draw_layers(boxes: Sequence[Box], to_file: str, dpi: int = 200, sideways: bool = False) -> Any:
    """Draw boxes, each after those that it follows from, and write the picture to a file."""
    level = levels(boxes)
    wide = 0.09 * max(len(line) for box in boxes for line in box.lines) + 0.6
    high = 0.19 * max(len(box.lines) for box in boxes) + 0.55
    deepest, widest = max(level) + 1, max(level.count(each) for each in set(level))
    size = (deepest * (wide + 0.3), widest * high) if sideways else (widest * wide, deepest * high)
    ax = axes_of(None, size)
    ax.set_axis_off()
    ax.set(xlim=(0, size[0]), ylim=(0, size[1]))

    def centre(number: int) -> tuple[float, float]:
        beside = [each for each, other in enumerate(level) if other == level[number]]
        across = (beside.index(number) + 0.5) / len(beside)
        along = (level[number] + 0.5) / deepest
        place = (along, 1 - across) if sideways else (across, 1 - along)
        return place[0] * size[0], place[1] * size[1]

    written = [
        ax.annotate(
            "\n".join(box.lines),
            centre(number),
            ha="center",
            va="center",
            fontsize=9,
            color=INK,
            bbox={"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": GREY},
        )
        for number, box in enumerate(boxes)
    ]
    for number, box in enumerate(boxes):
        for source in box.sources:
            ax.annotate(
                "",
                xy=centre(number),
                xytext=centre(source),
                arrowprops={
                    "arrowstyle": "->",
                    "color": GREY,
                    "patchA": written[source].get_bbox_patch(),
                    "patchB": written[number].get_bbox_patch(),
                },
                zorder=0,
            )
    ax.figure.savefig(to_file, dpi=dpi)
    closed(ax.figure)
    return ax.figure
