"""The chain of classifiers: its families, the race, what is kept, and what is refused."""

from __future__ import annotations

import sys
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

import ancestral
from ancestral import ChainAutoregressive, TabularAutoregressive
from ancestral.autoregressive.chain import conditionals, race
from ancestral.autoregressive.chain.prefix_mixture import fit_mixture, one_hot
from ancestral.errors import DataError, MissingExtraError, ModelError, SaveError
from tests.zoo import BITS, LEVELS, WORDS


def chained(n: int, d: int, seed: int = 0, flip: float = 0.1) -> np.ndarray:
    """Return a Markov chain of bits: each repeats the one before it, but for some."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.random((n, d)) < np.r_[0.5, np.full(d - 1, flip)], axis=1) % 2


def quick(estimator: Any = "logistic", **parameters: Any) -> ChainAutoregressive:
    settings = {"n_components": 0, "n_raced": 2, "random_state": 0}
    return ChainAutoregressive(estimator, **{**settings, **parameters})


def space(*levels: int) -> np.ndarray:
    return np.indices(levels).reshape(len(levels), -1).T


# ---- it learns -------------------------------------------------------------------------------


def test_a_markov_chain_is_found() -> None:
    """Within 0.05 nats of the true entropy of eight variables, on 4,000 fresh rows."""
    flip = -(0.1 * np.log(0.1) + 0.9 * np.log(0.9))
    true = np.log(2) + 7 * flip
    model = quick().fit(chained(4000, 8))
    fresh = chained(4000, 8, seed=1)
    error = model.log_density(fresh).std() / np.sqrt(len(fresh))
    assert -true - 0.05 - 4 * error < model.score(fresh) < -true + 4 * error


@pytest.mark.parametrize("family", ["trees", "logistic", None])
def test_every_family_beats_the_marginals(family: Any) -> None:
    if family != "logistic":
        pytest.importorskip("lightgbm", reason="LightGBM is an extra")
    X, fresh = chained(600, 5), chained(600, 5, seed=1)
    model = quick(family, n_components=3).fit(X)
    assert model.score(fresh) > quick("marginal").fit(X).score(fresh) + 0.5
    assert model.choices_[0] == "marginal"  # nothing is known before the first
    assert set(model.choices_[1:]) == {model.chosen_}


@pytest.mark.parametrize(("errors", "stays"), [(2.4, True), (2.6, False)])
def test_a_candidate_leaves_the_race_more_than_two_and_a_half_errors_behind(
    errors: float, stays: bool
) -> None:
    spread = np.tile([-1.0, 1.0], 50)  # of the differences, whose mean has the error 1 / 10
    totals = {"ahead": np.zeros(100), "behind": spread - errors / 10}
    running = [race.Candidate(name, conditionals.log_probabilities) for name in totals]
    assert (running[1] in race._still_in(running, totals)) is stays


def test_the_winner_of_the_race_has_the_best_validation_score() -> None:
    X, held = chained(400, 6), chained(300, 6, seed=1)
    model = quick(n_raced=5).fit(X, X_val=held)
    full = {name: score for name, (n, score) in model.race_.items() if n == 5}
    assert model.chosen_ == max(full, key=full.get)
    assert set(model.race_) == {c.name for c in race.CANDIDATES["logistic"]}
    assert model.validation_score_ == pytest.approx(model.score(held), rel=1e-12)


def test_a_marginal_that_does_better_on_validation_is_kept() -> None:
    coins = np.random.default_rng(0).integers(0, 2, size=(300, 6))
    tree = quick(DecisionTreeClassifier()).fit(coins[:100], X_val=coins[100:])
    assert tree.choices_ == ["marginal"] * 6


def test_constant_columns_cost_nothing_and_stay_possible() -> None:
    X = np.column_stack([chained(200, 3), np.zeros(200, int)])
    model = quick().fit(X)
    assert model.choices_[3] == "marginal"
    p = np.exp(model.log_density(space(2, 2, 2, 2)))
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    assert 0 < p[space(2, 2, 2, 2)[:, 3] == 1].sum() < 0.01
    single = quick().fit(np.column_stack([WORDS, ["same"] * len(WORDS)]))
    assert single.categories_[2].tolist() == ["same"]
    assert single.log_density([["no", "red", "same"]])[0] < 0


def test_informative_parents_are_seen_first() -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, size=(500, 9))
    X[:, 8] = X[:, 3]
    model = quick(max_parents=1).fit(X)
    assert model.conditionals_[8]["columns"].tolist() == [3]
    assert model.score(X) > -8.3 * np.log(2)


# ---- any classifier --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        RandomForestClassifier(n_estimators=5),
        LinearDiscriminantAnalysis(),
        DecisionTreeClassifier(),
    ],
    ids=lambda e: type(e).__name__,
)
def test_any_classifier_with_probabilities_makes_a_density(estimator: Any) -> None:
    model = quick(estimator).fit(LEVELS)
    p = np.exp(model.log_density(space(2, 3, 5)))
    assert (p > 0).all()  # a tree is certain of itself; the floor is not
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    again = quick(estimator).fit(LEVELS)
    np.testing.assert_array_equal(np.exp(again.log_density(space(2, 3, 5))), p)
    with pytest.raises(SaveError, match=f"a chain of {type(estimator).__name__} has no saved form"):
        model.save("model")


class Odd(ClassifierMixin, BaseEstimator):
    """A classifier that predicts the same number for every level of every row."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def fit(self, X: Any, y: Any) -> Odd:
        if self.value == 7.0:
            raise ValueError("seven is not for me.")
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        return np.full((len(X), len(self.classes_)), self.value)


