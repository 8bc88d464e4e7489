"""Exported models against outside judges: ONNX Runtime for .onnx, real Keras for .keras."""

import functools
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from typer.testing import CliRunner

import pellucid as keras
from judging import JUDGE
from pellucid import activations, layers, ops, tables
from pellucid.cli import app
from pellucid.errors import ArgumentError, FileError, StateError
from pellucid.exporting import export, to_onnx
from pellucid.tables.exporting import NO_DATE
from pellucid.tables.reading import Table

DRAW = np.random.default_rng(5)


def run(proto, *arrays):
    """What ONNX Runtime gives for these inputs, in their order."""
    onnx.checker.check_model(proto, full_check=True)
    return run_session(onnxruntime.InferenceSession(proto.SerializeToString()), *arrays)


def run_session(session, *arrays):
    names = [each.name for each in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))


def numbers(*shape):
    return DRAW.normal(size=shape).astype(np.float32)


def randomised(model):
    """A model with weights that are not those of its beginning."""
    for variable in model.weights:
        if variable.dtype == "float32":
            drawn = DRAW.normal(size=variable.shape) * 0.5
            variable.assign(np.abs(drawn) + 0.5 if "variance" in variable.path else drawn)
    return model


def as_list(outputs):
    return outputs if isinstance(outputs, list | tuple) else [outputs]


def agrees(model, *arrays, within=1e-5):
    """ONNX Runtime gives what the model gives."""
    expected = as_list(model(list(arrays) if len(arrays) > 1 else arrays[0]))
    found = run(to_onnx(model), *arrays)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=within, atol=within)


def of_layer(layer, *shape):
    return randomised(keras.Sequential([keras.Input(shape), layer]))


def of_function(function, *shape, dtype=None):
    x = keras.Input(shape, dtype=dtype)
    return keras.Model(x, function(x))


# Layers.


SAID = sorted({each.__name__ for each in activations.CATALOGUE.entries.values()} - {"sparsemax", "threshold"})


@pytest.mark.parametrize("name", SAID)
def test_every_activation_is_said_in_onnx(name):
    z = np.concatenate([np.linspace(-4, 4, 64), [-60.0, -20.0, 20.0, 60.0]]).astype(np.float32)
    z = z[None] if name != "exponential" else z[None, :-1]
    z = z[:, : z.shape[1] // 2 * 2]
    agrees(keras.Sequential([keras.Input(z.shape[1:]), layers.Activation(name)]), z)
    agrees(of_layer(layers.Dense(4, activation=name), 3), numbers(5, 3))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Dense(2, use_bias=False), (4,)),
        (layers.Dense(2), (3, 4)),
        (layers.EinsumDense("ab,b->ab", (4,)), (4,)),
        (layers.EinsumDense("ab,kb->akb", (2, 4)), (4,)),
        (layers.EinsumDense("aki,kio->ako", (3, 2), bias_axes="ko", activation="selu"), (3, 4)),
        (layers.EinsumDense("...x,xy->...y", 2, bias_axes="y"), (3, 2, 4)),
        (layers.EinsumDense("abc,cd->abd", (None, 2), bias_axes="d", activation="softmax"), (3, 4)),
        (layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 0.0]), (2,)),
        (layers.Normalization(mean=1.0, variance=4.0, axis=None, invert=True), (2, 3)),
        (layers.Normalization(axis=1), (2, 3)),
        (layers.Rescaling(1 / 255, offset=-0.5), (3,)),
        (layers.Rescaling([1.0, 2.0, 3.0]), (3,)),
        (layers.ReLU(), (6,)),
        (layers.ReLU(max_value=1.0), (6,)),
        (layers.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.3), (6,)),
        (layers.LeakyReLU(0.2), (6,)),
        (layers.ELU(0.7), (6,)),
        (layers.PReLU(), (6,)),
        (layers.PReLU(shared_axes=[1]), (3, 2)),
        (layers.Softmax(), (3, 4)),
        (layers.Softmax(axis=1), (3, 4)),
        (layers.Softmax(axis=(1, 2)), (3, 4)),
        (layers.BatchNormalization(), (4,)),
        (layers.BatchNormalization(axis=1, center=False), (3, 2, 4)),
        (layers.BatchNormalization(scale=False, epsilon=0.1), (3, 4)),
        (layers.LayerNormalization(), (4,)),
        (layers.LayerNormalization(axis=(1, 2), epsilon=0.1), (3, 4)),
        (layers.LayerNormalization(axis=1, scale=False), (3, 4)),
        (layers.Flatten(), (3, 4)),
        (layers.Flatten(data_format="channels_first"), (3, 2, 4)),
        (layers.Reshape((2, -1)), (6,)),
        (layers.Reshape((6,)), (2, 3)),
        (layers.Permute((2, 1)), (2, 3)),
        (layers.GlobalAveragePooling1D(), (3, 4)),
        (layers.GlobalAveragePooling2D(data_format="channels_first", keepdims=True), (2, 3, 4)),
        (layers.GlobalMaxPooling1D(), (3, 4)),
        (layers.GlobalMaxPooling2D(keepdims=True), (2, 3, 4)),
        (layers.Dropout(0.5), (4,)),
        (layers.GaussianNoise(0.5), (4,)),
        (layers.SpatialDropout1D(0.5), (3, 4)),
        (layers.Identity(), (4,)),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_every_layer_is_said_in_onnx(layer, shape):
    agrees(of_layer(layer, *shape), numbers(7, *shape))


