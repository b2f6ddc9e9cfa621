"""Moments: count, mean and centred scatter in one pass, against the bare product X^T X."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ancestral import Moments
from benchmarks.timing import Row, Timer

SHAPES = ((1_000_000, 10), (100_000, 50), (20_000, 576))
TINY = ((200, 3),)


def rows(timer: Timer) -> Iterator[Row]:
    """The product neither centres nor sums: it is the least any of this can cost."""
    for n, d in TINY if timer.tiny else SHAPES:
        X = np.random.default_rng(0).normal(loc=3.0, size=(n, d))
        for dtype in (np.float64, np.float32):
            A = X.astype(dtype)
            case = f"Moments.of, {n:,} x {d}, {np.dtype(dtype).name}"
            note = "the product is summed in float32, ours in float64" * (dtype is np.float32)
            yield timer.race(
                case, lambda A=A: Moments.of(A), "X.T @ X", lambda A=A: A.T @ A, note=note
            )
    n, d = TINY[0] if timer.tiny else SHAPES[1]
    X = np.random.default_rng(0).normal(loc=3.0, size=(n, d))
    yield timer.race(
        f"Moments.of, {n:,} x {d}", lambda: Moments.of(X), "numpy.cov", lambda: np.cov(X.T)
    )
    yield timer.race(
        f"Moments.of(root=True), {n:,} x {d}",
        lambda: Moments.of(X, root=True),
        "numpy.linalg.qr, R only",
        lambda: np.linalg.qr(X - X.mean(axis=0), mode="r"),
    )
