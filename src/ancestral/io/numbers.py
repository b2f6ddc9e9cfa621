"""The one rule for numbers that a file spells as text, in tables and in the attributes of nodes.

ASCII digits, one point for the decimals, an exponent; blanks around them count for nothing. What
Python reads beyond that is text here: underscores, digits of other scripts, inf and nan.
"""

from __future__ import annotations

import re

from ancestral._checks.containers import EXACT

_NUMBER = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_WHOLE = re.compile(r"\s*[+-]?0*(\d+)(?:\.0*)?\s*", re.ASCII)


def number_in(text: str) -> float | None:
    """Return the number that a text spells, infinite where it is too large; None for none.

    Examples
    --------
    >>> [number_in(text) for text in (" -1.5e3", "1_000", "١", "nan", "1,5")]
    [-1500.0, None, None, None, None]
    """
    return float(text) if is_plain(text) else None


def is_plain(text: str) -> bool:
    """Tell whether a text spells a number as all files may."""
    return _NUMBER.fullmatch(text) is not None


def is_infinite(text: str) -> bool:
    """Tell whether a text spells infinity."""
    return text.strip().lower().lstrip("+-") in ("inf", "infinity")


def is_rounded(text: str) -> bool:
    """Tell whether a text spells a whole number beyond 2**53, where float64 rounds them.

    A number with an exponent is a size, which was rounded when it was written.

    Examples
    --------
    >>> [is_rounded(text) for text in ("9007199254740992", "-9007199254740993.0", "1e300")]
    [False, True, False]
    """
    match = _WHOLE.fullmatch(text)
    return match is not None and (len(match[1]) > 16 or int(match[1]) > EXACT)
