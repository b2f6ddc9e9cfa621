"""Graphs with node features from a user's file, or from networkx.

Node order is the file's own: row i of the features and row and column i of the adjacency belong
to the same node, whatever its id.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import DataError, DataTypeError, FormatError
from ancestral.io.files import PathLike, Source
from ancestral.io.kinds import recognise
from ancestral.io.npy import Archive
from ancestral.io.pickles import read_pickle

if TYPE_CHECKING:
    from ancestral.graph.inner_product import Graph

MAX_BYTES = 512 << 20
_NUMBERED = re.compile(r"(features|adjacency)_(\d+)", re.ASCII)


def read_graphs(
    path: PathLike, *, attributes: Sequence[str] | None = None, max_bytes: int = MAX_BYTES
) -> list[Graph]:
    """Read graphs with node features.

    Parameters
    ----------
    path : str or path-like
        One of: a pickled list of tuples (features, adjacency), or one such tuple; an `.npz` with
        arrays `features` and `adjacency`, either of one graph or stacked, (n_graphs, n, m) and
        (n_graphs, n, n), or numbered `features_0`, `adjacency_0`, ...; GraphML, undirected, with
        numeric node attributes. Gzipped or not (an .npz not).
    attributes : sequence of str, optional
        Which node attributes of a GraphML file are the features, in this order. Default: all, in
        the order in which they first occur.
    max_bytes : int
        Refuse a compressed file that expands further, in bytes (default 512 MiB).

    Returns
    -------
    list of Graph

    Raises
    ------
    FormatError
        When the file is missing, truncated, damaged, of another kind, or would run code.
    DataError
        When a graph is not one (asymmetric, not 0/1, sizes that differ, NaN), naming which; when
        features and adjacency are the wrong way round; when a GraphML graph is directed or has
        loops, multiple edges, or nodes without attributes.
    MissingExtraError
        For GraphML without the packages of the extra `graphs`.
    """
    with Source(path, max_bytes=max_bytes) as source:
        kind = recognise(source, ("pickle", "zip", "xml"))
        if kind == "xml":
            from ancestral.io.graphml import parse_graphml

            parts = parse_graphml(source.read_all(), source.name)
            return [assemble(nodes, edges, attributes, name) for name, nodes, edges in parts]
        if attributes is not None:
            raise DataError(f"{source.name}: attributes= belongs to GraphML; here it has no use.")
        pairs = _pairs_of(read_pickle(source), source.name) if kind == "pickle" else _stacks(source)
        alone = len(pairs) == 1
        return [
            make_graph(X, E, source.name if alone else f"{source.name}: graph {i}")
            for i, (X, E) in enumerate(pairs)
        ]


def from_networkx(graph: Any, attributes: Sequence[str] | None = None) -> Graph:
    """Return a networkx graph as features and adjacency.

    Parameters
    ----------
    graph : networkx.Graph
        Undirected, without loops or multiple edges; every node with the same numeric attributes.
    attributes : sequence of str, optional
        Which node attributes are the features, in this order. Default: all, in the order in
        which they first occur. An attribute may be a number or a vector of numbers.

    Returns
    -------
    Graph
        Nodes in the order of `graph.nodes`; edge weights are not kept.

    Raises
    ------
    DataError
        When the graph is directed or has loops or multiple edges, or an attribute is missing,
        not a number, or not finite, naming the node.

    Examples
    --------
    >>> import networkx
    >>> g = networkx.Graph([("ann", "bob")])
    >>> networkx.set_node_attributes(g, {"ann": 0.5, "bob": -0.5}, "x")
    >>> from_networkx(g).adjacency
    array([[0, 1],
           [1, 0]], dtype=int8)
    """
    if not all(hasattr(graph, part) for part in ("nodes", "edges", "is_directed")):
        raise DataTypeError(f"a networkx graph is wanted; got a {type(graph).__name__}.")
    if graph.is_directed():
        raise DataError("the graph is directed; make it undirected: graph.to_undirected().")
    return assemble(dict(graph.nodes(data=True)), list(graph.edges()), attributes, "graph")


def assemble(
    nodes: Mapping[Any, Mapping[str, Any]],
    edges: Iterable[tuple[Any, Any]],
    attributes: Sequence[str] | None,
    name: str,
) -> Graph:
    """Return the graph of nodes (id to attributes) and edges between ids."""
    if not nodes:
        raise DataError(f"{name}: has no nodes.")
    if isinstance(attributes, str):
        attributes = [attributes]
    if attributes is None:
        attributes = list(dict.fromkeys(key for values in nodes.values() for key in values))
    if not attributes:
        raise DataError(f"{name}: its nodes have no attributes; each needs at least one number.")
    features = [_features_of(node, values, attributes, name) for node, values in nodes.items()]
    widths = {len(row): node for row, node in zip(features, nodes)}
    if len(widths) > 1:
        raise DataError(f"{name}: nodes differ in their number of features: {sorted(widths)}.")
    place = {node: i for i, node in enumerate(nodes)}
    E = np.zeros((len(nodes), len(nodes)), np.int8)
    for u, v in edges:
        if u not in place or v not in place:
            raise DataError(f"{name}: an edge leads to node {v if u in place else u!r}, not there.")
        i, j = place[u], place[v]
        if i == j:
            raise DataError(f"{name}: node {u!r} has an edge to itself: drop it.")
        if E[i, j]:
            raise DataError(
                f"{name}: nodes {u!r} and {v!r} are linked more than once: keep one edge."
            )
        E[i, j] = E[j, i] = 1
    return make_graph(np.array(features, np.float64), E, name)


def _features_of(
    node: Any, values: Mapping[str, Any], attributes: Sequence[str], name: str
) -> list[float]:
    """Return one node's features, vectors laid end to end."""
    row: list[float] = []
    for key in attributes:
        if key not in values:
            raise DataError(f"{name}: node {node!r} has no attribute {key!r}.")
        try:
            numbers = [float(v) for v in np.ravel(values[key])]
        except (TypeError, ValueError):
            raise DataError(
                f"{name}: node {node!r} has {key!r} = {str(values[key])[:40]!r}, a number is "
                "wanted; pass attributes=[...] to choose the numeric ones."
            ) from None
        if not all(math.isfinite(v) for v in numbers):
            raise DataError(f"{name}: node {node!r} has {key!r} = {numbers}: drop or impute it.")
        row.extend(numbers)
    return row


