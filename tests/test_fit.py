"""`fit` and its siblings as people call them: forms of data, weights, callbacks, parts of one's own."""

import csv
import gc
import itertools
import math
import os
import signal
import threading
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas
import polars
import pytest

import pellucid as keras
from pellucid.errors import StateError

L = keras.layers


def line(optimizer="sgd", loss="mse", **compiling):
    """One unit on 4 features: linear regression."""
    model = keras.Sequential([keras.Input(shape=(4,)), L.Dense(1)])
    model.compile(optimizer=optimizer, loss=loss, **compiling)
    return model


def seeded(make, *data, **fitting):
    """A model made and fitted from the seed on."""
    keras.utils.set_random_seed(5)
    model = make()
    history = model.fit(*data, **{"epochs": 3, "verbose": 0, **fitting})
    return model, history


def same(first, second):
    (one, one_history), (other, other_history) = first, second
    assert one_history.history == other_history.history
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# The code that people have.


def first_layer_with_input_shape():
    return [L.Dense(16, activation="relu", input_shape=(4,)), L.Dense(1, activation="sigmoid")]


def first_layer_input():
    return [keras.Input(shape=(4,)), L.Dense(16, activation="relu"), L.Dense(1, activation="sigmoid")]


def no_shape():
    return [L.Dense(16, activation="relu"), L.Dense(1, activation="sigmoid")]


@pytest.mark.parametrize("layers", [first_layer_with_input_shape, first_layer_input, no_shape])
def test_the_usual_code_runs_unchanged_in_each_of_its_forms(table, layers):
    X_train, y_train = table  # noqa: N806 - as people write it
    model = keras.Sequential(layers())
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(X_train, y_train, epochs=10, batch_size=32, validation_split=0.2, verbose=0)
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert all(len(values) == 10 for values in history.history.values())
    assert all(type(value) is float for values in history.history.values() for value in values)
    assert history.epoch == list(range(10))
    assert history.params == {"verbose": 0, "epochs": 10, "steps": 3}
    assert model.history is history
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.predict(X_train, verbose=0).shape == (100, 1)


def test_the_three_forms_give_the_same_numbers(table):
    def make(layers):
        def model():
            made = keras.Sequential(layers())
            made.compile("adam", "binary_crossentropy")
            return made

        return model

    one, other, third = (
        seeded(make(layers), *table) for layers in (first_layer_with_input_shape, first_layer_input, no_shape)
    )
    same(one, other)
    same(one, third)


