"""Double-double arithmetic against rational numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ancestral._numerics import double_double as dd
from ancestral._numerics.double_double import Pair

# Sizes whose products neither overflow nor lose their last bits below 1e-300.
REALS = st.floats(-1e60, 1e60).filter(lambda v: v == 0 or abs(v) > 1e-60)


def value(a: Pair, place: tuple[int, ...] = ()) -> Fraction:
    return Fraction(float(a.hi[place])) + Fraction(float(a.lo[place]))


def array(v: float) -> np.ndarray:
    return np.array(v, dtype=np.float64)


@given(a=REALS, b=REALS)
def test_sums_and_products_are_exact(a: float, b: float) -> None:
    assert value(dd.two_sum(array(a), array(b))) == Fraction(a) + Fraction(b)
    assert value(dd.two_product(array(a), array(b))) == Fraction(a) * Fraction(b)


@given(a=REALS, b=REALS, c=REALS)
def test_operations_on_pairs_keep_thirty_digits(a: float, b: float, c: float) -> None:
    first = dd.two_sum(array(a), array(b * 1e-17))
    second = dd.exact(array(c))
    x, y = value(first), Fraction(c)
    tolerance = Fraction(1, 10**30)
    assert abs(value(dd.multiply(first, second)) - x * y) <= tolerance * abs(x * y)
    assert abs(value(dd.add(first, second)) - (x + y)) <= tolerance * (abs(x) + abs(y))
    assert abs(value(dd.subtract(first, second)) - (x - y)) <= tolerance * (abs(x) + abs(y))
    root = value(dd.square_root(array(abs(c))))
    assert abs(root**2 - abs(y)) <= tolerance * abs(y)


def test_powers_keep_thirty_digits() -> None:
    x = np.random.default_rng(0).normal(size=50) * 10
    for k, power in enumerate(dd.powers(x, 12), start=1):
        for i, v in enumerate(x.tolist()):
            assert abs(value(power, (i,)) / Fraction(v) ** k - 1) < Fraction(1, 10**30)


def test_the_sum_of_many_is_exact_to_thirty_digits() -> None:
    """Large terms that cancel leave small ones whole."""
    rng = np.random.default_rng(0)
    large = rng.normal(size=(501, 2)) * 1e12
    terms = np.vstack([large, rng.normal(size=(7, 2)), -large])
    found = dd.total(dd.exact(terms))
    for j in range(2):
        wanted = sum(map(Fraction, terms[:, j].tolist()))
        assert abs(value(found, (j,)) - wanted) < Fraction(1, 10**15)


def test_slices_add_up_and_are_short() -> None:
    rng = np.random.default_rng(0)
    a = dd.two_sum(rng.uniform(-1, 1, size=(30, 4)), rng.normal(size=(30, 4)) * 1e-18)
    parts = dd.slices(a, 20, 5)
    for k in range(1, 5):
        steps = parts[:, k - 1] * 2.0 ** (20 * k)
        assert (steps == np.rint(steps)).all() and np.abs(steps).max() <= 2**20
    for i in range(30):
        for j in range(4):
            total = sum(Fraction(v) for v in parts[i, :, j].tolist())
            assert abs(total - value(a, (i, j))) < Fraction(1, 2**100)


def test_matrix_products_carry_ninety_bits() -> None:
    rng = np.random.default_rng(0)
    a = dd.two_sum(rng.uniform(-1, 1, size=(40, 7)), rng.normal(size=(40, 7)) * 1e-18)
    a = Pair(a.hi * 0.99, a.lo * 0.99)
    b = dd.two_sum(rng.normal(size=(7, 2)) * [1e8, 1e-3], rng.normal(size=(7, 2)) * [1e-9, 1e-20])
    c = dd.exact(rng.normal(size=(40, 2)))
    A = dd.slices(a, dd.SLICE, 3)
    left, right = dd.product(A, b), dd.transposed_product(A, c)
    for k in range(2):
        for i in range(40):
            terms = [value(a, (i, j)) * value(b, (j, k)) for j in range(7)]
            error = abs(value(left, (i, k)) - sum(terms))
            assert error < 7 * max(abs(value(b, (j, k))) for j in range(7)) * Fraction(1, 2**88)
        for j in range(7):
            terms = [value(a, (i, j)) * value(c, (i, k)) for i in range(40)]
            error = abs(value(right, (j, k)) - sum(terms))
            assert error < 40 * max(abs(value(c, (i, k))) for i in range(40)) * Fraction(1, 2**88)
