"""The steps of docs/models/inner_product_graph.md, a test each, by the number that the page gives.

Identities are checked in exact arithmetic (sympy): of symbols, or of rational numbers. What the
model computes is compared in float64.
"""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit

from ancestral import InnerProductGraph, datasets
from ancestral.errors import ModelError
from ancestral.graph.edges.sampling import sample_edges
from ancestral.graph.graph import Graph
from ancestral.graph.pairs.grid import INTERPOLATION, Cells

Float = NDArray[np.float64]

a, b, s, eta = sp.symbols("a b s eta", real=True)
p = 1 / (1 + sp.exp(-eta))
e = sp.Symbol("e", integer=True, nonnegative=True)

# Five pairs, in exact numbers: s, and whether they are linked.
S = [sp.Rational(2), sp.Rational(-1), sp.Rational(1, 2), sp.Rational(3), sp.Rational(0)]
E = [1, 0, 0, 1, 1]


def log_likelihood(rows: tuple[list, list] = (S, E)) -> sp.Expr:
    """Return l(a, b) of pairs."""
    return sum(
        linked * (a * x + b) - sp.log(1 + sp.exp(a * x + b))
        for x, linked in zip(*rows, strict=True)
    )


@pytest.fixture(scope="module")
def graphs() -> list[Graph]:
    return datasets.classrooms(30, random_state=3)


@pytest.fixture(scope="module")
def pairs(graphs: list[Graph]) -> tuple[Float, Float]:
    """s and e of all pairs."""
    found = []
    for graph in graphs:
        upper = np.triu_indices(graph.n_nodes, 1)
        found.append(((graph.features @ graph.features.T)[upper], graph.to_dense()[upper]))
    return np.concatenate([x for x, _ in found]), np.concatenate([y for _, y in found]) * 1.0


def total(pairs: tuple[Float, Float], theta: Float) -> float:
    x, linked = pairs
    z = theta[0] * x + theta[1]
    return float((linked * z - np.logaddexp(0, z)).sum())


def gradient(pairs: tuple[Float, Float], theta: Float) -> Float:
    x, linked = pairs
    off = linked - expit(theta[0] * x + theta[1])
    return np.array([off @ x, off.sum()])


def information(x: Float, theta: Float) -> Float:
    p = expit(theta[0] * x + theta[1])
    u = np.column_stack([x, np.ones(len(x))])
    found: Float = u.T @ (u * (p * (1 - p))[:, None])
    return found


def test_step_1_the_log_likelihood(graphs: list[Graph], pairs: tuple[Float, Float]) -> None:
    one = eta - sp.log(1 + sp.exp(eta))
    assert sp.simplify(sp.exp(one) - p) == 0  # e = 1
    assert sp.simplify(sp.exp(one - eta) - (1 - p)) == 0  # e = 0
    assert sp.simplify(p / (1 - p) - sp.exp(eta)) == 0
    model = InnerProductGraph().fit(graphs)
    theta = np.array([model.slope_, model.intercept_])
    x, linked = pairs
    p_ = expit(theta[0] * x + theta[1])
    product = np.log(np.where(linked == 1, p_, 1 - p_)).sum()
    assert total(pairs, theta) == pytest.approx(product, rel=1e-12)
    assert model.log_likelihood_ == pytest.approx(product, rel=1e-12)
    assert model.log_density(graphs).sum() == pytest.approx(product, rel=1e-12)


def test_step_2_the_derivative_of_one_pair() -> None:
    assert sp.simplify(sp.diff(sp.log(1 + sp.exp(eta)), eta) - p) == 0
    term = e * eta - sp.log(1 + sp.exp(eta))
    assert sp.simplify(sp.diff(term, eta) - (e - p)) == 0


def test_step_3_the_gradient(graphs: list[Graph], pairs: tuple[Float, Float]) -> None:
    slopes = [
        sum((k - 1 / (1 + sp.exp(-(a * x + b)))) * u for x, k, u in zip(S, E, by, strict=True))
        for by in (S, [1] * len(S))
    ]
    for name, slope in zip((a, b), slopes, strict=True):
        assert sp.simplify(sp.diff(log_likelihood(), name) - slope) == 0
    model = InnerProductGraph().fit(graphs)
    sums, at = model.pair_statistics(graphs), (1.0, -2.0)
    np.testing.assert_allclose(sums.gradient(*at), gradient(pairs, np.array(at)), rtol=1e-10)
    x, linked = pairs
    p_ = expit(model.slope_ * x + model.intercept_)
    assert p_.sum() == pytest.approx(linked.sum(), rel=1e-9)
    assert p_ @ x == pytest.approx(linked @ x, rel=1e-9)


