"""Rows along orthonormal directions: c = x - mu, U c and |c|^2, a block of rows at a time.

These are all that density, posterior mean and held-out scores need of complete rows: one product
with the (q, d) directions instead of one with a (d, d) precision. A block stays in the cache
between centring, product and squares, so that main memory is read once. Squares are summed in
float64, those of float32 rows a few at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral._threads import even_parts, in_threads, n_threads

BLOCK_ROWS = 1024
SHORT_SUM = 64
Use = Callable[[slice, NDArray[np.float64], NDArray[np.float64]], None]


@dataclass(frozen=True)
class Frame:
    """Where rows are centred and along what they are taken.

    Parameters
    ----------
    mean : ndarray of shape (d,)
    directions : ndarray of shape (q, d)
        Orthonormal.
    variances : ndarray of shape (q,)
        Along the directions.
    noise : float
        Variance along every other.
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    variances: NDArray[np.float64]
    noise: float

    @property
    def single_is_enough(self) -> bool:
        """Whether float32 products leave log densities right to a few thousandths of a nat.

        |c|^2 - |U c|^2 cancels: its rounding is that of |U c|^2, beside sigma^2.
        """
        return bool(np.finfo(np.float32).eps * self.variances.sum() < 2e-3 * self.noise)

    @property
    def density_terms(self) -> tuple[NDArray[np.float64], float]:
        """Return 1 / noise - 1 / variances, (q,), and the part of log p that all x share.

        log|C| and the quadratic form split over the directions and the rest (Woodbury).
        """
        q, d = self.directions.shape
        log_determinant = float(np.log(self.variances).sum() + (d - q) * np.log(self.noise))
        shared = -0.5 * (d * np.log(2 * np.pi) + log_determinant)
        return 1 / self.noise - 1 / self.variances, shared

    @property
    def is_near_zero(self) -> bool:
        """Whether the mean is so near zero that products may come before centring."""
        q, d = self.directions.shape
        return bool(self.mean @ self.mean < 4 * (self.variances.sum() + (d - q) * self.noise))


def each_block(X: NDArray, frame: Frame, use: Use) -> None:
    """Call use(rows, U c of shape (q, k), |c|^2 of shape (k,)) for every block of k rows.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        float64 or float32.
    frame : Frame
    use : callable
        Blocks are dealt to threads: it writes to places of its own.
    """
    if X.dtype == np.float32:
        run = _in_single if frame.single_is_enough else _centred_first
    else:
        run = _centred_last if frame.is_near_zero else _centred_first

    def run_part(part: slice) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite shows in the result
            run(X, part, frame, use)

    in_threads(run_part, even_parts(len(X), n_threads()), X.size)


def log_density(X: NDArray, frame: Frame) -> NDArray[np.float64]:
    """Return log p of each row under the normal density of the frame, in nats.

    A row with NaN or infinity has a result that is not finite; a row whose squares overflow has a
    density of 0.
    """
    weights, shared = frame.density_terms
    result = np.empty(len(X))

    def use(rows: slice, along: NDArray, squares: NDArray) -> None:
        result[rows] = shared - 0.5 * (squares / frame.noise - weights @ (along * along))

    each_block(X, frame, use)
    odd = np.flatnonzero(np.isnan(result))
    if len(odd):
        result[odd[np.isfinite(X[odd]).all(axis=1)]] = -np.inf
    return result


def _centred_first(X: NDArray, part: slice, frame: Frame, use: Use) -> None:
    """Centre, then multiply: right wherever the mean lies."""
    block = np.empty((min(BLOCK_ROWS, part.stop - part.start), X.shape[1]))
    for rows in _blocks(part):
        c = block[: rows.stop - rows.start]
        np.subtract(X[rows], frame.mean, out=c)
        use(rows, frame.directions @ c.T, _squares(c))


def _centred_last(X: NDArray, part: slice, frame: Frame, use: Use) -> None:
    """Multiply, then centre the products: saves writing the centred rows."""
    turned = np.vstack([frame.directions, frame.mean])  # (q + 1, d)
    left = turned @ frame.mean
    for rows in _blocks(part):
        x = np.ascontiguousarray(X[rows])  # Fortran-ordered rows give the same bits
        products = turned @ x.T
        use(rows, products[:-1] - left[:-1, None], _squares(x) + (left[-1] - 2 * products[-1]))


def _in_single(X: NDArray, part: slice, frame: Frame, use: Use) -> None:
    """Centre and multiply in float32; what the mean lost in float32 is taken off the products."""
    U, centre = frame.directions, frame.mean.astype(np.float32)
    lost = frame.mean - centre
    turned, lost_single = np.ascontiguousarray(U.T, np.float32), lost.astype(np.float32)
    left, least = (U @ lost)[:, None], float(lost @ lost)
    block = np.empty((min(BLOCK_ROWS, part.stop - part.start), X.shape[1]), np.float32)
    for rows in _blocks(part):
        c = block[: rows.stop - rows.start]
        np.subtract(X[rows], centre, out=c)
        along, moved, squares = (c @ turned).T, c @ lost_single, _squares_of_single(c)
        if not all(np.isfinite(part).all() for part in (along, moved, squares)):
            _centred_first(X, rows, frame, use)  # overflowed; what is missing shows there as here
            continue
        use(rows, along - left, squares + (least - 2.0 * moved))


def _squares(c: NDArray) -> NDArray:
    """Return |c|^2 along the last axis."""
    if hasattr(np, "vecdot"):  # NumPy 2
        return np.vecdot(c, c)
    return np.asarray(np.einsum("...i,...i->...", c, c))


def _squares_of_single(c: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return |c|^2 of each float32 row: a few squares at a time in float32, their sums in float64.

    Short sums round no worse than the products along the directions do.
    """
    n, d = c.shape
    whole = d - d % SHORT_SUM
    parts = _squares(c[:, :whole].reshape(n, whole // SHORT_SUM, SHORT_SUM))
    return parts.sum(axis=1, dtype=np.float64) + _squares(c[:, whole:])


def _blocks(part: slice) -> list[slice]:
    """Return slices of at most BLOCK_ROWS rows of a part."""
    starts = range(part.start, part.stop, BLOCK_ROWS)
    return [slice(start, min(start + BLOCK_ROWS, part.stop)) for start in starts]
