"""The command itself, as people call it: what it prints, where, and how it ends."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pytest
from typer.testing import CliRunner

import pellucid
from pellucid import tables
from pellucid.cli import app

TUMOURS = Path(__file__).parents[1] / "examples" / "tumours.csv"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "tumours.pellucid"
    tables.fit(TUMOURS, "diagnosis", out=path)
    return path


def call(*arguments, **options):
    """The command in this process: its exit code, output and errors."""
    return CliRunner().invoke(app, [str(each) for each in arguments], **options)


def process(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "pellucid", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def refused(result, *texts):
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("pellucid: ")
    assert "Traceback" not in result.output
    for text in texts:
        assert text in result.stderr, result.stderr
    return result


def table_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_help_and_version_import_nothing_heavy():
    code = """
import sys, time
began = time.perf_counter()
from pellucid.cli import app
for arguments in (["--help"], ["fit", "--help"], ["--version"]):
    app(arguments, standalone_mode=False)
print(f"{time.perf_counter() - began:.3f} s", file=sys.stderr)
assert not {"jax", "numpy", "duckdb", "h5py", "pellucid.models"} & set(sys.modules)
"""
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "describe" in shown.stdout
    assert "--target" in shown.stdout
    assert f"pellucid {pellucid.__version__}" in shown.stdout
    print("help, help of fit, and version took", shown.stderr)


def test_describing_needs_no_jax(file):
    code = f"""
