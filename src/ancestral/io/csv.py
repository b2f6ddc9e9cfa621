"""Tables of numbers as text: cells between commas, a point for the decimals, a header line or none.

Nothing is guessed that could be guessed wrongly: no widths, no other separators, no thousands
marks, no encoding. Another `Dialect` is asked for. Lines are read by blocks, the fast way by
numpy's C parser. A block that it refuses is read again: by cells, since quoted and missing ones are
in order; and where that fails row by row, so that the message can name the line, the column and
the cell, or so that the row can be left out and reported.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from math import isinf

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.containers import EXACT
from ancestral._checks.missing import is_missing_text
from ancestral._checks.numbers import warn
from ancestral.errors import DataError, FormatError
from ancestral.io.dialect import Dialect, line_of, marks_in, spellings_of
from ancestral.io.numbers import is_infinite, is_rounded
from ancestral.io.rejects import Rejects
from ancestral.io.sources import as_size

_MAX_LINE = 4 << 20
_BLOCK = 1 << 16  # cells that are parsed at a time
_SOME = 64  # rows of them that are looked into, where one cannot be read
_MAX_QUOTED = 1 << 20  # characters between two quotes; the reader of cells takes fewer
_GAP, _GAPS = float("nan"), frozenset({"", "NA", "NaN", "nan", "NULL", "null", "N/A", "n/a"})
_SIGNED_NAN = re.compile("[+-]nan", re.IGNORECASE)
_CONTROL = bytes(k for k in (*range(32), 127) if k not in b"\t\n\v\f\r")
_INDEX_NAMES = ("", "Unnamed: 0")
_PLAIN = Dialect()
# Between semicolons: numbers whose point may stand between thousands, and those with other points.
_GROUPED = rb"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}"
_CELL = rb'(?:^|[\r\n";]) *(%s) *(?=$|[\r\n";])'
_THOUSANDS = re.compile(_CELL % _GROUPED)
_DECIMALS = re.compile(
    _CELL % (rb"(?!" + _GROUPED + rb' *(?:$|[\r\n";]))[+-]?[0-9]*\.[0-9]*(?:[eE][+-]?[0-9]+)?')
)


def parse_csv(
    raw: bytes,
    name: str,
    *,
    missing: bool,
    max_bytes: int | None = None,
    dialect: Dialect = _PLAIN,
    rejects: Rejects | None = None,
) -> tuple[list[str], NDArray[np.float64]]:
    """Return the column names (x0, x1, ... without a header) and the numbers.

    Text that was expanded is refused where its numbers would take more than `max_bytes`. With
    `rejects`, rows with a cell that cannot be read are left out and entered there.

    Raises
    ------
    FormatError
        When the bytes are not text of this dialect, or a line is ragged.
    DataError
        When a cell is no finite number, or is missing without `missing`.
    """
    text = _Text(raw, name, dialect)
    cells = text.most_cells
    if max_bytes is not None and 8 * cells > max_bytes:
        raise FormatError(
            f"{name}: expands to {as_size(8 * cells)} of numbers > max_bytes "
            f"{as_size(max_bytes)}; pass max_bytes= if you trust it."
        )
    line, first = _first_cells(text)
    header = _is_header(first, text)
    if header:
        refuse_duplicates(first, name)
    names = first if header else [f"x{j}" for j in range(len(first))]
    reader = _Reader(names, text, missing=missing, rejects=rejects)
    rows = reader.numbers(after=line if header else 0)
    if len(rows) == 0:
        left = "no row that could be read" if rejects and rejects.rows else "no rows of numbers"
        raise DataError(f"{name}: holds {'a header line and ' * header}{left}.")
    warn_of_thousands(text.raw, name, dialect, names, [True] * len(names))
    if not header:
        warn_of_no_header(rows, name)
        return names, rows
    return _drop_index(names, rows, name, gaps=bool(rejects and rejects.rows))


def parse_cells(raw: bytes, name: str, dialect: Dialect = _PLAIN) -> list[tuple[int, list[str]]]:
    """Return line number and cells, stripped, of every line of a table of text.

    Raises
    ------
    FormatError
        When the bytes are not text of this dialect.
    DataError
        When there is no line but blank ones.
    """
    text = _Text(raw, name, dialect)
    _first_cells(text)
    return [(line, [cell.strip() for cell in cells]) for line, cells in text.rows()]


def parse_named_cells(
    raw: bytes, name: str, dialect: Dialect = _PLAIN
) -> tuple[list[str], bool, Iterator[tuple[int, list[str]]]]:
    """Return the names of a table of text, whether it has any, and line number and cells of rows.

    Raises
    ------
    FormatError
        When the bytes are not text of this dialect, or two columns have one name.
    DataError
        When the first line mixes text and numbers.
    """
    text = _Text(raw, name, dialect)
    _, first = _first_cells(text)
    header = _is_header(first, text)
    if header:
        refuse_duplicates(first, name)
    rows = text.rows()
    return (
        first if header else [f"x{j}" for j in range(len(first))],
        header,
        islice(rows, 1, None) if header else rows,
    )


class _Text:
    """Decoded text that can be read from its start again and again."""

    def __init__(self, raw: bytes, name: str, dialect: Dialect) -> None:
        self.name, self.dialect = name, dialect
        raw = dialect.as_utf8(raw, name)
        if len(raw.translate(None, _CONTROL)) < len(raw):  # far quicker than to search for them
            place = min(at for at in map(raw.find, _CONTROL) if at >= 0)
            what = f"the control character 0x{raw[place]:02x}" if raw[place] else "a NUL byte"
            wide = "" if raw[place] else ", or pass encoding='utf-16-le' or 'utf-16-be'"
            raise FormatError(
                f"{name}: holds {what} on line {line_of(raw, place)}: "
                f"it is damaged, or not a text file (UTF-16?). Save it as UTF-8{wide}."
            )
        _refuse_long_line(raw, name)
        self.raw = raw

    @property
    def most_cells(self) -> int:
        """No fewer than the cells there are."""
        return 1 + sum(map(self.raw.count, (self.dialect.sep.encode(), b"\n", b"\r")))

    def lines(self) -> io.TextIOWrapper:
        """Return the lines, ends of any system made newlines, a byte-order mark dropped."""
        return io.TextIOWrapper(io.BytesIO(self.raw), encoding="utf-8-sig", newline=None)

    def is_blank(self, line: str) -> bool:
        """Tell whether a line holds nothing, not even empty cells."""
        return not line.strip() and self.dialect.sep not in line

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Give line number (from 1) and cells of every line that is not blank."""
        return self.rows_of(self.lines())

    def rows_of(self, lines: Iterable[str], before: int = 0) -> Iterator[tuple[int, list[str]]]:
        """Give the same of some lines, so many lines before them."""
        reader = csv.reader(lines, delimiter=self.dialect.sep, strict=True)
        try:
            for cells in reader:
                # of one cell: quotes with nothing between them are one, blanks are none
                if len(cells) > 1 or (cells and (not cells[0] or cells[0].strip())):
                    yield before + reader.line_num, cells
        except csv.Error as error:
            raise FormatError(
                f"{self.name}: line {before + reader.line_num}: {error}; mend its quotes."
            ) from None


