"""Standard errors of a line that hold when the noise variance differs between rows.

Robust covariances of the coefficients are G M G^T with G the root of (A^T A)^-1 and M a sum over
orthonormal rows q_i, leverages h_i = |q_i|^2, p coefficients:

    HC0 sum (r_i q_i)(r_i q_i)^T      HC1 the same times n / (n - p)
    HC2 r_i / sqrt(1 - h_i) for r_i   HC3 r_i / (1 - h_i) for r_i
    cluster: sums of r_i q_i over each of g groups for r_i q_i,
             the whole times g / (g - 1) (n - 1) / (n - p)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ancestral._checks.containers import opened
from ancestral._checks.missing import missing_mask
from ancestral._checks.numbers import check_level
from ancestral.errors import DataError, ModelError
from ancestral.gaussian.linear.least_squares import lengths

Float = NDArray[np.float64]
COV_TYPES = ("nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster")


class Robust:
    """What rows of a fit say of the covariance of its coefficients, whatever their variances.

    Parameters
    ----------
    whitened : ndarray of shape (n, r)
        Q = A T, whose rows' squared lengths are the leverages.
    residual : ndarray of shape (n, k)
    cov_type : str
    home : ndarray of shape (n,), optional
        The number of each row's group.
    free : int
        n - p.
    """

    def __init__(
        self,
        whitened: Float,
        residual: Float,
        cov_type: str,
        home: NDArray[np.intp] | None,
        free: int,
    ) -> None:
        n = len(whitened)
        if cov_type in ("HC1", "cluster") and free < 1:
            t_quantile(0.5, free)  # which says why
        self.cov_type, self.free = cov_type, free
        factor = 1.0
        if cov_type in ("HC2", "HC3"):
            slack = 1 - (whitened**2).sum(axis=1)
            lone = np.flatnonzero(slack <= 1e-10)
            if len(lone):
                raise ModelError(
                    f"row {lone[0]} has leverage 1: a coefficient exists for it alone, so its "
                    f"residual is always 0 and {cov_type} is not defined. Drop the row or its "
                    'column, or pass cov_type="HC1".'
                )
            residual = residual / (slack if cov_type == "HC3" else np.sqrt(slack))[:, None]
        elif cov_type == "HC1":
            factor = n / free
        elif home is not None:
            n_groups = int(home.max()) + 1
            if n_groups < 2:
                raise ModelError(
                    "groups holds one group: two or more are needed to show how they differ."
                )
            factor, self.free = n_groups / (n_groups - 1) * (n - 1) / free, n_groups - 1
        self.root_factor = math.sqrt(factor)
        self.whitened, self.residual, self.home = whitened, residual, home

    def spread(self, j: int) -> tuple[Float, float]:
        """Return S and c, with c^2 S^T S the covariance over that of sigma = 1, for target j."""
        r = self.residual[:, j]
        largest = float(np.abs(r).max()) or 1.0  # squares neither over- nor underflow
        scores = self.whitened * (r / largest)[:, None]
        if self.home is not None:
            rows = scores
            scores = np.zeros((int(self.home.max()) + 1, rows.shape[1]))
            np.add.at(scores, self.home, rows)
        return scores, largest * self.root_factor

    def errors(self, model: Any) -> Float:
        """Return standard errors, shape (p,) or (n_targets, p)."""
        root = model._coefficient_root
        size = lengths(root.T)
        unit = root / np.where(size > 0, size, 1.0)[:, None]
        found = np.empty((self.residual.shape[1], len(root)))
        for j in range(len(found)):
            scores, largest = self.spread(j)
            square = np.einsum("pi,ij,pj->p", unit, scores.T @ scores, unit)
            found[j] = np.sqrt(square) * size * largest
        found[:, np.isnan(np.atleast_2d(model.standard_errors_)[0])] = np.nan
        return found if np.ndim(model.noise_variance_) else found[0]


def homes_of(groups: Any, n_rows: int, sample_weight: Any) -> NDArray[np.intp]:
    """Return the number of each row's group, rows of weight 0 left out."""
    values = opened(groups, "groups").values
    if isinstance(values, list) and len(values) == 1:
        values = values[0]
    if isinstance(values, np.ndarray) and values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)
    n = n_rows if weights is None else len(weights)
    if not isinstance(values, np.ndarray) or values.shape != (n,):
        seen = np.shape(values)
        raise DataError(f"groups must have one entry for each of the {n} rows; got shape {seen}.")
    gaps = missing_mask(values)
    if gaps.any():
        raise DataError(
            f"groups is missing at row {int(np.argmax(gaps))}: give each row a group, or leave "
            "the row out of the fit."
        )
    found: dict[Any, int] = {}
    try:
        home = [found.setdefault(value, len(found)) for value in values.tolist()]
    except TypeError:
        raise DataError("groups must be integers, text or dates, one per row.") from None
    kept = np.array(home, np.intp)
    return kept if weights is None else np.unique(kept[weights > 0], return_inverse=True)[1]


def t_quantile(level: float, degrees_of_freedom: int) -> float:
    """Return the half width, in standard errors, of an interval of this probability."""
    level = check_level(level)
    if degrees_of_freedom < 1:
        raise ModelError(
            "there are as many coefficients as rows, or more: no degrees of freedom are left to "
            "judge the noise by. Add rows or drop columns."
        )
    return float(stats.t.isf((1 - level) / 2, degrees_of_freedom))
