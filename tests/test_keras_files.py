"""Keras's files: what is saved comes back, whole or not at all, and overwrites nothing it may not."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import h5py
import numpy as np
import pytest

import pellucid as keras
from configuration_cases import configurations
from judging import HERE, JUDGE, compare, surroundings
from keras_files_cases import cases
from pellucid import layers
from pellucid.errors import ArgumentError, FileError, StateError
from pellucid.keras_files import KERAS_VERSION, hdf5
from pellucid.naming import forget_names

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")


@pytest.fixture
def trained(classifier):
    """The small network, after an epoch."""
    model = classifier()
    model.fit(X, Y, epochs=1, verbose=0)
    return model


# The judge: real Keras reads what we wrote, and we read what it wrote.


def catalogued():
    """Where Keras has our classes: "layers.Dense", ..."""
    names = []
    for space in ("constraints", "initializers", "layers", "losses", "metrics", "optimizers", "regularizers"):
        entries = getattr(keras, space).CATALOGUE.entries.values()
        names += [f"{space}.{each.__name__}" for each in dict.fromkeys(entries) if isinstance(each, type)]
    entries = keras.optimizers.schedules.CATALOGUE.entries.values()
    names += [f"optimizers.schedules.{each.__name__}" for each in dict.fromkeys(entries)]
    return [name for name in names if name.rpartition(".")[2] not in LEFT_OUT]


#: Models, and what is made of functions, layers or optimizers: the files themselves are compared.
LEFT_OUT = {"Sequential", "Functional", "Model", "Lambda", "RNN", "StackedRNNCells", "Bidirectional"}
LEFT_OUT |= {"TimeDistributed", "Wrapper", "LossScaleOptimizer"}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What both libraries find in the files of both, by library: case: name: array."""
    folder = tmp_path_factory.mktemp("files")
    environment = surroundings(folder)
    (folder / "names.json").write_text(json.dumps(catalogued()))
    for what in ("write", "read"):
        running = {}
        for library, python in (("keras", str(JUDGE)), ("pellucid", sys.executable)):
            command = [python, str(HERE / "keras_files_cases.py"), what, library, str(folder)]
            running[library] = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        for library, process in running.items():
            _, trouble = process.communicate()
            assert process.returncode == 0, f"{library}:\n{trouble[-3000:]}"
    answers = {}
    for library in ("keras", "pellucid"):
        answers[library] = {}
        with np.load(folder / f"{library}-read.npz") as arrays:
            for key in arrays.files:
                case, name = key.split("/", 1)
                answers[library].setdefault(case, {})[name] = arrays[key]
    answers["configurations"] = json.loads((folder / "keras-configurations.json").read_text())
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("author", ["keras", "pellucid"])
@pytest.mark.parametrize("case", list(cases(keras)))
def test_both_libraries_read_a_file_as_the_same_model_and_train_it_on_in_the_same_way(found, case, author):
    ours, theirs = (found[library][f"{author}-{case}"] for library in ("pellucid", "keras"))
    close = {name: 1e-6 for name in ours if name.startswith("predicted")}
    if case == "halves":
        close = dict.fromkeys(ours, 2e-3)  # in float16
    compare(ours, theirs, close | {"scale": 0}, 1e-5)
    assert theirs["iterations"] == 3
    assert ("scale" in theirs) == (case in ("halves", "wrapped"))


#: What Keras writes otherwise, and why it does not matter: both read both.
OTHERWISE = {
    # Given by other names or by class, with the same meaning.
    "layers.Normalization": {"axis"},
    "initializers.Identity": {"gain"},
    "losses.Huber": {"delta", "name"},
    "losses.CosineSimilarity": {"axis"},
    "losses.SparseCategoricalCrossentropy": {"axis"},
    "metrics.CosineSimilarity": {"axis"},
    "metrics.SparseCategoricalCrossentropy": {"ignore_class"},
    "metrics.AUC": {"thresholds"},
    "metrics.SparseTopKCategoricalAccuracy": {"from_sorted_ids"},
    "layers.CategoryEncoding": {"sparse"},
    "layers.AdditiveAttention": {"seed"},
    "layers.EinsumDense": {"output_shape"},
    "layers.SimpleRNN": {"seed"},
    # Keras writes the name of the type here, and a policy elsewhere.
    "layers.Discretization": {"dtype"},
    "layers.SpatialDropout1D": {"dtype"},
    "layers.SpatialDropout2D": {"dtype"},
    # Keras rounds the number to float32.
    "regularizers.L1": {"l1"},
    "regularizers.OrthogonalRegularizer": {"factor"},
}


