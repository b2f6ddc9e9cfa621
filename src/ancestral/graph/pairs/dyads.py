"""Sums over the known dyads of graphs at any coefficients of their terms.

    eta_ij = b + sum_k theta_k t_k(i, j),   p = sigmoid(eta),   t_0 = 1

    l(theta)  = sum e_ij eta_ij - log(1 + exp(eta_ij))
    dl/dtheta_k = sum (e_ij - p_ij) t_k(i, j)
    I_kl        = sum p_ij (1 - p_ij) t_k(i, j) t_l(i, j)      (minus the Hessian)

The part of the links is a sum over edges, S_k = sum e_ij t_k(i, j), found once. The part of p is a
sum over all dyads, which a `Part` takes some thousand at a time, in one of three ways:

    Rows    dyads, or kinds of dyads with how often each occurs, whose values are kept
    Grid    all pairs of nodes, or of kinds of nodes with how many each has, in blocks
    Listed  pairs that are named: known ones, or unknown ones, to be taken off

so that memory goes with nodes, edges and named pairs. Kinds of dyads are counted without visiting
one: with C_S the (groups x kinds) table of how many nodes of each kind of numbers agree in the
levels of S, C_S^T C_S counts the pairs that agree in S at least, and inclusion and exclusion over
S gives those that agree in S and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ancestral._numerics.threads import one_thread
from ancestral.graph.features import hashes
from ancestral.graph.pairs.logistic import logistic
from ancestral.graph.pairs.passes import dealt
from ancestral.graph.terms import Evaluation

Float = NDArray[np.float64]
Index = NDArray[np.int64]

KEPT = 300_000  # dyads, or kinds of dyads, whose values are kept
AT_ONCE = 16384  # dyads at a time: their values stay in the cache
ROWS = 16  # of a block
LOW, TOGETHER = 5.0, 128  # a product of so many factors below exp(5) + 1 does not overflow
GROUPS = 16  # of blocks, summed apart and then in order: the same bits for any number of threads
FEWEST_GROUPED, LOOKED_AT = 256, 1_000  # dyads among which equal ones are sought, and how many are
MOST_MATCHES = 6  # levels that are compared, of which every subset is counted


class Sums(NamedTuple):
    """The log-likelihood, its gradient and the information at some coefficients."""

    value: float
    gradient: Float
    information: Float

    def __add__(self, other: Any) -> Sums:
        """Return the sums over both."""
        return Sums(
            self.value + other.value,
            self.gradient + other.gradient,
            self.information + other.information,
        )


class Chunk(NamedTuple):
    """Some dyads: 1 and their values, (1 + n_terms, n), and how often each occurs (None: once)."""

    values: Float
    counts: Float | None


class Part(ABC):
    """Dyads to be summed over."""

    @property
    @abstractmethod
    def n_dyads(self) -> float:
        """How many there are, with their counts."""

    @property
    @abstractmethod
    def n_visits(self) -> int:
        """How many are visited."""

    @property
    @abstractmethod
    def n_bytes(self) -> int:
        """About how much memory they take."""

    @abstractmethod
    def chunks(self, group: int, groups: int) -> Iterator[Chunk]:
        """Yield the dyads of one group of as many."""

    @abstractmethod
    def some(self, n: int, rng: np.random.Generator) -> Chunk:
        """Return about n of the dyads, drawn, counted as if they were all."""


@dataclass(frozen=True)
class Rows(Part):
    """Dyads, or kinds of them, whose values are kept."""

    values: Float
    counts: Float | None = None

    @property
    def n_dyads(self) -> float:
        return float(self.n_visits if self.counts is None else self.counts.sum())

    @property
    def n_visits(self) -> int:
        return int(self.values.shape[1])

    @property
    def n_bytes(self) -> int:
        return self.values.nbytes + (0 if self.counts is None else self.counts.nbytes)

    def some(self, n: int, rng: np.random.Generator) -> Chunk:
        counts = np.ones(self.n_visits) if self.counts is None else self.counts
        if self.n_visits <= n:
            return Chunk(self.values, counts)
        few = rng.choice(self.n_visits, n, replace=False)
        return _as_all(self.values[:, few], counts[few], self.n_dyads)

    def chunks(self, group: int, groups: int) -> Iterator[Chunk]:
        for start in range(group * AT_ONCE, self.n_visits, groups * AT_ONCE):
            some = slice(start, start + AT_ONCE)
            yield Chunk(self.values[:, some], None if self.counts is None else self.counts[some])


@dataclass(frozen=True)
class Listed(Part):
    """Pairs that are named, each counted so often: -1 takes them off."""

    terms: Evaluation
    i: Index
    j: Index
    count: float = 1.0

    @property
    def n_dyads(self) -> float:
        return self.count * len(self.i)

    @property
    def n_visits(self) -> int:
        return len(self.i)

    @property
    def n_bytes(self) -> int:
        return self.i.nbytes + self.j.nbytes + self.terms.n_bytes

    def some(self, n: int, rng: np.random.Generator) -> Chunk:
        few = slice(None) if len(self.i) <= n else rng.choice(len(self.i), n, replace=False)
        values = self.terms.at(self.i[few], self.j[few])
        return _as_all(values, np.ones(values.shape[1]), self.n_dyads)

    def chunks(self, group: int, groups: int) -> Iterator[Chunk]:
        for start in range(group * AT_ONCE, len(self.i), groups * AT_ONCE):
            some = slice(start, start + AT_ONCE)
            values = self.terms.at(self.i[some], self.j[some])
            yield Chunk(values, np.full(values.shape[1], self.count))


@dataclass(frozen=True)
class Grid(Part):
    """All pairs of different nodes, or of kinds of nodes that several may have."""

    terms: Evaluation
    n_alike: NDArray[np.float64] | None = None
    linked: Index | None = None  # i * n_nodes + j of links, rising: `some` leaves them out
    share: tuple[int, int] = (0, 1)  # which of as many shares of the blocks these are

    @property
    def n_dyads(self) -> float:
        n = self.terms.n_nodes if self.n_alike is None else self.n_alike.sum()
        return float(n * (n - 1)) / (1 if self.terms.directed else 2) / self.share[1]

    @property
    def n_visits(self) -> int:
        return self.terms.n_pairs // self.share[1]

    @property
    def n_bytes(self) -> int:
        return self.terms.n_bytes

    def some(self, n: int, rng: np.random.Generator) -> Chunk:
        if self.share[1] > 1:
            rng = np.random.default_rng(self.share)  # others than another share's
        i, j = rng.integers(0, self.terms.n_nodes, (2, n))
        if not self.terms.directed:
            i, j = np.minimum(i, j), np.maximum(i, j)
        kept = i != j
        if self.linked is not None and len(self.linked):
            codes = i * self.terms.n_nodes + j
            place = np.minimum(np.searchsorted(self.linked, codes), len(self.linked) - 1)
            kept &= self.linked[place] != codes
        i, j = i[kept], j[kept]
        counts = np.ones(len(i)) if self.n_alike is None else self.n_alike[i] * self.n_alike[j]
        return _as_all(self.terms.at(i, j), counts, self.n_dyads)

    def chunks(self, group: int, groups: int) -> Iterator[Chunk]:
        n, w, width = self.terms.n_nodes, self.n_alike, len(self.terms.pieces) + 1
        held = np.empty(width * AT_ONCE)
        own, shares = self.share
        group, groups = own + shares * group, shares * groups
        tops = range(group * ROWS, n, groups * ROWS)
        for top in tops:
            rows = slice(top, min(top + ROWS, n))
            height = rows.stop - top
            spans = [(rows.stop, n)] + [(0, top)] * self.terms.directed
            for first, last in spans:
                step = AT_ONCE // height
                for left in range(first, last, step):
                    columns = slice(left, min(left + step, last))
                    size = height * (columns.stop - left)
                    out = held[: width * size].reshape(width, height, -1)
                    self.terms.block(rows, columns, out)
                    counts = None if w is None else np.multiply.outer(w[rows], w[columns]).ravel()
                    yield Chunk(out.reshape(width, size), counts)
        for some in _few(tops, AT_ONCE // (ROWS * ROWS)):
            yield self._within(np.array(some))

    def _within(self, tops: Index) -> Chunk:
        """Return the pairs within rows of blocks."""
        n, w, directed = self.terms.n_nodes, self.n_alike, self.terms.directed
        a, b = np.nonzero(~np.eye(ROWS, dtype=bool)) if directed else np.triu_indices(ROWS, 1)
        i, j = (tops[:, None] + a).ravel(), (tops[:, None] + b).ravel()
        i, j = i[inside := (i < n) & (j < n)], j[inside]
        if w is None:
            return Chunk(self.terms.at(i, j), None)
        own = (tops[:, None] + np.arange(ROWS)).ravel()
        own = own[own < n]  # two nodes of one kind
        alike = w[own] * (w[own] - 1) / (1 if directed else 2)
        counts = np.concatenate([w[i] * w[j], alike])
        return Chunk(self.terms.at(np.append(i, own), np.append(j, own)), counts)


def _as_all(values: Float, counts: Float, n_dyads: float) -> Chunk:
    """Return dyads whose counts add up to so many."""
    total = counts.sum()
    return Chunk(values, counts * (n_dyads / total) if total else counts)


def _few(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Yield so many items at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


# ---- how the dyads of a graph are summed over ---------------------------------------------------


def part_of(terms: Evaluation) -> Part:
    """Return all dyads of a graph, in the way that visits fewest."""
    if terms.has_matrices:
        return Grid(terms) if terms.n_pairs > KEPT else all_rows(terms)
    if terms.n_pairs <= KEPT // 10:
        return all_rows(terms)
    counted = _counted(terms)
    if counted is not None:
        return counted
    if terms.n_pairs <= KEPT:
        return all_rows(terms)
    _, first, counts = kinds_of([*numbers_of(terms), *terms.codes], terms.n_nodes)
    if len(first) < 0.7 * terms.n_nodes:
        return Grid(terms.of(first), counts.astype(np.float64))
    return Grid(terms)


def all_rows(terms: Evaluation) -> Rows:
    """Return the dyads of a graph, their values kept."""
    n = terms.n_nodes
    i, j = np.nonzero(~np.eye(n, dtype=bool)) if terms.directed else np.triu_indices(n, 1)
    return Rows(terms.at(i, j))


def grouped(values: Float, counts: Float | None = None) -> Rows:
    """Return dyads as kinds of them, in an order of values; as they are where that saves nothing.

    Equal values are told by a hash, and compared.
    """
    n = values.shape[1]
    some = hashes(values[:, :: 1 + n // LOOKED_AT].T)
    if n < FEWEST_GROUPED or len(np.unique(some)) == len(some):
        return Rows(values, counts)
    _, first, kind = np.unique(hashes(values.T), return_index=True, return_inverse=True)
    found, kind = values[:, first], kind.reshape(-1)
    if 2 * len(first) > n or not np.array_equal(found[:, kind], values):
        return Rows(values, counts)
    return Rows(found, np.bincount(kind, counts).astype(np.float64))


def numbers_of(terms: Evaluation) -> list[Float]:
    return [column for piece in terms.pieces for column in piece.numbers()]


def kinds_of(columns: Sequence[NDArray], n_nodes: int) -> tuple[Index, Index, Index]:
    """Return the kind of each node, the first node of each kind, and how many have it.

    Kinds are the distinct combinations of values; without columns there is one.
    """
    codes = np.zeros(n_nodes, np.int64)
    for column in columns:
        _, fresh = np.unique(column, return_inverse=True)
        joint = codes * (int(fresh.max(initial=0)) + 1) + fresh.reshape(-1)
        codes = np.unique(joint, return_inverse=True)[1].reshape(-1)
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    return codes, first, counts


def _counted(terms: Evaluation) -> Rows | None:
    """Return kinds of dyads and how often each occurs; None where there are too many."""
    q, n = len(terms.codes), terms.n_nodes
    numbers = numbers_of(terms)
    if q > MOST_MATCHES or any(len(np.unique(x[:KEPT])) ** 2 > 4 * KEPT for x in numbers):
        return None
    kinds, first, _ = kinds_of(numbers, n)
    K = len(first)
    size = 2**q * (K * K if terms.directed else K * (K + 1) // 2)
    if size > KEPT or size > terms.n_pairs // 4:
        return None
    subsets = [set(some) for r in range(q + 1) for some in combinations(range(q), r)]
    at_least = [_agreeing(kinds, K, [terms.codes[k] for k in some]) for some in subsets]
    k, l = np.nonzero(np.ones((K, K), bool)) if terms.directed else np.triu_indices(K)  # noqa: E741
    values, counts = [], []
    for own in subsets:
        signs = [(-1) ** len(more - own) * (more >= own) for more in subsets]
        exactly = sum(sign * N for sign, N in zip(signs, at_least, strict=True) if sign)
        if len(own) == q:
            exactly = exactly - np.diag(np.bincount(kinds, minlength=K))  # a node with itself
        if not terms.directed:
            exactly = exactly - np.diag(np.diag(exactly) // 2)  # each pair of one kind came twice
        found = exactly[k, l]
        some = np.flatnonzero(found)
        same = [np.full(len(some), m in own) for m in range(q)]
        values.append(terms.at(first[k[some]], first[l[some]], same))
        counts.append(found[some].astype(np.float64))
    return Rows(np.concatenate(values, axis=1), np.concatenate(counts))


def _agreeing(kinds: Index, n_kinds: int, codes: Sequence[NDArray]) -> NDArray[np.int64]:
    """Return how many ordered pairs of nodes of two kinds agree in all of some levels."""
    groups, _, _ = kinds_of(codes, len(kinds))
    ones = np.ones(len(kinds), np.int64)
    shape = (int(groups.max(initial=0)) + 1, n_kinds)
    C = sparse.csr_array(sparse.coo_array((ones, (groups, kinds)), shape=shape))
    found: NDArray[np.int64] = (C.T @ C).toarray()
    return found


# ---- sums over parts --------------------------------------------------------------------------


def visit(parts: Sequence[Part], theta: Float, n_jobs: int | None = None) -> Sums:
    """Return the sum of log(1 + exp(eta)), of p t, and of p (1 - p) t t^T over dyads.

    Parameters
    ----------
    parts : sequence of Part
    theta : ndarray of shape (1 + n_terms,)
    n_jobs : int, optional
        Threads: the result does not depend on their number, to the bit.
    """
    width = len(theta)
    total = Sums(0.0, np.zeros(width), np.zeros((width, width)))
    for part in parts:
        groups = min(GROUPS, 1 + part.n_visits // (4 * AT_ONCE))

        def one(group: int, part: Part = part, groups: int = groups) -> Sums:
            value, gradient, information = 0.0, np.zeros(width), np.zeros((width, width))
            for chunk in part.chunks(group, groups):
                found = _sums_of(chunk, theta)
                value += found[0]
                gradient += found[1]
                information += found[2]
            return Sums(value, gradient, information)

        with one_thread():  # the threads are ours, not BLAS's
            for found in dealt(one, groups, n_jobs):  # in order: the same bits
                total = total + found
    return total


def _sums_of(chunk: Chunk, theta: Float) -> tuple[float, Float, Float]:
    """Return the sums over some dyads."""
    T, counts = chunk
    eta = theta @ T
    if counts is None and eta.max(initial=-np.inf) < LOW:
        t = np.exp(eta, out=eta)
        q = t + 1.0
        soft = _log_of_product(q)
        t /= q  # p, and p (1 - p)
        p, w = t, t / q
    else:
        terms, p, w = logistic(eta)
        soft = float(terms.sum() if counts is None else counts @ terms)
        if counts is not None:
            p, w = p * counts, w * counts
    return soft, T @ p, (T * w) @ T.T


def _log_of_product(q: Float) -> float:
    """Return the sum of logarithms of numbers below exp(LOW) + 1: one for many of them."""
    whole = len(q) // TOGETHER * TOGETHER
    products = q[:whole].reshape(-1, TOGETHER).prod(axis=1)
    return float(np.log(products).sum() + np.log(q[whole:]).sum())
