"""Functional models: graphs, several inputs and outputs, masks, and what an opened step tells of them."""

import json
import os
import subprocess

import numpy as np
import pytest

import pellucid as keras
from judging import JUDGE
from pellucid import layers as L  # noqa: N812
from pellucid import ops
from pellucid.errors import ArgumentError
from pellucid.masks import mask_of, with_mask

RANDOM = np.random.default_rng(0)
A, B = (RANDOM.normal(size=(100, size)).astype("float32") for size in (4, 3))
YES = (A[:, 0] > 0).astype("float32")
SIZE = (B @ np.array([1.0, -2.0, 0.5])).astype("float32")


def two_by_two(activation="tanh"):
    """Two inputs, a shared hidden sum, two outputs."""
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    left, right = L.Dense(5, activation, name="left")(a), L.Dense(5, name="right")(b)
    hidden = left + 2.0 * right
    return keras.Model(
        [a, b],
        [L.Dense(1, "sigmoid", name="yes")(hidden), L.Dense(2, name="size")(left * hidden)],
    )


@pytest.fixture(scope="module")
def opened():
    keras.utils.clear_session()  # made before the test that asks for it, with names from the one before
    keras.utils.set_random_seed(1)
    model = two_by_two()
    model.compile(
        "adam", {"yes": "binary_crossentropy", "size": "mse"}, loss_weights={"yes": 1.0, "size": 0.3}
    )
    weights = RANDOM.random(100)
    history = model.fit([A, B], [YES, np.stack([SIZE, YES], 1)], sample_weight=[weights, None], verbose=0)
    return history.open(2)


@pytest.mark.parametrize(
    "reference",
    [
        *("cost", "yes_loss[3]", "size_loss[0]", "left.z[2]", "yes.z[0]", "yes.d_output[0]", "size.d_z[1]"),
        *("left.d_output[1]", "right.d_output[0]", "left.d_z[4]", "add.output[2]", "multiply_1.output[3]"),
        *("add.d_output[0]", "multiply.d_output[1]", "left/kernel[1,2].gradient", "size/bias[1].gradient"),
        *("right/kernel[0,4].gradient", "yes/kernel[2,0]", "left/bias[0].update"),
    ],
)
def test_every_number_of_a_step_with_two_outputs_has_its_arithmetic(opened, reference):
    assert opened.formula(reference).holds


def test_the_gradients_of_two_outputs_agree_with_central_differences(opened):
    assert opened.exact
    check = opened.check()
    assert check.ok, check


def test_the_examples_gradients_add_up_to_the_gradient(opened):
    shares = opened.shares_by_example()
    by_example = opened.gradients_by_example("left/kernel")
    added = np.tensordot(shares, by_example, 1)
    np.testing.assert_allclose(added, opened.gradients["left/kernel"], rtol=1e-4, atol=1e-7)


def test_the_story_of_two_outputs_tells_both_losses(opened):
    told = str(opened)
    assert "yes_loss[" in told
    assert "size_loss[" in told
    assert "add.output" in told


def test_the_training_of_two_outputs_is_kept_in_a_file(opened, tmp_path):
    keras.utils.set_random_seed(1)
    model = two_by_two()
    model.compile(
        "adam", {"yes": "binary_crossentropy", "size": "mse"}, loss_weights={"yes": 1.0, "size": 0.3}
    )
    y, weights = {"yes": YES, "size": np.stack([SIZE, YES], 1)}, {"size": RANDOM.random(100)}
    history = model.fit({"a": A, "b": B}, y, sample_weight=weights, verbose=0)
    history.save(tmp_path / "two.pellucid")
    step, again = history.open(3), keras.History.load(tmp_path / "two.pellucid").open(3)
    assert again.differences == step.differences
    np.testing.assert_array_equal(again.losses["size"], step.losses["size"])
    assert str(again) == str(step)


def test_gradients_are_those_of_the_next_step():
    model = two_by_two()
    model.compile(keras.optimizers.SGD(0.1), ["binary_crossentropy", "mse"])
    y = [YES, np.stack([SIZE, YES], 1)]
    before = model.get_weights()
    gradients = model.gradients([A, B], y)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.train_on_batch([A, B], y)
    for weight, old in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_allclose(weight.numpy(), old - 0.1 * gradients[weight.path], rtol=1e-5, atol=1e-7)


