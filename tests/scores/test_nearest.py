"""Distances to the nearest training row: by their definition, and what they tell."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from ancestral import scores
from ancestral.errors import DataError, DataTypeError

pd = pytest.importorskip("pandas")


def mixed(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Numbers, whole numbers, text, booleans and dates, a tenth of them missing."""
    frame = pd.DataFrame(
        {
            "price": np.exp(rng.normal(size=n)).round(2),
            "rooms": pd.array(rng.integers(1, 6, n), dtype="Int64"),
            "town": pd.Series(rng.choice(["a", "b", "c"], n), dtype=object),
            "let": pd.array(rng.random(n) < 0.5, dtype="boolean"),
            "built": pd.Timestamp("1990-01-01") + pd.to_timedelta(rng.integers(0, 9999, n), "D"),
        }
    )
    return frame.mask(rng.random(frame.shape) < 0.1)


def apart(name: str, a: object, b: object, column: pd.Series) -> float:
    """How far two known values of a column are from each other."""
    if name in ("town", "let"):
        return float(a != b)
    held = column.dropna()
    places = [((held < v).sum() + (held <= v).sum()) / (2 * len(held)) for v in (a, b)]
    return abs(places[0] - places[1])


def distance(a: dict, b: dict, training: pd.DataFrame, typical: dict[str, float]) -> float:
    """The definition, one pair at a time."""
    total = 0.0
    for name, column in training.items():
        unknown = pd.isna(a[name]), pd.isna(b[name])
        if not any(unknown):
            total += apart(name, a[name], b[name], column)
        elif not all(unknown):
            total += typical[name]
    return total / training.shape[1]


def test_distances_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    training, held, drawn = (mixed(n, rng) for n in (17, 7, 6))
    drawn.iloc[0] = np.nan
    found = scores.nearest_rows(drawn, training, held)
    rows, typical = training.to_dict("records"), {}
    for name, column in training.items():
        known = column.dropna().tolist()
        typical[name] = np.mean([apart(name, v, w, column) for v in known for w in known])
    for table, distances in ((drawn, found.synthetic), (held, found.held_out)):
        each = [[distance(a, b, training, typical) for b in rows] for a in table.to_dict("records")]
        wanted = np.min(each, axis=1)
        np.testing.assert_allclose(distances, wanted, rtol=1e-12, atol=1e-15)
    less = [(a < b) + 0.5 * (a == b) for a in found.synthetic for b in found.held_out]
    assert found.nearer == pytest.approx(np.mean(less), rel=1e-12)


def test_gaps_make_no_copies_but_of_rows_with_the_same_gaps() -> None:
    """A training row of which little is known is near to none; its copy is one."""
    rng = np.random.default_rng(6)
    training, held = mixed(40, rng), mixed(30, rng)
    training.iloc[0, 1:] = None
    found = scores.nearest_rows(training[:3], training, held)
    assert (found.synthetic == 0).all() and found.copies[1] == 0
    full = training[:3].fillna(training.iloc[5])
    assert (scores.nearest_rows(full, training, held).synthetic > 0)[0]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    tables = [mixed(n, rng) for n in (30, 40, 20)]
    one = scores.nearest_rows(*tables)
    monkeypatch.setattr("ancestral.scores.nearest.BLOCK_BYTES", 8 * 40 * 7)
    other = scores.nearest_rows(*tables)
    np.testing.assert_array_equal(one.synthetic, other.synthetic)
    np.testing.assert_array_equal(one.held_out, other.held_out)


def test_every_unit_and_increasing_scale_gives_the_same() -> None:
    rng = np.random.default_rng(2)
    tables = [np.exp(rng.normal(size=(n, 3))) for n in (30, 40, 20)]
    one = scores.nearest_rows(*tables)
    for change in (np.log, lambda x: 1e-200 * x, lambda x: 1e200 * x):
        np.testing.assert_array_equal(
            scores.nearest_rows(*map(change, tables)).synthetic, one.synthetic
        )


def test_copies_are_told_from_new_rows() -> None:
    """Of new rows from the same source the probability is a half, within four standard errors."""
    rng = np.random.default_rng(3)
    training, held, new = rng.normal(size=(3, 400, 4))
    fair = scores.nearest_rows(new, training, held)
    assert abs(fair.nearer - 0.5) < 4 * fair.nearer_error
    assert fair.copies == (0.0, 0.0) and "as near to" in repr(fair)
    copied = scores.nearest_rows(training[:50], training, held)
    assert copied.copies == (1.0, 0.0) and copied.nearer == 1.0
    assert "look at the nearest ones" in copied.verdict
    far = scores.nearest_rows(new * 9, training, held)
    assert "farther" in far.verdict


def test_levels_may_be_numbers_and_columns_may_stand_in_another_order() -> None:
    rng = np.random.default_rng(4)
    training, held, drawn = (mixed(n, rng) for n in (30, 20, 20))
    one = scores.nearest_rows(drawn, training, held, categorical=["rooms"])
    other = scores.nearest_rows(
        drawn.astype({"rooms": "category"})[drawn.columns[::-1]],
        training.astype({"rooms": "category"}),
        held.astype({"rooms": "category"}),
    )
    np.testing.assert_allclose(one.synthetic, other.synthetic, rtol=1e-12)
    assert (one.synthetic != scores.nearest_rows(drawn, training, held).synthetic).any()


def test_dates_are_ordered_whatever_holds_them() -> None:
    days = [datetime.date(2020, 1, k) for k in range(1, 9)]
    plain = np.array([[day] for day in days], dtype=object)
    stamps = pd.DataFrame({"day": pd.to_datetime(days)})
    shift = [np.roll(plain, 1), plain[::-1], plain]
    found = scores.nearest_rows(plain[::2], plain[1::2], plain)
    wanted = scores.nearest_rows(stamps[::2], stamps[1::2], stamps)
    np.testing.assert_array_equal(found.synthetic, wanted.synthetic)
    assert 0 < found.synthetic[0] < 1 and scores.nearest_rows(*shift).copies == (1.0, 1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: {"synthetic": t.iloc[:1]}, "synthetic has 1 rows"),
        (lambda t: {"training": t.iloc[:0]}, "training has no rows"),
        (lambda t: {"held_out": t.rename(columns={"town": "city"})}, "held_out has other columns"),
        (lambda t: {"held_out": t.to_numpy()[:, :2]}, "held_out has 2 columns, training 5"),
        (lambda t: {"synthetic": [1.0, 2.0]}, r"must be a table.* shape \(2,\)"),
        (lambda t: {"training": t.assign(town=[["a"]] * 12)}, "column 'town' holds a list"),
        (lambda t: {"categorical": ["street"]}, "'street', which is no column"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, words: str) -> None:
    table = mixed(12, np.random.default_rng(5))
    given = {"synthetic": table, "training": table, "held_out": table} | change(table)
    with pytest.raises((DataError, DataTypeError), match=words):
        scores.nearest_rows(**given)
