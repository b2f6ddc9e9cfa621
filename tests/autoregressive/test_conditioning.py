"""Conditioning is exact: against enumeration of every row, whatever is known."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from ancestral import (
    ChainAutoregressive,
    LSTMAutoregressive,
    TabularAutoregressive,
    read_tables,
)
from ancestral.autoregressive import conditioning
from ancestral.autoregressive.sequential import Sequential
from ancestral.errors import AncestralError, DataError, ModelError
from tests.test_contract import fits
from tests.zoo import BITS, LEVELS, WORDS, ZOO, Entry

DISCRETE = pytest.mark.parametrize(
    "entry", [e for e in ZOO if e.space is not None], ids=lambda e: e.name
)

STEPPED = pytest.mark.parametrize(
    "entry", [e for e in ZOO if isinstance(e.make(), Sequential)], ids=lambda e: e.name
)


def partly_known(row: np.ndarray, known: tuple[bool, ...]) -> np.ndarray:
    """Return a row with NaN where it is not known, in a dtype that holds both."""
    result = np.full(len(row), np.nan, dtype=object if row.dtype.kind == "U" else float)
    result[list(known)] = row[list(known)]
    return result


def matching(space: np.ndarray, row: np.ndarray, known: tuple[bool, ...]) -> np.ndarray:
    """Tell which rows of a space have the known values."""
    return (space[:, list(known)] == row[list(known)]).all(axis=1)


# ---- marginals -----------------------------------------------------------------------------------


@DISCRETE
def test_the_density_of_what_is_known_sums_over_the_rest(entry: Entry) -> None:
    """For every set of known variables, and every value of them."""
    model, space = entry.fit(), np.asarray(entry.space)
    p = np.exp(model.log_density(space))
    for known in itertools.product([False, True], repeat=space.shape[1]):
        rows = np.array([partly_known(row, known) for row in space])
        wanted = [p[matching(space, row, known)].sum() for row in space]
        np.testing.assert_allclose(np.exp(model.log_density(rows)), wanted, rtol=1e-12, atol=1e-300)


@DISCRETE
def test_nothing_known_has_probability_one(entry: Entry) -> None:
    model, width = entry.fit(), np.asarray(entry.space).shape[1]
    nothing = np.full((1, width), np.nan, dtype=object)
    assert model.log_density(nothing)[0] == pytest.approx(0.0, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    levels=st.lists(st.integers(1, 3), min_size=1, max_size=5),
    smoothing=st.sampled_from([0.0, 0.4]),
)
def test_marginals_add_up_over_any_one_variable(
    seed: int, levels: list[int], smoothing: float
) -> None:
    """p(known) = sum over the levels of one unknown variable of p(known and that level)."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.integers(0, k, size=12) for k in levels])
    model = TabularAutoregressive(smoothing).fit(X)
    row = np.where(rng.random(len(levels)) < 0.5, X[0], np.nan)
    i = int(rng.integers(len(levels)))
    row[i] = np.nan
    finer = np.tile(row, (len(model.categories_[i]), 1))
    finer[:, i] = model.categories_[i]
    assert np.exp(model.log_density(finer)).sum() == pytest.approx(
        np.exp(model.log_density(row[None])[0]), rel=1e-12
    )


def test_missing_values_may_be_none_or_nan_among_text() -> None:
    model = TabularAutoregressive().fit(WORDS)
    rows = np.array([[None, "red"], [np.nan, "red"]], dtype=object)
    wanted = np.log((WORDS[:, 1] == "red").mean())
    np.testing.assert_allclose(model.log_density(rows), wanted, rtol=1e-12)


@pytest.mark.parametrize("dtype", [object, np.str_])
def test_numbers_are_no_levels_of_text(dtype: type) -> None:
    model = TabularAutoregressive().fit(np.array([["no", "red"], ["yes", "blue"]], dtype=dtype))
    with pytest.raises(DataError, match="X holds 1 at row 0, column 0, a level not seen in fit"):
        model.log_density([[1, 2]])
    with pytest.raises(DataError, match=r"given holds 1\.0 at row 0, column 0, a level not seen"):
        model.sample(given=[1, np.nan])


