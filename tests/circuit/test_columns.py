"""What a column is taken for, its values as numbers and back, its scale, grid and atoms."""

from __future__ import annotations

import datetime as dt
import enum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ancestral
from ancestral import AncestralError, AncestralWarning, LatentTree
from ancestral._checks.containers import opened
from ancestral.circuit import scales
from ancestral.circuit.columns import Column, learn


def columns_of(table: pd.DataFrame, **options: Any) -> dict[Any, Column]:
    found = opened(table, "X")
    assert isinstance(found.values, list) or found.values.ndim == 2
    values = found.values if isinstance(found.values, list) else list(found.values.T)
    options = {"column_types": "auto", "categories": None, "form": None} | options
    names = np.array(list(table), dtype=object)
    return {c.name: c for c in learn(values, names=names, weights=None, **options)[0]}


def visits(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D")
    return pd.DataFrame(
        {
            "ward": rng.choice(["A", "B", "C"], n),
            "urgent": rng.random(n) < 0.3,
            "seen": days,
            "waited": pd.to_timedelta(rng.gamma(2.0, 30.0, n), unit="min"),
            "weight": rng.normal(70, 10, n).round(1),
            "visits": rng.integers(0, 5, n),
            "flag": np.ones(n, int),
        }
    )


def test_kinds_are_found() -> None:
    found = columns_of(visits())
    kinds = {name: (column.kind, column.of) for name, column in found.items()}
    assert kinds == {
        "ward": ("categorical", "text"),
        "urgent": ("binary", "boolean"),
        "seen": ("continuous", "date"),
        "waited": ("continuous", "duration"),
        "weight": ("continuous", "number"),
        "visits": ("categorical", "number"),
        "flag": ("binary", "number"),
    }
    assert found["flag"].levels.tolist() == [0, 1]
    assert found["seen"].grid == pytest.approx(1.0)  # days
    assert found["weight"].grid == pytest.approx(0.1)


def test_column_types_go_before_what_is_found() -> None:
    found = columns_of(visits(), column_types={"visits": "count", "weight": "continuous"})
    assert found["visits"].kind == "count"
    with pytest.raises(AncestralError, match="no column of X"):
        columns_of(visits(), column_types={"wieght": "continuous"})
    with pytest.raises(AncestralError, match="'continuous', 'categorical'"):
        columns_of(visits(), column_types={"visits": "number"})
    with pytest.raises(AncestralError, match="3 levels"):
        columns_of(visits(), column_types={"ward": "binary"})
    with pytest.raises(AncestralError, match="holds text"):
        columns_of(visits(), column_types={"ward": "continuous"})


def test_levels_of_a_column_that_has_none_are_refused() -> None:
    with pytest.raises(AncestralError, match=r"levels of column 'seen', which holds dates"):
        columns_of(visits(), categories={"seen": ["2024-01-31"]})
    for kind in ("continuous", "count"):
        asked = {"column_types": {"visits": kind}, "categories": {"visits": [0, 1, 2]}}
        with pytest.raises(AncestralError, match=rf"levels of column 'visits', .*'{kind}'"):
            columns_of(visits(), **asked)
    table = visits()
    table["visits"] = table["visits"].astype("category")  # a type is no order
    assert columns_of(table, column_types={"visits": "count"})["visits"].kind == "count"


def test_a_boolean_is_asked_for_by_its_values() -> None:
    column = columns_of(visits())["urgent"]
    for odd in ("yes", 2):
        with pytest.raises(AncestralError, match="True or False"):
            column.encode(np.array([odd], dtype=object), name="given")
    assert column.encode(np.array([1], dtype=object), name="given").tolist() == [1.0]


def test_declared_levels_are_levels_that_no_row_holds() -> None:
    table = visits()
    table["ward"] = pd.Categorical(table["ward"], categories=["C", "B", "A", "D"])
    model = LatentTree(2, 1, n_sweeps=2, random_state=0).fit(table)
    assert model.columns_[0]["levels"].tolist() == ["C", "B", "A", "D"]
    row = table.iloc[[0]].assign(ward=pd.Categorical(["D"], categories=["C", "B", "A", "D"]))
    assert np.isfinite(model.log_density(row)).all()
    other = LatentTree(2, 1, n_sweeps=2, categories={"ward": ["A", "B", "C", "E"]}, random_state=0)
    assert "E" in other.fit(visits()).columns_[0]["levels"]


def test_values_come_back_as_they_went_in() -> None:
    """Each column, also missing ones, after its numbers; dates to the microsecond."""
    table = visits()
    for name in table.columns.drop("flag"):
        table[name] = table[name].astype(object).where(np.arange(len(table)) % 7 != 3, None)
    table["seen"] = pd.to_datetime(table["seen"])
    table["waited"] = pd.to_timedelta(table["waited"])
    for name, column in columns_of(table).items():
        values = opened(table[[name]], "X").values
        values = values[0] if isinstance(values, list) else values[:, 0]
        back = column.decode(column.encode(values))
        right = pd.Series(values)
        found = pd.Series(back)
        assert (found.isna() == right.isna()).all(), name
        known = right.notna()
        if column.of in ("date", "duration"):
            assert (abs(found[known] - right[known]) < pd.Timedelta("2us")).all(), name
        else:
            assert (found[known].to_numpy() == right[known].to_numpy()).all(), name


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_draws_are_frames_of_the_same_types(library: str) -> None:
    table = visits()
    table["zoned"] = table["seen"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    data: Any = table
    if library != "pandas":
        data = pytest.importorskip("polars").from_pandas(table)
        data = data if library == "polars" else data.to_arrow()
    model = LatentTree(2, 1, n_sweeps=2, random_state=0).fit(data)
    drawn = model.sample(20, random_state=1)
    assert type(drawn) is type(data)
    if library == "pandas":
        pd.testing.assert_series_equal(drawn.dtypes, table.dtypes)
    else:
        assert drawn.schema == data.schema
    other = LatentTree(2, 1, n_sweeps=2, random_state=0).fit(table)
    assert (model.log_density(data) == other.log_density(table)).all()


def test_names_are_left_out_and_named() -> None:
    table = visits().assign(patient=[f"p{i:03d}" for i in range(60)])
    with pytest.warns(AncestralWarning, match="'patient' is left out") as caught:
        model = LatentTree(2, 1, n_sweeps=2, random_state=0).fit(table)
    assert len(caught) == 1
    assert model.left_out_ == ["patient"]
    assert "patient: left out" in repr(model)
    assert "ward: categorical: A, B, C" in repr(model)
    assert model.sample(3, random_state=0)["patient"].isna().all()
    filled = model.impute(table.assign(weight=np.where(np.arange(60) < 5, None, table["weight"])))
    assert (filled["patient"] == table["patient"]).all()
    with (
        pytest.warns(AncestralWarning, match="left out"),
        pytest.raises(AncestralError, match="every column is left out"),
    ):
        LatentTree().fit(table[["patient"]])
    table = table.assign(ward=[f"w{i:03d}" for i in range(60)])
    with pytest.warns(AncestralWarning, match=r"columns 'ward', 'patient' are .* Drop them before"):
        LatentTree(1, 1, n_sweeps=1, random_state=0).fit(table)


@pytest.mark.parametrize("library", ["pandas", "polars", "numpy"])
def test_dates_written_as_text_are_told_once(library: str) -> None:
    days = np.datetime64("2024-02-01") + np.arange(60) % 9
    table = pd.DataFrame({"day": days.astype(str), "at": "2024-02-01T09:30+01:00", "x": days})
    table["at"] = table["at"].where(np.arange(60) % 7 > 0, None)
    data: Any = table
    if library == "polars":
        data = pytest.importorskip("polars").from_pandas(table)
    if library == "numpy":
        data = table[["day", "at"]].to_numpy(object)
    model = LatentTree(1, 1, n_sweeps=1, random_state=0)
    names = "0, 1" if library == "numpy" else "'day', 'at'"
    with pytest.warns(AncestralWarning, match=rf"columns {names} hold .*dates=True") as caught:
        model.fit(data)
    assert len(caught) == 1
    other = table[["day", "x"]].assign(day=["2024-02-30", *table["day"][1:]])  # no such day
    model.fit(other)  # and no warning, nor where levels are asked for or declared by a type
    LatentTree(1, 1, n_sweeps=1, column_types={"day": "categorical"}).fit(table[["day", "x"]])
    model.fit(table[["day", "x"]].astype({"day": "category"}))


def test_dates_of_countries_and_numbers_with_a_unit_are_told_once() -> None:
    days = pd.Series(pd.Timestamp("2024-02-01") + pd.to_timedelta(np.arange(60) % 20, "D"))
    table = pd.DataFrame({"x": np.arange(60) / 7, "day": days.dt.strftime("%d.%m.%Y")})
    table["paid"] = days.dt.strftime("%m/%d/%Y %H:%M")
    model = LatentTree(1, 1, n_sweeps=1, random_state=0)
    wanted = (
        r"'day', 'paid' hold dates .*'01\.02\.2024'.*to_datetime\(table\['day'\], dayfirst=True"
    )
    with pytest.warns(AncestralWarning, match=wanted) as caught:
        model.fit(table)
    assert len(caught) == 1
    model.fit(
        table.assign(day=pd.to_datetime(days), paid=[f"1.45.20{k:02d}" for k in range(6)] * 10)
    )
    power = [f"{k},5 kW" for k in range(6)] * 10
    table = pd.DataFrame({"x": np.arange(60) / 7, "power": power, "price": ["$ 5", "$ 7"] * 30})
    wanted = r"'power', 'price' hold numbers with a unit, such as '0,5 kW'.*removesuffix\('kW'\)"
    with pytest.warns(AncestralWarning, match=wanted) as caught:
        model.fit(table)
    assert len(caught) == 1
    kept = {"power": "categorical", "price": "binary"}
    LatentTree(1, 1, n_sweeps=1, column_types=kept).fit(table)  # and no warning
    model.fit(table[["x"]].assign(code=["12a", "13b"] * 30, room=["5", "hall 5"] * 30))


def test_a_column_that_is_left_out_is_told_once_with_what_it_holds() -> None:
    power = pd.Series([f"{60 + k / 2} kW".replace(".", ",") for k in range(60)])
    with pytest.warns(AncestralWarning, match="so column 'power' is left out") as caught:
        LatentTree(1, 1, n_sweeps=1, random_state=0).fit(
            pd.DataFrame({"x": np.arange(60) / 7, "power": power})
        )
    (told,) = (str(one.message) for one in caught)
    mend = told.partition("in pandas ")[2].partition(". If levels")[0]
    assert "replace(',', '.')" in mend
    converted = eval(mend, {"table": {"power": power}})
    assert converted.tolist() == [60 + k / 2 for k in range(60)]


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ([None] * 8, "all missing"),
        ([1, "x"] * 4, "text and other values"),
        ([np.inf, 1.0, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5], "inf at row 0, column 'a'"),
        ([1j] * 8, "real numbers are wanted"),
    ],
)
def test_what_is_no_column_is_refused_with_its_place(column: list[Any], says: str) -> None:
    table = pd.DataFrame({"a": pd.Series(column), "b": range(8)})
    with pytest.raises(AncestralError, match=says):
        LatentTree(2, 1).fit(table)


