"""What fits of graphs ask of their parts, wherever these are: in memory, in files, on workers.

Sums over pairs and over dyads are taken of each part and added. Where sums of inner products do not
hold at some (a, b), they are gathered anew, part by part. Dyads of few kinds are held as kinds and
their numbers, however many the graphs are; those that are too many to be held are asked for their
sums at each step of Newton's method, where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ancestral.graph.pairs.dyad_sums import DyadSums
from ancestral.graph.pairs.sums import PairSums
from ancestral.training.parts import Part, Parts

HELD = 64 << 20, 1e9  # bytes and visits, of dyads that are held beside their sums


# ---- dyads -------------------------------------------------------------------------------------


def dyads_of(parts: Parts[Part]) -> DyadSums:
    """Return the sums over the known dyads of all parts."""
    if not parts.again:
        return parts.total(_all_of)
    sums = parts.total(_few_of)
    return sums if sums.holds_all else sums.asked_of(parts.prepared(_sums_of))


def _all_of(part: Part) -> DyadSums:
    """Return the statistics of a part."""
    found: DyadSums = part.model._statistics(*part.data)
    return found


def _few_of(part: Part) -> DyadSums:
    """Return the statistics of a part, with its dyads where they are few enough to be sent."""
    return _all_of(part).within(HELD)


def _sums_of(part: Part) -> DyadSums:
    """Return the sums over a part, to be asked."""
    found: DyadSums = part.model._sums(*part.data)
    return found


# ---- pairs by their inner products -------------------------------------------------------------


def pairs_of(parts: Parts[Part]) -> PairSums:
    """Return the sums over the pairs of all parts, which are gathered anew where they must be.

    Graphs that come but once are kept beside their sums, where they are not large.
    """
    if not parts.again:
        return parts.total(_pairs_and_graphs_of)
    return parts.total(_pairs_of).beside(source=InParts(parts))


def _pairs_and_graphs_of(part: Part) -> PairSums:
    """Return the statistics of a part."""
    found: PairSums = part.model._statistics(*part.data)
    return found


def _pairs_of(part: Part) -> PairSums:
    """Return the statistics of a part, whose graphs stay where they are."""
    return _pairs_and_graphs_of(part).beside(source=None)


@dataclass(frozen=True)
class Gathered:
    """A look at a part whose sums over pairs are to hold at (a, b), in a way by its name."""

    at: tuple[float, float]
    pairs: str | None = None

    def __call__(self, part: Part) -> PairSums:
        found: PairSums = part.model._gathered(*part.data, self.at, self.pairs)
        return found.beside(source=None)


@dataclass(frozen=True)
class InParts:
    """Graphs in parts, asked again where their sums do not hold."""

    parts: Parts[Part]

    def __add__(self, other: Any) -> None:
        """Return none of both: they are asked apart."""

    def gathered(self, at: tuple[float, float]) -> PairSums:
        """Return sums that hold at (a, b)."""
        return self.parts.total(Gathered(at)).beside(source=self)

    def visited(self, at: tuple[float, float]) -> PairSums:
        """Return sums that hold at (a, b), every pair visited."""
        return self.parts.total(Gathered(at, "visited")).beside(source=self)
