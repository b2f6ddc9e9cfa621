"""Positions without a finite maximum: nodes that may move away for ever, and likelihood with them.

Given all other positions, node i sees a logistic regression without intercept: its links are told
from its other pairs by x_i . x_j. A direction u with

    u . x_j >= 0 for every linked j,   u . x_j <= 0 for every other,   not all of them 0

lets x_i + t u raise the likelihood for ever (Albert & Anderson 1984, Biometrika 71). Whether there
is one is a linear programme in as many unknowns as positions have dimensions. A likelihood above
-log 2 has every p_ij on its right side of 1/2, and then 2 eta is better than eta. Or one node runs
away from all others while they shrink to nothing, its products with them staying as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from ancestral.errors import ModelError
from ancestral.graph.latent.likelihood import Places, PositionLikelihood
from ancestral.graph.terms import Term

Float = NDArray[np.float64]

FAR = 10.0  # length beyond which logits reach 100 and p is 0 or 1 to 40 digits: no finite maximum
SUSPECTS = 20  # nodes farthest out that are looked at: one that moves away for ever is among them


def refuse_empty_or_complete(likelihood: PositionLikelihood) -> None:
    """Raise ModelError when no pair is linked, or every pair."""
    if likelihood.n_edges in (0, likelihood.n_pairs):
        seen, sign = ("no pair", "-") if likelihood.n_edges == 0 else ("every pair", "+")
        raise ModelError(
            f"{seen} of nodes is linked: b -> {sign}inf, so the likelihood has no finite maximum. "
            "Give other graphs, or pass l2=1 for a penalised fit."
        )


def refuse_sums(terms: Sequence[Term]) -> None:
    """Raise ModelError for a term that node effects, which are not penalised, can replace."""
    summed = next((term.text for term in terms if term.kind == "sum"), None)
    if summed is not None:
        raise ModelError(
            f"the term {summed!r} adds a number of each node, and so do node effects: no data "
            "tell them apart. Leave the term out, pass node_effect=False, or pass l2=1, which "
            "holds the effects near 0."
        )


def refuse_unbounded(likelihood: PositionLikelihood, at: Places, reached: float) -> None:
    """Raise ModelError when the likelihood rises for ever from where a fit has come to.

    Parameters
    ----------
    likelihood : PositionLikelihood
        Without a penalty.
    at : Places
    reached : float
        Log-likelihood in nats.
    """
    mend = (
        "so the likelihood has no finite maximum. Pass l2=1 (a normal prior on the positions), "
        "or lower n_components."
    )
    if reached > -np.log(2):
        raise ModelError(f"the positions predict every link exactly: they grow without end, {mend}")
    X = at.X
    leaving = separated_nodes(
        X,
        likelihood.links,
        likelihood.n_graphs,
        unknown=likelihood.unknown,
        with_effects=at.effects is not None,
    )
    if leaving:
        i = min(leaving, key=lambda node: likelihood.spread[node])  # the plainest case: no links
        links = round(float(likelihood.links[[i]].sum()))
        others = f" (and {len(leaving) - 1} others at least)" if len(leaving) > 1 else ""
        raise ModelError(
            f"node {i}, with {links} link{'s' * (links != 1)}, can move away from the others for "
            f"ever{others}: its links are separated from its other pairs, {mend}"
        )
    if longest(X) > FAR:
        i = int((X * X).sum(axis=1).argmax())
        raise ModelError(
            f"the position of node {i} has grown to a length of {longest(X):.3g}, with "
            f"probabilities of 0 or 1 to all digits, and still grows, {mend}"
        )


def longest(X: Float) -> float:
    """Return the length of the longest row."""
    return float(np.sqrt((X * X).sum(axis=1).max()))


def refuse_far_terms(likelihood: PositionLikelihood, coef: Float, terms: Sequence[str]) -> None:
    """Raise ModelError where a coefficient has grown until its term alone decides on links."""
    if likelihood.terms is None:
        return
    typical = np.sqrt(likelihood.term_spread / max(1, likelihood.n_pairs)) * np.abs(coef)
    if typical.max() > FAR * FAR / 4:
        k = int(typical.argmax())
        raise ModelError(
            f"the coefficient of {terms[k]!r} grows without end: together with the positions it "
            "predicts every link exactly, so the likelihood has no finite maximum. Leave the term "
            "out, or fit "
            "DyadicGraph with l2=1."
        )


def separated_nodes(
    X: Float,
    links: sparse.csr_array,
    n_graphs: int,
    *,
    unknown: sparse.csr_array | None = None,
    with_effects: bool = False,
) -> list[int]:
    """Return nodes that may move away without end, among those farthest out.

    Parameters
    ----------
    X : ndarray of shape (n_nodes, n_components)
        Where a fit has come to.
    links : scipy.sparse.csr_array of shape (n_nodes, n_nodes)
        Sum of the adjacencies of `n_graphs` graphs.
    n_graphs : int
    unknown : scipy.sparse.csr_array of the same shape, optional
        In how many graphs a pair is unknown.
    with_effects : bool
        Nodes have an effect, which moves all their logits at once.
    """
    farthest = np.argsort(-(X * X).sum(axis=1), kind="stable")[:SUSPECTS]
    if with_effects:  # nodes of all or no links first
        degrees = np.asarray(links.sum(axis=1)).ravel()
        odd = np.flatnonzero((degrees == 0) | (degrees == n_graphs * (len(X) - 1)))
        farthest = np.unique(np.concatenate([odd[:SUSPECTS], farthest]))
        X = np.column_stack([X, np.ones(len(X))])
    return [int(i) for i in farthest if _may_leave(int(i), X, links, n_graphs, unknown)]


def _may_leave(
    i: int, X: Float, links: sparse.csr_array, n_graphs: int, unknown: sparse.csr_array | None
) -> bool:
    """Tell whether the links of node i are separated from its others, given other positions."""
    known = np.full(len(X), float(n_graphs))
    if unknown is not None:
        known -= unknown[[i]].toarray()[0]
    others = (np.arange(len(X)) != i) & (known > 0)
    linked = links[[i]].toarray()[0][others] / known[others]  # the share of graphs
    divided = (linked > 0) & (linked < 1)  # u must be at right angles to these
    ahead = X[others] * np.where(linked == 1, 1.0, -1.0)[:, None]
    found = linprog(
        -ahead[~divided].sum(axis=0),
        A_ub=-ahead[~divided],
        b_ub=np.zeros(int((~divided).sum())),
        A_eq=ahead[divided] if divided.any() else None,
        b_eq=np.zeros(int(divided.sum())) if divided.any() else None,
        bounds=(-1.0, 1.0),
    )
    return bool(found.status == 0 and -found.fun > 1e-3 * np.abs(X).sum())
