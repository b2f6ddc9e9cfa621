"""Comma-separated numbers: UTF-8, a point for the decimals, a header line or none.

Nothing is guessed that could be guessed wrongly: no widths, no other separators, no thousands
marks. Lines are read by blocks, the fast way by numpy's C parser. A block that it refuses is read
again: by cells, since quoted and missing ones are in order; and where that fails one by one, so
that the message can name the line, the column and the cell.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from math import isinf

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.containers import EXACT
from ancestral._checks.missing import is_missing_text
from ancestral._checks.numbers import warn
from ancestral.errors import DataError, FormatError
from ancestral.io.files import as_size
from ancestral.io.numbers import is_infinite, is_rounded, number_in

_MAX_LINE = 4 << 20
_BLOCK = 1 << 16  # cells that are parsed at a time
_GAP, _GAPS = float("nan"), frozenset({"", "NA", "NaN", "nan", "NULL", "null", "N/A", "n/a"})
_SIGNED_NAN = re.compile("[+-]nan", re.IGNORECASE)
_CONTROL = bytes(k for k in (*range(32), 127) if k not in b"\t\n\v\f\r")
_INDEX_NAMES = ("", "Unnamed: 0")


def parse_csv(
    raw: bytes, name: str, *, missing: bool, max_bytes: int | None = None
) -> tuple[list[str], NDArray[np.float64]]:
    """Return the column names (x0, x1, ... without a header) and the numbers.

    Text that was expanded is refused where its numbers would take more than `max_bytes`.

    Raises
    ------
    FormatError
        When the bytes are not comma-separated UTF-8 text, or a line is ragged.
    DataError
        When a cell is no finite number, or is missing without `missing`.
    """
    cells = 1 + sum(map(raw.count, (b",", b"\n", b"\r")))
    if max_bytes is not None and 8 * cells > max_bytes:
        raise FormatError(
            f"{name}: expands to {as_size(8 * cells)} of numbers > max_bytes "
            f"{as_size(max_bytes)}; pass max_bytes= if you trust it."
        )
    text = _Text(raw, name)
    line, first = _first_cells(text)
    header = _is_header(first, text)
    if header:
        refuse_duplicates(first, name)
    names = first if header else [f"x{j}" for j in range(len(first))]
    rows = _numbers_of(text, names, after=line if header else 0, missing=missing)
    if len(rows) == 0:
        raise DataError(f"{name}: holds a header line and no rows of numbers.")
    if not header:
        _warn_of_no_header(rows, name)
        return names, rows
    return _drop_index(names, rows, name)


def parse_cells(raw: bytes, name: str) -> list[tuple[int, list[str]]]:
    """Return line number and cells, stripped, of every line of comma-separated text.

    Raises
    ------
    FormatError
        When the bytes are not comma-separated UTF-8 text.
    DataError
        When there is no line but blank ones.
    """
    text = _Text(raw, name)
    _first_cells(text)
    return [(line, [cell.strip() for cell in cells]) for line, cells in text.rows()]


class _Text:
    """Decoded text that can be read from its start again and again."""

    def __init__(self, raw: bytes, name: str) -> None:
        self.name = name
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise FormatError(f"{name}: is UTF-16 text: save it as UTF-8.")
        if len(raw.translate(None, _CONTROL)) < len(raw):  # far quicker than to search for them
            place = min(at for at in map(raw.find, _CONTROL) if at >= 0)
            what = f"the control character 0x{raw[place]:02x}" if raw[place] else "a NUL byte"
            raise FormatError(
                f"{name}: holds {what} on line {_line_of(raw, place)}: "
                "it is damaged, or not a text file (UTF-16?). Save it as UTF-8."
            )
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(
                f"{name}: byte 0x{raw[error.start]:02x} on line {_line_of(raw, error.start)} is "
                "not UTF-8 (latin-1?): save it as UTF-8."
            ) from None
        _refuse_long_line(raw, name)
        self._raw = raw

    def lines(self) -> io.TextIOWrapper:
        """Return the lines, ends of any system made newlines, a byte-order mark dropped."""
        return io.TextIOWrapper(io.BytesIO(self._raw), encoding="utf-8-sig", newline=None)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Give line number (from 1) and cells of every line that is not blank."""
        return _rows(self.lines(), self.name)


