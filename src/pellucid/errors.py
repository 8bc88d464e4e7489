"""What can go wrong, and how we say it.

    PellucidError
    +-- ShapeError        (ValueError)    shapes that do not fit together
    +-- DataError         (ValueError)    rows, columns, labels or tables that cannot be used
    +-- ArgumentError     (ValueError)    an argument that cannot mean anything
    |   +-- UnknownNameError              a loss, layer, metric... that does not exist
    |   |   +-- UnknownOutputError (KeyError)  an output that the model does not have
    |   +-- KindError     (TypeError)     something of another kind than is needed
    +-- StateError        (RuntimeError)  the right call at the wrong time: predict before fit, ...
    +-- FileError         (ValueError)    a file that is missing, damaged, or of another kind
    |   +-- PartError     (TypeError)     a part of a file that its class cannot be made of
    +-- MissingError                      what a script asks Keras or TensorFlow for, and is not here
        +-- MissingNameError    (AttributeError)
        +-- MissingModuleError  (ModuleNotFoundError)

Every message says what came, what was expected and how to mend it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PellucidError(Exception):
    """The family of everything that Pellucid raises on purpose."""


class ShapeError(PellucidError, ValueError):
    """Shapes that do not fit together."""


class DataError(PellucidError, ValueError):
    """Rows, columns, labels or tables that cannot be used."""


class ArgumentError(PellucidError, ValueError):
    """An argument that cannot mean anything."""


class UnknownNameError(ArgumentError):
    """A name that does not exist here."""


class UnknownOutputError(UnknownNameError, KeyError):
    """An output that the model does not have. Also a KeyError, because Keras raises that."""

    def __str__(self) -> str:
        return ValueError.__str__(self)  # a KeyError shows the repr of its text


class KindError(ArgumentError, TypeError):
    """Something of another kind than is needed. Also a TypeError, because Keras raises that."""


class StateError(PellucidError, RuntimeError, ValueError):
    """The right call at the wrong time. Also a ValueError, because Keras raises that."""


class FileError(PellucidError, ValueError):
    """A file that is missing, damaged, or of another kind."""


class PartError(FileError, TypeError):
    """A part of a file that its class cannot be made of. Also a TypeError, because Keras raises that."""


class MissingError(PellucidError):
    """What a script asks Keras or TensorFlow for, and is not here."""


class MissingNameError(MissingError, AttributeError):
    """The same, asked for as an attribute: hasattr says no."""


class MissingModuleError(MissingError, ModuleNotFoundError):
    """The same, asked for by an import."""


def message(what: str, *, came: object = None, expected: object = None, mend: str = "") -> str:
    """Write an error in the one form that all of them have.

    >>> print(message("units must be positive.", came=-1, expected="1 or more", mend="say Dense(16)."))
    units must be positive.
      came:      -1
      expected:  1 or more
      to mend:   say Dense(16).
    """
    lines = [what]
    if came is not None:
        lines.append(f"  came:      {came}")
    if expected is not None:
        lines.append(f"  expected:  {expected}")
    if mend:
        lines.append(f"  to mend:   {mend}")
    return "\n".join(lines)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name, or list them all.

    >>> did_you_mean("adm", ["adam", "sgd"])
    'did you mean "adam"?'
    """
    names = sorted(set(known))
    by_lower = {candidate.lower(): candidate for candidate in names}
    swapped = [each for each in by_lower if sorted(each) == sorted(name.lower())]
    near = swapped or difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.55)
    if near:
        return f'did you mean "{by_lower[near[0]]}"?'
    if not names:
        return "there are none."
    shown = ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")
    return f"known are: {shown}."
