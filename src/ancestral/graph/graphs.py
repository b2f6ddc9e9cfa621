"""Lists of graphs, from whatever holds them, with one set of features.

Graphs are matched by the names of their features, and attributes of text by their levels.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ancestral._checks.numbers import warn
from ancestral.errors import DataError, DataTypeError
from ancestral.graph.attributes import Attribute
from ancestral.graph.graph import Graph, checked_features, column_names, refuse_large, shape_of

__all__ = [
    "Graph",
    "as_graphs",
    "checked_features",
    "column_names",
    "library_of",
    "refuse_directed",
    "refuse_large",
    "say_ignored_loops",
    "warn_of_odd_graphs",
]

logger = logging.getLogger("ancestral")


def as_graphs(
    graphs: Any,
    *,
    n_features: int | None = None,
    feature_names: Sequence[str] | None = None,
    directed: bool = False,
    missing: bool = False,
    with_features: bool = True,
) -> list[Graph]:
    """Return a list of `Graph` from graphs, (features, adjacency) tuples, or one of either.

    Parameters
    ----------
    graphs : list of Graph, or of (features, adjacency) tuples, or one of either
    n_features : int, optional
        The width of a model's features; that of the first graph when not given.
    feature_names : sequence of str, optional
        Those of a model; those of the first graph that has names when not given. Graphs whose
        names stand in another order are brought into this one; those without names are taken as
        they are.
    directed : bool
        Take graphs whose links have a direction.
    missing : bool
        Take features that are missing for some nodes.
    with_features : bool
        False leaves attributes as they are: they are neither compared nor spread to features, and
        may be missing.

    Raises
    ------
    DataError
        Naming the graph, or when widths of features differ, or when a graph names other features.
    DataTypeError
        When `graphs` is no list of graphs.
    """
    if isinstance(graphs, Graph) or _is_pair(graphs) or library_of(graphs):
        graphs = [graphs]
    try:
        items = list(graphs)
    except TypeError:
        raise DataTypeError(
            "graphs must be a list of Graph or of (features, adjacency); "
            f"got {type(graphs).__name__}."
        ) from None
    if not items:
        raise DataError("graphs is empty: give at least one graph.")
    result = [_as_graph(item, index) for index, item in enumerate(items)]
    if not directed:
        refuse_directed(result)
    if not with_features:
        return result
    for index, graph in enumerate(result):
        if graph._has_gaps and not missing:
            _refuse_gap(graph, index)
    if any(graph._columns is not None for graph in result):
        result = _of_common_levels(result, feature_names)
    wanted = result[0].n_features if n_features is None else n_features
    for index, graph in enumerate(result):
        if graph.n_features != wanted:
            raise DataError(
                f"graph {index} has {graph.n_features} features per node where {wanted} "
                "are expected. Every graph needs the same features."
            )
    names = tuple(feature_names or next((g.feature_names for g in result if g.feature_names), ()))
    source = "the model was fitted to" if feature_names else "another graph has"
    return [_by_name(graph, k, names, source) for k, graph in enumerate(result)]


def refuse_directed(graphs: Sequence[Graph], what: str = "this model's links have none") -> None:
    """Raise DataError for a graph whose links have a direction."""
    index = next((k for k, graph in enumerate(graphs) if graph.directed), None)
    if index is not None:
        raise DataError(
            f"graph {index} is directed, and {what} (p_ij = p_ji). Read it with "
            'directed="union", which links two nodes where a link leads either way, or with '
            'directed="intersection"; of a Graph, graph.undirected("union").'
        )


def _refuse_gap(graph: Graph, index: int) -> None:
    """Raise DataError at the first missing value of a graph's features."""
    i, j = (
        (int(k) for k in np.argwhere(np.isnan(graph.numbers))[0])
        if graph._columns is None
        else (
            min(
                (int(np.argmax(one.missing)), k)
                for k, one in enumerate(graph._columns)
                if one.missing.any()
            )
        )
    )
    node = f"node {i}" if graph.node_names is None else f"node {graph.node_names[i]!r}"
    raise DataError(
        f"graph {index}: features holds NaN at row {i}, column {j}: the attribute "
        f"{graph.attribute_names[j]!r} of {node} is missing. Drop the node or the attribute, or "
        "fill it in; DyadicGraph takes graphs in which no term's attribute is missing."
    )


def _of_common_levels(graphs: list[Graph], names: Sequence[str] | None) -> list[Graph]:
    """Return graphs whose attributes of text have the same levels: a model's, or all that occur."""
    wanted: dict[str, list[str]] = {}
    for graph in graphs:
        for one in graph._columns or ():
            if one.levels is not None:
                prefix = f"{one.name}="
                held = wanted.setdefault(
                    one.name, [n[len(prefix) :] for n in names or () if n.startswith(prefix)]
                )
                if not names:
                    held += [level for level in one.levels if level not in held]
    if not names and len(graphs) > 1:
        orders = {
            name: {g.attribute(name).levels for g in graphs if name in g.attribute_names}
            for name in wanted
        }
        wanted = {k: v if len(orders[k]) == 1 else sorted(v) for k, v in wanted.items()}
    return [_of_levels(graph, wanted, k) for k, graph in enumerate(graphs)]


