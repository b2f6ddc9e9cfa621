"""GraphML: nodes with numeric attributes, undirected edges.

Parsed by defusedxml, which refuses document type definitions and entities: the ways in which XML
reads other files or grows without end. Only what a plain graph needs is taken: keys, nodes,
edges, of one graph or of several that follow one another. What the format knows besides (directed
edges, graphs within nodes or edges, hyperedges, ports, places elsewhere) is refused, and so is what
it does not know: a value of `edgedefault` or `directed`, or an element, that is none of its own.
Elements of other namespaces, which programs add for themselves, are passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from ancestral._extras import need
from ancestral.errors import DataError, FormatError

# Elements and attributes of a document, or one for so many bytes of the file as it lies there.
_MAX_MARKS, _BYTES_A_MARK = 500_000, 8
_MOST_TEXT = 1 << 20  # bytes between two tags

# What the format has, and how each is answered where it is no part of a plain graph.
_DIRECTED = {"true": True, "1": True, "false": False, "0": False}  # xs:boolean
_BLANKS = " \t\r\n"  # around a value they count for nothing
_TYPES = frozenset({"boolean", "int", "long", "float", "double", "string"})
_DOMAINS = ("graphml", "graph", "node", "edge", "hyperedge", "port", "endpoint", "all")
_NOT_READ = {
    "graph": "a graph of its own; nested graphs are not read: save each graph by itself",
    "hyperedge": "hyperedges; only pairs of nodes can be linked",
    "port": "ports; edges join nodes only: save the graph without them",
    "locator": "a locator: its content stands elsewhere, and is not fetched",
}
_KNOWN = frozenset({"graphml", "key", "default", "desc", "data", "node", "edge", *_NOT_READ})
_KNOWN |= {"endpoint"}

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
        When a graph is directed or says so in no way that the format has, is nested, has
        hyperedges or ports; when two keys have one id, or one name among nodes; when a node has
        one attribute twice.
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
    children = list(_children(root, name, ("desc", "key", "graph", "data")))
    keys = _node_keys([key for tag, key in children if tag == "key"], name)
    graphs = [graph for tag, graph in children if tag == "graph"]
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
    need(f"{name}: GraphML", "graphs:defusedxml")
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

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


def _children(element: Any, place: str, allowed: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Give name and element of what an element holds; refuse what is not allowed in it."""
    space = str(element.tag).rpartition("}")[0]
    texts = [element.text, *(child.tail for child in element)]
    loose = next((text.strip() for text in texts if text and text.strip()), None)
    if loose is not None:
        raise DataError(f"{place} holds the text {loose[:40]!r} where elements belong: remove it.")
    for child in element:
        own, _, tag = str(child.tag).rpartition("}")
        if own != space and tag not in _KNOWN:
            continue  # what a program added for itself
        if own != space:
            raise DataError(
                f"{place} holds a <{tag}> of the namespace {own.lstrip('{')!r}, where "
                f"{space.lstrip('{')!r} is the file's: export the graph again."
            )
        if tag in allowed:
            yield tag, child
        elif tag in _NOT_READ:
            raise DataError(f"{place} holds {_NOT_READ[tag]}.")
        else:
            raise DataError(
                f"{place} holds a <{tag[:40]}>, which GraphML does not have there: correct its "
                "name, or export the graph again."
            )


class _Key(NamedTuple):
    """What a key declares: of which domain, the attribute's name, its type, and its default."""

    domain: str
    attribute: str
    kind: str
    default: str | None
    named: bool


def _node_keys(declared: Iterable[Any], name: str) -> dict[str, _Key | None]:
    """Return the keys by id, those of other domains than nodes as None.

    Two keys of one name among nodes are one attribute only where they differ in type and neither
    has a default: networkx writes whole numbers and others so.
    """
    keys: dict[str, _Key | None] = {}
    of_name: dict[str, list[_Key]] = {}
    for key in declared:
        label = key.get("id")
        if not label or label in keys:
            raise DataError(
                f"{name}: the id {label!r} of a <key> is missing or used twice: give every key "
                "an id of its own."
            )
        domain = key.get("for", "all").strip(_BLANKS)
        if domain not in _DOMAINS:
            raise DataError(
                f"{name}: key {label!r} is for {domain!r}; one of {', '.join(_DOMAINS)} is wanted."
            )
        place = f"{name}: key {label!r}"
        defaults = [e for tag, e in _children(key, place, ("desc", "default")) if tag == "default"]
        if len(defaults) > 1:
            raise DataError(f"{place} has {len(defaults)} defaults: keep one.")
        default = _text(defaults[0], place) if defaults else None
        attribute = key.get("attr.name")
        here = _Key(
            domain,
            attribute or label,
            key.get("attr.type", "string"),
            default or None,
            named=bool(attribute),
        )
        for other in of_name.setdefault(here.attribute, []):
            meet = domain == other.domain or "all" in (domain, other.domain)
            typed = other.kind != here.kind and {other.kind, here.kind} <= _TYPES
            if meet and (not typed or other.default or here.default):
                raise DataError(
                    f"{name}: two keys for {domain} are named {here.attribute!r}: rename one, so "
                    "that neither takes the other's place."
                )
        of_name[here.attribute].append(here)
        keys[label] = here if domain in ("node", "all") else None
    return keys


