"""Files as sources: each row once, in its order and of its type, whatever holds it; odd files are
named, with what is wrong in them."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import AncestralError, datasets
from ancestral import io as readers
from ancestral.errors import DataError, FormatError, MissingExtraError, ModelError
from ancestral.streaming import fit_chunks, fit_dask, writing
from ancestral.streaming.sources import csv as csv_module
from ancestral.streaming.sources import files as files_module
from ancestral.streaming.sources import parquet as parquet_module
from ancestral.streaming.sources.files import found
from ancestral.streaming.sources.paths import source_of_paths

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
pq = pytest.importorskip("pyarrow.parquet")
fsspec = pytest.importorskip("fsspec")

WORDS = ["a", "b, c", 'q"q', "line\nbreak", "é"]


def frame(n: int = 600, seed: int = 0) -> Any:
    """Return a table of a column of every kind, with gaps."""
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "n": rng.integers(0, 50, n),
            "s": rng.choice(WORDS, n),
            "zip": [f"{code:05d}" for code in rng.integers(0, 99_999, n)],
            "b": rng.random(n) < 0.5,
        }
    )
    made.loc[rng.random(n) < 0.2, "x"] = np.nan
    return made


def together(source: Any) -> Any:
    """Return all rows, each part having travelled as to a worker."""
    return pa.concat_tables([part.read() for part in pickle.loads(pickle.dumps(source.parts()))])


def written(folder: Path, **contents: bytes | str) -> Path:
    """Write files into a new folder: `a_csv="..."` is a.csv."""
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        raw = content.encode() if isinstance(content, str) else content
        (folder / name.replace("_", ".", 1)).write_bytes(raw)
    return folder


@pytest.fixture
def memory() -> Iterator[Any]:
    """Give the files in fsspec's memory, and empty it."""
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


# ---- what is found -------------------------------------------------------------------------------


def test_files_come_in_natural_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("part-10.csv", "part-2.csv", "_SUCCESS", ".part-1.crc", "Thumbs.db"):
        (tmp_path / name).write_text("x\n1\n")
    (tmp_path / "_tmp").mkdir()
    (tmp_path / "_tmp" / "part-3.csv").write_text("x\n1\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "part-4.csv").write_text("x\n1\n")
    names = ["more/part-4.csv", "part-2.csv", "part-10.csv"]
    assert [os.path.relpath(one.path, tmp_path) for one in found(tmp_path)] == names
    assert [one.below for one in found(tmp_path)] == names
    assert len(found(f"{tmp_path}/*.csv")) == 2
    assert len(found(f"{tmp_path}/**/*.csv")) == 3
    assert len(found(f"file://{tmp_path}/part-2.csv")) == 1
    assert len(found([tmp_path / "part-10.csv", tmp_path / "_SUCCESS"])) == 2  # as they are named


def test_a_name_with_the_marks_of_a_glob_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").write_text("x\n1\n")
    assert len(found(tmp_path / "a[1].csv")) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "holds no files"),
        ("*.csv", "matches no file"),
        ("x.csv", "no such file"),
        ("empty.csv", "file is empty"),
    ],
)
def test_nothing_there_is_said(tmp_path: Path, name: str, message: str) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "_SUCCESS").write_text("")
    if name == "empty.csv":
        (folder / name).write_text("")
    with pytest.raises(FormatError, match=message):
        source_of_paths(f"{folder}/{name}" if name else folder)


@pytest.mark.parametrize("paths", [[], 3, "", b"x.csv", [None]])
def test_what_is_no_path_is_refused(paths: Any) -> None:
    with pytest.raises(DataError, match="path"):
        source_of_paths(paths)


def test_files_of_several_kinds_are_refused(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "a.parquet")
    frame().to_csv(tmp_path / "b.csv")
    with pytest.raises(FormatError, match=r"b\.csv: holds CSV, and .*a\.parquet holds Parquet"):
        source_of_paths(tmp_path)


def test_a_name_without_an_ending_is_read_by_its_first_bytes(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "part-0000")
    assert together(source_of_paths(tmp_path)).num_rows == 600
    (tmp_path / "other").write_bytes(b"%PDF-1.4")
    with pytest.raises(FormatError, match=r"other: looks like a PDF"):
        source_of_paths(tmp_path / "other")


# ---- Parquet -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [None, 70, 150, 10_000])
def test_every_row_of_parquet_comes_once_with_its_type(tmp_path: Path, rows: int | None) -> None:
    whole = []
    for k in range(3):
        part = frame(seed=k)
        part["when"] = pd.date_range("2024-01-01", periods=600, freq="h")
        part["level"] = pd.Categorical(part.s, WORDS)
        part.to_parquet(tmp_path / f"{k}.parquet", row_group_size=130, index=False)
        whole.append(pq.read_table(tmp_path / f"{k}.parquet"))
    source = source_of_paths(tmp_path, rows=rows)
    got, wanted = together(source), pa.concat_tables(whole)
    assert got.to_pylist() == wanted.to_pylist()
    assert got.schema.field("level").type == wanted.schema.field("level").type
    assert got.column("level").chunk(0).dictionary.to_pylist() == WORDS
    assert [part.n_rows for part in source.parts()] == [p.read().num_rows for p in source.parts()]
    if rows is not None and rows < 130:
        assert max(part.n_rows for part in source.parts()) <= rows