def test_what_a_classifier_does_wrong_is_said_with_the_variable() -> None:
    with pytest.raises(ModelError, match=r"Odd could not be fitted to variable 1 .* not for me"):
        quick(Odd(7.0)).fit(LEVELS)
    with pytest.raises(ModelError, match=r"KNeighborsClassifier.predict_proba failed for .* rows"):
        quick(KNeighborsClassifier(50)).fit(chained(40, 3))
    for value in (np.nan, -0.5):
        with pytest.raises(ModelError, match=f"predict_proba gave {value:g}, which is no prob"):
            quick(Odd(value)).fit(LEVELS)
    silent = quick(Odd(0.0)).fit(LEVELS)  # nothing said: every level alike, or the marginal
    assert np.exp(silent.log_density(space(2, 3, 5))).sum() == pytest.approx(1.0, abs=1e-12)


def test_the_parts_of_a_pipeline_are_seeded() -> None:
    """The same model twice, whatever NumPy's global generator does."""
    forest = make_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=3))
    one, two = (quick(forest).fit(LEVELS).log_density(space(2, 3, 5)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_text_levels_and_levels_missing_from_the_training_part() -> None:
    """One row holds 'green' alone: in training or validation, its probability is not zero."""
    for seed in range(4):
        model = quick(LogisticRegression(), random_state=seed).fit(WORDS)
        p = np.exp(
            model.log_density([[a, b] for a in ("no", "yes") for b in ("blue", "green", "red")])
        )
        assert p.sum() == pytest.approx(1.0, abs=1e-12)
        assert (p > 0).all()


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LinearSVC(), "LinearSVC has no predict_proba"),
        ("forest", "'forest' is no family; take one of auto, trees, logistic, marginal"),
        (LogisticRegression, "pass an instance"),
        (3, "is no classifier"),
    ],
)
def test_what_predicts_no_probabilities_is_refused(estimator: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        quick(estimator).fit(BITS)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": -1}, "n_components"),
        ({"max_parents": 0}, "max_parents"),
        ({"validation_fraction": 0.0}, "validation_fraction"),
        ({"validation_fraction": 1.0}, "validation_fraction must be below 1"),
        ({"n_raced": 0}, "n_raced"),
    ],
)
def test_bad_parameters_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        quick(**parameters).fit(BITS)


def test_unseen_levels_are_named_in_rows_and_validation_rows() -> None:
    with pytest.raises(DataError, match=r"X_val holds 7 at row 1, column 2, a level not seen"):
        quick().fit(LEVELS, X_val=[[0, 0, 0], [0, 0, 7]])
    with pytest.raises(DataError, match=r"X holds 7 at row 0, column 2, a level not seen"):
        quick().fit(LEVELS).log_density([[0, 0, 7]])
    with pytest.raises(DataError, match="expecting 3 features"):
        quick().fit(LEVELS, X_val=[[0, 0]])


def test_without_lightgbm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    for family in (None, "trees"):
        with pytest.raises(MissingExtraError, match=r'"ancestral\[boost\]"'):
            quick(family).fit(BITS)
    quick("logistic").fit(BITS)


def test_one_row_alone_is_enough_for_marginals() -> None:
    model = quick("logistic").fit([[0, 1, 1]])
    assert model.log_density([[0, 1, 1]])[0] == pytest.approx(3 * np.log(0.75), abs=0.01)


# ---- parallel --------------------------------------------------------------------------------


def test_the_number_of_workers_changes_nothing() -> None:
    one = quick(n_jobs=1).fit(LEVELS)
    with joblib.parallel_config(backend="threading"):
        two = quick(n_jobs=2).fit(LEVELS)
    np.testing.assert_array_equal(one.log_density(LEVELS), two.log_density(LEVELS))
    assert one.choices_ == two.choices_


