"""Problem 3: the inner-product graph model by two solvers, and new classrooms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from ancestral._checks.numbers import finite
from ancestral.errors import AncestralError
from ancestral.inputs import Sources
from ancestral.report.summarise.summary import Summary

N_DRAWN = 5
N_COMPARED = 100
N_CHECKED = 100  # draws of all graphs, for the bands of the fit
N_FOLDS = 5
N_LISTED = 10  # last iterations in the table
CLOSE = 1e-3  # standard errors between two solvers that agree
LARGEST_DRAWN = 40  # nodes of a picture


def summarise_graphs(sources: Sources) -> Summary:
    """Return the fit by gradient ascent and by Newton's method, and sampled graphs."""
    from ancestral import InnerProductGraph
    from ancestral.graph.fit_checks import check_fit

    graphs = sources.graphs.data
    ascent = InnerProductGraph(solver="gradient_ascent", random_state=0).fit(graphs)
    newton = InnerProductGraph().fit(graphs)
    width = graphs[0].features.shape[1]
    n_nodes = min(LARGEST_DRAWN, int(np.median([graph.n_nodes for graph in graphs])))
    features = _drawn_features(graphs)
    drawn = newton.sample(N_DRAWN, n_nodes=n_nodes, features=features, random_state=0)
    sampled = _like(newton, graphs[:N_COMPARED])
    check = check_fit(newton, graphs, n_draws=N_CHECKED, random_state=2)
    heldout = _held_out(graphs)
    numbers = {
        **_about_data(graphs, newton),
        **_about_fit(newton, ascent),
        **_about_errors(newton, graphs),
        "n_nodes": n_nodes,
        "n_features": width,
        "n_sampled": len(sampled),
        "colour_note": _colour_note(width),
        **_about_samples(graphs, sampled),
        **_about_check(check),
        "held_out": _about_held_out(heldout),
    }
    arrays = {
        "held_out": heldout,
        "graphs": graphs,
        "drawn": drawn,
        "sampled": sampled,
        "check": check,
    }
    return Summary({"graph": newton, "graph-ascent": ascent}, numbers, arrays)


def _like(model: Any, graphs: list[Any]) -> list[Any]:
    """Return one new graph for each given one, with as many nodes."""
    rng, features = np.random.default_rng(1), _drawn_features(graphs)
    return [
        model.sample(1, n_nodes=graph.n_nodes, features=features, random_state=rng)[0]
        for graph in graphs
    ]


def _drawn_features(graphs: list[Any]) -> str | None:
    """Return "uniform" for features like those of classrooms, all within [-1, 1] on both sides.

    Else None: new nodes get features of the data.
    """
    ends = [(graph.features.min(axis=0), graph.features.max(axis=0)) for graph in graphs]
    low, high = np.min([end[0] for end in ends], axis=0), np.max([end[1] for end in ends], axis=0)
    like = bool((low >= -1).all() and (low < 0).all() and (high > 0).all() and (high <= 1).all())
    return "uniform" if like else None


