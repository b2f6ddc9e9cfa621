"""The face of autoregressive models: what is public of one that can be stepped.

    p(x) = p(x_1) p(x_2 | x_1) ... p(x_d | x_1 ... x_{d-1})

An author writes down one conditional at a time (`ancestral.autoregressive.steps`); sampling,
search, conditioning, particles and coding are written once against that. Values are *levels* there:
integer codes 0..K_i - 1 into `categories_[i]`, learnt in `fit`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.numbers import (
    FEWER_DRAWS,
    FEWER_ROWS,
    as_generator,
    check_integer,
    within_memory,
)
from ancestral.autoregressive import coding, conditioning, marginals, sampling, search, smc
from ancestral.autoregressive.queries import (
    FEWER_PARTICLES,
    DiscreteConditions,
    checked_particles,
    particles_of,
)
from ancestral.autoregressive.steps import Stepped


class Sequential(Stepped, DiscreteConditions):
    """A density over rows of discrete values, with one conditional for each variable in order.

    The author of a model writes `_fit_levels(levels)`, `start`, `step`, `take`, and may write a
    faster `_log_density_levels(levels)`.
    """

    @within_memory(FEWER_ROWS)
    def log_density(
        self,
        X: ArrayLike,
        *,
        method: str = "exact",
        n_particles: int | None = None,
        random_state: Any = None,
    ) -> NDArray[np.float64]:
        """Return log p of each row, in nats; if the row holds NaN, log p of its known values.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN (or None) marks an unknown value. The probability is summed over its possible
            levels.
        method : {"exact", "smc"}
            How the sum over unknown values is found. "exact": values after the last known one sum
            to one. Tables sum along their stored contexts, for any number of unknown values. Other
            models sum over all completions of the unknown values before the last known one; this is
            refused, before any work, if there are more than 2**20 of them. "smc": an estimate by
            sequential Monte Carlo; `log_evidence` gives it with its standard error.
        n_particles : int, optional
            With "smc": the number of particles (partial completions) in each of 16 runs; 512 if
            None.
        random_state : None, int, RandomState or Generator
            With "smc".

        Returns
        -------
        ndarray of shape (n_samples,)
            Nats; -inf where the row is impossible.

        Raises
        ------
        NotFittedError
            Before `fit`.
        DataError
            For a wrong number of columns, or a level not seen in `fit`.
        ModelError
            When there are too many completions to sum over, or an option of "smc" is given with
            "exact".

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> model = TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]])
        >>> np.exp(model.log_density([[1, 1], [1, 0], [np.nan, 1]]))
        array([0.5 , 0.  , 0.75])
        """
        if particles_of(method, n_particles, random_state) is None:
            self._check_fitted()
            return self._log_density(self._check_rows(X, reset=False))
        return self.log_evidence(X, n_particles=n_particles, random_state=random_state)[0]

    @within_memory(FEWER_PARTICLES)
    def log_evidence(
        self, X: ArrayLike, *, n_particles: int | None = None, random_state: Any = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Estimate log p of the known part of each row by sequential Monte Carlo.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN (or None) where unknown.
        n_particles : int, optional
            The number of particles (partial completions) in each of 16 independent runs; 512 if
            None. The cost grows with it.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        log_evidence : ndarray of shape (n_samples,)
            Nats. The estimate of the probability has no bias; its logarithm is too low by about
            half the squared standard error.
        standard_errors : ndarray of shape (n_samples,)
            Standard error of the logarithm, in nats, from the spread of the runs. 0 where the value
            is exact: for tables, for known values at the beginning of the row, and where every
            completion was kept. NaN where no particle can explain the row.

        Notes
        -----
        Particles are guided towards the later known values by a mixture that is fitted to draws of
        the model. The runs trust this mixture to different degrees, and differences between runs
        increase the standard error. The mixture costs 2,560 draws and its fit, once for each call.

        References
        ----------
        Fearnhead & Clifford (2003), JRSS B 65(4). Whiteley & Lee (2014), Annals of Statistics 42.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> model = TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]])
        >>> log_p, error = model.log_evidence([[np.nan, 1]])
        >>> np.exp(log_p), error
        (array([0.75]), array([0.]))
        """
        self._check_fitted()
        levels = self._encode(self._check_rows(X, reset=False), missing=True)
        n, rng = checked_particles(n_particles), as_generator(random_state)
        return smc.log_evidence(self, levels, n, rng)

    def _drawn_given(
        self,
        levels: NDArray[np.intp],
        n_samples: int,
        rng: np.random.Generator,
        n_particles: int | None,
    ) -> NDArray[np.intp]:
        if n_particles is None:
            return conditioning.sample_given(self, levels, n_samples, rng)
        return smc.sample_given(self, levels, n_samples, n_particles, rng)

    def _filled(
        self, levels: NDArray[np.intp], rng: np.random.Generator, n_particles: int | None
    ) -> NDArray[np.intp]:
        if n_particles is None or self._forgets:
            return search.best_completions(self, levels)
        levels = levels.copy()
        for i in range(len(levels)):
            found = smc.best_completion(self, levels[i], n_particles, rng)
            levels[i] = found[0] if len(found) else levels[i]
        return levels

    def _completed(
        self,
        levels: NDArray[np.intp],
        n_draws: int,
        rng: np.random.Generator,
        n_particles: int | None,
    ) -> NDArray[np.intp]:
        if n_particles is None:
            return marginals.draws(self, levels, n_draws, rng)
        return smc.draws(self, levels, n_draws, n_particles, rng)

    def _level_marginals(
        self, levels: NDArray[np.intp], rng: np.random.Generator, n_particles: int | None
    ) -> list[NDArray[np.float64]]:
        if n_particles is None:
            return marginals.marginals(self, levels)
        return smc.marginals(self, levels, n_particles, rng)

    def _log_density(self, X: NDArray) -> NDArray[np.float64]:
        return conditioning.log_known(self, self._encode(X, missing=True))

    @within_memory(FEWER_DRAWS)
    def sample_counts(
        self, n_samples: int, *, random_state: Any = None
    ) -> tuple[Any, NDArray[np.int64]]:
        """Draw rows, and return the distinct rows and how often each was drawn.

        Parameters
        ----------
        n_samples : int
            The number of draws. The cost grows with the number of distinct rows, not with the
            number of draws, so a billion is possible.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        rows : ndarray or dataframe of shape (n_distinct, n_features)
            In lexicographic order. A dataframe if `fit` was given one.
        counts : ndarray of shape (n_distinct,)
            They sum to `n_samples`.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> model = TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]])
        >>> rows, counts = model.sample_counts(10**9, random_state=0)
        >>> rows.tolist(), (counts / counts.sum()).round(3)
        ([[0, 0], [0, 1], [1, 1]], array([0.25, 0.25, 0.5 ]))
        """
        self._check_fitted()
        n_samples = check_integer(n_samples, "n_samples", maximum=2**62)
        rng = as_generator(random_state)
        levels, counts = sampling.sample_level_counts(self, n_samples, rng)
        return self._framed(self._decode(levels)), counts

    @within_memory("Ask for fewer rows: a smaller k.")
    def most_probable(self, k: int = 1) -> tuple[Any, NDArray[np.float64], float]:
        """Return the k most probable rows, and the total probability of all other rows.

        Parameters
        ----------
        k : int
            1 or more.

        Returns
        -------
        rows : ndarray or dataframe of shape (k, n_features)
            The most probable first; fewer than k if fewer rows are possible. A dataframe if `fit`
            was given one.
        log_probabilities : ndarray of shape (k,)
            Nats.
        rest : float
            Total probability of all rows that are not listed.

        Raises
        ------
        ModelError
            When the distribution is too flat to prove that no other row is more probable.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> model = TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]])
        >>> rows, log_probabilities, rest = model.most_probable(1)
        >>> rows, np.exp(log_probabilities), round(rest, 3)
        (array([[1, 1]]), array([0.5]), 0.5)
        """
        self._check_fitted()
        k = check_integer(k, "k", minimum=1)
        levels, log_p, rest = search.most_probable_levels(self, k)
        return self._framed(self._decode(levels)), log_p, rest

    @within_memory(FEWER_ROWS)
    def compress(self, X: ArrayLike) -> bytes:
        """Compress rows to about as many bits as -log2 p of the model.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Complete rows; their order is kept.

        Returns
        -------
        bytes
            24 bytes, and -log2 p(x) bits for each row, to within rounding.

        Raises
        ------
        DataError
            When a row has probability 0 under the model.
        MissingExtraError
            When the package constriction is not installed.

        Notes
        -----
        `decompress` computes the same probabilities again, so it needs the same fitted model (it
        may have been saved and loaded) on a machine that rounds in the same way. Bytes that do not
        decode raise an error.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive, datasets
        >>> images, _ = datasets.icons()
        >>> model = TabularAutoregressive().fit(images)
        >>> len(model.compress(images)), images.size
        (48, 800)
        """
        self._check_fitted()
        return coding.compress_levels(self, self._encode(self._check_rows(X, reset=False)))

    @within_memory(FEWER_ROWS)
    def decompress(self, data: bytes) -> Any:
        """Return the rows from the bytes that `compress` returned.

        Parameters
        ----------
        data : bytes

        Returns
        -------
        ndarray or dataframe of shape (n_samples, n_features)
            A dataframe if `fit` was given one.

        Raises
        ------
        FormatError
            When the bytes are damaged, or were made with another model.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive, datasets
        >>> images, _ = datasets.icons()
        >>> model = TabularAutoregressive().fit(images)
        >>> bool((model.decompress(model.compress(images)) == images).all())
        True
        """
        self._check_fitted()
        return self._framed(self._decode(coding.decompress_levels(self, data)))

    def _draw(self, n_samples: int, rng: np.random.Generator) -> NDArray:
        levels, row_of = sampling.sample_levels(self, n_samples, rng)
        return np.take(self._decode(levels), row_of, axis=0)  # faster than an index in brackets
