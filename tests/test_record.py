"""What a training leaves behind, and replays of any part of it, bit for bit."""

import itertools
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as keras
from pellucid import record
from pellucid.errors import ArgumentError, StateError
from pellucid.record import Log, Orders, Snapshot, Snapshots
from pellucid.step import State
from test_opened import CASES, SIZE, WEIGHTS, L, X, Y, batches, every_case, opened, trained

NUMBERS = np.arange(1000)


def same_weights(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def same_arrays(one, other):
    assert list(one) == list(other)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


class Nothing(keras.callbacks.Callback):
    """Looks on, so that the training goes epoch by epoch."""

    def on_epoch_end(self, epoch, logs=None):
        pass


class Opens(keras.callbacks.Callback):
    """Opens steps in between, draws their stories, and what would have been."""

    def on_epoch_end(self, epoch, logs=None):
        history = self.model.history
        for number in {0, history.steps // 2, history.steps - 1}:
            step = history.open(number)
            assert step.cost_after is not None
            str(step.formula("cost"))
        history.log["cost"].sum()


# Recording looks on.


@every_case
def test_recording_and_opening_change_no_bit_of_a_training(name, tmp_path):
    case = CASES[name]
    plain, expected = case.fit([Nothing()], record=False)
    after = np.random.get_state()[1]
    kept = {} if name == "optax" else {"record": tmp_path / "run"}
    for callback, recording in ((Nothing(), {}), (Opens(), {}), (Opens(), kept)):
        model, history = case.fit([callback], **recording)
        same_weights(model, plain)
        assert history.history == expected.history
        np.testing.assert_array_equal(np.random.get_state()[1], after)


def test_recording_changes_no_bit_where_epochs_are_trained_many_at_once():
    case = CASES["logistic regression"]
    plain, expected = case.fit(record=False)
    model, history = case.fit()
    same_weights(model, plain)
    assert history.history == expected.history


# A replay is the training once more.


@every_case
def test_the_weights_after_each_step_are_those_before_the_next(name):
    model, history = trained(name)
    steps = [opened(name, number) for number in range(history.steps)]
    each = len(history.log["step"]) // len(history.epoch)
    for one, other in itertools.pairwise(steps):
        if not (CASES[name].edited and other.number % each == 0 and name != "stopped early"):
            same_arrays(one.weights_after, other.weights)
        if not CASES[name].edited:
            same_arrays(one.optimizer.after, {**other.optimizer.before, **_rate(other, one)})
    if name != "stopped early":
        last = {variable.path: variable.numpy() for variable in model.trainable_variables}
        same_arrays(steps[-1].weights_after, last)


def _rate(step, before):
    """The learning rate, which a scheduler sets between steps."""
    known = "learning_rate" in step.optimizer.before
    return {"learning_rate": before.optimizer.after["learning_rate"]} if known else {}


def test_weights_that_a_callback_set_are_those_before_the_step():
    for number in (3, 6):
        before, after = opened("edited by callbacks", number - 1), opened("edited by callbacks", number)
        np.testing.assert_array_equal(after.weights["dense/kernel"], before.weights_after["dense/kernel"] / 2)
        np.testing.assert_array_equal(after.weights["dense/bias"], before.weights_after["dense/bias"])


def test_weights_that_early_stopping_puts_back_are_those_after_the_best_epoch():
    model, history = trained("stopped early")
    losses = history.history["val_loss"]
    assert len(losses) < 9
    best = history.open(epoch=int(np.argmin(losses)), batch=-1)
    for variable in model.trainable_variables:
        np.testing.assert_array_equal(best.weights_after[variable.path], variable.numpy())


@every_case
def test_the_opened_cost_is_the_one_that_was_logged(name):
    _, history = trained(name)
    costs = history.log["cost"]
    assert costs.shape == (history.steps,)
    for number, logged in enumerate(costs):
        step = opened(name, number)
        np.testing.assert_allclose(step.cost, logged, rtol=5e-7)
        assert step.difference < 1e-5
        assert step.exact == (step.difference == 0)


@every_case
def test_the_mean_cost_of_an_epoch_is_the_loss_in_the_history(name):
    _, history = trained(name)
    epochs = history.log["epoch"]
    assert sorted(set(epochs.tolist())) == history.epoch
    for epoch, loss in zip(history.epoch, history.history["loss"], strict=True):
        own = [opened(name, int(number)) for number in np.flatnonzero(epochs == epoch)]
        mean = np.average([step.cost for step in own], weights=[step.rows_count for step in own])
        assert mean == pytest.approx(loss, rel=1e-5)
        assert [(step.epoch, step.batch) for step in own] == [(epoch, place) for place in range(len(own))]
        assert {step.batches_in_epoch for step in own} == {len(own)}


@every_case
def test_a_step_is_found_by_its_number_from_either_end_and_by_its_place(name):
    _, history = trained(name)
    for number in range(history.steps):
        step = opened(name, number)
        for same in (
            history.open(number - history.steps),
            history.open(np.int64(number)),
            history.open(epoch=step.epoch, batch=step.batch),
            history.open(epoch=step.epoch, batch=step.batch - step.batches_in_epoch),
        ):
            assert same.number == number
            same_arrays(same.weights_after, step.weights_after)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].whole])
