"""A table to a trained network: what becomes of columns, rows and answers. scikit-learn is the judge."""

import gzip
import os
import random
from pathlib import Path

import duckdb
import numpy as np
import pytest
import sklearn
from sklearn import metrics
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.externals import _arff
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from pellucid import tables
from pellucid.callbacks import Callback
from pellucid.errors import ArgumentError, DataError, FileError
from pellucid.tables import choosing, recipe
from pellucid.tables.building import Asked
from pellucid.tables.columns import decide
from pellucid.tables.linear import LinearModel
from pellucid.tables.reading import Table
from pellucid.tables.report import Judged, answered, bootstrapped, measure
from pellucid.tables.schema import Feature, Schema

TUMOURS = Path(__file__).parents[1] / "examples" / "tumours.csv"
TITANIC = TUMOURS.with_name("titanic.csv")


@pytest.fixture(scope="module")
def network():
    return tables.fit(TUMOURS, "diagnosis")


def rows(count=60, **columns):
    """Columns of numbers that decide a target of yes and no."""
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(2, count))
    return {"a": a, "b": b, "sick": np.where(a + b > 0, "yes", "no"), **columns}


def decided(columns, target="sick", **options):
    with Table.of(columns) as table:
        return decide(table, target, **options)


def left_out(columns, **options):
    return {each.name: each.reason for each in decided(columns, **options).schema.left_out}


def says(error, *texts):
    for text in texts:
        assert text in str(error.value), str(error.value)


# The example's table.


def test_the_tumours_are_those_of_scikit_learn():
    data = load_breast_cancer()
    with Table.open(TUMOURS) as table:
        numbers = table.raw_numbers(list(table.columns)[:-1])
        diagnosis = table.values("diagnosis")
    np.testing.assert_array_equal(np.column_stack(list(numbers.values())), data.data)
    assert diagnosis.tolist() == [str(data.target_names[each]) for each in data.target]
    assert list(numbers) == [name.replace(" ", "_") for name in data.feature_names]


def test_the_passengers_are_those_of_scikit_learns_own_tests():
    found = Path(sklearn.__file__).parent.glob("datasets/tests/data/openml/id_40945/*.arff.gz")
    with gzip.open(next(found), "rt", encoding="utf-8") as file:
        data = _arff.load(file)
    with Table.open(TITANIC) as table:
        assert list(table.columns) == [name for name, _ in data["attributes"]]
        for place, (name, kind) in enumerate(data["attributes"]):
            given = [line[place] for line in data["data"]]
            if kind in ("REAL", "NUMERIC", "INTEGER"):
                numbers = [np.nan if value is None else value for value in given]
                np.testing.assert_array_equal(table.raw_numbers([name])[name], numbers)
            else:
                # A "?" in the table is a missing value here, too.
                assert table.values(name).tolist() == [None if v in (None, "?") else v.strip() for v in given]


def test_a_network_answers_tumours_about_as_well_as_anything_does(network):
    assert 0.93 <= network.report.network["accuracy"] <= 1
    assert network.report.network["AUC"] > 0.985
    assert network.report.constant["accuracy"] == pytest.approx(71 / 113)
    assert network.report.constant["AUC"] == 0.5
    assert network.report.always == "benign"
    assert network.schema.target.positive == "malignant"


def test_the_linear_model_is_scikit_learns_logistic_regression_on_the_same_rows(network):
    prepared = recipe.prepare(TUMOURS, "diagnosis")
    seen = np.concatenate([prepared.train, prepared.validation])
    scaler = StandardScaler().fit(prepared.x[seen])
    judge = LogisticRegression(max_iter=5000).fit(scaler.transform(prepared.x[seen]), prepared.y[seen])
    probability = judge.predict_proba(scaler.transform(prepared.x[prepared.test]))[:, 1]
    truth, linear = prepared.y[prepared.test], network.report.linear
    assert linear["accuracy"] == pytest.approx(metrics.accuracy_score(truth, probability >= 0.5), abs=0.01)
    assert linear["AUC"] == pytest.approx(metrics.roc_auc_score(truth, probability), abs=0.001)
    assert linear["log loss"] == pytest.approx(metrics.log_loss(truth, probability), rel=0.02)