@pytest.mark.parametrize("kind", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"])
def test_layers_that_merge_are_said_in_onnx(kind):
    one, other = keras.Input((3, 4), name="one"), keras.Input((4,), name="other")
    model = keras.Model([one, other], getattr(layers, kind)()([one, other]))
    agrees(model, numbers(5, 3, 4), numbers(5, 4))


def test_concatenate_and_whole_numbers_that_become_floats():
    one, other = keras.Input((3,)), keras.Input((2,), dtype="int32")
    model = keras.Model([one, other], layers.Dense(2)(layers.Concatenate()([one, other])))
    agrees(model, numbers(5, 3), np.arange(10, dtype=np.int32).reshape(5, 2))
    agrees(of_function(layers.Dense(2), 3, dtype="uint8"), np.arange(6, dtype=np.uint8).reshape(2, 3))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x / ops.sqrt(1.0 + ops.square(x / 3.0)),
        lambda x: 2.0 - x * 3 + np.array([1.0, 2.0, 3.0]),
        lambda x: abs(-x) ** 2.0,
        lambda x: ops.where(ops.isnan(x), np.array([0.0, 1.0, 2.0], "float32"), x),
        lambda x: ops.where(ops.isfinite(x), x, 7.0),
        lambda x: ops.take(x, [2, 0, 0, -1], axis=1),
        lambda x: ops.cast(ops.equal(x, 1.0), "float32"),
        lambda x: ops.cast(ops.not_equal(x, np.array([1, 2, 3])), "int32"),
        lambda x: ops.cast(ops.logical_or(x > 0.5, x <= -1), "float32"),
        lambda x: ops.clip(x, -0.5, 0.5) + ops.maximum(x, 0.1) - ops.minimum(0.3, x),
        lambda x: ops.clip(x, -0.5, ops.square(x)),
        lambda x: ops.exp(x) + ops.log(1 + ops.square(x)),
        lambda x: ops.concatenate([x, ops.negative(x)], axis=1),
        lambda x: ops.reshape(x, (-1, 3, 1)),
        lambda x: ops.sum(x, axis=1, keepdims=True) + ops.mean(x, axis=-1, keepdims=True),
        lambda x: ops.max(x, axis=1),
        lambda x: ops.matmul(x, np.eye(3, 2, dtype="float32")),
        lambda x: ops.gelu(x) + ops.relu(x) + ops.leaky_relu(x, negative_slope=0.3) + ops.elu(x, alpha=2.0),
        lambda x: ops.softmax(x, axis=1),
    ],
)
def test_functions_between_layers_are_said_in_onnx(function):
    x = numbers(6, 3)
    x[0] = [1, 2, 3]
    agrees(of_function(function, 3), x)


