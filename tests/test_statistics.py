"""Sufficient statistics: merging is that of the rows, empty is its identity, digits are kept.

Moments are held against exact fractions, Counts against Python's own `Counter`.
"""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections import Counter
from fractions import Fraction
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ancestral import Counts, Moments
from ancestral.errors import AncestralError, DataError
from ancestral.statistics import distinct_rows

EPS = np.finfo(np.float64).eps
OFFSETS = st.sampled_from([0.0, 1.0, -1e4, 1e8])


@st.composite
def tables(draw: Any, min_rows: int = 0, max_rows: int = 14) -> np.ndarray:
    """Whole numbers of a few digits about an offset: exact in float64."""
    n, d = draw(st.integers(min_rows, max_rows)), draw(st.integers(1, 4))
    values = draw(hnp.arrays(np.int64, (n, d), elements=st.integers(-99, 99)))
    return values + draw(OFFSETS)


def exact(X: np.ndarray, weights: Any = None) -> tuple[np.ndarray, np.ndarray, float]:
    """Return weighted mean and centred scatter by fractions, and the largest value in size."""
    rows = [[Fraction(float(v)) for v in row] for row in X]
    w = [Fraction(float(v)) for v in (np.ones(len(X)) if weights is None else weights)]
    d = X.shape[1]
    mean = [sum(wi * row[j] for wi, row in zip(w, rows)) / sum(w) for j in range(d)]
    scatter = [
        [
            sum(wi * (row[j] - mean[j]) * (row[k] - mean[k]) for wi, row in zip(w, rows))
            for k in range(d)
        ]
        for j in range(d)
    ]
    return np.array(mean, float), np.array(scatter, float), float(np.abs(X).max())


def agree(
    moments: Moments, mean: np.ndarray, scatter: np.ndarray, size: float, *, merges: int = 0
) -> None:
    """Means to a few last bits; scatters too, but for what a merge loses with rounded means."""
    trace, weight = np.trace(scatter), moments.total_weight
    np.testing.assert_allclose(moments.mean, mean, rtol=0, atol=8 * EPS * size)
    lost = 4 * merges * EPS * size
    atol = 64 * EPS * trace + 2 * lost * np.sqrt(weight * trace) + weight * lost**2
    np.testing.assert_allclose(moments.as_scatter(), scatter, rtol=0, atol=atol)


# ---- moments: of rows ----------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(X=tables(min_rows=1), root=st.sampled_from([True, False, None]))
def test_moments_are_those_of_exact_fractions(X: np.ndarray, root: bool | None) -> None:
    moments = Moments.of(X, root=root)
    assert moments.count == len(X) == moments.total_weight
    agree(moments, *exact(X))


@settings(deadline=None, max_examples=40)
@given(X=tables(min_rows=1), data=st.data())
def test_weights_are_those_of_exact_fractions(X: np.ndarray, data: st.DataObject) -> None:
    weights = data.draw(hnp.arrays(np.float64, len(X), elements=st.sampled_from([0, 0.5, 3, 8])))
    if not weights.any():
        weights[0] = 1.0
    for root in (True, False):
        moments = Moments.of(X, weights=weights, root=root)
        assert moments.total_weight == weights.sum()
        agree(moments, *exact(X, weights), merges=1)


def test_whole_weights_are_repetitions() -> None:
    rng = np.random.default_rng(0)
    X, times = rng.normal(size=(30, 3)), rng.integers(0, 4, size=30)
    weighted, repeated = Moments.of(X, weights=times), Moments.of(np.repeat(X, times, axis=0))
    np.testing.assert_allclose(weighted.mean, repeated.mean, rtol=1e-13)
    np.testing.assert_allclose(weighted.as_scatter(), repeated.as_scatter(), rtol=1e-12)
    np.testing.assert_allclose(weighted.eigen()[0], repeated.eigen()[0], rtol=1e-12)
    assert weighted.total_weight == repeated.count


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("root", [True, False])
def test_the_scale_of_weights_scales_the_scatter_alone(scale: float, root: bool) -> None:
    rng = np.random.default_rng(1)
    X, weights = rng.normal(size=(50, 3)), rng.uniform(0.1, 2, size=50)
    plain = Moments.of(X, weights=weights, root=root)
    scaled = Moments.of(X, weights=scale * weights, root=root)
    np.testing.assert_allclose(scaled.mean, plain.mean, rtol=1e-12)
    np.testing.assert_allclose(scaled.as_scatter(), scale * plain.as_scatter(), rtol=1e-12)
    np.testing.assert_allclose(scaled.eigen()[0], plain.eigen()[0], rtol=1e-12)


