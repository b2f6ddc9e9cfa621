"""What the likelihood needs of a set of graphs: sums over pairs, right wherever they are asked for.

    l(a, b)  = sum_edges (a s + b + o) - sum_pairs log(1 + exp(a s + b + o)),    s = x_i . x_j
             = - sum_k weight_k log(1 + exp(sign_k (a s_k + b + o_k)))  [+ the edges' linear part]
    dl/da    = sum_edges s - sum_pairs p s,    dl/db = n_edges - sum_pairs p
    I(a, b)  = sum_pairs p (1 - p) [s, 1] [s, 1]^T,    p = sigmoid(a s + b + o)

`PairSums` is the one class of them. Its terms are pairs themselves, or nodes of a grid of s
(`grid.Layer`); links have sign -1 and others 1, or all pairs have sign 1 and the links' sums are
added apart. o is an offset by graph, and `l2` takes (l2 / 2)(a^2 + b^2) off.

Sums of a grid, or of compressed graphs, hold near some (a, b) only. So each public number goes
through `at`, which bounds their error at the (a, b) in question: within `RELATIVE` of the sums over
all pairs, or gathered anew for that (a, b) from the graphs, which are kept beside the sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import ModelError
from ancestral.graph.pairs.grid import COARSENED, FINE, INTERPOLATION, Cells, Layer, merged
from ancestral.graph.pairs.logistic import FLAT, guarded_inverse, logistic
from ancestral.graph.pairs.separation import Extremes, refuse_separated
from ancestral.graph.pairs.terms import Sums, Terms

Float = NDArray[np.float64]
Scores = tuple[float, float, float, float, float, float]

RELATIVE = 1e-8  # of sums over pairs, at the (a, b) they are asked for
CUBIC = 1.25  # the most that the four weights of a pair sum to in size
CENTRED = 0.01  # of the squares about 0: a spread that is taken from them, with two digits lost
ROUNDED = 64 * np.finfo(np.float64).eps  # of a sum whose parts cancel
TOLERANCE = 0.01  # standard errors, that compressed graphs may move the estimates by
KEPT_PAIRS = 1_000_000  # up to here every s is kept; beyond, their distribution on a grid


class Sources(Protocol):
    """The graphs that sums were gathered from, which can be asked again."""

    def __add__(self, other: Any) -> Any:
        """Return both sets of graphs, or None where they are too many to be held."""

    def gathered(self, at: tuple[float, float]) -> PairSums:
        """Return sums that hold at (a, b)."""

    def visited(self, at: tuple[float, float]) -> PairSums:
        """Return sums that hold at (a, b), every pair visited."""


class Sampling(Protocol):
    """What a sample of pairs adds to the uncertainty of their sums."""

    def covariance(self, a: float, b: float) -> Float:
        """Return the sampling covariance of the sums of (p s, p)."""


@dataclass(frozen=True)
class PairSums:
    """The sums over pairs of a set of graphs, as a function of (a, b); merged by `+`.

    Parameters
    ----------
    edges, unlinked : ndarray of shape (n,)
        s of linked and of other pairs that are kept one by one.
    edge_counts, unlinked_counts : ndarray of the same shapes, optional
        How many pairs share that s; one each when not given.
    edge_offsets, unlinked_offsets : ndarray of the same shapes, optional
        What is added to their logits; nothing when not given.
    layers : tuple of Layer
        Pairs spread over the nodes of grids.
    apart : tuple of float
        The number of links that layers do not tell from other pairs, their sums of s and of offset.
    n_pairs, n_edges : int
    extremes : Extremes
        Of s over linked and unlinked pairs; those of the latter are seen, not bounds, where pairs
        were not visited.
    l2 : float
        The penalty.
    doubt : tuple of Layer
        The weights of a rougher compression less those of `layers`: what a compression of the
        pairs (not of the grid) may be off by.
    sampling : tuple of Sampling
        Of the graphs of which only some pairs were drawn.
    source : Sources, optional
        The graphs, to be asked again where these sums do not hold.
    features : FeatureRows, optional
        The features of the nodes, which likelihoods don't need but draws do.
    """

    edges: Float = field(default_factory=lambda: np.zeros(0))
    unlinked: Float = field(default_factory=lambda: np.zeros(0))
    edge_counts: Float | None = None
    unlinked_counts: Float | None = None
    edge_offsets: Float | None = None
    unlinked_offsets: Float | None = None
    layers: tuple[Layer, ...] = ()
    apart: tuple[float, float, float] = (0.0, 0.0, 0.0)
    n_pairs: int = 0
    n_edges: int = 0
    extremes: Extremes = field(default_factory=Extremes)
    l2: float = 0.0
    doubt: tuple[Layer, ...] = ()
    sampling: tuple[Sampling, ...] = ()
    source: Sources | None = None
    features: Any = None
    _anew: dict[str, PairSums] = field(default_factory=dict, repr=False, compare=False)
    _last: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of_products(cls, edges: Float, unlinked: Float) -> PairSums:
        """Return the sums of pairs whose s is kept, each one."""
        return cls(
            edges,
            unlinked,
            n_pairs=len(edges) + len(unlinked),
            n_edges=len(edges),
            extremes=Extremes.of(edges, unlinked),
        )

    @classmethod
    def of_cells(
        cls,
        cells: Cells,
        moments: Float,
        about_edges: tuple[int, float, Extremes],
        n_pairs: int,
        *,
        linked: Float | None = None,
        rough: Float | None = None,
    ) -> PairSums:
        """Return the sums of moments in cells: all pairs' and, to tell them apart, the links'.

        `about_edges` are the links' number, their sum of s, and extremes; `rough` the moments of a
        rougher compression.
        """
        n_edges, edge_sum, extremes = about_edges
        together = linked is None
        return cls(
            layers=cells.layers(cells.node_weights(moments))
            if linked is None
            else cells.signed(moments, linked),
            apart=(float(n_edges) * together, edge_sum * together, 0.0),
            n_pairs=n_pairs,
            n_edges=n_edges,
            extremes=extremes,
            doubt=() if rough is None else cells.layers(cells.node_weights(rough - moments)),
        )

    # ---- merging -----------------------------------------------------------------------------

    def __add__(self, other: PairSums) -> PairSums:
        if not isinstance(other, PairSums):
            return NotImplemented
        one, two = self, other
        if not one.n_pairs or not two.n_pairs:
            return two if not one.n_pairs else one
        kept = len(one.edges) + len(one.unlinked) + len(two.edges) + len(two.unlinked)
        if kept > KEPT_PAIRS:
            one, two = one.on_grid(), two.on_grid()
        return PairSums(
            np.concatenate([one.edges, two.edges]),
            np.concatenate([one.unlinked, two.unlinked]),
            _joined(one.edge_counts, one.edges, two.edge_counts, two.edges, 1.0),
            _joined(one.unlinked_counts, one.unlinked, two.unlinked_counts, two.unlinked, 1.0),
            _joined(one.edge_offsets, one.edges, two.edge_offsets, two.edges, 0.0),
            _joined(one.unlinked_offsets, one.unlinked, two.unlinked_offsets, two.unlinked, 0.0),
            layers=merged(one.layers + two.layers),
            apart=_total(one.apart, two.apart),
            n_pairs=one.n_pairs + two.n_pairs,
            n_edges=one.n_edges + two.n_edges,
            extremes=one.extremes | two.extremes,
            l2=max(one.l2, two.l2),
            doubt=merged(one.doubt + two.doubt),
            sampling=one.sampling + two.sampling,
            source=_both(one.source, two.source),
            features=_both(one.features, two.features),
        )

    def on_grid(self, at: tuple[float, float] | None = None) -> PairSums:
        """Return the same sums with the pairs that were kept one by one on a grid."""
        if not len(self.edges) + len(self.unlinked):
            return self
        every = np.concatenate([self.edges, self.unlinked])
        cells = Cells.over(float(every.min()), float(every.max()), every, at)
        layers: list[Layer] = list(self.layers)
        for sign, s, counts, offsets in self._kinds():
            for offset in [0.0] if offsets is None else np.unique(offsets).tolist():
                some = slice(None) if offsets is None else offsets == offset
                moments = cells.moments(s[some], None if counts is None else counts[some])
                made = cells.layers(cells.node_weights(moments), sign=sign)
                layers += [replace(layer, offset=offset) for layer in made]
        none = np.zeros(0)
        return replace(
            self,
            edges=none,
            unlinked=none,
            edge_counts=None,
            unlinked_counts=None,
            edge_offsets=None,
            unlinked_offsets=None,
            layers=merged(layers),
            _anew={},
            _last={},
        )

    def _kinds(self) -> Iterator[tuple[float, Float, Float | None, Float | None]]:
        """Give sign, s, counts and offsets of the links, then of the other pairs, that are kept."""
        yield -1.0, self.edges, self.edge_counts, self.edge_offsets
        yield 1.0, self.unlinked, self.unlinked_counts, self.unlinked_offsets

    def shifted(self, offset: float) -> PairSums:
        """Return the same pairs with this offset added to their logits."""

        def moved(s: Float, offsets: Float | None) -> Float:
            return np.full(len(s), offset) + (0.0 if offsets is None else offsets)

        count, total, held = self.apart
        return replace(
            self,
            edge_offsets=moved(self.edges, self.edge_offsets),
            unlinked_offsets=moved(self.unlinked, self.unlinked_offsets),
            layers=tuple(replace(layer, offset=layer.offset + offset) for layer in self.layers),
            doubt=tuple(replace(layer, offset=layer.offset + offset) for layer in self.doubt),
            sampling=tuple(_Shifted(part, offset) for part in self.sampling),
            apart=(count, total, held + count * offset),
            _anew={},
            _last={},
        )

    def penalised(self, l2: float) -> PairSums:
        """Return the sums less the penalty (l2 / 2)(a^2 + b^2), to be maximised in their place."""
        return self if l2 == self.l2 else replace(self, l2=l2, _anew={})

    def beside(self, **parts: Any) -> PairSums:
        """Return the same sums with other graphs or features beside them."""
        other = object.__new__(PairSums)
        vars(other).update(vars(self), **parts)
        return other

    # ---- what is asked of them ---------------------------------------------------------------

    def log_likelihood(self, a: float, b: float, *, maximised: bool = False) -> float:
        """Return l(a, b) in nats, less the penalty if there is one.

        Pairs that are kept are summed without loss, so that small increases show. `maximised` is
        that of `at`.
        """
        close = self.at(a, b, maximised=maximised)
        if not close.holds_everywhere:
            return close.roughly(a, b)[0]
        return -close._terms.lossless_soft(a, b) - close._penalty(a, b)

    def gradient(self, a: float, b: float, *, maximised: bool = False) -> Float:
        """Return (dl/da, dl/db)."""
        return self.evaluate(a, b, maximised=maximised)[1]

    def information(self, a: float, b: float) -> Float:
        """Return the Fisher information of (a, b), of shape (2, 2), and the penalty's part."""
        return self.evaluate(a, b)[2]

    def evaluate(
        self, a: float, b: float, *, maximised: bool = False
    ) -> tuple[float, Float, Float]:
        """Return log-likelihood (to rounding), gradient and information together."""
        return self.at(a, b, maximised=maximised).roughly(a, b)

    def covariance(self, a: float, b: float) -> Float:
        """Return the covariance of the estimates, of shape (2, 2): I^-1 + I^-1 V I^-1.

        V is that of the sample of pairs, 0 where every pair counts. Raises ModelError where the
        likelihood is flat, and no covariance exists.
        """
        close = self.at(a, b, maximised=True)
        model = close._inverse(a, b)
        if not close.sampling:
            return model
        sampled = np.zeros((2, 2))
        for part in close.sampling:
            sampled = sampled + part.covariance(a, b)
        total: Float = model + model @ sampled @ model
        return total

    def approximation_error(self, a: float, b: float) -> Float:
        """Return how far (a, b) may be off for approximate sums, in standard errors.

        Returns
        -------
        ndarray of shape (2,)
            For a and b, an upper estimate: the bound of the grid's error, and, where graphs were
            compressed, the difference to a rougher compression. 0 where every s is kept.
        """
        if not self.layers:
            return np.zeros(2)
        error, _ = self._grid_error(a, b)
        found = self._sums(a, b)
        centre = found.w_s / found.w if found.w > 0 else 0.0
        off = error * np.array([abs(centre) + 4.0 / max(abs(a), 1e-300), 1.0])
        off = off + np.abs(_expected(self.doubt, a, b)) if self.doubt else off
        if not np.isfinite(off).all():
            return np.full(2, np.inf)
        try:
            covariance = self._inverse(a, b)
        except ModelError:
            return np.full(2, np.inf)
        shift: Float = np.abs(covariance) @ off / np.sqrt(np.diag(covariance))
        return shift

    @property
    def holds_everywhere(self) -> bool:
        """Tell whether every inner product is kept, so that sums are exact at every (a, b)."""
        return not self.layers and not self.apart[0]

    @property
    def has_offsets(self) -> bool:
        """Tell whether logits of some pairs have an offset."""
        if self.edge_offsets is None is self.unlinked_offsets and not self.layers:
            return False
        kept = any(offsets is not None for *_, offsets in self._kinds())
        return kept or any(layer.offset for layer in self.layers)

    @property
    def rounding(self) -> float:
        """Two values of s that differ by less are equal: pairs and edges are summed apart."""
        if not self.layers:
            return 0.0
        seen = self.extremes
        ends = np.array([seen.low_edge, seen.high_edge, seen.low_unlinked, seen.high_unlinked])
        return 1e-13 * float(np.abs(ends[np.isfinite(ends)]).max(initial=0.0))

    def histogram(self, a: float, b: float) -> tuple[Float, Float]:
        """Return values of s and how many pairs have them, links first, right at (a, b)."""
        terms = self.at(a, b)._terms
        return terms.s, terms.weights

    def check_maximum_exists(self) -> None:
        """Raise ModelError when l(a, b) has no finite maximum, saying in which direction."""
        refuse_separated(self.n_pairs, self.n_edges, self.extremes, self.rounding)

    # ---- the one entrance --------------------------------------------------------------------

    def at(self, a: float, b: float, *, maximised: bool = False) -> PairSums:
        """Return sums that hold at (a, b): these, or others of the same graphs.

        Parameters
        ----------
        a, b : float
        maximised : bool
            The maximum is sought, and not a value: how far a compression moves it is
            `approximation_error`, and no matter here.

        Raises
        ------
        ModelError
            When these do not hold there, and the graphs are no longer held.
        """
        if self._holds_at(a, b, maximised=maximised):
            return self
        found = self._anew.get("sums")
        if found is not None and found._holds_at(a, b, maximised=maximised):
            return found
        if self.source is None:
            raise ModelError(
                "the compressed sums over pairs of these graphs are not valid at a slope of "
                f"{a:.3g} and an intercept of {b:.3g}, which are too steep or too far for them. "
                'Fit all graphs in one call of fit, or pass pairs="products" to keep every inner '
                "product."
            )
        for gather in (self.source.gathered, self.source.visited):
            found = gather((a, b)).penalised(self.l2)
            if found._holds_at(a, b, maximised=maximised):
                self._anew["sums"] = found
                return found
        raise ModelError(
            f"a slope of {a:.3g} is too steep for inner products in float64: neighbouring numbers "
            "have very different probabilities. Rescale the features, or give graphs whose linked "
            "and "
            "unlinked pairs overlap in x_i.x_j."
        )

    def _holds_at(self, a: float, b: float, *, maximised: bool) -> bool:
        """Tell whether sums at (a, b) are within `RELATIVE` of those over all pairs."""
        if self.sampling or self.holds_everywhere:
            return True  # a sample's error is in its covariance
        if not math.isfinite(a) or not math.isfinite(b):
            return True  # and NaN comes out, whatever the sums
        if not self._is_fine(a):
            error, misses = self._grid_error(a, b)
            if not error <= RELATIVE / 2 * misses:
                return False
        if maximised or not (self.apart[0] or self.doubt):
            return True
        number, about, held = self.apart
        value = self.penalised(0.0).roughly(a, b)[0]
        linear = a * about + b * number + held
        parts = abs(a * about) + abs(b * number) + abs(held) + abs(linear - value)
        return bool(ROUNDED * parts <= RELATIVE * abs(value)) and self.doubted(a, b) <= RELATIVE

    def _grid_error(self, a: float, b: float) -> tuple[float, float]:
        """Return a bound of the grids' error, and the sum of |e - p| where the bound may matter.

        Where links are not told from other pairs, the sum of p (1 - p) stands for that of |e - p|.
        """
        if self._is_fine(a):  # a node and the pairs around it weigh alike
            x, spread = abs(a) * self._widest_step, self._sums(a, b).w
            return CUBIC * COARSENED * INTERPOLATION * x**4 * math.exp(6 * x) * spread, math.inf
        misses = self._sums(a, b).w if self.apart[0] else self._terms.misses(a, b)
        error = 0.0
        for layer in self.layers:
            eta = a * layer.nodes + b + layer.offset
            error += layer.error_at(a, eta, logistic(eta)[2])
        return error, misses

    @cached_property
    def _widest_step(self) -> float:
        """The largest distance of nodes."""
        return max((layer.step for layer in self.layers), default=0.0)

    def _is_fine(self, a: float) -> bool:
        """Tell whether nodes are so close that the error is known without a look at them."""
        return abs(a) * self._widest_step <= FINE

    def doubted(self, a: float, b: float) -> float:
        """Return the largest relative doubt of l(a, b), and of the sums of p and of p s."""
        if not self.doubt:
            return 0.0
        terms = self._terms
        soft, p, _ = logistic(terms.logits(a, b))
        number, about, held = self.apart
        value = abs(a * about + b * number + held - float(soft @ terms.weights))
        weighted = p * terms.weights
        size = math.sqrt(max(float(weighted.sum() * (weighted @ (terms.s * terms.s))), 0.0))
        doubts = np.zeros(3)
        for layer in self.doubt:
            nodes = layer.nodes
            soft, p, _ = logistic(a * nodes + b + layer.offset)
            doubts += np.stack([soft, p, p * nodes]) @ layer.weights
        sums = np.maximum([value, weighted.sum(), size], 1e-300)  # that of p s itself may cancel
        return float(np.max(np.abs(doubts) / sums))

    # ---- the sums ----------------------------------------------------------------------------

    @cached_property
    def _terms(self) -> Terms:
        """The pairs and nodes, those of links first."""
        return self._listed([(layer.nodes, layer.weights) for layer in self.layers])

    @cached_property
    def _condensed(self) -> Terms:
        """The same with the nodes of grids condensed: for slopes at which they are `FINE`."""
        return self._listed([layer.condensed for layer in self.layers])

    def _listed(self, grids: list[tuple[Float, Float]]) -> Terms:
        """Return pairs that are kept, and nodes and weights of the layers, links first."""
        kept, layers = tuple(self._kinds()), self.layers
        if not layers and all(part is None for kind in kept for part in kind[2:]):
            return Terms(np.concatenate([self.edges, self.unlinked]), len(self.edges))
        no_counts = not layers and all(counts is None for _, _, counts, _ in kept)
        no_shift = all(o is None for *_, o in kept) and not any(x.offset for x in layers)
        s: list[Float] = []
        counts: list[Float] = []
        shift: list[Float] = []
        linked = 0
        for sign, own, own_counts, own_offsets in kept:
            s.append(own)
            counts.append(np.ones(len(own)) if own_counts is None else own_counts)
            shift.append(np.zeros(len(own)) if own_offsets is None else own_offsets)
            for layer, (nodes, weights) in zip(layers, grids, strict=True):
                if layer.sign == sign:
                    s.append(nodes)
                    counts.append(weights)
                    shift.append(np.full(len(nodes), layer.offset))
            linked = linked or (sum(map(len, s)) if sign < 0 else 0)
        return Terms(
            np.concatenate(s),
            linked,
            None if no_counts else np.concatenate(counts),
            None if no_shift else np.concatenate(shift),
        )

    def _sums(self, a: float, b: float) -> Sums:
        """Return the sums over terms as they are, unchecked; the last ones are remembered."""
        last = self._last.get("sums")
        if last is not None and last[:2] == (a, b):
            return last[2]
        terms = self._condensed if self.layers and self._is_fine(a) else self._terms
        found = terms.sums(a, b)
        self._last["sums"] = a, b, found
        return found

    def roughly(self, a: float, b: float) -> tuple[float, Float, Float]:
        """Return log-likelihood, gradient and information of these sums as they are, unchecked."""
        value, ga, gb, aa, ab, bb = self.scores(a, b)
        return value, np.array([ga, gb]), np.array([[aa, ab], [ab, bb]])

    def scores(self, a: float, b: float) -> Scores:
        """Return the same as numbers: l, dl/da, dl/db, and aa, ab and bb of the information."""
        found, l2 = self._sums(a, b), self.l2
        number, about, held = self.apart
        value = a * about + b * number + held - found.soft - self._penalty(a, b)
        return (
            value, about - found.off_s - l2 * a, number - found.off - l2 * b,
            found.w_ss + l2, found.w_s, found.w + l2,
        )  # fmt: skip

    @cached_property
    def moments(self) -> tuple[float, float, float]:
        """Mean and variance of s over all pairs, and its mean over the links."""
        terms = self._condensed if self.layers else self._terms
        total, squares, linked = terms.powers_of_s()
        mean = total / self.n_pairs
        if self.apart[0]:
            linked = self.apart[1]
        variance = squares / self.n_pairs - mean * mean
        return mean, variance, linked / self.n_edges if self.n_edges else mean

    def _penalty(self, a: float, b: float) -> float:
        return self.l2 / 2 * (a * a + b * b) if self.l2 else 0.0

    def _inverse(self, a: float, b: float) -> Float:
        """Return I^-1, taken about the mean of s, so that a large mean loses no digits."""
        if self.l2:
            return guarded_inverse(self.roughly(a, b)[2])
        found = self._sums(a, b)
        total = found.w
        if not total > 0:
            raise ModelError(FLAT)
        mean = found.w_s / total
        spread = found.w_ss - mean * found.w_s
        if not spread > CENTRED * mean * found.w_s:  # digits were lost
            first, spread = self._terms.spread_about(mean, a, b)
            spread -= first * first / total
        if not spread > 1e-24 * total * mean * mean:
            raise ModelError(FLAT)
        return np.array([[1.0, -mean], [-mean, spread / total + mean * mean]]) / spread


