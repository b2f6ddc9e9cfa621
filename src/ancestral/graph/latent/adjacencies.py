"""Graphs on the same nodes, from whatever holds them, matched by the nodes' labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ancestral.errors import DataError, DataTypeError
from ancestral.graph.adjacency import repeated_edge, symmetric
from ancestral.graph.attributes import Attribute
from ancestral.graph.graphs import Graph, library_of, refuse_directed, say_ignored_loops
from ancestral.graph.labels import aligned, is_labelled, labels_of

ACCEPTED = "an adjacency (array or sparse), a networkx or igraph graph, or a Graph"


def as_adjacencies(
    graphs: Any, *, n_nodes: int | None = None, labels: Sequence[Any] | None = None
) -> tuple[list[sparse.csr_array], list[str] | None]:
    """Return the sparse adjacency of each graph, all on the same nodes, and the nodes' labels.

    As `as_networks`, of whose graphs these are the links.
    """
    found, held = as_networks(graphs, n_nodes=n_nodes, labels=labels)
    return [graph.to_sparse() for graph in found], held


def as_networks(
    graphs: Any,
    *,
    n_nodes: int | None = None,
    labels: Sequence[Any] | None = None,
    with_features: bool = False,
) -> tuple[list[Graph], list[str] | None]:
    """Return graphs on the same nodes, in one order, and the nodes' labels.

    Parameters
    ----------
    graphs : one graph or a list of them
        Each an adjacency of shape (n_nodes, n_nodes) (array-like, dataframe, scipy sparse), a
        networkx or igraph graph, a Graph or a tuple (features, adjacency). An array of shape
        (n_graphs, n_nodes, n_nodes) is a list. Graphs that label their nodes (node names,
        dataframes, networkx, igraph with a vertex attribute "name") are read in the order of the
        labels given, or else of the first such graph.
    n_nodes : int, optional
        Of the model that asks.
    labels : sequence of str, optional
        The model's nodes, in their order.
    with_features : bool
        Read the features of tuples too: else they are not looked at.

    Returns
    -------
    graphs : list of Graph
    labels : list of str, or None
        None where no graph has any, or they only count.

    Raises
    ------
    DataError
        Naming the graph: no adjacency, directed, or of another number of nodes.
    """
    items = [graphs] if _is_one(graphs) else _listed(graphs)
    if not items:
        raise DataError("graphs is empty: give at least one graph.")
    named = next((item for item in items if is_labelled(item)), None)
    items = [item if labels else aligned(named, item) for item in items]
    own = [labels_of(item) for item in items]
    wanted_labels = list(labels) if labels else next((texts for texts in own if texts), None)
    alone = len(items) == 1
    checked = [
        _graph(item, "" if alone else f"graph {k}: ", with_features=with_features)
        for k, item in enumerate(items)
    ]
    wanted = checked[0].n_nodes if n_nodes is None else n_nodes
    refuse_directed(checked)
    for k, graph in enumerate(checked):
        if graph.n_nodes != wanted:
            raise DataError(
                f"graph {k} has {graph.n_nodes} nodes where {wanted} are expected: positions "
                "belong to nodes, so every graph needs the same nodes in the same order."
            )
    say_ignored_loops(checked)
    if wanted_labels is None:
        return checked, None
    return [_in_order(E, texts, wanted_labels) for E, texts in zip(checked, own)], wanted_labels


def _in_order(graph: Graph, own: list[str] | None, wanted: list[str]) -> Graph:
    """Return the graph with its nodes in the order wanted; DataError for other nodes."""
    if own is None or own == wanted:
        return graph
    place = {text: k for k, text in enumerate(own)}
    odd = next((text for text in wanted if text not in place), None)
    if odd is not None or len(place) < len(own):
        raise DataError(
            f"the graph's nodes are {', '.join(own[:6])}{', ...' * (len(own) > 6)}, and "
            + (f"{odd!r} is not among them" if odd is not None else "some have one label")
            + ": positions belong to the nodes of the fit. Give a graph of the same nodes, or an "
            "array in their order."
        )
    return _taken(graph, np.array([place[text] for text in wanted]))


def _taken(graph: Graph, order: NDArray[np.int64]) -> Graph:
    """Return the graph with its nodes in another order."""

    def moved(matrix: Any) -> Any:
        if matrix is None:
            return None
        found = matrix[order][:, order]
        if sparse.issparse(found):
            found = sparse.csr_array(found)
            found.sort_indices()
        return found

    parts: dict[str, Any] = {
        "adjacency": moved(graph.adjacency),
        "unknown": moved(graph.unknown),
        "pair_features": {name: moved(M) for name, M in graph.pair_features.items()},
    }
    if graph.node_names is not None:
        parts["node_names"] = tuple(graph.node_names[k] for k in order)
    if graph._columns is None:
        parts["features"] = graph.features[order]
    else:
        parts["_columns"] = tuple(
            Attribute(one.name, one.values[order], one.levels) for one in graph._columns
        )
    return graph.replaced(**parts)


def _is_one(graphs: Any) -> bool:
    """Tell one graph from a list of graphs."""
    if isinstance(graphs, Graph) or sparse.issparse(graphs) or library_of(graphs):
        return True
    if isinstance(graphs, tuple):
        return len(graphs) == 2 and not isinstance(graphs[0], Graph | tuple)
    if isinstance(graphs, list):
        return bool(graphs) and all(_is_row(row) for row in graphs)
    return np.ndim(graphs) == 2


def _is_row(row: Any) -> bool:
    """Tell a row of numbers from a graph."""
    if isinstance(row, Graph | tuple) or sparse.issparse(row) or library_of(row):
        return False
    try:
        return np.ndim(row) == 1
    except ValueError:  # ragged: to be named where it is read
        return False


def _listed(graphs: Any) -> Sequence[Any]:
    if isinstance(graphs, str | bytes | dict) or not np.iterable(graphs):
        raise DataTypeError(f"{ACCEPTED} is wanted; got {type(graphs).__name__}.")
    return list(graphs)


def _graph(item: Any, name: str, *, with_features: bool) -> Graph:
    """Return one checked graph, its name in any error."""
    if isinstance(item, Graph):
        return item
    features = None
    try:
        if library_of(item):
            if item.is_directed():
                raise DataError("the graph is directed: make it undirected first.")
            item = _of_library(item)
        elif isinstance(item, tuple):
            if len(item) != 2:
                raise DataError(f"a tuple of {len(item)} is no (features, adjacency).")
            features, item = item
        shape = item.shape if sparse.issparse(item) else np.shape(item)
        if len(shape) != 2 or shape[0] != shape[1]:
            raise DataError(
                f"{ACCEPTED} is wanted; got a {type(item).__name__} of shape {shape}, which is no "
                "square matrix. Give no features: the positions are learnt instead."
            )
        return Graph(features if with_features else None, item)
    except DataTypeError as error:
        raise DataTypeError(f"{name}{error}") from None
    except DataError as error:
        raise DataError(f"{name}{error}") from None
    except ValueError:
        raise DataError(f"{name}the adjacency is ragged: its rows differ in length.") from None


def _of_library(graph: Any) -> sparse.csr_array:
    """Return the adjacency of a networkx or igraph graph, in the order of its nodes."""
    if library_of(graph) == "igraph":
        ends = np.array(graph.get_edgelist(), np.int64).reshape(-1, 2)
        n_nodes = graph.vcount()
    else:
        place = {node: k for k, node in enumerate(graph.nodes)}
        ends = np.array([(place[u], place[v]) for u, v in graph.edges()], np.int64).reshape(-1, 2)
        n_nodes = len(place)
    if not n_nodes:
        raise DataError("the graph has no nodes.")
    i, j = np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1).T  # pairs of different nodes only
    twice = repeated_edge(i, j, n_nodes)
    if twice is not None:
        raise DataError(
            f"node {twice[0]} and node {twice[1]} are linked more than once: keep one edge."
        )
    return symmetric(i, j, n_nodes)