def test_levels_that_fit_did_not_see_are_refused_with_their_place() -> None:
    model = LatentTree(2, 1, n_sweeps=2, random_state=0).fit(visits())
    row = visits().iloc[[0, 1]]
    with pytest.raises(AncestralError, match="'Z' at row 1, column 'ward', a level not seen"):
        model.log_density(row.assign(ward=["A", "Z"]))
    with pytest.raises(AncestralError, match="column 'weight'"):
        model.log_density(row.assign(weight=["heavy", "light"]))
    with pytest.raises(AncestralError, match="column 'seen'"):
        model.log_density(row.assign(seen=[1.0, 2.0]))


def test_dates_of_python_are_dates() -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=i) for i in range(40)]
    (column,) = columns_of(pd.DataFrame({"day": days})).values()
    assert (column.kind, column.of) == ("continuous", "date")


@pytest.mark.parametrize(
    "table",
    [
        np.random.default_rng(0).normal(size=(1, 3)),
        np.random.default_rng(0).normal(size=(60, 1)),
        np.ones((20, 2)),
        np.repeat(np.random.default_rng(0).normal(size=(60, 1)), 3, axis=1),
        np.random.default_rng(0).normal(size=(60, 2)) * 1e300,
        np.random.default_rng(0).normal(size=(60, 2)) * 1e-310,
        1e15 + 2.0 * np.arange(80)[:, None] * np.ones(2),
        pd.DataFrame({"a": np.arange(1200).astype(str), "b": np.arange(1200) % 3}).sample(
            3000, replace=True, random_state=0
        ),
    ],
    ids=["row", "column", "constant", "duplicated", "1e300", "1e-310", "offset", "1000 levels"],
)
def test_odd_tables_are_fitted(table: Any) -> None:
    model = LatentTree(4, 2, n_sweeps=2, random_state=0).fit(table)
    assert np.isfinite(model.log_density(table)).all()
    assert len(model.sample(5, random_state=0)) == 5


