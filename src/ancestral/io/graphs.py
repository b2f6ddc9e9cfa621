"""Graphs with node features from a user's file, or from networkx.

Node order is the file's own: row i of the features and row and column i of the adjacency belong
to the same node, whatever its id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import SMALLER_FILE, within_memory
from ancestral.errors import DataError, DataTypeError, FormatError
from ancestral.io.attributes import (
    Categorical,
    common_levels,
    features_of,
    without_missing_text,
)
from ancestral.io.kinds import recognise
from ancestral.io.npy import Archive
from ancestral.io.pickles import read_pickle
from ancestral.io.sources import PathLike, Source

if TYPE_CHECKING:
    from ancestral.graph.inner_product import Graph

MAX_BYTES = 512 << 20
R_NETWORK = ("na", "vertex.names")
NAMES = "feature_names"  # of an .npz of graphs: one text for each feature, of them all
_NUMBERED = re.compile(r"(features|adjacency|edges)_(\d+)", re.ASCII)


@within_memory(SMALLER_FILE)
def read_graphs(
    path: PathLike,
    *,
    attributes: Sequence[str] | None = None,
    categorical: Categorical = (),
    max_bytes: int = MAX_BYTES,
) -> list[Graph]:
    """Read graphs with node features.

    Parameters
    ----------
    path : str or path-like
        One of: a pickled list of tuples (features, adjacency), or one such tuple; an `.npz` with
        arrays `features` and `adjacency`, either of one graph or stacked, (n_graphs, n, m) and
        (n_graphs, n, n), or numbered `features_0`, `adjacency_0`, ..., where a large graph has
        `edges_0` (two node numbers from 0 in a row, each edge once) in place of its adjacency, and
        `feature_names` may name the columns; an `.npz` with one array `edges` and, beside it,
        `features` or an array of numbers or text for each node attribute; GraphML, undirected, with
        node attributes. Gzipped or not (an .npz not).
    attributes : sequence of str, optional
        Which node attributes (of GraphML, or beside `edges`) are the features, in this order.
        Default: all, in the order in which they first occur, but ids and what programs write to
        draw nodes (size, x and y, r, g and b, ...), which are named in a warning.
    categorical : sequence of str, or mapping of str to levels
        Which of these are groups: each level becomes a feature of 0 and 1, named "Race=White".
        The levels are those that occur in any graph of the file; give them, as in
        {"Race": ["Black", "White"]}, where files are read one by one and fitted together.
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

            parts = [
                (name, {k: without_missing_text(held) for k, held in nodes.items()}, edges)
                for name, nodes, edges in parse_graphml(source.read_all(), source.name, source.size)
            ]
            categorical = common_levels([part[:2] for part in parts], categorical)
            return [
                assemble(nodes, edges, attributes, name, categorical=categorical)
                for name, nodes, edges in parts
            ]
        archive = Archive(source) if kind == "zip" else None
        if archive is not None and "edges" in archive.keys and "features" not in archive.keys:
            return [_attributed(archive, attributes, categorical)]
        if attributes is not None or len(categorical):
            word = "categorical" if attributes is None else "attributes"
            raise DataError(
                f"{source.name}: {word}= chooses among named attributes of nodes, and here are "
                "none: features are the array of that name."
            )
        pairs = _stacks(archive) if archive else _pairs_of(read_pickle(source), source.name)
        names = _names_in(archive) if archive else None
        alone = len(pairs) == 1
        return [
            make_graph(X, E, source.name if alone else f"{source.name}: graph {i}", names)
            for i, (X, E) in enumerate(pairs)
        ]


