"""What all pictures share: axes, colours, titles, and the one error where matplotlib is missing."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, StateError, did_you_mean, message

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
#: A model is asked for rows of so many numbers together.
AT_ONCE = 2**24
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


def axes_of(ax: Any, size: tuple[float, float]) -> Any:
    """The axes that were given, or those of a new figure (size in inches)."""
    if ax is None:
        _, ax = _pyplot().subplots(figsize=size, layout="constrained")
    elif not hasattr(ax, "plot"):
        raise ArgumentError(
            message("ax is no matplotlib axes.", came=repr(ax), mend="figure, ax = plt.subplots()")
        )
    return ax


def closed(figure: Any) -> None:
    """Let matplotlib forget a figure that is in a file."""
    _pyplot().close(figure)


def calm(ax: Any) -> None:
    """Leave only the lines that help to read the numbers."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)


def titled(ax: Any, lines: Sequence[str]) -> None:
    """A title of several lines, broken where the axes end."""
    inches = ax.get_window_extent().width / ax.figure.dpi
    size = 10.5 if inches > 4 else 9.0
    # A letter is a little wider than half as high.
    room = max(24, int(1.15 * inches * 72 / (0.54 * size)))
    wrapped = [part for line in lines if line for part in textwrap.wrap(line, room)]
    ax.set_title("\n".join(wrapped), fontsize=size, color=INK)


def beside(ax: Any, handles: Sequence[Any]) -> None:
    """The legend, at the right of the axes, where it hides nothing."""
    ax.legend(handles=handles, fontsize=8.5, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.02))


def from_to(light: float = 0.0) -> Any:
    """Colours from vermillion over nearly white to blue, mixed with so much white."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    named = [VERMILLION, "#F3B98F", "#F7F7F5", "#8FC1E3", BLUE]
    mixed = [tuple(light + (1 - light) * part for part in to_rgb(each)) for each in named]
    return LinearSegmentedColormap.from_list("pellucid", mixed)


def whole_number(name: str, value: Any, least: int) -> int:
    """A whole number of at least so much, or ArgumentError."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < least:
        raise ArgumentError(
            message(f"{name} is a whole number.", came=repr(value), expected=f"{least} or more")
        )
    return int(value)


def weight_named(step: Any, reference: str) -> tuple[str, tuple[int, ...]]:
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
