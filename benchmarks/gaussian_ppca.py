"""Probabilistic PCA at size: fits, scores, streams and gaps, against scikit-learn and plain EM."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Iterator
from time import perf_counter, process_time
from typing import Any

import numpy as np
from sklearn.decomposition import PCA, IncrementalPCA

from ancestral import PPCA, streaming
from ancestral.gaussian.ppca import missing_em
from ancestral.gaussian.ppca.missing_columns import Rows
from ancestral.gaussian.ppca.missing_patterns import Factors
from ancestral.training.parts import Held
from benchmarks.timing import Row, Timer

Q = 64
TALL, TINY_TALL = (50_000, 576), (300, 70)
WIDE, TINY_WIDE = (500, 20_000), (40, 90)


def rows(timer: Timer) -> Iterator[Row]:
    """Race PCA's fastest exact solver on tall data; on wide data its own, inexact, choice."""
    q = 4 if timer.tiny else Q
    for dtype in (np.float64, np.float32):
        yield from tall(timer, q, dtype)
    yield from wide(timer, q)
    yield from gaps(timer)


def tall(timer: Timer, q: int, dtype: type) -> Iterator[Row]:
    """Many rows: the fit, every d, log densities, chunks."""
    n, d = TINY_TALL if timer.tiny else TALL
    X, new = data(n, d, q).astype(dtype), data(2 * n, d, q, seed=1).astype(dtype)
    name = f"{n:,} x {d}, d={q}, {np.dtype(dtype).name}"
    theirs = PCA(q, svd_solver="covariance_eigh")
    yield timer.race(
        f"fit, {name}", lambda: PPCA(q).fit(X), "PCA.fit, covariance_eigh", lambda: theirs.fit(X)
    )
    yield timer.race(f"fit, {name}", lambda: PPCA(q).fit(X), "X.T @ X alone", lambda: X.T @ X)
    held_out = new[: max(2, n // 50)]
    yield timer.race(
        f"fit and score all d = 1..{q}, {name}",
        lambda: PPCA(q).fit(X).every_d(held_out),
        "PPCA.fit alone",
        lambda: PPCA(q).fit(X),
        note=f"likelihood, BIC, evidence, and the density of {len(held_out):,} held-out rows",
    )
    model, peer = PPCA(q).fit(X), theirs.fit(X)
    yield timer.race(
        f"log density, {2 * n:,} x {d}, d={q}, {np.dtype(dtype).name}",
        lambda: model.log_density(new),
        "PCA.score_samples",
        lambda: peer.score_samples(new),
        note=f"largest difference to float64 rows: {precision(model, peer, new[:2000])}",
    )
    chunks = [X[i : i + 5_000] for i in range(0, n, 5_000)] if n > 5_000 else [X]
    inexact = IncrementalPCA(q)

    def incremental() -> Any:
        for chunk in chunks:
            inexact.partial_fit(chunk)

    yield timer.race(
        f"chunks of {len(chunks[0]):,} rows, {name}",
        lambda: streaming.fit_chunks(PPCA(q), chunks),
        "IncrementalPCA.partial_fit",
        incremental,
        note=streamed_noise(q, X, chunks),
    )


def precision(model: PPCA, peer: PCA, X: np.ndarray) -> str:
    """Say how far the scores of these rows are from those of the same rows in float64."""
    apart = np.abs(model.log_density(X) - model.log_density(X.astype(np.float64))).max()
    exact = PCA(peer.n_components)
    for name, value in vars(peer).items():
        wide = value.astype(np.float64) if hasattr(value, "astype") else value
        setattr(exact, name, wide)
    theirs = peer.score_samples(X) - exact.score_samples(X.astype(np.float64))
    return f"{apart:.1e} nats; PCA's {np.abs(theirs).max():.1e}"


def streamed_noise(q: int, X: np.ndarray, chunks: list[np.ndarray]) -> str:
    """Say how far sigma^2 from chunks is from that of all rows at once."""
    exact = PPCA(q).fit(X.astype(np.float64)).noise_variance_
    ours = streaming.fit_chunks(PPCA(q), chunks).noise_variance_
    theirs = IncrementalPCA(q)
    for chunk in chunks:
        theirs.partial_fit(chunk)
    return (
        f"sigma^2 off by {abs(ours / exact - 1):.1e}; "
        f"IncrementalPCA's by {abs(theirs.noise_variance_ / exact - 1):.1e}"
    )


def wide(timer: Timer, q: int) -> Iterator[Row]:
    """Fewer rows than columns."""
    n, d = TINY_WIDE if timer.tiny else WIDE
    X = data(n, d, q)
    for k in (max(1, q // 6), q):
        ours, theirs = PPCA(k), PCA(k, random_state=0)
        exact = PCA(k, svd_solver="full").fit(X).explained_variance_ * (n - 1) / n
        ours.fit(X)
        theirs.fit(X)
        errors = [
            np.abs(found / exact - 1).max()
            for found in (ours.explained_variance_, theirs.explained_variance_ * (n - 1) / n)
        ]
        yield timer.race(
            f"fit, {n:,} x {d:,}, d={k}",
            lambda m=ours: m.fit(X),
            "PCA.fit, its own choice of solver",
            lambda m=theirs: m.fit(X),
            note=f"variances off by {errors[0]:.0e} at most; PCA's by {errors[1]:.0e}",
        )


# ---- gaps --------------------------------------------------------------------------------------


def gaps(timer: Timer) -> Iterator[Row]:
    """A fifth of the entries missing: imputation, and the way to the maximum."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer
    from sklearn.linear_model import BayesianRidge

    n, d, q = (60, 8, 2) if timer.tiny else (2_000, 100, 10)
    whole = data(n, d, q)
    X = whole.copy()
    X[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    hidden = np.isnan(X)
    peer = IterativeImputer(BayesianRidge(), random_state=0)
    started = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it stops before it has converged
        theirs = peer.fit_transform(X)
    seconds = perf_counter() - started
    ours = median(perf_counter, lambda: PPCA(q).fit(X).impute(X), 1 if timer.tiny else 9)
    filled, std = PPCA(q).fit(X).impute(X, return_std=True)
    errors = [np.sqrt(np.mean((table - whole)[hidden] ** 2)) for table in (filled, theirs)]
    covered = (np.abs(filled - whole)[hidden] <= 1.96 * std[hidden]).mean()
    yield Row(
        f"fit and impute, {n:,} x {d}, d={q}, 20% missing",
        ours,
        "IterativeImputer(BayesianRidge)",
        seconds,
        f"RMSE {errors[0]:.4f} against {errors[1]:.4f}, ratio {errors[0] / errors[1]:.3f}; "
        f"95% intervals cover {covered:.1%}",
    )
    found = missing_em.fit(table_of(X), q, tol=1e-9, max_iter=1000)
    steps, best = plain_em(X, q, 1e-9)
    short = (found.history[-1] - best) / (~hidden).sum()
    yield Row(
        "the fit alone, in CPU-seconds",
        median(process_time, lambda: PPCA(q).fit(X), 1 if timer.tiny else 9),
        "plain EM, same start, same end",
        median(process_time, lambda: plain_em(X, q, 1e-9), 1 if timer.tiny else 3),
        f"until a step gains less than 1e-9 nats per entry: {len(found.history)} steps against "
        f"{steps}, which stop {short:.0e} nats per entry lower",
    )


def median(clock: Callable[[], float], task: Callable[[], Any], repeats: int) -> float:
    """Return the median time of a task by a clock."""
    times = []
    for _ in range(repeats):
        started = clock()
        task()
        times.append(clock() - started)
    return statistics.median(times)


def plain_em(X: np.ndarray, q: int, tol: float, most: int = 20_000) -> tuple[int, float]:
    """Climb by EM without expansion or extrapolation until a step gains less than `tol`.

    Returns the steps taken and the log-likelihood reached; `tol` is in nats per known entry.
    """
    known = ~np.isnan(X)
    shift = np.nanmean(X, axis=0)
    at = missing_em._start(table_of(X), q)
    Y, seen = np.where(known, X - shift, 0.0), known.astype(np.float64)
    steps, gain, reached = 0, np.inf, -np.inf
    while gain >= tol * seen.sum() and steps < most:
        log_likelihood, at = plain_step(Y, seen, at)
        gain, reached, steps = log_likelihood - reached, log_likelihood, steps + 1
    return steps, reached


def table_of(X: np.ndarray) -> missing_em.Table:
    """Return rows with gaps as the fit takes them."""
    return missing_em.Table.of(Held([Rows.known(X)]))


def plain_step(Y: np.ndarray, seen: np.ndarray, at: Factors) -> tuple[float, Factors]:
    """Return the likelihood of the parameters and the next: E step, then M step per column."""
    W, mean, noise = at.loadings, at.mean, at.noise
    q = W.shape[1]
    i, j = np.tril_indices(q)
    M = unfolded(seen @ (W[:, i] * W[:, j]), q) + noise * np.eye(q)
    inverse, R = np.linalg.inv(M), Y - seen * mean
    right = R @ W
    z = np.matmul(inverse, right[:, :, None])[:, :, 0]
    size, log_det = seen.sum(axis=1), np.linalg.slogdet(M)[1]
    square = ((R * R).sum() - (right * z).sum()) / noise
    fixed = size * np.log(2 * np.pi) + (size - q) * np.log(noise) + log_det
    both = np.column_stack([z, np.ones(len(z))])
    moments = both[:, :, None] * both[:, None, :]
    moments[:, :q, :q] += noise * inverse
    i, j = np.tril_indices(q + 1)
    left, b = unfolded(seen.T @ moments[:, i, j], q + 1), Y.T @ both
    solution = np.linalg.solve(left, b[:, :, None])[:, :, 0]
    left_over = float(((Y * Y).sum() - (b * solution).sum()) / seen.sum())
    return float(-0.5 * (fixed.sum() + square)), Factors(solution[:, q], solution[:, :q], left_over)


def unfolded(triangles: np.ndarray, q: int) -> np.ndarray:
    """Return whole symmetric matrices from their lower triangles."""
    i, j = np.tril_indices(q)
    whole = np.empty((len(triangles), q, q))
    whole[:, i, j] = triangles
    whole[:, j, i] = triangles
    return whole


def data(n: int, d: int, q: int, seed: int = 0) -> np.ndarray:
    """Draw rows from a PPCA with falling loadings and an offset."""
    rng = np.random.default_rng(seed)
    W = np.random.default_rng(0).normal(size=(d, q)) * np.linspace(1, 0.1, q)
    return rng.normal(size=(n, q)) @ W.T + rng.normal(size=(n, d)) + 3.0
