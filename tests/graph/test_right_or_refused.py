"""Public numbers of graphs are those over all pairs, whatever was summed in their place.

Each entrance is held to dense sums: likelihoods, criteria, held-out scores, intervals, streams.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import Graph, InnerProductGraph, LatentPositionGraph, datasets, streaming
from ancestral.errors import AncestralError, DataError, ModelError
from ancestral.graph.pairs import gather as gathering
from ancestral.graph.pairs.gather import gather, keep, visit
from ancestral.graph.predictions import calibrate, held_out

RELATIVE = 1e-8  # of sums over all pairs


def near_step(n: int, seed: int = 0, noise: float = 2e-4, threshold: float = 0.8) -> Graph:
    """Points of a sphere, linked where s passes a threshold but for little noise: a steep slope."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    X /= np.linalg.norm(X, axis=1)[:, None]
    i, j = np.triu_indices(n, 1)
    E = np.zeros((n, n), int)
    E[i, j] = (X @ X.T)[i, j] + rng.normal(0, noise, len(i)) > threshold
    return Graph(X, E + E.T)


def dense(graph: Graph, a: float, b: float) -> float:
    i, j = np.triu_indices(graph.n_nodes, 1)
    s, e = (graph.features @ graph.features.T)[i, j], graph.to_dense()[i, j]
    return -float(np.logaddexp(0, (a * s + b) * (1 - 2 * e)).sum())


@pytest.fixture(scope="module")
def steep() -> Graph:
    return near_step(2_000)


@pytest.fixture(scope="module")
def fitted(steep: Graph) -> InnerProductGraph:
    return InnerProductGraph().fit(steep)


ENTRANCES: dict[str, Callable[[InnerProductGraph, Graph], float]] = {
    "log_likelihood_": lambda m, g: m.log_likelihood_,
    "log_density": lambda m, g: m.log_density(g)[0],
    "score": lambda m, g: m.score(g),
    "aic": lambda m, g: 2 - m.aic(g) / 2,
    "bic": lambda m, g: np.log(g.n_pairs) - m.bic(g) / 2,
    "held_out": lambda m, g: held_out(m, g).log_density[0],
    "pair_statistics": lambda m, g: m.pair_statistics(g).log_likelihood(m.slope_, m.intercept_),
    "partial_fit": lambda m, g: InnerProductGraph().partial_fit(g).log_likelihood_,
    "fit_chunks": lambda m, g: streaming.fit_chunks(InnerProductGraph(), [[g]]).log_likelihood_,
}


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_every_entrance_gives_the_likelihood_of_all_pairs(
    steep: Graph, fitted: InnerProductGraph, entrance: str
) -> None:
    wanted = dense(steep, fitted.slope_, fitted.intercept_)
    assert wanted == pytest.approx(-389.147, abs=1e-3)
    assert ENTRANCES[entrance](fitted, steep) == pytest.approx(wanted, rel=RELATIVE)


@pytest.mark.parametrize("factor", [1e-6, 0.1, 3.0, 30.0, 1e4, -1.0, -50.0])
def test_no_slope_gives_a_probability_above_one(
    steep: Graph, fitted: InnerProductGraph, factor: float
) -> None:
    model = InnerProductGraph()
    model.__dict__.update(vars(fitted))
    model.slope_, model.intercept_ = factor * fitted.slope_, factor * fitted.intercept_
    value = model.log_density(steep)[0]
    assert value <= 0
    assert value == pytest.approx(dense(steep, model.slope_, model.intercept_), rel=RELATIVE)
    found = held_out(model, steep)
    assert 0 <= found.auc[0] <= 1
    bins = calibrate(model, steep)
    assert ((bins.observed >= 0) & (bins.observed <= 1)).all()
    assert ((bins.predicted >= 0) & (bins.predicted <= 1)).all()


