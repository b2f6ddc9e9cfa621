"""The distribution of s = x_i . x_j over all pairs of nodes, on a grid.

    sum_pairs f(s) ~ sum_k weights[k] f(nodes[k])

Every s deposits cubic-Lagrange weights on the four nodes around it, so that the sum is exact for
cubic f and off by about (3/128) h^4 f'''' otherwise. The distance h of nodes is a power of two,
for 4,096 to 8,192 nodes over the range of s. Where most of s lies in a small part of its range, the
nodes stand in layers: the first covers |s| < R at distance h, the next R <= |s| < 2R at 2h, and so
on, as floating-point numbers do. Grids of different data share their nodes and merge by `+`, the
finer one brought to the coarser distance by the same weights. What concerns edges alone (their
number and sum of s) is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ancestral.graph.pairs import Extremes, InnerProducts, PairStatistics, logistic

Float = NDArray[np.float64]

NODES = 4_096  # at least, over the range of s,
BULK_NODES = 1_024  # and over the middle 80 percent of it
MOST_NODES = 1 << 15  # of one layer

# Row p: the coefficients of t^p in the weights of nodes k - 1, k, k + 1, k + 2 at k + t.
_LAGRANGE = np.array([[0, 6, 0, 0], [-2, -3, 6, -1], [3, -6, 3, 0], [-1, 3, -3, 1]]) / 6.0


@dataclass(frozen=True)
class Layer:
    """Weights on equidistant nodes (start + k) step, k = 0, 1, ...; step is a power of two."""

    step: float
    start: int
    weights: Float

    @property
    def nodes(self) -> Float:
        """Return s at the nodes."""
        return self.step * np.arange(self.start, self.start + len(self.weights), dtype=np.float64)

    def __add__(self, other: Layer) -> Layer:
        if not isinstance(other, Layer) or other.step != self.step:
            return NotImplemented
        start = min(self.start, other.start)
        end = max(self.start + len(self.weights), other.start + len(other.weights))
        weights = np.zeros(end - start)
        for layer in (self, other):
            place = layer.start - start
            weights[place : place + len(layer.weights)] += layer.weights
        return Layer(self.step, start, weights)

    def doubled(self) -> Layer:
        """Return the same distribution on nodes of twice the distance."""
        start, weights = self.start, self.weights
        if start % 2:
            start, weights = start - 1, np.concatenate([[0.0], weights])
        if len(weights) % 2:
            weights = np.append(weights, 0.0)
        even, odd = weights[::2], weights[1::2]  # nodes 2k stay; 2k + 1 lies halfway
        result = np.zeros(len(even) + 3)  # from node start / 2 - 1
        result[1:-2] += even
        for k, share in enumerate((-1, 9, 9, -1)):
            result[k : k + len(odd)] += share / 16 * odd
        return Layer(2 * self.step, start // 2 - 1, result)

    def coarsened(self, step: float) -> Layer:
        """Return the same distribution on nodes at least `step` apart."""
        layer = self
        while layer.step < step:
            layer = layer.doubled()
        return layer


def merged(layers: Iterable[Layer], step: float = 0.0) -> tuple[Layer, ...]:
    """Return layers by rising distance, none below `step` or too long, one for each distance."""
    found: dict[float, Layer] = {}
    for layer in layers:
        coarse = layer.coarsened(step)
        found[coarse.step] = found[coarse.step] + coarse if coarse.step in found else coarse
    long = [layer.step for layer in found.values() if len(layer.weights) > MOST_NODES]
    if long:
        return merged(found.values(), 2 * max(long))
    return tuple(found[key] for key in sorted(found))


@dataclass(frozen=True)
class Cells:
    """Where s falls: cell k of the first layer holds s in [(start + k) step, (start + k + 1) step).

    Parameters
    ----------
    step : float
        A power of two.
    start : int
    count : int
        Cells of each layer.
    further : int
        Layers beyond the first, each of twice the step of the one before; start is then
        -count / 2, and a value belongs to the first layer that holds it.
    """

    step: float
    start: int
    count: int
    further: int = 0

    @classmethod
    def over(cls, low: float, high: float, some: Float | None = None) -> Cells:
        """Return cells that cover [low, high], fine enough for the bulk of `some` values of s."""
        step = spacing(low, high)
        bulk = 0.0 if some is None else float(np.subtract(*np.quantile(some, [0.9, 0.1])))
        if bulk / BULK_NODES < step and bulk > 0:
            step = max(2.0 ** math.floor(math.log2(bulk / BULK_NODES)), finest(low, high))
        start = math.floor(low / step)
        count = math.floor(high / step) - start + 1
        if count <= 4 * NODES:
            return cls(step, start, count)
        further = math.ceil(math.log2(max(abs(low), abs(high)) / (NODES * step)) + 1e-9)
        return cls(step, -NODES, 2 * NODES, further)

    def zeros(self) -> Float:
        """Return no moments yet: (cells of all layers, 4)."""
        return np.zeros((self.count * (1 + self.further), 4))

    def moments(self, s: Float, weights: Float | None = None) -> Float:
        """Return the sums of (1, t, t^2, t^3) in each cell over given s, optionally weighted."""
        u, row = s / self.step - self.start, np.zeros(len(s), np.int64)
        for _ in range(self.further):
            beyond = (u < 0) | (u >= self.count)
            u[beyond] = (u[beyond] + self.start) / 2 - self.start
            row[beyond] += self.count
        cell = np.clip(u.astype(np.int64), 0, self.count - 1)
        t, row = u - cell, row + cell
        w = np.ones(len(s)) if weights is None else weights
        size = self.count * (1 + self.further)
        columns = [w, w * t, w * t * t, w * t * t * t]
        return np.stack([np.bincount(row, c, minlength=size) for c in columns], axis=1)

    @cached_property
    def nodes(self) -> Float:
        """s at the nodes of all layers, one layer after the other."""
        return np.concatenate([layer.nodes for layer in self.layers(self.node_weights(None))])

    def node_weights(self, moments: Float | None) -> Float:
        """Return the weights of the nodes of all layers from moments of cells."""
        weights = np.zeros((1 + self.further, self.count + 3))
        if moments is not None:
            spread = (moments @ _LAGRANGE).reshape(1 + self.further, self.count, 4)
            for k in range(4):  # what each cell gives to its four nodes
                weights[:, k : k + self.count] += spread[:, :, k]
        return weights.ravel()

    def layers(self, weights: Float) -> tuple[Layer, ...]:
        """Return weights of nodes as layers."""
        parts = weights.reshape(1 + self.further, -1)
        return tuple(Layer(self.step * 2.0**k, self.start - 1, w) for k, w in enumerate(parts))


def spacing(low: float, high: float) -> float:
    """Return the power of two that puts 4,096 to 8,192 nodes on a range."""
    if high == low:
        return finest(low, high)
    return max(2.0 ** math.floor(math.log2((high - low) / NODES)), finest(low, high))


def finest(low: float, high: float) -> float:
    """Return the least distance at which a float64 s of such a size still has digits."""
    size = max(abs(low), abs(high))
    return 2.0 ** (math.floor(math.log2(size)) - 44) if size else 1.0


@dataclass(frozen=True)
class PairGrid(PairStatistics):
    """The sufficient statistic of a set of graphs on a grid of s.

    Parameters
    ----------
    layers : tuple of Layer
        Pairs, linked or not, spread over nodes.
    n_pairs, n_edges : int
        Exact.
    edge_sum : float
        The sum of s over the edges, exact to rounding.
    extremes : Extremes
        Of s over links and gaps; those of gaps are seen, not bounds, where pairs were not visited.
    doubt : tuple of Layer
        The weights of a rougher approximation less those of `layers`: what an approximation of
        the pairs (not of the grid) may be off by. None where every pair was visited.
    """

    layers: tuple[Layer, ...]
    n_pairs: int
    n_edges: int
    edge_sum: float
    extremes: Extremes = field(default_factory=Extremes)
    doubt: tuple[Layer, ...] = ()

    @classmethod
    def empty(cls) -> PairGrid:
        """Return the statistics of no graph: the identity of `+`."""
        return cls((), 0, 0, 0.0)

    @classmethod
    def of_products(cls, products: InnerProducts) -> PairGrid:
        """Return inner products on the grid."""
        s = np.concatenate([products.edges, products.gaps])
        if not len(s):
            return cls.empty()
        cells = Cells.over(float(s.min()), float(s.max()), s)
        edges = len(products.edges), float(products.edges.sum()), products.extremes
        return cls.of_cells(cells, cells.moments(s), *edges)

    @classmethod
    def of_cells(
        cls,
        cells: Cells,
        moments: Float,
        n_edges: int,
        edge_sum: float,
        extremes: Extremes,
        *,
        n_pairs: int | None = None,
        rough: Float | None = None,
    ) -> PairGrid:
        """Return the grid of moments in cells; `rough` are those of a rougher approximation."""
        count = round(float(moments[:, 0].sum())) if n_pairs is None else n_pairs
        doubt = () if rough is None else cells.layers(cells.node_weights(rough - moments))
        layers = cells.layers(cells.node_weights(moments))
        return cls(layers, count, n_edges, edge_sum, extremes, doubt)

    def __add__(self, other: PairStatistics) -> PairGrid:
        if isinstance(other, InnerProducts):
            other = PairGrid.of_products(other)
        if not isinstance(other, PairGrid):
            return NotImplemented
        if not other.n_pairs:
            return self
        if not self.n_pairs:
            return other
        step = max(self.layers[0].step, other.layers[0].step)
        layers = merged(self.layers + other.layers, step)
        return PairGrid(
            layers,
            self.n_pairs + other.n_pairs,
            self.n_edges + other.n_edges,
            self.edge_sum + other.edge_sum,
            self.extremes | other.extremes,
            merged(self.doubt + other.doubt, layers[0].step),
        )

    __radd__ = __add__

    @cached_property
    def nodes(self) -> Float:
        """s at the grid's nodes, shape (n_grid,)."""
        return np.concatenate([np.zeros(0), *(layer.nodes for layer in self.layers)])

    @cached_property
    def weights(self) -> Float:
        """The weights of the nodes, shape (n_grid,)."""
        return np.concatenate([np.zeros(0), *(layer.weights for layer in self.layers)])

    @property
    def rounding(self) -> float:
        """The rounding of s: pairs and edges are summed in different orders."""
        return 1e-13 * float(np.abs(self.nodes).max(initial=0.0))

    def log_likelihood(self, a: float, b: float) -> float:
        """Return l(a, b) in nats."""
        return self.evaluate(a, b)[0]

    def gradient(self, a: float, b: float) -> Float:
        """Return (dl/da, dl/db)."""
        return self.evaluate(a, b)[1]

    def information(self, a: float, b: float) -> Float:
        """Return the Fisher information of (a, b), of shape (2, 2)."""
        return self.evaluate(a, b)[2]

    def evaluate(self, a: float, b: float) -> tuple[float, Float, Float]:
        """Return log-likelihood, gradient and information together."""
        s, weights = self.nodes, self.weights
        soft, p, w = logistic(a * s + b)
        w *= weights
        first, expected = w @ s, p * weights
        return (
            float(a * self.edge_sum + b * self.n_edges - weights @ soft),
            np.array([self.edge_sum - expected @ s, self.n_edges - expected.sum()]),
            np.array([[w @ (s * s), first], [first, w.sum()]]),
        )

    def approximation_error(self, a: float, b: float) -> Float:
        """Return how far (a, b) may be off for the approximation, in standard errors.

        Returns
        -------
        ndarray of shape (2,)
            For a and b, an upper estimate: the difference to the grid of twice the distances,
            whose error is some sixteen times larger, and, where pairs were not visited, the
            difference to a rougher approximation.
        """
        rough = [layer.doubled() for layer in self.layers]
        off = np.abs(_expected(rough, a, b) - _expected(self.layers, a, b))
        off = off + np.abs(_expected(self.doubt, a, b))
        information = self.information(a, b)
        if not np.linalg.det(information) > 0:  # nothing left of the grid where p is not 0 or 1
            return np.full(2, np.inf)
        covariance = np.linalg.inv(information)
        shift: Float = np.abs(covariance) @ off / np.sqrt(np.diag(covariance))
        return shift

    def doubted_share(self, a: float, b: float) -> float:
        """Return the largest relative doubt of the sums of log(1 + exp(a s + b)), p and p s."""
        doubts, sums = np.zeros(4), np.zeros(4)
        for layers, total in ((self.doubt, doubts), (self.layers, sums)):
            for layer in layers:
                s = layer.nodes
                soft, p, _ = logistic(a * s + b)
                total += np.stack([soft, p, p * s, p * s * s]) @ layer.weights
        sums[2] = math.sqrt(max(sums[1] * sums[3], 0.0))  # the sum of p s itself may cancel
        return float(np.max(np.abs(doubts[:3]) / np.maximum(sums[:3], 1e-300)))

    @property
    def holds_everywhere(self) -> bool:
        """Tell whether the sums hold at every (a, b)."""
        return not self.doubt


def _expected(layers: Iterable[Layer], a: float, b: float) -> Float:
    """Return the sums of p s and of p."""
    total = np.zeros(2)
    for layer in layers:
        s = layer.nodes
        p = layer.weights * expit(a * s + b)
        total += [p @ s, p.sum()]
    return total
