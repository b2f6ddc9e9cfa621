"""The contract: three faces and a few capabilities.

A *face* is the public side of a model of one kind of data: `Density` (rows of a table),
`ConditionalDensity` (y given X), `GraphDensity` (edges given node features). A *capability* is a
mixin that a model has or has not: `FromStatistics`, `MaximumLikelihood`. The author of a model
writes the few private methods named in each class; the face checks the input once. A fit that
raises, or is interrupted, leaves the model as it was before.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import DensityMixin, RegressorMixin
from sklearn.utils import Tags

from ancestral import _arrays
from ancestral._fingerprint import fingerprint
from ancestral._model import (
    FromStatistics,
    MaximumLikelihood,
    Model,
    NotFittedError,
    unchanged_by_errors,
)
from ancestral._tables import check_table, sequence_as_array
from ancestral._validation import (
    DRAWN_BYTES,
    FEWER_DRAWS,
    FEWER_ROWS,
    as_ancestral_errors,
    as_generator,
    as_numbers,
    check_n_samples,
    check_weights,
    describe_place,
    refuse_non_finite,
    within_memory,
)
from ancestral.errors import DataError, ModelError

__all__ = [
    "ConditionalDensity",
    "Density",
    "FromStatistics",
    "GraphDensity",
    "MaximumLikelihood",
    "Model",
    "NotFittedError",
    "unchanged_by_errors",
]


class Density(DensityMixin, Model):
    """A probability density (or mass) over rows of a table.

    An author writes `_fit(X)`, `_log_density(X)` and `_draw(n_samples, rng)`; a model that can
    condition also writes `_draw_given(n_samples, given, rng)`.
    """

    @within_memory(FEWER_ROWS)
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Fit the model to the rows of X.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self
        """
        with unchanged_by_errors(self):
            self._seen = None
            rows = self._check_rows(X, reset=True)
            self._fit(rows)
            self._data_fingerprint = fingerprint(rows)
        return self

    @within_memory(FEWER_ROWS)
    def log_density(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return log p(x) of each row, in nats.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            Nats; -inf where the row is impossible.

        Raises
        ------
        NotFittedError
            Before `fit`.
        DataError
            For another number of columns, or values the model cannot take.
        """
        self._check_fitted()
        return self._log_density(self._check_rows(X, reset=False))

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return `log_density(X)`: scikit-learn's name for it.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            Nats.
        """
        return self.log_density(X)

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return the mean log density of the rows.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        float
            Nats per row.
        """
        return float(np.mean(_arrays.to_host(self.log_density(X))))

    @within_memory(FEWER_DRAWS)
    def sample(
        self, n_samples: int = 1, *, given: ArrayLike | None = None, random_state: Any = None
    ) -> NDArray:
        """Draw rows ancestrally: parents first, children given their parents.

        Parameters
        ----------
        n_samples : int
            0 or more.
        given : array-like of shape (n_features,), optional
            One row with NaN where unknown: the draws come from the exact conditional
            distribution given its known values, which they repeat.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        ndarray of shape (n_samples, n_features)

        Raises
        ------
        ModelError
            For a negative count, or when the condition cannot be met exactly.
        DataError
            For a `given` of another length or with impossible values.
        """
        self._check_fitted()
        n_samples = check_n_samples(n_samples, row_bytes=DRAWN_BYTES * self.n_features_in_)
        rng = as_generator(random_state)
        if given is None:
            return self._draw(n_samples, rng)
        return self._draw_given(n_samples, self._check_given(given), rng)

    def _check_given(self, given: ArrayLike) -> NDArray:
        """Return one partly known row, NaN where unknown."""
        row = sequence_as_array(given) if isinstance(given, list | tuple) else np.asarray(given)
        if row.shape != (self.n_features_in_,):
            raise DataError(
                f"given must be one row of {self.n_features_in_} values, NaN where unknown; "
                f"got shape {row.shape}."
            )
        return row

    def _check_rows(self, X: ArrayLike, *, reset: bool) -> NDArray:
        """Return checked rows; models of discrete data override how levels are read."""
        return check_table(self, X, reset=reset)

    def _check_chunk(self, X: ArrayLike, y: Any, *, reset: bool) -> tuple[NDArray]:
        """Return one chunk of rows, complete."""
        rows = self._check_rows(X, reset=reset)
        if _arrays.has_gaps(rows):  # only where fit takes NaN as missing
            gaps = np.isnan(_arrays.to_host(rows))
            place = describe_place(tuple(int(i) for i in np.argwhere(gaps)[0]))
            raise DataError(
                f"X holds NaN at {place}: sums of statistics are exact only for complete rows. "
                "Give rows with missing values to fit, all at once."
            )
        return (rows,)

    @abstractmethod
    def _fit(self, X: NDArray) -> None: ...

    @abstractmethod
    def _log_density(self, X: NDArray) -> NDArray[np.float64]: ...

    @abstractmethod
    def _draw(self, n_samples: int, rng: np.random.Generator) -> NDArray: ...

    def _draw_given(self, n_samples: int, given: NDArray, rng: np.random.Generator) -> NDArray:
        raise ModelError(f"{type(self).__name__} cannot draw given known values exactly.")


class ConditionalDensity(RegressorMixin, Model):
    """A probability density of a real y given a row of X.

    An author writes `_fit(X, y)`, `_predict(X)` -> (mean, standard deviation) per row.
    The conditional is normal: y | x ~ N(mean(x), std(x)^2). A model of several targets, whose
    scikit-learn tag says so, also writes `_log_normal` and `_noise`.
    """

    @within_memory(FEWER_ROWS)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit p(y | x) to pairs.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        self
        """
        with unchanged_by_errors(self):
            self._seen = None
            data = self._check_chunk(X, y, reset=True)
            self._fit(*data)
            self._data_fingerprint = fingerprint(*data)
        return self

    @within_memory(FEWER_ROWS)
    def log_density(self, X: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return log p(y | x) of each pair, in nats.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        ndarray of shape (n_samples,)
            Nats.

        Raises
        ------
        ModelError
            When the fitted variance is zero: the density is unbounded.
        """
        rows = self._check_inputs(X)
        y = self._check_target(y, len(rows))
        mean, std = self._predict(rows)
        if y.size != mean.size:
            raise DataError(
                f"the model has targets of shape {mean.shape[1:]} per row; y has {y.shape[1:]}."
            )
        self._refuse_zero_variance()
        return self._log_normal(rows, y.reshape(mean.shape) - mean, std)

    @within_memory(FEWER_ROWS)
    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:  # noqa: FBT001, FBT002 - scikit-learn's spelling
        """Return the mean of y given each row, and its standard deviation on request.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        return_std : bool
            True adds the plug-in standard deviation: the sigma(x) that `log_density` uses,
            without the parameters' own uncertainty.

        Returns
        -------
        mean : ndarray of shape (n_samples,)
        std : ndarray of shape (n_samples,)
            Only with `return_std`; in the units of y.
        """
        mean, std = self._predict(self._check_inputs(X))
        return (mean, std) if return_std else mean

    @within_memory(FEWER_ROWS)
    def sample(self, X: ArrayLike, *, random_state: Any = None) -> NDArray[np.float64]:
        """Draw one y for each row of X.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        random_state : None, int, RandomState or Generator

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        mean, std = self._predict(self._check_inputs(X))
        self._refuse_zero_variance()
        return mean + self._noise(std, as_generator(random_state))

    @within_memory(FEWER_ROWS)
    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R², the share of the variance of y that the mean explains.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
            1 at best; the mean over targets, where there are several.
        """
        from sklearn.metrics import r2_score  # loads much

        rows = self._check_inputs(X)
        y = self._check_target(y, len(rows))
        weights = check_weights(sample_weight, len(rows))
        mean, _ = self._predict(rows)
        with as_ancestral_errors():
            return float(r2_score(y, mean, sample_weight=weights))

    def _log_normal(
        self, X: NDArray[np.float64], residual: NDArray[np.float64], std: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the log density of the residuals at rows of X, in nats."""
        return -0.5 * (np.log(2 * np.pi) + (residual / std) ** 2) - np.log(std)

    def _noise(self, std: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw one residual for each standard deviation."""
        return rng.normal(size=std.shape) * std

    def _check_chunk(
        self, X: ArrayLike, y: ArrayLike, *, reset: bool, finite: bool = True
    ) -> tuple[NDArray[np.float64], ...]:
        """Return checked inputs and targets; a model with weights takes and returns them too.

        `finite=False` leaves NaN and infinity in X to the caller.
        """
        if y is None:
            raise DataError("requires y to be passed, but the target y is None.")
        rows = _plain_floats(check_table(self, X, reset=reset, finite=finite))
        return rows, self._check_target(y, len(rows))

    def _check_inputs(self, X: ArrayLike) -> NDArray[np.float64]:
        self._check_fitted()
        return _plain_floats(check_table(self, X, reset=False))

    def _check_target(self, y: ArrayLike, n_rows: int) -> NDArray[np.float64]:
        """Return y as float64 of shape (n_rows,), or (n_rows, n_targets) for several targets."""
        from sklearn.utils.validation import column_or_1d

        target = as_numbers(y, name="y")
        several = self.__sklearn_tags__().target_tags.multi_output
        wide = target.ndim == 2 and target.shape[1] != 1
        if target.ndim not in (1, 2) or (wide and (target.size == 0 or not several)):
            raise DataError(
                f"y must be one column of shape ({n_rows},), one value per row of X; got shape "
                f"{target.shape}."
            )
        if target.ndim != 2 or not several:
            with as_ancestral_errors():
                target = column_or_1d(target, warn=True)
        if len(target) != n_rows:
            raise DataError(f"X has {n_rows} rows, y has {len(target)}: give one target per row.")
        refuse_non_finite(target, name="y")
        return _plain_floats(target)

    def _refuse_zero_variance(self) -> None:
        """Raise ModelError when the fitted variance is zero."""

    @abstractmethod
    def _fit(self, X: NDArray, y: NDArray) -> None: ...

    @abstractmethod
    def _predict(self, X: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...


def _plain_floats(values: NDArray) -> NDArray[np.float64]:
    """Return values as float64 in C order: products then give the same bits whatever came in."""
    return np.require(values, np.float64, ["C", "ALIGNED"])


class GraphDensity(Model):
    """A probability of the edges of graphs given their node features.

    Its observations are whole graphs of differing size, not rows of a table, so scikit-learn's
    estimator checks (all of which pass a 2-D X) do not apply to it.
    An author writes `fit(graphs)`, `log_density(graphs)`, `sample(n_samples, ...)` and, for means
    over graphs, `_n_pairs_of(graphs)`; `fit` keeps the contract for errors by
    `unchanged_by_errors`.
    """

    @abstractmethod
    def fit(self, graphs: Any, y: Any = None) -> Self:
        """Fit the model to a list of graphs."""

    @abstractmethod
    def log_density(self, graphs: Any) -> NDArray[np.float64]:
        """Return log p(E | X) of each graph, in nats, shape (n_graphs,)."""

    def score(self, graphs: Any, y: Any = None) -> float:
        """Return the mean log density of the graphs.

        Parameters
        ----------
        graphs : list of Graph, or of (features, adjacency) tuples, or one of either
        y : ignored

        Returns
        -------
        float
            Nats per graph that has a pair of nodes: one without says nothing.

        Raises
        ------
        DataError
            When no graph has a pair of nodes.
        """
        values = self.log_density(graphs)
        known = np.array(self._n_pairs_of(graphs)) > 0
        if not known.any():
            raise DataError("there is no pair of nodes: give a graph with two nodes or more.")
        return float(np.mean(values[known]))

    @abstractmethod
    def _n_pairs_of(self, graphs: Any) -> list[int]:
        """Return the number of pairs of nodes of each graph."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        return tags
