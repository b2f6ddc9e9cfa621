"""Does the model fit? Data against exact draws of the fitted model, and links against s.

Given the features of the data, the model draws new edges; what it leaves to chance must look the
same in data and draws. Four distributions that likelihood never looked at:

    degree           share of nodes by their number of edges
    shared partners  share of edges by the number of common neighbours of their ends
    clustering       share of nodes by the share of linked pairs among their neighbours
    distance         share of pairs by the edges on a shortest path between them

Where links have a direction, out-degree and in-degree stand for degree, the others are those of the
links without it, and "mutual dyads" are shares of pairs by the links between them, none, one or
both: dyads that are drawn apart from each other make no more mutual ones than chance. Dyads that
nobody observed are without a link in data and draws. Beside all this stands the calibration: the
frequency of edges against s, beside the model's probability.

References: Hunter, Goodreau & Handcock (2008), Goodness of fit of social network models, JASA 103;
Besag & Clifford (1989), Generalized Monte Carlo significance tests, Biometrika 76.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ancestral._checks.numbers import as_generator, check_integer, check_level
from ancestral._printed import Printed, Table, one_table
from ancestral.graph.graphs import Graph
from ancestral.graph.predictions import Calibration, GraphModel, calibrate, refuse_other_models

Float = NDArray[np.float64]
Labelled = tuple[list[str], NDArray[np.int64], Float]  # labels, widths, counts
Counts = dict[str, NDArray[np.float64]]  # by statistic: (n_draws, values)

DENSE_STACK = 150  # nodes up to which all draws of a graph are made and measured at once
SOURCES = 1_000  # nodes from which distances are measured; all of them in smaller graphs
CLUSTERING_BINS = 11  # zero, then tenths

OF_P = "the share of draws that are at least as far from the mean of all draws as the data"


@dataclass(frozen=True, repr=False)
class StatisticCheck(Printed):
    """One distribution of the data beside those of draws.

    Parameters
    ----------
    name : str
        "degree" ("out-degree" and "in-degree"), "shared partners", "clustering", "distance", and of
        directed graphs "mutual dyads".
    labels : list of str
        What each entry stands for.
    observed : ndarray of shape (n_values,)
        Shares in the data, summing to one.
    draws : ndarray of shape (n_draws, n_values)
        The same in each draw.
    widths : ndarray of shape (n_values,)
        How many numbers each entry stands for: 1, or more where many were grouped.
    p_value : float
        Of the Monte Carlo test that the data are one more draw: the rank of their squared
        distance to the mean, each value scaled by its variance.
    """

    name: str
    labels: list[str]
    observed: Float
    draws: Float
    widths: NDArray[np.int64]
    p_value: float

    def _table(self) -> Table:
        low, high = self.band()
        columns = {
            self.name: self.labels,
            "data": self.observed,
            "draws": self.draws.mean(axis=0),
            "95% from": low,
            "to": high,
        }
        below = f"p-value {self.p_value:.3g}: {OF_P}"
        return one_table(columns, f"shares in the data and in {len(self.draws)} draws", below)

    def band(self, level: float = 0.95) -> Float:
        """Return the ends, (2, n_values), between which that share of draws lies at each value.

        Raises ModelError for a level that is not above 0 and below 1.
        """
        tail = (1 - check_level(level)) / 2
        return np.quantile(self.draws, [tail, 1 - tail], axis=0)


@dataclass(frozen=True, repr=False)
class FitCheck(Printed):
    """What `check_fit` found: four comparisons by name, and the calibration."""

    comparisons: dict[str, StatisticCheck]
    calibration: Calibration
    n_graphs: int
    n_draws: int

    def _table(self) -> Table:
        p_values = [check.p_value for check in self.comparisons.values()]
        columns = {"statistic": list(self.comparisons), "p-value": p_values}
        graphs = "1 graph" if self.n_graphs == 1 else f"{self.n_graphs} graphs"
        above = f"{graphs} beside {self.n_draws} draws, given the same nodes"
        return one_table(columns, above, f"p-value: {OF_P}")


def check_fit(
    model: GraphModel, graphs: Any, *, n_draws: int = 100, random_state: Any = None
) -> FitCheck:
    """Compare graphs with exact draws of a fitted model, given the same features.

    Parameters
    ----------
    model : InnerProductGraph or DyadicGraph
        Fitted.
    graphs : list of Graph, or of (features, adjacency) tuples, or one of either
    n_draws : int
        Draws of the whole set of graphs, 20 or more.
    random_state : None, int, RandomState or Generator

    Returns
    -------
    FitCheck
        For `ancestral.viz.fit_panel`.

    Raises
    ------
    ModelError
        For another model, or when no graph has a pair of nodes.

    Notes
    -----
    In graphs of more than 1,000 nodes distances are measured from 1,000 of them, the same in data
    and draws. The test takes the fitted parameters as true, which makes it a little cautious.

    Examples
    --------
    >>> from ancestral import InnerProductGraph, datasets
    >>> graphs = datasets.classrooms(30, random_state=0)
    >>> check = check_fit(InnerProductGraph().fit(graphs), graphs, n_draws=40, random_state=0)
    >>> bool(check.comparisons["degree"].p_value > 0.01)
    True
    """
    refuse_other_models(model, "check_fit")
    model._check_fitted()
    checked = model._check_graphs(graphs)
    n_draws = check_integer(n_draws, "n_draws", minimum=20)
    rng = as_generator(random_state)
    seen: Counts = {}
    drawn: Counts = {}
    for graph in checked:
        _add(seen, measure(graph))
        _add(drawn, _measure_draws(model, graph, n_draws, rng))
    comparisons = {name: _compare(name, seen[name], drawn[name]) for name in seen}
    return FitCheck(comparisons, calibrate(model, checked), len(checked), n_draws)


def _add(total: Counts, part: Counts) -> None:
    """Add counts, (n_draws, values), of any number of values."""
    for name, counts in part.items():
        old = total.get(name, counts[:, :0])
        size = max(old.shape[1], counts.shape[1])
        total[name] = _widened(old, size) + _widened(counts, size)


def _widened(counts: Float, size: int) -> Float:
    """Return counts with zeros for values that were not met."""
    return np.pad(counts, ((0, 0), (0, size - counts.shape[1])))


# ---- counting --------------------------------------------------------------------------------


def measure(graph: Graph) -> Counts:
    """Return the counts of the statistics of one graph, (1, values) each."""
    if graph.n_nodes <= DENSE_STACK:
        A = graph.to_dense()[None] != 0
        A[:, np.arange(graph.n_nodes), np.arange(graph.n_nodes)] = False
        return _measure_stack(A, directed=graph.directed)
    return _measure_sparse(graph.to_sparse(), directed=graph.directed)


def _measure_draws(
    model: GraphModel, graph: Graph, n_draws: int, rng: np.random.Generator
) -> Counts:
    """Return the counts of new edges for a graph's features."""
    n = graph.n_nodes
    if n <= DENSE_STACK:
        known = ~np.eye(n, dtype=bool)
        known[graph.unknown_dyads()] = False
        i, j = np.nonzero(known if graph.directed else np.triu(known))
        A = np.zeros((n_draws, n, n), bool)
        A[:, i, j] = rng.random((n_draws, len(i))) < model.probabilities(graph)[i, j]
        A = A if graph.directed else A | A.transpose(0, 2, 1)
        return _measure_stack(A, directed=graph.directed)
    parts = []
    for _ in range(n_draws):
        (draw,) = model.sample(1, features=graph, random_state=rng)
        E = draw.to_sparse()
        if graph.unknown is not None:
            E = sparse.csr_array(E - E.multiply(graph.unknown))
            E.eliminate_zeros()
        parts.append(_measure_sparse(E, directed=graph.directed))
    return {name: _stacked([part[name][0] for part in parts]) for name in parts[0]}