def test_what_is_missing_or_infinite_goes_the_same_way():
    x = np.array([[np.nan, np.inf, -np.inf], [1.0, np.nan, 1e38]], np.float32)
    for function in (
        lambda x: ops.where(ops.isnan(x), 1.0, x),
        layers.ReLU(max_value=1.0),
        lambda x: ops.clip(x, -1.0, 1.0),
        lambda x: x / ops.sqrt(1.0 + ops.square(x / 3.0)),
    ):
        agrees(of_function(function, 3), x)


# Models.


def test_names_and_the_number_of_rows_stay_open():
    age, size = keras.Input((1,), name="age"), keras.Input((2,), name="size")
    both = layers.concatenate([age, size])
    outputs = [layers.Dense(1, name="sick")(both), layers.Dense(2, name="age_again")(both)]
    model = randomised(keras.Model([age, size], outputs))
    proto = to_onnx(model, {"trained by": "us"})
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    assert [each.name for each in session.get_inputs()] == ["age", "size"]
    assert [each.name for each in session.get_outputs()] == ["sick", "age_again"]
    assert [each.shape for each in session.get_inputs()] == [["rows", 1], ["rows", 2]]
    facts = session.get_modelmeta().custom_metadata_map
    assert facts == {"pellucid": keras.__version__, "trained by": "us"}
    for rows in (0, 1, 9):
        first, second = run_session(session, numbers(rows, 1), numbers(rows, 2))
        assert (first.shape, second.shape) == ((rows, 1), (rows, 2))
    agrees(model, numbers(4, 1), numbers(4, 2))


def test_models_within_models_and_layers_that_are_shared():
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dropout(0.5)])
    pair = [keras.Input((4,), name="one"), keras.Input((4,), name="other")]
    joined = keras.Model(pair, layers.Add()(pair))
    x = keras.Input((3,))
    shared = layers.Dense(3)
    z = shared(shared(x))
    model = randomised(keras.Model(x, joined([inner(z), inner(x)])))
    agrees(model, numbers(5, 3))
    weights = [each for each in to_onnx(model).graph.initializer if list(each.dims) == [3, 3]]
    assert len(weights) == 1


def random_model(seed):
    """A small model of layers drawn at random, and what it is given."""
    draw = np.random.default_rng(seed)

    def one(choices):
        return choices[draw.integers(len(choices))]()

    def simple(z):
        units, name = int(draw.integers(1, 6)) * 2, SAID[draw.integers(len(SAID))]
        name = "tanh" if name == "exponential" else name
        return one(
            [
                lambda: layers.Dense(units, activation=name)(z),
                lambda: layers.Activation(name if z.shape[-1] % 2 == 0 else "selu")(z),
                lambda: layers.BatchNormalization()(z),
                lambda: layers.LayerNormalization(epsilon=0.1)(z),
                lambda: layers.Rescaling(float(draw.normal()), offset=float(draw.normal()))(z),
                lambda: layers.ReLU(max_value=2.0, negative_slope=0.2)(z),
                lambda: layers.EinsumDense("ab,b->ab", (z.shape[-1],))(z),
                lambda: layers.Reshape((z.shape[-1],))(layers.Reshape((-1, 1))(z)),
                lambda: ops.clip(z, -2.0, 2.0) * 0.5 - 1.0,
                lambda: ops.take(z, draw.integers(0, z.shape[-1], 4).tolist(), axis=1),
                lambda: layers.Dropout(0.4)(z),
                lambda: layers.Softmax()(layers.Dense(3)(z)),
            ]
        )

    x = keras.Input((int(draw.integers(1, 5)),))
    ways = [simple(x), simple(x)]
    for _ in range(int(draw.integers(2, 6))):
        place = draw.integers(len(ways))
        ways[place] = simple(ways[place])
    z = (
        layers.Concatenate()(ways)
        if draw.random() < 0.5
        else layers.Dense(4)(ways[0]) + layers.Dense(4)(ways[1])
    )
    return keras.Model(x, simple(z)), draw.normal(size=(6, x.shape[1])).astype(np.float32)


