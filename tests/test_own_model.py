"""Models that users write: registered for files, compared, and held to what is given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

import ancestral
from ancestral import PPCA, _catalogue, scores
from ancestral.autoregressive.sequential import Sequential
from ancestral.base import Density, FromParts, MaximumLikelihood, register
from ancestral.conditions import Conditions
from ancestral.errors import FormatError, ModelError, SaveError
from ancestral.streaming import fit_chunks
from ancestral.training.parts import Held

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


# ---- the rows of the page's table ----------------------------------------------------------------


def sums(part: Any) -> Any:
    rows = part.data[0]
    return np.array([len(rows), *rows.sum(axis=0)])


class Centred(FromParts, Conditions):
    """x ~ N(mu, I)."""

    _fields = ("mean_",)

    def _fit(self, X: Any) -> None:
        self._fit_parts(Held.whole(self, (X,)))

    def _fit_parts(self, parts: Any) -> None:
        n, *total = parts.total(sums)
        self.mean_ = np.array(total) / n

    def _log_density(self, X: Any) -> Any:
        return -0.5 * ((X - self.mean_) ** 2 + np.log(2 * np.pi)).sum(axis=1)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Any:
        return self.mean_ + rng.standard_normal((n_samples, len(self.mean_)))

    def impute(self, X: Any) -> Any:
        rows = np.asarray(X, float)
        return self._framed(np.where(np.isnan(rows), self.mean_, rows), X)

    def impute_draws(self, X: Any, n_draws: int = 1, *, random_state: Any = None) -> Any:
        rows, rng = np.asarray(X, float), np.random.default_rng(random_state)
        drawn = self.mean_ + rng.standard_normal((n_draws, *rows.shape))
        return self._tables(np.where(np.isnan(rows), drawn, rows), X)

    def marginals(self, X: Any) -> Any:
        spread = np.isnan(np.asarray(X, float)).astype(float)
        return self._by_column([np.stack([c, s], 1) for c, s in zip(self.impute(X).T, spread.T)])


class Coins(Sequential):
    """Independent columns of levels."""

    _fields = ("shares_",)

    def _fit_levels(self, levels: Any) -> None:
        counts = [np.bincount(c, minlength=len(k)) for c, k in zip(levels.T, self.categories_)]
        self.shares_ = [count / len(levels) for count in counts]

    def start(self, n_samples: int) -> Any:
        return n_samples, 0

    def step(self, state: Any, previous: Any) -> Any:
        n, column = state
        return (n, column + 1), np.tile(np.log(self.shares_[column]), (n, 1))

    def take(self, state: Any, index: Any) -> Any:
        return len(index), state[1]


def test_one_fit_by_parts_serves_memory_and_chunks() -> None:
    whole, chunks = Centred().fit(X), fit_chunks(Centred(), [X[:30], X[30:]])
    np.testing.assert_allclose(whole.mean_, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(chunks.mean_, whole.mean_, rtol=1e-12)


def test_rows_with_gaps_are_filled_in_the_form_that_they_came_in() -> None:
    pd = pytest.importorskip("pandas")
    model = Centred().fit(pd.DataFrame(X, columns=["a", "b"]))
    gaps = pd.DataFrame({"a": [np.nan, 1.0], "b": [2.0, 3.0]}, index=["x", "y"])
    filled = model.impute(gaps)
    assert list(filled.index) == ["x", "y"] and filled.loc["x", "a"] == model.mean_[0]
    assert [list(drawn["b"]) for drawn in model.impute_draws(gaps, 2)] == [[2.0, 3.0]] * 2
    found = Centred().fit(X).marginals(gaps.to_numpy())
    np.testing.assert_array_equal(found[0][:, 1], [1.0, 0.0])


def test_levels_in_order_bring_all_questions_with_them() -> None:
    rows = np.random.default_rng(0).integers(0, 2, (50, 3))
    model = Coins().fit(rows)
    mean = rows.mean(axis=0)
    wanted = np.log(np.where(rows[:2] == 1, mean, 1 - mean)).sum(axis=1)
    np.testing.assert_allclose(model.log_density(rows[:2]), wanted, rtol=1e-12)
    assert (model.sample(20, given=[np.nan, 1, np.nan], random_state=0)[:, 1] == 1).all()
    assert model.impute([[0, np.nan, 1]])[0, 1] == (mean[1] > 0.5)


def test_a_model_without_parameters_is_searched_over() -> None:
    found = GridSearchCV(Waiting(), {}, cv=3).fit(X)
    assert np.isfinite(found.best_score_)
    with pytest.raises(ValueError, match="Invalid parameter 'rate' for estimator Waiting"):
        Waiting().set_params(rate=1.0)
