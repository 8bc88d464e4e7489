"""keras.datasets: tables and pictures to learn with, as ((x_train, y_train), (x_test, y_test)).

Nothing is downloaded. `digits`, `breast_cancer`, `iris`, `wine` and `diabetes` come with
scikit-learn. `mnist`, `imdb` and the others of Keras are read from the folder in which Keras keeps
what it downloaded (~/.keras/datasets, or datasets in KERAS_HOME), if they are there.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pathlib
import pickle
import sys
import tarfile
import zipfile
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

import numpy as np

from pellucid.arrays import image_data_format
from pellucid.errors import ArgumentError, FileError, PellucidError, message

NumPy = np.ndarray[Any, Any]
Split = tuple[tuple[NumPy, NumPy], tuple[NumPy, NumPy]]

_ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_CIFAR = "https://www.cs.toronto.edu/~kriz/"
#: What comes with scikit-learn and is most like each of the others.
_NEAREST = {
    "mnist": "digits",
    "fashion_mnist": "digits",
    "cifar10": "digits",
    "cifar100": "digits",
    "boston_housing": "diabetes",
    "california_housing": "diabetes",
}


def folder() -> pathlib.Path:
    """Where Keras keeps what it downloads."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return pathlib.Path(home)


def missing(name: str, path: pathlib.Path, origin: str, mend: str = "") -> FileError:
    """The error that says what is not on this machine, where it comes from, and where it goes."""
    return FileError(
        message(
            f"{name} is not on this machine, and nothing is downloaded.",
            came=f"no file {path}",
            expected=f"the file that Keras downloads from {origin}",
            mend=f"put that file there{mend}.",
        )
    )


def _kept(dataset: str, file: str, origin: str) -> pathlib.Path:
    path = folder() / "datasets" / file
    if not path.exists():
        near = _NEAREST.get(dataset)
        raise missing(
            f"the dataset {dataset}",
            path,
            origin,
            f", or use keras.datasets.{near}, which comes with scikit-learn" if near else "",
        )
    return path


class _Arrays(pickle.Unpickler):
    """Reads pickled lists and NumPy arrays, and refuses everything else: what it could name would be run."""

    allowed = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
    }

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in self.allowed:
            raise FileError(
                message(
                    "the file holds more than numbers; it is not read.", came=f"{module_name}.{global_name}"
                )
            )
        return super().find_class(module_name, global_name)


def _npz(path: pathlib.Path) -> dict[str, NumPy]:
    """The arrays of an .npz file; lists of unequal length are pickled in it."""
    found: dict[str, NumPy] = {}
    with zipfile.ZipFile(path) as members:
        for name in members.namelist():
            content = io.BytesIO(members.read(name))
            try:
                array = np.lib.format.read_array(content, allow_pickle=False)
            except ValueError:
                content.seek(0)
                major, _ = np.lib.format.read_magic(content)
                read = (
                    np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
                )
                read(content)
                array = _Arrays(content).load()
            found[name.removesuffix(".npy")] = array
    return found


def _shuffled(count: int, random: np.random.RandomState) -> NumPy:
    """The numbers of the rows, in the order that Keras takes them in."""
    order = np.arange(count)
    random.shuffle(order)
    return order


def _split(x: NumPy, y: NumPy, test_split: float, seed: int) -> Split:
    if not 0 <= test_split < 1:
        raise ArgumentError(
            message("test_split is a part of the rows.", came=test_split, expected="from 0 to below 1")
        )
    order = _shuffled(len(x), np.random.RandomState(seed))
    x, y = x[order], y[order]
    cut = int(len(x) * (1 - test_split))
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


# Pictures.


def _mnist(path: str = "mnist.npz") -> Split:
    """60,000 + 10,000 handwritten digits of 28 x 28 grey pixels, 0 to 255; y is the digit."""
    found = _npz(_kept("mnist", path, f"{_ORIGIN}mnist.npz"))
    return (found["x_train"], found["y_train"]), (found["x_test"], found["y_test"])


def _fashion_mnist() -> Split:
    """60,000 + 10,000 pieces of clothing of 28 x 28 grey pixels, 0 to 255; y is the kind, 0 to 9."""

    def read(file: str, header: int) -> NumPy:
        path = _kept("fashion_mnist", f"fashion-mnist/{file}", f"{_ORIGIN}{file}")
        return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)

    def part(stem: str) -> tuple[NumPy, NumPy]:
        y = read(f"{stem}-labels-idx1-ubyte.gz", 8)
        return read(f"{stem}-images-idx3-ubyte.gz", 16).reshape(len(y), 28, 28), y

    return part("train"), part("t10k")


