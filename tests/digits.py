"""How a shown result is compared with what the code gives: shown digits are the rounded ones.

An example may show fewer digits than Python prints. Each number with a decimal point or an exponent
must lie within half a unit of its last shown digit of the number that the code gives, and a little
more: a tie may round either way on another processor.
"""

from __future__ import annotations

import doctest
import re

NUMBER = re.compile(r"[+-]?(?:\d*\.\d+|\d+\.)(?:[Ee][+-]?\d+)?|[+-]?\d+[Ee][+-]?\d+")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
UNITS = 0.55


class ShownDigits(doctest.OutputChecker):
    """Compares as doctest does, but numbers only in the digits that are shown."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return super().check_output(want, got, optionflags) or super().check_output(
            want, as_shown(want, got), optionflags
        )


def as_shown(want: str, got: str) -> str:
    """Return `got`, in which each number that rounds to the one in `want` is written like it."""
    shown, given = NUMBER.findall(want), NUMBER.findall(got)
    if len(shown) != len(given):
        return got
    pairs = iter(zip(shown, given))
    return NUMBER.sub(lambda _: _closer(*next(pairs)), got)


def _closer(shown: str, given: str) -> str:
    mantissa, _, exponent = shown.lower().partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return shown if abs(float(shown) - float(given)) <= UNITS * unit else given
