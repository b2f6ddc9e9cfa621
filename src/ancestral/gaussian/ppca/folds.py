"""Rows, and entries of rows with gaps, dealt to folds: for choosing a model by what is held out.

A row's fold is a hash of its values (multiply-shift, Dietzfelbinger et al. 1997, with random odd
multipliers), not its place: however rows are cut into chunks, ordered or spread over machines,
each falls into the same fold, and equal rows are never on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import as_generator
from ancestral._numerics.threads import blocks_of
from ancestral.errors import ModelError, UndeterminedError
from ancestral.statistics import Moments

FOLDS = 5
LEAST_ROWS = 3  # to fit: a mean and a direction
# Of splitmix64 (Steele, Lea & Flood 2014), by which every bit of a number moves every other.
FINISHER = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


@dataclass(frozen=True)
class Folds:
    """Moments of each fold, merged by `+`."""

    parts: tuple[Moments, ...]

    @classmethod
    def of(cls, X: NDArray, seed: int, weights: NDArray[np.float64] | None = None) -> Folds:
        """Deal the rows of X, of shape (n, d), and return the moments of each fold.

        Only parts dealt by one seed may be summed: another deals equal rows differently.
        """
        fold = _folds_of(X, as_generator(seed))
        return cls(
            tuple(
                Moments.of(X[fold == k], weights=None if weights is None else weights[fold == k])
                for k in range(FOLDS)
            )
        )

    @overload
    def __add__(self, other: Folds) -> Folds: ...
    @overload
    def __add__(self, other: Moments) -> Moments: ...
    def __add__(self, other: Folds | Moments) -> Folds | Moments:
        if isinstance(other, Moments):  # nothing is to be held out any more
            return self.total + other
        if not isinstance(other, Folds):
            return NotImplemented
        return Folds(tuple(a + b for a, b in zip(self.parts, other.parts, strict=True)))

    def __radd__(self, other: Moments) -> Folds:
        if not isinstance(other, Moments):
            return NotImplemented
        raise ModelError(
            'n_components="cv" holds out rows in folds, but the rows so far were summed without '
            "folds, for another n_components. Stream all rows through a new model."
        )

    def scaled(self, scale: NDArray[np.float64]) -> Folds:
        """Return the moments of the same rows with each column's spread divided by its scale."""
        return Folds(tuple(part.scaled(scale) for part in self.parts))

    @property
    def total(self) -> Moments:
        """Moments of all rows."""
        return reduce(add, self.parts)

    @property
    def are_finite(self) -> bool:
        """Whether neither NaN nor infinity was among the rows."""
        return all(part.are_finite for part in self.parts)

    @property
    def are_enough(self) -> bool:
        """Whether some rows are held out, and some left to fit, each time."""
        counts = [part.total_weight for part in self.parts]
        left = sum(counts) - max(counts)
        return left >= LEAST_ROWS

    def splits(self) -> list[tuple[Moments, Moments]]:
        """Return (rest, held out) for each fold that holds rows."""
        if not self.are_enough:
            n = sum(part.total_weight for part in self.parts)
            raise UndeterminedError(
                f"n_samples = {n:g} is too few to hold some rows out and fit the rest. Pass an "
                "integer n_components, or give more rows that differ."
            )
        filled = [part for part in self.parts if part.total_weight]
        return [(reduce(add, filled[:i] + filled[i + 1 :]), filled[i]) for i in range(len(filled))]


def folds_of_entries(X: NDArray, seed: int) -> NDArray[np.uint8]:
    """Return the fold of each entry, shape (n, d): a hash of its column and its row's values.

    Like that of a row it is the same however rows are cut, ordered or repeated.
    """
    n, d = X.shape
    rng = as_generator(seed)
    odd, apart = _multipliers(d, rng), _multipliers(d, rng)
    result = np.empty((n, d), np.uint8)
    for rows, mixed in _mixed(X, odd):
        bits = mixed[:, None] + apart
        for shift, factor in FINISHER:
            bits ^= bits >> np.uint64(shift)
            bits *= np.uint64(factor)
        bits >>= np.uint64(32)
        bits *= np.uint64(FOLDS)
        result[rows] = bits >> np.uint64(32)
    return result


def _folds_of(X: NDArray, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Return the fold of each row, shape (n,)."""
    result = np.empty(len(X), np.uint64)
    for rows, mixed in _mixed(X, _multipliers(X.shape[1], rng)):
        result[rows] = (mixed >> np.uint64(40)) % np.uint64(FOLDS)
    return result


def _multipliers(d: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Return random odd numbers, shape (d,)."""
    return rng.integers(2**63, size=d, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def _mixed(X: NDArray, odd: NDArray[np.uint64]) -> Iterator[tuple[slice, NDArray[np.uint64]]]:
    """Yield some rows at a time, and one number for each, whose upper bits are mixed."""
    for rows in blocks_of(slice(0, len(X)), 4096):
        values = X[rows].astype(np.float64) + 0.0  # -0.0 becomes 0.0
        values[np.isnan(values)] = np.nan  # whatever its bits were
        bits = np.ascontiguousarray(values).view(np.uint64)
        bits ^= bits >> np.uint64(32)  # whole numbers have their bits at the top only
        bits *= odd
        yield rows, bits.sum(axis=1, dtype=np.uint64)
