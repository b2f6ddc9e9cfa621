"""The loops over pairs of nodes: see `compiled` for what they cost, and `blocks` for NumPy's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral.graph.compiled import compiled
from ancestral.graph.pairs import blocks
from ancestral.graph.pairs.blocks import BLOCK, CHUNK

# Sums may be reordered, so that they run on vector registers; NaN and infinity never come here.
_FAST = {"contract", "nsz", "reassoc", "nnan", "ninf"}


@compiled(otherwise=blocks.pair_moments, fastmath=_FAST)
def pair_moments(
    XT: NDArray[np.float64],
    weights: NDArray[np.float64],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int64],
    origin: float,
    scale: float,
    further: int,
    first: int,
    stride: int,
    moments: NDArray[np.float64],
    gap_range: NDArray[np.float64],
) -> None:
    """Add the pairs i < j of every `stride`-th block of rows to the moments of their cells.

    A pair with u = (x_i . x_j - origin) scale falls into cell k = floor(u) at t = u - k, and adds
    (1, t, t^2, t^3) to moments[k], times the product of its weights unless `weights` is empty.
    There are `further` layers of cells beyond the first, as `grid.Cells` has them.
    With `indptr` not empty (the sorted neighbours j > i of each i), gap_range is widened to the
    pairs that are not linked.
    """
    m, n = XT.shape
    count = len(moments) // (1 + further)
    s = np.empty(CHUNK)
    cell = np.empty(CHUNK, np.int32)
    weighted, tracking = len(weights) > 0, len(indptr) > 0
    for block in range(first, (n + BLOCK - 1) // BLOCK, stride):
        row_end = min((block + 1) * BLOCK, n)
        for left in range(block * BLOCK, n, CHUNK):
            right = min(left + CHUNK, n)
            for i in range(block * BLOCK, row_end):
                j0 = max(left, i + 1)
                if j0 >= right:
                    continue
                u, k = s[: right - j0], cell[: right - j0]
                u[:] = 0.0
                for c in range(m):
                    x, row = XT[c, i], XT[c, j0:right]
                    for j in range(len(u)):
                        u[j] += x * row[j]
                if tracking:
                    _widen(u, i, j0, indptr, indices, gap_range)
                _place(u, k, origin, scale, count, further)
                if weighted:
                    _deposit_weighted(u, k, weights[i], weights[j0:right], moments)
                else:
                    _deposit(u, k, moments)


@compiled(otherwise=blocks.value_moments, fastmath=_FAST)
def value_moments(
    values: NDArray[np.float64],
    origin: float,
    scale: float,
    further: int,
    moments: NDArray[np.float64],
) -> None:
    """Add given values of s to the moments of their cells."""
    count = len(moments) // (1 + further)
    s, cell = np.empty(CHUNK), np.empty(CHUNK, np.int32)
    for left in range(0, len(values), CHUNK):
        size = min(CHUNK, len(values) - left)
        u, k = s[:size], cell[:size]
        for j in range(size):
            u[j] = values[left + j]
        _place(u, k, origin, scale, count, further)
        _deposit(u, k, moments)


@compiled(fastmath=_FAST)
def _place(u: NDArray, k: NDArray, origin: float, scale: float, count: int, further: int) -> None:
    """Turn values of s into their place within a cell; note which cell."""
    top = count - 1e-9
    for j in range(len(u)):
        u[j] = (u[j] - origin) * scale
    if further:
        _sink(u, k, count, further)
    else:
        k[:] = 0
    for j in range(len(u)):
        v = min(max(u[j], 0.0), top)  # rounding at the ends
        cell_of = np.int32(v)
        k[j] += cell_of
        u[j] = v - cell_of


@compiled(fastmath=_FAST)
def _sink(u: NDArray, row: NDArray, count: int, further: int) -> None:
    """Halve what lies outside a layer until a further one holds it; note where that begins."""
    middle = 0.5 * count
    for j in range(len(u)):
        row[j] = 0
        if u[j] < 0.0 or u[j] >= count:
            x, layer = u[j] - middle, 0
            while (x < -middle or x >= middle) and layer < further:
                x, layer = 0.5 * x, layer + 1
            u[j], row[j] = x + middle, layer * count


@compiled(fastmath=_FAST)
def _deposit(t: NDArray, cell: NDArray, moments: NDArray) -> None:
    """Add (1, t, t^2, t^3) to each one's cell: one line of memory per pair."""
    for j in range(len(t)):
        row, x = np.uint32(cell[j]), t[j]
        moments[row, 0] += 1.0
        moments[row, 1] += x
        moments[row, 2] += x * x
        moments[row, 3] += x * x * x


