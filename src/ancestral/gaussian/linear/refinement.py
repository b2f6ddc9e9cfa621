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
on a polynomial of degree 10. `polish` is one step with right residuals and a gradient in float64:
all that a small condition number needs, whatever the residuals' size.

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

from ancestral._numerics import double_double as dd
from ancestral._numerics.accumulation import BLOCK_BYTES
from ancestral._numerics.double_double import Pair
from ancestral._numerics.threads import blocks_of, in_threads
from ancestral._numerics.triangles import solved
from ancestral.gaussian.linear.least_squares import (
    EPS,
    Solution,
    height_at_zero,
    is_exact,
    lengths,
    power_of_two,
)
from ancestral.gaussian.linear.sums import fixed_parts

Float = NDArray[np.float64]
Sum = TypeVar("Sum")
MOST_STEPS = 40
AGAIN = 1e-8  # of the residuals: a step that leaves something to the next
LEFT = 26  # bits of the leading half of a feature
BURIED = 1e-8  # of the spread of what they come from: residuals that float64 shows too roughly
ROWS = 2048  # at once, in cache
FEW = 100_000  # numbers: so few are kept between the steps
UNIT = 900  # binary digits of values whose halves (`double_double`) are on the way to overflow


@dataclass(frozen=True)
class Rows:
    """The rows behind a solution, given block by block as weighted, shifted columns.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, k)
    weights : ndarray of shape (n,) or None
        Those that the moments are of.
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
                [np.abs(self._columns(part).hi).max(axis=0) for part in blocks_of(rows, ROWS)],
                axis=0,
            )

        if self._whole is not None:
            return power_of_two(np.abs(self._whole.hi).max(axis=0))
        return power_of_two(np.max(self.in_parts(largest), axis=0))

    @cached_property
    def _whole(self) -> Pair | None:
        """The columns of all rows, where these are few enough to be kept; shape (n, q)."""
        return self._columns(slice(0, len(self.X))) if self._are_few else None

    @property
    def _are_few(self) -> bool:
        return self.X.size * self.degree <= FEW and len(self.X) <= ROWS

    @cached_property
    def _kept_pairs(self) -> tuple[Float, Pair] | None:
        """What `pairs` gives of all rows at once, where they are kept."""
        return None if self._whole is None else self._pair(slice(0, len(self.X)), self._whole)

    def is_exact(self, residual: Float, coef: Float, *, own: float) -> NDArray[np.bool_]:
        """Tell for each target whether the residuals are rounding, as `least_squares` has it."""
        found = self.found
        return is_exact(residual, coef, found.rms, found.spread, found.weight, own=own)

    def in_parts(self, task: Callable[[slice], Sum]) -> list[Sum]:
        """Return task(part) of parts that make up all rows, in their order."""
        return in_threads(task, fixed_parts(len(self.X), self.X.size), self.X.size)

    def pairs(self, rows: slice) -> Iterator[tuple[Float, Pair]]:
        """Yield (A, Y): A scaled and in slices, Y in double-double; (m, 3, q), (m, k)."""
        if self._kept_pairs is not None:  # few rows are one part
            yield self._kept_pairs
            return
        for part in blocks_of(rows, ROWS):
            yield self._pair(part, self._columns(part))

    def _pair(self, part: slice, A: Pair) -> tuple[Float, Pair]:
        Y = dd.two_sum(self.Y[part], -self.found.target_means)
        return dd.slices(dd.scaled(A, 1 / self.scale), dd.SLICE, 3), self._weighted(Y, part)

    def floats(self, rows: slice) -> Iterator[tuple[Float, Float, Float | None]]:
        """Yield kept features and targets in float64, as they are, and roots of weights (m, 1)."""
        every = len(self.found.kept) == len(self.found.coef)
        for part in blocks_of(rows, max(1024, BLOCK_BYTES // (8 * (len(self.found.coef) + 1)))):
            X = self.X[part]
            F = X if self.degree == 1 else np.hstack([X**k for k in range(1, self.degree + 1)])
            root = None if self.weights is None else np.sqrt(self.weights[part, None])
            yield (F if every else F[:, self.found.kept]), self.Y[part], root

    def _columns(self, part: slice) -> Pair:
        """Return 1, x, x^2, ... less the features' means, times the roots of the weights.

        Powers are formed of x over a power of two, so that none overflows on the way.
        """
        if self.degree == 1:  # a difference loses nothing, and powers need no scale
            return self._weighted(
                self._with_ones(dd.two_sum(self.X[part], -self.found.means)), part
            )
        X = np.ldexp(self.X[part], -self.exponents)
        means = self.found.means.reshape(self.degree, X.shape[1])
        columns = []
        for k, power in enumerate(dd.powers(X, self.degree), start=1):
            exponents = k * self.exponents
            shift = dd.exact(np.broadcast_to(np.ldexp(-means[k - 1], -exponents), X.shape))
            centred = dd.two_sum(X, shift.hi) if k == 1 else dd.add(power, shift)
            columns.append(Pair(*(np.ldexp(half, exponents) for half in centred)))
        hi, lo = (np.hstack(half) for half in zip(*columns))
        return self._weighted(self._with_ones(Pair(hi, lo)), part)

    def _with_ones(self, columns: Pair) -> Pair:
        """Return the kept columns, the intercept's first."""
        if len(self.found.kept) < columns.hi.shape[1]:
            columns = Pair(*(half[:, self.found.kept] for half in columns))
        if not self.found.centred:
            return columns
        n, p = columns.hi.shape
        hi, lo = np.ones((n, 1 + p)), np.zeros((n, 1 + p))
        hi[:, 1:], lo[:, 1:] = columns
        return Pair(hi, lo)

    def _weighted(self, a: Pair, part: slice) -> Pair:
        """Return rows times the roots of their weights."""
        if self.weights is None:
            return a
        root = dd.square_root(self.weights[part, None])
        if np.abs(a.hi).max(initial=0.0) < 2.0**UNIT:
            return dd.multiply(a, root)
        return _shifted(dd.multiply(_shifted(a, -UNIT), root), UNIT)


