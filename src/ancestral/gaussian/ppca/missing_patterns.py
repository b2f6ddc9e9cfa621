"""Rows with gaps, grouped by which of their entries are known.

For x ~ N(mu, W W^T + sigma^2 I_d) and the known entries o of a row,

    M_o = W_o^T W_o + sigma^2 I_q,   z | x_o ~ N(M_o^-1 W_o^T (x_o - mu_o), sigma^2 M_o^-1),
    log p(x_o) = -1/2 [ d_o log 2 pi + (d_o - q) log sigma^2 + log|M_o| + S_o / sigma^2 ],
    S_o = |x_o - mu_o - W_o E[z]|^2 + sigma^2 |E[z]|^2

(the marginal of a normal drops the unknown rows of mu and W; S_o is the quadratic form without
its cancellation). M_o depends on the row only through its mask, so one small matrix serves all
rows that share one. They are built for many masks at once, as a product of the masks with the
outer products of the rows of W, and solved in batches; where noise is so small beside W that
forming M_o would lose digits, [W_o; sigma I] is reflected instead (`reflections`).
Symbols: mu mean, W loadings, sigma^2 noise, K root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, reduce
from operator import add
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import refuse_far
from ancestral._numerics.threads import LEAST_NUMBERS, ahead, blocks_of
from ancestral.errors import ModelError
from ancestral.gaussian.ppca.reflections import reflections
from ancestral.statistics import distinct_rows

T = TypeVar("T")
BATCH_NUMBERS = 1 << 21  # float64 values in a batch of small matrices: 16 MiB
CACHED_NUMBERS = 1 << 17  # and in one of a sum: 1 MiB
LEAST_PATTERNS = 64
MOST_SWEPT = 32  # latents: larger matrices are better inverted one by one
STEEP = 1e-5  # of W's variance: with less noise, M_o is too ill-conditioned to be formed


class Singular(ModelError):
    """Parameters at which float64 leaves the posterior no digits."""


@dataclass(frozen=True)
class Factors:
    """Parameters of x / scale ~ N(mean / scale, loadings loadings^T + noise I), in any rotation."""

    mean: NDArray[np.float64]  # (d,), in the units of x
    loadings: NDArray[np.float64]  # (d, q), in units of the scale, as the noise is
    noise: float
    scale: NDArray[np.float64] | None = None  # (d,); None is 1

    @property
    def n_components(self) -> int:
        """Latent dimension, q."""
        return self.loadings.shape[1]

    @property
    def about_mean(self) -> Factors:
        """The factors of scaled rows minus the mean."""
        return Factors(np.zeros(len(self.mean)), self.loadings, self.noise)

    def about(self, shift: NDArray[np.float64], scale: NDArray[np.float64] | None) -> Factors:
        """Return the factors of the rows that were shifted, and divided by the scale after that."""
        return Factors(
            shift + (1.0 if scale is None else scale) * self.mean, self.loadings, self.noise, scale
        )

    def in_units(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return differences, (..., d), in the units of x."""
        return values if self.scale is None else values * self.scale