@pytest.mark.parametrize("seed", range(12))
def test_any_model_of_these_layers_gives_the_same(seed):
    with np.errstate(all="ignore"):
        model, x = random_model(seed)
        agrees(randomised(model), x, within=2e-5)


# What cannot be exported.


class Own(layers.Dense):
    def call(self, inputs):
        return super().call(inputs) * 2


class OwnModel(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("layer", "shape", "says"),
    [
        (layers.LSTM(2, name="memory"), (3, 2), ["memory", "LSTM"]),
        (Own(2, name="mine"), (3,), ["mine", "Own"]),
        (layers.Activation(lambda z: z * 2, name="doubled"), (3,), ["doubled", "activation"]),
        (layers.Activation("sparsemax", name="shares"), (3,), ["shares", "sparsemax"]),
        (layers.Dense(2, dtype="bfloat16", name="short"), (3,), ["short", "32-bit", "bfloat16"]),
    ],
)
def test_a_layer_that_onnx_cannot_say_is_named(layer, shape, says):
    with pytest.raises(ArgumentError) as error:
        to_onnx(keras.Sequential([keras.Input(shape), layer]))
    for text in says:
        assert text in str(error.value)


def test_calls_that_onnx_cannot_say_are_named():
    x = keras.Input((3,))
    for output, said in (
        (layers.Dropout(0.5, name="dice")(x, training=True), "as in training"),
        (layers.Softmax(name="some")(x, mask=x > 0), "mask"),
        (ops.take(x, [0, 9], axis=1), "beyond the end"),
        (ops.cumsum(x, axis=1), "keras.ops.cumsum"),
    ):
        with pytest.raises(ArgumentError, match=said):
            to_onnx(keras.Model(x, output))


def test_only_models_whose_layers_are_known_are_exported():
    with pytest.raises(StateError, match="input shape"):
        to_onnx(keras.Sequential([layers.Dense(1)]))
    with pytest.raises(ArgumentError, match="call of its own"):
        to_onnx(OwnModel())
    with pytest.raises(ArgumentError, match="a Dense"):
        to_onnx(layers.Dense(1))


def test_without_onnx_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(StateError, match=r"pip install 'pellucid\[export\]'"):
        to_onnx(of_layer(layers.Dense(1), 2))
    export(of_layer(layers.Dense(1), 2), tmp_path / "m.keras")


def test_other_endings_and_places_are_refused(tmp_path):
    model = of_layer(layers.Dense(1), 2)
    for name in ("m.h5", "m", "m.onnx.zip"):
        with pytest.raises(FileError, match=r"\.onnx or \.keras"):
            export(model, tmp_path / name)
    with pytest.raises(FileError, match="does not exist"):
        export(model, tmp_path / "none" / "m.onnx")
    assert os.listdir(tmp_path) == []


# Tables.


def messy(rows=400):
    """A table of all kinds of columns, with holes, and columns named as outputs are."""
    draw = np.random.default_rng(3)
    size = np.round(draw.normal(size=rows) * 10, 2)
    colour = draw.choice(["red", "blue", "green", "dark red"], rows).astype(object)
    smoker = draw.choice(["yes", "No", "Y", "n"], rows).astype(object)
    visit = np.datetime64("1968-02-27T05:10:07") + draw.integers(0, 20_000, rows) * np.timedelta64(7_321, "s")
    signal = np.where(np.isnan(size), 0, size) + 8 * (colour == "red") + 5 * (smoker == "yes")
    for column, hole in ((size, np.nan), (colour, ""), (smoker, "N/A"), (visit, np.datetime64("NaT"))):
        column[draw.random(rows) < 0.08] = hole
    columns = {"size": size, "answer": colour, "smoker": smoker, "visit": visit.astype("datetime64[s]")}
    return columns | {"tiny, but many": draw.normal(size=rows) * 1e-30}, signal + draw.normal(size=rows)


