"""Mean and variance by a network: special cases, what it learns, that it repeats, bad input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import ancestral
from ancestral import HeteroscedasticGaussian, LinearGaussian, NeuralGaussian
from ancestral.errors import AncestralWarning, DataError, ModelError

torch = pytest.importorskip("torch", reason='needs PyTorch: pip install "ancestral[neural]"')

FALSE_ALARM = 1e-4


def wave(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A curve whose noise grows with x: inputs, targets, true means, true deviations."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-3, 3, size=(n, 1))
    mean, std = 100 + 10 * np.sin(2 * x[:, 0]), 1 + x[:, 0] ** 2
    return x * 1000, mean + std * rng.normal(size=n), mean, std


@pytest.fixture(scope="module")
def fitted() -> NeuralGaussian:
    X, y, _, _ = wave(1000, seed=0)
    return NeuralGaussian(random_state=0, max_steps=600).fit(X, y)


# ---- what it learns ------------------------------------------------------------------------------


def test_without_hidden_layers_it_is_the_heteroscedastic_line() -> None:
    """The same maximum by Adam as by Fisher scoring, but for the floor of a millionth."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(400, 2)) * [1.0, 20.0] + [5.0, 0.0]
    y = X @ [2.0, 0.1] + np.exp(0.5 * (X @ [1.0, 0.05] - 5)) * rng.normal(size=400)
    line = HeteroscedasticGaussian().fit(X, y)
    network = NeuralGaussian(
        num_layers=0, penalty=0.0, tol=0.0, max_steps=1500, learning_rate=0.02, random_state=0
    ).fit(X, y)
    assert network.log_density(X, y).sum() == pytest.approx(line.log_likelihood_, abs=2e-3)
    for ours, theirs in zip(
        network.predict(X, return_std=True), line.predict(X, return_std=True), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)
    assert network.n_parameters_ == line.n_parameters_ == 6


def test_the_start_is_the_ridge_line() -> None:
    X, y, _, _ = wave(200, seed=1)
    with_penalty = NeuralGaussian(max_steps=0, penalty=0.0, random_state=0).fit(X, y)
    line = LinearGaussian().fit(X, y)
    np.testing.assert_allclose(with_penalty.predict(X), line.predict(X), rtol=1e-6)
    _, std = with_penalty.predict(X, return_std=True)
    np.testing.assert_allclose(std, np.sqrt(line.noise_variance_), rtol=1e-5)
    assert len(with_penalty.history_) == 1


def test_it_finds_the_curve_and_its_spread(fitted: NeuralGaussian) -> None:
    """On new rows the log density is near that of the truth, and far above the best line's."""
    X, y, mean, std = wave(4000, seed=5)
    found = fitted.log_density(X, y).mean()
    ideal = stats.norm(mean, std).logpdf(y).mean()
    train = wave(1000, seed=0)
    line = HeteroscedasticGaussian().fit(*train[:2]).log_density(X, y).mean()
    assert ideal - 0.05 < found < ideal
    assert found > line + 0.5
    ours, spread = fitted.predict(X, return_std=True)
    assert np.mean(((ours - mean) / std) ** 2) < 0.1  # some fifty weights for a thousand rows
    assert np.median(np.abs(np.log(spread / std))) < 0.15
    assert fitted.score(X, y) > 0.5


def test_training_lowers_the_loss_that_it_reports(fitted: NeuralGaussian) -> None:
    losses = [entry["loss"] for entry in fitted.history_]
    assert fitted.loss_ == min(losses) < losses[0] - 0.5
    assert [entry["step"] for entry in fitted.history_] == list(range(len(losses)))
    X, y, _, _ = wave(1000, seed=0)
    squares = sum((v**2).sum() for k, v in fitted.weights_.items() if k.endswith("weight"))
    wanted = -(fitted.log_density(X, y) + np.log(fitted.target_scale_)).mean() + squares / 2000
    assert fitted.loss_ == pytest.approx(wanted, rel=1e-10)


def test_the_loss_it_descends_has_the_gradient_of_the_density() -> None:
    """No nudge of a weight along its own direction lowers the loss of a trained network much."""
    X, y, _, _ = wave(150, seed=2)
    model = NeuralGaussian(hidden_size=3, max_steps=3000, tol=0.0, random_state=0).fit(X, y)

    def loss(weights: dict[str, np.ndarray]) -> float:
        other = NeuralGaussian()
        vars(other).update(vars(model))
        other.weights_ = weights
        squares = sum((v**2).sum() for k, v in weights.items() if k.endswith("weight"))
        return float(-other.log_density(X, y).mean() + squares / (2 * len(y)))

    best, rng = loss(model.weights_), np.random.default_rng(0)
    for _ in range(40):
        nudged = {k: v + 0.02 * rng.normal(size=v.shape) for k, v in model.weights_.items()}
        assert loss(nudged) > best


