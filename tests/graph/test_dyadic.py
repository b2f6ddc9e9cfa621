"""Models of dyadic terms: logistic regressions on dyads that are never all in memory."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import sparse, stats
from scipy.special import expit

import ancestral
from ancestral import DyadicGraph, Graph, InnerProductGraph, datasets
from ancestral.errors import AncestralError, DataError, ModelError
from ancestral.graph.edges import dyads as drawing
from ancestral.graph.fit_checks import check_fit
from ancestral.graph.pairs import dyad_sums as sums_module
from ancestral.graph.pairs import dyads as parts_module
from ancestral.graph.pairs.dyad_sums import dyad_sums
from ancestral.graph.pairs.dyads import Grid, Listed, Rows, part_of
from ancestral.graph.predictions import calibrate, held_out
from ancestral.graph.terms import evaluations, parsed

pd = pytest.importorskip("pandas")

FALSE_ALARM = 1e-4
UNDIRECTED = ["match:house", "absdiff:age", "product:income", "sum:born", "pair:distance"]
DIRECTED = [*UNDIRECTED, "sender:income", "receiver:house=west"]


def a_network(
    n: int, seed: int, *, directed: bool = False, unknown: float = 0.0
) -> tuple[Graph, np.ndarray, np.ndarray]:
    """A network in dollars, years and text, its known dyads as rows of terms, and their states."""
    rng = np.random.default_rng(seed)
    people = pd.DataFrame(
        {
            "income": np.exp(rng.normal(10.5, 0.6, n)).round(),
            "age": rng.normal(40, 10, n).round(1),
            "house": rng.choice(["north", "south", "west"], n),
            "born": rng.integers(1950, 2000, n),
            "notes": np.where(rng.random(n) < 0.5, "some", None),
        }
    )
    i, j = np.nonzero(~np.eye(n, dtype=bool)) if directed else np.triu_indices(n, 1)
    D = rng.gamma(2, 3, (n, n))
    D = D if directed else D + D.T
    income, age, house, born = (people[c].to_numpy() for c in ("income", "age", "house", "born"))
    columns = [house[i] == house[j], np.abs(age[i] - age[j]), income[i] * income[j]]
    columns += [born[i] + born[j], D[i, j]]
    if directed:
        columns += [income[i], house[j] == "west"]
    T = np.column_stack(columns).astype(float)
    Z = (T - T.mean(axis=0)) / T.std(axis=0)
    eta = Z @ np.array([0.5, -0.3, 0.2, -0.2, 0.3, 0.2, 0.4])[: T.shape[1]] - 1.5
    e = (rng.random(len(i)) < expit(eta)).astype(float)
    known = rng.random(len(i)) >= unknown
    E = np.zeros((n, n))
    E[i, j] = np.where(known, e, np.nan)
    if not directed:
        E[j, i] = E[i, j]
    graph = Graph(people, E, directed=directed, pair_features={"distance": D})
    return graph, T[known], e[known]


def by_statsmodels(T: np.ndarray, e: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients, standard errors and log-likelihood, solved in standard units."""
    sm = pytest.importorskip("statsmodels.api")
    m, s = T.mean(axis=0), T.std(axis=0)
    found = sm.Logit(e, sm.add_constant((T - m) / s)).fit(disp=0, tol=1e-15, maxiter=100)
    J = np.eye(len(found.params))
    J[1:, 1:], J[0, 1:] = np.diag(1 / s), -m / s
    return J @ found.params, np.sqrt(np.diag(J @ found.cov_params() @ J.T)), found.llf


def theta_of(model: DyadicGraph) -> np.ndarray:
    return np.append(model.intercept_, model.coef_)