def unseen(columns):
    """Rows as nobody has trained on: unseen words, far and infinite numbers, other spellings of missing."""
    new = {name: column.copy() for name, column in columns.items()}
    new["size"][:6] = [1e6, -1e6, 1e30, 1e300, np.inf, -np.inf]
    new["answer"][:6] = ["mauve", "RED", "NaN", "?", "null", "nOnE"]
    new["smoker"][:6] = ["TRUE", "f", "perhaps", "1", "0.0", "na"]
    new["visit"][:4] = np.array(["1899-12-31T23:59:59", "2100-03-01", "2000-02-29", "0004-02-29"], "M8[s]")
    new["tiny, but many"][:3] = [1.0, np.nan, 0.0]
    return new


def fed(columns):
    """A table as the inputs of an exported network."""
    with np.errstate(over="ignore"):
        return {
            "size": columns["size"].astype(np.float32)[:, None],
            "answer": columns["answer"][:, None],
            "smoker": columns["smoker"][:, None],
            "visit": columns["visit"].astype("datetime64[s]").astype(np.int64)[:, None],
            "tiny, but many": columns["tiny, but many"][:, None],
        }


TARGETS = {
    "yes/no": lambda signal: np.where(signal > 4, "sick", "well"),
    "classes": lambda signal: np.digitize(signal, [-5, 5]) + 2,
    "number": lambda signal: signal * 1234.5,
}


@functools.cache
def trained(kind):
    columns, signal = messy()
    return tables.fit({**columns, "end": TARGETS[kind](signal)}, "end", epochs=2, network=(16, 16))


@pytest.fixture(scope="module")
def new():
    return unseen(messy()[0])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", list(TARGETS))
