"""GML: graphs as nested lists of keys and values (Himsolt 1997, GML: a portable graph format).

    graph [ directed 1 node [ id 1 label "ann" age 7 ] edge [ source 1 target 2 weight 3 ] ]

Read by a reader of its own, since networkx's recurses into lists, and refuses what many programs
write: small e in numbers, letters beyond ASCII, links that stand twice, nodes without a label. Keys
that are lists (`graphics`) are what a program draws with, and are passed over.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from ancestral.errors import DataError, FormatError
from ancestral.io.assembling import columns_of
from ancestral.io.links import Links
from ancestral.io.parsed import Parsed

MOST_TOKENS = 20_000_000
MOST_DEPTH = 32
_ENDS = frozenset({"source", "target"})
_TOKEN = re.compile(
    r'\s+|#[^\n\r]*|(?P<text>"[^"]*")|(?P<open>\[)|(?P<close>\])'
    r'|(?P<word>[^\s"\[\]#]+)'
)

List = list[tuple[str, Any]]


def is_gml(text: str) -> bool:
    """Tell whether a text looks like GML."""
    head = re.sub(r"(?m)^\s*#.*$", "", text[:20_000])
    return re.match(r'\s*(?:[A-Za-z]\w*\s+(?:"[^"]*"|[\w.+-]+)\s+)*graph\s*\[', head) is not None


def parse_gml(text: str, name: str) -> list[Parsed]:
    """Return every graph of a text in GML.

    Raises
    ------
    FormatError
        When the text is no GML, is nested more than 32 deep, or is too long.
    DataError
        When a node has no id, or one that another has; when a link lacks an end.
    """
    graphs = [value for key, value in _parsed(text, name) if key.lower() == "graph"]
    graphs = [value for value in graphs if isinstance(value, list)]
    if not graphs:
        raise DataError(f"{name}: holds no graph [ ... ].")
    names = [name if len(graphs) == 1 else f"{name}: graph {k}" for k in range(len(graphs))]
    return [_graph(held, one) for held, one in zip(graphs, names, strict=True)]


def _tokens(text: str, name: str) -> Iterator[tuple[str, str, int]]:
    """Yield kind, text and place of every token."""
    at, count = 0, 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise FormatError(f'{name}: line {_line(text, at)} has a text without its end (").')
        at = match.end()
        if match.lastgroup:
            count += 1
            if count > MOST_TOKENS:
                raise FormatError(
                    f"{name}: holds more than {MOST_TOKENS:,} words: save such a large graph as "
                    ".npz."
                )
            yield match.lastgroup, match[0], match.start()


def _line(text: str, at: int) -> int:
    return 1 + len(re.findall(r"\r\n|\r|\n", text[:at]))


def _parsed(text: str, name: str) -> List:
    """Return keys and values, lists in their place; no recursion, whatever the file nests."""
    top: List = []
    stack = [top]
    key: str | None = None
    for kind, token, at in _tokens(text, name):
        if kind == "close":
            if key is not None or len(stack) == 1:
                raise FormatError(f"{name}: line {_line(text, at)} has a ] too much.")
            stack.pop()
        elif key is None:
            if kind != "word" or not re.fullmatch(r"[^\W\d]\w*", token):
                raise FormatError(
                    f"{name}: line {_line(text, at)} has {token[:40]!r} where a key belongs."
                )
            key = token
        elif kind == "open":
            if len(stack) > MOST_DEPTH:
                raise FormatError(f"{name}: lists are nested more than {MOST_DEPTH} deep.")
            inner: List = []
            stack[-1].append((key, inner))
            stack.append(inner)
            key = None
        else:
            stack[-1].append((key, html.unescape(token[1:-1]) if kind == "text" else _Bare(token)))
            key = None
    if key is not None or len(stack) > 1:
        raise FormatError(f"{name}: ends within a list: it is truncated. Copy it again.")
    return top


class _Bare(str):
    """A value without quotes: a number, if it spells one."""

    __slots__ = ()


def _graph(held: List, name: str) -> Parsed:
    """Return one graph."""
    directed = any(key.lower() == "directed" and value == "1" for key, value in held)
    nodes: dict[str, dict[str, Any]] = {}
    ends: list[tuple[str, str]] = []
    edges: list[dict[str, Any]] = []
    words: set[str] = set()
    for key, value in held:
        if key.lower() == "node":
            own = dict(_values(value, f"{name}: a node"))
            node = own.pop("id", None)
            if node is None or str(node) in nodes:
                raise DataError(f"{name}: node id {node!r} is missing or used twice.")
            words |= {k for k, v in own.items() if not isinstance(v, _Bare)}
            nodes[str(node)] = {
                k: _value(v, f"{name}: node {node!r}: {k!r}") for k, v in own.items()
            }
        elif key.lower() == "edge":
            pairs = list(_values(value, f"{name}: an edge"))
            own = {k.lower(): v for k, v in pairs}
            u, v = own.get("source"), own.get("target")
            if u is None or v is None:
                raise DataError(
                    f"{name}: the edge {u!r} to {v!r} lacks an end: it has a source and a target."
                )
            ends.append((str(u), str(v)))
            edges.append({k: v for k, v in pairs if k.lower() not in _ENDS})
    kinds = dict.fromkeys(words, "text")
    return Parsed(name, nodes, Links(ends, directed, columns_of(edges)), kinds)


def _values(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield the keys of a list that have one value; the first of those that stand twice."""
    if not isinstance(value, list):
        raise DataError(f"{place} is {str(value)[:40]!r}, where a list [ ... ] belongs.")
    seen: set[str] = set()
    for key, held in value:
        if not isinstance(held, list) and key not in seen:
            seen.add(key)
            yield key, held


def _value(value: str, place: str) -> Any:
    """Return a number, a text, or None for a number that is none."""
    if not isinstance(value, _Bare):
        return value
    if value.strip("+-").upper() in ("NAN", "INF"):
        if value.upper() == "NAN":
            return None
        raise DataError(f"{place} is infinite: drop or impute it.")
    return str(value)
