"""Fewer points in place of all nodes, and samples in place of all pairs: against every pair."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from ancestral import Graph, InnerProductGraph, datasets
from ancestral.errors import AncestralWarning, ModelError
from ancestral.graph.edges.sampling import sample_edges
from ancestral.graph.inference import fit_graph_intercepts
from ancestral.graph.pairs import gather as gathering
from ancestral.graph.pairs import stratified
from ancestral.graph.pairs.compression import (
    Tensor,
    _gaps_between_kinds,
    by_chebyshev,
    by_distinct_rows,
)
from ancestral.graph.pairs.gather import gather, visit
from ancestral.graph.predictions import calibrate, held_out
from ancestral.graph.solvers import newton
from tests.graph.pairs.test_sums import edge_sum, grid_sums

pytestmark = pytest.mark.usefixtures("loops")

FALSE_ALARM = 1e-4


def sparse_graph(X: np.ndarray, a: float, b: float, seed: int = 0) -> Graph:
    return Graph(X, sample_edges(X, a, b, random_state=seed))


def uniform_graph(n: int, m: int, a: float, b: float, seed: int = 0) -> Graph:
    return sparse_graph(np.random.default_rng(seed).uniform(-1, 1, (n, m)), a, b, seed)


def estimates(statistics: Any) -> tuple[np.ndarray, np.ndarray]:
    last = newton(statistics)[-1]
    theta = np.array([last["a"], last["b"]])
    return theta, np.sqrt(np.diag(statistics.covariance(*theta)))


# ---- Chebyshev points ------------------------------------------------------------------------


def boxes() -> list[Any]:
    rng = np.random.default_rng(1)
    n = 12_000
    return [
        pytest.param(rng.uniform(-1, 1, (n, 1)), 6.0, -6.0, id="a line"),
        pytest.param(rng.uniform(-1, 1, (n, 2)), 5.55, -6.0, id="a square"),
        pytest.param(rng.uniform(-1, 1, (n, 2)), -5.0, -7.0, id="unlike nodes link"),
        pytest.param(rng.normal(size=(n, 2)) * [0.8, 0.1], 3.0, -6.0, id="long and normal"),
        pytest.param(rng.uniform([0, 2], [1, 3], (n, 2)), 2.0, -22.0, id="off the origin"),
        pytest.param(
            np.column_stack([rng.uniform(-1, 1, (n, 2)), np.ones(n)]), 5.0, -11.0, id="a constant"
        ),
        pytest.param(rng.uniform(-1, 1, (20_000, 3)), 5.55, -9.0, id="a cube"),
    ]


@pytest.mark.parametrize(("X", "a", "b"), boxes())
def test_estimates_move_by_less_than_a_hundredth_of_their_error(
    X: np.ndarray, a: float, b: float
) -> None:
    graph = sparse_graph(X, a, b)
    (fast,), slow = by_chebyshev([graph]), visit([graph])
    assert fast is not None
    assert (fast.n_pairs, fast.n_edges) == (slow.n_pairs, slow.n_edges)
    assert edge_sum(fast) == pytest.approx(edge_sum(slow), rel=1e-12)
    theta, errors = estimates(slow)
    near, near_errors = estimates(fast)
    assert np.abs(near - theta).max() < 0.01 * errors.min()
    np.testing.assert_allclose(near_errors, errors, rtol=1e-4)
    assert (np.abs(near - theta) / errors <= fast.approximation_error(*near) + 1e-9).all()
    assert fast.approximation_error(*near).max() < 0.02


def test_coarser_weights_are_those_made_from_the_nodes() -> None:
    X = np.random.default_rng(0).uniform(-1, 2, (300, 3))
    fine = Tensor(X.min(axis=0), X.max(axis=0), (9, 12, 7))
    coarse, W = fine.coarser(fine.weights_of(X), (6, 12, 5))
    np.testing.assert_allclose(W, coarse.weights_of(X), atol=1e-11)


def test_points_carry_every_polynomial_of_their_degree() -> None:
    """sum over nodes of x^i y^j z^k, and of (x_i . x_j)^4, from weights at 5 points an axis."""
    X = np.random.default_rng(0).normal(size=(200, 3))
    tensor = Tensor(X.min(axis=0), X.max(axis=0), (5, 5, 5))
    W, Z = tensor.weights_of(X).ravel(), tensor.points()
    for powers in [(0, 0, 0), (4, 0, 2), (1, 3, 4), (4, 4, 4)]:
        wanted = np.prod(X**powers, axis=1).sum()
        assert W @ np.prod(Z**powers, axis=1) == pytest.approx(wanted, rel=1e-9)
    total = W @ ((Z @ Z.T) ** 4) @ W
    assert total == pytest.approx(((X @ X.T) ** 4).sum(), rel=1e-9)


def test_the_cheaper_way_is_taken(monkeypatch: Any) -> None:
    assert not gather([uniform_graph(100, 3, 5.0, -3.0)]).layers
    line, wide = uniform_graph(12_000, 1, 5.0, -7.0), uniform_graph(3_000, 5, 2.0, -7.0)
    few = uniform_graph(3_000, 3, 5.0, -7.0)  # it would take more points than there are nodes
    short = uniform_graph(1_900, 1, 5.0, -7.0)
    for visited in (wide, few, short):
        assert gather([visited]).layers
        assert not gather([visited]).doubt
    assert gather([line]).doubt
    assert by_chebyshev([few]) == [None]
    compress_above(monkeypatch, 1_000_000)
    assert not gather([few]).doubt


def test_a_model_says_how_far_it_may_be_off() -> None:
    graph = uniform_graph(12_000, 2, 5.55, -8.0)
    model = InnerProductGraph(pairs="compressed").fit(graph)
    visited = InnerProductGraph(pairs="visited", max_iter=60).fit(graph)
    shift = np.abs([model.slope_ - visited.slope_, model.intercept_ - visited.intercept_])
    assert (shift / visited.standard_errors_ < model.approximation_error_).all()
    assert model.approximation_error_.max() < 0.02
    assert model.log_density([graph])[0] == pytest.approx(visited.log_likelihood_, rel=1e-8)


def compress_above(monkeypatch: Any, most_visited: int) -> None:
    """Let graphs of more pairs than that be compressed where they can be, and no others."""

    def compresses(graph: Graph, at: Any, *, must: bool) -> bool:
        return graph.features.shape[1] <= 3 and (must or graph.n_pairs > most_visited)

    monkeypatch.setattr(gathering, "compresses", compresses)


# A graph is visited, or, where it has more pairs than that, compressed for the (a, b) in question.
WAYS = pytest.mark.parametrize(
    ("most_visited", "n_features"),
    [
        pytest.param(10**9, 3, id="visited"),
        pytest.param(1_000_000, 2, id="compressed"),
    ],
)


def dense_sums(graph: Graph, a: float, b: float) -> tuple[float, np.ndarray, np.ndarray]:
    """Return log-likelihood, sums of p s and p, and information, over every pair one by one."""
    soft, expected, information = 0.0, np.zeros(2), np.zeros((2, 2))
    for i in range(graph.n_nodes - 1):
        s = graph.features[i + 1 :] @ graph.features[i]
        design = np.stack([s, np.ones(len(s))])
        p = expit(a * s + b)
        soft += np.logaddexp(0.0, a * s + b).sum()
        expected += design @ p
        information += (design * (p * (1 - p))) @ design.T
    i, j = graph.edges()
    linked = np.einsum("ij,ij->", graph.features[i], graph.features[j])
    return a * linked + b * graph.n_edges - soft, expected, information


@WAYS
def test_a_large_graph_is_evaluated_where_the_model_is(
    monkeypatch: Any, most_visited: int, n_features: int
) -> None:
    """Not where the graph's own estimate is: a = 1, against the model's 5.3."""
    compress_above(monkeypatch, most_visited)
    model = InnerProductGraph().fit(datasets.classrooms())
    model.n_features_ = n_features
    graph = uniform_graph(7_100, n_features, 1.0, -6.0)
    wanted, expected, information = dense_sums(graph, model.slope_, model.intercept_)
    assert model.log_density(graph)[0] == pytest.approx(wanted, rel=1e-8)
    found = model.pair_statistics(graph)
    theta = model.slope_, model.intercept_
    observed = found.gradient(*theta) - found.gradient(0.0, -700.0)  # nothing is expected there
    np.testing.assert_allclose(-observed, expected, rtol=1e-8)
    np.testing.assert_allclose(found.information(*theta), information, rtol=1e-8)
    assert held_out(model, graph).log_density[0] == pytest.approx(wanted, rel=1e-8)
    assert calibrate(model, graph).n_pairs.sum() == pytest.approx(graph.n_pairs, rel=1e-8)


def assert_like_visited(model: InnerProductGraph, graphs: list[Graph]) -> None:
    visited = InnerProductGraph(pairs="visited", offset=model.offset).fit(graphs)
    shift = [model.slope_ - visited.slope_, model.intercept_ - visited.intercept_]
    assert (np.abs(shift) < 0.01 * visited.standard_errors_).all()
    np.testing.assert_allclose(model.standard_errors_, visited.standard_errors_, rtol=1e-5)
    np.testing.assert_allclose(model.log_density(graphs), visited.log_density(graphs), rtol=1e-7)


def unlike_graphs(m: int) -> list[Graph]:
    return [uniform_graph(7_100, m, 1.0, -6.0), uniform_graph(7_200, m, 6.0, -8.0, seed=1)]


@WAYS
@pytest.mark.parametrize("offset", [None, "log_nodes"])
def test_unlike_graphs_fitted_together_move_by_less_than_a_hundredth_of_their_error(
    monkeypatch: Any, most_visited: int, n_features: int, offset: str | None
) -> None:
    compress_above(monkeypatch, most_visited)
    graphs = unlike_graphs(n_features)
    model = InnerProductGraph(offset=offset).fit(graphs)
    assert_like_visited(model, graphs)
    assert model.approximation_error_.max() < 0.01


def test_unlike_graphs_in_a_stream_are_fitted_as_all_at_once() -> None:
    graphs = unlike_graphs(3)
    model = InnerProductGraph()
    for graph in graphs:
        model.partial_fit([graph])
    assert_like_visited(model, graphs)


def too_unlike() -> list[Graph]:
    return [uniform_graph(7_100, 2, 0.5, -6.0), uniform_graph(7_200, 2, 14.0, -8.0, seed=1)]


def test_a_stream_of_compressed_graphs_is_compressed_anew_for_their_common_estimate(
    monkeypatch: Any,
) -> None:
    compress_above(monkeypatch, 1_000_000)
    graphs = too_unlike()
    model = InnerProductGraph()
    for graph in graphs:
        model.partial_fit([graph])
    assert_like_visited(model, graphs)
    assert model.log_likelihood_ == pytest.approx(model.log_density(graphs).sum(), rel=1e-8)


def test_a_stream_too_large_to_be_kept_is_refused_with_the_right_mend(monkeypatch: Any) -> None:
    compress_above(monkeypatch, 1_000_000)
    monkeypatch.setattr(gathering, "SOURCE_BYTES", 1_000)
    (one, two), near = too_unlike(), uniform_graph(7_200, 2, 0.6, -6.0, seed=2)
    with pytest.warns(AncestralWarning, match="log_likelihood_ may be off by"):
        model = InnerProductGraph().partial_fit([one]).partial_fit([near])
    whole = InnerProductGraph(pairs="visited").fit([one, near])
    assert model.log_likelihood_ == pytest.approx(whole.log_likelihood_, rel=1e-3)
    with pytest.raises(ModelError, match=r"compressed.*one call of fit, or pass pairs="):
        model.partial_fit([two])


def test_compressed_graphs_of_their_own_intercepts_share_the_slope_of_visited_ones(
    monkeypatch: Any,
) -> None:
    graphs = unlike_graphs(2)
    compress_above(monkeypatch, 10**9)
    visited = fit_graph_intercepts(graphs)
    compress_above(monkeypatch, 1_000_000)
    found = fit_graph_intercepts(graphs)
    assert abs(found.slope - visited.slope) < 0.01 * visited.slope_error
    assert (np.abs(found.intercepts - visited.intercepts) < 0.01 * visited.intercept_errors).all()


def test_a_stream_whose_parts_have_no_edges_is_fitted(monkeypatch: Any) -> None:
    compress_above(monkeypatch, 1_000_000)
    graph = uniform_graph(12_000, 2, 5.55, -8.0)
    bare = Graph(graph.features, 0 * graph.adjacency)
    model = InnerProductGraph()
    for part in (bare, graph):
        model.partial_fit([part])
    whole = InnerProductGraph(pairs="visited").fit([bare, graph])
    assert abs(model.slope_ - whole.slope_) < 0.01 * whole.standard_errors_[0]


@pytest.mark.parametrize("steep", [2_000.0, 8_000.0, 1e5])
def test_no_slope_is_too_steep_for_a_grid(steep: float) -> None:
    """A grid about the s of even odds is as good as every product."""
    graph = uniform_graph(1_500, 1, steep, -steep / 4)
    gridded = InnerProductGraph(pairs="visited").fit(graph)
    kept = InnerProductGraph(pairs="products").fit(graph)
    assert gridded.approximation_error_.max() < 1e-5
    assert gridded.slope_ == pytest.approx(kept.slope_, rel=1e-7)
    np.testing.assert_allclose(gridded.standard_errors_, kept.standard_errors_, rtol=1e-6)
    assert gridded.log_likelihood_ == pytest.approx(kept.log_likelihood_, rel=1e-8)
    assert gridded.log_density(graph)[0] == pytest.approx(kept.log_likelihood_, rel=1e-8)


# ---- distinct rows ---------------------------------------------------------------------------


def one_hot(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([np.eye(k)[rng.integers(0, k, n)] for k in (6, 5, 2)])


def test_categorical_features_are_summed_by_kind() -> None:
    graph = sparse_graph(one_hot(2_500, 0), 1.5, -6.0)
    fast, slow = by_distinct_rows(graph), visit([graph])
    assert fast is not None
    assert fast.extremes == slow.extremes
    for a, b in [(1.5, -6.0), (-2.0, 1.0)]:
        np.testing.assert_allclose(grid_sums(fast, a, b), grid_sums(slow, a, b), rtol=1e-12)
    assert InnerProductGraph().fit(graph).slope_ == pytest.approx(estimates(slow)[0][0], rel=1e-12)


def test_kinds_all_of_whose_pairs_are_linked_hold_no_gap() -> None:
    X = one_hot(2_100, 1)
    S = X @ X.T
    with pytest.raises(ModelError, match=r"a -> \+inf.*>= 2 and every unlinked one <= 1"):
        InnerProductGraph().fit(Graph(X, np.where(S >= 2, 1, 0)))


def test_gaps_between_many_kinds_take_memory_for_the_links_alone() -> None:
    rng = np.random.default_rng(0)
    rows, counts = rng.normal(size=(1_000, 4)), rng.integers(1, 3, size=1_000)
    one, two = np.sort(rng.integers(0, 1_000, size=(2, 500)), axis=0)
    tracemalloc.start()
    gaps = _gaps_between_kinds(rows, counts, one, two)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # a matrix of kinds would take eight times that
    free = np.triu(np.outer(counts, counts))
    np.fill_diagonal(free, counts * (counts - 1) // 2)
    np.subtract.at(free, (np.minimum(one, two), np.maximum(one, two)), 1)
    s = (rows @ rows.T)[free > 0]
    np.testing.assert_allclose([gaps.min(), gaps.max()], [s.min(), s.max()], rtol=1e-12)


# ---- sampled pairs ---------------------------------------------------------------------------


@pytest.fixture
def few_draws(monkeypatch: Any) -> None:
    monkeypatch.setattr(gathering, "SAMPLED", 50_000)
    monkeypatch.setattr(stratified, "SAMPLED", 50_000)
    monkeypatch.setattr(stratified, "PILOT", 20_000)
    monkeypatch.setattr(stratified, "FEWEST", 100)
    monkeypatch.setattr(stratified, "HALVINGS", 2)


def test_sampled_estimates_scatter_as_their_covariance_says(few_draws: None) -> None:
    """Over 40 samples of one graph's pairs: about the estimate from all, with variance V."""
    graph = uniform_graph(1_000, 6, 3.0, -6.0)
    theta, model_errors = estimates(visit([graph]))
    rng = np.random.default_rng(0)
    drawn = [gather([graph], pairs="sampled", random_state=rng) for _ in range(40)]
    found = np.array([estimates(d)[0] for d in drawn])
    model = np.linalg.inv(visit([graph]).information(*theta))
    sampling = np.mean([d.covariance(*theta) for d in drawn], axis=0) - model
    assert (np.diag(sampling) > 0.01 * model_errors**2).all()
    white = np.linalg.solve(np.linalg.cholesky(sampling), (found - theta).T)  # (2, 40)
    assert FALSE_ALARM < stats.chi2.cdf((white**2).sum(), 80) < 1 - FALSE_ALARM
    assert FALSE_ALARM < stats.chi2.cdf(40 * (white.mean(axis=1) ** 2).sum(), 2) < 1 - FALSE_ALARM


