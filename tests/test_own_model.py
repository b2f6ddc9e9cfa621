"""Models that users write: registered for files, compared, and held to what is given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import PPCA, _catalogue, scores
from ancestral.base import Density, MaximumLikelihood, register
from ancestral.errors import FormatError, ModelError, SaveError

X = np.random.default_rng(0).exponential([2.0, 5.0], (100, 2))
ENTRIES = {entry.name: entry for entry in _catalogue.MODELS}


class Waiting(MaximumLikelihood, Density):
    """x_j ~ Exponential(rate_j), each column by itself."""

    _fields = ("rates_", "n_parameters_")

    def _fit(self, X: Any) -> None:
        self.rates_ = 1 / X.mean(axis=0)
        self.n_parameters_ = X.shape[1]

    def _log_density(self, X: Any) -> Any:
        return np.where(X >= 0, np.log(self.rates_) - self.rates_ * X, -np.inf).sum(axis=1)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Any:
        return rng.exponential(1 / self.rates_, (n_samples, len(self.rates_)))


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_catalogue, "REGISTERED", {})
    monkeypatch.setattr("ancestral.base.REGISTERED", _catalogue.REGISTERED)


def test_a_registered_class_is_saved_and_loaded(tmp_path: Path) -> None:
    model = Waiting().fit(X)
    with pytest.raises(SaveError, match=r"Waiting has no saved form.*ancestral\.base\.register"):
        model.save(tmp_path / "a.model")
    assert register(Waiting) is Waiting
    again = ancestral.load(model.save(tmp_path / "a.model"))
    assert type(again) is Waiting and again.data_fingerprint_ == model.data_fingerprint_
    np.testing.assert_array_equal(again.log_density(X), model.log_density(X))
    assert scores.compare({"waiting": model, "ppca": PPCA(1).fit(X)}, X) is not None


def test_a_value_that_is_not_declared_is_not_lost_in_silence(tmp_path: Path) -> None:
    class More(Waiting):
        def _fit(self, X: Any) -> None:
            super()._fit(X)
            self.largest_ = X.max(axis=0)

    with pytest.raises(SaveError, match=r"fit learnt largest_, which More\._fields does not name"):
        register(More)().fit(X).save(tmp_path / "a.model")


def test_a_program_that_does_not_register_the_class_refuses_its_file(tmp_path: Path) -> None:
    path = register(Waiting)().fit(X).save(tmp_path / "a.model")
    code = f"import ancestral; ancestral.load({str(path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode and "register it before: ancestral.base.register" in done.stderr
    _catalogue.REGISTERED.clear()
    with pytest.raises(FormatError, match="'Waiting', which this version does not know"):
        ancestral.load(path)


def test_a_class_that_is_written_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    """As a cell of a notebook that is run twice."""
    path = register(Waiting)().fit(X).save(tmp_path / "a.model")
    second = register(type("Waiting", (Waiting,), {"__module__": __name__}))
    assert type(ancestral.load(path)) is second


def test_what_no_file_could_hold_is_not_registered() -> None:
    with pytest.raises(ModelError, match="declares no fitted values"):
        register(type("Bare", (Density,), {}))
    with pytest.raises(ModelError, match="name of a model of this package"):
        register(type("PPCA", (PPCA,), {}))


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))
def test_faces_say_what_the_catalogue_says(entry: _catalogue.Entry) -> None:
    assert entry.load()._face == entry.face


def test_draws_that_ignore_what_is_given_are_refused() -> None:
    class Heedless(Waiting):
        def _draw_given(self, n_samples: int, given: Any, rng: Any) -> Any:
            return self._draw(n_samples, rng)

    class OneRow(Waiting):
        def _draw_given(self, n_samples: int, given: Any, rng: Any) -> Any:
            return given

    given = [np.nan, 1.0]
    with pytest.raises(ModelError, match=r"Heedless\._draw_given returned .* column 1, where 1\.0"):
        Heedless().fit(X).sample(3, given=given, random_state=0)
    with pytest.raises(ModelError, match=r"shape \(2,\) for \(3, 2\)"):
        OneRow().fit(X).sample(3, given=given, random_state=0)
    with pytest.raises(ModelError, match="cannot draw given known values"):
        Waiting().fit(X).sample(3, given=given, random_state=0)
