"""Dates as numbers: how many days, hours or years after a day that is named.

    number = (date - since) / unit

Models take numbers, levels and text, and no dates: whether a date stands for a trend, a season or a
day of the week is for its owner to say.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.dates import are_dates, as_microseconds, moments
from ancestral.errors import DataError, DataTypeError, ModelError

MICROSECONDS = {
    "seconds": 10**6,
    "minutes": 60 * 10**6,
    "hours": 3_600 * 10**6,
    "days": 86_400 * 10**6,
    "weeks": 7 * 86_400 * 10**6,
    "years": 31_556_952 * 10**6,  # 365.2425 days, the mean of the calendar
}


def dates_as_numbers(table: Any, *, unit: str = "days", since: Any = "1970-01-01") -> Any:
    """Return a table whose dates are replaced by floats. Other columns do not change.

    Parameters
    ----------
    table : dataframe or series of pandas, polars or Arrow, or array-like of dates
        Columns of dates, of dates with times and of durations become numbers. Times with a time
        zone are converted to UTC. Text that looks like a date does not change.
    unit : {"days", "seconds", "minutes", "hours", "weeks", "years"}
        A year is 365.2425 days.
    since : str, date or datetime64
        The date that becomes 0. It does not matter for durations.

    Returns
    -------
    dataframe, series or ndarray
        Of the same library, with the same columns and index; dates are float64. Missing dates stay
        missing.

    Raises
    ------
    ModelError
        For an unknown `unit`.
    DataError
        For a `since` that is no date, for dates beyond the year 290,000, and for data that are no
        table.

    Examples
    --------
    >>> dates_as_numbers(np.array(["2024-01-31", "NaT"], "M8[D]"), since="2024-01-01")
    array([30., nan])
    >>> import pandas as pd
    >>> seen = pd.to_datetime(["2024-01-02", None])
    >>> visits = pd.DataFrame({"seen": seen, "weight": [61.5, 70.0]})
    >>> dates_as_numbers(visits, unit="hours", since="2024-01-01")
       seen  weight
    0  24.0    61.5
    1   NaN    70.0
    """
    if unit not in MICROSECONDS:
        raise ModelError(f"unit must be one of {', '.join(MICROSECONDS)}; got {unit!r}.")
    zero, size = int(moments([since], "since")[0].astype(np.int64)), MICROSECONDS[unit]
    if isinstance(table, np.ndarray | list | tuple | dt.date | np.datetime64):
        return _of_array(np.asarray(table), zero, size)
    import narwhals as nw

    native = nw.from_native(table, allow_series=True, pass_through=True)
    if isinstance(native, nw.Series):
        return _of_series(native, zero, size).to_native()
    if not isinstance(native, nw.DataFrame):
        raise DataTypeError(
            f"table is a {type(table).__name__}: give a dataframe or a series of pandas, polars or "
            "Arrow that is computed, or an array of dates."
        )
    return native.with_columns(
        *(_of_series(column, zero, size) for column in native.iter_columns())
    ).to_native()


def _of_series(series: Any, zero: int, size: int) -> Any:
    """Return a narwhals series as numbers, if it holds dates or durations."""
    import narwhals as nw

    if isinstance(series.dtype, nw.Date | nw.Datetime):
        steps = series.cast(nw.Datetime("us")) if isinstance(series.dtype, nw.Date) else series
        return ((steps.dt.timestamp("us") - zero) / size).cast(nw.Float64)
    if isinstance(series.dtype, nw.Duration):
        return (series.dt.total_microseconds() / size).cast(nw.Float64)
    if isinstance(series.dtype, nw.Object):
        values = series.to_list()
        if are_dates(values):
            found = _numbers(moments(values, f"column {series.name!r}"), zero, size)
            return nw.new_series(series.name, found, nw.Float64, backend=series.implementation)
    return series


def _of_array(values: NDArray, zero: int, size: int) -> NDArray:
    """Return an array as numbers, if it holds dates or durations."""
    if values.dtype.kind == "m":
        found = values.astype("m8[us]").astype(np.int64) / size
        return np.where(np.isnat(values), np.nan, found)
    held = values.ravel().tolist() if values.dtype.kind == "O" else []
    if are_dates(held):
        return _numbers(moments(held, "table"), zero, size).reshape(values.shape)
    if values.dtype.kind != "M":
        raise DataError(
            f"table is an array of {values.dtype}, and holds no dates: give datetime64 or "
            "timedelta64, or a dataframe."
        )
    return _numbers(as_microseconds(values, "table"), zero, size)


def _numbers(found: NDArray, zero: int, size: int) -> NDArray[np.float64]:
    return np.where(np.isnat(found), np.nan, (found.astype(np.int64) - zero) / size)
