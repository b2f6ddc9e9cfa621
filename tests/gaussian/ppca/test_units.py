"""PPCA and its mixture on tables whose columns have different units, weights, and unknown rows."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import PPCA, PPCAMixture
from ancestral.errors import AncestralWarning, DataError, ModelError, UndeterminedError
from ancestral.gaussian.ppca import missing_em
from ancestral.gaussian.ppca.missing_patterns import Factors
from ancestral.statistics import Moments
from ancestral.streaming import fit_chunks
from tests.gaussian.exact import normal_log_density
from tests.gaussian.ppca.gaps import table_of

pytestmark = pytest.mark.filterwarnings("ignore:column .* spreads")

_rng = np.random.default_rng(0)
_z = _rng.normal(size=(200, 1))
RATES = 0.05 + 0.01 * (_z @ [[1, 1, -1.0]] + 0.2 * _rng.normal(size=(200, 3)))
DOLLARS = _rng.normal(size=200)
SIZES = [1e-8, 1.0, 1e4, 1e6, 1e8, 1e12]


def table(size: float, *, gap: bool = False) -> np.ndarray:
    X = np.c_[size * (DOLLARS + 3), RATES]
    if gap:
        X[7, 2] = np.nan
    return X


# ---- densities and fits in any unit --------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_the_density_of_complete_rows_does_not_cancel(size: float) -> None:
    X = table(size)
    model = PPCA(2).fit(X)
    noise = np.full(4, model.noise_variance_)
    wanted, _ = normal_log_density(X[:10], model.mean_, model.loadings_, noise)
    np.testing.assert_allclose(model.log_density(X[:10]), wanted, rtol=1e-9, atol=1e-9)
    assert model.score(X) == pytest.approx(model.log_likelihood_ / 200, abs=1e-9)
    product = model.get_precision() @ model.get_covariance()
    units = np.sqrt(np.diag(model.get_covariance()))
    np.testing.assert_allclose(product / units * units[:, None], np.eye(4), atol=1e-6)


def test_rows_beside_dollars_have_their_known_densities() -> None:
    X = table(1e8)
    np.testing.assert_allclose(PPCA(2).fit(X).log_density(X[:3]), [-7.31, -5.93, -6.60], atol=0.005)
    for how in ("bic", "cv"):
        assert PPCA(how).fit(X).n_components_ == 2


@pytest.mark.parametrize("size", [1e3, 1e6, 1e8])
def test_the_maximum_is_that_of_exact_eigenvalues(size: float) -> None:
    mp = pytest.importorskip("mpmath")
    X = table(size)
    with mp.workdps(60):
        rows = mp.matrix(X.tolist())
        means = [mp.fsum(rows[:, j]) / 200 for j in range(4)]
        S = mp.matrix(4)
        for i in range(4):
            for j in range(4):
                products = ((r[i] - means[i]) * (r[j] - means[j]) for r in rows.tolist())
                S[i, j] = mp.fsum(products) / 200
        exact = sorted((float(v) for v in mp.eigsy(S, eigvals_only=True)), reverse=True)
    model = PPCA(2).fit(X)
    np.testing.assert_allclose(model.eigenvalues_, exact, rtol=1e-10)
    assert model.noise_variance_ == pytest.approx(np.mean(exact[2:]), rel=1e-10)


@pytest.mark.parametrize("size", [1.0, 1e3, 1e6, 1e8])
def test_one_model_and_a_gap_are_fitted_as_at_any_other_size(size: float) -> None:
    complete = PPCA(2).fit(table(size)).log_likelihood_
    assert PPCAMixture(1, 2).fit(table(size)).log_likelihood_ == pytest.approx(complete, abs=1e-6)
    # A gap costs what one rate says, whatever the dollars are.
    cost = complete - PPCA(2).fit(table(size, gap=True)).log_likelihood_
    wanted = 1263.7374779 - 1258.8385783
    if size >= 1e3:
        assert cost == pytest.approx(wanted, abs=1e-3)


def test_one_gap_does_not_stop_at_a_saddle() -> None:
    model = PPCA(2).fit(table(100, gap=True))
    assert model.log_likelihood_ == pytest.approx(1258.84, abs=0.005)
    assert model.noise_variance_ == pytest.approx(4.3e-6, rel=0.01)


def test_rates_are_imputed_beside_dollars() -> None:
    X = table(1e5)
    G = X.copy()
    G[np.random.default_rng(1).random(X.shape) < 0.05] = np.nan
    hidden = np.isnan(G)
    hidden[:, 0] = False
    error = (PPCA(2).fit(G).impute(G) - X)[hidden]
    assert np.sqrt(np.mean(error**2)) < 0.0035  # their standard deviation is 0.01


def climbed(X: np.ndarray, factors: Factors) -> float:
    """Return the log-likelihood that EM reaches from given factors."""
    rows = table_of(X)
    start = Factors(factors.mean - rows.columns.mean, factors.loadings, factors.noise)
    found = missing_em._ascend(rows, start, tol=1e-10, max_iter=3000)
    return float(found.history[-1])


@pytest.mark.parametrize("scales", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("seed", range(4))
def test_no_other_start_ends_higher(seed: int, scales: float) -> None:
    rng = np.random.default_rng(seed)
    n, d, q = 200, 6, 2
    X = rng.normal(size=(n, q)) @ rng.normal(size=(q, d)) + 0.5 * rng.normal(size=(n, d))
    X *= 10.0 ** rng.uniform(-scales, scales, size=d)
    G = np.where(rng.random(X.shape) < 0.35, np.nan, X)
    G = G[~np.isnan(G).all(axis=1)]
    reached, whole, sd = PPCA(q).fit(G).log_likelihood_, PPCA(q).fit(X), np.nanstd(G, axis=0)
    others = [climbed(G, whole._factors)]
    for start in range(20):
        draw = np.random.default_rng(start)
        noise = float(np.median(sd) ** 2 * 10.0 ** draw.uniform(-3, 0))
        others.append(
            climbed(
                G, Factors(np.nanmean(G, axis=0), draw.normal(size=(d, q)) * sd[:, None], noise)
            )
        )
    assert max(others) <= reached + 1e-4 * len(G)


def test_a_column_of_loadings_that_vanished_is_filled_again() -> None:
    X = table(100, gap=True)
    whole = PPCA(2).fit(table(100))
    saddle = Factors(whole.mean_, whole.loadings_ * [1.0, 1e-10], 9.5e-5)
    rows = table_of(X)
    start = Factors(saddle.mean - rows.columns.mean, saddle.loadings, saddle.noise)
    found = missing_em._climb(rows, start, tol=1e-9, max_iter=1000)
    assert found.history[-1] == pytest.approx(1258.84, abs=0.005)


# ---- what is refused and said --------------------------------------------------------------------


def test_eigenvalues_far_below_the_largest_are_not_equal() -> None:
    PPCA(2).fit(table(1e6))  # warns of nothing: warnings are errors
    PPCA(2).fit(table(1e12))


@pytest.mark.filterwarnings("default:column .* spreads")
def test_units_far_apart_are_said_and_standardising_them_is_not() -> None:
    for model in (PPCA(2), PPCAMixture(1, 2)):
        for gap in (False, True) if isinstance(model, PPCA) else (False,):
            with pytest.warns(AncestralWarning, match="standardize=True"):
                model.fit(table(100, gap=gap))
            model.set_params(standardize=True).fit(table(100, gap=gap))
            model.set_params(standardize=False)


@pytest.mark.filterwarnings("default:column .* spreads")
def test_warnings_call_columns_by_their_names() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(table(100), columns=[f"c{j}" for j in range(table(100).shape[1])])
    spread = frame.std()
    for model in (PPCA(2), PPCAMixture(1, 2)):
        with pytest.warns(AncestralWarning, match=f"column '{spread.idxmax()}' spreads") as said:
            model.fit(frame)
        assert f"as far as column '{spread.idxmin()}'" in str(said[0].message)
    with pytest.warns(AncestralWarning, match=r"columns are constant \('c0'\)"):
        PPCA(2, standardize=True).fit(frame.assign(c0=1.0))


@pytest.mark.parametrize("how", ["bic", "minka", "cv"])
def test_a_rank_that_bounds_the_choice_is_said(how: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2)) @ rng.normal(size=(2, 5))
    with pytest.warns(AncestralWarning, match="no more can be: .* rank 2 in 5 columns"):
        assert PPCA(how).fit(X).n_components_ == 1
    with pytest.raises(UndeterminedError, match="rank 2"):
        PPCA(2).fit(X)


def test_exact_rank_is_seen_in_any_units() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2)) @ rng.normal(size=(2, 5)) * np.logspace(-6, 6, 5)
    with pytest.raises(UndeterminedError, match="rank 2"):
        PPCA(2).fit(X)


def test_values_too_small_to_square_are_refused() -> None:
    for model in (PPCA(2), PPCAMixture(1, 2)):
        with pytest.raises(ModelError, match="vanish when squared: rescale"):
            model.fit(table(1.0) * 1e-300)


def test_choosing_by_folds_after_another_choice_is_refused() -> None:
    model = PPCA(1).partial_fit(table(1.0)[:100])
    model.set_params(n_components="cv")
    with pytest.raises(ModelError, match="Stream all rows through a new model"):
        model.partial_fit(table(1.0)[100:])
    chosen = PPCA("cv").partial_fit(table(1.0)[:100]).set_params(n_components=2)
    chosen.partial_fit(table(1.0)[100:])
    assert chosen.log_likelihood_ == pytest.approx(PPCA(2).fit(table(1.0)).log_likelihood_)


# ---- rows that count more than once, or not at all ----------------------------------------------


@pytest.mark.parametrize(
    "model",
    [PPCA(2), PPCA(2, standardize=True), PPCA("cv"), PPCAMixture(2, 1, random_state=0)],
    ids=repr,
)
@pytest.mark.parametrize("gaps", [False, True])
def test_weights_are_frequencies(model: Any, gaps: bool) -> None:
    if gaps and model.n_components == "cv":
        model = PPCA(1)  # entries are dealt to folds by place
    X = table(0.05, gap=gaps)
    weights = np.random.default_rng(2).integers(0, 4, size=200)
    repeated = model.fit(np.repeat(X, weights, axis=0))
    k, wanted = repeated.n_parameters_, repeated.log_likelihood_
    again = np.repeat(X, weights, axis=0)
    wanted_bic, wanted_score = repeated.bic(again), repeated.score(again)
    weighted = model.fit(X, sample_weight=weights)
    near = {"rel": 1e-3 if isinstance(model, PPCAMixture) else 1e-8}
    assert weighted.log_likelihood_ == pytest.approx(wanted, **near)
    assert weighted.score(X, sample_weight=weights) == pytest.approx(wanted_score, **near)
    assert weighted.bic(X, sample_weight=weights) == pytest.approx(wanted_bic, **near)
    total = weights @ weighted.log_density(X)
    assert weighted.aic(X, sample_weight=weights) == pytest.approx(2 * k - 2 * total, rel=1e-12)
    if isinstance(model, PPCA):
        assert weighted.n_samples_ == weights.sum()


@pytest.mark.parametrize("gap", [False, True])
def test_rows_of_which_nothing_is_known_count_for_nothing(gap: bool) -> None:
    X = table(1.0, gap=gap)
    more = np.concatenate([X, np.full((800, 4), np.nan)])
    alone, among = PPCA(2).fit(X), PPCA(2).fit(more)
    assert (among.n_samples_, among.n_missing_) == (200, int(gap))
    assert among.log_likelihood_ == alone.log_likelihood_
    assert among.bic(more) == alone.bic(X)
    assert among.score(more) == alone.score(X)
    assert (among.log_density(more)[200:] == 0).all()
    mixture = PPCAMixture(2, 1, random_state=0).fit(table(1.0))
    assert mixture.bic(more) == pytest.approx(mixture.bic(X), rel=1e-12)
    with pytest.raises(DataError, match="nothing is known of any row"):
        among.score(more[200:])


# ---- standardised -------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [False, True])
def test_standardising_is_fitting_the_scaled_table(gap: bool, tmp_path: Any) -> None:
    X = table(1e6, gap=gap)
    model = PPCA(1, standardize=True).fit(X)
    s = model.scale_
    np.testing.assert_allclose(s, np.nanstd(X, axis=0), rtol=1e-12)
    inner = PPCA(1).fit(X / s)
    np.testing.assert_allclose(
        model.log_density(X), inner.log_density(X / s) - (~np.isnan(X)) @ np.log(s), rtol=1e-7
    )
    assert model.log_likelihood_ == pytest.approx(model.score(X) * 200, rel=1e-10)
    np.testing.assert_allclose(model.impute(X), inner.impute(X / s) * s, rtol=1e-5)
    np.testing.assert_allclose(model.reconstruct(X), inner.reconstruct(X / s) * s, rtol=1e-5)
    np.testing.assert_allclose(
        model.get_covariance(), inner.get_covariance() * np.outer(s, s), rtol=1e-5
    )
    again = ancestral.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.log_density(X), model.log_density(X))
    assert not hasattr(model.set_params(standardize=False).fit(X), "scale_")


def test_a_standardised_stream_is_the_fit() -> None:
    X = table(1e6)
    parts = [X[i : i + 30] for i in range(0, 200, 30)]
    whole = PPCA(2, standardize=True).fit(X)
    streamed = fit_chunks(PPCA(2, standardize=True), parts)
    np.testing.assert_allclose(streamed.log_density(X), whole.log_density(X), rtol=1e-9)


def test_streams_in_mixed_units_are_the_fit() -> None:
    X = table(1e8)
    parts = [X[i : i + 30] for i in range(0, 200, 30)]
    whole, streamed = PPCA(2).fit(X), fit_chunks(PPCA(2), parts)
    np.testing.assert_allclose(streamed.eigenvalues_, whole.eigenvalues_, rtol=1e-9)


@pytest.mark.skipif(os.environ.get("SCIPY_ARRAY_API") != "1", reason="scipy dispatches no arrays")
def test_arrays_of_another_library_are_right_in_any_units() -> None:
    torch = pytest.importorskip("torch")
    sklearn = pytest.importorskip("sklearn")
    X = table(1e8)
    for standardize in (False, True):
        here = PPCA(2, standardize=standardize).fit(X)
        with sklearn.config_context(array_api_dispatch=True):
            there = PPCA(2, standardize=standardize).fit(torch.asarray(X))
            values = there.log_density(torch.asarray(X)).numpy()
            z = there.transform(torch.asarray(X)).numpy()
        np.testing.assert_allclose(values, here.log_density(X), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(z, here.transform(X), rtol=1e-6, atol=1e-9)


def test_moments_keep_small_columns() -> None:
    X = table(1e10)
    eigenvalues, _ = Moments.of(X).eigen()
    small, _ = Moments.of(X[:, 1:]).eigen()
    np.testing.assert_allclose(eigenvalues[1:3] / small[:2], 1.0, atol=0.05)
