"""The sums of one graph whose links are in parts and too many to be held.

Every sum over dyads is one over all pairs of nodes, for which the nodes are enough, and one over
links, which is found part by part: of terms, or of s = x_i . x_j,

    l = sum_links eta_ij - sum_pairs log(1 + exp(eta_ij))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ancestral.graph.features import FeatureRows
from ancestral.graph.graph import Graph
from ancestral.graph.link_blocks import Among, Count, LinkBlock
from ancestral.graph.nodes import NodeRows
from ancestral.graph.pairs import compression
from ancestral.graph.pairs.dyad_sums import SOME, DyadSums, Pile
from ancestral.graph.pairs.dyads import Chunk, Grid, Listed, Rows, part_of
from ancestral.graph.pairs.dyads import Part as Dyads
from ancestral.graph.pairs.gather import compresses, gather
from ancestral.graph.pairs.grid import Cells
from ancestral.graph.pairs.passes import (
    moments_of,
    pass_over,
    product_range,
    products,
    some_products,
)
from ancestral.graph.pairs.separation import Extremes
from ancestral.graph.pairs.sums import PairSums
from ancestral.graph.terms import Evaluation, Term, evaluations, parsed
from ancestral.training.parts import Part, Parts

Float = NDArray[np.float64]
Index = NDArray[np.int64]

DEAR, SHARED = 1e9, 20  # dyads, in all and for each link, that parts share


# ---- by terms ----------------------------------------------------------------------------------


class OverNodes:
    """Terms over the nodes of a graph, and all its dyads."""

    def __init__(self, nodes: Graph, terms: list[Term]) -> None:
        self.terms = terms
        (self.evaluation,) = evaluations(terms, [nodes])

    @cached_property
    def dyads(self) -> Dyads:
        """All dyads, in the way that visits fewest."""
        return part_of(self.evaluation)


_made: WeakKeyDictionary[Graph, OverNodes] = WeakKeyDictionary()


def _over(nodes: Graph, model: Any) -> OverNodes:
    """Return a model's terms over nodes, made once for parts that come one after the other."""
    terms, held = parsed(model.terms), _made.get(nodes)
    if held is None or held.terms != terms:
        held = _made[nodes] = OverNodes(nodes, terms)
    return held


def _listed(part: Part) -> Listed:
    """Return the links of a part, with their terms."""
    block: LinkBlock = part.data[0]
    terms = _over(block.nodes, part.model).evaluation
    return Listed(terms, *np.divmod(block.codes, block.nodes.n_nodes))


def _sum_of(listed: Listed) -> Float:
    """Return the sums of 1 and of the terms over links."""
    total = np.zeros(1 + len(listed.terms.pieces))
    for chunk in listed.chunks(0, 1):
        total += chunk.values.sum(axis=1)
    return total


@dataclass(frozen=True)
class Linked:
    """Sums of 1 and of the terms over links, and some of these."""

    total: Float
    some: Float

    def __add__(self, other: Linked) -> Linked:
        return Linked(self.total + other.total, np.concatenate([self.some, other.some], axis=1))


