"""The scale of the cost, for float16: it changes no number but those that float16 would lose."""

import json
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pellucid as keras
from pellucid import History
from pellucid.engine import Engine
from pellucid.errors import ArgumentError
from pellucid.step import Batch, Parts, step
from pellucid.variables import Variable

L, O = keras.layers, keras.optimizers

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(100, 4)).astype("float32")
Y = (X[:, :1] + X[:, 1:2] > 0).astype("float32")


@pytest.fixture
def halves():
    """Layers compute in float16 in this test."""
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


def network(optimizer="adam", **compiling):
    keras.utils.set_random_seed(3)
    layers = [L.Dense(5, activation="tanh", name="hidden"), L.Dense(3, activation="relu", name="next")]
    model = keras.Sequential([keras.Input((4,)), *layers, L.Dense(1, activation="sigmoid", name="last")])
    model.compile(optimizer, "mse", **compiling)
    return model


def trained(optimizer, epochs=3, **compiling):
    model = network(optimizer, **compiling)
    return model, model.fit(X, Y, epochs=epochs, batch_size=32, verbose=0)


def same(one, other):
    np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-7)


# It is undone.


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clipnorm": 0.1},
        {"gradient_accumulation_steps": 2},
        {"use_ema": True, "ema_overwrite_frequency": 2},
    ],
)
def test_a_scale_changes_nothing_in_float32(options):
    plain, history = trained(O.AdamW(0.01, weight_decay=0.1, **options))
    for scaled in (
        O.AdamW(0.01, weight_decay=0.1, loss_scale_factor=2.0**10, **options),
        O.LossScaleOptimizer(O.AdamW(0.01, weight_decay=0.1, **options), 2.0**10, 3),
    ):
        other, told = trained(scaled)
        for one, another in zip(plain.get_weights(), other.get_weights(), strict=True):
            same(one, another)
        same(told.history["loss"], history.history["loss"])
        same(told.log["cost"], history.log["cost"])
        mine, theirs = told.open(4), history.open(4)
        for path, gradient in theirs.gradients.items():
            same(mine.gradients[path], gradient)
        for one, other_layer in zip(mine.layers, theirs.layers, strict=True):
            same(one.d_output, other_layer.d_output)
        assert mine.optimizer.loss_scale == (2.0**10 if scaled.mover is scaled else 2.0**11)


def test_where_nothing_is_scaled_the_program_knows_of_no_scale():
    def text(optimizer):
        model = network(optimizer)
        model.gradients(X[:8], Y[:8])
        parts = Parts(model, model._objective, model.optimizer)
        state = parts.read()._replace(metrics=Engine(parts).no_sums())
        batch = Batch(X[:8], Y[:8], None, None, 8)
        return str(jax.make_jaxpr(lambda state: step(parts, state, batch)[0])(state))

    plain, scaled = text(O.SGD(0.1)), text(O.SGD(0.1, loss_scale_factor=2.0))
    weights = 6
    assert scaled.count(" mul ") > plain.count(" mul ")
    assert scaled.count(" div ") >= plain.count(" div ") + weights


def test_what_is_lost_in_float16_is_kept_by_the_scale(halves):
    def moved(**compiling):
        deep = [L.Dense(1, "sigmoid", use_bias=False, kernel_initializer="ones") for _ in range(15)]
        model = keras.Sequential([keras.Input((1,)), *deep])
        model.compile(O.SGD(1e9), "mse", **compiling)
        history = model.fit(np.ones((1, 1)), np.ones((1, 1)), verbose=0)
        first = history.open(0).layers[0]
        return float(model.layers[0].kernel[0, 0]) != 1.0, float(first.d_z[0, 0]), first.d_z.dtype

    assert moved(auto_scale_loss=False) == (False, 0.0, np.float16)
    moves, slope, dtype = moved()
    assert moves
    assert dtype == np.float32
    assert 0.0 < abs(slope) < 2.0**-25


# Who is wrapped.


