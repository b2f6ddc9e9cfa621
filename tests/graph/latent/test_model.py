"""Positions learnt from who is linked with whom."""

from __future__ import annotations

import itertools
import resource
import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit, log_expit

from ancestral import AncestralError, AncestralWarning, Graph, InnerProductGraph
from ancestral import LatentPositionGraph as Latent
from ancestral.errors import ModelError
from ancestral.graph.edges.sampling import sample_edges
from ancestral.graph.latent.likelihood import Places, PositionLikelihood
from ancestral.graph.latent.spectral import canonical, spectral_embedding
from ancestral.graph.latent.unbounded import separated_nodes

FALSE_ALARM = 1e-4


def simulated(n: int, m: int = 2, b: float = -1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and an adjacency drawn from them."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.5, 1.5, (n, m))
    upper = np.triu(rng.random((n, n)) < expit(X @ X.T + b), 1)
    return X, (upper | upper.T).astype(np.int8)


def likelihood(
    A: np.ndarray, n_graphs: int = 1, l2: float = 0.0, n_jobs: int | None = None
) -> PositionLikelihood:
    return PositionLikelihood(sparse.csr_array(A.astype(float)), n_graphs, l2, n_jobs)


def climbed(
    model: Latent, sums: PositionLikelihood, start: np.ndarray
) -> tuple[tuple[np.ndarray, float], list[dict[str, float]]]:
    """Return positions and intercept at the maximum from a start, and the way there."""
    b = float(np.log(sums.share / (1 - sums.share)))
    found, history = model._climb(sums, Places(start, b))
    return (found.X, found.b), history


def distance(X: np.ndarray, truth: np.ndarray) -> float:
    """Return the root mean squared distance to the truth in the best rotation (Procrustes)."""
    U, _, V = np.linalg.svd(X.T @ truth)
    return float(np.sqrt(((X @ U @ V - truth) ** 2).sum(axis=1).mean()))


# ---- the likelihood and its gradient ---------------------------------------------------------


def test_the_gradient_is_the_symbolic_one() -> None:
    sympy = pytest.importorskip("sympy")
    n, m, l2 = 4, 2, 0.3
    names = sympy.symbols(f"x:{n * m}")
    b = sympy.Symbol("b")
    X = sympy.Matrix(n, m, names)
    T = np.array([[0, 2, 1, 0], [2, 0, 0, 1], [1, 0, 0, 2], [0, 1, 2, 0]])  # two graphs
    value = -sympy.Rational(3, 20) * (sum(x**2 for x in names) + b**2)
    for i, j in itertools.combinations(range(n), 2):
        eta = X.row(i).dot(X.row(j)) + b
        value += int(T[i, j]) * eta - 2 * sympy.log(1 + sympy.exp(eta))
    at = np.random.default_rng(0).normal(size=n * m + 1)
    where = dict(zip((*names, b), at))
    wanted = [float(sympy.diff(value, name).subs(where)) for name in (*names, b)]
    found, by_X, by_b = likelihood(T, 2, l2).evaluate(at[:-1].reshape(n, m), at[-1])
    assert found == pytest.approx(float(value.subs(where)), rel=1e-13)
    np.testing.assert_allclose([*by_X.ravel(), by_b], wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("n", [3, 64, 65, 700])
def test_blocks_of_pairs_give_the_dense_sums(n: int) -> None:
    X, A = simulated(n, 3)
    X, b = 3 * X, -2.0  # logits far from 0 on either side
    eta = X @ X.T + b
    i, j = np.triu_indices(n, 1)
    signs = np.where(A, 1, -1)
    wanted = log_expit(signs * eta)[i, j].sum()
    E_P = A - expit(eta)
    np.fill_diagonal(E_P, 0)
    found, by_X, by_b = likelihood(A).evaluate(X, b)
    assert found == pytest.approx(wanted, rel=1e-11)
    np.testing.assert_allclose(by_X, E_P @ X, rtol=1e-9, atol=1e-9)
    assert by_b == pytest.approx(E_P.sum() / 2, rel=1e-9, abs=1e-9)


def test_the_gradient_is_that_of_finite_differences() -> None:
    X, A = simulated(90)
    sums = likelihood(A, l2=0.5)
    _, by_X, by_b = sums.evaluate(X, -0.7)
    step = 1e-5
    for i, k in ((0, 0), (63, 1), (64, 0), (89, 1)):
        ahead, behind = X.copy(), X.copy()
        ahead[i, k] += step
        behind[i, k] -= step
        rise = sums.evaluate(ahead, -0.7)[0] - sums.evaluate(behind, -0.7)[0]
        assert rise / (2 * step) == pytest.approx(by_X[i, k], rel=1e-6, abs=1e-6)
    rise = sums.evaluate(X, -0.7 + step)[0] - sums.evaluate(X, -0.7 - step)[0]
    assert rise / (2 * step) == pytest.approx(by_b, rel=1e-6)


def test_threads_change_no_bit() -> None:
    X, A = simulated(700)
    alone, together = (likelihood(A, n_jobs=jobs).evaluate(X, -1.0) for jobs in (1, 3))
    assert alone[0] == together[0]
    np.testing.assert_array_equal(alone[1], together[1])
    one, three = (Latent(2, n_jobs=jobs).fit(A) for jobs in (1, 3))
    np.testing.assert_array_equal(one.positions_, three.positions_)


def test_parameters_are_as_many_as_the_directions_in_which_the_logits_move() -> None:
    """The rank of the logits' derivative: rotations of the positions move nothing."""
    for n, m in ((8, 1), (9, 2), (12, 3), (14, 4)):
        X = np.random.default_rng(0).normal(size=(n, m))
        pairs = list(itertools.combinations(range(n), 2))
        derivative = np.zeros((len(pairs), n * m + 1))
        derivative[:, -1] = 1
        for row, (i, j) in enumerate(pairs):
            derivative[row, i * m : (i + 1) * m] = X[j]
            derivative[row, j * m : (j + 1) * m] = X[i]
        model = Latent(m)
        model.positions_, model.node_effects_, model.coef_ = X, None, np.zeros(0)
        assert np.linalg.matrix_rank(derivative) == model.n_parameters_


# ---- the maximum -----------------------------------------------------------------------------


@pytest.mark.parametrize("l2", [0.0, 2.0])
def test_the_likelihood_rises_at_every_iteration_to_a_maximum(l2: float) -> None:
    _, A = simulated(150)
    model = Latent(2, l2=l2).fit(A)
    assert min(step["increase"] for step in model.history_[1:]) > 0
    sums = likelihood(A, l2=l2)
    best, by_X, by_b = sums.evaluate(model.positions_, model.intercept_)
    assert best == pytest.approx(model.history_[-1]["log_likelihood"], rel=1e-12)
    assert np.abs(by_X * model.standard_errors_).max() < 1e-3  # standard errors from the top
    assert abs(by_b) < 0.1
    rng = np.random.default_rng(1)
    for size in (1e-3, 1e-2, 0.1):
        for _ in range(10):
            moved = model.positions_ + size * rng.normal(size=(150, 2))
            assert sums.evaluate(moved, model.intercept_ + size * rng.normal())[0] < best


def test_at_the_maximum_a_slope_would_be_one() -> None:
    """The positions taken for features, Newton's method finds slope 1 and the same intercept."""
    _, A = simulated(200, 3)
    model = Latent(3).fit(A)
    known = InnerProductGraph().fit(Graph(model.positions_, A))
    assert known.slope_ == pytest.approx(1.0, abs=1e-5)
    assert known.intercept_ == pytest.approx(model.intercept_, abs=1e-5)
    assert model.log_likelihood_ == pytest.approx(known.log_likelihood_, rel=1e-9)
    assert model.log_density(A)[0] == pytest.approx(model.log_likelihood_, rel=1e-12)
    p = model.probabilities()
    assert p.sum() == pytest.approx(A.sum(), rel=1e-6)
    np.testing.assert_allclose(p, known.probabilities(model.positions_), atol=1e-5)


def test_other_starts_lead_no_higher() -> None:
    _, A = simulated(80)
    model = Latent(2, l2=0.2).fit(A)
    best = model.history_[-1]["log_likelihood"]
    rng = np.random.default_rng(0)
    reached = []
    for _ in range(10):
        (X, b), history = climbed(model, likelihood(A, l2=0.2), rng.normal(size=(80, 2)))
        reached.append(history[-1]["log_likelihood"])
        if reached[-1] > best - 1e-6:
            np.testing.assert_allclose(canonical(X), model.positions_, atol=1e-3)
            assert b == pytest.approx(model.intercept_, abs=1e-3)
    assert max(reached) < best + 1e-6
    assert sum(value > best - 1e-6 for value in reached) >= 5


# ---- the rotation ----------------------------------------------------------------------------


def test_the_rotation_is_canonical() -> None:
    _, A = simulated(120, 3)
    model = Latent(3).fit(A)
    X = model.positions_
    gram = X.T @ X
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-9)
    assert (np.diff(np.diag(gram)) < 0).all()
    assert (X[np.abs(X).argmax(axis=0), range(3)] > 0).all()
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    np.testing.assert_allclose(canonical(X @ turn), X, atol=1e-9)
    start = spectral_embedding(sparse.csr_array(A.astype(float)), likelihood(A).share, 3)
    (turned, b), _ = climbed(model, likelihood(A), start @ turn)
    np.testing.assert_allclose(canonical(turned), X, atol=1e-3)
    assert b == pytest.approx(model.intercept_, abs=1e-4)


def test_the_order_of_nodes_does_not_matter() -> None:
    _, A = simulated(120)
    order = np.random.default_rng(0).permutation(120)
    model, other = Latent(2).fit(A), Latent(2).fit(A[np.ix_(order, order)])
    np.testing.assert_allclose(other.positions_, model.positions_[order], atol=1e-3)
    np.testing.assert_allclose(other.standard_errors_, model.standard_errors_[order], rtol=1e-2)


# ---- recovery --------------------------------------------------------------------------------


def test_positions_are_recovered_up_to_rotation() -> None:
    """Errors fall as 1/sqrt(n): by half from n = 100 to n = 400, and again to n = 1,600."""
    errors = []
    for n in (100, 400, 1_600):
        X, A = simulated(n)
        model = Latent(2).fit(A)
        errors.append(distance(model.positions_, X))
        assert abs(model.intercept_ + 1) < 15 / n
    assert errors[2] < 0.12  # positions are 1.2 long
    ratios = np.divide(errors[1:], errors[:-1])
    assert ((ratios > 0.4) & (ratios < 0.6)).all()


@pytest.mark.parametrize("b", [-1.0, -3.0])
def test_the_maximum_is_closer_than_the_eigenvectors_it_starts_from(b: float) -> None:
    """By more as n grows: the spectral embedding of a logistic model keeps a bias."""
    gain = []
    for n in (400, 1_200):
        X, A = simulated(n, b=b)
        start = spectral_embedding(sparse.csr_array(A.astype(float)), likelihood(A).share, 2)
        gain.append(distance(Latent(2).fit(A).positions_, X) / distance(start, X))
    assert gain[0] < 0.97
    assert gain[1] < min(gain[0], 0.85)


def test_standard_errors_are_those_of_repeated_fits() -> None:
    X, _ = simulated(300)
    X = canonical(X)
    ratios = []
    for seed in range(3):
        rng = np.random.default_rng(100 + seed)
        upper = np.triu(rng.random((300, 300)) < expit(X @ X.T - 1), 1)
        model = Latent(2).fit(upper | upper.T)
        U, _, V = np.linalg.svd(model.positions_.T @ X)
        ratios.append((model.positions_ @ U @ V - X) / model.standard_errors_)
    z = np.concatenate(ratios)
    assert 0.95 < z.std() < 1.12  # the others' errors, left out, add a few hundredths
    assert 0.92 < (np.abs(z) < 1.96).mean() < 0.96


def test_several_graphs_on_the_same_nodes_tell_more_than_one() -> None:
    X, _ = simulated(60)
    rng = np.random.default_rng(0)
    uppers = [np.triu(rng.random((60, 60)) < expit(X @ X.T - 1), 1) for _ in range(16)]
    graphs = [upper | upper.T for upper in uppers]
    few, many = Latent(2, l2=0.1).fit(graphs[:1]), Latent(2, l2=0.1).fit(graphs)
    assert distance(many.positions_, X) < 0.4 * distance(few.positions_, X)
    assert many.n_pairs_ == 16 * 60 * 59 // 2
    assert many.log_density(graphs).sum() == pytest.approx(many.log_likelihood_, rel=1e-12)
    np.testing.assert_array_equal(Latent(2, l2=0.1).fit(np.array(graphs)).positions_,
                                  many.positions_)  # fmt: skip
    assert many.bic(graphs) == pytest.approx(
        many.n_parameters_ * np.log(many.n_pairs_) - 2 * many.log_likelihood_
    )


def test_large_graphs_take_no_memory_for_pairs(
    *, long: bool, note: Callable[[str, str], None]
) -> None:
    """With --long at 10,000 nodes: half a minute of one core."""
    n = 10_000 if long else 400
    rng = np.random.default_rng(0)
    X = rng.uniform(-1.5, 1.5, (n, 3))
    A = sample_edges(X, 1.0, -2.0 if n == 400 else -5.5, random_state=0)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    model = Latent(3).fit(A)
    seconds = time.process_time() - start
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert distance(model.positions_, X) < (0.36 if n == 400 else 0.25)
    assert more < 200  # MiB; a matrix of 10,000 x 10,000 float64 takes 763
    note(f"latent positions, n={n}, m=3", f"{seconds:.1f} CPU-s, {more:.0f} MiB more")


# ---- no maximum ------------------------------------------------------------------------------


def ring(n: int = 20) -> np.ndarray:
    angle = 2 * np.pi * np.arange(n) / n
    return (np.cos(angle[:, None] - angle) > 0.7).astype(int)


def lonely() -> np.ndarray:
    _, A = simulated(60)
    A[7] = A[:, 7] = 0
    return A


NO_MAXIMUM: dict[str, tuple[np.ndarray, str]] = {
    "empty": (np.zeros((12, 12), int), "no pair of nodes is linked: b -> -inf"),
    "complete": (np.ones((12, 12), int), r"every pair of nodes is linked: b -> \+inf"),
    "two cliques": (np.kron(np.eye(2, dtype=int), np.ones((9, 9), int)), "predict every link"),
    "ring": (ring(), "predict every link"),
    "lonely": (lonely(), r"node \d+, with \d+ links?, can move away|has grown to a length"),
    "star": (np.pad(np.ones((1, 11), int), ((0, 11), (1, 0))), "no finite maximum"),
}


@pytest.mark.parametrize("kind", NO_MAXIMUM)
def test_a_likelihood_without_a_maximum_is_named_and_a_penalty_mends_it(kind: str) -> None:
    A, message = NO_MAXIMUM[kind]
    A = np.maximum(A, A.T)
    with pytest.raises(ModelError, match=message) as caught:
        Latent(2).fit(A)
    assert "l2=1" in str(caught.value)
    model = Latent(2, l2=1).fit(A)
    _, by_X, by_b = likelihood(A * (1 - np.eye(len(A))), l2=1.0).evaluate(
        model.positions_, model.intercept_
    )
    assert np.abs(by_X).max() < 0.01
    assert abs(by_b) < 0.01


def test_separated_nodes_are_found_by_their_directions() -> None:
    """Nodes all round the origin: links to one half of them separate, links to all sides do not."""
    angle = np.arange(0.0, 6.28, 0.1)
    X = np.column_stack([np.cos(angle), np.sin(angle)])
    X[0] *= 2
    half, round_about = np.zeros((2, len(X), len(X)))
    half[0] = X @ [0.6, 0.8] > 0.3 * 0
    round_about[0, ::5] = 1
    for links, found in ((half, [0]), (round_about, [])):
        links[0, 0] = 0
        links[:, 0] = links[0]
        named = separated_nodes(X, sparse.csr_array(links), 1)
        assert [i for i in named if i == 0] == found


def test_a_fit_cut_short_says_so() -> None:
    _, A = simulated(60)
    with pytest.warns(AncestralWarning, match="max_iter=2 iterations ended"):
        Latent(2, l2=1, max_iter=2).fit(A)


# ---- draws -----------------------------------------------------------------------------------


def test_draws_are_of_the_fitted_nodes_or_of_new_ones() -> None:
    _, A = simulated(100)
    model = Latent(2).fit(A)
    drawn = model.sample(300, random_state=0)
    assert all(np.array_equal(g.features, model.positions_) for g in drawn)
    p = model.probabilities()[np.triu_indices(100, 1)]
    counts = np.array([g.n_edges for g in drawn])
    error = np.sqrt((p * (1 - p)).sum() / 300)
    assert abs(counts.mean() - p.sum()) < 4 * error  # once in 16,000
    places = {tuple(x) for x in model.positions_}
    (small,) = model.sample(1, n_nodes=50, random_state=0)
    (large,) = model.sample(1, n_nodes=2_500, random_state=0)
    assert small.n_nodes == 50
    assert {tuple(x) for g in (small, large) for x in g.features} <= places
    assert large.is_sparse
    assert large.density == pytest.approx(p.mean(), rel=0.15)


def test_scores_are_of_the_same_nodes_only() -> None:
    _, A = simulated(50)
    model = Latent(1).fit(A)
    with pytest.raises(AncestralError, match="graph 0 has 20 nodes where 50 are expected"):
        model.log_density(A[:20, :20])


@pytest.mark.parametrize("damage", ["shape", "infinite", "errors"])
def test_a_file_that_holds_no_positions_is_refused(damage: str) -> None:
    _, A = simulated(50)
    state = Latent(1).fit(A)._fitted_state()
    if damage == "shape":
        state["positions_"] = state["positions_"].ravel()
    elif damage == "infinite":
        state["intercept_"] = np.inf
    else:
        state["standard_errors_"] = state["standard_errors_"][:5]
    with pytest.raises(ValueError, match="positions"):
        Latent(1)._restore(state)
