"""Which column of a table is the target, and which are the inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ancestral.errors import AncestralWarning, DataError
from ancestral.io import read_pairs
from tests.trust.files import put


@pytest.mark.parametrize(
    ("header", "asked", "target"),
    [
        ("a,b,c", "c", "c"),
        ("a,Target,c", None, "Target"),
        ("label,b,c", None, "label"),
        ("a,y,c", "a", "a"),
        ("response,y,label", "response", "response"),
    ],
)
def test_the_target_is_named_or_asked_for(
    tmp_path: Path, header: str, asked: str | None, target: str
) -> None:
    pairs = read_pairs(put(tmp_path, "a.csv", f"{header}\n1,2,3\n4,5,6\n"), asked)
    names = header.split(",")
    at = names.index(target)
    table = np.array([[1.0, 2, 3], [4, 5, 6]])
    assert (pairs.target, pairs.names) == (target, names[:at] + names[at + 1 :])
    np.testing.assert_array_equal(pairs.y, table[:, at])
    np.testing.assert_array_equal(pairs.X, np.delete(table, at, axis=1))


@pytest.mark.parametrize("header", ["a,b,price", "y,b,target", "price,customer_id,1st"])
def test_t5_a_target_that_is_not_clear_is_asked_for(tmp_path: Path, header: str) -> None:
    first, second, third = header.split(",")
    words = (
        rf"a\.csv: it is not clear which column is the target: it has {first}, {second}, {third}"
    )
    with pytest.raises(DataError, match=rf"{words}\. Say which one .*target='.*--target"):
        read_pairs(put(tmp_path, "a.csv", f"{header}\n1,2,3\n4,5,6\n"))


def test_of_two_columns_the_second_is_the_target_unless_the_first_is_named_so(
    tmp_path: Path,
) -> None:
    assert read_pairs(put(tmp_path, "a.csv", "size,price\n1,2\n3,4\n")).target == "price"
    assert read_pairs(put(tmp_path, "a.csv", "y,price\n1,2\n3,4\n")).target == "y"


def test_t5_the_index_of_a_frame_is_no_target(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"size": [1.0, 2, 4], "age": [3.0, 5, 4], "y": [1.0, 2, 2]})
    ids = pandas.Index([10**16 + 1, 10**16 + 3, 10**16 + 5], name="customer_id")
    frame.set_axis(ids).to_parquet(tmp_path / "a.parquet")
    with pytest.warns(AncestralWarning, match="left out 'customer_id'"):
        pairs = read_pairs(tmp_path / "a.parquet")
    assert (pairs.target, pairs.names) == ("y", ["size", "age"])
    frame.drop(columns="y").assign(z=1.0).set_axis(ids).to_parquet(tmp_path / "a.parquet")
    with pytest.warns(AncestralWarning), pytest.raises(DataError, match="it has size, age, z"):
        read_pairs(tmp_path / "a.parquet")


def test_t4_whole_numbers_that_float64_rounds_are_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    pytest.importorskip("pyarrow.parquet").write_table(
        pa.table({"id": [2**53 + 1, 2], "y": [1, 2]}), path
    )
    with pytest.raises(DataError, match=r"9007199254740993"):
        read_pairs(path)


def test_tables_without_a_target_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv: has 1 column; an input and a target"):
        read_pairs(put(tmp_path, "a.csv", "a\n1\n"))
    with pytest.raises(DataError, match=r"b\.csv: has no column 'z'; it has a, b"):
        read_pairs(put(tmp_path, "b.csv", "a,b\n1,2\n"), "z")