def test_a_large_row_group_is_read_in_pieces_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = np.arange(30_000.0).reshape(10_000, 3)
    pq.write_table(pa.table(dict(zip("abc", X.T))), tmp_path / "x.parquet")
    opened = []
    run = parquet_module._Run
    monkeypatch.setattr(parquet_module, "_Run", lambda *a: opened.append(a) or run(*a))
    parts = source_of_paths(tmp_path, rows=900).parts()
    assert len(parts) == 12
    for part in parts:
        rows = np.column_stack([column.to_numpy() for column in part.read().columns])
        np.testing.assert_array_equal(rows, X[part.start : part.start + part.n_rows])
    for part in parts[::2]:
        assert part.read()["b"].to_numpy()[0] == X[part.start, 1]
    assert len(opened) == 2  # each went on where one before had ended
    for part in parts[::-1]:
        np.testing.assert_array_equal(part.read()["b"].to_numpy()[0], X[part.start, 1])


def test_columns_are_chosen_by_name_and_matched_by_name(tmp_path: Path) -> None:
    one, two = frame(seed=0), frame(seed=1)
    one.to_parquet(tmp_path / "1.parquet")
    two[["b", "zip", "x", "s", "n"]].to_parquet(tmp_path / "2.parquet")
    got = together(source_of_paths(tmp_path))
    assert got.schema.names == list(one.columns)
    assert got["n"].to_pylist() == [*one.n, *two.n]
    two.assign(more=1).to_parquet(tmp_path / "2.parquet")
    chosen = together(source_of_paths(tmp_path, columns=["n", "x"]))
    assert chosen.schema.names == ["n", "x"]
    with pytest.raises(DataError, match=r"2\.parquet: its columns .*1\.parquet; it has besides"):
        source_of_paths(tmp_path)
    with pytest.raises(DataError, match=r"has no column 'q'; it has 'x', 'n'"):
        source_of_paths(tmp_path, columns=["q"])
    with pytest.raises(DataError, match="named 'x'"):
        source_of_paths(tmp_path, columns=["x", "x"])


def test_a_number_in_one_file_may_be_a_wider_one_in_another(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": pa.array([1, 2], pa.int32())}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"x": [0.5, None]}), tmp_path / "2.parquet")
    pq.write_table(pa.table({"x": pa.nulls(1)}), tmp_path / "3.parquet")
    got = together(source_of_paths(tmp_path))
    assert got["x"].to_pylist() == [1.0, 2.0, 0.5, None, None]
    assert got.schema.field("x").type == pa.float64()


@pytest.mark.parametrize("other", [["1"], [True], [None, "x"]])
def test_a_type_that_changes_between_files_is_named(tmp_path: Path, other: list[Any]) -> None:
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"x": other}), tmp_path / "2.parquet")
    with pytest.raises(DataError, match=r"2\.parquet: column 'x' holds .*1\.parquet it holds"):
        source_of_paths(tmp_path)


def test_levels_of_all_files_are_one_list(tmp_path: Path) -> None:
    pd.DataFrame({"c": pd.Categorical(["lo", "hi"])}).to_parquet(tmp_path / "1.parquet")
    pd.DataFrame({"c": pd.Categorical(["mid", None, "hi"])}).to_parquet(tmp_path / "2.parquet")
    pd.DataFrame({"c": ["lo", "new"]}).to_parquet(tmp_path / "3.parquet")
    source = source_of_paths(tmp_path, rows=1)
    got = together(source)
    assert got["c"].to_pylist() == ["lo", "hi", "mid", None, "hi", "lo", "new"]
    held = [part.read()["c"].chunk(0).dictionary.to_pylist() for part in source.parts()]
    assert held == [["hi", "lo", "mid", "new"]] * len(held)


def test_levels_in_order_must_have_one_order(tmp_path: Path) -> None:
    for k, levels in enumerate([["lo", "mid", "hi"], ["lo", "hi"], ["hi", "lo"]]):
        column = pd.Categorical(["lo", "hi"], levels, ordered=True)
        pd.DataFrame({"c": column}).to_parquet(tmp_path / f"{k}.parquet")
    assert together(source_of_paths([tmp_path / "0.parquet", tmp_path / "1.parquet"])).num_rows == 4
    with pytest.raises(DataError, match=r"2\.parquet: column 'c' has its levels in the order"):
        source_of_paths(tmp_path)


def test_folders_that_name_a_column_give_it(tmp_path: Path) -> None:
    for year, place in ((2023, "a b"), (2024, "c")):
        folder = tmp_path / f"year={year}" / f"place={place.replace(' ', '%20')}"
        folder.mkdir(parents=True)
        frame(5).to_parquet(folder / "0.parquet")
    got = together(source_of_paths(tmp_path))
    assert got["year"].to_pylist() == [2023] * 5 + [2024] * 5
    assert got["place"].to_pylist() == ["a b"] * 5 + ["c"] * 5
    frame(5).to_parquet(tmp_path / "0.parquet")
    with pytest.raises(DataError, match="Give one level of folders"):
        source_of_paths(tmp_path)


def test_empty_parts_and_parts_of_gaps_alone_are_taken(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([], pa.float64()), "s": pa.array([], pa.string())})
    pq.write_table(table, tmp_path / "1.parquet")
    pq.write_table(pa.table({"x": [None, None], "s": ["a", None]}), tmp_path / "2.parquet")
    got = together(source_of_paths(tmp_path))
    assert got["x"].to_pylist() == [None, None]
    with pytest.raises(DataError, match="holds columns and no rows"):
        source_of_paths(tmp_path / "1.parquet")


