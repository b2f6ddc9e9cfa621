"""The fit of small and kind data: one QR of [1, X, Y], as it is.

    [1, X, Y] = Q R,   R = [R_A  C; 0  E],   W = R_A^-1 C

What small fits take is the number of calls, so that this makes few. It is what `digits` says of a
QR of the rows, with columns that are not centred: where these are far from zero, nearly collinear,
fitted exactly or out of float64's reach, nothing is returned, and `least_squares` looks closer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from ancestral.gaussian.linear.digits import WANTED
from ancestral.gaussian.linear.least_squares import EPS, HUGE, TINY, LineStatistics
from ancestral.statistics import Moments

Float = NDArray[np.float64]


@dataclass(eq=False)
class Plain:
    """What a plain fit found; q parameters, the intercept first, and k targets."""

    count: int
    centred: bool  # has an intercept
    triangle: Float  # (q + k, q + k): R
    parameters: Float  # (q, k): W
    own: Float  # (q,), squared lengths of the rows of R_A^-1
    residual: Float  # (k, k), cross products of the residuals
    targets: tuple[int, ...]

    @property
    def statistics(self) -> LineStatistics:
        """The sums that the closer look takes: the first row of R holds the means."""
        R, q = self.triangle, len(self.own)
        if not self.centred:
            mean = np.zeros(len(R))
            return LineStatistics(Moments(self.count, mean, root=R, pinned=True), q, self.targets)
        mean, root = R[0, 1:] / R[0, 0], R[1:, 1:]
        return LineStatistics(Moments(self.count, mean, root=root, pinned=True), q - 1, self.targets)


def plain(X: Float, y: Float, *, centred: bool) -> Plain | None:
    """Return the plain fit of rows of shapes (n, p) and (n,) or (n, k); None where it is none."""
    (n, p), start = X.shape, int(centred)
    q, k = start + p, 1 if y.ndim == 1 else y.shape[1]
    if n <= q + k:
        return None
    rows = np.empty((n, q + k), order="F")
    if centred:
        rows[:, 0] = 1.0
    rows[:, start:q] = X
    if k == 1:
        rows[:, q] = y if y.ndim == 1 else y[:, 0]
    else:
        rows[:, q:] = y
    with np.errstate(over="ignore", invalid="ignore"):  # of what is then none
        found, *_ = lapack.dgeqrf(rows, lwork=32 * (q + k), overwrite_a=True)
        R = found[: q + k] * _upper(q + k)
        T, singular = lapack.dtrtri(R[:q, :q])
        if singular:
            return None
        W = T @ R[:q, q:]
        squares, own = np.einsum("ij,ij->j", R, R), np.einsum("ij,ij->i", T, T)
        sizes = np.sqrt(squares)
        terms = sizes[q:] + sizes[:q] @ np.abs(W)
        if k == 1:
            rest = R[q, q] ** 2
            residual = np.array([[rest]])
            ratio = float(terms[0]) / sqrt(rest) if rest > 0 else np.inf
        else:
            residual = R[q:, q:].T @ R[q:, q:]
            ratio = float((terms / np.sqrt(residual.diagonal())).max())
        kappa = sqrt(max(float(squares[:q] @ own) - q + 2, 1.0))
        kind = (
            EPS * (ratio + kappa) <= WANTED
            and np.minimum.reduce(squares) > TINY
            and np.maximum.reduce(squares) < HUGE
        )
    targets = y.shape[1:]
    return Plain(n, centred, R, W, own, residual, targets) if kind else None


@cache
def _upper(m: int) -> Float:
    """Return ones on and above the diagonal of a square matrix."""
    return np.asfortranarray(np.tri(m).T)
