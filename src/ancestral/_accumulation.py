"""Sums over rows that keep their digits: means, scatters and roots about a shift, in blocks.

    shift near the mean,  offset = mean - shift,  scatter = sum w (x - mean)(x - mean)^T = R^T R

One pass about the shift and a rank-one correction give a scatter; two passes and stacked QR give a
root, which keeps the digits that squaring loses. Float32 rows go through short float32 products
summed in float64, where that leaves them right.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral.errors import DataError

EPS = float(np.finfo(np.float64).eps)
# Largest variance over the least variance of a column given the others, up to which products in
# float64 and in float32 leave the least eigenvalues 7 right digits.
STEEP = 1e8
STEEP_SINGLE = 1e2

PILOT_ROWS = 256
BLOCK_BYTES = 32 << 20
SINGLE_ROWS = 4096  # float32 products over more rows than this would lose digits in the sum


# ---- what is lost -------------------------------------------------------------------------------


def is_steep(scatter: NDArray[np.float64], limit: float) -> bool:
    """Tell whether some direction varies `limit` times less than the largest column.

    The pivots of Cholesky's factor are the variances of each column given the earlier ones;
    constant columns lose nothing and are passed over.
    """
    variances = np.diag(scatter)
    varying = variances > 0
    if not varying.all():
        scatter, variances = scatter[np.ix_(varying, varying)], variances[varying]
    if not len(variances):
        return False
    try:
        pivots = np.diag(np.linalg.cholesky(scatter)) ** 2
    except np.linalg.LinAlgError:
        return True
    return not variances.max() < limit * pivots.min()


def exact_sum(
    a: NDArray[np.float64], b: NDArray[np.float64] | float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a + b rounded, and what the rounding took (Knuth's two-sum)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


# ---- accumulation -------------------------------------------------------------------------------


def pilot_mean(X: NDArray, weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return the mean of some rows, spread over the table: a shift that is near enough."""
    step = max(1, len(X) // PILOT_ROWS)
    chosen = slice(0, 2 * PILOT_ROWS * step, step)
    # Sums over memory of one order: Fortran-ordered input gives the same bits.
    some = X[chosen].astype(np.float64, order="C")
    w = None if weights is None or not weights[chosen].any() else weights[chosen]
    shift = some[0] + np.average(some - some[0], axis=0, weights=w)
    return shift.astype(X.dtype).astype(np.float64) if X.dtype == np.float32 else shift


def _blocks(n: int, rows: int) -> Iterator[slice]:
    """Yield slices of at most `rows` rows."""
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))


