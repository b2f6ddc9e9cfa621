"""Networks trained from parts: few rows as in memory, more part by part."""

from __future__ import annotations

import pickle
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import NeuralGaussian
from ancestral.errors import AncestralWarning, DataError, ModelError
from ancestral.gaussian import neural
from ancestral.gaussian.neural import NeuralDescent, Standardised
from ancestral.gaussian.spreads import Spreads
from ancestral.training import batches
from ancestral.training.batches import Draw
from ancestral.training.parts import Held, Part

pytest.importorskip("torch", reason='needs PyTorch: pip install "ancestral[neural]"')

CUTS = [(), (100,), (1, 40, 41, 90, 150, 170)]


def rows(n: int = 200, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2)) * [3.0, 0.1] + [5.0, 0.0]
    return X, np.sin(X[:, 0]) + rng.normal(size=n), rng.uniform(0.5, 2.0, n)


def network(**settings: Any) -> NeuralGaussian:
    """A tiny one, trained for a few steps: what it learns is of no interest."""
    given = {"max_steps": 12, "batch_size": 30, "random_state": 0, "tol": 0.0} | settings
    return NeuralGaussian(4, **given)


def parts_of(new: Any, data: tuple[np.ndarray, ...], edges: tuple[int, ...]) -> Held[Part]:
    n, found = len(data[0]), list[Part]()
    for i, (a, b) in enumerate(zip((0, *edges), (*edges, n))):
        checked = new._check_part(*(one[a:b] for one in data), reset=i == 0)
        found.append(Part(checked, new, i, a))
    return Held(found, lambda: "these rows")


