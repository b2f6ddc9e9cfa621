"""The sums of a line: `Moments` of the columns [features, targets], as a scatter or as a root.

A root R, with R^T R the scatter, comes from a Householder QR of the rows; a scatter from their
products, which lose condition^2 eps. The cheaper of the two is taken (`gaussian.costs`), the
scatter only where its condition allows squaring.

Weights are held over a power of four, `exponent` times two, so that they have sums and roots
whatever their size.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache, cached_property, reduce
from math import isfinite, sqrt
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from ancestral._checks.numbers import refuse_non_finite
from ancestral._numerics import double_double as dd
from ancestral._numerics.accumulation import scatter_of
from ancestral._numerics.costs import ALONE, ALONE_NUMBERS
from ancestral._numerics.threads import (
    LEAST_NUMBERS,
    blocks_of,
    even_parts,
    in_threads,
    one_thread,
)
from ancestral.errors import DataError
from ancestral.gaussian import costs
from ancestral.statistics import Moments

Float = NDArray[np.float64]

# Squaring loses condition^2 * EPS. Of the features alone where the rows will mend the coefficients,
# so that only standard errors keep that; of all columns where nothing will.
MENDED, SAFE = 64.0, 1e3
ROOT_BLOCK = 64 << 20  # bytes of rows for one QR: each merge costs a little of the last digit
TINY, HUGE = 1e-200, 1e200  # squares within these keep all their digits


@dataclass(frozen=True)
class LineStatistics:
    """Moments of [features, targets], merged by `+` without losing digits.

    Parameters
    ----------
    moments : Moments
        Weighted, where the rows were.
    n_inputs : int
        Leading columns that are features.
    targets : tuple of int
        () for a single column of targets, (k,) for a table of k.
    exponent : int
        The moments are of weights over 4**exponent.
    log_weights : float
        Sum of the logarithms of the weights as they were given.
    """

    moments: Moments
    n_inputs: int
    targets: tuple[int, ...]
    exponent: int = 0
    log_weights: float = 0.0

    @classmethod
    def of_rows(
        cls,
        X: Float,
        y: Float,
        weights: Float | None,
        features: Callable[[Float], Float],
        names: Any = None,
    ) -> LineStatistics:
        """Return the statistics of rows as a root, whatever that costs; see `of`."""
        return cls._of_root(*cls._table(X, y, weights, features, names))

    @classmethod
    def _of_root(cls, table: _Table, rest: tuple[tuple[int, ...], int, float]) -> LineStatistics:
        """Return the statistics of a table as a root."""
        n = len(table.X)
        with table.threads:
            moments = table.root()
        found = cls(moments, table.n_inputs, *rest)
        if table.width <= n <= table.at_once and moments.root is not None:
            vars(found)["triangle"] = moments.root  # as QR leaves it
        return found

    @staticmethod
    def _table(
        X: Float,
        y: Float,
        weights: Float | None,
        features: Callable[[Float], Float],
        names: Any,
    ) -> tuple[_Table, tuple[tuple[int, ...], int, float]]:
        """Return the table, and what is kept beside its moments."""
        exponent, log_weights = 0, 0.0
        if weights is not None and len(weights):
            log_weights = float(np.log(weights).sum())
            weights, exponent = over_power_of_four(weights)
        Y = y if y.ndim == 2 else y[:, None]
        p = features(X[:1]).shape[1]
        return _Table(X, Y, weights, features, p, names), (y.shape[1:], exponent, log_weights)

    @classmethod
    def of(
        cls,
        X: Float,
        y: Float,
        weights: Float | None,
        features: Callable[[Float], Float],
        *,
        mended: bool = False,
        names: Any = None,
    ) -> LineStatistics:
        """Return the statistics of rows.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        y : ndarray of shape (n,) or (n, k)
        weights : ndarray of shape (n,) or None
        features : callable
            From rows of X to their p columns.
        mended : bool
            Whether a pass over the rows will follow, so that more may be lost here.
        names : sequence of str, optional
            Of the columns of X, for messages.

        Raises
        ------
        DataError
            At the first NaN or infinity of X, which costs large data no pass of its own.
        """
        table, rest = cls._table(X, y, weights, features, names)
        n, width = len(X), table.width
        if n >= width and costs.of_products(n, width, mended=mended) < costs.of_rows(n, width):
            with table.threads:
                moments = table.scatter()
            if not moments.are_finite:  # or sums overflow: then a root is taken
                refuse_non_finite(X, names=names)
            found = cls(moments, table.n_inputs, *rest)
            columns = found.n_inputs if mended else width
            if found.condition(columns) <= (MENDED if mended else SAFE):
                return found
        return cls._of_root(table, rest)

    def __add__(self, other: LineStatistics) -> LineStatistics:
        if not isinstance(other, LineStatistics):
            return NotImplemented
        if self.targets != other.targets:
            raise DataError(
                f"y has shape {self.targets} per row in one chunk, {other.targets} in another."
            )
        exponent = max(self.exponent, other.exponent)
        a, b = (_rescaled(part.moments, part.exponent - exponent) for part in (self, other))
        rest = self.n_inputs, self.targets, exponent, self.log_weights + other.log_weights
        if a.root is None and b.root is None:
            merged = LineStatistics(a + b, *rest)
            if merged.condition(len(merged.moments.mean)) <= SAFE:
                return merged
        # Each scatter is well-conditioned by itself, so that its root is as good as one by QR.
        return LineStatistics(as_rooted(a) + as_rooted(b), *rest)

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.moments.count

    @cached_property
    def triangle(self) -> Float:
        """Upper triangular R with R^T R the scatter, as many rows as columns."""
        root = np.asarray(as_rooted(self.moments).root)
        if root.shape[0] == root.shape[1] and not root[_below(len(root))].any():
            return root
        return triangle_of(root)

    @cached_property
    def inverse(self) -> Float | None:
        """The inverse of `triangle`, or of its part for the features; None where that is singular.

        Its leading part is the inverse of the triangle's.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            T, singular = lapack.dtrtri(self.triangle)
            if singular > self.n_inputs:  # targets that are fitted exactly
                p = self.n_inputs
                T, singular = lapack.dtrtri(self.triangle[:p, :p])
        return None if singular else T

    def condition(self, n_columns: int) -> float:
        """Return at least 1 over the least singular value of leading columns of length one."""
        if self.inverse is None or len(self.inverse) < n_columns:
            return np.inf
        R, T = self.triangle[:n_columns, :n_columns], self.inverse[:n_columns, :n_columns]
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("ij,ij->j", R, R)
            if not (squares.min(initial=1.0) > TINY and squares.max(initial=1.0) < HUGE):
                return np.inf
            return inflation(squares, np.einsum("ij,ij->i", T, T))


