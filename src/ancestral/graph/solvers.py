"""Maximise l(a, b), which is concave: Newton's method, and gradient ascent to be watched."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import as_generator, check_integer, check_number
from ancestral.errors import ModelError
from ancestral.graph.pairs.sums import PairSums

ROUNDING = 1e-13  # of the log-likelihood: a decrease by less is none
Evaluate = Callable[[float, float], tuple[float, NDArray[np.float64], NDArray[np.float64]]]


def climb(
    objective: PairSums, solver: str, *, max_iter: int, tol: float, random_state: Any
) -> list[dict[str, float]]:
    """Return the iterations of a solver chosen by name; a draw starts the ascent."""
    max_iter = check_integer(max_iter, "max_iter", minimum=1)
    tol = check_number(tol, "tol", minimum=0.0, inclusive=False)
    if solver == "newton":
        return newton(objective, max_iter=max_iter)
    if solver == "gradient_ascent":
        start = as_generator(random_state).normal(size=2)
        return gradient_ascent(objective, start, tol=tol, max_iter=max_iter)
    raise ModelError(f'solver must be "newton" or "gradient_ascent"; got {solver!r}.')


def newton(
    statistics: PairSums, *, max_iter: int = 100, evaluate: Evaluate | None = None
) -> list[dict[str, float]]:
    """Maximise l(a, b) by damped Newton steps from the independent-edges start.

    `evaluate` is that of the statistics, which holds at every step, when not given.

    Returns
    -------
    list of dict
        The iterations, the last at the maximum to the limit of float64.
    """
    # half a pair aside on either side: with a penalty, no or every pair may be linked
    share = min(max(statistics.n_edges, 0.5), statistics.n_pairs - 0.5) / statistics.n_pairs
    theta = np.array([0.0, np.log(share / (1 - share))])
    evaluate = partial(statistics.evaluate, maximised=True) if evaluate is None else evaluate
    best, gradient, information = evaluate(*theta)
    history = [_record(theta, best, gradient, None)]
    for _ in range(max_iter):
        step = _newton_step(information, gradient)
        if np.abs(step).max() <= 1e-15 * (1 + np.abs(theta).max()):
            break
        scale = 1.0
        while True:
            moved = theta + scale * step
            found = evaluate(*moved)
            if found[0] >= best - ROUNDING * abs(best):
                break
            scale /= 2
            if scale < 1e-10:
                return history
        history.append(_record(moved, found[0], found[1], best))
        theta, (best, gradient, information) = moved, found
        if np.abs(scale * step).max() < 1e-12 * np.abs(theta).max():
            break
    return history


def _newton_step(
    information: NDArray[np.float64], gradient: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return I^-1 gradient, with a ridge on I where it is not definite (every p is 0 or 1)."""
    ridge = 0.0
    for _ in range(60):
        try:
            step = np.asarray(np.linalg.solve(information + ridge * np.eye(2), gradient), float)
        except np.linalg.LinAlgError:
            step = np.full(2, np.nan)
        if step @ gradient >= 0:  # uphill, and not NaN
            return step
        ridge = max(10 * ridge, 1e-12 * abs(float(np.trace(information))), 1e-12)
    raise ModelError(
        "the likelihood is flat to float64 at an iteration of Newton's method. Scale the features "
        "so that x_i.x_j is of the order of one."
    )


def gradient_ascent(
    statistics: PairSums,
    start: NDArray[np.float64],
    *,
    tol: float = 1e-5,
    max_iter: int = 1000,
) -> list[dict[str, float]]:
    """Maximise l(a, b) by steps along the gradient that raise the likelihood every time.

    Parameters
    ----------
    statistics : PairSums
    start : ndarray of shape (2,)
        The first (a, b).
    tol : float
        Stop when no component of the gradient exceeds it.
    max_iter : int

    Returns
    -------
    list of dict
        The start and every iteration; `log_likelihood` strictly rises.

    Notes
    -----
    The step length is Barzilai & Borwein's (1988) from the last two gradients, halved until the
    gain is at least a tenth of a thousandth of step * |gradient|^2 (Armijo's rule). It also stops
    when no step raises the likelihood any more in float64.
    """
    theta = np.asarray(start, dtype=np.float64)
    log_likelihood = partial(statistics.log_likelihood, maximised=True)
    gradient = statistics.gradient(*theta, maximised=True)
    history = [_record(theta, log_likelihood(*theta), gradient, None)]
    step = 1.0 / np.trace(statistics.information(0.0, 0.0))  # below 1/curvature anywhere
    for _ in range(max_iter):
        if np.abs(gradient).max() <= tol:
            break
        best = history[-1]["log_likelihood"]
        squared = gradient @ gradient
        while True:
            value = log_likelihood(*(theta + step * gradient))
            if value > best and value >= best + 1e-4 * step * squared:
                break
            step /= 2
            if step * np.abs(gradient).max() < 1e-16 * (1 + np.abs(theta).max()):
                return history
        moved = step * gradient
        theta = theta + moved
        fresh = statistics.gradient(*theta, maximised=True)
        history.append(_record(theta, value, fresh, best))
        bend = moved @ (gradient - fresh)  # positive: l is concave
        step = (moved @ moved) / bend if bend > 0 else 2 * step
        gradient = fresh
    return history


def _record(
    theta: NDArray[np.float64], value: float, gradient: NDArray[np.float64], before: float | None
) -> dict[str, float]:
    """Return one row of `history_`."""
    return {
        "a": float(theta[0]),
        "b": float(theta[1]),
        "log_likelihood": value,
        "increase": float("nan") if before is None else value - before,
        "gradient_norm": float(np.abs(gradient).max()),
    }
