"""keras.utils, datasets, tree, backend, config, preprocessing: what Keras gives, and what is refused."""

import importlib
import logging
import pathlib
import pickle

import numpy as np
import pytest

import pellucid as keras
from judging import answers, compare
from namespaces_judge_cases import cases
from pellucid.errors import ArgumentError, DataError, FileError, PellucidError

LOCAL = {
    "digits": ((1797, 8, 8), 10),
    "breast_cancer": ((569, 30), 2),
    "iris": ((150, 4), 3),
    "wine": ((178, 13), 3),
    "diabetes": ((442, 10), None),
}
DOWNLOADED = [
    "mnist",
    "fashion_mnist",
    "cifar10",
    "cifar100",
    "imdb",
    "reuters",
    "boston_housing",
    "california_housing",
]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What both libraries give, by library: case: name: array."""
    return answers("namespaces_judge_cases.py", tmp_path_factory.mktemp("namespaces"))


@pytest.mark.slow
@pytest.mark.parametrize("case", list(cases(keras)))
def test_the_same_calls_give_what_keras_gives(found, case):
    compare(found["pellucid"][case], found["keras"][case], {}, 1e-5)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder of downloads, empty."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    return tmp_path / "datasets"


# Datasets.


@pytest.mark.parametrize("name", DOWNLOADED)
def test_a_dataset_that_is_not_there_says_where_it_comes_from_and_where_it_goes(kept, name):
    with pytest.raises(FileError, match="nothing is downloaded") as said:
        getattr(keras.datasets, name).load_data()
    assert str(kept) in str(said.value)
    assert "https://" in str(said.value)
    if name not in ("imdb", "reuters"):
        assert "which comes with scikit-learn" in str(said.value)


@pytest.mark.parametrize("name", LOCAL)
def test_what_comes_with_scikit_learn_is_there(name):
    (x, y), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    shape, classes = LOCAL[name]
    assert (len(x) + len(x_test), *x.shape[1:]) == shape
    assert (len(y), len(y_test)) == (len(x), len(x_test))
    assert len(x_test) == pytest.approx(0.2 * shape[0], abs=1)
    assert x.dtype == "float32"
    assert classes is None or set(y_test) <= set(y) == set(range(classes))


def test_the_rows_of_a_dataset_are_shuffled_by_the_seed_alone():
    first, again = (keras.datasets.iris.load_data(test_split=0.5, seed=1) for _ in range(2))
    other = keras.datasets.iris.load_data(test_split=0.5, seed=2)
    assert np.array_equal(first[0][0], again[0][0])
    assert not np.array_equal(first[0][1], other[0][1])
    with pytest.raises(ArgumentError, match="part of the rows"):
        keras.datasets.iris.load_data(test_split=1.0)


def test_a_dataset_can_be_imported_as_a_module():
    module = importlib.import_module("pellucid.datasets.mnist")
    assert module is keras.datasets.mnist
    assert module.load_data.__name__ == "load_data"


class Harm:
    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path("harmed"),))


def test_a_file_of_a_dataset_cannot_run_anything(kept, monkeypatch):
    monkeypatch.chdir(kept)
    harmful = np.empty(1, dtype=object)
    harmful[0] = Harm()
    np.savez(kept / "imdb.npz", x_train=harmful, y_train=[0], x_test=harmful, y_test=[0])
    with pytest.raises(FileError, match="more than numbers"):
        keras.datasets.imdb.load_data()
    inner = kept / "cifar-100-python"
    inner.mkdir()
    (inner / "train").write_bytes(pickle.dumps({b"data": Harm()}))
    with pytest.raises(FileError, match="more than numbers"):
        keras.datasets.cifar100.load_data()
    assert not (kept / "harmed").exists()


def test_an_archive_is_read_where_it_lies(kept):
    import tarfile

    random = np.random.default_rng(0)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    with tarfile.open(kept / "cifar-10-python.tar.gz", "w:gz") as archive:
        for name in names:
            part = {b"data": random.integers(0, 256, (2, 3072)).astype("uint8"), b"labels": [1, 2]}
            (kept / name).write_bytes(pickle.dumps(part, protocol=4))
            archive.add(kept / name, f"cifar-10-batches-py/{name}")
    (x, y), (x_test, y_test) = keras.datasets.cifar10.load_data()
    assert (x.shape, y.shape, x_test.shape, y_test.shape) == (
        (10, 32, 32, 3),
        (10, 1),
        (2, 32, 32, 3),
        (2, 1),
    )
    first = pickle.loads((kept / "data_batch_1").read_bytes())[b"data"]
    assert x[0, 0, 1, 2] == first[0, 2 * 1024 + 1]


def test_get_file_gives_what_is_kept_and_downloads_nothing(kept, tmp_path):
    with pytest.raises(FileError, match="nothing is downloaded"):
        keras.utils.get_file("table.csv", origin="https://example.org/table.csv")
    source = tmp_path / "a table.csv"
    source.write_text("a,b\n1,2\n")
    path = keras.utils.get_file("table.csv", origin=source.as_uri())
    assert pathlib.Path(path) == kept / "table.csv"
    assert keras.utils.get_file(origin="https://example.org/table.csv") == path
    with pytest.raises(FileError, match="another content"):
        keras.utils.get_file("table.csv", file_hash="0" * 64)
    with pytest.raises(ArgumentError, match="name of the file"):
        keras.utils.get_file()


# Batches, sequences, series, splits.


class Batches(keras.utils.PyDataset):
    """48 rows in batches of 8."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        random = np.random.default_rng(1)
        self.x = random.normal(size=(48, 4)).astype("float32")
        self.asked, self.ended = [], 0

    def __len__(self):
        return 6

    def __getitem__(self, index):
        self.asked.append(index)
        rows = slice(8 * index, 8 * index + 8)
        return self.x[rows], self.x[rows, 0]

    def on_epoch_end(self):
        self.ended += 1


