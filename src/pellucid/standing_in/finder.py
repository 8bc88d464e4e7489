"""Finds Pellucid where code imports keras, tf_keras or tensorflow, whether or not they are installed.

A stand-in module has the name that was imported, and gives what Pellucid has of that name. It is there
in this process only, between `install` and `uninstall`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any, TypeVar

import numpy as np

import pellucid
from pellucid.errors import (
    MissingError,
    MissingModuleError,
    MissingNameError,
    StateError,
    did_you_mean,
    message,
)

ROOTS = ("keras", "tf_keras", "tensorflow")
#: The Keras and TensorFlow whose names these are. What follows the + says that it is not they.
KERAS, TENSORFLOW = (f"{version}+pellucid{pellucid.__version__}" for version in ("3.15.1", "2.20.0"))
#: Other names that the same things have.
SAME = {"tensorflow.keras": "keras", "tf_keras": "keras", "keras.api": "keras"} | {
    f"tensorflow.{each}": f"keras.{each}" for each in ("initializers", "losses", "metrics", "optimizers")
}
#: What is never there, and what to use instead.
INSTEAD = {
    "keras.src": "the inside of Keras is not part of its API: import the public name, such as "
    "keras.layers.Dense for keras.src.layers.Dense.",
    "tensorflow.python": "the inside of TensorFlow is not part of its API: import from keras.",
    "tensorflow.GradientTape": "model.gradients(x, y) gives the gradients of a model's cost, "
    "model.fit(...).open(step).gradients those of a training step, and jax.grad(function) a function's.",
    "tensorflow.gradients": "model.gradients(x, y) gives the gradients of a model's cost.",
    "tensorflow.compat.v1": "sessions and graphs went with TensorFlow 1: write the model with keras.",
    "tensorflow": "of TensorFlow, Pellucid has what scripts use around Keras. keras.ops has more functions.",
    "keras": "",
}
Missing = TypeVar("Missing", bound=MissingError)


class StandIn(ModuleType):
    """A module of Keras's or TensorFlow's name, that gives what Pellucid has of it."""

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return sorted(_names(self.__name__))
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            value = _find(f"{self.__name__}.{name}")
        except LookupError:
            raise missing(f"{self.__name__}.{name}", MissingNameError) from None
        return importlib.import_module(f"{self.__name__}.{name}") if value is NAMESPACE else value

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *_names(self.__name__)})


#: What `_find` gives for a name that holds others.
NAMESPACE = object()


class Finder(MetaPathFinder, Loader):
    """The import finder: the first in `sys.meta_path`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A stand-in for a module of Keras or TensorFlow; None for all others."""
        if fullname.partition(".")[0] not in ROOTS:
            return None
        try:
            found = _find(fullname)
        except LookupError:
            found = None
        if found is not NAMESPACE:
            raise missing(fullname, MissingModuleError)
        return ModuleSpec(fullname, self, origin="pellucid", is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An empty module: its names are found as they are asked for."""
        module = StandIn(spec.name, f"Pellucid, in the place of {spec.name}.")
        known = _same(spec.name)
        if known in ("keras", "tensorflow"):
            module.__dict__["__version__"] = KERAS if known == "keras" else TENSORFLOW
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do."""


def _same(name: str) -> str:
    """The name in Keras or TensorFlow that a name stands for."""
    for other, known in SAME.items():
        if name == other or name.startswith(f"{other}."):
            return known + name[len(other) :]
    return name


def _extra(root: str) -> dict[str, Any]:
    """What there is of a library beside Pellucid's own names."""
    # As Pellucid's own modules are imported, so that no random number is spent.
    if root == "keras":
        return pellucid._module("standing_in.older").OFFERED
    return pellucid._module("standing_in.tensorflow").OFFERED