def test_a_file_keeps_the_columns(tmp_path: Path) -> None:
    model = LatentTree(2, 1, n_sweeps=2, random_state=0).fit(visits())
    other = ancestral.load(model.save(tmp_path / "a.model"))
    assert (other.log_density(visits()) == model.log_density(visits())).all()
    assert repr(other) == repr(model)
    pd.testing.assert_frame_equal(other.sample(4, random_state=0), model.sample(4, random_state=0))


# ---- scales --------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [25.0, 1.0, 0.01, 1 / 86_400, 0.3048])
def test_the_grid_is_found_in_any_unit(grid: float) -> None:
    rng = np.random.default_rng(0)
    values = np.unique(np.rint(rng.gamma(2.0, 400.0, 900))) * grid
    assert scales.grid_of(values) == pytest.approx(grid, rel=1e-6)


def test_numbers_of_no_grid_have_none() -> None:
    assert scales.grid_of(np.sort(np.random.default_rng(0).normal(size=500))) == 0.0


@pytest.mark.parametrize("far", [1e6, 1e9, 1e12, 1e200])
def test_one_value_far_off_makes_no_grid(far: float) -> None:
    """Beside it all others are multiples of a large step: 0 times."""
    values = np.sort(np.random.default_rng(0).normal(size=300))
    assert scales.grid_of(np.r_[values, far]) == 0.0
    rounded = np.unique(values.round(2))
    assert scales.grid_of(np.r_[rounded, min(far, 1e9)]) == pytest.approx(0.01)


