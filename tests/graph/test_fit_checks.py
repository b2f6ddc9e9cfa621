"""Does the model fit? Counts against networkx, tests that hold their level, bands, calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from ancestral import Graph, InnerProductGraph, datasets
from ancestral.errors import DataError, DataTypeError, ModelError
from ancestral.graph import fit_checks, predictions
from ancestral.graph.edges.sampling import sample_edges
from ancestral.graph.fit_checks import check_fit, mean_clustering, measure
from ancestral.graph.pairs import gather as gathering
from ancestral.graph.predictions import calibrate, held_out
from ancestral.io.assembling import assemble
from tests.graph.pairs.test_sums import dense, make_graph

pytestmark = pytest.mark.usefixtures("loops")

FALSE_ALARM = 1e-4

NAMES = ("degree", "shared partners", "clustering", "distance")


def by_networkx(graph: Graph) -> dict[str, dict[Any, int]]:
    """Count the four statistics the slow way."""
    nx = pytest.importorskip("networkx")
    G = nx.from_edgelist(zip(*graph.edges(), strict=True))
    G.add_nodes_from(range(graph.n_nodes))
    paths = dict(nx.all_pairs_shortest_path_length(G))
    counts: dict[str, dict[Any, int]] = {name: {} for name in NAMES}

    def count(name: str, value: int) -> None:
        counts[name][value] = counts[name].get(value, 0) + 1

    for v, degree in G.degree():
        count("degree", degree)
        if degree > 1:
            count("clustering", int(np.ceil(10 * nx.clustering(G, v) - 1e-9)))
    for u, v in G.edges():
        count("shared partners", len(list(nx.common_neighbors(G, u, v))))
    for u in range(graph.n_nodes):
        for v in range(u):
            count("distance", paths[u].get(v, 0))
    return counts


@pytest.mark.parametrize(("n", "b"), [(1, 0.0), (6, 0.5), (40, -2.0), (90, -5.0), (90, 1.0)])
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_counts_are_networkx_s(monkeypatch: Any, n: int, b: float, kind: str) -> None:
    """Both ways of counting: stacks of matrices, and walks along the edges."""
    monkeypatch.setattr(fit_checks, "DENSE_STACK", 0 if kind == "sparse" else 200)
    graph = make_graph(n, slope=3.0, intercept=b, seed=n)
    wanted = by_networkx(graph)
    for name, counts in measure(graph).items():
        assert {k: c for k, c in enumerate(counts[0]) if c} == wanted[name], name
    nx = pytest.importorskip("networkx")
    G = nx.from_numpy_array(graph.to_dense())
    G.remove_edges_from(nx.selfloop_edges(G))
    assert mean_clustering(graph) == pytest.approx(nx.average_clustering(G), rel=1e-12)


def test_distances_from_some_nodes_stand_for_all(monkeypatch: Any) -> None:
    graph = make_graph(400, slope=3.0, intercept=-6.0)
    exact = measure(graph)["distance"][0]
    monkeypatch.setattr(fit_checks, "SOURCES", 300)
    some = measure(graph)["distance"][0]
    assert some.sum() == pytest.approx(exact.sum())
    size = max(len(exact), len(some))
    shares = [np.pad(x / x.sum(), (0, size - len(x))) for x in (exact, some)]
    assert np.abs(shares[0] - shares[1]).max() < 0.02


def test_draws_are_those_of_the_model() -> None:
    """The stacked draws have the model's expected degrees, and no loop."""
    graph = make_graph(30, slope=3.0, intercept=-1.0)
    model = InnerProductGraph().fit(graph)
    drawn = fit_checks._measure_draws(model, graph, 2_000, np.random.default_rng(0))
    degree = drawn["degree"] @ np.arange(drawn["degree"].shape[1]) / 2  # edges of each draw
    p = model.probabilities(graph.features)[np.triu_indices(30, 1)]
    z = (degree.mean() - p.sum()) / np.sqrt((p * (1 - p)).sum() / 2_000)
    assert 2 * stats.norm.sf(abs(z)) > FALSE_ALARM
    assert (drawn["distance"].sum(axis=1) == 435).all()
    large = make_graph(200, slope=3.0, intercept=-3.0)
    assert (
        fit_checks._measure_draws(model, large, 20, np.random.default_rng(0))["degree"].shape[0]
        == 20
    )