def fitted(model: Any, data: tuple[np.ndarray, ...], edges: tuple[int, ...], **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        return model._fit_from(lambda new: parts_of(new, data, edges), **options)


def same(one: Any, other: Any) -> bool:
    values = zip(one.weights_.values(), other.weights_.values(), strict=True)
    scales = ("input_mean_", "input_scale_", "target_mean_", "target_scale_", "noise_scale_")
    return one.history_ == other.history_ and all(
        np.array_equal(a, b)
        for a, b in [*values, *((getattr(one, n), getattr(other, n)) for n in scales)]
    )


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no rows be few enough to be gathered."""
    monkeypatch.setattr(neural, "GATHERED", 0)
    monkeypatch.setattr(batches, "JUDGED", 64)


@pytest.mark.parametrize("edges", CUTS)
@pytest.mark.parametrize("settings", [{}, {"batch_size": None}, {"early_stopping": True}])
@pytest.mark.parametrize("weighted", [False, True])
def test_few_rows_are_trained_on_as_in_memory(
    edges: tuple[int, ...], settings: dict[str, Any], weighted: bool
) -> None:
    data = rows()[: 3 if weighted else 2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        plain = network(**settings).fit(*data)
    assert same(fitted(network(**settings), data, edges), plain)


def test_a_step_over_very_many_gathered_rows_takes_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neural, "STEP_BYTES", 0)
    monkeypatch.setattr(neural, "BATCH", 30)
    one = fitted(network(batch_size=None), rows(), (50,))
    assert same(one, fitted(network(batch_size=30), rows(), ()))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.usefixtures("many")
def test_means_and_scales_of_many_rows_are_those_of_memory(weighted: bool) -> None:
    data = rows()[: 3 if weighted else 2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        plain = network(max_steps=0).fit(*data)
    for edges in CUTS:
        model = fitted(network(max_steps=0), data, edges)
        names = ("input_mean_", "input_scale_", "target_mean_", "target_scale_", "noise_scale_")
        for name in names:
            found, true = getattr(model, name), getattr(plain, name)
            np.testing.assert_allclose(found, true, rtol=1e-12)
        assert len(model.history_) == 1 and np.isfinite(model.loss_)


@pytest.mark.usefixtures("many")
def test_the_loss_is_that_of_the_sample_which_may_be_all_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "JUDGED", 1000)
    data = rows()
    model = fitted(network(max_steps=20, penalty=0.0), data, CUTS[2])
    score = float(model.log_density(*data).mean()) + np.log(model.target_scale_)
    assert model.loss_ == pytest.approx(-score, rel=1e-9)
    assert model.history_[0]["step"] == 0 and model.history_[-1]["step"] == 20
    steps = np.diff([row["step"] for row in model.history_])
    assert set(steps) <= {1, 2, 3, 20 - int(model.history_[-2]["step"])}  # each part is a pass


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"random_state": None}])
@pytest.mark.usefixtures("many")
def test_a_run_is_kept_and_resumed_to_the_bit(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings = {"max_steps": 25, "batch_size": 7} | settings
    for edges in CUTS:
        seeded = settings.get("random_state", 0) is not None
        folder = tmp_path / str(len(edges))
        plain = fitted(network(**settings), rows(), edges)
        take = NeuralDescent._descend

        def stop(self: Any, loss: Any, take: Any = take) -> None:
            if self.at.step == 17:
                raise RuntimeError("the power went")
            take(self, loss)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(NeuralDescent, "_descend", stop)
            with pytest.raises(RuntimeError, match="power"):
                fitted(network(**settings), rows(), edges, checkpoint=folder, every=5)
        assert (folder / "step-000000015").exists()
        resumed = fitted(network(**settings), rows(), edges, checkpoint=folder, every=5)
        assert resumed.history_[-1]["step"] == plain.history_[-1]["step"] == 25
        if seeded:
            assert same(resumed, plain)


@pytest.mark.usefixtures("many")
def test_ctrl_c_ends_the_step_and_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    plain, take = fitted(network(), rows(), CUTS[2]), NeuralDescent._descend

    def interrupted(self: Any, loss: Any) -> None:
        if self.at.step == 6:
            signal.raise_signal(signal.SIGINT)
        take(self, loss)

    model = network()
    try:
        with monkeypatch.context() as patched:
            patched.setattr(NeuralDescent, "_descend", interrupted)
            with pytest.raises(KeyboardInterrupt, match="stopped after step 7 and saved"):
                fitted(model, rows(), CUTS[2], checkpoint=tmp_path / "run")
    finally:
        signal.signal(signal.SIGINT, before)
    assert not model._learnt()
    assert same(fitted(model, rows(), CUTS[2], checkpoint=tmp_path / "run"), plain)
    with pytest.raises(ModelError, match="of another run: other data"):
        fitted(model, rows(seed=1), CUTS[2], checkpoint=tmp_path / "run")


@pytest.mark.usefixtures("many")
def test_rows_held_out_are_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"early_stopping": True, "validation_fraction": 0.3}
    X, y, _ = rows()
    seen = list[np.ndarray]()
    take = NeuralDescent._take

    def watched(self: Any, part: Any) -> None:
        seen.append(part[1])
        take(self, part)

    monkeypatch.setattr(NeuralDescent, "_take", watched)
    model = fitted(network(**settings, max_steps=40), (X, y), CUTS[2])
    assert {"validation_loss"} <= set(model.history_[0])
    trained = set(np.concatenate(seen).round(9))
    out = np.array([
        round(t, 9) not in trained for t in ((y - model.target_mean_) / model.target_scale_)
    ])  # fmt: skip
    assert 30 < out.sum() < 90
    moved = y.copy()
    moved[out] = moved[out][::-1]
    other = fitted(network(**settings, max_steps=40), (X, moved), CUTS[2])
    losses = [[row["loss"] for row in one.history_] for one in (model, other)]
    n = min(map(len, losses))
    assert losses[0][:n] == losses[1][:n]
    score = model.log_density(X[out], y[out]).mean()
    if out.sum() <= 64:
        assert model.best_validation_score_ == pytest.approx(score, rel=1e-9)


@pytest.mark.usefixtures("many")
def test_a_training_that_did_not_see_all_rows_says_so() -> None:
    with pytest.warns(AncestralWarning, match=r"ended at step 2 of 2, of 30 .* about 60 of 200"):
        network(max_steps=2)._fit_from(lambda new: parts_of(new, rows(), (100,)))


@pytest.mark.usefixtures("many")
def test_bad_input() -> None:
    X, y, w = rows()
    with pytest.raises(ModelError, match="y is constant"):
        fitted(network(), (X, np.ones(200)), (100,))
    with pytest.raises(ModelError, match="the spread of X or y is too large for float64"):
        fitted(network(), (np.where(X > 5, 1.0, -1.0) * 1.7e308, y), (100,))
    with pytest.raises(DataError, match=r"mean of sample_weight is .*rescale"):
        fitted(network(), (X, y, w * 1e-200), (100,))
    with pytest.raises(ModelError, match="one row leaves no scatter"):
        fitted(network(), (X[:1], y[:1]), ())
    with pytest.raises(ModelError, match="holds out 0 rows"):
        fitted(network(early_stopping=True, validation_fraction=1e-9), (X, y), (100,))
    model = network(early_stopping=True, random_state=None)
    with pytest.raises(ModelError, match="random_state must be an integer"):
        fitted(model, (X, y), (100,), checkpoint="never made")


def test_spreads_merge_whatever_was_cut() -> None:
    X, y, w = rows()
    for scale in (1.0, 1e-170, 1e170):
        whole = Spreads.of(X * scale + 1e3 * scale, y, w)
        for edges in CUTS:
            total = Spreads.of(X[:0], y[:0], w[:0])
            for a, b in zip((0, *edges), (*edges, 200)):
                total = total + Spreads.of(X[a:b] * scale + 1e3 * scale, y[a:b], w[a:b])
            for found, true in ((total.inputs, whole.inputs), (total.target, whole.target)):
                assert found.n == true.n == 200
                np.testing.assert_allclose(found.mean, true.mean, rtol=1e-13)
                np.testing.assert_allclose(found.length, true.length, rtol=1e-12)
            assert total.mean_weight == pytest.approx(whole.mean_weight, rel=1e-13)


def test_what_makes_rows_travels() -> None:
    model = fitted(network(max_steps=0), rows(), ())
    make = Standardised(model, Draw(1, 0.5), 1.5)
    part = Part(rows(), None, 3)
    for found, true in zip(pickle.loads(pickle.dumps(make))(part), make(part), strict=True):
        np.testing.assert_array_equal(found, true)
