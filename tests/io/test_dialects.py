"""Text that other programs spell otherwise: separators, marks within numbers, encodings."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from ancestral.errors import AncestralError, AncestralWarning, DataError, FormatError
from ancestral.io import read_array, read_columns, read_edge_list, read_pairs, read_table
from ancestral.io.dialect import Dialect
from ancestral.io.numbers import is_plain
from tests.trust.files import put
from tests.trust.guard import accepted

SEPS = (",", ";", "\t", "|", " ")
DECIMALS = (".", ",", "\u066b")
THOUSANDS = (None, ",", ".", "'", " ", "_")
VALUES = np.random.default_rng(0).normal(size=(300, 3)) * [1.0, 1e4, 1e9]
VALUES[::7] = np.rint(VALUES[::7])
WRITTEN = np.array([[float(f"{v:.6f}") for v in row] for row in VALUES.tolist()])


def spelt(value: float, decimal: str, thousands: str | None) -> str:
    """Return a number as a program of some country writes it."""
    text = f"{value:{',' if thousands else ''}.6f}".replace(",", "T").replace(".", decimal)
    return text.replace("T", thousands or "")


def written(sep: str, decimal: str, thousands: str | None, *, quoted: bool) -> str:
    """Return a table in which each cell stands in quotes, or those that must."""
    lines = [sep.join("abc")]
    for row in VALUES.tolist():
        cells = [spelt(v, decimal, thousands) for v in row]
        lines.append(sep.join(f'"{c}"' if quoted or sep in c else c for c in cells))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("sep", SEPS)
def test_every_dialect_that_is_clear_reads_the_same_numbers(
    tmp_path: Path, sep: str, quoted: bool
) -> None:
    for decimal, thousands in itertools.product(DECIMALS, THOUSANDS):
        if decimal == thousands:
            with pytest.raises(DataError, match="are one mark, and no number would be clear"):
                Dialect(sep, decimal, thousands)
            continue
        path = put(tmp_path, "a.csv", written(sep, decimal, thousands, quoted=quoted))
        names, got = read_columns(path, sep=sep, decimal=decimal, thousands=thousands)
        assert names == ["a", "b", "c"]
        np.testing.assert_array_equal(got, WRITTEN)


@pytest.mark.parametrize("sep", SEPS)
def test_without_its_options_a_dialect_is_right_or_refused(tmp_path: Path, sep: str) -> None:
    """Each file is read under each choice of options: never is a number another."""
    spellings = [(d, t) for d, t in itertools.product(DECIMALS, THOUSANDS) if d != t]
    for (decimal, thousands), asked in itertools.product(spellings, spellings):
        path = put(tmp_path, "a.csv", written(sep, decimal, thousands, quoted=False))
        try:
            got = read_array(path, sep=sep, decimal=asked[0], thousands=asked[1])
        except AncestralError:
            continue
        np.testing.assert_array_equal(got, WRITTEN)


@pytest.mark.parametrize("cell", ["1,234", "-1,234", "1,234,567", "12,5", "1.234,5", "1'234"])
def test_an_ambiguous_number_is_never_read_in_silence(tmp_path: Path, cell: str) -> None:
    for text, sep in ((f'a,b\n1,"{cell}"\n', ","), (f"a;b\n1;{cell}\n", ";")):
        path = put(tmp_path, "a.csv", text)
        with pytest.raises(DataError, match=r"line 2, column 'b'.*pass what reads it: .* with "):
            read_array(path, sep=sep)
    path = put(tmp_path, "a.csv", f'"{cell}","{cell}"\n3,4\n')  # no names, though no numbers
    with pytest.raises(DataError, match=r"line 1 holds .*, which may be a number"):
        read_array(path)


def test_both_readings_of_an_ambiguous_number_are_named(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", 'a\n"1,234"\n')
    with pytest.raises(DataError, match=r"1\.234 with decimal=',', 1234 with thousands=','"):
        read_array(path)
    assert read_array(path, decimal=",") == [[1.234]]
    assert read_array(path, thousands=",") == [[1234.0]]


@pytest.mark.parametrize(
    "cell", ["1,23", "12,3456", "0,123", ",123", "1,,234", "1,234,5", "1234,567", "1,234,", "1,2_3"]
)
def test_thousands_stand_between_groups_of_three(tmp_path: Path, cell: str) -> None:
    path = put(tmp_path, "a.csv", f'a\n"{cell}"\n')
    with pytest.raises(DataError, match="line 2, column 'a'"):
        read_array(path, thousands=",")


def test_a_point_is_no_decimal_mark_where_a_comma_is(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "a;b\n1,5;2\n1.234;3\n")
    with pytest.raises(DataError, match=r"line 3, column 'a': '1\.234' is text"):
        read_array(path, sep=";", decimal=",")
    np.testing.assert_array_equal(
        read_array(path, sep=";", decimal=",", thousands="."), [[1.5, 2], [1234, 3]]
    )


def test_rules_of_numbers_hold_in_every_dialect(tmp_path: Path) -> None:
    for cell, words in (
        ("9.007.199.254.740.993", "beyond 2\\*\\*53"),
        ("1e400", "too large for a float64"),
        ("inf", "is infinite"),
        ("\uff11", "is text"),
        ("1_000", "is text"),
    ):
        path = put(tmp_path, "a.csv", f"a;b\n1,5;{cell}\n")
        with pytest.raises(DataError, match=words):
            read_array(path, sep=";", decimal=",", thousands=".")
    path = put(tmp_path, "a.csv", "a;b\n1,5;NA\n;2\n")
    got = read_array(path, sep=";", decimal=",", missing=True)
    np.testing.assert_array_equal(got, [[1.5, np.nan], [np.nan, 2]])


def test_blanks_of_every_width_stand_between_thousands(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "a\n1 234\n1\u00a0234\n1\u202f234 567,5\n")
    got = read_array(path, sep=";", thousands=" ", decimal=",")
    np.testing.assert_array_equal(got, [[1234], [1234], [1234567.5]])


ENCODINGS = ("latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "shift_jis")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a"])
def test_other_encodings_are_refused_unless_named(tmp_path: Path, encoding: str, name: str) -> None:
    word = "größe" if encoding != "shift_jis" else "大きさ"
    path = put(tmp_path, name, f"{word},b\n1,2\n3,4\n".encode(encoding))
    with pytest.raises(FormatError, match=r"encoding=|looks like (binary|UTF-16)"):
        read_columns(path)
    names, got = read_columns(path, encoding=encoding)
    assert names == [word, "b"]
    np.testing.assert_array_equal(got, [[1, 2], [3, 4]])


@pytest.mark.parametrize("encoding", [*ENCODINGS, "utf-7", "cp037", "idna", "punycode"])
def test_a_wrong_encoding_reads_no_other_number(tmp_path: Path, encoding: str) -> None:
    for other in (*ENCODINGS, "ascii", "utf-8", "utf-7", "utf-8-sig", "cp037"):
        path = put(tmp_path, "a.csv", "größe,b\n1,2\n3,4\n".encode(other, "ignore"))
        try:
            got = read_array(path, encoding=encoding)
        except AncestralError:
            continue
        np.testing.assert_array_equal(got, [[1, 2], [3, 4]])


def test_a_byte_order_mark_and_an_encoding_must_agree(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "\ufeffa,b\n1,2\n")
    with pytest.raises(FormatError, match=r"is UTF-8 text, and not iso8859-1.*encoding='utf-8'"):
        read_array(path, encoding="latin-1")
    for encoding in ("utf-8", "utf-8-sig", "UTF8"):
        assert read_columns(path, encoding=encoding)[0] == ["a", "b"]
    path = put(tmp_path, "a.csv", "a,b\n1,2\n".encode("utf-16"))
    with pytest.raises(FormatError, match="is UTF-16 text, and not cp1252"):
        read_array(path, encoding="cp1252")


def test_what_is_not_in_its_encoding_is_placed(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", b"a,b\n1,2\n3,\xff\n")
    with pytest.raises(FormatError, match="is not ascii on line 3, at byte 10"):
        read_array(path, encoding="ascii")


def test_text_of_windows_is_told_from_latin_1(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "name,b\nO\u2019Brien,1\n\u20ac,2\n".encode("cp1252"))
    with pytest.raises(FormatError, match=r"0x92 on line 2 .*\(cp1252\?\).*encoding='cp1252'"):
        read_table(path)
    with pytest.raises(FormatError, match=r"0x92 on line 2 .*control code: pass encoding='cp1252'"):
        read_table(path, encoding="latin-1")
    assert read_table(path, encoding="cp1252")["name"].tolist() == ["O\u2019Brien", "\u20ac"]
    path = put(tmp_path, "a.csv", "gr\u00f6\u00dfe,b\n1,2\n".encode("latin-1"))
    with pytest.raises(FormatError, match=r"\(latin-1\?\).*encoding='latin-1', or the encoding"):
        read_table(path)
    path = put(tmp_path, "a.csv", b"a,b\nx\x81,2\n")
    with pytest.raises(FormatError, match=r"0x81 on line 2 .*pass the encoding that it was saved"):
        read_table(path, encoding="latin-1")


def test_one_error_names_all_options_that_a_file_needs(tmp_path: Path) -> None:
    text = "stra\u00dfe;miete\nA;1.234,50\nB;980,00\n"
    path = put(tmp_path, "a.csv", text.encode("cp1252"))
    wanted = r"encoding='latin-1', sep=';', decimal=',', thousands='\.', or"
    with pytest.raises(FormatError, match=wanted):
        read_table(path)
    got = read_table(path, encoding="latin-1", sep=";", decimal=",", thousands=".")
    assert got["miete"].tolist() == [1234.5, 980.0]


@pytest.mark.parametrize("word", ["", ";word"])
def test_points_that_may_stand_between_thousands_are_told(tmp_path: Path, word: str) -> None:
    """Alone among whole numbers, and with text: never is a number a thousandth in silence."""
    name = word and ";w"
    path = put(tmp_path, "a.csv", f"x;y{name}\n1;12.345{word}\n2;678{word}\n3;5.120{word}\n")
    read = read_columns if not word else read_table
    wanted = r"column 'y': '12\.345' was read as 12\.345\..*If 12345 is meant, pass thousands='\.'"
    with pytest.warns(AncestralWarning, match=wanted) as caught:
        read(path, sep=";")
    assert len(caught) == 1
    got = read_table(path, sep=";", decimal=",", thousands=".")["y"]
    assert got.tolist() == [12345, 678, 5120]  # and no warning
    with pytest.raises(DataError, match=r"'12\.345'.*12345 with decimal=',' and thousands='\.'"):
        read_table(path, sep=";", decimal=",")


def test_points_of_decimals_are_not_told(tmp_path: Path) -> None:
    for text in (
        "x;y\n1;12.345\n2;0.678\n",
        "x;y\n1.5;12.345\n2;5.120\n",
        'x;y\n1;"1.25"\n2;1.234\n',
    ):
        read_columns(put(tmp_path, "a.csv", text), sep=";")
    read_columns(put(tmp_path, "a.csv", "x,y\n1,12.345\n2,5.120\n"))
    read_table(put(tmp_path, "a.csv", "x;y\n1;12.345\n2;b\n"), sep=";", text=["y"])


def test_a_column_of_thousands_alone_is_no_text(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "x;y\n1,5;1.234\n2;5.120\n")
    with pytest.raises(DataError, match=r"'1\.234' may be a number .*thousands='\.'"):
        read_table(path, sep=";", decimal=",")
    got = read_table(path, sep=";", decimal=",", thousands=".")
    assert got["y"].tolist() == [1234, 5120]


BAD_OPTIONS = [
    {"sep": ""},
    {"sep": ",,"},
    {"sep": "\n"},
    {"sep": "\0"},
    {"sep": '"'},
    {"sep": "1"},
    {"sep": "a"},
    {"sep": None},
    {"sep": 3},
    {"decimal": "-"},
    {"decimal": None},
    {"decimal": " "},
    {"decimal": ".."},
    {"thousands": ""},
    {"thousands": "5"},
    {"thousands": "."},
    {"thousands": ",", "decimal": ","},
    {"thousands": b","},
    {"encoding": "klingon"},
    {"encoding": "rot13"},
    {"encoding": "hex"},
    {"encoding": None},
    {"encoding": 8},
    {"encoding": "a\0b"},
    {"encoding": "\ud800"},
    {"encoding": "undefined"},
]


@pytest.mark.parametrize("options", BAD_OPTIONS, ids=str)
def test_options_that_are_none_are_refused(tmp_path: Path, options: dict) -> None:
    path = put(tmp_path, "a.csv", "a,y\n1,2\n3,5\n")
    for read in (read_array, read_columns, read_pairs):
        with pytest.raises(DataError, match=next(iter(options))):
            read(path, **options)
    if options in ({"sep": None}, {"decimal": None}):
        return  # of links: whichever the first lines have
    with pytest.raises(DataError, match=next(iter(options))):
        read_edge_list(path, path, **options)


def test_options_of_text_are_refused_where_there_is_none(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(2))
    np.savez(tmp_path / "a.npz", np.eye(2))
    paths = [tmp_path / "a.npy", tmp_path / "a.npz", tmp_path]
    for path in paths:
        for options in ({"sep": ";"}, {"encoding": "latin-1"}, {"rejects": []}):
            with pytest.raises(FormatError, match=f"{next(iter(options))}=.*means nothing here"):
                read_array(path, **options)
    pa = pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    pytest.importorskip("pyarrow.parquet").write_table(pa.table({"a": [1.0]}), path)
    for options in ({"decimal": ","}, {"thousands": ","}, {"rejects": tmp_path / "r.csv"}):
        with pytest.raises(FormatError, match=r"is a Parquet table, and .* is of text alone"):
            read_columns(path, **options)
    assert not (tmp_path / "r.csv").exists()


def test_another_separator_than_asked_for_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "a,b\n1,2\n3,4\n")
    with pytest.raises(FormatError, match="looks ','-separated"):
        read_array(path, sep=";")
    path = put(tmp_path, "a.csv", "a;b,c\n1;2\n")  # a name may hold any mark
    assert read_columns(path, sep=";")[0] == ["a", "b,c"]


def test_empty_cells_between_tabs_are_a_row(tmp_path: Path) -> None:
    path = put(tmp_path, "a.tsv", "a\tb\n1\t2\n\t\n\n3\t4\n")
    got = read_array(path, sep="\t", missing=True)
    np.testing.assert_array_equal(got, [[1, 2], [np.nan, np.nan], [3, 4]])


def test_pandas_writes_a_gap_in_one_column_as_quotes(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "a.csv"
    pandas.DataFrame({"a": [1.0, np.nan, 3.0]}).to_csv(path, index=False)
    np.testing.assert_array_equal(read_array(path, missing=True), [[1], [np.nan], [3]])
    with pytest.raises(DataError, match="line 3, column 'a': empty cell"):
        read_array(path)


def test_what_pandas_writes_under_an_option_is_read_under_it(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "a.csv"
    frame = pandas.DataFrame(VALUES, columns=["a", "b", "é"])
    for options in (
        {"sep": ";", "decimal": ","},
        {"sep": "\t", "encoding": "utf-16"},
        {"decimal": ",", "encoding": "latin-1"},
        {"sep": "|", "encoding": "cp1252"},
    ):
        frame.to_csv(path, index=False, **options)
        names, got = accepted(lambda: read_columns(path, **options))  # noqa: B023
        assert names == list(frame.columns)
        np.testing.assert_array_equal(got, VALUES)


def test_a_target_is_read_under_the_options(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "x;y\n1,5;1.000\n2,5;2.000\n")
    pairs = read_pairs(path, sep=";", decimal=",", thousands=".")
    assert (pairs.X.tolist(), pairs.y.tolist()) == ([[1.5], [2.5]], [1000, 2000])


def test_a_quote_without_its_end_is_found_within_its_bound(tmp_path: Path) -> None:
    body = "1,2\n" * 400_000
    path = put(tmp_path, "a.csv", f'a,b\n1,"2\n{body}')
    with pytest.raises(FormatError, match="mend its quotes"):
        accepted(lambda: read_array(path), memory=None)


@pytest.mark.parametrize("decimal", [".", ",", "\u066b"])
@pytest.mark.parametrize("thousands", [None, ",", ".", "'", " ", "_", "]", "^", "\\"])
def test_lines_at_once_and_cells_one_by_one_are_one_rule(
    decimal: str, thousands: str | None
) -> None:
    """What is a number in a line of plain numbers is the same number in its cell."""
    if decimal == thousands:
        return
    rng = np.random.default_rng(0)
    dialect = Dialect(";", decimal, thousands)
    letters = list("0011234567" + decimal * 2 + (thousands or "") * 4 + "eE+- .,\u00a0")
    both = 0
    for _ in range(4_000):
        cell = "".join(rng.choice(letters, rng.integers(1, 12)))
        plain, spelt = dialect.plain_lines(cell), dialect.spelt(cell)
        if plain is not None and is_plain(plain):
            assert spelt is not None and float(spelt) == float(plain), cell
            both += 1
    assert both > 100
