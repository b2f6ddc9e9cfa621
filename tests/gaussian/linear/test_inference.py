"""What a line's fit says of itself: weights, several targets, intervals, HC3, summary, chunks."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import ancestral
from ancestral import LinearGaussian, datasets, streaming
from ancestral.errors import AncestralWarning, DataError, ModelError

# A right interval fails a coverage test by chance once in 10,000 runs; the seeds are fixed.
FALSE_ALARM = 1e-4


def pairs(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)) * [1.0, 20.0, 0.1] + [0.0, 5.0, -3.0]
    y = X @ [1.0, -0.2, 4.0] + 2 + rng.normal(size=n)
    return X, y, rng.uniform(0.2, 3.0, size=n)


def parameters(model: LinearGaussian) -> np.ndarray:
    return np.r_[model.intercept_, model.coef_] if model.fit_intercept else model.coef_


def covers(hits: int, trials: int, level: float) -> bool:
    """Tell whether so many hits are no surprise at this level of coverage."""
    return bool(stats.binomtest(hits, trials, level).pvalue > FALSE_ALARM)


# ---- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_weights_agree_with_statsmodels(fit_intercept: bool) -> None:
    sm = pytest.importorskip("statsmodels.api")
    X, y, w = pairs()
    model = LinearGaussian(fit_intercept).fit(X, y, sample_weight=w)
    A = sm.add_constant(X) if fit_intercept else X
    theirs = sm.WLS(y, A, weights=w).fit()
    np.testing.assert_allclose(parameters(model), theirs.params, rtol=1e-9)
    np.testing.assert_allclose(model.standard_errors_, theirs.bse, rtol=1e-9)
    assert model.residual_std_**2 == pytest.approx(theirs.scale, rel=1e-10)
    assert model.log_likelihood_ == pytest.approx(theirs.llf, rel=1e-12)
    k = len(theirs.params)  # statsmodels leaves sigma^2 out of its count of parameters
    assert model.aic(X, y, w) == pytest.approx(theirs.aic + 2, rel=1e-12)
    assert model.bic(X, y, sample_weight=w) == pytest.approx(theirs.bic + np.log(60), rel=1e-12)
    assert model.n_parameters_ == k + 1
    frame = theirs.get_prediction(A, weights=w).summary_frame(alpha=0.1)
    wanted = frame[["obs_ci_lower", "obs_ci_upper"]].to_numpy().T
    found = model.prediction_interval(X, level=0.9, sample_weight=w)
    np.testing.assert_allclose(found, wanted, rtol=1e-8)
    assert model.r_squared_ == pytest.approx(theirs.rsquared, rel=1e-10)
    robust = model.robust_standard_errors(X, y, sample_weight=w)
    np.testing.assert_allclose(robust, theirs.HC3_se, rtol=1e-8)


def test_no_nudge_raises_the_weighted_likelihood() -> None:
    X, y, w = pairs()
    model = LinearGaussian().fit(X, y, sample_weight=w)
    best = model.log_density(X, y, sample_weight=w).sum()
    assert model.log_likelihood_ == pytest.approx(best, rel=1e-12)
    kept = model.coef_.copy(), model.intercept_, model.noise_variance_
    rng = np.random.default_rng(0)
    for _ in range(50):
        model.coef_ = kept[0] + 0.01 * rng.normal(size=3)
        model.intercept_ = kept[1] + 0.01 * rng.normal()
        model.noise_variance_ = kept[2] * np.exp(0.02 * rng.normal())
        assert model.log_density(X, y, sample_weight=w).sum() < best


@pytest.mark.parametrize("scale", [1e-12, 3.7, 1e12, 1e-290, 5e307])
def test_weights_on_another_scale_change_the_variance_of_weight_one_alone(scale: float) -> None:
    """Also where their sum overflows."""
    X, y, w = pairs()
    plain = LinearGaussian().fit(X, y, sample_weight=w)
    scaled = LinearGaussian().fit(X, y, sample_weight=w * scale)
    for name in ("coef_", "intercept_", "standard_errors_"):
        np.testing.assert_allclose(getattr(scaled, name), getattr(plain, name), rtol=1e-12)
    for name in ("log_likelihood_", "r_squared_"):
        np.testing.assert_allclose(getattr(scaled, name), getattr(plain, name), rtol=1e-10)
    assert scaled.noise_variance_ == pytest.approx(scale * plain.noise_variance_, rel=1e-12)
    np.testing.assert_allclose(
        scaled.log_density(X, y, w * scale), plain.log_density(X, y, w), rtol=1e-9
    )
    np.testing.assert_allclose(
        scaled.prediction_interval(X, sample_weight=w * scale),
        plain.prediction_interval(X, sample_weight=w),
        rtol=1e-9,
    )
    np.testing.assert_allclose(
        scaled.robust_standard_errors(X, y, w * scale), plain.robust_standard_errors(X, y, w)
    )


def test_a_variance_that_float64_does_not_hold_is_refused() -> None:
    X, y, w = pairs()
    with pytest.raises(DataError, match=r"weight 1 is .*, which float64 does not hold"):
        LinearGaussian().fit(X, y, sample_weight=w * 1e-308)


def test_noise_that_grows_with_x_has_the_likelihood_of_its_density() -> None:
    """Deviations of 1 + x with weights 1 / (1 + x)^2: -614.3 nats and AIC 1234.5, by hand."""
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 10, 200)
    w = 1 / (x + 1) ** 2
    y = 2 * x + (x + 1) * rng.normal(size=200)
    X = x[:, None]
    model = LinearGaussian().fit(X, y, sample_weight=w)
    assert model.log_likelihood_ == pytest.approx(-614.3, abs=0.05)
    by_hand = stats.norm(model.predict(X), np.sqrt(model.noise_variance_ / w)).logpdf(y).sum()
    assert model.log_likelihood_ == pytest.approx(by_hand, rel=1e-12)
    assert model.aic(X, y, sample_weight=w) == pytest.approx(1234.5, abs=0.05)
    assert f"AIC {model.aic(X, y, w):.6g}, BIC {model.bic(X, y, w):.6g}" in model.summary()
    assert model.noise_variance_ == pytest.approx(1.0, abs=0.3)  # of a row of weight 1


def test_intervals_of_new_rows_take_their_weights() -> None:
    """Where x > 8, 20,000 new targets: 95% to within chance, and far fewer without weights."""
    rng = np.random.default_rng(3)

    def draw(n: int, low: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x = rng.uniform(low, 10, n)
        return x[:, None], 2 * x + (x + 1) * rng.normal(size=n), 1 / (x + 1) ** 2

    X, y, w = draw(20_000, 0.0)
    model = LinearGaussian().fit(X, y, sample_weight=w)
    new, target, weights = draw(20_000, 8.0)
    low, high = model.prediction_interval(new, sample_weight=weights)
    share = ((low < target) & (target < high)).mean()
    assert abs(share - 0.95) < 0.01  # 6 standard errors of the share and of sigma
    low, high = model.prediction_interval(new)
    assert ((low < target) & (target < high)).mean() < 0.3
    low, high = model.prediction_interval(new[:2], sample_weight=[1.0, 0.0])
    assert np.isfinite([low[0], high[0]]).all() and (low[1], high[1]) == (-np.inf, np.inf)


def test_several_targets_have_weights_too() -> None:
    X, Y = several()
    w = np.random.default_rng(2).uniform(0.1, 5, size=80)
    model = LinearGaussian().fit(X, Y, sample_weight=w)
    wanted = [
        stats.multivariate_normal(mean, model.noise_covariance_ / weight).logpdf(row)
        for mean, row, weight in zip(model.predict(X), Y, w)
    ]
    np.testing.assert_allclose(model.log_density(X, Y, sample_weight=w), wanted, rtol=1e-9)
    assert model.log_likelihood_ == pytest.approx(np.sum(wanted), rel=1e-12)
    _, std = model.predict(X, return_std=True, sample_weight=w)
    np.testing.assert_allclose(std, np.sqrt(np.outer(1 / w, model.noise_variance_)), rtol=1e-12)
    assert model.sample(X, 4, random_state=0, sample_weight=w).shape == (4, 80, 3)
    many = model.sample(X[:1], 20_000, random_state=0, sample_weight=w[:1])[:, 0]
    z = (many - model.predict(X[:1])) @ np.linalg.inv(np.linalg.cholesky(model.noise_covariance_)).T
    assert stats.kstest((z * np.sqrt(w[0])).ravel(), stats.norm.cdf).pvalue > FALSE_ALARM


def test_rows_of_weight_zero_say_nothing() -> None:
    X, y, w = pairs()
    w[::3] = 0
    kept = w > 0
    model = LinearGaussian().fit(X, y, sample_weight=w)
    assert (model.log_density(X, y, w)[~kept] == 0).all()
    assert model.bic(X, y, w) == pytest.approx(model.bic(X[kept], y[kept], w[kept]), rel=1e-14)
    assert model.score(X, y, w) == pytest.approx(model.score(X[kept], y[kept], w[kept]), rel=1e-14)
    assert np.isinf(model.predict(X, return_std=True, sample_weight=w)[1][~kept]).all()
    with pytest.raises(DataError, match="sample_weight holds 0 at row 0: its variance is infinite"):
        model.sample(X, sample_weight=w)


def test_equal_weights_are_none_and_zero_weights_are_no_rows() -> None:
    X, y, w = pairs()
    plain, equal = LinearGaussian().fit(X, y), LinearGaussian().fit(X, y, np.full(len(y), 7.3))
    np.testing.assert_allclose(parameters(equal), parameters(plain), rtol=1e-13)
    np.testing.assert_allclose(equal.standard_errors_, plain.standard_errors_, rtol=1e-12)
    w[::3] = 0
    absent, gone = LinearGaussian().fit(X, y, w), LinearGaussian().fit(X[w > 0], y[w > 0], w[w > 0])
    np.testing.assert_array_equal(parameters(absent), parameters(gone))
    np.testing.assert_array_equal(absent.standard_errors_, gone.standard_errors_)
    assert absent.n_samples_ == gone.n_samples_ == (w > 0).sum()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.r_[np.ones(59), -1.0], "sample_weight holds -1 at row 59"),
        (np.r_[np.nan, np.ones(59)], "sample_weight holds nan at row 0"),
        (np.ones(7), r"must have shape \(60,\), one per row of X; got \(7,\)"),
        (np.zeros(60), "every sample_weight is zero"),
        (["a"] * 60, "sample_weight holds 'a' at row 0"),
    ],
)
def test_bad_weights_are_named(weights: Any, message: str) -> None:
    X, y, _ = pairs()
    with pytest.raises(DataError, match=message):
        LinearGaussian().fit(X, y, sample_weight=weights)


# ---- several targets -----------------------------------------------------------------------------


def several(n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    X, y, _ = pairs(n)
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(n, 3)) @ np.array([[1.0, 0.8, 0.0], [0.0, 0.5, 0.3], [0, 0, 2.0]])
    return X, np.column_stack([y, -2 * y, X[:, 0]]) + noise


def test_each_of_several_targets_is_fitted_as_if_alone() -> None:
    X, Y = several()
    model = LinearGaussian().fit(X, Y)
    assert model.coef_.shape == (3, 3) and model.standard_errors_.shape == (3, 4)
    for j in range(3):
        alone = LinearGaussian().fit(X, Y[:, j])
        np.testing.assert_allclose(model.coef_[j], alone.coef_, rtol=1e-13)
        np.testing.assert_allclose(model.standard_errors_[j], alone.standard_errors_, rtol=1e-12)
        for name in ("intercept_", "noise_variance_", "residual_std_", "r_squared_"):
            assert getattr(model, name)[j] == pytest.approx(getattr(alone, name), rel=1e-12)
    mean, std = model.predict(X, return_std=True)
    assert mean.shape == std.shape == Y.shape
    low, high = model.prediction_interval(X)
    wanted = LinearGaussian().fit(X, Y[:, 1]).prediction_interval(X)
    np.testing.assert_allclose(np.stack([low[:, 1], high[:, 1]]), wanted, rtol=1e-12)


def test_the_density_of_several_targets_is_their_joint_normal() -> None:
    X, Y = several()
    model = LinearGaussian().fit(X, Y)
    residual = Y - model.predict(X)
    np.testing.assert_allclose(model.noise_covariance_, residual.T @ residual / len(Y), rtol=1e-10)
    wanted = stats.multivariate_normal(np.zeros(3), model.noise_covariance_).logpdf(residual)
    np.testing.assert_allclose(model.log_density(X, Y), wanted, rtol=1e-10)
    assert model.log_likelihood_ == pytest.approx(wanted.sum(), rel=1e-12)
    assert model.n_parameters_ == 3 * 4 + 6
    assert model.bic(X, Y) == pytest.approx(18 * np.log(80) - 2 * wanted.sum(), rel=1e-12)


def test_no_nudge_raises_the_joint_likelihood() -> None:
    X, Y = several()
    model = LinearGaussian().fit(X, Y)
    best = model.log_density(X, Y).sum()
    coef, intercept, covariance = model.coef_, model.intercept_, model.noise_covariance_
    rng = np.random.default_rng(0)
    for _ in range(50):
        model.coef_ = coef + 0.01 * rng.normal(size=(3, 3))
        model.intercept_ = intercept + 0.01 * rng.normal(size=3)
        M = np.eye(3) + 0.02 * rng.normal(size=(3, 3))
        model.noise_covariance_ = M @ covariance @ M.T
        assert model.log_density(X, Y).sum() < best


def test_draws_of_several_targets_fit_their_joint_normal() -> None:
    X, Y = several()
    model = LinearGaussian().fit(X, Y)
    many = np.repeat(X, 60, axis=0)
    residual = model.sample(many, random_state=0) - model.predict(many)
    distance = np.einsum(
        "ij,ij->i", residual, np.linalg.solve(model.noise_covariance_, residual.T).T
    )
    assert stats.kstest(distance, stats.chi2(3).cdf).pvalue > FALSE_ALARM
    for j in range(3):
        z = residual[:, j] / np.sqrt(model.noise_variance_[j])
        assert stats.kstest(z, stats.norm.cdf).pvalue > FALSE_ALARM


def test_a_table_of_one_target_stays_a_table(tmp_path: Path) -> None:
    X, y, _ = pairs()
    flat, table = LinearGaussian().fit(X, y), LinearGaussian().fit(X, y[:, None])
    assert table.coef_.shape == (1, 3) and table.predict(X).shape == (60, 1)
    np.testing.assert_array_equal(table.log_density(X, y[:, None]), table.log_density(X, y))
    np.testing.assert_allclose(table.log_density(X, y), flat.log_density(X, y), rtol=1e-12)
    X, Y = several()
    model = LinearGaussian().fit(X, Y)
    again = ancestral.load(model.save(tmp_path / "lines"))
    np.testing.assert_array_equal(again.log_density(X, Y), model.log_density(X, Y))
    assert model.fit(X, Y[:, 0]).coef_.shape == (3,)
    assert not hasattr(model, "noise_covariance_")


def test_targets_without_a_joint_density_say_so() -> None:
    X, Y = several()
    with pytest.warns(
        AncestralWarning, match="3 targets are linearly dependent"
    ):  # two that add up to the third
        model = LinearGaussian().fit(X, np.column_stack([Y[:, :2], Y[:, :2].sum(axis=1)]))
    with pytest.raises(ModelError, match="unbounded"):
        model.log_density(X, Y)
    with pytest.raises(ModelError, match="column 1 of y is constant"):
        LinearGaussian().fit(X, np.column_stack([Y[:, 0], np.ones(80)]))
    with pytest.raises(DataError, match=r"targets of shape \(3,\) per row; y has \(2,\)"):
        LinearGaussian().fit(X, Y).log_density(X, Y[:, :2])


# ---- intervals -----------------------------------------------------------------------------------


def test_intervals_agree_with_statsmodels() -> None:
    sm = pytest.importorskip("statsmodels.api")
    X, y, _ = datasets.diabetes()
    model, theirs = LinearGaussian().fit(X, y), sm.OLS(y, sm.add_constant(X)).fit()
    new = X[:40] + 0.3
    frame = theirs.get_prediction(sm.add_constant(new)).summary_frame(alpha=0.1)
    wanted = frame[["mean_ci_lower", "mean_ci_upper"]].to_numpy().T
    np.testing.assert_allclose(model.confidence_interval(new, level=0.9), wanted, rtol=1e-8)
    wanted = frame[["obs_ci_lower", "obs_ci_upper"]].to_numpy().T
    np.testing.assert_allclose(model.prediction_interval(new, level=0.9), wanted, rtol=1e-8)
    wanted = theirs.conf_int(alpha=0.01).T
    np.testing.assert_allclose(model.coefficient_intervals(level=0.99), wanted, rtol=1e-8)
    np.testing.assert_allclose(model.robust_standard_errors(X, y), theirs.HC3_se, rtol=1e-8)


def quiet_fit(X: np.ndarray, Y: np.ndarray, w: np.ndarray | None = None) -> LinearGaussian:
    """Fit many simulated targets at once: they have no joint density, which is beside the point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        return LinearGaussian().fit(X, Y, sample_weight=w)