@pytest.mark.parametrize(
    ("count", "words", "divided"), [(300, 4, False), (300, 4, True), (100, 120, False), (25_000, 60, False)]
)
def test_no_linear_model_costs_less_than_ours(count, words, divided):
    draw = np.random.default_rng(count)
    word, other = draw.geometric(0.1, size=(2, count)) % words
    number, size = draw.normal(size=(2, count))
    number[draw.random(count) < 0.1] = np.nan
    word = np.where(draw.random(count) < 0.05, np.nan, word)
    sums = size + (other % 3) - 1 + (0 if divided else draw.logistic(size=count))
    x = np.column_stack([word, number, other, size]).astype(np.float32)
    names = [str(each) for each in range(words)]
    features = [Feature.category("word", names), Feature("number"), Feature.category("other", names)]
    model = LinearModel([*features, Feature("size")], "yes/no", x, (sums > 0).astype(float))
    design = model.design(x).toarray()
    shares = [set(np.unique(column)) <= {0.0, 1.0} for column in design.T]
    assert sum(shares) == len(np.unique(word[word >= 0])) + 2 + len(np.unique(other)) + 1
    judge = LogisticRegression(tol=1e-10, max_iter=5000, solver="newton-cholesky")
    judge.fit(design[:, :-1], sums > 0)

    def cost(weights):
        given = design @ weights
        return np.logaddexp(0, np.where(sums > 0, -given, given)).sum() + (weights[:-1] ** 2).sum() / 2

    least = cost(np.concatenate([judge.coef_[0], judge.intercept_]))
    assert cost(model.weights[:, 0]) <= least * (1 + 1e-5)
    # A word that was in none of its rows has no column, and takes part in no answer.
    model(np.full((1, 4), words - 1 + 0.0, np.float32))


def test_the_report_is_what_scikit_learn_measures_on_the_test_rows(network):
    prepared = recipe.prepare(TUMOURS, "diagnosis")
    answers = network.predict(TUMOURS)
    probability = answers.probability[prepared.test]
    truth = prepared.y[prepared.test]
    said = (answers.answer[prepared.test] == "malignant").astype(int)
    report = network.report.network
    assert report["accuracy"] == pytest.approx(metrics.accuracy_score(truth, said))
    assert report["AUC"] == pytest.approx(metrics.roc_auc_score(truth, probability))
    assert report["precision"] == pytest.approx(metrics.precision_score(truth, said))
    assert report["recall"] == pytest.approx(metrics.recall_score(truth, said))
    assert report["F1"] == pytest.approx(metrics.f1_score(truth, said))
    assert report["log loss"] == pytest.approx(metrics.log_loss(truth, probability.astype(float)), rel=1e-3)
    assert network.report.confusion == tuple(map(tuple, metrics.confusion_matrix(truth, said).tolist()))


# Rows: which train, and which do not.


def test_every_row_has_one_place_and_each_class_the_same_part_of_each():
    prepared = recipe.prepare(TUMOURS, "diagnosis", seed=3)
    everything = np.concatenate([prepared.train, prepared.validation, prepared.test])
    assert sorted(everything.tolist()) == list(range(569))
    for part in (prepared.train, prepared.validation, prepared.test):
        assert prepared.y[part].mean() == pytest.approx(212 / 569, abs=0.01)


def test_test_rows_change_nothing_in_the_network():
    columns = rows(200)
    prepared = recipe.prepare(columns, "sick")
    changed = {**columns, "a": columns["a"].copy()}
    changed["a"][prepared.test] *= 1000
    asked = Asked(epochs=3)
    first, second = (recipe.train(recipe.prepare(each, "sick"), asked) for each in (columns, changed))
    for one, other in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_seed_gives_the_same_network_and_another_seed_another():
    one, same, other = (tables.fit(rows(100), "sick", epochs=3, seed=seed) for seed in (1, 1, 2))
    for first, second in zip(one.model.get_weights(), same.model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(one.model.get_weights()[3], other.model.get_weights()[3])


def test_fit_leaves_the_random_numbers_of_its_caller_alone():
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.random()
    random.seed(5)
    np.random.seed(5)
    tables.fit(rows(), "sick", epochs=1)
    assert (random.random(), np.random.random()) == expected


# Targets.


def test_several_classes_are_answered_with_their_names():
    data = load_iris()
    columns = {name: data.data[:, place] for place, name in enumerate(data.feature_names)}
    network = tables.fit({**columns, "kind": data.target_names[data.target]}, "kind")
    assert network.schema.target.kind == "classes"
    assert network.report.network["accuracy"] >= 0.9
    answers = network.predict(columns)
    assert set(answers.answer) == {"setosa", "versicolor", "virginica"}
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(answers.probability, answers.probabilities.max(axis=1))


def test_numbers_are_answered_in_their_own_units():
    draw = np.random.default_rng(1)
    x = draw.normal(50, 10, size=(400, 2))
    price = 3000 * x[:, 0] - 1000 * x[:, 1] + 50_000 + draw.normal(0, 100, 400)
    columns = {"size": x[:, 0], "age": x[:, 1], "price": price}
    network = tables.fit(columns, "price")
    assert network.schema.target.kind == "number"
    assert network.report.network["R squared"] > 0.98
    assert network.report.constant["R squared"] == pytest.approx(0, abs=0.1)
    answers = network.predict(columns).answer
    assert np.median(np.abs(answers - price)) < 3_000
    seen = price[recipe.prepare(columns, "price").learned]
    assert answers.min() >= seen.min()
    assert answers.max() <= seen.max()
    assert network.predict(columns).probability is None
    prepared = recipe.prepare(columns, "price")
    seen = np.concatenate([prepared.train, prepared.validation])
    judge = Ridge(0.5).fit(StandardScaler().fit(x[seen]).transform(x[seen]), price[seen])
    given = judge.predict(StandardScaler().fit(x[seen]).transform(x[prepared.test]))
    expected = metrics.root_mean_squared_error(price[prepared.test], given)
    assert network.report.linear["root mean squared error"] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("values", "labels", "reason"),
    [
        (["benign", "malignant"], ("benign", "malignant"), "means yes"),
        (["yes", "no", "no"], ("no", "yes"), "means yes"),
        ([1, 0, 1], (0, 1), "means yes"),
        ([True, False], (False, True), "means yes"),
        (["a", "a", "b"], ("a", "b"), "rarer"),
        (["b", "b", "a"], ("b", "a"), "rarer"),
        (["cat", "dog"], ("cat", "dog"), "alphabet"),
        ([1.5, 2.5, 2.5], (2.5, 1.5), "rarer"),
    ],
)
def test_the_positive_answer_is_the_one_that_means_yes_else_the_rarer(values, labels, reason):
    found = decided({"a": np.arange(60.0), "sick": np.resize(values, 60)})
    target = found.schema.target
    assert (target.kind, target.labels) == ("yes/no", labels)
    assert reason in target.reason
    assert [found.y[place] for place in range(2)] == [labels.index(value) for value in values[:2]]