@dataclass(frozen=True)
class SumsOfLinks:
    """A look at links of so many: their sums, and some for a start."""

    n_links: int

    def __call__(self, part: Part) -> Linked:
        listed = _listed(part)
        n = len(listed.i)
        few = np.arange(0, n, 1 + self.n_links // SOME)
        return Linked(_sum_of(listed), listed.terms.at(listed.i[few], listed.j[few]))


@dataclass(frozen=True)
class Afar(Dyads):
    """Links that are read when they are looked at.

    Parameters
    ----------
    links : Parts of Listed
    n_links : int
    held : ndarray of shape (1 + n_terms, n)
        1 and the terms at some of them.
    """

    links: Parts[Listed]
    n_links: int
    held: Float

    @property
    def n_dyads(self) -> float:
        return float(self.n_links)

    @property
    def n_visits(self) -> int:
        return self.n_links

    @property
    def n_bytes(self) -> int:
        return self.held.nbytes

    def some(self, n: int, rng: np.random.Generator) -> Chunk:
        values = Rows(self.held).some(n, rng).values
        return Chunk(values, np.full(values.shape[1], self.n_links / values.shape[1]))

    def chunks(self, group: int, groups: int) -> Iterator[Chunk]:
        for k, part in enumerate(self.links):
            if k % groups == group:
                yield from part.chunks(0, 1)


@dataclass(frozen=True)
class Shared:
    """Gives each part a share of all dyads of the graph, beside the links that it has."""

    numbers: tuple[int, ...]

    def __call__(self, part: Part) -> DyadSums:
        listed = _listed(part)
        dyads = _over(part.data[0].nodes, part.model).dyads
        share = sorted(self.numbers).index(part.number), len(self.numbers)
        own: Dyads = replace(dyads, share=share)  # type: ignore[type-var]
        pile = Pile([own], [listed], listed.terms.shift, _sum_of(listed))
        return _sums(pile, listed.terms, own.n_dyads, len(listed.i), part.model)


def _sums(pile: Pile, terms: Evaluation, n_pairs: float, n_edges: int, model: Any) -> DyadSums:
    none = np.zeros(len(terms.pieces))
    return DyadSums([pile], int(n_pairs), n_edges, none, terms.directed, n_jobs=model.n_jobs)


def are_dear(count: Count) -> bool:
    """Tell whether the dyads of a graph would cost far more than its links."""
    n_dyads: int = count.nodes.n_dyads  # type: ignore[union-attr]
    return n_dyads > max(DEAR, SHARED * count.n_links)


def dyads_of_one(parts: Parts[Part], count: Count, model: Any) -> DyadSums:
    """Return the sums over the dyads of one graph, as a `DyadicGraph` solves them.

    Where its dyads cost far more than its links, both are asked of parts.
    """
    nodes: Graph = count.nodes  # type: ignore[assignment]
    over, found = _over(nodes, model), parts.total(SumsOfLinks(count.n_links))
    terms, dyads = over.evaluation, over.dyads
    links = Afar(parts.prepared(_listed), count.n_links, found.some)
    pile = Pile([dyads], [links], terms.shift, found.total)
    sums = _sums(pile, terms, nodes.n_dyads, count.n_links, model).beside(NodeRows.of([nodes]))
    if isinstance(dyads, Grid) and are_dear(count):
        return sums.within((0, 0)).asked_of(parts.prepared(Shared(count.numbers)))
    return sums


# ---- by inner products -------------------------------------------------------------------------


def _products_of(block: LinkBlock) -> Float:
    return products(block.nodes.features, block.i, block.j)


@dataclass(frozen=True)
class AboutLinks:
    """The sum of s over links, and the links of the least and the largest."""

    total: float
    low: tuple[float, int]
    high: tuple[float, int]

    def __add__(self, other: AboutLinks) -> AboutLinks:
        low, high = min(self.low, other.low), max(self.high, other.high)
        return AboutLinks(self.total + other.total, low, high)


def about_links(part: Part) -> AboutLinks:
    """Return what a part's links say of s."""
    block: LinkBlock = part.data[0]
    s = _products_of(block)
    if not len(s):
        return AboutLinks(0.0, (np.inf, 0), (-np.inf, 0))
    ends = int(s.argmin()), int(s.argmax())
    low, high = ((float(s[k]), int(block.codes[k])) for k in ends)
    return AboutLinks(float(s.sum()), low, high)


@dataclass(frozen=True)
class InCells:
    """A look for where the s of links fall."""

    cells: Cells

    def __call__(self, part: Part) -> Float:
        return moments_of(_products_of(part.data[0]), self.cells)


@dataclass(frozen=True)
class OneGraph:
    """A graph whose links are in parts, asked for sums that hold at some (a, b).

    Parameters
    ----------
    parts : Parts
    count : Count
    about : tuple of int, float and Extremes
        The links' number, their sum of s, and extremes.
    model : InnerProductGraph
    """

    parts: Parts[Part]
    count: Count
    about: tuple[int, float, Extremes]
    model: Any

    @property
    def nodes(self) -> Graph:
        """The nodes."""
        return self.count.nodes  # type: ignore[return-value]

    @property
    def offset(self) -> float:
        """What is added to every logit."""
        return -float(np.log(self.nodes.n_nodes)) if self.model.offset is not None else 0.0

    def __add__(self, other: Any) -> None:
        """Return none of both: they are asked apart."""

    def started(self) -> PairSums:
        """Return sums to be maximised."""
        near = None
        if compresses(self.nodes, must=self.model.pairs == "compressed"):
            near = compression.estimate(compression.pilot(self.nodes, self.about))
        return self._among_all(near)

    def gathered(self, at: tuple[float, float]) -> PairSums:
        """Return sums that hold at (a, b)."""
        return self._among_all((at[0], at[1] + self.offset))

    def visited(self, at: tuple[float, float]) -> PairSums:
        """Return sums that hold at (a, b), every pair visited, links told from others."""
        X = self.nodes.features
        near = at[0], at[1] + self.offset
        cells = Cells.over(*product_range(X), some_products(X), near)
        moments, _ = pass_over(X, cells, n_jobs=self.model.n_jobs)
        linked = self.parts.total(InCells(cells))
        return self._as_asked(
            PairSums.of_cells(cells, moments, self.about, self.nodes.n_pairs, linked=linked)
        )

    def _among_all(self, near: tuple[float, float] | None) -> PairSums:
        """Return sums over all pairs, links not told from others but added apart."""
        settings = {"n_jobs": self.model.n_jobs, "random_state": self.model.random_state}
        every = gather([self.nodes], pairs=self.model.pairs, at=near, **settings)
        number, total, extremes = self.about
        apart = float(number), total, 0.0
        return self._as_asked(replace(every, apart=apart, n_edges=number, extremes=extremes))

    def _as_asked(self, sums: PairSums) -> PairSums:
        shifted = sums.shifted(self.offset) if self.model.offset is not None else sums
        return shifted.beside(source=None if self.model.pairs == "sampled" else self)


def pairs_of_one(parts: Parts[Part], count: Count, model: Any) -> PairSums:
    """Return the sums over the pairs of one graph, as an `InnerProductGraph` solves them."""
    nodes: Graph = count.nodes  # type: ignore[assignment]
    found = parts.total(about_links)
    extremes = Extremes.of(np.array([found.low[0], found.high[0]]), _seen_gaps(parts, nodes, found))
    about = count.n_links, found.total, extremes
    sums = OneGraph(parts, count, about, model).started()
    return sums.beside(features=FeatureRows.of([nodes]))


def _seen_gaps(parts: Parts[Part], nodes: Graph, about: AboutLinks) -> Float:
    """Return s of some pairs that are not linked: of some nodes, and of all with extreme ones."""
    n, X = nodes.n_nodes, nodes.features
    rng = np.random.default_rng(0)
    ends = np.unique(np.divmod([about.low[1], about.high[1]], n))
    squares = [*rng.integers(0, n, (1, 2, compression.SEEN_NODES)), (ends, np.arange(n))]
    codes = np.unique(np.concatenate([_codes_between(one, two, n) for one, two in squares]))
    free = codes[parts.total(Among(codes)) == 0]
    return products(X, *np.divmod(free, n))


def _codes_between(one: Index, two: Index, n: int) -> Index:
    """Return i n + j, i < j, of the pairs of nodes of two lists."""
    i, j = np.minimum.outer(one, two).ravel(), np.maximum.outer(one, two).ravel()
    found: Index = (i * n + j)[i < j]
    return found
