"""Least squares from sums of statistics, with the digits watched.

    min over W of || A W - Y ||^2,   A the (centred) features, Y the (centred) targets

The statistics are `Moments` of the columns [A, Y]: a scatter, or a root R with R^T R the scatter, by
Householder QR. The cheaper of the two is taken (`gaussian.costs`), the scatter only where its
condition allows squaring. Either way a root is solved: with R = [R_A  C; 0  E] in triangular form,
W = R_A^-1 C and the residual's cross products are E^T E.

A column is *dependent* when what the earlier columns leave of it is no more than the rounding of
the numbers that made it; it gets the coefficient 0 and is named. `refinement` carries the
solution to full precision where the rows are at hand.

Weights are held over a power of four, `exponent` times two, so that they have sums and roots
whatever their size: all of `Solution` is for weights over that power.
Symbols: T inverse_root, with T T^T = (A^T A)^-1, the intercept first where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache, cached_property, reduce
from math import fsum, isfinite, sqrt
from operator import add

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, qr, solve_triangular, svdvals

from ancestral._checks.numbers import refuse_non_finite
from ancestral._numerics import double_double as dd
from ancestral._numerics.accumulation import scatter_of
from ancestral._numerics.costs import ALONE, SHARED
from ancestral._numerics.threads import blocks_of, in_threads, one_thread
from ancestral.errors import DataError, UndeterminedError
from ancestral.gaussian import costs
from ancestral.statistics import Moments

Float = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
# Squaring loses condition^2 * EPS. Of the features alone where the rows will mend the coefficients,
# so that only standard errors keep that; of all columns where nothing will.
MENDED, SAFE = 64.0, 1e3
ROUNDING = 64 * EPS  # of a column that is made of others, and of the QR that shows it
ROOT_BLOCK = 64 << 20  # bytes of rows for one QR: each merge costs a little of the last digit
NEAR = 3e-14  # of its standard error: what rounding takes from an intercept that is not found anew
ALIKE = 1e3  # columns of sizes within this of each other need no scales
TINY, HUGE = 1e-200, 1e200  # squares within these keep all their digits
REGULAR = 1e-10  # of all that was summed: a residual or a spread above it is no rounding


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
        cls, X: Float, y: Float, weights: Float | None, features: Callable[[Float], Float]
    ) -> LineStatistics:
        """Return the statistics of rows as a root, whatever that costs; see `of`."""
        return cls._of_root(*cls._table(X, y, weights, features))

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
        X: Float, y: Float, weights: Float | None, features: Callable[[Float], Float]
    ) -> tuple[_Table, tuple[tuple[int, ...], int, float]]:
        """Return the table, and what is kept beside its moments."""
        exponent, log_weights = 0, 0.0
        if weights is not None and len(weights):
            log_weights = float(np.log(weights).sum())
            weights, exponent = over_power_of_four(weights)
        Y = y if y.ndim == 2 else y[:, None]
        p = features(X[:1]).shape[1]
        return _Table(X, Y, weights, features, p), (y.shape[1:], exponent, log_weights)

    @classmethod
    def of(
        cls,
        X: Float,
        y: Float,
        weights: Float | None,
        features: Callable[[Float], Float],
        *,
        mended: bool = False,
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

        Raises
        ------
        DataError
            At the first NaN or infinity of X, which costs large data no pass of its own.
        """
        table, rest = cls._table(X, y, weights, features)
        n, width = len(X), table.width
        if n >= width and costs.of_products(n, width, mended=mended) < costs.of_rows(n, width):
            with table.threads:
                moments = table.scatter()
            if not moments.are_finite:  # or sums overflow: then a root is taken
                refuse_non_finite(X)
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
        root = as_rooted(self.moments).root
        if root is None or root.shape[0] != root.shape[1] or root[_below(len(root))].any():
            return triangle_of(root)
        return root

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

    @property
    def width(self) -> int:
        return self.n_inputs + self.Y.shape[1]

    @property
    def threads(self) -> AbstractContextManager[None]:
        """As many of the linear algebra library's as are worth waiting for."""
        work = len(self.X) * self.width**2
        return one_thread() if ALONE < work < SHARED else nullcontext()

    def root(self) -> Moments:
        """Return the moments as a root."""
        whole = slice(0, len(self.X))
        if whole.stop <= self.at_once:
            return self._root_of(whole)
        parts = in_threads(self._root_of, blocks_of(whole, self.at_once), self.X.size)
        return reduce(add, parts)

    @property
    def at_once(self) -> int:
        """How many rows make one root."""
        return max(1024, 4 * self.width, ROOT_BLOCK // (8 * self.width))

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
                refuse_non_finite(X)
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
        n, p = len(self.X), self.n_inputs
        some = slice(None, None, max(1, n // 256))
        pilot = np.column_stack([self.features(self.X[some]), self.Y[some]])
        with np.errstate(over="ignore", invalid="ignore"):
            shift = pilot[0] + (pilot - pilot[0]).mean(axis=0)

        def centred(rows: slice, room: Float) -> None:
            np.subtract(self.features(self.X[rows]), shift[:p], out=room[:, :p])
            np.subtract(self.Y[rows], shift[p:], out=room[:, p:])

        offset, scatter = scatter_of(centred, (n, self.width), self.weights)
        weight = None if self.weights is None else float(self.weights.sum())
        return Moments(n, shift + offset, scatter, weight=weight)


def over_power_of_four(weights: Float) -> tuple[Float, int]:
    """Return weights of which the largest is near one, and the exponent they are divided by.

    No row is lost: a weight that would vanish beside the largest stays above zero.
    """
    exponent = int(np.frexp(weights.max())[1]) // 2
    return np.maximum(np.ldexp(weights, -2 * exponent), np.finfo(np.float64).tiny), exponent


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


# ---- the solution -----------------------------------------------------------------------------


@dataclass(eq=False)  # not frozen: that would cost small fits a tenth of their time
class Solution:
    """What least squares found; p features, k targets, q = p plus the intercept, r + 1 kept."""

    coef: Float  # (p, k), 0 where dependent
    intercept: Float  # (k,)
    kept: NDArray[np.intp]  # features that are used
    residual: Float  # (k, k), weighted cross products of the residuals
    spread: Float  # (p + k,), roots of sums of squares of the (centred) features and targets
    raw: Float  # (p + k,), the same before they were centred
    triangle: Float  # (r, r): R of the kept features, each over a number
    inverse_root: Float  # (q, r + 1): T, zero rows where dependent
    at_zero: Float  # (r + 1,): T's first row for the height at x = 0, not at the means
    means: Float  # (p,), what the features are centred by
    target_means: Float  # (k,)
    weight: float  # of all rows together
    is_exact: NDArray[np.bool_]  # (k,), the residual is rounding alone
    moved: Float  # (k, k): what rounding coef and intercept adds to the residual
    aliases: Float  # (p, m): centred features times these are 0, but for rounding of up to 1
    centred: bool
    rounded_features: bool
    # Of a regular one: nothing is dependent, exact, constant or out of float64's reach.
    is_regular: bool
    basis: Basis | None = None  # of the rows, where they are few
    own: Float | None = None  # (p,), squared lengths of the rows of T
    kappa: float = np.inf  # at least 1 over the least singular value of columns of length one
    share: float = 0.0  # of the residual's length in that of all that is summed, the least

    @property
    def rank(self) -> int:
        """Of the features."""
        return len(self.kept) if self.basis is None else self.basis.rank

    @property
    def rms(self) -> Float:
        """Root mean squares of features and targets, shape (p + k,)."""
        return self.raw / sqrt(self.weight)

    @property
    def sizes(self) -> Float:
        """Lengths of the kept features that rounding is in proportion to, shape (r,)."""
        sizes = self.raw if self.rounded_features else self.spread
        return sizes[self.kept]

    @property
    def target_spread(self) -> Float:
        """Roots of sums of squares of the (centred) targets, shape (k,)."""
        return self.spread[len(self.coef) :]

    @property
    def dependent(self) -> list[int]:
        """Features that are combinations of earlier ones."""
        return sorted(set(range(len(self.coef))) - set(self.kept.tolist()))

    @property
    def T(self) -> Float:
        """R^-1 of the kept features, shape (r, r)."""
        start = int(self.centred)
        T = self.inverse_root[start:, start:]
        return T if len(T) == len(self.kept) else T[self.kept]

    @property
    def lost(self) -> float:
        """Relative error that float64 statistics may leave in a coefficient."""
        return EPS * float((self.sizes @ np.abs(self.T)).max(initial=0.0))

    @cached_property
    def condition(self) -> float:
        """Of the centred features, columns scaled to one."""
        return _condition(self.triangle) if self.basis is None else self.basis.condition

    @property
    def unit_errors(self) -> Float:
        """Standard errors over sigma of the intercept and the coefficients, nan if dependent."""
        if self.own is not None:  # no square over- or underflows
            if not self.centred:
                return np.asarray(np.sqrt(self.own))
            squares = np.empty(1 + len(self.own))
            squares[0], squares[1:] = self.at_zero @ self.at_zero, self.own
            return np.asarray(np.sqrt(squares))
        errors = lengths(self.inverse_root.T)
        if self.centred:
            errors[0] = lengths(self.at_zero[:, None])[0]
        if len(self.kept) < len(self.coef):
            errors[[int(self.centred) + j for j in self.dependent]] = np.nan
        return errors


def solve(statistics: LineStatistics, *, centred: bool, rounded_features: bool) -> Solution:
    """Solve the least-squares problem of summed statistics.

    Parameters
    ----------
    statistics : LineStatistics
    centred : bool
        Whether there is an intercept.
    rounded_features : bool
        True when features are not the data's own numbers but rounded powers of them.
    """
    moments, p = statistics.moments, statistics.n_inputs
    weight, mean = moments.total_weight, moments.mean
    with np.errstate(over="ignore", invalid="ignore"):  # `refuse_unheld` looks for what overflowed
        R, shift = statistics.triangle, sqrt(weight) * mean
        if centred:
            squares = np.einsum("ij,ij->j", R, R)
            raw_squares = squares + shift * shift
            spread, raw = np.sqrt(squares), np.sqrt(raw_squares)
        else:
            R = triangle_of(np.vstack([R, shift]))
            statistics = replace(statistics)
            vars(statistics)["triangle"] = R
            squares = raw_squares = np.einsum("ij,ij->j", R, R)
            spread = raw = np.sqrt(squares)
        T = own = None
        if statistics.inverse is not None:
            T = statistics.inverse[:p, :p]
            own = np.einsum("ij,ij->i", T, T)
        is_regular = bool(
            own is not None
            and p * (raw_squares[:p] @ own) < ROUNDING**-2  # so that no column is made of others
            and np.minimum.reduce(squares) > TINY
            and np.maximum.reduce(raw_squares) < HUGE
        )
        if is_regular:
            kept, triangle, aliases = np.arange(p), R[:p, :p], np.zeros((p, 0))
            coef = T @ R[:p, p:]
        else:
            root, spread, raw = _sized(as_rooted(moments), centred=centred)
            scale = power_of_two(spread[:p])
            scaled = np.hstack([root[:, :p] / scale, root[:, p:]])
            kept, R, T = _independent(triangle_of(scaled), raw[:p] / scale)
            r = len(kept)
            coef = np.zeros((p, R.shape[1] - p))
            coef[kept] = (T @ R[:r, p:]) / scale[kept, None]
            triangle, aliases = R[:r, kept], _aliases(R, T, kept, scale, raw[:p])
            T = T / scale[kept, None]
        misfit = R[len(kept) :, p:]
        residual = misfit.T @ misfit
        rest, terms = np.sqrt(residual.diagonal()), raw[p:] + raw[:p] @ np.abs(coef)
        far = rest / terms  # nan of what overflowed
        share = float(np.minimum.reduce(far))
        is_regular = is_regular and share > REGULAR
        inverse_root = _with_intercept(T, kept, p, weight, centred=centred)
        if centred:
            means, target_means = mean[:p], mean[p:]
            at_zero = inverse_root[0] - means @ inverse_root[1:]
            far = far * sqrt(at_zero @ at_zero)
        else:
            means, target_means, at_zero = np.zeros(p), np.zeros(len(rest)), np.zeros(len(kept))
    kappa, exact = np.inf, np.zeros(len(rest), dtype=bool)
    if is_regular:
        kappa = inflation((raw_squares if rounded_features else squares)[:p], own)
    else:
        exact = is_exact(residual, coef, raw / sqrt(weight), spread, weight, own=16.0)
    intercept, moved = _intercept(moments, coef, far, centred=centred)
    return Solution(
        coef=coef,
        intercept=intercept,
        kept=kept,
        residual=residual,
        spread=spread,
        raw=raw,
        triangle=triangle,
        inverse_root=inverse_root,
        at_zero=at_zero,
        means=means,
        target_means=target_means,
        weight=weight,
        is_exact=exact,
        moved=moved,
        aliases=aliases,
        centred=centred,
        rounded_features=rounded_features,
        is_regular=is_regular,
        own=own if is_regular else None,
        kappa=kappa,
        share=share,
    )


@dataclass(frozen=True, eq=False)
class Basis:
    """An orthonormal basis of few centred rows, over `scale`, a power of two for each feature."""

    scale: Float  # (p,)
    rank: int
    singular: Float  # (rank,), singular values of the rows
    given: Float | None = None  # (p, rank)
    reflections: tuple[Float, Float] | None = None  # else: a QR of the rows, transposed

    @cached_property
    def span(self) -> Float:
        """The basis, shape (p, rank)."""
        if self.given is not None:
            return self.given
        Q, *_ = lapack.dorgqr(*self.reflections, lwork=32 * self.rank)
        return np.ascontiguousarray(Q)

    @cached_property
    def condition(self) -> float:
        """Largest over least singular value."""
        if self.reflections is not None:
            values = svdvals(np.triu(self.reflections[0][: self.rank]), check_finite=False)
        else:
            values = self.singular
        return float(values[0] / values[-1]) if len(values) else 1.0


def solve_least_norm(statistics: LineStatistics, *, centred: bool) -> Solution:
    """Return, of all coefficients that fit best, those of least norm: rows are too few for more.

    Nothing is identified: the inverse root is nan. The rank is that of columns scaled to one size,
    so that no unit counts.
    """
    moments, p = as_rooted(statistics.moments), statistics.n_inputs
    root, spread, raw = _sized(moments, centred=centred)
    weight, k = moments.total_weight, root.shape[1] - p
    found = _of_independent_rows(root, spread[:p], raw[:p], p)
    if found is not None:
        coef, basis = found
        residual, exact = np.zeros((k, k)), np.ones(k, dtype=bool)
    else:
        coef, misfit, basis = _of_any_rows(root, spread[:p], raw[:p], p)
        residual = misfit.T @ misfit
        exact = is_exact(residual, coef, raw / sqrt(weight), spread, weight, own=16.0)
    intercept, moved = _intercept(moments, coef, None, centred=centred)
    start = int(centred)
    return Solution(
        coef=coef,
        intercept=intercept,
        kept=np.arange(p),
        residual=residual,
        spread=spread,
        raw=raw,
        triangle=np.zeros((0, 0)),
        inverse_root=np.broadcast_to(np.nan, (start + p, start + basis.rank)),
        at_zero=np.full(start + basis.rank, np.nan),
        means=moments.mean[:p] * centred,
        target_means=moments.mean[p:] * centred,
        weight=weight,
        is_exact=exact,
        moved=moved,
        aliases=np.zeros((p, 0)),
        centred=centred,
        rounded_features=False,
        is_regular=False,
        basis=basis,
    )


def _of_independent_rows(
    root: Float, spread: Float, raw: Float, p: int
) -> tuple[Float, Basis] | None:
    """Return coefficients and basis of rows that are plainly independent; None for others.

    With A^T = Q U the rows are met exactly by W = Q U^-T b, whose norm is the least.
    """
    least, most = spread[spread > 0].min(initial=1.0), spread.max(initial=0.0)
    if not (most < ALIKE * least and len(root) < p):
        return None
    reflections, tau, *_ = lapack.dgeqrf(root[:, :p].T, lwork=32 * len(root))
    U = np.asfortranarray(np.triu(reflections[: len(root)]))
    inverse, singular = lapack.dtrtri(U)
    if singular:
        return None
    sizes, own = np.einsum("ij,ij->j", U, U), np.einsum("ij,ij->i", inverse, inverse)
    if not inflation(sizes, own) * raw.max() < ALIKE**2 * most:
        return None
    along = np.zeros((p, root.shape[1] - p), order="F")
    along[: len(root)], _ = lapack.dtrtrs(U, root[:, p:], trans=1)
    coef, *_ = lapack.dormqr("L", "N", reflections, tau, along, lwork=32 * p)
    return coef, Basis(np.ones(p), len(root), np.zeros(0), reflections=(reflections, tau))


def _of_any_rows(
    root: Float, spread: Float, raw: Float, p: int
) -> tuple[Float, Float, Basis]:
    """Return coefficients, what they leave of the targets, and the rows' basis, by SVD."""
    scale = power_of_two(spread)
    U, singular, Vt = np.linalg.svd(root[:, :p] / scale, full_matrices=False)
    rounding = max(root.shape) * EPS * singular.max(initial=0.0)
    own = lengths((Vt * (EPS * raw / scale)).T)  # of the columns before centring
    rank = int((singular > np.maximum(rounding, own)).sum())
    U, singular, V = U[:, :rank], singular[:rank], Vt[:rank].T
    # Rows sorted by size and columns pivoted: QR then keeps the digits of every row.
    order = np.argsort(-scale, kind="stable")
    Q, R, places = qr((V * scale[:, None])[order], mode="economic", pivoting=True)
    with np.errstate(over="ignore"):
        along = solve_triangular(R, ((U.T @ root[:, p:]) / singular[:, None])[places], trans="T")
        coef = np.zeros((p, root.shape[1] - p))
        coef[order] = Q @ along
    misfit = root[:, p:] - U @ (U.T @ root[:, p:])
    return coef, misfit, Basis(scale, rank, singular, given=V)


def is_exact(
    residual: Float, coef: Float, rms: Float, spread: Float, weight: float, *, own: float
) -> NDArray[np.bool_]:
    """Tell for each target whether its residuals are rounding alone.

    That of the data is half a unit of the last place of the target and of each term of the line;
    `own` units in those of centred values are what computing the residuals took.
    """
    p, slopes = len(coef), np.abs(coef)
    with np.errstate(over="ignore", invalid="ignore"):  # `refuse_unheld` looks at the slopes
        data = 0.5 * (rms[p:] + rms[:p] @ slopes)
        ours = own * (spread[p:] + spread[:p] @ slopes) / np.sqrt(weight)
    seen = np.sqrt(np.maximum(np.diag(residual), 0.0) / weight)
    return seen <= EPS * np.maximum(data, ours)


def _sized(moments: Moments, *, centred: bool) -> tuple[Float, Float, Float]:
    """Return a root of the columns, its lengths, and theirs before the columns were centred."""
    with np.errstate(over="ignore", invalid="ignore"):
        shift = np.sqrt(moments.total_weight) * moments.mean
        root = np.asarray(moments.root) if centred else np.vstack([np.asarray(moments.root), shift])
        spread = lengths(root)
        raw = np.hypot(shift * centred, spread)
    if not np.isfinite(raw).all():
        j = int(np.argmin(np.isfinite(raw)))
        raise DataError(
            f"column {j} of X and y, side by side, is so large that its length overflows float64 "
            f"(some {moments.mean[j]:.3g}). Divide it by its largest."
        )
    return root, spread, raw


def refuse_unheld(found: Solution) -> None:
    """Raise DataError where a coefficient, or its standard error, is too large for float64."""
    root = found.inverse_root[int(found.centred) :] if found.basis is None else found.coef
    held = np.isfinite(np.hstack([found.coef, root])).all(axis=1)
    if not held.all():
        j = int(np.argmin(held))
        raise DataError(
            f"column {j} of the features varies by only {found.rms[j]:.3g} about its mean: its "
            "coefficient overflows float64. Rescale the column."
        )


def _intercept(
    moments: Moments, coef: Float, far: Float | None, *, centred: bool
) -> tuple[Float, Float]:
    """Return the line's height at zero, and what its rounding adds to the residual.

    `far`, (k,), is the intercept's standard error over what is summed: where it is not small,
    rounding these sums takes nothing that the data determine.
    """
    p, k = coef.shape
    if not centred:
        return np.zeros(k), np.zeros((k, k))
    mean = moments.mean
    if far is not None and NEAR * np.minimum.reduce(far) > EPS:
        return mean[p:] - mean[:p] @ coef, np.zeros((k, k))
    tail = np.zeros_like(mean) if moments.tail is None else moments.tail
    return rounded_intercept(
        dd.Pair(mean[p:], tail[p:]), dd.Pair(mean[:p], tail[:p]), coef, moments.total_weight
    )


def rounded_intercept(
    height: dd.Pair, means: dd.Pair, coef: Float, weight: float
) -> tuple[Float, Float]:
    """Return `height_at_zero` rounded, and what rounding it adds to the residual, (k, k)."""
    wanted = height_at_zero(height, means, coef)
    with np.errstate(over="ignore", invalid="ignore"):
        return wanted.hi, weight * np.outer(wanted.lo, wanted.lo)


def height_at_zero(height: dd.Pair, means: dd.Pair, coef: Float) -> dd.Pair:
    """Return at 0 the lines of these heights at the means.

    Parameters
    ----------
    height : Pair of shape (k,)
    means : Pair of shape (p,)
    coef : ndarray of shape (p, k)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scale = power_of_two(np.abs(means.hi))
        slopes, means = (coef.T * scale).T, dd.scaled(means, 1 / scale)
        terms = dd.two_product(slopes, means.hi[:, None])
        small = terms.lo + slopes * means.lo[:, None]
        found = np.empty((2, coef.shape[1]))
        for j in range(coef.shape[1]):
            parts = [height.hi[j], height.lo[j], *(-terms.hi[:, j]).tolist()]
            found[:, j] = _rounded_sum([*parts, *(-small[:, j]).tolist()])
        return dd.Pair(*found)


def _rounded_sum(parts: list[float]) -> tuple[float, float]:
    """Return a sum rounded once, and what rounding took; nan where float64 does not hold it."""
    try:
        total = fsum(parts)
        return total, fsum([*parts, -total])
    except (OverflowError, ValueError):
        return np.nan, np.nan


def _condition(R: Float) -> float:
    """Return the condition number of a triangular factor, its columns scaled to one."""
    if not len(R):
        return 1.0
    singular = svdvals(R / np.linalg.norm(R, axis=0), check_finite=False)
    return float(singular[0] / singular[-1]) if singular[-1] else np.inf


def _aliases(R: Float, T: Float, kept: NDArray[np.intp], scale: Float, raw: Float) -> Float:
    """Return what makes 0 of the centred features, one column for each dependent feature.

    Scaled so that rounding may leave 1 of it at any row of the fit; shape (p, m).
    """
    p = len(scale)
    dependent = np.setdiff1d(np.arange(p), kept)
    found = np.zeros((p, len(dependent)))
    for column, j in enumerate(dependent):
        made_of, r = np.zeros(p), int((kept < j).sum())  # of earlier columns
        made_of[kept[:r]] = -(T[:r, :r] @ R[:r, j]) * scale[j] / scale[kept[:r]]
        made_of[j] = 1.0
        rounding = ROUNDING * (np.abs(made_of) @ raw)
        found[:, column] = made_of / (rounding if rounding > 0 else np.finfo(np.float64).tiny)
    return found


def refuse_constant_targets(found: Solution, mean: NDArray[np.float64]) -> None:
    """Raise UndeterminedError at the first target that does not vary."""
    rounding = EPS * found.rms[-len(mean) :] * np.sqrt(found.weight)
    for j in np.flatnonzero(found.target_spread <= rounding):
        which = "y" if len(mean) == 1 else f"column {j} of y"
        raise UndeterminedError(
            f"{which} is constant ({mean[j]:g}): sigma^2 = 0 and the likelihood is unbounded. "
            "Give targets that vary."
        )
    for j in np.flatnonzero((found.target_spread > 1e150) | (found.target_spread < 1e-150)):
        raise DataError(
            f"y varies by {found.target_spread[j]:.3g} about {mean[j]:.3g}: squares of such values "
            "overflow or vanish in float64. Rescale y."
        )


def lengths(root: Float) -> Float:
    """Return the lengths of columns of any size: squares neither overflow nor vanish."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->j", root, root)
    if squares.min(initial=1.0) > TINY and squares.max(initial=1.0) < HUGE:
        return np.asarray(np.sqrt(squares))
    scale = power_of_two(np.abs(root).max(axis=0, initial=0.0))
    return scale * np.sqrt(np.einsum("ij,ij->j", root / scale, root / scale))


def power_of_two(sizes: Float) -> Float:
    """Return the power of two at or above each size, 1 for 0: scaling by it rounds nothing.

    It has an inverse in float64, also where a size is subnormal.
    """
    return np.ldexp(1.0, np.where(sizes > 0, np.clip(np.frexp(sizes)[1], -1021, 1023), 0))


def _with_intercept(
    T: Float, kept: NDArray[np.intp], p: int, weight: float, *, centred: bool
) -> Float:
    """Return T over all columns: centring makes the intercept orthogonal to the features."""
    start = int(centred)
    full = np.zeros((start + p, start + len(kept)))
    if len(kept) == p:
        full[start:, start:] = T
    else:
        full[start + kept, start:] = T
    if centred:
        full[0, 0] = 1 / sqrt(weight)
    return full


def _independent(R: Float, raw: Float) -> tuple[NDArray[np.intp], Float, Float]:
    """Return the columns that are no combination of earlier ones, R triangular in them, R^-1.

    `raw` are the sizes of the columns before centring, (p,): their rounding is what a column
    must exceed.
    """
    R, p = R.copy(), len(raw)
    heights = np.diag(R)[:p]
    if heights.all():  # as nearly always: all at once
        T = solve_triangular(R[:p, :p], np.eye(p), check_finite=False)
        made_of = np.abs(np.triu(T, 1) * heights)
        if (np.abs(heights) > ROUNDING * (raw + raw @ made_of)).all():
            return np.arange(p), R, T
    kept: list[int] = []
    for j in range(p):
        r = len(kept)
        height = float(np.linalg.norm(R[r:, j]))
        made_of = solve_triangular(R[:r, kept], R[:r, j]) if r else np.zeros(0)
        if height <= ROUNDING * (raw[j] + np.abs(made_of) @ raw[kept]):
            continue
        if R[r + 1 :, j].any():  # rows moved up where a column was left out: reflect
            v = R[r:, j].copy()
            v[0] += np.copysign(height, v[0])
            v /= np.linalg.norm(v)
            R[r:] -= 2 * np.outer(v, v @ R[r:])
            R[r + 1 :, j] = 0.0
        kept.append(j)
    r = len(kept)
    return np.array(kept, dtype=np.intp), R, solve_triangular(R[:r, kept], np.eye(r))
