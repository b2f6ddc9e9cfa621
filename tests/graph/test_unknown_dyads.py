"""Dyads that nobody observed: likelihoods sum over the others, however the sums are gathered."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import expit

from ancestral import Graph, InnerProductGraph
from ancestral.errors import DataError, ModelError
from ancestral.graph.pairs.gather import gather

A, B = 1.3, -0.7


def _graph(n=60, m=2, *, share=0.3, seed=0, kinds=None):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, m))
    if kinds:
        X = X[rng.integers(0, kinds, n)]
    upper = np.triu(rng.random((n, n)) < expit(A * X @ X.T + B), 1)
    E = (upper | upper.T).astype(float)
    hidden = np.triu(rng.random((n, n)) < share, 1)
    E[hidden | hidden.T] = np.nan
    return X, E


def _known(X, E):
    """s and e of the known dyads."""
    i, j = np.triu_indices(len(X), 1)
    s, e = (X @ X.T)[i, j], E[i, j]
    return s[~np.isnan(e)], e[~np.isnan(e)]


def _log_likelihood(X, E, a=A, b=B):
    s, e = _known(X, E)
    z = a * s + b
    return float((e * z - np.logaddexp(0, z)).sum())


@pytest.mark.parametrize("pairs", ["products", "visited", "auto"])
@pytest.mark.parametrize("at", [None, (A, B)])
@pytest.mark.parametrize(("n", "kinds"), [(60, None), (300, None), (700, 40)])
def test_sums_are_over_known_dyads_however_they_are_gathered(pairs, at, n, kinds):
    X, E = _graph(n, kinds=kinds)
    sums = gather([Graph(X, E)], pairs=pairs, at=at)
    s, e = _known(X, E)
    p = expit(A * s + B)
    assert (sums.n_pairs, sums.n_edges) == (len(s), e.sum())
    assert sums.log_likelihood(A, B) == pytest.approx(_log_likelihood(X, E), rel=2e-8)
    gradient = [((e - p) * s).sum(), (e - p).sum()]
    assert sums.gradient(A, B) == pytest.approx(gradient, abs=1e-6 * len(s))
    w = p * (1 - p)
    information = [[(w * s * s).sum(), (w * s).sum()], [(w * s).sum(), w.sum()]]
    assert sums.information(A, B) == pytest.approx(np.array(information), rel=1e-7)
    seen = sums.extremes
    ends = (seen.low_edge, seen.high_edge, seen.low_unlinked, seen.high_unlinked)
    wanted = (s[e == 1].min(), s[e == 1].max(), s[e == 0].min(), s[e == 0].max())
    assert ends == pytest.approx(wanted, rel=1e-9)


def test_compressed_and_sampled_sums_leave_unknown_dyads_out():
    rng = np.random.default_rng(1)
    n = 7_000
    X = rng.uniform(-1, 1, (n, 1))
    i, j = rng.integers(0, n, (2, 40_000))
    links = sparse.coo_array((np.ones(len(i)), (i, j)), shape=(n, n)).tocsr()
    E = sparse.csr_array(((links + links.T) > 0).astype(float))
    hidden = sparse.coo_array((np.ones(60_000), rng.integers(0, n, (2, 60_000))), shape=(n, n))
    hidden = sparse.csr_array(((hidden + hidden.T) > 0).astype(float))
    E = E - E.multiply(hidden) + hidden.multiply(np.nan)
    graph = Graph(X, sparse.csr_array(E))
    exact = gather([graph], pairs="visited", at=(A, B))
    for pairs in ("compressed", "sampled"):
        sums = gather([graph], pairs=pairs, at=(A, B), random_state=0)
        assert sums.n_pairs == exact.n_pairs == graph.n_pairs == graph.n_dyads - graph.n_unknown
        slack = 1e-7 if pairs == "compressed" else 1e-3
        assert sums.log_likelihood(A, B) == pytest.approx(exact.log_likelihood(A, B), rel=slack)


@pytest.mark.parametrize("n", [40, 250])
def test_fit_and_criteria_count_known_dyads(n):
    X, E = _graph(n)
    model = InnerProductGraph().fit([(X, E)])
    s, e = _known(X, E)
    p = expit(model.slope_ * s + model.intercept_)
    assert np.abs([((e - p) * s).sum(), (e - p).sum()]).max() < 1e-6
    found = _log_likelihood(X, E, model.slope_, model.intercept_)
    assert model.log_likelihood_ == pytest.approx(found, rel=1e-9)
    assert model.log_density([(X, E)]) == pytest.approx([found], rel=1e-9)
    assert model.n_pairs_ == len(s)
    assert model.bic([(X, E)]) == pytest.approx(2 * np.log(len(s)) - 2 * found)


def test_a_graph_of_unknown_dyads_alone_says_nothing():
    X, E = _graph(30)
    nothing = np.full((30, 30), np.nan)
    with pytest.raises(ModelError, match="no dyad is known"):
        InnerProductGraph().fit([(X, nothing)])
    both = InnerProductGraph().fit([(X, E), (X, nothing)])
    assert both.slope_ == pytest.approx(InnerProductGraph().fit([(X, E)]).slope_)
    assert both.log_density([(X, nothing)]) == 0.0


def test_nan_masks_frames_sparse_and_pairs_say_the_same():
    X, E = _graph(20)
    np.fill_diagonal(E, np.nan)  # ignored
    i, j = np.nonzero(np.isnan(np.triu(E, 1)))
    filled = np.nan_to_num(E)
    ways = [
        Graph(X, E),
        Graph(X, np.ma.masked_array(filled.astype(int), np.isnan(E))),
        Graph(X, pd.DataFrame(filled).astype("Int64").mask(np.isnan(E))),
        Graph(X, sparse.csr_array(E)),
        Graph(X, filled).with_unknown(np.stack([i, j], axis=1)),
    ]
    for graph in ways:
        assert graph.n_unknown == len(i)
        assert np.array_equal(graph.unknown_dyads(), (i, j))
        assert np.array_equal(graph.to_dense(), filled)
        off = ~np.eye(20, dtype=bool)
        assert np.array_equal(graph.to_dense(unknown=np.nan)[off], E[off], equal_nan=True)


@pytest.mark.parametrize("large", [False, True])
def test_a_dyad_known_on_one_side_is_refused(large):
    n = 2_100 if large else 4
    E = sparse.lil_array((n, n))
    E[0, 1] = np.nan
    with pytest.raises(DataError, match=r"NaN at \(0, 1\) and 0 at \(1, 0\)"):
        Graph(np.zeros((n, 1)), E.tocsr())
    E[1, 0] = 1
    with pytest.raises(DataError, match=r"known or unknown on both sides"):
        Graph(np.zeros((n, 1)), E.tocsr())
    graph = Graph(np.zeros((n, 1)), E.tocsr(), directed=True)
    assert (graph.n_unknown, graph.n_edges) == (1, 1)


def test_hiding_a_link_forgets_it():
    graph = Graph([[1.0], [2.0], [3.0]], [[0, 1, 1], [1, 0, 0], [1, 0, 0]], node_names="abc")
    hidden = graph.with_unknown([("b", "a"), (1, 2)])
    assert (hidden.n_edges, hidden.n_pairs) == (1, 1)
    assert graph.n_edges == 2
    with pytest.raises(DataError, match="no dyad"):
        graph.with_unknown([("a", "a")])
    with pytest.raises(DataError, match="'z', which is not there"):
        graph.with_unknown([("a", "z")])
