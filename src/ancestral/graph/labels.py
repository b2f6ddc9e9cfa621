"""Node labels of dataframes: an adjacency is read in the order of the features' rows.

A pandas dataframe names its rows, and a matrix of edges its columns as well. Where the names of two
sides are one set in two orders, the order of the features is meant, never the places. Names that
only count the rows (0, 1, ...) say nothing, unless the other side has these numbers in another
order: either may then be meant, and they are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import DataError, DataTypeError


def aligned(features: Any, adjacency: Any) -> Any:
    """Return the adjacency with rows and columns in the order of the features' labels.

    Raises
    ------
    DataError
        When labels are repeated or name other nodes, naming the first.
    """
    if not is_labelled(adjacency):
        return adjacency
    rows, columns = list(adjacency.index), list(adjacency.columns)
    if len(rows) != len(columns):
        return adjacency  # of a wrong shape, as its reader will say
    if _in_another_order(columns, rows, "the columns of adjacency", "its rows"):
        adjacency = adjacency[rows]
    if not is_labelled(features) or len(features.index) != len(rows):
        return adjacency
    nodes = list(features.index)
    if _in_another_order(rows, nodes, "the rows of adjacency", "the rows of features"):
        adjacency = adjacency.loc[nodes, nodes]
    return adjacency


def is_labelled(table: Any) -> bool:
    """Tell whether a table has labels on rows and columns, as pandas' dataframes do."""
    return hasattr(table, "loc") and hasattr(table, "index") and hasattr(table, "columns")


def _in_another_order(labels: list[Any], wanted: list[Any], one: str, other: str) -> bool:
    """Tell whether both name the same nodes in different orders; refuse different names."""
    if labels == wanted:
        return False
    is_counted = list(range(len(labels))) in (labels, wanted)
    is_one_set = len({*labels}) == len(labels) and {*labels} == {*wanted}
    if is_counted != is_one_set:  # names that only count, or one set of real names
        return is_one_set
    i, odd = next((i, a) for i, (a, b) in enumerate(zip(labels, wanted, strict=True)) if a != b)
    if is_counted:
        raise DataError(
            f"{one} and {other} number the nodes in different orders: {odd!r} at {i} where the "
            f"other has {wanted[i]!r}. Reorder one by the other with .loc, or reset both indices."
        )
    raise DataError(
        f"{one} and {other} name different nodes: {odd!r} at {i} where the other has "
        f"{wanted[i]!r}. Give both the same labels, or arrays in one order."
    )


def labels_of(graph: Any) -> list[str] | None:
    """Return the labels of a graph's nodes as text; None where it has none, or they only count.

    Of a `Graph` its node_names, of a dataframe its rows', of networkx its nodes, of igraph the
    vertex attribute "name".
    """
    if hasattr(graph, "node_names"):
        return None if graph.node_names is None else list(graph.node_names)
    if isinstance(graph, tuple) and len(graph) == 2:
        graph = graph[0] if is_labelled(graph[0]) else graph[1]
    if is_labelled(graph):
        labels = list(graph.index)
    elif hasattr(graph, "nodes") and hasattr(graph, "is_directed"):
        labels = list(graph.nodes)
    elif hasattr(graph, "vs") and hasattr(graph, "get_edgelist"):
        labels = list(graph.vs["name"]) if "name" in graph.vs.attributes() else []
    else:
        return None
    if not labels or labels == list(range(len(labels))):
        return None
    return [str(label) for label in labels]


def names_of_nodes(
    features: Any, adjacency: Any, given: Sequence[Any] | None, n_nodes: int
) -> tuple[str, ...] | None:
    """Return the names of nodes: those given, else the labels of the tables.

    Raises
    ------
    DataError
        When there is not one for each node, or two have one name; when features label their rows
        with the same names in another order.
    """
    if given is None:
        labels = labels_of((features, adjacency))
        if labels is None or len(labels) != n_nodes or len({*labels}) < n_nodes:
            return None
        return tuple(labels)
    if isinstance(given, bytes | dict) or not np.iterable(given):
        raise DataTypeError(
            f"node_names must be one name for each node; got a {type(given).__name__}."
        )
    names = tuple(str(name) for name in given)
    if len(names) != n_nodes:
        raise DataError(f"node_names has {len(names)} names for {n_nodes} nodes: give each one.")
    if len({*names}) < n_nodes:
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"node_names holds {twice!r} more than once: give every node its own name.")
    labels = labels_of((features, None)) if is_labelled(features) else None
    if labels is not None and tuple(labels) != names and {*labels} == {*names}:
        raise DataError(
            "node_names and the rows of features name the same nodes in different orders: give "
            "features.loc[node_names], or leave node_names out."
        )
    return names


def named(names: tuple[str, ...] | None, matrix: Any, what: str = "adjacency") -> Any:
    """Return a matrix of dyads with its rows and columns in the order of nodes' names.

    Raises
    ------
    DataError
        When a dataframe labels its rows with other names.
    """
    if names is None or not is_labelled(matrix):
        return matrix
    sides = [[str(label) for label in side] for side in (matrix.index, matrix.columns)]
    order: list[Any] = []
    for labels in sides:
        if tuple(labels) == names or len(labels) != len(names):
            order.append(slice(None))
        elif {*labels} == {*names}:
            place = {label: k for k, label in enumerate(labels)}
            order.append([place[name] for name in names])
        elif labels == [str(k) for k in range(len(labels))]:
            order.append(slice(None))  # they only count
        else:
            odd = next(label for label in labels if label not in names)
            raise DataError(
                f"{what} labels its rows or columns {odd!r}, which is no node: give it the "
                "names of the nodes, or an array in their order."
            )
    return matrix.iloc[order[0], order[1]]


def places_of(
    pairs: Any, names: tuple[str, ...] | None, n_nodes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return both ends of pairs of nodes, given by their names or their numbers from 0.

    Raises
    ------
    DataError
        For a node that is not there, and a node paired with itself.
    """
    place = {name: k for k, name in enumerate(names or ())}

    def found(node: Any, row: int) -> int:
        if isinstance(node, str) and node in place:
            return place[node]
        is_number = isinstance(node, int | np.integer) and not isinstance(node, bool)
        if is_number and 0 <= node < n_nodes:
            return int(node)
        some = f"its nodes are {', '.join(map(repr, list(names)[:6]))}, ..." if names else ""
        raise DataError(
            f"pair {row} names the node {node!r}, which is not there: "
            f"{some or f'they are numbered from 0 to {n_nodes - 1}'}."
        )

    ends = []
    for row, pair in enumerate(pairs):
        if len(pair) != 2:
            raise DataError(f"pair {row} has {len(pair)} entries: give two nodes.")
        u, v = (found(node, row) for node in pair)
        if u == v:
            raise DataError(f"pair {row} joins node {pair[0]!r} with itself, which is no dyad.")
        ends.append((u, v))
    i, j = np.array(ends, np.int64).reshape(-1, 2).T
    return i, j
