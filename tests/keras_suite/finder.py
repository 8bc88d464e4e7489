"""Answers imports of `keras` and `keras.src...` with Pellucid.

Test files are Keras's own, from its wheel. Any other module of Keras becomes a `StandIn`, which looks
its names up where Pellucid has them. A name that is nowhere becomes `Outside`, which raises when it is
used, so that only the tests that use it fail.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import pathlib
import sys
import types

#: Keras's folder, which is read and never imported.
WHEEL = pathlib.Path(str(importlib.metadata.distribution("keras").locate_file("keras"))).resolve()
SOURCES = WHEEL / "src"
#: Where names of a part of Keras lie, if not (only) in the module of Pellucid of that name.
ELSEWHERE = {
    "": ["pellucid", "keras_suite.backend", "pellucid.graph"],
    "backend": ["keras_suite.backend", "pellucid.config", "pellucid.graph", "pellucid.variables"],
    "backend.numpy": ["jax.numpy"],
    "backend.random": ["pellucid.random", "pellucid.variables"],
    "backend.config": ["keras_suite.backend", "pellucid.config"],
    "conftest": ["keras_suite.testing"],
    "dtype_policies": ["pellucid.dtype_policies", "keras_suite.backend"],
    "layers": ["pellucid.layers", "pellucid.layers.layer"],
    "metrics.metrics_utils": ["keras_suite.privates"],
    "models": ["pellucid.models", "pellucid"],
    "ops": ["pellucid.ops", "keras_suite.backend"],
    "optimizers.schedules": ["pellucid.schedules"],
    "random": ["pellucid.random", "pellucid.variables"],
    "saving": ["pellucid.saving", "keras_suite.backend", "keras_suite.privates"],
    "testing": ["keras_suite.testing"],
    "utils": ["pellucid.utils", "keras_suite.backend"],
}

#: What Python and pytest look for in modules, and do not mind to miss.
LOOKED_FOR = ("__", "pytest", "setup", "setUp", "teardown", "tearDown")


class OutsideError(Exception):
    """A test used what Pellucid does not have."""


class Outside(type):
    """A name of Keras that Pellucid does not have."""

    def __new__(cls, path, *_):
        return super().__new__(cls, str(path).rsplit(".", maxsplit=1)[-1], (), {"path": path})

    def __init__(cls, path, *_):
        super().__init__(path, (), {})

    def __call__(cls, *args, **kwargs):
        raise OutsideError(f"{cls.path} is not there")

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise OutsideError(f"{cls.path}.{name} is not there")


class StandIn(types.ModuleType):
    """A module of Keras whose names are Pellucid's."""

    def __getattr__(self, name):
        if name.startswith(LOOKED_FOR):
            raise AttributeError(name)
        parts = inner(self.__name__)
        if is_module(*parts, name):
            return importlib.import_module(f"{self.__name__}.{name}")
        for place in places(parts):
            found = getattr(place, name, self)
            if found is not self:
                return found
        return Outside(f"{self.__name__}.{name}")


def inner(name):
    """The parts of a module's name below `keras` or `keras.src`."""
    parts = name.split(".")[1:] if name.startswith("keras") else [name]
    return tuple(parts[1:] if parts[:1] == ["src"] else parts)


def is_module(*parts):
    """Whether Keras has a module of that name."""
    return (SOURCES.joinpath(*parts).is_dir()) or SOURCES.joinpath(*parts).with_suffix(".py").is_file()


def places(parts):
    """The modules where the names of a module of Keras may lie."""
    part = parts[0] if parts else ""
    names = ELSEWHERE.get(".".join(parts[:2])) or ELSEWHERE.get(part, [f"pellucid.{part}"])
    for name in names:
        top, *rest = name.split(".")
        try:
            found = importlib.import_module(top)
            for each in rest:
                found = getattr(found, each, None) or importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        yield found


class _Empty(importlib.abc.Loader):
    def create_module(self, spec):
        return StandIn(spec.name)

    def exec_module(self, module):
        module.__path__ = []


class Finder(importlib.abc.MetaPathFinder):
    """Finds Keras's tests in its wheel, and everything else of Keras in Pellucid."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras" and not name.startswith("keras."):
            return None
        parts = inner(name)
        if parts and parts[-1].endswith("_test"):
            file = SOURCES.joinpath(*parts).with_suffix(".py")
            return importlib.util.spec_from_file_location(name, file)
        if name in ("keras", "keras.src") or is_module(*parts):
            return importlib.machinery.ModuleSpec(name, _Empty(), is_package=True)
        return None


def install():
    """From now on, `import keras` gives Pellucid."""
    assert "keras" not in sys.modules, "keras was imported before"
    sys.meta_path.insert(0, Finder())
    # Found by nobody else, such as pytest in the folder that it is started in.
    sys.modules["conftest"] = StandIn("conftest")
