"""Questions as texts: a name and parameters, as in the query of an address.

    step?step=120
    weight?of=dense%2Fkernel%5B2%2C3%5D&step=120

The same question is always the same text: keys are sorted, and what is at its default is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import quote, unquote

from pellucid.errors import ArgumentError, did_you_mean, message


class Kind(NamedTuple):
    """What the value of a parameter may be: how it is read, and how it is described."""

    read: Callable[[str], Any]
    expected: str


def _whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise ValueError
    return int(text)


def _span(text: str) -> tuple[int, int]:
    first, last = text.split(":")
    return _whole(first), _whole(last)


def _wholes(text: str) -> tuple[int, ...]:
    return tuple(_whole(each) for each in text.split(","))


def _texts(text: str) -> tuple[str, ...]:
    return tuple(text.split(";"))


def _text(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _word(*words: str) -> Kind:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError
        return text

    return Kind(read, " or ".join(words))


WHOLE = Kind(_whole, "a whole number")
SPAN = Kind(_span, 'where it begins and where it ends, such as "0:64"')
WHOLES = Kind(_wholes, 'whole numbers, such as "0,1"')
TEXT = Kind(_text, "a name")
TEXTS = Kind(_texts, 'names with ";" between them')


class Parameter(NamedTuple):
    """A parameter of a question.

    Attributes:
        kind: what its value may be.
        needed: whether it has to be said.
        default: what it is if it is not said.
    """

    kind: Kind
    needed: bool = False
    default: Any = None


_STEP = {"step": Parameter(WHOLE, needed=True)}
_OF = {"of": Parameter(TEXT, needed=True)}
_EXAMPLE = {"example": Parameter(WHOLE)}

#: The questions that there are, each with its parameters.
QUESTIONS: Mapping[str, Mapping[str, Parameter]] = {
    "run": {},
    "log": {},
    "norms": {},
    "step": _STEP,
    "formulas": {**_STEP, **_EXAMPLE},
    "formula": {**_STEP, **_OF, **_EXAMPLE},
    "weight": {**_STEP, **_OF},
    "layers": _STEP,
    "tensor": {
        **_STEP,
        **_OF,
        "what": Parameter(TEXT, default="weights"),
        "rows": Parameter(SPAN),
        "columns": Parameter(SPAN),
    },
    "spread": _OF,
    "boundary": {
        **_STEP,
        "features": Parameter(WHOLES),
        "grid": Parameter(WHOLE, default=40),
        "others": Parameter(_word("median", "mean"), default="median"),
    },
    "surface": {"weights": Parameter(TEXTS), "grid": Parameter(WHOLE, default=41)},
    "descent": {**_STEP, "weights": Parameter(TEXTS)},
}


def question(name: str, **parameters: Any) -> str:
    """A question as a text. What is None, or at its default, is left out.

    >>> question("step", step=3), question("boundary", step=3, features=[0, 2], grid=40)
    ('step?step=3', 'boundary?features=0%2C2&step=3')
    >>> question("surface", weights=["dense/kernel[0,0]", "dense/bias[0]"])
    'surface?weights=dense%2Fkernel%5B0%2C0%5D%3Bdense%2Fbias%5B0%5D'

    Raises:
        ArgumentError: if there is no such question, or its parameters are other ones.
    """
    known = _parameters(name, parameters)
    said: list[str] = []
    for key in sorted(parameters):
        value = parameters[key]
        if value is None or value == known[key].default:
            continue
        text = _as_text(value)
        _read(key, text, known[key])
        said.append(f"{key}={_quoted(text)}")
    _require_all(name, known, [key for key, value in parameters.items() if value is not None])
    return f"{name}?{'&'.join(said)}" if said else name


def parsed(text: str) -> tuple[str, dict[str, str]]:
    """The name of a question, and what it says of its parameters.

    >>> parsed("step?step=3"), parsed("formula?of=dense.z%5B3%5D&step=3")
    (('step', {'step': '3'}), ('formula', {'of': 'dense.z[3]', 'step': '3'}))

    Raises:
        ArgumentError: if there is no such question, or its parameters are other ones.
    """
    if not isinstance(text, str):
        raise ArgumentError(message("a question is a text.", came=type(text).__name__))
    name, asks, rest = text.partition("?")
    found: dict[str, str] = {}
    for each in rest.split("&") if asks else []:
        key, says, value = each.partition("=")
        if not says or key in found:
            what = "a parameter is said twice." if key in found else "this is no parameter."
            raise ArgumentError(message(what, came=each[:200], expected="key=value"))
        found[key] = _unquoted(value)
    _require_all(name, _parameters(name, found), found)
    return name, found


def understood(text: str) -> tuple[str, dict[str, Any]]:
    """A question, and the value of each of its parameters, said or not.

    >>> understood("boundary?features=0,1&step=3")
    ('boundary', {'step': 3, 'features': (0, 1), 'grid': 40, 'others': 'median'})

    Raises:
        ArgumentError: if there is no such question, its parameters are other ones, or a value is none.
    """
    name, said = parsed(text)
    known = QUESTIONS[name].items()
    return name, {key: _read(key, said[key], each) if key in said else each.default for key, each in known}


def _parameters(name: str, given: Mapping[str, Any]) -> Mapping[str, Parameter]:
    if name not in QUESTIONS:
        raise ArgumentError(
            message(
                "there is no such question.",
                came=repr(name[:200]),
                expected=did_you_mean(name[:200], QUESTIONS),
            )
        )
    known = QUESTIONS[name]
    for key in given:
        if key not in known:
            raise ArgumentError(
                message(
                    f'"{name}" has no such parameter.',
                    came=repr(key[:200]),
                    expected=", ".join(known) or "none",
                )
            )
    return known


def _require_all(name: str, known: Mapping[str, Parameter], given: Sequence[str] | Mapping[str, str]) -> None:
    for key, each in known.items():
        if each.needed and key not in given:
            raise ArgumentError(message(f'"{name}" does not say its {key}.', expected=each.kind.expected))


def _read(key: str, text: str, parameter: Parameter) -> Any:
    try:
        return parameter.kind.read(text)
    except ValueError:
        raise ArgumentError(
            message(f"this is no {key}.", came=repr(text[:200]), expected=parameter.kind.expected)
        ) from None


def _as_text(value: Any) -> str:
    if isinstance(value, list | tuple):
        each = [str(one) for one in cast(Sequence[Any], value)]
        return (";" if any(isinstance(one, str) for one in cast(Sequence[Any], value)) else ",").join(each)
    return str(value)


def _quoted(text: str) -> str:
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise ArgumentError(message("this text cannot be written.", came=ascii(text[:200]))) from None


def _unquoted(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ArgumentError(message("this text cannot be read.", came=ascii(text[:200]))) from None
