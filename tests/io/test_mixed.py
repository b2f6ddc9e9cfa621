"""Tables of mixed columns: each column's kind, gaps, refusals, and the way back."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from ancestral.errors import (
    AncestralWarning,
    DataError,
    DataTypeError,
    FormatError,
    MissingExtraError,
    SaveError,
)
from ancestral.io import mixed, read_array, read_table, write_table

pd = pytest.importorskip("pandas", reason="dataframes are an extra")
TEXT = "sky,wind,ok,zip,rate\nrain,3,true,01234,0.5\nsun,,False,98765,2\n,4,true,00501,1.25\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(TEXT)
    return path


def refused(tmp_path, cells, **options):
    path = tmp_path / "bad.csv"
    path.write_text(cells)
    with pytest.raises((DataError, FormatError)) as error:
        read_table(path, **options)
    return str(error.value)


def test_each_column_has_the_kind_that_its_cells_show(table):
    frame = read_table(table, missing=True)
    kinds = [str(dtype) for dtype in frame.dtypes]
    assert kinds == ["str", "Int64", "bool", "str", "float64"] or kinds[0] == "object"
    assert frame["zip"].tolist() == ["01234", "98765", "00501"]
    assert frame["ok"].tolist() == [True, False, True]
    assert frame["wind"].isna().tolist() == [False, True, False] and frame["wind"][2] == 4
    assert frame["sky"].isna().tolist() == [False, False, True]
    assert frame["rate"].tolist() == [0.5, 2.0, 1.25]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_what_is_written_is_read_back(table, tmp_path, library, ending):
    pytest.importorskip(library, reason="an extra")
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="an extra")
    found = mixed.read_mixed(table, missing=True)
    written = write_table(tmp_path / f"b.{ending}", found.frame(library))
    options = {"sep": "\t"} if ending == "tsv" else {}
    again = mixed.read_mixed(written, missing=True, **options)
    assert again.names == found.names
    for one, two in zip(found.columns, again.columns, strict=True):
        assert one.plain().tolist() == two.plain().tolist()


def test_levels_of_parquet_stay_levels(tmp_path):
    pytest.importorskip("pyarrow", reason="an extra")
    levels = pd.CategoricalDtype(["low", "mid", "high"])
    frame = pd.DataFrame({"dose": pd.Series(["high", "low", None], dtype=levels), "n": [1, 2, 3]})
    write_table(tmp_path / "a.parquet", frame)
    again = read_table(tmp_path / "a.parquet", missing=True)
    assert again["dose"].cat.categories.tolist() == ["low", "mid", "high"]
    assert again["dose"].astype(object).where(again["dose"].notna(), None).tolist() == [
        "high",
        "low",
        None,
    ]
    with pytest.raises(DataError, match="null at row 2"):
        read_table(tmp_path / "a.parquet")


def test_numbers_alone_take_the_fast_way_to_the_same_table(tmp_path):
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(-5, 5, 50), rng.normal(size=50)])
    path = tmp_path / "a.csv"
    path.write_text("n,x\n" + "".join(f"{int(n)},{x!r}\n" for n, x in rows.tolist()))
    fast, cells = mixed.read_mixed(path), mixed.read_mixed(path, levels=["absent"])
    for one, two in zip(fast.columns, cells.columns, strict=True):
        assert one.values.dtype == two.values.dtype
        np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_array_equal(fast.array(), read_array(path))


def test_a_column_is_text_when_it_is_said_to_be(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("code,n\n1,2\nx,3\n")
    assert read_table(path, text=["code"])["code"].tolist() == ["1", "x"]
    assert read_table(path, text=["code", "n"])["n"].tolist() == ["2", "3"]


def test_whole_numbers_of_64_bits_are_not_rounded(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"id\n{2**53 + 1}\n{2**62 + 3}\n")
    assert read_table(path)["id"].tolist() == [2**53 + 1, 2**62 + 3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\nx,3\n", ["line 3, column 'a'", "'x' is text", "text=['a']"]),
        ("a,b\nrain,2\n,3\n", ["line 3, column 'a'", "empty cell", "missing=True"]),
        ("a,b\nrain,2\nNA,3\n", ["line 3", "missing value 'NA'"]),
        ("a,b\nrain\n", ["line 2 has 1 cells", "ragged"]),
        ("a,a\nrain,1\n", ["columns 1 and 2 are both named 'a'"]),
        ("a,b\nrain,inf\n", ["line 2, column 'b'", "infinite"]),
        ("a,b\nrain,1e400\n", ["too large for a float64"]),
        (f"a,b\nrain,{10**20}\n", ["beyond 64 bits"]),
        ('a,b\nrain,"1,5"\n', ["may be a number", "decimal=','"]),
        ("rain,1\nsun,2\n", ["line 1 mixes text"]),
        ("a,b\n", ["no rows"]),
        ("a;b\nrain;1\n", ["looks ';'-separated"]),
        ("a,\nrain,x\n", ["column 2 has no name"]),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, text, words):
    said = refused(tmp_path, text)
    assert "bad.csv" in said and all(word in said for word in words), said


def test_columns_that_are_not_there_are_named(tmp_path):
    said = refused(tmp_path, "a,b\nrain,1\n", text=["c"])
    assert "'c'" in said and "'a', 'b'" in said


@pytest.mark.filterwarnings("ignore:.*left out")
def test_rows_that_cannot_be_read_are_left_out_and_listed(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("sky,n\nrain,1\nsun,x\n,3\nfog\nsnow,4\n")
    rejects = []
    frame = read_table(path, rejects=rejects)
    assert frame["sky"].tolist() == ["rain", "snow"] and frame["n"].tolist() == [1, 4]
    assert sorted((r.line, r.column, r.value) for r in rejects) == [
        (3, "n", "x"),
        (4, "sky", ""),
        (5, "", "fog"),
    ]


def test_the_row_numbers_of_pandas_are_dropped(tmp_path):
    path = tmp_path / "a.csv"
    pd.DataFrame({"sky": ["rain", "sun"]}).to_csv(path)
    with pytest.warns(UserWarning, match="only numbers the rows"):
        assert read_table(path).columns.tolist() == ["sky"]


def test_what_expands_is_capped(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"x,1\n" * 100_000))
    with pytest.raises(FormatError, match="max_bytes"):
        read_table(path, max_bytes=500_000)
    assert len(read_table(path)) == 100_000


def test_endings_and_text_that_cannot_be_written(tmp_path):
    frame = pd.DataFrame({"sky": ["rain"]})
    for name in ("a.npy", "a.npz", "a.xlsx", "a"):
        with pytest.raises(SaveError, match=r"\.csv"):
            write_table(tmp_path / name, frame)
        assert not (tmp_path / name).exists()


def test_without_a_library_of_dataframes_the_extra_is_named(table, core_only):
    with pytest.raises(MissingExtraError, match="tables"):
        read_table(table, missing=True)


# ---- dates ---------------------------------------------------------------------------------------


DAYS = (
    "day,seen,note,n\n"
    "2024-01-31,2024-01-31 18:30:00,2024-01-01,1\n"
    ",2024-02-01T00:00:01Z,soon,2\n"
    "2024-02-03,NA,,3\n"
)


def test_dates_are_read_where_they_are_asked_for_and_every_cell_is_one(tmp_path):
    path = tmp_path / "days.csv"
    path.write_text(DAYS)
    found = read_table(path, missing=True, dates=True)
    assert [str(kind)[:10] for kind in found.dtypes[:2]] == ["datetime64"] * 2
    assert found["day"].tolist() == [pd.Timestamp(2024, 1, 31), pd.NaT, pd.Timestamp(2024, 2, 3)]
    assert found["seen"][1] == pd.Timestamp(2024, 2, 1, 0, 0, 1)
    assert found["note"][0] == "2024-01-01" and found["n"].tolist() == [1, 2, 3]
    plain = read_table(path, missing=True)
    assert plain["day"][0] == "2024-01-31"
    kept = read_table(path, missing=True, dates=True, text=["day"])
    assert kept["day"][0] == "2024-01-31" and str(kept["seen"].dtype)[:10] == "datetime64"


@pytest.mark.parametrize("cell", ["31.1.2024", "2024-13-01", "2024-1-31", "20240131", "2024-02-30"])
def test_no_other_spelling_is_taken_for_a_date(tmp_path, cell):
    path = tmp_path / "days.csv"
    path.write_text(f"day,x\n2024-01-31,a\n{cell},b\n")
    if cell.isdigit():
        with pytest.raises(DataError, match="is text, and the column holds numbers, too"):
            read_table(path, dates=True)
    else:
        assert read_table(path, dates=True)["day"].tolist() == ["2024-01-31", cell]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_dates_come_back_from_what_was_written(tmp_path, library, ending):
    pytest.importorskip(library)
    pytest.importorskip("pyarrow")
    path, again = tmp_path / "days.csv", tmp_path / f"again.{ending}"
    path.write_text(DAYS)
    table = mixed.read_mixed(path, missing=True, dates=True)
    write_table(again, table.frame(library))
    found = mixed.read_mixed(again, missing=True, dates=True)
    assert found.names == table.names
    if ending == "csv":
        assert again.read_text().splitlines()[1].startswith("2024-01-31,2024-01-31T18:30:00,")
    for one, other in zip(found.columns[:2], table.columns[:2], strict=True):
        assert one.values.dtype == other.values.dtype == np.dtype("M8[us]")
        np.testing.assert_array_equal(one.values, other.values)
    if ending == "parquet":
        with pytest.raises(DataTypeError, match=r"column 'day' holds .*pass dates=True"):
            read_table(again, missing=True)


def test_dates_of_another_form_are_told_where_dates_are_asked_for(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("day,sent,n\n31.01.2024,1/31/2024,1\n01.02.2024,2/1/2024,2\n")
    with pytest.warns(
        AncestralWarning, match=r"'01\.02\.2024', stay text in 'day', 'sent'\. pandas"
    ):
        table = read_table(path, dates=True)
    assert table["day"].tolist() == ["31.01.2024", "01.02.2024"]
    read_table(path, dates=True, text=["day", "sent"])  # and no warning
    read_table(path)
