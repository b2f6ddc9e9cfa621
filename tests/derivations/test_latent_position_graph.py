"""The steps of docs/models/latent_position_graph.md, a test each, by the number of the page.

Identities are checked in exact arithmetic (sympy): of symbols, or of rational numbers. What the
model computes is compared in float64.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy as sp
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import subspace_angles
from scipy.special import expit

from ancestral import Graph, InnerProductGraph
from ancestral import LatentPositionGraph as Latent
from ancestral.errors import ModelError
from ancestral.graph.latent.likelihood import Places, PositionLikelihood
from ancestral.graph.latent.spectral import spectral_embedding
from ancestral.graph.latent.unbounded import separated_nodes

Float = NDArray[np.float64]

# Four nodes in two dimensions, as symbols; and who is linked.
N, D = 4, 2
Z = sp.Matrix(N, D, sp.symbols(f"z0:{N * D}", real=True))
b, s = sp.symbols("b s", real=True)
PAIRS = list(itertools.combinations(range(N), 2))
E = sp.zeros(N, N)
for one, other in ((0, 1), (0, 2), (2, 3)):
    E[one, other] = E[other, one] = 1
# A place in exact numbers.
AT = sp.Matrix([[1, sp.Rational(1, 2)], [sp.Rational(-1, 3), 1], [2, -1], [sp.Rational(1, 4), 1]])


def dot(x: sp.Matrix, y: sp.Matrix) -> sp.Expr:
    return (x * y.T)[0]


def sigma(x: sp.Expr) -> sp.Expr:
    return 1 / (1 + sp.exp(-x))


def likelihood(Z: sp.Matrix, b: sp.Expr) -> sp.Expr:
    """The log-likelihood of the four nodes, as step 1 has it."""
    logits = {(i, j): dot(Z[i, :], Z[j, :]) + b for i, j in PAIRS}
    return sum(E[i, j] * x - sp.log(1 + sp.exp(x)) for (i, j), x in logits.items())


def probabilities(Z: sp.Matrix, b: sp.Expr) -> sp.Matrix:
    """P, with zeros on the diagonal."""
    return sp.Matrix(
        N, N, lambda i, j: 0 if i == j else sigma(dot(Z[i, :], Z[j, :]) + b)
    )  # fmt: skip


def a_network(n: int = 80, d: int = 2, seed: int = 0) -> tuple[Float, Float]:
    """Positions, and an adjacency drawn from them."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.5, 1.5, (n, d))
    links = np.triu(rng.random((n, n)) < expit(X @ X.T - 1), 1)
    return X, (links | links.T).astype(float)


@pytest.fixture(scope="module")
def links() -> Float:
    return a_network()[1]


@pytest.fixture(scope="module")
def model(links: Float) -> Latent:
    return Latent(2, tol=1e-8).fit(links)


def value(A: Float, X: Float, b: float) -> float:
    i, j = np.triu_indices(len(A), 1)
    eta = (X @ X.T)[i, j] + b
    return float(A[i, j] @ eta - np.logaddexp(0, eta).sum())


def p_of(model: Latent) -> Float:
    P = expit(model.positions_ @ model.positions_.T + model.intercept_)
    np.fill_diagonal(P, 0)
    return P


def test_step_1_the_likelihood_without_a_slope(links: Float, model: Latent) -> None:
    x, e = sp.Symbol("x", real=True), sp.Symbol("e")
    assert sp.simplify(sp.diff(e * x - sp.log(1 + sp.exp(x)), x) - (e - sigma(x))) == 0
    a = sp.Symbol("a", positive=True)
    one, other = Z[0, :], Z[1, :]
    assert sp.expand(a * dot(one, other) - dot(sp.sqrt(a) * one, sp.sqrt(a) * other)) == 0
    best = value(links, model.positions_, model.intercept_)
    assert model.log_likelihood_ == pytest.approx(best, rel=1e-12)
    assert model.log_density(links)[0] == pytest.approx(best, rel=1e-12)