def test_a_file_cut_short_or_of_another_kind_is_named(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "x.parquet")
    whole = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"x\.parquet: damaged Parquet file"):
        source_of_paths(tmp_path)
    table = pa.table({"x": np.arange(10_000.0)})
    pq.write_table(table, tmp_path / "y.parquet", compression="none", write_page_checksum=True)
    damaged = bytearray((tmp_path / "y.parquet").read_bytes())
    damaged[20_000] ^= 1
    (tmp_path / "y.parquet").write_bytes(damaged)
    with pytest.raises(FormatError, match=r"y\.parquet: damaged Parquet file"):
        together(source_of_paths(tmp_path / "y.parquet"))
    (tmp_path / "y.parquet").unlink()
    damaged = bytearray(whole)
    damaged[4 : len(whole) // 2] = bytes(len(whole) // 2 - 4)
    (tmp_path / "x.parquet").write_bytes(damaged)
    with pytest.raises(FormatError, match=r"x\.parquet: damaged Parquet file"):
        together(source_of_paths(tmp_path))
    (tmp_path / "x.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(FormatError, match="is no Parquet file: it looks like plain text"):
        source_of_paths(tmp_path)


def test_columns_that_no_model_takes_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0], "l": [[1, 2]]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"column 'l' holds list<"):
        source_of_paths(tmp_path)
    assert together(source_of_paths(tmp_path, columns=["x"])).num_rows == 1


def test_a_file_that_changes_between_looks_is_named(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "x.parquet")
    frame().to_csv(tmp_path / "x.csv", index=False)
    sources = [source_of_paths(tmp_path / name) for name in ("x.parquet", "x.csv")]
    before = [source.identity for source in sources]
    for source in sources:
        source.parts()[0].read()
    frame(seed=2).to_parquet(tmp_path / "x.parquet")
    frame(seed=2).to_csv(tmp_path / "x.csv", index=False)
    for source in sources:
        with pytest.raises(FormatError, match=r"x\..*: was changed since it was first read"):
            source.parts()[0].read()
    after = [source_of_paths(tmp_path / name).identity for name in ("x.parquet", "x.csv")]
    assert not set(before) & set(after)
    assert source_of_paths(tmp_path / "x.csv").identity == after[1]


# ---- CSV -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [None, 7, 100, 450])
def test_every_row_of_csv_comes_once(tmp_path: Path, rows: int | None) -> None:
    parts = [frame(seed=k) for k in range(3)]
    for k, part in enumerate(parts):
        part.to_csv(tmp_path / f"{k}.csv", index=False)
    source, wanted = source_of_paths(tmp_path, rows=rows), pd.concat(parts)
    got = together(source)
    np.testing.assert_array_equal(got["x"].to_numpy(), wanted.x)
    for name in ("n", "s", "zip", "b"):
        assert got[name].to_pylist() == wanted[name].tolist()
    assert [str(kind) for kind in got.schema.types] == [
        "double",
        "int64",
        "string",
        "string",
        "bool",
    ]
    assert rows is None or len(source.parts()) > 3


def test_files_without_quotes_are_cut_at_any_newline_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{k},{k % 7}" for k in range(50_000)]
    (tmp_path / "x.csv").write_text("a,b\n" + "\n".join(lines) + "\n")
    got = together(source_of_paths(tmp_path, rows=1000))
    assert got["a"].to_pylist() == list(range(50_000))
    lines = [f"w{k},1" for k in range(50_000)]
    lines[30_000:] = [f'"w\n{k}",1' for k in range(30_000, 50_000)]  # as the samples show
    (tmp_path / "x.csv").write_text("a,b\n" + "\n".join(lines) + "\n")
    got = together(source_of_paths(tmp_path, rows=1000))
    assert got["a"].to_pylist()[29_998:30_002] == ["w29998", "w29999", "w\n30000", "w\n30001"]
    assert got.num_rows == 50_000
    monkeypatch.setattr(csv_module, "SAMPLE", 64)
    lines = [f"w{k},1" for k in range(50_000)]
    lines[30_000:] = [f'"w{k}' + "\n" * 4000 + '",1' for k in range(30_000, 30_002)]
    (tmp_path / "x.csv").write_text("a,b\n" + "\n".join(lines) + "\n")
    with pytest.raises(FormatError, match=r"x\.csv: a cell in quotes is cut, or not closed, in"):
        together(source_of_paths(tmp_path, rows=300))  # as they do not


def test_gzipped_and_otherwise_spelt_files(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress("a,b\n1,é\n2,\n".encode()))
    assert together(source_of_paths(tmp_path)).to_pydict() == {"a": [1, 2], "b": ["é", None]}
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n")[:-4])
    with pytest.raises(FormatError, match="cut short"):
        source_of_paths(tmp_path)
    path = tmp_path / "y.csv"
    path.write_text("\ufeffa;b\n1,5; NA\n2,5;0,25\n", "utf-8")
    got = together(source_of_paths(path, sep=";", decimal=","))
    assert got.to_pydict() == {"a": [1.5, 2.5], "b": [None, 0.25]}
    (tmp_path / "z.tsv").write_text("a\tb\n1\t2\n")
    assert together(source_of_paths(tmp_path / "z.tsv")).to_pydict() == {"a": [1], "b": [2]}


