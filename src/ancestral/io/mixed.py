"""Tables of mixed columns: numbers, whole numbers, booleans and text, with gaps, as a dataframe.

Every column has one kind, which its cells show; a column of numbers and text is refused unless it
is said to be text. Nothing else is guessed: "NA" and the empty cell are gaps, "01" is text (its
zero would be lost), "yes" is text. Text is read as a set of distinct cells and their places, so
that columns of few levels take little memory.
"""

from __future__ import annotations

import datetime as dt
import re
from array import array
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.dates import date_in
from ancestral._checks.frames import Form, Type, arrow_column, form_of
from ancestral._checks.missing import is_missing_text
from ancestral._checks.numbers import SMALLER_FILE, warn, within_memory
from ancestral._checks.texts import are_local_dates, conversion_of_dates
from ancestral._extras import need
from ancestral._files import shown
from ancestral.errors import DataError, DataTypeError, FormatError
from ancestral.io.arrays import MAX_BYTES
from ancestral.io.columns import LIBRARIES, Column, Columns
from ancestral.io.csv import (
    counts_rows,
    parse_csv,
    parse_named_cells,
    refuse_unnamed,
    warn_of_thousands,
)
from ancestral.io.dialect import Dialect, spellings_of
from ancestral.io.kinds import in_words, recognise
from ancestral.io.numbers import is_infinite
from ancestral.io.parquet import read_parquet_columns
from ancestral.io.rejects import Reject, Rejects
from ancestral.io.sources import PathLike, Source, as_size

_BOOLEANS = {"true": True, "false": False}
_WHOLE = re.compile(r"[+-]?\d+(?:\.0*)?", re.ASCII)
_PADDED = re.compile(r"[+-]?0\d+", re.ASCII)


@within_memory(SMALLER_FILE)
def read_table(
    path: PathLike,
    *,
    missing: bool = False,
    text: Collection[str] = (),
    dates: bool = False,
    max_bytes: int = MAX_BYTES,
    sep: str = ",",
    decimal: str = ".",
    thousands: str | None = None,
    encoding: str = "utf-8",
    rejects: PathLike | list[Reject] | None = None,
) -> Any:
    """Read a table of mixed columns as a dataframe.

    Parameters
    ----------
    path : str or path-like
        A `.csv` (gzipped or not) or `.parquet` file. Text columns need a header line.
    missing : bool
        True reads empty cells, NA, NaN and nulls as missing values; False refuses them.
    text : collection of str
        Columns that are read as text, even if their cells look like numbers.
    dates : bool
        True reads a column as dates if every cell is a date in the form of ISO 8601, such as
        2024-01-31 or 2024-01-31 18:30:00. Times with a time zone are converted to UTC. False reads
        such columns as text. Columns of dates in Parquet need True.
    max_bytes : int
        The most bytes to which a compressed file may expand (default 512 MiB). Larger files are
        refused.
    sep, decimal, thousands, encoding, rejects
        For a `.csv`, as for `read_array`.

    Returns
    -------
    dataframe
        A pandas dataframe; if pandas is not installed, one of polars or Arrow. From text files,
        columns of whole numbers become integers, other numbers float64, "true" and "false"
        booleans, and everything else text. Columns of Parquet keep their types.

    Raises
    ------
    FormatError, DataError, DataTypeError, SaveError, MissingExtraError
        As `read_array`. Also MissingExtraError if no library of dataframes is installed, and
        DataError for a column that holds both numbers and text and is not named in `text`.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "days.csv"
    >>> _ = path.write_text("sky,wind,zip\\nrain,3,01234\\nsun,,98765\\n")
    >>> read_table(path, missing=True)
        sky  wind    zip
    0  rain     3  01234
    1   sun  <NA>  98765
    """
    if not any(map(find_spec, LIBRARIES)):
        need("a dataframe of a table's columns", "tables", otherwise=", or polars")
    found = read_mixed(
        path,
        missing=missing,
        text=text,
        dates=dates,
        max_bytes=max_bytes,
        sep=sep,
        decimal=decimal,
        thousands=thousands,
        encoding=encoding,
        rejects=rejects,
    )
    if dates:
        _warn_of_local_dates(found, text, shown(path))
    return found.frame()