def test_compile_wraps_the_optimizer_of_mixed_float16_alone(halves):
    wrapped = network("rmsprop").optimizer
    assert isinstance(wrapped, O.LossScaleOptimizer)
    assert wrapped.name == "loss_scale_optimizer"
    assert isinstance(wrapped.inner_optimizer, O.RMSprop)
    assert isinstance(network("rmsprop", auto_scale_loss=False).optimizer, O.RMSprop)
    own = O.LossScaleOptimizer(O.SGD(0.1))
    assert network(own).optimizer is own
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert isinstance(network("rmsprop").optimizer, O.RMSprop)
    assert keras.mixed_precision.LossScaleOptimizer is O.LossScaleOptimizer


def test_an_optimizer_of_optax_is_wrapped_too(halves):
    import optax

    _, history = trained(optax.adam(0.01), epochs=5)
    assert history.history["loss"][-1] < history.history["loss"][0]


def test_the_learning_rate_and_the_decay_are_those_of_the_inner_optimizer():
    scaled = O.LossScaleOptimizer(O.AdamW(0.25, weight_decay=0.1))
    weight, bias = Variable([1.0], name="kernel"), Variable([1.0], name="bias")
    scaled.exclude_from_weight_decay(var_names=["bias"])
    scaled.learning_rate = 0.5
    assert float(scaled.inner_optimizer.learning_rate) == float(scaled.lr) == 0.5
    scaled.build([weight, bias])
    assert scaled.decays(weight)
    assert not scaled.decays(bias)
    assert [variable.name for variable in scaled.variables][:6] == [
        *("iteration", "learning_rate", "step_counter", "dynamic_scale", "iteration", "learning_rate"),
    ]
    scaled.apply([jnp.ones(1), jnp.ones(1)])
    assert int(scaled.iterations) == 1


def test_the_configuration_is_four_entries():
    inner = O.SGD(0.5, momentum=0.25, loss_scale_factor=8.0)
    scaled = O.LossScaleOptimizer(inner, 3.0, 2, name="own")
    assert inner.loss_scale_factor is None
    config = scaled.get_config()
    assert list(config) == ["name", "inner_optimizer", "initial_scale", "dynamic_growth_steps"]
    again = O.LossScaleOptimizer.from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config
    assert (
        O.LossScaleOptimizer.from_config({**config, "clipnorm": None, "use_ema": False}).get_config()
        == config
    )
    with pytest.raises(ArgumentError, match="on the `inner_optimizer`"):
        O.LossScaleOptimizer(inner, clipnorm=1.0)


# A step that is skipped, opened.


def test_a_step_whose_gradients_are_not_finite_is_told_as_it_was(halves):
    model, history = trained(O.LossScaleOptimizer(O.Adam(0.01), 2.0**40), epochs=9)
    skipped = [number for number in range(history.steps) if history.open(number).optimizer.skipped]
    assert skipped[:20] == list(range(20))
    assert int(model.optimizer.iterations) == history.steps - len(skipped) > 0
    assert float(model.optimizer.dynamic_scale) == 2.0 ** (40 - len(skipped))
    opened = history.open(1)
    assert opened.exact or opened.difference < 1e-3
    assert opened.optimizer.loss_scale == 2.0**39
    assert opened.optimizer.after["dynamic_scale"] == 2.0**38
    assert not np.isfinite(opened.gradients["hidden/kernel"]).all()
    for path, weight in opened.weights.items():
        np.testing.assert_array_equal(opened.weights_after[path], weight)
        index = ",".join("0" * weight.ndim)
        for reference in (f"{path}[{index}]", f"{path}[{index}].update", f"{path}[{index}].gradient"):
            assert opened.formula(reference).holds, reference
        assert opened.formula(f"{path}[{index}].update").value == 0.0
    told = opened.story()
    assert (
        "UPDATE    skipped: gradients not finite, scale halved to 2.749e+11 (Adam, learning rate 0.01" in told
    )
    assert "too large for float16" in told
    assert "more than rounding away" not in told
    assert "skipped: gradients not finite" in opened._repr_html_()


