"""The steps of docs/models/chain_autoregressive.md, a test each, by the number of the page.

Identities are checked with symbols (sympy). What the model computes is compared in float64.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import sympy as sp
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import expit, logsumexp
from sklearn.linear_model import LogisticRegression

from ancestral import ChainAutoregressive
from ancestral.autoregressive import smc
from ancestral.autoregressive.chain import conditionals, race
from ancestral.autoregressive.chain.conditionals import Task
from ancestral.autoregressive.chain.prefix_mixture import (
    PrefixMixture,
    _em_step,
    _named,
    fit_mixture,
    one_hot,
)

Float = NDArray[np.float64]
SIZES = (2, 3, 2)
SPACE = np.indices(SIZES).reshape(3, -1).T  # all rows of three columns
y, z, v, lam, C = sp.symbols("y z v lambda C", positive=True)


@pytest.fixture(scope="module")
def rows() -> NDArray[np.intp]:
    """Rows of three columns that depend on each other."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 400)
    second = (first + (rng.random(400) < 0.3) + (rng.random(400) < 0.2)) % 3
    third = (second > 0) ^ (rng.random(400) < 0.15)
    return np.column_stack([first, second, third]).astype(int)


@pytest.fixture(scope="module")
def model(rows: NDArray[np.intp]) -> ChainAutoregressive:
    return ChainAutoregressive("logistic", n_components=2, random_state=0).fit(rows)


def entropy(p: Float) -> float:
    return float(-(p * np.log(p)).sum())


def divergence(p: Float, q: Float) -> float:
    return float((p * np.log(p / q)).sum())


def conditional(p: Float, i: int) -> Float:
    """Return p(x_i | x_<i) of a table of all rows, with one axis for each of the first i + 1."""
    joint = p.sum(axis=tuple(range(i + 1, p.ndim)))
    return joint / joint.sum(axis=i, keepdims=True)


def task(X: Float, target: NDArray[np.intp], n_levels: int = 2, **more: Any) -> Task:
    features = X.astype(np.float32)
    return Task(features, target, features, target, n_levels, 0, **more)


def test_step_1_one_problem_for_each_column(
    model: ChainAutoregressive, rows: NDArray[np.intp]
) -> None:
    a, b0, b1 = sp.symbols("a b0 b1", positive=True)  # probabilities of 1

    def q(row: tuple[int, ...]) -> sp.Expr:
        second = (b0, b1)[row[0]]
        return (a if row[0] else 1 - a) * (second if row[1] else 1 - second)

    assert sp.expand(sum(q(row) for row in product((0, 1), repeat=2))) == 1
    likelihood = sum(k * sp.log(q(row)) for k, row in enumerate(product((0, 1), repeat=2), 1))
    for second in (b0, b1):
        assert sp.simplify(sp.diff(likelihood, a, second)) == 0
    assert np.exp(model.log_density(SPACE)).sum() == pytest.approx(1, abs=1e-12)
    state, previous, total = model.start(len(rows)), None, 0.0
    for i, level in enumerate(rows.T):
        state, log_p = model.step(state, previous)
        assert log_p.shape == (len(rows), SIZES[i])
        total, previous = total + log_p[np.arange(len(rows)), level].sum(), level
    assert model.log_density(rows).sum() == pytest.approx(total, rel=1e-12)
    # A column's classifier does not depend on the columns behind it.
    plain = ChainAutoregressive(LogisticRegression(), random_state=0)
    first = [plain.fit(part).conditionals_[1]["model"].coef_ for part in (rows, rows[:, :2])]
    np.testing.assert_allclose(first[0], first[1], rtol=1e-12)


def test_step_2_what_a_good_classifier_is() -> None:
    rng = np.random.default_rng(0)
    p, q = (rng.dirichlet(np.ones(12)).reshape(SIZES) for _ in range(2))
    parts = 0.0
    for i in range(3):
        before = p.sum(axis=tuple(range(i, 3)))
        ours, theirs = conditional(p, i), conditional(q, i)
        parts += sum(
            weight * divergence(ours[prefix], theirs[prefix])
            for prefix, weight in np.ndenumerate(before)
        )
    loss = float(-(p * np.log(q)).sum())
    assert loss == pytest.approx(entropy(p) + parts, rel=1e-12)
    # KL is at least 0, as log t <= t - 1, with equality only at t = 1.
    t = sp.Symbol("t", positive=True)
    assert sp.solve(sp.diff(t - 1 - sp.log(t), t), t) == [1]
    assert sp.diff(t - 1 - sp.log(t), t, 2) == 1 / t**2
    assert parts > 0


