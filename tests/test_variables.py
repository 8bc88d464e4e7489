"""Variables, and the scope that makes a call pure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pellucid as keras
from pellucid.errors import ShapeError, StateError
from pellucid.variables import Scope, SeedGenerator, Variable, current_scope, pure


def test_a_variable_holds_an_array_that_can_be_assigned():
    variable = Variable([1.0, 2.0], name="w")
    assert (variable.shape, variable.ndim, variable.size, variable.dtype) == ((2,), 1, 2, "float32")
    assert variable.assign([3, 4]) is variable
    variable.assign_add([1.0, 1.0])
    variable.assign_sub(2.0 * np.ones(2))
    assert variable.numpy().tolist() == [2.0, 3.0]
    assert len(variable) == 2
    assert float(Variable(2.5)) == 2.5
    assert int(Variable(np.int32(7))) == 7


def test_numpy_gives_a_copy():
    variable = Variable([1.0])
    variable.numpy()[0] = 5.0
    assert float(variable[0]) == 1.0


def test_a_variable_computes_as_its_array():
    w, x = Variable([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 1.0]], "float32")
    np.testing.assert_array_equal(x @ w, [[4.0, 6.0]])
    np.testing.assert_array_equal(w @ x.T, [[3.0], [7.0]])
    np.testing.assert_array_equal(2 - w, [[1.0, 0.0], [-1.0, -2.0]])
    np.testing.assert_array_equal(w / 2 + w * 2 - w**2, 2.5 * w.numpy() - w.numpy() ** 2)
    np.testing.assert_array_equal(-w, -w.numpy())
    np.testing.assert_array_equal(w > 2, w.numpy() > 2)
    assert float(w.sum()) == 10.0
    assert w.T.shape == (2, 2)
    np.testing.assert_array_equal(w[0], [1.0, 2.0])
    np.testing.assert_array_equal(np.asarray(w), w.numpy())


def test_a_variable_is_made_by_an_initializer():
    variable = Variable(keras.initializers.Ones(), shape=(2, 3))
    assert variable.numpy().sum() == 6
    assert Variable("zeros" and np.zeros(2), dtype="int32").dtype == "int32"


def test_a_variable_keeps_its_shape_and_its_type():
    variable = Variable([1.0, 2.0])
    with pytest.raises(ShapeError, match="keeps its shape"):
        variable.assign([1.0])
    variable.assign(np.array([1, 2], "int64"))
    assert variable.dtype == "float32"


def test_within_a_scope_reading_and_assigning_leave_the_variable_alone():
    variable = Variable(1.0)
    with Scope([variable], [10.0])() as scope:
        assert current_scope() is scope
        assert float(variable) == 10.0
        variable.assign(np.float32(11.0))
        assert float(variable) == 11.0
        assert scope.after([variable]) == (np.float32(11.0),)
    assert current_scope() is None
    assert float(variable) == 1.0


def test_a_scope_is_closed_also_after_an_error():
    with pytest.raises(ZeroDivisionError), Scope()():
        raise ZeroDivisionError
    assert current_scope() is None


def test_a_pure_call_can_be_compiled_and_differentiated():
    weight, calls = Variable(3.0), Variable(0.0, trainable=False)

    def call(x):
        calls.assign_add(1.0)
        return weight * x**2

    function = pure(call, [weight, calls])
    result, after = jax.jit(function)([jnp.float32(2.0), jnp.float32(5.0)], jnp.float32(4.0))
    assert float(result) == 32.0
    assert [float(value) for value in after] == [2.0, 6.0]
    slope = jax.grad(lambda w: function([w, 0.0], 4.0)[0])(2.0)
    assert float(slope) == 16.0
    assert (float(weight), float(calls)) == (3.0, 0.0)


def test_assigning_a_variable_that_the_scope_does_not_know_is_refused():
    stranger = Variable(1.0, path="stranger")
    with pytest.raises(StateError, match='"stranger" was assigned'), Scope()():
        stranger.assign(2.0)


def test_a_seed_generator_gives_another_key_each_time_and_the_same_ones_from_the_same_seed():
    first, second = SeedGenerator(5), SeedGenerator(5)
    keys = [np.asarray(first.next()).tolist() for _ in range(3)]
    assert keys == [[5, 0], [5, 1], [5, 2]]
    assert [np.asarray(second.next()).tolist() for _ in range(3)] == keys


def test_variables_are_told_apart_by_identity():
    first, second = Variable(1.0), Variable(1.0)
    assert len({first, second}) == 2
    assert first in [first]
    assert first not in [second]