def test_step_4_the_second_derivatives(graphs: list[Graph], pairs: tuple[Float, Float]) -> None:
    assert sp.simplify(sp.diff(p, eta) - p * (1 - p)) == 0
    term = e * (a * s + b) - sp.log(1 + sp.exp(a * s + b))
    w = (p * (1 - p)).subs(eta, a * s + b)
    expected = -w * sp.Matrix([[s**2, s], [s, 1]])
    assert sp.simplify(sp.hessian(term, (a, b)) - expected) == sp.zeros(2, 2)
    assert not expected.has(e)
    sums = InnerProductGraph().fit(graphs).pair_statistics(graphs)
    found = information(pairs[0], np.array([1.0, -2.0]))
    np.testing.assert_allclose(sums.information(1.0, -2.0), found, rtol=1e-10)


def test_step_5_one_maximum_at_most() -> None:
    w = sp.symbols(f"w0:{len(S)}", positive=True)
    v = sp.Matrix(sp.symbols("v1 v2", real=True))
    weights = list(zip(w, S, strict=True))
    held = sum((k * sp.Matrix([[x**2, x], [x, 1]]) for k, x in weights), sp.zeros(2, 2))
    squares = sum(k * (v[0] * x + v[1]) ** 2 for k, x in weights)
    assert sp.expand((v.T * held * v)[0] - squares) == 0
    # The determinant is a sum over two pairs each: 0 only if all s are equal.
    apart = sum(
        w[i] * w[j] * (S[i] - S[j]) ** 2 for i in range(len(S)) for j in range(i + 1, len(S))
    )
    assert sp.expand(held.det() - apart) == 0
    with pytest.raises(ModelError, match="all inner products equal 1"):
        InnerProductGraph().fit((np.ones((3, 1)), [[0, 1, 0], [1, 0, 0], [0, 0, 0]]))


def test_step_6_when_there_is_a_maximum() -> None:
    # The likelihood in terms of y = 2 e - 1.
    for linked, y in ((1, 1), (0, -1)):
        term = linked * eta - sp.log(1 + sp.exp(eta))
        assert sp.simplify(term + sp.log(1 + sp.exp(-y * eta))) == 0
    # Along a ray the term of a pair, -log(1 + exp(-(k + t r))), with r = y v . u.
    t, k = sp.symbols("t k", real=True)
    for rate, end in ((-1, -sp.oo), (1, 0)):
        assert sp.limit(-sp.log(1 + sp.exp(-(k + rate * t))), t, sp.oo) == end
    # One value of s for a node of feature 1 with each other node: s is that node's feature.
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        s_ = rng.integers(-2, 3, 4).astype(float)
        linked = rng.integers(0, 2, 4).astype(bool)
        one, other = s_[linked], s_[~linked]
        overlap = (
            len(one) > 0 and len(other) > 0 and one.min() < other.max() and other.min() < one.max()
        )
        # A direction in which no pair falls: looked for on all lines that separate pairs.
        y = np.where(linked, 1.0, -1.0)
        angles = np.linspace(0, 2 * np.pi, 361)
        lines = [np.array([np.cos(angle), np.sin(angle)]) for angle in angles]
        lines += [sign * np.array([1.0, -x]) for x in s_ for sign in (-1.0, 1.0)]
        worst = [np.min(y * (v[0] * s_ + v[1])) for v in lines]
        assert overlap == (max(worst) < -1e-12)
        # Pairs among the four others are unknown.
        X = np.array([[1.0], *([x] for x in s_)])
        A = np.full((5, 5), np.nan)
        A[0, 1:] = A[1:, 0] = linked
        np.fill_diagonal(A, 0)
        if overlap:
            assert np.isfinite(InnerProductGraph().fit((X, A)).slope_)
        else:
            refused += 1
            with pytest.raises(ModelError):
                InnerProductGraph().fit((X, A))
        model = InnerProductGraph(l2=1).fit((X, A))
        slope = gradient((s_, linked * 1.0), np.array([model.slope_, model.intercept_]))
        np.testing.assert_allclose(slope, [model.slope_, model.intercept_], atol=1e-8)
    assert 20 < refused < 180


