"""Sums over values of s and how often each occurs, some thousand at a time.

    sum_k c_k softplus(z_k),   sum_k c_k (p_k - e_k) [s_k, 1],   sum_k c_k p_k (1 - p_k) [1, s_k, s_k^2]

with z_k = -+(a s_k + b + o_k), - for links. The sums hold at a chunk what fits the cache, and are
added in order: the same bits for any number of threads of the linear algebra library.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral._numerics.double_double import lossless_sum
from ancestral.graph.pairs.logistic import softplus

Float = NDArray[np.float64]

CHUNK = 8_192  # values at a time: in cache, and so few that the library sums them on one thread


class Sums(NamedTuple):
    """What the likelihood and its derivatives are made of, at some (a, b)."""

    soft: float  # softplus(z): log p of what was seen, with its sign turned
    off_s: float  # (p - e) s
    off: float  # p - e
    w: float  # p (1 - p)
    w_s: float
    w_ss: float
    misses: float  # |p - e|


@dataclass(frozen=True)
class Terms:
    """Values of s, those of links first.

    Parameters
    ----------
    s : ndarray of shape (n,)
    linked : int
        How many of them are links', with z = -(a s + b + o); the others have z = a s + b + o.
    counts : ndarray of shape (n,), optional
        How many pairs have this s; one each when not given.
    shift : ndarray of shape (n,), optional
        o.
    """

    s: Float
    linked: int
    counts: Float | None = None
    shift: Float | None = None

    def __len__(self) -> int:
        return len(self.s)

    @property
    def weights(self) -> Float:
        """Return how many pairs have each s."""
        return np.ones(len(self.s)) if self.counts is None else self.counts

    def chunks(self) -> Iterator[Terms]:
        """Yield the terms, some at a time."""
        if len(self.s) <= CHUNK:
            yield self
            return
        for start in range(0, len(self.s), CHUNK):
            part = slice(start, start + CHUNK)
            yield Terms(
                self.s[part],
                min(max(self.linked - start, 0), CHUNK),
                None if self.counts is None else self.counts[part],
                None if self.shift is None else self.shift[part],
            )

    def logits(self, a: float, b: float) -> Float:
        """Return z."""
        z: Float = self.s * a
        z += b
        if self.shift is not None:
            z += self.shift
        np.negative(z[: self.linked], out=z[: self.linked])
        return z

    def sums(self, a: float, b: float) -> Sums:
        """Return all sums, from one exponential and one logarithm of each term."""
        parts = [part._sums(a, b) for part in self.chunks()]
        return parts[0] if len(parts) == 1 else Sums(*np.sum(parts, axis=0).tolist())

    def _sums(self, a: float, b: float) -> Sums:
        """Return the sums of one chunk."""
        s, counts = self.s, self.counts
        z = self.logits(a, b)
        t = np.abs(z)
        np.exp(np.negative(t, out=t), out=t)
        soft = np.log1p(t)
        q = t + 1.0
        np.reciprocal(q, out=q)  # sigmoid(|z|)
        t *= q  # 1 - q, without loss
        w = t * q
        np.copyto(t, q, where=z > 0)  # sigmoid(z)
        soft += np.maximum(z, 0.0, out=z)
        if counts is not None:
            soft *= counts
            t *= counts
            w *= counts
        w_s, k, total = w * s, self.linked, np.add.reduce
        above, above_s = float(total(t[k:])), float(t[k:] @ s[k:])
        below, below_s = (float(total(t[:k])), float(t[:k] @ s[:k])) if k else (0.0, 0.0)
        return Sums(
            float(total(soft)), above_s - below_s, above - below, float(total(w)),
            float(total(w_s)), float(w_s @ s), above + below,
        )  # fmt: skip

    def lossless_soft(self, a: float, b: float) -> float:
        """Return the sum of softplus(z) to about twice its digits, so that small increases show."""
        soft = softplus(self.logits(a, b))
        return lossless_sum(soft if self.counts is None else soft * self.counts)

    def spread_about(self, centre: float, a: float, b: float) -> tuple[float, float]:
        """Return the sums of w (s - centre) and of w (s - centre)^2."""
        first = second = 0.0
        for part in self.chunks():
            t = np.exp(-np.abs(part.logits(a, b)))
            w = t / (1.0 + t) ** 2
            if part.counts is not None:
                w *= part.counts
            about = part.s - centre
            w *= about
            first, second = first + float(np.add.reduce(w)), second + float(w @ about)
        return first, second