def _shifted(a: Pair, digits: int) -> Pair:
    """Return a times 2**digits."""
    return Pair(np.ldexp(a.hi, digits), np.ldexp(a.lo, digits))


def refine(rows: Rows) -> tuple[Solution, bool]:
    """Return the solution right to the last digits, and whether the steps shrank to nothing."""
    found = rows.found
    T = found.inverse_root[rows._used] * rows.scale[:, None]
    start = np.vstack([np.zeros((int(found.centred), rows.Y.shape[1])), found.coef[found.kept]])
    W = dd.exact(start * rows.scale[:, None])
    size_of_targets = np.where(found.target_spread > 0, found.target_spread, 1.0)
    previous, converged = np.inf, False
    rate = min(0.25, 16 * EPS * found.kappa**2)  # each step leaves about so much of itself
    for _ in range(MOST_STEPS):
        products, gradient = _residual(rows, W)
        step = T.T @ gradient.hi  # by how much the fitted values move
        move = T @ step
        W = dd.add(W, dd.exact(move))
        size = float(np.linalg.norm(step / size_of_targets, axis=0).max())
        converged = 4 * rate * size <= 1e-13
        if (4 * rate * np.abs(move) <= EPS / 64 * np.abs(W.hi)).all() or size >= 0.25 * previous:
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
    at_zero = _at_zero(rows, dd.exact(T)).hi
    T = T / rows.scale[:, None]
    try:
        L = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:  # nothing to go by: refine says that it did not converge
        return T, at_zero
    sharp = solved(np.asarray(L, np.float64), np.vstack([T, at_zero]).T, lower=True).T
    return sharp[:-1], sharp[-1]


def _at_zero(rows: Rows, values: Pair) -> Pair:
    """Return what scaled rows of shape (q, m) for height at the means and slopes say of x = 0."""
    if not rows.found.centred:
        return dd.exact(np.zeros(values.hi.shape[1]))
    slopes = Pair(values.hi[1:], values.lo[1:])
    means = rows.found.means[rows.found.kept] / rows.scale[1:]  # neither under- nor overflows
    carried = dd.total(
        dd.multiply(slopes, dd.exact(np.broadcast_to(means[:, None], slopes.hi.shape)))
    )
    height = Pair(values.hi[0] / rows.scale[0], values.lo[0] / rows.scale[0])
    return dd.subtract(height, carried)


