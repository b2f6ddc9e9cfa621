"""Rows with gaps, grouped by which of their entries are known.

For x ~ N(mu, W W^T + sigma^2 I_d) and the known entries o of a row,

    M_o = W_o^T W_o + sigma^2 I_q,   z | x_o ~ N(M_o^-1 W_o^T (x_o - mu_o), sigma^2 M_o^-1),
    log p(x_o) = -1/2 [ d_o log 2 pi + (d_o - q) log sigma^2 + log|M_o| + S_o / sigma^2 ],
    S_o = |x_o - mu_o - W_o E[z]|^2 + sigma^2 |E[z]|^2

(the marginal of a normal drops the unknown rows of mu and W; S_o is the quadratic form without
its cancellation). M_o depends on the row only through its mask, so one small matrix serves all
rows that share one. They are built for many masks at once, as a product of the masks with the
outer products of the rows of W, and solved in batches.
Symbols: mu mean, W loadings, sigma^2 noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral.statistics import distinct_rows

BATCH_NUMBERS = 1 << 21  # float64 values in a batch of small matrices: 16 MiB
STEEP = 1e-6  # of W's variance: with less noise, M_o is too ill-conditioned for its inverse alone


@dataclass(frozen=True)
class Factors:
    """Parameters of x ~ N(mean, loadings loadings^T + noise I), in any rotation of the loadings."""

    mean: NDArray[np.float64]  # (d,)
    loadings: NDArray[np.float64]  # (d, q)
    noise: float

    @property
    def n_components(self) -> int:
        """Latent dimension, q."""
        return self.loadings.shape[1]


@dataclass(frozen=True)
class Patterns:
    """Rows of a table about a shift, sorted so that rows of one mask stand together.

    Parameters
    ----------
    known : ndarray of shape (n_patterns, d)
        1.0 where known, 0.0 where not.
    count : ndarray of shape (n_patterns,)
        Rows of the table that have the mask.
    start : ndarray of shape (n_patterns + 1,)
        Pattern p has the values start[p] to start[p + 1].
    values : ndarray of shape (n_values, d)
        Row minus shift; 0.0 where unknown.
    level : ndarray of shape (n_values,)
        How often the mean is in the value: 1 for a row of the table (see `missing.compressed`).
    order : ndarray of shape (n_values,)
        Which row of the table each is.
    """

    known: NDArray[np.float64]
    count: NDArray[np.float64]
    start: NDArray[np.intp]
    values: NDArray[np.float64]
    level: NDArray[np.float64]
    order: NDArray[np.intp]

    @classmethod
    def of(cls, X: NDArray, shift: NDArray[np.float64]) -> Patterns:
        """Group the rows of X, of shape (n, d), NaN where unknown."""
        known = ~np.isnan(X)
        _, group = distinct_rows(np.packbits(known, axis=1))
        order = np.argsort(group, kind="stable")
        count = np.bincount(group)
        start = np.concatenate([[0], np.cumsum(count)])
        # In C order: sums over a row then give the same bits whatever the memory order of X.
        values = np.ascontiguousarray(np.where(known, X - shift, 0.0)[order])
        masks = known[order[start[:-1]]].astype(np.float64)
        return cls(masks, count.astype(np.float64), start, values, np.ones(len(X)), order)

    def batches(self, q: int) -> Iterator[Patterns]:
        """Yield consecutive patterns, few enough for their (q, q) matrices to fit in a batch."""
        step = max(1, BATCH_NUMBERS // max(1, q * q, self.known.shape[1]))
        for a in range(0, len(self.count), step):
            b = min(a + step, len(self.count))
            rows = slice(self.start[a], self.start[b])
            yield Patterns(
                self.known[a:b],
                self.count[a:b],
                self.start[a : b + 1] - self.start[a],
                self.values[rows],
                self.level[rows],
                self.order[rows],
            )

    def each(self, of_patterns: NDArray) -> NDArray:
        """Return what stands for each pattern once for each of its values."""
        if len(self.values) == len(self.count):  # every mask differs
            return of_patterns
        return of_patterns[self.of_value]

    @property
    def of_value(self) -> NDArray[np.intp]:
        """Which pattern each value has, shape (n_values,)."""
        return np.repeat(np.arange(len(self.count)), np.diff(self.start))


@dataclass(frozen=True)
class Posterior:
    """z given the known entries of each value: N(mean, noise * inverse) by pattern."""

    mean: NDArray[np.float64]  # (n_values, q)
    inverse: NDArray[np.float64]  # (n_patterns, q, q): M_o^-1
    log_determinant: NDArray[np.float64]  # (n_patterns,): log|M_o|
    misfit: NDArray[np.float64]  # (n_values, d): x_o - mu_o - W_o E[z], 0 where unknown


def posterior(patterns: Patterns, factors: Factors) -> Posterior:
    """Return the posterior of one batch; `factors.mean` counts from the patterns' shift."""
    W, noise = factors.loadings, factors.noise
    q = W.shape[1]
    M = _gram_of_known(patterns.known, W)
    M[:, np.arange(q), np.arange(q)] += noise
    diagonal = np.diagonal(np.linalg.cholesky(M), axis1=1, axis2=2)
    inverse = np.asarray(np.linalg.inv(M))
    known = patterns.each(patterns.known)
    centred = patterns.values - known * (patterns.level[:, None] * factors.mean)
    mean = _solved(patterns, inverse, centred @ W)
    misfit = centred - known * (mean @ W.T)
    if noise < STEEP * (W * W).sum():  # what an inverse loses where z is hardly known, put right
        mean += _solved(patterns, inverse, misfit @ W - noise * mean)
        misfit = centred - known * (mean @ W.T)
    return Posterior(mean, inverse, 2 * np.log(diagonal).sum(axis=1), misfit)