def test_step_3_a_prefix_as_numbers() -> None:
    features = one_hot(SPACE, list(SIZES))
    assert features.shape == (12, sum(k - 1 for k in SIZES))
    assert len(np.unique(features, axis=0)) == 12
    beside = np.column_stack([np.ones(12), features])
    assert np.linalg.matrix_rank(beside) == beside.shape[1]
    firsts = SPACE == 0
    assert np.linalg.matrix_rank(np.column_stack([beside, firsts])) == beside.shape[1]


def test_step_4_logistic_regression_has_one_maximum() -> None:
    b, w, f = sp.symbols("b w f", real=True)
    score = b + w * f
    sigma = 1 / (1 + sp.exp(-score))
    term = y * score - sp.log(1 + sp.exp(score))
    ours = y * sp.log(sigma) + (1 - y) * sp.log(1 - sigma)
    at = {y: sp.Rational(1, 3), b: sp.Rational(1, 2), w: -2, f: 3}
    assert sp.N((term - ours).subs(at)) == pytest.approx(0, abs=1e-14)
    assert sp.simplify(sp.diff(term, w) - (y - sigma) * f) == 0
    assert sp.simplify(sp.diff(term, w, 2) + sigma * (1 - sigma) * f**2) == 0
    # All rows with f = 1 have y = 1: the slope in w is above 0 everywhere, and goes to 0.
    slope = sp.diff(term, w).subs({y: 1, f: 1, b: 0})
    assert sp.simplify(slope - 1 / (1 + sp.exp(w))) == 0
    assert sp.limit(slope, w, sp.oo) == 0
    rng = np.random.default_rng(0)
    F = rng.integers(0, 2, (30, 4)).astype(float)
    p = expit(F @ rng.normal(size=4))
    assert np.linalg.eigvalsh(-(F * (p * (1 - p))[:, None]).T @ F).max() <= 1e-12


def test_step_5_a_penalty_drops_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    F = rng.integers(0, 2, (300, 8)).astype(float)
    target = (rng.random(300) < expit(2 * F[:, 0] - 1.5 * F[:, 3] - 0.8)).astype(np.intp)
    init = LogisticRegression.__init__

    def exact(self: Any, **settings: Any) -> None:  # the conditions are those of the maximum
        init(self, **{**settings, "tol": 1e-10, "max_iter": 10_000})

    for strength in (0.03, 0.1, 0.5, 2.0):
        with monkeypatch.context() as patch:
            patch.setattr(LogisticRegression, "__init__", exact)
            fitted = conditionals.fit_logistic(task(F, target), strength)
        w = np.zeros(8)
        w[fitted["columns"]] = fitted["weights"][:, 0]
        b = fitted["bias"][0]
        left = target - expit(F @ w + b)
        g = strength * (left @ F)
        np.testing.assert_allclose(g[w != 0], np.sign(w[w != 0]), atol=1e-4)
        assert (abs(g[w == 0]) <= 1 + 1e-6).all()
        assert strength * left.sum() == pytest.approx(np.sign(b) / 10, abs=1e-4)
        if strength == 0.1:
            assert 0 < len(fitted["columns"]) < 8
        # The fit itself ends earlier, near the maximum.
        quick = conditionals.fit_logistic(task(F, target), strength)
        assert quick["bias"][0] == pytest.approx(b, abs=0.1)
    three = rng.integers(0, 3, 300)
    fitted = conditionals.fit_logistic(task(F, three, 3), 2.0)
    p = expit(F[:, fitted["columns"]] @ fitted["weights"] + fitted["bias"])
    log_p = conditionals.log_probabilities(fitted, F)
    np.testing.assert_allclose(np.exp(log_p), p / p.sum(axis=1, keepdims=True), rtol=1e-10)


