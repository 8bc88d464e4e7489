"""The run file, `.pellucid`: what a training left behind, in one file that is safe to open.

It is a zip of a few members, stored as they are:

    run.json               what kind of run it is, the network's configuration, and plain data about it
    weights.safetensors    the network's weights, by their paths
    record.safetensors     the numbers of the recorded training, if it was recorded: log, snapshots, ...
    data.safetensors       the rows that were trained on, if they came along

Reading it runs nothing from it. The JSON is strict, the members are these, every size is
checked before it is used, layers come from our own catalogue only, and every weight must have the
shape that its layer says. A file that is damaged or not ours is a FileError. Reading needs no JAX;
`build` makes the network when somebody asks it something.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from pellucid.errors import ArgumentError, FileError, UnknownNameError, message
from pellucid.writing import written_whole

FORMAT = 2
#: The oldest format that is read: the first had no recorded trainings.
OLDEST = 1
ENDING = ".pellucid"
RUN, WEIGHTS = "run.json", "weights.safetensors"
RECORD, DATA = "record.safetensors", "data.safetensors"
#: run.json describes; it is never large.
LARGEST_RUN = 64 * 2**20
#: The deepest that layers may hold layers, and that JSON may nest.
DEEPEST, DEEPEST_JSON = 64, 400
#: Rows of so many numbers may always be given; what is made for them is bounded by the weights.
ROW = 2**20
_FIELDS = ("model", "schema", "report", "history", "scaling", "training")

NumPy = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Run:
    """What a run file holds.

    Args:
        kind: what was trained: "table", or "training" for any model's.
        model: the network's configuration, as `model.get_config()` gives it.
        weights: its weights, by their paths.
        schema: what the columns are.
        report: how well it answers.
        history: loss and metrics of each epoch.
        scaling: how outputs become answers.
        training: facts about the training: rows, epochs, seed, ...
        record: the recorded training as plain data; empty if it was not recorded.
        arrays: the numbers of the recorded training, by name.
        data: the rows that were trained on, if they came along: "x" and "y".
        version: the version of Pellucid that wrote it; left empty, this one writes its own.
    """

    kind: str
    model: Mapping[str, Any]
    weights: Mapping[str, NumPy]
    schema: Mapping[str, Any] = field(default_factory=dict[str, Any])
    report: Mapping[str, Any] = field(default_factory=dict[str, Any])
    history: Mapping[str, Any] = field(default_factory=dict[str, Any])
    scaling: Mapping[str, Any] = field(default_factory=dict[str, Any])
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    record: Mapping[str, Any] = field(default_factory=dict[str, Any])
    arrays: Mapping[str, NumPy] = field(default_factory=dict[str, NumPy])
    data: Mapping[str, NumPy] = field(default_factory=dict[str, NumPy])
    version: str = ""


# Writing.


def write(path: str | os.PathLike[str], run: Run) -> None:
    """Write a run file, whole or not at all.

    Raises:
        FileError: if it cannot be written there.
        ArgumentError: if something in it is no plain data.
    """
    from safetensors.numpy import save

    described = {
        "format": FORMAT,
        "pellucid": run.version or importlib.metadata.version("pellucid"),
        "kind": run.kind,
        **{name: plain(getattr(run, name)) for name in _FIELDS},
        "record": plain(run.record),
        "weights": {name: list(array.shape) for name, array in run.weights.items()},
    }
    text = json.dumps(described, allow_nan=False, ensure_ascii=False, indent=1).encode()

    def packed(arrays: Mapping[str, NumPy]) -> bytes:
        return save({name: np.asarray(array, order="C") for name, array in arrays.items()})

    members = [(RUN, text), (WEIGHTS, packed(run.weights))]
    members += [(name, packed(own)) for name, own in ((RECORD, run.arrays), (DATA, run.data)) if own]
    with written_whole(path) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members:
            # One fixed date: the same run gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)


def plain(value: Any) -> Any:
    """A value in JSON's types; numbers that are not finite become None, since JSON has none.

    >>> plain({"loss": (np.float32(0.5), float("nan"))})
    {'loss': [0.5, None]}
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast(list[Any], value)]
    if isinstance(value, np.generic | np.ndarray):
        return plain(cast(Any, value).tolist())
    raise ArgumentError(message("this cannot be written into a run file.", came=repr(value)))


