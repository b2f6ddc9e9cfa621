"""CSV files by ranges of whole lines, through Arrow's reader.

What a column holds is settled once, from cells at the beginning of every part (of no more than
some hundred), and every cell is then held to it. A line ends where a newline stands outside quotes.
Files without quotes in what is looked at first are cut at any newline, and each range is then
checked to hold an even number of quotes: it does just if no cell was cut.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ancestral._checks.dates import date_in
from ancestral._checks.missing import MISSING_TEXT
from ancestral._checks.numbers import warn
from ancestral.errors import DataError, FormatError, ModelError
from ancestral.io.csv import (
    refuse_duplicates,
    refuse_other_marks,
    refuse_spaces,
    refuse_unnamed,
    warn_of_thousands,
)
from ancestral.io.dialect import Dialect, Options, spellings_of
from ancestral.io.numbers import is_plain
from ancestral.streaming.source import PART_BYTES
from ancestral.streaming.sources.cells import KINDS, kinds_of, moments_of, spelt
from ancestral.streaming.sources.csv_lines import (
    MEND,
    Form,
    arrow_for,
    as_utf8,
    mend_of,
    naming_options,
    parsed,
    refuse_encoding,
)
from ancestral.streaming.sources.files import File
from ancestral.streaming.sources.folders import folder_column, with_folders
from ancestral.streaming.sources.known import Known
from ancestral.streaming.sources.lines import (
    bytes_of_rows,
    content_of,
    cuts_outside_quotes,
    is_gzipped,
    line_end,
    line_of,
    lines_before,
    whole_lines,
)
from ancestral.streaming.sources.tables import LARGE, Tables, settled

SAMPLE = 1 << 16  # bytes looked at in one place
SAMPLES = 256  # places
MOST_OF_A_LINE = 4 << 20
READERS = 16
_UNNAMED = ("", "Unnamed: 0")


@dataclass(frozen=True)
class CsvSpan:
    """The lines of a file that begin within some of its bytes."""

    file: File
    begin: int
    end: int
    names: tuple[str, ...]
    form: Form
    start: int | None
    n_rows: int | None = None

    @property
    def n_bytes(self) -> int:
        """Of the text, which is about what its cells take."""
        return self.file.size * 5 if is_gzipped(self.file) else self.end - self.begin

    @property
    def whole(self) -> bool:
        return self.end == self.file.size

    def table(self) -> Any:
        """Return the rows as an Arrow table."""
        pa, compute = (arrow_for(self.file, name) for name in ("pyarrow", "pyarrow.compute"))
        content = self._text()
        quotes = content.count(b'"') if b'"' in content else 0
        if quotes % 2:
            raise FormatError(
                f"{self.file.name}: {_cut(self.whole)} in bytes {self.begin} to {self.end}. "
                "Write such files as Parquet, or with no line breaks within cells."
            )
        schema = self.form.schema
        content = as_utf8(content, self.form.options, (self.file, self.begin))
        table = parsed(content, self.names, self.form, bool(quotes), (self.file, self.begin))
        columns, own = [], set(self.names)
        for field in schema:
            if field.name not in own:
                column = folder_column(self.file, field, table.num_rows)
            else:
                column = table.column(field.name)
                if pa.types.is_string(column.type):
                    column = compute.utf8_trim_whitespace(column)
                if pa.types.is_timestamp(field.type):
                    column = self._dates(field.name, column)
            columns.append(column)
        return pa.Table.from_arrays(columns, schema=schema)

    def _text(self) -> bytes:
        return content_of(self.file, self.begin, self.end)

    def _dates(self, name: str, cells: Any) -> Any:
        """Return a column's cells as dates; DataError naming the first that is none."""
        if (found := moments_of(cells)) is not None:
            return found
        for row, cell in enumerate(cells.to_pylist()):
            if cell is not None and date_in(cell) is None:
                raise DataError(
                    f"{self.file.name}: line {self.line_of(row)}: column {name!r}: {cell[:40]!r} "
                    f"is no date by ISO 8601, such as 2024-01-31. {MEND} {mend_of(name, 'text')}"
                )
        raise DataError(f"{self.file.name}: column {name!r} holds a date beyond the year 9999.")

    def line_of(self, row: int) -> int:
        """Return the number of the line, from 1, of one of these rows."""
        return lines_before(self.file, self.begin) + line_of(
            self._text(), self.form.options.sep, row
        )

    def place_of(self, row: int) -> str:
        """Return where one of these rows stands, in words."""
        return f"line {self.line_of(row)} of {self.file.name}"


