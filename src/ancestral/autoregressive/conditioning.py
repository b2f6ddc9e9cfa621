"""Exact conditioning, by one walk over prefixes for all rows together.

    p(known) = sum over completions of p(known, completion)

A walk with a row's known values fixed grows to every prefix of positive probability. What comes
after the last known variable sums to one, so the walk ends there: evidence on a beginning costs
what scoring costs. Divided by the sum, the prefixes' probabilities are the exact conditional
distribution of what comes before, and the rest is drawn forwards. (Filling unknown values in
order, each given only the earlier ones, is not conditioning.)

Prefixes are as many as the unknown values before the last known one leave open, and more than 2**20
are refused before any is walked to, where their number is known. A model that forgets, as tables
do, needs no limit: the walk joins what it has forgotten.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ancestral.autoregressive import costs, sampling
from ancestral.autoregressive.steps import Stepped, Walk
from ancestral.errors import ModelError

MAX_COMPLETIONS = 1 << 20
HELD = 1 << 16  # prefixes held at once: a walk over more goes on in two halves
ROWS_AT_ONCE = 1 << 13
NOTHING_TO_DRAW = "the given values have probability 0 under this model: nothing to draw."
ESTIMATE = (
    "Give more known values, fit LatentTree, which answers exactly for any number of columns, or "
    'pass method="smc" for an estimate.'
)


def ends_of_known(levels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return, for each row, the place after its last known variable; 0 where nothing is known."""
    d = levels.shape[1]
    known = levels >= 0
    return np.where(known.any(axis=1), d - known[:, ::-1].argmax(axis=1), 0)