@pytest.mark.slow
def test_configurations_are_those_of_keras(found):
    theirs = found["configurations"]
    assert len(theirs) > 100
    forget_names()
    ours = json.loads(json.dumps(configurations(keras, list(theirs))))
    different = {}
    for name, written in theirs.items():
        mine = ours[name]
        assert {**mine, "config": None} == {**written, "config": None}
        both = {**mine["config"], **written["config"]}
        wrong = {key for key in both if mine["config"].get(key, ...) != written["config"].get(key, ...)}
        # Where Keras writes that there is no such penalty, we write nothing.
        if written["config"].get("activity_regularizer", ...) is None:
            wrong.discard("activity_regularizer")
        if wrong - OTHERWISE.get(name, set()):
            different[name] = {
                key: (mine["config"].get(key, ...), written["config"].get(key, ...)) for key in wrong
            }
    assert different == {}


# What is saved comes back.


@pytest.mark.parametrize("zipped", [True, False])
def test_a_saved_model_comes_back_with_its_optimizer(trained, tmp_path, zipped):
    path = tmp_path / ("m.keras" if zipped else "m")
    trained.save(path, zipped=zipped)
    again = keras.models.load_model(path)
    np.testing.assert_array_equal(again.predict(X, verbose=0), trained.predict(X, verbose=0))
    assert again.optimizer.get_config() == trained.optimizer.get_config()
    for one, other in zip(again.optimizer.variables, trained.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    first, second = (
        model.fit(X, Y, epochs=2, shuffle=False, verbose=0).history for model in (again, trained)
    )
    assert first == second


def test_a_file_says_which_keras_reads_it_and_holds_nothing_else(trained, tmp_path):
    trained.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert json.loads(archive.read("metadata.json"))["keras_version"] == KERAS_VERSION == "3.15.1"
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_without_compile_the_model_is_not_compiled(trained, tmp_path):
    trained.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", compile=False)
    assert not again.compiled
    np.testing.assert_array_equal(again.predict(X, verbose=0), trained.predict(X, verbose=0))


def test_weights_alone(trained, classifier, tmp_path):
    trained.save_weights(tmp_path / "m.weights.h5")
    trained.save(tmp_path / "m.keras")
    for name in ("m.weights.h5", "m.keras"):
        other = classifier()
        other.load_weights(tmp_path / name)
        np.testing.assert_array_equal(other.predict(X, verbose=0), trained.predict(X, verbose=0))
        assert int(other.optimizer.iterations) == 1


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float16"])
def test_types_of_weights_survive(policy, tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, dtype=policy)])
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.layers[0].dtype_policy.name == policy
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_an_initializer_that_two_layers_share_is_one_object_again(tmp_path):
    shared = keras.initializers.GlorotUniform(seed=3)
    dense = [layers.Dense(4, kernel_initializer=shared) for _ in range(2)]
    keras.Sequential([keras.Input((4,)), *dense]).save(tmp_path / "m.keras")
    one, other = keras.models.load_model(tmp_path / "m.keras").layers
    assert one.kernel_initializer is other.kernel_initializer


def test_layers_that_do_not_fit_are_skipped_when_asked(trained, tmp_path):
    trained.save_weights(tmp_path / "m.weights.h5")
    other = keras.Sequential([keras.Input((4,)), layers.Dense(3, "tanh"), layers.Dense(2)])
    before = other.layers[1].get_weights()
    with pytest.raises(FileError, match="of another model"):
        other.load_weights(tmp_path / "m.weights.h5")
    with pytest.warns(UserWarning, match="dense"):
        other.load_weights(tmp_path / "m.weights.h5", skip_mismatch=True)
    np.testing.assert_array_equal(other.layers[0].kernel, trained.layers[0].kernel)
    np.testing.assert_array_equal(other.layers[1].kernel, before[0])


def test_a_model_as_json_and_as_a_run_file(trained, tmp_path):
    again = keras.models.model_from_json(trained.to_json())
    assert again.count_params() == trained.count_params()
    assert again.compiled
    trained.save(tmp_path / "m.pellucid")
    again = keras.models.load_model(tmp_path / "m.pellucid")
    np.testing.assert_array_equal(again.predict(X, verbose=0), trained.predict(X, verbose=0))
    with pytest.raises(ArgumentError, match="no model"):
        keras.models.model_from_json("[1]")
    with pytest.raises(ArgumentError, match="not a model"):
        keras.models.model_from_json(json.dumps(keras.saving.serialize_keras_object(layers.Dense(1))))