def test_weights_may_span_many_powers_of_ten() -> None:
    rng = np.random.default_rng(2)
    X, weights = rng.normal(size=(25, 2)), 10.0 ** rng.uniform(-12, 12, size=25)
    for root in (True, False):
        agree(Moments.of(X, weights=weights, root=root), *exact(X, weights), merges=4)


@pytest.mark.parametrize("root", [True, False])
def test_an_offset_of_1e8_costs_nothing(root: bool) -> None:
    X = np.random.default_rng(0).normal(size=(1000, 3)) * [1.0, 0.3, 1e-3] + 1e8
    _, wanted, _ = exact(X)
    np.testing.assert_allclose(Moments.of(X, root=root).as_scatter(), wanted, rtol=1e-10)


@pytest.mark.parametrize("root", [True, False])
def test_float32_at_an_offset_of_1e4_is_summed_in_float64(root: bool) -> None:
    """Against extended precision on the very float32 values.

    A sum about zero in float32 would keep no digit. Short float32 products keep 1e-5: values as
    coarse as these (a spacing of 0.001) have squares whose ties all round one way.
    """
    X = (np.random.default_rng(0).normal(size=(20_000, 4)) * 0.3 + 1e4).astype(np.float32)
    centred = X.astype(np.longdouble)
    mean = centred.mean(axis=0)
    centred -= mean
    wanted = (centred.T @ centred).astype(float)
    moments = Moments.of(X, root=root)
    np.testing.assert_allclose(moments.mean, mean.astype(float), rtol=1e-9)
    np.testing.assert_allclose(
        moments.as_scatter(), wanted, rtol=0, atol=1e-5 * np.diag(wanted).min()
    )


def test_float32_of_ordinary_values_keeps_seven_digits() -> None:
    X = np.random.default_rng(0).normal(size=(20_000, 4)).astype(np.float32)
    wanted = Moments.of(X.astype(np.float64))
    np.testing.assert_allclose(Moments.of(X).mean, wanted.mean, rtol=0, atol=1e-7)
    np.testing.assert_allclose(
        Moments.of(X).as_scatter(), wanted.as_scatter(), rtol=0, atol=3e-7 * len(X)
    )


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_float32_values_whose_squares_leave_float32_are_squared_in_float64(scale: float) -> None:
    X = (np.random.default_rng(0).normal(size=(100, 2)) * scale).astype(np.float32)
    _, wanted, _ = exact(X)
    np.testing.assert_allclose(Moments.of(X).as_scatter() / wanted, 1.0, rtol=1e-10)


