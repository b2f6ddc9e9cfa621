"""Sums over all pairs: the grid against dense sums, merging, extremes, refusals."""

from __future__ import annotations

import itertools
import sys
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import expit

from ancestral import Graph, InnerProductGraph, streaming
from ancestral.errors import ModelError
from ancestral.graph.pairs import gather as gathering
from ancestral.graph.pairs import sums as pair_sums
from ancestral.graph.pairs.gather import gather, keep, visit
from ancestral.graph.pairs.grid import Cells, spacing
from ancestral.graph.pairs.logistic import logistic
from ancestral.graph.pairs.passes import product_range
from ancestral.graph.pairs.sums import PairSums
from ancestral.graph.pairs.terms import Terms

pytestmark = pytest.mark.usefixtures("loops")

PARAMETERS = [(5.55, -5.36), (10.0, -12.0), (5.55, -15.0)]


def make_graph(
    n: int, m: int = 3, slope: float = 5.0, intercept: float = -5.0, seed: int = 0, low: float = -1
) -> Graph:
    rng = np.random.default_rng(seed)
    X = rng.uniform(low, 1, (n, m))
    upper = np.triu(rng.random((n, n)) < expit(slope * X @ X.T + intercept), 1)
    return Graph(X, sparse.csr_array(upper | upper.T))


