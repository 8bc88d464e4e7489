"""keras.tree, as far as Keras's tests use it: on nested lists, tuples and dicts."""

import jax


def _leaf(value):
    return value is None


def flatten(structure):
    return jax.tree.leaves(structure, is_leaf=_leaf)


def map_structure(function, *structures):
    return jax.tree.map(function, *structures, is_leaf=_leaf)


def assert_same_structure(first, second):
    assert jax.tree.structure(first, is_leaf=_leaf) == jax.tree.structure(second, is_leaf=_leaf)
