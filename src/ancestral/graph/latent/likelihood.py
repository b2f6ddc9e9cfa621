"""The likelihood of positions: value and gradient over all pairs, a block of them at a time.

    eta_ij = x_i . x_j + a_i + a_j + sum_k theta_k t_k(i, j) + b
    P = sigmoid(eta) without its diagonal
    l = sum_{i<j} T_ij eta_ij - (K - U_ij) log(1 + exp(eta_ij))
    dl/dX = (T - W) X,   dl/da = (T - W) 1,   dl/dtheta_k = sum_{i<j} (T_ij - W_ij) t_k(i, j),
    dl/db = sum_{i<j} T_ij - W_ij,            W = (K - U) P elementwise

for K graphs on the same n nodes, T the sum of their adjacencies, U how many of them do not know a
pair: with K, sufficient statistics. Node effects a and terms t are there where they are asked for.
The parts of T and of U are sparse, exact; the part of K visits every pair i < j once, in blocks
that stay in the cache, so that memory goes with n and the edges, and never with n^2. x_i . x_j +
a_i + a_j is one inner product of [x_i, a_i, 1] and [x_j, 1, a_j].
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ancestral.graph.adjacency import ends_of
from ancestral.graph.pairs.logistic import logistic
from ancestral.graph.pairs.passes import dealt
from ancestral.graph.terms import Evaluation

Float = NDArray[np.float64]

ROWS, COLUMNS = 64, 512  # of a block: a product of 512 factors of 2 or less does not overflow
GROUPS = 16  # of rows of blocks, summed apart and then in order: the same bits for any n_jobs
NO_TERMS = np.zeros(0)


@dataclass(frozen=True)
class Places:
    """Where the nodes of a model are, and what else tells their pairs apart.

    Parameters
    ----------
    X : ndarray of shape (n_nodes, n_components)
    b : float
        About the constants that were taken off the terms.
    effects : ndarray of shape (n_nodes,), optional
    coef : ndarray of shape (n_terms,)
    """

    X: Float
    b: float
    effects: Float | None = None
    coef: Float = field(default_factory=lambda: NO_TERMS)

    def centred(self) -> Places:
        """Return the same logits with effects, where there are any, and positions that sum to 0.

        x_i . x_j = (x_i - c) . (x_j - c) + c . x_i + c . x_j - c . c, which effects and b take up.
        """
        if self.effects is None:
            return self
        c = self.X.mean(axis=0)
        effects = self.effects + self.X @ c
        mean = float(effects.mean())
        b = self.b + 2 * mean - float(c @ c)
        return replace(self, X=self.X - c, effects=effects - mean, b=b)

    def sides(self) -> tuple[Float, Float]:
        """Return left and right factors, whose products are x_i . x_j + a_i + a_j."""
        X, a = np.ascontiguousarray(self.X), self.effects
        if a is None:
            return X, X
        ones = np.ones(len(X))
        return np.column_stack([X, a, ones]), np.column_stack([X, ones, a])

    def packed(self) -> Float:
        """Return positions, effects, coefficients and intercept as one array."""
        effects = NO_TERMS if self.effects is None else self.effects
        return np.concatenate([self.X.ravel(), effects, self.coef, [self.b]])

    def unpacked(self, theta: Float) -> Places:
        """Return places of the same shape from such an array."""
        n, m = self.X.shape
        end = n * m + (0 if self.effects is None else n)
        effects = None if self.effects is None else theta[n * m : end]
        return Places(theta[: n * m].reshape(n, m), float(theta[-1]), effects, theta[end:-1])


@dataclass(frozen=True)
class PositionLikelihood:
    """The log-likelihood of positions and intercept, less a penalty.

    Parameters
    ----------
    links : scipy.sparse.csr_array of shape (n_nodes, n_nodes), float64
        T, symmetric with an empty diagonal.
    n_graphs : int
        K.
    l2 : float
        (l2 / 2)(|X|^2 + |a|^2 + b^2) is taken off.
    n_jobs : int, optional
    unknown : scipy.sparse.csr_array of shape (n_nodes, n_nodes), float64, optional
        U, symmetric with an empty diagonal.
    terms : Evaluation, optional
    """

    links: sparse.csr_array
    n_graphs: int
    l2: float = 0.0
    n_jobs: int | None = None
    unknown: sparse.csr_array | None = None
    terms: Evaluation | None = None

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return int(self.links.shape[0])

    @cached_property
    def n_pairs(self) -> int:
        """Number of known pairs i < j, over all graphs."""
        gaps = 0 if self.unknown is None else round(float(self.unknown.sum()) / 2)
        return self.n_graphs * self.n_nodes * (self.n_nodes - 1) // 2 - gaps

    @property
    def n_edges(self) -> int:
        """Number of linked pairs, over all graphs."""
        return round(float(self.links.sum()) / 2)

    @property
    def share(self) -> float:
        """Share of pairs that are linked, half a pair aside from none and from all."""
        return min(max(self.n_edges, 0.5), self.n_pairs - 0.5) / self.n_pairs

    @cached_property
    def degrees(self) -> Float:
        """Links of each node, over all graphs."""
        found: Float = np.asarray(self.links.sum(axis=1)).ravel()
        return found

    @cached_property
    def n_known(self) -> Float:
        """Known pairs of each node, over all graphs."""
        found = np.full(self.n_nodes, float(self.n_graphs * (self.n_nodes - 1)))
        return found if self.unknown is None else found - np.asarray(self.unknown.sum(axis=1))

    @property
    def spread(self) -> Float:
        """About the information on each node's position: its links times its share of others."""
        spread: Float = self.degrees * (1 - self.degrees / np.maximum(self.n_known, 1.0))
        return spread

    @property
    def completed(self) -> sparse.csr_array:
        """The mean over graphs of their links, with the share of links where a pair is unknown."""
        mean = self.links / self.n_graphs
        return mean if self.unknown is None else mean + self.unknown * (self.share / self.n_graphs)

    @cached_property
    def _linked_terms(self) -> Float:
        """Sum over links of each term."""
        return _weighted_terms(self.terms, self.links)

    @cached_property
    def term_spread(self) -> Float:
        """The sum over pairs of each term squared, times graphs."""
        if self.terms is None:
            return NO_TERMS
        n = self.n_nodes
        out = np.empty((1 + len(self.terms.pieces), ROWS, n))
        total = np.zeros(len(out) - 1)
        for top in range(0, n, ROWS):
            rows = slice(top, min(top + ROWS, n))
            block = out[:, : rows.stop - top]
            self.terms.block(rows, slice(0, n), block)
            own = np.arange(top, rows.stop)
            block[:, own - top, own] = 0.0
            total += np.einsum("kij,kij->k", block[1:], block[1:]) / 2
        return total * self.n_graphs

    def evaluate(self, X: Float, b: float) -> tuple[float, Float, float]:
        """Return the penalised log-likelihood and its derivatives by X and by b."""
        value, slopes = self.slopes(Places(X, b))
        return value, slopes.X, slopes.b

    def slopes(self, at: Places) -> tuple[float, Places]:
        """Return the penalised log-likelihood, and its derivatives in the form of places."""
        X, K, a = np.ascontiguousarray(at.X), self.n_graphs, at.effects
        V = X if a is None else np.column_stack([X, np.ones(len(X))])
        soft, PV, expected, PT = _pass(at, V, self.terms, self.n_jobs)
        soft, WV, expected, WT = K * soft, K * PV, K * expected, K * PT
        if self.unknown is not None:
            less = self._of_unknown(self.unknown, at, V)
            soft, WV, expected, WT = soft - less[0], WV - less[1], expected - less[2], WT - less[3]
        TX = self.links @ X
        value = float((TX * X).sum()) / 2 + at.b * self.n_edges - soft
        value -= self.l2 / 2 * (float((X * X).sum()) + at.b * at.b)
        by_X = TX - WV[:, : X.shape[1]] - self.l2 * X
        by_b = self.n_edges - expected - self.l2 * at.b
        by_a = None
        if a is not None:
            value += float(self.degrees @ a) - self.l2 / 2 * float(a @ a)
            by_a = self.degrees - WV[:, -1] - self.l2 * a
        by_terms = NO_TERMS
        if self.terms is not None:
            value += float(at.coef @ self._linked_terms)
            by_terms = self._linked_terms - WT
        return value, Places(by_X, by_b, by_a, by_terms)

    def _of_unknown(
        self, U: sparse.csr_array, at: Places, V: Float
    ) -> tuple[float, Float, float, Float]:
        """Return what unknown pairs add to a pass over all of them, K graphs counted."""
        i, j = ends_of(U, directed=False)
        counts = np.asarray(U[i, j]).reshape(-1)
        eta = logits_at(at, self.terms, i, j)
        soft, p, _ = logistic(eta)
        W = sparse.csr_array((counts * p, (i, j)), shape=U.shape)
        WT = NO_TERMS if self.terms is None else self.terms.at(i, j)[1:] @ (counts * p)
        return float(counts @ soft), W @ V + W.T @ V, float(counts @ p), WT

    def log_likelihood(self, X: Float, b: float) -> float:
        """Return l(X, b) in nats, without the penalty."""
        return self.log_likelihood_at(Places(X, b))

    def log_likelihood_at(self, at: Places) -> float:
        """Return l in nats, without the penalty."""
        value, _ = self.slopes(at)
        X, a = at.X, at.effects
        squares = float((X * X).sum()) + (0.0 if a is None else float(a @ a)) + at.b * at.b
        return value + self.l2 / 2 * squares


