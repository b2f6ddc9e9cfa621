"""All pairs of many nodes as pairs of few points: distinct rows, or Chebyshev points.

Distinct rows (exact): nodes of equal features are one point with their number as weight.

Chebyshev points (up to three features). On the box of the features, f(x . y) is interpolated in x
and in y on a tensor grid of points z_u, of q_k Chebyshev roots along axis k:

    sum_ij f(x_i . x_j) ~ sum_uv W_u W_v f(z_u . z_v),    W_u = sum_i prod_k L_uk(x_ik)

with L the Lagrange basis. W costs one pass over the nodes; the pairs of points then cost what that
many nodes would, whatever n is. For f with its nearest poles at a s + b = +-i pi, as softplus and
its derivatives, the error along axis k falls like rho_k^-q_k, where

    rho = delta + sqrt(1 + delta^2),    delta = pi / (|a| half-width_k max|x_k|).

How many points are enough holds for one (a, b) only. Where the sums are to be evaluated, they are
made right to `PRECISION` there. Where they are to be maximised, (a, b) is a pilot estimate from
some nodes of every graph, and the measure is the standard errors. Either is judged by the
difference between two levels, which is kept as the grid's `doubt`.

References: Trefethen (2019), Approximation Theory and Approximation Practice, ch. 8 and 14.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ancestral._numerics.threads import one_thread
from ancestral.graph import costs
from ancestral.graph.graphs import Graph
from ancestral.graph.pairs.grid import Cells, chebyshev_roots, lagrange_basis
from ancestral.graph.pairs.passes import (
    GROUPS,
    Edges,
    box_range,
    dealt,
    moments_of,
    pass_over,
    product_range,
    some_products,
)
from ancestral.graph.pairs.separation import Extremes
from ancestral.graph.pairs.sums import KEPT_PAIRS, RELATIVE, TOLERANCE, PairSums
from ancestral.graph.solvers import newton

Float = NDArray[np.float64]
AboutEdges = tuple[int, float, Extremes]

FEWEST_NODES = 2_000  # below, points are not fewer than nodes
FEWEST_ROWS = 200  # nodes among which equal rows are looked for
WIDEST = 3  # features
PRECISION = RELATIVE / 10  # of sums at a given (a, b), relative, so that they hold around it too
SOME_ROWS = 1_000  # looked at to see whether rows are repeated
START = 3.0  # the first level is this much below what the rates ask for: they are cautious
START_GIVEN = 6.0  # the same, where sums at a given (a, b) are wanted
STEP = 2.5  # to the next level: the error falls at least by e to this power
PILOT_NODES = 1_500
SEEN_NODES = 450  # so many times as many pairs are looked at, where not all are visited


# ---- distinct rows ---------------------------------------------------------------------------


def by_distinct_rows(
    graph: Graph, *, at: tuple[float, float] | None = None, n_jobs: int | None = None
) -> PairSums | None:
    """Return the sums over pairs of distinct rows of features; None where that saves nothing.

    Of few kinds of rows every s is kept, with how many pairs have it; of many, their distribution
    on a grid.
    """
    if graph.n_nodes < FEWEST_ROWS or not _repeats(graph.features):
        return None
    rows, kind, counts = distinct_rows(graph.features)
    if len(rows) > graph.n_nodes // 4:
        return None
    edges = Edges.of(graph)
    one, two = kind[edges.rows()], kind[edges.ends]
    one, two = np.minimum(one, two), np.maximum(one, two)
    size = len(rows)
    if size * (size + 1) // 2 <= KEPT_PAIRS:
        return _every_kind(rows, counts, one, two)
    cells = Cells.over(*product_range(rows), some_products(rows), at)
    moments, _ = pass_over(rows, cells, weights=counts.astype(np.float64), n_jobs=n_jobs)
    own = counts * (counts - 1) / 2
    moments += cells.moments((rows * rows).sum(axis=1), own)
    extremes = Extremes.of(edges.s, _gaps_between_kinds(rows, counts, one, two))
    about_edges = len(edges.s), float(edges.s.sum()), extremes
    linked = None if at is None else moments_of(edges.s, cells)
    return PairSums.of_cells(cells, moments, about_edges, graph.n_pairs, linked=linked)


def _repeats(X: Float) -> bool:
    """Tell whether some of a thousand rows are equal: of n / 4 kinds or fewer, some mostly are."""
    some = X
    if len(X) > SOME_ROWS:
        some = X[np.unique(np.random.default_rng(0).integers(0, len(X), SOME_ROWS))]
    ranked = np.sort(_mixture(some))
    return bool((ranked[1:] == ranked[:-1]).any())


def _mixture(X: Float) -> Float:
    """Return one number for each row, the same for equal rows."""
    shares: Float = np.random.default_rng(1).uniform(1, 2, size=(X.shape[1],))
    mixture: Float = X @ (shares / np.maximum(np.abs(X).max(axis=0, initial=0.0), 1e-300))
    return mixture


def distinct_rows(X: Float) -> tuple[Float, NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct rows of X, which of them each row is, and how often each occurs.

    Rows are told apart by a mixture of their columns, which is sorted in place of them; where two
    mixtures were equal by chance, rows themselves are sorted.
    """
    _, first, kind, counts = np.unique(
        _mixture(X), return_index=True, return_inverse=True, return_counts=True
    )
    rows, kind = X[first], kind.reshape(-1)
    if not np.array_equal(rows[kind], X):
        rows, kind, counts = np.unique(X, axis=0, return_inverse=True, return_counts=True)
    return rows, kind.reshape(-1), counts


