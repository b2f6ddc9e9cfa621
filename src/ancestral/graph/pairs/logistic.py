"""The logistic function, without overflow or loss of digits, and what is flat to float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import ModelError

Float = NDArray[np.float64]

FLAT = (
    "the likelihood is flat to float64: every probability is 0 or 1, or all inner products are "
    "equal, so that standard errors of slope and intercept do not exist. Rescale the features so "
    "that "
    "x_i.x_j is of the order of one, give graphs whose linked and unlinked pairs overlap in "
    "x_i.x_j, or pass l2=1 for a penalised fit."
)
FLAT_TERMS = (
    "the likelihood is flat to float64 in some direction: probabilities of 0 or 1, or terms that "
    "are almost linearly dependent, so that standard errors of the coefficients do not exist. "
    "Leave a term "
    "out, give more graphs, or pass l2=1 for a penalised fit."
)


def softplus(eta: Float) -> Float:
    """Return log(1 + exp(eta)) without overflow."""
    result: Float = np.maximum(eta, 0.0)
    result += np.log1p(np.exp(-np.abs(eta)))
    return result


def logistic(eta: Float) -> tuple[Float, Float, Float]:
    """Return softplus(eta), p = sigmoid(eta) and p (1 - p), from one exponential."""
    t = np.abs(eta)
    np.exp(np.negative(t, out=t), out=t)
    soft = np.log1p(t)
    soft += np.maximum(eta, 0.0)
    q = 1.0 + t
    np.reciprocal(q, out=q)  # sigmoid(|eta|)
    t *= q  # 1 - q, without loss
    return soft, np.where(eta > 0, q, t), t * q


def guarded_inverse(information: Float, message: str = FLAT) -> Float:
    """Return the inverse of an information matrix; ModelError where it has none to float64."""
    scale = np.sqrt(np.maximum(np.diag(information), 0.0))
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ModelError(message)
    if len(scale) == 1:
        return np.array(1.0 / information)
    if len(scale) > 2:
        return _inverse_of_many(information / np.outer(scale, scale), scale, message)
    rest = 1.0 - (information[0, 1] / (scale[0] * scale[1])) ** 2
    if not rest > 1e-15:
        raise ModelError(message)
    off = -information[0, 1] / (scale[0] * scale[1])
    inverse: Float = np.array([[1.0, off], [off, 1.0]]) / rest / np.outer(scale, scale)
    return inverse


def _inverse_of_many(scaled: Float, scale: Float, message: str) -> Float:
    """Return the inverse of a matrix of ones on the diagonal, in units of its rows."""
    values, vectors = np.linalg.eigh(scaled)
    if not values[0] > 1e-15 * len(scale):
        raise ModelError(message)
    inverse: Float = (vectors / values) @ vectors.T / np.outer(scale, scale)
    return (inverse + inverse.T) / 2
