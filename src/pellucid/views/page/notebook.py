"""The page in a cell of a notebook: a frame that holds it whole, so nothing is loaded from elsewhere.

It works wherever HTML is shown in cells, also in a notebook that was saved and is opened without Python.
"""

from __future__ import annotations

import html as escaping
from typing import Any

from pellucid.errors import PellucidError
from pellucid.views import html
from pellucid.views.page import file

#: How many steps a cell holds at most, and how large it may be; each time it is shown, these are opened.
STEPS, BUDGET_MB = 24, 1.8
HEIGHT = 760


def frame(history: Any) -> str:
    """The page in a frame; where it cannot be made, the history as a table with a curve."""
    if not history.steps:
        return html.history(history)
    try:
        text, _, _ = file.made(history, STEPS, BUDGET_MB)
    except PellucidError:
        return html.history(history)
    return (
        f'<iframe title="The training" sandbox="allow-scripts" srcdoc="{escaping.escape(text)}" '
        f'style="width:100%;height:{HEIGHT}px;border:1px solid #8884;border-radius:6px"></iframe>'
    )