def test_text_is_no_level_of_numbers_among_objects() -> None:
    model = TabularAutoregressive().fit(np.array([["no", 2**60], ["no", 2**60 + 1]], dtype=object))
    with pytest.raises(DataError, match=r"X holds 'red' .* where the levels are numbers"):
        model.log_density([["no", "red"]])
    rows = np.array([["no", 2**60 + 1]], dtype=object)
    assert model.log_density(rows) == pytest.approx(np.log(0.5))


def test_complete_and_partial_rows_may_be_mixed() -> None:
    model = TabularAutoregressive().fit(BITS)
    rows = BITS[:6].astype(float)
    rows[1, 0] = rows[4, 3] = np.nan
    together = model.log_density(rows)
    alone = [model.log_density(row[None])[0] for row in rows]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    np.testing.assert_array_equal(together[[0, 2, 3, 5]], model.log_density(BITS[[0, 2, 3, 5]]))


# ---- tables: along their stored contexts ---------------------------------------------------------


def digits() -> np.ndarray:
    X = (load_digits().data >= 8).astype(int)
    return X[np.random.default_rng(0).permutation(len(X))]


def test_n9_half_a_digit_given_is_exact() -> None:
    """-10.622, found independently by walking the stored contexts with a dictionary."""
    X = digits()
    model = TabularAutoregressive(0.1).fit(X[:1500])
    row = X[1500].astype(float)
    row[:32] = np.nan
    value, error = model.log_evidence(row[None])
    assert value[0] == pytest.approx(-10.622, abs=5e-4) and error[0] == 0
    assert model.log_density(row[None]) == pytest.approx(by_dictionary(X[:1500], 0.1, row))
    assert model.log_density(row[None], method="smc") == pytest.approx(value)
    drawn = model.sample(200, given=row, random_state=0)
    np.testing.assert_array_equal(drawn[:, 32:], np.tile(X[1500, 32:], (200, 1)))
    best = model.log_density(model.impute(row[None]))
    assert best >= model.log_density(drawn).max() - 1e-9


