"""keras.random: bit for bit the numbers of Keras, with every kind of seed; and what a seed may be."""

import jax
import numpy as np
import pytest

import pellucid as keras
from judging import answers
from pellucid.errors import ArgumentError, StateError
from random_judge_cases import cases


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What both libraries give, by library: case: name: array."""
    return answers("random_judge_cases.py", tmp_path_factory.mktemp("random"))


@pytest.mark.slow
@pytest.mark.parametrize("case", list(cases(keras)))
def test_the_same_seed_gives_the_numbers_of_keras_bit_for_bit(found, case):
    ours, theirs = found["pellucid"][case], found["keras"][case]
    assert list(ours) == list(theirs)
    for name, expected in theirs.items():
        assert ours[name].dtype == expected.dtype, name
        assert np.array_equal(ours[name], expected), name


def test_pythons_own_random_is_another_module():
    import random

    assert keras.random.__name__ == "pellucid.random"
    assert random.__name__ == "random"
    assert random.random() < 1


def test_a_whole_number_gives_the_same_numbers_and_a_generator_others():
    generator = keras.random.SeedGenerator(1)
    first, second = (keras.random.uniform((3,), seed=generator) for _ in range(2))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, keras.random.uniform((3,), seed=1))
    again = keras.random.SeedGenerator.from_config(generator.get_config())
    assert np.array_equal(first, keras.random.uniform((3,), seed=again))


def test_a_layer_that_draws_with_its_generator_draws_anew_at_every_step():
    class Noise(keras.Layer):
        rows_independent = True

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seeds = keras.random.SeedGenerator(7)

        def call(self, inputs):
            return inputs + keras.random.normal(keras.ops.shape(inputs), seed=self.seeds)

    layer = Noise()
    model = keras.Sequential([keras.Input(shape=(2,)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 2)), np.ones(8), batch_size=4, epochs=3, verbose=0)
    assert layer.seeds.state.numpy().tolist() == [7, 6]


def test_a_draw_without_a_seed_is_refused_in_what_is_compiled():
    with pytest.raises(StateError, match="stay the same"):
        jax.jit(lambda: keras.random.normal((2,)))()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: keras.random.normal((2,), seed="one"), "whole number or a SeedGenerator"),
        (lambda: keras.random.SeedGenerator(1.5), "must be an integer"),
        (lambda: keras.random.uniform((2,), dtype="int32"), "gives floats"),
        (lambda: keras.random.randint((2,), 0, 3, dtype="float32"), "gives whole numbers"),
        (lambda: keras.random.categorical([0.5, 0.5], 2), "2-D"),
        (lambda: keras.random.dropout([1.0], 1.5), "probability"),
    ],
)
def test_what_cannot_be_drawn_is_said(wrong, said):
    with pytest.raises(ArgumentError, match=said):
        wrong()