@compiled(fastmath=_FAST)
def _deposit_weighted(
    t: NDArray, cell: NDArray, weight: float, weights: NDArray, moments: NDArray
) -> None:
    """The same, each pair times the product of its two weights."""
    for j in range(len(t)):
        row, x, w = np.uint32(cell[j]), t[j], weight * weights[j]
        moments[row, 0] += w
        moments[row, 1] += w * x
        moments[row, 2] += w * x * x
        moments[row, 3] += w * x * x * x


@compiled(fastmath=_FAST)
def _widen(
    s: NDArray, i: int, j0: int, indptr: NDArray, indices: NDArray, gap_range: NDArray
) -> None:
    """Widen gap_range to the products of node i with nodes j0, j0 + 1, ... that it is not tied to.

    Most chunks lie inside the range and cost one look at their ends; neighbours are searched only
    for products beyond it.
    """
    low, high = s[0], s[0]
    for j in range(len(s)):
        low, high = min(low, s[j]), max(high, s[j])
    if low >= gap_range[0] and high <= gap_range[1]:
        return
    neighbours = indices[indptr[i] : indptr[i + 1]]
    for j in range(len(s)):
        if s[j] < gap_range[0] or s[j] > gap_range[1]:
            place = _first_from(neighbours, j0 + j)
            if place == len(neighbours) or neighbours[place] != j0 + j:
                gap_range[0] = min(gap_range[0], s[j])
                gap_range[1] = max(gap_range[1], s[j])


@compiled()
def _first_from(row: NDArray, value: int) -> int:
    """Return the place of the first element of a sorted row that is at least `value`."""
    low, high = 0, len(row)
    while low < high:
        middle = (low + high) // 2
        if row[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@compiled(otherwise=blocks.upper_edges)
def upper_edges(
    X: NDArray[np.float64], indptr: NDArray, indices: NDArray
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the neighbours j > i of each i (as indptr and indices) and their x_i . x_j.

    Parameters
    ----------
    X : ndarray of shape (n, m)
    indptr, indices : a symmetric adjacency in CSR form, sorted
    """
    n, m = X.shape
    starts = np.zeros(n + 1, np.int64)
    for i in range(n):
        row = indices[indptr[i] : indptr[i + 1]]
        starts[i + 1] = starts[i] + len(row) - _first_from(row, i + 1)
    ends, s = np.empty(starts[n], np.int64), np.empty(starts[n])
    for i in range(n):
        place = starts[i]
        for k in range(indptr[i + 1] - (starts[i + 1] - place), indptr[i + 1]):
            j, total = indices[k], 0.0
            for c in range(m):
                total += X[i, c] * X[j, c]
            ends[place], s[place] = j, total
            place += 1
    return starts, ends, s


@compiled(otherwise=blocks.are_linked)
def are_linked(
    indptr: NDArray[np.int64], indices: NDArray[np.int64], i: NDArray, j: NDArray
) -> NDArray[np.bool_]:
    """Tell which of the pairs i < j are edges, given the sorted neighbours j > i of each i."""
    found = np.zeros(len(i), np.bool_)
    for k in range(len(i)):
        row = indices[indptr[i[k]] : indptr[i[k] + 1]]
        place = _first_from(row, j[k])
        found[k] = place < len(row) and row[place] == j[k]
    return found