def make_graph(X: Any, E: Any, name: str) -> Graph:
    """Return the checked graph; errors carry the name."""
    from ancestral.graph.inner_product import Graph

    for part, array in (("features", X), ("adjacency", E)):
        if not isinstance(array, np.ndarray):
            raise DataTypeError(f"{name}: {part} is a {type(array).__name__}, not an array.")
    if _swapped(X, E):
        raise DataError(
            f"{name}: features and adjacency are swapped: got shapes {X.shape} and {E.shape}, "
            "(adjacency, features). Give (features, adjacency)."
        )
    if len(X.shape) == 2 and 0 in X.shape:
        raise DataError(f"{name}: has features of shape {X.shape}: nothing to model.")
    try:
        return Graph(X, E)
    except DataError as error:
        raise type(error)(f"{name}: {error}") from None


def _swapped(X: NDArray, E: NDArray) -> bool:
    """Tell whether the first is an adjacency and the second is not."""
    return _is_adjacency(X) and len(E) == len(X) and E.ndim == 2 and not _is_adjacency(E)


def _is_adjacency(A: NDArray) -> bool:
    square = A.ndim == 2 and A.shape[0] == A.shape[1]
    return square and bool(np.isin(A, (0, 1)).all() and (A == A.T).all())


def _pairs_of(value: Any, name: str) -> list[tuple[Any, Any]]:
    """Return the (features, adjacency) pairs of an unpickled value."""
    if _is_pair(value) and isinstance(value[0], np.ndarray):
        value = [value]
    if not isinstance(value, list | tuple):
        raise DataError(
            f"{name}: holds a {type(value).__name__}; a list of tuples (features, adjacency) "
            "is wanted."
        )
    if not value:
        raise DataError(f"{name}: holds no graphs.")
    for i, pair in enumerate(value):
        if not _is_pair(pair):
            what = f"of {len(pair)} things" if isinstance(pair, list | tuple) else ""
            raise DataError(
                f"{name}: graph {i} is a {type(pair).__name__} {what}".rstrip()
                + "; a tuple (features, adjacency) is wanted."
            )
    return list(value)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _stacks(source: Source) -> list[tuple[NDArray, NDArray]]:
    """Return the pairs of an .npz: single, stacked or numbered."""
    archive = Archive(source)
    keys = set(archive.keys)
    if keys == {"features", "adjacency"}:
        X, E = archive.read("features"), archive.read("adjacency")
        if X.ndim == 3 or E.ndim == 3:
            if X.ndim != E.ndim or len(X) != len(E) or len(X) == 0:
                raise DataError(
                    f"{source.name}: stacked features {X.shape} and adjacency {E.shape} do not "
                    "go together; (n_graphs, n, m) and (n_graphs, n, n) are wanted."
                )
            return list(zip(X, E))
        return [(X, E)]
    matches = [_NUMBERED.fullmatch(key) for key in keys]
    numbers = sorted({int(match[2]) for match in matches if match})
    wanted = {f"{part}_{i}" for part in ("features", "adjacency") for i in numbers}
    if not keys or keys != wanted:
        odd = sorted(keys ^ wanted)[:6]
        raise FormatError(
            f"{source.name}: arrays named features and adjacency, or features_0 and adjacency_0 "
            f"and so on, are wanted; look at {', '.join(odd) if odd else 'its lack of arrays'}."
        )
    return [(archive.read(f"features_{i}"), archive.read(f"adjacency_{i}")) for i in numbers]
