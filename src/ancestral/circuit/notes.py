"""What a fit tells of columns that it takes otherwise than a caller may mean."""

from __future__ import annotations

from typing import Any

from ancestral._checks.numbers import warn
from ancestral._checks.texts import AMOUNTS, DATES, LOCAL_DATES, conversion_of_dates
from ancestral.circuit.seen import SeenColumn

MOST_TOLD = 5  # columns by name


def of_left_out(labels: list[Any]) -> None:
    """Warn of columns that are left out as names or ids, if there are any."""
    if not labels:
        return
    are, them = ("are", "them") if len(labels) > 1 else ("is", "it")
    warn(
        f"{_named(labels)} {are} left out: nearly every row has another text there, so it tells "
        f"nothing about other rows. Drop {them} before, or keep {them} by "
        f"column_types={_as_categorical(labels)}."
    )


def of_texts(columns: list[SeenColumn]) -> None:
    """Warn of columns whose texts stand for dates, or for numbers with a unit, if there are any."""
    _of_dates([one.label for one in columns if one.meaning == DATES])
    _of_local_dates([one for one in columns if one.meaning == LOCAL_DATES])
    _of_amounts([one for one in columns if one.meaning.startswith(AMOUNTS)])


def _of_dates(labels: list[Any]) -> None:
    if not labels:
        return
    hold, have, them = ("hold", "have", "them") if len(labels) > 1 else ("holds", "has", "it")
    warn(
        f"{_named(labels)} {hold} dates written as text, which {have} no order and no distance "
        f"here. Read {them} as dates: by ancestral.io.read_table(..., dates=True), parse_dates of "
        "pandas, or in parts ancestral.streaming.source_of_paths(..., "
        f"types={{{labels[0]!r}: 'date'}}). If levels are meant, pass "
        f"column_types={_as_categorical(labels)}."
    )


def _of_local_dates(columns: list[SeenColumn]) -> None:
    if not columns:
        return
    labels = [one.label for one in columns]
    hold, have, them = ("hold", "have", "them") if len(labels) > 1 else ("holds", "has", "it")
    warn(
        f"{_named(labels)} {hold} dates written as text, such as {columns[0].first[0]!r}, which "
        f"{have} no order and no distance here. Convert {them}: "
        f"{conversion_of_dates(labels[0])}. If levels are meant, pass "
        f"column_types={_as_categorical(labels)}."
    )


def _of_amounts(columns: list[SeenColumn]) -> None:
    if not columns:
        return
    labels = [one.label for one in columns]
    hold, have = ("hold", "have") if len(labels) > 1 else ("holds", "has")
    unit = columns[0].meaning.removeprefix(AMOUNTS)
    example = str(columns[0].first[0])
    side = "prefix" if example.startswith(unit) else "suffix"
    warn(
        f"{_named(labels)} {hold} numbers with a unit, such as {example!r}, which are text and "
        f"{have} no order here. Write the numbers alone, with a point for the decimals and no "
        f"marks of thousands: in pandas "
        f"table[{labels[0]!r}].str.remove{side}({unit!r}).astype(float). If levels are meant, pass "
        f"column_types={_as_categorical(labels)}."
    )


def _named(labels: list[Any]) -> str:
    """Return columns by name, the first of many."""
    some = ", ".join(map(repr, labels[:MOST_TOLD])) + ", ..." * (len(labels) > MOST_TOLD)
    return f"column{'s' * (len(labels) > 1)} {some}"


def _as_categorical(labels: list[Any]) -> str:
    """Return what column_types says of columns that are categorical."""
    pairs = ", ".join(f'{label!r}: "categorical"' for label in labels[:MOST_TOLD])
    return f"{{{pairs}{', ...' * (len(labels) > MOST_TOLD)}}}"