def by_dictionary(X: np.ndarray, alpha: float, row: np.ndarray) -> float:
    """Return log p of a row's known bits by tables with smoothing: prefixes seen, and the rest."""
    held, forgotten = {(): 1.0}, 0.0
    for i, value in enumerate(row):
        level = X[:, i]
        longer: dict[tuple[int, ...], float] = {}
        lost = forgotten * (1.0 if np.isnan(value) else 0.5)
        for prefix, p in held.items():
            mine = (X[:, :i] == prefix).all(axis=1)
            for k in (0, 1) if np.isnan(value) else (int(value),):
                n = int((level[mine] == k).sum())
                q = p * (n + alpha) / (mine.sum() + 2 * alpha)
                if n:
                    longer[(*prefix, k)] = q
                else:
                    lost += q
        held, forgotten = longer, lost
    return float(np.log(sum(held.values()) + forgotten))


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    smoothing=st.sampled_from([0.0, 1e-9, 0.4, 30.0]),
    text=st.booleans(),
)
def test_tables_condition_exactly_whatever_is_unknown(
    seed: int, smoothing: float, text: bool
) -> None:
    """Marginals, best completions and draws against every row, for all sets of unknown values."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 4, size=4)
    codes = np.column_stack([rng.integers(0, k, size=6) for k in sizes])
    X = np.array([["a", "b", "c"]]).ravel()[codes] if text else codes + 5
    model = TabularAutoregressive(smoothing).fit(X)
    space = np.array(list(itertools.product(*model.categories_)))
    log_p = model.log_density(space)
    sets = list(itertools.product([False, True], repeat=4))
    rows = np.array([partly_known(space[rng.integers(len(space))], known) for known in sets])
    possible = np.array([matching(space, row, known) for row, known in zip(rows, sets)])
    found, error = model.log_evidence(rows)
    np.testing.assert_allclose(np.exp(found), possible @ np.exp(log_p), rtol=1e-12, atol=1e-300)
    assert (error == 0).all()
    for row, mask in zip(rows, possible):
        if np.isinf(log_p[mask].max()):
            with pytest.raises(ModelError, match="probability 0"):
                model.sample(1, given=row)
            continue
        best = model.log_density(model.impute(row[None]))[0]
        assert best == pytest.approx(log_p[mask].max(), abs=1e-12)
        drawn = {tuple(r) for r in model.sample(20, given=row, random_state=seed).tolist()}
        assert drawn <= {tuple(r) for r in space[mask & (log_p > -np.inf)].tolist()}


def test_draws_that_tables_have_forgotten_follow_the_conditional() -> None:
    """Joined prefixes are told apart again: 2 x 3 x 2 rows given the last, by chi-square."""
    model = TabularAutoregressive(smoothing=2.0).fit([[0, 2, 1], [0, 2, 1], [1, 0, 0], [1, 1, 0]])
    space = np.array(list(itertools.product([0, 1], [0, 1, 2], [0, 1])))
    for last in (0, 1):
        keep = space[:, 2] == last
        p = np.exp(model.log_density(space[keep]))
        drawn = model.sample(20_000, given=[np.nan, np.nan, last], random_state=last)
        index = {tuple(r): i for i, r in enumerate(space[keep].tolist())}
        counts = np.bincount([index[tuple(r)] for r in drawn.tolist()], minlength=len(index))
        assert fits(counts, p / p.sum())


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
@pytest.mark.parametrize("width", [1, 784])
def test_tables_of_any_width(width: int, smoothing: float) -> None:
    X = np.random.default_rng(0).integers(0, 2, (30, width))
    model = TabularAutoregressive(smoothing).fit(X)
    rows = np.full((3, width), np.nan)
    rows[1:, -1] = 0, 1
    values = model.log_density(rows)
    assert values[0] == 0
    assert np.exp(values[1:]).sum() == pytest.approx(1.0, abs=1e-12)
    share = (X[:, -1] == 0).mean() if width > 1 and smoothing == 0 else np.exp(values[1])
    assert np.exp(values[1]) == pytest.approx(share, abs=1e-12)
    drawn = model.sample(4, given=rows[1], random_state=0)
    assert drawn.shape == (4, width) and (drawn[:, -1] == 0).all()


def test_a_walk_over_many_rows_goes_on_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is held at once, and whichever prefixes are joined: the same sums."""
    X = np.random.default_rng(0).integers(0, 3, (60, 6))
    models = [make.fit(X) for make in (TabularAutoregressive(0.3), ChainAutoregressive("marginal"))]
    rows = np.where(np.random.default_rng(1).random((40, 6)) < 0.6, np.nan, X[:40])
    for model in models:
        wanted = model.log_density(rows)
        for held in (2, 7, 50):
            monkeypatch.setattr(conditioning, "HELD", held)
            np.testing.assert_allclose(model.log_density(rows), wanted, rtol=1e-12)
        monkeypatch.undo()


# ---- evidence on a beginning -------------------------------------------------------------------


