"""CSV files by ranges of whole lines, through Arrow's reader.

What a column holds is settled once, from cells at the beginning of every part (of no more than
some hundred), and every cell is then held to it. A line ends where a newline stands outside quotes.
Files without quotes in what is looked at first are cut at any newline, and each range is then
checked to hold an even number of quotes: it does just if no cell was cut.
"""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.missing import MISSING_TEXT
from ancestral._checks.numbers import warn
from ancestral._extras import import_extra
from ancestral.errors import AncestralError, DataError, FormatError, ModelError
from ancestral.io.csv import refuse_duplicates, refuse_unnamed
from ancestral.io.numbers import is_plain
from ancestral.streaming.source import PART_BYTES
from ancestral.streaming.sources.files import File
from ancestral.streaming.sources.folders import folder_column, with_folders
from ancestral.streaming.sources.tables import LARGE, Tables, settled

SAMPLE = 1 << 16  # bytes looked at in one place
SAMPLES = 256  # places
MOST_OF_A_LINE = 4 << 20
MOST_EXPANDED = 1 << 30  # of a gzipped file, which is read at once
READERS = 16
_BOOLEANS = {word: [word, word.title(), word.upper()] for word in ("true", "false")}
_SPELT = ["".join(cell) for word in MISSING_TEXT for cell in product(*zip(word, word.upper()))]
MISSING = sorted({f"{a}{word}{b}" for word in _SPELT for a in ("", " ") for b in ("", " ")})
_NUMBER = r"(?i)^[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity)$"
_WRONG = re.compile(
    r"column #(\d+): (?:Row #(\d+): )?CSV conversion error to (\w+): invalid value '(.*)'", re.S
)
_UNNAMED = ("", "Unnamed: 0")
KINDS = ("whole", "number", "boolean", "text")


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
        return self.file.size * 5 if _is_gzipped(self.file) else self.end - self.begin

    @property
    def whole(self) -> bool:
        return self.end == self.file.size

    def table(self) -> Any:
        """Return the rows as an Arrow table."""
        pa, compute = (_arrow(self.file, name) for name in ("pyarrow", "pyarrow.compute"))
        content = _content(self.file, self.begin, self.end)
        quotes = content.count(b'"') if b'"' in content else 0
        if quotes % 2:
            raise FormatError(
                f"{self.file.name}: {_cut(self.whole)} in bytes {self.begin} to {self.end}. "
                "Write such files as Parquet, or with no line breaks within cells."
            )
        schema = self.form.schema
        table = _parsed(content, self.names, self.form, quoted=bool(quotes), of=self)
        columns, own = [], set(self.names)
        for field in schema:
            if field.name not in own:
                column = folder_column(self.file, field, table.num_rows)
            else:
                column = table.column(field.name)
                if pa.types.is_string(field.type):
                    column = compute.utf8_trim_whitespace(column)
            columns.append(column)
        return pa.Table.from_arrays(columns, schema=schema)


