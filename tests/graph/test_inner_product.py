"""The inner-product graph model: its derivatives, its maximum, and when there is none."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ancestral import Graph, InnerProductGraph, datasets
from ancestral.errors import AncestralWarning, DataError, ModelError
from ancestral.graph.pairs.gather import keep
from ancestral.graph.pairs.sums import PairSums
from tests.graph.simulated import by_pairs, some_graphs

# A right sampler fails one of these tests by chance once in 10,000 runs; the seeds are fixed.
FALSE_ALARM = 1e-4


def path_graph(s: list[float], e: list[int]) -> list[Graph]:
    """Return two-node graphs with these inner products and edges."""
    return [Graph([[1.0], [v]], [[0, k], [k, 0]]) for v, k in zip(s, e, strict=True)]


# ---- the likelihood and its derivatives ----------------------------------------------------------

POINTS = [(0.0, 0.0), (5.55, -5.36), (-2.0, 1.5), (0.3, 4.0)]


@pytest.mark.parametrize(("a", "b"), POINTS)
def test_the_likelihood_is_that_of_independent_pairs(a: float, b: float) -> None:
    graphs = some_graphs()
    s, e = by_pairs(graphs)
    p = 1 / (1 + np.exp(-(a * s + b)))
    wanted = np.where(e == 1, np.log(p), np.log(1 - p)).sum()
    statistics = keep(graphs)
    assert statistics.n_pairs == len(s)
    assert statistics.log_likelihood(a, b) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("a", "b"), POINTS)
def test_derivatives_are_sympys(a: float, b: float) -> None:
    """Differentiate the formula itself, twice, and evaluate it to thirty digits."""
    sympy = pytest.importorskip("sympy")
    s, e = [0.25, -1.5, 2.0, 0.75, -0.125], [1, 0, 1, 0, 1]
    A, B = sympy.symbols("a b")
    eta = [A * sympy.Rational(v) + B for v in s]
    likelihood = sum(k * t - sympy.log(1 + sympy.exp(t)) for k, t in zip(e, eta))
    at = {A: sympy.Rational(a), B: sympy.Rational(b)}

    def value(expression: Any) -> float:
        return float(expression.subs(at).evalf(30))

    statistics = keep(path_graph(s, e))
    assert statistics.log_likelihood(a, b) == pytest.approx(value(likelihood), rel=1e-13)
    wanted = [value(sympy.diff(likelihood, v)) for v in (A, B)]
    np.testing.assert_allclose(statistics.gradient(a, b), wanted, rtol=1e-12)
    hessian = [[value(sympy.diff(likelihood, v, w)) for w in (A, B)] for v in (A, B)]
    np.testing.assert_allclose(statistics.information(a, b), -np.array(hessian), rtol=1e-12)


@pytest.mark.parametrize(("a", "b"), POINTS)
def test_derivatives_are_differences(a: float, b: float) -> None:
    statistics = keep(some_graphs())
    h = 1e-5
    for i, step in enumerate(np.eye(2) * h):
        up, down = (a + step[0], b + step[1]), (a - step[0], b - step[1])
        slope = (statistics.log_likelihood(*up) - statistics.log_likelihood(*down)) / (2 * h)
        assert statistics.gradient(a, b)[i] == pytest.approx(slope, rel=1e-6, abs=1e-6)
        bend = (statistics.gradient(*up) - statistics.gradient(*down)) / (2 * h)
        np.testing.assert_allclose(-statistics.information(a, b)[i], bend, rtol=1e-6)


def test_large_logits_neither_overflow_nor_lose_the_tail() -> None:
    statistics = keep(path_graph([1.0, -1.0], [1, 0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert statistics.log_likelihood(1e6, 0.0) == 0.0
        assert statistics.log_likelihood(-1e6, 0.0) == -2e6
        assert statistics.log_likelihood(50.0, 0.0) == pytest.approx(-2 * np.exp(-50), rel=1e-12)
        np.testing.assert_array_equal(statistics.gradient(-1e6, 0.0), [2.0, 0.0])
        assert np.isfinite(statistics.information(1e6, 0.0)).all()


def test_statistics_merge_and_empty_is_their_identity() -> None:
    graphs = some_graphs()
    whole = keep(graphs)
    parts = keep(graphs[:5]) + PairSums() + keep(graphs[5:])
    np.testing.assert_array_equal(parts.edges, whole.edges)
    np.testing.assert_array_equal(parts.unlinked, whole.unlinked)
    assert (PairSums() + PairSums()).n_pairs == 0


# ---- the maximum ---------------------------------------------------------------------------------


def test_the_courses_figures(classrooms: list[Graph]) -> None:
    model = InnerProductGraph().fit(classrooms)
    assert model.slope_ == pytest.approx(5.551297758381, rel=1e-10)
    assert model.intercept_ == pytest.approx(-5.362233418860, rel=1e-10)
    assert model.log_likelihood_ == pytest.approx(-1332.250791705239, rel=1e-12)
    np.testing.assert_allclose(model.standard_errors_, [0.170593953912, 0.136444549461], rtol=1e-9)
    assert model.n_pairs_ == 10_500
    assert model.log_density(classrooms).sum() == pytest.approx(-1332.250791705239, rel=1e-12)
    assert model.score(classrooms) == pytest.approx(-13.32250791705239, rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_gradient_ascent_rises_at_every_step_to_the_same_maximum(
    seed: int, classrooms: list[Graph]
) -> None:
    model = InnerProductGraph("gradient_ascent", random_state=seed).fit(classrooms)
    assert model.slope_ == pytest.approx(5.551297758381, rel=1e-6)
    assert model.intercept_ == pytest.approx(-5.362233418860, rel=1e-6)
    assert model.log_likelihood_ == pytest.approx(-1332.250791705239, rel=1e-10)
    np.testing.assert_allclose(model.standard_errors_, [0.170593953912, 0.136444549461], rtol=1e-6)
    values = np.array([row["log_likelihood"] for row in model.history_])
    increases = np.array([row["increase"] for row in model.history_])
    assert len(values) > 5
    assert (np.diff(values) > 0).all() and (increases[1:] > 0).all()
    np.testing.assert_allclose(increases[1:], np.diff(values), rtol=1e-9)
    assert np.isnan(increases[0])
    assert model.history_[-1]["gradient_norm"] <= model.tol < model.history_[-2]["gradient_norm"]


def test_the_ascent_starts_where_its_seed_says(classrooms: list[Graph]) -> None:
    starts = []
    for seed in (1, 1, 2):
        model = InnerProductGraph("gradient_ascent", random_state=seed).fit(classrooms[:10])
        starts.append((model.history_[0]["a"], model.history_[0]["b"]))
    assert starts[0] == starts[1] != starts[2]


def test_each_row_of_the_history_is_what_it_says(classrooms: list[Graph]) -> None:
    for solver in ("newton", "gradient_ascent"):
        model = InnerProductGraph(solver, random_state=0).fit(classrooms)
        statistics = keep(classrooms)
        for row in model.history_:
            value = statistics.log_likelihood(row["a"], row["b"])
            assert row["log_likelihood"] == pytest.approx(value, rel=1e-14)
            steepest = np.abs(statistics.gradient(row["a"], row["b"])).max()
            assert row["gradient_norm"] == pytest.approx(steepest, rel=1e-12)
        assert (model.slope_, model.intercept_) == (row["a"], row["b"])


def test_statsmodels_logit_agrees(classrooms: list[Graph]) -> None:
    sm = pytest.importorskip("statsmodels.api")
    for graphs in (classrooms, some_graphs(), some_graphs(40, seed=8)):
        s, e = by_pairs(graphs)
        theirs = sm.Logit(e, np.column_stack([s, np.ones(len(s))])).fit(disp=0, tol=1e-12)
        model = InnerProductGraph().fit(graphs)
        np.testing.assert_allclose([model.slope_, model.intercept_], theirs.params, rtol=1e-8)
        np.testing.assert_allclose(model.standard_errors_, theirs.bse, rtol=1e-8)
        np.testing.assert_allclose(model.covariance_, theirs.cov_params(), rtol=1e-7)
        assert model.log_likelihood_ == pytest.approx(theirs.llf, rel=1e-12)
        assert model.aic(graphs) == pytest.approx(theirs.aic, rel=1e-12)
        assert model.bic(graphs) == pytest.approx(theirs.bic, rel=1e-12)


def test_the_criteria_count_dyads(classrooms: list[Graph]) -> None:
    model = InnerProductGraph().fit(classrooms)
    total = model.log_density(classrooms[:7]).sum()
    assert model.bic(classrooms[:7]) == pytest.approx(2 * np.log(7 * 105) - 2 * total, rel=1e-12)
    assert model.aic(classrooms[:7]) == pytest.approx(4 - 2 * total, rel=1e-12)


def test_at_the_maximum_expected_edges_are_those_seen() -> None:
    graphs = some_graphs()
    model = InnerProductGraph().fit(graphs)
    s, e = by_pairs(graphs)
    p = 1 / (1 + np.exp(-(model.slope_ * s + model.intercept_)))
    assert p.sum() == pytest.approx(e.sum(), rel=1e-10)
    assert p @ s == pytest.approx(e @ s, rel=1e-10)


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 0.1])
def test_the_unit_of_the_features_changes_the_slope_alone(unit: float) -> None:
    graphs = some_graphs()
    plain = InnerProductGraph().fit(graphs)
    scaled = [Graph(g.features * unit, g.adjacency) for g in graphs]
    model = InnerProductGraph().fit(scaled)
    assert model.slope_ * unit**2 == pytest.approx(plain.slope_, rel=1e-9)
    assert model.intercept_ == pytest.approx(plain.intercept_, rel=1e-9)
    np.testing.assert_allclose(
        model.standard_errors_ * [unit**2, 1], plain.standard_errors_, rtol=1e-9
    )


def test_renaming_nodes_and_turning_features_change_nothing() -> None:
    rng = np.random.default_rng(0)
    graphs = [Graph(g.features / 2, g.adjacency) for g in some_graphs()]
    Q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    changed = []
    for graph in graphs:
        order = rng.permutation(graph.n_nodes)
        changed.append(Graph(graph.features[order] @ Q, graph.adjacency[np.ix_(order, order)]))
    model, other = InnerProductGraph().fit(graphs), InnerProductGraph().fit(changed)
    assert other.slope_ == pytest.approx(model.slope_, rel=1e-10)
    np.testing.assert_allclose(model.log_density(changed), model.log_density(graphs), rtol=1e-12)


def test_iterations_that_run_out_are_said_to() -> None:
    graphs = some_graphs()
    for solver in ("newton", "gradient_ascent"):
        with pytest.warns(AncestralWarning, match="max_iter=1 .*not converged") as caught:
            InnerProductGraph(solver, max_iter=1, random_state=0).fit(graphs)
        assert len(caught) == 1


# ---- draws ---------------------------------------------------------------------------------------


def test_drawn_graphs_have_the_shape_asked_for(fitted: InnerProductGraph) -> None:
    for graph in fitted.sample(5, random_state=0):
        assert (graph.features.shape, graph.adjacency.shape) == ((15, 3), (15, 15))
    (graph,) = fitted.sample(n_nodes=4, n_features=6, features="uniform", random_state=0)
    assert (graph.features.shape, graph.adjacency.shape) == ((4, 6), (4, 4))
    assert np.abs(graph.features).max() <= 1
    np.testing.assert_array_equal(graph.adjacency, graph.adjacency.T)
    assert not np.diag(graph.adjacency).any()
    assert fitted.sample(0) == []
    (lonely,) = fitted.sample(n_nodes=1)
    assert lonely.n_edges == 0
    features = np.random.default_rng(0).uniform(-1, 1, size=(6, 3))
    for graph in fitted.sample(3, features=features, random_state=1):
        np.testing.assert_array_equal(graph.features, features)


def test_edges_come_as_often_as_their_probability_says(fitted: InnerProductGraph) -> None:
    features = np.random.default_rng(0).uniform(-1, 1, size=(12, 3))
    p = fitted.probabilities(features)
    np.testing.assert_array_equal(p, p.T)
    np.testing.assert_array_equal(np.diag(p), np.zeros(12))
    s = features @ features.T
    off = ~np.eye(12, dtype=bool)
    wanted = 1 / (1 + np.exp(-(fitted.slope_ * s + fitted.intercept_)))
    np.testing.assert_allclose(p[off], wanted[off], rtol=1e-12)
    n = 3_000
    drawn = sum(
        g.adjacency.astype(int) for g in fitted.sample(n, features=features, random_state=1)
    )
    i, j = np.triu_indices(12, 1)
    z = (drawn - n * p)[i, j] / np.sqrt(n * p * (1 - p))[i, j]
    assert stats.chi2(len(z)).sf((z**2).sum()) > FALSE_ALARM


def test_drawn_features_are_uniform_and_edges_follow_them(fitted: InnerProductGraph) -> None:
    graphs = fitted.sample(400, features="uniform", random_state=2)
    features = np.concatenate([g.features.ravel() for g in graphs])
    assert stats.kstest(features, stats.uniform(-1, 2).cdf).pvalue > FALSE_ALARM
    again = InnerProductGraph().fit(graphs)
    error = np.array([again.slope_ - fitted.slope_, again.intercept_ - fitted.intercept_])
    distance = error @ np.linalg.solve(again.covariance_, error)
    assert stats.chi2(2).sf(distance) > FALSE_ALARM


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3"])
def test_counts_of_nodes_and_features_are_checked(fitted: InnerProductGraph, value: Any) -> None:
    for name in ("n_nodes", "n_features"):
        with pytest.raises(ModelError, match=f"{name} must be an integer, 1 or more"):
            fitted.sample(1, **{name: value})
    with pytest.raises(DataError, match="features holds NaN at row 0, column 1"):
        fitted.sample(1, features=[[0.0, np.nan, 1.0]])


def test_sizes_that_contradict_given_features_are_refused(fitted: InnerProductGraph) -> None:
    features = np.zeros((4, 3))
    for sizes in ({"n_nodes": 99}, {"n_features": 7}, {"n_nodes": 15}):
        with pytest.raises(ModelError, match=r"contradicts the features given, of shape \(4, 3\)"):
            fitted.sample(features=features, **sizes)
    assert fitted.sample(features=features, n_nodes=4, n_features=3)[0].n_nodes == 4


@pytest.mark.parametrize("asked", ["sample", "probabilities"])
def test_features_without_rows_are_refused(fitted: InnerProductGraph, asked: str) -> None:
    with pytest.raises(DataError, match="features have no rows: a graph needs at least one node"):
        getattr(fitted, asked)(features=np.zeros((0, 3)))


def test_draws_for_given_numbers_have_the_names_of_the_fit() -> None:
    X, links = np.eye(4)[:, :2], np.ones((4, 4)) - np.eye(4)
    links[0, 1] = links[1, 0] = 0
    model = InnerProductGraph(l2=1.0).fit(Graph(X, links, ["age", "rank"]))
    (drawn,) = model.sample(features=np.ones((3, 2)), random_state=0)
    assert drawn.feature_names == ("age", "rank")


def test_probabilities_are_of_the_features_of_the_fit_by_name() -> None:
    pd = pytest.importorskip("pandas")
    graphs = [
        Graph(pd.DataFrame(g.features, columns=list("abc")), g.adjacency)
        for g in datasets.classrooms(10)
    ]
    model, frame = InnerProductGraph().fit(graphs), pd.DataFrame(graphs[0].features)
    frame.columns = list("abc")
    p = model.probabilities(graphs[0])
    np.testing.assert_array_equal(model.probabilities(graphs[0].features), p)
    np.testing.assert_allclose(model.probabilities(frame[list("cab")]), p, rtol=1e-12)
    with pytest.raises(DataError, match="'z' is another"):
        model.probabilities(frame.rename(columns={"a": "z"}))
    with pytest.raises(DataError, match="2 features per node where 3"):
        model.probabilities(graphs[0].features[:, :2])


def test_probabilities_take_text_as_fit_and_sample_do() -> None:
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"team": rng.choice(["red", "blue", "sea"], 30), "age": rng.normal(size=30)}
    )
    links = np.triu(rng.random((30, 30)) < 0.3, 1)
    model = InnerProductGraph().fit((frame, links | links.T))
    p = model.probabilities(frame)
    np.testing.assert_array_equal(p, model.probabilities(Graph(frame, links | links.T)))
    some = frame[frame["team"] != "sea"]
    np.testing.assert_allclose(
        model.probabilities(some[["age", "team"]]), p[np.ix_(some.index, some.index)], rtol=1e-12
    )
    assert model.sample(features=some)[0].n_nodes == len(some)
    with pytest.raises(DataError, match="'green'"):
        model.probabilities(frame.replace("red", "green"))


def test_graphs_of_different_levels_are_fitted_as_their_indicators() -> None:
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(1)
    graphs, plain = [], []
    for levels in (["red", "blue"], ["sea", "blue"], ["sea", "red", "blue"]):
        teams = rng.choice(levels, 20)
        links = np.triu(rng.random((20, 20)) < 0.3, 1)
        graphs.append(Graph(pd.DataFrame({"team": teams}), links | links.T))
        indicators = teams[:, None] == np.array(["blue", "red", "sea"])
        plain.append(Graph(indicators * 1.0, links | links.T))
    model, wanted = InnerProductGraph().fit(graphs), InnerProductGraph().fit(plain)
    assert model.slope_ == pytest.approx(wanted.slope_, rel=1e-12)
    np.testing.assert_allclose(model.log_density(graphs), wanted.log_density(plain), rtol=1e-12)
    for one, other in zip(graphs, plain, strict=True):
        np.testing.assert_allclose(
            model.probabilities(one), wanted.probabilities(other), rtol=1e-12
        )
