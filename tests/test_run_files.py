"""The run file: what is written comes back, and nothing else is ever believed."""

import io
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

import pellucid as keras
from pellucid import run_files, tables
from pellucid.errors import FileError, PellucidError


def small_network():
    draw = np.random.default_rng(0)
    size = draw.normal(size=40)
    return tables.fit({"size": size, "large": np.where(size > 0, "yes", "no")}, "large", epochs=1, folds=0)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "small.pellucid"
    small_network().save(path)
    return path


@pytest.fixture(scope="module")
def run(file):
    return run_files.read(file)


def layers(described):
    return described["model"]["config"]["layers"]


def hidden(described):
    """The description of a dense layer."""
    return next(layer for layer in layers(described) if layer["name"] == "hidden_1")


def zipped(members, compression=zipfile.ZIP_STORED):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, member in members:
            archive.writestr(name, member)
    return content.getvalue()


def members(file):
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(file, path, change):
    """The run file with its description changed, as somebody with a text editor could."""
    inside = members(file)
    described = json.loads(inside[run_files.RUN])
    change(described)
    text = json.dumps(described)
    path.write_bytes(zipped([(run_files.RUN, text), (run_files.WEIGHTS, inside[run_files.WEIGHTS])]))
    return path


def same(one, other):
    return (
        one.kind == other.kind
        and one.model == other.model
        and one.schema == other.schema
        and one.report == other.report
        and one.record == other.record
        and one.arrays.keys() == other.arrays.keys()
        and all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)
        and all(np.array_equal(one.data[name], other.data[name]) for name in one.data)
        and list(one.weights) == list(other.weights)
        and all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)
    )


def test_what_is_written_is_read(file, run, tmp_path):
    run_files.write(tmp_path / "again.pellucid", run)
    assert same(run_files.read(tmp_path / "again.pellucid"), run)
    assert (tmp_path / "again.pellucid").read_bytes() == file.read_bytes()
    model = run_files.build(run)
    assert [variable.path for variable in model.weights] == list(run.weights)


