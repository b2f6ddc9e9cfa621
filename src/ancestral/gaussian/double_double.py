"""Twice the digits of float64: each number an unevaluated sum of two.

    a = hi + lo,   |lo| <= ulp(hi) / 2

A sum or a product of two floats has a rounding error that is a float itself and can be had
exactly (Knuth's TwoSum, Dekker's TwoProduct after Veltkamp's split); keeping it in `lo` gives
about 31 digits from ordinary vectorised float64 operations, on every platform alike.

References: Dekker (1971), Numerische Mathematik 18; Hida, Li & Bailey (2001), Algorithms for
quad-double precision floating point arithmetic; Ogita, Rump & Oishi (2005), SIAM J. Sci. Comput.
26(6).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
SPLIT = 2.0**27 + 1.0  # cuts 53 bits into 26 and 27


class Pair(NamedTuple):
    """Numbers hi + lo, of any shape."""

    hi: Float
    lo: Float


def exact(values: Float) -> Pair:
    """Return floats as pairs."""
    return Pair(values, np.zeros_like(values))


def two_sum(a: Float, b: Float) -> Pair:
    """Return a + b without error."""
    total = a + b
    shared = total - a
    return Pair(total, (a - (total - shared)) + (b - shared))


def two_product(a: Float, b: Float) -> Pair:
    """Return a * b without error, for products within 1e-270 to 1e290 in size (or zero)."""
    product = a * b
    a_hi, a_lo = _halves(a)
    b_hi, b_lo = _halves(b)
    return Pair(product, ((a_hi * b_hi - product) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo)


def _halves(a: Float) -> tuple[Float, Float]:
    """Return the leading 26 bits and the rest."""
    c = SPLIT * a
    hi = c - (c - a)
    return hi, a - hi


def _normal(hi: Float, lo: Float) -> Pair:
    """Return a pair whose lo is below half a unit of hi, for |lo| <= |hi|."""
    total = hi + lo
    return Pair(total, lo - (total - hi))


def add(a: Pair, b: Pair) -> Pair:
    """Return a + b."""
    high, low = two_sum(a.hi, b.hi), two_sum(a.lo, b.lo)
    first = _normal(high.hi, high.lo + low.hi)
    return _normal(first.hi, first.lo + low.lo)


def subtract(a: Pair, b: Pair) -> Pair:
    """Return a - b."""
    return add(a, Pair(-b.hi, -b.lo))


def multiply(a: Pair, b: Pair) -> Pair:
    """Return a * b, elementwise."""
    product = two_product(a.hi, b.hi)
    return _normal(product.hi, product.lo + (a.hi * b.lo + a.lo * b.hi))


def square_root(a: Float) -> Pair:
    """Return the roots of non-negative floats."""
    root = np.sqrt(a)
    squared = two_product(root, root)
    left = (a - squared.hi) - squared.lo
    return _normal(root, np.divide(left, 2 * root, out=np.zeros_like(root), where=root > 0))


def powers(x: Float, degree: int) -> list[Pair]:
    """Return x, x^2, ..., x^degree, elementwise."""
    found = [exact(x)]
    for _ in range(degree - 1):
        found.append(multiply(found[-1], found[0]))
    return found


def scaled(a: Pair, factor: Float) -> Pair:
    """Return a times powers of two: exact."""
    return Pair(a.hi * factor, a.lo * factor)


def total(a: Pair) -> Pair:
    """Return the sum along the first axis, by halving."""
    if not len(a.hi):
        return exact(np.zeros(a.hi.shape[1:]))
    while len(a.hi) > 1:
        half = len(a.hi) // 2
        folded = add(
            Pair(a.hi[:half], a.lo[:half]), Pair(a.hi[half : 2 * half], a.lo[half : 2 * half])
        )
        if len(a.hi) % 2:
            last = Pair(a.hi[-1:], a.lo[-1:])
            folded = Pair(*(np.concatenate(pair) for pair in zip(folded, last)))
        a = folded
    return Pair(a.hi[0], a.lo[0])


def times(A: Pair, B: Pair) -> Pair:
    """Return the matrix product A B, shapes (n, p) and (p, k)."""
    n, k = len(A.hi), B.hi.shape[1]
    result = exact(np.zeros((n, k)))
    for j in range(A.hi.shape[1]):
        column = Pair(A.hi[:, j, None], A.lo[:, j, None])
        result = add(result, multiply(column, Pair(B.hi[j], B.lo[j])))
    return result


def transposed_times(A: Pair, B: Pair) -> Pair:
    """Return A^T B, shapes (n, p) and (n, k)."""
    parts = [
        total(multiply(A, Pair(B.hi[:, j, None], B.lo[:, j, None]))) for j in range(B.hi.shape[1])
    ]
    return Pair(
        np.stack([part.hi for part in parts], axis=1), np.stack([part.lo for part in parts], axis=1)
    )
