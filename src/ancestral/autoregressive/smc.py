"""Conditioning by sequential Monte Carlo, where enumeration is too large.

    Z = p(known) = sum over completions of p(known, completion)

Prefixes with weights ("particles") walk the variables in order. At an unknown variable each goes
on to every level it may take, at a known one to that level alone. When a run holds more than N,
they are thinned without bias, by how much each promises to weigh in the end:

    promise = weight * (p(known later values | prefix) by a simpler model) ^ trust

Those of large promise are kept as they are, the others survive with a probability in proportion
to it and are weighed up by its inverse: for a constant c,

    sum of min(promise / c, 1) = N.

So the weights always add up to an unbiased estimate of the marginal so far, whatever the simpler
model, weighted particles draw from the conditional as N grows, and where all completions fit the
result is exact. The walk ends at the last known variable: what follows sums to one.

Without the look ahead, every run drops the same prefixes, those that earlier values speak against
and later ones for, and runs that agree say nothing of it. The simpler model is a mixture of
independent variables, fitted by EM to draws of the model itself. It exaggerates, since values
hang together within its components too, so that it is trusted in part; and each of the independent
runs trusts it to another degree. A mode that one way of thinning misses, another finds, and the
standard error, which their differences tell, says so.

Fearnhead & Clifford (2003), On-line inference for hidden Markov models via particle filters,
Journal of the Royal Statistical Society B 65(4), section 3; Whiteley & Lee (2014), Twisted
particle filters, Annals of Statistics 42(1), for looking ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import log_sum_exp
from ancestral.autoregressive import conditioning, sampling
from ancestral.autoregressive import marginals as exact
from ancestral.autoregressive.chain.prefix_mixture import PrefixMixture, fit_mixture
from ancestral.autoregressive.steps import Stepped, Walk
from ancestral.errors import ModelError

N_PARTICLES = 512  # held by each run
LEAST_PARTICLES = 16
TRUST = np.linspace(0.1, 0.9, 16)  # in the look ahead, one for each run
N_RUNS = len(TRUST)
HELD = 1 << 16  # particles of all runs and rows held at once
# The simpler model:
N_COMPONENTS = 16
N_DRAWN = 2048
N_VALIDATED = 512


class Lookahead:
    """A mixture fitted to a model's own draws: what it says of later known values."""

    def __init__(self, model: Stepped, rng: np.random.Generator) -> None:
        drawn = []
        for n in (N_DRAWN, N_VALIDATED):
            levels, row_of = sampling.sample_levels(model, n, rng)
            drawn.append(levels[row_of])
        n_levels = [len(known) for known in model.categories_]
        self.mixture: PrefixMixture = fit_mixture(drawn[0], n_levels, N_COMPONENTS, rng, drawn[1])

    def future(self, levels: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return log p(known values from each place on | component), shape (d + 1, n, c)."""
        n, d = levels.shape
        future = np.zeros((d + 1, n, len(self.mixture.log_weights)))
        for i in range(d - 1, -1, -1):
            known = np.where(levels[:, i, None] >= 0, self.mixture.log_theta[i].T[levels[:, i]], 0)
            future[i] = future[i + 1] + known
        return future


@dataclass(frozen=True)
class Estimate:
    """Weighted completions of partly known rows, up to the last known variable of all.

    Parameters
    ----------
    walk : Walk
        Its owners are the rows' runs, N_RUNS of each in turn; its log_p the weights.
    log_evidence : ndarray of shape (n,)
        Nats.
    standard_errors : ndarray of shape (n,)
        Of `log_evidence`: relative errors of the estimates; 0 where exact, NaN where the estimate
        is zero.
    """

    walk: Walk
    log_evidence: NDArray[np.float64]
    standard_errors: NDArray[np.float64]


def log_evidence(
    model: Stepped, levels: NDArray[np.intp], n_particles: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log p of the known part of each row and its standard error; exact where it is cheap.

    Parameters
    ----------
    model : Stepped
        Fitted.
    levels : ndarray of shape (n, d)
        Level codes, negative where unknown.
    n_particles : int
        Held by each run.
    rng : numpy.random.Generator
    """
    values, errors = np.zeros(len(levels)), np.zeros(len(levels))
    many = ~_is_cheap(model, levels, n_particles)
    values[~many] = conditioning.log_known(model, levels[~many])
    if not many.any():
        return values, errors
    ahead, ends = Lookahead(model, rng), conditioning.ends_of_known(levels)
    at_once = max(1, HELD // (N_RUNS * n_particles))
    for end in np.unique(ends[many]):
        group = np.flatnonzero(many & (ends == end))
        for i in range(0, len(group), at_once):
            part = group[i : i + at_once]
            found = run(model, levels[part], n_particles, rng, ahead)
            values[part], errors[part] = found.log_evidence, found.standard_errors
    return values, errors


def _is_cheap(model: Stepped, levels: NDArray[np.intp], n_particles: int) -> NDArray[np.bool_]:
    """Return which rows an exact walk costs no more than particles would."""
    few = conditioning.n_completions(model, levels) <= np.log2(N_RUNS * n_particles)
    return few | model._forgets


def run(
    model: Stepped,
    levels: NDArray[np.intp],
    n_particles: int,
    rng: np.random.Generator,
    ahead: Lookahead,
    end: int | None = None,
) -> Estimate:
    """Complete partly known rows, shape (n, d), whose last known variable is the same.

    The walk ends after that variable, or at `end`.
    """
    end = int(conditioning.ends_of_known(levels).max(initial=0)) if end is None else end
    walk = Walk(model, np.repeat(levels, N_RUNS, axis=0))
    trust, future = np.tile(TRUST, len(levels)), ahead.future(levels)
    joint = ahead.mixture.start(len(walk))  # log p(component, prefix) by the mixture
    thinned = np.zeros(len(levels), bool)
    for i in range(end):
        parent = walk.branch()
        joint = ahead.mixture.told(joint if parent is None else joint[parent], i, walk.level)
        if np.bincount(walk.owner, minlength=1).max() > n_particles:
            known_later = log_sum_exp(joint + future[i + 1, walk.owner // N_RUNS])
            promise = walk.log_p + trust[walk.owner] * (known_later - log_sum_exp(joint))
            kept, log_odds = thin(promise, walk.owner, n_particles, rng)
            thinned[np.delete(walk.owner, kept) // N_RUNS] = True
            walk.keep(kept)
            walk.log_p, joint = walk.log_p - log_odds, joint[kept]
    totals = np.full((len(levels), N_RUNS), -np.inf)
    conditioning.add_to(totals.reshape(-1), walk.owner, walk.log_p)
    values = log_sum_exp(totals) - np.log(N_RUNS)
    with np.errstate(invalid="ignore"):
        relative = np.exp(totals - values[:, None])
    errors = relative.std(axis=1, ddof=1) / np.sqrt(N_RUNS)
    return Estimate(walk, values, np.where(thinned | np.isneginf(values), errors, 0.0))


def sample_given(
    model: Stepped,
    levels: NDArray[np.intp],
    n_samples: int,
    n_particles: int,
    rng: np.random.Generator,
    ahead: Lookahead | None = None,
) -> NDArray[np.intp]:
    """Return draws that follow the conditional as `n_particles` grows, shape (n_samples, d)."""
    if _is_cheap(model, levels[None], n_particles)[0]:
        return conditioning.sample_given(model, levels, n_samples, rng)
    found = run(model, levels[None], n_particles, rng, ahead or Lookahead(model, rng))
    if not np.isfinite(found.log_evidence[0]):
        raise ModelError(_unexplained("the given values", n_particles))
    rows, row_of = sampling.sample_on(found.walk, n_samples, rng)
    return rows[row_of]


def _unexplained(what: str, n_particles: int) -> str:
    return (
        f"no particle of {n_particles} explains {what}: either they have probability 0 under this "
        "model, or more particles are needed. Pass a larger n_particles."
    )


def draws(
    model: Stepped,
    levels: NDArray[np.intp],
    n_draws: int,
    n_particles: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Return completed rows that follow the conditional as `n_particles` grows, (n_draws, n, d)."""
    completed = np.repeat(levels[None], n_draws, axis=0)
    gaps = np.flatnonzero((levels < 0).any(axis=1))
    ahead = None if _is_cheap(model, levels[gaps], n_particles).all() else Lookahead(model, rng)
    for i in gaps:
        completed[:, i] = sample_given(model, levels[i], n_draws, n_particles, rng, ahead)
    return completed


def marginals(
    model: Stepped, levels: NDArray[np.intp], n_particles: int, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Return estimates of p(level | known values of the row), the i-th of shape (n, K_i)."""
    bits = (levels < 0) @ np.log2([len(known) for known in model.categories_])
    many = np.flatnonzero((bits > np.log2(N_RUNS * n_particles)) & (not model._forgets))
    few = np.setdiff1d(np.arange(len(levels)), many)
    found = exact.degenerate(model, levels)
    for p, of_few in zip(found, exact.marginals(model, levels[few]), strict=True):
        p[few] = of_few
    if len(many):
        ahead = Lookahead(model, rng)
    for i in many:
        walk = run(model, levels[[i]], n_particles, rng, ahead, end=levels.shape[1]).walk
        if not len(walk):
            raise ModelError(_unexplained(f"the known values of row {i}", n_particles))
        weights, rows = np.exp(walk.log_p - walk.log_p.max()), walk.rows()
        for p, known, drawn in zip(found, levels[i], rows.T, strict=True):
            if known < 0:
                p[i] = np.bincount(drawn, weights, p.shape[1]) / weights.sum()
    return found


def best_completion(
    model: Stepped, levels: NDArray[np.intp], n_particles: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return the most probable completion among the particles, shape (1, d), or none."""
    found = run(model, levels[None], n_particles, rng, Lookahead(model, rng), end=len(levels))
    rows = found.walk.rows()
    scores = model._log_density_levels(rows)
    return rows[np.argsort(-scores, kind="stable")[:1]]


def thin(
    promise: NDArray[np.float64], owner: NDArray[np.intp], n: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Keep n of each owner's promises where there are more, or one fewer by rounding.

    Parameters
    ----------
    promise : ndarray of shape (n_particles,)
        Logarithms.
    owner : ndarray of shape (n_particles,)
        Never falling.
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    kept : ndarray of shape (n_kept,)
        Rising.
    log_odds : ndarray of shape (n_kept,)
        The log probability with which each was kept.
    """
    counts = np.bincount(owner)
    crowded = np.flatnonzero(counts > n)
    place = np.full(len(counts), -1)
    place[crowded] = np.arange(len(crowded))
    mine = place[owner] >= 0
    first = np.cumsum(counts) - counts
    rank = np.arange(len(owner)) - first[owner]
    table = np.full((len(crowded), counts.max()), -np.inf)  # one row for each crowded owner
    table[place[owner[mine]], rank[mine]] = promise[mine]
    w = np.exp(table - table.max(axis=1, keepdims=True))
    order = np.argsort(-w, axis=1, kind="stable")
    falling = np.take_along_axis(w, order, axis=1)
    tail = np.cumsum(falling[:, ::-1], axis=1)[:, ::-1]  # what all but the a largest weigh
    limits = tail[:, :n] / (n - np.arange(n))  # c, were the a largest kept as they are
    n_large = (falling[:, :n] <= limits).argmax(axis=1)[:, None]
    c = np.maximum(np.take_along_axis(limits, n_large, axis=1), np.finfo(float).tiny)
    large = np.arange(table.shape[1]) < n_large
    # Systematic: one uniform number, then equal steps along the sum of the small weights.
    along = np.cumsum(np.where(large, 0.0, falling), axis=1) / c + rng.random((len(w), 1))
    lucky = np.diff(np.floor(along), axis=1, prepend=0.0) > 0
    sorted_odds = np.where(large, 0.0, np.log(np.clip(falling / c, np.finfo(float).tiny, 1.0)))
    chosen, odds = np.zeros(w.shape, bool), np.zeros(w.shape)
    np.put_along_axis(chosen, order, large | lucky, axis=1)
    np.put_along_axis(odds, order, sorted_odds, axis=1)
    keep, log_odds = ~mine, np.zeros(len(owner))
    keep[mine] = chosen[place[owner[mine]], rank[mine]]
    log_odds[mine] = odds[place[owner[mine]], rank[mine]]
    kept = np.flatnonzero(keep)
    return kept, log_odds[kept]
