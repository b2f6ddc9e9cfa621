"""An LSTM trained from parts: few rows as in memory, more part by part."""

from __future__ import annotations

import pickle
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ancestral import LSTMAutoregressive
from ancestral.autoregressive import lstm
from ancestral.autoregressive.lstm import Encoded, LSTMDescent
from ancestral.errors import AncestralWarning, DataError
from ancestral.training import batches
from ancestral.training.batches import Draw
from ancestral.training.parts import Held, Part

pytest.importorskip("torch", reason='needs PyTorch: pip install "ancestral[neural]"')

CUTS = [(), (100,), (1, 40, 41, 90, 150, 170)]


def rows(n: int = 200, seed: int = 0, n_levels: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, n_levels, (n, 4))


def network(**settings: Any) -> LSTMAutoregressive:
    """A tiny one, trained for a few steps: what it learns is of no interest."""
    given = {"max_steps": 12, "batch_size": 30, "random_state": 0, "tol": 0.0} | settings
    return LSTMAutoregressive(4, 1, **given)


def parts_of(new: Any, X: Any, weights: Any, edges: tuple[int, ...]) -> Held[Part]:
    found = list[Part]()
    for i, (a, b) in enumerate(zip((0, *edges), (*edges, len(X)))):
        given = (X[a:b],) if weights is None else (X[a:b], None, weights[a:b])
        found.append(Part(new._check_part(*given, reset=i == 0), new, i, a))
    return Held(found, lambda: "these rows")