def test_one_column_that_bursts_late_is_still_squared_in_float64() -> None:
    """Sampled rows look tame; the product itself must be what is trusted."""
    X = np.random.default_rng(0).normal(size=(5000, 2)).astype(np.float32)
    X[4801] = 3e25
    _, wanted, _ = exact(X[[0, 4801]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scatter = Moments.of(X).as_scatter()
    np.testing.assert_allclose(scatter, 2 * wanted, rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.float16, bool])
def test_small_types_do_not_wrap_round(dtype: Any) -> None:
    X = np.array([[0, 1], [1, 0], [1, 1], [100, 120], [90, 1]]).astype(dtype)
    for root in (True, False):
        agree(Moments.of(X, root=root), *exact(X.astype(float)), merges=1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize("weights", [None, np.linspace(0, 1, 700)])
def test_memory_order_does_not_change_a_bit(dtype: Any, root: bool, weights: Any) -> None:
    X = np.random.default_rng(0).normal(size=(700, 7)).astype(dtype)
    plain = Moments.of(X, root=root, weights=weights)
    fortran = Moments.of(np.asfortranarray(X), root=root, weights=weights)
    np.testing.assert_array_equal(plain.as_scatter(), fortran.as_scatter())
    np.testing.assert_array_equal(plain.mean, fortran.mean)


def test_wide_rows_are_held_as_a_root_of_few_rows() -> None:
    X = np.random.default_rng(0).normal(size=(12, 5000))
    moments = Moments.of(X) + Moments.of(X + 1)
    assert moments.scatter is None
    assert moments.root is not None and len(moments.root) <= 2 * 12 + 1
    tall = Moments.of(np.random.default_rng(0).normal(size=(500, 8)), root=True)
    assert tall.root is not None and tall.root.shape == (8, 8)


# ---- moments: merged -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(X=tables(min_rows=1, max_rows=20), data=st.data())
def test_merging_parts_gives_the_moments_of_the_whole(X: np.ndarray, data: st.DataObject) -> None:
    """Any cut into parts, empty ones among them, each held as a scatter or as a root."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(X)), max_size=4)))
    roots = data.draw(st.lists(st.booleans(), min_size=5, max_size=5))
    edges = itertools.pairwise([0, *cuts, len(X)])
    parts = [Moments.of(X[a:b], root=root) for (a, b), root in zip(edges, roots)]
    merged = reduce(add, parts)
    assert merged.count == len(X)
    agree(merged, *exact(X), merges=len(parts))
    agree(reduce(add, reversed(parts)), *exact(X), merges=len(parts))


@settings(deadline=None, max_examples=30)
@given(X=tables(min_rows=6, max_rows=12))
def test_merging_is_associative_and_commutative(X: np.ndarray) -> None:
    a, b, c = (Moments.of(part) for part in np.array_split(X, 3))
    for merged in ((a + b) + c, a + (b + c), (c + a) + b, c + (b + a)):
        agree(merged, *exact(X), merges=2)


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_weighted_parts_merge_to_the_weighted_whole(offset: float) -> None:
    rng = np.random.default_rng(3)
    X, weights = rng.normal(size=(40, 3)) + offset, rng.uniform(0, 2, size=40)
    for root in (True, False):
        parts = [
            Moments.of(X[i : i + 9], weights=weights[i : i + 9], root=root) for i in range(0, 40, 9)
        ]
        agree(reduce(add, parts), *exact(X, weights), merges=len(parts))


@pytest.mark.parametrize("root", [True, False])
def test_empty_is_the_identity(root: bool) -> None:
    moments = Moments.of(np.random.default_rng(0).normal(size=(9, 3)), root=root)
    for nothing in (Moments.empty(3), Moments.empty(3, root=True), Moments.of(np.zeros((0, 3)))):
        for same in (moments + nothing, nothing + moments):
            np.testing.assert_array_equal(same.mean, moments.mean)
            np.testing.assert_array_equal(same.as_scatter(), moments.as_scatter())
            assert (same.count, same.total_weight) == (9, 9.0)
    both = Moments.empty(3) + Moments.empty(3, root=root)
    assert both.count == 0 and not both.mean.any() and not both.as_scatter().any()


def test_rows_of_no_weight_are_no_rows() -> None:
    X = np.ones((4, 2))
    nothing = Moments.of(X, weights=np.zeros(4))
    assert (nothing.count, nothing.total_weight) == (0, 0.0)
    assert (nothing + Moments.of(X)).count == 4


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e8])
def test_scatter_and_root_agree(offset: float) -> None:
    X = np.random.default_rng(0).normal(size=(200, 5)) @ np.diag([3, 2, 1, 0.5, 0.1]) + offset
    parts = np.array_split(X, 7)
    scatter = reduce(add, (Moments.of(part, root=False) for part in parts))
    root = reduce(add, (Moments.of(part, root=True) for part in parts))
    assert root.scatter is None and scatter.root is None
    atol = 1e-12 * np.trace(scatter.as_scatter()) + 8 * EPS * offset * np.sqrt(200 * 200 * 14)
    np.testing.assert_allclose(root.as_scatter(), scatter.as_scatter(), rtol=0, atol=atol)
    np.testing.assert_allclose(root.eigen()[0], scatter.eigen()[0], rtol=0, atol=atol / 200)


# ---- moments: eigenpairs -------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(60, 6), (6, 60), (140, 200), (200, 140)])
@pytest.mark.parametrize("root", [True, False])
def test_eigenpairs_are_those_of_the_covariance(n: int, d: int, root: bool) -> None:
    X = np.random.default_rng(0).normal(size=(n, d)) * np.linspace(2, 0.5, d) + 5
    eigenvalues, V = Moments.of(X, root=root).eigen(4)
    covariance = np.cov(X.T, bias=True)
    r = min(n - 1, d)
    wanted = np.linalg.eigvalsh(covariance)[::-1]
    np.testing.assert_allclose(eigenvalues[:r], wanted[:r], rtol=1e-10)
    np.testing.assert_allclose(eigenvalues[r:], 0.0, atol=1e-12 * wanted[0])
    assert (np.diff(eigenvalues) <= 0).all() and (eigenvalues >= 0).all()
    assert V.shape == (4, d)
    np.testing.assert_allclose(V @ V.T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(covariance @ V.T, V.T * eigenvalues[:4], atol=1e-12 * wanted[0])


def test_a_root_keeps_the_small_eigenvalues_that_squaring_loses() -> None:
    """Falling by 1e-20: a covariance in float64 holds sixteen digits of the largest."""
    Q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(300, 3)))
    Q -= Q.mean(axis=0)
    Q, _ = np.linalg.qr(Q)
    X = Q * [1.0, 1e-5, 1e-10]
    eigenvalues, _ = Moments.of(X, root=True).eigen()
    np.testing.assert_allclose(300 * eigenvalues, [1.0, 1e-10, 1e-20], rtol=1e-4)


# ---- moments: refusals ---------------------------------------------------------------------------


def test_moments_refuse_what_they_cannot_hold() -> None:
    X = np.zeros((3, 2))
    with pytest.raises(DataError, match=r"shape \(n_samples, n_features\); got shape \(3,\)"):
        Moments.of(np.zeros(3))
    for text in ([["1", "2"]], np.array([["a", 1]], dtype=object)):
        with pytest.raises(DataError, match=r"numbers in a table .* dtype (<U1|object)"):
            Moments.of(text)
    with pytest.raises(DataError, match=r"shape \(3,\), one per row of X; got \(2,\)"):
        Moments.of(X, weights=[1, 2])
    with pytest.raises(DataError, match="-1 at row 1"):
        Moments.of(X, weights=[1, -1, 2])
    with pytest.raises(DataError, match="nan at row 2"):
        Moments.of(X, weights=[1, 1, np.nan])
    with pytest.raises(DataError, match="exactly one of the two"):
        Moments(1, np.zeros(2))
    with pytest.raises(DataError, match="exactly one of the two"):
        Moments(1, np.zeros(2), scatter=np.eye(2), root=np.eye(2))
    with pytest.raises(DataError, match="2 and 3 columns cannot be merged"):
        Moments.of(X) + Moments.of(np.zeros((3, 3)))
    with pytest.raises(TypeError):
        Moments.of(X) + 1


@pytest.mark.parametrize("statistics", [Moments.of(np.eye(3)), Counts.of([[0, 1]])])
def test_statistics_are_frozen(statistics: Any) -> None:
    name = dataclasses.fields(statistics)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(statistics, name, None)


@pytest.mark.parametrize("statistics", [Moments.of(np.eye(3)), Counts.of([[0, 1], [1, 1]])])
def test_statistics_are_compared_by_identity(statistics: Any) -> None:
    other = dataclasses.replace(statistics)
    assert statistics != other and len({statistics, statistics, other}) == 2


# ---- counts --------------------------------------------------------------------------------------

KINDS = {
    "integers": st.integers(-3, 3),
    "booleans": st.booleans(),
    "text": st.sampled_from(["", "no", "yes", "zwölf"]),
    "bytes": st.integers(0, 255).map(np.uint8),
}


@st.composite
def discrete(draw: Any) -> np.ndarray:
    n, d = draw(st.integers(1, 25)), draw(st.integers(1, 4))
    values = KINDS[draw(st.sampled_from(sorted(KINDS)))]
    return np.array(
        draw(st.lists(st.lists(values, min_size=d, max_size=d), min_size=n, max_size=n))
    )


def as_counter(counts: Counts) -> Counter:
    return Counter(dict(zip(map(tuple, counts.rows.tolist()), counts.counts.tolist())))


@settings(deadline=None, max_examples=80)
@given(X=discrete())
def test_counts_are_those_of_a_counter(X: np.ndarray) -> None:
    counts, wanted = Counts.of(X), Counter(map(tuple, X.tolist()))
    assert as_counter(counts) == wanted
    assert len(counts.rows) == len(wanted)  # distinct
    assert list(map(tuple, counts.rows.tolist())) == sorted(wanted)  # lexicographic
    assert counts.count == len(X)
    assert counts.rows.dtype == X.dtype
    p = np.array([Fraction(c, len(X)) for c in wanted.values()], float)
    assert counts.entropy == pytest.approx(-(p * np.log(p)).sum(), abs=1e-12)


@settings(deadline=None, max_examples=80)
@given(X=discrete(), data=st.data())
def test_merged_counts_are_exactly_those_of_the_whole(X: np.ndarray, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(X)), max_size=4)))
    parts = [Counts.of(X[a:b]) for a, b in itertools.pairwise([0, *cuts, len(X)])]
    whole = Counts.of(X)
    for merged in (reduce(add, parts), reduce(add, reversed(parts))):
        np.testing.assert_array_equal(merged.rows, whole.rows)
        np.testing.assert_array_equal(merged.counts, whole.counts)


@settings(deadline=None, max_examples=30)
@given(X=discrete())
def test_empty_counts_are_the_identity(X: np.ndarray) -> None:
    counts, nothing = Counts.of(X), Counts.empty(X.shape[1])
    for same in (counts + nothing, nothing + counts, counts + Counts.of(X[:0])):
        np.testing.assert_array_equal(same.rows, counts.rows)
        np.testing.assert_array_equal(same.counts, counts.counts)
    assert (nothing + nothing).count == 0


@settings(deadline=None, max_examples=30)
@given(X=discrete())
def test_distinct_rows_and_places_rebuild_the_table(X: np.ndarray) -> None:
    rows, place = distinct_rows(X)
    np.testing.assert_array_equal(rows[place], X)


def test_text_of_differing_length_merges_uncut() -> None:
    merged = Counts.of(np.array([["no"], ["no"]])) + Counts.of(np.array([["perhaps"]]))
    assert as_counter(merged) == {("no",): 2, ("perhaps",): 1}


def test_many_merges_count_as_one() -> None:
    """Counts double at each of forty merges: far past what 32 bits hold."""
    counts = Counts.of([[1, 2], [3, 4], [1, 2]])
    for _ in range(40):
        counts = counts + counts
    assert as_counter(counts) == {(1, 2): 2**41, (3, 4): 2**40}
    assert counts.count == 3 * 2**40


def test_counts_refuse_what_is_not_discrete() -> None:
    with pytest.raises(DataError, match="float64"):
        Counts.of([[0.5]])
    with pytest.raises(DataError, match=r"shape \(2,\)"):
        Counts.of([0, 1])
    with pytest.raises(AncestralError, match="1 and 2 columns"):
        Counts.of([[1]]) + Counts.of([[1, 2]])
    with pytest.raises(DataError, match=r"of numbers \(such as 1\) and rows of text \(such as a\)"):
        Counts.of([[1]]) + Counts.of([["a"]])
    with pytest.raises(TypeError):
        Counts.of([[1]]) + Moments.of(np.eye(2))


def test_moments_cannot_be_written_into() -> None:
    X = np.random.default_rng(0).normal(size=(9, 3))
    mean = np.zeros(3)
    given = Moments(0, mean, scatter=np.zeros((3, 3)))
    for moments in (given, Moments.of(X), Moments.of(X, root=True), Moments.of(X) + Moments.of(X)):
        for array in (moments.mean, moments.root if moments.scatter is None else moments.scatter):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1e9
    mean[0] = 1.0  # the caller's own


def test_weights_and_widths_are_real_numbers() -> None:
    with pytest.raises(DataError, match="complex128 values"):
        Moments.of(np.eye(3), weights=np.full(3, 1j))
    with pytest.raises(AncestralError, match="n_features must be an integer, 0 or more; got -1"):
        Moments.empty(-1)
