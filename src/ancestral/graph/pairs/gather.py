"""Where sums over pairs come from: the cheapest way that holds.

    kept         every s                          few pairs: up to a million in all
    visited      one pass over the pairs          n^2 / 2 pairs at some nanoseconds each
    distinct     one pass over pairs of distinct rows of features, exact; categorical features
    compressed   one pass over pairs of Chebyshev points, linear in n; up to three features;
                 holds near one (a, b) only
    sampled      a stratified sample of the pairs, with its standard error; only when asked for

All but the first two of few kinds give a grid, whose size does not grow with the number of pairs.
Edges are always visited, every one. The graphs are kept beside their sums while they are not too
large, so that sums which do not hold at some (a, b) can be gathered anew for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ancestral._checks.numbers import MAX_SAMPLE_BYTES, as_generator, check_integer
from ancestral.errors import ModelError
from ancestral.graph import costs
from ancestral.graph.adjacency import DENSE_NODES
from ancestral.graph.compiled import numba, say_slower
from ancestral.graph.graphs import Graph
from ancestral.graph.pairs.compression import (
    FEWEST_NODES,
    WIDEST,
    by_chebyshev,
    by_distinct_rows,
)
from ancestral.graph.pairs.grid import Cells
from ancestral.graph.pairs.logistic import softplus
from ancestral.graph.pairs.passes import (
    Edges,
    cores,
    moments_of,
    pass_over,
    product_range,
    products,
    some_products,
)
from ancestral.graph.pairs.separation import Extremes
from ancestral.graph.pairs.stratified import SAMPLED, sampled
from ancestral.graph.pairs.sums import KEPT_PAIRS, PairSums

Float = NDArray[np.float64]

MOST_PAIRS = 200_000_000_000  # visited without being asked for: some minutes
NANOSECONDS = 2.0, 0.2  # per visited pair and core, and for each feature: for messages
LOST = 15.0  # nanoseconds more per visited pair and core, without numba
FEWEST_GROUPED, SOME = 1_000, 256  # pairs among which equal s are looked for, and how many are
SPARSE = 64  # bytes of an array for each link, above which a sparse adjacency is the smaller
STACKED = 128  # nodes of graphs whose products are taken many graphs at a time
SOURCE_BYTES = 256 << 20  # of graphs of several chunks that are kept beside their sums
WAYS = ("auto", "products", "visited", "compressed", "sampled")


@dataclass(frozen=True)
class Graphs:
    """The graphs that sums were gathered from, and how."""

    graphs: tuple[Graph, ...]
    settings: tuple[tuple[str, Any], ...]

    def __add__(self, other: Graphs | None) -> Graphs | None:
        """Return both sets of graphs, or None where they are too many to be held."""
        if other is None or other.settings != self.settings:
            return None
        both = self.graphs + other.graphs
        return Graphs(both, self.settings) if _bytes_of(both) <= SOURCE_BYTES else None

    def gathered(self, at: tuple[float, float]) -> PairSums:
        """Return sums that hold at (a, b)."""
        return gather(self.graphs, at=at, **dict(self.settings))

    def visited(self, at: tuple[float, float]) -> PairSums:
        """Return sums that hold at (a, b), every pair visited."""
        return gather(self.graphs, at=at, **{**dict(self.settings), "pairs": "visited"})


def _bytes_of(graphs: Sequence[Graph]) -> int:
    """Return the memory that graphs take."""
    total = 0
    for graph in graphs:
        E = graph.adjacency
        parts = (E.data, E.indices, E.indptr) if graph.is_sparse else (E,)
        total += graph.features.nbytes + sum(part.nbytes for part in parts)
    return total


def gather(
    graphs: Sequence[Graph],
    *,
    pairs: str = "auto",
    at: tuple[float, float] | None = None,
    by_size: bool = False,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> PairSums:
    """Return the sums over pairs of graphs.

    Parameters
    ----------
    graphs : sequence of Graph
        Of one feature width.
    pairs : {"auto", "products", "visited", "compressed", "sampled"}
        "auto" takes the cheapest way that is exact or nearly so; it never samples.
    at : tuple of float, optional
        (a, b) at which the sums will be evaluated; without it, near their maximum.
    by_size : bool
        Take log n off the logits in a graph of n nodes.
    n_jobs : int, optional
        Threads; by default one for each core.
    random_state : None, int, RandomState or Generator
        For "sampled".

    Returns
    -------
    PairSums

    Raises
    ------
    ModelError
        When there are too many pairs to keep or to visit, with an estimate, before memory is
        taken; when compression does not apply.
    """
    if pairs not in WAYS:
        raise ModelError(f"pairs must be one of {', '.join(WAYS)}; got {pairs!r}.")
    if n_jobs is not None:
        n_jobs = check_integer(n_jobs, "n_jobs", minimum=1)
    graphs = [_thinned(graph) for graph in graphs]
    way = "products" if pairs == "auto" and _keeps(graphs, at) else pairs
    if not by_size:
        total = _gathered(graphs, way, at, n_jobs, random_state)
    else:
        sizes: dict[int, list[Graph]] = {}
        for graph in graphs:
            sizes.setdefault(graph.n_nodes, []).append(graph)
        total = PairSums()
        for n, some in sizes.items():
            offset = -float(np.log(max(n, 1)))
            near = None if at is None else (at[0], at[1] + offset)
            total = total + _gathered(some, way, near, n_jobs, random_state).shifted(offset)
    settings = (("pairs", pairs), ("by_size", by_size), ("n_jobs", n_jobs))
    return total.beside(source=None if pairs == "sampled" else Graphs(tuple(graphs), settings))


def _thinned(graph: Graph) -> Graph:
    """Return a large graph of few links, given as an array, with a sparse adjacency: read once."""
    if graph.n_nodes <= DENSE_NODES or graph.is_sparse:
        return graph
    if SPARSE * np.count_nonzero(graph.adjacency) > graph.n_nodes**2:
        return graph
    return graph.replaced(adjacency=graph.to_sparse())


def _keeps(graphs: Sequence[Graph], at: tuple[float, float] | None) -> bool:
    """Tell whether keeping every inner product is the cheapest."""
    n_pairs = sum(graph.n_pairs for graph in graphs)
    if n_pairs > KEPT_PAIRS:
        return False
    given = at is not None
    evaluations = 1 if given else costs.EVALUATIONS
    if max(graph.n_nodes for graph in graphs) <= STACKED:
        grid = costs.stacked(n_pairs)
    else:
        grid = costs.visited(n_pairs, graphs[0].features.shape[1], given=given)
    return costs.kept(n_pairs, evaluations=evaluations) <= grid


def _gathered(
    graphs: Sequence[Graph],
    way: str,
    at: tuple[float, float] | None,
    n_jobs: int | None,
    random_state: Any,
) -> PairSums:
    """Return the sums of graphs in one way."""
    if way == "sampled":
        rng = as_generator(random_state)
        total = visit([graph for graph in graphs if graph.n_pairs <= SAMPLED], n_jobs=n_jobs)
        large = [graph for graph in graphs if graph.n_pairs > SAMPLED]
        for graph in large:
            total = total + less_unknown(sampled(unknown_as_links(graph), rng), [graph])
        return total
    if way == "products":
        _refuse_many_products(sum(graph.n_pairs for graph in graphs))
        return keep(graphs)
    if way == "visited":
        return visit(graphs, at=at, n_jobs=n_jobs)
    must_compress = way == "compressed" and at is None
    return _cheapest(graphs, at=at, must_compress=must_compress, n_jobs=n_jobs)


def _cheapest(
    graphs: Sequence[Graph],
    *,
    at: tuple[float, float] | None,
    must_compress: bool,
    n_jobs: int | None,
) -> PairSums:
    """Return the sums of graphs, each compressed if that pays, else visited."""
    total = PairSums()
    large: list[Graph] = []
    left: list[Graph] = []
    for graph in graphs:
        by_rows = by_distinct_rows(unknown_as_links(graph), at=at, n_jobs=n_jobs)
        if by_rows is not None:
            total = total + less_unknown(by_rows, [graph])
        elif compresses(graph, at, must=must_compress):
            large.append(graph)
        else:
            left.append(graph)
    refuse = _refuse_incompressible if must_compress else refuse_many_pairs
    refuse(left)
    total = total + visit(left, at=at, n_jobs=n_jobs)
    if not large:
        return total
    found = by_chebyshev([*map(unknown_as_links, large)], total, at=at, n_jobs=n_jobs)
    left = [graph for graph, sums in zip(large, found) if sums is None]
    refuse(left)
    for graph, sums in zip(large, found):
        if sums is not None:
            total = total + less_unknown(sums, [graph])
    return total + visit(left, at=at, n_jobs=n_jobs)


def compresses(graph: Graph, at: tuple[float, float] | None = None, *, must: bool = False) -> bool:
    """Tell whether a graph is to be tried with Chebyshev points."""
    n, width = graph.features.shape
    if n < FEWEST_NODES or width > WIDEST:
        return False
    return must or costs.pays_to_compress(n, width, given=at is not None)


# ---- dyads that nobody observed ----------------------------------------------------------------


def unknown_as_links(graph: Graph) -> Graph:
    """Return a graph whose unknown dyads are links: what is gathered, before they are taken off.

    As links they are visited one by one, and bound nothing about the pairs that are not linked.
    """
    if graph.unknown is None:
        return graph
    both = graph.adjacency + graph.unknown  # no dyad is in both
    E = both if sparse.issparse(both) else np.asarray(both)
    return graph.replaced(adjacency=E.astype(np.int8), unknown=None)


def less_unknown(sums: PairSums, graphs: Sequence[Graph]) -> PairSums:
    """Return the sums of graphs that were gathered with their unknown dyads as links, without them.

    Their terms are the same with the weight -1.
    """
    if all(graph.unknown is None for graph in graphs):
        return sums
    s = np.concatenate([products(g.features, *g.unknown_dyads()) for g in graphs])
    linked = np.concatenate([products(g.features, *g.edges()) for g in graphs])
    off, number = -np.ones(len(s)), len(s)
    told_apart = not sums.apart[0]  # links are not among the terms of sign 1
    taken = PairSums(
        edges=s if told_apart else s[:0],
        unlinked=s[:0] if told_apart else s,
        edge_counts=off if told_apart else None,
        unlinked_counts=None if told_apart else off,
        apart=(0.0, 0.0, 0.0) if told_apart else (-float(number), -float(s.sum()), 0.0),
        n_pairs=-number,
        n_edges=-number,
    )
    seen = Extremes.of(linked, sums.extremes.unlinked)
    return (sums + taken).beside(extremes=seen)


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
        nanoseconds = NANOSECONDS[0] + NANOSECONDS[1] * width
        if numba() is None:
            nanoseconds += LOST
        seconds = pairs * nanoseconds * 1e-9 / cores()
        raise ModelError(
            f"{pairs:.2g} pairs of nodes (the largest graph has {largest}) would take about "
            f'{seconds / 60:.0f} minutes to visit. Pass pairs="sampled" for a stratified sample of '
            'them with its standard error, or pairs="visited" to visit them anyway.'
        )


# ---- every pair --------------------------------------------------------------------------------


def keep(graphs: Iterable[Graph]) -> PairSums:
    """Return the sums over the known pairs i < j of graphs with every inner product kept."""
    edges, unlinked = [], []
    for stack in _stacks(graphs):
        s, linked, known = _products(stack)
        s, linked = s.ravel(), linked.ravel()
        edges.append(s.take(np.flatnonzero(linked)))
        others = ~linked if known is None else ~linked & known.ravel()
        unlinked.append(s.take(np.flatnonzero(others)))
    return _grouped(_in_line(edges), _in_line(unlinked))


def _in_line(parts: list[Float]) -> Float:
    """Return parts one after the other."""
    return parts[0] if len(parts) == 1 else np.concatenate([*parts, np.zeros(0)])


def likelihoods(graphs: Sequence[Graph], a: float, b: float, *, by_size: bool = False) -> Float:
    """Return the log-likelihood of each of many small graphs, from every inner product."""
    found = []
    for stack in _stacks(graphs):
        n = stack[0].n_nodes
        s, linked, known = _products(stack)
        z = a * s + (b - np.log(n) if by_size else b)
        np.negative(z, out=z, where=linked)
        z = softplus(z)
        found.append(-(z if known is None else np.where(known, z, 0.0)).sum(axis=1))
    values = np.zeros(len(graphs))
    values[[k for k, graph in enumerate(graphs) if graph.n_nodes > 1]] = np.concatenate(
        [*found, np.zeros(0)]
    )
    return values


def _products(
    stack: Sequence[Graph],
) -> tuple[Float, NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Return s of the pairs of graphs of one size, who is linked, and which pairs are known.

    (n_graphs, n_pairs) each; None where all are known.
    """
    n, upper = stack[0].n_nodes, _upper(stack[0].n_nodes)
    X = np.concatenate([graph.features for graph in stack]).reshape(len(stack), n, -1)
    E = np.concatenate([graph.to_dense() for graph in stack]).reshape(len(stack), n * n)
    s = (X @ X.transpose(0, 2, 1)).reshape(len(stack), n * n).take(upper, axis=1)
    linked = E.view(np.bool_).take(upper, axis=1)
    if all(graph.unknown is None for graph in stack):
        return s, linked, None
    known = np.ones((len(stack), n * n), np.bool_)
    for row, graph in zip(known, stack, strict=True):
        i, j = graph.unknown_dyads()
        row[i * n + j] = False
    return s, linked, known.take(upper, axis=1)


