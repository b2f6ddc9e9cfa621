"""Whether linked and unlinked pairs overlap in s: else the likelihood has no finite maximum.

References: Albert & Anderson (1984), Biometrika 71.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import ModelError

Float = NDArray[np.float64]

_MEND = (
    "Add graphs until linked and unlinked pairs overlap in x_i.x_j, or pass l2=1 for a penalised "
    "fit."
)


@dataclass(frozen=True)
class Extremes:
    """The range of s over the linked pairs and over the others; empty ranges are (inf, -inf)."""

    low_edge: float = np.inf
    high_edge: float = -np.inf
    low_unlinked: float = np.inf
    high_unlinked: float = -np.inf

    @classmethod
    def of(cls, edges: Float, unlinked: Float) -> Extremes:
        """Return the ranges of two arrays of s."""
        ends = [
            (float(s.min(initial=np.inf)), float(s.max(initial=-np.inf))) for s in (edges, unlinked)
        ]
        return cls(*ends[0], *ends[1])

    @property
    def unlinked(self) -> Float:
        """The two ends of the range over the other pairs; nothing where it is empty."""
        ends = np.array([self.low_unlinked, self.high_unlinked])
        return ends[np.isfinite(ends)]

    def __or__(self, other: Extremes) -> Extremes:
        """Return the ranges over both sets of graphs."""
        return Extremes(
            min(self.low_edge, other.low_edge),
            max(self.high_edge, other.high_edge),
            min(self.low_unlinked, other.low_unlinked),
            max(self.high_unlinked, other.high_unlinked),
        )


def refuse_separated(n_pairs: int, n_edges: int, seen: Extremes, slack: float) -> None:
    """Raise ModelError when l(a, b) has no finite maximum, saying in which direction.

    Parameters
    ----------
    n_pairs, n_edges : int
    seen : Extremes
    slack : float
        Two values of s that differ by less are equal.
    """
    if n_pairs == 0:
        raise ModelError(
            "no dyad is known: give a graph of two nodes or more, "
            "some of whose pairs were observed."
        )
    if n_edges in (0, n_pairs):
        side = "no pair is linked: b -> -inf" if n_edges == 0 else "every pair is linked: b -> +inf"
        raise ModelError(f"{side}, so the likelihood has no finite maximum. {_MEND}")
    low, high = min(seen.low_edge, seen.low_unlinked), max(seen.high_edge, seen.high_unlinked)
    if high - low <= slack:
        raise ModelError(
            f"all inner products equal {low:g}: a is not identified. "
            "Give features that vary, or pass l2=1 for a penalised fit."
        )
    separated = "the links are separated, so the likelihood has no finite maximum"
    if seen.low_edge >= seen.high_unlinked - slack:
        raise ModelError(
            f"{separated}: a -> +inf, since every linked pair has x_i.x_j >= "
            f"{seen.low_edge:g} and every unlinked one <= {seen.high_unlinked:g}. {_MEND}"
        )
    if seen.high_edge <= seen.low_unlinked + slack:
        raise ModelError(
            f"{separated}: a -> -inf, since every linked pair has x_i.x_j <= "
            f"{seen.high_edge:g} and every unlinked one >= {seen.low_unlinked:g}. {_MEND}"
        )