def _of_levels(graph: Graph, wanted: Mapping[str, Sequence[str]], index: int) -> Graph:
    """Return a graph whose attributes of text have these levels."""
    moved = []
    for one in graph._columns or ():
        levels = wanted.get(one.name)
        if one.levels is None or not levels or one.levels == tuple(levels):
            moved.append(one)
            continue
        occur = [one.levels[k] for k in np.unique(one.values[one.values >= 0])]
        odd = next((level for level in occur if level not in levels), None)
        if odd is not None:
            raise DataError(
                f"graph {index}: {one.name!r} is {odd!r} for a node, a level that was not in the "
                f"fit: it knows {_listed(list(levels))}."
            )
        moved.append(
            Attribute(one.name, one.with_levels([*levels, *one.levels]).values, tuple(levels))
        )
    same = all(a is b for a, b in zip(moved, graph._columns or (), strict=True))
    return graph if same else graph.replaced(_columns=tuple(moved))


def _by_name(graph: Graph, index: int, names: tuple[str, ...], source: str) -> Graph:
    """Return the graph with its features in the order of these names; DataError for others."""
    own = graph.feature_names
    if not names or own is None or own == names:
        return graph
    if len({*names}) < len(names) or {*own} != {*names}:
        odd = next((name for name in own if name not in names), own[-1])
        raise DataError(
            f"graph {index} has the features {_listed(own)} where {source} {_listed(names)}: "
            f"{odd!r} is another. Give the same columns, in any order, or arrays without names to "
            "have them taken by their place."
        )
    columns = [own.index(name) for name in names]
    features = np.ascontiguousarray(graph.features[:, columns])
    return graph.replaced(features=features, feature_names=names)


def _listed(names: Sequence[str]) -> str:
    """Return some names, quoted."""
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(repr(name) for name in names[:6]) + more


def _is_pair(item: Any) -> bool:
    """Tell a single (features, adjacency) pair of arrays from a list of graphs."""
    return (
        isinstance(item, tuple)
        and len(item) == 2
        and not any(isinstance(part, Graph | tuple) for part in item)
        and all(_ndim(part) == 2 for part in item)
    )


def library_of(item: Any) -> str:
    """Return "networkx" or "igraph" for their graphs, else ""."""
    homes = (base.__module__.partition(".")[0] for base in type(item).__mro__)
    return next((home for home in homes if home in ("networkx", "igraph")), "")


def _ndim(part: Any) -> int:
    """Return the number of dimensions, of sparse matrices and ragged lists too."""
    try:
        return len(shape_of(part))
    except ValueError:  # ragged
        return 1 + max(_ndim(row) for row in part)


def _as_graph(item: Any, index: int) -> Graph:
    """Return one graph, its index named in any error."""
    if isinstance(item, Graph):
        return item
    if not isinstance(item, list | tuple) or len(item) != 2:
        library, kind = library_of(item), type(item).__name__
        mend = "give a Graph or (features, adjacency)"
        if library:
            kind, mend = f"{library} {kind}", f"{mend}: ancestral.io.from_{library} makes one"
        raise DataError(f"graph {index} is a {kind}; {mend}.")
    X, E = item
    if _looks_swapped(X, E):
        raise DataError(
            f"graph {index} looks like (adjacency, features): shapes {shape_of(X)} and "
            f"{shape_of(E)}. Give (features, adjacency)."
        )
    try:
        return Graph(X, E)
    except DataTypeError as error:
        raise DataTypeError(f"graph {index}: {error}") from None
    except DataError as error:
        raise DataError(f"graph {index}: {error}") from None


def _looks_swapped(X: Any, E: Any) -> bool:
    """Tell whether the first is a square 0/1 matrix and the second cannot be one."""
    try:
        first, second = shape_of(X), shape_of(E)
    except ValueError:  # ragged: to be named where it is read
        return False
    return (
        len(first) == 2 == len(second)
        and first[0] == first[1] == second[0]
        and second[0] != second[1]
    )


def warn_of_odd_graphs(graphs: Sequence[Graph]) -> None:
    """Warn of graphs without a pair of nodes."""
    single = sum(g.n_nodes == 1 for g in graphs)
    if single:
        warn(
            f"{single} of {len(graphs)} graphs have a single node and so no pair: they do not "
            "count for a and b."
        )


def say_ignored_loops(graphs: Sequence[Graph]) -> None:
    """Log once that diagonal entries are ignored: a fact about real data, no warning."""
    if not logger.isEnabledFor(logging.INFO):
        return
    loops = sum(bool(g.adjacency.diagonal().any()) for g in graphs)
    if loops:
        logger.info(
            "%d of %d graphs have ones on the diagonal of the adjacency; they are ignored: only "
            "pairs of different nodes have a probability.",
            loops,
            len(graphs),
        )
