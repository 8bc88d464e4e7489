"""Recurrent layers and loops over time, opened: every number at every time, and what goes wrong by name."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pellucid as keras
from pellucid import loops
from pellucid.errors import ArgumentError, ShapeError, StateError
from pellucid.layers.layer import CATALOGUE
from pellucid.variables import Handed, Scope, Variable

L = keras.layers
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(20, 4, 3)).astype("float32")
X[3, 2:], X[5, 0], X[7] = 0, 0, 0  # times that Masking passes over
Y = RANDOM.normal(size=(20, 1)).astype("float32")
WORDS = RANDOM.integers(0, 6, (20, 4))
#: What cells hand out once for each time and state: how it comes about lies in the cell's own z, h and c.
OF_CELLS = ("output_0", "output_1", "output_2", "output_3", "h", "c")


class Ours(L.Layer):
    """A cell of one's own: it hands out z and states it, calls a layer, counts, and adds a loss."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = units
        self.of_state = L.Dense(units)

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.state_size), name="kernel")
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")

    def call(self, inputs, states):
        self.count.assign_add(1.0)
        self.add_loss(0.01 * jnp.mean(states[0] ** 2))
        z = self.hand_out("z", inputs @ self.kernel + self.hand_out("state", self.of_state(states[0])))
        return z, [z]

    def formula(self, unit):
        (j,) = unit.index
        inputs = unit.row("input")
        terms = [unit.number("input", i) * unit.weight(self.kernel, i, j) for i in range(len(inputs))]
        return sum(terms, unit.number("state", j))


NETS = {
    "SimpleRNN": lambda: [L.SimpleRNN(3, dropout=0.3, return_sequences=True), L.Flatten()],
    "LSTM": lambda: [L.Masking(), L.LSTM(3, return_sequences=True), L.LSTM(2, recurrent_dropout=0.3)],
    "GRU": lambda: [
        L.Masking(),
        L.GRU(3, go_backwards=True, return_sequences=True, dropout=0.2),
        L.GRU(2, reset_after=False, recurrent_dropout=0.3, zero_output_for_mask=True),
    ],
    "Bidirectional": lambda: [
        L.Bidirectional(L.SimpleRNN(2, return_sequences=True)),
        L.Bidirectional(L.SimpleRNN(2), merge_mode="mul"),
    ],
    "TimeDistributed": lambda: [
        L.TimeDistributed(L.Dense(3, activation="tanh")),
        L.TimeDistributed(L.Dropout(0.3)),
        L.TimeDistributed(L.BatchNormalization()),
        L.Flatten(),
    ],
    "cells": lambda: [L.RNN([L.LSTMCell(2, dropout=0.2), L.GRUCell(2, recurrent_dropout=0.2)])],
    "a cell of one's own": lambda: [L.RNN(Ours(3), unroll=True)],
}
#: Of these the gradients are compared with differences, too: what was drawn must be drawn again.
CHECKED = ("GRU", "TimeDistributed", "a cell of one's own")


def trained(layers, x=X, y=Y):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input(x.shape[1:], dtype=str(x.dtype)), *layers, L.Dense(1)])
    model.compile("adam", "mse")
    return model, model.fit(x, y, epochs=2, batch_size=8, verbose=0)


def references(step):
    """Some references of each kind that a step knows, gradients of weights included."""
    for name in step.names():
        stem, _, kind = name.rpartition(".")
        if name in ("cost", "loss"):
            continue
        if name in step.weights:
            shape, end = step.weights[name].shape, ".gradient"
        else:
            layer = step.layers[stem]
            array = layer.slopes[kind[2:]] if kind.startswith("d_") else layer.arrays[kind]
            if kind in layer.shared or (
                not kind.startswith("d_") and kind not in (*layer.layer.stated, "output")
            ):
                continue
            shape, end = array.shape[1:], ""
        for place in RANDOM.integers(0, max(1, np.prod(shape, dtype=int)), 3):
            index = ",".join(str(each) for each in np.unravel_index(place, shape))
            yield f"{name}[{index}]{end}"