def test_few_whole_numbers_are_classes_and_others_are_numbers():
    number = np.arange(100.0)
    assert decided({"a": number, "t": number % 4}, "t").schema.target.labels == (0, 1, 2, 3)
    assert decided({"a": number, "t": number % 4 + 0.5}, "t").schema.target.kind == "number"
    assert decided({"a": number, "t": number % 30}, "t").schema.target.kind == "number"
    rare = np.where(number < 3, 7, number % 4)
    assert decided({"a": number, "t": rare}, "t").schema.target.kind == "number"
    assert decided({"a": number, "t": number % 4}, "t", kind="number").schema.target.kind == "number"


def test_rows_without_a_target_are_left_out_and_counted():
    sick = rows()["sick"].astype(object)
    sick[[3, 7]] = None
    a = rows()["a"].copy()
    a[7] = np.nan  # a row that is not used may lack anything
    network = tables.fit(rows(sick=sick, a=a), "sick", epochs=1)
    assert network.training["rows_without_target"] == 2
    assert sum(network.training["rows"].values()) == 58


# Features.


def test_columns_that_cannot_be_features_are_left_out_with_the_reason():
    reasons = left_out(
        rows(
            empty=np.array([None] * 60),
            asked=np.arange(60) * 2,
            counter=np.arange(7, 67),
            patient_id=np.random.default_rng(0).permutation(60) * 3 + 100,
            name=[f"person {number}" for number in range(60)],
            remark=[f"{number // 2} was well" for number in range(60)],
        ),
        leave_out=["asked"],
    )
    assert reasons == {
        "empty": "all values are missing",
        "asked": "as asked",
        "counter": "it counts the rows",
        "patient_id": "it names the rows: each has a number of its own",
        "name": 'each row has a text of its own, such as "person 0"',
        "remark": 'hardly a value comes twice, such as "0 was well"',
    }


def test_each_column_becomes_numbers_by_what_it_holds(tmp_path):
    lines = ["city,day,written,price,mixed,code,t"]
    days = ["05.01.2024", "2024-02-06", "31/12/2023"]
    for n in range(60):
        mixed = "big" if n == 59 else str(n % 7 / 2)
        city = ["Rome", " Oslo ", "", "Bonn"][n % 4]
        lines.append(
            f'{city},2024-01-{n % 28 + 1:02d} 06:30,{days[n % 3]},"1.{n % 10}00,5",{mixed},{n * 7},{n % 2}'
        )
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines))
    with Table.open(path) as table:
        schema = decide(table, "t").schema
        numbers = table.numbers(schema.features)
    by_name = {each.name: each for each in schema.features}
    column = {each.name: numbers[:, place] for place, each in enumerate(schema.features)}
    assert [word for word, _ in by_name["city"].values] == ["Bonn", "Oslo", "Rome"]
    np.testing.assert_array_equal(column["city"][:4], [2, 1, np.nan, 0])
    assert by_name["city"].note == "3 categories; 15 of 60 missing"
    assert (column["day (day)"][0], column["day (hour)"][0]) == (8766 + 6.5 / 24, 6.5)
    assert (column["written (day)"][:3] == [8770, 8802, 8765]).all()
    assert column["written (weekday)"][0] == 5
    assert column["price"][3] == 1300.5
    assert column["mixed"][2] == 1
    assert np.isnan(column["mixed"][59])
    assert by_name["mixed"].note == '1 are no numbers and count as missing, the first "big" in row 60'
    assert Schema.from_json(schema.to_json()) == schema


