"""A mixture of probabilistic principal component analysers.

    c ~ Categorical(pi),   z ~ N(0, I_q),   x | z, c ~ N(W_c z + mu_c, sigma_c^2 I_d)

so that p(x) = sum_c pi_c N(x; mu_c, W_c W_c^T + sigma_c^2 I): flat pieces laid along a curved
cloud, or one for each kind of row. Fitted by expectation-maximisation (Tipping & Bishop 1999): with
the responsibilities r_nc = p(c | x_n),

    pi_c = mean of r_nc,   mu_c, W_c, sigma_c^2 = PPCA's closed form from rows weighted by r_nc,

z being integrated out in both steps, which makes each step as large as it can be. The likelihood
never falls. It has several maxima, so that several starts (k-means) are climbed from and the
highest kept; and it has no bound where one component closes in on too few rows, which is refused.
Symbols: pi weights_, mu_c means_, W_c loadings_, sigma_c^2 noise_variances_, falling in weight.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._tables import check_table
from ancestral._validation import (
    FEWER_ROWS,
    as_generator,
    as_numbers,
    check_integer,
    check_number,
    log_sum_exp,
    refuse_non_finite,
    warn,
    within_memory,
)
from ancestral.base import Density, MaximumLikelihood
from ancestral.errors import DataError, ModelError
from ancestral.gaussian import degenerate, patterns, projections
from ancestral.gaussian.patterns import Factors
from ancestral.gaussian.ppca import closed_form
from ancestral.gaussian.projections import Frame
from ancestral.gaussian.selection import checked_n_components
from ancestral.statistics import Moments

COLLAPSED = 1e-9  # sigma_c^2 below this share of the mean variance: the likelihood runs away


class PPCAMixture(MaximumLikelihood, Density):
    """Several PPCA models, each row drawn from one of them, by maximum likelihood.

    Parameters
    ----------
    n_models : int
        How many PPCA models are mixed.
    n_components : int
        Latent dimension q of each, from 0 to n_features - 1.
    n_starts : int
        k-means partitions that EM climbs from; the highest maximum is kept.
    tol : float
        EM stops once a step gains less than this, in nats per row.
    max_iter : int
        EM steps at most from each start, then a warning.
    random_state : None, int, RandomState or Generator
        The starts.

    Attributes
    ----------
    weights_ : ndarray of shape (n_models,)
        Falling.
    means_ : ndarray of shape (n_models, n_features)
    loadings_ : ndarray of shape (n_models, n_features, n_components)
        Each W_c in the rotation and signs of `PPCA`.
    noise_variances_ : ndarray of shape (n_models,)
    log_likelihood_ : float
        Of the training data, in nats.
    history_ : list of dict
        Each step's log_likelihood and increase, which is never negative beyond rounding.
    n_iter_ : int
    n_parameters_ : int
        n_models - 1 weights, and the parameters of each PPCA.

    Notes
    -----
    NaN means missing in `log_density`, `responsibilities` and `given`; `fit` refuses it. A step
    costs n_models times a PPCA fit.

    References
    ----------
    Tipping & Bishop (1999), Mixtures of probabilistic principal component analyzers, Neural
    Computation 11, section 3 and appendix C.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> lines = rng.normal(size=(2, 200, 1)) * [[[1.0, 1.0]], [[1.0, -1.0]]]
    >>> X = np.concatenate(lines) + 0.1 * rng.normal(size=(400, 2))
    >>> PPCAMixture(2, 1, random_state=0).fit(X).weights_.round(1)
    array([0.5, 0.5])
    """

    weights_: NDArray[np.float64]
    means_: NDArray[np.float64]
    loadings_: NDArray[np.float64]
    noise_variances_: NDArray[np.float64]

    def __init__(
        self,
        n_models: int = 2,
        n_components: int = 1,
        *,
        n_starts: int = 5,
        tol: float = 1e-7,
        max_iter: int = 2000,
        random_state: Any = None,
    ) -> None:
        self.n_models = n_models
        self.n_components = n_components
        self.n_starts = n_starts
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    # ---- fit --------------------------------------------------------------------------------

    def _fit(self, X: NDArray) -> None:
        n_models = check_integer(self.n_models, "n_models", minimum=1)
        q = checked_n_components(self.n_components, len(X), X.shape[1])
        tol = check_number(self.tol, "tol", minimum=0.0)
        max_iter = check_integer(self.max_iter, "max_iter", minimum=1)
        if len(X) < n_models * (q + 2):
            raise ModelError(
                f"{n_models} models of {q} components need at least {n_models * (q + 2)} rows; "
                f"got {len(X)}. Pass fewer models or components."
            )
        n_starts = check_integer(self.n_starts, "n_starts", minimum=1)
        starts = _starts(X, n_models, n_starts, as_generator(self.random_state))
        eigenvalues, _ = degenerate.decomposed(Moments.of(X), 1)
        least = COLLAPSED * float(eigenvalues.sum()) / X.shape[1]
        climbed = [_climb(X, start, n_models, q, least, tol, max_iter) for start in starts]
        found = [path for path in climbed if path is not None]
        if not found:
            raise ModelError(
                f"from each of {len(starts)} starts a model closed in on rows that leave it no "
                "noise, where the likelihood has no bound. Pass fewer models or components, or "
                "more rows."
            )
        best = max(found, key=lambda path: path.history[-1])
        if not best.converged:
            warn(f"EM stopped after max_iter={max_iter} steps, still rising. Raise max_iter.")
        self._set(best)

    def _set(self, path: _Path) -> None:
        """Set the fitted attributes, the largest weight first."""
        parts = sorted(path.parts, key=lambda part: -part.weight)
        self.weights_ = np.array([part.weight for part in parts])
        self.means_ = np.array([part.frame.mean for part in parts])
        self.loadings_ = np.array([part.loadings for part in parts])
        self.noise_variances_ = np.array([part.frame.noise for part in parts])
        self.history_ = [
            {"log_likelihood": value, "increase": value - before}
            for before, value in pairwise([np.nan, *path.history])
        ]
        self.log_likelihood_, self.n_iter_ = path.history[-1], len(path.history)

    @property
    def n_parameters_(self) -> int:  # type: ignore[override]
        """Free parameters: each W counts up to rotation, the weights sum to one."""
        k, d, q = self.loadings_.shape
        return k - 1 + k * (d + d * q - q * (q - 1) // 2 + 1)

    # ---- density ----------------------------------------------------------------------------

    def _joint(self, X: NDArray) -> NDArray[np.float64]:
        """Return log p(c, known entries of x) of each row and model, shape (n, n_models)."""
        gaps = np.isnan(X).any(axis=1)
        joint = np.empty((len(X), len(self.weights_)))
        for c, factors in enumerate(self._factors):
            joint[~gaps, c] = projections.log_density(X[~gaps], _frame_of(factors))
            joint[gaps, c] = patterns.log_density(X[gaps], factors)
        return joint + np.log(self.weights_)

    def _log_density(self, X: NDArray) -> NDArray[np.float64]:
        return log_sum_exp(self._joint(X))

    @within_memory(FEWER_ROWS)
    def responsibilities(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return p(c | x) of each row: which model it was drawn from, as far as x tells.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where missing.

        Returns
        -------
        ndarray of shape (n_samples, n_models)
            Rows sum to one.

        Raises
        ------
        DataError
            For a row so far out that its density under every model is 0 in float64.
        """
        self._check_fitted()
        return self._responsibilities(self._check_rows(X, reset=False))

    def _responsibilities(self, X: NDArray) -> NDArray[np.float64]:
        joint = self._joint(X)
        log_p = log_sum_exp(joint)
        lost = np.flatnonzero(np.isneginf(log_p))
        if len(lost):
            raise DataError(
                f"row {lost[0]} is so far from every model that all its densities are 0 in "
                "float64. Look whether its units are those of the fit."
            )
        return np.exp(joint - log_p[:, None])

    @property
    def _factors(self) -> list[Factors]:
        return [
            Factors(mean, W, float(noise))
            for mean, W, noise in zip(self.means_, self.loadings_, self.noise_variances_)
        ]

    # ---- sampling ---------------------------------------------------------------------------

    def _draw(self, n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
        return self._draw_given(n_samples, np.full(self.n_features_in_, np.nan), rng)

    def _draw_given(
        self, n_samples: int, given: NDArray, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Draw c given the known values, then z given both, then the unknown values."""
        row = as_numbers(given, name="given").astype(np.float64)[None]
        refuse_non_finite(row[0], name="given", missing=True)
        counts = rng.multinomial(n_samples, self._responsibilities(row)[0])
        drawn = [
            patterns.draw_unknown(row, count, factors, rng)[:, 0]
            for count, factors in zip(counts, self._factors)
        ]
        return rng.permutation(np.concatenate(drawn))

    # ---- input and state --------------------------------------------------------------------

    def _check_rows(self, X: ArrayLike, *, reset: bool) -> NDArray:
        return check_table(self, X, reset=reset, missing=not reset).astype(np.float64, copy=False)

    def _check_state(self) -> None:
        if self.loadings_.ndim != 3:
            raise ValueError("loadings must have three axes")
        k, d, _ = self.loadings_.shape
        shapes = (self.weights_.shape, self.means_.shape, self.noise_variances_.shape)
        if shapes != ((k,), (k, d), (k,)) or self.n_features_in_ != d:
            raise ValueError("weights, means, loadings and noises do not fit together")
        parts = (self.weights_, self.means_, self.loadings_, self.noise_variances_)
        positive = (self.noise_variances_ > 0).all() and (self.weights_ > 0).all()
        if not all(np.isfinite(part).all() for part in parts) or not positive:
            raise ValueError("parameters must be finite, weights and noises above 0")
        if abs(self.weights_.sum() - 1) > 1e-9:
            raise ValueError("weights must sum to one")


# ---- expectation-maximisation --------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """One PPCA of a mixture while it is fitted."""

    weight: float
    frame: Frame
    loadings: NDArray[np.float64]


@dataclass(frozen=True)
class _Path:
    """Where EM came to from one start, and the log-likelihood after each step."""

    parts: list[_Part]
    history: list[float]
    converged: bool


def _starts(X: NDArray, n_models: int, n_starts: int, rng: np.random.Generator) -> list[NDArray]:
    """Return partitions of the rows by k-means, as labels."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    if n_models == 1:
        return [np.zeros(len(X), np.intp)]
    seeds = rng.integers(2**31, size=n_starts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer rows differ: EM will show it
        return [
            KMeans(n_models, n_init=1, random_state=int(seed)).fit(X).labels_.astype(np.intp)
            for seed in seeds
        ]


def _climb(
    X: NDArray, labels: NDArray, n_models: int, q: int, least: float, tol: float, max_iter: int
) -> _Path | None:
    """Return the maximum that EM reaches from a partition; None where a model collapses."""
    share = np.eye(n_models)[labels]
    history: list[float] = []
    while True:
        parts = [_weighted_part(X, share[:, c], q) for c in range(n_models)]
        kept = [part for part in parts if part is not None and part.frame.noise > least]
        if len(kept) < n_models:
            return None
        joint = np.stack(
            [np.log(part.weight) + projections.log_density(X, part.frame) for part in kept], axis=1
        )
        log_p = log_sum_exp(joint)
        history.append(float(log_p.sum()))
        if len(history) > 1 and history[-1] - history[-2] < tol * len(X):
            return _Path(kept, history, converged=True)
        if len(history) == max_iter:
            return _Path(kept, history, converged=n_models == 1)
        share = np.exp(joint - log_p[:, None])


def _weighted_part(X: NDArray, share: NDArray[np.float64], q: int) -> _Part | None:
    """Return the PPCA of rows weighted by their share, or None where they leave it no noise."""
    if not share.any():
        return None
    moments = Moments.of(X, weights=share)
    eigenvalues, directions = moments.eigen(q)
    if len(directions) < q or not eigenvalues[q:].any():
        return None
    noise, U, W = closed_form(eigenvalues, directions, X.shape[1])
    return _Part(float(share.mean()), Frame(moments.mean, U, eigenvalues[:q], noise), W)


def _frame_of(factors: Factors) -> Frame:
    """Return directions and variances of loadings that are in their canonical rotation."""
    lengths = np.sqrt((factors.loadings**2).sum(axis=0))  # (q,)
    U = np.divide(factors.loadings, lengths, where=lengths > 0, out=np.zeros_like(factors.loadings))
    return Frame(factors.mean, U.T, lengths**2 + factors.noise, factors.noise)