def csv_source(
    files: Sequence[File],
    *,
    columns: Sequence[str] | None = None,
    rows: int | None = None,
    types: Mapping[str, str] | None = None,
    dates: bool = False,
    known: Known | None = None,
    sep: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    encoding: str | None = None,
) -> Tables:
    """Return the rows of CSV files, by name of their columns.

    Parameters
    ----------
    files : sequence of File
    columns : sequence of str, optional
        Which are read.
    rows : int, optional
        In a part, about; some 32 MiB of them when not given.
    types : mapping of str to {"whole", "number", "boolean", "text", "date"}, optional
        What columns hold, where it is not what their first cells show.
    dates : bool
        Whether a column whose first cells are dates by ISO 8601 holds dates, or text.
    known : Known, optional
        What a model knows of columns: all others are text.
    sep, decimal, thousands, encoding : str, optional
        A comma, or a tab in files named .tsv; a point; none; and UTF-8 when not given.

    Raises
    ------
    FormatError
        Where a file is no such text, naming it.
    DataError
        Where columns differ, or hold both numbers and text.
    """
    pa = arrow_for(files[0], "pyarrow")
    given = dict(types or {})
    for name, kind in given.items():
        if kind not in KINDS:
            raise ModelError(
                f"types={{{name!r}: {kind!r}}}: a column holds one of {', '.join(KINDS)}."
            )
    options = [
        Options(
            sep or ("\t" if ".tsv" in file.path.lower() else ","),
            decimal or ".",
            thousands,
            encoding or "utf-8",
        )
        for file in files
    ]
    refuse_encoding(options[0].encoding)
    with ThreadPoolExecutor(1 if files[0].is_here else READERS) as pool:
        every, share = max(1, len(files) // SAMPLES), max(1, SAMPLES // len(files))
        shares = [share if k % every == 0 else 0 for k in range(len(files))]
        heads = list(pool.map(_Head.of, files, options, [rows] * len(files), shares))
    _warn_of_no_names(heads)
    names = dict.fromkeys(one for head in heads for one in head.names)
    if unknown := [name for name in given if name not in names]:
        raise DataError(
            f"types= names {unknown[0]!r}, which is no column; those are "
            f"{', '.join(map(repr, list(names)[:8]))}."
        )
    if known is not None:
        kept = {} if columns is not None else dict.fromkeys(names.keys() - known.names, "text")
        given = kept | known.kinds | given
    found = _Kinds(given, Dialect(*options[0]), dates=dates)
    for head in heads:
        for begin, sample in head.samples:
            found.look(head, begin, sample)
    left = found.index(heads[0])
    read = set(names if columns is None else columns)
    types_of = {one: found.type_of(one) if one in read else pa.string() for one in names}
    _warn_of_thousands(heads, types_of)
    schemas = [
        pa.schema([(one, types_of[one]) for one in head.names if one != left]) for head in heads
    ]
    schema = settled(
        [(file.name, own) for file, own in zip(files, with_folders(files, schemas))], columns
    )
    spans = [
        CsvSpan(
            head.file,
            begin,
            end,
            tuple(head.names),
            Form(schema, head.options),
            0 if k == 0 else None,
        )
        for head in heads
        for k, (begin, end) in enumerate(head.ranges)
    ]
    if not spans:
        raise DataError(f"{files[0].name}: holds a line of names and no rows.")
    return Tables(spans, schema, rows)


# ---- where lines end -----------------------------------------------------------------------------


@dataclass
class _Head:
    """A file's first line, where it is cut, and some lines in each part, with where they begin."""

    file: File
    options: Options
    names: list[str]
    named: bool
    ranges: list[tuple[int, int]]
    samples: list[tuple[int, bytes]]

    @classmethod
    def of(cls, file: File, options: Options, rows: int | None, n_samples: int) -> _Head:
        """Look at a file, and keep so many samples."""
        text, line = _beginning(file)
        _refuse_wide(text[:line], file)
        whole = text if len(text) < SAMPLE else whole_lines(text)
        _refuse_other_marks(_decoded(whole, options, file), options, file)
        names, named = _names(_decoded(text[:line], options, file), file, options.sep)
        begin, size = line if named else 0, file.size
        sample = whole_lines(text[begin:]) if len(text) >= SAMPLE else text[begin:]
        ranges = [(begin, size)] if text[begin:].strip() else []
        head = cls(file, options, names, named, ranges, [(begin, sample)][:n_samples])
        step = PART_BYTES if rows is None else bytes_of_rows(sample, rows)
        if not is_gzipped(file) and size - begin > (LARGE if rows is None else step):
            head._cut(begin, step, max(SAMPLE, 4 * line), n_samples)
        return head

    def _cut(self, begin: int, step: int, window: int, n_samples: int) -> None:
        """Cut the file at ends of lines, and keep some of what stands there."""
        quoted, cuts, size = any(b'"' in sample for _, sample in self.samples), [], self.file.size
        with self.file.opened() as stream:
            for mark in range(begin + step, size, step):
                stream.seek(mark)
                block = stream.read(window)
                if b"\n" in block:
                    cuts.append(mark + block.index(b"\n") + 1)
                quoted = quoted or b'"' in block
            if quoted:
                cuts = list(cuts_outside_quotes(stream, begin, step, size))
            cuts = [cut for cut in dict.fromkeys(cuts) if begin < cut < size]
            for cut in cuts[:: max(1, len(cuts) // n_samples)] if n_samples > 1 else ():
                stream.seek(cut)
                self.samples.append((cut, whole_lines(stream.read(window))))
        self.ranges = list(zip([begin, *cuts], [*cuts, size]))


def _beginning(file: File) -> tuple[bytes, int]:
    """Return the first lines of a file, and where the first one ends."""
    n = SAMPLE
    while True:
        text = content_of(file, 0, min(file.size, n))[:n]
        line = line_end(text, 0)
        if len(text) < n or 0 <= 16 * line <= n:
            return text, line if line >= 0 else len(text)
        if line < 0 and n > MOST_OF_A_LINE:
            raise FormatError(f"{file.name}: its first line does not end within {n} bytes.")
        n = max(4 * n, 16 * line)


def _cut(whole: bool) -> str:  # noqa: FBT001
    return (
        "a quote is opened and not closed" if whole else "a cell in quotes is cut, or not closed,"
    )


def _refuse_wide(line: bytes, file: File) -> None:
    """Refuse text of 16 or 32 bits, whose lines end at no single byte."""
    if line[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in line:
        raise FormatError(f"{file.name}: is no UTF-8 text: save it as UTF-8.")


def _decoded(text: bytes, options: Options, file: File) -> str:
    return as_utf8(text, options, (file, 0)).decode("utf-8-sig")


def _refuse_other_marks(text: str, options: Options, file: File) -> None:
    """Refuse what has another mark between cells, in the words of the other readers."""
    head = [line for line in text.split("\n") if line.strip() or options.sep in line][:5]
    with naming_options():
        refuse_other_marks(head, file.name, Dialect(*options))
        if all(options.sep not in line for line in head):
            refuse_spaces(head, file.name)


def _names(text: str, file: File, sep: str) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether the first line holds them."""
    cells = [cell.strip() for cell in next(csv.reader([text], delimiter=sep), [])]
    numbers = [cell for cell in cells if is_plain(cell)]
    if not any(cells):
        raise FormatError(f"{file.name}: line 1 is empty, where the names of columns are expected.")
    if not numbers:
        refuse_duplicates(cells, file.name)
        refuse_unnamed(["index", *cells[1:]], file.name)
        return cells, True
    words = [cell for cell in cells if cell and cell not in numbers]
    if any(cell.lower() not in MISSING_TEXT for cell in words):
        raise DataError(
            f"{file.name}: line 1 mixes text ({words[0]!r}) and numbers ({numbers[0]!r}): give "
            "every column a name, or none."
        )
    return [f"x{j}" for j in range(len(cells))], False


def _warn_of_no_names(heads: Sequence[_Head]) -> None:
    """Refuse files only some of which have names; say that the first line was read as data."""
    bare = [head for head in heads if not head.named]
    if not bare:
        return
    if len(bare) < len(heads):
        named = next(head for head in heads if head.named)
        raise DataError(
            f"{bare[0].file.name}: has no line of names, and {named.file.name} has: name the "
            "columns in every file, or in none."
        )
    warn(
        f"{bare[0].file.name}: has no header line: its first line was read as data, and its "
        f"columns are called x0 to x{len(bare[0].names) - 1}. Write names in a first line to "
        "choose them."
    )


def _warn_of_thousands(heads: Sequence[_Head], types_of: dict[str, Any]) -> None:
    """Say of the first file that may have points between thousands that they were not read so."""
    pieces = [
        as_utf8(sample, head.options, (head.file, begin))
        for head in heads
        if head.options.sep == ";" and head.names == heads[0].names
        for begin, sample in head.samples
    ]
    names = heads[0].names
    are_numbers = [str(types_of[name]) in ("int64", "double") for name in names]
    raw, to = b"\n".join(pieces), " to ancestral.streaming.source_of_paths"
    warn_of_thousands(raw, heads[0].file.name, Dialect(*heads[0].options), names, are_numbers, to)


# ---- what columns hold ---------------------------------------------------------------------------


class _Kinds:
    """What the cells of each column have been, and where.

    Parameters
    ----------
    given : dict of str to str
        What columns hold, by who knows.
    dialect : Dialect
    dates : bool
        Whether columns of dates alone hold dates, or text.
    """

    def __init__(self, given: dict[str, str], dialect: Dialect, *, dates: bool) -> None:
        self.given, self.dialect, self.dates = given, dialect, dates
        self.seen: dict[str, dict[str, tuple[File, str]]] = {}

    def look(self, head: _Head, begin: int, sample: bytes) -> None:
        """Take in some lines of a file, which begin at a place."""
        pa, compute = (arrow_for(head.file, name) for name in ("pyarrow", "pyarrow.compute"))
        of = head.file, begin
        schema = pa.schema([(name, pa.string()) for name in head.names])
        form = Form(schema, head.options._replace(decimal=".", thousands=None))
        content = as_utf8(sample, head.options, of)
        table = parsed(content, tuple(head.names), form, b'"' in sample, of)
        cells = compute.utf8_trim_whitespace(
            pa.chunked_array(
                [chunk for column in table.columns for chunk in column.chunks], pa.string()
            )
        )
        for kind, mask in kinds_of(spelt(cells, self.dialect)).items():
            places = np.flatnonzero(mask)
            columns, first = np.unique(places // max(1, table.num_rows), return_index=True)
            for j, place in zip(columns.tolist(), places[first].tolist()):
                seen = self.seen.setdefault(head.names[j], {})
                seen.setdefault(kind, (head.file, cells[place].as_py()))

    def type_of(self, name: str) -> Any:
        """Return the type of a column; DataError where it holds both numbers and text."""
        import pyarrow as pa

        held = (pa.int64(), pa.float64(), pa.bool_(), pa.string(), pa.timestamp("us"))
        types = dict(zip(KINDS, held))
        if name in self.given:
            return types[self.given[name]]
        seen = self.seen.get(name, {})
        kinds, numbers = set(seen), ("whole", "beyond", "number", "padded")
        if kinds <= set(numbers):
            if "padded" in kinds:  # a code, such as 01234
                return types["text"]
            if "beyond" in kinds and "number" not in kinds:
                file, cell = seen["beyond"]
                raise DataError(
                    f"{file.name}: column {name!r} holds {cell[:40]}, which is beyond 64 bits. "
                    f"Leave the column out, or {mend_of(name, 'text')}"
                )
            return types["whole" if kinds == {"whole"} else "number"]
        if not kinds & set(numbers):
            if kinds == {"date"} and self.dates:
                return types["date"]
            if "text" in kinds and (found := spellings_of(seen["text"][1], self.dialect)):
                file, cell = seen["text"]
                raise DataError(
                    f"{file.name}: column {name!r} holds {cell[:40]!r}, which may be a number "
                    f"({found}). Pass what it is, or {mend_of(name, 'text')}"
                )
            return types["boolean" if kinds == {"boolean"} else "text"]
        word = next(seen[kind] for kind in ("text", "boolean", "date") if kind in seen)
        number = next(seen[kind] for kind in numbers if kind in seen)
        found = spellings_of(word[1], self.dialect)
        hint = f" (a number by {found}?)" if found else ""
        raise DataError(
            f"{word[0].name}: column {name!r} holds {word[1][:40]!r}{hint}, and numbers, too, "
            f"such as {number[1]!r} in {number[0].name}. {MEND} {mend_of(name, 'text')}"
        )

    def index(self, head: _Head) -> str | None:
        """Return the name of a column that only numbers the rows, which is said; None for none."""
        name = head.names[0]
        if name not in _UNNAMED or len(head.names) == 1:
            return None
        if set(self.seen.get(name, {})) <= {"whole"}:
            warn(
                f"{head.file.name}: left out column {name!r}, which only numbers the rows (pandas "
                "writes it unless index=False)."
            )
            return name
        refuse_unnamed(head.names, head.file.name)
        return None