def _about_data(graphs: list[Any], model: Any) -> dict[str, Any]:
    n_pairs = sum(graph.n_nodes * (graph.n_nodes - 1) // 2 for graph in graphs)
    n_edges = sum(graph.n_edges for graph in graphs)
    similarities = [s for s in map(_pair_similarities, graphs) if len(s)]
    surplus = model.pair_statistics(graphs).gradient(model.slope_, model.intercept_)[1]
    expected = n_edges - float(surplus)
    return {
        "n_graphs": len(graphs),
        "n_pairs": n_pairs,
        "n_edges": n_edges,
        "n_loops": int(sum(graph.adjacency.diagonal().sum() for graph in graphs)),
        "least_similarity": min(float(s.min()) for s in similarities),
        "largest_similarity": max(float(s.max()) for s in similarities),
        "least_feature": min(float(graph.features.min()) for graph in graphs),
        "largest_feature": max(float(graph.features.max()) for graph in graphs),
        "density": n_edges / n_pairs,
        "expected_density": expected / n_pairs,
    }


def _about_fit(newton: Any, ascent: Any) -> dict[str, Any]:
    history = ascent.history_
    records = [{"iteration": i, **record} for i, record in enumerate(history)]
    for record in records:
        if record["increase"] != record["increase"]:  # the start has nothing before it
            record["increase"] = None
    a, b = newton.slope_, newton.intercept_
    return {
        "slope": a,
        "intercept": b,
        "standard_errors": [float(s) for s in newton.standard_errors_],
        "log_likelihood": newton.history_[-1]["log_likelihood"],
        "newton_iterations": len(newton.history_) - 1,
        "ascent_slope": ascent.slope_,
        "ascent_intercept": ascent.intercept_,
        "ascent_log_likelihood": history[-1]["log_likelihood"],
        "slope_is_clear": bool(abs(a) > 2 * newton.standard_errors_[0]),
        "ascent_agrees": bool(
            abs(ascent.slope_ - a) < CLOSE * newton.standard_errors_[0]
            and abs(ascent.intercept_ - b) < CLOSE * newton.standard_errors_[1]
        ),
        "ascent_gap": [abs(ascent.slope_ - a), abs(ascent.intercept_ - b)],
        "n_iterations": len(history) - 1,
        "strictly_rising": bool(all(record["increase"] > 0 for record in history[1:])),
        "history": records,
        "last_iterations": records[-N_LISTED:],
        "gradient_tolerance": ascent.tol,
        "probability_at_zero": float(1 / (1 + np.exp(-b))),
        "similarity_at_half": -b / a if a else None,
    }


def _about_errors(model: Any, graphs: list[Any]) -> dict[str, Any]:
    """Return profile intervals, and errors that allow for dependence within graphs."""
    half = float(norm.ppf(0.975)) * model.standard_errors_
    centre = np.array([model.slope_, model.intercept_])
    several = len(graphs) > 1
    clustered = model.clustered_standard_errors(graphs) if several else None
    return {
        "clustered_errors": None if clustered is None else clustered.tolist(),
        "wald_intervals": np.column_stack([centre - half, centre + half]).tolist(),
        "profile_intervals": model.confidence_intervals(graphs).tolist(),
        "error_ratios": None
        if clustered is None
        else (clustered / model.standard_errors_).tolist(),
    }


def _held_out(graphs: list[Any]) -> Any:
    """Score each graph by a fit to the graphs of other folds; None if that cannot be."""
    from ancestral import InnerProductGraph
    from ancestral.graph.predictions import HeldOut, held_out

    graphs = [_without_loops(graph) for graph in graphs]  # said once, by the fit to all
    order = np.random.default_rng(3).permutation(len(graphs))
    parts: list[tuple[NDArray[np.intp], Any]] = []
    for out in np.array_split(order, min(N_FOLDS, len(graphs))):
        inside = [graphs[k] for k in np.setdiff1d(order, out)]
        try:
            model = InnerProductGraph().fit(inside)
            parts.append((out, held_out(model, [graphs[k] for k in out])))
        except AncestralError:  # too few graphs, or those left are separable
            return None
    place = np.argsort(np.concatenate([out for out, _ in parts]))
    names = ("log_density", "per_pair", "gain", "auc")
    return HeldOut(*(np.concatenate([getattr(f, n) for _, f in parts])[place] for n in names))


def _without_loops(graph: Any) -> Any:
    """Return the graph with zeros on its diagonal, which the model ignores."""
    from ancestral import Graph

    if not graph.adjacency.diagonal().any():
        return graph
    A = graph.adjacency.copy()
    if graph.is_sparse:
        A.setdiag(0)
        A.eliminate_zeros()
    else:
        np.fill_diagonal(A, 0)
    return Graph(graph.features, A, graph.feature_names)


def _about_held_out(found: Any) -> dict[str, Any] | None:
    """Return means over graphs with their standard errors, and every graph's values."""
    if found is None:
        return None
    known = found.auc[np.isfinite(found.auc)]
    return {
        "n_folds": min(N_FOLDS, len(found.auc)),
        "log_density": float(found.log_density.mean()),
        "log_density_total": float(found.log_density.sum()),
        "per_pair": float(found.per_pair.mean()),
        "gain": float(found.gain.mean()),
        "gain_error": _mean_error(found.gain),
        "n_better": int((found.gain > 0).sum()),
        "n_ranked": len(known),
        "auc": float(known.mean()) if len(known) else None,
        "auc_error": _mean_error(known),
        "by_graph": [
            {"log_density": float(total), "gain": float(gain), "auc": finite(auc)}
            for total, gain, auc in zip(found.log_density, found.gain, found.auc, strict=True)
        ],
    }


def _mean_error(values: NDArray[np.float64]) -> float | None:
    """Return the standard error of a mean; None for fewer than two values."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def _colour_note(width: int) -> str:
    from ancestral.viz.graph import colour_note

    note = colour_note(width)
    return note[:1].upper() + note[1:] + "."


def _about_samples(graphs: list[Any], sampled: list[Any]) -> dict[str, Any]:
    from ancestral.graph.fit_checks import mean_clustering

    def mean_degree(some: list[Any]) -> float:
        return 2 * sum(g.n_edges for g in some) / sum(g.n_nodes for g in some)

    def clusterings(some: list[Any]) -> list[float]:
        return [float(mean_clustering(g)) for g in some]

    def degrees(some: list[Any]) -> list[int]:
        return [int(n) for n in np.bincount(np.concatenate([g.degrees for g in some]))]

    of_data, of_samples = clusterings(graphs), clusterings(sampled)
    joined, apart = _similarities(sampled)
    return {
        "mean_degree": mean_degree(graphs),
        "sampled_mean_degree": mean_degree(sampled),
        "nodes_by_degree": degrees(graphs),
        "sampled_nodes_by_degree": degrees(sampled),
        "clustering": float(np.mean(of_data)),
        "sampled_clustering": float(np.mean(of_samples)),
        "clustering_by_graph": of_data,
        "sampled_clustering_by_graph": of_samples,
        "sampled_edge_similarity": float(joined.mean()) if len(joined) else None,
        "sampled_gap_similarity": float(apart.mean()) if len(apart) else None,
    }


def _about_check(check: Any) -> dict[str, Any]:
    """Return how far the data are from draws, in words that can be printed."""
    values = {name: one.p_value for name, one in check.comparisons.items()}
    return {
        "n_checked": check.n_draws,
        "fit_p_values": [{"name": name, "p": p} for name, p in values.items()],
        "smallest_p_value": min(values.values()),
        "fit_shares": [
            {
                "name": name,
                "labels": one.labels,
                "observed": one.observed.tolist(),
                "low": one.band()[0].tolist(),
                "high": one.band()[1].tolist(),
            }
            for name, one in check.comparisons.items()
        ],
        "calibration": {
            name: getattr(check.calibration, name).tolist()
            for name in ("s", "predicted", "observed", "standard_errors", "n_pairs")
        },
    }


def _similarities(graphs: list[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x_i . x_j of the linked pairs and of the others."""
    from ancestral.graph.pairs.gather import keep
    from ancestral.graph.pairs.passes import products, some_products

    joined, apart = [np.zeros(0)], [np.zeros(0)]
    for graph in graphs:
        if graph.is_sparse:  # millions of pairs: some of those without an edge will do
            joined.append(products(graph.features, *graph.edges()))
            apart.append(some_products(graph.features))
            continue
        found = keep([graph])
        joined.append(found.edges)
        apart.append(found.unlinked)
    return np.concatenate(joined), np.concatenate(apart)


def _pair_similarities(graph: Any) -> NDArray[np.float64]:
    """Return x_i . x_j of every pair i < j; of the edges and some other pairs of a large graph."""
    return np.concatenate(_similarities([graph]))