# ---- the maximum -----------------------------------------------------------------------------


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize(
    ("sizes", "unknown"), [((20, 35, 50), 0.0), ((120,), 0.1), ((90, 110), 0.6), ((820,), 0.02)]
)
def test_a_fit_is_a_logistic_regression_on_the_known_dyads(directed, sizes, unknown) -> None:
    networks = [a_network(n, k, directed=directed, unknown=unknown) for k, n in enumerate(sizes)]
    graphs, T, e = zip(*networks, strict=True)
    model = DyadicGraph(DIRECTED if directed else UNDIRECTED).fit(list(graphs))
    theta, errors, value = by_statsmodels(np.concatenate(T), np.concatenate(e))
    np.testing.assert_allclose(theta_of(model), theta, rtol=1e-8)
    np.testing.assert_allclose(model.standard_errors_, errors, rtol=1e-8)
    assert model.log_likelihood_ == pytest.approx(value, rel=1e-10)
    assert model.log_density(list(graphs)).sum() == pytest.approx(value, rel=1e-10)
    assert (model.n_pairs_, model.n_edges_) == (sum(map(len, e)), sum(map(np.sum, e)))
    k = len(theta)
    assert model.bic(list(graphs)) == pytest.approx(k * np.log(model.n_pairs_) - 2 * value)


@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_an_offset_costs_no_digits(offset) -> None:
    rng = np.random.default_rng(0)
    graph, _, _ = a_network(60, 0)
    x = rng.integers(-50, 50, 60) / 4.0
    near, far = (
        DyadicGraph(["absdiff:x", "sum:x"]).fit(Graph(x[:, None] + c, graph.adjacency, ["x"]))
        for c in (0.0, offset)
    )
    np.testing.assert_allclose(far.coef_, near.coef_, rtol=1e-12)
    assert far.log_likelihood_ == pytest.approx(near.log_likelihood_, rel=1e-13)


def test_the_inner_product_alone_is_the_inner_product_model() -> None:
    graphs = datasets.classrooms(60, random_state=3)
    one, other = InnerProductGraph().fit(graphs), DyadicGraph(["inner_product"]).fit(graphs)
    np.testing.assert_allclose(other.coef_, one.slope_, rtol=1e-9)
    assert other.intercept_ == pytest.approx(one.intercept_, rel=1e-9)
    np.testing.assert_allclose(other.standard_errors_[::-1], one.standard_errors_, rtol=1e-9)
    np.testing.assert_allclose(
        other.confidence_intervals(graphs)[::-1], one.confidence_intervals(graphs), rtol=1e-7
    )
    np.testing.assert_allclose(
        other.clustered_standard_errors(graphs)[::-1],
        one.clustered_standard_errors(graphs),
        rtol=1e-7,
    )
    np.testing.assert_allclose(held_out(other, graphs).auc, held_out(one, graphs).auc, rtol=1e-9)
    penalised = InnerProductGraph(l2=2.0).fit(graphs), DyadicGraph(["inner_product"], l2=2.0)
    assert penalised[1].fit(graphs).coef_[0] == pytest.approx(penalised[0].slope_, rel=1e-9)


def test_levels_count_one_in_an_inner_product() -> None:
    graph, _, _ = a_network(70, 1)
    some = DyadicGraph(["inner_product:age+house"]).fit(graph)
    hot = np.column_stack(
        [graph.attribute("age").values, *np.eye(3)[graph.attribute("house").values].T]
    )
    same = DyadicGraph(["inner_product"]).fit(Graph(hot, graph.adjacency))
    np.testing.assert_allclose(theta_of(some), theta_of(same), rtol=1e-9)


def test_the_gradient_is_the_derivative_of_the_likelihood() -> None:
    graph, _, _ = a_network(40, 2, directed=True, unknown=0.1)
    sums = dyad_sums(parsed(DIRECTED), [graph]).penalised(0.3).centred()
    scale = 1 / np.sqrt(np.diag(sums.information(*np.zeros(8))))
    at = scale * np.random.default_rng(0).normal(size=8)
    for k, step in enumerate(np.eye(8) * scale * 1e-3):
        rise = sums.log_likelihood(*(at + step)) - sums.log_likelihood(*(at - step))
        assert rise / (2 * step[k]) == pytest.approx(sums.gradient(*at)[k], rel=1e-4)
        bend = (sums.gradient(*(at - step)) - sums.gradient(*(at + step))) / (2 * step[k])
        wanted = sums.information(*at)[k]
        np.testing.assert_allclose(bend * scale, wanted * scale, rtol=1e-4, atol=1e-5 / scale[k])


