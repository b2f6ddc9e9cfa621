"""Whether dyads determine the coefficients of terms, and which terms are to blame where not.

A direction d of (b, theta) along which every known dyad has the same value of d . (1, t) moves no
probability: a constant term, or terms that depend on each other. One along which every link lies
at a threshold or above, and every other known dyad at it or below, raises the likelihood for ever
(Albert & Anderson 1984, Biometrika 71). The first is found in the terms' second moments, the second
in steps of Newton's method that do not shrink; each is then told by counting dyads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import ModelError
from ancestral.graph.pairs.dyad_sums import DyadSums

Float = NDArray[np.float64]

DEPENDENT = 1e-11  # of a term's variance, that other terms leave
TINY = 1e-6  # of the spread of values, or of the largest part: none
SLACK = 1e-5  # of the range of values along a step, which is not the direction to all digits
PENALTY = "pass l2=1 for a penalised fit"


def refuse_empty(sums: DyadSums) -> None:
    """Raise ModelError where no dyad is known, or none is linked, or all are."""
    if sums.n_pairs == 0:
        raise ModelError(
            "no dyad is known: every pair of nodes is unknown, or there is none. Give a graph with "
            "two nodes or more, some of whose dyads were observed."
        )
    if not sums.l2 and sums.n_edges in (0, sums.n_pairs):
        seen, sign = ("no", "-") if sums.n_edges == 0 else ("every", "+")
        raise ModelError(
            f"{seen} known dyad is linked: b -> {sign}inf, so the likelihood has no finite "
            f"maximum. Give other graphs, or {PENALTY}."
        )


def refuse_dependent(sums: DyadSums, some: DyadSums, terms: Sequence[str]) -> bool:
    """Raise ModelError for terms that are constant, or that depend on each other.

    Parameters
    ----------
    sums : DyadSums
        Centred.
    some : DyadSums
        The same, or some of the dyads.
    terms : sequence of str

    Returns
    -------
    bool
        Whether the terms are independent over `some` of the dyads too.
    """
    G = some.moments()
    scale = np.sqrt(np.diag(G))
    scale[scale == 0] = 1.0
    R = G / np.outer(scale, scale)
    determined = True
    for k in range(1, len(R)):
        earlier = R[:k, :k]
        weights = np.linalg.lstsq(earlier, R[:k, k], rcond=1e-14)[0]
        left = R[k, k] - 2 * weights @ R[:k, k] + weights @ earlier @ weights
        if R[k, k] > 0 and left > DEPENDENT * R[k, k]:
            continue
        direction = np.zeros(len(R))
        direction[:k], direction[k] = -weights / scale[:k], 1.0 / scale[k]
        if _varies(sums, direction):
            determined = False
            continue
        parts = np.abs(weights[1:]) > TINY
        others = [name for name, is_part in zip(terms, parts) if is_part]
        if not others:
            raise ModelError(
                f"the term {terms[k - 1]!r} is the same for every known dyad: it can't be told "
                "from the intercept. Leave it out."
            )
        raise ModelError(
            f"the terms {_listed([*others, terms[k - 1]])} are linearly dependent over the known "
            "dyads: no data tell their coefficients apart. Leave one of them out."
        )
    return determined


def _varies(sums: DyadSums, direction: Float) -> bool:
    """Tell whether known dyads differ along a direction, of values of the order of 1 / root n."""
    mean, slack = sums.sum_along(direction) / sums.n_pairs, TINY / np.sqrt(sums.n_pairs)
    alike = sums.count_above(direction, mean - slack) - sums.count_above(direction, mean + slack)
    return abs(alike - sums.n_pairs) > 0.5


def refuse_separated(sums: DyadSums, step: Float, terms: Sequence[str]) -> None:
    """Raise ModelError where links lie on one side of a threshold along a step, naming its terms.

    Parameters
    ----------
    sums : DyadSums
        Centred.
    step : ndarray of shape (1 + n_terms,)
        Of Newton's method.
    terms : sequence of str
    """
    if sums.l2 or not _separates(sums, step):
        return
    direction = step.copy()
    sizes = np.abs(step[1:]) * _spreads(sums)
    for k in np.argsort(sizes):  # what separates without a term is told without it
        fewer = direction.copy()
        fewer[k + 1] = 0.0
        if fewer[1:].any() and _separates(sums, fewer):
            direction = fewer
    named = [(name, d) for name, d in zip(terms, direction[1:]) if d]
    ways = ", ".join(f"{name} -> {'+' if d > 0 else '-'}inf" for name, d in named)
    many = len(named) > 1
    raise ModelError(
        f"the links are separated from the other dyads by the term{'s' * many} "
        f"{_listed([name for name, _ in named])}: {ways}, so the likelihood has no finite maximum. "
        f"Leave {'one of them' if many else 'it'} out, give graphs in which links and other dyads "
        f"overlap in {'them' if many else 'it'}, or {PENALTY}."
    )


def _separates(sums: DyadSums, direction: Float) -> bool:
    """Tell whether all links lie at a threshold along a direction or above, and no other above."""
    low, high = sums.along(direction)
    if not high > low:
        return False
    threshold, _ = sums.along(direction, links=True)
    level = threshold + SLACK * (high - low)
    others = sums.count_above(direction, level) - sums.count_above(direction, level, links=True)
    return others < 0.5


def _spreads(sums: DyadSums) -> Float:
    """Return the range of each term over dyads."""
    width = len(sums.shift)
    ranges = [sums.along(np.eye(1 + width)[k + 1]) for k in range(width)]
    return np.array([high - low for low, high in ranges])


def _listed(names: Sequence[str]) -> str:
    """Return names, quoted, the last after "and"."""
    quoted = [repr(name) for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