@pytest.mark.parametrize("weighted", [False, True])
def test_intervals_cover_as_often_as_they_say(weighted: bool) -> None:
    """Exactly, at eight rows and four coefficients: a normal quantile would cover 85%."""
    rng = np.random.default_rng(3)
    X, new = rng.normal(size=(8, 3)), rng.normal(size=(1, 3))
    w = rng.uniform(0.1, 5, size=8) if weighted else np.ones(8)
    coef, trials = np.array([1.0, -2.0, 0.5]), 1000
    noise = rng.normal(size=(8, trials)) / np.sqrt(w / w.mean())[:, None]
    model = quiet_fit(X, (X @ coef)[:, None] + 3 + noise, w)
    mean = float(new[0] @ coef + 3)
    low, high = model.confidence_interval(new)
    assert covers(int(((low < mean) & (mean < high)).sum()), trials, 0.95)
    low, high = model.prediction_interval(new)
    drawn = mean + np.sqrt(w.mean()) * rng.normal(size=trials)  # of weight 1
    assert covers(int(((low < drawn) & (drawn < high)).sum()), trials, 0.95)
    low, high = model.coefficient_intervals()
    for j, true in enumerate([3.0, *coef]):
        assert covers(int(((low[:, j] < true) & (true < high[:, j])).sum()), trials, 0.95)