def test_a_step_that_moves_shows_the_gradients_of_the_cost_itself(halves):
    _, history = trained(O.LossScaleOptimizer(O.Adam(0.01), 2.0**10, 3))
    opened = history.open(2)
    assert not opened.optimizer.skipped
    assert {gradient.dtype for gradient in opened.gradients.values()} == {np.dtype("float32")}
    assert opened.layers["hidden"].d_z.dtype == np.float32
    assert opened.layers["hidden"].z.dtype == np.float16
    references = [each for path, weight in opened.weights.items() for each in places(path, weight)]
    for reference in references:
        for asked in (reference, f"{reference}.update", f"{reference}.gradient"):
            assert opened.formula(asked).holds, asked
    told = opened.story()
    assert "Adam, learning rate 0.01, its step 3, cost scaled by 1024, from then on by 2048" in told
    assert "more than rounding away" not in told
    assert opened.check()


def places(path, weight):
    return [f"{path}[{','.join(map(str, index))}]" for index in np.ndindex(*weight.shape)]


def test_what_if_keeps_the_scale(halves):
    _, history = trained(O.LossScaleOptimizer(O.Adam(0.01), 2.0**10, 3))
    opened = history.open(4)
    assert opened.optimizer.loss_scale == 2.0**11
    for changed in ({"learning_rate": 0.1}, {"beta_1": 0.5}, {"optimizer": "sgd"}, {"optimizer": O.SGD(0.5)}):
        other = opened.what_if(**changed).after
        assert other.optimizer.loss_scale == 2.0**11
        assert other.optimizer.after["step_counter"] == 2
        for path, gradient in opened.gradients.items():
            np.testing.assert_array_equal(other.gradients[path], gradient)
    assert opened.what_if(learning_rate=0.1).after.optimizer.learning_rate == pytest.approx(0.1)
    begun = opened.what_if(optimizer=O.LossScaleOptimizer(O.SGD(0.5), 4.0)).after.optimizer
    assert (begun.kind, begun.loss_scale) == ("SGD", 4.0)


def test_callbacks_change_the_rate_of_the_inner_optimizer(halves):
    model = network()
    halving = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = model.fit(X, Y, epochs=3, batch_size=32, callbacks=[halving], verbose=0)
    assert history.history["learning_rate"] == pytest.approx([0.0005, 0.00025, 0.000125])
    assert history.open(11).optimizer.learning_rate == pytest.approx(0.000125)


# Files.


def test_a_run_comes_back_with_its_scale(halves, tmp_path):
    _, history = trained(O.LossScaleOptimizer(O.AdamW(0.01), 2.0**20, 3))
    history.save(tmp_path / "run.pellucid")
    keras.config.set_dtype_policy("float32")
    again = History.load(tmp_path / "run.pellucid")
    for number in (0, 5, 11):
        mine, theirs = again.open(number).optimizer, history.open(number).optimizer
        assert mine.before.keys() == theirs.before.keys()
        assert mine.loss_scale == theirs.loss_scale
        assert mine.skipped == theirs.skipped


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("written", ["as it is", "as Keras writes it"])
def test_a_file_says_whether_the_cost_was_scaled(halves, tmp_path, wrapped, written):
    model, _ = trained("adam", auto_scale_loss=wrapped)
    model.save(tmp_path / "m.keras")
    if written == "as Keras writes it":
        with zipfile.ZipFile(tmp_path / "m.keras") as file:
            members = {name: file.read(name) for name in file.namelist()}
        config = json.loads(members["config.json"])
        compiled = config["compile_config"]
        compiled.pop("auto_scale_loss", None)
        if wrapped:
            compiled["optimizer"] = compiled["optimizer"]["config"]["inner_optimizer"]
        members["config.json"] = json.dumps(config).encode()
        with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
            for name, content in members.items():
                file.writestr(name, content)
    for policy in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        again = keras.models.load_model(tmp_path / "m.keras")
        assert isinstance(again.optimizer, O.LossScaleOptimizer) == wrapped
        for one, other in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())
