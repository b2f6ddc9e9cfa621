"""Tables that are written part by part, to an open file of the kind that its name says.

Each kind of file takes tables of the same columns, one after the other, and is whole once `end` has
been called. The columns' names and types are those of the first table: what follows is brought into
them where nothing is lost by it, and refused where something would be.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from ancestral._checks.containers import as_levels, opened
from ancestral._checks.frames import form_of
from ancestral._files import shown
from ancestral.errors import DataError, DataTypeError, SaveError
from ancestral.io.dtypes import parse_dtype
from ancestral.io.parquet import pyarrow_for
from ancestral.io.writing import as_text, columns_of

ENDINGS = (".parquet", ".csv", ".tsv", ".npy")
GROUP_BYTES = 16 << 20  # of a row group of Parquet: smaller tables wait for the next


class RowFile(ABC):
    """A file that grows by tables: dataframes, or arrays of shape (n,) or (n, d).

    Parameters
    ----------
    file : binary file
        Open for writing, and buffered: it writes all that it is given.
    name : str
        Of the file, for messages.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.file, self.name = file, name

    @abstractmethod
    def write(self, table: Any, names: Sequence[str] | None = None) -> None:
        """Add the rows of a table; an array's columns have these names, or x0, x1, ..."""

    @abstractmethod
    def end(self) -> None:
        """Write what is left; the file is its opener's to close."""

    def drop(self) -> None:  # noqa: B027 - most have nothing to forget
        """Forget what is left, where the file is not to be."""


def row_file(file: IO[bytes], path: str) -> RowFile:
    """Return what writes tables to an open file, of the kind that its path says.

    Raises
    ------
    SaveError
        For an ending of no such kind.
    MissingExtraError
        For Parquet without pyarrow.
    """
    return _KINDS[ending_of(path)](file, shown(path))


def ending_of(path: str) -> str:
    """Return the ending of a path, one of those that can be written part by part."""
    for ending in ENDINGS:
        if path.endswith(ending):
            return ending
    raise SaveError(
        f"{shown(path)}: end the name in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}, which can be "
        "written part by part."
    )


class _Text(RowFile):
    """Lines of cells, the names first."""

    sep = ","
    labels: list[str] | None = None

    def write(self, table: Any, names: Sequence[str] | None = None) -> None:
        """Add lines."""
        if isinstance(table, np.ndarray) and table.dtype.kind == "b":
            table = table.astype(np.int8)  # the readers of arrays take no words for numbers
        labels, columns = columns_of(table, names)
        text = as_text(labels, columns, self.sep)
        if self.labels is None:
            self.labels = labels
        else:
            _refuse_other_names(labels, self.labels)
            text = text[len(as_text(labels, [], self.sep)) :]
        self.file.write(text.encode())

    def end(self) -> None:
        """Every line is there."""


class _Tabs(_Text):
    sep = "\t"


class _Npy(RowFile):
    """Rows of one type of number; the header is written again once their number is known."""

    n_rows = 0
    shape: tuple[int, ...] = ()
    dtype: Any = None

    def __init__(self, file: IO[bytes], name: str) -> None:
        super().__init__(file, name)
        if not file.seekable():
            raise SaveError(
                f"{name}: a .npy file begins with its number of rows, which is known only at the "
                "end, and this place cannot be written twice. Write .parquet or .csv."
            )

    def write(self, table: Any, names: Sequence[str] | None = None) -> None:
        """Add rows."""
        rows = np.ascontiguousarray(as_levels(opened(table, "table"), "table"))
        if self.dtype is None:
            self._refuse_unreadable(rows.dtype)
            self.dtype, self.shape = rows.dtype, rows.shape[1:]
            self._head()
        if rows.shape[1:] != self.shape:
            raise DataError(
                f"rows of shape {rows.shape[1:]} come after rows of shape {self.shape}."
            )
        if rows.dtype != self.dtype:
            rows = self._brought(rows)
        self.n_rows += len(rows)
        self.file.write(rows.tobytes() if rows.size else b"")

    def end(self) -> None:
        """Write the number of rows into the header."""
        if self.dtype is not None:
            self.file.seek(0)
            self._head()

    def _head(self) -> None:
        held = {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False}
        npy.write_array_header_1_0(self.file, held | {"shape": (self.n_rows, *self.shape)})

    def _brought(self, rows: Any) -> Any:
        """Return rows in the type of the first, which must hold them."""
        if self.dtype.kind in "biuf" and rows.dtype.kind in "biuf":
            found = rows.astype(self.dtype)
            if np.array_equal(found, rows, equal_nan=found.dtype.kind == "f"):
                return found
        raise DataError(
            f"{self.name}: holds {self.dtype}, which cannot take values of {rows.dtype} that come "
            "later. Write .parquet or .csv."
        )

    def _refuse_unreadable(self, dtype: Any) -> None:
        try:
            parse_dtype(dtype.str, self.name)
        except (DataError, DataTypeError):
            raise SaveError(
                f"{self.name}: .npy files hold booleans, integers and floats to 8 bytes; got "
                f"dtype {dtype}. Write .parquet or .csv, or convert to numbers."
            ) from None


