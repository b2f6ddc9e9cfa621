"""The least squares behind a latent Gaussian, by reflections: no square is a difference.

For x = W z + mu + noise, with c = x - mu and z ~ N(0, I_q),

    S = min_z |c - W z|^2 + sigma^2 |z|^2,      log p(x) = -1/2 [ log|2 pi C| + S / sigma^2 ],
    [ W ; sigma I_q ] P = H^T [ R ; 0 ],        H [ c ; 0 ] = [ h ; t ],
    S = |t|^2,   E[z | x] = P R^-1 h,   M = W^T W + sigma^2 I = P R^T R P^T,
    log|C| = (d - q) log sigma^2 + log|M|,      c - W E[z | x] = the upper part of H^T [ 0 ; t ].

H is a product of q Householder reflections I - v v^T. Each eliminates the column that is longest in
the rows left, and stands on the largest entry of it. So chosen, every row keeps its own digits
however far apart the rows' scales are (Powell & Reid 1969; Cox & Higham 1998): a rate is not
blurred by the rounding of a dollar beside it. H [c; 0] costs two products with q vectors:

    (I + N) y = V^T c with N the part of V^T V below its diagonal,   H [c; 0] = [c; 0] - V y.

Many W are reflected at once: those of rows with gaps, where what is unknown has rows of zeros.
Symbols: V vectors, K = P R^-1 root.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Reflections:
    """Reflections of k matrices [W; sigma I] of shape (d + q, q), and what they leave.

    Parameters
    ----------
    vectors : ndarray of shape (k, d + q, q)
        V, each of length sqrt(2).
    forward : ndarray of shape (k, q, q)
        (I + N)^-1.
    pivots : ndarray of shape (k, q)
        The rows that h is read from.
    root : ndarray of shape (k, q, q)
        K with K K^T = M^-1.
    log_determinant : ndarray of shape (k,)
        log|M|.
    """

    vectors: NDArray[np.float64]
    forward: NDArray[np.float64]
    pivots: NDArray[np.intp]
    root: NDArray[np.float64]
    log_determinant: NDArray[np.float64]


def reflections(loadings: NDArray[np.float64], noise: float | NDArray[np.float64]) -> Reflections:
    """Reflect matrices W of shape (k, d, q) with one noise or k.

    Noise 0 leaves the prior of z out (W of full rank).
    """
    k, d, q = loadings.shape
    each, inner = np.arange(k), np.arange(q)
    below = np.sqrt(np.asarray(noise)[..., None, None]) * np.eye(q)
    A = np.concatenate([loadings, np.broadcast_to(below, (k, q, q))], axis=1)
    V = np.zeros((k, d + q, q))
    left, free = np.ones((k, d + q)), np.ones((k, q), bool)  # rows and columns still to be met
    pivots, columns = np.zeros((k, q), np.intp), np.zeros((k, q), np.intp)
    for i in range(q):
        lengths = np.where(free, np.einsum("kmq,kmq,km->kq", A, A, left, optimize=False), -1.0)
        columns[:, i] = column = lengths.argmax(axis=1)
        a = A[each, :, column] * left  # (k, d + q)
        pivots[:, i] = row = np.abs(a).argmax(axis=1)
        length = np.sqrt(np.einsum("km,km->k", a, a))
        first = a[each, row]
        a[each, row] = first + np.where(first < 0, -length, length)
        v = a / np.sqrt(length * (length + np.abs(first)))[:, None]
        A -= v[:, :, None] * np.matmul(v[:, None, :], A)
        V[:, :, i] = v
        left[each, row], free[each, column] = 0.0, False
    R = A[each[:, None, None], pivots[:, :, None], columns[:, None, :]]  # (k, q, q)
    R = np.triu(R)
    root = np.empty_like(R)
    root[each[:, None], columns] = np.linalg.inv(R)
    N = np.tril(np.matmul(np.swapaxes(V, 1, 2), V), -1)
    forward = np.linalg.inv(N + np.eye(q))
    log_determinant = 2 * np.log(np.abs(R[:, inner, inner])).sum(axis=1)
    return Reflections(V, forward, pivots, root, log_determinant)
