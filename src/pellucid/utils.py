"""keras.utils: the few helpers that scripts use around a model.

The name is Keras's; nothing inside Pellucid imports it.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import random as python_random
import shutil
import time
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import numpy as np

from pellucid import datasets, seeds
from pellucid.backend import is_keras_tensor, standardize_dtype
from pellucid.config import (
    clear_session,
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from pellucid.data import PyDataset, unpack
from pellucid.errors import ArgumentError, DataError, FileError, message
from pellucid.naming import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from pellucid.naming import deserialize as deserialize_keras_object
from pellucid.naming import serialize as serialize_keras_object
from pellucid.progress import Progress
from pellucid.sequences import pad_sequences, timeseries_dataset_from_array
from pellucid.views.plots.layers import Box, draw_layers

#: The names that Keras also has for them.
CustomObjectScope = custom_object_scope
Sequence = PyDataset

__all__ = [
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "Sequence",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]


def set_random_seed(seed: int) -> None:
    """Seed every stream: initial weights, dropout and the order of rows can then be repeated.

    What draws random numbers as it is imported (JAX does) is imported first, so that the first layer
    that is made after this draws the first number.

    >>> set_random_seed(1)
    """
    import pellucid.models  # noqa: F401  # pyright: ignore[reportUnusedImport]

    seeds.set_random_seed(seed)


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray[Any, Any]:
    """Class numbers as one-hot rows.

    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    labels = np.asarray(x).astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    classes = int(labels.max(initial=-1)) + 1 if num_classes is None else int(num_classes)
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise DataError(
            message(
                "class numbers outside the classes.",
                came=f"numbers from {labels.min()} to {labels.max()}",
                expected=f"0 to {classes - 1}",
            )
        )
    return np.eye(classes)[labels]


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray[Any, Any]:
    """Vectors along an axis, divided by their length."""
    array = np.asarray(x)
    length = np.atleast_1d(np.linalg.norm(array, order, axis))
    length = np.where(length == 0, 1, length)
    return array / np.expand_dims(length, axis)


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """Rows in two parts: the first ones and the last ones.

    Args:
        dataset: an array, or a list or tuple of arrays that have the same number of rows.
        left_size, right_size: how many rows, or which part of them; what is not said is the rest.
        shuffle: whether the rows are taken in another order.
        seed: what that order follows from.
        preferred_backend: taken for Keras's sake; what comes is of the kind that is given.

    Example:
        >>> left, right = split_dataset(np.arange(5), left_size=0.6)
        >>> left.tolist(), right.tolist()
        ([0, 1, 2], [3, 4])
    """
    several = isinstance(dataset, list | tuple) and all(hasattr(each, "shape") for each in cast(Any, dataset))
    arrays = [np.asarray(each) for each in (cast(Any, dataset) if several else [dataset])]
    counts = {len(array) for array in arrays}
    if len(counts) != 1:
        raise DataError(
            message("arrays to split have the same number of rows.", came=f"{sorted(counts)} rows")
        )
    count = counts.pop()
    left, right = (_rows(name, size, count) for name, size in (("left", left_size), ("right", right_size)))
    if left is None and right is None:
        raise ArgumentError(message("At least one of the `left_size` or `right_size` must be specified."))
    left = count - cast(int, right) if left is None else left
    right = count - left if right is None else right
    if not left or not right or left + right > count:
        raise ArgumentError(
            message("these sizes do not part the rows.", came=f"{left} and {right}", expected=f"{count} rows")
        )
    order = list(range(count))
    if shuffle:
        python_random.Random(python_random.randint(0, 10**6) if seed is None else seed).shuffle(order)
    kind = type(cast(Any, dataset)) if several else list
    parts = [kind(array[rows] for array in arrays) for rows in (order[:left], order[-right:])]
    return (parts[0], parts[1]) if several else (parts[0][0], parts[1][0])


def _rows(side: str, size: float | None, count: int) -> int | None:
    """How many rows a size says: a whole number, or a part of all."""
    if size is None:
        return None
    most = count if isinstance(size, int) else 1
    if not isinstance(size, int | float) or not 0 < size < most:
        raise ArgumentError(
            message(
                f"`{side}_size` is a number of rows, or a part of them.",
                came=repr(size),
                expected=f"1 to {count - 1}, or between 0.0 and 1.0",
            )
        )
    return size if isinstance(size, int) else round(size * count)


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """x, y and weights as `fit` takes them in a batch: as many as there are.

    >>> pack_x_y_sample_weight(1), pack_x_y_sample_weight(1, 2)
    (1, (1, 2))
    """
    if sample_weight is not None:
        return x, y, sample_weight
    return (x, y) if y is not None else (x,) if isinstance(x, tuple | list) else x


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """x, y and weights of a batch; None for what it has not.

    >>> unpack_x_y_sample_weight((1, 2))
    (1, 2, None)
    """
    return unpack(data)