def test_step_2_the_gradient(links: Float, model: Latent) -> None:
    by_Z = sp.Matrix(N, D, lambda i, k: sp.diff(likelihood(Z, b), Z[i, k]))
    assert sp.simplify(by_Z - (E - probabilities(Z, b)) * Z) == sp.zeros(N, D)
    residual = E - probabilities(Z, b)
    by_b = sp.diff(likelihood(Z, b), b)
    assert sp.simplify(by_b - sum(residual[i, j] for i, j in PAIRS)) == 0
    along = sum(residual[i, j] * dot(Z[i, :], Z[j, :]) for i, j in PAIRS)
    assert sp.expand(along - (Z.T * residual * Z).trace() / 2) == 0
    R = links - p_of(model)
    np.testing.assert_allclose(R @ model.positions_, 0, atol=1e-4)
    assert p_of(model).sum() == pytest.approx(links.sum(), rel=1e-6)
    slope = InnerProductGraph().fit(Graph(model.positions_, links)).slope_
    assert slope == pytest.approx(1.0, abs=1e-5)


def test_step_3_positions_are_known_up_to_a_rotation(model: Latent) -> None:
    Q = sp.Matrix([[3, -4], [4, 3]]) / 5
    Y = AT * Q
    assert Y * Y.T == AT * AT.T
    found = (AT.T * AT).inv() * AT.T * Y
    assert found == Q
    assert found.T * found == sp.eye(2)
    # Rotations are d (d - 1) / 2 ways to move without a change of any logit.
    rng = np.random.default_rng(0)
    for n, d in ((9, 2), (12, 3)):
        X = rng.normal(size=(n, d))
        moves = []
        for k, l in itertools.product(range(n), range(d)):  # noqa: E741
            step = np.zeros((n, d))
            step[k, l] = 1
            moves.append((X @ step.T + step @ X.T)[np.triu_indices(n, 1)])
        moves.append(np.ones(n * (n - 1) // 2))
        assert np.linalg.matrix_rank(moves) == n * d - d * (d - 1) // 2 + 1
    squared = model.positions_.T @ model.positions_
    assert abs(squared[0, 1]) < 1e-9 * squared[0, 0]
    assert squared[0, 0] > squared[1, 1]
    for column in model.positions_.T:
        assert column[np.abs(column).argmax()] > 0
    assert model.n_parameters_ == 80 * 2 - 1 + 1


def test_step_4_where_the_likelihood_is_concave() -> None:
    x = sp.Symbol("x", real=True)
    p = sigma(x)
    assert sp.simplify(sp.diff(-sp.log(1 + sp.exp(x)), x, 2) + p * (1 - p)) == 0
    # The second derivative along a direction, at a place in exact numbers.
    way = sp.Matrix([[1, -2], [0, 1], [3, 1], [-1, 1]])
    found = sp.diff(likelihood(AT + s * way, b), s, 2).subs({s: 0, b: -1})
    P = probabilities(AT, sp.Integer(-1))
    first = sum(
        P[i, j] * (1 - P[i, j]) * (dot(AT[i, :], way[j, :]) + dot(way[i, :], AT[j, :])) ** 2
        for i, j in PAIRS
    )
    second = sum((E - P)[i, j] * dot(way[i, :], way[j, :]) for i, j in PAIRS)
    assert abs(sp.N(found - (-first + 2 * second), 30)) < 1e-25
    # One node's: the Hessian of a logistic regression.
    own = sp.hessian(likelihood(Z, b), list(Z[0, :]))
    P = probabilities(Z, b)
    wanted = sum(
        (-P[0, j] * (1 - P[0, j]) * Z[j, :].T * Z[j, :] for j in range(1, N)), sp.zeros(D, D)
    )
    assert sp.simplify(own - wanted) == sp.zeros(D, D)
    # At 0 the gradient vanishes, but there the likelihood is no maximum: it bends upwards.
    gradient = sp.Matrix([likelihood(Z, b)]).jacobian(list(Z))
    assert gradient.subs(dict.fromkeys(Z, 0)) == sp.zeros(1, N * D)
    upwards = sp.Matrix([[1, 0], [1, 0], [1, 0], [0, 0]])
    bend = sp.diff(likelihood(s * upwards, b), s, 2).subs(s, 0)
    assert sp.simplify(bend.subs(b, 0)) > 0  # two of three pairs are linked, where 1/2 is expected


def test_step_5_the_start(links: Float) -> None:
    p, k, e = sp.symbols("p k e", positive=True)
    exact = e * (sp.log(p / (1 - p)) + k) - sp.log(1 + p / (1 - p) * sp.exp(k))
    expansion = sum(sp.diff(exact, k, r).subs(k, 0) * k**r / sp.factorial(r) for r in range(3))
    square = -p * (1 - p) / 2 * (k - (e - p) / (p * (1 - p))) ** 2
    assert sp.simplify(sp.diff(expansion - square, k)) == 0
    n = len(links)
    share = links.sum() / (n * (n - 1))
    A = (links - share * (1 - np.eye(n))) / (share * (1 - share))
    values, vectors = np.linalg.eigh(A)
    start = spectral_embedding(sparse.csr_array(links), share, 2)
    kernel = (vectors[:, -2:] * values[-2:]) @ vectors[:, -2:].T
    np.testing.assert_allclose(start @ start.T, kernel, atol=1e-9)
    # No other kernel of rank 2 is nearer.
    rng = np.random.default_rng(0)
    least = np.square(kernel - A).sum()
    for size in (0.01, 0.1, 1.0):
        other = start + size * rng.normal(size=start.shape)
        assert np.square(other @ other.T - A).sum() > least
    # Where unlike nodes are linked, an eigenvalue is replaced, and the start is not 0.
    two = np.kron(1 - np.eye(2), np.ones((3, 3)))
    embedded = spectral_embedding(sparse.csr_array(two), 0.6, 2)
    eigen = np.linalg.eigvalsh(two - 0.6 * (1 - np.eye(6)))
    assert (np.square(embedded).sum(axis=0) >= 0.99e-3 * eigen.max() / 0.24).all()


def test_step_6_the_errors_of_a_position(links: Float, model: Latent) -> None:
    P = p_of(model)
    for i in (0, 17):
        w = P[i] * (1 - P[i])
        own = (model.positions_.T * w) @ model.positions_
        errors = np.sqrt(np.diag(np.linalg.inv(own)))
        np.testing.assert_allclose(model.standard_errors_[i], errors, rtol=1e-8)
    # It is minus the second derivative of the likelihood in that position.
    base, h = model.positions_, 1e-3

    def at(x: float, y: float) -> float:
        moved = base.copy()
        moved[17] += [x, y]
        return value(links, moved, model.intercept_)

    bend = (at(h, 0) - 2 * at(0, 0) + at(-h, 0)) / h**2
    assert bend == pytest.approx(-own[0, 0], rel=1e-4)
    mixed = (at(h, h) - at(h, -h) - at(-h, h) + at(-h, -h)) / (4 * h**2)
    assert mixed == pytest.approx(-own[0, 1], rel=1e-3, abs=1e-3)


def test_step_7_when_there_is_no_maximum() -> None:
    # Node 0 is linked with 1 and 2, and not with 3: u separates them.
    u, others = sp.Matrix([[1, 1]]), sp.Matrix([[1, 0], [0, 2], [-1, -1]])
    z = sp.Matrix([[sp.Rational(1, 3), -1]])
    linked = [1, 1, 0]
    logits = [dot(z + s * u, others[j, :]) for j in range(3)]
    along = sum(e * x - sp.log(1 + sp.exp(x)) for e, x in zip(linked, logits, strict=True))
    slope = sp.diff(along, s)
    wanted = sum((e - sigma(x)) * dot(u, others[j, :]) for j, (e, x) in
                 enumerate(zip(linked, logits, strict=True)))  # fmt: skip
    assert sp.simplify(slope - wanted) == 0
    assert all(slope.subs(s, at).evalf() > 0 for at in (-4, 0, 2, 20))
    X = np.array([[0.1, 0.1], [1, 0], [0, 2], [-1, -1]], float)
    A = np.zeros((4, 4))
    A[0, [1, 2]] = A[[1, 2], 0] = 1
    assert 0 in separated_nodes(X, sparse.csr_array(A), 1)
    A[0, [1, 2]] = A[[1, 2], 0] = [1, 0]
    A[0, 3] = A[3, 0] = 1  # linked with opposite nodes
    X[3] = [-1, 0]
    X[2] = [0.5, 0]
    assert 0 not in separated_nodes(X, sparse.csr_array(A), 1)
    # A likelihood above -log 2 has each factor above 1/2, and rises to 0 with all logits.
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal([3, 0], 0.1, (5, 2)), rng.normal([-3, 0], 0.1, (5, 2))])
    A = np.kron(np.eye(2), np.ones((5, 5))) - np.eye(10)
    values = [value(A, c**0.5 * X, 0.0) for c in (1, 2, 4, 8)]
    assert values[0] > -np.log(2)
    assert (np.diff(values) > 0).all()
    assert values[-1] == pytest.approx(0, abs=1e-12)
    with pytest.raises(ModelError, match="predict every link"):
        Latent(1).fit(A)


