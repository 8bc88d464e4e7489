"""Files that mean harm: each hole that Keras's files have had, and files with bytes changed.

Each test makes the file that would have used the hole. Whatever a file holds, it is a model or a
FileError: nothing in it runs, nothing is imported or read because of it, and no room is made for it.
"""

import base64
import contextlib
import functools
import io
import json
import marshal
import pickle
import sys
import warnings
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pellucid as keras
from pellucid import layers
from pellucid.errors import ArgumentError, FileError
from pellucid.keras_files import hdf5

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")

#: What happens while a file is read, as Python tells it; an audit hook stays for the whole process.
HAPPENED = []
WATCHING = [False]
LOOKED_AT = {"open", "exec", "compile", "os", "subprocess", "socket", "pickle"}


def note(event, arguments):
    if WATCHING[0] and event.split(".")[0] in {
        "open",
        "exec",
        "compile",
        "os",
        "subprocess",
        "socket",
        "pickle",
    }:
        HAPPENED.append((event, str(arguments[0]) if arguments else ""))


sys.addaudithook(note)


@contextlib.contextmanager
def nothing_but(path):
    """Nothing is opened but this file, nothing runs, and nothing is imported, within a with block."""
    modules = set(sys.modules)
    HAPPENED.clear()
    WATCHING[0] = True
    try:
        yield
    finally:
        WATCHING[0] = False
    assert set(HAPPENED) <= {(event, str(path)) for event in ("open", "os.walk", "os.scandir")}
    assert set(sys.modules) == modules


