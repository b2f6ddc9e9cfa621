"""PPCA of rows with gaps, against the normal distribution of what is known of each row."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.utils import get_tags

import ancestral
from ancestral import PPCA
from ancestral.errors import AncestralWarning, DataError, ModelError
from ancestral.gaussian.ppca import missing_em
from ancestral.gaussian.ppca.missing_patterns import Factors, Patterns
from tests.gaussian.ppca.gaps import table_of

# A right sampler fails one of these tests by chance once in 10,000 runs; the seeds are fixed.
FALSE_ALARM = 1e-4


def table(n: int, d: int, q: int, *, share: float, seed: int = 0, offset: float = 5.0):
    """Draw rows of a PPCA and take a share of the entries away; return both tables."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(d, q)) * np.linspace(2.0, 0.8, q)
    whole = rng.normal(size=(n, q)) @ W.T + rng.normal(size=(n, d)) + offset
    gaps = whole.copy()
    gaps[rng.random(gaps.shape) < share] = np.nan
    return whole, gaps


CASES = [(120, 6, 2, 0.2), (60, 5, 1, 0.5), (25, 40, 3, 0.2), (200, 4, 0, 0.3), (90, 7, 3, 0.0)]
EACH = pytest.mark.parametrize(("n", "d", "q", "share"), CASES)


def log_likelihood(X: np.ndarray, factors: Factors) -> float:
    """Return the sum of scipy's marginal log densities of the known entries."""
    C = factors.loadings @ factors.loadings.T + factors.noise * np.eye(len(factors.mean))
    total = 0.0
    for row in X:
        o = ~np.isnan(row)
        if o.any():
            normal = stats.multivariate_normal(factors.mean[o], C[np.ix_(o, o)])
            total += normal.logpdf(row[o])
    return float(total)


def conditional(row: np.ndarray, model: PPCA) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance of the unknown entries given the known, by the joint normal."""
    C, mean = model.get_covariance(), model.mean_
    o, u = ~np.isnan(row), np.isnan(row)
    gain = np.linalg.solve(C[np.ix_(o, o)], C[np.ix_(o, u)]).T
    return mean[u] + gain @ (row[o] - mean[o]), C[np.ix_(u, u)] - gain @ C[np.ix_(o, u)]


# ---- the maximum ---------------------------------------------------------------------------------


@EACH
def test_no_step_lowers_the_likelihood(n: int, d: int, q: int, share: float) -> None:
    _, X = table(n, d, q, share=share)
    found = missing_em.fit(table_of(X), q, tol=1e-12, max_iter=5000)
    steps = np.diff(found.history)
    assert found.converged
    assert steps.min(initial=0.0) >= -1e-12 * abs(found.history[-1])
    assert found.history[-1] == pytest.approx(log_likelihood(X, found.factors), rel=1e-10)


@EACH
def test_the_gradient_vanishes_at_the_maximum(n: int, d: int, q: int, share: float) -> None:
    """Finite differences along every parameter, by scipy's marginals; curvature sets the scale."""
    _, X = table(n, d, q, share=share)
    at = missing_em.fit(table_of(X), q, tol=1e-13, max_iter=5000).factors
    rng, h = np.random.default_rng(1), 1e-4
    for _ in range(6):
        step = Factors(rng.normal(size=d), rng.normal(size=(d, q)), float(rng.normal()))

        def moved(t: float, step: Factors = step) -> float:
            return log_likelihood(
                X,
                Factors(
                    at.mean + t * step.mean,
                    at.loadings + t * step.loadings,
                    at.noise * np.exp(t * step.noise),
                ),
            )

        up, here, down = moved(h), moved(0.0), moved(-h)
        slope, bend = (up - down) / (2 * h), (up - 2 * here + down) / h**2
        assert bend < 0
        # The maximum along this line is less than 1e-5 of the parameters' scale away.
        assert abs(slope) < 1e-5 * abs(bend)


