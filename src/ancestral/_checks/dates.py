"""Dates and durations as numpy's, to the microsecond, in UTC."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.missing import is_missing
from ancestral.errors import DataError

FARTHEST = 290_000  # years from 1970 that 64 bits of microseconds hold
_ISO = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)


def are_dates(values: list[Any]) -> bool:
    """Tell whether all that is known is dates."""
    known = [value for value in values if not is_missing(value)]
    return bool(known) and all(isinstance(value, dt.date | np.datetime64) for value in known)


def date_in(cell: str) -> dt.datetime | None:
    """Return the moment that a cell stands for by ISO 8601, in UTC; None where it is none.

    Examples
    --------
    >>> date_in("2024-01-31T18:30+02:00"), date_in("31.1.2024"), date_in("20240131")
    (datetime.datetime(2024, 1, 31, 16, 30), None, None)
    """
    if _ISO.fullmatch(cell.strip()) is None:
        return None
    try:
        found = dt.datetime.fromisoformat(cell.strip())
        return found if found.tzinfo is None else found.astimezone(dt.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def moments(values: list[Any], name: str) -> NDArray:
    """Return dates of any kind as datetime64 in microseconds, in UTC."""
    found = np.empty(len(values), "M8[us]")
    for i, value in enumerate(values):
        if is_missing(value):
            if name == "since":
                break
            found[i] = np.datetime64("NaT")
            continue
        if isinstance(value, dt.datetime) and value.tzinfo is not None:
            value = value.astimezone(dt.UTC).replace(tzinfo=None)
        if isinstance(value, dt.datetime):  # pandas' own too, whose nanoseconds are cut
            value = np.datetime64(value.isoformat()[:26])
        try:
            if not isinstance(value, str | dt.date | np.datetime64):
                break
            found[i] = as_microseconds(np.array([np.datetime64(value)]), name)[0]
        except ValueError as error:
            if isinstance(error, DataError):
                raise
            break
    else:
        if name != "since" or not np.isnat(found).any():
            return found
    raise DataError(f'{name} is {value!r}, which is no date: give one as in "2024-01-31".')


def as_microseconds(values: NDArray, name: str) -> NDArray:
    years = values.astype("M8[Y]").astype(np.int64)
    far = ~np.isnat(values) & (np.abs(years) > FARTHEST)
    if far.any():
        raise DataError(
            f"{name} holds {values[far].flat[0]}, too far off to be counted in microseconds: "
            "drop it, or mark it as missing."
        )
    return values.astype("M8[us]")
