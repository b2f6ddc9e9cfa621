"""Exact edges of the inner-product graph model without visiting every pair of nodes.

    e_ij ~ Bernoulli(p_ij),  p_ij = sigmoid(a x_i . x_j + b),   i < j independent

Nodes are put into cells, the leaves and branches of a k-d tree, each with its tight box. The boxes
bound s, so p, between two cells; a pair of cells is split until its bound wastes little. The dyads
of a pair of cells stand in a line, and candidates are drawn at geometric distances, as if each had
the probability of the bound; a candidate is kept with probability p_ij / bound. Every dyad is then
an edge with probability p_ij exactly, independently of the others, and the cost goes with the
number of edges and of cells, not with n^2.

References: Devroye (1986), Non-Uniform Random Variate Generation, ch. II.3 and X.2; Batagelj &
Brandes (2005), Physical Review E 71, 036113.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree
from scipy.special import expit

from ancestral._checks.numbers import MAX_SAMPLE_BYTES, as_generator, check_integer, check_number
from ancestral.errors import ModelError
from ancestral.graph import costs
from ancestral.graph.adjacency import DENSE_NODES, symmetric
from ancestral.graph.edges import blocks
from ancestral.graph.graphs import Graph, checked_features
from ancestral.graph.pairs.passes import dealt, products

Float = NDArray[np.float64]

LEAF = 16  # nodes of a cell that is not split further
WASTE = 12.0  # candidates that may be refused in a pair of cells before splitting it pays
STREAMS = 64  # at most: pairs of cells are dealt to random streams, whatever the number of threads
STREAM_PAIRS = 1_000_000  # pairs of nodes that deserve a stream of their own
FRONTIER = 4_096  # pairs of cells to deal
SOME_PAIRS = 512  # of leaves, whose bounds tell what cells would cost
AT_ONCE = 1 << 15  # pairs of a small graph, whose numbers stay in the cache
EDGE_BYTES = 48  # at the peak, while the sparse adjacency is made


def draw_graph(
    features: Float,
    slope: float,
    intercept: float,
    rng: np.random.Generator,
    *,
    n_jobs: int | None = None,
    feature_names: tuple[str, ...] | None = None,
) -> Graph:
    """Draw a graph given its features: by cells of nodes where that is cheaper, or by pairs."""
    n = len(features)
    edges: Any
    if costs.pays_to_draw_by_cells(n) and costs.pays_to_draw_by_cells(
        n, _candidates(features, slope, intercept)
    ):
        edges = sample_edges(features, slope, intercept, random_state=rng, n_jobs=n_jobs)
        edges = edges if n > DENSE_NODES else edges.toarray()
    elif n > DENSE_NODES:
        _refuse_many_edges(features, slope, intercept)
        edges = _by_pairs(features, slope, intercept, rng)
    else:
        adjacency = np.zeros((n, n), np.bool_)
        for rows, upper in _drawn_pairs(features, slope, intercept, rng):
            adjacency[rows, rows.start :] = upper
            adjacency[rows.start :, rows] |= upper.T
        edges = adjacency.view(np.int8)
    return Graph.of_checked(features if n > DENSE_NODES else features.copy(), edges, feature_names)


def _candidates(X: Float, a: float, b: float) -> float:
    """Return about which share of pairs are candidates, from the bounds of some pairs of leaves."""
    if not X.shape[1]:
        return float(expit(b))
    cells = CellTree.of(np.ascontiguousarray(X))
    leaf = np.flatnonzero(cells.child == 0)
    one, two = leaf[np.random.default_rng(0).integers(0, len(leaf), (2, SOME_PAIRS))]
    bound, _ = blocks.bounds(one, two, cells.low, cells.high, cells.reach, a, b)
    sizes = cells.end - cells.start
    return float(np.average(bound, weights=sizes[one] * sizes[two]))


def _by_pairs(X: Float, a: float, b: float, rng: np.random.Generator) -> sparse.csr_array:
    """Draw the edges of many nodes pair by pair."""
    from ancestral.graph.edges import kernels

    first, second = [], []
    for rows, upper in _drawn_pairs(X, a, b, rng):
        places = np.flatnonzero(upper).astype(np.uint32 if upper.size < 1 << 32 else np.int64)
        i, j = np.divmod(places, places.dtype.type(upper.shape[1]))
        first.append(i.astype(np.int32) + np.int32(rows.start))
        second.append(j.astype(np.int32) + np.int32(rows.start))
    i, j = np.concatenate(first), np.concatenate(second)
    indptr, indices = kernels.neighbour_lists(i, j, len(X))
    return sparse.csr_array((np.ones(len(indices), np.int8), indices, indptr), shape=(len(X),) * 2)


def _drawn_pairs(
    features: Float, slope: float, intercept: float, rng: np.random.Generator
) -> Iterator[tuple[slice, NDArray[np.bool_]]]:
    """Draw pair by pair; yield some rows, and which later nodes these are linked to."""
    n = len(features)
    height = max(1, AT_ONCE // n)
    for top in range(0, n, height):  # row by row: the same draw, however many at once
        rows = slice(top, top + height)
        z = features[rows] @ features[top:].T
        upper = np.less.outer(np.arange(len(z)), np.arange(z.shape[1]))
        eta = z[upper]
        eta *= -slope
        eta -= intercept
        with np.errstate(over="ignore"):  # to a probability of 0
            p = 1.0 / (1.0 + np.exp(eta))
        upper[upper] = rng.random(len(p)) < p
        yield slice(top, top + len(z)), upper


def drawn_shape(
    shape: tuple[int, ...], n_nodes: Any, n_features: Any, *, is_fixed: bool
) -> tuple[int, int]:
    """Return nodes and width of the features to draw: as asked for, else those of `shape`.

    Raise ModelError where another number is asked for than that of a fixed shape.
    """
    asked = {"n_nodes": n_nodes, "n_features": n_features}
    sizes = []
    for size, (name, value) in zip(shape, asked.items(), strict=True):
        wanted = size if value is None else check_integer(value, name, minimum=1)
        if is_fixed and wanted != size:
            raise ModelError(
                f"{name}={wanted} contradicts the features given, of shape {shape}: leave it out."
            )
        sizes.append(wanted)
    return sizes[0], sizes[1]


def sample_edges(
    features: Float,
    slope: float,
    intercept: float,
    *,
    random_state: Any = None,
    n_jobs: int | None = None,
) -> sparse.csr_array:
    """Draw the edges among nodes with given features.

    Parameters
    ----------
    features : array-like of shape (n_nodes, n_features)
    slope, intercept : float
        a and b.
    random_state : None, int, RandomState or Generator
    n_jobs : int, optional
        Threads, by default one for each core: the draw does not depend on their number.

    Returns
    -------
    scipy.sparse.csr_array of shape (n_nodes, n_nodes), int8
        Symmetric, sorted, without loops.

    Raises
    ------
    DataError
        For features that are no finite numbers.
    ModelError
        For a slope or an intercept that is not finite, and when the edges to be expected would
        not fit in memory, before they are drawn.

    Notes
    -----
    About 0.1 to 0.2 microseconds an edge and core for features of a few dimensions; the more
    dimensions, the looser the boxes, and the nearer the cost to that of all pairs. Without numba
    some three times as much, and one seed gives another draw of the same distribution.

    Examples
    --------
    >>> X = np.random.default_rng(0).uniform(-1, 1, (3000, 3))
    >>> A = sample_edges(X, 5.5, -8.0, random_state=0)
    >>> (A != A.T).nnz, int(A.diagonal().sum())
    (0, 0)
    """
    from ancestral.graph.edges import kernels

    rng = as_generator(random_state)
    slope, intercept = check_number(slope, "slope"), check_number(intercept, "intercept")
    X = np.ascontiguousarray(checked_features(features))
    n = len(X)
    if not X.shape[1]:
        X = np.zeros((n, 1))  # every inner product is 0, as without features
    _refuse_many_edges(X, slope, intercept)
    if n < 2:
        return symmetric(np.zeros(0, np.int64), np.zeros(0, np.int64), n)
    cells = CellTree.of(X)
    parts = _draw(cells, X[cells.order], slope, intercept, rng, n_jobs)
    order = cells.order.astype(np.int32)
    i = order[np.concatenate([part[0] for part in parts])]
    j = order[np.concatenate([part[1] for part in parts])]
    indptr, indices = kernels.neighbour_lists(i, j, n)
    return sparse.csr_array((np.ones(len(indices), np.int8), indices, indptr), shape=(n, n))


def _draw(
    cells: CellTree, X: Float, a: float, b: float, rng: np.random.Generator, n_jobs: int | None
) -> list[tuple[NDArray[np.int32], NDArray[np.int32], int]]:
    """Return both ends of the edges of each stream, as places in the cells' order."""
    from ancestral.graph.edges import kernels

    root = np.zeros(1, np.int64)
    boxes = (cells.low, cells.high, cells.reach)
    tree = (cells.start, cells.end)
    split = kernels.split_pairs
    one, two = split(root, root, *tree, cells.child, *boxes, a, b, WASTE, FRONTIER)
    entropy = rng.integers(0, 2**32, size=8, dtype=np.uint64)
    streams = min(STREAMS, 1 + len(X) * (len(X) - 1) // (2 * STREAM_PAIRS))
    seeds = np.random.SeedSequence(entropy.tolist()).spawn(streams)

    def deal(k: int) -> tuple[NDArray[np.int32], NDArray[np.int32], int]:
        mine = one[k::streams].copy(), two[k::streams].copy()
        if not len(mine[0]):
            return np.zeros(0, np.int32), np.zeros(0, np.int32), 0
        fine = split(*mine, *tree, cells.child, *boxes, a, b, WASTE, np.iinfo(np.int64).max)
        stream = np.random.default_rng(seeds[k])
        i, j, tried = kernels.draw_edges(*fine, *tree, *boxes, X, a, b, stream)
        return i, j, tried

    return dealt(deal, streams, n_jobs)


@dataclass(frozen=True)
class CellTree:
    """A k-d tree as arrays: cell k holds nodes order[start[k] : end[k]].

    Parameters
    ----------
    order : ndarray of shape (n_nodes,)
    start, end, child : ndarray of shape (n_cells,)
        The children of cell k are child[k] and child[k] + 1; 0 marks a leaf.
    low, high : ndarray of shape (n_cells, n_features)
        The tight box of its nodes.
    reach : ndarray of shape (n_cells,)
        Their largest norm.
    """

    order: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    child: NDArray[np.int64]
    low: Float
    high: Float
    reach: Float

    @classmethod
    def of(cls, X: Float) -> CellTree:
        """Put the rows of X into cells."""
        tree = cKDTree(X, leafsize=LEAF, compact_nodes=False)
        start, end, child = [], [], []
        queue = deque([tree.tree])  # by levels, so that siblings stand side by side
        seen = 1
        while queue:
            cell = queue.popleft()
            start.append(cell.start_idx)
            end.append(cell.end_idx)
            leaf = cell.split_dim < 0
            child.append(0 if leaf else seen)
            if not leaf:
                queue += (cell.lesser, cell.greater)
                seen += 2
        places = np.array([start, end, child], np.int64)
        ordered = X[tree.indices]
        low, high, reach = _boxes(ordered, *places)
        return cls(tree.indices.astype(np.int64), places[0], places[1], places[2], low, high, reach)


def _boxes(X: Float, start: NDArray, end: NDArray, child: NDArray) -> tuple[Float, Float, Float]:
    """Return low, high and largest norm of each cell: leaves from nodes, branches from children."""
    low, high = np.empty((len(start), X.shape[1])), np.empty((len(start), X.shape[1]))
    reach = np.empty(len(start))
    leaf = np.flatnonzero(child == 0)
    leaf = leaf[np.argsort(start[leaf])]  # side by side, they cover all nodes
    low[leaf] = np.minimum.reduceat(X, start[leaf])
    high[leaf] = np.maximum.reduceat(X, start[leaf])
    reach[leaf] = np.sqrt(np.maximum.reduceat(np.einsum("ij,ij->i", X, X), start[leaf]))
    levels = [np.zeros(1, np.int64)]
    while len(levels[-1]):
        first = child[levels[-1]]
        first = first[first > 0]
        levels.append(np.concatenate([first, first + 1]))
    for cells in reversed(levels):
        branch = cells[child[cells] > 0]
        one, two = child[branch], child[branch] + 1
        low[branch] = np.minimum(low[one], low[two])
        high[branch] = np.maximum(high[one], high[two])
        reach[branch] = np.maximum(reach[one], reach[two])
    return low, high, reach


def _refuse_many_edges(X: Float, a: float, b: float) -> None:
    """Raise ModelError when the edges to be expected, from some pairs, would not fit."""
    n = len(X)
    pairs = n * (n - 1) / 2
    if pairs * EDGE_BYTES <= MAX_SAMPLE_BYTES:
        return
    i, j = np.random.default_rng(0).integers(0, n, (2, 100_000))
    edges = pairs * float(expit(a * products(X, i, j) + b).mean())
    if edges * EDGE_BYTES > MAX_SAMPLE_BYTES:
        raise ModelError(
            f"n_nodes={n} would give about {edges:.2g} edges, which need "
            f"{edges * EDGE_BYTES / 2**30:.0f} GiB, over the limit of "
            f"{MAX_SAMPLE_BYTES >> 30} GiB. Draw smaller graphs, or lower the intercept."
        )
