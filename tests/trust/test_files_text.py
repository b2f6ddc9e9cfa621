"""Text: commas, points and UTF-8, nothing guessed that could be guessed wrongly (A40 to A48).

Other dialects are options (tests/io/test_dialects.py); files of them, made at random, are refused
here without those, and under wrong ones right or refused.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from ancestral.errors import AncestralError, DataError
from ancestral.io import read_array, read_columns
from tests.trust.files import X, put, refuse
from tests.trust.guard import accepted, warned

BOTH = (read_array, read_columns)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a;b\n1,5;2\n3;4\n", r"looks ';'-separated \(sep=';', decimal=','\): save it comma"),
        ("1,5;2,5\n3,5;4,5\n", r"looks ';'-separated \(sep=';', decimal=','\)"),
        ("a;b\n1;2\n", r"looks ';'-separated \(sep=';'\)"),
        ("a\tb\n1\t2\n", "looks tab-separated"),
        ("a|b\n1|2\n", r"looks '\|'-separated"),
    ],
)
def test_a40_other_separators_and_decimal_commas(tmp_path: Path, text: str, words: str) -> None:
    refuse(put(tmp_path, "a.csv", text), words, "with a point for the decimals", readers=BOTH)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 cells, line 1 has 2"),
        ("a,b\n1,2\n\n3\n", "line 4 has 1 cell"),
        ('a\n"1\n', "line"),
    ],
)
def test_a41_ragged_lines(tmp_path: Path, text: str, words: str) -> None:
    refuse(put(tmp_path, "a.csv", text), words, readers=BOTH)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n3,four\n", "line 3, column 'b': 'four' is text, a number is wanted"),
        ("1,2\n3,four\n", "line 2, column 'x1': 'four' is text"),
        ("city\nx1\n", "line 2, column 'city': 'x1' is text"),
        ("a\n1_000\n", "line 2, column 'a': '1_000' is text"),
        ("a\n0x10\n", "line 2, column 'a': '0x10' is text"),
        ("a\n١\n", "line 2, column 'a': '١' is text"),
        ("a\n1j\n", "line 2, column 'a': '1j' is text"),
        ("a,b\n1,２\n", "line 2, column 'b': '２' is text"),
        ('a,b\n"1_0",2\n', "line 2, column 'a': '1_0' is text"),
        ("a\nTrue\n", "line 2, column 'a': 'True' is text"),
    ],
)
def test_a42_text_in_a_column_of_numbers(tmp_path: Path, text: str, words: str) -> None:
    refuse(put(tmp_path, "a.csv", text), words, readers=BOTH, kind=DataError)


def test_a43_two_columns_of_one_name(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "a,b,a\n1,2,3\n")
    refuse(path, "columns 1 and 3 are both named 'a': rename one", readers=BOTH)


def test_a44_a_header_and_no_rows(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "a,b\n")
    refuse(path, "a header line and no rows of numbers", readers=BOTH, kind=DataError)
    path = put(tmp_path, "a.csv", "a,2\n1,2\n")
    refuse(path, "line 1 mixes text", "give every column a name", readers=BOTH, kind=DataError)
    path = put(tmp_path, "a.csv", "a,,c\n1,2,3\n")
    refuse(path, "column 2 has no name in the header", readers=BOTH)


@pytest.mark.parametrize(
    ("text", "names", "values"),
    [
        ("1,2\n3,4", ["x0", "x1"], [[1, 2], [3, 4]]),
        ("0,1,2\n5,6,7\n", ["x0", "x1", "x2"], [[0, 1, 2], [5, 6, 7]]),
    ],
)
def test_a44_without_a_header_no_row_is_eaten(
    tmp_path: Path, text: str, names: list[str], values: list[list[float]]
) -> None:
    path = put(tmp_path, "a.csv", text)
    for read in BOTH:
        got = warned(lambda: read(path), r"a\.csv", "read as (data|a row of data)")  # noqa: B023
        if read is read_columns:
            assert got[0] == names
            got = got[1]
        np.testing.assert_array_equal(got, values)


@pytest.mark.parametrize(
    ("text", "names", "values"),
    [
        ("a,b\n1,2\n3,4\n", ["a", "b"], [[1, 2], [3, 4]]),
        ('"a, b", c \n -1.5e3 ,"+.5"\n\n2.,3\n', ["a, b", "c"], [[-1500, 0.5], [2, 3]]),
        ("5\n6\n", ["x0"], [[5], [6]]),
        ("\n\na\n5\n", ["a"], [[5]]),
        ("count\n5\n6\n", ["count"], [[5], [6]]),
    ],
)
def test_a44_headers_are_told_from_numbers(
    tmp_path: Path, text: str, names: list[str], values: list[list[float]]
) -> None:
    got_names, got = accepted(lambda: read_columns(put(tmp_path, "a.csv", text)))
    assert got_names == names
    np.testing.assert_array_equal(got, values)


def test_a45_byte_order_marks_and_line_ends_of_any_system(tmp_path: Path) -> None:
    for text in ("\ufeffa,b\n1,2\n", "a,b\r\n1,2\r\n", "a,b\r1,2\r", "\ufeffa,b\r\n1,2"):
        for path in (
            put(tmp_path, "a.csv", text),
            put(tmp_path, "a.csv.gz", gzip.compress(text.encode())),
        ):
            names, values = accepted(lambda: read_columns(path))  # noqa: B023
            assert names == ["a", "b"]
            np.testing.assert_array_equal(values, [[1, 2]])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n".encode("utf-16"), "is UTF-16 text: save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "NUL byte on line 1.*UTF-8"),
        (b"a,b\n1,\x002\n", "NUL byte on line 2.*UTF-8"),
        (b"a,b\n1,2\x1d\n", "control character 0x1d on line 2"),  # a space to numpy
        ("a,é\n1,2\n".encode("latin-1"), r"byte 0xe9 on line 1 is not UTF-8 \(latin-1\?\): save"),
        (b"a,b\n1,2\n\xff\n", "byte 0xff on line 3 is not UTF-8"),
    ],
    ids=["utf16", "utf16 without mark", "nul", "control", "latin-1", "no text"],
)
def test_a45_other_encodings(tmp_path: Path, content: bytes, words: str) -> None:
    refuse(put(tmp_path, "a.csv", content), words, readers=BOTH)


def test_a46_row_numbers_of_pandas_are_dropped_with_one_warning(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "a.csv"
    for columns, names in ((["a", "b", "c"], ["a", "b", "c"]), (None, ["0", "1", "2"])):
        pandas.DataFrame(X, columns=columns).to_csv(path)
        got, values = warned(lambda: read_columns(path), r"a\.csv", "dropped column ''")
        assert got == names
        np.testing.assert_array_equal(values, X)
    path = put(tmp_path, "a.csv", "Unnamed: 0,a\n0,5\n1,6\n")
    read = warned(lambda: read_array(path), "dropped column 'Unnamed: 0'", "index=False")
    np.testing.assert_array_equal(read, [[5], [6]])
    path = put(tmp_path, "a.csv", "i,a\n0,5\n1,6\n")
    np.testing.assert_array_equal(accepted(lambda: read_array(path)), [[0, 5], [1, 6]])


def test_a47_widths_are_never_guessed(tmp_path: Path) -> None:
    """The first lines of the Boston housing data, in which the widest numbers touch."""
    lines = (
        " 0.00632  18.00   2.310  0  0.5380  6.5750  65.20  4.0900   1  296.0  15.30 396.90   4.98",
        " 0.02731   0.00   7.070  0  0.4690  6.4210  78.90  4.9671   2  242.0  17.80 396.90   9.14",
        "13.52220   0.00  18.100  0  0.6310  3.8630 100.00  1.5106  24  666.0  20.20 131.42  13.33",
    )
    for name in ("housing.csv", "housing.txt", "housing"):
        path = put(tmp_path, name, "\n".join(lines) + "\n")
        refuse(path, "separated by spaces, or of fixed width, which is never guessed", readers=BOTH)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\n1e400\n", "line 2, column 'a': '1e400' is too large for a float64: rescale"),
        ("a\n-1e400\n", "line 2, column 'a': '-1e400' is too large"),
        ('a\n"1,000"\n', r"line 2, column 'a': '1,000' is text.*\(write 1000\.5, without"),
        ("a\n9007199254740993\n", r"line 2, column 'a': 9007199254740993 is beyond 2\*\*53"),
        ("a\n-9007199254740993.0\n", r"'a': -9007199254740993.0 is beyond 2\*\*53"),
        ("a\n" + "9" * 5000 + "\n", "line 2, column 'a': 9{40} is beyond"),
        ("a\n-inf\n", "line 2, column 'a': '-inf' is infinite.*drop or clip it"),
        ("a,b\n1,NA\n", "line 2, column 'b': missing value 'NA'.*missing=True"),
        ("a,b\n1,\n", "line 2, column 'b': empty cell.*missing=True"),
        ("a,b\n1,nan\n", "line 2, column 'b': missing value 'nan'.*missing=True"),
    ],
)
def test_a48_no_finite_number(tmp_path: Path, text: str, words: str) -> None:
    refuse(put(tmp_path, "a.csv", text), words, readers=BOTH, kind=DataError)


@pytest.mark.parametrize("quote", ["", '"'])
def test_cells_deep_in_a_file_are_read_alike_and_placed(tmp_path: Path, quote: str) -> None:
    """The file takes several blocks; what is odd in one changes no other, nor the numbering."""
    values = np.random.default_rng(0).normal(size=(20_000, 7))
    lines = [",".join(f"{quote}{v!r}{quote}" for v in row) for row in values.tolist()]
    lines[5_000] += "\n"  # a blank line more
    head = "\n".join(["a,b,c,d,e,f,g", *lines[:19_000]])
    tail = "\n".join(lines[19_000:])
    path = put(tmp_path, "a.csv", f"{head}\n{tail}\n")
    np.testing.assert_array_equal(accepted(lambda: read_array(path)), values)
    for cell, words in (
        ("", "empty cell"),
        ("-nan", "'-nan' is text"),
        ("1_0", "'1_0' is text"),
        ("inf", "'inf' is infinite"),
        ('"1\n"', None),  # an end of line within quotes
    ):
        path = put(tmp_path, "a.csv", f"{head}\n1,2,3,{cell},5,6,7\n{tail}\n")
        if words is not None:
            refuse(path, f"line 19003, column 'd': {words}", readers=BOTH, kind=DataError)
        if words in ("empty cell", None):
            got = accepted(lambda: read_array(path, missing=True))  # noqa: B023
            row = [1, 2, 3, np.nan if words else 1, 5, 6, 7]
            np.testing.assert_array_equal(got, np.insert(values, 19_000, row, axis=0))
    path = put(tmp_path, "a.csv", f"{head}\n1,2\n{tail}\n")
    refuse(path, "line 19003 has 2 cells, line 1 has 7", readers=BOTH)
    path = put(tmp_path, "a.csv", f'{head}\n1,2,3,4,5,6,"7\n')
    refuse(path, r"line 19003: unexpected end of data; mend its quotes", readers=BOTH)


def test_a48_a_very_long_cell_takes_no_long_time(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "a\n" + "9" * 100_000 + "x\n")
    refuse(path, "line 2, column 'a': '9{40}' is text", readers=BOTH, kind=DataError)


def test_a48_missing_cells_are_nan_where_that_is_asked_for(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "a,b\n1,NA\n,4\n")
    read = accepted(lambda: read_array(path, missing=True))
    np.testing.assert_array_equal(read, [[1, np.nan], [np.nan, 4]])
    path = put(tmp_path, "a.csv", "a,b\n1,NA\n,inf\n")
    refuse(
        path,
        "line 3, column 'b': 'inf' is infinite",
        readers=lambda p: read_array(p, missing=True),
        kind=DataError,
    )


WRONG = {
    "sep": (",", ";", "\t", "|", " "),
    "decimal": (".", ","),
    "thousands": (None, ",", ".", "'", " ", "_"),
    "encoding": ("utf-8", "latin-1", "utf-16", "utf-16-be", "cp1252", "ascii"),
}


@pytest.mark.parametrize("seed", range(150))
def test_a_file_of_another_dialect_gives_its_numbers_or_none(tmp_path: Path, seed: int) -> None:
    """Written under some options, read under others: what is read is what was written."""
    rng = np.random.default_rng(seed)
    some = lambda: {k: v[rng.integers(len(v))] for k, v in WRONG.items()}  # noqa: E731
    made = some()
    while made["decimal"] == made["thousands"]:
        made = some()
    values = np.round(rng.normal(size=(9, 3)) * 10.0 ** rng.integers(0, 8, 3), 3)
    cells = [[f"{v:,.3f}" if made["thousands"] else f"{v:.3f}" for v in row] for row in values]
    swap = str.maketrans({",": made["thousands"] or "", ".": made["decimal"]})
    rows = [[cell.translate(swap) for cell in row] for row in cells]
    quote = '"' if rng.random() < 0.5 else ""
    shut = [[f'"{c}"' if quote or made["sep"] in c else c for c in row] for row in rows]
    lines = [made["sep"].join(row) for row in [["a", "b", "c"], *shut]]
    path = put(tmp_path, "a.csv", "\n".join(lines).encode(made["encoding"]))
    np.testing.assert_array_equal(read_array(path, **made), values)
    for asked in ({}, *(some() for _ in range(6)), *({**made, k: v} for k, v in some().items())):
        try:
            got = read_array(path, **asked)
        except AncestralError:
            continue
        np.testing.assert_array_equal(got, values)
