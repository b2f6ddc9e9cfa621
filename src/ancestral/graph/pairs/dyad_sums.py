"""The likelihood of dyadic models over the known dyads of graphs, and its derivatives.

    l(b, theta) = sum e_ij eta_ij - log(1 + exp(eta_ij)) - (l2 / 2)(b^2 + |theta|^2)

`dyads` has the sums over all dyads; here they meet the sums over links, those of other graphs, and
coefficients about other constants: terms are taken less a constant each, which moves the intercept
alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.graph.graph import Graph
from ancestral.graph.pairs.dyads import KEPT, Chunk, Grid, Listed, Part, Rows, Sums, part_of, visit
from ancestral.graph.pairs.logistic import FLAT_TERMS, guarded_inverse
from ancestral.graph.terms import Evaluation, Term, evaluations

Float = NDArray[np.float64]
Index = NDArray[np.int64]

SOME = 50_000  # dyads, and links, that a start is found from


@dataclass(frozen=True)
class Pile:
    """The dyads of graphs whose terms were centred alike.

    Parameters
    ----------
    parts : list of Part
        All known dyads.
    links : list of Listed
        Those that are linked.
    shift : ndarray of shape (n_terms,)
        What was taken off each term.
    linked : ndarray of shape (1 + n_terms,)
        Sum of 1 and of the terms over the links.
    """

    parts: Sequence[Part]
    links: Sequence[Listed]
    shift: Float
    linked: Float


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
    l2 : float
        (l2 / 2)(b^2 + sum theta_k^2) is taken off, of the model's own coefficients.
    n_jobs : int, optional
    features : NodeRows, optional
        What the nodes of the graphs carry.
    """

    piles: Sequence[Pile]
    n_pairs: int
    n_edges: int
    shift: Float
    l2: float = 0.0
    n_jobs: int | None = None
    features: Any = None

    def __add__(self, other: DyadSums) -> DyadSums:
        if not isinstance(other, DyadSums):
            return NotImplemented
        none = self.features is None or other.features is None
        return replace(
            self,
            piles=[*self.piles, *other.piles],
            n_pairs=self.n_pairs + other.n_pairs,
            n_edges=self.n_edges + other.n_edges,
            features=None if none else self.features + other.features,
        )

    @property
    def parts(self) -> list[Part]:
        """All known dyads."""
        return [part for pile in self.piles for part in pile.parts]

    @property
    def n_visits(self) -> int:
        """Dyads, or kinds of them, that are visited at each evaluation."""
        return sum(part.n_visits for part in self.parts)

    def centred(self) -> DyadSums:
        """Return the same about the constants that were taken off the terms of the first graphs."""
        return replace(self, shift=self.piles[0].shift)

    def about(self, shift: Float) -> DyadSums:
        """Return the same about other constants."""
        return replace(self, shift=shift)

    def beside(self, features: Any) -> DyadSums:
        """Return the same with what the nodes carry."""
        return replace(self, features=features)

    @property
    def directed(self) -> bool:
        """Whether dyads are ordered."""
        return bool(self.piles[0].links[0].terms.directed)

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
        value, gradient = 0.0, np.zeros(len(theta))
        information = np.zeros((len(theta), len(theta)))
        for pile in self.piles:
            away = _moved(self.shift - pile.shift)  # coefficients here, to those of the pile
            local = away @ theta
            soft, expected, curved = visit(pile.parts, local, self.n_jobs)
            value += float(pile.linked @ local) - soft
            gradient += away.T @ (pile.linked - expected)
            information += away.T @ curved @ away
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

    def along(self, direction: Float, *, links: bool = False) -> tuple[float, float]:
        """Return the least and the largest value along a direction, over dyads or over links.

        Unknown dyads that are taken off count too.
        """
        low, high = np.inf, -np.inf
        for values, _ in self.chunks(links=links):
            s = direction @ values
            low, high = min(low, float(s.min())), max(high, float(s.max()))
        return low, high

    def count_above(self, direction: Float, level: float, *, links: bool = False) -> float:
        """Return how many dyads, or links, have more than this along a direction."""
        total = 0.0
        for values, counts in self.chunks(links=links):
            above = direction @ values > level
            total += float(above.sum() if counts is None else counts[above].sum())
        return total

    # ---- some dyads, for a start --------------------------------------------------------------

    def pilot(self) -> DyadSums | None:
        """Return about the same sums over some of the dyads; None where they are few anyway."""
        if self.n_visits <= 4 * SOME:
            return None
        rng = np.random.default_rng(0)  # fixed: the fit has no chance in it
        rows = []
        share = self.n_edges / self.n_pairs
        for pile in self.piles:
            away = _moved(self.shift - pile.shift).T  # values about the constants of the pile
            others, linked = _some(pile.parts, rng), _some(pile.links, rng)
            values = np.concatenate([others[0], linked[0]], axis=1)
            counts = np.concatenate([others[1] * (1 - share), linked[1]])
            rows.append((away @ values, counts, away @ pile.linked))
        values, counts = (np.concatenate([row[k] for row in rows], axis=-1) for k in range(2))
        linked = np.sum([row[2] for row in rows], axis=0)
        pile = Pile([Rows(values, counts)], [], self.shift, linked)
        return replace(self, piles=[pile])


def _moved(shift: Float) -> Float:
    """Return the matrix that leads from coefficients about some constants to those about none."""
    J = np.eye(len(shift) + 1)
    J[0, 1:] = -shift
    return J


def _some(parts: Sequence[Part], rng: np.random.Generator) -> tuple[Float, Float]:
    """Return 1 and the terms at some of the dyads of parts, and how many each stands for."""
    total = sum(abs(part.n_dyads) for part in parts)
    chunks = [
        part.some(1 + int(SOME * part.n_dyads / total), rng) for part in parts if part.n_dyads > 0
    ]
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
    links: list[Listed] = []
    kept: list[Float] = []  # of small graphs
    for terms_of, graph in zip(evaluations(terms, graphs), graphs, strict=True):
        links.append(Listed(terms_of, *graph.edges()))
        for part in _known(terms_of, graph):
            if isinstance(part, Grid) and part.n_alike is None:
                codes = links[-1].i * terms_of.n_nodes + links[-1].j
                parts.append(replace(part, linked=codes))
            elif isinstance(part, Rows) and part.counts is None:
                kept.append(part.values)
            else:
                parts.append(part)
    if kept:
        parts.append(Rows(np.concatenate(kept, axis=1)))
    width = len(terms) + 1
    linked = np.zeros(width)
    for part in links:
        for chunk in part.chunks(0, 1):
            linked += chunk.values.sum(axis=1)
    pile = Pile(parts, links, links[0].terms.shift, linked)
    n_pairs, n_edges = sum(g.n_pairs for g in graphs), sum(g.n_edges for g in graphs)
    return DyadSums([pile], n_pairs, n_edges, np.zeros(width - 1), n_jobs=n_jobs)


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
