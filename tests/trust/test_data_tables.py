"""Rows B32 to B37, B39 and B42 of the catalogue of bad input: conditional probability tables."""

from __future__ import annotations

import itertools
import logging
import re
from typing import Any

import numpy as np
import pytest

from ancestral import TabularAutoregressive
from ancestral.errors import DataError, DataTypeError, ModelError
from tests.trust.guard import accepted, refused

of_tables = TabularAutoregressive.from_tables
HALVES = [0.5, 0.5]


def refuses(tables: Any, *says: str) -> None:
    refused(lambda: of_tables(tables), *says, kind=DataError)


def test_b32_probabilities_that_sum_to_more_or_less_than_one() -> None:
    mend = "probabilities sum to 1. Divide it by its sum"
    refuses([[0.6, 0.5]], r"table 0, prefix \(\): the row \[0.6, 0.5\] sums to 1.1,", mend)
    refuses([HALVES, [HALVES, [0.7, 0.4]]], r"table 1, prefix \(1,\): .*sums to 1.1,", mend)
    refuses([HALVES, [HALVES, [0.1, 0.4]]], r"table 1, prefix \(1,\): .*sums to 0.5,", mend)
    refuses([[0.5, 0.50001]], "sums to 1.00001,", mend)
    refuses([[0.5, 0.500002]], "sums to 1.000002,", mend)
    refuses([[0.0, 0.0]], "sums to 0, .*make its prefix impossible")


def test_b33_tables_in_float32(caplog: pytest.LogCaptureFixture) -> None:
    """Scaled to sum to one, and said once; the product of conditionals by hand."""
    rng = np.random.default_rng(0)
    tables = [rng.dirichlet(np.ones(3), size=(3,) * i).astype(np.float32) for i in range(3)]
    assert any((table.astype(float).sum(axis=-1) != 1).any() for table in tables)
    with caplog.at_level(logging.INFO, logger="ancestral"):
        model = of_tables(tables)
    (record,) = caplog.records
    assert re.match(r"[123] of 3 tables .* scaled", record.message)
    exact = [table.astype(float) for table in tables]
    exact = [table / table.sum(axis=-1, keepdims=True) for table in exact]
    rows = np.array(list(itertools.product(range(3), repeat=3)))
    wanted = [np.prod([exact[i][tuple(row[: i + 1])] for i in range(3)]) for row in rows]
    p = np.exp(accepted(lambda: of_tables(tables)).log_density(rows))
    np.testing.assert_allclose(p, wanted, rtol=1e-14)
    assert np.exp(model.log_density(rows)).sum() == pytest.approx(1, abs=1e-14)
    caplog.clear()
    of_tables([[0.1, 0.2, 0.7]])
    assert not caplog.records


def test_b34_a_negative_probability_and_one_above_one() -> None:
    refuses(
        [[-0.5, 1.5]], r"table 0, prefix \(\): level 0 of the row \[-0.5, 1.5\] is -0.5;", "Mend"
    )
    refuses([[1.5, -0.5]], r"level 1 of the row \[1.5, -0.5\] is -0.5")
    refuses([[-1e-12, 1 + 1e-12]], "level 0 of .* is -1e-12")
    refuses([HALVES, [HALVES, [1.5, 0.0]]], r"table 1, prefix \(1,\): .*\[1.5, 0\] sums to 1.5,")
    refuses([[np.inf, 0.0]], r"level 0 of the row \[inf, 0\] is inf")


def test_b35_rows_of_prefixes_that_cannot_be_reached() -> None:
    """Never read: NaN, or anything."""
    for junk in ([np.nan, np.nan], [np.nan, 1.0], [7.0, -3.0]):
        model = accepted(lambda junk=junk: of_tables([[1.0, 0.0], [[0.25, 0.75], junk]]))
        found = accepted(lambda model=model: model.log_density([[0, 0], [0, 1], [1, 0], [1, 1]]))
        np.testing.assert_array_equal(found, [*np.log([0.25, 0.75]), -np.inf, -np.inf])
        assert model.entropy_ == pytest.approx(-0.25 * np.log(0.25) - 0.75 * np.log(0.75))
        assert np.isnan(model.to_tables()[1][1]).all()


@pytest.mark.parametrize("p", [0.5, 1e-300])
def test_b36_a_row_of_nan_at_a_prefix_that_can_be_reached(p: float) -> None:
    refuses([[np.nan, np.nan]], r"table 0, prefix \(\): level 0 of the row \[nan, nan\] is nan")
    says = r"table 1, prefix \(1,\): level 0 of the row \[nan, nan\] is nan", "prefix impossible"
    refuses([[1 - p, p], [HALVES, [np.nan, np.nan]]], *says)


@pytest.mark.parametrize(("row", "level"), [([np.nan, 1.0], 0), ([1.0, np.nan], 1)])
def test_b37_a_row_half_of_nan(row: list[float], level: int) -> None:
    says = rf"table 1, prefix \(1,\): level {level} of the row .* is nan", "Mend the row"
    refuses([HALVES, [HALVES, row]], *says)


SHAPES = [
    ([HALVES, HALVES], r"table 1 has shape \(2,\); expected \(2, K\)"),
    ([HALVES, np.full((3, 2), 0.5)], r"table 1 has shape \(3, 2\); expected \(2, K\)"),
    ([HALVES, np.full((2, 2, 2), 0.5)], r"table 1 has shape \(2, 2, 2\).*missing or out of order"),
    ([np.full((2, 2), 0.5), HALVES], r"table 0 has shape \(2, 2\).*out of order"),
    ([HALVES, [[0.5, 0.5], [0.2, 0.3, 0.5]]], r"table 1 is ragged: row 1 has shape \(3,\) where"),
    ([], "list of tables is empty: give one table per variable"),
]


@pytest.mark.parametrize(("tables", "says"), SHAPES)
def test_b39_tables_of_the_wrong_shape_missing_or_swapped(tables: Any, says: str) -> None:
    refuses(tables, says)


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ([["a", "b"]], "table 0 holds 'a' at row 0"),
        ([np.array([0.5, "0.5"], dtype=object)], r"table 0 holds text \('0.5' at row 1\)"),
        (None, "tables must be a list of arrays, one per variable; got NoneType"),
        ("image_cpts.pkl.gz", "tables must be a list .*got str"),
        ({0: HALVES}, "tables must be a list .*got dict"),
    ],
)
def test_b39_what_is_no_list_of_tables(tables: Any, says: str) -> None:
    refused(lambda: of_tables(tables), says, kind=DataTypeError)


def test_b42_thirty_binary_variables_as_dense_tables() -> None:
    """Refused before memory is taken; what is reachable stays at hand."""
    model = TabularAutoregressive().fit(np.eye(30, dtype=int))
    says = "2147483646 cells, 16.0 GiB; the limit is 4 GiB", "Use contexts and probabilities"
    refused(model.to_tables, *says, kind=ModelError)
    refused(model.tables_.to_dense, *says, kind=ModelError)
    assert model.n_dense_cells_ == 2**31 - 2
    assert len(accepted(lambda: model.support_)) == 30
    smooth = TabularAutoregressive(smoothing=0.5).fit(np.eye(30, dtype=int))
    refused(lambda: smooth.support_, r"all 1.07e\+09 rows possible.* smoothing=0")
    refused(smooth.to_tables, *says, kind=ModelError)
