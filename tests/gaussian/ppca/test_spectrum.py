"""Eigenvalues that wait until someone asks for them are those of a fit that computed all."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

import ancestral
from ancestral import PPCA, Moments
from ancestral._numerics import costs
from ancestral.gaussian.ppca.spectrum import Spectrum

rng = np.random.default_rng(0)
SHAPES = [(900, 300), (300, 900), (300, 300)]


def rows(n: int, d: int) -> np.ndarray:
    return rng.normal(size=(n, 4)) @ rng.normal(size=(4, d)) + rng.normal(size=(n, d)) + 5.0


def waits(model: PPCA) -> bool:
    held = vars(model)["eigenvalues_"]
    return isinstance(held, Spectrum) and isinstance(held._held, Moments)


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("standardize", [False, True])
def test_a_fit_that_waits_is_the_fit_that_does_not(
    n: int, d: int, standardize: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = rows(n, d)
    model = PPCA(4, standardize=standardize).fit(X)
    assert waits(model)
    ratio = model.explained_variance_ratio_
    assert len(model.explained_variance_) == 4
    model.score(X)
    assert waits(model)  # nothing of these asks
    monkeypatch.setattr(costs, "steps_tried", lambda m, q: 0)
    monkeypatch.setattr(costs, "bisected", lambda m, k: np.inf)
    whole = PPCA(4, standardize=standardize).fit(X)
    np.testing.assert_allclose(model.eigenvalues_, whole.eigenvalues_, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(model.eigenvalues_[:4], model.explained_variance_)
    assert (np.diff(model.eigenvalues_) <= 0).all()
    for name in ("noise_variance_", "log_likelihood_", "loadings_", "explained_variance_ratio_"):
        np.testing.assert_allclose(getattr(model, name), getattr(whole, name), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ratio, model.explained_variance_ratio_, rtol=1e-15)
    np.testing.assert_allclose(model.eigenvalues_[4:].sum() / (d - 4), model.noise_variance_)
    np.testing.assert_allclose(model.every_d().bic, whole.every_d().bic, rtol=1e-9)


def test_what_leaves_the_process_is_numbers(tmp_path: Path) -> None:
    X = rows(900, 300)
    model = PPCA(4).fit(X)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert isinstance(vars(other)["eigenvalues_"], np.ndarray)
        np.testing.assert_array_equal(other.eigenvalues_, model.eigenvalues_)
    path = PPCA(4).fit(X).save(tmp_path / "a.model")
    loaded = ancestral.load(path)
    np.testing.assert_array_equal(loaded.eigenvalues_, model.eigenvalues_)
    np.testing.assert_array_equal(loaded.explained_variance_, model.explained_variance_)
    assert not hasattr(clone(model), "eigenvalues_")


def test_threads_that_ask_at_once_see_one_answer() -> None:
    model = PPCA(4).fit(rows(900, 300))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: model.eigenvalues_, range(32)))
    for values in found:
        np.testing.assert_array_equal(values, found[0])


def test_a_later_fit_keeps_nothing_of_an_earlier_one() -> None:
    model = PPCA(4).fit(rows(900, 300))
    model.fit(rows(50, 6))
    assert model.eigenvalues_.shape == (6,)
    waiting = PPCA(4).fit(rows(900, 300))
    with pytest.warns(ancestral.AncestralWarning, match="starts anew"):
        waiting.partial_fit(rows(3, 300))
    assert not hasattr(waiting, "eigenvalues_")
