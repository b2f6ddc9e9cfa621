"""Sums over values of s and how often each occurs, some thousand at a time.

    sum c softplus(z),   sum c (p - e) [1, s],   sum c p (1 - p) [1, s, s^2]

with z = a s + b + o, for links -(a s + b + o), and c how often s occurs. A chunk fits the cache;
chunks are added in order: the same bits for any number of threads of the linear algebra library.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ancestral._numerics.double_double import lossless_sum
from ancestral.graph.pairs.logistic import softplus

Float = NDArray[np.float64]

CHUNK = 8_192  # values at a time: in cache, and so few that the library sums them on one thread
FEW = 3_000  # so few that it also multiplies three rows by them on one thread


class Sums(NamedTuple):
    """What the likelihood and its derivatives are made of, at some (a, b)."""

    soft: float  # softplus(z): log p of what was seen, with its sign turned
    off_s: float  # (p - e) s
    off: float  # p - e
    w: float  # p (1 - p)
    w_s: float
    w_ss: float


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

    @cached_property
    def sign(self) -> Float:
        """-1 for links, 1 for others."""
        sign = np.ones(len(self.s))
        sign[: self.linked] = -1.0
        return sign

    @cached_property
    def powers(self) -> Float:
        """(1, s, s^2) times the counts, (3, n)."""
        powers = np.empty((3, len(self.s)))
        powers[0] = 1.0 if self.counts is None else self.counts
        np.multiply(powers[0], self.s, out=powers[1])
        np.multiply(powers[1], self.s, out=powers[2])
        return powers

    @cached_property
    def chunks(self) -> tuple[Terms, ...]:
        """The terms, some at a time."""
        if len(self.s) <= CHUNK:
            return (self,)
        parts = [slice(start, start + CHUNK) for start in range(0, len(self.s), CHUNK)]
        return tuple(
            Terms(
                self.s[part],
                min(max(self.linked - part.start, 0), CHUNK),
                None if self.counts is None else self.counts[part],
                None if self.shift is None else self.shift[part],
            )
            for part in parts
        )

    def logits(self, a: float, b: float) -> Float:
        """Return z."""
        z: Float = self.s * a
        z += b
        if self.shift is not None:
            z += self.shift
        z *= self.sign
        return z

    def sums(self, a: float, b: float) -> Sums:
        """Return all sums, from one exponential and one logarithm of each term."""
        if len(self.s) <= CHUNK:
            return self._sums(a, b)
        return Sums(*np.sum([part._sums(a, b) for part in self.chunks], axis=0).tolist())

    def _sums(self, a: float, b: float) -> Sums:
        """Return the sums of one chunk."""
        z = self.logits(a, b)
        t = np.abs(z)
        np.exp(np.negative(t, out=t), out=t)
        soft = np.log1p(t)
        q = t + 1.0
        np.reciprocal(q, out=q)  # sigmoid(|z|)
        t *= q  # 1 - q, without loss
        w = t * q
        off = np.where(z > 0, q, t)  # sigmoid(z)
        off *= self.sign
        soft += np.maximum(z, 0.0, out=z)
        value = np.add.reduce(soft) if self.counts is None else soft @ self.counts
        off_1, off_s, _ = self._moments(off)
        return Sums(float(value), off_s, off_1, *self._moments(w))

    def _moments(self, values: Float) -> list[float]:
        """Return the sums of values, of values times s, and of values times s^2."""
        if len(values) <= FEW:
            return (self.powers @ values).tolist()
        return [float(row @ values) for row in self.powers]

    def misses(self, a: float, b: float) -> float:
        """Return the sum of |p - e|."""
        total = 0.0
        for part in self.chunks:
            r = expit(part.logits(a, b))
            total += float(np.add.reduce(r) if part.counts is None else r @ part.counts)
        return total

    def lossless_soft(self, a: float, b: float) -> float:
        """Return the sum of softplus(z) to about twice its digits, so that small increases show."""
        soft = softplus(self.logits(a, b))
        return lossless_sum(soft if self.counts is None else soft * self.counts)

    def spread_about(self, centre: float, a: float, b: float) -> tuple[float, float]:
        """Return the sums of w (s - centre) and of w (s - centre)^2."""
        first = second = 0.0
        for part in self.chunks:
            t = np.exp(-np.abs(part.logits(a, b)))
            w = t / (1.0 + t) ** 2
            if part.counts is not None:
                w *= part.counts
            about = part.s - centre
            w *= about
            first, second = first + float(np.add.reduce(w)), second + float(w @ about)
        return first, second
