"""What is asked of a tree over a table: queries in the table's own terms, each of them exact.

Rows and conditions come in any container and by name, answers go out likewise. What is computed,
and how, stands in `queries.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import OneToOneFeatureMixin, TransformerMixin

from ancestral._checks.frames import WIDEST, framed
from ancestral._checks.numbers import (
    DRAWN_BYTES,
    FEWER_DRAWS,
    FEWER_ROWS,
    as_generator,
    check_level,
    check_n_samples,
    within_memory,
)
from ancestral.circuit import queries, search
from ancestral.circuit.columns import Column
from ancestral.circuit.given import condition_of, refuse_impossible, refuse_row
from ancestral.circuit.messages import Mixture
from ancestral.circuit.queries import Condition
from ancestral.conditions import Conditions

Floats = NDArray[np.float64]


class ConditionalMoments(NamedTuple):
    """Mean and covariance of columns of numbers, given a condition.

    Attributes
    ----------
    columns : list
        Their names, or numbers.
    mean : ndarray of shape (q,)
        In the columns' units; dates as days since 1970, durations as days.
    covariance : ndarray of shape (q, q)
    """

    columns: list[Any]
    mean: Floats
    covariance: Floats


class MostProbable(NamedTuple):
    """A completion of what a condition leaves open.

    Attributes
    ----------
    row : ndarray or dataframe of one row
    log_probability : float
        Of its levels and counts given the condition, in nats: at most 0.
    upper_bound : float
        No completion has a larger one. Equal to `log_probability` where the completion is proven to
        be the most probable.
    """

    row: Any
    log_probability: float
    upper_bound: float


class TreeAnswers(OneToOneFeatureMixin, TransformerMixin, Conditions):
    """The queries of a model whose columns and circuits its class tells."""

    @property
    @abstractmethod
    def _mixture(self) -> Mixture: ...

    @property
    @abstractmethod
    def _columns_learnt(self) -> list[Column]: ...

    # ---- densities ----------------------------------------------------------------------------

    def _log_density(self, X: Floats) -> Floats:
        return queries.log_density(self._mixture, X)

    @within_memory(FEWER_ROWS)
    def log_evidence(self, given: Any = None) -> float:
        """Return the log probability of a condition, in nats.

        Parameters
        ----------
        given : mapping, Series, one-row dataframe, or array-like of shape (n_features,), optional
            As `sample` takes it: values, sets of levels, and ranges.

        Returns
        -------
        float
            Nats; 0 without a condition, -inf for an impossible one. For sets and ranges it is the
            log of a probability. A single value of a continuous column contributes its log density,
            per unit of the column, unless the value has a probability of its own (an atom).

        Raises
        ------
        DataError
            For unknown columns, values that a column cannot have, and empty sets and ranges.

        Examples
        --------
        >>> import numpy as np
        >>> from ancestral import LatentTree
        >>> rows = np.repeat([[0, 0], [0, 1], [1, 1]], 40, axis=0)
        >>> model = LatentTree(n_states=2, n_trees=1, random_state=0).fit(rows)
        >>> model.log_evidence({0: {0, 1}})
        0.0
        """
        self._check_fitted()
        condition = condition_of(self, self._columns_learnt, given)
        found = queries.log_evidence(self._mixture, condition)
        sets_alone = np.isnan(condition.row).all()
        return min(found, 0.0) + 0.0 if sets_alone else found

    @within_memory(FEWER_ROWS)
    def surprise(self, X: ArrayLike) -> Any:
        """Return how surprising each cell is given the rest of its row: -log p, in nats.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN (or None) where unknown.

        Returns
        -------
        ndarray or dataframe of floats of shape (n_samples, n_features)
            The log density of the row without the cell, minus the log density of the row. NaN if
            the cell is unknown, or its column was left out of the fit. inf for a value that no
            state allows; such a cell is then ignored for the other cells of its row. In a
            continuous column p is a density, per unit of the column, and the result may be
            negative: compare only cells of the same column.

        Raises
        ------
        ModelError
            For a row whose values are possible one by one, but not together.

        Examples
        --------
        >>> from ancestral import LatentTree
        >>> rng = np.random.default_rng(0)
        >>> size = rng.uniform(40, 90, 200)
        >>> X = np.column_stack([size, 15 * size + rng.normal(0, 30, 200)])
        >>> model = LatentTree(n_states=4, n_trees=1, random_state=0).fit(X)
        >>> usual, odd = model.surprise([[50.0, 750.0], [50.0, 1350.0]])[:, 1]
        >>> bool(odd > usual)  # the rent of a large flat in a small one
        True
        """
        self._check_fitted()
        rows = self._check_rows(X, reset=False)
        with self._each_possible(rows):
            found = queries.surprise(self._mixture, rows)
        whole = np.full((len(rows), self.n_features_in_), np.nan)
        whole[:, [column.place for column in self._columns_learnt]] = found
        return self._framed_numbers(whole, X)

    # ---- draws --------------------------------------------------------------------------------

    @within_memory(FEWER_DRAWS)
    def sample(self, n_samples: int = 1, *, given: Any = None, random_state: Any = None) -> Any:
        """Draw rows ancestrally: first the states along the tree, then each column given its state.

        Parameters
        ----------
        n_samples : int
            0 or more.
        given : mapping, Series, one-row dataframe, or array-like of shape (n_features,), optional
            The known values by name, as in {"age": 40}, or one row with NaN where a value is
            unknown. Instead of a value there may be a set of levels, {"sex": {"female"}}, or a
            range of numbers or dates that includes its ends, {"age": (40, None)}. The draws come
            from the exact distribution given the whole condition, even if it is very improbable. In
            a row, values of columns that the fit left out are ignored.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        ndarray or dataframe of shape (n_samples, n_features)
            If `fit` was given a dataframe of pandas, polars or Arrow: a dataframe of the same
            library, columns, types and levels. Columns that were left out of the fit hold missing
            values.

        Raises
        ------
        ModelError
            For a negative `n_samples`, or a condition of probability 0.
        DataError
            For unknown columns, values that a column cannot have, and empty sets and ranges.
        MissingExtraError
            When the library of that dataframe is not installed.

        Notes
        -----
        Time O(d k^2) for the condition, and O(d k) for each row, with d columns and k states.

        Examples
        --------
        >>> from ancestral import LatentTree
        >>> rng = np.random.default_rng(0)
        >>> X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
        >>> model = LatentTree(n_states=2, n_trees=1, random_state=0).fit(X)
        >>> rows = model.sample(50, given={0: (0.0, None), 1: 1}, random_state=0)
        >>> bool((rows[:, 0] >= 0).all() and (rows[:, 1] == 1).all())
        True
        """
        self._check_fitted()
        n_samples = check_n_samples(n_samples, row_bytes=DRAWN_BYTES * self.n_features_in_)
        rng = as_generator(random_state)
        condition = condition_of(self, self._columns_learnt, given)
        with self._possible(condition):
            rows = queries.drawn(self._mixture, condition, n_samples, rng)
        return self._framed(rows, kept=np.broadcast_to(condition.row, rows.shape))

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Floats:
        nothing = Condition(np.full(len(self._columns_learnt), np.nan))
        return queries.drawn(self._mixture, nothing, n_samples, rng)

    # ---- what is unknown ----------------------------------------------------------------------

    @within_memory(FEWER_ROWS)
    def impute(self, X: ArrayLike) -> Any:
        """Return the rows, with one value in each unknown cell.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN (or None) where unknown.

        Returns
        -------
        ndarray or dataframe of shape (n_samples, n_features)
            Continuous cells get their mean given the known values of the row, counts the whole
            number nearest to it, and levels the most probable one. Each cell is filled by itself;
            for cells of a row together see `impute_draws`. If `fit` was given a dataframe, the
            result is a dataframe; if it and X are of pandas, it has the index of X. Integer columns
            become floats, except counts.

        Raises
        ------
        ModelError
            When the known values of a row have probability 0.

        Examples
        --------
        >>> from ancestral import LatentTree
        >>> rng = np.random.default_rng(0)
        >>> X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
        >>> model = LatentTree(n_states=2, n_trees=1, random_state=0).fit(X)
        >>> bool(np.isnan(model.impute([[np.nan, 1], [0.5, np.nan]])).any())
        False
        """
        self._check_fitted()
        rows = self._check_rows(X, reset=False)
        with self._each_possible(rows):
            return self._framed(queries.imputed(self._mixture, rows), X, rows)

    def transform(self, X: ArrayLike) -> Any:
        """Return `impute(X)`, so that the model can be a step of a scikit-learn pipeline.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN (or None) where unknown.

        Returns
        -------
        ndarray or dataframe of shape (n_samples, n_features)
            What `impute` returns, with the same columns, as a container of the kind that
            scikit-learn's `set_output` sets.

        Raises
        ------
        ModelError
            When the known values of a row have probability 0.

        Examples
        --------
        >>> from ancestral import LatentTree
        >>> rng = np.random.default_rng(0)
        >>> X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
        >>> model = LatentTree(n_states=2, n_trees=1, random_state=0).fit(X)
        >>> bool(np.isnan(model.transform([[np.nan, 1], [0.5, np.nan]])).any())
        False
        """
        return self.impute(X)

    @within_memory(FEWER_DRAWS)
    def impute_draws(self, X: ArrayLike, n_draws: int = 1, *, random_state: Any = None) -> Any:
        """Return independent draws of the unknown cells given the known ones of their row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN (or None) where unknown.
        n_draws : int
            The number of completed tables.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        ndarray of shape (n_draws, n_samples, n_features), or list of n_draws dataframes
            Multiple imputations: every table contains the known values. Dataframes if `fit` was
            given one.

        Raises
        ------
        ModelError
            When the known values of a row have probability 0.

        Examples
        --------
        >>> from ancestral import LatentTree
        >>> rng = np.random.default_rng(0)
        >>> X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
        >>> model = LatentTree(n_states=2, n_trees=1, random_state=0).fit(X)
        >>> model.impute_draws([[np.nan, 1]], 5, random_state=0).shape
        (5, 1, 2)
        """
        self._check_fitted()
        rows, rng = self._check_rows(X, reset=False), as_generator(random_state)
        n_draws = check_n_samples(n_draws, row_bytes=DRAWN_BYTES * rows.size)
        with self._each_possible(rows):
            draws = queries.completed(self._mixture, rows, n_draws, rng)
        tables = [self._framed(table, X, rows) for table in draws]
        if self._frame_in is not None:
            return tables
        shape = n_draws, len(rows), self.n_features_in_
        return np.stack(tables) if tables else np.empty(shape)

    @within_memory(FEWER_ROWS)
    def marginals(self, X: ArrayLike) -> dict[Any, Floats]:
        """Return the distribution of each cell given the known values of its row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN (or None) where unknown.

        Returns
        -------
        dict of ndarray
            One array for each column, by its name, or by its number if `fit` was given no names.
            For levels, of shape (n_samples, n_levels): the probability of each, in the order of
            `columns_`. For numbers and counts, of shape (n_samples, 2): mean and standard
            deviation, in the unit of the column; dates are days since 1970, durations are days.
            Known cells have probability 1, or standard deviation 0. Columns that were left out of
            the fit have no array.

        Raises
        ------
        ModelError
            When the known values of a row have probability 0.

        Examples
        --------
        >>> from ancestral import LatentTree
        >>> rng = np.random.default_rng(0)
        >>> X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
        >>> model = LatentTree(n_states=2, n_trees=1, random_state=0).fit(X)
        >>> bool(np.isclose(model.marginals([[0.5, np.nan]])[1].sum(), 1))  # p(0) + p(1)
        True
        """
        self._check_fitted()
        rows = self._check_rows(X, reset=False)
        with self._each_possible(rows):
            found = queries.marginals(self._mixture, rows)
        columns = self._columns_learnt
        return {column.name: held for column, held in zip(columns, found, strict=True)}

    @within_memory(FEWER_ROWS)
    def intervals(self, X: ArrayLike, level: float = 0.9) -> dict[Any, NDArray]:
        """Return the central interval of each numeric cell given the known values of its row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN (or None) where unknown.
        level : float
            Probability between the two ends, above 0 and below 1.

        Returns
        -------
        dict of ndarray of shape (n_samples, 2)
            For each continuous or count column, by its name: the quantiles (1 - level) / 2 and (1 +
            level) / 2, in the unit of the column. Dates and durations are datetime64 and
            timedelta64. Both ends of a known cell are its value.

        Raises
        ------
        ModelError
            When the known values of a row have probability 0, or for a `level` outside 0 to 1.

        Examples
        --------
        >>> from ancestral import LatentTree
        >>> rng = np.random.default_rng(0)
        >>> X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
        >>> model = LatentTree(n_states=2, n_trees=1, random_state=0).fit(X)
        >>> low, high = model.intervals([[np.nan, 1]], 0.9)[0][0]
        >>> bool(low < 0 < high)
        True
        """
        self._check_fitted()
        level = check_level(level)
        rows = self._check_rows(X, reset=False)
        ends = np.array([(1 - level) / 2, (1 + level) / 2])
        with self._each_possible(rows):
            found = queries.quantiles(self._mixture, rows, ends)
        columns = self._columns_learnt
        return {
            columns[i].name: np.stack([columns[i].decode(end) for end in held.T], axis=1)
            for i, held in found.items()
        }

    @within_memory(FEWER_ROWS)
    def mean_and_covariance(self, given: Any = None) -> ConditionalMoments:
        """Return mean and covariance of the numeric columns given a condition.

        Parameters
        ----------
        given : mapping, Series, one-row dataframe, or array-like of shape (n_features,), optional
            As `sample` takes it: values, sets of levels, and ranges.

        Returns
        -------
        ConditionalMoments
            With `columns`, `mean` and `covariance` of the continuous and count columns, in their
            units.

        Raises
        ------
        ModelError
            For a condition of probability 0.
        DataError
            For unknown columns, values that a column cannot have, and empty sets and ranges.

        Examples
        --------
        >>> from ancestral import LatentTree
        >>> rng = np.random.default_rng(0)
        >>> X = np.column_stack([rng.normal(size=(200, 2)), rng.integers(0, 2, 200)])
        >>> model = LatentTree(n_states=2, n_trees=1, random_state=0).fit(X)
        >>> model.mean_and_covariance({2: 1}).covariance.shape
        (2, 2)
        """
        self._check_fitted()
        columns = self._columns_learnt
        condition = condition_of(self, columns, given)
        numbers = [i for i, column in enumerate(columns) if not column.has_levels]
        with self._possible(condition):
            found = queries.mean_and_covariance(self._mixture, condition, numbers)
        return ConditionalMoments([columns[i].name for i in numbers], *found)

    @within_memory(FEWER_ROWS)
    def most_probable(self, given: Any = None) -> MostProbable:
        """Return the most probable levels and counts given a condition, and an upper bound.

        Parameters
        ----------
        given : mapping, Series, one-row dataframe, or array-like of shape (n_features,), optional
            As `sample` takes it: values, sets of levels, and ranges.

        Returns
        -------
        MostProbable
            With `row`, the completed row: its levels and counts are found together, and continuous
            cells are their means given these; `log_probability` of its levels and counts given the
            condition, in nats; and `upper_bound`, which no completion exceeds, in nats.

        Raises
        ------
        ModelError
            For a condition of probability 0.
        DataError
            For unknown columns, values that a column cannot have, and empty sets and ranges.

        Notes
        -----
        The problem is hard in general, because the hidden states are summed out. A branch-and-bound
        search looks at 300 partial completions at most. If it proves that the completion is the
        best one, the two numbers are equal.

        Examples
        --------
        >>> from ancestral import LatentTree
        >>> rng = np.random.default_rng(0)
        >>> X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
        >>> model = LatentTree(n_states=2, n_trees=1, random_state=0).fit(X)
        >>> found = model.most_probable({0: 0.5})
        >>> bool(found.log_probability <= found.upper_bound)
        True
        """
        self._check_fitted()
        condition = condition_of(self, self._columns_learnt, given)
        with self._possible(condition):
            found = search.most_probable(self._mixture, condition)
        row = self._framed(found.row[None], kept=condition.row[None])
        return MostProbable(row, found.log_probability, found.upper_bound)

    @within_memory(FEWER_ROWS)
    def mutual_information(self) -> list[tuple[Any, Any, float]]:
        """Return the mutual information of the pairs of columns that the first tree joins.

        Returns
        -------
        list of tuple (column, column, float)
            In nats, under the model, the largest first. It is computed by sums over levels, and by
            quadrature over numbers, which is refined until the result changes by less than 1e-6.

        Examples
        --------
        >>> from ancestral import LatentTree
        >>> rng = np.random.default_rng(0)
        >>> X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
        >>> model = LatentTree(n_states=2, n_trees=1, random_state=0).fit(X)
        >>> len(model.mutual_information())  # the one pair
        1
        """
        self._check_fitted()
        mixture, columns = self._mixture, self._columns_learnt
        found = [
            (
                columns[int(parent)].name,
                columns[i].name,
                queries.mutual_information(mixture, int(parent), i),
            )
            for i, parent in enumerate(mixture.circuits[0].parent)
            if parent >= 0
        ]
        return sorted(found, key=lambda edge: -edge[2])

    # ---- errors and frames --------------------------------------------------------------------

    @contextmanager
    def _possible(self, condition: Condition) -> Iterator[None]:
        """Refuse a condition that turns out to be impossible."""
        try:
            yield
        except queries.Impossible:
            columns = self._columns_learnt
            raise refuse_impossible(self._mixture, columns, condition) from None

    @contextmanager
    def _each_possible(self, rows: Floats) -> Iterator[None]:
        """Refuse a row that turns out to be impossible."""
        try:
            yield
        except queries.Impossible as error:
            columns = self._columns_learnt
            raise refuse_row(self._mixture, columns, rows, error.row) from None

    def _framed_numbers(self, values: Floats, like: Any) -> Any:
        """Return numbers of the cells of a table, as a frame of floats where `fit` had one."""
        if self._frame_in is None:
            return values
        kind = {"is": WIDEST[self._frame_in["library"]]}
        form = self._frame_in | {"dtypes": [kind], "of": np.zeros(values.shape[1], np.int64)}
        return framed(form, getattr(self, "feature_names_in_", None), values, like=like)
