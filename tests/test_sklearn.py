"""The scikit-learn estimators. scikit-learn's own checks are the judge."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator

from pellucid.sklearn import NetworkClassifier, NetworkRegressor

CHECKED = [NetworkClassifier(hidden=(8,), epochs=30), NetworkRegressor(hidden=(8,), epochs=60)]


CHECKS = [pair for estimator in CHECKED for pair in estimator_checks_generator(estimator)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "check"),
    CHECKS,
    # Names that are the same in every process.
    ids=[
        f"{number}-{type(each).__name__}-{check.func.__name__}" for number, (each, check) in enumerate(CHECKS)
    ],
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def frame(count=200, seed=0):
    draw = np.random.default_rng(seed)
    size, colour = draw.normal(size=count), draw.choice(["red", "blue", "green"], count)
    sick = np.where(size + (colour == "red") > 0.3, "sick", "well")
    rows = pd.DataFrame({"size": size, "colour": colour, "day": pd.Timestamp("2024-01-01")})
    rows.loc[::7, "size"] = np.nan
    rows.loc[::9, "colour"] = None
    rows["name"] = [f"person {number}" for number in range(count)]
    return rows, sick


def test_frames_with_text_and_missing_values_are_taken_in_pipelines_searches_and_cross_validation():
    rows, sick = frame()
    network = NetworkClassifier(hidden=(16,), epochs=20)
    assert cross_val_score(network, rows, sick, cv=3).mean() > 0.75
    pipeline = make_pipeline(FunctionTransformer(lambda given: given.drop(columns=["day"])), network)
    search = GridSearchCV(pipeline, {"networkclassifier__hidden": [(4,), (16,)]}, cv=2).fit(rows, sick)
    assert search.best_score_ > 0.7
    fitted = clone(network).fit(rows, sick)
    assert fitted.left_out_ == {"name": 'each row has a text of its own, such as "person 0"'}
    assert fitted.classes_.tolist() == ["sick", "well"]
    new = pd.DataFrame(
        {"size": [2.0, -2.0], "colour": ["teal", None], "day": [pd.NaT] * 2, "name": ["", "x"]}
    )
    probability = fitted.predict_proba(new)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-6)
    assert fitted.predict(new).tolist() == ["sick", "well"]
    same = NetworkClassifier(hidden=(16,), epochs=20).fit(pl.from_pandas(rows), sick)
    np.testing.assert_array_equal(same.predict_proba(pl.from_pandas(new)), probability)


def test_real_tables_are_answered_about_as_well_as_anything_does():
    x, y = load_breast_cancer(return_X_y=True)
    assert cross_val_score(NetworkClassifier(), x, y, cv=3).mean() > 0.955
    x, y = load_diabetes(return_X_y=True)
    assert cross_val_score(NetworkRegressor(), x, y, cv=3).mean() > 0.42


def test_a_fitted_estimator_is_pickled_with_its_network_and_its_training_can_be_opened():
    rows, sick = frame(80)
    fitted = NetworkClassifier(hidden=(4,), epochs=3).fit(rows, sick)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(rows), fitted.predict_proba(rows))
    assert fitted.model_.history.open(1).cost > 0
