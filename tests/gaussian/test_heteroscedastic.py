"""Regression with a variance that depends on x: gradient, maximum, errors, coverage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from ancestral import HeteroscedasticGaussian, LinearGaussian
from ancestral._numerics import threads
from ancestral.errors import AncestralWarning, ModelError
from ancestral.gaussian import costs
from ancestral.gaussian.slopes import Rows, Slopes, Weights, exact_root
from ancestral.training.parts import Held

# A right interval fails a coverage test by chance once in 10,000 runs; the seeds are fixed.
FALSE_ALARM = 1e-4
W, B, V, C = np.array([1.0, -2.0]), 3.0, np.array([0.8, -0.4]), -1.0


def pairs(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, size=(n, 2))
    return X, X @ W + B + np.exp(0.5 * (X @ V + C)) * rng.normal(size=n)


def all_parameters(model: HeteroscedasticGaussian) -> np.ndarray:
    return np.r_[model.intercept_, model.coef_, model.variance_intercept_, model.variance_coef_]


def log_likelihood(theta: np.ndarray, X: np.ndarray, y: np.ndarray) -> float:
    """Written down once more, from the model's equation."""
    A = np.column_stack([np.ones(len(X)), X])
    mean, log_variance = A @ theta[:3], A @ theta[3:]
    return float(stats.norm(mean, np.exp(log_variance / 2)).logpdf(y).sum())


@pytest.mark.filterwarnings("error")
def test_the_density_far_out_comes_from_the_log_variance() -> None:
    X, y = pairs()
    model = HeteroscedasticGaussian().fit(X, y)
    model.coef_, model.intercept_ = np.zeros(2), 0.0
    model.variance_coef_, model.variance_intercept_ = np.array([1.0, 0.0]), 0.0
    far = np.array([[1e4, 0.0], [-1400.0, 0.0], [-1400.0, 0.0]])
    wanted = -0.5 * np.log(2 * np.pi) + np.array([-5000.0, 700.0, 700.0 - 0.5 * np.exp(20.0)])
    y = np.array([1.0, 0.0, np.exp(-690.0)])
    np.testing.assert_allclose(model.log_density(far, y), wanted, rtol=1e-9)


# ---- the maximum ---------------------------------------------------------------------------------


def test_the_steps_are_the_gradient_over_fishers_information() -> None:
    """At any point: g by differences of log L, I from its definition."""
    rng = np.random.default_rng(1)
    X, y = pairs(40)
    Q = np.linalg.qr(np.column_stack([np.ones(40), X]))[0]
    S = np.linalg.qr(np.column_stack([np.ones(40), X, X[:, 0] ** 2]))[0]
    theta = np.r_[Q.T @ y, -S.sum(axis=0)] + rng.normal(size=7)

    model, rows = HeteroscedasticGaussian(), Rows(Q, S, y)

    def slopes(t: np.ndarray) -> Slopes:
        return model._statistics(rows, Weights(t[:3], t[3:]))

    gradient = optimize.approx_fprime(theta, lambda t: slopes(t).log_likelihood, 1e-6)
    after, size = (
        model._update(Weights(theta[:3], theta[3:]), slopes(theta)),
        slopes(theta).step_size,
    )
    step, variance_step = after.alpha - theta[:3], after.gamma - theta[3:]
    information = np.zeros((7, 7))
    information[:3, :3] = Q.T @ (np.exp(-(S @ theta[3:]))[:, None] * Q)
    information[3:, 3:] = 0.5 * S.T @ S
    wanted = np.linalg.solve(information, gradient)
    np.testing.assert_allclose(np.r_[step, variance_step], wanted, rtol=1e-4, atol=1e-5)
    assert size == pytest.approx(np.sqrt(gradient @ wanted), rel=1e-4)


def test_an_optimiser_finds_the_same_maximum() -> None:
    X, y = pairs()
    model = HeteroscedasticGaussian().fit(X, y)
    theta = all_parameters(model)
    assert model.log_likelihood_ == pytest.approx(log_likelihood(theta, X, y), rel=1e-12)
    assert model.log_density(X, y).sum() == pytest.approx(model.log_likelihood_, rel=1e-12)
    found = optimize.minimize(
        lambda t: -log_likelihood(t, X, y) / len(y), np.zeros(6), method="BFGS", tol=1e-8
    )
    np.testing.assert_allclose(theta, found.x, atol=1e-4)
    assert model.log_likelihood_ >= -found.fun * len(y) - 1e-9


