"""Optimizers against optax where the formulas are the same, and by hand elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pellucid as keras
from pellucid import optimizers
from pellucid.variables import Variable

O = optimizers

FIRST = [np.array([[1.0, -2.0], [0.5, 3.0]], "float32"), np.array([0.1, -0.2], "float32")]


def slope(weights):
    """The gradient of a bowl whose walls differ in steepness."""
    return [w * np.float32(s) for w, s in zip(weights, (0.5, 4.0), strict=True)]


def ours(optimizer, steps=12):
    variables = [Variable(value, name=f"w{n}") for n, value in enumerate(FIRST)]
    for _ in range(steps):
        optimizer.apply(slope([variable.numpy() for variable in variables]), variables)
    return [variable.numpy() for variable in variables]


def theirs(transformation, steps=12):
    weights = [jnp.asarray(value) for value in FIRST]
    state = transformation.init(weights)
    for _ in range(steps):
        updates, state = transformation.update(slope(weights), state, weights)
        weights = optax.apply_updates(weights, updates)
    return weights


SAME = {
    "sgd": (lambda: O.SGD(0.1), optax.sgd(0.1)),
    "momentum": (lambda: O.SGD(0.1, momentum=0.9), optax.sgd(0.1, momentum=0.9)),
    "nesterov": (lambda: O.SGD(0.1, 0.9, nesterov=True), optax.sgd(0.1, momentum=0.9, nesterov=True)),
    # Keras puts epsilon beside the uncorrected root; without epsilon both say the same.
    "adam": (lambda: O.Adam(0.1, epsilon=1e-12), optax.adam(0.1, eps=1e-12)),
    "rmsprop": (
        lambda: O.RMSprop(0.1, epsilon=1e-7),
        optax.rmsprop(0.1, decay=0.9, eps=1e-7, eps_in_sqrt=True),
    ),
    "rmsprop centered": (
        lambda: O.RMSprop(0.01, centered=True, epsilon=1e-3),
        optax.rmsprop(0.01, decay=0.9, eps=1e-3, centered=True, eps_in_sqrt=True),
    ),
    "adagrad": (lambda: O.Adagrad(0.1), optax.adagrad(0.1, initial_accumulator_value=0.1, eps=1e-7)),
    "decay": (
        lambda: O.SGD(0.1, weight_decay=0.1),
        optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1)),
    ),
    "clipvalue": (lambda: O.SGD(0.1, clipvalue=0.3), optax.chain(optax.clip(0.3), optax.sgd(0.1))),
    "global_clipnorm": (
        lambda: O.SGD(0.1, global_clipnorm=0.3),
        optax.chain(optax.clip_by_global_norm(0.3), optax.sgd(0.1)),
    ),
    "clipnorm": (
        lambda: O.SGD(0.1, clipnorm=0.3),
        optax.chain(
            optax.stateless(
                lambda gradients, _: [
                    g * jnp.minimum(1.0, 0.3 / jnp.linalg.norm(jnp.ravel(g))) for g in gradients
                ]
            ),
            optax.sgd(0.1),
        ),
    ),
    "schedule": (
        lambda: O.SGD(O.schedules.ExponentialDecay(0.1, 3, 0.5)),
        optax.sgd(optax.exponential_decay(0.1, 3, 0.5)),
    ),
    "transformation": (lambda: O.get(optax.lion(0.01)), optax.lion(0.01)),
}


@pytest.mark.parametrize("name", SAME)
def test_an_optimizer_goes_where_that_of_optax_goes(name):
    make, judge = SAME[name]
    for mine, other in zip(ours(make()), theirs(judge), strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=2e-6)


def by_hand(rule, steps=12):
    """The same descent with plain NumPy in float64: `rule(t, w, g, memory)` gives the next w."""
    weights, memories = [w.astype(float) for w in FIRST], [{}, {}]
    for t in range(1, steps + 1):
        gradients = slope(weights)
        weights = [rule(t, w, g, m) for w, g, m in zip(weights, gradients, memories, strict=True)]
    return weights


def adam(t, w, g, memory, decay=0.0, amsgrad=False):
    w = w - w * decay * 0.1
    m = memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
    v = memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g * g
    if amsgrad:
        v = memory["top"] = np.maximum(memory.get("top", 0), v)
    alpha = 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return w - alpha * m / (np.sqrt(v) + 1e-7)


def nadam(t, w, g, memory):
    def mu(t):
        return 0.9 * (1 - 0.5 * 0.96**t)

    product = memory["product"] = memory.get("product", 1.0) * mu(t)
    m = memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
    v = memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g * g
    ahead = mu(t + 1) * m / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (1 - product)
    return w - 0.1 * ahead / (np.sqrt(v / (1 - 0.999**t)) + 1e-7)


def rmsprop_with_momentum(t, w, g, memory):
    v = memory["v"] = 0.9 * memory.get("v", 0) + 0.1 * g * g
    step = memory["step"] = 0.5 * memory.get("step", 0) + 0.1 * g / np.sqrt(v + 1e-7)
    return w - step


BY_HAND = {
    "adam": (lambda: O.Adam(0.1), adam),
    "amsgrad": (lambda: O.Adam(0.1, amsgrad=True), lambda *a: adam(*a, amsgrad=True)),
    "adamw": (lambda: O.AdamW(0.1, weight_decay=0.05), lambda *a: adam(*a, decay=0.05)),
    "nadam": (lambda: O.Nadam(0.1), nadam),
    "rmsprop": (lambda: O.RMSprop(0.1, momentum=0.5), rmsprop_with_momentum),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_an_optimizer_is_its_formula(name):
    make, rule = BY_HAND[name]
    for mine, expected in zip(ours(make()), by_hand(rule), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-5)


def test_the_rates_they_begin_with_are_those_of_keras():
    assert float(O.get("sgd").learning_rate) == pytest.approx(0.01)
    for name in ("adam", "adamw", "rmsprop", "adagrad", "nadam"):
        assert float(O.get(name).learning_rate) == pytest.approx(0.001)


def test_the_variables_of_an_optimizer_come_in_the_order_of_keras():
    adam = O.Adam()
    adam.build([Variable(value, path=f"layer/w{n}") for n, value in enumerate(FIRST)])
    assert [variable.name for variable in adam.variables] == [
        "iteration",
        "learning_rate",
        "layer_w0_momentum",
        "layer_w0_velocity",
        "layer_w1_momentum",
        "layer_w1_velocity",
    ]
    assert [v.name for v in O.Adam(O.schedules.CosineDecay(0.1, 5)).variables] == ["iteration"]


def test_weights_can_be_left_out_of_the_decay():
    sgd = O.SGD(0.1, weight_decay=0.5)
    kernel, bias = Variable([1.0], name="kernel"), Variable([1.0], name="bias")
    sgd.exclude_from_weight_decay(var_names=["bias"])
    sgd.apply([np.zeros(1, "float32")] * 2, [kernel, bias])
    assert float(kernel[0]) == pytest.approx(0.95)
    assert float(bias[0]) == 1.0


def test_constraints_come_after_the_update():
    weight = Variable([0.1, 1.0], constraint=keras.constraints.NonNeg())
    O.SGD(1.0).apply([np.array([0.5, 0.5], "float32")], [weight])
    assert weight.numpy().tolist() == [0.0, 0.5]


def test_gradients_and_weights_may_come_in_pairs():
    weight = Variable([1.0])
    O.SGD(0.5).apply_gradients([(np.ones(1, "float32"), weight)])
    assert float(weight[0]) == 0.5


def test_the_learning_rate_may_be_a_function_and_may_be_set():
    weight = Variable([0.0])
    O.SGD(lambda: 0.25).apply([np.ones(1, "float32")], [weight])
    assert float(weight[0]) == -0.25
    sgd = O.SGD(0.5)
    sgd.learning_rate = 0.125
    assert float(sgd.learning_rate) == 0.125
    assert sgd.get_config()["learning_rate"] == 0.125


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Nadam"])
def test_each_optimizer_finds_the_bottom_of_a_bowl(name):
    weight = Variable([3.0, -2.0])
    optimizer = getattr(O, name)(learning_rate=0.1 if name != "Adagrad" else 1.0)
    step = jax.grad(lambda w: jnp.sum(jnp.square(w)))
    for _ in range(300):
        optimizer.apply([step(jnp.asarray(weight.numpy()))], [weight])
    assert np.abs(weight.numpy()).max() < 0.1


@pytest.mark.parametrize(
    "make",
    [
        lambda: O.Adadelta(1.0),
        lambda: O.Adamax(0.01),
        lambda: O.Ftrl(0.1, l1_regularization_strength=0.01),
        lambda: O.Lion(0.01, weight_decay=0.1),
        lambda: O.Adam(0.01, gradient_accumulation_steps=3, clipnorm=0.1),
        lambda: O.Adagrad(0.1, gradient_accumulation_steps=2, weight_decay=0.1),
        lambda: O.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),
        lambda: O.SGD(0.1, use_ema=True, ema_overwrite_frequency=3, gradient_accumulation_steps=2),
    ],
)
def test_an_opened_step_says_how_the_weights_moved(make, table, classifier):
    model = classifier(optimizer=make())
    history = model.fit(*table, epochs=2, verbose=0)
    for number in range(6):
        step = history.open(number)
        for path in step.weights:
            index = (0,) * step.weights[path].ndim
            name = f"{path}[{','.join(map(str, index))}]"
            for what in (name, f"{name}.update"):
                formula = step.formula(what)
                assert formula.holds, (number, str(formula))


def test_gradients_are_gathered_over_steps_and_shared_by_one_update():
    weight = Variable([1.0])
    sgd = O.SGD(1.0, gradient_accumulation_steps=2)
    seen = []
    for gradient in (0.1, 0.3, 0.5, 0.5):
        sgd.apply([np.array([gradient], "float32")], [weight])
        seen.append(round(float(weight[0]), 6))
    assert seen == [1.0, 0.8, 0.8, 0.3]
    assert int(sgd.iterations) == 2
    assert sgd.get_config()["gradient_accumulation_steps"] == 2


def test_fit_ends_with_the_running_means_as_weights(table, classifier):
    optimizer = O.SGD(0.1, use_ema=True, ema_momentum=0.9)
    model = classifier(optimizer=optimizer)
    model.fit(*table, epochs=2, verbose=0)
    for variable in model.trainable_variables:
        np.testing.assert_array_equal(variable.numpy(), optimizer.slot("average", variable).numpy())


def test_a_step_as_a_function_of_values_leaves_the_variables_alone():
    weight = Variable([1.0])
    adam = O.Adam(0.1)
    adam.build([weight])
    state = [variable.numpy() for variable in adam.variables]
    (moved,), after = adam.stateless_apply(state, [np.ones(1, "float32")], [weight.numpy()])
    assert float(moved[0]) == pytest.approx(0.9, abs=1e-6)
    assert int(after[0]) == 1
    assert float(weight[0]) == 1.0
    assert int(adam.iterations) == 0


def test_variables_lie_in_the_order_of_keras_files():
    weights = [Variable([1.0], name=name) for name in "ab"]

    def order(optimizer):
        optimizer.build(weights)
        return " ".join(variable.name for variable in optimizer.variables[2:])

    assert order(O.Adam(amsgrad=True)) == (
        "a_momentum a_velocity b_momentum b_velocity a_velocity_hat b_velocity_hat"
    )
    assert order(O.RMSprop(momentum=0.5, centered=True)) == (
        "a_velocity b_velocity a_momentum b_momentum a_average_gradient b_average_gradient"
    )
    assert order(O.Nadam(use_ema=True, gradient_accumulation_steps=2)) == (
        "a_average b_average a_gradient_accumulator b_gradient_accumulator "
        "a_momentum a_velocity b_momentum b_velocity u_product"
    )


def test_gradients_without_weights_and_weights_without_gradients():
    weights = [Variable([1.0], name="a"), Variable([1.0], name="b")]
    sgd = O.SGD(0.5)
    sgd.apply([], weights)
    with pytest.raises(ValueError, match="No gradients provided"):
        sgd.apply([None, None], weights)
    with pytest.warns(UserWarning, match=r"Gradients do not exist for variables \['b'\]"):
        sgd.apply([np.ones(1, "float32"), None], weights)
    assert [float(weight[0]) for weight in weights] == [0.5, 1.0]
    with pytest.raises(ValueError, match="Unknown variable"):
        sgd.apply([np.ones(1, "float32")], [Variable([1.0])])
    with pytest.raises(TypeError, match="LearningRateSchedule"):
        O.SGD(O.schedules.CosineDecay(0.1, 5)).learning_rate = 0.1
