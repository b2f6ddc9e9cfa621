"""Arrays for the page: base64 of little-endian numbers, inside JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ancestral._checks.numbers import finite

DTYPES = ("float32", "float64", "uint8", "int16", "int32")


def packed(values: ArrayLike, dtype: str = "float32") -> dict[str, Any]:
    """Return an array as the page reads it.

    Parameters
    ----------
    values : array-like
    dtype : {"float32", "float64", "uint8", "int16", "int32"}
        float32 keeps 7 digits, in half the room.

    Returns
    -------
    dict
        "dtype", "shape" and "base64" (C order, little-endian).
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}.")
    array = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
    return {
        "dtype": dtype,
        "shape": list(np.shape(values)),
        "base64": base64.b64encode(array.tobytes()).decode("ascii"),
    }


def to_json(document: Any) -> str:
    """Return a document as JSON; null for NaN and infinity, which JSON cannot say."""
    return json.dumps(finite(document), ensure_ascii=False, allow_nan=False)