def _refuse_long_line(raw: bytes, name: str) -> None:
    """Refuse a line that, cell by cell, would take many times its own memory."""
    start = 0
    while len(raw) - start > _MAX_LINE:
        end = max(raw.rfind(mark, start, start + _MAX_LINE) for mark in (b"\n", b"\r"))
        if end < 0:
            raise FormatError(
                f"{name}: line {line_of(raw, start)} is longer than {as_size(_MAX_LINE)}: "
                "save such a wide table as .npy."
            )
        start = end + 1


def _first_cells(text: _Text) -> tuple[int, list[str]]:
    """Return number and cells of the first line that has any; refuse other separators."""
    head = list(islice((li for li in text.lines() if not text.is_blank(li)), 5))
    if not head:
        raise DataError(f"{text.name}: holds only blank lines.")
    refuse_other_marks(head, text.name, text.dialect)
    line, cells = next(text.rows(), (0, []))
    if not cells:
        raise DataError(f"{text.name}: holds blank lines and cells alone.")
    if len(cells) == 1:
        refuse_spaces(head, text.name)
    return line, [cell.strip() for cell in cells]


def refuse_other_marks(head: list[str], name: str, dialect: Dialect) -> None:
    """Raise FormatError where the first lines of a table have another mark between cells."""
    words, options = marks_in(head, dialect)
    if options:
        thousands = f" with {options[2]}" if len(options) > 2 else ""
        raise FormatError(
            f"{name}: looks {words}-separated ({', '.join(options[:2])}){thousands}: save it "
            "comma-separated, with a point for the decimals, or pass that."
        )


def refuse_spaces(head: list[str], name: str) -> None:
    """Raise FormatError where the first lines of a table of one column may have several."""
    if all(len(line.split()) > 1 for line in head):
        raise FormatError(
            f"{name}: looks separated by spaces, or of fixed width, which is never guessed: "
            "save it comma-separated, or pass sep=' ' where each space ends a cell."
        )


def _is_header(cells: list[str], text: _Text) -> bool:
    """Tell a line of names from a line of numbers; a mixture is refused."""
    number_in = text.dialect.number_in
    wordy = [number_in(cell) is None and not is_missing_text(cell) for cell in cells]
    odd = next((c for c, w in zip(cells, wordy) if w and spellings_of(c, text.dialect)), None)
    if odd is not None:  # a name to one dialect, a number to another
        found = spellings_of(odd, text.dialect)
        raise DataError(
            f"{text.name}: line 1 holds {odd!r}, which may be a number ({found}): "
            "pass these options, or give every column a name that is not a number."
        )
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