def test_intervals_of_a_steep_fit_are_those_of_every_product(
    steep: Graph, fitted: InnerProductGraph
) -> None:
    kept = InnerProductGraph(pairs="products").fit(steep)
    np.testing.assert_allclose(
        fitted.confidence_intervals(steep), kept.confidence_intervals(steep), rtol=1e-6
    )
    np.testing.assert_allclose(fitted.standard_errors_, kept.standard_errors_, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-4, 1e5, 1e60])
@pytest.mark.parametrize("way", ["visited", "products"])
def test_units_of_features_change_no_likelihood(way: str, scale: float) -> None:
    graph = near_step(400, seed=1, noise=0.02)
    plain = InnerProductGraph(pairs="products").fit(graph)
    scaled = Graph(graph.features * scale, graph.adjacency)
    model = InnerProductGraph(pairs=way).fit(scaled)
    assert model.slope_ * scale**2 == pytest.approx(plain.slope_, rel=1e-7)
    assert model.log_likelihood_ == pytest.approx(plain.log_likelihood_, rel=RELATIVE)
    assert model.log_density(scaled)[0] == pytest.approx(plain.log_likelihood_, rel=RELATIVE)


@pytest.mark.parametrize("offset", [None, "log_nodes"])
def test_streams_of_steep_graphs_are_those_of_every_product(
    monkeypatch: Any, offset: str | None
) -> None:
    """Also where chunks of products have become a grid before the slope is known."""
    graphs = [near_step(n, seed=n, noise=3e-3) for n in (200, 300, 260)]
    kept = InnerProductGraph(offset=offset, pairs="products").fit(graphs)
    for module in ("gather", "sums"):
        monkeypatch.setattr(f"ancestral.graph.pairs.{module}.KEPT_PAIRS", 20_000)
    stream = InnerProductGraph(offset=offset)
    for graph in graphs:
        stream.partial_fit([graph])
    whole = InnerProductGraph(offset=offset).fit(graphs)
    for model in (stream, whole):
        assert model.slope_ == pytest.approx(kept.slope_, rel=1e-6)
        assert model.log_likelihood_ == pytest.approx(kept.log_likelihood_, rel=RELATIVE)
        total = model.log_density(graphs).sum()
        assert total == pytest.approx(kept.log_likelihood_, rel=RELATIVE)


def test_sums_whose_graphs_are_gone_refuse_where_they_do_not_hold(steep: Graph) -> None:
    loose = visit([steep])  # nothing to ask again
    assert loose.source is None
    with pytest.raises(ModelError, match="are not valid at a slope of 9e\\+03"):
        loose.log_likelihood(9_000.0, -7_200.0)
    assert loose.log_likelihood(5.0, -4.0) == pytest.approx(dense(steep, 5.0, -4.0), rel=RELATIVE)


@pytest.mark.parametrize("at", [(0.0, 0.0), (3.0, -70.0), (-200.0, 40.0), (1e5, -8e4), (50.0, 0.0)])
def test_gathered_sums_hold_wherever_they_are_asked_for(at: tuple[float, float]) -> None:
    graph = near_step(500, seed=3, noise=0.05)
    exact = keep([graph])
    found = gather([graph], pairs="visited")
    value, gradient, information = exact.evaluate(*at)
    assert found.log_likelihood(*at) == pytest.approx(value, rel=RELATIVE)
    size = np.abs(exact.gradient(0.0, -700.0)) + np.abs(exact.gradient(0.0, 700.0))
    assert (np.abs(found.gradient(*at) - gradient) <= RELATIVE * size).all()
    if information[1, 1] > 1e-6:
        np.testing.assert_allclose(found.information(*at), information, rtol=1e-6)


# ---- graphs of which little is known ----------------------------------------------------------


