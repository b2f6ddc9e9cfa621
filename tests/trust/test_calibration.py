"""Simulation-based calibration: what models say of their own uncertainty is so.

Truth is drawn from what the model assumes, data from the truth, and the truth's rank is taken in
the distribution that the model gives for it. Over 1,000 simulations these ranks must be uniform.

Each simulation gives k standardised errors, independent and of one known law (normal, or Student's
t through one common estimate of sigma). Two ranks are tested by Kolmogorov & Smirnov: of each error
by itself, which sees shifts and shapes, and of the sum of their squares, chi-square or F, which
sees their scale. Draws are ranked among draws instead, and the ranks tested by chi-square.

A right model fails a test by chance once in 10,000 seeds (`FALSE_ALARM`); the seeds are fixed. A
mistake of 5% in a standard deviation is seen with probability above 0.999: the sum of squares of
k = 32 errors has a relative spread of 1/4, which the mistake's 10% shifts by 0.4 of it, and
Kolmogorov & Smirnov's distance then grows to 5 times its critical spread over 1,000 simulations
(measured by `test_the_power_is_what_is_said`). Standard errors that hold in large samples are off
by p/n = 0.4% there, and 500 simulations of them see 5%.

Talts, Betancourt, Simpson, Vehtari & Gelman (2018), arXiv:1804.06788.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import linalg, stats

from ancestral import PPCA, HeteroscedasticGaussian, LinearGaussian

Note = Callable[[str, str], None]
Array = np.ndarray
FALSE_ALARM = 1e-4
N = 1_000  # simulations
ROWS = 20  # of a simulated table
P = 32  # coefficients of a simulated line


def p_value(errors: Array, free: float = np.inf) -> float:
    """Return the smaller of both tests' p-values, doubled, of errors of shape (n, k)."""
    k = errors.shape[1]
    squares = (errors**2).sum(axis=1)
    if np.isinf(free):
        alone, together = stats.norm.cdf(errors), stats.chi2(k).cdf(squares)
    else:  # t with one common sigma: the errors of a simulation hang together, so one is taken
        alone, together = stats.t(free).cdf(errors[:, :1]), stats.f(k, free).cdf(squares / k)
    tests = [stats.kstest(ranks.ravel(), "uniform").pvalue for ranks in (alone, together)]
    return float(min(1.0, 2 * min(tests)))


# ---- PPCA: tables of rows, each with its own truth -------------------------------------------


@cache
def ppca() -> tuple[PPCA, Array, Array]:
    """Return a fitted model, taken as the truth, and N simulated tables: z and x."""
    rng = np.random.default_rng(0)
    d, q = 6, 2
    X = rng.normal(size=(80, q)) @ rng.normal(size=(q, d)) + 0.7 * rng.normal(size=(80, d))
    model = PPCA(q).fit(X + np.arange(d))
    z = rng.normal(size=(N * ROWS, q))
    noise = np.sqrt(model.noise_variance_) * rng.normal(size=(N * ROWS, d))
    return model, z, z @ model.loadings_.T + model.mean_ + noise


def with_gaps(X: Array, seed: int = 1) -> Array:
    """Return rows with a third of their values unknown."""
    return np.where(np.random.default_rng(seed).random(X.shape) < 1 / 3, np.nan, X)


def posterior(scale: float, *, gaps: bool) -> float:
    """Return the p-value of z among its posteriors; `scale` is the mistake in their spread."""
    model, z, X = ppca()
    rows = with_gaps(X) if gaps else X
    if gaps:
        roots = np.linalg.cholesky(model.posterior_covariance(rows))
    else:
        roots = np.linalg.cholesky(model.posterior_covariance())[None]
    errors = np.linalg.solve(scale * roots, (z - model.posterior_mean(rows))[:, :, None])
    return p_value(errors.reshape(N, -1))


def imputed(scale: float) -> float:
    """Return the p-value of one unknown value of each row, standardised by impute's own spread."""
    model, _, X = ppca()
    place = np.arange(len(X)), np.random.default_rng(2).integers(0, X.shape[1], size=len(X))
    rows = with_gaps(X)
    rows[place] = np.nan
    mean, std = model.impute(rows, return_std=True)
    errors = (X[place] - mean[place]) / (scale * std[place])
    return p_value(errors.reshape(N, ROWS))


def imputed_together(scale: float) -> float:
    """Return the p-value of all unknown values of a row, by the covariance of impute."""
    model, _, X = ppca()
    X = X[: 8 * N]  # eight rows a table, with four unknown values each
    rows = X.copy()
    order = np.random.default_rng(3).random(X.shape).argsort(axis=1)
    np.put_along_axis(rows, order[:, :4], np.nan, axis=1)
    unknown = np.isnan(rows)
    misfit = (X - model.impute(rows))[unknown].reshape(-1, 4)
    blocks = np.stack(
        [model.impute_covariance(row)[np.ix_(gap, gap)] for row, gap in zip(rows, unknown)]
    )
    errors = np.linalg.solve(scale * np.linalg.cholesky(blocks), misfit[:, :, None])
    return p_value(errors.reshape(N, -1))