# ---- however the sums are gathered -------------------------------------------------------------


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("n_levels", [2, 30])
def test_kinds_of_dyads_are_counted_as_if_each_were_visited(
    monkeypatch, directed, n_levels
) -> None:
    rng = np.random.default_rng(n_levels)
    n = 90
    X = np.c_[rng.integers(0, n_levels, (n, 2)), rng.integers(0, 4, n)]
    links = rng.random((n, n)) < 0.1
    links = links if directed else np.triu(links, 1) | np.triu(links, 1).T
    graph = Graph(X, links, ["a", "b", "age"], directed=directed)
    terms = ["match:a", "match:b", "absdiff:age"] + ["sender:age"] * directed
    (held,) = evaluations(parsed(terms), [graph])
    monkeypatch.setattr(parts_module, "KEPT", 30_000)
    visited = parts_module.all_rows(held)
    monkeypatch.setattr(parts_module, "KEPT", 4_000 if directed else 3_000)
    counted = part_of(held)
    assert isinstance(counted, Rows) and counted.counts is not None
    weighted = Grid(held.of(parts_module.kinds_of(X.T, n)[1]), counts_of(X))
    theta = rng.normal(size=len(terms) + 1)
    for part in (counted, weighted, Grid(held)):
        assert part.n_dyads == visited.n_visits
        for found, wanted in zip(
            parts_module.visit([part], theta), parts_module.visit([visited], theta), strict=True
        ):
            np.testing.assert_allclose(found, wanted, rtol=1e-12)


def counts_of(X: np.ndarray) -> np.ndarray:
    return parts_module.kinds_of(X.T, len(X))[2].astype(float)


@pytest.mark.parametrize("directed", [False, True])
def test_fits_are_the_same_whether_dyads_are_kept_or_visited(monkeypatch, directed) -> None:
    terms = DIRECTED if directed else UNDIRECTED
    for unknown in (0.1, 0.8):
        graph, _, _ = a_network(130, 5, directed=directed, unknown=unknown)
        kept = DyadicGraph(terms).fit(graph)
        with monkeypatch.context() as few:
            for module in (parts_module, sums_module):
                few.setattr(module, "KEPT", 100)
            few.setattr(sums_module, "SOME", 700)
            few.setattr(parts_module, "AT_ONCE", 512)
            parts = dyad_sums(parsed(terms), [graph]).parts
            assert {type(part) for part in parts} == ({Grid, Listed} if unknown < 0.5 else {Listed})
            visited = DyadicGraph(terms).fit(graph)
        np.testing.assert_allclose(theta_of(visited), theta_of(kept), rtol=1e-9)
        np.testing.assert_allclose(visited.standard_errors_, kept.standard_errors_, rtol=1e-9)


def test_threads_change_no_bit() -> None:
    graph, _, _ = a_network(800, 6)
    one, two = (DyadicGraph(UNDIRECTED, n_jobs=jobs).fit(graph) for jobs in (1, 3))
    np.testing.assert_array_equal(theta_of(one), theta_of(two))
    np.testing.assert_array_equal(one.covariance_, two.covariance_)


def test_few_kinds_of_dyads_are_visited_of_five_billion() -> None:
    """A hundred thousand nodes; the maximum is told by a gradient of nothing."""
    rng = np.random.default_rng(0)
    n = 100_000
    X = np.c_[rng.integers(0, 2000, n), rng.integers(0, 5, n), rng.integers(0, 9, n)]
    order = np.argsort(X[:, 0], kind="stable")  # a third of the links join neighbours in a block
    i = rng.integers(0, n - 1, 300_000)
    near = rng.random(300_000) < 0.3
    i, j = order[i], np.where(near, order[i + 1], rng.integers(0, n, 300_000))
    i, j = np.minimum(i, j)[i != j], np.maximum(i, j)[i != j]
    A = sparse.coo_array((np.ones(len(i)), (i, j)), shape=(n, n)).tocsr()
    A.data[:] = 1
    graph = Graph(X, A + A.T, ["block", "group", "age"])
    model = DyadicGraph(["match:block", "match:group", "absdiff:age"]).fit(graph)
    sums = dyad_sums(parsed(model.terms_), [graph]).centred()
    assert sums.n_visits < 1_000 and model.n_pairs_ == n * (n - 1) // 2
    theta = theta_of(model)
    theta[0] += model.coef_ @ sums.shift
    off = sums.covariance(*theta) @ sums.gradient(*theta)
    assert (np.abs(off) < 1e-8 * model.standard_errors_.max()).all()