class _Reader:
    """Reads the numbers of a table, block after block.

    Parameters
    ----------
    names : list of str
        One for each column.
    text : _Text
    missing : bool
        Whether missing cells are NaN, or refused.
    rejects : Rejects, optional
        Takes what cannot be read, whose rows are then left out; without it, that is an error.
    """

    def __init__(
        self, names: list[str], text: _Text, *, missing: bool, rejects: Rejects | None
    ) -> None:
        self.names, self.text, self.missing, self.rejects = names, text, missing, rejects
        self.width, self.dialect = len(names), text.dialect

    def numbers(self, *, after: int) -> NDArray[np.float64]:
        """Return the numbers of all lines but the first `after`."""
        values = array("d")
        for number, lines in self._blocks(max(1, _BLOCK // self.width), after):
            rows = self._parse_fast(lines)
            if rows is None:
                rows = self._parse_cells(lines)
            if rows is None:
                rows = self._parse_rows(lines, number)
            values.frombytes(rows.tobytes())
        return np.frombuffer(values, dtype=np.float64).reshape(-1, self.width)

    def _blocks(self, height: int, after: int) -> Iterator[tuple[int, list[str]]]:
        """Give lines by so many, with the number of lines before them; no quoted cell is cut."""
        lines = self.text.lines()
        number = sum(1 for _ in islice(lines, after))
        while block := list(islice(lines, height)):
            is_open = sum(line.count('"') for line in block) % 2
            length = 0
            while is_open and length < _MAX_QUOTED and (more := next(lines, "")):
                block.append(more)
                length += len(more)
                is_open ^= more.count('"') % 2
            yield number, block
            number += len(block)

    def _parse_fast(self, lines: list[str]) -> NDArray[np.float64] | None:
        """Return the numbers by numpy's parser, or None where anything is unusual."""
        lines = [line for line in lines if not self.text.is_blank(line)]
        if not lines:
            return np.empty((0, self.width))
        dialect = self.dialect
        if not dialect.is_plain:
            text = dialect.plain_lines("".join(lines))
            if text is None:
                return None
            lines = text.split("\n")[: len(lines)]
        if not all(map(str.isascii, lines)):  # numpy takes blanks of every script for none
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                rows = np.loadtxt(lines, delimiter=dialect.sep, comments=None, ndmin=2)
        except (ValueError, TypeError):
            return None
        return rows if rows.shape[1] == self.width and _is_plain(rows) else None

    def _parse_cells(self, lines: list[str]) -> NDArray[np.float64] | None:
        """Return the numbers of quoted or missing cells, too, or None where a cell is neither."""
        try:
            rows = [row for _, row in self.text.rows_of(lines)]
        except FormatError:
            return None
        values = self._values(rows)
        return None if values is None else values.reshape(-1, self.width)

    def _values(self, rows: list[list[str]]) -> NDArray[np.float64] | None:
        """Return the numbers of rows, NaN where missing ones are allowed; None for any other."""
        if any(len(row) != self.width for row in rows):
            return None
        cells = [cell for row in rows for cell in row]
        read = "".join(cells)
        if not self.dialect.is_plain:
            spelt = self.dialect.spelt
            cells = [cell if cell in _GAPS else spelt(cell) or "x" for cell in cells]
        elif "_" in read or not read.isascii():  # which Python would read as numbers
            return None
        try:
            values = np.array([_GAP if cell in _GAPS else float(cell) for cell in cells])
        except ValueError:
            return None
        gaps = np.isnan(values)
        if gaps.any() and (not self.missing or _SIGNED_NAN.search(read)):
            return None
        return values if _is_plain(values[~gaps]) else None

    def _parse_rows(self, lines: list[str], number: int) -> NDArray[np.float64]:
        """Return the numbers row by row; what cannot be read is left out, or raises."""
        values = array("d")
        rows = self.text.rows_of(lines, number)
        while some := list(islice(rows, _SOME)):
            numbers: Iterable[float] | None = self._values([cells for _, cells in some])
            if numbers is None:
                numbers = chain.from_iterable(self._one_row(*row) for row in some)
            values.extend(numbers)
        return np.array(values, dtype=np.float64).reshape(-1, self.width)

    def _one_row(self, line: int, cells: list[str]) -> list[float]:
        """Return the numbers of a row cell by cell; none where it is left out."""
        if len(cells) != self.width:
            if self.rejects is not None:
                why = f"{len(cells)} cells where {self.width} are wanted"
                self.rejects.add(line, "", self.dialect.sep.join(cells), why)
                self.rejects.rows += 1
                return []
            raise FormatError(
                f"{self.text.name}: line {line} has {len(cells)} cells, line 1 has {self.width}: "
                "the file is ragged. Give every line as many cells."
            )
        row = []
        for column, cell in zip(self.names, cells):
            try:
                row.append(_number(cell, self.dialect, missing=self.missing))
            except DataError as error:
                if self.rejects is None:
                    place = f"{self.text.name}: line {line}, column {column!r}"
                    raise DataError(f"{place}: {error}") from None
                self.rejects.add(line, column, cell, str(error).partition(";")[0])
        if self.rejects is not None and len(row) < self.width:
            self.rejects.rows += 1
            return []
        return row


def _is_plain(values: NDArray[np.float64]) -> bool:
    """Tell whether all are finite, and none so large that it may be a whole number rounded."""
    return not values.size or bool(values.min() > -EXACT and values.max() < EXACT)


def _number(cell: str, dialect: Dialect, *, missing: bool) -> float:
    """Return the number in a cell, NaN where it may be missing; DataError for any other."""
    plain = dialect.spelt(cell)
    value = None if plain is None else float(plain)
    if plain is not None and value is not None:
        if abs(value) < EXACT or not (isinf(value) or is_rounded(plain)):
            return value
        if is_rounded(plain):
            raise DataError(
                f"{cell.strip()[:40]} is beyond 2**53, where float64 rounds whole numbers: "
                "leave the column out, or subtract what its numbers share."
            )
        raise DataError(f"{cell[:40]!r} is too large for a float64: rescale the column.")
    if is_missing_text(cell):
        if missing:
            return float("nan")
        seen = f"missing value {cell!r}" if cell.strip() else "empty cell"
        raise DataError(f"{seen}; fill it, drop the row, or pass missing=True.")
    if is_infinite(cell):
        raise DataError(f"{cell!r} is infinite and cannot be modelled: drop or clip it.")
    hint, spellings = "", spellings_of(cell, dialect)
    if spellings:
        hint = f" (write 1000.5, without thousands marks, or pass what reads it: {spellings})"
    raise DataError(
        f"{cell[:40]!r} is text, a number is wanted{hint}; leave the cell empty, or write "
        "NA, where a value is missing."
    )


def _drop_index(
    names: list[str], rows: NDArray[np.float64], name: str, *, gaps: bool
) -> tuple[list[str], NDArray[np.float64]]:
    """Drop the row numbers that pandas writes unless told not to; refuse unnamed columns.

    Where rows were left out, the numbers have gaps.
    """
    if counts_rows(names, rows[:, 0], name, gaps=gaps):
        names, rows = names[1:], np.ascontiguousarray(rows[:, 1:])
    refuse_unnamed(names, name)
    return names, rows


def counts_rows(names: list[str], first: NDArray, name: str, *, gaps: bool) -> bool:
    """Tell whether the first column only numbers the rows, and is to be dropped: with a warning."""
    if names[0] not in _INDEX_NAMES or len(names) == 1 or first.dtype.kind not in "iuf":
        return False
    counts = np.array_equal(first, np.arange(len(first)))
    if gaps:
        counts = bool((first >= 0).all() and (first % 1 == 0).all() and (np.diff(first) > 0).all())
    if counts:
        warn(
            f"{name}: dropped column {names[0]!r}, which only numbers the rows "
            "(pandas writes it unless index=False)."
        )
    return counts


def refuse_unnamed(names: list[str], name: str) -> None:
    """Raise FormatError for a column whose name in the header is empty."""
    if "" in names:
        raise FormatError(f"{name}: column {names.index('') + 1} has no name in the header.")


def warn_of_thousands(
    raw: bytes,
    name: str,
    dialect: Dialect,
    names: Sequence[str],
    are_numbers: Sequence[bool],
    to: str = "",
) -> None:
    """Say that points were read as those of decimals where they may stand between thousands.

    So it may be in a file of semicolons all of whose points have three digits after them.
    """
    if dialect.sep != ";" or not dialect.is_plain or b"." not in raw or _DECIMALS.search(raw):
        return
    for found in _THOUSANDS.finditer(raw):
        cell, at = found[1].decode(), found.start(1)
        before = raw[max(raw.rfind(b"\n", 0, at), raw.rfind(b"\r", 0, at)) + 1 : at].decode()
        j = len(next(csv.reader([before + "x"], delimiter=dialect.sep))) - 1
        if j < len(names) and are_numbers[j]:
            warn(
                f"{name}: column {names[j]!r}: {cell!r} was read as {float(cell)!r}. Every number "
                "with a point has three digits after it here, as where points stand between "
                f"thousands. If {cell.replace('.', '')} is meant, pass thousands='.' and "
                f"decimal=','{to}."
            )
            return


def warn_of_no_header(rows: NDArray[np.float64], name: str) -> None:
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