def dense(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Return every s, and which are edges."""
    i, j = np.triu_indices(graph.n_nodes, 1)
    return (graph.features @ graph.features.T)[i, j], graph.to_dense()[i, j] == 1


def sums(s: np.ndarray, a: float, b: float) -> np.ndarray:
    """Softplus, p, p s, p(1-p), p(1-p) s, p(1-p) s^2, each summed over pairs."""
    eta = a * s + b
    p = expit(eta)
    w = p * expit(-eta)
    return np.array([x.sum() for x in (np.logaddexp(0, eta), p, p * s, w, w * s, w * s * s)])


def edge_sum(found: PairSums) -> float:
    """The sum of s over links: the gradient where no link is expected."""
    return float(found.roughly(0.0, -700.0)[1][0])


def grid_sums(found: PairSums, a: float, b: float) -> np.ndarray:
    """The same sums, taken back out of likelihood, gradient and information, unchecked."""
    value, gradient, information = found.roughly(a, b)
    about_edges = edge_sum(found)
    return np.array(
        [
            a * about_edges + b * found.n_edges - value,
            found.n_edges - gradient[1],
            about_edges - gradient[0],
            information[1, 1],
            information[0, 1],
            information[0, 0],
        ]
    )


@pytest.fixture(scope="module")
def large() -> Graph:
    return make_graph(4_000)


@pytest.mark.parametrize(("a", "b"), PARAMETERS)
def test_sums_from_the_grid_are_those_over_all_pairs(large: Graph, a: float, b: float) -> None:
    s, linked = dense(large)
    grid = visit([large])
    assert (grid.n_pairs, grid.n_edges) == (len(s), linked.sum())
    assert edge_sum(grid) == pytest.approx(s[linked].sum(), rel=1e-12)
    np.testing.assert_allclose(grid_sums(grid, a, b), sums(s, a, b), rtol=1e-10)


def test_the_reported_error_covers_the_error_of_steep_slopes(large: Graph) -> None:
    s, linked = dense(large)
    exact, grid = PairSums.of_products(s[linked], s[~linked]), visit([large])
    for a, b in [(30.0, -30.0), (300.0, -300.0)]:
        off = np.abs(grid.roughly(a, b)[1] - exact.gradient(a, b))
        shift = np.abs(exact.covariance(a, b)) @ off / np.sqrt(np.diag(exact.covariance(a, b)))
        assert (shift <= grid.approximation_error(a, b)).all()


@pytest.mark.parametrize("m", [1, 2, 5, 40])
def test_any_number_of_features(m: int) -> None:
    graph = make_graph(700, m, slope=2.0, intercept=-2.0)
    s, _ = dense(graph)
    a, b = 8.0 / np.abs(s).max(), -1.0
    np.testing.assert_allclose(grid_sums(visit([graph]), a, b), sums(s, a, b), rtol=1e-9)


def test_heavy_tails_stand_in_layers() -> None:
    """Features without a variance: most products lie in a ten-thousandth of their range."""
    X = np.random.default_rng(0).standard_t(1.2, size=(1_500, 2))
    graph = Graph(X, np.triu(np.ones((1_500, 1_500)), 1) * 0)
    s, _ = dense(graph)
    grid = visit([graph])
    assert len(grid.layers) > 5
    assert sum(len(layer.weights) for layer in grid.layers) < 200_000
    for a, b in [(4.0, -6.0), (0.3, 1.0), (-2.0, 0.0)]:
        np.testing.assert_allclose(grid_sums(grid, a, b), sums(s, a, b), rtol=1e-8)
    half = [Graph(X[:700], np.zeros((700, 700))), Graph(X[700:] / 5, np.zeros((800, 800)))]
    merged = visit(half[:1]) + visit(half[1:])
    wanted = sum(sums(dense(g)[0], 4.0, -6.0) for g in half)
    np.testing.assert_allclose(grid_sums(merged, 4.0, -6.0), wanted, rtol=1e-7)


@given(st.integers(0, 2**32 - 1), st.integers(-40, 40), st.floats(-5, 5))
@settings(deadline=None, max_examples=25)
def test_cubic_sums_are_exact(seed: int, power: int, centre: float) -> None:
    """Four Lagrange weights carry every cubic, whatever the range of s."""
    s = (np.random.default_rng(seed).normal(size=300) + centre) * 2.0**power
    for cells in (Cells.over(s.min(), s.max()), Cells.over(s.min(), s.max(), s**3)):
        weights, nodes = cells.node_weights(cells.moments(s)), cells.nodes
        scale = np.abs(s).max()
        for k in range(4):
            wanted = ((s / scale) ** k).sum()
            assert weights @ (nodes / scale) ** k == pytest.approx(wanted, abs=1e-9)


def test_the_grid_has_4096_to_8192_nodes() -> None:
    for low, high in [(-3, 3), (-1e-9, 1e-9), (1e6, 1e6 + 1), (0, 7.99)]:
        assert 4_096 <= (high - low) / spacing(low, high) <= 8_192
    assert Cells.over(2.0, 2.0).count == 1
    assert spacing(0.0, 0.0) == 1.0


# ---- merging ---------------------------------------------------------------------------------


def assert_same(one: PairSums, two: PairSums, *, rtol: float = 1e-10) -> None:
    assert (one.n_pairs, one.n_edges) == (two.n_pairs, two.n_edges)
    assert edge_sum(one) == pytest.approx(edge_sum(two), rel=1e-12, abs=1e-12)
    assert one.extremes == two.extremes
    for a, b in PARAMETERS:
        np.testing.assert_allclose(grid_sums(one, a, b), grid_sums(two, a, b), rtol=rtol)


def test_grids_merge_to_the_grid_of_all() -> None:
    graphs = [make_graph(n, seed=n) for n in (90, 150, 60, 200)]
    parts = [visit([graph]) for graph in graphs]
    whole = visit(graphs)
    assert_same(reduce(add, parts), whole)
    for order in itertools.permutations(parts, 3):
        assert_same(order[0] + (order[1] + order[2]), (order[0] + order[1]) + order[2], rtol=1e-12)
    assert_same(parts[0] + parts[1], parts[1] + parts[0], rtol=1e-13)
    assert PairSums() + parts[0] is parts[0]
    assert parts[0] + PairSums() is parts[0]


def test_ranges_that_differ_share_the_coarser_grid() -> None:
    """Features of one scale, of a hundredth of it, and far away from the origin."""
    one, two, far = (make_graph(200, seed=k) for k in range(3))
    parts = [
        visit([one]),
        visit([Graph(two.features / 100, two.adjacency)]),
        visit([Graph(far.features + 3, far.adjacency)]),
    ]
    merged = reduce(add, parts)
    assert sum(len(layer.weights) for layer in merged.layers) < 2**15
    for a, b in [(2.0, -5.0), (0.5, 0.0)]:
        wanted = sum(grid_sums(part, a, b) for part in parts)
        np.testing.assert_allclose(grid_sums(merged, a, b), wanted, rtol=1e-8)


def test_inner_products_become_a_grid_when_they_are_many(monkeypatch: Any) -> None:
    graphs = [make_graph(n, seed=n) for n in (80, 120, 100)]
    kept = keep(graphs)
    assert_same(kept.on_grid(), visit(graphs))
    monkeypatch.setattr(pair_sums, "KEPT_PAIRS", 9_000)
    merged = reduce(add, (keep([graph]) for graph in graphs))
    assert merged.layers
    assert len(merged.unlinked) + len(merged.edges) <= 9_000
    assert_same(merged, visit(graphs))
    assert_same(visit(graphs[:1]) + keep(graphs[1:]), visit(graphs))
    assert_same(keep(graphs[1:]) + visit(graphs[:1]), visit(graphs))


def test_chunks_and_parts_give_the_model_of_fit(monkeypatch: Any) -> None:
    """The grid goes through the streaming code of all models, as inner products do."""
    graphs = [make_graph(n, seed=n) for n in (150, 100, 120, 90)]
    exact = InnerProductGraph().fit(graphs)
    monkeypatch.setattr(pair_sums, "KEPT_PAIRS", 5_000)
    monkeypatch.setattr(gathering, "KEPT_PAIRS", 5_000)
    whole = InnerProductGraph().fit(graphs)
    assert np.abs(whole.approximation_error_).max() > 0  # it is the grid that was solved
    chunked = streaming.fit_chunks(InnerProductGraph(), ([g] for g in graphs))
    partial = InnerProductGraph()
    for graph in graphs:
        partial.partial_fit([graph])
    for model in (whole, chunked, partial):
        assert model.n_pairs_ == exact.n_pairs_
        assert model.slope_ == pytest.approx(exact.slope_, rel=1e-10)
        assert model.intercept_ == pytest.approx(exact.intercept_, rel=1e-10)
        np.testing.assert_allclose(model.standard_errors_, exact.standard_errors_, rtol=1e-9)
        np.testing.assert_allclose(model.log_density(graphs), exact.log_density(graphs), rtol=1e-9)


# ---- the pass over pairs ---------------------------------------------------------------------


def test_the_number_of_threads_changes_no_bit(large: Graph) -> None:
    one, three = visit([large], n_jobs=1), visit([large], n_jobs=3)
    for a, b in zip(one.layers, three.layers, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)
    assert one.apart == three.apart
    assert one.extremes == three.extremes


@pytest.mark.parametrize("seed", range(8))
def test_extremes_of_links_and_gaps_are_found(seed: int) -> None:
    """Also where the largest and smallest products are all linked, and with one gap or none."""
    rng = np.random.default_rng(seed)
    graph = make_graph(650, slope=20.0, intercept=-5.0, seed=seed)
    s, linked = dense(graph)
    exact, seen = PairSums.of_products(s[linked], s[~linked]).extremes, visit([graph]).extremes
    np.testing.assert_allclose(
        [seen.low_edge, seen.high_edge, seen.low_unlinked, seen.high_unlinked],
        [exact.low_edge, exact.high_edge, exact.low_unlinked, exact.high_unlinked],
        rtol=1e-13,
    )
    A = np.ones((600, 600), int)
    i, j = rng.choice(600, 2, replace=False)
    A[i, j] = A[j, i] = 0
    X = rng.normal(size=(600, 3))
    alone = visit([Graph(X, A)]).extremes
    assert alone.low_unlinked == alone.high_unlinked == pytest.approx(X[i] @ X[j], rel=1e-12)
    full = visit([Graph(X, np.ones((600, 600)))]).extremes
    assert full.low_unlinked == np.inf
    assert full.high_unlinked == -np.inf


def test_whole_number_features_are_exact() -> None:
    rng = np.random.default_rng(3)
    X = rng.integers(-3, 4, (600, 4))
    graph = Graph(X, np.zeros((600, 600)))
    s, _ = dense(graph)
    (layer,) = visit([graph]).layers
    occupied = layer.weights != 0
    values, counts = np.unique(s, return_counts=True)
    np.testing.assert_array_equal(layer.nodes[occupied], values)
    np.testing.assert_array_equal(layer.weights[occupied], counts)


def test_features_bound_their_products() -> None:
    rng = np.random.default_rng(0)
    for X in (rng.normal(size=(50, 3)), rng.uniform(2, 3, (50, 2)), -rng.random((50, 4))):
        low, high = product_range(X)
        assert low <= (X @ X.T).min()
        assert (X @ X.T).max() <= high * (1 + 1e-15)


def test_small_graphs_keep_their_products_and_load_no_loops(monkeypatch: Any) -> None:
    files = [f"ancestral.graph.{name}" for name in ("pairs.kernels", "edges.kernels")]
    for name in files:
        monkeypatch.delitem(sys.modules, name, raising=False)
    graphs = [make_graph(n, seed=n) for n in (30, 40)]
    assert not gather(graphs).layers
    model = InnerProductGraph().fit(graphs)
    assert model.sample(1, n_nodes=50, random_state=0)[0].n_nodes == 50
    assert (model.approximation_error_ == 0).all()
    assert not [name for name in files if name in sys.modules]


# ---- no maximum, too many pairs, wrong words -------------------------------------------------


def linked_where(X: np.ndarray, wanted: np.ndarray) -> Graph:
    A = np.where(wanted, 1, 0)
    np.fill_diagonal(A, 0)
    return Graph(X, A)


def test_separated_large_graphs_are_named(monkeypatch: Any) -> None:
    monkeypatch.setattr(gathering, "KEPT_PAIRS", 1_000)
    X = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    S = X @ X.T
    with pytest.raises(ModelError, match=r"a -> \+inf.*>= 0\.5.*l2=1"):
        InnerProductGraph().fit(linked_where(X, S > 0.5))
    with pytest.raises(ModelError, match=r"a -> -inf"):
        InnerProductGraph().fit(linked_where(X, S < -0.5))
    with pytest.raises(ModelError, match=r"b -> -inf"):
        InnerProductGraph().fit(Graph(X, np.zeros((300, 300))))
    with pytest.raises(ModelError, match=r"b -> \+inf"):
        InnerProductGraph().fit(Graph(X, np.ones((300, 300))))
    with pytest.raises(ModelError, match="all inner products equal 0"):
        InnerProductGraph().fit(make_graph(300).__class__(np.zeros((300, 2)), S > 0.5))


def test_one_tie_is_still_separated_and_one_crossing_is_not(monkeypatch: Any) -> None:
    monkeypatch.setattr(gathering, "KEPT_PAIRS", 1_000)
    X = np.random.default_rng(1).integers(0, 3, (200, 2)) / 2
    S = X @ X.T
    tie = linked_where(X, S >= 1)
    i, j = np.argwhere(np.triu(S == 1, 1))[0]
    E = tie.adjacency.copy()
    E[i, j] = E[j, i] = 0  # a gap at the threshold: links there and gaps there
    with pytest.raises(ModelError, match=r"a -> \+inf"):
        InnerProductGraph().fit(Graph(X, E))
    i, j = np.argwhere(np.triu(S == 1.5, 1))[0]
    E[i, j] = E[j, i] = 0  # a gap beyond it
    assert np.isfinite(InnerProductGraph().fit(Graph(X, E)).slope_)


def test_partial_fit_waits_until_there_is_a_maximum() -> None:
    X = np.array([[1.0], [1.0], [-1.0]])
    separated = Graph(X, [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    mixed = Graph(X, [[0, 0, 1], [0, 0, 0], [1, 0, 0]])
    model = InnerProductGraph().partial_fit([separated])
    assert not hasattr(model, "slope_")
    model.partial_fit([mixed])
    assert model.slope_ == pytest.approx(InnerProductGraph().fit([separated, mixed]).slope_)


def huge(n_nodes: int, n_features: int) -> Graph:
    X = np.random.default_rng(0).uniform(-1, 1, (n_nodes, n_features))
    return Graph.of_checked(X, sparse.csr_array((n_nodes, n_nodes), dtype=np.int8))


def test_too_many_pairs_are_refused_with_an_estimate_before_any_is_visited() -> None:
    graph = huge(700_000, 4)
    with pytest.raises(ModelError, match=r"2\.4e\+11 pairs.*700000.*minutes.*sampled"):
        InnerProductGraph().fit(graph)
    with pytest.raises(ModelError, match=r"10952 GiB.*auto"):
        InnerProductGraph(pairs="products").fit(graph)
    model = InnerProductGraph().fit(make_graph(60, 4))
    with pytest.raises(ModelError, match=r"10952.* GiB.*sample"):
        model.probabilities(graph.features)


def test_unknown_ways_are_named() -> None:
    with pytest.raises(ModelError, match=r"pairs must be one of auto.*got 'all'"):
        InnerProductGraph(pairs="all").fit(make_graph(30))
    with pytest.raises(ModelError, match=r"does not compress"):
        InnerProductGraph(pairs="compressed").fit(make_graph(60))
    with pytest.raises(ModelError, match=r"offset must be None or"):
        InnerProductGraph(offset="log").fit(make_graph(30))
    with pytest.raises(ModelError, match=r"n_jobs must be"):
        InnerProductGraph(n_jobs=0, pairs="visited").fit(make_graph(30))


@pytest.mark.parametrize("n", [7, 512, 513, 25_000])
@pytest.mark.parametrize(("a", "b"), [(1.5, -0.7), (90.0, 60.0), (400.0, -900.0)])
def test_terms_are_summed_as_one_by_one(n: int, a: float, b: float) -> None:
    """Few at once, many in turn, and logits beyond the range of exponentials."""
    rng = np.random.default_rng(n)
    s, k = rng.normal(size=n), n // 3
    sign = np.where(np.arange(n) < k, -1.0, 1.0)
    for counts in (None, rng.integers(1, 9, n).astype(float)):
        terms = Terms(s, k, counts)
        c = 1.0 if counts is None else counts
        soft, p, w = (c * part for part in logistic(sign * (a * s + b)))
        parts = (soft, sign * p * s, sign * p, w, w * s, w * s * s)
        for found, part in zip(terms.sums(a, b), parts, strict=True):
            assert abs(found - part.sum()) <= 1e-12 * np.abs(part).sum()
        parts = (c * s, c * s * s, (c * s)[:k])
        for found, part in zip(terms.powers_of_s(), parts, strict=True):
            assert abs(found - part.sum()) <= 1e-12 * np.abs(part).sum()
