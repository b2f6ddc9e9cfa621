"""What is unknown of many rows, given what is known of each: marginals and draws, exactly.

    p(x_j = k | known) = sum over completions with x_j = k of p(known, completion) / p(known)

One walk over prefixes, the known values fixed, grows to every completion; their probabilities,
passed back along the trail by which they came, give the marginal of every variable at once. This is
the forward-backward algorithm of a hidden Markov model, of which a walk is the forward pass. Draws
go to the last known variable alone: what follows is drawn forwards.

Completions are as many as the unknown values leave open, and more than 2**20 for a row are refused
before any is walked to, where their number is known. A model that forgets, as tables do, needs no
limit: the walk joins what it has forgotten.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ancestral.autoregressive import conditioning, sampling
from ancestral.autoregressive.conditioning import HELD, MAX_COMPLETIONS, ROWS_AT_ONCE
from ancestral.autoregressive.steps import Stepped, Walk, ends_of_shares
from ancestral.errors import ModelError

DRAWN_AT_ONCE = 1 << 17


def refuse_many(model: Stepped, levels: NDArray[np.intp]) -> None:
    """Raise ModelError, before any work, where a row has too many completions."""
    if model._forgets or not model._rules_nothing_out:
        return
    bits = (levels < 0) @ np.log2([len(known) for known in model.categories_])
    wrong = np.flatnonzero(bits > math.log2(MAX_COMPLETIONS) + 1e-9)
    if len(wrong):
        raise _too_many(int((levels[wrong[0]] < 0).sum()))


def _too_many(n_unknown: int) -> ModelError:
    return ModelError(
        f"{n_unknown} unknown variables leave more than {MAX_COMPLETIONS} possible completions of "
        f"a row, and its marginals are sums over them. {conditioning.ESTIMATE}"
    )


def impossible(row: int) -> ModelError:
    """Word the error for known values of probability 0."""
    return ModelError(
        f"the known values of row {row} have probability 0 under this model: "
        "no completion is possible."
    )


def marginals(model: Stepped, levels: NDArray[np.intp]) -> list[NDArray[np.float64]]:
    """Return p(level | known values of the row) of each variable, the i-th of shape (n, K_i).

    Parameters
    ----------
    model : Stepped
        Fitted.
    levels : ndarray of shape (n, d)
        Level codes, negative where unknown.

    Raises
    ------
    ModelError
        When the known values of a row have probability 0, or a row has too many completions.
    """
    found = degenerate(model, levels)
    gaps = np.flatnonzero((levels < 0).any(axis=1))
    refuse_many(model, levels[gaps])
    for i in range(0, len(gaps), ROWS_AT_ONCE):
        rows = gaps[i : i + ROWS_AT_ONCE]
        for j, p in enumerate(_sums(model, levels[rows], rows)):
            unknown = levels[rows, j] < 0
            found[j][rows[unknown]] = p[unknown]
    return found


def degenerate(model: Stepped, levels: NDArray[np.intp]) -> list[NDArray[np.float64]]:
    """Return 1 at each row's own level and 0 elsewhere, the i-th of shape (n, K_i)."""
    found = [np.zeros((len(levels), len(known))) for known in model.categories_]
    for p, level in zip(found, levels.T):
        known = np.flatnonzero(level >= 0)
        p[known, level[known]] = 1.0
    return found


def _sums(
    model: Stepped, levels: NDArray[np.intp], rows: NDArray[np.intp]
) -> list[NDArray[np.float64]]:
    """Return the marginals of rows that stand at `rows` among the caller's."""
    n, d = levels.shape
    sums = [np.zeros((n, len(known))) for known in model.categories_]
    top, visited = np.full(n, -np.inf), np.zeros(n, np.intp)
    waiting = [Walk(model, levels)]
    while waiting:
        walk = waiting.pop()
        while len(walk) and walk.depth < d:
            if len(walk) > HELD:  # each half adds to the same sums
                waiting.append(walk.traced_part(slice(HELD // 2, None)))
                walk = walk.traced_part(slice(0, HELD // 2))
            walk.branch(joined=True)
            if not (model._forgets or model._rules_nothing_out):  # else there are few, or counted
                visited += np.bincount(walk.owner, minlength=n)
                if visited.max() > MAX_COMPLETIONS * d:
                    raise _too_many(int((levels[visited.argmax()] < 0).sum()))
        if not len(walk):
            continue
        highest = top.copy()
        np.maximum.at(highest, walk.owner, walk.log_p)
        started, reached = ~np.isneginf(top), np.where(np.isneginf(highest), 0.0, highest)
        fade = np.exp(np.where(started, top, reached) - reached)
        top = highest
        parts = walk.sums_by_level(np.exp(walk.log_p - top[walk.owner]), [s.shape for s in sums])
        sums = [fade[:, None] * one + part for one, part in zip(sums, parts, strict=True)]
    if np.isneginf(top).any():
        raise impossible(int(rows[np.argmin(top)]))
    return [one / one.sum(axis=1, keepdims=True) for one in sums]


def draws(
    model: Stepped, levels: NDArray[np.intp], n_draws: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return draws of the unknown values given the known ones, shape (n_draws, n, d).

    Raises
    ------
    ModelError
        When the known values of a row have probability 0, or a row leaves too many completions of
        what comes before its last known value.
    """
    completed = np.repeat(levels[None], n_draws, axis=0)
    gaps = np.flatnonzero((levels < 0).any(axis=1))
    conditioning.refuse_many(model, levels[gaps])
    if not n_draws:
        return completed
    ends = conditioning.ends_of_known(levels)
    at_once = max(1, min(ROWS_AT_ONCE, DRAWN_AT_ONCE // n_draws))
    for end in np.unique(ends[gaps]):
        group = gaps[ends[gaps] == end]
        waiting = [group[i : i + at_once] for i in range(0, len(group), at_once)][::-1]
        while waiting:
            rows = waiting.pop()
            walk = _walked(model, levels[rows], int(end))
            if walk is None:  # too wide to be held at once
                half = len(rows) // 2
                waiting += [rows[half:], rows[:half]]
                continue
            absent = np.setdiff1d(np.arange(len(rows)), walk.owner)
            if len(absent):
                raise impossible(int(rows[absent[0]]))
            index = _chosen(walk, len(rows), n_draws, rng)
            completed[:, rows] = sampling.finished(walk, index, rng).reshape(n_draws, len(rows), -1)
    return completed


def _walked(model: Stepped, levels: NDArray[np.intp], end: int) -> Walk | None:
    """Return a walk to the last known variable; None where several rows are too wide together."""
    walk = Walk(model, levels)
    while walk.depth < end and len(walk):
        if len(levels) > 1 and len(walk) > HELD:
            return None
        walk.branch(joined=True)
        if not model._forgets and len(walk) > MAX_COMPLETIONS and len(levels) == 1:
            raise conditioning.too_many(int(conditioning.open_before(levels).sum()))
    return walk


def _chosen(walk: Walk, n: int, n_draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return which prefix each draw goes on from, those of one draw together: (n_draws * n,)."""
    first = np.flatnonzero(np.diff(walk.owner, prepend=-1))
    weights = np.exp(walk.log_p - np.maximum.reduceat(walk.log_p, first)[walk.owner])
    shares = weights / np.add.reduceat(weights, first)[walk.owner]
    own = np.tile(np.arange(n, dtype=np.float64), n_draws)
    at = np.minimum(own + rng.random(len(own)), np.nextafter(own + 1.0, 0.0))
    return np.searchsorted(ends_of_shares(shares, walk.owner), at, side="right")
