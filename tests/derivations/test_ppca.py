"""The steps of docs/models/ppca.md, a test each, by the number that the page gives the step.

Where a step is an identity of rational functions, it is checked in exact arithmetic (sympy) at
rational parameters; the others are checked in float64.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import sympy as sp
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, ortho_group

from ancestral import PPCA

Float = NDArray[np.float64]

# Four columns, two latents: exact numbers.
NOISE = sp.Rational(3, 5)
W_EXACT = sp.Matrix([[1, 2], [sp.Rational(-1, 2), 1], [3, 0], [sp.Rational(2, 3), -1]])
MU_EXACT = sp.Matrix([1, -2, 0, sp.Rational(1, 4)])
X_EXACT = sp.Matrix([2, sp.Rational(1, 3), -1, 5])
Z_EXACT = sp.Matrix([sp.Rational(1, 7), -2])


def covariance(W: Any, noise: Any) -> Any:
    return W * W.T + noise * sp.eye(W.rows)


def posterior(W: Any, mu: Any, noise: Any, x: Any) -> tuple[Any, Any]:
    """Return the mean and covariance of z given x."""
    M = W.T * W + noise * sp.eye(W.cols)
    return M.inv() * W.T * (x - mu), noise * M.inv()


def square(x: Any, C: Any) -> Any:
    return (x.T * C.inv() * x)[0]


@pytest.fixture(scope="module")
def rows() -> Float:
    rng = np.random.default_rng(0)
    W = rng.normal(size=(5, 2)) * [2.0, 1.0]
    return rng.normal(size=(60, 2)) @ W.T + rng.normal(size=(60, 5)) + 3.0


@pytest.fixture(scope="module")
def S(rows: Float) -> Float:
    return np.cov(rows.T, bias=True)


def log_likelihood(S: Float, W: Float, noise: float) -> float:
    """Return L / n at mu = the mean."""
    m = len(S)
    C = W @ W.T + noise * np.eye(m)
    fit = np.linalg.slogdet(C)[1] + np.trace(np.linalg.solve(C, S))
    return float(-0.5 * (m * np.log(2 * np.pi) + fit))


def test_the_density_of_divided_columns(rows: Float) -> None:
    """With `standardize=True`: the two formulas of the model's section."""
    units = np.array([1.0, 20.0, 0.1, 5.0, 1.0])
    model = PPCA(2, standardize=True).fit(rows * units)
    s, x = model.scale_, rows * units
    W = model.loadings_ / s[:, None]
    C = W @ W.T + model.noise_variance_ * np.eye(5)
    divided = multivariate_normal(np.zeros(5), C).logpdf((x - model.mean_) / s) - np.log(s).sum()
    in_units = multivariate_normal(model.mean_, np.diag(s) @ C @ np.diag(s)).logpdf(x)
    np.testing.assert_allclose(s, x.std(axis=0))
    np.testing.assert_allclose(model.log_density(x), divided)
    np.testing.assert_allclose(model.log_density(x), in_units)


# ---- the maximum ---------------------------------------------------------------------------------


def test_step_1_integrate_z_out() -> None:
    """p(z) p(x | z) = p(x) p(z | x), exponents and determinants apart, exactly."""
    mean, V = posterior(W_EXACT, MU_EXACT, NOISE, X_EXACT)
    C = covariance(W_EXACT, NOISE)
    rest = X_EXACT - MU_EXACT - W_EXACT * Z_EXACT
    left = (Z_EXACT.T * Z_EXACT)[0] + (rest.T * rest)[0] / NOISE
    assert left == square(X_EXACT - MU_EXACT, C) + square(Z_EXACT - mean, V)
    assert C.det() * V.det() == NOISE**4


def test_step_2_the_likelihood_needs_mean_and_covariance_alone(rows: Float, S: Float) -> None:
    rng = np.random.default_rng(1)
    W, mu, noise = rng.normal(size=(5, 2)), rng.normal(size=5), 0.7
    C = W @ W.T + noise * np.eye(5)
    away = rows.mean(axis=0) - mu
    beside = -0.5 * len(rows) * away @ np.linalg.solve(C, away)
    by_rows = multivariate_normal(mu, C).logpdf(rows).sum()
    assert np.isclose(by_rows, len(rows) * log_likelihood(S, W, noise) + beside, rtol=1e-12)


