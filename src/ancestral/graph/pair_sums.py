"""Sums over all pairs of nodes without keeping, or without visiting, all pairs.

The likelihood needs the features only through the distribution of s = x_i . x_j. How it is found:

    products     keep every s                     few pairs: up to a million in all
    visited      one pass over the pairs          n^2 / 2 pairs at some nanoseconds each
    distinct     one pass over pairs of distinct rows of features, exact; categorical features
    compressed   one pass over pairs of Chebyshev points, linear in n; up to three features;
                 holds near one (a, b) only
    sampled      a stratified sample of the pairs, with its standard error; only when asked for

All but the first give a `PairGrid` (sampled: a `SampledPairs`), whose size does not grow with the
number of pairs. Edges are always visited, every one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._validation import MAX_SAMPLE_BYTES, check_integer
from ancestral.errors import ModelError
from ancestral.graph.graphs import Graph
from ancestral.graph.grid import Cells, PairGrid
from ancestral.graph.pairs import KEPT_PAIRS, Extremes, InnerProducts, PairStatistics

Float = NDArray[np.float64]

# A graph of up to so many pairs (20,000 nodes) is visited rather than compressed: that takes about
# a second on two cores, and its grid then holds at every (a, b), whatever it is fitted with.
VISITED_PAIRS = 200_000_000
MOST_PAIRS = 200_000_000_000  # visited without being asked for: some minutes
NANOSECONDS = 2.0, 0.2  # per visited pair and core, and for each feature: for messages
SEEN_GAPS = 200_000  # unlinked pairs looked at where not all are visited
GROUPS = 16  # of rows, summed apart and then in order: the same bits for any number of threads
WAYS = ("auto", "products", "visited", "compressed", "sampled")


def gather(
    graphs: Sequence[Graph],
    *,
    pairs: str = "auto",
    at: tuple[float, float] | None = None,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> PairStatistics:
    """Return the statistics of graphs.

    Parameters
    ----------
    graphs : sequence of Graph
        Of one feature width.
    pairs : {"auto", "products", "visited", "compressed", "sampled"}
        "auto" takes the cheapest way that is exact or nearly so; it never samples.
    at : tuple of float, optional
        (a, b) at which the statistics will be evaluated; without it, near their maximum. It only
        matters to graphs of more than 20,000 nodes, as they are compressed.
    n_jobs : int, optional
        Threads; by default one for each core.
    random_state : None, int, RandomState or Generator
        For "sampled".

    Returns
    -------
    InnerProducts, PairGrid or SampledPairs

    Raises
    ------
    ModelError
        When there are too many pairs to keep or to visit, with an estimate, before memory is
        taken; when compression does not apply.
    """
    if pairs not in WAYS:
        raise ModelError(f"pairs must be one of {', '.join(WAYS)}; got {pairs!r}.")
    count = sum(graph.n_pairs for graph in graphs)
    if pairs == "sampled":
        from ancestral.graph.pair_sampling import sample_pairs

        return sample_pairs(graphs, random_state=random_state, n_jobs=n_jobs)
    if pairs == "products" or (pairs == "auto" and count <= KEPT_PAIRS):
        _refuse_many_products(count)
        return InnerProducts.of(graphs)
    if pairs == "visited":
        return visit(graphs, n_jobs=n_jobs)
    must_compress = pairs == "compressed" and at is None
    return _cheapest(graphs, at=at, must_compress=must_compress, n_jobs=n_jobs)


def _cheapest(
    graphs: Sequence[Graph],
    *,
    at: tuple[float, float] | None,
    must_compress: bool,
    n_jobs: int | None,
) -> PairGrid:
    """Return the grid of graphs, each compressed if that pays, else visited."""
    from ancestral.graph.compression import FEWEST_NODES, WIDEST, by_chebyshev, by_distinct_rows

    total, large, left = PairGrid.empty(), [], []
    for graph in graphs:
        by_rows = by_distinct_rows(graph, n_jobs=n_jobs)
        pays = graph.n_pairs > VISITED_PAIRS or (must_compress and graph.n_nodes >= FEWEST_NODES)
        if by_rows is not None:
            total = total + by_rows
        elif pays and graph.features.shape[1] <= WIDEST:
            large.append(graph)
        else:
            left.append(graph)
    refuse = _refuse_incompressible if must_compress else refuse_many_pairs
    refuse(left)
    total = total + visit(left, n_jobs=n_jobs)
    if not large:
        return total
    grids = by_chebyshev(large, total, at=at, n_jobs=n_jobs)
    left = [graph for graph, grid in zip(large, grids) if grid is None]
    refuse(left)
    for grid in grids:
        if grid is not None:
            total = total + grid
    return total + visit(left, n_jobs=n_jobs)


def _refuse_incompressible(graphs: Sequence[Graph]) -> None:
    """Raise ModelError when there are any graphs: they do not compress."""
    for graph in graphs:
        raise ModelError(
            f"a graph of {graph.n_nodes} nodes and {graph.features.shape[1]} features does not "
            'compress: that needs thousands of nodes and few features. Pass pairs="auto".'
        )


def _refuse_many_products(pairs: int) -> None:
    """Raise ModelError when the inner products would not fit in memory."""
    needed = 48 * pairs  # at the peak, while they are gathered
    if needed > MAX_SAMPLE_BYTES:
        raise ModelError(
            f"{pairs:.2g} inner products need {needed / 2**30:.0f} GiB, over the limit of "
            f'{MAX_SAMPLE_BYTES >> 30} GiB. Pass pairs="auto".'
        )


def refuse_many_pairs(graphs: Sequence[Graph]) -> None:
    """Raise ModelError when visiting the pairs of graphs would take too long."""
    pairs = sum(graph.n_pairs for graph in graphs)
    if pairs > MOST_PAIRS:
        largest = max(graph.n_nodes for graph in graphs)
        width = graphs[0].features.shape[1]
        seconds = pairs * (NANOSECONDS[0] + NANOSECONDS[1] * width) * 1e-9 / cores()
        raise ModelError(
            f"{pairs:.2g} pairs of nodes (the largest graph has {largest}) would take about "
            f'{seconds / 60:.0f} minutes to visit. Pass pairs="sampled" for a stratified sample of '
            'them with its standard error, or pairs="visited" to visit them all the same.'
        )


def visit(graphs: Sequence[Graph], *, n_jobs: int | None = None) -> PairGrid:
    """Return the grid of every pair of graphs, in one pass.

    Parameters
    ----------
    graphs : sequence of Graph
        Of one feature width.
    n_jobs : int, optional
        Threads; the result does not depend on their number, to the bit.

    Returns
    -------
    PairGrid
    """
    graphs = [graph for graph in graphs if graph.n_pairs]
    if not graphs:
        return PairGrid.empty()
    ranges = np.array([product_range(graph.features) for graph in graphs])
    some = np.concatenate([some_products(graph.features) for graph in graphs])
    cells = Cells.over(ranges[:, 0].min(), ranges[:, 1].max(), some)
    moments, extremes = cells.zeros(), Extremes()
    n_edges, edge_sum = 0, 0.0
    for graph in graphs:
        edges = Edges.of(graph)
        part, gaps = pass_over(graph.features, cells, edges=edges, n_jobs=n_jobs)
        moments += part
        n_edges, edge_sum = n_edges + len(edges.s), edge_sum + float(edges.s.sum())
        extremes = extremes | Extremes.of(edges.s, gaps[np.isfinite(gaps)])
    return PairGrid.of_cells(cells, moments, n_edges, edge_sum, extremes)


@dataclass(frozen=True)
class Edges:
    """The edges of a graph, each once, with its s.

    Parameters
    ----------
    starts : ndarray of shape (n_nodes + 1,)
    ends : ndarray of shape (n_edges,)
        ends[starts[i] : starts[i + 1]] are the neighbours j > i of node i, sorted.
    s : ndarray of shape (n_edges,)
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    s: Float

    @classmethod
    def of(cls, graph: Graph) -> Edges:
        """Gather the edges of a graph."""
        from ancestral.graph import pair_kernels

        adjacency = graph.adjacency if graph.is_sparse else graph.to_sparse()
        X = np.ascontiguousarray(graph.features)
        index = (adjacency.indptr, adjacency.indices)
        return cls(*pair_kernels.upper_edges(X, *(v.astype(np.int64, copy=False) for v in index)))

    def rows(self) -> NDArray[np.int64]:
        """Return the end i < j of every edge."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def hold(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which of the pairs i < j are edges."""
        from ancestral.graph import pair_kernels

        found: NDArray[np.bool_] = pair_kernels.are_linked(self.starts, self.ends, i, j)
        return found


