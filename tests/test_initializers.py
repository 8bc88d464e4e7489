"""First values: bit for bit those of Keras and of jax.random, and with the variance they promise."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as keras
from pellucid import initializers, seeds

shapes = st.lists(st.integers(1, 9), min_size=0, max_size=3).map(tuple)
words = st.integers(0, 2**32 - 1)


@settings(max_examples=25)
@given(seed=words, position=words, shape=shapes, low=st.sampled_from([-0.31, -1.0, 0.0, 0.25]))
def test_uniform_numbers_are_bit_for_bit_those_of_jax(seed, position, shape, low):
    key = seeds.key(seed, position)
    theirs = jax.random.uniform(key, shape, "float32", low, low + 0.75)
    np.testing.assert_array_equal(seeds.uniform(key, shape, low, low + 0.75), theirs)


@settings(max_examples=10)
@given(seed=words, count=st.integers(1, 3000))
def test_random_words_are_those_of_jax(seed, count):
    key = seeds.key(seed)
    np.testing.assert_array_equal(seeds.random_words(key, count), jax.random.bits(key, (count,), "uint32"))


@pytest.mark.parametrize(
    ("initializer", "first"),
    [
        ("glorot_uniform", [-0.308193177, 0.0425286032, -0.175619379, -0.0928930864]),
        ("he_normal", [-0.388658255, 0.0414878204, -0.181723073, -0.0917934030]),
        ("orthogonal", [-0.242920399, 0.0330741741, -0.0517871976, -0.0105098328]),
    ],
)
def test_the_first_weights_after_set_random_seed_are_those_of_keras(initializer, first):
    keras.utils.set_random_seed(42)
    layer = keras.layers.Dense(16, kernel_initializer=initializer)
    layer.build_for((None, 30))
    kernel = layer.get_weights()[0][0, :4]
    if initializer == "orthogonal":
        np.testing.assert_allclose(kernel, first, rtol=1e-5)
    else:
        np.testing.assert_array_equal(kernel, np.array(first, np.float32))


def test_the_seeds_that_are_drawn_are_those_of_python():
    keras.utils.set_random_seed(1)
    assert seeds.draw_seed() == 144272510
    assert [np.random.permutation(5).tolist() for _ in range(2)] == [[2, 1, 4, 0, 3], [0, 2, 4, 3, 1]]


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("glorot_uniform", 2 / 500),
        ("glorot_normal", 2 / 500),
        ("he_uniform", 2 / 300),
        ("he_normal", 2 / 300),
        ("lecun_uniform", 1 / 300),
        ("lecun_normal", 1 / 300),
        ("random_normal", 0.05**2),
        ("random_uniform", 0.1**2 / 12),
        ("truncated_normal", (0.05 * 0.87962566103423978) ** 2),
    ],
)
def test_the_variance_of_random_values_is_the_one_promised(name, variance):
    values = np.asarray(initializers.get(name)((300, 200)))
    assert values.var() == pytest.approx(variance, rel=0.03)
    assert abs(values.mean()) < 4 * np.sqrt(variance / values.size)


def test_uniform_values_stay_within_their_limits_and_truncated_ones_within_two_deviations():
    limit = np.sqrt(6 / 500)
    assert np.abs(initializers.get("glorot_uniform")((300, 200))).max() <= limit
    assert np.abs(initializers.get("truncated_normal")((300, 200))).max() <= 0.1


def test_orthogonal_matrices_are_orthogonal():
    for shape in ((6, 3), (3, 6), (2, 3, 4)):
        matrix = np.asarray(initializers.Orthogonal(gain=2.0)(shape)).reshape(-1, shape[-1])
        smaller = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        np.testing.assert_allclose(smaller @ smaller.T, 4 * np.eye(len(smaller)), atol=1e-5)


def test_constant_values():
    assert initializers.get("zeros")((2,)).tolist() == [0.0, 0.0]
    assert initializers.get("ones")((2,)).tolist() == [1.0, 1.0]
    assert initializers.Constant(3.0)((2,)).tolist() == [3.0, 3.0]
    assert initializers.Identity(2.0)((2, 2)).tolist() == [[2.0, 0.0], [0.0, 2.0]]


def test_an_initializer_gives_the_same_values_every_time_and_another_one_gives_others():
    first, second = initializers.GlorotUniform(), initializers.GlorotUniform()
    np.testing.assert_array_equal(first((3, 3)), first((3, 3)))
    assert not np.array_equal(first((3, 3)), second((3, 3)))
    np.testing.assert_array_equal(
        initializers.HeNormal(seed=5)((3, 3)), initializers.HeNormal(seed=5)((3, 3))
    )


def test_fans_count_inputs_and_outputs():
    assert initializers.fans((30, 16)) == (30, 16)
    assert initializers.fans((3, 3, 8, 4)) == (72, 36)
    assert initializers.fans((5,)) == (5, 5)
    assert initializers.fans(()) == (1, 1)