def test_robust_intervals_cover_where_the_variance_differs() -> None:
    """Noise that grows with x: the model's own errors are too small for the slope, HC3's not."""
    rng = np.random.default_rng(4)
    x, trials = np.linspace(-1, 1, 200)[:, None], 800
    spread = 0.1 + 3 * x**2
    Y = 2 * x + spread * rng.normal(size=(200, trials))
    model = quiet_fit(x, Y)
    error, t = np.abs(model.coef_[:, 0] - 2), stats.t.isf(0.025, 198)
    own = error < t * model.standard_errors_[:, 1]
    robust = error < t * model.robust_standard_errors(x, Y)[:, 1]
    assert covers(int(robust.sum()), trials, 0.95)
    assert not covers(int(own.sum()), trials, 0.95)


@pytest.mark.parametrize("level", [0, 1, 95, -0.5, "a", np.nan])
def test_a_level_is_a_probability(level: Any) -> None:
    X, y, _ = pairs()
    model = LinearGaussian().fit(X, y)
    for ask in (model.coefficient_intervals, lambda level: model.confidence_interval(X, level)):
        with pytest.raises(ModelError, match="level must be"):
            ask(level)


def test_without_degrees_of_freedom_there_are_no_intervals() -> None:
    X, y, _ = pairs(4)
    with pytest.warns(AncestralWarning, match="exact"):
        model = LinearGaussian().fit(X, y)
    with pytest.raises(ModelError, match="no degrees of freedom"):
        model.confidence_interval(X)


