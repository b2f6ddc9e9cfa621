"""A sample of the rows of a table in parts, which merges by `+`.

Each row has a key, a hash of its place among all rows; the sample are the rows of the smallest
keys, so that samples of parts merge to that of all, in any order and however rows are cut. Where
they are few the sample is the table itself, in its order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ancestral.gaussian.ppca.missing_columns import Columns, Rows
from ancestral.training.parts import Part

UNNUMBERED = 1 << 40  # more rows than a part has, where it does not know how many stand before it


class Known(NamedTuple):
    """The rows of a part that count and of which something is known."""

    X: NDArray[np.float64]  # (n, d), NaN where unknown
    weights: NDArray[np.float64] | None
    number: int  # of the part
    place: NDArray[np.int64]  # (n,): of each row among all

    @classmethod
    def of(cls, part: Part) -> Known:
        """Return these rows of a checked part."""
        X, *given = part.data
        weights = given[0] if given else None
        counts = ~np.isnan(X).all(axis=1)
        if weights is not None:
            counts &= weights > 0
        first = part.number * UNNUMBERED if part.start is None else part.start
        place = first + np.arange(len(X))
        if counts.all():
            return cls(X, weights, part.number, place)
        return cls(
            X[counts], weights if weights is None else weights[counts], part.number, place[counts]
        )


def columns_of(rows: Known) -> Columns:
    """Return what is known of the columns of a part."""
    return Columns.of(Rows(rows.X, rows.weights))


@dataclass(frozen=True)
class Sample:
    """At most `size` rows of a table.

    Parameters
    ----------
    size : int
    X : ndarray of shape (n, d)
    weights : ndarray of shape (n,)
    place : ndarray of shape (n, 2)
        Number of the part of each row, and its place.
    """

    size: int
    X: NDArray[np.float64]
    weights: NDArray[np.float64]
    place: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Known, size: int) -> Sample:
        """Return a sample of the rows of a part."""
        chosen = _of_smallest_keys(rows.place, size)
        weights = np.ones(len(chosen)) if rows.weights is None else rows.weights[chosen]
        place = np.column_stack([np.full(len(chosen), rows.number), rows.place[chosen]])
        return cls(size, rows.X[chosen], weights, place)._in_order()

    def __add__(self, other: Self) -> Sample:
        X = np.concatenate([self.X, other.X])
        weights = np.concatenate([self.weights, other.weights])
        place = np.concatenate([self.place, other.place])
        chosen = _of_smallest_keys(place[:, 1], self.size)
        return Sample(self.size, X[chosen], weights[chosen], place[chosen])._in_order()

    def _in_order(self) -> Sample:
        """Return the rows in the order of the table."""
        order = np.lexsort(self.place.T[::-1])
        return Sample(self.size, self.X[order], self.weights[order], self.place[order])

    @property
    def known(self) -> Known:
        """The rows as those of one part."""
        return Known(self.X, self.weights, 0, self.place[:, 1])


@dataclass(frozen=True)
class Sampling:
    """Draws a sample of so many rows, given `Known` ones."""

    size: int

    def __call__(self, rows: Known) -> Sample:
        return Sample.of(rows, self.size)


def _of_smallest_keys(places: NDArray[np.int64], size: int) -> NDArray[np.intp]:
    """Return which of the places have the `size` smallest keys."""
    if len(places) <= size:
        return np.arange(len(places))
    return np.argpartition(scattered(places), size)[:size]


def scattered(numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a key of each number, all of them different and in no order (splitmix64)."""
    keys = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return keys ^ (keys >> np.uint64(31))
