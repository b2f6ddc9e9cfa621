"""Tables of links, of nodes and of adjacencies as text, whatever marks their cells.

Where nobody says how cells are spelt, the first lines tell: tabs, semicolons, commas or bars, or,
where links may stand so, blanks. Lines before the table that begin with # or % are comments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ancestral.errors import FormatError
from ancestral.io.csv import parse_cells
from ancestral.io.dialect import Dialect
from ancestral.io.kinds import recognise
from ancestral.io.sources import PathLike, Source

LOOKED_AT = 1 << 16  # bytes, for the mark between cells
Marks = tuple[str | None, str | None, str | None, str]


def table_of(
    path: PathLike, max_bytes: int, marks: Marks, *, blanks: bool = False
) -> tuple[list[str], list[tuple[int, list[str]]], Dialect]:
    """Return the first line of a table of text, number and cells of the others, and its dialect."""
    sep, decimal, thousands, encoding = marks
    chosen = Dialect(sep or ",", decimal or ("." if sep != "." else ","), thousands, encoding)
    with Source(path, max_bytes=max_bytes) as source:
        recognise(source, ("text",), is_text="encoding" in chosen.chosen)
        raw, name = source.read_all(), source.name
    return table_in(raw, name, marks, blanks=blanks)


def table_in(
    raw: bytes, name: str, marks: Marks = (None, None, None, "utf-8"), *, blanks: bool = False
) -> tuple[list[str], list[tuple[int, list[str]]], Dialect]:
    """Return the same of bytes; with `blanks`, cells may stand between blanks."""
    sep, decimal, thousands, encoding = marks
    plain = Dialect(sep or ",", decimal or ("." if sep != "." else ","), thousands, encoding)
    raw = _without_comments(plain.as_utf8(raw, name))
    if sep is None:
        sep = _mark_between(raw, blanks=blanks)
        if sep == " ":
            raw = re.sub(rb"(?m)[ \t]*\{[^\r\n]*\}[ \t]*$", b"", raw)  # as networkx writes data
            raw = re.sub(rb"(?m)^ +| +$", b"", re.sub(rb"[ \t]+", b" ", raw))
    (_, first), *rows = parse_cells(raw, name, Dialect(sep, decimal or _other(sep), None))
    if decimal is None:
        decimal = "," if sep == ";" and _has_commas(rows) else "."
    if _has_row_names(first, rows):
        first = ["", *first]
    for line, cells in rows:
        if len(cells) != len(first):
            raise FormatError(
                f"{name}: line {line} has {len(cells)} cells where the first has {len(first)}."
            )
    return first, rows, Dialect(sep, decimal, thousands)


def _has_row_names(first: list[str], rows: Sequence[tuple[int, list[str]]]) -> bool:
    """Tell whether lines but the first begin with their number or a column's name, as R writes."""
    if not rows or any(len(cells) != len(first) + 1 for _, cells in rows):
        return False
    names = [cells[0] for _, cells in rows]
    return names == [str(k + 1) for k in range(len(rows))] or {*names} == {*first}


def _other(sep: str) -> str:
    """Return a mark for decimals that is not the one between cells."""
    return "," if sep == "." else "."


def _without_comments(raw: bytes) -> bytes:
    """Return text whose first lines, where they begin with # or %, are blank."""
    kept: list[bytes] = []
    while (match := re.match(rb"[ \t]*[#%][^\r\n]*(\r\n|\r|\n)", raw)) is not None:
        kept.append(match[1])
        raw = raw[match.end() :]
    return b"".join(kept) + raw if kept else raw


def _mark_between(raw: bytes, *, blanks: bool) -> str:
    """Return the mark that stands equally often in the first lines, or a comma."""
    text = raw[:LOOKED_AT].decode("utf-8", "replace")
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    if len(raw) > LOOKED_AT:
        lines = lines[:-1] or lines  # the last may be cut
    lines = [re.sub(r'"[^"]*"', "x", line) for line in lines]
    for mark in "\t;,|":
        counts = {line.count(mark) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return mark
    if blanks:
        plain = [re.sub(r"\{.*\}\s*$", "", line) for line in lines]
        words = [len(line.split()) for line in plain]
        if len({*words}) == 1 and words[0] > 1:
            return " "
        if len({*words[1:]}) == 1 and words[1] == words[0] + 1:  # as R writes
            return " "
    return max("\t;,", key=lambda mark: (sum(line.count(mark) for line in lines), mark == ","))


def _has_commas(rows: Sequence[tuple[int, list[str]]]) -> bool:
    """Tell whether numbers have a comma before their decimals, and none a point."""
    cells = [cell for _, line in rows for cell in line]
    point = any(re.fullmatch(r"[+-]?\d*\.\d+", cell) for cell in cells)
    return not point and any(re.fullmatch(r"[+-]?\d*,\d+", cell) for cell in cells)
