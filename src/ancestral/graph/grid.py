"""The distribution of s = x_i . x_j over all pairs of nodes, on a uniform grid.

    sum_pairs f(s) ~ sum_k weights[k] f(k h),    k = start, start + 1, ...

Every s deposits cubic-Lagrange weights on the four nodes around it, so that the sum is exact for
cubic f and off by about (3/128) h^4 f'''' otherwise. The spacing h is a power of two, chosen for
4,096 to 8,192 nodes over the range: grids of different data share their nodes and merge by `+`, the
finer one brought to the coarser spacing by the same weights. What concerns edges alone (their
number and sum of s) is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ancestral.graph.pairs import Extremes, InnerProducts, PairStatistics, logistic

NODES = 4_096  # at least, over the range of s
Float = NDArray[np.float64]

# Row p: the coefficients of t^p in the weights of nodes k - 1, k, k + 1, k + 2 at k + t.
_LAGRANGE = np.array([[0, 6, 0, 0], [-2, -3, 6, -1], [3, -6, 3, 0], [-1, 3, -3, 1]]) / 6.0


@dataclass(frozen=True)
class Cells:
    """Where s falls: cell k holds s in [(start + k) step, (start + k + 1) step).

    Parameters
    ----------
    step : float
        A power of two.
    start : int
    count : int
    """

    step: float
    start: int
    count: int

    @classmethod
    def over(cls, low: float, high: float) -> Cells:
        """Return cells that cover [low, high], of the spacing that belongs to such a range."""
        step = spacing(low, high)
        start = math.floor(low / step)
        return cls(step, start, math.floor(high / step) - start + 1)

    def zeros(self) -> Float:
        """Return no moments yet: (count, 4)."""
        return np.zeros((self.count, 4))

    def moments(self, s: Float, weights: Float | None = None) -> Float:
        """Return the sums of (1, t, t^2, t^3) in each cell over given s, optionally weighted."""
        u = s / self.step - self.start
        cell = np.clip(u.astype(np.int64), 0, self.count - 1)
        t = u - cell
        w = np.ones(len(s)) if weights is None else weights
        columns = [w, w * t, w * t * t, w * t * t * t]
        return np.stack([np.bincount(cell, c, minlength=self.count) for c in columns], axis=1)

    def node_weights(self, moments: Float) -> Float:
        """Return the weights of nodes start - 1 ... start + count + 1 from moments of cells."""
        spread = moments @ _LAGRANGE  # (count, 4): what each cell gives to its four nodes
        weights = np.zeros(self.count + 3)
        for k in range(4):
            weights[k : k + self.count] += spread[:, k]
        return weights


def spacing(low: float, high: float) -> float:
    """Return the power of two that puts 4,096 to 8,192 nodes on a range."""
    size = max(abs(low), abs(high))
    if size == 0:
        return 1.0
    finest = math.floor(math.log2(size)) - 44  # below, a float64 s has no digits left
    if high == low:
        return 2.0**finest
    return 2.0 ** max(math.floor(math.log2((high - low) / NODES)), finest)


@dataclass(frozen=True)
class PairGrid(PairStatistics):
    """The sufficient statistic of a set of graphs on a grid of s.

    Parameters
    ----------
    step : float
        Distance of the grid's nodes, a power of two.
    start : int
        The first node is at start * step.
    weights : ndarray of shape (n_grid,)
        Pairs, linked or not, spread over the nodes.
    n_pairs, n_edges : int
        Exact.
    edge_sum : float
        The sum of s over the edges, exact to rounding.
    extremes : Extremes
        Of s over links and gaps; those of gaps are seen, not bounds, where pairs were not visited.
    doubt : ndarray of shape (n_grid,)
        The weights of a rougher approximation less `weights`: what an approximation of the pairs
        (not of the grid) may be off by. Zero where every pair was visited.
    """

    step: float
    start: int
    weights: Float
    n_pairs: int
    n_edges: int
    edge_sum: float
    extremes: Extremes = field(default_factory=Extremes)
    doubt: Float | None = None

    @classmethod
    def empty(cls) -> PairGrid:
        """Return the statistics of no graph: the identity of `+`."""
        return cls(0.0, 0, np.zeros(0), 0, 0, 0.0)

    @classmethod
    def of_products(cls, products: InnerProducts) -> PairGrid:
        """Return inner products on the grid."""
        s = np.concatenate([products.edges, products.gaps])
        if not len(s):
            return cls.empty()
        cells = Cells.over(float(s.min()), float(s.max()))
        return cls.of_cells(
            cells, cells.moments(s), len(products.edges), products.edges.sum(), products.extremes
        )

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
        weights = cells.node_weights(moments)
        doubt = None if rough is None else cells.node_weights(rough) - weights
        count = round(float(moments[:, 0].sum())) if n_pairs is None else n_pairs
        return cls(
            cells.step,
            cells.start - 1,
            weights,
            count,
            int(n_edges),
            float(edge_sum),
            extremes,
            doubt,
        )

    def __add__(self, other: PairStatistics) -> PairGrid:
        if isinstance(other, InnerProducts):
            other = PairGrid.of_products(other)
        if not isinstance(other, PairGrid):
            return NotImplemented
        if not other.n_pairs:
            return self
        if not self.n_pairs:
            return other
        step = max(self.step, other.step)
        while (max(self.high, other.high) - min(self.low, other.low)) / step > 2 * NODES + 16:
            step *= 2  # the 16 leave room for nodes beyond the ends, which merging adds
        one, two = self.coarsened(step), other.coarsened(step)
        start = min(one.start, two.start)
        size = max(one.start + len(one.weights), two.start + len(two.weights)) - start
        doubts = [(g.doubt, g.start - start) for g in (one, two) if g.doubt is not None]
        return PairGrid(
            step,
            start,
            _laid([(g.weights, g.start - start) for g in (one, two)], size),
            one.n_pairs + two.n_pairs,
            one.n_edges + two.n_edges,
            one.edge_sum + two.edge_sum,
            one.extremes | two.extremes,
            _laid(doubts, size) if doubts else None,
        )

    __radd__ = __add__

    @property
    def low(self) -> float:
        """The first node's s."""
        return self.start * self.step

    @property
    def high(self) -> float:
        """The last node's s."""
        return (self.start + len(self.weights) - 1) * self.step

    @property
    def nodes(self) -> Float:
        """s at the grid's nodes, shape (n_grid,)."""
        return self.step * np.arange(self.start, self.start + len(self.weights), dtype=np.float64)

    @property
    def rounding(self) -> float:
        """The rounding of s: pairs and edges are summed in different orders."""
        return 1e-13 * max(abs(self.low), abs(self.high))

    def coarsened(self, step: float) -> PairGrid:
        """Return the same distribution on a grid of a larger spacing, by doublings."""
        grid = self
        while grid.step < step:
            start, weights = _doubled(grid.start, grid.weights)
            doubt = None if grid.doubt is None else _doubled(grid.start, grid.doubt)[1]
            grid = PairGrid(
                2 * grid.step,
                start,
                weights,
                grid.n_pairs,
                grid.n_edges,
                grid.edge_sum,
                grid.extremes,
                doubt,
            )
        return grid

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
            For a and b, an upper estimate: the difference to the grid of twice the spacing, whose
            error is some sixteen times larger, and, where pairs were not visited, the difference
            to a rougher approximation.
        """
        _, gradient, information = self.evaluate(a, b)
        off = np.abs(self.coarsened(2 * self.step).gradient(a, b) - gradient)
        if self.doubt is not None:
            p = self.doubt * expit(a * self.nodes + b)
            off = off + np.abs([p @ self.nodes, p.sum()])
        covariance = np.linalg.inv(information)
        shift: Float = np.abs(covariance) @ off / np.sqrt(np.diag(covariance))
        return shift


def _doubled(start: int, weights: Float) -> tuple[int, Float]:
    """Return start and weights on the grid of twice the spacing."""
    if start % 2:
        start, weights = start - 1, np.concatenate([[0.0], weights])
    if len(weights) % 2:
        weights = np.append(weights, 0.0)
    even, odd = weights[::2], weights[1::2]  # nodes 2k stay; 2k + 1 lies halfway
    result = np.zeros(len(even) + 3)  # from node start / 2 - 1
    result[1:-2] += even
    for k, share in enumerate((-1, 9, 9, -1)):
        result[k : k + len(odd)] += share / 16 * odd
    return start // 2 - 1, result


def _laid(parts: list[tuple[Float, int]], size: int) -> Float:
    """Return arrays added up, each at its own place."""
    total = np.zeros(size)
    for values, place in parts:
        total[place : place + len(values)] += values
    return total
