"""How far out a row is: by the definition, by its law among draws, and by densities of draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from ancestral import PPCA
from ancestral.errors import DataError, ModelError

FALSE_ALARM = 1e-4  # of seeds for which a right method would fail a test of draws

BOTH = pytest.mark.parametrize("standardize", [False, True])


def fitted(standardize: Any) -> PPCA:
    X = np.random.default_rng(0).normal(size=(400, 5)) @ np.diag([3.0, 2, 1, 1, 1]) + 7
    return PPCA(2, standardize=standardize).fit(X)


def gappy_draws(model: PPCA, n: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    X = model.sample(n, random_state=2)
    return np.where(rng.random(X.shape) < 0.3, np.nan, X)


@BOTH
def test_the_distance_is_its_definition_of_what_is_known(standardize: Any) -> None:
    model = fitted(standardize)
    rows, C = gappy_draws(model, 60), model.get_covariance()
    rows[0] = np.nan
    found = model.mahalanobis(rows)
    for row, value in zip(rows, found):
        o = ~np.isnan(row)
        c = row[o] - model.mean_[o]
        assert value == pytest.approx(float(c @ np.linalg.solve(C[np.ix_(o, o)], c)), rel=1e-9)
    assert found[0] == 0 and not model.outliers(rows)[0]
    constant = -2 * model.log_density(model.mean_[None])
    whole = model.sample(50, random_state=3)
    np.testing.assert_allclose(
        model.mahalanobis(whole), -2 * model.log_density(whole) - constant, atol=1e-9
    )


@BOTH
def test_draws_have_the_law_that_outliers_are_judged_by(standardize: Any) -> None:
    model = fitted(standardize)
    rows = gappy_draws(model, 20_000)
    known = (~np.isnan(rows)).sum(axis=1)
    kept = known > 0
    p = stats.chi2.sf(model.mahalanobis(rows)[kept], known[kept])
    assert stats.kstest(p, "uniform").pvalue > FALSE_ALARM
    for level in (0.001, 0.05):
        n = int(model.outliers(rows[kept], level).sum())
        assert stats.binomtest(n, int(kept.sum()), level).pvalue > FALSE_ALARM


def test_they_are_the_rows_of_least_density_among_draws() -> None:
    model = fitted(standardize=False)
    rows = model.sample(4_000, random_state=4)
    limit = np.quantile(model.log_density(model.sample(200_000, random_state=5)), 0.02)
    by_draws, by_law = model.log_density(rows) < limit, model.outliers(rows, 0.02)
    assert (by_draws != by_law).mean() < 0.003  # what 200,000 draws leave open
    assert by_law.sum() > 40


@BOTH
def test_units_do_not_matter_and_far_rows_are_found(standardize: Any) -> None:
    rng = np.random.default_rng(6)
    X = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 4)) + 0.1 * rng.normal(size=(300, 4))
    X[5] += [3.0, -3.0, 3.0, -3.0]
    for size in (1.0, 1e-100, 1e100):
        model = PPCA(2, standardize=standardize).fit(X * size)
        assert model.outliers(X * size)[5] and model.outliers(X * size).sum() < 5
        assert model.outliers([[1e300] * 4]).all()
    for bad in (0, 1, 95, "a", None):
        with pytest.raises(ModelError, match="level must be"):
            model.outliers(X, bad)
    with pytest.raises(DataError, match="expecting 4 features"):
        model.outliers(X[:, :3])
    with pytest.raises(DataError, match="infinity"):
        model.mahalanobis(np.full((1, 4), np.inf))