def test_layers_may_be_added_one_by_one(table):
    model = keras.models.Sequential()
    model.add(L.Dense(3, input_dim=4, activation="relu"))
    model.add(L.Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    model.fit(*table, epochs=1, verbose=0)
    assert model.count_params() == 4 * 3 + 3 + 3 + 1


# Which rows.


class RowsSeen(L.Layer):
    """Writes down the rows of each batch that it is trained on, as they come."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, inputs, training=False):
        jax.debug.callback(lambda x: self.seen.append(x[:, 0].astype(int).tolist()), inputs, ordered=True)
        return inputs


def rows_trained_on(rows=10, fit_twice=False, **fitting):
    x = np.arange(rows, dtype="float32")[:, None]
    model = keras.Sequential([keras.Input(shape=(1,)), RowsSeen(), L.Dense(1)])
    model.compile(keras.optimizers.SGD(1e-4), "mse")
    model.fit(x, x, verbose=0, **fitting)
    jax.effects_barrier()
    return model.layers[0].seen


def test_without_shuffling_rows_come_in_their_order():
    assert rows_trained_on(shuffle=False, batch_size=4) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_shuffling_takes_every_row_once_an_epoch_in_a_new_order():
    seen = rows_trained_on(batch_size=4, epochs=2)
    first, second = (list(itertools.chain(*batches)) for batches in (seen[:3], seen[3:]))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert first != list(range(10))


def test_shuffle_batch_shuffles_within_each_batch_only():
    seen = rows_trained_on(rows=12, shuffle="batch", batch_size=4)
    assert [sorted(batch) for batch in seen] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert seen != [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_validation_split_holds_out_the_last_rows_before_shuffling(table):
    x, y = table
    model, history = seeded(line, x, y, validation_split=0.25)
    other, expected = seeded(line, x[:75], y[:75], validation_data=(x[75:], y[75:]))
    same((model, history), (other, expected))
    assert history.history["val_loss"][-1] == pytest.approx(
        model.evaluate(x[75:], y[75:], verbose=0), rel=1e-5
    )


def test_validation_freq_says_after_which_epochs_validation_comes(table):
    _, history = seeded(line, *table, epochs=6, validation_split=0.2, validation_freq=2)
    assert len(history.history["val_loss"]) == 3
    _, history = seeded(line, *table, epochs=6, validation_split=0.2, validation_freq=[1, 6])
    assert len(history.history["val_loss"]) == 2


def test_validation_steps_measures_the_first_batches_only(table):
    x, y = table
    _, few = seeded(line, x, y, validation_data=(x, y), validation_steps=2, validation_batch_size=10)
    _, rows = seeded(line, x, y, validation_data=(x[:20], y[:20]))
    assert few.history["val_loss"] == pytest.approx(rows.history["val_loss"], rel=1e-6)


def test_initial_epoch_is_where_the_numbers_of_epochs_begin(table):
    _, history = seeded(line, *table, initial_epoch=4, epochs=6)
    assert history.epoch == [4, 5]
    assert len(history.history["loss"]) == 2


def test_steps_per_epoch_alone_sets_the_size_of_batches():
    assert [len(batch) for batch in rows_trained_on(steps_per_epoch=2, shuffle=False)] == [5, 5]


def test_fewer_steps_than_batches_go_on_where_the_last_epoch_ended():
    seen = rows_trained_on(rows=12, batch_size=4, steps_per_epoch=1, epochs=4, shuffle=False)
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [0, 1, 2, 3]]


def test_more_steps_than_batches_warn_that_the_data_ran_out():
    with pytest.warns(UserWarning, match="ran out of data"):
        seen = rows_trained_on(rows=8, batch_size=4, steps_per_epoch=3)
    assert len(seen) == 2


# Weights of rows and classes.


def test_class_weight_is_a_weight_for_each_row_of_the_class(table):
    x, y = table
    by_class = seeded(line, x, y, class_weight={0: 1.0, 1: 3.0})
    by_row = seeded(line, x, y, sample_weight=np.where(y == 1, 3.0, 1.0))
    same(by_class, by_row)


def test_class_weight_reads_one_hot_targets_and_gives_other_classes_weight_one(table):
    x, y = table

    def make():
        model = keras.Sequential([keras.Input(shape=(4,)), L.Dense(2, activation="softmax")])
        model.compile("sgd", "categorical_crossentropy")
        return model

    one_hot = keras.utils.to_categorical(y, 2)
    same(
        seeded(make, x, one_hot, class_weight={1: 3.0}),
        seeded(make, x, one_hot, sample_weight=np.where(y == 1, 3.0, 1.0)),
    )


def test_rows_of_weight_zero_move_nothing(table):
    x, y = table
    weight = np.ones(100)
    weight[50:] = 0.0
    broken = x.copy()
    broken[50:] = 1e3
    one, _ = seeded(line, x, y, sample_weight=weight)
    other, _ = seeded(line, broken, y, sample_weight=weight)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_weighted_metrics_are_weighted_and_metrics_are_not(table):
    x, y = table
    weight = np.linspace(0.0, 2.0, 100)
    model = line(metrics=["mae"], weighted_metrics=["mae"])
    logs = model.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True)
    error = np.abs(model.predict(x, verbose=0)[:, 0] - y)
    assert logs["mae"] == pytest.approx(error.mean(), rel=1e-5)
    assert logs["weighted_mae"] == pytest.approx(np.average(error, weights=weight), rel=1e-5)
    squares = np.square(model.predict(x, verbose=0)[:, 0] - y)
    assert logs["loss"] == pytest.approx((weight * squares).sum() / 100, rel=1e-5)


# Forms of data.


@pytest.mark.parametrize(
    "form",
    [
        lambda x, y: (x.astype("float64"), y.astype("int64")),
        lambda x, y: (x, y[:, None]),
        lambda x, y: (x.tolist(), y.tolist()),
        lambda x, y: (jnp.asarray(x), jnp.asarray(y)),
        lambda x, y: (pandas.DataFrame(x), pandas.Series(y)),
        lambda x, y: (pandas.DataFrame(x), pandas.DataFrame({"y": y})),
        lambda x, y: (polars.DataFrame(x), polars.Series("y", y)),
        lambda x, y: (polars.DataFrame(x).lazy(), polars.DataFrame({"y": y})),
        lambda x, y: (polars.DataFrame(x).to_arrow(), y),
        lambda x, y: (x, y.astype(bool)),
        lambda x, y: (np.asfortranarray(x), y),
        lambda x, y: ([x], [y[:, None]]),
    ],
    ids="float64 column lists jax pandas frames polars lazy arrow bool fortran wrapped".split(),  # noqa: SIM905
)
def test_each_form_of_the_same_rows_gives_the_same_numbers(table, form):
    model, history = seeded(line, *form(*table))
    expected, expected_history = seeded(line, *table)
    assert history.history["loss"] == pytest.approx(expected_history.history["loss"], rel=1e-6)
    for a, b in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_rows_that_are_single_numbers_need_no_reshape():
    x = np.linspace(0, 1, 20)
    model = keras.Sequential([L.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(x, 2 * x, epochs=2, verbose=0)
    assert model.predict(x, verbose=0).shape == (20, 1)


class Sequence:
    """As a PyDataset: __len__ and __getitem__, and on_epoch_end."""

    def __init__(self, x, y, size=32):
        self.x, self.y, self.size, self.epochs = x, y, size, 0

    def __len__(self):
        return math.ceil(len(self.x) / self.size)

    def __getitem__(self, number):
        if number >= len(self):
            raise IndexError(number)
        place = slice(number * self.size, (number + 1) * self.size)
        return self.x[place], self.y[place]

    def on_epoch_end(self):
        self.epochs += 1


class Tensor:
    """As a torch tensor: detach() and __array__."""

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype)


class DataLoader:
    """As a torch DataLoader: a length and an iterator of lists of tensors; it cannot be indexed."""

    def __init__(self, x, y):
        self.batches = Sequence(x, y)

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        for number in range(len(self)):
            yield [Tensor(part) for part in self.batches[number]]


def endless(x, y):
    while True:
        yield from (Sequence(x, y)[number] for number in range(4))


STREAMS = {
    "dataset": lambda x, y: (Sequence(x, y), {}),
    "loader": lambda x, y: (DataLoader(x, y), {}),
    "generator": lambda x, y: (endless(x, y), {"steps_per_epoch": 4}),
    "iterable": lambda x, y: (type("Once", (), {"__iter__": lambda self: iter(Sequence(x, y))})(), {}),
}


@pytest.mark.parametrize("form", ["dataset", "loader", "generator", "iterable"])
def test_batches_that_come_one_by_one_train_as_the_array_does(table, form):
    stream, extra = STREAMS[form](*table)
    model, history = seeded(line, stream, **extra)
    whole, expected = seeded(line, *table, shuffle=False)
    assert history.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-5)
    for a, b in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_dataset_is_told_when_epochs_end(table):
    dataset = Sequence(*table)
    seeded(line, dataset, epochs=3)
    assert dataset.epochs == 3


def test_a_generator_may_give_weights_and_needs_no_length(table):
    x, y = table
    weight = np.linspace(0, 2, 100)

    def once():
        for start in range(0, 100, 32):
            part = slice(start, start + 32)
            yield x[part], y[part], weight[part]

    model, _ = seeded(line, once(), epochs=1)
    whole, _ = seeded(line, x, y, sample_weight=weight, shuffle=False, epochs=1)
    for a, b in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    "form",
    [
        lambda x, y: (x, y),
        lambda x, y: [x, y],
        lambda x, y: (x, y, np.ones(len(x))),
        lambda x, y: (pandas.DataFrame(x), pandas.Series(y)),
        Sequence,
        DataLoader,
    ],
    ids=["tuple", "list", "weights", "frames", "dataset", "loader"],
)
def test_each_form_of_validation_data_gives_the_same_numbers(table, form):
    x, y = table
    _, expected = seeded(line, x, y, validation_data=(x[:40], y[:40]))
    _, history = seeded(line, x, y, validation_data=form(x[:40], y[:40]))
    assert history.history["val_loss"] == pytest.approx(expected.history["val_loss"], rel=1e-6)
    assert history.history["loss"] == expected.history["loss"]


def test_evaluate_and_predict_take_batches_that_come_one_by_one(table):
    x, y = table
    model = line()
    expected = model.evaluate(x, y, verbose=0)
    assert model.evaluate(Sequence(x, y), verbose=0) == pytest.approx(expected, rel=1e-6)
    assert model.evaluate(endless(x, y), steps=4, verbose=0) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(
        model.predict(Sequence(x, y), verbose=0), model.predict(x, verbose=0), rtol=1e-6
    )


# Once more.


def test_a_second_fit_goes_on_with_weights_and_optimizer(table):
    model = line("adam")
    model.fit(*table, epochs=2, verbose=0)
    before = model.get_weights()
    history = model.fit(*table, epochs=1, verbose=0)
    assert int(model.optimizer.iterations.value) == 12
    assert history.epoch == [0]
    assert not np.array_equal(before[0], model.get_weights()[0])


def test_compile_again_begins_the_optimizer_anew_and_keeps_the_weights(table):
    model = line("adam")
    model.fit(*table, epochs=2, verbose=0)
    before = model.get_weights()
    model.compile("adam", "mse")
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(*table, epochs=1, verbose=0)
    assert int(model.optimizer.iterations.value) == 4


def test_a_learning_rate_set_between_fits_is_used(table):
    model = line("sgd")
    model.optimizer.learning_rate = 0.0
    before = model.get_weights()
    model.fit(*table, verbose=0)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


def test_zero_epochs_change_nothing(table):
    model = line()
    before = model.get_weights()
    assert model.fit(*table, epochs=0, verbose=0).history == {}
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


# What comes back.


def test_evaluate_gives_the_loss_or_a_list_or_a_dict(table):
    assert isinstance(line().evaluate(*table, verbose=0), float)
    model = line(metrics=["mae", "mse"])
    loss, mae, mse = model.evaluate(*table, verbose=0)
    assert loss == pytest.approx(mse)
    assert model.evaluate(*table, verbose=0, return_dict=True) == {"loss": loss, "mae": mae, "mse": mse}
    assert model.metrics_names == ["loss", "mae", "mse"]


def test_on_batch_methods_give_a_number_or_a_list_or_a_dict(table):
    x, y = table[0][:8], table[1][:8]
    assert isinstance(line().train_on_batch(x, y), float)
    assert isinstance(line().test_on_batch(x, y), float)
    model = line(metrics=["mae"])
    assert model.test_on_batch(x, y) == model.train_on_batch(x, y)
    assert list(model.test_on_batch(x, y, return_dict=True)) == ["loss", "mae"]
    assert isinstance(model.predict_on_batch(x), np.ndarray)
    assert isinstance(model.predict(x, verbose=0), np.ndarray)


def test_train_on_batch_is_one_step_of_fit(table):
    x, y = table
    keras.utils.set_random_seed(5)
    by_hand = line("adam")
    for _ in range(3):
        for start in range(0, 100, 32):
            by_hand.train_on_batch(x[start : start + 32], y[start : start + 32])
    fitted, _ = seeded(lambda: line("adam"), x, y, shuffle=False)
    for a, b in zip(by_hand.get_weights(), fitted.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_evaluate_counts_the_penalties_of_weights(table):
    model = keras.Sequential([keras.Input(shape=(4,)), L.Dense(1, kernel_regularizer="l2")])
    model.compile("sgd", "mse", metrics=["mse"])
    loss, mse = model.evaluate(*table, verbose=0)
    assert loss - mse == pytest.approx(0.01 * np.square(model.get_weights()[0]).sum(), rel=1e-3)


def test_the_loss_of_an_epoch_is_the_mean_over_its_rows_before_each_update(table):
    x, y = table
    _, history = seeded(lambda: line(keras.optimizers.SGD(0.0)), x, y, epochs=1)
    model, _ = seeded(lambda: line(keras.optimizers.SGD(0.0)), x, y, epochs=1)
    assert history.history["loss"][0] == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-6)


# Callbacks.


class Diary(keras.callbacks.Callback):
    """Writes down every call."""

    def __init__(self, name=""):
        super().__init__()
        self.name, self.lines = name, []


def _writes(method):
    def write(self, *args, **kwargs):
        number = f" {args[0]}" if args and isinstance(args[0], int) else ""
        self.lines.append(f"{self.name}{method.removeprefix('on_')}{number}")

    return write


for _method in [name for name in dir(keras.callbacks.Callback) if name.startswith("on_")]:
    if _method not in ("on_batch_begin", "on_batch_end"):
        setattr(Diary, _method, _writes(_method))


def test_callbacks_are_told_in_the_order_of_keras(table):
    diary = Diary()
    x, y = table
    line().fit(x[:40], y[:40], epochs=2, validation_split=0.2, batch_size=16, verbose=0, callbacks=[diary])
    epoch = (
        "epoch_begin {0}|train_batch_begin 0|train_batch_end 0|train_batch_begin 1|train_batch_end 1|"
        "test_begin|test_batch_begin 0|test_batch_end 0|test_end|epoch_end {0}"
    )
    expected = ["train_begin", *epoch.format(0).split("|"), *epoch.format(1).split("|"), "train_end"]
    assert diary.lines == expected


def test_several_callbacks_are_told_in_the_order_given(table):
    first, second = Diary("a "), Diary("b ")
    second.lines = first.lines
    line().fit(*table, verbose=0, callbacks=[first, second])
    assert first.lines[:4] == ["a train_begin", "b train_begin", "a epoch_begin 0", "b epoch_begin 0"]


def test_evaluate_and_predict_tell_their_callbacks(table):
    diary, model = Diary(), line()
    model.evaluate(*table, batch_size=50, verbose=0, callbacks=[diary])
    assert diary.lines == [
        "test_begin",
        "test_batch_begin 0",
        "test_batch_end 0",
        "test_batch_begin 1",
        "test_batch_end 1",
        "test_end",
    ]
    diary.lines.clear()
    model.predict(table[0], batch_size=50, verbose=0, callbacks=[diary])
    assert diary.lines[0] == "predict_begin"
    assert diary.lines[-1] == "predict_end"
    assert diary.lines.count("predict_batch_end 1") == 1


def test_batches_are_told_the_running_means_of_the_epoch(table):
    logs = []
    recorder = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs_: logs.append(dict(logs_))
    )
    _, history = seeded(lambda: line(metrics=["mae"]), *table, epochs=2, callbacks=[recorder])
    assert len(logs) == 8
    assert sorted(logs[0]) == ["loss", "mae"]
    assert [logs[3]["loss"], logs[7]["loss"]] == history.history["loss"]


def test_epochs_are_told_loss_metrics_and_validation(table):
    seen = []
    recorder = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(sorted(logs)))
    seeded(lambda: line(metrics=["mae"]), *table, epochs=2, validation_split=0.2, callbacks=[recorder])
    assert seen == [["loss", "mae", "val_loss", "val_mae"]] * 2


def test_what_a_callback_adds_to_the_logs_is_in_the_history(table):
    adds = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(mine=epoch * 10))
    _, history = seeded(line, *table, callbacks=[adds])
    assert history.history["mine"] == [0, 10, 20]


def test_a_callback_sees_and_sets_the_weights_of_its_model(table):
    class Zero(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.set_weights([np.zeros_like(weight) for weight in self.model.get_weights()])

    model, _ = seeded(line, *table, callbacks=[Zero()])
    assert all((weight == 0).all() for weight in model.get_weights())


class Scripted(keras.callbacks.Callback):
    """Puts given values into the logs, as if they had been measured."""

    def __init__(self, values, name="val_loss"):
        super().__init__()
        self.values, self.called, self.weights = values, name, []

    def on_epoch_end(self, epoch, logs=None):
        logs[self.called] = self.values[epoch]
        self.weights.append(self.model.get_weights())


def stopped(values, *table, **early):
    scripted = Scripted(values)
    early = keras.callbacks.EarlyStopping(**early)
    model, history = seeded(line, *table, epochs=len(values), callbacks=[scripted, early])
    return len(history.epoch), model, scripted, early


def test_early_stopping_waits_for_patience_epochs_without_improvement(table):
    assert stopped([5, 4, 4.5, 4.2, 3, 2], *table, patience=2)[0] == 4
    assert stopped([5, 4, 4.5, 3, 3.5, 3.2], *table, patience=3)[0] == 6
    assert stopped([5, 4, 4, 3, 2, 1], *table, patience=0)[0] == 3
    assert stopped([5, 4, 3.9, 3.8, 3.7], *table, patience=1, min_delta=0.5)[0] == 3
    assert stopped([5, 6, 7, 6, 6], *table, patience=1, mode="max")[0] == 4


def test_early_stopping_puts_the_best_weights_back(table):
    epochs, model, scripted, early = stopped([5, 3, 4, 4, 1], *table, patience=2, restore_best_weights=True)
    assert epochs == 4
    assert (early.best, early.best_epoch, early.stopped_epoch) == (3, 1, 3)
    for a, b in zip(model.get_weights(), scripted.weights[1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_early_stopping_puts_the_best_weights_back_also_when_it_did_not_stop(table):
    epochs, model, scripted, _ = stopped([5, 3, 4], *table, patience=9, restore_best_weights=True)
    assert epochs == 3
    np.testing.assert_array_equal(model.get_weights()[0], scripted.weights[1][0])


def test_early_stopping_without_restoring_keeps_the_last_weights(table):
    _, model, scripted, _ = stopped([5, 3, 4, 4], *table, patience=2)
    np.testing.assert_array_equal(model.get_weights()[0], scripted.weights[-1][0])


def test_early_stopping_goes_on_waiting_until_the_baseline_is_reached(table):
    assert stopped([5, 4, 3, 2, 1], *table, patience=3, baseline=0.5)[0] == 5
    assert stopped([5, 6, 6, 6, 6], *table, patience=3, baseline=0.5)[0] == 3
    assert stopped([0.4, 6, 6, 6, 6], *table, patience=3, baseline=0.5)[0] == 4


def test_early_stopping_does_not_look_before_start_from_epoch(table):
    assert stopped([1, 5, 5, 4, 5, 5], *table, patience=2, start_from_epoch=2)[0] == 6


def test_early_stopping_knows_that_accuracy_should_rise(table, classifier):
    early = keras.callbacks.EarlyStopping(monitor="val_accuracy", patience=100)
    classifier().fit(*table, epochs=3, validation_split=0.2, verbose=0, callbacks=[early])
    assert early.monitor_op is keras.ops.greater


def test_early_stopping_warns_where_its_value_is_not_there(table):
    with pytest.warns(UserWarning, match="Early stopping conditioned on metric `val_loss`"):
        seeded(line, *table, epochs=1, callbacks=[keras.callbacks.EarlyStopping()])


def test_reduce_lr_on_plateau_lowers_the_rate_and_logs_it(table):
    scripted = Scripted([5, 5, 5, 5, 5, 4])
    reduce = keras.callbacks.ReduceLROnPlateau(patience=2, factor=0.5, min_lr=0.003)
    model, history = seeded(line, *table, epochs=6, callbacks=[scripted, reduce])
    rates = [0.01, 0.01, 0.01, 0.005, 0.005, 0.003]
    assert history.history["learning_rate"] == pytest.approx([*rates[:5], 0.003])
    assert float(model.optimizer.learning_rate) == pytest.approx(0.003)


def test_reduce_lr_on_plateau_rests_for_its_cooldown(table):
    scripted = Scripted([5.0] * 7)
    reduce = keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.5, cooldown=2)
    _, history = seeded(line, *table, epochs=7, callbacks=[scripted, reduce])
    expected = [0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025, 0.00125]
    assert history.history["learning_rate"] == pytest.approx(expected)


def test_learning_rate_scheduler_sets_the_rate_of_each_epoch(table):
    with_rate = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    _, history = seeded(line, *table, callbacks=[with_rate])
    assert history.history["learning_rate"] == pytest.approx([0.005, 0.0025, 0.00125])
    by_epoch = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    _, history = seeded(line, *table, callbacks=[by_epoch])
    assert history.history["learning_rate"] == pytest.approx([0.1, 0.05, 0.1 / 3])


def test_csv_logger_writes_a_line_an_epoch(table, tmp_path):
    path = tmp_path / "log.csv"
    _, history = seeded(line, *table, validation_split=0.2, callbacks=[keras.callbacks.CSVLogger(path)])
    with path.open() as file:
        lines = list(csv.DictReader(file))
    assert [line["epoch"] for line in lines] == ["0", "1", "2"]
    assert [float(line["val_loss"]) for line in lines] == history.history["val_loss"]
    seeded(line, *table, validation_split=0.2, callbacks=[keras.callbacks.CSVLogger(path, append=True)])
    assert path.read_text().count("epoch") == 1
    assert len(path.read_text().splitlines()) == 7


def test_terminate_on_nan_stops_at_the_first_bad_batch(table, capsys):
    x, y = table
    model = line(keras.optimizers.SGD(1e30))
    history = model.fit(x, y, epochs=5, verbose=0, callbacks=[keras.callbacks.TerminateOnNaN()])
    assert len(history.epoch) == 1
    assert "Invalid loss, terminating training" in capsys.readouterr().out


@pytest.mark.parametrize("stream", [False, True])
def test_training_stops_within_an_epoch_when_a_callback_says_so(table, stream):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                self.model.stop_training = True

    model = line()
    data = (Sequence(*table),) if stream else table
    history = model.fit(*data, epochs=5, verbose=0, callbacks=[Stop()])
    assert history.epoch == [0]
    assert int(model.optimizer.iterations.value) == 2
    assert len(model.fit(*table, epochs=2, verbose=0).epoch) == 2


# Parts of one's own.


class Linear(L.Layer):
    """Dense, written the Keras way."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="glorot_uniform", trainable=True
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True)

    def call(self, inputs):
        return inputs @ self.w + self.b


