"""Mixtures of PPCA: EM that never falls, the densities of its parts, and what is refused."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import chi2, multivariate_normal, norm
from sklearn.mixture import GaussianMixture

from ancestral import PPCA, PPCAMixture
from ancestral.errors import AncestralWarning, DataError, ModelError

WEIGHTS = np.array([0.6, 0.4])
MEANS = np.array([[0.0, 0.0, 0.0, 0.0], [4.0, -2.0, 1.0, 0.0]])
LOADINGS = np.array([[[2.0], [1.0], [0.0], [-1.0]], [[0.0], [1.5], [-1.5], [0.5]]])
NOISES = np.array([0.25, 0.5])


def simulated(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    c = (rng.random(n) < WEIGHTS[1]).astype(int)
    z = rng.normal(size=(n, 1))
    noise = rng.normal(size=(n, 4)) * np.sqrt(NOISES[c])[:, None]
    return MEANS[c] + LOADINGS[c, :, 0] * z + noise


@pytest.fixture(scope="module")
def fitted() -> PPCAMixture:
    return PPCAMixture(2, 1, random_state=0).fit(simulated(3_000, 0))


def normals(model: PPCAMixture, X: np.ndarray, columns: list[int]) -> np.ndarray:
    """log p(c, x) by SciPy's normal densities of these columns, shape (n, n_models)."""
    joint = []
    for weight, mean, W, noise in zip(
        model.weights_, model.means_, model.loadings_, model.noise_variances_
    ):
        C = W @ W.T + noise * np.eye(len(mean))
        part = multivariate_normal(mean[columns], C[np.ix_(columns, columns)])
        joint.append(np.log(weight) + part.logpdf(X[:, columns]))
    return np.stack(joint, axis=1)


def test_the_density_is_the_sum_of_scipys_normals(fitted: PPCAMixture) -> None:
    X = simulated(200, 1)
    joint = normals(fitted, X, [0, 1, 2, 3])
    np.testing.assert_allclose(fitted.log_density(X), logsumexp(joint, axis=1), rtol=1e-10)
    share = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    np.testing.assert_allclose(fitted.responsibilities(X), share, atol=1e-10)


