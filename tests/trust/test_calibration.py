"""Simulation-based calibration: what models say of their own uncertainty is so.

Truth is drawn from what the model assumes, data from the truth, and the truth's rank is taken in
the distribution that the model gives for it. Over 1,000 simulations these ranks must be uniform.

Each simulation gives k standardised errors, independent and of one known law (normal, or Student's
t through one common estimate of sigma). Two ranks are tested by Kolmogorov & Smirnov: of each error
by itself, which sees shifts and shapes, and of the sum of their squares, chi-square or F, which
sees their scale. Draws are ranked among draws instead, and the ranks tested by chi-square.

A right model fails a test by chance once in 10,000 seeds (`FALSE_ALARM`); the seeds are fixed. Each
test must also see a standard deviation that is 5% off. One error in a simulation would not do:
5% is 2 standard errors of 1,000 of them. The sum of squares of k = 32 has a relative spread of
1/4, which the mistake's 10% shifts by 0.4 of it: `test_five_percent_is_seen_nearly_always` finds
that out of 500 seeds fewer than 5 miss it. Of intervals for large samples, themselves off by
p / 2n = 0.4%, 500 simulations do (1,000 of twice the rows with --long).

Talts, Betancourt, Simpson, Vehtari & Gelman (2018), arXiv:1804.06788.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

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
FREE = 200 - P  # its degrees of freedom


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
def ppca(d: int, n: int) -> tuple[PPCA, Array, Array]:
    """Return a fitted model, taken as the truth, and n rows that it draws: z and x."""
    rng = np.random.default_rng(0)
    q = 2
    X = rng.normal(size=(80, q)) @ rng.normal(size=(q, d)) + 0.7 * rng.normal(size=(80, d))
    model = PPCA(q).fit(X + np.arange(d))
    z = rng.normal(size=(n, q))
    noise = np.sqrt(model.noise_variance_) * rng.normal(size=(n, d))
    return model, z, z @ model.loadings_.T + model.mean_ + noise


def with_gaps(X: Array) -> Array:
    """Return rows with a third of their values unknown."""
    return np.where(np.random.default_rng(1).random(X.shape) < 1 / 3, np.nan, X)


def posterior(*, gaps: bool) -> Array:
    """Return z less its posterior mean, turned to unit variance by the posterior covariance."""
    model, z, X = ppca(6, N * ROWS)
    rows = with_gaps(X) if gaps else X
    covariance = model.posterior_covariance(rows) if gaps else model.posterior_covariance()[None]
    error = z - model.posterior_mean(rows)
    return np.linalg.solve(np.linalg.cholesky(covariance), error[:, :, None]).reshape(N, -1)


def an_unknown_value() -> Array:
    """Return one unknown value of each row, standardised by what impute says of it."""
    model, _, X = ppca(6, N * ROWS)
    place = np.arange(len(X)), np.random.default_rng(2).integers(0, X.shape[1], size=len(X))
    rows = with_gaps(X)
    rows[place] = np.nan
    mean, std = model.impute(rows, return_std=True)
    return ((X[place] - mean[place]) / std[place]).reshape(N, ROWS)


def unknown_values_together() -> Array:
    """Return the 32 unknown values of a row of 40, standardised by their joint covariance."""
    model, _, X = ppca(40, N)
    rows = X.copy()
    order = np.random.default_rng(3).random(X.shape).argsort(axis=1)
    np.put_along_axis(rows, order[:, :32], np.nan, axis=1)
    errors = []
    for row, misfit in zip(rows, X - model.impute(rows)):
        gap = np.isnan(row)
        root = np.linalg.cholesky(model.impute_covariance(row)[np.ix_(gap, gap)])
        errors.append(linalg.solve_triangular(root, misfit[gap], lower=True))
    return np.array(errors)


def rank_among_draws(scale: float) -> float:
    """Return the p-value of the truth's rank among 19 draws of the unknown values.

    What is ranked is the sum of a table's squared distances from the conditional means.
    """
    model, _, X = ppca(6, N * ROWS)
    rows = with_gaps(X)
    mean, std = model.impute(rows, return_std=True)
    std[std == 0] = np.inf  # known values have no part
    draws = model.impute_draws(rows, 19, random_state=4)
    draws = mean + scale * (draws - mean)
    sums = [(((x - mean) / std) ** 2).reshape(N, -1).sum(axis=1) for x in (X, *draws)]
    rank = (np.array(sums[1:]) < sums[0]).sum(axis=0)
    return float(stats.chisquare(np.bincount(rank, minlength=20)).pvalue)


# ---- lines: many targets of one design, each a simulation --------------------------------------


def design(rng: np.random.Generator, n: int, p: int) -> Array:
    """Return p - 1 centred orthogonal columns of length sqrt(n): estimates are independent."""
    start = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    return np.sqrt(n) * np.linalg.qr(start)[0][:, 1:]


def standardised(interval: tuple[Array, Array], truth: Array, free: float) -> Array:
    """Return (truth - centre) in standard errors, read off an interval of half the probability."""
    low, high = interval
    return (truth - (low + high) / 2) / ((high - low) / 2 / stats.t(free).isf(0.25))


@cache
def line() -> dict[str, Array]:
    """Return the errors of coefficients, of means and of new values beside a line's intervals."""
    rng = np.random.default_rng(5)
    new = linalg.hadamard(P)[:, 1:].astype(np.float64)  # rows whose means are independent too
    n, each = FREE + P, 50
    errors: dict[str, list[Array]] = {"coefficients": [], "means": [], "values": []}
    for _ in range(N // each):
        X = design(rng, n, P)
        truth = 3 * rng.normal(size=(each, P))  # intercept first
        sigma = np.exp(rng.normal(size=each))
        model = LinearGaussian().fit(
            X, X @ truth[:, 1:].T + truth[:, 0] + sigma * rng.normal(size=(n, each))
        )
        mean = new @ truth[:, 1:].T + truth[:, 0]  # (P, each)
        values = mean + sigma * rng.normal(size=mean.shape)
        found = standardised(model.coefficient_intervals(0.5), truth, FREE)
        errors["coefficients"].append(found)
        found = standardised(model.confidence_interval(new, 0.5), mean, FREE)
        errors["means"].append(found.T)
        found = standardised(model.prediction_interval(new, 0.5), values, FREE)
        errors["values"].append(found.T)
    return {name: np.concatenate(parts) for name, parts in errors.items()}


def varying(*, long: bool) -> Array:
    """Return the errors of the coefficients of mean and log variance, in a large sample."""
    rng = np.random.default_rng(6)
    p, n, simulations = P // 2, (4_000 if long else 2_000), (N if long else N // 2)
    X, errors = design(rng, n, p), []
    for _ in range(simulations):
        truth = rng.normal(size=p)
        model = HeteroscedasticGaussian().fit(X, X @ truth[1:] + truth[0] + rng.normal(size=n))
        of_mean = standardised(model.coefficient_intervals(0.5), truth, 1e9)
        of_variance = standardised(model.variance_intervals(0.5), np.zeros(p), 1e9)
        errors.append(np.concatenate([of_mean, of_variance]))
    return np.array(errors)


# ---- the laws -----------------------------------------------------------------------------------

NORMAL: dict[str, Callable[[], Array]] = {
    "z given whole rows": partial(posterior, gaps=False),
    "z given rows with gaps": partial(posterior, gaps=True),
    "an unknown value": an_unknown_value,
    "unknown values together": unknown_values_together,
}
STUDENT = {"a line's coefficients": "coefficients", "means": "means", "new values": "values"}
CASES = [*NORMAL, *STUDENT, "coefficients of mean and log variance", "draws of unknown values"]


@cache
def errors_of(case: str, *, long: bool) -> tuple[Array, float]:
    """Return a case's standardised errors, and the degrees of freedom of their law."""
    if case in NORMAL:
        return NORMAL[case](), np.inf
    return (line()[STUDENT[case]], FREE) if case in STUDENT else (varying(long=long), np.inf)


def p_of(case: str, scale: float, *, long: bool) -> float:
    """Return the p-value of a case were every standard deviation `scale` times what it is."""
    if case == "draws of unknown values":
        return rank_among_draws(scale)
    errors, free = errors_of(case, long=long)
    return p_value(errors / scale, free)


@pytest.mark.parametrize("case", CASES)
def test_ranks_are_uniform(case: str, long: bool, note: Note) -> None:
    p = p_of(case, 1.0, long=long)
    note(f"calibration: {case}", f"p = {p:.2g}")
    assert p > FALSE_ALARM


@pytest.mark.parametrize("scale", [0.95, 1.05])
@pytest.mark.parametrize("case", CASES)
def test_a_mistake_of_five_percent_is_seen(case: str, scale: float, long: bool, note: Note) -> None:
    p = p_of(case, scale, long=long)
    note(f"calibration: {case}, spread x {scale}", f"p = {p:.2g}")
    assert p < FALSE_ALARM


@pytest.mark.parametrize("scale", [0.95, 1.05])
@pytest.mark.parametrize("free", [np.inf, FREE])
def test_five_percent_is_seen_nearly_always(free: float, scale: float, note: Note) -> None:
    """Of 500 seeds fewer than 1 in 100 miss it, by the sum of squares alone."""
    rng = np.random.default_rng(7)
    squares = rng.chisquare(P, size=(500, N)) / P
    if np.isfinite(free):
        squares /= rng.chisquare(free, size=squares.shape) / free
    law = stats.f(P, free) if np.isfinite(free) else stats.chi2(P, scale=1 / P)
    ranks = np.sort(law.cdf(squares / scale**2), axis=1)
    steps = np.arange(N + 1) / N
    distance = np.maximum(ranks - steps[:-1], steps[1:] - ranks).max(axis=1)
    seen = (distance > stats.kstwo(N).isf(FALSE_ALARM / 2)).mean()
    note(f"power of calibration, {free:g} degrees of freedom, x {scale}", f"{seen:.4f}")
    assert seen > 0.99