@dataclass(frozen=True)
class _Shifted:
    """A sample of pairs whose logits have an offset."""

    part: Sampling
    offset: float

    def covariance(self, a: float, b: float) -> Float:
        """Return the sampling covariance of the sums of (p s, p)."""
        return self.part.covariance(a, b + self.offset)


def _total(
    one: tuple[float, float, float], two: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return the sums of three numbers each."""
    return one[0] + two[0], one[1] + two[1], one[2] + two[2]


def _both(one: Any, two: Any) -> Any:
    """Return the sum of what both have; None where one has none."""
    return None if one is None or two is None else one + two


def _joined(
    one: Float | None, of_one: Float, two: Float | None, of_two: Float, empty: float
) -> Float | None:
    """Return values of two sets of pairs side by side; None where neither has any."""
    if one is None and two is None:
        return None
    return np.concatenate(
        [
            np.full(len(s), empty) if values is None else values
            for values, s in ((one, of_one), (two, of_two))
        ]
    )


def _expected(layers: tuple[Layer, ...], a: float, b: float) -> Float:
    """Return the sums of p s and of p."""
    total = np.zeros(2)
    for layer in layers:
        s = layer.nodes
        p = layer.weights * logistic(a * s + b + layer.offset)[1]
        total += [p @ s, p.sum()]
    return total