def test_chunks_of_graphs_give_the_model_of_all() -> None:
    graphs = [a_network(30, k, unknown=0.1)[0] for k in range(6)]
    whole = DyadicGraph(UNDIRECTED).fit(graphs)
    parts = DyadicGraph(UNDIRECTED)
    for graph in graphs:
        parts.partial_fit(graph)
    np.testing.assert_allclose(theta_of(parts), theta_of(whole), rtol=1e-9)
    np.testing.assert_allclose(parts.standard_errors_, whole.standard_errors_, rtol=1e-9)
    assert list(parts.feature_names_in_) == list(whole.feature_names_in_)
    assert sorted(parts.node_counts_) == sorted(whole.node_counts_)


# ---- refusals --------------------------------------------------------------------------------


def people(n: int = 30, **more: Any) -> Any:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.integers(20, 60, n) * 1.0,
            "house": rng.choice(["a", "b"], n),
            "one": 1.0,
            "sex": rng.integers(0, 2, n) * 1.0,
        }
    )
    frame["months"] = frame.age * 12
    return frame.assign(**more)


def links(n: int = 30, share: float = 0.2) -> np.ndarray:
    upper = np.triu(np.random.default_rng(1).random((n, n)) < share, 1)
    return (upper | upper.T).astype(float)


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        (["match:hous"], "'hous', which graph 0 does not have. Did you mean 'house'"),
        (["absdiff:zzz"], "'zzz', which graph 0 does not have. It has 'age'"),
        (["absdiff:one"], "'absdiff:one' is the same for every known dyad"),
        (["absdiff:age", "product:one"], "'product:one' is the same"),
        (["absdiff:age", "absdiff:months"], "'absdiff:age' and 'absdiff:months' are linearly"),
        (["match:sex", "product:sex", "sum:sex", "absdiff:age"], "'match:sex', 'product:sex' and"),
        (["sender:age"], "'sender:age' is of directed graphs.* 'sum:age'"),
        (["sum:house"], "'house' holds text.*'match:house'.*'sum:house=a'"),
        (["pair:walk"], "'pair:walk' names a pair feature that graph 0 does not have"),
        (["mach:house"], "no term. Did you mean 'match'"),
        (["match:"], "names nothing"),
        (["match:house", "match:house"], "twice"),
        ("match:house", "must be a list of texts"),
        ([], "must be a list of texts"),
        ([3], "a term is a text"),
    ],
)
def test_terms_that_cannot_be_are_refused_by_name(terms, says) -> None:
    with pytest.raises(AncestralError, match=says):
        DyadicGraph(terms).fit(Graph(people(), links()))


def test_gaps_count_where_a_term_uses_them() -> None:
    frame = people()
    frame.loc[4, "age"] = np.nan
    frame.loc[5, "house"] = None
    graph = Graph(frame, links(), node_names=[f"p{k}" for k in range(30)])
    with pytest.raises(DataError, match=r"'absdiff:age' needs 'age'.* missing for node 'p4'"):
        DyadicGraph(["absdiff:age"]).fit(graph)
    with pytest.raises(DataError, match="'match:house' needs 'house'"):
        DyadicGraph(["match:house"]).fit(graph)
    DyadicGraph(["match:sex"]).fit(graph)


def test_a_matrix_may_be_unknown_where_the_dyad_is() -> None:
    D = np.random.default_rng(0).random((30, 30))
    D += D.T
    D[3, 4] = D[4, 3] = np.nan
    E = links()
    with pytest.raises(DataError, match=r"'d' is missing at \(3, 4\)"):
        DyadicGraph(["pair:d"]).fit(Graph(people(), E, pair_features={"d": D}))
    E[3, 4] = E[4, 3] = np.nan
    DyadicGraph(["pair:d"]).fit(Graph(people(), E, pair_features={"d": D}))
    with pytest.raises(DataError, match=r"shape \(3, 3\)"):
        Graph(people(), E, pair_features={"d": np.zeros((3, 3))})


