"""The loops of `kernels` in NumPy, some rows and columns of pairs at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]

BLOCK = 128  # rows that share a chunk of columns, as in `kernels`
CHUNK = 512  # columns whose features and products stay in the first-level cache
AT_ONCE = 1 << 15  # pairs whose products stay in the cache
SOME = 1 << 18  # pairs, where they are given one by one


def pair_moments(
    XT: Float,
    weights: Float,
    indptr: Int,
    indices: Int,
    origin: float,
    scale: float,
    further: int,
    first: int,
    stride: int,
    moments: Float,
    gap_range: Float,
) -> None:
    """Add the pairs of some blocks of rows to the moments of their cells."""
    n = XT.shape[1]
    X, weighted, tracking = np.ascontiguousarray(XT.T), len(weights) > 0, len(indptr) > 0
    height = max(BLOCK, AT_ONCE // n)
    rows = np.zeros((4, len(moments)))
    chunk = max(CHUNK, len(moments) // BLOCK)  # sums of as many cells are worth as many pairs
    for top in range(first * height, n, stride * height):
        bottom = min(top + height, n)
        for left in range(top, n, chunk):
            right = min(left + chunk, n)
            S = X[top:bottom] @ XT[:, left:right]
            if tracking:
                _widen(S, top, left, indptr, indices, gap_range)
            s = S.ravel()
            w = np.outer(weights[top:bottom], weights[left:right]).ravel() if weighted else None
            if left < bottom:
                upper = (np.arange(top, bottom)[:, None] < np.arange(left, right)).ravel()
                s, w = s[upper], None if w is None else w[upper]
            if len(s):
                _add_cells(s, w, origin, scale, further, rows)
    moments += rows.T


def _widen(S: Float, top: int, left: int, indptr: Int, indices: Int, gap_range: Float) -> None:
    """Widen gap_range to those of a block's products whose two nodes are not linked."""
    rows, columns = S.shape
    if S.min() >= gap_range[0] and S.max() <= gap_range[1]:
        return
    i = np.repeat(np.arange(rows), np.diff(indptr[top : top + rows + 1]))
    j = indices[indptr[top] : indptr[top + rows]] - left
    inside = (j >= 0) & (j < columns)
    i, j = i[inside], j[inside]
    flat, at = S.ravel(), i * columns + j
    held = flat[at]
    if left < top + rows:  # pairs of nodes of this block stand on both sides of its diagonal
        d = np.arange(max(top, left), min(top + rows, left + columns))
        i2, j2 = j + left - top, i + top - left
        both = (i2 < rows) & (j2 >= 0)
        mirrored = i2[both] * columns + j2[both]
        hidden = np.concatenate([at, mirrored, (d - top) * columns + d - left])
    else:
        hidden = at
    flat[hidden] = np.inf
    gap_range[0] = min(gap_range[0], flat.min())
    flat[hidden] = -np.inf
    gap_range[1] = max(gap_range[1], flat.max())
    flat[at] = held


def value_moments(values: Float, origin: float, scale: float, further: int, moments: Float) -> None:
    """Add given values of s to the moments of their cells."""
    rows = np.zeros((4, len(moments)))
    for start in range(0, len(values), AT_ONCE):
        _add_cells(values[start : start + AT_ONCE].copy(), None, origin, scale, further, rows)
    moments += rows.T


def cell_moments(
    s: Float, weights: Float | None, origin: float, scale: float, further: int, size: int
) -> Float:
    """Return the sums of (1, t, t^2, t^3) in each of `size` cells over given s.

    Parameters
    ----------
    s : ndarray of shape (n,)
    weights : ndarray of shape (n,), optional
    origin, scale, further : of `grid.Cells`
    size : int
        Cells of all layers.
    """
    rows = np.zeros((4, size))
    _add_cells(s.copy(), weights, origin, scale, further, rows)
    return np.ascontiguousarray(rows.T)


def _add_cells(
    s: Float, weights: Float | None, origin: float, scale: float, further: int, rows: Float
) -> None:
    """Add the same sums to `rows`, (4, size); s is used up."""
    size = rows.shape[1]
    count = size // (1 + further)
    u, layer = s, None
    u -= origin
    u *= scale
    for _ in range(further):
        beyond = (u < 0) | (u >= count)
        if not beyond.any():
            break
        layer = np.zeros(len(s), np.int64) if layer is None else layer
        u[beyond] = (u[beyond] - 0.5 * count) / 2 + 0.5 * count
        layer[beyond] += count
    cell = u.astype(np.int64)
    np.clip(cell, 0, count - 1, out=cell)  # rounding at the ends
    u -= cell
    if layer is not None:
        cell += layer
    rows[0] += np.bincount(cell, weights, minlength=size)
    power = u if weights is None else weights * u
    for k in (1, 2, 3):
        rows[k] += np.bincount(cell, power, minlength=size)
        if k < 3:
            power = power * u


def upper_edges(X: Float, indptr: Int, indices: Int) -> tuple[Int, Int, Float]:
    """Return the neighbours j > i of each i (as indptr and indices) and their x_i . x_j."""
    rows = np.repeat(np.arange(len(X)), np.diff(indptr))
    upper = indices > rows
    i, j = rows[upper], indices[upper]
    starts = np.zeros(len(X) + 1, np.int64)
    np.cumsum(np.bincount(i, minlength=len(X)), out=starts[1:])
    return starts, j, products(X, i, j)


def are_linked(indptr: Int, indices: Int, i: Int, j: Int) -> NDArray[np.bool_]:
    """Tell which of the pairs i < j are edges, given the sorted neighbours j > i of each i."""
    return _among(_codes(indptr, indices), i * (len(indptr) - 1) + j)


def _codes(indptr: Int, indices: Int) -> Int:
    """Return i n + j of every edge, rising."""
    n = len(indptr) - 1
    return np.repeat(np.arange(n), np.diff(indptr)) * n + indices


def _among(rising: Int, values: Int) -> NDArray[np.bool_]:
    """Tell which values are among rising ones."""
    if not len(rising):
        return np.zeros(len(values), np.bool_)
    place = np.minimum(np.searchsorted(rising, values), len(rising) - 1)
    found: NDArray[np.bool_] = rising[place] == values
    return found


def products(features: Float, i: NDArray, j: NDArray) -> Float:
    """Return x_i . x_j for each of the given pairs, without large temporaries."""
    s = np.empty(len(i))
    for start in range(0, len(i), SOME):
        part = slice(start, start + SOME)
        s[part] = np.einsum("ij,ij->i", features[i[part]], features[j[part]])
    return s