@pytest.mark.parametrize("name", NETS)
def test_every_number_of_an_opened_recurrent_layer_has_its_formula(name):
    _, history = trained(NETS[name]())
    step = history.open(4)
    assert step.exact
    assert name not in CHECKED or step.check()
    silent = []
    for reference in references(step):
        try:
            formula = step.formula(reference)
        except ArgumentError:
            silent.append(reference)
            continue
        assert formula.holds, (reference, formula.value, formula.recorded)
        if "/kernel" in reference or "recurrent" in reference:
            told = formula.symbols
            assert ("gradient[" in told) == (name == "a cell of one's own" and "rnn/ours/k" in reference)
    kinds = {each.split("[")[0].rpartition(".")[2].removeprefix("d_") for each in silent}
    of_cells = "cell" in name
    allowed = {*OF_CELLS, "output", "z"} if of_cells else {"output"}
    assert kinds <= allowed, silent
    assert of_cells or all("/" in each for each in silent), "only of layers within others nothing is stated"
    assert str(step)


def test_a_recurrent_layer_shows_each_time():
    _, history = trained([L.Embedding(6, 4, mask_zero=True), L.LSTM(3)], WORDS)
    step = history.open(3)
    lstm, embedding = step.layers["lstm"], step.layers["embedding"]
    assert lstm.z.shape == lstm.d_z.shape == (8, 4, 12)
    assert lstm.arrays["h"].shape == lstm.slopes["c"].shape == (8, 4, 3)
    np.testing.assert_array_equal(lstm.arrays["mask"], embedding.input != 0)
    assert not lstm.d_z[~lstm.arrays["mask"]].any()
    told = step.formula("lstm.z[2,5]").symbols
    assert "lstm.input[2,0]*lstm/lstm_cell/kernel[0,5]" in told
    word = int(embedding.input[1, 2])
    assert step.formula("embedding.output[2,1]", example=1).symbols == (
        f"embedding.output[2,1] = embedding/embeddings[{word},1]"
    )
    assert step.formula("embedding/embeddings[3,1].gradient").holds
    assert "gradient[" not in step.formula("embedding/embeddings[3,1].gradient").symbols
    assert step.check()


def test_a_loop_by_hand_is_the_loop_of_the_layer():
    _, history = trained([L.TimeDistributed(L.Dense(2)), L.GRU(3)])
    step = history.open(1)
    dense, gru = step.layers["time_distributed/dense"], step.layers["gru"]
    kernel, bias = step.weights["time_distributed/dense/kernel"], step.weights["time_distributed/dense/bias"]
    np.testing.assert_allclose(dense.z, X[step.rows] @ kernel + bias, atol=1e-6)
    inputs, recurrent, (b, c) = (
        step.weights[f"gru/gru_cell/{n}"] for n in ("kernel", "recurrent_kernel", "bias")
    )
    h = np.zeros((8, 3))
    for time in range(4):
        x, r = gru.input[:, time] @ inputs + b, h @ recurrent + c
        update, reset = np.split(1 / (1 + np.exp(-(x + r)[:, :6])), 2, axis=1)
        h = update * h + (1 - update) * np.tanh(x[:, 6:] + reset * r[:, 6:])
        np.testing.assert_allclose(gru.arrays["h"][:, time], h, atol=1e-6)
    np.testing.assert_allclose(gru.output, h, atol=1e-6)
    by_z = np.einsum("rti,rtj->ij", X[step.rows], dense.d_z)
    np.testing.assert_allclose(by_z, step.gradients["time_distributed/dense/kernel"], atol=1e-6)


