"""Errors clustered by graph, profile likelihood, penalties, offsets, intercepts of graphs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ancestral import Graph, InnerProductGraph, datasets
from ancestral.errors import DataError, ModelError
from ancestral.graph.inference import fit_graph_intercepts, profile_intervals
from ancestral.graph.pairs.gather import keep
from tests.graph.pairs.test_sums import dense

sm = pytest.importorskip("statsmodels.api")
FALSE_ALARM = 1e-4


def classrooms(n_graphs: int = 40, seed: int = 0, shift: np.ndarray | None = None) -> list[Graph]:
    """Graphs of 8 to 20 nodes, their logits shifted."""
    rng = np.random.default_rng(seed)
    graphs = []
    for k in range(n_graphs):
        X = rng.uniform(-1, 1, (rng.integers(8, 21), 3))
        p = expit(4.0 * X @ X.T - 2.0 + (0.0 if shift is None else shift[k]))
        upper = np.triu(rng.random(p.shape) < p, 1)
        graphs.append(Graph(X, upper | upper.T))
    return graphs


POINTS = np.random.default_rng(0).uniform(-1, 1, (8, 3))
SEPARABLE = Graph(POINTS, POINTS @ POINTS.T * (1 - np.eye(8)) > 0)


def dyads(graphs: list[Graph]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return s, links and graph number of every pair."""
    parts = [dense(graph) for graph in graphs]
    number = np.repeat(np.arange(len(graphs)), [len(s) for s, _ in parts])
    return np.concatenate([s for s, _ in parts]), np.concatenate([e for _, e in parts]), number


# ---- clustered standard errors ---------------------------------------------------------------


def test_clustered_errors_are_those_of_statsmodels() -> None:
    graphs = classrooms(shift=np.random.default_rng(1).normal(size=40))
    model = InnerProductGraph().fit(graphs)
    s, e, number = dyads(graphs)
    logit = sm.Logit(e.astype(float), np.column_stack([s, np.ones(len(s))]))
    rival = logit.fit(
        disp=0, method="newton", tol=1e-12, cov_type="cluster", cov_kwds={"groups": number}
    )
    own = model.clustered_standard_errors(graphs) * np.sqrt((len(s) - 1) / (len(s) - 2))
    np.testing.assert_allclose(own, rival.bse, rtol=1e-6)


def test_clustered_errors_cover_what_graphs_share_and_model_errors_do_not() -> None:
    """Logits shifted by graph: the slope of (a, b) over 60 repeats against either error."""
    rng = np.random.default_rng(2)
    off = []
    for seed in range(60):
        graphs = classrooms(30, seed=seed, shift=rng.normal(0, 1.0, 30))
        model = InnerProductGraph().fit(graphs)
        clustered = model.clustered_standard_errors(graphs)
        off.append([model.intercept_, model.standard_errors_[1], clustered[1]])
    b, plain, clustered = np.array(off).T
    assert b.std() > 1.4 * plain.mean()
    assert 0.75 < clustered.mean() / b.std() < 1.3


def test_one_graph_has_no_clusters() -> None:
    graphs = classrooms(1)
    with pytest.raises(DataError, match="got 1 graph"):
        InnerProductGraph().fit(graphs).clustered_standard_errors(graphs)


# ---- profile likelihood ----------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_profile_intervals_end_where_the_likelihood_has_dropped(level: float) -> None:
    graphs = classrooms(4)
    model = InnerProductGraph().fit(graphs)
    statistics = keep(graphs)
    ends = model.confidence_intervals(graphs, level=level)
    wanted = model.log_likelihood_ - stats.chi2.ppf(level, 1) / 2
    for k in range(2):
        for end in ends[k]:
            others = np.linspace(-8, 8, 4_001)
            pairs = [(end, v) if k == 0 else (v, end) for v in others]
            best = max(statistics.log_likelihood(*pair) for pair in pairs)
            assert best == pytest.approx(wanted, abs=2e-3)  # of a grid of the other parameter
            assert best <= wanted + 1e-6
    centre = [model.slope_, model.intercept_]
    assert (ends[:, 0] < centre).all()
    assert (ends[:, 1] > centre).all()


