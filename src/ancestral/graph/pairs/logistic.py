"""The logistic function, without overflow or loss of digits, and what is flat to float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import ModelError

Float = NDArray[np.float64]

FLAT = (
    "the likelihood is flat to float64: every probability is 0 or 1, or all inner products are "
    "one, so that errors of slope and intercept do not exist. Rescale the features so that "
    "x_i.x_j is of the order of one, give graphs whose linked and unlinked pairs overlap in "
    "x_i.x_j, or pass l2=1 for a penalised fit."
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


def guarded_inverse(information: Float) -> Float:
    """Return the inverse of a 2 x 2 information; ModelError where it has none to float64."""
    scale = np.sqrt(np.diag(information))
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ModelError(FLAT)
    rest = 1.0 - (information[0, 1] / (scale[0] * scale[1])) ** 2
    if not rest > 1e-15:
        raise ModelError(FLAT)
    off = -information[0, 1] / (scale[0] * scale[1])
    inverse: Float = np.array([[1.0, off], [off, 1.0]]) / rest / np.outer(scale, scale)
    return inverse
