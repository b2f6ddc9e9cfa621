"""The most probable rows, with a certificate, written once against the walk over prefixes.

A prefix is at least as probable as any row that begins with it. So every row better than some
bound t begins with prefixes better than t, and there are fewer than exp(-t) of those at each
depth. A beam search finds k good rows; the log probability of its k-th is such a bound t; then all
prefixes better than t are walked, depth by depth, and nothing better can have been missed. These
are the prefixes that a best-first search would expand, taken in batches.

Of prefixes that are alike from here on (tables have forgotten them), none but the k best can begin
one of the k best rows: the others are set aside, however flat the distribution (Viterbi's rule).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral.autoregressive.steps import Stepped, Walk
from ancestral.errors import ModelError

MAX_PREFIXES = 1 << 20
BEAM = 64
FEW = 64  # completions of a row that are walked without a search
# Log probabilities of one row reached by two batches may differ by rounding: look a little below.
SLACK = 1e-9


def most_probable_levels(
    model: Stepped, k: int, known: NDArray[np.intp] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.float64], float]:
    """Return the k most probable rows of level codes, most probable first.

    Parameters
    ----------
    model : Stepped
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
    levels, log_p, dropped = _walk(model, known, k, width=width, above=-np.inf)
    if dropped > 0:  # the beam let go of something: walk again with the bound it proved
        bound = np.sort(log_p)[-k] if len(log_p) >= k else -np.inf
        levels, log_p, dropped = _walk(model, known, k, width=None, above=bound - SLACK)
    order = np.argsort(-np.round(log_p, 12), kind="stable")
    rest = dropped + float(np.exp(log_p[order[k:]]).sum())
    return levels[order[:k]], log_p[order[:k]], rest


def best_completions(model: Stepped, levels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return rows with their unknown values, negative, filled by the most probable completion.

    Rows that leave few completions are walked together. Those of probability 0 are left as they
    are.
    """
    filled = levels.copy()
    bits = (levels < 0) @ np.log2([len(known) for known in model.categories_])
    few = np.flatnonzero(bits <= np.log2(FEW) + 1e-9)
    for i in range(0, len(few), MAX_PREFIXES // FEW // 16):
        part = few[i : i + MAX_PREFIXES // FEW // 16]
        walk = Walk(model, levels[part])
        walk.follow()
        while walk.depth < model.n_features_in_:
            walk.branch()
        order = np.lexsort((-np.round(walk.log_p, 12), walk.owner))  # stable: the first of equals
        best = order[np.flatnonzero(np.diff(walk.owner[order], prepend=-1))]
        filled[part[walk.owner[best]]] = walk.rows(best)
    for j in np.setdiff1d(np.arange(len(levels)), few):
        found, _, _ = most_probable_levels(model, 1, known=levels[j])
        filled[j] = found[0] if len(found) else levels[j]
    return filled


def _walk(
    model: Stepped,
    known: NDArray[np.intp] | None,
    k: int,
    *,
    width: int | None,
    above: float,
) -> tuple[NDArray[np.intp], NDArray[np.float64], float]:
    """Extend prefixes depth by depth; keep those above a bound, and at most `width` of them.

    Returns the complete rows kept in lexicographic order, their log probabilities, and the
    probability of everything set aside.
    """
    walk, dropped = Walk(model, None if known is None else known[None]), 0.0
    walk.follow()
    bounded = width is not None or (model._forgets and k <= MAX_PREFIXES)
    while walk.depth < model.n_features_in_:
        joint = walk.joint(walk.conditionals())  # (prefixes, levels)
        keep = (joint > -np.inf) & (joint >= above)
        alike = model._forgotten(walk.state)
        if alike is not None and alike.sum() > 1:
            keep[alike] &= _among_best(np.where(keep[alike], joint[alike], -np.inf), k)
        if width is not None and keep.sum() > width:
            keep &= _among_best(np.where(keep, joint, -np.inf), width)
        dropped += float(np.exp(joint[~keep]).sum())
        parent, level = np.nonzero(keep)
        if len(parent) > MAX_PREFIXES and not bounded:
            raise ModelError(
                f"more than {MAX_PREFIXES} beginnings of rows are as probable as the rows asked "
                "for: the distribution is too flat to prove the list. Ask for fewer rows."
            )
        walk.grow(level, joint[keep], parent)
    return walk.rows(), walk.log_p, dropped


def _among_best(values: NDArray[np.float64], n: int) -> NDArray[np.bool_]:
    """Return which values are the n largest, the first of equals."""
    best = np.argsort(-np.round(values, 12), axis=None, kind="stable")[:n]
    kept = np.zeros(values.shape, bool)
    kept.flat[best] = True
    return kept