def test_an_encoder_gives_its_states_to_a_decoder_and_the_gradient_comes_back():
    first, second = keras.Input((4, 3)), keras.Input((4, 3))
    _, h, c = L.LSTM(3, return_state=True, name="encoder")(first)
    decoded = L.LSTM(3, return_sequences=True, name="decoder")(second, initial_state=[h, c])
    model = keras.Model([first, second], L.TimeDistributed(L.Dense(1))(decoded))
    model.compile("adam", "mse")
    step = model.fit([X, X], X[:, :, :1], epochs=2, batch_size=8, verbose=0).open(3)
    assert step.check()
    for reference in ("encoder.d_c[1,2]", "encoder.d_h[3,0]", "decoder.d_h[0,1]", "decoder.z[0,4]"):
        assert step.formula(reference).holds


# Loops.


def opened_loop(run, nudges=None, given=None, variables=()):
    with Scope(variables, [jnp.asarray(each.value) for each in variables])() as scope:
        scope.handed = Handed(nudges, given)
        with scope.handed.calling(None):  # the whole model
            return run(), scope


def test_what_a_loop_hands_out_comes_back_with_its_times_and_nudges_reach_each_of_them():
    dense = L.Dense(2, name="dense")
    dense.build_for((None, 3))
    xs = jnp.asarray(np.swapaxes(X[:5], 0, 1))

    def loop(backwards=False):
        return loops.scan(lambda h, x: ((h + dense(x)),) * 2, jnp.zeros((5, 2)), xs, reverse=backwards)

    for run in (loop, lambda: loop(backwards=True), lambda: loops.each(dense, xs)):

        def call(run=run):
            return dense(xs[0]), run()

        _, scope = opened_loop(call)
        handed = scope.handed
        assert [name for name, _, _ in handed.calls] == ["dense", "dense@2"]
        assert handed.looped == {"dense@2": 1}
        assert handed.values["dense@2.output"].shape == (5, 4, 2)
        np.testing.assert_array_equal(handed.values["dense@2.input"], X[:5])

    def total(nudge):
        (_, ys), _ = opened_loop(loop, {"dense.output": nudge})
        return jnp.sum(ys)

    slopes = jax.grad(total)(jnp.zeros((5, 4, 2)))
    # What comes in at time t is in the outputs of all times from t on.
    np.testing.assert_array_equal(slopes[0, :, 0], [4, 3, 2, 1])


def test_a_loop_carries_the_variables_that_it_assigns_and_adds_up_losses():
    steps = Variable(0.0, trainable=False, name="steps")

    class Counting(L.Layer):
        def call(self, inputs):
            steps.assign_add(1.0)
            self.add_loss(jnp.mean(inputs))
            return inputs

    layer, xs = Counting(), jnp.ones((6, 2, 1))
    loops.scan(lambda _, x: (_, layer(x)), (), xs, [steps])
    assert float(steps) == 6
    with Scope([steps], [jnp.zeros(())])() as scope:
        loops.scan(lambda _, x: (_, layer(x)), (), xs, [steps])
        assert float(steps) == 6
        assert float(sum(scope.losses)) == 6
        with pytest.raises(StateError, match="assigned in a loop that does not carry it"):
            loops.each(layer, xs)
    assert float(steps) == 6


def test_loops_within_loops_hand_out_with_all_their_times():
    inner = L.TimeDistributed(L.TimeDistributed(L.Dense(2)))
    x = jnp.ones((5, 4, 3, 2))
    inner(x)
    _, scope = opened_loop(lambda: inner(x))
    (deepest,) = [name for name, times in scope.handed.looped.items() if times == 2]
    assert scope.handed.values[f"{deepest}.output"].shape == (5, 4, 3, 2)


# What layers are made of.


