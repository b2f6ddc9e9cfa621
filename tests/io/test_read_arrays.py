"""Arrays and tables of numbers that are well; what is not stands in tests/trust."""

import gzip
import pickle
import sys

import numpy as np
import pytest

from ancestral.errors import DataError, FormatError, MissingExtraError
from ancestral.io import read_array, read_columns
from tests.io import hostile_files as hostile
from tests.trust.files import X, put


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


def test_nan_and_infinity(tmp_path):
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


@pytest.mark.filterwarnings("ignore:.*has no header line")
def test_both_ways_of_parsing_agree(tmp_path):
    values = np.random.default_rng(0).standard_normal((50, 4)) * 1e10
    text = "\n".join(",".join(map(repr, row)) for row in values.tolist())
    fast = read_array(put(tmp_path, "a.csv", text))
    slow = read_array(put(tmp_path, "a.csv", text + "\n,,,"), missing=True)[:-1]
    np.testing.assert_array_equal(fast, values)
    np.testing.assert_array_equal(slow, values)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r'pip install "ancestral\[tables\]"'):
        read_array(put(tmp_path, "a.parquet", b"PAR1" + bytes(50) + b"PAR1"))


def test_the_course_faces(course):
    faces = read_array(course / "eigenfaces.npy")
    assert faces.shape == (400, 576) and faces.dtype.kind == "f"


def test_a_pickle_of_one_array_may_be_wrapped(tmp_path):
    for value, key in (([X], None), ((X,), None), ({"a": X}, None), ({"a": X, "b": [1]}, "a")):
        np.testing.assert_array_equal(
            read_array(put(tmp_path, "a.pkl", pickle.dumps(value)), key=key), X
        )


@pytest.mark.parametrize(
    ("value", "key", "words"),
    [
        (X, "a", "holds no dict, so key='a' means nothing here"),
        ({"a": X, "b": X}, None, r"holds 2 arrays \(a, b\); say which: key='a'"),
        ([X, X], None, "holds a list of 2 ndarrays, not one array.*read_tables.*read_graphs"),
        ((), None, "holds a tuple of 0 things, not one array"),
        ("text", None, "holds a str, not one array"),
        ([[1.5]], None, "holds a list of 1 floats, not one array.*np.save"),
    ],
)
def test_a_pickle_of_something_else_is_named(tmp_path, value, key, words):
    path = put(tmp_path, "a.pkl", pickle.dumps(value))
    with pytest.raises((DataError, FormatError), match=words):
        read_array(path, key=key)


def test_tables_without_columns_or_rows_are_named(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    for table, words in (
        (pa.table({"a": pa.array([], pa.float64())}), "columns and no rows"),
        (pa.table({}), "no columns"),
        (pa.table([[1.0], [2.0]], names=["a", "a"]), "two columns are named 'a': rename one"),
    ):
        pq.write_table(table, tmp_path / "a.parquet")
        with pytest.raises((DataError, FormatError), match=words):
            read_array(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="only blank lines"):
        read_array(put(tmp_path, "a.csv", "\n \n"))
    with pytest.raises(FormatError, match="the gzip holds nothing"):
        read_array(put(tmp_path, "a.csv.gz", gzip.compress(b"")))


def test_an_archive_of_very_many_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ancestral.io.npy._MAX_MEMBERS", 1)
    np.savez(tmp_path / "a.npz", a=X, b=X)
    with pytest.raises(FormatError, match="2 members; at most 1 are read"):
        read_array(tmp_path / "a.npz", key="a")
