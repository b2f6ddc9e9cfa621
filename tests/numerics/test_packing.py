"""Packed texts and rows are in the order of what they stand for, and come back whole."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral._numerics.packing import Packing, packed_rows
from ancestral.statistics import distinct_rows

WORDS = np.array([["a", "bé"], ["c", ""], ["bé", "zz"], ["ab", "b"]])


def test_texts_come_back_and_keep_their_order() -> None:
    packing = Packing.of([WORDS])
    assert packing is not None
    numbers = packing.packed(WORDS)
    np.testing.assert_array_equal(packing.unpacked(numbers), WORDS)
    np.testing.assert_array_equal(
        numbers.ravel().argsort(kind="stable"), WORDS.ravel().argsort(kind="stable")
    )


def test_text_that_does_not_fit_is_told() -> None:
    packing = Packing.of([WORDS])
    assert packing is not None
    assert packing.packed(np.array(["aaaa", "ψ", "a"])).tolist()[:2] == [-1, -1]
    assert Packing.of([np.array(["a text of more letters than 63 bits hold"])]) is None


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint64, bool])
@pytest.mark.parametrize("width", [1, 5, 90, 200])
def test_distinct_rows_are_those_of_a_plain_sort(dtype: type, width: int) -> None:
    rng = np.random.default_rng(width)
    rows = rng.integers(0, 4, (40, width))[rng.integers(0, 40, 60)].astype(dtype)
    if dtype is np.int64:
        rows[:, 0] = np.where(rows[:, 0] == 1, -(2**61), 2**60)
    distinct, place = distinct_rows(rows)
    wanted = np.unique(rows, axis=0)
    np.testing.assert_array_equal(distinct, wanted)
    np.testing.assert_array_equal(distinct[place], rows)
    assert distinct.dtype == rows.dtype


def test_a_range_that_no_word_holds_is_left_to_a_sort() -> None:
    rows = np.array([[2**63 - 1, 0], [-(2**63), 1], [2**63 - 1, 0]])
    assert packed_rows(rows) is None
    distinct, place = distinct_rows(rows)
    assert distinct.tolist() == [[-(2**63), 1], [2**63 - 1, 0]]
    assert place.tolist() == [1, 0, 1]
