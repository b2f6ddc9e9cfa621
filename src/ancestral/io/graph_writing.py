"""Graphs for other programs: networkx, igraph, tables, GraphML; and what comes back is the same.

Nodes keep their names, their attributes and the attributes' types; a missing value is left out.
Dyads that nobody observed are no links there: networkx, igraph and GraphML carry them as a list
beside the graph, tables as rows without a weight. What is known of dyads is not written: an `.npz`
of `write_graphs` keeps it.
"""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ancestral._checks.numbers import warn
from ancestral._extras import need
from ancestral._files import as_path, write_atomically
from ancestral.errors import AncestralWarning, DataError, SaveError
from ancestral.io.assembling import LABELS, LEVELS, UNKNOWN
from ancestral.io.attributes import attributes_of
from ancestral.io.sources import PathLike

if TYPE_CHECKING:
    from ancestral.graph.attributes import Attribute
    from ancestral.graph.graph import Graph

_NO_XML = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
PREFIX = "ancestral."  # of what stands beside a graph in GraphML


def to_networkx(graph: Any) -> Any:
    """Return a networkx graph with the names and attributes of the nodes.

    Parameters
    ----------
    graph : Graph, or (features, adjacency)

    Returns
    -------
    networkx.Graph or networkx.DiGraph
        Its nodes are the names, or numbers from 0. Missing values are left out. Unknown dyads are
        not edges: they are listed in `.graph["unknown"]`, which `from_networkx` reads.

    Raises
    ------
    MissingExtraError
        When networkx is not installed.

    Examples
    --------
    >>> from ancestral import Graph
    >>> g = Graph([[7.0], [8.0]], [[0, 1], [1, 0]], ["age"], node_names=["ann", "bob"])
    >>> to_networkx(g).nodes(data=True)
    NodeDataView({'ann': {'age': 7.0}, 'bob': {'age': 8.0}})
    """
    need("to_networkx", "graphs:networkx")
    import networkx

    one = _one(graph)
    made = networkx.DiGraph() if one.directed else networkx.Graph()
    ids = _ids(one)
    columns = _columns(one)
    for k, node in enumerate(ids):
        made.add_node(node, **{name: v[k] for name, v in columns.items() if v[k] is not None})
    i, j = one.edges()
    made.add_edges_from((ids[a], ids[b]) for a, b in zip(i.tolist(), j.tolist(), strict=True))
    made.graph.update(_beside(one, ids))
    return made


def to_igraph(graph: Any) -> Any:
    """Return an igraph graph with the names and attributes of the nodes.

    Parameters
    ----------
    graph : Graph, or (features, adjacency)

    Returns
    -------
    igraph.Graph
        Names are in the vertex attribute "name". Missing values are None. Unknown dyads are not
        edges: they are listed in the graph attribute "unknown", which `from_igraph` reads.

    Raises
    ------
    MissingExtraError
        When igraph is not installed.

    Examples
    --------
    >>> from ancestral import Graph
    >>> g = Graph([[7.0], [8.0]], [[0, 1], [1, 0]], ["age"], node_names=["ann", "bob"])
    >>> to_igraph(g).vs["name"]
    ['ann', 'bob']
    """
    need("to_igraph", "graphs:igraph")
    import igraph

    one = _one(graph)
    ends = np.stack(one.edges(), axis=1).tolist()
    made = igraph.Graph(n=one.n_nodes, edges=ends, directed=one.directed)
    if one.node_names is not None:
        if any(attribute.name == "name" for attribute in _attributes(one)):
            raise DataError("an attribute is named 'name', as are the nodes in igraph: rename it.")
        made.vs["name"] = list(one.node_names)
    for name, values in _columns(one).items():
        made.vs[name] = values
    for name, value in _beside(one, list(range(one.n_nodes))).items():
        made[name] = value
    return made


def to_frames(graph: Any) -> tuple[Any, Any]:
    """Return a dataframe of links and a dataframe of nodes, as Gephi and `from_frames` read them.

    Parameters
    ----------
    graph : Graph, or (features, adjacency)

    Returns
    -------
    edges : pandas.DataFrame
        Columns Source, Target and Type ("Directed" or "Undirected"). If there are unknown dyads,
        also Weight: 1 for links, missing for unknown dyads.
    nodes : pandas.DataFrame
        Columns Id, Label and the attributes.

    Raises
    ------
    MissingExtraError
        When pandas is not installed.

    Examples
    --------
    >>> from ancestral import Graph
    >>> g = Graph([[7.0], [8.0]], [[0, 1], [1, 0]], ["age"], node_names=["ann", "bob"])
    >>> to_frames(g)[0].values.tolist()
    [['ann', 'bob', 'Undirected']]
    """
    need("to_frames", "tables:pandas")
    import pandas as pd

    one = _one(graph)
    edges, nodes = _edge_rows(one), _node_rows(one)
    of_nodes = pd.DataFrame({head: list(values) for head, values in nodes.items()})
    for attribute in _attributes(one):
        if attribute.levels is not None:
            kinds = pd.CategoricalDtype(list(attribute.levels))
            of_nodes[attribute.name] = pd.Categorical(nodes[attribute.name], dtype=kinds)
        else:
            of_nodes[attribute.name] = attribute.values
    if LEVELS in (beside := _beside(one, _ids(one))):
        of_nodes.attrs[LEVELS] = beside[LEVELS]
    return pd.DataFrame(edges), of_nodes


