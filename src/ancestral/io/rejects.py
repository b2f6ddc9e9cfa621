"""Rows that are left out of a table of text because a cell of theirs is no number: the report.

A report is asked for, as a file or as a list. Without one, the first such cell is an error.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ancestral._checks.numbers import warn
from ancestral._files import (
    PathLike,
    as_path,
    check_destination,
    refuse_same,
    shown,
    write_atomically,
)
from ancestral.errors import DataTypeError, SaveError

MOST_LISTED = 100_000  # in a list, which is held in memory
_WIDEST = 1_000  # characters of a cell or name


class Reject(NamedTuple):
    """A cell that could not be read: line (from 1), column, what stands there, and why."""

    line: int
    column: str
    value: str
    reason: str


class Rejects:
    """Collects what is left out of one file.

    Parameters
    ----------
    to : path-like or list
        A `.csv` to write, or a list that is given a `Reject` for each cell, 100,000 at most.
    """

    def __init__(self, to: PathLike | list[Reject]) -> None:
        if isinstance(to, list):
            self._listed: list[Reject] | None = to
        else:
            try:
                self._listed, self.path = None, as_path(to)
            except DataTypeError:
                raise DataTypeError(
                    f"rejects must name a .csv to write, or be a list to fill; got {to!r}."
                ) from None
        self.cells = self.rows = 0
        self._writer: Any = None

    @contextmanager
    def report(self, source: PathLike) -> Iterator[None]:
        """Collect while a file is read, then write the report.

        Raises
        ------
        SaveError
            When the report cannot be written, or would take the place of the file that is read.
        """
        if self._listed is not None:
            yield
            return
        refuse_same([self.path], [source])
        if self.path.suffix.lower() != ".csv":
            raise SaveError(f"{shown(self.path)}: rejects are written as .csv; end it so.")
        folder = check_destination(self.path).parent
        try:
            with tempfile.TemporaryFile(dir=folder) as spool:
                text = io.TextIOWrapper(
                    spool, "utf-8", errors="backslashreplace", newline="", write_through=True
                )
                self._writer = csv.writer(text, lineterminator="\n")
                self._writer.writerow(Reject._fields)
                yield
                write_atomically(self.path, spool)
        except OSError as error:
            raise SaveError(f"{shown(self.path)}: cannot be written ({error.strerror}).") from None

    def warn_of(self, name: str) -> None:
        """Say how much was left out of the file, if anything."""
        if not self.rows:
            return
        where = "the list of rejects"
        if self._listed is None:
            where = shown(self.path)
        elif self.cells > MOST_LISTED:
            where += f", but for those after the first {MOST_LISTED:,}"
        warn(
            f"{name}: left out {self.rows:,} row{'s' * (self.rows > 1)}, in which {self.cells:,} "
            f"cell{'s' * (self.cells > 1)} could not be read: see {where}."
        )

    def add(self, line: int, column: str, value: str, reason: str) -> None:
        """Enter one cell."""
        self.cells += 1
        reject = Reject(line, column[:_WIDEST], value[:_WIDEST], reason)
        if self._listed is None:
            self._writer.writerow(reject)
        elif self.cells <= MOST_LISTED:
            self._listed.append(reject)
