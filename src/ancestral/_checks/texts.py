"""What the texts of a column may stand for: dates, or numbers with a unit."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from ancestral._checks.dates import date_in

DATES, LOCAL_DATES, AMOUNTS = "dates", "local dates", "amounts in "
_LOCAL = re.compile(
    r"(\d{1,2})([./-])(\d{1,2})\2\d{4}|(\d\d)([./-])(\d\d)\5\d\d|\d{4}([./])(\d{1,2})\7(\d{1,2})",
    re.ASCII,
)
_AMOUNT = re.compile(
    r"([€$£¥]?) ?[+-]?\d+(?:[.,'\u2019 \u00a0\u202f]\d+)*[ \u00a0\u202f]?"
    r"([%‰€$£¥]|(?:[^\W\d_]|°){1,8}[²³]?(?:/[^\W\d_]{1,8}[²³]?)?)?"
)


def meaning_of(texts: Collection[str]) -> str:
    """Return what all texts are: `DATES`, `LOCAL_DATES`, or `AMOUNTS` with their unit; "" for none.

    Examples
    --------
    >>> meaning_of(["2024-01-31", "2024-02-01 18:30"]), meaning_of(["31.1.2024", "1.2.2024"])
    ('dates', 'local dates')
    >>> meaning_of(["75 kW", "9,5 kW"]), meaning_of(["€ 5", "€ 7"]), meaning_of(["75 kW", "3 PS"])
    ('amounts in kW', 'amounts in €', '')
    """
    if all(date_in(text) is not None for text in texts):
        return DATES
    if are_local_dates(texts):
        return LOCAL_DATES
    unit = ""
    for text in texts:
        found = _AMOUNT.fullmatch(text.strip())
        own = "" if found is None or (found[1] and found[2]) else found[1] or found[2] or ""
        if not own or (unit and own != unit):
            return ""
        unit = own
    return AMOUNTS + unit if len(texts) > 1 else ""


def are_local_dates(texts: Collection[str]) -> bool:
    """Tell whether all texts are dates of some country, such as 31.01.2024 or 1/31/2024.

    Examples
    --------
    >>> [are_local_dates([text]) for text in ("31.01.2024", "1/31/2024", "2024-01-31", "1.45.2024")]
    [True, True, False, False]
    """
    return bool(texts) and all(map(_is_local_date, texts))


def conversion_of_dates(label: Any) -> str:
    """Return what converts a column of local dates, in words."""
    return (
        f"pandas.to_datetime(table[{label!r}], dayfirst=True) converts a column "
        "(dayfirst=False if the month comes first). Or write dates as 2024-01-31"
    )


def _is_local_date(text: str) -> bool:
    """Tell whether a text holds a day, a month and a year, in any order but that of ISO 8601."""
    found = _LOCAL.fullmatch(text.strip().partition(" ")[0].rstrip(","))
    if found is None:
        return False
    pair = [int(part) for part in found.groups() if part is not None and part.isdecimal()]
    return 1 <= min(pair) <= 12 and max(pair) <= 31
