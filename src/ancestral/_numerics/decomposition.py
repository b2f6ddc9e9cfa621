"""Eigenpairs of a scatter or of its root: every eigenvalue, and as many vectors as are wanted."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
from numpy.typing import NDArray

from ancestral._numerics.threads import one_thread

EPS = float(np.finfo(np.float64).eps)
# Rows from which leaving out vectors gains something, and below which a second thread waits longer
# than it works.
LARGE, SMALL = 256, 800
ORTHONORMAL = 1e-11  # farther than this from orthonormal: all vectors are computed instead
MIXED = 1e3  # longest over shortest column, from which a plain SVD blurs the short ones


def eigen_of_scatter(
    scatter: NDArray[np.float64], n_vectors: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenvalues (falling) and leading eigenvectors as rows; all vectors for None."""
    d = len(scatter)
    with one_thread() if d < SMALL else nullcontext():
        if n_vectors is not None and d >= LARGE and 0 < 4 * n_vectors <= d:
            found = _few_vectors(scatter, n_vectors)
            if found is not None:
                return found
        eigenvalues, U = np.linalg.eigh(scatter)
    return eigenvalues[::-1], U[:, ::-1].T[:n_vectors]


def _few_vectors(
    scatter: NDArray[np.float64], q: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return all eigenvalues and q leading vectors by way of a tridiagonal matrix; None if unsure.

    S = Q T Q^T by Householder reflections; T gives every eigenvalue at a cost of d^2, and the
    vectors wanted by inverse iteration, to which Q is applied.
    """
    from scipy.linalg import lapack

    d = len(scatter)
    packed, diagonal, beside, tau, wrong = lapack.dsytrd(scatter, lower=1, lwork=64 * d)
    if wrong or not np.isfinite(diagonal).all():
        return None
    eigenvalues, wrong = lapack.dsterf(diagonal, beside)
    if wrong:
        return None
    one_block = np.ones(d, np.int32), np.full(d, d, np.int32)
    V, wrong = lapack.dstein(diagonal, beside, eigenvalues[d - q :], *one_block)
    if wrong:
        return None
    # The reflections stand below the diagonal's neighbour, and leave the first row alone.
    reflections, rest = np.asfortranarray(packed[1:, : d - 1]), np.asfortranarray(V[1:])
    V[1:], _, wrong = lapack.dormqr("L", "N", reflections, tau, rest, lwork=64 * q)
    if wrong or not np.abs(V.T @ V - np.eye(q)).max() < ORTHONORMAL:
        return None
    return eigenvalues[::-1], np.ascontiguousarray(V[:, ::-1].T)


def eigen_of_root(
    root: NDArray[np.float64], n_vectors: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenvalues of R^T R (falling, 0 beyond the rank), leading eigenvectors as rows.

    Columns of one scale go through the small side R R^T where that loses nothing, else through the
    SVD of R. Columns of different scales go through Jacobi's SVD, which keeps the digits of every
    eigenvalue however the columns are scaled.
    """
    lengths = np.sqrt(np.einsum("ij,ij->j", root, root))
    varying = lengths > 0
    if root.size and lengths.max() > MIXED * lengths[varying].min(initial=np.inf):
        return _by_jacobi(root, lengths, n_vectors)
    rounding = EPS * max(root.shape)
    if 128 < len(root) < root.shape[1]:
        with one_thread() if len(root) < SMALL else nullcontext():
            eigenvalues, U = np.linalg.eigh(root @ root.T)
        eigenvalues, U = np.maximum(eigenvalues[::-1], 0.0), U[:, ::-1][:, :n_vectors]
        kept = eigenvalues[: U.shape[1]]
        steep = eigenvalues[min(len(kept), len(eigenvalues) - 2)] < 1e-7 * eigenvalues[0]
        if not steep and (len(kept) == 0 or kept[-1] > 1e-7 * eigenvalues[0]):
            return _above(eigenvalues, rounding), (U / np.sqrt(kept)).T @ root
    _, singular, V = np.linalg.svd(root, full_matrices=False)
    return _above(singular, rounding) ** 2, V[:n_vectors]


def _above(values: NDArray, rounding: float) -> NDArray[np.float64]:
    """Return falling values with those set to 0 that rounding alone could have made."""
    return np.where(values > rounding * values[:1], values, 0.0)


def _by_jacobi(
    root: NDArray[np.float64], lengths: NDArray[np.float64], n_vectors: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenvalues and eigenvectors of R^T R by one-sided Jacobi rotations.

    The rank, which does not hang on units, is that of the columns scaled to one length.
    """
    from scipy.linalg import lapack

    r, d = root.shape
    scaled = root / np.where(lengths > 0, lengths, 1.0)
    rank = int((_above(np.linalg.svd(scaled, compute_uv=False), EPS * max(r, d)) > 0).sum())
    wide = r < d
    rows_and_columns = 2  # the accuracy asked for: of matrices scaled from either side
    found = lapack.dgejsv(root.T if wide else root, joba=rows_and_columns, jobu=0, jobv=0)
    singular, U, V, work, _, wrong = found
    if wrong:
        _, singular, directions = np.linalg.svd(root, full_matrices=False)
    else:
        singular = singular * (work[0] / work[1])
        directions = (U if wide else V).T[: len(singular)]
    singular[rank:] = 0.0
    return singular**2, np.ascontiguousarray(directions[:n_vectors])