def from_networkx(
    graph: Any, attributes: Sequence[str] | None = None, *, categorical: Categorical = ()
) -> Graph:
    """Return a networkx graph as features and adjacency.

    Parameters
    ----------
    graph : networkx.Graph
        Undirected, without loops or multiple edges; every node with the same numeric attributes.
    attributes : sequence of str, optional
        Which node attributes are the features, in this order. Default: all, in the order in
        which they first occur, but ids and what programs write to draw nodes (size, x and y, r, g
        and b, ...), which are named in a warning. An attribute may be a number or a vector of
        numbers.
    categorical : sequence of str, or mapping of str to levels
        Which of these are groups: each level becomes a feature of 0 and 1, named "Race=White".
        The levels are those that occur; give them, as in {"Race": ["Black", "White"]}, where
        graphs are fitted together.

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
    nodes, edges = dict(graph.nodes(data=True)), list(graph.edges())
    return assemble(nodes, edges, attributes, "graph", categorical=categorical)


def from_igraph(
    graph: Any, attributes: Sequence[str] | None = None, *, categorical: Categorical = ()
) -> Graph:
    """Return an igraph graph as features and adjacency.

    Parameters
    ----------
    graph : igraph.Graph
        Undirected, without loops or multiple edges; every vertex with the same attributes.
    attributes, categorical
        As for `from_networkx`.

    Returns
    -------
    Graph
        Vertices in their order; edge weights are not kept.

    Raises
    ------
    DataError
        As `from_networkx`; vertices are named by their number.

    Examples
    --------
    >>> import igraph
    >>> g = igraph.Graph(edges=[(0, 1)], vertex_attrs={"sex": ["F", "M"]})
    >>> from_igraph(g, categorical=["sex"]).feature_names
    ('sex=F', 'sex=M')
    """
    if not all(hasattr(graph, part) for part in ("vs", "get_edgelist", "is_directed")):
        raise DataTypeError(f"an igraph graph is wanted; got a {type(graph).__name__}.")
    if graph.is_directed():
        raise DataError("the graph is directed; make it undirected: graph.as_undirected().")
    columns = {key: graph.vs[key] for key in graph.vs.attributes()}
    nodes = {k: {key: held[k] for key, held in columns.items()} for k in range(graph.vcount())}
    return assemble(nodes, graph.get_edgelist(), attributes, "graph", categorical=categorical)


def assemble(
    nodes: Mapping[Any, Mapping[str, Any]],
    edges: Iterable[tuple[Any, Any]],
    attributes: Sequence[str] | None,
    name: str,
    *,
    categorical: Categorical = (),
) -> Graph:
    """Return the graph of nodes (id to attributes) and edges between ids."""
    from ancestral.graph.adjacency import repeated_edge, symmetric

    if not nodes:
        raise DataError(f"{name}: has no nodes.")
    X, names = features_of(nodes, attributes, categorical, name)
    place = {node: i for i, node in enumerate(nodes)}
    ends = np.array([_ends(u, v, place, name) for u, v in edges], np.int64).reshape(-1, 2)
    i, j = ends.T
    twice = repeated_edge(i, j, len(nodes))
    if twice is not None:
        ids = list(nodes)
        u, v = (ids[k] for k in twice)
        raise DataError(f"{name}: nodes {u!r} and {v!r} are linked more than once: keep one edge.")
    return make_graph(X, symmetric(i, j, len(nodes)), name, names)


def _ends(u: Any, v: Any, place: Mapping[Any, int], name: str) -> tuple[int, int]:
    """Return the places of an edge's ends, the lower first."""
    if u not in place or v not in place:
        raise DataError(f"{name}: an edge leads to node {v if u in place else u!r}, not there.")
    if u == v:
        raise DataError(f"{name}: node {u!r} has an edge to itself: drop it.")
    i, j = place[u], place[v]
    return (i, j) if i < j else (j, i)


def make_graph(X: Any, E: Any, name: str, names: Sequence[str] | None = None) -> Graph:
    """Return the checked graph, its features named; errors carry the name."""
    from scipy import sparse

    from ancestral.graph.graphs import Graph

    for part, array in (("features", X), ("adjacency", E)):
        if not isinstance(array, np.ndarray) and not (part == "adjacency" and sparse.issparse(E)):
            raise DataTypeError(f"{name}: {part} is a {type(array).__name__}, not an array.")
    if isinstance(E, np.ndarray) and _swapped(X, E):
        raise DataError(
            f"{name}: features and adjacency are swapped: got shapes {X.shape} and {E.shape}, "
            "(adjacency, features). Give (features, adjacency)."
        )
    if len(X.shape) == 2 and 0 in X.shape:
        raise DataError(f"{name}: has features of shape {X.shape}: nothing to model.")
    try:
        return Graph(X, E, None if names is None else tuple(names))
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


