"""Losses against closed forms, scikit-learn and optax, and how they are weighted and reduced."""

import math

import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import pellucid as keras
from pellucid import losses
from pellucid.errors import ShapeError
from pellucid.losses import reduce

Y = np.array([[0.0, 1.0, 0.5], [1.0, 0.0, 0.25], [1.0, 1.0, 1.0], [0.2, 0.1, 0.7]])
P = np.array([[0.1, 0.7, 0.4], [0.8, 0.3, 0.2], [0.9, 0.6, 0.5], [0.3, 0.2, 0.5]])
E = P - Y

CLOSED_FORMS = {
    "mean_squared_error": (E**2).mean(-1),
    "mean_absolute_error": abs(E).mean(-1),
    "mean_squared_logarithmic_error": ((np.log1p(P) - np.log1p(np.maximum(Y, 1e-7))) ** 2).mean(-1),
    "huber": (E**2 / 2).mean(-1),
    "log_cosh": np.log(np.cosh(E)).mean(-1),
    "hinge": np.maximum(1 - Y * P, 0).mean(-1),
    "squared_hinge": (np.maximum(1 - Y * P, 0) ** 2).mean(-1),
    "categorical_hinge": np.maximum(1 + ((1 - Y) * P).max(-1) - (Y * P).sum(-1), 0),
    "kl_divergence": (np.maximum(Y, 1e-7) * np.log(np.maximum(Y, 1e-7) / P)).sum(-1),
    "poisson": (P - Y * np.log(P)).mean(-1),
    "cosine_similarity": -(Y * P).sum(-1) / np.linalg.norm(Y, axis=-1) / np.linalg.norm(P, axis=-1),
    "binary_crossentropy": -(Y * np.log(P) + (1 - Y) * np.log(1 - P)).mean(-1),
    "categorical_crossentropy": -(Y * np.log(P / P.sum(-1, keepdims=True))).sum(-1),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_a_loss_is_its_closed_form_for_each_row(name):
    np.testing.assert_allclose(losses.get(name)(Y, P), CLOSED_FORMS[name], rtol=2e-5)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_the_class_of_a_loss_is_the_mean_of_its_rows(name):
    made = losses.as_loss(name)
    assert made.name == name
    assert float(made(Y, P)) == pytest.approx(CLOSED_FORMS[name].mean(), rel=2e-5)


def test_absolute_percentages_are_those_of_scikit_learn():
    y, p = Y + 0.5, P
    ours = float(losses.MeanAbsolutePercentageError()(y.ravel(), p.ravel()))
    assert ours == pytest.approx(100 * sklearn.metrics.mean_absolute_percentage_error(y.ravel(), p.ravel()))


def test_huber_is_linear_beyond_delta():
    np.testing.assert_allclose(losses.huber([[0.0], [0.0]], [[0.5], [-3.0]], delta=2.0), [0.125, 2 * 3 - 2])


def test_hinges_take_classes_0_and_1_as_minus_1_and_1():
    p = np.array([[0.3], [-0.4]])
    np.testing.assert_allclose(losses.hinge([[0.0], [1.0]], p), losses.hinge([[-1.0], [1.0]], p))
    np.testing.assert_allclose(losses.hinge([[0.0], [1.0]], p), [1.3, 1.4], rtol=1e-6)


@given(arrays.arrays(np.float32, (6,), elements=st.floats(-30, 30, width=32)))
def test_crossentropy_from_logits_is_that_of_optax(z):
    y = np.array([0, 1, 0, 1, 1, 0], np.float32)
    ours = losses.binary_crossentropy(y[:, None], z[:, None], from_logits=True)
    np.testing.assert_allclose(ours, optax.sigmoid_binary_cross_entropy(z, y), rtol=1e-5, atol=1e-6)
    rows, classes = z.reshape(2, 3), np.array([2, 0])
    ours = losses.sparse_categorical_crossentropy(classes, rows, from_logits=True)
    theirs = optax.softmax_cross_entropy_with_integer_labels(rows, classes)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@given(arrays.arrays(np.float32, (2, 3), elements=st.floats(-8, 8, width=32)))
def test_crossentropy_of_probabilities_is_that_of_their_logits(z):
    one_hot = np.eye(3)[[2, 0]]
    p = np.asarray(keras.activations.softmax(z))
    by_p = losses.categorical_crossentropy(one_hot, p)
    np.testing.assert_allclose(
        by_p, losses.categorical_crossentropy(one_hot, z, from_logits=True), rtol=1e-3, atol=1e-5
    )
    np.testing.assert_allclose(by_p, losses.sparse_categorical_crossentropy([2, 0], p), rtol=1e-6, atol=1e-6)


def test_crossentropy_is_the_log_loss_of_scikit_learn():
    y, p = [0, 1, 1, 0], np.array([0.2, 0.9, 0.4, 0.7])
    assert float(losses.BinaryCrossentropy()(y, p)) == pytest.approx(sklearn.metrics.log_loss(y, p))
    classes = [0, 1, 2, 2]
    shares = P / P.sum(-1, keepdims=True)
    ours = float(losses.SparseCategoricalCrossentropy()(classes, shares))
    assert ours == pytest.approx(sklearn.metrics.log_loss(classes, shares))


def test_probabilities_of_0_and_1_give_a_finite_loss():
    value = losses.binary_crossentropy([[1.0], [0.0]], [[0.0], [1.0]])
    np.testing.assert_allclose(value, -math.log(1e-7), rtol=2e-2)


def test_label_smoothing_moves_targets_towards_the_middle():
    smooth = losses.binary_crossentropy([[1.0]], [[0.8]], label_smoothing=0.2)
    np.testing.assert_allclose(smooth, -(0.9 * math.log(0.8) + 0.1 * math.log(0.2)), rtol=1e-5)
    smooth = losses.categorical_crossentropy([[1.0, 0.0]], [[0.8, 0.2]], label_smoothing=0.2)
    np.testing.assert_allclose(smooth, -(0.9 * math.log(0.8) + 0.1 * math.log(0.2)), rtol=1e-5)


def test_a_class_may_be_ignored():
    value = losses.sparse_categorical_crossentropy([0, -1], [[0.5, 0.5], [0.1, 0.9]], ignore_class=-1)
    np.testing.assert_allclose(value, [math.log(2), 0.0], rtol=1e-6)


def test_targets_may_be_flat_or_a_column():
    y, p = np.array([1.0, 0.0]), np.array([[0.8], [0.4]])
    for name in ("mse", "mae", "binary_crossentropy", "huber", "hinge", "poisson"):
        np.testing.assert_array_equal(losses.get(name)(y, p), losses.get(name)(y[:, None], p))
    shares = np.array([[0.8, 0.2], [0.4, 0.6]])
    sparse = losses.sparse_categorical_crossentropy
    np.testing.assert_array_equal(sparse([0, 1], shares), sparse([[0], [1]], shares))


def test_shapes_that_cannot_be_compared_are_refused():
    with pytest.raises(ShapeError, match="same shape"):
        losses.binary_crossentropy(np.ones((4, 2)), np.ones((4, 3)))
    with pytest.raises(ShapeError, match="one-hot"):
        losses.sparse_categorical_crossentropy(np.ones((4, 3)), np.ones((4, 3)))


@given(
    values=arrays.arrays(np.float64, 7, elements=st.floats(0, 10)),
    weights=arrays.arrays(np.float64, 7, elements=st.floats(0.5, 3)),
)
def test_reductions_are_their_formulas(values, weights):
    v, total = jnp.asarray(values), (values * weights).sum()
    assert float(reduce(v)) == pytest.approx(values.mean(), rel=1e-5, abs=1e-6)
    assert float(reduce(v, weights)) == pytest.approx(total / 7, rel=1e-5, abs=1e-6)
    assert float(reduce(v, weights, "sum")) == pytest.approx(total, rel=1e-5, abs=1e-6)
    averaged = reduce(v, weights, "mean_with_sample_weight")
    assert float(averaged) == pytest.approx(np.average(values, weights=weights), rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(reduce(v, weights, None), values * weights, rtol=1e-6, atol=1e-6)


@given(rows=st.integers(1, 6), filled=st.integers(0, 5), weighted=st.booleans())
def test_rows_that_fill_up_a_batch_count_for_nothing(rows, filled, weighted):
    random = np.random.default_rng(rows)
    values = random.random(rows + filled)
    weights = random.random(rows + filled) + 0.5 if weighted else None
    valid = jnp.arange(rows + filled) < rows
    for reduction in ("sum_over_batch_size", "sum", "mean_with_sample_weight"):
        whole = reduce(jnp.asarray(values), weights, reduction, valid)
        part = reduce(jnp.asarray(values[:rows]), None if weights is None else weights[:rows], reduction)
        assert float(whole) == pytest.approx(float(part), rel=1e-5)


@pytest.mark.parametrize(
    ("given_name", "full"),
    [
        ("mse", "mean_squared_error"),
        ("MAE", "mean_absolute_error"),
        ("mape", "mean_absolute_percentage_error"),
        ("msle", "mean_squared_logarithmic_error"),
        ("kld", "kl_divergence"),
        ("logcosh", "log_cosh"),
    ],
)
def test_short_names_are_those_of_keras(given_name, full):
    assert losses.get(given_name).__name__ == full


def test_a_function_becomes_a_loss_with_its_name():
    def half(y_true, y_pred):
        return jnp.abs(y_true - y_pred) / 2

    made = losses.as_loss(half)
    assert made.name == "half"
    assert float(made([1.0, 2.0], [[3.0], [2.0]])) == 0.5


def test_options_are_taken_by_place_and_by_name():
    assert losses.Huber(2.0).delta == losses.Huber(delta=2.0).delta == 2.0
    assert losses.BinaryCrossentropy(True, 0.1).label_smoothing == 0.1