def test_step_6_boosted_trees() -> None:
    term = y * (z + v) - sp.log(1 + sp.exp(z + v))
    sigma = 1 / (1 + sp.exp(-z))
    change = sp.series(term, v, 0, 3).removeO() - term.subs(v, 0)
    G, H = sp.symbols("G H", positive=True)
    assert sp.simplify(change - ((y - sigma) * v - sigma * (1 - sigma) * v**2 / 2)) == 0
    leaf = G * v - (H + lam) * v**2 / 2
    assert sp.solve(sp.diff(leaf, v), v) == [G / (H + lam)]
    assert sp.simplify(leaf.subs(v, G / (H + lam)) - G**2 / (2 * (H + lam))) == 0
    pytest.importorskip("lightgbm", reason="LightGBM is an extra")
    rng = np.random.default_rng(0)
    f = rng.integers(0, 2, (200, 1))
    target = (rng.random(200) < np.where(f[:, 0] > 0, 0.8, 0.3)).astype(np.intp)
    one = conditionals.fit_trees(task(f, target, is_late=lambda: True), 8)  # ends after one tree
    assert len(one["root"]) == 1
    log_p = conditionals.log_probabilities(one, f.astype(np.float32))
    found = log_p[:, 1] - log_p[:, 0]
    start = np.log(target.mean() / (1 - target.mean()))
    for side in (0, 1):
        own = target[f[:, 0] == side]
        p = expit(start)
        best = (own - p).sum() / (len(own) * p * (1 - p) + 1)
        np.testing.assert_allclose(found[f[:, 0] == side], start + best / 10, rtol=1e-6)
    three = rng.integers(0, 3, 200)
    more = conditionals.fit_trees(task(f, three, 3, is_late=lambda: True), 8)
    assert len(more["root"]) == more["n_scores"] == 3
    values = conditionals._tree_scores(more, f.astype(np.float32))
    np.testing.assert_allclose(
        conditionals.log_probabilities(more, f.astype(np.float32)),
        values - logsumexp(values, axis=1, keepdims=True),
        rtol=1e-10,
    )


@pytest.fixture(scope="module")
def mixture() -> PrefixMixture:
    rng = np.random.default_rng(1)
    theta = tuple(np.log(rng.dirichlet(np.ones(k), size=2)) for k in SIZES)
    return PrefixMixture(np.log([0.3, 0.7]), theta)


def test_step_7_a_summary_of_the_prefix(mixture: PrefixMixture) -> None:
    w, theta = np.exp(mixture.log_weights), [np.exp(t) for t in mixture.log_theta]
    p = np.stack(
        [w[c] * np.prod([theta[i][c, SPACE[:, i]] for i in range(3)], axis=0) for c in (0, 1)]
    )
    np.testing.assert_allclose(np.exp(mixture.log_density(SPACE)), p.sum(axis=0), rtol=1e-12)
    joint = mixture.start(12)
    for i in range(3):
        features = mixture.features(joint, i)
        assert features.shape == (12, 2 + SIZES[i] - 1)
        for row, found in zip(SPACE, features, strict=True):
            alike = (SPACE[:, :i] == row[:i]).all(axis=1)
            posterior = p[:, alike].sum(axis=1) / p[:, alike].sum()
            np.testing.assert_allclose(found[:2], posterior, rtol=1e-6)
            levels = np.bincount(SPACE[alike, i], p[:, alike].sum(axis=0), SIZES[i])
            np.testing.assert_allclose(found[2:], np.log(levels[1:] / levels[0]), rtol=1e-5)
        joint = mixture.told(joint, i, SPACE[:, i])


