"""Data without variance, or with less of it than their numbers can hold: what is said of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import warn
from ancestral.errors import UndeterminedError

EPS = float(np.finfo(np.float64).eps)
EPS_SINGLE = float(np.finfo(np.float32).eps)
SQUARED_AWAY = 1e-140  # below such a mean, differences may be so small that squaring loses them
LEAST_VARIANCE = float(np.finfo(np.float64).tiny) / EPS  # what is EPS of it is still normal
SCALES_APART = 1e3  # largest over smallest standard deviation of a column
ONE_SCALE = 1e6  # largest variance over those that are decomposed with its rounding


def refuse_no_variance(
    mean: NDArray[np.float64], spread: NDArray[np.float64], *, single: bool, names: Any = None
) -> None:
    """Refuse data in which no column varies but by rounding, or by what squaring loses.

    `spread` holds the standard deviation of each column.
    """
    if not (spread > np.maximum(EPS * np.abs(mean), LEAST_VARIANCE**0.5)).any():
        raise UndeterminedError(_no_variance_message(mean, names, single=single))


def _no_variance_message(mean: NDArray[np.float64], names: Any, *, single: bool) -> str:
    """Word the error for constant columns, and for those that only look so after rounding."""
    j = int(np.abs(mean).argmax()) if mean.size else 0
    top = float(mean[j]) if mean.size else 0.0
    lost = ""
    if abs(top) < SQUARED_AWAY:
        lost = " (Differences below 1e-146 vanish when squared: rescale them.)"
    elif single:
        apart = float(np.spacing(np.float32(abs(top))))
        lost = (
            f" (float32 values near {top:g} stand {apart:g} apart: finer differences need float64.)"
        )
    return (
        f"X has no variance: every column is constant (column {_called(j, names)} is {top:g}), and "
        f"the likelihood is unbounded. Give rows that differ.{lost}"
    )


def warn_of_odd_columns(
    mean: NDArray[np.float64], spread: NDArray[np.float64], *, single: bool, names: Any
) -> None:
    """Warn once when columns vary by less than the distance of neighbouring floats, or never.

    `spread` holds the standard deviation of each column, `names` their names, or None.
    """
    dtype = np.dtype(np.float32 if single else np.float64)
    most = max(float(mean.max()), -float(mean.min()))
    if spread.min() > 2 * (EPS_SINGLE if single else EPS) * most:
        return
    with np.errstate(over="ignore"):  # of float64 rows beside float32 ones
        apart = np.spacing(np.abs(mean).astype(dtype)).astype(np.float64)
    coarse = np.flatnonzero((spread > 0) & (spread < apart))
    constant = np.flatnonzero(spread == 0)
    if len(coarse):
        j = int(coarse[0])
        warn(
            f"{dtype} values near {mean[j]:g} stand {apart[j]:g} apart, further than "
            f"column {_called(j, names)} spreads ({spread[j]:g}): most of its variance is "
            "rounding, and the rest is gone. Subtract the mean before storing as float32, or give "
            "float64."
        )
    elif len(constant):
        shown = ", ".join(_called(j, names) for j in constant[:5]) + (
            ", ..." if len(constant) > 5 else ""
        )
        warn(
            f"{len(constant)} of {len(mean)} columns are constant ({shown}); the fit "
            "is right, but they carry no information and lower sigma^2. Consider dropping them."
        )


def _called(j: int, names: Any) -> str:
    """Return what a warning calls column j: its name, or its number where there are no names."""
    return str(j) if names is None else repr(names[j])


def warn_of_scales(spread: NDArray[np.float64], names: Any) -> None:
    """Warn when columns are scaled so far apart that one variance of noise cannot fit them all."""
    if spread.max() <= SCALES_APART * spread.min():
        return
    varying = np.flatnonzero(spread > 0)
    wide, narrow = (int(varying[f(spread[varying])]) for f in (np.argmax, np.argmin))
    far, near = spread[wide], spread[narrow]
    if far > SCALES_APART * near:
        warn(
            f"column {_called(wide, names)} spreads {far / near:.2g} times as far as column "
            f"{_called(narrow, names)} ({far:g} and {near:g}): the model has one variance of "
            "noise for all columns, which follows the columns with the largest spread. Pass "
            "standardize=True if their units differ."
        )


def warn_of_equal_eigenvalues(eigenvalues: NDArray[np.float64], q: int, n: float) -> None:
    """Warn when the last axis kept and the first left out differ by no more than rounding."""
    if q == 0:
        return
    # The rounding of a decomposition: that of the largest, but in mixed scales of each its own.
    rounding = EPS * (len(eigenvalues) + n**0.5)
    slack = rounding * min(eigenvalues[0], ONE_SCALE * eigenvalues[q - 1])
    if eigenvalues[q - 1] - eigenvalues[q] > slack:
        return
    least = eigenvalues[q]
    below, above = (eigenvalues > least + slack).sum(), (eigenvalues >= least - slack).sum()
    other = f" or {above}" if above < len(eigenvalues) and eigenvalues[above] > 0 else ""
    warn(
        f"eigenvalues {q - 1} and {q} are equal ({least:g}): the likelihood and sigma^2 are right, "
        f"but any axes that span the same variance would do. Pass n_components={below}{other} for "
        "axes that are unique."
    )