def _stacked(rows: Sequence[Float]) -> Float:
    """Return rows of counts as one array, short ones filled with zeros."""
    size = max(len(row) for row in rows)
    return np.array([np.pad(row, (0, size - len(row))) for row in rows])


def _measure_stack(A: NDArray[np.bool_], *, directed: bool = False) -> Counts:
    """Return counts for each of a stack of small graphs, (draws, n, n)."""
    draws, n, _ = A.shape
    if directed:
        across = A.transpose(0, 2, 1)
        both, either = (A & across).sum(axis=(1, 2)) / 2, (A | across).sum(axis=(1, 2)) / 2
        return _of_directed(_measure_stack(A | across), A.sum(axis=2), A.sum(axis=1), both, either)
    B = A.astype(np.float32)  # counts below 2^24: exact
    common = B @ B
    degree = A.sum(axis=2)
    triangles = (common * B).sum(axis=2) / 2
    i, j = np.triu_indices(n, 1)
    linked, partners = A[:, i, j], common[:, i, j].astype(np.int64)
    edge_rows = np.nonzero(linked)[0]
    distance = _distances(A)[:, i, j]
    rows = np.arange(draws)
    return {
        "degree": _table(np.repeat(rows, n), degree.ravel(), draws),
        "shared partners": _table(edge_rows, partners[linked], draws),
        "clustering": _clustering_table(degree, triangles),
        "distance": _table(np.repeat(rows, len(i)), distance.ravel(), draws),
    }


