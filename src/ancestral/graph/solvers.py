"""Maximise l(a, b), which is concave: Newton's method, and gradient ascent to be watched."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import as_generator, check_integer, check_number
from ancestral.errors import ModelError
from ancestral.graph.pairs.dyads import Sums
from ancestral.graph.pairs.logistic import FLAT_TERMS
from ancestral.graph.pairs.sums import PairSums, Scores

ROUNDING = 1e-13  # of the log-likelihood: a decrease by less is none
Evaluate = Callable[[float, float], Scores]
Float = NDArray[np.float64]


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
    """Maximise l(a, b) by damped Newton steps.

    The first iteration is that of independent edges, a = 0. The second is where the normal
    discriminant of links and others leads, if the likelihood is higher there.

    `evaluate` gives what `PairSums.scores` does, and holds at every step when not given.

    Returns
    -------
    list of dict
        The iterations, the last at the maximum to the limit of float64.
    """
    if evaluate is None and statistics.holds_everywhere:
        evaluate = statistics.scores
    elif evaluate is None:

        def evaluate(a: float, b: float) -> Scores:
            return statistics.at(a, b, maximised=True).scores(a, b)

    a, b, discriminant, first = _start(statistics)
    history = []
    if first is not None and discriminant is not None:
        found = evaluate(*discriminant)
        if found[0] > first["log_likelihood"]:
            best = found[0]
            history = [first, _record(*discriminant, best, found[1:3], first["log_likelihood"])]
            a, b = discriminant
    if not history:
        found = evaluate(a, b)
        best = found[0]
        history = [_record(a, b, best, found[1:3], None)]
    before = math.inf
    for _ in range(max_iter):
        step_a, step_b = _newton_step(*found[1:])
        if max(abs(step_a), abs(step_b)) <= 1e-15 * (1 + max(abs(a), abs(b))):
            break
        scale = 1.0
        while True:
            moved = a + scale * step_a, b + scale * step_b
            found = evaluate(*moved)
            if found[0] >= best - ROUNDING * abs(best):
                break
            scale /= 2
            if scale < 1e-10:
                return history
        history.append(_record(*moved, found[0], found[1:3], best))
        (a, b), best = moved, found[0]
        size, length = max(abs(a), abs(b)), scale * max(abs(step_a), abs(step_b))
        follows = length * (length / before) ** 2  # lengths are squared from step to step
        if length < 1e-12 * size or (length < 1e-6 * size and follows < 1e-15 * size):
            break
        before = length
    return history


def _start(
    statistics: PairSums,
) -> tuple[float, float, tuple[float, float] | None, dict[str, float] | None]:
    """Return (a, b) of independent edges, those of the normal discriminant, and the first record.

    Were s normal, of one variance, among links and among other pairs, then p would be
    sigmoid(a s + b) with a the distance of the means over the variance. None where that is unknown.
    """
    pairs, edges = statistics.n_pairs, statistics.n_edges
    # half a pair aside on either side: with a penalty, no or every pair may be linked
    share = min(max(edges, 0.5), pairs - 0.5) / pairs
    b = math.log(share / (1 - share))
    if statistics.has_offsets or not 0 < edges < pairs:
        return 0.0, b, None, None
    mean, variance, linked = statistics.moments
    apart = (linked - mean) / (1 - share)  # of the two means
    within = variance - share * (1 - share) * apart * apart
    value = edges * math.log(share) + (pairs - edges) * math.log1p(-share)
    value -= statistics.l2 / 2 * b * b
    gradient = edges * (linked - mean), -statistics.l2 * b
    first = _record(0.0, b, value, gradient, None)
    if not within > 1e-12 * variance:
        return 0.0, b, None, first
    a = apart / within
    return 0.0, b, (a, b - a * (linked - apart / 2)), first


def _newton_step(ga: float, gb: float, aa: float, ab: float, bb: float) -> tuple[float, float]:
    """Return I^-1 gradient, with a ridge on I where it is not definite (every p is 0 or 1)."""
    ridge = 0.0
    for _ in range(60):
        up, right = aa + ridge, bb + ridge
        # the larger pivot first, as Gauss eliminates
        if up >= right and up > 0:
            share = ab / up
            left = right - share * ab
            y = (gb - share * ga) / left if left else math.nan
            x = (ga - ab * y) / up
        else:
            share = ab / right if right else math.nan
            left = up - share * ab
            x = (ga - share * gb) / left if left else math.nan
            y = (gb - ab * x) / right if right else math.nan
        if x * ga + y * gb >= 0:  # uphill, and not NaN
            return x, y
        ridge = max(10 * ridge, 1e-12 * abs(aa + bb), 1e-12)
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
    history = [_record(theta[0], theta[1], log_likelihood(*theta), gradient.tolist(), None)]
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
        history.append(_record(theta[0], theta[1], value, fresh.tolist(), best))
        bend = moved @ (gradient - fresh)  # positive: l is concave
        step = (moved @ moved) / bend if bend > 0 else 2 * step
        gradient = fresh
    return history


def _record(
    a: float, b: float, value: float, gradient: Sequence[float], before: float | None
) -> dict[str, float]:
    """Return one row of `history_`."""
    return {
        "a": float(a),
        "b": float(b),
        "log_likelihood": value,
        "increase": math.nan if before is None else value - before,
        "gradient_norm": max(abs(gradient[0]), abs(gradient[1])),
    }


# ---- many coefficients -------------------------------------------------------------------------

MOST_STEPS = 60
SETTLED = 1e-8  # standard errors: a last step as short squares to nothing
SAME = 4e-9
SLOW = 0.3  # of the step before: a maximum halves them at least, and then squares them


def maximise(
    evaluate: Callable[[Float], Sums],
    start: Float,
    *,
    refuse: Callable[[Float], None],
    max_iter: int = MOST_STEPS,
    same: float = 0.0,
) -> tuple[Float, Sums, list[dict[str, float]]]:
    """Maximise a concave log-likelihood by damped Newton steps.

    Parameters
    ----------
    evaluate : callable
        Gives the value, gradient and information at some coefficients.
    start : ndarray of shape (n_coefficients,)
    refuse : callable
        Given a step, raises where the likelihood rises for ever along it. Asked where steps keep
        their length, as they then do.
    max_iter : int
    same : float
        A last step that changes the information by less than this, relatively, is not looked at
        again: `SAME` where evaluations are dear.

    Returns
    -------
    theta : ndarray of shape (n_coefficients,)
    sums : Sums
        At theta.
    history : list of dict
        log_likelihood, increase and gradient_norm (largest component) of each iteration.
    """
    theta, found = start, evaluate(start)
    history = [_row(found, None)]
    before, slow = math.inf, 0
    for _ in range(max_iter):
        step = newton_step(found)
        length = math.sqrt(max(float(step @ found.gradient), 0.0))  # in standard errors
        # the information changes by about the logits' change, which a step of many pairs spreads
        spread = math.sqrt(len(theta) / max(float(found.information[0, 0]), 1e-300))
        if length * spread <= same and length < 1e-6:
            return theta + step, found._replace(value=found.value + length**2 / 2), history
        slow = slow + 1 if length > SLOW * before else 0
        if slow >= 3 and length > SETTLED:
            refuse(step)
        scale, fresh = 1.0, evaluate(theta + step)
        # where one step settles, rounding alone moves the value
        while not fresh.value >= found.value - ROUNDING * abs(found.value) and scale > 1e-10:
            scale /= 2
            fresh = evaluate(theta + scale * step)
        if scale <= 1e-10:
            break
        theta = theta + scale * step
        history.append(_row(fresh, found.value))
        found = fresh
        if length <= SETTLED or (length < 1e-5 and length > before / 2):
            break
        before = length
    else:
        refuse(step)
    return theta, found, history


def newton_step(found: Sums) -> Float:
    """Return I^-1 gradient, with a ridge on I, in units of its diagonal, where it is singular."""
    scale = np.sqrt(np.maximum(np.diag(found.information), 1e-300))
    values, vectors = np.linalg.eigh(found.information / np.outer(scale, scale))
    values = np.maximum(values, 1e-14 * max(float(values[-1]), 1e-14))
    step: Float = vectors @ ((vectors.T @ (found.gradient / scale)) / values) / scale
    if not np.isfinite(step).all():
        raise ModelError(FLAT_TERMS)
    return step


def _row(found: Sums, before: float | None) -> dict[str, float]:
    """Return one row of a history."""
    return {
        "log_likelihood": found.value,
        "increase": math.nan if before is None else found.value - before,
        "gradient_norm": float(np.abs(found.gradient).max()),
    }
