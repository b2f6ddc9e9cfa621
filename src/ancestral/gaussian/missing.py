"""Maximum likelihood of probabilistic PCA from rows with gaps.

The likelihood is that of the known entries alone, sum_i log p(x_i,o): right whenever which
entries are missing does not depend on the missing values themselves. It has no closed form;
expectation-maximisation raises it step by step, with z as the only latent:

    E   z | x_o for every row (`patterns`).
    M   each column's (w_j, mu_j) by least squares over the rows that know it, then sigma^2.
    PX  the second moment of z, which the model says is N(0, I), is freed as N(eta, Psi) and
        absorbed: mu <- mu + W eta, W <- W Psi^(1/2) (parameter expansion, Liu et al. 1998).

Pairs of such steps are extrapolated along their own direction (SQUAREM, Varadhan & Roland 2008),
and an extrapolation that lowers the likelihood is taken back: no step ever lowers it.
The start is the closed-form solution of the pairwise covariance, so that complete rows are at
their maximum from the start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import DataError, ModelError
from ancestral.gaussian import degenerate
from ancestral.gaussian.patterns import (
    Factors,
    Patterns,
    Posterior,
    constants,
    posterior,
    quadratic,
    symmetric_sums,
)
from ancestral.statistics import Moments, refuse_overflow

LEAST_NOISE = 1e-12  # of the mean variance: below it EM only stirs rounding, on its way to 0


@dataclass(frozen=True)
class Fit:
    """Parameters at the maximum, and how the likelihood got there."""

    factors: Factors
    history: NDArray[np.float64]  # log-likelihood in nats after each accepted step
    converged: bool
    gain: float  # of the last plain step, in nats per known entry


@dataclass(frozen=True)
class _Step:
    """What one E step says: the likelihood of its parameters, and the next parameters."""

    log_likelihood: float
    following: Factors


def fit(X: NDArray, n_components: int, *, tol: float, max_iter: int) -> Fit:
    """Return the factors that maximise the likelihood of the known entries of X.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        NaN where missing; every column has a known value.
    n_components : int
    tol : float
        Stop once a step gains less than this, in nats per known entry.
    max_iter : int
        E steps at most.

    Raises
    ------
    ModelError
        When the known entries are too few, so that sigma^2 = 0 and the likelihood is unbounded.
    """
    known = ~np.isnan(X)
    X, known = X[known.any(axis=1)], known[known.any(axis=1)]
    _refuse_too_few(known, n_components)
    shift = _means(X, known)
    patterns = Patterns.of(X, shift)
    factors = _start(patterns, n_components)
    found = _climb(compressed(patterns), factors, tol=tol * known.sum(), max_iter=max_iter)
    moved = replace(found.factors, mean=found.factors.mean + shift)
    return replace(found, factors=moved, gain=found.gain / known.sum())


def _climb(patterns: Patterns, factors: Factors, *, tol: float, max_iter: int) -> Fit:
    """Repeat two steps and an extrapolation until a plain step gains less than `tol` nats."""
    entries = float(patterns.count @ patterns.known.sum(axis=1))
    floor = LEAST_NOISE * float((patterns.values**2).sum()) / entries
    step = _step(patterns, factors)
    history, path, gain = [step.log_likelihood], [factors], math.inf
    for _ in range(max_iter - 1):
        _refuse_vanishing_noise(step.following, floor)
        path.append(step.following)
        leap = _extrapolated(path) if len(path) == 3 else None
        path = path[-1:] if len(path) == 3 else path
        if leap is not None:
            tried = _step(patterns, leap)
            if tried.log_likelihood >= step.log_likelihood:
                step, path = tried, [leap]
                history.append(step.log_likelihood)
                continue
        before, step = step.log_likelihood, _step(patterns, path[-1])
        history.append(step.log_likelihood)
        gain = step.log_likelihood - before
        if gain < tol:
            return Fit(path[-1], np.array(history), converged=True, gain=gain)
    return Fit(path[-1], np.array(history), converged=False, gain=gain)


def _step(patterns: Patterns, factors: Factors) -> _Step:
    """Take one expanded EM step, batch by batch: first the sums of the E step, then the solves."""
    d, q = factors.loadings.shape
    left = np.zeros((d, q + 1, q + 1))  # per column: sums of E[(z, 1) (z, 1)^T]
    right = np.zeros((d, q + 1))  # per column: sums of x E[(z, 1)]
    second = np.zeros((q + 1, q + 1))
    log_likelihood = squares = 0.0
    for batch in patterns.batches(q):
        found = posterior(batch, factors)
        log_likelihood += float(
            batch.count @ constants(batch, factors, found.log_determinant)
            - 0.5 * quadratic(found, factors.noise).sum()
        )
        squares += _expected_squares(batch, found, factors)
        z = np.column_stack([found.mean, batch.level])  # (n_values, q + 1)
        moments = _second_moments(batch, z, factors.noise * found.inverse)
        left += symmetric_sums(batch.known.T, moments)
        right += batch.values.T @ z
        second += moments.sum(axis=0)
    old = np.column_stack([factors.loadings, factors.mean])
    # Solved for the change: its share of sigma^2 then vanishes at the maximum with all its
    # rounding, where x^2 - x E[z] theta would keep the rounding of x^2.
    slope = right - np.einsum("jkl,jl->jk", left, old)
    change = np.linalg.solve(left, slope[:, :, None])[:, :, 0]  # (d, q + 1)
    entries = float(patterns.count @ patterns.known.sum(axis=1))
    noise = (squares - float((change * slope).sum())) / entries
    return _Step(log_likelihood, _absorbed(old + change, second, noise))


def _expected_squares(batch: Patterns, found: Posterior, factors: Factors) -> float:
    """Return the sum of E|x_o - mu_o - W_o z|^2 over a batch."""
    q, noise = factors.n_components, factors.noise
    # tr(Cov[z] W_o^T W_o) with W_o^T W_o = M_o - sigma^2 I
    spread = noise * (q - noise * np.trace(found.inverse, axis1=1, axis2=2))
    return float((found.misfit**2).sum() + batch.count @ spread)


def _second_moments(batch: Patterns, z: NDArray, covariance: NDArray) -> NDArray[np.float64]:
    """Return the sums of E[(z, 1) (z, 1)^T] over the rows of each pattern, (p, q + 1, q + 1)."""
    q = z.shape[1] - 1
    first = z[batch.start[:-1]]
    moments = first[:, :, None] * first[:, None, :]
    for p in np.flatnonzero(np.diff(batch.start) > 1):
        rows = z[batch.start[p] : batch.start[p + 1]]
        moments[p] = rows.T @ rows
    moments[:, :q, :q] += batch.count[:, None, None] * covariance
    return moments


def _absorbed(solution: NDArray, second: NDArray, noise: float) -> Factors:
    """Return the factors after the freed mean and covariance of z went into mu and W."""
    W, mean = solution[:, :-1], solution[:, -1]
    average = second / second[-1, -1]  # [[E z z^T, E z], [E z^T, 1]]
    eta = average[-1, :-1]
    root = np.linalg.cholesky(average[:-1, :-1] - np.outer(eta, eta))
    return Factors(mean + W @ eta, W @ root, noise)


def _extrapolated(path: list[Factors]) -> Factors | None:
    """Return the factors further along two steps' direction, or None where there is nothing."""
    a, b, c = (_packed(factors) for factors in path)
    first, bend = b - a, c - 2 * b + a
    size = float(np.linalg.norm(bend))
    length = float(np.linalg.norm(first)) / size if size else 1.0
    if length <= 1:
        return None
    leap = a + 2 * length * first + length**2 * bend
    d, q = path[0].loadings.shape
    if not np.isfinite(leap).all() or abs(leap[-1] - c[-1]) > 5:  # sigma^2 by more than e^5
        return None
    return Factors(leap[:d], leap[d:-1].reshape(d, q), float(np.exp(leap[-1])))