def test_missing_values_are_integrated_out(fitted: PPCAMixture) -> None:
    X = simulated(50, 1)
    joint = normals(fitted, X, [0, 3])
    X[:, 1:3] = np.nan
    np.testing.assert_allclose(fitted.log_density(X), logsumexp(joint, axis=1), rtol=1e-10)
    np.testing.assert_allclose(fitted.responsibilities(X).sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(fitted.log_density([[np.nan] * 4]), 0, atol=1e-12)


def test_the_likelihood_never_falls_and_ends_at_the_score(fitted: PPCAMixture) -> None:
    increases = [step["increase"] for step in fitted.history_[1:]]
    assert min(increases) > -1e-12 * abs(fitted.log_likelihood_)
    total = fitted.log_density(simulated(3_000, 0)).sum()
    assert fitted.log_likelihood_ == pytest.approx(total, rel=1e-12)


def test_simulated_parameters_come_back(fitted: PPCAMixture) -> None:
    """Within five standard errors: of a mean sqrt(variance / n), of a weight that of a share."""
    n = 3_000 * WEIGHTS
    deviations = np.sqrt((LOADINGS[:, :, 0] ** 2 + NOISES[:, None]) / n[:, None])
    assert (abs(fitted.means_ - MEANS) < 5 * deviations).all()
    assert abs(fitted.weights_[0] - 0.6) < 5 * np.sqrt(0.24 / 3_000)
    assert (abs(fitted.noise_variances_ / NOISES - 1) < 5 * np.sqrt(2 / (3 * n))).all()
    truth = np.mean(
        logsumexp(
            [
                np.log(w)
                + multivariate_normal(m, W @ W.T + s * np.eye(4)).logpdf(simulated(900, 2))
                for w, m, W, s in zip(WEIGHTS, MEANS, LOADINGS, NOISES)
            ],
            axis=0,
        )
    )
    held_out = fitted.score(simulated(900, 2))
    assert truth - 0.02 < held_out  # 19 parameters over 2 x 3,000 rows cost 0.003 nats
    assert held_out > PPCA(3).fit(simulated(3_000, 0)).score(simulated(900, 2)) + 0.2


def test_one_model_is_ppca() -> None:
    X = simulated(300, 3)
    mixture, alone = PPCAMixture(1, 2).fit(X), PPCA(2).fit(X)
    np.testing.assert_allclose(mixture.log_density(X), alone.log_density(X), rtol=1e-12)
    np.testing.assert_allclose(mixture.loadings_[0], alone.loadings_, rtol=1e-9, atol=1e-12)
    assert mixture.n_parameters_ == alone.n_parameters_


def test_with_all_components_it_is_scikit_learns_gaussian_mixture() -> None:
    """q = d - 1 leaves every covariance free, as covariance_type="full" does."""
    X = simulated(600, 4)[:, :3]
    ours = PPCAMixture(2, 2, tol=1e-10, random_state=0).fit(X)
    theirs = GaussianMixture(2, reg_covar=0, tol=1e-10, max_iter=5_000, random_state=0).fit(X)
    assert ours.score(X) == pytest.approx(theirs.score(X), abs=1e-6)
    order = np.argsort(-theirs.weights_)
    np.testing.assert_allclose(ours.means_, theirs.means_[order], atol=1e-3)


def test_draws_fit_the_density(fitted: PPCAMixture) -> None:
    """Chi-square over octants of the first three columns; false alarm once in 10,000 seeds."""
    octant = lambda X: ((X[:, :3] > [1.0, 0.0, 0.0]) @ [4, 2, 1]).astype(int)  # noqa: E731
    drawn = np.bincount(octant(fitted.sample(20_000, random_state=0)), minlength=8)
    reference = np.bincount(octant(_by_hand(fitted, 400_000)), minlength=8) / 400_000
    expected = 20_000 * reference
    statistic = ((drawn - expected) ** 2 / (expected * (1 + 20_000 / 400_000))).sum()
    assert statistic < chi2(7).isf(1e-4)


def _by_hand(model: PPCAMixture, n: int) -> np.ndarray:
    rng = np.random.default_rng(9)
    c = rng.choice(2, p=model.weights_, size=n)
    roots = [
        np.linalg.cholesky(W @ W.T + s * np.eye(4))
        for W, s in zip(model.loadings_, model.noise_variances_)
    ]
    e = rng.normal(size=(n, 4))
    return model.means_[c] + np.einsum("nij,nj->ni", np.array(roots)[c], e)


def test_conditional_draws_weigh_the_models_by_what_is_known(fitted: PPCAMixture) -> None:
    """The mean of x_2 given x_0 and x_3, exactly, within 4.5 standard errors (7e-6)."""
    given = np.array([2.0, np.nan, np.nan, 0.3])
    drawn = fitted.sample(20_000, given=given, random_state=1)
    assert (drawn[:, [0, 3]] == [2.0, 0.3]).all()
    share = fitted.responsibilities(given[None])[0]
    assert 0.05 < share[0] < 0.95  # else the test would say little
    wanted = 0.0
    for weight, mean, W, noise in zip(
        share, fitted.means_, fitted.loadings_, fitted.noise_variances_
    ):
        C = W @ W.T + noise * np.eye(4)
        known = np.linalg.solve(C[np.ix_([0, 3], [0, 3])], given[[0, 3]] - mean[[0, 3]])
        wanted += weight * (mean[2] + C[2, [0, 3]] @ known)
    apart = (drawn[:, 2].mean() - wanted) / (drawn[:, 2].std() / np.sqrt(20_000))
    assert abs(apart) < norm.isf(3.5e-6)


def test_a_model_that_closes_in_on_a_point_is_refused() -> None:
    X = np.concatenate([np.zeros((20, 3)), np.random.default_rng(0).normal(size=(20, 3)) + 30])
    with pytest.raises(ModelError, match="without noise, and its likelihood has no bound"):
        PPCAMixture(2, 1, random_state=0).fit(X)


def test_what_is_wrong_is_named() -> None:
    X = simulated(50, 5)
    with pytest.raises(ModelError, match="at least 60 rows; got 50"):
        PPCAMixture(20, 1).fit(X)
    with pytest.raises(ModelError, match="below the number of features; got 4 with 4"):
        PPCAMixture(2, 4).fit(X)
    with pytest.raises(ModelError, match="n_models"):
        PPCAMixture(0).fit(X)
    X[3, 2] = np.inf
    with pytest.raises(DataError, match="row 3, column 2"):
        PPCAMixture(2).fit(X)


def test_steps_that_ran_out_are_said() -> None:
    with pytest.warns(AncestralWarning, match="max_iter=2 steps"):
        PPCAMixture(2, 1, max_iter=2, n_starts=1, random_state=0).fit(simulated(200, 6))


def test_rows_that_do_not_vary_are_named_as_ppca_names_them() -> None:
    with pytest.raises(ModelError, match="X has no variance"):
        PPCAMixture(2, 1).fit(np.ones((20, 3)))


def test_a_row_out_of_reach_has_no_density_and_no_model(fitted: PPCAMixture) -> None:
    far = [[1e200, 0.0, 0.0, 0.0]]
    assert fitted.log_density(far)[0] == -np.inf
    assert PPCA(1).fit(simulated(50, 7)).log_density(far)[0] == -np.inf
    with pytest.raises(DataError, match="row 0 is so far from every model"):
        fitted.responsibilities(far)


def test_names_of_columns_are_no_reason_to_warn_when_drawing() -> None:
    pd = pytest.importorskip("pandas")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = PPCAMixture(2, 1, random_state=0).fit(
            pd.DataFrame(simulated(200, 8), columns=list("abcd"))
        )
        assert model.sample(3, random_state=0).shape == (3, 4)


# ---- rows with gaps ------------------------------------------------------------------------------


def two_clouds(seed: int = 0, share: float = 0.2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows of two clouds, the same with gaps, and which cloud each is of."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(2, 2, 6)) * 2
    X = np.concatenate([rng.normal(size=(400, 2)) @ W[0] + 5, rng.normal(size=(200, 2)) @ W[1] - 3])
    X += 0.3 * rng.normal(size=X.shape)
    gappy = np.where(rng.random(X.shape) < share, np.nan, X)
    return X, gappy, np.repeat([0, 1], [400, 200])


@pytest.mark.parametrize("standardize", [False, True])
def test_one_model_of_rows_with_gaps_is_ppca(standardize: Any) -> None:
    """Two roads to one maximum: EM over z as well, and EM over the gaps alone."""
    _, gappy, _ = two_clouds()
    weights = np.random.default_rng(1).integers(0, 3, len(gappy))
    for w in (None, weights):
        one = PPCAMixture(1, 2, standardize=standardize, tol=1e-11).fit(gappy, sample_weight=w)
        other = PPCA(2, standardize=standardize, tol=1e-12).fit(gappy, sample_weight=w)
        assert one.log_likelihood_ == pytest.approx(other.log_likelihood_, rel=1e-9)
        np.testing.assert_allclose(one.loadings_[0], other.loadings_, atol=1e-3)


def test_the_likelihood_of_known_entries_never_falls_and_is_the_score() -> None:
    _, gappy, _ = two_clouds()
    model = PPCAMixture(2, 2, random_state=0).fit(gappy)
    assert min(step["increase"] for step in model.history_[1:]) > -1e-9
    assert model.log_likelihood_ == pytest.approx(model.log_density(gappy).sum(), rel=1e-12)
    rng = np.random.default_rng(2)
    for name in ("means_", "loadings_", "noise_variances_"):
        for size in (1e-3, -1e-3):
            other = copy.deepcopy(model)
            value = getattr(model, name)
            setattr(other, name, value * (1 + size * rng.choice([-1, 1], value.shape)))
            assert other.log_density(gappy).sum() < model.log_likelihood_


def test_gaps_neither_hide_the_clouds_nor_depend_on_units() -> None:
    X, gappy, cloud = two_clouds()
    whole = PPCAMixture(2, 2, random_state=0).fit(X)
    model = PPCAMixture(2, 2, random_state=0).fit(gappy)
    assert (model.predict(gappy) == cloud).mean() > 0.99
    np.testing.assert_array_equal(whole.predict(X), cloud)
    np.testing.assert_array_equal(model.predict_proba(X), model.responsibilities(X))
    np.testing.assert_allclose(model.means_, whole.means_, atol=0.5)
    filled = model.impute(gappy)
    gaps = np.isnan(gappy) & (np.isnan(gappy).sum(axis=1) <= 3)[:, None]
    assert np.sqrt(np.mean((filled - X)[gaps] ** 2)) < 1.2
    units = 10.0 ** np.array([-8, 0, 0, 6, 0, 2])
    one = PPCAMixture(2, 2, standardize=True, random_state=0).fit(gappy)
    other = PPCAMixture(2, 2, standardize=True, random_state=0).fit(gappy * units)
    shift = (~np.isnan(gappy) @ np.log(units)).sum()
    assert other.log_likelihood_ + shift == pytest.approx(one.log_likelihood_, rel=1e-6)
    np.testing.assert_array_equal(one.predict(X), other.predict(X * units))


def test_rows_of_which_nothing_is_known_count_for_nothing() -> None:
    _, gappy, _ = two_clouds()
    more = np.insert(gappy, [0, 100], np.nan, axis=0)
    one, other = (PPCAMixture(2, 1, n_starts=3, random_state=0).fit(X) for X in (gappy, more))
    np.testing.assert_array_equal(one.loadings_, other.loadings_)
    assert one.log_likelihood_ == other.log_likelihood_
    with pytest.raises(DataError, match=r"nothing is known|no known|all missing"):
        PPCAMixture(2, 1).fit(np.column_stack([gappy, np.full(len(gappy), np.nan)]))