def test_step_3_the_mean(rows: Float, S: Float) -> None:
    """What mu takes from the likelihood is a square in the metric of C, which is 0 at the mean."""
    rng = np.random.default_rng(2)
    W, noise = rng.normal(size=(5, 2)), 0.7
    C = W @ W.T + noise * np.eye(5)
    best = multivariate_normal(rows.mean(axis=0), C).logpdf(rows).sum()
    for mu in rng.normal(size=(20, 5)) + rows.mean(axis=0):
        assert multivariate_normal(mu, C).logpdf(rows).sum() < best
    assert np.linalg.eigvalsh(C)[0] > 0


def test_step_4_the_gradient_in_w() -> None:
    """d(log|C| + tr C^-1 S) / dW = 2 (C^-1 W - C^-1 S C^-1 W), exactly."""
    symbols = sp.Matrix(3, 2, sp.symbols("w:6"))
    values = dict(zip(symbols, [sp.Rational(k, 3) for k in (1, -2, 4, 5, 2, -7)]))
    S = sp.Matrix([[4, 1, 0], [1, 3, -1], [0, -1, 2]])
    C = covariance(symbols, NOISE)
    loss = sp.log(C.det()) + (C.adjugate() * S).trace() / C.det()
    found = symbols.applyfunc(lambda w: sp.diff(loss, w).subs(values))
    W, inverse = symbols.subs(values), C.subs(values).inv()
    assert sp.simplify(found - 2 * (inverse * W - inverse * S * inverse * W)) == sp.zeros(3, 2)


def test_step_5_columns_lie_along_eigenvectors(S: Float) -> None:
    """At a stationary point, each left singular vector u of W has S u = (sigma^2 + l^2) u."""
    rng, noise = np.random.default_rng(3), 0.7

    def loss(w: Float) -> tuple[float, Float]:
        W = w.reshape(5, 2)
        inverse = np.linalg.inv(W @ W.T + noise * np.eye(5))
        gradient = inverse @ W - inverse @ S @ inverse @ W
        return -log_likelihood(S, W, noise), gradient.ravel()

    for start in rng.normal(size=(5, 10)):
        found = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-9})
        U, lengths, Vt = np.linalg.svd(found.x.reshape(5, 2), full_matrices=False)
        np.testing.assert_allclose(S @ U, U * (noise + lengths**2), atol=1e-6)
        # C^-1 W = U L (L^2 + sigma^2)^-1 V^T, by which the step goes from W to U.
        W = found.x.reshape(5, 2)
        left = np.linalg.solve(W @ W.T + noise * np.eye(5), W)
        np.testing.assert_allclose(left, U * (lengths / (lengths**2 + noise)) @ Vt, atol=1e-10)


def test_step_6_the_noise() -> None:
    """The loss (m - d) log v + (sum of the rest) / v is least at the mean of the rest."""
    v, rest, left = sp.symbols("v rest left", positive=True)  # left = m - d
    loss = left * sp.log(v) + rest / v
    assert sp.solve(sp.diff(loss, v), v) == [rest / left]
    assert sp.diff(loss, v, 2).subs(v, rest / left).is_positive


def test_step_6_log_likelihood_of_kept_eigenvectors(S: Float) -> None:
    eigenvalues, U = np.linalg.eigh(S)
    kept, noise = [4, 2], 0.1
    W = U[:, kept] * np.sqrt(eigenvalues[kept] - noise)
    rest = np.delete(eigenvalues, kept)
    sums = 5 * np.log(2 * np.pi) + np.log(eigenvalues[kept]).sum() + 2
    expected = -0.5 * (sums + 3 * np.log(noise) + rest.sum() / noise)
    assert np.isclose(log_likelihood(S, W, noise), expected, rtol=1e-12)