def _cifar_batch(dataset: str, name: str, labels: str) -> tuple[NumPy, NumPy]:
    """A file of the CIFAR archives, from a folder or from the archive itself."""
    inner = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}[dataset]
    archive = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}[dataset]
    kept = folder() / "datasets"
    for path in (kept / f"{inner}-target" / inner / name, kept / inner / name):
        if path.exists():
            content = path.read_bytes()
            break
    else:
        with tarfile.open(_kept(dataset, archive, f"{_CIFAR}{archive}")) as members:
            content = cast(Any, members.extractfile(f"{inner}/{name}")).read()
    found = _Arrays(io.BytesIO(content), encoding="bytes").load()
    pictures = np.asarray(found[b"data"]).reshape(-1, 3, 32, 32)
    if image_data_format() == "channels_last":
        pictures = pictures.transpose(0, 2, 3, 1)
    return pictures, np.reshape(found[labels.encode()], (-1, 1))


def _cifar10() -> Split:
    """50,000 + 10,000 colour pictures of 32 x 32 pixels; y is the kind of thing, 0 to 9."""
    parts = [_cifar_batch("cifar10", f"data_batch_{number}", "labels") for number in range(1, 6)]
    x, y = (np.concatenate(each) for each in zip(*parts, strict=True))
    x_test, y_test = _cifar_batch("cifar10", "test_batch", "labels")
    return (x, y.astype("uint8")), (x_test, y_test.astype("uint8"))


def _cifar100(label_mode: str = "fine") -> Split:
    """50,000 + 10,000 colour pictures of 32 x 32 pixels; y is one of 100 kinds, or of 20 ("coarse")."""
    if label_mode not in ("fine", "coarse"):
        raise ArgumentError(
            message("label_mode is unknown.", came=repr(label_mode), expected='"fine" or "coarse"')
        )
    train, test = (_cifar_batch("cifar100", part, f"{label_mode}_labels") for part in ("train", "test"))
    return train, test


# Texts, as the numbers of their words.


def _words(
    x: list[Any],
    y: NumPy,
    num_words: int | None,
    skip_top: int,
    start_char: int | None,
    oov_char: int | None,
    index_from: int,
    maxlen: int | None,
) -> tuple[list[list[int]], NumPy]:
    """Texts, with numbers for their beginning and for words that are left out."""
    begin = [] if start_char is None else [start_char]
    texts = [[*begin, *(int(word) + index_from for word in text)] for text in x]
    if maxlen:
        kept = [place for place, text in enumerate(texts) if len(text) < maxlen]
        texts, y = [texts[place] for place in kept], y[kept]
        if not texts:
            raise ArgumentError(
                message("no text is that short.", came=f"maxlen={maxlen}", mend="increase maxlen.")
            )
    num_words = num_words or max(map(max, texts))
    if oov_char is None:
        return [[word for word in text if skip_top <= word < num_words] for text in texts], y
    return [[word if skip_top <= word < num_words else oov_char for word in text] for text in texts], y


def _as_objects(texts: list[list[int]]) -> NumPy:
    made = np.empty(len(texts), dtype=object)
    made[:] = texts
    return made


def _imdb(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
    **kwargs: Any,
) -> Split:
    """25,000 + 25,000 reviews of films as lists of numbers of words; y is 1 for those that praise."""
    found = _npz(_kept("imdb", path, f"{_ORIGIN}imdb.npz"))
    random = np.random.RandomState(seed)
    texts: list[Any] = []
    labels: list[NumPy] = []
    for part in ("train", "test"):
        order = _shuffled(len(found[f"x_{part}"]), random)
        texts += list(found[f"x_{part}"][order])
        labels.append(found[f"y_{part}"][order])
    lengths = [len(text) + (start_char is not None) for text in texts]
    cut = sum(not maxlen or length < maxlen for length in lengths[: len(labels[0])])
    x, y = _words(
        texts, np.concatenate(labels), num_words, skip_top, start_char, oov_char, index_from, maxlen
    )
    return (_as_objects(x[:cut]), y[:cut]), (_as_objects(x[cut:]), y[cut:])