# Reading.


def read(path: str | os.PathLike[str], kind: str | None = None) -> Run:
    """Read a run file, without JAX.

    Args:
        path: the file.
        kind: the kind that it has to be, if that matters.

    Raises:
        FileError: if there is no such file, or it is damaged, of another kind, or not ours.
    """
    path = Path(path)
    if path.is_dir():
        raise FileError(
            message("this is a folder, not a run file.", came=str(path), expected=f"a {ENDING} file")
        )
    try:
        with open(path, "rb") as file:
            members = _members(path, file)
    except FileNotFoundError:
        raise FileError(
            message(
                "there is no such file.",
                came=str(path),
                expected=f"a {ENDING} file",
                mend="make one with pellucid fit TABLE --target COLUMN.",
            )
        ) from None
    except OSError as problem:
        raise FileError(
            message("this file cannot be read.", came=f"{path}: {problem.strerror or problem}")
        ) from None
    described = _described(path, members[RUN])
    weights = tensors(path, members[WEIGHTS])
    if described.get("format") == OLDEST:
        described.setdefault("record", {})
    if described.get("format") not in range(OLDEST, FORMAT + 1):
        newer = isinstance(described.get("format"), int) and described["format"] > FORMAT
        raise FileError(
            message(
                "this run file has a format that this version cannot read.",
                came=f"{path}: format {described.get('format')!r} of Pellucid {described.get('pellucid')}",
                expected=f"format {OLDEST} to {FORMAT}",
                mend="install a newer Pellucid." if newer else "",
            )
        )
    wanted = {"format": int, "pellucid": str, "kind": str, "weights": dict, "record": dict}
    wanted |= dict.fromkeys(_FIELDS, dict)
    wrong = [name for name, type_ in wanted.items() if not isinstance(described.get(name), type_)]
    if wrong or set(described) != set(wanted):
        raise damaged(path, f"{RUN} has the entries {', '.join(described)}", f"{', '.join(wanted)}")
    if kind is not None and described["kind"] != kind:
        raise FileError(
            message(
                "this run file is of another kind.",
                came=described["kind"],
                expected=kind,
                mend="pellucid show and explain open it; so does pellucid.History.load(...)."
                if kind == "table"
                else "",
            )
        )
    shapes = {name: list(array.shape) for name, array in weights.items()}
    if shapes != described["weights"]:
        raise damaged(path, f"{WEIGHTS} holds other weights than {RUN} says")
    return Run(
        described["kind"],
        described["model"],
        # In the order that the network has them in.
        {name: weights[name] for name in described["weights"]},
        **{name: described[name] for name in _FIELDS if name != "model"},
        record=described["record"],
        arrays=tensors(path, members[RECORD], RECORD) if RECORD in members else {},
        data=tensors(path, members[DATA], DATA) if DATA in members else {},
        version=described["pellucid"],
    )


def damaged(path: Path, came: str, expected: str = "") -> FileError:
    """The error for a file that is damaged, or not ours."""
    return FileError(
        message(
            "this is not a run file of Pellucid, or it is damaged.",
            came=f"{path}: {came}",
            expected=expected or "a file as pellucid fit wrote it",
            mend="copy the file again, or train again with pellucid fit.",
        )
    )