def test_robust_errors_want_the_rows_of_fit() -> None:
    X, y, _ = pairs()
    model = LinearGaussian().fit(X, y)
    with pytest.raises(DataError, match="fitted to 60 rows, these are 59"):
        model.robust_standard_errors(X[1:], y[1:])
    with pytest.raises(DataError, match="X or the weights are not those"):
        model.robust_standard_errors(2 * X[::-1], y)
    with pytest.raises(DataError, match="X or the weights are not those"):
        model.robust_standard_errors(X, y, np.arange(1.0, 61.0))
    with pytest.raises(DataError, match="y is not what the model was fitted to"):
        model.robust_standard_errors(X[::-1], y)
    np.testing.assert_allclose(
        model.robust_standard_errors(X[::-1], y[::-1]), model.robust_standard_errors(X, y)
    )
    alone = np.column_stack([X, np.arange(60) == 17])
    model = LinearGaussian().fit(alone, y)
    with pytest.raises(ModelError, match="row 17 has leverage 1"):
        model.robust_standard_errors(alone, y)


def test_what_is_not_identified_has_no_robust_error_either() -> None:
    X, y, _ = pairs()
    twice = np.column_stack([X, X[:, 0]])
    with pytest.warns(AncestralWarning, match="column 3"):
        model = LinearGaussian().fit(twice, y)
    robust = model.robust_standard_errors(twice, y)
    assert np.isnan(robust[4]) and np.isnan(model.coefficient_intervals()[0][4])
    np.testing.assert_allclose(
        robust[:4], LinearGaussian().fit(X, y).robust_standard_errors(X, y), rtol=1e-9
    )
    assert model.summary().splitlines()[8].split()[:4] == ["column", "3", "0", "-"]


