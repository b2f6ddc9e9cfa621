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

from math import fsum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
ROWS, NUMBERS = 2048, 1 << 16  # at once, in cache
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


def lossless_sum(x: Float) -> float:
    """Return the sum of floats to about twice their digits: folded, the rounding kept apart."""
    lost = 0.0
    while len(x) > 64:
        half = len(x) // 2
        folded, rest = two_sum(x[:half], x[half : 2 * half]), x[2 * half :]
        lost += float(folded.lo.sum())
        x = np.concatenate([folded.hi, rest]) if len(rest) else folded.hi
    return fsum((*x.tolist(), lost))


def sizes_of(X: Float, coef: Float) -> Float:
    """Return |X| |coef|, block by block: no copy of X as large as itself."""
    found, slopes = np.empty((len(X), *coef.shape[1:])), np.abs(coef)
    with np.errstate(over="ignore"):
        for start in range(0, len(X), ROWS):
            found[start : start + ROWS] = np.abs(X[start : start + ROWS]) @ slopes
    return found


def line_less(
    X: Float, coef: Float, intercept: Float, y: Float | None = None, *, degree: int = 1
) -> Float:
    """Return [x, x^2, ...] coef + intercept - y, rounded once, shape (n, k).

    Parameters
    ----------
    X : ndarray of shape (n, d)
    coef : ndarray of shape (d * degree, k)
    intercept : ndarray of shape (k,)
    y : ndarray of shape (n, k), optional
    """
    d, found = X.shape[1], np.empty((len(X), coef.shape[1]))
    rows = max(1, NUMBERS // max(1, len(coef)))
    # Powers of x over a power of two, and sums over the largest term: none overflows on the way.
    exponents = _exponents(X)
    for start in range(0, len(X), rows):
        part = slice(start, start + rows)
        columns = powers(np.ldexp(X[part].T, -exponents[:, None]), degree)
        for k in range(coef.shape[1]):
            own = np.frexp(coef[:, k])[1] + np.outer(np.arange(1, degree + 1), exponents).ravel()
            unit = max(0, int(own[coef[:, k] != 0].max(initial=0)), int(np.frexp(intercept[k])[1]))
            at = exact(np.full(len(X[part]), np.ldexp(intercept[k], -unit)))
            if y is not None:
                at = subtract(at, exact(np.ldexp(y[part, k], -unit)))
            for power, column in enumerate(columns, start=1):
                slopes = np.ldexp(coef[(power - 1) * d : power * d, k], power * exponents - unit)
                terms = multiply(column, exact(np.broadcast_to(slopes[:, None], column.hi.shape)))
                at = add(at, total(terms))
            found[part, k] = np.ldexp(at.hi + at.lo, unit)
    return found


def _exponents(X: Float) -> NDArray[np.intp]:
    """Return those of the powers of two above the largest of each column; 0 for zeros."""
    size = np.abs(X).max(axis=0, initial=0.0)
    return np.where(size > 0, np.frexp(size)[1], 0)


# ---- matrix products ----------------------------------------------------------------------------

SLICE = 20  # bits of each of the three slices of the left factor


def slices(a: Pair, bits: int, count: int) -> Float:
    """Return a as `count` parts along a new axis 1: multiples of 2^-bits, 2^-2bits, ...

    |a| must be 1 at most. The last part is the rest, rounded to float64.
    """
    parts = np.empty((len(a.hi), count, *a.hi.shape[1:]))
    rest, lo = a.hi, a.lo
    for k in range(1, count):
        sigma = 1.5 * 2.0 ** (52 - k * bits)
        np.add(rest, sigma, out=parts[:, k - 1])  # rounds to a multiple of 2^(-k bits)
        parts[:, k - 1] -= sigma
        rest = rest - parts[:, k - 1]
        if (k + 1) * bits > 52 and k + 1 < count:  # the next part reaches into lo
            rest, lo = two_sum(rest, lo)
    np.add(rest, lo, out=parts[:, count - 1])
    return parts


def product(A: Float, B: Pair) -> Pair:
    """Return A B, shape (n, k), to about 90 bits of the largest products.

    Parameters
    ----------
    A : ndarray of shape (n, 3, m)
        `slices(A, SLICE, 3)` of values up to 1; m is some thousands at most, or digits are lost.
    B : Pair of shape (m, k)

    Notes
    -----
    Sums of products of slices are so short that the BLAS rounds nothing in them (Ozaki, Ogita,
    Oishi & Rump 2012, Numerical Algorithms 59).
    """
    n, _, m = A.shape
    parts, exponents, bits = _below_one(B, m)
    terms = A.reshape(3 * n, m) @ parts.reshape(m, 5 * B.hi.shape[1])
    return _summed(np.moveaxis(terms.reshape(n, 3, 5, B.hi.shape[1]), 0, 2), exponents, bits)


def transposed_product(A: Float, B: Pair) -> Pair:
    """Return A^T B, shape (m, k), as `product` does; the sums are over the n rows of A."""
    n, _, m = A.shape
    parts, exponents, bits = _below_one(B, n)
    terms = A.reshape(n, 3 * m).T @ parts.reshape(n, 5 * B.hi.shape[1])
    return _summed(np.moveaxis(terms.reshape(3, m, 5, B.hi.shape[1]), 1, 2), exponents, bits)


def _below_one(B: Pair, terms: int) -> tuple[Float, NDArray[np.intp], int]:
    """Return slices of B over powers of two, their exponents, and the bits of each slice."""
    exponents = _exponents(B.hi)
    bits = 52 - SLICE - int(np.ceil(np.log2(max(2, terms))))
    return slices(scaled(B, np.ldexp(1.0, -exponents)), bits, 5), exponents, bits


def _summed(terms: Float, exponents: NDArray[np.intp], bits: int) -> Pair:
    """Return the sum of terms of shape (3, 5, n, k), whose sizes fall with both indices."""
    hi, lo = terms[0, 0], np.zeros(terms.shape[2:])
    for i in range(3):
        for j in range(5):
            below = i * SLICE + j * bits
            if below > 40:  # so far below the first that its rounding does not count
                lo += terms[i, j]
            elif below:
                hi, error = two_sum(hi, terms[i, j])
                lo += error
    return scaled(Pair(*two_sum(hi, lo)), np.ldexp(1.0, exponents))