@dataclass(frozen=True)
class _Table:
    """The rows of [features, targets], put together block by block: never whole."""

    X: Float
    Y: Float
    weights: Float | None
    features: Callable[[Float], Float]
    n_inputs: int
    names: Any  # of the columns of X

    @property
    def width(self) -> int:
        return self.n_inputs + self.Y.shape[1]

    @property
    def threads(self) -> AbstractContextManager[None]:
        """As many of the linear algebra library's as leave the bits alone."""
        return threads_of(len(self.X) * self.width, self.width)

    def root(self) -> Moments:
        """Return the moments as a root."""
        whole = slice(0, len(self.X))
        if whole.stop <= self.at_once:
            return self._root_of(whole)
        parts = in_threads(self._root_of, blocks_of(whole, self.at_once), self.X.size)
        return reduce(add, parts)

    @property
    def at_once(self) -> int:
        """How many rows make one root: all, or one of the parts that are dealt to threads."""
        n, many = len(self.X), self.X.size >= LEAST_NUMBERS
        part = -(-n // costs.PARTS) if many else n
        return max(1024, 4 * self.width, min(part, ROOT_BLOCK // (8 * self.width)))

    def _root_of(self, part: slice) -> Moments:
        """Return the moments of some rows as a root, about their mean in two steps."""
        X, Y = self.X[part], self.Y[part]
        n, p = len(X), self.n_inputs
        w = None if self.weights is None else self.weights[part]
        B = np.empty((n, self.width), order="F")
        B[:, :p], B[:, p:] = self.features(X), Y
        weight = n if w is None else float(w.sum())
        with np.errstate(over="ignore", invalid="ignore"):
            mean = (np.add.reduce(B, axis=0) if w is None else w @ B) / weight
            B -= mean
            offset = (np.add.reduce(B, axis=0) if w is None else w @ B) / weight
            B -= offset
            if not isfinite(np.add.reduce(offset)):
                refuse_non_finite(self.X, names=self.names)
                return self._far_root(X, Y, w)  # sums overflow
            if w is not None:
                B *= np.sqrt(w)[:, None]
        mean, tail = dd.two_sum(mean, offset)
        R = triangle_of(B, overwrite=True) if n >= self.width else _contrasts(B, w)
        return Moments(n, mean, root=R, weight=float(weight), tail=tail, pinned=True)

    def _far_root(self, X: Float, Y: Float, w: Float | None) -> Moments:
        """Return a root about a mean whose sum float64 may not hold."""
        return Moments.of(np.column_stack([self.features(X), Y]), weights=w, root=True)

    def scatter(self) -> Moments:
        """Return the moments as a scatter."""
        parts = fixed_parts(len(self.X), self.X.size)
        return reduce(add, in_threads(self._scatter_of, parts, self.X.size))

    def _scatter_of(self, part: slice) -> Moments:
        """Return the moments of some rows as a scatter, about a shift near their mean."""
        X, Y, p = self.X[part], self.Y[part], self.n_inputs
        weights = None if self.weights is None else self.weights[part]
        some = slice(None, None, max(1, len(X) // 256))
        pilot = np.column_stack([self.features(X[some]), Y[some]])
        with np.errstate(over="ignore", invalid="ignore"):
            shift = pilot[0] + (pilot - pilot[0]).mean(axis=0)

        def centred(rows: slice, room: Float) -> None:
            np.subtract(self.features(X[rows]), shift[:p], out=room[:, :p])
            np.subtract(Y[rows], shift[p:], out=room[:, p:])

        offset, scatter = scatter_of(centred, (len(X), self.width), weights)
        weight = None if weights is None else float(weights.sum())
        with np.errstate(over="ignore", invalid="ignore"):
            mean, tail = dd.two_sum(shift, offset)
        return Moments(len(X), mean, scatter, weight=weight, tail=tail, pinned=True)


def threads_of(n_numbers: int, width: int) -> AbstractContextManager[None]:
    """Keep the library to one thread where rows are not dealt to threads: bits stay the same."""
    small = n_numbers * width <= ALONE and n_numbers <= ALONE_NUMBERS  # it keeps to one by itself
    return nullcontext() if small or n_numbers >= LEAST_NUMBERS else one_thread()


def fixed_parts(n_rows: int, n_numbers: int) -> list[slice]:
    """Return slices of rows to deal to threads, however many these are."""
    return even_parts(n_rows, costs.PARTS if n_numbers >= LEAST_NUMBERS else 1)


def over_power_of_four(weights: Float) -> tuple[Float, int]:
    """Return weights of which the largest is near one, and the exponent they are divided by."""
    exponent = int(np.frexp(weights.max())[1]) // 2
    return over_four_to(exponent, weights), exponent


def over_four_to(exponent: int, weights: Float) -> Float:
    """Return weights over a power of four, that of the largest of all rows.

    No row is lost: a weight that would vanish beside the largest stays above zero.
    """
    return np.maximum(np.ldexp(weights, -2 * exponent), np.finfo(np.float64).tiny)


def _rescaled(moments: Moments, exponent: int) -> Moments:
    """Return the moments of weights times 4**exponent."""
    if not exponent:
        return moments
    return replace(
        moments,
        weight=float(np.ldexp(moments.total_weight, 2 * exponent)),
        scatter=None if moments.scatter is None else np.ldexp(moments.scatter, 2 * exponent),
        root=None if moments.root is None else np.ldexp(moments.root, exponent),
    )


def triangle_of(rows: Float, *, overwrite: bool = False) -> Float:
    """Return the upper triangular R with R^T R that of the rows, by QR: square, zeros if few."""
    n, m = rows.shape
    if n < m:
        rows, overwrite = np.vstack([rows, np.zeros((m - n, m))]), True
    found, *_ = lapack.dgeqrf(rows, lwork=32 * m, overwrite_a=overwrite)
    R = found[:m].copy(order="F")
    R[_below(m)] = 0.0
    return R


def _contrasts(B: Float, weights: Float | None) -> Float:
    """Return one row less than the rows of centred columns, by the reflection of their weights.

    The roots of the weights are orthogonal to all columns, so that the row that is left out is 0.
    """
    root = np.ones(len(B)) if weights is None else np.sqrt(weights)
    length = sqrt(root @ root)
    return B[1:] - np.multiply.outer(root[1:], B[0] / (root[0] + length))


@cache
def _below(m: int) -> NDArray[np.bool_]:
    """Return what lies below the diagonal of a square matrix."""
    return np.tri(m, k=-1, dtype=bool)


def inflation(squares: Float, own: Float) -> float:
    """Return at least 1 over the least singular value of R, its columns scaled to length one.

    Given the squared lengths of the columns of R, and of the rows of R^-1. Their products are the
    variance inflation factors v_j, and no singular value squared is below 1 / (sum v_j - p + 2).
    """
    return sqrt(max(float(squares @ own) - len(own) + 2, 1.0))


def as_rooted(moments: Moments) -> Moments:
    """Return the same moments held as a root."""
    if moments.root is not None:
        return moments
    scatter = moments.as_scatter()
    variances = scatter.diagonal()
    if variances.min(initial=1.0) > TINY and variances.max(initial=1.0) < HUGE:
        root, wrong = lapack.dpotrf(scatter.T)
        if not wrong:
            return replace(moments, scatter=None, root=root)
    size = np.sqrt(variances)
    scale = np.where(size > 0, size, 1.0)
    scaled = scatter / np.outer(scale, scale)
    try:
        root = np.linalg.cholesky(scaled).T
    except np.linalg.LinAlgError:  # singular to rounding: targets that are fitted exactly
        values, U = np.linalg.eigh(scaled)
        root = np.sqrt(np.maximum(values, 0.0))[:, None] * U.T
    return replace(moments, scatter=None, root=root * scale)
