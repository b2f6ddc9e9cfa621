"""Exact edges without visiting every pair: each test would fail a right sampler once in 10,000."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from ancestral import InnerProductGraph
from ancestral.errors import DataError, ModelError
from ancestral.graph.edges import sampling
from ancestral.graph.edges.sampling import CellTree, sample_edges
from tests.graph.pairs.test_sums import huge, make_graph

pytestmark = pytest.mark.usefixtures("loops")

FALSE_ALARM = 1e-4


def probabilities(X: np.ndarray, a: float, b: float) -> np.ndarray:
    """p of the pairs i < j, in numpy's order."""
    i, j = np.triu_indices(len(X), 1)
    return expit(a * (X @ X.T)[i, j] + b)


def drawn(count: int, X: np.ndarray, a: float, b: float, rng: np.random.Generator) -> np.ndarray:
    """Draw graphs; return which pairs i < j are linked, (count, pairs)."""
    i, j = np.triu_indices(len(X), 1)
    graphs = (sample_edges(X, a, b, random_state=rng, n_jobs=1) for _ in range(count))
    return np.stack([A.toarray()[i, j] for A in graphs])


def two_sided(z: float) -> float:
    return float(2 * stats.norm.sf(abs(z)))


@pytest.fixture
def many_cells(monkeypatch: Any) -> None:
    """Split down to single nodes, so that few nodes go through all of the machinery."""
    monkeypatch.setattr(sampling, "LEAF", 1)
    monkeypatch.setattr(sampling, "WASTE", 0.02)
    monkeypatch.setattr(sampling, "FRONTIER", 64)
    monkeypatch.setattr(sampling, "STREAM_PAIRS", 100)


@pytest.mark.parametrize(
    ("a", "b", "m"), [(4.0, -1.0, 3), (-3.0, -0.5, 2), (1.0, 3.0, 6), (9.0, -6.0, 1)]
)
def test_every_pair_is_linked_with_its_probability(
    many_cells: None, a: float, b: float, m: int
) -> None:
    """2,000 small graphs: chi-square over pairs, and the spread of the number of edges."""
    X = np.random.default_rng(m).uniform(-1, 1, (24, m))
    p = probabilities(X, a, b)
    rng = np.random.default_rng(1)
    draws = drawn(2_000, X, a, b, rng)
    wanted, spread = 2_000 * p, 2_000 * p * (1 - p)
    seen = spread > 10
    assert seen.sum() > 20
    square = ((draws.sum(axis=0) - wanted)[seen] ** 2 / spread[seen]).sum()
    assert stats.chi2.sf(square, seen.sum()) > FALSE_ALARM
    assert stats.chi2.cdf(square, seen.sum()) > FALSE_ALARM
    edges = draws.sum(axis=1)
    variance = (p * (1 - p)).sum()
    assert two_sided((edges.mean() - p.sum()) / np.sqrt(variance / 2_000)) > FALSE_ALARM
    ratio = 1_999 * edges.var(ddof=1) / variance  # independent pairs: about chi-square
    assert FALSE_ALARM / 2 < stats.chi2.cdf(ratio, 1_999) < 1 - FALSE_ALARM / 2


def test_pairs_are_independent(many_cells: None) -> None:
    """Correlations over draws of every two of the likely pairs are as small as chance has them."""
    X = np.random.default_rng(0).uniform(-1, 1, (12, 2))
    rng = np.random.default_rng(2)
    draws = drawn(2_000, X, 2.0, -0.5, rng)
    C = np.corrcoef(draws.T)
    off = C[np.triu_indices(len(C), 1)]
    square = 2_000 * (off**2).sum()
    assert FALSE_ALARM < stats.chi2.cdf(square, len(off)) < 1 - FALSE_ALARM


