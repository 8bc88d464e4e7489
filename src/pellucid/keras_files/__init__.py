"""Keras's files, both ways: `model.save("m.keras")`, `load_model`, `save_weights`, `load_weights`.

What is written here, Keras reads, and the other way round, with the optimizer and all it remembers, so
that either goes on training where the other stopped. Files are not trusted: nothing in one is run,
imported, or followed to somewhere else (see `hdf5`, `archive` and naming.py).

archive   the members of a `.keras` file
layout    where a model's numbers lie among the weights
hdf5      the arrays of a file that nobody vouches for
"""

from __future__ import annotations

import datetime
import io
import json
import os
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pellucid import run_files, writing
from pellucid.errors import ArgumentError, FileError, PartError, StateError, UnknownNameError, message
from pellucid.keras_files import archive, hdf5, layout
from pellucid.keras_files.archive import ENDING, WEIGHTS_ENDING
from pellucid.naming import custom_object_scope, is_ours, made, reading_a_file, serialize, writing_a_file
from pellucid.optimizers import Optimizer, scaled
from pellucid.variables import room_for

#: The version of Keras whose format is written.
KERAS_VERSION = "3.15.1"
NumPy = np.ndarray[Any, Any]
FilePath = str | os.PathLike[str]


def save_model(
    model: Any, filepath: FilePath, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
) -> None:
    """Write a model into one file: what it is, its weights, and what its optimizer remembers.

    Args:
        model: the model.
        filepath: a name that ends in `.keras`, or an open file of bytes; with `.pellucid`, a run
            file of the model alone.
        overwrite: whether a file that is there may be written over.
        zipped: False writes a folder of the same members.

    Raises:
        FileError: if it cannot be written there.
        ArgumentError: if the model holds what cannot be written down, such as a lambda.
    """
    _refuse_arguments("save", kwargs)
    if hasattr(filepath, "write"):
        archive.pack(filepath, _members(model))
        return
    path = Path(filepath)
    _require_free(path, overwrite)
    if path.suffix == run_files.ENDING:
        _require_built(model, "save")
        weights = {variable.path: variable.numpy() for variable in model.weights}
        run_files.write(path, run_files.Run("model", run_files.described_model(model), weights))
        return
    if path.suffix != ENDING and zipped is not False:
        raise _other_ending(path, "model.save('model.keras')")
    if path.suffix == ENDING and zipped is False:
        raise ArgumentError(
            message(
                f"the name of a folder should not end in {ENDING}.",
                came=str(path),
                mend=f"save it as {path.stem}, or leave zipped=False out.",
            )
        )
    archive.write(path, _members(model), zipped is not False)


def _members(model: Any) -> dict[str, bytes]:
    """What a file of a model holds."""
    with writing_a_file():
        config = serialize(model)
    now = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    metadata = {"keras_version": KERAS_VERSION, "date_saved": now}
    return {
        archive.METADATA: json.dumps(metadata).encode(),
        archive.CONFIG: _as_json(config).encode(),
        archive.WEIGHTS: _packed(model),
        **_assets(model),
    }