def test_graphs_without_a_pair_count_for_nothing() -> None:
    graphs = datasets.classrooms(20, random_state=0)
    lonely = [Graph(np.ones((1, 3)), np.zeros((1, 1)))] * 5
    model = InnerProductGraph().fit(graphs)
    assert model.score([*graphs, *lonely]) == pytest.approx(model.score(graphs), rel=1e-12)
    assert model.bic([*graphs, *lonely]) == pytest.approx(model.bic(graphs), rel=1e-12)
    for ask in (model.score, model.bic, model.aic):
        with pytest.raises(AncestralError, match="no pair of nodes"):
            ask(lonely)
    with pytest.warns(ancestral.AncestralWarning, match="single node"):
        padded = InnerProductGraph().fit([*graphs, *lonely])
    np.testing.assert_allclose(
        padded.clustered_standard_errors([*graphs, *lonely]),
        model.clustered_standard_errors(graphs),
        rtol=1e-12,
    )


def test_errors_that_do_not_exist_are_refused() -> None:
    """Two pairs at one s: nothing tells slope from intercept, however it is asked."""
    X = np.array([[1.0], [1.0], [1.0]])
    flat = keep([Graph(X, [[0, 1, 0], [1, 0, 0], [0, 0, 0]])])
    for ask in (flat.covariance,):
        with pytest.raises(ModelError, match="flat"):
            ask(0.0, 0.0)
        with pytest.raises(ModelError, match="flat"):
            ask(1e6, 0.0)


def test_features_far_from_the_origin_keep_the_digits_of_their_errors() -> None:
    """s has a mean of 1e6 of its spread: the information's inverse is taken about that mean."""
    rng = np.random.default_rng(0)
    edges, gaps = (1e6 + rng.normal(size=300) + k for k in (1.0, 0.0))
    from ancestral.graph.pairs.sums import PairSums

    near = PairSums.of_products(edges - 1e6, gaps - 1e6).covariance(1.0, -0.5)
    far = PairSums.of_products(edges, gaps).covariance(1.0, -0.5 - 1e6)
    assert far[0, 0] == pytest.approx(near[0, 0], rel=1e-6)


# ---- names -------------------------------------------------------------------------------------


def named_graph(names: tuple[str, ...] = ("age", "sex", "ses"), seed: int = 0) -> Graph:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(40, 3)) * [1.0, 0.5, 2.0]
    upper = np.triu(rng.random((40, 40)) < 1 / (1 + np.exp(2 - 0.5 * X @ X.T)), 1)
    return Graph(X, upper | upper.T, names)


def test_features_of_other_names_are_refused_everywhere() -> None:
    graph, other = named_graph(), named_graph(("height", "iq", "x"))
    model = InnerProductGraph().fit(graph)
    asks: list[Callable[[], Any]] = [
        lambda: model.log_density(other),
        lambda: model.score(other),
        lambda: model.aic(other),
        lambda: model.bic(other),
        lambda: model.pair_statistics(other),
        lambda: model.confidence_intervals(other),
        lambda: held_out(model, other),
        lambda: calibrate(model, other),
        lambda: InnerProductGraph().fit([graph, other]),
        lambda: InnerProductGraph().partial_fit([graph]).partial_fit([other]),
        lambda: streaming.fit_chunks(InnerProductGraph(), [[graph], [other]]),
    ]
    for ask in asks:
        with pytest.raises(DataError, match=r"'height', 'iq', 'x' where .* 'age', 'sex', 'ses'"):
            ask()


def test_permuted_names_are_matched_and_draws_are_named(tmp_path: Any) -> None:
    graph = named_graph()
    model = InnerProductGraph().fit(graph)
    order = [2, 0, 1]
    moved = Graph(
        graph.features[:, order], graph.adjacency, [graph.feature_names[k] for k in order]
    )
    assert model.log_density(moved)[0] == model.log_density(graph)[0]
    assert model.sample(random_state=0)[0].feature_names == ("age", "sex", "ses")
    stream = streaming.fit_chunks(InnerProductGraph(), [[graph], [moved]])
    assert set(map(tuple, stream.feature_rows_)) == set(map(tuple, graph.features))
    again = ancestral.load(model.save(tmp_path / "names.model"))
    assert again.sample(random_state=0)[0].feature_names == ("age", "sex", "ses")
    with pytest.raises(DataError, match="height"):
        again.log_density(named_graph(("height", "iq", "x")))
    unnamed = Graph(graph.features, graph.adjacency)
    assert model.log_density(unnamed)[0] == model.log_density(graph)[0]  # by place