def _of_directed(
    without: Counts, leaving: NDArray, coming: NDArray, both: NDArray, either: NDArray
) -> Counts:
    """Return the counts of directed graphs from those of the same without their directions.

    Degrees are (draws, n); both and either count pairs with two links, and with any, (draws,).
    """
    draws, n = leaving.shape
    rows = np.repeat(np.arange(draws), n)
    census = np.stack([n * (n - 1) / 2 - either, either - both, both], axis=1)
    return {
        "out-degree": _table(rows, leaving.ravel(), draws),
        "in-degree": _table(rows, coming.ravel(), draws),
        "mutual dyads": census,
        **{name: counts for name, counts in without.items() if name != "degree"},
    }


def _distances(A: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return distances in a stack of graphs, 0 where no path leads."""
    distance = np.zeros(A.shape, np.int64)
    B, reached, front = A.astype(np.float32), np.eye(A.shape[1], dtype=bool) | A, A
    d = 1
    while front.any():
        distance[front] = d
        d += 1
        front = (front.astype(np.float32) @ B > 0) & ~reached
        reached = reached | front
    return distance


def _clustering_table(degree: NDArray, triangles: NDArray) -> Float:
    """Return counts of nodes with two neighbours or more by bin of their clustering."""
    pairs = degree * (degree - 1) / 2
    able = pairs > 0
    share = triangles[able] / pairs[able]
    bins = np.ceil((CLUSTERING_BINS - 1) * share - 1e-9).astype(np.int64)
    return _table(np.nonzero(able)[0], bins, len(degree), CLUSTERING_BINS)


def mean_clustering(graph: Graph) -> float:
    """Return the mean over nodes of the share of linked pairs of neighbours, 0 below two of them.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    float

    References
    ----------
    Watts & Strogatz (1998), Nature 393.
    """
    if graph.n_nodes <= DENSE_STACK:
        B = graph.to_dense().astype(np.float64)
        np.fill_diagonal(B, 0.0)
        degree, triangles = B.sum(axis=1), ((B @ B) * B).sum(axis=1) / 2
    else:
        from ancestral.graph.edges import walks

        A = graph.to_sparse()
        index = (A.indptr.astype(np.int64), A.indices.astype(np.int64))
        degree, (_, triangles) = np.diff(index[0]), walks.shared_partners(*index)
    pairs = degree * (degree - 1) / 2
    return float(np.mean(np.divide(triangles, pairs, out=np.zeros_like(pairs), where=pairs > 0)))


def _table(rows: NDArray, values: NDArray, n_rows: int, size: int = 0) -> Float:
    """Return how often each value occurs in each row, (n_rows, values)."""
    size = max(size, int(values.max(initial=0)) + 1)
    flat = np.bincount(rows * size + values.astype(np.int64), minlength=n_rows * size)
    return flat.reshape(n_rows, size).astype(np.float64)


def _measure_sparse(adjacency: sparse.csr_array, *, directed: bool = False) -> Counts:
    """Return the counts of one large graph."""
    from ancestral.graph.edges import walks

    if directed:
        whole = sparse.csr_array((adjacency + adjacency.T) > 0)
        whole.sort_indices()
        leaving, coming = (
            np.asarray(adjacency.sum(axis=k, dtype=np.int64)).reshape(1, -1) for k in (1, 0)
        )
        both, either = adjacency.multiply(adjacency.T).nnz / 2, whole.nnz / 2
        without = _measure_sparse(whole)
        return _of_directed(without, leaving, coming, np.array([both]), np.array([either]))
    n = adjacency.shape[0]
    indptr, indices = (v.astype(np.int64) for v in (adjacency.indptr, adjacency.indices))
    degree = np.diff(indptr)
    partners, triangles = walks.shared_partners(indptr, indices)
    few = min(n, SOURCES)
    sources = np.random.default_rng(0).choice(n, few, replace=False)  # the same in data and draws
    distance = walks.distance_counts(indptr, indices, sources)
    row = np.zeros(n, np.int64)
    last = int(np.flatnonzero(distance).max(initial=0))
    return {
        "degree": _table(row, degree, 1),
        "shared partners": _table(np.zeros(len(partners), np.int64), partners, 1),
        "clustering": _clustering_table(degree[None], triangles[None]),
        "distance": distance[None, : last + 1] * (n / (2 * few)),  # as pairs
    }


# ---- comparing -------------------------------------------------------------------------------


def _compare(name: str, seen: Float, drawn: Float) -> StatisticCheck:
    """Return shares of data and draws over common values, and their test."""
    size = max(seen.shape[1], drawn.shape[1])
    counts = np.concatenate([_widened(seen, size), _widened(drawn, size)])
    labels, widths, counts = _LABELLED[name](counts)
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    spread = share.var(axis=0)
    varies = spread > 0
    off = (share - share.mean(axis=0))[:, varies] ** 2 / spread[varies]
    distance = off.sum(axis=1)
    p_value = float((distance >= distance[0] - 1e-12).mean())  # the data count as one draw
    return StatisticCheck(name, labels, share[0], share[1:], widths, p_value)


def _whole_numbers(counts: Float) -> Labelled:
    """Label counts 0, 1, 2, ...; group many values so that groups widen with their size."""
    used = int(np.flatnonzero(counts.sum(axis=0)).max(initial=0)) + 1
    counts = counts[:, :used]
    if used <= 30:
        return [str(k) for k in range(used)], np.ones(used, np.int64), counts
    starts = np.unique(np.round(np.concatenate([np.arange(8), np.geomspace(8, used, 20)])))
    starts = starts[starts < used].astype(int)
    ends = np.array([*(starts[1:] - 1), used - 1])
    labels = [str(a) if a == b else f"{a}–{b}" for a, b in zip(starts, ends)]
    return labels, ends - starts + 1, np.add.reduceat(counts, starts, axis=1)


def _tenths(counts: Float) -> Labelled:
    """Label bins of clustering by their upper ends."""
    labels = [f"{k / (CLUSTERING_BINS - 1):.1f}" for k in range(CLUSTERING_BINS)]
    return labels, np.ones(CLUSTERING_BINS, np.int64), counts


def _path_lengths(counts: Float) -> Labelled:
    """Label distances, those without a path last."""
    labels, widths, grouped = _whole_numbers(
        np.column_stack([np.zeros(len(counts)), counts[:, 1:]])
    )
    grouped = np.column_stack([grouped[:, 1:], counts[:, 0]])  # no two nodes are 0 edges apart
    return [*labels[1:], "∞"], np.append(widths[1:], 1), grouped


def _ways(counts: Float) -> Labelled:
    """Label pairs by the links between them."""
    return ["none", "one way", "both ways"], np.ones(3, np.int64), counts


_LABELLED: dict[str, Callable[[Float], Labelled]] = {
    "degree": _whole_numbers,
    "out-degree": _whole_numbers,
    "in-degree": _whole_numbers,
    "mutual dyads": _ways,
    "shared partners": _whole_numbers,
    "clustering": _tenths,
    "distance": _path_lengths,
}
