"""Names and configurations: everything in a catalogue survives being written down and made again."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pellucid as keras
from configuration_cases import NEEDED
from pellucid import (
    activations,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
    schedules,
)
from pellucid.errors import ArgumentError
from pellucid.naming import (
    automatic_name,
    custom_object_scope,
    deserialize,
    forget_names,
    serialize,
    snake_case,
)

MODULES = [constraints, initializers, layers, losses, metrics, optimizers, regularizers, schedules]

ROWS = keras.Input((4,), name="rows")


def as_lists(config):
    """A configuration as JSON gives it back: tuples are lists."""
    if isinstance(config, dict):
        return {name: as_lists(value) for name, value in config.items()}
    return [as_lists(each) for each in config] if isinstance(config, list | tuple) else config


def one(kind):
    """One of a kind."""
    if kind.__name__ == "Functional":
        return kind(ROWS, layers.Dense(2, name="answer")(ROWS))
    within = {
        "Lambda": [activations.relu],
        "LossScaleOptimizer": [optimizers.SGD(0.5, momentum=0.9)],
        "Bidirectional": [layers.LSTM(2)],
        "RNN": [layers.LSTMCell(2)],
        "StackedRNNCells": [[layers.LSTMCell(2), layers.GRUCell(2)]],
        "TimeDistributed": [layers.Dense(2)],
        "Wrapper": [layers.Dense(2)],
    }
    return kind(*within.get(kind.__name__, NEEDED.get(kind.__name__, [])))


def entries():
    for module in MODULES:
        for entry in dict.fromkeys(module.CATALOGUE.entries.values()):
            if isinstance(entry, type):
                yield pytest.param(module.CATALOGUE, entry, id=f"{module.CATALOGUE.kind} {entry.__name__}")


@pytest.mark.parametrize(("catalogue", "kind"), list(entries()))
def test_everything_with_a_name_survives_its_configuration(catalogue, kind):
    made = one(kind)
    config = made.get_config()
    assert json.loads(json.dumps(config)) == as_lists(config)
    again = kind.from_config(config)
    assert again.get_config() == config
    whole = serialize(made)
    assert {"class_name", "config", "module", "registered_name"} <= set(whole)
    assert whole["module"].startswith("keras")
    assert whole["registered_name"] in (None, "Functional")
    from_whole = catalogue.make(json.loads(json.dumps(whole)))
    assert type(from_whole) is kind
    assert as_lists(from_whole.get_config()) == as_lists(config)


@pytest.mark.parametrize("module", [*MODULES, activations])
def test_every_name_in_a_catalogue_finds_its_entry(module):
    for name, entry in module.CATALOGUE.entries.items():
        assert module.CATALOGUE.find(name) is entry
        assert entry.__doc__, name


def test_options_survive_their_configuration():
    dense = layers.Dense(
        3,
        activation="relu",
        use_bias=False,
        kernel_initializer=initializers.HeNormal(seed=3),
        kernel_regularizer=regularizers.L1L2(0.1, 0.2),
        kernel_constraint=constraints.MaxNorm(3),
        name="hidden",
        trainable=False,
    )
    again = layers.CATALOGUE.make(serialize(dense))
    assert (again.units, again.use_bias, again.name, again.trainable) == (3, False, "hidden", False)
    assert again.activation is activations.relu
    assert again.kernel_initializer.seed == 3
    assert (again.kernel_regularizer.l1, again.kernel_regularizer.l2) == (0.1, 0.2)
    assert again.kernel_constraint.max_value == 3
    adam = optimizers.Adam(schedules.CosineDecay(0.1, 50), clipnorm=1.0, amsgrad=True)
    again = optimizers.CATALOGUE.make(serialize(adam))
    assert again.amsgrad
    assert again.clipnorm == 1.0
    assert float(again.learning_rate) == pytest.approx(0.1)


def test_a_name_given_automatically_is_in_the_configuration():
    assert layers.Dense(1).get_config()["name"] == "dense"
    assert metrics.AUC().get_config()["name"] == "auc"


def test_a_model_made_again_from_its_configuration_is_the_same_model():
    model = keras.Sequential(
        [keras.Input(shape=(4,)), layers.Dense(3, activation="relu"), layers.Dropout(0.2)]
    )
    config = json.loads(json.dumps(model.get_config()))
    again = keras.Sequential.from_config(config)
    assert as_lists(again.get_config()) == as_lists(model.get_config())
    again.set_weights(model.get_weights())
    x = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(again(x), model(x))


def test_what_compile_was_asked_for_survives_too():
    model = keras.Sequential([keras.Input(shape=(4,)), layers.Dense(1)])
    model.compile(optimizers.SGD(0.1, momentum=0.5), losses.Huber(2.0), metrics=["mae", metrics.R2Score()])
    config = json.loads(json.dumps(model.get_compile_config()))
    again = keras.Sequential.from_config(model.get_config())
    again.compile_from_config(config)
    assert again.optimizer.momentum == 0.5
    again.set_weights(model.get_weights())
    x, y = np.ones((8, 4), "float32"), np.arange(8.0)
    assert again.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


class Doubled(layers.Layer):
    """A layer of one's own with a configuration of its own."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor


