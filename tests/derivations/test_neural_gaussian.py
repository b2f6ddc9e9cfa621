"""The steps of docs/models/neural_gaussian.md, a test each, by the number that the page gives them.

Derivatives are checked in exact arithmetic (sympy). The training is done again in NumPy, from the
formulas of the page, and compared loss by loss.
"""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from numpy.typing import NDArray
from scipy import stats

from ancestral import NeuralGaussian

pytest.importorskip("torch")

Float = NDArray[np.float64]
FLOOR = 1e-3
t, m, h = sp.symbols("t m h", real=True)
f = sp.Symbol("f", positive=True)
VARIANCE = sp.exp(h) + f**2
LOSS = (sp.log(2 * sp.pi * VARIANCE) + (t - m) ** 2 / VARIANCE) / 2


def is_zero(expression: sp.Expr) -> bool:
    return bool(sp.simplify(expression) == 0)


@pytest.fixture(scope="module")
def rows() -> tuple[Float, Float]:
    rng = np.random.default_rng(0)
    X = rng.uniform(-3, 3, size=(80, 2)) * [1.0, 100.0] + 5.0
    return X, 10 * np.sin(X[:, 0]) + 0.02 * X[:, 1] + 50 + rng.normal(size=80)


def standardised(model: NeuralGaussian, X: Float, y: Float) -> tuple[Float, Float]:
    Z = (X - model.input_mean_) / model.input_scale_
    return Z, (y - model.target_mean_) / model.target_scale_


def forward(w: dict[str, Float], Z: Float) -> tuple[list[Float], Float]:
    """Return the layers h_0 ... h_L, and the outputs (m, h) of shape (n, 2)."""
    layers = [Z]
    for k in range(sum(name.endswith(".bias") for name in w) - 1):
        layers.append(np.tanh(layers[-1] @ w[f"hidden.{k}.weight"].T + w[f"hidden.{k}.bias"]))
    out = layers[-1] @ w["head.weight"].T + Z @ w["line.weight"].T + w["head.bias"]
    return layers, out


def loss_of(w: dict[str, Float], Z: Float, t: Float, penalty: float) -> float:
    _, out = forward(w, Z)
    fit = -stats.norm.logpdf(t, out[:, 0], np.sqrt(np.exp(out[:, 1]) + FLOOR**2))
    squares = sum((v**2).sum() for name, v in w.items() if name.endswith("weight"))
    return float(fit.mean() + 0.5 * penalty / len(t) * squares)


def gradient_of(w: dict[str, Float], Z: Float, t: Float, penalty: float) -> dict[str, Float]:
    """Steps 4 and 5."""
    layers, out = forward(w, Z)
    variance = np.exp(out[:, 1]) + FLOOR**2
    left = out[:, 0] - t
    of_out = np.column_stack(
        [left / variance, np.exp(out[:, 1]) / variance * (1 - left**2 / variance) / 2]
    ) / len(t)
    found = {"head.weight": of_out.T @ layers[-1], "line.weight": of_out.T @ Z}
    found["head.bias"] = of_out.sum(axis=0)
    back = of_out @ w["head.weight"]
    for k in reversed(range(len(layers) - 1)):
        back = back * (1 - layers[k + 1] ** 2)
        found[f"hidden.{k}.weight"], found[f"hidden.{k}.bias"] = back.T @ layers[k], back.sum(0)
        back = back @ w[f"hidden.{k}.weight"]
    return {
        name: found[name] + penalty / len(t) * v * name.endswith("weight") for name, v in w.items()
    }


def test_step_1_standard_units(rows: tuple[Float, Float]) -> None:
    X, y = rows
    model = NeuralGaussian(max_steps=5, random_state=0).fit(X, y)
    Z, target = standardised(model, X, y)
    for column in (*Z.T, target):
        assert column.mean() == pytest.approx(0, abs=1e-12)
        assert column.std() == pytest.approx(1, rel=1e-12)
    _, out = forward(model.weights_, Z)
    own = stats.norm.logpdf(target, out[:, 0], np.sqrt(np.exp(out[:, 1]) + FLOOR**2))
    np.testing.assert_allclose(model.log_density(X, y), own - np.log(y.std()), rtol=1e-9)


def test_step_2_the_loss_is_the_mode(rows: tuple[Float, Float]) -> None:
    X, y = rows
    model = NeuralGaussian(num_layers=2, hidden_size=4, penalty=0.7, max_steps=5, random_state=0)
    model.fit(X, y)
    Z, target = standardised(model, X, y)
    w = model.weights_
    _, out = forward(w, Z)
    own = stats.norm.logpdf(target, out[:, 0], np.sqrt(np.exp(out[:, 1]) + FLOOR**2)).sum()
    prior = [stats.norm.logpdf(v, scale=0.7**-0.5).sum() for k, v in w.items() if "weight" in k]
    count = sum(v.size for k, v in w.items() if "weight" in k)
    constant = count * 0.5 * np.log(0.7 / (2 * np.pi))
    assert model.loss_ == pytest.approx(-(own + sum(prior) - constant) / 80, rel=1e-10)


def test_step_3_the_floor_is_a_bound() -> None:
    # Least where m = t and h goes to minus infinity.
    assert is_zero(sp.limit(LOSS.subs(m, t), h, -sp.oo) - sp.log(2 * sp.pi * f**2) / 2)
    assert sp.diff(LOSS.subs(m, t), h).subs({h: 0, f: 1}) > 0
    without = (sp.log(2 * sp.pi) + h) / 2  # at m = t
    assert sp.limit(without, h, -sp.oo) == -sp.oo


