"""Node labels of dataframes: an adjacency is read in the order of the features' rows.

A pandas dataframe names its rows, and a matrix of edges its columns as well. Where the names of two
sides are one set in two orders, the order of the features is meant, never the places. Names that
only count the rows (0, 1, ...) say nothing, unless the other side has these numbers in another
order: either may then be meant, and they are refused.
"""

from __future__ import annotations

from typing import Any

from ancestral.errors import DataError


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

    Of a dataframe its rows', of networkx its nodes, of igraph the vertex attribute "name".
    """
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