def _attributed(
    archive: Archive, attributes: Sequence[str] | None, categorical: Categorical
) -> Graph:
    """Return the graph of an .npz of edges and an array for each node attribute.

    Single numbers and words (a count of nodes, a title) are no attributes, nor are by themselves
    the names and marks of missing nodes that R's network package keeps.
    """
    name = archive.name
    attributes = [attributes] if isinstance(attributes, str) else attributes
    chosen = attributes or [key for key in archive.keys if key not in ("edges", *R_NETWORK)]
    absent = [key for key in chosen if key not in archive.keys]
    if absent:
        raise DataError(f"{name}: has no array {absent[0]!r}; it has {', '.join(archive.keys)}.")
    held = {key: archive.read_values(key) for key in chosen}
    columns = {key: values for key, values in held.items() if isinstance(values, list)}
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        seen = ", ".join(f"{key} ({len(values)})" for key, values in columns.items())
        raise DataError(
            f"{name}: an array of one value per node is wanted for each attribute; got "
            f"{seen or 'none'}. Choose with attributes=[...]."
        )
    (n,) = lengths
    nodes = {
        k: without_missing_text({key: values[k] for key, values in columns.items()})
        for k in range(n)
    }
    ends = _checked_ends(archive.read("edges"), n, f"{name}: edges")
    return assemble(nodes, ends.tolist(), attributes, name, categorical=categorical)


def _names_in(archive: Archive) -> list[str] | None:
    """Return the features' names that an .npz of graphs holds, if any."""
    if NAMES not in archive.keys:
        return None
    names = archive.read_values(NAMES)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FormatError(f"{archive.name}: {NAMES!r} must hold one text for each feature.")
    return names


def _stacks(archive: Archive) -> list[tuple[NDArray, Any]]:
    """Return the pairs of an .npz: single, stacked or numbered."""
    keys = set(archive.keys) - {NAMES}
    if keys == {"features", "edges"}:
        X = archive.read("features")
        return [(X, _adjacency_of(archive.read("edges"), len(X), f"{archive.name}: edges"))]
    if keys == {"features", "adjacency"}:
        X, E = archive.read("features"), archive.read("adjacency")
        if X.ndim == 3 or E.ndim == 3:
            if X.ndim != E.ndim or len(X) != len(E) or len(X) == 0:
                raise DataError(
                    f"{archive.name}: stacked features {X.shape} and adjacency {E.shape} do not "
                    "go together; (n_graphs, n, m) and (n_graphs, n, n) are wanted."
                )
            return list(zip(X, E))
        return [(X, E)]
    matches = [_NUMBERED.fullmatch(key) for key in keys]
    numbers = sorted({int(match[2]) for match in matches if match})
    second = {i: f"edges_{i}" if f"edges_{i}" in keys else f"adjacency_{i}" for i in numbers}
    wanted = {f"features_{i}" for i in numbers} | set(second.values())
    if not keys or keys != wanted:
        odd = sorted(keys ^ wanted)[:6]
        raise FormatError(
            f"{archive.name}: arrays named features and adjacency (or edges), features_0 and "
            "adjacency_0 (or edges_0) and so on, or edges and node attributes, are wanted; look at "
            f"{', '.join(odd) if odd else 'its lack of arrays'}."
        )
    pairs = []
    for i in numbers:
        X, E = archive.read(f"features_{i}"), archive.read(second[i])
        if second[i].startswith("edges"):
            E = _adjacency_of(E, len(X), f"{archive.name}: edges_{i}")
        pairs.append((X, E))
    return pairs


def _adjacency_of(edges: NDArray, n_nodes: int, name: str) -> Any:
    """Return the sparse adjacency of rows of two node numbers, each edge once."""
    from ancestral.graph.adjacency import repeated_edge, symmetric

    i, j = _checked_ends(edges, n_nodes, name).T
    twice = repeated_edge(i, j, n_nodes)
    if twice is not None:
        u, v = twice
        raise DataError(f"{name}: nodes {u} and {v} are linked more than once: keep one edge.")
    return symmetric(i, j, n_nodes)


def _checked_ends(edges: NDArray, n_nodes: int, name: str) -> NDArray[np.int64]:
    """Return rows of two node numbers, the lower first; refuse what is no edge, naming its row."""
    if edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype.kind not in "iu":
        raise DataError(
            f"{name}: whole numbers of shape (n_edges, 2) are wanted; got {edges.dtype} "
            f"{edges.shape}."
        )
    ends = np.sort(edges.astype(np.int64), axis=1)
    i, j = ends.T
    wrong = (i < 0) | (j >= n_nodes) | (i == j)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{name}: row {row} joins {edges[row, 0]} and {edges[row, 1]}; two different nodes of "
            f"0 to {n_nodes - 1} are wanted."
        )
    return ends
