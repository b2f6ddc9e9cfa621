"""CSV files by ranges of whole lines, through Arrow's reader.

What a column holds is settled once, from cells at the beginning of every part (of no more than
some hundred), and every cell is then held to it. A line ends where a newline stands outside quotes.
Files without quotes in what is looked at first are cut at any newline, and each range is then
checked to hold an even number of quotes: it does just if no cell was cut.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ancestral._checks.dates import date_in
from ancestral._checks.missing import MISSING_TEXT
from ancestral._checks.numbers import warn
from ancestral._extras import import_extra
from ancestral.errors import AncestralError, DataError, FormatError, ModelError
from ancestral.io.csv import refuse_duplicates, refuse_unnamed
from ancestral.io.numbers import is_plain
from ancestral.streaming.source import PART_BYTES
from ancestral.streaming.sources.cells import KINDS, is_beyond, kinds_of, moments_of
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
_BOOLEANS = {word: [word, word.title(), word.upper()] for word in ("true", "false")}
_SPELT = ["".join(cell) for word in MISSING_TEXT for cell in product(*zip(word, word.upper()))]
MISSING = sorted({f"{a}{word}{b}" for word in _SPELT for a in ("", " ") for b in ("", " ")})
_WRONG = re.compile(
    r"column #(\d+): (?:Row #(\d+): )?CSV conversion error to (\w+): invalid value '(.*)'", re.S
)
_UNNAMED = ("", "Unnamed: 0")


@dataclass(frozen=True)
class Form:
    """How the files spell their cells, and what these are.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of all parts.
    sep, decimal : str
    """

    schema: Any
    sep: str
    decimal: str


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
        pa, compute = (_arrow(self.file, name) for name in ("pyarrow", "pyarrow.compute"))
        content = self._text()
        quotes = content.count(b'"') if b'"' in content else 0
        if quotes % 2:
            raise FormatError(
                f"{self.file.name}: {_cut(self.whole)} in bytes {self.begin} to {self.end}. "
                "Write such files as Parquet, or with no line breaks within cells."
            )
        schema = self.form.schema
        table = _parsed(content, self.names, self.form, bool(quotes), (self.file, self.begin))
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
                    f"is no date by ISO 8601, such as 2024-01-31. {_MEND} {_mend(name, 'text')}"
                )
        raise DataError(f"{self.file.name}: column {name!r} holds a date beyond the year 9999.")

    def line_of(self, row: int) -> int:
        """Return the number of the line, from 1, of one of these rows."""
        return lines_before(self.file, self.begin) + line_of(self._text(), self.form.sep, row)

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
    decimal: str = ".",
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
    sep, decimal : str
        A comma, or a tab in files named .tsv, and a point when not given.

    Raises
    ------
    FormatError
        Where a file is no such text, naming it.
    DataError
        Where columns differ, or hold both numbers and text.
    """
    pa = _arrow(files[0], "pyarrow")
    given = dict(types or {})
    for name, kind in given.items():
        if kind not in KINDS:
            raise ModelError(
                f"types={{{name!r}: {kind!r}}}: a column holds one of {', '.join(KINDS)}."
            )
    marks = [sep or ("\t" if ".tsv" in file.path.lower() else ",") for file in files]
    with ThreadPoolExecutor(1 if files[0].is_here else READERS) as pool:
        every, share = max(1, len(files) // SAMPLES), max(1, SAMPLES // len(files))
        shares = [share if k % every == 0 else 0 for k in range(len(files))]
        heads = list(pool.map(_Head.of, files, marks, [rows] * len(files), shares))
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
    found = _Kinds(given, decimal, dates=dates)
    for head in heads:
        for begin, sample in head.samples:
            found.look(head, begin, sample)
    left = found.index(heads[0])
    read = set(names if columns is None else columns)
    types_of = {one: found.type_of(one) if one in read else pa.string() for one in names}
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
            Form(schema, head.sep, decimal),
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
    sep: str
    names: list[str]
    named: bool
    ranges: list[tuple[int, int]]
    samples: list[tuple[int, bytes]]

    @classmethod
    def of(cls, file: File, sep: str, rows: int | None, n_samples: int) -> _Head:
        """Look at a file, and keep so many samples."""
        text, line = _beginning(file)
        names, named = _names(text[:line], file, sep)
        begin, size = line if named else 0, file.size
        sample = whole_lines(text[begin:]) if len(text) >= SAMPLE else text[begin:]
        ranges = [(begin, size)] if text[begin:].strip() else []
        head = cls(file, sep, names, named, ranges, [(begin, sample)][:n_samples])
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


def _names(line: bytes, file: File, sep: str) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether the first line holds them."""
    if line[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in line:
        raise FormatError(f"{file.name}: is no UTF-8 text: save it as UTF-8.")
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError(f"{file.name}: line 1 is no UTF-8 text: save it as UTF-8.") from None
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


# ---- what columns hold ---------------------------------------------------------------------------


class _Kinds:
    """What the cells of each column have been, and where.

    Parameters
    ----------
    given : dict of str to str
        What columns hold, by who knows.
    decimal : str
    dates : bool
        Whether columns of dates alone hold dates, or text.
    """

    def __init__(self, given: dict[str, str], decimal: str, *, dates: bool) -> None:
        self.given, self.decimal, self.dates = given, decimal, dates
        self.seen: dict[str, dict[str, tuple[File, str]]] = {}

    def look(self, head: _Head, begin: int, sample: bytes) -> None:
        """Take in some lines of a file, which begin at a place."""
        pa, compute = (_arrow(head.file, name) for name in ("pyarrow", "pyarrow.compute"))
        form = Form(pa.schema([(name, pa.string()) for name in head.names]), head.sep, ".")
        table = _parsed(sample, tuple(head.names), form, b'"' in sample, (head.file, begin))
        cells = compute.utf8_trim_whitespace(
            pa.chunked_array(
                [chunk for column in table.columns for chunk in column.chunks], pa.string()
            )
        )
        if self.decimal != ".":
            cells = compute.replace_substring(cells, self.decimal, ".")
        for kind, mask in kinds_of(cells).items():
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
                    f"Leave the column out, or {_mend(name, 'text')}"
                )
            return types["whole" if kinds == {"whole"} else "number"]
        if not kinds & set(numbers):
            if kinds == {"date"} and self.dates:
                return types["date"]
            return types["boolean" if kinds == {"boolean"} else "text"]
        word = next(seen[kind] for kind in ("text", "boolean", "date") if kind in seen)
        number = next(seen[kind] for kind in numbers if kind in seen)
        raise DataError(
            f"{word[0].name}: column {name!r} holds {word[1][:40]!r}, and numbers, too, such as "
            f"{number[1]!r} in {number[0].name}. {_MEND} {_mend(name, 'text')}"
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


_MEND = "Mend it, leave it empty or write NA where a value is missing, or"


def _mend(name: str, kind: str) -> str:
    return (
        "say what the column holds: "
        f"ancestral.streaming.source_of_paths(..., types={{{name!r}: {kind!r}}})."
    )


# ---- parsing -------------------------------------------------------------------------------------


def _arrow(file: File, module: str) -> Any:
    return import_extra(module, f"{file.name}: CSV in parts", "tables")


def _parsed(
    content: bytes,
    names: tuple[str, ...],
    form: Form,
    quoted: bool,  # noqa: FBT001
    of: tuple[File, int],
) -> Any:
    """Return a table of lines; an error names the file, the line, the column and the cell.

    Dates are text here, which is read later.
    """
    pa, arrow = (_arrow(of[0], name) for name in ("pyarrow", "pyarrow.csv"))
    own = set(names)
    kinds = {
        field.name: pa.string() if pa.types.is_timestamp(field.type) else field.type
        for field in form.schema
        if field.name in own
    }
    if not content.strip():
        return pa.table({name: pa.array([], kind) for name, kind in kinds.items()})

    def read(*, threads: bool) -> Any:
        return arrow.read_csv(
            pa.BufferReader(content),
            read_options=arrow.ReadOptions(column_names=names, use_threads=threads),
            parse_options=arrow.ParseOptions(delimiter=form.sep, newlines_in_values=quoted),
            convert_options=arrow.ConvertOptions(
                column_types=kinds,
                include_columns=list(kinds),
                null_values=MISSING,
                strings_can_be_null=True,
                true_values=_BOOLEANS["true"],
                false_values=_BOOLEANS["false"],
                decimal_point=form.decimal,
            ),
        )

    try:
        return read(threads=True)
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        try:
            return read(threads=False)  # which tells the row
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            raise _error_of(str(error), names, form.sep, content, of) from None


def _error_of(
    why: str, names: tuple[str, ...], sep: str, content: bytes, of: tuple[File, int]
) -> AncestralError:
    """Return the error for what Arrow says of some lines."""
    name = of[0].name
    if (found := re.search(r"Row #(\d+)", why)) is not None:
        name += f": line {lines_before(*of) + line_of(content, sep, int(found[1]) - 1)}"
    if (wrong := _WRONG.search(why)) is not None:
        column, cell = names[int(wrong[1])], wrong[4][:40]
        kind, seen = {
            "int64": ("number", "is no whole number of 64 bits, as the first ones are"),
            "double": ("text", "is no number, as the first ones are"),
            "bool": ("text", "is neither true nor false, as the first ones are"),
        }.get(wrong[3], ("text", f"cannot be read as {wrong[3]}"))
        if wrong[3] == "int64" and not is_plain(wrong[4]):
            kind, seen = "text", "is no number, as the first ones are"
        elif is_beyond(wrong[4]):
            kind = "text"
        mend = f"{_MEND} {_mend(column, kind)}"
        return DataError(f"{name}: column {column!r}: {cell!r} {seen}. {mend}")
    if "UTF8" in why:
        return FormatError(f"{name}: holds bytes that are no UTF-8 text: save it as UTF-8.")
    if (ragged := re.search(r"Expected (\d+) columns, got (\d+)", why)) is not None:
        return FormatError(
            f"{name}: has {ragged[2]} cells, line 1 has {ragged[1]}: the file is ragged. "
            "Give every line as many cells."
        )
    return FormatError(f"{name}: is no table of text ({why.splitlines()[0][:120]}).")
