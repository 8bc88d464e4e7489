"""One whole training step, worked by hand, and the same step by `fit`.

A network 3-2-1: two hidden units with relu, one output with sigmoid, binary cross-entropy. Two rows:

    x = 1  2  3     y = 1           W1 = 0.1 -0.2     b1 = 0.1 -0.1     W2 =  0.5     b2 = 0.2
        2  0 -1         0                0.3  0.1                            -0.4
                                         0.0  0.2

Forward. Each unit sums its inputs, each times its weight, and adds its bias: z = x W + b.

    z1[0] = 1*0.1 + 2*0.3 + 3*0.0 + 0.1 = 0.8      1*-0.2 + 2*0.1 + 3*0.2 - 0.1 =  0.5
    z1[1] = 2*0.1 + 0*0.3 - 1*0.0 + 0.1 = 0.3      2*-0.2 + 0*0.1 - 1*0.2 - 0.1 = -0.7
    a1    = 0.8 0.5 and 0.3 0.0                    relu: what is negative becomes 0
    z2[0] = 0.8*0.5 - 0.5*0.4 + 0.2 = 0.40         a2[0] = 1 / (1 + exp(-0.40)) = 0.59868766
    z2[1] = 0.3*0.5 - 0.0*0.4 + 0.2 = 0.35         a2[1] = 1 / (1 + exp(-0.35)) = 0.58661758

Cost. The loss of a row is -log of the probability that was given to its class.

    loss[0] = -log(0.59868766) = 0.51301525,  loss[1] = -log(1 - 0.58661758) = 0.88338216
    cost    = (0.51301525 + 0.88338216) / 2 = 0.69819870

Gradient, from the end to the beginning. For sigmoid and cross-entropy d loss / d z2 = a2 - y,
and each row counts one half in the cost.

    d_z2 = (0.59868766 - 1) / 2 = -0.20065617 and (0.58661758 - 0) / 2 = 0.29330879
    d_W2 = 0.8*-0.20065617 + 0.3*0.29330879 = -0.07253230   and   0.5*-0.20065617 = -0.10032809
    d_b2 = -0.20065617 + 0.29330879 = 0.09265262
    d_a1 = d_z2 * W2, and d_z1 is the same where z1 is positive, 0 where it is not:
    d_z1[0] = -0.20065617*0.5 = -0.10032809    -0.20065617*-0.4 = 0.08026247
    d_z1[1] =  0.29330879*0.5 =  0.14665440     0, because z1[1, 1] is -0.7
    d_W1[0] = 1*-0.10032809 + 2*0.14665440 =  0.19298070     1*0.08026247 = 0.08026247
    d_W1[1] = 2*-0.10032809                = -0.20065617     2*0.08026247 = 0.16052494
    d_W1[2] = 3*-0.10032809 - 1*0.14665440 = -0.44763865     3*0.08026247 = 0.24078740
    d_b1    =   -0.10032809 + 0.14665440   =  0.04632631                    0.08026247

Update: see the tests.
"""

import math

import numpy as np
import pytest

import pellucid as keras
from pellucid.data import Rows
from pellucid.step import Batch, step

X = np.array([[1.0, 2.0, 3.0], [2.0, 0.0, -1.0]])
Y = np.array([[1.0], [0.0]])
WEIGHTS = {
    "W1": [[0.1, -0.2], [0.3, 0.1], [0.0, 0.2]],
    "b1": [0.1, -0.1],
    "W2": [[0.5], [-0.4]],
    "b2": [0.2],
}
COST = 0.69819870
GRADIENTS = {
    "W1": [[0.19298070, 0.08026247], [-0.20065617, 0.16052494], [-0.44763865, 0.24078740]],
    "b1": [0.04632631, 0.08026247],
    "W2": [[-0.07253230], [-0.10032809]],
    "b2": [0.09265262],
}


