"""A graph from its parts, as any reader finds them: nodes by their ids, and links between ids."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ancestral._checks.missing import is_missing
from ancestral.errors import DataError
from ancestral.graph.attributes import Attribute
from ancestral.io.attributes import Categorical, attributes_of
from ancestral.io.links import AS_THEY_ARE, Choices, Links, joined
from ancestral.io.numbers import is_plain

if TYPE_CHECKING:
    from ancestral.graph.graph import Graph

MAX_BYTES = 512 << 20
# Beside a graph: pairs nobody observed, and, of every attribute, its levels, or None for numbers.
UNKNOWN, LEVELS = "unknown", "levels"
LABELS = frozenset({"label", "name", "vertex.names", "_nx_name", "igraphnxname", "title"})
_NUMBER_ONLY = re.compile(r"n?-?\d+", re.ASCII)


def columns_of(edges: Sequence[Mapping[Any, Any]]) -> dict[str, list[Any]]:
    """Return attributes of edges as columns, 1 where an edge lacks one: it is a link."""
    names = {key: str(key) for held in edges for key in held}
    return {name: [held.get(key, 1) for held in edges] for key, name in names.items()}


def assemble(
    nodes: Mapping[Any, Mapping[str, Any]],
    links: Links | Iterable[tuple[Any, Any]],
    attributes: Sequence[str] | None,
    name: str,
    *,
    categorical: Categorical = (),
    choices: Choices = AS_THEY_ARE,
    kinds: Mapping[str, str] | None = None,
    unknown: Any = None,
    levels: Any = None,
    named: Sequence[Any] | None = None,
    only_numbered: bool = False,
) -> Graph:
    """Return the graph of nodes (id to attributes) and links between ids.

    `kinds` says which attributes the source declares to be "text" or "number"; `unknown` pairs of
    ids that nobody observed; `levels` those of attributes in their order, and where it has all
    attributes, which are taken; `named` names of the nodes; `only_numbered` says that ids such as
    n0, n1, ... are no names.
    """
    from ancestral.graph.graph import Graph

    if not nodes:
        raise DataError(f"{name}: has no nodes.")
    links = links if isinstance(links, Links) else Links(list(links), directed=False)
    place = {node: i for i, node in enumerate(nodes)}
    made = joined(links, place, choices, name)
    noted = _noted(nodes, levels) if attributes is None and not len(categorical) else {}
    names, same = names_for(nodes, but=noted, only_numbered=only_numbered)
    if named is not None and len({*named}) == len(nodes):
        names = tuple(map(str, named))
    if noted:
        nodes = {node: {**dict.fromkeys(noted), **held} for node, held in nodes.items()}
        attributes = list(noted)
        kinds = {key: "number" if held is None else "text" for key, held in noted.items()}
    columns = attributes_of(nodes, attributes, categorical, name, kinds=kinds, quiet=same)
    if levels:
        columns = _in_order(columns, levels)
    graph = Graph(columns or None, made.adjacency, node_names=names, directed=made.directed)
    if made.unknown is not None:
        graph = graph.replaced(unknown=made.unknown)
    if unknown:
        graph = graph.with_unknown(_places_of_pairs(unknown, place, graph.node_names, name))
    return graph if made.how is None else graph.undirected(made.how)


def _noted(nodes: Mapping[Any, Mapping[str, Any]], levels: Any) -> dict[str, Any]:
    """Return the levels of all attributes, where they were noted beside a graph; else none."""
    if not isinstance(levels, Mapping) or not all(
        isinstance(key, str) and (held is None or isinstance(held, list | tuple))
        for key, held in levels.items()
    ):
        return {}
    found = {key for held in nodes.values() for key in held}
    return dict(levels) if all(key in levels or str(key).lower() in LABELS for key in found) else {}


def _in_order(columns: Sequence[Attribute], levels: Any) -> tuple[Attribute, ...]:
    """Return attributes with their levels as a writer of this package noted them."""
    held = levels if isinstance(levels, Mapping) else {}
    return tuple(
        one.with_levels([str(level) for level in held[one.name]])
        if one.levels is not None and {*map(str, held.get(one.name) or ())} >= {*one.levels}
        else one
        for one in columns
    )


def names_for(
    nodes: Mapping[Any, Mapping[str, Any]],
    *,
    but: Collection[str] = (),
    only_numbered: bool = False,
) -> tuple[tuple[str, ...] | None, set[str]]:
    """Return the names of nodes, and the attributes that say no more than they do.

    Their ids, or, where these are numbers, their labels; None where ids only count from 0, and
    there are no labels. `but` are attributes that are no labels, whatever they are called; with
    `only_numbered` ids n0, n1, ... count too, unless labels say the same.
    """
    ids = [str(node) for node in nodes]
    names, same = ids, set()
    are_numbers = all(_NUMBER_ONLY.fullmatch(one) for one in ids)
    for key in next(iter(nodes.values())):
        if str(key).lower() in LABELS and key not in but:
            found = [held.get(key) for held in nodes.values()]
            texts = [str(value).strip() for value in found if not is_missing(value)]
            told_apart = len({*texts} - {""}) == len(ids) and not all(map(is_plain, texts))
            if are_numbers and names is ids and told_apart:
                names = texts
            if texts in (ids, names):
                same.add(key)
    counted = [str(k) for k in range(len(ids))]
    says_nothing = names == counted or (
        only_numbered and not same and names == [f"n{k}" for k in counted]
    )
    return None if says_nothing else tuple(names), same


def _places_of_pairs(
    pairs: Any, place: Mapping[Any, int], names: Sequence[str] | None, name: str
) -> list[tuple[int, int]]:
    """Return pairs of nodes, by their ids or names, as pairs of their places."""
    known: dict[Any, int] = {one: k for k, one in enumerate(names or ())}
    known |= {str(node): k for node, k in place.items()} | dict(place)
    found = []
    for pair in pairs:
        if len(pair) != 2 or any(node not in known for node in pair):
            raise DataError(
                f"{name}: the unknown pair {tuple(pair)!r} does not name two nodes of the graph."
            )
        if known[pair[0]] == known[pair[1]]:
            raise DataError(f"{name}: the unknown pair {tuple(pair)!r} joins a node with itself.")
        found.append((known[pair[0]], known[pair[1]]))
    return found