def _packed(factors: Factors) -> NDArray[np.float64]:
    """Return all parameters as one vector, sigma^2 by its logarithm."""
    return np.concatenate([factors.mean, factors.loadings.ravel(), [np.log(factors.noise)]])


# ---- before the first step ----------------------------------------------------------------------


def compressed(patterns: Patterns) -> Patterns:
    """Replace the many rows of a mask by few that give the same sums.

    A mask's rows enter EM through their count, mean and scatter alone. Where they outnumber its
    known columns, they become sqrt(count) times their mean (in which mu stands sqrt(count) times)
    and a root of their scatter (in which mu does not stand).
    """
    columns_of = patterns.known.sum(axis=1)
    if not (patterns.count > columns_of + 1).any():
        return patterns
    values, level = [], []
    for p, (a, b) in enumerate(pairwise(patterns.start)):
        rows = patterns.values[a:b]
        if len(rows) <= columns_of[p] + 1:
            values.append(rows)
            level.append(np.ones(b - a))
            continue
        columns = np.flatnonzero(patterns.known[p])
        moments = Moments.of(rows[:, columns], root=True)
        root = np.zeros((1 + len(np.asarray(moments.root)), rows.shape[1]))
        root[0, columns] = np.sqrt(len(rows)) * moments.mean
        root[1:, columns] = moments.root
        values.append(root)
        level.append(np.concatenate([[np.sqrt(b - a)], np.zeros(len(root) - 1)]))
    start = np.concatenate([[0], np.cumsum([len(rows) for rows in values])])
    return replace(
        patterns,
        start=start,
        values=np.concatenate(values),
        level=np.concatenate(level),
        order=np.arange(start[-1]),  # no longer rows of the table
    )