def test_step_7_newtons_method(graphs: list[Graph], pairs: tuple[Float, Float]) -> None:
    # The step is the top of the parabola.
    d, g = sp.Matrix(sp.symbols("d1 d2")), sp.Matrix(sp.symbols("g1 g2"))
    i, j, k = sp.symbols("i j k")
    held = sp.Matrix([[i, j], [j, k]])
    parabola = (d.T * g)[0] - (d.T * held * d)[0] / 2
    top = dict(zip(d, held.inv() * g, strict=True))
    assert sp.simplify(sp.Matrix([parabola]).jacobian(d).subs(top)) == sp.zeros(1, 2)
    # Bayes' rule for two normals of one variance.
    m1, m0 = sp.symbols("m1 m0", real=True)
    v, rho = sp.symbols("v rho", positive=True)
    logs = [sp.log(share) - (s - m) ** 2 / (2 * v) for share, m in ((rho, m1), (1 - rho, m0))]
    line = sp.log(rho) - sp.log(1 - rho) + (m1 - m0) / v * (s - (m1 + m0) / 2)
    assert sp.expand(logs[0] - logs[1] - line) == 0
    # The model's first iterations: independent links, this line, and Newton's step from there.
    x, linked = pairs
    share = linked.mean()
    one, other = x[linked == 1], x[linked == 0]
    within = ((one - one.mean()) ** 2).sum() + ((other - other.mean()) ** 2).sum()
    slope = (one.mean() - other.mean()) / (within / len(x))
    offset = np.log(share / (1 - share)) - slope * (one.mean() + other.mean()) / 2
    model = InnerProductGraph().fit(graphs)
    path = np.array([(step["a"], step["b"]) for step in model.history_])
    np.testing.assert_allclose(path[0], [0, np.log(share / (1 - share))], atol=1e-12)
    np.testing.assert_allclose(path[1], [slope, offset], rtol=1e-8)
    step = np.linalg.solve(information(x, path[1]), gradient(pairs, path[1]))
    assert step @ gradient(pairs, path[1]) > 0
    np.testing.assert_allclose(path[2], path[1] + step, rtol=1e-8)
    # Digits double: each error is about the square of the one before.
    off = np.abs(path - path[-1]).max(axis=1)
    assert off[4] < off[3] ** 2 < off[2] ** 3


def test_step_8_a_step_that_always_raises(graphs: list[Graph], pairs: tuple[Float, Float]) -> None:
    q = sp.Symbol("q", real=True)
    assert sp.expand(q * (1 - q) - (sp.Rational(1, 4) - (q - sp.Rational(1, 2)) ** 2)) == 0
    x, _ = pairs
    n = len(x)
    u = np.column_stack([x, np.ones(n)])
    largest = np.linalg.eigvalsh(u.T @ u / n).max() / 4
    rng = np.random.default_rng(0)
    for theta in rng.normal(scale=4, size=(200, 2)):
        assert np.linalg.eigvalsh(information(x, theta) / n).max() <= largest * (1 + 1e-12)
        g = gradient(pairs, theta) / n
        alpha = rng.uniform(0, 2) / largest
        gained = (total(pairs, theta + alpha * g) - total(pairs, theta)) / n
        assert gained >= alpha * (1 - alpha * largest / 2) * (g @ g) - 1e-12
    # Fixed steps of 1.9 / lambda rise at each, and lead to the maximum.
    model = InnerProductGraph().fit(graphs)
    best = np.array([model.slope_, model.intercept_])
    theta, seen = rng.normal(size=2), -np.inf
    for _ in range(3000):
        value = total(pairs, theta)
        assert value > seen - 1e-9
        theta, seen = theta + 1.9 / largest * gradient(pairs, theta) / n, value
    np.testing.assert_allclose(theta, best, atol=1e-5)
    # The model's ascent: Barzilai and Borwein's steps, halved until they rise far enough.
    ascent = InnerProductGraph(solver="gradient_ascent", random_state=0).fit(graphs)
    path = np.array([(step["a"], step["b"]) for step in ascent.history_])
    first = 1 / np.trace(information(x, np.zeros(2)))
    assert first <= 1 / (largest * n)
    slopes = np.array([gradient(pairs, theta) for theta in path])
    for k in range(len(path) - 2):
        moved = path[k + 1] - path[k]
        tau = moved @ moved / (moved @ (slopes[k] - slopes[k + 1]))
        taken = np.linalg.norm(path[k + 2] - path[k + 1]) / np.linalg.norm(slopes[k + 1])
        halvings = np.log2(tau / taken)
        assert halvings == pytest.approx(round(halvings), abs=1e-3)
        assert halvings > -0.5
        gained = ascent.history_[k + 2]["increase"]
        assert gained >= 0.99e-4 * taken * (slopes[k + 1] @ slopes[k + 1])
    taken = np.linalg.norm(path[1] - path[0]) / np.linalg.norm(slopes[0])
    assert taken == pytest.approx(first, rel=1e-8)