def test_yes_and_no_in_any_spelling_become_one_and_zero(tmp_path):
    path = tmp_path / "words.csv"
    words = [("yes", "T", "true", "Y"), ("no", "F", "FALSE", " n ")]
    lines = [",".join((*words[number % 2], str(number % 2))) for number in range(40)]
    path.write_text("\n".join(["a,b,c,d,t", *lines]))
    with Table.open(path) as table:
        schema = decide(table, "t").schema
        assert {each.treatment for each in schema.features} == {"yes/no"}
        np.testing.assert_array_equal(table.numbers(schema.features, 0, 2), [[1, 1, 1, 1], [0, 0, 0, 0]])
    with Table.of({name: [True, False] for name in "abcd"}) as table:
        np.testing.assert_array_equal(table.numbers(schema.features), [[1] * 4, [0] * 4])


def test_a_column_that_is_constant_in_the_training_rows_is_left_out():
    flag = np.zeros(60)
    flag[recipe.prepare(rows(), "sick").test[0]] = 1
    schema = recipe.prepare(rows(flag=flag, same=np.ones(60)), "sick").schema
    assert {each.name for each in schema.left_out} == {"flag", "same"}
    assert schema.left_out[0].reason == "the same value in all training rows: 0"


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_columns_of_extreme_size_are_learned_from(size):
    network = tables.fit({**rows(200), "a": rows(200)["a"] * size}, "sick")
    assert network.report.network["AUC"] > 0.95


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "jsonl", "json", "csv.gz"])
def test_the_same_table_in_any_format_gives_the_same_network(tmp_path, ending, network):
    path = tmp_path / f"tumours.{ending}"
    how = {"tsv": "(format csv, header, delimiter '\t')", "csv.gz": "(format csv, header)"}
    how |= {"jsonl": "(format json)", "json": "(format json, array true)"}
    duckdb.connect().execute(f"COPY (FROM read_csv('{TUMOURS}')) TO '{path}' {how.get(ending, '')}")
    prepared, same = recipe.prepare(path, "diagnosis"), recipe.prepare(TUMOURS, "diagnosis")
    np.testing.assert_array_equal(prepared.x, same.x)
    np.testing.assert_array_equal(prepared.test, same.test)
    assert prepared.schema == same.schema
    np.testing.assert_array_equal(network.predict(path).probability, network.predict(TUMOURS).probability)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_data_frame_is_a_table_as_well(library, network):
    frame = pytest.importorskip(library).read_csv(TUMOURS)
    np.testing.assert_array_equal(network.predict(frame).answer, network.predict(TUMOURS).answer)


def test_names_that_are_patterns_or_hold_quotes_are_only_names(tmp_path):
    lines = "\n".join(f"{number * 2},{number % 2}" for number in range(30))
    (tmp_path / "ab.csv").write_text('x,"t""\n' + lines)
    for name in ("a*.csv", "a[b].csv", "o'clock.csv", "a?.csv"):
        (tmp_path / name).write_text(f'"a ""b"" \'c\'","t; drop"\n{lines}')
        prepared = recipe.prepare(tmp_path / name, "t; drop")
        assert [each.name for each in prepared.schema.features] == ["a \"b\" 'c'"]


# Answers.


def test_a_row_gets_the_same_answer_alone_and_among_others(network):
    everything = network.predict(TUMOURS).probability
    with Table.open(TUMOURS) as table:
        names = list(table.columns)[:-1]
        numbers = table.raw_numbers(names)
    for row in (0, 17, 568):
        alone = network.predict({name: numbers[name][row] for name in names})
        assert alone.probability.tolist() == [everything[row]]


def test_many_blocks_are_answered_as_one_and_in_order(network, monkeypatch):
    whole = network.predict(TUMOURS)
    with Table.open(TUMOURS) as table:
        monkeypatch.setattr(Table.blocks, "__defaults__", (100,))
        parts = list(network.blocks(table))
    assert [len(part) for part in parts] == [100] * 5 + [69]
    np.testing.assert_array_equal(np.concatenate([part.probability for part in parts]), whole.probability)


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_large_table_keeps_the_order_of_its_rows(tmp_path, ending):
    count = 300_000
    path, out = tmp_path / f"large.{ending}", tmp_path / "answered.parquet"
    how = {"csv": "(format csv, header)", "jsonl": "(format json)"}.get(ending, "(format parquet)")
    duckdb.execute(f"COPY (SELECT range AS n, random() AS x FROM range({count})) TO '{path}' {how}")
    number = Feature("n")
    with Table.open(path) as table:
        assert table.query("SELECT count(*) FROM given WHERE n::BIGINT != rowid") == [(0,)]
        found = np.concatenate(list(table.blocks([number, Feature("x")])))[:, 0]
        np.testing.assert_array_equal(found, np.arange(count))
        table.begin_answers({"answer": "DOUBLE"})
        for start in range(0, count, 16_384):
            table.add_answers({"answer": found[start : start + 16_384].astype(float)})
        table.write_answered(out, "parquet")
    wrong = duckdb.execute(f"SELECT count(*) FROM read_parquet('{out}') WHERE n::BIGINT != answer").fetchall()
    assert wrong == [(0,)]
    with Table.of({"n": np.arange(count), "x": np.zeros(count)}) as table:
        np.testing.assert_array_equal(table.numbers([number])[:, 0], np.arange(count))


