"""The members of a `.keras` file: a zip, or a folder, of exactly what there may be.

    metadata.json      which version of Keras wrote it, and when
    config.json        the model as Keras's configurations describe it
    model.weights.h5   its numbers, and those of its optimizer
    assets/...         what layers keep beside numbers: vocabularies

Members are compared with this list and read into memory; nothing is ever unpacked onto the disk.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pellucid.errors import FileError, message
from pellucid.run_files import LARGEST_RUN, strict_json
from pellucid.writing import require_writable, written_whole

ENDING, WEIGHTS_ENDING = ".keras", ".weights.h5"
METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
REQUIRED = (METADATA, CONFIG, WEIGHTS)
#: Layers within layers, and then the name of a text: no dots before, no ways up, no drives.
ASSET = re.compile(r"assets/(?:[A-Za-z0-9_]+/)*[A-Za-z0-9][A-Za-z0-9_-]*\.(?:txt|json)")


def damaged(path: Path, came: object, expected: str = "") -> FileError:
    """The error for a file that is damaged, or does not hold what it may."""
    return FileError(
        message(
            "this is not a model file of Keras, or it is damaged.",
            came=f"{path}: {came}",
            expected=expected or "a file as model.save wrote it",
            mend="copy the file again, or save the model again.",
        )
    )


def write(path: Path, members: Mapping[str, bytes], zipped: bool = True) -> None:
    """Write the members, whole or not at all: as a zip, or into a new folder."""
    if not zipped:
        _write_folder(path, members)
        return
    with written_whole(path) as beside:
        pack(beside, members)


def pack(file: Any, members: Mapping[str, bytes]) -> None:
    """Write the members as a zip into a file, by name or open."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            # One fixed date, as for Keras's own members.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)


def _write_folder(path: Path, members: Mapping[str, bytes]) -> None:
    """The configuration is written last: a folder without it is no model."""
    require_writable(path / METADATA) if path.is_dir() else require_writable(path)
    path.mkdir(exist_ok=True)
    (path / CONFIG).unlink(missing_ok=True)
    for name in sorted(members, key=lambda name: name == CONFIG):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path / name) as beside:
            beside.write_bytes(members[name])


def read(path: Path) -> dict[str, bytes]:
    """The members of a `.keras` file or folder.

    Raises:
        FileError: if there is no such file, or it holds other members than it may.
    """
    try:
        if path.is_dir():
            return _from_folder(path)
        with open(path, "rb") as file:
            return unpack(path, file)
    except FileNotFoundError:
        raise FileError(
            message("there is no such file.", came=str(path), expected=f"a {ENDING} file of model.save")
        ) from None
    except OSError as problem:
        raise FileError(
            message("this file cannot be read.", came=f"{path}: {problem.strerror or problem}")
        ) from None


def unpack(path: Path, file: Any) -> dict[str, bytes]:
    """The members of an open file, which messages call `path`.

    Raises:
        FileError: if it holds other members than it may.
    """
    size = file.seek(0, os.SEEK_END)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _require_members(path, [entry.filename for entry in entries if entry.filename != "assets/"])
            for entry in entries:
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                    raise damaged(path, f"{entry.filename} is compressed", "members stored as they are")
            if sum(entry.file_size for entry in entries) > size:
                raise damaged(path, "members that say that they are larger than the file")
            return {entry.filename: archive.read(entry) for entry in entries if entry.filename != "assets/"}
    except (FileError, OSError):
        raise
    except Exception as problem:  # zipfile raises half a dozen types on damaged files
        raise damaged(path, str(problem) or type(problem).__name__) from None


def _from_folder(path: Path) -> dict[str, bytes]:
    found: dict[str, Path] = {}
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            if (Path(folder) / name).is_symlink():
                raise damaged(path, f"{name} is a link")
        for name in files:
            found[(Path(folder) / name).relative_to(path).as_posix()] = Path(folder) / name
    _require_members(path, list(found))
    return {name: file.read_bytes() for name, file in found.items()}


def _require_members(path: Path, names: list[str]) -> None:
    others = [name for name in names if name not in REQUIRED and not ASSET.fullmatch(name)]
    if others or len(set(names)) != len(names) or not set(REQUIRED) <= set(names):
        missing = [name for name in REQUIRED if name not in names]
        came = f"without {', '.join(missing)}" if missing else f"with {', '.join((others or names)[:6])}"
        raise damaged(path, came, f"{', '.join(REQUIRED)} and assets")


def described(path: Path, members: Mapping[str, bytes]) -> dict[str, Any]:
    """The configuration of the model."""
    for name in (METADATA, CONFIG):
        if len(members[name]) > LARGEST_RUN:
            raise damaged(path, f"{name} has {len(members[name]):,} bytes")
    try:
        strict_json(members[METADATA])
        return strict_json(members[CONFIG])
    except ValueError as problem:
        raise damaged(path, f"{CONFIG}: {problem}") from None
