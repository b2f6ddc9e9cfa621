"""The face of autoregressive models, and the protocol by which they are stepped.

    p(x) = p(x_1) p(x_2 | x_1) ... p(x_d | x_1 ... x_{d-1})

A model of this family writes down one conditional at a time:

    state = model.start(n)                      # n rows, nothing seen yet
    state, log_p = model.step(state, None)      # log p(x_1 = level), shape (n, K_1)
    state, log_p = model.step(state, x_1)       # log p(x_2 = level | x_1), shape (n, K_2)
    state = model.take(state, index)            # repeat, drop and reorder the n rows

Sampling and conditioning are written once against these three. Values are *levels* here: integer
codes 0..K_i - 1 into `categories_[i]`, learnt in `fit`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._validation import (
    DRAWN_BYTES,
    FEWER_DRAWS,
    FEWER_ROWS,
    as_generator,
    check_integer,
    check_n_samples,
    within_memory,
)
from ancestral.autoregressive import coding, conditioning, sampling, search, smc
from ancestral.autoregressive.levels import MISSING, DiscreteDensity
from ancestral.errors import ModelError

FEWER_PARTICLES = 'Give fewer rows at a time; with method="smc" pass a smaller n_particles.'


class Sequential(DiscreteDensity):
    """A density over rows of discrete values, one conditional per variable in order.

    An author writes `_fit_levels(levels)`, `start`, `step`, `take`, and may write a faster
    `_log_density_levels(levels)`.
    """

    @property
    def _rules_nothing_out(self) -> bool:
        """Whether every row is known to be possible, before any is looked at."""
        return False

    @abstractmethod
    def start(self, n_samples: int) -> Any:
        """Return the state of `n_samples` rows of which nothing is known yet."""

    @abstractmethod
    def step(
        self, state: Any, previous: NDArray[np.intp] | None
    ) -> tuple[Any, NDArray[np.float64]]:
        """Tell each row its latest value and return the next conditional.

        Parameters
        ----------
        state : as returned by `start`, `step` or `take`
        previous : ndarray of shape (n,) of level codes, or None at the first step

        Returns
        -------
        state
        log_probabilities : ndarray of shape (n, n_levels)
            Nats; float64; each row's exponentials sum to one.
        """

    @abstractmethod
    def take(self, state: Any, index: NDArray[np.intp]) -> Any:
        """Return the state of the rows at `index`, repeats allowed."""

    def log_density(
        self,
        X: ArrayLike,
        *,
        method: str = "exact",
        n_particles: int | None = None,
        random_state: Any = None,
    ) -> NDArray[np.float64]:
        """Return log p of each row, in nats; of its known part where it holds NaN.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN (or None) marks an unknown value, which is summed out.
        method : {"exact", "smc"}
            How unknown values are summed out: by enumeration, refused where they leave more than
            2**20 completions, or estimated by sequential Monte Carlo. `log_evidence` gives the
            estimate with its standard error.
        n_particles : int, optional
            With "smc": completions held at once, 4,096 if None.
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
            For another number of columns, or a level not seen in `fit`.
        ModelError
            When enumeration is too large, or an option is given that "exact" has no use for.
        """
        if _is_exact(method, n_particles, random_state):
            return super().log_density(X)
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
            Completions held at once, 4,096 if None; the cost grows with it.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        log_evidence : ndarray of shape (n_samples,)
            Nats. The probability itself is estimated without bias; its logarithm lies low by
            about half the squared standard error.
        standard_errors : ndarray of shape (n_samples,)
            Of the logarithm, from eight independent runs; 0 where every completion was held and
            the value is exact, NaN where no particle explains the row.

        References
        ----------
        Fearnhead & Clifford (2003), JRSS B 65(4).
        """
        self._check_fitted()
        levels = self._encode(self._check_rows(X, reset=False), missing=True)
        n, rng = _checked_particles(n_particles), as_generator(random_state)
        values, errors = np.empty(len(levels)), np.zeros(len(levels))
        whole = (levels != MISSING).all(axis=1)
        values[whole] = self._log_density_levels(levels[whole])
        for i in np.flatnonzero(~whole):
            found = smc.run(self, levels[i], n, rng)
            values[i], errors[i] = found.log_evidence, found.standard_error
        return values, errors

    @within_memory(FEWER_DRAWS)
    def sample(
        self,
        n_samples: int = 1,
        *,
        given: ArrayLike | None = None,
        method: str = "exact",
        n_particles: int | None = None,
        random_state: Any = None,
    ) -> NDArray:
        """Draw rows ancestrally: parents first, children given their parents.

        Parameters
        ----------
        n_samples : int
            0 or more.
        given : array-like of shape (n_features,), optional
            One row with NaN where unknown: the draws come from the distribution given its known
            values, which they repeat, later ones included.
        method : {"exact", "smc"}
            With `given`: "exact" enumerates the completions and is refused where there are more
            than 2**20; "smc" draws from weighted particles, exact as they grow in number.
        n_particles : int, optional
            With "smc": completions held at once, 4,096 if None.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        ndarray of shape (n_samples, n_features)

        Raises
        ------
        ModelError
            For a negative count, a condition of probability 0, an enumeration too large, or
            `method` without `given`.
        DataError
            For a `given` of another length or with impossible values.
        """
        if _is_exact(method, n_particles, None):
            return super().sample(n_samples, given=given, random_state=random_state)
        if given is None:
            raise ModelError(
                'method="smc" is for draws given known values; without given, draws are exact.'
            )
        self._check_fitted()
        n_samples = check_n_samples(n_samples, row_bytes=DRAWN_BYTES * self.n_features_in_)
        row = self._encode(self._check_given(given)[None], missing=True, name="given")[0]
        n, rng = _checked_particles(n_particles), as_generator(random_state)
        return self._decode(smc.sample_given(self, row, n_samples, n, rng))

    @within_memory(FEWER_PARTICLES)
    def impute(
        self,
        X: ArrayLike,
        *,
        method: str = "exact",
        n_particles: int | None = None,
        random_state: Any = None,
    ) -> NDArray:
        """Return the rows with their unknown values filled by the most probable completion.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            NaN (or None) where unknown.
        method : {"exact", "smc"}
            "exact" proves, by search, that no other completion is more probable, and is refused
            where the distribution is too flat for that; "smc" takes the best of its particles.
        n_particles : int, optional
            With "smc": completions held at once, 4,096 if None.
        random_state : None, int, RandomState or Generator
            With "smc".

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The completion as a whole is the most probable, not each value by itself. For draws
            from the conditional use `sample(given=...)`.

        Raises
        ------
        ModelError
            When a row's known values have probability 0, or the search is too large.
        """
        exact = _is_exact(method, n_particles, random_state)
        self._check_fitted()
        levels = self._encode(self._check_rows(X, reset=False), missing=True)
        n, rng = _checked_particles(n_particles), as_generator(random_state)
        for i in np.flatnonzero((levels == MISSING).any(axis=1)):
            if exact:
                found = search.most_probable_levels(self, 1, known=levels[i])[0]
            else:
                particles = smc.run(self, levels[i], n, rng)
                scores = self._log_density_levels(particles.rows)
                found = particles.rows[np.argsort(-scores, kind="stable")[:1]]
            if not len(found):
                raise ModelError(
                    f"the known values of row {i} have probability 0 under this model: "
                    "no completion is possible."
                )
            levels[i] = found[0]
        return self._decode(levels)

    def _log_density(self, X: NDArray) -> NDArray[np.float64]:
        levels = self._encode(X, missing=True)
        partial = (levels == MISSING).any(axis=1)
        if not partial.any():
            return self._log_density_levels(levels)
        result = np.empty(len(levels))
        result[~partial] = self._log_density_levels(levels[~partial])
        result[partial] = conditioning.log_marginals(self, levels[partial])
        return result

    def _log_density_levels(self, levels: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return log p of complete rows by stepping through them."""
        n = len(levels)
        total, rows = np.zeros(n), np.arange(n)
        state, previous = self.start(n), None
        for i in range(self.n_features_in_):
            state, log_p = self.step(state, previous)
            previous = levels[:, i]
            total += log_p[rows, previous]
        return total

    @within_memory(FEWER_DRAWS)
    def sample_counts(
        self, n_samples: int, *, random_state: Any = None
    ) -> tuple[NDArray, NDArray[np.int64]]:
        """Draw rows and return the distinct ones with how often each came.

        Parameters
        ----------
        n_samples : int
            The cost grows with the number of distinct rows, not with this: a billion is fine.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        rows : ndarray of shape (n_distinct, n_features)
            In lexicographic order.
        counts : ndarray of shape (n_distinct,)
            They sum to `n_samples`.
        """
        self._check_fitted()
        n_samples = check_integer(n_samples, "n_samples", maximum=2**62)
        rng = as_generator(random_state)
        levels, counts = sampling.sample_level_counts(self, n_samples, rng)
        return self._decode(levels), counts

    @within_memory("Ask for fewer rows: a smaller k.")
    def most_probable(self, k: int = 1) -> tuple[NDArray, NDArray[np.float64], float]:
        """Return the k most probable rows, and a certificate: the probability of all others.

        Parameters
        ----------
        k : int
            1 or more.

        Returns
        -------
        rows : ndarray of shape (k, n_features)
            Most probable first; fewer than k where fewer are possible.
        log_probabilities : ndarray of shape (k,)
            Nats.
        rest : float
            Probability of everything not listed.

        Raises
        ------
        ModelError
            When the distribution is too flat to prove the list.
        """
        self._check_fitted()
        k = check_integer(k, "k", minimum=1)
        levels, log_p, rest = search.most_probable_levels(self, k)
        return self._decode(levels), log_p, rest

    @within_memory(FEWER_ROWS)
    def compress(self, X: ArrayLike) -> bytes:
        """Return the rows as bytes, as many as the model says they hold.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Complete rows; their order is kept.

        Returns
        -------
        bytes
            24 bytes, and -log2 p(x) bits per row to within rounding.

        Raises
        ------
        DataError
            When a row has probability 0 under the model.
        MissingExtraError
            Without the package constriction.

        Notes
        -----
        `decompress` steps the same model, so both must round alike: the same fitted model, saved
        and loaded perhaps, on the same kind of machine. A file that does not decode says so.
        """
        self._check_fitted()
        return coding.compress_levels(self, self._encode(self._check_rows(X, reset=False)))

    @within_memory(FEWER_ROWS)
    def decompress(self, data: bytes) -> NDArray:
        """Return the rows behind bytes that `compress` gave.

        Parameters
        ----------
        data : bytes

        Returns
        -------
        ndarray of shape (n_samples, n_features)

        Raises
        ------
        FormatError
            When the bytes are damaged or were made with another model.
        """
        self._check_fitted()
        return self._decode(coding.decompress_levels(self, data))

    def _listed(self) -> tuple[NDArray[np.intp], NDArray[np.float64]] | None:
        """Return all possible rows in lexicographic order and their probabilities, where few."""
        return None

    def _draw(self, n_samples: int, rng: np.random.Generator) -> NDArray:
        levels, row_of = sampling.sample_levels(self, n_samples, rng)
        return np.take(self._decode(levels), row_of, axis=0)  # faster than an index in brackets

    def _draw_given(self, n_samples: int, given: NDArray, rng: np.random.Generator) -> NDArray:
        levels = self._encode(given[None], missing=True, name="given")[0]
        return self._decode(conditioning.sample_given(self, levels, n_samples, rng))


def _is_exact(method: Any, n_particles: Any, random_state: Any) -> bool:
    """Tell "exact" from "smc"; refuse other names, and options that "exact" has no use for."""
    if method == "smc":
        return False
    if method != "exact":
        raise ModelError(f'method must be "exact" or "smc"; got {method!r}.')
    for name, value in (("n_particles", n_particles), ("random_state", random_state)):
        if value is not None:
            raise ModelError(f'{name} has no effect with method="exact". Pass method="smc".')
    return True


def _checked_particles(n_particles: Any) -> int:
    if n_particles is None:
        return smc.N_PARTICLES
    return check_integer(n_particles, "n_particles", minimum=2 * smc.N_RUNS)
