"""Files that are whole or not there: written beside, and put in their place when they are done."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

from pellucid.errors import FileError, message


def require_writable(path: str | os.PathLike[str], what: str = "the trained network") -> None:
    """Raise FileError, before any work is done, if nothing could be written there."""
    path = Path(path)
    folder = path.parent
    if path.is_dir():
        raise FileError(
            message(f"{what} cannot be written over a folder.", came=str(path), expected="the name of a file")
        )
    if not folder.is_dir():
        raise FileError(
            message(
                f"the folder that {what} shall be written to does not exist.",
                came=str(path),
                expected="a folder that exists",
                mend=f"make it first: mkdir -p {folder}",
            )
        )
    if not os.access(folder, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise FileError(
            message(
                f"{what} cannot be written there.",
                came=str(path),
                expected="a place where you may write",
                mend="choose another folder.",
            )
        )


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str]) -> Generator[Path]:
    """Give the name of a new file beside `path`, which takes its place if all went well.

    So nobody ever sees half of a file, and a failure leaves what was there.

    Raises:
        FileError: if it cannot be written.
    """
    path = Path(path)
    require_writable(path, "the file")
    beside: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        beside = Path(name)
        os.close(handle)
        yield beside
        with open(beside, "rb+") as file:
            os.fsync(file.fileno())
        # A temporary file is readable by its owner only; the file that was asked for is as any other.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(beside, 0o666 & ~mask)
        os.replace(beside, path)
        beside = None
    except OSError as problem:
        if isinstance(problem, BrokenPipeError):
            raise
        raise FileError(
            message("the file cannot be written.", came=f"{path}: {problem.strerror or problem}")
        ) from None
    finally:
        if beside is not None:
            with contextlib.suppress(OSError):
                os.unlink(beside)
