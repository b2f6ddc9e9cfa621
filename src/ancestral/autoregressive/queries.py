"""What is asked of a discrete density about the unknown values of rows, given the known ones.

Draws given a condition, the most probable completion, independent completions and marginals: each
exactly, or refused before work where that is too much; or, asked for by method="smc", by sequential
Monte Carlo. The face checks rows and options and gives rows back as they came; how a query is
answered on level codes is each model's own.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.numbers import (
    DRAWN_BYTES,
    FEWER_DRAWS,
    as_generator,
    check_integer,
    check_n_samples,
    within_memory,
)
from ancestral.autoregressive import marginals, smc
from ancestral.autoregressive.codes import MISSING
from ancestral.autoregressive.levels import DiscreteDensity
from ancestral.conditions import Conditions
from ancestral.errors import ModelError

FEWER_PARTICLES = 'Give fewer rows at a time; with method="smc" pass a smaller n_particles.'

Levels = NDArray[np.intp]


class DiscreteConditions(DiscreteDensity, Conditions):
    """A discrete density that answers questions given known values.

    The author of a model writes the four queries at the end, on codes of levels. They are exact if
    `n_particles` is None, and otherwise use this many particles.
    """

    @within_memory(FEWER_DRAWS)
    def sample(
        self,
        n_samples: int = 1,
        *,
        given: Any = None,
        method: str = "exact",
        n_particles: int | None = None,
        random_state: Any = None,
    ) -> Any:
        """Draw rows ancestrally: parents first, children given their parents.

        Parameters
        ----------
        n_samples : int
            0 or more.
        given : array-like of shape (n_features,), mapping, Series or one-row dataframe, optional
            One row with NaN where a value is unknown, or the known values by name, as in {"sky":
            "rain"}. The draws come from the distribution given all these values, also those of
            later columns, and each draw contains them.
        method : {"exact", "smc"}
            How draws with `given` are made. "exact" sums over the completions of the unknown values
            before the last known one. It is refused, before any work, if there are more than 2**20
            of them; tables do not have this limit. "smc" (sequential Monte Carlo) draws from
            weighted particles. Its draws approach the exact distribution as the number of particles
            grows.
        n_particles : int, optional
            With "smc": the number of particles (partial completions) in each of 16 runs; 512 if
            None.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        ndarray or dataframe of shape (n_samples, n_features)
            If `fit` was given a dataframe of pandas, polars or Arrow: a dataframe of the same
            library, columns, types and levels.

        Raises
        ------
        ModelError
            For a negative `n_samples`, a condition of probability 0, too many completions to sum
            over, or `method` without `given`.
        DataError
            For a `given` of the wrong length, with unknown names or with unknown levels.
        MissingExtraError
            When the library of that dataframe is not installed.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> model = TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]])
        >>> model.sample(3, given=[1, np.nan], random_state=0)
        array([[1, 1],
               [1, 1],
               [1, 1]])
        """
        n_particles = particles_of(method, n_particles, None)
        if given is None and n_particles is not None:
            raise ModelError(
                'method="smc" is for draws given known values; without given, draws are exact.'
            )
        self._check_fitted()
        n_samples = check_n_samples(n_samples, row_bytes=DRAWN_BYTES * self.n_features_in_)
        rng = as_generator(random_state)
        if given is None:
            return self._framed(self._draw(n_samples, rng))
        levels = self._drawn_given(self._encode_given(given), n_samples, rng, n_particles)
        return self._framed(self._decode(levels))

    @within_memory(FEWER_PARTICLES)
    def impute(
        self,
        X: ArrayLike,
        *,
        method: str = "exact",
        n_particles: int | None = None,
        random_state: Any = None,
    ) -> Any:
        """Return the rows with their unknown values filled by the most probable completion.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN (or None) where unknown.
        method : {"exact", "smc"}
            "exact" proves by a search that no other completion is more probable. It is refused if
            the distribution is too flat for this proof; tables do not have this limit. "smc"
            (sequential Monte Carlo) takes the best of its particles.
        n_particles : int, optional
            With "smc": the number of particles (partial completions) in each of 16 runs; 512 if
            None.
        random_state : None, int, RandomState or Generator
            With "smc".

        Returns
        -------
        ndarray or dataframe of shape (n_samples, n_features)
            The completion of each row is the most probable one as a whole. The most probable level
            of one value by itself is the largest of `marginals`. For draws from the conditional
            distribution use `impute_draws`. If `fit` was given a dataframe, the result is a
            dataframe; if it and X are of pandas, it has the index of X.

        Raises
        ------
        ModelError
            When the known values of a row have probability 0, or the search is too large.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> model = TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]])
        >>> model.impute([[np.nan, 1], [0, 0]])
        array([[1, 1],
               [0, 0]])
        """
        n_particles = particles_of(method, n_particles, random_state)
        levels, rng = self._levels_of(X), as_generator(random_state)
        gaps = np.flatnonzero((levels == MISSING).any(axis=1))
        if len(gaps):  # else the codes may be X itself
            levels[gaps] = self._filled(levels[gaps], rng, n_particles)
        if (empty := np.flatnonzero((levels == MISSING).any(axis=1))).size:
            raise marginals.impossible(int(empty[0]))
        return self._framed(self._decode(levels), X)

    @within_memory(FEWER_DRAWS)
    def impute_draws(
        self,
        X: ArrayLike,
        n_draws: int = 1,
        *,
        method: str = "exact",
        n_particles: int | None = None,
        random_state: Any = None,
    ) -> Any:
        """Return independent draws of the unknown values given the known ones of their row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN (or None) where unknown.
        n_draws : int
            The number of completed tables.
        method, n_particles
            As in `sample` with `given`.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        ndarray of shape (n_draws, n_samples, n_features), or list of n_draws dataframes
            Multiple imputations: every table contains the known values. Dataframes if `fit` was
            given one.

        Raises
        ------
        ModelError
            When the known values of a row have probability 0, or there are too many completions to
            sum over.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> model = TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]])
        >>> draws = model.impute_draws([[np.nan, 1]], 900, random_state=0)
        >>> draws.shape, bool(abs(draws[:, 0, 0].mean() - 2 / 3) < 0.1)  # p(x1 = 1 | x2 = 1) = 2/3
        ((900, 1, 2), True)
        """
        n_particles = particles_of(method, n_particles, None)
        levels, rng = self._levels_of(X), as_generator(random_state)
        n_draws = check_n_samples(n_draws, row_bytes=DRAWN_BYTES * levels.size)
        draws = self._completed(levels, n_draws, rng, n_particles)
        tables = self._decode(draws.reshape(-1, levels.shape[1])).reshape(draws.shape)
        return self._tables(tables, X)

    @within_memory(FEWER_PARTICLES)
    def marginals(
        self,
        X: ArrayLike,
        *,
        method: str = "exact",
        n_particles: int | None = None,
        random_state: Any = None,
    ) -> dict[Any, NDArray[np.float64]]:
        """Return the probabilities of each value's levels given the known values of its row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN (or None) where unknown.
        method : {"exact", "smc"}
            "exact" sums over all completions. It is refused, before any work, if a row has more
            than 2**20 of them; tables do not have this limit. "smc" (sequential Monte Carlo) sums
            over weighted particles.
        n_particles : int, optional
            With "smc": the number of particles (partial completions) in each of 16 runs; 512 if
            None.
        random_state : None, int, RandomState or Generator
            With "smc".

        Returns
        -------
        dict of ndarray of shape (n_samples, n_levels)
            One array for each column, by its name, or by its number if `fit` was given no names.
            Levels are in the order of `categories_`. A known value has probability 1. Each
            probability is of one value by itself; for unknown values of one row together, see
            `impute_draws`.

        Raises
        ------
        ModelError
            When the known values of a row have probability 0, or there are too many completions to
            sum over.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> model = TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]])
        >>> model.marginals([[np.nan, 1], [0, 0]])[0]
        array([[0.33333333, 0.66666667],
               [1.        , 0.        ]])
        """
        n_particles = particles_of(method, n_particles, random_state)
        levels, rng = self._levels_of(X), as_generator(random_state)
        return self._by_column(self._level_marginals(levels, rng, n_particles))

    def _levels_of(self, X: ArrayLike) -> Levels:
        """Return the level codes of partly known rows, of a fitted model."""
        self._check_fitted()
        return self._encode(self._check_rows(X, reset=False), missing=True)

    # ---- what an author writes ----------------------------------------------------------------

    @abstractmethod
    def _drawn_given(
        self, levels: Levels, n_samples: int, rng: np.random.Generator, n_particles: int | None
    ) -> Levels:
        """Return draws given one partly known row, of shape (n_samples, d)."""

    @abstractmethod
    def _filled(self, levels: Levels, rng: np.random.Generator, n_particles: int | None) -> Levels:
        """Return rows, filled by the most probable completion; the impossible ones as they are."""

    @abstractmethod
    def _completed(
        self, levels: Levels, n_draws: int, rng: np.random.Generator, n_particles: int | None
    ) -> Levels:
        """Return completed rows, of shape (n_draws, n, d)."""

    @abstractmethod
    def _level_marginals(
        self, levels: Levels, rng: np.random.Generator, n_particles: int | None
    ) -> list[NDArray[np.float64]]:
        """Return p(level | known values of the row), the i-th of shape (n, K_i)."""


def particles_of(method: Any, n_particles: Any, random_state: Any) -> int | None:
    """Return how many particles "smc" holds, None for "exact", which has no use for options."""
    if method == "smc":
        return checked_particles(n_particles)
    if method != "exact":
        raise ModelError(f'method must be "exact" or "smc"; got {method!r}.')
    for name, value in (("n_particles", n_particles), ("random_state", random_state)):
        if value is not None:
            raise ModelError(f'{name} has no effect with method="exact". Pass method="smc".')
    return None


def checked_particles(n_particles: Any) -> int:
    """Return a number of particles, the usual one for None."""
    if n_particles is None:
        return smc.N_PARTICLES
    return check_integer(n_particles, "n_particles", minimum=smc.LEAST_PARTICLES)
