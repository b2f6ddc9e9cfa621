"""A chain fitted within a budget of processor time: it stays a density, and keeps to the budget."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ancestral import ChainAutoregressive
from ancestral.autoregressive.chain import budget, conditionals, race
from ancestral.autoregressive.chain.conditionals import Task
from ancestral.errors import AncestralWarning, ModelError
from tests.zoo import BITS


def bits(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Return rows in which each bit repeats the one before it, but for one in ten."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.random((n, d)) < np.r_[0.5, np.full(d - 1, 0.1)], axis=1) % 2


def chain(**parameters: object) -> ChainAutoregressive:
    settings = {"n_components": 0, "n_raced": 2, "random_state": 0}
    return ChainAutoregressive("logistic", **{**settings, **parameters})


def test_a_budget_that_does_not_bind_changes_nothing() -> None:
    X = bits(400, 6)
    free, bound = chain().fit(X), chain(cpu_seconds=1000.0).fit(X)
    np.testing.assert_array_equal(free.log_density(X), bound.log_density(X))
    assert free.choices_ == bound.choices_


def test_no_time_at_all_leaves_the_marginals() -> None:
    X = bits(300, 6)
    with pytest.warns(AncestralWarning, match=r"cpu_seconds=1e-06 ran out: [45] of 6 variables"):
        model = chain(cpu_seconds=1e-6).fit(X)
    assert model.choices_.count("marginal") >= 5  # of those raced, one may be kept
    every = np.indices((2,) * 6).reshape(6, -1).T
    assert np.exp(model.log_density(every)).sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("power", [1.0, 2.0], ids=["linear", "quadratic"])
def test_a_tight_budget_is_kept_and_better_spent_than_on_marginals(
    monkeypatch: pytest.MonkeyPatch, power: float
) -> None:
    """By a clock that runs with rows, or their square: a quarter of the time finds most of it."""
    clock = [0.0]
    fit_one = race._fit_one

    def told(task: Task, columns: np.ndarray, candidate: race.Candidate) -> object:
        clock[0] += len(task.target) ** power * (10 + task.features.shape[1])
        return fit_one(task, columns, candidate)

    monkeypatch.setattr(budget, "process_time", lambda: clock[0])
    monkeypatch.setattr(race, "process_time", lambda: clock[0])
    monkeypatch.setattr(race, "_fit_one", told)
    monkeypatch.setattr(race, "RACED_ROWS", 400)
    X, fresh = bits(8000, 16), bits(2000, 16, seed=1)
    whole = chain(cpu_seconds=1e12).fit(X)
    needed, clock[0] = clock[0], 0.0
    tight = chain(cpu_seconds=needed / 4).fit(X)
    assert 0.6 * needed / 4 < clock[0] < 1.1 * needed / 4  # the last conditional may end late
    marginals = ChainAutoregressive("marginal", random_state=0).fit(X).score(fresh)
    assert tight.score(fresh) > marginals + 0.9 * (whole.score(fresh) - marginals)


def test_fewer_rows_are_taken_as_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(budget, "process_time", lambda: clock[0])
    held = budget.Budget(100.0)
    assert held.rows_for("trees", work=50.0, most=10_000) == 10_000  # nothing is known yet
    held.note("trees", seconds=10.0, rows=10_000, work=5.0)  # 0.2 ms per row and column
    assert held.rows_for("trees", work=40.0, most=10_000) == 10_000  # 80 s of 100
    assert held.rows_for("trees", work=90.0, most=10_000) == 5000  # 90 s buy half the rows
    assert held.rows_for("logistic", work=90.0, most=10_000) == 10_000  # of another cost
    clock[0] = 95.0
    assert held.rows_for("trees", work=90.0, most=10_000) == 0  # 250 rows are too few
    assert held.rows_for("trees", work=90.0, most=200) == 200
    clock[0] = 101.0
    assert held.rows_for("logistic", work=1.0, most=10_000) == 0


def test_the_race_is_run_on_some_of_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "RACED_ROWS", 100)
    seen = []
    fit_one = race._fit_one

    def watched(task: Task, columns: np.ndarray, candidate: race.Candidate) -> object:
        seen.append(len(task.target))
        return fit_one(task, columns, candidate)

    monkeypatch.setattr(race, "_fit_one", watched)
    chain(cpu_seconds=1000.0, validation_fraction=0.5).fit(bits(600, 5))
    # the race; then every variable anew, on at most twice the rows of the one before
    assert seen[:-4] == [100] * (len(seen) - 4)
    assert seen[-4:] == [200, 300, 300, 300]


def test_what_a_budget_cannot_be_is_refused() -> None:
    with pytest.raises(ModelError, match="cpu_seconds"):
        chain(cpu_seconds=0.0).fit(BITS)
    with pytest.raises(ModelError, match="n_jobs=2 works in other processes"):
        chain(cpu_seconds=5.0, n_jobs=2).fit(BITS)


# ---- many levels -------------------------------------------------------------------------------


def test_a_fit_of_many_levels_ends_when_it_is_late() -> None:
    """A distribution all the same: levels without a regression keep their share of the rows."""
    rng = np.random.default_rng(0)
    features = rng.integers(0, 2, (400, 6)).astype(np.float32)
    target = rng.integers(0, 30, 400)
    asked = []

    def is_late() -> bool:
        asked.append(1)
        return len(asked) > 3

    task = Task(features, target, features[:50], target[:50], 30, 0, is_late=is_late)
    fits = [conditionals.fit_logistic(task, 1.0)]
    assert 0 < (fits[0]["weights"] != 0).any(axis=0).sum() <= 4
    if find_spec("lightgbm"):
        asked.clear()
        fits.append(conditionals.fit_trees(task, 8))
        assert len(asked) <= 5 and len(fits[1]["root"]) <= 30 * 5
    for conditional in fits:
        p = np.exp(conditionals.log_probabilities(conditional, features))
        assert p.shape == (400, 30)
        np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("seconds", [2.0, 40.0])
def test_r3_a_budget_holds_with_a_column_of_300_levels(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """By a clock that a regression of each level costs 20 ms: 300 levels take 6 s a fit."""
    clock = [0.0]
    regression = LogisticRegression.fit

    def told(self: LogisticRegression, *data: object) -> object:
        clock[0] += 0.02
        return regression(self, *data)

    monkeypatch.setattr(budget, "process_time", lambda: clock[0])
    monkeypatch.setattr(race, "process_time", lambda: clock[0])
    monkeypatch.setattr(LogisticRegression, "fit", told)
    rng = np.random.default_rng(0)
    many = rng.integers(0, 300, (900, 1))
    X = np.hstack([many, many % 2, many // 100, rng.integers(0, 2, (900, 4)), many])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)  # where it ran out
        model = chain(cpu_seconds=seconds).fit(X)
    assert clock[0] <= 1.3 * seconds
    assert model.choices_[1] != "marginal"  # what costs little is fitted first