def _with(rows: Rows, W: Pair, root: tuple[Float, Float], residual: Float) -> Solution:
    """Return the solution with refined coefficients, inverse root and residual."""
    found, start = rows.found, int(rows.found.centred)
    coef, inverse_root = np.zeros_like(found.coef), np.zeros_like(found.inverse_root)
    with np.errstate(over="ignore"):  # `refuse_unheld` looks for what overflowed
        coef[found.kept] = W.hi[start:] / rows.scale[start:, None]
    inverse_root[rows._used] = root[0]
    intercept = dd.add(dd.exact(found.target_means), _at_zero(rows, W))
    # What rounding takes from each parameter moves the fitted values.
    off = Pair(coef[found.kept] * rows.scale[start:, None] - W.hi[start:], -W.lo[start:])
    taken = off.hi + off.lo
    if start:
        carried = (found.means[found.kept] / rows.scale[1:]) @ taken
        taken = np.vstack([(carried - intercept.lo) * rows.scale[0], taken])
    by = np.linalg.solve(found.inverse_root[rows._used] * rows.scale[:, None], taken)
    return replace(
        found,
        coef=coef,
        intercept=intercept.hi,
        inverse_root=inverse_root,
        at_zero=root[1],
        own=None,
        residual=residual,
        moved=by.T @ by,
        is_exact=rows.is_exact(residual, coef, own=0.0),
    )


def polish(rows: Rows) -> Solution:
    """Return the solution after one step in float64, from residuals that are right: one pass.

    Features and slopes are split, x = x_h + x_l and w = w_h + w_l, in such halves that the BLAS
    rounds nothing in x_h . w_h; the rest is so small that its rounding does not count. Where the
    step is so large that it leaves something to another, or the residuals so small that the
    rounding of the parameters would show, it is refined instead.
    """
    found, start = rows.found, int(rows.found.centred)
    kept, k = found.kept, rows.Y.shape[1]
    means, W = found.means[kept], found.coef[kept]
    line = height_at_zero(dd.exact(found.target_means), dd.exact(means), W)
    powers = np.multiply.outer(np.arange(1, rows.degree + 1), rows.exponents).ravel()[kept]
    size = np.ldexp(1.0, powers)
    sigma = 1.5 * 2.0 ** (52 - LEFT) * size  # rounds to a multiple of 2^-LEFT of the size
    of_slopes = 1.5 * 2.0 ** (LEFT + np.ceil(np.log2(len(W) + 1)))
    V = W * size[:, None]
    unit = of_slopes * power_of_two(np.abs(V).max(axis=0, initial=0.0))
    leading = ((V + unit) - unit) / size[:, None]
    trailing = W - leading

    def summed(part: slice) -> tuple[Float, Float]:
        products, gradient = np.zeros((k, k)), np.zeros((start + len(W), k))
        for X, Y, root in rows.floats(part):
            high = X + sigma
            high -= sigma
            left = dd.two_sum(Y, -(high @ leading))
            less = dd.two_sum(left.hi, -line.hi)
            np.subtract(X, high, out=high)
            small = high @ leading
            small += X @ trailing
            r = less.hi + ((left.lo + less.lo) - (small + line.lo))
            A = np.subtract(X, means, out=high)
            if root is not None:
                r *= root
                A *= root
            products += r.T @ r
            gradient[start:] += A.T @ r
            if start:
                gradient[0] += np.add.reduce(r if root is None else r * root, axis=0)
        return products, gradient

    products, gradient = (reduce(add, s) for s in zip(*rows.in_parts(summed)))
    T = found.inverse_root[rows._used]
    step = T.T @ gradient
    move = T @ step
    slopes = dd.two_sum(W, move[start:])
    coef = np.zeros_like(found.coef)
    coef[kept] = slopes.hi
    residual = products - step.T @ step
    # By rounding, the residual of a line through every row can lie below 0.
    size = lengths(step) > AGAIN * np.sqrt(np.maximum(residual.diagonal(), 0.0))
    if (size | rows.is_exact(residual, coef, own=BURIED / EPS)).any():
        return refine(rows)[0]
    # What rounding takes from each parameter moves the fitted values.
    by, intercept = found.triangle @ slopes.lo, found.intercept
    moved = by.T @ by
    if start:  # the height at zero of the slopes before they are rounded
        carried = means @ slopes.lo
        height = dd.add(dd.two_sum(found.target_means, move[0]), dd.exact(-carried))
        at_zero = height_at_zero(height, dd.exact(means), slopes.hi)
        shift = carried - at_zero.lo
        intercept, moved = at_zero.hi, moved + found.weight * np.outer(shift, shift)
    return replace(
        found,
        coef=coef,
        intercept=intercept,
        residual=residual,
        moved=moved,
        is_exact=rows.is_exact(residual, coef, own=4.0),
    )
