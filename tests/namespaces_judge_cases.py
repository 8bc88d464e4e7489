"""The cases of test_namespaces.py, run by whichever library is given: pellucid or keras (see judging.py).

Utilities, structures, types, batches by number, and datasets read from small files in place of
those that are downloaded.
"""

import gzip
import importlib
import json
import os
import pathlib
import pickle

import numpy as np

READ = ("mnist", "imdb", "reuters", "boston_housing", "california_housing", "fashion_mnist", "cifar100")


def write_datasets(folder):
    """Small files of the names and the kinds that Keras downloads."""
    random = np.random.default_rng(0)

    def pictures(count):
        return random.integers(0, 256, (count, 28, 28)).astype("uint8"), random.integers(0, 10, count).astype(
            "uint8"
        )

    def texts(count):
        made = np.empty(count, dtype=object)
        made[:] = [random.integers(1, 40, random.integers(3, 12)).tolist() for _ in range(count)]
        return made, random.integers(0, 2, count)

    def npz(name, *parts):
        np.savez(folder / f"{name}.npz", **dict(parts))

    x, y = pictures(9)
    npz("mnist", ("x_train", x), ("y_train", y), ("x_test", x[:4]), ("y_test", y[:4]))
    for name in ("imdb",):
        (x, y), (x_test, y_test) = texts(20), texts(12)
        npz(name, ("x_train", x), ("y_train", y), ("x_test", x_test), ("y_test", y_test))
    x, y = texts(30)
    npz("reuters", ("x", x), ("y", y))
    for name in ("boston_housing", "california_housing"):
        npz(name, ("x", random.normal(size=(21, 13))), ("y", random.normal(size=21)))
    for name in ("imdb", "reuters"):
        (folder / f"{name}_word_index.json").write_text(json.dumps({"film": 1, "bad": 2}))
    (folder / "fashion-mnist").mkdir()
    for stem, count in (("train", 5), ("t10k", 3)):
        x, y = pictures(count)
        for kind, content in (
            ("images-idx3", bytes(16) + x.tobytes()),
            ("labels-idx1", bytes(8) + y.tobytes()),
        ):
            (folder / "fashion-mnist" / f"{stem}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))
    inner = folder / "cifar-100-python-target" / "cifar-100-python"
    inner.mkdir(parents=True)
    for part, count in (("train", 4), ("test", 2)):
        labels = random.integers(0, 100, count).tolist()
        found = {
            b"data": random.integers(0, 256, (count, 3072)).astype("uint8"),
            b"fine_labels": labels,
            b"coarse_labels": [each // 5 for each in labels],
        }
        (inner / part).write_bytes(pickle.dumps(found, protocol=4))


def _datasets(keras):
    folder = pathlib.Path(f"datasets of {keras.__name__}", "datasets").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    write_datasets(folder)
    os.environ["KERAS_HOME"] = str(folder.parent)
    if keras.__name__ == "keras":
        # Keras compares what it downloaded with what it knows of it; here it reads our files.
        def get_file(fname, cache_subdir="datasets", **kwargs):
            return str(folder.parent / cache_subdir / fname)

        for name in READ:
            importlib.import_module(f"keras.src.datasets.{name}").get_file = get_file
    d = keras.datasets
    loaded = {
        "mnist": d.mnist.load_data(),
        "fashion_mnist": d.fashion_mnist.load_data(),
        "cifar100": d.cifar100.load_data(),
        "cifar100 coarse": d.cifar100.load_data("coarse"),
        "boston": d.boston_housing.load_data(),
        "california": d.california_housing.load_data("small", test_split=0.4, seed=3),
        "imdb": d.imdb.load_data(),
        "imdb 20": d.imdb.load_data(num_words=20, skip_top=5, maxlen=9),
        "imdb as it is": d.imdb.load_data(start_char=None, index_from=0, oov_char=None, num_words=30),
        "reuters": d.reuters.load_data(),
        "reuters 20": d.reuters.load_data(num_words=20, maxlen=10, start_char=None, test_split=0.5),
    }
    found = {}
    for name, parts in loaded.items():
        for part, (x, y) in zip(("train", "test"), parts, strict=True):
            if x.dtype == object:
                x = np.array([np.pad(text, (0, 20 - len(text))) for text in map(list, x)])
            found[f"x/{name}/{part}"], found[f"y/{name}/{part}"] = x, y
    found["words"] = np.array(sorted(d.imdb.get_word_index().values()))
    names = "".join(d.reuters.get_label_names())
    found["topics"] = np.frombuffer(names.encode(), np.uint8).astype(int)
    return found


def _types(keras):
    kinds = ["bool", "int8", "uint8", "int32", "uint32", "float16", "bfloat16", "float32", int, float]
    known = ["bool", "int32", "float16", "bfloat16", "float32"]
    b = keras.backend
    table = [
        known.index(b.result_type(one, other)) if b.result_type(one, other) in known else -1
        for one in kinds
        for other in kinds
    ]
    single = [b.is_float_dtype(kind) for kind in kinds[:8]] + [b.is_int_dtype(kind) for kind in kinds[:8]]
    return {"table": np.array(table), "single": np.array(single).astype(int)}


def _structures(keras):
    t = keras.tree
    structure = {"b": [1, (2, None)], "a": 3}
    seen = []
    t.traverse(lambda part: seen.append(str(part)), structure, top_down=False)
    said = [
        t.flatten(structure),
        t.flatten_with_path(structure),
        t.is_nested(structure),
        t.is_nested(None),
        t.map_structure(lambda x: x if x is None else x + 1, structure),
        t.map_structure(lambda x, y: (x, y), structure, structure),
        t.map_structure_up_to([0, [0, 0]], str, [[1, 1], [2, {"a": 3}]]),
        t.map_shape_structure(len, {"x": (None, 2), "y": [(1,), (2, 3, 4)]}),
        t.pack_sequence_as(structure, list("wxyz")),
        t.lists_to_tuples(structure),
        seen,
        t.traverse(lambda part: t.MAP_TO_NONE if part == 2 else None, structure),
    ]
    # A dict may be written in either order.
    return {"said": np.array([ord(letter) for letter in sorted("".join(map(str, said)))])}


def _sequences(keras):
    pad = keras.utils.pad_sequences
    given = [[1], [2, 3], [4, 5, 6, 7], []]
    return {
        "longest": pad(given),
        "three": pad(given, maxlen=3),
        "post": pad(given, maxlen=3, padding="post", truncating="post", value=-1, dtype="float32"),
        "vectors": pad([np.ones((2, 3)), np.ones((1, 3))], maxlen=4),
        "preprocessing": keras.preprocessing.sequence.pad_sequences(given, 2),
        "classes": keras.utils.to_categorical([[1], [0], [2]], 4),
        "normed": keras.utils.normalize(np.array([[3.0, 4.0], [0.0, 0.0]])),
    }


def _batches(keras, shuffle):
    class Batches(keras.utils.PyDataset):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            random = np.random.default_rng(1)
            self.x = random.normal(size=(50, 4)).astype("float32")
            self.y = (self.x[:, 0] > 0).astype("float32")
            self.told = []

        def __len__(self):
            return 7

        def __getitem__(self, index):
            rows = slice(8 * index, 8 * index + 8)
            return self.x[rows], self.y[rows]

        def on_epoch_begin(self):
            self.told.append(1)

    def run():
        keras.utils.set_random_seed(3)
        data = Batches()
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(1)]
        )
        model.compile("sgd", "mse")
        first = model.fit(data, epochs=3, verbose=0, shuffle=shuffle).history["loss"]
        second = model.fit(data, epochs=2, verbose=0, shuffle=shuffle, validation_data=data).history
        found = {"first": np.array(first), **{name: np.array(value) for name, value in second.items()}}
        found |= {f"weights/{number}": each for number, each in enumerate(model.get_weights())}
        found["evaluate"] = np.asarray(model.evaluate(data, verbose=0))
        found["predict"] = model.predict(data, verbose=0)
        return found

    return run


def cases(keras):
    """Each case by its name: a function that gives arrays by their names."""
    return {
        "datasets": lambda: _datasets(keras),
        "types": lambda: _types(keras),
        "structures": lambda: _structures(keras),
        "sequences": lambda: _sequences(keras),
        "batches in order": _batches(keras, False),
        "batches shuffled": _batches(keras, True),
    }
