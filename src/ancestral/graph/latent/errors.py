"""How well positions and coefficients are known: standard errors by the Fisher information.

    I = sum_{i<j} w_ij d_ij d_ij^T,   w_ij = (K - U_ij) p_ij (1 - p_ij),   d_ij = d eta_ij / d theta

over positions and node effects z_i = (x_i, a_i), for which d eta_ij / d z_i = v_j = (x_j, 1), and
over what all pairs share, g_ij = (1, t(i, j)) for b and the coefficients. A node's own errors take
the others as known. Those of b and of coefficients allow for all positions at once,

    cov = (I_gg - I_gz I_zz^-1 I_zg)^-1

where I_zz^-1 comes by conjugate gradients, each step of them a pass over the pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ancestral.errors import ModelError
from ancestral.graph.latent.likelihood import ROWS, Places, PositionLikelihood
from ancestral.graph.pairs.logistic import FLAT_TERMS, guarded_inverse
from ancestral.graph.pairs.passes import dealt

Float = NDArray[np.float64]

CLOSE = 1e-8  # of the right side: where conjugate gradients stop
MOST = 500  # of their steps


def position_errors(at: Places, likelihood: PositionLikelihood) -> Float:
    """Return standard errors of each position, the other positions and b taken as known.

    The roots of the diagonal of (sum_j w_ij v_j v_j^T + l2 I)^-1, shape (n, m), and a column more
    for node effects: what the errors of the other positions add is of smaller order as n grows.
    """
    information = _own_information(at, likelihood)
    known = np.linalg.eigvalsh(information) if np.isfinite(information).all() else np.zeros((1, 1))
    if not (known[:, 0] > 1e-15 * known[:, -1]).all():
        raise ModelError(
            "the links do not determine one of the directions: positions have shrunk to 0 along "
            "it. "
            "Lower n_components, or pass l2=1 for a penalised fit."
        )
    errors: Float = np.sqrt(np.diagonal(np.linalg.inv(information), axis1=1, axis2=2))
    return errors


def _values(at: Places) -> Float:
    """Return v, shape (n, m), and a column of ones more for node effects."""
    X = np.ascontiguousarray(at.X)
    return X if at.effects is None else np.column_stack([X, np.ones(len(X))])


def _weights(at: Places, likelihood: PositionLikelihood, rows: slice) -> tuple[Float, Float | None]:
    """Return w of some rows, (rows, n), 0 for a node with itself, and 1 and the terms there."""
    left, right = at.sides()
    eta = left[rows] @ right.T + at.b
    T = None
    if likelihood.terms is not None:
        T = np.empty((1 + len(at.coef), *eta.shape))
        likelihood.terms.block(rows, slice(0, len(left)), T)
        eta += np.tensordot(at.coef, T[1:], 1)
    w = expit(eta)
    w *= 1.0 - w
    own = np.arange(len(left))[rows]
    w[np.arange(len(own)), own] = 0.0
    if likelihood.unknown is not None:
        w *= likelihood.n_graphs - likelihood.unknown[rows].toarray()
    elif likelihood.n_graphs > 1:
        w *= likelihood.n_graphs
    return w, T


def _blocks(n: int) -> Iterator[slice]:
    for top in range(0, n, ROWS):
        yield slice(top, min(top + ROWS, n))


def _own_information(at: Places, likelihood: PositionLikelihood) -> Float:
    """Return the information on each node's own position and effect, (n, width, width)."""
    V = _values(at)
    n, width = V.shape
    outer = (V[:, :, None] * V[:, None, :]).reshape(n, width * width)
    rows = list(_blocks(n))
    found = dealt(
        lambda k: _weights(at, likelihood, rows[k])[0] @ outer, len(rows), likelihood.n_jobs
    )
    information: Float = np.concatenate(found).reshape(n, width, width)
    information += likelihood.l2 * np.eye(width)
    return information


def coefficient_covariance(at: Places, likelihood: PositionLikelihood) -> Float:
    """Return the covariance of the coefficients; positions, effects and b unknown too.

    Shape (n_terms, n_terms).
    """
    V = _values(at)
    rows = list(_blocks(len(V)))
    # effects that no penalty holds can do all that b does, which then is none of its own
    is_free = at.effects is not None and not likelihood.l2

    def shared(k: int) -> tuple[Float, Float]:
        w, T = _weights(at, likelihood, rows[k])
        G = cast(Float, T)[1:] if is_free else cast(Float, T)
        weighted = w * G
        return np.tensordot(weighted, G, ([1, 2], [1, 2])) / 2, weighted @ V

    parts = dealt(shared, len(rows), likelihood.n_jobs)
    I_gg = np.sum([part[0] for part in parts], axis=0)
    I_gz = np.concatenate([part[1] for part in parts], axis=1)  # (shared, n, width)

    def times(Z: Float) -> Float:
        def one(k: int) -> Float:
            w, _ = _weights(at, likelihood, rows[k])
            w *= Z[rows[k]] @ V.T + V[rows[k]] @ Z.T
            return w @ V

        found = np.concatenate(dealt(one, len(rows), likelihood.n_jobs))
        return found + likelihood.l2 * Z

    own = _own_information(at, likelihood)
    own += 1e-12 * np.trace(own, axis1=1, axis2=2)[:, None, None] * np.eye(V.shape[1])
    inverse = np.linalg.inv(own)

    def about(Z: Float) -> Float:
        return np.einsum("nij,nj->ni", inverse, Z)

    less = np.array([np.sum(I_gz * _solved(times, column, about), axis=(1, 2)) for column in I_gz])
    left = I_gg - (less + less.T) / 2
    if is_free:
        return guarded_inverse(left, FLAT_TERMS)
    left[0, 0] += likelihood.l2
    return guarded_inverse(left, FLAT_TERMS)[1:, 1:]


def _solved(
    times: Callable[[Float], Float], right: Float, about: Callable[[Float], Float]
) -> Float:
    """Return what a positive matrix sends to a right side, by conjugate gradients.

    Where the matrix sends some directions to nothing (rotations of all positions), the right side
    has no part in them.
    """
    found = np.zeros_like(right)
    residual = right.copy()
    size = np.sqrt(float((right * right).sum()))
    step = about(residual)
    direction, power = step, float((residual * step).sum())
    for _ in range(MOST):
        if np.sqrt(float((residual * residual).sum())) <= CLOSE * size or power <= 0:
            break
        image = times(direction)
        bend = float((direction * image).sum())
        if not bend > 0:
            break
        found = found + (power / bend) * direction
        residual = residual - (power / bend) * image
        step = about(residual)
        before, power = power, float((residual * step).sum())
        direction = step + (power / before) * direction
    return found
