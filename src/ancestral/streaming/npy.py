"""Rows of .npy files, read by offset.

Files are not mapped: mapped pages count as the process's own memory.
"""

from __future__ import annotations

import hashlib
import math
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import check_integer
from ancestral._files import as_path, open_regular, shown
from ancestral.errors import DataError, FormatError
from ancestral.io.npy import Header, read_header, rows_at
from ancestral.streaming.columns import Place, in_part
from ancestral.streaming.source import PART_BYTES, Source

SAMPLED = 64 << 10  # bytes at either end of a file, by which two are told apart
SAMPLES, SAMPLE = 14, 4 << 10  # and between them


@dataclass(frozen=True)
class Identity:
    """What a file was when it was first opened: where, how large, when written, and a digest.

    Parameters
    ----------
    place : tuple of int
        Device and number of the file.
    n_bytes : int
    written : int
        Nanoseconds.
    digest : str
        SHA-256 of its first and last 64 KiB, and of 14 pieces of 4 KiB between.
    """

    place: tuple[int, int]
    n_bytes: int
    written: int
    digest: str

    @classmethod
    def of(cls, file: IO[bytes]) -> Identity:
        """Return that of an open file, whose position is left where it is."""
        status = os.fstat(file.fileno())
        return cls(
            (status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns, _digest(file)
        )

    def unlike(self, file: IO[bytes]) -> str | None:
        """Say why an open file is not this one, nor a copy of it; None where it is."""
        status = os.fstat(file.fileno())
        place = status.st_dev, status.st_ino
        if (place, status.st_size, status.st_mtime_ns) == (self.place, self.n_bytes, self.written):
            return None
        if place == self.place:
            return "was changed while it was read. Call again when no program writes to it."
        if status.st_size != self.n_bytes or _digest(file) != self.digest:
            return (
                f"is another file, on {platform.node() or 'this machine'}, than the one that was "
                "opened first. Give a path that leads to the same file on every machine."
            )
        return None


def _digest(file: IO[bytes]) -> str:
    """Return the SHA-256 of pieces of a file that tell it from others of its size."""
    at, size = file.tell(), os.fstat(file.fileno()).st_size
    found = hashlib.sha256()
    inner = [size * i // (SAMPLES + 1) for i in range(1, SAMPLES + 1)] if size > 4 * SAMPLED else []
    for start, n in (
        (0, SAMPLED),
        *((start, SAMPLE) for start in inner),
        (size - SAMPLED, SAMPLED),
    ):
        file.seek(max(0, start))
        found.update(file.read(n))
    file.seek(at)
    return found.hexdigest()


@dataclass(frozen=True)
class NpyTable:
    """Where the rows of a .npy file stand: enough to read any of them by offset.

    Parameters
    ----------
    path : str
    dtype : str
    n_rows : int
    width : tuple of int
        (n_columns,), or () of a 1-D array.
    offset : int
        Bytes before the first row.
    seen : Identity, optional
        What the file was when its header was read: it must be that file, or an equal one, when
        rows are read, on whatever machine.
    """

    path: str
    dtype: str
    n_rows: int
    width: tuple[int, ...]
    offset: int
    seen: Identity | None = None

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> NpyTable:
        """Read a file's header and check it against the file's size."""
        name = shown(as_path(path))
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                header = read_header(file.read, name)
                offset = file.tell()
                seen = Identity.of(file)
                path = os.path.abspath(path)  # workers have another folder
            except OSError as error:
                raise FormatError(f"{name}: cannot be read ({error.strerror}).") from None
        refuse_no_rows(name, header, offset, size)
        return cls(path, header.dtype.str, header.shape[0], header.shape[1:], offset, seen)

    @property
    def default_rows(self) -> int:
        """Rows that make about 32 MiB, in memory or in the file."""
        return max(1, PART_BYTES // max(1, self.held_bytes))

    @property
    def held_bytes(self) -> int:
        """Of one row in memory, where numbers take 8 bytes or more."""
        return math.prod(self.width) * max(8, np.dtype(self.dtype).itemsize)

    @property
    def row_bytes(self) -> int:
        """Of one row in the file."""
        return math.prod(self.width) * np.dtype(self.dtype).itemsize

    def read(self, start: int, stop: int) -> NDArray:
        """Return rows start to stop."""
        count = (stop - start) * math.prod(self.width)
        offset = self.offset + start * self.row_bytes
        with open_regular(self.path) as file:
            if self.seen is not None and (why := self.seen.unlike(file)):
                raise FormatError(f"{shown(self.path)}: {why}")
            flat = rows_at(file, shown(self.path), offset, np.dtype(self.dtype), count)
        return flat.reshape(stop - start, *self.width)


def refuse_no_rows(name: str, header: Header, offset: int, size: int) -> None:
    """Raise FormatError for an array that is no table of rows, or longer than its file."""
    dtype, fortran, shape = header
    fortran = fortran and len(shape) > 1
    if len(shape) not in (1, 2) or fortran:
        mend = "numpy.ascontiguousarray(X)" if fortran else "one row of numbers per sample"
        raise FormatError(
            f"{name}: holds shape {shape}, {dtype}{', Fortran order' * fortran}; it must hold a "
            f"1-D or 2-D, C-ordered array of numbers. Save {mend}."
        )
    if 0 in shape[1:]:
        raise FormatError(f"{name}: holds shape {shape}: rows without columns are no data.")
    promised = offset + math.prod(shape) * dtype.itemsize
    if size < promised:
        raise FormatError(
            f"{name}: its header promises {promised} bytes, the file has {size}: copy it again."
        )


@dataclass(frozen=True)
class NpySlice:
    """The same rows of one file, or of several that belong together."""

    tables: tuple[NpyTable, ...]
    start: int
    stop: int

    @property
    def n_rows(self) -> int:
        return self.stop - self.start

    @property
    def n_bytes(self) -> int:
        return self.n_rows * sum(table.held_bytes for table in self.tables)

    @property
    def of(self) -> str:
        return "the files" if len(self.tables) > 1 else shown(self.tables[0].path)

    def read(self) -> Any:
        """Return the rows of one file, a tuple of those of several."""
        parts = tuple(table.read(self.start, self.stop) for table in self.tables)
        return parts if len(parts) > 1 else parts[0]


class NpyRows(Source):
    """The rows of a file, or of several of one row per sample, such as those of X and of y.

    Parameters
    ----------
    tables : tuple of NpyTable
    rows : int, optional
        In each part; about 32 MiB of them when not given.
    """

    def __init__(self, tables: tuple[NpyTable, ...], rows: int | None = None) -> None:
        for table in tables[1:]:
            if table.n_rows != tables[0].n_rows:
                raise DataError(
                    f"{tables[0].path} has {tables[0].n_rows} rows, {table.path} has "
                    f"{table.n_rows}: give files of one row per sample."
                )
        self.tables = tables
        if rows is None:
            self.rows = min(table.default_rows for table in tables)
        else:
            self.rows = check_integer(rows, "rows", minimum=1)

    @classmethod
    def of_paths(cls, paths: Sequence[str | os.PathLike[str]], rows: int | None = None) -> NpyRows:
        """Read the headers of these files."""
        return cls(tuple(NpyTable.of(path) for path in paths), rows)

    def parts(self) -> list[NpySlice]:
        """Return the slices of rows."""
        n = self.tables[0].n_rows
        starts = range(0, n, self.rows)
        return [NpySlice(self.tables, start, min(start + self.rows, n)) for start in starts]

    @property
    def identity(self) -> str:
        """What the files were when they were opened."""
        seen = [table.seen for table in self.tables if table.seen is not None]
        return " ".join(f"{one.digest} {one.n_bytes} {one.written}" for one in seen)


def read_chunks(path: str | os.PathLike[str], rows: int | None = None) -> Iterator[NDArray]:
    """Yield the rows of a .npy file in parts, without loading the whole file.

    Parameters
    ----------
    path : path-like
        A file with a C-ordered array of numbers: 2-D, or 1-D for targets or weights.
    rows : int, optional
        The number of rows in each part; by default about 32 MiB of them.

    Yields
    ------
    ndarray of shape (rows, n_features) or (rows,)

    Raises
    ------
    FormatError
        When the file is not such a .npy file, is damaged, or is shorter than its header states.
    DataTypeError
        When it holds text, objects, complex numbers or long doubles.
    ModelError
        When `rows` is no integer of 1 or more.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "rows.npy"
    >>> np.save(path, np.ones((5, 2)))
    >>> sum(len(chunk) for chunk in read_chunks(path))
    5
    """
    for number, part in enumerate(NpyRows.of_paths([path], rows).parts()):
        with in_part(Place.of_piece(number, part)):
            chunk: NDArray = part.read()
        yield chunk
