"""Opened steps of many kinds of trainings: their gradients, formulas, stories, checks, and what-ifs."""

import contextlib
import functools
import html.parser
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as keras
from pellucid.errors import ArgumentError, ShapeError, StateError
from pellucid.formula import Number
from pellucid.naming import forget_names
from pellucid.opened import Explanation, Step
from pellucid.views import html as html_view

L, O = keras.layers, keras.optimizers

# Trainings of many kinds, few rows and few shapes.

RANDOM = np.random.default_rng(0)
ROWS, SIZE = 22, 8
X = RANDOM.normal(size=(ROWS, 4)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("float32")
CLASSES = RANDOM.integers(0, 3, ROWS)
TWO = np.stack([X[:, 0] * X[:, 1], np.sin(X[:, 2])], axis=1).astype("float32")
SEQUENCES = RANDOM.normal(size=(ROWS, 3, 2)).astype("float32")
WEIGHTS = RANDOM.uniform(0.0, 2.0, ROWS).astype("float32")
WEIGHTS[3] = 0.0


class Penalized(L.Layer):
    """A layer of one's own, with a weight, a penalty, and no word about its arithmetic."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), name="w")

    def call(self, inputs):
        outputs = jnp.sin(inputs @ self.w)
        self.add_loss(0.01 * jnp.sum(outputs**2))
        return outputs


class Net(keras.Model):
    """A model by inheritance, with layers in a list, one of them used twice."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = [L.Dense(4, "silu", name="first"), L.Dense(4, "tanh", name="twice")]
        self.out = L.Dense(1, name="out")

    def call(self, inputs):
        first, twice = self.hidden
        return self.out(twice(twice(first(inputs))))


class Halved(keras.callbacks.Callback):
    """Sets weights at the start of each epoch, and the learning rate before each batch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch:
            kernel = self.model.layers[0].kernel
            kernel.assign(kernel.numpy() / 2)

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = 0.05 / (batch + 1)


def batches(sizes=(3, 8, 5), weighted=True):
    """Batches without end; their sizes change."""
    while True:
        start = 0
        for size in sizes:
            part = slice(start, start + size)
            yield (X[part], Y[part], WEIGHTS[part]) if weighted else (X[part], Y[part])
            start += size


@dataclass
class Case:
    """A training: the layers of a Sequential or a model, what it is compiled with, and how it is fitted."""

    layers: Callable[[], Any]
    loss: Any
    optimizer: Callable[[], Any]
    x: Any = field(default_factory=lambda: X)
    y: Any = None
    compiling: dict[str, Any] = field(default_factory=dict)
    fitting: Callable[[], dict[str, Any]] = dict

    def model(self):
        """The model, compiled, from the seed on."""
        forget_names()
        keras.utils.set_random_seed(5)
        made = self.layers()
        if isinstance(made, list):
            shape = SEQUENCES.shape[1:] if self.x is SEQUENCES else X.shape[1:]
            made = keras.Sequential([keras.Input(shape=shape), *made])
        made.compile(self.optimizer(), self.loss, **self.compiling)
        return made

    def fit(self, callbacks=(), **fitting):
        """The model and what `fit` returned."""
        model = self.model()
        given = self.x() if callable(self.x) else self.x
        arguments = {"batch_size": SIZE, "epochs": 3, "verbose": 0, **self.fitting(), **fitting}
        if callable(self.x):
            del arguments["batch_size"]
        listed = [*arguments.pop("callbacks", ()), *callbacks]
        history = model.fit(given, self.y, callbacks=listed, **arguments)
        return model, history

    @property
    def whole(self):
        """Whether each epoch goes once through the rows."""
        return not callable(self.x) and "steps_per_epoch" not in self.fitting()

    @property
    def edited(self):
        """Whether a callback changes weights."""
        return any(not isinstance(c, Rate) for c in self.fitting().get("callbacks", ()))


Rate = keras.callbacks.LearningRateScheduler
CASES = {
    "logistic regression": Case(
        lambda: [L.Dense(1, "sigmoid")],
        "binary_crossentropy",
        lambda: "sgd",
        y=Y,
        compiling={"metrics": ["accuracy"]},
        fitting=lambda: {"class_weight": {0: 1.0, 1: 3.0}},
    ),
    "tanh": Case(
        lambda: [L.Dense(3, "tanh"), L.Dense(1)],
        "mse",
        lambda: O.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=0.3),
        y=Y,
        fitting=lambda: {
            "validation_split": 0.2,
            "callbacks": [Rate(lambda epoch: 0.1 / (epoch + 1))],
        },
    ),
    "softmax": Case(
        lambda: [L.Dense(5, "relu"), L.LayerNormalization(), L.Dense(3, "softmax")],
        "sparse_categorical_crossentropy",
        lambda: O.Adam(0.02, amsgrad=True, weight_decay=0.1),
        y=CLASSES,
        compiling={"metrics": ["accuracy"], "weighted_metrics": ["accuracy"]},
        fitting=lambda: {"sample_weight": WEIGHTS, "shuffle": "batch"},
    ),
    "noise": Case(
        lambda: [L.Dense(4, "gelu"), L.GaussianNoise(0.3), L.Dropout(0.4), L.Dense(1)],
        "huber",
        lambda: O.RMSprop(0.02, momentum=0.5, centered=True, clipvalue=0.05),
        y=Y,
        fitting=lambda: {"shuffle": False},
    ),
    "batch normalization": Case(
        lambda: [L.Dense(9), L.BatchNormalization(), L.Activation("elu"), L.Dense(1)],
        "log_cosh",
        lambda: O.Nadam(0.02),
        y=Y,
        fitting=lambda: {"validation_data": (X, Y)},
    ),
    "penalties": Case(
        lambda: [
            L.Dense(
                4,
                "softplus",
                kernel_regularizer=keras.regularizers.L1L2(0.01, 0.02),
                bias_regularizer="l2",
                activity_regularizer="l2",
                kernel_constraint="max_norm",
            ),
            L.Dense(2, kernel_regularizer="l1", kernel_constraint="non_neg"),
        ],
        "mae",
        lambda: O.Adagrad(0.1, global_clipnorm=0.2),
        y=TWO,
    ),
    "sequences": Case(
        lambda: [L.Dense(4, "elu"), L.Dropout(0.3, noise_shape=(None, 1, 4)), L.Dense(2)],
        "mse",
        lambda: O.AdamW(0.02, weight_decay=0.1),
        x=SEQUENCES,
        y=SEQUENCES[:, :, ::-1] * 0.5,
        fitting=lambda: {"sample_weight": WEIGHTS},
    ),
    "classes of sequences": Case(
        lambda: [L.Dense(4, "softmax")],
        keras.losses.SparseCategoricalCrossentropy(reduction="sum"),
        lambda: O.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
        x=SEQUENCES,
        y=RANDOM.integers(0, 4, (ROWS, 3)),
    ),
    "a layer of one's own": Case(
        lambda: [L.Dense(3, "selu"), Penalized(2), L.Dense(1)],
        "mse",
        lambda: "adam",
        y=Y,
    ),
    "a model of one's own": Case(Net, "mse", lambda: O.Adam(0.02, clipvalue=0.1), y=Y),
    "several ways through a reshape": Case(
        lambda: [L.Reshape((2, 2)), L.Dense(2, "relu"), L.Flatten(), L.Dense(3), L.Softmax()],
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        lambda: "rmsprop",
        y=np.eye(3, dtype="float32")[CLASSES],
        compiling={"loss_weights": 0.5},
    ),
    "optax": Case(lambda: [L.Dense(3, "sigmoid"), L.Dense(1)], "mse", lambda: optax.adam(0.02), y=Y),
    "a stream": Case(
        lambda: [L.Dense(3, "tanh"), L.Dense(1)],
        "mse",
        lambda: "adam",
        x=batches,
        fitting=lambda: {"steps_per_epoch": 3},
    ),
    "fewer steps than batches": Case(
        lambda: [L.Dense(3, "tanh"), L.BatchNormalization(), L.Dense(1)],
        "mse",
        lambda: "adam",
        y=Y,
        fitting=lambda: {"steps_per_epoch": 2, "batch_size": 6, "epochs": 4},
    ),
    "edited by callbacks": Case(
        lambda: [L.Dense(3, "tanh"), L.Dense(1)],
        "mse",
        lambda: "sgd",
        y=Y,
        fitting=lambda: {"callbacks": [Halved()]},
    ),
    "stopped early": Case(
        lambda: [L.Dense(3, "tanh"), L.Dense(1)],
        "mse",
        lambda: O.SGD(1.0),
        y=Y,
        fitting=lambda: {
            "epochs": 9,
            "validation_split": 0.2,
            "callbacks": [keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True)],
        },
    ),
}
every_case = pytest.mark.parametrize("name", CASES)
#: One of each kind of layer, loss and optimizer, without those that differ in how they were fitted alone.
KINDS = [name for name in CASES if name not in ("a stream", "edited by callbacks", "stopped early")]


@functools.cache
def trained(name):
    """The model of a case and its history: several tests look at the same one, and change nothing."""
    return CASES[name].fit()


@functools.cache
def opened(name, number):
    """A step of a case."""
    return trained(name)[1].open(number)


def close(one, other, rtol=1e-4):
    """Equal to a part of the largest number."""
    scale = max(float(np.abs(other).max(initial=0.0)), 1e-6)
    np.testing.assert_allclose(one, other, rtol=0, atol=rtol * scale)


# Whose gradient it is.


@every_case
def test_shares_times_gradients_by_example_and_the_penalties_are_the_gradient(name):
    step = opened(name, -1)
    shares = step.shares_by_example()
    path = next(iter(step.weights))
    by_example = step.gradients_by_example(path)
    assert by_example.shape == (step.rows_count, *step.weights[path].shape)
    together = np.tensordot(shares, by_example, axes=1) + step.penalty_gradient(path)
    close(together, step.gradients[path])


@every_case
def test_the_pushes_of_the_rows_and_of_penalties_sum_to_the_gradient(name):
    step = opened(name, -1)
    path = list(step.weights)[-2]
    index = tuple(size - 1 for size in step.weights[path].shape)
    entry = f"{path}[{','.join(map(str, index))}]"
    pushes = step.pushes(entry)
    assert pushes.gradient == pytest.approx(step.gradients[path][index])
    summed = sum(push.push for push in pushes) + pushes.penalty
    scale = max(abs(push.push) for push in pushes)
    assert summed == pytest.approx(pushes.gradient, rel=1e-4, abs=1e-4 * scale)
    assert [abs(push.push) for push in pushes] == sorted((abs(push.push) for push in pushes), reverse=True)
    by_example = step.gradients_by_example(entry)
    assert by_example.shape == (step.rows_count,)
    for push in pushes:
        assert push.row == (None if step.rows is None else step.rows[push.example])
        assert push.gradient == pytest.approx(by_example[push.example])
        assert push.push == pytest.approx(push.gradient * push.share, rel=1e-6)
    assert "sum of these" in str(pushes)


def test_entries_are_those_of_the_whole_array_of_gradients_by_example():
    step = opened("penalties", 4)
    whole = step.gradients_by_example("dense/kernel")
    for index in ((0, 0), (3, 2)):
        close(step.gradients_by_example(f"dense/kernel[{index[0]},{index[1]}]"), whole[:, *index])


def test_a_row_without_weight_has_a_gradient_and_pushes_nothing():
    for number in range(3):
        step = opened("softmax", number)
        if 3 in step.rows:
            break
    (push,) = (push for push in step.pushes("dense/kernel[0,0]") if push.row == 3)
    assert push.push == push.share == 0
    assert np.abs(step.gradients_by_example("dense_1/bias")[push.example]).max() > 0


def test_without_weights_each_example_has_the_same_share():
    step = opened("tanh", 1)
    np.testing.assert_allclose(step.shares, 1 / step.rows_count, rtol=1e-6)
    step = opened("classes of sequences", 1)
    np.testing.assert_allclose(step.shares, 1.0)
    step = opened("several ways through a reshape", 1)
    np.testing.assert_allclose(step.shares, 0.5 / step.rows_count, rtol=1e-6)


# Gradients by z and by outputs.

G = {
    "linear": lambda z: z,
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
}
LOSSES = {
    "mse": lambda y, p: np.mean((y - p) ** 2, axis=-1),
    "mae": lambda y, p: np.mean(np.abs(y - p), axis=-1),
    "binary_crossentropy": lambda y, p: np.mean(-y * np.log(p) - (1 - y) * np.log(1 - p), axis=-1),
}


def cost_from(name, step, place, kind, values):
    """The cost of a network of dense layers in float64, from z or the output of one of them on."""
    case = CASES[name]
    penalty = 0.0
    for number, layer in enumerate(step.layers):
        if number > place:
            kernel, bias = (np.float64(step.weights[f"{layer.name}/{each}"]) for each in ("kernel", "bias"))
            values, kind = values @ kernel + bias, "z"
        if number >= place and kind == "z":
            values = G[layer.layer.activation.__name__](values)
        output = values if number >= place else np.float64(layer.output)
        if layer.layer.activity_regularizer is not None:
            penalty += 0.01 * np.sum(output**2) / len(output)
        for each in (layer.layer.kernel, layer.layer.bias):
            if each.regularizer is not None:
                penalty += float(each.regularizer(step.weights[each.path]))
    y = np.float64(step.y).reshape(len(values), -1)
    weight = 1.0 if step.sample_weight is None else step.sample_weight
    return np.mean(LOSSES[case.loss](y, values) * weight) + penalty


@settings(max_examples=60)
@given(
    name=st.sampled_from(["logistic regression", "tanh", "penalties", "edited by callbacks", "a stream"]),
    number=st.sampled_from([0, 2, -1]),
    kind=st.sampled_from(["z", "output"]),
    data=st.data(),
)
def test_gradients_by_z_and_by_outputs_are_central_differences(name, number, kind, data):
    step = opened(name, number)
    place = data.draw(st.integers(0, len(step.layers) - 1))
    layer = step.layers[place]
    values = np.float64(layer.arrays[kind])
    index = tuple(data.draw(st.integers(0, size - 1)) for size in values.shape)
    assert cost_from(name, step, place, kind, values) == pytest.approx(step.cost, rel=1e-5)
    up, down = values.copy(), values.copy()
    up[index] += 1e-6
    down[index] -= 1e-6
    found = (cost_from(name, step, place, kind, up) - cost_from(name, step, place, kind, down)) / 2e-6
    slopes = {"z": layer.d_z, "output": layer.d_output}[kind]
    assert slopes.shape == layer.arrays[kind].shape
    assert found == pytest.approx(float(slopes[index]), rel=1e-3, abs=1e-4 * float(np.abs(slopes).max()))


def test_layers_are_found_by_name_and_by_number_and_hold_what_they_computed():
    step = opened("tanh", 4)
    dense, last = step.layers
    assert step.layers["dense"] is step.layers[0] is dense
    np.testing.assert_array_equal(dense.input, step.x)
    np.testing.assert_array_equal(last.input, dense.output)
    np.testing.assert_allclose(dense.output, np.tanh(dense.z), rtol=1e-5)
    np.testing.assert_allclose(
        dense.z, step.x @ step.weights["dense/kernel"] + step.weights["dense/bias"], rtol=1e-4, atol=1e-6
    )
    np.testing.assert_array_equal(last.output, step.outputs)
    assert last.z.shape == (step.rows_count, 1)
    assert "tanh" not in repr(dense)
    assert "Dense, input (8, 4)" in repr(dense)


def test_a_layer_that_is_called_twice_is_there_twice():
    step = opened("a model of one's own", 1)
    names = [layer.name for layer in step.layers]
    assert names == ["first", "twice", "twice@2", "out"]
    np.testing.assert_array_equal(step.layers["twice@2"].input, step.layers["twice"].output)


@every_case
def test_rows_that_fill_up_a_batch_are_not_shown(name):
    step = opened(name, -1)
    count = step.rows_count
    assert len(step.losses) == len(step.shares) == len(step.outputs) == count
    assert step.rows is None or len(step.rows) == count
    for layer in step.layers:
        for what in ("z", "output", "d_z", "d_output"):
            values = getattr(layer, what)
            assert values is None or len(values) == count


# Checks.


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_every_gradient_agrees_with_central_differences_in_float64(name):
    step = opened(name, 2)
    found = step.check()
    assert found.ok, str(found)
    assert found
    assert sorted(each.path for each in found.arrays) == sorted(step.weights)
    assert all(each.compared + each.kinks == each.weights for each in found.arrays)
    assert "All agree" in str(found)
    assert found.largest in found.arrays


@jax.custom_vjp
def crooked(z):
    return jnp.tanh(z)


crooked.defvjp(lambda z: (jnp.tanh(z), z), lambda z, slope: (slope * (1.01 - jnp.tanh(z) ** 2),))


def test_a_gradient_that_is_wrong_is_found_out():
    model = keras.Sequential([keras.Input(shape=(4,)), L.Dense(3, crooked), L.Dense(1)])
    model.compile("sgd", "mse")
    step = model.fit(X, Y, verbose=0).open(0)
    found = step.check()
    assert not found.ok
    assert not found
    assert "NOT all agree" in str(found)
    assert found.largest.path == "dense/kernel"
    assert [each.agrees for each in found.arrays] == [False, False, True, True]


def test_gradients_that_cancel_out_agree_to_rounding():
    model = keras.Sequential(
        [keras.Input(shape=(4,)), L.LayerNormalization(), L.BatchNormalization(), L.Dense(1)]
    )
    model.compile("sgd", "mse")
    step = model.fit(X, Y, batch_size=SIZE, verbose=0).open(0)
    assert np.abs(step.gradients["layer_normalization/beta"]).max() < 1e-6
    assert step.check().ok, str(step.check())
    assert step.check(entries=9).ok


def test_of_many_weights_some_are_compared_and_the_rest_along_a_direction():
    step = opened("tanh", 2)
    found, other = step.check(entries=8), step.check(entries=8, seed=3)
    assert found.ok
    assert [each.compared for each in found.arrays] == [2, 2, 2, 1]
    along = [each.along is None or each.along < 1e-3 for each in found.arrays]
    assert along == [True] * 4
    assert [each.where for each in other.arrays] != [each.where for each in found.arrays]


# Formulas.

UNSTATED = {"penalized.output"}


def shape_of(step, name):
    """The shape of what a name without indices stands for, within an example."""
    if name == "cost":
        return ()
    if name == "loss":
        return step.losses.shape
    if name in step.weights:
        return step.weights[name].shape
    stem, _, kind = name.rpartition(".")
    layer = step.layers[stem]
    array = layer.slopes[kind.removeprefix("d_")] if kind.startswith("d_") else layer.arrays[kind]
    return array.shape[1:] if len(array) == step.rows_count else array.shape


def reference(name, index):
    return f"{name}[{','.join(map(str, index))}]" if index else name


def require_holding(formula):
    """The formula holds, and its Python code comes to the same."""
    assert formula.holds, f"{formula}\n{formula.python}"
    assert abs(formula.value - formula.recorded) <= 1e-3 * max(abs(formula.recorded), 1e-3)
    names = {}
    exec(formula.python, names)
    assert math.isclose(names["value"], formula.value, rel_tol=1e-9, abs_tol=1e-11)
    for form in (str(formula), formula.symbols, formula.latex, formula.mathml):
        assert form


@every_case
@settings(max_examples=25)
@given(data=st.data())
def test_every_formula_of_a_step_holds(name, data):
    step = opened(name, data.draw(st.sampled_from([0, 4, -1])))
    what = data.draw(st.sampled_from(step.names()))
    index = tuple(data.draw(st.integers(0, size - 1)) for size in shape_of(step, what))
    example = data.draw(st.integers(0, step.rows_count - 1))
    asked = reference(what, index)
    if what in step.weights:
        asked += data.draw(st.sampled_from(["", ".gradient", ".update"]))
    if what in UNSTATED or what.endswith((".d_output", ".d_z")):
        with contextlib.suppress(ArgumentError):
            require_holding(step.formula(asked, example=example))
    else:
        require_holding(step.formula(asked, example=example))


def test_formulas_stand_for_the_numbers_that_they_name():
    step = opened("tanh", 4)
    expected = {
        "cost": step.cost,
        "loss[5]": step.losses[5],
        "dense/kernel[2,1].gradient": step.gradients["dense/kernel"][2, 1],
        "dense/kernel[2,1]": step.weights_after["dense/kernel"][2, 1],
        "dense/bias[0].update": step.updates["dense/bias"][0],
        "dense.z[2]": step.layers["dense"].z[3, 2],
        "dense.output[2]": step.layers["dense"].output[3, 2],
        "dense.input[1]": step.x[3, 1],
    }
    for asked, value in expected.items():
        formula = step.formula(asked, example=3)
        assert formula.recorded == pytest.approx(float(value), rel=1e-6), asked
        require_holding(formula)


class Crooked(L.Dense):
    """States its arithmetic a thousandth off."""

    def formula(self, unit):
        return super().formula(unit) * Number(1.001)


class CrookedLoss(keras.losses.MeanSquaredError):
    def formula(self, y, p, batch=None):
        return super().formula(y, p, batch) * Number(1.001)


class CrookedSGD(O.SGD):
    def rule(self, moved):
        return super().rule(moved) * Number(1.01)


class CrookedPenalty(keras.regularizers.L2):
    def formula(self, weights, name):
        return super().formula(weights, name) * Number(1.001)


def test_a_statement_that_is_wrong_does_not_hold_and_says_so():
    model = keras.Sequential([keras.Input(shape=(4,)), Crooked(3, "tanh", name="a"), L.Dense(1)])
    model.compile(CrookedSGD(0.1), CrookedLoss())
    step = model.fit(X, Y, verbose=0).open(0)
    for asked in ("a.z[1]", "a.output[1]", "loss[2]", "dense/kernel[1,0].update"):
        formula = step.formula(asked)
        assert not formula.holds, asked
        assert "more than rounding" in str(formula)
    assert step.formula("a/kernel[0,0].gradient").holds
    assert "more than rounding" in str(step)


def test_a_statement_of_a_penalty_that_is_wrong_does_not_hold():
    model = keras.Sequential([keras.Input(shape=(4,)), L.Dense(1, kernel_regularizer=CrookedPenalty(10.0))])
    model.compile("sgd", "mse")
    assert not model.fit(X, Y, verbose=0).open(0).formula("cost").holds


class Twice(L.Dense):
    """Overrides what is computed, and not what is stated."""

    def call(self, inputs):
        return 2 * super().call(inputs)


def test_a_statement_about_code_that_was_overridden_is_not_told():
    model = keras.Sequential([keras.Input(shape=(4,)), Twice(1, name="twice")])
    model.compile("sgd", "mse")
    step = model.fit(X, Y, verbose=0).open(0)
    with pytest.raises(ArgumentError, match="states no arithmetic"):
        step.formula("twice.output[0]")
    assert step.formula("twice/kernel[0,0].gradient").holds


def by_hand(y, p):
    return jnp.mean((y - p) ** 2, axis=-1)


class HalfSGD(O.SGD):
    """Overrides all of the update, and not what is stated of it."""

    def apply(self, grads, trainable_variables=None):
        super().apply([grad / 2 for grad in grads], trainable_variables)


class HalfSGDToo(HalfSGD):
    """Inherits what was overridden."""


def test_a_loss_of_ones_own_states_no_arithmetic_and_is_called_by_its_name():
    model = keras.Sequential([keras.Input(shape=(4,)), L.Dense(1)])
    model.compile("sgd", by_hand)
    with pytest.raises(ArgumentError, match="the loss by_hand states no arithmetic"):
        model.fit(X, Y, verbose=0).open(0).formula("loss[2]")


@pytest.mark.parametrize("kind", [HalfSGD, HalfSGDToo])
def test_an_update_that_was_overridden_is_told_as_what_it_did(kind):
    model = keras.Sequential([keras.Input(shape=(4,)), L.Dense(1, name="dense")])
    model.compile(kind(0.1), "mse")
    step = model.fit(X, Y, verbose=0).open(0)
    told = step.formula("dense/kernel[1,0]")
    assert told.holds
    assert "0.1*" not in str(told)


def test_columns_of_a_frame_name_the_inputs():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    model = CASES["tanh"].model()
    step = model.fit(frame, Y, verbose=0).open(0)
    assert step.columns == ("a", "b", "c", "d")
    assert step.formula("dense.z[0]").symbols.startswith("dense.z[0] = a*")
    assert "a = " in str(step)
    changed = step.what_if(x={(0, "b"): 2.0})
    assert changed.after.x[0, 1] == 2.0
    with pytest.raises(ArgumentError, match="known are"):
        step.what_if(x={(0, "e"): 2.0})


# Networks of any layers.

ACTIVATIONS = [
    "relu",
    "tanh",
    "sigmoid",
    "gelu",
    "elu",
    "selu",
    "softplus",
    "silu",
    "softsign",
]


def described(kind, **options):
    """A class and its arguments: layers draw seeds as they are made, and so are made later."""
    return st.tuples(st.just(kind), st.fixed_dictionaries(options))


layers_of_any_kind = st.one_of(
    described(
        L.Dense,
        units=st.integers(1, 4),
        activation=st.sampled_from(ACTIVATIONS),
        kernel_regularizer=st.sampled_from([None, "l1", "l2", "l1_l2"]),
        bias_regularizer=st.sampled_from([None, "l2"]),
        kernel_constraint=st.sampled_from([None, "non_neg", "max_norm", "unit_norm"]),
        activity_regularizer=st.sampled_from([None, None, "l2"]),
    ),
    described(L.Dropout, rate=st.sampled_from([0.2, 0.5])),
    described(L.GaussianNoise, stddev=st.sampled_from([0.1, 0.5])),
    described(L.LayerNormalization),
    described(L.BatchNormalization),
    described(L.Activation, activation=st.sampled_from(ACTIVATIONS)),
    described(L.LeakyReLU),
)
ends = st.sampled_from(
    [
        ("mse", None, Y),
        ("huber", None, TWO),
        ("mae", "tanh", TWO),
        ("binary_crossentropy", "sigmoid", Y),
        ("sparse_categorical_crossentropy", "softmax", CLASSES),
        ("poisson", "softplus", np.abs(TWO)),
        ("hinge", None, Y),
    ]
)
limits = st.sampled_from([None, 0.1])
optimizers_of_any_kind = st.one_of(
    described(
        O.SGD, learning_rate=st.just(0.05), momentum=st.sampled_from([0.0, 0.9]), nesterov=st.booleans()
    ),
    described(O.RMSprop, momentum=st.sampled_from([0.0, 0.5]), centered=st.booleans(), clipnorm=limits),
    described(O.Adagrad, learning_rate=st.just(0.1), global_clipnorm=limits),
    described(O.Adam, learning_rate=st.just(0.01), amsgrad=st.booleans(), clipvalue=limits),
    described(O.AdamW, learning_rate=st.just(0.01), clipnorm=limits),
    described(O.Nadam, learning_rate=st.just(0.01), weight_decay=limits),
)


@pytest.mark.slow
@settings(max_examples=8)
@given(
    inner=st.lists(layers_of_any_kind, min_size=1, max_size=3),
    end=ends,
    optimizer=optimizers_of_any_kind,
    weight=st.sampled_from([None, WEIGHTS]),
    data=st.data(),
)
def test_steps_of_networks_of_any_layers_are_those_of_the_training_and_told_rightly(
    inner, end, optimizer, weight, data
):
    loss, activation, y = end
    units = 3 if activation == "softmax" else y[:1].size
    made = [
        kind(**options) for kind, options in [*inner, (L.Dense, {"units": units, "activation": activation})]
    ]
    model = keras.Sequential([keras.Input(shape=(4,)), *made])
    kind, options = optimizer
    model.compile(kind(**options), loss)
    history = model.fit(X, y, sample_weight=weight, batch_size=SIZE, epochs=2, verbose=0)
    steps = [history.open(number) for number in range(6)]
    for one, other in itertools.pairwise(steps):
        for path, array in one.weights_after.items():
            np.testing.assert_array_equal(array, other.weights[path])
    np.testing.assert_allclose([step.cost for step in steps], history.log["cost"], rtol=1e-6)
    step = steps[data.draw(st.sampled_from([0, 2, 5]))]
    example = data.draw(st.integers(0, step.rows_count - 1))
    for what in data.draw(st.lists(st.sampled_from(step.names()), max_size=6, unique=True)):
        index = tuple(data.draw(st.integers(0, size - 1)) for size in shape_of(step, what))
        for kind in ("", ".gradient", ".update") if what in step.weights else ("",):
            with contextlib.suppress(ArgumentError) if ".d_" in what else contextlib.nullcontext():
                require_holding(step.formula(reference(what, index) + kind, example=example))
    assert step.story(example=example, detail="full")
    require_whole(step._repr_html_())
    found = step.check()
    # Weights that all lie at a kink, as those of relu where its input is 0, have no derivative.
    assert all(each.agrees for each in found.arrays if each.compared), str(found)


# What does not exist.


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"step": 9}, "steps 0 to 8"),
        ({"step": -10}, "steps 0 to 8"),
        ({"epoch": 3}, "0 to 2"),
        ({"epoch": -1}, "0 to 2"),
        ({"epoch": 1, "batch": 3}, "0 to 2"),
        ({"epoch": 1, "batch": -4}, "0 to 2"),
        ({}, "say which step"),
        ({"batch": 1}, "say which step"),
        ({"step": 1, "epoch": 0}, "one name"),
        ({"step": 1.0}, "whole number"),
        ({"step": "1"}, "whole number"),
        ({"step": True}, "whole number"),
    ],
)
def test_a_step_that_does_not_exist_is_refused_with_those_that_do(asked, match):
    with pytest.raises(ArgumentError, match=match):
        trained("tanh")[1].open(**asked)


@pytest.mark.parametrize(
    "asked", [{"epoch": "a"}, {"epoch": 0.5}, {"epoch": 0, "batch": "a"}, {"epoch": True}]
)
def test_an_epoch_and_a_batch_are_whole_numbers(asked):
    with pytest.raises(ArgumentError):
        trained("tanh")[1].open(**asked)


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ("dense/kernl[0,0].gradient", 'did you mean "dense/kernel"'),
        ("dense/kernel", r"\[0,0\] to \[3,2\]"),
        ("dense/kernel[4,0]", r"\[0,0\] to \[3,2\]"),
        ("dense/kernel[0]", r"\[0,0\] to \[3,2\]"),
        ("dens.z[0]", 'did you mean "dense"'),
        ("dense.z[3]", r"\[0\] to \[2\]"),
        ("dense.y[0]", "has no y"),
        ("loss[8]", r"\[0\] to \[7\]"),
        ("loss", r"\[0\] to \[7\]"),
        ("csot", 'did you mean "cost"'),
        ("dense", "did you mean"),
        ("", "names no number"),
        ("dense.z[x]", "names no number"),
        ("cost.gradient", "no such"),
        ("dense.z[0].update", "no such"),
    ],
)
def test_a_number_that_does_not_exist_is_refused_with_what_there_is(asked, match):
    with pytest.raises(ArgumentError, match=match):
        opened("tanh", 0).formula(asked)


def test_what_is_asked_of_a_step_and_is_not_there_is_said_so():
    step = opened("tanh", 0)
    for example in (8, -1):
        for ask in (lambda e: step.formula("dense.z[0]", example=e), lambda e: step.story(example=e)):
            with pytest.raises(ArgumentError, match="0 to 7"):
                ask(example)
    for ask in (step.gradients_by_example, step.pushes, step.penalty_gradient):
        with pytest.raises(ArgumentError, match='did you mean "dense/kernel"'):
            ask("dense/kernal")
    with pytest.raises(ArgumentError, match=r"\[0,0\] to"):
        step.pushes("dense/kernel[9,9]")
    with pytest.raises(ArgumentError, match='did you mean "dense"'):
        step.layers["dens"]
    with pytest.raises(ArgumentError, match="0 to 1"):
        step.story(layer=2)
    with pytest.raises(ArgumentError, match="no such unit"):
        step.story(layer="dense", unit=3)
    with pytest.raises(ArgumentError, match="short or full"):
        step.story(detail="long")


def test_what_gradient_descent_does_not_move_has_no_gradient():
    step = opened("batch normalization", 0)
    with pytest.raises(ArgumentError, match="not moved by gradient descent"):
        step.formula("batch_normalization/moving_mean[0].gradient")


# Stories.


class Looking(html.parser.HTMLParser):
    """Finds out whether markup is whole, and what it wants from elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.elsewhere, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.handle_startendtag(tag, attrs)

    def handle_startendtag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href", "data", "action") or "url(" in (value or ""):
                self.elsewhere.append((tag, name, value))

    def handle_endtag(self, tag):
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def require_whole(markup):
    looking = Looking()
    looking.feed(markup)
    looking.close()
    assert looking.open == looking.elsewhere == []
    assert set(re.findall(r"https?://[^\"'<\s]*", markup)) <= {"http://www.w3.org/1998/Math/MathML"}
    assert "<script" not in markup
    return "".join(looking.text)


@pytest.fixture
def told(monkeypatch):
    """The formulas that stories ask for."""
    found = []
    for kind in (Step, Explanation):
        plain = kind.formula

        def formula(self, *args, plain=plain, **kwargs):
            found.append(plain(self, *args, **kwargs))
            return found[-1]

        monkeypatch.setattr(kind, "formula", formula)
    return found


@every_case
def test_stories_are_told_of_every_step_and_every_formula_in_them_holds(name, told):
    for number in (0, 4, -1):
        step = opened(name, number)
        texts = [str(step), step.story(detail="full"), step.story(example=step.rows_count - 1)]
        for layer in (*range(len(step.layers)), step.layers[-1].name):
            texts += [step.story(layer=layer), step.story(layer=layer, detail="full")]
            units = step.layers[layer].output.shape[-1]
            texts += [step.story(layer=layer, unit=unit, example=0) for unit in (0, units - 1)]
        for text in texts:
            parts = ["FORWARD", "COST", "GRADIENT", "UPDATE"]
            assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
            assert text.startswith(f"Step {step.number}: epoch {step.epoch}, batch {step.batch}")
        assert repr(step).startswith(f"<Step {step.number}: epoch {step.epoch}")
        text = require_whole(step._repr_html_())
        assert f"Step {step.number}" in text
    assert told
    assert all(formula.holds for formula in told)


@every_case
def test_a_history_is_shown(name):
    _, history = trained(name)
    assert f"{history.steps} steps to open" in repr(history)
    assert "opens a step" in require_whole(html_view.history(history))


def test_names_of_columns_cannot_break_a_page():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["<b>", "a&b", '"c"', "d</pre>"])
    step = CASES["tanh"].model().fit(frame, Y, verbose=0).open(0)
    assert "<b>" in require_whole(step._repr_html_())


@pytest.mark.parametrize("loss", ["mse", "log_cosh"])
def test_a_training_that_broke_can_be_opened_and_told(loss, told):
    model = keras.Sequential([keras.Input(shape=(4,)), L.Dense(3, "tanh"), L.Dense(1)])
    model.compile(O.SGD(1e30), loss)
    history = model.fit(X, Y, batch_size=SIZE, epochs=2, verbose=0)
    assert not (history.log["cost"] < 1e20).all()
    for number in range(history.steps):
        step = history.open(number)
        np.testing.assert_array_equal(np.float32(step.cost), history.log["cost"][number])
        assert str(step)
        assert step.story(detail="full")
        require_whole(step._repr_html_())
    require_whole(html_view.history(history))
    assert all(formula.holds for formula in told)
    if np.isnan(history.log["cost"]).any():
        assert "nan" in str(history.open(-1))
        assert not history.open(-1).check().ok


def test_a_model_with_several_inputs_is_told():
    class Sums(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(1, name="dense")

        def call(self, inputs):
            return self.dense(inputs["a"]) + self.dense(inputs["b"])

    model = Sums()
    model.compile("sgd", "mse")
    step = model.fit({"a": X, "b": 2 * X}, Y, batch_size=SIZE, verbose=0).open(2)
    np.testing.assert_array_equal(step.x["b"], 2 * X[step.rows])
    assert step.formula("dense/kernel[1,0].gradient").holds
    assert "dense@2" in str(step)
    require_whole(step._repr_html_())
    assert step.check().ok


def test_a_model_that_is_trained_by_penalties_alone_is_told():
    model = keras.Sequential([keras.Input(shape=(4,)), Penalized(2)])
    model.compile("sgd")
    step = model.fit(X, batch_size=SIZE, verbose=0).open(2)
    assert step.losses is None
    assert step.cost == pytest.approx(0.01 * np.sum(step.outputs**2), rel=1e-5)
    assert str(step)
    require_whole(step._repr_html_())
    assert step.formula("penalized/w[0,1].gradient").holds
    assert step.check().ok


def test_weights_of_inner_layers_of_the_same_name_are_told_apart():
    class Block(L.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = L.Dense(3, "tanh", name="inner")

        def call(self, inputs):
            return self.inner(inputs)

    model = keras.Sequential([keras.Input(shape=(4,)), Block(), Block(), L.Dense(1)])
    model.compile("sgd", "mse")
    step = model.fit(X, Y, verbose=0).open(0)
    assert len(step.weights) == len(model.trainable_weights) == 6
    assert sorted(each.shape for each in step.weights.values()) == sorted(
        each.shape for each in model.trainable_weights
    )
    assert str(step)


def test_an_activation_of_single_numbers_is_told():
    class Sum(L.Layer):
        def call(self, inputs):
            return jnp.sum(inputs, axis=-1)

    model = keras.Sequential([keras.Input(shape=(4,)), L.Dense(2), Sum(), L.Activation("tanh")])
    model.compile("sgd", "mse")
    step = model.fit(X, Y, verbose=0).open(0)
    require_holding(step.formula("activation.output"))
    assert str(step)


# What if.


def everything(step):
    """All numbers of a step."""
    arrays = {**step.weights, "x": step.x, "y": step.y, "outputs": step.outputs, "losses": step.losses}
    arrays |= {f"{path} after": array for path, array in step.weights_after.items()}
    if step.rows is not None:
        arrays["rows"] = step.rows
    for layer in step.layers:
        arrays |= {f"{layer.name}.{name}": array for name, array in layer.arrays.items()}
        arrays |= {f"{layer.name}.d_{name}": array for name, array in layer.slopes.items()}
    arrays |= {f"{path}.gradient": array for path, array in step.gradients.items()}
    return {**arrays, "cost": np.asarray(step.cost), **step.optimizer.before, **step.optimizer.after}


@pytest.mark.parametrize(
    "name", ["logistic regression", "noise", "batch normalization", "sequences", "a stream"]
)
def test_what_if_leaves_the_run_alone(name):
    model, history = trained(name)
    before, weights = everything(history.open(-1)), model.get_weights()
    path = next(iter(opened(name, -1).weights))
    index = ",".join("0" for _ in opened(name, -1).weights[path].shape)
    first = (0,) * np.ndim(opened(name, -1).x)
    changed = history.open(-1).what_if(optimizer="adam", weights={f"{path}[{index}]": 2.5}, x={first: 3.5})
    assert changed.after.x[first] == 3.5
    assert changed.after.weights[path].flat[0] == 2.5
    assert changed.cost_after is not None
    assert str(changed).startswith(f"Step {history.steps - 1}, if optimizer adam")
    assert "it would be" in require_whole(changed._repr_html_())
    assert repr(changed)
    after = everything(history.open(-1))
    assert list(after) == list(before)
    for key, array in before.items():
        np.testing.assert_array_equal(after[key], array, err_msg=key)
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", [name for name in CASES if name != "optax"])
def test_the_same_learning_rate_gives_the_same_update(name):
    step = opened(name, 4)
    same = step.what_if(learning_rate=step.optimizer.learning_rate)
    assert same.cost == pytest.approx(step.cost, rel=1e-6)
    for path, update in step.updates.items():
        np.testing.assert_allclose(same.updates[path], update, rtol=1e-5, atol=1e-6)


def test_weights_that_do_not_decay_do_not_decay_in_what_if():
    optimizer = O.AdamW(0.01, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = keras.Sequential([keras.Input(shape=(4,)), L.Dense(1, bias_initializer="ones")])
    model.compile(optimizer, "mse")
    step = model.fit(X, Y, verbose=0).open(0)
    same = step.what_if(learning_rate=step.optimizer.learning_rate)
    for path, update in step.updates.items():
        np.testing.assert_allclose(same.updates[path], update, atol=1e-6)
    require_holding(step.formula("dense/bias[0].update"))


@settings(max_examples=10)
@given(rate=st.floats(1e-4, 2.0), number=st.integers(0, 8))
def test_gradient_descent_moves_by_the_learning_rate_times_the_gradient(rate, number):
    step = opened("logistic regression", number)
    changed = step.what_if(learning_rate=rate)
    assert changed.optimizer.learning_rate == pytest.approx(rate, rel=1e-6)
    for path, gradient in step.gradients.items():
        np.testing.assert_allclose(changed.updates[path], -np.float32(rate) * gradient, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(changed.gradients[path], gradient)
    assert changed.cost == step.cost
    small = step.what_if(learning_rate=1e-3)
    assert small.cost_after < step.cost


def test_another_optimizer_moves_as_it_does_without_a_memory():
    step = opened("stopped early", 4)
    changed = step.what_if(optimizer=O.SGD(0.5))
    for path, gradient in step.gradients.items():
        np.testing.assert_allclose(changed.updates[path], -0.5 * gradient, rtol=1e-4, atol=1e-6)
    signs = step.what_if(optimizer="adam", learning_rate=0.25, beta_1=0.5, beta_2=0.5)
    assert int(signs.optimizer.before["iteration"]) == 0
    assert all(np.abs(update).max() < 1.0 for update in signs.updates.values())


def test_other_settings_are_those_of_the_optimizer():
    step = opened("tanh", 4)
    plain = step.what_if(momentum=0.0, nesterov=False, clipnorm=None)
    for path, gradient in step.gradients.items():
        expected = -np.float32(step.optimizer.learning_rate) * gradient
        np.testing.assert_allclose(plain.updates[path], expected, rtol=1e-4, atol=1e-6)
    assert "momentum = 0.0" in str(plain)


def direct_cost(name, step, weights):
    """What `evaluate` says of the batch, with these weights."""
    model = CASES[name].model()
    model(np.asarray(step.x))
    for variable in model.trainable_variables:
        variable.assign(weights[variable.path])
    found = model.evaluate(step.x, step.y, sample_weight=step.sample_weight, verbose=0, return_dict=True)
    return found["loss"]


@settings(max_examples=12)
@given(
    name=st.sampled_from(["logistic regression", "tanh", "softmax", "a model of one's own"]),
    number=st.integers(0, 8),
    value=st.floats(-2, 2, width=32),
    data=st.data(),
)
def test_with_other_weights_the_cost_is_what_evaluate_says(name, number, value, data):
    step = opened(name, number)
    path = data.draw(st.sampled_from(sorted(step.weights)))
    index = tuple(data.draw(st.integers(0, size - 1)) for size in step.weights[path].shape)
    changed = step.what_if(weights={reference(path, index): value})
    weights = {key: array.copy() for key, array in step.weights.items()}
    weights[path][index] = value
    assert changed.cost == pytest.approx(direct_cost(name, step, weights), rel=1e-5, abs=1e-6)
    assert changed.cost_after == pytest.approx(
        direct_cost(name, step, changed.weights_after), rel=1e-4, abs=1e-6
    )
    assert step.cost_after == pytest.approx(direct_cost(name, step, step.weights_after), rel=1e-4, abs=1e-6)


def test_a_whole_array_of_weights_can_be_another():
    step = opened("tanh", 1)
    changed = step.what_if(weights={"dense/kernel": np.zeros((4, 3)), "dense/bias": 0.0})
    np.testing.assert_array_equal(changed.layers["dense"].z, 0)
    assert changed.after.what_if(weights={"dense_1/bias[0]": 7.0}).outputs.ravel() == pytest.approx(7.0)


@given(example=st.integers(0, 7), feature=st.integers(0, 3), value=st.floats(-3, 3, width=32))
@settings(max_examples=10)
def test_another_input_changes_what_layers_make_of_that_example_alone(example, feature, value):
    step = opened("tanh", 1)
    changed = step.what_if(x={(example, feature): value})
    gap = (value - step.x[example, feature]) * step.weights["dense/kernel"][feature]
    moved = changed.layers["dense"].z - step.layers["dense"].z
    np.testing.assert_allclose(moved[example], gap, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(np.delete(moved, example, axis=0), 0, atol=1e-6)
    np.testing.assert_array_equal(changed.rows, step.rows)


def test_another_target_changes_the_loss_of_that_example_alone():
    step = opened("tanh", 1)
    changed = step.what_if(y={2: 5.0})
    expected = step.losses.copy()
    expected[2] = (5.0 - step.outputs[2, 0]) ** 2
    np.testing.assert_allclose(changed.losses, expected, rtol=1e-5)
    assert changed.cost == pytest.approx(expected.mean(), rel=1e-5)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"learning_rate": -1.0},
        {"learning_rate": "x"},
        {"optimizer": "adm"},
        {"beta_9": 0.5},
        {"weights": {"dense/kernel[9,9]": 1.0}},
        {"weights": {"dense/kernal[0,0]": 1.0}},
        {"x": {(99, 0): 1.0}},
        {"x": {(0, 99): 1.0}},
        {"x": {(0, "b"): 1.0}},
        {"x": {-1: 1.0}},
        {"x": 3},
        {"y": {(0, 5): 1.0}},
    ],
    ids=repr,
)
def test_a_change_that_cannot_be_made_is_refused(asked):
    with pytest.raises((ArgumentError, ShapeError)):
        opened("tanh", 0).what_if(**asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"weights": {"dense/kernel": np.ones((9, 9))}},
        {"weights": {"dense/kernel[0,0]": "a"}},
        {"x": {(0, 1.5): 1.0}},
    ],
    ids=repr,
)
def test_a_change_of_another_kind_is_refused(asked):
    with pytest.raises((ArgumentError, ShapeError)):
        opened("tanh", 0).what_if(**asked)


# One row, explained.


@pytest.mark.parametrize("name", KINDS)
def test_an_explanation_is_what_predict_says_and_its_formulas_hold(name, told):
    model, _ = trained(name)
    x = np.asarray(CASES[name].x)[:3]
    explained = model.explain(x)
    close(explained.outputs, model.predict(x, verbose=0), 1e-6)
    one = model.explain(x[1])
    close(one.outputs[0], explained.outputs[1], 1e-6)
    for each in (explained, one):
        assert "DECISION" in str(each)
        assert each.decision in each.story(detail="full")
        assert each.decision in repr(each)
        require_whole(each._repr_html_())
    assert explained.story(example=2, layer=0) != explained.story(example=1, layer=0)
    for layer in explained.layers:
        assert layer.d_z is None
        assert layer.d_output is None
        for kind in ("z", "output"):
            if kind in layer.arrays and f"{layer.name}.{kind}" not in UNSTATED:
                index = tuple(size - 1 for size in layer.arrays[kind].shape[1:])
                require_holding(explained.formula(reference(f"{layer.name}.{kind}", index), example=2))
    assert all(formula.holds for formula in told)


def test_a_decision_is_a_class_by_a_threshold():
    model, _ = trained("logistic regression")
    probability = float(model.predict(X[:1], verbose=0)[0, 0])
    labels = ("benign", "malignant")
    assert model.explain(X[0], labels=labels, threshold=0.0).decision.endswith(">= 0: malignant")
    assert model.explain(X[0], labels=labels, threshold=1.0).decision == f"{probability:.4g} < 1: benign"
    assert model.explain(X[0]).decision.endswith(("class 0", "class 1"))


def test_a_decision_is_the_likeliest_class():
    model, _ = trained("softmax")
    explained = model.explain(X[4], labels=("a", "b", "c"))
    assert explained.decision.startswith("abc"[int(np.argmax(explained.outputs[0]))])
    assert "largest of 3 probabilities" in explained.decision
    model, _ = trained("several ways through a reshape")
    assert model.explain(X[4]).decision.startswith(f"class {np.argmax(model.predict(X[4:5], verbose=0))}")


def test_a_decision_is_a_number():
    model, _ = trained("tanh")
    answer = model.predict(X[:1], verbose=0)[0, 0]
    assert model.explain(X[0]).decision == f"the answer is {answer:.4g}"


def test_a_step_predicts_with_the_weights_before_it():
    model, history = trained("tanh")
    step = opened("tanh", 4)
    np.testing.assert_allclose(step.predict(step.x), step.outputs, rtol=1e-5)
    after = history.open(-1).what_if(weights=history.open(-1).weights_after)
    np.testing.assert_allclose(after.predict(X), model.predict(X, verbose=0), rtol=1e-5)


# What has changed since.


def test_a_model_that_was_changed_is_refused():
    def adds(model):
        model.add(L.Dense(1))

    def freezes(model):
        model.layers[0].trainable = False

    def removes(model):
        model.pop()

    for change in (adds, freezes, removes):
        model, history = CASES["tanh"].fit(epochs=1)
        change(model)
        with pytest.raises(StateError, match="changed after this fit"):
            history.open(0)


def test_another_activation_is_found_out():
    model, history = CASES["tanh"].fit(epochs=1)
    model.layers[0].activation = jnp.sin
    with pytest.raises(StateError, match="is not the step that was trained"):
        history.open(1)


def test_a_layer_that_was_frozen_can_be_freed_and_its_run_is_opened_again():
    model, history = CASES["tanh"].fit(epochs=1)
    model.layers[0].trainable = False
    with pytest.raises(StateError):
        history.open(0)
    model.layers[0].trainable = True
    assert history.open(0).exact


def test_frozen_layers_are_shown_and_do_not_move():
    model = CASES["tanh"].model()
    model.layers[0].trainable = False
    model.compile("adam", "mse")
    step = model.fit(X, Y, verbose=0).open(0)
    assert list(step.weights) == ["dense_1/kernel", "dense_1/bias"]
    require_holding(step.formula("dense.z[1]"))
    assert "dense.z" in str(step)
    assert step.check().ok


def test_after_another_compile_and_another_fit_the_first_run_still_opens():
    model, history = CASES["tanh"].fit(epochs=1)
    before = everything(history.open(2))
    model.compile("adam", "mae")
    second = model.fit(X, Y, verbose=0)
    after = everything(history.open(2))
    for key, array in before.items():
        np.testing.assert_array_equal(after[key], array, err_msg=key)
    assert second.open(0).optimizer.name == "adam"
    np.testing.assert_array_equal(second.open(0).weights["dense/kernel"], before["dense/kernel after"])


def test_a_run_that_was_not_recorded_says_so():
    _, history = CASES["tanh"].fit(epochs=1, record=False)
    assert history.steps == 0
    for ask in (lambda: history.open(0), lambda: history.log, lambda: history.save("x")):
        with pytest.raises(StateError, match="record=False"):
            ask()
    with pytest.raises(ArgumentError, match="record is unknown"):
        CASES["tanh"].fit(record=3)
