"""Arrays and tables of numbers, whole, broken and mislabelled (A1 to A3, A17 to A50, A55, A56)."""

import contextlib
import gzip
import os
import pickle
import struct
import sys
import warnings

import numpy as np
import pytest

from ancestral.errors import (
    AncestralError,
    AncestralWarning,
    DataError,
    DataTypeError,
    FormatError,
    MissingExtraError,
)
from ancestral.io import read_array, read_columns, read_graphs, read_tables
from tests.io import hostile_files as hostile

X = np.arange(12.0).reshape(4, 3) / 7


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# -- what is well is read as it is ---------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["<f8", ">f8", "<f4", ">f4", "<f2", "<i8", ">i4", "|i1", "|u1", "<u8", "|b1"]
)
@pytest.mark.parametrize("order", "CF")
def test_A29_A30_A33_any_numeric_dtype_and_order(tmp_path, dtype, order):
    array = np.array(np.arange(12).reshape(3, 4), dtype=dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", array)
    np.savez_compressed(tmp_path / "c.npz", array)
    put(tmp_path, "a.pkl", pickle.dumps(array))
    put(tmp_path, "a.pkl.gz", gzip.compress(pickle.dumps({"it": array})))
    put(tmp_path, "a.npy.gz", gzip.compress((tmp_path / "a.npy").read_bytes()))
    for name in ("a.npy", "a.npz", "c.npz", "a.pkl", "a.pkl.gz", "a.npy.gz"):
        read = read_array(tmp_path / name)
        assert read.dtype == array.dtype.newbyteorder("=") and read.flags.writeable
        np.testing.assert_array_equal(read, array)


def test_csv_and_parquet_are_read_with_names(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(X, columns=["a", "b b", "é"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.csv.gz", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.csv.gz", "t.parquet"):
        names, values = read_columns(tmp_path / name)
        assert names == ["a", "b b", "é"]
        np.testing.assert_array_equal(values, X)
        np.testing.assert_array_equal(read_array(tmp_path / name), X)


def test_A56_names_with_spaces_unicode_dash_and_255_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a b.npy", "é漢.npy", "-x.npy", "x" * 251 + ".npy", "no_extension"):
        (tmp_path / name).write_bytes(hostile.npy_bytes(X))
        np.testing.assert_array_equal(read_array(name), X)


# -- files as a whole ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a.npy", "a.npz", "a.pkl", "a.pkl.gz", "a.csv", "a.graphml", "a.parquet"]
)
def test_A1_zero_bytes(tmp_path, name):
    path = put(tmp_path, name, b"")
    for read in (read_array, read_columns, read_tables, read_graphs):
        with pytest.raises(FormatError, match=r"file is empty \(0 bytes\)"):
            read(path)


def test_A2_A3_cut_in_half(tmp_path):
    content = hostile.npy_bytes(np.zeros((2000, 10)))
    path = put(tmp_path, "a.npy", content[: len(content) // 2])
    with pytest.raises(FormatError, match=r"promises 2000x10 float64 = 160,000 bytes, file has"):
        read_array(path)
    np.savez(tmp_path / "b.npz", X)
    content = (tmp_path / "b.npz").read_bytes()
    with pytest.raises(FormatError, match="cut short"):
        read_array(put(tmp_path, "a.npz", content[: len(content) // 2]))


def test_A55_not_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for path, words in (
        (tmp_path, "directory"),
        (tmp_path / "pipe", "pipe"),
        ("/dev/zero", "device"),
        (tmp_path / "link", "does not exist"),
        (tmp_path / "none.npy", "no such file"),
        ("a\0b", "not a possible path"),
        ("x" * 5000, "cannot be opened"),
    ):
        for read in (read_array, read_columns, read_tables, read_graphs):
            with pytest.raises(FormatError, match=words):
                read(path)
    for path in (3, None, b"bytes"):
        with pytest.raises(DataTypeError, match="path must be"):
            read_array(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.npy", b"1,2\n3,4\n", "plain text"),
        ("a.csv", hostile.npy_bytes(X), "NumPy array"),
        ("a.npy", b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG"),
        ("a.pkl", b"a,b\n1,2\n", "plain text"),
        ("a.csv", b"PK\x03\x04" + bytes(50), "zip archive"),
        ("a.npz", pickle.dumps([1]), "pickle"),
        ("a", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("a.csv", b"<!DOCTYPE html><html>", "HTML"),
        ("a.npy", bytes(range(200)), "unknown kind"),
        ("a.npy", struct.pack("<Q", 40) + b'{"a":1}', "ancestral.load"),
    ],
)
def test_A39_another_kind_than_the_name_says(tmp_path, name, content, words):
    with pytest.raises(FormatError, match=words):
        read_array(put(tmp_path, name, content))


# -- .npy and .npz -------------------------------------------------------------------------------


def test_A17_A34_dtypes_that_are_no_real_numbers(tmp_path):
    for array, word in (
        (np.array([{}, 1], object), "object dtype"),
        (np.ones(2, complex), "complex"),
        (np.array(["1.5"]), "text"),
        (np.array([b"1"]), "text"),
        (np.zeros(2, "M8[s]"), "dates"),
        (np.zeros(2, [("a", "f8")]), "structured"),
        (np.ones(2, np.longdouble), "long doubles"),
    ):
        np.savez(tmp_path / "a.npz", array)
        for path in (put(tmp_path, "a.npy", hostile.npy_bytes(array)), tmp_path / "a.npz"):
            with pytest.raises(DataTypeError, match=word):
                read_array(path)


HEADERS = {
    "A18_huge": b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000)}",
    "A19_negative": b"{'descr': '<f8', 'fortran_order': False, 'shape': (-3,)}",
    "A19_list": b"['descr']",
    "A19_ascii": b"{'descr': '<f8', 'fortran_order': False, 'shape': (3,), '\xe9': 1}",
    "A19_code": b"{'descr': '<f8', 'fortran_order': False, 'shape': (__import__('os'),)}",
    "A19_bool": b"{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}",
    "A19_float": b"{'descr': '<f8', 'fortran_order': False, 'shape': (8.0,)}",
    "A19_extra": b"{'descr': '<f8', 'fortran_order': False, 'shape': (8,), 'x': 1}",
    "A19_order": b"{'descr': '<f8', 'fortran_order': 1, 'shape': (8,)}",
    "A19_dtype": b"{'descr': '<f8,<f8', 'fortran_order': False, 'shape': (4,)}",
    "A19_deep": b"(" * 5000,
    "A19_overflow": b"{'descr': '<f8', 'fortran_order': False, 'shape': (0, 4611686018427387904)}",
    "A19_long": b"{" + b" " * 20_000 + b"}",
}


@pytest.mark.parametrize("name", HEADERS)
def test_A18_A19_headers(tmp_path, name):
    content = hostile.npy_with_header(HEADERS[name])
    with pytest.raises(FormatError):
        read_array(put(tmp_path, "a.npy", content))
    with pytest.raises(FormatError):
        read_array(put(tmp_path, "a.npz", hostile.zip_bytes([("a.npy", content)])))


def test_A20_bomb_is_refused_before_it_expands(tmp_path):
    bomb = hostile.zip_bytes([("a.npy", hostile.npy_bytes(np.zeros(1 << 18)))])
    with pytest.raises(FormatError, match=r"expands to 2\.0 MiB > max_bytes 1\.0 MiB; pass max_b"):
        read_array(put(tmp_path, "a.npz", bomb), max_bytes=1 << 20)
    assert read_array(tmp_path / "a.npz").size == 1 << 18


def test_A20_bomb_that_lies_about_its_size(tmp_path):
    content = bytearray(hostile.zip_bytes([("a.npy", hostile.npy_bytes(np.zeros(1 << 18)))]))
    true = (8 * (1 << 18) + 128).to_bytes(4, "little")
    while (at := content.find(true)) >= 0:
        content[at : at + 4] = (192).to_bytes(4, "little")
    with pytest.raises(FormatError):
        read_array(put(tmp_path, "a.npz", bytes(content)))


def test_A23_to_A26_members(tmp_path):
    one = hostile.npy_bytes(X)
    for members, words in (
        ([("../../evil.npy", one)], "points out"),
        ([("/evil.npy", one)], "points out"),
        ([("c:\\evil.npy", one)], "points out"),
        ([("a.npy", one), ("a.npy", one)], "two members"),
        ([("a.npy", one), ("b.npy", one)], r"holds 2 arrays \(a, b\).*key='a'"),
        ([("[Content_Types].xml", b"<a/>")], "Office"),
        ([("x/data.pkl", b"")], "PyTorch"),
        ([("x.txt", b"")], "no array"),
        ([("a.npy", b"hello")], "NumPy"),
    ):
        path = put(tmp_path, "a.npz", hostile.zip_bytes(members))
        with pytest.raises(FormatError, match=words):
            read_array(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz"]
    with pytest.raises(DataError, match="no arrays"):
        read_array(put(tmp_path, "a.npz", hostile.zip_bytes([])))
    np.savez(tmp_path / "a.npz", one=X, two=X + 1)
    np.testing.assert_array_equal(read_array(tmp_path / "a.npz", key="two"), X + 1)
    with pytest.raises(FormatError, match="no array 'three'; it holds one, two"):
        read_array(tmp_path / "a.npz", key="three")
    with pytest.raises(FormatError, match="means nothing"):
        read_array(put(tmp_path, "a.npy", one), key="two")


def test_A27_any_bit_flipped_in_the_data_of_an_npz(tmp_path):
    np.savez(tmp_path / "a.npz", np.random.default_rng(0).random(50))
    whole = (tmp_path / "a.npz").read_bytes()
    for at in range(200, 500, 9):
        flipped = whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
        with pytest.raises(FormatError):
            read_array(put(tmp_path, "b.npz", flipped))


def test_A35_A37_single_numbers_and_nothing(tmp_path):
    for array, words in ((np.array(3.0), "single number"), (np.ones((0, 3)), "empty")):
        for content in (hostile.npy_bytes(array), pickle.dumps(array)):
            with pytest.raises(DataError, match=words):
                read_array(put(tmp_path, "a", content))


def test_B1_B2_nan_and_infinity(tmp_path):
    bad = X.copy()
    bad[3, 1] = np.nan
    path = put(tmp_path, "a.npy", hostile.npy_bytes(bad))
    with pytest.raises(DataError, match="NaN at row 3, column 1"):
        read_array(path)
    np.testing.assert_array_equal(read_array(path, missing=True), bad)
    bad[2, 0] = -np.inf
    path = put(tmp_path, "a.npy", hostile.npy_bytes(bad))
    with pytest.raises(DataError, match="-inf at row 2, column 0"):
        read_array(path, missing=True)


# -- text ----------------------------------------------------------------------------------------


def test_A44_a_file_without_a_header_loses_no_row_and_is_named(tmp_path):
    path = put(tmp_path, "a.csv", "1,2\n3,4")
    with pytest.warns(AncestralWarning, match=r"a\.csv: has no header"):
        names, values = read_columns(path)
    assert names == ["x0", "x1"]
    np.testing.assert_array_equal(values, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("text", "names", "values"),
    [
        ("a,b\n1,2\n3,4\n", ["a", "b"], [[1, 2], [3, 4]]),
        ("\ufeffa,b\r\n1,2\r\n", ["a", "b"], [[1, 2]]),
        ("a,b\r1,2\r", ["a", "b"], [[1, 2]]),
        ('"a, b", c \n -1.5e3 ,"+.5"\n\n2.,3\n', ["a, b", "c"], [[-1500, 0.5], [2, 3]]),
        ("5\n6\n", ["x0"], [[5], [6]]),
        ("\n\na\n5\n", ["a"], [[5]]),
        ("count\n5\n6\n", ["count"], [[5], [6]]),
        ("city\nx1\n", None, None),
    ],
)
def test_A44_A45_headers_and_line_ends(tmp_path, text, names, values):
    path = put(tmp_path, "a.csv", text)
    if names is None:  # text that opens like a pickle of protocol 0
        with pytest.raises(DataError, match="'x1' is text"):
            read_columns(path)
        return
    got_names, got = read_columns(path)
    assert got_names == names
    np.testing.assert_array_equal(got, np.array(values, float))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a;b\n1,5;2\n3;4\n", r"';'-separated \(sep=';', decimal=','\)"),  # A40
        ("1,5;2,5\n3,5;4,5\n", "';'-separated"),
        ("a\tb\n1\t2\n", "tab-separated"),
        ("0.00632  18.00 2.3\n0.02731   0.00 7.0\n", "fixed width"),  # A47
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 cells, line 1 has 2"),  # A41
        ("a,b\n1,2\n\n3\n", "line 4 has 1 cell"),
        ("a,b\n1,2\n3,four\n", "line 3, column 'b': 'four' is text"),  # A42
        ("1,2\n3,four\n", "line 2, column 'x1': 'four'"),
        ("a,b,a\n1,2,3\n", "columns 1 and 3 are both named 'a'"),  # A43
        ("a,b\n", "no rows"),  # A44
        ("a,2\n1,2\n", "mixes text"),
        ("a,,c\n1,2,3\n", "column 2 has no name"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),  # A45
        ("a,b\n1,2\n".encode("utf-16-le"), "NUL byte on line 1"),
        (b"a,b\n1,\x002\n", "NUL byte on line 2"),
        ("a,é\n1,2\n".encode("latin-1"), "line 1 is not UTF-8"),
        ("a\n1e400\n", "too large"),  # A48
        ('a\n"1,000"\n', "thousands"),
        ("a\n-inf\n", "infinite"),
        ("a,b\n1,NA\n", "missing value 'NA'.*missing=True"),
        ("a,b\n1,\n", "line 2, column 'b': empty cell"),
        ("a,b\n1,nan\n", "missing value 'nan'"),
        ("a\n1_000\n", "text"),
        ("a\n0x10\n", "text"),
        ("a\n١\n", "text"),
        ("a\n1j\n", "text"),
        ("a\nTrue\n", "text"),
        ('a\n"1\n', "line"),
        ("\n\n  \n", "blank"),
    ],
)
def test_A40_to_A48_text(tmp_path, content, words):
    path = put(tmp_path, "a.csv", content)
    for read in (read_array, read_columns):
        with pytest.raises(AncestralError, match=words):
            read(path)


def test_missing_cells_become_nan_on_request(tmp_path):
    path = put(tmp_path, "a.csv", "a,b\n1,NA\n,4\n")
    np.testing.assert_array_equal(read_array(path, missing=True), [[1, np.nan], [np.nan, 4]])
    with pytest.raises(DataError, match="inf"):
        read_array(put(tmp_path, "a.csv", "a,b\n1,NA\n,inf\n"), missing=True)


def test_A46_row_numbers_of_pandas_are_dropped_with_one_warning(tmp_path):
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "a.csv"
    for columns, names in ((["a", "b", "c"], ["a", "b", "c"]), (None, ["0", "1", "2"])):
        pandas.DataFrame(X, columns=columns).to_csv(path)
        with pytest.warns(AncestralWarning, match="dropped column ''") as caught:
            got, values = read_columns(path)
        assert len(caught) == 1 and got == names
        np.testing.assert_array_equal(values, X)
    with pytest.warns(AncestralWarning, match="dropped column 'Unnamed: 0'"):
        assert read_array(put(tmp_path, "a.csv", "Unnamed: 0,a\n0,5\n1,6\n")).shape == (2, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_array(put(tmp_path, "a.csv", "i,a\n0,5\n1,6\n")).shape == (2, 2)


def test_A44_a_first_row_that_counts_is_kept_and_said(tmp_path):
    with pytest.warns(AncestralWarning, match="read as a row of data"):
        assert len(read_array(put(tmp_path, "a.csv", "0,1,2\n5,6,7\n"))) == 2


@pytest.mark.filterwarnings("ignore:.*has no header line")
def test_both_ways_of_parsing_agree(tmp_path):
    values = np.random.default_rng(0).standard_normal((50, 4)) * 1e10
    text = "\n".join(",".join(map(repr, row)) for row in values.tolist())
    fast = read_array(put(tmp_path, "a.csv", text))
    slow = read_array(put(tmp_path, "a.csv", text + "\n,,,"), missing=True)[:-1]
    np.testing.assert_array_equal(fast, values)
    np.testing.assert_array_equal(slow, values)


# -- Parquet -------------------------------------------------------------------------------------


def test_A49_columns_that_are_no_plain_numbers(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    for column, words in (
        (pa.array([1.0, None]), "'bad' is null at row 1"),
        (pa.array([[1], [2]]), "'bad' holds list"),
        (pa.array([{"x": 1}, {"x": 2}]), "'bad' holds struct"),
        (pa.array(["u", "v"]).dictionary_encode(), "'bad' holds dictionary"),
        (pa.array(["u", "v"]), "'bad' holds string"),
        (pa.array([1, 2], pa.timestamp("s")), "'bad' holds timestamp"),
        (pa.array([1.0, float("nan")]), "NaN at row 1, column 1"),
    ):
        pq.write_table(pa.table({"good": [1.0, 2.0], "bad": column}), path)
        with pytest.raises(DataError, match=words):
            read_array(path)
    pq.write_table(pa.table({"a": pa.array([1, None]), "b": pa.array([True, False])}), path)
    np.testing.assert_array_equal(read_array(path, missing=True), [[1, 1], [np.nan, 0]])


def test_A50_false_and_cut_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    noise = np.random.default_rng(0).bytes(500)
    pq.write_table(pa.table({"a": np.arange(1000.0)}), tmp_path / "b.parquet")
    whole = (tmp_path / "b.parquet").read_bytes()
    for content in (b"PAR1" + noise + b"PAR1", b"PAR1", whole[:-20], whole[: len(whole) // 2]):
        with pytest.raises(FormatError, match="damaged Parquet"):
            read_array(put(tmp_path, "a.parquet", content))
    pq.write_table(pa.table({"a": np.zeros(1 << 17)}), tmp_path / "c.parquet")
    with pytest.raises(FormatError, match="max_bytes"):
        read_array(tmp_path / "c.parquet", max_bytes=1 << 10)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r'pip install "ancestral\[tables\]"'):
        read_array(put(tmp_path, "a.parquet", b"PAR1" + bytes(50) + b"PAR1"))


def test_random_changes_give_only_our_errors(tmp_path):
    """Whatever the bytes, a reader returns or raises AncestralError."""
    np.savez_compressed(tmp_path / "a.npz", features=np.eye(3), adjacency=np.zeros((3, 3)))
    files = {
        "a.npy": hostile.npy_bytes(X),
        "a.npz": (tmp_path / "a.npz").read_bytes(),
        "a.csv": b'a,b\n1,2\n3,4.5\n"7",8\n',
        "a.graphml": b'<graphml><graph><node id="a"/><node id="b"/></graph></graphml>',
    }
    rng = np.random.default_rng(0)
    for name, whole in files.items():
        for _ in range(200):
            changed = bytearray(whole)
            for at in rng.integers(0, len(whole), rng.integers(1, 5)):
                changed[at] = rng.integers(256)
            path = put(tmp_path, name, bytes(changed))
            for read in (read_array, read_columns, read_tables, read_graphs):
                with contextlib.suppress(AncestralError):
                    read(path)


def test_the_course_faces(course):
    faces = read_array(course / "eigenfaces.npy")
    assert faces.shape == (400, 576) and faces.dtype.kind == "f"
