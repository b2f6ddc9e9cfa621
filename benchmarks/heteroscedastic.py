"""Regression with a variance that depends on x: the fit, against weighted least squares in NumPy.

The peer alternates by hand what the model does: weighted normal equations for the mean, a step of
Fisher scoring for the log variance, from least squares until no step is longer than the same
fraction of a standard error. It has no checks, no refinement of digits and no standard errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ancestral import HeteroscedasticGaussian
from benchmarks.timing import Row, Timer

ROWS, COLUMNS = (100, 1_000, 10_000, 100_000, 1_000_000), (1, 3, 10, 50)
ROWS_A_COLUMN = 20  # of fewer, some can be fitted exactly: the likelihood has no bound
TINY = ((60, 2),)
TOL = 1e-6  # standard errors, as the model's default


def rows(timer: Timer) -> Iterator[Row]:
    """Both stop within the same fraction of a standard error of the maximum."""
    for n, d in TINY if timer.tiny else grid():
        X, y = data(n, d)
        model, (_, _, theirs) = HeteroscedasticGaussian().fit(X, y), iterated(X, y)
        note = f"log-likelihoods {model.log_likelihood_:.9g} and {theirs:.9g} nats"
        yield replace(timer, repeats=min(timer.repeats, 7)).race(
            f"fit, {n:,} x {d}",
            lambda X=X, y=y: HeteroscedasticGaussian().fit(X, y),
            "weighted least squares, iterated in numpy",
            lambda X=X, y=y: iterated(X, y),
            note=note,
        )


def grid() -> Iterator[tuple[int, int]]:
    """Yield the shapes that are measured."""
    for n in ROWS:
        yield from ((n, d) for d in COLUMNS if n >= ROWS_A_COLUMN * d)


def data(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw columns with means, and a target whose log variance is linear in them."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) + 1.0
    w, v = rng.normal(size=d), rng.normal(size=d) / np.sqrt(d)
    return X, X @ w + np.exp(0.5 * (X @ v)) * rng.normal(size=n)


def iterated(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the mean's coefficients, the log variance's, and the log-likelihood."""
    n = len(X)
    A = np.column_stack([np.ones(n), X])
    gram = cho_factor(A.T @ A)
    w, v = cho_solve(gram, A.T @ y), np.zeros(A.shape[1])
    residual = y - A @ w
    v[0] = np.log(residual @ residual / n)
    h = np.full(n, v[0])
    precision = np.exp(-h)
    squares = residual**2 * precision
    value = h.sum() + squares.sum()
    for _ in range(200):
        weighted = A * precision[:, None]
        of_mean, of_variance = weighted.T @ residual, A.T @ (squares - 1)
        step = cho_solve(cho_factor(weighted.T @ A), of_mean)
        variance_step = cho_solve(gram, of_variance)
        if of_mean @ step + 0.5 * (of_variance @ variance_step) <= TOL**2:
            break
        along, variance_along = A @ step, A @ variance_step
        for k in range(50):  # halved where the likelihood falls
            share = 0.5**k
            r, new = residual - share * along, h + share * variance_along
            precision = np.exp(-new)
            squares = r**2 * precision
            found = new.sum() + squares.sum()
            if found < value:
                break
        else:
            break
        w, v, residual, h, value = w + share * step, v + share * variance_step, r, new, found
    return w, v, float(-0.5 * (n * np.log(2 * np.pi) + value))
