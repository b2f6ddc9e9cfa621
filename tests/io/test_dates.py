"""Dates as numbers: of every library, in every unit, what is missing stays missing."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from ancestral import PPCA, LinearGaussian
from ancestral.errors import DataError, DataTypeError, ModelError
from ancestral.io import dates_as_numbers

DAYS = [dt.datetime(2024, 1, 2, 12), None, dt.datetime(1969, 12, 31)]
WANTED = [19724.5, np.nan, -1.0]


def frames() -> dict[str, Any]:
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    pa = pytest.importorskip("pyarrow")
    other = [1, 2, 3]
    zoned = pd.to_datetime(DAYS).tz_localize("UTC").tz_convert("Asia/Tokyo")
    return {
        "pandas": pd.DataFrame({"seen": pd.to_datetime(DAYS), "n": other}, index=[7, 8, 9]),
        "pandas, a zone": pd.DataFrame({"seen": zoned, "n": other}),
        "pandas, objects": pd.DataFrame({"seen": pd.Series(DAYS, dtype=object), "n": other}),
        "polars": pl.DataFrame({"seen": DAYS, "n": other}),
        "polars, a zone": pl.DataFrame(
            {"seen": pl.Series(DAYS).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
             "n": other}
        ),
        "arrow": pa.table({"seen": pa.array(DAYS), "n": pa.array(other)}),
    }  # fmt: skip


def column(table: Any, name: str = "seen") -> np.ndarray:
    values = table[name].to_pylist() if hasattr(table[name], "to_pylist") else list(table[name])
    return np.array([np.nan if value is None else value for value in values], np.float64)


@pytest.mark.parametrize("unit", ["seconds", "minutes", "hours", "days", "weeks", "years"])
def test_every_library_gives_the_same_numbers(unit: str) -> None:
    days = {"seconds": 1 / 86_400, "minutes": 1 / 1440, "hours": 1 / 24, "weeks": 7}
    size = days.get(unit, 365.2425 if unit == "years" else 1)
    for name, table in frames().items():
        found = dates_as_numbers(table, unit=unit)
        assert type(found) is type(table), name
        np.testing.assert_allclose(column(found), np.array(WANTED) / size, rtol=1e-14)
        assert list(column(found, "n")) == [1, 2, 3]
    frame = frames()["pandas"]
    assert list(dates_as_numbers(frame).index) == [7, 8, 9]
    np.testing.assert_array_equal(dates_as_numbers(frame["seen"]), column(dates_as_numbers(frame)))


def test_arrays_lists_days_and_durations() -> None:
    for values in (np.array(DAYS, "M8[ns]"), np.array(DAYS, "M8[s]"), DAYS):
        np.testing.assert_array_equal(dates_as_numbers(values), WANTED)
    table = np.array([["2024-01-01", "2024-01-03"], ["NaT", "2023-12-31"]], "M8[D]")
    np.testing.assert_array_equal(
        dates_as_numbers(table, since=dt.date(2024, 1, 1)), [[0, 2], [np.nan, -1]]
    )
    np.testing.assert_array_equal(
        dates_as_numbers(np.array([36, "NaT"], "m8[h]"), since="2024-01-01"), [1.5, np.nan]
    )
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"day": [dt.date(2024, 1, 3), None], "took": [dt.timedelta(hours=6)] * 2})
    found = dates_as_numbers(frame, since="2024-01-01")
    assert found["day"].to_list() == [2.0, None] and found["took"].to_list() == [0.25, 0.25]
    assert set(found.dtypes) == {pl.Float64}


def test_numbers_of_dates_are_fitted_and_dates_themselves_name_the_mend() -> None:
    table = frames()["pandas"]
    for bad in (table, frames()["polars"], np.array([DAYS, DAYS[::-1]], "M8[s]")):
        for ask in (lambda X: PPCA(1).fit(X), lambda X: LinearGaussian().fit(X, [1.0, 2, 3])):
            with pytest.raises(DataTypeError, match=r"ancestral\.io\.dates_as_numbers"):
                ask(bad)
    days = np.datetime64("2024-01-01") + np.arange(50)
    X = dates_as_numbers(days, since="2024-01-01")[:, None]
    y = 2 * X[:, 0] + np.random.default_rng(0).normal(size=50)
    assert LinearGaussian().fit(X, y).coef_[0] == pytest.approx(2, abs=0.1)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ModelError, match="unit must be one of seconds"):
        dates_as_numbers(DAYS, unit="months")
    for since in ("yesterday", None, 3, "NaT", np.datetime64("NaT")):
        with pytest.raises(DataError, match="since is .* no date"):
            dates_as_numbers(DAYS, since=since)
    with pytest.raises(DataError, match="too far off"):
        dates_as_numbers(np.array([10**6], "M8[Y]"))
    with pytest.raises(DataError, match="holds no dates"):
        dates_as_numbers([1.0, 2.0])
    with pytest.raises(DataTypeError, match="give a dataframe or a series"):
        dates_as_numbers({"a": 1})
    with pytest.raises(DataTypeError, match="that is computed"):
        dates_as_numbers(pytest.importorskip("polars").DataFrame({"a": DAYS}).lazy())
