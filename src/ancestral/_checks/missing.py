"""What is missing: one list, for all that is handed over in memory and all that files hold.

In memory: None, NaN of every width, pandas' NA and NaT, numpy's NaT, what is masked, a null of
Arrow or polars. In files: NA, NaN, null, N/A, in capitals or not, and the empty cell. Nothing else
is: "none", "?" and "-" are text, and so is "NA" in a text column that is handed over in memory,
where its library has words of its own for a gap.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Cells of files that hold nothing, without the blanks around them and in small letters.
MISSING_TEXT = frozenset({"", "na", "nan", "null", "n/a"})
_NEVER = frozenset({str, bytes, bool, int, np.str_, np.bool_, np.int64})
_PANDAS = ("NAType", "NaTType")


def is_missing(value: Any) -> bool:
    """Tell whether one value in memory is missing.

    Examples
    --------
    >>> [is_missing(v) for v in (None, np.float16("nan"), np.datetime64("NaT"), np.ma.masked)]
    [True, True, True, True]
    >>> [is_missing(v) for v in (0, "", "NA", float("inf"), [])]
    [False, False, False, False, False]
    """
    if value is None or value is np.ma.masked:
        return True
    kind = type(value)
    if kind in _NEVER:
        return False
    if isinstance(value, float | complex | np.inexact | np.datetime64 | np.timedelta64):
        return bool(value != value)
    if isinstance(value, Decimal):
        return value.is_nan()
    if kind.__name__ in _PANDAS:  # told by name: pandas need not be installed
        return kind.__module__.startswith("pandas.")
    return kind.__module__ == "pyarrow.lib" and getattr(value, "is_valid", True) is False


def is_missing_text(cell: str) -> bool:
    """Tell whether a cell of a file is missing; blanks around it and capitals count for nothing.

    Examples
    --------
    >>> [is_missing_text(cell) for cell in ("", " NA", "NaN", "null", "n/a", "none", "0")]
    [True, True, True, True, True, False, False]
    """
    return cell.strip().lower() in MISSING_TEXT


def missing_mask(values: Any) -> NDArray[np.bool_]:
    """Return where an array, or a list of values in memory, is missing; of the array's shape.

    Examples
    --------
    >>> missing_mask(np.array([[1, None], ["NA", float("nan")]], dtype=object))
    array([[False,  True],
           [False,  True]])
    """
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.getmaskarray(values) | missing_mask(np.ma.getdata(values))
    if not isinstance(values, np.ndarray):
        held = list(values)
        values = np.empty(len(held), dtype=object)
        values[:] = held
    kind = values.dtype.kind
    if kind in "fcmM":
        return np.asarray(values != values)
    if kind not in "OT":  # numbers, text, records
        return np.zeros(values.shape, dtype=bool)
    # Most columns of objects hold nothing that could be missing: their types alone say so.
    if _NEVER.issuperset(map(type, values.flat)):
        return np.zeros(values.shape, dtype=bool)
    gaps = np.fromiter(map(is_missing, values.flat), bool, values.size)
    return gaps.reshape(values.shape)


def seen_missing(value: Any) -> str:
    """Return what a missing value is called in messages: NaN, after its own word if it has one."""
    kind = type(value).__name__
    word = {"NoneType": "None", "NAType": "NA", "NaTType": "NaT"}.get(kind)
    return "NaN" if word is None else f"{word} (NaN)"
