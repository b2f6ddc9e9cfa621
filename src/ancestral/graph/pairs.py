"""What the likelihood needs of a set of graphs, and the same kept exactly.

    l(a, b)  = sum_edges (a s + b) - sum_pairs log(1 + exp(a s + b)),    s = x_i . x_j
    dl/da    = sum_edges s - sum_pairs p s,    dl/db = n_edges - sum_pairs p
    I(a, b)  = sum_pairs p (1 - p) [s, 1] [s, 1]^T,    p = sigmoid(a s + b)

`PairStatistics` is that interface: whatever holds the distribution of s answers it, and merges by
`+`. `InnerProducts` holds every s; `pair_sums.PairGrid` holds their distribution on a grid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from math import fsum

import numpy as np
from numpy.typing import NDArray

from ancestral._validation import warn
from ancestral.errors import ModelError
from ancestral.graph.graphs import Graph

TOLERANCE = 0.01  # standard errors, that approximate sums may move the estimates by
LARGEST_ERROR = 0.02  # standard errors: an approximation beyond that is warned of
KEPT_PAIRS = 1_000_000  # up to here every s is kept; beyond, their distribution on a grid


@dataclass(frozen=True)
class Extremes:
    """The range of s over the linked pairs and over the others; empty ranges are (inf, -inf)."""

    low_edge: float = np.inf
    high_edge: float = -np.inf
    low_gap: float = np.inf
    high_gap: float = -np.inf

    @classmethod
    def of(cls, edges: NDArray[np.float64], gaps: NDArray[np.float64]) -> Extremes:
        """Return the ranges of two arrays of s."""
        ends = [
            (float(s.min(initial=np.inf)), float(s.max(initial=-np.inf))) for s in (edges, gaps)
        ]
        return cls(*ends[0], *ends[1])

    def __or__(self, other: Extremes) -> Extremes:
        """Return the ranges over both sets of graphs."""
        return Extremes(
            min(self.low_edge, other.low_edge),
            max(self.high_edge, other.high_edge),
            min(self.low_gap, other.low_gap),
            max(self.high_gap, other.high_gap),
        )


class PairStatistics(ABC):
    """A sufficient statistic of a set of graphs: the distribution of s, over edges and in all."""

    n_pairs: int  # node pairs (dyads)
    n_edges: int  # linked pairs
    extremes: Extremes

    @property
    def rounding(self) -> float:
        """Two values of s that differ by less are taken as equal."""
        return 0.0

    @abstractmethod
    def log_likelihood(self, a: float, b: float) -> float:
        """Return l(a, b) in nats."""

    @abstractmethod
    def gradient(self, a: float, b: float) -> NDArray[np.float64]:
        """Return (dl/da, dl/db)."""

    @abstractmethod
    def information(self, a: float, b: float) -> NDArray[np.float64]:
        """Return the Fisher information of (a, b), of shape (2, 2)."""

    def evaluate(
        self, a: float, b: float
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Return log-likelihood (to rounding), gradient and information together."""
        return self.log_likelihood(a, b), self.gradient(a, b), self.information(a, b)

    def covariance(self, a: float, b: float) -> NDArray[np.float64]:
        """Return the covariance of the estimates, of shape (2, 2): I^-1 + I^-1 V I^-1.

        V is that of `sampling_covariance`, 0 where every pair counts.
        """
        model = np.asarray(np.linalg.inv(self.information(a, b)), np.float64)
        total: NDArray[np.float64] = model + model @ self.sampling_covariance(a, b) @ model
        return total

    def sampling_covariance(self, a: float, b: float) -> NDArray[np.float64]:
        """Return the covariance of the gradient for a sample of the pairs, of shape (2, 2)."""
        return np.zeros((2, 2))

    def approximation_error(self, a: float, b: float) -> NDArray[np.float64]:
        """Return how far (a, b) may be off for approximate sums, in standard errors."""
        return np.zeros(2)

    @property
    def holds_everywhere(self) -> bool:
        """Tell whether the sums hold at every (a, b): no graph was compressed near one of them."""
        return True

    def check_maximum_exists(self) -> None:
        """Raise ModelError when l(a, b) has no finite maximum, saying in which direction."""
        if self.n_pairs == 0:
            raise ModelError("there are no pairs of nodes: give a graph with two nodes or more.")
        if self.n_edges in (0, self.n_pairs):
            side = (
                "no pair is linked: b -> -inf"
                if self.n_edges == 0
                else "every pair is linked: b -> +inf"
            )
            raise ModelError(f"{side}, so the likelihood has no finite maximum. {_MEND}")
        self._refuse_separation()

    def _refuse_separation(self) -> None:
        """Raise ModelError when one threshold of s parts the links from the gaps."""
        seen, slack = self.extremes, self.rounding
        low, high = min(seen.low_edge, seen.low_gap), max(seen.high_edge, seen.high_gap)
        if high - low <= slack:
            raise ModelError(
                f"all inner products equal {low:g}: a is not identified. "
                "Give features that vary, or pass l2=1 for a penalised fit."
            )
        separated = "the links are separated, so the likelihood has no finite maximum"
        if seen.low_edge >= seen.high_gap - slack:
            raise ModelError(
                f"{separated}: a -> +inf, since every linked pair has x_i.x_j >= "
                f"{seen.low_edge:g} and every unlinked one <= {seen.high_gap:g}. {_MEND}"
            )
        if seen.high_edge <= seen.low_gap + slack:
            raise ModelError(
                f"{separated}: a -> -inf, since every linked pair has x_i.x_j <= "
                f"{seen.high_edge:g} and every unlinked one >= {seen.low_gap:g}. {_MEND}"
            )


