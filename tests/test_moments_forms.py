"""Which form moments are held in, scatter or root, and what each keeps."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ancestral import PPCA, Moments
from ancestral._numerics import decomposition
from ancestral._numerics.accumulation import STEEP, is_steep
from ancestral._numerics.decomposition import eigen_of_scatter
from ancestral._numerics.threads import even_parts, in_threads

rng = np.random.default_rng(0)
FLAT = rng.normal(size=(500, 6)) * [3, 2, 1, 1, 0.5, 0.2] + 10


def steep(n: int, d: int, ratio: float = 1e12) -> np.ndarray:
    """Rows whose variances along turned axes fall by `ratio` from first to last."""
    values = np.random.default_rng(1).normal(size=(n, d)) * np.logspace(0, -np.log10(ratio) / 2, d)
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(d, d)))
    return values @ turn


# ---- the choice ----------------------------------------------------------------------------------


def test_the_form_follows_shape_and_condition() -> None:
    assert Moments.of(FLAT).scatter is not None
    assert Moments.of(FLAT[:4]).root is not None  # fewer rows than columns
    assert Moments.of(steep(500, 6)).root is not None  # squares would lose the least
    assert Moments.of(np.column_stack([FLAT, FLAT[:, 0]])).root is not None  # singular
    assert Moments.of(np.column_stack([FLAT, np.ones(500)])).scatter is not None  # constant column
    assert Moments.of(steep(500, 6), root=False).scatter is not None  # asked for
    assert Moments.of(FLAT, root=True).root is not None


def test_short_parts_become_a_scatter_once_they_are_many() -> None:
    parts = [Moments.of(FLAT[i : i + 3]) for i in range(0, 498, 3)]
    assert all(part.root is not None and len(part.root) == 3 for part in parts)
    assert reduce(add, parts[:2]).root is not None
    total = reduce(add, parts)
    assert total.scatter is not None
    np.testing.assert_allclose(total.scatter, Moments.of(FLAT[:498]).scatter, rtol=1e-12)


def test_a_form_that_was_asked_for_stays() -> None:
    parts = [Moments.of(FLAT[i : i + 50], root=True) for i in range(0, 500, 50)]
    total = reduce(add, parts, Moments.empty(6, root=True))
    assert total.root is not None
    assert total.root.shape == (6, 6)
    squared = reduce(add, [Moments.of(part, root=False) for part in np.split(steep(500, 6), 5)])
    assert squared.scatter is not None


def test_wide_parts_never_become_square() -> None:
    X = rng.normal(size=(60, 400))
    total = reduce(add, [Moments.of(X[i : i + 7]) for i in range(0, 60, 7)])
    assert total.root is not None
    assert len(total.root) <= 60 + 9  # a row more for each distance of means
    wanted = Moments.of(X)
    np.testing.assert_allclose(total.eigen()[0][:59], wanted.eigen()[0][:59], rtol=1e-11)


@settings(max_examples=40, deadline=None)
@given(places=st.lists(st.integers(0, 200), max_size=8), ratio=st.sampled_from([1e2, 1e7, 1e13]))
def test_small_eigenvalues_survive_any_chunking(places: list[int], ratio: float) -> None:
    X = steep(200, 5, ratio) + 3.0
    parts = [X[a:b] for a, b in zip([0, *sorted(places)], [*sorted(places), 200])]
    total = reduce(add, [Moments.of(part) for part in parts])
    centred = X.astype(np.longdouble)
    centred = (centred - centred.mean(axis=0)).astype(np.float64)
    wanted = np.linalg.svd(centred, compute_uv=False) ** 2 / 200
    # The values themselves are rounded at 3.0: 1e-15 beside a least deviation of 3e-7.
    np.testing.assert_allclose(total.eigen()[0], wanted, rtol=1e-7)


def test_parts_far_apart_are_merged_as_roots() -> None:
    """Each part is flat; what stands between their means is 1e12 times what is within."""
    a, b = (
        FLAT[:250],
        FLAT[250:] + np.array([1e6, 0, 0, 0, 0, 0]) @ np.linalg.qr(rng.normal(size=(6, 6)))[0],
    )
    one, other = Moments.of(a), Moments.of(b)
    assert one.scatter is not None
    assert other.scatter is not None
    total = one + other
    assert total.root is not None
    both = np.vstack([a, b])
    wanted = np.linalg.svd(both - both.mean(axis=0), compute_uv=False) ** 2 / 500
    np.testing.assert_allclose(total.eigen()[0], wanted, rtol=1e-7)


def test_steepness_is_the_least_variance_left_by_earlier_columns() -> None:
    S = np.diag([4.0, 1.0, 0.25])
    assert not is_steep(S, 16.5)
    assert is_steep(S, 15.5)
    assert not is_steep(np.diag([4.0, 0.0, 1.0]), 5.0)  # a constant column loses nothing
    assert is_steep(np.ones((2, 2)), STEEP)
    assert not is_steep(np.zeros((2, 2)), STEEP)


@pytest.mark.parametrize("d", [40, 100, 300])
@pytest.mark.parametrize("ratio", [1e1, 1e4, 1e8])
@pytest.mark.parametrize("unit", [1.0, 1e-25, 1e25])
def test_steepness_hangs_on_no_precision_and_no_unit(d: int, ratio: float, unit: float) -> None:
    """Float32 may settle it only where float64 says the same."""
    lower = np.tril(np.random.default_rng(0).normal(size=(d, d)) / d, -1) + np.eye(d)
    pivots = np.logspace(0, -np.log10(ratio), d)
    S = (lower * pivots) @ lower.T * unit
    limit = S.diagonal().max() / (pivots[-1] * unit)
    assert not is_steep(S, limit * 1.01)
    assert is_steep(S, limit / 1.01)


# ---- what is kept --------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(places=st.lists(st.integers(1, 199), max_size=5), offset=st.sampled_from([0.0, 1e8, 1e12]))
def test_a_mean_and_its_tail_are_right_to_twice_the_digits(
    places: list[int], offset: float
) -> None:
    X = np.round(FLAT[:200] * 2**12) / 2**12 + offset  # exact: sums of them can be compared
    edges = [0, *sorted(set(places)), 200]
    total = reduce(add, [Moments.of(X[a:b]) for a, b in pairwise(edges)])
    wanted = (X - offset).mean(axis=0)
    np.testing.assert_allclose((total.mean - offset) + total.tail, wanted, rtol=1e-13)


@pytest.mark.parametrize("root", [False, True])
def test_spreads_are_sums_of_squares_also_of_scaled_columns(root: bool) -> None:
    moments = Moments.of(FLAT, root=root)
    centred = FLAT - FLAT.mean(axis=0)
    np.testing.assert_allclose(moments.spreads, (centred**2).sum(axis=0), rtol=1e-12)
    scale = np.arange(1.0, 7.0)
    np.testing.assert_allclose(
        moments.scaled(scale).spreads, ((centred / scale) ** 2).sum(axis=0), rtol=1e-12
    )
    R = moments.as_root()
    np.testing.assert_allclose(R.T @ R, centred.T @ centred, rtol=1e-10, atol=1e-9)


def test_a_singular_scatter_has_a_root() -> None:
    X = np.column_stack([FLAT[:, 0], 2 * FLAT[:, 0]])
    moments = Moments.of(X, root=False)
    R = moments.as_root()
    np.testing.assert_allclose(R.T @ R, moments.scatter, rtol=1e-12)


def test_eigenvalues_that_are_rounding_are_zeros() -> None:
    X = FLAT[:, :2] @ rng.normal(size=(2, 6))  # rank 2
    for moments in (Moments.of(X), Moments.of(X, root=False), Moments.of(X[:4])):
        eigenvalues, _ = moments.eigen()
        assert (eigenvalues > 0).sum() == 2
        assert not eigenvalues[2:].any()


def test_noise_far_below_the_signal_is_fitted() -> None:
    """sigma^2 at 1e-13 of the leading variance, which a scatter could not hold."""
    X = steep(400, 8, 1e13)
    model = PPCA(5).fit(X)
    centred = X - X.mean(axis=0)
    wanted = (np.linalg.svd(centred, compute_uv=False)[5:] ** 2).mean() / 400
    assert model.noise_variance_ == pytest.approx(wanted, rel=1e-7)


# ---- threads -------------------------------------------------------------------------------------


def test_parts_come_back_in_order_whether_or_not_threads_help() -> None:
    parts = even_parts(10, 4)
    assert [p.stop - p.start for p in parts] == [2, 3, 2, 3]
    for n_numbers in (10, 10**9):
        assert in_threads(lambda part: part.start, parts, n_numbers) == [0, 2, 5, 7]


def test_a_failing_part_is_heard() -> None:
    def fail(part: slice) -> None:
        raise ValueError(f"part {part.start}")

    with pytest.raises(ValueError, match="part 0"):
        in_threads(fail, even_parts(10, 4), 10**9)
    assert in_threads(lambda part: 1, even_parts(4, 2), 10**9) == [1, 1]  # and nothing is held


def test_threads_within_threads_take_their_turn() -> None:
    def inner(part: slice) -> list[int]:
        return in_threads(lambda p: p.start, even_parts(6, 3), 10**9)

    assert in_threads(inner, even_parts(4, 2), 10**9) == [[0, 2, 4]] * 2


# ---- eigenpairs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["falling", "equal", "steep", "diagonal", "blocks"])
def test_a_few_leading_vectors_are_those_of_all(kind: str) -> None:
    """Also where eigenvalues stand together, or the matrix falls into pieces."""
    d, q = 300, 40
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(d, d)))
    values = {
        "falling": np.linspace(5, 1, d),
        "equal": np.where(np.arange(d) < 60, 4.0, 1.0),
        "steep": np.logspace(0, -12, d),
        "diagonal": np.linspace(5, 1, d),
        "blocks": np.repeat([3.0, 2.0, 1.0], 100),
    }[kind]
    if kind == "diagonal":
        turn = np.eye(d)
    elif kind == "blocks":
        turn = np.kron(np.eye(3), turn[:100, :100])
        turn, _ = np.linalg.qr(turn)
    S = (turn * values) @ turn.T
    S = (S + S.T) / 2
    eigenvalues, V = eigen_of_scatter(S, q)
    wanted = np.linalg.eigvalsh(S)[::-1]
    assert np.abs(eigenvalues - wanted).max() < 1e-13 * wanted[0]
    np.testing.assert_allclose(V @ V.T, np.eye(q), atol=1e-11)
    assert np.abs(S @ V.T - V.T * eigenvalues[:q]).max() < 1e-12 * wanted[0]


def test_all_vectors_where_few_would_not_be_orthonormal(monkeypatch: pytest.MonkeyPatch) -> None:
    S = np.diag(np.linspace(5, 1, 300))
    monkeypatch.setattr(decomposition, "ORTHONORMAL", 0.0)
    _, V = eigen_of_scatter(S, 10)
    np.testing.assert_allclose(V @ V.T, np.eye(10), atol=1e-13)
