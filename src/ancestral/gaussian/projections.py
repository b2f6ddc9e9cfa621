"""Rows along orthonormal directions: c = x - mu, |c|^2 and U c, a block of rows at a time.

These are all that density, posterior mean and held-out scores need of complete rows: one product
with the (d, q) directions instead of one with a (d, d) precision. A block fits in the cache, so
centring, product and squares touch main memory once. Squares are summed in float64.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 2 << 20  # of float64: within the second-level cache, or near it


def projected(
    X: NDArray, mean: NDArray[np.float64], directions: NDArray[np.float64], *, single: bool = False
) -> Iterator[tuple[slice, NDArray[np.float64], NDArray[np.float64]]]:
    """Yield (which rows, c along the directions (k, q), |c|^2 (k,)); the arrays are reused.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        float64 or float32.
    mean : ndarray of shape (d,)
    directions : ndarray of shape (q, d)
        Orthonormal.
    single : bool
        Take the product in float32 where X is float32 (see `single_is_enough`).
    """
    n, d = X.shape
    q = len(directions)
    kind: type = np.float32 if single and X.dtype == np.float32 else np.float64
    rows = max(1, min(n, BLOCK_BYTES // (8 * d)))
    centre: NDArray = mean.astype(kind)
    lost = mean - centre  # by rounding to float32: taken off below
    turned: NDArray = np.column_stack([directions.T, lost]).astype(kind)  # (d, q + 1)
    block, product = np.empty((rows, d), kind), np.empty((rows, q + 1), kind)
    wide = block if kind == np.float64 else np.empty((rows, d))
    along, squares = np.empty((rows, q)), np.empty(rows)
    for start in range(0, n, rows):
        k = min(rows, n - start)
        np.subtract(X[start : start + k], centre, out=block[:k])
        np.matmul(block[:k], turned, out=product[:k])
        np.subtract(product[:k, :q], directions @ lost, out=along[:k])
        if wide is not block:
            wide[:k] = block[:k]
        np.einsum("ij,ij->i", wide[:k], wide[:k], out=squares[:k])
        squares[:k] += lost @ lost - 2.0 * product[:k, q]
        yield slice(start, start + k), along[:k], squares[:k]


def single_is_enough(eigenvalues: NDArray[np.float64], noise: float) -> bool:
    """Tell whether float32 products leave log densities right to about 0.002 nats per row.

    |c|^2 - |U c|^2 cancels: its rounding is that of |U c|^2, beside sigma^2.
    """
    return bool(np.finfo(np.float32).eps * eigenvalues.sum() < 2e-3 * noise)