def test_other_marks_are_refused_in_the_words_of_one_file(tmp_path: Path) -> None:
    for text in ("a;b\n1;x\n2;y\n", "a;b\n1,5;x\n2;y\n", "a\tb\n1\tx\n", "a b\n1 x\n"):
        (tmp_path / "x.csv").write_text(text)
        with pytest.raises(FormatError) as alone:
            readers.read_table(tmp_path / "x.csv")
        for read in (source_of_paths, lambda path: fit_chunks(ancestral.LatentTree(2, 1), path)):
            with pytest.raises(FormatError) as found:
                read(tmp_path)
            assert str(found.value).startswith(str(alone.value))
            assert "ancestral.streaming.source_of_paths" in str(found.value)
    (tmp_path / "x.csv").write_text("note\nfine\nso so; well\n")
    assert together(source_of_paths(tmp_path)).num_rows == 2


GERMAN = "name;price;n\nO\u2019Brien;1.145,72;1.200\n\u20ac Zo\u00eb;NA;7\n"


@pytest.mark.parametrize("rows", [None, 1])
def test_encodings_and_thousands_are_read_as_in_one_file(tmp_path: Path, rows: int | None) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(GERMAN.encode("cp1252"))
    how = {"sep": ";", "decimal": ",", "thousands": ".", "encoding": "cp1252"}
    got = together(source_of_paths(tmp_path, rows=rows, **how))
    assert got.to_pydict() == {
        "name": ["O\u2019Brien", "\u20ac Zo\u00eb"],
        "price": [1145.72, None],
        "n": [1200, 7],
    }
    alone = readers.read_table(path, missing=True, **how)
    assert alone["name"].tolist() == got["name"].to_pylist()
    with pytest.raises(FormatError, match=r"byte 0x92 on line 2 .*encoding='cp1252', sep=';'"):
        source_of_paths(tmp_path)
    with pytest.raises(FormatError, match="0x92 on line 2 is no character in iso8859-1"):
        source_of_paths(tmp_path, sep=";", encoding="latin-1")
    with pytest.raises(DataError, match=r"'1\.145,72', which may be .*thousands='\.'"):
        source_of_paths(tmp_path, **{**how, "thousands": None})
    with pytest.raises(ModelError, match="'utf-16' cannot be read in parts"):
        source_of_paths(tmp_path, encoding="utf-16")


def test_a_cell_with_thousands_that_is_no_number_is_quoted_as_it_stands(tmp_path: Path) -> None:
    lines = "".join(f"{k};1.{k % 900 + 100},5\n" for k in range(40_000))
    (tmp_path / "x.csv").write_text("a;b\n" + lines + "7;12.34,5\n")
    source = source_of_paths(tmp_path, sep=";", decimal=",", thousands=".")
    with pytest.raises(DataError, match=r"line 40002: column 'b': '12\.34,5' is no number"):
        together(source)
    (tmp_path / "x.csv").write_text("a;b\n1;1.234\n2;5.120\n")
    with pytest.raises(DataError, match=r"'1\.234', which may be a number .*thousands='\.'"):
        source_of_paths(tmp_path, sep=";", decimal=",")


def test_points_that_may_stand_between_thousands_are_told_in_parts(tmp_path: Path) -> None:
    for k, text in enumerate(("x;y\n1;b\n", "x;y\n12.345;a\n7;b\n")):
        (tmp_path / f"{k}.csv").write_text(text)
    wanted = r"'x': '12\.345' was read .*decimal=',' to ancestral\.streaming\.source_of_paths"
    with pytest.warns(ancestral.AncestralWarning, match=wanted) as caught:
        got = together(source_of_paths(tmp_path, sep=";"))
    assert len(caught) == 1 and got["x"].to_pylist() == [1, 12.345, 7]
    got = together(source_of_paths(tmp_path, sep=";", decimal=",", thousands="."))
    assert got["x"].to_pylist() == [1, 12345, 7]
    (tmp_path / "2.csv").write_text("x;y\n1.5;b\n")
    source_of_paths(tmp_path, sep=";")  # and no warning


def test_files_without_names_and_with_an_index_are_read_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1,2.5\n3,4\n")
    with pytest.warns(ancestral.AncestralWarning, match="no header line"):
        got = together(source_of_paths(tmp_path))
    assert got.to_pydict() == {"x0": [1, 3], "x1": [2.5, 4.0]}
    (tmp_path / "x.csv").write_text(",b\n0,2\n1,4\n")
    with pytest.warns(ancestral.AncestralWarning, match="only numbers the rows"):
        got = together(source_of_paths(tmp_path))
    assert got.to_pydict() == {"b": [2, 4]}


LONG = "a,b\n" + "".join(f"{k},{k}\n" for k in range(40_000))