def draws(scale: float) -> float:
    """Return the p-value of the truth's rank among 19 draws of the unknown values."""
    model, _, X = ppca()
    rows = with_gaps(X)
    mean, std = model.impute(rows, return_std=True)
    std[std == 0] = np.inf  # known values have no part
    drawn = model.impute_draws(rows, 19, random_state=4)
    drawn = mean + scale * (drawn - mean)
    size = [(((x - mean) / std) ** 2).reshape(N, -1).sum(axis=1) for x in (X, *drawn)]
    rank = (np.array(size[1:]) < size[0]).sum(axis=0)
    return float(stats.chisquare(np.bincount(rank, minlength=20)).pvalue)


# ---- lines: many targets of one design, each a simulation --------------------------------------


def design(rng: np.random.Generator, n: int, p: int) -> Array:
    """Return p - 1 centred orthogonal columns of length sqrt(n): estimates are independent."""
    start = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    return np.sqrt(n) * np.linalg.qr(start)[0][:, 1:]


def pivots(interval: tuple[Array, Array], truth: Array, free: int, scale: float) -> Array:
    """Return (truth - centre) in standard errors, read off an interval of half the probability."""
    low, high = interval
    error = scale * (high - low) / 2 / stats.t(free).isf(0.25)
    return (truth - (low + high) / 2) / error


def line(kind: str, scale: float) -> float:
    """Return the p-value of coefficients, means or new values among a line's intervals."""
    rng = np.random.default_rng(5)
    new = linalg.hadamard(P)[:, 1:].astype(np.float64)  # rows whose means are independent too
    n, free, each, errors = 200, 200 - P, 50, []
    for _ in range(N // each):
        X = design(rng, n, P)
        truth = 3 * rng.normal(size=(each, P))  # intercept first
        sigma = np.exp(rng.normal(size=each))
        y = X @ truth[:, 1:].T + truth[:, 0] + sigma * rng.normal(size=(n, each))
        model = LinearGaussian().fit(X, y)
        mean = (new @ truth[:, 1:].T + truth[:, 0]).T
        if kind == "coefficients":
            errors.append(pivots(model.coefficient_intervals(0.5), truth, free, scale))
            continue
        if kind == "means":
            interval = model.confidence_interval(new, 0.5)
        else:
            interval = model.prediction_interval(new, 0.5)
            mean = mean + sigma[:, None] * rng.normal(size=mean.shape)
        errors.append(pivots((interval[0].T, interval[1].T), mean, free, scale))
    return p_value(np.concatenate(errors), free)


def varying(scale: float) -> float:
    """Return the p-value of both halves' coefficients among intervals for large samples."""
    rng = np.random.default_rng(6)
    n, p, errors = 4_000, P // 2, []
    X = design(rng, n, p)
    for _ in range(N // 2):
        truth = rng.normal(size=p)
        model = HeteroscedasticGaussian().fit(X, X @ truth[1:] + truth[0] + rng.normal(size=n))
        of_mean = pivots(model.coefficient_intervals(0.5), truth, 10**9, scale)
        of_variance = pivots(model.variance_intervals(0.5), np.zeros(p), 10**9, scale)
        errors.append(np.concatenate([of_mean, of_variance]))
    return p_value(np.array(errors))


CASES: dict[str, Callable[[float], float]] = {
    "z given whole rows": lambda scale: posterior(scale, gaps=False),
    "z given rows with gaps": lambda scale: posterior(scale, gaps=True),
    "an unknown value": imputed,
    "unknown values together": imputed_together,
    "draws of unknown values": draws,
    "coefficients": lambda scale: line("coefficients", scale),
    "means": lambda scale: line("means", scale),
    "new values": lambda scale: line("new values", scale),
    "coefficients of mean and log variance": varying,
}


@pytest.mark.parametrize("case", CASES)
def test_ranks_are_uniform(case: str, note: Note) -> None:
    p = CASES[case](1.0)
    note(f"calibration: {case}", f"p = {p:.2g}")
    assert p > FALSE_ALARM


@pytest.mark.parametrize("scale", [0.95, 1.05])
@pytest.mark.parametrize("case", CASES)
def test_a_mistake_of_five_percent_is_seen(case: str, scale: float, note: Note) -> None:
    p = CASES[case](scale)
    note(f"calibration: {case}, spread x {scale}", f"p = {p:.2g}")
    assert p < FALSE_ALARM
