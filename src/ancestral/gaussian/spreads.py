"""What standardises inputs and a target: means and lengths of columns, of rows in parts.

    s = m_2 - m_1,   n = n_1 + n_2,
    m = m_1 + (n_2 / n) s,   l^2 = l_1^2 + l_2^2 + (n_1 n_2 / n) s^2

Lengths, not squares, are held and merged: these would overflow or vanish sooner.
Symbols: m `mean`, l `length`, the root of the sum of squares of what is left of a column.
Chan, Golub & LeVeque (1983), Algorithms for computing the sample variance, equation 2.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import DataError
from ancestral.gaussian.linear.least_squares import lengths

Float = NDArray[np.float64]
TINY_WEIGHT = 1e-150  # below, as a mean, or above one over it, weights are to be rescaled


@dataclass(frozen=True)
class Spread:
    """Mean of some columns, or of one, and the length of what is left of it: merged by `+`."""

    n: int
    mean: Float
    length: Float

    @classmethod
    def of(cls, values: Float) -> Spread:
        """Return that of rows."""
        if not len(values):
            return cls(0, *np.zeros((2, *values.shape[1:])))
        mean = values[0] + (values - values[0]).mean(axis=0)
        rest = values - mean
        return cls(len(values), mean, lengths(rest) if rest.ndim > 1 else lengths(rest[:, None])[0])

    def __add__(self, other: Spread) -> Spread:
        if not (self.n and other.n):
            return self if self.n else other
        n, step = self.n + other.n, other.mean - self.mean
        between = step * math.sqrt(self.n * (other.n / n))
        length = np.hypot(np.hypot(self.length, other.length), between)
        return Spread(n, self.mean + step * (other.n / n), length)


@dataclass(frozen=True)
class Spreads:
    """What standardises rows: merged by `+`.

    Parameters
    ----------
    inputs, target : Spread
    weight : float
        Sum of their weights.
    """

    inputs: Spread
    target: Spread
    weight: float

    @classmethod
    def of(cls, X: Float, y: Float, weights: Float | None = None) -> Spreads:
        """Return that of rows."""
        with np.errstate(over="ignore", invalid="ignore"):
            weight = float(len(X)) if weights is None else float(weights.sum())
            return cls(Spread.of(X), Spread.of(y), weight)

    def __add__(self, other: Spreads) -> Spreads:
        with np.errstate(over="ignore", invalid="ignore"):
            return Spreads(
                self.inputs + other.inputs, self.target + other.target, self.weight + other.weight
            )

    @property
    def mean_weight(self) -> float:
        """Mean weight of the rows; DataError where float64 does not hold it well."""
        mean = self.weight / self.inputs.n
        if not TINY_WEIGHT < mean < 1 / TINY_WEIGHT:
            raise DataError(
                f"the mean of sample_weight is {mean:g}: rescale the weights, for example by "
                "dividing by their largest."
            )
        return mean
