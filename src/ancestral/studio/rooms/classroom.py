"""The room of graphs: inner products of linked and unlinked pairs, the fit, example graphs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ancestral.inputs import find_source
from ancestral.studio.payload import packed
from ancestral.studio.shelf import Shelf

MOST_PAIRS = 60_000
MOST_GRAPHS = 12


def classroom(shelf: Shelf) -> dict[str, Any]:
    """Inner products of linked and unlinked pairs, the fit, and some graphs as they are."""
    from ancestral import InnerProductGraph
    from ancestral.graph.pairs.gather import keep

    saved = {k: v for k, v in shelf.models.items() if isinstance(v, InnerProductGraph)}
    if not shelf.built_in and "graphs" not in shelf.files:
        return _classroom_without_data(saved)
    source = find_source("graphs", shelf.files)
    graphs = _first_pairs(source.data)
    fitted = InnerProductGraph().fit(graphs)
    statistics = keep(graphs)
    return {
        "source": source.sentence,
        "n_graphs": len(graphs),
        "n_all": len(source.data),
        "n_features": fitted.n_features_,
        "edges": packed(statistics.edges),
        "gaps": packed(statistics.unlinked),
        "fit": _graph_fit("Maximum likelihood", fitted),
        "log_likelihood": fitted.log_likelihood_,
        "models": [_graph_fit(name, model) for name, model in saved.items()],
        "graphs": [
            {
                "features": packed(graph.features, "float64"),
                "links": packed(np.argwhere(np.triu(graph.adjacency, 1)), "int32"),
            }
            for graph in graphs[:MOST_GRAPHS]
            if graph.n_nodes <= 80
        ],
    }


def _classroom_without_data(models: dict[str, Any]) -> dict[str, Any]:
    """A class ruled by the first model; no likelihood, since there are no graphs to score."""
    (name, model), *others = models.items()
    return {
        "source": None,
        "n_features": model.n_features_,
        "edges": None,
        "fit": _graph_fit(name, model),
        "models": [_graph_fit(*other) for other in others],
        "graphs": [],
    }


def _first_pairs(graphs: list[Any]) -> list[Any]:
    """Return as many graphs as have few enough pairs for the page, one at least."""
    pairs = np.cumsum([g.n_nodes * (g.n_nodes - 1) // 2 for g in graphs])
    return graphs[: max(1, int((pairs <= MOST_PAIRS).sum()))]


def _graph_fit(name: str, model: Any) -> dict[str, Any]:
    return {
        "name": name,
        "a": model.slope_,
        "b": model.intercept_,
        "standard_errors": [float(s) for s in model.standard_errors_],
    }


def shows(model: Any) -> bool:
    """Tell whether the room can show this model by itself: every one of its kind."""
    return True


PARTS = {"classroom": classroom}
