"""Counting draws, and the certified list of most probable rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ancestral import TabularAutoregressive
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
    model = TabularAutoregressive(smoothing=1e9).fit(np.eye(26, dtype=int))
    with pytest.raises(ModelError, match="too flat"):
        model.most_probable(3)


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
