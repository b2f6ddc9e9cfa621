"""Sums over rows that keep their digits: means, scatters and roots about a shift, in blocks.

    shift near the mean,  offset = mean - shift,  scatter = sum w (x - mean)(x - mean)^T = R^T R

One pass about the shift and a rank-one correction give a scatter; two passes and stacked QR give a
root, which keeps the digits that squaring loses. Float32 rows go through short float32 products
summed in float64, where that leaves them right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._numerics import costs
from ancestral._numerics.threads import blocks_of, even_parts, in_threads, n_threads

# Largest variance over the least variance of a column given the others, up to which products in
# float64 and in float32 leave the mean of the least eigenvalues right to 1e-6; in float32 for each
# square root of the number of columns, over which the errors of products average.
STEEP = 1e8
STEEP_SINGLE = 10.0

# Up to so many standard deviations from zero, products about zero itself are as good: what their
# rounding adds is that many squared times eps. In float32 there are fewer digits to spare.
NEAR, NEAR_SINGLE = 4.0, 1.0

EPS_SINGLE = float(np.finfo(np.float32).eps)
TINY_SINGLE = 1e-20  # variances of which float32 holds products
SHORT = 64  # columns, up to which Cholesky's factor costs no more in float64

CORNER = 128  # columns, next to each other, by which steepness is guessed

BLOCK_ROWS = 1024  # fewer, and adding up the (d, d) products would count
BLOCK_BYTES, PLAIN_BYTES = 3 << 19, 64 << 20  # what stays in cache; what BLAS deals to threads
ROOT_BYTES = 32 << 20


# ---- what is lost -------------------------------------------------------------------------------


def is_steep(scatter: NDArray[np.float64], limit: float) -> bool:
    """Tell whether some direction varies `limit` times less than the largest column.

    The pivots of Cholesky's factor are the variances of each column given the earlier ones;
    constant columns lose nothing and are passed over. Float32 is asked first: where it finds every
    pivot farther above 0 than its rounding, that settles it.
    """
    variances = scatter.diagonal()
    if not variances.min(initial=np.inf) > 0:
        varying = variances > 0
        scatter, variances = scatter[np.ix_(varying, varying)], variances[varying]
    m, most = len(variances), float(variances.max(initial=0.0))
    if not m:
        return False
    if m > SHORT and TINY_SINGLE < most < 1 / TINY_SINGLE:
        rounding = 2 * m * EPS_SINGLE * most
        if most < limit * (_least_pivot(scatter.astype(np.float32)) - rounding):
            return False
    return not most < limit * _least_pivot(scatter)


def _least_pivot(scatter: NDArray) -> float:
    """Return the least pivot of Cholesky's factor, -inf where there is none."""
    if len(scatter) > SHORT:  # where its copies cost less than numpy's
        from scipy.linalg import lapack

        factor = lapack.spotrf if scatter.dtype == np.float32 else lapack.dpotrf
        root, wrong = factor(scatter.T, lower=0, clean=0)
        return -np.inf if wrong else float(root.diagonal().min()) ** 2
    try:
        return float(np.linalg.cholesky(scatter).diagonal().min()) ** 2
    except np.linalg.LinAlgError:
        return -np.inf


# ---- accumulation -------------------------------------------------------------------------------


