"""Every digit, by rational arithmetic: polynomials, collinear columns, large data, chunks."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from ancestral import LinearGaussian, streaming
from ancestral.errors import AncestralWarning
from tests.gaussian import exact


@pytest.mark.parametrize(
    ("low", "high", "degree"), [(-9, -3, 10), (0, 1, 9), (1000, 1010, 4), (-1e-3, 1e-3, 7)]
)
def test_polynomials_are_right_to_the_last_digits(low: float, high: float, degree: int) -> None:
    """Of the numbers that float64 holds, by rational arithmetic."""
    rng = np.random.default_rng(0)
    x = rng.uniform(low, high, size=30)
    y = np.sin(x) + 0.01 * rng.normal(size=30)
    model = LinearGaussian(degree=degree).fit(x[:, None], y)
    A = exact.design(x[:, None], degree=degree)
    coefficients, residual, variances = exact.least_squares(A, y)
    assert exact.digits(np.r_[model.intercept_, model.coef_], coefficients) >= 14.5
    assert exact.digits(model.noise_variance_, residual / 30) >= 13.5
    squared = [v * residual / (30 - degree - 1) for v in variances]
    assert exact.digits(model.standard_errors_**2, squared) >= 12


@pytest.mark.parametrize("nearness", [1e-3, 1e-6, 1e-9])
def test_nearly_collinear_columns_keep_every_digit(nearness: float) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    X[:, 2] = X[:, 0] - 2 * X[:, 1] + nearness * rng.normal(size=40)
    y = X.sum(axis=1) + rng.normal(size=40)
    model = LinearGaussian().fit(X, y)
    coefficients, residual, variances = exact.least_squares(exact.design(X), y)
    assert exact.digits(np.r_[model.intercept_, model.coef_], coefficients) >= 14.5
    squared = [v * residual / 36 for v in variances]
    assert exact.digits(model.standard_errors_**2, squared) >= 12


# ---- large data, and statistics without rows -----------------------------------------------------


@pytest.mark.parametrize(
    ("nearness", "digits"), [(1.0, 10), (1e-3, 10), (1e-5, 8), (1e-7, 12), (1e-9, 12)]
)
def test_large_fits_keep_the_digits_they_promise(nearness: float, digits: int) -> None:
    """Cholesky, Cholesky with a step over the rows, and QR with refinement, against the latter."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30_000, 4)) + 3
    X[:, 3] = X[:, :3].sum(axis=1) + nearness * rng.normal(size=30_000)
    y = X @ [1.0, 2.0, -1.0, 0.5] + rng.normal(size=30_000)
    model = LinearGaussian().fit(X, y)
    # Half of the rows of weight one and half of two are the same as rows repeated.
    twice = LinearGaussian().fit(np.tile(X, (2, 1)), np.tile(y, 2))
    gap = np.abs(model.coef_ - twice.coef_) / np.abs(model.coef_)
    assert gap.max() < 10.0**-digits
    assert model.noise_variance_ == pytest.approx(twice.noise_variance_, rel=1e-10)
    residual = y - model.predict(X)
    A = np.column_stack([np.ones(len(y)), X])
    slope = (A.T @ residual) / np.linalg.norm(A, axis=0) / np.linalg.norm(residual)
    assert np.abs(slope).max() < 1e-15 * np.abs(model.coef_).max() / 1e-3


