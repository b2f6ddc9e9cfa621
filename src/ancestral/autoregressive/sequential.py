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
from sklearn.utils import Tags

from ancestral._validation import (
    as_generator,
    check_integer,
    check_table,
    describe_place,
    first_text,
)
from ancestral.autoregressive import conditioning, sampling, search
from ancestral.base import Density
from ancestral.errors import DataError

MISSING = -1


class Sequential(Density):
    """A density over rows of discrete values, one conditional per variable in order.

    An author writes `_fit_levels(levels)`, `start`, `step`, `take`, and may write a faster
    `_log_density_levels(levels)`.

    Attributes
    ----------
    categories_ : list of ndarray
        The sorted levels of each variable.
    """

    categories_: list[NDArray]
    n_features_in_: int

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

    def _fit(self, X: NDArray) -> None:
        """Learn the levels, then the model."""
        X = whole_numbers(X)
        self.categories_ = learn_categories(X)
        self._fit_levels(self._encode(X))

    @abstractmethod
    def _fit_levels(self, levels: NDArray[np.intp]) -> None:
        """Fit to level codes of shape (n, d)."""

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

    def _draw(self, n_samples: int, rng: np.random.Generator) -> NDArray:
        return self._decode(sampling.sample_levels(self, n_samples, rng))

    def _draw_given(self, n_samples: int, given: NDArray, rng: np.random.Generator) -> NDArray:
        levels = self._encode(given[None], missing=True, name="given")[0]
        return self._decode(conditioning.sample_given(self, levels, n_samples, rng))

    def _check_rows(self, X: ArrayLike, *, reset: bool) -> NDArray:
        return check_table(self, X, reset=reset, missing=not reset, numeric=False)

    def _encode(self, X: NDArray, *, missing: bool = False, name: str = "X") -> NDArray[np.intp]:
        """Return the level codes of X, shape (n, d); MISSING where NaN is allowed and found."""
        codes = np.empty(X.shape, np.intp)
        for j, known in enumerate(self.categories_):
            column = X[:, j]
            gap = _is_missing(column) if missing else np.zeros(len(column), bool)
            filled = np.where(gap, known[0], column) if gap.any() else column
            filled = _comparable(filled, known, name)
            place = np.minimum(np.searchsorted(known, filled), len(known) - 1)
            wrong = known[place] != filled
            if wrong.any():
                i = int(np.flatnonzero(wrong)[0])
                raise DataError(_unknown_level(X[i, j], (i, j), known, name))
            codes[:, j] = np.where(gap, MISSING, place)
        return codes

    def _decode(self, levels: NDArray[np.intp]) -> NDArray:
        """Return the values behind level codes, in the common dtype of the categories."""
        dtypes = {known.dtype for known in self.categories_}
        dtype = dtypes.pop() if len(dtypes) == 1 else np.result_type(*self.categories_)
        values = np.empty(levels.shape, dtype)
        for j, known in enumerate(self.categories_):
            values[:, j] = known[levels[:, j]]
        return values

    def _check_state(self) -> None:
        if len(self.categories_) != self.n_features_in_:
            raise ValueError("one set of categories per variable is wanted")
        for known in self.categories_:
            if known.ndim != 1 or not len(known) or not (known[1:] > known[:-1]).all():
                raise ValueError("categories must be sorted and distinct")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.positive_only = False
        return tags


def whole_numbers(X: NDArray) -> NDArray:
    """Return X with whole floats made integers; DataError at the first value that is no level."""
    _refuse_fractions(X)
    return X if X.dtype.kind in "bUSO" else X.astype(np.int64)


def learn_categories(X: NDArray) -> list[NDArray]:
    """Return each column's sorted levels; a table of zeros and ones is binary in every column."""
    if X.dtype.kind == "b" or (X.dtype.kind in "iu" and ((X == 0) | (X == 1)).all()):
        # A pixel that is constant in the data is still a pixel that could be on or off.
        return [np.array([0, 1], X.dtype)] * X.shape[1]
    try:
        return [np.unique(X[:, j]) for j in range(X.shape[1])]
    except TypeError:
        raise DataError(
            "X mixes values that cannot be ordered (text and numbers in one column). "
            "Make each column of one kind."
        ) from None


def _refuse_fractions(X: NDArray) -> None:
    """Raise DataError at the first value that is no whole number, or is a missing object."""
    if X.dtype.kind == "f":
        wrong = np.floor(X) != X
        if wrong.any():
            i, j = (int(k) for k in np.argwhere(wrong)[0])
            raise DataError(
                f"X holds {X[i, j]:g} at {describe_place((i, j))}{_pixel(j, X.shape[1])}, which is "
                "no whole number: levels are integers, booleans or text. Binarise grey pixels "
                "with X >= 0.5."
            )
        return
    if X.dtype.kind == "O":
        for (i, j), value in np.ndenumerate(X):
            if isinstance(value, float | np.floating) and value != np.floor(value):
                seen = "NaN" if np.isnan(value) else f"{value:g}"
                raise DataError(
                    f"X holds {seen} at {describe_place((i, j))}; levels are integers, booleans "
                    "or text. Drop or recode it."
                )
            if value is None:
                raise DataError(
                    f"X holds None (NaN) at {describe_place((i, j))}; drop or recode it."
                )


def _pixel(j: int, width: int) -> str:
    """Return where column j is in a square image, if the table can be of square images."""
    side = round(width**0.5)
    return f" (pixel at row {j // side}, column {j % side})" if side * side == width > 4 else ""


def _is_missing(column: NDArray) -> NDArray[np.bool_]:
    """Return where a column holds NaN or None."""
    if column.dtype.kind == "f":
        return np.isnan(column)
    if column.dtype.kind == "O":
        return np.array([v is None or (isinstance(v, float) and v != v) for v in column], bool)
    return np.zeros(len(column), bool)


def _comparable(column: NDArray, known: NDArray, name: str) -> NDArray:
    """Return a column in a dtype that can be sorted among the known levels."""
    if known.dtype.kind in "US" and column.dtype.kind != known.dtype.kind:
        return column.astype(str)
    if known.dtype.kind in "biu" and column.dtype.kind not in "biuf":
        try:
            return column.astype(np.float64)
        except (TypeError, ValueError):
            raise DataError(
                f"{name} holds {first_text(column)} where the levels are numbers, "
                f"such as {known[0]}."
            ) from None
    return column


def _unknown_level(value: Any, place: tuple[int, int], known: NDArray, name: str) -> str:
    """Word the error for a level that was not seen in `fit`."""
    shown = ", ".join(str(k) for k in known[:6]) + (", ..." if len(known) > 6 else "")
    return (
        f"{name} holds {value!s} at {describe_place(place)}, a level not seen in fit; "
        f"that column has the levels {shown}."
    )
