"""The values of a column, of any container, as numbers: each by what kind of values it holds.

    number, boolean    themselves; False is 0 and True 1
    text               the places of texts in a sorted list of those that there are
    date, duration     days, since 1970

NaN is missing in each. Parts of a table give the same numbers as the whole, but for the places of
texts, whose lists merge.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.containers import Opened, Where, as_floats, shown
from ancestral._checks.dates import are_dates, as_microseconds, moments
from ancestral._checks.missing import is_missing, missing_mask
from ancestral.errors import DataError

DAY = 86_400 * 10**6  # microseconds
# The least and the most days: years 1 to 9999 of the calendar, which every library holds.
DAYS = {"date": (-719_162.0, 2_932_897.0 - 1 / 86_400), "duration": (-1e8, 1e8)}


class Plain(NamedTuple):
    """The values of a column as numbers, and of text the texts, sorted."""

    of: str
    numbers: NDArray[np.float64]
    texts: list[str] | None = None


def plain_of(values: NDArray, where: Where) -> Plain:
    """Return the values of a column as numbers; DataError for what is none, with its row."""
    of, held = kind_of(values, where)
    if of == "text":
        gaps = missing_mask(held)
        known = held[~gaps].tolist()
        texts = sorted(set(known))
        place = {text: float(k) for k, text in enumerate(texts)}
        found = np.full(len(held), np.nan)
        found[~gaps] = [place[text] for text in known]
        return Plain(of, found, texts)
    if of == "boolean":
        return Plain(of, floats_of(held, where))
    found = numbers_of(held, of, where)
    return Plain(of, found)


def kind_of(values: NDArray, where: Where) -> tuple[str, NDArray]:
    """Return what kind of values a column holds, and these as numpy holds that kind."""
    kind = values.dtype.kind
    if kind in "iuf":
        return "number", values
    if kind in "bU":
        return ("boolean" if kind == "b" else "text"), values
    if kind in "Mm":
        return ("date" if kind == "M" else "duration"), values
    if kind != "O":
        return "number", as_floats(Opened(values, None, len(values)), where.name)  # refuses it
    gaps = missing_mask(values)
    known = values[~gaps].tolist()
    kinds = set(map(type, known))
    if not kinds:
        return "number", np.full(len(values), np.nan)
    if all(issubclass(one, str) for one in kinds):
        held = _with_none(values, gaps)
        for i in np.flatnonzero([type(one) not in (str, type(None)) for one in held]).tolist():
            held[i] = str.__str__(held[i])  # members of an enumeration of text are their text
        return "text", held
    if kinds <= {bool, np.bool_}:
        return "boolean", _with_none(values, gaps)
    if all(issubclass(one, dt.timedelta | np.timedelta64) for one in kinds):
        found = np.full(len(values), np.timedelta64("NaT"), "m8[us]")
        found[~gaps] = np.array(known, dtype="m8[us]")
        return "duration", found
    if are_dates(known):
        return "date", moments(values.tolist(), where.name)
    texts = np.array([isinstance(value, str) for value in values])
    if texts.any() and not (texts | gaps).all():
        i, k = int(np.argmax(texts)), int(np.argmin(texts | gaps))
        raise DataError(
            f"{where.name} holds {shown(values[i])} at row {i} and {shown(values[k])} at row {k}: "
            "text and other values in one column. Make each column of one kind."
        )
    return "number", floats_of(values, where)


def _with_none(values: NDArray, gaps: NDArray[np.bool_]) -> NDArray:
    """Return objects with None where missing."""
    found = values.copy()
    found[gaps] = None
    return found


def floats_of(values: NDArray, where: Where) -> NDArray[np.float64]:
    if values.dtype.kind == "O":
        values = np.where(missing_mask(values), np.nan, values)
    found = as_floats(Opened(values, None, len(values)), where.name)
    return found.astype(np.float64) + 0.0  # no -0


def numbers_of(plain: NDArray, of: str, where: Where) -> NDArray[np.float64]:
    """Return numbers, or days of dates and durations."""
    if of not in ("date", "duration"):
        return floats_of(plain, where)
    if plain.dtype.kind not in "Mm":  # all missing
        return np.full(len(plain), np.nan)
    whole = as_microseconds(plain, where.name) if of == "date" else plain.astype("m8[us]")
    days = np.where(np.isnat(whole), np.nan, whole.astype(np.int64) / DAY)
    low, high = DAYS[of]
    if (odd := (days < low) | (days > high)).any():
        i = int(np.argmax(odd))
        raise DataError(
            f"{where.name} holds {shown(plain[i])} at row {i}: dates of the years 1 to 9999 and "
            "durations up to 100 million days are modelled. Mark it as missing."
        )
    return days


def moments_of(days: NDArray[np.float64], of: str) -> NDArray:
    """Return days as dates or durations, to the microsecond."""
    gaps = np.isnan(days)
    days = np.clip(days, *DAYS[of])
    whole = np.rint(np.where(gaps, 0.0, days) * DAY).astype(np.int64)
    found = whole.astype("M8[us]" if of == "date" else "m8[us]")
    found[gaps] = "NaT"
    return found


def objects_of(known: Any, of: str) -> NDArray:
    """Return known values as levels are held: text, booleans or whole numbers."""
    if of == "text":
        return np.array(known, dtype=object)
    if of == "boolean":
        return np.array(known).astype(bool)
    numbers = np.array(known, np.float64)
    held = (numbers == np.floor(numbers)) & (np.abs(numbers) < 2.0**63)  # in 64 bits
    return numbers.astype(np.int64) if held.all() else numbers


def codes_among(plain: NDArray, levels: NDArray) -> NDArray[np.float64]:
    """Return the code of each value, NaN where missing and -1 where it is no level."""
    if levels.dtype.kind in "if" and plain.dtype.kind in "iuf":
        order = np.argsort(levels, kind="stable")
        rising = levels[order].astype(np.float64)
        values = plain.astype(np.float64)
        place = np.minimum(np.searchsorted(rising, values), len(rising) - 1)
        codes = np.where(rising[place] == values, order[place].astype(np.float64), -1.0)
        return np.where(np.isnan(values), np.nan, codes)
    if plain.dtype.kind == "b" and levels.dtype.kind == "b" and levels.tolist() == [False, True]:
        return plain.astype(np.float64)
    codes_of: dict[Any, float] = {level: float(k) for k, level in enumerate(levels.tolist())}
    held = plain.tolist()
    codes = np.array([codes_of.get(value, -1.0) for value in held])
    for i in np.flatnonzero(codes < 0).tolist():
        if is_missing(held[i]):
            codes[i] = np.nan
    return codes