def test_step_4_the_slopes_of_the_two_outputs() -> None:
    assert is_zero(sp.diff(LOSS, m) - (m - t) / VARIANCE)
    slope = sp.exp(h) / VARIANCE * (1 - (t - m) ** 2 / VARIANCE) / 2
    assert is_zero(sp.diff(LOSS, h) - slope)


@pytest.mark.parametrize("layers", [1, 2])
def test_step_5_back_through_the_layers(rows: tuple[Float, Float], layers: int) -> None:
    a = sp.Symbol("a", real=True)
    assert is_zero((sp.diff(sp.tanh(a), a) - (1 - sp.tanh(a) ** 2)).rewrite(sp.exp))
    model = NeuralGaussian(num_layers=layers, hidden_size=4, max_steps=10, random_state=0)
    model.fit(*rows)
    Z, target = standardised(model, *rows)
    w = model.weights_
    for name, slope in gradient_of(w, Z, target, 1.0).items():
        for place in np.ndindex(slope.shape):
            step = np.zeros_like(slope)
            step[place] = 1e-5
            up, down = (loss_of({**w, name: w[name] + e * step}, Z, target, 1.0) for e in (1, -1))
            assert (up - down) / 2e-5 == pytest.approx(slope[place], rel=1e-5, abs=1e-8)


def test_step_6_the_start_is_the_ridge_line(rows: tuple[Float, Float]) -> None:
    model = NeuralGaussian(max_steps=0, penalty=2.0, random_state=0).fit(*rows)
    Z, target = standardised(model, *rows)
    D, w = np.linalg.solve(Z.T @ Z + 2.0 * np.eye(2), Z.T @ target), model.weights_
    np.testing.assert_allclose(w["line.weight"], [D, [0, 0]], rtol=1e-9)
    variance = ((target - Z @ D) ** 2).mean()
    np.testing.assert_allclose(w["head.bias"], [0, np.log(variance)], rtol=1e-9, atol=1e-12)
    assert not w["head.weight"].any()
    assert np.abs(w["hidden.0.weight"]).max() <= np.sqrt(3 / 2)


def test_step_7_adam(rows: tuple[Float, Float]) -> None:
    """The page's formulas, 60 steps of them in NumPy, have the losses of the fit."""
    options = {"num_layers": 2, "hidden_size": 5, "random_state": 0}
    w = dict(NeuralGaussian(max_steps=0, **options).fit(*rows).weights_)
    model = NeuralGaussian(max_steps=60, **options).fit(*rows)
    Z, target = standardised(model, *rows)
    first = {name: np.zeros_like(value) for name, value in w.items()}
    second = {name: np.zeros_like(value) for name, value in w.items()}
    losses = [loss_of(w, Z, target, 1.0)]
    for k in range(60):
        g = gradient_of(w, Z, target, 1.0)
        size = np.sqrt(sum((value**2).sum() for value in g.values()))
        fall = 0.01 + 0.99 * (1 + np.cos(np.pi * k / 60)) / 2
        rate = 0.05 * min(1, (k + 1) / 20) * fall
        for name in w:
            own = g[name] * min(1.0, 1 / (size + 1e-6))
            first[name] = 0.9 * first[name] + 0.1 * own
            second[name] = 0.999 * second[name] + 0.001 * own**2
            a, b = first[name] / (1 - 0.9 ** (k + 1)), second[name] / (1 - 0.999 ** (k + 1))
            w[name] = w[name] - rate * a / (np.sqrt(b) + 1e-8)
        losses.append(loss_of(w, Z, target, 1.0))
    np.testing.assert_allclose([row["loss"] for row in model.history_], losses, rtol=1e-7)


def test_step_8_the_best_weights_are_kept(rows: tuple[Float, Float]) -> None:
    X, y = rows
    model = NeuralGaussian(max_steps=80, penalty=0.01, random_state=0)
    model.fit(X[:50], y[:50], X_val=X[50:], y_val=y[50:])
    held_out = [row["validation_loss"] for row in model.history_]
    mean = model.log_density(X[50:], y[50:]).mean()
    assert min(held_out) == pytest.approx(-mean - np.log(model.target_scale_), rel=1e-9)
    assert model.best_validation_score_ == pytest.approx(mean, rel=1e-12)


def test_step_9_weights_of_rows(rows: tuple[Float, Float]) -> None:
    X, y = rows
    weights = np.random.default_rng(1).uniform(0.5, 2.0, 80)
    model = NeuralGaussian(max_steps=5, random_state=0).fit(X, y, sample_weight=weights)
    twice = NeuralGaussian(max_steps=5, random_state=0).fit(X, y, sample_weight=2 * weights)
    assert model.noise_scale_ == pytest.approx(model.target_scale_ * np.sqrt(weights.mean()))
    _, std = model.predict(X, return_std=True)
    _, wide = twice.predict(X, return_std=True)
    np.testing.assert_allclose(wide, np.sqrt(2) * std, rtol=1e-9)
    own = stats.norm.logpdf(y, model.predict(X), std / np.sqrt(weights))
    np.testing.assert_allclose(model.log_density(X, y, sample_weight=weights), own, rtol=1e-9)