def test_a_cluster_of_two_workers_gives_the_same_model() -> None:
    distributed = pytest.importorskip("distributed", reason="Dask is an extra")
    here = quick().fit(LEVELS)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        there = quick(n_jobs=None).fit(LEVELS)
    np.testing.assert_array_equal(here.log_density(LEVELS), there.log_density(LEVELS))


def test_verbose_shows_progress(capsys: pytest.CaptureFixture[str]) -> None:
    quick(verbose=True).fit(BITS)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "conditionals" in shown.err and "100%" in shown.err


# ---- the parts -------------------------------------------------------------------------------


def test_trees_read_back_score_as_lightgbm_does() -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is an extra")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 6)).astype(np.float32)
    for n_levels in (2, 3):
        target = np.digitize(features[:, 0] * features[:, 1] + features[:, 2], [0.0, 1.0])
        target = np.minimum(target, n_levels - 1)
        objective = (
            {"objective": "binary"}
            if n_levels == 2
            else {"num_class": 3, "objective": "multiclass"}
        )
        booster = lightgbm.train(
            {**objective, "num_leaves": 9, "verbosity": -1, "num_threads": 1},
            lightgbm.Dataset(features, target),
            15,
        )
        n_scores = 1 if n_levels == 2 else 3
        arrays = conditionals._tree_arrays(booster.model_to_string(), n_scores)
        scores = conditionals._tree_scores(arrays, features).squeeze()
        np.testing.assert_allclose(scores, booster.predict(features, raw_score=True), rtol=1e-12)
        assert conditionals._are_trees(arrays, n_levels, 6)


def test_a_mixture_s_posterior_is_that_of_enumeration() -> None:
    """p(c | prefix) and p(x_i | prefix) against sums over all rows of the mixture's density."""
    n_levels, rng = [2, 3, 2], np.random.default_rng(0)
    rows = np.column_stack([rng.integers(0, k, size=60) for k in n_levels])
    mixture = fit_mixture(rows, n_levels, 3, rng, rows)
    everything = space(*n_levels)
    p = np.exp(mixture.log_density(everything))
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    joint = mixture.told(mixture.told(mixture.start(1), 0, np.array([1])), 1, np.array([2]))
    found = mixture.features(joint, 2)[0]
    prefix = (everything[:, :2] == [1, 2]).all(axis=1)
    odds = np.log(p[prefix & (everything[:, 2] == 1)] / p[prefix & (everything[:, 2] == 0)])
    assert found[-1] == pytest.approx(odds[0], rel=1e-5)
    each = [
        w * t0[1] * t1[2]
        for w, t0, t1 in zip(*(np.exp(v) for v in (mixture.log_weights, *mixture.log_theta[:2])))
    ]
    np.testing.assert_allclose(found[:3], np.array(each) / sum(each), rtol=1e-5)


def test_em_never_lowers_the_likelihood() -> None:
    """Up to its prior of one pseudo-row per component, spread over 500 rows."""
    rng = np.random.default_rng(0)
    rows = np.where(rng.random((500, 1)) < 0.5, chained(500, 6), 1 - chained(500, 6, 1, 0.3))
    from ancestral.autoregressive.chain import prefix_mixture as module

    n_levels = [2] * 6
    X = one_hot(rows, n_levels)
    margins = X.mean(axis=0)
    current = fit_mixture(rows[:30], n_levels, 3, rng, rows[:30])
    scores = []
    for _ in range(30):
        scores.append(current.log_density(rows).mean())
        current = module._em_step(current, X, margins, n_levels)
    assert (np.diff(scores) > -1e-3).all()
    assert scores[-1] > scores[0] + 0.05


def test_a_loaded_chain_needs_no_lightgbm(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightgbm", reason="LightGBM is an extra")
    model = quick("trees", n_components=2).fit(LEVELS)
    path = model.save(tmp_path / "chain")
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    again = ancestral.load(path)
    np.testing.assert_array_equal(again.log_density(LEVELS), model.log_density(LEVELS))
    np.testing.assert_array_equal(again.sample(9, random_state=1), model.sample(9, random_state=1))


def test_a_chain_agrees_with_tables_where_both_are_right() -> None:
    """Independent fair coins: every conditional is a half, to within the noise of 4,000 rows."""
    coins = np.random.default_rng(5).integers(0, 2, size=(4000, 3))
    chain, tables = quick().fit(coins), TabularAutoregressive().fit(coins)
    np.testing.assert_allclose(
        np.exp(chain.log_density(space(2, 2, 2))),
        np.exp(tables.log_density(space(2, 2, 2))),
        atol=0.02,
    )
