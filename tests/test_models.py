"""Models as Keras takes them: inputs and outputs in structures, clones, configurations, state by names."""

import json

import numpy as np
import pytest

import pellucid as keras
from pellucid import layers as L  # noqa: N812
from pellucid.errors import ArgumentError, DataError, KindError, ShapeError, UnknownOutputError

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X[:, :1]


def two_outputs(kind):
    x = keras.Input((3,), name="x")
    return keras.Model(x, kind(L.Dense(1, name="a")(x), L.Dense(1, name="b")(x)))


KINDS = {
    "list": lambda a, b: [a, b],
    "tuple": lambda a, b: (a, b),
    "dict": lambda a, b: {"one": a, "two": b},
    "other names": lambda a, b: {"left": a, "right": b},
}


# Outputs.


def test_programs_of_the_same_arithmetic_do_not_share_the_structure_of_their_outputs():
    for kind in KINDS.values():
        model = two_outputs(kind)
        found, wanted = model.predict(X, verbose=0), kind(0, 0)
        assert type(found) is type(wanted)
        if isinstance(wanted, dict):
            assert list(found) == list(wanted)


def test_outputs_in_a_tuple_are_one_after_the_configuration():
    model = two_outputs(KINDS["tuple"])
    assert isinstance(keras.Model.from_config(model.get_config())(X), tuple)


# Losses.


def test_the_loss_of_an_output_may_come_in_a_list_of_one():
    histories = []
    for loss in (["mse", ["mae"]], ["mse", "mae"]):
        keras.utils.set_random_seed(0)
        model = two_outputs(KINDS["list"])
        model.compile("sgd", loss, loss_weights=[0.5, 2.0])
        histories.append(model.fit(X, [Y, Y], verbose=0).history)
    assert histories[0] == histories[1]
    assert set(histories[0]) == {"loss", "a_loss", "b_loss"}


