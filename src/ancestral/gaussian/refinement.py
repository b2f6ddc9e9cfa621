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

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from ancestral.gaussian import double_double as dd
from ancestral.gaussian.double_double import Pair
from ancestral.gaussian.least_squares import BLOCK, EPS, Solution, is_exact

Float = NDArray[np.float64]
MOST_STEPS = 40


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

    @cached_property
    def exponents(self) -> NDArray[np.intp]:
        """Of the power of two at or above the largest value of each column of X; shape (d,)."""
        size = np.maximum(self.X.max(axis=0), -self.X.min(axis=0))
        return np.where(size > 0, np.frexp(size)[1], 0)

    @cached_property
    def scale(self) -> Float:
        """Powers of two that the kept columns are divided by, intercept first; shape (q,)."""
        degrees = np.arange(1, self.degree + 1)
        scale = np.ldexp(1.0, np.outer(degrees, self.exponents).ravel())[self.found.kept]
        return np.concatenate([np.ones(int(self.found.centred)), scale])

    def pairs(self) -> Iterator[tuple[Pair, Pair]]:
        """Yield (A, Y) in double-double, the columns of A scaled; shapes (m, q) and (m, k)."""
        for part in self._parts(share=8):
            A, Y = self._columns(part), dd.two_sum(self.Y[part], -self.found.target_means)
            if self.weights is not None:
                root = dd.square_root(self.weights[part, None])
                A, Y = dd.multiply(A, root), dd.multiply(Y, root)
            yield A, Y

    def floats(self) -> Iterator[tuple[Float, Float]]:
        """Yield (A, Y) in float64, not scaled; shapes (m, q) and (m, k)."""
        for part in self._parts(share=1):
            A = np.hstack([self.X[part] ** k for k in range(1, self.degree + 1)])
            A = A[:, self.found.kept] - self.found.means[self.found.kept]
            if self.found.centred:
                A = np.column_stack([np.ones(len(A)), A])
            Y = self.Y[part] - self.found.target_means
            if self.weights is not None:
                root = np.sqrt(self.weights[part, None])
                A, Y = A * root, Y * root
            yield A, Y

    def _parts(self, *, share: int) -> Iterator[slice]:
        size = max(256, BLOCK // (8 * share * (len(self.found.coef) + 1)))
        for start in range(0, len(self.X), size):
            yield slice(start, start + size)

    def _columns(self, part: slice) -> Pair:
        """Return 1, x, x^2, ... less the features' means, each divided by its scale."""
        X = np.ldexp(self.X[part], -self.exponents)
        means = self.found.means.reshape(self.degree, X.shape[1])
        columns = []
        for k, power in enumerate(dd.powers(X, self.degree), start=1):
            shift = np.ldexp(means[k - 1], -k * self.exponents)
            columns.append(dd.subtract(power, dd.exact(np.broadcast_to(shift, X.shape))))
        hi, lo = (np.hstack(half)[:, self.found.kept] for half in zip(*columns))
        if self.found.centred:
            hi = np.column_stack([np.ones(len(X)), hi])
            lo = np.column_stack([np.zeros(len(X)), lo])
        return Pair(hi, lo)


def refine(rows: Rows) -> tuple[Solution, bool]:
    """Return the solution right to the last digits, and whether the steps shrank to nothing."""
    found = rows.found
    T = _used(found) * rows.scale[:, None]
    start = np.vstack([np.zeros((int(found.centred), rows.Y.shape[1])), found.coef[found.kept]])
    W = dd.exact(start * rows.scale[:, None])
    size_of_targets = np.where(found.total > 0, np.sqrt(found.total), 1.0)
    previous, converged = np.inf, False
    for _ in range(MOST_STEPS):
        _, gradient = _residual(rows, W)
        step = T.T @ gradient.hi  # by how much the fitted values move
        move = T @ step
        W = dd.add(W, dd.exact(move))
        size = float(np.linalg.norm(step / size_of_targets, axis=0).max())
        converged = size <= 1e-13
        if (np.abs(move) <= EPS / 64 * np.abs(W.hi)).all() or size >= 0.25 * previous:
            break
        previous = size
    residual, _ = _residual(rows, W)
    if EPS * found.condition > 1e-13:
        T = _sharpened(rows, T)
    return _with(rows, W, T, residual), converged


def _residual(rows: Rows, W: Pair) -> tuple[Float, Pair]:
    """Return the cross products of r = Y - A W, shape (k, k), and A^T r, shape (q, k)."""
    products, gradient = np.zeros((rows.Y.shape[1],) * 2), dd.exact(np.zeros(W.hi.shape))
    for A, Y in rows.pairs():
        r = dd.subtract(Y, dd.times(A, W))
        products += r.hi.T @ r.hi
        gradient = dd.add(gradient, dd.transposed_times(A, r))
    return products, gradient


def _used(found: Solution) -> Float:
    """Return the rows of T of the kept columns, (q, r + 1) square."""
    start = int(found.centred)
    return found.inverse_root[[*range(start), *(start + found.kept)]]


def _sharpened(rows: Rows, T: Float) -> Float:
    """Return an inverse root with full digits: (A T)^T (A T) is near the identity, and exact."""
    gram = np.zeros((T.shape[1],) * 2)
    for A, _ in rows.pairs():
        Q = dd.times(A, dd.exact(T)).hi
        gram += Q.T @ Q
    try:
        return np.asarray(solve_triangular(np.linalg.cholesky(gram), T.T, lower=True).T)
    except np.linalg.LinAlgError:  # nothing to go by: refine says that it did not converge
        return T


def _with(rows: Rows, W: Pair, T: Float, residual: Float) -> Solution:
    """Return the solution with refined coefficients, inverse root and residual."""
    found, start = rows.found, int(rows.found.centred)
    W = dd.scaled(W, 1 / rows.scale[:, None])
    coef, inverse_root = np.zeros_like(found.coef), np.zeros_like(found.inverse_root)
    coef[found.kept] = W.hi[start:]
    inverse_root[[*range(start), *(start + found.kept)]] = T / rows.scale[:, None]
    intercept = found.intercept
    if start:  # target mean + W_0 - means . coef
        means = dd.exact(np.broadcast_to(found.means[found.kept, None], W.hi[1:].shape))
        carried = dd.total(dd.multiply(Pair(W.hi[1:], W.lo[1:]), means))
        here = dd.add(Pair(W.hi[0], W.lo[0]), dd.exact(found.target_means))
        intercept = dd.subtract(here, carried).hi
    return replace(
        found,
        coef=coef,
        intercept=intercept,
        inverse_root=inverse_root,
        residual=residual,
        is_exact=is_exact(residual, coef, found.rms, found.weight),
    )


def polish(rows: Rows) -> Solution:
    """Return the solution after one step in float64: one pass over the rows."""
    found, start = rows.found, int(rows.found.centred)
    W = np.vstack([np.zeros((start, rows.Y.shape[1])), found.coef[found.kept]])
    products, gradient = np.zeros((rows.Y.shape[1],) * 2), np.zeros_like(W)
    for A, Y in rows.floats():
        r = Y - A @ W
        products += r.T @ r
        gradient += A.T @ r
    T = _used(found)
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
