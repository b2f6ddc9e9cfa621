"""What is known of a row, as NAME=VALUE: levels by their text, numbers as numbers.

Models of mixed columns also take sets and ranges, in these words:

    "cut in Ideal,Premium"     one of some values; those with a comma in double quotes
    "price>10000"              also >=, < and <=; two of them make a range: "price<20000" beside it
    "day>=2024-01-31"          dates by ISO 8601
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click

from ancestral.cli.data import (
    entry_of,
)
from ancestral.cli.reading import Command
from ancestral.errors import DataError

given_option = click.option(
    "--given",
    multiple=True,
    metavar="NAME=VALUE",
    help="The known value of a column. Repeat for each known column. Columns "
    'without names have numbers from 0. A tree also takes "NAME in A,B", '
    '"NAME>LOW", "NAME<=HIGH".',
)
_MARKS = re.compile(r"\s*(>=|<=|=|>|<|in\s)(.*)", re.S)
_WORDS = 'NAME=VALUE, "NAME in A,B", "NAME>LOW" or "NAME<=HIGH"'


class Said(NamedTuple):
    """One --given: a column, how it is compared, and with what."""

    pair: str
    name: str
    mark: str
    text: str


def method_options(*, n_particles: str) -> Callable[[Command], Command]:
    """Return what adds the options of queries that may be sampled instead of summed."""

    def add(command: Command) -> Command:
        command = click.option(
            "--n-particles", type=click.IntRange(min=1), help=f"With smc: {n_particles}"
        )(command)
        return click.option(
            "--method",
            type=click.Choice(["exact", "smc"]),
            help="exact, or smc (weighted particles), if exact is refused.  [default: exact]",
        )(command)

    return add


def given_of(model: Any, pairs: Sequence[str]) -> dict[Any, Any] | None:
    """Return what is known of a row by name, or by number in models without names.

    Raises
    ------
    click.UsageError
        For what is none of the forms, or a name given twice.
    DataError
        For a name that the model does not have, or a value of another kind than the column's.
    """
    if not pairs:
        return None
    names = getattr(model, "feature_names_in_", None)
    labels = [str(k) for k in range(model.n_features_in_)] if names is None else [*map(str, names)]
    said: dict[str, list[Said]] = {}
    for pair in pairs:
        one = _split(pair, labels)
        if one.name not in labels:
            known = ", ".join(labels[:20]) + (", ..." if len(labels) > 20 else "")
            raise DataError(
                f"--given {pair}: {one.name!r} is no column of the model; it has {known}."
            )
        said.setdefault(one.name, []).append(one)
    found: dict[Any, Any] = {}
    is_mixed = entry_of(model).face == "mixed"
    for name, conditions in said.items():
        place = labels.index(name)
        if is_mixed:
            value = _condition(_column_of(model, place, conditions[0].pair), conditions)
        else:
            value = _value(model, place, *_only_value(model, conditions))
        found[place if names is None else name] = value
    return found


def _split(pair: str, labels: list[str]) -> Said:
    """Return the parts of a condition; the longest name that fits, where names hold "=" or ">"."""
    for name in sorted(labels, key=len, reverse=True):
        if pair.startswith(name) and (rest := _MARKS.fullmatch(pair[len(name) :])):
            return Said(pair, name, rest[1].strip(), rest[2])
    parts = re.fullmatch(r"(.*?)\s*(>=|<=|=|>|<|\sin\s)(.*)", pair, re.S)
    if parts is None or not parts[1].strip():
        raise click.UsageError(f"--given is {_WORDS}, as in --given {labels[0]}=1; got {pair!r}.")
    return Said(pair, parts[1].strip(), parts[2].strip(), parts[3])


def _only_value(model: Any, conditions: list[Said]) -> tuple[str, str]:
    """Return the one value of a column, and the words it was given in."""
    first, *others = conditions
    if others:
        raise click.UsageError(f"--given names {first.name!r} more than once: give one value.")
    if first.mark != "=":
        raise click.UsageError(
            f"--given {first.pair}: {type(model).__name__} takes NAME=VALUE alone; sets and ranges "
            "are for LatentTree (ancestral fit tree)."
        )
    return first.text, first.pair


# ---- values, sets and ranges of mixed columns ----------------------------------------------------


def _column_of(model: Any, place: int, pair: str) -> dict[str, Any]:
    """Return what a model of mixed columns knows of one; refuse one that it leaves out."""
    for column in model.columns_:
        if column["place"] == place:
            found: dict[str, Any] = column
            return found
    raise DataError(
        f"--given {pair}: that column was left out of the model, as names or ids: nothing depends "
        "on it."
    )


def _has_levels(column: dict[str, Any]) -> bool:
    return column["kind"] in ("categorical", "binary")


def _condition(column: dict[str, Any], conditions: list[Said]) -> Any:
    """Return a value, a set of values, or a range (low, high) with None where it has no end."""
    ends = [one for one in conditions if one.mark not in ("=", "in")]
    first = conditions[0]
    if len(ends) < len(conditions):
        if len(conditions) > 1:
            raise click.UsageError(
                f"--given names {first.name!r} more than once: give one value, one set, or the two "
                "ends of a range."
            )
        if first.mark == "=":
            return _mixed_value(column, first.text, first.pair)
        return {_mixed_value(column, text, first.pair) for text in _listed(first)}
    if len({one.mark[0] for one in ends}) < len(ends):
        raise click.UsageError(
            f"--given names one end of {first.name!r} twice: give one lower and one upper end."
        )
    low, high = None, None
    for one in ends:
        end = _end(column, one)
        low, high = (end, high) if one.mark[0] == ">" else (low, end)
    return low, high


def _listed(one: Said) -> list[str]:
    """Return the values of a set."""
    try:
        texts = next(csv.reader([one.text.strip()], skipinitialspace=True), [])
    except csv.Error:
        texts = []
    if not texts:
        raise click.UsageError(
            f'--given {one.pair}: name some values after "in", as in {one.name} in A,B.'
        )
    return texts


def _end(column: dict[str, Any], one: Said) -> Any:
    """Return an end of a range, which belongs to it: the next value beside one that does not."""
    if _has_levels(column) and column["of"] != "number":
        raise DataError(
            f"--given {one.pair}: the levels of that column have no order: give some of them, as "
            f"in {one.name} in {_some(column['levels'].tolist())}."
        )
    value = _plain(column["of"], one.text, one.pair)
    if one.mark in (">=", "<="):
        return value
    up = one.mark == ">"
    if column["of"] == "number":
        if column["kind"] == "count":
            return math.floor(value) + 1 if up else math.ceil(value) - 1
        return math.nextafter(value, math.inf if up else -math.inf)
    import datetime as dt

    return value + dt.timedelta(microseconds=1 if up else -1)


def _mixed_value(column: dict[str, Any], text: str, pair: str) -> Any:
    """Return a value as a mixed column has it."""
    if _has_levels(column):
        return _level(column["levels"].tolist(), text, pair)
    return _plain(column["of"], text, pair)


def _plain(of: str, text: str, pair: str) -> Any:
    """Return a number, a date, or a duration in days."""
    from ancestral._checks.dates import date_in
    from ancestral.io.numbers import number_in

    if of == "date":
        moment = date_in(text)
        if moment is None:
            raise DataError(
                f"--given {pair}: {text.strip()!r} is no date: write it as in 2024-01-31 or "
                '"2024-01-31 18:30:00".'
            )
        return moment
    number = number_in(text)
    if number is None:
        held = "durations, in days" if of == "duration" else "numbers"
        raise DataError(
            f"--given {pair}: {text.strip()!r} is no number, and the column holds {held}."
        )
    if of == "duration":
        import datetime as dt

        return dt.timedelta(days=number)
    return number


# ---- values of other models ----------------------------------------------------------------------


def _value(model: Any, place: int, value: str, pair: str) -> Any:
    """Return a value as the column has it: one of its levels, or a number."""
    if not hasattr(model, "categories_"):
        return _plain("number", value, pair)
    return _level(model.categories_[place].tolist(), value, pair)


def _level(levels: list[Any], value: str, pair: str) -> Any:
    """Return the level that a text stands for."""
    from ancestral._checks.missing import is_missing_text
    from ancestral.io.numbers import number_in

    text, number = value.strip(), number_in(value)
    if is_missing_text(value) and None in levels:
        return None
    for level in levels:
        if value == level or text == str(level):
            return level
        if isinstance(level, bool) and text.lower() == str(level).lower():
            return level
        if number is not None and not isinstance(level, str | None) and number == level:
            return level
    raise DataError(f"--given {pair}: {text!r} is no level of that column; it has {_some(levels)}.")


def _some(levels: list[Any]) -> str:
    return ", ".join(map(str, levels[:20])) + (", ..." if len(levels) > 20 else "")