@pytest.mark.parametrize(("n", "d", "q"), [(90, 7, 3), (90, 7, 0), (12, 30, 2), (2000, 4, 1)])
def test_em_of_complete_rows_is_the_closed_form(n: int, d: int, q: int) -> None:
    X, _ = table(n, d, q, share=0.0, offset=1e4)
    closed = PPCA(q).fit(X)
    found = missing_em.fit(table_of(X), q, tol=1e-10, max_iter=100)
    C = found.factors.loadings @ found.factors.loadings.T + found.factors.noise * np.eye(d)
    np.testing.assert_allclose(C, closed.get_covariance(), rtol=0, atol=1e-9 * np.trace(C))
    np.testing.assert_allclose(found.factors.mean, closed.mean_, rtol=1e-12)
    assert found.history[-1] == pytest.approx(closed.log_likelihood_, rel=1e-11)
    assert len(found.history) <= 2  # it starts there


def test_one_known_way_to_the_maximum() -> None:
    """Monotone gaps (the last column missing in some rows) have a closed form for q = d - 1.

    The first columns' moments come from all rows, the last column's regression from the rest:
    with d - 1 components and d = 2, PPCA is the full normal (Little & Rubin, section 7.2).
    """
    rng = np.random.default_rng(3)
    X = rng.normal(size=(80, 2)) @ np.array([[2.0, 1.0], [0.0, 0.6]]) + [1.0, -2.0]
    X[50:, 1] = np.nan
    x, both = X[:, 0], X[:50]
    slope, intercept = np.polyfit(both[:, 0], both[:, 1], 1)
    residual = np.mean((both[:, 1] - intercept - slope * both[:, 0]) ** 2)
    mean = np.array([x.mean(), intercept + slope * x.mean()])
    C = np.array([[x.var(), slope * x.var()], [slope * x.var(), slope**2 * x.var() + residual]])
    model = PPCA(1, tol=1e-13).fit(X)
    np.testing.assert_allclose(model.mean_, mean, rtol=1e-6)
    np.testing.assert_allclose(model.get_covariance(), C, rtol=1e-5)


def test_rows_and_columns_in_any_order_give_the_same_model() -> None:
    _, X = table(80, 6, 2, share=0.3)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(80), rng.permutation(6)
    model, turned = PPCA(2, tol=1e-13).fit(X), PPCA(2, tol=1e-13).fit(X[rows][:, columns])
    C = model.get_covariance()[np.ix_(columns, columns)]
    np.testing.assert_allclose(turned.get_covariance(), C, atol=1e-6 * np.trace(C))
    assert turned.log_likelihood_ == pytest.approx(model.log_likelihood_, rel=1e-10)


def test_rows_without_a_known_value_change_nothing() -> None:
    _, X = table(80, 5, 2, share=0.2)
    more = np.vstack([X, np.full((7, 5), np.nan)])
    model, same = PPCA(2).fit(X), PPCA(2).fit(more)
    np.testing.assert_allclose(same.get_covariance(), model.get_covariance(), rtol=1e-9)
    np.testing.assert_allclose(same.log_density(more)[80:], np.zeros(7), atol=1e-12)
    np.testing.assert_allclose(same.transform(more)[80:], np.zeros((7, 2)), atol=1e-12)
    np.testing.assert_allclose(same.posterior_covariance(more)[83], np.eye(2), atol=1e-12)


def test_the_loadings_are_in_the_canonical_rotation_and_sign() -> None:
    _, X = table(150, 6, 3, share=0.2)
    model = PPCA(3).fit(X)
    W, U = model.loadings_, model.components_
    np.testing.assert_allclose(W.T @ W, np.diag(np.diag(W.T @ W)), atol=1e-10)
    np.testing.assert_allclose(U @ U.T, np.eye(3), atol=1e-12)
    assert (np.diff(model.explained_variance_) <= 0).all()
    assert (U[np.arange(3), np.abs(U).argmax(axis=1)] > 0).all()
    np.testing.assert_allclose(
        np.linalg.eigvalsh(model.get_covariance())[::-1], model.eigenvalues_, rtol=1e-10
    )
    np.testing.assert_allclose(
        model.get_precision() @ model.get_covariance(), np.eye(6), atol=1e-10
    )