def _start(patterns: Patterns, q: int) -> Factors:
    """Return the closed-form solution of the covariance of pairs that are known together."""
    d = patterns.known.shape[1]
    eigenvalues, U = _pairwise_eigen(patterns, q)
    total = eigenvalues.sum()
    noise = (total - eigenvalues[:q].sum()) / (d - q)
    # Unequal counts can make the tail vanish or turn negative: sigma^2 starts above it, and
    # a column of W is never started at 0, where it would stay.
    noise = max(noise, 1e-3 * total / d)
    scale = np.sqrt(np.maximum(eigenvalues[:q] - noise, 0.05 * noise))
    return Factors(np.zeros(d), U[:q].T * scale, float(noise))


def _pairwise_eigen(patterns: Patterns, q: int) -> tuple[NDArray, NDArray]:
    """Return eigenvalues (falling, (d,) or their trace's) and q eigenvectors of the covariance."""
    n, d = patterns.values.shape
    known = patterns.known
    counts = patterns.count @ known  # (d,)
    if n < d:  # never a (d, d) matrix: the zero-filled rows, scaled up for their gaps
        root = patterns.values * np.sqrt(1 / counts)
        moments = Moments(n, np.zeros(d), root=root, weight=1.0)
        eigenvalues, U = moments.eigen(q)
        return np.concatenate([eigenvalues, np.zeros(d - len(eigenvalues))]), U
    pairs = (known * patterns.count[:, None]).T @ known  # rows that know both columns
    covariance = patterns.values.T @ patterns.values / np.maximum(pairs, 1)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    return np.maximum(eigenvalues[::-1], 0.0), vectors[:, ::-1].T[:q]


def checked_columns(X: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of the known values of each column of X.

    Raises
    ------
    DataError
        For a column of which nothing is known, and for values too large to be squared.
    ModelError
        When every column is constant, or only rounding makes it vary.
    """
    known = ~np.isnan(X)
    _refuse_empty_columns(known)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = _means(X, known)
        values = np.where(known, X - mean, 0.0)
    refuse_overflow(values)
    variances = (values**2).sum(axis=0) / known.sum(axis=0)
    degenerate.refuse_no_variance(float(variances.sum()), mean, single=X.dtype == np.float32)
    return mean, np.sqrt(variances)


def _means(X: NDArray, known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return each column's mean about its first known value: exact where it is constant."""
    first = X[known.argmax(axis=0), np.arange(X.shape[1])].astype(np.float64)
    return first + np.where(known, X - first, 0.0).sum(axis=0) / known.sum(axis=0)


def _refuse_empty_columns(known: NDArray[np.bool_]) -> None:
    """Raise DataError naming the first column of which nothing is known."""
    empty = np.flatnonzero(~known.any(axis=0))
    if len(empty):
        raise DataError(
            f"column {empty[0]} holds no known value ({len(empty)} such column(s)): nothing can "
            "be learnt of it. Drop it."
        )


def _refuse_too_few(known: NDArray[np.bool_], q: int) -> None:
    """Raise ModelError when z and W alone can meet every known entry.

    A row of d_o known entries has d_o - q left after its own z; W and mu have
    (q + 1) (d - q) free numbers that are not a mere change of z.
    """
    d = known.shape[1]
    left = int(np.maximum(known.sum(axis=1) - q, 0).sum())
    if left <= (q + 1) * (d - q):
        raise ModelError(
            f"n_components={q} leaves sigma^2 = 0 and the likelihood unbounded: the "
            f"{int(known.sum())} known entries can be met exactly ({left} equations beyond z for "
            f"{(q + 1) * (d - q)} free parameters). Pass fewer components or give more values."
        )


def _refuse_vanishing_noise(factors: Factors, floor: float) -> None:
    """Raise ModelError when sigma^2 has fallen to nothing."""
    if not factors.noise > floor:
        raise ModelError(
            f"n_components={factors.n_components} leaves sigma^2 = 0 and the likelihood "
            f"unbounded: every known entry can be met (sigma^2 fell to {factors.noise:g}). "
            "Pass fewer components or give more values."
        )