_MEND = "Add graphs until links and gaps overlap in x_i.x_j, or pass l2=1 for a penalised fit."


@dataclass(frozen=True)
class InnerProducts(PairStatistics):
    """The sufficient statistic of a set of graphs: all s_ij, and which belong to edges.

    Parameters
    ----------
    edges : ndarray of shape (n_edges,)
        s_ij of the linked pairs.
    gaps : ndarray of shape (n_pairs - n_edges,)
        s_ij of the unlinked pairs.
    """

    edges: NDArray[np.float64]
    gaps: NDArray[np.float64]

    @classmethod
    def empty(cls) -> InnerProducts:
        """Return the statistics of no graph: the identity of `+`."""
        return cls(np.zeros(0), np.zeros(0))

    @classmethod
    def of(cls, graphs: Iterable[Graph]) -> InnerProducts:
        """Gather the inner products over the pairs i < j of each graph."""
        edges, gaps = [np.zeros(0)], [np.zeros(0)]
        for stack in _stacks(graphs):
            n = stack[0].n_nodes
            i, j = np.triu_indices(n, 1)
            place = i * n + j
            X = np.stack([graph.features for graph in stack])  # (graphs, n, m)
            E = np.stack([graph.to_dense() for graph in stack])
            s = (X @ X.transpose(0, 2, 1)).reshape(len(stack), -1).take(place, axis=1)
            linked = E.reshape(len(stack), -1).take(place, axis=1) == 1
            edges.append(s[linked])
            gaps.append(s[~linked])
        return cls(np.concatenate(edges), np.concatenate(gaps))

    def __add__(self, other: InnerProducts) -> PairStatistics:
        if not isinstance(other, InnerProducts):
            return NotImplemented
        if self.n_pairs + other.n_pairs > KEPT_PAIRS:
            from ancestral.graph.grid import PairGrid

            return PairGrid.of_products(self) + other
        return InnerProducts(
            np.concatenate([self.edges, other.edges]), np.concatenate([self.gaps, other.gaps])
        )

    @property
    def n_pairs(self) -> int:  # type: ignore[override]
        """Number of node pairs (dyads)."""
        return len(self.edges) + len(self.gaps)

    @property
    def n_edges(self) -> int:  # type: ignore[override]
        """Number of linked pairs."""
        return len(self.edges)

    @property
    def extremes(self) -> Extremes:  # type: ignore[override]
        """The ranges of s over links and gaps."""
        return Extremes.of(self.edges, self.gaps)

    def log_likelihood(self, a: float, b: float) -> float:
        """Return l(a, b) in nats, summed without loss so that small increases show."""
        sign, signed, _ = self._signed
        return -lossless_sum(softplus(a * signed + b * sign))

    def gradient(self, a: float, b: float) -> NDArray[np.float64]:
        """Return (dl/da, dl/db)."""
        return self.evaluate(a, b)[1]

    def information(self, a: float, b: float) -> NDArray[np.float64]:
        """Return the Fisher information of (a, b), of shape (2, 2)."""
        return self.evaluate(a, b)[2]

    @cached_property
    def _signed(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """A pair's sign, -1 on edges and 1 on gaps; sign times s; s squared."""
        sign = np.concatenate([np.full(len(self.edges), -1.0), np.ones(len(self.gaps))])
        signed = np.concatenate([-self.edges, self.gaps])
        return sign, signed, signed * signed

    def evaluate(
        self, a: float, b: float
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Return log-likelihood, gradient and information together."""
        sign, signed, squared = self._signed
        # with z = (a s + b) sign: log p = -softplus(z) and e - p = -sign sigmoid(z), on both kinds
        soft, r, w = logistic(a * signed + b * sign)
        cross = w * sign
        first = cross @ signed
        return (
            -float(soft.sum()),
            -np.array([r @ signed, r @ sign]),
            np.array([[w @ squared, first], [first, w.sum()]]),
        )


@dataclass(frozen=True)
class Penalised(PairStatistics):
    """The log-likelihood less (l2 / 2)(a^2 + b^2), to be maximised in its place."""

    statistics: PairStatistics
    l2: float

    @property
    def n_pairs(self) -> int:  # type: ignore[override]
        """Number of node pairs (dyads)."""
        return self.statistics.n_pairs

    @property
    def n_edges(self) -> int:  # type: ignore[override]
        """Number of linked pairs."""
        return self.statistics.n_edges

    def log_likelihood(self, a: float, b: float) -> float:
        """Return the penalised log-likelihood, in nats."""
        return self.statistics.log_likelihood(a, b) - self.l2 / 2 * (a * a + b * b)

    def gradient(self, a: float, b: float) -> NDArray[np.float64]:
        """Return its derivatives by a and b."""
        return self.statistics.gradient(a, b) - self.l2 * np.array([a, b])

    def information(self, a: float, b: float) -> NDArray[np.float64]:
        """Return minus its second derivatives."""
        return self.statistics.information(a, b) + self.l2 * np.eye(2)

    def sampling_covariance(self, a: float, b: float) -> NDArray[np.float64]:
        """Return that of the statistics: the penalty is exact."""
        return self.statistics.sampling_covariance(a, b)

    def approximation_error(self, a: float, b: float) -> NDArray[np.float64]:
        """Return that of the statistics; the penalty makes it smaller, if anything."""
        return self.statistics.approximation_error(a, b)

    @property
    def holds_everywhere(self) -> bool:
        """Tell whether the sums hold at every (a, b)."""
        return self.statistics.holds_everywhere

    def evaluate(
        self, a: float, b: float
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Return penalised log-likelihood, gradient and information together."""
        value, gradient, information = self.statistics.evaluate(a, b)
        theta = np.array([a, b])
        return (
            value - self.l2 / 2 * float(theta @ theta),
            gradient - self.l2 * theta,
            information + self.l2 * np.eye(2),
        )


def tolerable_error(statistics: PairStatistics, a: float, b: float) -> NDArray[np.float64]:
    """Return how far (a, b) may be off, in standard errors: warned of, or refused, if far."""
    error = statistics.approximation_error(a, b)
    if statistics.holds_everywhere:
        cause = (
            "links and gaps hardly overlap: the grid of x_i.x_j is too coarse for a slope as steep "
            f"as {a:.2g}"
        )
        mend = (
            'Pass pairs="products" to keep every inner product, which takes '
            f"{48 * statistics.n_pairs / 2**30:.2g} GiB."
        )
    else:
        cause = (
            f"graphs were compressed, each near its own estimates, which a slope of {a:.2g} and an "
            f"intercept of {b:.2g} are too far from"
        )
        mend = 'Fit all graphs in one call of fit, or pass pairs="visited" to visit every pair.'
    if error.max() > 1:
        raise ModelError(f"{cause}. {mend}")
    if error.max() > LARGEST_ERROR:
        warn(
            "the sums over pairs are approximate: slope and intercept may be off by "
            f"{error.max():.2g} standard errors. {mend}"
        )
    return error


def _stacks(graphs: Iterable[Graph]) -> Iterator[list[Graph]]:
    """Yield neighbouring graphs of one size, not too many to hold all their pairs at once."""
    for n, run in groupby(graphs, key=lambda graph: graph.n_nodes):
        some, step = list(run), max(1, KEPT_PAIRS // max(1, n * n))
        if n > 1:
            yield from (some[k : k + step] for k in range(0, len(some), step))


def softplus(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(1 + exp(eta)) without overflow."""
    result: NDArray[np.float64] = np.maximum(eta, 0.0)
    result += np.log1p(np.exp(-np.abs(eta)))
    return result


def logistic(
    eta: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return softplus(eta), p = sigmoid(eta) and p (1 - p), from one exponential."""
    t = np.abs(eta)
    np.exp(np.negative(t, out=t), out=t)
    soft = np.log1p(t)
    soft += np.maximum(eta, 0.0)
    q = 1.0 + t
    np.reciprocal(q, out=q)  # sigmoid(|eta|)
    t *= q  # 1 - q, without loss
    return soft, np.where(eta > 0, q, t), t * q


def lossless_sum(x: NDArray[np.float64]) -> float:
    """Return the sum to about twice the digits of float64: folded, the rounding kept apart."""
    lost = 0.0
    while len(x) > 64:
        half = len(x) // 2
        a, b, rest = x[:half], x[half : 2 * half], x[2 * half :]
        total = a + b
        back = total - a
        lost += float(((a - (total - back)) + (b - back)).sum())  # Knuth's TwoSum
        x = np.concatenate([total, rest]) if len(rest) else total
    return fsum((*x.tolist(), lost))