def test_edge_counts_and_degrees_of_a_large_graph() -> None:
    """Mean and variance of the edge count over 100 draws, and every node's mean degree."""
    X = np.random.default_rng(4).uniform(-1, 1, (1_500, 3))
    a, b = 5.5, -6.0
    P = expit(a * X @ X.T + b)
    np.fill_diagonal(P, 0)
    mean, variance = P.sum() / 2, (P * (1 - P)).sum() / 2
    rng = np.random.default_rng(5)
    graphs = [sample_edges(X, a, b, random_state=rng) for _ in range(100)]
    counts = np.array([A.nnz / 2 for A in graphs])
    assert two_sided((counts.mean() - mean) / np.sqrt(variance / 100)) > FALSE_ALARM
    assert FALSE_ALARM < stats.chi2.cdf(99 * counts.var(ddof=1) / variance, 99) < 1 - FALSE_ALARM
    degrees = np.mean([A.sum(axis=1) for A in graphs], axis=0)
    z = (degrees - P.sum(axis=1)) / np.sqrt((P * (1 - P)).sum(axis=1) / 100)
    # degrees of different nodes share one edge at most: near enough to independent
    assert FALSE_ALARM < stats.chi2.cdf((z**2).sum(), len(z)) < 1 - FALSE_ALARM


def test_degrees_are_distributed_as_with_every_pair_visited() -> None:
    X = np.random.default_rng(6).uniform(-1, 1, (600, 3))
    P = expit(6.0 * X @ X.T - 7.0)
    rng = np.random.default_rng(7)
    fast, slow = [], []
    for _ in range(40):
        fast.append(sample_edges(X, 6.0, -7.0, random_state=rng).sum(axis=1))
        E = np.triu(rng.random(P.shape) < P, 1)
        slow.append((E | E.T).sum(axis=1))
    table = np.stack([np.bincount(np.ravel(d), minlength=600) for d in (fast, slow)])
    few = table.sum(axis=0) < 40
    table = np.column_stack([table[:, ~few], table[:, few].sum(axis=1)])
    assert stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue > FALSE_ALARM


@pytest.mark.parametrize("n", [0, 1, 2, 3, 500, 3_000])
def test_graphs_are_simple_symmetric_and_sorted(n: int) -> None:
    X = np.random.default_rng(n).uniform(-1, 1, (n, 3))
    A = sample_edges(X, 5.0, -3.0, random_state=0)
    assert A.shape == (n, n)
    assert A.dtype == np.int8
    assert (A.data == 1).all()
    assert A.diagonal().sum() == 0
    assert (A != A.T).nnz == 0
    rows = np.repeat(np.arange(n), np.diff(A.indptr)) * (n + 1) + A.indices
    assert (np.diff(rows) > 0).all()  # sorted, and no pair twice


def test_the_seed_decides_and_the_number_of_threads_does_not() -> None:
    X = np.random.default_rng(0).uniform(-1, 1, (4_000, 3))
    one, three, other = (
        sample_edges(X, 5.0, -6.0, random_state=seed, n_jobs=jobs)
        for seed, jobs in [(1, 1), (1, 3), (2, 1)]
    )
    assert (one != three).nnz == 0
    assert (one != other).nnz > 0
    rng = np.random.default_rng(1)
    first = sample_edges(X, 5.0, -6.0, random_state=rng)
    assert (first != one).nnz == 0
    assert (sample_edges(X, 5.0, -6.0, random_state=rng) != one).nnz > 0  # the stream goes on


