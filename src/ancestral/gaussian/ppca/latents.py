"""The latent side of probabilistic PCA: posterior, decoding, and the rest of what a row hides.

    z | x_o ~ N(M_o^-1 W_o^T (x_o - mu_o), sigma^2 M_o^-1),   M_o = W_o^T W_o + sigma^2 I
    x_u | x_o  by decoding that posterior: mean mu_u + W_u E[z], covariance
               W_u Cov[z] W_u^T + sigma^2 I

for the known entries o and the unknown ones u of a row. In the canonical rotation of W, and with
every entry known, M = Lambda_q is diagonal and solving with it is a division.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from ancestral import _arrays
from ancestral._checks.columns import check_row
from ancestral._checks.numbers import (
    FEWER_ROWS,
    as_numbers,
    check_integer,
    check_level,
    refuse_far,
    refuse_non_finite,
    within_memory,
)
from ancestral.base import of_one_state
from ancestral.errors import DataError, ModelError
from ancestral.gaussian.ppca import array_api, missing_patterns, projections
from ancestral.gaussian.ppca.imputation import GaussianConditions
from ancestral.gaussian.ppca.missing_patterns import Factors
from ancestral.gaussian.ppca.projections import Frame

FEWER_COLUMNS = "Fit to fewer columns: a covariance has one entry for each pair of them."


class LatentGaussian(ClassNamePrefixFeaturesOutMixin, TransformerMixin, GaussianConditions):
    """What a model of this kind says of z given x, of x given z, and of unknown entries.

    An author sets `mean_`, `loadings_` (in the canonical rotation), `components_`,
    `eigenvalues_` and `noise_variance_`; and `scale_`, where columns were given units of their own:
    `mean_` and `loadings_` are in the units of X, the others in those of X / scale_.
    """

    mean_: NDArray[np.float64]
    loadings_: NDArray[np.float64]
    components_: NDArray[np.float64]
    eigenvalues_: NDArray[np.float64]
    noise_variance_: float
    scale_: NDArray[np.float64]  # absent unless standardised

    @property
    def n_components_(self) -> int:
        """Number of latent dimensions."""
        return int(self.components_.shape[0])

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    @property
    def _leading(self) -> NDArray[np.float64]:
        """The eigenvalues along the components, shape (n_components,)."""
        return self.eigenvalues_[: self.n_components_]

    @property
    def _scale(self) -> NDArray[np.float64] | None:
        """The scale of the columns, None where they have none of their own."""
        return vars(self).get("scale_")

    @property
    def _factors(self) -> Factors:
        """The parameters, in the units of each column."""
        return factors_of(self.mean_, self.loadings_, self.noise_variance_, self._scale)

    @property
    def _frame(self) -> Frame:
        """The parameters as complete rows meet them."""
        values = self.mean_, self.loadings_, self.noise_variance_, self._scale
        return self._made_of(values, frame_of)

    def _known_row(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return one row as a table, infinity refused, NaN where unknown."""
        row = check_row(self, x, name="x").astype(np.float64)[None]
        refuse_non_finite(row, missing=True, names=vars(self).get("feature_names_in_"))
        return row

    @within_memory(FEWER_COLUMNS)
    @_arrays.on_host
    def get_covariance(self) -> NDArray[np.float64]:
        """Return the model's covariance C = W W^T + sigma^2 I, shape (n_features, n_features).

        With standardize=True the noise part of the diagonal is sigma^2 scale_^2.

        Returns
        -------
        ndarray of shape (n_features, n_features)
            In the squared units of X.

        Examples
        --------
        >>> from ancestral import PPCA
        >>> X = np.random.default_rng(0).normal(size=(500, 3)) * [3.0, 1.0, 1.0]
        >>> model = PPCA(1).fit(X)
        >>> W = model.loadings_
        >>> bool(np.allclose(model.get_covariance(), W @ W.T + model.noise_variance_ * np.eye(3)))
        True
        """
        self._check_fitted()
        W, scale = self.loadings_, 1.0 if self._scale is None else self._scale
        return W @ W.T + np.diag(np.full(len(W), self.noise_variance_) * scale * scale)

    @within_memory(FEWER_COLUMNS)
    @_arrays.on_host
    def get_precision(self) -> NDArray[np.float64]:
        """Return the inverse of the covariance.

        Returns
        -------
        ndarray of shape (n_features, n_features)

        Examples
        --------
        >>> from ancestral import PPCA
        >>> model = PPCA(1).fit(np.random.default_rng(0).normal(size=(500, 3)) * [3.0, 1.0, 1.0])
        >>> bool(np.allclose(model.get_precision() @ model.get_covariance(), np.eye(3)))
        True
        """
        self._check_fitted()
        frame = self._frame
        root = frame.precision_root()
        if frame.scale is not None:
            root /= frame.scale[:, None]
        with np.errstate(over="ignore", invalid="ignore"):
            precision = root @ root.T
        if not np.isfinite(precision).all():
            raise ModelError(
                f"the precision overflows float64: the noise has a variance of {frame.noise:.3g}. "
                "Fit to larger units."
            )
        return precision

    # ---- how far out a row is ---------------------------------------------------------------

    @within_memory(FEWER_ROWS)
    @_arrays.on_host
    def mahalanobis(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the squared Mahalanobis distance of each row from the mean, by its known entries.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where missing.

        Returns
        -------
        ndarray of shape (n_samples,)
            (x - mu)^T C^-1 (x - mu), without unit. With missing entries, x, mu and C are those of
            the known entries. For rows that come from the model it has a chi^2 distribution, with
            as many degrees of freedom as there are known entries. 0 for a row without known
            entries; inf if it is too large for float64.

        Examples
        --------
        >>> from ancestral import PPCA
        >>> model = PPCA(0).fit([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> model.mahalanobis([[0.0, 3.0], [3.0, np.nan]])
        array([9., 9.])
        """
        self._check_fitted()
        rows = self._known_rows(X)
        return missing_patterns.distances(np.asarray(rows, np.float64), self._factors)

    @within_memory(FEWER_ROWS)
    @_arrays.on_host
    def outliers(self, X: ArrayLike, level: float = 0.001) -> NDArray[np.bool_]:
        """Tell which rows are farther from the mean than nearly all rows that the model draws.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where missing.
        level : float
            The share of rows drawn from the model that would be called outliers; above 0 and below
            1.

        Returns
        -------
        ndarray of shape (n_samples,)
            True if `mahalanobis` is above the quantile 1 - level of chi^2, with as many degrees of
            freedom as the row has known entries. False for a row without known entries.

        Raises
        ------
        ModelError
            For a `level` outside 0 to 1.

        Notes
        -----
        `log_density` falls as the distance rises. So these are the rows whose `log_density` is
        below the quantile `level` of draws with the same known entries, but no draws are needed.
        The share is exact for rows that were not in the fit. Outliers among the rows of the fit
        change the model towards themselves, and may not be found: fit again without those that are
        found, and call `outliers` again.

        Examples
        --------
        >>> from ancestral import PPCA
        >>> X = np.random.default_rng(0).normal(size=(500, 3)) @ [[1, 2, 0], [0, 1, 0], [0, 0, 1]]
        >>> X[7] = [-3.0, 3.0, 0.0]
        >>> np.flatnonzero(PPCA(1).fit(X).outliers(X))
        array([7])
        """
        level = check_level(level)
        self._check_fitted()
        rows = np.asarray(self._known_rows(X), np.float64)
        known = (~np.isnan(rows)).sum(axis=1)
        limit = chdtri(np.maximum(known, 1), level)
        return (missing_patterns.distances(rows, self._factors) > limit) & (known > 0)

    # ---- z given x --------------------------------------------------------------------------

    @within_memory(FEWER_ROWS)
    def posterior_mean(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return E[z | x] of each row, given its known entries.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where missing.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            In standard deviations of the prior N(0, I); 0 for a row without known entries.

        Examples
        --------
        >>> from ancestral import PPCA
        >>> model = PPCA(1).fit([[0.0, 0.0], [1.0, 1.1], [2.0, 1.9], [3.0, 3.0]])
        >>> model.posterior_mean([[3.0, 3.0], [3.0, np.nan]]).round(2)
        array([[1.35],
               [1.34]])
        """
        return self._means_of(self._rows_to_transform(X))

    def _rows_to_transform(self, X: ArrayLike) -> Any:
        """Return checked rows."""
        self._check_fitted()
        return self._check_rows(X, reset=False)

    @_arrays.near(array_api.means, "transform")
    def _means_of(self, rows: NDArray) -> NDArray[np.float64]:
        """Return E[z | x] of checked rows."""
        if _arrays.has_gaps(rows, names=vars(self).get("feature_names_in_")):
            return missing_patterns.posterior_of_rows(rows, self._factors)[0]
        means = projections.means(rows, self._frame)
        refuse_far(means, "its latent mean")
        return means

    @within_memory(FEWER_ROWS)
    @_arrays.on_host
    def posterior_covariance(self, X: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return Cov[z | x], which depends only on which entries of a row are known.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), optional
            NaN where missing.

        Returns
        -------
        ndarray of shape (n_components, n_components)
            Without X: for any complete row. It is diagonal.
        ndarray of shape (n_samples, n_components, n_components)
            With X: for each row, given its known entries.

        Examples
        --------
        >>> from ancestral import PPCA
        >>> model = PPCA(1).fit([[0.0, 0.0], [1.0, 1.1], [2.0, 1.9], [3.0, 3.0]])
        >>> known, half = model.posterior_covariance([[3.0, 3.0], [3.0, np.nan]])
        >>> bool(known[0, 0] < half[0, 0])  # with an unknown entry, z is less certain
        True
        """
        self._check_fitted()
        if X is None:
            return np.diag(self.noise_variance_ / self._leading)
        return missing_patterns.covariances_of_rows(self._known_rows(X), self._factors)

    @within_memory(FEWER_ROWS)
    def transform(self, X: ArrayLike) -> NDArray:
        """Return `posterior_mean(X)`; it shrinks towards zero, unlike PCA's projection.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where missing.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            float32 if X is, as for scikit-learn's transformers.

        Examples
        --------
        >>> from ancestral import PPCA, datasets
        >>> PPCA(5).fit(datasets.faces()).transform(datasets.faces()[:2]).shape
        (2, 5)
        """
        rows = self._rows_to_transform(X)
        return _arrays.as_narrow_as(rows, self._means_of(rows))

    # ---- x given z --------------------------------------------------------------------------

    @within_memory(FEWER_ROWS)
    def decode(self, Z: ArrayLike) -> NDArray[np.float64]:
        """Return E[x | z] = W z + mu, without observation noise.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)

        Returns
        -------
        ndarray of shape (n_samples, n_features)

        Examples
        --------
        >>> from ancestral import PPCA, datasets
        >>> model = PPCA(5).fit(datasets.faces())
        >>> bool(np.allclose(model.decode([[0, 0, 0, 0, 0]]), model.mean_))
        True
        """
        self._check_fitted()
        z = _arrays.numbers(Z, name="Z")
        if z.shape[1] != self.n_components_:
            raise DataError(
                f"Z has {z.shape[1]} columns; the model has {self.n_components_} latents."
            )
        return self._decoded(z)

    @_arrays.near(array_api.decoded, "inverse_transform", "Z")
    def _decoded(self, z: NDArray) -> NDArray[np.float64]:
        refuse_non_finite(z, name="Z")
        with np.errstate(over="ignore", invalid="ignore"):
            rows = z @ self.loadings_.T + self.mean_
        refuse_far(rows, "what it decodes to")
        return rows

    @within_memory(FEWER_ROWS)
    def inverse_transform(self, Z: ArrayLike) -> NDArray:
        """Return `decode(Z)`: scikit-learn's name for it.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            float32 if Z is.

        Examples
        --------
        >>> from ancestral import PPCA, datasets
        >>> model = PPCA(5).fit(datasets.faces())
        >>> model.inverse_transform(model.transform(datasets.faces()[:2])).shape
        (2, 576)
        """
        Z = _arrays.numbers(Z, name="Z")
        return _arrays.as_narrow_as(Z, self.decode(Z))

    def reconstruct(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return E[x | z = E[z | x]] = W E[z|x] + mu; not the orthogonal projection.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where missing. All entries are reconstructed, also the missing ones.

        Returns
        -------
        ndarray of shape (n_samples, n_features)

        Examples
        --------
        >>> from ancestral import PPCA, datasets
        >>> faces = datasets.faces()
        >>> coarse, fine = (PPCA(q).fit(faces).reconstruct(faces) for q in (2, 20))
        >>> bool(((fine - faces) ** 2).mean() < ((coarse - faces) ** 2).mean())
        True
        """
        return self.decode(self.posterior_mean(X))

    @within_memory(FEWER_ROWS)
    @_arrays.on_host
    def traverse(self, x: ArrayLike, component: int, offsets: ArrayLike) -> NDArray[np.float64]:
        """Return the rows that x becomes when one latent moves away from its posterior mean.

        Parameters
        ----------
        x : array-like of shape (n_features,)
        component : int
            Which latent, from 0 to n_components - 1.
        offsets : array-like of shape (n_offsets,)
            Added to E[z_component | x], in standard deviations of the prior.

        Returns
        -------
        ndarray of shape (n_offsets, n_features)
            Each row is the reconstruction of x plus the offset times one column of `loadings_`.

        Examples
        --------
        >>> from ancestral import PPCA, datasets
        >>> faces = datasets.faces()
        >>> PPCA(5).fit(faces).traverse(faces[0], 0, [-2, 0, 2]).shape
        (3, 576)
        """
        self._check_fitted()
        if self.n_components_ == 0:
            raise ModelError("n_components=0 has no latent to traverse. Fit with 1 or more.")
        component = check_integer(component, "component", maximum=self.n_components_ - 1)
        offsets = as_numbers(offsets, name="offsets", ndim=1)
        refuse_non_finite(offsets, name="offsets")
        row = self._known_row(x)
        W = self.loadings_
        z, _ = missing_patterns.posterior_of_rows(row, self._factors)
        with np.errstate(over="ignore", invalid="ignore"):
            base = z @ W.T + self.mean_
            moved = base + offsets[:, None] * W[:, component]
        refuse_far(moved, "what the latent moves it to")
        return moved

    # ---- unknown entries given known ones ---------------------------------------------------

    def _means_of_entries(self, rows: NDArray) -> NDArray[np.float64]:
        return missing_patterns.filled(rows, self._factors)

    def _deviations(self, rows: NDArray) -> NDArray[np.float64]:
        return missing_patterns.deviations(rows, self._factors)

    def _draw_unknown(
        self, rows: NDArray, n_draws: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        return missing_patterns.draw_unknown(rows, n_draws, self._factors, rng)

    @within_memory(FEWER_COLUMNS)
    @_arrays.on_host
    def impute_covariance(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return the exact covariance of a row's unknown entries given its known ones.

        Parameters
        ----------
        x : array-like of shape (n_features,)
            NaN where missing.

        Returns
        -------
        ndarray of shape (n_features, n_features)
            Zero in the rows and columns of known entries.

        Examples
        --------
        >>> from ancestral import PPCA
        >>> model = PPCA(1).fit(np.random.default_rng(0).normal(size=(500, 3)) * [3.0, 1.0, 1.0])
        >>> model.impute_covariance([2.0, np.nan, np.nan]).shape
        (3, 3)
        """
        self._check_fitted()
        row = self._known_row(x)[0]
        return missing_patterns.covariance_of_unknown(row, self._factors)


def factors_of(
    mean: NDArray[np.float64],
    loadings: NDArray[np.float64],
    noise: float,
    scale: NDArray[np.float64] | None,
) -> Factors:
    """Return parameters in the units of each column, from loadings in those of X."""
    return Factors(mean, loadings if scale is None else loadings / scale[:, None], noise, scale)


def frame_of(*parameters: Any) -> Frame:
    """Return the same as complete rows meet them."""
    found = factors_of(*parameters)
    return Frame(found.mean, found.loadings, found.noise, found.scale)


# scikit-learn's `set_output` wraps it after the class is made: columns and names are of one state.
LatentGaussian.transform = of_one_state(LatentGaussian.transform)  # type: ignore[method-assign]