def constants(patterns: Patterns, factors: Factors, log_determinant: NDArray) -> NDArray:
    """Return the part of log p(x_o) that the values do not change, by pattern, in nats."""
    size = patterns.known.sum(axis=1)
    noise, q = factors.noise, factors.n_components
    return -0.5 * (size * np.log(2 * np.pi) + (size - q) * np.log(noise) + log_determinant)


def quadratic(found: Posterior, noise: float) -> NDArray[np.float64]:
    """Return S_o / sigma^2 of each value, shape (n_values,)."""
    misfit = np.einsum("ij,ij->i", found.misfit, found.misfit)
    return misfit / noise + np.einsum("ij,ij->i", found.mean, found.mean)


def log_density(X: NDArray, factors: Factors) -> NDArray[np.float64]:
    """Return log p of the known entries of each row, in nats; 0 for a row without any."""
    result = np.empty(len(X))
    about_mean = Factors(np.zeros(len(factors.mean)), factors.loadings, factors.noise)
    for batch in Patterns.of(X, factors.mean).batches(factors.n_components):
        found = posterior(batch, about_mean)
        fixed = batch.each(constants(batch, factors, found.log_determinant))
        result[batch.order] = fixed - 0.5 * quadratic(found, factors.noise)
    return result


def posterior_of_rows(
    X: NDArray, factors: Factors, *, covariance: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return E[z | x_o], (n, q), and Cov[z | x_o], (n, q, q) or none of it: (0, q, q)."""
    n, q = len(X), factors.n_components
    means, covariances = np.empty((n, q)), np.empty((n if covariance else 0, q, q))
    about_mean = Factors(np.zeros(len(factors.mean)), factors.loadings, factors.noise)
    for batch in Patterns.of(X, factors.mean).batches(q):
        found = posterior(batch, about_mean)
        means[batch.order] = found.mean
        if covariance:
            covariances[batch.order] = factors.noise * batch.each(found.inverse)
    return means, covariances


def filled(X: NDArray, factors: Factors) -> NDArray[np.float64]:
    """Return the rows with E[x_j | x_o] in the place of each NaN."""
    means, _ = posterior_of_rows(X, factors)
    return np.where(np.isnan(X), means @ factors.loadings.T + factors.mean, X)


def deviations(X: NDArray, factors: Factors) -> NDArray[np.float64]:
    """Return the standard deviation of each unknown entry given the known ones; 0 where known."""
    W, noise = factors.loadings, factors.noise
    i, j, twice = _triangle(W.shape[1])
    products = W[:, i] * W[:, j] * twice  # (d, q (q + 1) / 2)
    result = np.zeros(X.shape)
    about_mean = Factors(np.zeros(len(factors.mean)), W, noise)
    for batch in Patterns.of(X, factors.mean).batches(W.shape[1]):
        inverse = posterior(batch, about_mean).inverse[:, i, j]
        # Var[x_j | x_o] = sigma^2 (1 + w_j^T M_o^-1 w_j)
        variance = noise * (1 + inverse @ products.T) * (1 - batch.known)
        result[batch.order] = batch.each(np.sqrt(variance))
    return result


def covariance_of_unknown(row: NDArray, factors: Factors) -> NDArray[np.float64]:
    """Return Cov[x | x_o] of one row, (d, d): zero in the rows and columns of what is known."""
    unknown = np.isnan(row)
    _, covariance = posterior_of_rows(row[None], factors, covariance=True)
    W = factors.loadings * unknown[:, None]
    return W @ covariance[0] @ W.T + factors.noise * np.diag(unknown.astype(np.float64))


def draw_unknown(
    X: NDArray, n_draws: int, factors: Factors, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return draws of the unknown entries given the known ones, shape (n_draws, n, d)."""
    means, covariances = posterior_of_rows(X, factors, covariance=True)
    roots = np.linalg.cholesky(covariances)  # (n, q, q)
    e = rng.standard_normal((n_draws, *means.shape))
    z = means + np.einsum("nij,knj->kni", roots, e)
    rows = z @ factors.loadings.T + factors.mean
    rows += np.sqrt(factors.noise) * rng.standard_normal(rows.shape)
    return np.where(np.isnan(X), rows, X)


# ---- batches of small matrices -----------------------------------------------------------------


def _triangle(q: int) -> tuple[NDArray, NDArray, NDArray]:
    """Return the places of a lower triangle, and how often each stands in the whole matrix."""
    i, j = np.tril_indices(q)
    return i, j, np.where(i == j, 1.0, 2.0)


def symmetric_sums(weights: NDArray, matrices: NDArray) -> NDArray[np.float64]:
    """Return sum_k weights[p, k] matrices[k], (p, q, q), from symmetric matrices (k, q, q)."""
    i, j, _ = _triangle(matrices.shape[1])
    return _unfolded(weights @ matrices[:, i, j], matrices.shape[1])


def _gram_of_known(known: NDArray, W: NDArray) -> NDArray[np.float64]:
    """Return W_o^T W_o of each mask, shape (n_patterns, q, q)."""
    i, j, _ = _triangle(W.shape[1])
    return _unfolded(known @ (W[:, i] * W[:, j]), W.shape[1])


def _unfolded(triangles: NDArray, q: int) -> NDArray[np.float64]:
    """Return whole symmetric matrices from their lower triangles."""
    i, j, _ = _triangle(q)
    whole = np.empty((len(triangles), q, q))
    whole[:, i, j] = triangles
    whole[:, j, i] = triangles
    return whole


def _solved(patterns: Patterns, inverse: NDArray, right: NDArray) -> NDArray[np.float64]:
    """Return inverse[p] @ right[r] for each value r of pattern p."""
    if len(right) <= 2 * len(inverse):  # nearly every mask differs
        return np.matmul(patterns.each(inverse), right[:, :, None])[:, :, 0]
    result = np.empty_like(right)
    for p, (a, b) in enumerate(zip(patterns.start[:-1], patterns.start[1:])):
        np.matmul(right[a:b], inverse[p], out=result[a:b])
    return result
