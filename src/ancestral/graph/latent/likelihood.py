"""The likelihood of positions: value and gradient over all pairs, a block of them at a time.

    eta_ij = x_i . x_j + b,   P = sigmoid(eta) without its diagonal
    l(X, b) = sum_{i<j} T_ij eta_ij - K log(1 + exp(eta_ij))
    dl/dX = (T - K P) X,      dl/db = sum_{i<j} T_ij - K P_ij

for K graphs on the same n nodes, T the sum of their adjacencies: with K, a sufficient statistic.
The part of T is a sparse product, exact; the part of P visits every pair i < j once, in blocks
that stay in the cache, so that memory goes with n and the edges, and never with n^2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from ancestral.errors import ModelError
from ancestral.graph.pairs.passes import dealt

Float = NDArray[np.float64]

ROWS, COLUMNS = 64, 512  # of a block: a product of 512 factors of 2 or less does not overflow
GROUPS = 16  # of rows of blocks, summed apart and then in order: the same bits for any n_jobs


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
        (l2 / 2)(|X|^2 + b^2) is taken off.
    n_jobs : int, optional
    """

    links: sparse.csr_array
    n_graphs: int
    l2: float = 0.0
    n_jobs: int | None = None

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return int(self.links.shape[0])

    @property
    def n_pairs(self) -> int:
        """Number of pairs i < j, over all graphs."""
        return self.n_graphs * self.n_nodes * (self.n_nodes - 1) // 2

    @property
    def n_edges(self) -> int:
        """Number of linked pairs, over all graphs."""
        return round(float(self.links.sum()) / 2)

    @property
    def share(self) -> float:
        """Share of pairs that are linked, half a pair aside from none and from all."""
        return min(max(self.n_edges, 0.5), self.n_pairs - 0.5) / self.n_pairs

    @property
    def spread(self) -> Float:
        """About the information on each node's position: its links times its share of others."""
        degree = np.asarray(self.links.sum(axis=1)).ravel()
        spread: Float = degree * (1 - degree / (self.n_graphs * (self.n_nodes - 1)))
        return spread

    def evaluate(self, X: Float, b: float) -> tuple[float, Float, float]:
        """Return the penalised log-likelihood and its derivatives by X and by b."""
        soft, PX, expected = pair_pass(X, b, n_jobs=self.n_jobs)
        TX, K = self.links @ X, self.n_graphs
        value = float((TX * X).sum()) / 2 + b * self.n_edges - K * soft
        penalty = self.l2 / 2 * (float((X * X).sum()) + b * b)
        slope_b = self.n_edges - K * expected - self.l2 * b
        return value - penalty, TX - K * PX - self.l2 * X, slope_b

    def log_likelihood(self, X: Float, b: float) -> float:
        """Return l(X, b) in nats, without the penalty."""
        value, _, _ = self.evaluate(X, b)
        return value + self.l2 / 2 * (float((X * X).sum()) + b * b)


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
    n = len(X)

    def one(group: int) -> tuple[float, Float, float]:
        soft, total, PX = 0.0, 0.0, np.zeros_like(X)
        for start in range(group * ROWS, n, groups * ROWS):
            rows = slice(start, min(start + ROWS, n))
            block_soft, P = _block(X[rows], X[rows], b, within=True)
            soft, total = soft + block_soft / 2, total + float(P.sum()) / 2  # each pair twice
            PX[rows] += P @ X[rows]
            for left in range(rows.stop, n, COLUMNS):
                columns = slice(left, min(left + COLUMNS, n))
                block_soft, P = _block(X[rows], X[columns], b)
                soft, total = soft + block_soft, total + float(P.sum())
                PX[rows] += P @ X[columns]
                PX[columns] += P.T @ X[rows]
        return soft, PX, total

    groups = min(GROUPS, 1 + n // (4 * ROWS))
    parts = dealt(one, groups, n_jobs)
    PX = np.sum([part[1] for part in parts], axis=0)
    return sum(part[0] for part in parts), PX, sum(part[2] for part in parts)


def position_errors(X: Float, b: float, likelihood: PositionLikelihood) -> Float:
    """Return standard errors of each position, the other positions and b taken as known.

    The roots of the diagonal of (K sum_j p_ij (1 - p_ij) x_j x_j^T + l2 I)^-1, shape (n, m): what
    the errors of the other positions add is of smaller order as n grows.
    """
    n, m = X.shape
    outer = (X[:, :, None] * X[:, None, :]).reshape(n, m * m)

    def one(block: int) -> Float:
        rows = slice(block * ROWS, (block + 1) * ROWS)
        p = expit(X[rows] @ X.T + b)
        p *= 1.0 - p
        own = np.arange(n)[rows]
        p[np.arange(len(own)), own] = 0.0
        return p @ outer

    blocks = dealt(one, (n + ROWS - 1) // ROWS, likelihood.n_jobs)
    information = np.concatenate(blocks).reshape(n, m, m) * likelihood.n_graphs
    information += likelihood.l2 * np.eye(m)
    known = np.linalg.eigvalsh(information) if np.isfinite(information).all() else np.zeros((1, 1))
    if not (known[:, 0] > 1e-15 * known[:, -1]).all():
        raise ModelError(
            "the links tell nothing of some direction: positions have shrunk to 0 along it. "
            "Lower n_components, or pass l2=1 for a penalised fit."
        )
    errors: Float = np.sqrt(np.diagonal(np.linalg.inv(information), axis1=1, axis2=2))
    return errors


def _block(A: Float, B: Float, b: float, *, within: bool = False) -> tuple[float, Float]:
    """Return the sum of log(1 + exp(eta)) over a block, and its p; no pair (i, i) if `within`."""
    eta = A @ B.T
    eta += b
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