def test_a_code_for_missing_does_not_blur_the_other_numbers() -> None:
    """Their log density falls by what the code's share costs, and little more."""
    rng = np.random.default_rng(0)
    x = rng.normal(170, 9, 400)
    coded = np.where(np.arange(400) % 20 == 0, 999_999_999_999.0, x)[:, None]
    known = np.flatnonzero(np.arange(400) % 20)
    options: dict[str, Any] = {"n_states": 1, "n_trees": 1, "random_state": 0}
    plain = LatentTree(**options).fit(x[known, None]).log_density(x[known, None])
    found = LatentTree(**options).fit(coded).log_density(coded)[known]
    assert found.mean() == pytest.approx(plain.mean() + np.log(0.95), abs=0.1)


def test_whole_numbers_that_hardly_repeat_are_continuous() -> None:
    """A level seen once says nothing of the next row's; new values can be scored."""
    ages = pd.DataFrame(
        {"age": [31, 45, 22, 67, 50, 38, 29, 71, 45, 60], "sex": list("fmfmfmfmfm")}
    )
    assert columns_of(ages)["age"].kind == "continuous"
    assert columns_of(pd.concat([ages] * 2))["age"].kind == "categorical"
    model = LatentTree(2, 1, random_state=0).fit(ages)
    assert np.isfinite(model.log_density(ages.assign(age=40))).all()


