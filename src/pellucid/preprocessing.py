"""keras.preprocessing: the older names for what makes rows of sequences and series.

What reads folders of pictures, texts and sounds is not here, and says so.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, NoReturn

from pellucid.errors import StateError, message
from pellucid.sequences import pad_sequences, timeseries_dataset_from_array


def _not_here(name: str, mend: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> NoReturn:
        raise StateError(message(f"{name} is not part of Pellucid.", mend=mend))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Not part of Pellucid: calling it says what to do instead. {mend}"
    return function


_READ = "read the files with Pillow, np.stack them into one array, and give that to fit."
_TEXTS = "read the files as strings, turn their words into numbers, and give pad_sequences of them to fit."
image_dataset_from_directory = _not_here("image_dataset_from_directory", _READ)
text_dataset_from_directory = _not_here("text_dataset_from_directory", _TEXTS)


def _namespace(name: str, **things: Any) -> ModuleType:
    """A module of this name, so that `from keras.preprocessing.sequence import pad_sequences` works."""
    module = ModuleType(f"{__name__}.{name}", f"keras.preprocessing.{name}")
    vars(module).update(things)
    sys.modules[module.__name__] = module
    return module


sequence = _namespace(
    "sequence", pad_sequences=pad_sequences, timeseries_dataset_from_array=timeseries_dataset_from_array
)
image = _namespace(
    "image",
    **{
        name: _not_here(name, _READ)
        for name in ("array_to_img", "img_to_array", "load_img", "save_img", "smart_resize")
    },
    image_dataset_from_directory=image_dataset_from_directory,
)
text = _namespace("text", text_dataset_from_directory=text_dataset_from_directory)

__all__ = [
    "image",
    "image_dataset_from_directory",
    "sequence",
    "text",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]