def trained(data, **fitting):
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input(shape=(4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model.fit(data, epochs=2, verbose=0, **fitting)


def test_batches_by_number_are_those_of_the_rows_in_order():
    data = Batches()
    by_number = trained(data, shuffle=False)
    by_rows = trained(data.x, y=data.x[:, 0], batch_size=8, shuffle=False)
    assert np.allclose(by_number.history["loss"], by_rows.history["loss"], rtol=1e-6)
    assert data.ended == 2


def test_each_epoch_takes_batches_in_another_order():
    data = Batches()
    history = trained(data)
    first, second = data.asked[-12:-6], data.asked[-6:]
    assert sorted(first) == sorted(second) == list(range(6))
    assert first != second
    assert np.array_equal(history.open(7).x, data.x[8 * second[1] : 8 * second[1] + 8])


def test_reading_ahead_changes_nothing():
    one, several = (trained(Batches(workers=workers), shuffle=False).history for workers in (1, 3))
    assert one == several


def test_a_dataset_without_a_length_says_what_it_needs():
    class Endless(keras.utils.PyDataset):
        def __getitem__(self, index):
            return np.ones((2, 4)), np.ones(2)

    with pytest.raises(NotImplementedError, match="__len__"):
        trained(Endless())
    Endless.num_batches = None
    assert len(trained(Endless(), steps_per_epoch=3).history["loss"]) == 2


def test_a_series_can_be_learned_from():
    series = np.sin(np.arange(60) / 5).astype("float32")
    windows = keras.utils.timeseries_dataset_from_array(
        series[:-4], series[4:], sequence_length=4, sequence_stride=2, batch_size=8
    )
    assert len(windows) == 4
    x, y = windows[1]
    assert np.array_equal(x[0], series[16:20])
    assert y[0] == series[20]
    assert len(windows[3][0]) == 27 - 3 * 8
    assert trained(windows).history["loss"][1] < trained(windows).history["loss"][0]


def test_windows_over_part_of_a_series():
    of = keras.utils.timeseries_dataset_from_array
    x = np.arange(20)
    assert [
        w.tolist() for w in of(x, None, 3, sampling_rate=2, batch_size=None, start_index=10, end_index=17)
    ] == [
        [10, 12, 14],
        [11, 13, 15],
        [12, 14, 16],
    ]
    one, other = (of(x, x, 2, shuffle=True, seed=seed).starts.tolist() for seed in (1, 2))
    assert one != other
    assert sorted(one) == sorted(other) == list(range(19))
    for wrong in (
        {"start_index": 20},
        {"end_index": 20},
        {"sampling_rate": 0},
        {"sequence_stride": 25},
        {"format": "csv"},
    ):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            of(x, None, 3, **wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda pad: pad([[1]], padding="left"), "padding"),
        (lambda pad: pad([1, 2]), "list of iterables"),
        (lambda pad: pad(3), "iterable"),
        (lambda pad: pad([["a"]], value="b"), "object"),
        (lambda pad: pad([[[1]], [[1, 2]]]), "one shape"),
    ],
)
def test_sequences_that_cannot_be_padded_are_said(wrong, said):
    with pytest.raises((ArgumentError, DataError), match=said):
        wrong(keras.utils.pad_sequences)


def test_rows_are_split():
    split = keras.utils.split_dataset
    x, y = np.arange(10), np.arange(10) * 2
    (x_left, y_left), (x_right, y_right) = split((x, y), right_size=3, shuffle=True, seed=4)
    assert sorted([*x_left, *x_right]) == list(range(10))
    assert np.array_equal(y_left, 2 * x_left)
    assert len(y_right) == 3
    assert [part.tolist() for part in split(x, left_size=0.25, right_size=0.5)] == [[0, 1], [5, 6, 7, 8, 9]]
    for wrong in (
        {},
        {"left_size": 10},
        {"left_size": 1.0},
        {"left_size": 7, "right_size": 7},
        {"right_size": "2"},
    ):
        with pytest.raises(ArgumentError):
            split(x, **wrong)
    with pytest.raises(DataError, match="same number of rows"):
        split((x, y[:3]), left_size=1)


# What is printed and drawn.