def test_a_table_is_answered_as_predict_answers(kind, new, tmp_path):
    network = trained(kind)
    exported = network.export(tmp_path / "t.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "t.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(tmp_path / "t.onnx")
    assert [each.name for each in session.get_inputs()] == network.schema.columns
    assert [each[0] for each in exported.inputs] == network.schema.columns
    expected = network.predict(new)
    found = dict(zip([each.name for each in session.get_outputs()], session.run(None, fed(new)), strict=True))
    target = network.schema.target
    if target.kind == "number":
        assert list(found) == ["answer_2"]
        np.testing.assert_allclose(found["answer_2"], expected.answer, rtol=1e-5, atol=1e-5 * target.spread)
        assert np.nanmax(found["answer_2"]) <= target.high
        return
    own, name = (
        (expected.probability, "probability")
        if target.kind == "yes/no"
        else (expected.probabilities, "probabilities")
    )
    assert list(found) == [name, "answer_2"]
    np.testing.assert_allclose(found[name], own, atol=1e-5)
    sure = np.abs(own - target.threshold) > 1e-5 if target.kind == "yes/no" else np.sort(own)[:, -2] < 0.4999
    np.testing.assert_array_equal(found["answer_2"][sure], expected.answer[sure])
    assert found["answer_2"].dtype == (object if target.kind == "yes/no" else np.int64)
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["labels"] == ('["well", "sick"]' if target.kind == "yes/no" else "[2, 3, 4]")
    assert (facts["target"], facts["kind"]) == ("end", target.kind)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_threshold_and_the_labels_of_the_schema_are_those_of_the_answer(new, tmp_path):
    network = trained("yes/no")
    middle = float(np.median(network.predict(new).probability.astype(np.float64)))
    target = replace(network.schema.target, labels=(False, True), threshold=middle)
    schema = replace(network.schema, target=target)
    other = tables.TableNetwork(schema, network.report, {}, {}, model=network.model)
    other.export(tmp_path / "t.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "t.onnx")
    probability, answer = session.run(None, fed(new))
    assert answer.dtype == bool
    assert 0 < answer.sum() < len(answer)
    np.testing.assert_array_equal(answer, probability >= np.float32(middle))
    assert session.get_modelmeta().custom_metadata_map["threshold"] == repr(middle)


def test_the_parts_of_dates_are_those_of_the_table(tmp_path):
    days = np.arange(np.datetime64("1581-01-01"), np.datetime64("2410-01-01"), 17).astype("datetime64[s]")
    days += np.arange(len(days)) * np.timedelta64(4_321, "s")
    from pellucid.exporting import Sheet
    from pellucid.tables.exporting import _date_part
    from pellucid.tables.schema import DATE_PARTS, Feature

    sheet = Sheet()
    given = sheet.input("d", np.int64, (None, 1))
    for part in DATE_PARTS:
        sheet.output(sheet.name(part), _date_part(sheet, part, given), np.float64, (None, 1))
    found = run(sheet.model("dates", {}), np.append(days.astype(np.int64), NO_DATE)[:, None])
    features = [Feature(f"d ({part})", "date", column="d", part=part) for part in DATE_PARTS]
    with Table.of({"d": days}) as table:
        expected = table.numbers(features, wide=True)
    np.testing.assert_allclose(np.concatenate(found, axis=1)[:-1], expected, rtol=1e-12)
    assert np.isnan(np.concatenate(found, axis=1)[-1]).all()


KERAS = """
import sys, keras, numpy as np
assert keras.backend.backend() == "jax" and "pellucid" not in sys.modules
for file in sys.argv[1:]:
    rows = np.load(file + ".rows.npy")
    np.save(file + ".npy", keras.models.load_model(file).predict(rows, verbose=0))
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_keras_opens_the_networks_and_gives_the_same(new, tmp_path):
    files = [str(tmp_path / f"{place}.keras") for place in range(3)]
    for kind, file in zip(TARGETS, files, strict=True):
        said = str(trained(kind).export(file))
        assert "answer: 0 " in said
        assert "4 any other" in said, said
        assert "1 yes, 0 no" in said
    rows = {}
    for kind, file in zip(TARGETS, files, strict=True):
        with Table.of(new) as table:
            rows[kind] = table.numbers(trained(kind).schema.features)
        np.save(f"{file}.rows.npy", rows[kind])
    environment = {**os.environ, "KERAS_BACKEND": "jax", "KERAS_HOME": str(tmp_path / "home")}
    environment.pop("PYTHONPATH", None)
    command = [str(JUDGE), "-c", KERAS, *files]
    judged = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stderr[-2000:]
    for kind, file in zip(TARGETS, files, strict=True):
        expected = trained(kind).answering.predict(rows[kind], verbose=0)
        np.testing.assert_allclose(np.load(f"{file}.npy"), expected, atol=1e-5)


# The command.


def test_the_command_exports_a_table_and_any_other_training(tmp_path):
    trained("yes/no").save(tmp_path / "t.pellucid")
    model = keras.Sequential([keras.Input((2,), name="x"), layers.Dense(1, name="y")])
    model.compile("sgd", "mse")
    model.fit(numbers(20, 2), numbers(20, 1), epochs=1, verbose=0).save(tmp_path / "m.pellucid")
    model.save(tmp_path / "only.pellucid")
    for file, ending, says in (
        ("only", "onnx", ["x  float32 (rows, 2)"]),
        ("t", "onnx", ["size", "blue, ", "probability", "answer_2"]),
        ("t", "keras", ["4 any other"]),
        ("m", "onnx", ["x  float32 (rows, 2)", "y  float32 (rows, 1)"]),
        ("m", "keras", ["x  float32 (rows, 2)"]),
    ):
        out = tmp_path / f"{file}.{ending}"
        result = CliRunner().invoke(app, ["export", str(tmp_path / f"{file}.pellucid"), str(out)])
        assert result.exit_code == 0, result.output
        assert out.exists()
        for text in says:
            assert text in result.stdout
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    x = numbers(3, 2)
    np.testing.assert_allclose(run_session(session, x)[0], model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("out", "says"), [("m.h5", ".onnx or .keras"), ("m.onnx", "no such file")])
def test_the_command_says_what_it_cannot_do(tmp_path, out, says):
    result = CliRunner().invoke(app, ["export", str(tmp_path / "none.pellucid"), str(tmp_path / out)])
    assert result.exit_code == 2
    assert result.stderr.startswith("pellucid: ")
    assert says in result.stderr
    assert not (tmp_path / out).exists()