def read_mixed(
    path: PathLike,
    *,
    missing: bool = False,
    text: Collection[str] = (),
    levels: Collection[str] = (),
    dates: bool = False,
    max_bytes: int = MAX_BYTES,
    sep: str = ",",
    decimal: str = ".",
    thousands: str | None = None,
    encoding: str = "utf-8",
    rejects: PathLike | list[Reject] | None = None,
) -> Columns:
    """Read what `read_table` does, without a dataframe's library.

    Columns in `levels` are text as those in `text` are, and need not be there.
    """
    dialect = Dialect(sep, decimal, thousands, encoding)
    report = None if rejects is None else Rejects(rejects)
    with Source(path, max_bytes=max_bytes) as source:
        kind = recognise(source, ("text", "parquet"), is_text="encoding" in dialect.chosen)
        if kind == "parquet":
            options = [*dialect.chosen, *(["rejects"] if rejects is not None else [])]
            if options:
                raise FormatError(
                    f"{source.name}: is {in_words(kind)}, and {options[0]}= is of text alone "
                    "(.csv, .tsv): it means nothing here. Leave it out."
                )
            names, values = read_parquet_columns(source, missing=missing, dates=dates)
            _refuse_unknown(text, names, source.name)
            columns = map(_arrow_column, values)
            as_text = {*text, *levels}
            return Columns(names, [_as_text(*pair, as_text) for pair in zip(names, columns)])
        raw = dialect.as_utf8(source.read_all(), source.name)
        plain = Dialect(sep, decimal, thousands)
        cap = source.max_bytes if source.gzipped else None
        numbers = None
        if report is None and not (text or levels) and not _has_padded(raw, sep):
            numbers = _numbers(raw, source.name, plain, cap, missing=missing)
        if numbers is not None:
            return numbers
        named = (text, levels)
        asked = {"missing": missing, "dates": dates}
        if report is None:
            return _of_cells(raw, source.name, plain, cap, named, None, **asked)
        with report.report(source.path):
            found = _of_cells(raw, source.name, plain, cap, named, report, **asked)
        report.warn_of(source.name)
        return found


def _refuse_unknown(text: Collection[str], names: list[str], name: str) -> None:
    odd = [column for column in text if column not in names]
    if odd:
        raise DataError(
            f"{name}: text names {odd[0]!r}, which is no column of it: those are "
            f"{', '.join(map(repr, names[:20]))}."
        )


# ---- text ----------------------------------------------------------------------------------------


def _has_padded(raw: bytes, sep: str) -> bool:
    """Tell whether a cell may hold a number that begins with a zero too many."""
    mark = re.escape(sep.encode())
    return re.search(rb"(?:^|[\r\n\"]|" + mark + rb")[ +-]*0[0-9]", raw) is not None


def _numbers(
    raw: bytes, name: str, dialect: Dialect, cap: int | None, *, missing: bool
) -> Columns | None:
    """Return a table of numbers alone, read the fast way; None for any other."""
    try:
        names, rows = parse_csv(raw, name, missing=missing, max_bytes=cap, dialect=dialect)
    except DataError:
        return None
    return Columns(names, [_whole(column) for column in rows.T])


def _whole(values: NDArray[np.float64]) -> Column:
    """Return numbers as integers, where all are whole."""
    gaps = np.isnan(values)
    known = values[~gaps]
    if not len(known) or (known % 1 != 0).any() or np.abs(known).max() > 1 << 53:
        return Column(np.ascontiguousarray(values), gaps if gaps.any() else None)
    return Column(np.where(gaps, 0, values).astype(np.int64), gaps if gaps.any() else None)


