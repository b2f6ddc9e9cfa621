"""On a CUDA device: training there gives what training here does, and tensors stay there.

Skipped without such a device. The two devices sum in other orders, so that weights agree only as
far as training is insensitive to rounding: what is compared is how good the models are, and what
one device repeats to the bit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import config_context

import ancestral
from ancestral import PPCA, LSTMAutoregressive, NeuralGaussian, datasets, streaming
from ancestral._checks.numbers import within_memory
from ancestral.errors import ModelError

torch = pytest.importorskip("torch", reason="PyTorch is an extra")
if not torch.cuda.is_available():
    pytest.skip("no CUDA device here", allow_module_level=True)

STOPPED = """
import os, signal, sys
from ancestral import LSTMAutoregressive, datasets
from ancestral.autoregressive import lstm
descend = lstm.LSTMDescent._descend
def stop(self, loss):
    if self.at.step == 20:
        os.kill(os.getpid(), signal.SIGINT)
    descend(self, loss)
lstm.LSTMDescent._descend = stop
model = LSTMAutoregressive(16, 1, max_steps=60, tol=0.0, device="cuda", random_state=0)
try:
    model.fit(datasets.icons()[0], checkpoint=sys.argv[1])
except KeyboardInterrupt:
    sys.exit(130)
"""


def rows(n: int = 20_000, d: int = 64) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 5)) @ rng.normal(size=(5, d)) * 2 + rng.normal(size=(n, d)) + 3


@pytest.fixture
def dispatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ask scikit-learn to keep arrays in their library; it wants SciPy's consent as well."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with config_context(array_api_dispatch=True):
        yield


# ---- the LSTM ------------------------------------------------------------------------------------


def test_an_lstm_learns_there_what_it_learns_here() -> None:
    icons, _ = datasets.icons()
    there = LSTMAutoregressive(tol=0.01, device="cuda", random_state=0).fit(icons)
    here = LSTMAutoregressive(tol=0.01, random_state=0).fit(icons)
    assert there.loss_ - there.floor_ < 0.01
    first = [model.history_[0]["loss"] for model in (there, here)]
    assert first[0] == pytest.approx(first[1], rel=1e-5)  # the same start
    assert all(isinstance(value, np.ndarray) for value in there.weights_.values())
    # Scored in NumPy whatever trained it: the loss reported is that of the model.
    assert -there.score(icons) == pytest.approx(there.loss_, abs=1e-4)


def test_a_seed_repeats_to_the_bit_there() -> None:
    icons, _ = datasets.icons()
    one, other = (
        LSTMAutoregressive(16, 1, max_steps=40, device="cuda", random_state=0).fit(icons)
        for _ in range(2)
    )
    for name, value in one.weights_.items():
        np.testing.assert_array_equal(value, other.weights_[name])


def test_a_stopped_training_resumes_to_the_bit_there(tmp_path: Path) -> None:
    icons, _ = datasets.icons()
    folder = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": str(Path(ancestral.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", STOPPED, str(folder)], env=environment)
    assert done.returncode == 130
    settings: dict[str, Any] = {"max_steps": 60, "tol": 0.0, "device": "cuda", "random_state": 0}
    resumed = LSTMAutoregressive(16, 1, **settings).fit(icons, checkpoint=folder)
    whole = LSTMAutoregressive(16, 1, **settings).fit(icons)
    assert resumed.history_ == whole.history_
    for name, value in whole.weights_.items():
        np.testing.assert_array_equal(value, resumed.weights_[name])


def test_a_network_learns_there_what_it_learns_here() -> None:
    X, y, _ = datasets.line()
    there = NeuralGaussian(max_steps=200, device="cuda", random_state=0).fit(X, y)
    here = NeuralGaussian(max_steps=200, random_state=0).fit(X, y)
    np.testing.assert_allclose(there.log_density(X, y), here.log_density(X, y), atol=1e-3)


# ---- PPCA of tensors -----------------------------------------------------------------------------


@pytest.mark.usefixtures("dispatch")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 2e-3)])
def test_tensors_stay_there_with_numpys_values(dtype: str, tolerance: float) -> None:
    X = rows().astype(dtype)
    T = torch.asarray(X, device="cuda")
    model, plain = PPCA(5).fit(T), PPCA(5).fit(X)

    def close(found: Any, wanted: np.ndarray) -> bool:
        assert found.device.type == "cuda"
        return np.allclose(found.cpu().numpy(), wanted, rtol=tolerance, atol=tolerance)

    for name in ("mean_", "components_", "loadings_", "eigenvalues_"):
        assert close(getattr(model, name), getattr(plain, name))
    assert model.noise_variance_ == pytest.approx(plain.noise_variance_, rel=1e-5)
    assert close(model.log_density(T), plain.log_density(X))
    Z = model.transform(T)
    assert Z.dtype == T.dtype
    assert close(Z, plain.transform(X))
    assert close(model.inverse_transform(Z), plain.inverse_transform(Z.cpu().numpy()))
    assert close(model.sample(3, random_state=0), plain.sample(3, random_state=0))


@pytest.mark.usefixtures("dispatch")
def test_gaps_and_chunks_there() -> None:
    X = rows(2_000, 12)
    chunks = [torch.asarray(part, device="cuda") for part in np.array_split(X, 4)]
    streamed = streaming.fit_chunks(PPCA(5), chunks)
    assert streamed.noise_variance_ == pytest.approx(PPCA(5).fit(X).noise_variance_, rel=1e-12)
    X[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    T = torch.asarray(X, device="cuda")
    model, plain = PPCA(5).fit(T), PPCA(5).fit(X)
    filled = model.impute(T)
    assert filled.device.type == "cuda"
    np.testing.assert_allclose(filled.cpu().numpy(), plain.impute(X), rtol=1e-9)


@pytest.mark.usefixtures("dispatch")
def test_a_model_fitted_there_is_saved_for_anywhere(tmp_path: Path) -> None:
    T = torch.asarray(rows(500, 8), device="cuda")
    model = PPCA(3).fit(T)
    again = ancestral.load(model.save(tmp_path / "model"))
    assert isinstance(again.mean_, np.ndarray)
    assert again.score(T.cpu().numpy()) == pytest.approx(model.score(T), rel=1e-12)


def test_want_of_memory_there_is_said() -> None:
    @within_memory("Give less.")
    def ask() -> None:
        torch.empty(1 << 50, dtype=torch.uint8, device="cuda")

    with pytest.raises(ModelError, match=r"memory \(tried to allocate [\d.]+ \wi?B\)\. Give less"):
        ask()
