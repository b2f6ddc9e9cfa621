"""Eigenpairs of a scatter or of its root: the leading ones, and every eigenvalue where wanted.

The way is the cheapest by `costs`. What stops at the leading pairs proves that they are these.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ancestral._numerics import costs
from ancestral._numerics.threads import one_thread

EPS = float(np.finfo(np.float64).eps)
EPS_SINGLE = float(np.finfo(np.float32).eps)
ORTHONORMAL = 1e-11  # farther than this from orthonormal: all vectors are computed instead
MIXED = 1e3  # longest over shortest column, from which a plain SVD blurs the short ones
CONVERGED = 16 * EPS  # of the largest eigenvalue: a residual that is rounding
LEFT = 1e-3  # share of the trace beside the leading pairs, that as a difference keeps 12 digits
APART = 1e-9  # of the largest eigenvalue: what surely tells the last pair from the next
SQUARED = 1e-7  # of the largest eigenvalue: what a product of rows leaves nine digits


def eigen_of_scatter(
    scatter: NDArray[np.float64], n_vectors: int | None, *, leading: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenvalues (falling) and leading eigenvectors as rows; all vectors for None.

    With `leading` the eigenvalues may stop where the vectors do, if that is cheaper: those left out
    are below these, and have a share of the trace that can be told from it.
    """
    m = len(scatter)
    with _threads(m):
        if n_vectors:
            if leading and (found := _leading(scatter, n_vectors)):
                return found
            if costs.few_vectors(m, n_vectors) < costs.all_vectors(m):
                found = _few_vectors(scatter, n_vectors, leading=leading)
                if found is not None:
                    return found
        eigenvalues, U = np.linalg.eigh(scatter)
    return eigenvalues[::-1], U[:, ::-1].T[:n_vectors]


def _threads(m: int) -> AbstractContextManager[None]:
    """Keep the library to one thread where a second waits longer than it works."""
    return one_thread() if costs.ALONE_SIDE < m < costs.SHARED_SIDE else nullcontext()


