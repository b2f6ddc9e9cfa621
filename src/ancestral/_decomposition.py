"""Eigenpairs of a scatter or of its root: every eigenvalue, and as many vectors as are wanted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EPS = float(np.finfo(np.float64).eps)
LARGE = 256  # rows from which leaving out vectors saves more than it costs
ORTHONORMAL = 1e-11  # farther than this from orthonormal: all vectors are computed instead


def eigen_of_scatter(
    scatter: NDArray[np.float64], n_vectors: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenvalues (falling) and leading eigenvectors as rows; all vectors for None."""
    d = len(scatter)
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

    S = Q T Q^T by Householder reflections; T gives every eigenvalue at a cost of d^2, and a
    vector for those wanted by inverse iteration, to which Q is applied.
    """
    from scipy.linalg import eigh_tridiagonal, eigvalsh_tridiagonal, lapack

    d = len(scatter)
    packed, diagonal, beside, tau, failed = lapack.dsytrd(scatter, lower=1, lwork=64 * d)
    if failed or not np.isfinite(diagonal).all():
        return None
    eigenvalues = eigvalsh_tridiagonal(diagonal, beside, lapack_driver="sterf")
    try:
        _, V = eigh_tridiagonal(
            diagonal, beside, select="i", select_range=(d - q, d - 1), lapack_driver="stebz"
        )
    except np.linalg.LinAlgError:
        return None
    # The reflections stand below the diagonal's neighbour, and leave the first row alone.
    reflections, rest = np.asfortranarray(packed[1:, : d - 1]), np.asfortranarray(V[1:])
    V[1:], _, failed = lapack.dormqr("L", "N", reflections, tau, rest, lwork=64 * q)
    apart = np.abs(V.T @ V - np.eye(q)).max()
    if failed or not apart < ORTHONORMAL:
        return None
    return eigenvalues[::-1], np.ascontiguousarray(V[:, ::-1].T)


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