import sys
from pellucid.cli import app
app(["describe", {str(file)!r}], standalone_mode=False)
assert "jax" not in sys.modules and "duckdb" not in sys.modules
"""
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    for text in (
        '"malignant" 212',
        "mean_radius",
        "30 columns > 5 x 128 selu > 5 x 128 selu > 5 x 1 sigmoid",
        "AUC",
    ):
        assert text in shown


def test_fit_says_what_it_found_and_what_comes_next(tmp_path):
    shutil.copy(TUMOURS, tmp_path / "my tumours.csv")
    run = process("fit", "my tumours.csv", "--target", "diagnosis", cwd=tmp_path)
    out, errors = run.communicate(timeout=60)
    assert (run.returncode, errors) == (0, "")
    for text in (
        "569 rows",
        "365 to train on, 91 to validate on, 113 to test on",
        '"benign" 357, "malignant" 212',
        "30 columns",
        "Training on all rows but the test rows: epoch 1 of 64",
        'always "benign"',
        "logistic regression",
        "pellucid predict 'my tumours.pellucid' 'my tumours.csv'",
    ):
        assert text in out
    assert tables.load(tmp_path / "my tumours.pellucid").report.network["accuracy"] > 0.93


def test_quiet_prints_only_the_name_of_the_file(tmp_path):
    out = tmp_path / "q.pellucid"
    result = call("fit", TUMOURS, "--target", "diagnosis", "--out", out, "--epochs", 2, "--quiet")
    assert (result.exit_code, result.output) == (0, f"{out}\n")
    assert tables.load(out).training["epochs"] == 2


def test_columns_that_are_left_out_are_said(tmp_path):
    lines = TUMOURS.read_text().splitlines()
    path = tmp_path / "t.csv"
    more = ["[bold]id,name", *(f"{number},patient {number}" for number in range(len(lines) - 1))]
    path.write_text("\n".join(f"{line},{extra}" for line, extra in zip(lines, more, strict=True)))
    result = call(
        "fit", path, "--target", "diagnosis", "--out", tmp_path / "t.pellucid", "--epochs", 1,
        "--leave-out", "[bold]id",
    )  # fmt: skip
    assert "left out: [bold]id (as asked)" in result.output
    assert 'left out: name (each row has a text of its own, such as "patient 0")' in result.output


def test_predict_writes_the_table_and_nothing_else(file):
    run = process("predict", file, TUMOURS)
    out, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    given, answered = table_of(TUMOURS.read_text()), table_of(out)
    assert list(answered[0]) == [*given[0], "answer", "probability", "note"]
    assert [{name: row[name] for name in given[0]} for row in answered] == given
    expected = tables.load(file).predict(TUMOURS)
    assert [row["answer"] for row in answered] == expected.answer.tolist()
    found = np.array([row["probability"] for row in answered], np.float32)
    np.testing.assert_array_equal(found, expected.probability)


def test_predict_keeps_what_is_written_in_the_other_columns(file, tmp_path):
    header, first, *_ = TUMOURS.read_text().splitlines()
    path = tmp_path / "extra.csv"
    path.write_text(f'answer,"note, free",{header},Probability\n007,"a ""word"", more",{first},1.50\n')
    row = table_of(call("predict", file, path).output)[0]
    assert (row["answer"], row["note, free"], row["Probability"]) == ("007", 'a "word", more', "1.50")
    assert row["answer_2"] == "malignant"
    assert float(row["probability_2"]) > 0.9


def test_the_threshold_decides_and_must_be_a_probability(file):
    answers = table_of(call("predict", file, TUMOURS, "--threshold", 0).output)
    assert {row["answer"] for row in answers} == {"malignant"}
    refused(call("predict", file, TUMOURS, "--threshold", 2), "threshold", "0 to 1")


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "jsonl"])
def test_predict_writes_the_format_that_the_ending_says(file, tmp_path, ending):
    out = tmp_path / f"answers.{ending}"
    assert call("predict", file, TUMOURS, "--out", out).output == ""
    if ending == "jsonl":
        found = [json.loads(line)["answer"] for line in out.read_text().splitlines()]
    else:
        reader = {"parquet": "read_parquet(?)"}.get(ending, "read_csv(?)")
        found = [row[0] for row in duckdb.execute(f"SELECT answer FROM {reader}", [str(out)]).fetchall()]
    assert found == tables.load(file).predict(TUMOURS).answer.tolist()
    assert os.listdir(tmp_path) == [out.name]


def test_classes_have_the_probability_of_the_answer_and_numbers_have_none(tmp_path):
    draw = np.random.default_rng(0).normal(size=(60, 2))
    lines = [f"{a},{b},{'low' if a < -0.4 else 'mid' if a < 0.4 else 'high'}" for a, b in draw]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,level", *lines]))
    for target, columns in (("level", ["answer", "probability", "note"]), ("b", ["answer", "note"])):
        out = tmp_path / f"{target}.pellucid"
        fitted = call("fit", tmp_path / "t.csv", "--target", target, "--out", out, "--epochs", 2)
        assert fitted.exit_code == 0
        answers = table_of(call("predict", out, tmp_path / "t.csv").output)
        assert list(answers[0]) == ["a", "b", "level", *columns]
        assert call("describe", out).exit_code == 0
    refused(call("predict", out, tmp_path / "t.csv", "--threshold", 0.2), "yes or no")


def test_a_reader_that_stops_reading_is_no_error(file, tmp_path):
    lines = TUMOURS.read_text().splitlines()
    (tmp_path / "long.csv").write_text("\n".join([lines[0], *lines[1:] * 5]))
    with process("predict", file, tmp_path / "long.csv") as run:
        assert run.stdout.readline().startswith("mean_radius")
        run.stdout.close()
        assert "Traceback" not in run.stderr.read()
    assert run.returncode == 141


def test_ctrl_c_keeps_what_there_is_and_says_so(tmp_path):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60_000, 6))
    y = np.where(x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) * x[:, 3] > 0, "yes", "no")
    lines = [",".join([*map(str, row), said]) for row, said in zip(x.round(4).tolist(), y, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,c,d,e,f,t", *lines]))
    run = process("fit", "t.csv", "--target", "t", "--epochs", "100000", cwd=tmp_path)
    while not (line := run.stdout.readline()).startswith("Training a fifth held out"):
        assert line, run.stderr.read()
    os.kill(run.pid, signal.SIGINT)
    began = time.perf_counter()
    out, errors = run.communicate(timeout=60)
    print(f"ended {time.perf_counter() - began:.1f} s after Ctrl-C")
    assert run.returncode == 130, errors
    assert errors.startswith("pellucid: stopped by Ctrl-C after")
    assert "t.pellucid" in errors
    assert "logistic regression" in out
    network = tables.load(tmp_path / "t.pellucid")
    assert network.interrupted
    assert 1 <= network.training["epochs"] == len(network.history["loss"]) < 100_000
    assert network.report.network["accuracy"] > 0.5


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("the_thread", "Epoch 10/10"),
        ("linear_regression", "exact:    perimeter = 6.880 * radius + -5.232"),
        ("logistic_regression", "model.predict says 0.8"),
        ("open_a_step", "All agree."),
    ],
)
def test_the_examples_run(name, says):
    script = TUMOURS.with_name(f"{name}.py")
    shown = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True)
    assert says in shown.stdout
    assert shown.stderr == ""


def test_the_same_seed_gives_the_same_network_however_much_is_printed(tmp_path):
    for name, more in (("quiet", ["--quiet"]), ("loud", [])):
        out = tmp_path / f"{name}.pellucid"
        process("fit", TUMOURS, "--target", "diagnosis", "--epochs", 2, "--out", out, *more).communicate()
    quiet, loud = (tables.load(tmp_path / f"{name}.pellucid") for name in ("quiet", "loud"))
    assert quiet.history == loud.history


# Opened: show and explain.


def test_show_tells_a_step_of_the_training_in_another_process(file):
    run = process("show", file, "--step", 71)
    out, errors = run.communicate(timeout=60)
    assert (run.returncode, errors) == (0, "")
    order = [
        out.index(word) for word in ("Step 71", "BATCH", "FORWARD", "COST", "GRADIENT", "UPDATE", "Run again")
    ]
    assert order == sorted(order)
    step = tables.load(file).recorded.open(71)
    assert out == f"{step}\n"
    assert "mean_radius = " in out
    assert f"= {step.cost:.4g}" in out.replace("\n", " ").replace("      ", "")


def test_show_without_a_step_says_what_there_is(file):
    told = call("show", file).output
    history = tables.load(file).recorded
    assert f"{history.steps:,} steps in {len(history.epoch)} epochs" in told
    assert "pellucid show" in told


def test_show_gives_formulas_checks_and_parts(file):
    formula = call(
        "show", file, "--epoch", 3, "--batch", 1, "--formula", "members/kernel[1,2,0].gradient"
    ).output
    step = tables.load(file).recorded.open(epoch=3, batch=1)
    assert formula == f"{step.formula('members/kernel[1,2,0].gradient')}\n"
    assert "All agree." in call("show", file, "--step", -1, "--check").output
    part = call(
        "show", file, "--step", 5, "--layer", "hidden_2", "--unit", 3, "--example", 2, "--full"
    ).output
    assert "hidden_2.z[0,3] = " in part
    assert "hidden_1: " not in part
    assert "more)" not in part.split("COST")[0]


def test_explain_comes_to_what_predict_says(file):
    answers = tables.load(file).predict(TUMOURS)
    told = call("explain", file, TUMOURS, "--row", 17).output
    assert f"diagnosis is {answers.probability[16]:.4g}" in told
    assert told.splitlines()[0].endswith(f": {answers.answer[16]}")
    assert "What moved it, in log-odds, against 100 training rows" in told
    assert "Nearest change that flips it" in told or "No change of a single column" in told
    with open(TUMOURS, newline="") as lines:
        row = list(csv.DictReader(lines))[16]
    values = ",".join(f"{name}={value}" for name, value in row.items() if name != "diagnosis")
    assert call("explain", file, "--values", values).output == told


def test_show_and_explain_refuse_what_is_not_there(file, tmp_path):
    refused(call("show", file, "--step", 10**6), "there is no such step", "steps 0 to")
    refused(call("show", file, "--epoch", 9999), "there is no such epoch")
    refused(call("show", file, "--step", 3, "--layer", "hiden_1"), 'did you mean "hidden_1"')
    refused(call("show", file, "--step", 3, "--formula", "members/kernel[9,0,0]"), "[0,0,0] to [4,127,0]")
    refused(call("show", file, "--layer", "members"), "say which step")
    refused(call("show", TUMOURS, "--step", 3), "not a run file")
    refused(call("show", tmp_path, "--step", 3), "no recorded training")
    refused(call("explain", file), "say which row")
    refused(call("explain", file, TUMOURS), "say which row of the table")
    refused(call("explain", file, TUMOURS, "--row", 0), "there is no such row", "1 to 569")
    refused(call("explain", file, "--values", "age=3"), "does not take these values")
    refused(call("explain", file, "--values", "mean_radius=3"), "mean_texture")


# What cannot be done.


def test_errors_are_one_message_and_exit_code_two(tmp_path, file):
    near = TUMOURS.with_name("tumors.csv")
    run = process("fit", near, "--target", "diagnosis")
    out, errors = run.communicate(timeout=60)
    assert (run.returncode, out) == (2, "")
    assert "did you mean" in errors
    assert "Traceback" not in errors
    refused(call("fit", TUMOURS, "--target", "diagnoses"), 'did you mean "diagnosis"')
    refused(call("fit", tmp_path, "--target", "diagnosis"), "folder")
    refused(call("fit", TUMOURS, "--target", "diagnosis", "--epochs", 0), "epochs")
    refused(call("fit", TUMOURS, "--target", "diagnosis", "--kind", "guess"), "kind")
    refused(call("fit", TUMOURS, "--target", "diagnosis", "--seed", -1), "seed")
    refused(call("predict", TUMOURS, TUMOURS), "not a run file")
    refused(call("predict", file, file), "ending")
    refused(call("predict", file, tmp_path / "none.csv"), "no such file")
    refused(call("predict", file, TUMOURS, "--out", tmp_path / "a.xlsx"), "not written as spreadsheets")
    refused(call("predict", file, TUMOURS, "--out", tmp_path / "none" / "a.csv"), "mkdir")
    refused(call("describe", tmp_path / "none.pellucid"), "no such file")
    assert call("fit", TUMOURS).exit_code == 2


def test_nothing_is_written_over_the_table_or_another_file(tmp_path, file):
    path = tmp_path / "t.csv"
    shutil.copy(TUMOURS, path)
    refused(call("fit", path, "--target", "diagnosis", "--out", path), "over the table")
    refused(call("predict", file, path, "--out", path), "over the table")
    (tmp_path / "notes.txt").write_text("notes")
    refused(
        call("fit", path, "--target", "diagnosis", "--out", tmp_path / "notes.txt"), "not a trained network"
    )
    assert path.read_bytes() == TUMOURS.read_bytes()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_said_before_training(tmp_path):
    tmp_path.chmod(0o500)
    result = call("fit", TUMOURS, "--target", "diagnosis", "--out", tmp_path / "t.pellucid")
    refused(result, "cannot be written there")


def test_a_file_that_was_tampered_with_is_refused_by_every_command(tmp_path, file):
    content = file.read_bytes().replace(b'"class_name": "Rescaling"', b'"class_name": "Resculing"')
    (tmp_path / "x.pellucid").write_bytes(content)
    refused(call("predict", tmp_path / "x.pellucid", TUMOURS), "damaged")


def test_a_network_is_saved_though_nobody_reads_what_fit_prints(tmp_path):
    file = tmp_path / "t.pellucid"
    command = (
        f"{sys.executable} -m pellucid fit {TUMOURS} --target diagnosis --epochs 2 --out {file} | head -1"
    )
    subprocess.run(["bash", "-c", command], check=True, capture_output=True)
    assert file.exists()