def test_a_graph_survives_its_configuration():
    model = two_by_two()
    config = json.loads(json.dumps(model.get_config()))
    again = keras.Model.from_config(config)
    again.set_weights(model.get_weights())
    for ours, theirs in zip(model.predict([A, B], verbose=0), again.predict([A, B], verbose=0), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert again.get_config() == model.get_config()


def test_inputs_come_as_a_list_by_name_or_one_by_one():
    model = two_by_two()
    expected = model.predict([A, B], verbose=0)[0]
    np.testing.assert_array_equal(model.predict({"b": B, "a": A}, verbose=0)[0], expected)
    np.testing.assert_allclose(model([A, B])[0], expected, rtol=1e-6)
    batches = ((({"a": A[i : i + 20], "b": B[i : i + 20]}),) for i in range(0, 100, 20))
    np.testing.assert_allclose(model.predict(batches, verbose=0)[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("x", "complaint"),
    [
        ({"a": A}, "does not name"),
        ([A], "expects 2 input"),
        ([A, B[:, :2]], "was built for other rows"),
        ([A, B[:50]], "different numbers of rows"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x, complaint):
    with pytest.raises(ValueError, match=complaint):
        two_by_two().predict(x, verbose=0)


def test_outputs_need_their_inputs():
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    with pytest.raises(ValueError, match=r"Graph disconnected(.|\n)*name=b"):
        keras.Model(a, L.Add()([a, b]))


def test_losses_must_name_the_outputs():
    model = two_by_two()
    model.compile("sgd", {"yes": "mse", "sise": "mse"})
    with pytest.raises(ValueError, match="names outputs that the model does not have"):
        model.fit([A, B], [YES, np.stack([SIZE, YES], 1)], verbose=0)


@pytest.mark.parametrize("wrong", [np.sum, float, lambda x: [*x], bool, len])
def test_a_symbolic_tensor_has_no_numbers(wrong):
    with pytest.raises(ValueError, match="a KerasTensor cannot be used as"):
        wrong(keras.Input((3,)))


def test_a_training_step_of_ones_own_is_refused():
    class Mine(keras.Model):
        def call(self, x):
            return x

        def train_step(self, data):
            return {}

    model = Mine()
    model.compile("sgd", "mse")
    with pytest.raises(RuntimeError, match=r"Mine has a train_step\(\) of its own"):
        model.fit(A, A, verbose=0)


def test_a_class_of_ones_own_may_be_made_of_a_graph():
    class Mine(keras.Model):
        def __init__(self):
            inputs = keras.Input((4,))
            super().__init__(inputs=inputs, outputs=L.Dense(1)(inputs))

    model = Mine()
    assert isinstance(model, Mine)
    assert model.predict(A, verbose=0).shape == (100, 1)
    model.compile("sgd", "mse")
    assert model.fit(A, SIZE, verbose=0).open(1).formula("dense.z[0]").holds


def test_functions_between_layers_may_mix_rows_and_batches_are_then_exact():
    inputs = keras.Input((4,))
    centred = inputs - ops.mean(inputs, axis=0, keepdims=True)
    model = keras.Model(inputs, L.Dense(1, kernel_initializer="ones")(centred))
    model.compile("sgd", "mse")
    part = A[64:96]
    expected = (part - part.mean(axis=0)).sum(axis=1)
    np.testing.assert_allclose(model.predict(part, verbose=0)[:, 0], expected, atol=1e-5)
    assert model.mixes_rows(False)
    assert not two_by_two().mixes_rows(True)


def test_a_mask_travels_to_the_loss():
    x = np.where(np.arange(5) < RANDOM.integers(1, 6, 60)[:, None], RANDOM.normal(size=(60, 5)), 0.0)[
        ..., None
    ]
    y = RANDOM.integers(0, 2, (60, 5, 1)).astype("float32")
    inputs = keras.Input((5, 1))
    model = keras.Model(inputs, L.Dense(1, "sigmoid")(L.Masking()(inputs)))
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    found = model.evaluate(x, y, batch_size=60, verbose=0, return_dict=True)
    p, counts = model.predict(x, verbose=0), np.any(x != 0, axis=-1)
    loss = -(y * np.log(p) + (1 - y) * np.log(1 - p))[..., 0]
    assert found["loss"] == pytest.approx(loss[counts].mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx(((p > 0.5) == y)[..., 0][counts].mean(), rel=1e-5)
    step = model.fit(x, y, batch_size=25, verbose=0).open(2)
    assert step.formula("cost").holds
    assert step.formula("dense/kernel[0,0].gradient").holds
    assert step.check().ok


def test_masks_are_kept_as_long_as_their_arrays():
    array = keras.ops.ones((2, 3))
    with_mask(array, keras.ops.ones((2,), "bool"))
    place = id(array)
    assert mask_of(array).shape == (2,)
    from pellucid import masks

    del array
    assert place not in masks._kept


def test_the_key_of_a_part_is_an_argument_of_the_call_as_in_keras_files():
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, [inputs[:, 1:], inputs[..., 0], inputs[:, -1, None]])
    parts = [each for each in model.get_config()["layers"] if each["class_name"] == "GetItem"]
    assert [list(each["config"]) for each in parts] == [["name"]] * 3
    keys = [each["inbound_nodes"][0]["args"][1] for each in parts]
    assert [[part["class_name"] for part in key if isinstance(part, dict)] for key in keys] == [
        ["__slice__", "__slice__"],
        ["__ellipsis__"],
        ["__slice__"],
    ]
    again = keras.Model.from_config(json.loads(json.dumps(model.get_config())))
    rows = np.arange(40.0, dtype="float32").reshape(2, 5, 4)
    for one, other in zip(again.predict(rows, verbose=0), model.predict(rows, verbose=0), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ArgumentError, match="an index"):
        inputs[:, keras.Input((2,), dtype="int32")]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_policies_compute_in_16_bits_and_keep_weights_in_32(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = keras.Sequential(
            [keras.Input((4,)), L.Dense(8, "relu"), L.BatchNormalization(), L.Dense(1, dtype="float32")]
        )
        assert model.layers[0].compute_dtype == policy.removeprefix("mixed_")
        assert model.layers[0](A).dtype == policy.removeprefix("mixed_")
        assert {variable.dtype for variable in model.weights} == {"float32"}
        model.compile("adam", "mse")
        history = model.fit(A, A[:, 0], epochs=40, verbose=0)
        assert history.history["loss"][-1] < 0.7 * history.history["loss"][0]
        assert history.open(5).cost == pytest.approx(history.log["cost"][5], rel=1e-3)
    finally:
        keras.config.set_dtype_policy("float32")


def test_add_loss_reaches_the_cost_and_is_told_after_a_call_by_hand():
    class Small(L.Layer):
        def call(self, inputs):
            self.add_loss(0.5 * ops.mean(inputs**2))
            return inputs

    layer = Small()
    layer(A)
    assert float(layer.losses[0]) == pytest.approx(0.5 * np.mean(A**2), rel=1e-5)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, L.Dense(1, kernel_initializer="zeros")(layer(inputs)))
    model.compile("sgd", "mse")
    found = model.evaluate(A, np.zeros(100), batch_size=100, verbose=0)
    assert found == pytest.approx(0.5 * np.mean(A**2), rel=1e-5)


def test_texts_are_looked_up_on_the_host(tmp_path):
    colours = RANDOM.choice(["red", "green", "blue"], 100)
    look = L.StringLookup(output_mode="one_hot", vocabulary=["red", "green", "blue"])
    colour, size = keras.Input((1,), dtype="string", name="colour"), keras.Input((4,), name="size")
    model = keras.Model([colour, size], L.Dense(1, name="answer")(L.concatenate([look(colour), size])))
    model.compile("sgd", "mse")
    history = model.fit({"colour": colours, "size": A}, SIZE, validation_split=0.2, verbose=0)
    step = history.open(1)
    np.testing.assert_array_equal(step.layers["answer"].input[:, 1], colours[:80][step.rows] == "red")
    assert step.formula("answer.z[0]").holds
    model.save(tmp_path / "m.keras")
    again, rows = (
        keras.models.load_model(tmp_path / "m.keras"),
        {"colour": np.array(["red", "pink"]), "size": A[:2]},
    )
    np.testing.assert_array_equal(again.predict(rows, verbose=0), model.predict(rows, verbose=0))
    np.testing.assert_allclose(model(rows), model.predict(rows, verbose=0), rtol=1e-6)
    chain = keras.Sequential([keras.Input((1,), dtype="string"), look, L.Dense(1)])
    chain.compile("sgd", "mse")
    chain.fit(colours, SIZE, verbose=0)
    assert chain.predict(["blue", "red"], verbose=0).shape == (2, 1)
    with pytest.raises(ValueError, match="does not hold numbers"):
        two_by_two().predict([colours, B], verbose=0)


FUNCTIONS = {
    "softmax": ops.softmax,
    "relu and mean": lambda x: ops.mean(ops.relu(x), axis=-1, keepdims=True),
    "reshape": lambda x: ops.reshape(x, (-1, 2, 2)),
    "a part": lambda x: x[:, 1:],
    "einsum": lambda x: ops.einsum("ij,ij->i", x, x),
    "cast and pad": lambda x: ops.pad(ops.cast(x > 0, "float32"), ((0, 0), (1, 1))),
    "operators": lambda x: 1.0 / (ops.abs(x) ** 2 + 1.0) - x,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_between_layers_are_kept_in_files(name, tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, FUNCTIONS[name](x))
    expected = np.asarray(FUNCTIONS[name](ops.convert_to_tensor(A)))
    np.testing.assert_allclose(model.predict(A, verbose=0), expected, rtol=1e-5)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(A, verbose=0), model.predict(A, verbose=0))


@pytest.mark.slow
def test_keras_reads_functions_between_layers(tmp_path):
    functions = {
        "softmax": ops.softmax,
        "mean": lambda x: ops.mean(ops.relu(x), axis=-1, keepdims=True),
        "cast": lambda x: ops.cast(x > 0, "float32"),
        "reshape": lambda x: ops.reshape(x, (-1, 2, 2)),
        "logsumexp": lambda x: ops.logsumexp(2.0 * x + 1.0, axis=-1),
    }
    for name, function in functions.items():
        x = keras.Input((4,))
        model = keras.Model(x, function(x))
        model.save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", model.predict(A, verbose=0))
    np.save(tmp_path / "x.npy", A)
    script = """
import keras, numpy, pathlib
for file in sorted(pathlib.Path().glob("*.keras")):
    answers = keras.models.load_model(file).predict(numpy.load("x.npy"), verbose=0)
    numpy.testing.assert_allclose(answers, numpy.load(file.with_suffix(".npy")), rtol=1e-6)
"""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "KERAS_HOME": str(tmp_path / "home")}
    subprocess.run([str(JUDGE), "-c", script], cwd=tmp_path, env=environment, check=True)


def test_classes_are_weighted_where_they_are_trained_on_and_not_where_they_are_validated():
    model = keras.Sequential([keras.Input((4,)), L.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy")
    heavy = {0: 1.0, 1: 10.0}
    history = model.fit(A, YES, class_weight=heavy, validation_split=0.3, batch_size=70, verbose=0).history
    assert history["val_loss"][0] == pytest.approx(model.evaluate(A[70:], YES[70:], verbose=0), rel=1e-5)
    weights = np.where(YES[:70] == 1, 10.0, 1.0)
    weighted = model.evaluate(A[:70], YES[:70], sample_weight=weights, batch_size=70, verbose=0)
    assert history["loss"][0] == pytest.approx(weighted, rel=1e-5)


def test_a_layer_whose_output_is_for_all_rows_is_told():
    class Places(L.Layer):
        def __init__(self):
            super().__init__()
            self.places = L.Embedding(10, 4)

        def call(self, inputs):
            return inputs + self.places(ops.arange(0, 4))

    inputs = keras.Input((4, 1))
    model = keras.Model(inputs, L.Dense(1)(L.Flatten()(Places()(L.Dense(4)(inputs)))))
    model.compile("sgd", "mse")
    step = model.fit(A[..., None], SIZE, verbose=0).open(1)
    assert "places" in str(step)
    assert step.check().ok


def test_what_a_loss_of_the_whole_batch_has_no_examples_of_is_said():
    model = keras.Sequential([keras.Input((4,)), L.Dense(1)])
    model.compile("sgd", lambda y, p: ops.mean((y - p) ** 2))
    step = model.fit(A, SIZE, verbose=0).open(1)
    with pytest.raises(ValueError, match="one number for the whole batch"):
        step.pushes("dense/kernel[0,0]")


def test_a_layer_that_forgot_its_parent_is_told_so():
    class Mine(L.Layer):
        def __init__(self):
            pass

        def call(self, inputs):
            return inputs

    with pytest.raises(RuntimeError, match=r"forgot to call super\(\).__init__\(\)"):
        Mine()(A)


def test_summary_says_what_is_connected_to_what(capsys):
    two_by_two().summary(line_length=120)
    told = capsys.readouterr().out
    assert "Connected to" in told
    assert "left[0][0], multiply[0][0]" in told
