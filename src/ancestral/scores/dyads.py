"""How well does a graph model tell links from absent ones, in dyads that its fit did not see?

AUC         the share of (link, absent link) pairs in which the link is held more probable
log score   mean log p(e_ij) over the hidden dyads, in nats
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ancestral.base import GraphDensity
from ancestral.errors import DataError, ModelError
from ancestral.graph.edge_predictions import DyadScores, PredictsEdges, states
from ancestral.graph.graphs import Graph

__all__ = ["hidden_dyads"]


def hidden_dyads(model: Any, graph: Any, hidden: Any) -> Any:
    """Score a graph model on dyads that were hidden from its fit.

    Parameters
    ----------
    model : fitted graph model
        Fitted to `graph.with_unknown(hidden)`, or to other graphs.
    graph : Graph
        The graph in which these dyads are known.
    hidden : Graph, or sequence of pairs of nodes
        The hidden dyads: a Graph in which they are unknown, or pairs of nodes by name or number. Of
        a Graph, only dyads that are known in `graph` are scored.

    Returns
    -------
    DyadScores
        With `auc`, `log_score` (mean log probability, in nats per dyad), `gain` (`log_score` minus
        that of a model that gives each dyad the share of links), `brier` (mean squared error of the
        probabilities), `n_dyads` and `n_links`.

    Raises
    ------
    DataError
        When no dyad is hidden, or a hidden dyad is unknown in `graph` too, or the nodes differ.
    ModelError
        For a model that is not a model of graphs, or gives no probabilities of single pairs.

    Examples
    --------
    >>> from ancestral import InnerProductGraph, datasets
    >>> graph, *others = datasets.classrooms(30, random_state=0)
    >>> scores = hidden_dyads(InnerProductGraph().fit(others), graph, [(0, 1), (0, 2), (3, 4)])
    >>> scores.n_dyads
    3
    """
    if not isinstance(model, PredictsEdges):
        kind = type(model).__name__
        if isinstance(model, GraphDensity):
            raise ModelError(
                f"{kind} is a graph model that gives no probabilities of single pairs. Add "
                "ancestral.graph.edge_predictions.PredictsEdges to its bases, before GraphDensity, "
                "and write _one_graph(graph) and _pair_probabilities(graph, i, j)."
            )
        raise ModelError(
            f"model must be a graph model, such as a fitted DyadicGraph; {kind} has no dyads."
        )
    model._check_fitted()  # type: ignore[attr-defined]
    one = model._one_graph(graph)
    if isinstance(hidden, Graph):
        if (hidden.n_nodes, hidden.directed) != (one.n_nodes, one.directed) or (
            hidden.node_names and one.node_names and hidden.node_names != one.node_names
        ):
            raise DataError("hidden is a graph of other nodes: give the graph of the fit.")
        i, j = hidden.unknown_dyads()
        known = ~np.isnan(states(one, i, j))  # a survey has gaps of its own, which no one can judge
        if known.any():
            i, j = i[known], j[known]
    else:
        i, j = one.ends_of_dyads(hidden)
    if not len(i):
        raise DataError(
            "no dyad is hidden: name some dyads, or give the graph in which they are NaN."
        )
    linked = states(one, i, j)
    if np.isnan(linked).any():
        k = int(np.argmax(np.isnan(linked)))
        raise DataError(
            f"the dyad of nodes {i[k]} and {j[k]} is unknown in graph too: give the graph in which "
            "it is known, or leave it out of hidden."
        )
    return DyadScores.of(model._pair_probabilities(one, i, j), linked)