class Counted:
    """How many rows a model is stepped for."""

    def __init__(self, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows, step = 0, type(model).step

        def counted(model: Any, state: Any, previous: Any) -> Any:
            state, log_p = step(model, state, previous)
            self.rows += len(log_p)
            return state, log_p

        monkeypatch.setattr(type(model), "step", counted)


@pytest.mark.parametrize("name", ["tables", "smoothed tables", "chain", "lstm"])
def test_r1_evidence_on_a_beginning_is_exact(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten known columns of forty, against stepping by hand; no completion is walked to."""
    X = np.random.default_rng(0).integers(0, 2, (80, 40))
    if name == "lstm":
        pytest.importorskip("torch")
    model = {
        "tables": TabularAutoregressive,
        "smoothed tables": lambda: TabularAutoregressive(0.5),
        "chain": lambda: ChainAutoregressive("logistic", random_state=0),
        "lstm": lambda: LSTMAutoregressive(4, 1, max_steps=3, random_state=0),
    }[name]().fit(X)
    rows = X.astype(float)
    rows[:, 10:] = np.nan
    rows[1] = np.nan  # and one of which nothing is known
    wanted, state, previous = np.zeros(80), model.start(80), None
    for level in X[:, :10].T:
        state, log_p = model.step(state, previous)
        wanted += log_p[np.arange(80), level]
        previous = level
    wanted[1] = 0.0
    counted = Counted(model, monkeypatch)
    np.testing.assert_allclose(model.log_density(rows), wanted, rtol=1e-10)
    value, error = model.log_evidence(rows)
    np.testing.assert_allclose(value, wanted, rtol=1e-10)
    assert (error == 0).all()
    assert counted.rows <= 2 * 80 * 10
    drawn = model.sample(50, given=rows[0], random_state=0)
    np.testing.assert_array_equal(drawn[:, :10], np.tile(X[0, :10], (50, 1)))
    assert len(np.unique(drawn[:, 10:], axis=0)) > 1 or name == "tables"


def test_r4_rows_with_a_gap_each_are_walked_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (2000, 12))
    model = TabularAutoregressive(0.5).fit(X)
    rows = X.astype(float)
    rows[np.arange(2000), rng.integers(0, 12, 2000)] = np.nan
    calls = []
    step = TabularAutoregressive.step
    monkeypatch.setattr(
        TabularAutoregressive, "step", lambda *args: calls.append(len(args[1])) or step(*args)
    )
    model.log_density(rows)
    assert len(calls) <= 2 * 12 and sum(calls) <= 2 * 12 * 2000
    calls.clear()
    model.impute(rows)
    assert len(calls) <= 2 * 12 and sum(calls) <= 2 * 12 * 2000


# ---- draws ---------------------------------------------------------------------------------------


@STEPPED
def test_draws_follow_the_exact_conditional(entry: Entry) -> None:
    """Three choices of what is known, the first row's values given; chi-square on each."""
    model, space = entry.fit(), np.asarray(entry.space)
    row, d = np.asarray(entry.data[0])[0], space.shape[1]
    p = np.exp(model.log_density(space))
    for seed, place in enumerate((0, d // 2, d - 1)):
        known = tuple(j == place for j in range(d))
        drawn = model.sample(4_000, given=partly_known(row, known), random_state=seed)
        assert matching(drawn, row, known).all()
        possible = matching(space, row, known)
        index = {tuple(r): i for i, r in enumerate(space[possible].tolist())}
        counts = np.bincount([index[tuple(r)] for r in drawn.tolist()], minlength=len(index))
        assert fits(counts, p[possible] / p[possible].sum())


@STEPPED
def test_a_whole_row_given_is_repeated(entry: Entry) -> None:
    row = np.asarray(entry.data[0])[2]
    drawn = entry.fit().sample(5, given=row, random_state=0)
    np.testing.assert_array_equal(drawn, np.tile(row, (5, 1)))
    assert drawn.dtype == row.dtype


def test_nothing_given_is_a_plain_draw() -> None:
    model = TabularAutoregressive().fit(LEVELS)
    drawn = model.sample(20_000, given=[np.nan] * 3, random_state=0)
    rows, counts = np.unique(drawn, axis=0, return_counts=True)
    np.testing.assert_array_equal(rows, model.support_)
    assert fits(counts, np.exp(model.log_density(rows)))


def test_filling_in_order_is_not_conditioning() -> None:
    """x_2 = x_1 nine times in ten; given x_2 = 1 the earlier x_1 must adapt, not follow its prior.

    Filling x_1 from p(x_1) would give 0.5; Bayes' rule gives 0.9.
    """
    model = TabularAutoregressive.from_tables([[0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]]])
    drawn = model.sample(10_000, given=[np.nan, 1], random_state=0)
    ones = int(drawn[:, 0].sum())
    assert fits(np.array([10_000 - ones, ones]), np.array([0.1, 0.9]))


def test_completions_of_nothing_are_the_support() -> None:
    model = TabularAutoregressive().fit(BITS)
    rows, log_p = conditioning.completions(model, np.full(5, -1))
    np.testing.assert_array_equal(rows, model.support_)
    np.testing.assert_allclose(log_p, model.log_density(rows), rtol=1e-12)


# ---- the course's letters ------------------------------------------------------------------------


def test_a_letter_is_recognised_from_some_of_its_pixels(course: Path) -> None:
    model = TabularAutoregressive.from_tables(read_tables(course / "image_cpts.pkl.gz"))
    letters = model.support_
    rng = np.random.default_rng(0)
    for letter in letters:
        known = rng.random(25) < 0.4
        row = np.where(known, letter, np.nan)
        same = (letters[:, known] == letter[known]).all(axis=1)
        assert model.log_density(row[None])[0] == pytest.approx(np.log(same.sum() / 26), abs=1e-12)
        drawn = model.sample(200, given=row, random_state=1)
        assert {tuple(r) for r in drawn.tolist()} <= {tuple(r) for r in letters[same].tolist()}


# ---- refusals ------------------------------------------------------------------------------------


def test_an_impossible_condition_is_refused_and_scores_minus_infinity() -> None:
    model = TabularAutoregressive().fit([[0, 0, 1], [1, 1, 0]])
    row = np.array([np.nan, 1, 1])
    assert model.log_density(row[None])[0] == -np.inf
    with pytest.raises(ModelError, match="probability 0 under this model"):
        model.sample(3, given=row, random_state=0)


@pytest.mark.parametrize(
    ("given_row", "message"),
    [
        ([0, np.nan], r"one row of 3 values.*got shape \(2,\)"),
        ([[0, np.nan, 1]], r"got shape \(1, 3\)"),
        (0.5, r"got shape \(\)"),
        ([0, np.nan, 2], r"given holds 2.* column 2, a level not seen in fit.* 0, 1"),
        ([0, np.nan, -1], r"given holds -1.* column 2"),
        ([0.5, np.nan, 1], r"given holds 0.5.* column 0"),
        ([np.inf, np.nan, 1], r"given holds inf.* column 0"),
        (["a", "b", "c"], r"holds 'a'"),
    ],
)
def test_a_bad_condition_is_named(given_row: Any, message: str) -> None:
    model = TabularAutoregressive().fit([[0, 0, 1], [1, 1, 0]])
    with pytest.raises(DataError, match=message):
        model.sample(2, given=given_row)


def test_too_many_completions_are_refused_before_they_are_walked_to(monkeypatch: Any) -> None:
    """By a chain, in `log_density` and in draws; unknown values at the end don't count."""
    model = ChainAutoregressive("marginal").fit(np.random.default_rng(0).integers(0, 2, (40, 30)))
    levels = np.full((2, 30), np.nan)
    levels[0, :8] = 1
    levels[1, 22] = 1
    assert model.log_density(levels[:1])[0] < 0
    monkeypatch.setattr(ChainAutoregressive, "step", None)
    says = "22 unknown variables leave more than 1048576 .* before the last known"
    with pytest.raises(ModelError, match=says):
        model.log_density(levels)
    with pytest.raises(ModelError, match=says):
        model.sample(2, given=levels[1])


def test_infinity_is_never_missing() -> None:
    with pytest.raises(AncestralError, match="inf at row 0, column 1"):
        TabularAutoregressive().fit(BITS).log_density([[0, np.inf, 0, 0, 0]])


def test_more_rows_than_can_be_held_are_refused() -> None:
    model = TabularAutoregressive().fit(np.eye(4, dtype=int))
    assert len(model.most_probable(10**9)[0]) == 4
    flat = TabularAutoregressive(smoothing=1.0).fit(np.ones((1, 24), int))
    with pytest.raises(ModelError, match="Ask for fewer rows"):
        flat.most_probable(10**9)