@pytest.mark.parametrize("loss", [{"one": ["mse"]}, {"one": ["mse"], "two": None}])
def test_an_output_without_a_loss_costs_nothing(loss):
    model = two_outputs(KINDS["dict"])
    model.compile("sgd", loss)
    before = model.get_layer("b").get_weights()
    model.fit(X, {"one": Y, "two": Y}, verbose=0)
    for one, other in zip(before, model.get_layer("b").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_output_takes_its_loss_from_a_list_in_a_dict():
    x = keras.Input((3,))
    model = keras.Model(x, L.Dense(1, name="a")(x))
    model.compile("sgd", {"a": ["mse"]})
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(float(np.mean((model(X) - Y) ** 2)), rel=1e-5)


def test_a_loss_for_an_output_that_is_not_there_is_a_key_error_that_can_be_read():
    model = two_outputs(KINDS["dict"])
    model.compile("sgd", {"one": "mse", "three": "mse"})
    with pytest.raises(KeyError, match="`loss` names outputs that the model does not have") as caught:
        model.fit(X, {"one": Y, "two": Y}, verbose=0)
    assert isinstance(caught.value, UnknownOutputError)
    assert str(caught.value).startswith("`loss`")


# Inputs.


class Maybe(L.Layer):
    def call(self, x, y=None):
        return x if y is None else x + y


@pytest.fixture
def optional():
    x, y = keras.Input((3,), name="x"), keras.Input((3,), name="y", optional=True)
    return keras.Model({"x": x, "y": y}, L.Dense(1, kernel_initializer="ones")(Maybe()(x, y)))


def test_optional_inputs_may_be_none_in_calls_and_in_fit(optional):
    both, one = optional({"x": X, "y": X}), optional({"x": X, "y": None})
    np.testing.assert_allclose(both, 2 * np.asarray(one), rtol=1e-6)
    optional.compile("sgd", "mse")
    optional.fit({"x": X, "y": None}, Y, verbose=0)
    assert optional.predict({"x": X, "y": None}, verbose=0).shape == (8, 1)
    with pytest.raises(DataError, match='"x" is not optional'):
        optional({"x": None, "y": X})


def test_an_optional_input_is_optional_after_its_configuration():
    layer = L.InputLayer((3,), optional=True)
    assert L.InputLayer.from_config(layer.get_config()).optional


def test_inputs_in_another_structure_are_warned_of_or_refused():
    def named(first, second):
        inputs = {first: keras.Input((3,)), second: keras.Input((3,))}
        return keras.Model(inputs, L.Subtract()(list(inputs.values())))

    with pytest.warns(UserWarning, match="structure of `inputs`"):
        named("a", "b").predict([X, X], verbose=0)
    with pytest.warns(UserWarning, match="structure of `inputs`"):
        named("a", "b")({"a": X, "b": X, "c": X})
    with pytest.raises(DataError, match="structure of `inputs`"):
        named("b", "a")([X, X])


def test_dicts_within_dicts_go_in_and_come_out():
    a, b = keras.Input((1,)), keras.Input((2,))
    model = keras.Model({"a": a, "more": {"b": b}}, {"more": {"b": L.Dense(2)(b)}, "a": L.Dense(1)(a)})
    found = model({"a": X[:, :1], "more": {"b": X[:, :2]}})
    assert found["more"]["b"].shape == (8, 2)
    assert found["a"].shape == (8, 1)


def test_inputs_are_given_on_in_the_type_that_was_declared():
    x = keras.Input((3,), dtype="int32")
    assert keras.Model(x, x + 2)(np.ones((2, 3))).dtype == "int32"


def test_input_tensor_is_the_tensor_and_what_is_said_beside_it_must_be_so():
    tensor = keras.KerasTensor((2, 3), "float32")
    layer = L.InputLayer(shape=(3,), batch_size=2, dtype="float32", input_tensor=tensor)
    assert layer.output is tensor
    for wrong in ({"shape": (4,)}, {"batch_shape": (2, 4)}, {"batch_size": 5}, {"dtype": "float16"}):
        with pytest.raises(ArgumentError, match=f"incompatible `{next(iter(wrong))}`"):
            L.InputLayer(input_tensor=tensor, **wrong)


def test_a_built_layer_refuses_a_symbolic_input_of_another_width():
    layer = L.Dense(2)
    layer(keras.Input((2,)))
    with pytest.raises(ShapeError, match="rows of 2 numbers"):
        layer(keras.Input((3,)))


def test_an_activation_may_be_taken_away():
    layer = L.Dense(1, "relu", kernel_initializer="ones")
    layer.build((None, 1))
    layer.activation = None
    assert layer(np.array([[-3.0]])).tolist() == [[-3.0]]


# Sequential.


@pytest.mark.parametrize("given", [[X, X], {"a": X, "b": X}], ids=["list", "dict"])
def test_the_first_layer_of_a_sequential_may_take_several_inputs(given, capsys):
    class Through(L.Layer):
        def call(self, inputs):
            assert type(inputs) is type(given)
            return inputs

    model = keras.Sequential([Through()])
    assert type(model(given)) is type(given)
    model.summary()
    assert "through" in capsys.readouterr().out


def test_a_sequential_keeps_the_shape_that_it_was_built_for():
    model = keras.Sequential([L.Dense(1)])
    model.build((2, 3))
    assert keras.Sequential.from_config(model.get_config()).input_shape == (2, 3)
    declared = keras.Sequential([keras.Input((3,)), L.Dense(1)])
    with pytest.raises(ShapeError, match="already been configured"):
        declared.build((None, 4))


# Clones.


def nested():
    x = keras.Input((3,))
    inner = keras.Sequential([keras.Input((2,)), L.Dense(2, name="inner")])
    return keras.Model(x, inner(L.Dense(2, name="outer")(x)))


def test_a_clone_calls_its_layers_as_it_is_told():
    model = nested()

    def call(layer, *args, **kwargs):
        out = layer(*args, **kwargs)
        return L.Dropout(0.5)(out) if isinstance(layer, L.Dense) else out

    clone = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    assert [type(layer).__name__ for layer in clone.layers] == [
        "InputLayer",
        "Dense",
        "Dropout",
        "Sequential",
    ]
    np.testing.assert_array_equal(clone(X), model(X))


def test_a_clone_goes_into_models_within_if_it_is_asked_to():
    def marked(layer):
        again = type(layer).from_config(layer.get_config())
        again.marked = True
        return again

    model = nested()
    within = keras.models.clone_model(model, clone_function=marked, recursive=True).layers[-1]
    beside = keras.models.clone_model(model, clone_function=marked).layers[-1]
    assert hasattr(within.layers[0], "marked")
    assert not hasattr(beside.layers[0], "marked")


def test_a_clone_begins_with_tensors_in_the_structure_of_the_models():
    x, y = keras.Input((3,)), keras.Input((3,))
    model = keras.Model({"x": x, "y": y}, {"sum": x + y})
    clone = keras.models.clone_model(model, {"x": x, "y": y})
    np.testing.assert_array_equal(clone({"x": X, "y": X})["sum"], 2 * X)
    with pytest.raises(ArgumentError, match="same structure"):
        keras.models.clone_model(model, (x, y))


def test_a_sequential_that_is_compiled_has_compiled_clones():
    model = keras.Sequential([keras.Input((3,)), L.Dense(1)])
    model.compile("sgd", "mse")
    assert keras.models.clone_model(model).compiled


# Configurations.


def test_a_functional_model_of_ones_own_class_comes_back_with_its_arguments():
    class Plain(keras.Model):
        pass

    class Own(keras.Model):
        def __init__(self, *args, param=1, **kwargs):
            super().__init__(*args, **kwargs)
            self.param = param

        def get_config(self):
            return {**super().get_config(), "param": self.param}

    x = keras.Input((3,))
    for kind, more in ((Plain, {}), (Own, {"param": 3})):
        model = kind(inputs=x, outputs=L.Dense(1)(x), **more)
        again = kind.from_config(model.get_config(), custom_objects={})
        again.set_weights(model.get_weights())
        np.testing.assert_array_equal(again(X), model(X))
        assert isinstance(again, kind)
        assert getattr(again, "param", None) == more.get("param")


def test_a_slice_in_a_graph_comes_back_from_json():
    x = keras.Input((3,))
    model = keras.Model(x, x[:, 1])
    again = keras.Model.from_config(json.loads(json.dumps(model.get_config())))
    np.testing.assert_array_equal(again(X), X[:, 1])


def test_configurations_that_cannot_be_used_are_type_errors():
    for config in (
        {"class_name": "Dense", "config": [1]},
        {"class_name": "__typespec__", "config": "no"},
        {"class_name": "function", "config": ["no"]},
    ):
        with pytest.raises(KindError):
            keras.saving.deserialize_keras_object(config)


def test_functions_go_by_their_registered_names_as_keras_writes_them():
    @keras.saving.register_keras_serializable("models_test")
    def cube(x):
        return x**3

    written = {"module": "builtins", "class_name": "function", "registered_name": "function"}
    assert keras.saving.deserialize_keras_object({**written, "config": "cube"}) is cube
    with pytest.raises(ArgumentError, match="was not registered under another name"):
        keras.saving.deserialize_keras_object({**written, "config": "relu", "registered_name": "other"})


def test_a_seed_generator_is_written_into_configurations():
    made = keras.initializers.RandomUniform(seed=keras.random.SeedGenerator(3))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert again.get_config() == made.get_config()


def test_a_lambda_keeps_its_shape_a_tuple():
    layer = L.Lambda(keras.ops.square, output_shape=(3,))
    config = json.loads(json.dumps(layer.get_config()))
    with keras.saving.custom_object_scope({"square": keras.ops.square}):
        assert L.Lambda.from_config(config).get_config()["output_shape"] == (3,)


# The state by names.


def test_a_state_tree_goes_from_one_model_to_another():
    def made():
        model = keras.Sequential([keras.Input((3,)), L.Dense(1, name="line")])
        model.compile("adam", "mse")
        return model

    one, other = made(), made()
    one.fit(X, Y, epochs=2, verbose=0)
    other.fit(X, Y, verbose=0)
    tree = one.get_state_tree("numpy_array")
    other.set_state_tree({"trainable_variables": tree["trainable_variables"]})
    np.testing.assert_array_equal(other.predict(X, verbose=0), one.predict(X, verbose=0))
    assert set(tree["metrics_variables"]["loss"]) == {"total", "count"}
    assert tree["optimizer_variables"]["adam"]["iteration"] == 2
    with pytest.raises(ArgumentError, match="no variables of this kind"):
        other.set_state_tree({"weights": {}})


def test_two_variables_of_one_path_have_no_state_tree():
    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.other = L.Dense(3, name="line"), L.Dense(3, name="line")

        def call(self, inputs):
            return self.other(self.one(inputs))

    model = Twice()
    model(X)
    with pytest.raises(ArgumentError, match="found twice"):
        model.get_state_tree()