def _every_kind(rows: Float, counts: NDArray, one: NDArray, two: NDArray) -> PairSums:
    """Return the sums over pairs of kinds, each s with how many linked and other pairs have it."""
    size = len(rows)
    i, j = np.triu_indices(size)
    pairs = np.where(i == j, counts[i] * (counts[i] - 1) // 2, counts[i] * counts[j])
    linked = np.bincount(one * size + two, minlength=size * size)[i * size + j]
    s = (rows @ rows.T)[i, j]
    joined, apart = linked > 0, pairs > linked
    return PairSums(
        s[joined],
        s[apart],
        linked[joined].astype(np.float64),
        (pairs - linked)[apart].astype(np.float64),
        n_pairs=int(pairs.sum()),
        n_edges=len(one),
        extremes=Extremes.of(s[joined], s[apart]),
    )


def _gaps_between_kinds(rows: Float, counts: NDArray, one: NDArray, two: NDArray) -> Float:
    """Return the least and largest s over kinds of pairs that are not all linked, one <= two."""
    size = len(rows)
    linked = np.sort(one * size + two)
    start = np.searchsorted(linked, size * np.arange(size + 1))
    seen: list[float] = []
    for u in range(size):  # one row of kinds at a time: never a matrix of all
        pairs = counts[u] * counts[u:]
        pairs[0] = counts[u] * (counts[u] - 1) // 2
        other = linked[start[u] : start[u + 1]] - (u * size + u)
        s = (rows[u:] @ rows[u])[pairs > np.bincount(other, minlength=size - u)]
        if len(s):
            seen += [s.min(), s.max()]
    return np.array(seen)


# ---- Chebyshev points ------------------------------------------------------------------------


@dataclass(frozen=True)
class Tensor:
    """A tensor grid of Chebyshev roots over a box: `sizes` of them along the axes."""

    low: Float
    high: Float
    sizes: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of points."""
        return math.prod(self.sizes)

    def axis(self, k: int) -> Float:
        """Return the points along axis k."""
        middle, half = (self.high[k] + self.low[k]) / 2, (self.high[k] - self.low[k]) / 2
        return middle + half * chebyshev_roots(self.sizes[k])

    def points(self) -> Float:
        """Return all points, (count, m), the last axis running fastest."""
        axes = [self.axis(k) for k in range(len(self.sizes))]
        return np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)

    def basis(self, k: int, x: Float) -> Float:
        """Return the Lagrange basis of axis k at x, shape (len(x), sizes[k])."""
        q = self.sizes[k]
        if self.high[k] == self.low[k]:
            return np.ones((len(x), 1))
        z = (2 * x - self.low[k] - self.high[k]) / (self.high[k] - self.low[k])
        return lagrange_basis(np.clip(z, -1, 1), q)

    def weights_of(self, X: Float, *, n_jobs: int | None = None) -> Float:
        """Return W, shape `sizes`: what the rows of X weigh at the points."""
        bounds = np.linspace(0, len(X), GROUPS + 1).astype(int)
        with one_thread():  # the threads are ours: those of BLAS would wait on each other
            parts = dealt(lambda k: self._weights_of(X[bounds[k] : bounds[k + 1]]), GROUPS, n_jobs)
        return np.sum(parts, axis=0)

    def _weights_of(self, X: Float) -> Float:
        """Return the weights of some rows, by products of chunks that fit the cache."""
        W = np.zeros(self.sizes)
        flat = W.reshape(-1, self.sizes[-1])
        rows = max(64, (1 << 18) // len(flat))
        for start in range(0, len(X), rows):
            chunk = X[start : start + rows]
            left = np.ones((len(chunk), 1))
            for k in range(X.shape[1] - 1):
                right = self.basis(k, chunk[:, k])
                left = (left[:, :, None] * right[:, None, :]).reshape(len(chunk), -1)
            flat += left.T @ self.basis(X.shape[1] - 1, chunk[:, -1])
        return W

    def coarser(self, W: Float, sizes: tuple[int, ...]) -> tuple[Tensor, Float]:
        """Return a tensor of fewer points and its W: exact, since its basis is of lower degree."""
        other = replace(self, sizes=sizes)
        for k in range(len(sizes)):
            W = np.moveaxis(np.tensordot(other.basis(k, self.axis(k)), W, (0, k)), 0, k)
        return other, W


def by_chebyshev(
    graphs: Sequence[Graph],
    others: PairSums | None = None,
    *,
    at: tuple[float, float] | None = None,
    n_jobs: int | None = None,
) -> list[PairSums | None]:
    """Return the grid of each graph by way of Chebyshev points; None where visiting is cheaper.

    Parameters
    ----------
    graphs : sequence of Graph
        Of up to three features.
    others : PairSums, optional
        Of the graphs that these are fitted with, as the pilot estimate has to be that of all.
    at : tuple of float, optional
        (a, b) at which the sums are wanted, right to `PRECISION`. By default, their maximum is,
        within `TOLERANCE` standard errors.
    n_jobs : int, optional
    """
    known = [_about_edges(graph) for graph in graphs]
    if at is not None:
        level = -math.log(PRECISION) - START_GIVEN
        return [
            _interpolated(
                graph,
                about,
                at,
                level,
                lambda sums: sums.doubted(*at) <= PRECISION,
                n_jobs,
            )
            for graph, about in zip(graphs, known)
        ]
    pilots = [pilot(graph, about) for graph, about in zip(graphs, known)]
    a, b = estimate(sum(pilots, PairSums() if others is None else others))
    tolerance = TOLERANCE / math.sqrt(len(graphs))  # shifts add up, errors by their squares
    spreads = [math.sqrt(max(1.0, pilot.roughly(a, b)[2][1, 1])) for pilot in pilots]
    return [
        _interpolated(
            graph,
            about,
            (a, b),
            math.log(spread / tolerance) - START,
            lambda sums: sums.approximation_error(a, b).max() <= tolerance,
            n_jobs,
        )
        for graph, about, spread in zip(graphs, known, spreads)
    ]


def _interpolated(
    graph: Graph,
    about_edges: AboutEdges,
    at: tuple[float, float],
    level: float,
    is_close: Callable[[PairSums], bool],
    n_jobs: int | None,
) -> PairSums | None:
    """Return sums that are close enough, from this level up; None if visiting is cheaper."""
    low, high = graph.features.min(axis=0), graph.features.max(axis=0)
    cells = Cells.over(*box_range(low, high), some_products(graph.features), at)
    while True:
        tensor = Tensor(low, high, _sizes(low, high, at[0], level))
        width = graph.features.shape[1]
        cost = costs.compressed(graph.n_nodes, tensor.count, width)
        if cost > max(costs.visited(graph.n_pairs, width), costs.PILOT):
            return None
        W = tensor.weights_of(graph.features, n_jobs=n_jobs)
        fewer = tuple(q - max(1, q // 5) if q > 1 else 1 for q in tensor.sizes)
        rough = _moments(*tensor.coarser(W, fewer), graph.features, cells, n_jobs)
        fine = _moments(tensor, W, graph.features, cells, n_jobs)
        sums = PairSums.of_cells(cells, fine, about_edges, graph.n_pairs, rough=rough)
        if is_close(sums):
            return sums
        level += STEP


def _sizes(low: Float, high: Float, a: float, level: float) -> tuple[int, ...]:
    """Return how many points each axis needs for an error of e^-level."""
    reach = abs(a) * (high - low) / 2 * np.maximum(np.abs(low), np.abs(high))
    with np.errstate(divide="ignore"):
        rates = np.arcsinh(np.pi / reach)  # log rho; infinite for a constant feature
    return tuple(1 if h == w else max(4, math.ceil(level / r)) for w, h, r in zip(low, high, rates))


def _moments(tensor: Tensor, W: Float, X: Float, cells: Cells, n_jobs: int | None) -> Float:
    """Return moments of all pairs of different nodes, by way of points of weights W."""
    points, w = tensor.points(), W.ravel()
    moments, _ = pass_over(points, cells, weights=w, n_jobs=n_jobs)
    moments += cells.moments((points * points).sum(axis=1), w * w / 2)
    own = np.einsum("ij,ij->i", X, X)  # a node is no pair with itself
    return moments - cells.moments(own, np.full(len(own), 0.5))


def _about_edges(graph: Graph) -> AboutEdges:
    """Return what a grid knows exactly: number of edges, their sum of s, and extremes."""
    edges = Edges.of(graph)
    return len(edges.s), float(edges.s.sum()), seen_extremes(graph, edges)


def pilot(graph: Graph, about_edges: AboutEdges) -> PairSums:
    """Return rough sums, from the pairs of some nodes."""
    some = np.random.default_rng(0).choice(
        graph.n_nodes, min(PILOT_NODES, graph.n_nodes), replace=False
    )
    few = graph.features[np.sort(some)]
    cells = Cells.over(*product_range(few), some_products(few))
    moments, _ = pass_over(few, cells)
    moments *= graph.n_pairs / (len(few) * (len(few) - 1) / 2)
    return PairSums.of_cells(cells, moments, about_edges, graph.n_pairs)


def estimate(pilot: PairSums) -> tuple[float, float]:
    """Return (a, b) at the maximum, or steep ones where no pair or every pair is linked."""
    if not 0 < pilot.n_edges < pilot.n_pairs:  # part of a stream: fitted with other parts
        nodes = np.concatenate([layer.nodes for layer in pilot.layers])
        return 33.0 / max(float(np.ptp(nodes)), 1e-300), 0.0
    last = newton(pilot, max_iter=50, evaluate=pilot.scores)[-1]
    return last["a"], last["b"]


def seen_extremes(graph: Graph, edges: Edges) -> Extremes:
    """Return the range of s over edges, and over others: of some nodes, and at extreme edges."""
    n, X = graph.n_nodes, graph.features
    some = np.random.default_rng(0).integers(0, n, (2, SEEN_NODES))
    squares = [(some[0], some[1])]
    if len(edges.s):
        extreme = np.array([edges.s.argmin(), edges.s.argmax()])
        rows = np.searchsorted(edges.starts, extreme, side="right") - 1
        squares.append((np.unique(np.concatenate([rows, edges.ends[extreme]])), np.arange(n)))
    gaps = []
    for one, two in squares:
        if graph.is_sparse:
            linked = graph.adjacency[one][:, two].toarray()
        else:
            linked = graph.adjacency[np.ix_(one, two)]
        free = (linked == 0) & (one[:, None] != two)
        gaps.append((X[one] @ X[two].T)[free])
    return Extremes.of(edges.s, np.concatenate(gaps))
