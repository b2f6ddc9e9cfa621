"""The most probable rows, with a certificate, written once against the step-state protocol.

A prefix is at least as probable as any row that begins with it. So every row better than some
bound t begins with prefixes better than t, and there are fewer than exp(-t) of those at each
depth. A beam search finds k good rows; the log probability of its k-th is such a bound t; then all
prefixes better than t are walked, depth by depth, and nothing better can have been missed. These
are the prefixes that a best-first search would expand, taken in batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import ModelError

if TYPE_CHECKING:
    from ancestral.autoregressive.sequential import Sequential

MAX_PREFIXES = 1 << 20
BEAM = 64
# Log probabilities of one row reached by two batches may differ by rounding: look a little below.
SLACK = 1e-9


def most_probable_levels(
    model: Sequential, k: int, known: NDArray[np.intp] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.float64], float]:
    """Return the k most probable rows of level codes, most probable first.

    Parameters
    ----------
    model : Sequential
        Fitted.
    k : int
        1 or more.
    known : ndarray of shape (d,), optional
        Level codes that the rows must have, negative where any will do.

    Returns
    -------
    levels : ndarray of shape (n_rows, d)
        Fewer than k where fewer rows are possible.
    log_probabilities : ndarray of shape (n_rows,)
        Nats, falling; ties in lexicographic order.
    rest : float
        Probability of all such rows not listed: summed over what was set aside, not 1 minus
        the others.

    Raises
    ------
    ModelError
        When more than 2**20 prefixes are as probable as the k-th row.
    """
    width = min(max(2 * k, BEAM), MAX_PREFIXES)
    levels, log_p, dropped = _walk(model, known, width=width, above=-np.inf)
    if dropped > 0:  # the beam let go of something: walk again with the bound it proved
        bound = np.sort(log_p)[-k] if len(log_p) >= k else -np.inf
        levels, log_p, dropped = _walk(model, known, width=None, above=bound - SLACK)
    order = np.argsort(-np.round(log_p, 12), kind="stable")
    rest = dropped + float(np.exp(log_p[order[k:]]).sum())
    return levels[order[:k]], log_p[order[:k]], rest


def _walk(
    model: Sequential, known: NDArray[np.intp] | None, *, width: int | None, above: float
) -> tuple[NDArray[np.intp], NDArray[np.float64], float]:
    """Extend prefixes depth by depth; keep those above a bound, and at most `width` of them.

    Returns the complete rows kept in lexicographic order, their log probabilities, and the
    probability of everything set aside.
    """
    columns: list[NDArray[np.intp]] = []
    total, dropped = np.zeros(1), 0.0
    state, previous = model.start(1), None
    for i in range(model.n_features_in_):
        state, log_p = model.step(state, previous)
        joint = total[:, None] + log_p  # (prefixes, levels)
        if known is not None and known[i] >= 0:
            joint[:, np.arange(joint.shape[1]) != known[i]] = -np.inf
        keep = (joint > -np.inf) & (joint >= above)
        if width is not None and keep.sum() > width:
            best = np.argsort(-joint, axis=None, kind="stable")[:width]
            keep = np.zeros_like(keep)
            keep.flat[best] = True
        dropped += float(np.exp(joint[~keep]).sum())
        parent, previous = np.nonzero(keep)
        if width is None and len(parent) > MAX_PREFIXES:
            raise ModelError(
                f"more than {MAX_PREFIXES} beginnings are as probable as the rows asked for: the "
                "distribution is too flat for a certified list. Ask for fewer rows."
            )
        total = joint[keep]
        state = model.take(state, parent)
        columns = [column[parent] for column in columns] + [previous]
    return np.stack(columns, axis=1), total, dropped
