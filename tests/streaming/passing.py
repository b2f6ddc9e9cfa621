"""A model that looks at its data in passes: the EM of two normals, for tests of parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import log_sum_exp
from ancestral.base import Density, FromParts
from ancestral.statistics import Moments
from ancestral.training.parts import Held, Part
from ancestral.training.passes import Fit, FromPasses, Sums, passes_of


@dataclass(frozen=True)
class Shares(Sums):
    """Sums of rows by their share in either normal: of weight, x and x^2."""

    sums: NDArray[np.float64]  # (2, 3, d)


def seen(part: Part) -> Moments:
    return Moments.of(part.data[0])


def rows(part: Part) -> NDArray[np.float64]:
    return part.data[0]


class TwoNormals(FromPasses, FromParts, Density):
    """Two normals with independent columns, by EM."""

    _fields = ("weights_", "means_", "variances_", "n_iter_", "log_likelihood_")

    def __init__(self, max_iter: int = 200, tol: float = 1e-8) -> None:
        self.max_iter, self.tol = max_iter, tol

    def _fit(self, *data: Any, **kept: Any) -> None:
        self._fit_parts(Held.whole(self, data), **kept)

    def _fit_parts(self, parts: Any, **kept: Any) -> None:
        first = self._begin(parts.total(seen))
        with passes_of(self, parts, **kept) as run:
            found = run.climb(
                self, parts.prepared(rows), Fit(first), tol=self.tol, max_iter=self.max_iter
            )
        self.weights_, self.means_, self.variances_ = found.parameters
        self.n_iter_, self.log_likelihood_ = len(found.history), found.history[-1]

    def _begin(self, summary: Moments) -> Any:
        spread = summary.standard_deviations
        means = np.array([summary.mean - spread, summary.mean + spread])
        return np.array([0.4, 0.6]), means, np.array([spread**2, spread**2])

    def _joint(self, X: NDArray, parameters: Any) -> NDArray[np.float64]:
        weights, means, variances = parameters
        squares = (X[:, None] - means) ** 2 / variances + np.log(2 * np.pi * variances)
        return np.log(weights) - 0.5 * squares.sum(axis=2)

    def _statistics(self, X: Any, parameters: Any) -> Shares:
        joint = self._joint(X, parameters)
        log_p = log_sum_exp(joint)
        share = np.exp(joint - log_p[:, None])
        powers = np.stack([np.ones_like(X), X, X**2])
        return Shares(float(log_p.sum()), float(len(X)), np.einsum("nc,pnd->cpd", share, powers))

    def _update(self, parameters: Any, statistics: Shares) -> Any:
        count, first, second = np.swapaxes(statistics.sums, 0, 1)
        means = first / count
        weights = count[:, 0] / statistics.n_observations
        return weights, means, second / count - means**2

    def _log_density(self, X: NDArray) -> NDArray[np.float64]:
        return log_sum_exp(self._joint(X, (self.weights_, self.means_, self.variances_)))

    def _draw(self, n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
        of = rng.random(n_samples) > self.weights_[0]
        return (
            self.means_[of * 1] + rng.normal(size=(n_samples, 1)) * self.variances_[of * 1] ** 0.5
        )
