"""Probabilistic PCA: fit and log density, against scikit-learn's PCA."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from ancestral import PPCA
from benchmarks.timing import Row, Timer

SHAPES = ((20_000, 100, 10), (5_000, 576, 20), (400, 576, 20))  # n, d, q
TINY = ((100, 8, 2),)


def rows(timer: Timer) -> Iterator[Row]:
    """PCA's solver is its fastest exact one for the shape; its density is not the maximum."""
    for n, d, q in TINY if timer.tiny else SHAPES:
        X = data(n, d, q)
        solver = "covariance_eigh" if n > d else "full"
        ours, theirs = PPCA(q), PCA(q, svd_solver=solver)
        shape = f"{n:,} x {d}, {q} components"
        yield timer.race(
            f"fit, {shape}",
            lambda m=ours, X=X: m.fit(X),
            f"PCA.fit, svd_solver={solver!r}",
            lambda m=theirs, X=X: m.fit(X),
        )
        yield timer.race(
            f"log density, {shape}",
            lambda m=ours, X=X: m.log_density(X),
            "PCA.score_samples",
            lambda m=theirs, X=X: m.score_samples(X),
        )
    normal = multivariate_normal(ours.mean_, ours.get_covariance())
    gap = np.abs(ours.log_density(X) - normal.logpdf(X)).max()
    yield timer.race(
        f"log density, {shape}",
        lambda: ours.log_density(X),
        "scipy's multivariate_normal.logpdf",
        lambda: normal.logpdf(X),
        note=f"the two differ by {gap:.1e} nats at most",
    )


def data(n: int, d: int, q: int) -> np.ndarray:
    """Draw rows from a PPCA with falling loadings and an offset."""
    rng = np.random.default_rng(0)
    W = rng.normal(size=(d, q)) * np.linspace(3, 1, q)
    return rng.normal(size=(n, q)) @ W.T + rng.normal(size=(n, d)) + 10.0
