"""keras.ops: real Keras is the judge of every op; symbolic tensors, variables and gradients beside it."""

import jax
import numpy as np
import pytest

import pellucid as keras
from judging import answers, compare
from ops_judge_cases import OF_ONE, OF_POSITIVE, REDUCTIONS, RUNNING, calls, positive, x
from pellucid import ops
from pellucid.errors import ArgumentError, ShapeError

#: Judged here, and not by Keras: it has no value to compare, or Keras's own is not what its definition says.
OWN = {"custom_gradient", "sparsemax"}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What both libraries give, by library: op: name: array."""
    return answers("ops_judge_cases.py", tmp_path_factory.mktemp("ops"))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(calls(ops)))
def test_an_op_gives_the_numbers_and_the_types_of_keras(found, name):
    compare(found["pellucid"][name], found["keras"][name], {}, 1e-5)


def test_every_op_is_judged():
    assert set(ops.__all__) - set(calls(ops)) == OWN


def test_sparsemax_gives_the_nearest_probabilities():
    given = np.array([[1.0, 0.9, -3.0], [0.1, 0.0, 0.2]], "float32")
    assert np.allclose(ops.sparsemax(given), [[0.55, 0.45, 0.0], [1 / 3, 0.7 / 3, 1.3 / 3]], atol=1e-6)
    assert np.allclose(ops.sparsemax(given.T, axis=0), ops.sparsemax(given).T)


SYMBOLIC = [*OF_ONE.split(), *OF_POSITIVE.split(), *REDUCTIONS.split(), *RUNNING.split()]


@pytest.mark.parametrize("name", [each for each in SYMBOLIC if each not in ("is_tensor", "size")])
def test_an_op_takes_symbolic_tensors(name):
    tensor = keras.Input(shape=(4,), batch_size=3)
    told, made = getattr(ops, name)(tensor), getattr(ops, name)(ops.convert_to_tensor(positive))
    if hasattr(made, "shape"):
        assert (told.shape, told.dtype) == (made.shape, str(made.dtype))
    else:
        assert told == made


def test_ops_stand_between_layers():
    inputs = keras.Input(shape=(4,))
    hidden = keras.layers.Dense(3)(inputs)
    joined = ops.concatenate([ops.relu(hidden), ops.expand_dims(ops.mean(inputs, axis=-1), -1)], axis=-1)
    model = keras.Model(inputs, ops.where(joined > 0.5, joined, ops.sin(joined) * 2))
    assert ops.shape(joined) == (None, 4)
    assert model.output_shape == (None, 4)
    z = np.asarray(x @ model.layers[1].get_weights()[0])
    want = np.concatenate([np.maximum(z, 0), x.mean(-1, keepdims=True)], -1)
    want = np.where(want > 0.5, want, np.sin(want) * 2)
    assert np.allclose(model.predict(x, verbose=0), want, atol=1e-6)


def test_what_has_no_numbers_is_not_made_numbers():
    with pytest.raises(ArgumentError, match="has a shape and no numbers"):
        ops.convert_to_numpy(keras.Input(shape=(4,)))


def test_ops_take_variables():
    weight = keras.Variable([[1.0, 2.0], [3.0, 4.0]])
    assert float(ops.sum(weight)) == 10
    assert ops.matmul(weight, [[1.0], [1.0]]).tolist() == [[3], [7]]
    assert ops.concatenate([weight, weight]).shape == (4, 2)
    assert ops.convert_to_numpy(weight).tolist() == [[1, 2], [3, 4]]
    assert ops.shape(weight) == (2, 2)
    assert ops.scan(lambda total, row: (total + ops.sum(row), None), 0.0, weight)[0] == 10


def test_ops_are_differentiable():
    slope = jax.grad(lambda x: ops.sum(ops.square(ops.relu(x))))(np.array([-1.0, 3.0], "float32"))
    assert slope.tolist() == [0, 6]
    assert float(jax.grad(lambda x: x * ops.stop_gradient(x))(3.0)) == 3


def test_the_files_of_keras_are_namespaces():
    assert keras.ops.numpy.sum is keras.ops.sum
    assert keras.ops.nn.relu is keras.ops.relu
    with pytest.raises(AttributeError, match="colours"):
        _ = keras.ops.colours


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: ops.binary_crossentropy([1.0], [1.0, 0.5]), "must have the same shape"),
        (lambda: ops.segment_sum([1.0], [0]), "num_segments"),
        (lambda: ops.segment_sum([1.0, 2.0], [0], 2), "segment it belongs to"),
        (lambda: ops.pad([1.0], 1, mode="reflect", constant_values=1), "constant_values"),
        (lambda: ops.scatter_update([1.0], [[0]], [1.0], "mean"), "Unsupported reduction"),
        (lambda: ops.one_hot([1], 2, sparse=True), "sparse"),
        (lambda: ops.cholesky([[1.0, 2.0], [2.0, 1.0]]), "Cholesky"),
        (lambda: ops.conv(np.ones((1, 3, 2)), np.ones((2, 3, 4))), "another number of channels"),
        (lambda: ops.conv(np.ones((1, 2, 3)), np.ones((5, 3, 4))), "empty output"),
        (lambda: ops.max_pool(np.ones((1, 4, 1)), 2, padding="full"), "padding"),
        (lambda: ops.conv_transpose(np.ones((1, 4, 1)), np.ones((2, 1, 1)), padding="full"), "padding"),
        (lambda: ops.qr(np.eye(2), mode="raw"), "mode"),
        (lambda: ops.normalize([1.0], order=0), "order"),
        (lambda: ops.cast([1.0], "float31"), "dtype is unknown"),
        (lambda: ops.dot_product_attention(*[np.ones((2, 3, 4))] * 3), "4D"),
        (lambda: ops.searchsorted(np.ones((2, 2)), 1.0), "one sequence"),
        (lambda: ops.multi_hot([1]), "num_classes"),
        (lambda: ops.fft(np.ones(3)), "two arrays"),
        (lambda: ops.max_pool(np.ones((1, 4, 1)), 2, data_format="channels_middle"), "data_format"),
    ],
)
def test_what_cannot_be_computed_is_said(wrong, said):
    with pytest.raises((ArgumentError, ShapeError), match=said):
        wrong()