def load_model(
    filepath: FilePath,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Read a model that `save_model`, here or in Keras, wrote.

    Args:
        filepath: its name, or an open file of bytes.
        custom_objects: layers, losses, functions, ... of your own, by name.
        compile: whether the model is compiled as it was, and its optimizer goes on where it was.
        safe_mode: accepted; code in a file is never run, whatever is said here.

    Raises:
        FileError: if there is no such file, or it is damaged, or holds what is not known or not allowed.
    """
    is_open = hasattr(filepath, "read")
    path = Path(f"a file{ENDING}" if is_open else filepath)
    with custom_object_scope(custom_objects):
        if path.suffix == run_files.ENDING:
            return run_files.build(run_files.read(path), path)
        if path.suffix != ENDING and not path.is_dir():
            raise _other_ending(
                path, "save the model as model.save('model.keras') with Keras 3, and load that"
            )
        members = archive.unpack(path, filepath) if is_open else archive.read(path)
        config = archive.described(path, members)
        arrays = _arrays(path, members[archive.WEIGHTS])
        if not compile:
            config["compile_config"] = None
        model = _made(path, config, sum(array.size for array in arrays.values()))
        assets = {name: content for name, content in members.items() if name.startswith("assets/")}
        try:
            _load_assets(model, assets)
        except Exception as problem:
            raise archive.damaged(path, _first_line(problem)) from None
        _wrap_optimizer(model, arrays)
        _give(path, model, arrays)
    return model


def save_weights(
    model: Any,
    filepath: FilePath,
    overwrite: bool = True,
    max_shard_size: float | None = None,
    objects_to_skip: Sequence[Any] | None = None,
    **kwargs: Any,
) -> None:
    """Write a model's weights, and what its optimizer remembers, into a `.weights.h5` file.

    Args:
        model: the model.
        filepath: a name that ends in `.weights.h5`.
        overwrite: whether a file that is there may be written over.
        max_shard_size: must be None: there is one file.
        objects_to_skip: layers whose weights are left out.

    Raises:
        FileError: if it cannot be written there.
        StateError: if the model has no weights yet.
    """
    _refuse_arguments("save_weights", kwargs)
    path = Path(filepath)
    if not path.name.endswith(WEIGHTS_ENDING) or max_shard_size is not None:
        raise ArgumentError(
            message(
                f"The filename must end in `{WEIGHTS_ENDING}`."
                if max_shard_size is None
                else "weights in several files are not supported.",
                came=f"filepath={path}" if max_shard_size is None else f"max_shard_size={max_shard_size}",
                mend=f'model.save_weights("model{WEIGHTS_ENDING}").',
            )
        )
    _require_built(model, "save_weights")
    _require_free(path, overwrite)
    content = _packed(model, objects_to_skip or ())
    with writing.written_whole(path) as beside:
        beside.write_bytes(content)


def load_weights(
    model: Any,
    filepath: FilePath,
    skip_mismatch: bool = False,
    objects_to_skip: Sequence[Any] | None = None,
    **kwargs: Any,
) -> None:
    """Give a model the weights of a `.weights.h5` or `.keras` file.

    Args:
        model: a model that is built, with the same layers.
        filepath: the file.
        skip_mismatch: whether layers that do not fit keep their weights, with a warning.
        objects_to_skip: layers that keep the weights that they have.

    Raises:
        FileError: if there is no such file, or it is damaged, or does not fit.
        StateError: if the model has no weights yet.
    """
    path = Path(filepath)
    _refuse_arguments("load_weights", kwargs)
    _require_built(model, "load_weights")
    if path.suffix == ENDING:
        content = archive.read(path)[archive.WEIGHTS]
    elif path.name.endswith(WEIGHTS_ENDING):
        content = _content(path)
    else:
        raise _other_ending(path, f"a {WEIGHTS_ENDING} file, as model.save_weights of Keras 3 writes it")
    _give(path, model, _arrays(path, content), skip_mismatch, objects_to_skip or ())


def to_json(model: Any, **kwargs: Any) -> str:
    """A model without its weights, as JSON; `model_from_json` makes it again."""
    with writing_a_file():
        return _as_json(serialize(model), **kwargs)


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Make the model that `model.to_json()`, here or in Keras, wrote down, with new weights.

    Raises:
        ArgumentError: if the text is no model.
    """
    try:
        config = run_files.strict_json(json_string)
    except ValueError as problem:
        raise ArgumentError(message("this is no model in JSON.", came=problem)) from None
    with custom_object_scope(custom_objects), reading_a_file():
        return _model_of(config)


# What a file is made of.


def _as_json(config: Any, **kwargs: Any) -> str:
    try:
        return json.dumps(config, allow_nan=False, **kwargs)
    except (TypeError, ValueError) as problem:
        raise ArgumentError(message("this model cannot be written down.", came=problem)) from None


def _packed(model: Any, skipped: Sequence[Any] = ()) -> bytes:
    """The weights as HDF5, as Keras lays them out."""
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for path, thing in layout.parts(model, skipped):
            group = file.require_group(f"{path}/vars" if path else "vars")
            if isinstance(name := getattr(thing, "name", None), str):
                group.attrs["name"] = name
            for key, array in layout.own_variables(thing).items():
                made = group.create_dataset(key, data=np.asarray(array))
                if str(array.dtype) == "bfloat16":
                    made.attrs["dtype"] = "bfloat16"
    return content.getvalue()


def _arrays(path: Path, content: bytes) -> dict[str, NumPy]:
    try:
        return hdf5.read_arrays(content)
    except Exception as problem:  # whatever numbers that do not fit lead to
        raise archive.damaged(
            path, f"its weights: {_first_line(problem)}", "groups and plain arrays, as Keras writes them"
        ) from None


def _made(path: Path, config: Mapping[str, Any], numbers: int) -> Any:
    """The model of a configuration, with new weights that are no more than a file holds."""
    try:
        # A few numbers are not stored: random seeds, sums of metrics.
        with reading_a_file(), room_for(numbers + run_files.ROW):
            return _model_of(config)
    except UnknownNameError as problem:
        raise FileError(
            message(
                f"{path} holds a model with parts that are not known here.",
                came=_first_line(problem),
                expected="what Pellucid has, or your own, by name",
                mend='load_model(path, custom_objects={"Name": Name}).',
            )
        ) from None
    except TypeError as problem:
        raise PartError(
            message(
                f"{path} holds parts that their classes cannot be made of.",
                came=_first_line(problem),
                expected="what the class's get_config gave; layers and models in it are explicitly "
                "deserialized in its from_config",
                mend="write from_config, and keras.saving.deserialize_keras_object in it.",
            )
        ) from None
    except Exception as problem:  # whatever a layer says about arguments that it cannot use
        raise archive.damaged(path, f"no model can be made of it: {_first_line(problem)}") from None


def _model_of(config: Mapping[str, Any]) -> Any:
    model = made(config)
    if not hasattr(model, "compile_from_config"):
        raise ArgumentError(message("this is not a model.", came=config.get("class_name")))
    if (shape := config.get("build_config")) and not model.built:
        model.build_from_config(shape)
    return model


def _wrap_optimizer(model: Any, arrays: Mapping[str, NumPy]) -> None:
    """Let the optimizer scale the cost if it did when the file was written.

    Keras writes it as `compile` was given it, and goes by the default dtype policy, which no file holds.
    """
    if isinstance(model.optimizer, Optimizer):
        wrapped = any(name.startswith("optimizer/inner_optimizer/") for name in arrays)
        model.optimizer = scaled(model.optimizer) if wrapped else model.optimizer.mover


def _give(
    path: Path,
    model: Any,
    arrays: Mapping[str, NumPy],
    skip_mismatch: bool = False,
    skipped: Sequence[Any] = (),
) -> None:
    """Give the model its numbers; say which layers they do not fit."""
    failed: list[str] = []

    def fails(thing: Any, where: str, problem: Exception) -> None:
        failed.append(f"{getattr(thing, 'name', type(thing).__name__)} ({where}): {_first_line(problem)}")

    try:
        layout.load(model, layout.groups(arrays), fails, skipped)
    except Exception as problem:
        raise archive.damaged(path, _first_line(problem)) from None
    if failed and skip_mismatch:
        shown = "\n".join(failed)
        warnings.warn(f"A total of {len(failed)} objects could not be loaded.\n{shown}", stacklevel=3)
    elif failed:
        raise FileError(
            message(
                f"A total of {len(failed)} objects could not be loaded: the weights are of another model.",
                came=f"{path}: {'; '.join(failed[:4])}",
                expected="weights of a model with the same layers",
                mend="load_weights(path, skip_mismatch=True) loads the layers that fit.",
            )
        )


def _assets(model: Any) -> dict[str, bytes]:
    """What layers keep beside numbers: texts, line by line."""
    found: dict[str, bytes] = {}
    for path, thing in layout.parts(model):
        files: dict[str, list[str]] = {}
        if hasattr(thing, "save_assets") and is_ours(type(thing).save_assets):
            thing.save_assets(files)
        elif hasattr(thing, "save_assets"):
            # A layer of one's own writes into a folder, as in Keras.
            with tempfile.TemporaryDirectory() as folder:
                thing.save_assets(folder)
                files = {
                    each.name: each.read_bytes().decode().split("\n")
                    for each in Path(folder).iterdir()
                    if not each.is_dir()
                }
            _require_texts(thing, files)
        found |= {f"assets/{path}/{name}": "\n".join(lines).encode() for name, lines in files.items()}
    return found


def _load_assets(model: Any, assets: Mapping[str, bytes]) -> None:
    for path, thing in layout.parts(model):
        if not hasattr(thing, "load_assets"):
            continue
        begin = f"assets/{path}/"
        own = {name.removeprefix(begin): text for name, text in assets.items() if name.startswith(begin)}
        own = {name: text for name, text in own.items() if "/" not in name}
        if is_ours(type(thing).load_assets):
            thing.load_assets({name: text.decode().split("\n") for name, text in own.items()})
            continue
        with tempfile.TemporaryDirectory() as folder:
            for name, text in own.items():
                (Path(folder) / name).write_bytes(text)
            thing.load_assets(folder)


def _require_texts(thing: Any, names: Iterable[str]) -> None:
    """Raise ArgumentError if a file could not be read with these texts in it."""
    for name in names:
        if not archive.ASSET.fullmatch(f"assets/{name}"):
            raise ArgumentError(
                message(
                    f"{thing.describe()} keeps a file that a model file cannot hold.",
                    came=name,
                    expected="texts whose names end in .txt or .json",
                )
            )


# What is refused.


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileError(message("there is no such file.", came=str(path))) from None
    except OSError as problem:
        raise FileError(
            message("this file cannot be read.", came=f"{path}: {problem.strerror or problem}")
        ) from None


def _require_free(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise FileError(
            message(
                "there is a file of that name, and overwrite=False.",
                came=str(path),
                mend="choose another name, or leave overwrite out.",
            )
        )


def _require_built(model: Any, asked: str) -> None:
    if not model.built:
        raise StateError(
            message(
                f"{asked}: this model has no weights yet, it has not yet been built.",
                came=model.describe(),
                mend="begin the model with keras.Input(shape=(...)), or fit it first.",
            )
        )


def _other_ending(path: Path, mend: str) -> FileError:
    legacy = path.suffix in (".h5", ".hdf5")
    return FileError(
        message(
            "whole models in HDF5 files are of the time before Keras 3, and can hide code."
            if legacy
            else "Invalid filepath extension.",
            came=str(path),
            expected=f"a name that ends in {ENDING}",
            mend=f"{mend}.",
        )
    )


def _refuse_arguments(asked: str, kwargs: Mapping[str, Any]) -> None:
    if kwargs:
        raise ArgumentError(
            message(f"{asked}: the following argument(s) are not supported.", came=", ".join(kwargs))
        )


def _first_line(problem: Exception) -> str:
    lines = str(problem).splitlines() or [""]
    return f"{type(problem).__name__}: {lines[0][:300]}"
