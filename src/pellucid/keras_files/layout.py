"""Where a model's numbers lie in a file of Keras: one path for each layer and optimizer.

A part of a model is found by the attribute that holds it, and within lists by the small name of its
class, counted: "layers/dense_1", "layers/lstm/cell", "optimizer". Names that people gave do not matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from pellucid.layers.layer import Layer
from pellucid.naming import is_ours, snake_case
from pellucid.optimizers import Optimizer


def parts(thing: Any, skipped: Sequence[Any] = ()) -> Iterator[tuple[str, Any]]:
    """A model and all that is in it, each with its path, in Keras's order; the model's own path is "".

    Args:
        thing: the model.
        skipped: parts that are left out, with all that is in them.

    >>> from pellucid import layers
    >>> [path for path, _ in parts(layers.Dense(1))]
    ['']
    """
    yield from _parts(thing, "", {id(each) for each in skipped})


def _parts(thing: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if id(thing) in seen:
        return
    seen.add(id(thing))
    yield path, thing
    for name in _attributes(thing):
        try:
            value = getattr(thing, name)
        except Exception:  # a property that cannot be read yet is none that holds layers
            continue
        yield from _within(value, f"{path}/{name}" if path else name, seen)


def _within(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Layer | Optimizer):
        yield from _parts(value, path, seen)
    elif isinstance(value, Mapping | list | tuple):
        if id(value) in seen:
            return
        values = value.values() if isinstance(value, Mapping) else value
        names: Counter[str] = Counter()
        for each in cast(Sequence[Any], values):
            if isinstance(each, Layer | Optimizer):
                name = snake_case(type(each).__name__)
            elif isinstance(each, Mapping | list | tuple):
                name = "container"
                seen.add(id(cast(Any, value)))
            else:
                continue
            number = names[name]
            names[name] += 1
            yield from _within(each, f"{path}/{name}_{number}" if number else f"{path}/{name}", seen)


def _attributes(thing: Any) -> list[str]:
    """The names of the attributes that may hold layers, private ones last."""
    ours = next(kind for kind in type(thing).__mro__ if is_ours(kind))
    names = sorted(set(dir(thing)) - set(dir(ours)), key=lambda name: (name.startswith("_"), name))
    # Sequential and functional models have their layers in an order of their own, which comes first.
    listed = hasattr(ours, "layers")
    in_order = listed and ours.__name__ != "Model"
    # A layer that was given as an argument need not be one that the layer uses.
    names = [name for name in names if not name.startswith("__") and name != "_arguments"]
    if in_order:
        return ["layers", *names]
    return sorted([*names, "layers"], key=lambda name: (name.startswith("_"), name)) if listed else names


def own_variables(thing: Any) -> dict[str, Any]:
    """The arrays that a layer or an optimizer keeps for itself, by their names in a file: "0", "1", ..."""
    store: dict[str, Any] = {}
    thing.save_own_variables(store)
    return store


def groups(arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Arrays by the path of what they belong to, and then by their names.

    >>> groups({"layers/dense/vars/0": 1, "vars/0": 2})
    {'layers/dense': {'0': 1}, '': {'0': 2}}
    """
    found: dict[str, dict[str, Any]] = {}
    for path, array in arrays.items():
        owner, _, name = path.rpartition("vars/")
        if owner and not owner.endswith("/"):
            continue
        found.setdefault(owner.rstrip("/"), {})[name] = array
    return found


def load(
    model: Any,
    stored: Mapping[str, Mapping[str, Any]],
    fails: Callable[[Any, str, Exception], None],
    skipped: Sequence[Any] = (),
) -> None:
    """Give a model and all that is in it their numbers.

    Args:
        model: the model.
        stored: what `groups` found in a file.
        fails: is told of each part that its numbers do not fit, and why.
        skipped: parts that keep the numbers that they have.
    """
    for path, thing in parts(model, skipped):
        own = dict(stored.get(path, {}))
        if isinstance(thing, Optimizer):
            _make_slots(thing, own, model, path)
        try:
            thing.load_own_variables(own)
        except Exception as problem:  # whatever a layer of one's own says
            fails(thing, path, problem)


def _make_slots(optimizer: Optimizer, own: Mapping[str, Any], model: Any, path: str) -> None:
    """Build an optimizer that has taken steps: it then has more than its count and its rate."""
    if optimizer.built or len(own) <= len(optimizer.variables):
        return
    holder = path.rpartition("/")[0]
    owner = next(each for at, each in parts(model) if at == holder)
    optimizer.build(owner.trainable_variables)