@pytest.mark.parametrize(
    ("one", "two", "message"),
    [
        (LONG + "1,x\n", "", r"1\.csv: line 40002: column 'b': 'x' is no number.*'b': 'text'"),
        (LONG + "1,3.5\n", "", r"line 40002: column 'b': '3\.5' is no whole number.*'number'"),
        (LONG + "1\n", "", r"1\.csv: line 40002: has 1 cells, line 1 has 2"),
        ("a,b\n1,2\n3\n", "", r"1\.csv: line 3: has 1 cells, line 1 has 2"),
        ('a,b\n1,"2\n2"\n\n3,4\n5\n', "", r"1\.csv: line 6: has 1 cells, line 1 has 2"),
        (LONG + f"{1 << 63},1\n", "", r"line 40002: column 'a': .* is no whole .*'a': 'text'"),
        ("a,b\n1,2\n", f"a,b\n{1 << 64},2\n", r"2\.csv: column 'a' holds 1844.* 64 bits.*'text'"),
        ("a,b\n1,2\n", "a,b\n1,yes\n", r"2\.csv: column 'b' holds 'yes', and numbers, too, such"),
        ("a,b\n1,2\n", "a,c\n1,2\n", r"2\.csv: its columns .*1\.csv; it lacks 'b' and has besides"),
        ("a,b\n1,2\n", "3,4\n", r"2\.csv: has no line of names, and .*1\.csv has"),
        ("a,b\n", "", r"1\.csv: holds a line of names and no rows"),
        ("a,\n0,2\n", "", r"1\.csv: column 2 has no name"),
        ("a,a\n0,2\n", "", r"1\.csv: two columns|twice|named 'a'"),
        ("a,3\n0,2\n", "", r"line 1 mixes text \('a'\) and numbers \('3'\)"),
        ('a,b\n1,"x\n2,y\n', "", r"1\.csv: a quote is opened and not closed"),
        ("a,b\n1,\udcff\n", "", r"1\.csv: .*UTF-8"),
    ],
)
def test_bad_csv_is_named_with_its_place(tmp_path: Path, one: str, two: str, message: str) -> None:
    (tmp_path / "1.csv").write_bytes(one.encode("utf-8", "surrogateescape"))
    if two:
        (tmp_path / "2.csv").write_text(two)
    with pytest.raises(AncestralError, match=message):
        together(source_of_paths(tmp_path))


def test_wide_files_and_long_lines_are_cut_where_lines_end(tmp_path: Path) -> None:
    table = pd.DataFrame(np.arange(30_000.0).reshape(6, 5_000)).add_prefix(
        "a_column_of_a_wide_table_"
    )
    table.to_csv(tmp_path / "x.csv", index=False)
    source = source_of_paths(tmp_path, rows=2)
    assert len(source.parts()) >= 3
    got = np.column_stack([column.to_numpy() for column in together(source).columns])
    np.testing.assert_array_equal(got, table)
    (tmp_path / "x.csv").write_text("a" * (20 << 20))
    with pytest.raises(FormatError, match="its first line does not end within"):
        source_of_paths(tmp_path)


