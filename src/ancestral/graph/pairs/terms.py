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
from ancestral.graph.pairs.logistic import logistic, softplus

Float = NDArray[np.float64]

CHUNK = 9_984  # values at a time: in cache, and so few that the library sums them on one thread
FEW = 512  # so few that one product of matrices is sooner than sums one by one
STEEP = 700.0  # logits from which on exponentials may overflow


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
        """(1, s, s^2, sign, sign s) times the counts, (5, n)."""
        powers = np.empty((5, len(self.s)))
        powers[0] = 1.0 if self.counts is None else self.counts
        np.multiply(powers[0], self.s, out=powers[1])
        np.multiply(powers[1], self.s, out=powers[2])
        np.multiply(powers[:2], self.sign, out=powers[3:])
        return powers

    @cached_property
    def reach(self) -> tuple[float, float]:
        """The largest sizes of s and of o."""
        return _largest(self.s), 0.0 if self.shift is None else _largest(self.shift)

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

    def logits(self, a: float, b: float, out: Float | None = None) -> Float:
        """Return z."""
        z: Float = np.multiply(self.s, a, out=out)
        z += b
        if self.shift is not None:
            z += self.shift
        z *= self.sign
        return z

    def sums(self, a: float, b: float) -> Sums:
        """Return all sums, from one exponential and one logarithm of each term."""
        # taken, so that no other thread has it: memory is dearer than what is done in it
        room = vars(self).pop("_room", None)
        if room is None:
            room = np.empty((4, min(len(self.s), CHUNK)))
        parts = [part._sums(a, b, room) for part in self.chunks]
        vars(self)["_room"] = room
        return parts[0] if len(parts) == 1 else Sums(*map(sum, zip(*parts, strict=True)))

    def _sums(self, a: float, b: float, room: Float) -> Sums:
        """Return the sums of one chunk, computed in this room."""
        (s, o), powers = self.reach, self.powers
        room = room[:, : len(self.s)]
        z, found = self.logits(a, b, out=room[3]), room[:3]
        soft, p, w = found
        if abs(a) * s + abs(b) + o < STEEP:
            np.exp(z, out=z)
            np.log1p(z, out=soft)
            np.add(z, 1.0, out=w)
            np.divide(z, w, out=p)  # sigmoid(z), without loss on either side
            np.divide(p, w, out=w)
        else:
            soft[:], p[:], w[:] = logistic(z)
        if len(z) <= FEW:
            every = (powers @ found.T).ravel().tolist()  # (5, 3)
            return Sums(every[0], every[13], every[10], every[2], every[5], every[8])
        value = np.add.reduce(soft) if self.counts is None else soft @ self.counts
        weights, about, squares, off, off_s = powers
        parts = value, off_s @ p, off @ p, weights @ w, about @ w, squares @ w
        return Sums(*map(float, parts))

    def powers_of_s(self) -> tuple[float, float, float]:
        """Return the sums of s and of s^2, and that of the links' s."""
        first = second = linked = 0.0
        for part in self.chunks:
            about = part.powers[1]
            first += float(np.add.reduce(about))
            second += float(about @ part.s)
            linked += float(np.add.reduce(about[: part.linked]))
        return first, second, linked

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


def _largest(values: Float) -> float:
    """Return the largest size of values, 0 of none; NaN where there is any."""
    return max(float(values.max()), -float(values.min())) if len(values) else 0.0