def test_no_nudge_of_a_parameter_raises_the_likelihood() -> None:
    X, y = pairs()
    theta = all_parameters(HeteroscedasticGaussian().fit(X, y))
    best = log_likelihood(theta, X, y)
    for j in range(6):
        for size in (1e-3, 1e-2, 0.1):
            for sign in (-1, 1):
                nudged = theta.copy()
                nudged[j] += sign * size
                assert log_likelihood(nudged, X, y) < best


@pytest.mark.parametrize("seed", range(5))
def test_the_likelihood_never_falls_on_the_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 3)) * [1.0, 50.0, 0.02]
    y = X[:, 0] + np.exp(1.5 * X[:, 0] - 0.03 * X[:, 1]) * rng.normal(size=60)
    model = HeteroscedasticGaussian().fit(X, y)
    assert (np.diff(model.history_) > 0).all() and len(model.history_) == model.n_iter_ + 1
    assert model.log_likelihood_ == model.history_[-1]
    # It starts from least squares, whose likelihood it can only better.
    assert model.history_[0] == pytest.approx(LinearGaussian().fit(X, y).log_likelihood_, rel=1e-10)


def test_scaling_and_moving_do_what_they_should() -> None:
    X, y = pairs()
    plain = HeteroscedasticGaussian().fit(X, y)
    moved = HeteroscedasticGaussian().fit(X * [1000, 0.01] + [1e6, -3.0], 5 * y + 1e6)
    np.testing.assert_allclose(moved.coef_, 5 * plain.coef_ / [1000, 0.01], rtol=1e-6)
    np.testing.assert_allclose(moved.variance_coef_, plain.variance_coef_ / [1000, 0.01], rtol=1e-5)
    wanted = plain.log_density(X, y) - np.log(5)
    found = moved.log_density(X * [1000, 0.01] + [1e6, -3.0], 5 * y + 1e6)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_an_optimiser_finds_the_same_weighted_maximum() -> None:
    """Weights that vary with x themselves, over five decades."""
    X, y = pairs()
    w = np.exp(1.5 * X[:, 1] + np.random.default_rng(3).normal(size=len(y)))
    y = X @ W + B + (y - X @ W - B) / np.sqrt(w)
    model = HeteroscedasticGaussian().fit(X, y, sample_weight=w)
    A = np.column_stack([np.ones(len(X)), X])

    def loss(theta: np.ndarray) -> float:
        std = np.exp(A @ theta[3:] / 2) / np.sqrt(w)
        return float(-stats.norm(A @ theta[:3], std).logpdf(y).mean())

    found = optimize.minimize(loss, np.zeros(6), method="BFGS", tol=1e-8)
    np.testing.assert_allclose(all_parameters(model), found.x, atol=2e-4)
    assert model.log_likelihood_ == pytest.approx(-found.fun * len(y), abs=1e-5)
    precision = w / model.predict(X, return_std=True)[1] ** 2
    errors = np.sqrt(np.diag(np.linalg.inv(A.T @ (precision[:, None] * A))))
    np.testing.assert_allclose(model.standard_errors_, errors, rtol=1e-9)
    errors = np.sqrt(np.diag(np.linalg.inv(0.5 * A.T @ A)))
    np.testing.assert_allclose(model.variance_standard_errors_, errors, rtol=1e-9)
    low, high = model.prediction_interval(X[:1], sample_weight=w[:1])
    mean_variance = A[0] @ np.linalg.inv(A.T @ (precision[:, None] * A)) @ A[0]
    half = stats.norm.isf(0.025) * np.sqrt(1 / precision[0] + mean_variance)
    np.testing.assert_allclose((high - low) / 2, half, rtol=1e-9)


def test_as_many_coefficients_as_rows_leave_no_errors() -> None:
    X, y = pairs(3)
    with pytest.warns(AncestralWarning, match="as many coefficients as rows"):
        model = HeteroscedasticGaussian().fit(X, y)
    assert np.isnan(model.standard_errors_).all()
    assert np.isnan(model.confidence_interval(X)).all()
    refuses_density(model, X, y)
    assert f"{model.coef_[0]:.6g}" in model.summary()


def test_the_mean_may_go_through_the_origin() -> None:
    X, y = pairs()
    model = HeteroscedasticGaussian(fit_intercept=False).fit(X, y - B)
    assert model.intercept_ == 0.0 and model.standard_errors_.shape == (2,)
    assert model.variance_standard_errors_.shape == (3,)
    assert model.n_parameters_ == 2 + 3
    found = optimize.minimize(
        lambda t: -log_likelihood(np.r_[0, t], X, y - B) / len(y), np.zeros(5), tol=1e-8
    )
    wanted = np.r_[model.coef_, model.variance_intercept_, model.variance_coef_]
    np.testing.assert_allclose(wanted, found.x, atol=1e-4)


