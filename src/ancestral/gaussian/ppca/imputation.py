"""What a row hides, given what is known of it: for one PPCA and for a mixture of several.

An author writes the mean and the standard deviation of each entry given the known ones of its row,
and draws of the unknown ones; the filled rows, the completed tables and the marginals are then
the same for both.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral import _arrays
from ancestral._checks.numbers import (
    FEWER_DRAWS,
    FEWER_ROWS,
    as_generator,
    check_n_samples,
    refuse_non_finite,
    within_memory,
)
from ancestral.conditions import Conditions
from ancestral.gaussian.ppca.frequencies import FrequencyDensity


class GaussianConditions(Conditions, FrequencyDensity):
    """A density of real rows that gives mean, standard deviation and draws of unknown entries.

    The author of a model writes `_means_of_entries(rows)`, `_deviations(rows)` and
    `_draw_unknown(rows, n_draws, rng)`. Their rows have NaN where unknown.
    """

    @abstractmethod
    def _means_of_entries(self, rows: NDArray) -> NDArray[np.float64]:
        """Return the mean of each entry given the known ones of its row; known ones stay."""

    @abstractmethod
    def _deviations(self, rows: NDArray) -> NDArray[np.float64]:
        """Return the standard deviation of each entry given the known ones; 0 where known."""

    @abstractmethod
    def _draw_unknown(
        self, rows: NDArray, n_draws: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return completed tables, (n_draws, n, d)."""

    def _known_rows(self, X: ArrayLike) -> NDArray:
        """Return checked rows, infinity refused, NaN where unknown."""
        rows = self._check_rows(X, reset=False)
        refuse_non_finite(rows, missing=True, names=vars(self).get("feature_names_in_"))
        return rows

    @within_memory(FEWER_ROWS)
    @_arrays.on_host
    def impute(self, X: ArrayLike, *, return_std: bool = False) -> Any:
        """Return the rows, with each NaN replaced by its exact conditional mean.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN where missing.
        return_std : bool
            True adds the standard deviation of each entry given the known ones of its row.

        Returns
        -------
        rows : ndarray or dataframe of shape (n_samples, n_features)
            Known entries stay as they are. If `fit` was given a dataframe, the result is a
            dataframe; if it and X are of pandas, it has the index of X.
        std : ndarray or dataframe of shape (n_samples, n_features)
            Only with `return_std`; 0 for known entries. The uncertainty of the parameters is not
            included.

        Examples
        --------
        >>> from ancestral import PPCA
        >>> z = np.random.default_rng(0).normal(size=(99, 1))
        >>> X = z @ [[1.0, -1.0, 2.0]] + 0.01 * np.random.default_rng(1).normal(size=(99, 3))
        >>> X[4, 0] = np.nan
        >>> bool(abs(PPCA(1).fit(X).impute(X)[4, 0] - z[4, 0]) < 0.05)
        True
        """
        self._check_fitted()
        rows = self._known_rows(X)
        mean = self._framed(self._means_of_entries(rows), X, rows)
        return (mean, self._framed(self._deviations(rows), X)) if return_std else mean

    @within_memory(FEWER_DRAWS)
    @_arrays.on_host
    def impute_draws(self, X: ArrayLike, n_draws: int = 1, *, random_state: Any = None) -> Any:
        """Return independent draws of the unknown entries given the known ones of their row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN where missing.
        n_draws : int
            The number of completed tables.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        ndarray of shape (n_draws, n_samples, n_features), or list of n_draws dataframes
            Multiple imputations: every table contains the known values. Dataframes if `fit` was
            given one.

        Examples
        --------
        >>> from ancestral import PPCA
        >>> model = PPCA(1).fit(np.random.default_rng(0).normal(size=(500, 3)))
        >>> model.impute_draws([[2.0, np.nan, 1.0]], 4, random_state=0).shape
        (4, 1, 3)
        """
        self._check_fitted()
        rows = self._known_rows(X)
        n_draws = check_n_samples(n_draws, row_bytes=8 * rows.size)
        draws = self._draw_unknown(rows, n_draws, as_generator(random_state))
        return self._tables(draws, X, rows)

    @within_memory(FEWER_ROWS)
    @_arrays.on_host
    def marginals(self, X: ArrayLike) -> dict[Any, NDArray[np.float64]]:
        """Return mean and standard deviation of each entry given the known ones of its row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN where missing.

        Returns
        -------
        dict of ndarray of shape (n_samples, 2)
            One array for each column, by its name, or by its number if `fit` was given no names.
            Each row is (mean, standard deviation), in the units of X. For a known entry it is
            (value, 0). The uncertainty of the parameters is not included.

        Examples
        --------
        >>> from ancestral import PPCA
        >>> X = np.random.default_rng(0).normal(size=(99, 1)) @ [[1.0, 2.0]]
        >>> model = PPCA(1).fit(X + 0.1 * np.random.default_rng(1).normal(size=X.shape))
        >>> model.marginals([[1.0, np.nan]])[1].round(1)
        array([[2. , 0.2]])
        """
        self._check_fitted()
        rows = self._known_rows(X)
        means, deviations = self._means_of_entries(rows), self._deviations(rows)
        columns = np.stack([means, deviations], axis=2).astype(np.float64)
        return self._by_column([np.ascontiguousarray(columns[:, j]) for j in range(rows.shape[1])])