@pytest.mark.parametrize(("nearness", "digits"), [(1.0, 11), (1e-2, 10), (1e-4, 9)])
def test_chunks_keep_the_digits_that_the_condition_leaves(nearness: float, digits: int) -> None:
    """Well-conditioned chunks are scatters, others roots, and a mixture of them merges as roots."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60_000, 3)) * [1.0, 5.0, 0.2] + 10
    X[40_000:, 2] = X[40_000:, 0] - X[40_000:, 1] + nearness * rng.normal(size=20_000)
    y = X @ [1.0, 2.0, -1.0] + rng.normal(size=60_000)
    whole = LinearGaussian().fit(X[40_000:], y[40_000:])
    cuts = [(40_000, 59_900), (59_900, 60_000)]
    parts = streaming.fit_chunks(LinearGaussian(), ((X[a:b], y[a:b]) for a, b in cuts))
    np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=10.0**-digits)
    every = LinearGaussian().fit(X, y)
    cuts = [(0, 40_000), (40_000, 60_000)]
    parts = streaming.fit_chunks(LinearGaussian(), ((X[a:b], y[a:b]) for a, b in cuts))
    np.testing.assert_allclose(parts.coef_, every.coef_, rtol=1e-10)
    assert parts.log_likelihood_ == pytest.approx(every.log_likelihood_, rel=1e-12)


def test_chunks_that_lose_too_much_say_so() -> None:
    """Powers are rounded before statistics are taken: polynomials like Filip are out of reach."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-9, -3, size=(80, 1))
    y = np.sin(x[:, 0]) + 0.01 * rng.normal(size=80)
    whole = LinearGaussian(degree=9).fit(x, y)
    with pytest.warns(AncestralWarning, match="keep about . digits.*Give all rows to fit"):
        parts = streaming.fit_chunks(
            LinearGaussian(degree=9), ((x[a : a + 40], y[a : a + 40]) for a in (0, 40))
        )
    np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-4)


def test_a_degree_that_float64_cannot_tell_is_named() -> None:
    x = np.linspace(1000.0, 1001.0, 60)[:, None]
    y = np.sin(7 * x[:, 0]) + 0.1 * np.cos(1000 * x[:, 0])
    with pytest.warns(AncestralWarning, match=r"collinear .*column 0\^"):
        model = LinearGaussian(degree=9).fit(x, y)
    assert model.rank_ < 9
    assert np.isfinite(model.predict(x)).all()


def test_powers_that_overflow_are_refused() -> None:
    with pytest.raises(ValueError, match="power 4 overflows"):
        LinearGaussian(degree=4).fit([[1e200], [2.0], [3.0], [4.0], [5.0], [6.0]], np.arange(6.0))


@pytest.mark.parametrize("exponent", [-600, 600])
def test_powers_of_two_change_nothing_but_the_scale(exponent: int) -> None:
    """Squares of the inputs would vanish or overflow."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 2)), rng.normal(size=40)
    plain = LinearGaussian().fit(X, y)
    scaled = LinearGaussian().fit(np.ldexp(X, exponent), y)
    np.testing.assert_allclose(np.ldexp(scaled.coef_, exponent), plain.coef_, rtol=1e-14)
    np.testing.assert_allclose(
        np.ldexp(scaled.standard_errors_[1:], exponent), plain.standard_errors_[1:], rtol=1e-12
    )
    assert scaled.log_likelihood_ == pytest.approx(plain.log_likelihood_, rel=1e-13)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_targets_whose_squares_have_no_float_are_refused(size: float) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="squares of such values overflow or vanish"):
        LinearGaussian().fit(rng.normal(size=(40, 2)), size * rng.normal(size=40))


def test_repeated_columns_of_a_large_table_are_named() -> None:
    """Stacking the roots of many blocks rounds; a repeated column must not look like a new one."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60_000, 12)) + 100
    X[:, 8:] = X[:, :4] @ rng.integers(-3, 3, size=(4, 4))
    y = X[:, 0] + rng.normal(size=60_000)
    wanted = LinearGaussian().fit(X[:, :8], y)
    with pytest.warns(AncestralWarning, match="column 8, column 9, column 10, column 11. Their"):
        model = LinearGaussian().fit(X, y)
    np.testing.assert_allclose(model.coef_[:8], wanted.coef_, rtol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        chunks = ((X[a : a + 700], y[a : a + 700]) for a in range(0, 60_000, 700))
        parts = streaming.fit_chunks(LinearGaussian(), chunks)
    assert parts.rank_ == 8
    assert parts.log_likelihood_ == pytest.approx(wanted.log_likelihood_, rel=1e-12)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_columns_of_zeros_leave_the_constant(fit_intercept: bool) -> None:
    y = np.random.default_rng(0).normal(size=30) + 1
    with pytest.warns(AncestralWarning, match="column 0, column 1"):
        model = LinearGaussian(fit_intercept).fit(np.zeros((30, 2)), y)
    assert model.rank_ == 0 and not model.coef_.any()
    assert model.intercept_ == pytest.approx(y.mean() if fit_intercept else 0.0, rel=1e-15)
    wanted = y.var() if fit_intercept else (y**2).mean()
    assert model.noise_variance_ == pytest.approx(wanted, rel=1e-14)
