"""check_fit of directed graphs and of graphs with unknown dyads."""

import numpy as np
import pandas as pd
import pytest

from ancestral import DyadicGraph, Graph, InnerProductGraph
from ancestral.graph import fit_checks
from ancestral.graph.fit_checks import check_fit, measure


def a_graph(n=40, seed=0, *, unknown=0.0, directed=True):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"age": rng.normal(size=n), "house": rng.choice(list("abc"), n)})
    truth = DyadicGraph(["absdiff:age", "match:house", "sender:age"][: 3 if directed else 2])
    start = Graph(table, rng.random((n, n)) < 0.2, directed=True)
    start = start if directed else start.undirected()
    (graph,) = truth.fit(start).sample(features=start, random_state=seed)
    i, j = np.nonzero(np.triu(rng.random((n, n)) < unknown, 1))
    return graph.with_unknown(np.stack([i, j], axis=1)) if len(i) else graph, truth


def test_mutual_dyads_are_counted() -> None:
    graph, _ = a_graph()
    A = graph.to_dense().astype(bool)
    i, j = np.triu_indices(len(A), 1)
    ways = A[i, j].astype(int) + A[j, i]
    counts = measure(graph)["mutual dyads"][0]
    assert counts.tolist() == np.bincount(ways, minlength=3).tolist()
    out, into = (measure(graph)[name][0] for name in ("out-degree", "in-degree"))
    assert out.tolist() == np.bincount(A.sum(axis=1)).tolist()
    assert into.tolist() == np.bincount(A.sum(axis=0)).tolist()


@pytest.mark.parametrize("directed", [False, True])
def test_large_and_small_graphs_are_measured_alike(monkeypatch, directed) -> None:
    graph, _ = a_graph(directed=directed)
    small = measure(graph)
    monkeypatch.setattr(fit_checks, "DENSE_STACK", 5)
    large = measure(graph)
    assert list(small) == list(large)
    for name in small:
        width = min(small[name].shape[1], large[name].shape[1])
        np.testing.assert_allclose(small[name][:, :width], large[name][:, :width])
        assert not small[name][:, width:].any() and not large[name][:, width:].any()


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("directed", [False, True])
def test_draws_of_the_truth_are_no_further_off_than_draws(monkeypatch, large, directed) -> None:
    """P values over 5 data sets and all statistics: below 0.02 for a right model in 1 of 50."""
    if large:
        monkeypatch.setattr(fit_checks, "DENSE_STACK", 5)
    seen = []
    for seed in range(5):
        graph, model = a_graph(seed=seed, unknown=0.2, directed=directed)
        check = check_fit(model.fit(graph), graph, n_draws=60, random_state=seed)
        assert ("mutual dyads" in check.comparisons) is directed
        seen += [one.p_value for one in check.comparisons.values()]
    assert np.mean(np.array(seen) < 0.02) < 0.15 and np.mean(seen) > 0.25


def test_links_that_are_returned_are_seen() -> None:
    rng = np.random.default_rng(0)
    A = np.triu(rng.random((40, 40)) < 0.2, 1)
    graph = Graph(pd.DataFrame({"age": rng.normal(size=40)}), A | A.T, directed=True)
    check = check_fit(DyadicGraph(["absdiff:age"]).fit(graph), graph, n_draws=40, random_state=0)
    assert check.comparisons["mutual dyads"].p_value < 0.05
    assert "mutual dyads" in repr(check)


def test_unknown_dyads_are_without_a_link_in_draws() -> None:
    rng = np.random.default_rng(1)
    X = rng.uniform(-1, 1, (30, 2))
    E = np.triu(rng.random((30, 30)) < 0.6, 1).astype(float)
    E += E.T
    hidden = np.triu(rng.random((30, 30)) < 0.5, 1)
    E[hidden | hidden.T] = np.nan
    graph = Graph(X, E)
    check = check_fit(InnerProductGraph().fit(graph), graph, n_draws=60, random_state=0)
    degree = check.comparisons["degree"]
    means = degree.draws @ np.arange(degree.draws.shape[1]) if (degree.widths == 1).all() else None
    assert means is not None
    seen = degree.observed @ np.arange(len(degree.observed))
    assert abs(means.mean() - seen) < 4 * means.std()