@dataclass(frozen=True)
class Patterns:
    """Rows of a table about a shift, sorted so that rows of one mask stand together.

    Parameters
    ----------
    known : ndarray of shape (n_patterns, d)
        1.0 where known, 0.0 where not.
    count : ndarray of shape (n_patterns,)
        Rows of the table that have the mask; the sum of their weights, where they have some.
    start : ndarray of shape (n_patterns + 1,)
        Pattern p has the values start[p] to start[p + 1].
    values : ndarray of shape (n_values, d)
        Row minus shift, times the root of its weight; 0.0 where unknown.
    level : ndarray of shape (n_values,)
        How often the mean is in the value: the root of the weight, 1 for a row without one (see
        `missing_em.compressed`).
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
    def of(
        cls,
        X: NDArray,
        shift: NDArray[np.float64],
        scale: NDArray[np.float64] | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> Patterns:
        """Group the rows of X, of shape (n, d), NaN where unknown."""
        known = ~np.isnan(X)
        _, group = distinct_rows(np.packbits(known, axis=1))
        order = np.argsort(group, kind="stable")
        count = np.bincount(group)
        start = np.concatenate([[0], np.cumsum(count)])
        # In C order: sums over a row then give the same bits whatever the memory order of X.
        values = np.ascontiguousarray(np.where(known, X - shift, 0.0)[order])
        if scale is not None:
            with np.errstate(over="ignore"):  # of rows very far out
                values /= scale
        level = np.ones(len(X))
        if weights is not None:
            level = np.sqrt(weights[order])
            values *= level[:, None]
            count = np.bincount(group, weights)
        masks = known[order[start[:-1]]].astype(np.float64)
        return cls(masks, count.astype(np.float64), start, values, level, order)

    def batches(self, q: int) -> Iterator[Patterns]:
        """Yield consecutive patterns, few enough for their (q, q) matrices to fit in a batch."""
        d = self.known.shape[1]
        step = max(1, BATCH_NUMBERS // max(1, (d + q) * q, d))
        return map(self.batch, blocks_of(slice(0, len(self.count)), step))

    def batch(self, part: slice) -> Patterns:
        """Return some of the patterns."""
        start = self.start[part.start : part.stop + 1]
        rows = slice(start[0], start[-1])
        return Patterns(
            self.known[part],
            self.count[part],
            start - start[0],
            self.values[rows],
            self.level[rows],
            self.order[rows],
        )

    @property
    def n_features(self) -> int:
        """How many columns there are, d."""
        return self.known.shape[1]

    def __len__(self) -> int:
        return len(self.count)

    def summed(self, of_values: NDArray) -> NDArray:
        """Return the sums over the values of each pattern, (k, n_patterns), from (k, n_values)."""
        if of_values.shape[1] == len(self.count):  # every mask differs
            return of_values
        return np.add.reduceat(of_values, self.start[:-1], axis=1)

    def each(self, of_patterns: NDArray) -> NDArray:
        """Return what stands for each pattern once for each of its values."""
        if len(self.values) == len(self.count):  # every mask differs
            return of_patterns
        return of_patterns[self.of_value]

    def times(self, matrices: NDArray, right: NDArray) -> NDArray[np.float64]:
        """Return right[r] @ matrices[p] for each value r of pattern p, shape (n_values, k)."""
        if len(right) <= 2 * len(matrices):  # nearly every mask differs
            return np.matmul(right[:, None, :], self.each(matrices))[:, 0, :]
        result = np.empty((len(right), matrices.shape[2]))
        for p, (a, b) in enumerate(zip(self.start[:-1], self.start[1:])):
            np.matmul(right[a:b], matrices[p], out=result[a:b])
        return result

    @property
    def n_known(self) -> float:
        """How many entries of the table are known, each as often as its row counts."""
        return float((self.count @ self.known).sum())

    @property
    def of_value(self) -> NDArray[np.intp]:
        """Which pattern each value has, shape (n_values,)."""
        return np.repeat(np.arange(len(self.count)), np.diff(self.start))


@dataclass(frozen=True)
class Apart:
    """Rows of a table of which nearly every one has a mask of its own: patterns as they stand.

    Nothing of them is copied until it is looked at.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        NaN where unknown.
    weights : ndarray of shape (n,) or None
    shift : ndarray of shape (d,)
    scale : ndarray of shape (d,) or None
        What rows are divided by after they were shifted.
    """

    X: NDArray
    weights: NDArray[np.float64] | None
    shift: NDArray[np.float64]
    scale: NDArray[np.float64] | None

    def batch(self, part: slice) -> Patterns:
        """Return some of the rows, each a pattern."""
        X = np.ascontiguousarray(self.X[part])  # as in `Patterns.of`
        n, unknown = len(X), np.isnan(X)
        count = np.ones(n) if self.weights is None else self.weights[part]
        values = X - self.shift
        if self.scale is not None:
            values /= self.scale
        values[unknown] = 0.0
        level = np.sqrt(count)
        if self.weights is not None:
            values *= level[:, None]
        known = np.subtract(1.0, unknown)
        return Patterns(known, count, np.arange(n + 1), values, level, np.arange(n))

    @property
    def n_features(self) -> int:
        """How many columns there are, d."""
        return self.X.shape[1]

    def __len__(self) -> int:
        return len(self.X)


def number_of_masks(X: NDArray) -> int:
    """Return how many masks the rows of X have, but for two that share a hash of 64 bits."""
    if not len(X):
        return 0
    bits = np.ascontiguousarray(np.packbits(np.isnan(X), axis=1))
    words = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8))).view(np.uint64)
    words ^= words >> np.uint64(32)
    odd = np.random.default_rng(0).integers(2**63, size=words.shape[1], dtype=np.uint64)
    mixed = np.sort((words * (2 * odd + np.uint64(1))).sum(axis=1))
    return 1 + int(np.count_nonzero(mixed[1:] != mixed[:-1]))


def over_batches(
    patterns: Patterns | Apart, look: Callable[[Patterns], T], none: T, each: int = 1
) -> T:
    """Return none + look(batch) + ..., in order, on threads where there are many.

    Batches are so small that so many numbers for `each` pattern stay in the cache.
    """
    n, d = len(patterns), patterns.n_features
    parts = blocks_of(slice(0, n), max(LEAST_PATTERNS, CACHED_NUMBERS // max(1, each)))

    def of_part(part: slice) -> T:
        return look(patterns.batch(part))

    found = map(of_part, parts) if n * d < LEAST_NUMBERS else ahead(of_part, parts)
    return reduce(add, found, none)


@dataclass(frozen=True)
class Expected:
    """z given the known entries of each value, as EM sums it: N(mean, noise * inverse)."""

    mean: NDArray[np.float64]  # (n_values, q)
    inverse: NDArray[np.float64]  # (q (q + 1) / 2, n_patterns): lower triangles of M_o^-1
    log_determinant: NDArray[np.float64]  # (n_patterns,): log|M_o|
    misfit: NDArray[np.float64]  # (n_values, d): x_o - mu_o - W_o E[z], 0 where unknown
    squares: NDArray[np.float64]  # (n_values,): S_o


@dataclass(frozen=True)
class Posterior:
    """z given the known entries of each value: N(mean, noise * inverse) by pattern."""

    mean: NDArray[np.float64]  # (n_values, q)
    root: NDArray[np.float64]  # (n_patterns, q, q): K with K K^T = M_o^-1
    log_determinant: NDArray[np.float64]  # (n_patterns,): log|M_o|
    misfit: NDArray[np.float64]  # (n_values, d): x_o - mu_o - W_o E[z], 0 where unknown
    squares: NDArray[np.float64]  # (n_values,): S_o

    @property
    def inverse(self) -> NDArray[np.float64]:
        """M_o^-1, shape (n_patterns, q, q)."""
        return np.matmul(self.root, np.swapaxes(self.root, 1, 2))


def posterior(patterns: Patterns, factors: Factors) -> Posterior:
    """Return the posterior of one batch; `factors.mean` counts from the patterns' shift."""
    W, noise = factors.loadings, factors.noise
    known = patterns.each(patterns.known)
    centred = patterns.values - known * (patterns.level[:, None] * factors.mean)
    if noise < STEEP * (W * W).sum():
        return _by_reflections(patterns, factors, centred)
    q = W.shape[1]
    M = _gram_of_known(patterns.known, W)
    M[:, np.arange(q), np.arange(q)] += noise
    lower = np.linalg.cholesky(M)
    root = np.swapaxes(np.linalg.inv(lower), 1, 2)
    diagonal = np.diagonal(lower, axis1=1, axis2=2)
    mean = patterns.times(np.matmul(root, np.swapaxes(root, 1, 2)), centred @ W)
    misfit = centred - known * (mean @ W.T)
    squares = _squares(misfit) + noise * _squares(mean)
    return Posterior(mean, root, 2 * np.log(diagonal).sum(axis=1), misfit, squares)


