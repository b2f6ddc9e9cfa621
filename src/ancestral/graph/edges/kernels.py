"""The loops of exact edge sampling: see `compiled` for what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.graph.compiled import compiled
from ancestral.graph.edges import blocks


@compiled(error_model="numpy")
def _bounds(
    one: int, two: int, low: NDArray, high: NDArray, reach: NDArray, a: float, b: float
) -> tuple[float, float]:
    """Return the largest p between two cells, a little rounded up, and p halfway down to the least.

    low, high (n_cells, m) are the boxes of the cells, reach (n_cells,) their largest norms.
    """
    bottom, top = 0.0, 0.0
    for c in range(low.shape[1]):
        x0, x1, y0, y1 = low[one, c], high[one, c], low[two, c], high[two, c]
        p, q, r, t = x0 * y0, x0 * y1, x1 * y0, x1 * y1
        bottom += min(min(p, q), min(r, t))
        top += max(max(p, q), max(r, t))
    limit = reach[one] * reach[two]
    bottom, top = a * max(bottom, -limit) + b, a * min(top, limit) + b
    most = max(bottom, top)
    middle = (bottom + top) / 2
    return _sigmoid(most + 1e-12 * (1.0 + abs(most))), _sigmoid(middle)


@compiled(error_model="numpy")
def _sigmoid(eta: float) -> float:
    return 1.0 / (1.0 + np.exp(-eta))


@compiled(otherwise=blocks.split_pairs, error_model="numpy")
def split_pairs(
    one: NDArray[np.int64],
    two: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    child: NDArray[np.int64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    reach: NDArray[np.float64],
    a: float,
    b: float,
    waste: float,
    most: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of cells, split until few candidates would be wasted, or there are `most`.

    A cell k holds the nodes start[k] ... end[k] - 1 of the order; its children are child[k] and
    child[k] + 1, or it is a leaf where child[k] is 0. A pair of cells whose bound would waste
    fewer than `waste` candidates is left whole: more splitting would cost more than it saves.
    """
    done_one, done_two = [one[0]][:0], [two[0]][:0]
    stack_one, stack_two = list(one), list(two)
    head = 0  # first in, first out: large pairs are split before small ones
    while head < len(stack_one):
        u, v = stack_one[head], stack_two[head]
        head += 1
        size_u, size_v = end[u] - start[u], end[v] - start[v]
        pairs = 0.5 * size_u * (size_u - 1.0) if u == v else float(size_u) * size_v
        bound, typical = _bounds(u, v, low, high, reach, a, b)
        leaf_u, leaf_v = child[u] == 0, child[v] == 0
        waiting = len(stack_one) - head + len(done_one)
        if pairs * (bound - typical) < waste or (leaf_u and leaf_v) or waiting >= most:
            done_one.append(u)
            done_two.append(v)
        elif u == v:
            c = child[u]
            for x, y in ((c, c), (c, c + 1), (c + 1, c + 1)):
                stack_one.append(x)
                stack_two.append(y)
        elif leaf_v or (not leaf_u and size_u >= size_v):
            for x in (child[u], child[u] + 1):
                stack_one.append(x)
                stack_two.append(v)
        else:
            for y in (child[v], child[v] + 1):
                stack_one.append(u)
                stack_two.append(y)
    return np.array(done_one), np.array(done_two)


@compiled(otherwise=blocks.draw_edges, error_model="numpy")
def draw_edges(
    one: NDArray[np.int64],
    two: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    reach: NDArray[np.float64],
    X: NDArray[np.float64],
    a: float,
    b: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int32], NDArray[np.int32], int]:
    """Draw the edges between pairs of cells; return both ends, and how many candidates there were.

    The dyads of a pair of cells stand in a line. Candidates come at geometric distances, each
    dyad with probability `bound`, and are kept with probability p / bound: each dyad is then an
    edge with probability p, independently of all others. X holds the nodes in the cells' order.
    """
    capacity, count, tried = 1 << 12, 0, 0
    i_of, j_of = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
    for k in range(len(one)):
        u, v = one[k], two[k]
        bound, _ = _bounds(u, v, low, high, reach, a, b)
        if not bound > 0.0:
            continue
        width = end[v] - start[v]
        total = width * (width - 1) // 2 if u == v else (end[u] - start[u]) * width
        rate = -np.log1p(-min(bound, 1.0))  # infinite at one: every dyad is a candidate
        place = np.int64(0)
        while True:
            jump = np.floor(rng.standard_exponential() / rate)
            if not jump < total - place:  # also where a rate of 0 makes it infinite or NaN
                break
            place += np.int64(jump)
            tried += 1
            if u == v:
                i, j = _triangle(place)
            else:
                i, j = place // width, place % width
            i, j = start[u] + i, start[v] + j
            s = 0.0
            for c in range(X.shape[1]):
                s += X[i, c] * X[j, c]
            if rng.random() * bound < _sigmoid(a * s + b):
                if count == capacity:
                    capacity *= 2
                    i_of, j_of = _grown(i_of, capacity), _grown(j_of, capacity)
                i_of[count], j_of[count] = i, j
                count += 1
            place += 1
    return i_of[:count], j_of[:count], tried


@compiled()
def _triangle(place: Any) -> Any:
    """Return the pair i < j that stands at a place in (0,1), (0,2), (1,2), (0,3), (1,3), ..."""
    j = np.int64((1.0 + np.sqrt(8.0 * place + 1.0)) / 2.0)
    while j * (j - 1) // 2 > place:
        j -= 1
    while j * (j + 1) // 2 <= place:
        j += 1
    return place - j * (j - 1) // 2, j


@compiled()
def _grown(values: NDArray, capacity: int) -> NDArray:
    larger = np.empty(capacity, np.int32)
    for k in range(len(values)):  # a slice would take seconds longer to compile
        larger[k] = values[k]
    return larger


@compiled(otherwise=blocks.neighbour_lists)
def neighbour_lists(
    i: NDArray[np.int32], j: NDArray[np.int32], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return indptr and sorted indices of the symmetric adjacency of edges, each given once."""
    indptr = np.zeros(n + 1, np.int64)
    for k in range(len(i)):
        indptr[i[k] + 1] += 1
        indptr[j[k] + 1] += 1
    for v in range(n):
        indptr[v + 1] += indptr[v]
    fill, loose = indptr.copy(), np.empty(2 * len(i), np.int32)
    for k in range(len(i)):
        loose[fill[i[k]]], loose[fill[j[k]]] = j[k], i[k]
        fill[i[k]] += 1
        fill[j[k]] += 1
    fill, indices = indptr.copy(), np.empty(2 * len(i), np.int32)
    for v in range(n):  # transposed, it is the same matrix, and its rows come out sorted
        for k in range(indptr[v], indptr[v + 1]):
            indices[fill[loose[k]]] = v
            fill[loose[k]] += 1
    return indptr, indices
