"""A Gaussian with independent columns, the smallest density there is.

    x_j ~ N(mu_j, sigma_j^2),   each column j by itself

Fitted in closed form from Moments: each column's mean and variance, divisor n. With
`same_variance` all columns have one sigma^2, the mean of theirs.
Symbols: mu mean_, sigma^2 variances_.

The package does not have it. It shows what a new model takes: this file, and the row of the
catalogue at its end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral._catalogue import Entry
from ancestral.base import Density, FromStatistics, MaximumLikelihood
from ancestral.errors import UndeterminedError
from ancestral.statistics import Moments


class DiagonalGaussian(MaximumLikelihood, FromStatistics, Density):
    """A Gaussian with independent columns.

    Parameters
    ----------
    same_variance : bool
        Whether all columns have one variance.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
    variances_ : ndarray of shape (n_features,)
        In the squared units of the columns.
    log_likelihood_ : float
        Of the rows of the fit, in nats.

    Examples
    --------
    >>> model = DiagonalGaussian().fit([[0.0, 5.0], [2.0, 9.0]])
    >>> model.mean_, model.variances_
    (array([1., 7.]), array([1., 4.]))
    """

    _fields = ("mean_", "variances_", "log_likelihood_")

    def __init__(self, *, same_variance: bool = False) -> None:
        self.same_variance = same_variance

    # ---- fit --------------------------------------------------------------------------------

    def _statistics(self, X: NDArray) -> Moments:
        return Moments.of(X)

    def _fit(self, X: NDArray) -> None:
        self._solve(self._statistics(X))

    def _solve(self, statistics: Moments) -> None:
        statistics.refuse_overflow()
        variances = statistics.standard_deviations**2
        if self.same_variance:
            variances = np.full(len(variances), variances.mean())
        if not variances.all():
            j = int(np.argmin(variances))
            raise UndeterminedError(
                f"column {j} is {statistics.mean[j]:g} in every row (n_samples={statistics.count}),"
                " and the likelihood is unbounded. Leave it out, or give rows that differ."
            )
        self.mean_, self.variances_ = statistics.mean, variances
        at_maximum = (
            np.log(2 * np.pi) + np.log(variances) + 1
        )  # the mean squared residual is 1 there
        self.log_likelihood_ = float(-0.5 * statistics.count * at_maximum.sum())

    def _is_enough(self, statistics: Moments) -> bool:
        return statistics.count >= 2

    @property
    def n_parameters_(self) -> int:
        """Free parameters: a mean for each column, and its variance."""
        d = len(self.mean_)
        return d + (1 if self.same_variance else d)

    # ---- density and sampling ---------------------------------------------------------------

    def _log_density(self, X: NDArray) -> NDArray[np.float64]:
        with np.errstate(over="ignore"):  # so far away that p is 0
            squares = (X - self.mean_) ** 2 / self.variances_  # (n, d)
        return -0.5 * (np.log(2 * np.pi) + np.log(self.variances_) + squares).sum(axis=1)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
        noise = rng.standard_normal((n_samples, len(self.mean_)))
        return self.mean_ + np.sqrt(self.variances_) * noise

    def _draw_given(
        self, n_samples: int, given: NDArray, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Known columns say nothing of the others: only their own values change."""
        return np.where(np.isnan(given), self._draw(n_samples, rng), given)

    # ---- what a file may hold ---------------------------------------------------------------

    def _check_state(self) -> None:
        shape = (self.n_features_in_,)
        if self.mean_.shape != shape or self.variances_.shape != shape:
            raise ValueError("a mean and a variance for each column are wanted")
        if not np.isfinite(self.mean_).all() or not np.isfinite(self.variances_).all():
            raise ValueError("means and variances must be finite")
        if not (self.variances_ > 0).all():
            raise ValueError("variances must be above 0")


ROW = Entry(
    "DiagonalGaussian",
    "tests.toy",
    "continuous",
    "diagonal",
    "a Gaussian with independent columns of real rows",
    headlines=("log_likelihood_",),
)
