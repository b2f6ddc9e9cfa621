"""What fits of graphs ask of their parts, wherever these are: in memory, in files, on workers.

Sums over pairs and over dyads are taken of each part and added. Where sums of inner products do not
hold at some (a, b), they are gathered anew, part by part. Dyads of few kinds are held as kinds and
their numbers, however many the graphs are; those that are too many to be held are asked for their
sums at each step of Newton's method, where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ancestral.graph.link_blocks import Count, LinkBlock, count_of, counted, put_together
from ancestral.graph.link_sums import are_dear, dyads_of_one, pairs_of_one
from ancestral.graph.pairs.dyad_sums import DyadSums
from ancestral.graph.pairs.sums import PairSums
from ancestral.training.parts import Part, Parts

HELD = 64 << 20, 1e9  # bytes and visits, of dyads that are held beside their sums


# Of one graph whose links are in parts the first look counts the links: see `link_blocks`.


def checked_part(
    check: Callable[..., tuple[Any, ...]], *given: Any, reset: bool
) -> tuple[Any, ...]:
    """Return graphs, or some links of one and its nodes, as `check` checks graphs."""
    block, *rest = given
    if not isinstance(block, LinkBlock):
        return check(*given, reset=reset)
    ((nodes,),) = check([block.nodes], *rest, reset=reset)
    return (replace(block.checked(), nodes=nodes),)


# ---- dyads -------------------------------------------------------------------------------------


def dyads_of(parts: Parts[Part], model: Any) -> DyadSums:
    """Return the sums over the known dyads of all parts, of graphs or of one."""
    sums: DyadSums | Count = parts.total(_few_of if parts.again else _all_of)
    if isinstance(sums, Count):
        count = counted(parts, sums)
        if count.codes is None or (parts.again and are_dear(count)):
            return dyads_of_one(parts, count, model)
        whole: DyadSums = model._statistics([put_together(count)])
        return whole
    return sums if sums.holds_all else sums.asked_of(parts.prepared(_sums_of))


def _all_of(part: Part) -> Any:
    """Return the statistics of a part, or how many links of one graph it has."""
    if isinstance(part.data[0], LinkBlock):
        return count_of(part)
    return part.model._statistics(*part.data)


def _few_of(part: Part) -> DyadSums | Count:
    """Return the same, with dyads where they are few enough to be sent."""
    found: DyadSums | Count = _all_of(part)
    return found.within(HELD) if isinstance(found, DyadSums) else found


def _sums_of(part: Part) -> DyadSums:
    """Return the sums over a part, to be asked."""
    found: DyadSums = part.model._sums(*part.data)
    return found


# ---- pairs by their inner products -------------------------------------------------------------


def pairs_of(parts: Parts[Part], model: Any) -> PairSums:
    """Return the sums over the pairs of all parts, which are gathered anew where they must be.

    Graphs that come but once are kept beside their sums, where they are not large.
    """
    sums: PairSums | Count = parts.total(_pairs_of if parts.again else _all_of)
    if isinstance(sums, Count):
        count = counted(parts, sums)
        if count.codes is None:
            return pairs_of_one(parts, count, model)
        whole: PairSums = model._statistics([put_together(count)])
        return whole
    return sums.beside(source=InParts(parts)) if parts.again else sums


def _pairs_of(part: Part) -> PairSums | Count:
    """Return the statistics of a part, whose graphs stay where they are."""
    found: PairSums | Count = _all_of(part)
    return found.beside(source=None) if isinstance(found, PairSums) else found


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
