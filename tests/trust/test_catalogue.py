"""Every row of the catalogue of bad inputs has a test named after it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.trust import OTHERWISE

# Rows of each part of the catalogue.
LETTERS = {"a": 59, "b": 71, "c": 24, "t": 14}


def rows_with_a_test() -> set[str]:
    """Return the rows that the names of tests begin with: test_b8_t9_... is of two."""
    found: set[str] = set()
    for path in Path(__file__).parents[1].rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                leading = re.match(r"test_((?:[a-z]\d+_)+)", node.name)
                found.update(leading[1].strip("_").split("_") if leading else ())
    return found


@pytest.mark.parametrize("letter", LETTERS)
def test_every_row_has_a_test(letter: str) -> None:
    rows = {f"{letter}{number}" for number in range(1, LETTERS[letter] + 1)}
    assert {row for row in rows_with_a_test() if row[0] == letter} == rows


def test_a_row_that_is_met_otherwise_has_a_test_and_a_reason() -> None:
    assert set(OTHERWISE) <= rows_with_a_test()
    assert all(len(reason) > 20 for reason in OTHERWISE.values())