def expected(patterns: Patterns, factors: Factors) -> Expected:
    """Return what EM sums of one batch; `factors.mean` counts from the patterns' shift."""
    W, noise = factors.loadings, factors.noise
    q, n = W.shape[1], len(patterns.values)
    i, j = _places(q)
    if noise < STEEP * (W * W).sum() or q > MOST_SWEPT:
        found = posterior(patterns, factors)
        inverse = found.inverse[:, i, j].T
        return Expected(found.mean, inverse, found.log_determinant, found.misfit, found.squares)
    M = np.empty((q, q, len(patterns)))  # what is done to one is done to all at once
    M[i, j] = M[j, i] = triangles(W.T) @ patterns.known.T
    M[np.arange(q), np.arange(q)] += noise
    log_determinant = _inverted(M)
    known = patterns.each(patterns.known)
    centred = patterns.values - known * (patterns.level[:, None] * factors.mean)
    seen = centred @ W
    if n == len(patterns):
        mean = sum((row * z for row, z in zip(M, seen.T)), np.zeros((q, n))).T
    else:
        mean = patterns.times(np.moveaxis(M, 2, 0), seen)
    misfit = centred - known * (mean @ W.T)
    squares = _squares(misfit) + noise * _squares(mean)
    return Expected(mean, M[i, j], log_determinant, misfit, squares)


