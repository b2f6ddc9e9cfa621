"""Parquet files by their row groups.

Small row groups are read several at once. A large one is read in order, some rows at a time, since
what its columns hold cannot be entered in the middle: who asks for the next rows goes on where the
last were read, and who asks for others reads over those before them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ancestral.errors import AncestralError, DataError, FormatError
from ancestral.io.kinds import in_words, sniff
from ancestral.io.parquet import pyarrow_for, without_index
from ancestral.streaming.source import PART_BYTES
from ancestral.streaming.sources.files import File
from ancestral.streaming.sources.folders import folder_column, with_folders
from ancestral.streaming.sources.known import Known
from ancestral.streaming.sources.tables import (
    LARGE,
    Tables,
    as_levels,
    kind_of,
    merged_levels,
    settled,
)

BUFFER = 1 << 18  # bytes read ahead in each column, so that none is held whole
REMOTE_BUFFER = 1 << 20  # where each takes a request
FOOTERS = 16  # read at once, where each takes a request


@dataclass(frozen=True)
class Layout:
    """What the rows of all files become.

    Parameters
    ----------
    schema : pyarrow.Schema
    levels : mapping of str to pyarrow.Array
        Of the columns that have them.
    """

    schema: Any
    levels: Mapping[str, Any]

    def of(self, table: Any, file: File) -> Any:
        """Return a table of a file in this form, columns that the file's folders name included."""
        pa, _ = pyarrow_for(file.name)
        columns, own = [], set(table.schema.names)
        for field in self.schema:
            if field.name not in own:
                columns.append(folder_column(file, field, table.num_rows))
                continue
            column = table.column(field.name)
            try:
                if field.name in self.levels:
                    column = as_levels(column, self.levels[field.name], field.type)
                elif column.type != field.type:
                    column = column.cast(field.type)
            except pa.ArrowInvalid as error:
                why = str(error).splitlines()[0][:120]
                raise DataError(
                    f"{file.name}: column {field.name!r} holds {column.type}, and cannot become "
                    f"{field.type}, as in other files ({why})."
                ) from None
            columns.append(column)
        return pa.Table.from_arrays(columns, schema=self.schema)


@dataclass(frozen=True)
class ParquetSpan:
    """Whole row groups of a file, or some rows of one."""

    file: File
    groups: tuple[int, ...]
    skip: int  # rows of the group that stand before these
    n_rows: int
    n_bytes: int
    start: int
    whole: bool
    layout: Layout

    def place_of(self, row: int) -> str:
        """Return where one of these rows stands, in words."""
        return f"row {self.start + row} of {self.file.name}"

    def table(self) -> Any:
        """Return the rows as an Arrow table."""
        own = set(_metadata(self.file).schema.to_arrow_schema().names)
        names = [name for name in self.layout.schema.names if name in own]
        with _readable(self.file):
            if self.whole:
                with _stream(self.file) as stream:
                    reader = _reader(self.file, stream, whole=True)
                    table = reader.read_row_groups(list(self.groups), columns=names)
            else:
                table = _taken(self, tuple(names))
        return self.layout.of(table, self.file)


def parquet_source(
    files: Sequence[File],
    *,
    columns: Sequence[str] | None = None,
    rows: int | None = None,
    known: Known | None = None,
) -> Tables:
    """Return the rows of Parquet files, by name of their columns.

    Those that a model does not know may be of any type.

    Raises
    ------
    FormatError
        Where a file is damaged, naming it.
    DataError
        Where columns or their types differ, or there are no rows.
    """
    pa, _ = pyarrow_for(files[0].name)
    with ThreadPoolExecutor(1 if files[0].is_here else FOOTERS) as pool:
        metadata = list(pool.map(_metadata, files))
    schemas = _without_indices(files, [one.schema.to_arrow_schema() for one in metadata])
    schemas = with_folders(files, schemas)
    schema = settled([(file.name, own) for file, own in zip(files, schemas)], columns)
    for field in schema:
        if known is None or field.name in known.names:
            _refuse_odd(field, files[0].name)
    layout = Layout(schema, _levels(files, metadata, schema))
    fields = [
        field.with_type(
            pa.dictionary(
                field.type.index_type, layout.levels[field.name].type, ordered=field.type.ordered
            )
        )
        if field.name in layout.levels
        else field
        for field in schema
    ]
    layout = Layout(pa.schema(fields), layout.levels)
    spans = [span for file, one in zip(files, metadata) for span in _spans(file, one, layout, rows)]
    if not spans:
        raise DataError(
            f"{files[0].name}: holds columns and no rows"
            + ("." if len(files) == 1 else f", and so do {len(files) - 1} more files.")
        )
    return Tables(spans, layout.schema, rows)