def fitted(model: Any, X: Any, edges: tuple[int, ...], weights: Any = None, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        return model._fit_from(lambda new: parts_of(new, X, weights, edges), **options)


def in_memory(model: Any, X: Any, weights: Any = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        return model.fit(X, frequencies=weights)


def same(one: Any, other: Any) -> bool:
    values = zip(one.weights_.values(), other.weights_.values(), strict=True)
    levels = zip(one.categories_, other.categories_, strict=True)
    return (
        (one.history_, one.loss_, one.floor_) == (other.history_, other.loss_, other.floor_)
        and all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in levels)
        and all(np.array_equal(a, b) for a, b in values)
    )


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no rows be few enough to be gathered."""
    monkeypatch.setattr(lstm, "GATHERED", 0)
    monkeypatch.setattr(batches, "JUDGED", 64)


TABLES: dict[str, Any] = {
    "binary": rows(),
    "levels": rows(n_levels=3) * 5 - 7,
    "booleans": rows().astype(bool),
    "text": np.array(["no", "yes", "perhaps"])[rows(n_levels=3)],
    "frame": pd.DataFrame(np.array(["no", "yes"], object)[rows()], columns=list("abcd")),
}


@pytest.mark.parametrize("edges", CUTS)
@pytest.mark.parametrize("name", TABLES)
def test_few_rows_are_trained_on_as_in_memory(edges: tuple[int, ...], name: str) -> None:
    X = TABLES[name]
    assert same(fitted(network(), X, edges), in_memory(network(), X))


@pytest.mark.parametrize("settings", [{"batch_size": None}, {"early_stopping": True}])
@pytest.mark.parametrize("edges", CUTS)
def test_few_weighted_rows_are_trained_on_as_in_memory(
    edges: tuple[int, ...], settings: dict[str, Any]
) -> None:
    X, weights = rows(n_levels=3), np.random.default_rng(1).integers(0, 3, 200).astype(float)
    assert same(
        fitted(network(**settings), X, edges, weights), in_memory(network(**settings), X, weights)
    )


def test_equal_rows_are_counted_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    X = rows()  # of 16 kinds at most
    monkeypatch.setattr(lstm, "GATHERED", 16 * (4 + 8) * 2)
    assert same(fitted(network(), X, CUTS[2]), in_memory(network(), X))
    held_out = fitted(network(early_stopping=True), X, CUTS[2])  # which takes them one by one
    assert held_out.floor_ == 0.0


def test_a_step_over_very_many_gathered_rows_takes_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lstm, "STEP_BYTES", 0)
    monkeypatch.setattr(lstm, "BATCH", 5)
    one = fitted(network(batch_size=None), rows(), (50,))
    assert same(one, in_memory(network(batch_size=5), rows()))


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.usefixtures("many")
def test_the_levels_of_many_rows_are_those_of_memory(name: str) -> None:
    X = TABLES[name]
    plain = in_memory(network(max_steps=0), X)
    for edges in CUTS:
        model = fitted(network(max_steps=0), X, edges)
        for one, other in zip(model.categories_, plain.categories_, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        assert model.floor_ == 0.0
    declared = fitted(network(max_steps=0, categories=[[1, 0, 4], None, None, None]), rows(), ())
    np.testing.assert_array_equal(declared.categories_[0], [1, 0, 4])


@pytest.mark.usefixtures("many")
def test_the_loss_is_that_of_the_sample_which_may_be_all_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "JUDGED", 1000)
    X, weights = rows(n_levels=3), np.random.default_rng(1).integers(0, 3, 200).astype(float)
    model = fitted(network(max_steps=20), X, CUTS[2], weights)
    score = np.average(model.log_density(X), weights=weights)
    assert model.loss_ == pytest.approx(-score, rel=1e-9)
    assert min(row["loss"] for row in model.history_) == pytest.approx(model.loss_, rel=1e-5)
    assert model.history_[-1]["step"] == 20


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}])
@pytest.mark.usefixtures("many")
def test_a_run_is_kept_and_resumed_to_the_bit(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings = {"max_steps": 25, "batch_size": 7} | settings
    for edges in CUTS:
        folder = tmp_path / str(len(edges))
        plain, take = fitted(network(**settings), rows(), edges), LSTMDescent._descend

        def stop(self: Any, loss: Any, take: Any = take) -> None:
            if self.at.step == 17:
                raise RuntimeError("the power went")
            take(self, loss)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(LSTMDescent, "_descend", stop)
            with pytest.raises(RuntimeError, match="power"):
                fitted(network(**settings), rows(), edges, checkpoint=folder, every=5)
        assert (folder / "step-000000015").exists()
        assert same(fitted(network(**settings), rows(), edges, checkpoint=folder, every=5), plain)


@pytest.mark.usefixtures("many")
def test_ctrl_c_ends_the_step_and_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    plain, take = fitted(network(), rows(), CUTS[2]), LSTMDescent._descend

    def interrupted(self: Any, loss: Any) -> None:
        if self.at.step == 6:
            signal.raise_signal(signal.SIGINT)
        take(self, loss)

    model = network()
    try:
        with monkeypatch.context() as patched:
            patched.setattr(LSTMDescent, "_descend", interrupted)
            with pytest.raises(KeyboardInterrupt, match="stopped after step 7 and saved"):
                fitted(model, rows(), CUTS[2], checkpoint=tmp_path / "run")
    finally:
        signal.signal(signal.SIGINT, before)
    assert not model._learnt()
    assert same(fitted(model, rows(), CUTS[2], checkpoint=tmp_path / "run"), plain)


@pytest.mark.usefixtures("many")
def test_a_training_that_did_not_see_all_rows_says_so() -> None:
    with pytest.warns(AncestralWarning, match=r"ended at step 2 of 2, of 30 .* about 60 of 200"):
        network(max_steps=2)._fit_from(lambda new: parts_of(new, rows(), None, (100,)))


@pytest.mark.usefixtures("many")
def test_bad_input() -> None:
    with pytest.raises(DataError, match=r"X holds 0\.5"):
        fitted(network(), np.array([[0.5, 1.0]]), ())
    with pytest.raises(DataError, match=r"frequencies.* -1"):
        fitted(network(), rows(3), (), [1.0, -1.0, 1.0])
    parts = Held([Part((X, np.ones(2)), network(), 0) for X in (rows(2), rows(2).astype(str))])
    with pytest.raises(DataError, match=r"column 0: .*do not merge"):
        network()._fit_from(lambda new: parts)


def test_what_makes_letters_travels() -> None:
    model = fitted(network(max_steps=0), TABLES["text"], ())
    make = Encoded(model, Draw(1, 0.5))
    part = Part((TABLES["text"], np.arange(200.0)), None, 3)
    found = pickle.loads(pickle.dumps(make))(part)
    for one, true in zip(found, make(part), strict=True):
        np.testing.assert_array_equal(one, true)
    assert len(found[0]) == len(found[1]) < 150 and (found[1] > 0).all()