@pytest.mark.parametrize("offset", [1e4, 1e8])
def test_offsets_cost_no_digits(offset: float) -> None:
    _, X = table(100, 5, 2, share=0.2, offset=0.0)
    X = np.round(X * 2**20) / 2**20  # so that the shifted values hold the same differences
    plain, shifted = PPCA(2).fit(X), PPCA(2).fit(X + offset)
    assert shifted.noise_variance_ == pytest.approx(plain.noise_variance_, rel=1e-6)
    assert shifted.score(X + offset) == pytest.approx(plain.score(X), rel=1e-6)


def test_many_rows_of_one_mask_are_summed_and_give_the_same_steps() -> None:
    whole, _ = table(400, 5, 2, share=0.0)
    X = whole.copy()
    X[:150, 1] = np.nan
    X[150:300, [0, 4]] = np.nan
    shift = np.nanmean(X, axis=0)
    patterns = Patterns.of(X, shift)
    few = missing_em.compressed(patterns)
    assert len(patterns.values) == 400
    assert len(few.values) <= 3 * 6
    start = Factors(np.full(5, 0.1), np.random.default_rng(0).normal(size=(5, 2)), 0.7)
    em, at = missing_em.WithGaps(np.ones(5), floor=0.0), missing_em.Path((start,))
    a, b = em._statistics(patterns, at), em._statistics(few, at)
    assert a.log_likelihood == pytest.approx(b.log_likelihood, rel=1e-12)
    one, other = (em._update(at, sums).steps[-1] for sums in (a, b))
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(one.loadings, other.loadings, rtol=1e-9, atol=1e-12)
    assert one.noise == pytest.approx(other.noise, rel=1e-11)


# ---- density and posterior -----------------------------------------------------------------------


@EACH
def test_the_log_density_is_the_marginal_of_what_is_known(
    n: int, d: int, q: int, share: float
) -> None:
    _, X = table(n, d, q, share=share)
    model = PPCA(q).fit(X)
    factors = Factors(model.mean_, model.loadings_, model.noise_variance_)
    assert model.log_density(X).sum() == pytest.approx(log_likelihood(X, factors), rel=1e-10)
    assert model.log_density(X).sum() == pytest.approx(model.log_likelihood_, rel=1e-10)
    k = d + d * q - q * (q - 1) // 2 + 1
    counted = (~np.isnan(X)).any(axis=1).sum()
    wanted = k * np.log(counted) - 2 * model.log_likelihood_
    assert model.bic(X) == pytest.approx(wanted, rel=1e-10)


def test_a_marginal_is_the_whole_density_summed_over_the_unknown() -> None:
    whole, _ = table(100, 3, 1, share=0.0)
    model = PPCA(1).fit(whole)
    row = np.array([whole[0, 0], np.nan, whole[0, 2]])
    grid = np.linspace(-40, 50, 20_001)
    filled = np.tile(row, (len(grid), 1))
    filled[:, 1] = grid
    total = np.trapezoid(np.exp(model.log_density(filled)), grid)
    assert np.exp(model.log_density(row[None]))[0] == pytest.approx(total, rel=1e-9)


def test_rows_with_and_without_gaps_are_scored_alike() -> None:
    whole, X = table(60, 5, 2, share=0.3)
    model = PPCA(2).fit(whole)
    mixed = np.vstack([whole[:30], X[30:]])
    together = model.log_density(mixed)
    np.testing.assert_allclose(together[:30], model.log_density(whole[:30]), rtol=1e-12)
    np.testing.assert_allclose(together[30:], [model.log_density(r[None])[0] for r in X[30:]])


@EACH
def test_the_posterior_is_that_of_the_joint_normal(n: int, d: int, q: int, share: float) -> None:
    _, X = table(n, d, q, share=share)
    model = PPCA(q).fit(X)
    W, C = model.loadings_, model.get_covariance()
    means, covariances = model.posterior_mean(X), model.posterior_covariance(X)
    for i in range(0, n, 7):
        o = ~np.isnan(X[i])
        gain = np.linalg.solve(C[np.ix_(o, o)], W[o]).T
        np.testing.assert_allclose(means[i], gain @ (X[i, o] - model.mean_[o]), atol=1e-9)
        np.testing.assert_allclose(covariances[i], np.eye(q) - gain @ W[o], atol=1e-9)
    np.testing.assert_array_equal(model.transform(X), means)
    assert model.reconstruct(X).shape == X.shape