def get_file(
    fname: str | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: Any = "auto",
    cache_dir: str | None = None,
    force_download: bool = False,
) -> str:
    """The path of a file that is kept on this machine; nothing is downloaded.

    Args:
        fname: its name; by default the last part of `origin`.
        origin: where it comes from. A file of this machine ("file:///...") is copied.
        untar, extract: whether the archive is to be unpacked: then its folder must be there.
        md5_hash, file_hash, hash_algorithm: what its content must be.
        cache_subdir, cache_dir: the folder; by default ~/.keras/datasets.
        archive_format, force_download: taken for Keras's sake.

    Raises:
        FileError: if it is not there, or has another content.
    """
    source = urlsplit(origin or "")
    name = fname or os.path.basename(source.path)
    if not name:
        raise ArgumentError(message("get_file needs the name of the file, or its origin."))
    path = (datasets.folder() if cache_dir is None else pathlib.Path(cache_dir)) / cache_subdir / name
    if not path.exists() and source.scheme == "file":
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(unquote(source.path), path)
    if not path.exists():
        what = f"the folder {name}" if extract or untar else f"the file {name}"
        raise datasets.missing(what, path, origin or "somewhere")
    expected = file_hash or md5_hash
    if expected and path.is_file():
        known = {32: "md5", 64: "sha256"}.get(len(expected), "sha256")
        found = hashlib.new(
            known if hash_algorithm == "auto" else hash_algorithm, path.read_bytes()
        ).hexdigest()
        if found != expected:
            raise FileError(
                message(
                    f"{path} has another content.",
                    came=found,
                    expected=expected,
                    mend="put the right file there.",
                )
            )
    return str(path)


class Progbar:
    """A bar that fills up, for a training loop of one's own.

    Args:
        target: how many steps there are; None if that is not known.
        width: how wide the bar is.
        verbose: 0 is silent, 1 shows a bar, 2 a line at the end.
        interval: how many seconds pass at least before it is drawn again.
        stateful_metrics: names of values that are shown as they are; others are averaged over the steps.
        stateless_metrics: the other way round: names of those that are averaged.
        unit_name: what a step is called.
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ArgumentError(
                message("only one of `stateful_metrics` and `stateless_metrics` is given.", came="both")
            )
        self.target, self.interval = target, interval
        self._averaged = None if stateless_metrics is None else set(stateless_metrics)
        self._as_they_are = set(stateful_metrics or ())
        self._sums: dict[str, tuple[float, int]] = {}
        self._seen, self._began, self._drawn = 0, time.perf_counter(), 0.0
        self._progress = Progress(verbose, width=width, unit=unit_name)

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, float]] | Mapping[str, float] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Say how many steps are done, and what the last ones gave: pairs of a name and a value."""
        last = self.target is not None and current >= self.target if finalize is None else finalize
        steps = max(current - self._seen, 1)
        given = cast(Any, values).items() if isinstance(values, Mapping) else values or ()
        for name, value in given:
            averaged = name not in self._as_they_are if self._averaged is None else name in self._averaged
            total, count = self._sums.get(name, (0.0, 0)) if averaged and not last else (0.0, 0)
            self._sums[name] = (total + float(value) * steps, count + steps)
        self._seen = current
        now = time.perf_counter()
        logs = {name: total / count for name, (total, count) in self._sums.items()}
        if last:
            self._progress.epoch(0, current, now - self._began, logs)
        elif now - self._drawn >= self.interval:
            self._drawn = now
            self._progress.steps(0, current, self.target, now - self._began, logs)

    def add(self, n: int, values: Any = None) -> None:
        """Say that so many more steps are done."""
        self.update(self._seen + n, values)


def plot_model(
    model: Any,
    to_file: str = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Draw the layers of a model as boxes, joined by arrows, with matplotlib.

    Args:
        model: a model that is built.
        to_file: where the picture goes; its ending says of which kind it is.
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable: what is written
            into the boxes beside the kind of layer.
        rankdir: "TB" from the top down, "LR" from left to right.
        dpi: dots per inch.
        expand_nested, splines: taken for Keras's sake; a model within the model is one box.

    Returns:
        The figure.
    """

    def lines(layer: Any, shape: Any) -> tuple[str, ...]:
        activation = getattr(getattr(layer, "activation", None), "__name__", None)
        return (
            f"{layer.name} ({type(layer).__name__})" if show_layer_names else type(layer).__name__,
            *([f"activation: {activation}"] if show_layer_activations and activation else []),
            *([f"output shape: {shape}"] if show_shapes else []),
            *([f"type: {getattr(layer, 'compute_dtype', '?')}"] if show_dtype else []),
            *([f"trainable: {getattr(layer, 'trainable', True)}"] if show_trainable else []),
        )

    return draw_layers(_boxes(model, lines), to_file, dpi, sideways=rankdir in ("LR", "RL"))


def _boxes(model: Any, lines: Any) -> list[Box]:
    """The calls of a model's layers, each with those that it follows from."""
    graph = getattr(model, "_graph", None)
    if graph is None:
        layers = model.layers
        shapes = [model.output_shape_of(each) if model.built else None for each in layers]
        chain = enumerate(zip(layers, shapes, strict=True))
        return [Box(lines(*each), (number - 1,) if number else ()) for number, each in chain]
    place = {id(node): number for number, node in enumerate(graph.nodes)}
    return [
        Box(
            lines(node.operation, node.outputs[0].shape),
            tuple(sorted({place[id(each.node)] for each in node.inputs if id(each.node) in place})),
        )
        for node in graph.nodes
    ]