def open_before(levels: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which values are unknown and come before a known one, shape (n, d)."""
    return (levels < 0) & (np.arange(levels.shape[1]) < ends_of_known(levels)[:, None])


def n_completions(model: Stepped, levels: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return log2 of the number of ways to fill what is unknown before the last known value."""
    bits = np.log2([len(known) for known in model.categories_])
    return np.asarray(open_before(levels) @ bits, np.float64)


def refuse_many(model: Stepped, levels: NDArray[np.intp], mend: str = ESTIMATE) -> None:
    """Raise ModelError, before any work, where a row can't be summed over exactly."""
    if model._forgets or not model._rules_nothing_out:
        return
    bits = n_completions(model, levels)
    wrong = np.flatnonzero(bits > math.log2(MAX_COMPLETIONS) + 1e-9)
    if len(wrong):
        raise too_many(int(open_before(levels)[wrong[0]].sum()), mend)


def too_many(n_unknown: int, mend: str = ESTIMATE) -> ModelError:
    return ModelError(
        f"{n_unknown} unknown variables leave more than {MAX_COMPLETIONS} possible completions of "
        f"the columns before the last known one. {mend}"
    )


def log_known(model: Stepped, levels: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return log p of what is known of each row, exactly; shape (n,)."""
    if levels.min(initial=0) >= 0:
        return model._log_density_levels(levels)
    split = open_before(levels).any(axis=1)  # else a beginning is known
    if not split.any():
        return model._log_density_levels(levels)
    result = np.empty(len(levels))
    result[split] = log_marginals(model, levels[split])
    result[~split] = model._log_density_levels(levels[~split])
    return result


def log_marginals(model: Stepped, levels: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return log p of the known part of each row, in nats; shape (n,).

    Parameters
    ----------
    model : Stepped
        Fitted.
    levels : ndarray of shape (n, d)
        Level codes, negative where unknown; some known in every row.

    Raises
    ------
    ModelError
        When a row leaves more than 2**20 prefixes to be summed over.
    """
    refuse_many(model, levels)
    parts = [levels[i : i + ROWS_AT_ONCE] for i in range(0, len(levels), ROWS_AT_ONCE)]
    return np.concatenate([np.zeros(0), *(_log_marginals(model, part) for part in parts)])


def _log_marginals(model: Stepped, levels: NDArray[np.intp]) -> NDArray[np.float64]:
    result, ends = np.full(len(levels), -np.inf), ends_of_known(levels)
    visited = np.zeros(len(levels), np.intp)  # prefixes, row by row
    waiting = [Walk(model, levels)]
    waiting[0].follow()
    while waiting:
        walk = waiting.pop()
        while True:
            done = ends[walk.owner] == walk.depth
            if done.any():
                add_to(result, walk.owner[done], walk.log_p[done])
                walk = walk.part(np.flatnonzero(~done))
            if not len(walk):
                break
            if len(walk) > HELD:  # each half adds to the same sums
                waiting.append(walk.part(slice(HELD // 2, None)))
                walk = walk.part(slice(0, HELD // 2))
            walk.branch(joined=True)
            if not (model._forgets or model._rules_nothing_out):  # else there are few, or counted
                visited += np.bincount(walk.owner, minlength=len(levels))
                if visited.max() > MAX_COMPLETIONS * levels.shape[1]:
                    raise too_many(int(open_before(levels)[visited.argmax()].sum()))
    return result


def add_to(
    result: NDArray[np.float64], owner: NDArray[np.intp], log_p: NDArray[np.float64]
) -> None:
    """Add probabilities to those of their rows, all as logarithms."""
    if not len(owner):
        return
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    rows = owner[first]
    top = np.maximum.reduceat(log_p, first)
    n_each = np.diff(np.append(first, len(owner)))
    sums = np.add.reduceat(np.exp(log_p - np.repeat(top, n_each)), first)
    result[rows] = np.logaddexp(result[rows], top + np.log(sums))


def completions(
    model: Stepped, levels: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return every possible completion of a partly known row, and its joint log probability.

    Parameters
    ----------
    model : Stepped
        Fitted.
    levels : ndarray of shape (d,)
        Level codes, negative where unknown.

    Returns
    -------
    rows : ndarray of shape (n_completions, d)
    log_probabilities : ndarray of shape (n_completions,)
        Of whole rows, in nats; all finite.

    Raises
    ------
    ModelError
        When more than 2**20 prefixes would have to be held at once: beforehand, where the model
        rules nothing out.
    """
    if model._rules_nothing_out:
        unknown = [len(model.categories_[i]) for i in np.flatnonzero(levels < 0)]
        if math.prod(unknown) > MAX_COMPLETIONS:
            raise too_many(len(unknown))
    walk = Walk(model, levels[None])
    walk.follow()
    while walk.depth < len(levels):
        walk.branch()
        if len(walk) > MAX_COMPLETIONS:
            raise too_many(int((levels < 0).sum()))
    return walk.rows(), walk.log_p


def sample_given(
    model: Stepped, levels: NDArray[np.intp], n_samples: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return draws from the exact conditional given the known levels, shape (n_samples, d)."""
    end = int(ends_of_known(levels[None])[0])
    alone = costs.draws_alone(n_samples)
    if alone and model._rules_nothing_out and levels[:end].min(initial=0) >= 0:
        rows = np.repeat(levels[None], n_samples, axis=0)
        if model._draw_on(rows, end, rng):  # what is given needs no walk: it is possible
            return rows
    refuse_many(model, levels[None])
    walk = Walk(model, levels[None])
    walk.follow()
    while len(walk) and walk.depth < end:
        walk.branch(joined=True)
        if not model._forgets and len(walk) > MAX_COMPLETIONS:
            raise too_many(int(open_before(levels[None]).sum()))
    if not len(walk):
        raise ModelError(NOTHING_TO_DRAW)
    if alone and walk.depth == end and len(walk) == 1:
        rows = np.repeat(levels[None], n_samples, axis=0)
        if model._draw_on(rows, end, rng):
            return rows
    rows, row_of = sampling.sample_on(walk, n_samples, rng)
    return rows[row_of]
