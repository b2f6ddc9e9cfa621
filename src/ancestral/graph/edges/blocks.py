"""The loops of exact edge sampling in NumPy, many steps at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ancestral.graph.adjacency import symmetric
from ancestral.graph.pairs.blocks import products

Float = NDArray[np.float64]
Int = NDArray[np.int64]

SOME = 1 << 18  # candidates at a time
SURE = 0.7  # a bound above which every dyad is a candidate


def split_pairs(
    one: Int,
    two: Int,
    start: Int,
    end: Int,
    child: Int,
    low: Float,
    high: Float,
    reach: Float,
    a: float,
    b: float,
    waste: float,
    most: int,
) -> tuple[Int, Int]:
    """Return pairs of cells, split until few candidates would be wasted, or there are `most`."""
    done, count = [np.empty((2, 0), np.int64)], 0
    u, v = one, two
    while len(u):
        size_u, size_v = end[u] - start[u], end[v] - start[v]
        pairs = np.where(u == v, 0.5 * size_u * (size_u - 1.0), 1.0 * size_u * size_v)
        bound, typical = bounds(u, v, low, high, reach, a, b)
        leaf_u, leaf_v = child[u] == 0, child[v] == 0
        whole = (pairs * (bound - typical) < waste) | (leaf_u & leaf_v)
        if count + len(u) >= most:
            whole[:] = True
        done.append(np.stack([u[whole], v[whole]]))
        count += int(whole.sum())
        own = ~whole & (u == v)
        first = ~whole & (u != v) & (leaf_v | (~leaf_u & (size_u >= size_v)))
        second = ~whole & (u != v) & ~first
        c, x, y = child[u[own]], child[u[first]], child[v[second]]
        u, v = (
            np.concatenate([c, c, c + 1, x, x + 1, u[second], u[second]]),
            np.concatenate([c, c + 1, c + 1, v[first], v[first], y, y + 1]),
        )
    found = np.concatenate(done, axis=1)
    return found[0], found[1]


def bounds(
    u: Int, v: Int, low: Float, high: Float, reach: Float, a: float, b: float
) -> tuple[Float, Float]:
    """Return the largest p between cells, a little rounded up, and p halfway down to the least."""
    bottom, top = np.zeros(len(u)), np.zeros(len(u))
    for c in range(low.shape[1]):
        x, y = (low[u, c], high[u, c]), (low[v, c], high[v, c])
        corners = [p * q for p in x for q in y]
        bottom += np.minimum.reduce(corners)
        top += np.maximum.reduce(corners)
    limit = reach[u] * reach[v]
    bottom, top = a * np.maximum(bottom, -limit) + b, a * np.minimum(top, limit) + b
    most = np.maximum(bottom, top)
    return expit(most + 1e-12 * (1.0 + np.abs(most))), expit((bottom + top) / 2)


def draw_edges(
    one: Int,
    two: Int,
    start: Int,
    end: Int,
    low: Float,
    high: Float,
    reach: Float,
    X: Float,
    a: float,
    b: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int32], NDArray[np.int32], int]:
    """Draw the edges between pairs of cells; return both ends, and how many candidates there were.

    Events fall on the dyads of a pair of cells at a rate of -log(1 - bound) each, and are kept with
    probability log(1 - p) / log(1 - bound). A dyad where any is kept is an edge: that happens with
    probability p, independently of all others. Where the bound is near one, every dyad is a
    candidate instead, and is an edge with probability p.
    """
    bound, _ = bounds(one, two, low, high, reach, a, b)
    size, width = end[one] - start[one], end[two] - start[two]
    total = np.where(one == two, width * (width - 1) // 2, size * width)
    sure = bound > SURE
    rate = -np.log1p(-np.where(sure, 0.0, bound))
    count = np.where(sure, total, rng.poisson(rate * total))
    ends = np.cumsum(count)
    tried = int(ends[-1])
    found = [np.zeros(0, np.int64)]
    n = len(X)
    for first in range(0, tried, SOME):
        candidate = np.arange(first, min(first + SOME, tried))
        k = np.searchsorted(ends, candidate, side="right")
        place = candidate - (ends - count)[k]
        place = np.where(sure[k], place, rng.integers(0, total[k]))
        i, j = np.divmod(place, width[k])
        same = one[k] == two[k]
        i[same], j[same] = _triangle(place[same])
        i, j = start[one[k]] + i, start[two[k]] + j
        eta = a * products(X, i, j) + b
        share = np.where(sure[k], expit(eta), np.logaddexp(0.0, eta))  # -log(1 - p) is softplus
        kept = rng.random(len(k)) * np.where(sure[k], 1.0, rate[k]) < share
        found.append(i[kept] * n + j[kept])
    i, j = np.divmod(np.unique(np.concatenate(found)), n)
    return i.astype(np.int32), j.astype(np.int32), tried


def _triangle(place: Int) -> tuple[Int, Int]:
    """Return the pairs i < j that stand at places in (0,1), (0,2), (1,2), (0,3), (1,3), ..."""
    j = ((1.0 + np.sqrt(8.0 * place + 1.0)) / 2.0).astype(np.int64)
    j -= j * (j - 1) // 2 > place  # rounding
    j += j * (j + 1) // 2 <= place
    return place - j * (j - 1) // 2, j


def neighbour_lists(
    i: NDArray[np.int32], j: NDArray[np.int32], n: int
) -> tuple[Int, NDArray[np.int32]]:
    """Return indptr and sorted indices of the symmetric adjacency of edges, each given once."""
    adjacency = symmetric(i, j, n)
    return adjacency.indptr.astype(np.int64), adjacency.indices.astype(np.int32)
