"""Tables in many files, as one: the same columns in each, of one type, in parts of some 32 MiB.

What a part gives is an Arrow table: numbers, text, levels, dates and gaps keep their types.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from ancestral.errors import DataError
from ancestral.streaming.source import PART_BYTES, Source
from ancestral.streaming.sources.files import File, identity_of

LARGE = 2 * PART_BYTES  # what is larger is cut
ALIKE = "Name the columns alike in every file, or choose those that all have with columns=."


class Span(Protocol):
    """Rows that stand together in one file."""

    @property
    def file(self) -> File: ...
    @property
    def n_rows(self) -> int | None: ...
    @property
    def n_bytes(self) -> int: ...
    @property
    def start(self) -> int | None: ...

    def table(self) -> Any:
        """Return the rows as an Arrow table."""

    def place_of(self, row: int) -> str:
        """Return where one of these rows stands, in words."""


@dataclass(frozen=True)
class TablePiece:
    """Rows that are read at once: of one file, or of several small ones."""

    spans: tuple[Span, ...]

    @property
    def n_rows(self) -> int | None:
        """How many there are, where all files tell."""
        return _sum(span.n_rows for span in self.spans)

    @property
    def n_bytes(self) -> int:
        """About how much memory they take."""
        return sum(span.n_bytes for span in self.spans)

    @property
    def start(self) -> int | None:
        """The number of the first row in its file, where all rows are of one."""
        return self.spans[0].start if len({span.file for span in self.spans}) == 1 else None

    @property
    def of(self) -> str:
        """The file, and how many follow it."""
        files = list(dict.fromkeys(span.file.name for span in self.spans))
        return files[0] + f" and {len(files) - 1} more" * (len(files) > 1)

    def place_of(self, row: int) -> str | None:
        """Return where a row stands, in words: its file, and the row or the line there."""
        for span in self.spans:
            n = span.n_rows
            if n is None:
                n = row + 1 if len(self.spans) == 1 else span.table().num_rows
            if row < n:
                return span.place_of(row)
            row -= n
        return None

    def read(self) -> Any:
        """Return the rows as an Arrow table."""
        tables = [span.table() for span in self.spans]
        if len(tables) == 1:
            return tables[0]
        import pyarrow as pa

        return pa.concat_tables(tables)


class Tables(Source):
    """Rows of files, gathered in parts.

    Parameters
    ----------
    spans : sequence of Span
        In their order, none of them large.
    schema : pyarrow.Schema
        Of every part.
    rows : int, optional
        In a part; about 32 MiB of them when not given.
    """

    def __init__(self, spans: Sequence[Span], schema: Any, rows: int | None) -> None:
        self.spans, self.schema, self.rows = spans, schema, rows

    def parts(self) -> list[TablePiece]:
        """Return the parts."""
        return self._parts

    @cached_property
    def _parts(self) -> list[TablePiece]:
        return [TablePiece(tuple(spans)) for spans in self._gathered()]

    def _gathered(self) -> Iterator[list[Span]]:
        """Yield spans that make up a part."""
        held: list[Span] = []
        for span in self.spans:
            n_rows = _sum(one.n_rows for one in [*held, span])
            n_bytes = sum(one.n_bytes for one in [*held, span])
            full = n_bytes > PART_BYTES
            if self.rows is not None:
                full = n_rows is None or n_rows > self.rows
            if held and full:
                yield held
                held = []
            held.append(span)
        if held:
            yield held

    @property
    def identity(self) -> str:
        """SHA-256 of the files' paths, sizes and times, and of the columns."""
        return identity_of(list(dict.fromkeys(span.file for span in self.spans)), self.schema)


def _sum(counts: Iterable[int | None]) -> int | None:
    known = list(counts)
    return None if None in known else sum(known)  # type: ignore[arg-type]


# ---- columns -------------------------------------------------------------------------------------


def settled(files: Sequence[tuple[str, Any]], columns: Sequence[str] | None) -> Any:
    """Return the schema that all files have in common.

    Parameters
    ----------
    files : sequence of (str, pyarrow.Schema)
        What each is called, and its columns; all of them are those of the first, in any order.
    columns : sequence of str, optional
        Which are wanted, in this order; others may differ.

    Raises
    ------
    DataError
        Naming the file and the column, where one is absent, there twice or of another type.
    """
    import pyarrow as pa

    (name, first), *rest = files
    wanted = list(first.names if columns is None else columns)
    if not wanted:
        raise DataError(f"{name}: has no columns." if columns is None else "columns= names none.")
    if twice := [one for one, times in Counter(wanted).items() if times > 1]:
        raise DataError(f"{name}: two columns are named {twice[0]!r}: rename one.")
    found = {one: (name, field) for one, field in zip(wanted, _fields(name, first, wanted))}
    seen = first
    for other, schema in rest:
        if schema.equals(seen):
            continue
        if columns is None and set(schema.names) != set(wanted):
            differ = [
                f"{words} {', '.join(map(repr, names[:5]))}{', ...' * (len(names) > 5)}"
                for words, names in (
                    ("lacks", sorted(set(wanted) - set(schema.names))),
                    ("has besides", sorted(set(schema.names) - set(wanted))),
                )
                if names
            ]
            seen = " and ".join(differ) or "has one of them twice"
            raise DataError(f"{other}: its columns should be those of {name}; it {seen}. {ALIKE}")
        for one, field in zip(wanted, _fields(other, schema, wanted)):
            found[one] = _joined(found[one], (other, field))
        seen = schema
    return pa.schema([field for _, field in found.values()])


