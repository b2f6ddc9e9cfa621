"""Rows with gaps, and what is known of their columns: sums that merge by `+`.

Each column's mean and squares are taken about the mean, block by block (Chan, Golub & LeVeque
1983): a constant column has exactly its value for a mean, and no squares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ancestral import _arrays
from ancestral._numerics.threads import blocks_of
from ancestral.errors import DataError
from ancestral.gaussian.ppca import degenerate
from ancestral.statistics import Moments, refuse_overflow
from ancestral.training.parts import Part

BLOCK_NUMBERS = 1 << 19  # values of a table that are looked at together: 4 MiB


class Rows(NamedTuple):
    """Rows of which something is known, NaN where not, and how often each counts (above 0)."""

    X: NDArray
    weights: NDArray[np.float64] | None = None

    @classmethod
    def known(cls, X: NDArray, weights: NDArray[np.float64] | None = None) -> Rows:
        """Return the rows that count and of which something is known."""
        parts = [~np.isnan(block.X).all(axis=1) for block in cls(X).blocks()]
        counted = np.concatenate([np.zeros(0, bool), *parts])
        if weights is not None:
            counted &= weights > 0
        X = np.ascontiguousarray(X)  # sums over a row then give the same bits whatever came in
        if counted.all():
            return cls(X, weights)
        return cls(X[counted], None if weights is None else weights[counted])

    def blocks(self) -> Iterator[Rows]:
        """Yield a few rows at a time, in order, and in C order: sums then give the same bits."""
        n, d = self.X.shape
        for part in blocks_of(slice(0, n), max(1, BLOCK_NUMBERS // max(1, d))):
            X = np.ascontiguousarray(self.X[part])
            yield Rows(X, None if self.weights is None else self.weights[part])


def known_rows(part: Part) -> Rows:
    """Return the rows of a part that count and of which something is known."""
    X, *weights = part.data
    return Rows.known(_arrays.to_host(X), *weights)


@dataclass(frozen=True)
class Columns:
    """What is known of each column, and how much of each row.

    Parameters
    ----------
    count : ndarray of shape (d,)
        Known values, each as often as its row counts.
    mean : ndarray of shape (d,)
        Of these; 0 where there are none.
    squares : ndarray of shape (d,)
        Of their differences from the mean.
    sizes : ndarray of shape (d + 1,)
        How many rows have 0, 1, ..., d known values, whatever they count.
    n_samples : float
        Sum of the rows' weights.
    single : bool
        Whether some rows came as float32.
    """

    count: NDArray[np.float64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    sizes: NDArray[np.int64]
    n_samples: float
    single: bool

    @classmethod
    def of(cls, rows: Rows) -> Columns:
        """Return what is known of the columns of these rows."""
        d = rows.X.shape[1]
        nothing = np.zeros(d)
        none = cls(nothing, nothing, nothing, np.zeros(d + 1, np.int64), 0.0, single=False)
        with np.errstate(over="ignore", invalid="ignore"):  # refused by `checked`
            return sum(map(cls._of_block, rows.blocks()), none)

    @classmethod
    def _of_block(cls, rows: Rows) -> Columns:
        """Return the same of a few rows."""
        X, weights = rows
        n, d = X.shape
        known = ~np.isnan(X)
        w = np.ones(n) if weights is None else weights
        count = w @ known
        some = known.any(axis=0)
        first = np.where(some, X[known.argmax(axis=0), np.arange(d)], 0.0).astype(np.float64)
        steps = np.where(known, X - first, 0.0)
        mean = first + (w @ steps) / np.where(some, count, 1.0)
        steps = np.where(known, X - mean, 0.0)
        sizes = np.bincount(known.sum(axis=1), minlength=d + 1)
        single = X.dtype == np.float32
        return cls(count, mean, w @ steps**2, sizes, float(w.sum()), single=single)

    @classmethod
    def of_complete_rows(cls, moments: Moments) -> Columns:
        """Return the same of complete rows, from their moments."""
        sizes = np.zeros(moments.n_features + 1, np.int64)
        sizes[-1] = moments.count
        count = np.full(moments.n_features, moments.total_weight)
        mean = np.array(moments.mean)
        return cls(count, mean, moments.spreads, sizes, moments.total_weight, single=moments.single)

    def __add__(self, other: Self) -> Columns:
        count = self.count + other.count
        with np.errstate(over="ignore", invalid="ignore"):
            share = other.count / np.where(count > 0, count, 1.0)
            step = np.where(other.count > 0, other.mean - self.mean, 0.0)
            between = step**2 * share * self.count
            return Columns(
                count,
                self.mean + step * share,
                self.squares + other.squares + between,
                self.sizes + other.sizes,
                self.n_samples + other.n_samples,
                single=self.single or other.single,
            )

    @property
    def n_features(self) -> int:
        """How many columns there are, d."""
        return len(self.count)

    @property
    def n_rows(self) -> int:
        """How many rows there are, whatever they count."""
        return int(self.sizes.sum())

    @property
    def n_known(self) -> float:
        """How many entries are known, each as often as its row counts."""
        return float(self.count.sum())

    @property
    def n_missing(self) -> int:
        """How many entries are not known, whatever their rows count."""
        return int(self.sizes @ np.arange(self.n_features, -1, -1))

    @property
    def variances(self) -> NDArray[np.float64]:
        """Of each column, divisor n; 0 where nothing is known."""
        return self.squares / np.where(self.count > 0, self.count, 1.0)

    @property
    def spread(self) -> NDArray[np.float64]:
        """Standard deviation of each column, divisor n."""
        return np.sqrt(self.variances)

    def refuse_what_cannot_be_fitted(self, names: Any = None) -> None:
        """Refuse columns of which nothing is known or that overflow, or that all are constant.

        Raises
        ------
        DataError
            For a column of which nothing is known, and for values too large to be squared.
        UndeterminedError
            When every column is constant, or only rounding makes it vary.
        """
        refuse_unknown_columns(self.count, names)
        refuse_overflow(self.spread)
        degenerate.refuse_no_variance(self.mean, self.spread, single=self.single, names=names)


def refuse_unknown_columns(count: NDArray[np.float64], names: Any = None) -> None:
    """Raise DataError naming the first column without known values, of which `count` are known."""
    empty = np.flatnonzero(count == 0)
    if len(empty):
        column = empty[0] if names is None else repr(names[empty[0]])
        raise DataError(
            f"column {column} holds no known value ({len(empty)} such column(s)): nothing can "
            "be learnt of it. Drop it."
        )
