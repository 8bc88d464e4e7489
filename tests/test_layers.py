"""Layers by hand: what each computes, its weights, its shapes, and what it does while training."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as keras
from pellucid.variables import pure

L = keras.layers
X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


def trained(layer, x):
    """The outputs while training, and the variables after that."""
    layer.build_for((None, *x.shape[1:])) if not layer.built else None
    call = pure(lambda x: layer(x, training=True), layer.variables)
    return call([variable.value for variable in layer.variables], x)


def test_dense_sums_inputs_times_weights_adds_the_bias_and_applies_the_activation():
    layer = L.Dense(3, activation="tanh", bias_initializer="ones")
    found = layer(X)
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(found, np.tanh(X @ kernel + bias), rtol=1e-5, atol=1e-6)
    assert [variable.path for variable in layer.weights] == ["dense/kernel", "dense/bias"]
    assert layer.count_params() == 4 * 3 + 3


def test_dense_works_on_the_last_axis():
    layer = L.Dense(2, use_bias=False)
    deep = X.reshape(2, 3, 4)
    np.testing.assert_allclose(layer(deep), deep @ layer.get_weights()[0], rtol=1e-5, atol=1e-6)
    assert layer.compute_output_shape((None, 3, 4)) == (None, 3, 2)


def test_flatten_and_reshape_keep_every_number_in_its_order():
    deep = X.reshape(2, 3, 4)
    np.testing.assert_array_equal(L.Flatten()(deep), deep.reshape(2, 12))
    np.testing.assert_array_equal(L.Reshape((4, -1))(deep), deep.reshape(2, 4, 3))
    assert L.Flatten().compute_output_shape((None, 3, 4)) == (None, 12)
    assert L.Reshape((4, -1)).compute_output_shape((None, 3, 4)) == (None, 4, 3)


def test_activations_as_layers():
    np.testing.assert_array_equal(L.ReLU()(X), np.maximum(X, 0))
    np.testing.assert_allclose(L.LeakyReLU()(X), np.where(X > 0, X, 0.3 * X), rtol=1e-6)
    np.testing.assert_allclose(L.ELU(2.0)(X), np.where(X > 0, X, 2 * np.expm1(X)), rtol=1e-5)
    np.testing.assert_allclose(L.Softmax()(X).sum(-1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(L.Activation("sigmoid")(X), 1 / (1 + np.exp(-X)), rtol=1e-6)
    masked = L.Softmax()(np.zeros((1, 3), "float32"), mask=np.array([[True, True, False]]))
    np.testing.assert_allclose(masked, [[0.5, 0.5, 0.0]])


def test_dropout_drops_its_part_and_scales_the_rest_only_while_training():
    layer = L.Dropout(0.25, seed=1)
    ones = np.ones((200, 100), "float32")
    np.testing.assert_array_equal(layer(ones), ones)
    found, (position,) = trained(layer, ones)
    assert set(np.unique(found)) == {np.float32(0), np.float32(1) / np.float32(0.75)}
    assert (np.asarray(found) == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert position.tolist() == [1, 1]
    expected = jax.random.bernoulli(np.array([1, 0], np.uint32), 0.75, ones.shape)
    np.testing.assert_array_equal(np.asarray(found) > 0, expected)


def test_dropout_of_zero_and_of_everything():
    np.testing.assert_array_equal(trained(L.Dropout(0.0), X)[0], X)
    assert not L.Dropout(0.0).variables
    np.testing.assert_array_equal(trained(L.Dropout(1.0), X)[0], 0 * X)


def test_dropout_may_drop_whole_columns():
    found, _ = trained(L.Dropout(0.5, noise_shape=(1, None), seed=3), np.ones((5, 50), "float32"))
    assert (np.asarray(found) == np.asarray(found)[0]).all()


def test_noise_has_its_deviation_only_while_training():
    layer = L.GaussianNoise(0.5, seed=1)
    zeros = np.zeros((200, 100), "float32")
    np.testing.assert_array_equal(layer(zeros), zeros)
    assert np.asarray(trained(layer, zeros)[0]).std() == pytest.approx(0.5, rel=0.02)


def test_batch_normalization_uses_the_batch_while_training_and_running_means_afterwards():
    layer = L.BatchNormalization(momentum=0.9)
    found, after = trained(layer, X)
    mean, variance = X.mean(0), X.var(0)
    np.testing.assert_allclose(found, (X - mean) / np.sqrt(variance + 1e-3), rtol=1e-4, atol=1e-5)
    values = dict(zip([variable.name for variable in layer.variables], after, strict=True))
    np.testing.assert_allclose(values["moving_mean"], 0.1 * mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(values["moving_variance"], 0.9 + 0.1 * variance, rtol=1e-5)
    layer.set_weights([np.full(4, 2.0), np.full(4, 3.0), mean, variance])
    expected = 2 * (X - mean) / np.sqrt(variance + 1e-3) + 3
    np.testing.assert_allclose(layer(X), expected, rtol=1e-4, atol=1e-5)
    assert [variable.name for variable in layer.weights] == [
        "gamma",
        "beta",
        "moving_mean",
        "moving_variance",
    ]
    assert len(layer.trainable_weights) == 2


def test_frozen_batch_normalization_uses_its_running_means_while_training_too():
    layer = L.BatchNormalization(trainable=False)
    found, after = trained(layer, X)
    np.testing.assert_allclose(found, X / np.sqrt(1 + 1e-3), rtol=1e-5)
    np.testing.assert_array_equal(after[2], np.zeros(4))


def test_batch_normalization_of_another_axis():
    layer = L.BatchNormalization(axis=1)
    deep = np.random.default_rng(0).normal(size=(5, 3, 4)).astype("float32")
    found, _ = trained(layer, deep)
    np.testing.assert_allclose(np.asarray(found).mean((0, 2)), np.zeros(3), atol=1e-6)


def test_layer_normalization_normalizes_each_row_by_itself():
    layer = L.LayerNormalization()
    expected = (X - X.mean(1, keepdims=True)) / np.sqrt(X.var(1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(layer(X), expected, rtol=1e-4, atol=1e-5)
    both = L.LayerNormalization(axis=(1, 2))
    assert both(X.reshape(2, 3, 4)).shape == (2, 3, 4)
    assert both.gamma.shape == (3, 4)


@settings(max_examples=15)
@given(cut=st.integers(1, 59))
def test_normalization_learns_the_same_from_rows_in_any_batches(cut):
    rows = np.random.default_rng(1).normal(3.0, 2.0, size=(60, 4))
    layer = L.Normalization()
    layer.adapt(iter([rows[:cut], rows[cut:]]))
    np.testing.assert_allclose(np.ravel(layer.mean), rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(np.ravel(layer.variance), rows.var(0), rtol=1e-5)
    found = np.asarray(layer(rows))
    np.testing.assert_allclose(found.mean(0), np.zeros(4), atol=1e-5)
    np.testing.assert_allclose(found.std(0), np.ones(4), rtol=1e-4)


def test_normalization_takes_given_values_and_goes_back():
    there = L.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[4.0, 4.0, 1.0, 1.0])
    back = L.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[4.0, 4.0, 1.0, 1.0], invert=True)
    np.testing.assert_allclose(back(there(X)), X, rtol=1e-4, atol=1e-5)


def test_rescaling_scales_and_shifts_and_takes_whole_numbers():
    np.testing.assert_allclose(
        L.Rescaling(1 / 255, offset=1.0)(np.array([[0, 255]], "uint8")), [[1.0, 2.0]], rtol=1e-6
    )


def test_layers_say_the_shapes_that_they_give():
    made = [
        L.Dense(3),
        L.Flatten(),
        L.ReLU(),
        L.Softmax(),
        L.Dropout(0.5),
        L.GaussianNoise(0.1),
        L.BatchNormalization(),
        L.LayerNormalization(),
        L.Rescaling(2.0),
        L.Reshape((3, 4)),
    ]
    x = np.ones((2, 4, 3), "float32")
    for layer in made:
        came = layer(x).shape
        assert layer.compute_output_shape((None, 4, 3)) == (None, *came[1:]), layer


def test_a_layer_of_ones_own_finds_its_output_shape_by_itself():
    class Twice(L.Layer):
        def call(self, inputs):
            return jax.numpy.concatenate([inputs, inputs], axis=-1)

    assert Twice().compute_output_shape((None, 4)) == (None, 8)


def test_names_count_up_and_paths_name_the_nested_layers():
    class Block(L.Layer):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(2)

        def build(self, input_shape):
            self.dense.build_for(input_shape)

        def call(self, inputs):
            return self.dense(inputs)

    assert [L.Dense(1).name, L.Dense(1).name, L.ReLU().name] == ["dense", "dense_1", "re_lu"]
    block = Block()
    block(X)
    assert [variable.path for variable in block.weights] == ["block/dense_2/kernel", "block/dense_2/bias"]


def test_summary_shows_layers_shapes_and_numbers_of_weights():
    model = keras.Sequential([keras.Input(shape=(4,)), L.Dense(3), L.BatchNormalization(), L.Dense(1)])
    lines = []
    model.summary(print_fn=lines.append)
    text = "\n".join(lines)
    for words in ("dense (Dense)", "(None, 3)", "15", "Total params: 31", "Trainable params: 25"):
        assert words in text
    assert "Non-trainable params: 6" in text


def test_weights_shared_by_name_are_found_once():
    shared = L.Dense(4)

    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = shared
            self.again = [shared]

        def call(self, inputs):
            return self.again[0](self.first(inputs))

    model = Twice()
    model(X)
    assert len(model.weights) == 2
