"""Ancestral sampling, written once against the step-state protocol.

Two ways, both exact. *Count splitting*: hold the distinct prefixes drawn so far with how many of
the N rows share each; at every variable one multinomial per prefix says how many of its rows take
each level, and prefixes that nobody took are dropped. The cost grows with the number of distinct
prefixes instead of N. *Batched stepping*: hold one state per row and draw each row's next level.

Every draw begins by splitting counts. Once the distinct prefixes are a large share of the rows
still to be told apart, a multinomial for each costs more than a uniform number for each row, and
rows are stepped from there on. A model that can list its few possible rows splits the whole count
among them at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ancestral.autoregressive.sequential import Sequential

CROWDED = 0.5  # distinct prefixes per row above which rows are stepped one by one


def sample_level_counts(
    model: Sequential, n_samples: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return the distinct rows of `n_samples` independent draws and how often each came.

    Parameters
    ----------
    model : Sequential
        Fitted.
    n_samples : int
    rng : numpy.random.Generator

    Returns
    -------
    levels : ndarray of shape (n_distinct, d)
        Level codes in lexicographic order.
    counts : ndarray of shape (n_distinct,)
        Sum to `n_samples`.
    """
    if n_samples == 0:
        return np.zeros((0, model.n_features_in_), np.intp), np.zeros(0, np.int64)
    levels, counts, *_ = _split_counts(model, n_samples, rng, until=np.inf)
    return levels, counts


def sample_levels(
    model: Sequential, n_samples: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw `n_samples` independent rows.

    Returns
    -------
    levels : ndarray of shape (n_listed, d)
        Level codes; distinct rows where counts were split to the end.
    row_of : ndarray of shape (n_samples,)
        Which of them each draw is. Taking rows by a shuffled index is many times cheaper than
        shuffling rows.
    """
    if n_samples == 0:
        return np.zeros((0, model.n_features_in_), np.intp), np.zeros(0, np.intp)
    levels, counts, state, log_p = _split_counts(model, n_samples, rng, until=CROWDED * n_samples)
    row_of = np.repeat(np.arange(len(counts)), counts)
    rng.shuffle(row_of)
    if log_p is None:
        return levels, row_of
    rows = np.empty((n_samples, model.n_features_in_), np.intp)
    first = levels.shape[1]
    rows[:, :first] = levels[row_of]
    state, log_p = model.take(state, row_of), log_p[row_of]
    for i in range(first, rows.shape[1]):
        if i > first:
            state, log_p = model.step(state, rows[:, i - 1])
        rows[:, i] = _draw_levels(log_p, rng)
    return rows, np.arange(n_samples)


def _split_counts(
    model: Sequential, n_samples: int, rng: np.random.Generator, until: float
) -> tuple[NDArray[np.intp], NDArray[np.int64], Any, NDArray[np.float64] | None]:
    """Split counts to the last variable, or until there are more than `until` prefixes.

    Returns the prefixes, their counts, their state, and the conditional that comes next (None
    where all variables are drawn).
    """
    listed = model._listed()
    if listed is not None:
        rows, p = listed
        split = _split(np.array([n_samples]), p[None], rng)[0]
        drawn = np.flatnonzero(split)
        return rows[drawn], split[drawn], None, None
    columns: list[NDArray[np.intp]] = []
    counts = np.array([n_samples])
    state, previous = model.start(1), None
    for i in range(model.n_features_in_):
        state, log_p = model.step(state, previous)
        if i > 0 and len(counts) > until:
            return np.stack(columns, axis=1), counts, state, log_p
        split = _split(counts, np.exp(log_p), rng)  # (prefixes, K)
        parent, previous = np.nonzero(split)
        counts = split[parent, previous]
        state = model.take(state, parent)
        columns = [column[parent] for column in columns] + [previous]
    return np.stack(columns, axis=1), counts, state, None


def _split(
    counts: NDArray[np.int64], p: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return how many of each row's count take each level, shape (n, K)."""
    # The last cell of a multinomial takes what rounding leaves of the sum of the others: that must
    # be the likeliest level, never an impossible one.
    rising = np.argsort(p, axis=1)
    ordered = np.take_along_axis(p, rising, axis=1)
    split = np.empty(p.shape, np.int64)
    drawn = rng.multinomial(counts, ordered / ordered.sum(axis=1, keepdims=True))
    np.put_along_axis(split, rising, drawn, axis=1)
    return split


def _draw_levels(log_p: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return one level for each row of log probabilities, never an impossible one."""
    cumulative = np.cumsum(np.exp(log_p), axis=1)
    cumulative /= cumulative[:, -1:]  # the last is one exactly, and a uniform number is below it
    u = rng.random(len(log_p))[:, None]
    return (u >= cumulative).sum(axis=1)
