"""Questions about runs and their answers, compared with what the opened steps say themselves."""

import contextlib
import csv
import functools
import html.parser
import math
import pathlib
import xml.dom.minidom

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import pellucid as keras
import test_opened
from pellucid import formula as f
from pellucid.errors import ArgumentError, DataError, FileError, PellucidError, StateError
from pellucid.formula import Formula, Number
from pellucid.views import payload, told
from pellucid.views.payload import numbers, wire

L, O = keras.layers, keras.optimizers
TUMOURS = pathlib.Path(__file__).parent.parent / "examples" / "tumours.csv"

# Runs of many kinds, each trained once.


def thread():
    """The network of the thread: two features, one sigmoid unit."""
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 2)).astype("float32")
    y = (x[:, 0] - x[:, 1] > 0).astype("float32")
    model = keras.Sequential([keras.Input((2,)), L.Dense(1, "sigmoid")])
    model.compile(O.SGD(0.5), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch_size=8, epochs=4, validation_split=0.2, verbose=0)
    history.columns = ["age", "size"]
    return history


def tumours():
    """A network of 30-16-1 on the table of tumours, its columns as they came, with a penalty."""
    with TUMOURS.open() as file:
        names, *rows = csv.reader(file)
    x = np.asarray([[float(value) for value in row[:-1]] for row in rows], np.float32)
    y = np.asarray([row[-1] == "malignant" for row in rows], np.float32)
    model = keras.Sequential(
        [keras.Input((30,)), L.Dense(16, "relu", kernel_regularizer="l2"), L.Dense(1, "sigmoid")]
    )
    model.compile(O.Adam(1e-4), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch_size=32, epochs=2, verbose=0)
    history.columns, history.labels = names[:-1], ["benign", "malignant"]
    return history


def convolution():
    random = np.random.default_rng(1)
    x = random.normal(size=(20, 6, 6, 1)).astype("float32")
    layers = [L.Conv2D(3, 3, activation="relu"), L.MaxPooling2D(2), L.Flatten(), L.Dense(3, "softmax")]
    model = keras.Sequential([keras.Input((6, 6, 1)), *layers])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model.fit(x, random.integers(0, 3, 20), batch_size=8, epochs=2, verbose=0)


def recurrent():
    random = np.random.default_rng(2)
    x = random.normal(size=(12, 5, 2)).astype("float32")
    model = keras.Sequential([keras.Input((5, 2)), L.LSTM(4), L.Dense(1)])
    model.compile("rmsprop", "mse")
    return model.fit(x, x.sum(axis=(1, 2)), batch_size=6, epochs=2, verbose=0)


def words():
    random = np.random.default_rng(3)
    x = random.integers(0, 20, (16, 7))
    model = keras.Sequential(
        [
            keras.Input((7,), dtype="int32"),
            L.Embedding(20, 4),
            L.GlobalAveragePooling1D(),
            L.Dense(1, "sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy")
    return model.fit(x, (x[:, 0] > 9).astype("float32"), batch_size=8, epochs=2, verbose=0)


def several():
    """Two inputs, two outputs, weights of rows for one of them."""
    random = np.random.default_rng(4)
    a, b = (random.normal(size=(20, width)).astype("float32") for width in (3, 2))
    one, two = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    both = L.Dense(4, "tanh")(L.Concatenate()([one, two]))
    outputs = {"size": L.Dense(1, name="size")(both), "kind": L.Dense(2, "softmax", name="kind")(both)}
    model = keras.Model({"a": one, "b": two}, outputs)
    model.compile("sgd", {"size": "mse", "kind": "sparse_categorical_crossentropy"})
    y = {"size": a[:, :1], "kind": random.integers(0, 2, 20)}
    return model.fit({"a": a, "b": b}, y, batch_size=8, epochs=2, verbose=0)


def broken():
    """A run whose numbers end as NaN."""
    random = np.random.default_rng(5)
    x = (100 * random.normal(size=(16, 3))).astype("float32")
    model = keras.Sequential([keras.Input((3,)), L.Dense(4, "relu"), L.Dense(1)])
    model.compile(O.SGD(1e6), "mse")
    return model.fit(x, x[:, 0], batch_size=4, epochs=5, verbose=0)


def stream():
    random = np.random.default_rng(6)

    def batches():
        for _ in range(6):
            x = random.normal(size=(5, 2)).astype("float32")
            yield x, (x[:, 0] > 0).astype("float32")

    model = keras.Sequential([keras.Input((2,)), L.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    return model.fit(batches(), verbose=0)


def weighted():
    """Weights of classes, a smaller last batch, a layer that states no arithmetic, dropout."""

    class Sine(L.Layer):
        def call(self, inputs):
            return jnp.sin(inputs)

    random = np.random.default_rng(7)
    x = random.normal(size=(18, 3)).astype("float32")
    model = keras.Sequential([keras.Input((3,)), L.Dense(5), Sine(), L.Dropout(0.3), L.Dense(1, "sigmoid")])
    model.compile(O.SGD(0.1, momentum=0.9), "binary_crossentropy")
    y = (x[:, 0] > 0).astype("float32")
    return model.fit(x, y, batch_size=8, epochs=2, class_weight={0: 1.0, 1: 3.0}, verbose=0)


def whole():
    """A loss that gives one number for the batch, and none for each example."""
    x = np.random.default_rng(8).normal(size=(12, 2)).astype("float32")
    model = keras.Sequential([keras.Input((2,)), L.Dense(1)])
    model.compile("sgd", lambda y, p: jnp.mean((y - p) ** 2))
    return model.fit(x, x[:, :1], batch_size=6, epochs=2, verbose=0)


def folds():
    """A network as tables have it: the mean of members, which alone have losses."""
    random = np.random.default_rng(9)
    x = random.normal(size=(30, 4)).astype("float32")
    x[3, 1] = np.nan
    target = (x[:, 0] > 0).astype("float32")

    class Known(L.Layer):
        def call(self, inputs):
            return jnp.where(jnp.isnan(inputs), 0.0, inputs)

    row = keras.Input((4,))
    members = L.EinsumDense("ab,kbo->ako", (3, 1), activation="sigmoid", name="members")(Known()(row))
    model = keras.Model(row, [L.GlobalAveragePooling1D(name="answer")(members), members])
    model.compile("adam", [None, "binary_crossentropy"])
    y = [target[:, None], np.repeat(target[:, None, None], 3, axis=1)]
    counts = random.integers(0, 2, (30, 3)).astype("float32")
    return model.fit(x, y, sample_weight=[np.ones(30, "float32"), counts], batch_size=10, epochs=2, verbose=0)


RUNS = {
    made.__name__: made
    for made in (
        *(thread, tumours, convolution, recurrent, words, several),
        *(broken, stream, weighted, whole, folds),
    )
}
every_run = pytest.mark.parametrize("name", RUNS)


@functools.cache
def answers(name):
    """Several tests ask the same run, and change nothing."""
    return payload.Answers(RUNS[name]())


def ask(name, what, /, **parameters):
    """An answer, as it comes out of its bytes."""
    return payload.decode(answers(name).bytes(payload.question(what, **parameters)))


def same(found, expected):
    """Equal as float32, NaN as well."""
    np.testing.assert_array_equal(np.float32(found), np.float32(expected))


# The wire.


def plain(leaves):
    keys = st.text(max_size=4) | st.sampled_from(["$array", "$number", "$", "$$x"])
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )


DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">f4", ">i4", ">f8"]
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda kind: arrays_of.arrays(
        kind, arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    )
)
LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=5) | ARRAYS


