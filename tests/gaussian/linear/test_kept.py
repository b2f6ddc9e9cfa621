"""What a fit finds when it is read: as if it had been set, for every reader."""

from __future__ import annotations

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import ancestral
from ancestral import LinearGaussian
from ancestral.base import NotFittedError
from ancestral.errors import AncestralWarning
from ancestral.gaussian.linear.fitted import DERIVED

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 3)) + 2, RNG.normal(size=40)


def fitted(kind: str) -> LinearGaussian:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        model = LinearGaussian()
        if kind == "plain":
            return model.fit(X, Y)
        if kind == "refined":
            return model.fit(np.c_[X, X[:, 0] + 1e-7 * Y], Y)
        if kind == "few rows":
            return model.fit(X[:3], Y[:3])
        return model.fit(X, np.c_[Y, Y**2], sample_weight=Y**2)


KINDS = pytest.mark.parametrize("kind", ["plain", "refined", "few rows", "targets"])


@KINDS
def test_a_value_is_the_same_for_whoever_reads_it_first(kind: str, tmp_path: Path) -> None:
    model = fitted(kind)
    names = [name for name in DERIVED if hasattr(model, name)]
    assert ("span_" in names) == (kind == "few rows")
    copies = {
        "pickled": pickle.loads(pickle.dumps(fitted(kind))),
        "copied": copy.deepcopy(fitted(kind)),
        "saved": ancestral.load(fitted(kind).save(tmp_path / "m")),
        "read before": pickle.loads(pickle.dumps(model)),
    }
    for other in copies.values():
        for name in reversed(names):
            np.testing.assert_array_equal(getattr(other, name), getattr(model, name), err_msg=name)
        assert other._fitted_state().keys() == model._fitted_state().keys()


@KINDS
def test_threads_read_the_same_values(kind: str) -> None:
    for name in [name for name in DERIVED if hasattr(fitted(kind), name)]:
        model, wanted = fitted(kind), getattr(fitted(kind), name)
        with ThreadPoolExecutor(8) as pool:
            for found in pool.map(lambda _: getattr(model, name), range(16)):  # noqa: B023
                np.testing.assert_array_equal(found, wanted)


def test_a_value_that_is_set_stands_and_the_next_fit_drops_it() -> None:
    model = fitted("plain")
    model.standard_errors_ = np.zeros(4)
    np.testing.assert_array_equal(model.standard_errors_, 0)
    assert (model.fit(X, Y).standard_errors_ > 0).all()


def test_without_a_fit_there_is_no_value() -> None:
    model = LinearGaussian()
    assert not any(hasattr(model, name) for name in DERIVED)
    with pytest.raises(AttributeError, match="call fit first"):
        _ = model.standard_errors_
    model = fitted("plain")
    with pytest.warns(AncestralWarning, match="starts anew"):
        model.partial_fit(X[:2], Y[:2])  # too few: what the fit before has kept is out of reach
    assert not any(hasattr(model, name) for name in DERIVED)
    with pytest.raises(NotFittedError):
        model.predict(X)
