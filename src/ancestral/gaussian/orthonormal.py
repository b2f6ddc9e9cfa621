"""Columns made orthonormal by what least squares found of them, and the way back.

    Q = [1, X - means] T,   w = T alpha,   b = height at the means - means . w

T is `inverse_root` of a `Solution`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral._numerics import double_double as dd
from ancestral.gaussian.linear.least_squares import Solution, rounded_intercept
from ancestral.gaussian.slopes import in_blocks

Float = NDArray[np.float64]


def orthonormal(X: Float, found: Solution) -> Float:
    """Return orthonormal columns that span the kept features, shape (n, r)."""
    T, start = found.inverse_root, int(found.centred)
    columns = np.empty((len(X), T.shape[1]), order="F")  # a column at a time is fastest

    def fill(block: slice) -> None:
        np.matmul(X[block] - found.means, T[start:], out=columns[block])
        if start:
            columns[block] += T[0]

    in_blocks(fill, len(X), 2 * T.shape[1])
    return columns


def height_at_zero(found: Solution, values: Float, base: Float | float) -> tuple[float, Float]:
    """Return intercept and coefficients, given the height at the means over a base, and slopes."""
    if not found.centred:
        return 0.0, values
    return float((values[:1] + base)[0] - found.means @ values[1:]), values[1:]


def exact_height_at_zero(
    found: Solution, values: Float, base: Float | float
) -> tuple[float, Float]:
    """Return the same, the intercept rounded once."""
    if not found.centred:
        return 0.0, values
    height, slopes = dd.two_sum(values[:1], np.full(1, base)), values[1:]
    intercept, _ = rounded_intercept(height, dd.exact(found.means), slopes[:, None], 1.0)
    return float(intercept[0]), slopes


def back(found: Solution) -> Float:
    """Return the matrix from orthonormal columns' weights to intercept and coefficients."""
    if not found.centred:
        return found.inverse_root
    return np.vstack([found.at_zero, found.inverse_root[1:]])