def test_profile_and_wald_agree_on_plenty_of_data_and_not_on_little() -> None:
    def wald(model: InnerProductGraph) -> np.ndarray:
        reach = stats.norm.ppf(0.975) * model.standard_errors_
        return np.array([model.slope_, model.intercept_])[:, None] + np.outer(reach, [-1, 1])

    many, few = classrooms(400), classrooms(1, seed=3)
    models = [InnerProductGraph().fit(graphs) for graphs in (many, few)]
    gaps = [
        np.abs(model.confidence_intervals(graphs) - wald(model)) / model.standard_errors_[:, None]
        for model, graphs in zip(models, (many, few))
    ]
    assert gaps[0].max() < 0.05
    assert gaps[1].max() > 0.05


@pytest.mark.parametrize("level", [0.0, 1.0, -1, "a"])
def test_a_level_is_between_0_and_1(level: float) -> None:
    graphs = classrooms(3)
    with pytest.raises(ModelError, match="level must be"):
        InnerProductGraph().fit(graphs).confidence_intervals(graphs, level=level)


@pytest.mark.parametrize("graphs", [classrooms(3), [SEPARABLE]])
def test_intervals_of_a_penalised_fit_end_where_its_objective_has_dropped(
    graphs: list[Graph],
) -> None:
    model = InnerProductGraph(l2=5.0).fit(graphs)
    objective = keep(graphs).penalised(5.0)
    best = objective.log_likelihood(model.slope_, model.intercept_)
    others = np.linspace(-8, 8, 4_001)
    for end in model.confidence_intervals(graphs)[0]:
        profile = max(objective.log_likelihood(end, b) for b in others)
        assert profile == pytest.approx(best - stats.chi2.ppf(0.95, 1) / 2, abs=2e-3)


def test_a_likelihood_without_a_maximum_has_no_intervals() -> None:
    with pytest.raises(ModelError, match="separated"):
        InnerProductGraph().fit(SEPARABLE)
    with pytest.raises(ModelError, match="does not drop enough"):
        profile_intervals(keep([SEPARABLE]), 4.0, 0.0)


# ---- penalties -------------------------------------------------------------------------------


def test_a_penalised_fit_is_that_of_scikit_learn() -> None:
    graphs = classrooms(10)
    model = InnerProductGraph(l2=2.5).fit(graphs)
    s, e, _ = dyads(graphs)
    rival = LogisticRegression(C=1 / 2.5, fit_intercept=False, tol=1e-12, max_iter=10_000)
    rival.fit(np.column_stack([s, np.ones(len(s))]), e)
    np.testing.assert_allclose([model.slope_, model.intercept_], rival.coef_[0], rtol=1e-6)
    assert model.log_likelihood_ == pytest.approx(model.log_density(graphs).sum(), rel=1e-12)
    assert model.log_likelihood_ < InnerProductGraph().fit(graphs).log_likelihood_


@pytest.mark.parametrize("kind", ["separated", "empty", "complete", "constant"])
def test_a_penalty_gives_every_graph_a_maximum(kind: str) -> None:
    X = np.random.default_rng(0).uniform(-1, 1, (12, 2))
    if kind == "constant":
        X = np.ones((12, 2))
    E = {"separated": X @ X.T > 0.2, "empty": np.zeros((12, 12)), "complete": np.ones((12, 12))}
    graph = Graph(X, E.get(kind, np.triu(np.ones((12, 12)), 6) + np.tril(np.ones((12, 12)), -6)))
    with pytest.raises(ModelError, match=r"l2=1"):
        InnerProductGraph().fit(graph)
    for solver in ("newton", "gradient_ascent"):
        model = InnerProductGraph(solver, l2=1, random_state=0).fit(graph)
        theta = np.array([model.slope_, model.intercept_])
        gradient = keep([graph]).gradient(*theta) - theta
        assert np.abs(gradient).max() < 2e-5
        assert np.isfinite(model.standard_errors_).all()


@pytest.mark.parametrize("l2", [-1.0, np.nan, "strong"])
def test_a_penalty_is_a_number_of_0_or_more(l2: float) -> None:
    with pytest.raises(ModelError, match="l2 must be"):
        InnerProductGraph(l2=l2).fit(classrooms(2))


# ---- sizes and intercepts --------------------------------------------------------------------


