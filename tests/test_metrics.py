"""Metrics against scikit-learn, over batches of any sizes."""

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as judge
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import pellucid as keras
from pellucid import metrics

M = keras.metrics


def rows(seed, count=40, classes=None):
    random = np.random.default_rng(seed)
    if classes is None:
        return random.integers(0, 2, count).astype("float32"), random.random(count).astype("float32")
    p = random.dirichlet(np.ones(classes), count).astype("float32")
    return random.integers(0, classes, count), p


def measured(metric, y, p, weights=None, cuts=(13, 29)):
    """The result after three batches of different sizes, each at least a column, as a model gives it."""
    if p.ndim == 1:
        y, p = y[:, None], p[:, None]
    for part in np.split(np.arange(len(y)), cuts):
        metric.update_state(y[part], p[part], None if weights is None else weights[part])
    return np.asarray(metric.result())


seeds = st.integers(0, 10_000)
quick = settings(max_examples=10)


@quick
@given(seed=seeds, threshold=st.sampled_from([0.3, 0.5, 0.7]))
def test_binary_measures_are_those_of_scikit_learn(seed, threshold):
    y, p = rows(seed)
    said = p > threshold
    assert measured(M.BinaryAccuracy(threshold=threshold), y, p) == pytest.approx(
        judge.accuracy_score(y, said)
    )
    expected = judge.precision_score(y, said, zero_division=0)
    assert measured(M.Precision(threshold), y, p) == pytest.approx(expected)
    assert measured(M.Recall(threshold), y, p) == pytest.approx(judge.recall_score(y, said, zero_division=0))
    tn, fp, fn, tp = judge.confusion_matrix(y, said, labels=[0, 1]).ravel()
    for kind, count in (
        (M.TrueNegatives, tn),
        (M.FalsePositives, fp),
        (M.FalseNegatives, fn),
        (M.TruePositives, tp),
    ):
        assert measured(kind(threshold), y, p) == count


@quick
@given(seed=seeds)
def test_measures_of_several_thresholds_are_one_for_each(seed):
    y, p = rows(seed)
    levels = [0.2, 0.5, 0.8]
    found = measured(M.Recall(levels), y, p)
    np.testing.assert_allclose(found, [judge.recall_score(y, p > level, zero_division=0) for level in levels])


@quick
@given(seed=seeds)
def test_measures_of_classes_are_those_of_scikit_learn(seed):
    y, p = rows(seed, classes=4)
    one_hot = np.eye(4, dtype="float32")[y]
    expected = judge.accuracy_score(y, p.argmax(1))
    assert measured(M.SparseCategoricalAccuracy(), y, p) == pytest.approx(expected)
    assert measured(M.SparseCategoricalAccuracy(), y[:, None], p) == pytest.approx(expected)
    assert measured(M.CategoricalAccuracy(), one_hot, p) == pytest.approx(expected)
    for k in (1, 2, 3):
        top = judge.top_k_accuracy_score(y, p, k=k, labels=range(4))
        assert measured(M.SparseTopKCategoricalAccuracy(k=k), y, p) == pytest.approx(top)
        assert measured(M.TopKCategoricalAccuracy(k=k), one_hot, p) == pytest.approx(top)
    assert measured(M.SparseCategoricalCrossentropy(), y, p) == pytest.approx(
        judge.log_loss(y, p.astype(float) / p.astype(float).sum(1, keepdims=True), labels=range(4)), rel=1e-4
    )


@quick
@given(seed=seeds, beta=st.sampled_from([0.5, 1.0, 2.0]))
def test_f_scores_are_those_of_scikit_learn(seed, beta):
    y, p = rows(seed, classes=3)
    one_hot = np.eye(3, dtype="float32")[y]
    for average in (None, "micro", "macro", "weighted"):
        expected = judge.fbeta_score(
            y, p.argmax(1), beta=beta, average=average, labels=range(3), zero_division=0
        )
        found = measured(M.FBetaScore(average, beta), one_hot, p)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    expected = judge.f1_score(one_hot, p > 0.4, average="macro", zero_division=0)
    assert measured(M.F1Score("macro", threshold=0.4), one_hot, p) == pytest.approx(expected, rel=1e-4)


@quick
@given(seed=seeds, weighted=st.booleans())
def test_the_area_with_many_thresholds_is_that_of_scikit_learn(seed, weighted):
    y, p = rows(seed, count=60)
    assume(0 < y.sum() < 60)
    weights = np.random.default_rng(seed).random(60).astype("float32") + 0.5 if weighted else None
    expected = judge.roc_auc_score(y, p, sample_weight=weights)
    assert measured(M.AUC(num_thresholds=5000), y, p, weights) == pytest.approx(expected, abs=5e-3)
    exact = M.AUC(thresholds=[*np.sort(p)[:-1]])
    assert measured(exact, y, p, weights) == pytest.approx(expected, abs=1e-5)


