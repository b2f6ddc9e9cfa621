"""How well probabilities foretell links: calibration against s, and scores of held-out graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata

from ancestral._checks.numbers import check_integer
from ancestral._printed import Printed, Table, one_table
from ancestral.errors import ModelError
from ancestral.graph.dyadic import DyadicGraph
from ancestral.graph.graphs import Graph
from ancestral.graph.inner_product import InnerProductGraph
from ancestral.graph.pairs.dyad_sums import dyad_sums
from ancestral.graph.pairs.gather import gather
from ancestral.graph.pairs.passes import products
from ancestral.graph.pairs.sums import KEPT_PAIRS

Float = NDArray[np.float64]

# Up to here pairs are visited where their distribution is asked for: Chebyshev points have the same
# sums of smooth functions, but not the same numbers of pairs between two values of s.
VISITED_PAIRS = 200_000_000
KEPT_VISITS = 4_000_000  # logits of dyads that are kept one by one
LOGIT_CELLS = 100_000  # between the least and the largest, beyond that
DIGITS = 12  # of a logit, so that dyads alike in all terms tie


@dataclass(frozen=True, repr=False)
class Calibration(Printed):
    """How often pairs of like s are linked, beside what the model says.

    Parameters
    ----------
    s, predicted, observed : ndarray of shape (n_bins,)
        Mean s, mean p, and share of linked pairs in each bin; bins hold like numbers of expected
        edges.
    standard_errors : ndarray of shape (n_bins,)
        Of `observed`, were the model right.
    n_pairs : ndarray of shape (n_bins,)
    of : str
        What s is: "inner product", or the "logit" of a DyadicGraph.
    """

    s: Float
    predicted: Float
    observed: Float
    standard_errors: Float
    n_pairs: Float
    of: str = "inner product"

    def _table(self) -> Table:
        columns = {
            "s": self.s,
            "predicted": self.predicted,
            "observed": self.observed,
            "std. error": self.standard_errors,
            "pairs": self.n_pairs,
        }
        return one_table(columns, f"share of linked pairs, by s, the {self.of}")


GraphModel = InnerProductGraph | DyadicGraph


def refuse_other_models(model: Any, function: str) -> None:
    """Raise ModelError for a model whose links are not given by attributes of nodes."""
    if not isinstance(model, GraphModel):
        raise ModelError(
            f"{function} takes a fitted InnerProductGraph or DyadicGraph; got a "
            f"{type(model).__name__}. Fit one of these, to attributes of the nodes."
        )


def calibrate(model: GraphModel, graphs: Any, *, n_bins: int = 15) -> Calibration:
    """Return how often pairs with similar predictors s are linked, beside the model's probability.

    Parameters
    ----------
    model : InnerProductGraph or DyadicGraph
        Fitted. Of a DyadicGraph s is the logit.
    graphs : list of Graph, or of (features, adjacency) tuples, or one of either
    n_bins : int

    Returns
    -------
    Calibration

    Raises
    ------
    ModelError
        For another model, or when no graph has a pair of nodes.

    Examples
    --------
    >>> from ancestral import InnerProductGraph, datasets
    >>> graphs = datasets.classrooms(20)
    >>> len(calibrate(InnerProductGraph().fit(graphs), graphs, n_bins=5).to_frame())
    5
    """
    refuse_other_models(model, "calibrate")
    model._check_fitted()
    checked = model._check_graphs(graphs)
    n_bins = check_integer(n_bins, "n_bins", minimum=2)
    if not any(graph.n_pairs for graph in checked):
        raise ModelError("there is no pair of nodes: give a graph with two nodes or more.")
    s, p, weight = _pairs_by_s(model, checked)
    edges = np.concatenate([_values_of_links(model, graph) for graph in checked])
    order = np.argsort(s, kind="stable")
    s, p, weight = s[order], p[order], weight[order]
    expected = np.cumsum(np.abs(p * weight))
    cuts = np.searchsorted(expected, expected[-1] * np.arange(1, n_bins) / n_bins)
    ends = np.unique(s[np.minimum(cuts, len(s) - 1)])
    home, tied = np.searchsorted(ends, s, side="left"), len(ends) + 1
    n = np.bincount(home, weight, minlength=tied).astype(np.float64)
    linked = np.bincount(np.searchsorted(ends, edges, side="left"), minlength=tied)
    n = np.maximum(n, linked)  # the grid spreads a pair over its nodes
    keep = n > 0.5
    mean_s, mean_p, variance = (
        np.bincount(home, weight * v, minlength=tied)[keep] / n[keep] for v in (s, p, p * (1 - p))
    )
    mean_p = np.clip(mean_p, 0.0, 1.0)
    errors = np.sqrt(np.maximum(variance, 0) / n[keep])
    of = "logit" if isinstance(model, DyadicGraph) else "inner product"
    return Calibration(mean_s, mean_p, linked[keep] / n[keep], errors, n[keep], of)


@singledispatch
def _pairs_by_s(model: InnerProductGraph, graphs: Sequence[Graph]) -> tuple[Float, Float, Float]:
    """Return s, p and weight of all known pairs, or of the nodes of their grid."""
    sizes: dict[int, list[Graph]] = {}
    for graph in graphs:
        sizes.setdefault(graph.n_nodes if model.offset else 0, []).append(graph)
    parts = []
    for n, some in sizes.items():
        at = model.slope_, model._intercept(max(n, 1))
        s, weight = gather(some, pairs=_way(model, some), at=at, n_jobs=model.n_jobs).histogram(*at)
        parts.append((s, expit(model._logit(s, max(n, 1))), weight))
    s, p, weight = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return s, p, weight


@_pairs_by_s.register
def _pairs_by_logit(model: DyadicGraph, graphs: Sequence[Graph]) -> tuple[Float, Float, Float]:
    """Return logits, p and weight of all known dyads, or of cells where there are too many."""
    sums = dyad_sums(model._terms(), graphs, n_jobs=model.n_jobs)
    theta = model._theta
    if sums.n_visits <= KEPT_VISITS:
        parts = [
            (theta @ values, np.ones(values.shape[1]) if counts is None else counts)
            for values, counts in sums.chunks()
        ]
        eta, weight = (np.concatenate([part[k] for part in parts]) for k in range(2))
        eta = eta.round(DIGITS)
        return eta, expit(eta), weight
    low, high = sums.along(theta)
    step = (high - low) / LOGIT_CELLS or 1.0
    weight = np.zeros(LOGIT_CELLS + 1)
    for values, counts in sums.chunks():
        cells = ((theta @ values - low) / step).astype(np.int64)
        weight += np.bincount(cells, counts, minlength=len(weight))
    middles = np.arange(len(weight), dtype=np.float64)
    middles = low + step * (middles + 0.5)
    return middles, expit(middles), weight


@singledispatch
def _values_of_links(model: InnerProductGraph, graph: Graph) -> Float:
    """Return s of every link."""
    return products(graph.features, *graph.edges())


@_values_of_links.register
def _logits_of_links(model: DyadicGraph, graph: Graph) -> Float:
    """Return the logit of every link."""
    return model._logits(graph, *graph.edges()).round(DIGITS)


def _way(model: InnerProductGraph, graphs: Sequence[Graph]) -> str:
    """Return how the distribution of s is found: "auto" would keep its sums alone."""
    if model.pairs != "auto":
        return model.pairs
    pairs = sum(graph.n_pairs for graph in graphs)
    return "products" if pairs <= KEPT_PAIRS else "visited" if pairs <= VISITED_PAIRS else "auto"


# ---- held-out graphs -------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class HeldOut(Printed):
    """How well a model foretells the edges of graphs it has not seen.

    Parameters
    ----------
    log_density : ndarray of shape (n_graphs,)
        Nats.
    per_pair : ndarray of shape (n_graphs,)
        Nats per pair of nodes.
    gain : ndarray of shape (n_graphs,)
        Nats per pair above a model that knows each graph's density and nothing else.
    auc : ndarray of shape (n_graphs,)
        The chance that a linked pair has a larger probability than an unlinked one; ties count
        half. nan where no pair or every pair is linked. From the grid of a large graph, right to
        about 1e-5.
    """

    log_density: Float
    per_pair: Float
    gain: Float
    auc: Float

    def _table(self) -> Table:
        columns: dict[str, Any] = {
            "graph": range(len(self.log_density)),
            "log density": self.log_density,
            "per pair": self.per_pair,
            "gain": self.gain,
            "AUC": self.auc,
        }
        above = "nats; gain: nats per pair above a model that knows each density alone"
        return one_table(columns, above)


def held_out(model: GraphModel, graphs: Any) -> HeldOut:
    """Score graphs that a model was not fitted to, on their known dyads.

    Parameters
    ----------
    model : InnerProductGraph or DyadicGraph
        Fitted to other graphs.
    graphs : list of Graph, or of (features, adjacency) tuples, or one of either

    Returns
    -------
    HeldOut

    Raises
    ------
    ModelError
        For another model, or when a graph has no pair of nodes.

    Examples
    --------
    >>> from ancestral import InnerProductGraph, datasets
    >>> one, *others = datasets.classrooms(20)
    >>> len(held_out(InnerProductGraph().fit(others), [one]).log_density)
    1
    """
    refuse_other_models(model, "held_out")
    model._check_fitted()
    checked = model._check_graphs(graphs)
    pairs = np.array([graph.n_pairs for graph in checked], np.float64)
    if not pairs.all():
        raise ModelError(f"graph {int(np.argmin(pairs))} has no pair of nodes: drop it.")
    density = np.array([graph.density for graph in checked])
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nan_to_num(density * np.log(density))
        entropy -= np.nan_to_num((1 - density) * np.log1p(-density))
    total = model.log_density(checked)
    auc = np.array([_auc(model, graph) for graph in checked])
    return HeldOut(total, total / pairs, total / pairs + entropy, auc)


def _auc(model: GraphModel, graph: Graph) -> float:
    """Return the area under the curve of the logits; nan without two kinds of dyads."""
    edges, unlinked = graph.n_edges, graph.n_pairs - graph.n_edges
    if not edges or not unlinked:
        return float("nan")
    if isinstance(model, DyadicGraph):
        eta, _, weight = _pairs_by_s(model, [graph])
        return _auc_by_weights(eta, weight, _values_of_links(model, graph), unlinked)
    return _auc_of_slope(model, graph, edges, unlinked)


def _auc_by_weights(s: Float, weight: Float, linked: Float, unlinked: int) -> float:
    """Return the area, of values and how often each occurs, and those of links."""
    edges = len(linked)
    values, place = np.unique(s, return_inverse=True)
    weights = np.bincount(place.reshape(-1), weight)
    above = np.interp(linked, values, np.cumsum(weights) - weights / 2).sum() - edges**2 / 2
    return min(max(float(above / (edges * unlinked)), 0.0), 1.0)  # a grid rounds


def _auc_of_slope(model: InnerProductGraph, graph: Graph, edges: int, unlinked: int) -> float:
    """Return the area under the curve of a s + b: by ranks, or by the grid of a large graph."""
    if graph.n_pairs > VISITED_PAIRS:
        s, _, weight = _pairs_by_s(model, [graph])
    else:  # the order of s hangs on no (a, b), and a grid about none holds ties of round numbers
        found = gather([graph], pairs=_way(model, [graph]), n_jobs=model.n_jobs)
        s, weight = found.histogram(0.0, 0.0)
    if len(s) == graph.n_pairs:
        above = rankdata(s)[:edges].sum() - edges * (edges + 1) / 2  # edges stand first
        auc = min(max(float(above / (edges * unlinked)), 0.0), 1.0)
    else:
        auc = _auc_by_weights(s, weight, products(graph.features, *graph.edges()), unlinked)
    return {1: auc, 0: 0.5, -1: 1 - auc}[int(np.sign(model.slope_))]
