"""Odd tables and odd disks: a clear message or a sensible network, and never half of a file."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from pellucid import tables
from pellucid.errors import DataError, FileError
from pellucid.tables.reading import Table


def lines(count, row=lambda n: f"{n % 7},{'yes' if n % 2 else 'no'}", head="size,sick"):
    return head + "\n" + "".join(row(n) + "\n" for n in range(count))


@pytest.fixture(scope="module")
def network():
    draw = np.random.default_rng(0)
    size, colour = draw.normal(size=200), draw.choice(["red", "blue"], 200).astype(object)
    sick = np.where(size + (colour == "red") > 0.5, "yes", "no")
    return tables.fit({"size": size, "colour": colour, "sick": sick}, "sick", epochs=4, folds=0)


# Files.


def test_a_table_whose_rows_are_read_where_they_lie_must_stay_as_it_is(tmp_path):
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "t.parquet"
    pandas.DataFrame({"a": np.arange(10.0)}).to_parquet(path)
    with Table.open(path, whole=False) as table:
        assert table.rows == 10
        pandas.DataFrame({"a": np.arange(20.0)}).to_parquet(path)
        with pytest.raises(FileError, match="written to while it was read"):
            table.require_unchanged()


def test_a_file_that_grows_while_it_is_read_is_read_as_it_was_and_that_is_said(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text(lines(200))
    plain = Table._changed

    def grows(self):
        with open(path, "a") as file:
            file.write("3,y")  # a line that is not complete yet
        return plain(self)

    monkeypatch.setattr(Table, "_changed", grows)
    with Table.open(path) as table:
        assert table.rows == 200
        assert "was written to while it was read" in table.notes[0]


def limited(limit, *arguments):
    """The command, with no room for files larger than so many bytes, as on a disk that is full."""
    code = f"""
        import resource, signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        sys.argv = ["pellucid", *{list(map(str, arguments))!r}]
        from pellucid.cli import main
        main()
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"},
    )


@pytest.mark.slow
@pytest.mark.parametrize("what", ["fit", "predict", "export"])
def test_a_full_disk_is_one_message_and_leaves_what_was_there(tmp_path, network, what):
    table, saved, out = tmp_path / "t.csv", tmp_path / "n.pellucid", tmp_path / "out"
    table.write_text(lines(4_000, lambda n: f"{n % 7}.25,red,{'yes' if n % 2 else 'no'}", "size,colour,sick"))
    network.save(saved)
    out = out.with_suffix({"fit": ".pellucid", "predict": ".csv", "export": ".keras"}[what])
    if what == "fit":
        network.save(out)  # a file that may be written over
    else:
        out.write_text("what was there")
    before, held = out.read_bytes(), set(os.listdir(tmp_path))
    arguments = {
        "fit": ["fit", table, "--target", "sick", "--out", out, "--epochs", 1, "--folds", 0],
        "predict": ["predict", saved, table, "--out", out],
        "export": ["export", saved, out],
    }[what]
    done = limited(20_000, *arguments)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "cannot be written" in done.stderr or "no room" in done.stderr, done.stderr
    assert out.read_bytes() == before
    assert set(os.listdir(tmp_path)) == held


@pytest.mark.slow
def test_a_table_larger_than_what_is_held_is_answered_for_in_constant_memory(tmp_path, network):
    duckdb = pytest.importorskip("duckdb")
    network.save(tmp_path / "n.pellucid")

    def peak(rows):
        """How much memory the command takes at most, in MB."""
        table = tmp_path / f"{rows}.parquet"
        others = ", ".join(f"random() AS more_{each}" for each in range(12))
        duckdb.sql(
            f"COPY (SELECT random() AS size, CASE WHEN range % 3 = 0 THEN 'red' ELSE 'blue' END AS colour, "
            f"{others} FROM range({rows})) TO '{table}' (FORMAT parquet)"
        )
        code = (
            "import resource, sys; from pellucid import tables; "
            "n = tables.load(sys.argv[1]); n.answer_file(sys.argv[2], sys.argv[3], told=lambda text: None); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        )
        given = [sys.executable, "-c", code, tmp_path / "n.pellucid", table, tmp_path / "out.parquet"]
        return float(subprocess.run(given, capture_output=True, text=True, check=True).stdout)

    small, large = peak(200_000), peak(2_400_000)
    # The larger table takes 270 MB more as plain numbers.
    assert large - small < 120, (small, large)


# Tables.


@pytest.mark.parametrize("content", ["size,sick\n1,yes\n", "sick\nyes\nno\n"])
def test_one_row_or_one_column_is_nothing_to_learn_from(tmp_path, content):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(DataError):
        tables.fit(tmp_path / "t.csv", "sick")


def test_ten_thousand_categories_are_a_network_and_unseen_ones_are_answered(tmp_path):
    draw = np.random.default_rng(1)
    code = np.array([f"c{n % 10_000}" for n in draw.integers(0, 30_000, 24_000)], object)
    size = draw.normal(size=24_000)
    columns = {"size": size, "code": code, "sick": np.where(size > 0, "yes", "no")}
    found = tables.fit(columns, "sick", epochs=2, folds=0, network=[16])
    assert found.report.network["accuracy"] > 0.9
    answers = found.predict({"size": [2.0, -2.0], "code": ["never seen", None]})
    assert answers.answer.tolist() == ["yes", "no"]
    told = [each.name for each in found.schema.features if each.name == "code"]
    assert told or "code" in {each.name for each in found.schema.left_out}


@pytest.mark.slow
def test_more_columns_than_rows_are_a_network():
    draw = np.random.default_rng(2)
    columns = {f"c{n}": draw.normal(size=60) for n in range(5_000)}
    columns["sick"] = np.where(columns["c7"] > 0, "yes", "no")
    found = tables.fit(columns, "sick", epochs=1, folds=0, network=[])
    assert len(found.schema.features) == 5_000
    assert np.isfinite(found.predict(columns).probability).all()


def test_dates_mixed_values_a_mark_at_the_beginning_and_quoted_lines_are_read(tmp_path):
    def row(n):
        date = (f"2024-01-{n % 27 + 1:02}", f"{n % 27 + 1:02}.02.2024", f"{n % 27 + 1:02}/03/2024")[n % 3]
        mixed = str(n) if n % 5 else "unknown"
        return f'{date},{mixed},"two\nlines {n % 2}",{n % 4},{"yes" if n % 4 > 1 else "no"}'

    (tmp_path / "t.csv").write_bytes(
        b"\xef\xbb\xbf" + lines(120, row, "since,mixed,text,level,sick").encode()
    )
    found = tables.fit(tmp_path / "t.csv", "sick", epochs=2)
    kinds = {each.name: each.treatment for each in found.schema.features}
    assert {kinds[name] for name in kinds if name.startswith("since")} == {"date"}
    assert kinds["level"] in ("number", "category")
    assert "mixed" in kinds or "mixed" in {each.name for each in found.schema.left_out}
    assert found.report.rows["test"] == 24


def test_infinite_values_are_learned_from_as_far_as_they_can_be(tmp_path):
    size = np.linspace(-1, 1, 80)
    size[3], size[60] = np.inf, -np.inf
    columns = {"size": size, "lost": np.full(80, np.nan), "sick": np.where(np.arange(80) > 40, "yes", "no")}
    found = tables.fit(columns, "sick", epochs=2)
    assert {each.name for each in found.schema.left_out} == {"lost"}
    assert np.isfinite(found.predict(columns).probability).all()
