"""keras.tree: structures of lists, tuples and dicts, and what is in them. Thin names over jax.tree.

A dict is taken in the order of its keys, and None is a leaf like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from pellucid.errors import ArgumentError, message

Function = Callable[..., Any]


class MAP_TO_NONE:  # noqa: N801
    """What a function that `traverse` is given returns for "None in this place"."""


def _is_none(value: Any) -> bool:
    return value is None


def _spec(structure: Any) -> Any:
    return jax.tree.structure(structure, is_leaf=_is_none)


def is_nested(structure: Any) -> bool:
    """Whether this is a structure, rather than one thing.

    >>> is_nested(42), is_nested({"foo": 42}), is_nested(None)
    (False, True, False)
    """
    return not jax.tree_util.treedef_is_leaf(_spec(structure))


def flatten(structure: Any) -> list[Any]:
    """What is in a structure, as a list.

    >>> flatten([1, {"b": 3, "a": (2, None)}])
    [1, 2, None, 3]
    """
    return jax.tree.leaves(structure, is_leaf=_is_none)


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """What is in a structure, each with the keys that lead to it.

    >>> flatten_with_path([{"foo": 42}])
    [((0, 'foo'), 42)]
    """

    def key(entry: Any) -> Any:
        return next(getattr(entry, name) for name in ("idx", "key", "name") if hasattr(entry, name))

    pairs, _ = jax.tree_util.tree_flatten_with_path(structure, is_leaf=_is_none)
    return [(tuple(key(entry) for entry in path), leaf) for path, leaf in pairs]


def pack_sequence_as(structure: Any, flat_sequence: Sequence[Any]) -> Any:
    """A list in the structure of another.

    >>> pack_sequence_as({"b": 0, "a": (0, 0)}, [1, 2, 3])
    {'a': (1, 2), 'b': 3}
    """
    return jax.tree.unflatten(_spec(structure), flat_sequence)


def assert_same_structure(a: Any, b: Any, check_types: Any = None) -> None:
    """Raise an error unless both have the same structure."""
    if _spec(a) != _spec(b):
        raise ArgumentError(
            message("Structures don't have the same nested structure.", came=f"{_spec(a)} and {_spec(b)}")
        )


def assert_same_paths(a: Any, b: Any) -> None:
    """Raise an error unless the same keys lead to what is in both; a list may stand for a tuple."""
    first, second = ({path for path, _ in flatten_with_path(each)} for each in (a, b))
    if first != second:
        raise ArgumentError(
            message("`a` and `b` don't have the same paths.", came=f"only in one: {first ^ second}")
        )


def map_structure(func: Function, *structures: Any, none_is_leaf: bool = True) -> Any:
    """What a function makes of each thing in a structure, or of those in the same place of several.

    >>> map_structure(lambda x, y: x + y, {"a": 1, "b": [2]}, {"a": 10, "b": [20]})
    {'a': 11, 'b': [22]}
    """
    if not structures:
        raise ArgumentError(message("Must provide at least one structure."))
    for other in structures[1:]:
        assert_same_structure(structures[0], other)
    return jax.tree.map(func, *structures, is_leaf=_is_none if none_is_leaf else None)


def map_structure_up_to(shallow_structure: Any, func: Function, *structures: Any) -> Any:
    """The same, no deeper than another structure goes.

    >>> map_structure_up_to([None, None], len, [[1, 1], [2]])
    [2, 1]
    """
    if not structures:
        raise ArgumentError(message("Must provide at least one structure."))
    return jax.tree.map(lambda _, *rest: func(*rest), shallow_structure, *structures, is_leaf=_is_none)


def map_shape_structure(func: Function, structure: Any) -> Any:
    """What a function makes of each shape in a structure.

    >>> map_shape_structure(len, {"a": (None, 3), "b": [(1, 2, 3)]})
    {'a': 2, 'b': [3]}
    """

    def is_shape(value: Any) -> bool:
        return isinstance(value, list | tuple) and all(
            size is None or isinstance(size, int) for size in value
        )

    return jax.tree.map(func, structure, is_leaf=is_shape)


def traverse(func: Function, structure: Any, top_down: bool = True) -> Any:
    """Offer each part of a structure to a function, outer parts first, or last.

    Where it gives None the part stays; anything else takes its place, and `MAP_TO_NONE` puts None there.

    >>> traverse(lambda part: sum(part) if isinstance(part, tuple) else None, [(1, 2), [3]])
    [3, [3]]
    """

    def inside() -> Any:
        if not is_nested(structure):
            return structure
        return jax.tree.map(
            lambda part: traverse(func, part, top_down), structure, is_leaf=lambda part: part is not structure
        )

    part = structure if top_down else inside()
    made = func(part)
    if made is None:
        return inside() if top_down else part
    return None if made is MAP_TO_NONE else made


def lists_to_tuples(structure: Any) -> Any:
    """The same structure with tuples for lists.

    >>> lists_to_tuples([1, {"a": [2, 3]}])
    (1, {'a': (2, 3)})
    """
    return traverse(lambda part: tuple(part) if isinstance(part, list) else None, structure, top_down=False)


__all__ = [
    "MAP_TO_NONE",
    "assert_same_paths",
    "assert_same_structure",
    "flatten",
    "flatten_with_path",
    "is_nested",
    "lists_to_tuples",
    "map_shape_structure",
    "map_structure",
    "map_structure_up_to",
    "pack_sequence_as",
    "traverse",
]