def test_the_area_under_precision_and_recall_is_near_the_average_precision():
    y, p = rows(1, count=4000)
    p = np.clip(0.6 * p + 0.4 * y * p, 0, 1)
    found = measured(M.AUC(num_thresholds=1000, curve="PR"), y, p)
    assert found == pytest.approx(judge.average_precision_score(y, p), abs=2e-3)
    bounds = [
        float(measured(M.AUC(curve="PR", summation_method=how), y, p)) for how in ("minoring", "majoring")
    ]
    assert bounds[0] <= found <= bounds[1]


def test_the_area_of_several_labels_is_the_mean_of_their_areas():
    random = np.random.default_rng(0)
    y, p = random.integers(0, 2, (60, 3)).astype("float32"), random.random((60, 3)).astype("float32")
    areas = [judge.roc_auc_score(y[:, label], p[:, label]) for label in range(3)]
    found = measured(M.AUC(num_thresholds=5000, multi_label=True), y, p)
    assert found == pytest.approx(np.mean(areas), abs=5e-3)
    weighted = M.AUC(num_thresholds=5000, multi_label=True, num_labels=3, label_weights=[1.0, 2.0, 3.0])
    assert measured(weighted, y, p) == pytest.approx(np.average(areas, weights=[1, 2, 3]), abs=5e-3)


def test_the_area_of_logits_is_that_of_their_probabilities():
    y, p = rows(0)
    z = np.log(p / (1 - p))
    assert measured(M.AUC(from_logits=True), y, z) == pytest.approx(measured(M.AUC(), y, p), abs=1e-6)


@quick
@given(seed=seeds, outputs=st.integers(1, 3), weighted=st.booleans())
def test_measures_of_regression_are_those_of_scikit_learn(seed, outputs, weighted):
    random = np.random.default_rng(seed)
    y = random.normal(size=(40, outputs)).astype("float32")
    p = (y + random.normal(size=y.shape)).astype("float32")
    weights = (random.random(40) + 0.1).astype("float32") if weighted else None
    for metric, expected in (
        (M.MeanSquaredError(), judge.mean_squared_error(y, p, sample_weight=weights)),
        (M.MeanAbsoluteError(), judge.mean_absolute_error(y, p, sample_weight=weights)),
        (M.R2Score(), judge.r2_score(y, p, sample_weight=weights)),
        (
            M.R2Score("variance_weighted_average"),
            judge.r2_score(y, p, sample_weight=weights, multioutput="variance_weighted"),
        ),
        (M.RootMeanSquaredError(), np.sqrt(judge.mean_squared_error(y, p, sample_weight=weights))),
    ):
        assert measured(metric, y, p, weights) == pytest.approx(expected, rel=1e-3, abs=1e-4), metric
    found = measured(M.R2Score(None), y, p, weights)
    np.testing.assert_allclose(
        found, judge.r2_score(y, p, sample_weight=weights, multioutput="raw_values"), rtol=1e-3, atol=1e-4
    )


def test_the_adjusted_r2_counts_the_features():
    y, p = rows(3)
    plain = judge.r2_score(y, p)
    adjusted = 1 - (1 - plain) * (40 - 1) / (40 - 4 - 1)
    assert measured(M.R2Score(num_regressors=4), y[:, None], p[:, None]) == pytest.approx(adjusted, rel=1e-4)


@settings(max_examples=2)
@given(seed=seeds, first=st.integers(1, 20), second=st.integers(21, 39))
def test_a_metric_does_not_depend_on_how_rows_are_batched(seed, first, second):
    y, p = rows(seed)
    for make in (M.BinaryAccuracy, M.AUC, M.Precision, M.BinaryCrossentropy):
        assert measured(make(), y, p, cuts=(first, second)) == pytest.approx(measured(make(), y, p), rel=1e-5)


#: What those take that cannot be made without.
ARGUMENTS = {
    **dict.fromkeys(
        (M.SensitivityAtSpecificity, M.SpecificityAtSensitivity, M.PrecisionAtRecall, M.RecallAtPrecision),
        (0.4,),
    ),
    M.MeanIoU: (2,),
    M.OneHotMeanIoU: (2,),
    M.IoU: (2, [0, 1]),
    M.OneHotIoU: (2, [0, 1]),
}