def test_the_tests_hold_their_level_on_data_of_the_model() -> None:
    """80 data sets drawn from the model itself: p-values are uniform, or a little larger."""
    found = []
    for seed in range(80):
        graphs = datasets.classrooms(6, random_state=seed)
        model = InnerProductGraph()
        model.slope_, model.intercept_, model.n_features_ = 5.5, -5.4, 3
        model.standard_errors_ = np.ones(2)
        check = check_fit(model, graphs, n_draws=39, random_state=seed)
        found.append([check.comparisons[name].p_value for name in NAMES])
    for p in np.array(found).T:
        assert p.min() >= 1 / 40
        assert stats.binomtest(int((p <= 0.1).sum()), 80, 0.1, "greater").pvalue > FALSE_ALARM
        assert stats.binomtest(int((p <= 0.5).sum()), 80, 0.5, "less").pvalue > FALSE_ALARM


def test_triangles_that_features_do_not_explain_are_found() -> None:
    """Cliques of five among nodes whose features say nothing: clustering is far out."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (100, 2))
    E = np.kron(np.eye(20), np.ones((5, 5)))
    order = rng.permutation(100)
    graph = Graph(X, E[np.ix_(order, order)])
    check = check_fit(InnerProductGraph().fit(graph), graph, n_draws=50, random_state=0)
    for name in ("clustering", "shared partners", "degree"):
        assert check.comparisons[name].p_value == pytest.approx(1 / 51)
    low, high = check.comparisons["clustering"].band()
    assert check.comparisons["clustering"].observed[-1] == 1.0 > high[-1]
    assert (low <= high).all()


@pytest.mark.parametrize("level", [95, 1.0, 0.0, -0.5])
def test_a_band_is_of_a_level_between_0_and_1(level: float) -> None:
    graphs = datasets.classrooms(3, random_state=0)
    check = check_fit(InnerProductGraph().fit(graphs), graphs, n_draws=20, random_state=0)
    with pytest.raises(ModelError, match="level must be"):
        check.comparisons["degree"].band(level)


def test_a_seed_repeats_and_shares_sum_to_one() -> None:
    graphs = datasets.classrooms(5, random_state=0)
    model = InnerProductGraph().fit(graphs)
    one, two, other = (check_fit(model, graphs, n_draws=25, random_state=s) for s in (0, 0, 1))
    for name in NAMES:
        a, b, c = (check.comparisons[name] for check in (one, two, other))
        np.testing.assert_array_equal(a.draws, b.draws)
        np.testing.assert_allclose(a.draws.sum(axis=1), 1.0)
        assert a.observed.sum() == pytest.approx(1.0)
        assert len(a.labels) == len(a.observed) == a.draws.shape[1] == len(a.widths)
        assert a.draws.shape != c.draws.shape or (a.draws != c.draws).any()
    with pytest.raises(ModelError, match="n_draws must be an integer, 20 or more"):
        check_fit(model, graphs, n_draws=5)


# ---- calibration and held-out scores ---------------------------------------------------------


@pytest.mark.parametrize("kept", [10**6, 1_000])
def test_calibration_counts_pairs_and_links(monkeypatch: Any, kept: int) -> None:
    """From the products themselves, and from the grid: every pair and every link once."""
    monkeypatch.setattr(gathering, "KEPT_PAIRS", kept)
    graph = make_graph(300, slope=5.0, intercept=-4.0)
    model = InnerProductGraph().fit(graph)
    found = calibrate(model, graph, n_bins=12)
    assert found.n_pairs.sum() == pytest.approx(graph.n_pairs, abs=1e-6)
    assert (found.observed * found.n_pairs).sum() == pytest.approx(graph.n_edges, rel=1e-9)
    assert (found.predicted * found.n_pairs).sum() == pytest.approx(graph.n_edges, rel=1e-9)
    z = (found.observed - found.predicted) / found.standard_errors
    assert stats.chi2.sf((z**2).sum(), len(z) - 2) > FALSE_ALARM
    np.testing.assert_allclose(
        found.predicted, expit(model.slope_ * found.s + model.intercept_), atol=0.02
    )


def test_graphs_without_a_pair_have_no_calibration() -> None:
    model = InnerProductGraph().fit(datasets.classrooms(3, random_state=0))
    lonely = [Graph(np.ones((1, 3)), np.zeros((1, 1)))] * 2
    for judge in (calibrate, check_fit):
        with pytest.raises(ModelError, match="no pair of nodes"):
            judge(model, lonely)


def test_a_wrong_model_is_not_calibrated() -> None:
    graph = make_graph(300, slope=5.0, intercept=-4.0)
    model = InnerProductGraph().fit(graph)
    model.slope_ *= 2
    found = calibrate(model, graph)
    z = (found.observed - found.predicted) / found.standard_errors
    assert stats.chi2.sf((z**2).sum(), len(z)) < 1e-12


@pytest.mark.parametrize("kept", [10**6, 1_000])
@pytest.mark.parametrize("slope", [4.0, -4.0])
def test_auc_is_scikit_learn_s(monkeypatch: Any, kept: int, slope: float) -> None:
    graphs = [make_graph(150, slope=slope, intercept=-3.0, seed=s) for s in range(3)]
    model = InnerProductGraph().fit(graphs)
    monkeypatch.setattr(gathering, "KEPT_PAIRS", kept)
    found = held_out(model, graphs)
    for k, graph in enumerate(graphs):
        s, linked = dense(graph)
        wanted = roc_auc_score(linked, model.slope_ * s)
        assert found.auc[k] == pytest.approx(wanted, abs=1e-9 if kept > 1e5 else 5e-5)
    whole = [Graph(np.round(2 * g.features) / 2, g.adjacency) for g in graphs]  # many ties
    s, linked = dense(whole[0])
    wanted = roc_auc_score(linked, model.slope_ * s)
    assert held_out(model, whole[:1]).auc[0] == pytest.approx(wanted, abs=1e-9)


def test_held_out_scores_are_exact_densities() -> None:
    graphs = datasets.classrooms(40, random_state=0)
    model = InnerProductGraph().fit(graphs[:20])
    found = held_out(model, graphs[20:])
    np.testing.assert_allclose(found.log_density, model.log_density(graphs[20:]), rtol=1e-12)
    np.testing.assert_allclose(found.per_pair, found.log_density / 105, rtol=1e-12)
    for k, graph in enumerate(graphs[20:]):
        q = graph.density
        best = -stats.entropy([q, 1 - q]) if 0 < q < 1 else 0.0
        assert found.gain[k] == pytest.approx(found.per_pair[k] - best, abs=1e-12)
    assert found.gain.mean() > 0.05
    bare = Graph(graphs[0].features, np.zeros((15, 15)))
    assert np.isnan(held_out(model, bare).auc[0])
    with pytest.raises(ModelError, match="graph 1 has no pair of nodes"):
        held_out(model, [graphs[0], Graph([[0.1, 0.2, 0.3]], [[0]])])


# ---- a real school, and the figure -----------------------------------------------------------


def test_friends_of_friends_in_a_school_are_more_than_features_say(
    data: Path, monkeypatch: Any
) -> None:
    """1,461 pupils by race, grade and sex: likeness explains links, and not their triangles."""
    raw = np.load(data / "graphs" / "faux_magnolia_high.npz", allow_pickle=False)
    pupils = {
        k: {"Race": r, "Grade": g, "Sex": s}
        for k, (r, g, s) in enumerate(zip(raw["Race"], raw["Grade"], raw["Sex"], strict=True))
    }
    edges = [(int(u), int(v)) for u, v in raw["edges"]]
    school = assemble(pupils, edges, None, "school", categorical=["Race", "Grade", "Sex"])
    assert school.n_edges == 974
    assert "Race=Hisp" in (school.feature_names or ())
    model = InnerProductGraph().fit(school)
    s, linked = dense(school)
    kept = InnerProductGraph(pairs="products").fit(school)
    assert model.slope_ == pytest.approx(kept.slope_, rel=1e-9)
    assert model.slope_ > 20 * model.standard_errors_[0]
    assert set(np.unique(s)) <= {0.0, 1.0, 2.0, 3.0}
    monkeypatch.setattr(fit_checks, "SOURCES", 100)
    check = check_fit(model, school, n_draws=20, random_state=0)
    assert check.comparisons["shared partners"].p_value == pytest.approx(1 / 21)
    assert len(check.calibration.s) <= 4
    assert held_out(model, school).auc[0] == pytest.approx(roc_auc_score(linked, s), abs=1e-9)


@pytest.fixture
def draw(tmp_path: Path) -> Any:
    """Render a figure, with every warning an error."""
    pytest.importorskip("matplotlib")
    import warnings

    def render(drawn: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure = drawn if hasattr(drawn, "savefig") else drawn.figure
            figure.savefig(tmp_path / "figure.png", dpi=50)
        return figure

    return render


def test_the_panel_draws_data_inside_bands(draw: Any) -> None:
    from ancestral import viz

    graphs = datasets.classrooms(8, random_state=0)
    check = check_fit(InnerProductGraph().fit(graphs), graphs, n_draws=25, random_state=0)
    figure = draw(viz.fit_panel(check, level=0.9))
    assert len(figure.axes) == 6
    for ax, comparison in zip(figure.axes[:4], check.comparisons.values(), strict=True):
        np.testing.assert_allclose(ax.lines[0].get_ydata(), comparison.observed)
        low, high = comparison.band(0.9)
        bars = [(bar.get_y(), bar.get_y() + bar.get_height()) for bar in ax.patches]
        np.testing.assert_allclose(bars, np.stack([low, high], axis=1), atol=1e-12)
        assert f"p = {comparison.p_value:.2g}" in ax.get_title(loc="right")
    assert figure.axes[3].get_xticklabels()[-1].get_text() == "∞"
    with pytest.raises(DataTypeError, match="got a list"):
        viz.fit_panel([])


def test_bars_of_the_calibration_stay_within_shares(draw: Any) -> None:
    from ancestral import viz

    graph = datasets.classrooms(1, random_state=0)[0]  # few pairs: errors are large
    check = check_fit(InnerProductGraph(l2=0.1).fit(graph), graph, n_draws=20, random_state=0)
    found = check.calibration
    ends = found.observed + 2 * np.outer([-1, 1], found.standard_errors)
    assert ends.min() < 0 and ends.max() > 1
    figure = draw(viz.fit_panel(check))
    (bars,) = figure.axes[4].containers
    (lines,) = bars.lines[2]
    drawn = np.array([line[:, 1] for line in lines.get_segments()]).T
    order = np.argsort(found.s)
    np.testing.assert_allclose(drawn, np.clip(ends[:, order], 0, 1), atol=1e-12)


def test_a_model_of_other_graphs_is_refused_by_the_names_of_those_taken() -> None:
    from ancestral import LatentPositionGraph, viz

    graph = datasets.classrooms(1, random_state=0)[0]
    model = LatentPositionGraph(1, l2=1.0).fit(graph)
    for ask in (check_fit, calibrate, held_out):
        says = rf"{ask.__name__} takes a fitted InnerProductGraph or DyadicGraph; got a LatentPos"
        with pytest.raises(ModelError, match=says):
            ask(model, graph)
    with pytest.raises(DataTypeError, match="a fitted InnerProductGraph or DyadicGraph"):
        viz.fit_panel(model, graph)


def test_large_graphs_are_drawn_by_their_distributions(draw: Any, monkeypatch: Any) -> None:
    from ancestral import viz

    X = np.random.default_rng(0).uniform(-1, 1, (2_500, 3))
    graph = Graph(X, sample_edges(X, 5.0, -8.0, random_state=0))
    ax = viz.inner_product_histogram(graph, n_bins=30)
    draw(ax)
    filled = [patch.get_data() for patch in ax.patches if patch.get_fill()]
    areas = [(data.values * np.diff(data.edges)).sum() for data in filled]
    np.testing.assert_allclose(areas, 1.0, rtol=1e-6)
    ax = viz.degree_distribution([graph], [graph])
    draw(ax)
    wanted = np.bincount(graph.degrees) / 2_500
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], wanted)
    draw(viz.clustering_distribution([graph], [graph]))
    model = InnerProductGraph().fit(graph)
    monkeypatch.setattr(fit_checks, "SOURCES", 50)
    draw(viz.fit_panel(check_fit(model, graph, n_draws=20, random_state=0)))
    with pytest.raises(
        DataError, match=r"2500 nodes would show no detail.*inner_product_histogram"
    ):
        viz.draw_graph(graph.features, graph.adjacency)
    with pytest.raises(DataError, match="no pairs of nodes"):
        viz.inner_product_histogram(Graph([[0.0]], [[0]]))


def test_predictions_are_by_size_where_the_model_is() -> None:
    graphs = [make_graph(n, slope=3.0, intercept=-1.0, seed=n) for n in (20, 40, 80)]
    model = InnerProductGraph(offset="log_nodes").fit(graphs)
    found = predictions.calibrate(model, graphs)
    edges = sum(g.n_edges for g in graphs)
    assert (found.predicted * found.n_pairs).sum() == pytest.approx(edges, rel=1e-9)