def test_the_members_are_four_and_stored_as_they_are(file):
    with zipfile.ZipFile(file) as archive:
        names = ["run.json", "weights.safetensors", "record.safetensors", "data.safetensors"]
        assert archive.namelist() == names
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_reading_needs_no_jax(file):
    code = f"""
import sys
from pellucid import tables
network = tables.load({str(file)!r})
network.report.verdict(), network.schema, network.layer_configs(), network.weights_count()
assert "jax" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_file_cut_short_is_refused(file, tmp_path_factory, data):
    content = file.read_bytes()
    path = tmp_path_factory.mktemp("cut") / "cut.pellucid"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(FileError):
        run_files.read(path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_bit_flipped_anywhere_is_refused_or_changes_nothing(file, run, tmp_path_factory, data):
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flip") / "flip.pellucid"
    path.write_bytes(bytes(content))
    try:
        read = run_files.read(path)
    except FileError:
        return
    assert same(read, run)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        b"PK\x03\x04",
        b"a,b\n1,2\n",
        os.urandom(2000),
        b"\x80\x04\x95" + b"pickle" * 20,
        zipped([]),
        zipped([("word/document.xml", "<w/>")]),
        zipped([("run.json", "{}")]),
        zipped([("run.json", "{}"), ("weights.safetensors", b"\0" * 8), ("more", "x")]),
        zipped([("weights.safetensors", b""), ("run.json", "{}")]),
        zipped([("run.json", "{}"), ("weights.safetensors", b"")]),
        zipped([("run.json", "[" * 100_000), ("weights.safetensors", save({}))]),
        zipped([("run.json", "[]"), ("weights.safetensors", save({}))]),
        zipped([("run.json", "{}"), ("weights.safetensors", save({}))], zipfile.ZIP_DEFLATED),
        zipped([("run.json", "{}"), ("weights.safetensors", b"\xff" * 7 + b"\x7f")]),
    ],
    ids=range(16),
)
def test_a_foreign_file_is_refused(tmp_path, content):
    (tmp_path / "foreign.pellucid").write_bytes(content)
    with pytest.raises(FileError):
        run_files.read(tmp_path / "foreign.pellucid")


@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "a": 2}', '{"a": NaN}', '{"a": Infinity}', '{"a": 1e999}', "{", "\ufeff{}", '{"a": 1}x'],
)
def test_json_is_strict(tmp_path, text):
    path = tmp_path / "odd.pellucid"
    path.write_bytes(zipped([(run_files.RUN, text), (run_files.WEIGHTS, save({}))]))
    with pytest.raises(FileError, match=r"run\.json"):
        run_files.read(path)


def test_a_size_that_is_not_there_is_refused_before_it_is_reserved(file, tmp_path):
    content = bytearray(file.read_bytes())
    # The sizes in the central directory and in the end record are what a reader would reserve.
    place = content.rindex(b"PK\x01\x02")
    content[place + 20 : place + 28] = (2**31 - 2).to_bytes(4, "little") * 2
    path = tmp_path / "large.pellucid"
    path.write_bytes(bytes(content))
    with pytest.raises(FileError):
        run_files.read(path)


def test_a_layer_of_a_billion_units_is_refused_before_it_is_built(file, tmp_path):
    def enormous(described):
        hidden(described)["config"]["units"] = 10**12

    run = run_files.read(rewritten(file, tmp_path / "x.pellucid", enormous))
    with pytest.raises(FileError, match="1,000,000,000,000"):
        run_files.build(run)

    def wide(described):
        layers(described)[0]["config"]["batch_shape"] = [None, 10**12]

    run = run_files.read(rewritten(file, tmp_path / "x.pellucid", wide))
    with pytest.raises(FileError):
        run_files.build(run)


CHANGES = {
    "another format": lambda d: d.update(format=99),
    "no format": lambda d: d.pop("format"),
    "an entry too many": lambda d: d.update(more=1),
    "an entry too few": lambda d: d.pop("schema"),
    "another kind": lambda d: d.update(kind="picture"),
    "a schema of another shape": lambda d: d["schema"].update(features=[]),
    "a schema of another type": lambda d: d.update(schema=[]),
    "a treatment that is unknown": lambda d: d["schema"]["features"][0].update(treatment="words"),
    "a scale that is text": lambda d: d["schema"]["features"][0].update(scale="1"),
    "a spread of nothing": lambda d: d["schema"]["target"].update(spread=0),
    "counts that are text": lambda d: d["training"].update(counts=["many"]),
    "a regularizer from elsewhere": lambda d: hidden(d)["config"].update(
        kernel_regularizer={"module": "os", "class_name": "system", "config": {}}
    ),
    "labels that are lists": lambda d: d["schema"]["target"].update(labels=[[], []]),
    "a report without measures": lambda d: d["report"].pop("network"),
    "a report of another kind": lambda d: d["report"].update(kind="number"),
    "a layer that does not exist": lambda d: hidden(d).update(class_name="os.system"),
    "a layer without a name": lambda d: hidden(d).pop("class_name"),
    "layers that are no list": lambda d: d["model"]["config"].update(layers={"a": 1}),
    "a layer that is no layer": lambda d: layers(d).append(3),
    "no layers": lambda d: d["model"]["config"].update(layers=[]),
    "an argument that does not exist": lambda d: hidden(d)["config"].update(evil=1),
    "an activation that does not exist": lambda d: hidden(d)["config"].update(activation="exec"),
    "units that are text": lambda d: hidden(d)["config"].update(units="many"),
    "one unit more": lambda d: hidden(d)["config"].update(units=33),
    "one layer less": lambda d: layers(d).remove(hidden(d)),
    "two features more": lambda d: d["schema"]["features"].append(
        {**d["schema"]["features"][0], "name": "z"}
    ),
    "weights of another shape": lambda d: d["weights"].update({"answer/bias": [2]}),
    "a weight less": lambda d: d["weights"].pop("answer/bias"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_description_that_was_changed_is_refused(file, tmp_path, change):
    path = rewritten(file, tmp_path / "changed.pellucid", change)
    with pytest.raises(FileError):
        tables.load(path).predict({"size": [1.0]})


def test_weights_of_another_type_are_refused(file, run, tmp_path):
    wider = {name: array.astype(np.float64) for name, array in run.weights.items()}
    run_files.write(tmp_path / "wide.pellucid", run_files.Run(run.kind, run.model, wider))
    with pytest.raises(FileError, match="float64"):
        run_files.build(run_files.read(tmp_path / "wide.pellucid"))


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(file, run, tmp_path, monkeypatch):
    path = tmp_path / "kept.pellucid"
    path.write_bytes(file.read_bytes())

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(FileError, match="No space left"):
        run_files.write(path, run)
    assert path.read_bytes() == file.read_bytes()
    assert os.listdir(tmp_path) == ["kept.pellucid"]


def test_files_that_are_not_there_are_said_so(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        run_files.read(tmp_path / "none.pellucid")
    with pytest.raises(FileError, match="folder"):
        run_files.read(tmp_path)


def test_any_sequential_of_our_layers_can_be_kept(tmp_path):
    model = keras.Sequential(
        [
            keras.Input(shape=(4, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    weights = {variable.path: variable.numpy() for variable in model.weights}
    run_files.write(tmp_path / "m.pellucid", run_files.Run("model", model.get_config(), weights))
    again = run_files.build(run_files.read(tmp_path / "m.pellucid"))
    x = np.random.default_rng(0).normal(size=(3, 4, 3))
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_numbers_that_json_does_not_have_are_none():
    assert run_files.plain({"a": [float("inf"), np.int64(3), (1, None)]}) == {"a": [None, 3, [1, None]]}
    with pytest.raises(PellucidError):
        run_files.plain({"a": object()})