def write_edge_list(edges: PathLike, nodes: PathLike, graph: Any) -> tuple[Path, Path]:
    """Write a graph as a table of links and a table of nodes, which Gephi and R can open.

    Parameters
    ----------
    edges, nodes : str or path-like
        The files of the two tables: `.csv`, or `.tsv` with tabs.
    graph : Graph, or (features, adjacency)

    Returns
    -------
    tuple of Path
        The two paths. The tables are those of `to_frames`, and `read_edge_list` reads them.

    Raises
    ------
    SaveError
        When a file cannot be written. Old files are then unchanged, or at least the second one is.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from ancestral import datasets
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> graph = datasets.classrooms(1)[0]
    >>> tables = write_edge_list(folder / "edges.csv", folder / "nodes.csv", graph)
    >>> [path.name for path in tables]
    ['edges.csv', 'nodes.csv']
    """
    one = _one(graph)
    paths = as_path(edges), as_path(nodes)
    for path in paths:
        if path.suffix.lower() not in (".csv", ".tsv"):
            raise SaveError(f"{path}: tables are written as .csv or .tsv; end the name so.")
    if one.unknown is not None:
        warn(
            f"{paths[0]}: {one.n_unknown} unknown dyads are rows without a weight, which other "
            "programs may read as links: leave these rows out there."
        )
    cells = [_as_cells(attribute) for attribute in _attributes(one)]
    if changed := _changed(cells, _attributes(one), in_order=False):
        warn(
            f"{paths[1]}: tables do not hold types, and {', '.join(map(repr, changed))} will be "
            "left out or read as numbers by default: read it with attributes=[...] and "
            "categorical=[...], or write GraphML or an .npz."
        )
    for path, table in zip(paths, (_edge_rows(one), _node_rows(one)), strict=True):
        write_atomically(path, _as_text(table, "\t" if path.suffix == ".tsv" else ",").encode())
    return paths


def graphml_of(graphs: Sequence[Graph]) -> bytes:
    """Return a GraphML document of graphs, as Gephi, igraph and networkx open it.

    Of several graphs, most programs open the first alone.
    """
    from xml.sax.saxutils import escape, quoteattr

    keys: dict[str, tuple[str, str]] = {}  # attribute to id and type
    kinds: dict[str, set[str]] = {}
    for graph in graphs:
        for attribute in _attributes(graph):
            kind = "double" if attribute.levels is None else "string"
            kinds.setdefault(attribute.name, set()).add(kind)
    for k, (name, held) in enumerate(kinds.items()):
        if len(held) > 1:
            raise DataError(f"{name!r} is text in some graphs and a number in others: rename one.")
        keys[name] = (f"d{k}", next(iter(held)))
    label = "label" if "label" not in {name.lower() for name in keys} else None
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append('<graphml xmlns="http://graphml.graphdrawing.org/xmlns">')
    if label and any(graph.node_names for graph in graphs):
        lines.append('<key id="label" for="node" attr.name="label" attr.type="string"/>')
    for name, (key, kind) in keys.items():
        lines.append(f'<key id="{key}" for="node" attr.name={quoteattr(name)} attr.type="{kind}"/>')
    besides = [_beside(graph, [*_texts_of_ids(graph)]) for graph in graphs]
    for name in (UNKNOWN, LEVELS):
        if any(name in beside for beside in besides):
            full = PREFIX + name
            lines.append(f'<key id="{full}" for="graph" attr.name="{full}" attr.type="string"/>')
    for g, (graph, beside) in enumerate(zip(graphs, besides, strict=True)):
        ids = _texts_of_ids(graph)
        way = "directed" if graph.directed else "undirected"
        lines.append(f'<graph id="G{g}" edgedefault="{way}">')
        for name, value in beside.items():
            text = escape(json.dumps(value, ensure_ascii=False))
            lines.append(f'<data key="{PREFIX}{name}">{text}</data>')
        columns = {keys[name][0]: values for name, values in _columns(graph).items()}
        for k, node in enumerate(ids):
            cells = "".join(
                f'<data key="{key}">{escape(_cell(values[k]))}</data>'
                for key, values in columns.items()
                if values[k] is not None
            )
            if label and graph.node_names:
                cells = f'<data key="label">{escape(node)}</data>{cells}'
            lines.append(f"<node id={quoteattr(node)}>{cells}</node>")
        i, j = graph.edges()
        quoted = [quoteattr(node) for node in ids]
        lines += [
            f"<edge source={quoted[a]} target={quoted[b]}/>"
            for a, b in zip(i.tolist(), j.tolist(), strict=True)
        ]
        lines.append("</graph>")
    lines.append("</graphml>\n")
    text = "\n".join(lines)
    odd = _NO_XML.search(text)
    if odd is not None:
        raise DataError(
            f"a name or a text of these graphs holds the character {odd[0]!a}, which XML has "
            "not: rename it, or write an .npz."
        )
    return text.encode("utf-8")


