"""`%load_ext pellucid`: the cells after it import Pellucid where they import Keras or TensorFlow."""

from __future__ import annotations

from typing import Any

from pellucid import standing_in

LOADED = (
    "import keras, and import tensorflow, give Pellucid now. "
    "history = model.fit(...) can be opened: history.open(0)."
)
UNLOADED = "import keras gives what is installed again. Names that cells have bound stay what they are."


def load(shell: Any) -> None:
    """Stand in for Keras and TensorFlow from now on.

    Args:
        shell: the running IPython; nothing of it is changed.

    Raises:
        StateError: if Keras or TensorFlow was imported already.
    """
    standing_in.install()
    print(LOADED)


def unload(shell: Any) -> None:
    """Let imports give what is installed again."""
    standing_in.uninstall()
    print(UNLOADED)
