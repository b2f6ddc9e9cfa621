"""Counting draws, and the certified list of most probable rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ancestral import ChainAutoregressive, TabularAutoregressive
from ancestral.autoregressive.sequential import Sequential
from ancestral.errors import ModelError
from tests.test_contract import fits
from tests.zoo import ZOO, Entry

DISCRETE = pytest.mark.parametrize(
    "entry", [e for e in ZOO if isinstance(e.make(), Sequential)], ids=lambda e: e.name
)


@DISCRETE
@pytest.mark.parametrize("k", [1, 3, 7, 1000])
def test_the_list_is_that_of_enumeration(entry: Entry, k: int) -> None:
    model = entry.fit()
    everything = np.sort(model.log_density(entry.space))[::-1]
    everything = everything[everything > -np.inf]
    rows, log_p, rest = model.most_probable(k)
    np.testing.assert_allclose(log_p, everything[:k], atol=1e-9)
    np.testing.assert_allclose(model.log_density(rows), log_p, atol=1e-9)
    assert len({tuple(r) for r in rows.tolist()}) == len(rows) == min(k, len(everything))
    assert rest == pytest.approx(1 - np.exp(everything[:k]).sum(), abs=1e-9)


def test_a_beam_alone_would_be_wrong_and_is_not_trusted() -> None:
    """Many good beginnings whose ends are spread thin hide the one best row behind a bad one."""
    rng = np.random.default_rng(0)
    spread = np.column_stack([np.zeros(4000, int), rng.integers(0, 2, size=(4000, 13))])
    single = np.tile(np.r_[1, np.zeros(13, int)], (60, 1))
    model = TabularAutoregressive(smoothing=0.1).fit(np.vstack([spread, single]))
    rows, log_p, rest = model.most_probable(1)
    assert rows[0, 0] == 1
    assert np.exp(log_p[0]) + rest == pytest.approx(1.0, abs=1e-12)


def test_a_flat_distribution_is_refused_and_does_not_eat_memory() -> None:
    rows = np.random.default_rng(0).integers(0, 2, (400, 26))
    model = ChainAutoregressive("marginal", random_state=0).fit(rows)
    with pytest.raises(ModelError, match="too flat"):
        model.most_probable(3)


def test_however_flat_tables_are_searched() -> None:
    """26 all but fair coins: the rows that were seen are the most probable by 1e-9 a coin."""
    model = TabularAutoregressive(smoothing=1e9).fit(np.ones((1, 26), int))
    rows, log_p, rest = model.most_probable(3)
    np.testing.assert_array_equal(rows[0], np.ones(26))
    np.testing.assert_allclose(log_p, model.log_density(rows), rtol=1e-12)
    assert np.exp(log_p).sum() + rest == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_best_completion_of_each_row_is_that_of_enumeration(smoothing: float) -> None:
    """All sets of unknown values; rows of few completions together, and one by one."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, k, size=30) for k in (2, 3, 4, 2, 3)])
    model = TabularAutoregressive(smoothing).fit(X)
    space = np.indices((2, 3, 4, 2, 3)).reshape(5, -1).T
    log_p = model.log_density(space)
    unknown = np.array(list(np.ndindex(2, 2, 2, 2, 2)), bool)
    rows = np.where(unknown, np.nan, X[: len(unknown) - 2][np.arange(32) % 30].astype(float))
    alone = np.concatenate([model.impute(row[None]) for row in rows])
    np.testing.assert_array_equal(model.impute(rows), alone)
    for row, filled in zip(rows, alone):
        possible = (np.isnan(row) | (space == row)).all(axis=1)
        best = model.log_density(filled[None])[0]
        assert best == pytest.approx(log_p[possible].max(), abs=1e-12)
        assert (np.isnan(row) | (filled == row)).all()


@DISCRETE
def test_counts_fit_the_density(entry: Entry) -> None:
    model = entry.fit()
    rows, counts = model.sample_counts(100_000, random_state=2)
    assert counts.sum() == 100_000
    assert (counts > 0).all()
    place = {tuple(row): i for i, row in enumerate(np.asarray(entry.space).tolist())}
    drawn = np.zeros(len(place), int)
    drawn[[place[tuple(row)] for row in rows.tolist()]] = counts
    assert fits(drawn, np.exp(model.log_density(entry.space)))


def test_counting_is_exact_over_many_repeats() -> None:
    """The number of draws of one row is binomial: 400 repeats of 50 draws, by chi-square."""
    from scipy import stats

    model = TabularAutoregressive().fit([[0, 0], [0, 1], [0, 1], [1, 1]])
    target = np.array([0, 1])
    seen = []
    for seed in range(400):
        rows, counts = model.sample_counts(50, random_state=seed)
        seen.append(int(counts[(rows == target).all(axis=1)].sum()))
    p = stats.binom.pmf(np.arange(51), 50, 0.5)
    assert fits(np.bincount(seen, minlength=51), p / p.sum())


@pytest.mark.parametrize("k", [0, -1, 2.0, True])
def test_k_must_be_a_count(k: Any) -> None:
    model = TabularAutoregressive().fit([[0, 0], [0, 1]])
    with pytest.raises(ModelError, match="k must be an integer"):
        model.most_probable(k)


def test_a_billion_draws_are_counted() -> None:
    model = TabularAutoregressive().fit(np.eye(5, dtype=int))
    rows, counts = model.sample_counts(10**9, random_state=0)
    assert counts.sum() == 10**9
    assert len(rows) == 5
