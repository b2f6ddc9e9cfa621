"""The likelihood of dyadic models over the known dyads of graphs, and its derivatives.

    l(b, theta) = sum e_ij eta_ij - log(1 + exp(eta_ij)) - (l2 / 2)(b^2 + |theta|^2)

`dyads` has the sums over all dyads; here they meet the sums over links, those of other graphs, and
coefficients about other constants: terms are taken less a constant each, which moves the intercept
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import add
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral.graph.graph import Graph
from ancestral.graph.pairs.dyads import (
    AT_ONCE,
    KEPT,
    Chunk,
    Grid,
    Listed,
    Part,
    Rows,
    Sums,
    grouped,
    part_of,
    visit,
)
from ancestral.graph.pairs.logistic import FLAT_TERMS, guarded_inverse
from ancestral.graph.terms import Evaluation, Term, evaluations, refuse_mixed

Float = NDArray[np.float64]
Index = NDArray[np.int64]
S = TypeVar("S")

SOME = 50_000  # dyads, and links, that a start is found from


@dataclass(frozen=True)
class Pile:
    """The dyads of graphs whose terms were centred alike.

    Parameters
    ----------
    parts : list of Part
        All known dyads.
    links : list of Part
        Those that are linked.
    shift : ndarray of shape (n_terms,)
        What was taken off each term.
    linked : ndarray of shape (1 + n_terms,)
        Sum of 1 and of the terms over the links.
    """

    parts: Sequence[Part]
    links: Sequence[Part]
    shift: Float
    linked: Float

    @property
    def n_bytes(self) -> int:
        """About how much memory they take."""
        return sum(part.n_bytes for part in [*self.parts, *self.links])

    def taking(self, other: Pile) -> list[Pile]:
        """Return the dyads of both: those whose values are kept as one, about these constants."""
        away = _moved(self.shift - other.shift).T
        moved = bool((self.shift != other.shift).any())
        parts, rest_of_parts = _divided(other.parts, away if moved else None)
        links, rest_of_links = _divided(other.links, away if moved else None)
        linked = self.linked + (away @ other.linked if moved else other.linked)
        parts, links = _joined([*self.parts, *parts]), _joined([*self.links, *links])
        found = [Pile(parts, links, self.shift, linked)]
        if rest_of_parts or rest_of_links:
            none = np.zeros(len(linked))
            found.append(Pile(rest_of_parts, rest_of_links, other.shift, none))
        return found


@dataclass(frozen=True)
class DyadSums:
    """Sums over the known dyads of graphs at any coefficients: b, then one for each term.

    Parameters
    ----------
    piles : list of Pile
    n_pairs, n_edges : int
        Known dyads, and linked ones.
    shift : ndarray of shape (n_terms,)
        Coefficients are those of the terms less these constants, so that the intercept is b plus
        coefficients times constants. Zeros for the model's own.
    directed : bool
        Whether dyads are ordered.
    l2 : float
        (l2 / 2)(b^2 + sum theta_k^2) is taken off, of the model's own coefficients.
    n_jobs : int, optional
    features : NodeRows, optional
        What the nodes of the graphs carry.
    visits : int
        Dyads, or kinds of them, whose piles are left out, beyond `most`.
    most : float
        Bytes and visits of piles that are held: what has more is left with none.
    elsewhere : Parts of DyadSums, optional
        Where there are none: what is asked of them is asked of these, and summed.
    """

    piles: Sequence[Pile]
    n_pairs: int
    n_edges: int
    shift: Float
    directed: bool
    l2: float = 0.0
    n_jobs: int | None = None
    features: Any = None
    visits: int = 0
    most: tuple[float, float] = (np.inf, np.inf)
    elsewhere: Any = None

    def __add__(self, other: DyadSums) -> DyadSums:
        if not isinstance(other, DyadSums):
            return NotImplemented
        if self.directed != other.directed:
            refuse_mixed()
        none = self.features is None or other.features is None
        piles = list(self.piles)
        for pile in other.piles:
            piles[:1] = piles[0].taking(pile)
        return replace(
            self,
            piles=piles,
            n_pairs=self.n_pairs + other.n_pairs,
            n_edges=self.n_edges + other.n_edges,
            features=None if none else self.features + other.features,
            visits=self.visits + other.visits,
        ).within(self.most)

    def within(self, most: tuple[float, float]) -> DyadSums:
        """Return the same where piles have no more bytes and visits, else without piles.

        The constants of the first one stay.
        """
        found = replace(self, most=most)
        n_bytes = sum(pile.n_bytes for pile in self.piles)
        if not self.visits and n_bytes <= most[0] and self.n_visits <= most[1]:
            return found
        first = replace(self.piles[0], parts=[], links=[])
        return replace(found, piles=[first], visits=self.n_visits)

    def asked_of(self, parts: Any) -> DyadSums:
        """Return the same sums, of dyads that stand elsewhere."""
        return replace(self, elsewhere=parts)

    @property
    def holds_all(self) -> bool:
        """Tell whether no dyads were left out."""
        return not self.visits or self.elsewhere is not None

    @property
    def parts(self) -> list[Part]:
        """All known dyads."""
        return [part for pile in self.piles for part in pile.parts]

    @property
    def n_visits(self) -> int:
        """Dyads, or kinds of them, that are visited at each evaluation."""
        return self.visits + sum(part.n_visits for part in self.parts)

    def centred(self) -> DyadSums:
        """Return the same about the constants that were taken off the terms of the first graphs."""
        return replace(self, shift=self.piles[0].shift)

    def about(self, shift: Float) -> DyadSums:
        """Return the same about other constants."""
        return replace(self, shift=shift)

    def beside(self, features: Any) -> DyadSums:
        """Return the same with what the nodes carry."""
        return replace(self, features=features)

    def penalised(self, l2: float) -> DyadSums:
        """Return the same with a penalty."""
        return replace(self, l2=l2)

    def own(self, theta: Float) -> Float:
        """Return the model's own coefficients, given those about `shift`."""
        found = np.array(theta, np.float64)
        found[0] -= theta[1:] @ self.shift
        return found

    def own_covariance(self, covariance: Float) -> Float:
        """Return the covariance of the model's own coefficients, given that of those here."""
        J = _moved(self.shift)
        found: Float = J @ covariance @ J.T
        return found

    def evaluate(self, theta: Float) -> Sums:
        """Return the log-likelihood, less the penalty, and its derivatives."""
        value, gradient, information = self._total(partial(_evaluated, theta=theta))
        if self.l2:
            J = _moved(self.shift)
            own = J @ theta
            value -= self.l2 / 2 * float(own @ own)
            gradient -= self.l2 * (J.T @ own)
            information += self.l2 * (J.T @ J)
        return Sums(value, gradient, information)

    def log_likelihood(self, *theta: float) -> float:
        """Return the log-likelihood in nats, less the penalty."""
        return self.evaluate(np.array(theta)).value

    def gradient(self, *theta: float) -> Float:
        """Return its gradient, shape (1 + n_terms,)."""
        return self.evaluate(np.array(theta)).gradient

    def information(self, *theta: float) -> Float:
        """Return minus its Hessian, shape (1 + n_terms, 1 + n_terms)."""
        return self.evaluate(np.array(theta)).information

    def covariance(self, *theta: float) -> Float:
        """Return the inverse information."""
        return guarded_inverse(self.information(*theta), FLAT_TERMS)

    # ---- what a direction of coefficients tells dyads apart by --------------------------------

    def chunks(self, *, links: bool = False) -> Iterator[Chunk]:
        """Yield 1 and the terms at dyads, or at links; unknown ones count -1 where all come."""
        for pile in self.piles:
            away = _moved(self.shift - pile.shift).T  # values about the constants of the pile
            moved = bool((self.shift != pile.shift).any())
            for part in pile.links if links else pile.parts:
                for values, counts in part.chunks(0, 1):
                    yield Chunk(away @ values if moved else values, counts)

    def along(self, direction: Float, *, links: bool = False) -> Ends:
        """Return the least and the largest value along a direction, over dyads or over links.

        Unknown dyads that are taken off count too.
        """
        return self._total(partial(_ends, direction=direction, links=links))

    def count_above(self, direction: Float, level: float, *, links: bool = False) -> float:
        """Return how many dyads, or links, have more than this along a direction."""
        return self._total(partial(_count_above, direction=direction, level=level, links=links))

    def sum_along(self, direction: Float) -> float:
        """Return the sum of a direction's values over dyads."""
        return self._total(partial(_sum_along, direction=direction))

    def moments(self) -> Float:
        """Return the sum of t t^T over dyads, unknown ones taken off."""
        return self._total(_moments)

    def _total(self, question: Callable[[DyadSums], S]) -> S:
        """Return what is asked of these dyads, wherever they are."""
        if self.elsewhere is None:
            return question(self)
        found: S = self.elsewhere.total(Asked(question, self.shift))
        return found

    # ---- some dyads, for a start --------------------------------------------------------------

    def pilot(self) -> DyadSums | None:
        """Return about the same sums over some of the dyads; None where they are few anyway."""
        if self.n_visits <= 4 * SOME:
            return None
        some = self._total(
            partial(_pilot, n_visits=self.n_visits, share=self.n_edges / self.n_pairs)
        )
        pile = Pile([Rows(some.values, some.counts)], [], self.shift, some.linked)
        return replace(self, piles=[pile], visits=0, elsewhere=None)


