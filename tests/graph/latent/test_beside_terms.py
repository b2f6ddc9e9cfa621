"""Positions beside terms of pairs, node effects, and dyads that nobody observed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import sparse, stats
from scipy.special import expit

import ancestral
from ancestral import AncestralError, Graph
from ancestral import LatentPositionGraph as Latent
from ancestral.errors import DataError, ModelError
from ancestral.graph.latent.errors import coefficient_covariance, position_errors
from ancestral.graph.latent.likelihood import Places, PositionLikelihood
from ancestral.graph.latent.unbounded import separated_nodes
from ancestral.graph.terms import evaluations, parsed

pd = pytest.importorskip("pandas")

TERMS = ["match:house", "absdiff:age"]
TRUE = np.array([1.0, -0.05])


def a_network(n: int, seed: int = 0, unknown: float = 0.1) -> tuple[Graph, np.ndarray]:
    """A network of people, and their positions."""
    rng = np.random.default_rng(seed)
    X, a = 0.9 * rng.normal(size=(n, 2)), 0.5 * rng.normal(size=n)
    age, house = rng.normal(40, 10, n), rng.choice(list("abcd"), n)
    people = pd.DataFrame({"age": age, "house": house}, index=[f"p{k}" for k in range(n)])
    T = np.array([house[:, None] == house, np.abs(age[:, None] - age)], float)
    eta = X @ X.T + a[:, None] + a - 0.6 + np.tensordot(TRUE, T, 1)
    E = np.triu(rng.random((n, n)) < expit(eta), 1).astype(float)
    E[np.triu(rng.random((n, n)) < unknown, 1)] = np.nan
    return Graph(people, E + E.T), X


def a_likelihood(n: int, l2: float, seed: int = 0, n_graphs: int = 2) -> PositionLikelihood:
    graphs = [a_network(n, seed + 7 * k)[0] for k in range(n_graphs)]
    (terms,) = evaluations(parsed(TERMS), graphs[:1])
    T = sparse.csr_array(sum(g.to_sparse().astype(float) for g in graphs))
    U = sparse.csr_array(sum(g.unknown.astype(float) for g in graphs))
    return PositionLikelihood(T, n_graphs, l2, unknown=U, terms=terms)


def by_pairs(likelihood: PositionLikelihood, at: Places) -> float:
    """The penalised log-likelihood by the slow, obvious loop."""
    T, U = likelihood.links.toarray(), likelihood.unknown.toarray()
    value = -likelihood.l2 / 2 * ((at.X**2).sum() + (at.effects**2).sum() + at.b**2)
    for i, j in itertools.combinations(range(len(at.X)), 2):
        t = likelihood.terms.at(np.array([i]), np.array([j]))[1:, 0]
        eta = at.X[i] @ at.X[j] + at.effects[i] + at.effects[j] + at.coef @ t + at.b
        value += T[i, j] * eta - (likelihood.n_graphs - U[i, j]) * np.log1p(np.exp(eta))
    return float(value)


def some_places(n: int, seed: int = 1) -> Places:
    rng = np.random.default_rng(seed)
    return Places(rng.normal(size=(n, 2)), -0.3, rng.normal(size=n), np.array([0.7, -0.03]))


@pytest.mark.parametrize("n", [5, 70])
def test_the_likelihood_is_the_sum_over_known_dyads(n: int) -> None:
    likelihood, at = a_likelihood(n, 0.4), some_places(n)
    value, _ = likelihood.slopes(at)
    assert value == pytest.approx(by_pairs(likelihood, at), rel=1e-12)


def test_its_slopes_are_its_derivatives() -> None:
    n = 12
    likelihood, at = a_likelihood(n, 0.4), some_places(n)
    _, slopes = likelihood.slopes(at)

    def packed(places: Places) -> np.ndarray:
        return np.concatenate([places.X.ravel(), places.effects, places.coef, [places.b]])

    def value(theta: np.ndarray) -> float:
        X, a = theta[: 2 * n].reshape(n, 2), theta[2 * n : 3 * n]
        return likelihood.slopes(Places(X, theta[-1], a, theta[3 * n : -1]))[0]

    theta = packed(at)
    steps = 1e-6 * np.eye(len(theta))
    found = [(value(theta + step) - value(theta - step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(packed(slopes), found, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("l2", [0.0, 0.7])
def test_errors_are_those_of_the_whole_information(l2: float) -> None:
    n, K = 30, 2
    likelihood, at = a_likelihood(n, l2), some_places(n)
    left, right = at.sides()
    V = np.column_stack([at.X, np.ones(n)])
    i, j = np.triu_indices(n, 1)
    T = likelihood.terms.at(i, j)
    eta = (left @ right.T)[i, j] + at.b + at.coef @ T[1:]
    w = (K - likelihood.unknown.toarray()[i, j]) * expit(eta) * expit(-eta)
    J = np.zeros((len(i), 3 * n + 3))
    for row, (a, c) in enumerate(zip(i, j, strict=True)):
        J[row, 3 * a : 3 * a + 3], J[row, 3 * c : 3 * c + 3] = V[c], V[a]
        J[row, 3 * n :] = T[:, row]
    information = (J.T * w) @ J + l2 * np.diag([1.0] * (3 * n + 1) + [0.0] * 2)
    inverse = np.linalg.pinv(information, rcond=1e-12, hermitian=True)
    np.testing.assert_allclose(
        coefficient_covariance(at, likelihood), inverse[-2:, -2:], rtol=1e-5, atol=1e-12
    )
    own = np.linalg.inv(information[3:6, 3:6])
    np.testing.assert_allclose(position_errors(at, likelihood)[1] ** 2, np.diag(own), rtol=1e-9)


def test_terms_are_recovered_within_their_intervals() -> None:
    """Twenty networks: both coefficients within 3.5 standard errors, and no far bias."""
    z = []
    for seed in range(20):
        graph, _ = a_network(90, seed, unknown=0.05)
        model = Latent(2, terms=TERMS, node_effect=True, l2=1.0).fit(graph)
        z.append((model.coef_ - TRUE) / model.coef_errors_)
    assert np.abs(z).max() < 4.0  # bias of half a standard error, and 40 normal draws
    assert (np.abs(np.mean(z, axis=0)) < 0.6 + 3.9 / np.sqrt(20)).all()
    spread = 19 * np.var(z, axis=0, ddof=1)
    assert (spread < 1.3**2 * stats.chi2.ppf(1 - 1e-4, 19)).all()


def test_no_nudge_raises_the_likelihood() -> None:
    graph, _ = a_network(40)
    model = Latent(2, terms=TERMS, node_effect=True, l2=0.5, tol=1e-7).fit(graph)
    best = model.log_density(graph)[0]
    assert best == pytest.approx(model.log_likelihood_, rel=1e-12)
    (terms,) = evaluations(parsed(TERMS), [graph])
    likelihood = PositionLikelihood(
        sparse.csr_array(graph.to_sparse().astype(float)),
        1,
        0.5,
        unknown=graph.unknown.astype(float),
        terms=terms,
    )
    b = model.intercept_ + model.coef_ @ terms.shift
    at = Places(model.positions_, b, model.node_effects_, model.coef_)
    top, _ = likelihood.slopes(at)
    rng = np.random.default_rng(0)
    for _ in range(20):
        moved = Places(
            at.X + 0.01 * rng.normal(size=at.X.shape),
            at.b + 0.01 * rng.normal(),
            at.effects + 0.01 * rng.normal(size=40),
            at.coef * (1 + 0.01 * rng.normal(size=2)),
        )
        assert likelihood.slopes(moved)[0] < top


def test_unknown_dyads_count_for_nothing() -> None:
    graph, _ = a_network(50, unknown=0.0)
    hidden = graph.with_unknown([(0, 1), (3, 7), (10, 40)])
    model = Latent(1, l2=1.0).fit(hidden)
    assert model.n_pairs_ == 50 * 49 // 2 - 3
    p = model.probabilities()
    i, j = np.triu_indices(50, 1)
    e = hidden.to_dense(unknown=np.nan)[i, j]
    known = ~np.isnan(e)
    value = stats.bernoulli.logpmf(e[known], p[i, j][known]).sum()
    assert model.log_density(hidden)[0] == pytest.approx(value)
    table = model.predict_edges(hidden)
    assert {*zip(table["source"], table["target"])} == {("p0", "p1"), ("p3", "p7"), ("p10", "p40")}
    by_name = {(a, c): q for a, c, q in table.itertuples(index=False)}
    assert by_name["p3", "p7"] == pytest.approx(p[3, 7])


def test_nodes_are_matched_by_name() -> None:
    graph, _ = a_network(30)
    model = Latent(2, terms=TERMS, l2=1.0).fit(graph)
    order = np.random.default_rng(0).permutation(30)
    names = np.array(graph.node_names)
    E = pd.DataFrame(graph.to_dense(unknown=np.nan), index=names, columns=names)
    moved = E.iloc[order, order]
    np.testing.assert_allclose(model.log_density(moved), [model.log_likelihood_])
    people = pd.DataFrame(
        {name: graph.attribute(name).to_list() for name in ("age", "house")}, index=names
    )
    again = Latent(2, terms=TERMS, l2=1.0, tol=1e-7).fit(Graph(people.iloc[order], moved))
    assert again.node_labels_ == list(names[order])
    assert again.log_likelihood_ == pytest.approx(model.log_likelihood_, rel=1e-6)
    assert model.sample(random_state=0)[0].node_names == graph.node_names


def test_positions_turn_to_given_ones() -> None:
    graph, X = a_network(60)
    model = Latent(2, l2=1.0).fit(graph)
    turned = model.aligned_positions(X)
    np.testing.assert_allclose(turned @ turned.T, model.positions_ @ model.positions_.T)
    best = ((turned - X) ** 2).sum()
    for angle in np.linspace(0, 2 * np.pi, 13):
        c, s = np.cos(angle), np.sin(angle)
        for Q in (np.array([[c, -s], [s, c]]), np.array([[c, s], [s, -c]])):
            assert ((model.positions_ @ Q - X) ** 2).sum() >= best - 1e-9
    few = pd.DataFrame(X, index=graph.node_names).iloc[[5, 3, 20, 31]]
    known = np.full_like(X, np.nan)
    known[[5, 3, 20, 31]] = X[[5, 3, 20, 31]]
    np.testing.assert_allclose(model.aligned_positions(few), model.aligned_positions(known))
    with pytest.raises(DataError, match="'q', which is no node"):
        model.aligned_positions(few.rename(index={"p5": "q"}))
    with pytest.raises(DataError, match=r"shape of positions_, \(60, 2\)"):
        model.aligned_positions(X[:5])


def test_new_nodes_stand_where_their_links_say() -> None:
    graph, _ = a_network(150, unknown=0.0)
    model = Latent(2, terms=TERMS, node_effect=True, l2=1.0).fit(graph)
    people = pd.DataFrame({name: graph.attribute(name).to_list() for name in ("house", "age")})
    E = graph.to_dense(unknown=np.nan).astype(float)
    np.fill_diagonal(E, np.nan)  # a node is told from its links to others
    new = model.place(E[:4], people[:4])
    np.testing.assert_allclose(new.positions, model.positions_[:4], atol=1e-3)
    np.testing.assert_allclose(new.effects, model.node_effects_[:4], atol=1e-3)
    others = np.arange(150) != 2
    np.testing.assert_allclose(
        new.probabilities[2][others], model.probabilities()[2][others], atol=1e-3
    )
    names = list(graph.node_names)
    table = pd.DataFrame(E[:2], columns=names)[names[::-1]]
    np.testing.assert_allclose(model.place(table, people[:2]).positions, new.positions[:2])
    with pytest.raises(DataError, match="give features= of the new nodes"):
        model.place(E[:2])
    with pytest.raises(DataError, match="'absdiff:age' needs 'age'"):
        model.place(E[:2], people[["house"]][:2])
    with pytest.raises(DataError, match="a column for each of the 150"):
        model.place(E[:2, :7], people[:2])
    with pytest.raises(ModelError, match=r"new node 0, with 0 links, can move away.*l2=1"):
        model.place(np.zeros(150), people[:1], l2=0.0)


def test_draws_fit_the_probabilities() -> None:
    """Counts of each dyad over draws are binomial: a right sampler fails once in 10,000 seeds."""
    graph, _ = a_network(30)
    model = Latent(2, terms=TERMS, node_effect=True, l2=1.0).fit(graph)
    p, draws = model.probabilities(), 1_500
    counts = sum(one.to_dense().astype(int) for one in model.sample(draws, random_state=0))
    i, j = np.triu_indices(30, 1)
    seen, wanted = counts[i, j], draws * p[i, j]
    square = ((seen - wanted) ** 2 / (wanted * (1 - p[i, j]))).sum()
    assert 5e-5 < stats.chi2.sf(square, len(i)) < 1 - 5e-5
    (new,) = model.sample(n_nodes=7, random_state=0)
    assert new.n_nodes == 7 and new.node_names is None


def test_a_saved_model_is_the_same(tmp_path) -> None:
    graph, _ = a_network(30)
    D = np.random.default_rng(0).random((30, 30))
    graph = graph.replaced(pair_features={"walk": D + D.T})
    model = Latent(2, terms=[*TERMS, "pair:walk"], node_effect=True, l2=1.0).fit(graph)
    again = ancestral.load(model.save(tmp_path / "m"))
    np.testing.assert_array_equal(again.log_density(graph), model.log_density(graph))
    assert again.n_parameters_ == model.n_parameters_ == 30 * 2 - 1 + 1 + (29 - 2) + 3
    assert again.summary() == model.summary()
    assert list(model.summary().to_frame()["term"]) == ["intercept", *model.terms_]


def test_positions_beside_effects_are_known_up_to_a_shift() -> None:
    """All positions may move together, which effects and b make good: then all sum to 0."""
    rng = np.random.default_rng(0)
    X, a = rng.uniform(-1.5, 1.5, (120, 2)), rng.normal(0, 0.5, 120)
    links = np.triu(rng.random((120, 120)) < expit(X @ X.T + a[:, None] + a - 1), 1)
    model = Latent(2, node_effect=True).fit(links | links.T)
    np.testing.assert_allclose(model.positions_.sum(axis=0), 0, atol=1e-10)
    assert model.node_effects_.sum() == pytest.approx(0, abs=1e-10)
    assert model.log_density(links | links.T)[0] == pytest.approx(model.log_likelihood_, rel=1e-12)
    i, j = np.triu_indices(120, 1)
    derivative = np.zeros((len(i), 120, 3))
    for row, (one, other) in enumerate(zip(i, j, strict=True)):
        derivative[row, one] = [*model.positions_[other], 1.0]
        derivative[row, other] = [*model.positions_[one], 1.0]
    # b moves the logits as all effects together do
    assert np.linalg.matrix_rank(derivative.reshape(len(i), -1)) == model.n_parameters_


def test_a_node_effect_alone_can_leave_for_ever() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 1))
    A = np.triu(rng.random((20, 20)) < 0.5, 1)
    A = (A | A.T).astype(float)
    A[3] = A[:, 3] = 1 - np.eye(20)[3]
    links = sparse.csr_array(A)
    assert 3 not in separated_nodes(X, links, 1)
    assert 3 in separated_nodes(X, links, 1, with_effects=True)
    with pytest.raises(AncestralError, match=r"node 3, with 19 links.*l2=1"):
        Latent(1, node_effect=True).fit(A)
    assert np.isfinite(Latent(1, node_effect=True, l2=1.0).fit(A).positions_).all()


@pytest.mark.parametrize("name", ["karate_club_graph", "les_miserables_graph"])
def test_networks_whose_positions_diverge_name_the_penalty_that_fits_them(name: str) -> None:
    networkx = pytest.importorskip("networkx")
    network = getattr(networkx, name)()
    with pytest.raises(ModelError, match="Pass l2=1"):
        Latent(2).fit(network)
    for node_effect in (False, True):
        model = Latent(2, l2=1, node_effect=node_effect).fit(network)
        p = model.probabilities()
        assert p.sum() / 2 == pytest.approx(network.number_of_edges(), rel=0.1)


def test_terms_that_cannot_be_are_refused_by_name() -> None:
    graph, _ = a_network(30)
    for terms, says in (
        (["match:hous"], "Did you mean 'house'"),
        (["sender:age"], "is of directed graphs"),
        (["absdiff:age", "absdiff:age"], "twice"),
        (["match:house", "inner_product:house"], "'match:house' and 'inner_product:house' are lin"),
    ):
        with pytest.raises(AncestralError, match=says):
            Latent(2, terms=terms, l2=1.0).fit(graph)
    with pytest.raises(AncestralError, match="does not have"):
        Latent(2, terms=["match:house"], l2=1.0).fit(graph.to_dense())
    with pytest.raises(ModelError, match=r"'sum:age' adds a number of each node, .* effects"):
        Latent(2, terms=["sum:age"], node_effect=True).fit(graph)


def test_the_penalty_holds_the_logit_at_the_constants_of_terms() -> None:
    """With match: and absdiff: alone it holds b; the origin of an attribute makes no difference."""
    people = pd.DataFrame({"house": list("abcd") * 8, "year": np.arange(32) % 7 + 2000.0})
    links = np.triu(np.random.default_rng(3).random((32, 32)) < 0.3, 1)
    graph = Graph(people, links | links.T)
    moved = Graph(people.assign(year=people["year"] - 2000), graph.adjacency)
    for terms, constants in (["match:house", "absdiff:year"], [0, 0]), (["sum:year"], [4006]):
        model = Latent(1, terms=terms, l2=2.0, tol=1e-9).fit(graph)
        surplus = (graph.to_dense() - model.probabilities()).sum() / 2
        b = model.intercept_ + model.coef_ @ constants
        assert surplus == pytest.approx(2.0 * b, abs=1e-3 if any(constants) else 1e-5)
        again = Latent(1, terms=terms, l2=2.0, tol=1e-9).fit(moved)
        np.testing.assert_allclose(again.probabilities(), model.probabilities(), atol=1e-6)