@lru_cache(maxsize=64)
def _upper_of_few(n: int) -> NDArray[np.intp]:
    """Return the places of the pairs i < j in a small matrix that is laid out in rows."""
    return np.flatnonzero(np.less.outer(np.arange(n), np.arange(n)))


def _upper(n: int) -> NDArray[np.intp]:
    """Return the places of the pairs i < j in a matrix that is laid out in rows."""
    return (_upper_of_few if n <= STACKED else _upper_of_few.__wrapped__)(n)


def _grouped(edges: Float, unlinked: Float) -> PairSums:
    """Return the sums of pairs; where few values occur, each value once, and how often."""
    found = PairSums.of_products(edges, unlinked)
    some = unlinked[:: 1 + len(unlinked) // SOME]
    if found.n_pairs < FEWEST_GROUPED or len(np.unique(some)) > len(some) // 4:
        return found
    (one, one_counts), (two, two_counts) = (
        np.unique(s, return_counts=True) for s in (edges, unlinked)
    )
    if 4 * (len(one) + len(two)) > found.n_pairs:
        return found
    return replace(
        found,
        edges=one,
        unlinked=two,
        edge_counts=one_counts.astype(np.float64),
        unlinked_counts=two_counts.astype(np.float64),
    )


def _stacks(graphs: Iterable[Graph]) -> Iterator[list[Graph]]:
    """Yield neighbouring graphs of one size, not too many to hold all their pairs at once."""
    for n, run in groupby(graphs, key=lambda graph: graph.n_nodes):
        some, step = list(run), max(1, KEPT_PAIRS // max(1, n * n))
        if n > 1:
            yield from (some[k : k + step] for k in range(0, len(some), step))


def visit(
    graphs: Sequence[Graph],
    *,
    at: tuple[float, float] | None = None,
    n_jobs: int | None = None,
) -> PairSums:
    """Return the sums of every pair of graphs on grids, in one pass.

    Parameters
    ----------
    graphs : sequence of Graph
        Of one feature width.
    at : tuple of float, optional
        (a, b) that the grids are to hold at, however steep; linked and unlinked pairs are then told
        apart, so that nothing cancels.
    n_jobs : int, optional
        Threads; the result does not depend on their number, to the bit.

    Returns
    -------
    PairSums
    """
    total = PairSums()
    for some in _batches([graph for graph in graphs if graph.n_nodes <= STACKED]):
        total = total + keep(some).on_grid(at)
    large = [graph for graph in graphs if graph.n_nodes > STACKED]
    return total + _passed(large, at, n_jobs) if large else total


def _batches(graphs: Sequence[Graph]) -> Iterator[list[Graph]]:
    """Yield small graphs, those of one size together, with up to a million pairs at a time."""
    batch: list[Graph] = []
    count = 0
    for graph in sorted(graphs, key=lambda graph: graph.n_nodes):
        batch.append(graph)
        count += graph.n_pairs
        if count > KEPT_PAIRS - STACKED * STACKED:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch


def _passed(
    graphs: Sequence[Graph], at: tuple[float, float] | None, n_jobs: int | None
) -> PairSums:
    """Return the sums of graphs that are large enough for a pass over each."""
    count = sum(graph.n_dyads for graph in graphs)
    if costs.pays_to_load(count):
        say_slower(LOST * 1e-9 * count / cores())
    ranges = np.array([product_range(graph.features) for graph in graphs])
    some = np.concatenate([some_products(graph.features) for graph in graphs])
    cells = Cells.over(ranges[:, 0].min(), ranges[:, 1].max(), some, at)
    moments, linked = cells.zeros(), None if at is None else cells.zeros()
    extremes, n_edges, edge_sum = Extremes(), 0, 0.0
    for graph in map(unknown_as_links, graphs):
        edges = Edges.of(graph)
        part, unlinked = pass_over(graph.features, cells, edges=edges, n_jobs=n_jobs)
        moments += part
        if linked is not None:
            linked += moments_of(edges.s, cells)
        n_edges, edge_sum = n_edges + len(edges.s), edge_sum + float(edges.s.sum())
        extremes = extremes | Extremes.of(edges.s, unlinked[np.isfinite(unlinked)])
    about_edges = n_edges, edge_sum, extremes
    sums = PairSums.of_cells(cells, moments, about_edges, count, linked=linked)
    return less_unknown(sums, graphs)