def test_step_7_keep_the_largest() -> None:
    """g(t) = N log mean(t) - log t rises where t is above the mean; so does every subset agree."""
    t, others, size = sp.symbols("t others N", positive=True)
    g = size * sp.log((others + t) / size) - sp.log(t)
    mean = (others + t) / size
    assert sp.simplify(sp.diff(g, t) - (1 / mean - 1 / t)) == 0
    rng = np.random.default_rng(4)
    for _ in range(50):
        eigenvalues = np.sort(rng.exponential(size=6))[::-1]
        losses = {}
        for kept in combinations(range(6), 3):
            rest = np.delete(eigenvalues, kept)
            if eigenvalues[list(kept)].min() > rest.mean():  # else W has a column of length 0
                losses[kept] = np.log(eigenvalues[list(kept)]).sum() + 3 * np.log(rest.mean())
        assert min(losses, key=losses.__getitem__) == (0, 1, 2)


def test_step_8_the_maximum_for_every_d(rows: Float, S: Float) -> None:
    n, m = rows.shape
    eigenvalues = np.linalg.eigvalsh(S)[::-1]
    values = []
    for d in range(m):
        model = PPCA(d).fit(rows)
        noise = eigenvalues[d:].mean()
        fit = m * (np.log(2 * np.pi) + 1) + np.log(eigenvalues[:d]).sum() + (m - d) * np.log(noise)
        values.append(-n / 2 * fit)
        assert np.isclose(model.noise_variance_, noise, rtol=1e-10)
        assert np.isclose(model.log_likelihood_, values[-1], rtol=1e-12)
        by_rows = multivariate_normal(model.mean_, model.get_covariance()).logpdf(rows).sum()
        assert np.isclose(values[-1], by_rows, rtol=1e-10)
    assert (np.diff(values) > 0).all()


def test_step_8_no_start_climbs_higher(rows: Float, S: Float) -> None:
    rng, model = np.random.default_rng(5), PPCA(2).fit(rows)
    best = log_likelihood(S, model.loadings_, model.noise_variance_)

    def loss(w: Float) -> float:
        return -log_likelihood(S, w[:-1].reshape(5, 2), float(np.exp(w[-1])))

    for start in rng.normal(size=(5, 11)):
        found = minimize(loss, start, method="L-BFGS-B")
        assert -found.fun <= best + 1e-9
        assert -found.fun > best - 1e-4  # other stationary points are saddles


def test_step_9_w_up_to_a_rotation(rows: Float) -> None:
    """C stays under W R; and (W, sigma^2) -> C has m d - d (d - 1) / 2 + 1 directions, exactly."""
    model = PPCA(2).fit(rows)
    R = ortho_group.rvs(2, random_state=0)
    W, turned = model.loadings_, model.loadings_ @ R
    np.testing.assert_allclose(turned @ turned.T, W @ W.T, atol=1e-12)
    symbols, noise = sp.Matrix(4, 2, sp.symbols("w:8")), sp.Symbol("noise")
    C = covariance(symbols, noise)
    entries = sp.Matrix([C[i, j] for i in range(4) for j in range(i + 1)])
    at = dict(zip(symbols, W_EXACT))
    rank = entries.jacobian([*symbols, noise]).subs(at).rank()
    assert rank == 4 * 2 - 1 + 1
    assert PPCA(2).fit(rows[:, :4]).n_parameters_ == 4 + rank


# ---- the latents ---------------------------------------------------------------------------------


def test_step_10_the_posterior(rows: Float, S: Float) -> None:
    """Step 1 has the posterior; with the axes of step 9, M is the matrix of leading eigenvalues."""
    model = PPCA(2).fit(rows)
    W, noise = model.loadings_, model.noise_variance_
    M, leading = W.T @ W + noise * np.eye(2), np.diag(model.explained_variance_)
    np.testing.assert_allclose(M, leading, atol=1e-12)
    z = model.posterior_mean(rows)
    np.testing.assert_allclose(z, (rows - model.mean_) @ W @ np.linalg.inv(M), atol=1e-12)
    np.testing.assert_allclose(
        np.cov(z.T, bias=True), np.eye(2) - noise * np.linalg.inv(leading), atol=1e-12
    )
    np.testing.assert_allclose(model.posterior_covariance(), noise * np.linalg.inv(M), atol=1e-12)
    U = model.components_.T
    shrunk = U @ (np.eye(2) - noise * np.linalg.inv(leading)) @ U.T
    expected = model.mean_ + (rows - model.mean_) @ shrunk
    np.testing.assert_allclose(model.reconstruct(rows), expected, atol=1e-12)