def pass_over(
    features: Float,
    cells: Cells,
    *,
    weights: Float | None = None,
    edges: Edges | None = None,
    n_jobs: int | None = None,
) -> tuple[Float, Float]:
    """Return moments in cells over all pairs i < j of rows, and the range of s over gaps.

    Parameters
    ----------
    features : ndarray of shape (n, m)
    cells : Cells
    weights : ndarray of shape (n,), optional
        A pair counts as the product of its two weights; as one where there are none.
    edges : Edges, optional
        With it, the range of s over all other pairs is found too.
    n_jobs : int, optional

    Returns
    -------
    moments : ndarray of shape (cells of all layers, 4)
    gaps : ndarray of shape (2,)
        (inf, -inf) without edges.
    """
    from ancestral.graph import pair_kernels

    XT = np.ascontiguousarray(features.T)
    nobody = np.zeros(0, np.int64)
    starts, ends = (nobody, nobody) if edges is None else (edges.starts, edges.ends)
    w = np.zeros(0) if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
    groups = GROUPS if len(features) > 4 * pair_kernels.BLOCK else 1

    def one(group: int) -> tuple[Float, Float]:
        moments, gaps = cells.zeros(), np.array([np.inf, -np.inf])
        pair_kernels.pair_moments(
            XT,
            w,
            starts,
            ends,
            cells.start * cells.step,
            1.0 / cells.step,
            cells.further,
            group,
            groups,
            moments,
            gaps,
        )
        return moments, gaps

    parts = in_threads(one, groups, n_jobs)
    gaps = np.array([min(part[1][0] for part in parts), max(part[1][1] for part in parts)])
    moments = parts[0][0]
    for part, _ in parts[1:]:  # in order, whatever thread was first: the same bits
        moments += part
    return moments, gaps