def _rows(lines: Iterable[str], name: str, before: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Give line number and cells of every line that is not blank, so many lines before them."""
    reader = csv.reader(lines, strict=True)
    try:
        for cells in reader:
            if cells and (len(cells) > 1 or cells[0].strip()):
                yield before + reader.line_num, cells
    except csv.Error as error:
        raise FormatError(
            f"{name}: line {before + reader.line_num}: {error}; mend its quotes."
        ) from None


def _refuse_long_line(raw: bytes, name: str) -> None:
    """Refuse a line that, cell by cell, would take many times its own memory."""
    start = 0
    while len(raw) - start > _MAX_LINE:
        end = max(raw.rfind(mark, start, start + _MAX_LINE) for mark in (b"\n", b"\r"))
        if end < 0:
            raise FormatError(
                f"{name}: line {_line_of(raw, start)} is longer than {as_size(_MAX_LINE)}: "
                "save so wide a table as .npy."
            )
        start = end + 1


def _line_of(raw: bytes, at: int) -> int:
    return raw.count(b"\n", 0, at) + 1


def _first_cells(text: _Text) -> tuple[int, list[str]]:
    """Return number and cells of the first line that has any; refuse other separators."""
    head = [line for line, _ in zip((li for li in text.lines() if li.strip()), range(5))]
    if not head:
        raise DataError(f"{text.name}: holds only blank lines.")
    for mark, words in ((";", "';'"), ("\t", "tab"), ("|", "'|'")):
        if all(mark in line for line in head):
            decimal = ", decimal=','" if mark == ";" and any("," in line for line in head) else ""
            raise FormatError(
                f"{text.name}: looks {words}-separated (sep={mark!r}{decimal}): "
                "save it comma-separated, with a point for the decimals."
            )
    line, cells = next(text.rows())
    if len(cells) == 1 and all(len(line.split()) > 1 for line in head):
        raise FormatError(
            f"{text.name}: looks separated by spaces, or of fixed width, which is never guessed: "
            "save it comma-separated."
        )
    return line, [cell.strip() for cell in cells]


def _is_header(cells: list[str], text: _Text) -> bool:
    """Tell a line of names from a line of numbers; a mixture is refused."""
    wordy = [number_in(cell) is None and not is_missing_text(cell) for cell in cells]
    if all(w or cell == "" for w, cell in zip(wordy, cells)) and any(wordy):
        return True
    if cells[0] == "" and cells[1:] == [str(j) for j in range(len(cells) - 1)]:
        return True  # pandas numbers the columns of an unnamed table
    if not any(wordy):
        return False
    number = next((c for c, w in zip(cells, wordy) if not w), "")
    raise DataError(
        f"{text.name}: line 1 mixes text ({cells[wordy.index(True)]!r}) and numbers ({number!r}): "
        "give every column a name, or none."
    )


def refuse_duplicates(names: list[str], name: str) -> None:
    """Raise FormatError when two columns of a file have one name."""
    seen: dict[str, int] = {}
    for j, column in enumerate(names):
        if column in seen:
            raise FormatError(
                f"{name}: columns {seen[column] + 1} and {j + 1} are both named {column!r}: "
                "rename one."
            )
        seen[column] = j


def _numbers_of(text: _Text, names: list[str], *, after: int, missing: bool) -> NDArray[np.float64]:
    """Return the numbers of all lines but the first `after`, one block of lines after another."""
    values = array("d")
    for number, lines in _blocks(text, max(1, _BLOCK // len(names)), after):
        rows = _parse_fast(lines, len(names))
        if rows is None:
            rows = _parse_cells(lines, len(names), missing=missing)
        if rows is None:
            rows = _parse_slowly(lines, number, names, text.name, missing=missing)
        values.frombytes(rows.tobytes())
    return np.frombuffer(values, dtype=np.float64).reshape(-1, len(names))


def _blocks(text: _Text, height: int, after: int) -> Iterator[tuple[int, list[str]]]:
    """Give lines by so many, with the number of lines before them; no quoted cell is cut."""
    lines = text.lines()
    number = sum(1 for _ in islice(lines, after))
    while block := list(islice(lines, height)):
        while sum(line.count('"') for line in block) % 2 and (more := list(islice(lines, height))):
            block += more
        yield number, block
        number += len(block)


def _parse_fast(lines: list[str], width: int) -> NDArray[np.float64] | None:
    """Return the numbers by numpy's parser, or None where anything is unusual."""
    lines = [line for line in lines if line.strip()]
    if not lines:
        return np.empty((0, width))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = np.loadtxt(lines, delimiter=",", comments=None, ndmin=2)
    except (ValueError, TypeError):
        return None
    return rows if rows.shape[1] == width and _is_plain(rows) else None


def _parse_cells(lines: list[str], width: int, *, missing: bool) -> NDArray[np.float64] | None:
    """Return the numbers of quoted or missing cells, too, or None where a cell is neither."""
    try:
        rows = [row for _, row in _rows(lines, "")]
        if any(len(row) != width for row in rows):
            return None
        cells = [cell for row in rows for cell in row]
        read = "".join(cells)
        if "_" in read or not read.isascii():  # which Python would read as numbers
            return None
        values = np.array([_GAP if cell in _GAPS else float(cell) for cell in cells])
    except (ValueError, FormatError):
        return None
    gaps = np.isnan(values)
    if gaps.any() and (not missing or _SIGNED_NAN.search(read)):
        return None
    return values.reshape(-1, width) if _is_plain(values[~gaps]) else None


def _is_plain(values: NDArray[np.float64]) -> bool:
    """Tell whether all are finite, and none so large that it may be a whole number rounded."""
    return not values.size or bool(values.min() > -EXACT and values.max() < EXACT)


def _parse_slowly(
    lines: list[str], number: int, names: list[str], name: str, *, missing: bool
) -> NDArray[np.float64]:
    """Return the numbers cell by cell, or raise at the first that is none."""
    values = array("d")
    for line, cells in _rows(lines, name, number):
        if len(cells) != len(names):
            raise FormatError(
                f"{name}: line {line} has {len(cells)} cells, line 1 has {len(names)}: "
                "the file is ragged. Give every line as many cells."
            )
        for column, cell in zip(names, cells):
            value = number_in(cell)
            if value is None or (abs(value) >= EXACT and (isinf(value) or is_rounded(cell))):
                value = _odd_cell(cell, f"{name}: line {line}, column {column!r}", missing=missing)
            values.append(value)
    return np.array(values, dtype=np.float64).reshape(-1, len(names))


def _odd_cell(cell: str, place: str, *, missing: bool) -> float:
    """Return NaN for a missing cell; raise for any other that is no number as it stands."""
    if is_missing_text(cell):
        if missing:
            return float("nan")
        seen = f"missing value {cell!r}" if cell.strip() else "empty cell"
        raise DataError(f"{place}: {seen}; fill it, drop the row, or pass missing=True.")
    if is_infinite(cell):
        raise DataError(f"{place}: {cell!r} is infinite and cannot be modelled: drop or clip it.")
    if number_in(cell) is None:
        comma = " (write 1000.5, without thousands marks)" if "," in cell else ""
        raise DataError(
            f"{place}: {cell[:40]!r} is text, a number is wanted{comma}; leave the cell empty, or "
            "write NA, where a value is missing."
        )
    if is_rounded(cell):
        raise DataError(
            f"{place}: {cell.strip()[:40]} is beyond 2**53, where float64 rounds whole numbers: "
            "leave the column out, or subtract what its numbers share."
        )
    raise DataError(f"{place}: {cell[:40]!r} is too large for a float64: rescale the column.")


def _drop_index(
    names: list[str], rows: NDArray[np.float64], name: str
) -> tuple[list[str], NDArray[np.float64]]:
    """Drop the row numbers that pandas writes unless told not to; refuse unnamed columns."""
    counts = names[0] in _INDEX_NAMES and np.array_equal(rows[:, 0], np.arange(len(rows)))
    if counts and len(names) > 1:
        message = (
            f"{name}: dropped column {names[0]!r}, which only numbers the rows "
            "(pandas writes it unless index=False)."
        )
        warn(message)
        names, rows = names[1:], np.ascontiguousarray(rows[:, 1:])
    if "" in names:
        raise FormatError(f"{name}: column {names.index('') + 1} has no name in the header.")
    return names, rows


def _warn_of_no_header(rows: NDArray[np.float64], name: str) -> None:
    """Say that the first line was read as data: a column of numbers may be a lost header."""
    d = rows.shape[1]
    if d > 2 and np.array_equal(rows[0], np.arange(d)):
        message = (
            f"{name}: the first line, 0, 1, 2, ..., was read as a row of data. "
            "If it numbers the columns, delete it."
        )
    elif d > 1:
        message = (
            f"{name}: has no header line: its first line was read as data, and its columns are "
            f"called x0 to x{d - 1}. Write names in a first line to choose them."
        )
    else:
        return
    warn(message)