def network(optimizer):
    model = keras.Sequential(
        [
            keras.Input(shape=(3,)),
            keras.layers.Dense(2, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.set_weights(list(WEIGHTS.values()))
    model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    return model


def test_forward_gives_the_outputs_worked_by_hand():
    assert network("sgd").predict(X, verbose=0).ravel() == pytest.approx([0.59868766, 0.58661758])


def test_the_step_gives_the_cost_and_the_gradients_worked_by_hand():
    model = network("sgd")
    parts = model._ready(Rows(X.astype("float32"), Y.astype("float32")), "fit").parts
    state, seen = step(parts, parts.read(), Batch(X.astype("float32"), Y.astype("float32")))
    assert float(seen.cost) == pytest.approx(COST)
    assert float(seen.forward.penalty) == 0
    for gradient, expected in zip(seen.gradients, GRADIENTS.values(), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-5)
    assert len(state.weights) == 4


@pytest.mark.parametrize("shuffle", [False, True])
def test_one_step_of_fit_moves_each_weight_against_its_gradient(shuffle):
    # SGD with learning rate 0.5: w <- w - 0.5 * g. For example W1[0, 0]: 0.1 - 0.5*0.19298070 = 0.00350965.
    model = network(keras.optimizers.SGD(learning_rate=0.5))
    history = model.fit(X, Y, epochs=1, batch_size=2, verbose=0, shuffle=shuffle)
    expected = {
        "W1": [[0.00350965, -0.24013123], [0.40032809, 0.01973753], [0.22381933, 0.07960630]],
        "b1": [0.07683685, -0.14013123],
        "W2": [[0.53626615], [-0.34983596]],
        "b2": [0.15367369],
    }
    for weight, after in zip(model.get_weights(), expected.values(), strict=True):
        np.testing.assert_allclose(weight, after, atol=1e-7)
    # The loss of the epoch is the cost before the update; row 0 was right (0.599 > 0.5), row 1 was not.
    assert history.history["loss"] == [pytest.approx(COST)]
    assert history.history["accuracy"] == [0.5]


def test_one_step_of_fit_with_adam_remembers_m_and_v_and_moves_by_alpha():
    # m <- m + (g - m) * (1 - 0.9), from 0:       W1[0, 0]: 0.1 * 0.19298070 = 0.01929807
    # v <- v + (g^2 - v) * (1 - 0.999), from 0:   W1[0, 0]: 0.001 * 0.19298070^2 = 0.0000372416
    # alpha = 0.001 * sqrt(1 - 0.999^1) / (1 - 0.9^1) = 0.001 * 0.03162278 / 0.1 = 0.00031622777
    # w <- w - m * alpha / (sqrt(v) + 1e-7):      W1[0, 0]: 0.1 - 0.01929807 * 0.00031622777 / 0.00610268
    #                                                       = 0.1 - 0.00099998 = 0.09900002
    # In its first step Adam moves each weight by (nearly) the learning rate, against its gradient.
    model = network("adam")
    model.fit(X, Y, epochs=1, batch_size=2, verbose=0)
    names = [variable.path for variable in model.optimizer.variables]
    remembered = dict(zip(names, model.optimizer.variables, strict=True))
    m = remembered["adam/dense/kernel/momentum"].numpy()
    v = remembered["adam/dense/kernel/velocity"].numpy()
    assert m[0, 0] == pytest.approx(0.01929807)
    assert v[0, 0] == pytest.approx(0.0000372416, rel=1e-5)
    assert int(model.optimizer.iterations.value) == 1
    alpha = 0.001 * math.sqrt(1 - 0.999) / (1 - 0.9)
    assert alpha == pytest.approx(0.00031622777)
    for weight, before, gradient in zip(
        model.get_weights(), WEIGHTS.values(), GRADIENTS.values(), strict=True
    ):
        for w, w0, g in zip(weight.ravel(), np.ravel(before), np.ravel(gradient), strict=True):
            by_hand = w0 - (0.1 * g) * alpha / (math.sqrt(0.001 * g * g) + 1e-7)
            assert w == pytest.approx(by_hand, abs=1e-7)
    assert model.get_weights()[0][0, 0] == pytest.approx(0.09900002, abs=1e-7)


def test_a_second_step_with_adam_goes_on_from_the_first():
    # With the same gradient g twice: m = 0.1g*0.9 + 0.1g = 0.19g, v = 0.001999g^2, and both corrections
    # take that back: m / (1 - 0.81) = g, v / (1 - 0.998001) = g^2. So each step is again the learning rate.
    weight = keras.Variable([1.0, -2.0], name="weight")
    adam = keras.optimizers.Adam(learning_rate=0.01)
    for _ in range(2):
        adam.apply([np.array([0.3, -0.7], "float32")], [weight])
    np.testing.assert_allclose(weight.numpy(), [1.0 - 0.02, -2.0 + 0.02], atol=1e-6)
    m, v = (adam.slot(name, weight).numpy() for name in ("momentum", "velocity"))
    np.testing.assert_allclose(m, [0.19 * 0.3, 0.19 * -0.7], rtol=1e-5)
    np.testing.assert_allclose(v, [0.001999 * 0.09, 0.001999 * 0.49], rtol=1e-4)
