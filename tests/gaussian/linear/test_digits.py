"""What float64 loses, and which steps give it back: against arithmetic of 50 digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from ancestral import LinearGaussian
from ancestral.gaussian import costs
from ancestral.gaussian.linear import model as model_module
from ancestral.gaussian.linear.digits import expected_error
from tests.gaussian.linear import fifty

BOUND = 1e-12  # of itself, or of the standard error where a coefficient is smaller


def table(rng: np.random.Generator, worst: float) -> dict[str, Any]:
    """Return rows of any condition up to `worst`, units, offset, weights and noise."""
    p = int(rng.integers(1, 6))
    n = p + 2 + int(rng.integers(0, 3)) if rng.random() < 0.3 else int(rng.integers(p + 5, 60))
    U, _ = np.linalg.qr(rng.normal(size=(n, p)))
    V, _ = np.linalg.qr(rng.normal(size=(p, p)))
    X = U * np.geomspace(1, worst ** -rng.random(), p) @ V * np.sqrt(n)
    kind, degree = rng.integers(5), 1
    if kind == 1:
        X *= 10.0 ** rng.integers(-8, 9, size=p)
    elif kind == 2:
        X += 10.0 ** rng.uniform(0, 8)
    elif kind == 3:
        X = X * 10.0 ** rng.integers(-4, 5, size=p) + 10.0 ** rng.uniform(-3, 5, size=p)
    elif kind == 4:
        degree = int(rng.integers(2, 4))
        X = rng.uniform(-1, 1, size=(n + 4, 1)) * 10 ** rng.uniform(-3, 3) + 3 * rng.normal()
    n, F = len(X), np.hstack([X**k for k in range(1, degree + 1)])
    slopes = rng.normal(size=F.shape[1]) / F.std(axis=0) * (rng.random(F.shape[1]) < 0.7)
    noise = 10 ** rng.uniform(-4, 1) * rng.normal(size=n)
    y = (F - F.mean(axis=0)) @ slopes + rng.choice([0, 1, 100]) * rng.normal() + noise
    weights = 10 ** rng.uniform(-2, 2, size=n) if rng.random() < 0.3 else None
    return {"X": X, "y": y, "weights": weights, "degree": degree, "intercept": rng.random() < 0.8}


def worst_error(model: LinearGaussian, exact: fifty.Line) -> float:
    found = model.coef_
    if model.fit_intercept:
        found = np.r_[model.intercept_, found]
    return max(
        fifty.error(found, exact.coefficients, exact.standard_errors),
        fifty.error([model.noise_variance_], [exact.variance]),
        fifty.error(model.standard_errors_, exact.standard_errors),
    )


@pytest.mark.filterwarnings("ignore:exactly collinear")  # at some of the highest conditions
@pytest.mark.parametrize("worst", [1e1, 1e3, 1e6, 1e12])
def test_what_is_determined_is_right_to_twelve_digits(worst: float) -> None:
    rng, n_compared = np.random.default_rng(int(np.log10(worst))), 0
    for _ in range(40):
        data = table(rng, worst)
        model = LinearGaussian(data["intercept"], data["degree"])
        model.fit(data["X"], data["y"], sample_weight=data["weights"])
        if model.rank_ == data["X"].shape[1] * data["degree"]:
            n_compared += 1
            assert worst_error(model, fifty.line(**data)) <= BOUND
    assert n_compared >= 30


@pytest.mark.filterwarnings("ignore:exactly collinear")
def test_no_more_is_lost_than_four_times_what_is_expected(monkeypatch: Any) -> None:
    """Of solutions that no step has mended."""
    monkeypatch.setattr(model_module, "has_digits", lambda found, statistics: True)
    monkeypatch.setattr(costs, "LOOK", 0.0)  # no plain fits, which keep no statistics of means
    rng = np.random.default_rng(5)
    for _ in range(80):
        data = table(rng, 1e6)
        model = LinearGaussian(data["intercept"], data["degree"])
        model.fit(data["X"], data["y"], sample_weight=data["weights"])
        found = model._kept_fit.found
        if found.is_regular:
            expected = max(expected_error(found, len(data["y"])), 2**-53)
            assert worst_error(model, fifty.line(**data)) <= 4 * expected + 1e-15


def kind(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)) + 3
    return X, X @ rng.normal(size=p) + rng.normal(size=n)


def refuse(*_: Any) -> None:
    raise AssertionError("a step that kind data do not need")


def test_kind_data_take_no_step_over_the_rows(monkeypatch: Any) -> None:
    for name in ("polish", "refine"):
        monkeypatch.setattr(model_module, name, refuse)
    for n, p in [(20, 1), (50, 3), (200, 50), (2000, 5)]:
        LinearGaussian().fit(*kind(n, p))
    X, y = kind(50, 3)
    with pytest.raises(AssertionError, match="do not need"):
        LinearGaussian().fit(np.c_[X, X[:, 0] + 1e-5 * X[:, 1] ** 2], y)
    with pytest.raises(AssertionError, match="do not need"):
        LinearGaussian().fit(X, X[:, 0] + 1e-6 * y)


WAYS: dict[str, Callable[[Any], None]] = {
    "closely": lambda patch: patch.setattr(costs, "LOOK", 0.0),
    "products": lambda patch: patch.setattr(costs, "of_rows", lambda n, m: np.inf),
    "rows": lambda patch: patch.setattr(costs, "of_products", lambda n, m, *, mended: np.inf),
}


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_each_way_gives_the_same_line(way: str, fit_intercept: bool, monkeypatch: Any) -> None:
    X, y = kind(3000, 4)
    wanted = LinearGaussian(fit_intercept).fit(X, y)
    state = wanted._fitted_state()
    WAYS[way](monkeypatch)
    found = LinearGaussian(fit_intercept).fit(X, y)._fitted_state()
    assert found.keys() == state.keys()
    for name in set(state) - {"inverse_root_"}:  # which any rotation leaves as good
        np.testing.assert_allclose(found[name], state[name], rtol=1e-11, atol=1e-300)
    roots = [s["inverse_root_"] @ s["inverse_root_"].T for s in (found, state)]
    np.testing.assert_allclose(*roots, atol=1e-11 * np.abs(roots[0]).max())


@pytest.mark.parametrize(("n", "p"), [(60, 4), (900, 90), (5_000, 60), (140_000, 16)])
def test_threads_change_no_bit(n: int, p: int) -> None:
    """Of small, middling and large data, and of data that take steps."""
    X, y = kind(n, p)
    for target in (y, X[:, 0] + 1e-6 * y):
        states = []
        for threads in (1, 2):
            with threadpool_limits(threads, user_api="blas"):
                states.append(LinearGaussian().fit(X, target)._fitted_state())
        for name in ("coef_", "intercept_", "noise_variance_", "standard_errors_"):
            np.testing.assert_array_equal(states[0][name], states[1][name], err_msg=name)


def test_costs_rise_with_the_data_and_the_cheaper_way_changes_once() -> None:
    for m in (2, 4, 11, 51, 151, 501):
        rows = [m * 2**k for k in range(1, 18)]
        for cost in (costs.of_rows, lambda n, m: costs.of_products(n, m, mended=True)):
            assert (np.diff([cost(n, m) for n in rows]) > 0).all()
            assert cost(rows[0], m + 1) > cost(rows[0], m) > 0
        cheaper = [costs.of_products(n, m, mended=True) < costs.of_rows(n, m) for n in rows]
        assert sorted(cheaper) == cheaper
