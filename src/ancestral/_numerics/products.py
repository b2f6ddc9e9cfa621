"""Products of which no row depends on how many others there are.

A library multiplies one row, a few and many by different kernels, which round differently: the
score of a row would change in its last bits with the batch it comes in. Blocks of one shape always
take the same way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 16  # one row alone costs as many; larger blocks are hardly faster by the row


def by_rows(A: NDArray[np.float64], B: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return A @ B in blocks of as many rows, the last filled up with zeros.

    Parameters
    ----------
    A : ndarray of shape (n, k)
    B : ndarray of shape (k, m)
    """
    (n, k), blocks = A.shape, -(-len(A) // BLOCK_ROWS)
    if n % BLOCK_ROWS:
        whole = np.zeros((blocks * BLOCK_ROWS, k))
        whole[:n] = A
    else:
        whole = np.ascontiguousarray(A)
    product = np.matmul(whole.reshape(blocks, BLOCK_ROWS, k), B)
    return product.reshape(blocks * BLOCK_ROWS, B.shape[1])[:n]