def test_step_8_how_the_mixture_is_fitted() -> None:
    # sum t log theta is highest at theta in proportion to t: the difference is a KL.
    t1, t2, q = sp.symbols("t1 t2 q", positive=True)
    at_most = t1 * sp.log(t1 / (t1 + t2)) + t2 * sp.log(t2 / (t1 + t2))
    lost = at_most - t1 * sp.log(q) - t2 * sp.log(1 - q)
    share = t1 / (t1 + t2)
    kl = share * sp.log(share / q) + (1 - share) * sp.log((1 - share) / (1 - q))
    numbers = {t1: 2, t2: 5, q: sp.Rational(1, 3)}
    assert sp.N((lost - (t1 + t2) * kl).subs(numbers)) == pytest.approx(0, abs=1e-14)
    # One round by the formula, and the sum that no round lowers.
    rng = np.random.default_rng(0)
    levels = (rng.random((150, 5)) < rng.choice([0.2, 0.8], (150, 1))).astype(np.intp)
    X = one_hot(levels, [2] * 5)
    shares = (X.mean(axis=0) * 150 + 0.5) / 151
    now = _named(np.array([0.4, 0.6]), rng.uniform(0.2, 0.8, (2, 5)), [2] * 5)

    def of_rows(one: PrefixMixture) -> Float:
        joint = np.stack([t[:, levels[:, i]] for i, t in enumerate(one.log_theta)]).sum(axis=0)
        return joint + one.log_weights[:, None]  # (c, n)

    def height(one: PrefixMixture) -> float:
        a = np.stack([1 - shares, shares], axis=1)
        prior = one.log_weights.sum() + sum((a[i] * t).sum() for i, t in enumerate(one.log_theta))
        return float(logsumexp(of_rows(one), axis=0).sum() + prior)

    for _ in range(10):
        log_p = of_rows(now)
        rho = np.exp(log_p - logsumexp(log_p, axis=0))
        after = _em_step(now, X, shares, [2] * 5)
        np.testing.assert_allclose(
            np.exp(after.log_weights), (rho.sum(axis=1) + 1) / 152, rtol=1e-5
        )
        theta = (rho @ X + shares) / (rho.sum(axis=1, keepdims=True) + 1)
        found = np.stack([np.exp(t[:, 1]) for t in after.log_theta], axis=1)
        np.testing.assert_allclose(found, theta, rtol=1e-4)
        assert height(after) >= height(now) - 1e-4
        now = after
    fitted = fit_mixture(levels[:100], [2] * 5, 2, rng, levels[100:])
    assert fitted.log_density(levels[100:]).mean() > -5 * np.log(2)


def test_step_9_the_race(model: ChainAutoregressive) -> None:
    a, b, rho = sp.symbols("a b rho", positive=True)  # standard deviations, correlation
    paired, apart = a**2 + b**2 - 2 * rho * a * b, a**2 + b**2
    assert sp.simplify(apart - paired) == 2 * a * b * rho
    rng = np.random.default_rng(0)
    common = rng.normal(size=2000)  # what makes a row improbable under both
    totals = {name: common + 0.1 * rng.normal(size=2000) for name in ("a", "b")}
    D = totals["a"] - totals["b"]
    assert D.std() < 0.2 * np.hypot(totals["a"].std(), totals["b"].std())
    running = [race.Candidate(name, conditionals.fit_marginal) for name in totals]
    for errors, stays in ((2.4, True), (2.6, False)):
        shift = D.mean() - errors * D.std() / np.sqrt(2000)
        moved = {"a": totals["a"], "b": totals["b"] + shift}
        assert (running[1] in race._still_in(running, moved)) is stays
    assert model.chosen_ in model.race_
    assert {n for n, _ in model.race_.values()} <= {1, 2}  # two columns have others before them