@pytest.mark.parametrize(("b", "edges"), [(-1e4, 0), (1e4, 300 * 299 // 2)])
def test_certain_pairs(b: float, edges: int) -> None:
    X = np.random.default_rng(0).normal(size=(300, 2))
    assert sample_edges(X, 1.0, b, random_state=0).nnz == 2 * edges


def test_nodes_that_are_alike_share_a_cell() -> None:
    X = np.zeros((700, 2))
    A = sample_edges(X, 3.0, -1.0, random_state=0)
    pairs, p = 700 * 699 / 2, expit(-1.0)
    assert two_sided((A.nnz / 2 - pairs * p) / np.sqrt(pairs * p * (1 - p))) > FALSE_ALARM


def test_cells_hold_every_node_once_in_tight_boxes() -> None:
    X = np.random.default_rng(0).normal(size=(500, 3))
    tree = CellTree.of(X)
    assert sorted(tree.order) == list(range(500))
    for k in range(len(tree.start)):
        mine = X[tree.order[tree.start[k] : tree.end[k]]]
        np.testing.assert_array_equal(tree.low[k], mine.min(axis=0))
        np.testing.assert_array_equal(tree.high[k], mine.max(axis=0))
        assert tree.reach[k] == pytest.approx(np.linalg.norm(mine, axis=1).max(), rel=1e-14)
        if tree.child[k]:
            left, right = tree.child[k], tree.child[k] + 1
            assert (tree.start[left], tree.end[right]) == (tree.start[k], tree.end[k])
            assert tree.end[left] == tree.start[right]


def test_the_model_draws_large_graphs_sparse() -> None:
    model = InnerProductGraph().fit([make_graph(80, slope=4.0, intercept=-6.0)])
    (graph,) = model.sample(1, n_nodes=2_500, random_state=0)
    assert graph.is_sparse
    (again,) = model.sample(1, features=graph.features, random_state=3)
    np.testing.assert_array_equal(again.features, graph.features)
    mean = expit(model.slope_ * (again.features @ again.features.T) + model.intercept_)
    pairs = mean[np.triu_indices(2_500, 1)]
    z = (again.n_edges - pairs.sum()) / np.sqrt((pairs * (1 - pairs)).sum())
    assert two_sided(z) > FALSE_ALARM
    assert not model.sample(1, n_nodes=2_000, random_state=0)[0].is_sparse


def test_without_features_every_pair_is_as_likely() -> None:
    A = sample_edges(np.zeros((300, 0)), 5.0, -1.0, random_state=0)
    pairs, p = 300 * 299 / 2, expit(-1.0)
    z = (A.nnz / 2 - pairs * p) / np.sqrt(pairs * p * (1 - p))
    assert two_sided(z) > FALSE_ALARM


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    X = np.random.default_rng(0).normal(size=(10, 2))
    with pytest.raises(ModelError, match="slope must be a number, finite"):
        sample_edges(X, bad, -1.0)
    with pytest.raises(ModelError, match="intercept must be a number, finite"):
        sample_edges(X, 1.0, bad)
    X[3, 1] = bad
    with pytest.raises(DataError, match="row 3, column 1"):
        sample_edges(X, 1.0, -1.0)


def test_too_many_edges_are_refused_before_they_are_drawn() -> None:
    with pytest.raises(ModelError, match=r"n_nodes=700000 .* edges, which need \d+ GiB.*intercept"):
        sample_edges(huge(700_000, 2).features, 1.0, 0.0, random_state=0)


@pytest.mark.parametrize("most_dense", [10, 1_000])
@pytest.mark.parametrize("by_cells", [False, True])
def test_draws_by_pairs_and_by_cells_are_of_one_law(
    monkeypatch: Any, by_cells: bool, most_dense: int
) -> None:
    """400 draws: the edges' number, and each pair's frequency by chi-square (alarms: 1e-4)."""
    monkeypatch.setattr(sampling, "DENSE_NODES", most_dense)
    monkeypatch.setattr(sampling.costs, "pays_to_draw_by_cells", lambda *sizes: by_cells)
    X = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    i, j = np.triu_indices(40, 1)
    p = probabilities(X, 2.0, -1.0)
    rng, count = np.random.default_rng(1), 400
    seen = np.zeros(len(p))
    for _ in range(count):
        graph = sampling.draw_graph(X, 2.0, -1.0, rng)
        assert graph.is_sparse == (most_dense < 40)
        A = graph.to_dense()
        assert (A == A.T).all() and not A.diagonal().any()
        seen += A[i, j]
    z = (seen - count * p) / np.sqrt(count * p * (1 - p))
    assert two_sided(z.sum() / np.sqrt(len(z))) > 1e-4
    assert stats.chi2.sf((z**2).sum(), len(z)) > 1e-4


@pytest.mark.parametrize(("a", "b", "m"), [(2.0, -1.0, 2), (1.0, -5.0, 2), (1.0, -1.0, 10)])
def test_candidates_are_foreseen(a: float, b: float, m: int) -> None:
    """Within a third of how many are tried, where they are many enough to matter."""
    X = np.random.default_rng(m).uniform(-1, 1, (1_500, m))
    cells = sampling.CellTree.of(X)
    parts = sampling._draw(cells, X[cells.order], a, b, np.random.default_rng(0), 1)
    tried = sum(part[2] for part in parts)
    foreseen = sampling._candidates(X, a, b) * len(X) * (len(X) - 1) / 2
    assert tried / 1.34 < foreseen < 1.34 * tried