def test_step_11_a_density_without_an_inverse_of_m_columns() -> None:
    """|C| and the quadratic form come from M, exactly."""
    z, _ = posterior(W_EXACT, MU_EXACT, NOISE, X_EXACT)
    C, M = covariance(W_EXACT, NOISE), W_EXACT.T * W_EXACT + NOISE * sp.eye(2)
    rest = X_EXACT - MU_EXACT - W_EXACT * z
    assert square(X_EXACT - MU_EXACT, C) == (rest.T * rest)[0] / NOISE + (z.T * z)[0]
    assert C.det() == NOISE**2 * M.det()


def test_step_12_unknown_entries_given_the_known_ones() -> None:
    """The posterior of z, decoded, is the conditional of the joint normal, exactly."""
    known, unknown = [0, 2], [1, 3]
    C, rows = covariance(W_EXACT, NOISE), range(2)
    W_o, W_u = W_EXACT.extract(known, rows), W_EXACT.extract(unknown, rows)
    mu_o, x_o = MU_EXACT.extract(known, [0]), X_EXACT.extract(known, [0])
    z, V = posterior(W_o, mu_o, NOISE, x_o)
    C_uo, C_oo = C.extract(unknown, known), C.extract(known, known)
    assert W_u * z == C_uo * C_oo.inv() * (x_o - mu_o)
    spread = W_u * V * W_u.T + NOISE * sp.eye(2)
    assert spread == C.extract(unknown, unknown) - C_uo * C_oo.inv() * C_uo.T


# ---- missing values ------------------------------------------------------------------------------

Parameters = tuple[Float, Float, float]


def known_log_likelihood(rows: Float, parameters: Parameters) -> float:
    W, mu, noise = parameters
    C, total = W @ W.T + noise * np.eye(len(mu)), 0.0
    for x in rows:
        o = ~np.isnan(x)
        total += multivariate_normal(mu[o], C[np.ix_(o, o)]).logpdf(x[o])
    return float(total)


def expected_moments(rows: Float, parameters: Parameters) -> tuple[Float, Float]:
    """The E step: E[(z, 1)] and E[(z, 1) (z, 1)^T] of each row."""
    W, mu, noise = parameters
    d = W.shape[1]
    ones, seconds = np.ones((len(rows), d + 1)), np.zeros((len(rows), d + 1, d + 1))
    for i, x in enumerate(rows):
        o = ~np.isnan(x)
        M = W[o].T @ W[o] + noise * np.eye(d)
        ones[i, :d] = np.linalg.solve(M, W[o].T @ (x[o] - mu[o]))
        seconds[i] = np.outer(ones[i], ones[i])
        seconds[i, :d, :d] += noise * np.linalg.inv(M)
    return ones, seconds


def regressed(rows: Float, ones: Float, seconds: Float) -> Parameters:
    """The M step: each column by least squares over the rows that know it, then the noise."""
    known = ~np.isnan(rows)
    B, squares = np.empty((rows.shape[1], ones.shape[1])), 0.0
    for j in range(rows.shape[1]):
        k = known[:, j]
        second, product = seconds[k].sum(axis=0), rows[k, j] @ ones[k]
        B[j] = np.linalg.solve(second, product)
        squares += rows[k, j] @ rows[k, j] - 2 * B[j] @ product + B[j] @ second @ B[j]
    return B[:, :-1], B[:, -1], float(squares / known.sum())


def freed(parameters: Parameters, ones: Float, seconds: Float) -> Parameters:
    """The step of expanded parameters: the mean and covariance of z go into mu and W."""
    W, mu, noise = parameters
    eta = ones.mean(axis=0)[:-1]
    psi = seconds.mean(axis=0)[:-1, :-1] - np.outer(eta, eta)
    return W @ np.linalg.cholesky(psi), mu + W @ eta, noise