def test_a_bar_averages_what_is_not_stateful(capsys):
    bar = keras.utils.Progbar(4, verbose=2, stateful_metrics=["seen"])
    bar.update(1, [("loss", 4.0), ("seen", 1.0)])
    bar.add(2, [("loss", 1.0), ("seen", 3.0)])
    assert bar._sums["loss"][0] / bar._sums["loss"][1] == 2
    bar.add(1, [("loss", 2.0), ("seen", 4.0)])
    assert "4/4" in (told := capsys.readouterr().out)
    assert "seen: 4.0000" in told
    with pytest.raises(ArgumentError, match="both"):
        keras.utils.Progbar(1, stateful_metrics=[], stateless_metrics=[])


def test_without_interactive_logging_nothing_is_printed(capsys, caplog):
    assert keras.config.is_interactive_logging_enabled()
    keras.config.disable_interactive_logging()
    try:
        with caplog.at_level(logging.INFO, "pellucid"):
            keras.utils.Progbar(1).update(1, [("loss", 0.5)])
    finally:
        keras.config.enable_interactive_logging()
    assert capsys.readouterr().out == ""
    assert "loss: 0.5000" in caplog.text


def test_a_model_is_drawn(tmp_path):
    import matplotlib.pyplot as plt

    inputs = keras.Input(shape=(4,), name="row")
    hidden = keras.layers.Dense(3, activation="relu", name="hidden")(inputs)
    outputs = keras.layers.Concatenate(name="joined")([inputs, hidden])
    model = keras.Model(inputs, keras.ops.sum(outputs, axis=-1))
    path = tmp_path / "model.svg"
    plt.rcParams["svg.fonttype"] = "none"
    figure = keras.utils.plot_model(
        model, str(path), show_shapes=True, show_layer_names=True, show_layer_activations=True
    )
    picture = path.read_text()
    for said in (
        "row (InputLayer)",
        "hidden (Dense)",
        "activation: relu",
        "joined (Concatenate)",
        "(None, 7)",
    ):
        assert said in picture
    arrows = [each for each in figure.axes[0].texts if each.arrow_patch is not None]
    assert len(arrows) == 4
    chain = keras.Sequential([keras.Input(shape=(2,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    figure = keras.utils.plot_model(chain, str(tmp_path / "chain.png"), rankdir="LR", dpi=50)
    assert (tmp_path / "chain.png").stat().st_size > 1000


# Settings.


def test_clear_session_begins_names_and_draws_anew():
    keras.utils.set_random_seed(1)
    first = keras.random.uniform((2,))
    keras.layers.Dense(1)
    keras.backend.clear_session()
    assert keras.layers.Dense(1).name == "dense"
    assert not np.array_equal(keras.random.uniform((2,)), first)
    keras.utils.set_random_seed(1)
    assert np.array_equal(keras.random.uniform((2,)), first)


def test_epsilon_is_what_losses_keep_from_nought():
    assert keras.config.epsilon() == keras.backend.epsilon() == 1e-7
    keras.config.set_epsilon(0.25)
    try:
        assert float(keras.losses.binary_crossentropy([1.0], [0.0])) == pytest.approx(-np.log(0.25))
        assert keras.ops.normalize([0.1]).tolist() == pytest.approx([0.4])
    finally:
        keras.config.set_epsilon(1e-7)


def test_channels_may_come_first():
    keras.config.set_image_data_format("channels_first")
    try:
        assert keras.ops.max_pool(np.ones((1, 3, 4, 4)), 2).shape == (1, 3, 2, 2)
        assert keras.backend.image_data_format() == "channels_first"
    finally:
        keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (keras.config.enable_unsafe_deserialization, "never run"),
        (lambda: keras.config.set_backend("torch"), "JAX"),
        (keras.config.enable_flash_attention, "flash attention"),
        (lambda: keras.preprocessing.image_dataset_from_directory("pictures"), "not part of Pellucid"),
        (lambda: keras.preprocessing.image.load_img("picture.png"), "Pillow"),
        (lambda: keras.tree.map_structure(len), "at least one"),
        (lambda: keras.tree.map_structure(max, [1], [1, 2]), "same nested structure"),
        (lambda: keras.tree.assert_same_paths({"a": 1}, {"b": 1}), "same paths"),
    ],
)
def test_what_is_refused_says_why(call, said):
    with pytest.raises(PellucidError, match=said):
        call()


def test_settings_that_change_nothing_are_taken():
    keras.config.set_backend("jax")
    keras.config.disable_traceback_filtering()
    keras.config.enable_traceback_filtering()
    keras.config.disable_flash_attention()
    assert not keras.config.is_traceback_filtering_enabled()
    assert not keras.config.is_flash_attention_enabled()
    assert not keras.config.is_nnx_enabled()


def test_symbolic_tensors_are_known():
    assert keras.backend.is_keras_tensor(keras.Input(shape=(2,)))
    assert not keras.utils.is_keras_tensor(np.ones(2))
    assert keras.utils.Sequence is keras.utils.PyDataset
