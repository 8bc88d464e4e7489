"""The page as HTML, around what was built from frontend/: nothing in it is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pellucid.errors import StateError, message

BUILT = Path(__file__).parent / "built"
SCRIPT, STYLE, NOTICES = "page.js", "page.css", "notices.txt"


def built(name: str) -> str:
    """What the build made: the script, the style or the notices.

    Raises:
        StateError: if the page was not built into this copy of Pellucid.
    """
    try:
        return (BUILT / name).read_text(encoding="utf-8")
    except OSError:
        raise StateError(
            message(
                "the page was not built into this copy of Pellucid, so it cannot be shown.",
                came=f"no file {name} in the package",
                mend="install Pellucid again from its sources with network access (pip install .), "
                "which builds it; all else works without it.",
            )
        ) from None


def document(
    title: str,
    source: Mapping[str, Any],
    answers: bytes,
    without_script: str,
) -> str:
    """The whole page as one document, with its answers within.

    Args:
        title: the title of the window.
        source: what kind of source the page has, as its script reads it.
        answers: the packed answers.
        without_script: HTML for browsers that run no scripts.
    """
    script, style, notices = built(SCRIPT), built(STYLE), built(NOTICES)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<div id="pellucid"><noscript>{without_script}</noscript></div>\n'
        f'<script id="pellucid-source" type="application/json">{embedded(source)}</script>\n'
        f'<script id="pellucid-answers" type="text/plain">{base64.b64encode(answers).decode()}</script>\n'
        f"<script>{script}</script>\n"
        f"<!--\n{notices.replace('--', '- -')}\n-->\n</body>\n</html>\n"
    )


def served(source: Mapping[str, Any]) -> str:
    """The page as a server gives it: script and style have addresses of their own, and answers are asked for.

    Args:
        source: what kind of source the page has, as its script reads it.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<title>Pellucid</title>\n<link rel="icon" href="data:,">\n'
        f'<link rel="stylesheet" href="/{STYLE}">\n</head>\n<body>\n'
        '<div id="pellucid"><noscript>This page shows a training with a script, '
        "and your browser runs none.</noscript></div>\n"
        f'<script id="pellucid-source" type="application/json">{embedded(source)}</script>\n'
        f'<script src="/{SCRIPT}"></script>\n</body>\n</html>\n'
    )


def unbuilt(why: str) -> str:
    """What a server gives in place of the page where it was not built."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<title>Pellucid</title>\n<link rel="icon" href="data:,">\n</head>\n'
        f"<body>\n<h1>The page was not built</h1>\n<pre>{html.escape(why)}</pre>\n</body>\n</html>\n"
    )


def embedded(value: Any) -> str:
    """JSON that may stand within a script element."""
    return json.dumps(value, ensure_ascii=True).replace("<", "\\u003c")
