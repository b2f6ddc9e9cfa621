"""Densities whose rows may count more than once, or not at all.

A weight says how often a row counts: weight 2 is the row given twice, weight 0 the row left out.
A row of which nothing is known says nothing, and counts for nothing either.
"""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral import _arrays
from ancestral._checks.numbers import FEWER_ROWS, check_weights, within_memory
from ancestral.base import Density, WeightedLikelihood
from ancestral.errors import DataError


class FrequencyDensity(WeightedLikelihood, Density):
    """A density fitted by maximum likelihood to rows whose weights say how often they count.

    The author of a model writes `_fit(X, weights, checkpoint=, every=)`. The weights are None, or
    above 0 in some row. The other options are for `training.passes`.
    """

    def fit(
        self,
        X: ArrayLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 50,
    ) -> Self:
        """Fit the model to the rows of X.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            How often each row counts; 1 when not given. A row of weight 2 counts as two equal rows.
        checkpoint : path-like, optional
            A folder, which is made if it is missing. A fit by EM is saved in it after some of its
            passes over the data. If the process was killed, call `fit` again with the same
            parameters, data and folder: the fit goes on from there, and its result is the same, bit
            for bit. A fit in closed form has nothing to save.
        checkpoint_every : int
            Passes between two checkpoints.

        Returns
        -------
        self

        Raises
        ------
        ModelError
            For a parameter out of bounds, or a checkpoint folder that holds another fit or is in
            use by another process.
        SaveError
            When the checkpoint folder cannot be written. This is checked before the first pass.
        KeyboardInterrupt
            After Ctrl-C. The checkpoint, if there is one, is written first.

        Notes
        -----
        Other threads may read the model during a fit: they see the old model until the new one is
        complete.

        Examples
        --------
        >>> from ancestral import PPCA
        >>> X = [[0.0, 0.1], [1.0, 1.1], [2.0, np.nan], [3.0, 2.9]]
        >>> PPCA(1).fit(X, sample_weight=[2, 1, 1, 2]).n_samples_
        6
        """
        return self._fit_anew(X, sample_weight, checkpoint=checkpoint, every=checkpoint_every)

    def _checked(self, X: ArrayLike, sample_weight: ArrayLike | None) -> tuple[NDArray, ...]:  # type: ignore[override]
        return self._weighed(X, sample_weight, reset=True)

    def _check_part(
        self, X: Any = None, y: Any = None, sample_weight: Any = None, *_: Any, reset: bool
    ) -> tuple[NDArray, ...]:
        return self._weighed(X, sample_weight, reset=reset, may_be_zero=True)

    def _weighed(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None,
        *,
        reset: bool,
        may_be_zero: bool = False,
    ) -> tuple[NDArray, ...]:
        """Return checked rows, and their weights where there are some."""
        rows = self._check_rows(X, reset=reset)
        given = _arrays.to_host(sample_weight)
        weights = check_weights(given, rows.shape[0], may_be_zero=may_be_zero)
        return (rows,) if weights is None else (rows, weights)

    def score(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean log density of the rows that have a known value.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            How often each row counts.

        Returns
        -------
        float
            Nats per row.

        Raises
        ------
        DataError
            When no row that counts has a known value.

        Examples
        --------
        >>> from ancestral import PPCA
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> model = PPCA(1).fit(X)
        >>> bool(np.isclose(model.score(X), model.log_density(X).mean()))
        True
        """
        total, n = self._weighted_log_density(X, y, sample_weight)
        return total / n

    @within_memory(FEWER_ROWS)
    def _weighted_log_density(self, X: Any, y: Any, sample_weight: Any) -> tuple[float, float]:
        """Return log L in nats, and how many rows count: those of which something is known."""
        self._check_fitted()
        rows = self._check_rows(X, reset=False)
        values = _arrays.to_host(self._log_density(rows))
        weights = check_weights(_arrays.to_host(sample_weight), len(values))
        weights = np.ones(len(values)) if weights is None else weights
        empty = np.flatnonzero(np.abs(values) < 1e-9)  # log p of nothing is 0, but for rounding
        if len(empty):
            weights = weights.copy()
            weights[empty[np.isnan(_arrays.to_host(rows)[empty]).all(axis=1)]] = 0.0
        n = float(weights.sum())
        if n == 0:
            raise DataError("nothing is known of any row: there is nothing to score.")
        counted = weights > 0  # a row that does not count may be impossible
        return float(weights[counted] @ values[counted]), n


def number_of_rows(weights: NDArray[np.float64] | float) -> float:
    """Return the sum of weights: an integer where it is whole."""
    total = float(np.sum(weights))
    return int(total) if total.is_integer() else total
