"""What a fit tells of columns that it takes otherwise than a caller may mean."""

from __future__ import annotations

import re
from typing import Any

from ancestral._checks.numbers import warn
from ancestral._checks.texts import AMOUNTS, DATES, LOCAL_DATES, conversion_of_dates
from ancestral.circuit.seen import SeenColumn

MOST_TOLD = 5  # columns by name
_DECIMAL_COMMA = re.compile(r",(?!\d{3}(?!\d))\d")


def of_left_out(labels: list[Any]) -> None:
    """Warn of columns that are left out as names or ids, if there are any."""
    if not labels:
        return
    them = "them" if len(labels) > 1 else "it"
    warn(
        f"{_named(labels)} {_are(labels)} left out: nearly every row has another text there, so it "
        f"tells nothing about other rows. Drop {them} before, or keep {them} by "
        f"column_types={_as_categorical(labels)}."
    )


def of_texts(columns: list[SeenColumn], left_out: list[Any]) -> None:
    """Warn of columns whose texts stand for dates, or for numbers with a unit, if there are any."""
    for meaning, what, mend in (
        (DATES, "dates written as text", _reads_dates),
        (LOCAL_DATES, "dates written as text", _converts_dates),
        (AMOUNTS, "numbers with a unit", _converts_amounts),
    ):
        held = [one for one in columns if one.meaning.startswith(meaning)]
        if not held:
            continue
        labels = [one.label for one in held]
        hold, have = ("hold", "have") if len(labels) > 1 else ("holds", "has")
        out = [label for label in labels if label in left_out]
        lost = f" Nearly every row has another one, so {_named(out)} {_are(out)} left out."
        warn(
            f"{_named(labels)} {hold} {what}, such as {held[0].first[0]!r}, which {have} no order "
            f"and no distance here.{lost * bool(out)} {mend(held[0])} If levels are meant, pass "
            f"column_types={_as_categorical(labels)}."
        )


def _reads_dates(column: SeenColumn) -> str:
    return (
        "Read them as dates: by ancestral.io.read_table(..., dates=True), parse_dates of pandas, "
        "or in parts ancestral.streaming.source_of_paths(..., "
        f"types={{{column.label!r}: 'date'}})."
    )


def _converts_dates(column: SeenColumn) -> str:
    return f"Convert them: {conversion_of_dates(column.label)}."


def _converts_amounts(column: SeenColumn) -> str:
    unit, example = column.meaning.removeprefix(AMOUNTS), str(column.first[0])
    side = "prefix" if example.startswith(unit) else "suffix"
    point = ".str.replace(',', '.')" * bool(_DECIMAL_COMMA.search(example))
    return (
        "Write the numbers alone, with a point for the decimals and no marks of thousands: in "
        f"pandas table[{column.label!r}].str.remove{side}({unit!r}){point}.astype(float)."
    )


def _are(labels: list[Any]) -> str:
    return "are" if len(labels) > 1 else "is"


def _named(labels: list[Any]) -> str:
    """Return columns by name, the first of many."""
    some = ", ".join(map(repr, labels[:MOST_TOLD])) + ", ..." * (len(labels) > MOST_TOLD)
    return f"column{'s' * (len(labels) > 1)} {some}"


def _as_categorical(labels: list[Any]) -> str:
    """Return what column_types says of columns that are categorical."""
    pairs = ", ".join(f'{label!r}: "categorical"' for label in labels[:MOST_TOLD])
    return f"{{{pairs}{', ...' * (len(labels) > MOST_TOLD)}}}"
