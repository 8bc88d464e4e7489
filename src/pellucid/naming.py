"""Names and configurations, once for everything that has them.

A `Configurable` remembers the arguments that made it, so `get_config` and `from_config` are
written here and nowhere else. A `Catalogue` finds things by the names that users type. `serialize`
and `deserialize` turn objects into Keras's configurations and back:

    {"module": "keras.layers", "class_name": "Dense", "config": {...}, "registered_name": None}

Nothing is ever imported by name: a configuration finds what is in a catalogue, what was registered
with `register_keras_serializable`, and what is given in `custom_objects`.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import re
import types
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from typing import Any, ClassVar, Self, TypeVar, cast

import numpy as np

from pellucid.errors import ArgumentError, KindError, UnknownNameError, did_you_mean, message

T = TypeVar("T")

_names_given: Counter[str] = Counter()
_custom: dict[str, Any] = {}
_registered: dict[str, Any] = {}
_registered_names: dict[Any, str] = {}
_catalogues: list[Catalogue] = []

#: While a file is written: the objects in it, each with its configuration.
_written: contextvars.ContextVar[dict[int, tuple[Any, Any]] | None] = contextvars.ContextVar(
    "written", default=None
)
#: While a file is read: the objects that occur in it several times, by the numbers that they have in it.
_read: contextvars.ContextVar[dict[int, Any] | None] = contextvars.ContextVar("read", default=None)


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


def is_ours(kind: Any) -> bool:
    """Whether a class or function belongs to this library, rather than to its user."""
    return str(getattr(kind, "__module__", "")).startswith("pellucid.")


class Configurable:
    """Something whose constructor's arguments are its configuration.

    A class of ours keeps what it made of an argument as the attribute of that name; the attribute
    is then what is written: the initializer that "glorot_uniform" stood for.
    """

    #: The Keras namespace that the class is public in; written into configurations.
    namespace: ClassVar[str] = ""
    #: Arguments that the constructor makes of their configurations itself, where the order of seeds matters.
    made_within: ClassVar[tuple[str, ...]] = ()
    #: Arguments that are not written, since others say the same.
    unwritten: ClassVar[tuple[str, ...]] = ()
    #: Arguments that Keras has and that can only have this value here. They are written for it.
    fixed: ClassVar[Mapping[str, Any]] = {}
    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        object.__setattr__(self, "_arguments", (args, kwargs))
        return self

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data, with what has changed since."""
        kind: type = type(self)
        args, kwargs = self._arguments
        if kind.get_config is not Configurable.get_config and not is_ours(kind):
            # A class of one's own adds its arguments to those of the class of ours that it is based on.
            kind = next(each for each in kind.__mro__ if is_ours(each))
            signature = inspect.signature(kind.__init__)
            bound = signature.bind_partial(self)
        else:
            signature = inspect.signature(kind.__init__)
            bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        given: dict[str, Any] = {}
        for name, parameter in list(signature.parameters.items())[1:]:
            if parameter.kind is parameter.VAR_KEYWORD:
                given.update(bound.arguments.get(name) or {})
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                given[name] = bound.arguments.get(name)
        if is_ours(kind):
            given = {name: self._made_of(name, value) for name, value in given.items()}
            given |= self.fixed
        given = {name: value for name, value in given.items() if name not in self.unwritten}
        takes_all = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())
        # A class of one's own may take no name; then it is given one again.
        changed = {
            name: value
            for name, value in self.changed_arguments().items()
            if takes_all or name in signature.parameters
        }
        return {name: serialize(value) for name, value in {**changed, **given, **changed}.items()}

    def _made_of(self, name: str, given: Any) -> Any:
        """What the constructor made of an argument, if it kept it under that name."""
        kept = vars(self).get(name, given)
        # A seed that was drawn is not the argument, and neither is a layer that was made for None.
        kinds: tuple[type, ...] = (bool, int, float, str, types.FunctionType)
        if given is not None:
            kinds = (*kinds, list, tuple, Configurable)
        sizes = isinstance(kept, tuple) and all(isinstance(size, int) for size in cast(Any, kept))
        return kept if (isinstance(kept, kinds) or sizes) and name != "seed" else given

    def changed_arguments(self) -> dict[str, Any]:
        """Arguments whose value is no longer the one that was given. Subclasses may add theirs."""
        return {"name": name} if (name := getattr(self, "name", None)) is not None else {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make one from what `get_config` gave."""
        arguments = cls.without_fixed(config)
        dtype = arguments.get("dtype")
        if isinstance(dtype, Mapping) and cast(Any, dtype).get("class_name") == "DTypePolicy":
            arguments["dtype"] = cast(Any, dtype)["config"]["name"]
        if cls.get_config is Configurable.get_config:
            # What was written by itself is read by itself.
            arguments = {
                name: value if name in cls.made_within else deserialize(value)
                for name, value in arguments.items()
            }
        return cls(**arguments)

    @classmethod
    def without_fixed(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments without those that can only have one value here, which they must have.

        Raises:
            ArgumentError: if one has another value.
        """
        left = dict(arguments)
        for name, value in cls.fixed.items():
            if (came := left.pop(name, value)) != value:
                raise ArgumentError(
                    message(
                        f"{cls.__name__} has no {name} here.",
                        came=f"{name}={came!r}",
                        expected=f"{name}={value!r}",
                    )
                )
        return left


# What users register, and what they give.


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Let a class or function of one's own be found in configurations, as "package>name".

    Args:
        package: what it belongs to.
        name: its name; by default the one it has.

    Example:
        >>> @register_keras_serializable("physics")
        ... def half(x):
        ...     return x / 2
        >>> get_registered_name(half), get_registered_object("physics>half") is half
        ('physics>half', True)
    """

    def register(thing: T) -> T:
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            raise ArgumentError(
                message("Cannot register a class that does not have a get_config() method.", came=thing)
            )
        registered = f"{package}>{name or getattr(thing, '__name__', '')}"
        _registered[registered] = thing
        _registered_names[thing] = registered
        return thing

    return register


def get_registered_name(obj: Any) -> str:
    """The name that a class or function was registered under, else the one it has."""
    return _registered_names.get(obj) or str(obj.__name__)


def get_registered_object(
    name: str | None,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Mapping[str, Any] | None = None,
) -> Any:
    """What was registered, or given, under a name; None if nothing was."""
    for known in (_custom, _registered, custom_objects or {}, module_objects or {}):
        if name is not None and name in known:
            return known[name]
    return None


def get_custom_objects() -> dict[str, Any]:
    """Everything that was registered, by name; it may be changed."""
    return _registered


@contextlib.contextmanager
def custom_object_scope(objects: Mapping[str, Any] | None = None) -> Generator[None]:
    """Let the names in `objects` be found by every catalogue, within a with block."""
    before = dict(_custom)
    _custom.update(objects or {})
    try:
        yield
    finally:
        _custom.clear()
        _custom.update(before)


# Configurations of a file.


@contextlib.contextmanager
def writing_a_file() -> Generator[None]:
    """Write an object that occurs several times as one object, within a with block."""
    token = _written.set({})
    try:
        yield
    finally:
        _written.reset(token)


@contextlib.contextmanager
def reading_a_file() -> Generator[None]:
    """Make what one file asks for, within a with block.

    An object that occurs several times is one object, and no other files may be read.
    """
    token = _read.set({})
    try:
        yield
    finally:
        _read.reset(token)


def require_no_path(argument: str, value: Any) -> None:
    """Raise ArgumentError if a file that is being read says which other file to read.

    Whoever reads a file in a constructor calls this first.
    """
    if _read.get() is not None:
        raise ArgumentError(
            message(
                f"a model file may not name another file to read: {argument}.",
                came=repr(value),
                mend="make the layer in code, and give it what that file holds.",
            )
        )


def serialize(value: Any) -> Any:
    """Turn a value into JSON's types, as Keras does.

    Objects become `{module, class_name, config, registered_name}`, and what they were built and
    compiled for.

    >>> serialize({"axes": (0, 1), "window": slice(2)})["window"]["class_name"]
    '__slice__'
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        items = cast(Mapping[Any, Any], value)
        return {str(key): serialize(item) for key, item in items.items()}
    if isinstance(value, list):
        return [serialize(item) for item in cast(list[Any], value)]
    if isinstance(value, tuple):
        return tuple(serialize(item) for item in cast(tuple[Any, ...], value))
    if isinstance(value, bytes):
        return _special("bytes", value=value.decode("utf-8"))
    if isinstance(value, slice):
        ends = {name: serialize(getattr(value, name)) for name in ("start", "stop", "step")}
        return _special("slice", **ends)
    if value is Ellipsis:
        return _special("ellipsis")
    if isinstance(value, np.dtype):
        return value.name
    if hasattr(value, "get_config") and not isinstance(value, type):
        return _serialize_object(value)
    if callable(value) and not hasattr(value, "tolist"):
        return _serialize_function(value)
    if hasattr(value, "tolist"):
        array, own = np.asarray(value), isinstance(value, np.ndarray)
        if own and array.ndim == 0:
            return array.item()
        return _special("numpy" if own else "tensor", value=array.tolist(), dtype=str(array.dtype))
    raise ArgumentError(message("this value cannot be written into a configuration.", came=repr(value)))


def _special(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": f"__{kind}__", "config": config}


def _serialize_object(value: Any) -> dict[str, Any]:
    kind = _written_class(type(value))
    own = kind in _registered_names or not is_ours(kind)
    config = value.get_config()
    if kind.get_config is not Configurable.get_config:
        config = serialize(config)
    # Keras has a few classes without a public name, and knows them by that of their module.
    named = own or kind.namespace.startswith("keras.src.")
    written: dict[str, Any] = {
        "module": kind.__module__ if own else kind.namespace,
        "class_name": kind.__name__,
        "config": config,
        "registered_name": get_registered_name(kind) if named else None,
    }
    if written["module"] == "__main__":
        written["module"] = None
    for what in ("build_config", "compile_config"):
        if (made := getattr(value, f"get_{what}", lambda: None)()) is not None:
            written[what] = serialize(made)
    shared = _written.get()
    if shared is not None:
        if id(value) in shared:
            _, first = shared[id(value)]
            first["shared_object_id"] = written["shared_object_id"] = id(value)
        else:
            shared[id(value)] = value, written  # the object too, so that its number stays its own
    return written


def _written_class(kind: type) -> type:
    """The class as it was written, if models of it are of a class that was made from it."""
    return vars(kind).get("made_from", kind)


def _serialize_function(function: Any) -> Any:
    name = str(getattr(function, "__name__", ""))
    if not name or name == "<lambda>":
        raise ArgumentError(
            message(
                "a function without a name cannot be written down.",
                came=repr(function),
                expected="a function made with def",
                mend="give the function a name, and pass it in custom_objects when loading.",
            )
        )
    if any(catalogue.by_name and function is catalogue.entries.get(name) for catalogue in _catalogues):
        return name
    config = get_registered_name(function)
    return {"module": "builtins", "class_name": "function", "config": config, "registered_name": "function"}


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True) -> Any:
    """Make what `serialize`, here or in Keras, wrote down.

    Classes and functions are looked up in the catalogues, among what was registered, and in
    `custom_objects`. Code in a configuration is never run.

    Args:
        config: a configuration, or lists and dicts of them; other values are given back.
        custom_objects: things of one's own by name.
        safe_mode: accepted; nothing is ever run, whatever is said here.

    Raises:
        UnknownNameError: if there is nothing of a name.
        ArgumentError: if the configuration cannot be used.

    Example:
        >>> deserialize({"class_name": "__slice__", "config": {"start": 1, "stop": 5, "step": None}})
        slice(1, 5, None)
    """
    if custom_objects:
        with custom_object_scope(custom_objects):
            return deserialize(config)
    if isinstance(config, list | tuple):
        return [deserialize(item) for item in cast(list[Any], config)]
    if not isinstance(config, Mapping):
        return config
    entries = cast(Mapping[str, Any], config)
    if "class_name" not in entries or "config" not in entries:
        return {name: deserialize(value) for name, value in entries.items()}
    return made(entries)


def made(config: Mapping[str, Any], catalogue: Catalogue | None = None) -> Any:
    """Make the one thing that a configuration with a `class_name` describes."""
    name, inner = config.get("class_name"), config.get("config")
    if not isinstance(name, str):
        raise ArgumentError(message("class_name is a name.", came=repr(name)))
    if name.startswith("__"):
        return _made_special(name, inner)
    if name == "function":
        return _found_function(config, catalogue)
    shared, number = _read.get(), config.get("shared_object_id")
    if shared is not None and isinstance(number, int) and number in shared:
        return shared[number]
    found = _found_class(name, config, catalogue)
    if not isinstance(found, type):
        return found
    arguments = {} if inner is None else inner
    if not isinstance(arguments, Mapping) or not hasattr(found, "from_config"):
        raise KindError(
            message(
                f"Unable to reconstruct an instance of {name}.",
                came=repr(inner),
                expected="a dict of arguments, and a class with get_config and from_config",
            )
        )
    thing = cast(Any, found).from_config(dict(cast(Mapping[str, Any], arguments)))
    if (shape := config.get("build_config")) and not getattr(thing, "built", True):
        thing.build_from_config(shape)
    if compiled := config.get("compile_config"):
        thing.compile_from_config(compiled)
    if shared is not None and isinstance(number, int):
        shared[number] = thing
    return thing


def _made_special(name: str, inner: Any) -> Any:
    if name == "__numpy__":
        return np.array(inner["value"], dtype=inner["dtype"])
    if name == "__tensor__":
        import jax.numpy as jnp

        return jnp.asarray(inner["value"], dtype=inner["dtype"])
    if name == "__bytes__":
        return str(inner["value"]).encode("utf-8")
    if name == "__slice__":
        return slice(*(deserialize(inner[end]) for end in ("start", "stop", "step")))
    if name == "__ellipsis__":
        return Ellipsis
    raise KindError(
        message(
            "code in a configuration is never run." if name == "__lambda__" else f"{name} is not known here.",
            came=name,
            expected="layers, losses, ... by name",
            mend="write the function with def, and pass it in custom_objects when loading."
            if name == "__lambda__"
            else "",
        )
    )


def _place(module: str) -> str:
    """What kind of thing a module of Keras holds: "layers", "losses", ...; "models" at the top."""
    parts = [part for part in module.split(".")[1:] if part not in ("src", "engine")]
    return parts[0] if parts and parts[0] not in ("sequential", "functional", "training") else "models"


def _is_keras(module: Any) -> bool:
    return isinstance(module, str) and module.split(".", maxsplit=1)[0] in ("keras", "builtins")


def _found_class(name: str, config: Mapping[str, Any], catalogue: Catalogue | None) -> Any:
    """The class of a configuration: the user's own by its registered name, ours by its place in Keras."""
    module, registered = config.get("module"), config.get("registered_name") or None
    unplaced = module is None and registered in (None, name)
    if registered is not None and (own := get_registered_object(registered)) is not None:
        return own
    if not _is_keras(module) and (own := get_registered_object(name)) is not None:
        return own
    if (_is_keras(module) and registered in (None, name)) or unplaced:
        if catalogue is not None:
            return catalogue.find(name)
        for each in _catalogues:
            found = each.entries.get(name)
            if isinstance(found, type) and (
                unplaced or _place(cast(Any, found).namespace) == _place(str(module))
            ):
                return found
    known = [each for catalogue in _catalogues for each in catalogue.entries if each[:1].isupper()]
    raise UnknownNameError(
        message(
            f'there is no class "{name}".',
            came=f"{module}.{name}" if module else name,
            expected=did_you_mean(name, [*known, *_custom, *_registered]),
            mend=f"if it is your own, pass it: custom_objects={{'{name}': {name}}}.",
        )
    )


def _found_function(config: Mapping[str, Any], catalogue: Catalogue | None) -> Any:
    """The function of a configuration."""
    name, module = config.get("config"), config.get("module")
    if not isinstance(name, str):
        raise KindError(message("a function goes by its name.", came=repr(name)))
    if (own := get_registered_object(name)) is not None:
        return own
    registered = config.get("registered_name") or name
    known = _catalogues if catalogue is None else [catalogue]
    if _is_keras(module) or module is None:
        for each in known:
            if isinstance(found := each.entries.get(name), types.FunctionType):
                if registered in (name, "function"):
                    return found
                raise ArgumentError(
                    message(
                        f"{name} is a function of Keras, and was not registered under another name.",
                        came=f"registered_name={registered!r}",
                    )
                )
        # Files of Keras 3.6 and before name registered functions without their package.
        for whole, own in {**_registered, **_custom}.items():
            if whole.endswith(f">{name}"):
                return own
    names = [each for catalogue in known for each in catalogue.entries]
    raise UnknownNameError(
        message(
            f'there is no function "{name}".',
            came=f"{module}.{name}",
            expected=did_you_mean(name, [*names, *_custom, *_registered]),
            mend=f"if it is your own, pass it: custom_objects={{'{name}': {name}}}.",
        )
    )


class Catalogue:
    """The things of one kind that can be asked for by name.

    Classes are found by their own name ("Adam"), by its small form ("adam") and by aliases
    ("mse"); functions by theirs. Nothing is ever imported by name.

    Args:
        kind: what they are, for messages.
        mend: what to do about a name that is not known.
        by_name: whether configurations hold the names of its functions, as Keras's do of activations.
    """

    def __init__(self, kind: str, mend: str = "", by_name: bool = False) -> None:
        self.kind = kind
        self.mend = mend
        self.by_name = by_name
        self.entries: dict[str, Any] = {}
        _catalogues.append(self)

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
        if (own := get_registered_object(name)) is not None:
            return own
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

    def make(self, identifier: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """Turn what a user may pass (a name, a configuration, a class, an object) into the object."""
        if custom_objects:
            with custom_object_scope(custom_objects):
                return self.make(identifier)
        if isinstance(identifier, str):
            identifier = self.find(identifier)
        elif isinstance(identifier, Mapping):
            return made(cast(Mapping[str, Any], identifier), self)
        if isinstance(identifier, type):
            return identifier()
        if identifier is None or callable(identifier) or isinstance(identifier, Configurable):
            return identifier
        article = "an" if self.kind[0] in "aeiou" else "a"
        expected = f"a name or {article} {self.kind}"
        raise ArgumentError(
            message(f"this is not {article} {self.kind}.", came=repr(identifier), expected=expected)
        )