def test_what_is_left_must_say_something() -> None:
    nothing = np.full((30, 30), np.nan)
    with pytest.raises(ModelError, match="no dyad is known"):
        DyadicGraph(["match:house"]).fit(Graph(people(), nothing))
    of_a = np.flatnonzero(people().house == "a")
    nothing[np.ix_(of_a, of_a)] = links()[np.ix_(of_a, of_a)]
    with pytest.raises(ModelError, match="'match:house' is the same for every known dyad"):
        DyadicGraph(["absdiff:age", "match:house"]).fit(Graph(people(), nothing))
    for E, seen in ((np.zeros((30, 30)), "no known dyad"), (1 - np.eye(30), "every known dyad")):
        with pytest.raises(ModelError, match=f"{seen} is linked.*l2=1"):
            DyadicGraph(["match:house"]).fit(Graph(people(), E))
        assert np.isfinite(DyadicGraph(["match:house"], l2=1).fit(Graph(people(), E)).coef_).all()


@pytest.mark.parametrize("n", [30, 800])
def test_separation_is_named_by_its_terms(n, monkeypatch) -> None:
    monkeypatch.setattr(sums_module, "SOME", 3_000)
    rng = np.random.default_rng(2)
    frame = people(n, z=rng.normal(size=n), y=rng.normal(size=n))
    age, house = frame.age.to_numpy() + rng.random(n), frame.house.to_numpy()
    frame["age"] = age
    same, apart = house[:, None] == house, np.abs(age[:, None] - age)
    terms = ["product:z", "match:house", "absdiff:age"]
    cases = [
        (links(n) * same, r"by the term 'match:house': match:house -> \+inf"),
        (apart < 10, r"by the term 'absdiff:age': absdiff:age -> -inf"),
        (apart - 8 * same < 10, "by the terms 'match:house' and 'absdiff:age'"),
    ]
    for E, says in cases:
        E = np.where(np.eye(n, dtype=bool), 0, E)
        with pytest.raises(ModelError, match=says):
            DyadicGraph(terms).fit(Graph(frame, E))
        assert np.isfinite(DyadicGraph(terms, l2=1).fit(Graph(frame, E)).coef_).all()


def test_graphs_of_two_kinds_do_not_mix() -> None:
    one, two = Graph(people(), links()), Graph(people(), links(), directed=True)
    with pytest.raises(DataError, match=r'some graphs are directed.*directed="union"'):
        DyadicGraph(["match:house"]).fit([one, two])
    says = r'graph 0 is directed, and the model was fitted to undirected.*undirected\("union"\)'
    with pytest.raises(DataError, match=says):
        DyadicGraph(["match:house"]).fit(one).log_density(two)
    of_links = DyadicGraph(["match:house"]).fit(two)
    says = r"graph 0 is undirected, and the model was fitted to directed.*directed=True\)"
    with pytest.raises(DataError, match=says):
        of_links.log_density(one)
    both_ways = Graph(people(), links(), directed=True)
    np.testing.assert_array_equal(of_links.log_density(both_ways), of_links.log_density(two))
    unnamed = Graph(people()[["age", "sex"]].to_numpy(), links())
    model = DyadicGraph(["match:sex"]).fit(Graph(people()[["age", "sex"]], links()))
    np.testing.assert_array_equal(model.log_density(unnamed), [model.log_likelihood_])
    assert DyadicGraph(["absdiff:0"]).fit(unnamed).terms_ == ["absdiff:0"]


# ---- what a fit says -------------------------------------------------------------------------


def test_the_summary_holds_estimates_errors_and_tests() -> None:
    graph, _, _ = a_network(50, 3)
    model = DyadicGraph(["match:house", "absdiff:age"]).fit(graph)
    table = model.summary().to_frame()
    assert list(table["term"]) == ["intercept", "match:house", "absdiff:age"]
    z = theta_of(model) / model.standard_errors_
    np.testing.assert_allclose(table["z"], z)
    np.testing.assert_allclose(table["p"], 2 * stats.norm.sf(np.abs(z)))
    ends = model.confidence_intervals(method="wald")
    np.testing.assert_allclose(table[["95% from", "to"]], ends)
    assert f"AIC {model.aic(graph):.6g}, BIC {model.bic(graph):.6g}" in model.summary()


