"""Learning rate schedules against optax where the formulas are the same, and by hand elsewhere."""

import numpy as np
import optax
import pytest

import pellucid as keras

S = keras.optimizers.schedules

STEPS = np.arange(0, 250)


def rates(schedule):
    return np.array([float(schedule(step)) for step in STEPS])


SAME = {
    "exponential": (S.ExponentialDecay(0.1, 20, 0.9), optax.exponential_decay(0.1, 20, 0.9)),
    "stairs": (
        S.ExponentialDecay(0.1, 20, 0.9, staircase=True),
        optax.exponential_decay(0.1, 20, 0.9, staircase=True),
    ),
    "polynomial": (
        S.PolynomialDecay(0.1, 100, 0.01, power=2.0),
        optax.polynomial_schedule(0.1, 0.01, 2.0, 100),
    ),
    "cosine": (S.CosineDecay(0.1, 100, alpha=0.1), optax.cosine_decay_schedule(0.1, 100, alpha=0.1)),
    "warm-up": (
        S.CosineDecay(0.01, 100, warmup_target=0.1, warmup_steps=20),
        optax.warmup_cosine_decay_schedule(0.01, 0.1, 20, 120),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_a_schedule_is_that_of_optax(name):
    ours, theirs = SAME[name]
    np.testing.assert_allclose(rates(ours), rates(theirs), rtol=1e-4, atol=1e-8)


def test_inverse_time_is_its_formula():
    np.testing.assert_allclose(
        rates(S.InverseTimeDecay(0.1, 20, 0.5)), 0.1 / (1 + 0.5 * STEPS / 20), rtol=1e-5
    )
    stairs = rates(S.InverseTimeDecay(0.1, 20, 0.5, staircase=True))
    np.testing.assert_allclose(stairs, 0.1 / (1 + 0.5 * (STEPS // 20)), rtol=1e-5)


def test_piecewise_constants_change_after_their_boundaries():
    found = rates(S.PiecewiseConstantDecay([10, 100], [1.0, 0.5, 0.1]))
    np.testing.assert_allclose(found, np.where(STEPS <= 10, 1.0, np.where(STEPS <= 100, 0.5, 0.1)))


def test_a_polynomial_may_begin_again():
    found = rates(S.PolynomialDecay(0.1, 100, 0.0, cycle=True))
    assert found[99] == pytest.approx(0.001, rel=1e-3)
    assert found[101] == pytest.approx(0.1 * (1 - 101 / 200), rel=1e-4)


def test_restarts_are_longer_and_lower_each_time():
    found = rates(S.CosineDecayRestarts(0.1, 50, t_mul=2.0, m_mul=0.5))
    assert found[0] == pytest.approx(0.1)
    assert found[49] < 0.001
    # At the very step of a restart rounding decides on which side of it the rate is; one later it is certain.
    assert found[51] == pytest.approx(0.05, rel=1e-2)
    assert found[151] == pytest.approx(0.025, rel=1e-2)
    same = rates(S.CosineDecayRestarts(0.1, 50, t_mul=1.0))
    np.testing.assert_allclose(same[:50], same[100:150], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", SAME)
def test_a_schedule_survives_its_configuration(name):
    schedule = SAME[name][0]
    np.testing.assert_array_equal(rates(type(schedule).from_config(schedule.get_config())), rates(schedule))


def test_an_optimizer_follows_its_schedule_step_by_step():
    weight = keras.Variable([0.0])
    sgd = keras.optimizers.SGD(S.PiecewiseConstantDecay([0], [1.0, 0.5]))
    for expected in (-1.0, -1.5, -2.0):
        sgd.apply([np.ones(1, "float32")], [weight])
        assert float(weight[0]) == expected
    with pytest.raises(ValueError, match="created with a `LearningRateSchedule`"):
        sgd.learning_rate = 0.1
