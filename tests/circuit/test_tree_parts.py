"""A tree from parts of a table is the tree of the table, however it is cut."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from ancestral import AncestralError, LatentTree
from ancestral.circuit import latent_tree, seen
from ancestral.streaming import fit_chunks
from ancestral.training.parts import Held, Part
from tests.circuit.test_learning import COUNTS, mixed_table


def fitted(model: LatentTree, parts: list[Any], weights: Any = None) -> LatentTree:
    """Fit to parts, each of them looked at as if it had been sent to another process."""

    class Sent(Held[Part]):
        def total(self, look: Callable[[Part], Any]) -> Any:
            sent = pickle.loads(pickle.dumps(look))
            return pickle.loads(pickle.dumps(super().total(sent)))

        def prepared(self, make: Callable[[Part], Any]) -> Any:
            made = pickle.loads(pickle.dumps(make))
            return Sent([made(part) for part in self.parts])

    def parts_of(new: LatentTree) -> Held[Part]:
        found = []
        for number, part in enumerate(parts):
            own = None if weights is None else weights[number]
            data = new._check_part(part, None, own, reset=number == 0)
            found.append(Part(data, new, number, None))
        return Sent(found)

    return model._fit_from(parts_of)


def cut(table: Any, n_parts: int = 7) -> list[Any]:
    """Return a table in parts of differing size."""
    ends = np.unique(np.rint(len(table) * np.linspace(0, 1, n_parts + 1) ** 1.7).astype(int))
    take = table.iloc.__getitem__ if hasattr(table, "iloc") else table.__getitem__
    return [take(slice(a, b)) for a, b in itertools.pairwise(ends)]


def same(one: LatentTree, two: LatentTree, rtol: float = 1e-8) -> None:
    assert repr(one.columns_) == repr(two.columns_)
    assert one.left_out_ == two.left_out_
    for own, other in zip(one.members_, two.members_, strict=True):
        for name, values in own.items():
            np.testing.assert_allclose(values, other[name], rtol=rtol, atol=1e-3 * rtol)
    assert one.log_likelihood_ == pytest.approx(two.log_likelihood_, rel=rtol)
    assert one.tried_ == two.tried_


@pytest.mark.parametrize("n_parts", [1, 7])
def test_parts_give_the_model_of_the_whole(n_parts: int) -> None:
    table = mixed_table()
    one, two = (
        LatentTree(3, 2, column_types=COUNTS, n_sweeps=3, max_iter=3, random_state=0)
        for _ in range(2)
    )
    same(one.fit(table), fitted(two, cut(table, n_parts)))
    drawn = two.sample(4, random_state=0)
    pd.testing.assert_frame_equal(drawn, one.sample(4, random_state=0))


def test_weights_are_repeated_rows_in_parts_too() -> None:
    table, rng = mixed_table(), np.random.default_rng(1)
    weights = rng.integers(0, 4, len(table)).astype(float)
    repeated = table.iloc[np.repeat(np.arange(len(table)), weights.astype(int))]
    one, two = (LatentTree(3, 2, n_sweeps=3, random_state=0) for _ in range(2))
    fitted(one, cut(table), cut(weights))
    fitted(two, cut(repeated.sample(frac=1, random_state=0), 4))
    same(one, two)


# ---- a sample ------------------------------------------------------------------------------------


@pytest.fixture
def small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "SAMPLE_CELLS", 6000)
    monkeypatch.setattr(seen, "SAMPLE_ROWS", 1000)


@pytest.mark.usefixtures("small_samples")
def test_a_sample_is_the_same_however_the_rows_are_cut() -> None:
    table = mixed_table(4000)
    one, two, three = (LatentTree(3, 2, n_sweeps=3, random_state=0) for _ in range(3))
    fitted(one, cut(table, 1))
    same(one, fitted(two, cut(table, 7)), 1e-4)  # looked at in float32
    same(one, fitted(three, cut(table.sample(frac=1, random_state=0), 11)), 1e-4)


@pytest.mark.usefixtures("small_samples")
def test_what_a_fit_tells_is_of_all_rows() -> None:
    table = mixed_table(4000)
    model = LatentTree(3, 2, column_types=COUNTS, n_sweeps=3, random_state=0)
    fitted(model, cut(table))
    assert model.log_likelihood_ == pytest.approx(float(model.log_density(table).sum()), rel=1e-5)
    assert model.n_iter_ == len(model.history_) == 3
    assert (np.diff(model.history_) > 0).all()


def test_a_sample_comes_close_to_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows held out have as much density, within 0.02 nats a row."""
    table, fresh = mixed_table(20_000), mixed_table(5000, seed=1)
    whole = LatentTree(4, 2, column_types=COUNTS, n_sweeps=6, random_state=0).fit(table)
    monkeypatch.setattr(seen, "SAMPLE_CELLS", 5 * 6000)
    monkeypatch.setattr(seen, "SAMPLE_ROWS", 1000)
    model = LatentTree(4, 2, column_types=COUNTS, n_sweeps=6, random_state=0)
    fitted(model, cut(table, 5))
    assert model.score(fresh) > whole.score(fresh) - 0.02


