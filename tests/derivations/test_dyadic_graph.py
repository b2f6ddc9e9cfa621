"""The steps of docs/models/dyadic_graph.md, a test each, by the number that the page gives them.

Identities are checked in exact arithmetic (sympy): of symbols, or of rational numbers. What the
model computes is compared in float64.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import pytest
import sympy as sp
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit

from ancestral import DyadicGraph, Graph
from ancestral.errors import ModelError

Float = NDArray[np.float64]
TERMS = ["match:house", "absdiff:age"]

# Five dyads in exact numbers: 1 and two terms of each, and whether it is linked.
T = sp.Matrix([[1, 1, 2], [1, 0, 5], [1, 1, 7], [1, 0, 1], [1, 1, 3]])
LINKED = [1, 0, 1, 0, 0]
theta = sp.Matrix(sp.symbols("theta0:3", real=True))
eta = sp.Symbol("eta", real=True)


def sigma(x: sp.Expr) -> sp.Expr:
    return 1 / (1 + sp.exp(-x))


def likelihood(theta: sp.Matrix) -> sp.Expr:
    """The log-likelihood of the five dyads, as step 1 has it."""
    logits = list(T * theta)
    return sum(e * x - sp.log(1 + sp.exp(x)) for e, x in zip(LINKED, logits, strict=True))


class Town(NamedTuple):
    graph: Graph
    T: Float  # (dyads, 1 + terms)
    e: Float


def a_town(seed: int = 0, n: int = 40, hidden: int = 30) -> Town:
    """People with houses and ages, some of whose dyads are unknown."""
    rng = np.random.default_rng(seed)
    age, house = rng.integers(20, 60, n), rng.integers(0, 3, n)
    i, j = np.triu_indices(n, 1)
    same, apart = house[i] == house[j], abs(age[i] - age[j])
    terms = np.column_stack([np.ones(len(i)), same, apart]).astype(float)
    e = (rng.random(len(i)) < expit(terms @ [-0.5, 1.2, -0.08])).astype(float)
    e[rng.choice(len(e), hidden, replace=False)] = np.nan
    E = np.zeros((n, n))
    E[i, j] = E[j, i] = e
    known = ~np.isnan(e)
    graph = Graph(np.column_stack([age, house]), E, ["age", "house"])
    return Town(graph, terms[known], e[known])


@pytest.fixture(scope="module")
def town() -> Town:
    return a_town()


@pytest.fixture(scope="module")
def model(town: Town) -> DyadicGraph:
    return DyadicGraph(TERMS).fit(town.graph)


def theta_of(model: DyadicGraph) -> Float:
    return np.append(model.intercept_, model.coef_)


def value(town: Town, theta: Float) -> float:
    logits = town.T @ theta
    return float(town.e @ logits - np.logaddexp(0, logits).sum())


def information(town: Town, theta: Float) -> Float:
    p = expit(town.T @ theta)
    return (town.T.T * (p * (1 - p))) @ town.T


def test_step_1_the_log_likelihood(town: Town, model: DyadicGraph) -> None:
    p = sigma(eta)
    for e in (0, 1):
        by_p = e * sp.log(p) + (1 - e) * sp.log(1 - p)
        by_logit = e * eta - sp.log(1 + sp.exp(eta))
        assert sp.simplify(sp.exp(by_p) / sp.exp(by_logit)) == 1
    assert sp.simplify(1 - p - 1 / (1 + sp.exp(eta))) == 0
    best = value(town, theta_of(model))
    assert model.log_likelihood_ == pytest.approx(best, rel=1e-12)
    assert model.log_density(town.graph)[0] == pytest.approx(best, rel=1e-12)


def test_step_2_the_gradient() -> None:
    assert sp.simplify(sp.diff(sp.log(1 + sp.exp(eta)), eta) - sigma(eta)) == 0
    gradient = sp.Matrix([likelihood(theta)]).jacobian(theta).T
    residual = sp.Matrix([e - sigma(x) for e, x in zip(LINKED, T * theta, strict=True)])
    assert sp.simplify(gradient - T.T * residual) == sp.zeros(3, 1)


def test_step_3_expected_sums_are_the_observed_ones(town: Town, model: DyadicGraph) -> None:
    observed = T.T * sp.Matrix(LINKED)
    soft = sum(sp.log(1 + sp.exp(x)) for x in T * theta)
    assert sp.expand(likelihood(theta) - (observed.T * theta)[0] + soft) == 0
    p = expit(town.T @ theta_of(model))
    np.testing.assert_allclose(town.T.T @ p, town.T.T @ town.e, rtol=1e-10)


def test_step_4_the_likelihood_is_concave() -> None:
    p = sigma(eta)
    assert sp.simplify(sp.diff(p, eta) - p * (1 - p)) == 0
    w = [sigma(x) * (1 - sigma(x)) for x in T * theta]
    found = sp.hessian(likelihood(theta), list(theta))
    assert sp.simplify(found + T.T * sp.diag(*w) * T) == sp.zeros(3, 3)
    v = sp.Matrix(sp.symbols("v0:3"))
    weights = sp.diag(*sp.symbols("w0:5", positive=True))
    bent = (v.T * T.T * weights * T * v)[0]
    assert sp.expand(bent - sum(weights[k, k] * x**2 for k, x in enumerate(T * v))) == 0
    # It vanishes along v only where all v . t do: for no v of these dyads.
    assert T.rank() == 3


def test_step_5_when_there_is_a_maximum() -> None:
    # Dyads at 1, 2, 3 and 4: links above a threshold are separated, those across it are not.
    s = sp.Symbol("s", real=True)
    places = [1, 2, 3, 4]
    v = sp.Matrix([-5, 2])  # v . t = 2 t - 5: below 0 at 1 and 2, above it at 3 and 4

    def along(linked: list[int]) -> sp.Expr:
        logits = [s * (v[0] + v[1] * t) for t in places]
        return sum(e * x - sp.log(1 + sp.exp(x)) for e, x in zip(linked, logits, strict=True))

    slope = sp.diff(along([0, 0, 1, 1]), s)
    assert all(slope.subs(s, at).evalf() > 0 for at in (-3, 0, 1, 10))
    assert sp.limit(along([0, 0, 1, 1]), s, sp.oo) == 0
    assert sp.limit(along([0, 1, 0, 1]), s, sp.oo) == -sp.oo
    assert sp.limit(along([0, 1, 0, 1]), s, -sp.oo) == -sp.oo
    # The model refuses just the first: links are where ages are close.
    age = np.array([20.0, 21.0, 23.0, 40.0, 44.0, 48.0])
    apart = abs(age[:, None] - age)
    separated = (apart < 5) & ~np.eye(6, dtype=bool)
    with pytest.raises(ModelError, match="separated from the other dyads"):
        DyadicGraph(["absdiff:age"]).fit(Graph(age[:, None], separated, ["age"]))
    crossed = separated.copy()
    crossed[0, 1] = crossed[1, 0] = False  # the closest pair has no link
    DyadicGraph(["absdiff:age"]).fit(Graph(age[:, None], crossed, ["age"]))


def test_step_6_newtons_method(town: Town, model: DyadicGraph) -> None:
    best, at = theta_of(model), np.zeros(3)
    lost = []
    for _ in range(8):
        gradient = town.T.T @ (town.e - expit(town.T @ at))
        step = np.linalg.solve(information(town, at), gradient)
        assert gradient @ step > 0
        lost.append(float(np.abs(at - best).max()))
        at = at + step
    np.testing.assert_allclose(at, best, rtol=1e-9)
    errors = [x for x in lost if 1e-5 < x < 0.3]
    assert len(errors) >= 2
    assert all(after < 10 * before**2 for before, after in pairwise(errors))
    # The top of the parabola: its slope is 0 one step away.
    g, G = sp.Matrix(sp.symbols("g0:2")), sp.Matrix([[3, 1], [1, 2]])
    d = sp.Matrix(sp.symbols("d0:2"))
    parabola = (g.T * d)[0] - (d.T * G * d)[0] / 2
    slope = sp.Matrix([parabola]).jacobian(d).T
    assert sp.simplify(slope.subs(dict(zip(d, G.inv() * g, strict=True)))) == sp.zeros(2, 1)
    rises = [row["increase"] for row in model.history_[1:]]
    assert min(rises) > -1e-9


def test_step_7_standard_errors(town: Town, model: DyadicGraph) -> None:
    p = sp.Symbol("p", positive=True)
    mean = p * (1 - p) + (1 - p) * (0 - p)
    variance = p * (1 - p) ** 2 + (1 - p) * (0 - p) ** 2
    assert sp.expand(mean) == 0
    assert sp.expand(variance - p * (1 - p)) == 0
    inverse = np.linalg.inv(information(town, theta_of(model)))
    np.testing.assert_allclose(model.covariance_, inverse, rtol=1e-8)
    np.testing.assert_allclose(model.standard_errors_, np.sqrt(np.diag(inverse)), rtol=1e-8)
    # Over many draws of the links, estimates spread by as much.
    rng = np.random.default_rng(0)
    drawn = model.sample(200, features=town.graph.features, random_state=rng)
    fits = [DyadicGraph(TERMS).fit(graph) for graph in drawn]
    spread = np.std([theta_of(fit) for fit in fits], axis=0, ddof=1)
    full = DyadicGraph(TERMS).fit(a_town(hidden=0).graph).standard_errors_
    np.testing.assert_allclose(spread, full, rtol=0.25)


def test_step_8_tests_and_intervals(town: Town, model: DyadicGraph) -> None:
    # What is lost by holding the first two of three coefficients: exact for a parabola.
    G = sp.Matrix([[4, 1, 2], [1, 5, 1], [2, 1, 3]])
    held = sp.Matrix(sp.symbols("a0:2"))
    x = sp.Symbol("x")
    d = sp.Matrix([*held, x])
    loss = (d.T * G * d)[0] / 2
    least = loss.subs(x, sp.solve(sp.diff(loss, x), x)[0])
    V = G.inv()[:2, :2]
    assert sp.simplify(least - (held.T * V.inv() * held)[0] / 2) == 0
    # A profile interval ends where twice the loss is the quantile.
    low, high = model.confidence_intervals(town.graph)[2]
    best = theta_of(model)
    for end in (low, high):
        rest = np.delete(best, 2)
        for _ in range(20):
            full = np.append(rest, end)
            gradient = town.T.T @ (town.e - expit(town.T @ full))
            rest = rest + np.linalg.solve(information(town, full)[:2, :2], gradient[:2])
        lost = value(town, best) - value(town, np.append(rest, end))
        assert 2 * lost == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-6)
    test = model.likelihood_ratio_test(DyadicGraph(["match:house"]).fit(town.graph))
    assert test.statistic == pytest.approx(model.coef_[1] ** 2 / model.covariance_[2, 2], rel=0.2)
    assert test.p_value == pytest.approx(stats.chi2.sf(test.statistic, 1))


def test_step_9_errors_without_independent_dyads() -> None:
    towns = [a_town(seed, n=25, hidden=5) for seed in range(8)]
    graphs = [one.graph for one in towns]
    model = DyadicGraph(TERMS).fit(graphs)
    best = theta_of(model)
    scores = np.array([one.T.T @ (one.e - expit(one.T @ best)) for one in towns])
    np.testing.assert_allclose(scores.sum(axis=0), 0, atol=1e-7)
    G = len(graphs)
    middle = G / (G - 1) * scores.T @ scores
    np.testing.assert_allclose(middle, G * np.cov(scores.T), rtol=1e-8)
    bread = np.linalg.inv(sum(information(one, best) for one in towns))
    errors = np.sqrt(np.diag(bread @ middle @ bread))
    np.testing.assert_allclose(model.clustered_standard_errors(graphs), errors, rtol=1e-7)


def test_step_10_a_constant_moves_the_intercept_alone() -> None:
    b, a, t, c = sp.symbols("b a t c")
    assert sp.expand(b + a * t - ((b + a * c) + a * (t - c))) == 0
    x, y, m = sp.symbols("x y m")
    assert sp.expand(x * y - m**2 - ((x - m) * y + m * (y - m))) == 0
    J = sp.Matrix([[1, -c], [0, 1]])  # coefficients about c, to those about 0
    V = sp.Matrix(2, 2, sp.symbols("v0 v1 v1 v2"))
    assert sp.expand((J * V * J.T)[1, 1] - V[1, 1]) == 0
    one = a_town().graph
    moved = one.replaced(features=one.features + np.array([1e6, 0.0]))
    terms = ["match:house", "sum:age"]
    near, far = DyadicGraph(terms).fit(one), DyadicGraph(terms).fit(moved)
    np.testing.assert_allclose(far.coef_, near.coef_, rtol=1e-9)
    np.testing.assert_allclose(far.standard_errors_[1:], near.standard_errors_[1:], rtol=1e-9)
    assert far.intercept_ == pytest.approx(near.intercept_ - near.coef_[1] * 2e6, rel=1e-9)


def test_step_11_equal_dyads_are_counted() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 3, (30, 2))
    i, j = np.triu_indices(30, 1)
    agree = levels[i] == levels[j]

    def at_least(chosen: tuple[int, ...]) -> int:
        _, sizes = np.unique(levels[:, chosen], axis=0, return_counts=True)
        return int((sizes * (sizes - 1) // 2).sum()) if chosen else len(i)

    for size in range(3):
        for own in combinations(range(2), size):
            assert at_least(own) == agree[:, own].all(axis=1).sum()
            exactly = sum(
                (-1) ** (len(more) - size) * at_least(more)
                for r in range(3)
                for more in combinations(range(2), r)
                if set(own) <= set(more)
            )
            wanted = np.isin(range(2), own)
            assert exactly == (agree == wanted).all(axis=1).sum()
    # 1,000 nodes have 499,500 dyads, which are four kinds: the fit is that of the table of all.
    house, hobby = rng.integers(0, 20, (2, 1000))
    i, j = np.triu_indices(1000, 1)
    T = np.column_stack([np.ones(len(i)), house[i] == house[j], hobby[i] == hobby[j]]).astype(float)
    e = (rng.random(len(i)) < expit(T @ [-4.0, 1.0, 0.5])).astype(float)
    E = np.zeros((1000, 1000), np.int8)
    E[i, j] = E[j, i] = e
    graph = Graph(np.column_stack([house, hobby]), E, ["house", "hobby"])
    model = DyadicGraph(["match:house", "match:hobby"])
    sums = model.fit(graph)._sums([graph])
    assert sums.n_visits == 4
    np.testing.assert_allclose(T.T @ expit(T @ theta_of(model)), T.T @ e, rtol=1e-9)
    assert model.log_likelihood_ == pytest.approx(
        value(Town(graph, T, e), theta_of(model)), rel=1e-12
    )


def test_step_12_a_penalty(town: Town) -> None:
    lam = sp.Symbol("lambda", positive=True)
    penalised = likelihood(theta) - lam / 2 * (theta.T * theta)[0]
    gradient = sp.Matrix([penalised - likelihood(theta)]).jacobian(theta).T
    assert sp.expand(gradient + lam * theta) == sp.zeros(3, 1)
    assert sp.hessian(penalised - likelihood(theta), list(theta)) == -lam * sp.eye(3)
    x = sp.Symbol("x", real=True)
    normal = -sp.log(2 * sp.pi / lam) / 2 - lam * x**2 / 2  # of variance 1 / lambda
    assert sp.diff(normal, x) == -lam * x
    model = DyadicGraph(TERMS, l2=3.0).fit(town.graph)
    best = theta_of(model)
    np.testing.assert_allclose(
        town.T.T @ (town.e - expit(town.T @ best)), 3.0 * best, rtol=1e-8, atol=1e-8
    )
    inverse = np.linalg.inv(information(town, best) + 3.0 * np.eye(3))
    np.testing.assert_allclose(model.covariance_, inverse, rtol=1e-8)
    E = np.zeros((6, 6))
    E[0, 1] = E[1, 0] = 1  # the two youngest alone
    age = np.array([[20.0], [21.0], [30.0], [40.0], [50.0], [60.0]])
    with pytest.raises(ModelError, match="no finite maximum"):
        DyadicGraph(["absdiff:0"]).fit(Graph(age, E))
    assert np.isfinite(DyadicGraph(["absdiff:0"], l2=1.0).fit(Graph(age, E)).coef_).all()
