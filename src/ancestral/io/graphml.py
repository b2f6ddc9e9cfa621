"""GraphML: nodes with numeric attributes, undirected edges.

Parsed by defusedxml, which refuses document type definitions and entities: the ways in which XML
reads other files or grows without end. Only what a plain graph needs is taken: keys, nodes,
edges. Directed graphs, nested graphs and hyperedges are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ancestral.errors import DataError, FormatError, MissingExtraError

# Elements and attributes of a document, or one for so many bytes of the file as it lies there.
_MAX_MARKS, _BYTES_A_MARK = 500_000, 8
_MOST_TEXT = 1 << 20  # bytes between two tags

Nodes = dict[str, dict[str, Any]]
Edges = list[tuple[str, str]]


def parse_graphml(raw: bytes, name: str, size: int) -> list[tuple[str, Nodes, Edges]]:
    """Return name, nodes (id to attributes) and edges of every graph in the document.

    Parameters
    ----------
    raw : bytes
        The document, expanded.
    name : str
        Of the file, for messages.
    size : int
        Bytes of the file itself.

    Raises
    ------
    FormatError
        When the XML is malformed, has a document type definition, or has far more elements than
        a file of its size would.
    DataError
        When a graph is directed, nested, or an edge leads nowhere.
    """
    marks = raw.count(b"<") + raw.count(b"=")  # parsed, each takes a hundred bytes
    if marks > max(_MAX_MARKS, size // _BYTES_A_MARK):
        raise FormatError(
            f"{name}: holds {marks:,} XML tags and attributes, over {_MAX_MARKS:,}: save so large "
            "a graph as .npz with features_0 and edges_0."
        )
    _refuse_long_texts(raw, name)
    root = _parse(raw, name)
    if _tag(root) != "graphml":
        raise FormatError(f"{name}: is XML, but its root is <{_tag(root)}>, not <graphml>.")
    keys = _node_keys(root)
    graphs = [child for child in root if _tag(child) == "graph"]
    if not graphs:
        raise DataError(f"{name}: holds no <graph>.")
    names = [name if len(graphs) == 1 else f"{name}: graph {i}" for i in range(len(graphs))]
    return [(n, *_read_graph(graph, keys, n)) for n, graph in zip(names, graphs)]


def _refuse_long_texts(raw: bytes, name: str) -> None:
    """Raise FormatError for a text, attribute or comment so long that parsing takes gigabytes."""
    at = 0
    while at < len(raw):
        start, closing = at, b"<"
        for opening, end in ((b"<!--", b"-->"), (b"<![CDATA[", b"]]>")):
            if raw.startswith(opening, start):
                closing = end
        found = raw.find(closing, start + 1)
        at = found if found >= 0 else len(raw)
        if at - start > _MOST_TEXT:
            raise FormatError(
                f"{name}: holds a text or comment of more than {_MOST_TEXT:,} bytes, at byte "
                f"{start:,}: no attribute of a node is so long. Export the graph again."
            )


def _parse(raw: bytes, name: str) -> Any:
    """Return the root element."""
    try:
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import ParseError, fromstring
    except ImportError:
        raise MissingExtraError(
            f'{name}: GraphML needs defusedxml: pip install "ancestral[graphs]".'
        ) from None
    try:
        return fromstring(raw, forbid_dtd=True)
    except DefusedXmlException:
        raise FormatError(
            f"{name}: has a document type definition (DTD) or entities, which are refused: "
            "save the graph with networkx.write_graphml."
        ) from None
    except (ParseError, ValueError, LookupError) as error:
        raise FormatError(f"{name}: malformed XML ({error}); copy it again.") from None


def _tag(element: Any) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _node_keys(root: Any) -> dict[str, tuple[str, str | None]]:
    """Return, for each key of nodes, the attribute's name and its default."""
    keys = {}
    for key in root:
        if _tag(key) == "key" and key.get("for", "all") in ("node", "all"):
            default = next((child.text for child in key if _tag(child) == "default"), None)
            keys[key.get("id", "")] = (key.get("attr.name") or key.get("id", ""), default)
    return keys


def _read_graph(
    graph: Any, keys: dict[str, tuple[str, str | None]], name: str
) -> tuple[Nodes, Edges]:
    """Return the nodes and edges of one graph."""
    if graph.get("edgedefault") == "directed":
        raise DataError(
            f"{name}: is directed; make it undirected: networkx's graph.to_undirected()."
        )
    nodes: Nodes = {}
    edges: Edges = []
    defaults = {attribute: default for attribute, default in keys.values() if default is not None}
    for element in graph:
        match _tag(element):
            case "node":
                node = element.get("id")
                if node is None or node in nodes:
                    raise DataError(f"{name}: node id {node!r} is missing or used twice.")
                nodes[node] = defaults | dict(_attributes(element, keys, f"{name}: node {node!r}"))
            case "edge":
                edges.append((element.get("source"), element.get("target")))
                if element.get("directed") == "true":
                    u, v = edges[-1]
                    raise DataError(
                        f"{name}: the edge {u!r} to {v!r} is directed; make it undirected: "
                        "networkx's graph.to_undirected()."
                    )
            case "hyperedge":
                raise DataError(f"{name}: has hyperedges; only pairs of nodes can be linked.")
    return nodes, edges


def _attributes(
    node: Any, keys: dict[str, tuple[str, str | None]], place: str
) -> Iterator[tuple[str, str]]:
    """Give the attributes of one node, as text."""
    for data in node:
        if _tag(data) == "graph":
            raise DataError(f"{place} holds a graph of its own; nested graphs are not read.")
        if _tag(data) == "data":
            key = data.get("key", "")
            if key not in keys:
                raise DataError(f"{place} has data for key {key!r}, which is not declared.")
            yield keys[key][0], (data.text or "").strip()
