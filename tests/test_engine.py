"""The compiled loop: how often it compiles, and that it gives the same numbers however it is cut."""

import contextlib
import gc
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as keras
from pellucid import engine, fitting
from pellucid.data import Rows
from pellucid.engine import Batches

L = keras.layers


class Watching(keras.callbacks.Callback):
    """Makes training go step by step, and does nothing else."""

    def on_train_batch_end(self, batch, logs=None):
        pass


def same_bits(first, second):
    assert list(first.history.history) == list(second.history.history)
    for name, values in first.history.history.items():
        assert values == second.history.history[name], name
    for before, after in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(before.numpy(), after.numpy())
    for before, after in zip(first.optimizer.variables, second.optimizer.variables, strict=True):
        np.testing.assert_array_equal(before.numpy(), after.numpy())


# How often it compiles.


def test_epochs_steps_and_further_fits_compile_nothing_more(table, classifier):
    model = classifier()
    model.fit(*table, epochs=1, verbose=0)
    once = model._engine.compilations
    assert once == 1
    model.fit(*table, epochs=30, verbose=0)
    model.fit(*table, epochs=700, verbose=0)
    model.fit(*table, epochs=35, initial_epoch=30, shuffle=False, verbose=0)
    model.fit(*table, epochs=2, shuffle="batch", verbose=0)
    assert model._engine.compilations == once


def test_the_last_smaller_batch_compiles_nothing_more(table, classifier):
    model = classifier()
    model.fit(*table, batch_size=32, verbose=0)  # 32, 32, 32, 4
    assert model._engine.compilations == 1


def test_validation_is_part_of_the_one_program(table, classifier):
    model = classifier()
    model.fit(*table, epochs=3, validation_split=0.2, verbose=0)
    assert model._engine.compilations == 1
    model.fit(*table, epochs=3, validation_split=0.2, validation_freq=2, verbose=0)
    assert model._engine.compilations == 1


def test_evaluate_compiles_once(table, classifier):
    model = classifier()
    for _ in range(3):
        model.evaluate(*table, verbose=0)
    assert model._engine.compilations == 1


def test_going_step_by_step_compiles_one_program(table, classifier):
    model = classifier()
    for _ in range(2):
        model.fit(*table, epochs=2, verbose=0, callbacks=[Watching()])
    assert model._engine.compilations == 1


def test_batches_of_a_stream_of_two_sizes_compile_one_program(table, classifier):
    x, y = table
    model = classifier()

    class Cut:
        def __iter__(self):
            return iter([(x[:32], y[:32]), (x[32:64], y[32:64]), (x[64:70], y[64:70])])

    model.fit(Cut(), epochs=3, steps_per_epoch=3, verbose=0)
    assert model._engine.compilations == 1


def test_batches_fed_by_hand_compile_one_program_for_each_number_of_rows(table, classifier):
    x, y = table
    model = classifier()
    for rows in (32, 32, 8, 8, 32):
        model.train_on_batch(x[:rows], y[:rows])
    assert model._engine.compilations == 2


def test_a_second_model_of_the_same_shapes_is_not_compiled_again(table, classifier, monkeypatch):
    classifier().fit(*table, epochs=2, verbose=0)
    kept = dict(engine._kept)
    classifier().fit(*table, epochs=2, verbose=0)
    assert dict(engine._kept) == kept


@pytest.mark.parametrize(
    ("backend", "told", "written"),
    [("gpu", None, True), ("gpu", "tensorfloat32", False), ("cpu", None, False)],
)
def test_products_are_in_full_where_a_device_would_round_unless_jax_was_told(
    backend, told, written, table, monkeypatch
):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    with jax.default_matmul_precision(told) if told else contextlib.nullcontext():
        program = engine.compiled(jnp.matmul, table[0], table[0].T)
        called = jax.make_jaxpr(keras.layers.Dense(3))(table[0])
    assert ("highest" in program.as_text()) == written
    assert ("HIGHEST" in str(called)) == written


