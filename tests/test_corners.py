"""Corners of opened steps, each found by trying: what is rounding, what is shared, what was not trained."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest

import pellucid as keras
from pellucid.errors import ArgumentError, DataError, ShapeError, StateError

L = keras.layers
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(100, 5)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("float32")


def fitted(*layers, optimizer="adam", loss="binary_crossentropy", x=X, y=Y, compiling=None, **fitting):
    model = keras.Sequential([keras.Input(x.shape[1:]), *layers])
    model.compile(optimizer, loss, **(compiling or {}))
    return model.fit(x, y, **{"epochs": 2, "batch_size": 32, "verbose": 0, **fitting})


def every_formula_holds(step, example=0):
    random = np.random.default_rng(step.number)
    for name in step.names():
        if name in step.weights:
            index = tuple(random.integers(0, size) for size in step.weights[name].shape)
            told = f"{name}[{','.join(map(str, index))}]" if index else name
            for what in ("", ".gradient", ".update"):
                assert step.formula(f"{told}{what}").holds, str(step.formula(f"{told}{what}"))
    str(step)
    assert "more than rounding away" not in step.story(detail="full")


@pytest.mark.parametrize("width", [4, 16, 64])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_a_bias_before_a_normalization_has_a_gradient_of_mere_rounding_and_opens(width, optimizer):
    history = fitted(
        L.Dense(width),
        L.BatchNormalization(),
        L.Activation("relu"),
        L.Dense(1, "sigmoid"),
        optimizer=optimizer,
    )
    for number in range(history.steps):
        step = history.open(number)
        assert step.layers["batch_normalization"].arrays["mean"].shape == (width,)
        assert step.formula(f"batch_normalization.mean[{width - 1}]").holds
        every_formula_holds(step)


def test_layers_whose_gradients_cancel_have_formulas_that_hold():
    history = fitted(
        L.Rescaling(2.0), L.LayerNormalization(center=False), L.BatchNormalization(scale=False, momentum=0.5),
        L.Dense(1, "sigmoid"), batch_size=13,
    )  # fmt: skip
    for number in (0, 3, history.steps - 1):
        every_formula_holds(history.open(number))


def test_an_update_of_the_wrong_sign_is_refused_however_small(monkeypatch):
    history = fitted(L.Dense(1, "sigmoid"), optimizer=keras.optimizers.Adam(1e-4))
    assert history.open(3).exact
    optimizer = history.model.optimizer
    rule = type(optimizer).update_step

    def reversed_rule(self, gradient, variable, learning_rate):
        rule(self, -gradient, variable, learning_rate)

    fresh = fitted(L.Dense(1, "sigmoid"), optimizer=keras.optimizers.Adam(1e-4))
    monkeypatch.setattr(type(optimizer), "update_step", reversed_rule)
    with pytest.raises(StateError, match="is not the step that was trained"):
        fresh.open(3)


def test_a_learning_rate_that_is_another_now_is_refused():
    rate = {"now": 0.1}
    history = fitted(L.Dense(1, "sigmoid"), optimizer=keras.optimizers.SGD(lambda: rate["now"]))
    rate["now"] = 0.2
    with pytest.raises(StateError):
        history.open(2)


def test_a_what_if_does_not_claim_to_be_the_training():
    step = fitted(L.Dense(1, "sigmoid")).open(2)
    other = step.what_if(learning_rate=0.001 * 1.0000001)
    assert step.exact
    assert not other.after.exact
    assert "Exact" not in other.story()
    assert "the training was another" in other.story()
    assert "if learning_rate" in other.story().splitlines()[0]


def test_training_that_ran_eagerly_is_replayed_eagerly():
    history = fitted(L.Dense(3, "tanh"), L.Dense(1, "sigmoid"), compiling={"run_eagerly": True}, epochs=1)
    last = history.open(-1)
    for path, value in last.weights_after.items():
        own = next(each for each in history.model.weights if each.path == path)
        np.testing.assert_array_equal(value, own.numpy())


def test_check_compares_smooth_costs_near_their_minimum_and_finds_wrong_gradients_there():
    x = RANDOM.normal(size=(64, 2)).astype("float32")
    y = x @ np.array([1.0, -2.0], "float32")
    history = fitted(
        L.Dense(1), loss="mse", optimizer=keras.optimizers.SGD(0.3), x=x, y=y, epochs=60, batch_size=64
    )
    step = history.open(-1)
    assert step.check()
    assert all(each.kinks == 0 for each in step.check().arrays)
    early = history.open(0)
    early.gradients["dense/kernel"] = early.gradients["dense/kernel"] * -5
    assert not early.check()


def test_programs_of_the_same_text_and_other_shapes_are_told_apart():
    first, second = (fitted(L.Dense(3, "relu"), L.Dense(1, "sigmoid"), batch_size=size) for size in (32, 16))
    for history, path in ((first, "dense/kernel[0,0]"), (second, "dense_2/kernel[0,0]")):
        pushes = history.open(0).pushes(path)
        assert sum(each.push for each in pushes) + pushes.penalty == pytest.approx(pushes.gradient, abs=1e-7)


def test_a_transformation_of_optax_says_by_how_much():
    step = fitted(L.Dense(1, "sigmoid"), optimizer=optax.adam(0.01)).open(1)
    formula = step.formula("dense/kernel[0,0]")
    assert formula.holds
    assert "UPDATE" in str(step)


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", "mean_with_sample_weight"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_parts_of_a_gradient_are_named_for_what_they_are(reduction, weighted):
    weight = RANDOM.uniform(0.5, 2.0, 100) if weighted else None
    loss = keras.losses.BinaryCrossentropy(reduction=reduction)
    history = fitted(L.Dense(1, "sigmoid"), loss=loss, sample_weight=weight)
    step = history.open(1)
    symbols = step.formula("dense/kernel[0,0].gradient").symbols
    by_hand = step.layers[0].input[:, 0] * step.layers[0].d_z[:, 0]
    assert by_hand.sum() == pytest.approx(step.gradients["dense/kernel"][0, 0], abs=1e-5)
    if reduction == "sum_over_batch_size" and not weighted:
        assert "/dz[0]" in symbols
        assert symbols.endswith("/32")
    if reduction == "sum":
        assert "dense.d_z[" in symbols
        assert "/32" not in symbols
    assert step.formula("dense/kernel[0,0].gradient").holds


def test_rows_of_epochs_that_end_elsewhere_have_their_numbers_and_those_of_streams_have_none():
    history = fitted(L.Dense(1, "sigmoid"), batch_size=8, steps_per_epoch=3, epochs=4)
    for number in range(history.steps):
        step = history.open(number)
        np.testing.assert_array_equal(X[step.rows], step.x)

    def batches():
        while True:
            yield X[:10], Y[:10]

    model = history.model
    stream = model.fit(batches(), steps_per_epoch=2, epochs=2, verbose=0)
    step = stream.open(3)
    assert step.rows is None
    assert "from a stream" in str(step)
    assert str(step.pushes("dense/kernel[0,0]"))


def test_whole_numbers_are_not_cut_and_impossible_labels_are_refused():
    step = fitted(L.Dense(1, "sigmoid"), x=RANDOM.integers(0, 9, (40, 3)), y=RANDOM.integers(0, 2, 40)).open(
        0
    )
    with pytest.raises(ArgumentError, match="another kind"):
        step.what_if(x={(0, 0): 2.9})
    with pytest.raises(ArgumentError, match="another kind"):
        step.what_if(y={0: 0.5})
    with pytest.raises(DataError):
        step.what_if(y={0: 5})
    assert step.what_if(x={(0, 0): 2}).after.x[0, 0] == 2


def test_a_what_if_of_weights_takes_weights():
    step = fitted(L.Dense(1, "sigmoid")).open(0)
    with pytest.raises(ArgumentError, match="their gradients follow"):
        step.what_if(weights={"dense/kernel[0,0].gradient": 5.0})
    with pytest.raises(ShapeError):
        step.what_if(weights={"dense/kernel": np.zeros(3)})
    changed = step.what_if(weights={"dense/kernel": np.zeros((5, 1)), "dense/bias": np.zeros(1)})
    assert changed.cost == pytest.approx(np.log(2))


def test_an_optimizer_of_the_same_settings_makes_the_same_step():
    model = keras.Sequential([keras.Input((5,)), L.Dense(3, "tanh"), L.Dense(1, "sigmoid")])
    adamw = keras.optimizers.AdamW(0.01, weight_decay=0.5)
    adamw.exclude_from_weight_decay(var_names=["bias"])
    model.compile(adamw, "binary_crossentropy")
    step = model.fit(X, Y, epochs=1, verbose=0).open(2)
    same = step.what_if(learning_rate=step.optimizer.learning_rate)
    for path, update in step.updates.items():
        np.testing.assert_allclose(same.updates[path], update, atol=1e-7)
    fresh = step.what_if(optimizer="adam", learning_rate=0.01)
    assert int(fresh.after.optimizer.before["iteration"]) == 0
    largest = max(np.abs(update).max() for update in fresh.updates.values())
    assert largest == pytest.approx(0.01, rel=1e-3)


def test_a_layer_that_hands_out_one_name_twice_has_both():
    class Twice(keras.Layer):
        def call(self, inputs):
            first = self.hand_out("z", inputs * 2.0)
            return self.hand_out("z", jnp.tanh(first))

    layer = fitted(Twice(), L.Dense(1, "sigmoid")).open(0).layers["twice"]
    np.testing.assert_allclose(layer.arrays["z"], 2 * layer.input, rtol=1e-6)
    np.testing.assert_array_equal(layer.arrays["z_2"], layer.output)


def test_columns_name_inputs_only_where_the_first_layer_is_given_the_rows():
    class Part(keras.Model):
        def __init__(self):
            super().__init__()
            self.last = L.Dense(1, "sigmoid")

        def call(self, inputs):
            return self.last(inputs[:, 1:])

    model = Part()
    model.compile("sgd", "binary_crossentropy")
    step = model.fit(pd.DataFrame(X, columns=list("abcde")), Y, verbose=0, batch_size=50).open(0)
    assert "a*" not in step.formula("last.z[0]" if "last" in step.names() else "dense.z[0]").symbols


def test_a_layer_whose_z_has_another_shape_than_its_output_can_be_told():
    class Maxout(keras.Layer):
        def __init__(self):
            super().__init__()
            self.inner = L.Dense(8)

        def call(self, inputs):
            z = self.hand_out("z", self.inner(inputs))
            return jnp.max(z.reshape(z.shape[0], 4, 2), axis=-1)

    step = fitted(Maxout(), L.Dense(1, "sigmoid")).open(1)
    assert "maxout" in str(step)
    assert "maxout" in step._repr_html_()


def test_a_model_without_a_loss_can_be_told():
    class Own(keras.Layer):
        def build(self, shape):
            self.w = self.add_weight((shape[-1],), "ones", name="w")

        def call(self, inputs):
            self.add_loss(jnp.mean(jnp.square(inputs * self.w)))
            return inputs * self.w

    model = keras.Sequential([keras.Input((5,)), Own()])
    model.compile("sgd")
    step = model.fit(X, epochs=1, verbose=0).open(0)
    assert "COST" in str(step)
    assert step.formula("cost").holds
    with pytest.raises(ArgumentError, match="without a loss"):
        step.pushes("own/w[0]")


def test_an_answer_that_is_no_number_is_no_decision():
    history = fitted(L.Dense(1, "sigmoid"), x=X, y=Y)
    row = X[0].copy()
    row[2] = np.nan
    assert history.model.explain(row).decision == "none: the output is no number, because x[2] is missing"
    scaled = keras.Sequential([keras.Input((5,)), L.Dense(1, "sigmoid"), L.Rescaling(100.0)])
    assert scaled.explain(X[0]).decision.startswith("the answer is")


def test_explain_takes_rows_by_name_and_refuses_another_order():
    frame = pd.DataFrame(X, columns=list("abcde"))
    model = keras.Sequential([keras.Input((5,)), L.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    model.fit(frame, Y, verbose=0)
    named = model.explain({name: float(frame[name][7]) for name in "edcba"})
    np.testing.assert_allclose(named.outputs, model.predict(X[7:8], verbose=0), rtol=1e-6)
    with pytest.raises(ArgumentError, match="another order"):
        model.explain(frame[list("edcba")].iloc[[7]])
    with pytest.raises(ArgumentError, match="labels"):
        model.explain(X[7], labels=["a", "b", "c"])


def test_the_formula_of_an_example_says_which_and_is_that_of_the_story():
    step = fitted(L.Dense(1, "sigmoid")).open(1)
    told = str(step.formula("dense.z[0]"))
    assert told.endswith(f"(example {step.followed})")
    assert told.removesuffix(f"  (example {step.followed})") in str(step).replace("\n        ", " ")
    assert step.formula("dense.z[0]", example=0).remark == ""


def test_pushes_of_a_whole_array_say_that_they_are_lengths():
    step = fitted(L.Dense(1, "sigmoid")).open(1)
    assert "length" in str(step.pushes("dense/kernel"))
    one, whole = step.pushes("dense/bias[0]"), step.pushes("dense/bias")
    assert one.gradient == whole.gradient


def test_layers_called_inside_of_a_scan_are_told_to_be_out_of_sight():
    class Scanned(keras.Layer):
        def __init__(self):
            super().__init__()
            self.cell = L.Dense(5)

        def call(self, inputs):
            return jax.lax.scan(lambda carry, _: (self.cell(carry), None), inputs, None, length=2)[0]

    history = fitted(Scanned(), L.Dense(1, "sigmoid"))
    with pytest.raises(StateError, match="scan"):
        history.open(0)
    with pytest.raises(StateError, match="scan"):
        history.model.explain(X[0])


@pytest.mark.parametrize(
    "ask",
    [
        lambda step: step.formula(3),
        lambda step: step.formula("dense.z[0]", example="x"),
        lambda step: step.story(example="x"),
        lambda step: step.story(layer="dense", unit="x"),
        lambda step: step.story(layer=1.5),
        lambda step: step.story(unit=3),
        lambda step: step.check("dense/kernel"),
        lambda step: step.check(0),
        lambda step: step.what_if(x=3),
        lambda step: step.what_if(weights="x"),
        lambda step: step.what_if(),
    ],
)
def test_what_means_nothing_is_one_clear_error(ask):
    with pytest.raises(ArgumentError):
        ask(fitted(L.Dense(1, "sigmoid")).open(0))


def test_a_model_too_large_for_a_record_in_memory_trains_and_says_why_it_cannot_be_opened(monkeypatch):
    from pellucid import record as recording

    monkeypatch.setattr(recording, "wanted", lambda record: recording.Kept(budget=1_000))
    history = fitted(L.Dense(64), L.Dense(1, "sigmoid"))
    assert history.steps == 0
    assert len(history.history["loss"]) == 2
    with pytest.raises(StateError, match="DIRECTORY"):
        history.open(0)