def test_the_rows_of_an_epoch_are_each_row_once(name):
    case, (_, history) = CASES[name], trained(name)
    each = history.log["epoch"].tolist().count(0)
    x, y = np.asarray(case.x), np.asarray(case.y)
    for epoch in history.epoch:
        own = [history.open(epoch=epoch, batch=place) for place in range(each)]
        rows = np.concatenate([step.rows for step in own])
        assert sorted(rows) == list(range(opened(name, 0).rows_in_all))
        shuffle = case.fitting().get("shuffle", True)
        assert (rows.tolist() == sorted(rows)) == (shuffle is False)
        for place, step in enumerate(own):
            assert len(step.x) == len(step.y) == len(step.rows) == step.rows_count
            np.testing.assert_array_equal(step.x, x[step.rows])
            np.testing.assert_array_equal(step.y, y[step.rows].astype(step.y.dtype))
            if shuffle == "batch":
                assert sorted(step.rows) == list(range(place * SIZE, place * SIZE + len(step.rows)))


def test_the_weights_of_rows_are_those_of_their_classes_or_their_own():
    step = opened("logistic regression", 4)
    np.testing.assert_array_equal(step.sample_weight, np.where(step.y == 1, 3.0, 1.0))
    step = opened("softmax", 4)
    np.testing.assert_array_equal(step.sample_weight, WEIGHTS[step.rows])
    assert opened("tanh", 4).sample_weight is None


def test_the_batches_of_a_stream_are_those_that_it_gave():
    given = batches()
    for number in range(9):
        x, y, weight = next(given)
        step = opened("a stream", number)
        np.testing.assert_array_equal(step.x, x)
        np.testing.assert_array_equal(step.y, y)
        np.testing.assert_array_equal(step.sample_weight, weight)


