"""Least squares from sums of statistics, with the digits watched.

    min over W of || A W - Y ||^2,   A the (centred) features, Y the (centred) targets

The statistics are `Moments` of the columns [A, Y]. They are a scatter, which is fast, only where
its scaled condition number allows squaring; otherwise a root R with R^T R the scatter, by
Householder QR. Either way a root is solved: with R = [R_A  C; 0  E] in triangular form,
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
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular, svdvals

from ancestral._checks.numbers import refuse_non_finite
from ancestral._numerics import double_double as dd
from ancestral._numerics.accumulation import scatter_of
from ancestral.errors import DataError, UndeterminedError
from ancestral.statistics import Moments

Float = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
# Squaring loses condition^2 * EPS: 1e-10 where nothing mends it, 1e-6 where a pass over the rows
# follows.
SAFE, MENDED = 1e3, 1e5
SMALL = 100_000  # numbers: so few cost nothing by QR
ROUNDING = 64 * EPS  # of a column that is made of others, and of the QR that shows it
ROOT_BLOCK = 64 << 20  # bytes of rows for one QR: each merge costs a little of the last digit


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
        exponent, log_weights = 0, 0.0
        if weights is not None and len(weights):
            log_weights = float(np.log(weights).sum())
            weights, exponent = over_power_of_four(weights)
        table = _Table(X, y.reshape(len(y), -1), weights, features)
        p, rest = table.n_inputs, (y.shape[1:], exponent, log_weights)
        if len(X) * table.width > SMALL:
            moments = table.scatter()
            if not moments.are_finite:  # or sums overflow: then a root is taken
                refuse_non_finite(X)
            scatter = moments.as_scatter()
            if condition_number(scatter[:p, :p] if mended else scatter) <= (
                MENDED if mended else SAFE
            ):
                return cls(moments, p, *rest)
        else:
            refuse_non_finite(X)
        return cls(table.root(), p, *rest)

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
            merged = a + b
            if condition_number(merged.as_scatter()) <= SAFE:
                return LineStatistics(merged, *rest)
        # Each scatter is well-conditioned by itself, so that its root is as good as one by QR.
        return LineStatistics(as_rooted(a) + as_rooted(b), *rest)

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.moments.count


@dataclass(frozen=True)
class _Table:
    """The rows of [features, targets], put together block by block: never whole."""

    X: Float
    Y: Float
    weights: Float | None
    features: Callable[[Float], Float]

    @property
    def n_inputs(self) -> int:
        return int(self.features(self.X[:1]).shape[1])

    @property
    def width(self) -> int:
        return self.n_inputs + self.Y.shape[1]

    def root(self) -> Moments:
        """Return the moments as a root."""
        found = Moments.empty(self.width, root=True)
        size = max(1024, 4 * self.width, ROOT_BLOCK // (8 * self.width))
        for start in range(0, len(self.X), size):
            part = slice(start, start + size)
            rows = np.column_stack([self.features(self.X[part]), self.Y[part]])
            w = None if self.weights is None else self.weights[part]
            found += Moments.of(rows, weights=w, root=True)
        return found

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


def condition_number(scatter: Float) -> float:
    """Return the condition number of a root of a scatter, its columns scaled to one."""
    variances = np.diag(scatter)
    if not len(variances):
        return 1.0
    if not (np.isfinite(scatter).all() and (variances > 1e-290).all()):
        return np.inf
    size = np.sqrt(variances)
    values = np.linalg.eigvalsh(scatter / np.outer(size, size))
    return float(np.sqrt(values[-1] / values[0])) if values[0] > 0 else np.inf


def as_rooted(moments: Moments) -> Moments:
    """Return the same moments held as a root."""
    if moments.root is not None:
        return moments
    scatter = moments.as_scatter()
    size = np.sqrt(np.diag(scatter))
    scale = np.where(size > 0, size, 1.0)
    scaled = scatter / np.outer(scale, scale)
    try:
        root = np.linalg.cholesky(scaled).T
    except np.linalg.LinAlgError:  # singular to rounding: targets that are fitted exactly
        values, U = np.linalg.eigh(scaled)
        root = np.sqrt(np.maximum(values, 0.0))[:, None] * U.T
    return replace(moments, scatter=None, root=root * scale)


# ---- the solution -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Solution:
    """What least squares found; p features, k targets, q = p plus the intercept, r + 1 kept."""

    coef: Float  # (p, k), 0 where dependent
    intercept: Float  # (k,)
    kept: NDArray[np.intp]  # features that are used
    rank: int  # of the features
    residual: Float  # (k, k), weighted cross products of the residuals
    spread: Float  # (p + k,), roots of sums of squares of the (centred) features and targets
    inverse_root: Float  # (q, r + 1): T, zero rows where dependent
    at_zero: Float  # (r + 1,): T's first row for the height at x = 0, not at the means
    means: Float  # (p,), what the features are centred by
    target_means: Float  # (k,)
    rms: Float  # (p + k,), root mean squares of features and targets
    weight: float  # of all rows together
    is_exact: NDArray[np.bool_]  # (k,), the residual is rounding alone
    moved: Float  # (k, k): what rounding coef and intercept adds to the residual
    span: Float | None  # (p, r): of the centred rows over `scale`, orthonormal; where they are few
    scale: Float  # (p,), powers of two near the features' spreads
    aliases: Float  # (p, m): centred features times these are 0, but for rounding of up to 1
    condition: float  # of the centred features, columns scaled to one
    lost: float  # relative error that float64 statistics may leave in a coefficient
    centred: bool

    @property
    def target_spread(self) -> Float:
        """Roots of sums of squares of the (centred) targets, shape (k,)."""
        return self.spread[len(self.coef) :]

    @property
    def dependent(self) -> list[int]:
        """Features that are combinations of earlier ones."""
        return sorted(set(range(len(self.coef))) - set(self.kept.tolist()))

    @property
    def unit_errors(self) -> Float:
        """Standard errors over sigma of the intercept and the coefficients, nan if dependent."""
        root, start = self.inverse_root, int(self.centred)
        errors = lengths(np.vstack([self.at_zero, root[1:]] if self.centred else [root]).T)
        errors[[start + j for j in self.dependent]] = np.nan
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
    moments, p = as_rooted(statistics.moments), statistics.n_inputs
    root, spread, raw = _sized(moments, centred=centred)
    scale = power_of_two(spread[:p])
    scaled = np.hstack([root[:, :p] / scale, root[:, p:]])
    R = _padded(np.asarray(np.linalg.qr(scaled, mode="r")))
    kept, R, T = _independent(R, raw[:p] / scale)
    r = len(kept)
    coef = np.zeros((p, R.shape[1] - p))
    with np.errstate(over="ignore", invalid="ignore"):  # `refuse_unheld` looks for what overflowed
        coef[kept] = (T @ R[:r, p:]) / scale[kept, None]
    misfit = R[r:, p:]
    means, target_means = moments.mean[:p] * centred, moments.mean[p:] * centred
    intercept, moved = _intercept(moments, coef, centred=centred)
    sizes = (raw if rounded_features else spread)[:p] / scale
    rms = raw / np.sqrt(moments.total_weight)
    with np.errstate(over="ignore", invalid="ignore"):  # `refuse_constant_targets` looks, too
        residual = misfit.T @ misfit
        inverse_root = _with_intercept(T / scale[kept, None], kept, p, moments, centred=centred)
        at_zero = inverse_root[0] - means @ inverse_root[1:] if centred else np.zeros(r)
    return Solution(
        coef=coef,
        intercept=intercept,
        kept=kept,
        rank=r,
        residual=residual,
        spread=spread,
        inverse_root=inverse_root,
        at_zero=at_zero,
        means=means,
        target_means=target_means,
        rms=rms,
        weight=moments.total_weight,
        is_exact=is_exact(residual, coef, rms, spread, moments.total_weight, own=16.0),
        moved=moved,
        span=None,
        scale=scale,
        aliases=_aliases(R, T, kept, scale, raw[:p]),
        condition=_condition(R[:r, kept]),
        lost=EPS * float((sizes[kept] @ np.abs(T)).max(initial=0.0)),
        centred=centred,
    )


def solve_least_norm(statistics: LineStatistics, *, centred: bool) -> Solution:
    """Return, of all coefficients that fit best, those of least norm: rows are too few for more.

    Nothing is identified: the inverse root is nan. The rank is that of columns scaled to one size,
    so that no unit counts.
    """
    moments, p = as_rooted(statistics.moments), statistics.n_inputs
    root, spread, raw = _sized(moments, centred=centred)
    scale = power_of_two(spread[:p])
    U, singular, Vt = np.linalg.svd(root[:, :p] / scale, full_matrices=False)
    rounding = max(root.shape) * EPS * singular.max(initial=0.0)
    own = lengths((Vt * (EPS * raw[:p] / scale)).T)  # of the columns before centring
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
    means, target_means = moments.mean[:p] * centred, moments.mean[p:] * centred
    rms = raw / np.sqrt(moments.total_weight)
    residual = misfit.T @ misfit
    intercept, moved = _intercept(moments, coef, centred=centred)
    return Solution(
        coef=coef,
        intercept=intercept,
        kept=np.arange(p),
        rank=rank,
        residual=residual,
        spread=spread,
        inverse_root=np.full((int(centred) + p, int(centred) + rank), np.nan),
        at_zero=np.full(int(centred) + rank, np.nan),
        means=means,
        target_means=target_means,
        rms=rms,
        weight=moments.total_weight,
        is_exact=is_exact(residual, coef, rms, spread, moments.total_weight, own=16.0),
        moved=moved,
        span=V,
        scale=scale,
        aliases=np.zeros((p, 0)),
        condition=float(singular[0] / singular[-1]) if rank else 1.0,
        lost=0.0,
        centred=centred,
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
    root = found.inverse_root[int(found.centred) :] if found.span is None else found.coef
    held = np.isfinite(np.hstack([found.coef, root])).all(axis=1)
    if not held.all():
        j = int(np.argmin(held))
        raise DataError(
            f"column {j} of the features varies by only {found.rms[j]:.3g} about its mean: its "
            "coefficient overflows float64. Rescale the column."
        )


def _intercept(moments: Moments, coef: Float, *, centred: bool) -> tuple[Float, Float]:
    """Return the line's height at zero, and what its rounding adds to the residual."""
    p, k = coef.shape
    if not centred:
        return np.zeros(k), np.zeros((k, k))
    tail = 0.0 if moments.tail is None else moments.tail
    mean = dd.Pair(moments.mean, np.broadcast_to(tail, moments.mean.shape))
    return rounded_intercept(
        dd.Pair(mean.hi[p:], mean.lo[p:]),
        dd.Pair(mean.hi[:p, None], mean.lo[:p, None]),
        coef,
        moments.total_weight,
    )


