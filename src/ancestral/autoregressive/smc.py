"""Conditioning by sequential Monte Carlo, where enumeration is too large.

    Z = p(known) = sum over completions of p(known, completion)

Prefixes with weights ("particles") walk the variables in order. At an unknown variable each goes
on to every level it may take, at a known one to that level alone, and is weighed by its
probability. When more than N would be held, they are thinned without bias: those of large weight
are kept as they are, the others survive with a probability in proportion to their weight and then
share one weight c, where

    sum of min(w / c, 1) = N.

So the weights always add up to an unbiased estimate of the marginal so far, weighted particles
draw from the conditional as N grows, and where all completions fit in N the result is exact.
Independent runs tell the standard error.

Fearnhead & Clifford (2003), On-line inference for hidden Markov models via particle filters,
Journal of the Royal Statistical Society B 65(4), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ancestral._validation import log_sum_exp
from ancestral.errors import ModelError

if TYPE_CHECKING:
    from ancestral.autoregressive.sequential import Sequential

N_PARTICLES = 4096
N_RUNS = 8


@dataclass(frozen=True)
class Particles:
    """Weighted completions of one partly known row.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Level codes.
    log_weights : ndarray of shape (n,)
        Nats; their exponentials add up to an estimate of p(known).
    log_evidence : float
        The logarithm of that estimate.
    standard_error : float
        Of `log_evidence`, in nats: relative error of the estimate; 0 where it is exact.
    """

    rows: NDArray[np.intp]
    log_weights: NDArray[np.float64]
    log_evidence: float
    standard_error: float


def run(
    model: Sequential, levels: NDArray[np.intp], n_particles: int, rng: np.random.Generator
) -> Particles:
    """Complete one partly known row.

    Parameters
    ----------
    model : Sequential
        Fitted.
    levels : ndarray of shape (d,)
        Level codes, negative where unknown.
    n_particles : int
        Over all runs.
    rng : numpy.random.Generator

    Returns
    -------
    Particles
    """
    each = max(2, n_particles // N_RUNS)
    rows, log_w, thinned = _walk(model, levels, each, rng)
    if not thinned:
        return Particles(rows, log_w, float(_total(log_w)), 0.0)
    runs = [(rows, log_w)] + [_walk(model, levels, each, rng)[:2] for _ in range(N_RUNS - 1)]
    totals = np.array([_total(log_w) for _, log_w in runs])
    log_evidence = float(_total(totals) - np.log(N_RUNS))
    with np.errstate(invalid="ignore"):
        relative = np.exp(totals - log_evidence)
    error = relative.std(ddof=1) / np.sqrt(N_RUNS) if np.isfinite(log_evidence) else np.nan
    return Particles(
        np.concatenate([rows for rows, _ in runs]),
        np.concatenate([log_w for _, log_w in runs]) - np.log(N_RUNS),
        log_evidence,
        float(error),
    )


def sample_given(
    model: Sequential,
    levels: NDArray[np.intp],
    n_samples: int,
    n_particles: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Return draws that follow the conditional as `n_particles` grows, shape (n_samples, d)."""
    particles = run(model, levels, n_particles, rng)
    if not np.isfinite(particles.log_evidence):
        raise ModelError(
            f"no particle of {n_particles} explains the given values: they have probability 0 "
            "under this model, or more particles are needed. Pass a larger n_particles."
        )
    p = np.exp(particles.log_weights - particles.log_evidence)
    return particles.rows[rng.choice(len(p), size=n_samples, p=p / p.sum())]


def _walk(
    model: Sequential, levels: NDArray[np.intp], n_particles: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.float64], bool]:
    """Return completed rows, their log weights, and whether any were thinned out."""
    columns: list[NDArray[np.intp]] = []
    total, thinned = np.zeros(1), False
    state, previous = model.start(1), None
    for known in levels:
        state, log_p = model.step(state, previous)
        joint = total[:, None] + log_p  # (particles, K)
        if known >= 0:
            joint[:, np.arange(joint.shape[1]) != known] = -np.inf
        parent, previous = np.nonzero(joint > -np.inf)
        total = joint[parent, previous]
        if len(total) > n_particles:
            kept, total = _thin(total, n_particles, rng)
            parent, previous, thinned = parent[kept], previous[kept], True
        state = model.take(state, parent)
        columns = [column[parent] for column in columns] + [previous]
    return np.stack(columns, axis=1), total, thinned


def _thin(
    log_w: NDArray[np.float64], n: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Keep n of more weights, or one fewer by rounding, so that each keeps its expectation."""
    top = log_w.max()
    w = np.exp(log_w - top)
    order = np.argsort(-w, kind="stable")
    falling = w[order]
    tail = np.cumsum(falling[::-1])[::-1]  # tail[a]: what all but the a largest weigh
    a = np.arange(n)
    limits = tail[:n] / (n - a)  # c, were the a largest kept as they are
    n_large = int(np.flatnonzero(falling[:n] <= limits)[0])
    c = limits[n_large]
    small = order[n_large:]
    # Systematic: one uniform number, then equal steps along the sum of the small weights.
    steps = np.floor(np.cumsum(w[small]) / c + rng.random()).astype(int)
    lucky = small[np.diff(steps, prepend=0) > 0]
    kept = np.concatenate([order[:n_large], lucky])
    kept_log_w = np.where(np.arange(len(kept)) < n_large, log_w[kept], top + np.log(c))
    in_order = np.argsort(kept)
    return kept[in_order], kept_log_w[in_order]


def _total(log_w: NDArray[np.float64]) -> float:
    """Return log of the sum; -inf for nothing."""
    return float(log_sum_exp(log_w)) if len(log_w) else -np.inf
