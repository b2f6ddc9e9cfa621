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
        X = np.concatenate([graph.features for graph in graphs])
        return cls._kept(X, np.ones(len(X), np.int64))

    def __add__(self, other: FeatureRows) -> FeatureRows:
        if not isinstance(other, FeatureRows):
            return NotImplemented
        return self._kept(
            np.concatenate([self.rows, other.rows]), np.concatenate([self.counts, other.counts])
        )

    @classmethod
    def _kept(cls, X: Float, counts: NDArray[np.int64]) -> FeatureRows:
        hashes = _hashes(X)
        kept = np.unique(hashes)[:MOST_ROWS]
        some = np.flatnonzero(hashes <= kept[-1])
        _, first, place = np.unique(hashes[some], return_index=True, return_inverse=True)
        total = np.bincount(place.reshape(-1), counts[some], minlength=len(first))
        return cls(X[some[first]], total.astype(np.int64))

    def draw(self, n_nodes: int, rng: np.random.Generator) -> Float:
        """Return features of so many nodes, each those of a node of the fit."""
        share = np.cumsum(self.counts) / self.counts.sum()
        found: Float = self.rows[np.searchsorted(share, rng.random(n_nodes), side="right")]
        return found


def _hashes(X: Float) -> NDArray[np.uint64]:
    """Return a hash of each row's values."""
    found = np.full(len(X), _ODD[0])
    for column in X.T:
        found ^= np.ascontiguousarray(column + 0.0).view(np.uint64)  # one zero
        for shift, odd in ((30, _ODD[1]), (27, _ODD[2]), (31, _ODD[0])):
            found = (found ^ (found >> np.uint64(shift))) * odd
    return found