def centred_few(
    X: NDArray, weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    """Return a mean, what is to be added to it, and the rows about both, times roots of weights.

    None where rows are so many that a copy costs more than a look whether one is needed, or where
    their sum is not finite.
    """
    n, d = X.shape
    if costs.centring(n, d) > costs.PILOT:
        return None
    rows = np.ascontiguousarray(X, np.float64)  # the same bits from Fortran's order
    w, weight = (np.ones(n), n) if weights is None else (weights, weights.sum())
    shift = w @ rows / weight
    rows = rows - shift
    offset = w @ rows / weight
    rows -= offset
    if weights is not None:
        rows *= np.sqrt(weights)[:, None]
    return (shift, offset, rows) if np.isfinite(offset).all() else None


def pilot_mean(
    X: NDArray, weights: NDArray[np.float64] | None, *, rows: int
) -> NDArray[np.float64]:
    """Return the mean of some rows, spread over the table: a shift that is near enough."""
    step = max(1, len(X) // rows)
    chosen = slice(0, 2 * rows * step, step)
    # Sums over memory of one order: Fortran-ordered input gives the same bits.
    some = X[chosen].astype(np.float64, order="C")
    w = None if weights is None or not weights[chosen].any() else weights[chosen]
    with np.errstate(over="ignore", invalid="ignore"):
        shift = some[0] + np.average(some - some[0], axis=0, weights=w)
    return shift.astype(X.dtype).astype(np.float64) if X.dtype == np.float32 else shift


def near_zero(
    X: NDArray, shift: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return a shift of zero where every column's mean is near zero, else the shift itself.

    About zero the rows need no centring, which spares a copy of them.
    """
    if weights is not None:
        return shift
    some = X[:: max(1, len(X) // 256)].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        deviations = np.sqrt(np.mean((some - shift) ** 2, axis=0))
        limit = NEAR_SINGLE if X.dtype == np.float32 else NEAR
        return np.zeros_like(shift) if (np.abs(shift) <= limit * deviations).all() else shift


def scatter_about(
    X: NDArray, shift: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Return mean minus shift, the scatter, and whether it is known not to be steep.

    Float32 rows go through products in float32 where those leave the scatter right.
    """
    if X.dtype == np.float32 and weights is None and _safe_in_single(X, shift):
        # A corner that is steep saves a pass that would be thrown away.
        limit = STEEP_SINGLE * X.shape[1] ** 0.5
        middle = max(0, (X.shape[1] - CORNER) // 2)
        columns = slice(middle, middle + CORNER)
        corner = np.ascontiguousarray(X[: 4 * CORNER, columns])
        if not is_steep(_scatter(corner, shift[columns], None, np.float32)[1], limit):
            offset, scatter = _scatter(X, shift, None, np.float32)
            if np.isfinite(offset).all() and not is_steep(scatter, limit):
                return offset, scatter, True
    return *_scatter(X, shift, weights, np.float64), False


def _scatter(
    X: NDArray, shift: NDArray[np.float64], weights: NDArray[np.float64] | None, kind: type
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean minus shift and the scatter; products of a block are taken in `kind`."""
    n, d = X.shape
    if weights is None and X.dtype == kind and not shift.any():
        # Neither centred nor weighted, and so not copied; the threads are left to BLAS.
        product, total = np.zeros((d, d)), np.zeros(d)
        rows = max(BLOCK_ROWS, PLAIN_BYTES // max(1, X.itemsize * d))
        for part in blocks_of(slice(0, n), rows):
            B = np.require(X[part], requirements=["C", "A"])  # the same bits from Fortran's order
            total += np.ones(len(B), kind) @ B
            sums_of_blocks([B], product)
        return about_mean(product, total, n)
    shift = shift.astype(kind)  # float32 rows: exact, see `pilot_mean`

    def centred(rows: slice, room: NDArray) -> None:
        np.subtract(X[rows], shift, out=room)

    return scatter_of(centred, (n, d), weights, kind)


def scatter_of(
    centred: Callable[[slice, NDArray], None],
    shape: tuple[int, int],
    weights: NDArray[np.float64] | None = None,
    kind: type = np.float64,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean minus shift and the scatter of rows that are centred block by block.

    Parameters
    ----------
    centred : callable
        Takes a slice of rows and room of shape (n_rows, d), and puts the rows there less the shift.
    shape : tuple of int
        Of all rows, (n, d).
    weights : ndarray of shape (n,), optional
    kind : type
        Of a block and its products, which are summed in float64.
    """
    n, d = shape
    # With a column of ones one product gives scatter, sums and weight. Odd widths are slow in BLAS.
    width = d + 2 - d % 2
    size = max(BLOCK_ROWS, BLOCK_BYTES // (np.dtype(kind).itemsize * width))

    def summed(part: slice) -> NDArray[np.float64]:
        room = np.zeros((min(part.stop - part.start, size), width), kind)

        def blocks() -> Iterator[NDArray]:
            for rows in blocks_of(part, size):
                B = room[: rows.stop - rows.start]
                centred(rows, B[:, :d])
                B[:, d] = 1.0
                if weights is not None:
                    B *= np.sqrt(weights[rows, None])
                yield B

        return sums_of_blocks(blocks(), np.zeros((width, width)))

    # Each part has a (d, d) sum of its own.
    n_parts = min(n_threads(), max(1, n // (4 * width)))
    product, *others = in_threads(summed, even_parts(n, n_parts), n * d)
    for other in others:
        product += other
    return about_mean(product[:d, :d], product[d, :d], float(product[d, d]))


def sums_of_blocks(blocks: Iterable[Any], product: Any) -> Any:
    """Return a product to which B^T B of each block of rows was added, of any library."""
    with np.errstate(over="ignore", invalid="ignore"):  # also on a thread of its own
        for B in blocks:
            product += B.T @ B
    return product


def about_mean(
    product: NDArray[np.float64], total: NDArray[np.float64], weight: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean minus shift and the scatter from sums about the shift: a rank-one correction."""
    with np.errstate(over="ignore", invalid="ignore"):
        offset = total / weight
        if len(offset) < SHORT:
            return offset, product - np.outer(offset * weight, offset)
        scatter = np.array(product)
        for rows in blocks_of(slice(0, len(offset)), SHORT):  # no (d, d) product of its own
            scatter[rows] -= np.outer(offset[rows] * weight, offset)
        return offset, scatter


def _safe_in_single(X: NDArray, shift: NDArray[np.float64]) -> bool:
    """Tell whether squares of centred float32 values neither overflow, vanish nor lean.

    Far from zero, float32 values are few steps apart; sums of their squares then round upwards
    more often than not, by some 1e-7 of the variance, which no averaging takes out.
    """
    spread = np.abs(X[:: max(1, len(X) // 256)] - shift.astype(np.float32)).max(axis=0)
    near = np.abs(shift) < 30 * spread
    return bool(spread.max() < 1e12 and (spread > 1e-12).all() and near.all())


def root_about_mean(
    X: NDArray, shift: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean minus shift and a root in two passes, so that centring loses nothing."""
    n, d = X.shape
    w = np.ones(n) if weights is None else weights
    root_w = None if weights is None else np.sqrt(weights)[:, None]
    rows = max(2 * d, BLOCK_ROWS, ROOT_BYTES // (8 * d))
    whole = slice(0, n)
    if n <= rows:
        B = np.subtract(X, shift, order="C")
        offset = w @ B / w.sum()
        B -= offset
        return offset, reduced(B if root_w is None else B * root_w)
    total = np.zeros(d)
    for part in blocks_of(whole, rows):
        total += w[part] @ np.subtract(X[part], shift, order="C")
    offset = total / w.sum()
    R = np.zeros((0, d))
    for part in blocks_of(whole, rows):
        B = np.subtract(X[part], shift, order="C")
        B -= offset
        if root_w is not None:
            B *= root_w[part]
        R = reduced(np.vstack([R, B]) if len(R) else B)
    return offset, R


def reduced(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return at most d rows with the same R^T R, by QR."""
    n, d = rows.shape
    return rows if n <= d else np.asarray(np.linalg.qr(rows, mode="r"))