@pytest.fixture(scope="module")
def gappy(rows: Float) -> Float:
    rng = np.random.default_rng(6)
    return np.where(rng.random(rows.shape) < 0.15, np.nan, rows)


@pytest.fixture(scope="module")
def start(gappy: Float) -> Parameters:
    return np.random.default_rng(7).normal(size=(5, 2)), np.nanmean(gappy, axis=0), 1.0


def test_step_13_the_bound_and_its_maximum(gappy: Float, start: Parameters) -> None:
    """No nudge of what the M step gives raises the expected log-likelihood of x_o and z."""
    ones, seconds = expected_moments(gappy, start)
    W, mu, noise = regressed(gappy, ones, seconds)
    known = ~np.isnan(gappy)

    def expected(parameters: Parameters) -> float:
        W, mu, noise = parameters
        B, total = np.column_stack([W, mu]), 0.0
        for j in range(len(mu)):
            k = known[:, j]
            squares = gappy[k, j] ** 2 - 2 * gappy[k, j] * (ones[k] @ B[j])
            squares += np.einsum("nab,a,b->n", seconds[k], B[j], B[j])
            total += float((-0.5 * np.log(2 * np.pi * noise) - 0.5 * squares / noise).sum())
        return total

    best, rng = expected((W, mu, noise)), np.random.default_rng(8)
    for size in (1e-3, 1e-1):
        for _ in range(20):
            nudged = W + size * rng.normal(size=W.shape), mu + size * rng.normal(size=mu.shape)
            assert expected((*nudged, noise * float(np.exp(size * rng.normal())))) < best
    before = known_log_likelihood(gappy, start)
    gained = known_log_likelihood(gappy, (W, mu, noise)) - before
    assert gained >= best - expected(start) > 0  # the bound touches at the start


def test_step_14_expanded_parameters_raise_the_likelihood_further(
    gappy: Float, start: Parameters
) -> None:
    """z ~ N(eta, Psi) is N(0, I) under other W and mu; its likelihood is never below the step's."""
    ones, seconds = expected_moments(gappy, start)
    plain = regressed(gappy, ones, seconds)
    W, mu, _ = freed(plain, ones, seconds)
    eta = ones.mean(axis=0)[:-1]
    psi = seconds.mean(axis=0)[:-1, :-1] - np.outer(eta, eta)
    np.testing.assert_allclose(W @ W.T, plain[0] @ psi @ plain[0].T, atol=1e-12)
    np.testing.assert_allclose(mu, plain[1] + plain[0] @ eta, atol=1e-12)
    values, parameters = [known_log_likelihood(gappy, start)], start
    for _ in range(20):
        ones, seconds = expected_moments(gappy, parameters)
        parameters = freed(regressed(gappy, ones, seconds), ones, seconds)
        values.append(known_log_likelihood(gappy, parameters))
    assert (np.diff(values) > -1e-10).all()


def test_steps_13_and_14_end_where_the_fit_does(gappy: Float, start: Parameters) -> None:
    parameters = start
    for _ in range(500):
        ones, seconds = expected_moments(gappy, parameters)
        parameters = freed(regressed(gappy, ones, seconds), ones, seconds)
    model = PPCA(2, tol=1e-12).fit(gappy)
    assert np.isclose(known_log_likelihood(gappy, parameters), model.log_likelihood_, rtol=1e-9)
    W, mu, noise = parameters
    C = W @ W.T + noise * np.eye(5)
    np.testing.assert_allclose(C, model.get_covariance(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(mu, model.mean_, atol=1e-4)


def test_steps_13_and_14_stay_at_the_closed_form_of_complete_rows(rows: Float) -> None:
    model = PPCA(2).fit(rows)
    at = model.loadings_, model.mean_, model.noise_variance_
    ones, seconds = expected_moments(rows, at)
    W, mu, noise = freed(regressed(rows, ones, seconds), ones, seconds)
    np.testing.assert_allclose(W @ W.T, at[0] @ at[0].T, atol=1e-9)
    np.testing.assert_allclose(mu, at[1], atol=1e-10)
    assert np.isclose(noise, at[2], rtol=1e-10)