# ---- what is missing -----------------------------------------------------------------------------


@EACH
def test_imputation_is_the_conditional_normal(n: int, d: int, q: int, share: float) -> None:
    _, X = table(n, d, q, share=share)
    model = PPCA(q).fit(X)
    rows, std = model.impute(X, return_std=True)
    np.testing.assert_array_equal(rows, model.impute(X))
    np.testing.assert_array_equal(rows[~np.isnan(X)], X[~np.isnan(X)])
    np.testing.assert_array_equal(std[~np.isnan(X)], 0.0)
    for i in range(0, n, 5):
        u = np.isnan(X[i])
        mean, C = conditional(X[i], model)
        np.testing.assert_allclose(rows[i, u], mean, rtol=1e-9)
        np.testing.assert_allclose(std[i, u], np.sqrt(np.diag(C)), rtol=1e-9)
        whole = model.impute_covariance(X[i])
        np.testing.assert_allclose(whole[np.ix_(u, u)], C, atol=1e-9)
        assert not whole[~u].any() and not whole[:, ~u].any()


def test_draws_of_the_missing_fit_the_conditional_normal() -> None:
    _, X = table(60, 5, 2, share=0.4)
    model = PPCA(2).fit(X)
    rows = X[np.isnan(X).sum(axis=1) >= 2][:4]
    drawn = model.impute_draws(rows, 5_000, random_state=0)
    assert drawn.shape == (5_000, 4, 5)
    for i, row in enumerate(rows):
        u = np.isnan(row)
        assert (drawn[:, i, ~u] == row[~u]).all()
        mean, C = conditional(row, model)
        centred = drawn[:, i, u] - mean
        distance = np.einsum("ij,ij->i", centred, np.linalg.solve(C, centred.T).T)
        assert stats.kstest(distance, stats.chi2(u.sum()).cdf).pvalue > FALSE_ALARM / 4
    given = model.sample(4_000, given=rows[0], random_state=1)
    mean, C = conditional(rows[0], model)
    u = np.isnan(rows[0])
    error = (given[:, u].mean(axis=0) - mean) / np.sqrt(np.diag(C) / 4_000)
    assert np.abs(error).max() < stats.norm.isf(FALSE_ALARM / (2 * u.sum()))


def test_intervals_cover_95_percent() -> None:
    """2000 x 30, a fifth missing: 12,000 entries, whose coverage has a standard error of 0.2%."""
    whole, X = table(2_000, 30, 4, share=0.2, seed=5)
    model = PPCA(4).fit(X)
    rows, std = model.impute(X, return_std=True)
    u = np.isnan(X)
    covered = np.abs(whole - rows)[u] <= 1.96 * std[u]
    assert 0.94 < covered.mean() < 0.96
    assert model.noise_variance_ == pytest.approx(1.0, rel=0.03)
    # Column means miss by the spread of a column; what the other entries say is worth the rest.
    plain = np.sqrt(np.mean((whole - np.nanmean(X, axis=0))[u] ** 2))
    assert np.sqrt(np.mean((whole - rows)[u] ** 2)) < 0.5 * plain


def test_a_saved_model_imputes_the_same(tmp_path) -> None:
    _, X = table(60, 5, 2, share=0.3)
    model = PPCA(2).fit(X)
    again = ancestral.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.impute(X), model.impute(X))
    assert again.n_missing_ == model.n_missing_ == np.isnan(X).sum()


def test_dataframes_with_gaps_keep_their_names() -> None:
    pd = pytest.importorskip("pandas")
    _, X = table(60, 3, 1, share=0.2)
    frame = pd.DataFrame(X, columns=list("abc"))
    model = PPCA(1).fit(frame).set_output(transform="pandas")
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    assert list(model.transform(frame).columns) == list(model.get_feature_names_out()) == ["ppca0"]
    np.testing.assert_array_equal(model.log_density(frame), PPCA(1).fit(X).log_density(X))


# ---- what is refused -----------------------------------------------------------------------------


def test_tags_say_that_gaps_are_taken() -> None:
    assert get_tags(PPCA()).input_tags.allow_nan