def test_cloned_models_have_new_weights():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dropout(0.5)])
    again = keras.models.clone_model(model)
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert not np.array_equal(again.layers[0].kernel, model.layers[0].kernel)
    inputs = keras.Input((4,), name="rows")
    outputs = layers.Add()([layers.Dense(4)(inputs), inputs])
    model = keras.Model(inputs, outputs)
    again = keras.models.clone_model(model)
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))

    def without_bias(layer):
        config = layer.get_config()
        return type(layer).from_config({**config, "use_bias": False} if "use_bias" in config else config)

    assert len(keras.models.clone_model(model, clone_function=without_bias).weights) == 1


def test_a_function_of_ones_own_is_given_when_loading(tmp_path):
    def squares(y_true, y_pred):
        return (y_true - y_pred) ** 2

    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    model.compile("sgd", squares)
    model.save(tmp_path / "m.keras")
    with pytest.raises(FileError, match=r"squares[\s\S]*custom_objects"):
        keras.models.load_model(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", custom_objects={"squares": squares})
    assert again.loss is squares
    with keras.saving.custom_object_scope({"squares": squares}):
        assert keras.models.load_model(tmp_path / "m.keras").loss is squares


# Whole or not at all.


def test_nothing_is_written_over_without_leave(trained, tmp_path):
    for save, name in ((trained.save, "m.keras"), (trained.save_weights, "m.weights.h5")):
        save(tmp_path / name)
        before = (tmp_path / name).read_bytes()
        with pytest.raises(FileError, match="overwrite"):
            save(tmp_path / name, overwrite=False)
        assert (tmp_path / name).read_bytes() == before


def test_what_cannot_be_written_leaves_what_was_there(trained, tmp_path):
    trained.save(tmp_path / "m.keras")
    before = (tmp_path / "m.keras").read_bytes()
    trained.compile("sgd", lambda y, p: (y - p) ** 2)
    with pytest.raises(ArgumentError, match="without a name"):
        trained.save(tmp_path / "m.keras")
    assert (tmp_path / "m.keras").read_bytes() == before
    assert os.listdir(tmp_path) == ["m.keras"]


KILLED = """
import sys, pellucid as keras
model = keras.Sequential([keras.Input((500,)), keras.layers.Dense(500)])
print("ready", flush=True)
while True:
    model.save(sys.argv[1])
"""


@pytest.mark.slow
def test_a_killed_process_leaves_a_whole_file(tmp_path):
    for wait in (0.01, 0.05, 0.12):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "m.keras")], stdout=-1)
        process.stdout.readline()
        while not (tmp_path / "m.keras").exists():
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        keras.models.load_model(tmp_path / "m.keras")
        (tmp_path / "m.keras").unlink()


def test_wrong_names_and_models_that_are_not_built(trained, tmp_path):
    for name in ("m.h5", "m.hdf5", "m.txt", "m"):
        with pytest.raises(FileError, match=r"\.keras"):
            trained.save(tmp_path / name)
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(FileError, match=r"\.keras"):
            keras.models.load_model(tmp_path / name)
    with pytest.raises(ArgumentError, match=r"\.weights\.h5"):
        trained.save_weights(tmp_path / "m.h5")
    with pytest.raises(FileError, match="no such file"):
        keras.models.load_model(tmp_path / "none.keras")
    with pytest.raises(StateError, match="not yet been built"):
        keras.Sequential([layers.Dense(1)]).save_weights(tmp_path / "m.weights.h5")


# The reader of HDF5, against h5py.


def test_arrays_are_read_as_h5py_wrote_them(tmp_path):
    random = np.random.default_rng(1)
    written = {
        f"group{number % 7}/within/{number}": (random.normal(size=(number % 5, 3)) * 50).astype(kind)
        for number, kind in enumerate(
            ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "bool"] * 60
        )
    }
    written |= {"single": np.float32(1.5), "vars/0": np.array(3)}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for path, array in written.items():
            file[path] = array
        file["group0"].attrs["name"] = "ü" * 300
        for number in range(7):
            file[f"group{number}"].attrs["several"] = np.arange(number)
    read = hdf5.read_arrays((tmp_path / "a.h5").read_bytes())
    assert set(read) == set(written)
    for path, array in written.items():
        assert read[path].dtype == array.dtype
        np.testing.assert_array_equal(read[path], array)


# Vocabularies, which Keras keeps beside the numbers.

VOCABULARY = ["", "[UNK]", "red", "green and blue", "ünï\u2028code"]


def lookup():
    return layers.StringLookup(mask_token="", name="words")