@pytest.mark.slow
@settings(max_examples=10)
@given(
    rows=st.sampled_from([22, 17]),
    size=st.sampled_from([1, 5, 8, 22, 40]),
    epochs=st.integers(1, 5),
    initial=st.integers(0, 3),
    shuffle=st.sampled_from([True, False, "batch"]),
    split=st.sampled_from([0.0, 0.3]),
    weighted=st.booleans(),
    watched=st.sampled_from([(), (Nothing(),)]),
)
def test_however_a_model_is_fitted_its_steps_are_those_of_the_training(
    rows, size, epochs, initial, shuffle, split, weighted, watched
):
    model = CASES["logistic regression"].model()
    history = model.fit(
        X[:rows],
        Y[:rows],
        batch_size=size,
        initial_epoch=initial,
        epochs=initial + epochs,
        shuffle=shuffle,
        validation_split=split,
        sample_weight=WEIGHTS[:rows] if weighted else None,
        callbacks=list(watched),
        verbose=0,
    )
    trained_on = int(rows * (1 - split))
    steps = [history.open(number) for number in range(history.steps)]
    assert len(steps) == epochs * -(-trained_on // min(size, trained_on))
    for one, other in itertools.pairwise(steps):
        same_arrays(one.weights_after, other.weights)
    same_arrays(steps[-1].weights_after, {each.path: each.numpy() for each in model.weights})
    np.testing.assert_allclose([step.cost for step in steps], history.log["cost"], rtol=5e-7)
    for epoch, loss in zip(history.epoch, history.history["loss"], strict=True):
        own = [step for step in steps if step.epoch == epoch]
        taken = np.concatenate([step.rows for step in own])
        assert sorted(taken) == list(range(trained_on))
        mean = np.average([step.cost for step in own], weights=[step.rows_count for step in own])
        assert mean == pytest.approx(loss, rel=1e-5)
        for step in own:
            np.testing.assert_array_equal(step.x, X[step.rows])
            assert not weighted or (step.sample_weight == WEIGHTS[step.rows]).all()


# The log.


def test_the_logged_learning_rate_is_that_of_the_schedule():
    rates = trained("tanh")[1].log["learning_rate"]
    np.testing.assert_allclose(rates, 0.1 / np.repeat([1, 2, 3], 3), rtol=1e-6)
    rates = trained("edited by callbacks")[1].log["learning_rate"]
    np.testing.assert_allclose(rates, 0.05 / np.tile([1, 2, 3], 3), rtol=1e-6)
    rates = trained("classes of sequences")[1].log["learning_rate"]
    np.testing.assert_allclose(rates, 0.1 * 0.5 ** (np.arange(9) / 2), rtol=1e-6)
    assert np.isnan(trained("optax")[1].log["learning_rate"]).all()


@every_case
def test_the_logged_learning_rate_is_that_of_the_opened_step(name):
    _, history = trained(name)
    opened_rates = [opened(name, number).optimizer.learning_rate for number in range(history.steps)]
    np.testing.assert_array_equal(history.log["learning_rate"], np.float32(opened_rates))


def test_lengths_in_the_log_are_those_of_the_opened_steps():
    _, history = trained("tanh")
    norms = history.log.norms
    np.testing.assert_array_equal(norms["step"], range(9))
    for number in range(9):
        step = opened("tanh", number)
        for what, values in (("gradient", step.gradients), ("update", step.updates)):
            own = np.concatenate([np.ravel(values[f"dense/{each}"]) for each in ("kernel", "bias")])
            assert norms[f"dense.{what}"][number] == pytest.approx(np.linalg.norm(own), rel=1e-5)


def test_the_log_says_what_columns_it_has():
    log = trained("tanh")[1].log
    assert list(log) == ["step", "epoch", "cost", "learning_rate"]
    assert len(log) == 4
    with pytest.raises(KeyError, match="cost"):
        log["loss"]
    assert "9 steps" in repr(log)


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(8, 400))
def test_a_long_log_keeps_every_second_fourth_eighth_step(chunks, budget):
    log, start = Log(budget), 0
    for count in chunks:
        part = NUMBERS[start : start + count]
        log.add(np.stack([part, -part], axis=1))
        start += count
    assert log.steps == start
    np.testing.assert_array_equal(log.table[:, 0], np.arange(0, start, log.stride))
    assert log.nbytes <= budget
    for step in range(start + 3):
        row = log.row(step)
        assert (row is None) == (step >= start or step % log.stride > 0)
        assert row is None or row.tolist() == [step, -step]


# Orders.