@pytest.mark.usefixtures("small_samples")
def test_heavy_rows_are_in_every_sample_by_their_weight() -> None:
    """Half of all rows are one: no sample is without it, nor counts it once."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(8000, 3))
    X[::2] = 1.0, 2.0, 3.0

    def look(rows: NDArray[np.float64]) -> seen.Seen:
        return seen.look(seen.Given(list(rows.T)), None, list("abc"), [16] * 3)

    parts = [look(part) for part in cut(X, 9)]
    found = parts[0]
    for one in parts[1:]:
        found = found + one
    heavy = (found.sample.table == [1.0, 2.0, 3.0]).all(axis=1)
    assert heavy.sum() == 1
    assert len(found.sample.table) <= found.most == 2000
    weights = found.sample.standing
    assert weights[heavy][0] / weights.sum() == pytest.approx(0.5, abs=0.02)


@pytest.mark.usefixtures("small_samples")
@pytest.mark.parametrize("n_distinct", [20, 8000])
def test_parts_of_very_many_rows_give_few(n_distinct: int) -> None:
    """Each its share by chance, of rows that are all different or hardly so."""
    X = np.random.default_rng(0).normal(size=(n_distinct, 3))[np.arange(40_000) % n_distinct]
    weights = 1.0 + np.arange(40_000) % 2
    parts = cut(np.column_stack([X, weights]), 9)
    found = [
        seen.look(seen.Given(list(one[:, :3].T)), one[:, 3], "abc", [16] * 3, i, 40_000)
        for i, one in enumerate(parts)
    ]
    assert sum(len(one.sample.table) for one in found) == pytest.approx(3000, rel=0.1)
    total = found[0]
    for one in found[1:]:
        total = total + one
    assert not total.sample.is_whole
    assert total.weight == weights.sum()
    assert len(total.sample.table) == min(n_distinct, 2000)
    mean = np.average(total.sample.table, axis=0, weights=total.sample.standing)
    assert mean == pytest.approx(np.average(X, axis=0, weights=weights), abs=0.12)


@pytest.mark.usefixtures("small_samples")
def test_a_number_out_of_the_sample_has_a_density() -> None:
    """One 0 among positive numbers: no logarithm is taken of it, though the sample lacks it."""
    rng = np.random.default_rng(0)
    X = np.exp(rng.normal(size=(9000, 2)))
    for row in (0, 4000, 8999):
        table = X.copy()
        table[row, 0] = 0.0
        model = fitted(LatentTree(2, 1, n_sweeps=2, random_state=0), cut(table))
        assert np.isfinite(model.log_density(table)).all()
        assert np.isfinite(model.log_likelihood_)


# ---- columns -------------------------------------------------------------------------------------


def tables_of_parts() -> dict[str, list[pd.DataFrame]]:
    """Return parts whose columns differ in what they hold, but not in what they are."""
    n, rng = 60, np.random.default_rng(0)
    x = rng.normal(size=n)

    def two(first: Any, second: Any) -> list[pd.DataFrame]:
        return [pd.DataFrame({"x": x, "a": first}), pd.DataFrame({"x": x, "a": second})]

    days = pd.Series(pd.date_range("2024-01-01", periods=n))
    return {
        "late level": two(rng.choice(["a", "b"], n), ["z", *rng.choice(["a", "b"], n - 1)]),
        "missing first": two([None] * n, rng.choice(["a", "b"], n)),
        "missing numbers": two([np.nan] * n, rng.integers(0, 3, n)),
        "integers and floats": two(rng.integers(0, 50, n), rng.normal(size=n)),
        "booleans and gaps": two(rng.random(n) < 0.5, [None, *(rng.random(n - 1) < 0.5)]),
        "booleans and numbers": two(rng.random(n) < 0.5, rng.integers(0, 2, n)),
        "dates": two(days, [pd.NaT, *days[1:]]),
        "more levels together": two(np.arange(n) % 10, 10 + np.arange(n) % 10),
        "ids": two([f"p{i}" for i in range(n)], [f"q{i}" for i in range(n)]),
        "categories": two(
            pd.Categorical(rng.choice(["b", "a"], n), ["b", "a", "c"]),
            pd.Categorical(rng.choice(["d", "a"], n), ["d", "a"]),
        ),
        "the same categories": two(
            *(pd.Categorical(rng.choice(["b", "a"], n), ["b", "a", "c"]) for _ in range(2))
        ),
        "numbers that are categories": two(
            *(pd.Categorical(rng.choice([3, 1], n), [3, 1, 2]) for _ in range(2))
        ),
    }


@pytest.mark.filterwarnings("ignore:.*left out")
@pytest.mark.filterwarnings("ignore:The behavior of array concatenation")
@pytest.mark.filterwarnings("ignore:The behavior of DataFrame concatenation")
@pytest.mark.parametrize("kind", tables_of_parts())
def test_columns_are_those_of_the_concatenation(kind: str) -> None:
    parts = tables_of_parts()[kind]
    one, two = (LatentTree(2, 1, n_sweeps=2, random_state=0) for _ in range(2))
    whole = pd.concat(parts, ignore_index=True)
    same(one.fit(whole), fitted(two, parts))
    drawn = two.sample(5, random_state=0)
    if kind not in ("missing first", "missing numbers"):
        assert drawn.dtypes.astype(str).tolist() == [
            str(dtype) for dtype in one.sample(5, random_state=0).dtypes
        ]


def test_dictionaries_of_arrow_are_one() -> None:
    pa = pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)

    def part(levels: list[str]) -> Any:
        codes = pa.array(rng.integers(0, 2, 50), pa.int8())
        column = pa.DictionaryArray.from_arrays(codes, pa.array(levels))
        return pa.table({"x": rng.normal(size=50), "a": column})

    parts = [part(["b", "a", "c"]), part(["a", "d"])]
    one, two = (LatentTree(2, 1, n_sweeps=2, random_state=0) for _ in range(2))
    same(one.fit(pa.concat_tables(parts)), fitted(two, parts))
    assert two.columns_[1]["levels"].tolist() == ["b", "a", "c", "d"]
    drawn = two.sample(5, random_state=0)
    assert drawn.schema == one.sample(5, random_state=0).schema


def test_types_of_other_libraries_are_those_of_the_concatenation() -> None:
    """Numbers of two widths, gaps, texts, and a column that one part knows nothing of."""
    pa, pl = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    x = np.random.default_rng(0).normal(size=50)
    one, two = (
        pl.DataFrame(
            {
                "x": x.astype(kind),
                "whole": (np.arange(50) % 4).astype(whole),
                "text": ["q", gap] * 25,
                "flag": [flag, None] * 25,
                "late": late,
            }
        )
        for kind, whole, gap, flag, late in (
            (np.float64, np.int32, "r", True, [None] * 50),
            (np.float32, np.int64, None, False, ["u", "v"] * 25),
        )
    )
    arrow = [one.to_arrow(), two.to_arrow()]
    for parts, whole in (
        ([one, two], pl.concat([one, two], how="vertical_relaxed")),
        (arrow, pa.concat_tables(arrow, promote_options="permissive")),
    ):
        model, other = (LatentTree(2, 1, n_sweeps=1, random_state=0) for _ in range(2))
        same(model.fit(whole), fitted(other, parts))
        drawn, wanted = (tree.sample(2, random_state=0) for tree in (other, model))
        assert drawn.schema == wanted.schema


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["a"] * 60, "column 'a' holds texts in part 1, such as 'a', and numbers in part 0"),
        (pd.date_range("2024", periods=60), "column 'a' holds dates in part 1"),
    ],
)
def test_kinds_that_clash_are_refused_with_part_and_column(values: Any, says: str) -> None:
    x = np.random.default_rng(0).normal(size=60)
    parts = [pd.DataFrame({"x": x, "a": x}), pd.DataFrame({"x": x, "a": values})]
    with pytest.raises(AncestralError, match=says):
        fitted(LatentTree(2, 1, n_sweeps=1), parts)


def test_a_column_that_is_missing_everywhere_is_refused() -> None:
    parts = [pd.DataFrame({"x": np.arange(40.0) ** 1.5, "a": [None] * 40})] * 2
    with pytest.raises(AncestralError, match="'a' is all missing"):
        fitted(LatentTree(2, 1), parts)


def test_more_texts_than_levels_are_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often each comes; asked for as levels they are refused."""
    monkeypatch.setattr(seen, "MOST_TEXTS", 30)
    monkeypatch.setattr(latent_tree.schema, "MOST_TEXTS", 30)
    text = [f"t{i % 40}" for i in range(400)]
    table = pd.DataFrame({"x": np.arange(400.0) ** 1.5, "a": text})
    with pytest.warns(UserWarning, match="'a' is left out"):
        model = fitted(LatentTree(2, 1, n_sweeps=1, random_state=0), cut(table))
    assert model.left_out_ == ["a"]
    with pytest.raises(AncestralError, match="more than 30 different values"):
        fitted(LatentTree(2, 1, column_types={"a": "categorical"}), cut(table))


def test_a_first_part_may_know_no_level_of_a_type() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"x": rng.normal(size=60), "t": pd.Categorical([None] * 30 + [*"ab"] * 15)}
    )
    parts = [table.iloc[:30].assign(t=pd.Categorical([None] * 30)), table.iloc[30:]]
    found = fit_chunks(LatentTree(2, 1, random_state=0), parts)
    wanted = LatentTree(2, 1, random_state=0).fit(table)
    assert found.score(table) == pytest.approx(wanted.score(table), abs=1e-8)
