"""Fits to resampled rows: those of a loop, and as they should scatter."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral import LinearGaussian, datasets
from ancestral.errors import AncestralWarning, DataError, ModelError

DIGITS = 1e-9


def rows(n: int = 60, p: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, p)) * [1.0, 1e3, 1e-4][:p] + 50
    w = rng.uniform(0.5, 2, size=n)
    return X, X @ [1.0, 2e-3, 3e4][:p] + rng.normal(size=n) / np.sqrt(w), w


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("degree", [1, 2])
def test_draws_are_the_fits_of_a_loop(
    fit_intercept: bool, weighted: bool, several: bool, degree: int
) -> None:
    X, y, w = rows()
    X = X[:, :2]
    if several:
        y = np.column_stack([y, np.sin(y)])
    model = LinearGaussian(fit_intercept, degree).fit(X, y, w if weighted else None)
    draws = model.bootstrap(X, y, 20, sample_weight=w if weighted else None, random_state=3)
    rng = np.random.default_rng(3)
    for draw in draws:
        i = rng.integers(len(X), size=len(X))
        one = LinearGaussian(fit_intercept, degree).fit(X[i], y[i], w[i] if weighted else None)
        found = np.c_[one.intercept_, np.atleast_2d(one.coef_)][:, not fit_intercept :]
        errors = np.atleast_2d(one.standard_errors_)
        gap = np.abs(np.atleast_2d(draw) - found) / np.maximum(np.abs(found), errors)
        assert gap.max() < DIGITS
    assert draws.shape[1:] == model.standard_errors_.shape


def test_any_number_at_once_gives_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    from ancestral.gaussian.linear import inference

    X, y, _ = rows()
    model = LinearGaussian().fit(X, y)
    whole = model.bootstrap(X, y, 50, random_state=0)
    monkeypatch.setattr(inference, "DRAWN", 1000)  # numbers, so that both loops go around
    np.testing.assert_allclose(model.bootstrap(X, y, 50, random_state=0), whole, rtol=1e-10)


def test_draws_scatter_as_robust_errors_say() -> None:
    """The spread of 4,000 draws is within 5 standard errors of its own, and 5% of another rule."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2))
    y = X @ [1.0, -2.0] + np.exp(0.5 * X[:, 0]) * rng.normal(size=500)
    model = LinearGaussian().fit(X, y)
    spread = model.bootstrap(X, y, 4000, random_state=0).std(axis=0, ddof=1)
    np.testing.assert_allclose(spread, model.robust_standard_errors(X, y), rtol=0.05 + 5 / 89)


def test_a_column_that_repeats_others_keeps_its_zero() -> None:
    X, y, _ = rows()
    with pytest.warns(AncestralWarning, match="collinear"):
        model = LinearGaussian().fit(np.c_[X, X[:, 0]], y)
    draws = model.bootstrap(np.c_[X, X[:, 0]], y, 10, random_state=0)
    assert (draws[:, 4] == 0).all()
    alone = LinearGaussian().fit(X, y).bootstrap(X, y, 10, random_state=0)
    assert (np.abs(draws[:, :4] - alone) < DIGITS * alone.std(axis=0)).all()


def test_draws_of_too_few_different_rows_are_nan() -> None:
    X, y, _ = rows(6)
    model = LinearGaussian().fit(X, y)
    with pytest.warns(AncestralWarning, match="of the 200 draws .* they are nan"):
        draws = model.bootstrap(X, y, 200, random_state=0)
    rng = np.random.default_rng(0)
    few = [len(set(rng.integers(6, size=6))) < 4 for _ in range(200)]
    np.testing.assert_array_equal(np.isnan(draws).all(axis=1), few)
    np.testing.assert_array_equal(np.isnan(draws).any(axis=1), few)


def test_other_rows_and_too_few_are_refused() -> None:
    X, y, _ = datasets.line()
    model = LinearGaussian().fit(X, y)
    with pytest.raises(DataError, match="give the rows of fit"):
        model.bootstrap(X[:-1], y[:-1])
    with pytest.raises(ModelError, match="n_draws must be an integer, 1 or more"):
        model.bootstrap(X, y, 0)
    X, y, _ = rows(3)
    with pytest.warns(AncestralWarning, match="cannot determine"):
        model = LinearGaussian().fit(X, y)
    with pytest.raises(ModelError, match="no draw"):
        model.bootstrap(X, y)