def test_dataframes_name_the_features_of_their_graph() -> None:
    pandas = pytest.importorskip("pandas")
    graph = named_graph()
    frame = pandas.DataFrame(graph.features, columns=["age", "sex", "ses"])
    model = InnerProductGraph().fit([(frame, graph.adjacency)])
    assert list(model.feature_names_in_) == ["age", "sex", "ses"]
    moved = frame[["ses", "age", "sex"]]
    assert model.log_density([(moved, graph.adjacency)])[0] == model.log_density(graph)[0]
    (drawn,) = model.sample(features=moved, random_state=0)
    np.testing.assert_array_equal(drawn.features, graph.features)


def test_nodes_of_a_position_model_are_matched_by_label() -> None:
    pandas, networkx = pytest.importorskip("pandas"), pytest.importorskip("networkx")
    rng = np.random.default_rng(4)
    X = rng.uniform(-1.5, 1.5, (40, 2))
    upper = np.triu(rng.random((40, 40)) < 1 / (1 + np.exp(1 - X @ X.T)), 1)
    names = [f"n{k}" for k in range(40)]
    frame = pandas.DataFrame((upper | upper.T).astype(int), index=names, columns=names)
    model = LatentPositionGraph(2, l2=0.5).fit(frame)
    wanted = model.log_density(frame)[0]
    assert wanted == pytest.approx(model.log_likelihood_, rel=1e-9)
    order = rng.permutation(40)
    moved = frame.iloc[order, order]
    assert model.log_density(moved)[0] == pytest.approx(wanted, rel=1e-12)
    theirs = networkx.from_pandas_adjacency(moved)
    assert model.log_density(theirs)[0] == pytest.approx(wanted, rel=1e-12)
    assert model.log_density(frame.to_numpy())[0] == pytest.approx(wanted, rel=1e-12)
    other = frame.rename(index={"n3": "zoe"}, columns={"n3": "zoe"})
    with pytest.raises(DataError, match="'n3' is not among them"):
        model.log_density(other)


# ---- draws, and graphs of another fit ----------------------------------------------------------


def test_draws_have_the_features_of_the_fit() -> None:
    """Categories stay categories, as often as they were, and links as many as there were."""
    rng = np.random.default_rng(0)
    X = np.eye(3)[rng.choice(3, 300, p=[0.6, 0.3, 0.1])]
    p = 1 / (1 + np.exp(4.0 - 2.0 * X @ X.T))
    upper = np.triu(rng.random((300, 300)) < p, 1)
    graph = Graph(X, upper | upper.T, ("a", "b", "c"))
    model = InnerProductGraph().fit(graph)
    drawn = model.sample(40, n_nodes=300, random_state=0)
    assert {tuple(row) for g in drawn for row in g.features} <= set(map(tuple, np.eye(3)))
    share = np.mean([g.features.mean(axis=0) for g in drawn], axis=0)
    np.testing.assert_allclose(share, X.mean(axis=0), atol=5 * 0.5 / np.sqrt(12_000))
    edges = [g.n_edges for g in drawn]
    assert abs(np.mean(edges) - graph.n_edges) < 5 * np.std(edges)
    uniform = model.sample(1, features="uniform", random_state=0)[0].features
    assert np.abs(uniform).max() <= 1
    assert len(np.unique(uniform)) == uniform.size
    with pytest.raises(ModelError, match=r'n_features=2.*features="uniform"'):
        model.sample(n_features=2)


def test_a_model_without_features_of_its_fit_asks_for_them() -> None:
    model = InnerProductGraph().fit(datasets.classrooms(20, random_state=0))
    del model.feature_rows_, model.feature_counts_  # as in files written before they were kept
    with pytest.raises(ModelError, match=r"features=.*\"uniform\""):
        model.sample()
    assert model.sample(features="uniform", random_state=0)[0].n_nodes == 15