def require_same(found, expected):
    if isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert found.shape == expected.shape
        assert found.dtype.str in wire.TYPES.values()
        np.testing.assert_array_equal(found.astype(np.float64), expected.astype(np.float64))
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, each in expected.items():
            require_same(found[key], each)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            require_same(one, other)
    elif isinstance(expected, float) and math.isnan(expected):
        assert math.isnan(found)
    else:
        assert found == expected
        assert type(found) is type(expected)


@given(plain(LEAVES))
def test_what_is_encoded_comes_back(value):
    data = payload.encode(value)
    head = int.from_bytes(data[:8], "little")
    assert head % 8 == 0
    assert len(data) % 8 == 0
    assert data[8 : 8 + head].decode("ascii")
    require_same(payload.decode(data), value)


def test_the_bytes_are_those_that_are_described():
    data = payload.encode({"a": np.arange(3, dtype=np.uint8), "b": np.float32([[0.5]]), "c": math.inf})
    head = b'{"a":{"$array":["u1",[3],0]},"b":{"$array":["f4",[1,1],8]},"c":{"$number":"inf"}}'
    head += b" " * (-len(head) % 8)
    assert data[: 8 + len(head)] == len(head).to_bytes(8, "little") + head
    assert data[8 + len(head) :] == b"\0\1\2" + b"\0" * 5 + np.float32(0.5).tobytes() + b"\0" * 4


def test_types_are_those_that_pages_know():
    def kind(array):
        return payload.decode(payload.encode(array)).dtype.str

    assert kind(np.asarray([True])) == kind(np.uint8([1])) == "|u1"
    assert kind(np.int64([2**31 - 1])) == "<i4"
    assert kind(np.int64([2**31])) == kind(np.uint32([2**32 - 1])) == kind(np.float64([0.1])) == "<f8"
    for wide in (np.float16, ml_dtypes.bfloat16):
        assert kind(np.asarray([0.5], wide)) == "<f4"
    assert payload.decode(payload.encode([np.float32(0.5), np.int64(3), np.bool_(True)])) == [0.5, 3, True]


@pytest.mark.parametrize("value", [{1: 2}, object(), {"a": {3}}, np.asarray(["a"]), np.asarray([1j]), b"raw"])
def test_what_is_no_plain_data_is_refused(value):
    with pytest.raises(ArgumentError):
        payload.encode(value)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda s: len(s).to_bytes(8, "little") + s.encode()))
def test_bytes_that_are_none_are_refused(data):
    try:
        payload.decode(data)
    except FileError:
        return
    assert len(data) >= 8