class _Parquet(RowFile):
    """Row groups, written as they come; small tables are gathered into one."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        pyarrow_for(name)
        super().__init__(file, name)
        self.schema: Any = None
        self.writer: Any = None
        self.waiting: list[Any] = []
        self.n_bytes = 0

    def write(self, table: Any, names: Sequence[str] | None = None) -> None:
        """Add rows, as one row group or with what follows."""
        held = as_arrow(table, names, like=self.schema)
        self.schema = held.schema
        self.waiting.append(held)
        self.n_bytes += held.nbytes
        if self.n_bytes >= GROUP_BYTES:
            self._put()

    def end(self) -> None:
        """Write what waits, and the footer."""
        if self.waiting:
            self._put()
        if self.writer is not None:
            self.writer.close()

    def drop(self) -> None:
        """Write no footer into a file that is not there."""
        if self.writer is not None:
            self.writer.is_open = False

    def _put(self) -> None:
        pa, pq = pyarrow_for(self.name)
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.file, self.schema)
        group = pa.concat_tables(self.waiting)
        self.writer.write_table(group, row_group_size=max(1, group.num_rows))
        self.waiting, self.n_bytes = [], 0


_KINDS: dict[str, type[RowFile]] = {
    ".parquet": _Parquet,
    ".csv": _Text,
    ".tsv": _Tabs,
    ".npy": _Npy,
}


def as_arrow(table: Any, names: Sequence[str] | None = None, *, like: Any = None) -> Any:
    """Return any table as one of Arrow, types and category levels kept.

    Parameters
    ----------
    table : dataframe, or ndarray of shape (n,) or (n, d)
    names : sequence of str, optional
        Of the columns of an array; x0, x1, ... by default.
    like : pyarrow.Schema, optional
        Names and types to bring it into.

    Raises
    ------
    DataError
        For other columns than those of `like`, or values that its types do not hold.
    DataTypeError
        For a column that Arrow has no type for.
    MissingExtraError
        Without pyarrow.
    """
    pa, _ = pyarrow_for("a table written part by part")
    try:
        held = _as_arrow(pa, table, names, like)
        if like is not None:
            _refuse_other_names(held.schema.names, like.names)
            held = held if held.schema.equals(like) else held.cast(like)
            return held.replace_schema_metadata(like.metadata)
        return held
    except pa.ArrowException as error:
        why = (str(error).splitlines() or [""])[0][:200].rstrip(".")
        if like is None:
            raise DataTypeError(
                f"a column cannot be written: {why}. Give each column values of one kind."
            ) from None
        raise DataError(
            f"a column holds a value that its earlier type cannot hold: {why}. Give every part the "
            "same types."
        ) from None


def _as_arrow(pa: Any, table: Any, names: Sequence[str] | None, like: Any) -> Any:
    library = (form_of(table) or {}).get("library")
    if library == "pandas":
        if like is not None:
            _refuse_other_names([*map(str, table.columns)], like.names)
            return pa.Table.from_pandas(table, schema=like, preserve_index=False)
        return pa.Table.from_pandas(table, preserve_index=False)
    if library == "polars":
        return table.to_arrow()
    if library == "pyarrow":
        return pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table
    labels, columns = columns_of(table, names)
    plain = [c.tolist() if c.dtype.kind in "OU" else np.ascontiguousarray(c) for c in columns]
    return pa.table([pa.array(values) for values in plain], names=labels)


def _refuse_other_names(own: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise DataError where a table has other columns than the first."""
    if list(own) != list(wanted):
        raise DataError(
            f"the columns are {', '.join(own[:20])}; those before were "
            f"{', '.join(wanted[:20])}. Give the same columns in every part."
        )