def test_a_vocabulary_lies_where_keras_has_it_and_comes_back(tmp_path):
    words = keras.Input((1,), dtype="string")
    learned = lookup()
    learned.set_vocabulary(VOCABULARY[2:])
    model = keras.Model(words, layers.Embedding(6, 2)(learned(words)))
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        text = archive.read("assets/layers/string_lookup/vocabulary.txt").decode()
    assert text == "\n".join(VOCABULARY)
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.get_layer("words").get_vocabulary() == VOCABULARY
    x = np.array([["red"], ["none"], ["green and blue"]])
    np.testing.assert_array_equal(again.get_layer("words")(x), learned(x))


def test_a_file_without_its_vocabulary_is_refused(tmp_path):
    words = keras.Input((1,), dtype="string")
    keras.Model(words, lookup()(words)).save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist() if "assets" not in name}
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(FileError, match="vocabulary"):
        keras.models.load_model(tmp_path / "m.keras")


# What layers and models of one's own do.


@keras.saving.register_keras_serializable("files_test")
class Noted(layers.Dense):
    """A layer that keeps a text and numbers of its own, in the way of Keras."""

    note, numbers = "", np.zeros(2)

    def save_assets(self, inner_path):
        with open(os.path.join(inner_path, "note.txt"), "w", encoding="utf-8") as file:
            file.write(self.note)

    def load_assets(self, inner_path):
        with open(os.path.join(inner_path, "note.txt"), encoding="utf-8") as file:
            self.note = file.read()

    def save_own_variables(self, store):
        store["numbers"] = self.numbers

    def load_own_variables(self, store):
        self.numbers = np.array(store["numbers"])


def test_a_layer_of_ones_own_writes_its_assets_into_a_folder(tmp_path):
    model = keras.Sequential([keras.Input((4,)), Noted(1)])
    model.layers[0].note, model.layers[0].numbers = "two\nlines", np.array([1.0, 2.0])
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras").layers[0]
    assert again.note == "two\nlines"
    assert again.numbers.tolist() == [1.0, 2.0]


def test_a_model_goes_into_an_open_file_and_comes_back(trained):
    file = io.BytesIO()
    keras.saving.save_model(trained, file)
    file.seek(0)
    again = keras.models.load_model(file)
    np.testing.assert_array_equal(again.predict(X, verbose=0), trained.predict(X, verbose=0))


def test_layers_that_are_skipped_keep_their_weights(trained, tmp_path):
    first, second = trained.layers[0], trained.layers[1]
    trained.save_weights(tmp_path / "m.weights.h5", objects_to_skip=[first])
    kept = [weight + 1 for weight in first.get_weights()], second.get_weights()
    first.set_weights(kept[0])
    second.set_weights([weight + 1 for weight in kept[1]])
    trained.load_weights(tmp_path / "m.weights.h5", objects_to_skip=[first])
    for layer, weights in zip((first, second), kept, strict=True):
        for one, other in zip(layer.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(one, other)


@keras.saving.register_keras_serializable("files_test")
class Compiled(keras.Sequential):
    """A model that compiles in its own way."""

    def compile(self, *args, **kwargs):
        super().compile(*args, **kwargs)


def test_a_compile_of_ones_own_is_not_called_while_loading(tmp_path):
    model = Compiled([keras.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.keras")
    with pytest.warns(UserWarning, match="was not called as part of model loading"):
        assert not keras.models.load_model(tmp_path / "m.keras").compiled


@keras.saving.register_keras_serializable("files_test")
class Factored(layers.Layer):
    """A layer whose class cannot be made of its configuration, since it expects an object."""

    def __init__(self, scale=None, **kwargs):
        super().__init__(**kwargs)
        if isinstance(scale, dict):
            raise TypeError("scale is a layer")
        self.scale = scale

    def get_config(self):
        return {**super().get_config(), "scale": keras.saving.serialize_keras_object(self.scale)}

    def call(self, inputs):
        return self.scale(inputs)


def test_a_part_that_its_class_cannot_be_made_of_is_a_type_error(tmp_path):
    keras.Sequential([keras.Input((4,)), Factored(layers.Dense(1))]).save(tmp_path / "m.keras")
    with pytest.raises(TypeError, match="explicitly deserialized") as caught:
        keras.models.load_model(tmp_path / "m.keras")
    assert isinstance(caught.value, FileError)


def test_a_list_that_holds_itself_is_saved(tmp_path):
    @keras.saving.register_keras_serializable("files_test")
    class Circle(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.blocks = []
            self.blocks.append(self.blocks)
            self.line = layers.Dense(1)

        def call(self, inputs):
            return self.line(inputs)

    model = Circle()
    wanted = model(X)
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "m.keras")(X), wanted)


def test_a_folder_is_not_named_as_a_file(trained, tmp_path):
    with pytest.raises(ArgumentError, match="should not end in"):
        trained.save(tmp_path / "m.keras", zipped=False)