def test_classes_of_ones_own_are_found_within_custom_objects_only():
    whole = serialize(Doubled(3.0))
    assert whole["registered_name"] == "Doubled"
    assert whole["config"]["factor"] == 3.0
    with custom_object_scope({"Doubled": Doubled}):
        assert layers.CATALOGUE.make(whole).factor == 3.0
    with keras.utils.custom_object_scope({"Doubled": Doubled}):
        assert layers.CATALOGUE.make(whole).factor == 3.0
    with pytest.raises(ArgumentError, match="Doubled"):
        layers.CATALOGUE.make(whole)


def test_functions_are_written_by_name_and_lambdas_are_refused():
    assert serialize(activations.relu) == "relu"
    assert serialize(losses.mean_squared_error) == {
        "module": "builtins",
        "class_name": "function",
        "config": "mean_squared_error",
        "registered_name": "function",
    }
    assert deserialize(serialize(losses.mean_squared_error)) is losses.mean_squared_error
    with pytest.raises(ArgumentError, match="without a name"):
        serialize(lambda x: x)


def test_arrays_and_numbers_are_written_as_plain_data():
    values = {
        "number": np.float32(0.5),
        "tuple": (1, [2]),
        "numpy": np.arange(2, dtype="int8"),
        "array": jnp.ones(1),
        "bytes": b"ab",
        "slice": slice(1, None),
        "ellipsis": ...,
        "none": None,
    }
    written = serialize(values)
    assert written["number"] == 0.5
    assert written["tuple"] == (1, [2])
    assert written["numpy"] == {"class_name": "__numpy__", "config": {"value": [0, 1], "dtype": "int8"}}
    assert written["array"] == {"class_name": "__tensor__", "config": {"value": [1.0], "dtype": "float32"}}
    read = deserialize(json.loads(json.dumps(written)))
    assert (read["bytes"], read["slice"], read["ellipsis"]) == (b"ab", slice(1, None), ...)
    assert read["numpy"].dtype == np.int8
    np.testing.assert_array_equal(read["array"], values["array"])


@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("Dense", "dense"),
        ("BatchNormalization", "batch_normalization"),
        ("ReLU", "re_lu"),
        ("AUC", "auc"),
        ("F1Score", "f1_score"),
        ("R2Score", "r2_score"),
        ("GRU", "gru"),
        ("Conv2D", "conv2d"),
    ],
)
def test_small_names_are_those_of_keras(name, small):
    assert snake_case(name) == small


@given(st.lists(st.sampled_from(["dense", "dropout", "dense_1"]), max_size=12))
def test_automatic_names_of_one_prefix_are_never_given_twice(prefixes):
    forget_names()
    for prefix in set(prefixes):
        given_names = [automatic_name(each) for each in prefixes if each == prefix]
        assert len(set(given_names)) == len(given_names)
