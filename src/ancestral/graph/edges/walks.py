"""Loops along the edges of large graphs, compiled by numba; `pairs.kernels` says what that costs.

A graph is given by the indptr and sorted indices of its symmetric adjacency, without loops.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(nogil=True, cache=True)
def shared_partners(
    indptr: NDArray[np.int64], indices: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many neighbours the ends of each edge share, and the triangles at each node."""
    n = len(indptr) - 1
    counts, place = np.empty(len(indices) // 2, np.int64), 0
    corners = np.zeros(n, np.int64)  # twice the triangles: each is met from two edges
    for i in range(n):
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            if j <= i:
                continue
            one, two, common = indptr[i], indptr[j], 0
            while one < indptr[i + 1] and two < indptr[j + 1]:
                if indices[one] == indices[two]:
                    common, one, two = common + 1, one + 1, two + 1
                elif indices[one] < indices[two]:
                    one += 1
                else:
                    two += 1
            counts[place] = common
            corners[i] += common
            corners[j] += common
            place += 1
    return counts, corners // 2


@numba.njit(nogil=True, cache=True)
def distance_counts(
    indptr: NDArray[np.int64], indices: NDArray[np.int64], sources: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return how many nodes stand at each distance from the sources, in all; 0 counts the far ones.

    Breadth first from each source. Entry d counts (source, node) pairs d edges apart, entry 0
    those that no path joins.
    """
    n = len(indptr) - 1
    counts = np.zeros(n + 1, np.int64)
    distance, queue = np.empty(n, np.int64), np.empty(n, np.int64)
    for source in sources:
        distance[:] = -1
        distance[source] = 0
        queue[0], head, tail = source, 0, 1
        while head < tail:
            node = queue[head]
            head += 1
            for k in range(indptr[node], indptr[node + 1]):
                other = indices[k]
                if distance[other] < 0:
                    distance[other] = distance[node] + 1
                    counts[distance[other]] += 1
                    queue[tail] = other
                    tail += 1
        counts[0] += n - tail
    return counts