def test_a_recorded_training_knows_labels_and_threshold(network):
    assert network.recorded.labels == ["benign", "malignant"]
    assert network.recorded.threshold == network.schema.target.threshold


def test_the_threshold_says_from_where_on_the_answer_is_yes(network):
    for threshold in (0.0, 0.3, 0.5, 1.0):
        answers = network.predict(TUMOURS, threshold=threshold)
        np.testing.assert_array_equal(answers.answer == "malignant", answers.probability >= threshold)
    assert set(network.predict(TUMOURS, threshold=0).answer) == {"malignant"}
    with pytest.raises(ArgumentError, match="threshold"):
        network.predict(TUMOURS, threshold=1.5)


def test_a_network_that_was_saved_answers_as_it_did(network, tmp_path):
    network.save(tmp_path / "tumours.pellucid")
    loaded = tables.load(tmp_path / "tumours.pellucid")
    np.testing.assert_array_equal(loaded.predict(TUMOURS).probability, network.predict(TUMOURS).probability)
    assert (loaded.schema, loaded.report) == (network.schema, network.report)
    assert (loaded.history, loaded.training) == (network.history, network.training)
    assert Schema.from_json(network.schema.to_json()) == network.schema


# What cannot be used.


def test_a_missing_file_is_named_with_one_nearby():
    with pytest.raises(FileError) as error:
        tables.fit(TUMOURS.with_name("tumors.csv"), "diagnosis")
    says(error, "no such file", "did you mean", "tumours.csv?")


def test_a_missing_column_is_named_with_one_nearby():
    with pytest.raises(DataError) as error:
        tables.fit(TUMOURS, "diagnosys")
    says(error, '"diagnosys"', 'did you mean "diagnosis"?')


