"""Least squares in arithmetic of 50 digits, by mpmath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

mp = pytest.importorskip("mpmath", reason="mpmath is the oracle here")


@dataclass(frozen=True)
class Line:
    """The intercept first, where there is one; the variance with divisor n."""

    coefficients: list[Any]
    variance: Any
    standard_errors: list[Any]


def line(
    X: np.ndarray, y: np.ndarray, weights: np.ndarray | None, degree: int, intercept: bool
) -> Line:
    """Return the line of the very numbers that float64 holds."""
    with mp.workdps(50):
        columns = [[mp.mpf(v) for v in column] for column in X.T.tolist()]
        A = [[mp.mpf(1)] * len(X)] * bool(intercept)
        A += [[v**k for v in column] for k in range(1, degree + 1) for column in columns]
        scale = [max(map(abs, column)) for column in A]
        A = [[v / s for v in column] for column, s in zip(A, scale, strict=True)]
        w = [mp.mpf(v) for v in (np.ones(len(X)) if weights is None else weights).tolist()]
        target, q = [mp.mpf(v) for v in y.tolist()], len(A)
        heavy = [[a * v for a, v in zip(column, w, strict=True)] for column in A]
        gram = mp.matrix(q, q)
        right = mp.matrix(q, 1)
        for i in range(q):
            right[i] = mp.fdot(heavy[i], target)
            for j in range(i, q):
                gram[i, j] = gram[j, i] = mp.fdot(heavy[i], A[j])
        inverse = gram**-1
        found = inverse * right
        left = [t - mp.fdot(found, row) for t, row in zip(target, zip(*A, strict=True))]
        total = mp.fdot([r * v for r, v in zip(left, w, strict=True)], left)
        noise = total / (len(X) - q)
        errors = [mp.sqrt(noise * inverse[i, i]) / scale[i] for i in range(q)]
        return Line([found[i] / scale[i] for i in range(q)], total / len(X), errors)


def error(values: Any, wanted: Sequence[Any], least: Sequence[Any] | None = None) -> float:
    """Return the largest error over the size of what is wanted, or over `least` if larger."""
    with mp.workdps(50):
        least = [mp.mpf(0)] * len(wanted) if least is None else least
        return max(
            float(abs(mp.mpf(float(v)) - w) / max(abs(w), s))
            for v, w, s in zip(values, wanted, least, strict=True)
        )
