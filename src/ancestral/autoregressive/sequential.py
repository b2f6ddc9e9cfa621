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
from ancestral.autoregressive.steps import Stepped
from ancestral.errors import ModelError

FEWER_PARTICLES = 'Give fewer rows at a time; with method="smc" pass a smaller n_particles.'


class Sequential(Stepped, DiscreteDensity):
    """A density over rows of discrete values, one conditional per variable in order.

    An author writes `_fit_levels(levels)`, `start`, `step`, `take`, and may write a faster
    `_log_density_levels(levels)`.
    """

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
            How unknown values are summed out. "exact": those after the last known value sum to
            one, tables are walked along their stored contexts, however many values are unknown,
            and other models by enumeration, refused beforehand where the unknown values before
            the last known one leave more than 2**20 completions. "smc": estimated by sequential
            Monte Carlo. `log_evidence` gives the estimate with its standard error.
        n_particles : int, optional
            With "smc": completions held at once by each of 16 runs, 512 if None.
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
            Completions held at once by each of 16 independent runs, 512 if None; the cost grows
            with it.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        log_evidence : ndarray of shape (n_samples,)
            Nats. The probability itself is estimated without bias; its logarithm lies low by
            about half the squared standard error.
        standard_errors : ndarray of shape (n_samples,)
            Of the logarithm, from the runs; 0 where the value is exact, as it always is for
            tables, for evidence on a beginning of the row, and where every completion was held;
            NaN where no particle explains the row.

        Notes
        -----
        Particles look ahead to the later known values by a mixture fitted to draws of the model,
        each run by another degree of trust in it: where they differ, the standard error says so.
        The mixture costs 2,560 draws and its fit, once for each call.

        References
        ----------
        Fearnhead & Clifford (2003), JRSS B 65(4). Whiteley & Lee (2014), Annals of Statistics 42.
        """
        self._check_fitted()
        levels = self._encode(self._check_rows(X, reset=False), missing=True)
        n, rng = _checked_particles(n_particles), as_generator(random_state)
        return smc.log_evidence(self, levels, n, rng)

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
            With `given`: "exact" is refused, beforehand, where the unknown values before the last
            known one leave more than 2**20 completions (tables never are); "smc" draws from
            weighted particles, exact as they grow in number.
        n_particles : int, optional
            With "smc": completions held at once by each of 16 runs, 512 if None.
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
            where the distribution is too flat for that (tables never are); "smc" takes the best
            of its particles.
        n_particles : int, optional
            With "smc": completions held at once by each of 16 runs, 512 if None.
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
        gaps = np.flatnonzero((levels == MISSING).any(axis=1))
        if not len(gaps):
            return self._decode(levels)
        if exact or self._forgets:
            levels[gaps] = search.best_completions(self, levels[gaps])
        else:
            for i in gaps:
                found = smc.best_completion(self, levels[i], n, rng)
                levels[i] = found[0] if len(found) else levels[i]
        if (empty := np.flatnonzero((levels == MISSING).any(axis=1))).size:
            raise ModelError(
                f"the known values of row {empty[0]} have probability 0 under this model: "
                "no completion is possible."
            )
        return self._decode(levels)

    def _log_density(self, X: NDArray) -> NDArray[np.float64]:
        return conditioning.log_known(self, self._encode(X, missing=True))

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
    return check_integer(n_particles, "n_particles", minimum=smc.LEAST_PARTICLES)
