"""Of which columns of a table nothing can be learnt."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from ancestral.circuit.columns import are_names


def left_out(frame: Any) -> dict[Hashable, str]:
    """Return the columns that no model here learns of, and why: "is empty", "names the rows".

    Parameters
    ----------
    frame : pandas.DataFrame

    Returns
    -------
    dict of str
        By the column's name.
    """
    from pandas.api.types import is_object_dtype, is_string_dtype

    found: dict[Hashable, str] = {}
    for name, column in frame.items():
        n = int(column.count())
        if not n:
            found[name] = "is empty"
        elif (is_string_dtype(column) or is_object_dtype(column)) and are_names(
            column.nunique(), n
        ):
            found[name] = "names the rows"
    return found


def in_words(why: Mapping[Hashable, str]) -> str:
    """Return "“id” names the rows, “x” is empty"; of many the first three."""
    said = [f"“{name}” {reason}" for name, reason in why.items()]
    more = [f"and {len(said) - 3} more"] if len(said) > 3 else []
    return ", ".join([*said[:3], *more])
