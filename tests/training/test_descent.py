"""Training of networks: rows held out, which weights are kept, what is said of an early end."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ancestral
from ancestral import LSTMAutoregressive, NeuralGaussian
from ancestral._checks.numbers import as_generator
from ancestral.errors import AncestralError, AncestralWarning, DataError, ModelError
from ancestral.training.descent import Validation

pytest.importorskip("torch", reason='needs PyTorch: pip install "ancestral[neural]"')


def curve(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """So few rows that a network learns their noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    return X, np.sin(2 * X[:, 0]) + 0.5 * rng.normal(size=n)


def flips(n: int, seed: int) -> tuple[np.ndarray]:
    """Ten noisy copies of one bit: rows that can be learnt by heart, to no use."""
    rng = np.random.default_rng(seed)
    return ((rng.integers(0, 2, (n, 1)) ^ (rng.random((n, 10)) < 0.2)).astype(int),)


NETWORKS: dict[str, tuple[Any, Any]] = {
    "NeuralGaussian": (
        lambda **settings: NeuralGaussian(
            **{"penalty": 0.0, "n_iter_no_change": 20, "random_state": 0} | settings
        ),
        curve,
    ),
    "LSTMAutoregressive": (
        lambda **settings: LSTMAutoregressive(
            **{"hidden_size": 12, "num_layers": 1, "n_iter_no_change": 20, "random_state": 0}
            | settings
        ),
        flips,
    ),
}
EACH = pytest.mark.parametrize("name", NETWORKS)