def rounded_intercept(
    height: dd.Pair, means: dd.Pair, coef: Float, weight: float
) -> tuple[Float, Float]:
    """Return the intercept whose line has this height at the means, and what rounding it adds."""
    with np.errstate(over="ignore", invalid="ignore"):
        scale = power_of_two(np.abs(means.hi))
        slopes = dd.exact(coef * scale)
        carried = dd.total(dd.multiply(slopes, dd.scaled(means, 1 / scale)))
        wanted = dd.subtract(height, carried)
        off = wanted.lo  # from the float that is kept
        return wanted.hi, weight * np.outer(off, off)


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
    scale = power_of_two(np.abs(root).max(axis=0, initial=0.0))
    return scale * np.sqrt(np.einsum("ij,ij->j", root / scale, root / scale))


def power_of_two(sizes: Float) -> Float:
    """Return the power of two at or above each size, 1 for 0: scaling by it rounds nothing.

    It has an inverse in float64, also where a size is subnormal.
    """
    return np.ldexp(1.0, np.where(sizes > 0, np.clip(np.frexp(sizes)[1], -1021, 1023), 0))


def _padded(R: Float) -> Float:
    """Return R with zero rows until it is square."""
    m, n = R.shape
    return R if m >= n else np.vstack([R, np.zeros((n - m, n))])


def _with_intercept(
    T: Float, kept: NDArray[np.intp], p: int, moments: Moments, *, centred: bool
) -> Float:
    """Return T over all columns: centring makes the intercept orthogonal to the features."""
    start = int(centred)
    full = np.zeros((start + p, start + len(kept)))
    full[start + kept, start:] = T
    if centred:
        full[0, 0] = 1 / np.sqrt(moments.total_weight)
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
