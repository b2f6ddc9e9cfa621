"""The features that a fit has seen: distinct rows and how often each occurred.

Of more than `MOST_ROWS` distinct rows those of the smallest hash are kept: a sample of the rows
that merges exactly, in any order and in any parts, and is every row where there are few kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral.graph.graphs import Graph

Float = NDArray[np.float64]

MOST_ROWS = 2_000
_ODD = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)
_SHIFTS = np.array([29, 32], np.uint64)


@dataclass(frozen=True)
class FeatureRows:
    """An empirical distribution of features.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Distinct, by rising hash.
    counts : ndarray of shape (n_rows,)
        Nodes that have these features.
    """

    rows: Float
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, graphs: Sequence[Graph]) -> FeatureRows:
        """Return the features of the nodes of graphs."""
        return cls.of_rows(np.concatenate([graph.features for graph in graphs]))

    @classmethod
    def of_rows(cls, X: Float) -> FeatureRows:
        """Return the rows of a table, which may hold NaN."""
        return cls._kept(X, np.ones(len(X), np.int64))

    def __add__(self, other: FeatureRows) -> FeatureRows:
        if not isinstance(other, FeatureRows):
            return NotImplemented
        return self._kept(
            np.concatenate([self.rows, other.rows]), np.concatenate([self.counts, other.counts])
        )

    @classmethod
    def _kept(cls, X: Float, counts: NDArray[np.int64]) -> FeatureRows:
        found = hashes(X)
        if len(found) > 4 * MOST_ROWS:  # the smallest hashes, unless they repeat
            few = np.flatnonzero(found <= np.partition(found, 2 * MOST_ROWS)[2 * MOST_ROWS])
            if len(np.unique(found[few])) > MOST_ROWS:
                X, counts, found = X[few], counts[few], found[few]
        order = found.argsort(kind="stable")
        ranked, counts = found[order], counts[order]
        is_fresh = ranked[1:] != ranked[:-1]
        if not is_fresh.all():
            starts = np.flatnonzero(np.concatenate([[True], is_fresh]))
            order, counts = order[starts], np.add.reduceat(counts, starts)
        return cls(X[order[:MOST_ROWS]], counts[:MOST_ROWS])

    def draw(self, n_nodes: int, rng: np.random.Generator) -> Float:
        """Return features of so many nodes, each those of a node of the fit."""
        share = np.cumsum(self.counts) / self.counts.sum()
        found: Float = self.rows[np.searchsorted(share, rng.random(n_nodes), side="right")]
        return found


def hashes(X: Float) -> NDArray[np.uint64]:
    """Return a hash of each row's values."""
    found = np.full(len(X), _ODD[0])
    for column in np.add(X.T, 0.0, order="C").view(np.uint64):  # one zero
        found ^= column
        found *= _ODD[1]
        found ^= found >> _SHIFTS[0]
    found *= _ODD[2]
    found ^= found >> _SHIFTS[1]
    return found