def small():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, "relu"), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    model.fit(X, X[:, :1] > 0, verbose=0)
    return model


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """The members of a good file."""
    path = tmp_path_factory.mktemp("good") / "m.keras"
    small().save(path)
    keras.models.load_model(path)  # everything that reading imports is imported
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path, members, **options):
    """Write members as they are into a zip."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", **options) as archive:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, content in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, content)
    return path


def with_config(members, change):
    """The members with another configuration."""
    config = json.loads(members["config.json"])
    change(config)
    return {**members, "config.json": json.dumps(config).encode()}


def with_weights(members, write):
    """The members with other weights: `write` is given the h5py file to add to."""
    content = io.BytesIO(members["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        write(file)
    return {**members, "model.weights.h5": content.getvalue()}


def refused(path, match=None):
    """The file is refused, whatever `safe_mode` says, and nothing happens meanwhile."""
    for safe_mode in (True, False, None):
        with nothing_but(path), pytest.raises(FileError, match=match):
            keras.models.load_model(path, safe_mode=safe_mode)


# Names that would be imported, and code that would run.

CODE = base64.b64encode(marshal.dumps((lambda x: x).__code__)).decode()


class Harm:
    def __reduce__(self):
        return exec, ("raise SystemExit",)


def function(module, name):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def layer(module, name, config, registered=None):
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


LAMBDA = {"class_name": "__lambda__", "config": {"value": [CODE, None, None]}}

RUNNING = {
    "CVE-2024-3660 a Lambda's code": layer("keras.layers", "Lambda", {"function": LAMBDA}),
    "CVE-2024-3660 as an activation": layer("keras.layers", "Activation", {"activation": LAMBDA}),
    "CVE-2025-1550 a function of any module": layer(
        "keras.layers", "Activation", {"activation": function("os", "system")}
    ),
    "CVE-2025-1550 a class of any module": layer("subprocess", "Popen", {"args": ["true"]}, "Popen"),
    "CVE-2025-1550 a builtin": layer(
        "keras.layers", "Activation", {"activation": function("builtins", "exec")}
    ),
    "CVE-2025-8747 a function within Keras": layer(
        "keras.layers",
        "Lambda",
        {"function": function("keras.utils", "get_file"), "arguments": {"origin": "http://localhost"}},
    ),
    "CVE-2025-8747 a function of ours": layer(
        "keras.layers", "Activation", {"activation": function("pellucid.writing", "written_whole")}
    ),
    "CVE-2025-9906 switching safety off": layer(
        "keras.layers",
        "Activation",
        {"activation": function("keras.config", "enable_unsafe_deserialization")},
    ),
    "CVE-2025-9906 reading another file": layer(
        "keras.layers", "Activation", {"activation": function("keras.models", "load_model")}
    ),
    "CVE-2025-49655 a pickle of torch": layer(
        "keras.layers",
        "TorchModuleWrapper",
        {"module": {"class_name": "__bytes__", "config": {"value": pickle.dumps(Harm(), 0).decode()}}},
    ),
    "CVE-2026-1462 a model of TensorFlow": layer(
        "keras.layers", "TFSMLayer", {"filepath": "model", "call_endpoint": "serve"}
    ),
    "CVE-2026-12481 __typespec__": {"class_name": "__typespec__", "config": [], "module": "os"},
    "a class of another kind": layer("keras.optimizers", "Adam", {}),
    "a registered name": layer("keras.layers", "Dense", {"units": 3}, "os>system"),
}


@pytest.mark.parametrize("name", RUNNING)
def test_no_code_runs_and_nothing_is_imported(name, members, tmp_path):
    def change(config):
        config["config"]["layers"].append(RUNNING[name])

    refused(zipped(tmp_path / "m.keras", with_config(members, change)))
    with pytest.raises(ArgumentError):
        keras.models.model_from_json(with_config(members, change)["config.json"].decode())


def test_what_compile_is_told_runs_nothing(members, tmp_path):
    def change(config):
        config["compile_config"]["loss"] = function("os", "system")

    refused(zipped(tmp_path / "m.keras", with_config(members, change)), "system")


def test_cve_2025_9905_whole_models_in_hdf5_are_refused(tmp_path):
    config = {
        "class_name": "Sequential",
        "config": {"layers": [layer("keras.layers", "Lambda", {"function": [CODE]})]},
    }
    for name in ("m.h5", "m.hdf5"):
        with h5py.File(tmp_path / name, "w") as file:
            file.attrs["model_config"] = json.dumps(config)
            file.create_group("model_weights")
        refused(tmp_path / name, "before Keras 3")
    model = small()
    with pytest.raises(FileError, match="before Keras 3"):
        model.load_weights(tmp_path / "m.h5")
    # Nor is a file read as what it is not called.
    (tmp_path / "m.h5").rename(tmp_path / "m.keras")
    refused(tmp_path / "m.keras", "damaged")


# Paths that would be followed.


def test_cve_2025_12058_a_vocabulary_is_no_path(members, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("a\nb\n")
    for value in (str(secret), "https://localhost/secret"):
        lookup = layer("keras.layers", "StringLookup", {"vocabulary": value})

        def change(config, lookup=lookup):
            config["config"]["layers"].insert(1, lookup)

        refused(zipped(tmp_path / "m.keras", with_config(members, change)))


def test_cve_2026_12479_names_lead_nowhere(members, tmp_path):
    (tmp_path / "inside").mkdir()
    path = tmp_path / "inside" / "m.keras"
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, name="../../outside")])
    model.save(path)
    keras.models.load_model(path)
    assert [each.name for each in tmp_path.rglob("*") if each.is_file()] == ["m.keras"]
    for name in (
        "assets/../../outside.txt",
        "/etc/outside.txt",
        "assets/a/..\\..\\b.txt",
        "outside.txt",
        "assets/.x",
    ):
        refused(zipped(path, {**members, name: b"a"}), "damaged")
    assert [each.name for each in tmp_path.rglob("*") if each.is_file()] == ["m.keras"]


def test_links_in_a_folder_are_not_followed(members, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(members["model.weights.h5"])
    folder = tmp_path / "m.keras"
    folder.mkdir()
    for name in ("metadata.json", "config.json"):
        (folder / name).write_bytes(members[name])
    (folder / "model.weights.h5").symlink_to(secret)
    refused(folder, "a link")


def external_array(file):
    del file["layers/dense/vars/0"]
    where = [("/etc/passwd", 0, 48)]
    file.create_dataset("layers/dense/vars/0", (4, 3), "f4", external=where)


def external_link(file):
    del file["layers/dense"]
    file["layers/dense"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file):
    del file["layers/dense"]
    file["layers/dense"] = h5py.SoftLink("/layers/dense_1")


def hard_link_in_circles(file):
    file["layers/dense/vars/layers"] = file["layers"]


def virtual_array(file):
    del file["layers/dense/vars/0"]
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4, 3))
    file.create_virtual_dataset("layers/dense/vars/0", layout)


def giant_chunked(file):
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", (2**20, 2**20), "f4", chunks=(1024, 1024), compression="gzip")


def giant_in_one_piece(file):
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", (2**40,), "f4")


def compressed(file):
    values = file["layers/dense/vars/0"][...]
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", data=values, compression="gzip")


def texts(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = ["a"] * 12


def references(file):
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", data=file["layers"].ref, dtype=h5py.ref_dtype)


WEIGHTS = {
    "CVE-2026-1669 an array in another file": external_array,
    "CVE-2026-1669 a link to another file": external_link,
    "CVE-2026-1669 a view on another file": virtual_array,
    "CVE-2026-0897 a giant of chunks": giant_chunked,
    "CVE-2026-0897 a giant in one piece": giant_in_one_piece,
    "a link within": soft_link,
    "a group within itself": hard_link_in_circles,
    "a filter": compressed,
    "texts": texts,
    "references": references,
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_plain_arrays_within_their_file(name, members, tmp_path):
    harmful = with_weights(members, WEIGHTS[name])
    refused(zipped(tmp_path / "m.keras", harmful), "weights")
    path = tmp_path / "m.weights.h5"
    path.write_bytes(harmful["model.weights.h5"])
    model = small()
    with nothing_but(path), pytest.raises(FileError, match="weights"):
        model.load_weights(path)


def test_a_newer_form_of_hdf5_is_refused(tmp_path):
    with h5py.File(tmp_path / "m.h5", "w", libver="latest") as file:
        file["a"] = [1.0]
    with pytest.raises(ValueError, match="version"):
        hdf5.read_arrays((tmp_path / "m.h5").read_bytes())


# Sizes that would be believed.


def of_first_layer(name, value):
    def change(config):
        config["config"]["layers"][1]["config"][name] = value

    return change


def of_shape(shape):
    def change(config):
        config["config"]["layers"][0]["config"]["batch_shape"] = shape
        config["config"]["build_input_shape"] = config["build_config"]["input_shape"] = shape

    return change


def many_layers(config):
    layers = config["config"]["layers"]
    for _ in range(300):
        layers[:] = [layers[0], {**layers[1], "config": {"layers": [dict(each) for each in layers[1:2]]}}]
        layers[1]["class_name"] = "Sequential"
        layers[1]["module"] = "keras"


SIZES = {
    "units": of_first_layer("units", 10**12),
    "units that are no number": of_first_layer("units", 1e30),
    "rows": of_shape([None, 10**10]),
    "layers within layers": many_layers,
}


@pytest.mark.parametrize("name", SIZES)
def test_no_room_is_made_for_numbers_that_are_not_there(name, members, tmp_path):
    refused(zipped(tmp_path / "m.keras", with_config(members, SIZES[name])))


def test_a_model_of_ones_own_is_not_built_for_giant_rows(members, tmp_path):
    class Own(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

    config = layer(None, "Own", {}, "Own") | {"build_config": {"input_shape": [1, 10**12]}}
    path = zipped(tmp_path / "m.keras", {**members, "config.json": json.dumps(config).encode()})
    with pytest.raises(FileError, match="no room"):
        keras.models.load_model(path, custom_objects={"Own": Own})


JSON = {
    "a name twice": b'{"class_name": "Sequential", "class_name": "Sequential", "config": {"layers": []}}',
    "no number": b'{"module": "keras", "class_name": "Sequential", "config": {"layers": [], "x": NaN}}',
    "an endless number": b'{"module": "keras", "class_name": "Sequential", "config": {"x": 1e999}}',
    "depth": b"[" * 100_000 + b"]" * 100_000,
    "depth in an object": b'{"a":' * 500 + b"1" + b"}" * 500,
    "a list": b"[]",
    "nothing": b"",
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("member", ["config.json", "metadata.json"])
@pytest.mark.parametrize("name", JSON)
def test_json_is_strict(name, member, members, tmp_path):
    refused(zipped(tmp_path / "m.keras", {**members, member: JSON[name]}), "damaged")


def test_the_members_of_the_zip_are_those_that_there_are(members, tmp_path):
    path = tmp_path / "m.keras"
    for missing in members:
        refused(zipped(path, {name: each for name, each in members.items() if name != missing}), "without")
    refused(zipped(path, [*members.items(), ("config.json", members["config.json"])]), "damaged")
    refused(zipped(path, members, compression=zipfile.ZIP_DEFLATED), "compressed")
    path.write_bytes(b"")
    refused(path, "damaged")
    path.write_bytes(zipped(tmp_path / "other.keras", members).read_bytes()[:-40])
    refused(path, "damaged")


def test_members_that_lie_about_their_size(members, tmp_path):
    path = zipped(tmp_path / "m.keras", members)
    content = bytearray(path.read_bytes())
    # In the directory at the end: sizes of the weights, both of them.
    entry = content.rfind(b"PK\x01\x02")
    content[entry + 20 : entry + 28] = (2**31).to_bytes(4, "little") * 2
    path.write_bytes(content)
    refused(path, "damaged")


# Whatever the bytes are.

FUZZ = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def changed_bytes(draw, content):
    """Bytes with a few of them changed, left out or put in."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        what = draw(st.sampled_from(["set", "flip", "cut", "insert", "word"]))
        if what == "set":
            content[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif what == "flip":
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif what == "cut":
            del content[at : at + draw(st.integers(1, 64))]
        elif what == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=16))
        else:
            value = draw(st.sampled_from([0, 1, 2**16, 2**31, 2**32 - 1, 2**63, 2**64 - 1, at, 96]))
            content[at - at % 8 : at - at % 8 + 8] = value.to_bytes(8, "little")
    return bytes(content)