def csv_source(
    files: Sequence[File],
    *,
    columns: Sequence[str] | None = None,
    rows: int | None = None,
    types: Mapping[str, str] | None = None,
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
    types : mapping of str to {"whole", "number", "boolean", "text"}, optional
        What columns hold, where it is not what their first cells show.
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
    found = _Kinds(given, decimal)
    for head in heads:
        for sample in head.samples:
            found.look(head, sample)
    left = found.index(heads[0])
    names = dict.fromkeys(one for head in heads for one in head.names)
    read = set(names if columns is None else columns)
    types_of = {one: found.type_of(one) if one in read else pa.string() for one in names}
    schemas = [
        pa.schema([(one, types_of[one]) for one in head.names if one != left]) for head in heads
    ]
    schema = settled(
        [(file.name, own) for file, own in zip(files, with_folders(files, schemas))], columns
    )
    if unknown := [name for name in given if name not in types_of]:
        raise DataError(
            f"types= names {unknown[0]!r}, which is no column; those are "
            f"{', '.join(map(repr, list(types_of)[:8]))}."
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
    """A file's first line, where it is cut, and some lines in each part."""

    file: File
    sep: str
    names: list[str]
    named: bool
    ranges: list[tuple[int, int]]
    samples: list[bytes]

    @classmethod
    def of(cls, file: File, sep: str, rows: int | None, n_samples: int) -> _Head:
        """Look at a file, and keep so many samples."""
        text, line = _beginning(file)
        names, named = _names(text[:line], file, sep)
        begin, size = line if named else 0, file.size
        sample = _whole_lines(text[begin:]) if len(text) >= SAMPLE else text[begin:]
        ranges = [(begin, size)] if text[begin:].strip() else []
        head = cls(file, sep, names, named, ranges, [sample][:n_samples])
        step = PART_BYTES if rows is None else _step(sample, rows)
        if not _is_gzipped(file) and size - begin > (LARGE if rows is None else step):
            head._cut(begin, step, max(SAMPLE, 4 * line), n_samples)
        return head

    def _cut(self, begin: int, step: int, window: int, n_samples: int) -> None:
        """Cut the file at ends of lines, and keep some of what stands there."""
        quoted, cuts, size = any(b'"' in sample for sample in self.samples), [], self.file.size
        with self.file.opened() as stream:
            for mark in range(begin + step, size, step):
                stream.seek(mark)
                block = stream.read(window)
                if b"\n" in block:
                    cuts.append(mark + block.index(b"\n") + 1)
                quoted = quoted or b'"' in block
            if quoted:
                cuts = list(_cuts_outside_quotes(stream, begin, step, size))
            cuts = [cut for cut in dict.fromkeys(cuts) if begin < cut < size]
            for cut in cuts[:: max(1, len(cuts) // n_samples)] if n_samples > 1 else ():
                stream.seek(cut)
                self.samples.append(_whole_lines(stream.read(window)))
        self.ranges = list(zip([begin, *cuts], [*cuts, size]))


def _beginning(file: File) -> tuple[bytes, int]:
    """Return the first lines of a file, and where the first one ends."""
    n = SAMPLE
    while True:
        text = _content(file, 0, min(file.size, n))[:n]
        line = _line_end(text, 0)
        if len(text) < n or 0 <= 16 * line <= n:
            return text, line if line >= 0 else len(text)
        if line < 0 and n > MOST_OF_A_LINE:
            raise FormatError(f"{file.name}: its first line does not end within {n} bytes.")
        n = max(4 * n, 16 * line)


def _cuts_outside_quotes(stream: Any, begin: int, step: int, size: int) -> Iterator[int]:
    """Yield ends of lines, each some bytes after the one before, from a look at all of the file."""
    stream.seek(begin)
    at, odd, wanted = begin, False, begin + step
    while block := stream.read(1 << 22):
        after = 0
        while wanted < at + len(block):
            place = max(after, wanted - at)
            odd ^= block.count(b'"', after, place) % 2 == 1
            end = _line_end(block, place, odd=odd)
            if end < 0:
                after = place
                break
            if at + end < size:
                yield at + end
            odd, after, wanted = False, end, at + end + step
        odd ^= block.count(b'"', after) % 2 == 1
        at += len(block)


def _line_end(text: bytes, start: int, *, odd: bool = False) -> int:
    """Return where the line that begins at a place ends, -1 where it does not."""
    at = start
    while (end := text.find(b"\n", at)) >= 0:
        odd ^= text.count(b'"', at, end) % 2 == 1
        if not odd:
            return end + 1
        at = end + 1
    return -1


def _whole_lines(text: bytes) -> bytes:
    """Return a text up to the last end of a line."""
    end = text.rfind(b"\n")
    while end >= 0 and text.count(b'"', 0, end) % 2:
        end = text.rfind(b"\n", 0, end)
    return text[: end + 1]


def _step(sample: bytes, rows: int) -> int:
    """Return about how many bytes so many rows take."""
    lines = max(1, sample.count(b"\n"))
    return max(1, len(sample) * rows // lines)


def _cut(whole: bool) -> str:  # noqa: FBT001
    return (
        "a quote is opened and not closed" if whole else "a cell in quotes is cut, or not closed,"
    )


def _is_gzipped(file: File) -> bool:
    return file.path.lower().endswith(".gz")


def _content(file: File, begin: int, end: int) -> bytes:
    """Return bytes of the text; of a gzipped file all that follow."""
    if not _is_gzipped(file):
        return file.read(begin, end)
    inflater = zlib.decompressobj(wbits=31)
    try:
        text = inflater.decompress(file.read(), MOST_EXPANDED)
    except zlib.error as error:
        raise FormatError(f"{file.name}: damaged gzip ({error}); copy it again.") from None
    if inflater.unconsumed_tail:
        raise FormatError(
            f"{file.name}: expands to more than {MOST_EXPANDED >> 30} GiB, and gzipped files are "
            "read at once. Gunzip it: then it is read in parts."
        )
    if not inflater.eof:
        raise FormatError(f"{file.name}: the gzip has no end: it is cut short; copy it again.")
    return text[begin:]


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
        raise FormatError(f"{file.name}: line 1 is empty, where names of columns are wanted.")
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
    """

    def __init__(self, given: dict[str, str], decimal: str) -> None:
        self.given, self.decimal = given, decimal
        self.seen: dict[str, dict[str, tuple[File, str]]] = {}

    def look(self, head: _Head, sample: bytes) -> None:
        """Take in some lines of a file."""
        pa, compute = (_arrow(head.file, name) for name in ("pyarrow", "pyarrow.compute"))
        form = Form(pa.schema([(name, pa.string()) for name in head.names]), head.sep, ".")
        table = _parsed(sample, tuple(head.names), form, quoted=b'"' in sample, of=head)
        cells = compute.utf8_trim_whitespace(
            pa.chunked_array(
                [chunk for column in table.columns for chunk in column.chunks], pa.string()
            )
        )
        if self.decimal != ".":
            cells = compute.replace_substring(cells, self.decimal, ".")
        for kind, mask in _kinds_of(cells).items():
            places = np.flatnonzero(mask)
            columns, first = np.unique(places // max(1, table.num_rows), return_index=True)
            for j, place in zip(columns.tolist(), places[first].tolist()):
                seen = self.seen.setdefault(head.names[j], {})
                seen.setdefault(kind, (head.file, cells[place].as_py()))

    def type_of(self, name: str) -> Any:
        """Return the type of a column; DataError where it holds both numbers and text."""
        import pyarrow as pa

        types = dict(zip(KINDS, (pa.int64(), pa.float64(), pa.bool_(), pa.string())))
        if name in self.given:
            return types[self.given[name]]
        seen = self.seen.get(name, {})
        kinds = set(seen)
        if kinds <= {"whole", "number", "padded"}:
            if "padded" in kinds:  # a code, such as 01234
                return types["text"]
            return types["whole" if kinds == {"whole"} else "number"]
        if not kinds & {"whole", "number", "padded"}:
            return types["boolean" if kinds == {"boolean"} else "text"]
        word = seen.get("text") or seen["boolean"]
        number = next(seen[kind] for kind in ("whole", "number", "padded") if kind in seen)
        raise DataError(
            f"{word[0].name}: column {name!r} holds {word[1][:40]!r}, and numbers, too, such as "
            f"{number[1]!r} in {number[0].name}. {_mend(name, 'text')}"
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


def _kinds_of(cells: Any) -> dict[str, NDArray[np.bool_]]:
    """Return which of some cells are of each kind; a missing one is of none."""
    from pyarrow import compute

    def are(pattern: str) -> NDArray[np.bool_]:
        found = compute.match_substring_regex(cells, pattern)
        return np.asarray(found.fill_null(fill_value=False).to_numpy(), dtype=bool)

    whole, padded = are(r"^[+-]?(0|[1-9]\d{0,17})$"), are(r"^[+-]?0\d+$")
    number = are(_NUMBER) & ~(whole | padded)  # infinity among them, which models refuse
    boolean = are(r"(?i)^(true|false)$")
    text = cells.is_valid().to_numpy() & ~(whole | padded | number | boolean)
    return {"whole": whole, "padded": padded, "number": number, "boolean": boolean, "text": text}


def _mend(name: str, kind: str) -> str:
    return (
        "Mend it, leave it empty or write NA where a value is missing, or say what the column "
        f"holds: ancestral.streaming.source_of_paths(..., types={{{name!r}: {kind!r}}})."
    )


# ---- parsing -------------------------------------------------------------------------------------


def _arrow(file: File, module: str) -> Any:
    return import_extra(module, f"{file.name}: CSV in parts", "tables")


def _parsed(
    content: bytes, names: tuple[str, ...], form: Form, *, quoted: bool, of: CsvSpan | _Head
) -> Any:
    """Return a table of lines; an error names the file, the line, the column and the cell."""
    pa, arrow = (_arrow(of.file, name) for name in ("pyarrow", "pyarrow.csv"))
    own = set(names)
    kinds = {field.name: field.type for field in form.schema if field.name in own}
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
            raise _error_of(str(error), names, form, of) from None


def _error_of(why: str, names: tuple[str, ...], form: Form, of: CsvSpan | _Head) -> AncestralError:
    """Return the error for what Arrow says of some lines."""
    name = of.file.name
    found = re.search(r"Row #(\d+)", why)
    if found is not None and isinstance(of, CsvSpan):
        before = 1 if _is_gzipped(of.file) else of.file.read(0, of.begin).count(b"\n")
        name += f": line {before + int(found[1])}"
    if (wrong := _WRONG.search(why)) is not None:
        column, cell = names[int(wrong[1])], wrong[4][:40]
        kind, seen = {
            "int64": ("number", "is no whole number of 64 bits, as those looked at first are"),
            "double": ("text", "is no number, as those looked at first are"),
            "bool": ("text", "is neither true nor false, as those looked at first are"),
        }.get(wrong[3], ("text", f"cannot be read as {wrong[3]}"))
        if wrong[3] == "int64" and not is_plain(wrong[4]):
            kind, seen = "text", "is no number, as those looked at first are"
        return DataError(f"{name}: column {column!r}: {cell!r} {seen}. {_mend(column, kind)}")
    if "UTF8" in why:
        return FormatError(f"{name}: holds bytes that are no UTF-8 text: save it as UTF-8.")
    if (ragged := re.search(r"Expected (\d+) columns, got (\d+)", why)) is not None:
        return FormatError(
            f"{name}: has {ragged[2]} cells, line 1 has {ragged[1]}: the file is ragged. "
            "Give every line as many cells."
        )
    return FormatError(f"{name}: is no table of text ({why.splitlines()[0][:120]}).")