def test_the_kept_programs_do_not_grow_without_end():
    for number in range(engine.KEPT_PROGRAMS + 5):
        engine.compiled(lambda x, number=number: x + number, np.zeros(2, np.float32))
    assert len(engine._kept) == engine.KEPT_PROGRAMS


def test_two_models_that_differ_in_a_constant_only_do_not_share_a_program(table):
    def outputs(scale):
        model = keras.Sequential([keras.Input(shape=(4,)), L.Rescaling(scale)])
        return model.predict(table[0], verbose=0)

    np.testing.assert_array_equal(outputs(2.0), 2 * table[0])
    np.testing.assert_array_equal(outputs(3.0), 3 * table[0])


# The same bits, however it is cut.


def fixed_pace(chunk):
    class Fixed(fitting.Pace):
        def __init__(self):
            super().__init__()
            self.chunk = chunk

        def took(self, steps, seconds):
            pass

    return Fixed


def trained(table, make, monkeypatch, chunk=None, order=None, **fitting_with):
    keras.utils.set_random_seed(3)
    with monkeypatch.context() as patch:
        if chunk is not None:
            patch.setattr(fitting, "Pace", fixed_pace(chunk))
        if order is not None:
            patch.setattr(engine, "ORDER_SIZE", order)
        model = make()
        model.fit(*table, **{"epochs": 10, "batch_size": 32, "verbose": 0, **fitting_with})
    return model


@pytest.mark.parametrize("chunk", [1, 3, 7, 1000])
@pytest.mark.parametrize("validation_split", [0.0, 0.2])
def test_history_and_weights_are_the_same_however_the_steps_are_cut(
    table, classifier, monkeypatch, chunk, validation_split
):
    def make():
        return classifier(metrics=("accuracy", keras.metrics.AUC(name="auc")))

    whole = trained(table, make, monkeypatch, validation_split=validation_split)
    cut = trained(table, make, monkeypatch, chunk, order=128 * 3, validation_split=validation_split)
    assert cut.history.epoch == list(range(10))
    same_bits(whole, cut)


def test_history_and_weights_are_the_same_step_by_step(table, classifier, monkeypatch):
    whole = trained(table, classifier, monkeypatch, validation_split=0.2)
    steps = trained(table, classifier, monkeypatch, validation_split=0.2, callbacks=[Watching()])
    same_bits(whole, steps)


@pytest.mark.parametrize("verbose", [1, 2])
def test_history_and_weights_are_the_same_with_and_without_printing(
    table, classifier, monkeypatch, capsys, verbose
):
    whole = trained(table, classifier, monkeypatch)
    same_bits(whole, trained(table, classifier, monkeypatch, verbose=verbose))
    assert "loss" in capsys.readouterr().out


def test_dropout_is_the_same_however_the_steps_are_cut(table, monkeypatch):
    def make():
        model = keras.Sequential([L.Dense(3), L.Dropout(0.5), L.GaussianNoise(0.1), L.Dense(1)])
        model.compile("sgd", "mse")
        return model

    whole = trained(table, make, monkeypatch)
    same_bits(whole, trained(table, make, monkeypatch, chunk=3))
    same_bits(whole, trained(table, make, monkeypatch, callbacks=[Watching()]))


