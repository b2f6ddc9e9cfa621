"""Conditional probability tables: counting, the trie against dense tables, and what is refused."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV

from ancestral import Counts, TabularAutoregressive, read_tables
from ancestral.autoregressive import tables
from ancestral.autoregressive.tables import Tables
from ancestral.errors import ModelError
from tests.test_contract import fits


def every_row(levels: tuple[int, ...]) -> np.ndarray:
    return np.array(list(itertools.product(*map(range, levels))))


@st.composite
def dense_tables(draw: Any) -> list[np.ndarray]:
    """Random tables of 1 to 4 variables, with zeros, and NaN in rows that cannot be reached."""
    levels = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    tables, reach = [], np.ones(())
    for i in range(len(levels)):
        table = rng.random(levels[: i + 1]) * (rng.random(levels[: i + 1]) < 0.7)
        table[..., 0] += table.sum(axis=-1) == 0
        table /= table.sum(axis=-1, keepdims=True)
        reach = np.broadcast_to((reach > 0)[..., None], table.shape)
        tables.append(np.where(reach, table, np.nan))
        reach = reach * table
    return tables


def product_of_conditionals(tables: list[np.ndarray], row: np.ndarray) -> float:
    """The definition: stop at the first impossible value, since NaN may follow."""
    p = 1.0
    for i, table in enumerate(tables):
        p *= table[tuple(row[: i + 1])]
        if p == 0:
            break
    return p


# ---- the trie is the dense tables ----------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(tables=dense_tables())
def test_the_density_is_the_product_of_conditionals(tables: list[np.ndarray]) -> None:
    model = TabularAutoregressive.from_tables(tables)
    rows = every_row(tables[-1].shape)
    wanted = np.array([product_of_conditionals(tables, row) for row in rows])
    log_p = model.log_density(rows)
    np.testing.assert_allclose(np.exp(log_p), wanted, rtol=1e-12, atol=0)
    assert (log_p[wanted == 0] == -np.inf).all()
    assert model.entropy_ == pytest.approx(
        -(wanted[wanted > 0] * np.log(wanted[wanted > 0])).sum(), abs=1e-12
    )
    np.testing.assert_array_equal(model.support_, rows[wanted > 0])


@settings(deadline=None, max_examples=60)
@given(tables=dense_tables())
def test_dense_tables_come_back(tables: list[np.ndarray]) -> None:
    model = TabularAutoregressive.from_tables(tables)
    again = model.to_tables()
    for table, back in zip(tables, again, strict=True):
        np.testing.assert_allclose(back, table, rtol=1e-12, atol=0)  # NaN where it was
    once_more = TabularAutoregressive.from_tables(again)
    rows = every_row(tables[-1].shape)
    np.testing.assert_array_equal(once_more.log_density(rows), model.log_density(rows))
    assert model.n_dense_cells_ == sum(table.size for table in tables)
    assert model.n_dense_free_ == sum(table.size - table[..., 0].size for table in tables)
    assert model.n_contexts_ == sum((~np.isnan(table[..., 0])).sum() for table in tables)


@settings(deadline=None, max_examples=60)
@given(tables=dense_tables())
def test_step_entropies_are_those_of_the_chain_rule(tables: list[np.ndarray]) -> None:
    model = TabularAutoregressive.from_tables(tables)
    p = np.exp(model.log_density(every_row(tables[-1].shape))).reshape(tables[-1].shape)
    joint = [0.0]  # H(x_1 .. x_i)
    for i in range(p.ndim):
        q = p.sum(axis=tuple(range(i + 1, p.ndim)))
        joint.append(-(q[q > 0] * np.log(q[q > 0])).sum())
    np.testing.assert_allclose(model.step_entropies_, np.diff(joint), atol=1e-12)


def test_tables_may_be_lists_of_whole_numbers_or_of_one_level() -> None:
    model = TabularAutoregressive.from_tables([[1], [[0, 1]]])
    np.testing.assert_array_equal(model.support_, [[0, 1]])
    assert (model.entropy_, model.score([[0, 1]])) == (0.0, 0.0)


# ---- fitting is counting -------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=25),
    smoothing=st.sampled_from([0.0, 0.3, 1.0, 50.0]),
)
def test_conditionals_are_smoothed_shares_of_counts(rows: list[Any], smoothing: float) -> None:
    X = np.array(rows)
    model = TabularAutoregressive(smoothing).fit(X)
    for row in X:
        p = 1.0
        for i in range(3):
            alike = (X[:, :i] == row[:i]).all(axis=1)
            k = len(model.categories_[i])
            p *= ((alike & (X[:, i] == row[i])).sum() + smoothing) / (alike.sum() + smoothing * k)
        assert model.log_density(row[None])[0] == pytest.approx(np.log(p), rel=1e-12, abs=1e-12)
    if smoothing == 0:
        assert -model.score(X) == pytest.approx(model.entropy_, abs=1e-12)
        assert Counts.of(X).entropy == pytest.approx(model.entropy_, abs=1e-12)


def test_smoothing_makes_unseen_beginnings_uniform() -> None:
    model = TabularAutoregressive(smoothing=1.0).fit([[0, 0, 0], [0, 1, 1], [0, 1, 0]])
    # 1 was never seen first: (0 + 1) / (3 + 2), then a half and a half.
    assert np.exp(model.log_density([[1, 0, 1]])[0]) == pytest.approx(1 / 5 / 4, rel=1e-12)
    assert len(model.support_) == 8
    tables = model.to_tables()
    np.testing.assert_allclose(tables[2][1], 0.5)
    again = TabularAutoregressive.from_tables(tables)
    np.testing.assert_allclose(
        again.log_density(model.support_), model.log_density(model.support_), rtol=1e-12
    )
    assert again.entropy_ == pytest.approx(model.entropy_, rel=1e-12)


def test_much_smoothing_tends_to_the_uniform_distribution() -> None:
    X = np.random.default_rng(0).integers(0, 3, size=(50, 4))
    model = TabularAutoregressive(smoothing=1e12).fit(X)
    assert model.entropy_ == pytest.approx(4 * np.log(3), rel=1e-9)


@pytest.mark.parametrize("smoothing", [-0.1, np.nan, np.inf, "1", True, None])
def test_smoothing_must_be_a_number_of_0_or_more(smoothing: Any) -> None:
    with pytest.raises(ModelError, match="smoothing must be a number, at least 0"):
        TabularAutoregressive(smoothing).fit([[0, 1]])


def test_many_levels_in_one_column_and_few_in_another() -> None:
    X = np.column_stack([np.arange(3000), np.zeros(3000, int), np.arange(3000) % 2])
    model = TabularAutoregressive().fit(X)
    assert [len(known) for known in model.categories_] == [3000, 2, 2]  # 0 is a flag not raised
    assert model.entropy_ == pytest.approx(np.log(3000), rel=1e-12)
    assert model.n_parameters_ == 2999 + 3000 + 3000


def test_r2_the_first_draw_builds_no_prefixes() -> None:
    """1,000 rows of 784 bits: the contexts written out would take 2.5 GB, the rows take 6 MB."""
    X = np.random.default_rng(0).integers(0, 2, (1000, 784))
    model = TabularAutoregressive().fit(X)
    tracemalloc.start()
    model.sample(random_state=0)
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()
    np.testing.assert_array_equal(model.support_, np.unique(X, axis=0))
    assert model.n_dense_cells_ == 2**785 - 2


# ---- levels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", [0, 1, False, True])
@pytest.mark.parametrize("dtype", [int, object])
def test_a_constant_flag_among_other_columns_is_binary(flag: Any, dtype: Any) -> None:
    """p(flag) = (n + 1) / (n + 2) by Laplace's rule, and the other value is possible."""
    grades = [3, 1, 2, 3]
    rows = [["c" if dtype is object else grade, flag] for grade in grades]
    model = TabularAutoregressive(smoothing=1.0).fit(np.array(rows, dtype))
    other = np.array([[rows[0][0], type(flag)(1 - flag)]], dtype)
    seen = {rows[0][0]: sum(row[0] == rows[0][0] for row in rows)}[rows[0][0]]
    gap = model.log_density(np.array(rows[:1], dtype)) - model.log_density(other)
    assert np.exp(gap[0]) == pytest.approx(seen + 1)
    assert np.isfinite(model.score(other))