def test_columns_that_are_not_read_may_hold_anything(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3,no\n")
    with pytest.raises(DataError, match="column 'b' holds 'no', and numbers, too"):
        source_of_paths(tmp_path)
    assert together(source_of_paths(tmp_path, columns=["a"])).to_pydict() == {"a": [1, 3]}


def test_types_may_be_said(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(LONG + "1,3.5\n")
    got = together(source_of_paths(tmp_path, types={"a": "text", "b": "number"}))
    assert got["a"][7].as_py() == "7"
    assert got["b"][-1].as_py() == 3.5
    with pytest.raises(DataError, match="types= names 'q', which is no column"):
        source_of_paths(tmp_path, types={"q": "text"})
    with pytest.raises(ModelError, match="a column holds one of whole, number, boolean, text"):
        source_of_paths(tmp_path, types={"a": "float"})


def test_whole_numbers_are_those_of_64_bits_and_never_rounded(tmp_path: Path) -> None:
    ends = [-(1 << 63), (1 << 63) - 1, 1234567890123456789]
    (tmp_path / "x.csv").write_text("id\n" + "".join(f"{one}\n" for one in ends))
    assert together(source_of_paths(tmp_path))["id"].to_pylist() == ends
    (tmp_path / "x.csv").write_text("id,x\n12345678901234567890,1.50\n7,2\n")
    with pytest.raises(DataError, match="beyond 64 bits"):
        source_of_paths(tmp_path)
    got = together(source_of_paths(tmp_path, types={"id": "text"}))
    assert got["id"].to_pylist() == ["12345678901234567890", "7"]
    assert together(source_of_paths(tmp_path, columns=["x"])).to_pydict() == {"x": [1.5, 2]}


DAYS = ["2024-01-31", "2024-01-31T18:30+02:00", "", "2024-01-31 18:30:00.5", "2023-12-01 00:00Z"]


@pytest.mark.parametrize("days", [DAYS, DAYS[3:4] + DAYS[:1], DAYS[2:3] + DAYS[4:]])
def test_dates_are_read_as_in_one_file(tmp_path: Path, days: list[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text("day,n\n" + "".join(f"{day},1\n" for day in days))
    wanted = readers.read_table(path, missing=True, dates=True)["day"]
    for how in ({"types": {"day": "date"}}, {"dates": True}):
        got = together(source_of_paths(tmp_path, **how))
        assert got.schema.field("day").type == pa.timestamp("us")
        np.testing.assert_array_equal(got["day"].to_numpy(), wanted.to_numpy())
    text = together(source_of_paths(tmp_path, dates=True, types={"day": "text"}))
    assert text["day"].to_pylist() == [day or None for day in days]
    assert together(source_of_paths(tmp_path))["day"].to_pylist() == text["day"].to_pylist()


@pytest.mark.parametrize("odd", ["soon", "2024-02-30", "0000-01-01", "2024-01-31 18"])
def test_a_cell_that_is_no_date_is_named(tmp_path: Path, odd: str) -> None:
    (tmp_path / "x.csv").write_text(f"day,n\n2024-01-31,1\n{odd},1\n")
    source = source_of_paths(tmp_path, types={"day": "date"})
    wanted = rf"x\.csv: line 3: column 'day': '{odd}' is no date.*types=\{{'day': 'text'"
    with pytest.raises(DataError, match=wanted):
        together(source)
    kept = together(source_of_paths(tmp_path, dates=True))
    assert kept["day"].to_pylist() == ["2024-01-31", odd]  # as in one file: no column of dates
    with pytest.raises(ancestral.errors.DataTypeError, match="dates= is true or false"):
        source_of_paths(tmp_path, dates="day")  # type: ignore[arg-type]


def test_text_of_dates_names_what_reads_them_in_parts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(2):
        rows = pd.DataFrame({"x": rng.normal(size=40), "y": rng.normal(size=40)})
        rows["day"] = [f"2024-01-{1 + j % 9:02d}" for j in range(40)]
        rows.to_csv(tmp_path / f"{k}.csv", index=False)
    model = ancestral.LatentTree(n_states=2, n_trees=1, random_state=0)
    with pytest.warns(
        ancestral.AncestralWarning, match=r"source_of_paths.*types=\{'day': 'date'\}"
    ):
        fit_chunks(model, tmp_path)
    fit_chunks(model, source_of_paths(tmp_path, types={"day": "date"}))
    assert [one["of"] for one in model.columns_ if one["name"] == "day"] == ["date"]


def test_what_a_model_does_not_know_is_kept_as_it_is(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 2)).round(3)
    model = ancestral.PPCA(1).fit(pd.DataFrame(rows, columns=["a", "b"]))
    lines = [f"{90_000_000_000_000_000_000 + k},{a},{b},1.50" for k, (a, b) in enumerate(rows)]
    lines[4] = lines[4].replace(f"{rows[4, 1]}", "NA")
    folder = written(tmp_path / "text", x_csv="id,a,b,price\n" + "\n".join(lines) + "\n")
    writing.impute(model, folder, tmp_path / "out.csv")
    found = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()]
    assert [line[0] for line in found[1:]] == [line.split(",")[0] for line in lines]
    assert {line[3] for line in found[1:]} == {"1.50"}
    assert np.isfinite(np.array([line[1:3] for line in found[1:]], float)).all()
    wanted = model.log_density(pd.DataFrame(rows, columns=["a", "b"]))
    clock = pa.array(range(30), pa.time64("us"))
    table = pa.table({"a": rows[:, 0], "t": clock, "b": rows[:, 1], "l": [[1]] * 30})
    (tmp_path / "rows").mkdir()
    pq.write_table(table, tmp_path / "rows" / "0.parquet")
    with pytest.raises(DataError, match=r"column 't' holds time64.*columns=.*like=model"):
        source_of_paths(tmp_path / "rows")
    for source in (tmp_path / "rows", [tmp_path / "rows" / "0.parquet"]):
        assert np.allclose(writing.log_density(model, source), wanted)
        writing.impute(model, source, tmp_path / "out.parquet")
        assert pq.read_table(tmp_path / "out.parquet").equals(table)
    assert source_of_paths(tmp_path / "rows", like=model).schema.names == table.column_names
    for odd in (3, ancestral.PPCA(1)):
        with pytest.raises(AncestralError, match=r"like= is a fitted model|not fitted"):
            source_of_paths(tmp_path / "rows", like=odd)


def test_a_fitted_model_says_what_is_text_and_what_are_dates(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    days = np.datetime64("2024-01-01", "us") + rng.integers(0, 99, 200).astype("m8[D]")
    rows = pd.DataFrame({"x": rng.normal(size=200), "zip": rng.choice(["12345", "54321"], 200)})
    rows["day"] = days
    model = ancestral.LatentTree(n_states=2, n_trees=1, random_state=0).fit(rows)
    rows.to_csv(tmp_path / "x.csv", index=False)
    assert np.allclose(writing.log_density(model, tmp_path), model.log_density(rows))
    levels = ancestral.TabularAutoregressive(smoothing=1).fit(rows[["zip"]])
    assert np.allclose(writing.log_density(levels, tmp_path), levels.log_density(rows[["zip"]]))


def test_columns_of_gaps_alone_are_numbers_and_gaps_are_those_of_all_readers(
    tmp_path: Path,
) -> None:
    (tmp_path / "1.csv").write_text("a,b,c\n, NA,nan\n,N/A,Null\n")
    (tmp_path / "2.csv").write_text("a,b,c\n,1,x\n")
    got = together(source_of_paths(tmp_path))
    assert got.to_pydict() == {"a": [None] * 3, "b": [None, None, 1], "c": [None, None, "x"]}
    assert got.schema.field("a").type == pa.float64()


# ---- arrays, pictures and graphs -----------------------------------------------------------------


def test_arrays_pictures_and_graphs_of_a_folder(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    X = np.arange(36.0).reshape(12, 3)
    for k in range(2):
        np.save(tmp_path / f"{k}.npy", X[6 * k : 6 * k + 6])
    parts = source_of_paths(tmp_path, rows=4).parts()
    np.testing.assert_array_equal(np.vstack([part.read() for part in parts]), X)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for k in (1, 2, 10):
        image.fromarray(np.full((4, 5), k, np.uint8)).save(pictures / f"{k}.png")
    parts = source_of_paths(pictures, rows=2).parts()
    rows = np.vstack([part.read() for part in parts])
    assert [part.n_rows for part in parts] == [2, 1]
    np.testing.assert_array_equal(rows, readers.read_array(pictures).reshape(3, 20))
    image.fromarray(np.zeros((5, 5), np.uint8)).save(pictures / "11.png")
    with pytest.raises(DataError, match=r"11\.png: is 5 x 5, 8 bits, but .*1\.png is 4 x 5"):
        [part.read() for part in source_of_paths(pictures).parts()]
    graphs = tmp_path / "graphs"
    graphs.mkdir()
    for k in range(2):
        readers.write_graphs(graphs / f"{k}.npz", datasets.classrooms(k + 2))
    parts = source_of_paths(graphs, graphs=True).parts()
    assert [len(part.read()) for part in parts] == [2, 3]
    assert [len(part.read()) for part in source_of_paths(graphs).parts()] == [2, 3]


@pytest.mark.parametrize(
    ("name", "options"),
    [("x.npy", {"columns": ["a"]}), ("x.npy", {"types": {}}), ("x.parquet", {"sep": ";"})],
)
def test_options_that_mean_nothing_are_refused(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    frame(3).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(ModelError, match="means nothing for"):
        source_of_paths(tmp_path / name, **options)
    with pytest.raises(ModelError, match="rows must be"):
        source_of_paths(tmp_path / name, rows=0)


@pytest.mark.parametrize(
    "options",
    [
        {"sep": "ab"},
        {"sep": 3},
        {"columns": 3},
        {"columns": [1]},
        {"types": 3},
        {"storage_options": "key"},
        {"graphs": 3},
    ],
)
def test_options_that_are_none_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError):
        source_of_paths(tmp_path, **options)
    assert together(source_of_paths(tmp_path, columns="b")).to_pydict() == {"b": [2]}


# ---- elsewhere -----------------------------------------------------------------------------------


def put(memory: Any, name: str, write: Callable[[Any], Any]) -> None:
    """Write a file into fsspec's memory."""
    buffer = io.BytesIO()
    write(buffer)
    memory.pipe(name, buffer.getvalue())


def test_addresses_are_read_as_files_are(memory: Any, tmp_path: Path) -> None:
    parts = [frame(seed=k) for k in range(2)]
    for k, part in enumerate(parts):
        put(memory, f"/d/p/{k}.parquet", lambda f, part=part: part.to_parquet(f, row_group_size=99))
        put(memory, f"/d/c/{k}.csv", lambda f, part=part: part.to_csv(f, index=False))
    memory.pipe("/d/p/_SUCCESS", b"")
    wanted = pd.concat(parts)
    for path in ("p", "p/*.parquet", "c"):
        for rows in (None, 50):
            got = together(source_of_paths(f"memory://d/{path}", rows=rows))
            np.testing.assert_array_equal(got["x"].to_numpy(), wanted.x)
            assert got["s"].to_pylist() == wanted.s.tolist()
    X = np.arange(12.0).reshape(6, 2)
    put(memory, "/d/x.npy", lambda f: np.save(f, X))
    parts = source_of_paths("memory://d/x.npy", rows=4).parts()
    np.testing.assert_array_equal(np.vstack([part.read() for part in parts]), X)
    path = tmp_path / "g.npz"
    readers.write_graphs(path, datasets.classrooms(2))
    memory.pipe("/d/g.npz", path.read_bytes())
    (part,) = source_of_paths("memory://d/g.npz").parts()
    assert len(part.read()) == 2


def test_bad_addresses_are_named(memory: Any) -> None:
    put(memory, "/d/x.parquet", frame().to_parquet)
    source = source_of_paths("memory://d/x.parquet")
    put(memory, "/d/x.parquet", frame(seed=1).to_parquet)
    with pytest.raises(FormatError, match=r"memory://d/x\.parquet: was changed"):
        source.parts()[0].read()
    whole = memory.cat("/d/x.parquet")
    memory.pipe("/d/x.parquet", whole[:200])
    with pytest.raises(FormatError, match=r"memory://d/x\.parquet: damaged Parquet file"):
        source_of_paths("memory://d/x.parquet")
    for path, message in (
        ("memory://d/none.csv", "no such file or folder"),
        ("memory://d/*.csv", "matches no file"),
        ("nosuch://d/x.csv", "is no kind of address that fsspec knows"),
    ):
        with pytest.raises(FormatError, match=message):
            source_of_paths(path)


class Refusing(fsspec.AbstractFileSystem):
    """Files of someone else."""

    protocol = "refusing"
    error: Exception = PermissionError("Forbidden: key AKIAVERYSECRET of hunter22")

    def info(self, path: str, **kwargs: Any) -> Any:
        raise self.error


class NoCredentialsError(Exception):
    """As botocore's, which is told by its name."""


@pytest.mark.parametrize(
    "error",
    [
        Refusing.error,
        NoCredentialsError("Unable to locate them"),
        OSError("Access Denied: AKIAVERYSECRET"),
    ],
)
def test_refused_credentials_are_said_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    monkeypatch.setattr(Refusing, "error", error)
    address, options = "refusing://me:hunter22@host/x.csv", {"key": "AKIAVERYSECRET"}
    with pytest.raises(FormatError, match=r"access is refused .* Check the credentials") as caught:
        source_of_paths(address, storage_options=options)
    monkeypatch.setattr(Refusing, "error", TimeoutError("no answer to AKIAVERYSECRET, hunter22"))
    with pytest.raises(FormatError, match="TimeoutError: no answer to") as late:
        source_of_paths(address, storage_options=options)
    for one in (caught, late):
        said = (
            str(one.value)
            + repr(one.value.__cause__)
            + repr(one.value.__context__ if not one.value.__suppress_context__ else "")
        )
        assert "hunter22" not in said
        assert "AKIAVERYSECRET" not in said
    (file,) = [files_module.File(address, 1, "", options=options)]
    assert "hunter22" not in file.name
    assert "AKIAVERYSECRET" not in repr(file)


def test_what_an_address_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"s3:// needs s3fs.*pip install s3fs"):
        source_of_paths("s3://bucket/x.parquet")


# ---- models --------------------------------------------------------------------------------------


def test_models_are_fitted_from_files_as_in_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(900, 4)) * [3, 1, 1, 2] + 5, columns=list("abcd"))
    table["y"] = table.a - 2 * table.b + rng.normal(size=900)
    table.iloc[:500].to_parquet(tmp_path / "0.parquet", row_group_size=120)
    table.iloc[500:].to_parquet(tmp_path / "1.parquet")
    model = fit_chunks(ancestral.PPCA(2), tmp_path)
    whole = ancestral.PPCA(2).fit(table)
    np.testing.assert_allclose(model.eigenvalues_, whole.eigenvalues_, rtol=1e-12)
    assert list(model.feature_names_in_) == list(table.columns)
    line = fit_chunks(ancestral.LinearGaussian(), f"{tmp_path}/*.parquet", target="y")
    there = ancestral.LinearGaussian().fit(table[list("abcd")], table.y)
    np.testing.assert_allclose(line.coef_, there.coef_, rtol=1e-12)
    table.to_csv(tmp_path / "all.csv", index=False)
    again = fit_chunks(ancestral.LinearGaussian(), tmp_path / "all.csv", target="y")
    np.testing.assert_allclose(again.coef_, there.coef_, rtol=1e-12)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("rows", [None, 4])
def test_a_row_is_named_in_its_own_file(tmp_path: Path, kind: str, rows: int | None) -> None:
    rng = np.random.default_rng(0)
    for k in range(3):
        table = pd.DataFrame(rng.normal(size=(10, 2)), columns=["a", "b"])
        if k == 2:
            table.loc[4, "b"] = np.inf
        path = tmp_path / f"{k}.{kind}"
        table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    where = r"\(line 6 of .*2\.csv\)" if kind == "csv" else r"\(row 4 of .*2\.parquet\)"
    wanted = rf"part \d: X holds inf at row \d+ {where}, column 'b'"
    with pytest.raises(DataError, match=wanted):
        fit_chunks(ancestral.PPCA(1), tmp_path, rows=rows)
    with pytest.raises(DataError, match=wanted):
        fit_dask(ancestral.PPCA(1), tmp_path, rows=rows)
    model = ancestral.PPCA(1).fit(pd.DataFrame(rng.normal(size=(10, 2)), columns=["a", "b"]))
    with pytest.raises(DataError, match=wanted):
        writing.log_density(model, tmp_path, rows=rows)


def test_models_of_graphs_and_rows_find_files_by_what_they_hold(tmp_path: Path) -> None:
    graphs = datasets.classrooms(4)
    for k in range(2):
        readers.write_graphs(tmp_path / f"{k}.npz", graphs[2 * k : 2 * k + 2])
    whole = ancestral.InnerProductGraph().fit(graphs)
    for source in (tmp_path, f"{tmp_path}/*.npz", [tmp_path / "0.npz", tmp_path / "1.npz"]):
        model = fit_chunks(ancestral.InnerProductGraph(), source)
        assert model.slope_ == pytest.approx(whole.slope_, rel=1e-8)
    table = pd.DataFrame({"x": [0.0, 1, 2, 4], "y": [1.0, 0, 3, 5]})
    table.to_parquet(tmp_path / "part-0000")
    line = fit_chunks(ancestral.LinearGaussian(), tmp_path / "part-0000")
    assert line.coef_ == pytest.approx(ancestral.LinearGaussian().fit(table[["x"]], table.y).coef_)


# ---- a server like S3's --------------------------------------------------------------------------


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Give a file system with an empty bucket, and what reaches it."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAVERYSECRET")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter22")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    options = {"endpoint_url": f"http://{host}:{port}"}
    system = fsspec.filesystem("s3", use_listings_cache=False, **options)
    system.mkdir("bucket")
    yield system, options
    server.stop()