def test_ten_epochs_are_five_and_five_more(table, classifier):
    keras.utils.set_random_seed(3)
    whole = classifier()
    whole.fit(*table, epochs=10, verbose=0)
    keras.utils.set_random_seed(3)
    halves = classifier()
    first = halves.fit(*table, epochs=5, verbose=0)
    second = halves.fit(*table, epochs=10, initial_epoch=5, verbose=0)
    assert first.history["loss"] + second.history["loss"] == whole.history.history["loss"]
    for one, other in zip(whole.get_weights(), halves.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_steps_per_execution_changes_no_number(table, classifier, monkeypatch):
    one = trained(table, classifier, monkeypatch, callbacks=[Watching()])
    several = trained(table, lambda: classifier(steps_per_execution=3), monkeypatch, callbacks=[Watching()])
    same_bits(one, several)


# The last, smaller batch.


@given(rows=st.integers(1, 40), size=st.integers(1, 40), exact=st.booleans())
def test_batches_hold_every_row_once(rows, size, exact):
    cut = Batches(rows, min(size, rows), exact)
    assert cut.full * cut.size + cut.last == rows
    assert cut.count == -(-rows // cut.size)


@settings(max_examples=15)
@given(rows=st.integers(1, 12), size=st.integers(1, 12), exact=st.booleans(), data=st.data())
def test_the_loop_visits_each_batch_of_a_range_once_with_its_rows(rows, size, exact, data):
    cut = Batches(rows, min(size, rows), exact)
    begin = data.draw(st.integers(0, cut.count))
    end = data.draw(st.integers(begin, cut.count))
    held = Rows(jnp.arange(rows, dtype=jnp.float32))

    def add(seen, number, size, masked):
        batch = cut.take(held, None, number, size, masked)
        counts = jnp.ones(size) if batch.valid is None else batch.valid.astype(jnp.float32)
        return seen.at[batch.x.astype(int)].add(counts)

    seen = jax.jit(lambda b, e: cut.each(b, e, add, jnp.zeros(rows)))(begin, end)
    expected = np.zeros(rows)
    expected[begin * cut.size : end * cut.size] = 1
    np.testing.assert_array_equal(seen, expected)


def independent_model():
    model = keras.Sequential(
        [
            keras.Input(shape=(4,)),
            L.Dense(3, activation="relu", kernel_regularizer="l2"),
            L.LayerNormalization(),
            L.Dense(1, activation="sigmoid"),
        ]
    )
    metrics = ["accuracy", "mse", "auc", "Precision", "R2Score"]
    model.compile("adam", "binary_crossentropy", metrics=metrics, weighted_metrics=["mae"])
    return model


@pytest.mark.parametrize("weighted", [False, True])
def test_a_batch_that_is_filled_up_equals_the_smaller_batch(table, monkeypatch, weighted):
    weight = np.linspace(0.1, 2.0, 100) if weighted else None
    cut = engine.Engine.cut
    filled = trained(table, independent_model, monkeypatch, sample_weight=weight)
    assert not filled._engine.cut(100, 32, True).exact
    monkeypatch.setattr(engine.Engine, "cut", lambda self, *a, **k: replace(cut(self, *a, **k), exact=True))
    exact = trained(table, independent_model, monkeypatch, sample_weight=weight)
    for name, values in exact.history.history.items():
        np.testing.assert_allclose(filled.history.history[name], values, rtol=1e-5, err_msg=name)
    for one, other in zip(filled.get_weights(), exact.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


class MinusMean(L.Layer):
    """A layer that mixes rows, and does not say so."""

    def call(self, inputs):
        return inputs - jnp.mean(inputs, axis=0)


def scaled_by_batch(y_true, y_pred):
    error = jnp.square(y_true - y_pred)
    return error / (1.0 + jnp.max(error))


class LargestError(keras.metrics.Metric):
    """A metric that a row of zeros would change."""

    def __init__(self, name="largest"):
        super().__init__(name=name)
        self.largest = self.add_weight((), name="largest")
        self.rows = self.add_weight((), name="rows")

    def update_state(self, y_true, y_pred, sample_weight=None):
        error = jnp.max(jnp.abs(jnp.reshape(jnp.asarray(y_true), (-1, 1)) - y_pred))
        self.largest.assign(jnp.maximum(self.largest.value, error))
        self.rows.assign_add(jnp.shape(y_pred)[0])

    def result(self):
        return self.largest.value + 1000 * self.rows.value


class NoDeclaration(L.Dense):
    """A subclass of one of ours does not inherit that its rows are independent."""

    def call(self, inputs):
        return super().call(inputs) / inputs.shape[0]


MIXED = {
    "batch normalization": lambda: ([L.Dense(3), L.BatchNormalization(), L.Dense(1)], "mse", []),
    "a layer of one's own": lambda: ([L.Dense(3), MinusMean(), L.Dense(1)], "mse", []),
    "a subclass of Dense": lambda: ([L.Dense(3, activation="tanh"), NoDeclaration(1)], "mse", []),
    "a loss of one's own": lambda: ([L.Dense(1)], scaled_by_batch, []),
    "a metric of one's own": lambda: ([L.Dense(1)], "mse", [LargestError()]),
    "a penalty on outputs": lambda: ([L.Dense(3, activity_regularizer="l2"), L.Dense(1)], "mse", []),
}


@pytest.mark.parametrize("case", MIXED)
def test_where_rows_mix_the_last_batch_is_computed_as_it_is(table, case):
    x, y = table

    def make():
        keras.utils.set_random_seed(3)
        layers, loss, metrics = MIXED[case]()
        model = keras.Sequential([keras.Input(shape=(4,)), *layers])
        model.compile("sgd", loss, metrics=metrics)
        return model

    fitted = make()
    history = fitted.fit(x, y, epochs=2, batch_size=32, shuffle=False, verbose=0)
    by_hand = make()
    for epoch in range(2):
        logs = [
            by_hand.train_on_batch(x[start : start + 32], y[start : start + 32], return_dict=True)
            for start in range(0, 100, 32)
        ]
        losses = np.average([log["loss"] for log in logs], weights=[32, 32, 32, 4])
        assert history.history["loss"][epoch] == pytest.approx(losses, rel=1e-5)
    if case == "a metric of one's own":
        assert [value // 1000 for value in history.history["largest"]] == [100, 100]
    for one, other in zip(fitted.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_where_rows_mix_evaluate_computes_the_last_batch_as_it_is(table):
    x, y = table
    model = keras.Sequential([keras.Input(shape=(4,)), MinusMean(), L.Dense(1)])
    model.compile("sgd", "mse")
    parts = [model.test_on_batch(x[start : start + 32], y[start : start + 32]) for start in range(0, 100, 32)]
    expected = np.average(parts, weights=[32, 32, 32, 4])
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)


# Predictions.


@pytest.mark.parametrize("batch_size", [1, 3, 32, 100, 4096])
def test_predictions_do_not_depend_on_how_rows_are_batched(table, classifier, batch_size):
    model = classifier()
    by_row = np.concatenate([model.predict_on_batch(table[0][i : i + 1]) for i in range(100)])
    many = model.predict(table[0], batch_size=batch_size, verbose=0)
    assert many.shape == (100, 1)
    np.testing.assert_allclose(many, by_row, rtol=1e-6)


@settings(max_examples=15)
@given(rows=st.integers(1, 2500))
def test_every_row_gets_its_own_answer(rows):
    model = keras.Sequential([keras.Input(shape=(1,)), L.Rescaling(2.0)])
    x = np.arange(rows, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(model.predict(x, verbose=0), 2 * x)


# Memory.


def grown(fit, times):
    """How many MB the process grew by in the second half of so many fits."""
    process = psutil.Process()
    for _ in range(times // 2):
        fit()
    gc.collect()
    before = process.memory_info().rss
    for _ in range(times // 2):
        fit()
    gc.collect()
    return (process.memory_info().rss - before) / 2**20


def test_fitting_a_model_again_and_again_does_not_grow_the_process(table, classifier):
    model = classifier()
    assert grown(lambda: model.fit(*table, epochs=2, verbose=0), 100) < 10


@pytest.mark.slow
def test_a_thousand_fits_of_new_models_do_not_grow_the_process(table, classifier):
    def ten_fits():
        model = classifier()
        for _ in range(10):
            model.fit(*table, epochs=2, verbose=0)

    assert grown(ten_fits, 100) < 20