# ---- standard errors and intervals ---------------------------------------------------------------


def test_standard_errors_come_from_fishers_information() -> None:
    X, y = pairs()
    model = HeteroscedasticGaussian().fit(X, y)
    A = np.column_stack([np.ones(len(X)), X])
    precision = 1 / model.predict(X, return_std=True)[1] ** 2
    mean = np.linalg.inv(A.T @ (precision[:, None] * A))
    np.testing.assert_allclose(model.standard_errors_, np.sqrt(np.diag(mean)), rtol=1e-9)
    variance = np.linalg.inv(0.5 * A.T @ A)
    np.testing.assert_allclose(
        model.variance_standard_errors_, np.sqrt(np.diag(variance)), rtol=1e-9
    )
    new = A[:5] + np.array([0, 1, 1])
    half = stats.norm.isf(0.05) * np.sqrt(np.einsum("ij,jk,ik->i", new, mean, new))
    low, high = model.confidence_interval(new[:, 1:], level=0.9)
    np.testing.assert_allclose((high - low) / 2, half, rtol=1e-9)


def test_intervals_cover_as_often_as_they_say() -> None:
    """Known w and v, 400 simulated data sets: parameters, the mean, and new targets."""
    rng = np.random.default_rng(7)
    X = rng.uniform(-2, 2, size=(1000, 2))
    new, trials = np.array([[1.0, -0.5], [-1.5, 1.5]]), 400
    mean, std = new @ W + B, np.exp(0.5 * (new @ V + C))
    hits = np.zeros(10, dtype=int)
    for _ in range(trials):
        y = X @ W + B + np.exp(0.5 * (X @ V + C)) * rng.normal(size=1000)
        model = HeteroscedasticGaussian().fit(X, y)
        drawn = mean + std * rng.normal(size=2)
        truths = (np.r_[B, W], np.r_[C, V], mean, drawn)
        intervals = (
            model.coefficient_intervals(),
            model.variance_intervals(),
            model.confidence_interval(new),
            model.prediction_interval(new),
        )
        hits += np.concatenate(
            [(low < t) & (t < high) for t, (low, high) in zip(truths, intervals)]
        )
    for count in hits.tolist():
        assert stats.binomtest(count, trials, 0.95).pvalue > FALSE_ALARM