@settings(max_examples=1)
@given(seed=seeds, filled=st.integers(1, 5))
def test_rows_of_weight_zero_count_for_nothing(seed, filled):
    y, p = rows(seed)
    weights = np.r_[np.ones(40), np.zeros(filled)].astype("float32")
    more_y, more_p = np.r_[y, y[:filled]][:, None], np.r_[p, p[:filled]][:, None]
    y, p = y[:, None], p[:, None]
    made = {entry for entry in metrics.CATALOGUE.entries.values() if isinstance(entry, type)}
    for kind in made:
        if "Categorical" in kind.__name__ or kind in (M.Mean, M.Sum):
            continue
        one, other = (kind(*ARGUMENTS.get(kind, ())) for _ in range(2))
        one.update_state(y, p, jnp.ones(40))
        other.update_state(more_y, more_p, jnp.asarray(weights))
        np.testing.assert_allclose(one.result(), other.result(), rtol=1e-5, err_msg=kind.__name__)


def test_mean_and_sum_take_weights():
    mean, total = M.Mean(), M.Sum()
    for metric in (mean, total):
        metric.update_state([1.0, 3.0], [1.0, 3.0])
        metric.update_state(10.0)
    assert float(mean.result()) == (1 + 9 + 10) / 5
    assert float(total.result()) == 20.0


def test_reset_begins_again_from_nothing():
    y, p = rows(0)
    for make in (M.BinaryAccuracy, M.AUC, M.F1Score, M.R2Score, M.Mean):
        metric = make()
        if make is M.Mean:
            metric.update_state(p)
        else:
            metric.update_state(y[:, None], p[:, None])
        first = np.asarray(metric.result())
        metric.reset_state()
        assert all((variable.numpy() == 0).all() for variable in metric.variables)
        if make is M.Mean:
            metric.update_state(p)
        else:
            metric.update_state(y[:, None], p[:, None])
        np.testing.assert_array_equal(first, metric.result())


def test_calling_a_metric_adds_and_gives_the_result():
    assert float(M.MeanSquaredError()([[1.0]], [[3.0]])) == 4.0


def test_nothing_measured_is_zero():
    for make in (M.Mean, M.Sum, M.BinaryAccuracy, M.Precision, M.Recall, M.MeanSquaredError):
        assert float(make().result()) == 0.0


@pytest.mark.parametrize(
    ("y_shape", "p_shape", "kind"),
    [
        ((None,), (None, 1), M.BinaryAccuracy),
        ((None, 1), (None, 1), M.BinaryAccuracy),
        ((None,), (None, 4), M.SparseCategoricalAccuracy),
        ((None, 1), (None, 4), M.SparseCategoricalAccuracy),
        ((None, 4), (None, 4), M.CategoricalAccuracy),
    ],
)
def test_accuracy_means_what_the_shapes_say(y_shape, p_shape, kind):
    made = metrics.as_metric("accuracy", y_shape, p_shape)
    assert type(made) is kind
    assert made.name == "accuracy"
    assert metrics.as_metric("acc", y_shape, p_shape).name == "acc"


def test_metrics_are_named_as_the_user_wrote_them():
    shapes = ((None,), (None, 1))

    def bias(y_true, y_pred):
        return y_pred - y_true

    assert metrics.as_metric("mse", *shapes).name == "mse"
    assert metrics.as_metric("AUC", *shapes).name == "AUC"
    assert metrics.as_metric(bias, *shapes).name == "bias"
    assert metrics.as_metric(keras.losses.mean_squared_error, *shapes).name == "mean_squared_error"
    assert metrics.as_metric(M.AUC(name="area"), *shapes).name == "area"


def test_metrics_with_the_same_name_get_numbers_in_the_logs():
    model = keras.Sequential([keras.Input(shape=(2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae", "mae"], weighted_metrics=["mae"])
    logs = model.evaluate(np.ones((4, 2)), np.ones(4), verbose=0, return_dict=True)
    assert sorted(logs) == ["loss", "mae", "mae_1", "weighted_mae"]


def test_a_metric_may_hold_other_metrics_and_give_a_dict():
    class Both(M.Metric):
        def __init__(self):
            super().__init__(name="both")
            self.first, self.second = M.MeanSquaredError(), M.MeanAbsoluteError()

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.first.update_state(y_true, y_pred, sample_weight)
            self.second.update_state(y_true, y_pred, sample_weight)

        def result(self):
            return {"squares": self.first.result(), "sizes": self.second.result()}

    model = keras.Sequential([keras.Input(shape=(2,)), keras.layers.Rescaling(2.0), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[Both()])
    logs = model.evaluate(jnp.ones((4, 2)), np.ones(4), verbose=0, return_dict=True)
    assert sorted(logs) == ["loss", "sizes", "squares"]
    assert logs["squares"] == pytest.approx(logs["loss"])
