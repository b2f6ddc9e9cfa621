"""The steps of docs/models/heteroscedastic_gaussian.md, a test each, by the page's numbers.

Derivatives are checked in exact arithmetic (sympy). What the model computes is compared in
float64.
"""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from numpy.typing import NDArray
from scipy import integrate, stats

from ancestral import HeteroscedasticGaussian, LinearGaussian

Float = NDArray[np.float64]

# One row of an intercept and a column: the sums over rows add up what is shown of one.
a, b, v0, v1, x, y, h = sp.symbols("a b v0 v1 x y h", real=True)
ROW = sp.Matrix([1, x])
OF_MEAN, OF_VARIANCE = [a, b], [v0, v1]
RESIDUAL = y - a - b * x
HEIGHT = v0 + v1 * x
OWN = -(sp.log(2 * sp.pi) + HEIGHT + RESIDUAL**2 * sp.exp(-HEIGHT)) / 2


def is_zero(expression: sp.Expr | sp.Matrix) -> bool:
    return bool(sp.simplify(expression) == 0 * expression)


def log_likelihood(A: Float, y: Float, w: Float, v: Float) -> float:
    return float(stats.norm.logpdf(y, A @ w, np.exp(0.5 * A @ v)).sum())


@pytest.fixture(scope="module")
def rows() -> tuple[Float, Float, Float]:
    """X, y, and X with a column of ones."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)) + np.array([1.0, -3.0])
    noise = np.exp(0.4 * X[:, 0] - 0.2 * X[:, 1])
    return X, X @ [2.0, 1.0] + noise * rng.normal(size=300), np.column_stack([np.ones(300), X])


@pytest.fixture(scope="module")
def model(rows: tuple[Float, Float, Float]) -> HeteroscedasticGaussian:
    return HeteroscedasticGaussian().fit(*rows[:2])


def parameters(model: HeteroscedasticGaussian) -> tuple[Float, Float]:
    """Return w and v, the intercepts first."""
    v = np.array([model.variance_intercept_, *model.variance_coef_])
    return np.array([model.intercept_, *model.coef_]), v


def test_step_1_the_log_likelihood(
    rows: tuple[Float, Float, Float], model: HeteroscedasticGaussian
) -> None:
    density = sp.exp(-(RESIDUAL**2) / (2 * sp.exp(HEIGHT))) / sp.sqrt(2 * sp.pi * sp.exp(HEIGHT))
    assert is_zero(sp.expand_log(sp.log(density), force=True) - OWN)
    value = log_likelihood(rows[2], rows[1], *parameters(model))
    assert model.log_likelihood_ == pytest.approx(value, rel=1e-12)


def test_step_2_weighted_least_squares(
    rows: tuple[Float, Float, Float], model: HeteroscedasticGaussian
) -> None:
    gradient = sp.Matrix([OWN]).jacobian(OF_MEAN).T
    assert is_zero(gradient - sp.exp(-HEIGHT) * RESIDUAL * ROW)
    _, target, A = rows
    w, v = parameters(model)
    precision = np.exp(-A @ v)
    best = np.linalg.solve(A.T @ (precision[:, None] * A), A.T @ (precision * target))
    np.testing.assert_allclose(w, best, rtol=1e-6)
    # The line of one variance is another: step 1 of the linear model fails here.
    assert not np.allclose(w, np.linalg.lstsq(A, target, rcond=None)[0], rtol=1e-2)


def test_step_3_the_slope_of_the_log_variance(
    rows: tuple[Float, Float, Float], model: HeteroscedasticGaussian
) -> None:
    gradient = sp.Matrix([OWN]).jacobian(OF_VARIANCE).T
    assert is_zero(gradient - (RESIDUAL**2 * sp.exp(-HEIGHT) - 1) * ROW / 2)
    _, target, A = rows
    w, v = parameters(model)
    squares = (target - A @ w) ** 2 * np.exp(-A @ v)
    assert squares.mean() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(A.T @ (squares - 1) / 300, 0, atol=1e-5)


def test_step_4_second_derivatives(rows: tuple[Float, Float, Float]) -> None:
    hessian = sp.hessian(OWN, OF_MEAN + OF_VARIANCE)
    outer = ROW * ROW.T
    assert is_zero(-hessian[:2, :2] - sp.exp(-HEIGHT) * outer)
    assert is_zero(-hessian[:2, 2:] - sp.exp(-HEIGHT) * RESIDUAL * outer)
    assert is_zero(-hessian[2:, 2:] - sp.exp(-HEIGHT) * RESIDUAL**2 / 2 * outer)
    # Concave in w and in v, but not in both: with a mean alone and residual r, h, the determinant
    # of what is observed is negative where r^2 is above 0.
    r = sp.Symbol("r", real=True)
    both = sp.Matrix([[1, r], [r, r**2 / 2]]) * sp.exp(-h)
    assert is_zero(both.det() + r**2 / 2 * sp.exp(-2 * h))


def test_step_5_fisher_information() -> None:
    r = sp.Symbol("r", real=True)
    normal = sp.exp(-(r**2) / (2 * sp.exp(h))) / sp.sqrt(2 * sp.pi * sp.exp(h))

    def expected(of: sp.Expr) -> sp.Expr:
        return sp.simplify(sp.integrate(of * normal, (r, -sp.oo, sp.oo)))

    assert is_zero(expected(r * sp.exp(-h)))  # between mean and log variance
    assert is_zero(expected(r**2 * sp.exp(-h)) - 1)


def test_step_6_steps_side_by_side(rows: tuple[Float, Float, Float]) -> None:
    """From least squares, 400 of Fisher's steps by hand end where the fit ends."""
    X, target, A = rows
    w, *_ = np.linalg.lstsq(A, target, rcond=None)
    v = np.array([np.log(((target - A @ w) ** 2).mean()), 0.0, 0.0])
    for _ in range(400):
        precision = np.exp(-A @ v)
        residual = target - A @ w
        information = A.T @ (precision[:, None] * A)
        step = np.linalg.solve(information, A.T @ (precision * residual))
        best = np.linalg.solve(information, A.T @ (precision * target))
        np.testing.assert_allclose(w + step, best, rtol=1e-9)  # weighted least squares
        turn, *_ = np.linalg.lstsq(A, residual**2 * precision - 1, rcond=None)
        before, share = log_likelihood(A, target, w, v), 1.0
        while log_likelihood(A, target, w + share * step, v + share * turn) < before - 1e-9:
            share /= 2
        w, v = w + share * step, v + share * turn
    found = parameters(HeteroscedasticGaussian().fit(X, target))
    np.testing.assert_allclose(w, found[0], rtol=1e-5)
    np.testing.assert_allclose(v, found[1], rtol=1e-5, atol=1e-6)


