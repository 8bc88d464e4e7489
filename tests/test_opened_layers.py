"""Opened steps of layers that merge, attend, draw noise and normalize: every formula, and the check."""

import itertools

import numpy as np
import pytest

import pellucid as keras
from pellucid.errors import ArgumentError
from pellucid.naming import forget_names

L = keras.layers

RANDOM = np.random.default_rng(4)
ROWS = 6
A, B = (RANDOM.normal(size=(ROWS, 3, 2)).astype("float32") for _ in range(2))
WORDS = np.array([[1, 2, 0], [2, 0, 0], [1, 1, 2], [0, 0, 0], [2, 1, 0], [1, 0, 0]])
Y = RANDOM.normal(size=ROWS).astype("float32")


def merged(layer):
    """Two branches that a layer makes one."""
    one, other = keras.Input((3, 2)), keras.Input((3, 2))
    return [one, other], layer([L.Dense(2, name="left")(one), L.Dense(2, name="right")(other)]), [A, B]


def alone(layer):
    """A layer on what a dense layer gives."""
    x = keras.Input((3, 2))
    return x, layer(L.Dense(2, "tanh", name="left")(x)), A


def attending(layer, **options):
    """An attention of one branch to the other."""
    one, other = keras.Input((3, 2)), keras.Input((3, 2))
    left, right = L.Dense(2, name="left")(one), L.Dense(2, name="right")(other)
    return [one, other], layer(left, right, **options), [A, B]


def reading(layer):
    """An attention of words to themselves; after some there is nothing but padding."""
    words = keras.Input((3,), dtype="int32")
    x = L.Embedding(3, 2, mask_zero=True, name="left")(words)
    return words, layer(x, x), WORDS


def heads(**options):
    return L.MultiHeadAttention(2, 2, name="made", **options)


#: Those whose gradients are also compared with differences of the cost, which takes long.
CHECKED = ["heads, of words", "PReLU", "BatchNormalization", "LayerNormalization"]
#: What has no formula: the way back through what an attention calls, and through dropped scores.
SILENT = {
    *(f"made/{each}.d_output" for each in ("query", "key", "value", "dropout")),
    "made.d_scores",
}

#: Models by name: inputs, outputs, and what they are trained on.
CASES = {
    "Add": lambda: merged(L.Add(name="made")),
    "Subtract": lambda: merged(L.Subtract(name="made")),
    "Multiply": lambda: merged(L.Multiply(name="made")),
    "Average": lambda: merged(L.Average(name="made")),
    "Maximum": lambda: merged(L.Maximum(name="made")),
    "Minimum": lambda: merged(L.Minimum(name="made")),
    "Concatenate": lambda: merged(L.Concatenate(axis=1, name="made")),
    "Dot": lambda: merged(L.Dot(axes=2, name="made")),
    "Attention": lambda: merged(L.Attention(use_scale=True, score_mode="concat", name="made")),
    "AdditiveAttention": lambda: merged(L.AdditiveAttention(name="made")),
    "MultiHeadAttention": lambda: attending(heads()),
    "heads, dropped": lambda: attending(heads(dropout=0.4, seed=1), use_causal_mask=True),
    "heads, of words": lambda: reading(heads()),
    "PReLU": lambda: alone(L.PReLU("ones", shared_axes=[1], name="made")),
    "Dropout": lambda: alone(L.Dropout(0.4, seed=1, name="made")),
    "GaussianDropout": lambda: alone(L.GaussianDropout(0.4, seed=1, name="made")),
    "GaussianNoise": lambda: alone(L.GaussianNoise(0.4, seed=1, name="made")),
    "AlphaDropout": lambda: alone(L.AlphaDropout(0.4, seed=1, name="made")),
    "SpatialDropout1D": lambda: alone(L.SpatialDropout1D(0.4, seed=1, name="made")),
    "BatchNormalization": lambda: alone(L.BatchNormalization(name="made")),
    "LayerNormalization": lambda: alone(L.LayerNormalization(name="made")),
}


def step_of(name):
    """The second step of a training, opened."""
    forget_names()
    keras.utils.set_random_seed(1)
    inputs, outputs, x = CASES[name]()
    model = keras.Model(inputs, L.Dense(1, name="last")(L.Flatten()(outputs)))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model.fit(x, Y, batch_size=ROWS, epochs=2, shuffle=False, verbose=0).open(1)


@pytest.fixture(scope="module", params=list(CASES))
def opened(request):
    return request.param, step_of(request.param)


def places(step, name):
    """Some indices of what a name stands for, within an example."""
    layer, _, kind = name.rpartition(".")
    found = step.layers[layer]
    array = found.slopes[kind.removeprefix("d_")] if kind.startswith("d_") else found.arrays[kind]
    every = list(np.ndindex(*(array.shape[1:] if len(array) == ROWS else array.shape)))
    return [every[0], every[len(every) // 2], every[-1]]


def told(step, name, example=0):
    """The formulas of some numbers that go by a name; None if a layer states none."""
    try:
        return [step.formula(f"{name}[{','.join(map(str, at))}]", example) for at in places(step, name)]
    except ArgumentError:
        return None


def test_every_number_of_the_way_there_and_back_is_what_its_formula_comes_to(opened):
    case, step = opened
    attends = case.startswith(("heads", "MultiHead"))
    names = [name for name in step.names() if name.startswith(("made", "left")) and "." in name]
    silent = set()
    for name, example in itertools.product(names, (0, 3, 5)):
        formulas = told(step, name, example)
        if formulas is None:
            silent.add(name)
            continue
        for formula in formulas:
            assert formula.holds, formula
    assert silent <= (SILENT if attends else set())


def test_the_gradient_by_every_weight_is_what_its_formula_comes_to(opened):
    _, step = opened
    for path, gradient in step.gradients.items():
        for index in (tuple(0 for _ in gradient.shape), tuple(size - 1 for size in gradient.shape)):
            at = f"[{','.join(map(str, index))}]" if index else ""
            formula = step.formula(f"{path}{at}.gradient")
            assert formula.holds, formula


@pytest.mark.parametrize("case", CHECKED)
def test_gradients_are_those_of_small_differences(case):
    found = step_of(case).check()
    assert found.ok, str(found)