def test_kept_features_are_few_and_merge_in_any_order(monkeypatch: Any) -> None:
    from ancestral.graph import features

    monkeypatch.setattr(features, "MOST_ROWS", 50)
    rng = np.random.default_rng(0)
    graphs = [Graph(rng.normal(size=(n, 2)), np.zeros((n, n))) for n in (90, 300, 20)]
    whole = features.FeatureRows.of(graphs)
    one, two, three = (features.FeatureRows.of([g]) for g in graphs)
    assert whole.rows.shape == (50, 2)
    for merged in ((one + two) + three, three + (two + one)):
        np.testing.assert_array_equal(merged.rows, whole.rows)
        np.testing.assert_array_equal(merged.counts, whole.counts)
    kinds = features.FeatureRows.of(
        [Graph(np.eye(3)[rng.integers(0, 3, 900)], np.zeros((900,) * 2))]
    )
    assert (len(kinds.rows), kinds.counts.sum()) == (3, 900)


def test_intervals_of_other_graphs_than_the_fit_s_are_refused() -> None:
    graphs, others = (
        datasets.classrooms(30, random_state=0),
        datasets.classrooms(30, random_state=1),
    )
    model = InnerProductGraph().fit(graphs)
    for ask in (model.confidence_intervals, model.clustered_standard_errors):
        for wrong in (others, graphs[:20], graphs * 2):
            with pytest.raises(DataError, match="not those of the fit"):
                ask(wrong)
        np.testing.assert_allclose(ask(graphs[::-1]), ask(graphs), rtol=1e-6)
    stream = streaming.fit_chunks(InnerProductGraph(), ([graph] for graph in graphs))
    np.testing.assert_allclose(
        stream.confidence_intervals(graphs), model.confidence_intervals(graphs), rtol=1e-6
    )
    with pytest.raises(DataError, match="not those of the fit"):
        stream.clustered_standard_errors(others)


# ---- many kinds, many graphs -------------------------------------------------------------------


@pytest.mark.parametrize("limit", [10**6, 1_000])
def test_nodes_of_many_kinds_are_summed_by_kind(monkeypatch: Any, limit: int) -> None:
    """More kinds than a quick look can count; one by one, and on a grid."""
    from ancestral.graph.edges.sampling import sample_edges
    from ancestral.graph.pairs import compression

    monkeypatch.setattr(compression, "KEPT_PAIRS", limit)
    monkeypatch.setattr(gathering, "KEPT_PAIRS", 1_000)
    rng = np.random.default_rng(0)
    kinds = rng.uniform(-1, 1, (600, 3))
    X = kinds[np.sort(rng.integers(0, 600, 3_000))]
    graph = Graph(X, sample_edges(X, 6.0, -6.0, random_state=0))
    found = compression.by_distinct_rows(graph)
    assert found is not None
    exact = keep([graph])
    assert (found.n_pairs, found.n_edges) == (exact.n_pairs, exact.n_edges)
    model = InnerProductGraph().fit(graph)
    assert model.log_likelihood_ == pytest.approx(
        exact.log_likelihood(model.slope_, model.intercept_), rel=RELATIVE
    )
    for at in ((6.0, -6.0), (3_000.0, -2_000.0)):
        value = gather([graph]).log_likelihood(*at)
        assert value == pytest.approx(exact.log_likelihood(*at), rel=RELATIVE)


def test_many_small_graphs_are_summed_together(monkeypatch: Any) -> None:
    graphs = datasets.classrooms(60, random_state=0)
    kept = InnerProductGraph().fit(graphs)
    monkeypatch.setattr(gathering, "KEPT_PAIRS", 1_000)
    calls = []
    monkeypatch.setattr(gathering, "_passed", lambda *args: calls.append(args))
    gridded = InnerProductGraph().fit(graphs)
    assert not calls  # no graph was visited alone
    assert gridded.slope_ == pytest.approx(kept.slope_, rel=1e-8)
    assert gridded.log_likelihood_ == pytest.approx(kept.log_likelihood_, rel=RELATIVE)
