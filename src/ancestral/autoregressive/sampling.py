"""Ancestral sampling by count splitting, written once against the step-state protocol.

To draw N rows, hold the distinct prefixes drawn so far with how many of the N rows share each.
At every variable one multinomial per prefix says how many of its rows take each level; prefixes
that nobody took are dropped. The draws are exactly those of N independent walks, counted; the
cost grows with the number of distinct prefixes instead of N.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ancestral.autoregressive.sequential import Sequential


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
    d = model.n_features_in_
    if n_samples == 0:
        return np.zeros((0, d), np.intp), np.zeros(0, np.int64)
    columns: list[NDArray[np.intp]] = []
    counts = np.array([n_samples])
    state, previous = model.start(1), None
    for _ in range(d):
        state, log_p = model.step(state, previous)
        split = _split(counts, np.exp(log_p), rng)  # (prefixes, K)
        parent, previous = np.nonzero(split)
        counts = split[parent, previous]
        state = model.take(state, parent)
        columns = [column[parent] for column in columns] + [previous]
    return np.stack(columns, axis=1), counts


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


def sample_levels(model: Sequential, n_samples: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return `n_samples` independent rows of level codes, shape (n_samples, d)."""
    levels, counts = sample_level_counts(model, n_samples, rng)
    # Shuffling an index is many times cheaper than shuffling rows.
    return levels[rng.permutation(np.repeat(np.arange(len(levels)), counts))]
