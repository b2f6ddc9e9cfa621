"""The fit of small and kind data: one QR of [1, X, y], as it is.

    [1, X, y] = Q R,   R = [R_A  c; 0  e],   w = R_A^-1 c

What small fits take is the number of calls, so that this makes few. It is what `digits` says of a
QR of the rows, with columns that are not centred: where these are far from zero, nearly collinear,
fitted exactly or out of float64's reach, nothing is returned, and `least_squares` looks closer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from ancestral.gaussian.linear.digits import WANTED
from ancestral.gaussian.linear.least_squares import EPS
from ancestral.gaussian.linear.sums import HUGE, TINY, LineStatistics, inflation
from ancestral.statistics import Moments

Float = NDArray[np.float64]


@dataclass(eq=False)
class Plain:
    """What a plain fit found; q parameters, the intercept first, and one target."""

    count: int
    centred: bool  # has an intercept
    triangle: Float  # (q + 1, q + 1): R
    parameters: Float  # (q,): W
    own: Float  # (q,), squared lengths of the rows of R_A^-1
    squares: float  # of the residuals, summed

    @property
    def statistics(self) -> LineStatistics:
        """The sums that the closer look takes: the first row of R holds the means."""
        R, n = self.triangle, self.count
        if not self.centred:
            return LineStatistics(Moments(n, np.zeros(len(R)), root=R, pinned=True), len(R) - 1, ())
        mean, root = R[0, 1:] / R[0, 0], R[1:, 1:]
        return LineStatistics(Moments(n, mean, root=root, pinned=True), len(R) - 2, ())


def plain(X: Float, y: Float, *, centred: bool) -> Plain | None:
    """Return the plain fit of rows of shapes (n, p) and (n,); None where it is none."""
    (n, p), start = X.shape, int(centred)
    q = start + p
    if n <= q + 1:
        return None
    rows = np.empty((n, q + 1), order="F")
    if centred:
        rows[:, 0] = 1.0
    rows[:, start:q] = X
    rows[:, q] = y
    with np.errstate(over="ignore", invalid="ignore"):  # of what is then none
        found, *_ = lapack.dgeqrf(rows, lwork=32 * (q + 1), overwrite_a=True)
        R = found[: q + 1] * _upper(q + 1)
        T, singular = lapack.dtrtri(R[:q, :q])
        if singular:
            return None
        W = T @ R[:q, q]
        squares, own = np.einsum("ij,ij->j", R, R), np.einsum("ij,ij->i", T, T)
        sizes, rest = np.sqrt(squares), float(R[q, q])
        terms = float(sizes[q] + sizes[:q] @ np.abs(W))
        kappa = inflation(squares[:q], own)
        if (
            terms + kappa * abs(rest) <= WANTED / EPS * abs(rest)
            and np.minimum.reduce(squares) > TINY
            and np.maximum.reduce(squares) < HUGE
        ):
            return Plain(n, centred, R, W, own, rest * rest)
    return None


@cache
def _upper(m: int) -> Float:
    """Return ones on and above the diagonal of a square matrix."""
    return np.asfortranarray(np.tri(m).T)
