"""The table that `model.summary()` prints."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from typing import Any

from rich.box import HEAVY_HEAD
from rich.console import Console
from rich.table import Table

from pellucid.layers.layer import Layer


def print_summary(
    model: Any,
    line_length: int | None = None,
    print_fn: Callable[..., Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
) -> None:
    """Print the layers, their output shapes and their numbers of weights, then the totals."""
    table = Table(box=HEAVY_HEAD, show_lines=True)
    table.add_column("Layer (type)", style="cyan", overflow="fold")
    table.add_column("Output Shape", style="green", overflow="fold")
    table.add_column("Param #", justify="right", style="blue")
    branches = getattr(model, "branches", False)
    if branches:
        table.add_column("Connected to", overflow="fold")
    if show_trainable:
        table.add_column("Trainable", justify="center")
    for depth, parent, layer in _rows(model, expand_nested):
        shape = (
            str(parent.output_shape_of(layer)) if hasattr(parent, "output_shape_of") and parent.built else "?"
        )
        cells = [f"{'  ' * depth}{layer.name} ({type(layer).__name__})", shape, _count(layer)]
        if branches:
            cells.append(", ".join(parent.connections_of(layer)) if hasattr(parent, "branches") else "")
        if show_trainable:
            cells.append("Y" if getattr(layer, "trainable", False) else "N")
        table.add_row(*cells)
    total = sum(variable.size for variable in model.weights)
    moved = sum(variable.size for variable in model.trainable_weights)
    lines = [
        ("Total params", total),
        ("Trainable params", moved),
        ("Non-trainable params", total - moved),
    ]
    bytes_each = 4
    plain = print_fn is not None
    console = Console(
        file=io.StringIO() if plain else None,
        width=line_length or (80 if plain else max(60, min(100, shutil.get_terminal_size((80, 24)).columns))),
        highlight=False,
    )
    console.print(f'Model: "{model.name}"', style=None if plain else "bold")
    console.print(table)
    for name, count in lines:
        console.print(f" {name}: {count:,} ({_size(count * bytes_each)})")
    if print_fn is not None and isinstance(console.file, io.StringIO):
        print_fn(console.file.getvalue())


def _count(layer: Any) -> str:
    """How many numbers the weights of a layer hold; functions of keras.ops have none."""
    if not isinstance(layer, Layer):
        return "0"
    return f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"


def _rows(model: Any, expand: bool, depth: int = 0) -> Iterator[tuple[int, Any, Any]]:
    for layer in getattr(model, "operations", model.layers):
        yield depth, model, layer
        if expand and hasattr(layer, "layers"):
            yield from _rows(layer, expand, depth + 1)


def _size(size: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            return f"{size:.2f} {unit}"
        size /= 1024
    return ""
