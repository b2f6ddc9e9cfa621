"""Which column beside the ends of links holds their weights: the same for every file and frame.

    weight=...      names it
    else            the first of WEIGHTS by which a column of numbers is called, capitals or not
    else            no column: every line is a link, and what may be meant otherwise is said

Columns are those of a table of links, or attributes of edges, a value for each link.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from ancestral._checks.missing import is_missing, is_missing_text
from ancestral.errors import DataError
from ancestral.io.attributes import ROW_NAMES
from ancestral.io.numbers import number_in

# Names of the column of weights, in small letters; of several the first.
WEIGHTS = ("weight", "weights", "value", "count", "strength", "frequency", "tie")

# What stands beside the ends of links in tables of theirs, and says nothing of whether they exist.
NO_WEIGHTS = frozenset({"type", "id", "label", "kind", "year", "date", "time", "timeset"})
NOT_KEPT = "weights are not kept: any but 0 is a link"  # said of weights other than 1
_TRUTH = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
_MOST_LISTED = 8


def weights_among(
    columns: Mapping[str, Sequence[Any]],
    asked: str | None,
    name: str,
    said: list[str],
    *,
    option: str | None = None,
) -> list[float] | None:
    """Return the weights of links, NaN where one is missing; None where no column holds them.

    Parameters
    ----------
    columns : mapping of str to sequence
        A value for each link.
    asked : str or None
        The column that the user named.
    name : str
        Of the file, for messages.
    said : list of str
        What is to be told is added to it.
    option : str, optional
        The user's own `weights=`, without which columns that may be weights are only told.

    Raises
    ------
    DataError
        When the column that was named is not there or holds words; when an option for weights was
        given, and no column is called by one of `WEIGHTS`, but one may hold them.
    """
    if asked is not None:
        return _named(columns, asked, name)
    low = {head: head.strip().lower() for head in columns}
    for word in WEIGHTS:
        for head in (head for head in columns if low[head] == word):
            found = numbers_in(columns[head])
            if found is not None:
                return found
            if word in WEIGHTS[:2] and (odd := _odd(columns[head])) is not None:
                raise DataError(_no_number(name, odd))
    others = _numeric(columns)
    doubtful = {head: held for head, held in others.items() if _may_weigh(held)}
    if others if option == "binarise" else doubtful if option is not None else None:
        raise DataError(
            f'{name}: weights="{option}" was given, and no column of numbers is called '
            f"{words_listed(WEIGHTS, 'or')}. Numbers are in {_listed(others)}: if one of these "
            f"says which lines are links, name it, as in weight={_first(doubtful or others)!r}; "
            "else leave weights= out."
        )
    if doubtful:
        one = len(doubtful) == 1
        said.append(
            f"{'the column' if one else 'the columns'} {_listed(doubtful)} "
            f"{_holding(doubtful, columns)}, and each line was read as a link: if "
            f"{'it' if one else 'one of them'} says which lines are links, name it, "
            f"{'' if one else 'as in '}weight={_first(doubtful)!r}"
        )
    words = [head for head in columns if low[head] in WEIGHTS and _odd(columns[head]) is not None]
    if words:
        said.append(
            f"the column {words[0]!r} holds words, such as {_short(_odd(columns[words[0]]))}, and "
            "each line was read as a link"
        )
    return None


def numbers_in(values: Sequence[Any]) -> list[float] | None:
    """Return values as numbers, NaN where missing; None where one is none, or all are missing.

    Examples
    --------
    >>> numbers_in(["1", "2,5", "NA"]), numbers_in(["yes", "1"]), numbers_in(["TRUE", "false"])
    ([1.0, 2.5, nan], None, [1.0, 0.0])
    >>> numbers_in(["yes", "no", ""])
    [1.0, 0.0, nan]
    """
    found = _each(_number, values) or _each(_truth, values)
    return found if any(v == v for v in found) else None


def _each(convert: Callable[[Any], float | None], values: Sequence[Any]) -> list[float]:
    """Return values converted; nothing where one cannot be, without a look at those after it."""
    found = []
    for value in values:
        number = value if type(value) is float else convert(value)
        if number is None:
            return []
        found.append(number)
    return found


def words_listed(words: Sequence[str], last: str) -> str:
    """Return words as a sentence lists them."""
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def _named(columns: Mapping[str, Sequence[Any]], asked: str, name: str) -> list[float]:
    """Return the numbers of the column that the user named."""
    if asked not in columns:
        numeric = _numeric(columns)
        there = f"they have numbers in {_listed(numeric)}" if numeric else "they have no numbers"
        mend = f"as in weight={_first(numeric)!r}" if numeric else "or leave weight= out"
        raise DataError(
            f"{name}: links have no column or attribute {asked!r}; {there}. Name the one that "
            f"holds the weights, {mend}."
        )
    found = numbers_in(columns[asked])
    if found is None:
        odd = _odd(columns[asked])
        if odd is None:  # a gap in every line
            return [float("nan")] * len(columns[asked])
        raise DataError(_no_number(name, odd, f" in {asked!r}"))
    return found


def _no_number(name: str, value: Any, where: str = "") -> str:
    return (
        f"{name}: a link has the weight {_short(value)}{where}, where a number is wanted: correct "
        "it, or leave the cell empty."
    )


def _number(value: Any) -> float | None:
    """Return a value as a number, NaN where it is missing; None for what is no number."""
    if isinstance(value, str):
        if is_missing_text(value):
            return float("nan")
        number = number_in(value)
        return number_in(value.replace(",", ".")) if number is None else number
    if type(value) is not int and is_missing(value):
        return float("nan")
    try:
        return float(value) if isinstance(value, int | Real | np.bool_) else None
    except OverflowError:
        return None


def _truth(value: Any) -> float | None:
    """Return true and yes as 1, false and no as 0."""
    if not isinstance(value, str):
        return float("nan") if is_missing(value) else None
    return float("nan") if is_missing_text(value) else _TRUTH.get(value.strip().lower())


def _odd(values: Sequence[Any]) -> Any:
    """Return the first value that is neither a number nor missing, if any."""
    return next((value for value in values if _number(value) is None), None)


def _numeric(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[float]]:
    """Return the columns of numbers that may be weights."""
    found = {
        head: numbers_in(values)
        for head, values in columns.items()
        if head.strip().lower() not in NO_WEIGHTS | ROW_NAMES
    }
    return {head: held for head, held in found.items() if held is not None}


def _may_weigh(held: Sequence[float]) -> bool:
    """Tell whether numbers may say which lines are links: they have a 0, or a gap."""
    return any(v == 0 or v != v for v in held)


def _holding(doubtful: Mapping[str, Sequence[float]], columns: Mapping[str, Sequence[Any]]) -> str:
    """Say what of columns makes them doubtful."""
    if len(doubtful) > 1:
        return "hold numbers with 0 or gaps"
    ((head, held),) = doubtful.items()
    answers = {
        v.strip() for v in columns[head] if isinstance(v, str) and v.strip().lower() in _TRUTH
    }
    no = min((word for word in answers if not _TRUTH[word.lower()]), default="0")
    zeros, gaps = sum(v == 0 for v in held), sum(v != v for v in held)
    parts = [f"{zeros} of {no}"] * bool(zeros) + [f"{gaps} gaps" if gaps > 1 else "a gap"] * bool(
        gaps
    )
    return f"holds {'answers' if answers else 'numbers'} with {' and '.join(parts)}"


def _listed(columns: Mapping[str, Any]) -> str:
    heads = [repr(head) for head in columns]
    more = ", ..." * (len(heads) > _MOST_LISTED)
    if more or len(heads) == 1:
        return ", ".join(heads[:_MOST_LISTED]) + more
    return words_listed(heads, "and")


def _first(columns: Mapping[str, Any]) -> str:
    return next(iter(columns))


def _short(value: Any) -> str:
    return repr(str(value)[:40])
