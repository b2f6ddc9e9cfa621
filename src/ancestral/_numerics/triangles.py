"""Solutions with triangular matrices, small ones on the calling thread alone.

LAPACK's `trtrs` wakes all threads for a matrix of right-hand sides of any size, and on a busy
machine waits milliseconds for the last; BLAS's `trsm` weighs first what there is to share.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dtrsm, dtrsv

Float = NDArray[np.float64]


def solved(R: Float, b: Float, *, transposed: bool = False, lower: bool = False) -> Float:
    """Return R^-1 b, or R^-T b, for triangular R.

    Parameters
    ----------
    R : ndarray of shape (r, r)
        Upper triangular unless `lower`; what stands on the other side is not read.
    b : ndarray of shape (r,) or (r, k)

    Raises
    ------
    numpy.linalg.LinAlgError
        For a zero on the diagonal.
    """
    if not b.size:
        return np.array(b, dtype=np.float64)
    if not R.diagonal().all():
        raise np.linalg.LinAlgError("a triangular matrix is singular")
    if b.ndim == 1:
        x: Float = dtrsv(R, b, lower=lower, trans=transposed)
    else:
        x = dtrsm(1.0, R, b, lower=lower, trans_a=transposed)
    return x