@given(st.data())
def test_damaged_bytes_give_an_answer_or_a_file_error(data):
    whole = bytearray(payload.encode({"x": np.arange(6.0).reshape(2, 3), "y": [math.nan, np.zeros((0, 2))]}))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FileError):
        payload.decode(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


# Questions.


@given(st.integers(0, 10**9), st.text(min_size=1).filter(lambda s: s.isprintable()), st.integers(0, 99))
def test_a_question_says_what_it_was_made_of(step, of, example):
    text = payload.question("formula", step=step, of=of, example=example)
    assert payload.parsed(text) == ("formula", {"step": str(step), "of": of, "example": str(example)})
    assert payload.questions.understood(text) == ("formula", {"step": step, "of": of, "example": example})
    assert text.isascii()
    assert set(text) & set(" #<>\"'[]/;,") == set()


def test_questions_have_one_text():
    assert payload.question("run") == "run"
    assert payload.question("step", step=3) == payload.question("step", step=np.int64(3)) == "step?step=3"
    assert payload.parsed("step?step=3") == ("step", {"step": "3"})
    assert payload.question("formulas", step=3, example=None) == "formulas?step=3"
    assert payload.question("boundary", step=3, grid=40, others="median") == "boundary?step=3"
    assert payload.question("tensor", step=0, of="w", rows="0:8") == "tensor?of=w&rows=0%3A8&step=0"


MALFORMED = [
    *(
        "",
        "?",
        "steps",
        "step",
        "step?",
        "step?step",
        "step?step=",
        "step?step=x",
        "step?step=-1",
        "step?step=1.5",
    ),
    *("step?step=1&step=1", "step?step=1&extra=2", "run?step=1", "step?step=%FF", "step?step=" + "9" * 5000),
    *("formula?step=1", "formula?of=&step=1", "tensor?of=w&rows=3&step=1", "tensor?of=w&rows=0:1:2&step=1"),
    *(
        "boundary?features=a&step=0",
        "boundary?others=most&step=0",
        "surface?grid=-3",
        "descent?step=1",
        " run",
    ),
]


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_questions_are_refused(text):
    with pytest.raises(ArgumentError):
        answers("thread").answer(text)


@pytest.mark.parametrize("text", [None, 3, b"run", ["run"]])
def test_what_is_no_text_is_no_question(text):
    with pytest.raises(ArgumentError):
        answers("thread").answer(text)


def test_questions_are_made_of_what_they_may_be_asked():
    for name, parameters in [("nothing", {}), ("step", {}), ("step", {"step": -1}), ("run", {"step": 1})]:
        with pytest.raises(ArgumentError):
            payload.question(name, **parameters)
    with pytest.raises(ArgumentError):
        payload.question("spread", of="\ud800")


PIECES = st.sampled_from(
    [
        *(
            "step=",
            "of=",
            "example=",
            "rows=",
            "columns=",
            "what=",
            "features=",
            "grid=",
            "weights=",
            "others=",
        ),
        *(
            "0",
            "1",
            "15",
            "99999999999999",
            "-1",
            "0:4",
            "4:0",
            "0,1",
            "0,0",
            "7",
            "x",
            "",
            ";",
            "[",
            "]",
            "%5B",
            "%",
        ),
        *("dense/kernel", "dense/kernel[0,0]", "dense/bias[0]", "dense.z[0]", "dense/kernel[0,0].gradient"),
        *("loss[1]", "cost", "weights", "gradients", "nan", "median", "mean", "&", "="),
    ]
)


@settings(max_examples=300)
@given(st.sampled_from(list(payload.QUESTIONS)), st.lists(PIECES, max_size=8))
def test_any_text_gives_an_answer_or_an_error_of_the_family(name, pieces):
    text = f"{name}?{''.join(pieces)}" if pieces else name
    with contextlib.suppress(PellucidError):
        payload.decode(answers("thread").bytes(text))


@settings(max_examples=60)
@given(st.sampled_from([*payload.QUESTIONS]), st.data())
def test_right_names_with_any_values_give_an_answer_or_an_error_of_the_family(name, data):
    values = st.sampled_from(
        ["0", "1", "2", "3", "0,1", "1,0", "0:1", "0:2", "1:9", "dense/kernel", "dense/bias[0]"]
    )
    values |= st.sampled_from(
        ["dense/kernel[0,0];dense/bias[0]", "dense.z[0]", "updates", "mean", "momentum", "5"]
    )
    text = "&".join(f"{key}={data.draw(values)}" for key in payload.QUESTIONS[name])
    with contextlib.suppress(PellucidError):
        payload.decode(answers("thread").bytes(f"{name}?{text}" if text else name))


# Every question of every run.


def questions_of(name, number):
    step = answers(name).opened(number).step
    refs = told.strongest_weights(step)
    every = [("run", {}), ("log", {}), ("norms", {}), ("surface", {"grid": 3})]
    every += [(what, {"step": number}) for what in ("step", "formulas", "layers")]
    every += [("boundary", {"step": number, "grid": 4})]
    every += [(what, {"step": number, "of": ref}) for what in ("weight", "formula") for ref in refs[:3]]
    every += [("tensor", {"step": number, "of": path}) for path in list(step.weights)[:2]]
    every += [("spread", {"of": path}) for path in list(step.weights)[:1]]
    return [*every, ("descent", {"step": number, "weights": refs[:2]})]


NO_TABLE = ("convolution", "recurrent", "words", "several")


@every_run
def test_every_question_has_an_answer(name):
    history = answers(name).history
    for number in (history.replay.record.first_step(), history.steps - 1):
        for what, parameters in questions_of(name, number):
            if what == "boundary" and name in NO_TABLE:
                with pytest.raises(DataError):
                    ask(name, what, **parameters)
            elif name == "broken" and what in ("boundary", "surface"):
                # Where no answer is finite there is nothing to draw; it is said.
                with contextlib.suppress(StateError):
                    ask(name, what, **parameters)
            else:
                assert isinstance(ask(name, what, **parameters), dict)


@pytest.mark.parametrize("case", ["tanh", "elu", "dropout", "batch normalization", "penalties"])
def test_every_question_of_other_kinds_of_trainings(case):
    name = case if case in test_opened.CASES else next(iter(test_opened.CASES))
    _, history = test_opened.trained(name)
    source = payload.Answers(history)
    number = history.steps - 1
    for what in ("step", "formulas", "layers"):
        found = payload.decode(source.bytes(payload.question(what, step=number)))
        assert found
    for made in payload.decode(source.bytes(payload.question("formulas", step=number)))["formulas"].values():
        assert made["holds"]


# A step.


@every_run
def test_a_step_is_that_which_history_opens(name):
    history = answers(name).history
    for number in {history.replay.record.first_step(), history.steps // 2, history.steps - 1}:
        step, found = history.open(number), ask(name, "step", step=number)
        assert found["number"] == step.number == number
        assert (found["epoch"], found["batch"], found["batches_in_epoch"]) == (
            step.epoch,
            step.batch,
            step.batches_in_epoch,
        )
        assert found["title"] == told.title(step)
        assert found["title"] in str(step)
        assert found["agreement"] in str(step).replace("\n          ", " ") or found["agreement"][:20] in str(
            step
        )
        assert found["optimizer"]["line"] == told.optimizer(step)
        assert found["exact"] == step.exact
        same([found["cost"], found["penalty"]], [step.cost, step.penalty])
        assert found["followed"] == step.followed
        if number > history.replay.record.first_step():
            same(found["cost_before"], history.log["cost"][number - 1])
        else:
            assert found["cost_before"] is None
        assert f"Step {number}: cost {f.shown(step.cost)}" in found["sentence"]
        batch = found["batch_of"]
        assert batch["places"].tolist() == list(range(step.rows_count))
        assert (batch["rows"] is None) == (step.rows is None)
        if step.rows is not None:
            assert batch["rows"].tolist() == list(step.rows)
        losses = step.losses_by_example()
        assert (batch["losses"] is None) == (losses is None)
        if losses is not None:
            same(batch["losses"], losses)
            same(batch["shares"], step.shares_by_example())


@every_run
def test_the_rows_of_a_batch_are_given_or_it_is_said_why_not(name):
    step = answers(name).history.open(answers(name).history.steps - 1)
    batch = ask(name, "step", step=step.number)["batch_of"]
    if isinstance(step.x, np.ndarray) and step.x.ndim == 2:
        same(batch["x"], step.x)
        assert batch["x_said"] == ""
    else:
        assert batch["x"] is None
        assert batch["x_said"]
    assert (batch["outputs"] is None) == bool(
        batch["outputs_said"] and "first of" not in batch["outputs_said"]
    )


def test_words_about_rows_that_are_not_given():
    said = [
        ask(name, "step", step=0)["batch_of"]["x_said"] for name in ("convolution", "recurrent", "several")
    ]
    assert said == ["rows of shape 6 x 6 x 1", "rows of shape 5 x 2", "2 inputs"]


@every_run
def test_columns_hold_what_each_layer_did_with_each_example(name):
    step = answers(name).history.open(answers(name).history.steps - 1)
    found = ask(name, "step", step=step.number)
    first, *columns = found["columns"]
    assert first["name"] == ""
    assert len(found["links"]) == len(columns)
    shown = [
        each for each in step.layers if isinstance(each.output, np.ndarray) and "output" not in each.shared
    ]
    assert [each["name"] for each in columns] == [each.name for each in shown]
    if isinstance(step.layers[0].input, np.ndarray):
        flat = step.layers[0].input.reshape(step.rows_count, -1)
        same(first["values"]["output"], flat[:, first["drawn"]])
    for column, layer in zip(columns, shown, strict=True):
        assert column["headline"] == told.headline(layer)
        assert column["units"] == layer.output[0].size
        assert len(column["drawn"]) <= 16
        for kind, values in column["values"].items():
            known = layer.slopes if kind.startswith("d_") else layer.arrays
            array = known[kind.removeprefix("d_")]
            same(values, array.reshape(step.rows_count, -1)[:, column["drawn"]])
            for place, index in enumerate(column["index"]):
                same(values[:, place], array[(slice(None), *index)])
        assert "output" in column["values"]


@every_run
def test_links_and_weights_are_those_of_the_step(name):
    step = answers(name).history.open(answers(name).history.steps - 1)
    found = ask(name, "step", step=step.number)
    updates = step.updates
    whats = {"weights": step.weights, "gradients": step.gradients, "updates": updates}
    for link, before, after in zip(found["links"], found["columns"], found["columns"][1:], strict=False):
        assert link["kind"] in ("weights", "one to one", "")
        for what, arrays in whats.items():
            if link["kernel"] is None:
                assert link[what] is None
                continue
            array = arrays[link["kernel"]]
            same(link[what], array[np.ix_(before["drawn"], after["drawn"])])
            finite = np.abs(array[np.isfinite(array)]).max(initial=0.0)
            same(link["largest"][what], finite)
    for column in found["columns"]:
        if column["bias_path"]:
            for what, arrays in whats.items():
                same(column["bias"][what], np.ravel(arrays[column["bias_path"]])[column["drawn"]])
    for each in found["weights"]:
        array = step.weights[each["path"]]
        assert each["shape"] == list(array.shape)
        np.testing.assert_allclose(
            [each["norm"], each["gradient_norm"], each["update_norm"]],
            [told.length(arrays[each["path"]]) for arrays in whats.values()],
            rtol=1e-6,
        )
        assert each["nan"] == np.isnan(array).sum()
        assert each["zero"] == (array == 0).sum()


def test_the_thread_is_told_as_it_is():
    found = ask("thread", "step", step=2)
    step = answers("thread").history.open(2)
    batch = found["batch_of"]
    assert batch["columns"] == ["age", "size"] == found["columns"][0]["labels"]
    right = (step.outputs[:, 0] >= 0.5) == (step.y.ravel() == 1)
    assert batch["right"].tolist() == right.tolist()
    assert f"{right.sum()} of 8 right" in found["sentence"]
    assert found["strongest"] == ["dense/kernel[0,0]", "dense/kernel[1,0]", "dense/bias[0]"]
    change = "up" if step.cost > found["cost_before"] else "down"
    assert (
        f", {change} {f.shown(abs(step.cost - found['cost_before']))} from the step before"
        in found["sentence"]
    )
    assert "largest change: dense/" in found["sentence"]
    assert found["columns"][1]["states"]
    assert batch["labels"] == ["0", "1"]
    assert batch["kind"] == "probability"


def test_strongest_weights_have_the_largest_gradients():
    step = answers("tumours").history.open(3)
    found = ask("tumours", "step", step=3)["strongest"]
    for path, gradient in step.gradients.items():
        own = [each for each in found if each.partition("[")[0] == path]
        assert len(own) == min(4, gradient.size)
        sizes = [abs(float(eval(f"g[{each.partition('[')[2]}", {"g": gradient}))) for each in own]
        assert (
            sorted(sizes, reverse=True)
            == sorted(np.abs(np.ravel(gradient)).tolist(), reverse=True)[: len(own)]
        )


def test_a_layer_that_states_nothing_is_said():
    found = ask("weighted", "formulas", step=1)
    assert found["unstated"] == ["sine"]
    columns = {each["name"]: each["states"] for each in ask("weighted", "step", step=1)["columns"]}
    assert columns == {"": False, "dense": True, "sine": False, "dropout": True, "dense_1": True}


def test_of_several_outputs_the_first_is_shown():
    step = answers("folds").history.open(1)
    batch = ask("folds", "step", step=1)["batch_of"]
    same(batch["outputs"], step.outputs[0])
    same(batch["y"], step.y[0])
    assert batch["kind"] == "probability"
    assert batch["right"].tolist() == ((step.outputs[0][:, 0] >= 0.5) == (step.y[0][:, 0] == 1)).tolist()
    step = answers("several").history.open(1)
    batch = ask("several", "step", step=1)["batch_of"]
    same(batch["outputs"], step.outputs["kind"])
    assert batch["kind"] == "class"
    assert batch["right"].tolist() == (step.outputs["kind"].argmax(axis=1) == np.ravel(step.y[0])).tolist()


def test_large_batches_are_cut_and_the_largest_losses_stay():
    random = np.random.default_rng(0)
    x = random.normal(size=(2_000, 3)).astype("float32")
    model = keras.Sequential([keras.Input((3,)), L.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(x, x[:, :1] ** 3, batch_size=2_000, epochs=1, verbose=0)
    source = payload.Answers(history)
    step = history.open(0)
    batch = payload.decode(source.bytes("step?step=0"))["batch_of"]
    places = batch["places"]
    assert batch["size"] == 2_000
    assert 256 < len(places) <= 513
    assert np.all(np.diff(places) > 0)
    largest = np.argsort(-step.losses_by_example())[:256]
    assert set(largest.tolist()) <= set(places.tolist())
    same(batch["losses"], step.losses_by_example()[places])
    same(batch["x"], step.x[places])
    ref = "dense/kernel[0,0]"
    found = payload.decode(source.bytes(payload.question("weight", step=0, of=ref)))
    assert found["examples"].tolist() == places.tolist()
    whole = float(np.sum(found["pushes"], dtype=np.float64)) + found["rest"] + found["penalty"]
    assert whole == pytest.approx(found["gradient"], rel=1e-5)


# Formulas.


@every_run
def test_formulas_are_those_of_the_step_and_hold(name):
    step = answers(name).history.open(0)
    found = ask(name, "formulas", step=0)
    assert found["example"] == step.followed
    assert 0 < len(found["formulas"]) <= 200
    assert "cost" in found["formulas"]
    for reference, each in found["formulas"].items():
        made = step.formula(reference, example=step.followed)
        assert (each["mathml"], each["symbols"]) == (made.mathml, made.symbols_mathml)
        assert (each["text"], each["python"]) == (str(made), made.python)
        assert each["holds"]
        same(each["recorded"], made.recorded)
        xml.dom.minidom.parseString(each["mathml"])
        xml.dom.minidom.parseString(each["symbols"])


def test_one_formula_for_another_example():
    step = answers("thread").history.open(1)
    found = ask("thread", "formula", step=1, of="dense.z[0]", example=3)
    same(found["recorded"], step.layers["dense"].z[3, 0])
    assert 'data-ref="age"' in found["mathml"]
    with pytest.raises(ArgumentError):
        ask("thread", "formula", step=1, of="dense.z[0]", example=8)


class Leaves(html.parser.HTMLParser):
    """Collects the names that markup carries, and what each of them encloses."""

    def __init__(self):
        super().__init__()
        self.tags, self.names = set(), {}
        self._open = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        name = dict(attrs).get("data-ref")
        self._open.append(name)
        if name is not None:
            self.names.setdefault(name, "")

    def handle_endtag(self, tag):
        self._open.pop()

    def handle_data(self, data):
        for name in filter(None, self._open):
            self.names[name] += data


def leaves(markup):
    found = Leaves()
    found.feed(markup)
    found.close()
    return found


def test_each_leaf_says_whose_number_it_is():
    made = Formula("z", Number(0.31, "w[2,3]") * Number(-2.0, "x") + Number(1e-9, "b"), 0.31 * -2 + 1e-9)
    assert '<mn data-ref="w[2,3]">0.31</mn>' in made.mathml
    assert '<mrow data-ref="x"><mo>-</mo><mn>2</mn></mrow>' in made.mathml
    assert leaves(made.mathml).names == {"z": "z", "w[2,3]": "0.31", "x": "-2", "b": "1\xb710-9"}
    assert leaves(made.symbols_mathml).names == {"z": "z", "w[2,3]": "w2,3", "x": "x", "b": "b"}
    plain_numbers = Formula("z", Number(0.31) + Number(2.0), 2.31)
    assert set(leaves(plain_numbers.mathml).names) == {"z"}


HOSTILE = ["<script>alert(1)</script>", '" onload="x', "a&b]", "x[<b>]\n]'"]


def test_hostile_names_of_columns_stay_names():
    random = np.random.default_rng(0)
    x = random.normal(size=(8, 4)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), L.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    history = model.fit(x, (x[:, 0] > 0).astype("float32"), verbose=0)
    history.columns = HOSTILE
    source = payload.Answers(history)
    for made in source.answer("formulas?step=0")["formulas"].values():
        for markup in (made["mathml"], made["symbols"]):
            found = leaves(markup)
            assert not found.tags & {"script", "b"}
            assert "<script" not in markup
            xml.dom.minidom.parseString(markup)
    z = source.answer("formula?of=dense.z[0]&step=0")
    assert set(HOSTILE) <= set(leaves(z["mathml"]).names)
    assert source.answer("step?step=0")["batch_of"]["columns"] == HOSTILE
    assert source.answer("boundary?step=0&grid=3")["names"] == HOSTILE[:2]


# One weight.


@every_run
def test_pushes_and_penalties_are_the_gradient(name):
    history = answers(name).history
    step = history.open(0)
    for ref in told.strongest_weights(step)[:4]:
        found = ask(name, "weight", step=0, of=ref)
        array, index = step.gradients[found["path"]], tuple(found["index"])
        same(found["gradient"], array[index])
        same(found["before"], step.weights[found["path"]][index])
        same(found["after"], step.weights_after[found["path"]][index])
        same(found["update"], step.updates[found["path"]][index])
        if step.losses is None:
            assert found["pushes"] is None
            assert found["said"]
            continue
        same(found["gradients"], step.gradients_by_example(found["of"]))
        sums = float(np.sum(found["pushes"], dtype=np.float64)) + found["rest"] + found["penalty"]
        scale = max(float(np.abs(found["pushes"]).max()), abs(found["gradient"]), 1e-9)
        assert sums == pytest.approx(found["gradient"], abs=2e-5 * scale)
        made = found["formulas"]
        assert made["gradient"]["holds"]
        assert made["update"]["holds"]
        same(made["after"]["recorded"], found["after"])


def test_what_the_optimizer_remembers_of_a_weight():
    found = ask("tumours", "weight", step=5, of="dense/kernel[2,3]")
    step = answers("tumours").history.open(5)
    assert [each["name"] for each in found["state"]] == ["momentum", "velocity"]
    for each in found["state"]:
        path = f"dense/kernel/{each['name']}"
        same(each["before"], step.optimizer.before[path][2, 3])
        same(each["after"], step.optimizer.after[path][2, 3])
    assert found["penalty"] != 0
    assert ask("tumours", "weight", step=5, of="dense_1/bias")["of"] == "dense_1/bias[0]"


@pytest.mark.parametrize(
    "of", ["dense.z[0]", "cost", "dense/kernel", "dense/kernel[0,0].gradient", "other/kernel[0]"]
)
def test_what_is_no_weight_is_refused(of):
    with pytest.raises(ArgumentError):
        ask("thread", "weight", step=0, of=of)


# Whole arrays.


def require_grid(found, array, what=None):
    finite = array[np.isfinite(array)].astype(np.float64)
    same(found["largest"], np.abs(finite).max(initial=0.0))
    assert found["nan"] == np.isnan(array).sum()
    assert found["inf"] == np.isinf(array).sum()
    assert found["zero"] == (array == 0).sum()
    if len(finite) == array.size:
        assert found["norm"] == pytest.approx(np.linalg.norm(finite))
    if len(finite):
        assert found["mean"] == pytest.approx(finite.mean(), abs=1e-12)
        assert found["clip"] == pytest.approx(
            min(np.abs(finite).max(), 3 * np.sqrt(np.square(finite).mean())), rel=1e-12
        )
    assert found["shape"] == list(array.shape)


@every_run
def test_arrays_are_pictures_of_themselves(name):
    step = answers(name).history.open(0)
    found = ask(name, "layers", step=0)
    assert [each["path"] for each in found["arrays"]] == list(step.weights)
    for each in found["arrays"]:
        path = each["path"]
        for what, arrays in (
            ("weights", step.weights),
            ("gradients", step.gradients),
            ("updates", step.updates),
        ):
            require_grid(each[what], arrays[path])
            assert each[what]["cell"] == [1, 1]
            same(each[what]["values"].ravel(), arrays[path].ravel())
        for slot in each["state"]:
            require_grid(slot["grid"], step.optimizer.before[f"{path}/{slot['name']}"])


@given(
    arrays_of.arrays(
        np.float32,
        arrays_of.array_shapes(max_dims=4, max_side=12),
        elements=st.floats(width=32) | st.sampled_from([0.0, math.nan, math.inf, -math.inf]),
    ),
    st.integers(1, 9),
)
def test_cells_hold_the_number_of_largest_size(array, side):
    found = numbers.grid(array, numbers.Summary.of(array), side)
    require_grid(found, array)
    rows, columns = numbers.flat_shape(array.shape)
    table, (r, c) = array.reshape(rows, columns), found["cell"]
    assert found["values"].shape == (-(-rows // r), -(-columns // c))
    assert max(found["values"].shape) <= side
    for (i, j), value in np.ndenumerate(found["values"]):
        cell = table[i * r : (i + 1) * r, j * c : (j + 1) * c].ravel()
        if np.isnan(cell).any():
            assert np.isnan(value)
        else:
            assert abs(value) == np.abs(cell).max()
            assert value in cell


def test_summaries_in_parts_are_those_of_the_whole(monkeypatch):
    array = np.random.default_rng(0).normal(size=1_000).astype(np.float32)
    array[[3, 500]] = np.nan, -np.inf
    whole = numbers.Summary.of(array)
    monkeypatch.setattr(numbers, "PART", 64)
    parts = numbers.Summary.of(array)
    assert (parts.nan, parts.inf, parts.zero, parts.largest) == (
        whole.nan,
        whole.inf,
        whole.zero,
        whole.largest,
    )
    assert parts.mean == pytest.approx(whole.mean)
    assert parts.clip == pytest.approx(whole.clip)


def test_silent_and_saturated_units_are_counted():
    x = np.asarray([[1.0, 2.0], [3.0, 1.0]], np.float32)
    model = keras.Sequential([keras.Input((2,)), L.Dense(3, "relu"), L.Dense(2, "sigmoid"), L.Dense(1)])
    model.compile("sgd", "mse")
    model.layers[0].set_weights([np.float32([[-1, 1, 1], [-1, 1, 1]]), np.zeros(3, np.float32)])
    model.layers[1].set_weights([np.zeros((3, 2), np.float32), np.float32([20.0, 0.0])])
    found = payload.answer(model.fit(x, x[:, :1], verbose=0), "layers?step=0")["units"]
    assert [(each["silent"], each["saturated"], each["units"]) for each in found] == [(1, 0, 3), (0, 1, 2)]
    assert found[0]["said"] == "1 of 3 units give 0 for all 2 rows of the batch"


def test_a_part_of_an_array_is_given_as_it_is():
    step = answers("tumours").history.open(4)
    kernel = step.weights["dense/kernel"]
    found = ask("tumours", "tensor", step=4, of="dense/kernel", rows="2:9", columns="3:5")
    same(found["values"], kernel[2:9, 3:5])
    require_grid(found, kernel)
    slot = ask("tumours", "tensor", step=4, of="dense/kernel", what="velocity")
    same(slot["values"], step.optimizer.before["dense/kernel/velocity"])
    kernel = answers("convolution").history.open(0).weights["conv2d/kernel"]
    found = ask("convolution", "tensor", step=0, of="conv2d/kernel", rows="4:6", columns="0:3")
    same(found["values"], kernel.reshape(-1, 3)[4:6])


@pytest.mark.parametrize(
    "asked",
    [
        *({"rows": "0:31"}, {"rows": "3:3"}, {"columns": "15:17"}, {"rows": "9:2"}, {"what": "memory"}),
        {"of": "dense/other"},
    ],
)
def test_parts_that_are_not_there_are_refused(asked):
    with pytest.raises(ArgumentError):
        ask("tumours", "tensor", **{"step": 4, "of": "dense/kernel", **asked})


@every_run
def test_spread_is_that_of_the_weights_at_each_step(name):
    history = answers(name).history
    path = next(iter(history.open(history.replay.record.first_step()).weights))
    found = ask(name, "spread", of=path)
    assert len(found["step"]) <= 42
    for number, quantiles, lost in zip(found["step"], found["quantiles"], found["not_finite"], strict=True):
        array = history.open(int(number)).weights[path].ravel()
        finite = array[np.isfinite(array)]
        assert lost == array.size - finite.size
        if finite.size:
            np.testing.assert_allclose(
                quantiles, np.quantile(finite, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]), rtol=1e-5, atol=1e-7
            )
    with pytest.raises(ArgumentError):
        ask(name, "spread", of="no/such")


# The run.


def test_a_run_is_described():
    found, history = ask("tumours", "run"), answers("tumours").history
    assert (found["steps"], found["steps_per_epoch"], found["batch_size"]) == (36, 18, 32)
    assert found["epochs"].tolist() == [0, 1]
    assert found["epoch_starts"].tolist() == [0, 18]
    assert set(found["history"]) == {"loss", "accuracy"}
    np.testing.assert_array_equal(found["history"]["loss"], history.history["loss"])
    first, second = found["layers"]
    assert first == {
        "name": "dense",
        "kind": "Dense",
        "activation": "relu",
        "input": "30",
        "output": "16",
        "parameters": 496,
        "states": True,
        "inside": 0,
    }
    assert second["output"] == "1"
    assert found["weights_count"] == 513 == sum(each["size"] for each in found["weights"])
    assert found["labels"] == ["benign", "malignant"]
    assert found["opens"]
    data = found["data"]
    assert (data["rows"], data["features"], data["here"]) == (569, 30, True)
    assert data["target"] == {"kind": "yes/no", "counts": [357, 212], "low": None, "high": None}
    x = np.asarray(history.replay.trained.rows.x, np.float64)
    column = data["columns"][3]
    assert column["name"] == "mean_area"
    assert (column["low"], column["high"]) == (x[:, 3].min(), x[:, 3].max())
    assert column["mean"] == pytest.approx(x[:, 3].mean())
    assert data["said"].startswith("worst_area spans 4,100 and ")
    assert data["said"].endswith("networks learn faster from features of the same scale")


def test_columns_of_one_scale_are_not_warned_of():
    assert ask("thread", "run")["data"]["said"] is None
    assert ask("convolution", "run")["data"]["said"] is None


def test_what_runs_of_other_kinds_are_told_to_be():
    assert [ask(name, "run")["data"]["target"]["kind"] for name in ("convolution", "recurrent", "folds")] == [
        *("classes", "number", "yes/no")
    ]
    found = ask("stream", "run")
    assert (found["steps_per_epoch"], found["data"]["rows"], found["data"]["here"]) == (0, 0, False)
    assert found["opens"]
    assert ask("folds", "run")["data"]["columns"][1]["missing"] == 1
    assert "kind_loss" in ask("several", "run")["history"]
    nested = keras.Sequential(
        [keras.Input((3,)), keras.Sequential([L.Dense(4), L.Dense(2)], name="block"), L.Dense(1)]
    )
    nested.compile("sgd", "mse")
    x = np.zeros((4, 3), np.float32)
    layers = payload.answer(nested.fit(x, x[:, :1], verbose=0), "run")["layers"]
    assert [(each["name"], each["inside"]) for each in layers] == [
        *(("block", 0), ("dense", 1), ("dense_1", 1), ("dense_2", 0))
    ]


def test_a_run_that_was_not_recorded_says_so():
    x = np.zeros((4, 3), np.float32)
    model = keras.Sequential([keras.Input((3,)), L.Dense(1)])
    model.compile("sgd", "mse")
    source = payload.Answers(model.fit(x, x[:, :1], record=False, epochs=2, verbose=0))
    found = payload.decode(source.bytes("run"))
    assert not found["opens"]
    assert "record=False" in found["why_not"]
    assert found["epochs"].tolist() == [0, 1]
    assert len(found["history"]["loss"]) == 2
    for text in ("log", "norms", "step?step=0", "surface", "spread?of=dense%2Fkernel"):
        with pytest.raises(StateError):
            source.answer(text)


def test_a_run_without_its_rows_says_so(tmp_path):
    history = answers("thread").history
    history.save(tmp_path / "run.pellucid", data="none")
    source = payload.Answers(keras.History.load(tmp_path / "run.pellucid"))
    found = source.answer("run")
    assert (found["opens"], found["data"]["here"]) == (False, False)
    assert "not here" in found["why_not"]
    assert source.answer("log")["cost"].tolist() == history.log["cost"].tolist()
    with pytest.raises(DataError):
        source.answer("step?step=0")


def test_a_model_that_was_changed_since_says_so():
    history = thread()
    history.model.layers[0].activation = keras.activations.tanh
    found = payload.answer(history, "run")
    assert not found["opens"]
    assert "changed" in found["why_not"]
    with pytest.raises(StateError):
        payload.answer(history, "step?step=0")


def test_epochs_without_a_value_have_none():
    x = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    model = keras.Sequential([keras.Input((2,)), L.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(x, x[:, :1], epochs=4, validation_data=(x, x[:, :1]), validation_freq=2, verbose=0)
    found = payload.answer(history, "run")["history"]
    assert np.isnan(found["val_loss"]).tolist() == [True, False, True, False]
    assert found["val_loss"][[1, 3]].tolist() == history.history["val_loss"]


def test_the_threshold_and_the_labels_are_those_of_the_history(tmp_path):
    history = thread()
    history.threshold, history.labels = 0.9, ["no", "yes"]
    history.save(tmp_path / "run.pellucid")
    again = keras.History.load(tmp_path / "run.pellucid")
    assert again.threshold == 0.9
    batch, step = payload.answer(again, "step?step=0")["batch_of"], again.open(0)
    assert (batch["threshold"], batch["labels"]) == (0.9, ["no", "yes"])
    assert batch["right"].tolist() == ((step.outputs[:, 0] >= 0.9) == (step.y.ravel() == 1)).tolist()
    found = payload.answer(again, "boundary?step=0&grid=3")
    assert (found["threshold"], found["labels"]) == (0.9, ["no", "yes"])


@every_run
def test_the_log_is_that_of_the_history(name):
    found, history = ask(name, "log"), answers(name).history
    for column in ("step", "epoch", "cost", "learning_rate"):
        same(found[column], history.log[column])
    assert found["kept"] == f"all {history.steps} steps"


@given(
    st.integers(4_001, 30_000),
    st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from([1e9, -1e9, math.nan, math.inf]))),
)
@settings(max_examples=40)
def test_a_long_log_keeps_its_extremes(count, spikes):
    costs = np.random.default_rng(count).normal(size=count)
    for place, value in spikes:
        costs[place % count] = value
    kept, said = payload.run._kept(costs)
    assert len(kept) <= 4_000
    assert np.all(np.diff(kept) > 0)
    finite = np.flatnonzero(np.isfinite(costs))
    assert costs[kept][np.isfinite(costs[kept])].max() == costs[finite].max()
    assert costs[kept][np.isfinite(costs[kept])].min() == costs[finite].min()
    if len(finite) < count:
        first = int(np.flatnonzero(~np.isfinite(costs))[0])
        assert first in kept
        assert "not finite" in said
    assert f"of {count:,} steps" in said


def test_norms_are_those_of_the_log():
    found, history = ask("tumours", "norms"), answers("tumours").history
    norms = history.log.norms
    assert found["step"].tolist() == norms["step"].tolist()
    assert [each["name"] for each in found["layers"]] == ["dense", "dense_1"]
    for each in found["layers"]:
        same(each["gradient"], norms[f"{each['name']}.gradient"])
        same(each["ratio"], norms[f"{each['name']}.update"] / norms[f"{each['name']}.weights"])


# Boundary, surface, descent.


def test_a_boundary_is_what_the_model_answered_at_the_step():
    history = answers("thread").history
    step, found = history.open(7), ask("thread", "boundary", step=7, grid=6)
    assert found["kind"] == "probability"
    places = np.stack(np.meshgrid(found["xx0"], found["xx1"]), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(found["response"].ravel(), step.predict(places).ravel(), rtol=1e-5)
    x = np.asarray(history.replay.trained.rows.x)
    same(found["points"], x)
    assert found["places"].tolist() == list(range(32))
    np.testing.assert_allclose(found["answers"], step.predict(x).ravel(), rtol=1e-6)
    examples = found["examples"]
    for example, row in enumerate(step.rows):
        assert examples[row] == example
    assert (examples >= 0).sum() == 8
    y = np.ravel(history.replay.trained.rows.y)
    for threshold, counted in zip(found["thresholds"], found["confusion"], strict=True):
        yes = found["answers"] >= threshold
        expected = [
            (yes & (y == 1)).sum(),
            (yes & (y == 0)).sum(),
            (~yes & (y == 0)).sum(),
            (~yes & (y == 1)).sum(),
        ]
        assert np.abs(counted - expected).max() <= (np.abs(found["answers"] - threshold) < 1e-6).sum()
        assert counted.sum() == 32
    assert found["equation"].startswith("0 = ")
    assert found["held"] == ""
    one = ask("thread", "boundary", step=7, grid=6, features=[1])
    assert one["xx1"] is None
    assert one["response"].shape == (6,)
    assert one["held"].startswith("held at the median: age = ")


def test_boundaries_of_other_features_and_other_models():
    found = ask("tumours", "boundary", step=3, grid=5, features=[22, 3], others="mean")
    assert found["names"] == ["worst_perimeter", "mean_area"]
    assert found["held"] == "the other 28 features are held at the mean"
    x = np.asarray(answers("tumours").history.replay.trained.rows.x)
    same(found["points"], x[:, [22, 3]])
    row = np.repeat(x.astype(np.float64).mean(axis=0)[None], 1, axis=0)
    row[0, [22, 3]] = found["xx0"][2], found["xx1"][4]
    answer = answers("tumours").history.open(3).predict(row)
    np.testing.assert_allclose(found["response"][4, 2], answer[0, 0], rtol=1e-4)
    found = ask("folds", "boundary", step=1, grid=4, features=[0, 1])
    assert len(found["points"]) == 29
    assert "1 rows in which a value of these features is missing" in found["said"]
    assert found["confusion"].sum(axis=1).tolist() == [29] * 101
    found = ask("stream", "boundary", step=2, grid=4)
    assert found["examples"].tolist() == list(range(5))
    assert found["places"].tolist() == [-1] * 5
    assert "batch" in found["said"]


@pytest.mark.parametrize(
    "asked", [{"features": [0, 5]}, {"features": [1, 1]}, {"features": [0, 1, 1]}, {"grid": 1}, {"grid": 201}]
)
def test_boundaries_that_cannot_be_are_refused(asked):
    with pytest.raises(ArgumentError):
        ask("thread", "boundary", step=0, **asked)


def test_a_surface_is_that_of_the_display():
    history = answers("thread").history
    refs = ["dense/kernel[0,0]", "dense/bias[0]"]
    found = ask("thread", "surface", weights=refs, grid=5)
    assert found["weights"] == found["axes"] == refs
    weights = []
    for b in found["yy"]:
        for a in found["xx"]:
            kernel = np.array(history.model.layers[0].kernel)
            kernel[0, 0] = a
            weights.append({"dense/kernel": kernel, "dense/bias": np.float32([b])})
    np.testing.assert_allclose(found["costs"].ravel(), history.costs_at(weights), rtol=1e-5)
    assert found["measured_on"] == "all 32 training rows"
    assert found["held"] == "the other weights are held as at the end"
    same(
        found["path"][0],
        [history.open(0).weights["dense/kernel"][0, 0], history.open(0).weights["dense/bias"][0]],
    )
    plane = ask("thread", "surface", grid=3)
    assert plane["weights"] == []
    assert plane["axes"][0].startswith("first direction of the path")
    with pytest.raises(ArgumentError):
        ask("thread", "surface", grid=300)


@pytest.mark.parametrize("name", ["thread", "tumours", "weighted"])
def test_a_descent_is_what_would_have_been_with_other_learning_rates(name):
    history = answers(name).history
    step = history.open(2)
    refs = told.strongest_weights(step)[:2]
    found = ask(name, "descent", step=2, weights=refs)
    assert found["weights"] == refs
    assert found["rate"] == step.optimizer.learning_rate
    np.testing.assert_allclose(found["rates"], found["rate"] * 2.0 ** np.arange(-4, 4.5, 0.5), rtol=1e-6)
    paths = [f.re.fullmatch(r"(.*)\[(.*)\]", ref).groups() for ref in refs]
    indices = [(path, tuple(map(int, inside.split(",")))) for path, inside in paths]
    same(found["at"], [step.weights[path][index] for path, index in indices])
    same(found["gradient"], [step.gradients[path][index] for path, index in indices])
    for place in (0, 5, 16):
        other = step.what_if(learning_rate=float(found["rates"][place]))
        expected = [other.weights_after[path][index] for path, index in indices]
        np.testing.assert_allclose(found["next"][place], expected, rtol=1e-5)
        assert found["costs_after"][place] == pytest.approx(other.cost_after, rel=1e-5)
    same(found["next"][8], [step.weights_after[path][index] for path, index in indices])
    with pytest.raises(ArgumentError):
        ask(name, "descent", step=2, weights=[refs[0], refs[0]])


def test_a_descent_from_a_schedule_is_one_from_a_number():
    x = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    found = []
    for rate in (0.1, keras.schedules.ExponentialDecay(0.1, 1_000_000, 1.0)):
        keras.seeds.set_random_seed(0)
        model = keras.Sequential([keras.Input((2,)), L.Dense(1)])
        model.compile(O.Adam(rate), "mse")
        history = model.fit(x, x[:, :1], epochs=2, verbose=0)
        path = history.open(0).weights
        refs = [f"{next(iter(path))}[{row},0]" for row in (0, 1)]
        found.append(payload.answer(history, payload.question("descent", step=1, weights=refs)))
    np.testing.assert_allclose(found[0]["next"], found[1]["next"], rtol=1e-5)
    np.testing.assert_allclose(found[0]["costs_after"], found[1]["costs_after"], rtol=1e-5)


# Large models, and what is kept.


def test_ten_million_weights_stay_small():
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 784)).astype("float32")
    model = keras.Sequential(
        [keras.Input((784,)), L.Dense(3_600, "relu"), L.Dense(2_000, "relu"), L.Dense(10, "softmax")]
    )
    model.compile(O.SGD(0.01), "sparse_categorical_crossentropy")
    history = model.fit(x, random.integers(0, 10, 64), batch_size=64, epochs=2, verbose=0)
    assert history.model.count_params() > 10_000_000
    source = payload.Answers(history)
    sizes = {
        text.partition("?")[0]: len(source.bytes(text))
        for text in (
            "run",
            "step?step=1",
            "layers?step=1",
            "formulas?step=1",
            "weight?of=dense_1%2Fkernel%5B3%2C4%5D&step=1",
        )
    }
    assert sizes["step"] < 1_000_000
    assert sizes["layers"] < 1_500_000
    assert sizes["run"] + sizes["weight"] < 200_000
    step = source.opened(1).step
    found = payload.decode(source.bytes("layers?step=1"))["arrays"][2]["weights"]
    assert found["cell"] == [57, 32]
    require_grid(found, step.weights["dense_1/kernel"])
    with pytest.raises(ArgumentError, match="takes too long"):
        source.answer("surface")
    with pytest.raises(ArgumentError, match="too large"):
        source.answer("tensor?columns=0:2000&of=dense_1/kernel&rows=0:3600&step=1")


def test_many_layers_stay_small():
    x = np.random.default_rng(0).normal(size=(300, 8)).astype("float32")
    model = keras.Sequential([keras.Input((8,)), *(L.Dense(24, "tanh") for _ in range(40)), L.Dense(1)])
    model.compile("adam", "mse")
    source = payload.Answers(model.fit(x, x[:, :1], batch_size=300, verbose=0))
    assert len(source.bytes("step?step=0")) < 1_000_000
    layers = source.bytes("layers?step=0")
    assert len(layers) < 1_500_000
    assert payload.decode(layers)["said"] == ""
    batch = payload.decode(source.bytes("step?step=0"))["batch_of"]
    assert len(batch["places"]) < 300 == batch["size"]


def test_steps_are_opened_once_and_few_are_kept():
    opened = []

    class Counting:
        def __init__(self, history):
            self.history = history

        def __getattr__(self, name):
            return getattr(self.history, name)

        def open(self, number):
            opened.append(number)
            return self.history.open(number)

    source = payload.Answers(Counting(answers("thread").history))
    for _ in range(2):
        for text in ("step?step=1", "formulas?step=1", "layers?step=1", "weight?of=dense%2Fbias&step=1"):
            source.answer(text)
    assert opened == [1]
    for number in (2, 3, 4, 5, 1):
        source.answer(f"step?step={number}")
    assert opened == [1, 2, 3, 4, 5, 1]


def test_a_step_after_numbers_became_nan_is_told():
    history = answers("broken").history
    assert not np.isfinite(history.log["cost"]).all()
    found = ask("broken", "step", step=history.steps - 1)
    assert math.isnan(found["cost"])
    assert "cost nan" in found["sentence"]
    assert found["weights"][0]["nan"] > 0
    assert math.isnan(found["weights"][0]["norm"])
    assert np.isnan(found["columns"][1]["values"]["output"]).any()
    assert np.isnan(ask("broken", "log")["cost"]).any()
