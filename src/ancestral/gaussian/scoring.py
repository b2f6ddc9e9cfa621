"""Fisher scoring of a mean and a log variance, side by side.

`heteroscedastic` gives the equations. The columns are orthonormal here, so that the variance's
information is half the identity; steps are halved until the likelihood rises. Rows of target and
of the mean's columns come times the root of the row's precision, so that h is the log variance of
a row of precision 1.
Symbols: Q, S the columns of mean and log variance; alpha, gamma their weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from ancestral._checks.numbers import warn
from ancestral.gaussian.linear.least_squares import EPS

Float = NDArray[np.float64]
LONGEST = 3.0  # most that a log variance changes in one step


class Vanishing(Exception):
    """The variance of a row runs to zero: the likelihood has no bound."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


@dataclass(frozen=True)
class Scoring:
    """Mean Q alpha and log variance S gamma of a target; Q and S have orthonormal columns."""

    Q: Float  # (n, r)
    S: Float  # (n, s)
    y: Float  # (n,)
    log_weights: Float | float = 0.0  # (n,), of the rows' precisions

    def run(
        self, log_variance: float, max_iter: int, tol: float
    ) -> tuple[Float, Float, list[float]]:
        """Return alpha, gamma and the log-likelihoods on the way, from least squares on."""
        alpha = self.Q.T @ self.y
        gamma = log_variance * self.S.sum(axis=0)
        history = [self.log_likelihood(alpha, gamma)]
        for _ in range(max_iter):
            steps, size = self.step(alpha, gamma)
            if size <= tol:
                return alpha, gamma, history
            moved = self.climb(alpha, gamma, steps, history[-1])
            if moved is None:  # no step is seen in float64: this is the top
                return alpha, gamma, history
            alpha, gamma, value = moved
            history.append(value)
            self.refuse_vanishing(gamma)
        warn(
            f"scoring stopped after max_iter={max_iter} steps, {size:.1g} standard errors from "
            "the maximum. Raise max_iter."
        )
        return alpha, gamma, history

    def log_likelihood(self, alpha: Float, gamma: Float) -> float:
        r, h = self.y - self.Q @ alpha, self.S @ gamma
        with np.errstate(over="ignore"):
            h_own = h - self.log_weights
            squares = (r**2 * np.exp(-h)).sum()
            return float(-0.5 * (len(r) * np.log(2 * np.pi) + h_own.sum() + squares))

    def step(self, alpha: Float, gamma: Float) -> tuple[tuple[Float, Float], float]:
        """Return the steps of alpha and gamma, and their size in standard errors."""
        r, precision = self.y - self.Q @ alpha, np.exp(-(self.S @ gamma))
        R = self._information_root(precision)
        whitened = solve_triangular(R, self.Q.T @ (precision * r), trans="T")
        step = solve_triangular(R, whitened)
        variance_step = self.S.T @ (r**2 * precision - 1)  # I_vv is half the identity
        size = np.sqrt(whitened @ whitened + 0.5 * variance_step @ variance_step)
        return (step, variance_step), float(size)

    def climb(
        self, alpha: Float, gamma: Float, steps: tuple[Float, Float], before: float
    ) -> tuple[Float, Float, float] | None:
        """Return where a step or a fraction of it leads, the likelihood higher; None if nowhere."""
        longest = float(np.abs(self.S @ steps[1]).max())
        share = min(1.0, LONGEST / longest) if longest > 0 else 1.0
        for _ in range(50):
            there = alpha + share * steps[0], gamma + share * steps[1]
            value = self.log_likelihood(*there)
            if value > before:
                return *there, value
            share /= 2
        return None

    def refuse_vanishing(self, gamma: Float) -> None:
        """Raise Vanishing where the variance of a row has run to zero."""
        h = self.S @ gamma - self.log_weights
        with np.errstate(divide="ignore"):
            largest = np.max(np.log(np.abs(self.y)) - 0.5 * self.log_weights)
        i = int(np.argmin(h))
        if 0.5 * h[i] <= np.log(16 * EPS) + largest:
            raise Vanishing(i)

    def covariance_root(self, gamma: Float) -> Float:
        """Return M with M M^T the covariance of alpha."""
        R = self._information_root(np.exp(-(self.S @ gamma)))
        return np.asarray(solve_triangular(R, np.eye(len(R))))

    def _information_root(self, precision: Float) -> Float:
        """Return R with R^T R = Q^T diag(precision) Q."""
        return np.asarray(np.linalg.qr(self.Q * np.sqrt(precision)[:, None], mode="r"))