# ---- what is asked of dyads -------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A question to dyads, about constants of one's own."""

    question: Callable[[DyadSums], Any]
    shift: Float

    def __call__(self, sums: DyadSums) -> Any:
        return self.question(sums.about(self.shift))


class Ends(NamedTuple):
    """The least and the largest of some values."""

    low: float
    high: float

    def __add__(self, other: Any) -> Ends:
        """Return those of both."""
        return Ends(min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True)
class Few:
    """Some dyads, how many each stands for, and the sums over all links."""

    values: Float
    counts: Float
    linked: Float

    def __add__(self, other: Few) -> Few:
        return Few(
            np.concatenate([self.values, other.values], axis=1),
            np.concatenate([self.counts, other.counts]),
            self.linked + other.linked,
        )


def _evaluated(sums: DyadSums, theta: Float) -> Sums:
    """Return the log-likelihood, without a penalty, and its derivatives."""
    width = len(theta)
    total = Sums(0.0, np.zeros(width), np.zeros((width, width)))
    for pile in sums.piles:
        away = _moved(sums.shift - pile.shift)  # coefficients here, to those of the pile
        local = away @ theta
        soft, expected, curved = visit(pile.parts, local, sums.n_jobs)
        value = float(pile.linked @ local) - soft
        total += Sums(value, away.T @ (pile.linked - expected), away.T @ curved @ away)
    return total


