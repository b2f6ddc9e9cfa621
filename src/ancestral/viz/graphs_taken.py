"""Graphs to draw, whatever they came as: `Graph`, pairs, and graphs of networkx and igraph.

A graph of another library needs no attributes to be drawn. Of those that all its nodes have, text
and booleans become groups and numbers features; ids and what programs write to draw are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from ancestral._checks.missing import is_missing
from ancestral.errors import DataError

if TYPE_CHECKING:
    from ancestral.graph.graphs import Graph


@dataclass(frozen=True)
class Drawable:
    """A graph, the names of its nodes where they have any, and whether they have features."""

    graph: Graph
    names: list[str] | None
    has_features: bool = True


def graphs_of(graphs: Any, colour_by: str | None = None) -> list[Drawable]:
    """Return graphs from a list of them, or from one."""
    from ancestral.graph.graphs import Graph, as_graphs, library_of

    if library_of(graphs) or isinstance(graphs, Graph):
        graphs = [graphs]
    if isinstance(graphs, list | tuple) and any(library_of(one) for one in graphs):
        found = [drawable(one, f"graph {k}", colour_by) for k, one in enumerate(graphs)]
        if len({one.graph.features.shape[1] for one in found}) > 1:
            found = [Drawable(one.graph, one.names, has_features=False) for one in found]
        return found
    checked = as_graphs(graphs, directed=True, missing=True)
    items = [graphs] if isinstance(graphs, tuple) and len(checked) == 1 else list(graphs)
    if len(items) != len(checked):
        items = list(checked)
    return [
        Drawable(one, _names(item), has_features=one.n_features > 0)
        for one, item in zip(checked, items, strict=True)
    ]


def drawable(graph: Any, name: str = "the graph", colour_by: str | None = None) -> Drawable:
    """Return one graph."""
    from ancestral.graph.graphs import as_graphs, library_of
    from ancestral.graph.labels import labels_of

    library = library_of(graph)
    if not library:
        checked = as_graphs(graph, directed=True, missing=True)
        if len(checked) != 1:
            raise DataError(f"one graph is drawn; got {len(checked)}. See viz.draw_graphs.")
        one = checked[0]
        names = _names(graph[0] if isinstance(graph, list) else graph)
        return Drawable(one, names, has_features=one.n_features > 0)
    nodes, edges = _of_networkx(graph) if library == "networkx" else _of_igraph(graph)
    names = [str(node) for node in nodes] if library == "networkx" else labels_of(graph)
    return _assembled(names, nodes, edges, name, colour_by, directed=bool(graph.is_directed()))


def of_pair(features: Any, adjacency: Any) -> Drawable:
    """Return one graph of features and adjacency."""
    from ancestral.graph.graphs import Graph

    return Drawable(Graph(features, adjacency), _names((features, adjacency)))


def _names(item: Any) -> list[str] | None:
    """Return the names of the nodes of a Graph or a pair."""
    from ancestral.graph.graphs import Graph
    from ancestral.graph.labels import labels_of

    if not isinstance(item, Graph):
        return labels_of(item)
    names = getattr(item, "node_names", None)
    return None if names is None else [str(name) for name in names]


Nodes = Mapping[Any, Mapping[str, Any]]
Edges = list[tuple[Any, Any]]


def _of_networkx(graph: Any) -> tuple[Nodes, Edges]:
    nodes = {node: dict(held) for node, held in graph.nodes(data=True)}
    return nodes, [(u, v) for u, v in graph.edges()]


def _of_igraph(graph: Any) -> tuple[Nodes, Edges]:
    nodes = {vertex.index: vertex.attributes() for vertex in graph.vs}
    return nodes, list(graph.get_edgelist())


def _assembled(
    names: list[str] | None,
    nodes: Nodes,
    edges: Edges,
    name: str,
    colour_by: str | None,
    *,
    directed: bool,
) -> Drawable:
    """Return a graph of the attributes that can colour it; loops and repeated edges say nothing."""
    from ancestral.graph.adjacency import one_way, symmetric
    from ancestral.graph.graphs import Graph
    from ancestral.io.attributes import attributes_of, ids_and_drawing

    if not nodes:
        raise DataError(f"{name} has no nodes; there is nothing to draw.")
    place = {node: k for k, node in enumerate(nodes)}
    pairs = {(place[u], place[v]) for u, v in edges if u != v}
    pairs = pairs if directed else {(min(pair), max(pair)) for pair in pairs}
    ends = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    adjacency = (one_way if directed else symmetric)(ends[:, 0], ends[:, 1], len(nodes))
    kinds = _kinds(nodes)
    if colour_by is None:
        left = ids_and_drawing(kinds)
        kinds = {key: kind for key, kind in kinds.items() if key not in left}
    if not kinds:
        return Drawable(
            Graph(None, adjacency, directed=directed),
            names,
            has_features=False,
        )
    groups = [key for key, kind in kinds.items() if kind == "group"]
    texts: Nodes = {
        node: {k: str(held[k]) if k in groups else held[k] for k in kinds}
        for node, held in nodes.items()
    }
    columns = attributes_of(texts, list(kinds), groups, name)
    return Drawable(Graph(columns, adjacency, directed=directed), names)


def _kinds(nodes: Nodes) -> dict[str, str]:
    """Return the attributes that all nodes have: numbers, or groups of text and booleans."""
    first = next(iter(nodes.values()))
    kinds = {}
    for key in first:
        values = [held.get(key) for held in nodes.values()]
        if any(is_missing(value) for value in values):
            continue
        if all(isinstance(value, str | bool | np.bool_) for value in values):
            kinds[key] = "group"
        elif all(isinstance(v, Real) and np.isfinite(float(v)) for v in values):
            kinds[key] = "number"
    return kinds