def scatter_about(
    X: NDArray, shift: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean minus shift and the scatter; float32 rows by short products where that does."""
    if X.dtype == np.float32 and weights is None and _safe_in_single(X, shift):
        # A first block that is steep saves the rest of a pass that would be thrown away.
        first = _scatter_single(X[:SINGLE_ROWS], shift)[1] if len(X) > 2 * SINGLE_ROWS else None
        if first is None or not is_steep(first, STEEP_SINGLE):
            offset, scatter = _scatter_single(X, shift)
            if np.isfinite(scatter).all() and not is_steep(scatter, STEEP_SINGLE):
                return offset, scatter
    return _scatter(X, shift, weights)


def _scatter(
    X: NDArray, shift: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean minus shift and the scatter in one pass, with a rank-one correction."""
    n, d = X.shape
    rows = min(n, max(256, BLOCK_BYTES // (8 * d)))
    # Blocks are copied to C order: Fortran-ordered input gives the same bits.
    block = np.empty((rows, d))
    product, total, weight = np.zeros((d, d)), np.zeros(d), 0.0
    for part in _blocks(n, rows):
        B = block[: part.stop - part.start]
        np.subtract(X[part], shift, out=B)
        if weights is None:
            total += np.ones(len(B)) @ B
            weight += len(B)
        else:
            w = weights[part]
            total += w @ B
            weight += float(w.sum())
            B *= np.sqrt(w)[:, None]
        product += B.T @ B
    offset = total / weight
    product -= np.outer(offset * weight, offset)
    return offset, product


def _safe_in_single(X: NDArray, shift: NDArray[np.float64]) -> bool:
    """Tell whether squares of centred float32 values neither overflow, vanish nor lean.

    Far from zero, float32 values are few steps apart; sums of their squares then round upwards
    more often than not, by some 1e-7 of the variance, which no averaging takes out.
    """
    spread = np.abs(X[:: max(1, len(X) // PILOT_ROWS)] - shift.astype(np.float32)).max(axis=0)
    near = np.abs(shift) < 30 * spread
    return bool(spread.max() < 1e12 and (spread > 1e-12).all() and near.all())


def _scatter_single(
    X: NDArray, shift: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean minus shift and the scatter: short float32 products, summed in float64."""
    n, d = X.shape
    block = np.empty((min(n, SINGLE_ROWS), d), np.float32)
    product, total = np.zeros((d, d)), np.zeros(d)
    single_shift = shift.astype(np.float32)
    for part in _blocks(n, SINGLE_ROWS):
        B = block[: part.stop - part.start]
        np.subtract(X[part], single_shift, out=B)  # exact where values are near the shift
        total += np.ones(len(B), np.float32) @ B
        product += B.T @ B
    offset = total / n
    product -= np.outer(offset * n, offset)
    return offset, product


def root_about_mean(
    X: NDArray, shift: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean minus shift and a root in two passes, so that centring loses nothing."""
    n, d = X.shape
    rows = max(2 * d, 256, BLOCK_BYTES // (8 * d))
    w = np.ones(n) if weights is None else weights
    if n <= rows:
        B = np.subtract(X, shift, order="C")
        offset = w @ B / w.sum()
        B -= offset
        return offset, reduced(B if weights is None else B * np.sqrt(w)[:, None])
    total = np.zeros(d)
    for part in _blocks(n, rows):
        total += w[part] @ np.subtract(X[part], shift, order="C")
    offset = total / w.sum()
    R = np.zeros((0, d))
    for part in _blocks(n, rows):
        B = np.subtract(X[part], shift, order="C")
        B -= offset
        if weights is not None:
            B *= np.sqrt(w[part])[:, None]
        R = reduced(np.vstack([R, B]) if len(R) else B)
    return offset, R


def checked_weights(weights: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return weights as float64 of shape (n,), finite and not negative."""
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (n,):
        raise DataError(f"weights must have shape ({n},), one per row; got {w.shape}.")
    wrong = ~(np.isfinite(w) & (w >= 0))
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise DataError(f"weights hold {w[i]:g} at row {i}; they must be finite, 0 or more.")
    return w


def reduced(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return at most d rows with the same R^T R, by QR."""
    n, d = rows.shape
    return rows if n <= d else np.asarray(np.linalg.qr(rows, mode="r"))


def eigen_of_root(
    root: NDArray[np.float64], n_vectors: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return eigenvalues of R^T R (falling), leading eigenvectors as rows, relative rounding.

    A large root goes through the small side R R^T, unless its eigenvalues fall so steeply that
    squaring would lose them; then, and for small roots, through the SVD of R.
    """
    rounding = EPS * max(root.shape)
    if 128 < len(root) < root.shape[1]:
        eigenvalues, U = np.linalg.eigh(root @ root.T)
        eigenvalues, U = np.maximum(eigenvalues[::-1], 0.0), U[:, ::-1][:, :n_vectors]
        kept = eigenvalues[: U.shape[1]]
        steep = np.median(eigenvalues) < 1e-7 * eigenvalues[0]
        if not steep and (len(kept) == 0 or kept[-1] > 1e-7 * eigenvalues[0]):
            return eigenvalues, (U / np.sqrt(kept)).T @ root, rounding
    _, singular, V = np.linalg.svd(root, full_matrices=False)
    return singular**2, V[:n_vectors], rounding**2