@pytest.mark.parametrize("weighted", [False, True])
def test_either_kind_of_step_reaches_the_maximum(
    weighted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With ten rows a coefficient, where Fisher's own scoring takes over a hundred steps."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(400, 20)) + 1
    y = X.sum(axis=1) + np.exp(0.5 * X[:, 0]) * rng.normal(size=400)
    w = np.exp(rng.normal(size=400)) if weighted else None
    fits = []
    for newton in (True, False):
        monkeypatch.setattr(costs, "newton_pays", lambda *_, newton=newton: newton)
        model = HeteroscedasticGaussian().fit(X, y, sample_weight=w)
        assert (np.diff(model.history_) > 0).all() and model.n_iter_ < 50
        fits.append(all_parameters(model))
    errors = np.r_[model.standard_errors_, model.variance_standard_errors_]
    np.testing.assert_allclose((fits[0] - fits[1]) / errors, 0, atol=1e-5)
    A = np.column_stack([np.ones(400), X])
    residual, h = y - A @ fits[0][:21], A @ fits[0][21:]
    precision = np.exp(-h) * (1 if w is None else w)
    slopes = np.r_[A.T @ (precision * residual), 0.5 * A.T @ (residual**2 * precision - 1)]
    assert np.abs(slopes * errors).max() < 1e-5


def test_bits_hang_on_no_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows each, summed by one thread and by three."""
    X, y = pairs(900)
    monkeypatch.setattr(costs, "BLOCK", 1 << 13)
    monkeypatch.setattr(threads, "LEAST_NUMBERS", 0)
    fits = []
    for number in (1, 3):
        monkeypatch.setattr(threads, "n_threads", lambda number=number: number)
        fits.append(HeteroscedasticGaussian().fit(X, y))
    one, other = fits
    np.testing.assert_array_equal(all_parameters(one), all_parameters(other))
    assert one.history_ == other.history_
    monkeypatch.undo()
    whole = HeteroscedasticGaussian().fit(X, y)
    np.testing.assert_allclose(all_parameters(one), all_parameters(whole), rtol=1e-8)


def test_constant_noise_is_found_to_be_constant() -> None:
    """Twice the gain over one variance is chi-square with as many degrees as v has numbers."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(500, 3))
    gains = []
    for _ in range(60):
        y = X.sum(axis=1) + rng.normal(size=500)
        gains.append(
            HeteroscedasticGaussian().fit(X, y).log_likelihood_
            - LinearGaussian().fit(X, y).log_likelihood_
        )
    assert min(gains) >= 0
    assert stats.kstest(2 * np.array(gains), stats.chi2(3).cdf).pvalue > FALSE_ALARM


def test_the_summary_has_two_tables() -> None:
    X, y = pairs()
    model = HeteroscedasticGaussian().fit(X, y)
    lines = model.summary(level=0.9).splitlines()
    assert lines[0].startswith("HeteroscedasticGaussian: y | x ~ N(w . x + b, exp(v . x + c))")
    assert "mean" in lines and "log variance" in lines
    assert sum(line.startswith("intercept") for line in lines) == 2
    assert lines[5].split()[1] == f"{model.intercept_:.6g}"
    assert f"AIC {model.aic(X, y):.6g}" in lines[-1]


# ---- bad input -----------------------------------------------------------------------------------


def refuses_density(model: HeteroscedasticGaussian, X: np.ndarray, y: np.ndarray) -> None:
    for ask in (model.log_density, model.aic, model.bic):
        with pytest.raises(ModelError, match="unbounded"):
            ask(X, y)
    with pytest.raises(ModelError, match="unbounded"):
        model.sample(X)


def test_a_row_that_can_be_singled_out_leaves_no_bound() -> None:
    """One column is zero but for one row: its variance may vanish while the mean fits it."""
    X, y = pairs(30)
    X = np.column_stack([X, np.arange(30) == 11])
    with pytest.warns(AncestralWarning, match="unbounded: the variance at row 11 goes to 0"):
        model = HeteroscedasticGaussian().fit(X, y)
    np.testing.assert_allclose(model.coef_, LinearGaussian().fit(X, y).coef_, rtol=1e-10)
    refuses_density(model, X, y)


def test_few_steps_are_said_to_be_few() -> None:
    X, y = pairs()
    with pytest.warns(AncestralWarning, match="max_iter=1 steps, .* standard errors from"):
        HeteroscedasticGaussian(max_iter=1).fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"max_iter": 0}, "max_iter"), ({"tol": -1.0}, "tol"), ({"tol": "small"}, "tol")],
)
def test_bad_parameters_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        HeteroscedasticGaussian(**parameters).fit(*pairs())


def test_other_bad_input_is_named() -> None:
    X, y = pairs(30)
    with pytest.raises(ModelError, match="n_samples = 2 is too few: at least 3"):
        HeteroscedasticGaussian().fit(X[:2], y[:2])
    with pytest.raises(ModelError, match="level must be"):
        HeteroscedasticGaussian().fit(X, y).prediction_interval(X, level=95)


def test_columns_that_say_nothing_leave_a_variance() -> None:
    """Through the origin, of zeros alone: the mean is 0, and the variance is that of y."""
    y = np.random.default_rng(0).normal(size=20)
    with pytest.warns(AncestralWarning, match="collinear"):
        model = HeteroscedasticGaussian(fit_intercept=False).fit(np.zeros((20, 1)), y)
    assert model.coef_ == 0 and model.variance_intercept_ == pytest.approx(np.log((y**2).mean()))


@pytest.mark.parametrize("apart", [4.0, 20.0, 40.0])
def test_roots_keep_their_digits_where_precisions_are_far_apart(apart: float) -> None:
    """By up to e^40: one sum of products would leave no digit."""
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.normal(size=(2000, 5)))[0]
    S = np.column_stack([np.ones(2000), rng.uniform(-0.5, 0.5, 2000)])
    gamma = np.array([1.0, apart])
    rows, at = Rows(Q, S, rng.normal(size=2000)), Weights(np.zeros(5), gamma)
    found = exact_root(Held([rows]), at, rows.slopes(at))
    wanted = np.linalg.qr(Q * np.exp(-0.5 * (S @ gamma))[:, None], mode="r")
    signs = np.sign(np.diag(found) * np.diag(wanted))[:, None]
    np.testing.assert_allclose(found, signs * wanted, rtol=1e-11, atol=1e-13)
    assert not np.tril(found, -1).any()