def test_a_profile_interval_ends_where_the_refitted_likelihood_has_dropped() -> None:
    graph, T, e = a_network(60, 4)
    model = DyadicGraph(["match:house", "absdiff:age"]).fit(graph)
    ends = model.confidence_intervals(graph, level=0.9)
    drop = stats.chi2.ppf(0.9, 1) / 2
    # with one coefficient held, the other terms are fitted beside an offset: by a steep penalty
    sm = pytest.importorskip("statsmodels.api")
    for row, column in ((1, 0), (2, 1)):
        others = sm.add_constant(np.delete(T[:, :2], column, axis=1))
        for end in ends[row]:
            held = sm.GLM(e, others, sm.families.Binomial(), offset=end * T[:, column])
            assert model.log_likelihood_ - held.fit(tol=1e-14).llf == pytest.approx(drop, rel=1e-6)
    with pytest.raises(DataError, match="give them, or pass"):
        model.confidence_intervals()
    with pytest.raises(DataError, match="not those of the fit"):
        model.confidence_intervals(a_network(60, 5)[0])


def test_nested_models_are_compared_by_twice_the_gain() -> None:
    graph, _, _ = a_network(60, 4)
    small = DyadicGraph(["absdiff:age"]).fit(graph)
    large = DyadicGraph(["match:house", "absdiff:age", "sum:born"]).fit(graph)
    found = large.likelihood_ratio_test(small)
    gain = 2 * (large.log_likelihood_ - small.log_likelihood_)
    assert (found.statistic, found.degrees) == (pytest.approx(gain), 2)
    assert found.p_value == pytest.approx(stats.chi2.sf(gain, 2))
    assert "match:house, sum:born" in str(found)
    order = r"larger\.likelihood_ratio_test\(smaller\), where the larger model has all terms"
    with pytest.raises(ModelError, match=rf"nested.*'match:house' is not in both.*{order}"):
        small.likelihood_ratio_test(large)
    with pytest.raises(ModelError, match=rf"nested.*they have the same terms.*{order}"):
        large.likelihood_ratio_test(large)
    with pytest.raises(ModelError, match="other graphs"):
        large.likelihood_ratio_test(DyadicGraph(["absdiff:age"]).fit(a_network(60, 5)[0]))
    with pytest.raises(ModelError, match="l2=0"):
        large.likelihood_ratio_test(DyadicGraph(["absdiff:age"], l2=1).fit(graph))


# ---- draws -----------------------------------------------------------------------------------


@pytest.mark.parametrize("directed", [False, True])
def test_cells_of_two_kinds_and_of_one_are_all_pairs(directed) -> None:
    for a, b in ((3, 5), (4, 4)):
        within = a == b
        cells = a * b if not within else a * (a - 1) // (1 if directed else 2)
        n = np.full(cells, a), np.full(cells, b)
        i, j = drawing._ends(np.arange(cells), *n, np.full(cells, within), directed)
        wanted = {(x, y) for x, y in product(range(a), range(b)) if not within or x != y}
        if within and not directed:
            wanted = {(x, y) for x, y in wanted if y < x}
        assert {*zip(i.tolist(), j.tolist())} == wanted and len(i) == len(wanted)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("by_kinds", [False, True])
