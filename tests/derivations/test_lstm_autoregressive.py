"""The steps of docs/models/lstm_autoregressive.md, a test each, by the number it has there.

Identities are checked by symbols (sympy) or exact fractions, the gradient against differences and
against PyTorch, and what the model computes in float64.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from numpy.typing import NDArray

from ancestral import LSTMAutoregressive, datasets, scores

pytest.importorskip("torch")

Float = NDArray[np.float64]
Weights = dict[str, Float]
ROWS = np.array([[0, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 1, 0], [0, 1, 1, 0]])
EVERY = np.array(list(itertools.product((0, 1), repeat=4)))


def sigmoid(t: Float) -> Float:
    return np.asarray(1 / (1 + np.exp(-t)))


def fitted(
    max_steps: int = 0, rows: NDArray[np.intp] = ROWS, **options: object
) -> LSTMAutoregressive:
    """Return a network of one layer of three units after so many steps."""
    model = LSTMAutoregressive(3, 1, max_steps=max_steps, random_state=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(rows)


def plain(weights: Weights) -> Weights:
    """Return W, U, b, w and v of one layer under the names of the page."""
    return {
        "W": weights["lstm.weight_ih_l0"],
        "U": weights["lstm.weight_hh_l0"],
        "b": weights["lstm.bias_ih_l0"] + weights["lstm.bias_hh_l0"],
        "w": weights["head.weight"][0],
        "v": weights["head.bias"],
    }


def forwards(p: Weights, row: NDArray[np.intp]) -> list[dict[str, Float]]:
    """Return all that the steps of a row compute."""
    u = len(p["w"])
    h, c, steps = np.zeros(u), np.zeros(u), []
    for x, before in zip(row, (0, *row[:-1]), strict=True):
        inside = (p["W"][:, 0] * before + p["U"] @ h + p["b"]).reshape(4, u)
        e, f, g, o = sigmoid(inside[0]), sigmoid(inside[1]), np.tanh(inside[2]), sigmoid(inside[3])
        made = {"x": x, "before": before, "h0": h, "c0": c, "e": e, "f": f, "g": g, "o": o}
        c = f * c + e * g
        h = o * np.tanh(c)
        steps.append(made | {"h": h, "c": c, "q": sigmoid(p["w"] @ h + p["v"])})
    return steps


def loss(p: Weights, row: NDArray[np.intp]) -> float:
    """Return J of a row, a sum of binary cross-entropies."""
    return float(
        sum(-np.log(s["q"][0]) if s["x"] else -np.log(1 - s["q"][0]) for s in forwards(p, row))
    )


def backwards(p: Weights, row: NDArray[np.intp]) -> Weights:
    """Return the gradient of J by the recursion of step 5."""
    u, steps = len(p["w"]), forwards(p, row)
    gradient = {name: np.zeros_like(value) for name, value in p.items()}
    epsilon, carried = np.zeros(4 * u), np.zeros(u)
    for s in reversed(steps):
        e, f, g, o = s["e"], s["f"], s["g"], s["o"]
        eta = (s["q"] - s["x"]) * p["w"] + p["U"].T @ epsilon
        gamma = eta * o * (1 - np.tanh(s["c"]) ** 2) + carried
        epsilon = np.concatenate(
            [
                gamma * g * e * (1 - e),
                gamma * s["c0"] * f * (1 - f),
                gamma * e * (1 - g * g),
                eta * np.tanh(s["c"]) * o * (1 - o),
            ]
        )
        carried = gamma * f
        gradient["W"][:, 0] += epsilon * s["before"]
        gradient["U"] += np.outer(epsilon, s["h0"])
        gradient["b"] += epsilon
        gradient["w"] += (s["q"] - s["x"]) * s["h"]
        gradient["v"] += s["q"] - s["x"]
    return gradient


def test_step_1_one_step_of_the_network() -> None:
    model = fitted()
    p, state, previous = plain(model.weights_), model.start(len(ROWS)), None
    for i in range(4):
        state, log_p = model.step(state, previous)
        previous = ROWS[:, i]
        for j, row in enumerate(ROWS):
            made = forwards(p, row)[i]
            np.testing.assert_allclose(state.h[0, j], made["h"], rtol=1e-12, atol=1e-15)
            np.testing.assert_allclose(state.c[0, j], made["c"], rtol=1e-12, atol=1e-15)
            np.testing.assert_allclose(np.exp(log_p[j, 1]), made["q"][0], rtol=1e-12)


def test_step_2_how_many_weights() -> None:
    for u, n_layers in ((32, 2), (5, 1), (4, 3)):
        read = [1, *[u] * (n_layers - 1)]
        count = sum(4 * u * (r + u + 2) for r in read) + u + 1
        model = LSTMAutoregressive(u, n_layers, max_steps=0, random_state=0)
        for m in (3, 9):
            with pytest.warns(UserWarning, match="untrained"):
                model.fit(np.eye(m, dtype=int))
            assert model.n_parameters_ == count
    assert 4480 + 8448 + 33 == 12961
    assert (4 * 32 * (1 + 32 + 2), 4 * 32 * (32 + 32 + 2), 32 + 1) == (4480, 8448, 33)


def test_step_3_a_distribution_whatever_the_weights() -> None:
    model = fitted()
    rng = np.random.default_rng(1)
    for scale in (0.1, 1.0, 5.0):
        for name, value in model.weights_.items():
            model.weights_[name] = scale * rng.normal(size=value.shape)
        log_p = model.log_density(EVERY)
        assert np.exp(log_p).sum() == pytest.approx(1.0, rel=1e-12)
        assert np.isfinite(log_p).all()
    # More levels: the softmax is over a variable's own.
    wide = LSTMAutoregressive(3, 1, max_steps=0, random_state=0)
    with pytest.warns(UserWarning, match="untrained"):
        wide.fit([["a", "x"], ["b", "y"], ["c", "x"]])
    pairs = list(itertools.product("abc", "xy"))
    assert np.exp(wide.log_density(pairs)).sum() == pytest.approx(1.0, rel=1e-12)


def test_step_4_the_loss_is_a_sum_over_the_variables() -> None:
    a, x = sp.symbols("a x", real=True)
    q = 1 / (1 + sp.exp(-a))
    cross_entropy = -x * sp.log(q) - (1 - x) * sp.log(1 - q)
    assert sp.simplify(sp.diff(cross_entropy, a) - (q - x)) == 0
    b = sp.symbols("b0:3", real=True)
    softmax = [sp.exp(value) / sum(map(sp.exp, b)) for value in b]
    for k in range(3):
        slope = sp.diff(-sp.log(softmax[1]), b[k])
        assert sp.simplify(slope - (softmax[k] - int(k == 1))) == 0
    model = fitted()
    p = plain(model.weights_)
    np.testing.assert_allclose(-model.log_density(ROWS), [loss(p, row) for row in ROWS], rtol=1e-12)


def test_step_5_the_gradient_backwards_through_the_row() -> None:
    torch = pytest.importorskip("torch")
    model = fitted()
    p, row = plain(model.weights_), ROWS[2]
    gradient = backwards(p, row)
    for name, value in p.items():
        for place in np.ndindex(value.shape):
            nudged = [{**p, name: value.copy()} for _ in range(2)]
            nudged[0][name][place] += 1e-5
            nudged[1][name][place] -= 1e-5
            slope = (loss(nudged[0], row) - loss(nudged[1], row)) / 2e-5
            assert gradient[name][place] == pytest.approx(slope, rel=1e-6, abs=1e-9)
    network = model.to_torch().double()
    before = torch.tensor([[0, *row[:-1]]], dtype=torch.float64)[:, :, None]
    logits = network["head"](network["lstm"](before)[0])[0, :, 0]
    target = torch.tensor(row, dtype=torch.float64)
    torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="sum").backward()
    found = {name: np.asarray(value.grad) for name, value in network.named_parameters()}
    np.testing.assert_allclose(found["lstm.weight_ih_l0"], gradient["W"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["lstm.weight_hh_l0"], gradient["U"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["lstm.bias_hh_l0"], gradient["b"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["head.weight"][0], gradient["w"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["head.bias"], gradient["v"], rtol=1e-9, atol=1e-12)


def test_step_6_the_descent() -> None:
    """Five steps by hand arrive at the weights that five steps of `fit` arrive at."""
    full = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [0, 1, 1, 1]])  # far from the start: clipped
    weights = {name: value.copy() for name, value in fitted(0, full).weights_.items()}
    M = {name: np.zeros_like(value) for name, value in weights.items()}
    V = {name: np.zeros_like(value) for name, value in weights.items()}
    clipped = 0
    for t in range(1, 6):
        parts = [backwards(plain(weights), row) for row in full]
        mean = {name: sum(part[name] for part in parts) / len(full) for name in parts[0]}
        G = {
            "lstm.weight_ih_l0": mean["W"],
            "lstm.weight_hh_l0": mean["U"],
            "lstm.bias_ih_l0": mean["b"],
            "lstm.bias_hh_l0": mean["b"],
            "head.weight": mean["w"][None],
            "head.bias": mean["v"],
        }
        length = math.sqrt(sum(float((value**2).sum()) for value in G.values()))
        clipped += length > 0.5
        for name, value in G.items():
            value = value * min(1.0, 0.5 / length)
            M[name] = 0.9 * M[name] + 0.1 * value
            V[name] = 0.99 * V[name] + 0.01 * value**2
            move = M[name] / (1 - 0.9**t) / (np.sqrt(V[name] / (1 - 0.99**t)) + 1e-8)
            weights[name] = weights[name] - 0.3 * t / 30 * move
    assert clipped == 5
    model = fitted(5, full, learning_rate=0.3)
    assert min(row["loss"] for row in model.history_) == model.history_[-1]["loss"]
    for name, value in weights.items():
        np.testing.assert_allclose(model.weights_[name], value, rtol=2e-3, atol=2e-5)
    # The rate: a rise over 30 steps, level to a sixteenth of all, then half a cosine to 2%.
    long = fitted(640, tol=0.0, patience=1000)
    rate = np.array([row["learning_rate"] for row in long.history_])[:640] / 0.03
    step = np.arange(640)
    np.testing.assert_allclose(rate[:30], (step[:30] + 1) / 30)
    np.testing.assert_allclose(rate[30:40], 1.0)
    way = (step[40:] - 40) / 600
    np.testing.assert_allclose(rate[40:], 0.02 + 0.98 * (1 + np.cos(np.pi * way)) / 2)


def test_step_7_the_loss_has_a_floor() -> None:
    t = sp.Symbol("t", positive=True)
    gap = t - 1 - sp.log(t)
    assert (gap.subs(t, 1), sp.solve(sp.diff(gap, t), t), sp.diff(gap, t, 2)) == (0, [1], t**-2)
    share = np.array([1, 1, 1, 2]) / 5  # the first row of ROWS is there twice
    distinct = ROWS[[1, 2, 3, 0]]
    entropy = -(share @ np.log(share))
    model = fitted()
    assert model.floor_ == pytest.approx(entropy, rel=1e-12)
    assert scores.entropy_floor(ROWS) == pytest.approx(entropy, rel=1e-12)
    rng = np.random.default_rng(2)
    for _ in range(20):
        for name, value in model.weights_.items():
            model.weights_[name] = rng.normal(size=value.shape)
        log_p = model.log_density(distinct)
        divergence = share @ (np.log(share) - log_p)
        assert -(share @ log_p) == pytest.approx(entropy + divergence, rel=1e-12)
        assert divergence >= -(np.exp(log_p) - share).sum() >= 0
    icons, _ = datasets.icons()
    assert scores.entropy_floor(icons) == pytest.approx(math.log(32), rel=1e-12)
    assert scores.entropy_floor(ROWS[[0, 0, 4]]) == 0.0


def entropy_of(columns: NDArray[np.intp]) -> float:
    counts = np.array(list(Counter(map(tuple, columns.tolist())).values()))
    return float(-(counts / len(columns)) @ np.log(counts / len(columns)))


def test_step_8_each_variable_has_its_floor() -> None:
    floors = [entropy_of(ROWS[:, : i + 1]) - entropy_of(ROWS[:, :i]) for i in range(4)]
    assert sum(floors) == pytest.approx(fitted().floor_, rel=1e-12)
    for i in range(4):
        shares = [
            sum((other[: i + 1] == row[: i + 1]).all() for other in ROWS)
            / sum((other[:i] == row[:i]).all() for other in ROWS)
            for row in ROWS
        ]
        assert floors[i] == pytest.approx(-np.log(shares).mean(), rel=1e-12)
    for model in (fitted(), fitted(200)):
        p = plain(model.weights_)
        for i in range(4):
            made = [forwards(p, row)[i] for row in ROWS]
            paid = [-np.log(s["q"][0] if s["x"] else 1 - s["q"][0]) for s in made]
            assert np.mean(paid) >= floors[i] - 1e-12


def test_step_9_what_the_memory_is_worth() -> None:
    law = {tuple(row): Fraction(k % 5 + 1) for k, row in enumerate(EVERY.tolist())}
    law = {row: weight / sum(law.values()) for row, weight in law.items()}

    def share(**fixed: int) -> Fraction:
        return sum(
            p for row, p in law.items() if all(row[int(j[1:])] == k for j, k in fixed.items())
        )

    def of(row: tuple[int, ...], places: range) -> dict[str, int]:
        return {f"x{j}": row[j] for j in places}

    for i in range(1, 4):
        pair = whole = difference = 0.0
        for row, p in law.items():
            given_one = share(**of(row, range(i - 1, i + 1))) / share(**of(row, range(i - 1, i)))
            given_all = share(**of(row, range(i + 1))) / share(**of(row, range(i)))
            pair -= float(p) * math.log(given_one)
            whole -= float(p) * math.log(given_all)
            difference += float(p) * math.log(given_all / given_one)
        assert pair - whole == pytest.approx(difference, abs=1e-14)
        assert difference >= 0
        # Other conditionals of the value before alone lose more.
        rng = np.random.default_rng(i)
        for q in rng.uniform(0.01, 0.99, (20, 2)):
            paid = -sum(
                float(p) * math.log(q[row[i - 1]] if row[i] else 1 - q[row[i - 1]])
                for row, p in law.items()
            )
            assert paid >= pair
    few = datasets.icons()[0][:8]
    pairs = entropy_of(few[:, :1]) + sum(
        entropy_of(few[:, i - 1 : i + 1]) - entropy_of(few[:, i - 1 : i]) for i in range(1, 25)
    )
    assert pairs > 10 > math.log(8)


def test_step_10_rows_with_frequencies() -> None:
    share = np.array([0.1, 0.2, 0.3, 0.4])
    rows = ROWS[:4]
    model = LSTMAutoregressive(3, 1, max_steps=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(rows, frequencies=7 * share)
        counted = LSTMAutoregressive(3, 1, max_steps=3, random_state=0)
        counted.fit(np.repeat(rows, [1, 2, 3, 4], axis=0))
    assert model.floor_ == pytest.approx(-(share @ np.log(share)), rel=1e-12)
    assert model.loss_ == pytest.approx(-(share @ model.log_density(rows)), rel=1e-12)
    assert counted.loss_ == pytest.approx(model.loss_, rel=1e-6)


def test_step_11_the_most_probable_rows() -> None:
    model = fitted()
    rng = np.random.default_rng(3)
    for name, value in model.weights_.items():
        model.weights_[name] = 2 * rng.normal(size=value.shape)
    log_p = model.log_density(EVERY)
    p = np.exp(log_p)
    order = np.argsort(-p)
    for k in (1, 3, 7):
        t = p[order[k - 1]]
        for i in range(1, 4):
            starts, place = np.unique(EVERY[:, :i], axis=0, return_inverse=True)
            begun = np.bincount(place.ravel(), p, len(starts))
            assert (begun[place.ravel()] >= p).all()
            assert (begun >= t).sum() <= 1 / t
        rows, found, rest = model.most_probable(k)
        np.testing.assert_array_equal(rows, EVERY[order[:k]])
        np.testing.assert_allclose(found, log_p[order[:k]], rtol=1e-12)
        assert rest == pytest.approx(p[order[k:]].sum(), rel=1e-10)