def _spans(file: File, metadata: Any, layout: Layout, rows: int | None) -> Iterator[ParquetSpan]:
    """Yield a file's row groups, large ones in pieces."""
    start = 0
    places = {
        metadata.schema.column(j).path.partition(".")[0]: j for j in range(metadata.num_columns)
    }
    for g in range(metadata.num_row_groups):
        group = metadata.row_group(g)
        n = group.num_rows
        n_bytes = sum(
            _bytes_of(field.type, n, group, places[field.name])
            for field in layout.schema
            if field.name in places
        )
        large = n_bytes > LARGE if rows is None else n > rows
        step = -(-n // max(1, -(-n_bytes // PART_BYTES) if rows is None else -(-n // rows)))
        for skip in range(0, n, step if large else n) if n else ():
            here = min(step, n - skip) if large else n
            size = n_bytes * here // n
            yield ParquetSpan(file, (g,), skip, here, size, start + skip, not large, layout)
        start += n


def _bytes_of(dtype: Any, n_rows: int, group: Any, place: int) -> int:
    """Return about how much memory a column of a row group takes."""
    try:
        return int(n_rows * max(8, dtype.bit_width) // 8)
    except ValueError:  # text: its length, though it may repeat, and where it begins
        return int(max(group.column(place).total_uncompressed_size, 8 * n_rows))


def _without_indices(files: Sequence[File], schemas: Sequence[Any]) -> list[Any]:
    """Return the columns of each file but the index of a pandas frame; said once."""
    pa, _ = pyarrow_for(files[0].name)
    kept, first = [], None
    for file, schema in zip(files, schemas):
        if first is None or not schema.equals(first[0]):
            fields = without_index(list(schema), schema.metadata, file.name, say=first is None)
            first = schema, pa.schema(fields)
        kept.append(first[1])
    return kept


def _refuse_odd(field: Any, name: str) -> None:
    """Raise DataError for a column of a kind that no model takes."""
    from pyarrow import types

    of = field.type.value_type if types.is_dictionary(field.type) else field.type
    if kind_of(of) == str(of):
        raise DataError(
            f"{name}: column {field.name!r} holds {str(of)[:60]} values: convert it to numbers or "
            "text, or leave it out with columns=[...]; for a fitted model that does not know "
            "it, give like=model."
        )


def _levels(files: Sequence[File], metadata: Sequence[Any], schema: Any) -> dict[str, Any]:
    """Return the levels of columns that declare them, from a look at these columns alone."""
    from pyarrow import types

    coded = {field.name: field.type for field in schema if types.is_dictionary(field.type)}
    seen: dict[str, list[tuple[str, Any]]] = {name: [] for name in coded}
    for file, one in zip(files, metadata):
        own = one.schema.to_arrow_schema()
        for name, dtype in coded.items():
            if name not in own.names or types.is_null(own.field(name).type):
                continue
            with _readable(file), _stream(file) as stream:
                reader = _reader(file, stream, whole=True)
                for g in range(one.num_row_groups):
                    column = reader.read_row_group(g, columns=[name]).column(0)
                    for chunk in column.chunks:
                        levels = (
                            chunk.dictionary if types.is_dictionary(chunk.type) else chunk.unique()
                        )
                        levels = levels.cast(dtype.value_type).drop_null()
                        if not seen[name] or not levels.equals(seen[name][-1][1]):
                            seen[name].append((file.name, levels))
    return {
        name: merged_levels(name, found, ordered=coded[name].ordered)
        for name, found in seen.items()
        if found
    }


# ---- reading -------------------------------------------------------------------------------------


@lru_cache(32)
def _metadata(file: File) -> Any:
    """Return a file's footer."""
    _, pq = pyarrow_for(file.name)
    with _readable(file), _stream(file) as stream:
        return pq.read_metadata(stream)


@contextmanager
def _stream(file: File) -> Iterator[Any]:
    """Give a file as Arrow reads it best; it must be the same before and after."""
    file.refuse_changed()
    with _streamed(file) as stream:
        yield stream
    file.refuse_changed()


def _streamed(file: File) -> Any:
    """Return Arrow's own stream of a file of this machine, fsspec's of another."""
    return pyarrow_for(file.name)[0].OSFile(file.path) if file.is_here else file.stream()


def _reader(file: File, stream: Any, *, whole: bool) -> Any:
    """Return Arrow's reader, of whole row groups or of some rows at a time.

    What comes by requests is asked for all at once where it will all be held.
    """
    how: dict[str, Any] = {"pre_buffer": False, "buffer_size": BUFFER}
    if not file.is_here:
        how = {"pre_buffer": True} if whole else {**how, "buffer_size": REMOTE_BUFFER}
    parquet = pyarrow_for(file.name)[1]
    return parquet.ParquetFile(
        stream, metadata=_metadata(file), page_checksum_verification=True, **how
    )


@contextmanager
def _readable(file: File) -> Iterator[None]:
    """Turn what Arrow raises into FormatError."""
    pa, _ = pyarrow_for(file.name)
    with file.told():
        try:
            yield
        except (AncestralError, MemoryError, PermissionError, FileNotFoundError, ConnectionError):
            raise
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            file.refuse_changed()
            kind = sniff(file.read(0, min(file.size, 4096)) if file.size > 0 else b"PAR1")
            if kind != "parquet":
                raise FormatError(
                    f"{file.name}: is no Parquet file: it looks like {in_words(kind)}. Rename it "
                    "to what it is, or get the right file."
                ) from None
            why = (str(error).splitlines() or [""])[0][:120]
            raise FormatError(
                f"{file.name}: damaged Parquet file ({why}); copy it again."
            ) from None


class _Run:
    """One reading of a large row group from its beginning, held between its pieces."""

    def __init__(self, span: ParquetSpan, names: tuple[str, ...]) -> None:
        reader = _reader(span.file, _streamed(span.file), whole=False)
        self.batches = reader.iter_batches(
            batch_size=span.n_rows, row_groups=list(span.groups), columns=list(names)
        )
        self.at = 0
        self.left: Any = None  # of a batch

    def rows(self, n: int) -> list[Any]:
        """Return the next rows, as record batches."""
        held = []
        while n:
            batch = next(self.batches) if self.left is None else self.left
            taken = batch.slice(0, n)
            self.left = batch.slice(n) if batch.num_rows > n else None
            held.append(taken)
            n -= taken.num_rows
            self.at += taken.num_rows
        return held

    def over(self, n: int) -> None:
        """Pass over rows, a batch at a time."""
        while n:
            n -= sum(batch.num_rows for batch in self.rows(min(n, 1 << 16)))


_RUNS: list[tuple[Any, _Run]] = []  # that nobody reads now, the last used at the end
_RUNS_LOCK = threading.Lock()
_MOST_RUNS = 2


def _taken(span: ParquetSpan, names: tuple[str, ...]) -> Any:
    """Return some rows of a large row group, from a reading that stands before them."""
    pa, _ = pyarrow_for(span.file.name)
    span.file.refuse_changed()
    key = span.file, span.groups, names
    with _RUNS_LOCK:
        before = [one for one in _RUNS if one[0] == key and one[1].at <= span.skip]
        nearest = max(before, key=lambda one: one[1].at, default=None)
        _RUNS[:] = [one for one in _RUNS if one[0] == key and one is not nearest]
    run = _Run(span, names) if nearest is None else nearest[1]
    run.over(span.skip - run.at)
    batches = run.rows(span.n_rows)
    span.file.refuse_changed()
    with _RUNS_LOCK:
        if run.at < _metadata(span.file).row_group(span.groups[0]).num_rows:
            _RUNS.append((key, run))
        del _RUNS[:-_MOST_RUNS]
    return pa.Table.from_batches(batches)