def test_other_constants_have_one_level() -> None:
    model = TabularAutoregressive().fit([[5, 0], [5, 2], [5, 1]])
    assert [known.tolist() for known in model.categories_] == [[5], [0, 1, 2]]


def test_smoothing_is_chosen_by_cross_validation_where_a_flag_is_rare() -> None:
    X = np.column_stack([np.random.default_rng(0).integers(0, 4, 60), np.arange(60) == 7])
    search = GridSearchCV(TabularAutoregressive(), {"smoothing": [0.1, 1.0, 10.0]}, cv=3).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# ---- draws ---------------------------------------------------------------------------------------


def test_a_thousand_levels_of_all_sizes_are_drawn() -> None:
    p = np.random.default_rng(0).random(1000) ** 20
    p[::7] = 0
    p[3] = 1e-300
    model = TabularAutoregressive.from_tables([p / p.sum()])
    rows, counts = model.sample_counts(10**6, random_state=0)
    drawn = np.zeros(1000, int)
    drawn[rows[:, 0]] = counts
    assert fits(drawn, np.exp(model.log_density(np.arange(1000)[:, None])))


# ---- the course's tables -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def letters(course: Path) -> TabularAutoregressive:
    return TabularAutoregressive.from_tables(read_tables(course / "image_cpts.pkl.gz"))


