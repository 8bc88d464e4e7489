"""Categories, bins and vocabularies: what they give, their files, and what they refuse."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pellucid as keras
from lookup_cases import FACTS, cases
from pellucid.errors import ArgumentError, DataError, FileError, StateError
from pellucid.layers.fingerprint import siphash64

L = keras.layers
FOUND = cases(keras)
TOLD = json.loads(FACTS.read_text())


def test_the_facts_are_those_of_the_cases():
    assert list(FOUND) == list(TOLD)


@pytest.mark.parametrize("case", TOLD)
def test_lookups_and_bins_are_those_of_keras(case):
    shape, values = TOLD[case]
    assert list(FOUND[case].shape) == shape
    if FOUND[case].dtype.kind == "f":
        np.testing.assert_allclose(FOUND[case].ravel(), values, rtol=1e-6)
    else:
        assert FOUND[case].ravel().tolist() == values


def test_siphash_is_that_of_its_authors():
    # The example of the paper's appendix A.
    key = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
    assert siphash64(bytes(range(15)), key) == 0xA129CA6149BE45E5


def test_words_and_their_numbers_go_both_ways():
    there = L.StringLookup(vocabulary=["a", "b", "c"], mask_token="")
    back = L.StringLookup(vocabulary=["a", "b", "c"], mask_token="", invert=True)
    words = [["a", ""], ["z", "c"]]
    assert there(words).tolist() == [[2, 0], [1, 4]]
    assert back(there(words)).tolist() == [["a", ""], ["[UNK]", "c"]]
    assert back(np.array([9, -1])).tolist() == ["[UNK]", "[UNK]"]
    assert there.get_vocabulary() == ["", "[UNK]", "a", "b", "c"]
    assert there.get_vocabulary(include_special_tokens=False) == ["a", "b", "c"]


def test_bytes_and_objects_are_texts():
    layer = L.StringLookup(vocabulary=["é", "b"])
    assert layer(np.array(["é".encode(), "b"], dtype=object)).tolist() == [1, 2]
    assert layer(np.array([b"b", b"x"])).tolist() == [2, 0]
    assert layer("b").tolist() == 2


@given(st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=30))
def test_every_word_that_was_learned_is_found(words):
    layer = L.StringLookup()
    layer.adapt(words)
    vocabulary = layer.get_vocabulary()
    assert set(vocabulary[1:]) == set(map(str, np.array(words))) - {"[UNK]"}
    assert [vocabulary[number] for number in layer(words).tolist()] == [str(each) for each in np.array(words)]
    counts = [words.count(word) for word in vocabulary[1:]]
    assert counts == sorted(counts, reverse=True)


def test_a_vocabulary_is_learned_from_at_most_so_many_batches():
    layer = L.IntegerLookup()
    layer.adapt(iter([[1, 2], [2, 3], [9, 9]]), steps=2)
    assert layer.get_vocabulary() == [-1, 2, 3, 1]


def test_a_vocabulary_comes_from_a_file(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("a\nb\n")
    layer = L.StringLookup(vocabulary=str(path))
    assert layer(["b"]).tolist() == [2]
    assert layer.get_config()["vocabulary"] is None
    with pytest.raises(FileError, match="does not exist"):
        L.StringLookup(vocabulary=str(tmp_path / "none"))


@pytest.mark.parametrize("mode", ["int", "multi_hot", "tf_idf"])
def test_what_was_learned_goes_into_files_and_comes_back(mode):
    layer = L.StringLookup(output_mode=mode, mask_token="")
    layer.adapt(["b", "a", "b", ""])
    files, store = {}, {}
    layer.save_assets(files)
    layer.save_own_variables(store)
    again = L.StringLookup.from_config(layer.get_config())
    again.load_own_variables(store)
    again.load_assets(files)
    assert again.get_vocabulary() == layer.get_vocabulary()
    np.testing.assert_array_equal(again([["a", "b", "z"]]), layer([["a", "b", "z"]]))


@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.StringLookup(vocabulary=["a", "b"], num_oov_indices=2, salt=3, output_mode="count"),
        lambda: L.StringLookup(vocabulary=np.array(["a", "b"]), mask_token="m"),
        lambda: L.Hashing(7, salt=[1, 2], mask_value="b"),
    ],
)
def test_a_configuration_makes_the_same_layer(layer):
    made = layer()
    again = type(made).from_config(json.loads(json.dumps(made.get_config())))
    rows = [["a", "q", "b"], ["b", "m", "zz"]]
    np.testing.assert_array_equal(made(rows), again(rows))
    assert made.get_config() == again.get_config()


def test_bins_that_were_learned_are_in_the_configuration():
    layer = L.Discretization(num_bins=4)
    layer.adapt(np.arange(100.0))
    again = L.Discretization.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.bin_boundaries == layer.bin_boundaries
    counts = np.bincount(again(np.arange(100.0)))
    assert counts.shape == (4,)
    assert abs(counts - 25).max() <= 1


REFUSED = {
    "found no place": (
        lambda: L.IntegerLookup(vocabulary=[1], num_oov_indices=0)([2]),
        DataError,
        "in vocabulary",
    ),
    "twice": (lambda: L.StringLookup(vocabulary=["a", "b", "a"]), ArgumentError, "repeated"),
    "reserved": (lambda: L.StringLookup(vocabulary=["a", "m"], mask_token="m"), ArgumentError, "reserved"),
    "too many": (lambda: L.StringLookup(vocabulary=["a", "b"], max_tokens=2), ArgumentError, "larger"),
    "nothing": (lambda: L.StringLookup(vocabulary=[]), ArgumentError, "empty"),
    "numbers": (lambda: L.StringLookup(vocabulary=["a"])([1]), DataError, "texts"),
    "missing": (
        lambda: L.StringLookup(vocabulary=["a"])(np.array(["a", None])),
        DataError,
        "None, in 1 of 2",
    ),
    "halves": (lambda: L.IntegerLookup(vocabulary=[1])([1.5]), DataError, "whole numbers"),
    "not yet": (lambda: L.StringLookup(output_mode="count")(["a"]), StateError, "no vocabulary yet"),
    "given": (lambda: L.StringLookup(vocabulary=["a"]).adapt(["b"]), StateError, "static vocabulary"),
    "mode": (lambda: L.StringLookup(output_mode="both"), ArgumentError, "output_mode"),
    "weights": (
        lambda: L.StringLookup(vocabulary=["a"], output_mode="tf_idf"),
        ArgumentError,
        "idf_weights",
    ),
    "sparse": (lambda: L.CategoryEncoding(3, sparse=True), ArgumentError, "sparse"),
    "no tokens": (L.CategoryEncoding, ArgumentError, "num_tokens"),
    "no bins": (lambda: L.Hashing(0), ArgumentError, "num_bins"),
    "no boundaries": (lambda: L.Discretization(num_bins=3)([1.0]), StateError, "no boundaries"),
    "both": (lambda: L.Discretization([1.0], num_bins=3), ArgumentError, "either"),
    "salts": (lambda: L.Hashing(3, salt=[1, 2, 3]), ArgumentError, "salt"),
    "salted remainders": (lambda: L.IntegerLookup(salt=3), ArgumentError, "farmhash"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_mean_anything_is_refused(case):
    run, kind, words = REFUSED[case]
    with pytest.raises(kind, match=words):
        run()


def test_a_vocabulary_cannot_grow_where_outputs_are_as_long_as_it():
    layer = L.StringLookup(vocabulary=["a"], output_mode="count")
    with pytest.raises(StateError, match="size cannot change"):
        layer.set_vocabulary(["a", "b"])


def test_texts_cannot_be_looked_up_in_a_compiled_program():
    first = L.Hashing(3, output_mode="one_hot")
    model = keras.Sequential([keras.Input((1,)), first, L.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 1)), np.ones(4), verbose=0)
    behind = keras.Sequential([keras.Input((1,)), L.Rescaling(2.0), first, L.Dense(1)])
    behind.compile("sgd", "mse")
    with pytest.raises(StateError, match="works on the host"):
        behind.fit(np.ones((4, 1)), np.ones(4), verbose=0)


X = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_bins_state_their_arithmetic_in_opened_steps(mode):
    model = keras.Sequential(
        [keras.Input((3,)), L.Discretization([-0.5, 0.1, 1.0], output_mode=mode), L.Flatten(), L.Dense(1)]
    )
    model.compile("sgd", "mse")
    step = model.fit(X, X[:, 0], batch_size=4, verbose=0).open(0)
    layer = step.layers["discretization"]
    for index in np.ndindex(*layer.output.shape[1:]):
        for example in range(4):
            formula = step.formula(f"discretization.output[{','.join(map(str, index))}]", example=example)
            assert formula.holds
            assert formula.recorded == layer.output[(example, *index)]


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
def test_categories_state_their_arithmetic_in_opened_steps(mode):
    rows = np.random.default_rng(0).integers(0, 4, (12, 2))
    model = keras.Sequential(
        [keras.Input((2,), dtype="int32"), L.CategoryEncoding(4, output_mode=mode), L.Flatten(), L.Dense(1)]
    )
    model.compile("sgd", "mse")
    step = model.fit(rows, X[:, 0], batch_size=4, verbose=0).open(0)
    for index in np.ndindex(*step.layers["category_encoding"].output.shape[1:]):
        assert step.formula(f"category_encoding.output[{','.join(map(str, index))}]", example=1).holds
