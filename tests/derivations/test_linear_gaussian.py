"""The steps of docs/models/linear_gaussian.md, a test each, by the number that the page gives them.

Identities are checked in exact arithmetic (sympy): of symbols, or of rational numbers. What the
model computes is compared in float64.
"""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from numpy.typing import NDArray
from scipy import stats

from ancestral import LinearGaussian

Float = NDArray[np.float64]

# Six rows of an intercept and two columns, in exact numbers.
A = sp.Matrix([[1, 0, 2], [1, 1, -1], [1, 3, 0], [1, -2, 1], [1, 1, 4], [1, 5, 1]])
Y = sp.Matrix([1, sp.Rational(1, 2), 3, -2, 4, sp.Rational(7, 3)])
GRAM = A.T * A
BEST = GRAM.inv() * A.T * Y
HAT = A * GRAM.inv() * A.T
s, n, S = sp.symbols("s n S", positive=True)


def squares(w: sp.Matrix) -> sp.Expr:
    """Return S(w), the sum of squared residuals."""
    return sp.expand(((Y - A * w).T * (Y - A * w))[0])


@pytest.fixture(scope="module")
def rows() -> tuple[Float, Float, Float]:
    """X, y and weights."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3)) + np.array([0.0, 5.0, -2.0])
    y = X @ [1.0, -2.0, 0.5] + 3.0 + rng.normal(size=40)
    return X, y, rng.uniform(0.5, 2.0, 40)


def with_ones(X: Float) -> Float:
    return np.column_stack([np.ones(len(X)), X])


def test_step_1_the_log_likelihood(rows: tuple[Float, Float, Float]) -> None:
    X, y, _ = rows
    w = np.array([0.5, -1.0, 0.0, 2.0])
    means = with_ones(X) @ w
    pairs = stats.norm.logpdf(y, means, np.sqrt(1.7)).sum()
    assert pairs == pytest.approx(
        -20 * np.log(2 * np.pi * 1.7) - ((y - means) ** 2).sum() / (2 * 1.7), rel=1e-13
    )


def test_step_2_one_w_is_best_for_every_variance(rows: tuple[Float, Float, Float]) -> None:
    w = sp.Matrix(sp.symbols("w0:3"))
    gradient = sp.Matrix([squares(w)]).jacobian(w).T
    assert sp.expand(gradient + 2 * A.T * (Y - A * w)) == sp.zeros(3, 1)
    assert sp.hessian(squares(w), list(w)) == 2 * GRAM
    assert gradient.subs(dict(zip(w, BEST, strict=True))) == sp.zeros(3, 1)
    v = sp.Matrix(sp.symbols("v0:3"))
    assert sp.expand((v.T * GRAM * v)[0] - sum(e**2 for e in A * v)) == 0
    expanded = squares(BEST) + ((w - BEST).T * GRAM * (w - BEST))[0]
    assert sp.expand(squares(w) - expanded) == 0
    assert GRAM.is_positive_definite
    X, y, _ = rows
    model = LinearGaussian().fit(X, y)
    found = np.linalg.solve(with_ones(X).T @ with_ones(X), with_ones(X).T @ y)
    np.testing.assert_allclose([model.intercept_, *model.coef_], found, rtol=1e-10)


def test_step_3_the_variance_is_the_maximum(rows: tuple[Float, Float, Float]) -> None:
    likelihood = -n / 2 * sp.log(2 * sp.pi * s) - S / (2 * s)
    assert sp.simplify(sp.diff(likelihood, s) - n / (2 * s**2) * (S / n - s)) == 0
    # Without residuals there is no maximum.
    assert sp.limit(likelihood.subs(S, 0), s, 0) == sp.oo
    X, y, _ = rows
    model = LinearGaussian().fit(X, y)
    assert model.noise_variance_ == pytest.approx(((y - model.predict(X)) ** 2).mean(), rel=1e-12)


def test_step_4_the_height_of_the_maximum(rows: tuple[Float, Float, Float]) -> None:
    likelihood = -n / 2 * sp.log(2 * sp.pi * s) - S / (2 * s)
    height = -n / 2 * (sp.log(2 * sp.pi * S / n) + 1)
    assert sp.simplify(likelihood.subs(s, S / n) - height) == 0
    X, y, _ = rows
    model = LinearGaussian().fit(X, y)
    value = float(height.subs({n: 40, S: 40 * model.noise_variance_}))
    assert model.log_likelihood_ == pytest.approx(value, rel=1e-12)
    assert model.n_parameters_ == 5  # three coefficients, the intercept, the variance
    assert model.aic(X, y) == pytest.approx(-2 * value + 2 * 5)
    assert model.bic(X, y) == pytest.approx(-2 * value + np.log(40) * 5)


def test_step_5_centring_takes_the_intercept_out() -> None:
    X = A[:, 1:]
    means = sp.ones(1, 6) * X / 6
    centred = X - sp.ones(6, 1) * means
    mean = sum(Y) / sp.Integer(6)
    w = (centred.T * centred).inv() * centred.T * (Y - sp.ones(6, 1) * mean)
    assert sp.Matrix([mean - (means * w)[0], *w]) == BEST


def test_step_6_a_triangle_holds_all(rows: tuple[Float, Float, Float]) -> None:
    a, b, d, p, q, e, u, v = sp.symbols("a b d p q e u v")
    root = sp.Matrix([[a, b, p], [0, d, q], [0, 0, e]])
    scatter, w = root.T * root, sp.Matrix([u, v, -1])
    left = (sp.Matrix([p, q]) - sp.Matrix([[a, b], [0, d]]) * sp.Matrix([u, v])).norm() ** 2
    real = {symbol: sp.Symbol(symbol.name, real=True) for symbol in (a, b, d, p, q, e, u, v)}
    assert sp.simplify(((w.T * scatter * w)[0] - left - e**2).subs(real)) == 0
    X, y, _ = rows
    table = np.column_stack([X - X.mean(axis=0), y - y.mean()])
    R = np.linalg.qr(table, mode="r")
    model = LinearGaussian().fit(X, y)
    np.testing.assert_allclose(np.linalg.solve(R[:3, :3], R[:3, 3]), model.coef_, rtol=1e-10)
    assert R[3, 3] ** 2 == pytest.approx(40 * model.noise_variance_, rel=1e-10)
    # The triangles of two parts, each about its own mean, with a row for the means between them.
    first, second = table[:15], table[15:]
    parts = [np.linalg.qr(part - part.mean(axis=0), mode="r") for part in (first, second)]
    apart = np.sqrt(15 * 25 / 40) * (first.mean(axis=0) - second.mean(axis=0))
    both = np.linalg.qr(np.vstack([*parts, apart]), mode="r")
    np.testing.assert_allclose(both.T @ both, R.T @ R, rtol=1e-10, atol=1e-10)
    chunks = LinearGaussian().partial_fit(X[:15], y[:15]).partial_fit(X[15:], y[15:])
    np.testing.assert_allclose(chunks.coef_, model.coef_, rtol=1e-10)


def test_step_7_the_errors_of_the_coefficients(rows: tuple[Float, Float, Float]) -> None:
    left = sp.eye(6) - HAT
    assert left * left == left
    assert sp.trace(left) == 6 - 3
    assert left * A == sp.zeros(6, 3)
    solve = GRAM.inv() * A.T
    assert solve * solve.T == GRAM.inv()  # the covariance of the coefficients over sigma^2
    assert solve * left == sp.zeros(3, 6)  # so that they are independent of the residuals
    X, y, _ = rows
    model = LinearGaussian().fit(X, y)
    assert model.residual_std_**2 == pytest.approx(40 * model.noise_variance_ / 36, rel=1e-12)
    inverse = np.linalg.inv(with_ones(X).T @ with_ones(X))
    errors = model.residual_std_ * np.sqrt(np.diag(inverse))
    np.testing.assert_allclose(model.standard_errors_, errors, rtol=1e-10)


def test_step_8_intervals(rows: tuple[Float, Float, Float]) -> None:
    X, y, _ = rows
    model = LinearGaussian().fit(X, y)
    x = with_ones(X[:5] + 1.0)
    inverse = np.linalg.inv(with_ones(X).T @ with_ones(X))
    share = np.einsum("ij,jk,ik->i", x, inverse, x)
    t = stats.t.ppf(0.975, 36)
    for interval, own in ((model.confidence_interval, 0.0), (model.prediction_interval, 1.0)):
        low, high = interval(X[:5] + 1.0)
        half = t * model.residual_std_ * np.sqrt(share + own)
        np.testing.assert_allclose((high - low) / 2, half, rtol=1e-8)
        np.testing.assert_allclose((high + low) / 2, model.predict(X[:5] + 1.0), rtol=1e-10)


def test_step_9_weights(rows: tuple[Float, Float, Float]) -> None:
    X, y, weights = rows
    model = LinearGaussian().fit(X, y, sample_weight=weights)
    root = np.sqrt(weights)
    w, *_ = np.linalg.lstsq(with_ones(X) * root[:, None], y * root, rcond=None)
    np.testing.assert_allclose([model.intercept_, *model.coef_], w, rtol=1e-10)
    residual = y - with_ones(X) @ w
    assert model.noise_variance_ == pytest.approx((weights * residual**2).mean(), rel=1e-10)
    std = np.sqrt(model.noise_variance_ / weights)
    value = stats.norm.logpdf(residual, scale=std).sum()
    assert model.log_likelihood_ == pytest.approx(value, rel=1e-10)
    # Twice the weights change the variance and nothing else.
    omega, c = sp.symbols("omega c", positive=True)
    own = sp.log(omega) / 2 - sp.log(2 * sp.pi * s) / 2 - omega * S / (2 * s)
    assert sp.simplify(own.subs({omega: c * omega, s: c * s}, simultaneous=True) - own) == 0
    twice = LinearGaussian().fit(X, y, sample_weight=2 * weights)
    assert twice.noise_variance_ == pytest.approx(2 * model.noise_variance_, rel=1e-12)
    assert twice.log_likelihood_ == pytest.approx(model.log_likelihood_, rel=1e-12)


def test_step_10_several_targets(rows: tuple[Float, Float, Float]) -> None:
    targets = sp.Matrix.hstack(Y, sp.Matrix([2, 0, 1, 1, -3, 5]))
    best = GRAM.inv() * A.T * targets
    other = best + sp.Matrix([[1, 0], [2, -1], [0, sp.Rational(1, 3)]])

    def crossed(W: sp.Matrix) -> sp.Matrix:
        return (targets - A * W).T * (targets - A * W)

    assert crossed(other) == crossed(best) + (other - best).T * GRAM * (other - best)
    # log t - t, for an eigenvalue t of Sigma^-1 E / n, is concave and highest at 1.
    t = sp.Symbol("t", positive=True)
    assert sp.solve(sp.diff(sp.log(t) - t, t), t) == [1]
    assert sp.diff(sp.log(t) - t, t, 2) == -1 / t**2
    X, y, _ = rows
    both = np.column_stack([y, y**2 + X[:, 0]])
    model = LinearGaussian().fit(X, both)
    alone = [LinearGaussian().fit(X, one) for one in both.T]
    np.testing.assert_allclose(model.coef_, [one.coef_ for one in alone], rtol=1e-9)
    residual = both - model.predict(X)
    np.testing.assert_allclose(model.noise_covariance_, residual.T @ residual / 40, rtol=1e-9)
    Sigma = residual.T @ residual / 40

    def likelihood(Sigma: Float) -> float:
        return float(stats.multivariate_normal(np.zeros(2), Sigma).logpdf(residual).sum())

    rng = np.random.default_rng(1)
    assert model.log_likelihood_ == pytest.approx(likelihood(Sigma), rel=1e-10)
    for _ in range(20):
        B = np.eye(2) + 0.2 * rng.normal(size=(2, 2))
        E = np.linalg.eigvals(np.linalg.solve(B @ Sigma @ B.T, Sigma)).real
        lost = -20 * (np.log(E) - E + 1).sum()
        assert lost >= 0
        value = likelihood(Sigma) - likelihood(B @ Sigma @ B.T)
        assert value == pytest.approx(lost, rel=1e-8, abs=1e-8)


def test_step_11_errors_without_equal_variances(rows: tuple[Float, Float, Float]) -> None:
    residual = Y - A * BEST
    for i in range(6):
        rest = [k for k in range(6) if k != i]
        less = A.extract(rest, [0, 1, 2])
        without = (less.T * less).inv() * less.T * Y.extract(rest, [0])
        assert (Y[i] - (A[i, :] * without)[0]) == residual[i] / (1 - HAT[i, i])
    X, y, _ = rows
    model, ones = LinearGaussian().fit(X, y), with_ones(X)
    solve = np.linalg.solve(ones.T @ ones, ones.T)
    leverage = np.einsum("ij,ji->i", ones, solve)
    left_out = (y - model.predict(X)) / (1 - leverage)
    errors = np.sqrt(np.diag(solve @ np.diag(left_out**2) @ solve.T))
    np.testing.assert_allclose(model.robust_standard_errors(X, y), errors, rtol=1e-8)
