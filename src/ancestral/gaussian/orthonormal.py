"""Columns made orthonormal by what least squares found of them, and the way back.

    Q = [1, X - means] T,   w = T alpha,   b = height at the means - means . w

T is `inverse_root` of a `Solution`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral._numerics import double_double as dd
from ancestral._numerics.triangles import solved
from ancestral.gaussian.linear.least_squares import Solution, rounded_intercept
from ancestral.gaussian.linear.sums import over_four_to
from ancestral.gaussian.slopes import Rows, in_blocks
from ancestral.training.parts import Part

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Orthonormal:
    """Orthonormal columns that span the kept features, of the rows that are asked for."""

    X: Float
    found: Solution
    roots: Float | None = None  # (n,), of the weights that rows are to be multiplied by

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.X), self.found.inverse_root.shape[1]

    def __getitem__(self, rows: slice) -> Float:
        return self._into(np.empty((len(self.X[rows]), self.shape[1]), order="F"), rows)

    def held(self) -> Float:
        """Return the columns of all rows, shape (n, r)."""
        columns = np.empty(self.shape, order="F")  # a column at a time is fastest
        in_blocks(lambda block: self._into(columns[block], block), len(columns), 2 * self.shape[1])
        return columns

    def _into(self, room: Float, rows: slice) -> Float:
        T, start = self.found.inverse_root, int(self.found.centred)
        np.matmul(self.X[rows] - self.found.means, T[start:], out=room)
        if start:
            room += T[0]
        if self.roots is not None:
            room *= self.roots[rows, None]
        return room


def rows_of(
    part: Part, mean: Solution, variance: Solution, unit: int, floor: float, *, held: bool
) -> Rows:
    """Return a part in orthonormal columns, weights over 4^unit: held, or formed at each look."""
    X, y, *rest = part.data
    target = y - mean.target_means
    log_weights: Float | float = 0.0
    roots = None
    if rest:
        weights = over_four_to(unit, rest[0])
        roots, log_weights = np.sqrt(weights), np.log(weights)
        target *= roots
    S = Orthonormal(X, variance)
    columns = [S] if mean is variance else [S, Orthonormal(X, mean, roots)]
    formed = [one.held() if held else one for one in columns]
    where = (0, part.number) if part.start is None else (part.start, -1)
    return Rows(formed[-1], formed[0], target, log_weights, floor, *where)


def of_least_squares(found: Solution) -> Float:
    """Return alpha of the line that was found, over the target's mean."""
    slopes = solved(found.T, found.coef[found.kept, 0])
    return np.concatenate([[0.0], slopes]) if found.centred else slopes


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