def seen_extremes(graph: Graph, edges: Edges) -> Extremes:
    """Return the range of s over edges, and over gaps: random ones, and those at extreme edges."""
    n, rng = graph.n_nodes, np.random.default_rng(0)
    one, two = rng.integers(0, n, (2, SEEN_GAPS))
    if len(edges.s):
        extreme = np.array([edges.s.argmin(), edges.s.argmax()])
        rows = np.searchsorted(edges.starts, extreme, side="right") - 1
        ends = np.unique(np.concatenate([rows, edges.ends[extreme]]))
        one = np.concatenate([one, np.repeat(ends, n)])
        two = np.concatenate([two, np.tile(np.arange(n), len(ends))])
    i, j = np.minimum(one, two), np.maximum(one, two)
    free = (i != j) & ~edges.hold(i, j)
    return Extremes.of(edges.s, products(graph.features, i[free], j[free]))


def in_threads(work: Callable[[int], Any], count: int, n_jobs: int | None = None) -> list[Any]:
    """Return work(0), ..., work(count - 1), in that order, done by threads."""
    jobs = min(count, cores() if n_jobs is None else check_integer(n_jobs, "n_jobs", minimum=1))
    if jobs <= 1:
        return [work(k) for k in range(count)]
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(work, range(count)))


def cores() -> int:
    """Return the number of cores this process may use."""
    import joblib

    return int(joblib.cpu_count())


def products(features: Float, i: NDArray, j: NDArray) -> Float:
    """Return x_i . x_j for each of the given pairs, without large temporaries."""
    s = np.empty(len(i))
    for start in range(0, len(i), 1 << 18):
        part = slice(start, start + (1 << 18))
        s[part] = np.einsum("ij,ij->i", features[i[part]], features[j[part]])
    return s


def product_range(features: Float) -> tuple[float, float]:
    """Return bounds of x_i . x_j over pairs of rows: from their box, and from their norms."""
    below, above = box_range(features.min(axis=0), features.max(axis=0))
    reach = float((features * features).sum(axis=1).max())
    return max(below, -reach), min(above, reach)


def some_products(features: Float) -> Float:
    """Return x_i . x_j of some pairs of rows, always the same ones."""
    i, j = np.random.default_rng(0).integers(0, len(features), (2, min(len(features), 10_000)))
    return products(features, i, j)


def box_range(low: Float, high: Float) -> tuple[float, float]:
    """Return the range of x . y over two points of a box."""
    corners = np.stack([low * low, low * high, high * high])
    return float(corners.min(axis=0).sum()), float(corners.max(axis=0).sum())
