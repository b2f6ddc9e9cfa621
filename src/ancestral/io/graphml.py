"""GraphML: nodes with attributes of declared types, and links with or without a direction.

Parsed by defusedxml, which refuses document type definitions and entities: the ways in which XML
reads other files or grows without end. Only what a plain graph needs is taken: keys, nodes,
edges, of one graph or of several that follow one another. What the format knows besides (graphs
within nodes or edges, hyperedges, ports, places elsewhere) is refused, and so is what it does not
know: a value of `edgedefault` or `directed`, or an element, that is none of its own.
Elements of other namespaces, which programs add for themselves, are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from ancestral._checks.missing import is_missing_text
from ancestral._extras import need
from ancestral.errors import DataError, FormatError
from ancestral.io.assembling import columns_of
from ancestral.io.links import AS_THEY_ARE, Links, say
from ancestral.io.parsed import Parsed

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
UNKNOWN, LEVELS = "ancestral.unknown", "ancestral.levels"  # JSON, beside a graph


def parse_graphml(raw: bytes, name: str, size: int) -> list[Parsed]:
    """Return every graph in the document.

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
        When a graph says in no way that the format has whether it is directed, is nested, has
        hyperedges or ports; when two keys have one id, or one name among nodes; when a node has
        one attribute twice.
    """
    marks = raw.count(b"<") + raw.count(b"=")  # parsed, each takes a hundred bytes
    if marks > max(_MAX_MARKS, size // _BYTES_A_MARK):
        raise FormatError(
            f"{name}: holds {marks:,} XML tags and attributes, over {_MAX_MARKS:,}: save such a "
            "large graph as .npz with features_0 and edges_0."
        )
    _refuse_long_texts(raw, name)
    root = _parse(raw, name)
    if _tag(root) == "gexf":
        raise FormatError(
            f"{name}: is GEXF, which is not read here. networkx reads it: "
            f"ancestral.io.from_networkx(networkx.read_gexf({name!r}))."
        )
    if _tag(root) != "graphml":
        raise FormatError(f"{name}: is XML, but its root is <{_tag(root)}>, not <graphml>.")
    children = list(_children(root, name, ("desc", "key", "graph", "data")))
    keys = _node_keys([key for tag, key in children if tag == "key"], name)
    graphs = [graph for tag, graph in children if tag == "graph"]
    if not graphs:
        raise DataError(f"{name}: holds no <graph>.")
    names = [name if len(graphs) == 1 else f"{name}: graph {i}" for i in range(len(graphs))]
    found = [_read_graph(graph, keys, n) for n, graph in zip(names, graphs)]
    for one in found:
        say(one.links.said, AS_THEY_ARE, one.name)
        one.links.said.clear()
    return found


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
    is_typed: bool = False  # its kind was declared, and not left to be text

    def value(self, text: str | None) -> Any:
        """Return a text as what it declares; text that is none of the kind stays as it is."""
        if text is None or is_missing_text(text):
            return None
        truth = {"true": 1.0, "1": 1.0, "false": 0.0, "0": 0.0}
        if self.kind == "boolean":
            return truth.get(text.strip().lower(), text)
        return text


def _node_keys(declared: Iterable[Any], name: str) -> dict[str, _Key]:
    """Return the keys by id.

    Two keys of one name among nodes are one attribute only where they differ in type and neither
    has a default: networkx writes whole numbers and others so.
    """
    keys: dict[str, _Key] = {}
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
            is_typed=key.get("attr.type") is not None,
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
        keys[label] = here
    return keys


def _text(element: Any, place: str) -> str | None:
    """Return the text of an element that holds nothing else; None where it holds elements."""
    if len(element) and (element.text or "").strip():
        raise DataError(f"{place} mixes text ({element.text.strip()[:40]!r}) and elements.")
    return None if len(element) else (element.text or "").strip()


def _read_graph(graph: Any, keys: dict[str, _Key], name: str) -> Parsed:
    """Return one graph."""
    default = _default_of(graph, name)
    nodes: Nodes = {}
    ends: list[tuple[str, str]] = []
    directed: list[bool] = []
    edges: list[dict[str, Any]] = []
    said: set[str] = set()
    for_nodes = [key for key in keys.values() if key.domain in ("node", "all")]
    defaults = {key.attribute: key.value(key.default) for key in for_nodes if key.default}
    for_edges = {label: key for label, key in keys.items() if key.domain in ("edge", "all")}
    of_edges = {key.attribute: key.value(key.default) for key in for_edges.values() if key.default}
    beside: dict[str, Any] = {}
    for tag, element in _children(graph, name, ("desc", "data", "node", "edge")):
        if tag == "node":
            node = element.get("id")
            if not node or node in nodes:
                raise DataError(f"{name}: node id {node!r} is missing or used twice.")
            nodes[node] = defaults | _attributes(element, keys, f"{name}: node {node!r}", said)
        elif tag == "edge":
            u, v, own, held = _edge(element, name, for_edges, directed=default)
            ends.append((u, v))
            directed.append(own)
            edges.append(of_edges | held)
        elif tag == "data":
            key = keys.get(element.get("key", ""))
            if key is not None and key.attribute in (UNKNOWN, LEVELS):
                beside[key.attribute] = _json(element, f"{name}: {key.attribute}")
    whole = directed or [default]
    ways: Any = whole[0] if len({*whole}) == 1 else directed
    links = Links(ends, ways, columns_of(edges))
    if said:
        listed = ", ".join(map(repr, sorted(said)))
        links.said.append(f"data of nodes for keys that others have, {listed}, are left out")
    kinds = {
        key.attribute: "text" if key.kind == "string" else "number"
        for key in for_nodes
        if key.is_typed
    }
    return Parsed(name, nodes, links, kinds, beside.get(UNKNOWN), beside.get(LEVELS))


def _json(element: Any, place: str) -> Any:
    """Return what stands beside a graph as JSON, refused where it is none."""
    try:
        return json.loads(_text(element, place) or "null")
    except (ValueError, RecursionError):
        raise DataError(f"{place} is no JSON, as this package writes it: remove it.") from None


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


def _edge(
    edge: Any, name: str, keys: dict[str, _Key], *, directed: bool
) -> tuple[str, str, bool, dict[str, Any]]:
    """Return the two ends of an edge, whether it has a direction, and its attributes."""
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
    if edge.get("sourceport") is not None or edge.get("targetport") is not None:
        raise DataError(f"{place} holds {_NOT_READ['port']}.")
    held = {}
    for tag, data in _children(edge, place, ("desc", "data")):
        key = keys.get(data.get("key", "")) if tag == "data" else None
        if key is not None and not len(data):  # with elements a program draws
            held[key.attribute] = key.value((data.text or "").strip())
    return u, v, own, held


def _attributes(node: Any, keys: dict[str, _Key], place: str, said: set[str]) -> dict[str, Any]:
    """Return the attributes of one node; keys that are declared for others go to `said`."""
    held: dict[str, Any] = {}
    drawn = ""
    for tag, data in _children(node, place, ("desc", "data")):
        if tag != "data":
            continue
        label = data.get("key", "")
        if label not in keys:
            raise DataError(f"{place} has data for key {label!r}, which is not declared.")
        key = keys[label]
        if key.domain not in ("node", "all"):
            said.add(label)
            continue
        if key.attribute in held:
            raise DataError(f"{place} has {key.attribute!r} twice: keep one.")
        text = _text(data, f"{place}: {key.attribute!r}")
        if text is not None:
            held[key.attribute] = key.value(text)
        elif not key.named:  # what a program draws with; of yEd the name stands in it
            label = next((e for e in data.iter() if _tag(e) == "NodeLabel"), None)
            drawn = drawn or ((label is not None and label.text) or "").strip()
        else:
            raise DataError(
                f"{place} has elements for {key.attribute!r}, where a number or text is wanted: "
                "export the graph again."
            )
    if drawn:
        held.setdefault("label", drawn)
    return held
