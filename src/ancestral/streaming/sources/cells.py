"""What cells of text stand for: whole numbers, numbers, truth values, dates, or text."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.dates import date_in
from ancestral.io.dialect import Dialect

KINDS = ("whole", "number", "boolean", "text", "date")
_NUMBER = r"(?i)^[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity)$"
_LONG = r"^[+-]?[1-9]\d{18,}$"
_DATE = (
    r"^(\d{3}[1-9]|\d{2}[1-9]\d|\d[1-9]\d{2}|[1-9]\d{3})-\d\d-\d\d"
    r"([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?$"
)
_FOREIGN = r"^[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?$"
_ZONED = r":.*(Z|[+-]\d\d:?\d\d)$"


def kinds_of(cells: Any) -> dict[str, NDArray[np.bool_]]:
    """Return which of some cells are of each kind; a missing one is of none.

    "padded" are numbers such as 01234, "beyond" whole numbers that 64 bits do not hold.
    """
    whole, padded = are(r"^[+-]?(0|[1-9]\d{0,17})$", cells), are(r"^[+-]?0\d+$", cells)
    beyond = np.zeros_like(whole)
    long = are(_LONG, cells)
    for i in np.flatnonzero(long).tolist():
        beyond[i] = is_beyond(cells[i].as_py())
    whole |= long & ~beyond
    number = are(_NUMBER, cells) & ~(whole | padded | beyond)  # infinity, which models refuse
    boolean = are(r"(?i)^(true|false)$", cells)
    date = are(_DATE, cells)
    for i in np.flatnonzero(date).tolist() if moments_of(cells.filter(_mask(date))) is None else ():
        date[i] = date_in(cells[i].as_py()) is not None
    known = cells.is_valid().to_numpy()
    text = known & ~(whole | padded | beyond | number | boolean | date)
    return {
        "whole": whole,
        "padded": padded,
        "beyond": beyond,
        "number": number,
        "boolean": boolean,
        "date": date,
        "text": text,
    }


def is_beyond(cell: str) -> bool:
    """Tell whether a cell is a whole number that 64 bits do not hold."""
    if re.fullmatch(r"\s*[+-]?\d+\s*", cell, re.ASCII) is None:
        return False
    return len(cell) > 25 or not -(1 << 63) <= int(cell) < 1 << 63


def are(pattern: str, cells: Any) -> NDArray[np.bool_]:
    """Return which cells match a pattern."""
    from pyarrow import compute

    found = compute.match_substring_regex(cells, pattern)
    return np.asarray(found.fill_null(fill_value=False).to_numpy(), dtype=bool)


def moments_of(cells: Any) -> Any:
    """Return dates by ISO 8601 as timestamps, in UTC where cells have a time zone.

    None where a cell is none: `date_in` says which.
    """
    import pyarrow as pa
    from pyarrow import compute

    if not (are(_DATE, cells) | cells.is_null().to_numpy()).all():
        return None
    try:
        zoned = are(_ZONED, cells)
        if not zoned.any():
            return cells.cast(pa.timestamp("us"))
        alone = _mask(are(r"^.{10}$", cells))
        ending = compute.if_else(alone, "T00:00Z", compute.if_else(_mask(zoned), "", "Z"))
        spelt = compute.binary_join_element_wise(cells, ending, "")
        return spelt.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return None


def spelt(cells: Any, dialect: Dialect) -> Any:
    """Return cells with their numbers as Python spells them; what another dialect has is text."""
    from pyarrow import compute

    if dialect.is_plain:
        return cells
    plain = cells
    if dialect.between:
        plain = compute.replace_substring_regex(plain, dialect.between, "")
    plain = compute.replace_substring(plain, dialect.decimal, ".")
    foreign = _mask(are(_FOREIGN, cells))
    others = compute.if_else(foreign, "x", cells)
    return compute.if_else(_mask(are(f"^{dialect.pattern}$", cells)), plain, others)


def _mask(found: NDArray[np.bool_]) -> Any:
    import pyarrow as pa

    return pa.array(found)