def test_a_penalty_shrinks_the_network_towards_the_line() -> None:
    X, y, _, _ = wave(100, seed=3)
    free, held = (
        NeuralGaussian(penalty=p, max_steps=300, random_state=0).fit(X, y) for p in (0.1, 1e4)
    )
    assert np.abs(held.weights_["head.weight"]).max() < 0.01
    assert np.abs(free.weights_["head.weight"]).max() > 0.3


def test_batches_reach_about_the_same() -> None:
    X, y, _, _ = wave(1000, seed=0)
    model = NeuralGaussian(batch_size=128, max_steps=800, random_state=0).fit(X, y)
    test = wave(4000, seed=5)
    ideal = stats.norm(test[2], test[3]).logpdf(test[1]).mean()
    assert model.log_density(test[0], test[1]).mean() > ideal - 0.1


def test_weights_of_rows_are_precisions() -> None:
    """Without hidden layers it is the weighted heteroscedastic line, to its floor and its steps."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(400, 2))
    w = np.exp(2 * X[:, 1])
    noise = np.exp(0.5 * X[:, 0] - 1) / np.sqrt(w) * rng.normal(size=400)
    y = X @ [2.0, 0.1] + noise
    line = HeteroscedasticGaussian().fit(X, y, sample_weight=w)
    network = NeuralGaussian(
        num_layers=0, penalty=0.0, tol=0.0, max_steps=1500, learning_rate=0.02, random_state=0
    ).fit(X, y, sample_weight=w)
    found = network.log_density(X, y, sample_weight=w).sum()
    assert found == pytest.approx(line.log_likelihood_, abs=2e-3)
    loss = -(network.log_density(X, y, w) + np.log(network.target_scale_)).mean()
    assert network.loss_ == pytest.approx(loss, rel=1e-10)


@pytest.mark.parametrize("size", [1e-300, 1e-9, 1e9, 1e300])
def test_targets_of_any_unit_are_learnt_alike(size: float) -> None:
    """A power of two changes no bit; another factor is rounded, which a training amplifies."""
    X, y, _, _ = wave(100, seed=1)
    unit = float(2.0 ** np.round(np.log2(size)))
    plain, scaled = (
        NeuralGaussian(max_steps=30, random_state=0).fit(X, target) for target in (y, y * unit)
    )
    np.testing.assert_allclose(
        scaled.log_density(X, y * unit),
        plain.log_density(X, y) - np.log(unit),
        rtol=1e-9,
        atol=1e-9,
    )


# ---- that it repeats -----------------------------------------------------------------------------


def test_numpy_computes_what_pytorch_trained(fitted: NeuralGaussian) -> None:
    X, _, _, _ = wave(50, seed=9)
    w = {name: torch.tensor(value) for name, value in fitted.weights_.items()}
    Z = torch.tensor((X - fitted.input_mean_) / fitted.input_scale_)
    h = torch.tanh(torch.nn.functional.linear(Z, w["hidden.0.weight"], w["hidden.0.bias"]))
    out = torch.nn.functional.linear(h, w["head.weight"], w["head.bias"]) + Z @ w["line.weight"].T
    mean, std = fitted.predict(X, return_std=True)
    scale = fitted.target_scale_
    np.testing.assert_allclose(mean, fitted.target_mean_ + scale * out[:, 0].numpy(), rtol=1e-13)
    wanted = scale * np.sqrt(np.exp(out[:, 1].numpy()) + 1e-6)
    np.testing.assert_allclose(std, wanted, rtol=1e-12)


def test_a_seed_gives_the_same_weights_and_torchs_generator_is_left_alone() -> None:
    X, y, _, _ = wave(80, seed=0)
    state = torch.random.get_rng_state()
    settings: dict[str, Any] = {"max_steps": 20, "batch_size": 30}
    first, again, other = (
        NeuralGaussian(random_state=seed, **settings).fit(X, y).weights_ for seed in (0, 0, 1)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
    assert (first["hidden.0.weight"] != other["hidden.0.weight"]).any()


def test_a_saved_network_needs_no_pytorch(fitted: NeuralGaussian, tmp_path: Path) -> None:
    path = fitted.save(tmp_path / "network")
    X, y, _, _ = wave(20, seed=1)
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    code = (
        "import sys, numpy, ancestral;"
        f"model = ancestral.load({str(path)!r}); rows = numpy.load({str(tmp_path / 'rows.npz')!r});"
        "print(model.log_density(rows['X'], rows['y']).sum().hex(), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    total, has_torch = done.stdout.split()
    assert has_torch == "False"
    assert float.fromhex(total) == pytest.approx(fitted.log_density(X, y).sum(), rel=1e-14)
    again = ancestral.load(path)
    np.testing.assert_array_equal(again.sample(X, random_state=0), fitted.sample(X, random_state=0))


# ---- bad input -----------------------------------------------------------------------------------


def test_a_function_without_noise_has_a_floor() -> None:
    x = np.linspace(-1, 1, 60)[:, None]
    model = NeuralGaussian(max_steps=400, penalty=0.01, random_state=0).fit(x, 3 * x[:, 0])
    _, std = model.predict(x, return_std=True)
    assert (std >= 1e-3 * model.target_scale_).all()
    assert np.isfinite(model.log_density(x, 3 * x[:, 0])).all()


def test_a_loss_that_is_lost_is_said_and_the_best_kept() -> None:
    X, y, _, _ = wave(50, seed=0)
    with pytest.warns(AncestralWarning, match="best weights .* were restored. Lower learning_rate"):
        model = NeuralGaussian(learning_rate=1e200, random_state=0).fit(X, y)
    assert np.isfinite(model.predict(X)).all() and np.isfinite(model.loss_)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_size": 0}, "hidden_size"),
        ({"num_layers": -1}, "num_layers"),
        ({"penalty": -1.0}, "penalty"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"max_steps": 1.5}, "max_steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"tol": np.nan}, "tol"),
        ({"patience": 0}, "patience"),
        ({"device": "abacus"}, "device='abacus' cannot be used .* Pass device=\"cpu\""),
        ({"random_state": -1}, "random_state"),
    ],
)
def test_bad_parameters_are_named(parameters: dict[str, Any], message: str) -> None:
    X, y, _, _ = wave(20, seed=0)
    with pytest.raises((ModelError, DataError), match=message):
        NeuralGaussian(**parameters).fit(X, y)


def test_a_damaged_file_is_no_network(fitted: NeuralGaussian, tmp_path: Path) -> None:
    from ancestral.errors import FormatError

    broken = NeuralGaussian()
    vars(broken).update(vars(fitted))
    for name, value in (
        ("target_scale_", -1.0),
        ("weights_", {**fitted.weights_, "head.bias": np.zeros(3)}),
        ("weights_", {**fitted.weights_, "line.weight": np.full((2, 1), np.nan)}),
        ("input_mean_", np.zeros(2)),
    ):
        setattr(broken, name, value)
        path = broken.save(tmp_path / "broken")
        setattr(broken, name, getattr(fitted, name))
        with pytest.raises(FormatError, match="not a whole NeuralGaussian"):
            ancestral.load(path)


# ---- intervals -----------------------------------------------------------------------------------


def test_prediction_intervals_hold_their_share_of_the_fitted_density() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, size=(300, 1))
    y = np.sin(x[:, 0]) + 0.2 * rng.normal(size=300)
    model = NeuralGaussian(max_steps=200, random_state=0).fit(x, y)
    mean, std = model.predict(x, return_std=True)
    low, high = model.prediction_interval(x, level=0.9)
    np.testing.assert_allclose(
        stats.norm.cdf(high, mean, std) - stats.norm.cdf(low, mean, std), 0.9, rtol=1e-9
    )
    draws = model.sample(x, 400, random_state=1)
    inside = int(((low < draws) & (draws < high)).sum())
    assert stats.binomtest(inside, draws.size, 0.9).pvalue > 1e-4  # of seeds, a right method fails
    w = np.full(300, 4.0)
    w[0] = 0
    narrow = model.prediction_interval(x, 0.9, sample_weight=w)
    np.testing.assert_allclose((narrow[1] - narrow[0])[1:], (high - low)[1:] / 2, rtol=1e-9)
    assert narrow[0][0] == -np.inf and narrow[1][0] == np.inf
    for bad in (0, 1, 95, "a", np.nan):
        with pytest.raises(ModelError, match="level must be"):
            model.prediction_interval(x, bad)