@given(
    rows=st.integers(1, 40),
    size=st.integers(1, 12),
    shuffle=st.sampled_from([True, False, "batch"]),
    chunks=st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=6),
    drawn_again=st.sampled_from([1, 60, 500_000]),
    data=st.data(),
)
def test_orders_are_found_again_whoever_else_draws(rows, size, shuffle, chunks, drawn_again, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "DRAWN_AGAIN", drawn_again)
        size = min(size, rows)
        orders, drawn = Orders(rows, size, shuffle), []
        for count, somebody in chunks:
            into = np.zeros((count, -(-rows // size) * size), np.int32)
            orders.draw(into)
            drawn += list(into)
            if somebody:
                np.random.rand()
        expected = [order[:rows] for order in drawn]
        # Rows that fill up the last batch repeat one that is in it.
        assert all((order[rows:] == order[rows - 1]).all() for order in drawn)
        assert all(sorted(order) == list(range(rows)) for order in expected)
        state = np.random.get_state()[1]
        for epoch in data.draw(st.lists(st.integers(0, len(drawn) - 1), max_size=12)):
            np.testing.assert_array_equal(orders.again(epoch), expected[epoch])
        np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_drawing_an_order_takes_from_the_stream_what_it_took_unrecorded():
    orders = Orders(22, 8, True)
    into = np.zeros((3, 24), np.int32)
    np.random.seed(3)
    orders.draw(into, noted=False)
    np.random.seed(3)
    again = Orders(22, 8, True)
    other = np.zeros((3, 24), np.int32)
    again.draw(other)
    np.testing.assert_array_equal(into, other)
    assert not orders.notes
    assert len(again.notes) == 1


def test_steps_are_right_where_a_callback_draws_from_the_same_stream():
    class Draws(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            np.random.rand(epoch + 1)

    model, history = CASES["logistic regression"].fit([Draws()])
    for number in (8, 0, 5, 3, 7):
        step = history.open(number)
        np.testing.assert_allclose(step.cost, history.log["cost"][number], rtol=5e-7)
    same_arrays(history.open(-1).weights_after, {v.path: v.numpy() for v in model.weights})
    assert len(history._replay.record.orders.notes) == 3


# Under a budget.


def state(number, size=10):
    return State((np.full(size, number, np.float32),), (), (), ())


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=60),
    st.integers(1, 4_000),
    st.integers(1, 6),
    st.lists(st.integers(0, 300), max_size=10),
)
def test_snapshots_stay_within_their_budget_and_the_first_stays(gaps, budget, spacing, asked):
    snapshots = Snapshots(budget)
    snapshots.spacing = spacing
    steps = [0, *itertools.accumulate(gaps)]
    for step in steps:
        if snapshots.wants(step):
            snapshots.add(Snapshot(step, state(step)))
    kept = [each.step for each in snapshots.kept]
    assert kept[0] == 0
    assert kept == sorted(set(kept))
    assert set(kept) <= set(steps)
    assert len(kept) <= 2 or sum(record.size_of(each.state) for each in snapshots.kept) <= budget
    assert snapshots.nbytes == sum(record.size_of(each.state) for each in snapshots.kept)
    for step in asked:
        found = snapshots.before(step)
        assert found.step == max(each for each in kept if each <= step)
        assert found.state.weights[0][0] == found.step


class Draws(Nothing):
    """Draws between epochs, and once changes weights."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch % 7 == 0:
            np.random.rand()
        if epoch == 30:
            self.model.layers[0].kernel.assign(self.model.layers[0].kernel.numpy() * 0.5)


@pytest.fixture(scope="module")
def long_runs():
    """A long run with all its snapshots, and the same one under a budget of a few kB."""
    found = []
    for budget in (record.BUDGET, 30_000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(record, "SPACING", 1)
            patch.setattr(record, "wanted", lambda _, budget=budget: record.Kept(budget))
            found.append(CASES["noise"].fit([Draws()], epochs=60)[1])
    return found


@pytest.fixture(scope="module")
def every_state(long_runs):
    whole = long_runs[0]
    return [whole._replay.state_before(number) for number in range(whole.steps)]


def test_a_budget_drops_snapshots(long_runs):
    whole, thinned = long_runs
    assert whole.steps == thinned.steps == 180
    # One for each epoch, and more where a chunk of time ended within one.
    assert len(whole._replay.record.snapshots.kept) >= 60
    assert len(thinned._replay.record.snapshots.kept) < 8
    assert thinned.nbytes < 30_000
    np.testing.assert_array_equal(thinned.log["cost"], whole.log["cost"])


@settings(max_examples=12)
@given(numbers=st.lists(st.integers(0, 179) | st.integers(87, 92), min_size=1, max_size=6))
def test_any_step_of_a_thinned_run_in_any_order_is_the_same_bit_for_bit(long_runs, every_state, numbers):
    thinned = long_runs[1]._replay
    for number in numbers:
        ours, theirs = thinned.state_before(number), every_state[number]
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_array_equal(a, b)


def test_who_looks_on_has_the_steps_that_were_started_last_at_hand(every_state):
    found = {}

    class Sees(Draws):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            record = self.model.history._replay.record
            number = record.at_hand()
            assert record.steps - 3 <= number < record.steps
            kept = record.before(number)
            assert kept.step == number
            found[number] = kept.state

    _, history = CASES["noise"].fit([Sees()], epochs=60, view={"open_browser": False})
    with history.view(open_browser=False):
        assert len(found) == 60
        assert len(history._replay.record.snapshots.kept) < 4  # by themselves they are far apart
    for number, ours in found.items():
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(every_state[number]), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_model_that_fits_no_record_trains_and_says_why_it_cannot_be_opened(monkeypatch):
    monkeypatch.setattr(record, "wanted", lambda _: record.Kept(1_000))
    model, history = CASES["noise"].fit()
    same_weights(model, CASES["noise"].fit(record=False)[0])
    with pytest.raises(StateError, match="DIRECTORY"):
        history.open(0)


def test_a_stream_that_outgrows_the_budget_can_be_opened_from_a_later_step_on(monkeypatch):
    monkeypatch.setattr(record, "wanted", lambda _: record.Kept(20_000))
    model, history = CASES["a stream"].fit(epochs=20)
    whole = CASES["a stream"].fit(epochs=20, record=False)[0]
    same_weights(model, whole)
    monkeypatch.undo()
    _, all_of_it = CASES["a stream"].fit(epochs=20)
    first = history._replay.record.first_step()
    assert 0 < first < history.steps - 2
    for number in range(first, history.steps):
        same_arrays(history.open(number).weights_after, all_of_it.open(number).weights_after)
    for number in (0, first - 1):
        with pytest.raises(ArgumentError, match=f"steps {first} to {history.steps - 1}"):
            history.open(number)


def test_edits_that_outgrow_the_budget_leave_the_later_steps_to_be_opened(monkeypatch):
    monkeypatch.setattr(record, "wanted", lambda _: record.Kept(40_000))
    _, history = CASES["edited by callbacks"].fit(epochs=60)
    monkeypatch.undo()
    _, whole = CASES["edited by callbacks"].fit(epochs=60)
    kept = history._replay.record
    assert record.size_of([edit.leaves for edit in kept.edits]) < 12_000
    first = kept.first_step()
    assert 0 < first < history.steps - 3
    for number in range(first, history.steps):
        same_arrays(history.open(number).weights, whole.open(number).weights)
    with pytest.raises(ArgumentError, match=f"steps {first} to"):
        history.open(first - 1)


# Whatever callbacks do.


def sets_weights(model):
    model.weights[0].assign(model.weights[0].numpy() * 0.9)


def sets_the_rate(model):
    model.optimizer.learning_rate = 0.01


def sets_the_count(model):
    model.optimizer.iterations.assign(3)


def draws(model):
    np.random.rand(2)


def seeds(model):
    np.random.seed(7)


def evaluates(model):
    model.evaluate(X, Y, verbose=0)


def opens(model):
    if model.history.steps:
        model.history.open(model.history._replay.record.first_step()).cost_after


ACTIONS = [sets_weights, sets_the_rate, sets_the_count, draws, seeds, evaluates, opens]


class Acts(keras.callbacks.Callback):
    """Does something before each step, and writes down everything that the step will change."""

    def __init__(self, actions):
        super().__init__()
        self.actions, self.seen = itertools.cycle(actions), []

    def on_train_batch_begin(self, batch, logs=None):
        next(self.actions)(self.model)
        model = self.model
        variables = (*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables)
        self.seen.append([variable.numpy() for variable in variables])


@pytest.mark.slow
@settings(max_examples=10)
@given(
    name=st.sampled_from(["noise", "fewer steps than batches", "a stream"]),
    actions=st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=7),
    spacing=st.sampled_from([1, 3, 64]),
    budget=st.sampled_from([record.BUDGET, 90_000]),
    directory=st.booleans(),
    data=st.data(),
)
def test_whatever_callbacks_do_each_step_begins_as_it_began(name, actions, spacing, budget, directory, data):
    acts = Acts(actions)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(record, "SPACING", spacing)
        kept = record.Kept(budget, Path(folder) if directory else None)
        patch.setattr(record, "wanted", lambda _: kept)
        _, history = CASES[name].fit([acts], epochs=12)
        history.save(Path(folder) / "saved.pellucid")
        runs = [history, keras.History.load(Path(folder) / "saved.pellucid")]
        if directory:
            runs.append(keras.History.load(folder))
        for run in runs:
            first = run._replay.record.first_step()
            numbers = st.integers(first, run.steps - 1)
            for number in data.draw(st.lists(numbers, max_size=8)):
                leaves = jax.tree.leaves(run.open(number).state)
                for ours, theirs in zip(leaves, acts.seen[number], strict=True):
                    np.testing.assert_array_equal(ours, theirs)


# What cannot be opened.


def test_a_run_that_was_interrupted_can_be_opened_as_far_as_it_came():
    class Interrupts(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.history.steps == 5:
                raise KeyboardInterrupt

    model = CASES["tanh"].model()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=SIZE, epochs=4, verbose=0, callbacks=[Interrupts()])
    history = model.history
    assert history.steps == 5
    same_arrays(history.open(-1).weights_after, {v.path: v.numpy() for v in model.weights})
    # The epoch would have had three; two of them were trained.
    assert history.open(epoch=1).batches_in_epoch == 3
    with pytest.raises(ArgumentError, match="0 to 1"):
        history.open(epoch=1, batch=2)


@pytest.mark.parametrize("name", ["tanh", "a stream"])
def test_a_run_that_a_callback_stops_within_an_epoch_ends_there(name):
    class Stops(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = self.model.history.steps == 5

    model, history = CASES[name].fit([Stops()])
    assert history.steps == 5
    assert history.log["epoch"].tolist() == [0, 0, 0, 1, 1]
    same_arrays(history.open(-1).weights_after, {v.path: v.numpy() for v in model.weights})
    for number in range(5):
        same_arrays(history.open(number).weights, opened(name, number).weights)


def test_a_batch_that_fails_leaves_the_steps_before_it():
    def failing():
        yield X[:8], Y[:8]
        yield X[8:16], Y[8:16]
        raise OSError("the disk is gone")

    model = CASES["a stream"].model()
    with pytest.raises(OSError, match="gone"):
        model.fit(failing(), verbose=0)
    assert model.history.steps == 2
    same_arrays(model.history.open(1).weights_after, {v.path: v.numpy() for v in model.weights})


def test_uncompiled_runs_can_be_opened():
    case = CASES["logistic regression"]
    model = case.model()
    model.compile("sgd", "binary_crossentropy", run_eagerly=True)
    history = model.fit(X, Y, batch_size=SIZE, epochs=1, verbose=0)
    for number in range(3):
        np.testing.assert_allclose(history.open(number).cost, history.log["cost"][number], rtol=1e-6)


def test_training_in_float64_is_recorded_and_opened(tmp_path):
    keras.config.set_floatx("float64")
    with jax.enable_x64(True):
        model, history = CASES["noise"].fit()
        for number in range(9):
            step = history.open(number)
            assert step.outputs.dtype == step.gradients["dense/kernel"].dtype == "float64"
            np.testing.assert_allclose(np.float32(step.cost), history.log["cost"][number], rtol=2e-7)
        same_arrays(step.weights_after, {each.path: each.numpy() for each in model.trainable_weights})
        assert step.formula("dense/kernel[1,2].gradient").holds
        assert step.check().ok
        history.save(tmp_path / "run.pellucid")
        same_arrays(keras.History.load(tmp_path / "run.pellucid").open(8).weights_after, step.weights_after)


def test_several_steps_per_execution_are_steps_each():
    model = keras.Sequential([keras.Input(shape=(4,)), L.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=2)
    seen = []
    watching = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    history = model.fit(X, Y, batch_size=SIZE, epochs=2, verbose=0, callbacks=[watching])
    assert history.steps == 6
    for number in range(6):
        np.testing.assert_allclose(history.open(number).cost, history.log["cost"][number], rtol=5e-7)


def test_the_numbers_of_epochs_go_on_where_the_training_went_on():
    model = CASES["tanh"].model()
    history = model.fit(X, Y, batch_size=SIZE, initial_epoch=4, epochs=6, verbose=0)
    assert history.log["epoch"].tolist() == [4, 4, 4, 5, 5, 5]
    step = history.open(epoch=5, batch=1)
    assert (step.number, step.epoch, step.batch) == (4, 5, 1)
    with pytest.raises(ArgumentError, match="4 to 5"):
        history.open(epoch=0)