@pytest.mark.parametrize(
    ("name", "content", "says_it"),
    [
        ("a.csv", b"", "no rows"),
        ("a.csv", b"a,b\n", "no rows"),
        ("a.csv", bytes(range(256)) * 9, "cannot be read as CSV"),
        ("a.csv", b"a,b,c\n1,2,3\n4,5\n6,7,8,9\n", "line 3 has 2, line 4 has 4"),
        ("a.parquet", b"a,b\n1,2\n", "cannot be read as Parquet"),
        ("a.jsonl", b'{"a": 1\n', "cannot be read as JSON"),
        ("a.xlsx", b"PK", "cannot be read as a spreadsheet"),
        ("a.ods", b"PK", "ending"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, name, content, says_it):
    (tmp_path / name).write_bytes(content)
    with pytest.raises((FileError, DataError), match=says_it):
        tables.fit(tmp_path / name, "b")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(FileError, match="folder"):
        tables.fit(tmp_path, "b")


@pytest.mark.parametrize(
    ("columns", "texts"),
    [
        (rows(sick=["yes"] * 60), ["same value in every row", "'yes' in all 60 rows"]),
        (rows(sick=np.array([None] * 60)), ["missing in all 60 rows"]),
        (rows(sick=["yes"] * 3 + ["no"] * 57), ["too few rows", "'yes': 3", "5 rows or more"]),
        (rows(12), ["too few rows", "12 rows"]),
        (
            {"name": [f"n{n}" for n in range(60)], "sick": ["yes", "no"] * 30},
            ["no column", "text of its own"],
        ),
        ({"sick": ["yes", "no"] * 30}, ["no column"]),
        ({"a": [1.0] * 60, "sick": ["yes", "no"] * 30}, ["no column", "the same value"]),
        (rows(sick=[f"word {n}" for n in range(60)]), ["too few rows"]),
        (rows(sick=[np.inf, *range(59)]), ["infinite in 1 rows", "rows 1 "]),
    ],
)
def test_a_table_that_cannot_be_learned_from_says_why(columns, texts):
    with pytest.raises(DataError) as error:
        recipe.prepare(columns, "sick")
    says(error, *texts)


def test_a_table_to_answer_for_lacks_no_column(network, tmp_path):
    lines = TUMOURS.read_text().splitlines()
    (tmp_path / "less.csv").write_text("\n".join(line.split(",", 2)[2] for line in lines))
    with pytest.raises(DataError) as error:
        network.predict(tmp_path / "less.csv")
    says(error, "lacks 2 columns", "mean_radius, mean_texture")


def test_what_is_unusual_in_a_row_is_said_and_answered_all_the_same(network, tmp_path):
    lines = TUMOURS.read_text().splitlines()[:5]
    cells = [line.split(",") for line in lines]
    cells[2][0], cells[3][1], cells[4][2] = "large", "1e6", "inf"
    (tmp_path / "odd.csv").write_text("\n".join(",".join(row) for row in cells))
    answers = network.predict(tmp_path / "odd.csv")
    assert answers.notes.tolist() == [
        "",
        "mean_radius is missing",
        "mean_texture 1e+06 is far from 10.38 to 39.28",
        "mean_perimeter inf is far from 43.79 to 188.5",
    ]
    assert np.isfinite(answers.probability).all()


@pytest.mark.parametrize(
    "arguments",
    [
        {"epochs": 0},
        {"epochs": 1.5},
        {"seed": -1},
        {"seed": 2**32},
        {"kind": "maybe"},
        {"seconds": 0},
        {"folds": 1},
        {"network": (0,)},
        {"threshold": 2},
        {"threshold": "best"},
        {"threshold": "cost=1"},
        {"threshold": "cost=0:1"},
        {"threshold": "recall=1.5"},
    ],
)
def test_arguments_that_mean_nothing_are_refused(arguments):
    with pytest.raises(ArgumentError):
        tables.fit(rows(), "sick", **arguments)


def test_a_folder_that_is_missing_is_noticed_before_the_training(tmp_path):
    with pytest.raises(FileError, match="mkdir"):
        tables.fit(TUMOURS, "diagnosis", out=tmp_path / "none" / "t.pellucid", epochs=10**9)


def test_a_file_that_is_no_network_is_not_written_over(tmp_path, network):
    (tmp_path / "notes.txt").write_text("dear diary")
    with pytest.raises(FileError, match="not a trained network"):
        network.save(tmp_path / "notes.txt")


def test_quotes_may_come_late_and_no_line_is_skipped(tmp_path):
    lines = ["a,b", *["1,2"] * 30_000, '"3",4', "", "5,6"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with Table.open(tmp_path / "t.csv") as table:
        assert table.rows == 30_002
        np.testing.assert_array_equal(table.raw_numbers(["a"])["a"][-2:], [3, 5])
    (tmp_path / "t.csv").write_text("\n".join([*lines, "7,8,9"]))
    with pytest.raises(FileError, match=r"Line: 30005 .*Expected Number of Columns: 2 Found: 3"):
        Table.open(tmp_path / "t.csv")


def test_a_table_leaves_nothing_behind_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Table.of(rows()):
        assert len(os.listdir(tmp_path)) == 1
    with pytest.raises(FileError):
        Table.open(tmp_path / "none.csv")
    with pytest.raises(DataError):
        Table.of({"a": [1], "b": [1, 2]})
    assert os.listdir(tmp_path) == []


# The measures.


def test_measures_are_scikit_learns():
    draw = np.random.default_rng(2)
    y = draw.integers(0, 2, 50).astype(float)
    scores = np.round(draw.uniform(size=50), 1)  # with ties
    found = measure("yes/no", y, answered("yes/no", scores), scores)
    assert found["AUC"] == pytest.approx(metrics.roc_auc_score(y, scores))
    assert found["F1"] == pytest.approx(metrics.f1_score(y, scores >= 0.5))
    classes = draw.integers(0, 3, 50).astype(float)
    probabilities = draw.dirichlet([1, 1, 1], 50)
    found = measure("classes", classes, answered("classes", probabilities), probabilities)
    said = probabilities.argmax(axis=1)
    assert found["mean F1"] == pytest.approx(metrics.f1_score(classes, said, average="macro"))
    assert found["log loss"] == pytest.approx(metrics.log_loss(classes, probabilities))
    numbers = draw.normal(size=(2, 50))
    found = measure("number", *numbers)
    assert found["R squared"] == pytest.approx(metrics.r2_score(*numbers))
    assert found["mean absolute error"] == pytest.approx(metrics.mean_absolute_error(*numbers))
    assert found["root mean squared error"] == pytest.approx(metrics.root_mean_squared_error(*numbers))


def test_rows_that_come_several_times_count_so_often():
    draw = np.random.default_rng(3)
    counts = draw.integers(0, 4, 60)
    y, scores = draw.integers(0, 2, 60).astype(float), np.round(draw.uniform(size=60), 1)
    probabilities = draw.dirichlet([1, 1, 1], 60)
    classes = draw.integers(0, 3, 60).astype(float)
    for given in (
        ("yes/no", y, answered("yes/no", scores), scores),
        ("classes", classes, answered("classes", probabilities), probabilities),
        ("number", *draw.normal(size=(2, 60))),
    ):
        repeated = [each if isinstance(each, str) else np.repeat(each, counts, axis=0) for each in given]
        found = Judged(*given).measures(counts.astype(float))
        assert found == pytest.approx(measure(*repeated), rel=1e-12)
        assert len(found) >= 3


def test_measures_that_are_not_defined_are_none():
    nobody = measure("yes/no", np.ones(3), np.zeros(3), np.zeros(3))
    assert nobody["AUC"] is None
    assert nobody["precision"] is None
    assert nobody["recall"] == 0


def test_the_positive_answer_can_be_said():
    columns = {
        "size": [float(n) for n in range(40)],
        "end": ["alive" if n > 9 else "dead" for n in range(40)],
    }
    network = tables.fit(columns, "end", yes="alive", epochs=2)
    assert network.schema.target.positive == "alive"
    with pytest.raises(ArgumentError, match="one of the two values"):
        tables.fit(columns, "end", yes="living", epochs=2)


# Messy tables.


def messy(seed, count=240):
    """A random table of all kinds of columns, holes in it, and a target that two of them decide."""
    draw = np.random.default_rng(seed)
    size, colour = draw.normal(size=count), draw.choice(["red", "blue", "green"], count)
    truth = size + (colour == "red") + draw.normal(scale=0.3, size=count)
    columns = {
        "size": size,
        "colour": colour.astype(object),
        "smoker": draw.choice(["Yes", "no"], count).astype(object),
        "since": (np.datetime64("2020-01-01") + draw.integers(0, 900, count)).astype(str).astype(object),
        "level": draw.integers(0, 4, count).astype(np.float64),
        "rare": np.where(draw.random(count) < 0.02, "x", "y").astype(object),
        "huge": draw.normal(size=count) * 10.0 ** draw.integers(-12, 12),
    }
    for name, column in columns.items():
        holes = draw.random(count) < draw.choice([0.0, 0.1, 0.4])
        missing = np.nan if column.dtype.kind == "f" else draw.choice(["", "NA", "?"])
        columns[name] = np.where(holes, missing, column)
    kind = seed % 3
    if kind == 0:
        columns["target"] = np.where(truth > 0.3, "sick", "well")
    elif kind == 1:
        columns["target"] = np.array(["low", "mid", "high"])[np.digitize(truth, [-0.3, 0.8])]
    else:
        columns["target"] = truth * 100 + 7
    return columns


@pytest.mark.parametrize("seed", range(6))
def test_any_table_is_learned_from_and_the_same_row_has_the_same_answer_wherever_it_stands(seed):
    columns = messy(seed)
    network = tables.fit(columns, "target", epochs=12)
    report = network.report
    better = "root mean squared error" if seed % 3 == 2 else "log loss"
    assert report.network[better] < report.constant[better]
    whole = network.predict(columns)
    draw = np.random.default_rng(100 + seed)
    order = draw.permutation(240)[:77]
    names = draw.permutation([name for name in columns if name != "target"])
    moved = {str(name): columns[name][order] for name in names} | {"more": np.arange(77)}
    np.testing.assert_array_equal(network.predict(moved).answer, whole.answer[order])
    if whole.probability is not None:
        np.testing.assert_array_equal(network.predict(moved).probability, whole.probability[order])
    for name in names:  # any cell may be missing, or hold what was never seen
        for value in (None, "never seen", "1e300", "-inf", "31.12.1999", "yes"):
            odd = {each: column[:3].copy().astype(object) for each, column in columns.items()}
            odd[name][1] = value
            answers = network.predict(odd)
            assert answers.answer[0] == whole.answer[0]
            given = answers.answer if answers.probability is None else answers.probability
            assert np.isfinite(np.asarray(given, float)).all()


def test_a_column_that_gives_the_answer_away_is_named_and_measured():
    columns = rows(200)
    truth = (columns["sick"] == "yes").astype(float)
    columns["code"] = truth * 3 + np.random.default_rng(3).normal(scale=0.01, size=200)
    (note,) = recipe.prepare(columns, "sick").notes
    assert note.startswith('"code" alone explains 100.0% of "sick"')
    assert recipe.prepare(rows(200), "sick").notes == ()


def test_rows_that_are_trained_on_and_tested_are_counted():
    columns = {name: np.concatenate([column, column]) for name, column in rows(100).items()}
    (note,) = recipe.prepare(columns, "sick").notes
    prepared = recipe.prepare(columns, "sick")
    trained = {place % 100 for place in prepared.learned.tolist()}
    both = sum(place % 100 in trained for place in prepared.test.tolist())
    assert note.startswith(f"{both} of 40 test rows are the same")


def test_the_threshold_is_chosen_on_rows_that_were_not_trained_on_and_the_report_shows_its_price():
    columns = messy(0)
    by_cost = tables.fit(columns, "target", epochs=6, threshold="cost=1:20")
    by_recall = tables.fit(columns, "target", epochs=6, threshold="recall=0.95")
    plain = tables.fit(columns, "target", epochs=6)
    assert by_cost.schema.target.threshold < 0.5
    assert "false no 20" in by_cost.schema.target.threshold_reason
    assert by_recall.report.network["recall"] > 0.8
    assert by_cost.report.at_half["accuracy"] == plain.report.network["accuracy"]
    assert plain.report.at_half == {}
    answers = by_cost.predict(columns)
    said = answers.probability >= by_cost.schema.target.threshold
    assert (answers.answer == np.where(said, "sick", "well")).all()


def test_the_best_threshold_by_f1_is_scikit_learns():
    draw = np.random.default_rng(0)
    probability = draw.random(300).round(2)
    truth = (draw.random(300) < probability).astype(float)
    threshold, _ = choosing.threshold_for(choosing.Wanted.of("best-f1"), probability, truth)
    tried = [metrics.f1_score(truth, probability >= each) for each in np.unique(probability)]
    assert metrics.f1_score(truth, probability >= threshold) == max(tried)


def test_the_intervals_hold_the_measures_and_shrink_with_the_rows():
    draw = np.random.default_rng(0)
    widths = []
    for count in (100, 1600):
        probability = draw.random(count)
        truth = (draw.random(count) < probability).astype(float)
        intervals, gain = bootstrapped("yes/no", truth, probability, np.full(count, 0.5), 0)
        low, high = intervals["AUC"]
        assert low < metrics.roc_auc_score(truth, probability) < high
        assert gain[1] > 0
        widths.append(high - low)
    assert widths[1] < widths[0] / 2.5


def test_the_contributions_add_up_to_the_answer_and_are_exact_where_the_network_is_linear():
    columns = messy(0)
    for hidden, exact in (((), True), ((16,), False)):
        network = tables.fit(columns, "target", epochs=10, network=hidden)
        found = network.contributions(columns, row=5)
        assert abs(found.gap) < 1e-3
        assert (max(one.error for one in found.each) == 0) == exact
        probability = network.predict(columns).probability[4]
        assert found.answer == pytest.approx(np.log(probability / (1 - probability)), abs=1e-4)
        assert {one.column for one in found.each[:3]} & {"size", "colour"}
        assert "makes it" in found.flip


def test_a_test_table_of_its_own_is_what_is_reported_on():
    columns, others = messy(0), messy(3)
    network = tables.fit(columns, "target", test=others, epochs=6)
    assert network.report.rows == {"train": 192, "validation": 48, "test": 240}
    assert network.training["rows_without_target"] == 0
    truth = np.array([network.schema.target.labels.index(label) for label in others["target"]])
    probability = network.predict(others).probability
    assert network.report.network["AUC"] == pytest.approx(metrics.roc_auc_score(truth, probability))
    with pytest.raises(DataError, match="other values"):
        tables.fit(columns, "target", test={**others, "target": np.array(["ill"] * 240)})
    with pytest.raises(DataError, match="known in no row"):
        tables.fit(columns, "target", test={**others, "target": np.array([None] * 240)})


def test_ctrl_c_while_dropout_is_tried_keeps_what_there_is_and_trains_no_more():
    class Stop(Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    stages = []

    def stage(name, epochs):
        stages.append(name)
        return [Stop()] if name == "without dropout" else []

    prepared = recipe.prepare(messy(2), "target")
    network = recipe.train(prepared, Asked(epochs=3, folds=0), stage=stage)
    assert stages == ["held out", "without dropout"]
    assert network.interrupted
    assert np.isfinite(network.predict(messy(2)).answer).all()


def test_tables_come_from_patterns_questions_spreadsheets_and_other_encodings(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    (tmp_path / "a1.csv").write_text("x,t\n" + "\n".join(f"{n * 2},{n % 2}" for n in range(20)))
    (tmp_path / "a2.csv").write_text("t,x\n" + "\n".join(f"{n % 2},{n * 3}" for n in range(20)))
    with Table.open(tmp_path / "a*.csv") as table:
        assert table.rows == 40
        assert table.raw_numbers(["x"])["x"].sum() == 190 * 5
    with Table.open(f"SELECT x, t FROM '{tmp_path}/a1.csv' WHERE x > 9") as table:
        assert table.rows == 15
    with pytest.raises(FileError, match="cannot be answered"):
        Table.open("SELECT x FROM 'nowhere.csv'")
    with pytest.raises(FileError, match="no file has a name like this"):
        Table.open(tmp_path / "b*.csv")
    (tmp_path / "c.csv").write_bytes("city,t\nMünchen,1\nKöln,0\n".encode("latin-1"))
    (tmp_path / "d.csv").write_bytes("city;t\nMünchen;1\nKöln;0\n".encode("utf-16"))
    (tmp_path / "e.csv").write_bytes("city,t\nMünchen,1\nKöln,0\n".encode("utf-8-sig"))
    for name in "cde":
        with Table.open(tmp_path / f"{name}.csv") as table:
            assert table.values("city").tolist() == ["München", "Köln"]
    book = openpyxl.Workbook()
    for line in (["x", "t"], [1.5, "yes"], [2, "no"], [None, "no"]):
        book.active.append(line)
    book.save(tmp_path / "f.xlsx")
    with Table.open(tmp_path / "f.xlsx") as table:
        np.testing.assert_array_equal(table.raw_numbers(["x"])["x"], [1.5, 2, np.nan])