# ---- summary -------------------------------------------------------------------------------------


def test_the_summary_says_what_was_found() -> None:
    X, y, names = datasets.diabetes()
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=names)
    model = LinearGaussian().fit(frame, y)
    text = model.summary(robust=model.robust_standard_errors(frame, y))
    lines = text.splitlines()
    assert lines[0].startswith("LinearGaussian: y | x ~ N(w . x + b, sigma^2)")
    assert "442 rows, 10 independent columns, 431 degrees of freedom" in lines[1]
    head = lines[3].split()
    assert head == ["estimate", "std.", "error", "HC3", "t", "P(>|t|)", "95%", "from", "to"]
    assert lines[4].startswith("intercept") and lines[5].startswith("age")
    cells = lines[6].split()  # sex: the published table of the data has -22.8596 and 5.8358
    assert cells[1:3] == [f"{model.coef_[1]:.6g}", f"{model.standard_errors_[2]:.6g}"]
    assert f"log-likelihood {model.log_likelihood_:.6g} nats" in lines[-1]
    assert f"AIC {model.aic(frame, y):.6g}, BIC {model.bic(frame, y):.6g}" in lines[-1]
    assert len({len(line) for line in lines[4:15]}) <= 2  # aligned
    with pytest.raises(DataError, match="robust must have shape"):
        model.summary(robust=[1.0, 2.0])