class _Cells:
    """The distinct cells of a column, where each first stood, and which row has which."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.codes = array("q")
        self.seen: dict[str, int] = {}
        self.first: list[int] = []

    def add(self, cell: str, line: int) -> None:
        code = self.seen.setdefault(cell, len(self.seen))
        if code == len(self.first):
            self.first.append(line)
        self.codes.append(code)


def _of_cells(
    raw: bytes,
    name: str,
    dialect: Dialect,
    cap: int | None,
    named: tuple[Collection[str], Collection[str]],
    rejects: Rejects | None,
    *,
    missing: bool,
    dates: bool,
) -> Columns:
    """Return a table cell by cell; what cannot be read is left out, or raises."""
    names, header, rows = parse_named_cells(raw, name, dialect)
    if cap is not None and 8 * (n := raw.count(dialect.sep.encode()) + raw.count(b"\n")) > cap:
        raise FormatError(
            f"{name}: expands to {as_size(8 * n)} of cells > max_bytes {as_size(cap)}; pass "
            "max_bytes= if you trust it."
        )
    _refuse_unknown(named[0], names, name)
    text = {*named[0], *named[1]}
    held, lines = [_Cells(column) for column in names], array("q")
    for line, cells in _whole_rows(rows, names, name, dialect, rejects):
        lines.append(line)
        for column, cell in zip(held, cells, strict=True):
            column.add(cell.strip(), line)
    kinds = [
        _Kind.of(column, dialect, column.name in text, missing, name, rejects is not None)
        for column in held
    ]
    left = np.ones(len(lines), dtype=bool)
    for column, kind in zip(held, kinds, strict=True):
        if kind.refused and rejects is not None:
            _reject(column, kind, lines, left, rejects)
    if rejects is not None:
        rejects.rows += int((~left).sum())
    if not left.any():
        seen = "no row that could be read" if rejects and rejects.rows else "no rows"
        raise DataError(f"{name}: holds {'a header line and ' * header}{seen}.")
    columns = [
        kind.column(np.frombuffer(column.codes, dtype=np.int64)[left])
        for column, kind in zip(held, kinds, strict=True)
    ]
    if dates:
        columns = [
            column if name in text else _as_dates(column)
            for name, column in zip(names, columns, strict=True)
        ]
    warn_of_thousands(raw, name, dialect, names, [c.values.dtype.kind in "if" for c in columns])
    if not header:
        raise DataError(
            f"{name}: its first line holds numbers, and text is below: give every column a name, "
            "in a first line."
        )
    if counts_rows(names, columns[0].plain(), name, gaps=bool(rejects and rejects.rows)):
        names, columns = names[1:], columns[1:]
    refuse_unnamed(names, name)
    return Columns(names, columns)


def _whole_rows(
    rows: Iterable[tuple[int, list[str]]],
    names: list[str],
    name: str,
    dialect: Dialect,
    rejects: Rejects | None,
) -> Iterator[tuple[int, list[str]]]:
    """Give the rows that have a cell for each column."""
    for line, cells in rows:
        if len(cells) == len(names):
            yield line, cells
        elif rejects is None:
            raise FormatError(
                f"{name}: line {line} has {len(cells)} cells, line 1 has {len(names)}: "
                "the file is ragged. Give every line as many cells."
            )
        else:
            why = f"{len(cells)} cells where {len(names)} are wanted"
            rejects.add(line, "", dialect.sep.join(cells), why)
            rejects.rows += 1


def _reject(
    column: _Cells, kind: _Kind, lines: array[int], left: NDArray[np.bool_], rejects: Rejects
) -> None:
    """Report the cells of a column that cannot be read, and leave their rows out."""
    codes = np.frombuffer(column.codes, dtype=np.int64)
    cells = list(column.seen)
    for i in np.flatnonzero(np.isin(codes, list(kind.refused))).tolist():
        rejects.add(lines[i], column.name, cells[codes[i]], kind.refused[int(codes[i])])
        left[i] = False


@dataclass
class _Kind:
    """What the distinct cells of a column stand for."""

    values: NDArray
    gaps: NDArray[np.bool_]
    refused: dict[int, str]

    @classmethod
    def of(
        cls,
        column: _Cells,
        dialect: Dialect,
        is_text: bool,  # noqa: FBT001
        missing: bool,  # noqa: FBT001
        name: str,
        rejecting: bool,  # noqa: FBT001
    ) -> _Kind:
        """Return the kind of a column; DataError for one of two kinds, or with a gap unasked."""
        cells = list(column.seen)
        gaps = np.fromiter(map(is_missing_text, cells), bool, len(cells))
        refused: dict[int, str] = {}

        def refuse(code: int, seen: str, mend: str) -> None:
            if not rejecting:
                where = f"{name}: line {column.first[code]}, column {column.name!r}"
                raise DataError(f"{where}: {seen}; {mend}")
            refused[code] = seen

        if not missing:
            for code in np.flatnonzero(gaps).tolist():
                seen = f"missing value {cells[code]!r}" if cells[code] else "empty cell"
                refuse(code, seen, "fill it, drop the row, or pass missing=True.")
        known = [code for code in range(len(cells)) if not gaps[code]]
        spelt = {code: dialect.spelt(cells[code]) for code in known}
        numbers = [code for code in known if spelt[code] is not None]
        padded = any(_PADDED.fullmatch(spelt[code] or "") for code in numbers)
        if is_text or not numbers or (padded and len(numbers) == len(known)):
            odd = next((code for code in known if is_infinite(cells[code])), None)
            if odd is not None and not is_text:
                refuse(
                    odd, f"{cells[odd]!r} is infinite and cannot be modelled", "drop or clip it."
                )
            foreign = next((code for code in known if spellings_of(cells[code], dialect)), None)
            if foreign is not None and not (is_text or numbers):
                found = spellings_of(cells[foreign], dialect)
                seen = f"{cells[foreign][:40]!r} may be a number ({found})"
                refuse(foreign, seen, f"pass what it is, or {_mend_as_text(column.name)}")
            return cls._of_words(cells, gaps, refused, is_text=is_text)
        for code in known:
            if spelt[code] is None:
                refuse(code, *_no_number(cells[code], column.name, dialect))
        values = np.full(len(cells), np.nan)
        whole = all(_WHOLE.fullmatch(spelt[code] or "") for code in numbers)
        if whole:
            digits = {code: (spelt[code] or "").partition(".")[0].strip() for code in numbers}
            exact = {c: int(text) if len(text) < 25 else 1 << 64 for c, text in digits.items()}
            for code, value in exact.items():
                if not -(1 << 63) <= value < 1 << 63:
                    refuse(
                        code, f"{cells[code][:40]} is beyond 64 bits", _mend_as_text(column.name)
                    )
            integers = np.zeros(len(cells), dtype=np.int64)
            for code, value in exact.items():
                integers[code] = value if code not in refused else 0
            return cls(integers, gaps, refused)
        for code in numbers:
            values[code] = float(spelt[code] or "nan")
            if not np.isfinite(values[code]):
                refuse(code, f"{cells[code][:40]!r} is too large for a float64", "rescale it.")
        return cls(values, gaps, refused)

    @classmethod
    def _of_words(
        cls,
        cells: list[str],
        gaps: NDArray[np.bool_],
        refused: dict[int, str],
        *,
        is_text: bool,
    ) -> _Kind:
        """Return the kind of a column without numbers: booleans, or text."""
        known = [cell for cell, gap in zip(cells, gaps.tolist(), strict=True) if not gap]
        if not known:
            return cls(np.full(len(cells), np.nan), gaps, refused)
        if not is_text and all(cell.lower() in _BOOLEANS for cell in known):
            held = [_BOOLEANS.get(cell.lower(), False) for cell in cells]
            return cls(np.array(held), gaps, refused)
        values = np.array(cells, dtype=object)
        values[gaps] = None
        return cls(values, gaps, refused)

    def column(self, codes: NDArray[np.int64]) -> Column:
        gaps = self.gaps[codes]
        values = self.values[codes]
        if values.dtype.kind == "f" and not gaps.all():
            return _whole(values)
        return Column(values, gaps if gaps.any() else None)


def _as_dates(column: Column) -> Column:
    """Return a column of text as dates where every cell is one; else as it is."""
    if column.values.dtype.kind != "O":
        return column
    moments: dict[Any, dt.datetime | None] = {None: None}
    for cell in column.values.tolist():
        if cell not in moments:
            if (found := date_in(cell)) is None:
                return column
            moments[cell] = found
    values = np.array([moments[cell] for cell in column.values.tolist()], dtype="M8[us]")
    return Column(values, column.gaps, column.levels)


def _warn_of_local_dates(found: Columns, text: Collection[str], name: str) -> None:
    """Warn of columns whose dates are in another form than that which is read."""
    examples = {}
    for label, column in zip(found.names, found.columns, strict=True):
        if label not in text and column.values.dtype.kind == "O":
            known = {cell for cell in column.values.tolist() if isinstance(cell, str)}
            if are_local_dates(known):
                examples[label] = min(known)
    if examples:
        label, example = next(iter(examples.items()))
        warn(
            f"{name}: dates that are not in the form of ISO 8601, such as {example!r}, stay text "
            f"in {', '.join(map(repr, examples))}. {conversion_of_dates(label)}."
        )


def _mend_as_text(column: str) -> str:
    return f"leave the column out, or take it as text, text=[{column!r}]."


def _no_number(cell: str, column: str, dialect: Dialect) -> tuple[str, str]:
    """Say what a cell is that stands among numbers."""
    if is_infinite(cell):
        return f"{cell!r} is infinite and cannot be modelled", "drop or clip it."
    hint = f" (a number by {found}?)" if (found := spellings_of(cell, dialect)) else ""
    return (
        f"{cell[:40]!r} is text{hint}, and the column holds numbers, too",
        f"mend it, leave it empty or write NA where a value is missing, or {_mend_as_text(column)}",
    )


# ---- Parquet -------------------------------------------------------------------------------------


def _arrow_column(values: Any) -> Column:
    """Return a column of Arrow's as it is held here."""
    import pyarrow as pa

    levels = None
    gaps = values.is_null().to_numpy() if values.null_count else None
    if pa.types.is_dictionary(values.type):
        parts = [part.dictionary.to_pylist() for part in values.chunks]
        levels = list(dict.fromkeys(level for part in parts for level in part if level is not None))
        values = values.cast(values.type.value_type)
    if pa.types.is_integer(values.type) or pa.types.is_boolean(values.type):
        held = values.fill_null(0 if pa.types.is_integer(values.type) else False)
        return Column(held.to_numpy(), gaps, levels)
    if pa.types.is_floating(values.type):
        held = values.to_numpy()
        nan = np.isnan(held)
        return Column(held, nan if nan.any() else None, levels)
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):  # of UTC
        return Column(values.cast(pa.timestamp("us"), safe=False).to_numpy(), gaps)
    return Column(np.array(values.to_pylist(), dtype=object), gaps, levels)


