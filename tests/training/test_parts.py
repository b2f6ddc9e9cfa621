"""Sums over parts: one tree of branches, whether terms come at once or one by one."""

from __future__ import annotations

from functools import reduce
from operator import add

import pytest

from ancestral.training.parts import BRANCHES, Held, added, digest_of


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 100])
def test_terms_that_come_one_by_one_are_added_as_levels_of_a_tree_are(n: int) -> None:
    rest = [f"({i})" for i in range(n)]  # texts, whose sum shows every order

    class Bracketed(str):
        def __add__(self, other: str) -> Bracketed:
            return Bracketed(f"[{self!s}{other!s}]")

    level = [Bracketed(one) for one in rest]
    one_by_one = added(iter(level))
    while len(level) > 1:
        level = [reduce(add, level[i : i + BRANCHES]) for i in range(0, len(level), BRANCHES)]
    assert one_by_one == level[0]


def test_no_terms_have_no_sum() -> None:
    with pytest.raises(ValueError, match="no parts"):
        Held([]).total(len)


def test_data_differ_by_their_bytes_shapes_and_types() -> None:
    import numpy as np

    X = np.arange(6.0)
    found = {digest_of([one]) for one in (X, X.reshape(2, 3), X.astype(np.float32), X + 1)}
    assert len(found) == 4
    assert digest_of([X, None]) == digest_of([X.copy()])