def _few_vectors(
    scatter: NDArray[np.float64], q: int, *, leading: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return all eigenvalues and q leading vectors by way of a tridiagonal matrix; None if unsure.

    S = Q T Q^T by Householder reflections; T gives every eigenvalue at a cost of d^2, and the
    vectors wanted by inverse iteration, to which Q is applied. `leading` leaves the rest of the
    eigenvalues out where bisection for the others is cheaper.
    """
    from scipy.linalg import lapack

    d = len(scatter)
    packed, diagonal, beside, tau, wrong = lapack.dsytrd(scatter, lower=1, lwork=64 * d)
    if wrong or not np.isfinite(diagonal).all():
        return None
    found = None
    if leading and costs.bisected(d, q + 1) < costs.all_values(d):
        found = _last_of_tridiagonal(diagonal, beside, q, float(scatter.trace()))
    if found is None:
        found = _of_tridiagonal(diagonal, beside, q)
    if found is None:
        return None
    eigenvalues, V = found
    # The reflections stand below the diagonal's neighbour, and leave the first row alone.
    reflections, rest = np.asfortranarray(packed[1:, : d - 1]), np.asfortranarray(V[1:])
    V[1:], _, wrong = lapack.dormqr("L", "N", reflections, tau, rest, lwork=64 * q)
    if wrong or not _are_orthonormal(V.T):
        return None
    return eigenvalues[::-1], np.ascontiguousarray(V[:, ::-1].T)


def _of_tridiagonal(
    diagonal: NDArray[np.float64], beside: NDArray[np.float64], q: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return rising eigenvalues and the last q vectors as columns; None if LAPACK gives up."""
    from scipy.linalg import lapack

    d = len(diagonal)
    eigenvalues, wrong = lapack.dsterf(diagonal, beside)
    if wrong:
        return None
    one_block = np.ones(d, np.int32), np.full(d, d, np.int32)
    V, wrong = lapack.dstein(diagonal, beside, eigenvalues[d - q :], *one_block)
    return None if wrong else (eigenvalues, V)


def _last_of_tridiagonal(
    diagonal: NDArray[np.float64], beside: NDArray[np.float64], q: int, trace: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the last q eigenvalues, rising, and their vectors; None where that is not enough."""
    from scipy.linalg import lapack

    d, by_index = len(diagonal), 2
    _, values, V, wrong = lapack.dstemr(
        diagonal, np.append(beside, 0.0), by_index, 0.0, 0.0, d - q, d
    )
    if wrong or not _are_told(values[q::-1], q, trace):
        return None
    return values[1 : q + 1], np.asfortranarray(V[:, 1 : q + 1])


def _are_orthonormal(V: NDArray[np.float64]) -> bool:
    """Tell whether rows are orthonormal."""
    products = V @ V.T
    products.flat[:: len(V) + 1] -= 1.0
    return bool(np.abs(products).max() < ORTHONORMAL)


# ---- leading pairs alone ------------------------------------------------------------------------


def _leading(
    scatter: NDArray[np.float64], q: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return q leading eigenvalues and their vectors by Lanczos's iteration; None if unsure.

    Sure are pairs whose residuals are rounding, and that leave a share of the trace; and of which
    none was missed: with D what is left of S without them, t I - D has a Cholesky factor for some t
    below the last of them, so that no eigenvalue of D is above t.
    """
    most = min(costs.steps_tried(len(scatter), q), len(scatter) - 1)
    found = _lanczos(scatter, q, most) if most > q + 1 else None
    if found is None:
        return None
    values, V = found
    kept, top = values[:q], values[0]
    if not (_are_told(values, q, float(scatter.trace())) and _are_orthonormal(V)):
        return None
    residuals = V @ scatter - kept[:, None] * V
    if not sqrt(float(np.einsum("ij,ij->i", residuals, residuals).max())) < 8 * CONVERGED * top:
        return None
    return (kept, V) if _none_missed(scatter, values, V) else None


def _are_told(values: NDArray[np.float64], q: int, trace: float) -> bool:
    """Tell whether q leading eigenvalues stand apart, and what they leave of the trace counts."""
    left = trace - float(values[:q].sum())
    return bool(q and values[q - 1] - values[q] > APART * values[0] and left > LEFT * trace)


def _lanczos(
    scatter: NDArray[np.float64], q: int, most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return q + 1 leading Ritz values (falling) and q vectors as rows; None where not converged.

    The last value is a guess from below. Every step is made orthogonal to all earlier ones.
    """
    m = len(scatter)
    basis = np.empty((most + 1, m))
    basis[0] = _start(m)
    diagonal, beside = np.empty(most), np.empty(most)
    look, seen = min(costs.first_look(q), most), (0, 0.0)
    for k in range(1, most + 1):
        before = basis[:k]
        step = scatter @ before[-1]
        diagonal[k - 1] = before[-1] @ step
        step -= diagonal[k - 1] * before[-1]
        if k > 1:
            step -= beside[k - 2] * before[-2]
        step -= (before @ step) @ before
        beside[k - 1] = length = sqrt(float(step @ step))
        if not length > 0:  # exactly invariant, or not finite
            return None
        np.divide(step, length, out=basis[k])
        if k < look:
            continue
        found = _of_tridiagonal(diagonal[:k], beside[: k - 1], q)
        if found is None:
            return None
        values, V = found
        residual = length * float(np.abs(V[-1]).max()) / values[-1]
        if residual <= CONVERGED:
            return values[: -q - 2 : -1].copy(), V[:, ::-1].T @ before
        # Residuals fall by a factor for each step, or faster: is that enough?
        since, was = seen if seen[0] else (0, values[-q] / values[-1])
        fall = np.log(was / residual) / (k - since)
        wanted = np.log(residual / CONVERGED) / fall if fall > 0 else np.inf
        if k + 0.5 * wanted > most:
            return None
        look, seen = min(k + max(2, int(min(wanted, 0.5 * k))), most), (k, residual)
    return None


@lru_cache(maxsize=8)
def _start(m: int) -> NDArray[np.float64]:
    """Return a direction of no structure, the same each time."""
    start = np.random.default_rng(0).standard_normal(m)
    start /= np.linalg.norm(start)
    start.flags.writeable = False
    return start


def _none_missed(
    scatter: NDArray[np.float64], values: NDArray[np.float64], V: NDArray[np.float64]
) -> bool:
    """Prove that no eigenvalue of what is left beside the vectors is as large as theirs."""
    from scipy.linalg import blas, lapack

    last, following = values[-2], values[-1]
    # The factor's own rounding, in a precision that leaves half of the distance to prove.
    m, apart = len(scatter), (last - following) / last
    single = 4 * m * EPS_SINGLE < apart
    margin = 2 * m * (EPS_SINGLE if single else EPS) * last
    rest = blas.dsyrk(
        1.0, (V * np.sqrt(values[:-1, None])).T, beta=-1.0, c=scatter.T, lower=1
    )  # -D, its lower triangle
    rest.flat[:: m + 1] += (last + following) / 2 - margin
    if single:
        return not lapack.spotrf(rest.astype(np.float32), lower=1, clean=0, overwrite_a=1)[1]
    return not lapack.dpotrf(rest, lower=1, clean=0, overwrite_a=1)[1]


# ---- roots --------------------------------------------------------------------------------------


def eigen_of_root(
    root: NDArray[np.float64],
    n_vectors: int | None,
    *,
    leading: bool = False,
    squares: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenvalues of R^T R (falling, 0 beyond the rank), leading eigenvectors as rows.

    Columns of one scale go through the small side R R^T where that loses nothing, else through the
    SVD of R. Columns of different scales go through Jacobi's SVD, which keeps the digits of every
    eigenvalue however the columns are scaled. `leading` is that of `eigen_of_scatter`; `squares`
    are those of the columns' lengths, where they are known.
    """
    lengths = np.sqrt(np.einsum("ij,ij->j", root, root) if squares is None else squares)
    varying = lengths > 0
    if root.size and lengths.max() > MIXED * lengths[varying].min(initial=np.inf):
        return _by_jacobi(root, lengths, n_vectors)
    rounding = EPS * max(root.shape)
    if 1 < len(root) <= root.shape[1]:
        found = _by_products(root, n_vectors, leading=leading)
        if found is not None:
            eigenvalues, V = found
            return _above(eigenvalues, rounding), V
    with _threads(len(root)):
        _, singular, V = np.linalg.svd(root, full_matrices=False)
    return _above(singular, rounding) ** 2, V[:n_vectors]


def _by_products(
    root: NDArray[np.float64], n_vectors: int | None, *, leading: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return eigenvalues and vectors by way of R R^T; None where it is too steep to be squared.

    Centred rows leave one eigenvalue that is 0.
    """
    r, d = root.shape
    eigenvalues, U = eigen_of_scatter(root @ root.T, n_vectors, leading=leading)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    q, least = len(U), SQUARED * eigenvalues[0]
    if q and not eigenvalues[q - 1] > least:
        return None
    # A square root was reduced, perhaps because its small values count: all of them must be there.
    last = r - 2 if r == d else min(q, r - 2)
    if len(eigenvalues) == r and not eigenvalues[last] > least:
        if not (leading and q < r - 2 and _are_told(eigenvalues, q, float(eigenvalues.sum()))):
            return None
        eigenvalues = eigenvalues[:q]
    return eigenvalues, _straightened((U / np.sqrt(eigenvalues[:q, None])) @ root)


def _straightened(V: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows that are nearly orthonormal, the later the less, as orthonormal ones.

    One step of Gram and Schmidt for all rows: what is left is the square of what was wrong.
    """
    wrong = V @ V.T
    wrong.flat[:: len(V) + 1] = 0.5 * (wrong.diagonal() - 1.0)
    return V - np.tril(wrong) @ V


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
