"""Ancestral sampling, written once against the walk over prefixes.

Two ways, both exact. *Count splitting*: hold the distinct prefixes drawn so far with how many of
the N rows share each; at every variable one multinomial per prefix says how many of its rows take
each level, and prefixes that nobody took are dropped. The cost grows with the number of distinct
prefixes instead of N. *Batched stepping*: hold one state per row and draw each row's next level.

Every draw begins by splitting counts. Once the distinct prefixes are a large share of the rows
still to be told apart, a multinomial for each costs more than a uniform number for each row, and
rows are stepped from there on. A model that can list its few possible rows splits the whole count
among them at once. Draws given known values begin from the prefixes that conditioning found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral.autoregressive import costs
from ancestral.autoregressive.steps import Stepped, Walk


def sample_level_counts(
    model: Stepped, n_samples: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return the distinct rows of `n_samples` independent draws and how often each came.

    Parameters
    ----------
    model : Stepped
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
    if (listed := model._listed()) is not None:
        return _split_listed(*listed, n_samples, rng)
    walk, counts = Walk(model), np.array([n_samples])
    while walk.depth < model.n_features_in_:
        counts = _split_on(walk, walk.conditionals(), counts, rng)
    return walk.rows(), counts


def sample_levels(
    model: Stepped, n_samples: int, rng: np.random.Generator
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
    if n_samples and (listed := model._listed()) is not None:
        if costs.draws_by_search(n_samples, len(listed[1])):
            return listed[0], _draw_listed(listed[1], n_samples, rng)
        levels, counts = _split_listed(*listed, n_samples, rng)
        return levels, _shuffled(counts, rng)
    if costs.draws_alone(n_samples):
        rows = np.empty((n_samples, model.n_features_in_), np.intp)
        if model._draw_on(rows, 0, rng):
            return rows, np.arange(n_samples)
    return sample_on(Walk(model), n_samples, rng)


def sample_on(
    walk: Walk, n_samples: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw rows that go on from a walk's prefixes, each in proportion to its weight.

    Returns `levels` and `row_of`, as `sample_levels`.
    """
    d = walk.model.n_features_in_
    if n_samples == 0:
        return np.zeros((0, d), np.intp), np.zeros(0, np.intp)
    counts = np.array([n_samples])
    if len(walk) > 1:
        p = np.exp(walk.log_p - walk.log_p.max())[None]
        counts = _split(counts, p, rng)[0]
        drawn = np.flatnonzero(counts)
        walk.keep(drawn)
        counts = counts[drawn]
    while walk.depth < d:
        log_p = walk.conditionals()
        if walk.depth and len(counts) > costs.CROWDED * n_samples:
            return _stepped(walk, log_p, _shuffled(counts, rng), rng), np.arange(n_samples)
        counts = _split_on(walk, log_p, counts, rng)
    row_of = _shuffled(counts, rng)
    if walk.has_joined:  # rows that share an end may differ before
        return walk.rows(row_of, rng), np.arange(n_samples)
    return walk.rows(), row_of


def finished(walk: Walk, index: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return one whole row for each prefix named, what is not yet walked drawn forwards."""
    if walk.depth == walk.model.n_features_in_:
        return walk.rows(index, rng)
    return _stepped(walk, walk.conditionals(), index, rng)


def _stepped(
    walk: Walk, log_p: NDArray[np.float64], row_of: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return one row for each prefix named, drawn level by level from the next conditional on."""
    model, first = walk.model, walk.depth
    rows = np.empty((len(row_of), model.n_features_in_), np.intp)
    rows[:, :first] = walk.rows(row_of, rng) if walk.has_joined else walk.rows()[row_of]
    if model._draw_on(rows, first, rng):
        return rows
    state, log_p = model.take(walk.state, row_of), log_p[row_of]
    for i in range(first, rows.shape[1]):
        if i > first:
            state, log_p = model.step(state, rows[:, i - 1])
        rows[:, i] = _draw_levels(log_p, rng)
    return rows


def _split_on(
    walk: Walk, log_p: NDArray[np.float64], counts: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Grow a walk to the levels that some of each prefix's count take; return the new counts."""
    split = _split(counts, np.exp(log_p), rng)  # (prefixes, K)
    parent, level = np.nonzero(split)
    walk.grow(level, None, parent)
    return split[parent, level]


def _split_listed(
    rows: NDArray[np.intp], p: NDArray[np.float64], n_samples: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return which of the listed rows were drawn, and how often each."""
    counts = _split(np.array([n_samples]), p[None], rng)[0]
    drawn = np.flatnonzero(counts)
    return rows[drawn], counts[drawn]


def _draw_listed(
    p: NDArray[np.float64], n_samples: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return which of the listed rows each of a few draws is."""
    ends = np.cumsum(p)
    ends /= ends[-1]  # the last is one exactly, and a uniform number is below it
    return np.searchsorted(ends, rng.random(n_samples), side="right")


def _shuffled(counts: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return each number as often as it was counted, in random order."""
    row_of = np.repeat(np.arange(len(counts)), counts)
    rng.shuffle(row_of)
    return row_of


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