def _reuters(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> Split:
    """11,228 pieces of news as lists of numbers of words; y is the topic, 0 to 45."""
    found = _npz(_kept("reuters", path, f"{_ORIGIN}reuters.npz"))
    order = _shuffled(len(found["x"]), np.random.RandomState(seed))
    x, y = _words(
        list(found["x"][order]),
        found["y"][order],
        num_words,
        skip_top,
        start_char,
        oov_char,
        index_from,
        maxlen,
    )
    cut = int(len(x) * (1 - test_split))
    return (_as_objects(x[:cut]), y[:cut]), (_as_objects(x[cut:]), y[cut:])


def _word_index(dataset: str) -> Callable[..., dict[str, int]]:
    def get_word_index(path: str = f"{dataset}_word_index.json") -> dict[str, int]:
        """The number of each word."""
        kept = _kept(dataset, path, f"{_ORIGIN}{dataset}_word_index.json")
        return json.loads(kept.read_text(encoding="utf-8"))

    return get_word_index


TOPICS = """cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship
cotton carcass crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal
livestock retail ipi iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead"""


def _label_names() -> tuple[str, ...]:
    """The names of the topics, by their numbers."""
    return tuple(TOPICS.split())


# Houses.


def _boston_housing(path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> Split:
    """506 suburbs of Boston, 13 numbers each; y is the median price of a house in thousands of dollars."""
    found = _npz(_kept("boston_housing", path, f"{_ORIGIN}boston_housing.npz"))
    return _split(found["x"], found["y"], test_split, seed)


def _california_housing(
    version: str = "large", path: str = "california_housing.npz", test_split: float = 0.2, seed: int = 113
) -> Split:
    """20,640 districts of California (600 if "small"), 8 numbers each; y is the median price in dollars."""
    if version not in ("small", "large"):
        raise ArgumentError(message("version is unknown.", came=repr(version), expected='"small" or "large"'))
    found = _npz(_kept("california_housing", path, f"{_ORIGIN}california_housing.npz"))
    rows = 600 if version == "small" else None
    return _split(found["x"][:rows], found["y"][:rows], test_split, seed)


# What comes with scikit-learn.


def _of_scikit_learn(name: str, document: str, y_type: str = "int64") -> Callable[..., Split]:
    def load_data(test_split: float = 0.2, seed: int = 113) -> Split:
        try:
            import sklearn.datasets
        except ImportError:
            raise _without_scikit_learn(name) from None
        found: Any = getattr(sklearn.datasets, f"load_{name}")()
        x = np.asarray(found.images if name == "digits" else found.data, "float32")
        return _split(x, np.asarray(found.target, y_type), test_split, seed)

    load_data.__doc__ = document
    return load_data


def _without_scikit_learn(name: str) -> PellucidError:
    return FileError(
        message(
            f"the dataset {name} comes with scikit-learn, which is not installed.",
            mend="pip install scikit-learn",
        )
    )


def _namespace(name: str, **functions: Callable[..., Any]) -> ModuleType:
    """A module of this name, so that `from keras.datasets.mnist import load_data` works."""
    module = ModuleType(f"{__name__}.{name}", functions["load_data"].__doc__)
    for each, function in functions.items():
        function.__name__ = each
        setattr(module, each, function)
    sys.modules[module.__name__] = module
    return module


mnist = _namespace("mnist", load_data=_mnist)
fashion_mnist = _namespace("fashion_mnist", load_data=_fashion_mnist)
cifar10 = _namespace("cifar10", load_data=_cifar10)
cifar100 = _namespace("cifar100", load_data=_cifar100)
imdb = _namespace("imdb", load_data=_imdb, get_word_index=_word_index("imdb"))
reuters = _namespace(
    "reuters", load_data=_reuters, get_word_index=_word_index("reuters"), get_label_names=_label_names
)
boston_housing = _namespace("boston_housing", load_data=_boston_housing)
california_housing = _namespace("california_housing", load_data=_california_housing)
digits = _namespace(
    "digits",
    load_data=_of_scikit_learn(
        "digits", "1,797 handwritten digits of 8 x 8 grey pixels, 0 to 16; y is the digit."
    ),
)
breast_cancer = _namespace(
    "breast_cancer",
    load_data=_of_scikit_learn(
        "breast_cancer", "569 tumours, 30 measures of each; y is 0 for malignant, 1 for benign."
    ),
)
iris = _namespace(
    "iris", load_data=_of_scikit_learn("iris", "150 irises, 4 lengths of each; y is the kind, 0 to 2.")
)
wine = _namespace(
    "wine", load_data=_of_scikit_learn("wine", "178 wines, 13 measures of each; y is the grower, 0 to 2.")
)
diabetes = _namespace(
    "diabetes",
    load_data=_of_scikit_learn(
        "diabetes", "442 patients, 10 measures of each; y is how the disease went on.", "float32"
    ),
)

__all__ = [
    "boston_housing",
    "breast_cancer",
    "california_housing",
    "cifar10",
    "cifar100",
    "diabetes",
    "digits",
    "fashion_mnist",
    "imdb",
    "iris",
    "mnist",
    "reuters",
    "wine",
]
