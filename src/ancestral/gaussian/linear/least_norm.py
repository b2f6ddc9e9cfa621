"""Least squares of fewer rows than coefficients: of all that fit best, the one of least norm."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, qr

from ancestral._numerics.triangles import solved
from ancestral.gaussian.linear.least_squares import (
    EPS,
    Basis,
    Solution,
    is_exact,
    lengths,
    power_of_two,
    rounded_heights,
    sized,
)
from ancestral.gaussian.linear.sums import LineStatistics, as_rooted, inflation

Float = NDArray[np.float64]
ALIKE = 1e3  # columns of sizes within this of each other need no scales


def solve_least_norm(statistics: LineStatistics, *, centred: bool) -> Solution:
    """Return, of all coefficients that fit best, those of least norm: rows are too few for more.

    Nothing is identified: the inverse root is nan. The rank is that of columns scaled to one size,
    so that no unit counts.
    """
    moments, p = as_rooted(statistics.moments), statistics.n_inputs
    root, spread, raw = sized(moments, centred=centred)
    weight, k = moments.total_weight, root.shape[1] - p
    with np.errstate(over="ignore", invalid="ignore"):  # of sizes whose squares are out of reach
        found, far = _of_independent_rows(root, spread[:p], raw[:p], p), None
    if found is not None:
        coef, basis = found
        residual, exact = np.zeros((k, k)), np.ones(k, dtype=bool)
        with np.errstate(invalid="ignore"):  # targets that are all 0: not far, by any measure
            far = spread[p:] / (raw[p:] + raw[:p] @ np.abs(coef))  # of what the line tells apart
    else:
        coef, misfit, basis = _of_any_rows(root, spread[:p], raw[:p], p)
        residual = misfit.T @ misfit
        exact = is_exact(residual, coef, raw / sqrt(weight), spread, weight, own=16.0)
    intercept, moved = rounded_heights(moments, coef, far, centred=centred)
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
    along[: len(root)] = solved(U, root[:, p:], transposed=True)
    coef, *_ = lapack.dormqr("L", "N", reflections, tau, along, lwork=32 * p)
    return coef, Basis(np.ones(p), len(root), np.zeros(0), reflections=(reflections, tau))


def _of_any_rows(root: Float, spread: Float, raw: Float, p: int) -> tuple[Float, Float, Basis]:
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
        along = solved(R, ((U.T @ root[:, p:]) / singular[:, None])[places], transposed=True)
        coef = np.zeros((p, root.shape[1] - p))
        coef[order] = Q @ along
    misfit = root[:, p:] - U @ (U.T @ root[:, p:])
    return coef, misfit, Basis(scale, rank, singular, given=V)
