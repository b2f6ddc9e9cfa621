"""What is made of fitted parameters is kept beside them: it is never that of other parameters."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import ancestral
from ancestral import PPCA, PPCAMixture
from ancestral.base import MOST_KEPT

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4)) * [3.0, 2.0, 1.0, 0.5]
OTHER = RNG.normal(size=(200, 4)) * [0.5, 1.0, 2.0, 3.0] + 4
GAPS = np.where(RNG.random((6, 4)) < 0.3, np.nan, X[:6])

Make = Callable[[], Any]
MODELS: dict[str, Make] = {
    "ppca": lambda: PPCA(2),
    "standardised": lambda: PPCA(1, standardize=True),
    "mixture": lambda: PPCAMixture(2, 1, random_state=0),
    "standardised mixture": lambda: PPCAMixture(2, 1, standardize=True, random_state=0),
}
EVERY = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def answers(model: Any) -> list[np.ndarray]:
    """Return what uses the parameters: of complete rows, of rows with gaps, and draws."""
    asked = [model.log_density(X[:9]), model.log_density(GAPS), model.sample(5, random_state=1)]
    if isinstance(model, PPCA):
        return [*asked, model.transform(X[:9]), model.get_precision()]
    return [*asked, model.responsibilities(X[:9])]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(map(np.array_equal, one, other))


def anew(model: Any) -> Any:
    """Return a model of the same parameters that was never asked anything."""
    fresh = clone(model)
    fresh._restore(copy.deepcopy(model._fitted_state()))
    return fresh


@EVERY
def test_it_follows_every_change_of_a_parameter(make: Make) -> None:
    model = make().fit(X)
    before = answers(model)
    assert same(before, answers(model)) and same(before, answers(anew(model)))
    for name in ("loadings_", "mean_" if isinstance(model, PPCA) else "means_"):
        setattr(model, name, getattr(model, name) * 1.5)  # another array
        assert same(answers(model), answers(anew(model)))
        getattr(model, name)[..., 0] += 0.25  # the same array, changed in place
        after = answers(model)
        assert not same(before, after) and same(after, answers(anew(model)))
        before = after
    assert same(answers(model.fit(OTHER)), answers(make().fit(OTHER)))


@EVERY
def test_it_is_in_no_file_no_pickle_and_no_copy(make: Make, tmp_path: Path) -> None:
    model = make().fit(X)
    unasked, path = pickle.dumps(model), model.save(tmp_path / "model")
    size, before = path.stat().st_size, answers(model)
    assert vars(model)["_derived"] and pickle.dumps(model) == unasked
    assert model.save(path).stat().st_size == size and b"_derived" not in path.read_bytes()
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(unasked)):
        assert not vars(other)["_derived"] and same(answers(other), before)
    loaded = ancestral.load(path)
    assert not vars(loaded)["_derived"] and same(answers(loaded), before)
    assert not vars(model.fit(X))["_derived"]


@EVERY
def test_threads_that_ask_at_once_get_the_same(make: Make) -> None:
    model = make().fit(X)
    before = answers(anew(model))
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: answers(model), range(16)):
            assert same(found, before)


def test_what_is_large_is_not_kept() -> None:
    d = MOST_KEPT // 16
    rows = RNG.normal(size=(40, d))
    model = PPCA(18).fit(rows)
    found = model.log_density(rows[:2])
    assert not vars(model)["_derived"] and np.array_equal(found, model.log_density(rows[:2]))
