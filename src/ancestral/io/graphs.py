"""Graphs with node features from a user's file, or from networkx.

Node order is the file's own: row i of the features and row and column i of the adjacency belong
to the same node, whatever its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ancestral._checks.missing import is_missing
from ancestral._checks.numbers import SMALLER_FILE, within_memory
from ancestral.errors import DataError, DataTypeError
from ancestral.io.assembling import LEVELS, MAX_BYTES, UNKNOWN, assemble, columns_of
from ancestral.io.attributes import Categorical, common_levels, without_missing_text
from ancestral.io.graph_archives import checked_ends, make_graph, read_archive
from ancestral.io.kinds import recognise
from ancestral.io.links import BINARISE, DROP, KEEP, MERGE, Choices, Links
from ancestral.io.npy import Archive
from ancestral.io.parsed import Parsed
from ancestral.io.pickles import read_pickle
from ancestral.io.sources import PathLike, Source

if TYPE_CHECKING:
    from ancestral.graph.graph import Graph

R_NETWORK = ("na", "vertex.names")


@within_memory(SMALLER_FILE)
def read_graphs(
    path: PathLike,
    *,
    attributes: Sequence[str] | None = None,
    categorical: Categorical = (),
    max_bytes: int = MAX_BYTES,
    directed: str | bool = KEEP,
    multiple: str = MERGE,
    loops: str = DROP,
    weights: str = BINARISE,
    weight: str | None = None,
) -> list[Graph]:
    """Read graphs with the attributes of their nodes.

    Parameters
    ----------
    path : str or path-like
        A file of one of these kinds, gzipped or not (an `.npz` is never gzipped):

        - GraphML or GML;
        - an adjacency matrix, as Matrix Market or as a table of text with or without names;
        - a table of links as text (see `read_edge_list`, which also reads a table of nodes);
        - a pickled list of tuples (features, adjacency), or one such tuple;
        - an `.npz` that `write_graphs` wrote;
        - an `.npz` with arrays `features` and `adjacency`: of one graph; or stacked, of shapes
          (n_graphs, n, m) and (n_graphs, n, n); or numbered, `features_0`, `adjacency_0`, and so
          on. A large graph may have `edges_0` (two node numbers from 0 in each row, each edge
          once) in place of its adjacency. `feature_names` may name the columns;
        - an `.npz` with an array `edges`, and `features` or one array of numbers or text for each
          node attribute.

        Other kinds are refused. If networkx or igraph can read the file, the message tells how.
    attributes : sequence of str, optional
        The node attributes (of GraphML and GML, or next to `edges`) to use, in this order. By
        default all, in the order in which they first occur, except ids and attributes that programs
        write to draw nodes (size, x and y, r, g and b, ...). A warning names those that are left
        out.
    categorical : sequence of str, or mapping of str to levels
        Attributes whose numbers are codes of groups: each level becomes a feature of 0 and 1, with
        a name such as "Grade=7". Text is always read in this way. The levels are those that occur
        in any graph of the file. If several files are read and then fitted together, give the
        levels, as in {"Race": ["Black", "White"]}.
    max_bytes : int
        The most bytes to which a compressed file may expand (default 512 MiB). Larger files are
        refused.
    directed : {"keep", "union", "intersection", "refuse"}, or bool
        "keep" keeps directions that the file states. "union" links two nodes if a link leads in at
        least one direction, "intersection" if links lead in both; "refuse" refuses directions. True
        takes links without a stated direction as leading from their first end to their second;
        links that are stated to have no direction lead both ways.
    multiple : {"merge", "refuse"}
        "merge" counts a repeated link once; "refuse" refuses it.
    loops : {"drop", "refuse"}
        "drop" leaves out links of a node with itself; "refuse" refuses them.
    weights : {"binarise", "refuse"}
        "binarise" reads any weight except 0 as a link, and a missing weight as an unknown dyad;
        "refuse" refuses weights.
    weight : str, optional
        The column of a table of links, or the attribute of edges, that holds the weights, as in
        weight="hours". By default the first column of numbers that is called weight, weights,
        value, count, strength, frequency or tie, in this order, in small letters or capitals. An
        edge of a graph file that does not have the attribute is a link. If no column holds weights,
        every line is a link; a warning names columns of numbers with a 0 or a gap.

    Returns
    -------
    list of Graph

    Raises
    ------
    FormatError
        When the file is missing, truncated, damaged, of another kind, or would run code.
    DataError
        When an item is no graph (entries other than 0 and 1 in a pickle or an .npz, or sizes that
        differ); the message names the graph. When features and adjacency are in the wrong order.
        When an option is "refuse" and the file holds what it refuses. When the column `weight` is
        not there. When `weights` is given, and no column holds weights, but others may: with
        "binarise" columns of numbers, with "refuse" those with a 0 or a gap. The message names
        these.
    MissingExtraError
        For GraphML if the packages of the extra `graphs` are not installed.

    Notes
    -----
    If `directed`, `multiple`, `loops` or `weights` changes the links by its default, one warning
    for each file tells it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from ancestral import datasets, io
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "rooms.npz"
    >>> _ = io.write_graphs(path, datasets.classrooms(3))
    >>> len(read_graphs(path))
    3
    """
    choices = Choices(directed, multiple, loops, weights, weight)
    with Source(path, max_bytes=max_bytes) as source:
        kind = recognise(source, ("pickle", "zip", "xml", "text"))
        if kind == "xml":
            from ancestral.io.graphml import parse_graphml

            parts = parse_graphml(source.read_all(), source.name, source.size)
            return _of_parsed(parts, attributes, categorical, choices)
        if kind == "text":
            from ancestral.io.graph_texts import read_text

            found = read_text(source, choices)
            if isinstance(found, list):
                return _of_parsed(found, attributes, categorical, choices)
            _refuse_choosing(source.name, attributes, categorical)
            _refuse_weight(source.name, weight)
            return [found]
        archive = Archive(source) if kind == "zip" else None
        if archive is not None and "edges" in archive.keys and "features" not in archive.keys:
            return [_attributed(archive, attributes, categorical, choices)]
        _refuse_choosing(source.name, attributes, categorical)
        _refuse_weight(source.name, weight)
        if archive is not None:
            return read_archive(archive, choices)
        pairs = _pairs_of(read_pickle(source), source.name)
        alone = len(pairs) == 1
        return [
            make_graph(X, E, source.name if alone else f"{source.name}: graph {i}", choices=choices)
            for i, (X, E) in enumerate(pairs)
        ]


def _refuse_choosing(name: str, attributes: Sequence[str] | None, categorical: Categorical) -> None:
    """Raise DataError for a choice among attributes where there are none with a name."""
    if attributes is not None or len(categorical):
        word = "categorical" if attributes is None else "attributes"
        raise DataError(
            f"{name}: {word}= chooses among named attributes of nodes, and this file has none: "
            "features are the array of that name."
        )


def _refuse_weight(name: str, weight: str | None) -> None:
    """Raise DataError for the name of a column where links have none."""
    if weight is not None:
        raise DataError(
            f"{name}: weight={weight!r} names a column of links, and this file holds a matrix of "
            "links: leave weight= out."
        )


def _of_parsed(
    parts: Sequence[Parsed],
    attributes: Sequence[str] | None,
    categorical: Categorical,
    choices: Choices,
) -> list[Graph]:
    """Return the graphs that a reader found."""
    for part in parts:
        part.nodes = {k: without_missing_text(held) for k, held in part.nodes.items()}
    categorical = common_levels([(part.name, part.nodes) for part in parts], categorical)
    return [
        assemble(
            part.nodes,
            part.links,
            attributes,
            part.name,
            categorical=categorical,
            choices=choices,
            kinds=part.kinds,
            unknown=part.unknown,
            levels=part.levels,
            only_numbered=True,
        )
        for part in parts
    ]


def from_networkx(
    graph: Any,
    attributes: Sequence[str] | None = None,
    *,
    categorical: Categorical = (),
    directed: str | bool = KEEP,
    multiple: str = MERGE,
    loops: str = DROP,
    weights: str = BINARISE,
    weight: str | None = None,
) -> Graph:
    """Return a networkx graph as a Graph, with the names and attributes of its nodes.

    Parameters
    ----------
    graph : networkx.Graph, DiGraph, MultiGraph or MultiDiGraph
    attributes : sequence of str, optional
        The node attributes to use, in this order. By default all, in the order in which they first
        occur, except ids and attributes that programs write to draw nodes (size, x and y, r, g and
        b, ...). A warning names those that are left out. An attribute may be a number, a text, or a
        vector of numbers. It is missing for nodes that do not have it.
    categorical : sequence of str, or mapping of str to levels
        Attributes whose numbers are codes of groups. The levels are those that occur. If several
        graphs are fitted together, give the levels, as in {"Race": ["Black", "White"]}.
    directed, multiple, loops, weights, weight
        As for `read_graphs`.

    Returns
    -------
    Graph
        Nodes are in the order of `graph.nodes`. Pairs of nodes in `graph.graph["unknown"]`, as
        written by `to_networkx`, are unknown dyads.

    Raises
    ------
    DataError
        When an option is "refuse" and the graph holds what it refuses; when an attribute is no
        number or text, or is not finite. The message names the node.

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
    choices = Choices(directed, multiple, loops, weights, weight)
    nodes, ends = dict(graph.nodes(data=True)), list(graph.edges())
    links = Links(ends, graph.is_directed(), columns_of([d for _, _, d in graph.edges(data=True)]))
    beside: Any = {key: graph.graph.get(key) for key in (UNKNOWN, LEVELS)}
    return assemble(
        nodes, links, attributes, "graph", categorical=categorical, choices=choices, **beside
    )


