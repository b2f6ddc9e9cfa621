"""Rows of .npy files at addresses, read by offset."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral.io.npy import read_header
from ancestral.streaming.npy import refuse_no_rows
from ancestral.streaming.source import PART_BYTES, Source
from ancestral.streaming.sources.files import File, identity_of


@dataclass(frozen=True)
class ArrayPiece:
    """Some rows of a file.

    Parameters
    ----------
    file : File
    dtype : str
    width : tuple of int
    offset : int
        Bytes before the first of these rows.
    n_rows, start : int
    """

    file: File
    dtype: str
    width: tuple[int, ...]
    offset: int
    n_rows: int
    start: int

    @property
    def n_bytes(self) -> int:
        """Of the rows."""
        return self.n_rows * math.prod(self.width) * np.dtype(self.dtype).itemsize

    @property
    def of(self) -> str:
        """The file."""
        return self.file.name

    def read(self) -> NDArray:
        """Return the rows."""
        content = self.file.read(self.offset, self.offset + self.n_bytes)
        return np.frombuffer(content, self.dtype).reshape(self.n_rows, *self.width)


class Arrays(Source):
    """Rows of .npy files, one file after the other.

    Parameters
    ----------
    files : sequence of File
    rows : int, optional
        In a part; about 32 MiB of them when not given.
    """

    def __init__(self, files: Sequence[File], rows: int | None = None) -> None:
        self.files, self.rows = files, rows
        self._parts = [piece for file in files for piece in self._of(file)]

    def parts(self) -> list[ArrayPiece]:
        """Return the slices of rows."""
        return self._parts

    def _of(self, file: File) -> list[ArrayPiece]:
        with file.opened() as stream:
            header = read_header(stream.read, file.name)
            offset = stream.tell()
        refuse_no_rows(file.name, header, offset, file.size)
        dtype, _, shape = header
        row = math.prod(shape[1:]) * dtype.itemsize
        step = self.rows or max(1, PART_BYTES // row)
        return [
            ArrayPiece(file, dtype.str, shape[1:], offset + k * row, min(step, shape[0] - k), k)
            for k in range(0, shape[0], step)
        ]

    @property
    def identity(self) -> str:
        """SHA-256 of the files' paths, sizes and times."""
        return identity_of(self.files)