def _text(element: Any, place: str) -> str | None:
    """Return the text of an element that holds nothing else; None where it holds elements."""
    if len(element) and (element.text or "").strip():
        raise DataError(f"{place} mixes text ({element.text.strip()[:40]!r}) and elements.")
    return None if len(element) else (element.text or "").strip()


def _read_graph(graph: Any, keys: dict[str, _Key | None], name: str) -> tuple[Nodes, Edges]:
    """Return the nodes and edges of one graph, none of them directed."""
    directed = _default_of(graph, name)
    nodes: Nodes = {}
    edges: Edges = []
    defaults = {k.attribute: k.default for k in keys.values() if k and k.default is not None}
    for tag, element in _children(graph, name, ("desc", "data", "node", "edge")):
        if tag == "node":
            node = element.get("id")
            if not node or node in nodes:
                raise DataError(f"{name}: node id {node!r} is missing or used twice.")
            nodes[node] = defaults | _attributes(element, keys, f"{name}: node {node!r}")
        elif tag == "edge":
            edges.append(_edge(element, name, directed=directed))
    if directed and not edges:
        _refuse_directed(name, "is directed (edgedefault='directed')")
    return nodes, edges


def _default_of(graph: Any, name: str) -> bool:
    """Tell whether the edges of a graph are directed where they do not say."""
    value = graph.get("edgedefault")
    wanted = {"directed": True, "undirected": False}
    if value is None or value.strip(_BLANKS) not in wanted:
        seen = "no edgedefault" if value is None else f"edgedefault={value[:40]!r}"
        raise DataError(
            f'{name}: its graph has {seen}; GraphML has "directed" and "undirected" alone, in '
            'small letters: write edgedefault="undirected" if its edges have no direction.'
        )
    return wanted[value.strip(_BLANKS)]


def _edge(edge: Any, name: str, *, directed: bool) -> tuple[str, str]:
    """Return the two ends of an undirected edge."""
    u, v = edge.get("source"), edge.get("target")
    place = f"{name}: the edge {u!r} to {v!r}"
    if not u or not v:
        raise DataError(f"{place} lacks an end: an edge has a source and a target.")
    value = edge.get("directed")
    if any(word != "directed" and word.lower() == "directed" for word in edge.attrib):
        raise DataError(f"{place} spells directed otherwise: GraphML has small letters alone.")
    if value is not None and value.strip(_BLANKS) not in _DIRECTED:
        raise DataError(
            f'{place} has directed={value[:40]!r}; GraphML has "true", "false", "1" and "0" '
            'alone: write directed="false", or leave it out, if it has no direction.'
        )
    own = directed if value is None else _DIRECTED[value.strip(_BLANKS)]
    if own:
        said = "edgedefault='directed'" if value is None else f"directed={value!r}"
        _refuse_directed(place, f"is directed ({said})")
    if edge.get("sourceport") is not None or edge.get("targetport") is not None:
        raise DataError(f"{place} holds {_NOT_READ['port']}.")
    for _ in _children(edge, place, ("desc", "data")):
        pass  # an edge's own attributes are not kept
    return u, v


def _refuse_directed(place: str, what: str) -> None:
    raise DataError(f"{place} {what}; make it undirected: networkx's graph.to_undirected().")


def _attributes(node: Any, keys: dict[str, _Key | None], place: str) -> dict[str, str]:
    """Return the attributes of one node, as text."""
    held: dict[str, str] = {}
    for tag, data in _children(node, place, ("desc", "data")):
        if tag != "data":
            continue
        label = data.get("key", "")
        if label not in keys:
            raise DataError(f"{place} has data for key {label!r}, which is not declared.")
        key = keys[label]
        if key is None:
            raise DataError(f"{place} has data for key {label!r}, which is not declared for nodes.")
        if key.attribute in held:
            raise DataError(f"{place} has {key.attribute!r} twice: keep one.")
        text = _text(data, f"{place}: {key.attribute!r}")
        if text is not None:
            held[key.attribute] = text
        elif key.named:
            raise DataError(
                f"{place} has elements for {key.attribute!r}, where a number or text is wanted: "
                "export the graph again."
            )  # without a name, it is what a program draws with
    return held