def test_the_letters_are_26_equal_shares(letters: TabularAutoregressive) -> None:
    assert letters.support_.shape == (26, 25)
    np.testing.assert_allclose(letters.log_density(letters.support_), -np.log(26), atol=1e-12)
    assert letters.entropy_ == pytest.approx(3.258096538, abs=1e-9)
    assert letters.entropy_ / np.log(2) == pytest.approx(4.700439718, abs=1e-9)
    assert letters.step_entropies_.sum() == pytest.approx(np.log(26), abs=1e-12)
    assert (letters.step_entropies_ >= 0).all()


def test_the_letters_need_few_of_their_cells(letters: TabularAutoregressive) -> None:
    assert letters.n_contexts_ == letters.n_parameters_ == 454
    assert letters.n_branching_contexts_ == 25  # 26 leaves of a binary tree
    assert letters.n_dense_cells_ == 2**26 - 2 == 67_108_862
    assert letters.n_dense_free_ == 2**25 - 1 == 33_554_431


def test_the_letters_refitted_are_the_letters(letters: TabularAutoregressive) -> None:
    again = TabularAutoregressive().fit(letters.support_)
    for p, q in zip(letters.probabilities_, again.probabilities_, strict=True):
        np.testing.assert_allclose(p, q, atol=1e-12)
    assert again.n_contexts_ == 454


def test_drawn_letters_are_letters_in_equal_shares(letters: TabularAutoregressive) -> None:
    rows, counts = letters.sample_counts(26_000, random_state=0)
    np.testing.assert_array_equal(rows, letters.support_)
    assert fits(counts, np.full(26, 1 / 26))


def test_no_other_image_is_possible(letters: TabularAutoregressive) -> None:
    flipped = letters.support_[:, None, :] ^ np.eye(25, dtype=int)
    flipped = flipped.reshape(-1, 25)
    known = {tuple(row) for row in letters.support_.tolist()}
    other = np.array([row for row in flipped.tolist() if tuple(row) not in known])
    assert len(other) > 600
    assert (letters.log_density(other) == -np.inf).all()


# ---- limits --------------------------------------------------------------------------------------


def test_the_limit_is_on_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = TabularAutoregressive().fit(np.eye(5, dtype=int))
    monkeypatch.setattr(tables, "MAX_DENSE_BYTES", 8 * (2**6 - 2))
    assert len(model.to_tables()) == 5
    monkeypatch.setattr(tables, "MAX_DENSE_BYTES", 8 * (2**6 - 2) - 1)
    with pytest.raises(ModelError, match="62 cells"):
        model.to_tables()


def test_a_support_too_large_to_list_is_refused() -> None:
    model = TabularAutoregressive(smoothing=0.5).fit(np.eye(25, dtype=int))
    with pytest.raises(ModelError, match=r"all 3.36e\+07 rows possible.* smoothing=0"):
        model.support_


def test_tables_hold_reachable_rows_only() -> None:
    tables = Tables.from_dense([[0.0, 1.0], [[np.nan, np.nan], [0.25, 0.75]]])
    assert [p.shape for p in tables.probabilities] == [(1, 2), (1, 2)]
    np.testing.assert_array_equal(tables.contexts[1], [[1]])
    assert (tables.n_levels, tables.n_contexts, tables.n_dense_cells) == ((2, 2), 2, 6)
