"""Rows along orthonormal directions: c = x - mu, U c and |c|^2, a block of rows at a time.

These are all that density, posterior mean and held-out scores need of complete rows: one product
with the (q, d) directions instead of one with a (d, d) precision. A block stays in the cache
between centring, product and squares, so that main memory is read once. Squares are summed in
float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ancestral._threads import even_parts, in_threads, n_threads

BLOCK_ROWS = 512
Use = Callable[[slice, NDArray[np.float64], NDArray[np.float64]], None]


def each_block(
    X: NDArray,
    mean: NDArray[np.float64],
    directions: NDArray[np.float64],
    use: Use,
    *,
    single: bool = False,
) -> None:
    """Call use(rows, U c of shape (q, k), |c|^2 of shape (k,)) for every block of k rows.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        float64 or float32.
    mean : ndarray of shape (d,)
    directions : ndarray of shape (q, d)
        Orthonormal.
    use : callable
        Blocks are dealt to threads: it writes to places of its own.
    single : bool
        Take the products of float32 rows in float32 (see `single_is_enough`).
    """
    kind = np.float32 if single and X.dtype == np.float32 else np.float64
    run = _in_single if kind == np.float32 else _in_double

    def run_part(part: slice) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite shows in the result
            run(X, part, mean, directions, use)

    in_threads(run_part, even_parts(len(X), n_threads()), X.size)


def _in_double(
    X: NDArray, part: slice, mean: NDArray[np.float64], U: NDArray[np.float64], use: Use
) -> None:
    block = np.empty((min(BLOCK_ROWS, part.stop - part.start), X.shape[1]))
    for rows in _blocks(part):
        c = block[: rows.stop - rows.start]
        np.subtract(X[rows], mean, out=c)
        use(rows, U @ c.T, _squares(c))


def _in_single(
    X: NDArray, part: slice, mean: NDArray[np.float64], U: NDArray[np.float64], use: Use
) -> None:
    """As `_in_double`; what rounding took from the mean is taken off the products instead."""
    centre = mean.astype(np.float32)
    lost = mean - centre
    turned, lost_single = np.ascontiguousarray(U.T, np.float32), lost.astype(np.float32)
    left, least = (U @ lost)[:, None], float(lost @ lost)
    block = np.empty((min(BLOCK_ROWS, part.stop - part.start), X.shape[1]), np.float32)
    wide = np.empty(block.shape)
    for rows in _blocks(part):
        k = rows.stop - rows.start
        c = block[:k]
        np.subtract(X[rows], centre, out=c)
        wide[:k] = c
        use(rows, (c @ turned).T - left, _squares(wide[:k]) + (least - 2.0 * (c @ lost_single)))


def _squares(c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return |c|^2 of each row."""
    if hasattr(np, "vecdot"):  # NumPy 2
        return np.vecdot(c, c)
    return np.asarray(np.einsum("ij,ij->i", c, c))


def _blocks(part: slice) -> list[slice]:
    """Return slices of at most BLOCK_ROWS rows of a part."""
    starts = range(part.start, part.stop, BLOCK_ROWS)
    return [slice(start, min(start + BLOCK_ROWS, part.stop)) for start in starts]


def single_is_enough(eigenvalues: NDArray[np.float64], noise: float) -> bool:
    """Tell whether float32 products leave log densities right to a few thousandths of a nat.

    |c|^2 - |U c|^2 cancels: its rounding is that of |U c|^2, beside sigma^2.
    """
    return bool(np.finfo(np.float32).eps * eigenvalues.sum() < 2e-3 * noise)