def _members(path: Path, file: BinaryIO) -> dict[str, bytes]:
    """The members of the zip, which must be those that there can be, in their order."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(4)
    if start != b"PK\x03\x04":
        raise damaged(path, f"it begins with {start!r}" if start else "it is empty")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if names != [RUN, WEIGHTS, *(name for name in (RECORD, DATA) if name in names)]:
                raise damaged(path, f"a zip of {', '.join(names[:6]) or 'nothing'}", f"{RUN} and {WEIGHTS}")
            for entry in entries:
                largest = min(size, LARGEST_RUN if entry.filename == RUN else size)
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                    raise damaged(path, f"{entry.filename} is compressed", "members stored as they are")
                if entry.file_size > largest:
                    raise damaged(path, f"{entry.filename} says that it has {entry.file_size:,} bytes")
            return {entry.filename: archive.read(entry) for entry in entries}
    except FileError:
        raise
    except Exception as problem:  # zipfile raises half a dozen types on damaged files
        raise damaged(path, str(problem) or type(problem).__name__) from None


def strict_json(content: bytes | str) -> dict[str, Any]:
    """One JSON object without repeated keys, numbers that are not finite, or endless nesting.

    >>> strict_json(b'{"a": 1}')
    {'a': 1}

    Raises:
        ValueError: if it is anything else.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name occurs twice in one object")
        return found

    def finite(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(f"{text} is not a finite number")
        return number

    def refuse(text: str) -> float:
        raise ValueError(f"{text} is not a finite number")

    text = content.decode("utf-8") if isinstance(content, bytes) else content
    try:
        value = json.loads(text, object_pairs_hook=once, parse_float=finite, parse_constant=refuse)
    except RecursionError as problem:
        raise ValueError(str(problem)) from None
    if not isinstance(value, dict):
        raise ValueError("it is not one JSON object")
    level: list[Any] = [value]
    for _ in range(DEEPEST_JSON):
        level = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return cast(dict[str, Any], value)
    raise ValueError("it is nested too deeply")


def _described(path: Path, content: bytes) -> dict[str, Any]:
    """What run.json says."""
    try:
        return strict_json(content)
    except ValueError as problem:
        raise damaged(path, f"{RUN}: {problem}") from None


def tensors(path: Path, content: bytes, name: str = WEIGHTS) -> dict[str, NumPy]:
    """The arrays of a member in safetensors' form."""
    from safetensors.numpy import load

    try:
        weights = load(content)
    except Exception as problem:  # the parser raises types of its own
        raise damaged(path, f"{name}: {problem}") from None
    return cast(dict[str, NumPy], weights)


# From a run to a network.


def build(run: Run, path: str | os.PathLike[str] = "the run") -> Any:
    """Make the network of a run, with its weights. Needs JAX.

    Raises:
        FileError: if the configuration makes no network, or the weights do not fit it.
    """
    path = Path(path)
    _require_bounded(path, run)
    from pellucid.layers import CATALOGUE

    try:
        model = CATALOGUE.make({"class_name": "Sequential", **_class_of(run.model)})
        if (shape := run.model.get("build_input_shape")) and not model.built:
            model.build_from_config({"input_shape": shape})
        _name_as_written(model, list(run.weights))
        variables = {variable.path: variable for variable in model.weights}
    except UnknownNameError as problem:
        raise FileError(
            message(
                f"{path} holds a model with parts that are not known here.",
                came=str(problem).splitlines()[0],
                expected="layers of Pellucid, or your own, by name",
                mend='History.load(path, custom_objects={"Name": Name}).',
            )
        ) from None
    except Exception as problem:  # whatever a layer says about arguments that it cannot use
        raise damaged(path, f"no network can be made of it: {str(problem).splitlines()[0]}") from None
    if len(variables) != len(model.weights) or list(variables) != list(run.weights):
        raise damaged(
            path,
            f"weights {', '.join(run.weights) or 'none'}",
            f"the network's: {', '.join(variables) or 'none'}",
        )
    for name, variable in variables.items():
        array = run.weights[name]
        if tuple(array.shape) != variable.shape or str(array.dtype) != str(np.dtype(variable.dtype)):
            raise damaged(
                path, f"weight {name}: {array.shape} {array.dtype}", f"{variable.shape} {variable.dtype}"
            )
    for name, variable in variables.items():
        variable.assign(run.weights[name])
    return model


def _name_as_written(model: Any, paths: list[str]) -> None:
    """Give the weights of layers of the user's own the names that they had.

    Layers that these make for themselves have automatic names, which count on from whatever was made
    before. All names of our own layers are in the file.
    """
    own = any(not type(layer).__module__.startswith("pellucid.") for layer in _all_layers(model))
    if own and len(model.weights) == len(paths):
        for variable, path in zip(model.weights, paths, strict=True):
            variable.path = path


def _all_layers(layer: Any) -> Iterator[Any]:
    yield layer
    for each in layer.sublayers:
        yield from _all_layers(each)


def described_model(model: Any) -> dict[str, Any]:
    """A model's configuration as a run file keeps it: that of a Sequential, or the class and its own."""
    from pellucid.naming import serialize

    config = serialize(model)
    if config["registered_name"] is None and config["class_name"] == "Sequential":
        return config["config"]
    return {
        "class_name": config["class_name"],
        "config": config["config"],
        "build_input_shape": _plain_shape(model.input_shape),
    }


def _plain_shape(shape: Any) -> Any:
    """The shape of a batch, or of a dict of batches, as lists; None for anything else."""
    if isinstance(shape, Mapping):
        parts = {str(k): _plain_shape(each) for k, each in cast(Mapping[Any, Any], shape).items()}
        return None if None in parts.values() else parts
    if isinstance(shape, tuple):
        sizes = list(cast(tuple[Any, ...], shape))
        return sizes if all(size is None or isinstance(size, int) for size in sizes) else None
    return None


def _class_of(model: Mapping[str, Any]) -> dict[str, Any]:
    """The class and the configuration of a model in a run file."""
    if "class_name" in model:
        return {"class_name": model["class_name"], "config": model["config"]}
    return {"config": model}


def _require_bounded(path: Path, run: Run) -> None:
    """Raise FileError if building the layers would need more numbers than the file holds.

    A few bytes can ask for a layer of a billion units. What layers may ask for is bounded by the
    weights, which are here already.
    """
    held = sum(int(array.size) for array in run.weights.values())

    def bounded(sizes: Any, what: str, room: int = held) -> int:
        """The product of the sizes of a shape, the unknown ones left out."""
        product = 1
        for size in cast(list[Any], sizes) if isinstance(sizes, list) else [sizes]:
            product *= size if isinstance(size, int) and size > 0 else 1
        if product > room:
            raise damaged(
                path, f"a layer with {what} of {product:,}, and {held:,} numbers in all the weights"
            )
        return product

    def shaped(sizes: Any, what: str) -> tuple[int, int]:
        """How many numbers the last axis of such rows has, and how many all of them together."""
        product = bounded(sizes, what, max(held, ROW))
        last = cast(list[Any], sizes)[-1] if isinstance(sizes, list) and sizes else sizes
        return (last if isinstance(last, int) and last > 0 else product), product

    def walk(layers: Any, given: tuple[int, int], depth: int = 0) -> tuple[int, int]:
        """Go through layers in their order; the next one is given rows of such sizes."""
        if depth > DEEPEST:
            raise damaged(path, "layers within layers within layers")
        for layer in cast(list[Any], layers) if isinstance(layers, list) else []:
            config = cast(Any, layer).get("config") if isinstance(layer, dict) else None
            if not isinstance(config, dict):
                raise damaged(path, "a layer without a configuration")
            entries = cast(dict[str, Any], config)
            for name in ("shape", "batch_shape", "build_input_shape", "input_shape", "target_shape"):
                if entries.get(name) is not None and not isinstance(entries[name], dict):
                    given = shaped(entries[name], name)
            if cast(Any, layer).get("class_name") == "Flatten":
                given = (given[1], given[1])
            units = entries.get("units")
            if isinstance(units, int) and not isinstance(units, bool):
                bounded([given[0], units], "a kernel")
                bounded(units, "units")
                given = (units, given[1] // max(given[0], 1) * units)
            given = walk(entries.get("layers"), given, depth + 1)
        return given

    made = _class_of(run.model)["config"]
    if not isinstance(made, dict):
        raise damaged(path, "a network without a configuration")
    first = (1, 1)
    for config in (cast(dict[str, Any], made), run.model):
        if (shape := config.get("build_input_shape")) is not None and not isinstance(shape, dict):
            first = shaped(shape, "an input")
    walk(cast(dict[str, Any], made).get("layers"), first)