def test_step_8_a_penalty(links: Float) -> None:
    lam = sp.Symbol("lambda", positive=True)
    size = sum(x**2 for x in Z)
    assert sp.expand(size - (Z * Z.T).trace()) == 0
    less = sp.Matrix(N, D, lambda i, k: sp.diff(lam / 2 * (size + b**2), Z[i, k]))
    assert sp.expand(less - lam * Z) == sp.zeros(N, D)
    model = Latent(2, l2=2.0, tol=1e-8).fit(links)
    R = links - p_of(model)
    np.testing.assert_allclose(R @ model.positions_, 2.0 * model.positions_, atol=1e-4)
    assert R.sum() / 2 == pytest.approx(2.0 * model.intercept_, abs=1e-4)
    for odd in (np.zeros((6, 6)), 1 - np.eye(6), np.kron(np.eye(2), np.ones((3, 3)))):
        assert np.isfinite(Latent(1, l2=1.0).fit(odd).positions_).all()


def test_step_9_node_effects_and_terms(links: Float) -> None:
    a = sp.Matrix(sp.symbols("a0:4"))
    c = sp.Matrix([sp.symbols("c0:2")])
    t = sp.Symbol("t")

    def logit(Z: sp.Matrix, a: sp.Matrix, b: sp.Expr) -> sp.Matrix:
        return Z * Z.T + a * sp.ones(1, N) + sp.ones(N, 1) * a.T + b * sp.ones(N, N)

    plain = logit(Z, a, b)
    raised = logit(Z, a + t * sp.ones(N, 1), b - 2 * t)
    assert sp.expand(raised - plain) == sp.zeros(N, N)
    moved = logit(Z + sp.ones(N, 1) * c, a - Z * c.T, b - dot(c, c))
    assert sp.expand(moved - plain) == sp.zeros(N, N)
    rng = np.random.default_rng(0)
    likelihood = PositionLikelihood(sparse.csr_array(links), 1)
    at = Places(0.5 * rng.normal(size=(80, 2)), -0.3, rng.normal(size=80))
    eta = at.X @ at.X.T + at.effects[:, None] + at.effects + at.b
    R = links - expit(eta)
    np.fill_diagonal(R, 0)
    _, slopes = likelihood.slopes(at)
    np.testing.assert_allclose(slopes.effects, R.sum(axis=1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(slopes.X, R @ at.X, rtol=1e-9, atol=1e-9)
    _, A = a_network(150)
    house = rng.integers(0, 3, 150)
    graph = Graph(house[:, None], A, ["house"])
    model = Latent(2, terms=["match:house"], node_effect=True, tol=1e-7).fit(graph)
    np.testing.assert_allclose(model.positions_.sum(axis=0), 0, atol=1e-9)
    assert model.node_effects_.sum() == pytest.approx(0, abs=1e-9)
    P = model.probabilities()
    same = house[:, None] == house
    np.testing.assert_allclose(P.sum(axis=1), A.sum(axis=1), atol=1e-3)
    assert (P * same).sum() == pytest.approx((A * same).sum(), abs=1e-3)
    assert model.n_parameters_ == 150 * 2 - 1 + 1 + (150 - 1 - 2) + 1


def test_step_10_the_errors_of_the_coefficients() -> None:
    G = sp.Matrix([[5, 1, 2, 0], [1, 4, 1, 1], [2, 1, 6, 1], [0, 1, 1, 3]])
    inner = G[:2, :2] - G[:2, 2:] * G[2:, 2:].inv() * G[2:, :2]
    assert G.inv()[:2, :2] == inner.inv()
    # The whole information of a small network, with a generalised inverse for rotations.
    rng = np.random.default_rng(0)
    _, A = a_network(100)
    graph = Graph(rng.integers(0, 2, (100, 1)), A, ["house"])
    model = Latent(2, terms=["match:house"], l2=0.0).fit(graph)
    P, Z = model.probabilities(), model.positions_
    i, j = np.triu_indices(100, 1)
    w = (P * (1 - P))[i, j]
    by_z = np.zeros((len(i), 100, 2))
    by_z[np.arange(len(i)), i], by_z[np.arange(len(i)), j] = Z[j], Z[i]
    by_z = by_z.reshape(len(i), -1)
    house = graph.features[:, 0]
    by_g = np.column_stack([np.ones(len(i)), house[i] == house[j]])
    I_zz, I_gz, I_gg = (by_z.T * w) @ by_z, (by_g.T * w) @ by_z, (by_g.T * w) @ by_g
    values, vectors = np.linalg.eigh(I_zz)
    assert (values[:2] < 1e-9 * values[-1]).tolist() == [True, False]
    turned = (Z @ np.array([[0, 1], [-1, 0]])).reshape(-1, 1)  # all positions turn together
    assert subspace_angles(vectors[:, :1], turned)[0] < 1e-5
    np.testing.assert_allclose(I_gz @ turned, 0, atol=1e-8)
    left = I_gg - I_gz @ np.linalg.pinv(I_zz, rcond=1e-10) @ I_gz.T
    error = np.sqrt(np.linalg.inv(left)[1, 1])
    assert model.coef_errors_[0] == pytest.approx(error, rel=1e-5)


def test_step_11_a_new_node(links: Float, model: Latent) -> None:
    rng = np.random.default_rng(0)
    e = (rng.random(80) < 0.4).astype(float)
    found = model.place(e, l2=0.5)
    z = found.positions[0]
    p = expit(model.positions_ @ z + model.intercept_)
    np.testing.assert_allclose(model.positions_.T @ (e - p), 0.5 * z, atol=1e-7)
    np.testing.assert_allclose(found.probabilities[0], p, rtol=1e-9)
    own = (model.positions_.T * (p * (1 - p))) @ model.positions_ + 0.5 * np.eye(2)
    np.testing.assert_allclose(
        found.standard_errors[0], np.sqrt(np.diag(np.linalg.inv(own))), rtol=1e-7
    )
    # Without a penalty it is the logistic regression alone.
    free = model.place(e, l2=0.0).positions[0]
    p = expit(model.positions_ @ free + model.intercept_)
    np.testing.assert_allclose(model.positions_.T @ (e - p), 0, atol=1e-6)


def test_step_12_the_rotation_to_a_map(model: Latent) -> None:
    R = sp.Matrix(N, D, sp.symbols(f"r0:{N * D}", real=True))
    Q = sp.Matrix([[3, -4], [4, 3]]) / 5
    left = sum(x**2 for x in Z * Q - R)
    right = sum(x**2 for x in Z) + sum(x**2 for x in R) - 2 * (Q.T * Z.T * R).trace()
    assert sp.expand(left - right) == 0
    rng = np.random.default_rng(0)
    where = rng.normal(size=(80, 2))
    turned = model.aligned_positions(where)
    np.testing.assert_allclose(turned @ turned.T, model.positions_ @ model.positions_.T, atol=1e-9)
    least = np.square(turned - where).sum()
    for angle in np.linspace(0, 2 * np.pi, 50):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        for flip in (1, -1):
            other = model.positions_ @ turn * [1, flip]
            assert np.square(other - where).sum() > least - 1e-9


def test_step_13_several_graphs_and_unknown_pairs(links: Float) -> None:
    rng = np.random.default_rng(0)
    graphs = [links, a_network(seed=1)[1]]
    X = 0.5 * rng.normal(size=(80, 2))
    i, j = np.triu_indices(80, 1)
    hidden = rng.random(len(i)) < 0.1
    gaps = np.zeros((80, 80))
    gaps[i[hidden], j[hidden]] = gaps[j[hidden], i[hidden]] = 1
    T = graphs[0] + graphs[1] * (1 - gaps)
    found = PositionLikelihood(sparse.csr_array(T), 2, unknown=sparse.csr_array(gaps))
    eta = (X @ X.T)[i, j] - 0.3
    wanted = T[i, j] @ eta - (2 - gaps[i, j]) @ np.logaddexp(0, eta)
    each = sum(A[i, j] * eta - np.logaddexp(0, eta) for A in graphs)
    each -= hidden * (graphs[1][i, j] * eta - np.logaddexp(0, eta))
    assert each.sum() == pytest.approx(wanted, rel=1e-12)
    at = Places(X, -0.3)
    assert found.log_likelihood_at(at) == pytest.approx(wanted, rel=1e-12)
    W = (2 - gaps) * expit(X @ X.T - 0.3)
    np.fill_diagonal(W, 0)
    np.testing.assert_allclose(found.slopes(at)[1].X, (T - W) @ X, rtol=1e-9, atol=1e-9)
