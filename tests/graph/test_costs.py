"""How each way to the sums over pairs is chosen: by sizes, without a leap, to the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ancestral import Graph, InnerProductGraph
from ancestral.graph import compiled, costs
from ancestral.graph.adjacency import _is_symmetric, _links
from ancestral.graph.pairs import gather as gathering
from ancestral.graph.pairs.gather import gather, keep, likelihoods
from ancestral.graph.pairs.grid import PANEL, Layer
from ancestral.graph.pairs.logistic import logistic
from tests.graph.conftest import without_numba
from tests.graph.pairs.test_sums import make_graph


def foreseen(n: int, width: int) -> float:
    """What the cheapest way for one graph costs."""
    pairs = n * (n - 1) // 2
    ways = [costs.kept(pairs), costs.visited(pairs, width)]
    if costs.pays_to_compress(n, width, given=False):
        ways.append(costs.compressed(n, int(costs.FITTED[width - 1] ** width), width))
        ways[-1] += costs.compressed(n, int(costs.GIVEN[width - 1] ** width), width)
    return min(ways)


@pytest.mark.parametrize("width", [1, 2, 3, 10])
@pytest.mark.usefixtures("loops")
def test_what_is_foreseen_rises_with_the_nodes(width: int) -> None:
    """Nowhere does a larger graph cost less, nor one more node twice as much."""
    sizes = np.unique(np.geomspace(20, 2e5, 400).astype(int))
    seconds = np.array([foreseen(int(n), width) for n in sizes])
    steps = seconds[1:] / seconds[:-1]
    assert (steps >= 1.0).all()
    assert (steps < 1.1 * (sizes[1:] / sizes[:-1]) ** 2).all()


def test_what_is_chosen_hangs_on_no_clock_and_on_no_process(monkeypatch: Any) -> None:
    ways = [costs.pays_to_load(n * (n - 1) // 2, 3) for n in (20, 200, 300, 2_000)]
    assert ways == [False, False, True, True]
    without_numba(monkeypatch)
    assert [costs.pays_to_load(n * (n - 1) // 2, 3) for n in (20, 200, 300, 2_000)] == ways


def test_small_graphs_do_not_ask_for_numba(monkeypatch: Any) -> None:
    def refuse() -> Any:
        raise AssertionError("numba was asked for")

    monkeypatch.setattr(compiled, "_numba", refuse)
    for n in (20, 140, 160, 220):
        InnerProductGraph().fit(make_graph(n, seed=n))


@pytest.mark.parametrize("n", [120, 146, 150, 230, 240, 360])
def test_estimates_do_not_leap_where_the_way_changes(n: int) -> None:
    graph = make_graph(n, slope=4.0, intercept=-4.0, seed=n)
    model, kept = InnerProductGraph().fit(graph), InnerProductGraph(pairs="products").fit(graph)
    assert model.slope_ == pytest.approx(kept.slope_, rel=1e-8)
    np.testing.assert_allclose(model.standard_errors_, kept.standard_errors_, rtol=1e-8)
    assert model.log_likelihood_ == pytest.approx(kept.log_likelihood_, rel=1e-8)
    assert model.log_density(graph)[0] == pytest.approx(kept.log_likelihood_, rel=1e-8)
    bound = np.maximum(model.approximation_error_, 1e-9) * model.standard_errors_
    assert abs(model.slope_ - kept.slope_) <= bound[0]


def test_condensed_nodes_have_the_same_sums() -> None:
    rng = np.random.default_rng(0)
    for a in (0.0, 0.3, 1.0):
        layer = Layer(0.015, -2_000, rng.random(4_321))
        s, weights = layer.condensed
        assert len(s) < len(layer.weights) / 5
        for b in (-9.0, 0.0, 4.0):
            for k in range(3):
                fine = logistic(a * layer.nodes + b)[k] @ layer.weights
                assert logistic(a * s + b)[k] @ weights == pytest.approx(fine, rel=1e-12)
    few = Layer(0.01, 3, rng.random(PANEL // 16))
    np.testing.assert_array_equal(few.condensed[0], few.nodes)


def test_equal_products_are_summed_together() -> None:
    """Whole-number features: each s once, with how many pairs have it, to the same likelihood."""
    rng = np.random.default_rng(1)
    X = rng.integers(0, 2, (80, 4)).astype(float)
    upper = np.triu(rng.random((80, 80)) < 1 / (1 + np.exp(3 - X @ X.T)), 1)
    found = keep([Graph(X, upper | upper.T)])
    assert len(found.edges) + len(found.unlinked) < 12
    assert (found.n_pairs, found.n_edges) == (3160, upper.sum())
    i, j = np.triu_indices(80, 1)
    z = (1.3 * (X @ X.T)[i, j] - 2.0) * np.where(upper[i, j], -1, 1)
    assert found.log_likelihood(1.3, -2.0) == pytest.approx(-np.logaddexp(0, z).sum(), rel=1e-13)


@pytest.mark.parametrize("by_size", [False, True])
def test_many_likelihoods_are_those_of_each(by_size: bool) -> None:
    graphs = [make_graph(n, seed=k) for k, n in enumerate((15, 15, 1, 7, 15, 2))]
    found = likelihoods(graphs, 2.0, -1.0, by_size=by_size)
    wanted = [gather([g], by_size=by_size).log_likelihood(2.0, -1.0) for g in graphs]
    np.testing.assert_allclose(found, wanted, rtol=1e-13)
    assert likelihoods([], 2.0, -1.0).shape == (0,)


@pytest.mark.parametrize("n", [3, 200, 300, 1_100])
@pytest.mark.parametrize("density", [0.001, 0.3])
@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.float32, float])
def test_dense_adjacencies_are_read_as_they_are(n: int, density: float, dtype: Any) -> None:
    rng = np.random.default_rng(n)
    upper = np.triu(rng.random((n, n)) < density, 1)
    E = (upper | upper.T | np.diag(rng.random(n) < 0.5)).astype(dtype)
    for given in (E, np.asfortranarray(E), E[::-1, ::-1][::-1, ::-1]):
        links = _links(given)
        assert links is not None
        np.testing.assert_array_equal(links, E != 0)
        assert _is_symmetric(links)
    i, j = n - 1, n // 2
    links[i, j] = not links[i, j]
    assert not _is_symmetric(links)
    if dtype not in (bool, np.int8):
        E[i, j] = E[j, i] = 2
        assert _links(E) is None
    if dtype is float:
        E[i, j] = E[j, i] = np.nan
        assert _links(E) is None


def test_more_pairs_than_may_be_kept_are_never_kept(monkeypatch: Any) -> None:
    graph = make_graph(60)
    assert not gather([graph]).layers
    monkeypatch.setattr(gathering, "KEPT_PAIRS", 1_000)
    assert gather([graph]).layers