def from_igraph(
    graph: Any,
    attributes: Sequence[str] | None = None,
    *,
    categorical: Categorical = (),
    directed: str | bool = KEEP,
    multiple: str = MERGE,
    loops: str = DROP,
    weights: str = BINARISE,
    weight: str | None = None,
) -> Graph:
    """Return an igraph graph as a Graph, with the names and attributes of its vertices.

    Parameters
    ----------
    graph : igraph.Graph
    attributes, categorical, directed, multiple, loops, weights, weight
        As for `from_networkx`.

    Returns
    -------
    Graph
        Nodes are in the order of the vertices, with names from the attribute "name" or "label".

    Raises
    ------
    DataError
        As `from_networkx`; the message gives the number of the vertex.

    Examples
    --------
    >>> import igraph
    >>> g = igraph.Graph(edges=[(0, 1)], vertex_attrs={"sex": ["F", "M"]})
    >>> from_igraph(g).feature_names
    ('sex=F', 'sex=M')
    """
    if not all(hasattr(graph, part) for part in ("vs", "get_edgelist", "is_directed")):
        raise DataTypeError(f"an igraph graph is wanted; got a {type(graph).__name__}.")
    choices = Choices(directed, multiple, loops, weights, weight)
    columns = {key: graph.vs[key] for key in graph.vs.attributes()}
    nodes = {k: {key: held[k] for key, held in columns.items()} for k in range(graph.vcount())}
    beside_ends = {key: graph.es[key] for key in graph.es.attributes()}
    links = Links(graph.get_edgelist(), graph.is_directed(), beside_ends)
    beside: Any = {
        key: graph[key] if key in graph.attributes() else None for key in (UNKNOWN, LEVELS)
    }
    own = columns.get("name", [])
    if own and "name" not in (beside[LEVELS] or {}) and not any(map(is_missing, own)):
        counted = [str(k) for k in range(len(own))]
        beside["named"] = own if [str(one) for one in own] != counted else None
    return assemble(
        nodes, links, attributes, "graph", categorical=categorical, choices=choices, **beside
    )


def _pairs_of(value: Any, name: str) -> list[tuple[Any, Any]]:
    """Return the (features, adjacency) pairs of an unpickled value."""
    if _is_pair(value) and isinstance(value[0], np.ndarray):
        value = [value]
    if not isinstance(value, list | tuple):
        raise DataError(
            f"{name}: holds a {type(value).__name__}; a list of tuples (features, adjacency) is "
            "wanted."
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
    archive: Archive,
    attributes: Sequence[str] | None,
    categorical: Categorical,
    choices: Choices,
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
    ends = checked_ends(archive.read("edges"), n, f"{name}: edges")
    links = Links(ends.tolist(), directed=None)
    return assemble(nodes, links, attributes, name, categorical=categorical, choices=choices)