def test_step_7_orthonormal_columns(rows: tuple[Float, Float, Float]) -> None:
    _, target, A = rows
    Q, R = np.linalg.qr(A)
    w, *_ = np.linalg.lstsq(A, target, rcond=None)
    left = (target - A @ w) ** 2 / ((target - A @ w) ** 2).mean() - 1
    turn, *_ = np.linalg.lstsq(A, left, rcond=None)
    np.testing.assert_allclose(R @ turn, Q.T @ left, rtol=1e-9, atol=1e-12)


def test_step_8_the_first_log_variance() -> None:
    # The mean of log chi-square with one degree of freedom: digamma(1/2) + log 2.
    mean = sp.digamma(sp.Rational(1, 2)) + sp.log(2)
    assert is_zero(sp.expand_func(mean) + sp.EulerGamma + sp.log(2))
    by_sum, _ = integrate.quad(lambda z: 2 * np.log(z**2) * stats.norm.pdf(z), 0, np.inf)
    assert by_sum == pytest.approx(float(mean), abs=1e-6)
    assert float(-mean) == pytest.approx(1.27, abs=5e-4)


def test_step_9_standard_errors(
    rows: tuple[Float, Float, Float], model: HeteroscedasticGaussian
) -> None:
    _, _, A = rows
    _, v = parameters(model)
    of_mean = np.linalg.inv(A.T @ (np.exp(-A @ v)[:, None] * A))
    of_variance = 2 * np.linalg.inv(A.T @ A)
    np.testing.assert_allclose(model.standard_errors_, np.sqrt(np.diag(of_mean)), rtol=1e-6)
    errors = np.sqrt(np.diag(of_variance))
    np.testing.assert_allclose(model.variance_standard_errors_, errors, rtol=1e-8)


def test_step_10_weights(rows: tuple[Float, Float, Float]) -> None:
    X, target, A = rows
    weights = np.random.default_rng(1).uniform(0.5, 2.0, 300)
    weighted = HeteroscedasticGaussian().fit(X, target, sample_weight=weights)
    w, v = parameters(weighted)
    std = np.exp(0.5 * A @ v) / np.sqrt(weights)
    value = stats.norm.logpdf(target, A @ w, std).sum()
    assert weighted.log_likelihood_ == pytest.approx(value, rel=1e-10)
    squares = ((target - A @ w) / std) ** 2
    np.testing.assert_allclose(A.T @ (squares - 1) / 300, 0, atol=1e-5)
    np.testing.assert_allclose(A.T @ ((target - A @ w) / std**2) / 300, 0, atol=1e-5)


def test_step_11_no_bound() -> None:
    # The row that a column sets apart: its residual is 0 and its log variance goes to minus
    # infinity, while the other rows keep theirs.
    own = -(sp.log(2 * sp.pi) + h) / 2
    assert sp.limit(own, h, -sp.oo) == sp.oo
    X = np.zeros((20, 1))
    X[0] = 1.0
    target = np.random.default_rng(0).normal(size=20)
    with pytest.warns(UserWarning, match="the variance at row 0 goes to 0"):
        model = HeteroscedasticGaussian().fit(X, target)
    assert model.log_likelihood_ == np.inf
    line = LinearGaussian().fit(X, target)
    np.testing.assert_allclose(model.coef_, line.coef_, rtol=1e-9)
