"""The distribution of s = x_i . x_j over all pairs of nodes, on a grid, and a bound of its error.

    sum_pairs f(s) ~ sum_k weights[k] f(nodes[k])

Every s deposits cubic-Lagrange weights on the four nodes around it, so that the sum is exact for
cubic f and off by at most (3/128) h^4 |f''''| for each pair otherwise, with h the distance of
nodes. For f = softplus(a s + b), and for its derivatives by a s + b, |f''''| is at most
a^4 exp(-|a s + b|): `error_at` is a bound at any (a, b), and a grid whose layers are centred on
-b / a with |a| h below 1/256 meets it there, however steep the slope.

The distance h is a power of two. Where most of s lies in a small part of its range, or only a part
of it matters, the nodes stand in layers: the first covers |s - centre| < R at distance h, the next
R <= |s - centre| < 2R at 2h, and so on, as floating-point numbers do. Layers of different data
share their nodes where they have one centre (0 unless an (a, b) is given) and one h, and add up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import NDArray

from ancestral.graph.pairs.blocks import cell_moments

Float = NDArray[np.float64]

NODES = 4_096  # at least, over the range of s,
BULK_NODES = 1_024  # and over the middle 80 percent of it
MOST_NODES = 1 << 15  # of one layer
REACH = 1.0 / 256.0  # of a node around a given (a, b), in logits, where the slope is steep
# Logits between nodes that are so close that no bound need be summed (see `Layer.error_at`), and
# that they may be condensed.
FINE = 0.015
INTERPOLATION = 3.0 / 128.0  # of h^4 |f''''|
COARSENED = 2.0  # what doubling distances adds to the bound, and more

# Where functions are smooth over so many steps, their sums need so many points of each panel only.
PANEL, POINTS = 128, 16

# Row p: the coefficients of t^p in the weights of nodes k - 1, k, k + 1, k + 2 at k + t.
_LAGRANGE = np.array([[0, 6, 0, 0], [-2, -3, 6, -1], [3, -6, 3, 0], [-1, 3, -3, 1]]) / 6.0


@dataclass(frozen=True)
class Layer:
    """Weights on equidistant nodes centre + (start + k) step, k = 0, 1, ...; step a power of two.

    Pairs of one `sign`: -1 for links, which count softplus(-(a s + b + offset)), and 1 for gaps,
    or for all pairs where links are added apart.
    """

    step: float
    start: int
    weights: Float
    centre: float = 0.0
    sign: float = 1.0
    offset: float = 0.0

    @property
    def nodes(self) -> Float:
        """Return s at the nodes."""
        places = np.arange(self.start, self.start + len(self.weights), dtype=np.float64)
        return self.centre + self.step * places

    @property
    def key(self) -> tuple[float, ...]:
        """What two layers have in common that can be added."""
        return self.step, self.centre, self.sign, self.offset

    def __add__(self, other: Layer) -> Layer:
        if not isinstance(other, Layer) or other.key != self.key:
            return NotImplemented
        start = min(self.start, other.start)
        end = max(self.start + len(self.weights), other.start + len(other.weights))
        weights = np.zeros(end - start)
        for layer in (self, other):
            place = layer.start - start
            weights[place : place + len(layer.weights)] += layer.weights
        return replace(self, start=start, weights=weights)

    @cached_property
    def condensed(self) -> tuple[Float, Float]:
        """Values of s and their weights, for the sums of functions smooth over `PANEL` steps.

        The nodes of each panel weigh what `POINTS` Chebyshev roots over it weigh. For functions of
        a s + b with their poles at +-i pi, as softplus and its derivatives, the error falls like
        rho^-POINTS with rho = delta + sqrt(1 + delta^2), delta = 2 pi / (|a| step PANEL): 1e-13
        where |a| step is 0.015.
        """
        panels = -(-len(self.weights) // PANEL)
        if panels * POINTS >= len(self.weights):
            return self.nodes, self.weights
        weights = np.zeros(panels * PANEL)
        weights[: len(self.weights)] = self.weights
        middle = self.start + PANEL * np.arange(panels) + (PANEL - 1) / 2
        places = middle[:, None] + PANEL / 2 * chebyshev_roots(POINTS)
        s: Float = self.centre + self.step * places.ravel()
        return s, (weights.reshape(panels, PANEL) @ _panel_basis()).ravel()

    def trimmed(self) -> Layer | None:
        """Return the layer without empty nodes at its ends; None where all are empty."""
        held = np.flatnonzero(self.weights)
        if not len(held):
            return None
        first, last = int(held[0]), int(held[-1]) + 1
        return replace(self, start=self.start + first, weights=self.weights[first:last])

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
        return replace(self, step=2 * self.step, start=start // 2 - 1, weights=result)

    def error_at(self, a: float, eta: Float, w: Float) -> float:
        """Return a bound on what the sum of softplus over the pairs of this layer is off by.

        Parameters
        ----------
        a : float
        eta, w : ndarray of shape (n_nodes,)
            a s + b + offset at the nodes, and p (1 - p) there, which is exp(-|eta|) to a factor.

        Notes
        -----
        Between nodes, exp(-|eta|) is at most exp(3 |a| step) times that at the nodes around.
        """
        x = abs(a) * self.step
        factor = COARSENED * INTERPOLATION * x**4
        weights = np.abs(self.weights)
        if x <= 1:
            return float(factor * math.exp(3 * x) * (weights @ w))
        held = weights > 0
        if not held.any():
            return 0.0
        # so far apart, a pair between two nodes may weigh what neither of them tells
        near = float(np.abs(eta[held]).min()) - 3 * x
        return float(factor * weights.sum() * math.exp(-near)) if near > -700 else math.inf


def chebyshev_roots(q: int) -> Float:
    """Return the roots of the q-th Chebyshev polynomial."""
    roots: Float = np.cos((2 * np.arange(q) + 1) * np.pi / (2 * q))
    return roots


def lagrange_basis(z: Float, q: int) -> Float:
    """Return the Lagrange basis of the q Chebyshev roots at z in [-1, 1], shape (len(z), q)."""
    T = chebvander(chebyshev_roots(q), q - 1)  # discrete orthogonality gives the basis
    T[:, 1:] *= 2.0
    basis: Float = chebvander(z, q - 1) @ T.T / q
    return basis


@cache
def _panel_basis() -> Float:
    """Return what the nodes of a panel weigh at its points, (PANEL, POINTS)."""
    return lagrange_basis((2 * np.arange(PANEL) - (PANEL - 1)) / PANEL, POINTS)


def merged(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """Return layers by rising distance, none too long, one for each distance, centre and sign."""
    found: dict[tuple[float, ...], Layer] = {}
    waiting = list(layers)
    while waiting:
        layer = waiting.pop()
        if layer.key in found:
            layer = found.pop(layer.key) + layer
        if len(layer.weights) > MOST_NODES:
            waiting.append(layer.doubled())
        else:
            found[layer.key] = layer
    return tuple(found[key] for key in sorted(found))


@dataclass(frozen=True)
class Cells:
    """Where s falls: cell k of the first layer holds (s - centre) / step in [start + k, ... + 1).

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
    centre : float
    """

    step: float
    start: int
    count: int
    further: int = 0
    centre: float = 0.0

    @classmethod
    def over(
        cls,
        low: float,
        high: float,
        some: Float | None = None,
        at: tuple[float, float] | None = None,
    ) -> Cells:
        """Return cells that cover [low, high], fine enough for the bulk of `some` values of s.

        With `at`, fine enough for sums at this (a, b) and near it.
        """
        step = spacing(low, high)
        if at is not None and abs(at[0]) * step > FINE:
            return cls._centred(low, high, some, *at)
        bulk = 0.0 if some is None else _bulk(some)
        if bulk / BULK_NODES < step and bulk > 0:
            step = max(2.0 ** math.floor(math.log2(bulk / BULK_NODES)), finest(low, high))
        start = math.floor(low / step)
        count = math.floor(high / step) - start + 1
        if count <= 4 * NODES:
            return cls(step, start, count)
        return cls(step, -NODES, 2 * NODES, _layers(max(abs(low), abs(high)), step))

    @classmethod
    def _centred(cls, low: float, high: float, some: Float | None, a: float, b: float) -> Cells:
        """Return cells around the s of even odds, or the s that is nearest to it."""
        ends = (low, high) if some is None else (float(some.min()), float(some.max()))
        centre = min(max(-b / a, ends[0]), ends[1])
        step = max(2.0 ** math.floor(math.log2(REACH / abs(a))), finest(low, high))
        reach = max(high - centre, centre - low)
        return cls(step, -NODES, 2 * NODES, _layers(reach, step), centre)

    @property
    def origin(self) -> float:
        """The lower end of the first layer."""
        return self.centre + self.start * self.step

    @property
    def size(self) -> int:
        """Cells of all layers."""
        return self.count * (1 + self.further)

    def zeros(self) -> Float:
        """Return no moments yet: (cells of all layers, 4)."""
        return np.zeros((self.size, 4))

    def moments(self, s: Float, weights: Float | None = None) -> Float:
        """Return the sums of (1, t, t^2, t^3) in each cell over given s, optionally weighted."""
        return cell_moments(s, weights, self.origin, 1.0 / self.step, self.further, self.size)

    @cached_property
    def nodes(self) -> Float:
        """s at the nodes of all layers, one layer after the other."""
        return np.concatenate([layer.nodes for layer in self._empty()])

    def node_weights(self, moments: Float | None) -> Float:
        """Return the weights of the nodes of all layers from moments of cells."""
        weights = np.zeros((1 + self.further, self.count + 3))
        if moments is not None:
            spread = (moments @ _LAGRANGE).reshape(1 + self.further, self.count, 4)
            for k in range(4):  # what each cell gives to its four nodes
                weights[:, k : k + self.count] += spread[:, :, k]
        return weights.ravel()

    def layers(self, weights: Float, *, sign: float = 1.0) -> tuple[Layer, ...]:
        """Return weights of nodes as layers."""
        parts = weights.reshape(1 + self.further, -1)
        made = (
            Layer(self.step * 2.0**k, self.start - 1, w, self.centre, sign)
            for k, w in enumerate(parts)
        )
        return tuple(layer for layer in (m.trimmed() for m in made) if layer is not None)

    def signed(self, moments: Float, edges: Float) -> tuple[Layer, ...]:
        """Return layers of links and of gaps, from the moments of all pairs and of the links."""
        gaps = moments - edges
        few = np.abs(gaps).max(axis=1) < 1e-12 * moments[:, 0]
        gaps[few] = 0.0  # a pair would leave more: a cell without a gap holds rounding alone
        return (
            *self.layers(self.node_weights(edges), sign=-1.0),
            *self.layers(self.node_weights(gaps)),
        )

    def _empty(self) -> list[Layer]:
        none = np.zeros(self.count + 3)
        return [
            Layer(self.step * 2.0**k, self.start - 1, none, self.centre)
            for k in range(1 + self.further)
        ]


def _bulk(some: Float) -> float:
    """Return the range of the middle 80 percent."""
    tail = len(some) // 10
    ranked = np.partition(some, (tail, len(some) - 1 - tail))
    return float(ranked[len(some) - 1 - tail] - ranked[tail])


def spacing(low: float, high: float) -> float:
    """Return the power of two that puts 4,096 to 8,192 nodes on a range."""
    if high == low:
        return finest(low, high)
    return max(2.0 ** math.floor(math.log2((high - low) / NODES)), finest(low, high))


def finest(low: float, high: float) -> float:
    """Return the least distance at which a float64 s of such a size still has digits."""
    size = max(abs(low), abs(high))
    return 2.0 ** (math.floor(math.log2(size)) - 44) if size else 1.0


def _layers(reach: float, step: float) -> int:
    """Return how many layers beyond the first cover all within `reach` of the centre."""
    return max(0, math.ceil(math.log2(max(reach, step) / (NODES * step)) + 1e-9))
