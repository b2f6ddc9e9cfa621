"""Leading eigenpairs alone are those of all, and none is missed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ancestral import Moments
from ancestral._numerics import costs, decomposition
from ancestral._numerics.decomposition import eigen_of_scatter

rng = np.random.default_rng(0)


def scatter(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a symmetric matrix of these eigenvalues, in directions of no structure."""
    m = len(values)
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(m, m)))
    S = (turn * values) @ turn.T
    return (S + S.T) / 2


def spectrum(kind: str, m: int = 400) -> np.ndarray:
    tail = np.linspace(1.0, 0.5, m - 5)
    tops = {
        "apart": [90.0, 70, 50, 30, 20],
        "equal": [90.0, 90, 90, 30, 20],
        "equal at the cut": [90.0, 70, 20, 20, 20],
        "close": [90.0, 70, 30 + 1e-12, 30, 20],
        "steep": [1e9, 1e8, 1e7, 1e6, 1e5],
        "flat": [1.05, 1.04, 1.03, 1.02, 1.01],
        "falling slowly": list(np.linspace(1.4, 1.01, 5)),
    }[kind]
    return np.concatenate([tops, tail])


KINDS = ["apart", "equal", "equal at the cut", "close", "steep", "flat", "falling slowly"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("q", [1, 3, 5])
def test_what_stops_early_is_what_all_pairs_begin_with(kind: str, q: int) -> None:
    values = spectrum(kind)
    S = scatter(values)
    found, V = eigen_of_scatter(S, q, leading=True)
    assert len(found) in (q, len(S))
    np.testing.assert_allclose(found[:q], values[:q], rtol=1e-12)
    np.testing.assert_allclose(V @ V.T, np.eye(q), atol=1e-11)
    assert np.abs(V @ S - found[:q, None] * V).max() < 1e-13 * values[0]
    if len(found) == q:  # the rest is known by the trace, and the pairs are unique
        left = S.trace() - found[:q].sum()
        np.testing.assert_allclose(left, values[q:].sum(), rtol=1e-11)
        assert values[q - 1] - values[q] > 1e-10 * values[0]


def test_little_beside_the_leading_pairs_is_never_a_difference() -> None:
    found, _ = eigen_of_scatter(scatter(spectrum("steep")), 5, leading=True)
    assert len(found) == 400


def test_leading_pairs_alone_are_found_where_they_stand_out() -> None:
    found, _ = eigen_of_scatter(scatter(spectrum("apart")), 3, leading=True)
    assert len(found) == 3


@pytest.mark.parametrize("gap", [0.5, 1e-6])
def test_a_missed_pair_is_noticed(gap: float) -> None:
    """In float32 as in float64, which the distance to the next eigenvalue decides."""
    values = np.concatenate([[3.0, 2.0, 2.0 - gap], np.linspace(1.2, 0.5, 300)])
    S = scatter(values)
    eigenvalues, U = np.linalg.eigh(S)
    eigenvalues, V = eigenvalues[::-1], U[:, ::-1].T
    assert decomposition._none_missed(S, eigenvalues[:3], V[:2])
    kept = [0, 2]  # as if the second had not shown
    assert not decomposition._none_missed(S, eigenvalues[[0, 2, 3]], V[kept])


def test_a_start_that_sees_nothing_of_a_pair_misses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanczos finds the pairs its start has a part in; the others must be seen to be there."""
    values = spectrum("apart")
    S = scatter(values)
    U = np.linalg.eigh(S)[1]
    blind = rng.normal(size=len(S))
    blind -= (U[:, -2] @ blind) * U[:, -2]
    blind /= np.linalg.norm(blind)
    monkeypatch.setattr(decomposition, "_start", lambda m: blind)
    found, _ = eigen_of_scatter(S, 2, leading=True)
    np.testing.assert_allclose(found[:2], values[:2], rtol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(900, 300), (300, 900), (300, 300), (301, 300)])
def test_moments_give_the_same_leading_pairs(n: int, d: int) -> None:
    X = rng.normal(size=(n, 4)) @ rng.normal(size=(4, d)) + rng.normal(size=(n, d)) + 5.0
    moments = Moments.of(X)
    few, V = moments.eigen(4, leading=True)
    assert len(few) == 4 < moments.n_eigenvalues
    all_of, W = moments.eigen()
    np.testing.assert_allclose(few, all_of[:4], rtol=1e-10)
    np.testing.assert_allclose(np.abs((V * W[:4]).sum(axis=1)), 1.0, rtol=1e-10)
    left = moments.spreads.sum() / moments.total_weight - few[:4].sum()
    np.testing.assert_allclose(left, all_of[4:].sum(), rtol=1e-11)


@pytest.mark.parametrize("kind", ["plain", "weighted", "fortran", "float32"])
def test_little_and_much_data_have_the_same_moments(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    X: Any = rng.normal(size=(60, 7)) * np.arange(1, 8) + 1e6
    if kind == "float32":
        X = (X - 1e6).astype(np.float32)
    weights = rng.uniform(0, 3, 60) if kind == "weighted" else None
    few = Moments.of(np.asfortranarray(X) if kind == "fortran" else X, weights=weights)
    monkeypatch.setattr(costs, "PILOT", 0.0)
    many = Moments.of(X, weights=weights)
    rtol = 1e-5 if kind == "float32" else 1e-12
    np.testing.assert_allclose(few.as_scatter(), many.as_scatter(), rtol=rtol, atol=rtol * 60)
    np.testing.assert_allclose(few.mean, many.mean, rtol=1e-6 if kind == "float32" else 1e-15)


def test_no_way_costs_less_for_more() -> None:
    sides = range(1, 3000, 7)
    for cost in (costs.all_vectors, lambda m: costs.few_vectors(m, 5), costs.all_values):
        seconds = [cost(m) for m in sides]
        assert (np.diff(seconds) > 0).all()
    for q in (1, 5, 20, 64):
        tried = [costs.steps_tried(m, q) for m in sides]
        assert (np.diff(tried) >= 0).all()
        assert all(steps == 0 or steps >= costs.first_look(q) for steps in tried)