def as_read(form: Form) -> Form:
    """Return the form of Arrow's tables as that of the frames of pandas that `read_table` makes.

    It keeps the other as "written". Without pandas, the form as it is.
    """
    if find_spec("pandas") is None:
        return form
    types = [_type_as_read(one) for one in form["dtypes"]]
    return {
        "library": "pandas", "kind": "DataFrame", "dtypes": types, "of": form["of"], "written": form
    }  # fmt: skip


def _type_as_read(one: Type) -> Type:
    import pyarrow as pa

    column = _arrow_column(pa.chunked_array([arrow_column(pa, np.empty(0, dtype=object), one)]))
    if column.levels is None and column.values.dtype.kind == "O":
        column = Column(np.array([""], dtype=object))  # of which pandas sees that it is text
    read: Form = form_of(Columns(["x"], [column]).frame("pandas")) or {}
    found: Type = read["dtypes"][0]
    return found


def _as_text(name: str, column: Column, text: Collection[str]) -> Column:
    if name not in text or column.values.dtype.kind == "O":
        return column
    if column.values.dtype.kind == "f":
        raise DataTypeError(f"column {name!r} holds floats, which are no text: leave it out of it.")
    values = np.array([str(value) for value in column.values.tolist()], dtype=object)
    if column.gaps is not None:
        values[column.gaps] = None
    return Column(values, column.gaps, None)
