"""Which column of a table is the target, and which are the inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ancestral.errors import DataError
from ancestral.io import read_pairs
from tests.trust.files import put


@pytest.mark.parametrize(
    ("header", "asked", "target"),
    [
        ("a,b,c", None, "c"),
        ("a,Target,c", None, "Target"),
        ("response,y,label", None, "y"),
        ("a,y,c", "a", "a"),
    ],
)
def test_the_target_is_named_asked_for_or_last(
    tmp_path: Path, header: str, asked: str | None, target: str
) -> None:
    pairs = read_pairs(put(tmp_path, "a.csv", f"{header}\n1,2,3\n4,5,6\n"), asked)
    names = header.split(",")
    at = names.index(target)
    table = np.array([[1.0, 2, 3], [4, 5, 6]])
    assert (pairs.target, pairs.names) == (target, names[:at] + names[at + 1 :])
    np.testing.assert_array_equal(pairs.y, table[:, at])
    np.testing.assert_array_equal(pairs.X, np.delete(table, at, axis=1))


def test_tables_without_a_target_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv: has 1 column; an input and a target"):
        read_pairs(put(tmp_path, "a.csv", "a\n1\n"))
    with pytest.raises(DataError, match=r"b\.csv: has no column 'z'; it has a, b"):
        read_pairs(put(tmp_path, "b.csv", "a,b\n1,2\n"), "z")