def held_out(data: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    return dict(zip(("X_val", "y_val"), data, strict=False))


def losses(model: Any, name: str) -> np.ndarray:
    return np.array([row[name] for row in model.history_])


# ---- rows held out -------------------------------------------------------------------------------


@EACH
def test_the_weights_kept_are_those_of_the_best_validation_score(name: str) -> None:
    """Here the best is passed on the way: so many passes later the training ends."""
    make, data = NETWORKS[name]
    train, out = data(60, 0), data(200, 1)
    model = make().fit(*train, **held_out(out))
    seen = losses(model, "validation_loss")
    best = int(seen.argmin())
    assert 0 < best < len(seen) - 1 < 800
    assert model.history_[-1]["step"] >= 20 and (seen[-10:] > seen.min() - 1e-4).all()
    score = float(model.log_density(*out).mean())
    unit = np.log(model.target_scale_) if name == "NeuralGaussian" else 0.0
    assert score == pytest.approx(-seen.min() - unit, rel=1e-5)
    assert model.best_validation_score_ == pytest.approx(score, rel=1e-12)
    if name == "LSTMAutoregressive":
        assert model.loss_ == pytest.approx(losses(model, "loss")[best], rel=1e-5)
    else:
        assert model.loss_ == losses(model, "loss")[best]
    assert model.loss_ > losses(model, "loss").min()  # which is what would be kept without


@EACH
def test_validation_rows_are_not_trained_on(name: str) -> None:
    """Others in their place change no loss of the rows of the fit, on the way that both went."""
    make, data = NETWORKS[name]
    train = data(60, 0)
    plain = make(max_steps=60).fit(*train)
    for seed in (1, 2):
        other = make(max_steps=60).fit(*train, **held_out(data(50, seed)))
        n = len(other.history_)
        assert n > 20
        np.testing.assert_array_equal(losses(other, "loss"), losses(plain, "loss")[:n])
    assert "validation_loss" not in plain.history_[0]
    assert not hasattr(plain, "best_validation_score_")


@EACH
def test_a_share_of_the_rows_is_held_out_by_the_seed(name: str) -> None:
    make, data = NETWORKS[name]
    train = data(80, 0)
    settings = {"early_stopping": True, "validation_fraction": 0.25, "max_steps": 40}
    one, again, other = (make(**settings, random_state=seed).fit(*train) for seed in (0, 0, 1))
    assert one.history_ == again.history_ and one.history_ != other.history_
    for key, value in one.weights_.items():
        np.testing.assert_array_equal(value, again.weights_[key])
    kept, out = Validation.of(one).split(80, as_generator(0))
    assert sorted([*kept, *out]) == list(range(80)) and len(out) == 20
    score = one.log_density(*(a[out] for a in train)).mean()
    assert one.best_validation_score_ == pytest.approx(score, rel=1e-12)
    changed = tuple(a.copy() for a in train)
    changed[-1][out] = changed[-1][np.roll(out, 1)]
    moved = make(**settings).fit(*changed)
    n = min(len(one.history_), len(moved.history_))
    np.testing.assert_array_equal(losses(moved, "loss")[:n], losses(one, "loss")[:n])


def test_rows_held_out_keep_their_weights() -> None:
    X, y = curve(90, 0)
    w = np.exp(np.random.default_rng(5).normal(size=90)) * 1e3
    make, _ = NETWORKS["NeuralGaussian"]
    model = make(early_stopping=True, max_steps=60).fit(X, y, sample_weight=w)
    _, out = Validation.of(model).split(90, as_generator(0))
    wanted = model.log_density(X[out], y[out], sample_weight=w[out]).mean()
    assert model.best_validation_score_ == pytest.approx(wanted, rel=1e-12)
    found = -losses(model, "validation_loss").min() - np.log(model.target_scale_)
    assert found == pytest.approx(wanted, rel=1e-9)


def test_frequencies_go_with_the_rows_held_out() -> None:
    (X,) = flips(80, 0)
    counts = np.random.default_rng(5).integers(1, 5, 80)
    make, _ = NETWORKS["LSTMAutoregressive"]
    model = make(early_stopping=True, max_steps=40).fit(X, frequencies=counts)
    _, out = Validation.of(model).split(80, as_generator(0))
    wanted = np.average(model.log_density(X[out]), weights=counts[out])
    assert model.best_validation_score_ == pytest.approx(wanted, rel=1e-12)


@EACH
def test_a_run_that_holds_rows_out_is_kept_and_resumed(name: str, tmp_path: Path) -> None:
    """From its last checkpoint to the same bits; the score is saved with the model."""
    make, data = NETWORKS[name]
    train = data(60, 0)
    settings = {"early_stopping": True, "max_steps": 50, "batch_size": 7}
    plain = make(**settings).fit(*train)
    for _ in range(2):
        model = make(**settings).fit(*train, checkpoint=tmp_path / "run", checkpoint_every=9)
        assert model.history_ == plain.history_
        for key, value in plain.weights_.items():
            np.testing.assert_array_equal(value, model.weights_[key])
    loaded = ancestral.load(plain.save(tmp_path / "network.model"))
    assert loaded.best_validation_score_ == plain.best_validation_score_
    with pytest.raises(ModelError, match=r"random_state must be an integer.* random_state=0"):
        make(**settings, random_state=None).fit(*train, checkpoint=tmp_path / "other")


# ---- bad input -----------------------------------------------------------------------------------


@EACH
def test_validation_rows_are_checked_as_others_are(name: str) -> None:
    make, data = NETWORKS[name]
    train, out = data(40, 0), data(20, 1)
    gap = out[0].astype(float)
    gap[3, 1] = np.nan
    frame = pd.DataFrame(train[0]).add_prefix("x")
    renamed = frame.rename(columns={"x1": "height"})
    for X, X_val, says in (
        (train[0], gap, r"\(X_val=\): .*row 3, column 1"),
        (train[0], out[0][:, :1], r"\(X_val=\): X has 1 feature"),
        (frame, renamed, r"\(X_val=\): .*height"),
        (train[0], out[0][:0], r"\(X_val=\): "),
    ):
        rest = [X_val, train[1][: len(X_val)]] if len(train) > 1 else [X_val]
        with pytest.raises(AncestralError, match=f"(?s){says}"):
            make().fit(X, *train[1:], **held_out(tuple(rest)))


def test_levels_and_targets_of_validation_rows_are_checked() -> None:
    (X,), (Z, y) = flips(40, 0), curve(40, 0)
    lstm, neural = (NETWORKS[name][0] for name in ("LSTMAutoregressive", "NeuralGaussian"))
    with pytest.raises(DataError, match=r"\(X_val=\): .* 2"):
        lstm().fit(X, X_val=2 * X)
    with pytest.raises(DataError, match=r"\(X_val=\): X has 5 rows, y has 4"):
        neural().fit(Z, y, X_val=Z[:5], y_val=y[:4])
    for alone in ({"X_val": Z}, {"y_val": y}):
        with pytest.raises(DataError, match="X_val and y_val go together"):
            neural().fit(Z, y, **alone)


@EACH
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"validation_fraction": 0.0}, "validation_fraction must be above 0 .* Pass 0.1"),
        ({"validation_fraction": 1}, "validation_fraction must be above 0 and below 1; got 1"),
        ({"validation_fraction": "tenth"}, "validation_fraction"),
        ({"n_iter_no_change": 0}, "n_iter_no_change"),
        (
            {"early_stopping": True, "validation_fraction": 0.99},
            r"holds out 40 of 40 rows and leaves fewer than 2 to train on. Lower it",
        ),
    ],
)
def test_bad_parameters_are_named(name: str, settings: dict[str, Any], says: str) -> None:
    make, data = NETWORKS[name]
    with pytest.raises(ModelError, match=says):
        make(**settings).fit(*data(40, 0))


# ---- an early end --------------------------------------------------------------------------------


@pytest.mark.parametrize("judged", ["loss", "validation loss"])
@pytest.mark.filterwarnings("always:max_steps")
def test_a_loss_that_still_falls_is_said_with_the_mend(judged: str) -> None:
    X, y = curve(500, 0)
    given = held_out(curve(200, 1)) if judged != "loss" else {}
    says = rf"max_steps=15 .* the {judged} still fell, by .* Pass a larger max_steps= or"
    with pytest.warns(AncestralWarning, match=says) as said:
        NeuralGaussian(max_steps=15, random_state=0).fit(X, y, **given)
    assert len(said) == 1
    assert ("early_stopping=True" in str(said[0].message)) == (judged == "loss")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NeuralGaussian(max_steps=300, random_state=0).fit(X, y, **given)
        NeuralGaussian(max_steps=0, random_state=0).fit(X, y)


@pytest.mark.filterwarnings("always:max_steps")
def test_what_falls_above_no_floor_is_judged_by_the_rows_held_out() -> None:
    """An LSTM is then not asked for its floor, which is that of learning by heart."""
    make, data = NETWORKS["LSTMAutoregressive"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make().fit(*data(300, 0), **held_out(data(100, 1)))
