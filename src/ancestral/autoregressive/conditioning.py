"""Exact conditioning by enumeration, written once against the step-state protocol.

Given some values of a row, every completion that the model allows is walked to, prefix by prefix,
dropping those of probability zero. Their probabilities sum to the marginal of what is known, and
divided by it they are the exact conditional distribution, later variables included. (Filling
unknown values in order, each given only the earlier ones, is not conditioning.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ancestral._validation import log_sum_exp
from ancestral.errors import ModelError

if TYPE_CHECKING:
    from ancestral.autoregressive.sequential import Sequential

MAX_COMPLETIONS = 1 << 20


def completions(
    model: Sequential, levels: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return every possible completion of a partly known row, and its joint log probability.

    Parameters
    ----------
    model : Sequential
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
        unknown = (len(model.categories_[i]) for i in np.flatnonzero(levels < 0))
        _refuse_many(math.prod(unknown), levels)
    columns: list[NDArray[np.intp]] = []
    total = np.zeros(1)
    state, previous = model.start(1), None
    for known in levels:
        state, log_p = model.step(state, previous)
        joint = total[:, None] + log_p  # (prefixes, K)
        if known >= 0:
            joint[:, np.arange(joint.shape[1]) != known] = -np.inf
        parent, previous = np.nonzero(joint > -np.inf)
        _refuse_many(len(parent), levels)
        total = joint[parent, previous]
        state = model.take(state, parent)
        columns = [column[parent] for column in columns] + [previous]
    return np.stack(columns, axis=1), total


def _refuse_many(n_completions: int, levels: NDArray[np.intp]) -> None:
    """Raise ModelError when there are too many completions to hold."""
    if n_completions > MAX_COMPLETIONS:
        raise ModelError(
            f"{int((levels < 0).sum())} unknown variables leave more than {MAX_COMPLETIONS} "
            'possible completions. Give more of the row, or take an estimate: method="smc".'
        )


def log_marginals(model: Sequential, levels: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return log p of the known part of each row, in nats; shape (n,)."""
    result = np.empty(len(levels))
    for i, row in enumerate(levels):
        _, log_p = completions(model, row)
        result[i] = log_sum_exp(log_p) if len(log_p) else -np.inf
    return result


def sample_given(
    model: Sequential, levels: NDArray[np.intp], n_samples: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return draws from the exact conditional given the known levels, shape (n_samples, d)."""
    rows, log_p = completions(model, levels)
    if not len(rows):
        raise ModelError("the given values have probability 0 under this model: nothing to draw.")
    p = np.exp(log_p - log_p.max())
    return rows[rng.choice(len(rows), size=n_samples, p=p / p.sum())]