def _find(name: str) -> Any:
    """What Pellucid has of that name: a thing, or NAMESPACE; LookupError if nothing."""
    root, _, path = _same(name).partition(".")
    if not path:
        return NAMESPACE
    extra = _extra(root)
    if path in extra:
        return extra[path]
    if any(each.startswith(f"{path}.") for each in extra):
        return NAMESPACE
    if root != "keras":
        raise LookupError(name)
    found: Any = pellucid
    for part in path.split("."):
        found = getattr(found, part, None)
        if found is None or (isinstance(found, ModuleType) and not found.__name__.startswith("pellucid.")):
            raise LookupError(name)
    return NAMESPACE if isinstance(found, ModuleType) else found


def _names(name: str) -> set[str]:
    """The names in a namespace."""
    root, _, path = _same(name).partition(".")
    within = f"{path}." if path else ""
    names = {each[len(within) :].partition(".")[0] for each in _extra(root) if each.startswith(within)}
    if root == "keras":
        found: Any = pellucid
        for part in filter(None, path.split(".")):
            found = getattr(found, part, None)
        names |= set(getattr(found, "__all__", None) or _own_names(found))
    elif not path:
        names |= {other.partition(".")[2] for other in SAME if other.startswith("tensorflow.")}
    return names


def _own_names(module: Any) -> set[str]:
    """The names of what a module defines itself, those that begin with _ left out."""
    return {
        name
        for name, value in getattr(module, "__dict__", {}).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }


def missing(name: str, kind: type[Missing]) -> Missing:
    """The error for a name that is not here: what was asked for, where, and what to use instead."""
    known = _same(name)
    parent, _, last = known.rpartition(".")
    reason = next((why for n, why in INSTEAD.items() if known == n or known.startswith(f"{n}.")), "")
    near = _names(parent) if parent and known not in INSTEAD else set()
    return kind(
        message(
            f"Pellucid has no {name}.",
            came=f"{name}, asked for in {_asked_in()}",
            expected=did_you_mean(last, near) if near else None,
            mend=reason,
        )
    )


def _asked_in() -> str:
    """The file and the line of the code that asks."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in ("pellucid", "importlib"):
            return f"{frame.f_code.co_filename}, line {frame.f_lineno}"
        frame = frame.f_back
    return "an unknown place"


FINDER = Finder()


def installed() -> bool:
    """Whether Pellucid stands in for Keras and TensorFlow now."""
    return FINDER in sys.meta_path


def install() -> None:
    """Let `import keras`, `import tf_keras` and `import tensorflow` give Pellucid, in this process.

    Raises:
        StateError: if one of them was imported already: code would then get some of each.
    """
    if installed():
        return
    for root in ROOTS:
        if root in sys.modules:
            there = sys.modules[root]
            raise StateError(
                message(
                    f"{root} was imported already, and Pellucid cannot take its place any more.",
                    came=f"{root} {getattr(there, '__version__', '')} from {getattr(there, '__file__', '?')}",
                    expected=f"a process in which nothing has imported {root}",
                    mend="in a notebook: restart the kernel, and run %load_ext pellucid in the first cell.",
                )
            )
    sys.meta_path.insert(0, FINDER)
    _array_class().numpy = _numpy
    _streams().watch()


def uninstall() -> None:
    """Let imports give what is installed again. What was imported stays with those who have it."""
    if not installed():
        return
    sys.meta_path.remove(FINDER)
    for name in [name for name, module in sys.modules.items() if isinstance(module, StandIn)]:
        del sys.modules[name]
    del _array_class().numpy
    _streams().unwatch()


def _array_class() -> Any:
    """The class of JAX's arrays. TensorFlow's have a method `numpy`; so have JAX's, meanwhile."""
    pellucid._module("arrays")  # imports JAX without spending random numbers
    import jax

    return type(jax.device_put(np.zeros(())))


def _streams() -> Any:
    """The streams of random numbers of TensorFlow's names."""
    return pellucid._module("standing_in.seeding").STREAMS


def _numpy(array: Any) -> Any:
    """A NumPy copy of an array; of a single number, a NumPy number."""
    return np.array(array)[()]
