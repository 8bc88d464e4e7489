"""A tour of everything in a minute: read it from top to bottom."""

import numpy as np
import pytest

import pellucid as keras


def test_a_tour_of_everything(capsys):
    # 300 rows of 5 numbers. Two of them decide the class.
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(1)
    x = random.normal(size=(300, 5))
    y = (x[:, 0] - 2 * x[:, 1] > 0).astype(int)

    # A network: layers in a row, each with its weights.
    model = keras.Sequential(
        [
            keras.Input(shape=(5,)),
            keras.layers.Dense(8, activation="relu", kernel_regularizer="l2"),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    assert model.count_params() == 5 * 8 + 8 + 8 + 1
    model.summary()
    assert "Total params: 57" in capsys.readouterr().out

    # What training is: an optimizer lowers a loss, and metrics are measured beside it.
    model.compile(
        optimizer=keras.optimizers.Adam(0.02), loss="binary_crossentropy", metrics=["accuracy", "AUC"]
    )

    # Training: forward, cost, gradient, update, for each batch of 32 rows, in 40 epochs.
    stop = keras.callbacks.EarlyStopping(patience=15, restore_best_weights=True)
    history = model.fit(x, y, epochs=40, batch_size=32, validation_split=0.2, callbacks=[stop])
    assert "val_accuracy" in capsys.readouterr().out
    assert history.history["loss"][-1] < history.history["loss"][0] / 2
    assert history.history["val_accuracy"][-1] > 0.9

    # What it learned: the same rows give answers near their classes.
    loss, accuracy, area = model.evaluate(x, y, verbose=0)
    answers = model.predict(x, verbose=0)
    assert answers.shape == (300, 1)
    assert accuracy == pytest.approx(np.mean((answers[:, 0] > 0.5) == y))
    assert accuracy > 0.9
    assert area > 0.97
    assert loss < 0.4

    # The forward pass is plain arithmetic, and can be followed with the weights in hand.
    kernel, bias, last_kernel, last_bias = model.get_weights()
    hidden = np.maximum(x @ kernel + bias, 0)
    z = hidden @ last_kernel + last_bias
    np.testing.assert_allclose(answers, 1 / (1 + np.exp(-z)), rtol=1e-3, atol=1e-5)

    # Any step of the training opens: what came in, what was computed, what moved, and why.
    step = history.open(epoch=2, batch=3)
    assert step.exact
    np.testing.assert_allclose(step.x, x[step.rows], rtol=1e-6)
    assert step.cost == history.log["cost"][step.number]
    np.testing.assert_array_equal(
        step.weights_after["dense/kernel"], history.open(step.number + 1).weights["dense/kernel"]
    )
    assert step.formula("dense/kernel[1,2].gradient").holds
    assert "FORWARD" in str(step)
    assert step.check()
    assert model.explain(x[0]).outputs[0] == pytest.approx(answers[0], rel=1e-3, abs=1e-6)

    # Training goes on where it stopped, one batch at a time if one likes.
    steps = int(model.optimizer.iterations.value)
    model.fit(x, y, epochs=1, verbose=0)
    model.train_on_batch(x[:32], y[:32])
    assert int(model.optimizer.iterations.value) == steps + 11

    # A model is its configuration and its weights.
    again = keras.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))

    # Classes as whole numbers, and numbers to be predicted: only the last layer and the loss change.
    three = np.digitize(x[:, 0], [-0.5, 0.5])
    model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, three, epochs=40, verbose=0)
    assert history.history["accuracy"][-1] > 0.6

    straight = 3 * x[:, 0] - x[:, 1] + 0.5
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(x, straight, epochs=50, verbose=0)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(kernel[:, 0], [3, -1, 0, 0, 0], atol=1e-3)
    np.testing.assert_allclose(bias, [0.5], atol=1e-3)

    # What is wrong is said in the user's own words.
    with pytest.raises(ValueError, match="rows of 5 numbers"):
        model.predict(np.ones((2, 4)), verbose=0)
    with pytest.raises(ValueError, match='did you mean "adam"'):
        model.compile("adamm", "mse")