def _inverted(M: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert positive matrices (q, q, p) in place, and return their log determinants, (p,).

    Sweeps (Goodnight 1979) take one pivot after the other, of all matrices at once.
    """
    pivots, change = np.empty(M.shape[1:]), np.empty(M.shape)
    for k, pivot in enumerate(pivots):
        pivot[:] = M[k, k]
        column = M[k].copy()
        row = column / pivot
        M -= np.multiply(column[:, None], row, out=change)
        M[k] = M[:, k] = row
        M[k, k] = -1 / pivot
    if not (pivots > 0).all():
        raise Singular(
            "a matrix of the posterior has lost all its digits: scale the columns to similar units."
        )
    np.negative(M, out=M)
    return np.log(pivots).sum(axis=0)


def _by_reflections(patterns: Patterns, factors: Factors, centred: NDArray) -> Posterior:
    """Return the posterior where noise is small: each row's digits are kept."""
    n, d = centred.shape
    found = reflections(patterns.known[:, :, None] * factors.loadings, factors.noise)
    V, turned = found.vectors, np.swapaxes(found.vectors, 1, 2)
    last = np.swapaxes(found.forward, 1, 2)
    upper = np.ascontiguousarray(V[:, :d])
    y = patterns.times(last, patterns.times(upper, centred))
    rows = np.arange(n)[:, None], patterns.each(found.pivots)
    tail = np.concatenate([centred, np.zeros((n, V.shape[2]))], axis=1)
    tail -= patterns.times(turned, y)
    head = tail[rows]
    tail[rows] = 0.0
    mean = patterns.times(np.swapaxes(found.root, 1, 2), head)
    back = patterns.times(found.forward, patterns.times(V, tail))
    misfit = tail[:, :d] - patterns.times(np.swapaxes(upper, 1, 2), back)
    return Posterior(mean, found.root, found.log_determinant, misfit, _squares(tail))


def constants(patterns: Patterns, factors: Factors, log_determinant: NDArray) -> NDArray:
    """Return the part of log p(x_o) that the values do not change, by pattern, in nats."""
    size = patterns.known.sum(axis=1)
    noise, q = factors.noise, factors.n_components
    return -0.5 * (size * np.log(2 * np.pi) + (size - q) * np.log(noise) + log_determinant)


def log_density(X: NDArray, factors: Factors) -> NDArray[np.float64]:
    """Return log p of the known entries of each row, in nats; 0 for a row without any."""
    result = np.empty(len(X))
    for batch, found in _batches_of_rows(X, factors):
        fixed = constants(batch, factors, found.log_determinant)
        if factors.scale is not None:
            fixed = fixed - batch.known @ np.log(factors.scale)
        fixed = np.where(batch.known.any(axis=1), fixed, 0.0)  # exactly
        squares = np.where(np.isnan(found.squares), np.inf, found.squares)  # they overflowed
        with np.errstate(over="ignore"):
            result[batch.order] = batch.each(fixed) - 0.5 * (squares / factors.noise)
    return result


def distances(X: NDArray, factors: Factors) -> NDArray[np.float64]:
    """Return (x_o - mu_o)^T C_oo^-1 (x_o - mu_o) of each row; 0 for a row without known entries."""
    result = np.empty(len(X))
    for batch, found in _batches_of_rows(X, factors):
        squares = np.where(np.isnan(found.squares), np.inf, found.squares)  # they overflowed
        result[batch.order] = squares / factors.noise
    return result


def _batches_of_rows(X: NDArray, factors: Factors) -> Iterator[tuple[Patterns, Posterior]]:
    """Yield the rows of a table batch by batch, with what their known entries say of z."""
    for batch in Patterns.of(X, factors.mean, factors.scale).batches(factors.n_components):
        with np.errstate(over="ignore", invalid="ignore"):  # of rows very far out
            found = posterior(batch, factors.about_mean)
        yield batch, found


def posterior_of_rows(
    X: NDArray, factors: Factors, *, root: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return E[z | x_o], (n, q), and a root of Cov[z | x_o], (n, q, q) or (0, q, q)."""
    n, q = len(X), factors.n_components
    means, roots = np.empty((n, q)), np.empty((n if root else 0, q, q))
    for batch, found in _batches_of_rows(X, factors):
        means[batch.order] = found.mean
        if root:
            roots[batch.order] = np.sqrt(factors.noise) * batch.each(found.root)
    refuse_far(means, "its latent mean")
    return means, roots


def covariances_of_rows(X: NDArray, factors: Factors) -> NDArray[np.float64]:
    """Return Cov[z | x_o] of each row, (n, q, q)."""
    _, roots = posterior_of_rows(X, factors, root=True)
    return np.matmul(roots, np.swapaxes(roots, 1, 2))


def filled(X: NDArray, factors: Factors) -> NDArray[np.float64]:
    """Return the rows with E[x_j | x_o] in the place of each NaN."""
    means, _ = posterior_of_rows(X, factors)
    return np.where(np.isnan(X), factors.in_units(means @ factors.loadings.T) + factors.mean, X)


def deviations(X: NDArray, factors: Factors) -> NDArray[np.float64]:
    """Return the standard deviation of each unknown entry given the known ones; 0 where known."""
    W, noise = factors.loadings, factors.noise
    result = np.zeros(X.shape)
    for batch, found in _batches_of_rows(X, factors):
        along = np.matmul(W, found.root)  # (p, d, q): Var[x_j | x_o] = sigma^2 (1 + |K^T w_j|^2)
        spread = np.sqrt(noise * (1 + np.einsum("pdq,pdq->pd", along, along)))
        result[batch.order] = batch.each(factors.in_units(spread) * (1 - batch.known))
    return result


def covariance_of_unknown(row: NDArray, factors: Factors) -> NDArray[np.float64]:
    """Return Cov[x | x_o] of one row, (d, d): zero in the rows and columns of what is known."""
    unknown = np.isnan(row)
    _, roots = posterior_of_rows(row[None], factors, root=True)
    along = factors.in_units(unknown * (factors.loadings @ roots[0]).T)  # (q, d)
    return along.T @ along + np.diag(factors.in_units(factors.in_units(factors.noise * unknown)))


def draw_unknown(
    X: NDArray, n_draws: int, factors: Factors, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return draws of the unknown entries given the known ones, shape (n_draws, n, d)."""
    return draw_given(posterior_of_rows(X, factors, root=True), X, n_draws, factors, rng)


def draw_given(
    posterior: tuple[NDArray, NDArray],
    X: NDArray,
    n_draws: int,
    factors: Factors,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the same draws, from E[z | x_o] of the rows and roots of Cov[z | x_o]."""
    means, roots = posterior
    e = rng.standard_normal((n_draws, *means.shape))
    z = means + np.einsum("nij,knj->kni", roots, e)
    rows = z @ factors.loadings.T
    rows += np.sqrt(factors.noise) * rng.standard_normal(rows.shape)
    return np.where(np.isnan(X), factors.in_units(rows) + factors.mean, X)


# ---- batches of small matrices -----------------------------------------------------------------


@cache
def _places(q: int) -> tuple[NDArray, NDArray]:
    """Return the places of the lower triangle of a matrix (q, q)."""
    return np.tril_indices(q)


def triangles(columns: NDArray) -> NDArray[np.float64]:
    """Return the lower triangles of z z^T, (q (q + 1) / 2, n), of n columns z, (q, n)."""
    q, n = columns.shape
    found = np.empty((q * (q + 1) // 2, n))
    for i in range(q):
        a = i * (i + 1) // 2
        np.multiply(columns[i], columns[: i + 1], out=found[a : a + i + 1])
    return found


def _gram_of_known(known: NDArray, W: NDArray) -> NDArray[np.float64]:
    """Return W_o^T W_o of each mask, shape (n_patterns, q, q)."""
    i, j = _places(W.shape[1])
    return unfolded(known @ (W[:, i] * W[:, j]), W.shape[1])


def unfolded(triangles: NDArray, q: int) -> NDArray[np.float64]:
    """Return whole symmetric matrices from their lower triangles."""
    i, j = _places(q)
    whole = np.empty((len(triangles), q, q))
    whole[:, i, j] = triangles
    whole[:, j, i] = triangles
    return whole


def _squares(values: NDArray) -> NDArray[np.float64]:
    """Return the sum of squares of each value, shape (n_values,)."""
    return np.einsum("ij,ij->i", values, values)