def _fields(name: str, schema: Any, wanted: Sequence[str]) -> list[Any]:
    """Return the fields of these names; DataError where one is absent or there twice."""
    held = []
    for one in wanted:
        places = schema.get_all_field_indices(one)
        if len(places) != 1:
            known = ", ".join(map(repr, schema.names[:8])) + ", ..." * (len(schema.names) > 8)
            odd = "has more than one column" if places else "has no column"
            raise DataError(f"{name}: {odd} {one!r}; it has {known}.")
        held.append(schema.field(places[0]))
    return held


def _joined(one: tuple[str, Any], two: tuple[str, Any]) -> tuple[str, Any]:
    """Return a field that holds what both hold: of numbers, the wider; of text, the text."""
    import pyarrow as pa

    (first, here), (second, there) = one, two
    types = [_plain(field.type) for field in (here, there)]
    if here.equals(there):
        return one
    nullable = here.nullable or there.nullable
    try:
        if kind_of(types[0]) != kind_of(types[1]) and "nothing" not in map(kind_of, types):
            raise pa.ArrowTypeError
        coded = [field for field in (here, there) if pa.types.is_dictionary(field.type)]
        if coded and "text" in map(kind_of, types):
            return first, coded[0].with_nullable(nullable)  # levels, and none or text elsewhere
        schemas = [pa.schema([(here.name, kind)]) for kind in types]
        joined = pa.unify_schemas(schemas, promote_options="permissive").field(0)
        return first, joined.with_nullable(nullable)
    except pa.ArrowException:
        words = [f"{field.type}, {kind_of(kind)}," for field, kind in zip((here, there), types)]
        raise DataError(
            f"{second}: column {here.name!r} holds {words[1]} and in {first} it holds "
            f"{words[0][:-1]}. Give a column one type in every file."
        ) from None


def _plain(dtype: Any) -> Any:
    """Return the type of the values, of levels as of others."""
    import pyarrow as pa

    return dtype.value_type if pa.types.is_dictionary(dtype) else dtype


def kind_of(dtype: Any) -> str:
    """Return what values of a type are: types of one kind can stand for each other."""
    from pyarrow import types

    text = types.is_string(dtype) or types.is_large_string(dtype) or str(dtype) == "string_view"
    kinds = {
        "nothing": types.is_null(dtype),
        "numbers": types.is_integer(dtype) or types.is_floating(dtype),
        "truth values": types.is_boolean(dtype),
        "text": text,
        "dates": types.is_timestamp(dtype) or types.is_date(dtype),
        "decimals": types.is_decimal(dtype),
    }
    return next((kind for kind, holds in kinds.items() if holds), str(dtype))


# ---- levels --------------------------------------------------------------------------------------


def merged_levels(name: str, seen: Sequence[tuple[str, Any]], *, ordered: bool) -> Any:
    """Return the levels of a column in all files, as they come: those of the first file first.

    Parameters
    ----------
    name : str
        Of the column.
    seen : sequence of (str, pyarrow.Array)
        What each file is called, and its levels.
    ordered : bool
        Whether their order means something; it must then be the same in all.
    """
    import pyarrow as pa

    if len({str(levels) for _, levels in seen}) == 1:
        return seen[0][1]
    held = [[value for value in levels.to_pylist() if value is not None] for _, levels in seen]
    together = list(dict.fromkeys(value for values in held for value in values))
    place = {value: k for k, value in enumerate(together)}
    if ordered:
        for (file, _), values in zip(seen, held):
            if sorted(values, key=place.__getitem__) != values:
                raise DataError(
                    f"{file}: column {name!r} has its levels in the order {values[:8]}, and files "
                    f"before have {together[:8]}. Give the same order in every file."
                )
    return pa.array(together, seen[0][1].type)


def as_levels(column: Any, levels: Any, dtype: Any) -> Any:
    """Return a column as codes of these levels."""
    import pyarrow as pa
    from pyarrow import compute

    held = []
    for chunk in column.chunks:
        if not pa.types.is_dictionary(chunk.type):
            codes = compute.index_in(chunk.cast(levels.type), levels)
        elif chunk.dictionary.equals(levels):
            codes = chunk.indices
        else:
            places = compute.index_in(chunk.dictionary.cast(levels.type), levels)
            codes = places.take(chunk.indices)
        made = pa.DictionaryArray.from_arrays(
            codes.cast(dtype.index_type), levels, ordered=dtype.ordered
        )
        held.append(made)
    return pa.chunked_array(held, type=dtype)