def test_states_are_kept_from_call_to_call_and_from_step_to_step_until_they_are_reset():
    layer = L.LSTM(3, stateful=True, batch_input_shape=(5, 4, 3))
    model = keras.Sequential([layer, L.Dense(1)])
    model.compile("sgd", "mse")
    first = np.asarray(model(X[:5]))
    assert not np.allclose(first, model(X[:5]))
    layer.reset_states()
    np.testing.assert_array_equal(first, model(X[:5]))
    assert [each.shape for each in layer.states] == [(5, 3), (5, 3)]
    assert len(layer.weights) == 3
    layer.reset_state()
    history = model.fit(X, Y, batch_size=5, epochs=2, shuffle=False, verbose=0)
    step = history.open(5)
    assert step.check()
    np.testing.assert_array_equal(
        step.layers["lstm"].arrays["h_before"][:, 0], history.open(4).layers["lstm"].output
    )
    with pytest.raises(ShapeError, match="keeps a state for each row"):
        model.predict(X[:4], verbose=0)
    with pytest.raises(ShapeError, match="fixed number of rows"):
        keras.Sequential([keras.Input((4, 3)), L.LSTM(3, stateful=True)])


@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.LSTM(3, dropout=0.1, kernel_regularizer="l2", return_sequences=True, name="a"),
        lambda: L.GRU(3, reset_after=False, recurrent_constraint="max_norm"),
        lambda: L.SimpleRNN(3, activation="relu", seed=4, zero_output_for_mask=True),
        lambda: L.RNN([L.LSTMCell(3), L.GRUCell(2, activation="relu")], return_state=True),
        lambda: L.Bidirectional(L.LSTM(3), merge_mode="sum", backward_layer=L.GRU(3, go_backwards=True)),
        lambda: L.TimeDistributed(L.Dense(2, activation="tanh")),
        lambda: L.Embedding(6, 3, embeddings_initializer="zeros", mask_zero=True),
        lambda: L.Masking(mask_value=2.0),
    ],
)
def test_a_layer_is_made_again_from_its_configuration(layer):
    one = layer()
    other = CATALOGUE.make({"class_name": type(one).__name__, "config": one.get_config()})
    x = WORDS if isinstance(one, L.Embedding) else X
    one(x), other(x)
    other.set_weights(one.get_weights())
    for ours, theirs in zip(jax.tree.leaves(one(x)), jax.tree.leaves(other(x)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert one.get_config() == other.get_config()


def test_the_layers_within_have_names_and_paths_of_their_own():
    both = L.Bidirectional(L.LSTM(2), name="both")
    both(X)
    assert [each.path for each in both.weights] == [
        f"both/{way}_lstm/lstm_cell/{name}"
        for way, name in itertools.product(("forward", "backward"), ("kernel", "recurrent_kernel", "bias"))
    ]
    assert len({each.path for each in both.variables}) == 8


def test_what_does_not_fit_is_said_by_name():
    with pytest.raises(ShapeError, match="expects sequences"):
        L.LSTM(3)(X[:, 0])
    with pytest.raises(ShapeError, match="expects sequences"):
        L.TimeDistributed(L.Dense(2))(X[:, 0])
    with pytest.raises(ArgumentError, match="has no state_size"):
        L.RNN(L.Dense(3))
    with pytest.raises(ArgumentError, match="Invalid merge mode"):
        L.Bidirectional(L.LSTM(3), merge_mode="both")
    with pytest.raises(ArgumentError, match="one of the two layers goes forward"):
        L.Bidirectional(L.LSTM(3), backward_layer=L.LSTM(3))
    with pytest.raises(ArgumentError, match="the same `return_sequences`"):
        L.Bidirectional(L.LSTM(3), backward_layer=L.LSTM(3, go_backwards=True, return_sequences=True))
    with pytest.raises(ArgumentError, match="goes around a layer"):
        L.TimeDistributed("dense")
    with pytest.raises(ArgumentError, match="positive integer"):
        L.Embedding(0, 3)
    with pytest.raises(ArgumentError, match="use_cudnn"):
        L.LSTM(3, use_cudnn="perhaps")
    with pytest.raises(ShapeError, match="mask does not fit"):
        L.TimeDistributed(L.Dense(2))(X, mask=jnp.ones((20, 3), bool))
    layer = L.GRU(3)
    layer(X)
    with pytest.raises(ShapeError, match="expects rows of 3 numbers"):
        layer(X[:, :, :2])
    with pytest.raises(StateError, match="keeps no states"):
        L.Bidirectional(L.GRU(3)).reset_states()