def test_a_layer_of_ones_own_trains_as_ours(table):
    def own():
        model = keras.Sequential([keras.Input(shape=(4,)), Linear(1)])
        model.compile("sgd", "mse")
        return model

    one, other = seeded(own, *table), seeded(line, *table)
    assert one[1].history["loss"] == pytest.approx(other[1].history["loss"], rel=1e-6)
    np.testing.assert_allclose(one[0].get_weights()[0], other[0].get_weights()[0], atol=1e-6)


class Counting(L.Layer):
    """Keeps the number of rows it has trained on, and their mean."""

    def build(self, input_shape):
        self.rows = self.add_weight(shape=(), initializer="zeros", trainable=False, name="rows")
        self.mean = self.add_weight(
            shape=(input_shape[-1],), initializer="zeros", trainable=False, name="mean"
        )

    def call(self, inputs, training=False):
        if training:
            rows = self.rows + inputs.shape[0]
            self.mean.assign(self.mean + jnp.sum(inputs - self.mean, axis=0) / rows)
            self.rows.assign(rows)
        return inputs


def test_a_layer_keeps_state_of_its_own_that_call_assigns(table):
    model = keras.Sequential([keras.Input(shape=(4,)), Counting(), L.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(*table, epochs=3, verbose=0)
    assert float(model.layers[0].rows.value) == 300
    np.testing.assert_allclose(model.layers[0].mean.numpy(), table[0].mean(axis=0), atol=0.02)
    model.evaluate(*table, verbose=0)
    model.predict(table[0], verbose=0)
    assert float(model.layers[0].rows.value) == 300
    assert len(model.trainable_weights) == 2
    assert len(model.non_trainable_weights) == 2


class Block(L.Layer):
    """Layers within a layer: as attributes and in lists."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = L.Dense(3, activation="relu")
        self.others = [L.Dense(3, activation="tanh"), L.Dropout(0.2)]
        self.by_name = {"last": L.BatchNormalization()}

    def call(self, inputs):
        x = self.first(inputs)
        for layer in self.others:
            x = layer(x)
        return self.by_name["last"](x)


class Net(keras.Model):
    """A model by inheritance."""

    def __init__(self):
        super().__init__()
        self.block = Block()
        self.out = L.Dense(1)

    def call(self, inputs, training=False):
        return self.out(self.block(inputs))


def test_a_model_of_ones_own_with_nested_layers_trains_evaluates_and_predicts(table):
    model = Net()
    model.compile("adam", "mse")
    history = model.fit(*table, epochs=20, verbose=0, validation_split=0.2)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert len(model.trainable_weights) == 8
    assert len(model.non_trainable_weights) == 2
    moving_mean = model.block.by_name["last"].moving_mean.numpy()
    assert np.abs(moving_mean).max() > 0
    first = model.predict(table[0], verbose=0)
    np.testing.assert_array_equal(first, model.predict(table[0], verbose=0))
    assert model.evaluate(*table, verbose=0) == pytest.approx(
        np.square(first[:, 0] - table[1]).mean(), rel=1e-4
    )


def test_a_model_within_a_model_trains(table):
    inner = keras.Sequential([L.Dense(3, activation="relu"), L.Dense(2)])
    model = keras.Sequential([keras.Input(shape=(4,)), inner, L.Dense(1)])
    model.compile("sgd", "mse")
    before = inner.get_weights() if inner.built else None
    model.fit(*table, epochs=2, verbose=0)
    assert len(model.trainable_weights) == 6
    assert before is None or not np.array_equal(before[0], inner.get_weights()[0])


class HalfSquares(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return 0.5 * jnp.mean(jnp.square(jnp.reshape(y_true, (-1, 1)) - y_pred), axis=-1)


class Bias(keras.metrics.Metric):
    def __init__(self, name="bias"):
        super().__init__(name=name)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.rows = self.add_weight(name="rows", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(jnp.sum(jnp.reshape(y_pred, (-1,)) - jnp.reshape(y_true, (-1,))))
        self.rows.assign_add(jnp.asarray(y_pred).shape[0])

    def result(self):
        return self.total / self.rows


class Descent(keras.optimizers.Optimizer):
    """Momentum, written the Keras way."""

    def __init__(self, learning_rate=0.01, momentum=0.9, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        super().build(variables)
        self.speeds = [self.add_variable_from_reference(each, name="speed") for each in variables]
        self.order = {id(each): number for number, each in enumerate(variables)}

    def update_step(self, gradient, variable, learning_rate):
        speed = self.speeds[self.order[id(variable)]]
        speed.assign(self.momentum * speed - learning_rate * gradient)
        variable.assign_add(speed)


def lasso(weights):
    return 0.01 * jnp.sum(jnp.abs(weights))


def test_a_loss_and_a_metric_of_ones_own(table):
    x, y = table
    one, history = seeded(lambda: line(keras.optimizers.SGD(0.02), HalfSquares(), metrics=[Bias()]), x, y)
    other, expected = seeded(lambda: line(keras.optimizers.SGD(0.01), "mse"), x, y)
    assert np.array(history.history["loss"]) * 2 == pytest.approx(expected.history["loss"], rel=1e-5)
    np.testing.assert_allclose(one.get_weights()[0], other.get_weights()[0], atol=1e-6)
    bias = np.mean(one.predict(x, verbose=0)[:, 0] - y)
    assert one.evaluate(x, y, verbose=0, return_dict=True)["bias"] == pytest.approx(bias, abs=1e-5)


def test_functions_as_loss_and_metric_keep_their_names(table):
    def half(y_true, y_pred):
        return 0.5 * jnp.square(y_true - y_pred)

    x, y = table
    model = line("sgd", half, metrics=[half, "mse", keras.metrics.MeanSquaredError(name="squares")])
    logs = model.evaluate(x, y[:, None], verbose=0, return_dict=True)
    assert sorted(logs) == ["half", "loss", "mse", "squares"]
    assert logs["half"] == pytest.approx(logs["mse"] / 2)
    assert logs["loss"] == pytest.approx(logs["mse"] / 2)


def test_an_optimizer_of_ones_own_moves_as_sgd_with_momentum(table):
    one, _ = seeded(lambda: line(Descent()), *table)
    other, _ = seeded(lambda: line(keras.optimizers.SGD(0.01, momentum=0.9)), *table)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_functions_as_regularizer_initializer_activation_and_constraint(table):
    def positive(weights):
        return jnp.maximum(weights, 0.0)

    def halves(shape, dtype=None):
        return np.full(shape, 0.5, dtype)

    def square(z):
        return z * z

    dense = L.Dense(
        1,
        activation=square,
        kernel_initializer=halves,
        kernel_regularizer=lasso,
        kernel_constraint=positive,
    )
    model = keras.Sequential([keras.Input(shape=(4,)), dense])
    model.compile("sgd", "mse", metrics=["mse"])
    assert (model.get_weights()[0] == 0.5).all()
    loss, mse = model.evaluate(*table, verbose=0)
    assert loss - mse == pytest.approx(0.01 * 2.0, rel=1e-3)
    model.fit(*table, epochs=20, verbose=0)
    assert (model.get_weights()[0] >= 0).all()


def test_an_optax_transformation_trains_as_the_optimizer_of_ours(table):
    one, history = seeded(lambda: line(optax.sgd(0.01, momentum=0.9)), *table)
    other, expected = seeded(lambda: line(keras.optimizers.SGD(0.01, momentum=0.9)), *table)
    assert history.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-5)
    np.testing.assert_allclose(one.get_weights()[0], other.get_weights()[0], atol=1e-6)
    one.fit(*table, epochs=1, verbose=0)
    assert int(one.optimizer.iterations.value) == 16


def test_a_frozen_layer_does_not_move(table):
    model = keras.Sequential([keras.Input(shape=(4,)), L.Dense(3), L.Dense(1)])
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(*table, epochs=2, verbose=0)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])
    assert not np.array_equal(before[2], model.get_weights()[2])
    assert len(model.trainable_weights) == 2


def test_a_layer_is_frozen_between_fits(table):
    model = keras.Sequential([keras.Input(shape=(4,)), L.Dense(3), L.Dense(1)])
    model.compile("adam", "mse")
    model.fit(*table, verbose=0)
    model.layers[0].trainable = False
    model.compile("adam", "mse")
    before = model.get_weights()
    model.fit(*table, verbose=0)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])
    assert not np.array_equal(before[2], model.get_weights()[2])


def test_run_eagerly_shows_numbers_within_call_and_gives_the_same(table):
    seen = []

    class Look(L.Layer):
        def call(self, inputs):
            if not isinstance(inputs, jax.core.Tracer):
                seen.append(float(inputs[0, 0]))
            return inputs

    def make(eager):
        def model():
            made = keras.Sequential([keras.Input(shape=(4,)), Look(), L.Dense(1)])
            made.compile("sgd", "mse", run_eagerly=eager)
            return made

        return model

    x, y = table[0][:6], table[1][:6]
    eager, history = seeded(make(True), x, y, epochs=2, batch_size=3)
    compiled, expected = seeded(make(False), x, y, epochs=2, batch_size=3)
    assert history.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-5)
    np.testing.assert_allclose(eager.get_weights()[0], compiled.get_weights()[0], atol=1e-6)


# Ctrl-C.


def test_an_interrupt_within_a_callback_leaves_model_and_history_as_they_were(table):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 4:
                raise KeyboardInterrupt

    model = line()
    with pytest.raises(KeyboardInterrupt):
        model.fit(*table, epochs=10, verbose=0, callbacks=[Interrupt()])
    assert int(model.optimizer.iterations.value) == 20
    assert model.history.epoch in ([0, 1, 2, 3], [0, 1, 2, 3, 4])
    assert len(model.fit(*table, epochs=2, verbose=0).epoch) == 2


@pytest.mark.parametrize("after", [0.05, 0.3, 0.6])
def test_ctrl_c_in_a_long_fit_leaves_a_model_and_a_history_of_the_epochs_done(table, after):
    model = line()
    model.fit(*table, verbose=0)
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(*table, epochs=500_000, verbose=0)
    timer.join()
    steps = int(model.optimizer.iterations.value) - 4
    assert model.history.epoch == list(range(steps // 4))
    assert len(model.history.history["loss"]) == steps // 4
    assert np.isfinite(model.evaluate(*table, verbose=0))
    assert len(model.fit(*table, epochs=2, verbose=0).epoch) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_ctrl_c_that_falls_into_the_collection_of_garbage_is_heard_later(table, stream):
    def interrupted(phase):
        if phase == "start":
            signal.raise_signal(signal.SIGINT)

    def around(phase, info):  # as JAX and others have one, in which exceptions are lost
        interrupted(phase)

    def collect(epoch, logs):
        if epoch == 2:
            gc.callbacks.append(around)
            try:
                gc.collect()
            finally:
                gc.callbacks.remove(around)

    model = line()
    data = (Sequence(*table),) if stream else table
    callback = keras.callbacks.LambdaCallback(on_epoch_end=collect)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data, epochs=20, verbose=0, callbacks=[callback])
    assert model.history.epoch == [0, 1, 2]
    assert int(model.optimizer.iterations.value) == 12
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_warnings_are_not_given_for_usual_code(table, classifier):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = classifier()
        model.fit(*table, epochs=1, validation_split=0.2, verbose=0)
        model.evaluate(*table, verbose=0)
        model.predict(table[0], verbose=0)


def test_predict_before_fit_says_what_is_missing():
    with pytest.raises(StateError, match="predict before fit"):
        keras.Sequential([L.Dense(1)]).predict(np.zeros((2, 3)), verbose=0)