# ---- parts ---------------------------------------------------------------------------------------


def _one(graph: Any) -> Graph:
    """Return the one graph that was given; say what is not written."""
    from ancestral.graph.graphs import as_graphs

    checked = as_graphs(graph, directed=True, with_features=False)
    if len(checked) != 1:
        raise DataError(f"expected one graph; got {len(checked)}. Give each by itself.")
    say_left_out(checked)
    return checked[0]


def say_left_out(graphs: Sequence[Graph]) -> None:
    """Warn of what is known of dyads, which other programs' files do not take."""
    names = dict.fromkeys(name for graph in graphs for name in graph.pair_features)
    if names:
        warn(
            f"what is known of dyads ({', '.join(map(repr, names))}) is left out: an .npz of "
            "write_graphs keeps it."
        )


def _attributes(graph: Graph) -> tuple[Attribute, ...]:
    """Return the attributes of a graph; features without names are called x0, x1, ..."""
    from ancestral.graph.attributes import Attribute

    if graph._columns is not None:
        return graph._columns
    names = graph.feature_names or [f"x{k}" for k in range(graph.n_features)]
    return tuple(Attribute(name, graph.features[:, k]) for k, name in enumerate(names))


def _columns(graph: Graph) -> dict[str, list[Any]]:
    """Return attributes as lists by name, None where missing."""
    return {one.name: one.to_list() for one in _attributes(graph)}


def _ids(graph: Graph) -> list[Any]:
    return list(range(graph.n_nodes)) if graph.node_names is None else list(graph.node_names)


def _texts_of_ids(graph: Graph) -> list[str]:
    return [str(node) for node in _ids(graph)]


def _beside(graph: Graph, ids: Sequence[Any]) -> dict[str, Any]:
    """Return unknown dyads, and what attributes are, where readers would not find it."""
    found: dict[str, Any] = {}
    if graph.unknown is not None:
        i, j = graph.unknown_dyads()
        found[UNKNOWN] = [[ids[a], ids[b]] for a, b in zip(i.tolist(), j.tolist(), strict=True)]
    held = _attributes(graph)
    if _changed([one.to_list() for one in held], held):
        found[LEVELS] = {one.name: None if one.levels is None else list(one.levels) for one in held}
    return found


def _changed(
    columns: Sequence[Sequence[Any]], held: Sequence[Attribute], *, in_order: bool = True
) -> list[str]:
    """Return the attributes that readers, who know values alone, would not take as they are.

    Levels in their order count `in_order`, else only whether there are any.
    """
    nodes = {
        k: {one.name: value for one, value in zip(held, row, strict=True) if value is not None}
        for k, row in enumerate(zip(*columns, strict=True))
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        try:
            read = attributes_of(nodes, None, (), "graph")
        except DataError:
            read = ()
    found = {one.name: one.levels for one in read}

    def is_kept(one: Attribute) -> bool:
        if one.name not in found or one.name.lower() in LABELS:
            return False
        levels = found[one.name]
        return levels == one.levels if in_order else (levels is None) == (one.levels is None)

    wrong = [one.name for one in held if not is_kept(one)]
    names = [one.name for one in held]
    return wrong if wrong or not in_order or list(found) == names else names


def _as_cells(attribute: Attribute) -> list[str | None]:
    """Return the values of an attribute as the cells of a table have them; None if missing."""
    return [None if value is None else _cell(value) for value in attribute.to_list()]


def _edge_rows(graph: Graph) -> dict[str, list[Any]]:
    """Return the columns of the table of links."""
    ids = _ids(graph)
    way = "Directed" if graph.directed else "Undirected"
    parts = [graph.edges(), graph.unknown_dyads()]
    i, j = (np.concatenate([part[k] for part in parts]).tolist() for k in range(2))
    rows: dict[str, list[Any]] = {
        "Source": [ids[k] for k in i],
        "Target": [ids[k] for k in j],
        "Type": [way] * len(i),
    }
    if graph.unknown is not None:
        known = graph.n_edges
        rows["Weight"] = [1.0] * known + [None] * (len(i) - known)
    return rows


def _node_rows(graph: Graph) -> dict[str, list[Any]]:
    """Return the columns of the table of nodes."""
    ids = _ids(graph)
    columns = _columns(graph)
    taken = next((name for name in columns if name.lower() in ("id", "label")), None)
    if taken is not None:
        raise DataError(
            f"an attribute is named {taken!r}, as is the column of ids or of labels: rename it."
        )
    return {"Id": ids, "Label": [str(node) for node in ids], **columns}


def _as_text(table: dict[str, list[Any]], sep: str) -> str:
    """Return a table of text, None as an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=sep, lineterminator="\n")
    writer.writerow(table)
    for row in zip(*table.values(), strict=True):
        writer.writerow(["" if value is None else _cell(value) for value in row])
    return text.getvalue()


def _cell(value: Any) -> str:
    """Return a value as text: numbers with all their digits, whole ones without a point."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)
