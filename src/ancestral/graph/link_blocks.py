"""One graph whose links are in parts: its nodes stand in memory, its links in files.

A part has some of the links, in any order, and all nodes. Where links are few in all, the graph is
put together and fitted as it is. Else only what sums over links need of them is taken, part by
part: their number, sums of terms and extremes. Sums over all pairs need the nodes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import DataError
from ancestral.graph.adjacency import DENSE_NODES, one_way, symmetric
from ancestral.graph.graph import Graph
from ancestral.training.parts import Part, Parts

Index = NDArray[np.int64]

MOST_LINKS = 1 << 22  # that are held at once


@dataclass(frozen=True)
class LinkBlock:
    """Some links of a graph, and all its nodes.

    Parameters
    ----------
    nodes : Graph
        Without links.
    i, j : ndarray of shape (n_links,)
        Numbers of the nodes that each joins, or leads from and to.
    start : int, optional
        Row of the first link in what it comes from.
    of : str
        What that is.
    rows : ndarray of shape (n_links,), optional
        Rows of the links from there, where some are left out.
    """

    nodes: Graph
    i: Index
    j: Index
    start: int | None = None
    of: str = "all"
    rows: Index | None = None

    @property
    def codes(self) -> Index:
        """i n + j of each link, i < j where links have no direction."""
        i, j = self.i, self.j
        if not self.nodes.directed:
            i, j = np.minimum(i, j), np.maximum(i, j)
        found: Index = i * self.nodes.n_nodes + j
        return found

    def checked(self) -> LinkBlock:
        """Return the links, which join different nodes and stand once; DataError for others."""
        loops = self.i == self.j
        if loops.any():
            k = int(np.argmax(loops))
            raise DataError(
                f"the link at row {self.row(k)} leads from {_called(self.nodes, self.i[k])} to "
                "itself, which is no dyad: leave such links out."
            )
        codes = self.codes
        order = np.argsort(codes, kind="stable")
        again = np.flatnonzero(codes[order[1:]] == codes[order[:-1]])
        if len(again):
            k = again[np.argmin(order[again + 1])]
            one, two = (self.row(int(order[m])) for m in (k, k + 1))
            raise DataError(_twice(self.nodes, int(codes[order[k]]), f"row {two}", f"row {one}"))
        return self

    def row(self, k: int) -> int:
        """Return the row of a link in its part."""
        return k if self.rows is None else int(self.rows[k])


def _called(nodes: Graph, node: int) -> str:
    """Return what a node is called in messages."""
    return f"node {int(node)}" if nodes.node_names is None else repr(nodes.node_names[node])


def _twice(nodes: Graph, code: int, *places: str) -> str:
    """Say that a link stands twice, and where."""
    i, j = (_called(nodes, node) for node in divmod(code, nodes.n_nodes))
    both = "" if nodes.directed else ", whichever way it is written"
    mend = "" if nodes.directed else ", or pass directed=True if links have a direction"
    where = f" at {places[0]}, and again at {places[1]}" if places else " twice"
    return f"the link of {i} and {j} occurs{where}: give each link once{both}{mend}."


# ---- looks -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Count:
    """How many links there are, from each node, and which they are while they are few.

    Parameters
    ----------
    n_links : int
    leading : ndarray of shape (n_nodes,)
        Links by the lower of their ends, or by where they lead from.
    codes : ndarray of shape (n_links,), or None
    nodes : Graph, or None
        Those of the first part.
    numbers : tuple of int
        Of the parts.
    """

    n_links: int
    leading: Index
    codes: Index | None
    nodes: Graph | None
    numbers: tuple[int, ...]

    def __add__(self, other: Any) -> Count:
        if not isinstance(other, Count):
            raise DataError(
                "some parts are graphs and others have links of one: give a list of graphs, or one "
                "graph by blocks."
            )
        refuse_other_nodes(len(self.leading), len(other.leading))
        n_links = self.n_links + other.n_links
        few = self.codes is not None and other.codes is not None and n_links <= MOST_LINKS
        codes = np.concatenate([self.codes, other.codes]) if few else None
        nodes = self.nodes if self.nodes is not None else other.nodes
        numbers = self.numbers + other.numbers
        return Count(n_links, self.leading + other.leading, codes, nodes, numbers)

    __radd__ = __add__

    def ranges(self) -> list[tuple[int, int]]:
        """Return first and last nodes of as many links as are held at once."""
        group = (np.cumsum(self.leading) - 1) // MOST_LINKS
        cuts = np.flatnonzero(np.diff(group)) + 1
        ends = [0, *cuts.tolist(), len(self.leading)]
        return list(pairwise(ends))


def refuse_other_nodes(one: int, two: int) -> None:
    """Raise DataError for parts of graphs of other nodes."""
    if one != two:
        raise DataError(
            f"one part has links of a graph of {one} nodes and another of {two}: all parts must be "
            "of one graph. Fit graphs that are read whole in a list."
        )


def count_of(part: Part) -> Count:
    """Return how many links a part has."""
    block: LinkBlock = part.data[0]
    n, codes = block.nodes.n_nodes, block.codes
    leading = np.bincount(codes // n, minlength=n).astype(np.int64)
    few = codes if len(codes) <= MOST_LINKS else None
    return Count(len(codes), leading, few, None if part.number else block.nodes, (part.number,))


@dataclass(frozen=True)
class Within:
    """A look for the links of some nodes."""

    first: int
    last: int

    def __call__(self, part: Part) -> Gathered:
        block: LinkBlock = part.data[0]
        n, codes = block.nodes.n_nodes, block.codes
        return Gathered((codes[(codes >= self.first * n) & (codes < self.last * n)],))


@dataclass(frozen=True)
class Gathered:
    """Arrays of parts, or what else is told of them, one after the other."""

    held: tuple[Any, ...]

    def __add__(self, other: Gathered) -> Gathered:
        return Gathered(self.held + other.held)


@dataclass(frozen=True)
class PlacesOf:
    """A look for where a link stands."""

    code: int

    def __call__(self, part: Part) -> Gathered:
        block: LinkBlock = part.data[0]
        rows = np.flatnonzero(block.codes == self.code).tolist()
        return Gathered(tuple(_place(part.number, block.row(k), block) for k in rows))


def _place(part: int, row: int, block: LinkBlock) -> str:
    more = "" if not block.start and block.of == "all" else (
        f" (row {row + (block.start or 0)} of {block.of})"
    )  # fmt: skip
    return f"row {row}{more} of part {part}"


@dataclass(frozen=True)
class Among:
    """A look for which of some pairs are linked.

    Parameters
    ----------
    codes : ndarray of shape (n_pairs,)
        Rising.
    """

    codes: Index

    def __call__(self, part: Part) -> Index:
        found = np.zeros(len(self.codes), np.int64)
        codes = part.data[0].codes
        place = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        found[place[self.codes[place] == codes]] = 1
        return found


# ---- the graph ---------------------------------------------------------------------------------


def counted(parts: Parts[Part], count: Count) -> Count:
    """Return the count of links; DataError for one that stands twice, or too many to be held once.

    Parameters
    ----------
    parts : Parts
    count : Count
        Of all of them.
    """
    if count.codes is not None:
        _refuse_twice(parts, count, [count.codes])
        return count
    if not parts.again:
        raise DataError(
            f"a graph of {count.n_links} links in parts is looked at several times, and these "
            "can be read only once: give a path, or a list of parts."
        )
    for first, last in count.ranges():
        _refuse_twice(parts, count, parts.total(Within(first, last)).held)
    return count


def _refuse_twice(parts: Parts[Part], count: Count, codes: Sequence[Index]) -> None:
    """Raise DataError for a link that stands in two parts."""
    held = np.sort(np.concatenate(codes))
    again = held[1:][held[1:] == held[:-1]]
    if len(again):
        code, nodes = int(again[0]), count.nodes
        places = parts.total(PlacesOf(code)).held if parts.again else ()
        raise DataError(_twice(nodes, code, *places[1::-1]))  # type: ignore[arg-type]


def put_together(count: Count) -> Graph:
    """Return the graph of a count that holds its links."""
    nodes, codes = count.nodes, count.codes
    n = nodes.n_nodes  # type: ignore[union-attr]
    i, j = np.divmod(np.sort(codes), n)  # type: ignore[arg-type]
    E: Any = (one_way if nodes.directed else symmetric)(i, j, n)  # type: ignore[union-attr]
    return nodes.replaced(adjacency=E if n > DENSE_NODES else E.toarray())  # type: ignore[union-attr]