def test_streams_refuse_gaps_and_say_why() -> None:
    _, X = table(60, 5, 2, share=0.0)
    X[4, 2] = np.nan
    with pytest.raises(DataError, match=r"NaN at row 4, column 2: sums .* only for complete rows"):
        PPCA(2).partial_fit(X)


def test_infinity_is_refused_with_its_place_wherever_rows_come_in() -> None:
    whole, X = table(60, 5, 2, share=0.2)
    model = PPCA(2).fit(X)
    for bad in (whole.copy(), X.copy()):
        bad[3, 1] = -np.inf
        for call in (
            PPCA(2).fit,
            PPCA(2).partial_fit,
            model.log_density,
            model.transform,
            model.impute,
            model.impute_draws,
            model.posterior_covariance,
            lambda rows: model.traverse(rows[3], 0, [1.0]),
            lambda rows: model.impute_covariance(rows[3]),
        ):
            with pytest.raises(DataError, match=r"(-inf|NaN) at row \d, column \d"):
                call(bad)


def test_an_empty_column_is_named() -> None:
    _, X = table(60, 5, 2, share=0.2)
    X[:, 3] = np.nan
    with pytest.raises(DataError, match="column 3 holds no known value"):
        PPCA(2).fit(X)


def test_too_few_known_values_are_refused() -> None:
    """With one value known in each row and column more than z can meet, sigma^2 would be 0."""
    X = np.full((6, 4), np.nan)
    X[np.arange(6), np.arange(6) % 4] = np.arange(6.0)
    with pytest.raises(ModelError, match=r"n_components=1 leaves sigma\^2 = 0 .* unbounded"):
        PPCA(1).fit(X)
    line = np.outer(np.arange(1.0, 40.0), [1.0, 2.0, -1.0])  # rank 1, whatever is taken away
    line[::5, 1] = np.nan
    with pytest.raises(ModelError, match="unbounded"):
        PPCA(1).fit(line)


@pytest.mark.parametrize(("n", "d"), [(200, 6), (2000, 3)])
@pytest.mark.parametrize("share", [0.1, 0.4])
def test_columns_that_repeat_others_leave_no_noise(n: int, d: int, share: float) -> None:
    rng = np.random.default_rng(0)
    twice = np.tile(rng.normal(size=(n, d)), 2)
    X = np.where(rng.random(twice.shape) < share, np.nan, twice)
    for q in (d, d + 2):
        with pytest.raises(ModelError, match=rf"n_components={q} leaves sigma\^2 = 0 .*unbounded"):
            PPCA(q).fit(X)


def test_little_noise_is_found_whatever_hides_the_latents() -> None:
    """Where a row tells little of z, M_o is as ill-conditioned as sigma^2 is small."""
    rng = np.random.default_rng(0)
    twice = np.tile(rng.normal(size=(600, 4)), 2) + 3e-6 * rng.normal(size=(600, 8))
    X = np.where(rng.random(twice.shape) < 0.2, np.nan, twice)
    assert PPCA(4, max_iter=5000).fit(X).noise_variance_ == pytest.approx(9e-12, rel=0.1)


def test_a_fit_cut_short_warns_once() -> None:
    _, X = table(60, 5, 2, share=0.4)
    with pytest.warns(AncestralWarning, match="stopped after max_iter=3 steps") as caught:
        PPCA(2, max_iter=3).fit(X)
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tol": -1.0}, "tol must be a number, at least 0"),
        ({"tol": np.nan}, "tol must be a number"),
        ({"max_iter": 0}, "max_iter must be an integer, 1 or more"),
        ({"max_components": 3}, "max_components=3 has no effect"),
        ({"n_components": "aic"}, "got 'aic'"),
    ],
)
def test_wrong_parameters_are_named(parameters: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        PPCA(**parameters).fit(table(60, 5, 2, share=0.2)[1])


@pytest.mark.parametrize("q", [0, 1, "cv"])
@pytest.mark.parametrize("scale", [1.0, 0.1, 1e-200])
def test_constant_columns_are_refused_with_gaps_as_without(q: int | str, scale: float) -> None:
    X = np.full((5, 3), [1.0, 2.0, 3.0]) * scale
    X[1, 1] = X[2, 0] = np.nan
    with pytest.raises(ModelError, match="X has no variance"):
        PPCA(q).fit(X)
