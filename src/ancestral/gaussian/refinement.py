"""A least-squares solution carried to full precision with the help of the rows.

Björck's augmented system

    [ I    A ] [ r ]   [ Y ]
    [ A^T  0 ] [ W ] = [ 0 ]

is refined: r = Y - A W and g = A^T r are formed in double-double from the rows, and W takes the
step T T^T g, with T an approximate inverse root from float64. Each step gains about as many
digits as float64 has left over the condition number; r and W are carried in double-double, so
that the end is right to the last digit of float64 wherever the steps shrink at all.

The features are shifted by their means (any float64 shift is exact here), scaled by powers of
two, and powers of a column are formed in double-double: their rounding alone would leave 7 digits
on a polynomial of degree 10. `polish` is one such step in float64, for large data whose condition
number is small.

References: Björck (1967), BIT 7; Golub & Wilkinson (1966), Numerische Mathematik 9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from ancestral._threads import even_parts, in_threads, n_threads
from ancestral.gaussian import double_double as dd
from ancestral.gaussian.double_double import Pair
from ancestral.gaussian.least_squares import BLOCK, EPS, Solution, is_exact, power_of_two

Float = NDArray[np.float64]
Sum = TypeVar("Sum")
MOST_STEPS = 40
ROWS = 2048  # at once, in cache


@dataclass(frozen=True)
class Rows:
    """The rows behind a solution, given block by block as weighted, shifted columns.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, k)
    weights : ndarray of shape (n,) or None
    degree : int
    found : Solution
        Which columns were kept, and what they are shifted by.
    """

    X: Float
    Y: Float
    weights: Float | None
    degree: int
    found: Solution

    @property
    def _used(self) -> NDArray[np.intp]:
        """Places of the kept columns among all, the intercept first; shape (q,)."""
        start = int(self.found.centred)
        return np.concatenate([np.arange(start), start + self.found.kept])

    @cached_property
    def exponents(self) -> NDArray[np.intp]:
        """Of the power of two at or above the largest value of each column of X; shape (d,)."""
        size = np.maximum(self.X.max(axis=0), -self.X.min(axis=0))
        return np.where(size > 0, np.frexp(size)[1], 0)

    @cached_property
    def scale(self) -> Float:
        """Powers of two that bring the columns of A to 1 at most; shape (q,)."""

        def largest(rows: slice) -> Float:
            return np.max(
                [np.abs(self._columns(part).hi).max(axis=0) for part in _blocks(rows, ROWS)], axis=0
            )

        return power_of_two(np.max(self.in_parts(largest), axis=0))

    def in_parts(self, task: Callable[[slice], Sum]) -> list[Sum]:
        """Return task(part) of parts that make up all rows, in their order."""
        return in_threads(task, even_parts(len(self.X), n_threads()), self.X.size)

    def pairs(self, rows: slice) -> Iterator[tuple[Float, Pair]]:
        """Yield (A, Y): A scaled and in slices, Y in double-double; (m, 3, q), (m, k)."""
        for part in _blocks(rows, ROWS):
            A, Y = self._columns(part), dd.two_sum(self.Y[part], -self.found.target_means)
            yield dd.slices(dd.scaled(A, 1 / self.scale), dd.SLICE, 3), self._weighted(Y, part)

    def floats(self, rows: slice) -> Iterator[tuple[Float, Float]]:
        """Yield (A, Y) in float64, not scaled; shapes (m, q) and (m, k)."""
        for part in _blocks(rows, max(1024, BLOCK // (8 * (len(self.found.coef) + 1)))):
            X = self.X[part]
            powers = [X, *(X**k for k in range(2, self.degree + 1))]
            A = np.column_stack([*([np.ones(len(X))] * self.found.centred), *powers])
            A[:, int(self.found.centred) :] -= self.found.means
            A = A[:, self._used]
            Y = self.Y[part] - self.found.target_means
            if self.weights is not None:
                root = np.sqrt(self.weights[part, None])
                A, Y = A * root, Y * root
            yield A, Y

    def _columns(self, part: slice) -> Pair:
        """Return 1, x, x^2, ... less the features' means, times the roots of the weights.

        Powers are formed of x over a power of two, so that none overflows on the way.
        """
        X = self.X[part] * np.ldexp(1.0, -self.exponents)
        means = self.found.means.reshape(self.degree, X.shape[1])
        columns = []
        for k, power in enumerate(dd.powers(X, self.degree), start=1):
            exponents = k * self.exponents
            shift = dd.exact(np.broadcast_to(np.ldexp(-means[k - 1], -exponents), X.shape))
            centred = dd.two_sum(X, shift.hi) if k == 1 else dd.add(power, shift)
            columns.append(dd.scaled(Pair(*centred), np.ldexp(1.0, exponents)))
        hi, lo = (np.hstack(half) for half in zip(*columns))
        if self.found.centred:
            hi = np.column_stack([np.ones(len(X)), hi])
            lo = np.column_stack([np.zeros(len(X)), lo])
        return self._weighted(Pair(hi[:, self._used], lo[:, self._used]), part)

    def _weighted(self, a: Pair, part: slice) -> Pair:
        """Return rows times the roots of their weights."""
        if self.weights is None:
            return a
        return dd.multiply(a, dd.square_root(self.weights[part, None]))


def _blocks(rows: slice, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` of these rows."""
    for start in range(rows.start, rows.stop, size):
        yield slice(start, min(start + size, rows.stop))