def _ends(sums: DyadSums, direction: Float, *, links: bool) -> Ends:
    low, high = np.inf, -np.inf
    for values, _ in sums.chunks(links=links):
        s = direction @ values
        low, high = min(low, float(s.min())), max(high, float(s.max()))
    return Ends(low, high)


def _count_above(sums: DyadSums, direction: Float, level: float, *, links: bool) -> float:
    total = 0.0
    for values, counts in sums.chunks(links=links):
        above = direction @ values > level
        total += float(above.sum() if counts is None else counts[above].sum())
    return total


def _sum_along(sums: DyadSums, direction: Float) -> float:
    return sum(
        float(direction @ (values.sum(axis=1) if counts is None else values @ counts))
        for values, counts in sums.chunks()
    )


def _moments(sums: DyadSums) -> Float:
    total = np.zeros((1 + len(sums.shift),) * 2)
    for values, counts in sums.chunks():
        total += (values if counts is None else values * counts) @ values.T
    return total


def _pilot(sums: DyadSums, n_visits: int, share: float) -> Few:
    """Return some dyads and links: as many as these are of all visits and links."""
    rng = np.random.default_rng(0)  # fixed: the fit has no chance in it
    of_all = sums.n_visits / n_visits
    found: list[Few] = []
    for pile in sums.piles:
        away = _moved(sums.shift - pile.shift).T  # values about the constants of the pile
        others, linked = (
            _some(held, SOME * of_all, len(away), rng) for held in (pile.parts, pile.links)
        )
        values = np.concatenate([others[0], linked[0]], axis=1)
        counts = np.concatenate([others[1] * (1 - share), linked[1]])
        found.append(Few(away @ values, counts, away @ pile.linked))
    return reduce(add, found)


def _moved(shift: Float) -> Float:
    """Return the matrix that leads from coefficients about some constants to those about none."""
    J = np.eye(len(shift) + 1)
    J[0, 1:] = -shift
    return J