def test_numbers_at_the_ends_of_what_floats_hold_are_modelled() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(80, 1))
    for factor in (1e-320, 1e-300, 1e300, 5e307):
        X = values * factor
        model = LatentTree(2, 1, random_state=0).fit(X)
        assert np.isfinite(model.log_density(X)).all()
        assert np.isfinite(model.sample(20, random_state=0)).all()


def test_an_unseen_number_is_refused_with_the_types_that_would_take_it() -> None:
    table = pd.DataFrame({"parch": [0, 1, 2] * 20})
    odd = pd.DataFrame({"parch": [0, 9]})
    with pytest.raises(AncestralError, match=r'9.*row 1.*"count" or "continuous" in column_types'):
        LatentTree(2, 1, random_state=0).fit(table).log_density(odd)
    for kind in ("count", "continuous"):
        model = LatentTree(2, 1, column_types={"parch": kind}, random_state=0).fit(table)
        assert np.isfinite(model.log_density(odd)).all()


def test_dates_that_a_draw_could_not_be_are_refused() -> None:
    far = np.array(["2024-01-01", "20000-01-01"] * 20, dtype="M8[s]")
    near = np.array(["0001-01-01", "9999-12-31T23:59:59"] * 20, dtype="M8[s]")
    with pytest.raises(AncestralError, match=r"'day' holds .*row 1"):
        LatentTree(2, 1).fit(pd.DataFrame({"day": far}))
    table = pd.DataFrame({"day": near})
    model = LatentTree(2, 1, random_state=0).fit(table)
    assert np.isfinite(model.log_density(table)).all()
    assert model.impute(table).equals(table)
    with pytest.raises(AncestralError, match="1 to 9999"):
        model.sample(1, given={"day": "20000-01-01"})


def test_an_enumeration_of_text_is_its_text() -> None:
    class Ward(enum.StrEnum):
        NORTH = "n"
        SOUTH = "s"

    wards = pd.DataFrame({"ward": pd.Series([Ward.NORTH, Ward.SOUTH, None] * 10, dtype=object)})
    model = LatentTree(2, 1, random_state=0).fit(wards)
    assert model.columns_[0]["levels"].tolist() == ["n", "s"]
    assert set(model.sample(50, random_state=0)["ward"]) == {"n", "s"}
    assert model.log_density(wards)[0] == model.log_evidence({"ward": "n"})
    assert model.log_evidence({"ward": Ward.NORTH}) == model.log_evidence({"ward": "n"})


def test_atoms_stand_out_of_their_neighbours() -> None:
    """0 of three in ten is one; no rounded number of a smooth column is."""
    rng = np.random.default_rng(0)
    smooth = rng.normal(70, 10, 3000).round(1)
    values, counts = np.unique(np.r_[smooth, np.zeros(900)], return_counts=True)
    assert scales.atoms_of(values, counts.astype(float)).tolist() == [0.0]


@pytest.mark.parametrize(
    ("kind", "draw"),
    [
        ("identity", lambda rng: rng.normal(50, 5, 2000)),
        ("log", lambda rng: np.exp(rng.normal(3, 1.2, 2000))),
        ("asinh", lambda rng: np.sinh(rng.normal(0, 3, 2000))),
    ],
)
def test_the_scale_is_that_on_which_a_column_is_normal(kind: str, draw: Any) -> None:
    values, counts = np.unique(draw(np.random.default_rng(0)), return_counts=True)
    scale, _, atoms = scales.learn(values, counts.astype(float))
    assert scale.kind == kind
    assert not len(atoms)
    y = scale.forward(values)
    assert (abs(y.mean()), y.std()) == pytest.approx((0, 1), abs=1e-6)


@pytest.mark.parametrize("factor", [2.0**-30, 2.0**12, 2.54])
def test_a_scale_follows_the_unit(factor: float) -> None:
    values = np.unique(np.exp(np.random.default_rng(1).normal(3, 1.0, 500)))
    one, _, _ = scales.learn(values, np.ones(len(values)))
    two, _, _ = scales.learn(values * factor, np.ones(len(values)))
    assert one.kind == two.kind
    assert two.forward(values * factor) == pytest.approx(one.forward(values), abs=1e-9)
