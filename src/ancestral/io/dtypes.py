"""The element types a file may hold: booleans, integers and floats up to eight bytes.

Files spell a type as text ("<f8", "|b1"); it is matched against a pattern and never handed to
numpy's own parser, which also knows objects, records and commas.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import DataTypeError, FormatError

_PATTERN = re.compile(r"([<>=|]?)([A-Za-z?])(\d*)(\[.*\])?")
MAX_CHARACTERS = 1_000
_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}
_NAMES = {
    "O": "object dtype: save as float64, or as .npz with one array per graph",
    "c": "complex numbers: save the real part, or the modulus",
    "M": "dates (datetime64): convert them to numbers",
    "m": "durations (timedelta64): convert them to numbers",
    "U": "text (unicode dtype): convert it to numbers",
    "S": "text (bytes dtype): convert it to numbers",
    "a": "text (bytes dtype): convert it to numbers",
    "V": "a structured or void dtype: save its fields as columns of one float64 array",
}


def parse_dtype(text: Any, name: str) -> np.dtype:
    """Return the dtype spelt by a file.

    Raises
    ------
    DataTypeError
        For objects, complex numbers, dates, text, records and long doubles, by name.
    FormatError
        For anything that is no dtype.
    """
    if isinstance(text, list | tuple | dict):
        raise DataTypeError(f"{name}: holds {_NAMES['V']}.")
    match = _PATTERN.fullmatch(text) if isinstance(text, str) and len(text) < 32 else None
    if match is None:
        raise FormatError(f"{name}: {str(text)[:40]!r} is not a dtype: the header is damaged.")
    order, kind, size = match[1], match[2], match[3]
    if kind in _NAMES:
        raise DataTypeError(f"{name}: holds {_NAMES[kind]}.")
    if kind == "f" and size in ("12", "16"):
        raise DataTypeError(f"{name}: holds long doubles (f{size}): save with .astype(np.float64).")
    if kind not in _SIZES or not size or int(size) not in _SIZES[kind]:
        raise FormatError(f"{name}: {text!r} is not a numeric dtype: the header is damaged.")
    return np.dtype(f"{order if order in '<>' else ''}{kind}{size}")


def parse_dtype_or_text(text: Any, name: str) -> np.dtype:
    """Return the dtype spelt by a file, which may be unicode text of up to 1,000 characters."""
    match = re.fullmatch(r"[<>]U(\d{1,4})", text) if isinstance(text, str) else None
    if match is None or not 0 < int(match[1]) <= MAX_CHARACTERS:
        return parse_dtype(text, name)
    return np.dtype(text)


def count_cells(shape: Any, name: str) -> int:
    """Return the number of cells of a shape (a tuple of ints, 0 or more each)."""
    good = isinstance(shape, tuple) and len(shape) <= 32
    if not good or any(type(n) is not int or not 0 <= n < 1 << 62 for n in shape):
        raise FormatError(f"{name}: impossible shape {str(shape)[:60]}: the header is damaged.")
    if math.prod(n for n in shape if n) >= 1 << 50:  # numpy makes no such array, not even empty
        raise FormatError(f"{name}: impossible shape {str(shape)[:60]}: no file holds so much.")
    return math.prod(shape)


def to_native(array: NDArray) -> NDArray:
    """Return the array in this machine's byte order (itself where it already is)."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