def test_a_bucket_is_read_as_a_folder_is(
    bucket: tuple[Any, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    system, options = bucket
    parts = [frame(seed=k) for k in range(2)]
    for k, part in enumerate(parts):
        put(system, f"bucket/p/{k}.parquet", lambda f, part=part: part.to_parquet(f))
        put(system, f"bucket/c/{k}.csv", lambda f, part=part: part.to_csv(f, index=False))
    for path in ("p", "p/*.parquet", "c"):
        for rows in (None, 250):
            source = source_of_paths(f"s3://bucket/{path}", rows=rows, storage_options=options)
            np.testing.assert_array_equal(together(source)["x"].to_numpy(), pd.concat(parts).x)
    put(system, "bucket/c/0.csv", lambda f: frame(seed=5).to_csv(f, index=False))
    with pytest.raises(FormatError, match=r"s3://bucket/c/0\.csv: was changed"):
        source.parts()[0].read()
    with pytest.raises(FormatError, match=r"s3://bucket/none: no such file or folder"):
        source_of_paths("s3://bucket/none", storage_options=options)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    other = {**options, "skip_instance_cache": True}
    with pytest.raises(FormatError, match=r"s3://bucket/p: access is refused \(NoCredentials"):
        source_of_paths("s3://bucket/p", storage_options=other)
