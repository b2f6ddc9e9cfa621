"""The tree of the columns: which of them hang together, by their mutual information.

    I(i, j) = sum over a, b of p(a, b) log p(a, b) / (p(a) p(b)),   tree = argmax of its sum

(Chow & Liu 1968). Continuous columns are cut at quantiles for this only. Each pair counts the rows
where both are known: its information is corrected for bias (Miller & Madow) and multiplied by the
share of these rows, since what is rarely known together helps rarely.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

MOST_ROWS = 100_000  # that information is taken from
MOST_CODES = 32  # of a column: rarer levels count as one
MOST_CELLS = 8000  # codes of all columns together, where there are many
BLOCK = 2000  # codes of the columns whose pairs are counted at once


@dataclass(frozen=True)
class Tree:
    """Nodes 0 to d - 1.

    Parameters
    ----------
    parent : ndarray of shape (d,)
        -1 for the root.
    """

    parent: NDArray[np.int64]

    @cached_property
    def order(self) -> list[int]:
        """The nodes, each after its parent."""
        found = [int(np.flatnonzero(self.parent < 0)[0])]
        for node in found:
            found.extend(self.children[node])
        return found

    @cached_property
    def children(self) -> list[list[int]]:
        """The children of each node."""
        found: list[list[int]] = [[] for _ in self.parent]
        for node, parent in enumerate(self.parent.tolist()):
            if parent >= 0:
                found[parent].append(node)
        return found

    def nearest(self, node: int, n: int) -> list[tuple[int, int]]:
        """Return up to n nodes and their distances, the nearest first, the node itself first."""
        seen, found = {node}, [(node, 0)]
        for at, distance in found:
            if len(found) >= n:
                break
            around = [*self.children[at], *self.parent[[at]][self.parent[[at]] >= 0].tolist()]
            fresh = [other for other in around if other not in seen]
            seen.update(fresh)
            found.extend((other, distance + 1) for other in fresh)
        return found[:n]


def codes_of(
    table: NDArray[np.float64], are_levels: list[bool], weights: NDArray[np.float64]
) -> tuple[NDArray[np.int16], NDArray[np.intp]]:
    """Return few codes for the values of each column, -1 where missing, and how many there are."""
    d = table.shape[1]
    most = int(np.clip(MOST_CELLS // d, 3, MOST_CODES))
    n_bins = int(np.clip(min(np.cbrt(weights.sum()), MOST_CELLS / d), 3, 12))
    codes = np.full(table.shape, -1, np.int16)
    sizes = np.ones(d, np.intp)
    for j in range(d):
        known = np.flatnonzero(~np.isnan(table[:, j]))
        values = table[known, j]
        distinct, inverse = np.unique(values, return_inverse=True)
        counts = np.bincount(inverse, weights[known], len(distinct))
        if are_levels[j] and len(distinct) > most:
            place = np.full(len(distinct), most - 1)
            place[np.argsort(-counts, kind="stable")[: most - 1]] = np.arange(most - 1)
        elif are_levels[j] or len(distinct) <= n_bins:
            place = np.arange(len(distinct))
        else:
            middle = (np.cumsum(counts) - counts / 2) / counts.sum()
            place = np.unique(np.floor(middle * n_bins), return_inverse=True)[1]
        codes[known, j] = place[inverse]
        sizes[j] = place.max(initial=0) + 1
    return codes, sizes


def information(
    codes: NDArray[np.int16], sizes: NDArray[np.intp], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mutual information of each pair of columns, (d, d), in nats, 0 on the diagonal."""
    d = len(sizes)
    found = np.zeros((d, d))
    blocks = _blocks(sizes)
    for first, some in enumerate(blocks):
        for others in blocks[first:]:
            part = _of_blocks(codes, sizes, weights, some, others)
            found[np.ix_(some, others)] = part
            found[np.ix_(others, some)] = part.T
    found = np.triu(found, 1)
    return found + found.T


def _blocks(sizes: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    which = (np.cumsum(sizes) - 1) // BLOCK
    return [np.flatnonzero(which == block) for block in np.unique(which)]


def _of_blocks(
    codes: NDArray,
    sizes: NDArray,
    weights: NDArray,
    some: NDArray[np.intp],
    others: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return the information of the pairs of two blocks of columns."""
    joint = np.zeros((int(sizes[some].sum()), int(sizes[others].sum())))
    step = max(1, (1 << 23) // max(joint.shape))
    for start in range(0, len(codes), step):
        rows = slice(start, start + step)
        one = _one_hot(codes[rows][:, some], sizes[some]) * weights[rows, None].astype(np.float32)
        joint += one.T @ _one_hot(codes[rows][:, others], sizes[others])
    at = np.r_[0, np.cumsum(sizes[some])[:-1]]
    by = np.r_[0, np.cumsum(sizes[others])[:-1]]
    left = np.add.reduceat(joint, by, axis=1)  # counts of codes of some, known in others
    right = np.add.reduceat(joint, at, axis=0)
    n = np.add.reduceat(left, at, axis=0)
    whole = np.add.reduceat(np.add.reduceat(_entropy_terms(joint), by, axis=1), at, axis=0)
    whole -= np.add.reduceat(_entropy_terms(left), at, axis=0)
    whole -= np.add.reduceat(_entropy_terms(right), by, axis=1)
    seen = np.add.reduceat((left > 0).astype(np.float64), at, axis=0)
    seen_there = np.add.reduceat((right > 0).astype(np.float64), by, axis=1)
    known = np.maximum(n, 1e-300)
    nats = (whole + _entropy_terms(n)) / known
    bias = np.maximum(seen - 1, 0) * np.maximum(seen_there - 1, 0) / (2 * known)
    return np.where(n > 0, np.maximum(nats - bias, 0.0) * n / weights.sum(), 0.0)


def _one_hot(codes: NDArray, sizes: NDArray) -> NDArray[np.float32]:
    column = np.repeat(np.arange(len(sizes)), sizes)
    level = np.concatenate([np.arange(size) for size in sizes])
    return (codes[:, column] == level).astype(np.float32)


def _entropy_terms(counts: NDArray) -> NDArray[np.float64]:
    """Return n log n, 0 for none."""
    return counts * np.log(np.where(counts > 0, counts, 1.0))


def spanning(weights: NDArray[np.float64]) -> Tree:
    """Return the tree of the largest sum of weights, its root the node of the largest own sum."""
    d = len(weights)
    root = int(np.argmax(weights.sum(axis=1)))
    parent = np.full(d, -1, np.int64)
    best, nearest = weights[root].copy(), np.full(d, root)
    outside = np.ones(d, bool)
    outside[root] = False
    for _ in range(d - 1):
        node = int(np.argmax(np.where(outside, best, -np.inf)))
        parent[node] = nearest[node]
        outside[node] = False
        closer = outside & (weights[node] > best)
        best[closer], nearest[closer] = weights[node][closer], node
    return Tree(parent)