def test_draws_fit_the_probabilities(directed, by_kinds, monkeypatch) -> None:
    """Each dyad's count over draws is binomial: a right sampler fails once in 10,000 seeds."""
    rng = np.random.default_rng(0)
    n, draws = 24, 1_500
    frame = pd.DataFrame({"age": rng.integers(0, 2, n), "house": rng.choice(["a", "b"], n)})
    E = rng.random((n, n)) < 0.3
    graph = Graph(frame, E if directed else np.triu(E, 1) | np.triu(E, 1).T, directed=directed)
    terms = ["match:house", "sum:age"] + ["sender:age"] * directed
    model = DyadicGraph(terms[:2] if not directed else [terms[0], terms[2]]).fit(graph)
    model.coef_, model.intercept_ = np.array([1.5, -0.8]), 0.4
    if by_kinds:
        monkeypatch.setattr(drawing, "MANY", 2)
    p = model.probabilities(graph)
    drawn = model.sample(draws, features=graph, random_state=1)
    counts = sum(one.to_dense().astype(int) for one in drawn)
    i, j = np.nonzero(~np.eye(n, dtype=bool)) if directed else np.triu_indices(n, 1)
    seen, expected = counts[i, j], draws * p[i, j]
    square = ((seen - expected) ** 2 / (expected * (1 - p[i, j]))).sum()
    assert FALSE_ALARM / 2 < stats.chi2.sf(square, len(i)) < 1 - FALSE_ALARM / 2
    totals = np.array([one.n_edges for one in drawn])  # dyads are independent of each other
    spread = (p[i, j] * (1 - p[i, j])).sum()
    ratio = (draws - 1) * totals.var(ddof=1) / spread
    assert FALSE_ALARM / 2 < stats.chi2.sf(ratio, draws - 1) < 1 - FALSE_ALARM / 2
    assert drawn[0].attribute("house").levels == ("a", "b") and drawn[0].directed == directed


def test_nodes_are_drawn_from_those_of_the_fit() -> None:
    graph, _, _ = a_network(40, 7)
    model = DyadicGraph(["match:house", "absdiff:age"]).fit(graph)
    (drawn,) = model.sample(n_nodes=200, random_state=0)
    assert drawn.attribute_names == graph.attribute_names
    ages, houses = graph.attribute("age").values, graph.attribute("house").to_list()
    seen = {*zip(ages.tolist(), houses, strict=True)}
    own = zip(drawn.attribute("age").values.tolist(), drawn.attribute("house").to_list())
    assert {*own} <= seen
    with pytest.raises(ModelError, match="n_nodes=3 contradicts"):
        model.sample(n_nodes=3, features=graph)
    with pytest.raises(DataError, match="pair feature"):
        DyadicGraph(["pair:distance"]).fit(graph).sample()


def test_the_fit_can_be_checked_and_foretells() -> None:
    graph, _, _ = a_network(60, 8, unknown=0.1)
    model = DyadicGraph(UNDIRECTED).fit(graph)
    check = check_fit(model, graph, n_draws=30, random_state=0)
    assert all(0 < one.p_value <= 1 for one in check.comparisons.values())
    found = calibrate(model, graph)
    assert found.n_pairs.sum() == pytest.approx(graph.n_pairs)
    assert (found.predicted * found.n_pairs).sum() == pytest.approx(graph.n_edges)
    (auc,) = held_out(model, graph).auc
    p, linked = model.probabilities(graph), graph.to_dense(unknown=np.nan)
    i, j = np.triu_indices(60, 1)
    p, e = p[i, j], linked[i, j]
    ones, zeros = p[e == 1], p[e == 0]
    assert auc == pytest.approx((ones[:, None] > zeros).mean(), abs=1e-9)
    table = model.predict_edges(graph)
    assert len(table) == graph.n_unknown and table["probability"].is_monotonic_decreasing


def test_a_saved_model_is_the_same(tmp_path) -> None:
    graph, _, _ = a_network(40, 9)
    model = DyadicGraph(["match:house", "absdiff:age"]).fit(graph)
    again = ancestral.load(model.save(tmp_path / "m"))
    np.testing.assert_array_equal(again.log_density(graph), model.log_density(graph))
    assert again.summary() == model.summary()
    one, two = (held.sample(random_state=0)[0] for held in (model, again))
    np.testing.assert_array_equal(one.adjacency, two.adjacency)
    assert one.attribute("house").levels == two.attribute("house").levels


def test_an_inner_product_of_no_attributes_is_refused() -> None:
    bare = Graph(None, [[0, 1], [1, 0]])
    rng = np.random.default_rng(0)
    E = np.triu(rng.random((12, 12)) < 0.4, 1).astype(int)
    model = DyadicGraph(["inner_product"]).fit(Graph(rng.normal(size=(12, 2)), E + E.T))
    for ask in (model.log_density, DyadicGraph(["inner_product"]).fit):
        with pytest.raises(DataError, match="multiplies attributes of nodes"):
            ask(bare)