@pytest.mark.parametrize("setting", [{"l2": 1e-9}, {"offset": "log_nodes"}])
def test_a_penalty_and_an_offset_keep_the_sampling_error(
    few_draws: None, setting: dict[str, Any]
) -> None:
    graph = uniform_graph(1_000, 6, 3.0, -6.0)
    plain = InnerProductGraph(pairs="sampled", random_state=0).fit([graph])
    model = InnerProductGraph(pairs="sampled", random_state=0, **setting).fit([graph])
    np.testing.assert_allclose(model.standard_errors_, plain.standard_errors_, rtol=1e-6)


def test_sampling_is_only_done_when_asked_for(few_draws: None) -> None:
    graph, small = uniform_graph(1_500, 5, 3.0, -6.0), uniform_graph(300, 5, 3.0, -6.0, seed=1)
    assert not gather([graph, small]).sampling
    model = InnerProductGraph(pairs="sampled", random_state=0).fit([graph, small])
    visited = InnerProductGraph(pairs="visited").fit([graph, small])
    assert (model.standard_errors_ > visited.standard_errors_).all()
    gap = [model.slope_ - visited.slope_, model.intercept_ - visited.intercept_]
    assert (np.abs(gap) < 4 * model.standard_errors_).all()
    again = InnerProductGraph(pairs="sampled", random_state=0).fit([graph, small])
    assert again.slope_ == model.slope_
    whole = InnerProductGraph(pairs="sampled").fit([small])  # few pairs: all visited
    assert whole.slope_ == pytest.approx(InnerProductGraph().fit([small]).slope_, rel=1e-9)
