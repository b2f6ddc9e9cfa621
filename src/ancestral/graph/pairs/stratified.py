"""Sums over all pairs from a stratified sample of them, with its standard error.

    sum_pairs f ~ sum_h (N_h / n_h) sum_{k in sample h} f_k

Strata are pairs of cells of nodes: nodes are halved again and again along the direction in which
their cell is longest. Stratum h of N_h pairs gets n_h draws in proportion to N_h times the spread
within it of what a pair weighs in the estimates (Neyman's allocation), at a pilot estimate. The
edges' sums are exact. The covariance of the estimates is then

    I^-1 + I^-1 V I^-1,    V = sum_h N_h^2 / n_h cov_h((p s, p)),

the model's own uncertainty and the sampling's.

References: Neyman (1934), JRSS 97; Cochran (1977), Sampling Techniques, 3rd ed., ch. 5; Raftery,
Niu, Hoff & Yeung (2012), JCGS 21, who sample pairs of latent space models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ancestral.graph.graphs import Graph
from ancestral.graph.pairs.compression import seen_extremes
from ancestral.graph.pairs.grid import Cells, Float
from ancestral.graph.pairs.passes import Edges, product_range, products, some_products
from ancestral.graph.pairs.sums import PairSums
from ancestral.graph.solvers import newton

SAMPLED = 20_000_000  # pairs drawn from a graph; one of fewer pairs is visited whole
PILOT = 2_000_000
HALVINGS = 4  # 16 cells of nodes, 136 strata
FEWEST = 1_000  # draws in any stratum


@dataclass(frozen=True)
class Strata:
    """Where the sampled pairs fell, stratum by stratum: what the sampling's variance needs.

    Parameters
    ----------
    cells : Cells
    counts : ndarray of shape (n_strata, n_grid)
        Draws spread over the grid's nodes.
    sizes : ndarray of shape (n_strata,)
        Pairs of each stratum.
    """

    cells: Cells
    counts: Float
    sizes: Float

    def covariance(self, a: float, b: float) -> Float:
        """Return V, the sampling covariance of the sums of (p s, p)."""
        s = self.cells.nodes
        p = expit(a * s + b)
        n = self.counts.sum(axis=1)
        values = np.stack([p * s, p])  # (2, n_grid)
        mean = self.counts @ values.T / n[:, None]
        squares = np.stack([x * y for x in values for y in values], axis=1)
        second = (self.counts @ squares / n[:, None]).reshape(-1, 2, 2)
        spread = (second - mean[:, :, None] * mean[:, None, :]) * (n / (n - 1))[:, None, None]
        total: Float = (spread * (self.sizes**2 / n)[:, None, None]).sum(axis=0)
        return total


def sampled(graph: Graph, rng: np.random.Generator) -> PairSums:
    """Return the sums of one large graph from a stratified sample of its pairs."""
    edges = Edges.of(graph)
    n_edges, edge_sum = len(edges.s), float(edges.s.sum())
    extremes = seen_extremes(graph, edges)
    cells = Cells.over(*product_range(graph.features), some_products(graph.features))
    nodes, bounds = _halved(graph.features)
    X = graph.features[nodes]
    one, two = np.triu_indices(len(bounds) - 1)
    width = np.diff(bounds).astype(np.float64)
    sizes = np.where(one == two, width[one] * (width[one] - 1) / 2, width[one] * width[two])

    def draw(numbers: NDArray[np.int64]) -> Strata:
        counts = [
            cells.node_weights(cells.moments(_draw(X, bounds, int(u), int(v), int(n), rng)))
            for u, v, n in zip(one, two, numbers)
        ]
        return Strata(cells, np.array(counts), sizes)

    def estimated(strata: Strata) -> PairSums:
        weights = (strata.sizes / strata.counts.sum(axis=1)) @ strata.counts
        return PairSums(
            layers=cells.layers(weights),
            apart=(float(n_edges), edge_sum, 0.0),
            n_pairs=graph.n_pairs,
            n_edges=n_edges,
            extremes=extremes,
            sampling=(strata,),
        )

    pilot = draw(_shares(sizes, PILOT))
    return estimated(draw(_shares(sizes * _spreads(pilot, estimated(pilot)), SAMPLED)))


def _shares(importance: Float, total: int) -> NDArray[np.int64]:
    """Return draws for each stratum, in proportion, and at least `FEWEST`."""
    share = importance / importance.sum()
    numbers: NDArray[np.int64] = np.maximum(np.ceil(share * total), FEWEST).astype(np.int64)
    return numbers


def _spreads(strata: Strata, pilot: PairSums) -> Float:
    """Return the spread within strata of a pair's weight in the estimates, in standard errors."""
    if not 0 < pilot.n_edges < pilot.n_pairs:
        return np.ones(len(strata.sizes))
    last = newton(pilot, max_iter=50)[-1]
    a, b = last["a"], last["b"]
    covariance = pilot.covariance(a, b)
    s = strata.cells.nodes
    p = expit(a * s + b)
    pull = covariance @ np.stack([p * s, p]) / np.sqrt(np.diag(covariance))[:, None]  # (2, n_grid)
    n = strata.counts.sum(axis=1)
    mean = strata.counts @ pull.T / n[:, None]
    square = strata.counts @ (pull**2).T / n[:, None]
    return np.sqrt(np.maximum(square - mean**2, 0.0).sum(axis=1)) + 1e-300


def _halved(X: Float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return nodes in the order of cells and where each cell begins; halved along the longest."""
    parts = [np.arange(len(X))]
    for _ in range(HALVINGS):
        halves = []
        for part in parts:
            centred = X[part] - X[part].mean(axis=0)
            direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
            order = np.argsort(centred @ direction, kind="stable")
            halves += [part[order[: len(part) // 2]], part[order[len(part) // 2 :]]]
        parts = halves
    return np.concatenate(parts), np.cumsum([0, *(len(part) for part in parts)])


def _draw(
    X: Float, bounds: NDArray[np.int64], u: int, v: int, count: int, rng: np.random.Generator
) -> Float:
    """Return s of pairs drawn with replacement from the pairs between cells u and v."""
    i = rng.integers(bounds[u], bounds[u + 1], count)
    if u != v:
        return products(X, i, rng.integers(bounds[v], bounds[v + 1], count))
    j = rng.integers(bounds[v], bounds[v + 1] - 1, count)
    return products(X, i, j + (j >= i))  # any node of the cell but i
