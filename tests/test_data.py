"""From what users have to numbers in rows: types, checks, splits and streams."""

import jax.numpy as jnp
import numpy as np
import pandas
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pellucid.data import Rows, Stream, as_numbers, as_rows, is_stream, require_finite, split_rows, unpack
from pellucid.errors import DataError, ShapeError


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.zeros(3, "float64"), "float32"),
        (np.zeros(3, "float16"), "float32"),
        (np.zeros(3, "int64"), "int32"),
        (np.zeros(3, "uint8"), "uint8"),
        (np.zeros(3, bool), "bool"),
        ([1, 2], "int32"),
        ([1.0, 2.0], "float32"),
        ([True, False], "bool"),
        (np.array([1, 2.5], object), "float32"),
        (jnp.zeros(3), "float32"),
        (pandas.Series([1, 2]), "int32"),
        (pandas.Series([1.0, None]), "float32"),
        (polars.Series([1, None]), "float32"),
        (pandas.DataFrame({"a": [1], "b": [True]}), "int32"),
    ],
)
def test_numbers_are_as_wide_as_the_device_holds_them(value, dtype):
    assert str(as_numbers(value).dtype) == dtype


def test_frames_keep_the_order_of_their_columns_whatever_those_are_called():
    for names in (["b", "a"], [1, 0], [(0, "x"), (0, "a")]):
        frame = pandas.DataFrame([[1.0, 2.0], [3.0, 4.0]], columns=pandas.Index(names, tupleize_cols=False))
        np.testing.assert_array_equal(as_numbers(frame), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(as_numbers(polars.DataFrame({"b": [1], "a": [2]})), [[1, 2]])


def test_sparse_matrices_become_dense():
    sparse = pytest.importorskip("scipy.sparse")
    np.testing.assert_array_equal(as_numbers(sparse.csr_matrix(np.eye(3))), np.eye(3))


def test_whole_numbers_that_do_not_fit_into_32_bits_become_floats_not_other_numbers():
    for value in (2**40, 2**31, -(2**35)):
        assert as_numbers([value, 1]).tolist() == [float(value), 1.0]
    assert as_numbers([2**31 - 1, -(2**31)]).tolist() == [2**31 - 1, -(2**31)]


@given(arrays.arrays(np.float32, (5, 3), elements=st.floats(width=32)))
def test_finite_numbers_pass_and_all_others_are_found(array):
    if np.isfinite(array).all():
        require_finite(array, "x")
    else:
        with pytest.raises(DataError) as caught:
            require_finite(array, "x")
        first = np.flatnonzero(~np.isfinite(array).all(axis=1))[0]
        assert f"rows {first}" in str(caught.value)


def test_large_numbers_whose_sum_overflows_are_finite_all_the_same():
    require_finite(np.full((1000, 2), 3e38, "float32"), "x")


@given(rows=st.integers(2, 200), fraction=st.floats(0.01, 0.99))
def test_a_split_keeps_every_row_once_the_last_ones_held_out(rows, fraction):
    whole = Rows(np.arange(rows, dtype=np.float32), np.arange(rows, dtype=np.int32))
    cut = int(rows * (1 - fraction))
    if cut in (0, rows):
        with pytest.raises(DataError, match="empty part"):
            split_rows(whole, fraction)
        return
    first, last = split_rows(whole, fraction)
    np.testing.assert_array_equal(np.r_[first.x, last.x], whole.x)
    np.testing.assert_array_equal(np.r_[first.y, last.y], whole.y)
    assert first.count == cut


@given(rows=st.integers(1, 9), size=st.integers(1, 12))
def test_filling_up_repeats_the_first_row_and_keeps_the_others(rows, size):
    whole = Rows(np.arange(rows, dtype=np.float32), None, np.ones(rows, np.float32))
    filled = whole.padded(size)
    assert filled.count == max(rows, size)
    np.testing.assert_array_equal(filled.x[:rows], whole.x)
    assert (filled.x[rows:] == 0).all()
    assert filled.y is None


def test_dicts_of_columns_are_rows_of_named_arrays():
    rows = as_rows({"a": [1.0, 2.0], "b": [[1.0], [2.0]]}, [0, 1])
    assert rows.count == 2
    assert rows.x["b"].shape == (2, 1)
    with pytest.raises(DataError, match="different numbers of rows"):
        as_rows({"a": [1.0, 2.0], "b": [1.0]}, [0, 1])


def test_class_weights_round_labels_and_read_one_hot_rows():
    by_class = {0: 1.0, 2: 5.0}
    np.testing.assert_array_equal(as_rows([[1.0]] * 3, [0, 1, 2], None, by_class).weight, [1, 1, 5])
    np.testing.assert_array_equal(as_rows([[1.0]] * 2, np.eye(3)[[2, 0]], None, by_class).weight, [5, 1])
    np.testing.assert_array_equal(as_rows([[1.0]] * 2, [[2.0], [0.0]], None, by_class).weight, [5, 1])


def test_ragged_lists_are_refused():
    with pytest.raises(ShapeError, match="ragged"):
        as_numbers([[1.0], [1.0, 2.0]])


def test_streams_are_told_from_arrays():
    for array in ([1.0], (1.0,), np.ones(2), jnp.ones(2), pandas.DataFrame({"a": [1]}), {"a": [1]}, None):
        assert not is_stream(array)
    for stream in (iter([1]), (each for each in [1]), Pairs(2)):
        assert is_stream(stream)


class Pairs:
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        return np.full((1, 1), number, "float32"), np.zeros(1, "float32")


def numbers(batches):
    return [int(rows.x[0, 0]) for rows in batches]


def test_a_stream_may_be_looked_into_without_losing_its_first_batch():
    stream = Stream(Pairs(3))
    assert int(stream.peek().x[0, 0]) == 0
    assert numbers(stream.batches()) == [0, 1, 2]
    assert numbers(stream.batches(2)) == [0, 1]


def test_a_stream_goes_on_where_the_last_epoch_ended_and_begins_anew_at_its_end():
    stream = Stream(Pairs(3))
    assert [numbers(stream.batches(2)) for _ in range(4)] == [[0, 1], [2], [0, 1], [2]]
    assert [numbers(stream.batches(3)) for _ in range(2)] == [[0, 1, 2], [0, 1, 2]]
    stream.batches(1)
    assert numbers(stream.batches(1)) == [0]
    stream.begin_anew()
    assert numbers(stream.batches(1)) == [0]


def test_an_iterator_ends_once_and_for_all():
    stream = Stream(iter([(np.zeros((1, 1)), np.zeros(1))]))
    assert numbers(stream.batches()) == [0]
    assert numbers(stream.batches()) == []


def test_batches_are_x_or_x_and_y_or_with_weights():
    x, y, w = np.zeros(1), np.ones(1), np.ones(1)
    assert unpack((x,)) == (x, None, None)
    assert unpack((x, y)) == (x, y, None)
    assert unpack([x, y, w]) == (x, y, w)
    assert unpack(x)[0] is x
    with pytest.raises(DataError, match="4 parts"):
        unpack((x, y, w, w))