def refine(rows: Rows) -> tuple[Solution, bool]:
    """Return the solution right to the last digits, and whether the steps shrank to nothing."""
    found = rows.found
    T = found.inverse_root[rows._used] * rows.scale[:, None]
    start = np.vstack([np.zeros((int(found.centred), rows.Y.shape[1])), found.coef[found.kept]])
    W = dd.exact(start * rows.scale[:, None])
    size_of_targets = np.where(found.target_spread > 0, found.target_spread, 1.0)
    previous, converged = np.inf, False
    for _ in range(MOST_STEPS):
        products, gradient = _residual(rows, W)
        step = T.T @ gradient.hi  # by how much the fitted values move
        move = T @ step
        W = dd.add(W, dd.exact(move))
        size = float(np.linalg.norm(step / size_of_targets, axis=0).max())
        converged = size <= 1e-13
        if (np.abs(move) <= EPS / 64 * np.abs(W.hi)).all() or size >= 0.25 * previous:
            break
        previous = size
    residual = products - step.T @ step  # what the last step took off
    root = found.inverse_root[rows._used], found.at_zero
    if EPS * found.condition > 1e-13:
        root = _sharpened(rows, T)
    return _with(rows, W, root, residual), converged


def _residual(rows: Rows, W: Pair) -> tuple[Float, Pair]:
    """Return the cross products of r = Y - A W, shape (k, k), and A^T r, shape (q, k)."""

    def summed(part: slice) -> tuple[Float, Pair]:
        products, gradient = np.zeros((rows.Y.shape[1],) * 2), dd.exact(np.zeros(W.hi.shape))
        for A, Y in rows.pairs(part):
            r = dd.subtract(Y, dd.product(A, W))
            products += r.hi.T @ r.hi
            gradient = dd.add(gradient, dd.transposed_product(A, r))
        return products, gradient

    sums = rows.in_parts(summed)
    return reduce(add, (s[0] for s in sums)), reduce(dd.add, (s[1] for s in sums))


def _sharpened(rows: Rows, T: Float) -> tuple[Float, Float]:
    """Return an inverse root with full digits, unscaled, and its row at x = 0.

    Q = A T is near orthonormal and formed exactly; with L L^T = Q^T Q, T L^-T is the root.
    """

    def summed(part: slice) -> Float:
        gram = np.zeros((T.shape[1],) * 2)
        for A, _ in rows.pairs(part):
            Q = dd.product(A, dd.exact(T)).hi
            gram += Q.T @ Q
        return gram

    gram = reduce(add, rows.in_parts(summed))
    T = T / rows.scale[:, None]
    at_zero = _at_zero(rows.found, dd.exact(T)).hi
    try:
        L = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:  # nothing to go by: refine says that it did not converge
        return T, at_zero
    sharp = np.asarray(solve_triangular(L, np.vstack([T, at_zero]).T, lower=True).T)
    return sharp[:-1], sharp[-1]


def _at_zero(found: Solution, values: Pair) -> Pair:
    """Return what rows of shape (q, m) for the height at the means and the slopes say of x = 0."""
    if not found.centred:
        return dd.exact(np.zeros(values.hi.shape[1]))
    slopes = Pair(values.hi[1:], values.lo[1:])
    means = dd.exact(np.broadcast_to(found.means[found.kept, None], slopes.hi.shape))
    carried = dd.total(dd.multiply(slopes, means))
    return dd.subtract(Pair(values.hi[0], values.lo[0]), carried)


def _with(rows: Rows, W: Pair, root: tuple[Float, Float], residual: Float) -> Solution:
    """Return the solution with refined coefficients, inverse root and residual."""
    found = rows.found
    W = dd.scaled(W, 1 / rows.scale[:, None])
    coef, inverse_root = np.zeros_like(found.coef), np.zeros_like(found.inverse_root)
    coef[found.kept] = W.hi[int(found.centred) :]
    inverse_root[rows._used] = root[0]
    return replace(
        found,
        coef=coef,
        intercept=dd.add(dd.exact(found.target_means), _at_zero(found, W)).hi,
        inverse_root=inverse_root,
        at_zero=root[1],
        residual=residual,
        is_exact=is_exact(residual, coef, found.rms, found.weight),
    )


def polish(rows: Rows) -> Solution:
    """Return the solution after one step in float64: one pass over the rows."""
    found, start = rows.found, int(rows.found.centred)
    W = np.vstack([np.zeros((start, rows.Y.shape[1])), found.coef[found.kept]])

    def summed(part: slice) -> tuple[Float, Float]:
        products, gradient = np.zeros((rows.Y.shape[1],) * 2), np.zeros_like(W)
        for A, Y in rows.floats(part):
            r = Y - A @ W
            products += r.T @ r
            gradient += A.T @ r
        return products, gradient

    products, gradient = (reduce(add, s) for s in zip(*rows.in_parts(summed)))
    T = found.inverse_root[rows._used]
    step = T.T @ gradient
    W += T @ step
    coef = np.zeros_like(found.coef)
    coef[found.kept] = W[start:]
    residual = products - step.T @ step
    intercept = found.target_means - found.means @ coef + (W[0] if start else 0.0)
    return replace(
        found,
        coef=coef,
        intercept=intercept,
        residual=residual,
        is_exact=is_exact(residual, coef, found.rms, found.weight),
    )
