"""Data without variance, or with less of it than their numbers can hold: what is said of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral._validation import warn
from ancestral.errors import ModelError
from ancestral.statistics import Moments


def decomposed(statistics: Moments, n_vectors: int | None) -> tuple[NDArray, NDArray]:
    """Return eigenvalues and leading eigenvectors (all for None) of data that vary.

    Raises
    ------
    ModelError
        When every column is constant, or only rounding makes it vary.
    """
    eigenvalues, directions = statistics.eigen(n_vectors)
    rounding = ((np.finfo(np.float64).eps * statistics.mean) ** 2).sum()
    if not eigenvalues.size or eigenvalues[0] <= rounding:
        raise ModelError(_no_variance_message(statistics.mean))
    return eigenvalues, directions


def _no_variance_message(mean: NDArray[np.float64]) -> str:
    """Word the error for constant columns, and for those that only look so after rounding."""
    top = float(np.abs(mean).max(initial=0.0))
    apart = float(np.spacing(np.float32(min(top, 1e38))))
    return (
        "X has no variance: every column is constant, and the likelihood is unbounded. Give rows "
        "that differ. (Differences below 1e-160 vanish when squared: rescale them. "
        f"float32 values near {top:g} stand {apart:g} apart: finer differences need float64.)"
    )


def warn_of_coarse_values(statistics: Moments, dtype: np.dtype) -> None:
    """Warn once when columns vary by less than the distance of neighbouring floats."""
    spread = np.sqrt(statistics.spreads / statistics.total_weight)
    apart = np.spacing(np.abs(statistics.mean).astype(dtype)).astype(np.float64)
    coarse = np.flatnonzero((spread > 0) & (spread < apart))
    if len(coarse):
        j = int(coarse[0])
        warn(
            f"{dtype} values near {statistics.mean[j]:g} stand {apart[j]:g} apart, further than "
            f"column {j} spreads ({spread[j]:g}): most of its variance is rounding, and the rest "
            "is gone. Subtract the mean before storing as float32, or give float64."
        )


def warn_of_constant_columns(statistics: Moments) -> None:
    """Warn once when some columns never vary."""
    constant = np.flatnonzero(statistics.spreads == 0)
    if len(constant):
        shown = ", ".join(str(j) for j in constant[:5]) + (", ..." if len(constant) > 5 else "")
        warn(
            f"{len(constant)} of {statistics.n_features} columns are constant ({shown}); the fit "
            "is right, but they carry no information and lower sigma^2. Consider dropping them."
        )