def test_an_offset_by_size_is_a_known_part_of_the_logit() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(8, 30, 200)
    graphs = []
    for n in sizes:
        X = rng.uniform(-1, 1, (n, 2))
        upper = np.triu(rng.random((n, n)) < expit(3.0 * X @ X.T + 1.0 - np.log(n)), 1)
        graphs.append(Graph(X, upper | upper.T))
    model = InnerProductGraph(offset="log_nodes").fit(graphs)
    s, e, number = dyads(graphs)
    rival = sm.GLM(
        e.astype(float),
        np.column_stack([s, np.ones(len(s))]),
        family=sm.families.Binomial(),
        offset=-np.log(sizes[number]),
    ).fit(tol=1e-14)
    np.testing.assert_allclose([model.slope_, model.intercept_], rival.params, rtol=1e-8)
    np.testing.assert_allclose(model.standard_errors_, rival.bse, rtol=1e-6)
    assert model.log_density(graphs).sum() == pytest.approx(rival.llf, rel=1e-10)
    assert model.clustered_standard_errors(graphs).shape == (2,)
    p = model.probabilities(graphs[0].features)
    n = len(p)
    S = graphs[0].features @ graphs[0].features.T
    wanted = expit(model.slope_ * S + model.intercept_ - np.log(n))
    np.testing.assert_allclose(p[0, 1:], wanted[0, 1:], rtol=1e-12)
    parts = InnerProductGraph(offset="log_nodes")
    for graph in graphs:
        parts.partial_fit([graph])
    assert parts.slope_ == pytest.approx(model.slope_, rel=1e-12)


def test_offset_models_draw_degrees_that_do_not_grow_with_the_graph() -> None:
    graphs = classrooms(60, shift=np.full(60, -3.0))
    model = InnerProductGraph(offset="log_nodes").fit(graphs)
    degree = [
        np.mean([g.degrees.mean() for g in model.sample(8, n_nodes=n, random_state=0)])
        for n in (200, 2_100)
    ]
    assert degree[1] < 1.5 * degree[0]
    plain = InnerProductGraph().fit(graphs)
    assert plain.sample(1, n_nodes=2_100, random_state=0)[0].degrees.mean() > 6 * degree[1]


def test_intercepts_of_graphs_are_those_of_a_regression_with_dummies() -> None:
    graphs = classrooms(12, seed=5, shift=np.linspace(-1, 1, 12))
    found = fit_graph_intercepts(graphs)
    s, e, number = dyads(graphs)
    design = np.column_stack([s, np.eye(12)[number]])
    rival = sm.GLM(e.astype(float), design, family=sm.families.Binomial()).fit(tol=1e-14)
    np.testing.assert_allclose([found.slope, *found.intercepts], rival.params, rtol=1e-8)
    errors = [found.slope_error, *found.intercept_errors]
    np.testing.assert_allclose(errors, rival.bse, rtol=1e-5)
    assert found.log_likelihood == pytest.approx(rival.llf, rel=1e-10)
    shared = InnerProductGraph().fit(graphs).log_likelihood_
    ratio = 2 * (found.log_likelihood - shared)
    assert found.p_value == pytest.approx(stats.chi2.sf(ratio, 11), rel=1e-6)


def test_the_test_of_one_intercept_holds_its_level() -> None:
    p = [fit_graph_intercepts(classrooms(8, seed=s)).p_value for s in range(60)]
    assert stats.kstest(p, "uniform").pvalue > FALSE_ALARM
    assert fit_graph_intercepts(classrooms(8, shift=np.tile([-1.0, 1.0], 4))).p_value < 1e-6


def test_graphs_without_an_intercept_of_their_own_are_named() -> None:
    graphs = classrooms(3)
    bare = Graph(graphs[1].features, 0 * graphs[1].adjacency)
    with pytest.raises(ModelError, match="graph 1 has no pair linked"):
        fit_graph_intercepts([graphs[0], bare])
    X = np.random.default_rng(0).uniform(-1, 1, (10, 1)) / 3
    parted = [Graph(X + k, (X + k) @ (X + k).T > c) for k, c in ((0, 0.01), (0.6, 0.4))]
    assert np.isfinite(InnerProductGraph().fit(parted).slope_)
    with pytest.raises(ModelError, match=r"in every graph the links are separated: a -> \+inf"):
        fit_graph_intercepts(parted)


def test_the_course_has_one_intercept_for_all_classrooms() -> None:
    graphs = [g for g in datasets.classrooms(60, random_state=0) if g.n_edges]
    found = fit_graph_intercepts(graphs)
    assert abs(found.slope - 5.5) < 4 * found.slope_error
    assert found.p_value > FALSE_ALARM