def test_step_10_two_guards(model: ChainAutoregressive) -> None:
    # Moments under a density in proportion to prod theta_k^(alpha_k - 1), of three levels.
    alpha = sp.symbols("alpha0:3", positive=True)

    def integral(*alpha: sp.Expr) -> sp.Expr:
        return sp.prod(sp.gamma(a) for a in alpha) / sp.gamma(sum(alpha))

    mean = integral(alpha[0] + 1, *alpha[1:]) / integral(*alpha)
    assert sp.gammasimp(mean - alpha[0] / sum(alpha)) == 0
    half = sp.Rational(1, 2)
    n = sp.symbols("n0:3", nonnegative=True)
    of_rows = (alpha[0] / sum(alpha)).subs(dict(zip(alpha, (k + half for k in n), strict=True)))
    assert sp.simplify(of_rows - (n[0] + half) / (sum(n) + sp.Rational(3, 2))) == 0
    whole, first = (
        quad(lambda t, power=power: t ** (2 - 0.5 + power) * (1 - t) ** (5 - 0.5), 0, 1)[0]
        for power in (0, 1)
    )  # two levels, of 2 and 5 rows
    assert first / whole == pytest.approx(2.5 / 8, rel=1e-8)
    target = np.array([0, 0, 2, 2, 2])
    fitted = conditionals.fit_marginal(task(np.zeros((5, 0)), target, 4))
    np.testing.assert_allclose(np.exp(fitted["log_p"]), np.array([2.5, 0.5, 3.5, 0.5]) / 7)
    eps, q0, q1 = sp.symbols("epsilon q0 q1", positive=True)
    q = (q0, q1, 1 - q0 - q1)
    assert sp.expand(sum(eps + (1 - 3 * eps) * one for one in q)) == 1
    log_q = np.log(np.array([[0.9, 0.1, 1e-300], [1.0, 1e-300, 1e-300]]))
    log_p = race.floored(log_q, 1e-4, 3)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, rtol=1e-12)
    assert np.exp(log_p).min() == pytest.approx(1e-4, rel=1e-9)
    assert (log_p >= log_q + np.log(1 - 3e-4)).all()
    assert np.exp(race.floored(np.log(np.eye(20)[:1] + 1e-300), 0.9, 20)).min() >= 0.5 / 20 - 1e-12
    assert model.floor_ in race.FLOORS
    assert (min(race.FLOORS), max(race.FLOORS), len(race.FLOORS)) == (1e-6, 1e-3, 6)


def test_step_11_questions_about_a_row(model: ChainAutoregressive) -> None:
    p = np.exp(model.log_density(SPACE))
    for known in product((False, True), repeat=3):
        row = np.where(known, [1.0, 2.0, 1.0], np.nan)
        alike = (np.isnan(row) | (row == SPACE)).all(axis=1)
        assert np.exp(model.log_density([row]))[0] == pytest.approx(p[alike].sum(), rel=1e-10)
        for j, found in enumerate(model.marginals([row]).values()):
            levels = np.bincount(SPACE[alike, j], p[alike], SIZES[j]) / p[alike].sum()
            np.testing.assert_allclose(found[0], levels, rtol=1e-10)


def test_step_12_an_estimate_without_bias(model: ChainAutoregressive) -> None:
    rng = np.random.default_rng(0)
    W, b = rng.dirichlet(np.ones(12)), rng.dirichlet(np.ones(12))
    N, owner = 5, np.zeros(12, np.intp)
    c = brentq(lambda c: np.minimum(b / c, 1).sum() - N, 1e-6, 10)
    pi = np.minimum(b / c, 1)
    repeats, kept_often, total = 5_000, np.zeros(12), np.zeros(12)
    for _ in range(repeats):
        kept, log_odds = smc.thin(np.log(b), owner, N, rng)
        np.testing.assert_allclose(np.exp(log_odds), pi[kept], rtol=1e-9)
        assert len(kept) in (N - 1, N, N + 1)
        kept_often[kept] += 1
        total[kept] += W[kept] / np.exp(log_odds)
    error = np.sqrt(pi * (1 - pi) / repeats)
    assert (abs(kept_often / repeats - pi) <= 4 * error + 1e-12).all()
    assert (abs(total / repeats - W) <= 4 * error * W / pi + 1e-12).all()
    # An estimate from few particles, beside the sum over all completions.
    bits = (rng.integers(0, 2, (500, 1)) ^ (rng.random((500, 12)) < 0.2)).astype(int)
    wide = ChainAutoregressive("logistic", n_components=0, random_state=0).fit(bits)
    row = np.full((1, 12), np.nan)
    row[0, 11] = 1
    exact = float(np.exp(wide.log_density(row))[0])
    found = [wide.log_evidence(row, n_particles=16, random_state=k) for k in range(40)]
    values = np.exp([value[0] for value, _ in found])
    errors = np.array([error[0] for _, error in found])
    assert (errors > 0).all()
    assert abs(values.mean() - exact) < 4 * values.std() / np.sqrt(40)
