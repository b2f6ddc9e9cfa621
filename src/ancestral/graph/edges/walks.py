"""Walks along the edges of large graphs: shared partners, triangles and distances.

A graph is given by the indptr and sorted indices of its symmetric adjacency, without loops.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order

Int = NDArray[np.int64]

PAIRS = 1 << 20  # of edges, looked at together


def shared_partners(indptr: Int, indices: Int) -> tuple[Int, Int]:
    """Return how many neighbours the ends of each edge share, and the triangles at each node.

    Every edge points to the end of more neighbours. A triangle is two edges out of one node whose
    heads are linked: few pairs to look at, hubs or not.
    """
    n, degree = len(indptr) - 1, np.diff(indptr)
    rank = np.empty(n, np.int64)
    rank[np.argsort(degree, kind="stable")] = np.arange(n)
    rows = np.repeat(np.arange(n), degree)
    i, j = rows[rows < indices], indices[rows < indices]
    tail, head = np.minimum(rank[i], rank[j]), np.maximum(rank[i], rank[j])
    order = np.argsort(tail * n + head)  # of the edges, to where they stand in `codes`
    tail, head = tail[order], head[order]
    codes = tail * n + head
    later = np.searchsorted(tail, tail, side="right") - 1 - np.arange(len(tail))
    pairs = np.cumsum(later)  # of edges out of one node, up to each edge
    common = np.zeros(len(codes), np.int64)
    first = 0
    while first < len(codes):
        before = pairs[first] - later[first]
        last = max(first + 1, int(np.searchsorted(pairs, before + PAIRS, side="right")))
        one = np.repeat(np.arange(first, last), later[first:last])
        two = np.arange(len(one)) + before - (pairs - later)[one] + one + 1
        wanted = head[one] * n + head[two]
        third = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
        closed = codes[third] == wanted
        for edge in (one, two, third):
            np.add.at(common, edge[closed], 1)
        first = last
    shared = np.empty_like(common)
    shared[order] = common
    corners = np.bincount(i, shared, minlength=n) + np.bincount(j, shared, minlength=n)
    return shared, corners.astype(np.int64) // 2  # each triangle is met from two edges


def distance_counts(indptr: Int, indices: Int, sources: Int) -> Int:
    """Return how many nodes stand at each distance from the sources, in all; 0 counts the far ones.

    Breadth first from each source; distances are read off its tree by jumps of 1, 2, 4, ... edges.
    """
    n = len(indptr) - 1
    counts, place = np.zeros(n + 1, np.int64), np.empty(n, np.int64)
    A = sparse.csr_array((np.ones(len(indices)), indices, indptr), shape=(n, n))
    for source in sources:
        order, parent = breadth_first_order(A, source)
        place[order] = np.arange(len(order))
        above = np.zeros(len(order), np.int64)  # where the parent of each stands in the order
        above[1:] = place[parent[order[1:]]]
        distance = np.ones(len(order), np.int64)
        distance[0] = 0
        while above.any():
            distance += distance[above]
            above = above[above]
        counts += np.bincount(distance, minlength=n + 1)
        counts[0] += n - len(order) - 1  # not the source itself
    return counts
