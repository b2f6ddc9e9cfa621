"""What is written is read back; another ending is refused before anything is written."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from ancestral import Graph, read_array
from ancestral.errors import SaveError
from ancestral.io import read_columns, write_array, write_graphs

ROWS = np.random.default_rng(0).normal(size=(5, 3)) * 1e5


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.csv"])
@pytest.mark.parametrize("array", [ROWS, ROWS[:, 0], np.arange(6).reshape(3, 2), ROWS > 0])
def test_arrays_come_back_to_the_bit(tmp_path: Path, name: str, array: np.ndarray) -> None:
    path = write_array(tmp_path / name, array)
    read = read_array(path)
    wanted = array.reshape(len(array), -1) if name == "a.csv" else array
    np.testing.assert_array_equal(read, wanted)


def test_names_become_the_header(tmp_path: Path) -> None:
    names, values = read_columns(write_array(tmp_path / "a.csv", ROWS, ["a", "b", "c"]))
    assert names == ["a", "b", "c"]
    np.testing.assert_array_equal(values, ROWS)
    assert read_columns(write_array(tmp_path / "b.csv", ROWS))[0] == ["x0", "x1", "x2"]


def test_names_with_commas_and_quotes_come_back(tmp_path: Path) -> None:
    names = ["height, cm", 'the "weight"', "z"]
    read, values = read_columns(write_array(tmp_path / "a.csv", ROWS, names))
    assert read == names
    np.testing.assert_array_equal(values, ROWS)


def test_text_with_commas_comes_back_from_csv(tmp_path: Path) -> None:
    text = np.array([["x, y", 'say "z"'], ["two\nlines", ""]], dtype=object)
    with write_array(tmp_path / "a.csv", text, ["a", "b"]).open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], *text.tolist()]


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("dtype", [object, np.str_])
def test_text_is_refused_where_no_reader_takes_it(tmp_path: Path, name: str, dtype: type) -> None:
    with pytest.raises(SaveError, match=rf"{name}: .* got dtype .* End the name in \.csv"):
        write_array(tmp_path / name, np.array([["x", "y"]], dtype=dtype))
    assert not list(tmp_path.iterdir())


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match=r"a\.txt: end the name in \.npy, \.npz or \.csv"):
        write_array(tmp_path / "a.txt", ROWS)
    with pytest.raises(SaveError, match=r"g\.pkl: graphs are written as \.npz or \.graphml"):
        write_graphs(tmp_path / "g.pkl", [Graph(np.eye(2), np.zeros((2, 2)))])
    assert not list(tmp_path.iterdir())