def test_step_9_standard_errors(graphs: list[Graph], pairs: tuple[Float, Float]) -> None:
    # Mean and variance of a link.
    q = sp.Symbol("q")
    mean = q * 1 + (1 - q) * 0
    assert sp.expand(q * (1 - mean) ** 2 + (1 - q) * (0 - mean) ** 2 - q * (1 - q)) == 0
    model = InnerProductGraph().fit(graphs)
    theta = np.array([model.slope_, model.intercept_])
    covariance = np.linalg.inv(information(pairs[0], theta))
    np.testing.assert_allclose(model.covariance_, covariance, rtol=1e-8)
    np.testing.assert_allclose(model.standard_errors_, np.sqrt(np.diag(covariance)), rtol=1e-8)
    # Drawn anew given the features, the gradient at the truth has mean 0 and covariance I.
    rng = np.random.default_rng(0)
    p_ = expit(theta[0] * pairs[0] + theta[1])
    u = np.column_stack([pairs[0], np.ones(len(p_))])
    drawn = np.array([(u.T @ ((rng.random(len(p_)) < p_) - p_)) for _ in range(3000)])
    held = information(pairs[0], theta)
    scale = np.sqrt(np.diag(held))
    assert np.abs(drawn.mean(axis=0) / scale).max() < 0.08
    np.testing.assert_allclose(
        np.cov(drawn.T) / np.outer(scale, scale), held / np.outer(scale, scale), atol=0.1
    )
    fits = [InnerProductGraph().fit(_again(graphs, model, k)).slope_ for k in range(200)]
    assert np.std(fits) == pytest.approx(model.standard_errors_[0], rel=0.2)


def _again(graphs: list[Graph], model: InnerProductGraph, seed: int) -> list[Graph]:
    """Return links drawn anew, for the same features."""
    rng = np.random.default_rng(seed)
    return [model.sample(features=graph.features, random_state=rng)[0] for graph in graphs]


def test_step_10_profiles_and_clusters(graphs: list[Graph], pairs: tuple[Float, Float]) -> None:
    # The profile of a parabola.
    i, j, k, x, y = sp.symbols("i j k x y")
    held = sp.Matrix([[i, j], [j, k]])
    drop = (sp.Matrix([[x, y]]) * held * sp.Matrix([x, y]))[0]
    (best,) = sp.solve(sp.diff(drop, y), y)
    assert sp.simplify(drop.subs(y, best) - (i - j**2 / k) * x**2) == 0
    assert sp.simplify(drop.subs(y, best) - x**2 / held.inv()[0, 0]) == 0
    assert np.sqrt(stats.chi2.ppf(0.95, 1)) == pytest.approx(1.96, abs=1e-3)

    model = InnerProductGraph().fit(graphs)
    theta = np.array([model.slope_, model.intercept_])

    def profile(slope: float) -> float:
        found = minimize_scalar(
            lambda offset: -total(pairs, np.array([slope, offset])),
            bounds=(theta[1] - 5, theta[1] + 5),
            method="bounded",
            options={"xatol": 1e-9},
        )
        return 2 * (total(pairs, theta) + found.fun) - stats.chi2.ppf(0.95, 1)

    reach = 4 * model.standard_errors_[0]
    ends = [brentq(profile, theta[0], theta[0] + side * reach) for side in (-1, 1)]
    np.testing.assert_allclose(model.confidence_intervals(graphs)[0], ends, rtol=1e-5)

    parts = np.array([model.pair_statistics([graph]).gradient(*theta) for graph in graphs])
    np.testing.assert_allclose(parts.sum(axis=0), 0, atol=1e-6)
    inverse = np.linalg.inv(information(pairs[0], theta))
    G = len(graphs)
    sandwich = inverse @ (G / (G - 1) * parts.T @ parts) @ inverse
    errors = model.clustered_standard_errors(graphs)
    np.testing.assert_allclose(errors, np.sqrt(np.diag(sandwich)), rtol=1e-8)


