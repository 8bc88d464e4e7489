"""Opened steps and histories as HTML for notebooks: one piece of markup, nothing loaded from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError
from pellucid.formula import shown
from pellucid.views import told

STYLE = (
    "<style>.pellucid{font-family:system-ui,sans-serif;line-height:1.4;max-width:70em}"
    ".pellucid table{border-collapse:collapse;margin:.4em 0}"
    ".pellucid th,.pellucid td{padding:.15em .7em;text-align:right;border-bottom:1px solid #8884}"
    ".pellucid th:first-child,.pellucid td:first-child{text-align:left}"
    ".pellucid pre{white-space:pre-wrap;margin:.3em 0}"
    ".pellucid summary{cursor:pointer;font-weight:600}"
    ".pellucid details{margin:.3em 0}.pellucid .note{opacity:.75}</style>"
)


def plain(text: str) -> str:
    """Text that keeps its lines."""
    return f'<div class="pellucid">{STYLE}<pre>{html.escape(text)}</pre></div>'


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; numbers are shown with four digits."""

    def cell(value: Any, tag: str = "td") -> str:
        text = shown(float(value)) if isinstance(value, float | np.floating) else str(value)
        return f"<{tag}>{html.escape(text)}</{tag}>"

    body = "".join(f"<tr>{''.join(cell(each) for each in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(cell(each, 'th') for each in head)}</tr>{body}</table>"


def step(opened: Any) -> str:
    """An opened step: what it is, its layers and weights, and its four parts with their formulas."""
    example, because = told.followed(opened)
    head = html.escape(told.title(opened))
    batch = html.escape("\n".join(told.batch(opened, example, because)))
    parts = [f"<p><b>{head}</b></p><pre>{batch}</pre>"]
    parts.append(_folded("Forward", _forward(opened, example), True))
    formulas = _formula(opened, f"loss[{example}]") + _formula(opened, "cost")
    parts.append(_folded(f"Cost: {shown(opened.cost)}", formulas, True))
    weights = [
        (
            path,
            " x ".join(map(str, array.shape)) or "1",
            told.length(array),
            told.length(opened.gradients[path]),
            told.length(opened.updates[path]),
        )
        for path, array in opened.weights.items()
    ]
    chosen = told.chosen_weights(opened, list(opened.layers), {}, "short")
    formulas = "".join(_formula(opened, f"{reference}.gradient") for reference in chosen)
    lengths = table(["weights", "shape", "length", "of the gradient", "of the update"], weights)
    parts.append(_folded("Gradient", lengths + formulas, False))
    formulas = "".join(_formula(opened, reference) for reference in chosen)
    parts.append(_folded(f"Update: {html.escape(told.optimizer(opened))}", formulas, False))
    parts.append(f'<p class="note">{html.escape(told.agreement(opened))}</p>')
    return f'<div class="pellucid">{STYLE}{"".join(parts)}</div>'


def _folded(title: str, inside: str, open_: bool) -> str:
    return f"<details{' open' if open_ else ''}><summary>{title}</summary>{inside}</details>"


def _forward(opened: Any, example: int) -> str:
    lines: list[str] = []
    for layer in opened.layers:
        output = layer.output
        if not isinstance(output, np.ndarray):
            continue
        index = told.unit(layer, example, None)
        inside = f"[{','.join(map(str, index))}]" if index else ""
        lines.append(f"<p>{html.escape(told.headline(layer))}</p>")
        for what in ("z", "output"):
            if what in layer.arrays:
                lines.append(_formula(opened, f"{layer.name}.{what}{inside}", example))
    return "".join(lines)


def _formula(opened: Any, reference: str, example: int | None = None) -> str:
    try:
        made = opened.formula(reference, example=example).mathml
        # Not as a block of its own, which browsers centre.
        beside = made.replace(' display="block"', "")
        return f"<div>{beside}</div>"
    except ArgumentError:
        return ""


def history(found: Any) -> str:
    """A history: its curve as a small picture, its last values, and how to go on."""
    values = {name: each for name, each in found.history.items() if each and np.ndim(each[-1]) == 0}
    rows = [(name, float(each[0]), float(each[-1])) for name, each in values.items()]
    curve = _curve(values.get("loss", []), values.get("val_loss", []))
    steps = getattr(found, "steps", 0)
    how = f"history.open(0) to history.open({steps - 1}) opens a step." if steps else ""
    said = f"{len(found.epoch)} epochs, {steps:,} steps. {how}" if steps else f"{len(found.epoch)} epochs."
    return (
        f'<div class="pellucid">{STYLE}{curve}'
        f"{table(['', 'first epoch', 'last epoch'], rows)}<p class='note'>{html.escape(said)}</p></div>"
    )


def _curve(loss: Sequence[float], held_out: Sequence[float]) -> str:
    """The loss over the epochs, the validation's dashed."""
    drawn = [np.asarray(each, np.float64) for each in (loss, held_out) if len(each) > 1]
    finite = np.concatenate([each[np.isfinite(each)] for each in drawn]) if drawn else np.zeros(0)
    if not len(finite):
        return ""
    low, high = float(finite.min()), float(finite.max())
    width, height = 360, 120

    def line(values: Any, dashes: str) -> str:
        places = np.linspace(0, width, len(values))
        heights = height - (values - low) / ((high - low) or 1.0) * height
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(places, heights, strict=True) if np.isfinite(y))
        return f'<polyline points="{points}" fill="none" stroke="currentColor" {dashes}/>'

    lines = [line(values, 'stroke-dasharray="4 3"' if number else "") for number, values in enumerate(drawn)]
    title = f"loss, {shown(low)} to {shown(high)}" + ("; dashed: validation" if len(drawn) > 1 else "")
    return (
        f'<svg viewBox="-4 -4 {width + 8} {height + 8}" width="{width}" role="img" '
        f'aria-label="{title}"><title>{title}</title>{"".join(lines)}</svg><div class="note">{title}</div>'
    )