VALUES = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        3,
        10**18,
        0.5,
        -1e300,
        "",
        "relu",
        "../x",
        "Dense",
        "float64",
        "__lambda__",
        [],
        {},
        [None, 4],
    ]
)


@st.composite
def changed_json(draw, value):
    """JSON with one of its values another one, one of its names another one, or one left out."""
    value = json.loads(json.dumps(value))
    at = value
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = draw(st.sampled_from(keys))
        below = at[key]
        if isinstance(below, dict | list) and below and draw(st.integers(0, 7)):
            at = below
            continue
        what = draw(st.sampled_from(["value", "name", "out"]))
        if what == "out":
            del at[key]
        elif what == "name" and isinstance(at, dict):
            at[draw(st.sampled_from([*keys, "class_name", "config", "module", "x"]))] = at.pop(key)
        else:
            at[key] = draw(VALUES)
        return value


def loads_or_is_refused(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(FileError):
            keras.models.load_model(path)


@FUZZ
@given(st.data())
def test_a_file_with_bytes_changed_is_a_model_or_a_file_error(members, tmp_path, data):
    path = zipped(tmp_path / "m.keras", members)
    path.write_bytes(data.draw(changed_bytes(path.read_bytes())))
    loads_or_is_refused(path)


@FUZZ
@given(st.data())
def test_a_file_with_changed_members_is_a_model_or_a_file_error(members, tmp_path, data):
    name = data.draw(st.sampled_from(sorted(members)))
    changed = {**members, name: data.draw(changed_bytes(members[name]))}
    loads_or_is_refused(zipped(tmp_path / "m.keras", changed))


@FUZZ
@given(st.data())
def test_a_file_with_a_changed_configuration_is_a_model_or_a_file_error(members, tmp_path, data):
    config = json.loads(members["config.json"])
    for _ in range(data.draw(st.integers(1, 2))):
        config = data.draw(changed_json(config))
    changed = {**members, "config.json": json.dumps(config).encode()}
    loads_or_is_refused(zipped(tmp_path / "m.keras", changed))


@FUZZ
@given(st.data())
def test_changed_weights_are_weights_or_a_file_error(members, tmp_path, data):
    path = tmp_path / "m.weights.h5"
    path.write_bytes(data.draw(changed_bytes(members["model.weights.h5"])))
    with warnings.catch_warnings(), contextlib.suppress(FileError):
        warnings.simplefilter("ignore")
        built_once().load_weights(path)


@functools.cache
def built_once():
    return small()