def test_step_11_new_graphs() -> None:
    q, bound = sp.symbols("q bound", positive=True)
    assert sp.simplify(bound * (q / bound) - q) == 0
    # Distances between candidates: with probability (1 - q)^(k - 1) q the next is k away.
    k = sp.Symbol("k", integer=True, positive=True)
    share = sp.Rational(1, 7)
    assert sp.summation((1 - share) ** (k - 1) * share, (k, 1, sp.oo)) == 1
    # Both ways of drawing: the number of links of each pair, over many draws.
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(12, 2))
    p_ = expit(3 * X @ X.T - 1.5)[np.triu_indices(12, 1)]
    draws = 2000
    model = InnerProductGraph().fit(datasets.classrooms(5, random_state=0))
    model.slope_, model.intercept_, model.n_features_ = 3.0, -1.5, 2
    by_pairs = sum(
        graph.adjacency.astype(int) for graph in model.sample(draws, features=X, random_state=0)
    )
    by_cells = sum(
        sample_edges(X, 3.0, -1.5, random_state=rng).toarray().astype(int) for _ in range(draws)
    )
    for counts in (by_pairs, by_cells):
        seen = counts[np.triu_indices(12, 1)]
        z = (seen - draws * p_) / np.sqrt(draws * p_ * (1 - p_))
        assert np.abs(z).max() < 4.5
        assert stats.chi2.sf((z**2).sum(), len(z)) > 1e-3


def test_step_12_many_pairs_as_few_values(graphs: list[Graph], pairs: tuple[Float, Float]) -> None:
    t = sp.Symbol("t", positive=True)
    weights = [
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    ]
    for degree in range(4):  # a cubic polynomial is exact
        values = [w * sp.Integer(k) ** degree for k, w in zip((-1, 0, 1, 2), weights, strict=True)]
        assert sp.expand(sum(values) - t**degree) == 0
    node = (t + 1) * t * (t - 1) * (t - 2) / 24
    tops = sp.solve(sp.diff(node, t), t)
    assert max(abs(node.subs(t, top)) for top in tops if 0 <= top <= 1) == sp.Rational(3, 128)
    assert INTERPOLATION == 3 / 128
    # The fourth derivative, and its bound.
    w = sp.Symbol("w", positive=True)
    fourth = sp.diff(sp.log(1 + sp.exp(a * s + b)), s, 4)
    held = (p * (1 - p)).subs(eta, a * s + b)
    assert sp.simplify(fourth - a**4 * held * (1 - 6 * held)) == 0
    ends = [(1 - 6 * w).subs(w, end) for end in (0, sp.Rational(1, 4))]  # monotone between
    assert ends == [1, -sp.Rational(1, 2)]
    assert sp.simplify(held - sp.exp(-(a * s + b)) / (1 + sp.exp(-(a * s + b))) ** 2) == 0
    # The model's grid: within the bound of the sum over all pairs, and near to it.
    x, _ = pairs
    cells = Cells(2.0**-4, -200, 400)
    layers = cells.layers(cells.node_weights(cells.moments(x)))
    for at in ((5.5, -5.4), (-2.0, 1.0)):
        z = at[0] * x + at[1]
        exact = np.logaddexp(0, z).sum()
        found = sum((y.weights @ np.logaddexp(0, at[0] * y.nodes + at[1])) for y in layers)
        bound = 3 / 128 * (abs(at[0]) * 2.0**-4) ** 4 * np.exp(-np.maximum(np.abs(z) - 1, 0)).sum()
        assert abs(found - exact) <= bound
        assert found == pytest.approx(exact, rel=1e-2)
    visited = InnerProductGraph(pairs="visited").fit(graphs)
    kept = InnerProductGraph(pairs="products").fit(graphs)
    assert visited.slope_ == pytest.approx(kept.slope_, rel=1e-6)
    assert visited.log_likelihood_ == pytest.approx(kept.log_likelihood_, rel=1e-8)
