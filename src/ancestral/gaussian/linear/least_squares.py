"""Least squares from sums of statistics, with the digits watched.

    min over W of || A W - Y ||^2,   A the (centred) features, Y the (centred) targets

The statistics are `Moments` of the columns [A, Y] (`sums`). A scatter is factored by Cholesky, so
that a root is solved either way: with R = [R_A  C; 0  E] in triangular form, W = R_A^-1 C and the
residual's cross products are E^T E.

A column is *dependent* when what the earlier columns leave of it is no more than the rounding of
the numbers that made it; it gets the coefficient 0 and is named. `digits` says what the solution
may have lost, and `refinement` gives it back where the rows are at hand.

All of `Solution` is for weights over the power of four that the sums are held over.
Symbols: T inverse_root, with T T^T = (A^T A)^-1, the intercept first where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, svdvals

from ancestral._numerics import double_double as dd
from ancestral._numerics.triangles import solved
from ancestral.errors import DataError, UndeterminedError
from ancestral.gaussian.linear.sums import (
    HUGE,
    TINY,
    LineStatistics,
    as_rooted,
    inflation,
    triangle_of,
)
from ancestral.statistics import Moments

Float = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
ROUNDING = 64 * EPS  # of a column that is made of others, and of the QR that shows it
NEAR = 3e-14  # of its standard error: what rounding takes from an intercept that is not found anew
REGULAR = 1e-10  # of all that was summed: a residual or a spread above it is no rounding


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
        if self.reflections is None:
            return np.asarray(self.given)
        Q, *_ = lapack.dorgqr(*self.reflections, lwork=32 * self.rank)
        return np.ascontiguousarray(Q)

    @cached_property
    def condition(self) -> float:
        """Largest over least singular value of the features, each scaled to length one."""
        if not self.rank:
            return 1.0
        if self.reflections is not None:
            features = self.span @ np.triu(self.reflections[0][: self.rank])
        else:
            features = self.span * self.singular
        sizes = lengths(features.T)
        scaled = features / np.where(sizes > 0, sizes, 1.0)[:, None]
        values = svdvals(scaled, check_finite=False)[: self.rank]
        return float(values[0] / values[-1])


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
    is_regular: bool  # nothing is dependent, exact, constant or out of float64's reach
    basis: Basis | None = None  # of the rows, where they are few
    # Where no feature is dependent or out of reach:
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
        inverse = statistics.inverse
        T = np.full((p, p), np.inf) if inverse is None else inverse[:p, :p]
        own = np.einsum("ij,ij->i", T, T)
        are_regular = bool(
            p * (raw_squares[:p] @ own) < ROUNDING**-2  # so that no column is made of others
            and np.minimum.reduce(squares) > TINY
            and np.maximum.reduce(raw_squares) < HUGE
        )
        if are_regular:
            kept, triangle, aliases = np.arange(p), R[:p, :p], np.zeros((p, 0))
            coef = T @ R[:p, p:]
        else:
            root, spread, raw = sized(as_rooted(moments), centred=centred)
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
        is_regular = are_regular and share > REGULAR
        inverse_root = _with_intercept(T, kept, p, weight, centred=centred)
        if centred:
            means, target_means = mean[:p], mean[p:]
            at_zero = inverse_root[0] - means @ inverse_root[1:]
            far = far * sqrt(at_zero @ at_zero)
        else:
            means, target_means, at_zero = np.zeros(p), np.zeros(len(rest)), np.zeros(len(kept))
    kappa, exact = np.inf, np.zeros(len(rest), dtype=bool)
    if are_regular:
        kappa = inflation((raw_squares if rounded_features else squares)[:p], own)
    if not is_regular:
        exact = is_exact(residual, coef, raw / sqrt(weight), spread, weight, own=16.0)
    intercept, moved = rounded_heights(moments, coef, far, centred=centred)
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
        own=own if are_regular else None,
        kappa=kappa,
        share=share,
    )


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


def sized(moments: Moments, *, centred: bool) -> tuple[Float, Float, Float]:
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


def rounded_heights(
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
        T = solved(R[:p, :p], np.eye(p))
        made_of = np.abs(np.triu(T, 1) * heights)
        if (np.abs(heights) > ROUNDING * (raw + raw @ made_of)).all():
            return np.arange(p), R, T
    kept: list[int] = []
    for j in range(p):
        r = len(kept)
        height = float(np.linalg.norm(R[r:, j]))
        made_of = solved(R[:r, kept], R[:r, j])
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
    return np.array(kept, dtype=np.intp), R, solved(R[:r, kept], np.eye(r))
