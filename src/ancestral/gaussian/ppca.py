"""Probabilistic PCA.

    z ~ N(0, I_q),   x | z ~ N(W z + mu, sigma^2 I_d)

Fitted in closed form from Moments (Tipping & Bishop 1999, eq. 7-8): with S the covariance
(divisor n), U its eigenvectors and Lambda its eigenvalues, both falling,

    mu = the mean,   sigma^2 = mean of the d - q smallest eigenvalues,
    W = U_q (Lambda_q - sigma^2 I)^(1/2).

Then x ~ N(mu, C) with C = W W^T + sigma^2 I, whose leading eigenpairs are those of S; and
z | x ~ N(M^-1 W^T (x - mu), sigma^2 M^-1) with M = W^T W + sigma^2 I. In this rotation of W,
M = Lambda_q is diagonal, and solving with it is a division.
Symbols: W loadings_, mu mean_, sigma^2 noise_variance_, U_q^T components_.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from ancestral._validation import (
    as_numbers,
    check_integer,
    check_table,
    one_sample_message,
    refuse_non_finite,
)
from ancestral.base import Density, FromStatistics, MaximumLikelihood
from ancestral.errors import AncestralWarning, DataError, ModelError
from ancestral.statistics import Moments

ROWS_AT_A_TIME = 8192


class PPCA(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, MaximumLikelihood, FromStatistics, Density
):
    """Probabilistic principal component analysis, by maximum likelihood in closed form.

    Parameters
    ----------
    n_components : int
        Latent dimension q, from 0 (an isotropic Gaussian) to n_features - 1, and below the rank
        of the centred data: otherwise sigma^2 would be 0 and the likelihood unbounded.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
    loadings_ : ndarray of shape (n_features, n_components)
        W: columns by falling eigenvalue, each with its largest entry positive.
    components_ : ndarray of shape (n_components, n_features)
        The orthonormal directions, as in scikit-learn's PCA.
    noise_variance_ : float
        sigma^2, divisor n and mean over d - q: the maximum of the likelihood, unlike PCA's.
    eigenvalues_ : ndarray of shape (n_features,)
        Of the covariance with divisor n, falling.
    explained_variance_, explained_variance_ratio_ : ndarray of shape (n_components,)
    n_parameters_ : int
        d + d q - q (q - 1) / 2 + 1.

    Notes
    -----
    `transform` returns the posterior mean of z, which shrinks towards zero, not the orthogonal
    projection. The fit costs n d^2 + d^3, or n^2 d where rows are fewer than columns; log
    densities cost n d q, through the eigenvectors (Woodbury's identity).

    References
    ----------
    Tipping & Bishop (1999), Probabilistic principal component analysis, JRSS B 61, eq. 4-8.
    Bishop (2006), Pattern Recognition and Machine Learning, section 12.2.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(500, 3)) * [3.0, 1.0, 1.0]
    >>> model = PPCA(n_components=1).fit(X)
    >>> bool(abs(model.noise_variance_ - 1.0) < 0.2)
    True
    """

    def __init__(self, n_components: int = 1) -> None:
        self.n_components = n_components

    # ---- fit --------------------------------------------------------------------------------

    def _statistics(self, X: NDArray) -> Moments:  # type: ignore[override]
        return Moments.of(X)

    def _fit(self, X: NDArray) -> None:
        statistics = self._statistics(X)
        _warn_of_coarse_values(statistics, X.dtype)
        self._solve(statistics)

    def _solve(self, statistics: Moments) -> None:
        n, d = statistics.count, statistics.n_features
        q = self._checked_n_components(n, d)
        eigenvalues, directions = statistics.eigen()
        rounding = np.finfo(np.float64).eps * max(n, d)
        if not eigenvalues.size or eigenvalues[0] <= _rounding_variance(statistics.mean):
            raise ModelError(_no_variance_message(statistics.mean))
        rank = int((eigenvalues > rounding * eigenvalues[0]).sum())
        if q >= rank and rank < d:
            raise ModelError(
                f"n_components={q} leaves sigma^2 = 0 and the likelihood unbounded: the centred "
                f"data have rank {rank}. Pass n_components={rank - 1} or fewer."
            )
        _warn_of_constant_columns(statistics)
        noise = float(eigenvalues[q:].sum() / (d - q))
        leading, U = eigenvalues[:q], directions[:q].copy()
        U *= _signs(U)[:, None]
        self.mean_ = statistics.mean.copy()
        self.noise_variance_ = noise
        self.components_ = U
        self.loadings_ = (U * np.sqrt(np.maximum(leading - noise, 0.0))[:, None]).T
        self.eigenvalues_ = np.concatenate([eigenvalues, np.zeros(d - len(eigenvalues))])
        self.n_samples_ = n

    def _checked_n_components(self, n: int, d: int) -> int:
        """Return q, checked against the shape of the data."""
        q = check_integer(self.n_components, "n_components")
        if q >= d:
            mend = f"Pass n_components={d - 1} or fewer." if d > 1 else "Give two columns or more."
            raise ModelError(
                "n_components must be below the number of features; "
                f"got {q} with {d} feature(s). {mend}"
            )
        if n < q + 2:
            raise ModelError(
                one_sample_message(n, q + 2, f"n_components={q} needs two more rows than that")
            )
        return q

    def _is_enough(self, statistics: Moments) -> bool:
        q = self.n_components
        return not isinstance(q, int) or statistics.count >= q + 2

    # ---- what it is -------------------------------------------------------------------------

    @property
    def n_components_(self) -> int:
        """Number of latent dimensions, q."""
        return len(self.components_)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    @property
    def n_parameters_(self) -> int:  # type: ignore[override]
        """Free parameters: W counts up to rotation."""
        q, d = self.components_.shape
        return d + d * q - q * (q - 1) // 2 + 1

    @property
    def explained_variance_(self) -> NDArray[np.float64]:
        """Leading eigenvalues of the covariance (divisor n), shape (n_components,)."""
        return self.eigenvalues_[: self.n_components_]

    @property
    def explained_variance_ratio_(self) -> NDArray[np.float64]:
        """Share of the total variance along each component, shape (n_components,)."""
        return self.explained_variance_ / self.eigenvalues_.sum()

    def get_covariance(self) -> NDArray[np.float64]:
        """Return the model's covariance C = W W^T + sigma^2 I, shape (n_features, n_features)."""
        self._check_fitted()
        d = len(self.mean_)
        return self.loadings_ @ self.loadings_.T + self.noise_variance_ * np.eye(d)

    # ---- density ----------------------------------------------------------------------------

    def _log_density(self, X: NDArray) -> NDArray[np.float64]:
        d, q = self.loadings_.shape
        noise, variances = self.noise_variance_, self.explained_variance_
        # log|C| and the quadratic form split over U_q and its complement (Woodbury).
        log_determinant = np.log(variances).sum() + (d - q) * np.log(noise)
        weights = 1 / noise - 1 / variances  # (q,)
        result = np.empty(len(X))
        for rows in _blocks(len(X)):
            centred = X[rows].astype(np.float64) - self.mean_
            along = centred @ self.components_.T  # (n, q)
            square = np.einsum("ij,ij->i", centred, centred) / noise - along**2 @ weights
            result[rows] = -0.5 * (d * np.log(2 * np.pi) + log_determinant + square)
        return result

    # ---- latent variables -------------------------------------------------------------------

    def posterior_mean(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return E[z | x] of each row: M^-1 W^T (x - mu).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            In prior standard deviations.
        """
        self._check_fitted()
        X = self._check_rows(X, reset=False)
        projected = (X.astype(np.float64, copy=False) - self.mean_) @ self.loadings_
        return projected / self.explained_variance_  # M is diagonal in this rotation

    def posterior_covariance(self) -> NDArray[np.float64]:
        """Return Cov[z | x] = sigma^2 M^-1, the same for every x.

        Returns
        -------
        ndarray of shape (n_components, n_components)
        """
        self._check_fitted()
        return np.diag(self.noise_variance_ / self.explained_variance_)

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return `posterior_mean(X)`; it shrinks towards zero, unlike PCA's projection.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
        """
        return self.posterior_mean(X)

    def decode(self, Z: ArrayLike) -> NDArray[np.float64]:
        """Return E[x | z] = W z + mu, without observation noise.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        self._check_fitted()
        Z = as_numbers(Z, name="Z", ndim=2)
        if Z.shape[1] != self.n_components_:
            raise DataError(
                f"Z has {Z.shape[1]} columns; the model has {self.n_components_} latents."
            )
        refuse_non_finite(Z, name="Z")
        return Z @ self.loadings_.T + self.mean_

    def inverse_transform(self, Z: ArrayLike) -> NDArray[np.float64]:
        """Return `decode(Z)`: scikit-learn's name for it.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        return self.decode(Z)

    def reconstruct(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return E[x | z = E[z | x]] = W E[z|x] + mu; not the orthogonal projection.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        return self.decode(self.posterior_mean(X))

    def traverse(self, x: ArrayLike, component: int, offsets: ArrayLike) -> NDArray[np.float64]:
        """Return what x becomes as one latent moves from its posterior mean.

        Parameters
        ----------
        x : array-like of shape (n_features,)
        component : int
            Which latent, from 0 to n_components - 1.
        offsets : array-like of shape (n_offsets,)
            Added to E[z_component | x], in prior standard deviations.

        Returns
        -------
        ndarray of shape (n_offsets, n_features)
            Affine in the offset: each row is the reconstruction plus offset times a loading.
        """
        self._check_fitted()
        if self.n_components_ == 0:
            raise ModelError("n_components=0 has no latent to traverse. Fit with 1 or more.")
        component = check_integer(component, "component", maximum=self.n_components_ - 1)
        offsets = as_numbers(offsets, name="offsets", ndim=1)
        refuse_non_finite(offsets, name="offsets")
        x = as_numbers(x, name="x")
        base = self.reconstruct(x.reshape(1, -1))
        return base + offsets[:, None] * self.loadings_[:, component]

    # ---- sampling ---------------------------------------------------------------------------

    def _draw(self, n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
        d, q = self.loadings_.shape
        z = rng.standard_normal((n_samples, q))
        noise = rng.standard_normal((n_samples, d))
        return z @ self.loadings_.T + self.mean_ + np.sqrt(self.noise_variance_) * noise

    def _draw_given(
        self, n_samples: int, given: NDArray, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Draw z from its posterior given the known values, then the unknown ones given z."""
        given = as_numbers(given, name="given").astype(np.float64)
        refuse_non_finite(given, name="given", missing=True)
        known = ~np.isnan(given)
        W, noise = self.loadings_[known], self.noise_variance_
        M = W.T @ W + noise * np.eye(self.n_components_)
        mean = np.linalg.solve(M, W.T @ (given[known] - self.mean_[known]))
        # L L^T = M, so L^-T e has covariance M^-1.
        L = np.linalg.cholesky(M)
        e = rng.standard_normal((self.n_components_, n_samples))
        z = mean + np.sqrt(noise) * np.linalg.solve(L.T, e).T
        rows = np.tile(given, (n_samples, 1))
        free = rng.standard_normal((n_samples, int((~known).sum())))
        rows[:, ~known] = z @ self.loadings_[~known].T + self.mean_[~known] + np.sqrt(noise) * free
        return rows

    # ---- input ------------------------------------------------------------------------------

    def _check_rows(self, X: ArrayLike, *, reset: bool) -> NDArray:
        return check_table(self, X, reset=reset)

    def _check_state(self) -> None:
        q, d = self.components_.shape
        shapes = self.mean_.shape == (d,) and self.loadings_.shape == (d, q)
        parts: tuple[Any, ...] = (self.mean_, self.loadings_, self.eigenvalues_, self.components_)
        if not shapes or self.n_features_in_ != d or self.eigenvalues_.shape != (d,):
            raise ValueError("mean, loadings and eigenvalues do not fit together")
        positive = 0 < self.noise_variance_ < np.inf
        if not all(np.isfinite(part).all() for part in parts) or not positive:
            raise ValueError("parameters must be finite and the noise variance above 0")


def _signs(U: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return +-1 per row so that its entry largest in size comes out positive."""
    if not U.size:
        return np.ones(len(U))
    largest = np.abs(U).argmax(axis=1)
    return np.where(U[np.arange(len(U)), largest] < 0, -1.0, 1.0)


def _blocks(n: int) -> list[slice]:
    """Return slices of at most ROWS_AT_A_TIME rows."""
    return [slice(i, i + ROWS_AT_A_TIME) for i in range(0, n, ROWS_AT_A_TIME)]


def _rounding_variance(mean: NDArray[np.float64]) -> float:
    """Return the variance that rounding alone gives to constant columns of these means."""
    return float(((np.finfo(np.float64).eps * mean) ** 2).sum())


def _no_variance_message(mean: NDArray[np.float64]) -> str:
    """Word the error for constant columns, and for those that only look so after rounding."""
    top = float(np.abs(mean).max(initial=0.0))
    apart = float(np.spacing(np.float32(min(top, 1e38))))
    return (
        "X has no variance: every column is constant, and the likelihood is unbounded. Give rows "
        "that differ. (Differences below 1e-160 vanish when squared: rescale them. "
        f"float32 values near {top:g} stand {apart:g} apart: finer differences need float64.)"
    )


def _column_spread(statistics: Moments) -> NDArray[np.float64]:
    """Return the sum of squares of each centred column, shape (d,)."""
    if statistics.root is not None:
        return np.asarray(np.einsum("ij,ij->j", statistics.root, statistics.root))
    return np.diag(statistics.as_scatter())


def _warn_of_coarse_values(statistics: Moments, dtype: np.dtype) -> None:
    """Warn once when columns vary by less than the distance of neighbouring floats."""
    spread = np.sqrt(_column_spread(statistics) / statistics.total_weight)
    apart = np.spacing(np.abs(statistics.mean).astype(dtype)).astype(np.float64)
    coarse = np.flatnonzero((spread > 0) & (spread < apart))
    if len(coarse):
        j = int(coarse[0])
        warnings.warn(
            f"{dtype} values near {statistics.mean[j]:g} stand {apart[j]:g} apart, further than "
            f"column {j} spreads ({spread[j]:g}): most of its variance is rounding, and the rest "
            "is gone. Subtract the mean before storing as float32, or give float64.",
            AncestralWarning,
            stacklevel=4,
        )


def _warn_of_constant_columns(statistics: Moments) -> None:
    """Warn once when some columns never vary."""
    spread = _column_spread(statistics)
    constant = np.flatnonzero(spread == 0)
    if len(constant):
        shown = ", ".join(str(j) for j in constant[:5]) + (", ..." if len(constant) > 5 else "")
        warnings.warn(
            f"{len(constant)} of {len(spread)} columns are constant ({shown}); the fit is right, "
            "but they carry no information and lower sigma^2. Consider dropping them.",
            AncestralWarning,
            stacklevel=5,
        )