def _divided(parts: Sequence[Part], away: Float | None) -> tuple[list[Part], list[Part]]:
    """Return parts about other constants, and those that can't be brought there."""
    if away is None:
        return list(parts), []
    rows = [part for part in parts if isinstance(part, Rows)]
    rest = [part for part in parts if not isinstance(part, Rows)]
    return [replace(part, values=away @ part.values) for part in rows], rest


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Return parts with all rows as one, kinds of dyads each once."""
    rest = [part for part in parts if not isinstance(part, Rows)]
    rows = [part for part in parts if isinstance(part, Rows)]
    if len(rows) < 2:
        return [*rest, *rows]
    values = np.concatenate([part.values for part in rows], axis=1)
    if all(part.counts is None for part in rows):
        return [*rest, grouped(values)]
    counts = [np.ones(part.n_visits) if part.counts is None else part.counts for part in rows]
    return [*rest, grouped(values, np.concatenate(counts))]


def _some(
    parts: Sequence[Part], n: float, width: int, rng: np.random.Generator
) -> tuple[Float, Float]:
    """Return 1 and the terms at about n of the dyads of parts, and how many each stands for."""
    total = sum(abs(part.n_dyads) for part in parts)
    chunks = [
        part.some(1 + int(n * part.n_dyads / total), rng) for part in parts if part.n_dyads > 0
    ]
    if not chunks:
        return np.zeros((width, 0)), np.zeros(0)
    values = np.concatenate([chunk.values for chunk in chunks], axis=1)
    return values, np.concatenate([np.asarray(chunk.counts) for chunk in chunks])


def dyad_sums(
    terms: Sequence[Term], graphs: Sequence[Graph], *, n_jobs: int | None = None
) -> DyadSums:
    """Return the sums over the known dyads of graphs.

    Raises
    ------
    DataError, ModelError
        As `terms.evaluations` does.
    """
    parts: list[Part] = []
    links: list[Part] = []
    held = evaluations(terms, graphs)
    for terms_of, graph in zip(held, graphs, strict=True):
        i, j = graph.edges()
        known = _known(terms_of, graph)
        for part in known:
            if isinstance(part, Grid) and part.n_alike is None:
                part = replace(part, linked=i * terms_of.n_nodes + j)
            parts.append(part)
        listed = Listed(terms_of, i, j)
        links.append(_as_rows(listed) if all(isinstance(x, Rows) for x in known) else listed)
    parts, links = _joined(parts), _joined(links)
    linked = np.zeros(len(terms) + 1)
    for part in links:
        for values, counts in part.chunks(0, 1):
            linked += values.sum(axis=1) if counts is None else values @ counts
    pile = Pile(parts, links, held[0].shift, linked)
    n_pairs, n_edges = sum(g.n_pairs for g in graphs), sum(g.n_edges for g in graphs)
    none, directed = np.zeros(len(terms)), held[0].directed
    return DyadSums([pile], n_pairs, n_edges, none, directed, n_jobs=n_jobs)


def _as_rows(listed: Listed) -> Rows:
    """Return links with their values kept, kinds of them each once where they are many."""
    if listed.n_visits <= AT_ONCE:
        return Rows(listed.terms.at(listed.i, listed.j))
    (rows,) = _joined([grouped(chunk.values) for chunk in listed.chunks(0, 1)])
    return rows  # type: ignore[return-value]


def _known(terms: Evaluation, graph: Graph) -> list[Part]:
    """Return the known dyads of a graph: all but the unknown ones, or those that are left."""
    i, j = graph.unknown_dyads()
    n_known = terms.n_pairs - len(i)
    if not len(i):
        return [part_of(terms)]
    if n_known > KEPT and len(i) < n_known:
        return [part_of(terms), Listed(terms, i, j, -1.0)]
    known = _pairs_but(i, j, terms.n_nodes, directed=terms.directed)
    return [Listed(terms, *known) if n_known > KEPT else Rows(terms.at(*known))]


def _pairs_but(i: Index, j: Index, n_nodes: int, *, directed: bool) -> tuple[Index, Index]:
    """Return all pairs but some, which are ordered by their first node."""
    ends = np.split(j, np.searchsorted(i, np.arange(1, n_nodes)))
    kept = np.ones(n_nodes, bool)
    rows = []
    for node, others in enumerate(ends):
        kept[others] = False
        first = 0 if directed else node + 1
        found = first + np.flatnonzero(kept[first:])
        rows.append(found[found != node])
        kept[others] = True
    return np.repeat(np.arange(n_nodes), [len(row) for row in rows]), np.concatenate(rows)
