"""Small tables and models that several tests share: few shapes, so that little is compiled."""

import numpy as np
import pytest

import pellucid as keras


@pytest.fixture
def table():
    """100 rows of 4 features, and a class 0 or 1 for each: with batches of 32 the last one has 4 rows."""
    random = np.random.default_rng(0)
    x = random.normal(size=(100, 4)).astype("float32")
    return x, (x[:, 0] + x[:, 1] > 0).astype("float32")


@pytest.fixture
def classifier():
    """Makes the small network of most tests, compiled."""

    def make(optimizer="adam", loss="binary_crossentropy", metrics=("accuracy",), **compiling):
        model = keras.Sequential(
            [
                keras.Input(shape=(4,)),
                keras.layers.Dense(3, activation="tanh"),
                keras.layers.Dense(1, activation="sigmoid"),
            ]
        )
        model.compile(optimizer=optimizer, loss=loss, metrics=list(metrics), **compiling)
        return model

    return make
