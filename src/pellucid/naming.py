"""Names and configurations, once for everything that has them.

A `Configurable` remembers the arguments that made it, so `get_config` and `from_config` are
written here and nowhere else. A `Catalogue` finds things by the names that users type.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from typing import Any, ClassVar, Self, TypeVar, cast

import numpy as np

from pellucid.errors import ArgumentError, UnknownNameError, did_you_mean, message

T = TypeVar("T")

_names_given: Counter[str] = Counter()
_custom: dict[str, Any] = {}


def snake_case(name: str) -> str:
    """The name of a class as Keras writes it in small letters.

    >>> snake_case("BatchNormalization"), snake_case("MeanSquaredError"), snake_case("ReLU")
    ('batch_normalization', 'mean_squared_error', 're_lu')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def automatic_name(prefix: str) -> str:
    """The next free name: dense, dense_1, dense_2, ..."""
    number = _names_given[prefix]
    _names_given[prefix] += 1
    return prefix if number == 0 else f"{prefix}_{number}"


def count_name(prefix: str) -> int:
    """Count one more thing of this name; gives how many there are now."""
    _names_given[prefix] += 1
    return _names_given[prefix]


def forget_names() -> None:
    """Start counting automatic names from the beginning."""
    _names_given.clear()


class Configurable:
    """Something whose constructor's arguments are its configuration."""

    #: The Keras namespace that the class is public in; written into configurations.
    namespace: ClassVar[str] = ""
    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        object.__setattr__(self, "_arguments", (args, kwargs))
        return self

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data, with what has changed since."""
        args, kwargs = self._arguments
        signature = inspect.signature(type(self).__init__)
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        config: dict[str, Any] = {}
        for name, parameter in list(signature.parameters.items())[1:]:
            value = bound.arguments.get(name)
            if parameter.kind is parameter.VAR_KEYWORD:
                config.update({key: serialize(item) for key, item in (value or {}).items()})
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                config[name] = serialize(value)
        takes_all = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())
        for name, value in self.changed_arguments().items():
            # A class of one's own may take no name; then it is given one again.
            if takes_all or name in signature.parameters:
                config[name] = serialize(value)
        return config

    def changed_arguments(self) -> dict[str, Any]:
        """Arguments whose value is no longer the one that was given. Subclasses may add theirs."""
        return {"name": name} if (name := getattr(self, "name", None)) is not None else {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make one from what `get_config` gave."""
        return cls(**config)


def serialize(value: Any) -> Any:
    """Turn a value into JSON's types. Objects become `{module, class_name, config, registered_name}`."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        items = cast(Mapping[Any, Any], value)
        return {str(key): serialize(item) for key, item in items.items()}
    if isinstance(value, list | tuple):
        return [serialize(item) for item in cast(list[Any], value)]
    if isinstance(value, Configurable):
        kind = type(value)
        ours = kind.__module__.startswith("pellucid.")
        return {
            "module": kind.namespace if ours else kind.__module__,
            "class_name": kind.__name__,
            "config": value.get_config(),
            "registered_name": None if ours else kind.__name__,
        }
    if callable(value):
        name = str(getattr(value, "__name__", ""))
        if not name or name == "<lambda>":
            raise ArgumentError(
                message(
                    "a function without a name cannot be written down.",
                    came=repr(value),
                    expected="a function made with def",
                    mend="give the function a name, and pass it in custom_objects when loading.",
                )
            )
        return name
    if hasattr(value, "tolist"):
        return value.tolist()
    raise ArgumentError(message("this value cannot be written into a configuration.", came=repr(value)))


@contextlib.contextmanager
def custom_objects(objects: Mapping[str, Any] | None) -> Generator[None]:
    """Let the names in `objects` be found by every catalogue, within a with block."""
    before = dict(_custom)
    _custom.update(objects or {})
    try:
        yield
    finally:
        _custom.clear()
        _custom.update(before)


class Catalogue:
    """The things of one kind that can be asked for by name.

    Classes are found by their own name ("Adam"), by its small form ("adam") and by aliases
    ("mse"); functions by theirs. Nothing is ever imported by name.
    """

    def __init__(self, kind: str, mend: str = "") -> None:
        self.kind = kind
        self.mend = mend
        self.entries: dict[str, Any] = {}

    def add(self, thing: T, *aliases: str) -> T:
        """Enter a class or a function, under its name and any aliases."""
        name = str(getattr(thing, "__name__", ""))
        names = {name, *aliases}
        if isinstance(thing, type):
            names |= {snake_case(name), name.lower()}
        for each in names:
            self.entries.setdefault(each, thing)
        return thing

    def entry(self, *aliases: str) -> Callable[[T], T]:
        """The decorator form of `add`."""
        return lambda thing: self.add(thing, *aliases)

    def find(self, name: str) -> Any:
        """The thing of that name, or an error that suggests one."""
        if name in _custom:
            return _custom[name]
        if name in self.entries:
            return self.entries[name]
        raise UnknownNameError(
            message(
                f'there is no {self.kind} "{name}".',
                came=repr(name),
                expected=did_you_mean(name, self.entries),
                mend=self.mend or f"use one of those names, or pass the {self.kind} itself.",
            )
        )

    def make(self, identifier: Any) -> Any:
        """Turn what a user may pass (a name, a configuration, a class, an object) into the object."""
        if isinstance(identifier, str):
            identifier = self.find(identifier)
        elif isinstance(identifier, Mapping):
            config = cast(Mapping[str, Any], identifier)
            found = self.find(str(config.get("class_name")))
            arguments = config.get("config") or {}
            return found.from_config(arguments) if isinstance(found, type) else found
        if isinstance(identifier, type):
            return identifier()
        if identifier is None or callable(identifier) or isinstance(identifier, Configurable):
            return identifier
        article = "an" if self.kind[0] in "aeiou" else "a"
        expected = f"a name or {article} {self.kind}"
        raise ArgumentError(
            message(f"this is not {article} {self.kind}.", came=repr(identifier), expected=expected)
        )
