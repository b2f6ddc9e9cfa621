"""Rows that cannot be read: left out only when asked, each of their cells reported."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from ancestral.errors import AncestralWarning, DataError, DataTypeError, FormatError, SaveError
from ancestral.io import read_array, read_columns, read_pairs
from ancestral.io import rejects as module
from tests.trust.files import put
from tests.trust.guard import accepted, warned

TEXT = "a,b\n1,2\n3,four\n5,6\n7\n,8\ninf,1_0\n9,10\n"
WANTED = [
    (3, "b", "four", "'four' is text, a number is wanted"),
    (5, "", "7", "1 cells where 2 are wanted"),
    (6, "a", "", "empty cell"),
    (7, "a", "inf", "'inf' is infinite and cannot be modelled: drop or clip it."),
    (7, "b", "1_0", "'1_0' is text, a number is wanted"),
]
KEPT = [[1, 2], [5, 6], [9, 10]]
SAID = "left out 4 rows, in which 5 cells could not be read: see "


def listed(path: Path) -> list[tuple]:
    """Return the rows of a report."""
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["line", "column", "value", "reason"]
    return [(int(line), *rest) for line, *rest in rows]


def test_each_cell_is_reported_in_a_file_or_a_list(tmp_path: Path) -> None:
    path, report = put(tmp_path, "a.csv", TEXT), tmp_path / "rejects.csv"
    got = warned(lambda: read_array(path, rejects=report), SAID + r".*rejects\.csv")
    np.testing.assert_array_equal(got, KEPT)
    assert listed(report) == WANTED
    found: list = []
    names, got = warned(lambda: read_columns(path, rejects=found), SAID + "the list of rejects")
    assert names == ["a", "b"] and found == WANTED
    assert (found[0].line, found[0].column, found[0].value) == (3, "b", "four")
    np.testing.assert_array_equal(got, KEPT)
    os.remove(report)
    with pytest.raises(DataError, match="line 3, column 'b'"):
        read_array(path)


def test_missing_cells_are_no_rejects_where_they_are_allowed(tmp_path: Path) -> None:
    found: list = []
    path = put(tmp_path, "a.csv.gz", gzip.compress(TEXT.encode()))
    with pytest.warns(AncestralWarning, match="left out 3 rows, in which 4 cells"):
        got = read_array(path, missing=True, rejects=found)
    assert found == [reject for reject in WANTED if reject[3] != "empty cell"]
    np.testing.assert_array_equal(got, [[1, 2], [5, 6], [np.nan, 8], [9, 10]])


def test_a_clean_file_has_an_empty_report_and_no_warning(tmp_path: Path) -> None:
    path, report = put(tmp_path, "a.csv", "a,b\n1,2\n"), put(tmp_path, "r.csv", "of yesterday")
    np.testing.assert_array_equal(accepted(lambda: read_array(path, rejects=report)), [[1, 2]])
    assert listed(report) == []


@pytest.mark.parametrize("seed", range(8))
def test_every_cell_is_read_or_reported(tmp_path: Path, seed: int) -> None:
    """Rows and rejects account for every line, wherever the odd cells stand."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(30_000, 4))
    cells = [[repr(v) for v in row] for row in values.tolist()]
    odd = ["x", "", "1_000", "inf", "1,5", "9" * 17, "1e999", "\u0661", "0x1", "-nan", " "]
    wanted, bad = [], set()
    for k in sorted(set(rng.integers(0, len(cells), 2_000).tolist())):
        for j in sorted(set(rng.integers(0, 4, rng.integers(1, 3)).tolist())):
            cells[k][j] = odd[rng.integers(len(odd))]
            wanted.append((k + 2, "abcd"[j], cells[k][j]))
            bad.add(k)
    text = "\n".join(";".join(row) for row in cells)
    path, report = put(tmp_path, "a.csv", f"a;b;c;d\n{text}\n"), tmp_path / "r.csv"
    with pytest.warns(AncestralWarning, match=f"left out {len(bad):,} rows"):
        got = read_array(path, sep=";", rejects=report)
    np.testing.assert_array_equal(got, np.delete(values, sorted(bad), axis=0))
    assert [row[:3] for row in listed(report)] == wanted


def test_lists_are_held_to_a_length_and_cells_to_a_width(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_LISTED", 3)
    found: list = []
    path = put(tmp_path, "a.csv", "a\n1\n" + "x\n" * 5 + "y" * 50_000 + "\n")
    with pytest.warns(AncestralWarning, match="left out 6 rows.*but for those after the first 3"):
        read_array(path, rejects=found)
    assert len(found) == 3
    report = tmp_path / "r.csv"
    with pytest.warns(AncestralWarning, match="left out 6 rows"):
        read_array(path, rejects=report)
    assert len(listed(report)) == 6 and len(listed(report)[-1][2]) == 1_000


def test_a_report_of_many_cells_takes_little_memory(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "a,b\n1,2\n" + "some,words\n" * 20_000)
    got = warned(lambda: read_array(path, rejects=tmp_path / "r.csv"), "20,000", memory=16 << 20)
    np.testing.assert_array_equal(got, [[1, 2]])
    assert len(listed(tmp_path / "r.csv")) == 40_000


def test_a_report_takes_the_place_of_no_input(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", TEXT)
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    for report in (path, link, os.fspath(path)):
        with pytest.raises(SaveError, match="is an input of this command"):
            read_array(path, rejects=report)
    assert path.read_text() == TEXT
    for report, kind, words in (
        (tmp_path / "r.txt", SaveError, "end it so"),
        (tmp_path / "none" / "r.csv", SaveError, "no such folder"),
        (3, DataTypeError, "rejects must name a .csv to write, or be a list"),
        ("", DataTypeError, "rejects must name"),
        (True, DataTypeError, "rejects must name"),
    ):
        with pytest.raises(kind, match=words):
            read_array(path, rejects=report)


def test_where_reading_fails_no_report_is_left(tmp_path: Path) -> None:
    report = tmp_path / "r.csv"
    for text, kind, words in (
        ('a,b\nx,2\n"1,2\n', FormatError, "mend its quotes"),
        ("a,b\nx,y\n1,z\n", DataError, "no row that could be read"),
        ("a,b\n", DataError, "no rows of numbers"),
    ):
        with pytest.raises(kind, match=words):
            read_array(put(tmp_path, "a.csv", text), rejects=report)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv"]


def test_row_numbers_with_gaps_are_row_numbers(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", ",a\n0,5\n1,x\n2,7\n")
    with pytest.warns(AncestralWarning) as said:
        names, got = read_columns(path, rejects=[])
    assert [w.message.args[0].partition(": ")[2][:8] for w in said] == ["dropped ", "left out"]
    assert names == ["a"]
    np.testing.assert_array_equal(got, [[5], [7]])


def test_inputs_and_target_lose_the_same_rows(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "x,y\n1,2\nx,3\n4,y\n5,6\n")
    with pytest.warns(AncestralWarning, match="left out 2 rows, in which 2 cells"):
        pairs = read_pairs(path, rejects=[])
    assert (pairs.X.ravel().tolist(), pairs.y.tolist()) == ([1, 5], [2, 6])