def logits_at(at: Places, terms: Evaluation | None, i: NDArray, j: NDArray) -> Float:
    """Return the logits of listed pairs."""
    left, right = at.sides()
    eta: Float = np.einsum("ij,ij->i", left[i], right[j]) + at.b
    if terms is not None:
        eta += at.coef @ terms.at(i, j)[1:]
    return eta


def _weighted_terms(terms: Evaluation | None, weights: sparse.csr_array) -> Float:
    """Return the sum over pairs i < j of each term, by symmetric sparse weights."""
    if terms is None:
        return NO_TERMS
    i, j = ends_of(weights, directed=False)
    found: Float = terms.at(i, j)[1:] @ np.asarray(weights[i, j]).reshape(-1)
    return found


def pair_pass(X: Float, b: float, *, n_jobs: int | None = None) -> tuple[float, Float, float]:
    """Return sum_{i<j} log(1 + exp(eta_ij)), P X and sum_{i<j} p_ij.

    Parameters
    ----------
    X : ndarray of shape (n, m)
    b : float
    n_jobs : int, optional
        Threads; the result does not depend on their number, to the bit.
    """
    X = np.ascontiguousarray(X)
    return _pass(Places(X, b), X, None, n_jobs)[:3]


def _pass(
    at: Places, V: Float, terms: Evaluation | None, n_jobs: int | None
) -> tuple[float, Float, float, Float]:
    """Return sum_{i<j} log(1 + exp(eta_ij)), P V, sum_{i<j} p_ij and sum_{i<j} p_ij t(i, j)."""
    (left, right), b = at.sides(), at.b
    n, width = len(V), len(at.coef)

    def one(group: int) -> tuple[float, Float, float, Float]:
        soft, total, PV, PT = 0.0, 0.0, np.zeros_like(V), np.zeros(width)
        held = np.empty((1 + width) * ROWS * COLUMNS) if width else NO_TERMS

        def block(
            rows: slice, columns: slice, *, within: bool = False
        ) -> tuple[float, Float, Float | None]:
            if not width or terms is None:
                return *_block(left[rows], right[columns], b, within=within), None
            shape = (1 + width, rows.stop - rows.start, columns.stop - columns.start)
            T = held[: np.prod(shape)].reshape(shape)
            terms.block(rows, columns, T)
            more = np.tensordot(at.coef, T[1:], 1)
            return *_block(left[rows], right[columns], b, more, within=within), T[1:]

        for start in range(group * ROWS, n, groups * ROWS):
            rows = slice(start, min(start + ROWS, n))
            block_soft, P, T = block(rows, rows, within=True)
            soft, total = soft + block_soft / 2, total + float(P.sum()) / 2  # each pair twice
            PV[rows] += P @ V[rows]
            if T is not None:
                PT += np.tensordot(T, P, 2) / 2
            for left_end in range(rows.stop, n, COLUMNS):
                columns = slice(left_end, min(left_end + COLUMNS, n))
                block_soft, P, T = block(rows, columns)
                soft, total = soft + block_soft, total + float(P.sum())
                PV[rows] += P @ V[columns]
                PV[columns] += P.T @ V[rows]
                if T is not None:
                    PT += np.tensordot(T, P, 2)
        return soft, PV, total, PT

    groups = min(GROUPS, 1 + n // (4 * ROWS))
    parts = dealt(one, groups, n_jobs)
    PV = np.sum([part[1] for part in parts], axis=0)
    PT = np.sum([part[3] for part in parts], axis=0)
    return sum(part[0] for part in parts), PV, sum(part[2] for part in parts), PT


def _block(
    A: Float, B: Float, b: float, more: Float | None = None, *, within: bool = False
) -> tuple[float, Float]:
    """Return the sum of log(1 + exp(eta)) over a block, and its p; no pair (i, i) if `within`."""
    eta = A @ B.T
    eta += b
    if more is not None:
        eta += more
    P = np.abs(eta)
    np.negative(P, out=P)
    np.exp(P, out=P)
    if within:
        np.fill_diagonal(P, 0.0)
        np.fill_diagonal(eta, -1.0)
    q = 1.0 + P
    above = eta > 0
    # one logarithm for each row: its factors lie in [1, 2]
    soft = float(np.log(q.prod(axis=1)).sum()) + float(np.maximum(eta, 0.0, out=eta).sum())
    np.copyto(P, 1.0, where=above)
    P /= q
    return soft, P