def test_the_summary_of_several_targets_has_a_table_for_each() -> None:
    X, Y = several()
    text = LinearGaussian().fit(X, Y).summary(level=0.9)
    assert [line for line in text.splitlines() if line.startswith("target")] == [
        "target 0", "target 1", "target 2"
    ]  # fmt: skip
    assert "90% from" in text


# ---- chunks --------------------------------------------------------------------------------------


def test_chunks_with_weights_and_several_targets_give_the_model_of_fit() -> None:
    X, Y = several()
    w = np.random.default_rng(5).uniform(0, 2, size=80)
    w[10:13] = 0
    for y in (Y, Y[:, 0]):
        whole, parts = LinearGaussian().fit(X, y, w), LinearGaussian()
        for rows in (slice(0, 3), slice(3, 30), slice(30, 31), slice(31, 80)):
            parts.partial_fit(X[rows], y[rows], sample_weight=w[rows])
        triples = ((X[i : i + 17], y[i : i + 17], w[i : i + 17]) for i in range(0, 80, 17))
        for model in (parts, streaming.fit_chunks(LinearGaussian(), triples)):
            for name in ("coef_", "intercept_", "standard_errors_", "noise_variance_"):
                np.testing.assert_allclose(getattr(model, name), getattr(whole, name), rtol=1e-11)
            assert model.log_likelihood_ == pytest.approx(whole.log_likelihood_, rel=1e-12)
            assert (model.n_samples_, model.rank_) == (whole.n_samples_, whole.rank_)
            low, high = model.prediction_interval(X)
            np.testing.assert_allclose([low, high], whole.prediction_interval(X), rtol=1e-10)


def test_chunks_must_agree_on_their_targets() -> None:
    X, Y = several()
    model = LinearGaussian().partial_fit(X[:40], Y[:40])
    with pytest.raises(DataError, match=r"\(3,\) per row in one chunk, \(2,\) in another"):
        model.partial_fit(X[40:], Y[40:, :2])


def test_a_first_chunk_may_be_too_short() -> None:
    X, y, _ = pairs()
    model = LinearGaussian().partial_fit(X[:3], y[:3])
    with pytest.raises(ModelError, match="call fit first"):
        model.predict(X)
    model.partial_fit(X[3:], y[3:])
    np.testing.assert_allclose(
        parameters(model), parameters(LinearGaussian().fit(X, y)), rtol=1e-12
    )


def test_warnings_point_at_the_caller() -> None:
    X, y, _ = pairs()
    twice = np.column_stack([X, X[:, 0]])
    for call in (LinearGaussian().fit, LinearGaussian().partial_fit):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call(twice, y)
        assert [w.filename for w in caught] == [__file__]
